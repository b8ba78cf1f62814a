"""Mailers: each keeps the same promises to the outbox, and each says in words what its server refused."""

from __future__ import annotations

import asyncio
import dataclasses
import email
import hashlib
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP, default
from pathlib import Path
from typing import Any

import boto3
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from finops_assets.adapters.aws import mailer as ses
from finops_assets.adapters.aws import retries
from finops_assets.adapters.aws.mailer import SESMailer
from finops_assets.adapters.aws.session import AwsError, AwsSession
from finops_assets.adapters.local.mailer import EmlOutbox
from finops_assets.adapters.shared.archive import ObjectArchive, folder_store
from finops_assets.adapters.shared.smtp import SMTPMailer
from finops_assets.core.delivery.outbox import Outbox
from finops_assets.core.delivery.recipients import Recipients
from finops_assets.core.errors import FinopsError, SettingsError, UnknownDeliveryError
from finops_assets.core.mail_bytes import WIRE
from finops_assets.core.ports import Mailer
from finops_assets.core.reports.digest import Digest
from finops_assets.core.values import Delivery, Refused
from standin.server import StandIn

DAY = date(2025, 9, 10)
AT = datetime(2025, 9, 11, 7, 0, tzinfo=UTC)
ANN, BOB, CYD = RECIPIENTS = ("ann@example.com", "bob@example.com", "cyd@example.com")
SENDER = "FinOps Büro <finops@example.com>"
USER, PASSWORD = "finops", "s3cret"


def digest(**changed: Any) -> Digest:
    plain = Digest(
        day=DAY,
        subject="[FinOps] 3,412.77 USD, größer",
        html="<p>größe</p>\n.\n<p>.</p>\n",
        text="größe\n.\n..two\nFrom here\n",  # a lone dot ends a message in SMTP
        csv="\ufeffBillingDate,OU\r\n2025-09-10,größe\r\n".encode(),
        csv_name="ou_breakdown_2025-09-10.csv",
        pictures={"chart": b"\x89PNG\r\n\x1a\n\x00."},
        revision=1,
        total=Decimal("3412.77"),
        currency="USD",
    )
    return dataclasses.replace(plain, **changed)


def mail_to(recipient: str = ANN) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"], mail["Message-ID"] = SENDER, recipient, "x", "<1@example.com>"
    mail.set_content("hello")
    return mail


# --- the places that mail arrives at


class Files:
    """The embedded outbox: one is refused where a folder is in the way of the file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.mailer = EmlOutbox(folder)

    def arrived(self) -> list[tuple[str, bytes]]:
        files = [file.read_bytes() for file in sorted(self._folder.glob("*.eml")) if file.is_file()]
        return [(email.message_from_bytes(data, policy=default)["To"], data) for data in files]

    def refuse(self, address: str) -> None:
        self._file(address).mkdir(parents=True)

    def relent(self) -> None:
        for each in RECIPIENTS:
            if self._file(each).is_dir():
                self._file(each).rmdir()

    def _file(self, address: str) -> Path:
        return self._folder / f"{DAY}-r1-{hashlib.sha256(address.encode()).hexdigest()[:16]}.eml"


class Memory:
    """The least that a mailer is."""

    repeatable = False

    def __init__(self) -> None:
        self.mailer = self
        self._sent: list[tuple[str, bytes]] = []
        self._refused: set[str] = set()
        self._lost: set[str] = set()

    def send(self, message: EmailMessage, recipient: str, delivery_id: str) -> Delivery:
        if recipient in self._refused:
            raise FinopsError("no such address", where=recipient)
        self._sent.append((recipient, message.as_bytes()))
        if recipient in self._lost:
            raise UnknownDeliveryError("nobody knows", where=recipient)
        return Delivery(recipient, message["Message-ID"], "memory")

    def refused(self, recipients: Sequence[str]) -> dict[str, Refused]:
        return {}

    def arrived(self) -> list[tuple[str, bytes]]:
        return self._sent

    def refuse(self, address: str) -> None:
        self._refused.add(address)

    def relent(self) -> None:
        self._refused.clear()
        self._lost.clear()

    def lose_the_answer(self, address: str) -> None:
        self._lost.add(address)


class Ses:
    """SES as the stand-in plays it."""

    def __init__(self, stand_in: StandIn) -> None:
        self.stand_in = stand_in
        self.pauses: list[float] = []
        self.mailer = SESMailer(session(stand_in.url), pause=self.pauses.append)

    def arrived(self) -> list[tuple[str, bytes]]:
        return [(recipient, sent.raw) for sent in self.stand_in.mail.sent for recipient in sent.recipients]

    def refuse(self, address: str) -> None:
        self.stand_in.faults.fail("sesv2", "SendEmail", code="MessageRejected", times=None, when=_to(address))

    def relent(self) -> None:
        self.stand_in.faults.reset()

    def lose_the_answer(self, address: str) -> None:
        self.stand_in.faults.cut("sesv2", "SendEmail", after=True, times=None, when=_to(address))


def _to(address: str) -> Callable[[Any], bool]:
    return lambda call: call.params["Destination"]["ToAddresses"] == [address]


class Desk:
    """A mail server's mind: what it takes, what it answers otherwise, and where it hangs up."""

    def __init__(self) -> None:
        self.asked_for: list[str] = []
        self.taken: list[tuple[str, bytes]] = []
        self.envelopes: list[tuple[str, list[str]]] = []
        self.logins: list[bytes] = []
        self.encrypted: list[bool] = []
        self.answers: dict[str, str] = {}
        self.hangs_up: set[str] = set()

    async def handle_MAIL(self, server, session, envelope, address, options) -> str:
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return self.answers.get(address, "250 OK")

    async def handle_RCPT(self, server, session, envelope, address, options) -> str:
        self.asked_for.append(address)
        if f"RCPT {address}" in self.hangs_up:
            server.transport.abort()
        if address not in self.answers:
            envelope.rcpt_tos.append(address)
        return self.answers.get(address, "250 OK")

    async def handle_DATA(self, server, session, envelope) -> str:
        if "DATA" in self.answers:
            return self.answers["DATA"]
        (recipient,) = envelope.rcpt_tos
        self.taken.append((recipient, envelope.original_content))
        self.envelopes.append((envelope.mail_from, envelope.rcpt_tos))
        self.encrypted.append(server.transport.get_extra_info("sslcontext") is not None)
        if recipient in self.hangs_up:
            server.transport.abort()
        return "250 2.0.0 queued as 42"

    def log_in(self, server, session, envelope, mechanism, data) -> AuthResult:
        good = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        if good:
            self.logins.append(data.login)
        return AuthResult(success=good, handled=False)


