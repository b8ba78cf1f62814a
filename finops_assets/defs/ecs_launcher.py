"""Dagster's launcher on ECS, which does not judge a run that it has started no task for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dagster_aws.ecs import EcsRunLauncher

from finops_assets.defs.private import CheckRunHealthResult, WorkerStatus

if TYPE_CHECKING:
    import dagster as dg

TASK_TAG = "ecs/task_arn"
"""The tag that EcsRunLauncher gives a run whose task it has started."""


class WatchedEcsRunLauncher(EcsRunLauncher):
    """EcsRunLauncher, for which a run of `finops run` in a shell of a container lives.

    Dagster's answers UNKNOWN of a run without a task, upon which run monitoring fails it while it goes on. Such a run
    ends by itself, or after `max_runtime_seconds`: ECS knows of no process.
    """

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        if TASK_TAG not in run.tags:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "a shell's run: no task was started for it")
        return super().check_run_worker_health(run)
