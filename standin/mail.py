"""SES v2: what it accepts, refuses and counts when a raw message is sent. Nothing is delivered anywhere."""

from __future__ import annotations

import base64
import email
import re
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.policy import default
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from uuid import uuid4

from standin.faults import Call, ServiceError
from standin.others import unknown

if TYPE_CHECKING:
    from standin.protocols import Answer
    from standin.server import StandIn

MAX_RECIPIENTS = 50
SIMULATOR = "simulator.amazonses.com"  # its addresses are always allowed, and bounce@ bounces
ERRORS = {  # code: HTTP status and what SES says unless a test says otherwise
    "TooManyRequestsException": (429, "Maximum sending rate exceeded."),
    "LimitExceededException": (400, "There are too many instances of the specified resource type."),
    "AccountSuspendedException": (400, "The account's ability to send email has been permanently restricted."),
    "SendingPausedException": (
        400,
        (
            "Sending paused for this account. For more information, please check the inbox of the email address "
            "associated with your AWS account."
        ),
    ),
    "MessageRejected": (400, "Message rejected: it contains invalid content."),
    "MailFromDomainNotVerifiedException": (400, "The message can't be sent because the sending domain isn't verified."),
    "NotFoundException": (404, "The resource you attempted to access doesn't exist."),
    "BadRequestException": (400, "The input you provided is invalid."),
}
BAD_ADDRESS = (  # the first that fits, in SES's words; applied to local part and domain
    (r"[^@]*|@.*", "Missing final '@domain'"),
    (r".*[^\x21-\x7e].*@[^@]*", "Local address contains control or whitespace"),
    (r"\..*", "Local address starts with dot"),
    (r".*\.@[^@]*", "Local address ends with dot"),
    (r".*\.\..*@[^@]*", "Local address contains dot-dot"),
    (r".*[@(),:;<>\[\]\\].*@[^@]*", "Local address contains illegal character"),
    (r".*@", "Missing domain"),
    (r".*@\..*", "Domain starts with dot"),
    (r".*@.*\.", "Missing domain"),
    (r".*@.*\.\..*", "Domain contains dot-dot"),
    (r".*@[^@]*[\x00-\x20\x7f][^@]*", "Domain contains control or whitespace"),
    (r".*@[^@]*[^A-Za-z0-9.-][^@]*", "Domain contains illegal character"),
)


@dataclass(frozen=True)
class SentMail:
    """A message that SES accepted: counted once and for all, even if it bounces.

    `message` is what goes out, with SES's own Message-ID and Date; `submitted` is what was handed in.
    """

    message_id: str
    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage
    submitted: EmailMessage
    raw: bytes
    at: datetime
    configuration_set: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    bounced: tuple[str, ...] = ()


@dataclass
class _Failure:
    code: str
    message: str
    for_recipient: str | None
    times: int


