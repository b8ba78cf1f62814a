"""The dashboard's data in QuickSight: one refresh a run, found again after a crash, and never green when it is not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from finops_assets.adapters.aws.quicksight.fixes import INGESTION_FIXES
from finops_assets.adapters.aws.quicksight.ingestions import Expected, HungRefreshError
from finops_assets.adapters.aws.quicksight.refresh import QuickSightDataSet
from finops_assets.adapters.aws.session import AwsError, AwsSession
from finops_assets.core.errors import FinopsError
from finops_assets.core.values import Refresh
from standin.data_sets import Ingestion
from standin.server import StandIn

NOW = datetime(2025, 9, 11, 7, 0, tzinfo=UTC)
DAY, DATA_SET, WORK = date(2025, 9, 10), "finops-daily", "daily-20250910"
CONTENT = "5f3a9c0e77aa11bb"
FIRST = f"{WORK}-5f3a9c0e-1"


class Clock:
    """Moves when somebody sleeps; remembers how long."""

    def __init__(self) -> None:
        self.now, self.slept = NOW, []

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)


@dataclass
class Table:
    """The table behind the data set: what is registered, and what a refresh reads of it."""

    rows: int = 1200
    newest_day: date | None = DAY
    content: str = CONTENT
    asked: list[Expected] = field(default_factory=list)

    def expected(self) -> Expected:
        self.asked.append(Expected(self.rows, self.newest_day, self.content))
        return self.asked[-1]

    def rows_of(self, sql: str) -> list[tuple[int]]:
        return [(self.rows,)]


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, clock: Clock) -> Iterator[StandIn]:
    with StandIn(tmp_path_factory.mktemp("aws"), clock=clock) as stand_in:
        yield stand_in


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
def aws(running: StandIn, clock: Clock, table: Table) -> StandIn:
    """With the data set in it, filled from the test's own table: no query needs to be run for a number of rows."""
    clock.now, clock.slept = NOW, []
    running.reset()
    running.athena = table
    running.quicksight.add_data_set(DATA_SET)
    return running


class Hasty(AwsSession):
    """Gives up at the first refusal: boto3 takes LimitExceededException for throttling and would wait for a minute."""

    def __init__(self, stand_in: StandIn) -> None:
        super().__init__(endpoint_url=stand_in.url)
        self._stand_in = stand_in

    def client(self, service: str, role_arn: str = "") -> Any:
        return self._stand_in.client(service, retries={"total_max_attempts": 1})


DataSet = Callable[..., QuickSightDataSet]


@pytest.fixture
def data_set(aws: StandIn, session: AwsSession, clock: Clock, table: Table) -> DataSet:
    def make(*, of: AwsSession = session, data_set_id: str = DATA_SET, **changed: Any) -> QuickSightDataSet:
        options = {"edition": "enterprise", "timeout_seconds": 600, "expected": table.expected}
        return QuickSightDataSet(of, data_set_id, sleep=clock.sleep, clock=clock, **options | changed)

    return make


def ids(aws: StandIn) -> list[str]:
    return [one.id for one in aws.quicksight.ingestions]


def started(
    aws: StandIn,
    ingestion_id: str,
    *,
    status: str = "COMPLETED",
    hours_ago: float = 1,
    rows: int = 1200,
    request_type: str = "FULL_REFRESH",
) -> None:
    """An ingestion of before."""
    at = NOW - timedelta(hours=hours_ago)
    done = {"rows": rows, "ended": at} if status == "COMPLETED" else {}
    if status == "FAILED":
        done = {"ended": at, "error": {"Type": "INTERNAL_SERVICE_ERROR", "Message": "Sorry."}}
    there = aws.quicksight.data_sets[DATA_SET]
    aws.quicksight.ingestions.append(
        Ingestion(ingestion_id, there, created=at, request_type=request_type, status=status, **done)
    )


# --- one refresh --------------------------------------------------------------------------------------------------


