"""The whole graph on AWS, over HTTP, on a stand-in that executes: what is there afterwards, and what it took."""

import json
import re
import time
from collections import Counter
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from finops_assets.adapters.aws.s3 import explain_for
from finops_assets.core.errors import FinopsError, SettingsError
from finops_assets.core.schemas import ACCOUNT_MAP_PATH, day_location, day_path
from finops_assets.platform import Platform, build_platform
from finops_assets.settings.load import load_settings
from finops_assets.stories.sample_bill import SampleBill, write_sample_bill
from finops_assets_tests.support.bills import line, make_bill
from finops_assets_tests.support.command import finops
from finops_assets_tests.support.on_aws import (
    BUCKET,
    RECIPIENTS,
    make_ready,
    objects,
    on_aws,
    platform_on,
    run,
    versions,
)
from standin.bills import load_bill
from standin.server import StandIn

pytestmark = pytest.mark.usefixtures("records_in_memory")

LAST = date(2025, 9, 30)
FIRST = LAST - timedelta(days=4)
DAYS = [FIRST + timedelta(days=i) for i in range(5)]


def at_midnight(day: date) -> datetime:
    """As AWS writes it, without a zone."""
    return datetime(day.year, day.month, day.day)  # noqa: DTZ001


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SampleBill:
    return write_sample_bill(tmp_path_factory.mktemp("sample") / "bill", LAST, len(DAYS))


@pytest.fixture
def aws(aws: StandIn, sample: SampleBill) -> StandIn:
    """An account in which everything is set up, and nothing has run yet."""
    make_ready(aws, sample.focus, accounts=sample.accounts)
    return aws


@pytest.fixture
def home(tmp_path: Path, sample: SampleBill) -> Path:
    """A home whose accounts are those of a file: a walk through the organization is 27 calls, a sixth of a run.

    Tests that the organization is a part of remove its settings file.
    """
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "finops.toml").write_text(f"[accounts]\npath = '{sample.accounts}'\n", encoding="utf-8")
    return folder


@pytest.fixture
def of_the_organization(home: Path) -> None:
    (home / "finops.toml").unlink()


@pytest.fixture
def platform(aws: StandIn, home: Path) -> Platform:
    return platform_on(aws, home)


def contents(archive: Any, days: list[date]) -> dict[date, tuple]:
    """What a day's object holds: rows, and what it says of itself but for the run that wrote it and the bill's kind."""
    found = {}
    for day in days:
        there = archive.describe(day)
        said = {name: value for name, value in there.metadata.items() if name not in ("run_id", "settlement")}
        found[day] = (there.total, said, archive.read([day]).to_pylist())
    return found


def test_a_backfill_is_one_of_everything_and_again_changes_nothing(
    of_the_organization: None, aws: StandIn, platform: Platform, home: Path
) -> None:
    """Five days in one run: few queries, one ingestion, one summary mail a recipient, one pass over the bill.

    The same days once more: no new version of an object, no ingestion, no mail.
    """
    assert run(platform, FIRST, LAST).errors == ()
    assert objects(aws, "ou-breakdowns/") == [day_path(day) for day in DAYS]
    assert objects(aws, "_staging/") == []
    assert aws.calls.count("athena", "StartQueryExecution") <= 5  # one of them counts the lines of the whole bill
    assert aws.calls.count("glue", "BatchCreatePartition") == 1
    assert len(aws.quicksight.ingestions) == 1
    assert len(aws.mail.sent) == 3
    assert set(platform.outbox.records.mailed_days(DAYS).values()) == {"sent"}

    before = {day: versions(aws, day) for day in DAYS}
    assert run(platform_on(aws, home), FIRST, LAST).errors == ()
    assert {day: versions(aws, day) for day in DAYS} == before
    assert len(aws.quicksight.ingestions) == 1
    assert len(aws.mail.sent) == 3
    assert objects(aws, "_staging/") == []


def test_a_run_reads_no_day_of_the_archive_that_an_earlier_one_has_read(
    aws: StandIn, platform: Platform, home: Path
) -> None:
    """A day's run fetches its own object alone; the days before come from what is kept of their months.

    Without that, each is fetched once: for scores, dashboard, PDF and digest together.
    """
    assert run(platform, FIRST, LAST - timedelta(days=1)).errors == ()

    def fetched_by_the_last_day() -> Counter[str]:
        aws.calls.reset()
        assert run(platform_on(aws, home), LAST, LAST).errors == ()
        fetched = Counter(call.params["Key"] for call in aws.calls.log if call.operation == "GetObject")
        return Counter({key: times for key, times in fetched.items() if key.startswith("ou-breakdowns/")})

    first = fetched_by_the_last_day()
    assert first == {day_path(LAST): 2}  # it is not there yet, and then it is
    assert fetched_by_the_last_day().keys() == {day_path(LAST)}
    platform.archive.delete(objects(aws, "_state/history/"))
    again = fetched_by_the_last_day()
    assert again.keys() == {day_path(day) for day in DAYS}
    assert {again[day_path(day)] for day in DAYS[:-1]} == {1}


