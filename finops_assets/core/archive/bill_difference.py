"""How the bill's day differs from the archived one."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.money import change
from finops_assets.core.schemas import RESTORED_FROM

if TYPE_CHECKING:
    from finops_assets.core.values import DayPrint, PublishedDay


@dataclass(frozen=True)
class PublishedAs:
    """What a comparison with the bill needs of an archived day.

    Attributes:
        held: whether somebody has restored an earlier version.
        lines: how many lines of the bill it was made of; None in a note of an older release.
    """

    fingerprint: str
    total: Decimal
    currency: str
    held: bool
    lines: int | None = None


def is_held(there: PublishedDay | None) -> bool:
    """Whether somebody has put an earlier version in the day's place: only a run by name replaces it."""
    return there is not None and RESTORED_FROM in there.metadata


def published_as(there: PublishedDay) -> PublishedAs:
    """What is kept of an archived day for later comparisons."""
    lines = int(there.metadata.get("source_lines", 0))
    return PublishedAs(there.fingerprint, there.total, there.currency, is_held(there), lines)


def difference(print_: DayPrint, there: PublishedAs) -> str:
    """How the bill's day differs from the archived one; empty where it does not, or where the day is held."""
    if there.held or print_.fingerprint == there.fingerprint:
        return ""
    moved = print_.total - there.total
    return f"the bill has {change(moved)} {there.currency}" if moved else "the bill has other rows"