def test_a_refresh_is_waited_for_and_described(aws: StandIn, data_set: DataSet, clock: Clock) -> None:
    """It returns what SPICE took in beside what was registered, with a link that opens the data set."""
    aws.quicksight.seconds_per_step = 2
    found = data_set().refresh(WORK)
    assert found == Refresh(
        id=FIRST,
        location=f"https://us-east-1.quicksight.aws.amazon.com/sn/data-sets/{DATA_SET}/view",
        rows=1200,
        newest_day=DAY,
        total=None,
        expected_rows=1200,
        detail=found.detail,
    )
    assert found.detail["state"] == "COMPLETED"
    assert found.detail["attempt"] == "1"
    assert found.detail["refreshes left today"] == "31"
    assert 0 < int(found.detail["seconds"]) <= sum(clock.slept)
    assert int(found.detail["bytes"]) > 0
    assert aws.calls.count("quicksight", "CreateIngestion") == 1
    assert aws.calls.count("quicksight", "ListIngestions") == 1


def test_waiting_backs_off(aws: StandIn, data_set: DataSet, clock: Clock) -> None:
    """Looks come soon at first and each quarter of a minute later, and never in step with those of others."""
    aws.quicksight.seconds_per_step = 200
    data_set(timeout_seconds=3600).refresh(WORK)
    assert clock.slept[0] <= 1
    assert all(10 <= pause <= 19 for pause in clock.slept[-5:])
    assert len(set(clock.slept)) == len(clock.slept)
    assert len(clock.slept) < 200


def test_looks_gather_about_the_time_that_the_last_refresh_took(
    aws: StandIn, data_set: DataSet, table: Table, clock: Clock
) -> None:
    """After a refresh of ten minutes the next one is seen to end within seconds, in fewer looks."""
    aws.quicksight.seconds_per_step = 200
    data_set().refresh("the first")
    looks, table.content = len(clock.slept), "another"
    clock.slept.clear()
    data_set().refresh("the second")
    assert sum(clock.slept) - 600 < 3
    assert len(clock.slept) < looks


def test_a_refresh_that_was_begun_is_waited_for(aws: StandIn, data_set: DataSet) -> None:
    """`refresh` starts no other after `begin`, and counts it once."""
    dashboard = data_set()
    dashboard.start_refresh(WORK)
    done = dashboard.refresh(WORK)
    assert (done.id, done.detail["refreshes left today"]) == (FIRST, "31")
    assert aws.calls.count("quicksight", "CreateIngestion") == 1


def test_a_refresh_that_is_called_off_leaves_spice_as_it_was(aws: StandIn, data_set: DataSet) -> None:
    """It is cancelled; the next refresh of the same work is another one."""
    dashboard = data_set()
    dashboard.start_refresh(WORK)()
    assert [one.status for one in aws.quicksight.ingestions] == ["CANCELLED"]
    assert dashboard.refresh(WORK).id != FIRST


def test_another_runs_refresh_is_not_called_off(aws: StandIn, data_set: DataSet) -> None:
    """Two runs of the same work share a refresh: the one whose check fails does not take it from the other."""
    data_set().start_refresh(WORK)
    data_set().start_refresh(WORK)()
    assert "CANCELLED" not in {one.status for one in aws.quicksight.ingestions}
    assert aws.calls.count("quicksight", "CancelIngestion") == 0


def test_what_hinders_an_early_start_is_said_by_the_refresh(aws: StandIn, data_set: DataSet) -> None:
    """`begin` raises nothing where QuickSight refuses; `refresh` says what it said."""
    dashboard = data_set(data_set_id="gone")
    dashboard.start_refresh(WORK)()
    with pytest.raises(FinopsError, match="gone"):
        dashboard.refresh(WORK)


@pytest.mark.parametrize(
    ("refresh_id", "content", "ingestion_id"),
    [
        ("backfill-20250901-20250910", CONTENT, "backfill-20250901-20250910-5f3a9c0e-1"),
        ("by hand: täglich/1", CONTENT, "by-hand--t-glich-1-5f3a9c0e-1"),
        ("x" * 300, "ab", "x" * 120 + "-1"),
    ],
)
def test_the_id_is_one_that_quicksight_takes(
    aws: StandIn, data_set: DataSet, table: Table, refresh_id: str, content: str, ingestion_id: str
) -> None:
    """Letters, digits, dashes and underscores, 128 at most."""
    table.content = content
    assert data_set().refresh(refresh_id).id == ingestion_id
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", ingestion_id)


def test_throttling_and_a_lost_answer_are_survived(aws: StandIn, data_set: DataSet) -> None:
    """A refresh that was started without our hearing of it is the one that is waited for."""
    aws.faults.fail("quicksight", "DescribeIngestion", code="ThrottlingException")
    aws.faults.cut("quicksight", "CreateIngestion", after=True)
    assert data_set().refresh(WORK).id == FIRST
    assert ids(aws) == [FIRST]


