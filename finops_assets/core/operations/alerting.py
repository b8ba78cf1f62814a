"""What is told to whom is responsible: each kind of problem in the words of its incident, opened and closed.

The sensors, the steps of a run and the command say what has happened; `incidents.py` sees to it that it is told once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
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


class Alerting:
    """Opens and closes incidents.

    Args:
        archive: has the days, and copies of damaged notes.
        warehouse: tells when the bill was written.
        outbox: tells who cannot be reached.
        digests: tells which mailed days have moved; sends the digest that says that a bill is late.
        incidents: what was told.
        deadline: the time (UTC) at which a day's digest is due.
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
    ) -> None:
        self._archive, self._warehouse, self._outbox = archive, warehouse, outbox
        self.digests, self.incidents, self.deadline = digests, incidents, deadline

    def due_day(self, now: datetime) -> date:
        """The newest day whose deadline is past."""
        yesterday = now.date() - timedelta(days=1)
        return yesterday if now >= self.deadline(yesterday) else yesterday - timedelta(days=1)

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
            problem = Problem(
                f"{step} failed: {cause}", "", f"mend that, then launch {subject} again in the Dagster UI"
            )
            self.incidents.open_incident("job_failed", subject, replace(problem, run_id=run_id), failed_at=failed_at)
        elif late and days == (now.date() - timedelta(days=1),):
            if failed_at is None:  # else the look at all days tells of it, for as long as it is so
                self.source_late(days[0], cause, now, run_id)
        elif step == "quicksight_dataset":
            tried = "the day is archived and queryable; the dashboard shows the old data, and the digest says so"
            problem = Problem(f"{subject}: {cause}", tried, again, run_id=run_id, about=subject)
            self.incidents.open_incident("dashboard_failed", THE_DASHBOARD, problem, failed_at=failed_at)
        else:
            problem = Problem(f"{step} failed: {cause}", kept, again, run_id=run_id)
            self.incidents.open_incident("run_failed", subject, problem, failed_at=failed_at)

    def evidence_failed(
        self, months: tuple[str, ...], cause: str, run_id: str, *, failed_at: datetime | None = None
    ) -> None:
        """A run of the evidence has failed: of one month, or from the first to the last; `failed_at` as in `failed`."""
        mend = " and ".join(f"finops evidence make {month}" for month in months)
        problem = Problem(cause, "nothing: what was bundled before stays as it was", mend, run_id=run_id)
        self.incidents.open_incident("evidence_failed", " to ".join(months), problem, failed_at=failed_at)

    def evidence_made(self, months: Collection[str]) -> None:
        """These months have their evidence; of a run of many, it is the last that is waited for."""
        there = [incident.subject for incident in self.incidents.open("evidence_failed")]
        self.incidents.close("evidence_failed", [subject for subject in there if subject.split(" to ")[-1] in months])

    def source_late(self, day: date, cause: str, now: datetime, run_id: str = "") -> None:
        """The bill does not have the day: from its deadline on, tell the readers by a digest, the team by an alert."""
        if now < self.deadline(day):
            return
        tried = "the bill is looked at every minute, and the day is run when it is there"
        written = self._warehouse.export_version().updated
        sent, age = self.digests.send_late(day, now, written), self.digests.age(now)
        if sent and age:
            tried += f"; the digest went out with data through {age.through}"
        mend = f"see why the export is late (`finops doctor`); a run by hand: finops run --date {day}"
        old = f" {age.sentence}" if age else ""
        problem = Problem(f"{day}: {cause.rstrip('.')}.{old}", tried, mend, run_id, str(day))
        self.incidents.open_incident("source_late", THE_BILL, problem)
        self.incidents.revise("source_late", THE_BILL, problem)

    def done(self, days: Collection[date], now: datetime | None = None, *, shown: bool = True) -> None:
        """These days went through the chain, mail included: what was said of them is no longer so.

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

    def archived(
        self,
        published: Mapping[date, PublishedDay],
        restated: Collection[date],
        now: datetime,
        *,
        unassigned_limit: float,
    ) -> None:
        """These days were archived: what that heals, and what is to be told of them.

        Args:
            published: the days of a run, ascending.
            restated: those that were published before with other rows.
            now: the time (aware, UTC).
            unassigned_limit: accounts.unassigned_limit_percent.
        """
        verification.mended(self._archive, self.incidents, list(published))
        newest = max(published)
        if restated:
            self.restated(self.digests.changes.to_correct(now), published[newest].currency)
        if newest == self._archive.days()[-1]:
            self.unassigned(newest, unassigned_percent(published[newest]), unassigned_limit)

    def restated(self, moves: Iterable[Restatement], currency: str) -> None:
        """Mailed days have moved far: say so until their readers have been told."""
        problems = {}
        for move in moves:
            cause = (
                f"it was mailed with {money(move.old, currency)} and is {money(move.new, currency)} now "
                f"({change(move.delta, currency)})"
            )
            mend = (
                f"finops query \"SELECT * FROM restatements WHERE billingdate = DATE '{move.day}'\" shows each change"
            )
            tried = "the day is archived anew; the digest that told it is sent as a revision"
            problems[str(move.day)] = Problem(cause, tried, mend)
        if problems:
            self.incidents.open_incidents("restated", problems)

    def unassigned(self, day: date, percent: float, limit: float) -> None:
        """The newest day's share without an OU."""
        problem = Problem(
            f"{day}: {percent:.1f} % of the cost is Unassigned, the limit is {limit:g} %",
            "the money is counted, in the OU Unassigned",
            "give the accounts an OU: the digest and the day's metadata in Dagster list them",
            about=str(day),
        )
        self.incidents.update("unassigned", {THE_NEWEST_DAY: problem} if percent > limit else {})

    def anomalies(self, found: Reconciled) -> None:
        """Tell of costs that nobody expected: once each, once more whenever one has doubled, and if it was none."""
        mend = "finops anomalies lists it; a line in events.csv (anomalies.events) says that it is planned"
        problems = {}
        for told in found.ledger.notifications:
            episode = told.episode
            if episode in found.alerts:
                again = "; it was told before, and has doubled since" if told.times > 1 else ""
                if again and told.late and episode.state == CLOSED:
                    again = "; it was told before, and went on for longer"
                problem = Problem(episode.reason + again, "", mend, about=_name(episode))
                problems[_subject(episode, told.times)] = problem
        if problems:
            self.incidents.open_incidents("anomaly", problems)
        open_now = self.incidents.open("anomaly")
        # One that is over when it is first told is put away once it was; what could not be told stays until it is.
        over = {told.episode.id for told in found.ledger.notifications if told.episode.state in (CLOSED, PLANNED)}
        put_away = [i.subject for i in open_now if i.notified and _episode_of(i.subject) in over]
        self.incidents.close("anomaly", put_away, quietly=True)
        withdrawn = {episode.id for episode in found.withdrawn}
        self.incidents.close("anomaly", [i.subject for i in open_now if _episode_of(i.subject) in withdrawn])

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
            self.incidents.open_incidents("doubled", new)
        old = [subject for question, subjects in known.items() if not question.is_asked for subject in subjects]
        self.incidents.close("doubled", old, quietly=True)
        there = {subject for subjects in known.values() for subject in subjects}
        self.incidents.close("doubled", [subject for subject in open_now if subject not in there])

    def recipients(self) -> None:
        """Who does not get the mail, as far as the mailer can tell."""
        self.incidents.update(
            "refused",
            {
                address: Problem(f"{found.kind}: {found.reason}", "the other recipients have the digest", found.fix)
                for address, found in self._outbox.refused().items()
            },
        )

    def tell_damaged_notes(self) -> None:
        """Tell of notes of the archive that were damaged and put aside, and close what a person has looked at."""
        losses.tell(self._archive, self.incidents)

    def cannot_look(self, what: str, error: FinopsError | None, since: datetime | None, now: datetime) -> None:
        """A sensor could not look at something: tell of it once that lasts; all clear once it can.

        Args:
            what: THE_BILL or THE_DAYS.
            error: why not; None where it could.
            since: when it first could not (aware).
            now: the time (aware, UTC).
        """
        if error is None:
            self.incidents.close("cannot_look", [what])
        elif since and now - since >= BLIND_FOR:
            tried = f"it is looked at every minute since {since:%Y-%m-%d %H:%M} UTC; nothing is noticed meanwhile"
            self.incidents.open_incident("cannot_look", what, Problem(str(error), tried, "finops doctor"))

    def tell_restated(self, now: datetime) -> None:
        """Close what the readers have been told of."""
        moved = {str(move.day) for move in self.digests.changes.to_correct(now)}
        self.incidents.close("restated", [i.subject for i in self.incidents.open("restated") if i.subject not in moved])

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
        known = {i.subject: i.problem for i in self.incidents.open("not_fresh") if faults.get(i.subject)}
        self.incidents.update("not_fresh", known | broken)


def _subject(episode: Episode, times: int) -> str:
    """What an incident of an episode is called: each time that it is told is one."""
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
