"""The nightly proof of the archive: every day's rows are those that were written (`finops verify` as a job)."""

# Without `from __future__ import annotations`: Dagster reads the op's annotations as they are.

from typing import Any

import dagster as dg

from finops_assets.core.operations import verification
from finops_assets.core.operations.watch import Watch
from finops_assets.core.ports import Archive
from finops_assets.defs.alerts import TOLD
from finops_assets.settings.model import Settings

JOB = "nightly_verification"


@dg.op(description="Each day's object read once, and its rows held against what was written (`finops verify`).")
def verify_every_day(
    context: dg.OpExecutionContext, archive: dg.ResourceParam[Archive], watch: dg.ResourceParam[Watch]
) -> None:
    """`finops verify` as a run: damaged days are told once each, and once when they prove again."""
    verdicts = list(verification.verify(archive, archive.days()))
    found = verification.summary(verdicts)
    verification.tell(watch.incidents, verdicts)
    context.log.info(str(found))
    context.add_output_metadata(
        {
            "verdict": str(found),
            "days": found.days,
            "damaged": ", ".join(str(verdict.day) for verdict in found.damaged) or "none",
            "rows": found.rows,
            "size (bytes)": found.size_bytes,
            "without content hash": found.without_content_hash,
        }
    )
    if found.damaged:
        lines = [f"{verdict.path} {verdict.fault}. Run `finops run --date {verdict.day}`." for verdict in found.damaged]
        raise dg.Failure("\n".join(lines), metadata={TOLD: verification.KIND}, allow_retries=False)


@dg.job(name=JOB, description="Every archived day is proved by its content (`finops verify`).")
def nightly_verification() -> None:
    verify_every_day()


def build_verification(settings: Settings) -> tuple[Any, dg.ScheduleDefinition]:
    """The job, and the schedule that runs it each night."""
    schedule = dg.ScheduleDefinition(
        job=nightly_verification,
        cron_schedule=settings.schedule.verify_cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Each night (schedule.verify_cron, UTC), before the check-up and the morning's run.",
    )
    return nightly_verification, schedule
