"""The stand-in's HTTP side: real clients reach it, each call is counted, and faults happen exactly when ordered."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import boto3
import obstore
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError
from obstore.store import S3Store

from standin.connections import Handler
from standin.server import StandIn

BUCKET = "a-bucket"
ONCE = {"retries": {"total_max_attempts": 1}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with StandIn(tmp_path_factory.mktemp("aws")) as stand_in:
        yield stand_in


@pytest.fixture
def aws(server: StandIn) -> StandIn:
    server.reset()
    server.client("s3").create_bucket(Bucket=BUCKET)
    server.calls.reset()
    return server


def put(aws: StandIn, key: str = "k", **config: Any) -> Any:
    return aws.client("s3", **(ONCE | config)).put_object(Bucket=BUCKET, Key=key, Body=b"x")


def keys(aws: StandIn) -> list[str]:
    return [each["Key"] for each in aws.client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", [])]


CALLS: list[tuple[str, Callable[[Any], Any], str, str]] = [
    # service, call, operation, protocol
    ("s3", lambda c: c.head_bucket(Bucket=BUCKET), "HeadBucket", "REST with XML"),
    ("glue", lambda c: c.get_databases(), "GetDatabases", "JSON"),
    ("sns", lambda c: c.list_topics(), "ListTopics", "query"),
    ("sts", lambda c: c.get_caller_identity(), "GetCallerIdentity", "query"),
    ("sqs", lambda c: c.list_queues(), "ListQueues", "JSON that was query"),
    ("sesv2", lambda c: c.get_account(), "GetAccount", "REST with JSON, signed as ses"),
    ("cloudwatch", lambda c: c.list_metrics(), "ListMetrics", "CBOR, which moto does not speak"),
    ("athena", lambda c: c.list_query_executions(), "ListQueryExecutions", "a service of the stand-in's own"),
]


@pytest.mark.parametrize(("service", "call", "operation", "protocol"), CALLS, ids=[each[0] for each in CALLS])
def test_every_protocol_is_recognised_and_can_fail(
    aws: StandIn, service: str, call: Callable[[Any], Any], operation: str, protocol: str
) -> None:
    """A call is answered and counted under its API name; a fault comes as an error of its own protocol."""
    client = aws.client(service, **ONCE)
    call(client)
    assert aws.calls.counts() == {(service, operation): 1}, protocol
    aws.faults.fail(service, operation, code="ThrottlingException", message="Rate exceeded", status=400)
    with pytest.raises(ClientError) as caught:
        call(client)
    code = "400" if operation.startswith("Head") else "ThrottlingException"  # an answer to HEAD has no body
    assert caught.value.response["Error"]["Code"] == code, protocol
    call(client)
    assert aws.calls.count(service) == 3


def test_parameters_have_their_api_names(aws: StandIn) -> None:
    """What a fault's `when` and the log see, wherever the protocol carries it."""
    put(aws, "a/b c.txt")
    aws.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="a/", MaxKeys=5)
    aws.client("glue").create_database(DatabaseInput={"Name": "db"})
    aws.client("sns").create_topic(Name="alerts")
    seen = {call.operation: call.params for call in aws.calls.log}
    assert (seen["PutObject"]["Bucket"], seen["PutObject"]["Key"]) == (BUCKET, "a/b c.txt")
    assert (seen["ListObjectsV2"]["Prefix"], seen["ListObjectsV2"]["MaxKeys"]) == ("a/", 5)
    assert seen["CreateDatabase"] == {"DatabaseInput": {"Name": "db"}}
    assert seen["CreateTopic"]["Name"] == "alerts"
    assert "Body" not in seen["PutObject"]


def test_clients_need_nothing_but_the_environment(aws: StandIn) -> None:
    """An unmodified client in another process reaches it by the environment alone."""
    code = "import boto3; print(boto3.client('sts').get_caller_identity()['Account'])"
    environ = {"PATH": os.environ["PATH"], **aws.environ}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=30)
    assert done.stdout.strip() == aws.account, done.stderr


def test_obstore_reads_and_writes(aws: StandIn) -> None:
    """obstore's own HTTP client: versions, writes that must not replace, listing."""
    aws.client("s3").put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    store = S3Store(
        BUCKET,
        endpoint=aws.url,
        access_key_id="key",
        secret_access_key="secret",
        region=aws.region,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )
    first = store.put("a/one", b"1", mode="create")
    assert first["version"] == aws.client("s3").head_object(Bucket=BUCKET, Key="a/one")["VersionId"]
    with pytest.raises(obstore.exceptions.AlreadyExistsError):
        store.put("a/one", b"2", mode="create")
    assert bytes(store.get("a/one").bytes()) == b"1"
    assert [each["path"] for each in obstore.list(store, "a/").collect()] == ["a/one"]


