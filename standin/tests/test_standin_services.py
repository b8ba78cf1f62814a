"""The stand-in's QuickSight, SES, Organizations, Glue, SNS and CloudWatch answer unmodified boto3 clients as AWS does.

Nothing of the platform is tested here: these are the promises that the platform's own tests build on.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError

from standin.others import denied
from standin.server import StandIn

START = datetime(2025, 9, 11, 7, 0, tzinfo=UTC)
BUCKET, DATABASE, TABLE = "finops-archive", "finops_db", "ou_breakdown"
KEYS = ("year", "month", "day")


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, clock: Clock) -> Iterator[StandIn]:
    with StandIn(tmp_path_factory.mktemp("aws"), clock=clock) as stand_in:
        yield stand_in


@pytest.fixture
def aws(running: StandIn, clock: Clock) -> StandIn:
    clock.now = START
    running.reset()
    return running


@cache
def client(aws: StandIn, service: str) -> Any:
    """A client that tries once, kept for all tests: making one takes longer than most tests."""
    return aws.client(service, retries={"total_max_attempts": 1})


def refusal(call: Any, /, **params: Any) -> tuple[str, str]:
    """Code and message of the error that this call is answered with."""
    with pytest.raises(ClientError) as caught:
        call(**params)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


# Glue ----------------------------------------------------------------------------------------------------------------


def make_table(
    aws: StandIn, *, database: str = DATABASE, table: str = TABLE, columns: tuple[str, ...] = ("ou",)
) -> Any:
    glue = client(aws, "glue")
    glue.create_database(DatabaseInput={"Name": database})
    glue.create_table(DatabaseName=database, TableInput=table_input(table, columns))
    return glue


def table_input(table: str, columns: tuple[str, ...] = ("ou",)) -> dict[str, Any]:
    return {
        "Name": table,
        "TableType": "EXTERNAL_TABLE",
        "PartitionKeys": [{"Name": key, "Type": "int"} for key in KEYS],
        "StorageDescriptor": {
            "Columns": [{"Name": name, "Type": "string"} for name in columns],
            "Location": f"s3://{BUCKET}/ou_breakdown/",
            "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
            "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
            "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
        },
    }


def partition(*values: str, **more: Any) -> dict[str, Any]:
    storage = table_input(TABLE)["StorageDescriptor"]
    storage["Location"] += "/".join(values) + "/"
    return {"Values": list(values), "StorageDescriptor": storage, **more}


def days(count: int) -> list[dict[str, Any]]:
    return [partition("2025", "9", str(number)) for number in range(1, count + 1)]


def in_table(**more: Any) -> dict[str, Any]:
    return {"DatabaseName": DATABASE, "TableName": TABLE, **more}


def create(glue: Any, partitions: list[dict[str, Any]]) -> dict[str, Any]:
    return glue.batch_create_partition(**in_table(PartitionInputList=partitions))


def registered(glue: Any, **more: Any) -> list[tuple[str, ...]]:
    pages = glue.get_paginator("get_partitions").paginate(**in_table(**more))
    return [tuple(each["Values"]) for page in pages for each in page["Partitions"]]


@pytest.mark.parametrize(
    ("operation", "name", "allowed", "entry"),
    [
        ("batch_create_partition", "PartitionInputList", 100, lambda v: partition(*v)),
        (
            "batch_update_partition",
            "Entries",
            100,
            lambda v: {"PartitionValueList": list(v), "PartitionInput": partition(*v)},
        ),
        ("batch_delete_partition", "PartitionsToDelete", 25, lambda v: {"Values": list(v)}),
    ],
)
def test_glue_takes_no_batch_above_its_limit(aws: StandIn, operation: str, name: str, allowed: int, entry: Any) -> None:
    """One partition too many and the whole batch is refused, in AWS's words; as many as allowed pass."""
    glue = make_table(aws)
    items = [entry(("2025", "9", str(number))) for number in range(allowed + 1)]

    code, message = refusal(getattr(glue, operation), **in_table(**{name: items}))
    assert code == "ValidationException"
    assert message.startswith("1 validation error detected: Value '[")
    assert message.endswith(
        f"' at '{name[0].lower()}{name[1:]}' failed to satisfy constraint: "
        f"Member must have length less than or equal to {allowed}"
    )
    assert registered(glue) == []
    getattr(glue, operation)(**in_table(**{name: items[:allowed]}))


def test_a_batch_tells_which_partitions_were_there_already_and_creates_the_others(aws: StandIn) -> None:
    """AlreadyExistsException comes for each partition in Errors, not for the batch."""
    glue = make_table(aws)
    create(glue, days(1))

    [error] = create(glue, days(3))["Errors"]
    assert error["PartitionValues"] == ["2025", "9", "1"]
    assert error["ErrorDetail"]["ErrorCode"] == "AlreadyExistsException"
    assert len(registered(glue)) == 3


@pytest.mark.parametrize("operation", ["create", "update", "delete"])
def test_a_test_can_make_single_partitions_of_a_batch_fail(aws: StandIn, operation: str) -> None:
    """The chosen partition answers with its error code as often as ordered, the others are carried out."""
    glue = make_table(aws)
    two = days(2)
    if operation != "create":
        create(glue, two)
    batch = {
        "create": lambda: create(glue, two),
        "update": lambda: glue.batch_update_partition(
            **in_table(
                Entries=[
                    {"PartitionValueList": each["Values"], "PartitionInput": each | {"Parameters": {"sealed": "yes"}}}
                    for each in two
                ]
            )
        ),
        "delete": lambda: glue.batch_delete_partition(
            **in_table(PartitionsToDelete=[{"Values": each["Values"]} for each in two])
        ),
    }[operation]
    aws.glue.fail_partitions({("2025", "9", "2"): "InternalServiceException"})

    [error] = batch()["Errors"]
    values = error["PartitionValueList" if operation == "update" else "PartitionValues"]
    assert (values, error["ErrorDetail"]["ErrorCode"]) == (["2025", "9", "2"], "InternalServiceException")
    kept = {tuple(each["Values"]): each.get("Parameters") for each in glue.get_partitions(**in_table())["Partitions"]}
    assert (
        kept
        == {
            "create": {("2025", "9", "1"): None},
            "update": {("2025", "9", "1"): {"sealed": "yes"}, ("2025", "9", "2"): None},
            "delete": {("2025", "9", "2"): None},
        }[operation]
    )
    assert [each["ErrorDetail"]["ErrorCode"] for each in batch().get("Errors", [])] == {
        "create": ["AlreadyExistsException"],
        "update": [],
        "delete": ["EntityNotFoundException"],
    }[operation]


