"""AWS: Athena, Glue, S3, SES and QuickSight."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

from finops_assets.adapters.aws.accounts import OrganizationsAccounts
from finops_assets.adapters.aws.athena import Athena
from finops_assets.adapters.aws.doctor.preflight import AwsPreflight
from finops_assets.adapters.aws.glue_partitions import GlueCatalog
from finops_assets.adapters.aws.glue_tables import GlueTables
from finops_assets.adapters.aws.metrics import CloudWatchMetrics
from finops_assets.adapters.aws.quicksight.refresh import QuickSightDataSet, content_below
from finops_assets.adapters.aws.s3 import open_archive
from finops_assets.adapters.aws.several_bills import SeveralTables
from finops_assets.adapters.aws.staging import Staging
from finops_assets.adapters.aws.warehouse import AthenaWarehouse
from finops_assets.adapters.local.alerts import NoMetrics
from finops_assets.adapters.shared.accounts_file import AccountsFile
from finops_assets.adapters.shared.dashboard_page import DASHBOARD_PATH, DashboardPage, PageSources
from finops_assets.composition import channels
from finops_assets.composition.adapters import Adapters, AssetLabel
from finops_assets.composition.channels import alert_channel, heartbeat_channels, mailer_of, named_file
from finops_assets.composition.parts import archive_age, bill_rules, part_of, refuse_incomplete, settled_days
from finops_assets.core.bill.dimension_keys import account_attributes
from finops_assets.core.delivery.own_cost import note_queries
from finops_assets.core.errors import SettingsError
from finops_assets.core.ports import Accounts, Archive, DashboardData
from finops_assets.core.reports.dashboard import read_outlook
from finops_assets.core.schemas import SCORECARD_PREFIX
from finops_assets.core.values import QueryReceipt
from finops_assets.settings.model import Settings

LABELS = {
    "billing_export": AssetLabel(frozenset({"athena", "table"}), "the Athena table bill.table"),
    "account_ou_map": AssetLabel(
        frozenset({"organizations", "parquet"}), "AWS Organizations, as Parquet in the bucket"
    ),
    "finops_daily_summary": AssetLabel(
        frozenset({"athena", "view"}), "the view finops_db.finops_daily_summary in Athena"
    ),
    "ou_breakdown_parquet": AssetLabel(
        frozenset({"s3", "parquet"}), "one Parquet object a day in the versioned bucket"
    ),
    "athena_partition": AssetLabel(frozenset({"glue", "athena"}), "a partition of finops_db.ou_breakdown in Glue"),
    "ou_scorecard": AssetLabel(
        frozenset({"s3", "athena"}), "one Parquet object a day, the table finops_db.ou_scorecard"
    ),
    "executive_snapshot": AssetLabel(frozenset({"s3", "pdf"}), "a PDF in the bucket"),
    "quicksight_dataset": AssetLabel(frozenset({"quicksight"}), "the SPICE data set aws.quicksight_data_set"),
    "digest_email": AssetLabel(frozenset({"ses", "email"}), "a message to each recipient"),
    "monthly_evidence": AssetLabel(
        frozenset({"s3", "zip"}), "a zip in the bucket for Glacier Deep Archive; its index stays"
    ),
}


def aws_adapters(settings: Settings, clock: Callable[[], datetime]) -> Adapters:
    """The adapters of AWS; nothing is asked of it yet.

    Args:
        settings: name the bucket, the bill's table and the channels.
        clock: the time that receipts and the dashboard carry (aware, UTC).

    Raises:
        SettingsError: a setting that AWS needs is missing.
    """
    aws = settings.aws
    bills = settings.bill.bills
    if len(bills) > 1:
        refuse_incomplete(bills, "table", "billing.azure")
    for value, name, example in (
        (aws.bucket, "aws.bucket", "finops-daily-summaries"),
        (bills[0].table, "bill.table", "billing.cur2"),
    ):
        if not value:
            variable = "FINOPS_" + name.upper().replace(".", "__")
            raise SettingsError("is not set", where=f"{name} ({variable})", fix=f"Set it, for example to {example}.")
    session = channels.aws_session(settings)
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
    staging = Staging(athena, archive, session.store(aws.bucket), aws.bucket, session.store)
    of_each = {
        bill.name: AthenaWarehouse(
            bill.table,
            bill.format,
            bill_rules(settings, bill),
            athena=athena,
            tables=tables,
            staging=staging,
            archive=archive,
            open_bucket=session.store,
            memory=part_of(settings.warehouse.memory, len(bills)),
            threads=settings.warehouse.threads,
            folder=settings.home / "spill",
        )
        for bill in bills
    }
    warehouse: AthenaWarehouse | SeveralTables = of_each[bills[0].name]
    if len(of_each) > 1:
        last_days = {bill.name: bill.last_day for bill in bills}
        warehouse = SeveralTables(of_each, last_days, several_currencies=bool(settings.currency.display))
    display = channels.display_of(settings, session)
    level, history = settings.accounts.ou_level, settings.accounts.history
    attributes = account_attributes(settings.dimensions.keys)
    if settings.accounts.path:
        file = settings.accounts.path
        accounts: Accounts = AccountsFile(file, warehouse, ou_level=level, history=history, attributes=attributes)
    else:
        accounts = OrganizationsAccounts(
            session,
            archive,
            ou_level=level,
            history=history,
            tags=attributes,
            role_arn=aws.organizations_role_arn,
            today=lambda: clock().date(),
        )
    if display and aws.quicksight_data_set:
        raise SettingsError(
            "is set, and so is currency.display: QuickSight's data set has the archive's rows, in the billing currency",
            where="aws.quicksight_data_set (FINOPS_AWS__QUICKSIGHT_DATA_SET)",
            fix="Leave it empty: the dashboard is then a page in the bucket, in the currency shown.",
        )
    if aws.quicksight_data_set:
        dashboard: DashboardData = QuickSightDataSet(
            session,
            aws.quicksight_data_set,
            account=aws.quicksight_account,
            edition=aws.quicksight_edition,
            timeout_seconds=aws.quicksight_timeout_seconds,
            expected=catalog.contents,
            scorecard_data_set=aws.quicksight_scorecard_data_set,
            scorecard_content=partial(content_below, session, aws.bucket, f"{SCORECARD_PREFIX}/"),
        )
        board = f"https://{session.region}.quicksight.aws.amazon.com/sn/data-sets/{aws.quicksight_data_set}/view"
    else:
        board = f"s3://{aws.bucket}/{DASHBOARD_PATH}"
        dashboard = DashboardPage(
            display.archive(archive),
            partial(archive.put, DASHBOARD_PATH),
            board,
            days=settings.dashboard.days,
            max_cells=settings.dashboard.max_cells,
            sources=PageSources(
                settled_days(settings, archive),
                partial(read_outlook, archive, restated_as=display.restated),
                partial(archive_age, settings, archive),
                dimensions=bool(settings.dimensions.keys),
            ),
            clock=clock,
        )
    return Adapters(
        settings=settings,
        warehouse=warehouse,
        accounts=accounts,
        archive=archive,
        catalog=catalog,
        dashboard=dashboard,
        display=display,
        mailer=mailer_of(settings, session),
        alerts=alert_channel(settings, session),
        heartbeats=heartbeat_channels(settings, session),
        budgets=partial(named_file, settings, session, settings.budgets.path, "budgets.path", "budgets.csv"),
        events=partial(named_file, settings, session, settings.anomalies.events, "anomalies.events", "events.csv"),
        metrics=CloudWatchMetrics(session, aws.metrics_namespace) if aws.metrics_namespace else NoMetrics(),
        preflight=AwsPreflight(
            settings, session, warehouse=warehouse, tables=tables, catalog=catalog, athena=athena, staging=staging
        ),
        receipts=partial(_noted, athena.receipts, archive, clock),
        labels=LABELS,
        links={"Dashboard": board},
        places={
            "dashboard": board,
            "digest": "SES" if settings.mail.backend in ("auto", "ses") else settings.mail.backend,
        },
    )


def _noted(
    receipts: Callable[[], list[QueryReceipt]], archive: Archive, clock: Callable[[], datetime]
) -> list[QueryReceipt]:
    """What paid queries have taken since they were last asked for, noted for the digest of the next morning."""
    taken = receipts()
    note_queries(archive, taken, clock().date())
    return taken
