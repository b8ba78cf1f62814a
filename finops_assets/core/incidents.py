"""What is wrong now, and who was told: an alert when something breaks, an all-clear when it heals, none between.

Incidents are small objects in the archive, so that restarts, other processes and a lost DAGSTER_HOME change nothing:

    incidents/open/<kind>/<subject>.json                         there while it is broken
    incidents/closed/2025-09/<opened>-<kind>-<subject>.json      what it was, and when it healed

Each is created before anybody is told, by one writer only, and says afterwards that they were. A message that could
not be sent is kept as `untold` with the reason, shown by `finops status` and a check, and tried again; one whose writer
was killed between the two is sent again after `STILL_TELLING`: rather twice than not at all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from finops_assets.core.errors import DamagedError, FinopsError
from finops_assets.core.notes import json_note, read_note

if TYPE_CHECKING:
    from finops_assets.core.ports import Alerts, Archive

OPEN, CLOSED = "incidents/open/", "incidents/closed/"
STILL_TELLING = timedelta(minutes=10)
SHOWN = 10
"""Incidents of one kind that one mail spells out; the others are counted."""


class Kind(NamedTuple):
    """A kind of incident: what its alert and its all-clear say, and its heading in docs/runbook.md."""

    broken: str
    healed: str
    heading: str


KINDS = {
    "run_failed": Kind("a run failed", "the days of the failed run are whole", "A run failed"),
    "dashboard_failed": Kind(
        "the dashboard was not refreshed", "the dashboard is current again", "The dashboard was not refreshed"
    ),
    "source_late": Kind("the bill is late", "the bill has arrived", "The bill is late"),
    "missing_day": Kind("a day is missing", "the day is there", "A day is missing"),
    "damaged_day": Kind("a day is damaged", "the day is as it was written", "A day is damaged"),
    "damaged_note": Kind("a note was damaged", "the note is put away", "A note was damaged"),
    "not_fresh": Kind("yesterday is not done", "yesterday is done", "Yesterday is not done"),
    "restated": Kind("AWS changed a day that was mailed", "the change was mailed", "A mailed day was restated"),
    "evidence_failed": Kind("a month has no evidence", "the evidence is made", "A month has no evidence"),
    "refused": Kind("a recipient does not get the digest", "the recipient can be reached", "A mail bounced"),
    "anomaly": Kind("a cost that nobody expected", "an anomaly was withdrawn", "A cost that nobody expected"),
    "unassigned": Kind("too much cost has no OU", "the cost has its OUs", "Too much cost is Unassigned"),
    "doctor": Kind("the morning's check-up found a fault", "the check-up finds nothing", "The check-up found a fault"),
}


@dataclass(frozen=True)
class Trouble:
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
    trouble: Trouble
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
        return f"{OPEN}{self.kind}/{quote(self.subject, safe='')}.json"

    @property
    def closed_path(self) -> str:
        return f"{CLOSED}{self.opened:%Y-%m}/{self._name}.json"


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

    def open(self, kind: str = "") -> list[Incident]:
        """The incidents that are open, of one kind or of all, the oldest first."""
        prefix = f"{OPEN}{kind}/" if kind else OPEN
        found = [incident for path in self._archive.list(prefix) if (incident := self._read(path))]
        return sorted(found, key=lambda incident: (incident.opened, incident.key))

    def closed(self, month: str = "") -> list[Incident]:
        """What has healed, of a month (`2025-09`, in which it opened) or ever, the oldest first."""
        found = [incident for path in self._archive.list(f"{CLOSED}{month}") if (incident := self._read(path))]
        return sorted(found, key=lambda incident: (incident.opened, incident.key))

    def settle(self, kind: str, troubles: Mapping[str, Trouble]) -> None:
        """Say what is wrong of this kind now, all of it: what is new is told, what is no longer there is all clear."""
        there = {incident.subject: incident for incident in self.open(kind)}
        self.heal(kind, [subject for subject in there if subject not in troubles], known=there)
        self._break(kind, troubles, there)

    def break_(self, kind: str, subject: str, trouble: Trouble) -> None:
        """Say that one thing is wrong, whatever else is."""
        self.break_all(kind, {subject: trouble})

    def break_all(self, kind: str, troubles: Mapping[str, Trouble]) -> None:
        """Say that these are wrong, whatever else is, in one message."""
        self._break(kind, troubles, {incident.subject: incident for incident in self.open(kind)})

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
        healed = [replace(there[subject], healed=self._clock()) for subject in subjects if subject in there]
        closing = [begun for incident in healed if (begun := self._begun(incident.closed_path, incident))]
        self._tell(closing, quietly=quietly)

    def _break(self, kind: str, troubles: Mapping[str, Trouble], there: Mapping[str, Incident]) -> None:
        opening = []
        for subject, trouble in sorted(troubles.items()):
            incident = there.get(subject) or Incident(kind, subject, trouble, self._clock())
            if not incident.told and (begun := self._begun(incident.open_path, incident)):
                opening.append(begun)
        self._tell(opening)

    def _begun(self, path: str, incident: Incident) -> Incident | None:
        """The incident, if it is ours to tell of: created by us, or left untold by whoever created it."""
        trying = replace(incident, untold="", tried_at=self._clock())
        if self._archive.create(path, _json(trying)):
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
            done = replace(incident, untold=untold, **({"all_clear" if incident.healed else "told": sent}))
            self._archive.put(done.closed_path if done.healed else done.open_path, _json(done))
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
        return f"FinOps: {title}: {subjects}{more}", text, f"{number}-clear" if healed else number

    def _broken_words(self, incident: Incident) -> str:
        trouble = incident.trouble
        lines = [f"{incident.subject}: {trouble.cause}", ""]
        lines += [f"Tried: {trouble.tried}"] if trouble.tried else []
        lines += [f"Mend it: {trouble.mend}"] if trouble.mend else []
        lines += [f"Dagster run: {self._run_link(trouble.run_id)}"] if trouble.run_id else []
        return "\n".join([*lines, f"Since: {incident.opened:%Y-%m-%d %H:%M} UTC"]) + "\n"

    def _healed_words(self, incident: Incident) -> str:
        return (
            f"{incident.subject}: well again since {incident.healed:%Y-%m-%d %H:%M} UTC, "
            f"broken since {incident.opened:%Y-%m-%d %H:%M} UTC.\nIt was: {incident.trouble.cause}\n"
        )

    def _read(self, path: str) -> Incident | None:
        """An incident; None where there is none, or a damaged one was put aside."""
        return read_note(self._archive, path, partial(_parsed, path), None)


def _parsed(path: str, data: bytes) -> Incident:
    """An incident of its object.

    Raises:
        DamagedError: it is none, or another's.
    """
    incident = json_note(Incident, "an incident", path)(data)
    times = (incident.opened, incident.healed, incident.tried_at)
    ends = tuple(f"{incident.kind}{mark}{quote(incident.subject, safe='')}.json" for mark in "/-")
    if any(time and time.tzinfo is None for time in times) or not path.endswith(ends):
        raise DamagedError("is not this incident", where=path)
    return incident


def _json(incident: Incident) -> bytes:
    facts = {k: v.astimezone(UTC).isoformat() if isinstance(v, datetime) else v for k, v in asdict(incident).items()}
    return json.dumps(facts, ensure_ascii=False, indent=1).encode()
