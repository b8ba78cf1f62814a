"""Archived days are registered in the catalog, read back through it, and compared with what is archived."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from finops_assets.core.calendar import in_words
from finops_assets.core.errors import ArchiveError
from finops_assets.core.ports import Archive, Catalog
from finops_assets.core.schemas import day_path
from finops_assets.core.values import CatalogDay, PublishedDay, Refresh

HALF_A_CENT = Decimal("0.005")


@dataclass
class Registered:
    """The days as read back through the catalog; `wrong` says what differs from the archive."""

    archived: Mapping[date, PublishedDay]
    read: Mapping[date, CatalogDay]
    new: frozenset[date]
    wrong: dict[date, str]


def register_days(
    archive: Archive,
    catalog: Catalog,
    days: Sequence[date],
    *,
    start: Callable[[], Callable[[], None]] = lambda: _nothing,
) -> Registered:
    """Register archived days, then read them back through the catalog and compare with what is archived.

    Args:
        archive: where the days are.
        catalog: where they are registered.
        days: which.
        start: starts work on what is registered while it is read back, and returns what cancels that: it is called
            if the days are not read back as archived.

    Raises:
        ArchiveError: a day is not in the archive.
    """
    archived = {day: found for day in days if (found := archive.describe(day))}
    missing = [day for day in days if day not in archived]
    if missing:
        raise ArchiveError(
            f"{in_words(missing)} not archived",
            where=day_path(missing[0]),
            fix="Materialize ou_breakdown_parquet first.",
        )
    new = frozenset(catalog.register(archived.values()))
    cancel = start()
    wrong = None
    try:
        read = catalog.read_back(days)
        wrong = {day: fault for day, there in archived.items() if (fault := read_fault(read.get(day), there))}
    finally:
        if wrong != {}:
            cancel()
    return Registered(archived, read, new, wrong)


def _nothing() -> None:
    """Call nothing off."""


def read_fault(found: CatalogDay | None, there: PublishedDay) -> str:
    """How what a reader gets of a day differs from what is archived; empty where it does not."""
    rows = found.rows if found else 0
    if found and found.objects > 1:
        return f"{found.objects} objects lie at {found.location}: remove all but {there.path}"
    if (times := times_read(found, there)) > 1:
        return f"it is read {times} times over, as it is registered more than once"
    if rows != there.rows:
        return f"{rows:,} rows are read, {there.rows:,} are archived"
    if found and found.strays:
        return f"{found.strays:,} of its rows are of other days"
    if found and abs(found.total - there.total) >= HALF_A_CENT:
        return f"{found.total} is read, {there.total} is archived"
    return ""


def times_read(found: CatalogDay | None, there: PublishedDay) -> int:
    """How many times over a reader gets the day's rows; 0 where it is not them."""
    return found.rows // there.rows if found and there.rows and found.rows % there.rows == 0 else 0


def dashboard_fault(shown: Refresh, archive: Archive, days_shown: int) -> str:
    """How what the dashboard shows differs from the archive; empty where it does not."""
    days = archive.days()[-days_shown:]
    if shown.total is None:
        if shown.newest_day != days[-1] or shown.expected_rows not in (None, shown.rows):
            return (
                f"it shows {shown.rows} rows up to {shown.newest_day}, "
                f"the archive has {shown.expected_rows} up to {days[-1]}"
            )
        return ""
    total = sum((published.total for day in days if (published := archive.describe(day))), Decimal())
    if shown.newest_day != days[-1] or abs(shown.total - total) >= HALF_A_CENT:
        return f"it shows {shown.total} up to {shown.newest_day}, the archive has {total} up to {days[-1]}"
    return ""
