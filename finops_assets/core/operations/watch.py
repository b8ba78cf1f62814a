"""What the platform notices by itself: a new bill, changed days, days that are not whole, mails that do not arrive.

The sensors, the checks and the command ask here, and run what has to be run. An inspection costs listings and a few
small objects, and one query when the bill was refreshed; the archive and the arguments hold all state.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from finops_assets.core.archive import causes, states
from finops_assets.core.archive.age import Age
from finops_assets.core.archive.available_days import delivered_until
from finops_assets.core.archive.bill_comparison import is_being_written
from finops_assets.core.archive.bill_difference import difference
from finops_assets.core.archive.causes import CANNOT_RUN
from finops_assets.core.archive.journal import Journal
from finops_assets.core.archive.settlement import first_open_day
from finops_assets.core.bill.totals import BillTotals
from finops_assets.core.calendar import days_between, in_words
from finops_assets.core.errors import BeingWrittenError, FinopsError
from finops_assets.core.operations.alerting import (
    COVERED,
    MAILED,
    NOTIFIED,
    PUBLISHED,
    SHOWN,
    THE_BILL,
    THE_DASHBOARD,
    WHOLE,
    Alerting,
    days_of_subject,
)
from finops_assets.core.operations.incident_records import Incident, Problem

if TYPE_CHECKING:
    from finops_assets.core.delivery.digest_service import DigestService
    from finops_assets.core.delivery.outbox import Outbox
    from finops_assets.core.operations.inspection import Inspection
    from finops_assets.core.operations.inspector import Inspector
    from finops_assets.core.ports import Archive, Warehouse

LONGEST_WAIT = timedelta(days=1)


@dataclass(frozen=True)
class News:
    """What a refresh of the bill, or of the account map, means for the days.

    Attributes:
        seen: names this state of bill and account map.
        new: days that are in the bill and not in the archive.
        restated: days that the archive has otherwise.
        unchanged: days that it has as the bill does.
        versions: the fingerprint of each new and restated day as the bill has it.
    """

    seen: str
    new: tuple[date, ...]
    restated: tuple[date, ...]
    unchanged: tuple[date, ...]
    versions: Mapping[date, str] = field(default_factory=dict)


@dataclass
class Attempts:
    """How often each day was run by itself, and when last.

    Attributes:
        minutes: to wait after the first attempt; each wait is twice the one before, up to a day.
        by_day: day -> number of attempts, and the time of the last (aware, UTC).
    """

    minutes: float
    by_day: dict[date, tuple[int, datetime]] = field(default_factory=dict)

    def due(self, day: date, now: datetime) -> bool:
        """Whether the wait after the day's last attempt is over."""
        count, last = self.by_day.get(day, (0, now))
        wait = min(timedelta(minutes=self.minutes) * 2 ** min(count - 1, 20), LONGEST_WAIT) if count else timedelta()
        return now >= last + wait

    def count(self, days: Iterable[date], now: datetime) -> None:
        self.by_day |= {day: (self.by_day.get(day, (0, now))[0] + 1, now) for day in days}

    def keep(self, days: Collection[date]) -> None:
        """Forget all days but these: the others are whole."""
        self.by_day = {day: attempt for day, attempt in self.by_day.items() if day in days}

    def as_record(self) -> dict[str, Any]:
        return {day.isoformat(): [count, last.isoformat()] for day, (count, last) in self.by_day.items()}

    @classmethod
    def from_record(cls, minutes: float, record: Mapping[str, Any]) -> Attempts:
        by_day = {date.fromisoformat(d): (n, datetime.fromisoformat(last)) for d, (n, last) in record.items()}
        return cls(minutes, by_day)