def test_the_account_of_quicksight_can_be_another(aws: StandIn, data_set: DataSet) -> None:
    """aws.quicksight_account is where the data set is looked for; without it, the account of the credentials."""
    with pytest.raises(AwsError, match="permission denied") as caught:
        data_set(account="999999999999").refresh(WORK)
    assert "quicksight:ListIngestions" in caught.value.fix
    assert "arn:aws:quicksight:us-east-1:999999999999" in caught.value.fix


# --- found again --------------------------------------------------------------------------------------------------


def test_the_same_work_again_costs_no_refresh(aws: StandIn, data_set: DataSet) -> None:
    """A run that is repeated after its refresh was done has the same result from the same ingestion."""
    first = data_set().refresh(WORK)
    again = data_set().refresh(WORK)
    assert (again.id, again.rows, again.detail) == (first.id, first.rows, first.detail)
    assert aws.calls.count("quicksight", "CreateIngestion") == 1


def test_an_interrupted_run_finds_its_refresh_running(aws: StandIn, data_set: DataSet, clock: Clock) -> None:
    """A run that was killed while it waited left its refresh to go on: the next one waits for that."""

    def killed(seconds: float) -> None:
        raise KeyboardInterrupt

    aws.quicksight.hold_running()
    interrupted = data_set()
    interrupted._sleep = killed
    with pytest.raises(KeyboardInterrupt):
        interrupted.refresh(WORK)
    assert aws.calls.count("quicksight", "CancelIngestion") == 0
    aws.quicksight.hold_running(False)
    assert data_set().refresh(WORK).id == FIRST
    assert ids(aws) == [FIRST]


def test_other_content_is_another_refresh(aws: StandIn, data_set: DataSet, table: Table) -> None:
    """A day that was written anew is loaded anew, and going back to what it was is too: SPICE holds the other."""
    data_set().refresh(WORK)
    table.content, table.rows = "0000aaaa1111", 1300
    second = data_set().refresh(WORK)
    table.content, table.rows = CONTENT, 1200
    third = data_set().refresh(WORK)
    assert (second.id, second.rows) == (f"{WORK}-0000aaaa-1", 1300)
    assert (third.id, third.rows) == (f"{WORK}-5f3a9c0e-2", 1200)


@pytest.mark.parametrize(
    ("before", "result", "reason"),
    [
        ([(FIRST, {"status": "FAILED"})], 2, "one that failed is tried again"),
        ([(FIRST, {"status": "CANCELLED"})], 2, "one that was cancelled too"),
        ([(FIRST, {"status": "FAILED"}), (f"{WORK}-5f3a9c0e-2", {})], 2, "the second attempt did it"),
        ([(FIRST, {}), ("other-1", {"status": "FAILED"})], 1, "one that failed since changed nothing"),
        ([(FIRST, {}), ("other-1", {})], 2, "another one has filled it since, with whatever"),
        ([(FIRST, {}), ("other-1", {"status": "RUNNING", "hours_ago": 0.1})], 2, "another one is filling it"),
        ([(FIRST, {}), ("other-1", {"status": "RUNNING"})], 1, "another one hangs, is cancelled and changed nothing"),
        (
            [(FIRST, {"status": "RUNNING", "hours_ago": 0.1}), ("other-1", {"status": "QUEUED", "hours_ago": 0.05})],
            1,
            "ours goes on before that one",
        ),
        ([(FIRST, {"rows": 1100})], 2, "it did not hold what is registered"),
        ([("daily-20250910-5f3a9c0e-x", {}), ("daily-20250910-5f3a9c0e", {})], 1, "ids of somebody else"),
        ([(FIRST, {"hours_ago": 30})], 2, "of two days ago: nobody knows what was loaded since"),
        ([(FIRST, {"status": "INITIALIZED", "hours_ago": 30})], 2, "of two days ago, and not done yet: it hangs"),
    ],
)
def test_an_earlier_ingestion_is_the_result_only_if_it_still_holds(
    aws: StandIn, data_set: DataSet, before: list[tuple[str, dict]], result: int, reason: str
) -> None:
    """What was there decides whether a refresh is spent."""
    for n, (ingestion_id, how) in enumerate(before):
        started(aws, ingestion_id, **{"hours_ago": 2 - n / 10} | how)
    found = data_set().refresh(WORK)
    assert found.id == f"{WORK}-5f3a9c0e-{result}", reason
    assert found.detail["attempt"] == str(result)
    assert found.rows == 1200


