"""Ctrl-C and the processes that a command starts: the terminal sends it to all, and the command alone handles it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def started_without_ctrl_c() -> Iterator[None]:
    """Processes started inside are never interrupted by Ctrl-C; this process is, as soon as the block ends."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
