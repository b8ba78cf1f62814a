"""The embedded platform: DuckDB, files and SQLite in the home."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

from finops_assets.adapters.local.alerts import NoMetrics
from finops_assets.adapters.local.catalog import SQLiteCatalog
from finops_assets.adapters.local.dashboard import DashboardFile
from finops_assets.adapters.local.doctor import LocalPreflight
from finops_assets.adapters.local.several_bills import SeveralFiles
from finops_assets.adapters.local.warehouse import DuckDBWarehouse
from finops_assets.adapters.shared.accounts_file import AccountsFile
from finops_assets.adapters.shared.archive import ObjectArchive, folder_store
from finops_assets.adapters.shared.dashboard_page import PageSources
from finops_assets.composition.adapters import Adapters, AssetLabel
from finops_assets.composition.channels import (
    alert_channel,
    display_of,
    heartbeat_channels,
    look_at_mail,
    mailer_of,
    named_file,
)
from finops_assets.composition.parts import archive_age, bill_rules, part_of, refuse_incomplete, settled_days
from finops_assets.core.bill.dimension_keys import account_attributes
from finops_assets.core.ports import Archive
from finops_assets.core.reports.dashboard import read_outlook
from finops_assets.settings.model import Settings

LABELS = {
    "billing_export": AssetLabel(frozenset({"file"}), "the files at bill.path"),
    "account_ou_map": AssetLabel(frozenset({"csv"}), "accounts.csv, published as Parquet in the archive"),
    "finops_daily_summary": AssetLabel(frozenset({"duckdb", "view"}), "a DuckDB view over the bill's own files"),
    "ou_breakdown_parquet": AssetLabel(frozenset({"parquet"}), "one Parquet file a day in the home's archive folder"),
    "athena_partition": AssetLabel(frozenset({"sqlite", "table"}), "a partition in the home's catalog, read by DuckDB"),
    "ou_scorecard": AssetLabel(frozenset({"parquet", "table"}), "one Parquet file a day in the home's archive folder"),
    "executive_snapshot": AssetLabel(frozenset({"pdf"}), "a PDF in the home's archive folder"),
    "quicksight_dataset": AssetLabel(frozenset({"html", "dashboard"}), "the self-contained dashboard.html in the home"),
    "digest_email": AssetLabel(frozenset({"email"}), "an .eml file in the home's outbox folder"),
    "monthly_evidence": AssetLabel(frozenset({"zip"}), "a zip and its index in the home's archive folder"),
}


def _warehouse(settings: Settings, archive: Archive) -> DuckDBWarehouse | SeveralFiles:
    """What reads the bill; of several, each has an equal part of the memory, as their rows are merged while they come.

    Raises:
        SettingsError: one of several bills has no path.
    """
    bills = settings.bill.bills
    if len(bills) > 1:
        refuse_incomplete(bills, "path", "exports/azure")
    of_each = {
        bill.name: DuckDBWarehouse(
            bill.path,
            bill.format,
            bill_rules(settings, bill),
            memory=part_of(settings.warehouse.memory, len(bills)),
            threads=settings.warehouse.threads,
            spill=settings.home / "spill",
            archive=archive,
        )
        for bill in bills
    }
    if len(of_each) == 1:
        return of_each.popitem()[1]
    last_days = {bill.name: bill.last_day for bill in bills}
    return SeveralFiles(of_each, last_days, several_currencies=bool(settings.currency.display))


def local_adapters(settings: Settings, clock: Callable[[], datetime]) -> Adapters:
    """The adapters of the embedded platform; nothing is read or written yet.

    Args:
        settings: name the bill, the home and the channels.
        clock: the time that the dashboard carries (aware, UTC).
    """
    archive = ObjectArchive(folder_store(str(settings.archive_folder)))
    warehouse = _warehouse(settings, archive)
    display = display_of(settings, None)
    return Adapters(
        settings=settings,
        warehouse=warehouse,
        accounts=AccountsFile(
            settings.accounts.path,
            warehouse,
            ou_level=settings.accounts.ou_level,
            history=settings.accounts.history,
            attributes=account_attributes(settings.dimensions.keys),
        ),
        archive=archive,
        catalog=SQLiteCatalog(settings.catalog_file, settings.archive_folder, warehouse),
        display=display,
        dashboard=DashboardFile(
            display.archive(archive),
            settings.dashboard_file,
            days=settings.dashboard.days,
            max_cells=settings.dashboard.max_cells,
            sources=PageSources(
                settled_days(settings, archive),
                partial(read_outlook, archive, restated_as=display.restated),
                partial(archive_age, settings, archive),
                dimensions=bool(settings.dimensions.keys),
            ),
            clock=clock,
        ),
        mailer=mailer_of(settings, None),
        alerts=alert_channel(settings, None),
        heartbeats=heartbeat_channels(settings, None),
        budgets=partial(named_file, settings, None, settings.budgets.path, "budgets.path", "budgets.csv"),
        events=partial(named_file, settings, None, settings.anomalies.events, "anomalies.events", "events.csv"),
        metrics=NoMetrics(),
        preflight=LocalPreflight(settings, warehouse, partial(look_at_mail, settings)),
        labels=LABELS,
        links={"Dashboard": str(settings.dashboard_file.resolve()), "Dagster": "http://127.0.0.1:3000"},
        places={"dashboard": str(settings.dashboard_file), "digest": str(settings.outbox_folder)},
    )
