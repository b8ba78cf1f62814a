"""The costs of archived days, read once, and kept by month: a day's object is read again only when it has changed.

Of each month `_state/history/2025-09.json` says which objects of days it was made of, by the stamp that a listing gives
each, and what they say of themselves; `_state/history/2025-09.arrow` has their costs, and
`_state/history/2025-09-scheduled.arrow` what of these is no usage, of days that tell it. One listing then tells which
of the days are as they were. What is damaged, absent or of another release is made again from the days, each of which
is proved when it is read (`core.archive.proof`): nothing is kept here alone.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

import pyarrow as pa

from finops_assets.core.archive.cost_history import (
    CostHistory,
    HistoryByColumns,
    OuHistory,
    ScheduledByDay,
    costs_by_ou,
    day_costs,
    history_by_columns,
    history_of_days,
    usage_history,
)
from finops_assets.core.archive.day_costs import DayCosts, KeyIndex, exact_decimals, positions, put_together
from finops_assets.core.archive.scheduled_costs import (
    ScheduledCosts,
    from_table,
    scheduled_costs,
    tells_kinds,
    to_table,
)
from finops_assets.core.errors import FinopsError
from finops_assets.core.money import plain
from finops_assets.core.notes import MALFORMED
from finops_assets.core.records import RecordType
from finops_assets.core.schemas import KEY_COLUMNS, MONEY, OU_BREAKDOWN
from finops_assets.core.values import PublishedDay

if TYPE_CHECKING:
    from finops_assets.core.archive.day_parts import DayPart
    from finops_assets.core.ports import Archive

PREFIX = "_state/history"
ROWS = pa.schema([*OU_BREAKDOWN][:4]).append(pa.field("cost", MONEY))

SUMS = b"finops.by_ou"
"""Of the object with a month's costs: the metadata that has each OU's own exact cost by day."""


@dataclass(frozen=True)
class _KeptDay:
    """What is known of a day.

    Attributes:
        stamp: of its object.
        published: what the object says.
        parts: the stamps of its parts that we wrote, by the entry of their kind (`core.archive.day_parts`).
    """

    stamp: str
    published: PublishedDay
    parts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Month:
    """A month's record: its days, and the SHA-256 of the objects with their costs, and with what is scheduled."""

    costs: str = ""
    scheduled: str = ""
    days: dict[date, _KeptDay] = field(default_factory=dict)


RECORD = RecordType[_Month](_Month, "a month of the history")


@dataclass(frozen=True)
class DaysOfCosts:
    """Archived days by their costs.

    Attributes:
        published: what each day's object says, ascending.
        days: each day's costs.
        index: names their keys.
    """

    published: Mapping[date, PublishedDay]
    days: Mapping[date, DayCosts]
    index: KeyIndex

    def history(self, days: Iterable[date]) -> CostHistory:
        """The history of these of the days, ascending."""
        return history_of_days([self.days[day] for day in days], self.index)

    def by_ou(self, days: Iterable[date]) -> OuHistory:
        """What OUs cost on these of the days."""
        return costs_by_ou([self.days[day] for day in days])

    def usage(self, days: Iterable[date]) -> tuple[CostHistory, ScheduledByDay]:
        """The history of usage on these of the days, which all tell it, and what is scheduled on each."""
        return usage_history([self.days[day] for day in days], self.index)

    def by_columns(self, days: Iterable[date]) -> HistoryByColumns:
        """The same, of which a few days are put together at a time."""
        return history_by_columns([self.days[day] for day in days], self.index)

    def rows(self, in_full: Collection[date]) -> pa.Table:
        """The costs of all days as exact decimals, in columns ROWS: of these days every row, of others a row an OU."""
        names = [pa.array(of, pa.string()) for of in self.index.names()]
        tables = []
        for day, of in self.days.items():
            if day in in_full:
                codes = self.index.codes(of.keys)
                keys = [name.take(pa.array(codes[:, n])) for n, name in enumerate(names)]
                cost = exact_decimals(of.costs)
            else:
                none = pa.repeat(pa.scalar("", pa.string()), len(of.by_ou))
                keys, cost = [pa.array(of.by_ou, pa.string()), none, none], pa.array(of.by_ou.values(), MONEY)
            days = pa.repeat(pa.scalar(day, pa.date32()), len(cost))
            tables.append(pa.table([days, *keys, cost], schema=ROWS))
        return pa.concat_tables([ROWS.empty_table(), *tables])


