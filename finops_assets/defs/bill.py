"""The assets of the bill: the export itself, the account map, and the bill seen through it."""

# Without `from __future__ import annotations`: Dagster reads the assets' annotations as they are.

import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Any

import dagster as dg

from finops_assets.core.accounts.account_map import counts, to_parquet
from finops_assets.core.archive.available_days import FoundDays, find_days
from finops_assets.core.calendar import days_between
from finops_assets.core.errors import MissingDaysError
from finops_assets.core.notes import put_if_other
from finops_assets.core.ports import Accounts, Archive, Metrics, Warehouse
from finops_assets.core.schemas import ACCOUNT_MAP_PATH, ACCOUNT_OU_MAP
from finops_assets.core.values import AccountMap
from finops_assets.defs import keys, metadata
from finops_assets.defs.alerts import days_of
from finops_assets.defs.forms import AssetForms
from finops_assets.defs.steps import Clock, Receipts, Results, add_metadata, days_of_run, explained, measure

DATA_VERSION_TAG = "dagster/data_version"


def build_bill_assets(forms: AssetForms) -> list[Any]:
    """The export, the map and the summary."""
    bill, retry = forms.settings.bill, forms.settings.schedule.retry_seconds

    billing_export = dg.AssetSpec(
        **forms.plain(
            keys.BILL,
            keys.BILL_GROUP,
            "The bill as it is delivered.",
            "CUR 2.0, legacy CUR, FOCUS or a summary table. A day's data version changes when the bill changes that "
            "day: what was made of it is then shown as out of date.",
        ),
        partitions_def=forms.days,
    )

    @dg.asset(
        **forms.plain(keys.MAP, keys.BILL_GROUP, "Which account was in which OU, and when."),
        metadata={"dagster/column_schema": metadata.table_schema(ACCOUNT_OU_MAP)},
        check_specs=[
            dg.AssetCheckSpec(
                keys.MAP_IS_CURRENT,
                asset=keys.MAP,
                description="The map is today's, and not an older one kept because the organization could not be read.",
            )
        ],
    )
    def account_ou_map(
        context: dg.AssetExecutionContext,
        accounts: dg.ResourceParam[Accounts],
        archive: dg.ResourceParam[Archive],
        require_memory: dg.ResourceParam[Callable[[int, int], None]],
    ) -> dg.MaterializeResult:
        with explained(context, retry):
            loaded = accounts.load()
            if ends := days_of(context.run.tags):  # before the first day is read
                require_memory(loaded.table.num_rows, len(days_between(ends[0], ends[-1])))
            data = to_parquet(loaded.table)
            put_if_other(archive, ACCOUNT_MAP_PATH, data)
        if loaded.outdated:
            context.log.warning(loaded.outdated)
        return dg.MaterializeResult(
            check_results=[metadata.current_map(keys.MAP_IS_CURRENT, loaded.outdated)],
            metadata=_map_facts(loaded),
            data_version=dg.DataVersion(hashlib.sha256(data).hexdigest()),  # the same map puts no day out of date
        )

    @dg.asset(
        **forms.daily(
            keys.SUMMARY,
            keys.BILL_GROUP,
            "The bill by day, OU, service and account.",
            {keys.NOT_EMPTY: "The bill has every day of the run, whole."},
        ),
        deps=[keys.BILL, keys.MAP],
    )
    def finops_daily_summary(
        context: dg.AssetExecutionContext,
        warehouse: dg.ResourceParam[Warehouse],
        receipts: dg.ResourceParam[Receipts],
        metrics: dg.ResourceParam[Metrics],
        clock: dg.ResourceParam[Clock],
    ) -> Results:
        days = days_of_run(context)
        with explained(context, retry):
            try:
                available = find_days(warehouse, days, clock(), bill.complete_after_hours)
            except MissingDaysError as error:
                yield metadata.failed(keys.NOT_EMPTY, dict.fromkeys(error.days, error.what))
                raise
            place = warehouse.provide_summary()
        _observe_export(context, warehouse, metrics, clock)
        add_metadata(context, {day: metadata.source_day(of, bill.cost_basis) for day, of in available.source.items()})
        add_metadata(context, {day: metadata.shown({"left out": why}) for day, why in available.left_out.items()})
        facts = {"queryable as": place, **metadata.queries(receipts())}
        yield dg.MaterializeResult(metadata=facts, check_results=[_whole(available, days)])

    return [billing_export, account_ou_map, finops_daily_summary]


def begin_versions(instance: dg.DagsterInstance) -> None:
    """Give the data versions of the bill's days something to follow: before the first run, nothing was observed.

    Dagster compares a day's version with the last one that a run knew, and takes a first one for known.
    """
    if not instance.fetch_observations(dg.AssetKey(keys.BILL), limit=1).records:
        instance.report_runless_asset_event(dg.AssetObservation(keys.BILL, description="before the first run"))


def report_versions(instance: dg.DagsterInstance, versions: Mapping[date, str]) -> None:
    """Tell Dagster that the bill has these days otherwise than they were made: the UI shows them as out of date.

    Args:
        instance: keeps the observations.
        versions: the fingerprint of each day's rows as the bill has them now.
    """
    for day, version in versions.items():
        observation = dg.AssetObservation(keys.BILL, partition=str(day), tags={DATA_VERSION_TAG: version})
        instance.report_runless_asset_event(observation)


def _observe_export(context: dg.AssetExecutionContext, warehouse: Warehouse, metrics: Metrics, clock: Clock) -> None:
    """Note the export that the run reads, and how old it is."""
    export = warehouse.describe()
    if export.updated:
        age = (clock() - export.updated).total_seconds() / 3600
        measure(context, metrics, {"SourceAgeHours": max(age, 0.0)})
    for warning in (*export.warnings, *export.untold_dimensions.values()):
        context.log.warning(warning)
    context.log_event(dg.AssetObservation(keys.BILL, metadata=metadata.bill(export)))


def _whole(available: FoundDays, days: Iterable[date]) -> dg.AssetCheckResult:
    """The days that the bill has go on; ou_breakdown_parquet fails in the end for those that it does not have."""
    if available.left_out:
        return metadata.failed(keys.NOT_EMPTY, available.left_out, dg.AssetCheckSeverity.WARN)
    return metadata.passed(keys.NOT_EMPTY, list(days))


def _map_facts(loaded: AccountMap) -> dict[str, Any]:
    per_ou = counts(loaded.table)
    return {
        "dagster/row_count": loaded.table.num_rows,
        "accounts": sum(per_ou.values()),
        "moves between OUs": loaded.table.num_rows - sum(per_ou.values()),
        "path": ACCOUNT_MAP_PATH,
        **metadata.shown(loaded.facts),
        "accounts by OU": metadata.markdown_table(("OU", "accounts"), per_ou.items()),
    }
