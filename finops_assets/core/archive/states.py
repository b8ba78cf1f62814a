"""The state of a day: what bill, archive, catalog, scorecard, dashboard and readers have of it, and what is wrong.

The one place that decides whether a day is whole, by the causes of `core.archive.causes`. `status`, `gaps`, `doctor`,
`--resume`, `--repair`, the sensors, the checks, the digest and Dagster's metadata use it. Nothing is read here:
`core.operations.inspector` collects the facts, in two depths.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from finops_assets.core.archive.bill_difference import PublishedAs, difference, published_as
from finops_assets.core.archive.causes import (
    CAUSES,
    DIFFERS,
    GONE,
    LATE,
    LINKS,
    NO_CHARGES,
    NO_COMMITMENTS,
    NO_DIMENSIONS,
    NO_SCORECARD,
    NO_SUCH_DAY,
    OUTDATED,
    UNREADABLE,
    UNREGISTERED,
    mend,
)
from finops_assets.core.archive.proof import is_empty_day
from finops_assets.core.archive.registering import HALF_A_CENT, read_fault, times_read
from finops_assets.core.calendar import in_words
from finops_assets.core.money import money
from finops_assets.core.schemas import day_location

if TYPE_CHECKING:
    from finops_assets.core.values import CatalogDay, DashboardContent, DayPrint, PublishedDay


@dataclass(frozen=True)
class Facts:
    """What is known of the days, link by link.

    Attributes:
        covered: days that the bill has, as far as it was asked: with charges, or archived and emptied since.
        prints: what the bill says of the days that it was compared on: rows, exact total, fingerprint.
        unreadable: why the bill cannot be read; empty where it can.
        late: of several bills, which one yesterday waits for, in words; empty where that is none.
        archived: the archived days by their metadata; None of one that is archived and was not inspected.
        damaged: archived days whose object cannot be read or is not what was written, and why.
        registered: the catalog's days and their locations.
        read: the registered days as a query reads them; None if nothing was queried.
        scored: days with a scorecard of what is archived; None if that was not inspected.
        shown: what the dashboard shows; None where there is none.
        behind: how the dashboard as a whole is older than the archive; empty where it is not.
        mailed: each day's state, as in MailState; none of days that were not inspected.
        known_as: archived days that were not inspected: their fingerprint, total and currency by an earlier inspection.
        gone: archived days after the bill's newest day, though the bill has their month: it had them before.
        kept: archived days that a setting keeps as they are, whatever the bill says of them now.
        unregistered: billing periods, `2025-09`, whose files the bill's table does not read, and what mends it.
        without_charges: archived days whose charges are not those that their rows were made from, and how.
        without_dimensions: archived days whose dimensions are not those that their rows name, and how.
        without_commitments: archived days whose commitments are not those that their rows name, and how.
        displayed: archived days as they are shown, where that is in another currency.
    """

    covered: Collection[date]
    archived: Mapping[date, PublishedDay | None]
    registered: Mapping[date, str]
    read: Mapping[date, CatalogDay] | None
    shown: DashboardContent | None
    mailed: Mapping[date, str]
    prints: Mapping[date, DayPrint] = field(default_factory=dict)
    unreadable: str = ""
    late: str = ""
    damaged: Mapping[date, str] = field(default_factory=dict)
    scored: Collection[date] | None = None
    behind: str = ""
    known_as: Mapping[date, PublishedAs] = field(default_factory=dict)
    gone: Collection[date] = frozenset()
    kept: Collection[date] = frozenset()
    unregistered: Mapping[str, str] = field(default_factory=dict)
    without_charges: Mapping[date, str] = field(default_factory=dict)
    without_dimensions: Mapping[date, str] = field(default_factory=dict)
    without_commitments: Mapping[date, str] = field(default_factory=dict)
    displayed: Mapping[date, PublishedDay] = field(default_factory=dict)

    def as_shown(self, published: PublishedDay) -> PublishedDay:
        """An archived day as dashboard and mails show it."""
        return self.displayed.get(published.day, published)

    @cached_property
    def newest(self) -> date:
        """The newest archived day."""
        return max(self.archived)


@dataclass(frozen=True)
class DayState:
    """One day, link by link, and the first of them that does not hold.

    Attributes:
        bill: what the bill says of the day; None where it was not queried, or does not have it.
        as_in_bill: whether the archive has the day as the bill does; None where that is not known. True of a day
            that is kept or was restored by hand.
        archived: what the archive says; None where it has no such day, or was not inspected.
        location: where it is registered, if that is the right place; else empty.
        read: the day as a query reads it; None where nothing was queried.
        mailed: its state, as in MailState; empty where that was not inspected.
        cause, detail, mend: the cause at the first broken link, its details, and the command that mends it or what to
            wait for; empty where the day is whole.
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
    """The day's state."""
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


