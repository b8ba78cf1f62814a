"""What is said when a run fails, whatever it is a run of.

A hook tells in the run's own process, so that no daemon is needed for what the command runs. Sensors tell of all other
failures: jobs without the hook, the lineage's own runs, processes that were killed or never started. What the run has
told itself is not told again.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg

from finops_assets.core.errors import FinopsError, MissingDaysError, UnknownDeliveryError
from finops_assets.core.operations.alerting import FailedRun
from finops_assets.core.operations.heartbeat import Heartbeat
from finops_assets.core.operations.incidents import Incidents
from finops_assets.core.operations.watch import Watch
from finops_assets.defs.private import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    IMPLICIT_ASSET_JOB_NAME,
    PARTITION_NAME_TAG,
)

NOTIFIED = "told as"
"""In the metadata of a dg.Failure: the run has found faults and told of them; that it failed is no news."""

FORGOTTEN_AFTER = timedelta(days=7)
"""A job that nobody has run again since it failed: its incident is put away, so that none stays open for ever."""


@dg.failure_hook(required_resource_keys={"watch", "metrics", "clock"})
def tell_of_failure(context: dg.HookContext) -> None:
    """Open an incident that names the days, the cause and the command that tries again; count the failure.

    A late bill is told as such, to the digest's readers too. A channel that does not work is an error in the run's
    log, which the UI shows beside the failure itself; the incident keeps that nobody was told.
    """
    run = context.instance.get_run_by_id(context.run_id)
    assert run  # it is the one that is under way
    error = context.op_exception
    watch, now = context.resources.watch, context.resources.clock()
    came_from = getattr(error, "__cause__", None)
    for tell in (
        lambda: _failed(
            watch,
            run,
            context.step_key,
            cause_of(error),
            now,
            late=isinstance(came_from, MissingDaysError),
            in_doubt=isinstance(came_from, UnknownDeliveryError),
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


def recorded_cause(data: Any) -> str:
    """What failed, in its own words, of a step that another process may have run."""
    if data.user_failure_data and data.user_failure_data.description:
        return data.user_failure_data.description
    return _words(data.error) or "no reason was recorded"


def _words(error: Any) -> str:
    """A recorded error's own message: Dagster wraps what is raised into an error that says only where that was."""
    return (error.cause or error).message.strip() if error else ""


def _failed(
    watch: Watch,
    run: dg.DagsterRun,
    step: str,
    cause: str,
    now: datetime,
    *,
    late: bool = False,
    failed_at: datetime | None = None,
    in_doubt: bool = False,
) -> None:
    """Tell of a failed run of days, of months, which are those of the evidence, or of neither."""
    days, keys = days_of(run.tags), _keys_of(run.tags)
    if keys and not days:
        watch.alerting.evidence_failed(keys, cause, run.run_id, failed_at=failed_at)
    else:
        job = "" if days else what_it_runs(run)
        failure = FailedRun(step, days, cause, run.run_id, late=late, in_doubt=in_doubt, job=job, failed_at=failed_at)
        watch.alerting.run_failed(failure, now)


def what_it_runs(run: dg.DagsterRun) -> str:
    """What a run without days is called: its job, and the day that its config names; or the assets that it makes."""
    if run.job_name.startswith(IMPLICIT_ASSET_JOB_NAME):
        names = [key.to_user_string() for key in run.asset_selection or ()]
        names += [f"the checks of {key.asset_key.to_user_string()}" for key in run.asset_check_selection or ()]
        return ", ".join(sorted(set(names))) or "assets"
    ops: Mapping[str, Any] = dict(run.run_config).get("ops") or {}  # type: ignore[assignment]  # JSON by Dagster's schema
    configs = [op.get("config") for op in ops.values()]
    return " ".join([run.job_name, *(str(config["day"]) for config in configs if config and "day" in config)])


def days_of(tags: Mapping[str, str]) -> tuple[date, ...]:
    """The first and the last day of a run, or its one day, by its tags; none of a run over something else."""
    try:
        return tuple(date.fromisoformat(key) for key in _keys_of(tags))
    except ValueError:
        return ()


