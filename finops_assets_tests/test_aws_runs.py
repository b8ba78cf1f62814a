"""The whole graph on AWS, over HTTP, on a stand-in that executes: what is there afterwards, and what it took."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from bills import line, make_bill
from on_aws import BUCKET, RECIPIENTS, make_ready, on_aws, platform_on

from finops_assets.adapters.aws.s3 import explain_for
from finops_assets.core.errors import FinopsError, SettingsError
from finops_assets.core.schemas import ACCOUNT_MAP_PATH, day_location, day_path
from finops_assets.platform import Platform, build_platform
from finops_assets.run import Outcome, run_days
from finops_assets.sample_bill import SampleBill, write_sample_bill
from finops_assets.settings import load_settings
from finops_assets_tests.aws import StandIn
from finops_assets_tests.aws.bills import load_bill

LAST = date(2025, 9, 30)
FIRST = LAST - timedelta(days=9)
DAYS = [FIRST + timedelta(days=i) for i in range(10)]


def at(day: date) -> Any:
    """A clock that stands at 07:00 UTC of the morning after."""
    return lambda: datetime(day.year, day.month, day.day, 7, tzinfo=UTC) + timedelta(days=1)


def at_midnight(day: date) -> datetime:
    """As AWS writes it, without a zone."""
    return datetime(day.year, day.month, day.day)  # noqa: DTZ001


def run(platform: Platform, first: date, last: date | None = None) -> Outcome:
    return run_days(platform, first, last or first, clock=at(last or first))


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SampleBill:
    return write_sample_bill(tmp_path_factory.mktemp("sample") / "bill", LAST, 10)


@pytest.fixture
def aws(aws: StandIn, sample: SampleBill) -> StandIn:
    """An account in which everything is set up, and nothing has run yet."""
    make_ready(aws, sample.focus, accounts=sample.accounts)
    return aws


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def platform(aws: StandIn, home: Path) -> Platform:
    return platform_on(aws, home)


def objects(aws: StandIn, prefix: str = "", bucket: str = BUCKET) -> list[str]:
    pages = aws.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [found["Key"] for page in pages for found in page.get("Contents", ())]


def versions(aws: StandIn, day: date) -> list[str]:
    found = aws.client("s3").list_object_versions(Bucket=BUCKET, Prefix=day_path(day)).get("Versions", [])
    return [version["VersionId"] for version in found]


def contents(archive: Any, days: list[date]) -> dict[date, tuple]:
    """What a day's object holds: rows, and what it says of itself but for the run that wrote it and the bill's kind."""
    found = {}
    for day in days:
        there = archive.describe(day)
        said = {name: value for name, value in there.metadata.items() if name not in ("run_id", "settlement")}
        found[day] = (there.total, said, archive.read([day]).to_pylist())
    return found


def test_a_day_is_archived_queryable_refreshed_and_mailed(aws: StandIn, platform: Platform, home: Path) -> None:
    """One day: one versioned object, one partition, one ingestion, one mail a recipient; within the promised calls."""
    assert run(platform, LAST).errors == ()
    counts = aws.calls.counts()

    (version,) = versions(aws, LAST)
    there = platform.archive.describe(LAST)
    assert there.version == version, "the version that S3 gave is recorded"
    assert objects(aws, "ou-breakdowns/") == [day_path(LAST)]
    assert objects(aws, "_staging/") == []
    (partition,) = aws.client("glue").get_partitions(DatabaseName="finops_db", TableName="ou_breakdown")["Partitions"]
    assert partition["Values"] == ["2025", "9", "30"]
    assert partition["StorageDescriptor"]["Location"] == f"s3://{BUCKET}/{day_location(LAST)}"
    assert [(i.status, i.rows) for i in aws.quicksight.ingestions] == [("COMPLETED", there.rows)]
    assert sorted(mail.recipients[0] for mail in aws.mail.sent) == sorted(RECIPIENTS)
    names = [part.get_filename() for part in aws.mail.sent[0].message.walk() if part.get_content_type() == "text/csv"]
    assert names == ["ou_breakdown_2025-09-30.csv"] or names[0].endswith(".csv")

    assert counts["athena", "StartQueryExecution"] == 3, "one of them makes the view"
    glue = {operation: n for (service, operation), n in counts.items() if service == "glue"}
    made = {"CreateDatabase": 1, "CreateTable": 4}
    # Two more listings of the partitions: what the digest says of all days, before and after the refresh.
    assert glue == {"GetTable": 1, "GetTables": 1, "GetPartitions": 3, "BatchCreatePartition": 1, **made}
    assert counts["quicksight", "CreateIngestion"] == 1
    assert counts["sesv2", "SendEmail"] == 3
    assert aws.refused == []


def test_the_missions_own_query_works(aws: StandIn, platform: Platform) -> None:
    """CamelCase names, the partition columns, and finops_daily_summary: what people have in their notebooks."""
    assert run(platform, LAST).errors == ()
    _, rows = platform.catalog.query(
        "SELECT OU, SUM(DailyCost) FROM finops_db.ou_breakdown "
        "WHERE year = 2025 AND month = 9 AND day = 30 AND BillingDate = DATE '2025-09-30' GROUP BY OU ORDER BY 2 DESC"
    )
    total = platform.archive.describe(LAST).total
    assert abs(Decimal(str(sum(cost for _, cost in rows))) - total) < Decimal("0.005")
    _, ((summary,),) = platform.catalog.query(
        "SELECT SUM(Cost) FROM finops_db.finops_daily_summary WHERE BillingDate = DATE '2025-09-30'"
    )
    assert summary == total


def test_the_second_day_stays_within_the_calls(aws: StandIn, platform: Platform, home: Path) -> None:
    """What every morning takes: 3 queries, 6 calls of Glue, 1 ingestion, 1 mail a recipient."""
    assert run(platform, LAST - timedelta(days=1)).errors == ()
    aws.calls.reset()
    assert run(platform_on(aws, home), LAST).errors == ()
    assert aws.calls.count("athena", "StartQueryExecution") == 3
    assert aws.calls.count("glue") <= 6
    assert aws.calls.count("quicksight", "CreateIngestion") == 1
    assert aws.calls.count("sesv2", "SendEmail") == 3


def test_a_backfill_is_one_of_everything(aws: StandIn, platform: Platform) -> None:
    """Ten days in one run: few queries, one ingestion, one summary mail a recipient, one pass over the bill."""
    assert run(platform, FIRST, LAST).errors == ()
    assert objects(aws, "ou-breakdowns/") == [day_path(day) for day in DAYS]
    assert objects(aws, "_staging/") == []
    assert aws.calls.count("athena", "StartQueryExecution") <= 4
    assert aws.calls.count("glue", "BatchCreatePartition") == 1
    assert len(aws.quicksight.ingestions) == 1
    assert len(aws.mail.sent) == 3
    assert set(platform.outbox.mailed_days(DAYS).values()) == {"sent"}


def test_a_year_is_a_handful_of_calls(aws: StandIn, home: Path, tmp_path: Path) -> None:
    """365 days in one run: 6 queries, one pass over the bill, 11 calls of Glue, 1 ingestion, 1 mail a recipient."""
    first = LAST - timedelta(days=364)
    lines = [
        line(n % 7 + 1, start=at_midnight(first + timedelta(days=n // 4)), service=f"Service {n % 4}")
        for n in range(365 * 4)
    ]
    table = small(tmp_path, aws, *lines, name="year")
    used = ("billedcost", "chargeperiodstart", "servicename", "subaccountid", "billingaccountid", "subaccountname")
    used += ("billingcurrency", "chargecategory", "chargeclass", "chargefrequency", "chargeperiodend")
    platform = platform_on(aws, home, bill__table=table)
    _, _ = platform.catalog.query(f"SELECT {', '.join(f'COUNT({name})' for name in used)} FROM {table}")
    one_pass = aws.athena.queries[-1].scanned
    aws.calls.reset()
    assert run(platform, first, LAST).errors == ()
    counts = aws.calls.counts()
    assert counts["athena", "StartQueryExecution"] <= 6
    unloads = [query for query in aws.athena.queries if "UNLOAD" in query.sql]
    of_two_days = [query for query in unloads if "there_before" in query.sql]
    assert len(of_two_days) == 1, "why the last day moved"
    assert sum(query.scanned for query in unloads if query not in of_two_days) <= 1.1 * one_pass
    assert sum(n for (service, _), n in counts.items() if service == "glue") <= 14
    assert counts["quicksight", "CreateIngestion"] == 1
    assert counts["sesv2", "SendEmail"] == 3
    assert len(platform.archive.days()) == len(platform.catalog.registered()) == 365


def test_running_it_again_changes_nothing(aws: StandIn, platform: Platform, home: Path) -> None:
    """The same days once more: no new version of an object, no ingestion, no mail."""
    assert run(platform, FIRST, LAST).errors == ()
    before = {day: versions(aws, day) for day in DAYS}
    assert run(platform_on(aws, home), FIRST, LAST).errors == ()
    assert {day: versions(aws, day) for day in DAYS} == before
    assert len(aws.quicksight.ingestions) == 1
    assert len(aws.mail.sent) == 3
    assert objects(aws, "_staging/") == []


@pytest.mark.parametrize("kind", ["focus", "cur2"])
@pytest.mark.parametrize("basis", ["billed", "effective"])
def test_both_platforms_archive_the_same(
    aws: StandIn, sample: SampleBill, home: Path, tmp_path: Path, kind: str, basis: str
) -> None:
    """The same bill and accounts give the same rows and the same words, to the last decimal."""
    bill = getattr(sample, kind)
    load_bill(aws, bill, table="billing.own", bucket="another-bill")
    how = {"bill__cost_basis": basis, "accounts__path": sample.accounts}
    there = platform_on(aws, home, bill__table="billing.own", **how)
    values = {"home": str(tmp_path / "here"), "bill.path": str(bill), "bill.first_day": FIRST}
    values |= {"bill.cost_basis": basis, "accounts.path": str(sample.accounts)}
    here = build_platform(load_settings({}, values, folder=tmp_path))
    assert run(there, FIRST, LAST).errors == ()
    assert run(here, FIRST, LAST).errors == ()
    assert contents(there.archive, DAYS) == contents(here.archive, DAYS)
    assert there.archive.get(ACCOUNT_MAP_PATH) == here.archive.get(ACCOUNT_MAP_PATH)


def test_the_organization_gives_the_ous(aws: StandIn, platform: Platform, sample: SampleBill) -> None:
    """Without accounts.csv, AWS Organizations says who owns what, and a history of it is kept."""
    assert run(platform, LAST).errors == ()
    ous = {row["ou"] for row in platform.archive.read([LAST]).to_pylist()}
    assert any("/" in ou for ou in ous), "nested paths are kept"
    assert "organization/accounts.csv" in objects(aws, "organization/")


def small(tmp_path: Path, aws: StandIn, *lines: Any, fmt: str = "focus", name: str = "small") -> str:
    """A bill of these lines as another table; returns its name."""
    table = f"billing.{name}"
    load_bill(aws, make_bill(tmp_path / name, lines, fmt).parent, table=table, bucket=f"{name}-bill")
    return table


@pytest.mark.parametrize("fmt", ["focus", "cur2", "cur", "summary"])
def test_every_kind_of_table_is_recognised(aws: StandIn, home: Path, tmp_path: Path, fmt: str) -> None:
    """Data Exports' FOCUS and CUR 2.0, a legacy CUR, and an existing daily summary."""
    table = small(tmp_path, aws, line("1.25"), line("2.50", service="Amazon S3"), fmt=fmt)
    platform = platform_on(aws, home, bill__table=table, bill__currency="USD" if fmt == "summary" else "")
    assert run(platform, date(2025, 9, 10)).errors == ()
    assert platform.archive.describe(date(2025, 9, 10)).total == Decimal("3.75")


