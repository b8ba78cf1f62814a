"""What the platform notices by itself on AWS, over HTTP on the stand-in: what a look finds, and the calls it takes."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from finops_assets.core.archive import restatements
from finops_assets.core.operations.watch import Attempts, Watch
from finops_assets.defs.run import run_days
from finops_assets.platform import Platform
from finops_assets.stories.sample_bill import SampleBill, write_sample_bill
from finops_assets.stories.simulation import part_of, read_export
from finops_assets_tests.support.on_aws import RECIPIENTS, TABLE, make_ready, platform_on
from standin.server import StandIn

pytestmark = pytest.mark.usefixtures("records_in_memory")

BILL_BUCKET = "a-bill-bucket"
LAST = date(2025, 9, 12)
DAYS = [LAST - timedelta(days=5 - n) for n in range(6)]
NOW = datetime(2025, 9, 13, 7, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SampleBill:
    return write_sample_bill(tmp_path_factory.mktemp("sample") / "bill", LAST, len(DAYS))


@pytest.fixture
def aws(aws: StandIn, sample: SampleBill) -> StandIn:
    make_ready(aws, sample.focus, accounts=sample.accounts)
    return aws


@pytest.fixture
def platform(aws: StandIn, tmp_path: Path) -> Platform:
    """All days but the newest are archived, registered, on the dashboard and mailed."""
    platform = platform_on(aws, tmp_path / "home", bill__first_day=DAYS[0])
    assert run_days(platform, DAYS[0], DAYS[-2], clock=lambda: NOW - timedelta(days=1)).errors == ()
    return platform


@pytest.fixture
def watch(platform: Platform) -> Watch:
    return platform.with_clock(lambda: NOW).watch


def restate(aws: StandIn, sample: SampleBill, folder: Path, day: date, factor: float) -> None:
    """Deliver the bill again with one day's costs multiplied."""
    from finops_assets.stories.sample_bill.exports import write_export

    lines = part_of(read_export(sample.focus), LAST, {day: factor})
    write_export(folder, "sample-focus", "FOCUS_1_2_AWS", lines, "BillingPeriodStart")
    for file in folder.rglob("*.*"):
        key = f"{TABLE.split('.')[1]}/{file.relative_to(folder).as_posix()}"
        aws.client("s3").put_object(Bucket=BILL_BUCKET, Key=key, Body=file.read_bytes())


def test_a_refresh_of_the_bill_costs_one_query_and_what_it_changes_is_in_the_ledger(
    aws: StandIn, platform: Platform, watch: Watch, sample: SampleBill, tmp_path: Path
) -> None:
    """New and changed days are found by one query of a line a day; what has not changed costs none.

    Another, of few columns, counts the lines of the whole bill.

    The engine makes the same fingerprints as the run did of the rows, and the ledger adds up to what the day moved by.
    """
    there = {day: platform.archive.describe(day) for day in DAYS[:-1]}
    prints = platform.warehouse.fingerprints(DAYS[0], DAYS[-1], None)
    assert {day: (prints[day].fingerprint, prints[day].total, prints[day].rows) for day in there} == {
        day: (found.fingerprint, found.total, found.rows) for day, found in there.items()
    }
    news = watch.news(NOW)
    assert (news.new, news.restated, news.unchanged) == ((LAST,), (), tuple(DAYS[:-1]))
    aws.calls.reset()
    assert watch.news(NOW, news.seen) is None
    assert aws.calls.count("athena") == 0
    assert aws.calls.counts().total() <= 3, aws.calls.counts()
    restate(aws, sample, tmp_path / "again", DAYS[1], 1.5)
    aws.calls.reset()
    again = watch.news(NOW, news.seen)
    assert (again.new, again.restated) == ((LAST,), (DAYS[1],))
    assert aws.calls.count("athena", "StartQueryExecution") == 2
    assert run_days(platform, DAYS[1], DAYS[1], clock=lambda: NOW).errors == ()
    inspection = watch.inspect(NOW)
    assert {day: state.as_in_bill for day, state in inspection.states.items() if day != LAST} == dict.fromkeys(
        DAYS[:-1], True
    )
    _, rows = platform.catalog.query(
        "SELECT billingdate, COUNT(*), SUM(delta), MIN(currency), MIN(firstseen) FROM restatements GROUP BY billingdate"
    )
    ((day, count, delta, currency, seen),) = rows
    assert (day, count, currency) == (DAYS[1], restatements.read(platform.archive).num_rows, "USD")
    assert seen == NOW.replace(tzinfo=None)
    assert abs(delta - (platform.archive.describe(DAYS[1]).total - there[DAYS[1]].total)) < 1e-6


def test_a_look_at_every_day_costs_a_few_listings(aws: StandIn, platform: Platform, watch: Watch) -> None:
    """No query, no object a day: listings, the partitions and a few small objects, whatever the number of days."""
    inspection = watch.inspect(NOW)
    assert [(gap.first, gap.cause) for gap in inspection.gaps] == [(LAST, "no object")]
    aws.calls.reset()
    again = watch.inspect(NOW, inspection.asked, inspection.in_bill)
    assert again.gaps == inspection.gaps
    watch.update_incidents(again, Attempts(15), (), NOW)
    counts: Counter[tuple[str, str]] = aws.calls.counts()
    assert aws.calls.count("athena") == 0
    assert aws.calls.count("quicksight") <= 1, counts  # the dashboard itself, not a note about it
    assert aws.calls.count("glue") <= 2, counts
    assert counts.total() <= 17, counts  # each kind of part that days have is listed once: commitments, too


def test_recipients_cost_a_call_each(aws: StandIn, tmp_path: Path) -> None:
    """One question to SES a recipient; one that is suppressed is told, once."""
    watch = platform_on(aws, tmp_path / "home").with_clock(lambda: NOW).watch
    aws.client("sesv2").put_suppressed_destination(EmailAddress=RECIPIENTS[1], Reason="BOUNCE")
    aws.calls.reset()
    for _ in range(2):
        watch.alerting.report_refused_recipients()
    assert aws.calls.count("sesv2") == 2 * len(RECIPIENTS)
    (incident,) = watch.incidents.open()
    assert incident.key == f"refused/{RECIPIENTS[1]}"


def test_files_are_read_as_they_were_written(sample: SampleBill) -> None:
    """What the deliveries of these tests are made of: the whole bill, with nothing but the one day changed."""
    lines = read_export(sample.focus)
    changed = part_of(lines, LAST, {DAYS[1]: 2.0})
    assert (
        changed.num_rows == lines.num_rows == sum(pq.read_metadata(f).num_rows for f in sample.focus.rglob("*.parquet"))
    )