class KeptHistory:
    """Costs of archived days and what their objects say of themselves, read once while they are the same.

    Args:
        archive: has the days, and keeps the months.
        keeps: whether months are kept; else each process reads the days once.
    """

    def __init__(self, archive: Archive, *, keeps: bool = True) -> None:
        self._archive, self._keeps = archive, keeps
        self._lock = threading.RLock()
        self._index = KeyIndex()
        self._months: dict[str, _Month] = {}
        self._with_costs: set[str] = set()
        self._incomplete: set[str] = set()
        self._kept: dict[date, _KeptDay] = {}  # by the months, of objects as they were then
        self._known: dict[date, _KeptDay] = {}  # of objects as they are
        self._written: dict[date, dict[str, tuple[str, str]]] = {}
        self._costs: dict[date, DayCosts] = {}

    def describe(self, days: Collection[date]) -> dict[date, PublishedDay]:
        """What the objects of these days say, of those that are archived; of what is not known, the footer is read.

        Raises:
            DamagedError: a footer cannot be read, or was not written by finops_assets.
        """
        with self._lock:
            stamps = self._stamps()
            wanted = sorted(day for day in days if day in stamps)
            self._load(wanted, stamps, with_costs=False)
            for day in wanted:
                if day not in self._known and (published := self._archive.describe(day)):
                    self._known[day] = _KeptDay(stamps[day], published)
            return {day: self._known[day].published for day in wanted if day in self._known}

    def proved(self, days: Collection[date]) -> dict[date, PublishedDay]:
        """Those of these days that were proved when they were kept, and whose object is still the same, by one listing.

        What changes an object without its stamp, as a failing disk does, is found by `core.operations.verification`.
        """
        with self._lock:
            stamps = self._stamps()
            self._load(sorted(days), stamps, with_costs=False)
            return {day: self._kept[day].published for day in sorted(days) if _same(self._kept.get(day), day, stamps)}

    def parts_proved(self, part: DayPart, days: Mapping[date, PublishedDay]) -> set[date]:
        """Those of these days whose part was written by us as their rows name it, and is still the same.

        By one listing, of days that were looked up in `proved`.
        """
        stamps = self._archive.object_stamps(f"{part.prefix}/")
        kept = {day: of for day in days if (of := self._kept.get(day))}
        return {
            day
            for day, of in kept.items()
            if part.named(of.published.metadata) == part.named(days[day].metadata)
            and of.parts.get(part.entry, "") == stamps.get(part.path(day))
        }

    def part_written(self, part: DayPart, day: date, fingerprint: str, stamp: str) -> None:
        """Note a part of a day that was just written, by the stamp that the store gave it."""
        self._written.setdefault(day, {})[part.entry] = fingerprint, stamp

    def costs(self, days: Sequence[date]) -> DaysOfCosts:
        """The costs of these (ascending) days.

        Raises:
            DamagedError: a day's rows are not those that were written.
            ArchiveError: a day is not archived.
        """
        with self._lock:
            stamps = self._stamps()
            self._load([day for day in days if day not in self._costs], stamps, with_costs=True)
            missing = [day for day in days if day not in self._costs]
            for published, rows in self._archive.stream(missing):
                day = published.day
                self._known[day] = _KeptDay(stamps.get(day, ""), published)
                self._costs[day] = day_costs(self._index, day, rows)
            self._read_scheduled([day for day in missing if tells_kinds(self._known[day].published)])
            return DaysOfCosts(
                {day: self._known[day].published for day in days}, {day: self._costs[day] for day in days}, self._index
            )

    def _read_scheduled(self, days: Sequence[date]) -> None:
        """Take in what is scheduled on days that tell it; where their charges are damaged, they do not."""
        charged = [day for day in days if len(self._costs[day].keys)]
        for day in days:
            self._costs[day] = replace(self._costs[day], scheduled=ScheduledCosts.none())
        charges = self._archive.stream_charges([self._known[day].published for day in charged]) if charged else ()
        for day, of_day in zip(charged, charges, strict=True):
            self._costs[day] = replace(self._costs[day], scheduled=of_day and scheduled_costs(of_day))

    def keep(self) -> None:
        """Write the months that have other days than they were kept with; one that cannot be written is no fault."""
        if not self._keeps:
            return
        with self._lock:
            months: dict[str, dict[date, _KeptDay]] = {}
            for day in sorted(self._costs):
                months.setdefault(_month(day), {})[day] = self._to_keep(day)
            for month, days in months.items():
                if self._months.get(month, _Month()).days != days or month in self._incomplete:
                    try:
                        self._write(month, days)
                    except FinopsError:
                        return

    def _to_keep(self, day: date) -> _KeptDay:
        known, before = self._known[day], self._kept.get(day)
        parts = dict(before.parts) if before and before.stamp == known.stamp else {}
        for entry, (fingerprint, stamp) in self._written.get(day, {}).items():
            if fingerprint and fingerprint == known.published.metadata.get(entry):
                parts[entry] = stamp
        return replace(known, parts=parts)

    def _stamps(self) -> dict[date, str]:
        """The stamps of all archived days, by one listing; what is known of objects that have changed is dropped."""
        stamps = self._archive.stamps()
        for day in [day for day, known in self._known.items() if stamps.get(day) != known.stamp]:
            del self._known[day]
            self._costs.pop(day, None)
        return stamps

    def _load(self, days: Sequence[date], stamps: Mapping[date, str], *, with_costs: bool) -> None:
        """Take in the months of these days, as far as their objects are still the same."""
        if not self._keeps:
            return
        for month in sorted({_month(day) for day in days}):
            if month not in self._months:
                self._months[month] = record = self._record(month)
                self._kept |= record.days
                self._known = {day: of for day, of in record.days.items() if _same(of, day, stamps)} | self._known
            if with_costs and month not in self._with_costs:
                record = self._months[month]
                if any(_month(day) == month and _same(record.days.get(day), day, stamps) for day in days):
                    self._with_costs.add(month)
                    of_month = self._costs_of(month, record)
                    self._costs = {
                        day: of for day, of in of_month.items() if _same(record.days.get(day), day, stamps)
                    } | self._costs

    def _record(self, month: str) -> _Month:
        path = f"{PREFIX}/{month}.json"
        data = self._archive.get(path)
        try:
            return RECORD.decode(data, path) if data else _Month()
        except FinopsError:  # damaged, or of a newer release: it is written anew
            return _Month()

    def _costs_of(self, month: str, record: _Month) -> dict[date, DayCosts]:
        """A month's costs; none where an object is not the one that its record names, as in older releases."""
        costs, scheduled = (
            self._kept_table(path, sha256)
            for path, sha256 in ((_costs_path(month), record.costs), (_scheduled_path(month), record.scheduled))
        )
        if costs is None:
            return {}
        try:
            days = _decoded(costs, from_table(scheduled) if scheduled is not None else {}, self._index)
        except (pa.ArrowException, *MALFORMED):
            return {}
        # A day that tells what is scheduled, and of which that is not kept, is read again.
        told = {day: tells_kinds(of.published) for day, of in record.days.items()}
        days = {day: of for day, of in days.items() if told.get(day) == (of.scheduled is not None)}
        if len(days) < len(record.days):
            self._incomplete.add(month)
        return days

    def _kept_table(self, path: str, sha256: str) -> pa.Table | None:
        """A table that was kept; None where it is not there, or not the one of this hash."""
        data = self._archive.get(path) if sha256 else None
        if data is None or hashlib.sha256(data).hexdigest() != sha256:
            return None
        try:
            return pa.ipc.open_file(pa.BufferReader(data)).read_all()
        except pa.ArrowException:
            return None

    def _write(self, month: str, kept: dict[date, _KeptDay]) -> None:
        costs, scheduled = _encoded([self._costs[day] for day in kept], self._index)
        if scheduled:
            self._archive.put(_scheduled_path(month), scheduled)
        self._archive.put(_costs_path(month), costs)
        of_costs, of_scheduled = (hashlib.sha256(data).hexdigest() if data else "" for data in (costs, scheduled))
        self._months[month] = record = _Month(of_costs, of_scheduled, kept)
        self._incomplete.discard(month)
        RECORD.write(self._archive, f"{PREFIX}/{month}.json", record)
        self._kept |= kept


