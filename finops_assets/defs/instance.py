"""The embedded platform's Dagster instance: its folder, its dagster.yaml, its environment; and how it is opened.

What Dagster's storage raises becomes a RecordsError here, and nowhere else (`open_instance`).
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import sqlite3
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from finops_assets.core.errors import ArchiveError, FinopsError, RecordsError
from finops_assets.core.home import make_in_home
from finops_assets.platform import dagster_records

if TYPE_CHECKING:
    import dagster as dg

    from finops_assets.core.findings import Finding

BATCH_SIZE = 1000
"""Materializations recorded in one transaction; a backfill of a year and five assets makes 1,825."""

LOCK, LOCK_SECONDS = ".opening.lock", 60
"""Held while the instance is opened, which takes a second on a new home; and how long another process waits for it."""

SPACE_OF_A_RUN = 200_000_000
"""Bytes: the bill's sums that spill to the disk, and Dagster's records of the run."""

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENOTDIR)
FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def open_instance(folder: Path, *, deployed: bool = False) -> Iterator[dg.DagsterInstance]:
    """The Dagster instance of a home, made where there is none; the arguments are those of `prepare_dagster_home`.

    Raises:
        RecordsError: Dagster's storage cannot be read or written, now or while the instance is used: damaged, full,
            locked, or a database server that does not answer.
        ArchiveError: the folder cannot be written.
    """
    import dagster as dg
    from filelock import FileLock, Timeout

    home = prepare_dagster_home(folder, deployed=deployed)
    with _records_explained(home):
        # Two processes that open a new home at once would both create its tables, and one of them would fail.
        try:
            with FileLock(home / LOCK, timeout=LOCK_SECONDS):
                instance = dg.DagsterInstance.get()
        except Timeout:
            raise RecordsError(
                f"another process has been opening Dagster's records for {LOCK_SECONDS} s",
                where=str(home / LOCK),
                fix="End that process, then try again.",
            ) from None
        with instance:
            yield instance


def check_records(folder: Path, *, deployed: bool = False) -> None:
    """Make Dagster's files where they are not there yet, and look at those that are.

    Raises:
        RecordsError: one of them is damaged.
        ArchiveError: the folder cannot be written.
    """
    home = prepare_dagster_home(folder, deployed=deployed)
    if deployed and home != folder.resolve():
        return  # a database server, which the processes that follow wait for
    if damaged := dagster_records.damaged_files(home):
        raise _damaged(damaged)
    if not all((home / name).exists() for name in dagster_records.FILES):
        with open_instance(folder, deployed=deployed):
            pass


def look_at_database(folder: Path) -> Iterator[Finding]:
    """Whether a deployment's database of runs answers; nothing where Dagster's records are files.

    Raises:
        RecordsError: it does not.
    """
    from finops_assets.core.findings import Finding

    home = _home_of_deployment()
    if home is None or home == folder.resolve():
        return
    with open_instance(folder, deployed=True) as instance:
        runs = instance.get_runs_count()
    yield Finding("dagster", "ok", f"the database of its runs answers, {runs} run(s) in it")


@contextmanager
def _records_explained(home: Path) -> Iterator[None]:
    """An error of Dagster's storage in words; every other error as it is."""
    root = logging.getLogger()
    root.addFilter(_says_more_than_retrying)
    try:
        yield
    except FinopsError:
        raise
    except Exception as error:
        explained = _explained(home, error)
        if explained is None:
            raise
        raise explained from error
    finally:
        root.removeFilter(_says_more_than_retrying)


def _says_more_than_retrying(record: logging.LogRecord) -> bool:
    """False of what dagster-postgres logs of each of its attempts, in five lines: the error says it in one."""
    return not str(record.msg).startswith("Retrying failed database")


def _explained(home: Path, error: BaseException) -> RecordsError | None:
    """What is wrong with Dagster's storage, if the error, or one that it came from, is an error of it."""
    from sqlalchemy.exc import DBAPIError

    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, DBAPIError):
            return _of_database(home, seen.orig or seen)
        if isinstance(seen, sqlite3.Error) and _is_of_dagster(seen):
            return _of_database(home, seen)
        if isinstance(seen, OSError) and seen.errno in DISK_ERRORS and _is_of_dagster(seen):
            return _full(home) if seen.errno in FULL else _unusable(home, seen.strerror or str(seen))
        seen = seen.__cause__ or seen.__context__
    return None


def _is_of_dagster(error: BaseException) -> bool:
    """Whether Dagster, or the storage that we give it, was at work: our own SQLite and files have errors too."""
    modules = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    return any(name.startswith(("dagster.", "filelock.")) or name == "finops_assets.defs.event_log" for name in modules)