class Smtp:
    """A mail server over STARTTLS with a login, as most are."""

    def __init__(self, served: Callable[..., tuple[Desk, int]], trust: ssl.SSLContext) -> None:
        self.desk, port = served()
        self.mailer = SMTPMailer("localhost", port, username=USER, password=PASSWORD, timeout=5, context=trust)

    def arrived(self) -> list[tuple[str, bytes]]:
        return self.desk.taken

    def refuse(self, address: str) -> None:
        self.desk.answers[address] = "550 5.1.1 no such user"

    def relent(self) -> None:
        self.desk.answers.clear()
        self.desk.hangs_up.clear()

    def lose_the_answer(self, address: str) -> None:
        self.desk.hangs_up.add(address)


Post = Files | Memory | Ses | Smtp


def session(url: str) -> AwsSession:
    return AwsSession(region="us-east-1", endpoint_url=url)


@pytest.fixture
def stand_in(aws: StandIn) -> StandIn:
    aws.mail.verify("example.com")
    return aws


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of localhost, signed by nobody but itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "localhost.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


@pytest.fixture
def trust(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


@pytest.fixture
def served(certificate: Path) -> Iterator[Callable[..., tuple[Desk, int]]]:
    """Starts mail servers: STARTTLS and a login by default."""
    controllers = []

    def serve(security: str = "starttls", **settings: Any) -> tuple[Desk, int]:
        desk = Desk()
        identity = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        identity.load_cert_chain(certificate)
        tls = {"starttls": {"tls_context": identity}, "tls": {"ssl_context": identity}, "none": {}}[security]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        login = {"authenticator": desk.log_in, "auth_required": security == "starttls"}
        controllers.append(Controller(desk, hostname="127.0.0.1", port=port, **tls, **login, **settings))
        controllers[-1].start()
        return desk, port

    yield serve
    for controller in controllers:
        controller.stop(no_assert=True)


@pytest.fixture(params=["files", "memory", "ses", "smtp"])
def post(request: pytest.FixtureRequest, tmp_path: Path) -> Post:
    if request.param == "files":
        return Files(tmp_path / "outbox")
    if request.param == "memory":
        return Memory()
    if request.param == "ses":
        return Ses(request.getfixturevalue("stand_in"))
    return Smtp(request.getfixturevalue("served"), request.getfixturevalue("trust"))


@pytest.fixture
def archive(tmp_path: Path) -> ObjectArchive:
    return ObjectArchive(folder_store(str(tmp_path / "archive")))


def outbox(archive: ObjectArchive, mailer: Mailer, recipients: tuple[str, ...] = RECIPIENTS, **stored: Any) -> Outbox:
    box = Outbox(archive, mailer, Recipients(SENDER, recipients), clock=lambda: AT)
    box.digests.store(digest(**stored), "f1", AT)
    return box


def recipients_of(post: Post) -> list[str]:
    return sorted(recipient for recipient, _ in post.arrived())


# --- what every mailer promises


def test_a_message_arrives_whole(post: Post, archive: ObjectArchive) -> None:
    """Text, HTML, chart and CSV arrive as they were stored, each message to its own recipient alone."""
    deliveries = outbox(archive, post.mailer).deliver(DAY)
    assert [d.recipient for d in deliveries] == list(RECIPIENTS)
    assert all(d.message_id and d.location for d in deliveries)
    assert recipients_of(post) == list(RECIPIENTS)
    for recipient, data in post.arrived():
        mail = email.message_from_bytes(data, policy=default)
        assert (mail["To"], mail["From"], mail["Subject"]) == (recipient, SENDER, digest().subject)
        parts = [part for part in mail.walk() if not part.is_multipart()]
        text, html, chart, csv = (part.get_payload(decode=True) for part in parts)
        assert (text.decode().replace("\r\n", "\n"), html.decode().replace("\r\n", "\n")) == (
            digest().text,
            digest().html,
        )
        assert (chart, csv) == (digest().pictures["chart"], digest().csv)
        assert all(other not in data.decode() for other in RECIPIENTS if other != recipient)


def test_nothing_is_sent_twice(post: Post, archive: ObjectArchive) -> None:
    """A second run has nothing to do; on request a digest goes out again."""
    box = outbox(archive, post.mailer)
    box.deliver(DAY)
    assert box.deliver(DAY) == []
    assert len(post.arrived()) == 3
    box.resend(DAY, [BOB])
    assert recipients_of(post) == [ANN, BOB, BOB, CYD]


def test_a_refused_recipient_does_not_hold_up_the_others(post: Post, archive: ObjectArchive) -> None:
    """The others have their mail before the refusal is told; a retry sends only what is missing."""
    post.refuse(BOB)
    box = outbox(archive, post.mailer)
    with pytest.raises(FinopsError) as caught:
        box.deliver(DAY)
    assert not isinstance(caught.value, UnknownDeliveryError)
    assert recipients_of(post) == [ANN, CYD]
    assert box.records.mailed(DAY).state == "partial"
    post.relent()
    assert [d.recipient for d in box.deliver(DAY)] == [BOB]
    assert recipients_of(post) == list(RECIPIENTS)
    assert box.records.mailed(DAY).state == "sent"


@pytest.mark.parametrize("post", ["memory", "ses", "smtp"], indirect=True)
def test_what_may_have_been_accepted_is_never_sent_again_by_itself(post: Post, archive: ObjectArchive) -> None:
    """Accepted, and the connection cut before the answer: one message, however often it is run, until it is settled."""
    post.lose_the_answer(BOB)
    box = outbox(archive, post.mailer)
    for _ in range(3):
        with pytest.raises(UnknownDeliveryError, match=r"bob@example\.com") as caught:
            box.deliver(DAY)
        assert ANN not in str(caught.value)
        assert recipients_of(post) == list(RECIPIENTS)
    assert box.records.mailed(DAY).unknown == (BOB,)
    post.relent()
    with pytest.raises(UnknownDeliveryError):
        box.deliver(DAY)
    assert recipients_of(post) == list(RECIPIENTS)
    box.settle(DAY, [BOB])
    assert box.deliver(DAY) == []
    assert (recipients_of(post), box.records.mailed(DAY).state) == (list(RECIPIENTS), "sent")


@pytest.mark.parametrize("post", ["memory", "ses", "smtp"], indirect=True)
def test_what_is_not_known_is_sent_again_on_request(post: Post, archive: ObjectArchive) -> None:
    """Sending it again ends the doubt; the day is mailed then."""
    post.lose_the_answer(BOB)
    box = outbox(archive, post.mailer)
    with pytest.raises(UnknownDeliveryError):
        box.deliver(DAY)
    with pytest.raises(UnknownDeliveryError, match=r"bob@example\.com"):
        box.resend(DAY, [BOB])  # cut again: still not known
    assert box.records.mailed(DAY).unknown == (BOB,)
    post.relent()
    box.resend(DAY, [BOB])
    assert box.records.mailed(DAY).state == "sent"


@pytest.mark.parametrize(
    "hostile",
    [
        "x\r\nBcc: thief@example.com",
        "x\nBcc: thief@example.com\n\nbody",
        "x\r\n.\r\nMAIL FROM:<a@b>",
        "\u2028Bcc: t@e.com",
    ],
)
def test_no_subject_or_name_adds_a_header(hostile: str, post: Post, archive: ObjectArchive) -> None:
    """A line end in a subject is a space; in an address it stops everything before the first message."""
    outbox(archive, post.mailer, subject=hostile).deliver(DAY)
    for recipient, data in post.arrived():
        mail = email.message_from_bytes(data, policy=default)
        assert (mail["Bcc"], mail["To"]) == (None, recipient)
        assert mail["Subject"] == " ".join(hostile.split())
    assert recipients_of(post) == list(RECIPIENTS)
    for sender, recipients in (
        (f"{hostile} <a@example.com>", RECIPIENTS),
        (SENDER, (*RECIPIENTS, f"a@e.com{hostile}")),
    ):
        with pytest.raises(SettingsError):
            Outbox(archive, post.mailer, Recipients(sender, recipients)).resend(DAY)
    assert len(post.arrived()) == 3


# --- SES


def test_ses_gets_envelope_tags_and_configuration_set(stand_in: StandIn) -> None:
    """Bounces and deliveries can be told by the delivery id, whatever characters it has; the sender is in ASCII."""
    stand_in.client("sesv2").create_configuration_set(ConfigurationSetName="digests")
    mailer = SESMailer(session(stand_in.url), "digests")
    sent = mailer.send(mail_to(), ANN, "2025-09-10-r1-0a1b")
    mailer.send(mail_to(), ANN, "é/" + "x" * 300)
    first, second = stand_in.mail.sent
    assert (first.sender, first.recipients, first.configuration_set) == ("finops@example.com", (ANN,), "digests")
    assert stand_in.calls.log[-1].params["FromEmailAddress"] == "finops@example.com"
    assert first.tags == {"finops-delivery": "2025-09-10-r1-0a1b"}
    assert second.tags == {"finops-delivery": "--" + "x" * 254}
    assert (sent.message_id, sent.location) == (first.message_id, f"SES us-east-1: {first.message_id}")
    SESMailer(session(stand_in.url)).send(mail_to(), ANN, "x")
    assert stand_in.mail.sent[-1].configuration_set is None


def test_ses_failing_after_the_third_recipient(stand_in: StandIn, archive: ObjectArchive) -> None:
    """A retry sends to those who are missing, and to nobody else."""
    recipients = (*RECIPIENTS, "dee@example.com", "eve@example.com")
    stand_in.faults.fail("sesv2", "SendEmail", code="SendingPausedException", skip=3, times=None)
    post = Ses(stand_in)
    box = outbox(archive, post.mailer, recipients)
    with pytest.raises(FinopsError) as caught:
        box.deliver(DAY)
    assert all(late in str(caught.value) for late in recipients[3:])  # each is named
    assert recipients_of(post) == list(RECIPIENTS)
    stand_in.faults.reset()
    assert [d.recipient for d in box.deliver(DAY)] == list(recipients[3:])
    assert recipients_of(post) == sorted(recipients)


@pytest.mark.parametrize("code", sorted(retries.THROTTLED))
def test_ses_is_given_time(code: str, stand_in: StandIn) -> None:
    """A message that comes too fast was surely refused: it is sent again, after longer and longer pauses."""
    post = Ses(stand_in)
    stand_in.faults.fail("sesv2", "SendEmail", code=code, message="Maximum sending rate exceeded.", status=429, times=3)
    post.mailer.send(mail_to(), ANN, "x")
    assert recipients_of(post) == [ANN]
    assert len(post.pauses) == 3
    assert all(2**n / 2 <= pause <= 2**n for n, pause in enumerate(post.pauses))


def test_ses_is_not_given_time_without_end(stand_in: StandIn) -> None:
    """It gives up after some tries, and says that the message was not sent."""
    post = Ses(stand_in)
    stand_in.faults.fail("sesv2", "SendEmail", code="TooManyRequestsException", status=429, times=None)
    with pytest.raises(AwsError, match="higher sending rate") as caught:
        post.mailer.send(mail_to(), ANN, "x")
    assert caught.value.code == "TooManyRequestsException"
    assert stand_in.calls.count("sesv2", "SendEmail") == retries.ATTEMPTS == len(post.pauses) + 1


def test_a_daily_quota_is_not_tried_again(stand_in: StandIn) -> None:
    """It comes under the code of a rate, and waiting a minute does not help."""
    post = Ses(stand_in)
    stand_in.mail.max_24_hour_send = 0
    with pytest.raises(AwsError, match=r"ann@example\.com .*Daily message quota exceeded.*in 24 hours"):
        post.mailer.send(mail_to(), ANN, "x")
    assert (stand_in.calls.count("sesv2", "SendEmail"), post.pauses) == (1, [])


@pytest.mark.parametrize(
    ("code", "message", "fix"),
    [
        ("AccountSuspendedException", "Restricted.", "AWS Support"),
        ("SendingPausedException", "Sending paused for this account.", "enable sending again"),
        ("MessageRejected", "Message rejected: virus.", "malformed messages nor viruses"),
        ("MailFromDomainNotVerifiedException", "Not there.", "MX and SPF"),
        ("NotFoundException", "Configuration set <x> does not exist.", r"aws\.ses_configuration_set"),
        ("BadRequestException", "Illegal address", "Check this address"),
        ("BadRequestException", "Message length is more than 41943040 bytes long: '5'.", r"mail\.max_megabytes"),
        ("LimitExceededException", "Too many.", "higher quota"),
    ],
)
def test_each_refusal_of_ses_says_what_to_do(code: str, message: str, fix: str, stand_in: StandIn) -> None:
    """The address, what SES said, and what to do about it; asked once, and surely not sent."""
    post = Ses(stand_in)
    stand_in.mail.fail_next(code, message)
    with pytest.raises(AwsError, match=fix) as caught:
        post.mailer.send(mail_to(), ANN, "x")
    assert caught.value.code == code
    assert caught.value.where.startswith(ANN)
    assert message in str(caught.value)
    assert stand_in.calls.count("sesv2", "SendEmail") == 1


def test_no_error_of_ses_is_without_advice(stand_in: StandIn) -> None:
    """Every error in the API's own model has its line."""
    model = boto3.client("sesv2").meta.service_model.operation_model("SendEmail")
    assert {shape.error_code for shape in model.error_shapes} <= set(ses.FIXES)


@pytest.mark.parametrize("sandbox", [False, True], ids=["the sender", "a recipient in the sandbox"])
def test_an_unverified_identity_is_told(sandbox: bool, stand_in: StandIn) -> None:
    """The address that SES names, and that the region and the sandbox matter."""
    stand_in.mail.identities.clear()
    stand_in.mail.sandbox = sandbox
    if sandbox:
        stand_in.mail.verify("finops@example.com")
    failed = ANN if sandbox else r"finops@example\.com"
    with pytest.raises(AwsError, match=rf"not verified.*US-EAST-1: {failed}.*sandbox"):
        Ses(stand_in).mailer.send(mail_to(), ANN, "x")


def test_a_missing_permission_of_ses_names_the_action(stand_in: StandIn) -> None:
    """What to allow in the role's policy."""
    said = "User: arn:aws:sts::1:assumed-role/x is not authorized to perform: ses:SendRawEmail on resource: arn:x"
    stand_in.faults.fail("sesv2", "SendEmail", code="AccessDeniedException", message=said, status=403)
    with pytest.raises(AwsError, match="Allow ses:SendRawEmail on arn:x"):
        Ses(stand_in).mailer.send(mail_to(), ANN, "x")


@pytest.mark.parametrize("accepted", [True, False])
def test_ses_is_not_asked_twice_after_a_cut_connection(accepted: bool, stand_in: StandIn) -> None:
    """Whether it had accepted the message or not cannot be told from here: one request, and it is not known."""
    stand_in.faults.cut("sesv2", "SendEmail", after=accepted)
    with pytest.raises(UnknownDeliveryError, match=r"ann@example\.com: the connection to SES broke"):
        Ses(stand_in).mailer.send(mail_to(), ANN, "x")
    assert stand_in.calls.count("sesv2", "SendEmail") == 1
    assert len(stand_in.mail.sent) == int(accepted)


def test_an_inner_failure_of_ses_is_not_known(stand_in: StandIn) -> None:
    """SES's own 5xx says nothing about the message."""
    stand_in.faults.fail("sesv2", "SendEmail", code="InternalFailure", message="?", status=500, times=None)
    with pytest.raises(UnknownDeliveryError, match="500 InternalFailure"):
        Ses(stand_in).mailer.send(mail_to(), ANN, "x")
    assert stand_in.calls.count("sesv2", "SendEmail") == 1


def test_ses_that_was_not_reached_got_nothing(
    stand_in: StandIn, served: Callable[..., tuple[Desk, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing listens, the certificate is not trusted, or there are no credentials: surely not sent."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
        untrusted = f"https://localhost:{served('tls')[1]}"
        for url, said in ((nobody, "not reached"), (untrusted, "CERTIFICATE_VERIFY_FAILED")):
            with pytest.raises(FinopsError, match=said) as caught:
                SESMailer(session(url)).send(mail_to(), ANN, "x")
            assert not isinstance(caught.value, UnknownDeliveryError)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(FinopsError, match="no AWS credentials"):
        SESMailer(session(stand_in.url)).send(mail_to(), ANN, "x")
    assert stand_in.mail.sent == []


def test_ses_tells_who_is_on_its_suppression_list(stand_in: StandIn) -> None:
    """Since when, whether for a bounce or a complaint, and the command that takes them off it; one call a recipient."""
    client = stand_in.client("sesv2")
    client.put_suppressed_destination(EmailAddress=BOB, Reason="BOUNCE")
    client.put_suppressed_destination(EmailAddress=CYD, Reason="COMPLAINT")
    stand_in.calls.reset()
    found = SESMailer(session(stand_in.url)).refused(RECIPIENTS)
    assert stand_in.calls.count("sesv2", "GetSuppressedDestination") == len(RECIPIENTS)
    assert list(found) == [BOB, CYD]
    for why, word in zip(found.values(), ("(bounce)", "(complaint)"), strict=True):
        assert why.kind == "suppressed"
        assert word in why.reason
        assert timedelta() <= datetime.now(UTC) - why.since < timedelta(minutes=5)
    assert f"`aws sesv2 delete-suppressed-destination --email-address {BOB}`" in found[BOB].fix
    client.delete_suppressed_destination(EmailAddress=BOB)
    assert list(SESMailer(session(stand_in.url)).refused(RECIPIENTS)) == [CYD]


def test_a_suppressed_address_is_found_in_its_own_case(stand_in: StandIn) -> None:
    """As it is in the settings, or in lower case; the command names it as SES keeps it, quoted for a shell."""
    client = stand_in.client("sesv2")
    for entry in ("Ann@Example.com", "o'brien@example.com"):
        client.put_suppressed_destination(EmailAddress=entry, Reason="BOUNCE")
    found = SESMailer(session(stand_in.url)).refused(["Ann@Example.com", "O'Brien@example.com", BOB])
    assert list(found) == ["Ann@Example.com", "O'Brien@example.com"]
    assert "--email-address Ann@Example.com`" in found["Ann@Example.com"].fix
    assert """--email-address 'o'"'"'brien@example.com'`""" in found["O'Brien@example.com"].fix


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        ("AccessDeniedException", 403, "Allow ses:GetSuppressedDestination"),
        ("BadRequestException", 400, "Check this address"),
        ("NobodyKnowsException", 400, "SES in us-east-1: NobodyKnowsException"),
    ],
)
def test_a_suppression_list_that_is_not_shown_is_an_error(code: str, status: int, said: str, stand_in: StandIn) -> None:
    """Nobody on it and no sight of it are not the same."""
    message = "User: x is not authorized to perform: ses:GetSuppressedDestination" if status == 403 else "?"
    stand_in.faults.fail("sesv2", "GetSuppressedDestination", code=code, message=message, status=status, times=None)
    with pytest.raises(AwsError, match=said):
        SESMailer(session(stand_in.url)).refused([ANN])


def test_the_outbox_asks_for_its_recipients(stand_in: StandIn, archive: ObjectArchive) -> None:
    """Each once, without its name; a malformed address is told before anything is asked."""
    stand_in.client("sesv2").put_suppressed_destination(EmailAddress=BOB, Reason="BOUNCE")
    stand_in.calls.reset()
    box = Outbox(archive, Ses(stand_in).mailer, Recipients(SENDER, (ANN, f"Bob <{BOB}>", BOB.upper())))
    assert list(box.refused()) == [BOB]
    assert stand_in.calls.count("sesv2", "GetSuppressedDestination") == 2
    with pytest.raises(SettingsError, match=r"mail\.recipients"):
        Outbox(archive, Ses(stand_in).mailer, Recipients(SENDER, ("ann at example",))).refused()


KILLED = """
import sys
from datetime import date
from finops_assets.adapters.shared.archive import ObjectArchive, folder_store
from finops_assets.adapters.aws.mailer import SESMailer
from finops_assets.adapters.aws.session import AwsSession
from finops_assets.core.delivery.outbox import Outbox
from finops_assets.core.delivery.recipients import Recipients
archive, *recipients = sys.argv[1:]
to = Recipients("finops@example.com", recipients)
box = Outbox(ObjectArchive(folder_store(archive)), SESMailer(AwsSession()), to)
box.deliver(date(2025, 9, 10))
"""


def test_a_process_killed_after_ses_accepted_sends_no_second_message(
    stand_in: StandIn, archive: ObjectArchive, tmp_path: Path
) -> None:
    """SIGKILL between SES's yes and the receipt: the next run serves the others, and says who is in doubt."""
    post = Ses(stand_in)
    box = outbox(archive, post.mailer)
    hold = stand_in.faults.hold("sesv2", "SendEmail", skip=1)
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "archive"), *RECIPIENTS], cwd=Path(__file__).parents[2]
    )
    assert hold.reached.wait(30)
    child.send_signal(signal.SIGKILL)
    child.wait()
    stand_in.faults.reset()
    with pytest.raises(UnknownDeliveryError, match=r"bob@example\.com"):
        box.deliver(DAY)
    assert recipients_of(post) == list(RECIPIENTS)