def test_glue_folds_names_to_lower_case(aws: StandIn) -> None:
    """Databases, tables, columns and keys are kept in lower case, and found under any case."""
    glue = make_table(aws, database="FinOps_DB", table="OU_Breakdown", columns=("BillingDate", "OU"))

    table = glue.get_table(DatabaseName="FINOPS_DB", Name="Ou_breakdown")["Table"]
    assert (table["DatabaseName"], table["Name"]) == (DATABASE, TABLE)
    assert [column["Name"] for column in table["StorageDescriptor"]["Columns"]] == ["billingdate", "ou"]
    assert [each["Name"] for each in glue.get_databases()["DatabaseList"]] == [DATABASE]


def test_partition_values_are_text_to_glue(aws: StandIn) -> None:
    """'09' and '9' are two partitions: this is how a crawler doubles the cost of a day."""
    glue = make_table(aws)
    create(glue, [partition("2025", "9", "1"), partition("2025", "09", "01")])

    assert registered(glue) == [("2025", "9", "1"), ("2025", "09", "01")]
    assert registered(glue, Expression="year = 2025 AND month = 9 AND day = 1") == registered(glue)


def test_glue_lists_partitions_in_pages_by_an_expression_over_integers(aws: StandIn) -> None:
    """A range over int keys compares numbers, and a page that is full carries a token to the next."""
    glue = make_table(aws)
    create(glue, days(30))
    aws.glue.page_size = 7

    assert registered(glue, Expression="year = 2025 AND month = 9 AND day >= 9 AND day < 30") == [
        ("2025", "9", str(day)) for day in range(9, 30)
    ]
    assert len(glue.get_partitions(**in_table(MaxResults=3))["Partitions"]) == 3
    assert refusal(glue.get_partitions, **in_table(MaxResults=1001))[0] == "ValidationException"


def test_glue_leaves_the_columns_out_when_asked(aws: StandIn) -> None:
    """ExcludeColumnSchema keeps the location and the parameters of a partition, without its columns."""
    glue = make_table(aws)
    create(glue, [partition("2025", "9", "1", Parameters={"rows": "7"})])

    [found] = glue.get_partitions(**in_table(ExcludeColumnSchema=True))["Partitions"]
    assert found["Parameters"] == {"rows": "7"}
    assert found["StorageDescriptor"]["Location"].endswith("/2025/9/1/")
    assert "Columns" not in found["StorageDescriptor"]


def test_a_partition_moves_to_another_location_by_an_update(aws: StandIn) -> None:
    """BatchUpdatePartition replaces what is kept of the partition; one that is not there is an error of its own."""
    glue = make_table(aws)
    create(glue, days(1))
    moved = partition("2025", "9", "1")
    moved["StorageDescriptor"]["Location"] = f"s3://{BUCKET}/elsewhere/"
    entries = [
        {"PartitionValueList": moved["Values"], "PartitionInput": moved},
        {"PartitionValueList": ["2025", "9", "2"], "PartitionInput": partition("2025", "9", "2")},
    ]

    [error] = glue.batch_update_partition(**in_table(Entries=entries))["Errors"]
    assert error["PartitionValueList"] == ["2025", "9", "2"]
    assert error["ErrorDetail"]["ErrorCode"] == "EntityNotFoundException"
    [found] = glue.get_partitions(**in_table())["Partitions"]
    assert found["StorageDescriptor"]["Location"] == f"s3://{BUCKET}/elsewhere/"


def test_glue_wants_a_value_for_each_key(aws: StandIn) -> None:
    """A partition without its day is refused."""
    glue = make_table(aws)

    code, message = refusal(create, glue=glue, partitions=[partition("2025", "9")])
    assert code == "InvalidInputException"
    assert "number of partition keys do not match" in message


def test_glue_says_what_is_missing(aws: StandIn) -> None:
    """The words for a missing database, table and partition are AWS's."""
    glue = make_table(aws)

    assert refusal(glue.get_table, DatabaseName="nowhere", Name=TABLE) == (
        "EntityNotFoundException",
        "Database nowhere not found.",
    )
    assert refusal(glue.get_table, DatabaseName=DATABASE, Name="none") == (
        "EntityNotFoundException",
        "Entity Not Found",
    )
    assert refusal(glue.get_partition, **in_table(PartitionValues=["2025", "9", "1"])) == (
        "EntityNotFoundException",
        "Cannot find partition.",
    )


def test_glue_finds_tables_by_an_expression_and_updates_them(aws: StandIn) -> None:
    """An expression fits the whole name, and UpdateTable replaces the parameters."""
    glue = make_table(aws)
    glue.create_table(DatabaseName=DATABASE, TableInput=table_input(f"{TABLE}_old"))
    glue.update_table(DatabaseName=DATABASE, TableInput=table_input(TABLE) | {"Parameters": {"schema": "2"}})

    def names(expression: str) -> list[str]:
        found = glue.get_tables(DatabaseName=DATABASE, Expression=expression)["TableList"]
        return [table["Name"] for table in found]

    assert names(TABLE) == [TABLE]
    assert names(f"{TABLE}*") == [TABLE, f"{TABLE}_old"]
    assert glue.get_table(DatabaseName=DATABASE, Name=TABLE)["Table"]["Parameters"] == {"schema": "2"}