def test_two_runs_at_once_share_one_refresh(aws: StandIn, data_set: DataSet) -> None:
    """Of two that start the same work at the same moment, one finds the other's."""

    def the_other_is_faster(call: Any) -> bool:
        if not aws.quicksight.ingestions:
            started(aws, FIRST, status="INITIALIZED", hours_ago=0)
        return False

    aws.faults.slow("quicksight", "CreateIngestion", seconds=0, when=the_other_is_faster)
    assert data_set().refresh(WORK).id == FIRST
    assert ids(aws) == [FIRST]


def test_days_of_another_run_that_come_meanwhile_are_no_fault(aws: StandIn, data_set: DataSet, table: Table) -> None:
    """What SPICE took in is compared with what was registered before or after it, whichever fits."""

    def registers(call: Any) -> bool:
        table.rows, table.newest_day = 1500, date(2025, 9, 11)
        return False

    aws.faults.slow("quicksight", "DescribeIngestion", seconds=0, when=registers)
    found = data_set().refresh(WORK)
    assert (found.rows, found.expected_rows, found.newest_day) == (1500, 1500, date(2025, 9, 11))


@pytest.mark.parametrize(("rows", "expected"), [(1200, 1200), (None, None)])
def test_what_is_registered_is_asked_once_where_it_fits(
    aws: StandIn, data_set: DataSet, rows: int | None, expected: int | None
) -> None:
    """A second look is only taken where the numbers differ; rows that nobody knows are not made up."""
    asked = []

    def registered() -> tuple[int | None, date, str]:
        asked.append(1)
        return rows, DAY, CONTENT

    assert data_set(expected=registered).refresh(WORK).expected_rows == expected
    assert len(asked) == 1


def test_a_dashboard_that_holds_something_else_is_told(aws: StandIn, data_set: DataSet, table: Table) -> None:
    """Where neither fits, both numbers are in the result, for the check that compares them."""
    found = data_set(expected=lambda: Expected(999, DAY, CONTENT)).refresh(WORK)
    assert (found.rows, found.expected_rows) == (1200, 999)


# --- the refreshes of a day ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("edition", "limit"), [("enterprise", 32), ("standard", 8)])
def test_used_up_refreshes_are_told_before_quicksight_is_asked(
    aws: StandIn, data_set: DataSet, edition: str, limit: int
) -> None:
    """The last one is still made; after it the error says how many there were, and when there is another."""
    aws.quicksight.edition = edition.upper()
    for n in range(limit - 1):
        started(aws, f"by-hand-{n}", hours_ago=23 - n / 10)
    assert data_set(edition=edition).refresh(WORK).detail["refreshes left today"] == "0"
    with pytest.raises(FinopsError) as caught:
        data_set(edition=edition).refresh("daily-20250911")
    assert f"{limit} refreshes were made" in caught.value.what
    assert f"QuickSight allows {limit} ({edition} edition)" in caught.value.what
    assert "Run it again after 2025-09-11 08:00 UTC" in caught.value.fix
    assert aws.calls.count("quicksight", "CreateIngestion") == 1
    assert data_set(edition=edition).refresh(WORK).id == FIRST, "what is there already is still found"


def test_only_manual_refreshes_of_the_last_day_count(aws: StandIn, data_set: DataSet) -> None:
    """Older ones and the data set's creation take nothing from today's; older pages are not read."""
    for n in range(260):
        started(aws, f"old-{n}", hours_ago=30 - n / 100)
    started(aws, "created", hours_ago=20, request_type="INITIAL_INGESTION")
    for n in range(30):
        started(aws, f"by-hand-{n}", hours_ago=10 - n / 10)
    assert data_set().refresh(WORK).detail["refreshes left today"] == "1"
    assert aws.calls.count("quicksight", "ListIngestions") == 2


def test_all_pages_of_the_last_day_are_read(aws: StandIn, data_set: DataSet) -> None:
    """An ingestion on the third page is found: 250 edits came after it."""
    started(aws, FIRST, status="RUNNING", hours_ago=20)
    for n in range(250):
        started(aws, f"edit-{n}", hours_ago=19 - n / 100, request_type="EDIT")
    assert data_set(timeout_seconds=24 * 3600).refresh(WORK).id == FIRST
    assert aws.calls.count("quicksight", "ListIngestions") == 3


