"""A platform: one adapter for each role, chosen by the settings. Nothing else knows which platform it runs on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from finops_assets.adapters.shared import dagster_records as dagster_records  # for defs/, which knows no adapter
from finops_assets.core.archive.settlement import Journal
from finops_assets.core.bill.formats import Rules
from finops_assets.core.errors import SettingsError
from finops_assets.core.findings import Finding
from finops_assets.core.ports import (
    Accounts,
    Alerts,
    Archive,
    Catalog,
    DashboardData,
    HeartbeatChannel,
    Mailer,
    Metrics,
    QueryReceipt,
    Warehouse,
)
from finops_assets.settings.model import Settings, env_name

if TYPE_CHECKING:
    from finops_assets.adapters.aws.session import AwsSession
    from finops_assets.core.analytics.scoring import Scoring
    from finops_assets.core.archive.age import Age
    from finops_assets.core.delivery.outbox import Outbox
    from finops_assets.core.operations.doctor import Preflight
    from finops_assets.core.operations.inspection import Inspector
    from finops_assets.core.operations.watch import Watch
    from finops_assets.core.reports.drawing import Drawing


@dataclass(frozen=True)
class AssetLabel:
    """What stands behind an asset on this platform, as the Dagster UI shows it."""

    kinds: frozenset[str]
    stands_for: str


@dataclass(frozen=True)
class Platform:
    """Everything the assets and the command work with.

    `budgets` reads budgets.csv, `events` events.csv, if there is one; `receipts` gives, once, what paid queries have
    taken since it was last asked; `links` are shown in the digest, `places` by the command.
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
    heartbeats: Mapping[str, HeartbeatChannel] = field(default_factory=dict)
    budgets: Callable[[], bytes | None] = lambda: None
    events: Callable[[], bytes | None] = lambda: None
    receipts: Callable[[], list[QueryReceipt]] = list
    labels: Mapping[str, AssetLabel] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)

    def age(self, now: datetime) -> Age | None:
        """How old the archive's data are at a time (aware, UTC); None where nothing is archived."""
        return _age(self.settings, self.archive, now)

    def inspector(self) -> Inspector:
        """What tells the state of its days."""
        from finops_assets.core.operations import verification
        from finops_assets.core.operations.incidents import Incidents
        from finops_assets.core.operations.inspection import Inspector

        bill, incidents = self.settings.bill, Incidents(self.archive, self.alerts, clock=utc_now)
        return Inspector(
            warehouse=self.warehouse,
            archive=self.archive,
            catalog=self.catalog,
            outbox=self.outbox,
            shown=lambda: self.preflight.shown(),
            known_damaged=lambda: verification.known_damaged(incidents),
            first_day=bill.first_day,
            complete_after=bill.complete_after_hours,
            cost_basis=bill.cost_basis,
            change_closed=bill.change_closed_days,
            rules=repr(_rules(self.settings)),
        )

    def scoring(self) -> Scoring:
        """What makes its scorecards."""
        from finops_assets.core.analytics.scoring import Scoring

        settings = self.settings
        return Scoring(
            self.warehouse,
            self.archive,
            Journal(self.archive, settings.bill.stable_after),
            budgets=self.budgets,
            events=self.events,
            budgets_at=settings.budgets.path,
            events_at=settings.anomalies.events,
            amber=settings.budgets.amber_percent / 100,
            least_share=settings.anomalies.least_percent / 100,
            least_amount=Decimal(str(settings.anomalies.least_amount)),
            editions=settings.mail.by_ou,
        )


def utc_now() -> datetime:
    return datetime.now(UTC)


def build_platform(settings: Settings, clock: Callable[[], datetime] = utc_now) -> Platform:
    """The platform that the settings name. It asks nothing of AWS, and reads, makes and writes no file.

    Args:
        settings: which platform, and what it is given.
        clock: the time that receipts carry (aware, UTC).

    Raises:
        SettingsError: a setting that the platform needs is missing.
    """
    return (_aws if settings.platform == "aws" else _local)(settings, clock)


def require_home(settings: Settings) -> None:
    """Prove that the home, which is the archive of the embedded platform, can be written before a run needs it.

    Raises:
        ArchiveError: it cannot.
    """
    from finops_assets.adapters.shared.folder import require_writable

    if settings.platform == "local":
        require_writable(settings.home)


