"""Mail through SES (API v2), one message a recipient; after an unknown outcome nothing is sent again.

SES has no idempotency: it counts and delivers the same message twice. It accepts messages to addresses on its
suppression list and bounces them: `send` raises no error then; the configuration set has the event, and `refused` has
the address.
"""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC
from typing import TYPE_CHECKING, Any

from finops_assets.adapters.aws import retries
from finops_assets.adapters.aws.session import AwsError, explained, from_client_error
from finops_assets.core.errors import FinopsError, UnknownDeliveryError
from finops_assets.core.mail_bytes import WIRE
from finops_assets.core.values import Delivery, Refused

if TYPE_CHECKING:
    from email.message import EmailMessage

    from botocore.exceptions import ClientError

    from finops_assets.adapters.aws.session import AwsSession

ACTION = "ses:SendRawEmail"
TAG = "finops-delivery"

FIXES: Mapping[str, str] = {
    **dict.fromkeys(
        retries.THROTTLED, "Run it again later, or ask AWS for a higher sending rate (Service Quotas, SES)."
    ),
    "LimitExceededException": "Ask AWS for a higher quota (Service Quotas, SES).",
    "AccountSuspendedException": "AWS ended this account's right to send: answer its case in AWS Support.",
    "SendingPausedException": "See the reputation dashboard of SES for the cause; then enable sending again, "
    "of the account or of the configuration set.",
    "MessageRejected": "SES takes neither malformed messages nor viruses: see the stored digest, and send it by "
    "another mail.backend if it is sound.",
    "MailFromDomainNotVerifiedException": "Set the MX and SPF records of the identity's MAIL FROM domain, "
    "or let SES use its own where they fail.",
    "NotFoundException": "Set aws.ses_configuration_set to one of this region, or leave it empty.",
    "BadRequestException": "Check this address and mail.sender: plain ASCII, name@example.com.",
}
"""What to do about each error of SendEmail."""

FIXES_BY_WORDS = (
    ("quota exceeded", "Run it again in 24 hours, or ask AWS for a higher daily quota (Service Quotas, SES)."),
    (
        "not verified",
        "Verify mail.sender or its domain in this region; in the sandbox verify each recipient too, or leave it.",
    ),
    ("Message length", "Lower mail.max_megabytes: SES takes 40 MB."),
)
"""For codes with several causes: part of the message, and what to do."""


