"""finops_db.ou_scorecard on AWS: found by Athena without being registered, held to its contract, refreshed in SPICE."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finops_assets.adapters.aws.athena import Athena
from finops_assets.adapters.aws.glue_tables import GlueTables, hold_to_contract, table_inputs
from finops_assets.adapters.aws.quicksight.ingestions import Expected
from finops_assets.adapters.aws.quicksight.refresh import QuickSightDataSet, content_below
from finops_assets.adapters.aws.session import AwsError, AwsSession
from finops_assets.core.errors import ArchiveError, FinopsError
from finops_assets.core.schemas import OU_SCORECARD, SCORECARD_PREFIX, scorecard_path
from standin.bills import setup
from standin.server import StandIn

BUCKET, TABLE = "finops-daily-summaries", "ou_scorecard"
DAY, WORK = date(2025, 9, 10), "daily-20250910"
FIRST, SECOND = "finops-ou-breakdown", "finops-ou-scorecard"


def scorecard(day: date, costs: Mapping[str, str]) -> bytes:
    """A day's Parquet as the platform writes it."""
    rows = [
        {
            "billingdate": day,
            "ou": ou,
            "daycost": Decimal(cost),
            "directcost": Decimal(cost),
            "monthtodate": Decimal(cost),
            "light": "green",
            "lightreason": "80 % of the budget expected",
            "anomalyscore": 0.0,
            "settlement": "stable",
            "currency": "USD",
            "costbasis": "unblended",
        }
        for ou, cost in costs.items()
    ]
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=OU_SCORECARD), file)
    return file.getvalue()


def put(aws: StandIn, day: date, costs: Mapping[str, str]) -> None:
    aws.client("s3").put_object(Bucket=BUCKET, Key=scorecard_path(day), Body=scorecard(day, costs))


@pytest.fixture
def ready(aws: StandIn, session: AwsSession) -> StandIn:
    """The bucket and the platform's tables, and nothing in them."""
    setup(aws, BUCKET)
    GlueTables(session, BUCKET).ensure()
    return aws


@pytest.fixture
def athena(session: AwsSession) -> Athena:
    return Athena(
        session, workgroup="finops", results=f"s3://{BUCKET}/athena-results/", timeout_seconds=60, price_per_terabyte=5
    )


# --- the table ----------------------------------------------------------------------------------------------------


def test_a_day_is_read_without_being_registered(ready: StandIn, athena: Athena) -> None:
    """Writing the object is enough: exact decimals come back, with the day as partition keys; other days are empty."""
    put(ready, DAY, {"All": "123456789.123456789012", "Engineering": "0.1"})
    put(ready, date(2024, 2, 29), {"All": "1"})
    _, rows = athena.rows(
        f"SELECT ou, daycost, year, month, day FROM finops_db.{TABLE} WHERE year = 2025 AND month = 9 ORDER BY ou",
        "read",
    )
    assert rows == [
        ("All", Decimal("123456789.123456789012"), 2025, 9, 10),
        ("Engineering", Decimal("0.100000000000"), 2025, 9, 10),
    ]
    assert athena.rows(f"SELECT count(*) FROM finops_db.{TABLE} WHERE year = 2025 AND month = 8", "read")[1] == [(0,)]
    assert athena.rows(f"SELECT count(*) FROM finops_db.{TABLE}", "read")[1] == [(3,)]
    assert ready.calls.count("glue", "BatchCreatePartition") == 0


def test_a_registered_day_of_a_projected_table_counts_once(ready: StandIn, athena: Athena) -> None:
    """What a crawler registers beside the projection is passed over: no day can be counted twice."""
    put(ready, DAY, {"All": "5"})
    glue = ready.client("glue")
    storage = glue.get_table(DatabaseName="finops_db", Name=TABLE)["Table"]["StorageDescriptor"]
    place = {"Location": f"s3://{BUCKET}/{SCORECARD_PREFIX}/year=2025/month=09/day=10/"}
    glue.create_partition(
        DatabaseName="finops_db",
        TableName=TABLE,
        PartitionInput={"Values": ["2025", "09", "10"], "StorageDescriptor": storage | place},
    )
    assert athena.rows(f"SELECT count(*) FROM finops_db.{TABLE} WHERE year = 2025", "read")[1] == [(1,)]


