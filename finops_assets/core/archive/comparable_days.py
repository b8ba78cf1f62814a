"""Archived costs that can be compared: in one currency and on one cost basis."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date

from finops_assets.core.archive.kept_history import DaysOfCosts
from finops_assets.core.errors import ArchiveError
from finops_assets.core.ports import Archive
from finops_assets.core.schemas import day_path
from finops_assets.core.values import PublishedDay

WRITERS = 4
"""Days that are written or described at once: more than the cores, as a request waits for the store."""


def comparable_days(
    archive: Archive, day: date | None, days: int
) -> tuple[DaysOfCosts, dict[date, PublishedDay], PublishedDay]:
    """The costs of archived days up to a day (the newest by default), at most so many; those to compare; and that day.

    Days in another currency or on another cost basis than the newest are left out. A day without rows has no amount in
    any currency: it is kept, at 0, whatever its object says of it. Each day's object is read once.

    Raises:
        ArchiveError: nothing is archived up to that day.
    """
    archived = [other for other in archive.days() if day is None or other <= day]
    if not archived:
        raise ArchiveError("nothing is archived", where=day_path(day) if day else "", fix="Run a day: `finops run`.")
    span = archive.history.costs([other for other in archived if (archived[-1] - other).days < days])
    newest = in_unit_of_costs(span.published[archived[-1]], span.published.values())
    same = {day: of for day, of in span.published.items() if comparable(of, newest)}
    return span, same, newest


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


def unassigned_percent(day: PublishedDay) -> float:
    """Share of the day's cost in Unassigned, of absolute amounts so that credits do not hide it."""
    unassigned = abs(float(day.metadata["unassigned"]))
    return 100 * unassigned / abs(float(day.total)) if day.total else (100.0 if unassigned else 0.0)
