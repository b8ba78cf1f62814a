"""What is run, and when: the daily job, the checks of the morning, the check-up, the resending of a digest."""

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import dagster as dg
from pydantic import Field

from finops_assets.core.analytics.scoring import Scoring
from finops_assets.core.delivery.digest_service import DigestService
from finops_assets.core.delivery.outbox import Outbox
from finops_assets.core.errors import FinopsError
from finops_assets.core.findings import as_line, verdict
from finops_assets.core.operations.doctor import Preflight
from finops_assets.core.operations.heartbeat import Heartbeat
from finops_assets.core.operations.incidents import Problem
from finops_assets.core.operations.watch import FRESHNESS, Watch
from finops_assets.core.text import tidy_lines
from finops_assets.defs import metadata as show
from finops_assets.defs.alerts import TOLD, give_sign_of_life, tell_of_failure
from finops_assets.settings.model import Settings

JOB, CHECKS_JOB, DOCTOR_JOB, RESEND_JOB = "daily_bill", "morning_checks", "check_up", "resend_digest"
MORNING = "morning"
"""The asset that the checks of FRESHNESS are of. None that is made: checks of those run with each backfill."""

PROMISES = {
    "yesterday_is_published": "The newest day that is due is archived and registered where queries find it.",
    "yesterday_is_mailed": "Every recipient has the digest of the newest day that is due.",
    "dashboard_is_current": "The dashboard was refreshed after the newest archived day was written.",
    "every_day_is_whole": "No older day is missing, damaged, other than in the bill, or seen by no query.",
    "every_line_is_in_a_day": "Every line of the bill is in an archived day, or there is a reason why it is in none.",
    "alerts_are_told": "Every open incident has reached the alert channel.",
}


def build_jobs(assets: Sequence[Any], settings: Settings) -> tuple[list[Any], list[dg.ScheduleDefinition]]:
    """The jobs, and the schedules that run them."""
    made = [a.key for a in assets if isinstance(a, dg.AssetsDefinition)]
    daily = dg.define_asset_job(
        JOB,
        selection=dg.AssetSelection.assets(*made),
        hooks={tell_of_failure},
        description="One day of the bill, or a range of days: archived, registered, on the dashboard, in the inbox.",
    )
    checks = dg.define_asset_job(
        CHECKS_JOB,
        selection=dg.AssetSelection.checks_for_assets(MORNING),
        description="Is yesterday published, shown and mailed? Red from the deadline on, whatever was backfilled.",
    )

    @dg.schedule(
        job=daily,
        cron_schedule=settings.schedule.cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="The day before the tick, each morning (schedule.cron, UTC), unless it is done already.",
    )
    def every_morning(
        context: dg.ScheduleEvaluationContext, outbox: dg.ResourceParam[Outbox]
    ) -> dg.RunRequest | dg.SkipReason:
        day = (context.scheduled_execution_time - timedelta(days=1)).date()
        mailed = outbox.records.mailed(day)
        if mailed.state == "sent":  # the last link of the chain
            return dg.SkipReason(f"{day} is done: {mailed}")
        return dg.RunRequest(run_key=day.isoformat(), partition_key=day.isoformat())

    def daily_schedule(job: Any, cron: str) -> dg.ScheduleDefinition:
        return dg.ScheduleDefinition(
            job=job, cron_schedule=cron, execution_timezone="UTC", default_status=dg.DefaultScheduleStatus.RUNNING
        )

    schedules = [
        every_morning,
        daily_schedule(checks, settings.schedule.checks_cron),
        daily_schedule(check_up, settings.schedule.doctor_cron),
    ]
    return [daily, checks, check_up, resend_digest], schedules


def build_morning_checks() -> tuple[dg.AssetSpec, Any]:
    """The asset that stands for the morning, and its checks."""
    morning = dg.AssetSpec(
        MORNING,
        group_name="published",
        deps=["athena_partition", "quicksight_dataset", "digest_email"],
        description="What is true each morning from the deadline on; nothing is made for it.",
        owners=["team:finops"],
        kinds={"email"},
    )

    @dg.multi_asset_check(
        name="morning_is_done",
        specs=[dg.AssetCheckSpec(n, asset=MORNING, blocking=True, description=PROMISES[n]) for n in FRESHNESS],
    )
    def morning_is_done(
        context: dg.AssetCheckExecutionContext,
        watch: dg.ResourceParam[Watch],
        heartbeat: dg.ResourceParam[Heartbeat],
        clock: dg.ResourceParam[Callable[[], datetime]],
    ) -> Any:
        now = clock()
        faults = watch.freshness(now)
        watch.not_fresh(faults, now)
        watch.incidents.heal("job_failed", [CHECKS_JOB])
        metadata = {"day": str(watch.due_day(now)), **show.age(watch.age(now))}
        for name, fault in faults.items():
            yield show.check_result(name, fault, metadata=metadata)
        if any(faults.values()):
            broken = "; ".join(f"{name}: {fault}" for name, fault in faults.items() if fault)
            raise dg.Failure(tidy_lines(broken), metadata={TOLD: "not_fresh, or what explains it"}, allow_retries=False)
        give_sign_of_life(heartbeat, now, context.log.warning)

    return morning, morning_is_done


@dg.op(description="Everything that the settings use, each tried; what fails is told once, and once when it is mended.")
def look_at_everything(
    context: dg.OpExecutionContext,
    preflight: dg.ResourceParam[Preflight],
    scoring: dg.ResourceParam[Scoring],
    watch: dg.ResourceParam[Watch],
) -> None:
    """`finops doctor` as a run."""
    findings = [*preflight.check(), *scoring.check()]
    failed = [finding for finding in findings if finding.state == "fail"]
    watch.tell_damaged_notes()
    watch.incidents.settle(
        "doctor", {f.name: Problem(f.detail, "nothing is mended by itself here", f.fix) for f in failed}
    )
    watch.incidents.heal("job_failed", [DOCTOR_JOB])  # it has looked: that it failed before is over
    context.log.info("\n".join(map(as_line, findings)))
    context.add_output_metadata({"verdict": verdict(findings), "failed": ", ".join(f.name for f in failed) or "none"})
    if failed:
        raise dg.Failure("\n".join(map(as_line, failed)), metadata={TOLD: "doctor"}, allow_retries=False)


@dg.job(name=DOCTOR_JOB, description="The check-up of everything that the settings use (`finops doctor`).")
def check_up() -> None:
    look_at_everything()


class Resend(dg.Config):
    """Which digest, to whom, and whether it is made anew."""

    day: str
    to: list[str] = Field(default_factory=list)
    refresh: bool = False


@dg.op(
    description="The stored digest again, the same bytes, or made now where the day has none of its own; with "
    "`refresh` a new revision to all recipients. `to` takes addresses of the settings, and those of mail.resend_to."
)
def send_again(
    context: dg.OpExecutionContext,
    config: Resend,
    digests: dg.ResourceParam[DigestService],
    clock: dg.ResourceParam[Callable[[], datetime]],
) -> None:
    """`finops resend` as a run."""
    try:
        sent = digests.resend(date.fromisoformat(config.day), clock(), to=config.to, refresh=config.refresh)
    except (FinopsError, ValueError) as error:
        raise dg.Failure(tidy_lines(str(error)), allow_retries=False) from error
    context.add_output_metadata({"messages": "\n".join(f"{d.recipient}: {d.location}" for d in sent)})


@dg.job(name=RESEND_JOB, description="A digest again (`finops resend`): config says which, to whom.")
def resend_digest() -> None:
    send_again()
