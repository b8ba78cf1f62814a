"""Archived days are registered in the catalog, read back through it, and compared with what is archived."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from finops_assets.core.calendar import in_words
from finops_assets.core.errors import ArchiveError, DamagedError
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
    known = set(archive.days())
    in_archive = [day for day in days if day in known]
    try:
        archived = dict(archive.history.costs(in_archive).published)  # scores and dashboard need their rows anyway
    except DamagedError:  # what a reader gets of them says which, and how
        archived = archive.history.describe(in_archive)
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
        wrong = {day: fault for day, published in archived.items() if (fault := read_fault(read.get(day), published))}
    finally:
        if wrong != {}:
            cancel()
    return Registered(archived, read, new, wrong)


def _nothing() -> None:
    """Cancel nothing."""


def read_fault(read_back: CatalogDay | None, archived: PublishedDay) -> str:
    """How what a reader gets of a day differs from what is archived; empty where it does not."""
    rows = read_back.rows if read_back else 0
    if read_back and read_back.objects > 1:
        return f"{read_back.objects} objects lie at {read_back.location}: remove all but {archived.path}"
    if (times := times_read(read_back, archived)) > 1:
        return f"it is read {times} times over, as it is registered more than once"
    if rows != archived.rows:
        return f"{rows:,} rows are read, {archived.rows:,} are archived"
    if read_back and read_back.strays:
        return f"{read_back.strays:,} of its rows are of other days"
    if read_back and abs(read_back.total - archived.total) >= HALF_A_CENT:
        return f"{read_back.total} is read, {archived.total} is archived"
    return ""


def times_read(read_back: CatalogDay | None, archived: PublishedDay) -> int:
    """How many times over a reader gets the day's rows; 0 where it is not them."""
    return read_back.rows // archived.rows if read_back and archived.rows and read_back.rows % archived.rows == 0 else 0


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
    total = sum((published.total for published in archive.history.describe(days).values()), Decimal())
    if shown.newest_day != days[-1] or abs(shown.total - total) >= HALF_A_CENT:
        return f"it shows {shown.total} up to {shown.newest_day}, the archive has {total} up to {days[-1]}"
    return ""