def test_many_days_are_a_handful_of_calls(aws: StandIn, home: Path, tmp_path: Path) -> None:
    """101 days in one run: 6 queries, one pass over the bill, 18 calls of Glue, 1 ingestion, 1 mail a recipient.

    Eight make the tables, once, and two see whose the view is, before and after it is made. Glue takes 100 partitions a
    call: 101 days are two, 365 would be four.
    """
    many = 101
    first = LAST - timedelta(days=many - 1)
    lines = [
        line(n % 7 + 1, start=at_midnight(first + timedelta(days=n // 4)), service=f"Service {n % 4}")
        for n in range(many * 4)
    ]
    table = small(tmp_path, aws, *lines, name="long")
    used = ("billedcost", "chargeperiodstart", "servicename", "subaccountid", "billingaccountid", "subaccountname")
    used += ("billingcurrency", "chargecategory", "chargeclass", "chargefrequency", "chargeperiodend", "effectivecost")
    platform = platform_on(aws, home, bill__table=table)
    _, _ = platform.catalog.query(f"SELECT {', '.join(f'COUNT({name})' for name in used)} FROM {table}")
    one_pass = aws.athena.queries[-1].scanned
    aws.calls.reset()
    assert run(platform, first, LAST).errors == ()
    counts = aws.calls.counts()
    assert counts["athena", "StartQueryExecution"] <= 6
    unloads = [query for query in aws.athena.queries if "UNLOAD" in query.sql]
    of_two_days = [query for query in unloads if "is_of" not in query.sql]
    assert len(of_two_days) == 1, "what was used on two days: this table has no partitions"
    assert sum(query.scanned for query in unloads if query not in of_two_days) <= 1.1 * one_pass
    assert sum(n for (service, _), n in counts.items() if service == "glue") <= 19, "each table is made once"
    assert counts["glue", "BatchCreatePartition"] == 2
    assert counts["quicksight", "CreateIngestion"] == 1
    assert counts["sesv2", "SendEmail"] == 3
    assert len(platform.archive.days()) == len(platform.catalog.registered()) == many


@pytest.mark.parametrize(("kind", "basis"), [("focus", "billed"), ("cur2", "effective")])
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


def small(tmp_path: Path, aws: StandIn, *lines: Any, fmt: str = "focus", name: str = "small") -> str:
    """A bill of these lines as another table; returns its name."""
    table = f"billing.{name}"
    load_bill(aws, make_bill(tmp_path / name, lines, fmt).parent, table=table, bucket=f"{name}-bill")
    return table


def test_a_legacy_cur_is_recognised(aws: StandIn, home: Path, tmp_path: Path) -> None:
    """Data Exports' FOCUS and CUR 2.0, and an existing daily summary, have tests of their own."""
    table = small(tmp_path, aws, line("1.25"), line("2.50", service="Amazon S3"), fmt="cur")
    platform = platform_on(aws, home, bill__table=table)
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


# --- what can be wrong with an account ----------------------------------------------------------------------------


def other_types(aws: StandIn, platform: Platform) -> None:
    """A table that somebody made with other types."""
    from finops_assets.adapters.aws.glue_tables import table_inputs

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


def test_partitions_are_looked_at_and_mended(aws: StandIn, platform: Platform, home: Path) -> None:
    """`finops gaps` over the bill's table: not archived, without a partition, not in the bill.

    What a crawler or MSCK did is undone: one registration a day, at its own place, and the cost is counted once.
    """
    assert run(platform, LAST - timedelta(days=1), LAST).errors == ()

    def gaps() -> list[tuple[str, str]]:
        done = finops("gaps", "--json", cwd=home, **on_aws(aws, home, bill__first_day=FIRST))
        assert done.exit_code == 1, done.stderr
        return [(gap["first"], gap["cause"]) for gap in json.loads(done.stdout)]

    assert gaps() == [
        (str(FIRST), "no object"),
        (str(LAST + timedelta(days=1)), "source late"),
    ]
    glue = aws.client("glue")
    own = glue.get_partition(DatabaseName="finops_db", TableName="ou_breakdown", PartitionValues=["2025", "9", "30"])
    storage = own["Partition"]["StorageDescriptor"]
    glue.create_partition(
        DatabaseName="finops_db",
        TableName="ou_breakdown",
        PartitionInput={"Values": ["2025", "09", "30"], "StorageDescriptor": storage},
    )
    glue.delete_partition(DatabaseName="finops_db", TableName="ou_breakdown", PartitionValues=["2025", "9", "29"])
    assert (str(LAST - timedelta(days=1)), "no partition") in gaps()
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


def test_spice_is_not_filled_with_a_day_that_does_not_read_back(aws: StandIn, platform: Platform, home: Path) -> None:
    """A second file in a day's folder would double its cost: the run says so, and which one is ours.

    The refresh starts while the day is read back; it is cancelled when that finds a fault, and nothing is mailed.
    """
    before = LAST - timedelta(days=1)
    assert run(platform, before).errors == ()
    mails = len(aws.mail.sent)
    data = aws.client("s3").get_object(Bucket=BUCKET, Key=day_path(before))["Body"].read()
    aws.client("s3").put_object(Bucket=BUCKET, Key=day_location(LAST) + "copy.parquet", Body=data)
    aws.quicksight.seconds_per_step = 10
    (error,) = run(platform_on(aws, home), LAST).errors
    assert "2 objects lie at" in error
    assert f"remove all but {day_path(LAST)}" in error
    assert sorted(one.status for one in aws.quicksight.ingestions) == ["CANCELLED", "COMPLETED"]
    assert len(aws.mail.sent) == mails


def test_throttling_of_every_second_call_is_survived(
    of_the_organization: None, aws: StandIn, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever service says to slow down, the day comes through, once."""
    # boto3's own waits between tries, half a minute in all.
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None, time=time.time))
    for service in ("athena", "glue", "quicksight", "sesv2", "organizations"):
        aws.faults.fail(service, "*", code=THROTTLED[service], times=None, every=2)
    assert run(platform, LAST).errors == ()
    assert len(versions(aws, LAST)) == 1
    assert len(aws.mail.sent) == 3
    assert [i.status for i in aws.quicksight.ingestions] == ["COMPLETED"]
    assert aws.calls.count("organizations", "ListAccountsForParent") > 0


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
    aws.glue.fail_partitions({("2025", "9", "29"): "InternalServiceException"})
    assert run(platform, LAST - timedelta(days=1), LAST).errors == ()
    assert set(platform.catalog.registered()) == {LAST - timedelta(days=1), LAST}
    assert aws.calls.count("glue", "BatchCreatePartition") == 2


def test_a_lasting_batch_error_names_the_days(aws: StandIn, platform: Platform, home: Path) -> None:
    """The other days are registered; the error names the one that is not, and the next run adds it."""
    before = LAST - timedelta(days=1)
    aws.glue.fail_partitions({("2025", "9", "29"): "InvalidInputException"})
    (error,) = run(platform, before, LAST).errors
    assert "did not create the partition(s) 2025-9-29: InvalidInputException" in error
    assert set(platform.catalog.registered()) == {LAST}
    assert run(platform_on(aws, home), before, LAST).errors == ()
    assert set(platform_on(aws, home).catalog.registered()) == {before, LAST}


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


BAD_SETTINGS = [
    ("no bucket", {"aws__bucket": "not-there"}, [], ["there is no bucket not-there.*|aws.bucket"]),
    ("no workgroup", {"aws__workgroup": "not-there"}, [], ["aws.workgroup .FINOPS_AWS__WORKGROUP"]),
    ("no output location", {"aws__workgroup": "primary"}, [], ["aws.athena_results .FINOPS_AWS__ATHENA_RESULTS"]),
    ("wrong region", {"aws__region": "eu-west-1"}, [], ["aws.region to its region"]),
    ("no table", {"bill__table": "billing.nothing"}, [], ["Set bill.table .FINOPS_BILL__TABLE"]),
    (
        "no data set, sender not verified",
        {"aws__quicksight_data_set": "nothing", "mail__sender": "x@nobody.example"},
        [],
        ["quicksight_dataset: .*aws.quicksight_data_set", "digest_email: .*not verified"],
    ),
    ("an S3 write denied", {}, ["s3:PutObject"], [r"Allow s3:PutObject on arn:aws:s3:::finops-daily-summaries/"]),
    ("Glue denied", {}, ["glue:GetPartitions"], ["Allow glue:GetPartitions on arn:aws:glue"]),
    ("Athena denied", {}, ["athena:StartQueryExecution"], ["Allow athena:StartQueryExecution on arn:aws:athena"]),
    (
        "QuickSight denied, SES denied",
        {},
        ["quicksight:CreateIngestion", "sesv2:SendEmail"],
        [
            "quicksight_dataset: .*Allow quicksight:CreateIngestion on arn:aws:quicksight",
            "digest_email: .*Allow ses:SendRawEmail on arn:aws:",
        ],
    ),
]
"""Of two in one run, the second is met although the first has failed its step: the digest needs no dashboard."""


@pytest.mark.parametrize(("what", "settings", "denied", "says"), BAD_SETTINGS, ids=[what for what, *_ in BAD_SETTINGS])
def test_bad_settings_are_named(
    aws: StandIn, home: Path, what: str, settings: dict, denied: list[str], says: list[str]
) -> None:
    """Each ends in a message that names the setting, or the IAM action and the resource."""
    for each in denied:
        service, action = each.split(":")
        resource = {"s3": f"arn:aws:s3:::{BUCKET}/x"}.get(service, f"arn:aws:{service}:us-east-1:123456789012:thing/x")
        name = "ses:SendRawEmail" if service == "sesv2" else each
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
    assert len(errors) >= len(says)
    for error, expected in zip(errors, says, strict=False):
        assert re.search(expected, error, re.DOTALL), errors


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