def _keys_of(tags: Mapping[str, str]) -> tuple[str, ...]:
    """The first and the last partition of a run, or its one."""
    if PARTITION_NAME_TAG in tags:
        return (tags[PARTITION_NAME_TAG],)
    return tuple(tags[tag] for tag in (ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG) if tag in tags)


def build_failure_sensors(clock: Callable[[], datetime]) -> list[dg.SensorDefinition]:
    """Tell of every failed run of the code location that has not told of itself; those of the command are of it too."""

    @dg.run_failure_sensor(
        name="failed_runs",
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=30,
        description="Alerts once about every run that failed, killed commands too.",
    )
    def failed_runs(context: dg.RunFailureSensorContext, watch: dg.ResourceParam[Watch]) -> None:
        tell_of_run(watch, context, clock())

    return [failed_runs]


def tell_of_run(watch: Watch, context: dg.RunFailureSensorContext, now: datetime) -> None:
    """Tell of each step of a run that failed, or of the run, if it failed outside its steps."""
    run = context.dagster_run
    record = context.instance.get_run_record_by_id(run.run_id)
    failed_at = datetime.fromtimestamp(record.end_time, UTC) if record and record.end_time else now
    failures = context.get_step_failure_events()
    tell_of_failures(watch, run, failures, now, failed_at=failed_at)
    if not failures:
        of_run = context.failure_event.job_failure_data
        cause = _words(of_run.error if of_run else None) or context.failure_event.message or ""
        tell_of_death(watch, run, cause, now, failed_at)


def tell_of_failures(
    watch: Watch,
    run: dg.DagsterRun,
    failures: Sequence[dg.DagsterEvent],
    now: datetime,
    *,
    failed_at: datetime | None = None,
) -> None:
    """Tell of each step of a run that failed, unless it has told of itself.

    Args:
        watch: tells.
        run: the run.
        failures: the events of its failed steps.
        now: the time (aware, UTC).
        failed_at: when the run failed, where another process tells of it, afterwards.
    """
    for event in failures:
        data = event.step_failure_data
        if data.user_failure_data and NOTIFIED in (data.user_failure_data.metadata or {}):
            continue
        came_from = (data.error.cause or data.error).cls_name if data.error else ""
        _failed(
            watch,
            run,
            event.step_key or "the run",
            recorded_cause(data),
            now,
            late=came_from == MissingDaysError.__name__,
            in_doubt=came_from == UnknownDeliveryError.__name__,
            failed_at=failed_at,
        )


def tell_of_death(
    watch: Watch, run: dg.DagsterRun, cause: str, now: datetime, failed_at: datetime | None = None
) -> None:
    """A run that could not tell of its failure itself."""
    _failed(watch, run, "the run", cause or "its process is gone", now, failed_at=failed_at)


def give_sign_of_life(
    heartbeat: Heartbeat, now: datetime, warn: Callable[[str], None], *, only_again: bool = False
) -> None:
    """The heartbeat, if the morning is done. One that cannot be sent fails no run: the next one tries again."""
    try:
        failed = heartbeat.beat(now, only_again=only_again)
    except FinopsError as error:
        failed = (str(error),)
    for why in failed:
        warn(f"no heartbeat: {why}")


def heal_jobs(incidents: Incidents, instance: dg.DagsterInstance, now: datetime) -> None:
    """Close the incidents of jobs that have run through since, and those that nobody has run again in a week."""
    for incident in incidents.open("job_failed"):
        failed = instance.get_run_record_by_id(incident.problem.run_id)
        if failed and any(map(incident.subject.__eq__, _successes_since(instance, failed))):
            incidents.close("job_failed", [incident.subject])
        elif now - incident.opened > FORGOTTEN_AFTER:
            incidents.close("job_failed", [incident.subject], quietly=True)


def _successes_since(instance: dg.DagsterInstance, failed: Any) -> Sequence[str]:
    """What the successful runs of that run's job, begun after it, were runs of."""
    wanted = dg.RunsFilter(
        job_name=failed.dagster_run.job_name,
        statuses=[dg.DagsterRunStatus.SUCCESS],
        created_after=failed.create_timestamp,
    )
    return [what_it_runs(run) for run in instance.get_runs(wanted)]