class SESMailer:
    """Sends through SES.

    Args:
        session: the account and region.
        configuration_set: aws.ses_configuration_set; empty for none.
        pause: waits that many seconds.
    """

    repeatable = False

    def __init__(
        self, session: AwsSession, configuration_set: str = "", *, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self._session, self._configuration_set, self._pause = session, configuration_set, pause

    def send(self, message: EmailMessage, recipient: str, delivery_id: str) -> Delivery:
        """Send the message. After a refusal for a too high rate it is sent again: SES has certainly not accepted it.

        Raises:
            UnknownDeliveryError: the connection broke, or SES failed, after it may have accepted the message.
            AwsError: SES refused it; `code` is its own name of the error.
            FinopsError: SES was not reached.
        """
        import botocore.exceptions as aws

        request = {
            "FromEmailAddress": message["From"].addresses[0].addr_spec,
            "Destination": {"ToAddresses": [recipient]},
            "Content": {"Raw": {"Data": message.as_bytes(policy=WIRE)}},
            "EmailTags": [{"Name": TAG, "Value": re.sub("[^A-Za-z0-9_-]", "-", delivery_id)[:256]}],
        }
        if self._configuration_set:
            request["ConfigurationSetName"] = self._configuration_set
        # boto3 would send again after a connection that broke when SES had accepted the message.
        client = self._session.client("sesv2", attempts=1)
        for attempt in range(1, retries.ATTEMPTS + 1):
            try:
                message_id = _accepted(client, request, recipient)
                break
            except aws.ClientError as error:
                if attempt == retries.ATTEMPTS or not _comes_too_fast(error):
                    raise _refused(error, recipient) from None
            self._pause(retries.pause(attempt))
        return Delivery(recipient, message_id, f"SES {self._session.region}: {message_id}")

    def refused(self, recipients: Sequence[str]) -> dict[str, Refused]:
        """Recipients on SES's suppression list.

        Raises:
            AwsError: SES refused the call.
            FinopsError: SES was not reached.
        """
        return dict(suppressed(self._session, recipients))


def suppressed(session: AwsSession, recipients: Iterable[str]) -> Iterator[tuple[str, Refused]]:
    """Recipients on SES's suppression list, as SES answers for each.

    SES drops mail whatever the case of an address, but keeps and finds an entry in its own case only: one with capitals
    is asked for in lower case too.
    """
    for recipient in recipients:
        entries = (_entry(session, address) for address in dict.fromkeys((recipient, recipient.lower())))
        entry = next(filter(None, entries), None)
        if entry:
            reason = f"it is on SES's suppression list ({entry['Reason'].lower()}), SES drops its mail"
            command = f"aws sesv2 delete-suppressed-destination --email-address {shlex.quote(entry['EmailAddress'])}"
            fix = f"When {recipient} can take mail again: `{command}`"
            yield recipient, Refused("suppressed", reason, entry["LastUpdateTime"].astimezone(UTC), fix)


def _entry(session: AwsSession, address: str) -> Mapping[str, Any] | None:
    """An address's entry on the suppression list; None where it has none."""
    fixes = {
        **dict.fromkeys(retries.THROTTLED, "Run it again later."),
        "BadRequestException": FIXES["BadRequestException"],
    }
    try:
        with explained("ses:GetSuppressedDestination", where=f"SES in {session.region}", fixes=fixes):
            return session.client("sesv2").get_suppressed_destination(EmailAddress=address)["SuppressedDestination"]
    except AwsError as error:
        if error.code == "NotFoundException":
            return None
        raise


def _accepted(client: Any, request: Mapping[str, Any], recipient: str) -> str:
    """SES's id of the message; its refusals pass as they are."""
    import botocore.exceptions as aws
    from botocore.parsers import ResponseParserError

    try:
        return client.send_email(**request)["MessageId"]
    except aws.ClientError as error:
        status = error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
        # Another operation belongs to the credentials' own service: SES was not called yet.
        if status < 500 or error.operation_name != "SendEmail":
            raise
        raise _unknown(f"SES failed with {status} {error.response['Error'].get('Code')}", recipient) from None
    except (aws.HTTPClientError, aws.SSLError, aws.IncompleteReadError, ResponseParserError) as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise _unreached(error) from None
        raise _unknown(f"the connection to SES broke before its answer ({type(error).__name__})", recipient) from None
    except aws.BotoCoreError as error:
        raise _unreached(error) from None


def _comes_too_fast(error: ClientError) -> bool:
    answer = error.response["Error"]
    return answer.get("Code") in retries.THROTTLED and "quota" not in answer.get("Message", "")


def _refused(error: ClientError, recipient: str) -> FinopsError:
    answer = error.response["Error"]
    by_words = next((fix for words, fix in FIXES_BY_WORDS if words in answer.get("Message", "")), "")
    fixes = {**FIXES, **({answer["Code"]: by_words} if by_words else {})}
    known = answer["Code"] in fixes
    return from_client_error(error, ACTION, where=f"{recipient} ({ACTION})" if known else "", fixes=fixes)


def _unknown(what: str, recipient: str) -> UnknownDeliveryError:
    return UnknownDeliveryError(what, where=recipient, fix="It may have been sent or not: ask the recipient.")


def _unreached(error: Exception) -> FinopsError:
    """The error where nothing was sent: no credentials, no connection to SES, or no trust in its certificate."""
    import botocore.exceptions as aws

    try:
        with explained(ACTION):
            raise error
    except FinopsError as words:
        return words
    except aws.BotoCoreError:
        return FinopsError(
            f"AWS was not asked ({error})",
            where=f"{ACTION} (aws.profile, aws.endpoint_url)",
            fix="Check the login, the proxy and the certificates; run it again.",
        )