def _same(kept: _KeptDay | None, day: date, stamps: Mapping[date, str]) -> bool:
    """Whether a day's object is still the one that was kept."""
    return kept is not None and kept.stamp == stamps.get(day)


def _month(day: date) -> str:
    return f"{day:%Y-%m}"


def _costs_path(month: str) -> str:
    return f"{PREFIX}/{month}.arrow"


def _scheduled_path(month: str) -> str:
    return f"{PREFIX}/{month}-scheduled.arrow"


def _encoded(days: Sequence[DayCosts], index: KeyIndex) -> tuple[bytes, bytes]:
    """A month's costs as an Arrow file, and what is scheduled as another; empty where no day tells it.

    The first has OU, service and account of each key, then a column of costs for each day.
    """
    import numpy as np

    keys, costs = put_together(days)
    columns: list[pa.Array] = []
    for names, codes in zip(index.names(), index.codes(keys).T, strict=True):
        used, position = np.unique(codes, return_inverse=True)
        of_used = pa.array([names[code] for code in used.tolist()], pa.string())
        columns.append(pa.DictionaryArray.from_arrays(pa.array(position.astype(np.int32)), of_used))
    columns += [pa.array(costs[:, n]) for n in range(len(days))]
    table = pa.table(columns, [*KEY_COLUMNS, *(of.day.isoformat() for of in days)])
    sums = {of.day.isoformat(): {ou: plain(cost) for ou, cost in of.by_ou.items()} for of in days}
    table = table.replace_schema_metadata({SUMS: json.dumps(sums).encode()})
    _, place = positions(days)
    told = [(of.day, place[of.keys], of.scheduled) for of in days if of.scheduled is not None and len(of.keys)]
    return _file(table), _file(to_table(told)) if told else b""


def _file(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as file:
        file.write_table(table)
    return sink.getvalue().to_pybytes()


def _decoded(table: pa.Table, scheduled: Mapping[date, ScheduledCosts], index: KeyIndex) -> dict[date, DayCosts]:
    import numpy as np

    numbers, sums = index.numbers(table), json.loads(table.schema.metadata[SUMS])
    days: dict[date, DayCosts] = {}
    last_known, keys = None, numbers
    for name in table.column_names[len(KEY_COLUMNS) :]:
        day, costs = date.fromisoformat(name), table.column(name).to_numpy()
        known = ~np.isnan(costs)
        if last_known is None or not np.array_equal(known, last_known):
            last_known, keys = known, numbers if known.all() else numbers[known]
        by_ou = {ou: Decimal(cost) for ou, cost in sums[name].items()}
        of_day = scheduled.get(day) if known.any() else ScheduledCosts.none()
        if of_day:
            of_day = replace(of_day, rows=(np.cumsum(known, dtype=np.int32) - 1)[of_day.rows])
        days[day] = DayCosts(day, keys, costs if keys is numbers else costs[known], by_ou, of_day)
    return days
