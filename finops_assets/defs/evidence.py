"""A month's evidence: the asset, the job that makes it, its check, and the schedule once the month is closed.

The asset has months where all others have days. It is made by the job alone, so that the lineage's "Materialize all"
offers a choice of days.
"""

# Without `from __future__ import annotations`: Dagster reads the op's annotations as they are.

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import dagster as dg

from finops_assets.core.calendar import in_words
from finops_assets.core.errors import FinopsError
from finops_assets.core.operations import evidence
from finops_assets.core.operations.evidence import Evidence
from finops_assets.core.operations.watch import Watch
from finops_assets.core.ports import Archive
from finops_assets.defs import keys, metadata
from finops_assets.defs.alerts import tell_of_failure
from finops_assets.defs.forms import AssetForms
from finops_assets.defs.steps import Clock, alerts_may_fail, refusal

Bundled = Mapping[str, tuple[Evidence, bool]]
"""Month -> its evidence, and whether this run has changed it."""


def build_evidence(forms: AssetForms) -> tuple[dg.AssetSpec, dg.AssetChecksDefinition, dg.JobDefinition, Any]:
    """The asset, its check, the job and the schedule."""
    settings = forms.settings
    first = f"{settings.bill.first_day:%Y-%m}"
    months = dg.MonthlyPartitionsDefinition(start_date=first, timezone="UTC", fmt="%Y-%m")
    # The first month may begin before bill.first_day.
    its_days = dg.TimeWindowPartitionMapping(allow_nonexistent_upstream_partitions=True)

    monthly_evidence = dg.AssetSpec(
        **forms.plain(
            keys.EVIDENCE,
            keys.EVIDENCE_GROUP,
            "A closed month's evidence, for an auditor.",
            "Digests, receipts, restatements, incidents and each day's total in one zip with checksums, and an index "
            "that stays at hand. The job monthly_bundle makes it on the 16th of the month after.",
        ),
        partitions_def=months,
        deps=[dg.AssetDep(name, partition_mapping=its_days) for name in (keys.ARCHIVED, keys.MAILED)],
    )

    @dg.asset_check(
        asset=keys.EVIDENCE,
        name=keys.IS_WHOLE,
        description="Every day of the newest month with evidence is archived as the bill has it now.",
    )
    def month_is_whole(archive: dg.ResourceParam[Archive]) -> dg.AssetCheckResult:
        newest = evidence.read_all(archive)[-1:]
        return _whole({each.month: (each, False) for each in newest})

    @dg.op(
        name=keys.EVIDENCE, description="The evidence of a month, or of a range of them: bundled, read back, indexed."
    )
    def bundle(
        context: dg.OpExecutionContext,
        archive: dg.ResourceParam[Archive],
        watch: dg.ResourceParam[Watch],
        clock: dg.ResourceParam[Clock],
    ) -> None:
        bundled, refused = _bundle_months(context.partition_keys, archive, watch, clock())
        with alerts_may_fail(context):
            watch.alerting.evidence_made(bundled)
        for month, done in bundled.items():
            context.log_event(dg.AssetMaterialization(keys.EVIDENCE, metadata=_facts(*done), partition=month))
        if refused:
            raise refusal(_together(refused))
        result = _whole(bundled)
        context.log_event(
            dg.AssetCheckEvaluation(  # type: ignore[arg-type]  # Dagster takes it, and does not say so
                asset_key=dg.AssetKey(keys.EVIDENCE),
                check_name=keys.IS_WHOLE,
                passed=result.passed,
                severity=result.severity,
                description=result.description,
                metadata=result.metadata,
            )
        )

    @dg.job(
        name=keys.EVIDENCE_JOB,
        partitions_def=months,
        hooks={tell_of_failure},
        description="Bundles the evidence of one month in a zip.",
    )
    def monthly_bundle() -> None:
        bundle()

    @dg.schedule(
        job=monthly_bundle,
        cron_schedule=settings.schedule.evidence_cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Bundles the evidence of the month before (schedule.evidence_cron).",
    )
    def every_month(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        month = f"{context.scheduled_execution_time.replace(day=1) - timedelta(days=1):%Y-%m}"
        if month < first:
            return dg.SkipReason(f"{month} is before bill.first_day, {settings.bill.first_day}")
        return dg.RunRequest(run_key=month, partition_key=month)

    return monthly_evidence, month_is_whole, monthly_bundle, every_month


def _bundle_months(
    months: Sequence[str], archive: Archive, watch: Watch, now: datetime
) -> tuple[dict[str, tuple[Evidence, bool]], list[FinopsError]]:
    """The evidence of each month, and the errors of those that cannot be made: one does not hold up the others."""
    bundled, refused = {}, []
    for month in months:
        try:
            asked = evidence.ask_bill(watch.inspector, month, now)
            bundled[month] = evidence.make(archive, month, now, watch.journal.settled(), asked)
        except FinopsError as error:
            refused.append(error)
    return bundled, refused


def _whole(bundled: Bundled) -> dg.AssetCheckResult:
    days = [day for month in bundled for day in evidence.days_of(month)]
    faults = {day: why for each, _ in bundled.values() for day, why in each.faults.items()}
    if faults:
        return metadata.failed(keys.IS_WHOLE, faults, dg.AssetCheckSeverity.WARN)
    return metadata.passed(keys.IS_WHOLE, days)


def _together(refused: Sequence[FinopsError]) -> FinopsError:
    """The first month's error, which counts the others."""
    first, more = refused[0], len(refused) - 1
    others = f"; {more} more month(s) cannot be bundled either" if more else ""
    return FinopsError(first.what + others, where=first.where, fix=first.fix)


def _facts(month: Evidence, changed: bool) -> dict[str, Any]:
    missing = [date.fromisoformat(day) for day in month.days_missing]
    facts = {
        "total": "none: more than one currency or cost basis" if month.total is None else month.total,
        "currency": month.currency,
        "cost basis": month.cost_basis,
        "days archived": month.days_archived,
        "days missing": in_words(missing) or "none",
        "bill asked": month.asked,
        "every line of the bill": month.every_line,
        "settlement": ", ".join(f"{count} {name}" for name, count in month.settlement.items()),
        "version": month.version,
        "path": month.bundle,
        "size (bytes)": month.size,
        "sha256": month.sha256,
        "files": len(month.members),
        "changed by this run": changed,
    }
    return metadata.shown(facts)
