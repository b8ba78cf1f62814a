"""Collects what `core.archive.states` needs to know of each day, in two depths.

Cheap: listings, the partitions, a few small objects; no query, no object per day. For sensors and checks. Thorough:
every object proved, every day read back through the catalog, the bill compared. For people. Both give
states by the same rules, in the same words; the cheap one knows less, and never says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from finops_assets.core.analytics import scorecard
from finops_assets.core.archive import bill_difference, causes, states
from finops_assets.core.archive.bill_comparison import READERS, BillComparison, described_days
from finops_assets.core.archive.day_charges import CHARGES_PART
from finops_assets.core.archive.day_commitments import COMMITMENTS_PART
from finops_assets.core.archive.day_dimensions import DIMENSIONS_PART
from finops_assets.core.archive.display import Display
from finops_assets.core.archive.expected_days import expected_days
from finops_assets.core.archive.states import Facts
from finops_assets.core.calendar import days_between
from finops_assets.core.errors import DamagedError, FinopsError
from finops_assets.core.operations.bill_inspection import BillInspector, InspectionRules
from finops_assets.core.operations.inspection import Inspection
from finops_assets.core.schemas import SCORECARD_PREFIX, scorecard_path

if TYPE_CHECKING:
    from finops_assets.core.archive.bill_difference import PublishedAs
    from finops_assets.core.archive.day_parts import DayPart
    from finops_assets.core.delivery.outbox import Outbox
    from finops_assets.core.ports import Archive, Catalog, Warehouse
    from finops_assets.core.values import DashboardContent, PublishedDay


class _Dashboard(NamedTuple):
    """What the dashboard shows, how it is older than the archive as a whole, or why it could not be inspected."""

    content: DashboardContent | None
    behind: str = ""
    unknown: str = ""

    @property
    def unknown_links(self) -> dict[str, str]:
        return {causes.DASHBOARD: self.unknown} if self.unknown else {}


class Inspector:
    """Inspects bill, archive, catalog, scorecards, dashboard and outbox.

    Args:
        warehouse, archive, catalog, outbox: the parts that are inspected.
        shown: tells what the dashboard shows now; None where there is none.
        known_damaged: gives the days that the nightly proof has found damaged, and how.
        rules: what the settings say of the bill's days.
        display: how costs are shown.

    Attributes:
        bill: the last comparison of the bill with the archive.
        rules: as given.
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
        rules: InspectionRules,
        display: Display = Display(),  # noqa: B008 - it keeps nothing where no currency is set
    ) -> None:
        self._archive, self._catalog, self._outbox = archive, catalog, outbox
        self._shown, self._known_damaged, self.rules = shown, known_damaged, rules
        self._display = display
        self.bill = BillComparison(warehouse, archive, rules.bill_rules, display)
        self._of_bill = BillInspector(warehouse, self.bill, rules)

    def cheap(self, now: datetime, asked: str = "", in_bill: Collection[date] = ()) -> Inspection:
        """Every day from the first that is archived to yesterday, without a query and without reading any of them.

        The bill is asked for the days that the archive does not have, and only if it was not asked before.

        Args:
            now: the time (aware, UTC).
            asked, in_bill: those of an earlier inspection.
        """
        yesterday = now.date() - timedelta(days=1)
        written = self._archive.written()
        days = expected_days((), written, self.rules.first_day, yesterday) if written else [yesterday]
        absent = [day for day in days if day not in written]
        bill = self._of_bill.known(now, written, absent, asked, in_bill)
        if not written:  # an empty archive is not filled by itself: only the bill's newest day is expected
            days = absent = days_between(max(bill.covered, default=yesterday), yesterday)
        registered = self._catalog.registered()  # first: its answer serves the dashboard, too
        dashboard = self._dashboard(written)
        shown = dashboard.content
        since_refresh = states.written_since(shown, written) if shown else []
        known = bill.compared.still_archived(written) if bill.compared else {}
        # Of a day that was written since, its own numbers are needed: to hold the bill or the dashboard against it.
        to_describe = set(since_refresh) if shown and shown.totals and not dashboard.behind else set()
        if bill.totals:
            to_describe |= written.keys() - known.keys()
        described, damaged = described_days(self._archive, sorted(to_describe))
        damaged |= {day: fault for day, fault in self._known_damaged().items() if day in written}
        displayed, no_rates = self._displayed(described)
        archived = known | self._published_as(described, displayed)
        gone = self._of_bill.gone(bill, written, yesterday)
        facts = Facts(
            covered=frozenset(bill.covered) | (written.keys() - gone if absent else frozenset()),
            prints=bill.prints,
            unreadable=bill.unreadable,
            late=bill.late,
            archived=dict.fromkeys(written) | described,
            damaged=damaged,
            known_as=known,
            registered=registered,
            read=None,
            scored=self._scored(written),
            shown=shown,
            behind=dashboard.behind,
            mailed=self._mailed(written),
            gone=gone,
            kept=self._of_bill.kept(archived, bill.prints, now),
            unregistered=bill.unregistered,
            without_charges=self._absent_parts(CHARGES_PART, (day for day, of in archived.items() if of.charges)),
            without_dimensions=self._absent_parts(
                DIMENSIONS_PART, (day for day, of in archived.items() if of.dimensions)
            ),
            without_commitments=self._absent_parts(
                COMMITMENTS_PART, (day for day, of in archived.items() if of.commitments)
            ),
            displayed=displayed,
        )
        return Inspection(
            yesterday=yesterday,
            facts=facts,
            states={day: states.state_of(day, facts) for day in days},
            asked=bill.question,
            in_bill=frozenset(absent) & set(bill.covered),
            since_refresh=tuple(since_refresh),
            unknown=dashboard.unknown_links | no_rates,
            coverage=self._of_bill.coverage(bill, archived, facts, yesterday),
            warnings=bill.compared.warnings if bill.compared else (),
        )

    def thorough(self, now: datetime, days: Sequence[date] | None = None) -> Inspection:
        """Every expected day, or these: proved, read back, compared with the bill.

        Costs one query of the archive, each day's object that no run has proved, and one query of a bill that was not
        compared as it is now.
        """
        yesterday = now.date() - timedelta(days=1)
        written = self._archive.written()
        bill = self._of_bill.read(days, yesterday, written)
        every_day = expected_days(bill.covered, written, self.rules.first_day, yesterday)
        expected = every_day if days is None else list(days)
        inspected = [day for day in written if days is None or day in set(days)]
        described, damaged = self._proved(inspected)
        registered = self._catalog.registered()
        readable = sorted((registered.keys() & set(expected) & written.keys()) - damaged.keys())
        dashboard = self._dashboard(written)
        displayed, no_rates = self._displayed(described)
        archived = self._published_as(described, displayed)
        facts = Facts(
            covered=frozenset(bill.covered),
            prints=bill.prints,
            unreadable=bill.unreadable,
            late=bill.late,
            archived=dict.fromkeys(written) | described,
            damaged=damaged,
            registered=registered,
            read=self._catalog.read_back(readable) if readable else {},
            scored=self._scored_as_archived({**described, **displayed}),
            shown=dashboard.content,
            behind=dashboard.behind,
            mailed=self._outbox.records.mailed_days(expected, own=True) | self._mailed(written),
            gone=self._of_bill.gone(bill, written, yesterday),
            kept=self._of_bill.kept(archived, bill.prints, now),
            unregistered=bill.unregistered,
            without_charges=self._other_parts(CHARGES_PART, described),
            without_dimensions=self._other_parts(DIMENSIONS_PART, described),
            without_commitments=self._other_parts(COMMITMENTS_PART, described),
            displayed=displayed,
        )
        return Inspection(
            yesterday,
            facts,
            {day: states.state_of(day, facts) for day in expected},
            unknown=dashboard.unknown_links | no_rates,
            coverage=None if days else self._of_bill.coverage(bill, archived, facts, yesterday),
        )

    def _displayed(self, described: Mapping[date, PublishedDay]) -> tuple[dict[date, PublishedDay], dict[str, str]]:
        """These days as they are shown, where that is in another currency; and why the dashboard's cannot be told."""
        if not self._display:
            return {}, {}
        try:
            return {day: self._display.shown(published) for day, published in described.items()}, {}
        except FinopsError as error:
            return {}, {causes.DASHBOARD: str(error)}

    def _published_as(
        self, described: Mapping[date, PublishedDay], displayed: Mapping[date, PublishedDay]
    ) -> dict[date, PublishedAs]:
        return {day: bill_difference.published_as(of, displayed.get(day)) for day, of in described.items()}

    def _proved(self, days: Sequence[date]) -> tuple[dict[date, PublishedDay], dict[date, str]]:
        """What the archive says of these days, and how some are damaged; what a run has proved is not read again."""
        proved = self._archive.history.proved(days)
        described, damaged = described_days(self._archive, [day for day in days if day not in proved], prove=True)
        return dict(sorted({**proved, **described}.items())), damaged

    def _dashboard(self, written: Mapping[date, datetime]) -> _Dashboard:
        if not written:
            return _Dashboard(None)
        try:
            content = self._shown()
        except DamagedError as error:
            return _Dashboard(None, behind=str(error))
        except FinopsError as error:
            return _Dashboard(None, unknown=str(error))
        return _Dashboard(content, behind=states.behind(content, written))

    def _mailed(self, written: Collection[date]) -> dict[date, str]:
        """Whether the newest day was mailed: of older days nobody waits for a digest, and each costs a listing."""
        newest = max(written, default=None)
        return {newest: self._outbox.records.mailed(newest).state} if newest else {}

    def _scored(self, written: Collection[date]) -> frozenset[date]:
        """The archived days that have a scorecard, by one listing."""
        paths = set(self._archive.list(f"{SCORECARD_PREFIX}/"))
        return frozenset(day for day in written if scorecard_path(day) in paths)

    def _absent_parts(self, part: DayPart, named: Iterable[date]) -> dict[date, str]:
        """Those of the days whose rows name such a part that is not there, by one listing where any does."""
        days = list(named)
        paths = set(self._archive.list(f"{part.prefix}/")) if days else set()
        return {day: part.absent for day in days if part.path(day) not in paths}

    def _other_parts(self, part: DayPart, described: Mapping[date, PublishedDay]) -> dict[date, str]:
        """Those of the days whose part is not the one that their rows name; what we wrote is not read again."""
        named = {day: of for day, of in described.items() if part.named(of.metadata)}
        to_read = sorted(named.keys() - self._archive.history.parts_proved(part, named)) if named else []
        with ThreadPoolExecutor(READERS) as readers:
            faults = readers.map(lambda day: part.fault(self._archive, day, described[day].metadata), to_read)
            return {day: fault for day, fault in zip(to_read, faults, strict=True) if fault}

    def _scored_as_archived(self, described: Mapping[date, PublishedDay]) -> frozenset[date]:
        """Those of the days whose scorecard is made of the rows that are archived."""
        with ThreadPoolExecutor(READERS) as readers:
            fingerprints = readers.map(lambda day: scorecard.made_of(self._archive, day), described)
            scored = zip(described, fingerprints, strict=True)
            return frozenset(day for day, fingerprint in scored if fingerprint == described[day].fingerprint)
