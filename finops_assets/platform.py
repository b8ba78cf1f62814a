"""A platform: one adapter for each role, chosen by the settings. Nothing else knows which platform it runs on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from finops_assets.core.bill import Rules
from finops_assets.core.errors import SettingsError
from finops_assets.core.ports import Accounts, Archive, Catalog, DashboardData, Warehouse
from finops_assets.settings import Settings

if TYPE_CHECKING:
    from finops_assets.core.outbox import Outbox


@dataclass(frozen=True)
class Face:
    """What stands behind an asset on this platform, as the Dagster UI shows it."""

    kinds: frozenset[str]
    stands_for: str


@dataclass(frozen=True)
class Platform:
    """Everything the assets and the command work with."""

    settings: Settings
    warehouse: Warehouse
    accounts: Accounts
    archive: Archive
    catalog: Catalog
    dashboard: DashboardData
    outbox: Outbox
    faces: Mapping[str, Face] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)


def build_platform(settings: Settings) -> Platform:
    """The platform that the settings name. Opens nothing yet but the archive's folder.

    Raises:
        SettingsError: the platform is not there in this version.
        ArchiveError: the home cannot be written.
    """
    if settings.platform != "local":
        raise SettingsError(
            f"this version has no platform {settings.platform!r} yet",
            where="platform (FINOPS_PLATFORM)",
            fix="Set it to local.",
        )
    return _local(settings)


def _local(settings: Settings) -> Platform:
    from finops_assets.adapters.archive import ObjectArchive, folder_store
    from finops_assets.adapters.local.accounts import AccountsFile
    from finops_assets.adapters.local.catalog import SQLiteCatalog
    from finops_assets.adapters.local.dashboard import DashboardFile
    from finops_assets.adapters.local.mailer import EmlOutbox
    from finops_assets.adapters.local.warehouse import DuckDBWarehouse
    from finops_assets.core.outbox import Outbox

    bill = settings.bill
    warehouse = DuckDBWarehouse(
        bill.path,
        bill.format,
        Rules(
            cost_basis=bill.cost_basis,
            currency=bill.currency,
            include_tax=bill.include_tax,
            include_credits=bill.include_credits,
            include_refunds=bill.include_refunds,
        ),
        memory=settings.warehouse.memory,
        threads=settings.warehouse.threads,
        spill=settings.home / "spill",
    )
    archive = ObjectArchive(folder_store(str(settings.archive_folder)))
    return Platform(
        settings=settings,
        warehouse=warehouse,
        accounts=AccountsFile(
            settings.accounts.path,
            warehouse,
            ou_level=settings.accounts.ou_level,
            history=settings.accounts.history,
        ),
        archive=archive,
        catalog=SQLiteCatalog(settings.catalog_file, settings.archive_folder),
        dashboard=DashboardFile(
            archive,
            settings.dashboard_file,
            days=settings.dashboard.days,
            max_cells=settings.dashboard.max_cells,
        ),
        outbox=Outbox(archive, EmlOutbox(settings.outbox_folder), settings.mail.sender, settings.mail.recipients),
        faces=_LOCAL_FACES,
        links={"Dashboard": str(settings.dashboard_file.resolve()), "Dagster": "http://127.0.0.1:3000"},
    )


_LOCAL_FACES = {
    "billing_export": Face(frozenset({"file"}), "the files at bill.path"),
    "account_ou_map": Face(frozenset({"csv"}), "accounts.csv, published as Parquet in the archive"),
    "finops_daily_summary": Face(frozenset({"duckdb", "view"}), "a DuckDB view over the bill's own files"),
    "ou_breakdown_parquet": Face(frozenset({"parquet"}), "one Parquet file a day in the home's archive folder"),
    "athena_partition": Face(frozenset({"sqlite", "table"}), "a partition in the home's catalog, read by DuckDB"),
    "quicksight_dataset": Face(frozenset({"html", "dashboard"}), "the self-contained dashboard.html in the home"),
    "digest_email": Face(frozenset({"email"}), "an .eml file in the home's outbox folder"),
}
