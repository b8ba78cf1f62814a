"""What is said when a run fails, and to whom: in the run's own process, so that no daemon is needed for it."""

import dagster as dg
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)

from finops_assets.core.errors import FinopsError


@dg.failure_hook(required_resource_keys={"alerts", "metrics"})
def tell_of_failure(context: dg.HookContext) -> None:
    """Send an alert that names the days, the step, the cause and the command that tries again; count the failure.

    A channel that does not work is an error in the run's log, which the UI shows beside the failure itself.
    """
    run = context.instance.get_run_by_id(context.run_id)
    days = days_of(run.tags if run else {})
    subject, text = failure_words(context.step_key, days, context.op_exception, context.run_id)
    for tell in (
        lambda: context.resources.alerts.send(subject, text),
        lambda: context.resources.metrics.emit({"RunFailed": 1}),
    ):
        try:
            tell()
        except FinopsError as error:
            context.log.error("nobody was told of this failure: %s", error)  # noqa: TRY400  (its own words are enough)


def days_of(tags: dict[str, str]) -> tuple[str, ...]:
    """The first and the last day of a run, or its one day, by its tags."""
    if PARTITION_NAME_TAG in tags:
        return (tags[PARTITION_NAME_TAG],)
    return tuple(tags[tag] for tag in (ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG) if tag in tags)


def failure_words(step: str, days: tuple[str, ...], error: BaseException | None, run_id: str) -> tuple[str, str]:
    """Subject and text of the alert."""
    span = " to ".join(days) or "a run without a day"
    cause = getattr(error, "description", None) or (str(error) if error else "no reason was recorded")
    command = f"finops backfill {' '.join(days)}" if len(days) == 2 else f"finops run --date {(*days, 'DAY')[0]}"
    return (
        f"FinOps: {span} failed at {step}",
        f"""The bill of {span} is not whole: {step} failed.

Cause: {cause}

What is archived already stays as it was; nothing was published in part.
Try again: {command}
Look at it: finops doctor --date {(*days, "DAY")[-1]}
Dagster run: {run_id}
""",
    )
