"""The heartbeat: a sign of life once a day, when yesterday is done, for an alarm outside this platform.

An alert needs a machine that works. Where it does not (no power, no daemon, no disk, no mail), no heartbeat is sent,
and the alarm notices that. What was sent is noted, so that no process sends it again:

    heartbeats/2025-09-10.json      when that day's was tried, where it was sent, and why a channel could not send it
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from finops_assets.core.errors import FinopsError
from finops_assets.core.findings import Finding
from finops_assets.core.records import RecordType

if TYPE_CHECKING:
    from finops_assets.core.ports import Archive, HeartbeatChannel

FOLDER = "heartbeats/"
STILL_SENDING = timedelta(minutes=10)
"""How long a process that began to send is waited for; after that, it was killed."""


@dataclass(frozen=True)
class Note:
    """What became of a day's heartbeat: where each channel has put it, and why one could not send it."""

    tried_at: datetime
    sent: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)


RECORD = RecordType[Note](Note, "a note of a heartbeat")


class Heartbeat:
    """Sends the heartbeat of yesterday once yesterday is done, each channel's once.

    Args:
        archive: keeps what was sent.
        channels: by name.
        faults: the promises of a morning with how each is broken, empty where it is kept (`Watch.freshness`).
        deadline: when a day's digest is due.
    """

    def __init__(
        self,
        archive: Archive,
        channels: Mapping[str, HeartbeatChannel],
        *,
        faults: Callable[[datetime], Mapping[str, str]],
        deadline: Callable[[date], datetime],
    ) -> None:
        self._archive, self._channels, self._faults, self._deadline = archive, channels, faults, deadline

    def beat(self, now: datetime, *, only_again: bool = False) -> tuple[str, ...]:
        """Send yesterday's heartbeat by the channels that have not sent it, if yesterday is done.

        It is safe to call at any time.

        Args:
            now: the time (aware, UTC).
            only_again: send only what was tried before; finding that out costs one small object.

        Returns:
            Why each channel that failed could not send it: the next call tries it again.

        Raises:
            FinopsError: the archive cannot be read or written; nothing was sent.
        """
        yesterday = now.date() - timedelta(days=1)
        path = f"{FOLDER}{yesterday}.json"
        note = self._read(path)
        left = [name for name in self._channels if note is None or name not in note.sent]
        under_way = note and not note.failed and now - note.tried_at < STILL_SENDING
        untried = note is None and only_again
        if not left or untried or under_way or any(self._faults(max(now, self._deadline(yesterday))).values()):
            return ()
        begun = Note(now, note.sent if note else {})
        if note is None and not RECORD.create(self._archive, path, begun):
            return ()  # another process sends it
        if note is not None:
            RECORD.write(self._archive, path, begun)
        sent, failed = dict(begun.sent), {}
        for name in left:
            try:
                sent[name] = self._channels[name].beat(yesterday)
            except FinopsError as error:
                failed[name] = str(error)
        RECORD.write(self._archive, path, Note(now, sent, failed))
        return tuple(failed.values())

    def _read(self, path: str) -> Note | None:
        if self._archive.get(path) is None:
            return None
        # One whose note is damaged is sent again: twice is better than not at all.
        return RECORD.read(self._archive, path, Note(datetime.min.replace(tzinfo=UTC)))


def is_set(url: str, recipients: Sequence[str]) -> Finding:
    """What `finops doctor` says of it; of the address its host alone, as the rest is often a secret."""
    to = [f"a request to {urlsplit(url).hostname}"] if url else []
    to += [f"a mail to {', '.join(recipients)}"] if recipients else []
    if to:
        return Finding("heartbeat", "ok", f"{' and '.join(to)}, each morning that is done; none was sent now")
    return Finding(
        "heartbeat",
        "skip",
        "alerts.heartbeat_url and alerts.heartbeat_recipients are not set: nobody notices if this machine stands still",
    )
