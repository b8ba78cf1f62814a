"""Counts the calls that reach the stand-in, and makes chosen ones fail, linger, break off or stand still."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Call:
    """One API call: who was asked for what, with which parameters, when; `request` is the HTTP request itself.

    The request is a werkzeug Request, and None in the log, which would otherwise keep every body in memory.
    """

    service: str
    operation: str
    params: dict[str, Any]
    region: str
    at: datetime
    request: Any = None


class ServiceError(Exception):
    """An error as AWS answers it; `fields` are further members of the error's body."""

    def __init__(self, code: str, message: str, status: int = 400, fields: dict[str, Any] | None = None) -> None:
        super().__init__(code, message)
        self.code, self.message, self.status, self.fields = code, message, status, fields or {}


class ConnectionCut(Exception):  # noqa: N818 - an event, no error of the stand-in's
    """The connection ends here, without an answer."""


class Calls:
    """Every call that arrived, in order, those that were made to fail too."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.log: list[Call] = []

    def add(self, call: Call) -> None:
        with self._lock:
            self.log.append(Call(call.service, call.operation, call.params, call.region, call.at))

    def counts(self) -> Counter[tuple[str, str]]:
        with self._lock:
            return Counter((call.service, call.operation) for call in self.log)

    def count(self, service: str, operation: str | None = None) -> int:
        return sum(n for (s, o), n in self.counts().items() if s == service and operation in (None, o))

    def reset(self) -> None:
        with self._lock:
            self.log.clear()


class Hold:
    """A call that stands still on the server's side until a test lets go of it."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._released = threading.Event()
        self._abandoned = False

    def wait(self) -> None:
        self.reached.set()
        self._released.wait()
        if self._abandoned:
            raise ConnectionCut

    def release(self) -> None:
        """Let the call go on."""
        self._released.set()

    def abandon(self) -> None:
        """Let the thread end without carrying the call out or answering it, unless it went on before."""
        self._abandoned = not self._released.is_set()
        self._released.set()


@dataclass
class Fault:
    """What is done before and after a matching call: skip the first `skip`, then each `every`th, `times` in all."""

    service: str
    operation: str
    before: Callable[[], None] | None
    after: Callable[[], None] | None
    times: int | None
    skip: int
    every: int
    when: Callable[[Call], bool] | None
    seen: int = 0
    done: int = 0

    def takes(self, call: Call) -> bool:
        if self.service not in ("*", call.service) or self.operation not in ("*", call.operation):
            return False
        if self.when is not None and not self.when(call):
            return False
        self.seen += 1
        if self.seen <= self.skip or (self.seen - self.skip) % self.every or self.done == self.times:
            return False
        self.done += 1
        return True


@dataclass
class Faults:
    """Faults that tests ordered; each matching one takes part in a call, in the order in which they were ordered."""

    _faults: list[Fault] = field(default_factory=list)
    _holds: list[Hold] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fail(  # noqa: PLR0913  (each narrows down which calls fail, and is given by name)
        self,
        service: str,
        operation: str = "*",
        *,
        code: str = "ThrottlingException",
        message: str = "Rate exceeded",
        status: int = 400,
        times: int | None = 1,
        skip: int = 0,
        when: Callable[[Call], bool] | None = None,
        every: int = 1,
    ) -> None:
        """Answer the call with this error instead of carrying it out."""

        def refuse() -> None:
            raise ServiceError(code, message, status)

        self._add(Fault(service, operation, refuse, None, times, skip, every, when))

    def slow(
        self,
        service: str,
        operation: str = "*",
        *,
        seconds: float,
        times: int | None = 1,
        skip: int = 0,
        when: Callable[[Call], bool] | None = None,
        every: int = 1,
    ) -> None:
        """Carry the call out after this long."""
        self._add(Fault(service, operation, lambda: time.sleep(seconds), None, times, skip, every, when))

    def cut(
        self,
        service: str,
        operation: str = "*",
        *,
        times: int | None = 1,
        after: bool = False,
        skip: int = 0,
        when: Callable[[Call], bool] | None = None,
        every: int = 1,
    ) -> None:
        """Cut the connection without an answer; `after`: the call has been carried out by then."""

        def cut() -> None:
            raise ConnectionCut

        before, afterwards = (None, cut) if after else (cut, None)
        self._add(Fault(service, operation, before, afterwards, times, skip, every, when))

    def hold(
        self,
        service: str,
        operation: str = "*",
        *,
        skip: int = 0,
        after: bool = True,
        when: Callable[[Call], bool] | None = None,
    ) -> Hold:
        """Hold the next call: `after` it was carried out, its answer withheld, or before it is."""
        hold = Hold()
        before, afterwards = (None, hold.wait) if after else (hold.wait, None)
        self._add(Fault(service, operation, before, afterwards, 1, skip, 1, when))
        with self._lock:
            self._holds.append(hold)
        return hold

    @contextmanager
    def around(self, call: Call) -> Iterator[None]:
        """The faults that take part in this call, around its being carried out."""
        with self._lock:
            taking_part = [fault for fault in self._faults if fault.takes(call)]
        for fault in taking_part:
            if fault.before:
                fault.before()
        yield
        for fault in taking_part:
            if fault.after:
                fault.after()

    def reset(self) -> None:
        """Forget all faults; what is held is cut, so that no thread of the server stands still for ever."""
        with self._lock:
            holds, self._holds = self._holds, []
            self._faults.clear()
        for hold in holds:
            hold.abandon()

    def _add(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)
