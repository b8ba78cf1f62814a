"""Rounds: what a platform without a daemon remembers from one `finops morning` to the next.

    rounds/state.json      what the sensors know, since when schedules are due, and which run is under way

One process makes a round at a time. It gives a sign of life each minute; a round without one for `GONE_AFTER` was
killed, and the next one takes up the run that it left. Two that begin within the same second would both work: that
reads the bill twice, and does no harm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING
from uuid import uuid4

from finops_assets.core.errors import FinopsError
from finops_assets.core.records import RecordType

if TYPE_CHECKING:
    from collections.abc import Callable

    from finops_assets.core.ports import Archive

PATH = "rounds/state.json"

SIGN_SECONDS = 60.0
GONE_AFTER = timedelta(minutes=5)
"""Without a sign of life for so long, a round was killed: several signs may be late where a store is slow."""

FIRST_REACH = timedelta(days=1)
"""How far back the first round of an archive looks for what schedules have due."""

RETRIES = 2
"""How often a run is taken up whose process was killed; a daemon's run monitoring does as often."""


@dataclass(frozen=True)
class RunOfDays:
    """A run of the daily job.

    Attributes:
        first, last: its days.
        assets: what it makes; all where empty.
        tags: what else was asked for with it.
        retry: how often it was taken up already.
    """

    first: date
    last: date
    assets: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    retry: int = 0

    @property
    def ends(self) -> tuple[date, ...]:
        """Its one day, or the first and the last."""
        return (self.first,) if self.first == self.last else (self.first, self.last)

    @property
    def words(self) -> str:
        return " to ".join(map(str, self.ends))


@dataclass(frozen=True)
class State:
    """What is remembered.

    Attributes:
        done_until: schedules are done up to this time; None before the first round.
        cursors: sensor -> what it remembers, in a form of its own.
        token: names the round that is under way; empty where none is.
        begun_at, alive_at: when that round began, and its last sign of life.
        run: the run that is under way in it.
    """

    done_until: datetime | None = None
    cursors: Mapping[str, str] = field(default_factory=dict)
    token: str = ""
    begun_at: datetime | None = None
    alive_at: datetime | None = None
    run: RunOfDays | None = None


RECORD = RecordType[State](State, "the state of the rounds")


class Round:
    """A round under way; whatever it remembers is in the archive before the next step begins.

    Args:
        archive: keeps the state.
        state: as the round begins.
        killed: the run in which an earlier round was killed or interrupted.
        clock: tells the time (aware, UTC).
    """

    def __init__(self, archive: Archive, state: State, killed: RunOfDays | None, clock: Callable[[], datetime]) -> None:
        self._archive, self._state, self._clock, self._lock = archive, state, clock, Lock()
        self.killed = killed

    @property
    def due_since(self) -> datetime:
        """Schedules that had their time after this are due."""
        begun = self._state.begun_at or self._clock()
        return self._state.done_until or begun - FIRST_REACH

    def cursor(self, sensor: str) -> str | None:
        return self._state.cursors.get(sensor)

    def remember(self, sensor: str, cursor: str | None) -> None:
        """Keep what a sensor remembers."""
        if cursor is not None and cursor != self.cursor(sensor):
            self._put(cursors={**self._state.cursors, sensor: cursor})

    @contextmanager
    def running(self, run: RunOfDays) -> Iterator[None]:
        """Note a run while it is under way; one whose process is killed, or interrupted, stays noted."""
        self._put(run=run)
        try:
            yield
        except Exception:
            self._put(run=None)
            raise
        self._put(run=None)

    def done(self, until: datetime) -> None:
        """Note that everything that was due at a time is done."""
        self._put(done_until=until)

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Give a sign of life each minute until the block ends; then the next round may begin at once."""
        ended = Event()

        def give() -> None:
            while not ended.wait(SIGN_SECONDS):
                with suppress(FinopsError):  # the next sign may come through
                    self._put()

        thread = Thread(target=give, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self._put(token="")

    def _put(self, **changes: object) -> None:
        with self._lock:
            self._state = replace(self._state, alive_at=self._clock(), **changes)  # type: ignore[arg-type]
            RECORD.write(self._archive, PATH, self._state)


def begin(archive: Archive, clock: Callable[[], datetime]) -> Round | datetime:
    """A round that begins now; where one is under way, when that began.

    Raises:
        FinopsError: the archive cannot be read or written.
    """
    now, state = clock(), RECORD.read(archive, PATH) or State()
    if state.token and state.alive_at and now - state.alive_at < GONE_AFTER:
        return state.begun_at or state.alive_at
    begun = replace(state, token=uuid4().hex, begun_at=now, alive_at=now)
    RECORD.write(archive, PATH, begun)
    return Round(archive, begun, state.run, clock)
