"""The last comparison of the bill with the archive: made once for each version of the bill, and stored.

One small object in the archive, so that sensors, checks and commands know it without another query.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.accounts.published_map import published_map
from finops_assets.core.archive import bill_difference
from finops_assets.core.archive.bill_difference import PublishedAs
from finops_assets.core.archive.day_charges import named_charges
from finops_assets.core.archive.settlement import closes, first_open_day
from finops_assets.core.bill.totals import BillTotals, bill_totals
from finops_assets.core.calendar import days_between
from finops_assets.core.errors import BeingWrittenError, BillError, DamagedError, SettingsError
from finops_assets.core.records import RecordType
from finops_assets.core.schemas import ACCOUNT_MAP_PATH, ACCOUNT_OU_MAP
from finops_assets.core.values import DayPrint

if TYPE_CHECKING:
    import pyarrow as pa

    from finops_assets.core.ports import Archive, Warehouse
    from finops_assets.core.values import ExportVersion, PublishedDay

COMPARED_PATH = "refreshes/compared.json"
READERS = 8
"""Days that are described at once: each is an object to fetch."""

CANNOT_BE_READ = (BillError, SettingsError)
"""What is raised where the bill is at fault, or where it is said to be; other errors say nothing of it."""

QUIET = timedelta(minutes=1)
"""How long files without a manifest must be left alone before the platform reads them by itself: a copy may be slow."""

ASKED_BETWEEN = 7
"""Days that may lie between two that are asked for together: one query more costs more than a week's lines."""

NO_ROWS = hashlib.sha256(b"").hexdigest()
EMPTY = DayPrint(NO_ROWS, Decimal(), 0, NO_ROWS)
"""The print of a day without rows, as `core.archive.breakdown` makes it."""

ASK_AGAIN = timedelta(minutes=5)
"""How long a bill that could not be read is not asked again for the same question: a query may cost money."""


