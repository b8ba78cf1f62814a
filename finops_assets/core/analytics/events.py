"""The calendar of planned events: a file of what is known to cost more or less for a while, and where.

`events.csv` has the columns first, last, ou, service, what: days as 2025-09-28, both inclusive; an OU's path, where
`All` or nothing means every OU; a service as the bill names it, where nothing means every service.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from finops_assets.core.accounts.ous import ALL, within
from finops_assets.core.csv_tables import read_csv
from finops_assets.core.errors import FinopsError

COLUMNS = ("first", "last", "ou", "service", "what")


class EventError(FinopsError):
    """The calendar cannot be read; `where` names the file and line."""


@dataclass(frozen=True)
class Event:
    """What is planned from `first` to `last`: `ou` and `service` are empty where it is about all of them."""

    first: date
    last: date
    ou: str
    service: str
    what: str

    def covers(self, ou: str, service: str, first: date, last: date) -> bool:
        """Whether all of these days are planned, for this OU or one above it; a service only where it is named."""
        return (
            self.first <= first
            and last <= self.last
            and (not self.ou or within(ou, self.ou))
            and (not self.service or service.casefold() == self.service.casefold())
        )

    def __str__(self) -> str:
        days = f"on {self.first}" if self.first == self.last else f"from {self.first} to {self.last}"
        return f"{self.what}, planned {days}"


def planned(events: Sequence[Event], ou: str, service: str, first: date, last: date) -> Event | None:
    """The first event of the calendar that covers this; None where none does."""
    return next((event for event in events if event.covers(ou, service, first, last)), None)


def read_events(data: bytes, file: str) -> tuple[Event, ...]:
    """The events of an `events.csv`, in its order; a file with its header alone plans nothing.

    Raises:
        EventError: a column is missing, or a row cannot be read or stands twice.
    """
    example = "2025-11-24,2025-12-01,Workloads/Prod,,Sale"
    header, rows = read_csv(data, file, COLUMNS, EventError, example=example)
    events: dict[Event, int] = {}
    for row in rows:
        if not any(map(str.strip, row.fields)):
            continue
        where = f"{file}, line {row.line}"
        if not row.complete:
            raise EventError(
                f"has {len(row.fields)} fields, its header {len(header)}", where=where, fix="Put quotes around commas."
            )
        event = _event({name: row.stripped(name) for name in COLUMNS}, where)
        if event in events:
            raise EventError(f"is the same as line {events[event]}", where=where, fix="Keep one of the rows.")
        events[event] = row.line
    return tuple(events)


def _event(row: dict[str, str], where: str) -> Event:
    first, last = (_day(row[name], name, where) for name in ("first", "last"))
    if last < first:
        raise EventError(f"ends on {last}, before it begins on {first}", where=where, fix="Exchange the two days.")
    if not row["what"]:
        raise EventError("does not say what is planned", where=where, fix="Write it in the column what.")
    ou = row["ou"].strip("/")
    return Event(first, last, "" if ou == ALL else ou, row["service"], row["what"])


def _day(text: str, name: str, where: str) -> date:
    try:
        if len(text) != len("2025-09-28"):
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise EventError(f"{name} is {text!r}, no day", where=where, fix="Write it as 2025-09-28.") from None