def test_an_existing_daily_summary_is_read_and_left_alone(aws: StandIn, home: Path, tmp_path: Path) -> None:
    """Whoever has finops_db.finops_daily_summary as a table keeps it: its OUs and costs are archived as they are."""
    lines = [line("1.25", ou="Shop"), line("2.50", ou="Search")]
    load_bill(aws, make_bill(tmp_path / "own", lines, "summary").parent, table="finops_db.finops_daily_summary")
    platform = platform_on(aws, home, bill__table="finops_db.finops_daily_summary", bill__currency="USD")
    assert run(platform, DAY).errors == ()
    assert {row["ou"]: row["cost"] for row in platform.archive.read([DAY]).to_pylist()} == {
        "Shop": Decimal("1.25"),
        "Search": Decimal("2.50"),
    }
    tables = aws.client("glue").get_tables(DatabaseName="finops_db")["TableList"]
    assert {table["Name"]: table["TableType"] for table in tables}["finops_daily_summary"] == "EXTERNAL_TABLE"


DAY = date(2025, 9, 10)

BAD_BILLS = [
    ("a day that is not there", [line(1)], date(2025, 9, 11), r"no charges on 2025-09-11; it has 1 day\(s\) from"),
    ("no line at all on any day", [line(1, currency="USD")], date(2024, 1, 1), "no charges on 2024-01-01"),
    ("two currencies", [line(1), line(2, currency="EUR")], DAY, "2 currencies: EUR, USD.*FINOPS_BILL__CURRENCY=EUR"),
    ("a line without a currency", [line(1), line(2, currency=None)], DAY, "1 line.s. have no currency"),
    ("a line without a cost", [line(1), line(2, extra={"BilledCost": None})], DAY, "1 line.s. of 2025-09-10 have no b"),
    ("a line without a date", [line(1), line(2, extra={"ChargePeriodStart": None})], DAY, "1 line.s. have no date"),
]