def test_a_limit_that_quicksight_knows_better_is_told(aws: StandIn, data_set: DataSet) -> None:
    """An account of the other edition: QuickSight's own words stand beside ours, and the setting is named."""
    aws.quicksight.edition = "STANDARD"
    for n in range(8):
        started(aws, f"by-hand-{n}", hours_ago=23 - n)
    with pytest.raises(FinopsError) as caught:
        data_set(of=Hasty(aws)).refresh(WORK)
    assert "8 refreshes were made" in caught.value.what
    assert "it says: " in caught.value.what
    assert "limit of 8 manual refreshes" in caught.value.what
    assert "aws.quicksight_edition" in caught.value.fix
    assert "after 2025-09-11 08:00 UTC" in caught.value.fix


# --- what goes wrong ----------------------------------------------------------------------------------------------


def test_what_is_busy_while_it_is_looked_at_is_looked_at_again(aws: StandIn, data_set: DataSet) -> None:
    """A refresh is not given up because QuickSight does not say how it stands; a refusal that lasts is told."""
    aws.faults.fail("quicksight", "DescribeIngestion", times=5)
    assert data_set(of=Hasty(aws)).refresh(WORK).id == FIRST
    aws.faults.fail("quicksight", "DescribeIngestion", code="AccessDeniedException", message="no")
    with pytest.raises(AwsError, match="permission denied"):
        data_set(of=Hasty(aws)).refresh("another work")


def test_a_start_that_meets_a_change_of_the_data_set_is_repeated(aws: StandIn, data_set: DataSet) -> None:
    """Somebody edits the data set at this moment: the refresh starts when that is done, under the same id."""
    waits: list[float] = []
    aws.faults.fail("quicksight", "CreateIngestion", code="ConflictException", message="being updated", status=409)
    patient = AwsSession(endpoint_url=aws.url, sleep=waits.append)
    assert data_set(of=patient).refresh(WORK).id == FIRST
    assert (aws.calls.count("quicksight", "CreateIngestion"), len(waits)) == (2, 1)


# --- refreshes that hang ------------------------------------------------------------------------------------------


def statuses(aws: StandIn) -> dict[str, str]:
    return {one.id: one.status for one in aws.quicksight.ingestions}


def test_a_refresh_that_takes_too_long_is_cancelled(aws: StandIn, data_set: DataSet, clock: Clock) -> None:
    """The wait ends on time, the error says what hung and that it was cancelled; the next run starts another."""
    started(aws, "the-day-before-1", hours_ago=20)
    aws.quicksight.ingestions[0].ended += timedelta(seconds=42)
    aws.quicksight.hold_running()
    with pytest.raises(HungRefreshError, match=f"refresh {FIRST} was still RUNNING after 120 seconds") as caught:
        data_set(timeout_seconds=120).refresh(WORK)
    assert sum(clock.slept) == pytest.approx(120)
    assert caught.value.cancelled
    assert "(the one before took 42)" in caught.value.what
    assert "raise aws.quicksight_timeout_seconds" in caught.value.fix
    assert statuses(aws)[FIRST] == "CANCELLED"
    aws.quicksight.hold_running(False)
    assert data_set().refresh(WORK).id == f"{WORK}-5f3a9c0e-2"
    assert aws.calls.count("quicksight", "CancelIngestion") == 1


def test_a_refresh_that_may_not_be_cancelled_names_the_command(aws: StandIn, data_set: DataSet) -> None:
    """The reason of the refusal stands in the error, and how to do it by hand."""
    aws.quicksight.hold_running()
    aws.faults.fail("quicksight", "CancelIngestion", code="AccessDeniedException", message="no right", times=None)
    with pytest.raises(HungRefreshError, match=r"could not be cancelled .*no right") as caught:
        data_set(timeout_seconds=120).refresh(WORK)
    assert not caught.value.cancelled
    command = f"aws quicksight cancel-ingestion --aws-account-id {aws.account} --data-set-id {DATA_SET}"
    assert f"`{command} --ingestion-id {FIRST}`" in caught.value.fix
    assert "quicksight:CancelIngestion" in caught.value.fix


