"""A month's evidence in Dagster: the asset, its job, and the schedule that runs it once the month is closed."""

# Without `from __future__ import annotations`: Dagster reads the asset's annotations as they are.

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import dagster as dg

from finops_assets.core.archive.journal import Journal
from finops_assets.core.calendar import in_words
from finops_assets.core.errors import FinopsError
from finops_assets.core.operations import evidence
from finops_assets.core.operations.watch import Watch
from finops_assets.core.ports import Archive
from finops_assets.defs import metadata as show
from finops_assets.defs.alerts import tell_of_failure
from finops_assets.defs.assets import Clock, _refusal, _told
from finops_assets.platform import AssetLabel
from finops_assets.settings.model import Settings

ASSET = "monthly_evidence"
JOB = "monthly_bundle"  # Dagster gives no job the name of an asset
IS_WHOLE = "month_is_whole"


def build_evidence(settings: Settings, labels: Mapping[str, AssetLabel]) -> tuple[dg.AssetsDefinition, Any, Any]:
    """The asset, the job and the schedule."""
    first = f"{settings.bill.first_day:%Y-%m}"
    # The first month may begin before bill.first_day.
    its_days = dg.TimeWindowPartitionMapping(allow_nonexistent_upstream_partitions=True)

    @dg.asset(
        key=ASSET,
        group_name="evidence",
        description="What was said of a month's bill, for an auditor: digests, receipts, restatements, incidents and "
        "each day's total, in one zip with checksums, and an index that stays at hand.\n\nOn this platform: "
        f"{labels[ASSET].stands_for}.",
        kinds=set(labels[ASSET].kinds),
        owners=["team:finops"],
        tags={"domain": "cost"},
        partitions_def=dg.MonthlyPartitionsDefinition(start_date=first, timezone="UTC", fmt="%Y-%m"),
        backfill_policy=dg.BackfillPolicy.single_run(),
        deps=[dg.AssetDep(name, partition_mapping=its_days) for name in ("ou_breakdown_parquet", "digest_email")],
        check_specs=[
            dg.AssetCheckSpec(
                IS_WHOLE, asset=ASSET, description="Every day of the month is archived as the bill has it now."
            )
        ],
    )
    def monthly_evidence(
        context: dg.AssetExecutionContext,
        archive: dg.ResourceParam[Archive],
        watch: dg.ResourceParam[Watch],
        clock: dg.ResourceParam[Clock],
    ) -> dg.MaterializeResult:
        now = clock()
        journal = Journal(archive, settings.bill.stable_after)
        made, refused = {}, {}
        for month in context.partition_keys:
            try:
                asked = evidence.ask_bill(watch.inspector, month, now)
                made[month] = evidence.make(archive, month, now, journal.settled(), asked)
            except FinopsError as error:  # of many months, one that cannot be made does not hold up the others
                refused[month] = error
        with _told(context):
            watch.evidence_made(made)
        if refused:
            for month, done in made.items():
                context.log_event(dg.AssetMaterialization(ASSET, metadata=_facts(*done), partition=month))
            raise _refusal(_together(list(refused.values())))
        for month, done in made.items():
            context.add_asset_metadata(_facts(*done), partition_key=month)
        days = [day for month in made for day in evidence.days_of(month)]
        faults = {day: why for there, _ in made.values() for day, why in there.faults.items()}
        whole = show.failed(IS_WHOLE, faults, dg.AssetCheckSeverity.WARN) if faults else show.passed(IS_WHOLE, days)
        return dg.MaterializeResult(check_results=[whole])

    job = dg.define_asset_job(
        JOB,
        selection=dg.AssetSelection.assets(ASSET),
        hooks={tell_of_failure},
        description="The evidence of one month: bundled, read back, indexed.",
    )

    @dg.schedule(
        job=job,
        cron_schedule=settings.schedule.evidence_cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="The month before the tick's (schedule.evidence_cron, UTC).",
    )
    def every_month(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        month = f"{context.scheduled_execution_time.replace(day=1) - timedelta(days=1):%Y-%m}"
        if month < first:
            return dg.SkipReason(f"{month} is before bill.first_day, {settings.bill.first_day}")
        return dg.RunRequest(run_key=month, partition_key=month)

    return monthly_evidence, job, every_month


def _together(refused: Sequence[FinopsError]) -> FinopsError:
    """The first month's error, which counts the others."""
    first, more = refused[0], len(refused) - 1
    others = f"; {more} more month(s) cannot be bundled either" if more else ""
    return FinopsError(first.what + others, where=first.where, fix=first.fix)


def _facts(made: evidence.Evidence, changed: bool) -> dict[str, Any]:
    missing = [date.fromisoformat(day) for day in made.days_missing]
    facts = {
        "total": "none: more than one currency or cost basis" if made.total is None else made.total,
        "currency": made.currency,
        "cost basis": made.cost_basis,
        "days archived": made.days_archived,
        "days missing": in_words(missing) or "none",
        "bill asked": made.asked,
        "every line of the bill": made.every_line,
        "settlement": ", ".join(f"{count} {name}" for name, count in made.settlement.items()),
        "version": made.version,
        "path": made.bundle,
        "size (bytes)": made.size,
        "sha256": made.sha256,
        "files": len(made.members),
        "changed by this run": changed,
    }
    return show.shown(facts)