@pytest.mark.parametrize(("what", "lines", "day", "says"), BAD_BILLS, ids=[what for what, *_ in BAD_BILLS])
def test_a_bad_bill_never_becomes_a_number(
    aws: StandIn, home: Path, tmp_path: Path, what: str, lines: list, day: date, says: str
) -> None:
    """The run fails in words that name the table and what to do; nothing is archived, registered or mailed."""
    platform = platform_on(aws, home, bill__table=small(tmp_path, aws, *lines))
    outcome = run(platform, day)
    assert outcome.errors
    assert re.search(says, outcome.errors[0]), outcome.errors
    assert "billing.small" in outcome.errors[0]
    assert objects(aws, "ou-breakdowns/") == []
    assert objects(aws, "_staging/") == []
    assert aws.mail.sent == []


def test_a_failure_is_told_and_counted(aws: StandIn, home: Path) -> None:
    """A run that fails publishes one alert with the day, the cause and the command, and counts itself."""
    topic = aws.client("sns").create_topic(Name="finops-alerts")["TopicArn"]
    platform = platform_on(aws, home, aws__sns_topic_arn=topic)
    assert run(platform, date(2024, 5, 1)).errors
    (alert,) = aws.topics.published
    assert "2024-05-01" in alert.subject
    assert "finops run --date 2024-05-01" in alert.message
    assert "the bill has no charges on 2024-05-01" in alert.message
    found = aws.client("cloudwatch").list_metrics(Namespace="FinopsAssets")["Metrics"]
    assert {metric["MetricName"] for metric in found} == {"RunFailed"}