@pytest.mark.parametrize(
    ("parameter", "value", "says"),
    [
        ("projection.enabled", "false", "partition projection none"),
        ("projection.month.digits", None, "projection.month.digits 2"),
        ("projection.year.range", "2024,2025", "projection.year.range 2024,2025"),
        ("storage.location.template", "s3://elsewhere/${year}/${month}/${day}/", "s3://elsewhere/"),
    ],
)
def test_another_projection_is_refused(
    ready: StandIn, session: AwsSession, parameter: str, value: str | None, says: str
) -> None:
    """A table with other parameters would be silently empty: it is not used, and the error says what differs."""
    glue = ready.client("glue")
    changed = table_inputs(BUCKET)[TABLE]
    changed["Parameters"] = {k: v for k, v in (changed["Parameters"] | {parameter: value}).items() if v is not None}
    glue.update_table(DatabaseName="finops_db", TableInput=changed)
    with pytest.raises(ArchiveError) as caught:
        GlueTables(session, BUCKET).ensure()
    assert caught.value.where == f"finops_db.{TABLE}"
    assert says in caught.value.what


def test_a_projection_on_ou_breakdown_is_refused_too() -> None:
    """With it on, Athena would pass over every day that was registered."""
    wanted = table_inputs(BUCKET)["ou_breakdown"]
    hold_to_contract(wanted, wanted)
    found = wanted | {"Parameters": wanted["Parameters"] | {"projection.enabled": "TRUE"}}
    with pytest.raises(ArchiveError, match=r"partition projection projection\.enabled true, agreed none"):
        hold_to_contract(found, wanted)


def test_a_projection_that_lacks_a_key_fails_as_in_athena(ready: StandIn, athena: Athena) -> None:
    """The stand-in holds the parameters to what Athena asks of them."""
    changed = table_inputs(BUCKET)[TABLE]
    del changed["Parameters"]["projection.day.type"]
    ready.client("glue").update_table(DatabaseName="finops_db", TableInput=changed)
    with pytest.raises(FinopsError, match=r"missing projection configuration: \[day\]"):
        athena.rows(f"SELECT count(*) FROM finops_db.{TABLE}", "read")


# --- both data sets in SPICE --------------------------------------------------------------------------------------


class Clock:
    """Moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = datetime(2025, 9, 11, 7, tzinfo=UTC)
        self.slept = 0.0

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.now += timedelta(seconds=seconds)


class Rows:
    """How many rows each data set's table has."""

    def __init__(self) -> None:
        self.content = "aaaaaaaa"

    def rows_of(self, sql: str) -> list[tuple[int]]:
        return [(40 if TABLE in sql else 1200,)]


@pytest.fixture
def clock(running: StandIn) -> Iterator[Clock]:
    """The stand-in's time too."""
    clock, own = Clock(), running.clock
    running.clock = clock
    yield clock
    running.clock = own


@pytest.fixture
def rows(aws: StandIn, clock: Clock) -> Iterator[Rows]:
    """An account with both data sets."""
    own, aws.athena = aws.athena, Rows()
    aws.quicksight.add_data_set(FIRST)
    aws.quicksight.add_data_set(SECOND, table=f"finops_db.{TABLE}")
    yield aws.athena
    aws.athena = own


@pytest.fixture
def dashboard(session: AwsSession, clock: Clock, rows: Rows) -> Any:
    def make(**changed: Any) -> QuickSightDataSet:
        options = {
            "edition": "enterprise",
            "timeout_seconds": 600,
            "expected": lambda: Expected(1200, DAY, "5f3a9c0e77aa11bb"),
            "scorecard_data_set": SECOND,
            "scorecard_content": lambda: rows.content,
        }
        return QuickSightDataSet(session, FIRST, sleep=clock.sleep, clock=clock, **options | changed)

    return make


def ids(aws: StandIn, data_set: str) -> list[str]:
    return [one.id for one in aws.quicksight.ingestions if one.data_set.id == data_set]


def test_both_data_sets_are_refreshed_and_waited_for_together(aws: StandIn, dashboard: Any, clock: Clock) -> None:
    """Two refreshes that take a minute each are done after one minute, and both are told."""
    aws.quicksight.seconds_per_step = 20
    done = dashboard().refresh(WORK)
    assert (done.id, done.rows, done.expected_rows) == (f"{WORK}-5f3a9c0e-1", 1200, 1200)
    assert done.detail["scorecard refresh"] == f"{WORK}-aaaaaaaa-1"
    assert done.detail["scorecard rows"] == "40"
    assert 60 <= clock.slept < 80


def test_only_the_breakdown_begins_early(aws: StandIn, dashboard: Any) -> None:
    """The scorecard is not written when the days are registered: its refresh waits for `refresh`."""
    made = dashboard()
    made.start_refresh(WORK)
    assert ids(aws, FIRST)
    assert not ids(aws, SECOND)
    made.refresh(WORK)
    assert (len(ids(aws, FIRST)), len(ids(aws, SECOND))) == (1, 1)


