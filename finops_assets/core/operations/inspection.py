"""Collects what `core.states` needs to know of each day, in two depths.

Cheap: listings, the partitions, a few small objects; no query, no object per day. For sensors and checks. Thorough:
every object read and proved, every day read back through the catalog, one query of the bill. For people. Both give
states by the same rules, in the same words; the cheap one knows less, and never says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from finops_assets.core.archive import bill_difference, causes, gaps, states
from finops_assets.core.archive.available_days import delivered_until
from finops_assets.core.archive.bill_comparison import (
    CANNOT_BE_READ,
    EMPTY,
    READERS,
    BillComparison,
    described_days,
    is_being_written,
)
from finops_assets.core.archive.coverage import coverage
from finops_assets.core.archive.expected_days import expected_days
from finops_assets.core.archive.gaps import Gap
from finops_assets.core.archive.settlement import first_open_day
from finops_assets.core.archive.states import DayState, Facts
from finops_assets.core.bill.totals import bill_totals
from finops_assets.core.calendar import days_between, in_words
from finops_assets.core.errors import DamagedError, FinopsError
from finops_assets.core.schemas import SCORECARD_PREFIX, scorecard_path

if TYPE_CHECKING:
    from finops_assets.core.archive.bill_difference import PublishedAs
    from finops_assets.core.archive.coverage import Coverage
    from finops_assets.core.bill.totals import BillTotals
    from finops_assets.core.delivery.outbox import Outbox
    from finops_assets.core.ports import Archive, Catalog, Warehouse
    from finops_assets.core.values import DashboardContent, DayPrint, ExportVersion, PublishedDay


@dataclass(frozen=True)
class DashboardState:
    """What the dashboard shows of the archive.

    Attributes:
        newest: the newest day that it shows; None where it shows none.
        outdated: archived days that it does not show, or not as they are archived, ascending.
        unknown: why it could not be looked at.
    """

    newest: date | None
    outdated: tuple[date, ...] = ()
    unknown: str = ""


@dataclass(frozen=True)
class Inspection:
    """Every expected day's state.

    Attributes:
        yesterday: the newest day that is expected.
        facts: what each link knows.
        states: the days, ascending, and their state.
        asked, in_bill: what the bill said of days that the archive does not have; the next cheap one is given them, so
            that the bill is asked again only when it has changed.
        since_refresh: archived days that were written since the dashboard's last refresh.
        unknown: links that could not be looked at, and why.
        coverage: where every line of the bill is; None where the bill was not compared since it was refreshed, or
            cannot be read.
    """

    yesterday: date
    facts: Facts
    states: Mapping[date, DayState]
    asked: str = ""
    in_bill: frozenset[date] = frozenset()
    since_refresh: tuple[date, ...] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)
    coverage: Coverage | None = None

    @property
    def days(self) -> tuple[date, ...]:
        return tuple(self.states)

    @property
    def archived(self) -> frozenset[date]:
        return frozenset(self.facts.archived)

    @cached_property
    def gaps(self) -> tuple[Gap, ...]:
        return tuple(gaps.find_gaps(self.states.values()))

    @property
    def not_whole(self) -> frozenset[date]:
        return frozenset(day for day, state in self.states.items() if not state.whole)

    @property
    def dashboard(self) -> DashboardState:
        """What the dashboard shows of the archive."""
        shown, facts = self.facts.shown, self.facts
        if causes.DASHBOARD in self.unknown:
            return DashboardState(None, unknown=self.unknown[causes.DASHBOARD])
        if shown is None:
            return DashboardState(None, tuple(facts.archived))
        if facts.behind:
            outdated = self.since_refresh or (facts.newest,)
        else:
            read = (there for there in facts.archived.values() if there)
            outdated = tuple(there.day for there in read if states.shown_fault(shown, there))
        newest = shown.newest_day or max(facts.archived.keys() - set(outdated), default=None)
        return DashboardState(newest, outdated)

    @property
    def dashboard_fault(self) -> str:
        """Why the dashboard is not known to be current; empty where it is."""
        outdated = [f"{in_words(gap.days)}: {gap.detail}" for gap in self.gaps if gap.cause == causes.OUTDATED]
        return self.unknown.get(causes.DASHBOARD) or self.facts.behind or "; ".join(outdated)

    @property
    def summary(self) -> str:
        """Whether all days are whole, in one line."""
        unknown = [f" The {link} could not be looked at: {why}" for link, why in self.unknown.items()]
        return gaps.summary(self.states.values()) + self._of_the_bill + "".join(unknown)

    @property
    def coverage_words(self) -> str:
        """Where every line of the bill is, or why that is not known."""
        if self.coverage:
            return self.coverage.words
        if self.facts.unreadable:
            return "It is not known whether every line of the bill is in a day, as it cannot be read."
        return "The bill has not been compared with the archive since it was last refreshed: `finops gaps` does that."

    @property
    def summary_for_readers(self) -> str:
        """The same without mail and dashboard, which the digest speaks of elsewhere: it is made before it is sent."""
        own = (causes.DASHBOARD, causes.MAIL)
        found = [replace(state, cause="") if state.link in own else state for state in self.states.values()]
        return gaps.summary(found) + self._of_the_bill

    @property
    def _of_the_bill(self) -> str:
        return f" The bill cannot be read: {self.facts.unreadable}" if self.facts.unreadable else ""


@dataclass(frozen=True)
class _OfBill:
    """What a thorough look finds of the bill: days' prints, the days it has, its totals; or why it cannot be read."""

    prints: Mapping[date, DayPrint]
    covered: Collection[date]
    totals: BillTotals | None = None
    export_version: ExportVersion | None = None
    unreadable: str = ""