def test_connections_stay_open(aws: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """As S3's do: a year of objects over new ones would take three times as long."""
    connections: list[Any] = []
    accept = Handler.setup
    monkeypatch.setattr(Handler, "setup", lambda self: (connections.append(self.client_address), accept(self)))
    s3 = aws.client("s3", **ONCE)
    for day in range(20):
        s3.put_object(Bucket=BUCKET, Key=f"days/{day}", Body=b"x" * 20_000)
        s3.get_object(Bucket=BUCKET, Key=f"days/{day}")["Body"].read()
    assert len(connections) == 1


def test_objects_come_back_as_they_were_put(aws: StandIn) -> None:
    """Metadata with underscores, lengths of HEAD, many parts, ranges, presigned addresses."""
    s3 = aws.client("s3")
    s3.put_object(Bucket=BUCKET, Key="k ü/+.txt", Body=b"0123456789", Metadata={"cost_basis": "billed", "a-b": "c"})
    head = s3.head_object(Bucket=BUCKET, Key="k ü/+.txt")
    assert (head["ContentLength"], head["Metadata"]) == (10, {"cost_basis": "billed", "a-b": "c"})
    assert s3.get_object(Bucket=BUCKET, Key="k ü/+.txt", Range="bytes=2-4")["Body"].read() == b"234"
    s3.upload_fileobj(io.BytesIO(b"x" * 9_000_000), BUCKET, "big")
    assert s3.head_object(Bucket=BUCKET, Key="big")["ContentLength"] == 9_000_000
    assert aws.calls.count("s3", "UploadPart") == 2
    url = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "k ü/+.txt"})
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"0123456789"


def test_compression_is_undone_for_requests_and_kept_for_objects(aws: StandIn) -> None:
    """A request that the client compresses is read; an object that is gzip stays gzip."""
    metrics = [{"MetricName": f"metric-{n}", "Value": 1.0} for n in range(500)]
    aws.client("cloudwatch").put_metric_data(Namespace="finops", MetricData=metrics)
    assert len(aws.calls.log[-1].params["MetricData"]) == 500
    packed = gzip.compress(b"rows")
    s3 = aws.client("s3")
    s3.put_object(Bucket=BUCKET, Key="rows.gz", Body=packed, ContentEncoding="gzip")
    kept = s3.get_object(Bucket=BUCKET, Key="rows.gz")
    assert (kept["Body"].read(), kept["ContentEncoding"]) == (packed, "gzip")


def test_moto_answers_cloudwatch(aws: StandIn) -> None:
    """A metric that is put is listed: CBOR goes to moto and back as JSON."""
    cloudwatch = aws.client("cloudwatch")
    cloudwatch.put_metric_data(Namespace="finops", MetricData=[{"MetricName": "days", "Value": 1.5}])
    assert [each["MetricName"] for each in cloudwatch.list_metrics(Namespace="finops")["Metrics"]] == ["days"]


UNKNOWN: list[tuple[str, Callable[[Any], Any], str]] = [
    ("bcm-data-exports", lambda c: c.list_exports(), "a service that moto does not have"),
    (
        "ce",
        lambda c: c.get_savings_plans_coverage(TimePeriod={"Start": "2025-01-01", "End": "2025-01-02"}),
        "an operation",
    ),
    ("athena", lambda c: c.list_engine_versions(), "an operation of a service that is done here"),
]


@pytest.mark.parametrize(("service", "call", "why"), UNKNOWN, ids=[why for *_, why in UNKNOWN])
def test_what_nobody_knows_is_refused(aws: StandIn, service: str, call: Callable[[Any], Any], why: str) -> None:
    """An error that no client tries again, and that is on record."""
    with pytest.raises(ClientError, match="StandInDoesNotKnow"):
        call(aws.client(service, retries={"total_max_attempts": 3}))
    assert len(aws.refused) == 1, why


def test_reset_leaves_nothing(aws: StandIn) -> None:
    """Buckets, tables, topics, queries, counts and faults are gone."""
    put(aws)
    aws.client("glue").create_database(DatabaseInput={"Name": "db"})
    aws.client("sns").create_topic(Name="alerts")
    output = {"OutputLocation": f"s3://{BUCKET}/out/"}
    aws.client("athena").start_query_execution(QueryString="SELECT 1", ResultConfiguration=output)
    aws.faults.fail("*", times=None)
    aws.reset()
    assert aws.calls.counts() == {}
    assert aws.client("s3").list_buckets()["Buckets"] == []
    assert aws.client("glue").get_databases()["DatabaseList"] == []
    assert aws.client("sns").list_topics()["Topics"] == []
    assert aws.client("athena").list_query_executions()["QueryExecutionIds"] == []


# Faults -----------------------------------------------------------------------------------------------------------


def outcomes(aws: StandIn, count: int) -> str:
    """One letter a put: `.` answered, `F` failed."""

    def one(number: int) -> str:
        try:
            put(aws, f"k{number}")
        except ClientError:
            return "F"
        return "."

    return "".join(one(number) for number in range(count))