def test_a_morning_is_measured(aws: StandIn, platform: Platform) -> None:
    """The numbers that alarms stand on are recorded as of now."""
    assert run(platform, LAST).errors == ()
    found = aws.client("cloudwatch").list_metrics(Namespace="FinopsAssets")["Metrics"]
    names = {metric["MetricName"] for metric in found}
    assert names == {"DigestSent", "DayCost", "DaysMissing", "SourceAgeHours", "RunSeconds"}


def test_the_ui_tells_what_the_queries_took(aws: StandIn, platform: Platform) -> None:
    """Bytes, seconds and an estimated price stand in the metadata of the asset that asked."""
    import dagster as dg

    assert run(platform, LAST).errors == ()
    with dg.DagsterInstance.get() as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey("finops_daily_summary"))
    said = event.asset_materialization.metadata
    assert said["queries"].value >= 1
    assert said["data scanned (bytes)"].value > 0
    assert Decimal(said["estimated price (USD)"].value) > 0


# --- what can be wrong with an account ----------------------------------------------------------------------------


def other_types(aws: StandIn, platform: Platform) -> None:
    """A table that somebody made with other types."""
    from finops_assets.adapters.aws.glue import table_inputs

    wanted = table_inputs(BUCKET)["ou_breakdown"]
    wanted["StorageDescriptor"]["Columns"][4]["Type"] = "decimal(18,2)"
    aws.client("glue").create_database(DatabaseInput={"Name": "finops_db"})
    aws.client("glue").create_table(DatabaseName="finops_db", TableInput=wanted)


