"""What is run when: each schedule ticks in UTC, and runs unless its work is done."""

# Without `from __future__ import annotations`: Dagster reads the schedules' annotations as they are.

from datetime import timedelta
from typing import Any

import dagster as dg

from finops_assets.core.delivery.outbox import Outbox
from finops_assets.defs.jobs import check_up, daily_bill, morning_checks, nightly_verification
from finops_assets.settings.model import Settings


def build_schedules(settings: Settings) -> list[dg.ScheduleDefinition]:
    """The morning's run, its checks, the check-up and the nightly proof."""

    @dg.schedule(
        job=daily_bill,
        cron_schedule=settings.schedule.cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Runs yesterday each morning (schedule.cron), unless it is done.",
    )
    def every_morning(
        context: dg.ScheduleEvaluationContext, outbox: dg.ResourceParam[Outbox]
    ) -> dg.RunRequest | dg.SkipReason:
        day = (context.scheduled_execution_time - timedelta(days=1)).date()
        mailed = outbox.records.mailed(day)
        if mailed.state == "sent":  # the last link of the chain
            return dg.SkipReason(f"{day} is done: {mailed}")
        return dg.RunRequest(run_key=day.isoformat(), partition_key=day.isoformat())

    return [
        every_morning,
        _each_day(
            morning_checks,
            settings.schedule.checks_cron,
            "Asks each morning whether yesterday is published and mailed (schedule.checks_cron).",
        ),
        _each_day(
            check_up, settings.schedule.doctor_cron, "Tries all that the settings use, daily (schedule.doctor_cron)."
        ),
        _each_day(
            nightly_verification,
            settings.schedule.verify_cron,
            "Proves every archived day each night (schedule.verify_cron).",
        ),
    ]


def _each_day(job: Any, cron: str, description: str) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        job=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=description,
    )