# --- SMTP


def smtp(port: int, trust: ssl.SSLContext | None = None, host: str = "localhost", **settings: Any) -> SMTPMailer:
    return SMTPMailer(host, port, timeout=5, context=trust, **settings)


def test_smtp_logs_in_encrypted(served: Callable[..., tuple[Desk, int]], trust: ssl.SSLContext) -> None:
    """With STARTTLS and a login, the message and its envelope arrive, and the server's queue id is kept."""
    desk, port = served()
    sent = smtp(port, trust, username=USER, password=PASSWORD).send(mail_to(), ANN, "x")
    assert (desk.logins, desk.encrypted) == ([USER.encode()], [True])
    assert desk.envelopes == [("finops@example.com", [ANN])]
    assert sent == Delivery(ANN, "<1@example.com>", f"localhost:{port}: 250 2.0.0 queued as 42")


@pytest.mark.parametrize("security", ["tls", "none"])
def test_smtp_speaks_as_it_is_told(
    security: str, served: Callable[..., tuple[Desk, int]], trust: ssl.SSLContext
) -> None:
    """TLS from the first byte, or none at all."""
    desk, port = served(security)
    smtp(port, trust, security=security).send(mail_to(), ANN, "x")
    assert desk.encrypted == [security == "tls"]
    assert b"\n" not in desk.taken[0][1].replace(b"\r\n", b"")