class Mail:
    """The API, and for tests the account's settings as attributes and the knob `fail_next`."""

    def __init__(self, stand_in: StandIn) -> None:
        self._stand_in = stand_in
        self._lock = threading.RLock()
        self.reset()

    def reset(self) -> None:
        self.sandbox = False
        self.sending_enabled = True
        self.enforcement_status = "HEALTHY"
        self.max_24_hour_send = 50_000
        self.max_message = 40 * 1024 * 1024  # bytes of the MIME message, its attachments already base64 in it
        self.max_send_rate = 14  # told by GetAccount, never enforced: a test's clock may stand still
        self.sent: list[SentMail] = []
        self.identities: dict[str, bool] = {}
        self.configuration_sets: dict[str, dict[str, Any]] = {}
        self.suppressed: dict[str, tuple[str, datetime]] = {}
        self._failures: list[_Failure] = []

    def verify(self, *identities: str) -> None:
        """These addresses or domains are verified, as if somebody had followed the link or set the DNS records."""
        self.identities.update(dict.fromkeys(identities, True))

    def fail_next(self, code: str, message: str = "", *, for_recipient: str | None = None, times: int = 1) -> None:
        """The next messages (to this recipient) are refused with this error before anything is counted."""
        if code not in ERRORS:
            raise ValueError(f"{code} is not an error of SES's SendEmail")
        self._failures.append(_Failure(code, message, for_recipient, times))

    def to(self, recipient: str) -> list[SentMail]:
        """What was accepted for this recipient."""
        return [each for each in self.sent if recipient in each.recipients]

    def answer(self, call: Call) -> Answer:
        operations = {
            "SendEmail": self._send_email,
            "GetAccount": self._get_account,
            "CreateEmailIdentity": self._create_identity,
            "GetEmailIdentity": self._get_identity,
            "DeleteEmailIdentity": self._delete_identity,
            "CreateConfigurationSet": self._create_configuration_set,
            "GetConfigurationSet": self._get_configuration_set,
            "PutSuppressedDestination": self._put_suppressed,
            "GetSuppressedDestination": self._get_suppressed,
            "DeleteSuppressedDestination": self._delete_suppressed,
        }
        operation = operations.get(call.operation)
        if operation is None or set(call.params.get("Content", {"Raw": 0})) != {"Raw"}:
            raise unknown(self._stand_in, call)
        with self._lock:
            return operation(call.params)

    def _send_email(self, params: dict[str, Any]) -> Answer:
        raw = base64.b64decode(params["Content"]["Raw"]["Data"])
        if len(raw) > self.max_message:
            size = f"Message length is more than {self.max_message} bytes long: '{len(raw)}'."
            raise _error("BadRequestException", size)
        submitted = _parsed(raw)
        senders = _senders(submitted, params)
        recipients = _recipients(submitted, params)
        tags = _tags(params)
        configuration_set = params.get("ConfigurationSetName") or submitted.get("X-SES-CONFIGURATION-SET")
        self._check_account(recipients)
        if configuration_set and configuration_set not in self.configuration_sets:
            raise _error("NotFoundException", f"Configuration set <{configuration_set}> does not exist.")
        self._check_verified(senders, recipients)

        now = self._stand_in.clock()
        message_id = f"{int(now.timestamp() * 1000):016x}-{uuid4()}-000000"
        sent = SentMail(
            message_id=message_id,
            sender=senders[0],
            recipients=recipients,
            message=_as_delivered(raw, message_id, now),
            submitted=submitted,
            raw=raw,
            at=now,
            configuration_set=configuration_set,
            tags=tags,
            bounced=tuple(each for each in recipients if self._bounces(each)),
        )
        self.sent.append(sent)
        return {"MessageId": message_id}

    def _check_account(self, recipients: tuple[str, ...]) -> None:
        if self.enforcement_status == "SHUTDOWN":
            raise _error("AccountSuspendedException")
        if not self.sending_enabled:
            raise _error("SendingPausedException")
        if self._sent_last_24_hours() + len(recipients) > self.max_24_hour_send:
            raise _error("TooManyRequestsException", "Daily message quota exceeded.")
        for failure in self._failures:
            if failure.times and failure.for_recipient in (None, *recipients):
                failure.times -= 1
                raise _error(failure.code, failure.message)

    def _check_verified(self, senders: list[str], recipients: tuple[str, ...]) -> None:
        checked = [*senders]
        if self.sandbox:
            checked += [each for each in recipients if not each.endswith(f"@{SIMULATOR}")]
        failed = list(dict.fromkeys(each for each in checked if not self._verified(each)))
        if failed:
            raise _error(
                "MessageRejected",
                "Email address is not verified. The following identities failed the check in region "
                f"{self._stand_in.region.upper()}: {', '.join(failed)}",
            )

    def _verified(self, address: str) -> bool:
        """A verified domain covers its subdomains too."""
        labels = address.rpartition("@")[2].lower().split(".")
        domains = (".".join(labels[start:]) for start in range(len(labels)))
        return any(self.identities.get(identity, False) for identity in (address, *domains))

    def _bounces(self, recipient: str) -> bool:
        """Mail is dropped whatever the case of the address, while the list itself is kept and found in its own case."""
        return recipient.lower() in map(str.lower, self.suppressed) or recipient == f"bounce@{SIMULATOR}"

    def _sent_last_24_hours(self) -> int:
        day_ago = self._stand_in.clock() - timedelta(hours=24)
        return sum(len(each.recipients) for each in self.sent if each.at > day_ago)

    def _get_account(self, params: dict[str, Any]) -> Answer:
        return {
            "DedicatedIpAutoWarmupEnabled": True,
            "EnforcementStatus": self.enforcement_status,
            "ProductionAccessEnabled": not self.sandbox,
            "SendingEnabled": self.sending_enabled,
            "SendQuota": {
                "Max24HourSend": float(self.max_24_hour_send),
                "MaxSendRate": float(self.max_send_rate),
                "SentLast24Hours": float(self._sent_last_24_hours()),
            },
            "SuppressionAttributes": {"SuppressedReasons": ["BOUNCE", "COMPLAINT"]},
        }

    def _create_identity(self, params: dict[str, Any]) -> Answer:
        identity = params["EmailIdentity"]
        if identity in self.identities:
            raise ServiceError("AlreadyExistsException", f"Email identity {identity} already exist.", 400)
        self.identities[identity] = False
        return _identity(identity, verified=False)

    def _get_identity(self, params: dict[str, Any]) -> Answer:
        identity = self._known_identity(params)
        verified = self.identities[identity]
        return _identity(identity, verified) | {
            "FeedbackForwardingStatus": True,
            "VerificationStatus": "SUCCESS" if verified else "PENDING",
            "Policies": {},
            "Tags": [],
        }

    def _delete_identity(self, params: dict[str, Any]) -> Answer:
        del self.identities[self._known_identity(params)]
        return {}

    def _known_identity(self, params: dict[str, Any]) -> str:
        identity = unquote(params["EmailIdentity"])
        if identity not in self.identities:
            raise _error("NotFoundException", f"Email identity {identity} does not exist.")
        return identity

    def _create_configuration_set(self, params: dict[str, Any]) -> Answer:
        name = params["ConfigurationSetName"]
        if name in self.configuration_sets:
            raise ServiceError("AlreadyExistsException", f"Configuration set <{name}> already exists.", 400)
        self.configuration_sets[name] = params
        return {}

    def _get_configuration_set(self, params: dict[str, Any]) -> Answer:
        name = params["ConfigurationSetName"]
        if name not in self.configuration_sets:
            raise _error("NotFoundException", f"Configuration set <{name}> does not exist.")
        return {"SendingOptions": {"SendingEnabled": True}} | self.configuration_sets[name]

    def _put_suppressed(self, params: dict[str, Any]) -> Answer:
        self.suppressed[params["EmailAddress"]] = (params["Reason"], self._stand_in.clock())
        return {}

    def _get_suppressed(self, params: dict[str, Any]) -> Answer:
        address = self._suppressed_address(params)
        reason, since = self.suppressed[address]
        destination = {"EmailAddress": address, "Reason": reason, "LastUpdateTime": since.timestamp()}
        return {"SuppressedDestination": destination}

    def _delete_suppressed(self, params: dict[str, Any]) -> Answer:
        del self.suppressed[self._suppressed_address(params)]
        return {}

    def _suppressed_address(self, params: dict[str, Any]) -> str:
        address = unquote(params["EmailAddress"])
        if address not in self.suppressed:
            raise _error("NotFoundException", f"Email address {address} does not exist on your suppression list.")
        return address


