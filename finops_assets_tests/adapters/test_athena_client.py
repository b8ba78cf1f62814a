"""The Athena client: started once, waited for with patience, and stopped whatever interrupts the wait."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest

from finops_assets.adapters.aws.athena import Athena, QueryError, price
from finops_assets.adapters.aws.session import AwsError, AwsSession
from finops_assets.core.errors import FinopsError, SettingsError
from finops_assets_tests.support.on_aws import on_aws
from standin.bills import setup
from standin.server import StandIn


@pytest.fixture
def aws(aws: StandIn) -> StandIn:
    setup(aws)
    aws.calls.reset()
    return aws


def client(aws: StandIn, **how: object) -> Athena:
    return Athena(AwsSession(endpoint_url=aws.url), **{"workgroup": "finops", **how})


def ends(aws: StandIn) -> list[str]:
    """The states of all queries once none is running: Athena stops a query soon after it is told to."""
    deadline = time.monotonic() + 30
    while any(q.state == "RUNNING" for q in aws.athena.queries) and time.monotonic() < deadline:
        time.sleep(0.01)
    return [q.state for q in aws.athena.queries]


def test_rows_come_as_what_they_are(aws: StandIn) -> None:
    """Each of Athena's types becomes the Python value that it is, NULL is None, and text keeps its quotes and lines."""
    sql = """SELECT 1 AS whole, CAST(2.5 AS DOUBLE) AS real, CAST('3.000000000001' AS DECIMAL(38,12)) AS exact,
        DATE '2025-09-10' AS day, TRUE AS yes, 'a "b", c' AS text, CAST(NULL AS VARCHAR) AS nothing, '' AS empty"""
    names, rows = client(aws).rows(sql, "a test")
    assert names == ["whole", "real", "exact", "day", "yes", "text", "nothing", "empty"]
    assert [str(value) for value in rows[0]] == [
        *("1", "2.5", "3.000000000001", "2025-09-10", "True", 'a "b", c', "None", "")
    ]
    assert isinstance(rows[0][2], Decimal)


def test_more_rows_than_a_page(aws: StandIn) -> None:
    """All pages are fetched, and the header is no row."""
    fifty = f"(VALUES {', '.join(f'({n})' for n in range(50))})"
    sql = f"SELECT a.n * 50 + b.n AS n FROM {fifty} AS a(n) CROSS JOIN {fifty} AS b(n) ORDER BY 1"
    _, rows = client(aws).rows(sql, "a test")
    assert [n for (n,) in rows] == list(range(2500))
    assert aws.calls.count("athena", "GetQueryResults") == 3


def test_a_page_is_fetched_when_its_rows_are_asked_for(aws: StandIn) -> None:
    """The answer is never held whole: one call for each page, and none before."""
    fifty = f"(VALUES {', '.join(f'({n})' for n in range(50))})"
    sql = f"SELECT a.n * 50 + b.n AS n FROM {fifty} AS a(n) CROSS JOIN {fifty} AS b(n) ORDER BY 1"
    result = client(aws).stream(sql, "a test")
    found = [(len(batch), aws.calls.count("athena", "GetQueryResults")) for batch in result.batches]
    assert (list(result.columns), found) == (["n"], [(999, 1), (1000, 2), (501, 3)])


def test_a_receipt_says_what_the_query_took(aws: StandIn) -> None:
    """Bytes, seconds, an estimate of the price, once."""
    athena = client(aws, price_per_terabyte=5.0)
    athena.rows("SELECT 1", "a look")
    receipts = athena.receipts()
    assert [(r.purpose, r.scanned_bytes, r.price) for r in receipts] == [("a look", 0, Decimal("0.00005"))]
    assert athena.receipts() == []


@pytest.mark.parametrize(
    ("scanned", "expected", "reason"),
    [
        (0, "0.00005", "10 MB is the least that is billed"),
        (10_000_000, "0.00005", "exactly the least"),
        (10_000_001, "0.000055", "rounded up to the megabyte"),
        (1_000_000_000_000, "5", "a terabyte"),
    ],
)
def test_the_price_is_athenas(scanned: int, expected: str, reason: str) -> None:
    """USD 5 a terabyte, by the megabyte, at least ten."""
    assert price(scanned, Decimal(5)) == Decimal(expected), reason
    assert price(scanned, Decimal(5), billed=False) == 0


