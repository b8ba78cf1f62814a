"""Whether a run's process still lives: what run monitoring is told on one machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.launcher import WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG

from finops_assets.defs.instance import prepare_dagster_home
from finops_assets.defs.launcher import PROCESS_TAG, WatchedRunLauncher, process_tag


@pytest.fixture
def instance(tmp_path: Path) -> dg.DagsterInstance:
    prepare_dagster_home(tmp_path / "dagster")
    with dg.DagsterInstance.get() as instance:
        yield instance


def status(instance: dg.DagsterInstance, tags: dict[str, str]) -> WorkerStatus:
    run = instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTED)
    return instance.run_launcher.check_run_worker_health(run).status


@dg.job
def job() -> None:
    """Do nothing."""


def test_the_instance_watches_its_runs(instance: dg.DagsterInstance) -> None:
    """One run at a time, monitored by our launcher; a run whose process died is tried again, a refusal is not."""
    assert isinstance(instance.run_launcher, WatchedRunLauncher)
    assert instance.run_launcher.supports_check_run_worker_health
    assert instance.run_monitoring_enabled
    assert instance.run_retries_enabled
    assert not instance.run_retries_retry_on_asset_or_op_failure
    assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 1


def test_a_run_of_this_machine_lives_as_long_as_its_process(instance: dg.DagsterInstance) -> None:
    """A process that is there runs; one that is gone has failed; one of another host is not ours to judge."""
    assert status(instance, process_tag()) is WorkerStatus.RUNNING
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    host = process_tag()[PROCESS_TAG].rpartition(":")[0]
    assert status(instance, {PROCESS_TAG: f"{host}:{gone.pid}"}) is WorkerStatus.FAILED
    assert status(instance, {PROCESS_TAG: f"elsewhere:{os.getpid()}"}) is WorkerStatus.RUNNING


def test_a_run_of_a_code_server_that_is_gone_has_failed(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """The server that ran it does not answer, as after a restart of `finops dev`."""
    gone = json.dumps({"host": "localhost", "socket": str(tmp_path / "no-such-socket")})
    assert status(instance, {GRPC_INFO_TAG: gone}) is WorkerStatus.FAILED
    assert status(instance, {}) is WorkerStatus.RUNNING
