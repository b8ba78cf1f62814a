"""Whether a run's process lives: each run holds a lock from before its first step to its end.

The kernel releases the lock when the process ends, in whatever way: the answer depends on no host name, which changes
with a container, and on no process id, which belongs to another process after a restart. Nothing of Dagster is here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout, lock_descriptor

from finops_assets.core.errors import ArchiveError

PATIENCE = 10.0
"""Seconds that a run waits for its own lock: whoever looks whether it is held has it for less than a millisecond."""

_HELD: list[FileLock] = []
"""The locks that this process holds until it ends: a lock object that is collected releases its lock."""


class RunLocks:
    """The locks of an instance's runs: one file a run, named by its id.

    Args:
        folder: where they are; made when the first is taken. All processes that ask must see the same folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def held(self, run_id: str) -> Iterator[None]:
        """Hold a run's lock around what executes it, and remove the file afterwards.

        Raises:
            ArchiveError: the folder cannot be written, or its file system has no locks.
        """
        lock = self._take(run_id)
        try:
            yield
        finally:
            self._file(run_id).unlink(missing_ok=True)  # while the lock is held: nobody takes a file that is gone
            lock.release()

    def hold_until_exit(self, run_id: str) -> None:
        """Hold a run's lock until this process ends: the run's last event is recorded after its last step.

        Raises:
            ArchiveError: as above.
        """
        _HELD.append(self._take(run_id))

    def is_held(self, run_id: str) -> bool | None:
        """Whether a process holds the run's lock; None if there is no such lock.

        Raises:
            OSError: the lock cannot be looked at, which says nothing of the run.
        """
        try:
            descriptor = os.open(self._file(run_id), os.O_RDWR)  # not created: a file says that a process has had it
        except FileNotFoundError:
            return None
        try:
            return not lock_descriptor(descriptor, blocking=False)
        finally:
            os.close(descriptor)  # which releases it

    def remove_ended(self, has_ended: Callable[[str], bool]) -> None:
        """Remove the locks of runs that have ended: killed runs, and those that held theirs until their process' end.

        Args:
            has_ended: whether the run of this id has ended.
        """
        for file in self.folder.glob("*.lock"):
            if not has_ended(file.stem):
                continue
            try:
                descriptor = os.open(file, os.O_RDWR)
            except (FileNotFoundError, PermissionError):  # removed by another run, or another user's
                continue
            try:
                if lock_descriptor(descriptor, blocking=False):
                    file.unlink(missing_ok=True)
            finally:
                os.close(descriptor)

    def _file(self, run_id: str) -> Path:
        return self.folder / f"{run_id}.lock"

    def _take(self, run_id: str) -> FileLock:
        # No fallback to a file that only says "locked": it would outlive its process.
        lock = FileLock(self._file(run_id), timeout=PATIENCE, thread_local=False, fallback_to_soft=False)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            raise ArchiveError(
                "another process executes this run", where=f"run {run_id}", fix="Start a run of its own."
            ) from None
        except OSError as error:
            raise ArchiveError(
                f"the run's lock cannot be taken: {error.strerror or error}",
                where=str(self.folder),
                fix="Make the folder writable, on a file system with locks: set FINOPS_HOME to a local disk.",
            ) from error
        return lock