def test_the_same_token_is_the_same_execution(aws: StandIn) -> None:
    """A start that is repeated, by this process or the next, runs once."""
    first = client(aws).run("SELECT 1", "a test", token="one" * 12)
    again = client(aws).run("SELECT 1", "a test", token="one" * 12)
    assert first.id == again.id
    assert len(aws.athena.queries) == 1


def test_throttling_is_waited_out(aws: StandIn) -> None:
    """Every second call of every kind is throttled, and the answer comes."""
    aws.faults.fail("athena", "*", times=None, every=2)
    assert client(aws, sleep=lambda _: None).rows("SELECT 7", "a test")[1] == [(7,)]
    assert len(aws.athena.queries) == 1


def test_a_full_queue_is_waited_for(aws: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """TooManyRequestsException beyond boto3's own tries is not the end."""
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None))  # it waits half a minute
    aws.faults.fail("athena", "StartQueryExecution", code="TooManyRequestsException", times=9)
    pauses: list[float] = []
    assert client(aws, sleep=pauses.append).rows("SELECT 7", "a test")[1] == [(7,)]
    assert pauses


@pytest.mark.parametrize("after", [False, True], ids=["before it began", "after it began"])
def test_a_start_whose_answer_is_lost_is_one_query(aws: StandIn, after: bool) -> None:
    """The connection is cut during the start; the token makes its repetition the same query."""
    aws.faults.cut("athena", "StartQueryExecution", after=after)
    assert client(aws).rows("SELECT 7", "a test")[1] == [(7,)]
    assert len(aws.athena.queries) == 1


def test_what_athena_calls_retryable_is_tried_again(aws: StandIn) -> None:
    """A failure of Athena's own is started anew; one of the statement is not."""
    aws.client("glue").create_database(DatabaseInput={"Name": "billing"})
    aws.athena.fail_next("GENERIC_INTERNAL_ERROR", "an internal error", retryable=True)
    assert client(aws, sleep=lambda _: None).rows("SELECT 7", "a test")[1] == [(7,)]
    assert len(aws.athena.queries) == 2
    with pytest.raises(QueryError, match=r"TABLE_NOT_FOUND.*Check the table's name \(bill.table\)"):
        client(aws).run("SELECT * FROM billing.nothing", "a test")
    assert len(aws.athena.queries) == 3


@pytest.mark.parametrize(
    ("reason", "allowed"),
    [
        (
            (
                "Insufficient permissions to execute the query. User: arn:aws:sts::1:assumed-role/r/s is not "
                "authorized to perform: glue:GetTable on resource: arn:aws:glue:us-east-1:1:table/billing/cur2 "
                "because no identity-based policy allows the glue:GetTable action"
            ),
            "Allow glue:GetTable on arn:aws:glue:us-east-1:1:table/billing/cur2 ",
        ),
        (
            "GENERIC_USER_ERROR: Insufficient Lake Formation permission(s): Required Select on cur2",
            "Grant the role Select on cur2 in Lake Formation, and allow lakeformation:GetDataAccess ",
        ),
        (
            (
                "Access denied when writing output to url: s3://finops-bucket/_staging/ab/cd/file.gz . "
                "Please ensure you are allowed to access the S3 bucket."
            ),
            "Allow s3:PutObject on arn:aws:s3:::finops-bucket/_staging/ab/cd/* ",
        ),
        (
            "PERMISSION_DENIED: Permission denied on S3 path: s3://a-bill/data/BILLING_PERIOD=2025-09/x.parquet",
            "Allow s3:GetObject on arn:aws:s3:::a-bill/data/BILLING_PERIOD=2025-09/* ",
        ),
    ],
)
def test_a_denial_names_the_action_to_allow(aws: StandIn, reason: str, allowed: str) -> None:
    """Athena says so as the reason of a failed query, not as an error of the call."""
    code, _, message = reason.partition(": ") if reason.split(":")[0].isupper() else ("", "", reason)
    aws.athena.fail_next(code, message)
    with pytest.raises(QueryError) as failed:
        client(aws).rows("SELECT 1", "a test")
    assert failed.value.fix.startswith(allowed)
    assert failed.value.fix.count("IAM policy of the role") == 1


def test_a_statement_is_validated_without_a_scan(aws: StandIn) -> None:
    """Names and types are checked on the engine; one that does not exist is named."""
    client(aws).run("EXPLAIN (TYPE VALIDATE)\nSELECT 1 AS one", "a test")
    assert aws.athena.queries[-1].scanned == 0
    with pytest.raises(QueryError, match="nowhere"):
        client(aws).run("EXPLAIN (TYPE VALIDATE) SELECT * FROM nowhere.nothing", "a test")