class Watch:
    """Notices new and changed days, inspects all days, and opens and closes the incidents that follow from that.

    Args:
        inspector: tells the state of the days.
        warehouse, archive, outbox, digests, journal, alerting: the parts that it uses.
    """

    def __init__(
        self,
        *,
        inspector: Inspector,
        warehouse: Warehouse,
        archive: Archive,
        outbox: Outbox,
        digests: DigestService,
        journal: Journal,
        alerting: Alerting,
    ) -> None:
        self.inspector, self._warehouse, self._archive, self._outbox = inspector, warehouse, archive, outbox
        self.digests, self.journal, self.alerting = digests, journal, alerting
        self.incidents = alerting.incidents
        self._rules = inspector.rules

    # --- the bill -------------------------------------------------------------------------------------------------

    def news(self, now: datetime, seen: str = "") -> News | None:
        """What has changed, if bill or account map are not as they were `seen`; the refresh is counted.

        Costs one listing of the bill's files and, where there is news, the bill's control totals, and one query of a
        line a day over the days whose files have changed, of closed months too. A day that was restored by hand is
        held, and so are closed days if the settings say so: they are no news.

        Raises:
            BeingWrittenError: the files may be half there.
            BillError: the bill cannot be read.
        """
        export_version = self._warehouse.export_version()
        state = self.inspector.bill.state(export_version)
        if state == seen:
            return None
        if is_being_written(export_version, now):
            raise BeingWrittenError("the bill is being written: it is read once it is left alone for a minute")
        today = now.date()
        delivered = delivered_until(export_version.updated, self._rules.complete_after)
        until = min(filter(None, (today - timedelta(days=1), delivered)))
        published = [day for day in self._archive.days() if day <= until]
        start = max(min(published, default=first_open_day(today)), self._rules.first_day)
        if until < start:
            return News(state, (), (), ())
        compared = self.inspector.bill.compare(now, days_between(start, until))
        prints = {day: print_ for day, print_ in compared.prints.items() if start <= day <= until}
        archived = {day: published_as for day, (_, published_as) in compared.archived.items() if day in prints}
        # An empty archive is not filled by itself: only the bill's newest day is new.
        first = min(published, default=max(prints, default=until))
        # A new day without rows may be a hole in the bill, which a person judges: it is reported, and not run.
        # One that one of several bills does not have yet waits for it.
        totals, yesterday = compared.totals or BillTotals(), today - timedelta(days=1)
        new = tuple(
            day
            for day in prints
            if day not in published and day >= first and prints[day].rows and not totals.waits_for(day, yesterday)
        )
        if not compared.comparable:  # without an account map; the next run publishes it, which is news again
            return News(state, new, (), ())
        # A published day that could not be described is damaged: a run of it writes it anew.
        kept = () if self._rules.change_closed else [day for day in prints if day < first_open_day(today)]
        restated = tuple(
            day
            for day in prints
            if day in published and day not in kept and (day not in archived or difference(prints[day], archived[day]))
        )
        unlike = {day for day in archived if difference(prints[day], replace(archived[day], held=False))}
        unchanged = tuple(day for day in archived if day not in unlike)
        self.journal.record(
            export_version.snapshot, now, unchanged=unchanged, changed=(*new, *restated, *unlike), today=today
        )
        versions = {day: prints[day].fingerprint for day in (*new, *restated)}
        return News(state, new, restated, unchanged, versions)

    # --- the days -------------------------------------------------------------------------------------------------

    def inspect(self, now: datetime, asked: str = "", in_bill: Collection[date] = ()) -> Inspection:
        """The state of every day from the first that is archived to yesterday, without a query: `Inspector.cheap`."""
        return self.inspector.cheap(now, asked, in_bill)

    def age(self, now: datetime) -> Age | None:
        """How old the archive's data are; None where nothing is archived."""
        return self.digests.age(now)

    def freshness(self, now: datetime) -> dict[str, str]:
        """Each promise of FRESHNESS with how it is broken, empty where it is kept."""
        day, inspection = self.alerting.due_day(now), self.inspect(now)
        state = inspection.states.get(day) or states.state_of(day, inspection.facts)
        fault = f"{day}: {state.cause}, {state.detail}"
        mailed = self._outbox.records.mailed(day)
        older = {gap: [d for d in gap.days if d < day] for gap in inspection.gaps}
        others = [
            f"{in_words(days)}: {gap.cause}, {gap.detail}"
            for gap, days in older.items()
            if days and gap.cause not in (causes.LATE, causes.NO_SUCH_DAY)
        ]
        not_notified = [f"{each.key}: {each.not_notified}" for each in self.incidents.open() if each.not_notified]
        return {
            PUBLISHED: "" if state.reaches(causes.READ_BACK) else fault,
            MAILED: "" if mailed.state == "sent" else f"{day}: {mailed}",
            SHOWN: inspection.dashboard_fault if inspection.archived else "there is nothing to show",
            WHOLE: "; ".join([*others, *([inspection.facts.unreadable] if inspection.facts.unreadable else [])]),
            COVERED: inspection.coverage.fault if inspection.coverage else "",
            NOTIFIED: "; ".join(not_notified),
        }

    def faults_of_the_morning(self, now: datetime) -> dict[str, str]:
        """The promises of FRESHNESS about the newest day that is due; an older day has its own alert."""
        return {name: fault for name, fault in self.freshness(now).items() if name not in (WHOLE, COVERED)}

    # --- incidents ------------------------------------------------------------------------------------------------

    def count_failures(self, attempts: Attempts) -> None:
        """Count a run that failed just now as an attempt, whoever asked for it."""
        for incident in self.incidents.open():
            if incident.kind in ("run_failed", "dashboard_failed"):
                for day in days_of_subject(incident.problem.about or incident.subject):
                    attempts.by_day.setdefault(day, (1, incident.opened))

    def update_incidents(
        self, inspection: Inspection, attempts: Attempts, busy: Collection[date], now: datetime
    ) -> None:
        """Open and close the incidents that follow from an inspection of all days.

        Args:
            inspection: as of now.
            attempts: how often each day was run by itself.
            busy: days that are being run.
            now: the time (aware, UTC).
        """
        open_now = self.incidents.open()
        self._update_late(inspection, now)
        subjects = (incident.subject for incident in open_now if incident.kind in ("run_failed", "missing_day"))
        broken = {day for subject in subjects for day in days_of_subject(subject)}
        whole = broken & (inspection.archived - inspection.not_whole - set(busy))
        whole_as_in_bill = self._as_in_bill(whole, inspection, now)
        if whole_as_in_bill:
            self.alerting.days_done(sorted(whole_as_in_bill))
        self._update_missing(inspection, attempts, busy, open_now, whole_as_in_bill)
        kinds = {incident.kind for incident in open_now}
        if "dashboard_failed" in kinds and not inspection.dashboard_fault:
            self.incidents.close("dashboard_failed", [THE_DASHBOARD])
        if "not_fresh" in kinds:
            self.incidents.close("not_fresh", [name for name, fault in self.freshness(now).items() if not fault])
        if "restated" in kinds:
            self.alerting.close_restated(now)
        if any(incident.not_notified for incident in open_now):
            for incident in self.incidents.open():
                if incident.not_notified:
                    self.incidents.open_incident(incident.kind, incident.subject, incident.problem)

    def _as_in_bill(self, days: Collection[date], inspection: Inspection, now: datetime) -> set[date]:
        """Those of the days that are as the bill has them now, or that it no longer has; none if it cannot be read.

        Only then an incident of a day is over: an old object that is whole is not enough.
        """
        if not days or inspection.facts.unreadable:
            return set()
        unknown = [day for day in sorted(days) if inspection.states[day].as_in_bill is None]
        equal = {day for day in days if inspection.states[day].as_in_bill}
        if not unknown:
            return equal
        try:
            if is_being_written(self._warehouse.export_version(), now):
                return equal
            compared = self.inspector.bill.compare(now, unknown)
        except FinopsError:
            return equal
        if not compared.comparable:
            return equal
        prints, archived = compared.prints, compared.archived
        return equal | {
            day
            for day in unknown
            if day not in prints or (day in archived and not difference(prints[day], archived[day][1]))
        }

    def _update_late(self, inspection: Inspection, now: datetime) -> None:
        """Open the incident of a late bill, or close it where the bill has yesterday."""
        late = [gap for gap in inspection.gaps if gap.cause == causes.LATE]
        if late and now >= self.alerting.deadline(inspection.yesterday):
            self.alerting.source_late(inspection.yesterday, late[-1].detail, now)
        elif inspection.yesterday in inspection.archived or inspection.yesterday in inspection.in_bill:
            self.incidents.close("source_late", [THE_BILL])

    def _update_missing(
        self,
        inspection: Inspection,
        attempts: Attempts,
        busy: Collection[date],
        open_now: Sequence[Incident],
        whole: Collection[date],
    ) -> None:
        """Make the incidents of missing days those of days that are not whole and that nothing mends by itself.

        Args:
            inspection, attempts, busy: as in `update_incidents`.
            open_now: the open incidents.
            whole: days of open incidents that are whole by now.
        """
        failed = {
            day
            for i in open_now
            if i.kind in ("run_failed", "dashboard_failed")
            for day in days_of_subject(i.problem.about or i.subject)
        }
        missing = {}
        for gap in inspection.gaps:
            for day in gap.days:
                count, _ = attempts.by_day.get(day, (0, None))
                # A day that a run can mend is missing once that was tried in vain. A failed run and a late bill have
                # incidents of their own.
                explained = gap.cause in (causes.LATE, causes.UNREADABLE) or day in failed or day in busy
                if not explained and (count or gap.cause in CANNOT_RUN):
                    tried = f"run {count} time(s) by itself" if count else "nothing: running it would not help"
                    missing[str(day)] = Problem(f"{gap.cause}: {gap.detail}", tried, gap.mend)
        not_whole = {str(day) for day in inspection.states if day not in whole}
        lasting = {i.subject for i in open_now if i.kind == "missing_day"} & not_whole
        self.incidents.update("missing_day", {i.subject: i.problem for i in open_now if i.subject in lasting} | missing)