# QuickSight ----------------------------------------------------------------------------------------------------------


def make_rows(aws: StandIn, rows: int, day: str = "10") -> None:
    """A day of so many rows in the table that the data set reads."""
    s3, glue = client(aws, "s3"), client(aws, "glue")
    if not s3.list_buckets()["Buckets"]:
        s3.create_bucket(Bucket=BUCKET)
        make_table(aws)
    file = io.BytesIO()
    pq.write_table(pa.table({"ou": ["Data"] * rows}), file)
    s3.put_object(Bucket=BUCKET, Key=f"ou_breakdown/2025/9/{day}/rows.parquet", Body=file.getvalue())
    create(glue, [partition("2025", "9", day)])


class Refreshes:
    """The ingestions of one data set, as a client sees them."""

    def __init__(self, aws: StandIn, data_set: str = "ou-breakdown") -> None:
        self.client = client(aws, "quicksight")
        self.whose = {"AwsAccountId": aws.account, "DataSetId": data_set}

    def start(self, ingestion_id: str, **more: Any) -> dict[str, Any]:
        return self.client.create_ingestion(**self.whose, IngestionId=ingestion_id, **more)

    def describe(self, ingestion_id: str) -> dict[str, Any]:
        return self.client.describe_ingestion(**self.whose, IngestionId=ingestion_id)["Ingestion"]

    def states(self, ingestion_id: str, looks: int) -> list[str]:
        return [self.describe(ingestion_id)["IngestionStatus"] for _ in range(looks)]

    def finish(self, ingestion_id: str) -> dict[str, Any]:
        return [self.describe(ingestion_id) for _ in range(3)][-1]


@pytest.fixture
def refreshes(aws: StandIn) -> Refreshes:
    make_rows(aws, 3)
    aws.quicksight.add_data_set("ou-breakdown")
    return Refreshes(aws)


def test_an_ingestion_goes_through_its_states_and_counts_the_rows_of_the_table(
    aws: StandIn, refreshes: Refreshes, clock: Clock
) -> None:
    """It ends with the number of rows that the table has at that moment, not when it was started."""
    started = refreshes.start("daily-20250910")
    make_rows(aws, 4, day="11")
    clock.now += timedelta(seconds=42)

    assert (started["Status"], started["IngestionStatus"]) == (201, "INITIALIZED")
    assert refreshes.states("daily-20250910", 4) == ["QUEUED", "RUNNING", "COMPLETED", "COMPLETED"]
    done = refreshes.describe("daily-20250910")
    assert done["RowInfo"] == {"RowsIngested": 7, "RowsDropped": 0, "TotalRowsInDataset": 7}
    assert done["IngestionTimeInSeconds"] == 42
    assert done["IngestionSizeInBytes"] > 0
    assert (done["RequestSource"], done["RequestType"]) == ("MANUAL", "FULL_REFRESH")
    assert done["CreatedTime"] == START
    assert done["Arn"].endswith("dataset/ou-breakdown/ingestion/daily-20250910")


def test_an_ingestion_can_follow_the_clock(aws: StandIn, refreshes: Refreshes, clock: Clock) -> None:
    """With seconds_per_step looking at it changes nothing, and time does, looked at or not."""
    aws.quicksight.seconds_per_step = 10
    refreshes.start("slow")

    assert refreshes.states("slow", 2) == ["INITIALIZED", "INITIALIZED"]
    clock.now += timedelta(seconds=15)
    assert refreshes.states("slow", 2) == ["QUEUED", "QUEUED"]
    clock.now += timedelta(seconds=15)
    assert refreshes.states("slow", 1) == ["COMPLETED"]


def test_an_ingestion_id_is_used_once(refreshes: Refreshes) -> None:
    """A used id is ResourceExistsException, which a restarted run meets, and the first ingestion goes on."""
    refreshes.start("daily-20250910")

    assert refusal(refreshes.start, ingestion_id="daily-20250910")[0] == "ResourceExistsException"
    assert refreshes.finish("daily-20250910")["IngestionStatus"] == "COMPLETED"


@pytest.mark.parametrize(
    ("data_set", "account", "ingestion_id", "code"),
    [
        ("ou-breakdown", "123456789012", "daily 2025/09/10", "InvalidParameterValueException"),
        ("ou-breakdown", "123456789012", "d" * 129, "InvalidParameterValueException"),
        ("elsewhere", "123456789012", "daily", "ResourceNotFoundException"),
        ("ou-breakdown", "999999999999", "daily", "AccessDeniedException"),
        ("live", "123456789012", "daily", "InvalidParameterValueException"),
    ],
    ids=["forbidden characters", "too long", "no such data set", "another account", "not in SPICE"],
)
def test_quicksight_refuses_what_it_cannot_ingest(
    aws: StandIn, refreshes: Refreshes, data_set: str, account: str, ingestion_id: str, code: str
) -> None:
    """Each wrong id has its own error, and nothing is started."""
    aws.quicksight.add_data_set("live", mode="DIRECT_QUERY")
    wrong = Refreshes(aws, data_set)
    wrong.whose["AwsAccountId"] = account

    assert refusal(wrong.start, ingestion_id=ingestion_id)[0] == code
    assert aws.quicksight.ingestions == []


@pytest.mark.parametrize(("edition", "limit"), [("ENTERPRISE", 32), ("STANDARD", 8)])
def test_manual_refreshes_of_a_day_are_limited(
    aws: StandIn, refreshes: Refreshes, clock: Clock, edition: str, limit: int
) -> None:
    """Beyond the edition's number in a rolling 24 hours a refresh is refused, until the oldest is a day old."""
    aws.quicksight.edition = edition
    for number in range(limit):
        refreshes.start(f"refresh-{number}")
        clock.now += timedelta(minutes=1)

    assert refusal(refreshes.start, ingestion_id="once-more")[0] == "LimitExceededException"
    clock.now = START + timedelta(hours=24)
    refreshes.start("once-more")


