"""Ctrl-C and the processes that a command starts: a terminal sends it to all of them, and one has something to say."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def started_without_ctrl_c() -> Iterator[None]:
    """What is started here is not interrupted by Ctrl-C from its first moment on; this process is, right afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