REFUSALS = {
    "the sender": (
        {"finops@example.com": "550 5.7.1 not yours"},
        r"finops@example\.com .*the sender \(550 .*mail\.sender",
    ),
    "the recipient": ({ANN: "550 5.1.1 no such user"}, r"ann@example\.com .*the recipient \(550 .*mail\.recipients"),
    "the recipient, for now": ({ANN: "450 4.2.0 greylisted"}, r"the recipient \(450 .*Run it again later"),
    "a full mailbox": ({ANN: "552 5.2.2 mailbox full"}, r"the recipient \(552 .*mail\.recipients"),
    "a large message": ({"DATA": "552 5.3.4 too big"}, r"the message \(552 .*mail\.max_megabytes"),
    "a message, for now": ({"DATA": "451 4.3.0 try later"}, r"the message \(451 .*Run it again later"),
    "a message": ({"DATA": "554 5.7.1 spam\r\n"}, r"the message \(554 5\.7\.1 spam\)\. See what the server says"),
}


@pytest.mark.parametrize("refused", REFUSALS)
def test_each_refusal_of_a_mail_server_says_what_to_do(refused: str, served: Callable[..., tuple[Desk, int]]) -> None:
    """The step, the server's own words, and what to do; surely not sent."""
    desk, port = served("none")
    answers, words = REFUSALS[refused]
    desk.answers.update(answers)
    with pytest.raises(FinopsError, match=words) as caught:
        smtp(port, security="none").send(mail_to(), ANN, "x")
    assert not isinstance(caught.value, UnknownDeliveryError)
    assert desk.taken == []


