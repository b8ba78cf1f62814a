"""The morning's work on a range of days, in the words of the roles: find, archive, register, compare.

Each step can be repeated: it replaces what it is about, and reports what is there afterwards. Dagster only calls it.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core import breakdown, restatements
from finops_assets.core.bill_totals import BillTotals, bill_totals
from finops_assets.core.errors import ArchiveError, MissingDaysError
from finops_assets.core.money import plain
from finops_assets.core.notes import read_note, table_note
from finops_assets.core.ports import (
    Archive,
    Catalog,
    CatalogDay,
    DayRows,
    Glance,
    LeftOut,
    PublishedDay,
    Refresh,
    SourceDay,
    Warehouse,
)
from finops_assets.core.restatements import Restatement
from finops_assets.core.schemas import ACCOUNT_MAP_PATH, ACCOUNT_OU_MAP, day_path
from finops_assets.core.settlement import Journal

if TYPE_CHECKING:
    import pyarrow as pa

HALF_A_CENT = Decimal("0.005")
WRITERS = 4
"""Days that are proved and written at once: more than the cores, as a PUT waits for the store."""

LARGEST = 10
"""Rows of a day that are shown as its preview."""

Progress = Callable[[str, int, int], None]
"""Told (what, done, of how many) as a long step advances."""


def no_progress(what: str, done: int, of: int) -> None:
    """Tell nobody."""


def delivered_until(updated: datetime | None, complete_after: float = 0.0) -> date | None:
    """The newest day that was over, for so many hours, when the bill was last written; None where that is not known."""
    return (updated - timedelta(hours=complete_after)).date() - timedelta(days=1) if updated else None


@dataclass(frozen=True)
class FoundDays:
    """What the bill says of the days that were asked for.

    Attributes:
        source: the days that it has whole, ascending; one of no charges has no lines.
        left_out: the others, ascending, and why each is left out.
        bill: the bill's files as they were looked at.
    """

    source: Mapping[date, SourceDay]
    left_out: Mapping[date, str]
    bill: Glance


def days_to_archive(
    totals: BillTotals, days: Sequence[date], updated: datetime | None, now: datetime, complete_after: float = 0.0
) -> tuple[list[date], dict[date, str]]:
    """Those of the days that the bill has whole; and the others, with why each is left out.

    A day without charges is an empty day of the bill where that has its billing period and a later day.

    Args:
        totals: of the bill.
        days: which, ascending.
        updated: when the newest export was written (UTC), where that is known.
        now: the time (aware, UTC).
        complete_after: bill.complete_after_hours.
    """
    until, yesterday = delivered_until(updated, complete_after), now.date() - timedelta(days=1)
    has, left_out = [], {}
    for day in days:
        if until and day > until:
            left_out[day] = _not_over(updated)
        elif day in totals.days or totals.is_empty(day, yesterday):
            has.append(day)
        else:
            left_out[day] = NO_CHARGES
    return has, left_out


def find_days(warehouse: Warehouse, days: Sequence[date], now: datetime, complete_after: float = 0.0) -> FoundDays:
    """What the bill says of these (contiguous, ascending) days; those that it does not have whole are left out.

    Costs the bill's control totals, beside the days' own sums, only where a day has no charges.

    Args:
        warehouse: reads the bill.
        days: which.
        now: the time (aware, UTC).
        complete_after: bill.complete_after_hours.

    Raises:
        MissingDaysError: it has none of them whole; it names the days that it has.
    """
    glance = warehouse.glance()
    updated, until = glance.updated, delivered_until(glance.updated, complete_after)
    over = [day for day in days if not until or day <= until]
    source = dict(warehouse.source_days(over[0], over[-1])) if over else {}
    left_out = {day: _not_over(updated) for day in days if day not in over}
    covered = ""
    if bare := [day for day in over if day not in source or not source[day].lines]:
        totals = bill_totals(warehouse.control_totals())
        empty, others = days_to_archive(totals, bare, updated, now, complete_after)
        for day in empty:
            left_out_only = source[day].left_out if day in source else ()
            source[day] = SourceDay(day, totals.currency, 0, Decimal(), Decimal(), {}, left_out_only)
        source = {day: of for day, of in source.items() if day not in others}
        left_out |= others
        has = sorted(totals.days)
        covered = f"; it has {len(has)} day(s) from {has[0]} to {has[-1]}" if has else "; it has none at all"
    if not source:
        raise MissingDaysError(
            f"{_has_none(left_out, updated)}{covered}",
            days=tuple(days),
            where=warehouse.describe().path,
            fix="Wait for the next export, point bill.path at one that has them, or run other days.",
        )
    return FoundDays(dict(sorted(source.items())), dict(sorted(left_out.items())), glance)


NO_CHARGES = "it has no charges on it"


def _has_none(left_out: Mapping[date, str], updated: datetime | None) -> str:
    """That the bill has none of these days whole, and why."""
    days, reasons = in_words(sorted(left_out)), set(left_out.values())
    if reasons == {NO_CHARGES}:
        return f"the bill has no charges on {days}"
    if NO_CHARGES not in reasons:
        part = "it has a part of the charges at most"
        return f"the newest export was written {updated:%Y-%m-%d %H:%M} UTC, before {days} was over: {part}"
    return f"the bill does not have {left_out_in_words(left_out)}"


def _not_over(updated: datetime | None) -> str:
    return f"the newest export was written {updated:%Y-%m-%d %H:%M} UTC, before it was over"


def left_out_in_words(left_out: Mapping[date, str]) -> str:
    """`2025-09-30 (the bill has no charges on it)`; days of one reason together."""
    reasons: dict[str, list[date]] = {}
    for day, why in left_out.items():
        reasons.setdefault(why, []).append(day)
    return "; ".join(f"{in_words(days)} ({why})" for why, days in reasons.items())


def in_words(days: Sequence[date]) -> str:
    """`2025-09-01 to 2025-09-03, 2025-09-07`, shortened after five stretches."""
    stretches = contiguous(days)
    shown = [str(s[0]) if len(s) == 1 else f"{s[0]} to {s[-1]}" for s in stretches[:5]]
    more = f" and {sum(len(s) for s in stretches[5:])} more day(s)" if len(stretches) > 5 else ""
    return ", ".join(shown) + more


def days_between(first: date, last: date) -> list[date]:
    """Every day from first to last."""
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def contiguous(days: Sequence[date]) -> list[list[date]]:
    """The days (ascending) parted into stretches without a gap: a run covers one stretch."""
    stretches: list[list[date]] = []
    for day in days:
        if stretches and (day - stretches[-1][-1]).days == 1:
            stretches[-1].append(day)
        else:
            stretches.append([day])
    return stretches


@dataclass
class Archived:
    """What became of the days: published, or the promise that each of the others breaks.

    `largest` and `unknown` are for people to look at: each day's rows of the highest cost, and its accounts without OU.
    `restated` are the days that were published before with other rows. `left_out` are days that the bill does not have
    whole, and why. `snapshot` is the id of the bill.
    """

    published: dict[date, PublishedDay] = field(default_factory=dict)
    largest: dict[date, list[dict]] = field(default_factory=dict)
    unknown: dict[date, dict[str, float]] = field(default_factory=dict)
    broken: dict[str, dict[date, str]] = field(default_factory=lambda: {name: {} for name in breakdown.PROMISES})
    restated: dict[date, Restatement] = field(default_factory=dict)
    left_out: Mapping[date, str] = field(default_factory=dict)
    snapshot: str = ""

    @property
    def refused(self) -> dict[date, str]:
        return {day: why for faults in self.broken.values() for day, why in faults.items()}


def archive_days(
    warehouse: Warehouse,
    archive: Archive,
    days: Sequence[date],
    *,
    cost_basis: str,
    run_id: str,
    now: datetime,
    stable_after: int = 0,
    complete_after: float = 0.0,
    progress: Progress = no_progress,
) -> Archived:
    """Publish one object a day, each proved to be exactly the bill; a day that is not stays as it was.

    A day that the bill does not have whole is left out; one on which it has no charges is published without rows. What
    a day's rewriting changes is entered in the ledger of restatements before the day is published.

    Args:
        warehouse: reads the bill.
        archive: where days are published.
        days: which (contiguous, ascending).
        cost_basis: the setting bill.cost_basis.
        run_id: the Dagster run, for the records.
        now: for how final a day is, and for when a change was first seen.
        stable_after: bill.stable_after.
        complete_after: bill.complete_after_hours.
        progress: told how far it is.
    """
    found = find_days(warehouse, days, now, complete_after)
    source, described = found.source, warehouse.describe()
    settled = Journal(archive, stable_after).settled(being_archived_from=min(found.bill.updated or now, now))
    result = Archived(left_out=found.left_out, snapshot=found.bill.snapshot)

    def enter(before: PublishedDay, rows: DayRows) -> None:
        if (before.currency, before.cost_basis) != (source[rows.day].currency, cost_basis):
            return  # another setting, no other bill
        restatements.record(archive, before, rows, at=now, source_export=described.snapshot, run_id=run_id)
        result.restated[rows.day] = Restatement(rows.day, before.total, rows.total)

    def archive_day(rows: DayRows) -> None:
        found = breakdown.faults(rows, source.get(rows.day))
        for promise, fault in found.items():
            result.broken[promise][rows.day] = fault
        if not found:
            facts = day_facts(source[rows.day], cost_basis)
            facts |= {"settlement": settled(rows.day), "run_id": run_id, "bill_format": described.format}
            result.largest[rows.day] = breakdown.largest(rows.rows, LARGEST)
            result.unknown[rows.day] = breakdown.unknown_accounts(rows.rows)
            result.published[rows.day] = archive.publish(rows, facts, lambda before: enter(before, rows))

    with ThreadPoolExecutor(WRITERS) as writers:
        under_way: deque[Future] = deque()
        batches = warehouse.breakdown(min(source), max(source), read_account_map(archive))
        for rows in breakdown.split_by_day(batches, [day for day, of in source.items() if not of.lines]):
            if rows.day not in source:
                continue
            under_way.append(writers.submit(archive_day, rows))
            if len(under_way) > 2 * WRITERS:  # so that no more than these days are in memory
                under_way.popleft().result()
                progress("archived", len(result.published), len(days))
        for last in under_way:
            last.result()
            progress("archived", len(result.published), len(days))
    result.published = dict(sorted(result.published.items()))  # the writers end in any order
    for day in days:
        if day in source and day not in result.published and day not in result.refused:
            result.broken[breakdown.TOTALS][day] = f"no row came out, the bill has {source[day].total}"
    return result


def day_facts(source: SourceDay, cost_basis: str) -> dict[str, str]:
    """What the archive's object says of the bill's day; decimals exact, as text."""
    return {
        "currency": source.currency,
        "cost_basis": cost_basis,
        "source_lines": str(source.lines),
        "source_total": plain(source.total),
        "scheduled": plain(source.scheduled),
        "by_category": json.dumps({name: plain(total) for name, total in source.by_category.items()}),
        "left_out": json.dumps([[out.reason, out.lines, plain(out.total)] for out in source.left_out]),
    }


def told_of_source(there: PublishedDay) -> SourceDay:
    """What the bill said of an archived day, by what the day's object says: `day_facts` read back."""
    said = there.metadata
    return SourceDay(
        day=there.day,
        currency=there.currency,
        lines=int(said["source_lines"]),
        total=Decimal(said["source_total"]),
        scheduled=Decimal(said["scheduled"]),
        by_category={name: Decimal(total) for name, total in json.loads(said["by_category"]).items()},
        left_out=tuple(LeftOut(reason, n, Decimal(total)) for reason, n, total in json.loads(said["left_out"])),
    )


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


