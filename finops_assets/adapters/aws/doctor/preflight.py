"""Doctor: all checks of the platform on AWS, in the order in which one depends on another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from finops_assets.adapters.aws.athena import Athena
from finops_assets.adapters.aws.doctor.alerts import alerts
from finops_assets.adapters.aws.doctor.bill import BillChecks, exports, organization
from finops_assets.adapters.aws.doctor.catalog import CatalogChecks
from finops_assets.adapters.aws.doctor.mail import ses
from finops_assets.adapters.aws.doctor.quicksight import QuickSightChecks
from finops_assets.adapters.aws.doctor.storage import BucketChecks, identity
from finops_assets.adapters.aws.glue_partitions import GlueCatalog
from finops_assets.adapters.aws.glue_tables import GlueTables
from finops_assets.adapters.aws.s3 import open_archive
from finops_assets.adapters.aws.session import AwsSession, explained
from finops_assets.adapters.aws.staging import Staging
from finops_assets.adapters.shared import doctor as machine
from finops_assets.adapters.shared.dashboard_page import DASHBOARD_PATH, page_shown
from finops_assets.core.bill.dimension_keys import account_attributes
from finops_assets.core.findings import Finding, findings_of
from finops_assets.core.operations.doctor import addresses
from finops_assets.core.operations.heartbeat import is_set
from finops_assets.core.ports import Warehouse
from finops_assets.core.values import DashboardContent
from finops_assets.settings.model import Settings

if TYPE_CHECKING:
    from finops_assets.adapters.aws.warehouse import AthenaWarehouse


def utc_now() -> datetime:
    return datetime.now(UTC)


class AwsPreflight:
    """Checks the platform's account.

    Args:
        settings: the settings in force.
        session: the identity.
        warehouse, tables, catalog, athena: the platform's own, so that what is tried is what runs.
        staging: the platform's own, too.
        clock: the time, UTC.
    """

    def __init__(
        self,
        settings: Settings,
        session: AwsSession,
        *,
        warehouse: Warehouse,
        tables: GlueTables,
        catalog: GlueCatalog,
        athena: Athena,
        staging: Staging,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._settings, self._session, self._clock = settings, session, clock
        self._warehouse, self._tables, self._catalog, self._athena = warehouse, tables, catalog, athena
        self._staging, self._queries_run = staging, True

    def check(self) -> Iterator[Finding]:
        settings, tables, catalog = self._settings, self._tables, self._catalog
        credentials = list(findings_of("credentials", identity(self._session)))
        yield from credentials
        if any(finding.state == "fail" for finding in credentials):
            yield Finding("everything else", "skip", "nothing can be asked of AWS without credentials")
            return
        storage = list(findings_of("bucket", BucketChecks(self._session, settings.aws.bucket).check()))
        yield from storage
        checks = CatalogChecks(
            settings.aws, self._session, tables=tables, catalog=catalog, athena=self._athena, staging=self._staging
        )
        queries = list(checks.queries(writes=all(finding.state != "fail" for finding in storage)))
        yield from queries
        of_tables = list(checks.tables())
        yield from of_tables
        self._queries_run = all(finding.state != "fail" for finding in (*queries, *of_tables))
        yield from machine.each_bill(self._warehouse, self._bill)
        if settings.accounts.path:
            attributes = account_attributes(settings.dimensions.keys)
            yield from findings_of("accounts", machine.accounts_file(settings.accounts, attributes, self._warehouse))
        else:
            yield from findings_of("organization", organization(self._session, settings.aws))
        yield from self._quicksight.check()
        yield from addresses(settings.mail.sender, settings.mail.everybody)
        if settings.mail.backend in ("auto", "ses"):
            yield from ses(self._session, settings.mail, settings.aws.ses_configuration_set)
        else:
            yield from machine.own_mail(settings)
        yield from alerts(settings, self._session)
        yield is_set(settings.alerts.heartbeat_url.get_secret_value(), settings.alerts.heartbeat_recipients)
        yield from findings_of("home", machine.home(settings.home, machine.free_bytes))
        if settings.dagster_home.exists():  # a deployment has a database server instead
            yield from findings_of("dagster", machine.dagster(settings.dagster_home))
        yield self._untried()
        yield from exports(self._session)

    def _bill(self, warehouse: Warehouse, of: str, name: str) -> Iterator[Finding]:
        bills = self._settings.bill.bills
        table = next(bill.table for bill in bills if bill.name == of or len(bills) == 1)
        return BillChecks(
            table,
            self._session,
            warehouse=cast("AthenaWarehouse", warehouse),
            tables=self._tables,
            athena=self._athena if self._queries_run else None,
            clock=self._clock,
            name=name,
        ).check()

    def shown(self) -> DashboardContent | None:
        aws = self._settings.aws
        if aws.quicksight_data_set:
            return self._quicksight.shown()
        page = open_archive(self._session, aws.bucket).get(DASHBOARD_PATH)
        if page is None:
            return None
        with explained("s3:GetObject", where=f"arn:aws:s3:::{aws.bucket}/{DASHBOARD_PATH}"):
            metadata = self._session.client("s3").head_object(Bucket=aws.bucket, Key=DASHBOARD_PATH)
        return page_shown(page, f"s3://{aws.bucket}/{DASHBOARD_PATH}", metadata["LastModified"].astimezone(UTC))

    @property
    def _quicksight(self) -> QuickSightChecks:
        return QuickSightChecks(self._settings.aws, self._session, catalog=self._catalog, clock=self._clock)

    def _untried(self) -> Finding:
        aws, mail = self._settings.aws, self._settings.mail
        actions = ["glue:CreateDatabase", "glue:CreateTable", "glue:BatchCreatePartition", "glue:BatchUpdatePartition"]
        actions += ["glue:BatchDeletePartition", "athena:StopQueryExecution"]
        actions += ["quicksight:CreateIngestion"] * bool(aws.quicksight_data_set)
        actions += ["ses:SendRawEmail"] * (mail.backend in ("auto", "ses"))
        actions += ["sns:Publish"] * bool(aws.sns_topic_arn)
        actions += [f"cloudwatch:PutMetricData ({aws.metrics_namespace})"] * bool(aws.metrics_namespace)
        return Finding(
            "not tried", "skip", f"needed as well, but no call of these is without effect: {', '.join(actions)}"
        )
