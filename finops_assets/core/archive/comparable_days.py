"""Archived rows that can be compared: in one currency and on one cost basis."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.errors import ArchiveError
from finops_assets.core.ports import Archive
from finops_assets.core.schemas import day_path
from finops_assets.core.values import PublishedDay

if TYPE_CHECKING:
    import pyarrow as pa


WRITERS = 4
"""Days that are proved and written at once: more than the cores, as a PUT waits for the store."""


def comparable_rows(
    archive: Archive, day: date | None, days: int
) -> tuple[pa.Table, dict[date, PublishedDay], PublishedDay]:
    """The archived rows up to a day (the newest by default), at most so many days; the days; and that day.

    Days that are not archived, or that are in another currency or on another cost basis than the newest, are not there.
    A day without rows has no amount in any currency: it is there, at 0, whatever its object says of it.

    Raises:
        ArchiveError: nothing is archived up to that day.
    """
    there = [found for found in archive.days() if day is None or found <= day]
    newest = archive.describe(there[-1]) if there else None
    if newest is None:
        raise ArchiveError("nothing is archived", where=day_path(day) if day else "", fix="Run a day: `finops run`.")
    span = [found for found in there if (newest.day - found).days < days]
    with ThreadPoolExecutor(WRITERS) as readers:
        described = [found for found in readers.map(archive.describe, span) if found]
    newest = in_unit_of_costs(newest, described)
    same = {found.day: found for found in described if comparable(found, newest)}
    return archive.read(list(same)), same, newest


def in_unit_of_costs(day: PublishedDay, days: Iterable[PublishedDay]) -> PublishedDay:
    """The day; one without rows takes currency and cost basis from the newest of these days that has rows."""
    if day.rows:
        return day
    with_rows = max((other for other in days if other.rows and other.day <= day.day), key=_of_day, default=day)
    return replace(day, currency=with_rows.currency, cost_basis=with_rows.cost_basis)


def _of_day(day: PublishedDay) -> date:
    return day.day


def comparable(day: PublishedDay, other: PublishedDay) -> bool:
    """Whether the amounts of two days are in the same currency and on the same cost basis, or one has no amounts."""
    return not day.rows or not other.rows or _unit(day) == _unit(other)


def _unit(day: PublishedDay) -> tuple[str, str]:
    return day.currency, day.cost_basis


def costs_by_ou(rows: pa.Table, days: Iterable[date]) -> dict[str, dict[date, Decimal]]:
    """Each OU's cost of every one of these days; a day that it has no row on costs it nothing."""
    sums = rows.group_by(["billingdate", "ou"]).aggregate([("cost", "sum")]).to_pylist()
    costs: dict[str, dict[date, Decimal]] = {row["ou"]: dict.fromkeys(days, Decimal()) for row in sums}
    for row in sums:
        costs[row["ou"]][row["billingdate"]] = row["cost_sum"]
    return costs
