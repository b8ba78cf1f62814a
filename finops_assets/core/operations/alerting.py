"""Opens and closes the incidents of each kind, in its words.

The sensors, the steps of a run and the command say what has happened; `incidents.py` sends one alert of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from finops_assets.core.analytics.anomalies import CLOSED, PLANNED
from finops_assets.core.analytics.doubling import mend_words, question_words
from finops_assets.core.archive.comparable_days import unassigned_percent
from finops_assets.core.calendar import days_between
from finops_assets.core.errors import FinopsError
from finops_assets.core.money import change, money
from finops_assets.core.operations import losses, verification
from finops_assets.core.operations.incident_records import Problem
from finops_assets.core.operations.incidents import Incidents

if TYPE_CHECKING:
    from finops_assets.core.analytics.anomalies import Episode
    from finops_assets.core.analytics.doubling import Question
    from finops_assets.core.analytics.episodes import Reconciled
    from finops_assets.core.archive.restatements import Restatement
    from finops_assets.core.delivery.digest_service import DigestService
    from finops_assets.core.delivery.outbox import Outbox
    from finops_assets.core.ports import Archive, Warehouse
    from finops_assets.core.values import PublishedDay

THE_BILL, THE_DAYS, THE_DASHBOARD, THE_NEWEST_DAY = "the bill", "the days", "the dashboard", "the newest day"
"""What incidents are about that are not about a day."""

BLIND_FOR = timedelta(minutes=10)
"""How long an inspection fails before an incident is opened: a bill that is being copied is unreadable for a minute."""

PUBLISHED, MAILED, SHOWN, WHOLE, COVERED, NOTIFIED = FRESHNESS = (
    "yesterday_is_published",
    "yesterday_is_mailed",
    "dashboard_is_current",
    "every_day_is_whole",
    "every_line_is_in_a_day",
    "alerts_are_told",
)
"""Promises: what is true each morning from the deadline on, whatever was backfilled; names of the asset checks."""


@dataclass(frozen=True)
class FailedRun:
    """A run that has failed.

    Attributes:
        step: the asset that failed.
        days: the first and the last day of the run, or its one day; none of a run without days.
        cause: in words.
        run_id: the Dagster run.
        late: the bill does not have the day, or not whole.
        in_doubt: a message may have been accepted or not: a run does not settle that.
        job: what a run without days is a run of.
        failed_at: when the run failed, where another process reports it, afterwards: what the run has reported itself
            is not reported again.
    """

    step: str
    days: tuple[date, ...]
    cause: str
    run_id: str
    late: bool = False
    in_doubt: bool = False
    job: str = ""
    failed_at: datetime | None = None

    @property
    def mend(self) -> str:
        """The command that makes up for a run of days."""
        if self.in_doubt:
            return f"finops resend {self.days[-1]} --to ADDRESS, with --received if it has arrived"
        return f"finops {'run --date' if len(self.days) == 1 else 'backfill'} {' '.join(map(str, self.days))}"


class Alerting:
    """Opens and closes incidents.

    Args:
        archive: has the days, and copies of damaged notes.
        warehouse: tells when the bill was written.
        outbox: tells who cannot be reached.
        digests: tells which mailed days have changed; sends the digest that says that a bill is late.
        incidents: keeps the incidents and sends the alerts.
        deadline: the time (UTC) at which a day's digest is due.
        rates: gives the exchange rates that a day is shown by, in a sentence; empty where none is used.
    """

    def __init__(
        self,
        *,
        archive: Archive,
        warehouse: Warehouse,
        outbox: Outbox,
        digests: DigestService,
        incidents: Incidents,
        deadline: Callable[[date], datetime],
        rates: Callable[[date], str] = lambda _: "",
    ) -> None:
        self._archive, self._warehouse, self._outbox = archive, warehouse, outbox
        self.digests, self.incidents, self.deadline, self._rates = digests, incidents, deadline, rates

    def due_day(self, now: datetime) -> date:
        """The newest day whose deadline is past."""
        yesterday = now.date() - timedelta(days=1)
        return yesterday if now >= self.deadline(yesterday) else yesterday - timedelta(days=1)

    def run_failed(self, failure: FailedRun, now: datetime) -> None:
        """Open the incident of a failed run, of the kind that fits; a bill that may still come in time opens none.

        Args:
            failure: what failed.
            now: the time (aware, UTC).
        """
        step, days, cause, failed_at = failure.step, failure.days, failure.cause, failure.failed_at
        subject = " to ".join(map(str, days)) or failure.job or "a run without a day"
        if not days:
            mend = f"mend that, then launch {subject} again in the Dagster UI"
            problem = Problem(f"{step} failed: {cause}", "", mend, run_id=failure.run_id)
            self.incidents.open_incident("job_failed", subject, problem, failed_at=failed_at)
        elif failure.late and days == (now.date() - timedelta(days=1),):
            if failed_at is None:  # else the inspection of all days reports it, for as long as it is so
                self.source_late(days[0], cause, now, failure.run_id)
        elif step == "quicksight_dataset":
            tried = "the day is archived and queryable; the dashboard shows the old data, and the digest says so"
            problem = Problem(f"{subject}: {cause}", tried, failure.mend, run_id=failure.run_id, about=subject)
            self.incidents.open_incident("dashboard_failed", THE_DASHBOARD, problem, failed_at=failed_at)
        else:
            tried = "nothing was published in part, what is archived already stays as it was"
            problem = Problem(f"{step} failed: {cause}", tried, failure.mend, run_id=failure.run_id)
            self.incidents.open_incident("run_failed", subject, problem, failed_at=failed_at)

    def evidence_failed(
        self, months: tuple[str, ...], cause: str, run_id: str, *, failed_at: datetime | None = None
    ) -> None:
        """Open the incident of a failed run of the evidence.

        Args:
            months: the month, or the first and the last.
            cause, run_id, failed_at: as in `FailedRun`.
        """
        mend = " and ".join(f"finops evidence make {month}" for month in months)
        problem = Problem(cause, "nothing: what was bundled before stays as it was", mend, run_id=run_id)
        self.incidents.open_incident("evidence_failed", " to ".join(months), problem, failed_at=failed_at)

    def evidence_made(self, months: Collection[str]) -> None:
        """Close the incidents of these months, which have their evidence; one of a run of many with its last month."""
        subjects = [incident.subject for incident in self.incidents.open("evidence_failed")]
        self.incidents.close("evidence_failed", [each for each in subjects if each.split(" to ")[-1] in months])

    def source_late(self, day: date, cause: str, now: datetime, run_id: str = "") -> None:
        """The bill does not have the day: from its deadline on, a digest says so to readers, an alert to the team."""
        if now < self.deadline(day):
            return
        tried = "the bill is checked again by itself, and the day is run once the bill has it"
        version = self._warehouse.export_version()
        sent, age = self.digests.send_late(day, now, version.updated, version.oldest), self.digests.age(now)
        if sent and age:
            tried += f"; the digest went out with data through {age.through}"
        mend = f"see why the export is late (`finops doctor`); a run by hand: finops run --date {day}"
        old = f" {age.sentence}" if age else ""
        problem = Problem(f"{day}: {cause.rstrip('.')}.{old}", tried, mend, run_id, str(day))
        self.incidents.open_incident("source_late", THE_BILL, problem)
        self.incidents.revise("source_late", THE_BILL, problem)

    def days_done(self, days: Collection[date], now: datetime | None = None, *, shown: bool = True) -> None:
        """Close the incidents of these days, which went through the chain, mail included.

        Args:
            days: the days.
            now: the time (aware, UTC), where the bill of yesterday is now known to have arrived.
            shown: whether the dashboard shows them; a day that it does not show is not whole.
        """
        for incident in self.incidents.open("run_failed"):
            if set(days_of_subject(incident.subject)) <= set(days):
                self.incidents.close("run_failed", [incident.subject])
        if shown:
            self.incidents.close("missing_day", [str(day) for day in days])
        if now and now.date() - timedelta(days=1) in days:
            self.incidents.close("source_late", [THE_BILL])

    def days_archived(
        self,
        published: Mapping[date, PublishedDay],
        restated: Collection[date],
        now: datetime,
        *,
        unassigned_limit: float,
    ) -> None:
        """Close and open what follows from the archiving of these days.

        Args:
            published: the days of a run, ascending.
            restated: those that were published before with other rows.
            now: the time (aware, UTC).
            unassigned_limit: accounts.unassigned_limit_percent.
        """
        verification.close_mended(self._archive, self.incidents, list(published))
        newest = max(published)
        if restated:
            self.report_restated(self.digests.changes.to_correct(now), published[newest].currency)
        if newest == self._archive.days()[-1]:
            self.report_unassigned(newest, unassigned_percent(published[newest]), unassigned_limit)

    def report_restated(self, moves: Iterable[Restatement], currency: str) -> None:
        """Open an incident of each mailed day that has changed far, until its readers have the correction."""
        problems = {}
        for move in moves:
            cause = (
                f"it was mailed with {money(move.old, currency)} and is {money(move.new, currency)} now "
                f"({change(move.delta, currency)})"
            )
            mend = (
                f"finops query \"SELECT * FROM restatements WHERE billingdate = DATE '{move.day}'\" shows each change"
            )
            tried = "the day is archived anew; its digest is sent again as a revision"
            problems[str(move.day)] = Problem(self._with_rates(cause, move.day), tried, mend)
        if problems:
            self.incidents.open_incidents("restated", problems)

    def report_unassigned(self, day: date, percent: float, limit: float) -> None:
        """Open an incident where more of the newest day's cost than the limit has no OU; close it where not."""
        problem = Problem(
            f"{day}: {percent:.1f} % of the cost is Unassigned, the limit is {limit:g} %",
            "the money is counted, in the OU Unassigned",
            "give the accounts an OU: the digest and the day's metadata in Dagster list them",
            about=str(day),
        )
        self.incidents.update("unassigned", {THE_NEWEST_DAY: problem} if percent > limit else {})

    def report_anomalies(self, reconciled: Reconciled) -> None:
        """Alert of unexpected costs: once each, again whenever one has doubled, and if one is withdrawn."""
        mend = "finops anomalies lists it; a line in events.csv (anomalies.events) says that it is planned"
        problems = {}
        for notification in reconciled.ledger.notifications:
            episode = notification.episode
            if episode in reconciled.alerts:
                again = "; an earlier alert named it, and it has doubled since" if notification.times > 1 else ""
                if again and notification.late and episode.state == CLOSED:
                    again = "; an earlier alert named it, and it went on for longer"
                cause = self._with_rates(episode.reason + again, episode.last)
                problem = Problem(cause, "", mend, about=_name(episode))
                problems[_subject(episode, notification.times)] = problem
        if problems:
            self.incidents.open_incidents("anomaly", problems)
        open_now = self.incidents.open("anomaly")
        # One that is over when its alert is sent is closed then; while the alert cannot be sent, it stays open.
        episodes = (notification.episode for notification in reconciled.ledger.notifications)
        over = {episode.id for episode in episodes if episode.state in (CLOSED, PLANNED)}
        ended = [i.subject for i in open_now if i.notified and _episode_of(i.subject) in over]
        self.incidents.close("anomaly", ended, quietly=True)
        withdrawn = {episode.id for episode in reconciled.withdrawn}
        self.incidents.close("anomaly", [i.subject for i in open_now if _episode_of(i.subject) in withdrawn])

    def report_doubling(self, asked: Collection[Question], currency: str) -> None:
        """Ask once about each stretch on which the bill has doubled everywhere, until it is mended or answered.

        Args:
            asked: every stretch that is known as of the newest day; one that was over long ago is asked no more.
            currency: of its amounts.
        """
        open_now = [incident.subject for incident in self.incidents.open("doubled")]
        known = {question: [s for s in open_now if question.is_near(date.fromisoformat(s))] for question in asked}
        new = {
            str(question.first): Problem(
                self._with_rates(question_words(question, currency), question.first),
                "the days are archived as the bill has them, and are judged by nothing else until this is answered",
                mend_words(question),
                about=str(question.first),
            )
            for question, subjects in known.items()
            if question.is_asked and not subjects
        }
        if new:
            self.incidents.open_incidents("doubled", new)
        old = [subject for question, subjects in known.items() if not question.is_asked for subject in subjects]
        self.incidents.close("doubled", old, quietly=True)
        still_known = {subject for subjects in known.values() for subject in subjects}
        self.incidents.close("doubled", [subject for subject in open_now if subject not in still_known])

    def _with_rates(self, cause: str, day: date) -> str:
        """A cause that names amounts, with the exchange rates of the day that they are of."""
        rates = self._rates(day)
        return f"{cause.rstrip('.')}. {rates}" if rates else cause

    def report_refused_recipients(self) -> None:
        """Open an incident of each recipient that does not get the mail, as far as the mailer can tell."""
        self.incidents.update(
            "refused",
            {
                address: Problem(
                    f"{refused.kind}: {refused.reason}", "the other recipients have the digest", refused.fix
                )
                for address, refused in self._outbox.refused().items()
            },
        )

    def report_damaged_notes(self) -> None:
        """Open an incident of each damaged note that was put aside, and close those whose copy a person has removed."""
        losses.report(self._archive, self.incidents)

    def report_inspection(self, what: str, error: FinopsError | None, since: datetime | None, now: datetime) -> None:
        """Open an incident where a sensor's inspection fails for a while, and close it where it does not fail.

        Args:
            what: THE_BILL or THE_DAYS.
            error: why it fails; None where it does not.
            since: when it first failed (aware).
            now: the time (aware, UTC).
        """
        if error is None:
            self.incidents.close("cannot_look", [what])
        elif since and now - since >= BLIND_FOR:
            tried = f"it is tried again and again since {since:%Y-%m-%d %H:%M} UTC; nothing is noticed meanwhile"
            self.incidents.open_incident("cannot_look", what, Problem(str(error), tried, "finops doctor"))

    def close_restated(self, now: datetime) -> None:
        """Close the incidents of restated days whose readers have the correction."""
        moved = {str(move.day) for move in self.digests.changes.to_correct(now)}
        self.incidents.close("restated", [i.subject for i in self.incidents.open("restated") if i.subject not in moved])

    def report_broken_promises(self, faults: Mapping[str, str], now: datetime) -> None:
        """Open an incident of each promise that is broken at the deadline, unless an open incident explains it."""
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
            if fault and name != NOTIFIED and not explained
        }
        known = {i.subject: i.problem for i in self.incidents.open("not_fresh") if faults.get(i.subject)}
        self.incidents.update("not_fresh", known | broken)


def _subject(episode: Episode, times: int) -> str:
    """The subject of an incident of an episode, which has one for each alert."""
    return episode.id if times < 2 else f"{episode.id}, doubled {times - 1}"


def _episode_of(subject: str) -> str:
    """The id of the episode that an incident is about."""
    return subject.split(", ")[0]


def _name(episode: Episode) -> str:
    parts = " ".join(part for part in (episode.ou, episode.service, episode.account) if part)
    return f"{' '.join(parts.split())} ({episode.id})"


def days_of_subject(subject: str) -> list[date]:
    """The days that an incident is about: `2025-09-10` or `2025-09-01 to 2025-09-10`; none of other subjects."""
    try:
        ends = [date.fromisoformat(part) for part in subject.split(" to ")]
    except ValueError:
        return []
    return days_between(ends[0], ends[-1])
