"""What is wrong now, and who was notified: one alert when a problem begins, one all-clear when it ends, none between.

Incidents are small objects in the archive (`incident_records.py`), so that restarts, other processes and a lost
DAGSTER_HOME change nothing. Each is created by one writer only, before anybody is notified, and afterwards says that
they were. A message that could not be sent is kept as `not_notified` with the reason, shown by `finops status` and a
check, and tried again. One whose writer was killed between the two is sent again after `STILL_SENDING`: twice is better
than not at all.

An alert needs no disk: where an incident cannot be noted (no space, no rights, a bucket out of reach), people are
notified all the same, and of that, too. The process remembers it for `REMINDER`; another process notifies again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

from finops_assets.core.errors import FinopsError
from finops_assets.core.notes import read_note
from finops_assets.core.operations.alert_messages import AlertMessage, message_of
from finops_assets.core.operations.incident_records import (
    CLOSED,
    OPEN,
    RECORD,
    Incident,
    Problem,
    decode_incident,
    open_path,
)
from finops_assets.core.text import sentence

if TYPE_CHECKING:
    from finops_assets.core.ports import Alerts, Archive

STILL_SENDING = timedelta(minutes=10)
"""How long a process that began to send a message is waited for; after that, it was killed."""

REMINDER = timedelta(hours=1)
"""How long this process remembers an alert that the archive could not note."""


class Incidents:
    """Opens and closes incidents, and sends the alerts and all-clears.

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
        self._not_noted: dict[str, tuple[datetime, str]] = {}  # path of the note -> when and where the message went

    # --- reading --------------------------------------------------------------------------------------------------

    def open(self, kind: str = "") -> list[Incident]:
        """The open incidents, of one kind or of all, the oldest first."""
        return self._list(f"{OPEN}{kind}/" if kind else OPEN)

    def closed(self, month: str = "") -> list[Incident]:
        """The closed incidents, of the month in which they were opened (`2025-09`) or of all, the oldest first."""
        return self._list(f"{CLOSED}{month}")

    def _list(self, prefix: str) -> list[Incident]:
        incidents = [incident for path in self._archive.list(prefix) if (incident := self._read(path))]
        return sorted(incidents, key=lambda incident: (incident.opened, incident.key))

    def _read(self, path: str) -> Incident | None:
        """An incident; None where there is none, or a damaged one was put aside."""
        return read_note(self._archive, path, partial(decode_incident, path), None)

    def _open_by_subject(self, kind: str) -> dict[str, Incident]:
        """The open incidents; none where they cannot be read, as an alert is sent all the same."""
        try:
            return {incident.subject: incident for incident in self.open(kind)}
        except FinopsError:
            return {}

    # --- opening and closing --------------------------------------------------------------------------------------

    def update(self, kind: str, problems: Mapping[str, Problem]) -> None:
        """Make the open incidents of a kind those of these problems: open the new ones, close all others.

        Args:
            kind: one of `alert_messages.KINDS`.
            problems: all that is wrong of this kind now, by subject.

        Raises:
            FinopsError: a closed incident cannot be noted, whose all-clear is then sent later; or a problem could
                neither be noted nor sent.
        """
        open_before = self._open_by_subject(kind)
        lasting = {open_path(kind, subject) for subject in problems}
        for path in [path for path in self._not_noted if path.startswith(f"{OPEN}{kind}/") and path not in lasting]:
            del self._not_noted[path]
        try:
            self.close(kind, [subject for subject in open_before if subject not in problems], open_before=open_before)
        finally:  # problems are alerted whatever hinders an all-clear
            self._open(kind, problems, open_before)

    def open_incident(self, kind: str, subject: str, problem: Problem, *, failed_at: datetime | None = None) -> None:
        """Open an incident, whatever else is open.

        Args:
            kind: one of `alert_messages.KINDS`.
            subject: what is affected.
            problem: what is wrong with it.
            failed_at: when that was so, if it was a while ago: an incident of then that is closed is not opened again.
        """
        if not (failed_at and self._was_open(kind, subject, problem.run_id, failed_at)):
            self.open_incidents(kind, {subject: problem})

    def open_incidents(self, kind: str, problems: Mapping[str, Problem]) -> None:
        """Open these incidents, whatever else is open, and send one alert of the new ones.

        Raises:
            FinopsError: a problem could neither be noted nor sent.
        """
        self._open(kind, problems, self._open_by_subject(kind))

    def revise(self, kind: str, subject: str, problem: Problem) -> None:
        """Note the present cause of an open incident, where it has changed since the alert; sends nothing."""
        incident = self._read(open_path(kind, subject))
        if incident and incident.notified and incident.problem.cause != problem.cause:
            RECORD.write(self._archive, incident.open_path, replace(incident, problem=problem))

    def close(
        self,
        kind: str,
        subjects: Sequence[str],
        *,
        open_before: Mapping[str, Incident] | None = None,
        quietly: bool = False,
    ) -> None:
        """Close incidents and send one all-clear; subjects without an open incident are passed over.

        Args:
            kind, subjects: which.
            open_before: the open incidents of this kind by subject, where the caller has read them.
            quietly: send no all-clear.
        """
        if open_before is None:
            open_before = {incident.subject: incident for incident in self.open(kind)}
        for subject in subjects:
            self._not_noted.pop(open_path(kind, subject), None)
        closed = [replace(open_before[subject], closed=self._clock()) for subject in subjects if subject in open_before]
        self._notify([claimed for each in closed if (claimed := self._claim(each.closed_path, each))], quietly=quietly)

    def _open(self, kind: str, problems: Mapping[str, Problem], open_before: Mapping[str, Incident]) -> None:
        opened, cannot_be_noted, reason = [], [], None
        for subject, problem in sorted(problems.items()):
            incident = open_before.get(subject) or Incident(kind, subject, problem, self._clock())
            if incident.notified:
                continue
            try:
                if claimed := self._claim(incident.open_path, incident):
                    opened.append(claimed)
            except FinopsError as error:
                reason = error
                if not self._notified_without_note(incident.open_path):
                    cannot_be_noted.append(incident)
        self._notify(opened)
        if cannot_be_noted:
            self._notify_without_note(cannot_be_noted, reason)

    def _was_open(self, kind: str, subject: str, run_id: str, at: datetime) -> bool:
        """Whether an incident that is closed by now is of this run, or was open at that time."""
        ending = f"-{kind}-{quote(subject, safe='')}.json"
        try:
            closed = [self._read(path) for path in self._archive.list(CLOSED) if path.endswith(ending)]
        except FinopsError:  # two alerts are better than none
            return False
        return any(
            (run_id and incident.problem.run_id == run_id) or incident.opened <= at <= (incident.closed or at)
            for incident in closed
            if incident
        )

    def _claim(self, path: str, incident: Incident) -> Incident | None:
        """Note the incident before its message is sent; None where another process sends it, or has sent it.

        One whose message could not be sent, or whose writer was killed, is claimed again.
        """
        begun = replace(incident, not_notified="", tried_at=self._clock())
        if RECORD.create(self._archive, path, begun):
            return begun
        noted = self._read(path)
        if noted is None:
            return None
        already_sent = noted.all_clear if incident.closed else noted.notified
        if already_sent:
            if incident.closed:  # its writer was killed before it removed the open incident
                self._archive.delete([incident.open_path])
            return None
        if not noted.not_notified and self._clock() - (noted.tried_at or noted.opened) < STILL_SENDING:
            return None
        return replace(noted, not_notified="", tried_at=self._clock())

    # --- notifying ------------------------------------------------------------------------------------------------

    def _notify(self, incidents: Sequence[Incident], *, quietly: bool = False) -> None:
        """Send one message for incidents of one kind, all open or all closed, and note it in each."""
        sent_before = {incident.path: self._notified_without_note(incident.path) for incident in incidents}
        for incident in incidents:
            if where := sent_before[incident.path]:
                self._note(incident, where)
        incidents = [incident for incident in incidents if not sent_before[incident.path]]
        if not incidents:
            return
        sent = not_notified = ""
        silent = "closed without an all-clear" if quietly else ""
        if all(incident.closed and not incident.notified for incident in incidents):
            silent = "no alert was sent, so no all-clear is"
        try:
            sent = silent or self._send(self._message(incidents))
        except FinopsError as error:
            not_notified = str(error)
        for incident in incidents:
            self._not_noted.pop(incident.path, None)
            self._note(incident, sent, not_notified)

    def _notify_without_note(self, incidents: Sequence[Incident], reason: FinopsError | None) -> None:
        """Send an alert of incidents that the archive does not take.

        Raises:
            FinopsError: the channel does not take it either.
        """
        message = self._message(incidents)
        text = message.text + (
            f"\nThis alert could not be noted in the archive ({sentence(str(reason))}). Until it can be, no "
            "all-clear comes, and the same alert may come again.\n"
        )
        try:
            sent = self._send(replace(message, text=text))
        except FinopsError as error:
            names = ", ".join(incident.key for incident in incidents)
            raise FinopsError(f"nobody was told of {names}, which cannot be noted either: {reason}; {error}") from error
        self._not_noted |= {incident.open_path: (self._clock(), sent) for incident in incidents}

    def _notified_without_note(self, path: str) -> str:
        """Where this process sent an alert without a note within the last `REMINDER`; empty if it did not."""
        at, where = self._not_noted.get(path, (None, ""))
        return where if at and self._clock() - at < REMINDER else ""

    def _message(self, incidents: Sequence[Incident]) -> AlertMessage:
        return message_of(incidents, self._run_link, self._runbook)

    def _send(self, message: AlertMessage) -> str:
        return self._alerts.send(message.subject, message.text, message.number)

    def _note(self, incident: Incident, sent: str, not_notified: str = "") -> None:
        """Note where the message went, or why it was not sent; one that was sent and cannot be noted is remembered."""
        noted = replace(incident, not_notified=not_notified)
        noted = replace(noted, all_clear=sent) if incident.closed else replace(noted, notified=sent)
        try:
            RECORD.write(self._archive, noted.path, noted)
        except FinopsError:
            if not sent:
                raise
            self._not_noted.setdefault(noted.path, (self._clock(), sent))
            return
        self._not_noted.pop(noted.path, None)
        if noted.closed and noted.all_clear:
            self._archive.delete([noted.open_path])
