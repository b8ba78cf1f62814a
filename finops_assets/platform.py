"""A platform: one adapter for each role, chosen by the settings. Nothing else knows which platform it runs on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from finops_assets.core.bill import Rules
from finops_assets.core.errors import SettingsError
from finops_assets.core.ports import (
    Accounts,
    Alerts,
    Archive,
    Catalog,
    DashboardData,
    Mailer,
    Metrics,
    QueryReceipt,
    Warehouse,
)
from finops_assets.settings import Settings

if TYPE_CHECKING:
    from finops_assets.adapters.aws.session import AwsSession
    from finops_assets.core.doctor import Preflight
    from finops_assets.core.outbox import Outbox


@dataclass(frozen=True)
class Face:
    """What stands behind an asset on this platform, as the Dagster UI shows it."""

    kinds: frozenset[str]
    stands_for: str


@dataclass(frozen=True)
class Platform:
    """Everything the assets and the command work with.

    `receipts` gives, once, what paid queries have taken since it was last asked; `links` are shown in the digest,
    `places` by the command.
    """

    settings: Settings
    warehouse: Warehouse
    accounts: Accounts
    archive: Archive
    catalog: Catalog
    dashboard: DashboardData
    outbox: Outbox
    alerts: Alerts
    metrics: Metrics
    preflight: Preflight
    receipts: Callable[[], list[QueryReceipt]] = list
    faces: Mapping[str, Face] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)


def build_platform(settings: Settings) -> Platform:
    """The platform that the settings name. Asks nothing of AWS, and opens nothing yet but the archive's folder.

    Raises:
        SettingsError: a setting that the platform needs is missing.
        ArchiveError: the home cannot be written.
    """
    return _aws(settings) if settings.platform == "aws" else _local(settings)


def _local(settings: Settings) -> Platform:
    from finops_assets.adapters.archive import ObjectArchive, folder_store
    from finops_assets.adapters.local.accounts import AccountsFile
    from finops_assets.adapters.local.alerts import FileAlerts, NoMetrics
    from finops_assets.adapters.local.catalog import SQLiteCatalog
    from finops_assets.adapters.local.dashboard import DashboardFile
    from finops_assets.adapters.local.doctor import LocalPreflight
    from finops_assets.adapters.local.warehouse import DuckDBWarehouse

    warehouse = DuckDBWarehouse(
        settings.bill.path,
        settings.bill.format,
        _rules(settings),
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
        catalog=SQLiteCatalog(settings.catalog_file, settings.archive_folder, warehouse),
        dashboard=DashboardFile(
            archive,
            settings.dashboard_file,
            days=settings.dashboard.days,
            max_cells=settings.dashboard.max_cells,
        ),
        outbox=_outbox(settings, archive, None),
        alerts=FileAlerts(settings.alerts_folder),
        metrics=NoMetrics(),
        preflight=LocalPreflight(settings, warehouse),
        faces=_LOCAL_FACES,
        links={"Dashboard": str(settings.dashboard_file.resolve()), "Dagster": "http://127.0.0.1:3000"},
        places={"dashboard": str(settings.dashboard_file), "digest": str(settings.outbox_folder)},
    )


def _aws(settings: Settings) -> Platform:
    from finops_assets.adapters.aws.accounts import OrganizationsAccounts
    from finops_assets.adapters.aws.alerts import SNSAlerts
    from finops_assets.adapters.aws.athena import Athena
    from finops_assets.adapters.aws.dashboard import QuickSightDataSet
    from finops_assets.adapters.aws.doctor import AwsPreflight
    from finops_assets.adapters.aws.glue import GlueCatalog, GlueTables
    from finops_assets.adapters.aws.metrics import CloudWatchMetrics
    from finops_assets.adapters.aws.s3 import open_archive
    from finops_assets.adapters.aws.session import AwsSession
    from finops_assets.adapters.aws.staging import Staging
    from finops_assets.adapters.aws.warehouse import AthenaWarehouse
    from finops_assets.adapters.local.accounts import AccountsFile
    from finops_assets.adapters.local.alerts import FileAlerts, NoMetrics
    from finops_assets.adapters.local.dashboard import DASHBOARD_PATH, DashboardPage

    aws = settings.aws
    for value, name, example in (
        (aws.bucket, "aws.bucket", "finops-daily-summaries"),
        (settings.bill.table, "bill.table", "billing.cur2"),
    ):
        if not value:
            variable = "FINOPS_" + name.upper().replace(".", "__")
            raise SettingsError("is not set", where=f"{name} ({variable})", fix=f"Set it, for example to {example}.")
    session = AwsSession(region=aws.region, profile=aws.profile, role_arn=aws.role_arn, endpoint_url=aws.endpoint_url)
    archive = open_archive(session, aws.bucket)
    athena = Athena(
        session,
        workgroup=aws.workgroup,
        results=aws.athena_results,
        timeout_seconds=aws.query_timeout_seconds,
        price_per_terabyte=aws.price_per_terabyte,
    )
    tables = GlueTables(session, aws.bucket)
    catalog = GlueCatalog(session, tables, athena, aws.bucket)
    warehouse = AthenaWarehouse(
        settings.bill.table,
        settings.bill.format,
        _rules(settings),
        athena=athena,
        tables=tables,
        staging=Staging(athena, archive, session.store(aws.bucket), aws.bucket, session.store),
        archive=archive,
        open_bucket=session.store,
        memory=settings.warehouse.memory,
        threads=settings.warehouse.threads,
        folder=settings.home / "spill",
    )
    level, history = settings.accounts.ou_level, settings.accounts.history
    if settings.accounts.path:
        accounts: Accounts = AccountsFile(settings.accounts.path, warehouse, ou_level=level, history=history)
    else:
        accounts = OrganizationsAccounts(
            session,
            archive,
            ou_level=level,
            history=history,
            role_arn=aws.organizations_role_arn,
            today=lambda: datetime.now(UTC).date(),
        )
    if aws.quicksight_data_set:
        dashboard: DashboardData = QuickSightDataSet(
            session,
            aws.quicksight_data_set,
            account=aws.quicksight_account,
            edition=aws.quicksight_edition,
            timeout_seconds=aws.quicksight_timeout_seconds,
            expected=catalog.contents,
        )
        board = f"https://{session.region}.quicksight.aws.amazon.com/sn/data-sets/{aws.quicksight_data_set}/view"
    else:
        board = f"s3://{aws.bucket}/{DASHBOARD_PATH}"
        dashboard = DashboardPage(
            archive,
            partial(archive.put, DASHBOARD_PATH),
            board,
            days=settings.dashboard.days,
            max_cells=settings.dashboard.max_cells,
        )
    return Platform(
        settings=settings,
        warehouse=warehouse,
        accounts=accounts,
        archive=archive,
        catalog=catalog,
        dashboard=dashboard,
        outbox=_outbox(settings, archive, session),
        alerts=SNSAlerts(session, aws.sns_topic_arn) if aws.sns_topic_arn else FileAlerts(settings.alerts_folder),
        metrics=CloudWatchMetrics(session, aws.metrics_namespace) if aws.metrics_namespace else NoMetrics(),
        preflight=AwsPreflight(settings, session, warehouse=warehouse, tables=tables, catalog=catalog, athena=athena),
        receipts=athena.receipts,
        faces=_AWS_FACES,
        links={"Dashboard": board},
        places={
            "dashboard": board,
            "digest": "SES" if settings.mail.backend in ("auto", "ses") else settings.mail.backend,
        },
    )


def _rules(settings: Settings) -> Rules:
    bill = settings.bill
    return Rules(
        cost_basis=bill.cost_basis,
        currency=bill.currency,
        include_tax=bill.include_tax,
        include_credits=bill.include_credits,
        include_refunds=bill.include_refunds,
    )


def _outbox(settings: Settings, archive: Archive, session: AwsSession | None) -> Outbox:
    from finops_assets.core.outbox import Outbox

    mail = settings.mail
    return Outbox(
        archive,
        _mailer(settings, session),
        mail.sender,
        mail.recipients,
        max_megabytes=mail.max_megabytes,
        link_days=mail.link_days,
    )


def _mailer(settings: Settings, session: AwsSession | None) -> Mailer:
    backend = settings.mail.backend
    if backend == "auto":
        backend = "ses" if session else "eml"
    if backend == "smtp":
        from finops_assets.adapters.smtp import from_settings

        return from_settings(settings.smtp)
    if backend == "ses":
        from finops_assets.adapters.aws.mailer import SESMailer
        from finops_assets.adapters.aws.session import AwsSession

        aws = settings.aws
        own = session or AwsSession(
            region=aws.region, profile=aws.profile, role_arn=aws.role_arn, endpoint_url=aws.endpoint_url
        )
        return SESMailer(own, aws.ses_configuration_set)
    from finops_assets.adapters.local.mailer import EmlOutbox

    return EmlOutbox(settings.outbox_folder)


_LOCAL_FACES = {
    "billing_export": Face(frozenset({"file"}), "the files at bill.path"),
    "account_ou_map": Face(frozenset({"csv"}), "accounts.csv, published as Parquet in the archive"),
    "finops_daily_summary": Face(frozenset({"duckdb", "view"}), "a DuckDB view over the bill's own files"),
    "ou_breakdown_parquet": Face(frozenset({"parquet"}), "one Parquet file a day in the home's archive folder"),
    "athena_partition": Face(frozenset({"sqlite", "table"}), "a partition in the home's catalog, read by DuckDB"),
    "quicksight_dataset": Face(frozenset({"html", "dashboard"}), "the self-contained dashboard.html in the home"),
    "digest_email": Face(frozenset({"email"}), "an .eml file in the home's outbox folder"),
}

_AWS_FACES = {
    "billing_export": Face(frozenset({"athena", "table"}), "the Athena table bill.table"),
    "account_ou_map": Face(frozenset({"organizations", "parquet"}), "AWS Organizations, as Parquet in the bucket"),
    "finops_daily_summary": Face(frozenset({"athena", "view"}), "the view finops_db.finops_daily_summary in Athena"),
    "ou_breakdown_parquet": Face(frozenset({"s3", "parquet"}), "one Parquet object a day in the versioned bucket"),
    "athena_partition": Face(frozenset({"glue", "athena"}), "a partition of finops_db.ou_breakdown in Glue"),
    "quicksight_dataset": Face(frozenset({"quicksight"}), "the SPICE data set aws.quicksight_data_set"),
    "digest_email": Face(frozenset({"ses", "email"}), "a message to each recipient"),
}