def test_an_ingestion_fails_as_ordered(aws: StandIn, refreshes: Refreshes) -> None:
    """The failure shows in ErrorInfo, without RowInfo, and the next ingestion is not touched by it."""
    aws.quicksight.fail_next("SQL_TABLE_NOT_FOUND", "Table finops_db.ou_breakdown does not exist")
    refreshes.start("first")
    failed = refreshes.finish("first")
    refreshes.start("second")

    assert failed["IngestionStatus"] == "FAILED"
    assert failed["ErrorInfo"] == {
        "Type": "SQL_TABLE_NOT_FOUND",
        "Message": "Table finops_db.ou_breakdown does not exist",
    }
    assert "RowInfo" not in failed
    assert refreshes.finish("second")["IngestionStatus"] == "COMPLETED"
    with pytest.raises(ValueError, match="not an IngestionErrorType"):
        aws.quicksight.fail_next("NO_SUCH_TYPE")


def test_an_ingestion_of_a_table_that_is_gone_fails(aws: StandIn, refreshes: Refreshes) -> None:
    """What the query dies of is what the ingestion says."""
    client(aws, "glue").delete_table(DatabaseName=DATABASE, Name=TABLE)
    refreshes.start("daily")

    failed = refreshes.finish("daily")
    assert (failed["IngestionStatus"], failed["ErrorInfo"]["Type"]) == ("FAILED", "SQL_TABLE_NOT_FOUND")


def test_rows_are_dropped_as_ordered(aws: StandIn, refreshes: Refreshes) -> None:
    """Dropped rows are missing from the ingested ones, and the ingestion is COMPLETED all the same."""
    aws.quicksight.drop_next(2)
    refreshes.start("daily")

    done = refreshes.finish("daily")
    assert (done["IngestionStatus"], done["RowInfo"]["RowsIngested"], done["RowInfo"]["RowsDropped"]) == (
        "COMPLETED",
        1,
        2,
    )


def test_a_second_ingestion_waits_for_the_first(aws: StandIn, refreshes: Refreshes) -> None:
    """One ingestion of a data set runs at a time; the waiting one says which it waits for, and then has its turn."""
    aws.quicksight.hold_running()
    refreshes.start("first")
    refreshes.start("second")

    assert refreshes.states("first", 4) == ["QUEUED", "RUNNING", "RUNNING", "RUNNING"]
    waiting = refreshes.describe("second")
    assert waiting["IngestionStatus"] == "QUEUED"
    assert waiting["QueueInfo"] == {"WaitingOnIngestion": "second", "QueuedIngestion": "first"}
    aws.quicksight.hold_running(False)
    assert refreshes.states("second", 3) == ["QUEUED", "RUNNING", "COMPLETED"]
    assert refreshes.describe("first")["IngestionStatus"] == "COMPLETED"


def test_a_cancelled_ingestion_stays_cancelled(refreshes: Refreshes) -> None:
    """CancelIngestion ends an unfinished ingestion and leaves a finished one as it is."""
    for name in ("done", "cancelled"):
        refreshes.start(name)
    refreshes.finish("done")
    for name in ("done", "cancelled"):
        refreshes.client.cancel_ingestion(**refreshes.whose, IngestionId=name)

    assert refreshes.states("cancelled", 2) == ["CANCELLED", "CANCELLED"]
    assert refreshes.states("done", 1) == ["COMPLETED"]


def test_ingestions_are_listed_newest_first_in_pages(refreshes: Refreshes) -> None:
    """A page holds at most MaxResults, and the token leads to older ones."""
    for number in range(5):
        refreshes.start(f"refresh-{number}")
    pages = list(
        refreshes.client.get_paginator("list_ingestions").paginate(**refreshes.whose, PaginationConfig={"PageSize": 2})
    )

    assert [[each["IngestionId"] for each in page["Ingestions"]] for page in pages] == [
        ["refresh-4", "refresh-3"],
        ["refresh-2", "refresh-1"],
        ["refresh-0"],
    ]
    assert refusal(refreshes.client.list_ingestions, **refreshes.whose, MaxResults=101)[0].startswith("InvalidParam")


def test_a_data_set_made_through_the_api_ingests_at_once(aws: StandIn) -> None:
    """CreateDataSet in SPICE starts an INITIAL_INGESTION over its table; DeleteDataSet takes it all away."""
    make_rows(aws, 5)
    refreshes = Refreshes(aws, "made")
    source = f"arn:aws:quicksight:us-east-1:{aws.account}:datasource/athena"
    table = {"DataSourceArn": source, "Schema": DATABASE, "Name": TABLE, "InputColumns": []}
    made = refreshes.client.create_data_set(
        **refreshes.whose,
        Name="OU breakdown",
        ImportMode="SPICE",
        PhysicalTableMap={"rows": {"RelationalTable": table}},
    )

    done = refreshes.finish(made["IngestionId"])
    assert (done["RequestType"], done["RowInfo"]["RowsIngested"]) == ("INITIAL_INGESTION", 5)
    described = refreshes.client.describe_data_set(**refreshes.whose)["DataSet"]
    assert (described["Name"], described["ImportMode"]) == ("OU breakdown", "SPICE")
    listed = refreshes.client.list_data_sets(AwsAccountId=aws.account)["DataSetSummaries"]
    assert [each["DataSetId"] for each in listed] == ["made"]
    refreshes.client.delete_data_set(**refreshes.whose)
    assert refusal(refreshes.describe, ingestion_id=made["IngestionId"])[0] == "ResourceNotFoundException"


# SES -----------------------------------------------------------------------------------------------------------------

SENDER = "finops@example.com"


def digest(to: str = "ann@example.org", sender: str = SENDER) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, to, "AWS cost of 2025-09-10: größer"
    message["Message-ID"], message["Date"] = "<ours@finops>", "Thu, 11 Sep 2025 07:00:00 +0000"
    message.set_content("The day cost 12.34 USD.")
    return message