def is_at_its_place(location: str, day: date) -> bool:
    """Whether a partition's location, a folder or an S3 address, is where the archive keeps that day."""
    return f"/{location.rstrip('/')}/".endswith(f"/{day_location(day)}")


def shown_fault(shown: DashboardContent, published: PublishedDay) -> str:
    """How what the dashboard shows of a day differs from the archived day; empty where it does not."""
    total = shown.totals.get(published.day)
    if total is not None and abs(total - published.total) >= HALF_A_CENT:
        return (
            f"it shows {money(total, published.currency)} for {published.day}, the archive has {money(published.total)}"
        )
    if shown.totals and total is None and published.day > min(shown.totals):
        return f"it does not show {published.day}"
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
    # Without totals and newest day, the time of its last refresh decides.
    if not shown.newest_day and not shown.totals and (since := written_since(shown, written)):
        return f"{in_words(since)} was written after its last refresh"
    return ""


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
    if of_its_month := facts.unregistered.get(f"{day:%Y-%m}"):
        return UNREGISTERED, of_its_month
    newest = max(facts.covered, default=None)
    if newest is None:
        return LATE, "the bill has no day at all"
    if day > newest:
        return LATE, f"the bill ends on {newest}" + (f": {facts.late}" if facts.late else "")
    return NO_SUCH_DAY, f"the bill has days up to {newest}, and no charge on this one"


def _archive_fault(day: date, facts: Facts) -> tuple[str, str] | None:
    if day in facts.damaged:
        return "damaged object", facts.damaged[day]
    published = facts.archived[day]
    if published and not published.rows and not is_empty_day(published.metadata):
        return "zero rows", f"{published.path} holds no row"
    if day in facts.without_charges:
        return NO_CHARGES, f"it is archived, and {facts.without_charges[day]}"
    if day in facts.without_dimensions:
        return NO_DIMENSIONS, f"it is archived, and {facts.without_dimensions[day]}"
    if day in facts.without_commitments:
        return NO_COMMITMENTS, f"it is archived, and {facts.without_commitments[day]}"
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
    published = facts.archived[day]
    if facts.read is None or published is None:
        return None
    read_back = facts.read.get(day)
    fault = read_fault(read_back, published)
    if not fault:
        return None
    if read_back is None or not read_back.rows:
        return "partition without rows", fault
    if read_back.objects > 1:
        return "second object", fault
    return ("doubled registration" if times_read(read_back, published) > 1 else "not read back as archived"), fault


def _published_fault(day: date, facts: Facts) -> tuple[str, str] | None:
    """What is made of the archived day: its scorecard, the dashboard, the mail."""
    if facts.scored is not None and day not in facts.scored:
        return NO_SCORECARD, "it is archived, and the table ou_scorecard does not have it as it is archived"
    published, newest = facts.archived[day], facts.newest
    # A fault of the dashboard as a whole is reported for the newest day alone.
    if facts.behind and day == newest:
        return OUTDATED, facts.behind
    as_shown = facts.as_shown(published) if published else None
    if not facts.behind and facts.shown and as_shown and (fault := shown_fault(facts.shown, as_shown)):
        return OUTDATED, fault
    state = facts.mailed.get(day, "none")
    # An old day that was never mailed is no fault: its numbers are in the archive, and nobody waits for its digest.
    if state == "unknown":
        return "mail in doubt", "it is not known who has its digest"
    if state == "partial" or (state in ("none", "late") and day == newest):
        return "mail unsent", "not everybody has its digest" if state == "partial" else "nobody has its digest"
    return None


def _known_as(day: date, facts: Facts) -> PublishedAs | None:
    published = facts.archived.get(day)
    return published_as(published) if published else facts.known_as.get(day)


def _as_in_bill(day: date, facts: Facts) -> bool | None:
    known = _known_as(day, facts)
    if known is None or day in facts.damaged or facts.unreadable or day not in facts.prints:
        return None
    if day in facts.kept:
        return True
    return not difference(facts.prints[day], known)