def test_a_table_with_other_types_is_refused(aws: StandIn, platform: Platform) -> None:
    """Somebody's own ou_breakdown is neither changed nor written into; the message says what differs."""
    other_types(aws, platform)
    (error,) = run(platform, LAST).errors
    assert "dailycost decimal(18,2), agreed" in error.replace("linkedaccount string, ", "") or "decimal(18,2)" in error
    assert "the table is not as agreed" in error
    assert aws.mail.sent == []


def test_a_partition_elsewhere_is_corrected_and_a_double_removed(aws: StandIn, platform: Platform, home: Path) -> None:
    """What a crawler or MSCK did is undone: one registration a day, at its own place, and the cost is counted once."""
    assert run(platform, FIRST, LAST).errors == ()
    glue = aws.client("glue")
    own = glue.get_partition(DatabaseName="finops_db", TableName="ou_breakdown", PartitionValues=["2025", "9", "30"])
    storage = own["Partition"]["StorageDescriptor"]
    glue.create_partition(
        DatabaseName="finops_db",
        TableName="ou_breakdown",
        PartitionInput={"Values": ["2025", "09", "30"], "StorageDescriptor": storage},
    )
    elsewhere = {**storage, "Location": f"s3://{BUCKET}/{day_location(LAST - timedelta(days=1))}"}
    glue.update_partition(
        DatabaseName="finops_db",
        TableName="ou_breakdown",
        PartitionValueList=["2025", "9", "30"],
        PartitionInput={"Values": ["2025", "9", "30"], "StorageDescriptor": elsewhere},
    )
    again = platform_on(aws, home)
    assert [p.values for p in again.catalog.doubles()] == [("2025", "09", "30")]
    assert run(again, LAST).errors == ()
    assert again.catalog.doubles() == []
    assert again.catalog.registered()[LAST] == f"s3://{BUCKET}/{day_location(LAST)}"


def test_an_object_beside_the_days_own_is_found(aws: StandIn, platform: Platform, home: Path) -> None:
    """A second file in a day's folder would double its cost: the run says so, and which one is ours."""
    assert run(platform, LAST).errors == ()
    data = aws.client("s3").get_object(Bucket=BUCKET, Key=day_path(LAST))["Body"].read()
    aws.client("s3").put_object(Bucket=BUCKET, Key=day_location(LAST) + "copy.parquet", Body=data)
    (error,) = run(platform_on(aws, home), LAST).errors
    assert "2 objects lie at" in error
    assert f"remove all but {day_path(LAST)}" in error


