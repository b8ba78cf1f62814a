"""The process between `finops dev` and what it starts: when `finops dev` is gone, so is all of it.

`python -m finops_assets.cli.dev_guard LINE LOCK PATIENCE COMMAND...` runs the command in a process group of its own and
ends with its exit code. LINE is the descriptor of a socket: the group's number is written to it, and signals, a byte
each, are read from it and sent to the group. Where the line ends, as it does when the process at its other end is
killed, the group is killed at once. The descriptor LOCK is held open to the end: whoever gets that lock knows that
nothing of the group is left.

Only the standard library is loaded, and nothing that is particular to one system.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from types import FrameType

KILLED = 2.0
"""Seconds that killed processes may take to be gone."""


def guard(line: int, patience: float, command: list[str]) -> int:
    """Run the command until it ends, or until the line does; its exit code, as a shell tells it.

    Args:
        line: a socket's descriptor.
        patience: seconds that the rest of the group may take to end after the command has.
        command: what is run.
    """
    ended, wakeup = os.pipe()
    for end in (ended, wakeup):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wakeup)
    # Handlers, and not SIG_IGN, which the command would inherit. A terminal's Ctrl-C does not come here; `kill` may.
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _ignore)
    # The terminal is not read from: a group in the background would be stopped.
    process = subprocess.Popen(command, process_group=0, stdin=subprocess.DEVNULL)  # noqa: S603  (our own arguments)
    try:
        os.write(line, str(process.pid).encode())
    except BrokenPipeError:
        """It has ended already: reading says so too."""
    while process.poll() is None:
        readable, _, _ = select.select([line, ended], [], [])
        if ended in readable:
            os.read(ended, 64)
        if line in readable:
            signals = _read(line)
            if not signals:
                patience = 0
                _send(process.pid, signal.SIGKILL)
                process.wait()
                break
            for received in signals:
                _send(process.pid, received)
    _end_rest(process.pid, patience)
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def _read(line: int) -> bytes:
    """What has come; nothing where the other end is gone, also before it has read the group's number."""
    try:
        return os.read(line, 64)
    except ConnectionResetError:
        return b""


def _end_rest(group: int, patience: float) -> None:
    """End what the command has left: first as a machine does that is shut down, then for good."""
    _send(group, signal.SIGTERM)
    if not _is_gone_within(group, patience):
        _send(group, signal.SIGKILL)
        _is_gone_within(group, KILLED)


def _is_gone_within(group: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while _send(group, 0):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.02)
    return True


def _send(group: int, number: int) -> bool:
    """Send a signal to each process of the group, 0 to none; whether there was one."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # the second: on macOS, of a group of zombies
        return False
    return True


def _ignore(_: int, __: FrameType | None) -> None:
    """Wake the loop, and do nothing."""


if __name__ == "__main__":
    sys.exit(guard(int(sys.argv[1]), float(sys.argv[3]), sys.argv[4:]))
