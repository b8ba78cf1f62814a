"""The state of a day: what bill, archive, catalog, scorecard, dashboard and readers have of it, and what is wrong.

The one place that says whether a day is whole, in one vocabulary of causes. `status`, `gaps`, `doctor`, `--resume`,
`--repair`, the sensors, the checks, the digest and Dagster's metadata all ask it. Nothing is read here:
`core.inspection` collects the facts, in two depths.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING

from finops_assets.core.archive.proof import is_empty_day
from finops_assets.core.archive.registering import HALF_A_CENT, read_fault, times_read
from finops_assets.core.calendar import days_between, in_words
from finops_assets.core.money import change, money
from finops_assets.core.schemas import RESTORED_FROM, day_location

if TYPE_CHECKING:
    from finops_assets.core.ports import CatalogDay, DashboardContent, DayPrint, PublishedDay

BILL, ARCHIVE, CATALOG, READ_BACK, SCORECARD, DASHBOARD, MAIL = LINKS = (
    "bill",
    "archive",
    "catalog",
    "read back",
    "scorecard",
    "dashboard",
    "mail",
)
"""The links of the chain, in order."""

DIFFERS, GONE = "not as in the bill", "gone from the bill"
NO_SCORECARD, OUTDATED = "no scorecard", "dashboard outdated"
LATE, NO_SUCH_DAY, UNREADABLE = "source late", "source has no such day", "bill unreadable"

CAUSES = {
    LATE: BILL,
    NO_SUCH_DAY: BILL,
    UNREADABLE: BILL,
    "no object": ARCHIVE,
    "damaged object": ARCHIVE,
    "zero rows": ARCHIVE,
    DIFFERS: ARCHIVE,
    GONE: ARCHIVE,
    "no partition": CATALOG,
    "wrong location": CATALOG,
    "partition without rows": READ_BACK,
    "doubled registration": READ_BACK,
    "second object": READ_BACK,
    "not read back as archived": READ_BACK,
    NO_SCORECARD: SCORECARD,
    OUTDATED: DASHBOARD,
    "mail unsent": MAIL,
    "mail in doubt": MAIL,
}
"""Each cause and the link that it breaks. Of a day only the first is told: what lies behind it follows from it."""

CANNOT_RUN = frozenset((LATE, NO_SUCH_DAY, UNREADABLE, GONE, "second object", "mail in doubt"))
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
class Facts:
    """What each link knows of the days.

    Attributes:
        covered: days that the bill has, as far as it was asked: with charges, or archived and emptied since.
        prints: what the bill says of the days that it was compared on: rows, exact total, fingerprint.
        unreadable: why the bill cannot be read; empty where it can.
        archived: what the archive says of its days; None of one that is there and was not looked into.
        damaged: archived days whose object cannot be read or is not what was written, and why.
        registered: the catalog's days, and where they lie.
        read: what a reader gets of the registered days; None if nothing was read.
        scored: days with a scorecard of what is archived; None if that was not looked at.
        shown: what the dashboard shows; None where there is none.
        behind: how the dashboard as a whole is older than the archive; empty where it is not.
        mailed: each day's state, as in MailState; days that nobody asked about have none.
        known_as: archived days that were not looked into: their fingerprint, total and currency by an earlier look.
        gone: archived days that lie behind the bill's newest day, though it has their month: it had them before.
        kept: archived days that stay as they are by a setting, whatever the bill says of them now.
    """

    covered: Collection[date]
    archived: Mapping[date, PublishedDay | None]
    registered: Mapping[date, str]
    read: Mapping[date, CatalogDay] | None
    shown: DashboardContent | None
    mailed: Mapping[date, str]
    prints: Mapping[date, DayPrint] = field(default_factory=dict)
    unreadable: str = ""
    damaged: Mapping[date, str] = field(default_factory=dict)
    scored: Collection[date] | None = None
    behind: str = ""
    known_as: Mapping[date, PublishedAs] = field(default_factory=dict)
    gone: Collection[date] = frozenset()
    kept: Collection[date] = frozenset()

    @cached_property
    def newest(self) -> date:
        """The newest archived day."""
        return max(self.archived)


@dataclass(frozen=True)
class PublishedAs:
    """What a comparison with the bill needs of an archived day.

    Attributes:
        held: whether somebody has restored an earlier version.
        lines: how many lines of the bill it was made of; None in a note of an older release.
    """

    fingerprint: str
    total: Decimal
    currency: str
    held: bool
    lines: int | None = None


@dataclass(frozen=True)
class DayState:
    """One day, link by link, and the first of them that does not hold.

    Attributes:
        bill: what the bill says of the day; None where it was not asked, or does not have it.
        as_in_bill: whether the archive has the day as the bill does; None where that is not known. A day that is kept,
            or was restored by hand, is taken for what it should be.
        archived: what the archive says; None where it has no such day, or was not looked into.
        location: where it is registered, if at its own place; empty where it is not.
        read: what a reader gets; None where nothing was read.
        mailed: its state, as in MailState; empty where that was not looked at.
        cause, detail, mend: the first broken link in the words of CAUSES, what is wrong with it, and the command that
            mends it or what to wait for; empty where the day is whole.
    """

    day: date
    bill: DayPrint | None
    as_in_bill: bool | None
    archived: PublishedDay | None
    location: str
    read: CatalogDay | None
    mailed: str
    cause: str = ""
    detail: str = ""
    mend: str = ""

    @property
    def whole(self) -> bool:
        return not self.cause

    @property
    def link(self) -> str:
        """The first link that does not hold; empty where all do."""
        return CAUSES[self.cause] if self.cause else ""

    def reaches(self, link: str) -> bool:
        """Whether all links up to this one hold."""
        return self.whole or LINKS.index(self.link) > LINKS.index(link)


def state_of(day: date, facts: Facts) -> DayState:
    """The day's state, by what each link knows of it."""
    location = facts.registered.get(day, "")
    fault = _fault(day, facts)
    cause, detail = fault or ("", "")
    return DayState(
        day=day,
        bill=facts.prints.get(day),
        as_in_bill=_as_in_bill(day, facts),
        archived=facts.archived.get(day),
        location=location if is_at_its_place(location, day) else "",
        read=(facts.read or {}).get(day),
        mailed=facts.mailed.get(day, ""),
        cause=cause,
        detail=detail,
        mend=mend(cause, day, day) if cause else "",
    )