def _local(settings: Settings, clock: Callable[[], datetime]) -> Platform:
    from finops_assets.adapters.local.alerts import NoMetrics
    from finops_assets.adapters.local.catalog import SQLiteCatalog
    from finops_assets.adapters.local.dashboard import DashboardFile
    from finops_assets.adapters.local.doctor import LocalPreflight
    from finops_assets.adapters.local.warehouse import DuckDBWarehouse
    from finops_assets.adapters.shared.accounts_file import AccountsFile
    from finops_assets.adapters.shared.archive import ObjectArchive, folder_store
    from finops_assets.core.reports.outlook import outlook

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
            settled=_settled(settings, archive),
            outlook=partial(outlook, archive),
            age=partial(_age, settings, archive),
            clock=clock,
        ),
        outbox=_outbox(settings, archive, None, clock),
        alerts=_alerts(settings, None),
        heartbeats=_heartbeats(settings, None),
        budgets=partial(_table, settings, None, settings.budgets.path, "budgets.path", "budgets.csv"),
        events=partial(_table, settings, None, settings.anomalies.events, "anomalies.events", "events.csv"),
        metrics=NoMetrics(),
        preflight=LocalPreflight(settings, warehouse, partial(look_at_mail, settings)),
        labels=_LOCAL_LABELS,
        links={"Dashboard": str(settings.dashboard_file.resolve()), "Dagster": "http://127.0.0.1:3000"},
        places={"dashboard": str(settings.dashboard_file), "digest": str(settings.outbox_folder)},
    )


def _aws(settings: Settings, clock: Callable[[], datetime]) -> Platform:
    from finops_assets.adapters.aws.accounts import OrganizationsAccounts
    from finops_assets.adapters.aws.athena import Athena
    from finops_assets.adapters.aws.doctor.preflight import AwsPreflight
    from finops_assets.adapters.aws.glue_partitions import GlueCatalog
    from finops_assets.adapters.aws.glue_tables import GlueTables
    from finops_assets.adapters.aws.metrics import CloudWatchMetrics
    from finops_assets.adapters.aws.quicksight.refresh import QuickSightDataSet, content_below
    from finops_assets.adapters.aws.s3 import open_archive
    from finops_assets.adapters.aws.staging import Staging
    from finops_assets.adapters.aws.warehouse import AthenaWarehouse
    from finops_assets.adapters.local.alerts import NoMetrics
    from finops_assets.adapters.shared.accounts_file import AccountsFile
    from finops_assets.adapters.shared.dashboard_page import DASHBOARD_PATH, DashboardPage
    from finops_assets.core.reports.outlook import outlook
    from finops_assets.core.schemas import SCORECARD_PREFIX

    aws = settings.aws
    for value, name, example in (
        (aws.bucket, "aws.bucket", "finops-daily-summaries"),
        (settings.bill.table, "bill.table", "billing.cur2"),
    ):
        if not value:
            variable = "FINOPS_" + name.upper().replace(".", "__")
            raise SettingsError("is not set", where=f"{name} ({variable})", fix=f"Set it, for example to {example}.")
    session = aws_session(settings)
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
            today=lambda: clock().date(),
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
            archive,
            partial(archive.put, DASHBOARD_PATH),
            board,
            days=settings.dashboard.days,
            max_cells=settings.dashboard.max_cells,
            settled=_settled(settings, archive),
            outlook=partial(outlook, archive),
            age=partial(_age, settings, archive),
            clock=clock,
        )
    return Platform(
        settings=settings,
        warehouse=warehouse,
        accounts=accounts,
        archive=archive,
        catalog=catalog,
        dashboard=dashboard,
        outbox=_outbox(settings, archive, session, clock),
        alerts=_alerts(settings, session),
        heartbeats=_heartbeats(settings, session),
        budgets=partial(_table, settings, session, settings.budgets.path, "budgets.path", "budgets.csv"),
        events=partial(_table, settings, session, settings.anomalies.events, "anomalies.events", "events.csv"),
        metrics=CloudWatchMetrics(session, aws.metrics_namespace) if aws.metrics_namespace else NoMetrics(),
        preflight=AwsPreflight(settings, session, warehouse=warehouse, tables=tables, catalog=catalog, athena=athena),
        receipts=partial(_noted, athena.receipts, archive, clock),
        labels=_AWS_LABELS,
        links={"Dashboard": board},
        places={
            "dashboard": board,
            "digest": "SES" if settings.mail.backend in ("auto", "ses") else settings.mail.backend,
        },
    )