WHICH = [
    ({}, "F.....", "once"),
    ({"times": 2}, "FF....", "as often as told"),
    ({"times": None}, "FFFFFF", "always"),
    ({"skip": 2}, "..F...", "not the first ones"),
    ({"every": 2, "times": None}, ".F.F.F", "each second"),
    ({"when": lambda call: call.params["Key"] == "k4", "times": None}, "....F.", "only some"),
]


@pytest.mark.parametrize(("order", "expected", "why"), WHICH, ids=[why for *_, why in WHICH])
def test_which_calls_fail(aws: StandIn, order: dict, expected: str, why: str) -> None:
    """A fault takes part in the calls that it was ordered for, and in no other."""
    aws.faults.fail("s3", "PutObject", code="SlowDown", status=503, **order)
    assert outcomes(aws, 6) == expected, why
    assert keys(aws) == [f"k{number}" for number, letter in enumerate(expected) if letter == "."]


def test_clients_retry_what_aws_means_to_be_retried(aws: StandIn) -> None:
    """A throttled call goes through by the client's own retries; all of them are counted."""
    aws.faults.fail("s3", "PutObject", code="SlowDown", status=503, times=1)
    put(aws, retries={"total_max_attempts": 2, "mode": "standard"})
    assert aws.calls.count("s3", "PutObject") == 2


@pytest.mark.parametrize(("after", "there"), [(False, []), (True, ["k"])], ids=["before", "after"])
def test_a_connection_is_cut(aws: StandIn, after: bool, there: list[str]) -> None:
    """The client gets no answer; cut afterwards, the call has been carried out all the same."""
    aws.faults.cut("s3", "PutObject", after=after)
    with pytest.raises(ConnectionClosedError):
        put(aws)
    assert keys(aws) == there


@pytest.mark.parametrize(("agent", "made"), [("APN/1.0 HashiCorp/1.0 Terraform/1.11.4", True), ("boto3", False)])
def test_terraform_is_told_again_what_it_did_not_hear(aws: StandIn, agent: str, made: bool) -> None:
    """A lost answer to what was carried out: Terraform's second try gets it, other clients find what they made."""
    glue = aws.client("glue", user_agent=agent, retries={"mode": "standard", "total_max_attempts": 2})
    aws.faults.cut("glue", "CreateDatabase", after=True)
    with nullcontext() if made else pytest.raises(ClientError, match="AlreadyExistsException"):
        glue.create_database(DatabaseInput={"Name": "billing"})
    assert [each["Name"] for each in glue.get_databases()["DatabaseList"]] == ["billing"]
    assert aws.calls.count("glue", "CreateDatabase") == (1 if made else 2)


def test_a_call_is_slow(aws: StandIn) -> None:
    """It is answered, later: a client that does not wait times out."""
    aws.faults.slow("s3", "PutObject", seconds=0.6, times=2)
    with pytest.raises(ReadTimeoutError):
        put(aws, read_timeout=0.2)
    began = time.monotonic()
    put(aws)
    assert time.monotonic() - began >= 0.6


@pytest.mark.parametrize("after", [True, False])
def test_a_call_is_held_until_it_is_let_go(aws: StandIn, after: bool) -> None:
    """The test knows when the call is there; held afterwards it has been carried out, before it has not."""
    hold = aws.faults.hold("s3", "PutObject", after=after)
    client = threading.Thread(target=put, args=(aws,))
    client.start()
    assert hold.reached.wait(30)
    assert keys(aws) == (["k"] if after else [])
    hold.release()
    client.join(30)
    assert not client.is_alive()
    assert keys(aws) == ["k"]


def test_a_client_can_be_killed_while_its_call_is_held(tmp_path: Path) -> None:
    """What is held does not keep the stand-in from stopping, and is not carried out then."""
    stand_in = StandIn(tmp_path)
    stand_in.start()
    stand_in.client("s3").create_bucket(Bucket=BUCKET)
    hold = stand_in.faults.hold("s3", "PutObject", after=False)
    code = f"import boto3; boto3.client('s3').put_object(Bucket='{BUCKET}', Key='k', Body=b'x')"
    client = subprocess.Popen([sys.executable, "-c", code], env={"PATH": os.environ["PATH"], **stand_in.environ})
    assert hold.reached.wait(60)
    client.kill()
    client.wait(30)
    assert keys(stand_in) == []
    stop = threading.Thread(target=stand_in.stop, daemon=True)
    stop.start()
    stop.join(30)
    assert not stop.is_alive()


def test_it_runs_as_a_process(tmp_path: Path) -> None:
    """`python -m standin` says where it listens in one line of JSON, and ends at SIGTERM."""
    command = [sys.executable, "-m", "standin", "--folder", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
    try:
        told = json.loads(process.stdout.readline())
        session = boto3.Session("key", "secret", region_name="us-east-1")
        assert session.client("sts", endpoint_url=told["url"]).get_caller_identity()["Account"] == "123456789012"
        assert told["environ"]["AWS_ENDPOINT_URL"] == told["url"]
    finally:
        process.terminate()
    assert process.wait(30) == 0
