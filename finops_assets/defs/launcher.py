"""Dagster's launcher on one machine, which can tell whether a run's process still lives, and the executor it needs.

Dagster's own launcher does not say so, and a run whose process was killed stays STARTED for ever: queued runs would
wait behind it. Run monitoring asks the launcher, which looks at the run's lock, and fails a run whose process is gone;
it is then retried and reported.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from finops_assets.defs.private import GRPC_INFO_TAG, CheckRunHealthResult, ConfigurableClassData, WorkerStatus
from finops_assets.defs.run_locks import RunLocks

if TYPE_CHECKING:
    from finops_assets.defs.private import ExecutionPlan, PlanOrchestrationContext, RetryMode, StepDependencyConfig

GRACE = 120.0
"""Seconds that a STARTED run may be without a lock: it takes it within milliseconds, on a loaded machine seconds."""

GONE = "its process is gone: it was killed, or the machine was stopped"

LOCK_TAG = {"finops/lock": "held by its process"}
"""The tag of a run whose own process holds its lock; one that the launcher starts has GRPC_INFO_TAG, and a lock too."""


class WatchedRunLauncher(dg.DefaultRunLauncher):
    """DefaultRunLauncher with a health check.

    Args:
        inst_data: Dagster's record of this entry in dagster.yaml.
        lock_folder: where runs hold their locks, if not in the instance's own folder. The process that executes a run
            and the daemon that asks after it must see the same folder.
    """

    def __init__(self, inst_data: ConfigurableClassData | None = None, lock_folder: str | None = None) -> None:
        super().__init__(inst_data)
        self._lock_folder = lock_folder

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {"lock_folder": dg.Field(dg.StringSource, is_required=False)}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> WatchedRunLauncher:
        return cls(inst_data, **config_value)

    @property
    def locks(self) -> RunLocks:
        """The locks of the instance's runs."""
        return RunLocks(Path(self._lock_folder or Path(self._instance.root_directory) / "run-locks"))

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """FAILED where the run's process is known to be gone; what is not known is RUNNING, within the run's own time.

        Run monitoring ends a run after `max_runtime_seconds` in any case.
        """
        try:
            held = self.locks.is_held(run.run_id)
        except OSError as error:
            return CheckRunHealthResult(WorkerStatus.RUNNING, f"its lock cannot be looked at: {error}")
        if held:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        # A run releases its lock after its last event is recorded: read in this order, a run that ends now has ended.
        record = self._instance.get_run_record_by_id(run.run_id)
        if record is None or record.dagster_run.is_finished:
            return CheckRunHealthResult(WorkerStatus.SUCCESS, "it has ended")
        if held is False:
            return CheckRunHealthResult(WorkerStatus.FAILED, GONE)
        if not (GRPC_INFO_TAG in run.tags or run.tags.items() >= LOCK_TAG.items()):
            # Of `dagster asset materialize`, or of a script that executes a job in its own process.
            return CheckRunHealthResult(WorkerStatus.RUNNING, "nothing is known of its process, which takes no lock")
        if record.start_time is None or time.time() - record.start_time < GRACE:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "it has not taken its lock yet")
        return CheckRunHealthResult(WorkerStatus.FAILED, f"{GONE}, before its first step or with its container's disk")


@contextmanager
def run_lock(instance: dg.DagsterInstance, run_id: str) -> Iterator[Mapping[str, str]]:
    """Hold the lock of a run that this process executes itself, as `finops run` does; gives the run's tags."""
    locks = _locks_of(instance)
    if locks is None:
        yield {}
        return
    with locks.held(run_id):
        yield LOCK_TAG


def _locks_of(instance: dg.DagsterInstance) -> RunLocks | None:
    """The instance's locks, without those of runs that have ended; None where another launcher watches its runs."""
    launcher = _launcher_of(instance)
    if launcher is None:
        return None
    locks = launcher.locks

    def has_ended(run_id: str) -> bool:
        run = instance.get_run_by_id(run_id)
        return run is not None and run.is_finished

    locks.remove_ended(has_ended)
    return locks


def _launcher_of(instance: dg.DagsterInstance) -> WatchedRunLauncher | None:
    """The launcher that looks at locks; None where another one watches the instance's runs.

    On ECS that one is not even made: it asks AWS for what a run's process has no right to see.
    """
    if not instance.is_persistent:
        return None
    entry = instance.get_ref().run_launcher_data
    if entry is None or (entry.module_name, entry.class_name) != (__name__, WatchedRunLauncher.__name__):
        return None
    launcher = instance.run_launcher
    assert isinstance(launcher, WatchedRunLauncher)  # as the entry says
    return launcher


def fail_dead_runs(instance: dg.DagsterInstance) -> list[tuple[dg.DagsterRun, str]]:
    """Record runs whose process is gone as failed, as run monitoring does where a daemon runs; each with the reason."""
    launcher = _launcher_of(instance)
    if launcher is None:
        return []
    dead = []
    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        health = launcher.check_run_worker_health(run)
        if health.status is WorkerStatus.FAILED:
            instance.report_run_failed(run, health.msg)
            dead.append((run, health.msg or GONE))
    return dead


class LockedExecutor(dg.Executor):
    """An executor whose runs hold their lock from before their first step until their process ends.

    Args:
        executor: what executes the steps.
    """

    def __init__(self, executor: dg.Executor) -> None:
        self._executor = executor

    @property
    def retries(self) -> RetryMode:
        return self._executor.retries

    @property
    def step_dependency_config(self) -> StepDependencyConfig:
        return self._executor.step_dependency_config

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        locks = _locks_of(plan_context.instance)
        if locks is not None:
            locks.hold_until_exit(plan_context.run_id)
        yield from self._executor.execute(plan_context, execution_plan)


@dg.executor(name="in_process", config_schema=dg.in_process_executor.config_schema)  # type: ignore[call-overload]  # Dagster's own type is narrower than what it takes
def locked_in_process_executor(context: dg.InitExecutorContext) -> LockedExecutor:
    """Dagster's in-process executor, in a LockedExecutor: a run of the UI, of a schedule or of a sensor."""
    make = dg.in_process_executor.executor_creation_fn
    assert make  # Dagster's own executor has one
    return LockedExecutor(make(context))
