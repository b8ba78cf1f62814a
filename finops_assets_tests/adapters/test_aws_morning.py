"""Two mornings on AWS, over HTTP, on a stand-in that executes: what is there after them, and what they took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import dagster as dg
import pytest

from finops_assets.core.schemas import day_location, day_path
from finops_assets.platform import Platform
from finops_assets.stories.sample_bill import write_sample_bill
from finops_assets_tests.support.on_aws import BUCKET, RECIPIENTS, make_ready, objects, platform_on, run, versions
from standin.server import StandIn

LAST = date(2025, 9, 30)
BEFORE = LAST - timedelta(days=1)


@dataclass
class Mornings:
    """The account after the first day and the one after it, each run on its morning; tests only look."""

    aws: StandIn
    platform: Platform
    home: Path
    first: Counter[tuple[str, str]]
    second: Counter[tuple[str, str]]


@pytest.fixture(scope="module")
def mornings(running: StandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mornings]:
    folder = tmp_path_factory.mktemp("mornings")
    sample = write_sample_bill(folder / "bill", LAST, 10)
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("DAGSTER_HOME", raising=False)  # a deployment keeps the one that it is given
        for name, value in running.environ.items():
            environment.setenv(name, value)
        make_ready(running, sample.focus, accounts=sample.accounts)
        assert run(platform_on(running, folder / "home"), BEFORE).errors == ()
        first = running.calls.counts()
        running.calls.reset()
        platform = platform_on(running, folder / "home")
        assert run(platform, LAST).errors == ()
        yield Mornings(running, platform, folder / "home", first, running.calls.counts())


def test_a_day_is_archived_queryable_refreshed_and_mailed(mornings: Mornings) -> None:
    """A day: one versioned object, one partition, one ingestion, one mail a recipient."""
    aws, archive = mornings.aws, mornings.platform.archive
    (version,) = versions(aws, LAST)
    assert archive.describe(LAST).version == version, "the version that S3 gave is recorded"
    assert objects(aws, "ou-breakdowns/") == [day_path(BEFORE), day_path(LAST)]
    assert objects(aws, "_staging/") == []
    partitions = aws.client("glue").get_partitions(DatabaseName="finops_db", TableName="ou_breakdown")["Partitions"]
    assert {tuple(each["Values"]): each["StorageDescriptor"]["Location"] for each in partitions} == {
        ("2025", "9", str(day.day)): f"s3://{BUCKET}/{day_location(day)}" for day in (BEFORE, LAST)
    }
    rows = [archive.describe(day).rows for day in (BEFORE, LAST)]
    assert [(each.status, each.rows) for each in aws.quicksight.ingestions] == [
        ("COMPLETED", rows[0]),
        ("COMPLETED", sum(rows)),
    ]
    assert Counter(mail.recipients[0] for mail in aws.mail.sent) == dict.fromkeys(RECIPIENTS, 2)
    names = [part.get_filename() for part in aws.mail.sent[-1].message.walk() if part.get_content_type() == "text/csv"]
    assert len(names) == 1
    assert names[0].endswith(".csv")
    assert aws.refused == []


def test_the_first_day_stays_within_the_calls(mornings: Mornings) -> None:
    """What an empty account takes: 4 queries, the tables made once, one registration, one ingestion, one mail each."""
    counts = mornings.first
    assert counts["athena", "StartQueryExecution"] == 4, "one of them makes the view, one counts the bill's lines"
    glue = {operation: n for (service, operation), n in counts.items() if service == "glue"}
    made = {"CreateDatabase": 1, "CreateTable": 9}
    # Two more listings of the partitions: what the digest says of all days, before and after the refresh.
    assert glue == {"GetTable": 1, "GetTables": 3, "GetPartitions": 4, "BatchCreatePartition": 1, **made}
    assert counts["quicksight", "CreateIngestion"] == 1
    assert counts["sesv2", "SendEmail"] == 3


def test_the_second_day_stays_within_the_calls(mornings: Mornings) -> None:
    """What every morning takes: 2 queries, 7 calls of Glue, 1 ingestion, 1 mail a recipient."""
    counts = mornings.second
    assert counts["athena", "StartQueryExecution"] == 2, "the pass over the day, and reading it back"
    assert sum(n for (service, _), n in counts.items() if service == "glue") <= 7
    assert counts["quicksight", "CreateIngestion"] == 1
    assert counts["sesv2", "SendEmail"] == 3


def test_the_missions_own_query_works(mornings: Mornings) -> None:
    """CamelCase names, the partition columns, and finops_daily_summary: what people have in their notebooks."""
    _, rows = mornings.platform.catalog.query(
        "SELECT OU, SUM(DailyCost) FROM finops_db.ou_breakdown "
        "WHERE year = 2025 AND month = 9 AND day = 30 AND BillingDate = DATE '2025-09-30' GROUP BY OU ORDER BY 2 DESC"
    )
    total = mornings.platform.archive.describe(LAST).total
    assert abs(Decimal(str(sum(cost for _, cost in rows))) - total) < Decimal("0.005")
    _, ((summary,),) = mornings.platform.catalog.query(
        "SELECT SUM(Cost) FROM finops_db.finops_daily_summary WHERE BillingDate = DATE '2025-09-30'"
    )
    assert summary == total


def test_the_organization_gives_the_ous(mornings: Mornings) -> None:
    """Without accounts.csv, AWS Organizations says who owns what, and a history of it is kept."""
    ous = {row["ou"] for row in mornings.platform.archive.read([LAST]).to_pylist()}
    assert any("/" in ou for ou in ous), "nested paths are kept"
    assert "organization/accounts.csv" in objects(mornings.aws, "organization/")


def test_a_morning_is_measured(mornings: Mornings) -> None:
    """The numbers that alarms stand on are recorded as of now."""
    listed = mornings.aws.client("cloudwatch").list_metrics(Namespace="FinopsAssets")["Metrics"]
    names = {metric["MetricName"] for metric in listed}
    assert names == {"DigestSent", "DayCost", "DaysMissing", "SourceAgeHours", "RunSeconds"}


def test_the_ui_tells_what_the_queries_took(mornings: Mornings) -> None:
    """Bytes, seconds and an estimated price stand in the metadata of the asset that asked."""
    with dg.DagsterInstance.from_config(str(mornings.platform.settings.dagster_home)) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey("finops_daily_summary"))
    metadata = event.asset_materialization.metadata
    assert metadata["queries"].value >= 1
    assert metadata["data scanned (bytes)"].value > 0
    assert Decimal(metadata["estimated price (USD)"].value) > 0
