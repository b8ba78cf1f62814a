"""What the bill said of each day when it was last compared with the archive: asked once for each bill, and remembered.

One small object in the archive, so that sensors, checks and commands know it without another query.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from finops_assets.core import states
from finops_assets.core.errors import BillError, DamagedError, SettingsError
from finops_assets.core.notes import json_note, read_note
from finops_assets.core.pipeline import days_between, published_map
from finops_assets.core.ports import DayPrint
from finops_assets.core.schemas import ACCOUNT_MAP_PATH, ACCOUNT_OU_MAP
from finops_assets.core.states import PublishedAs

if TYPE_CHECKING:
    import pyarrow as pa

    from finops_assets.core.ports import Archive, Glance, PublishedDay, Warehouse

COMPARED_PATH = "refreshes/compared.json"
READERS = 8
"""Days that are described at once: each is an object to fetch."""

CANNOT_BE_READ = (BillError, SettingsError)
"""What is raised where the bill is at fault, or where it is said to be; other errors say nothing of it."""

QUIET = timedelta(minutes=1)
"""How long files without a manifest must be left alone before the platform reads them by itself: a copy may be slow."""

ASK_AGAIN = timedelta(minutes=5)
"""How long a bill that could not be read is not asked again for the same question: a query may cost money."""


@dataclass(frozen=True)
class Compared:
    """What the bill said when it was last compared with the archive.

    Attributes:
        state: names that bill and the account map that it was seen through.
        at: when (aware).
        prints: the days that it was asked for and has.
        asked: the days that it was asked for.
        archived: what the archive had of them, and since when.
        unreadable: why it could not be read; empty where it could.
        comparable: whether it was seen through the published account map; without one, only its days are known.
    """

    state: str
    at: datetime
    prints: Mapping[date, DayPrint] = field(default_factory=dict)
    asked: frozenset[date] = frozenset()
    archived: Mapping[date, tuple[str, PublishedAs]] = field(default_factory=dict)
    unreadable: str = ""
    comparable: bool = True

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise ValueError(f"at has no time zone: {self.at}")


class BillComparison:
    """Compares the bill with the archive, and remembers what it said.

    Args:
        warehouse: reads the bill.
        archive: holds the days, and the note of the last comparison.
    """

    def __init__(self, warehouse: Warehouse, archive: Archive) -> None:
        self._warehouse, self._archive = warehouse, archive

    def compare(self, now: datetime, days: Sequence[date]) -> Compared:
        """What the bill says of these days (ascending), and what the archive has of them: asked once, and remembered.

        It is one query from the first day to the last, where this bill was not asked for them before. A bill that
        cannot be read is remembered as such, and not asked again for ASK_AGAIN.

        Raises:
            BillError: it cannot be read.
            FinopsError: it cannot be looked at.
        """
        state = self.state(self._warehouse.glance())
        before = self.last()
        if before is None or before.state != state:
            before = Compared(state, now)
        if before.unreadable and now - before.at < ASK_AGAIN:
            raise BillError(before.unreadable)
        asked, prints = before.asked, before.prints
        if not set(days) <= asked:
            published = self.accounts()
            accounts = ACCOUNT_OU_MAP.empty_table() if published is None else published
            try:
                prints = {**prints, **self._warehouse.fingerprints(days[0], days[-1], accounts)}
            except CANNOT_BE_READ as error:
                self._remember(Compared(state, now, unreadable=str(error)))
                raise
            asked |= set(days_between(days[0], days[-1]))
        written = self._archive.written()
        known = {day: entry for day, entry in before.archived.items() if is_of(written, day, entry[0])}
        described, _ = described_days(self._archive, [day for day in prints if day in written and day not in known])
        known |= {day: (written[day].isoformat(), states.published_as(there)) for day, there in described.items()}
        found = Compared(state, now, prints, asked, known, comparable=self.accounts() is not None)
        self._remember(found)
        return found

    def last(self) -> Compared | None:
        """What the bill said when it was last compared; None where that is not known."""
        note = json_note(Compared, "what the bill was when it was compared", COMPARED_PATH)
        return read_note(self._archive, COMPARED_PATH, note, None)

    def _remember(self, compared: Compared) -> None:
        self._archive.put(COMPARED_PATH, TypeAdapter(Compared).dump_json(compared))

    def state(self, glance: Glance) -> str:
        """An id of the bill and of the account map that it is seen through."""
        map_bytes = self._archive.get(ACCOUNT_MAP_PATH)
        return f"{glance.snapshot}-{hashlib.sha256(map_bytes or b'').hexdigest()[:8]}"

    def accounts(self) -> pa.Table | None:
        """The map that the bill is seen through: the published one; None before the first, and where it was damaged."""
        return published_map(self._archive)


def is_being_written(glance: Glance, now: datetime) -> bool:
    """Whether the bill's files may be half there: without a manifest, and changed just now."""
    return glance.in_place and glance.updated is not None and abs(now - glance.updated) < QUIET


def described_days(
    archive: Archive, days: Sequence[date], *, prove: bool = False
) -> tuple[dict[date, PublishedDay], dict[date, str]]:
    """What the archive says of its days; and those that are damaged, by their footer or (`prove`) their rows."""

    def look(day: date) -> PublishedDay | DamagedError | None:
        try:
            there = archive.describe(day)
            fault = archive.prove(day) if there and prove else ""
        except DamagedError as error:
            return error
        return DamagedError(fault) if fault else there

    with ThreadPoolExecutor(READERS) as readers:
        found = dict(zip(days, readers.map(look, days), strict=True))
    damaged = {day: there.what for day, there in found.items() if isinstance(there, DamagedError)}
    return {day: there for day, there in found.items() if there and day not in damaged}, damaged


def is_of(written: Mapping[date, datetime], day: date, at: str) -> bool:
    """Whether the day's object is still the one that was there then."""
    return day in written and written[day].isoformat() == at
