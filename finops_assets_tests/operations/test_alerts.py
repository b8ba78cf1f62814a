"""Alerts and metrics: people are told whatever the text is, and numbers reach the alarms as what they are."""

from __future__ import annotations

import email
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from finops_assets.adapters.aws.alerts import MAX_BYTES, SNSAlerts, fitting_subject
from finops_assets.adapters.aws.metrics import CloudWatchMetrics
from finops_assets.adapters.aws.session import AwsError, AwsSession
from finops_assets.adapters.local.alerts import FileAlerts, NoMetrics
from finops_assets.core.errors import ArchiveError
from finops_assets.core.ports import METRICS, Alerts
from standin.others import denied
from standin.server import StandIn

AT = datetime(2025, 9, 11, 7, 0, 3, tzinfo=UTC)
NAMESPACE = "FinopsAssets"


@pytest.fixture
def topic(aws: StandIn, session: AwsSession) -> str:
    return session.client("sns").create_topic(Name="finops-alerts")["TopicArn"]


# --- what every adapter of the role promises ----------------------------------------------------------------------

Sent = Callable[[], list[tuple[str, str]]]


class FakeAlerts:
    """Remembers what was sent; what tests of other parts use."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    def send(self, subject: str, text: str) -> str:
        self.sent.append((" ".join(subject.split()), text))
        return f"alert-{len(self.sent)}"


def mails(folder: Path) -> list[tuple[str, str]]:
    found = [email.message_from_bytes(file.read_bytes(), policy=default) for file in sorted(folder.glob("*.eml"))]
    return [(mail["Subject"], mail.get_content().replace("\r\n", "\n")) for mail in found]


@pytest.fixture(params=["files", "SNS", "fake"])
def alerts(request: pytest.FixtureRequest, aws: StandIn, session: AwsSession, topic: str, tmp_path: Path) -> Alerts:
    if request.param == "files":
        return FileAlerts(tmp_path / "new" / "outbox", clock=lambda: AT)
    return SNSAlerts(session, topic) if request.param == "SNS" else FakeAlerts()


@pytest.fixture
def sent(alerts: Alerts, aws: StandIn, tmp_path: Path) -> Sent:
    """Subjects and texts as they arrived."""
    if isinstance(alerts, FakeAlerts):
        return lambda: alerts.sent
    if isinstance(alerts, SNSAlerts):
        return lambda: [(one.subject or "", one.message) for one in aws.topics.published]
    return lambda: mails(tmp_path / "new" / "outbox")


def test_an_alert_arrives_as_it_was_sent(alerts: Alerts, sent: Sent) -> None:
    """Subject and text, with any script in the text; each alert is another one, with an id of its own."""
    ids = [alerts.send("No digest today", f"größe 東京 {n}\nsecond line\n") for n in (1, 2)]
    assert sent() == [("No digest today", f"größe 東京 {n}\nsecond line\n") for n in (1, 2)]
    assert len(set(ids)) == 2
    assert all(ids)


@pytest.mark.parametrize(
    ("subject", "text", "reason"),
    [
        ("Run failed\r\nBcc: x@example.com\n", "text", "line breaks must not become headers"),
        ("Run failed: " + "x" * 300, "text", "a long subject: its beginning arrives"),
        ("  Run failed\x00\x1b[31m\ttab", "text", "control characters of a terminal"),
        ("Run failed \udcff", "half a pair \ud83d", "what was no text in a log"),
        ("Run failed", "", "no text at all"),
        ("Run failed", "x" * 300_000, "a very long text: its beginning arrives"),
    ],
)
def test_an_alert_is_never_lost_for_what_it_says(
    alerts: Alerts, sent: Sent, subject: str, text: str, reason: str
) -> None:
    """The worst subject and text arrive, in one line and as far as they fit."""
    alerts.send(subject, text)
    ((arrived, said),) = sent()
    assert arrived.startswith("Run failed"), reason
    assert "\n" not in arrived
    assert said.startswith(text[:4]), reason


# --- SNS ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "fits", "reason"),
    [
        ("[FinOps] run failed", "[FinOps] run failed", "nothing to do"),
        ("Café Süd – größer “heute”", 'Cafe Sud - grosser "heute"', "accents, dashes, quotes"),
        ("1 000 € → 東京…", "1 000 EUR -> ??...", "signs with a word, scripts without one"),
        ("\n\t run\r\nfailed  twice ", "run failed twice", "one line, and no space first"),
        ("x" * 100, "x" * 99, "shorter than 100 characters"),
        ("x" * 98 + " yz", "x" * 98, "no space last"),
        ("é" * 99, "e" * 99, "counted as it is sent"),
        ("", "Alert", "a subject of nothing"),
        ("\x07", "Alert", "a subject of a bell"),
    ],
)
def test_subjects_are_made_to_fit(
    aws: StandIn, session: AwsSession, topic: str, subject: str, fits: str, reason: str
) -> None:
    """ASCII in one line of less than 100 characters, as readable as it can be; SNS takes every one."""
    assert fitting_subject(subject) == fits, reason
    SNSAlerts(session, topic).send(subject, "text")
    assert [one.subject for one in aws.topics.published] == [fits]


@pytest.mark.parametrize("letter", ["x", "é", "東", "😀"])
def test_a_text_is_cut_between_characters(aws: StandIn, session: AwsSession, topic: str, letter: str) -> None:
    """Up to 262,144 bytes nothing is cut; beyond, the last line says how much there was."""
    alerts = SNSAlerts(session, topic)
    whole = letter * (MAX_BYTES // len(letter.encode()))
    alerts.send("whole", whole)
    alerts.send("cut", whole + "xxxx")
    first, second = (one.message for one in aws.topics.published)
    assert first == whole
    body, note = second.split("\n")
    assert set(body) == {letter}
    assert f"{len(whole.encode()) + 4:,} bytes, SNS takes 262,144" in note
    assert MAX_BYTES - 4 < len(second.encode()) <= MAX_BYTES


def test_the_id_is_sns_own(aws: StandIn, session: AwsSession, topic: str) -> None:
    """What is returned is the MessageId, by which SNS's own logs can be searched."""
    returned = SNSAlerts(session, topic).send("s", "t")
    assert [(one.topic, one.message_id) for one in aws.topics.published] == [(topic, returned)]