def test_a_message_over_the_servers_limit_is_refused_before_it_is_sent(
    served: Callable[..., tuple[Desk, int]],
) -> None:
    """The size is told first, so that megabytes do not cross the line for nothing."""
    desk, port = served("none", data_size_limit=1000)
    mail = mail_to()
    mail.add_attachment(b"x" * 2000, "text", "csv")
    with pytest.raises(FinopsError, match=r"the message \(552 .*mail\.max_megabytes"):
        smtp(port, security="none").send(mail, ANN, "x")
    assert desk.asked_for == []


def test_a_wrong_login_is_told_without_the_password(
    served: Callable[..., tuple[Desk, int]], trust: ssl.SSLContext
) -> None:
    """535 names the two settings; the password is in no message."""
    desk, port = served()
    with pytest.raises(FinopsError, match=r"the login \(535 .*smtp\.username and smtp\.password") as caught:
        smtp(port, trust, username=USER, password="wr0ng").send(mail_to(), ANN, "x")
    assert "wr0ng" not in str(caught.value)
    with pytest.raises(FinopsError, match=r"the sender \(530 "):
        smtp(port, trust).send(mail_to(), ANN, "x")  # no login at all
    assert desk.taken == []


def test_a_login_never_crosses_a_network_in_clear() -> None:
    """It is refused when the settings are read; to this machine itself it is allowed."""
    with pytest.raises(SettingsError, match=r"smtp\.security: the login at mail\.example\.com"):
        SMTPMailer("mail.example.com", security="none", username=USER)
    for host in ("localhost", "127.0.0.1", "::1"):
        SMTPMailer(host, security="none", username=USER)
    SMTPMailer("mail.example.com", security="none")
    with pytest.raises(SettingsError, match=r"smtp\.host"):
        SMTPMailer("")
    with pytest.raises(SettingsError, match="outside ASCII"):
        SMTPMailer("mail.example.com", username=USER, password="größe")


