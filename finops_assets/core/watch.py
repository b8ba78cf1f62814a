"""What the platform notices by itself: a new bill, changed days, days that are not whole, mails that do not arrive.

The sensors, the checks and the command ask here; what has to run they run. A look costs listings and a few small
objects, and one query when the bill was refreshed; nothing is remembered but in the archive and in what is passed in.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from finops_assets.core import losses
from finops_assets.core.errors import DamagedError
from finops_assets.core.gaps import CANNOT_RUN, Chain, Gap, expected_days, find_gaps
from finops_assets.core.incidents import Incidents, Trouble
from finops_assets.core.money import change, money
from finops_assets.core.notes import json_note, read_note
from finops_assets.core.pipeline import contiguous, days_between, delivered_until, in_words, published_map
from finops_assets.core.schemas import ACCOUNT_MAP_PATH, ACCOUNT_OU_MAP, RESTORED_FROM
from finops_assets.core.settlement import Journal, first_open_day

if TYPE_CHECKING:
    from finops_assets.core.anomalies import Episode
    from finops_assets.core.episodes import Reconciled
    from finops_assets.core.morning import Morning
    from finops_assets.core.outbox import Outbox
    from finops_assets.core.ports import Archive, Catalog, PublishedDay, Warehouse
    from finops_assets.core.restatements import Restatement

REFRESHED_PATH = "dashboard/refreshed.json"
THE_BILL, THE_DASHBOARD, THE_NEWEST_DAY = "the bill", "the dashboard", "the newest day"
"""What incidents are about that are not about a day."""

READERS = 8
LONGEST_WAIT = timedelta(days=1)

PUBLISHED, MAILED, SHOWN, TOLD = FRESHNESS = (
    "yesterday_is_published",
    "yesterday_is_mailed",
    "dashboard_is_current",
    "alerts_are_told",
)
"""What is true each morning from the deadline on, whatever was backfilled in between; names of the asset checks."""


@dataclass(frozen=True)
class Refreshed:
    """What the dashboard was last made of: the newest archived day then, and when the newest object was written."""

    newest_day: date
    newest_write: datetime

    def __post_init__(self) -> None:
        if self.newest_write.tzinfo is None:
            raise ValueError(f"newest_write has no time zone: {self.newest_write}")


@dataclass(frozen=True)
class News:
    """What a refresh of the bill means for the days that AWS may still change.

    Attributes:
        seen: names this state of bill and account map.
        new: days that are in the bill and not in the archive.
        restated: days that the archive has otherwise.
        unchanged: days that it has as the bill does.
        prints: the fingerprints that the new and restated days will have.
    """

    seen: str
    new: tuple[date, ...]
    restated: tuple[date, ...]
    unchanged: tuple[date, ...]
    prints: Mapping[date, str]


@dataclass(frozen=True)
class Look:
    """Every day's state, from listings: what is not whole, and what is there."""

    yesterday: date
    days: tuple[date, ...]
    archived: frozenset[date]
    gaps: tuple[Gap, ...]
    behind: str
    asked: str
    in_bill: frozenset[date]

    @property
    def not_whole(self) -> frozenset[date]:
        return frozenset(day for gap in self.gaps for day in gap.days)


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
    """Looks at bill, archive, catalog, dashboard and outbox, and says of each incident whether it is still one.

    Args:
        warehouse, archive, catalog, outbox, morning, journal, incidents: the parts that are looked at.
        first_day: bill.first_day.
        complete_after: bill.complete_after_hours.
        deadline: the time (UTC) at which a day's digest is due.
    """

    def __init__(
        self,
        *,
        warehouse: Warehouse,
        archive: Archive,
        catalog: Catalog,
        outbox: Outbox,
        morning: Morning,
        journal: Journal,
        incidents: Incidents,
        first_day: date,
        complete_after: float,
        deadline: Callable[[date], datetime],
    ) -> None:
        self._warehouse, self._archive, self._catalog, self._outbox = warehouse, archive, catalog, outbox
        self.morning, self.journal, self.incidents = morning, journal, incidents
        self._first_day, self._complete_after, self.deadline = first_day, complete_after, deadline

    # --- the bill -------------------------------------------------------------------------------------------------

    def news(self, now: datetime, seen: str = "") -> News | None:
        """What has changed, if bill or account map are not as they were `seen`; the refresh is counted.

        Costs one look at the bill's files and, where there is news, one query of a line a day over the days that AWS
        may still change. A day that was restored by hand is held: it is no news.
        """
        glance = self._warehouse.glance()
        map_bytes = self._archive.get(ACCOUNT_MAP_PATH)
        state = f"{glance.snapshot}-{hashlib.sha256(map_bytes or b'').hexdigest()[:8]}"
        if state == seen:
            return None
        today = now.date()
        until = min(filter(None, (today - timedelta(days=1), delivered_until(glance.updated, self._complete_after))))
        start = max(first_open_day(today), self._first_day)
        there = [day for day in self._archive.days() if day <= until]
        if until < start:
            return News(state, (), (), (), {})
        accounts = published_map(self._archive)
        known = ACCOUNT_OU_MAP.empty_table() if accounts is None else accounts
        prints = self._warehouse.fingerprints(start, until, known)
        with ThreadPoolExecutor(READERS) as readers:
            open_days = [day for day in there if day in prints]
            archived = dict(zip(open_days, readers.map(self._described, open_days), strict=True))
        # What nobody asked to keep is not begun by itself: of an empty archive, the newest day only.
        first = min(there, default=max(prints, default=until))
        new = tuple(day for day in prints if day not in archived and day >= first)
        differing = [
            day for day, found in archived.items() if not found or found.fingerprint != prints[day].fingerprint
        ]
        restated = tuple(day for day in differing if not _is_held(archived[day]))
        unchanged = tuple(day for day in archived if day not in differing)
        if accounts is None:  # nothing can be compared without it; the next run publishes it, which is news again
            return News(state, new, (), (), {day: prints[day].fingerprint for day in new})
        self.journal.record(glance.snapshot, now, unchanged=unchanged, changed=(*new, *differing), today=today)
        return News(state, new, restated, unchanged, {d: prints[d].fingerprint for d in (*new, *restated)})

    def owed(self, prints: Mapping[date, str]) -> list[date]:
        """The days that are not archived as these fingerprints say, ascending; a restored one is held."""
        found = {day: self._described(day) for day in sorted(prints)}
        return [
            day
            for day, there in found.items()
            if not there or (there.fingerprint != prints[day] and not _is_held(there))
        ]

    def _described(self, day: date) -> PublishedDay | None:
        """What the archive says of the day; nothing where its object is damaged, which a run of the day mends."""
        try:
            return self._archive.describe(day)
        except DamagedError:
            return None

    # --- the chain ------------------------------------------------------------------------------------------------

    def look(self, now: datetime, asked: str = "", in_bill: Collection[date] = ()) -> Look:
        """Which days are not whole, from the first that is archived to yesterday, without reading any of them.

        Args:
            now: the time (aware, UTC).
            asked, in_bill: what an earlier look found of absent days: `Look.asked` and `Look.in_bill`. The bill is
                asked for the days that the archive does not have, and only if it was not asked before.
        """
        yesterday = now.date() - timedelta(days=1)
        written = self._archive.written()
        days = expected_days((), written, self._first_day, yesterday) if written else [yesterday]
        absent = [day for day in days if day not in written]
        glance = self._warehouse.glance()
        state = f"{glance.snapshot} {in_words(absent) if written else 'nothing archived'}" if absent else ""
        if absent and state != asked:
            until = delivered_until(glance.updated, self._complete_after)
            in_bill = [day for day in self._warehouse.coverage() if day <= min(until or yesterday, yesterday)]
        if not written:  # what nobody asked to keep is not begun by itself: only the bill's newest day
            days = absent = days_between(max(in_bill, default=yesterday), yesterday)
        behind = self.dashboard_fault(written) if written else ""
        chain = Chain(
            covered=frozenset(in_bill) | (written.keys() if absent else frozenset()),
            archived=dict.fromkeys(written),
            registered=self._catalog.registered(),
            read=None,
            shown=None,
            behind=behind,
            mailed=self._mailed(written),
        )
        gaps = tuple(find_gaps(days, chain))
        return Look(yesterday, tuple(days), frozenset(written), gaps, behind, state, frozenset(absent) & set(in_bill))

    def _mailed(self, archived: Collection[date]) -> dict[date, str]:
        """The newest day's mail alone: of older days nobody waits for a digest, and each would be looked at."""
        newest = max(archived, default=None)
        return {newest: self._outbox.mailed(newest).state} if newest else {}

    def note_refresh(self) -> Callable[[], None]:
        """Called before the dashboard is refreshed: returns what is called after, which notes what it then shows."""
        written = self._archive.written()
        facts = {"newest_day": str(max(written)), "newest_write": max(written.values()).isoformat()}
        return lambda: self._archive.put(REFRESHED_PATH, json.dumps(facts).encode()) and None

    def dashboard_fault(self, written: Mapping[date, datetime]) -> str:
        """How the dashboard is older than the archive; empty where it is not."""
        note = json_note(Refreshed, "a note of the dashboard's refresh", REFRESHED_PATH)
        refreshed = read_note(self._archive, REFRESHED_PATH, note, None)
        if refreshed is None:
            return "it was never refreshed"
        late = [day for day, at in written.items() if at > refreshed.newest_write]
        if late:
            return f"{in_words(sorted(late))} was written after its last refresh"
        return "" if refreshed.newest_day == max(written) else f"its newest day is {refreshed.newest_day}"

    def due_day(self, now: datetime) -> date:
        """The newest day whose deadline is past."""
        yesterday = now.date() - timedelta(days=1)
        return yesterday if now >= self.deadline(yesterday) else yesterday - timedelta(days=1)

    def freshness(self, now: datetime) -> dict[str, str]:
        """Each promise of FRESHNESS with how it is broken, empty where it is kept."""
        from finops_assets.core.doctor import is_at_its_place

        day = self.due_day(now)
        written, location = self._archive.written(), self._catalog.registered().get(day)
        published = ""
        if day not in written:
            published = f"{day} is not in the archive"
        elif location is None or not is_at_its_place(location, day):
            published = f"{day} is archived, and no query sees it"
        mailed = self._outbox.mailed(day)
        untold = [f"{incident.key}: {incident.untold}" for incident in self.incidents.open() if incident.untold]
        return {
            PUBLISHED: published,
            MAILED: "" if mailed.state == "sent" else f"{day}: {mailed}",
            SHOWN: self.dashboard_fault(written) if written else "there is nothing to show",
            TOLD: "; ".join(untold),
        }

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
        """
        subject = " to ".join(map(str, days)) or "a run without a day"
        again = f"finops run --date {days[0]}" if len(days) == 1 else f"finops backfill {' '.join(map(str, days))}"
        if in_doubt and days:
            again = f"finops resend {days[-1]} --to ADDRESS, with --received if it has arrived"
        kept = "nothing was published in part, what is archived already stays as it was"
        if late and days == (now.date() - timedelta(days=1),):
            self.source_late(days[0], cause, now, run_id)
        elif step == "quicksight_dataset":
            trouble = Trouble(
                f"{subject}: {cause}", "the day is archived and queryable; readers see the old data", again
            )
            self.incidents.break_("dashboard_failed", THE_DASHBOARD, replace(trouble, run_id=run_id, about=subject))
        else:
            trouble = Trouble(f"{step} failed: {cause}", kept, again if days else "run it again from the Dagster UI")
            self.incidents.break_("run_failed", subject, replace(trouble, run_id=run_id))

    def evidence_failed(self, months: tuple[str, ...], cause: str, run_id: str) -> None:
        """A run of the evidence has failed: of one month, or from the first to the last of these."""
        mend = " and ".join(f"finops evidence make {month}" for month in months)
        trouble = Trouble(cause, "nothing: what was bundled before stays as it was", mend, run_id=run_id)
        self.incidents.break_("evidence_failed", " to ".join(months), trouble)

    def evidence_made(self, months: Collection[str]) -> None:
        """These months have their evidence; of a run of many, it is the last that is waited for."""
        there = [incident.subject for incident in self.incidents.open("evidence_failed")]
        self.incidents.heal("evidence_failed", [subject for subject in there if subject.split(" to ")[-1] in months])

    def source_late(self, day: date, cause: str, now: datetime, run_id: str = "") -> None:
        """The bill does not have the day: from its deadline on, tell the readers by a digest, the team by an alert."""
        if now < self.deadline(day):
            return
        tried = "the bill is looked at every minute, and the day is run when it is there"
        written = self._warehouse.glance().updated
        sent = self.morning.send_late(day, now, written)
        if sent:
            tried += f"; the digest went out with data through {max(d for d in self._archive.days() if d < day)}"
        mend = f"see why the export is late (`finops doctor`); a run by hand: finops run --date {day}"
        self.incidents.break_("source_late", THE_BILL, Trouble(f"{day}: {cause}", tried, mend, run_id, str(day)))

    def done(self, days: Collection[date], now: datetime | None = None) -> None:
        """These days went through the whole chain, mail included: what was said of them is no longer so."""
        for incident in self.incidents.open("run_failed"):
            if set(_days_of(incident.subject)) <= set(days):
                self.incidents.heal("run_failed", [incident.subject])
        self.incidents.heal("missing_day", [str(day) for day in days])
        if now and now.date() - timedelta(days=1) in days:
            self.incidents.heal("source_late", [THE_BILL])

    def restated(self, moves: Iterable[Restatement], currency: str) -> None:
        """Mailed days have moved far: say so until their readers have been told."""
        for move in moves:
            cause = (
                f"it was mailed with {money(move.old, currency)} and is {money(move.new, currency)} now "
                f"({change(move.delta, currency)})"
            )
            mend = (
                f"finops query \"SELECT * FROM restatements WHERE billingdate = DATE '{move.day}'\" shows each change"
            )
            trouble = Trouble(cause, "the day is archived anew; its digest is sent as a revision", mend)
            self.incidents.break_("restated", str(move.day), trouble)

    def unassigned(self, day: date, percent: float, limit: float) -> None:
        """The newest day's share without an OU."""
        trouble = Trouble(
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
        for told in found.ledger.told:
            episode = told.episode
            if episode in found.alerts:
                again = "; it was told before, and has doubled since" if told.times > 1 else ""
                trouble = Trouble(episode.reason + again, "", mend, about=_name(episode))
                troubles[_subject(episode, told.times)] = trouble
        if troubles:
            self.incidents.break_all("anomaly", troubles)
        for episodes, quietly in ((found.closed, True), (found.withdrawn, False)):
            over = tuple(f"{episode.id}, " for episode in episodes)
            there = [i.subject for i in self.incidents.open("anomaly") if f"{i.subject}, ".startswith(over)]
            if over and there:
                self.incidents.heal("anomaly", there, quietly=quietly)

    def recipients(self) -> None:
        """Who does not get the mail, as far as the mailer can tell."""
        self.incidents.settle(
            "refused",
            {
                address: Trouble(f"{found.kind}: {found.reason}", "the other recipients have the digest", found.fix)
                for address, found in self._outbox.refused().items()
            },
        )

    def count_failures(self, attempts: Attempts) -> None:
        """A run that failed just now was an attempt, whoever asked for it."""
        for incident in self.incidents.open():
            if incident.kind in ("run_failed", "dashboard_failed"):
                for day in _days_of(incident.trouble.about or incident.subject):
                    attempts.made.setdefault(day, (1, incident.opened))

    def tend(self, look: Look, attempts: Attempts, busy: Collection[date], now: datetime) -> None:
        """Open and close what only a look at everything can tell.

        Args:
            look: what was found just now.
            attempts: what was tried by itself before.
            busy: days that are being run.
            now: the time (aware, UTC).
        """
        open_now = self.incidents.open()
        failed = {
            day
            for i in open_now
            if i.kind in ("run_failed", "dashboard_failed")
            for day in _days_of(i.trouble.about or i.subject)
        }
        late = [gap for gap in look.gaps if gap.cause == "source late"]
        if late and now >= self.deadline(look.yesterday):
            self.source_late(look.yesterday, late[-1].detail, now)
        elif look.yesterday in look.archived or look.yesterday in look.in_bill:
            self.incidents.heal("source_late", [THE_BILL])
        self.done(
            [day for i in open_now for day in _days_of(i.subject) if day in look.archived - look.not_whole - set(busy)]
        )
        missing = {}
        for gap in look.gaps:
            for day in gap.days:
                hopeless = gap.cause in CANNOT_RUN
                tried = attempts.made.get(day, (0, now))[0]
                # Told only once it was tried in vain; one that a failed run or the late bill explains is told already.
                if gap.cause != "source late" and day not in failed and day not in busy and (hopeless or tried):
                    words = f"run {tried} time(s) by itself" if tried else "nothing: running it would not help"
                    missing[str(day)] = Trouble(f"{gap.cause}: {gap.detail}", words, gap.mend)
        still = {i.subject for i in open_now if i.kind == "missing_day"} & {str(day) for day in look.not_whole}
        self.incidents.settle("missing_day", {i.subject: i.trouble for i in open_now if i.subject in still} | missing)
        kinds = {incident.kind for incident in open_now}
        if "dashboard_failed" in kinds and not look.behind:
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
        }
        day = self.due_day(now)
        broken = {
            name: Trouble(fault, "", f"finops doctor --date {day}, then finops run --date {day}", about=str(day))
            for name, fault in faults.items()
            if fault and name != TOLD and not explained
        }
        known = {i.subject: i.trouble for i in self.incidents.open("not_fresh") if faults.get(i.subject)}
        self.incidents.settle("not_fresh", known | broken)


def _subject(episode: Episode, times: int) -> str:
    """What an incident of an episode is called: each time that it is told is one."""
    return episode.id if times < 2 else f"{episode.id}, doubled {times - 1}"


def _name(episode: Episode) -> str:
    parts = " ".join(part for part in (episode.ou, episode.service, episode.account) if part)
    return f"{' '.join(parts.split())} ({episode.id})"


def stretches(days: Iterable[date]) -> list[tuple[date, date]]:
    """Contiguous stretches as (first, last): a run each."""
    return [(stretch[0], stretch[-1]) for stretch in contiguous(sorted(set(days)))]


def _is_held(day: PublishedDay | None) -> bool:
    """Whether somebody has put an earlier version in the day's place."""
    return day is not None and RESTORED_FROM in day.metadata


def _days_of(subject: str) -> list[date]:
    """The days that an incident is about: `2025-09-10` or `2025-09-01 to 2025-09-10`; none of other subjects."""
    try:
        ends = [date.fromisoformat(part) for part in subject.split(" to ")]
    except ValueError:
        return []
    return days_between(ends[0], ends[-1])
