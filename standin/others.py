"""SNS and CloudWatch as strict as AWS before moto answers, and the words of a denial. STS is moto's own."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from werkzeug import Response

from standin.faults import Call, ServiceError

if TYPE_CHECKING:
    from standin.protocols import Answer
    from standin.server import StandIn

MAX_SUBJECT = 100
MAX_MESSAGE = 262_144
MAX_METRICS = 1000
LARGEST_VALUE = 2.0**360
ROLE = "assumed-role/finops-task/finops"
IAM_PREFIX = {"sesv2": "ses"}
DENIED_AS = {  # service: error code and HTTP status; everything else answers as the JSON protocols do
    "s3": ("AccessDenied", 403),
    "sts": ("AccessDenied", 403),
    "cloudwatch": ("AccessDenied", 403),
    "sns": ("AuthorizationError", 403),
    "quicksight": ("AccessDeniedException", 401),
    "ses": ("AccessDeniedException", 403),
}


def denied(
    call_or_action: Call | str,
    resource: str,
    *,
    account: str = "123456789012",
    because: str = "no identity-based policy allows",
) -> ServiceError:
    """What AWS answers when IAM refuses an action ("glue:GetTable") on a resource's ARN."""
    if isinstance(call_or_action, str):
        action = call_or_action
    else:
        action = f"{IAM_PREFIX.get(call_or_action.service, call_or_action.service)}:{call_or_action.operation}"
    code, status = DENIED_AS.get(action.partition(":")[0], ("AccessDeniedException", 400))
    return ServiceError(
        code,
        f"User: arn:aws:sts::{account}:{ROLE} is not authorized to perform: {action} on resource: {resource} "
        f"because {because} the {action} action",
        status,
    )


def unknown(stand_in: StandIn, call: Call) -> ServiceError:
    """For what a service here does not imitate: recorded, loud, and nothing that a client tries again."""
    stand_in.refused.append(f"{call.service} {call.operation}")
    return ServiceError(
        "StandInDoesNotKnow", f"The stand-in AWS does not know {call.operation} of {call.service} as it was asked."
    )


@dataclass(frozen=True)
class Published:
    """A message that SNS accepted."""

    topic: str
    subject: str | None
    message: str
    message_id: str
    at: datetime


class Topics:
    """SNS: limits of Publish, and e-mail subscriptions that wait for their confirmation."""

    def __init__(self, stand_in: StandIn) -> None:
        self._stand_in = stand_in
        self._lock = threading.RLock()
        self.reset()

    def reset(self) -> None:
        self.published: list[Published] = []
        self._confirmed: set[str] = set()

    def confirm(self, address: str) -> None:
        """The owner of this address has followed the link in the confirmation mail."""
        self._confirmed.add(address)

    def answer(self, call: Call) -> Answer | None:
        if call.operation == "Publish":
            return self._publish(call)
        if call.operation == "Subscribe":
            return self._subscribe(call)
        if call.operation in ("ListSubscriptions", "ListSubscriptionsByTopic"):
            return self._rewritten(call, r"<member>.*?</member>", self._member)
        return None

    def _publish(self, call: Call) -> Response:
        subject, message = call.params.get("Subject"), call.params.get("Message", "")
        if subject is not None and not _is_subject(subject):
            raise ServiceError("InvalidParameter", "Invalid parameter: Subject")
        if not message:
            raise ServiceError("InvalidParameter", "Invalid parameter: Empty message")
        if len(message.encode()) > MAX_MESSAGE:
            raise ServiceError("InvalidParameter", "Invalid parameter: Message too long")
        response = self._stand_in.moto(call)
        if match := re.search("<MessageId>(.*?)</MessageId>", response.get_data(as_text=True)):
            target = call.params.get("TopicArn") or call.params.get("TargetArn") or ""
            with self._lock:
                self.published.append(Published(target, subject, message, match[1], self._stand_in.clock()))
        return response

    def _subscribe(self, call: Call) -> Response | None:
        asks_for_arn = str(call.params.get("ReturnSubscriptionArn", "")).lower() == "true"
        if asks_for_arn or not self._waits(call.params.get("Protocol", ""), call.params.get("Endpoint", "")):
            return None
        return self._rewritten(
            call, "(?<=<SubscriptionArn>).*?(?=</SubscriptionArn>)", lambda _found: "pending confirmation"
        )

    def _member(self, member: re.Match[str]) -> str:
        protocol, endpoint = (re.search(f"<{name}>(.*?)</{name}>", member[0]) for name in ("Protocol", "Endpoint"))
        if not (protocol and endpoint and self._waits(protocol[1], endpoint[1])):
            return member[0]
        return re.sub("(?<=<SubscriptionArn>).*?(?=</SubscriptionArn>)", "PendingConfirmation", member[0])

    def _waits(self, protocol: str, endpoint: str) -> bool:
        return protocol in ("email", "email-json") and endpoint not in self._confirmed

    def _rewritten(self, call: Call, pattern: str, replace: Any) -> Response:
        response = self._stand_in.moto(call)
        response.set_data(re.sub(pattern, replace, response.get_data(as_text=True), flags=re.DOTALL))
        return response


class Metrics:
    """CloudWatch: what PutMetricData refuses; moto keeps the rest."""

    def __init__(self, stand_in: StandIn) -> None:
        self._stand_in = stand_in

    def reset(self) -> None:
        """Nothing is kept here."""

    def answer(self, call: Call) -> None:
        if call.operation != "PutMetricData":
            return
        faults = list(_metric_faults(call.params, self._stand_in.clock()))
        if faults:
            raise ServiceError("InvalidParameterValue", "\n".join(faults))


def _metric_faults(params: dict[str, Any], now: datetime) -> Iterator[str]:
    namespace, metrics = params["Namespace"], params.get("MetricData", [])
    if namespace.startswith("AWS/"):
        yield f"The value {namespace} for parameter Namespace is invalid."
    if len(metrics) > MAX_METRICS:
        yield f"The collection MetricData must not have a size greater than {MAX_METRICS}."
    for number, metric in enumerate(metrics, start=1):
        where = f"MetricData.member.{number}"
        if "Timestamp" in metric:
            at = _instant(metric["Timestamp"])
            if at < now - timedelta(days=14):
                yield f"The parameter {where}.Timestamp must specify a time within the past two weeks."
            if at > now + timedelta(hours=2):
                yield f"The parameter {where}.Timestamp must specify a time no more than two hours in the future."
        for value in (metric.get("Value", 0.0), *metric.get("Values", ())):
            # NaN and Infinity come as text, in JSON and out of botocore's parser of CBOR
            if not (math.isfinite(float(value)) and abs(value) <= LARGEST_VALUE):
                yield f"The value {value} for parameter {where}.Value is invalid."
        if len(metric.get("Dimensions", ())) > 30:
            yield f"The collection {where}.Dimensions must not have a size greater than 30."


def _instant(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    return datetime.fromisoformat(value.replace("Z", "+00:00"))


def _is_subject(text: str) -> bool:
    """ASCII without control characters, not longer than 100, and not beginning with a space."""
    return re.fullmatch(rf"[\x21-\x7e][\x20-\x7e]{{0,{MAX_SUBJECT - 1}}}", text) is not None
