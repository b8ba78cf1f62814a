"""Which days are not whole, why, and the command that mends each: what `finops gaps` says.

Computed day by day from the bill, the archive, the catalog, the dashboard and the outbox. Nothing is mended here, and
nothing is taken from Dagster's records, which a backfill of old days would turn green.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING

from finops_assets.core.doctor import is_at_its_place, shown_fault
from finops_assets.core.errors import DamagedError
from finops_assets.core.pipeline import days_between, delivered_until, read_fault, times_read

if TYPE_CHECKING:
    from finops_assets.core.doctor import Preflight, Shown
    from finops_assets.core.outbox import Outbox
    from finops_assets.core.ports import Archive, Catalog, CatalogDay, PublishedDay, Warehouse

READERS = 8
"""Days that are described at once: each is an object to fetch."""

CAUSES = (
    "source late",
    "source has no such day",
    "no object",
    "damaged object",
    "zero rows",
    "no partition",
    "wrong location",
    "partition without rows",
    "doubled registration",
    "second object",
    "not read back as archived",
    "dashboard outdated",
    "mail unsent",
    "mail in doubt",
)
"""In the order of the chain: of a day only the first is told, as what lies behind it follows from it."""


CANNOT_RUN = frozenset(("source late", "source has no such day", "second object", "mail in doubt"))
"""Causes that a run of the day does not mend."""


@dataclass(frozen=True)
class Gap:
    """A contiguous stretch of days that are not whole for the same cause; `mend` is a command, or what to wait for."""

    first: date
    last: date
    cause: str
    detail: str
    mend: str

    @property
    def days(self) -> list[date]:
        return days_between(self.first, self.last)


@dataclass(frozen=True)
class Chain:
    """What each link knows of the days.

    Attributes:
        covered: days that the bill has charges on.
        archived: what the archive says of its days; None of one that is there and was not looked into.
        registered: the catalog's days, and where they lie.
        read: what a reader gets of the registered days; None if nothing was read.
        shown: what the dashboard shows; None before its first refresh.
        mailed: each day's state, as in MailState.
        behind: how the dashboard is older than the archive, where that is known without looking at what it shows.
        damaged: archived days whose object cannot be read, and why.
    """

    covered: Collection[date]
    archived: Mapping[date, PublishedDay | None]
    registered: Mapping[date, str]
    read: Mapping[date, CatalogDay] | None
    shown: Shown | None
    mailed: Mapping[date, str]
    behind: str | None = None
    damaged: Mapping[date, str] = field(default_factory=dict)

    @cached_property
    def newest(self) -> date:
        """The newest archived day."""
        return max(self.archived)


def look_through(
    *,
    warehouse: Warehouse,
    archive: Archive,
    catalog: Catalog,
    outbox: Outbox,
    preflight: Preflight,
    first_day: date,
    yesterday: date,
    complete_after: float = 0.0,
) -> tuple[list[date], Chain]:
    """Every day that is expected, and what each link knows of it; costs a query of the bill and one of the archive.

    A day of which the bill has a part at most, as it was written before the day was over (for `complete_after` hours),
    is not in it yet.
    """
    until, archived = delivered_until(warehouse.glance().updated, complete_after), archive.days()
    covered = [day for day in warehouse.coverage() if until is None or day <= until]
    days = expected_days(covered, archived, first_day, yesterday)
    registered = catalog.registered()

    def described(day: date) -> PublishedDay | DamagedError | None:
        try:
            return archive.describe(day)
        except DamagedError as error:
            return error

    with ThreadPoolExecutor(READERS) as readers:
        found = dict(zip(archived, readers.map(described, archived), strict=True))
    damaged = {day: there.what for day, there in found.items() if isinstance(there, DamagedError)}
    seen = sorted((registered.keys() & set(days)) - damaged.keys())
    return days, Chain(
        covered=frozenset(covered),
        archived={day: None if day in damaged else there for day, there in found.items() if there},
        damaged=damaged,
        registered=registered,
        read=catalog.read_back(seen) if seen else {},
        shown=preflight.shown() if archived else None,
        mailed=outbox.mailed_days(days),
    )


def expected_days(covered: Collection[date], archived: Collection[date], first: date, yesterday: date) -> list[date]:
    """Every day from the first that is known, but none before `first`, to yesterday."""
    known = [day for day in (*covered, *archived) if first <= day <= yesterday]
    return days_between(min(known, default=yesterday), yesterday)


def find_gaps(days: Sequence[date], chain: Chain) -> list[Gap]:
    """The days (ascending) that are not whole, as stretches of one cause each; mail is settled day by day."""
    gaps: list[Gap] = []
    for day in days:
        found = _fault(day, chain)
        if found is None:
            continue
        cause, detail = found
        before = gaps[-1] if gaps else None
        if before and before.cause == cause and not cause.startswith("mail") and (day - before.last).days == 1:
            gaps[-1] = Gap(before.first, day, cause, before.detail, _mend(cause, before.first, day))
        else:
            gaps.append(Gap(day, day, cause, detail, _mend(cause, day, day)))
    return gaps


def _fault(day: date, chain: Chain) -> tuple[str, str] | None:
    """The first link that does not hold, and what is wrong with it."""
    if day not in chain.archived:
        return _absent(day, chain.covered)
    if day in chain.damaged:
        return "damaged object", chain.damaged[day]
    there = chain.archived[day]
    if there and not there.rows:
        return "zero rows", f"{there.path} holds no row"
    location = chain.registered.get(day)
    if location is None:
        return "no partition", "it is archived, and no query sees it"
    if not is_at_its_place(location, day):
        return "wrong location", f"it is registered at {location}"
    found = chain.read.get(day) if chain.read is not None else None
    fault = read_fault(found, there) if chain.read is not None and there else ""
    if fault:
        if found is None or not found.rows:
            return "partition without rows", fault
        if found.objects > 1:
            return "second object", fault
        return ("doubled registration" if times_read(found, there) > 1 else "not read back as archived"), fault
    newest, behind = chain.newest, chain.behind
    if behind is None:
        behind = shown_fault(chain.shown, there, newest) if chain.shown and there else "it was never refreshed"
    # A dashboard that counts rows only, or is never refreshed, is behind as a whole: that is told of the newest day.
    if behind and (day == newest or (chain.shown and day in chain.shown.totals)):
        return "dashboard outdated", behind
    state = chain.mailed.get(day, "none")
    # Old days that were never mailed are not: their numbers are in the archive, and nobody waits for their digest.
    if state == "unknown":
        return "mail in doubt", "it is not known who has its digest"
    if state == "partial" or (state in ("none", "late") and day == newest):
        return "mail unsent", "not everybody has its digest" if state == "partial" else "nobody has its digest"
    return None


def _absent(day: date, covered: Collection[date]) -> tuple[str, str]:
    if day in covered:
        return "no object", "the bill has it, the archive does not"
    newest = max(covered, default=None)
    if newest is None:
        return "source late", "the bill has no day at all"
    if day > newest:
        return "source late", f"the bill ends on {newest}"
    return "source has no such day", f"the bill has days up to {newest}, and no charge on this one"


def _mend(cause: str, first: date, last: date) -> str:
    run = f"finops run --date {first}" if first == last else f"finops backfill {first} {last}"
    if cause == "source late":
        return f"wait for the export, then: {run}"
    if cause == "source has no such day":
        return f"have AWS deliver the month again, then: {run}"
    if cause == "second object":
        return f"remove it, then: {run}"
    if cause == "dashboard outdated":
        return f"finops run --date {last}"
    if cause.startswith("mail"):
        return f"finops doctor --date {last}, which names who; finops run --date {last} sends what nobody may have"
    return run
