"""What is wrong now, and who was told: an alert when something breaks, an all-clear when it heals, none between.

Incidents are small objects in the archive, so that restarts, other processes and a lost DAGSTER_HOME change nothing:

    incidents/open/<kind>/<subject>.json                         there while it is broken
    incidents/closed/2025-09/<opened>-<kind>-<subject>.json      what it was, and when it healed

Each is created before anybody is told, by one writer only, and says afterwards that they were. A message that could
not be sent is kept as `untold` with the reason, shown by `finops status` and a check, and tried again; one whose writer
was killed between the two is sent again after `STILL_TELLING`: rather twice than not at all.

An alert needs no disk: where an incident cannot be noted (no space, no rights, a bucket out of reach), people are told
all the same, and that it could not be noted. The process that told remembers it for `REMINDER`; another tells again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from finops_assets.core.errors import DamagedError, FinopsError
from finops_assets.core.notes import read_note
from finops_assets.core.records import RecordType
from finops_assets.core.text import sentence, tidy, tidy_lines

if TYPE_CHECKING:
    from finops_assets.core.ports import Alerts, Archive

OPEN, CLOSED = "incidents/open/", "incidents/closed/"
STILL_TELLING = timedelta(minutes=10)
REMINDER = timedelta(hours=1)
SHOWN, LONGEST_SUBJECT = 10, 200
"""Incidents of one kind that one mail spells out, the others are counted; and characters of an alert's subject."""


class Kind(NamedTuple):
    """A kind of incident: what its alert and its all-clear say, and its heading in docs/runbook.md."""

    broken: str
    healed: str
    heading: str


KINDS = {
    "run_failed": Kind("a run failed", "the days of the failed run are whole", "A run failed"),
    "job_failed": Kind("a job failed", "the job has run through", "A job failed"),
    "dashboard_failed": Kind(
        "the dashboard was not refreshed", "the dashboard is current again", "The dashboard was not refreshed"
    ),
    "source_late": Kind("the bill is late", "the bill has arrived", "The bill is late"),
    "cannot_look": Kind("something cannot be looked at", "it can be looked at again", "Something cannot be looked at"),
    "missing_day": Kind("a day is missing", "the day is there", "A day is missing"),
    "damaged_day": Kind("a day is damaged", "the day is as it was written", "A day is damaged"),
    "damaged_note": Kind("a note was damaged", "the note is put away", "A note was damaged"),
    "not_fresh": Kind("yesterday is not done", "yesterday is done", "Yesterday is not done"),
    "restated": Kind("AWS changed a day that was mailed", "the change was mailed", "A mailed day was restated"),
    "evidence_failed": Kind("a month has no evidence", "the evidence is made", "A month has no evidence"),
    "refused": Kind("a recipient does not get the digest", "the recipient can be reached", "A mail bounced"),
    "anomaly": Kind("a cost that nobody expected", "an anomaly was withdrawn", "A cost that nobody expected"),
    "doubled": Kind(
        "the bill has doubled everywhere", "the doubled bill is mended or answered", "The bill has doubled everywhere"
    ),
    "unassigned": Kind("too much cost has no OU", "the cost has its OUs", "Too much cost is Unassigned"),
    "doctor": Kind("the morning's check-up found a fault", "the check-up finds nothing", "The check-up found a fault"),
}


@dataclass(frozen=True)
class Problem:
    """What is wrong: a sentence for each question of whoever is woken by it.

    Attributes:
        cause: why, and of which day.
        tried: what the platform has done about it.
        mend: the command that mends it, or what to wait for.
        run_id: the Dagster run, if there was one.
        about: what the message's subject names, where that is not the incident's own.
    """

    cause: str
    tried: str = ""
    mend: str = ""
    run_id: str = ""
    about: str = ""