def test_what_ignores_its_cancelling_is_not_waited_for_again_and_again(
    aws: StandIn, data_set: DataSet, clock: Clock
) -> None:
    """The next run tries once to stop it, says after half a minute what holds it up, and spends no refresh."""
    aws.quicksight.hold_running()
    aws.quicksight.ignore_cancels = True
    with pytest.raises(HungRefreshError, match="still RUNNING 30 seconds after it was cancelled"):
        data_set(timeout_seconds=120).refresh(WORK)
    clock.now, clock.slept = clock.now + timedelta(days=1), []
    aws.calls.reset()
    dashboard = data_set(timeout_seconds=120)
    dashboard.start_refresh("daily-20250911")()
    with pytest.raises(HungRefreshError, match=f"{FIRST} is RUNNING for 24.0 hours and is still RUNNING") as caught:
        dashboard.refresh("daily-20250911")
    assert "AWS Support" in caught.value.fix
    assert sum(clock.slept) <= 32
    assert aws.calls.count("quicksight", "CancelIngestion") == 1
    assert aws.calls.count("quicksight", "CreateIngestion") == 0


def test_another_runs_refresh_that_hangs_is_cancelled_and_a_young_one_waited_for(
    aws: StandIn, data_set: DataSet, clock: Clock
) -> None:
    """Nothing else would ever free the data set; one that has time left is only queued behind."""

    def goes_on(call: Any) -> bool:
        aws.quicksight.hold_running(False)
        return False

    started(aws, "hangs", status="RUNNING", hours_ago=26)
    started(aws, "queued-behind-it", status="QUEUED", hours_ago=5)
    aws.quicksight.hold_running()
    aws.faults.slow("quicksight", "CreateIngestion", seconds=0, when=goes_on)
    assert data_set().refresh(WORK).id == FIRST
    assert statuses(aws) == {"hangs": "CANCELLED", "queued-behind-it": "CANCELLED", FIRST: "COMPLETED"}
    cancelled = [call.params["IngestionId"] for call in aws.calls.log if call.operation == "CancelIngestion"]
    assert cancelled == ["queued-behind-it", "hangs"], "what is queued does not start in between"
    started(aws, "young", status="RUNNING", hours_ago=0.1)
    assert data_set().refresh("another work").id.startswith("another-work")
    assert statuses(aws)["young"] == "COMPLETED"


def test_what_a_refresh_was_queued_behind_is_freed_with_it(aws: StandIn, data_set: DataSet) -> None:
    """One that begins to hang while ours waits for it does not hold up the next run."""
    started(aws, "hangs-soon", status="RUNNING", hours_ago=0.1)
    aws.quicksight.hold_running()
    with pytest.raises(HungRefreshError, match=f"refresh {FIRST} was still QUEUED after 600 seconds"):
        data_set().refresh(WORK)
    assert set(statuses(aws).values()) == {"CANCELLED"}


def test_a_refresh_that_is_followed_has_the_time_that_is_left_of_its_own(
    aws: StandIn, data_set: DataSet, clock: Clock
) -> None:
    """A killed run's refresh is followed, and cancelled when it has run too long itself."""
    started(aws, FIRST, status="RUNNING", hours_ago=500 / 3600)
    aws.quicksight.hold_running()
    with pytest.raises(HungRefreshError):
        data_set(timeout_seconds=600).refresh(WORK)
    assert sum(clock.slept) == pytest.approx(100)


def test_a_refresh_that_completes_while_it_is_cancelled_is_one(aws: StandIn, data_set: DataSet, clock: Clock) -> None:
    """The cancelling came too late: what the dashboard shows counts."""

    def completes(call: Any) -> bool:
        (ingestion,) = aws.quicksight.ingestions
        ingestion.status, ingestion.rows, ingestion.ended = "COMPLETED", 1200, clock.now
        return False

    aws.quicksight.hold_running()
    aws.faults.slow("quicksight", "CancelIngestion", seconds=0, when=completes)
    assert data_set(timeout_seconds=120).refresh(WORK).rows == 1200