def gaps(states: Iterable[DayState]) -> list[Gap]:
    """The days (ascending) that are not whole, as stretches of one cause each; mail is settled day by day."""
    found: list[Gap] = []
    for state in states:
        if state.whole:
            continue
        day, before = state.day, found[-1] if found else None
        joined = before and before.cause == state.cause and state.link != MAIL and (day - before.last).days == 1
        first, detail = (before.first, before.detail) if joined else (day, state.detail)
        if joined:
            found.pop()
        found.append(Gap(first, day, state.cause, detail, mend(state.cause, first, day)))
    return found


def summary(states: Collection[DayState]) -> str:
    """`90 days from 2025-09-01 to 2025-11-29: all whole.`, or how many are not and why, in one line."""
    if not states:
        return "no day yet"
    days = sorted(state.day for state in states)
    of = f"{len(days)} day{'s' if len(days) > 1 else ''} from {days[0]} to {days[-1]}"
    broken: dict[str, list[date]] = {}
    for state in states:
        if not state.whole:
            broken.setdefault(state.cause, []).append(state.day)
    if not broken:
        return f"{of}: all whole."
    count = sum(map(len, broken.values()))
    return f"{of}: {count} not whole ({'; '.join(f'{cause}: {in_words(sorted(of))}' for cause, of in broken.items())})."


def is_at_its_place(location: str, day: date) -> bool:
    """Whether a partition's location, a folder or an S3 address, is where the archive keeps that day."""
    return f"/{location.rstrip('/')}/".endswith(f"/{day_location(day)}")


def shown_fault(shown: DashboardContent, there: PublishedDay) -> str:
    """How what the dashboard shows of a day differs from the archived day; empty where it does not."""
    total = shown.totals.get(there.day)
    if total is not None and abs(total - there.total) >= HALF_A_CENT:
        return f"it shows {money(total, there.currency)} for {there.day}, the archive has {money(there.total)}"
    if shown.totals and total is None and there.day > min(shown.totals):
        return f"it does not show {there.day}"
    return ""


def behind(shown: DashboardContent | None, written: Mapping[date, datetime]) -> str:
    """How the dashboard as a whole is older than the archive; empty where it is not.

    Args:
        shown: what it shows; None where there is none.
        written: the archived days, and when the store has their object from; not empty.
    """
    newest = max(written)
    if shown is None:
        return "there is none: it was never refreshed, or was deleted"
    if shown.expected_rows is not None and shown.rows != shown.expected_rows:
        return f"it holds {shown.rows or 0:,} rows, the catalog has {shown.expected_rows:,}"
    if shown.newest_day and shown.newest_day < newest:
        return f"its newest day is {shown.newest_day}, the archive's is {newest}"
    # One that tells neither totals nor what it was made of is judged by the clock.
    if not shown.newest_day and not shown.totals and (since := written_since(shown, written)):
        return f"{in_words(since)} was written after its last refresh"
    return ""


def is_held(there: PublishedDay | None) -> bool:
    """Whether somebody has put an earlier version in the day's place: only a run by name replaces it."""
    return there is not None and RESTORED_FROM in there.metadata


def published_as(there: PublishedDay) -> PublishedAs:
    """What is kept of an archived day for later comparisons."""
    lines = int(there.metadata.get("source_lines", 0))
    return PublishedAs(there.fingerprint, there.total, there.currency, is_held(there), lines)


def difference(print_: DayPrint, there: PublishedAs) -> str:
    """How the bill's day differs from the archived one; empty where it does not, or where the day is held."""
    if there.held or print_.fingerprint == there.fingerprint:
        return ""
    moved = print_.total - there.total
    return f"the bill has {change(moved)} {there.currency}" if moved else "the bill has other rows"


