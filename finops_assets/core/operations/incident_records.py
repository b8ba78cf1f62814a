"""An incident as the archive keeps it: what is wrong, since when, and where the messages about it went.

incidents/open/<kind>/<subject>.json                         while the problem lasts
incidents/closed/2025-09/<opened>-<kind>-<subject>.json      afterwards, by the month in which it was opened
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

from finops_assets.core.errors import DamagedError
from finops_assets.core.records import RecordType

OPEN, CLOSED = "incidents/open/", "incidents/closed/"


@dataclass(frozen=True)
class Problem:
    """What is wrong: a sentence for each question of the person who is alerted.

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
    """A problem with its history.

    Attributes:
        kind: one of `alert_messages.KINDS`.
        subject: what is affected: a day, a stretch of days, an address, or a part of the platform.
        problem: what is wrong with it.
        opened, closed: from when to when (UTC); `closed` is None while the problem lasts.
        notified: where the alert went; empty if it was not sent.
        not_notified: why the last message could not be sent.
        all_clear: where the all-clear went, or why none was needed.
        tried_at: when a message about it was last tried (UTC).
    """

    kind: str
    subject: str
    problem: Problem
    opened: datetime
    notified: str = ""
    not_notified: str = ""
    closed: datetime | None = None
    all_clear: str = ""
    tried_at: datetime | None = field(default=None, compare=False)

    @property
    def key(self) -> str:
        return f"{self.kind}/{self.subject}"

    @property
    def path(self) -> str:
        """The object that holds its present state."""
        return self.closed_path if self.closed else self.open_path

    @property
    def open_path(self) -> str:
        return open_path(self.kind, self.subject)

    @property
    def closed_path(self) -> str:
        name = f"{self.opened:%Y%m%dT%H%M%S}-{self.kind}-{quote(self.subject, safe='')}"
        return f"{CLOSED}{self.opened:%Y-%m}/{name}.json"


_EARLIER_NAMES = {"trouble": "problem", "told": "notified", "untold": "not_notified", "healed": "closed"}
"""Fields of versions 0 and 1, and what they are called since."""


def _upgraded(facts: dict[str, Any]) -> dict[str, Any]:
    return {_EARLIER_NAMES.get(name, name): value for name, value in facts.items()}


RECORD = RecordType[Incident](Incident, "an incident", version=2, upgrade=_upgraded)


def decode_incident(path: str, data: bytes) -> Incident:
    """An incident from the bytes of its object.

    Raises:
        DamagedError: it is no incident, or the path is that of another one.
    """
    incident = RECORD.decode(data, path)
    times = (incident.opened, incident.closed, incident.tried_at)
    endings = tuple(f"{incident.kind}{mark}{quote(incident.subject, safe='')}.json" for mark in "/-")
    if any(time and time.tzinfo is None for time in times) or not path.endswith(endings):
        raise DamagedError("is not this incident", where=path)
    return incident


def open_path(kind: str, subject: str) -> str:
    """Where an open incident is kept."""
    return f"{OPEN}{kind}/{quote(subject, safe='')}.json"
