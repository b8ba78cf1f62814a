"""Dagster's SQLite files in DAGSTER_HOME: whether each can be opened and is whole. Nothing is changed."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

FILES = ("history/runs.db", "history/runs/index.db", "schedules/schedules.db")
"""Runs, events, and ticks of schedules and sensors; each run has a file of its own beside the events."""

LONGEST_CHECK = 5.0
"""Seconds that the check of one file may take: SQLite looks through some 100 MB a second of a file that is cached."""

STEPS_BETWEEN_CHECKS = 10_000
"""SQLite's own steps, a few milliseconds, between two checks of the clock."""


def damaged_files(
    dagster_home: Path, *, longest: float = LONGEST_CHECK, clock: Callable[[], float] = time.monotonic
) -> dict[Path, str]:
    """Those of Dagster's files that cannot be used, each with SQLite's reason; files that do not exist are left out.

    A file is checked for `longest` seconds at most; without a fault until then, it is taken for whole.

    Args:
        dagster_home: the folder.
        longest: in seconds, for each file.
        clock: tells the seconds.
    """
    faults = {file: _fault(file, longest, clock) for name in FILES if (file := dagster_home / name).exists()}
    return {file: fault for file, fault in faults.items() if fault}


def _fault(file: Path, longest: float, clock: Callable[[], float]) -> str:
    until = clock() + longest
    try:
        # Not read-only: such a connection leaves its -wal and -shm files behind. `rw` makes no file that is not there.
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True, timeout=longest)) as con:
            con.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
            con.set_progress_handler(lambda: clock() > until, STEPS_BETWEEN_CHECKS)
            answers = [row[0] for row in con.execute("PRAGMA quick_check(1)")]
    except sqlite3.Error as error:
        # Interrupted by us, or held by another process for that long: neither says that it is damaged.
        unknown = (sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_BUSY)
        return "" if (getattr(error, "sqlite_errorcode", 0) & 0xFF) in unknown else str(error)
    return "" if answers == ["ok"] else " ".join(answers[0].split())
