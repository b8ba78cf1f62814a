"""The journal of the bill's refreshes: how many in a row have left each day as it is.

One small object in the archive, so that the platform's every part and every process says the same of a day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from finops_assets.core.archive.bill_comparison import last_comparison
from finops_assets.core.archive.settlement import closes, first_open_day, settlement
from finops_assets.core.records import RecordType

if TYPE_CHECKING:
    from finops_assets.core.ports import Archive


JOURNAL_PATH = "refreshes/journal.json"


KEPT = 400
"""Refreshes that the journal remembers: over four months of three a day."""


@dataclass(frozen=True)
class _Refresh:
    """One refresh of the bill: its id, and when it was first seen."""

    snapshot: str
    seen: datetime


@dataclass(frozen=True)
class _Journal:
    """The journal's object: refreshes, the oldest first, and for each day how many in a row have left it unchanged."""

    refreshes: list[_Refresh]
    unchanged: dict[date, int]


RECORD = RecordType[_Journal](_Journal, "a journal")

UNSETTLED = 2
"""Newest days on which a fall in cost is not reported yet: exports were seen to lack a fifth of the newest day, once a
twentieth of the one before it, and next to nothing of older ones."""


class Journal:
    """Counts, for each day that is not closed, the refreshes of the bill that have left it unchanged.

    Args:
        archive: keeps the journal.
        stable_after: bill.stable_after.
    """

    def __init__(self, archive: Archive, stable_after: int = 0) -> None:
        self._archive, self._stable_after = archive, stable_after

    def record(
        self, snapshot: str, at: datetime, *, unchanged: Iterable[date], changed: Iterable[date], today: date
    ) -> None:
        """Count one refresh of the bill; the same refresh again counts nothing, and takes back what has changed since.

        Args:
            snapshot: the id of the bill as it is now.
            at: when it was seen.
            unchanged: days that the archive has as this bill does.
            changed: days that it had otherwise, or not at all.
            today: days closed by today are forgotten.
        """
        journal = self._read()
        counts = {day: n for day, n in journal.unchanged.items() if day >= first_open_day(today)}
        refreshes = journal.refreshes
        if snapshot not in {seen.snapshot for seen in refreshes}:
            refreshes = [*refreshes, _Refresh(snapshot, at)][-KEPT:]
            counts |= {day: counts.get(day, 0) + 1 for day in unchanged}
        counts |= dict.fromkeys(changed, 0)
        RECORD.write(self._archive, JOURNAL_PATH, _Journal(refreshes, dict(sorted(counts.items()))))

    def unsettled(self, days: Iterable[date], now: datetime) -> list[date]:
        """Those of the days that may still be incomplete at a time (aware, UTC): forecasts allow for it."""
        settled = self.settled()
        return [day for day in days if (now.date() - day).days <= UNSETTLED and settled(day) == "provisional"]

    def settled(self, *, being_archived_from: datetime | None = None) -> Callable[[date], str]:
        """A function that gives the settlement of a day; journal and last comparison are read once, now.

        Args:
            being_archived_from: of days that are archived now, when the export that they come from was written.
        """
        counts, compared = self._read().unchanged, last_comparison(self._archive)

        def of(day: date) -> str:
            if being_archived_from:
                closed = closes(day, being_archived_from)
            else:
                closed = compared is not None and compared.closes(day)
            return settlement(closed=closed, unchanged=counts.get(day, 0), stable_after=self._stable_after)

        return of

    def _read(self) -> _Journal:
        """The journal; an empty one where it is damaged, so that days are provisional until they are counted again."""
        return RECORD.read(self._archive, JOURNAL_PATH) or _Journal([], {})
