"""Dagster's launcher on one machine, which can tell whether a run's process still lives.

Its own does not say so, and a run whose process was killed stays STARTED for ever: queued runs would wait behind it.
Run monitoring asks here, and has such a run failed, retried and told.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from dagster import DefaultRunLauncher

from finops_assets.defs.private import (
    CanCancelExecutionRequest,
    CanCancelExecutionResult,
    CheckRunHealthResult,
    WorkerStatus,
    deserialize_value,
)

if TYPE_CHECKING:
    from dagster import DagsterRun

PROCESS_TAG = "finops/process"


def process_tag() -> dict[str, str]:
    """The tag of a run that this process executes itself, as `finops run` does."""
    return {PROCESS_TAG: f"{socket.gethostname()}:{os.getpid()}"}


class WatchedRunLauncher(DefaultRunLauncher):
    """DefaultRunLauncher with a health check."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        if PROCESS_TAG in run.tags:
            return _health(_lives(run.tags[PROCESS_TAG]), "the process of `finops` is gone")
        client = self._get_grpc_client_for_termination(run.run_id)
        if client is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "nothing is known of its process")
        try:
            answer = deserialize_value(
                client.can_cancel_execution(CanCancelExecutionRequest(run.run_id), timeout=10), CanCancelExecutionResult
            )
        except Exception as error:  # noqa: BLE001  (gRPC's errors have no common name that Dagster exports)
            return _health(lives=False, otherwise=f"the code server that ran it does not answer: {error}")
        return _health(answer.can_cancel, "its code server no longer runs it")


def _lives(process: str) -> bool:
    """Whether `host:pid` is a process; one of another host is not ours to judge."""
    host, _, pid = process.rpartition(":")
    if host != socket.gethostname():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _health(lives: bool, otherwise: str) -> CheckRunHealthResult:
    return CheckRunHealthResult(WorkerStatus.RUNNING if lives else WorkerStatus.FAILED, "" if lives else otherwise)
