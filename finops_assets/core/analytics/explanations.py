"""Why an archived day cost another amount than the day it is compared with: its drivers, and their parts."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from finops_assets.core.accounts.ous import ALL, within
from finops_assets.core.accounts.published_map import read_account_map
from finops_assets.core.analytics import driver_sums, kept_parts, scorecard
from finops_assets.core.analytics.cost_causes import Cause, causes
from finops_assets.core.analytics.drivers import Drivers
from finops_assets.core.analytics.kept_parts import KeptParts, made_of
from finops_assets.core.analytics.moved_parts import Part, moved_parts
from finops_assets.core.analytics.renames import Renamed, newest_names
from finops_assets.core.errors import ArchiveError
from finops_assets.core.notes import read_note
from finops_assets.core.schemas import moved_parts_path

if TYPE_CHECKING:
    from finops_assets.core.ports import Archive, Warehouse
    from finops_assets.core.values import PublishedDay


@dataclass(frozen=True)
class Explanation:
    """Why a day moved.

    Attributes:
        day, against: the day, and that which it is compared with.
        currency, cost_basis: of the amounts.
        parts: of what moved; they sum to its change.
        kept: whether they are those that the archive keeps; else the bill was asked.
    """

    day: date
    against: date
    currency: str
    cost_basis: str
    parts: tuple[Part, ...]
    kept: bool = False

    def of(self, ou: str) -> tuple[Part, ...]:
        """The parts of an OU and all below it; `All` is everything."""
        return tuple(part for part in self.parts if ou == ALL or within(part.ou, ou))

    def causes(self, ou: str) -> list[Cause]:
        """The causes of the change of an OU, the first one first."""
        return causes(self.of(ou))


def compared_day(day: date, archived: Collection[date]) -> date | None:
    """The day that a day is compared with: the same weekday of the week before, else the day before."""
    return next((d for d in (day - timedelta(days=7), day - timedelta(days=1)) if d in archived), None)


def moved(
    warehouse: Warehouse, archive: Archive, day: PublishedDay, against: date, renamed: Collection[Renamed]
) -> Drivers:
    """What moved between two archived days, asked of the bill.

    Args:
        warehouse: reads the bill, in the currency of the archive's days.
        archive: has the account map.
        day: as it is archived.
        against: the day compared with.
        renamed: services that have another name since one of the last days.

    Raises:
        BillError: the bill cannot be read.
    """
    sums = driver_sums.under_new_names(warehouse.drivers(day.day, against), _new_names(renamed, day.day, against))
    return driver_sums.explain(sums, day.day, against, read_account_map(archive), day.currency, day.cost_basis)


def parts_of_moved(
    warehouse: Warehouse, of: Drivers, renamed: Collection[Renamed], *, rescan: bool
) -> tuple[Part, ...]:
    """The parts of what moved, asked of the bill; arguments as for `moved`, and `Warehouse.moved_parts`."""
    table = warehouse.moved_parts(of.day, of.against, rescan=rescan)
    return moved_parts(table, of, _new_names(renamed, of.day, of.against))


def _new_names(renamed: Collection[Renamed], day: date, against: date) -> dict[str, str]:
    return newest_names([each for each in renamed if against < each.since <= day])


def explained(warehouse: Warehouse, archive: Archive, day: date, *, from_bill: bool = False) -> Explanation:
    """Why an archived day cost what it did: as the archive keeps it, else as the bill says.

    Args:
        warehouse: reads the bill.
        archive: has the days.
        day: which.
        from_bill: the bill is asked in any case: what is kept may lack resources. What is kept of other rows of one of
            the days than the archive has now is not used.

    Raises:
        ArchiveError: it is not archived, or no day is that it can be compared with.
        BillError: the bill cannot be read, or does not have the day any more.
    """
    published, archived = archive.describe(day), set(archive.days())
    if published is None:
        raise ArchiveError(f"{day} is not archived", fix=f"Run `finops run --date {day}`.")
    before = compared_day(day, archived)
    against = archive.describe(before) if before else None
    if against is None:
        days = f"{day - timedelta(days=7)} or {day - timedelta(days=1)}"
        raise ArchiveError(f"{day} can be compared with {days} alone, and neither is archived", fix="Backfill them.")
    facts = day, against.day, published.currency, published.cost_basis
    kept = None if from_bill else kept_parts_of(archive, day)
    if kept and kept.made_of == made_of(published, against):
        return Explanation(*facts, tuple(kept.of((ALL, "", ""))), kept=True)
    card = scorecard.read(archive, day)
    renamed = card.renamed if card else ()
    of = moved(warehouse, archive, published, against.day, renamed)
    return Explanation(*facts, parts_of_moved(warehouse, of, renamed, rescan=True))


def kept_parts_of(archive: Archive, day: date) -> KeptParts | None:
    """The kept parts of a day, in whatever state of the day they were made; None where there are none."""
    return read_note(archive, moved_parts_path(day), kept_parts.read, None)