def test_a_query_that_takes_too_long_is_stopped(aws: StandIn) -> None:
    """The deadline stops the query in Athena, not only the wait."""
    aws.athena.min_seconds = 60
    with pytest.raises(QueryError, match=r"did not end within 0.3 s .* was stopped.*aws.query_timeout_seconds"):
        client(aws, timeout_seconds=0.3).run("SELECT 1", "a test")
    assert ends(aws) == ["CANCELLED"]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_whatever_interrupts_the_wait_stops_the_query(aws: StandIn, interruption: type[BaseException]) -> None:
    """An exception of any kind, also those that are no Exception, leaves nothing scanning."""
    aws.athena.min_seconds = 60

    def interrupted(_: float) -> None:
        raise interruption

    with pytest.raises(interruption):
        client(aws, sleep=interrupted).run("SELECT 1", "a test")
    assert ends(aws) == ["CANCELLED"]


def test_an_interruption_during_the_start_stops_what_was_begun(aws: StandIn) -> None:
    """A start that Athena has carried out, but whose answer never came, is found by its token and stopped."""
    aws.athena.min_seconds = 60
    held = aws.faults.hold("athena", "StartQueryExecution", after=True)
    main = threading.get_ident()

    def interrupt() -> None:
        held.reached.wait(10)
        signal.pthread_kill(main, signal.SIGINT)
        time.sleep(0.3)
        held.release()

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        client(aws).run("SELECT 1", "a test")
    assert ends(aws) == ["CANCELLED"]


def test_a_query_that_somebody_cancels_is_told(aws: StandIn) -> None:
    """A person stopped it in the console: the run fails in words."""
    aws.athena.min_seconds = 60

    def cancel(_: float) -> None:
        aws.client("athena").stop_query_execution(QueryExecutionId=aws.athena.queries[0].id)

    with pytest.raises(QueryError, match="the query was cancelled"):
        client(aws, sleep=cancel).run("SELECT 1", "a test")


@pytest.mark.parametrize(
    ("fault", "how", "error", "words"),
    [
        ({}, {"workgroup": "nowhere"}, SettingsError, r"aws.workgroup \(FINOPS_AWS__WORKGROUP\).*nowhere"),
        ({}, {"workgroup": "primary"}, SettingsError, r"aws.athena_results .*no place for query results"),
        ({"code": "AccessDeniedException", "message": "User: arn:aws:iam::1:user/x is not authorized to perform: "
          "athena:StartQueryExecution on resource: arn:aws:athena:us-east-1:1:workgroup/finops because"}, {}, AwsError,
         r"Allow athena:StartQueryExecution on arn:aws:athena:us-east-1:1:workgroup/finops"),
        ({"code": "ExpiredTokenException", "message": "The security token included in the request is expired"}, {},
         AwsError, r"credentials are no longer valid.*Log in again"),
    ],
    ids=["no such workgroup", "no output location", "denied", "expired"],
)  # fmt: skip
def test_a_start_that_is_refused_names_the_setting_or_the_action(
    aws: StandIn, fault: dict, how: dict, error: type[FinopsError], words: str
) -> None:
    """Nobody has to look a code up: the message says which setting, or which permission on which resource."""
    if fault:
        aws.faults.fail("athena", "StartQueryExecution", times=None, **fault)
    with pytest.raises(error, match=words):
        client(aws, **how).run("SELECT 1", "a test")
    assert aws.athena.queries == []


def test_a_statement_too_long_never_leaves(aws: StandIn) -> None:
    """Athena's 262,144 bytes are counted here."""
    with pytest.raises(FinopsError, match=r"has 262,1\d\d bytes, Athena takes 262,144"):
        client(aws).run(f"SELECT '{'ü' * 131_070}'", "a test")
    assert aws.calls.count("athena") == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_a_signal_to_the_process_stops_the_query(aws: StandIn, number: signal.Signals, tmp_path: Path) -> None:
    """`finops query`, a real process, and a real signal: Athena is told before the process is gone."""
    aws.athena.min_seconds = 60
    command = [sys.executable, "-m", "finops_assets", "query", "SELECT 1"]
    process = subprocess.Popen(command, env=os.environ | on_aws(aws, tmp_path), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not aws.calls.count("athena", "GetQueryExecution") and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(60) != 0
    assert ends(aws) == ["CANCELLED"]