NOWHERE = "arn:aws:sns:us-east-1:123456789012:nowhere"


@pytest.mark.parametrize(
    ("arn", "refusal", "says", "fix"),
    [
        (NOWHERE, None, "nowhere (aws.sns_topic_arn", "Set aws.sns_topic_arn (FINOPS_AWS__SNS_TOPIC_ARN) to the ARN"),
        (NOWHERE, denied("sns:Publish", NOWHERE), "permission denied", f"Allow sns:Publish on {NOWHERE}"),
        (NOWHERE, ("InvalidParameter", "Invalid parameter: TopicArn"), "TopicArn", "in the region of aws.region"),
        (NOWHERE, ("KMSAccessDenied", "The ciphertext refers to a key"), "key", "kms:GenerateDataKey and kms:Decrypt"),
    ],
    ids=["no such topic", "denied", "no topic of here", "encrypted"],
)
def test_what_sns_refuses_is_said_in_words(
    aws: StandIn, session: AwsSession, arn: str, refusal: Any, says: str, fix: str
) -> None:
    """The error names the topic and its setting, and what to allow or to set."""
    if refusal:
        code, message = refusal if isinstance(refusal, tuple) else (refusal.code, refusal.message)
        aws.faults.fail("sns", "Publish", code=code, message=message, status=403)
    with pytest.raises(AwsError) as caught:
        SNSAlerts(session, arn).send("s", "t")
    assert says in str(caught.value)
    assert fix in caught.value.fix


# --- files --------------------------------------------------------------------------------------------------------