def test_spice_is_not_filled_with_a_day_that_does_not_read_back(aws: StandIn, platform: Platform, home: Path) -> None:
    """The refresh starts while the day is read back; it is cancelled when that finds a fault, and nothing is mailed."""
    before = LAST - timedelta(days=1)
    assert run(platform, before).errors == ()
    mails = len(aws.mail.sent)
    data = aws.client("s3").get_object(Bucket=BUCKET, Key=day_path(before))["Body"].read()
    aws.client("s3").put_object(Bucket=BUCKET, Key=day_location(LAST) + "copy.parquet", Body=data)
    aws.quicksight.seconds_per_step = 10
    (error,) = run(platform_on(aws, home), LAST).errors
    assert "2 objects lie at" in error
    assert sorted(one.status for one in aws.quicksight.ingestions) == ["CANCELLED", "COMPLETED"]
    assert len(aws.mail.sent) == mails


def test_gaps_are_those_of_bucket_and_glue(aws: StandIn, platform: Platform, home: Path) -> None:
    """`finops gaps` over the bill's table: not archived, without a partition, not in the bill."""
    assert run(platform, LAST - timedelta(days=1), LAST).errors == ()
    found = gaps(aws, home)
    assert [(gap["first"], gap["cause"]) for gap in found] == [
        (str(FIRST), "no object"),
        (str(LAST + timedelta(days=1)), "source late"),
    ]
    aws.client("glue").delete_partition(
        DatabaseName="finops_db", TableName="ou_breakdown", PartitionValues=["2025", "9", "30"]
    )
    assert (str(LAST), "no partition") in [(gap["first"], gap["cause"]) for gap in gaps(aws, home)]