@dataclass(frozen=True)
class Comparison:
    """What the bill said when it was last compared with the archive.

    Attributes:
        state: names that bill and the account map that it was seen through.
        at: when (aware).
        prints: the days that it was asked for and has; a day that it has emptied has no rows.
        asked: the days that it was asked for.
        archived: what the archive had of its days, and since when.
        unreadable: why it could not be read; empty where it could.
        comparable: whether it was seen through the published account map; without one, only its days are known.
        snapshot: the id of its files.
        written: when the newest of them was written (UTC), where that is known.
        totals: its control totals.
        keys: names the files that each day's lines are in: while they are the same, so is the day.
    """

    state: str
    at: datetime
    prints: Mapping[date, DayPrint] = field(default_factory=dict)
    asked: frozenset[date] = frozenset()
    archived: Mapping[date, tuple[str, PublishedAs]] = field(default_factory=dict)
    unreadable: str = ""
    comparable: bool = True
    snapshot: str = ""
    written: datetime | None = None
    totals: BillTotals | None = None
    keys: Mapping[date, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise ValueError(f"at has no time zone: {self.at}")

    def still_archived(self, written: Mapping[date, datetime]) -> dict[date, PublishedAs]:
        """What the archive had of its days, of those whose object is still the one that was there then."""
        return {
            day: of
            for day, (at, of) in self.archived.items()
            if is_of(written, day, at) and of.lines is not None  # None in a note of an older release
        }

    def closes(self, day: date) -> bool:
        """Whether the archive had the day as this bill does, which was written after AWS is done with it."""
        written = min(self.written or self.at, self.at)  # a file's time may lie in the future
        if day not in self.prints or day not in self.archived or not closes(day, written):
            return False
        return not bill_difference.difference(self.prints[day], replace(self.archived[day][1], held=False))


RECORD = RecordType[Comparison](Comparison, "what the bill was when it was compared")


class BillComparison:
    """Compares the bill with the archive, and stores the comparison.

    Args:
        warehouse: reads the bill.
        archive: holds the days, and the note of the last comparison.
        rules: what the settings ask of the bill, as text: by others it is another bill.
    """

    def __init__(self, warehouse: Warehouse, archive: Archive, rules: str = "") -> None:
        self._warehouse, self._archive, self._rules = warehouse, archive, _short_hash(rules.encode())

    def compare(self, now: datetime, days: Sequence[date]) -> Comparison:
        """What the bill says of these days (ascending), and what the archive has of them.

        The control totals are queried where the bill has changed; then the days that lie in other files than before, or
        were not queried yet. That a bill cannot be read is stored too, and it is not queried again for ASK_AGAIN.

        Raises:
            BillError: it cannot be read.
            FinopsError: it cannot be looked at.
        """
        current = self._current(now)
        if current.unreadable:
            raise BillError(current.unreadable)
        accounts = self.accounts()
        asked, prints = set(current.asked), dict(current.prints)
        totals = current.totals or BillTotals()
        for first, last in spans([day for day in days if day not in asked and day in totals.days]):
            through = ACCOUNT_OU_MAP.empty_table() if accounts is None else accounts
            try:
                prints |= self._warehouse.fingerprints(first, last, through)
            except CANNOT_BE_READ as error:
                self._store(replace(current, unreadable=str(error)))
                raise
            asked |= set(days_between(first, last))
        yesterday = now.date() - timedelta(days=1)
        asked |= set(days)
        prints |= {day: EMPTY for day in asked - prints.keys() if totals.is_empty(day, yesterday)}
        prints = dict(sorted(prints.items()))
        return self._with_archive(
            replace(current, prints=prints, asked=frozenset(asked), comparable=accounts is not None)
        )

    def published(self, now: datetime, snapshot: str, days: Mapping[date, PublishedDay]) -> Comparison | None:
        """Note days that were archived just now from the bill of this snapshot; None where it is another bill already.

        Raises:
            BillError: the bill's control totals cannot be taken.
            FinopsError: it cannot be looked at.
        """
        current = self._current(now)
        if current.snapshot != snapshot or current.unreadable:
            return None
        prints = {
            day: DayPrint(of.fingerprint, of.total, of.rows, named_charges(of.metadata)) for day, of in days.items()
        }
        current = replace(current, prints={**current.prints, **prints}, asked=frozenset((*current.asked, *days)))
        return self._with_archive(current, days)

    def _current(self, now: datetime) -> Comparison:
        """What is known of the bill as it is now: its control totals, and the days that its changes leave as they were.

        Raises:
            BillError: the control totals cannot be taken.
        """
        export_version = self._warehouse.export_version()
        state, before = self.state(export_version), self.last()
        if before and before.state == state and (now - before.at < ASK_AGAIN if before.unreadable else before.totals):
            return before
        try:
            totals = bill_totals(self._warehouse.control_totals())
        except BeingWrittenError:
            raise
        except CANNOT_BE_READ as error:
            self._store(Comparison(state, now, unreadable=str(error), snapshot=export_version.snapshot))
            raise
        keys = _keys(totals, export_version, state, now.date())
        known: set[date] = set()
        if before and before.comparable:
            known = {day for day in before.prints if day in keys and before.keys.get(day) == keys[day]}
        return Comparison(
            state,
            now,
            prints={day: before.prints[day] for day in sorted(known)} if before else {},
            asked=frozenset(known),
            archived=before.archived if before else {},
            snapshot=export_version.snapshot,
            written=export_version.updated,
            totals=totals,
            keys=keys,
        )

    def _with_archive(self, comparison: Comparison, published: Mapping[date, PublishedDay] | None = None) -> Comparison:
        """The comparison with what the archive says of its days now; it is stored.

        Args:
            comparison: of the bill.
            published: days that were archived just now, which are not read again.
        """
        written, published = self._archive.written(), published or {}
        known = {day: comparison.archived[day] for day in comparison.still_archived(written) if day not in published}
        described, _ = described_days(self._archive, [day for day in written if day not in {*known, *published}])
        described |= {day: of for day, of in published.items() if day in written}
        known |= {
            day: (written[day].isoformat(), bill_difference.published_as(published))
            for day, published in described.items()
        }
        comparison = replace(comparison, archived=dict(sorted(known.items())))
        self._store(comparison)
        return comparison

    def last(self) -> Comparison | None:
        """What the bill said when it was last compared; None where that is not known."""
        return last_comparison(self._archive)

    def known(self, export_version: ExportVersion) -> Comparison | None:
        """The last comparison, if it was of this very bill, seen through the published map; else None."""
        last = self.last()
        same = last and last.comparable and not last.unreadable and last.state == self.state(export_version)
        return last if same else None

    def _store(self, comparison: Comparison) -> None:
        RECORD.write(self._archive, COMPARED_PATH, comparison)

    def state(self, export_version: ExportVersion) -> str:
        """An id of the bill, of what the settings ask of it, and of the account map that it is seen through."""
        return f"{export_version.snapshot}-{self._rules}-{_short_hash(self._archive.get(ACCOUNT_MAP_PATH) or b'')}"

    def accounts(self) -> pa.Table | None:
        """The map that the bill is seen through: the published one; None before the first, and where it was damaged."""
        return published_map(self._archive)


def last_comparison(archive: Archive) -> Comparison | None:
    """What the bill said when it was last compared; None where that is not known."""
    return RECORD.read(archive, COMPARED_PATH)


def _keys(totals: BillTotals, export_version: ExportVersion, state: str, today: date) -> dict[date, str]:
    """Of each day with lines, a name of the files that they are in, and of the account map where AWS is not done yet.

    Of a day that AWS is done with, the account map alone changes nothing: it is compared when its files change.
    """
    everywhere = export_version.periods.get("", "")
    oldest, (_, rules, account_map) = first_open_day(today), state.rsplit("-", 2)
    keys = {}
    for day, periods in totals.periods.items():
        files = [export_version.periods.get(period, "") for period in periods]
        named = all(period and (of or everywhere) for period, of in zip(periods, files, strict=True))
        of = (
            ",".join([everywhere, *map("=".join, zip(periods, files, strict=True))])
            if named
            else export_version.snapshot
        )
        keys[day] = f"{of} {rules} {account_map if day >= oldest else ''}"
    return keys


def _short_hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:8]