def read_account_map(archive: Archive) -> pa.Table:
    """The published map, as the breakdown looks it up.

    Raises:
        ArchiveError: it has not been published yet.
    """
    found = published_map(archive)
    if found is None:
        raise ArchiveError(
            "the account-to-OU map is not there yet", where=ACCOUNT_MAP_PATH, fix="Materialize account_ou_map first."
        )
    return found


def account_names(archive: Archive) -> dict[str, str]:
    """Account id -> its newest name, where it has one, by the published map; none where no map is published."""
    found = published_map(archive)
    rows = [] if found is None else found.sort_by([("valid_from", "ascending")]).to_pylist()
    return {row["account_id"]: row["account_name"] for row in rows if row["account_id"] and row["account_name"]}


def published_map(archive: Archive) -> pa.Table | None:
    """The published map; None before the first run, and where a damaged one was put aside."""
    note = table_note(ACCOUNT_OU_MAP, "an account map", ACCOUNT_MAP_PATH)
    return read_note(archive, ACCOUNT_MAP_PATH, note, None)


def put_if_other(archive: Archive, path: str, data: bytes) -> bool:
    """Write an object unless it is there with the same content; returns whether it was written."""
    if archive.get(path) == data:
        return False
    archive.put(path, data)
    return True


@dataclass
class Registered:
    """The days as read back through the catalog; `wrong` says what differs from the archive."""

    archived: Mapping[date, PublishedDay]
    read: Mapping[date, CatalogDay]
    new: frozenset[date]
    wrong: dict[date, str]


