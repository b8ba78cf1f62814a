"""What is said when a run fails: in the run's own process where it lives, so that no daemon is needed for it."""

from datetime import date, datetime
from typing import Any

import dagster as dg

from finops_assets.core.errors import FinopsError, MissingDaysError, UnknownDeliveryError
from finops_assets.core.watch import Watch
from finops_assets.defs.private import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    IMPLICIT_ASSET_JOB_NAME,
    PARTITION_NAME_TAG,
)


@dg.failure_hook(required_resource_keys={"watch", "metrics", "clock"})
def tell_of_failure(context: dg.HookContext) -> None:
    """Open an incident that names the days, the cause and the command that tries again; count the failure.

    A late bill is told as such, to the digest's readers too. A channel that does not work is an error in the run's
    log, which the UI shows beside the failure itself; the incident keeps that nobody was told.
    """
    run = context.instance.get_run_by_id(context.run_id)
    error = context.op_exception
    watch, now = context.resources.watch, context.resources.clock()
    for tell in (
        lambda: _failed(
            watch,
            run.tags if run else {},
            context.step_key,
            cause_of(error),
            context.run_id,
            late=isinstance(getattr(error, "__cause__", None), MissingDaysError),
            in_doubt=isinstance(getattr(error, "__cause__", None), UnknownDeliveryError),
            now=now,
        ),
        lambda: context.resources.metrics.emit({"RunFailed": 1}),
    ):
        try:
            tell()
        except FinopsError as failure:
            context.log.error("not everybody was told of this failure: %s", failure)  # noqa: TRY400


def cause_of(error: BaseException | None) -> str:
    """What failed, in its own words."""
    return getattr(error, "description", None) or (str(error) if error else "no reason was recorded")


def _failed(
    watch: Watch, tags: dict[str, str], step: str, cause: str, run_id: str, *, late: bool, now: datetime, **how: bool
) -> None:
    """Tell of a failed run of days, or of months, which are those of the evidence."""
    days, keys = days_of(tags), _keys_of(tags)
    if keys and not days:
        watch.evidence_failed(keys, cause, run_id)
    else:
        watch.failed(step, days, cause, run_id, late=late, now=now, **how)


def days_of(tags: dict[str, str]) -> tuple[date, ...]:
    """The first and the last day of a run, or its one day, by its tags; none of a run over something else."""
    try:
        return tuple(date.fromisoformat(key) for key in _keys_of(tags))
    except ValueError:
        return ()


def _keys_of(tags: dict[str, str]) -> tuple[str, ...]:
    """The first and the last partition of a run, or its one."""
    if PARTITION_NAME_TAG in tags:
        return (tags[PARTITION_NAME_TAG],)
    return tuple(tags[tag] for tag in (ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG) if tag in tags)


def build_failure_sensor(clock: Any) -> dg.SensorDefinition:
    """Tells of runs that could not tell themselves: their process was killed, or they are of no job of ours."""

    @dg.run_failure_sensor(
        name="runs_that_died",
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=30,
        description="Alerts for runs whose process was killed or never started, and for those of the lineage's own "
        "Materialize and of backfills over assets; our jobs alert for themselves.",
    )
    def runs_that_died(context: dg.RunFailureSensorContext, watch: dg.ResourceParam[Watch]) -> None:
        run, failures = context.dagster_run, context.get_step_failure_events()
        if not failures:
            tell_of_death(watch, run, context.failure_event.message or "", clock())
        elif run.job_name.startswith(IMPLICIT_ASSET_JOB_NAME):  # no hook of ours is on it
            failed = failures[0].step_failure_data
            said = failed.user_failure_data.description if failed.user_failure_data else ""
            cause = said or (failed.error.message.strip() if failed.error else "no reason was recorded")
            _failed(watch, dict(run.tags), failures[0].step_key, cause, run.run_id, late=False, now=clock())

    return runs_that_died


def tell_of_death(watch: Watch, run: dg.DagsterRun, cause: str, now: datetime) -> None:
    """A run that could not tell of its failure itself."""
    _failed(watch, dict(run.tags), "the run", cause or "its process is gone", run.run_id, late=False, now=now)