def test_called_off_is_the_breakdown_alone(aws: StandIn, dashboard: Any) -> None:
    """A run whose check fails leaves no refresh of either behind."""
    dashboard().start_refresh(WORK)()
    assert [one.status for one in aws.quicksight.ingestions] == ["CANCELLED"]


def test_the_same_work_again_costs_neither_a_refresh(aws: StandIn, dashboard: Any, rows: Rows) -> None:
    """A repeated run finds both; a scorecard that was written anew is loaded anew, and nothing else."""
    dashboard().refresh(WORK)
    dashboard().refresh(WORK)
    assert (len(ids(aws, FIRST)), len(ids(aws, SECOND))) == (1, 1)
    rows.content = "bbbbbbbb"  # a budget was raised
    assert dashboard().refresh(WORK).detail["scorecard refresh"] == f"{WORK}-bbbbbbbb-1"
    assert (len(ids(aws, FIRST)), len(ids(aws, SECOND))) == (1, 2)


def test_the_content_of_the_scorecards_is_that_of_their_objects(ready: StandIn, session: AwsSession) -> None:
    """It changes when a day is written anew or comes, and not when the same bytes are written again."""

    def content() -> str:
        return content_below(session, BUCKET, f"{SCORECARD_PREFIX}/")

    seen = [content()]
    for costs, day in (({"All": "1"}, DAY), ({"All": "2"}, DAY), ({"All": "1"}, DAY + timedelta(days=1))):
        put(ready, day, costs)
        seen.append(content())
    assert len(set(seen)) == 4
    put(ready, DAY + timedelta(days=1), {"All": "1"})
    assert content() == seen[-1]


def _fail_scorecard(aws: StandIn) -> None:
    """The next ingestion of the scorecard's data set fails, that of the other does not."""
    one = aws.quicksight.data_sets[SECOND]
    own = aws.quicksight._complete

    def complete(ingestion: Any) -> None:
        if ingestion.data_set is one:
            aws.quicksight._fail(ingestion, {"Type": "SQL_TABLE_NOT_FOUND", "Message": "no such table"})
        else:
            own(ingestion)

    aws.quicksight._complete = complete


def test_a_fault_of_the_scorecard_names_it(aws: StandIn, dashboard: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data set, setting and table in the error are the scorecard's, after the other refresh has ended, too."""
    monkeypatch.setattr(aws.quicksight, "_complete", aws.quicksight._complete)
    _fail_scorecard(aws)
    with pytest.raises(FinopsError) as caught:
        dashboard().refresh(WORK)
    assert caught.value.where == f"QuickSight data set {SECOND} (aws.quicksight_scorecard_data_set)"
    assert "which makes finops_db.ou_scorecard" in caught.value.fix
    assert "ou_breakdown" not in str(caught.value).replace(FIRST, "")
    assert {one.status for one in aws.quicksight.ingestions} == {"COMPLETED", "FAILED"}


def test_faults_of_both_are_both_told(aws: StandIn, dashboard: Any) -> None:
    """One error names either data set with its own reason."""
    aws.quicksight.fail_next("QUERY_TIMEOUT", "Too slow.")
    aws.quicksight.fail_next("PERMISSION_DENIED", "Not allowed.")
    with pytest.raises(FinopsError) as caught:
        dashboard().refresh(WORK)
    said = str(caught.value)
    assert all(word in said for word in (FIRST, SECOND, "QUERY_TIMEOUT", "PERMISSION_DENIED", "Security & permissions"))


def test_a_scorecard_that_takes_too_long_is_named(aws: StandIn, dashboard: Any, clock: Clock) -> None:
    """Both that hang are named and cancelled; the next run starts others."""
    aws.quicksight.hold_running()
    with pytest.raises(FinopsError, match=r"still RUNNING after 60 seconds .*; and .* still RUNNING after 60"):
        dashboard(timeout_seconds=60).refresh(WORK)
    assert clock.slept == pytest.approx(60)
    assert {one.status for one in aws.quicksight.ingestions} == {"CANCELLED"}
    aws.quicksight.hold_running(False)
    assert dashboard().refresh(WORK).id == f"{WORK}-5f3a9c0e-2"


def test_a_scorecard_data_set_that_is_not_there_is_named(dashboard: Any) -> None:
    """The setting to mend is the scorecard's."""
    with pytest.raises(AwsError) as caught:
        dashboard(scorecard_data_set="elsewhere").refresh(WORK)
    assert "aws.quicksight_scorecard_data_set" in caught.value.fix