def register_days(
    archive: Archive,
    catalog: Catalog,
    days: Sequence[date],
    *,
    begin: Callable[[], Callable[[], None]] = lambda: _nothing,
) -> Registered:
    """Register archived days, then read them back through the catalog and compare with what is archived.

    Args:
        archive: where the days are.
        catalog: where they are registered.
        days: which.
        begin: starts work on what is registered while it is read back, and returns what calls that off: it is called
            if the days are not read back as archived.

    Raises:
        ArchiveError: a day is not in the archive.
    """
    archived = {day: found for day in days if (found := archive.describe(day))}
    missing = [day for day in days if day not in archived]
    if missing:
        raise ArchiveError(
            f"{in_words(missing)} not archived",
            where=day_path(missing[0]),
            fix="Materialize ou_breakdown_parquet first.",
        )
    new = frozenset(catalog.register(archived.values()))
    call_off = begin()
    wrong = None
    try:
        read = catalog.read_back(days)
        wrong = {day: fault for day, there in archived.items() if (fault := read_fault(read.get(day), there))}
    finally:
        if wrong != {}:
            call_off()
    return Registered(archived, read, new, wrong)


def _nothing() -> None:
    """Call nothing off."""


def read_fault(found: CatalogDay | None, there: PublishedDay) -> str:
    """How what a reader gets of a day differs from what is archived; empty where it does not."""
    rows = found.rows if found else 0
    if found and found.objects > 1:
        return f"{found.objects} objects lie at {found.location}: remove all but {there.path}"
    if (times := times_read(found, there)) > 1:
        return f"it is read {times} times over, as it is registered more than once"
    if rows != there.rows:
        return f"{rows:,} rows are read, {there.rows:,} are archived"
    if found and found.strays:
        return f"{found.strays:,} of its rows are of other days"
    if found and abs(found.total - there.total) >= HALF_A_CENT:
        return f"{found.total} is read, {there.total} is archived"
    return ""


def times_read(found: CatalogDay | None, there: PublishedDay) -> int:
    """How many times over a reader gets the day's rows; 0 where it is not them."""
    return found.rows // there.rows if found and there.rows and found.rows % there.rows == 0 else 0


def dashboard_fault(shown: Refresh, archive: Archive, days_shown: int) -> str:
    """How what the dashboard shows differs from the archive; empty where it does not."""
    days = archive.days()[-days_shown:]
    if shown.total is None:
        if shown.newest_day != days[-1] or shown.expected_rows not in (None, shown.rows):
            return (
                f"it shows {shown.rows} rows up to {shown.newest_day}, "
                f"the archive has {shown.expected_rows} up to {days[-1]}"
            )
        return ""
    total = sum((archive.describe(day).total for day in days), Decimal())
    if shown.newest_day != days[-1] or abs(shown.total - total) >= HALF_A_CENT:
        return f"it shows {shown.total} up to {shown.newest_day}, the archive has {total} up to {days[-1]}"
    return ""