def look_at_mail(settings: Settings) -> Iterable[Finding]:
    """The checks of what mails the digest of the embedded platform."""
    if settings.mail.backend == "ses":
        from finops_assets.adapters.aws.doctor.mail import ses

        return ses(aws_session(settings), settings.mail, settings.aws.ses_configuration_set)
    from finops_assets.adapters.shared.doctor import own_mail

    return own_mail(settings)


def _noted(
    receipts: Callable[[], list[QueryReceipt]], archive: Archive, clock: Callable[[], datetime]
) -> list[QueryReceipt]:
    """What paid queries have taken since they were last asked for, noted for the digest of the next morning."""
    from finops_assets.core.delivery.own_cost import note_queries

    taken = receipts()
    note_queries(archive, taken, clock().date())
    return taken


def _settled(settings: Settings, archive: Archive) -> Callable[[], Callable[[date], str]]:
    return lambda: Journal(archive, settings.bill.stable_after).settled()


def _age(settings: Settings, archive: Archive, now: datetime) -> Age | None:
    from finops_assets.core.archive.age import age_of, deadline_by

    deadline = deadline_by(settings.schedule.cron)
    return age_of(archive.days(), first_day=settings.bill.first_day, now=now, deadline=deadline)


def _rules(settings: Settings) -> Rules:
    bill = settings.bill
    return Rules(
        cost_basis=bill.cost_basis,
        currency=bill.currency,
        include_tax=bill.include_tax,
        include_credits=bill.include_credits,
        include_refunds=bill.include_refunds,
    )


def _outbox(settings: Settings, archive: Archive, session: AwsSession | None, clock: Callable[[], datetime]) -> Outbox:
    from finops_assets.core.delivery.outbox import Outbox

    mail = settings.mail
    return Outbox(
        archive,
        _mailer(settings, session),
        mail.sender,
        mail.recipients,
        by_ou=mail.by_ou,
        executives=mail.executives,
        resend_to=mail.resend_to,
        max_megabytes=mail.max_megabytes,
        link_days=mail.link_days,
        clock=clock,
    )


def alerts_of(settings: Settings) -> Alerts:
    """The alert channel alone, for what is to be told where nothing else of the platform can be used."""
    return _alerts(settings, aws_session(settings) if settings.platform == "aws" else None)


def _alerts(settings: Settings, session: AwsSession | None) -> Alerts:
    wanted, topic, to = settings.alerts.backend, settings.aws.sns_topic_arn, settings.alerts.recipients
    if wanted == "auto":
        wanted = "sns" if session and topic else "mail" if to else "eml"
    if wanted == "sns":
        from finops_assets.adapters.aws.alerts import SNSAlerts

        if not topic:
            raise SettingsError(
                "is not set, and alerts.backend is sns",
                where="aws.sns_topic_arn (FINOPS_AWS__SNS_TOPIC_ARN)",
                fix="Set it to the ARN of a topic, or alerts.backend to mail or eml.",
            )
        return SNSAlerts(session or aws_session(settings), topic)
    if wanted == "mail":
        from finops_assets.adapters.shared.mail_alerts import MailAlerts

        if not to:
            raise SettingsError(
                "names nobody, and alerts.backend is mail",
                where="alerts.recipients (FINOPS_ALERTS__RECIPIENTS)",
                fix="Write at least one address.",
            )
        return MailAlerts(_mailer(settings, session), settings.mail.sender, to)
    from finops_assets.adapters.local.alerts import FileAlerts

    return FileAlerts(settings.alerts_folder)


