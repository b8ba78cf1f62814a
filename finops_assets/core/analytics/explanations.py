"""Why an archived day cost another amount than the day it is compared with: its drivers, and their parts."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from finops_assets.core.accounts.ous import ALL, within
from finops_assets.core.accounts.published_map import read_account_map
from finops_assets.core.analytics import driver_sums, scorecard
from finops_assets.core.analytics.cost_causes import Cause, causes
from finops_assets.core.analytics.drivers import Drivers
from finops_assets.core.analytics.moved_parts import Part, moved_parts
from finops_assets.core.analytics.renames import newest_names
from finops_assets.core.errors import ArchiveError

if TYPE_CHECKING:
    from finops_assets.core.ports import Archive, Warehouse


@dataclass(frozen=True)
class Explanation:
    """Why a day moved.

    Attributes:
        drivers: what moved, with the days, the currency and the cost basis.
        parts: of each driver; they sum to its change.
    """

    drivers: Drivers
    parts: tuple[Part, ...]

    def of(self, ou: str) -> tuple[Part, ...]:
        """The parts of an OU and all below it; `All` is everything."""
        return tuple(part for part in self.parts if ou == ALL or within(part.ou, ou))

    def causes(self, ou: str) -> list[Cause]:
        """The causes of the change of an OU, the first one first."""
        return causes(self.of(ou))


def compared_day(day: date, archived: Collection[date]) -> date | None:
    """The day that a day is compared with: the same weekday of the week before, else the day before."""
    return next((d for d in (day - timedelta(days=7), day - timedelta(days=1)) if d in archived), None)


def explained(warehouse: Warehouse, archive: Archive, day: date) -> Explanation:
    """Why an archived day cost what it did, asked of the bill.

    Raises:
        ArchiveError: it is not archived, or no day is that it can be compared with.
        BillError: the bill cannot be read, or does not have the day any more.
    """
    published, archived = archive.describe(day), set(archive.days())
    if published is None:
        raise ArchiveError(f"{day} is not archived", fix=f"Run `finops run --date {day}`.")
    against = compared_day(day, archived)
    if against is None:
        before = f"{day - timedelta(days=7)} or {day - timedelta(days=1)}"
        raise ArchiveError(f"{day} can be compared with {before} alone, and neither is archived", fix="Backfill them.")
    card = scorecard.read(archive, day)
    names = newest_names([each for each in card.renamed if against < each.since <= day]) if card else {}
    sums = driver_sums.under_new_names(warehouse.drivers(day, against), names)
    facts = published.currency, published.cost_basis
    moved = driver_sums.explain(sums, day, against, read_account_map(archive), *facts)
    return Explanation(moved, moved_parts(warehouse.moved_parts(day, against), moved, names))