def _senders(message: EmailMessage, params: dict[str, Any]) -> list[str]:
    """Every address that has to be verified, the one that SES takes for the sender first."""
    if params.get("FromEmailAddress"):
        given = [_address(params["FromEmailAddress"])]
    elif "From" in message:
        given = []
    else:
        raise _error("BadRequestException", "Missing required header 'From'.")
    return given + [address for name in ("From", "Sender") for address in _header_addresses(message, name)]


def _recipients(message: EmailMessage, params: dict[str, Any]) -> tuple[str, ...]:
    """The destination of the request if there is one, else the headers To, Cc and Bcc."""
    destination = params.get("Destination") or {}
    given = [_address(each) for kind in ("To", "Cc", "Bcc") for each in destination.get(f"{kind}Addresses") or ()]
    given = given or [each for kind in ("To", "Cc", "Bcc") for each in _header_addresses(message, kind)]
    if not given:
        raise _error("BadRequestException", "Missing required header 'To'.")
    if len(given) > MAX_RECIPIENTS:
        raise _error("BadRequestException", f"Recipient count exceeds {MAX_RECIPIENTS}.")
    return tuple(given)


def _header_addresses(message: EmailMessage, name: str) -> list[str]:
    header = message.get(name)
    if header is None:
        return []
    if not header.addresses:
        raise _error("BadRequestException", "Illegal address")
    return [_address(each.addr_spec) for each in header.addresses]


def _address(text: str) -> str:
    """The bare address of 'Name <address>' or 'address', or a BadRequestException that says what is wrong with it."""
    named = re.fullmatch(r'\s*("[^"]*"|[^",;<>@]*)\s*<([^<>]*)>\s*', text, re.DOTALL)
    address = named[2] if named else text
    for pattern, message in BAD_ADDRESS:
        if re.fullmatch(pattern, address, re.DOTALL):
            raise _error("BadRequestException", "Illegal address" if set(text) & set(",;") else message)
    return address


def _tags(params: dict[str, Any]) -> dict[str, str]:
    tags = {tag["Name"]: tag["Value"] for tag in params.get("EmailTags", ())}
    for kind, text in [("name", name) for name in tags] + [("value", value) for value in tags.values()]:
        if not re.fullmatch("[A-Za-z0-9_-]{1,256}", text):
            raise _error(
                "BadRequestException",
                f"Invalid tag {kind} <{text}>, only alphanumeric ASCII characters, '_', and '-' are allowed.",
            )
    return tags


def _parsed(raw: bytes) -> EmailMessage:
    message = email.message_from_bytes(raw, policy=default)
    assert isinstance(message, EmailMessage)
    return message


def _as_delivered(raw: bytes, message_id: str, at: datetime) -> EmailMessage:
    message = _parsed(raw)
    for name in ("Message-ID", "Date", "Bcc", "X-SES-CONFIGURATION-SET"):
        del message[name]
    message["Message-ID"] = f"<{message_id}@email.amazonses.com>"
    message["Date"] = format_datetime(at)
    return message


def _identity(identity: str, verified: bool) -> dict[str, Any]:
    kind = "EMAIL_ADDRESS" if "@" in identity else "DOMAIN"
    return {"IdentityType": kind, "VerifiedForSendingStatus": verified}


def _error(code: str, message: str = "") -> ServiceError:
    status, said_by_ses = ERRORS[code]
    return ServiceError(code, message or said_by_ses, status)