class Sender:
    """Sends raw messages as the platform does."""

    def __init__(self, aws: StandIn) -> None:
        self.client = client(aws, "sesv2")

    def __call__(self, message: EmailMessage | None = None, **more: Any) -> str:
        raw = (message or digest()).as_bytes()
        return self.client.send_email(Content={"Raw": {"Data": raw}}, **more)["MessageId"]


@pytest.fixture
def send(aws: StandIn) -> Sender:
    aws.mail.verify(SENDER)
    return Sender(aws)


def test_ses_keeps_what_it_accepted(aws: StandIn, send: Sender, clock: Clock) -> None:
    """The whole message is there to look at, under SES's own Message-ID and Date, and as it was submitted too."""
    send.client.create_configuration_set(ConfigurationSetName="digests")
    message_id = send(ConfigurationSetName="digests", EmailTags=[{"Name": "day", "Value": "2025-09-10"}])

    [sent] = aws.mail.to("ann@example.org")
    assert (sent.message_id, sent.sender, sent.recipients) == (message_id, SENDER, ("ann@example.org",))
    assert (sent.configuration_set, sent.tags, sent.at) == ("digests", {"day": "2025-09-10"}, clock.now)
    assert sent.message["Subject"] == "AWS cost of 2025-09-10: größer"
    assert sent.message.get_content() == "The day cost 12.34 USD.\n"
    assert sent.message["Message-ID"] == f"<{message_id}@email.amazonses.com>"
    assert sent.submitted["Message-ID"] == "<ours@finops>"


def test_ses_sends_the_same_message_twice_when_asked_twice(aws: StandIn, send: Sender) -> None:
    """There is no idempotency in SES: a repeated request is another message."""
    assert send() != send()
    assert len(aws.mail.sent) == 2


def test_an_unverified_sender_is_rejected(aws: StandIn, send: Sender) -> None:
    """The message names the identity and the region; verifying its domain, through the API, is enough."""
    from_elsewhere = digest(sender="FinOps <costs@billing.example.net>")
    assert refusal(send, message=from_elsewhere) == (
        "MessageRejected",
        (
            "Email address is not verified. The following identities failed the check in region US-EAST-1: "
            "costs@billing.example.net"
        ),
    )
    assert aws.mail.sent == []

    created = send.client.create_email_identity(EmailIdentity="example.net")
    assert (created["IdentityType"], created["VerifiedForSendingStatus"]) == ("DOMAIN", False)
    aws.mail.verify("example.net")
    assert send.client.get_email_identity(EmailIdentity="example.net")["VerificationStatus"] == "SUCCESS"
    send(from_elsewhere)


def test_the_sandbox_takes_verified_recipients_only(aws: StandIn, send: Sender) -> None:
    """In the sandbox the recipient is checked like the sender, and GetAccount says that it is one."""
    aws.mail.sandbox = True

    assert send.client.get_account()["ProductionAccessEnabled"] is False
    code, message = refusal(send)
    assert (code, message.rpartition(": ")[2]) == ("MessageRejected", "ann@example.org")
    aws.mail.verify("ann@example.org")
    send()


@pytest.mark.parametrize(
    ("recipient", "message"),
    [
        ("ann.example.org", "Missing final '@domain'"),
        ("ann lee@example.org", "Local address contains control or whitespace"),
        ("änn@example.org", "Local address contains control or whitespace"),
        ("ann@example .org", "Domain contains control or whitespace"),
        ("ann@exämple.org", "Domain contains illegal character"),
        ("ann@example.org.", "Missing domain"),
        ("Lee, Ann <ann@example.org>", "Illegal address"),
    ],
    ids=["no domain", "space", "local part not ASCII", "space in domain", "domain not ASCII", "final dot", "comma"],
)
def test_one_malformed_address_refuses_the_whole_message(
    aws: StandIn, send: Sender, recipient: str, message: str
) -> None:
    """Nobody gets anything, the well-formed recipients neither."""
    to = {"ToAddresses": ["bob@example.org", recipient]}

    assert refusal(send, Destination=to) == ("BadRequestException", message)
    assert aws.mail.sent == []


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ("To: ann@example.org", "Missing required header 'From'."),
        ("From: finops@example.com", "Missing required header 'To'."),
        ("From: finops@example.com\nTo: ann lee@example.org", "Local address contains control or whitespace"),
    ],
    ids=["no sender", "no recipient", "malformed recipient"],
)
def test_ses_reads_the_addresses_of_the_message_where_the_request_names_none(
    aws: StandIn, send: Sender, headers: str, message: str
) -> None:
    """The headers are held to the same rules as the request."""
    raw = {"Raw": {"Data": f"{headers}\n\nThe day cost 12.34 USD.\n".encode()}}

    assert refusal(send.client.send_email, Content=raw) == ("BadRequestException", message)
    assert aws.mail.sent == []


def test_ses_takes_fifty_recipients(aws: StandIn, send: Sender) -> None:
    """To, Cc and Bcc count together."""
    everybody = [f"reader{number}@example.org" for number in range(51)]

    assert refusal(send, Destination={"ToAddresses": everybody[:25], "BccAddresses": everybody[25:]}) == (
        "BadRequestException",
        "Recipient count exceeds 50.",
    )
    send(Destination={"ToAddresses": everybody[:25], "BccAddresses": everybody[25:50]})
    assert len(aws.mail.sent[0].recipients) == 50


