"""What the platform on AWS needs of its account: each service and permission that the settings use, tried harmlessly.

Nothing is changed but a probe object of its own below `_staging/doctor/`; the one query is `SELECT 1`, which scans
nothing. What cannot be tried without an effect is named at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from finops_assets.adapters.aws.mailer import suppressed
from finops_assets.adapters.aws.session import DENIED, AwsError, AwsSession, explained
from finops_assets.adapters.shared import doctor as machine
from finops_assets.adapters.shared.dashboard_page import DASHBOARD_PATH, page_shown
from finops_assets.core.errors import BillError, FinopsError, SettingsError
from finops_assets.core.findings import Finding, broken, told
from finops_assets.core.operations.doctor import addresses, bare, files_passed_over, undelivered
from finops_assets.core.operations.heartbeat import is_set
from finops_assets.core.ports import DashboardContent

if TYPE_CHECKING:
    from finops_assets.adapters.aws.athena import Athena
    from finops_assets.adapters.aws.glue_partitions import GlueCatalog
    from finops_assets.adapters.aws.glue_tables import GlueTables
    from finops_assets.core.ports import BillDescription, Warehouse
    from finops_assets.settings.model import MailSettings, Settings

OLD, TOO_OLD = 24.0, 48.0
"""Hours: AWS refreshes an export up to three times a day, so a day without a new file is late, two are a fault."""

FEW_REFRESHES = 3
EXPORTS_REGION = "us-east-1"
"""The only region that answers for Data Exports."""

BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
MEGABYTE, GIGABYTE = 1_000_000, 1_000_000_000


def utc_now() -> datetime:
    return datetime.now(UTC)


class AwsPreflight:
    """Looks at the platform's account.

    Args:
        settings: the settings in force.
        session: the identity.
        warehouse, tables, catalog, athena: the platform's own, so that what is tried is what runs.
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
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._settings, self._session, self._clock = settings, session, clock
        self._warehouse, self._tables, self._catalog, self._athena = warehouse, tables, catalog, athena

    def check(self) -> Iterator[Finding]:

        settings = self._settings
        identity = list(told("credentials", self._identity()))
        yield from identity
        if any(finding.state == "fail" for finding in identity):
            yield Finding("everything else", "skip", "nothing can be asked of AWS without credentials")
            return
        yield from told("bucket", self._bucket())
        yield from _looked("workgroup", self._workgroup())
        yield from told("query", self._query())
        yield from told("tables", self._contract())
        yield from told("partitions", self._partitions())
        yield from told("bill", self._bill())
        if settings.accounts.path:
            yield from told("accounts", machine.accounts_file(settings.accounts, self._warehouse))
        else:
            yield from told("organization", self._organization())
        yield from self._quicksight()
        yield from addresses(settings.mail.sender, settings.mail.everybody)
        if settings.mail.backend in ("auto", "ses"):
            yield from ses(self._session, settings.mail, settings.aws.ses_configuration_set)
        else:
            yield from machine.own_mail(settings)
        yield from self._alerts()
        yield is_set(settings.alerts.heartbeat_url.get_secret_value(), settings.alerts.heartbeat_recipients)
        yield from told("home", machine.home(settings.home, machine.free_bytes))
        if settings.dagster_home.exists():  # a deployment has a database server instead
            yield from told("dagster", machine.dagster(settings.dagster_home))
        yield self._untried()
        yield from self._exports()

    def shown(self) -> DashboardContent | None:
        from finops_assets.adapters.aws.s3 import open_archive

        aws = self._settings.aws
        if aws.quicksight_data_set:
            return self._in_spice()
        page = open_archive(self._session, aws.bucket).get(DASHBOARD_PATH)
        if page is None:
            return None
        with explained("s3:GetObject", where=f"arn:aws:s3:::{aws.bucket}/{DASHBOARD_PATH}"):
            told_of = self._session.client("s3").head_object(Bucket=aws.bucket, Key=DASHBOARD_PATH)
        return page_shown(page, f"s3://{aws.bucket}/{DASHBOARD_PATH}", told_of["LastModified"].astimezone(UTC))

    # --- identity, bucket -----------------------------------------------------------------------------------------

    def _identity(self) -> Iterator[Finding]:
        region = self._session.region
        with explained("sts:GetCallerIdentity"):
            who = self._session.client("sts").get_caller_identity()
        yield Finding("credentials", "ok", f"account {who['Account']}, {who['Arn']}, region {region}")

    def _bucket(self) -> Iterator[Finding]:
        name, region = self._settings.aws.bucket, self._session.region
        setting = "aws.bucket (FINOPS_AWS__BUCKET)"
        try:
            with explained("s3:ListBucket", where=f"arn:aws:s3:::{name}"):
                its_region = self._s3.head_bucket(Bucket=name).get("BucketRegion", region)
        except AwsError as error:
            # The answer to HEAD has no body: its status is all that is said.
            if error.code in ("404", "NoSuchBucket"):
                raise SettingsError(
                    f"there is no bucket {name}", where=setting, fix="Set it to the archive's bucket, or make it."
                ) from None
            if error.code == "403":
                raise SettingsError(
                    f"the bucket {name} is somebody else's, or may not be listed",
                    where=setting,
                    fix=f"Allow s3:ListBucket on arn:aws:s3:::{name}, or set aws.bucket to your own.",
                ) from None
            raise
        if its_region != region:
            raise SettingsError(
                f"the bucket {name} is in {its_region}, the region in force is {region}",
                where="aws.region (FINOPS_AWS__REGION)",
                fix=f"Set it to {its_region}.",
            )
        yield Finding("bucket", "ok", f"{name} in {region}")
        yield from _looked("versioning", self._versioning())
        yield from _looked("public access", self._public_access())
        yield from told("read and write", self._probe())

    def _versioning(self) -> Iterator[Finding]:
        name = self._settings.aws.bucket
        with explained("s3:GetBucketVersioning", where=f"arn:aws:s3:::{name}"):
            status = self._s3.get_bucket_versioning(Bucket=name).get("Status", "never enabled")
        if status == "Enabled":
            yield Finding("versioning", "ok", f"{name} keeps every version of a day")
        else:
            yield Finding(
                "versioning",
                "fail",
                f"{name}: {status.lower()}: a day that is written again loses what it was",
                f"`aws s3api put-bucket-versioning --bucket {name} --versioning-configuration Status=Enabled`",
            )

    def _public_access(self) -> Iterator[Finding]:
        name = self._settings.aws.bucket
        try:
            with explained("s3:GetBucketPublicAccessBlock", where=f"arn:aws:s3:::{name}"):
                found = self._s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
        except AwsError as error:
            if error.code != "NoSuchPublicAccessBlockConfiguration":
                raise
            found = {}
        lacking = [block for block in BLOCKS if not found.get(block)]
        if lacking:
            yield Finding(
                "public access",
                "warn",
                f"{name} does not itself set {', '.join(lacking)}",
                f"`aws s3api put-public-access-block --bucket {name} --public-access-block-configuration "
                f"{','.join(f'{block}=true' for block in BLOCKS)}`",
            )
        else:
            yield Finding("public access", "ok", f"{name} blocks it")

    def _probe(self) -> Iterator[Finding]:
        from finops_assets.adapters.aws.s3 import open_archive
        from finops_assets.adapters.aws.staging import PREFIX

        archive = open_archive(self._session, self._settings.aws.bucket)
        folder = f"{PREFIX}doctor/"
        path, data = f"{folder}{uuid4().hex}", b"written and removed by finops doctor"
        archive.create(path, data)
        try:
            whole = archive.get(path) == data and path in archive.list(folder)
        finally:
            archive.delete([path])
        if whole:
            yield Finding("read and write", "ok", f"an object below {folder} was written, read, listed and removed")
        else:
            yield Finding("read and write", "fail", f"{path} is not read as it was written", "Run doctor again.")

    # --- Athena, Glue ---------------------------------------------------------------------------------------------

    def _workgroup(self) -> Iterator[Finding]:
        name, results = self._settings.aws.workgroup, self._settings.aws.athena_results
        setting = "aws.workgroup (FINOPS_AWS__WORKGROUP)"
        with explained(
            "athena:GetWorkGroup",
            where=f"{name}, {setting}",
            fixes={"InvalidRequestException": "Set it to one of `aws athena list-work-groups` in this region."},
        ):
            group = self._session.client("athena").get_work_group(WorkGroup=name)["WorkGroup"]
        configuration = group.get("Configuration", {})
        place = configuration.get("ResultConfiguration", {}).get("OutputLocation", "")
        if configuration.get("ManagedQueryResultsConfiguration", {}).get("Enabled"):
            place = ""  # in Athena's own storage, where an UNLOAD's manifest is not to be read
        elif results and not (place and configuration.get("EnforceWorkGroupConfiguration")):
            place = results
        if group.get("State") == "DISABLED":
            yield Finding("workgroup", "fail", f"{name} is disabled", "Enable it, or set aws.workgroup to another.")
        elif not place:
            yield Finding(
                "workgroup",
                "fail",
                f"{name} has no place of its own in S3 for query results",
                "Set aws.athena_results (FINOPS_AWS__ATHENA_RESULTS) to s3://<bucket>/<prefix>/, or give the workgroup "
                "an output location.",
            )
        else:
            limit = configuration.get("BytesScannedCutoffPerQuery")
            engine = configuration.get("EngineVersion", {}).get("EffectiveEngineVersion", "engine not told")
            yield Finding(
                "workgroup",
                "ok",
                f"{name}: enabled, {engine}, results {place}, "
                + (f"stops a query at {limit / GIGABYTE:,.1f} GB" if limit else "no limit of what a query scans"),
            )

    def _query(self) -> Iterator[Finding]:
        self._athena.rows("SELECT 1", "doctor: whether a query runs")
        yield Finding("query", "ok", "SELECT 1 ran, and its result was read")

    def _contract(self) -> Iterator[Finding]:
        from finops_assets.adapters.aws.glue_tables import table_inputs
        from finops_assets.core.schemas import DATABASE

        found = self._tables.own_tables()
        if found is None:
            yield Finding("tables", "ok", f"the database {DATABASE} is not there yet: the first run makes it")
            return
        for name, wanted in table_inputs(self._settings.aws.bucket).items():
            if name in found:
                yield from told("tables", self._agreed(found[name], wanted))
            else:
                yield Finding("tables", "ok", f"{DATABASE}.{name} is not there yet: the first run makes it")

    def _agreed(self, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[Finding]:
        from finops_assets.adapters.aws.glue_tables import hold_to_contract

        hold_to_contract(found, wanted)
        yield Finding("tables", "ok", f"{wanted['Name']} is as agreed")

    def _partitions(self) -> Iterator[Finding]:
        from finops_assets.core.archive.states import missing_days
        from finops_assets.core.calendar import in_words
        from finops_assets.core.schemas import day_location

        doubles, there = self._catalog.doubles(), self._catalog.registered()
        if not there and not doubles:
            yield Finding("partitions", "ok", "no day is registered yet")
            return
        good = True
        if doubles:
            good = False
            days = sorted({date(*map(int, partition.values)) for partition in doubles})
            yield Finding(
                "partitions",
                "fail",
                f"{in_words(days)} registered a second time ({'/'.join(doubles[0].values)} at {doubles[0].location}), "
                "which counts the cost twice",
                f"`finops run --date {days[0]}` removes it from every day. Stop the crawler or MSCK that makes it.",
            )
        place = f"s3://{self._settings.aws.bucket}/"
        astray = [day for day, at in there.items() if f"{at.rstrip('/')}/" != place + day_location(day)]
        if astray:
            good = False
            yield Finding(
                "partitions",
                "fail",
                f"{in_words(astray)} registered elsewhere, first at {there[astray[0]]}",
                f"{_run(astray[0], astray[-1])} registers it at {place}{day_location(astray[0])}.",
            )
        gaps = missing_days((), there, min(there), max(there))
        if gaps:
            yield Finding("partitions", "warn", f"{in_words(gaps)} missing between others", _run(gaps[0], gaps[-1]))
        if good:
            yield Finding(
                "partitions", "ok", f"{len(there)} day(s) from {min(there)} to {max(there)}, each once, at its place"
            )

    # --- the bill and the organization ----------------------------------------------------------------------------

    def _bill(self) -> Iterator[Finding]:
        source = self._tables.source(self._settings.bill.table)
        location = source.get("StorageDescriptor", {}).get("Location", "")
        bill = self._described(location)
        at = f", at {location}" if location else ""
        yield Finding("bill", "ok", f"{bill.path}: {bill.format}, cost bases {', '.join(bill.cost_bases)}{at}")
        if not location:
            yield Finding("bill's files", "skip", f"{bill.path} is a view: its files are not known")
        elif not bill.files or bill.updated is None:
            yield Finding(
                "bill's files",
                "fail",
                f"{location} holds no file",
                "Wait for the export's first delivery, or see that the table's location is the export's.",
            )
        else:
            yield from told("bill's files", self._files(bill, location))
            yield from files_passed_over(self._warehouse.export_version().passed_over)

    def _described(self, location: str) -> BillDescription:
        from obstore.exceptions import BaseError

        try:
            return self._warehouse.describe()
        except (BaseError, OSError) as error:
            bucket = location.removeprefix("s3://").partition("/")[0]
            raise BillError(
                f"its files cannot be listed ({str(error).splitlines()[0]})",
                where=f"{location} (bill.table)",
                fix=f"Allow s3:ListBucket on arn:aws:s3:::{bucket}; see that the bucket is there, in this region.",
            ) from None

    def _files(self, bill: BillDescription, location: str) -> Iterator[Finding]:
        bucket, _, prefix = location.removeprefix("s3://").partition("/")
        with explained("s3:ListBucket", where=f"arn:aws:s3:::{bucket}"):
            listed = self._s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=100).get("Contents", ())
        key = next((each["Key"] for each in listed if each["Size"]), "")
        if key:
            with explained("s3:GetObject", where=f"arn:aws:s3:::{bucket}/{key}"):
                self._s3.get_object(Bucket=bucket, Key=key, Range="bytes=0-3")["Body"].read()
        hours = (self._clock() - bill.updated).total_seconds() / 3600 if bill.updated else 0.0
        state = "ok" if hours <= OLD else "warn" if hours <= TOO_OLD else "fail"
        fix = (
            ""
            if state == "ok"
            else "See the export in Billing and Cost Management, Data Exports: what its status says."
        )
        said = f"{bill.files} file(s), {bill.size_bytes / MEGABYTE:,.1f} MB, readable, the newest {hours:.0f} h old"
        yield Finding("bill's files", state, said, fix)

    def _exports(self) -> Iterator[Finding]:
        """How the exports are delivered, where that can be asked: mostly, it is the payer's account that knows.

        It comes last, as a network that lets everything else through may not let this through, and waits.
        """
        if self._session.region != EXPORTS_REGION:
            yield Finding("data exports", "skip", f"only {EXPORTS_REGION} tells how exports are delivered")
            return
        try:
            with explained("bcm-data-exports:ListExports", where="the exports of this account"):
                pages = self._session.client("bcm-data-exports").get_paginator("list_exports").paginate()
                exports = [export for page in pages for export in page.get("Exports", ())]
        except FinopsError as error:
            yield broken("data exports", error, "skip")
            return
        if not exports:
            yield Finding("data exports", "skip", "this account has none: the payer's account has them")
        for export in exports:
            status = export.get("ExportStatus", {})
            name, state, reason = export["ExportName"], status.get("StatusCode", ""), status.get("StatusReason", "")
            if state == "HEALTHY":
                when = status.get("LastRefreshedAt")
                at = f", delivered {when.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if when else ", not delivered yet"
                yield Finding("data exports", "ok", f"{name} is healthy{at}")
            else:
                yield Finding(
                    "data exports",
                    "warn",
                    f"{name} is {state.lower() or 'in no state that is told'}: {reason or 'no reason given'}",
                    "Mend it in Billing and Cost Management, Data Exports, if it is the one of bill.table.",
                )

    def _organization(self) -> Iterator[Finding]:
        from finops_assets.adapters.aws.accounts import HISTORY_PATH
        from finops_assets.adapters.aws.s3 import open_archive

        try:
            said = self._root()
        except FinopsError as error:
            if open_archive(self._session, self._settings.aws.bucket).get(HISTORY_PATH) is None:
                raise
            kept = broken("organization", error, "warn")
            yield Finding(kept.name, kept.state, f"{kept.detail}; accounts are shown as last seen", kept.fix)
        else:
            yield Finding("organization", "ok", said)

    def _root(self) -> str:
        from finops_assets.adapters.aws.accounts import ROLE_SETTING

        client = self._session.client("organizations", self._settings.aws.organizations_role_arn)
        fix = f"Allow it to a role of the management account, named in {ROLE_SETTING}; or set accounts.path."

        def listed(operation: str, items: str, **parameters: str) -> list[dict[str, Any]]:
            action = "organizations:" + operation.title().replace("_", "")
            fixes = {
                "AccessDeniedException": f"{action} is denied. {fix}",
                "AWSOrganizationsNotInUseException": f"Name a role of the management account in {ROLE_SETTING}, "
                "or write an accounts.csv and set accounts.path.",
            }
            with explained(action, where=action, fixes=fixes):
                return [each for page in client.get_paginator(operation).paginate(**parameters) for each in page[items]]

        root = listed("list_roots", "Roots")[0]["Id"]
        units = listed("list_organizational_units_for_parent", "OrganizationalUnits", ParentId=root)
        accounts = listed("list_accounts_for_parent", "Accounts", ParentId=root)
        return f"readable: {len(units)} OU(s) and {len(accounts)} account(s) directly below the root {root}"

    # --- the dashboard --------------------------------------------------------------------------------------------

    def _quicksight(self) -> Iterator[Finding]:
        aws = self._settings.aws
        if not aws.quicksight_data_set:
            yield Finding(
                "data set",
                "skip",
                f"aws.quicksight_data_set is not set: the dashboard is s3://{aws.bucket}/dashboard/dashboard.html",
            )
            return
        found = list(_looked("data set", self._data_set()))
        yield from found
        if all(finding.state != "fail" for finding in found):
            yield from told("refreshes", self._refreshes())

    def _data_set(self) -> Iterator[Finding]:
        found = self._asked("describe_data_set")["DataSet"]
        name, mode = found.get("Name", found["DataSetId"]), found.get("ImportMode")
        if mode != "SPICE":
            yield Finding(
                "data set",
                "fail",
                f"{name} is in mode {mode}: there is nothing to refresh",
                "Set the data set's query mode to SPICE, or leave aws.quicksight_data_set empty.",
            )
        else:
            size = found.get("ConsumedSpiceCapacityInBytes", 0)
            yield Finding("data set", "ok", f"{name}: SPICE, {size / MEGABYTE:,.1f} MB of its capacity")

    def _refreshes(self) -> Iterator[Finding]:
        from finops_assets.adapters.aws.quicksight.fixes import INGESTION_FIXES
        from finops_assets.adapters.aws.quicksight.ingestions import FINISHED, MANUAL, REFRESHES, WINDOW, cancel_command

        ingestions = self._ingestions()
        limit = REFRESHES[self._settings.aws.quicksight_edition]
        since = self._clock() - WINDOW
        taken = sum(
            one["CreatedTime"] > since and one.get("RequestSource") != "SCHEDULED" and one.get("RequestType") in MANUAL
            for one in ingestions
        )
        left = max(limit - taken, 0)
        state = "fail" if not left else "warn" if left <= FEW_REFRESHES else "ok"
        fix = "" if state == "ok" else "Run many days as one range (`finops backfill`): it takes one refresh."
        yield Finding("refreshes", state, f"{left} of {limit} left in these 24 hours", fix)
        aws = self._settings.aws
        for one in ingestions:
            seconds = (self._clock() - one["CreatedTime"]).total_seconds()
            if one["IngestionStatus"] not in FINISHED and seconds >= aws.quicksight_timeout_seconds:
                account = aws.quicksight_account or self._session.account
                command = cancel_command(account, aws.quicksight_data_set, one["IngestionId"])
                said = f"{one['IngestionId']} is {one['IngestionStatus']} for {seconds / 3600:.1f} hours: it hangs"
                yield Finding("refresh under way", "fail", said, f"The next run cancels it; by hand: `{command}`.")
        last = next((one for one in ingestions if one["IngestionStatus"] in FINISHED), None)
        if last is None:
            yield Finding("last refresh", "ok", "none has ended yet")
            return
        name = f"{last['IngestionId']} of {last['CreatedTime'].astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        kind = last.get("ErrorInfo", {}).get("Type", "")
        rows = last.get("RowInfo", {})
        if last["IngestionStatus"] != "COMPLETED":
            said = f"{name} {last['IngestionStatus'].lower()}: {kind or 'no reason told'}; older data is shown"
            yield Finding(
                "last refresh", "fail", said, INGESTION_FIXES.get(kind, "See the data set's refresh history") + "."
            )
        elif rows.get("RowsDropped"):
            yield Finding(
                "last refresh",
                "fail",
                f"{name} dropped {rows['RowsDropped']:,} row(s)",
                "Compare the data set's column types with those of finops_db.ou_breakdown.",
            )
        else:
            yield Finding("last refresh", "ok", f"{name}: {rows.get('RowsIngested', 0):,} rows")

    def _in_spice(self) -> DashboardContent | None:
        done = next((one for one in self._ingestions() if one["IngestionStatus"] == "COMPLETED"), None)
        if done is None:
            return None
        expected, newest, content = self._catalog.contents()
        rows = done.get("RowInfo", {}).get("RowsIngested")
        data_set = self._settings.aws.quicksight_data_set
        return DashboardContent(
            location=f"https://{self._session.region}.quicksight.aws.amazon.com/sn/data-sets/{data_set}",
            refreshed=done["CreatedTime"].astimezone(UTC),
            # A refresh of ours is named after the content that it loads; of another, only the rows can be compared.
            newest_day=newest if f"-{content[:8]}-" in done["IngestionId"] else None,
            rows=rows,
            expected_rows=expected if rows is not None else None,
        )

    def _ingestions(self) -> list[dict[str, Any]]:
        """The newest hundred, more than QuickSight allows in a day, newest first."""
        return sorted(
            self._asked("list_ingestions", MaxResults=100)["Ingestions"],
            key=lambda one: one["CreatedTime"],
            reverse=True,
        )

    def _asked(self, operation: str, **parameters: Any) -> dict[str, Any]:
        aws = self._settings.aws
        account = aws.quicksight_account or self._session.account
        fixes = {
            "ResourceNotFoundException": "Set aws.quicksight_data_set to an id of `aws quicksight list-data-sets`, and "
            "aws.region and aws.quicksight_account to where it is."
        }
        with explained(
            "quicksight:" + operation.title().replace("_", ""),
            where=f"{aws.quicksight_data_set} (aws.quicksight_data_set)",
            fixes=fixes,
        ):
            client = self._session.client("quicksight")
            return getattr(client, operation)(AwsAccountId=account, DataSetId=aws.quicksight_data_set, **parameters)

    # --- alerts, metrics, and what is not tried ---------------------------------------------------------------------

    def _alerts(self) -> Iterator[Finding]:
        topic = self._settings.aws.sns_topic_arn
        if not topic:
            folder = self._settings.alerts_folder
            yield Finding("alerts", "skip", f"aws.sns_topic_arn is not set: alerts are files in {folder}")
        else:
            yield from _looked("alerts", self._topic(topic))

    def _topic(self, topic: str) -> Iterator[Finding]:
        from finops_assets.adapters.aws.alerts import TOPIC_SETTING

        fixes = {
            "NotFound": f"Set {TOPIC_SETTING} to one of `aws sns list-topics`.",
            "InvalidParameter": f"Set {TOPIC_SETTING} to the ARN of a topic in the region of aws.region.",
        }
        with explained("sns:ListSubscriptionsByTopic", where=topic, fixes=fixes):
            pages = self._session.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
            found = [subscription for page in pages for subscription in page["Subscriptions"]]
        waiting = [each["Endpoint"] for each in found if not each["SubscriptionArn"].startswith("arn:")]
        confirmed = len(found) - len(waiting)
        names = ", ".join(waiting)
        if waiting:
            fix = f"Let {names} follow the link in the mail from AWS Notifications; subscribing again sends it again."
            said = f"{confirmed} confirmed, not confirmed: {names}"
            yield Finding("alerts", "warn" if confirmed else "fail", f"{topic}: {said}", fix)
        elif not confirmed:
            yield Finding(
                "alerts",
                "fail",
                f"{topic}: nobody is subscribed",
                f"`aws sns subscribe --topic-arn {topic} --protocol email --notification-endpoint ADDRESS`",
            )
        else:
            yield Finding("alerts", "ok", f"{topic}: {confirmed} confirmed subscription(s)")

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

    @property
    def _s3(self) -> Any:
        return self._session.client("s3")