def spans(days: Sequence[date]) -> list[tuple[date, date]]:
    """Days (ascending) as few spans, each a query: a week between two of them is asked for, too."""
    spans: list[tuple[date, date]] = []
    for day in days:
        if spans and (day - spans[-1][1]).days <= ASKED_BETWEEN:
            spans[-1] = spans[-1][0], day
        else:
            spans.append((day, day))
    return spans


def is_being_written(export_version: ExportVersion, now: datetime) -> bool:
    """Whether the bill's files may be half there: without a manifest, and changed just now."""
    changes = [change for change in (export_version.updated, export_version.changed) if change]
    return export_version.in_place and any(abs(now - change) < QUIET for change in changes)


def described_days(
    archive: Archive, days: Sequence[date], *, prove: bool = False
) -> tuple[dict[date, PublishedDay], dict[date, str]]:
    """What the archive says of its days; and those that are damaged, by their footer or (`prove`) their rows."""

    def describe(day: date) -> tuple[PublishedDay | None, str]:
        try:
            published = archive.describe(day)
            return published, archive.prove(day) if published and prove else ""
        except DamagedError as error:
            return None, error.what

    with ThreadPoolExecutor(READERS) as readers:
        described = dict(zip(days, readers.map(describe, days), strict=True))
    damaged = {day: fault for day, (_, fault) in described.items() if fault}
    return {day: published for day, (published, fault) in described.items() if published and not fault}, damaged


def is_of(written: Mapping[date, datetime], day: date, at: str) -> bool:
    """Whether the day's object is still the one that was there then."""
    return day in written and written[day].isoformat() == at
