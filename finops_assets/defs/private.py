# ruff: noqa: I001  (each import stands under what it is for)
"""All that this project uses of Dagster's private API (`dagster._*`), which any release of Dagster may change.

Nothing else imports a private module: `test_layers.py` holds it. A name belongs here with what it is for and the
condition under which it goes. Names that Dagster exports are imported from `dagster` where they are used.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

# Tags of a run that say which partitions it is of. They go when Dagster exports the names; the tags themselves are
# documented ("dagster/asset_partition_range_start").
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)

# The tag of a run that is part of a backfill: what was asked for together is looked up by it. Goes when Dagster exports
# the name, or lets a run ask for its backfill's partitions.
from dagster._core.storage.tags import BACKFILL_ID_TAG

# The tag of a run that a code server executes. Goes when Dagster exports it, or has a launcher with a health check.
from dagster._core.storage.tags import GRPC_INFO_TAG

# The name of the job that is made for the lineage's own "Materialize" and for backfills over assets: no hook of ours is
# on it. Goes when Dagster can put a failure hook on every run of a code location.
from dagster._core.definitions.assets.job.asset_job import IMPLICIT_ASSET_JOB_NAME

# The statuses of a run that has begun and not ended. Goes when Dagster exports it (it exports DagsterRunStatus alone).
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES

# What a launcher answers when run monitoring asks whether a run's process lives. Goes when Dagster exports the types,
# or when its DefaultRunLauncher has a health check of its own.
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus

# The record of a materialization that no run has made: `finops observe` writes them in batches, in an eighth of the
# time of `DagsterInstance.report_runless_asset_event`. Goes when that takes a list.
from dagster._core.events import StepMaterializationData
from dagster._core.instance import RUNLESS_JOB_NAME, RUNLESS_RUN_ID

# What a failed step shows, without a stack where our own words say what is wrong. Goes with `show_failures_in_words`.
from dagster._core.execution.plan.objects import StepFailureData
from dagster._utils.error import SerializableErrorInfo

# The SQLite storage that defs/event_log.py gives batches. Goes when Dagster's own has `store_event_batch` in one
# transaction, as its Postgres storage has.
from dagster._core.events import ASSET_EVENTS
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS

# The capture of what a step prints, which defs/compute_logs.py shields from Ctrl-C. Goes when the processes that it
# starts are in a group of their own.
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager

# Where a run belongs: `execute_in_process` makes runs of no code location, which the job's page and the timeline leave
# out. They go when it takes a location.
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

# The type of a storage's and a launcher's entry in dagster.yaml. Goes with the subclasses that take one.
from dagster._serdes import ConfigurableClassData


if TYPE_CHECKING:
    import dagster as dg
    from starlette.types import ASGIApp

    # The types of an executor's methods, for annotations alone. They go when Dagster exports them beside dg.Executor.
    from dagster._core.execution.context.system import PlanOrchestrationContext
    from dagster._core.execution.plan.plan import ExecutionPlan
    from dagster._core.execution.retries import RetryMode
    from dagster._core.execution.step_dependency_config import StepDependencyConfig

__all__ = [
    "ASSET_EVENTS",
    "ASSET_PARTITION_RANGE_END_TAG",
    "ASSET_PARTITION_RANGE_START_TAG",
    "BACKFILL_ID_TAG",
    "GRPC_INFO_TAG",
    "IMPLICIT_ASSET_JOB_NAME",
    "IN_PROGRESS_RUN_STATUSES",
    "PARTITION_NAME_TAG",
    "RUNLESS_JOB_NAME",
    "RUNLESS_RUN_ID",
    "SQLITE_BUSY_TIMEOUT_SECONDS",
    "CheckRunHealthResult",
    "ConfigurableClassData",
    "ExecutionPlan",
    "LocalComputeLogManager",
    "PlanOrchestrationContext",
    "RetryMode",
    "SqlEventLogStorageTable",
    "SqliteEventLogStorage",
    "StepDependencyConfig",
    "StepMaterializationData",
    "WorkerStatus",
    "all_daemons_live",
    "run_dev_command",
    "run_webserver",
    "runs_of_location",
    "show_failures_in_words",
]


def all_daemons_live(instance: dg.DagsterInstance, tolerance_seconds: float) -> bool:
    """Whether every part of the daemon has left a heartbeat in the database within so many seconds.

    Goes when Dagster exports it, or `dagster-daemon liveness-check` takes the tolerance as an argument.
    """
    from dagster._daemon.controller import all_daemons_live as live  # slow to import; the health check alone needs it

    return live(instance, heartbeat_tolerance_seconds=tolerance_seconds)


def run_webserver(wrap: Callable[[ASGIApp, str], ASGIApp]) -> None:
    """Run the command `dagster-webserver` with this process's arguments, and serve its app wrapped.

    Its command line makes the app by a function of its module, which is replaced; a release without that function does
    not start. Goes when the command, or dagster.yaml, takes middleware.

    Args:
        wrap: gets the app and the host that the webserver listens at.
    """
    import click
    from dagster_webserver import cli  # slow to import; webserver alone needs it

    make_app = cli.create_app_from_workspace_process_context

    def make_wrapped_app(*args: Any, **options: Any) -> ASGIApp:
        return wrap(make_app(*args, **options), click.get_current_context().params["host"])

    cli.create_app_from_workspace_process_context = make_wrapped_app  # type: ignore[assignment]  # any ASGI app is served
    cli.main()


def run_dev_command(webserver: str) -> None:
    """Run the command `dagster dev` with this process's arguments, with another module as the webserver.

    It starts `python -m dagster_webserver`, whatever is configured: the function that starts it is replaced. Goes when
    `dagster dev` can be told which webserver to start, or when the webserver takes middleware by configuration.

    Args:
        webserver: module that takes the options of `dagster-webserver`.
    """
    from dagster._cli import dev

    start = dev.open_ipc_subprocess
    modules = {"dagster_webserver": webserver, "dagster._daemon": "dagster._daemon"}

    def start_ours(command: list[str], **options: Any) -> Any:
        if command[:2] != [sys.executable, "-m"] or command[2] not in modules:
            raise RuntimeError(f"dagster dev starts a process that is not known: {command[:3]}")
        return start([*command[:2], modules[command[2]], *command[3:]], **options)

    dev.open_ipc_subprocess = start_ours  # type: ignore[assignment]  # takes what dev_command gives
    dev.dev_command(prog_name="dagster dev")


@contextmanager
def runs_of_location(instance: dg.DagsterInstance, location: str) -> Iterator[None]:
    """Let the runs that are made here in this process be of a code location, as those of its webserver are.

    The instance's method is replaced meanwhile. Goes when `execute_in_process` takes a location.

    Args:
        instance: keeps the runs.
        location: the location's name, which is the module that it loads.
    """
    make = instance.create_run_for_job
    code = ManagedGrpcPythonEnvCodeLocationOrigin(
        LoadableTargetOrigin(executable_path=sys.executable, module_name=location), location
    )
    repository = RemoteRepositoryOrigin(code, SINGLETON_REPOSITORY_NAME)

    def make_located(job_def: dg.JobDefinition, *args: Any, **options: Any) -> dg.DagsterRun:
        return make(job_def, *args, **{"remote_job_origin": RemoteJobOrigin(repository, job_def.name), **options})

    instance.create_run_for_job = make_located  # type: ignore[method-assign]  # takes the same arguments
    try:
        yield
    finally:
        del instance.create_run_for_job


def show_failures_in_words() -> None:
    """Have a step that fails with a dg.Failure of ours show its message alone: its stack says nothing of the fault.

    The class that stands with the message is that of the error which the failure came from. FINOPS_DEBUG=1 keeps the
    stack. The function that makes the event is replaced. Goes when dg.Failure can leave its stack out.
    """
    from dagster._core.execution.plan import execute_plan

    make = execute_plan.step_failure_event_from_exc_info
    if make.__module__ == __name__:
        return

    def make_in_words(
        step_context: Any, exc_info: Any, user_failure_data: Any = None, error_source: Any = None
    ) -> dg.DagsterEvent:
        import dagster as dg

        error = exc_info[1]
        if not isinstance(error, dg.Failure) or not error.description or os.environ.get("FINOPS_DEBUG"):
            return make(step_context, exc_info, user_failure_data, error_source)
        words = SerializableErrorInfo(error.description, [], type(error.__cause__ or error).__name__)
        data = StepFailureData(error=words, user_failure_data=user_failure_data, error_source=error_source)
        return dg.DagsterEvent.step_failure_event(step_context, data)

    execute_plan.step_failure_event_from_exc_info = make_in_words