def _heartbeats(settings: Settings, session: AwsSession | None) -> dict[str, HeartbeatChannel]:
    from finops_assets.adapters.shared.heartbeat import MailHeartbeat, UrlHeartbeat
    from finops_assets.adapters.shared.mail_alerts import MailAlerts

    wanted, found = settings.alerts, dict[str, HeartbeatChannel]()
    if url := wanted.heartbeat_url.get_secret_value():
        found["url"] = UrlHeartbeat(url)
    if to := wanted.heartbeat_recipients:
        mails = MailAlerts(_mailer(settings, session), settings.mail.sender, to, setting="alerts.heartbeat_recipients")
        found["mail"] = MailHeartbeat(mails, wanted.runbook_url)
    return found


def read_address(settings: Settings, address: str, session: AwsSession | None = None) -> bytes | None:
    """A file's content, or an object's, `s3://bucket/key`; None where there is none."""
    if not address.startswith("s3://"):
        return Path(address).read_bytes() if Path(address).is_file() else None
    from finops_assets.adapters.aws.s3 import open_archive

    bucket, _, key = address.removeprefix("s3://").partition("/")
    return open_archive(session or aws_session(settings), bucket).get(key)


def _table(settings: Settings, session: AwsSession | None, address: str, setting: str, name: str) -> bytes | None:
    """The CSV that a setting names; None where it names none."""
    if not address:
        return None
    data = read_address(settings, address, session)
    if data is None:
        raise SettingsError(
            f"there is no such file: {address}",
            where=f"{setting} ({env_name(setting)})",
            fix=f"Set it to your {name}, or leave it empty.",
        )
    return data


def aws_session(settings: Settings) -> AwsSession:
    """The identity that the settings name."""
    from finops_assets.adapters.aws.session import AwsSession

    aws = settings.aws
    return AwsSession(region=aws.region, profile=aws.profile, role_arn=aws.role_arn, endpoint_url=aws.endpoint_url)


def _mailer(settings: Settings, session: AwsSession | None) -> Mailer:
    backend = settings.mail.backend
    if backend == "auto":
        backend = "ses" if session else "eml"
    if backend == "smtp":
        from finops_assets.adapters.shared.smtp import from_settings

        return from_settings(settings.smtp, settings.bounces_folder)
    if backend == "ses":
        from finops_assets.adapters.aws.mailer import SESMailer

        return SESMailer(session or aws_session(settings), settings.aws.ses_configuration_set)
    from finops_assets.adapters.local.mailer import EmlOutbox

    return EmlOutbox(settings.outbox_folder, settings.bounces_folder)


_LOCAL_LABELS = {
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

_AWS_LABELS = {
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


def build_watch(
    platform: Platform,
    *,
    clock: Callable[[], datetime] = utc_now,
    drawing: Drawing | None = None,
) -> Watch:
    """What looks after a platform; the arguments are those of `build_definitions`."""
    from finops_assets.core.archive.age import deadline_by
    from finops_assets.core.archive.settlement import Journal
    from finops_assets.core.delivery.digest_service import DigestService, Thresholds
    from finops_assets.core.operations.incidents import Incidents
    from finops_assets.core.operations.state_notes import state_notes
    from finops_assets.core.operations.watch import Watch
    from finops_assets.core.reports.drawing import Drawing

    settings, archive, outbox = platform.settings, platform.archive, platform.outbox
    journal = Journal(archive, settings.bill.stable_after)
    mail = settings.mail
    drawing = drawing or Drawing()
    thresholds = Thresholds(mail.tell_change_percent, mail.correct_change_percent, mail.change_amount)
    ui = settings.alerts.dagster_url or platform.links.get("Dagster", "")
    inspector = platform.inspector()
    return Watch(
        inspector=inspector,
        warehouse=platform.warehouse,
        archive=archive,
        outbox=outbox,
        morning=DigestService(
            archive,
            outbox,
            mail.subject_prefix,
            platform.links,
            drawing,
            thresholds,
            journal,
            editions=mail.by_ou,
            notes=partial(state_notes, inspector),
            age=platform.age,
        ),
        journal=journal,
        incidents=Incidents(
            archive,
            platform.alerts,
            clock=clock,
            run_link=lambda run_id: f"{ui.rstrip('/')}/runs/{run_id}" if ui else run_id,
            runbook=settings.alerts.runbook_url,
        ),
        first_day=settings.bill.first_day,
        complete_after=settings.bill.complete_after_hours,
        deadline=deadline_by(settings.schedule.cron),
        change_closed=settings.bill.change_closed_days,
    )
