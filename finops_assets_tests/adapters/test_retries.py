"""Refusals of AWS that pass by themselves: repeated with growing waits, and told with a fix where they last."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from finops_assets.adapters.aws import retries
from finops_assets.adapters.aws.glue_partitions import GlueCatalog
from finops_assets.adapters.aws.glue_tables import GlueTables
from finops_assets.adapters.aws.session import AwsError, AwsSession
from finops_assets.core.errors import ArchiveError
from finops_assets.core.values import PublishedDay
from standin.server import StandIn

BUCKET = "finops-archive"
FIRST = date(2025, 9, 8)


class Waits(list[float]):
    """Remembers what was to be waited for."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)

    @property
    def double(self) -> bool:
        """Whether each wait is about twice the one before, from half a second to a second on."""
        return all(2**n / 2 <= wait <= 2**n for n, wait in enumerate(self))


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def patient(aws: StandIn, waits: Waits) -> AwsSession:
    return AwsSession(endpoint_url=aws.url, sleep=waits)


@pytest.fixture
def catalog(patient: AwsSession, waits: Waits) -> GlueCatalog:
    """It is not read back here, so that it needs no Athena."""
    return GlueCatalog(patient, GlueTables(patient, BUCKET), None, BUCKET, sleep=waits)


def days(count: int) -> list[PublishedDay]:
    made = [FIRST + timedelta(n) for n in range(count)]
    return [PublishedDay(d, "a", "1", 3, Decimal(5), "USD", "billed", "f" * 16, 1000) for d in made]


def keys(*which: PublishedDay) -> list[tuple[str, ...]]:
    return [(str(one.day.year), str(one.day.month), str(one.day.day)) for one in which]


@pytest.mark.parametrize("code", sorted(retries.CONCURRENT | retries.INTERNAL))
def test_a_passing_refusal_is_repeated(aws: StandIn, patient: AwsSession, waits: Waits, code: str) -> None:
    """boto3 gives up at once on each of these; the call comes through at its third try."""
    aws.faults.fail("glue", "GetDatabases", code=code, message="Try again.", times=2)
    assert patient.client("glue").get_databases()["DatabaseList"] == []
    assert aws.calls.count("glue", "GetDatabases") == 3
    assert len(waits) == 2
    assert waits.double


@pytest.mark.parametrize("code", ["ConcurrentModificationException", "InternalServiceException"])
def test_what_does_not_pass_is_told(aws: StandIn, patient: AwsSession, waits: Waits, code: str) -> None:
    """After the last try the error names what AWS said and what to do; the waits are half a minute at most."""
    aws.faults.fail("glue", "GetTables", code=code, message="Busy with something else.", times=None)
    with pytest.raises(AwsError, match="Busy with something else") as caught:
        GlueTables(patient, BUCKET).own_tables()
    assert caught.value.fix == retries.FIXES[code]
    assert aws.calls.count("glue", "GetTables") == retries.ATTEMPTS == len(waits) + 1
    assert sum(waits) <= 31


@pytest.mark.parametrize("code", ["AccessDeniedException", "InvalidInputException", "ExpiredTokenException"])
def test_a_lasting_refusal_is_told_at_once(aws: StandIn, patient: AwsSession, waits: Waits, code: str) -> None:
    """Asking again would only take time."""
    aws.faults.fail("glue", "GetTables", code=code, message="No.", times=None)
    with pytest.raises(AwsError):
        GlueTables(patient, BUCKET).own_tables()
    assert (aws.calls.count("glue", "GetTables"), waits) == (1, [])


@pytest.mark.parametrize(("code", "status"), [("ThrottlingException", 400), ("InternalServiceException", 500)])
def test_what_boto3_repeats_is_left_to_it(
    aws: StandIn, patient: AwsSession, waits: Waits, code: str, status: int
) -> None:
    """Its own wait is not doubled."""
    aws.faults.fail("glue", "GetDatabases", code=code, status=status)
    patient.client("glue").get_databases()
    assert (aws.calls.count("glue", "GetDatabases"), waits) == (2, [])


def test_a_client_of_one_attempt_repeats_nothing(aws: StandIn, patient: AwsSession, waits: Waits) -> None:
    """A mail whose outcome is unknown is not sent again by any retry below the mailer."""
    client = patient.client("sesv2", attempts=1)
    aws.faults.fail("sesv2", "SendEmail", code="InternalServiceErrorException", status=500, times=None)
    aws.faults.fail("sesv2", "SendEmail", code="ConflictException", status=409, times=None)
    content = {"Raw": {"Data": b"Subject: x\n\nx"}}
    with pytest.raises(client.exceptions.ClientError):
        client.send_email(FromEmailAddress="a@example.com", Content=content)
    assert (aws.calls.count("sesv2", "SendEmail"), waits) == (1, [])


def test_two_that_change_one_table_both_come_through(aws: StandIn, catalog: GlueCatalog, waits: Waits) -> None:
    """Glue refuses a whole batch where another one is being written: it is handed over again."""
    aws.faults.fail(
        "glue",
        "BatchCreatePartition",
        code="ConcurrentModificationException",
        message="Update table failed due to concurrent modifications.",
    )
    catalog.register(days(3))
    assert sorted(catalog.registered()) == [one.day for one in days(3)]
    assert aws.calls.count("glue", "BatchCreatePartition") == 2
    assert len(waits) == 1


def partly(aws: StandIn, code: str, times: int = 1) -> list[PublishedDay]:
    """Three days, the second of which Glue refuses within a batch that it takes."""
    wanted = days(3)
    aws.glue.fail_partitions(dict.fromkeys(keys(wanted[1]), code), times=times)
    return wanted


@pytest.mark.parametrize("code", ["ConcurrentModificationException", "InternalServiceException", "ThrottlingException"])
def test_a_passing_error_of_one_entry_is_repeated(aws: StandIn, catalog: GlueCatalog, waits: Waits, code: str) -> None:
    """The entry alone is handed over again, as often as a call would be."""
    catalog.register(partly(aws, code, times=2))
    asked = [call.params["PartitionInputList"] for call in aws.calls.log if call.operation == "BatchCreatePartition"]
    assert [len(batch) for batch in asked] == [3, 1, 1]
    assert len(waits) == 2
    assert waits.double


@pytest.mark.parametrize(
    ("code", "calls"),
    [
        ("ConcurrentModificationException", retries.ATTEMPTS),
        ("ResourceNumberLimitExceededException", 1),
        ("GlueEncryptionException", 1),
    ],
)
def test_an_entry_that_stays_refused_is_named(aws: StandIn, catalog: GlueCatalog, code: str, calls: int) -> None:
    """The others are registered; one that cannot pass is not asked for again."""
    wanted = partly(aws, code, times=100)
    with pytest.raises(ArchiveError, match=f"2025-9-9: {code}"):
        catalog.register(wanted)
    assert sorted(catalog.registered()) == [wanted[0].day, wanted[2].day]
    assert aws.calls.count("glue", "BatchCreatePartition") == calls


def test_a_quota_of_the_day_is_no_throttling() -> None:
    """LimitExceededException of QuickSight and SES does not pass while somebody waits."""
    assert not retries.is_temporary("LimitExceededException")
    assert retries.is_temporary("ThrottlingException")


def test_waits_grow_to_a_bound_and_differ() -> None:
    """However many tries there were, none waits longer than the bound; two writers do not wait the same."""
    assert all(retries.pause(attempt) <= retries.LONGEST_PAUSE for attempt in range(1, 50))
    assert len({retries.pause(3) for _ in range(20)}) > 1