def test_ses_takes_forty_megabytes(aws: StandIn, send: Sender) -> None:
    """A larger message, attachments in base64 included, is refused with both numbers; a test can lower the limit."""
    assert aws.mail.max_message == 40 * 1024 * 1024
    largest = digest().as_bytes().ljust(10_000, b"=")
    aws.mail.max_message = len(largest)

    assert refusal(send.client.send_email, Content={"Raw": {"Data": largest + b"="}}) == (
        "BadRequestException",
        "Message length is more than 10000 bytes long: '10001'.",
    )
    send.client.send_email(Content={"Raw": {"Data": largest}})
    assert [each.raw for each in aws.mail.sent] == [largest]


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        ({"ConfigurationSetName": "none"}, "NotFoundException", "Configuration set <none> does not exist."),
        (
            {"EmailTags": [{"Name": "day", "Value": "2025/09/10"}]},
            "BadRequestException",
            "Invalid tag value <2025/09/10>, only alphanumeric ASCII characters, '_', and '-' are allowed.",
        ),
    ],
    ids=["configuration set", "tag"],
)
def test_ses_refuses_what_it_does_not_know(
    aws: StandIn, send: Sender, more: dict[str, Any], code: str, message: str
) -> None:
    """An unknown configuration set and a malformed tag are refused before anything is sent."""
    assert refusal(send, **more) == (code, message)
    assert aws.mail.sent == []


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("TooManyRequestsException", "Maximum sending rate exceeded."),
        ("TooManyRequestsException", "Daily message quota exceeded."),
        ("SendingPausedException", "Sending paused for this account."),
        ("AccountSuspendedException", "This account is suspended."),
        ("MailFromDomainNotVerifiedException", "The MAIL FROM domain is not verified."),
        ("MessageRejected", "Message rejected."),
    ],
)
def test_ses_fails_for_one_recipient_as_ordered(aws: StandIn, send: Sender, code: str, message: str) -> None:
    """The error comes once, for the recipient that it was ordered for, and the refused message counts nowhere."""
    aws.mail.fail_next(code, message, for_recipient="bob@example.org")

    send()
    assert refusal(send, message=digest(to="bob@example.org")) == (code, message)
    send(digest(to="bob@example.org"))
    assert [each.recipients for each in aws.mail.sent] == [("ann@example.org",), ("bob@example.org",)]


def test_the_daily_quota_counts_recipients_of_24_hours(aws: StandIn, send: Sender, clock: Clock) -> None:
    """GetAccount tells what was sent; at the quota messages are refused until a day has gone by."""
    aws.mail.max_24_hour_send = 3
    send(Destination={"ToAddresses": ["ann@example.org", "bob@example.org"]})
    send()

    quota = send.client.get_account()["SendQuota"]
    assert (quota["Max24HourSend"], quota["SentLast24Hours"]) == (3.0, 3.0)
    assert refusal(send) == ("TooManyRequestsException", "Daily message quota exceeded.")
    clock.now += timedelta(hours=24)
    send()


def test_a_paused_account_says_so(aws: StandIn, send: Sender) -> None:
    """Sending is refused, and GetAccount tells it beforehand."""
    aws.mail.sending_enabled = False

    assert send.client.get_account()["SendingEnabled"] is False
    code, message = refusal(send)
    assert code == "SendingPausedException"
    assert message.startswith("Sending paused for this account.")


def test_a_suppressed_recipient_bounces_after_acceptance(aws: StandIn, send: Sender) -> None:
    """SES accepts the message, counts it, and delivers nothing: the bounce is recorded."""
    send.client.put_suppressed_destination(EmailAddress="ann@example.org", Reason="BOUNCE")
    found = send.client.get_suppressed_destination(EmailAddress="ann@example.org")["SuppressedDestination"]
    send()

    assert found["Reason"] == "BOUNCE"
    assert aws.mail.sent[0].bounced == ("ann@example.org",)
    assert refusal(send.client.get_suppressed_destination, EmailAddress="bob@example.org")[0] == "NotFoundException"


def test_the_suppression_list_keeps_the_case_of_an_address(aws: StandIn, send: Sender) -> None:
    """An entry is found and removed in its own case only; mail is dropped in any."""
    send.client.put_suppressed_destination(EmailAddress="Ann@example.org", Reason="COMPLAINT")
    send()

    assert aws.mail.sent[0].bounced == ("ann@example.org",)
    for call in (send.client.get_suppressed_destination, send.client.delete_suppressed_destination):
        assert refusal(call, EmailAddress="ann@example.org")[0] == "NotFoundException"
    send.client.delete_suppressed_destination(EmailAddress="Ann@example.org")
    assert not aws.mail.suppressed


def test_what_ses_is_not_imitated_for_is_refused_loudly(aws: StandIn, send: Sender) -> None:
    """A message that is not raw gets an error of the stand-in's own, which no client tries again."""
    simple = {"Subject": {"Data": "cost"}, "Body": {"Text": {"Data": "12.34"}}}

    code, _ = refusal(
        send.client.send_email,
        FromEmailAddress=SENDER,
        Destination={"ToAddresses": ["ann@example.org"]},
        Content={"Simple": simple},
    )
    assert code == "StandInDoesNotKnow"
    assert aws.refused == ["sesv2 SendEmail"]
    assert aws.calls.count("sesv2", "SendEmail") == 1


# Organizations -------------------------------------------------------------------------------------------------------


def walk(organizations: Any, parent: str, path: str = "") -> dict[str, str]:
    """Account id to the path of OU names, by the calls that the platform will use."""
    found = {
        account["Id"]: path
        for page in organizations.get_paginator("list_accounts_for_parent").paginate(ParentId=parent)
        for account in page["Accounts"]
    }
    units = organizations.get_paginator("list_organizational_units_for_parent").paginate(ParentId=parent)
    for unit in [unit for page in units for unit in page["OrganizationalUnits"]]:
        found |= walk(organizations, unit["Id"], f"{path}/{unit['Name']}".strip("/"))
    return found


TREE = {
    "Engineering": {"Platform": {"Data": {"222222222222": "lake"}}, "333333333333": "build"},
    "Sandbox": {},
    "111111111111": "audit",
}


@pytest.mark.parametrize("empty_page_every", [0, 2, 5])
def test_the_tree_is_walked_from_the_root(aws: StandIn, empty_page_every: int) -> None:
    """Every account is found once, in its OU, however many pages come empty in between."""
    aws.organizations.grow(TREE)
    aws.organizations.empty_page_every = empty_page_every
    organizations = client(aws, "organizations")
    [root] = [root for page in organizations.get_paginator("list_roots").paginate() for root in page["Roots"]]

    assert walk(organizations, root["Id"]) == {
        "123456789012": "",
        "111111111111": "",
        "333333333333": "Engineering",
        "222222222222": "Engineering/Platform/Data",
    }


