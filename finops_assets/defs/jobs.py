"""When the assets are made: the daily job and its schedule."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import dagster as dg

from finops_assets.defs.alerts import tell_of_failure
from finops_assets.settings import Settings

JOB = "daily_bill"


def build_jobs(assets: Sequence[Any], settings: Settings) -> tuple[list[Any], list[dg.ScheduleDefinition]]:
    """The job that makes a whole day, and the schedule that runs it each morning for the day before."""
    job = dg.define_asset_job(
        JOB,
        selection=dg.AssetSelection.assets(*[a.key for a in assets if isinstance(a, dg.AssetsDefinition)]),
        hooks={tell_of_failure},
        description="One day of the bill, or a range of days: archived, registered, on the dashboard, in the inbox.",
    )

    @dg.schedule(
        job=job,
        cron_schedule=settings.schedule.cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="The day before the tick, each morning (schedule.cron, UTC).",
    )
    def every_morning(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        day = (context.scheduled_execution_time - timedelta(days=1)).date().isoformat()
        return dg.RunRequest(run_key=day, partition_key=day)

    return [job], [every_morning]