@pytest.mark.parametrize(
    ("kind", "fix"),
    [
        ("PERMISSION_NOT_FOUND", "Security & permissions"),
        ("PERMISSION_DENIED", "the archive's bucket"),
        ("IAM_ROLE_NOT_AVAILABLE", "service role"),
        ("FAILURE_TO_ASSUME_ROLE", "quicksight.amazonaws.com"),
        ("SQL_TABLE_NOT_FOUND", "Materialize athena_partition"),
        ("SQL_SCHEMA_MISMATCH_ERROR", "columns"),
        ("ACCOUNT_CAPACITY_LIMIT_EXCEEDED", "SPICE capacity"),
        ("DATA_SET_SIZE_LIMIT_EXCEEDED", "fewer days"),
        ("QUERY_TIMEOUT", "workgroup"),
        ("S3_FILE_INACCESSIBLE", "bucket of the query results"),
        ("DATA_SOURCE_NOT_FOUND", "data source"),
        ("INTERNAL_SERVICE_ERROR", "Run it again"),
        ("ELASTICSEARCH_CURSOR_NOT_ENABLED", "refresh history"),
    ],
)
def test_a_failed_refresh_says_why_and_what_to_do(aws: StandIn, data_set: DataSet, kind: str, fix: str) -> None:
    """Type, message, the action that fits and a link; what is shown meanwhile is said. The next run tries again."""
    aws.quicksight.fail_next(kind, "The query failed.")
    with pytest.raises(FinopsError) as caught:
        data_set().refresh(WORK)
    assert f"{kind} (The query failed)" in caught.value.what
    assert "shows the data from before" in caught.value.what
    assert fix in caught.value.fix
    assert f"/data-sets/{DATA_SET}" in caught.value.fix
    assert "aws.quicksight_data_set" in caught.value.where
    assert data_set().refresh(WORK).id == f"{WORK}-5f3a9c0e-2"


def test_every_advice_is_for_a_type_that_quicksight_has(session: AwsSession) -> None:
    """No advice stands under a misspelt name, and each is one for people."""
    model = session.client("quicksight").meta.service_model
    assert set(INGESTION_FIXES) <= set(model.shape_for("IngestionErrorType").enum)
    assert all(fix[0].isupper() and not fix.endswith(".") for fix in INGESTION_FIXES.values())


def test_a_cancelled_refresh_is_no_success(aws: StandIn, data_set: DataSet) -> None:
    """Somebody stopped it in the console: the run fails, and the next one starts another."""
    cancel = [True]

    def cancelled(call: Any) -> bool:
        if cancel and aws.quicksight.ingestions[0].status == "RUNNING":
            cancel.clear()
            aws.quicksight.ingestions[0].status = "CANCELLED"
        return False

    aws.faults.slow("quicksight", "DescribeIngestion", seconds=0, when=cancelled)
    with pytest.raises(FinopsError, match=f"refresh {FIRST} was cancelled"):
        data_set().refresh(WORK)
    assert data_set().refresh(WORK).id == f"{WORK}-5f3a9c0e-2"


@pytest.mark.parametrize("rows", [1200, None], ids=["rows known", "rows not known"])
def test_dropped_rows_are_counted_and_refused(aws: StandIn, data_set: DataSet, rows: int | None) -> None:
    """QuickSight calls it completed: the error has the count, and it is not found again as the result."""
    made = data_set(expected=lambda: Expected(rows, DAY, CONTENT))
    aws.quicksight.drop_next(7)
    with pytest.raises(FinopsError, match=r"dropped 7 row\(s\) of 1,200") as caught:
        made.refresh(WORK)
    assert "column types" in caught.value.fix
    again = made.refresh(WORK)
    assert (again.id, again.rows) == (f"{WORK}-5f3a9c0e-2", 1200)


@pytest.mark.parametrize(
    ("refusal", "says", "fix"),
    [
        (None, "DataSet elsewhere is not found", "aws.quicksight_data_set"),
        (("InvalidParameterValueException", "not a SPICE dataset"), "not a SPICE dataset", "SPICE mode"),
        (("ExpiredTokenException", "The token has expired"), "no longer valid", "Log in again"),
    ],
)
def test_what_quicksight_refuses_is_said_in_words(
    aws: StandIn, data_set: DataSet, refusal: tuple[str, str] | None, says: str, fix: str
) -> None:
    """The error names the setting to look at."""
    if refusal:
        aws.faults.fail("quicksight", "*", code=refusal[0], message=refusal[1])
    with pytest.raises(AwsError) as caught:
        data_set(data_set_id="elsewhere").refresh(WORK)
    assert says in str(caught.value)
    assert fix in str(caught.value)
