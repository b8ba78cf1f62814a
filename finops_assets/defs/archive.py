"""The assets of the archive: the day's Parquet object, and its partition that queries find.

A day that is not proved to be the bill is never published: its asset fails, the check names the day and the reason,
and what lies downstream does not run.
"""

# Without `from __future__ import annotations`: Dagster reads the assets' annotations as they are.

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import dagster as dg

from finops_assets.core.archive.available_days import left_out_in_words
from finops_assets.core.archive.day_checks import DAY_CHECKS
from finops_assets.core.archive.display import Display
from finops_assets.core.archive.publishing import Archived, ArchivingRules, archive_days
from finops_assets.core.archive.registering import register_days
from finops_assets.core.calendar import in_words
from finops_assets.core.errors import FinopsError, MissingDaysError
from finops_assets.core.operations.watch import Watch
from finops_assets.core.ports import Archive, Catalog, DashboardData, Progress, Warehouse
from finops_assets.core.schemas import OU_BREAKDOWN
from finops_assets.core.values import PublishedDay
from finops_assets.defs import keys, metadata
from finops_assets.defs.forms import AssetForms
from finops_assets.defs.steps import (
    Clock,
    Receipts,
    Results,
    add_metadata,
    alerts_may_fail,
    days_of_run,
    explained,
    makes,
    refusal_of,
)
from finops_assets.settings.model import Settings


def build_archive_assets(forms: AssetForms) -> list[Any]:
    """The day's object and its partition."""
    settings, retry = forms.settings, forms.settings.schedule.retry_seconds

    @dg.asset(
        **forms.daily(
            keys.ARCHIVED,
            keys.ARCHIVE_GROUP,
            "The day's archived cost: the source of truth.",
            {
                **{check.name: check.description for check in DAY_CHECKS},
                keys.UNASSIGNED: "Accounts without an OU stay under accounts.unassigned_limit_percent of the "
                "day's cost.",
            },
        ),
        deps=[keys.SUMMARY, keys.MAP],
        metadata={"dagster/column_schema": metadata.table_schema(OU_BREAKDOWN)},
    )
    def ou_breakdown_parquet(
        context: dg.AssetExecutionContext,
        warehouse: dg.ResourceParam[Warehouse],
        archive: dg.ResourceParam[Archive],
        display: dg.ResourceParam[Display],
        receipts: dg.ResourceParam[Receipts],
        clock: dg.ResourceParam[Clock],
        progress: dg.ResourceParam[Progress],
        watch: dg.ResourceParam[Watch],
    ) -> Results:
        days, now = days_of_run(context), clock()
        with explained(context, retry):
            arguments = _archiving(settings, context, now, display)
            done = archive_days(warehouse, archive, days, progress=progress, **arguments)
        _note_published(context, watch, done, now)
        if done.refused:
            yield from (metadata.failed(promise, reasons) for promise, reasons in done.broken.items() if reasons)
            raise _not_the_bill(done)
        if done.left_out:
            with explained(context, retry):
                raise _not_in_the_bill(done)
        add_metadata(context, {day: metadata.archived_day(done, day) for day in days})
        shown = {day: display.shown(published) for day, published in done.published.items()}
        with alerts_may_fail(context):
            limit = settings.accounts.unassigned_limit_percent
            watch.alerting.days_archived(shown, done.restated, now, unassigned_limit=limit)
        results = _proved(shown, days, settings)
        yield dg.MaterializeResult(metadata=metadata.queries(receipts()), check_results=results)

    @dg.asset(
        **forms.daily(
            keys.REGISTERED,
            keys.ARCHIVE_GROUP,
            "The day, found by queries of ou_breakdown.",
            {keys.READS_BACK: "A query through the catalog gives the archive's rows and, to the cent, its total."},
        ),
        deps=[keys.ARCHIVED],
    )
    def athena_partition(
        context: dg.AssetExecutionContext,
        archive: dg.ResourceParam[Archive],
        catalog: dg.ResourceParam[Catalog],
        dashboard: dg.ResourceParam[DashboardData],
        receipts: dg.ResourceParam[Receipts],
    ) -> Results:
        days = days_of_run(context)
        # SPICE takes many seconds: where this run refreshes it, it starts while the days are read back.
        early: dict[str, Any] = {"start": lambda: dashboard.start_refresh(refresh_id(days))}
        with explained(context, retry):
            done = register_days(archive, catalog, days, **(early if makes(context, keys.SHOWN) else {}))
        if done.wrong:
            yield metadata.failed(keys.READS_BACK, done.wrong)
            raise refusal_of(done.wrong, "not read back as archived", fix="Run these days again.")
        add_metadata(context, {day: metadata.registered_day(done, day) for day in days})
        facts = metadata.queries(receipts())
        yield dg.MaterializeResult(metadata=facts, check_results=[metadata.passed(keys.READS_BACK, days)])

    return [ou_breakdown_parquet, athena_partition]


def refresh_id(days: Sequence[date]) -> str:
    """`daily-20250910` or `backfill-20250901-20250910`: the same for the same work."""
    if len(days) == 1:
        return f"daily-{days[0]:%Y%m%d}"
    return f"backfill-{days[0]:%Y%m%d}-{days[-1]:%Y%m%d}"


def _archiving(
    settings: Settings, context: dg.AssetExecutionContext, now: datetime, display: Display
) -> dict[str, Any]:
    """The arguments of `archive_days` that are the same for every day."""
    bill = settings.bill
    return {
        "cost_basis": bill.cost_basis,
        "run_id": context.run.run_id,
        "now": now,
        "rules": ArchivingRules(bill.complete_after_hours, bill.stable_after, display),
    }


def _note_published(context: dg.AssetExecutionContext, watch: Watch, done: Archived, now: datetime) -> None:
    """Hold the bill's lines against what is archived now; of a run that will fail, record the days that it has made."""
    try:
        watch.inspector.bill.published(now, done.snapshot, done.published)
    except FinopsError as error:
        context.log.warning("it is not known whether every line of the bill is in a day: %s", error)
    for day in done.published if done.refused or done.left_out else ():
        facts: Mapping[str, Any] = metadata.archived_day(done, day)
        context.log_event(dg.AssetMaterialization(context.asset_key, metadata=facts, partition=str(day)))


def _not_the_bill(done: Archived) -> dg.Failure:
    return refusal_of(
        done.refused,
        "not published, as it is not exactly the bill",
        fix="If the bill changed while it was read, run these days again; else look at the account map.",
    )


def _not_in_the_bill(done: Archived) -> MissingDaysError:
    return MissingDaysError(
        f"{in_words(list(done.published))} archived; the bill does not have {left_out_in_words(done.left_out)}",
        days=tuple(done.left_out),
        fix="The sensors register, show and mail what is archived; without them, run those days again. "
        "The others are run when the bill has them.",
    )


def _proved(shown: Mapping[date, PublishedDay], days: Sequence[date], settings: Settings) -> list[dg.AssetCheckResult]:
    limit = settings.accounts.unassigned_limit_percent
    return [
        *(metadata.passed(check.name, days) for check in DAY_CHECKS),
        metadata.unassigned(keys.UNASSIGNED, shown, limit),
    ]
