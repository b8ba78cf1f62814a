"""Whether a run's process lives: what run monitoring is told on one machine, of runs that live and that are dead."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster._core.launcher import WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG

from finops_assets.core.errors import ArchiveError
from finops_assets.defs import launcher, run_locks
from finops_assets.defs.build import build_definitions
from finops_assets.defs.instance import prepare_dagster_home
from finops_assets.defs.launcher import (
    GONE,
    GRACE,
    LOCK_TAG,
    LockedExecutor,
    WatchedRunLauncher,
    fail_dead_runs,
    locked_in_process_executor,
    run_lock,
)
from finops_assets.defs.run_locks import RunLocks
from finops_assets.platform import build_platform
from finops_assets.settings.load import load_settings

LAUNCHED = {GRPC_INFO_TAG: "{}"}
"""The tag that Dagster gives a run which a code server executes."""


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("DAGSTER_HOME", str(prepare_dagster_home(tmp_path / "dagster")))
    with dg.DagsterInstance.get() as instance:
        yield instance


@dg.job
def job() -> None:
    """Do nothing."""


def started(instance: dg.DagsterInstance, tags: dict[str, str]) -> dg.DagsterRun:
    """A run that has begun."""
    run = instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTING)
    event = dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, job_name=run.job_name)
    instance.report_dagster_event(event, run.run_id)
    return instance.get_run_by_id(run.run_id)


def health(instance: dg.DagsterInstance, run: dg.DagsterRun) -> WorkerStatus:
    return instance.run_launcher.check_run_worker_health(run).status


HOLDER = """
import sys, time
from pathlib import Path
from finops_assets.defs.run_locks import RunLocks
with RunLocks(Path(sys.argv[1])).held(sys.argv[2]):
    print("held", flush=True)
    {then}
"""


@contextmanager
def holder(locks: RunLocks, run_id: str, then: str = "time.sleep(600)") -> Iterator[subprocess.Popen]:
    """Another process that holds a run's lock, and is killed at the end."""
    command = [sys.executable, "-c", HOLDER.format(then=then), str(locks.folder), run_id]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_the_instance_watches_its_runs(instance: dg.DagsterInstance) -> None:
    """One run at a time, monitored by our launcher; a run whose process died is tried again, a refusal is not."""
    assert isinstance(instance.run_launcher, WatchedRunLauncher)
    assert instance.run_launcher.supports_check_run_worker_health
    assert instance.run_monitoring_enabled
    assert instance.run_retries_enabled
    assert not instance.run_retries_retry_on_asset_or_op_failure
    assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 1


def test_a_run_lives_as_long_as_its_process_holds_its_lock(instance: dg.DagsterInstance) -> None:
    """Held by another process: it runs, however long. That process killed: it has failed at the next look."""
    run, locks = started(instance, LOCK_TAG), instance.run_launcher.locks
    with holder(locks, run.run_id) as process:
        assert health(instance, run) is WorkerStatus.RUNNING
        process.send_signal(signal.SIGSTOP)  # a process that stands still is not gone
        assert health(instance, run) is WorkerStatus.RUNNING
        assert fail_dead_runs(instance) == []
        process.kill()
        process.wait()
        assert health(instance, run) is WorkerStatus.FAILED
    assert [(dead.run_id, why) for dead, why in fail_dead_runs(instance)] == [(run.run_id, GONE)]
    assert instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.FAILURE, "no day waits for it any more"
    assert fail_dead_runs(instance) == []


def test_a_child_of_a_run_does_not_keep_the_lock(instance: dg.DagsterInstance) -> None:
    """A process that the run started (the drawing process, a command) may outlive it: the run is dead all the same."""
    run, locks = started(instance, LOCK_TAG), instance.run_launcher.locks
    spawn = """
    import multiprocessing, subprocess
    children = [subprocess.Popen(["sleep", "60"], close_fds=close) for close in (True, False)]
    children.append(multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,)))
    children[-1].start()
    print(*(child.pid for child in children), flush=True)
    time.sleep(600)"""
    with holder(locks, run.run_id, then=spawn) as process:
        children = [int(pid) for pid in process.stdout.readline().split()]
        try:
            process.kill()
            process.wait()
            for child in children:
                os.kill(child, 0)  # it lives
            assert health(instance, run) is WorkerStatus.FAILED
        finally:
            for child in children:
                os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("tags", [LOCK_TAG, LAUNCHED], ids=["of finops run", "launched"])