@dataclass(frozen=True)
class Incident:
    """A trouble with its history; `told` and `all_clear` are where the messages went, `untold` why one did not."""

    kind: str
    subject: str
    trouble: Problem
    opened: datetime
    told: str = ""
    untold: str = ""
    healed: datetime | None = None
    all_clear: str = ""
    tried_at: datetime | None = field(default=None, compare=False)

    @property
    def key(self) -> str:
        return f"{self.kind}/{self.subject}"

    @property
    def _name(self) -> str:
        return f"{self.opened:%Y%m%dT%H%M%S}-{self.kind}-{quote(self.subject, safe='')}"

    @property
    def open_path(self) -> str:
        return _open_path(self.kind, self.subject)

    @property
    def path(self) -> str:
        """Where it is noted now."""
        return self.closed_path if self.healed else self.open_path

    @property
    def closed_path(self) -> str:
        return f"{CLOSED}{self.opened:%Y-%m}/{self._name}.json"


RECORD = RecordType[Incident](Incident, "an incident")


class Incidents:
    """Opens and closes incidents, and tells people of both.

    Args:
        archive: keeps them.
        alerts: the channel.
        clock: tells the time (aware, UTC).
        run_link: a Dagster run's id -> where a person sees it.
        runbook: where docs/runbook.md is: a heading's anchor is put behind it.
    """

    def __init__(
        self,
        archive: Archive,
        alerts: Alerts,
        *,
        clock: Callable[[], datetime],
        run_link: Callable[[str], str] = str,
        runbook: str = "docs/runbook.md",
    ) -> None:
        self._archive, self._alerts, self._clock = archive, alerts, clock
        self._run_link, self._runbook = run_link, runbook
        self._not_noted: dict[str, tuple[datetime, str]] = {}  # path of the note -> when and where it was told

    def open(self, kind: str = "") -> list[Incident]:
        """The incidents that are open, of one kind or of all, the oldest first."""
        prefix = f"{OPEN}{kind}/" if kind else OPEN
        found = [incident for path in self._archive.list(prefix) if (incident := self._read(path))]
        return sorted(found, key=lambda incident: (incident.opened, incident.key))

    def closed(self, month: str = "") -> list[Incident]:
        """What has healed, of a month (`2025-09`, in which it opened) or ever, the oldest first."""
        found = [incident for path in self._archive.list(f"{CLOSED}{month}") if (incident := self._read(path))]
        return sorted(found, key=lambda incident: (incident.opened, incident.key))

    def settle(self, kind: str, troubles: Mapping[str, Problem]) -> None:
        """Say what is wrong of this kind now, all of it: what is new is told, what is no longer there is all clear.

        Raises:
            FinopsError: what has healed cannot be noted, which is then told later; or something is wrong that could
                neither be noted nor told.
        """
        known = self._open_by_subject(kind)
        still = {_open_path(kind, subject) for subject in troubles}
        for path in [path for path in self._not_noted if path.startswith(f"{OPEN}{kind}/") and path not in still]:
            del self._not_noted[path]
        try:
            self.heal(kind, [subject for subject in known if subject not in troubles], known=known)
        finally:  # what is wrong is told, whatever hinders what is well again
            self._break(kind, troubles, known)

    def break_(self, kind: str, subject: str, trouble: Problem, *, failed_at: datetime | None = None) -> None:
        """Say that one thing is wrong, whatever else is.

        Args:
            kind, subject: what is wrong.
            trouble: how.
            failed_at: when that was so, if it was a while ago: what was told then and has healed since is passed over.
        """
        if not (failed_at and self._was_told(kind, subject, trouble.run_id, failed_at)):
            self.break_all(kind, {subject: trouble})

    def break_all(self, kind: str, troubles: Mapping[str, Problem]) -> None:
        """Say that these are wrong, whatever else is, in one message.

        Raises:
            FinopsError: something could neither be noted nor told.
        """
        self._break(kind, troubles, self._open_by_subject(kind))

    def revise(self, kind: str, subject: str, trouble: Problem) -> None:
        """Note what is wrong with an open incident now, where its cause has changed since it was told; tells nobody."""
        there = self._read(_open_path(kind, subject))
        if there and there.told and there.trouble.cause != trouble.cause:
            RECORD.write(self._archive, there.open_path, replace(there, trouble=trouble))

    def heal(
        self,
        kind: str,
        subjects: Sequence[str],
        *,
        known: Mapping[str, Incident] | None = None,
        quietly: bool = False,
    ) -> None:
        """Say that these are well again, or put them away `quietly`; those that are not open are passed over."""
        there = {incident.subject: incident for incident in self.open(kind)} if known is None else known
        for subject in subjects:
            self._not_noted.pop(_open_path(kind, subject), None)
        healed = [replace(there[subject], healed=self._clock()) for subject in subjects if subject in there]
        closing = [begun for incident in healed if (begun := self._begun(incident.closed_path, incident))]
        self._tell(closing, quietly=quietly)

    def _open_by_subject(self, kind: str) -> dict[str, Incident]:
        """The open incidents; none where they cannot be read, as what is wrong is told all the same."""
        try:
            return {incident.subject: incident for incident in self.open(kind)}
        except FinopsError:
            return {}

    def _was_told(self, kind: str, subject: str, run_id: str, at: datetime) -> bool:
        """Whether an incident that has healed since is of this run, or was open at that time."""
        ending = f"-{kind}-{quote(subject, safe='')}.json"
        try:
            closed = [self._read(path) for path in self._archive.list(CLOSED) if path.endswith(ending)]
        except FinopsError:  # rather told twice than not at all
            return False
        return any(
            (run_id and incident.trouble.run_id == run_id) or incident.opened <= at <= (incident.healed or at)
            for incident in closed
            if incident
        )

    def _break(self, kind: str, troubles: Mapping[str, Problem], known: Mapping[str, Incident]) -> None:
        opening, cannot_be_noted, reason = [], [], None
        for subject, trouble in sorted(troubles.items()):
            incident = known.get(subject) or Incident(kind, subject, trouble, self._clock())
            if incident.told:
                continue
            try:
                if begun := self._begun(incident.open_path, incident):
                    opening.append(begun)
            except FinopsError as error:
                reason = error
                if not self._told_without_note(incident.open_path):
                    cannot_be_noted.append(incident)
        self._tell(opening)
        if cannot_be_noted:
            self._tell_without_note(cannot_be_noted, reason)

    def _told_without_note(self, path: str) -> str:
        """Where this process told of it within the last `REMINDER` without a note; empty if it did not."""
        at, where = self._not_noted.get(path, (None, ""))
        return where if at and self._clock() - at < REMINDER else ""

    def _tell_without_note(self, incidents: Sequence[Incident], reason: FinopsError | None) -> None:
        """Tell of what the archive does not take.

        Raises:
            FinopsError: the channel does not take it either.
        """
        subject, text, number = self._words(incidents)
        text += (
            f"\nThis alert could not be noted in the archive ({sentence(str(reason))}). Until it can be, no "
            "all-clear comes, and the same may be told again.\n"
        )
        try:
            sent = self._alerts.send(subject, text, number)
        except FinopsError as error:
            names = ", ".join(incident.key for incident in incidents)
            raise FinopsError(f"nobody was told of {names}, which cannot be noted either: {reason}; {error}") from error
        self._not_noted |= {incident.open_path: (self._clock(), sent) for incident in incidents}

    def _begun(self, path: str, incident: Incident) -> Incident | None:
        """The incident, if it is ours to tell of: created by us, or left untold by whoever created it."""
        trying = replace(incident, untold="", tried_at=self._clock())
        if RECORD.create(self._archive, path, trying):
            return trying
        there = self._read(path)
        if there is None:
            return None
        done = there.all_clear if incident.healed else there.told
        if done:  # killed after it was told, before it was put away
            if incident.healed:
                self._archive.delete([incident.open_path])
            return None
        if not there.untold and self._clock() - (there.tried_at or there.opened) < STILL_TELLING:
            return None
        return replace(there, untold="", tried_at=self._clock())

    def _tell(self, incidents: Sequence[Incident], *, quietly: bool = False) -> None:
        """One message for all of them, or none: they are of one kind, and all broken or all healed."""
        told_before = {incident.path: self._told_without_note(incident.path) for incident in incidents}
        for incident in incidents:
            if where := told_before[incident.path]:
                self._note(incident, where)
        incidents = [incident for incident in incidents if not told_before[incident.path]]
        if not incidents:
            return
        sent = untold = ""
        silent = "it is over, which nobody need be told" if quietly else ""
        if all(incident.healed and not incident.told for incident in incidents):
            silent = "nobody was told that it broke"
        try:
            sent = silent or self._alerts.send(*self._words(incidents))
        except FinopsError as error:
            untold = str(error)
        for incident in incidents:
            self._not_noted.pop(incident.path, None)
            self._note(incident, sent, untold)

    def _note(self, incident: Incident, sent: str, untold: str = "") -> None:
        """Note that an incident was told, or why it was not; what was told and cannot be noted is remembered."""
        done = replace(incident, untold=untold, **({"all_clear" if incident.healed else "told": sent}))
        try:
            RECORD.write(self._archive, done.path, done)
        except FinopsError:
            if not sent:
                raise
            self._not_noted.setdefault(done.path, (self._clock(), sent))
            return
        self._not_noted.pop(done.path, None)
        if done.healed and done.all_clear:
            self._archive.delete([done.open_path])

    def _words(self, incidents: Sequence[Incident]) -> tuple[str, str, str]:
        """Subject, text and id of a message."""
        kind = KINDS[incidents[0].kind]
        healed = incidents[0].healed is not None
        about = list(dict.fromkeys(incident.trouble.about or incident.subject for incident in incidents))
        subjects, more = ", ".join(about[:3]), f" and {len(about) - 3} more" if len(about) > 3 else ""
        title = f"all clear, {kind.healed}" if healed else kind.broken
        parts = [self._healed_words(i) if healed else self._broken_words(i) for i in incidents[:SHOWN]]
        if len(incidents) > SHOWN:
            parts.append(f"And {len(incidents) - SHOWN} more: {', '.join(i.subject for i in incidents[SHOWN:])}\n")
        anchor = kind.heading.lower().replace(" ", "-")
        text = "\n".join(parts) + f"\nRunbook: {self._runbook}#{anchor}\n"
        names = "\n".join(sorted(incident.closed_path for incident in incidents))
        at = incidents[0].healed or incidents[0].opened
        number = f"{at:%Y%m%dT%H%M%SZ}-{incidents[0].kind}-{hashlib.sha256(names.encode()).hexdigest()[:8]}"
        number = f"{number}-clear" if healed else number
        return tidy(f"FinOps: {title}: {subjects}{more}", LONGEST_SUBJECT), tidy_lines(text), number

    def _broken_words(self, incident: Incident) -> str:
        trouble = incident.trouble
        lines = [f"{sentence(incident.subject)}: {sentence(trouble.cause)}", ""]
        lines += [f"Tried: {sentence(trouble.tried)}"] if trouble.tried else []
        lines += [f"Mend it: {sentence(trouble.mend)}"] if trouble.mend else []
        lines += [f"Dagster run: {self._run_link(trouble.run_id)}"] if trouble.run_id else []
        return "\n".join([*lines, f"Since: {incident.opened:%Y-%m-%d %H:%M} UTC"]) + "\n"

    def _healed_words(self, incident: Incident) -> str:
        return (
            f"{sentence(incident.subject)}: well again since {incident.healed:%Y-%m-%d %H:%M} UTC, "
            f"broken since {incident.opened:%Y-%m-%d %H:%M} UTC.\nIt was: {sentence(incident.trouble.cause)}\n"
        )

    def _read(self, path: str) -> Incident | None:
        """An incident; None where there is none, or a damaged one was put aside."""
        return read_note(self._archive, path, partial(_parsed, path), None)


def _parsed(path: str, data: bytes) -> Incident:
    """An incident of its object.

    Raises:
        DamagedError: it is none, or another's.
    """
    incident = RECORD.decode(data, path)
    times = (incident.opened, incident.healed, incident.tried_at)
    ends = tuple(f"{incident.kind}{mark}{quote(incident.subject, safe='')}.json" for mark in "/-")
    if any(time and time.tzinfo is None for time in times) or not path.endswith(ends):
        raise DamagedError("is not this incident", where=path)
    return incident


def _open_path(kind: str, subject: str) -> str:
    return f"{OPEN}{kind}/{quote(subject, safe='')}.json"
