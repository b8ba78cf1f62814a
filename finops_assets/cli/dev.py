"""`finops dev`: Dagster's webserver and daemon on this machine, one pair for each home, which end when it ends.

Nothing of Dagster is loaded here; dev_guard.py is the process that ends what was started, whatever becomes of this one.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from filelock import lock_descriptor

from finops_assets.cli.terminal import say
from finops_assets.core.errors import FinopsError, SettingsError
from finops_assets.core.home import make_home

LEFT = 5.0
"""Seconds in which the guard of a `finops dev` that was killed has ended what is left of it."""

PATIENCE = 10.0
"""Seconds that a run has to record that it was interrupted, after webserver and daemon have ended."""


@dataclass(frozen=True)
class Holder:
    """Who runs `finops dev` on a home."""

    pid: int
    host: str
    since: str
    address: str

    @property
    def lives(self) -> bool:
        """Whether the process may still be there; one of another machine may."""
        if self.host != socket.gethostname():
            return True
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


def run_dev(
    home: Path,
    command: Sequence[str],
    host: str,
    port: int,
    prepare: Callable[[], None] = lambda: None,
    *,
    patience: float = PATIENCE,
) -> int:
    """Run `dagster dev` until it ends; its exit code.

    Args:
        home: the folder that one `finops dev` at a time works on.
        command: what is started, without address.
        host: where the webserver listens.
        port: the same.
        prepare: what takes a second or more, once the address is known to be free and is printed.
        patience: seconds that what the command leaves has to end by itself.

    Raises:
        FinopsError: another one works on the home, another program listens at the address, the home cannot be written.
        SettingsError: the address is none of this machine.
    """
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    lock = lock_home(home, Holder(os.getpid(), socket.gethostname(), now, _url(host, port)))
    try:
        check_address(host, port)
        say(f"Dagster UI: {_url(host, port)} (in some seconds; Ctrl-C ends it)")
        prepare()
        return _guarded([*command, "-h", host, "-p", str(port)], lock, patience)
    finally:
        os.close(lock)


def lock_home(home: Path, holder: Holder) -> int:
    """Take the home's lock, and write the holder into its file; the lock's descriptor, which holds it while it is open.

    Raises:
        FinopsError: another one has it, or the home cannot be written.
    """
    file = home / "dev.lock"
    try:
        make_home(home)
        lock = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        deadline = time.monotonic() + LEFT
        while not lock_descriptor(lock, blocking=False):
            other = _holder(file)
            if other is None or other.lives or time.monotonic() > deadline:
                os.close(lock)
                raise _in_use(home, other)
            time.sleep(0.05)
        os.ftruncate(lock, 0)
        os.write(lock, json.dumps(asdict(holder)).encode())
    except OSError as error:
        raise FinopsError(
            f"the home cannot be locked: {error.strerror or error}",
            where=str(file),
            fix="Set FINOPS_HOME to a folder of a local disk that you can write to.",
        ) from None
    return lock


def _holder(file: Path) -> Holder | None:
    """Who wrote itself into the lock; None where that is being written just now."""
    try:
        return Holder(**json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        return None


def _in_use(home: Path, other: Holder | None) -> FinopsError:
    if other is None:
        return FinopsError("finops dev is being started on this home just now", where=str(home), fix="Wait for it.")
    return FinopsError(
        f"finops dev runs on this home since {other.since}: process {other.pid} on {other.host}, {other.address}",
        where=str(home),
        fix=f"Open that address; or end it (Ctrl-C in its terminal, or kill {other.pid}), and start again.",
    )


def check_address(host: str, port: int) -> None:
    """Refuse an address at which another program listens, before anything is started.

    Raises:
        FinopsError: it is taken.
        SettingsError: nothing can listen there.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as tried:
            # As the webserver does: connections that have just ended are not in its way.
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise FinopsError(
                "the address is in use by another program",
                where=f"{host}:{port}",
                fix="End it, or name another port: --port.",
            ) from None
        raise SettingsError(
            f"nothing can listen there: {error.strerror or error}",
            where=f"{host}:{port}",
            fix="Name an address of this machine and a port that you may use: --host, --port.",
        ) from None


def _guarded(command: Sequence[str], lock: int, patience: float) -> int:
    """Run the command behind a guard, and hand on the signals that would end this process."""
    line, other_end = socket.socketpair()
    with line:
        with other_end:
            numbers = [str(other_end.fileno()), str(lock), str(patience)]
            guard = subprocess.Popen(  # noqa: S603  (our own interpreter and arguments)
                [sys.executable, "-m", "finops_assets.cli.dev_guard", *numbers, *command],
                pass_fds=(other_end.fileno(), lock),
                process_group=0,  # a terminal's Ctrl-C comes to this process alone
            )

        def hand_on(number: int, _: FrameType | None) -> None:
            with suppress(BrokenPipeError):  # it has ended just now
                line.send(bytes([number]))

        ending = [
            s for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(s) is not signal.SIG_IGN
        ]
        before = {number: signal.signal(number, hand_on) for number in ending}
        try:
            group = line.recv(32)
            code = guard.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    if code < 0 and group:  # the guard itself was killed
        with suppress(ProcessLookupError):
            os.killpg(int(group), signal.SIGKILL)
    return code if code >= 0 else 128 - code


def _url(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
