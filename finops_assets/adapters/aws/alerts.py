"""Alerts through SNS: subject and text made to fit what a topic takes. Subscriptions belong to the topic."""

from __future__ import annotations

import re
import unicodedata

from finops_assets.adapters.aws.session import AwsSession, explained

MAX_SUBJECT = 99
"""SNS says "less than 100 characters" in one place and takes 100 in another."""

MAX_BYTES = 262_144
TOPIC_SETTING = "aws.sns_topic_arn (FINOPS_AWS__SNS_TOPIC_ARN)"

_ASCII = str.maketrans(
    {"–": "-", "—": "-", "−": "-", "‘": "'", "’": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"'}
    | {"€": "EUR", "£": "GBP", "ß": "ss", "æ": "ae", "Æ": "AE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "×": "x"}
    | {"→": "->", "·": "-", "•": "-", "∕": "/"}
)
_FIXES = {
    "NotFound": f"Set {TOPIC_SETTING} to the ARN of a topic that is there: `aws sns list-topics`.",
    "InvalidParameter": f"See that {TOPIC_SETTING} is the ARN of a standard topic in the region of aws.region.",
    "KMSAccessDenied": "Allow the role kms:GenerateDataKey and kms:Decrypt on the key of the topic.",
    "KMSDisabled": "Enable the key of the topic in KMS.",
}


class SNSAlerts:
    """Publishes alerts to one topic.

    Args:
        session: how AWS is reached.
        topic_arn: ARN of a standard topic.
    """

    def __init__(self, session: AwsSession, topic_arn: str) -> None:
        self._session, self._topic_arn = session, topic_arn

    def send(self, subject: str, text: str, alert_id: str = "") -> str:  # noqa: ARG002
        """Publish one alert; returns its MessageId. A standard topic takes no id, and delivers a repetition again.

        Raises:
            AwsError: SNS refused it: no such topic, no permission.
        """
        sns = self._session.client("sns")
        subject = fitting_subject(subject)
        with explained("sns:Publish", where=f"{self._topic_arn} ({TOPIC_SETTING})", fixes=_FIXES):
            answer = sns.publish(TopicArn=self._topic_arn, Subject=subject, Message=fitting_text(text) or subject)
        return answer["MessageId"]


def fitting_subject(subject: str) -> str:
    """The subject as one line of ASCII without leading spaces; accents are dropped, other scripts become `?`."""
    plain = unicodedata.normalize("NFKD", subject.translate(_ASCII))
    plain = "".join(character for character in plain if not unicodedata.combining(character))
    plain = " ".join(re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", plain).split())
    return plain.encode("ascii", "replace").decode()[:MAX_SUBJECT].rstrip() or "Alert"


def fitting_text(text: str) -> str:
    """The text; a longer one than SNS takes is cut, and its last line says so."""
    data = text.encode(errors="replace")  # half a surrogate pair in a log must not silence the alert
    if len(data) <= MAX_BYTES:
        return data.decode()
    note = f"\n[Cut here: the text has {len(data):,} bytes, SNS takes {MAX_BYTES:,}.]"
    return data[: MAX_BYTES - len(note)].decode(errors="ignore") + note
