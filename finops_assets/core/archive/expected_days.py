"""Which days the archive should have, and which of them it does not."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

from finops_assets.core.calendar import days_between


def expected_days(covered: Collection[date], archived: Collection[date], first: date, yesterday: date) -> list[date]:
    """Every day from the first that is known, but none before `first`, to yesterday."""
    known = [day for day in (*covered, *archived) if first <= day <= yesterday]
    return days_between(min(known, default=yesterday), yesterday)


def missing_days(covered: Collection[date], archived: Collection[date], first: date, yesterday: date) -> list[date]:
    """The expected days, ascending, that are not archived; none where no day is known."""
    known = any(first <= day <= yesterday for day in (*covered, *archived))
    return [day for day in expected_days(covered, archived, first, yesterday) if day not in archived] if known else []
