"""The demo's home: the sample bill, and a settings file that points at it. It never touches another bill's days."""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from finops_assets.core.errors import SettingsError
from finops_assets.core.home import make_home
from finops_assets.settings.load import SETTINGS_FILE, load_settings
from finops_assets.settings.model import Settings

if TYPE_CHECKING:
    from finops_assets.stories.sample_bill import SampleBill


FIRST_WORDS = "# Written by `finops demo`"
MADE = (
    "sample-bill",
    "archive",
    "outbox",
    "alerts",
    "dagster",
    "spill",
    "catalog.sqlite",
    "dashboard.html",
    SETTINGS_FILE,
)
"""What a demo's home holds; nothing else in it is touched."""


def prepare_demo(settings: Settings, last_day: date, days: int) -> tuple[Settings, SampleBill, bool]:
    """The settings and the sample bill that ends on last_day, and whether it was made just now.

    A demo of the same days is run again as it is; one of other days replaces what the demo made in its home.

    Raises:
        SettingsError: the home holds another bill's days, or another bill is set.
    """
    from finops_assets.stories.sample_bill import write_sample_bill

    home, folder = settings.home, settings.sample_folder
    marker = home / SETTINGS_FILE
    ours = marker.is_file() and marker.read_text(encoding="utf-8").startswith(FIRST_WORDS)
    if not ours and (marker.exists() or (settings.archive_folder / "ou-breakdowns").exists()):
        raise SettingsError(
            f"the home {home} holds settings or days of another bill, which the demo must not mix with its own",
            where="home (FINOPS_HOME)",
            fix="Run it elsewhere: FINOPS_HOME=.finops-demo finops demo.",
        )
    other = next(
        (b.path for b in settings.bill.bills if b.path and Path(b.path).resolve().parent != folder.resolve()), ""
    )
    if other:
        raise SettingsError(
            f"bill.path is set to {other}; the demo runs on its own sample bill",
            where="bill.path (FINOPS_BILL__PATH)",
            fix="Run `finops backfill` for your bill, or unset it and give the demo a home of its own.",
        )
    wanted = _settings_file(last_day, days)
    fresh = not (ours and marker.read_text(encoding="utf-8") == wanted)
    if fresh and ours:
        for name in MADE:
            shutil.rmtree(home / name, ignore_errors=True)
            (home / name).unlink(missing_ok=True)
    make_home(home)
    sample = write_sample_bill(folder, last_day, days)
    if fresh:
        marker.write_text(wanted, encoding="utf-8")
    return load_settings(), sample, fresh


def _settings_file(last_day: date, days: int) -> str:
    first_day = last_day - timedelta(days=days - 1)
    return f"""{FIRST_WORDS}: this home holds the sample bill, {first_day} to {last_day}.
[bill]
path = "sample-bill/focus"
first_day = {first_day}

[accounts]
path = "sample-bill/accounts.csv"

[dimensions]
keys = ["tag:team", "tag:environment", "account:business_unit"]

[budgets]
path = "sample-bill/budgets.csv"

[anomalies]
events = "sample-bill/events.csv"

[mail]
executives = ["cfo@localhost"]

[mail.by_ou]
"Workloads/Prod" = ["prod-lead@localhost"]
"""
