"""How final a day is: provisional days may still change, stable ones have stopped to, closed ones no longer do.

AWS refreshes a month for up to two weeks after it ends (Data Exports' documentation); after that it is taken as closed.
A day is stable once so many refreshes of the bill in a row have left it as it is: the journal counts them, one small
object in the archive, so that the platform's every part and every process says the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from finops_assets.core.notes import json_note, read_note

if TYPE_CHECKING:
    from finops_assets.core.ports import Archive

PROVISIONAL, STABLE, CLOSED = "provisional", "stable", "closed"
DAYS_AFTER_MONTH_END = 14
JOURNAL_PATH = "refreshes/journal.json"
KEPT = 400
"""Refreshes that the journal remembers: over four months of three a day."""


def first_open_day(today: date) -> date:
    """The oldest day that AWS may still change: of this month, or of the last one in the two weeks after its end."""
    this_month = today.replace(day=1)
    closed = today > this_month + timedelta(days=DAYS_AFTER_MONTH_END)
    return this_month if closed else (this_month - timedelta(days=1)).replace(day=1)


def settlement(day: date, today: date, unchanged: int = 0, stable_after: int = 0) -> str:
    """`provisional`, `stable` or `closed`, as of today (UTC).

    Args:
        day: the day.
        today: in UTC.
        unchanged: refreshes of the bill in a row that have left the day as it is.
        stable_after: bill.stable_after; 0 where refreshes are not counted.
    """
    if day < first_open_day(today):
        return CLOSED
    return STABLE if 0 < stable_after <= unchanged else PROVISIONAL


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


class Journal:
    """Counts, for each day that is not closed, the refreshes of the bill that have left it unchanged.

    Args:
        archive: keeps the journal.
        stable_after: bill.stable_after.
    """

    def __init__(self, archive: Archive, stable_after: int) -> None:
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
        facts = {
            "refreshes": [{"snapshot": seen.snapshot, "seen": seen.seen.isoformat()} for seen in refreshes],
            "unchanged": {day.isoformat(): n for day, n in sorted(counts.items())},
        }
        self._archive.put(JOURNAL_PATH, json.dumps(facts, indent=1).encode())

    def settled(self, today: date) -> Callable[[date], str]:
        """Tells the settlement of any day as of today, from one look at the journal."""
        counts = self._read().unchanged
        return lambda day: settlement(day, today, counts.get(day, 0), self._stable_after)

    def _read(self) -> _Journal:
        """The journal; an empty one where it is damaged: days are provisional until they are counted again."""
        return read_note(self._archive, JOURNAL_PATH, json_note(_Journal, "a journal", JOURNAL_PATH), _Journal([], {}))