def gaps(aws: StandIn, home: Path) -> list[dict[str, str]]:
    command = [sys.executable, "-m", "finops_assets.cli", "gaps", "--json"]
    done = subprocess.run(
        command, env=os.environ | on_aws(aws, home, bill__first_day=FIRST), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    return json.loads(done.stdout)


def test_throttling_of_every_second_call_is_survived(aws: StandIn, platform: Platform) -> None:
    """Whatever service says to slow down, the day comes through, once."""
    for service in ("athena", "glue", "quicksight", "sesv2", "organizations"):
        aws.faults.fail(service, "*", code=THROTTLED[service], times=None, every=2)
    assert run(platform, LAST).errors == ()
    assert len(versions(aws, LAST)) == 1
    assert len(aws.mail.sent) == 3
    assert [i.status for i in aws.quicksight.ingestions] == ["COMPLETED"]


THROTTLED = {
    "athena": "ThrottlingException",
    "glue": "ThrottlingException",
    "quicksight": "ThrottlingException",
    "sesv2": "TooManyRequestsException",
    "organizations": "TooManyRequestsException",
}


def test_a_query_that_fails_leaves_no_orphans(aws: StandIn, platform: Platform, home: Path) -> None:
    """An UNLOAD that fails half-way leaves files; they are swept, and the next run is clean."""
    aws.athena.fail_next("HIVE_WRITER_ERROR", "the disk of a worker is full", orphans=True)
    (error,) = run(platform, LAST).errors
    assert "the disk of a worker is full" in error
    assert objects(aws, "_staging/") == []
    assert run(platform_on(aws, home), LAST).errors == ()


def test_a_partial_batch_error_of_glue_is_tried_again(aws: StandIn, platform: Platform) -> None:
    """One partition of a batch fails for a passing reason: it alone is asked for again."""
    aws.glue.fail_partitions({("2025", "9", "25"): "InternalServiceException"})
    assert run(platform, FIRST, LAST).errors == ()
    assert set(platform.catalog.registered()) == set(DAYS)
    assert aws.calls.count("glue", "BatchCreatePartition") == 2


def test_a_lasting_batch_error_names_the_days(aws: StandIn, platform: Platform, home: Path) -> None:
    """The other days are registered; the error names the one that is not, and the next run adds it."""
    aws.glue.fail_partitions({("2025", "9", "25"): "InvalidInputException"})
    (error,) = run(platform, FIRST, LAST).errors
    assert "did not create the partition(s) 2025-9-25: InvalidInputException" in error
    assert run(platform_on(aws, home), FIRST, LAST).errors == ()
    assert set(platform_on(aws, home).catalog.registered()) == set(DAYS)


def test_ses_failing_after_the_third_recipient(aws: StandIn, home: Path) -> None:
    """Three have it, two do not: the run fails, and the next one sends to the two alone."""
    five = (*RECIPIENTS, "d@example.com", "e@example.com")
    for address in five:
        aws.mail.verify(address)
    platform = platform_on(aws, home, mail__recipients=",".join(five))
    aws.faults.fail("sesv2", "SendEmail", code="SendingPausedException", message="paused", skip=3, times=None)
    assert run(platform, LAST).errors
    assert len(aws.mail.sent) == 3
    aws.faults.reset()
    assert run(platform_on(aws, home, mail__recipients=",".join(five)), LAST).errors == ()
    assert sorted(mail.recipients[0] for mail in aws.mail.sent) == sorted(five)


def test_two_runs_of_one_day_at_once(aws: StandIn, home: Path) -> None:
    """There is one object, one partition, and each recipient has one mail; the second says who is sending it."""
    command = [sys.executable, "-m", "finops_assets.cli", "run", "--date", str(LAST)]
    runs = [
        subprocess.Popen(command, env=os.environ | on_aws(aws, home / str(n)), stderr=subprocess.PIPE, text=True)
        for n in range(2)
    ]
    errors = [process.communicate(timeout=120)[1] for process in runs]
    failed = [error for process, error in zip(runs, errors, strict=True) if process.returncode]
    assert len(failed) < 2, errors
    assert all("another run is sending it" in error for error in failed), "\n".join(failed)
    assert objects(aws, "ou-breakdowns/") == [day_path(LAST)]
    assert objects(aws, "_staging/") == []
    assert sorted(mail.recipients[0] for mail in aws.mail.sent) == sorted(RECIPIENTS)
    (partition,) = aws.client("glue").get_partitions(DatabaseName="finops_db", TableName="ou_breakdown")["Partitions"]
    assert partition["Values"] == ["2025", "9", "30"]


BAD_SETTINGS = [
    ("no bucket", {"aws__bucket": "not-there"}, "", "there is no bucket not-there.*|aws.bucket"),
    ("no workgroup", {"aws__workgroup": "not-there"}, "", "aws.workgroup .FINOPS_AWS__WORKGROUP"),
    ("no output location", {"aws__workgroup": "primary"}, "", "aws.athena_results .FINOPS_AWS__ATHENA_RESULTS"),
    ("wrong region", {"aws__region": "eu-west-1"}, "", "aws.region to its region"),
    ("no table", {"bill__table": "billing.nothing"}, "", "Set bill.table .FINOPS_BILL__TABLE"),
    ("no data set", {"aws__quicksight_data_set": "nothing"}, "", "aws.quicksight_data_set"),
    ("sender not verified", {"mail__sender": "x@nobody.example"}, "", "not verified"),
    ("an S3 write denied", {}, "s3:PutObject", r"Allow s3:PutObject on arn:aws:s3:::finops-daily-summaries/"),
    ("Glue denied", {}, "glue:GetPartitions", "Allow glue:GetPartitions on arn:aws:glue"),
    ("Athena denied", {}, "athena:StartQueryExecution", "Allow athena:StartQueryExecution on arn:aws:athena"),
    ("QuickSight denied", {}, "quicksight:CreateIngestion", "Allow quicksight:CreateIngestion on arn:aws:quicksight"),
    ("SES denied", {}, "sesv2:SendEmail", "Allow ses:SendRawEmail on arn:aws:"),
]


@pytest.mark.parametrize(("what", "settings", "denied", "says"), BAD_SETTINGS, ids=[what for what, *_ in BAD_SETTINGS])
def test_bad_settings_are_named(aws: StandIn, home: Path, what: str, settings: dict, denied: str, says: str) -> None:
    """Each ends in a message that names the setting, or the IAM action and the resource."""
    if denied:
        service, action = denied.split(":")
        resource = {"s3": f"arn:aws:s3:::{BUCKET}/x"}.get(service, f"arn:aws:{service}:us-east-1:123456789012:thing/x")
        name = "ses:SendRawEmail" if service == "sesv2" else denied
        aws.faults.fail(
            service,
            action,
            code="AccessDenied" if service == "s3" else "AccessDeniedException",
            message=f"User: arn:aws:sts::123456789012:assumed-role/finops/run is not authorized to perform: {name} on "
            f"resource: {resource} because no identity-based policy allows the {name} action",
            status=403 if service == "s3" else 400,
            times=None,
        )
    try:
        errors = run(platform_on(aws, home, **settings), LAST).errors
    except FinopsError as error:  # said before the run begins
        errors = (str(error),)
    assert errors
    assert re.search(says, errors[0]), errors


S3_SAID = [
    ("NoSuchBucket: The specified bucket does not exist", "aws.bucket .*there is no bucket b"),
    ("Received redirect without LOCATION, this normally indicates an incorrectly configured region", "aws.region"),
    ("Client error with status 403 Forbidden: AccessDenied", "Allow s3:PutObject on arn:aws:s3:::b/a/path"),
    ("status 400: <Code>ExpiredToken</Code>", "no longer valid .ExpiredToken.. Log in again"),
    ("there are no AWS credentials", "there are no AWS credentials. Log in"),
    ("error sending request: operation timed out", "s3:PutObject.*operation timed out"),
]


@pytest.mark.parametrize(("said", "says"), S3_SAID)
def test_what_s3_says_is_put_in_words(said: str, says: str) -> None:
    """Each error of S3 names the setting or the permission; none is taken for an object that is not there."""
    assert re.search(says, str(explain_for("b")(said, "a/path", "s3:PutObject")))
    assert explain_for("b")(said, "a/path", "s3:GetObject") is not None
    assert explain_for("b")("Object at location a/path not found: NoSuchKey", "a/path", "s3:GetObject") is None


def test_an_expired_token_is_told(aws: StandIn, home: Path) -> None:
    """Credentials that end in the middle of a run are a message, and the next run finishes the day."""
    aws.faults.fail("glue", "BatchCreatePartition", code="ExpiredTokenException", message="expired", times=None)
    (error,) = run(platform_on(aws, home), LAST).errors
    assert "credentials are no longer valid" in error
    aws.faults.reset()
    assert run(platform_on(aws, home), LAST).errors == ()
    assert len(versions(aws, LAST)) == 1
    assert len(aws.mail.sent) == 3


def test_without_quicksight_the_dashboard_is_in_the_bucket(aws: StandIn, home: Path) -> None:
    """No data set is set: the same self-contained page as on the embedded platform is published."""
    platform = platform_on(aws, home, aws__quicksight_data_set="")
    assert run(platform, LAST).errors == ()
    page = aws.client("s3").get_object(Bucket=BUCKET, Key="dashboard/dashboard.html")["Body"].read().decode()
    assert "<html" in page
    assert aws.calls.count("quicksight") == 0


@pytest.mark.parametrize("missing", ["aws__bucket", "bill__table"])
def test_what_must_be_set_is_named_before_anything_is_asked(aws: StandIn, home: Path, missing: str) -> None:
    """The platform is not even built without its bucket and its table."""
    with pytest.raises(SettingsError, match=missing.replace("__", ".")):
        platform_on(aws, home, **{missing: ""})
    assert aws.calls.counts().total() == 0