class Inspector:
    """Looks at bill, archive, catalog, scorecards, dashboard and outbox.

    Args:
        warehouse, archive, catalog, outbox: the parts that are looked at.
        shown: tells what the dashboard shows now; None where there is none.
        known_damaged: gives the days that the nightly proof has found damaged, and how.
        first_day: bill.first_day.
        complete_after: bill.complete_after_hours.
        cost_basis: bill.cost_basis.
        change_closed: bill.change_closed_days.
        rules: what the settings ask of the bill, as text.
    """

    def __init__(
        self,
        *,
        warehouse: Warehouse,
        archive: Archive,
        catalog: Catalog,
        outbox: Outbox,
        shown: Callable[[], DashboardContent | None],
        known_damaged: Callable[[], Mapping[date, str]] = dict,
        first_day: date,
        complete_after: float = 0.0,
        cost_basis: str = "",
        change_closed: bool = True,
        rules: str = "",
    ) -> None:
        self._warehouse, self._archive, self._catalog, self._outbox = warehouse, archive, catalog, outbox
        self._shown, self._first_day, self._complete_after = shown, first_day, complete_after
        self._known_damaged, self._cost_basis, self._change_closed = known_damaged, cost_basis, change_closed
        self.bill = BillComparison(warehouse, archive, rules)

    # --- cheap ----------------------------------------------------------------------------------------------------

    def cheap(self, now: datetime, asked: str = "", in_bill: Collection[date] = ()) -> Inspection:
        """Every day from the first that is archived to yesterday, without a query and without reading any of them.

        The bill is asked for the days that the archive does not have, and only if it was not asked before.

        Args:
            now: the time (aware, UTC).
            asked, in_bill: those of an earlier inspection.
        """
        yesterday = now.date() - timedelta(days=1)
        written = self._archive.written()
        days = expected_days((), written, self._first_day, yesterday) if written else [yesterday]
        absent = [day for day in days if day not in written]
        unreadable, state, question, export_version = "", "", "", None
        compared = self.bill.last()
        try:
            export_version = self._warehouse.export_version()
            state = self.bill.state(export_version)
            compared = compared if compared and compared.state == state else None
            question = (
                f"{export_version.snapshot} {in_words(absent) if written else 'nothing archived'}" if absent else ""
            )
            if compared and compared.totals:
                in_bill = self._has(compared.totals, export_version, yesterday, written)
            elif absent and question != asked and is_being_written(export_version, now):
                question = asked  # it is asked once it is left alone
            elif absent and question != asked:
                in_bill = self._has(bill_totals(self._warehouse.control_totals()), export_version, yesterday, written)
        except CANNOT_BE_READ as error:
            unreadable, in_bill, question, compared = str(error), (), "", None
        if not written:  # what nobody asked to keep is not begun by itself: only the bill's newest day
            days = absent = days_between(max(in_bill, default=yesterday), yesterday)
        totals = compared.totals if compared and not compared.unreadable else None
        if compared and compared.comparable:
            unreadable = unreadable or compared.unreadable
        else:
            compared = None
        registered, unknown = self._catalog.registered(), {}
        shown, behind = self._dashboard(written, unknown)
        # Of a day that was written since, its own numbers are needed: to hold the bill or the dashboard against it.
        since_refresh = states.written_since(shown, written) if shown else []
        since = set(since_refresh) if shown and shown.totals and not behind else set()
        known = compared.still_archived(written) if compared else {}
        since |= written.keys() - known.keys() if totals else set()
        described, damaged = described_days(self._archive, sorted(since))
        damaged |= {day: fault for day, fault in self._known_damaged().items() if day in written}
        there = known | {day: bill_difference.published_as(of) for day, of in described.items()}
        prints = compared.prints if compared else {}
        gone = self._gone(totals, written, export_version, yesterday)
        facts = Facts(
            covered=frozenset(in_bill) | (written.keys() - gone if absent else frozenset()),
            prints=prints,
            unreadable=unreadable,
            archived=dict.fromkeys(written) | described,
            damaged=damaged,
            known_as=known,
            registered=registered,
            read=None,
            scored=self._scored(written),
            shown=shown,
            behind=behind,
            mailed=self._mailed(written),
            gone=gone,
            kept=self._kept(there, prints, now),
        )
        return Inspection(
            yesterday=yesterday,
            facts=facts,
            states={day: states.state_of(day, facts) for day in days},
            asked=question,
            in_bill=frozenset(absent) & set(in_bill),
            since_refresh=tuple(since_refresh),
            unknown=unknown,
            coverage=self._coverage(totals, there, facts, export_version, yesterday),
        )

    # --- thorough -------------------------------------------------------------------------------------------------

    def thorough(self, now: datetime, days: Sequence[date] | None = None) -> Inspection:
        """Every expected day, or these: read, proved, read back, compared with the bill.

        Costs one query of the bill, one of the archive, and each day's object.
        """
        yesterday = now.date() - timedelta(days=1)
        written = self._archive.written()
        bill = self._bill_of(days, yesterday, written)
        expected = list(days) if days is not None else expected_days(bill.covered, written, self._first_day, yesterday)
        there = [day for day in written if days is None or day in set(days)]
        described, damaged = described_days(self._archive, there, prove=True)
        registered, unknown = self._catalog.registered(), {}
        seen = sorted((registered.keys() & set(expected) & written.keys()) - damaged.keys())
        shown, behind = self._dashboard(written, unknown)
        as_archived = {day: bill_difference.published_as(of) for day, of in described.items()}
        facts = Facts(
            covered=frozenset(bill.covered),
            prints=bill.prints,
            unreadable=bill.unreadable,
            archived=dict.fromkeys(written) | described,
            damaged=damaged,
            registered=registered,
            read=self._catalog.read_back(seen) if seen else {},
            scored=self._scored_as_archived(described),
            shown=shown,
            behind=behind,
            mailed=self._outbox.records.mailed_days(expected, own=True) | self._mailed(written),
            gone=self._gone(bill.totals, written, bill.export_version, yesterday),
            kept=self._kept(as_archived, bill.prints, now),
        )
        return Inspection(
            yesterday,
            facts,
            {d: states.state_of(d, facts) for d in expected},
            unknown=unknown,
            coverage=None if days else self._coverage(bill.totals, as_archived, facts, bill.export_version, yesterday),
        )

    def _bill_of(self, days: Sequence[date] | None, yesterday: date, written: Collection[date]) -> _OfBill:
        """What the bill says of the days, which it has, and why it cannot be read where it cannot."""
        try:
            export_version = self._warehouse.export_version()
            until = delivered_until(export_version.updated, self._complete_after)
            last = min(filter(None, (until, yesterday, max(days) if days else None)))
            first = max(min(days), self._first_day) if days else self._first_day
            accounts = self.bill.accounts()  # nothing can be compared without it, only counted
            prints = (
                self._warehouse.fingerprints(first, last, accounts) if accounts is not None and last >= first else {}
            )
            if days is not None and set(days) <= prints.keys():
                return _OfBill(prints, prints.keys(), export_version=export_version)
            totals = bill_totals(self._warehouse.control_totals())
            begins = min((day for day in totals.days if first <= day <= last), default=None)
            wanted = days or sorted({*written, *(days_between(begins, last) if begins else ())})
            covered = self._has(totals, export_version, yesterday, written)
            if accounts is not None:
                empty = {d: EMPTY for d in wanted if first <= d <= last and totals.is_empty(d, yesterday)}
                prints = dict(sorted((prints | empty).items()))
            return _OfBill(prints, covered, totals, export_version)
        except CANNOT_BE_READ as error:
            return _OfBill({}, self._covered_all_the_same(yesterday), unreadable=str(error))

    def _has(
        self, totals: BillTotals, export_version: ExportVersion, yesterday: date, days: Iterable[date]
    ) -> list[date]:
        """The days that the bill has whole: those with charges, and archived ones of `days` that it has emptied."""
        empty = (day for day in days if totals.is_empty(day, yesterday))
        return self._delivered(sorted({*totals.days, *empty}), export_version, yesterday)

    def _gone(
        self,
        totals: BillTotals | None,
        written: Collection[date],
        export_version: ExportVersion | None,
        yesterday: date,
    ) -> frozenset[date]:
        """Archived days that the bill had, and that lie behind its newest day now."""
        if totals is None or export_version is None:
            return frozenset()
        until = min(filter(None, (delivered_until(export_version.updated, self._complete_after), yesterday)))
        return frozenset(day for day in written if day <= until and totals.has_lost(day, yesterday))

    def _kept(
        self, archived: Mapping[date, PublishedAs], prints: Mapping[date, DayPrint], now: datetime
    ) -> frozenset[date]:
        """Days that stay as they are archived: the settings do not let closed days change."""
        if self._change_closed:
            return frozenset()
        oldest = first_open_day(now.date())
        return frozenset(day for day in prints.keys() & archived.keys() if day < oldest)

    def _coverage(
        self,
        totals: BillTotals | None,
        archived: Mapping[date, PublishedAs],
        facts: Facts,
        export_version: ExportVersion | None,
        yesterday: date,
    ) -> Coverage | None:
        """Where every line of the bill is."""
        if totals is None or export_version is None:
            return None
        return coverage(
            totals,
            archived,
            first_day=self._first_day,
            yesterday=yesterday,
            until=delivered_until(export_version.updated, self._complete_after),
            cost_basis=self._cost_basis,
            kept=facts.kept | {day for day, of in archived.items() if of.held},
            passed_over=export_version.passed_over,
        )

    def _covered_all_the_same(self, yesterday: date) -> list[date]:
        """The days of a bill whose costs cannot be read, where it can be told; a line without a cost is such a case."""
        try:
            totals = bill_totals(self._warehouse.control_totals())
            return self._delivered(totals.days, self._warehouse.export_version(), yesterday)
        except CANNOT_BE_READ:
            return []

    def _delivered(self, covered: Iterable[date], export_version: ExportVersion, yesterday: date) -> list[date]:
        """The days that the bill has whole: it was written after they were over."""
        until = delivered_until(export_version.updated, self._complete_after)
        return [day for day in covered if day <= min(until or yesterday, yesterday)]

    # --- the other links ------------------------------------------------------------------------------------------

    def _dashboard(
        self, written: Mapping[date, datetime], unknown: dict[str, str]
    ) -> tuple[DashboardContent | None, str]:
        """What the dashboard shows, and how it is older than the archive as a whole."""
        if not written:
            return None, ""
        try:
            shown = self._shown()
        except DamagedError as error:
            return None, str(error)
        except FinopsError as error:
            unknown[causes.DASHBOARD] = str(error)
            return None, ""
        return shown, states.behind(shown, written)

    def _mailed(self, written: Collection[date]) -> dict[date, str]:
        """Whether the newest day was mailed: of older days nobody waits for a digest, and each would be looked at."""
        newest = max(written, default=None)
        return {newest: self._outbox.records.mailed(newest).state} if newest else {}

    def _scored(self, written: Collection[date]) -> frozenset[date]:
        """The archived days that have a scorecard, by one listing."""
        paths = set(self._archive.list(f"{SCORECARD_PREFIX}/"))
        return frozenset(day for day in written if scorecard_path(day) in paths)

    def _scored_as_archived(self, described: Mapping[date, PublishedDay]) -> frozenset[date]:
        """Those of the days whose scorecard is made of the rows that are archived."""
        from finops_assets.core.analytics import scorecard

        with ThreadPoolExecutor(READERS) as readers:
            made_of = readers.map(lambda day: scorecard.made_of(self._archive, day), described)
            return frozenset(
                d for d, print_ in zip(described, made_of, strict=True) if print_ == described[d].fingerprint
            )