def test_accounts_come_in_pages_of_twenty(aws: StandIn) -> None:
    """No page is longer, a page can be empty and still lead on, and the token leads to every account."""
    aws.organizations.grow({f"{number:012d}": f"account {number}" for number in range(1, 101)})
    pages = list(client(aws, "organizations").get_paginator("list_accounts").paginate())

    sizes = [len(page["Accounts"]) for page in pages]
    assert max(sizes) == 20
    assert 0 in sizes
    assert len({account["Id"] for page in pages for account in page["Accounts"]}) == sum(sizes) == 101
    assert refusal(client(aws, "organizations").list_accounts, MaxResults=21)[0] == "InvalidInputException"
    assert refusal(client(aws, "organizations").list_accounts, NextToken="forged")[0] == "InvalidInputException"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (("State",), {"State": "CLOSED"}),
        (("Status",), {"Status": "SUSPENDED"}),
        (("State", "Status"), {"State": "CLOSED", "Status": "SUSPENDED"}),
    ],
    ids=["today", "before State", "while both were told"],
)
def test_an_account_has_a_state_or_the_retired_status(
    aws: StandIn, fields: tuple[str, ...], expected: dict[str, str]
) -> None:
    """A test chooses which of them are told; Status has no word for a closed account."""
    aws.organizations.add_account("111111111111", "old", "Retired", state="CLOSED")
    aws.organizations.state_fields = fields

    account = client(aws, "organizations").describe_account(AccountId="111111111111")["Account"]
    assert {name: account[name] for name in ("State", "Status") if name in account} == expected


def test_paths_and_parents_tell_where_an_account_is(aws: StandIn) -> None:
    """Paths, ListParents and DescribeOrganizationalUnit agree, and follow a move by the API or by a test."""
    data, organizations = aws.organizations.add_ou("Engineering/Data"), client(aws, "organizations")
    aws.organizations.empty_page_every = 0
    aws.organizations.add_account("111111111111", "lake", "Engineering/Data")
    unit = organizations.describe_organizational_unit(OrganizationalUnitId=data)["OrganizationalUnit"]
    account = organizations.describe_account(AccountId="111111111111")["Account"]

    assert unit["Name"] == "Data"
    assert account["Paths"] == [unit["Path"] + "111111111111/"]
    assert organizations.list_parents(ChildId="111111111111")["Parents"] == [
        {"Id": data, "Type": "ORGANIZATIONAL_UNIT"}
    ]
    sandbox = aws.organizations.add_ou("Sandbox")
    organizations.move_account(AccountId="111111111111", SourceParentId=data, DestinationParentId=sandbox)
    assert organizations.list_parents(ChildId="111111111111")["Parents"][0]["Id"] == sandbox
    aws.organizations.move_account("111111111111", "")
    assert organizations.list_parents(ChildId="111111111111")["Parents"][0]["Type"] == "ROOT"


@pytest.mark.parametrize(
    ("operation", "params", "code"),
    [
        ("list_accounts_for_parent", {"ParentId": "ou-fin0-99999999"}, "ParentNotFoundException"),
        ("list_organizational_units_for_parent", {"ParentId": "ou-fin0-99999999"}, "ParentNotFoundException"),
        ("list_parents", {"ChildId": "999999999999"}, "ChildNotFoundException"),
        ("describe_account", {"AccountId": "999999999999"}, "AccountNotFoundException"),
        (
            "describe_organizational_unit",
            {"OrganizationalUnitId": "ou-fin0-99999999"},
            "OrganizationalUnitNotFoundException",
        ),
        (
            "move_account",
            {"AccountId": "123456789012", "SourceParentId": "ou-fin0-99999999", "DestinationParentId": "r-fin0"},
            "SourceParentNotFoundException",
        ),
    ],
)
def test_organizations_says_what_is_missing(aws: StandIn, operation: str, params: dict[str, str], code: str) -> None:
    """Each missing thing has its own error."""
    assert refusal(getattr(client(aws, "organizations"), operation), **params)[0] == code


def test_organizations_can_be_denied_throttled_or_not_in_use(aws: StandIn) -> None:
    """The three reasons for which no map of accounts can be had, in AWS's words."""
    organizations = client(aws, "organizations")
    aws.organizations.throttle_next()
    assert refusal(organizations.list_roots)[0] == "TooManyRequestsException"
    assert organizations.describe_organization()["Organization"]["MasterAccountId"] == aws.account

    aws.organizations.in_use = False
    assert refusal(organizations.list_roots) == (
        "AWSOrganizationsNotInUseException",
        "Your account is not a member of an organization.",
    )
    aws.organizations.deny()
    assert refusal(organizations.list_roots) == (
        "AccessDeniedException",
        "You don't have permissions to access this resource.",
    )


# SNS, CloudWatch, STS ------------------------------------------------------------------------------------------------


@pytest.fixture
def topic(aws: StandIn) -> str:
    return client(aws, "sns").create_topic(Name="finops-alerts")["TopicArn"]


