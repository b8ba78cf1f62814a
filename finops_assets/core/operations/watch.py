"""What the platform notices by itself: a new bill, changed days, days that are not whole, mails that do not arrive.

The sensors, the checks and the command ask here; what has to run they run. A look costs listings and a few small
objects, and one query when the bill was refreshed; nothing is remembered but in the archive and in what is passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from finops_assets.core.analytics.anomalies import CLOSED, PLANNED
from finops_assets.core.analytics.doubling import mend_words, question_words
from finops_assets.core.archive import states
from finops_assets.core.archive.age import Age, age_of
from finops_assets.core.archive.compared import is_being_written
from finops_assets.core.archive.finding import delivered_until
from finops_assets.core.archive.settlement import Journal, first_open_day
from finops_assets.core.archive.states import CANNOT_RUN, difference
from finops_assets.core.calendar import days_between, in_words
from finops_assets.core.errors import BeingWrittenError, FinopsError
from finops_assets.core.money import change, money
from finops_assets.core.operations import losses
from finops_assets.core.operations.incidents import Incident, Incidents, Problem

if TYPE_CHECKING:
    from finops_assets.core.analytics.anomalies import Episode
    from finops_assets.core.analytics.doubling import Question
    from finops_assets.core.analytics.episodes import Reconciled
    from finops_assets.core.archive.restatements import Restatement
    from finops_assets.core.delivery.digest_service import DigestService
    from finops_assets.core.delivery.outbox import Outbox
    from finops_assets.core.operations.inspection import Inspection, Inspector
    from finops_assets.core.ports import Archive, Warehouse

THE_BILL, THE_DAYS, THE_DASHBOARD, THE_NEWEST_DAY = "the bill", "the days", "the dashboard", "the newest day"
"""What incidents are about that are not about a day."""

LONGEST_WAIT = timedelta(days=1)
BLIND_FOR = timedelta(minutes=10)
"""How long something cannot be looked at before it is told: a bill that is being copied is unreadable for a minute."""

PUBLISHED, MAILED, SHOWN, WHOLE, COVERED, TOLD = FRESHNESS = (
    "yesterday_is_published",
    "yesterday_is_mailed",
    "dashboard_is_current",
    "every_day_is_whole",
    "every_line_is_in_a_day",
    "alerts_are_told",
)
"""What is true each morning from the deadline on, whatever was backfilled in between; names of the asset checks."""


@dataclass(frozen=True)
class News:
    """What a refresh of the bill, or of the account map, means for the days.

    Attributes:
        seen: names this state of bill and account map.
        new: days that are in the bill and not in the archive.
        restated: days that the archive has otherwise.
        unchanged: days that it has as the bill does.
    """

    seen: str
    new: tuple[date, ...]
    restated: tuple[date, ...]
    unchanged: tuple[date, ...]


@dataclass
class Attempts:
    """How often a day was run by itself, and when last: each wait is twice the one before, up to a day."""

    minutes: float
    made: dict[date, tuple[int, datetime]] = field(default_factory=dict)

    def due(self, day: date, now: datetime) -> bool:
        count, last = self.made.get(day, (0, now))
        wait = min(timedelta(minutes=self.minutes) * 2 ** min(count - 1, 20), LONGEST_WAIT) if count else timedelta()
        return now >= last + wait

    def make(self, days: Iterable[date], now: datetime) -> None:
        self.made |= {day: (self.made.get(day, (0, now))[0] + 1, now) for day in days}

    def keep(self, days: Collection[date]) -> None:
        """Forget the days that are well again."""
        self.made = {day: made for day, made in self.made.items() if day in days}

    def as_record(self) -> dict[str, Any]:
        return {day.isoformat(): [count, last.isoformat()] for day, (count, last) in self.made.items()}

    @classmethod
    def from_record(cls, minutes: float, record: Mapping[str, Any]) -> Attempts:
        made = {date.fromisoformat(d): (n, datetime.fromisoformat(last)) for d, (n, last) in record.items()}
        return cls(minutes, made)


class Watch:
    """Notices new and changed days, asks for each day's state, and says of each incident whether it is still one.

    Args:
        inspector: tells the state of the days.
        warehouse, archive, outbox, morning, journal, incidents: the parts that are looked at.
        first_day: bill.first_day.
        complete_after: bill.complete_after_hours.
        deadline: the time (UTC) at which a day's digest is due.
        change_closed: bill.change_closed_days.
    """

    def __init__(
        self,
        *,
        inspector: Inspector,
        warehouse: Warehouse,
        archive: Archive,
        outbox: Outbox,
        morning: DigestService,
        journal: Journal,
        incidents: Incidents,
        first_day: date,
        complete_after: float,
        deadline: Callable[[date], datetime],
        change_closed: bool = True,
    ) -> None:
        self.inspector, self._warehouse, self._archive, self._outbox = inspector, warehouse, archive, outbox
        self.morning, self.journal, self.incidents = morning, journal, incidents
        self._first_day, self._complete_after, self.deadline = first_day, complete_after, deadline
        self._change_closed = change_closed

    # --- the bill -------------------------------------------------------------------------------------------------

    def news(self, now: datetime, seen: str = "") -> News | None:
        """What has changed, if bill or account map are not as they were `seen`; the refresh is counted.

        Costs one look at the bill's files and, where there is news, the bill's control totals, and one query of a line
        a day over the days whose files have changed, of closed months too. A day that was restored by hand is held, and
        so are closed days if the settings say so: they are no news.

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
        until = min(
            filter(None, (today - timedelta(days=1), delivered_until(export_version.updated, self._complete_after)))
        )
        there = [day for day in self._archive.days() if day <= until]
        start = max(min(there, default=first_open_day(today)), self._first_day)
        if until < start:
            return News(state, (), (), ())
        compared = self.inspector.bill.compare(now, days_between(start, until))
        prints = {day: print_ for day, print_ in compared.prints.items() if start <= day <= until}
        archived = {day: of for day, (_, of) in compared.archived.items() if day in prints}
        # What nobody asked to keep is not begun by itself: of an empty archive, the newest day only.
        first = min(there, default=max(prints, default=until))
        # A hole in the bill is a person's to judge: one that was archived with rows is followed, another is told of.
        new = tuple(day for day in prints if day not in there and day >= first and prints[day].rows)
        if not compared.comparable:  # without an account map; the next run publishes it, which is news again
            return News(state, new, (), ())
        # A day that is there and could not be described is damaged: a run of it writes it anew.
        kept = () if self._change_closed else [day for day in prints if day < first_open_day(today)]
        restated = tuple(
            day
            for day in prints
            if day in there and day not in kept and (day not in archived or difference(prints[day], archived[day]))
        )
        unlike = {day for day in archived if archived[day].fingerprint != prints[day].fingerprint}
        unchanged = tuple(day for day in archived if day not in unlike)
        self.journal.record(
            export_version.snapshot, now, unchanged=unchanged, changed=(*new, *restated, *unlike), today=today
        )
        return News(state, new, restated, unchanged)

    # --- the days -------------------------------------------------------------------------------------------------

    def inspect(self, now: datetime, asked: str = "", in_bill: Collection[date] = ()) -> Inspection:
        """The state of every day from the first that is archived to yesterday, without a query: `Inspector.cheap`."""
        return self.inspector.cheap(now, asked, in_bill)

    def age(self, now: datetime) -> Age | None:
        """How old the archive's data are; None where nothing is archived."""
        return age_of(self._archive.days(), first_day=self._first_day, now=now, deadline=self.deadline)

    def due_day(self, now: datetime) -> date:
        """The newest day whose deadline is past."""
        yesterday = now.date() - timedelta(days=1)
        return yesterday if now >= self.deadline(yesterday) else yesterday - timedelta(days=1)

    def freshness(self, now: datetime) -> dict[str, str]:
        """Each promise of FRESHNESS with how it is broken, empty where it is kept."""
        day, inspection = self.due_day(now), self.inspect(now)
        state = inspection.states.get(day) or states.state_of(day, inspection.facts)
        fault = f"{day}: {state.cause}, {state.detail}"
        mailed = self._outbox.mailed(day)
        older = {gap: [d for d in gap.days if d < day] for gap in inspection.gaps}
        others = [
            f"{in_words(days)}: {gap.cause}, {gap.detail}"
            for gap, days in older.items()
            if days and gap.cause not in (states.LATE, states.NO_SUCH_DAY)
        ]
        untold = [f"{incident.key}: {incident.untold}" for incident in self.incidents.open() if incident.untold]
        return {
            PUBLISHED: "" if state.reaches(states.READ_BACK) else fault,
            MAILED: "" if mailed.state == "sent" else f"{day}: {mailed}",
            SHOWN: inspection.dashboard_fault if inspection.archived else "there is nothing to show",
            WHOLE: "; ".join([*others, *([inspection.facts.unreadable] if inspection.facts.unreadable else [])]),
            COVERED: inspection.coverage.fault if inspection.coverage else "",
            TOLD: "; ".join(untold),
        }

    def faults_of_the_morning(self, now: datetime) -> dict[str, str]:
        """The promises of FRESHNESS about the newest day that is due; an older day has its own alert."""
        return {name: fault for name, fault in self.freshness(now).items() if name not in (WHOLE, COVERED)}

    # --- incidents ------------------------------------------------------------------------------------------------

    def failed(
        self,
        step: str,
        days: tuple[date, ...],
        cause: str,
        run_id: str,
        *,
        late: bool,
        now: datetime,
        in_doubt: bool = False,
        job: str = "",
        failed_at: datetime | None = None,
    ) -> None:
        """A run has failed: tell of it as what it is. A bill that may still come in time is no failure.

        Args:
            step: the asset that failed.
            days: the first and the last day of the run, or its one day; none of a run without days.
            cause: in words.
            run_id: the Dagster run.
            late: the bill does not have the day, or not whole.
            now: the time (aware, UTC).
            in_doubt: a message may have been accepted or not: a run does not settle that.
            job: what a run without days is a run of.
            failed_at: when the run failed, where another process tells of it, afterwards: what the run has told itself
                is not told again.
        """
        subject = " to ".join(map(str, days)) or job or "a run without a day"
        again = f"finops run --date {days[0]}" if len(days) == 1 else f"finops backfill {' '.join(map(str, days))}"
        if in_doubt and days:
            again = f"finops resend {days[-1]} --to ADDRESS, with --received if it has arrived"
        kept = "nothing was published in part, what is archived already stays as it was"
        if not days:
            trouble = Problem(
                f"{step} failed: {cause}", "", f"mend that, then launch {subject} again in the Dagster UI"
            )
            self.incidents.break_("job_failed", subject, replace(trouble, run_id=run_id), failed_at=failed_at)
        elif late and days == (now.date() - timedelta(days=1),):
            if failed_at is None:  # else the look at all days tells of it, for as long as it is so
                self.source_late(days[0], cause, now, run_id)
        elif step == "quicksight_dataset":
            tried = "the day is archived and queryable; the dashboard shows the old data, and the digest says so"
            trouble = Problem(f"{subject}: {cause}", tried, again, run_id=run_id, about=subject)
            self.incidents.break_("dashboard_failed", THE_DASHBOARD, trouble, failed_at=failed_at)
        else:
            trouble = Problem(f"{step} failed: {cause}", kept, again, run_id=run_id)
            self.incidents.break_("run_failed", subject, trouble, failed_at=failed_at)

    def evidence_failed(
        self, months: tuple[str, ...], cause: str, run_id: str, *, failed_at: datetime | None = None
    ) -> None:
        """A run of the evidence has failed: of one month, or from the first to the last; `failed_at` as in `failed`."""
        mend = " and ".join(f"finops evidence make {month}" for month in months)
        trouble = Problem(cause, "nothing: what was bundled before stays as it was", mend, run_id=run_id)
        self.incidents.break_("evidence_failed", " to ".join(months), trouble, failed_at=failed_at)

    def evidence_made(self, months: Collection[str]) -> None:
        """These months have their evidence; of a run of many, it is the last that is waited for."""
        there = [incident.subject for incident in self.incidents.open("evidence_failed")]
        self.incidents.heal("evidence_failed", [subject for subject in there if subject.split(" to ")[-1] in months])

    def source_late(self, day: date, cause: str, now: datetime, run_id: str = "") -> None:
        """The bill does not have the day: from its deadline on, tell the readers by a digest, the team by an alert."""
        if now < self.deadline(day):
            return
        tried = "the bill is looked at every minute, and the day is run when it is there"
        written = self._warehouse.export_version().updated
        sent, age = self.morning.send_late(day, now, written), self.age(now)
        if sent and age:
            tried += f"; the digest went out with data through {age.through}"
        mend = f"see why the export is late (`finops doctor`); a run by hand: finops run --date {day}"
        old = f" {age.sentence}" if age else ""
        trouble = Problem(f"{day}: {cause.rstrip('.')}.{old}", tried, mend, run_id, str(day))
        self.incidents.break_("source_late", THE_BILL, trouble)
        self.incidents.revise("source_late", THE_BILL, trouble)

    def done(self, days: Collection[date], now: datetime | None = None, *, shown: bool = True) -> None:
        """These days went through the chain, mail included: what was said of them is no longer so.

        Args:
            days: the days.
            now: the time (aware, UTC), where the bill of yesterday is now known to have arrived.
            shown: whether the dashboard shows them; a day that it does not show is not whole.
        """
        for incident in self.incidents.open("run_failed"):
            if set(_days_of(incident.subject)) <= set(days):
                self.incidents.heal("run_failed", [incident.subject])
        if shown:
            self.incidents.heal("missing_day", [str(day) for day in days])
        if now and now.date() - timedelta(days=1) in days:
            self.incidents.heal("source_late", [THE_BILL])

    def restated(self, moves: Iterable[Restatement], currency: str) -> None:
        """Mailed days have moved far: say so until their readers have been told."""
        troubles = {}
        for move in moves:
            cause = (
                f"it was mailed with {money(move.old, currency)} and is {money(move.new, currency)} now "
                f"({change(move.delta, currency)})"
            )
            mend = (
                f"finops query \"SELECT * FROM restatements WHERE billingdate = DATE '{move.day}'\" shows each change"
            )
            tried = "the day is archived anew; the digest that told it is sent as a revision"
            troubles[str(move.day)] = Problem(cause, tried, mend)
        if troubles:
            self.incidents.break_all("restated", troubles)

    def unassigned(self, day: date, percent: float, limit: float) -> None:
        """The newest day's share without an OU."""
        trouble = Problem(
            f"{day}: {percent:.1f} % of the cost is Unassigned, the limit is {limit:g} %",
            "the money is counted, in the OU Unassigned",
            "give the accounts an OU: the digest and the day's metadata in Dagster list them",
            about=str(day),
        )
        self.incidents.settle("unassigned", {THE_NEWEST_DAY: trouble} if percent > limit else {})

    def anomalies(self, found: Reconciled) -> None:
        """Tell of costs that nobody expected: once each, once more whenever one has doubled, and if it was none."""
        mend = "finops anomalies lists it; a line in events.csv (anomalies.events) says that it is planned"
        troubles = {}
        for told in found.ledger.notifications:
            episode = told.episode
            if episode in found.alerts:
                again = "; it was told before, and has doubled since" if told.times > 1 else ""
                if again and told.late and episode.state == CLOSED:
                    again = "; it was told before, and went on for longer"
                trouble = Problem(episode.reason + again, "", mend, about=_name(episode))
                troubles[_subject(episode, told.times)] = trouble
        if troubles:
            self.incidents.break_all("anomaly", troubles)
        open_now = self.incidents.open("anomaly")
        # One that is over when it is first told is put away once it was; what could not be told stays until it is.
        over = {told.episode.id for told in found.ledger.notifications if told.episode.state in (CLOSED, PLANNED)}
        put_away = [i.subject for i in open_now if i.told and _episode_of(i.subject) in over]
        self.incidents.heal("anomaly", put_away, quietly=True)
        withdrawn = {episode.id for episode in found.withdrawn}
        self.incidents.heal("anomaly", [i.subject for i in open_now if _episode_of(i.subject) in withdrawn])

    def doubled(self, asked: Collection[Question], currency: str) -> None:
        """Ask once about each stretch on which the bill has doubled everywhere, until it is mended or answered.

        Args:
            asked: every stretch that is known as of the newest day; one that was over long ago is asked no more.
            currency: of its amounts.
        """
        open_now = [incident.subject for incident in self.incidents.open("doubled")]
        known = {question: [s for s in open_now if question.is_near(date.fromisoformat(s))] for question in asked}
        new = {
            str(question.first): Problem(
                question_words(question, currency),
                "the days are archived as the bill has them, and are judged by nothing else until this is answered",
                mend_words(question),
                about=str(question.first),
            )
            for question, subjects in known.items()
            if question.is_asked and not subjects
        }
        if new:
            self.incidents.break_all("doubled", new)
        old = [subject for question, subjects in known.items() if not question.is_asked for subject in subjects]
        self.incidents.heal("doubled", old, quietly=True)
        there = {subject for subjects in known.values() for subject in subjects}
        self.incidents.heal("doubled", [subject for subject in open_now if subject not in there])

    def recipients(self) -> None:
        """Who does not get the mail, as far as the mailer can tell."""
        self.incidents.settle(
            "refused",
            {
                address: Problem(f"{found.kind}: {found.reason}", "the other recipients have the digest", found.fix)
                for address, found in self._outbox.refused().items()
            },
        )

    def count_failures(self, attempts: Attempts) -> None:
        """A run that failed just now was an attempt, whoever asked for it."""
        for incident in self.incidents.open():
            if incident.kind in ("run_failed", "dashboard_failed"):
                for day in _days_of(incident.trouble.about or incident.subject):
                    attempts.made.setdefault(day, (1, incident.opened))

    def update_incidents(
        self, inspection: Inspection, attempts: Attempts, busy: Collection[date], now: datetime
    ) -> None:
        """Open and close what only a look at everything can tell.

        Args:
            inspection: what was found just now.
            attempts: what was tried by itself before.
            busy: days that are being run.
            now: the time (aware, UTC).
        """
        open_now = self.incidents.open()
        self._tend_late(inspection, now)
        about = {day for i in open_now if i.kind in ("run_failed", "missing_day") for day in _days_of(i.subject)}
        healed = self._as_in_bill(about & (inspection.archived - inspection.not_whole - set(busy)), inspection, now)
        if healed:
            self.done(sorted(healed))
        self._tend_missing(inspection, attempts, busy, open_now, healed)
        kinds = {incident.kind for incident in open_now}
        if "dashboard_failed" in kinds and not inspection.dashboard_fault:
            self.incidents.heal("dashboard_failed", [THE_DASHBOARD])
        if "not_fresh" in kinds:
            self.incidents.heal("not_fresh", [name for name, fault in self.freshness(now).items() if not fault])
        if "restated" in kinds:
            self.tell_restated(now)
        if any(incident.untold for incident in open_now):
            for incident in self.incidents.open():
                if incident.untold:
                    self.incidents.break_(incident.kind, incident.subject, incident.trouble)

    def tell_damaged_notes(self) -> None:
        """Tell of notes of the archive that were damaged and put aside, and close what a person has looked at."""
        losses.tell(self._archive, self.incidents)

    def _as_in_bill(self, days: Collection[date], inspection: Inspection, now: datetime) -> set[date]:
        """Those of the days that are as the bill has them now, or that it does not have any more; none if it is unread.

        Whatever was said of a day is no longer so only then: an old object that is whole does not make it true.
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
        of = compared.archived
        return equal | {
            day
            for day in unknown
            if day not in compared.prints or (day in of and not difference(compared.prints[day], of[day][1]))
        }

    def _tend_late(self, inspection: Inspection, now: datetime) -> None:
        """The bill's newest day: late, or there."""
        late = [gap for gap in inspection.gaps if gap.cause == states.LATE]
        if late and now >= self.deadline(inspection.yesterday):
            self.source_late(inspection.yesterday, late[-1].detail, now)
        elif inspection.yesterday in inspection.archived or inspection.yesterday in inspection.in_bill:
            self.incidents.heal("source_late", [THE_BILL])

    def _tend_missing(
        self,
        inspection: Inspection,
        attempts: Attempts,
        busy: Collection[date],
        open_now: Sequence[Incident],
        healed: Collection[date],
    ) -> None:
        """Days that are not whole and that nothing mends by itself: told once, until they are whole."""
        failed = {
            day
            for i in open_now
            if i.kind in ("run_failed", "dashboard_failed")
            for day in _days_of(i.trouble.about or i.subject)
        }
        missing = {}
        for gap in inspection.gaps:
            for day in gap.days:
                hopeless = gap.cause in CANNOT_RUN
                tried = attempts.made.get(day, (0, None))[0]
                # Told only once it was tried in vain; one that a failed run or the late bill explains is told already.
                explained = gap.cause in (states.LATE, states.UNREADABLE) or day in failed or day in busy
                if not explained and (hopeless or tried):
                    words = f"run {tried} time(s) by itself" if tried else "nothing: running it would not help"
                    missing[str(day)] = Problem(f"{gap.cause}: {gap.detail}", words, gap.mend)
        not_healed = {str(day) for day in inspection.states if day not in healed}
        still = {i.subject for i in open_now if i.kind == "missing_day"} & not_healed
        self.incidents.settle("missing_day", {i.subject: i.trouble for i in open_now if i.subject in still} | missing)

    def cannot_look(self, what: str, error: FinopsError | None, since: datetime | None, now: datetime) -> None:
        """A sensor could not look at something: tell of it once that lasts; all clear once it can.

        Args:
            what: THE_BILL or THE_DAYS.
            error: why not; None where it could.
            since: when it first could not (aware).
            now: the time (aware, UTC).
        """
        if error is None:
            self.incidents.heal("cannot_look", [what])
        elif since and now - since >= BLIND_FOR:
            tried = f"it is looked at every minute since {since:%Y-%m-%d %H:%M} UTC; nothing is noticed meanwhile"
            self.incidents.break_("cannot_look", what, Problem(str(error), tried, "finops doctor"))

    def tell_restated(self, now: datetime) -> None:
        """Close what the readers have been told of."""
        moved = {str(move.day) for move in self.morning.calling_for_correction(now)}
        self.incidents.heal("restated", [i.subject for i in self.incidents.open("restated") if i.subject not in moved])

    def not_fresh(self, faults: Mapping[str, str], now: datetime) -> None:
        """Tell of promises that are broken at the deadline, unless what breaks them was told already."""
        explained = {i.kind for i in self.incidents.open()} & {
            "run_failed",
            "source_late",
            "missing_day",
            "dashboard_failed",
            "cannot_look",
        }
        day = self.due_day(now)
        broken = {
            name: Problem(fault, "", f"finops doctor --date {day}, then finops run --date {day}", about=str(day))
            for name, fault in faults.items()
            if fault and name != TOLD and not explained
        }
        known = {i.subject: i.trouble for i in self.incidents.open("not_fresh") if faults.get(i.subject)}
        self.incidents.settle("not_fresh", known | broken)


def _subject(episode: Episode, times: int) -> str:
    """What an incident of an episode is called: each time that it is told is one."""
    return episode.id if times < 2 else f"{episode.id}, doubled {times - 1}"


def _episode_of(subject: str) -> str:
    """The id of the episode that an incident is about."""
    return subject.split(", ")[0]


def _name(episode: Episode) -> str:
    parts = " ".join(part for part in (episode.ou, episode.service, episode.account) if part)
    return f"{' '.join(parts.split())} ({episode.id})"


def _days_of(subject: str) -> list[date]:
    """The days that an incident is about: `2025-09-10` or `2025-09-01 to 2025-09-10`; none of other subjects."""
    try:
        ends = [date.fromisoformat(part) for part in subject.split(" to ")]
    except ValueError:
        return []
    return days_between(ends[0], ends[-1])
