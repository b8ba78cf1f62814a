"""Doctor: whether SES would take a digest for each recipient, and deliver it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from finops_assets.adapters.aws.doctor.denied import unless_denied
from finops_assets.adapters.aws.mailer import suppressed
from finops_assets.adapters.aws.session import DENIED, AwsError, AwsSession, explained
from finops_assets.core.findings import Finding, State
from finops_assets.core.operations.doctor import bare, undelivered

if TYPE_CHECKING:
    from finops_assets.settings.sections import MailSettings


def ses(session: AwsSession, mail: MailSettings, configuration_set: str) -> Iterator[Finding]:
    """Whether SES would take a digest for each recipient, and deliver it."""
    checks = _SesChecks(session, mail, configuration_set)
    yield from unless_denied("ses account", checks.account())
    yield from unless_denied("sender", checks.sender())
    yield from unless_denied("recipients", checks.recipients())
    yield from unless_denied("suppression", checks.suppression())
    yield from unless_denied("configuration set", checks.configuration())


class _SesChecks:
    """The checks of one SES account and region; `account` comes first, as `recipients` needs what it learns."""

    def __init__(self, session: AwsSession, mail: MailSettings, configuration_set: str) -> None:
        self._session, self._configuration_set = session, configuration_set
        self._sender = bare([mail.sender], "mail.sender")
        self._recipients = bare(mail.everybody, "mail.recipients")
        self._sandbox: bool | None = None

    def account(self) -> Iterator[Finding]:
        with explained("ses:GetAccount", where=f"SES in {self._session.region}"):
            account = self._client.get_account()
        self._sandbox = not account.get("ProductionAccessEnabled")
        quota = account.get("SendQuota", {})
        most, sent = int(quota.get("Max24HourSend", 0)), int(quota.get("SentLast24Hours", 0))
        status = account.get("EnforcementStatus", "HEALTHY")
        place = f"SES in {self._session.region}"
        if status == "SHUTDOWN":
            yield Finding(
                "ses account", "fail", f"{place}: AWS ended its right to send", "Answer its case in AWS Support."
            )
        elif not account.get("SendingEnabled", True):
            yield Finding(
                "ses account",
                "fail",
                f"{place}: sending is paused",
                "See its reputation dashboard for the cause, then `aws sesv2 put-account-sending-attributes "
                "--sending-enabled`.",
            )
        elif most >= 0 and most - sent < len(self._recipients):  # -1 is no quota at all
            yield Finding(
                "ses account",
                "fail",
                f"{place}: {max(most - sent, 0):,} of {most:,} messages left in these 24 hours, for "
                f"{len(self._recipients)} recipient(s)",
                "Wait, or ask AWS for a higher daily quota (Service Quotas, SES).",
            )
        else:
            left = f"{most - sent:,} of {most:,} messages left in these 24 hours" if most >= 0 else "no daily quota"
            state: State = "warn" if status == "PROBATION" else "ok"
            fix = "AWS is reviewing this account: answer its case in AWS Support." if state == "warn" else ""
            kind = "sandbox" if self._sandbox else "production access"
            yield Finding("ses account", state, f"{place}: {status.lower()}, {kind}, {left}", fix)

    def sender(self) -> Iterator[Finding]:
        for sender in self._sender:
            name, identity = self._identity(sender)
            dkim = identity.get("DkimAttributes", {}).get("Status", "")
            if not identity.get("VerifiedForSendingStatus"):
                state = (
                    f"{name} is {identity.get('VerificationStatus', 'PENDING')}" if identity else "no identity of it"
                )
                yield Finding("sender", "fail", f"{sender} is not verified ({state})", self._verify(sender))
            elif dkim not in ("", "SUCCESS"):
                yield Finding(
                    "sender",
                    "warn",
                    f"{sender} is verified by {name}, without DKIM ({dkim}): digests may be taken for spam",
                    f"Set the CNAME records that `aws sesv2 get-email-identity --email-identity {name}` names.",
                )
            else:
                signed = ", signed with DKIM" if dkim else ""
                yield Finding("sender", "ok", f"{sender} is verified by {name}{signed}")

    def recipients(self) -> Iterator[Finding]:
        if self._sandbox is None:
            yield Finding("recipients", "skip", "it is not known whether the account is in the sandbox")
            return
        if not self._sandbox:
            yield Finding("recipients", "ok", f"{len(self._recipients)}; none has to be verified outside the sandbox")
            return
        refused = [one for one in self._recipients if not self._identity(one)[1].get("VerifiedForSendingStatus")]
        for one in refused:
            yield Finding(
                "recipients",
                "fail",
                f"SES is in its sandbox, and {one} is not verified",
                f"{self._verify(one)} Or ask for production access (SES, Account dashboard).",
            )
        if not refused:
            yield Finding("recipients", "ok", f"all {len(self._recipients)} are verified, as SES is in its sandbox")

    def suppression(self) -> Iterator[Finding]:
        none = f"none of {len(self._recipients)} recipient(s) is on the list"
        yield from undelivered("suppression", suppressed(self._session, self._recipients), none)

    def configuration(self) -> Iterator[Finding]:
        name = self._configuration_set
        if not name:
            yield Finding(
                "configuration set", "skip", "aws.ses_configuration_set is not set: bounces raise no alert by it"
            )
            return
        fixes = {"NotFoundException": "Set aws.ses_configuration_set to one of this region, or leave it empty."}
        with explained("ses:GetConfigurationSet", where=f"{name} (aws.ses_configuration_set)", fixes=fixes):
            configuration = self._client.get_configuration_set(ConfigurationSetName=name)
        if configuration.get("SendingOptions", {}).get("SendingEnabled", True):
            yield Finding("configuration set", "ok", f"{name} is there, and sends")
        else:
            yield Finding(
                "configuration set",
                "fail",
                f"{name}: sending is paused",
                f"`aws sesv2 put-configuration-set-sending-options --configuration-set-name {name} --sending-enabled`",
            )

    def _identity(self, address: str) -> tuple[str, Mapping[str, Any]]:
        """The identity that lets an address send, or else the nearest one; empty where there is none.

        A verified domain verifies its subdomains and their addresses.
        """
        labels = address.partition("@")[2].split(".")
        nearest: tuple[str, Mapping[str, Any]] = ("", {})
        refusal: AwsError | None = None
        for name in (address, *(".".join(labels[n:]) for n in range(max(len(labels) - 1, 1)))):
            try:
                with explained("ses:GetEmailIdentity", where=f"identity {name}"):
                    identity = self._client.get_email_identity(EmailIdentity=name)
            except AwsError as error:
                if error.code in DENIED:
                    refusal = error  # a policy may allow the domain only
                elif error.code != "NotFoundException":
                    raise
                continue
            if identity.get("VerifiedForSendingStatus"):
                return name, identity
            nearest = nearest if nearest[1] else (name, identity)
        if refusal and not nearest[1]:
            raise refusal
        return nearest

    def _verify(self, address: str) -> str:
        return (
            f"`aws sesv2 create-email-identity --email-identity {address}`, then follow the link in the mail it gets."
        )

    @property
    def _client(self) -> Any:
        return self._session.client("sesv2")