def test_a_connection_that_cannot_be_trusted_carries_nothing(
    served: Callable[..., tuple[Desk, int]], trust: ssl.SSLContext
) -> None:
    """A certificate of nobody's, one of another host, or no encryption where it is asked for: no login, no message."""
    desk, port = served()
    login = {"username": USER, "password": PASSWORD}
    with pytest.raises(FinopsError, match=r"encryption failed .*CERTIFICATE_VERIFY_FAILED.*smtp\.security"):
        smtp(port, **login).send(mail_to(), ANN, "x")
    with pytest.raises(FinopsError, match=r"encryption failed .*127\.0\.0\.1"):
        smtp(port, trust, "127.0.0.1", **login).send(mail_to(), ANN, "x")
    clear, port = served("none")
    with pytest.raises(FinopsError, match=r"encryption failed \(STARTTLS extension not supported"):
        smtp(port, trust, **login).send(mail_to(), ANN, "x")
    with pytest.raises(FinopsError, match="encryption failed"):
        smtp(port, trust, security="tls", **login).send(mail_to(), ANN, "x")
    assert desk.taken == clear.taken == desk.logins == clear.logins == []


def test_a_mail_server_that_is_not_there_is_told(trust: ssl.SSLContext) -> None:
    """Nothing listens, or the name is nobody's."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(FinopsError, match=r"the connection failed \(.*refused.*smtp\.host"):
            smtp(closed.getsockname()[1], trust).send(mail_to(), ANN, "x")
    with pytest.raises(FinopsError, match="the connection failed"):
        smtp(25, trust, "nobody.invalid").send(mail_to(), ANN, "x")


def test_a_server_that_hangs_up_before_the_message_got_nothing(served: Callable[..., tuple[Desk, int]]) -> None:
    """Up to the message's first byte, a broken connection is no doubt."""
    desk, port = served("none")
    desk.hangs_up.add(f"RCPT {ANN}")
    with pytest.raises(FinopsError, match="the recipient failed") as caught:
        smtp(port, security="none").send(mail_to(), ANN, "x")
    assert not isinstance(caught.value, UnknownDeliveryError)


def test_a_mail_server_that_does_not_answer_in_time_leaves_a_doubt(served: Callable[..., tuple[Desk, int]]) -> None:
    """It may still be writing the message to its disk."""
    desk, port = served("none")

    async def slowly(server, session, envelope) -> str:
        await asyncio.sleep(1)
        return "250 OK"

    desk.handle_DATA = slowly
    with pytest.raises(UnknownDeliveryError, match="timed out"):
        SMTPMailer("localhost", port, security="none", timeout=0.3).send(mail_to(), ANN, "x")


def test_a_subject_arrives_as_it_was_written() -> None:
    """Wherever its light stands: folded there, a blank would become two."""
    for length in range(40, 90):
        subject = f"{'1' * length}), ◊ amber, provisional"
        mail = EmailMessage(policy=SMTP)
        mail["Subject"] = subject
        assert message_from_bytes(mail.as_bytes(policy=WIRE), policy=default)["Subject"] == subject