def test_sns_keeps_what_was_published(aws: StandIn, topic: str) -> None:
    """Subject and message are there to look at; a subject of 100 characters and a message of 256 KiB still pass."""
    message_id = client(aws, "sns").publish(TopicArn=topic, Subject="!" * 100, Message="é" * 131_072)["MessageId"]

    [published] = aws.topics.published
    assert (published.topic, published.subject, published.message_id) == (topic, "!" * 100, message_id)
    assert published.message == "é" * 131_072


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"Subject": "x" * 101, "Message": "late"}, "Invalid parameter: Subject"),
        ({"Subject": "digest\nfailed", "Message": "late"}, "Invalid parameter: Subject"),
        ({"Subject": "größer", "Message": "late"}, "Invalid parameter: Subject"),
        ({"Subject": " late", "Message": "late"}, "Invalid parameter: Subject"),
        ({"Subject": "", "Message": "late"}, "Invalid parameter: Subject"),
        ({"Message": "é" * 131_072 + "x"}, "Invalid parameter: Message too long"),
        ({"Message": ""}, "Invalid parameter: Empty message"),
    ],
    ids=["long", "line break", "not ASCII", "begins with a space", "empty", "message too long", "empty message"],
)
def test_sns_refuses_what_it_cannot_deliver(aws: StandIn, topic: str, params: dict[str, str], message: str) -> None:
    """The error says which parameter, and nothing is published."""
    assert refusal(client(aws, "sns").publish, TopicArn=topic, **params) == ("InvalidParameter", message)
    assert aws.topics.published == []


def test_a_missing_topic_is_not_found(aws: StandIn) -> None:
    """Publishing to it is NotFound, and is not recorded as published."""
    missing = f"arn:aws:sns:us-east-1:{aws.account}:none"

    assert refusal(client(aws, "sns").publish, TopicArn=missing, Message="late")[0] == "NotFound"
    assert aws.topics.published == []


def test_an_email_subscription_waits_for_its_confirmation(aws: StandIn, topic: str) -> None:
    """It is listed as PendingConfirmation until its owner confirms, unlike a queue, which needs no confirmation."""
    sns = client(aws, "sns")
    queue = client(aws, "sqs").create_queue(QueueName="alerts")["QueueUrl"].rpartition("/")[2]
    subscribed = sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="oncall@example.com")
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:us-east-1:{aws.account}:{queue}")

    def arns() -> dict[str, str]:
        listed = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
        return {each["Protocol"]: each["SubscriptionArn"] for each in listed}

    assert subscribed["SubscriptionArn"] == "pending confirmation"
    assert arns()["email"] == "PendingConfirmation"
    assert arns()["sqs"].startswith(topic)
    aws.topics.confirm("oncall@example.com")
    assert arns()["email"].startswith(topic)


def metric(at: datetime, value: float = 12.5, name: str = "DailyCost") -> dict[str, Any]:
    return {"MetricName": name, "Timestamp": at, "Value": value, "Unit": "None"}


def test_cloudwatch_keeps_metrics(aws: StandIn, clock: Clock) -> None:
    """What was put can be read."""
    cloudwatch = client(aws, "cloudwatch")
    cloudwatch.put_metric_data(Namespace="FinOps", MetricData=[metric(clock.now)])

    points = cloudwatch.get_metric_statistics(
        Namespace="FinOps",
        MetricName="DailyCost",
        StartTime=clock.now - timedelta(hours=1),
        EndTime=clock.now + timedelta(hours=1),
        Period=3600,
        Statistics=["Sum"],
    )["Datapoints"]
    assert [point["Sum"] for point in points] == [12.5]


def test_cloudwatch_takes_a_batch_that_the_client_compresses(aws: StandIn, clock: Clock) -> None:
    """botocore sends more than 10 kB of metrics gzipped."""
    cloudwatch = client(aws, "cloudwatch")
    many = [metric(clock.now, name=f"Metric{number}") for number in range(300)]
    cloudwatch.put_metric_data(Namespace="FinOps", MetricData=many)

    listed = cloudwatch.get_paginator("list_metrics").paginate(Namespace="FinOps")
    assert sum(len(page["Metrics"]) for page in listed) == 300


@pytest.mark.parametrize(
    ("namespace", "age", "value", "complaint"),
    [
        ("FinOps", timedelta(days=15), 1.0, "MetricData.member.1.Timestamp must specify a time within the past two"),
        ("FinOps", timedelta(hours=-3), 1.0, "MetricData.member.1.Timestamp must specify a time no more than two"),
        ("FinOps", timedelta(0), float("nan"), "for parameter MetricData.member.1.Value is invalid"),
        ("FinOps", timedelta(0), 2.0**361, "for parameter MetricData.member.1.Value is invalid"),
        ("AWS/FinOps", timedelta(0), 1.0, "for parameter Namespace is invalid"),
    ],
    ids=["old", "in the future", "not a number", "too large", "AWS's own namespace"],
)
def test_cloudwatch_refuses_points_it_could_not_keep(
    aws: StandIn, clock: Clock, namespace: str, age: timedelta, value: float, complaint: str
) -> None:
    """The whole call is refused, and the point is named."""
    cloudwatch = client(aws, "cloudwatch")

    code, message = refusal(
        cloudwatch.put_metric_data, Namespace=namespace, MetricData=[metric(clock.now - age, value)]
    )
    assert code == "InvalidParameterValue"
    assert complaint in message
    assert cloudwatch.list_metrics(Namespace=namespace)["Metrics"] == []


def test_sts_tells_who_is_asking(aws: StandIn) -> None:
    """GetCallerIdentity and AssumeRole answer for the stand-in's account."""
    sts = client(aws, "sts")
    role = f"arn:aws:iam::{aws.account}:role/finops-task"

    assert sts.get_caller_identity()["Account"] == aws.account
    assumed = sts.assume_role(RoleArn=role, RoleSessionName="finops")
    assert assumed["AssumedRoleUser"]["Arn"].endswith(":assumed-role/finops-task/finops")


@pytest.mark.parametrize(
    ("action", "code"),
    [
        ("glue:GetTable", "AccessDeniedException"),
        ("s3:PutObject", "AccessDenied"),
        ("sns:Publish", "AuthorizationError"),
    ],
)
def test_a_denial_is_worded_as_iam_does(action: str, code: str) -> None:
    """The message names who, which action, which resource and why."""
    error = denied(action, "arn:aws:somewhere")

    assert error.code == code
    assert error.message == (
        "User: arn:aws:sts::123456789012:assumed-role/finops-task/finops is not authorized to perform: "
        f"{action} on resource: arn:aws:somewhere because no identity-based policy allows the {action} action"
    )