def _of_database(home: Path, error: BaseException) -> RecordsError:
    reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
    if not isinstance(error, sqlite3.Error):
        return RecordsError(
            f"does not answer: {reason}",
            where="Dagster's database",
            fix="Start it, or mend `storage` in dagster.yaml and the variables that it names.",
        )
    kind = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte; the others say more of the same
    if kind in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return _damaged(dagster_records.damaged_files(home) or {home / "history": reason})
    # Where a file of SQLite's own cannot grow, it speaks of an I/O error.
    if kind == sqlite3.SQLITE_FULL or (kind == sqlite3.SQLITE_IOERR and _free(home) < SPACE_OF_A_RUN / 100):
        return _full(home)
    if kind in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return RecordsError(
            f"is held by another process ({reason})",
            where=str(home),
            fix="Wait for its run, or end it; then try again.",
        )
    damaged = dagster_records.damaged_files(home)
    return _damaged(damaged) if damaged else _unusable(home, reason)


def _damaged(damaged: dict[Path, str]) -> RecordsError:
    """What to remove: with a file its `-wal`, which SQLite would otherwise write into the new one."""
    files = " ".join(f"{file}*" for file in damaged)
    return RecordsError(
        f"Dagster's records are damaged: {'; '.join(damaged.values())}",
        where=", ".join(map(str, damaged)),
        fix=f"No day is lost: `rm -r {files}`, then `finops observe` rebuilds what the UI shows.",
    )


def _full(home: Path) -> RecordsError:
    return RecordsError(
        f"Dagster's records cannot be written: the disk is full, {_free(home) / 1e6:,.1f} MB are free",
        where=str(home),
        fix=f"Free {SPACE_OF_A_RUN / 1e6:,.0f} MB there, then run it again: what is archived is whole.",
    )


def _unusable(home: Path, reason: str) -> RecordsError:
    return RecordsError(
        f"Dagster's records cannot be used: {reason}",
        where=str(home),
        fix="Mend the rights of that folder; or move it away, and `finops observe` rebuilds what the UI shows.",
    )


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def prepare_dagster_home(folder: Path, *, deployed: bool = False) -> Path:
    """Make the folder and its dagster.yaml, and point this process (and those it starts) at it.

    A deployment (`deployed`) has its own: where DAGSTER_HOME names a folder with a dagster.yaml, that is used as it is.

    Raises:
        ArchiveError: the folder cannot be written.
    """
    if deployed and (own := _home_of_deployment()):
        return own
    folder = folder.resolve()
    wanted = _dagster_yaml(folder)
    file = folder / "dagster.yaml"
    try:
        make_in_home(folder)
        if not file.is_file() or file.read_text(encoding="utf-8") != wanted:
            file.write_text(wanted, encoding="utf-8")
            # The UI asks for a newsletter's address over its first page unless this file says that it has.
            (folder / ".nux").mkdir(exist_ok=True)
            (folder / ".nux" / "nux.yaml").write_text("seen: 1\n", encoding="utf-8")
    except OSError as error:
        raise ArchiveError(
            f"cannot be written: {error.strerror or error}", where=f"{folder} (home)", fix="Set FINOPS_HOME elsewhere."
        ) from None
    os.environ["DAGSTER_HOME"] = str(folder)
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", str(BATCH_SIZE))
    return folder


def _home_of_deployment() -> Path | None:
    """DAGSTER_HOME, where it has a dagster.yaml."""
    own = os.environ.get("DAGSTER_HOME")
    return Path(own) if own and (Path(own) / "dagster.yaml").is_file() else None


def _dagster_yaml(folder: Path) -> str:
    """The file's text. It is made by a YAML library: a folder may have quotes, colons and letters of any script."""
    import yaml

    content = {
        "telemetry": {"enabled": False},
        "event_log_storage": {
            "module": "finops_assets.defs.event_log",
            "class": "BatchingSqliteEventLogStorage",
            "config": {"base_dir": str(folder / "history" / "runs")},
        },
        "compute_logs": {
            "module": "finops_assets.defs.compute_logs",
            "class": "ShieldedComputeLogManager",
            "config": {"base_dir": str(folder / "storage")},
        },
        # One run at a time: no two write one day at once. It holds for runs of the UI, the schedules and the sensors;
        # `finops run` in a shell starts at once.
        "concurrency": {"runs": {"max_concurrent_runs": 1}},
        # A run whose process is gone is noticed, failed and tried again: every step can be repeated.
        "run_launcher": {"module": "finops_assets.defs.launcher", "class": "WatchedRunLauncher"},
        "run_monitoring": {
            "enabled": True,
            "poll_interval_seconds": 30,
            "start_timeout_seconds": 180,
            "max_runtime_seconds": 14400,
        },
        "run_retries": {"enabled": True, "max_retries": 2, "retry_on_asset_or_op_failure": False},
    }
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    return f"# Written by finops_assets; changes are overwritten.\n{text}"
