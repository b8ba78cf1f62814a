"""What the commands share: days and months as arguments, the time, the platform that the settings name."""

from __future__ import annotations

import os
import shutil
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from finops_assets.cli.terminal import say

if TYPE_CHECKING:
    from finops_assets.platform import Platform
    from finops_assets.settings.model import Settings

# What loads pydantic, pyarrow or Dagster is imported where it is needed: `finops --help` answers at once.


class Day(click.ParamType):
    """A calendar day, YYYY-MM-DD."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        if isinstance(value, date):
            return value
        try:
            return date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a day: write it as YYYY-MM-DD", param, ctx)


class Month(click.ParamType):
    """A calendar month, YYYY-MM."""

    name = "month"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return f"{date.fromisoformat(f'{value}-01'):%Y-%m}"
        except ValueError:
            self.fail(f"{value!r} is not a month: write it as YYYY-MM", param, ctx)


DAY, MONTH = Day(), Month()
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


def now() -> datetime:
    """The time (aware, UTC), which tests set."""
    return datetime.now(UTC)


def yesterday() -> date:
    """The newest whole day (UTC)."""
    return now().date() - timedelta(days=1)


def load() -> Settings:
    """The settings in force.

    Raises:
        SettingsError: one is wrong.
    """
    from finops_assets.settings.load import load_settings

    return load_settings()


def platform_of(settings: Settings) -> Platform:
    """The platform of these settings, on the commands' clock."""
    from finops_assets.platform import build_platform

    return build_platform(settings, lambda: now())


def open_platform() -> Platform:
    """The platform of the settings in force."""
    return platform_of(load())


def this_command() -> str:
    """How a person types this command here."""
    return "finops" if shutil.which("finops") else os.path.relpath(sys.argv[0])


def say_block(text: str) -> None:
    """Print text of our own that has several lines."""
    say(*text.split("\n"))


def say_age(platform: Platform) -> None:
    """Print how old the data are, where they are not current."""
    age = platform.age(now())
    if age and age.sentence:
        say(age.sentence)


def amount(value: Decimal) -> str:
    """An amount as people read it."""
    from finops_assets.core.money import money

    return money(value)


def yes_no(value: bool) -> str:
    """`yes`, or `NO`, which stands out in a table."""
    return "yes" if value else "NO"