def test_alerts_as_files_never_replace_each_other(tmp_path: Path) -> None:
    """Names tell the time and a number; 40 at once in one second, from four threads, are 40 whole files."""
    alerts = FileAlerts(tmp_path, clock=lambda: AT)
    start = threading.Barrier(4)

    def send(sender: int) -> list[str]:
        start.wait()
        return [alerts.send(f"alert {sender}", "x" * 1000) for _ in range(10)]

    with ThreadPoolExecutor(4) as threads:
        files = sorted(Path(file).name for sent in threads.map(send, range(4)) for file in sent)
    assert files == sorted(f"alert-20250911T070003Z-{n}.eml" for n in range(1, 41))
    assert sorted(file.name for file in tmp_path.iterdir()) == files
    assert sorted(mails(tmp_path)) == sorted((f"alert {n}", "x" * 1000 + "\n") for n in range(4) for _ in range(10))


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """The error names the folder and what to do, and leaves nothing behind."""
    (tmp_path / "outbox").write_text("in the way")
    with pytest.raises(ArchiveError, match="the alert cannot be written") as caught:
        FileAlerts(tmp_path / "outbox").send("s", "t")
    assert caught.value.where == str(tmp_path / "outbox")
    assert [file.name for file in tmp_path.iterdir()] == ["outbox"]


# --- metrics ------------------------------------------------------------------------------------------------------


def test_metrics_reach_cloudwatch_with_their_units(aws: StandIn, session: AwsSession) -> None:
    """All values of a moment go in one call, each with its unit, as of now and without dimensions."""
    values = {name: 1.5 + n for n, name in enumerate(METRICS)}
    before = datetime.now(UTC).timestamp()
    CloudWatchMetrics(session, NAMESPACE).emit(values)
    after = datetime.now(UTC).timestamp()
    (put,) = [call.params for call in aws.calls.log if call.operation == "PutMetricData"]
    assert put["Namespace"] == NAMESPACE
    assert {one["MetricName"]: (one["Unit"], one["Value"]) for one in put["MetricData"]} == {
        name: (unit, values[name]) for name, unit in METRICS.items()
    }
    # It is sent in whole milliseconds.
    assert all(before - 0.001 <= one["Timestamp"] <= after for one in put["MetricData"])
    assert not any("Dimensions" in one for one in put["MetricData"])
    listed = session.client("cloudwatch").list_metrics(Namespace=NAMESPACE)["Metrics"]
    assert {one["MetricName"] for one in listed} == set(METRICS)


@pytest.mark.parametrize(
    ("values", "error", "reason"),
    [
        ({"DayCost": float("nan")}, ValueError, "an alarm on it would never fire"),
        ({"DayCost": 1.0, "DaysMissing": float("inf")}, ValueError, "nor on it"),
        ({"DayCost": 1.0, "DayCosts": 1.0}, KeyError, "no alarm knows this name"),
    ],
)
def test_no_metric_goes_out_that_no_alarm_understands(
    aws: StandIn, session: AwsSession, values: dict[str, float], error: type[Exception], reason: str
) -> None:
    """A name or a value that is a mistake stops all of them, before anything is sent."""
    with pytest.raises(error):
        CloudWatchMetrics(session, NAMESPACE).emit(values)
    assert aws.calls.count("cloudwatch") == 0, reason


def test_nothing_to_measure_asks_nothing(aws: StandIn, session: AwsSession) -> None:
    """An empty set of values makes no call, and the embedded platform keeps none."""
    CloudWatchMetrics(session, NAMESPACE).emit({})
    NoMetrics().emit({"DayCost": 1.0})
    assert aws.calls.count("cloudwatch") == 0


@pytest.mark.parametrize(
    ("namespace", "refusal", "fix"),
    [
        (NAMESPACE, denied("cloudwatch:PutMetricData", "*"), "Allow cloudwatch:PutMetricData"),
        ("AWS/Mine", None, "Set aws.metrics_namespace"),
    ],
    ids=["denied", "AWS's own namespace"],
)
def test_what_cloudwatch_refuses_is_said_in_words(
    aws: StandIn, session: AwsSession, namespace: str, refusal: Any, fix: str
) -> None:
    """The error names the setting, and what to allow or to set."""
    if refusal:
        aws.faults.fail("cloudwatch", "PutMetricData", code=refusal.code, message=refusal.message, status=403)
    with pytest.raises(AwsError) as caught:
        CloudWatchMetrics(session, namespace).emit({"DayCost": 1.0})
    assert fix in caught.value.fix