def test_a_run_without_a_lock_is_given_time(
    instance: dg.DagsterInstance, tags: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes its lock after it has begun. Later it is dead: killed before its first step, or its disk is gone."""
    run = started(instance, tags)
    begun = instance.get_run_record_by_id(run.run_id).start_time
    monkeypatch.setattr(launcher.time, "time", lambda: begun + GRACE - 1)
    assert health(instance, run) is WorkerStatus.RUNNING
    monkeypatch.setattr(launcher.time, "time", lambda: begun + GRACE + 1)
    assert health(instance, run) is WorkerStatus.FAILED


def test_a_run_that_takes_no_lock_is_not_judged(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    """`dagster asset materialize` executes in its own process and knows nothing of locks."""
    run = started(instance, {})
    begun = instance.get_run_record_by_id(run.run_id).start_time
    monkeypatch.setattr(launcher.time, "time", lambda: begun + 3600)
    assert health(instance, run) is WorkerStatus.RUNNING


def test_a_lock_that_cannot_be_looked_at_says_nothing(instance: dg.DagsterInstance) -> None:
    """An error of the disk is not a verdict about the run; its reason is said."""
    run, locks = started(instance, LOCK_TAG), instance.run_launcher.locks
    (locks.folder / f"{run.run_id}.lock").mkdir(parents=True)
    found = instance.run_launcher.check_run_worker_health(run)
    assert found.status is WorkerStatus.RUNNING
    assert "cannot be looked at" in found.msg


def test_each_job_of_the_code_location_takes_the_lock(tmp_path: Path) -> None:
    """Also those that Dagster makes for the lineage's own Materialize, and whatever job is added."""
    repository = build_definitions(build_platform(load_settings({}, {"home": str(tmp_path)}))).get_repository_def()
    jobs = repository.get_all_jobs()
    assert {"daily_bill", "check_up", "morning_checks", "resend_digest"} < {job.name for job in jobs}
    assert {job.executor_def for job in jobs} == {locked_in_process_executor}


def test_a_run_that_ends_at_this_moment_has_not_failed(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lock is free, and what was read of it before says STARTED: what is recorded by now counts."""
    run, locks = started(instance, LOCK_TAG), instance.run_launcher.locks
    with locks.held(run.run_id):
        pass
    RunLocks(locks.folder).hold_until_exit("another")
    run_locks._HELD.pop().release()
    (locks.folder / "another.lock").rename(locks.folder / f"{run.run_id}.lock")  # free, and not yet removed
    assert health(instance, run) is WorkerStatus.FAILED
    event = dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, job_name=run.job_name)
    instance.report_dagster_event(event, run.run_id)
    assert health(instance, run) is WorkerStatus.SUCCESS


def test_a_launched_run_holds_its_lock_beyond_its_last_step(instance: dg.DagsterInstance) -> None:
    """Its last event is recorded after the executor is done: a look in between must not find it dead."""
    locks, found = instance.run_launcher.locks, []

    class Steps(dg.Executor):
        retries = None

        def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[str]:
            found.append(locks.is_held("a-run"))
            yield "an event"

    context = SimpleNamespace(instance=instance, run_id="a-run")
    try:
        assert list(LockedExecutor(Steps()).execute(context, None)) == ["an event"]
        assert [*found, locks.is_held("a-run")] == [True, True]
    finally:
        run_locks._HELD.pop().release()


def test_locks_of_ended_runs_are_removed(instance: dg.DagsterInstance) -> None:
    """The next run removes what killed runs left; not the lock of a run that goes on or that nothing is known of."""
    dead, alive, locks = started(instance, LOCK_TAG), started(instance, LOCK_TAG), instance.run_launcher.locks
    with holder(locks, dead.run_id):
        pass
    with holder(locks, alive.run_id), holder(locks, "unknown"), run_lock(instance, "mine"):
        assert names(locks) == {dead.run_id, alive.run_id, "unknown", "mine"}
        instance.report_run_failed(dead)
        instance.report_run_failed(alive)  # whatever is recorded of it: its process goes on
        with run_lock(instance, "next"):
            assert names(locks) == {alive.run_id, "unknown", "mine", "next"}
    assert names(locks) == {alive.run_id, "unknown"}


def names(locks: RunLocks) -> set[str]:
    return {file.stem for file in locks.folder.iterdir()}


def test_a_lock_is_waited_for_and_taken_in_a_file_that_exists(tmp_path: Path) -> None:
    """Whoever looks holds the lock for a moment, and may remove the file: the run's lock is one that others find."""
    locks, file = RunLocks(tmp_path), tmp_path / "run.lock"
    file.touch()
    begins = "print('begins', flush=True)\nwith RunLocks"
    command = [sys.executable, "-c", HOLDER.replace("with RunLocks", begins).format(then="time.sleep(600)")]
    with file.open("r+") as looking:
        fcntl.flock(looking, fcntl.LOCK_EX)
        child = subprocess.Popen([*command, str(tmp_path), "run"], stdout=subprocess.PIPE, text=True)
        assert child.stdout.readline() == "begins\n"
        file.unlink()
    try:
        assert child.stdout.readline() == "held\n"
        assert locks.is_held("run")
    finally:
        child.kill()
        child.communicate()


def test_a_lock_that_cannot_be_taken_says_where_and_what_to_do(tmp_path: Path) -> None:
    """Without its lock a run would be taken for dead: it does not begin."""
    (tmp_path / "file").touch()
    with pytest.raises(ArchiveError) as refused, RunLocks(tmp_path / "file" / "locks").held("run"):
        pass
    assert refused.value.where == str(tmp_path / "file" / "locks")
    assert refused.value.fix


def test_a_folder_of_its_own_may_hold_the_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where daemon and code server are containers, they share a folder for the locks, and no more."""
    home = prepare_dagster_home(tmp_path / "dagster")
    text = (home / "dagster.yaml").read_text(encoding="utf-8")
    wanted = text.replace(
        "  class: WatchedRunLauncher\n", "  class: WatchedRunLauncher\n  config: {lock_folder: /locks}\n"
    )
    assert wanted != text
    (home / "dagster.yaml").write_text(wanted, encoding="utf-8")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert instance.run_launcher.locks.folder == Path("/locks")