def expected_days(covered: Collection[date], archived: Collection[date], first: date, yesterday: date) -> list[date]:
    """Every day from the first that is known, but none before `first`, to yesterday."""
    known = [day for day in (*covered, *archived) if first <= day <= yesterday]
    return days_between(min(known, default=yesterday), yesterday)


def missing_days(covered: Collection[date], archived: Collection[date], first: date, yesterday: date) -> list[date]:
    """The expected days, ascending, that are not archived; none where no day is known."""
    known = any(first <= day <= yesterday for day in (*covered, *archived))
    return [day for day in expected_days(covered, archived, first, yesterday) if day not in archived] if known else []


def written_since(shown: DashboardContent, written: Mapping[date, datetime]) -> list[date]:
    """The archived days, ascending, whose object is newer than the dashboard's last refresh."""
    return sorted(day for day, at in written.items() if at > shown.refreshed)


def _fault(day: date, facts: Facts) -> tuple[str, str] | None:
    """The first link that does not hold, and what is wrong with it."""
    if day not in facts.archived:
        return _absent(day, facts)
    return _archive_fault(day, facts) or _catalog_fault(day, facts) or _published_fault(day, facts)


def _absent(day: date, facts: Facts) -> tuple[str, str]:
    if day in facts.covered:
        return "no object", "the bill has it, the archive does not"
    if facts.unreadable:
        return UNREADABLE, facts.unreadable
    newest = max(facts.covered, default=None)
    if newest is None:
        return LATE, "the bill has no day at all"
    if day > newest:
        return LATE, f"the bill ends on {newest}"
    return NO_SUCH_DAY, f"the bill has days up to {newest}, and no charge on this one"


def _archive_fault(day: date, facts: Facts) -> tuple[str, str] | None:
    if day in facts.damaged:
        return "damaged object", facts.damaged[day]
    there = facts.archived[day]
    if there and not there.rows and not is_empty_day(there.metadata):
        return "zero rows", f"{there.path} holds no row"
    known = _known_as(day, facts)
    if known and day not in facts.kept and day in facts.prints and (how := difference(facts.prints[day], known)):
        return DIFFERS, how
    if day in facts.gone:
        newest = max(facts.covered, default=None)
        return GONE, f"the bill ends on {newest} now, and had this day before" if newest else "the bill has no day now"
    return None


def _catalog_fault(day: date, facts: Facts) -> tuple[str, str] | None:
    location = facts.registered.get(day)
    if location is None:
        return "no partition", "it is archived, and no query sees it"
    if not is_at_its_place(location, day):
        return "wrong location", f"it is registered at {location}"
    there = facts.archived[day]
    if facts.read is None or there is None:
        return None
    found = facts.read.get(day)
    fault = read_fault(found, there)
    if not fault:
        return None
    if found is None or not found.rows:
        return "partition without rows", fault
    if found.objects > 1:
        return "second object", fault
    return ("doubled registration" if times_read(found, there) > 1 else "not read back as archived"), fault


def _published_fault(day: date, facts: Facts) -> tuple[str, str] | None:
    """What is made of the archived day: its scorecard, the dashboard, the mail."""
    if facts.scored is not None and day not in facts.scored:
        return NO_SCORECARD, "it is archived, and the table ou_scorecard does not have it as it is archived"
    there, newest = facts.archived[day], facts.newest
    # What is wrong with the dashboard as a whole is told of the newest day alone.
    if facts.behind and day == newest:
        return OUTDATED, facts.behind
    if not facts.behind and facts.shown and there and (fault := shown_fault(facts.shown, there)):
        return OUTDATED, fault
    state = facts.mailed.get(day, "none")
    # Old days that were never mailed are not: their numbers are in the archive, and nobody waits for their digest.
    if state == "unknown":
        return "mail in doubt", "it is not known who has its digest"
    if state == "partial" or (state in ("none", "late") and day == newest):
        return "mail unsent", "not everybody has its digest" if state == "partial" else "nobody has its digest"
    return None


def _known_as(day: date, facts: Facts) -> PublishedAs | None:
    there = facts.archived.get(day)
    return published_as(there) if there else facts.known_as.get(day)


def _as_in_bill(day: date, facts: Facts) -> bool | None:
    known = _known_as(day, facts)
    if known is None or day in facts.damaged or facts.unreadable or day not in facts.prints:
        return None
    if day in facts.kept:
        return True
    return not difference(facts.prints[day], known)


def mend(cause: str, first: date, last: date) -> str:
    """The command that mends these days, or what a person must do first."""
    run = f"finops run --date {first}" if first == last else f"finops backfill {first} {last}"
    before = {
        LATE: "wait for the export",
        NO_SUCH_DAY: "have AWS deliver the month again, or make sure that nothing was charged",
        GONE: "have the export delivered again, or wait for a later day, with which this one is taken for empty",
        UNREADABLE: "mend the bill (`finops doctor` names its file)",
        "second object": "remove it",
    }
    if cause in before:
        return f"{before[cause]}, then: {run}"
    if cause == OUTDATED:
        return f"finops run --date {last}"
    if CAUSES[cause] == MAIL:
        return f"finops doctor --date {last}, which names who; finops run --date {last} sends what nobody may have"
    return run