def ses(session: AwsSession, mail: MailSettings, configuration_set: str) -> Iterator[Finding]:
    """Whether SES would take a digest for each recipient, and deliver it."""
    seen = _Ses(session, mail, configuration_set)
    yield from _looked("ses account", seen.account())
    yield from _looked("sender", seen.sender())
    yield from _looked("recipients", seen.recipients())
    yield from _looked("suppression", seen.suppression())
    yield from _looked("configuration set", seen.configuration())


class _Ses:
    """The checks of one SES account and region; `sandbox` is known after `account`."""

    def __init__(self, session: AwsSession, mail: MailSettings, configuration_set: str) -> None:
        self._session, self._configuration_set = session, configuration_set
        self._sender = bare([mail.sender], "mail.sender")
        self._recipients = bare(mail.everybody, "mail.recipients")
        self._sandbox: bool | None = None

    def account(self) -> Iterator[Finding]:
        with explained("ses:GetAccount", where=f"SES in {self._session.region}"):
            found = self._client.get_account()
        self._sandbox = not found.get("ProductionAccessEnabled")
        quota = found.get("SendQuota", {})
        most, sent = int(quota.get("Max24HourSend", 0)), int(quota.get("SentLast24Hours", 0))
        status = found.get("EnforcementStatus", "HEALTHY")
        place = f"SES in {self._session.region}"
        if status == "SHUTDOWN":
            yield Finding(
                "ses account", "fail", f"{place}: AWS ended its right to send", "Answer its case in AWS Support."
            )
        elif not found.get("SendingEnabled", True):
            yield Finding(
                "ses account",
                "fail",
                f"{place}: sending is paused",
                "See its reputation dashboard for the cause, then `aws sesv2 put-account-sending-attributes "
                "--sending-enabled`.",
            )
        elif most >= 0 and most - sent < len(self._recipients):  # -1 is no quota at all
            yield Finding(
                "ses account",
                "fail",
                f"{place}: {max(most - sent, 0):,} of {most:,} messages left in these 24 hours, for "
                f"{len(self._recipients)} recipient(s)",
                "Wait, or ask AWS for a higher daily quota (Service Quotas, SES).",
            )
        else:
            left = f"{most - sent:,} of {most:,} messages left in these 24 hours" if most >= 0 else "no daily quota"
            state = "warn" if status == "PROBATION" else "ok"
            fix = "AWS is reviewing this account: answer its case in AWS Support." if state == "warn" else ""
            kind = "sandbox" if self._sandbox else "production access"
            yield Finding("ses account", state, f"{place}: {status.lower()}, {kind}, {left}", fix)

    def sender(self) -> Iterator[Finding]:
        for sender in self._sender:
            name, found = self._identity(sender)
            dkim = found.get("DkimAttributes", {}).get("Status", "")
            if not found.get("VerifiedForSendingStatus"):
                state = f"{name} is {found.get('VerificationStatus', 'PENDING')}" if found else "no identity of it"
                yield Finding("sender", "fail", f"{sender} is not verified ({state})", self._verify(sender))
            elif dkim not in ("", "SUCCESS"):
                yield Finding(
                    "sender",
                    "warn",
                    f"{sender} is verified by {name}, without DKIM ({dkim}): digests may be taken for spam",
                    f"Set the CNAME records that `aws sesv2 get-email-identity --email-identity {name}` names.",
                )
            else:
                signed = ", signed with DKIM" if dkim else ""
                yield Finding("sender", "ok", f"{sender} is verified by {name}{signed}")

    def recipients(self) -> Iterator[Finding]:
        if self._sandbox is None:
            yield Finding("recipients", "skip", "it is not known whether the account is in the sandbox")
            return
        if not self._sandbox:
            yield Finding("recipients", "ok", f"{len(self._recipients)}; none has to be verified outside the sandbox")
            return
        refused = [one for one in self._recipients if not self._identity(one)[1].get("VerifiedForSendingStatus")]
        for one in refused:
            yield Finding(
                "recipients",
                "fail",
                f"SES is in its sandbox, and {one} is not verified",
                f"{self._verify(one)} Or ask for production access (SES, Account dashboard).",
            )
        if not refused:
            yield Finding("recipients", "ok", f"all {len(self._recipients)} are verified, as SES is in its sandbox")

    def suppression(self) -> Iterator[Finding]:
        none = f"none of {len(self._recipients)} recipient(s) is on the list"
        yield from undelivered("suppression", suppressed(self._session, self._recipients), none)

    def configuration(self) -> Iterator[Finding]:
        name = self._configuration_set
        if not name:
            yield Finding(
                "configuration set", "skip", "aws.ses_configuration_set is not set: bounces raise no alert by it"
            )
            return
        fixes = {"NotFoundException": "Set aws.ses_configuration_set to one of this region, or leave it empty."}
        with explained("ses:GetConfigurationSet", where=f"{name} (aws.ses_configuration_set)", fixes=fixes):
            found = self._client.get_configuration_set(ConfigurationSetName=name)
        if found.get("SendingOptions", {}).get("SendingEnabled", True):
            yield Finding("configuration set", "ok", f"{name} is there, and sends")
        else:
            yield Finding(
                "configuration set",
                "fail",
                f"{name}: sending is paused",
                f"`aws sesv2 put-configuration-set-sending-options --configuration-set-name {name} --sending-enabled`",
            )

    def _identity(self, address: str) -> tuple[str, Mapping[str, Any]]:
        """The identity that lets an address send, or else the nearest one; empty where there is none.

        A verified domain verifies its subdomains and their addresses.
        """
        labels = address.partition("@")[2].split(".")
        nearest: tuple[str, Mapping[str, Any]] = ("", {})
        refusal: AwsError | None = None
        for name in (address, *(".".join(labels[n:]) for n in range(max(len(labels) - 1, 1)))):
            try:
                with explained("ses:GetEmailIdentity", where=f"identity {name}"):
                    found = self._client.get_email_identity(EmailIdentity=name)
            except AwsError as error:
                if error.code in DENIED:
                    refusal = error  # a policy may allow to look at the domain only
                elif error.code != "NotFoundException":
                    raise
                continue
            if found.get("VerifiedForSendingStatus"):
                return name, found
            nearest = nearest if nearest[1] else (name, found)
        if refusal and not nearest[1]:
            raise refusal
        return nearest

    def _verify(self, address: str) -> str:
        return (
            f"`aws sesv2 create-email-identity --email-identity {address}`, then follow the link in the mail it gets."
        )

    @property
    def _client(self) -> Any:
        return self._session.client("sesv2")


def _looked(name: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    """As `told`, for what only doctor asks: not to be allowed to look is no fault of the platform."""
    try:
        yield from findings
    except AwsError as error:
        denied = error.code in DENIED or "permission denied" in error.what
        yield broken(name, error, "skip" if denied else "fail")
    except FinopsError as error:
        yield broken(name, error)


def _run(first: date, last: date) -> str:
    return f"`finops run --date {first}`" if first == last else f"`finops backfill {first} {last}`"
