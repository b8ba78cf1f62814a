"""Channels by the settings: who mails, who alerts, who gives a sign of life, and where a named file is read from.

Each may be of AWS on either platform: SES mails for an embedded one, too. AWS is loaded where it is chosen.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from finops_assets.adapters.local.alerts import FileAlerts
from finops_assets.adapters.local.mailer import EmlOutbox
from finops_assets.adapters.shared.doctor import own_mail
from finops_assets.adapters.shared.heartbeat import MailHeartbeat, UrlHeartbeat
from finops_assets.adapters.shared.mail_alerts import MailAlerts
from finops_assets.adapters.shared.smtp import from_settings
from finops_assets.core.archive.display import Display
from finops_assets.core.errors import SettingsError
from finops_assets.core.findings import Finding
from finops_assets.core.ports import Alerts, HeartbeatChannel, Mailer
from finops_assets.settings.load import env_name
from finops_assets.settings.model import Settings

if TYPE_CHECKING:
    from finops_assets.adapters.aws.session import AwsSession
    from finops_assets.core.accounts.account_map import Membership


def aws_session(settings: Settings) -> AwsSession:
    """The identity that the settings name."""
    from finops_assets.adapters.aws.session import AwsSession

    aws = settings.aws
    return AwsSession(region=aws.region, profile=aws.profile, role_arn=aws.role_arn, endpoint_url=aws.endpoint_url)


def organization(settings: Settings) -> list[Membership]:
    """The accounts of AWS Organizations and their OUs of today, as the settings' identity may read them.

    Raises:
        FinopsError: Organizations cannot be read.
    """
    from finops_assets.adapters.aws.accounts import organization_now

    return organization_now(aws_session(settings), settings.aws.organizations_role_arn)


def mailer_of(settings: Settings, session: AwsSession | None) -> Mailer:
    """What hands mails over, by mail.backend."""
    backend = settings.mail.backend
    if backend == "auto":
        backend = "ses" if session else "eml"
    if backend == "smtp":
        return from_settings(settings.smtp, settings.bounces_folder)
    if backend == "ses":
        from finops_assets.adapters.aws.mailer import SESMailer

        return SESMailer(session or aws_session(settings), settings.aws.ses_configuration_set)
    return EmlOutbox(settings.outbox_folder, settings.bounces_folder)


def alerts_of(settings: Settings) -> Alerts:
    """The alert channel alone, for what is to be told where nothing else of the platform can be used."""
    return alert_channel(settings, aws_session(settings) if settings.platform == "aws" else None)


def alert_channel(settings: Settings, session: AwsSession | None) -> Alerts:
    """What alerts are sent by, by alerts.backend.

    Raises:
        SettingsError: it names nobody.
    """
    wanted, topic, to = settings.alerts.backend, settings.aws.sns_topic_arn, settings.alerts.recipients
    if wanted == "auto":
        wanted = "sns" if session and topic else "mail" if to else "eml"
    if wanted == "sns":
        from finops_assets.adapters.aws.alerts import SNSAlerts

        if not topic:
            raise SettingsError(
                "is not set, and alerts.backend is sns",
                where="aws.sns_topic_arn (FINOPS_AWS__SNS_TOPIC_ARN)",
                fix="Set it to the ARN of a topic, or alerts.backend to mail or eml.",
            )
        return SNSAlerts(session or aws_session(settings), topic)
    if wanted == "mail":
        if not to:
            raise SettingsError(
                "names nobody, and alerts.backend is mail",
                where="alerts.recipients (FINOPS_ALERTS__RECIPIENTS)",
                fix="Write at least one address.",
            )
        return MailAlerts(mailer_of(settings, session), settings.mail.sender, to)
    return FileAlerts(settings.alerts_folder)


def heartbeat_channels(settings: Settings, session: AwsSession | None) -> dict[str, HeartbeatChannel]:
    """Where the sign of life goes, by name; none where nothing is set."""
    wanted, channels = settings.alerts, dict[str, HeartbeatChannel]()
    if url := wanted.heartbeat_url.get_secret_value():
        channels["url"] = UrlHeartbeat(url)
    if to := wanted.heartbeat_recipients:
        mails = MailAlerts(
            mailer_of(settings, session), settings.mail.sender, to, setting="alerts.heartbeat_recipients"
        )
        channels["mail"] = MailHeartbeat(mails, wanted.runbook_url)
    return channels


def look_at_mail(settings: Settings) -> Iterable[Finding]:
    """The checks of what mails the digest of the embedded platform."""
    if settings.mail.backend == "ses":
        from finops_assets.adapters.aws.doctor.mail import ses

        return ses(aws_session(settings), settings.mail, settings.aws.ses_configuration_set)
    return own_mail(settings)


def read_address(settings: Settings, address: str, session: AwsSession | None = None) -> bytes | None:
    """A file's content, or an object's, `s3://bucket/key`; None where there is none."""
    if not address.startswith("s3://"):
        return Path(address).read_bytes() if Path(address).is_file() else None
    from finops_assets.adapters.aws.s3 import open_archive

    bucket, _, key = address.removeprefix("s3://").partition("/")
    return open_archive(session or aws_session(settings), bucket).get(key)


def display_of(settings: Settings, session: AwsSession | None) -> Display:
    """How costs are shown, by currency.display and currency.rates.

    Raises:
        SettingsError: one is set without the other.
    """
    display, rates = settings.currency.display, settings.currency.rates
    if bool(display) != bool(rates):
        names = ("currency.display", "currency.rates")
        (is_set, missing), example = (names, "rates.csv") if display else (names[::-1], "EUR")
        raise SettingsError(
            f"is not set, and {is_set} is",
            where=f"{missing} ({env_name(missing)})",
            fix=f"Set it, for example to {example}, or leave both empty.",
        )
    read = partial(named_file, settings, session, rates, "currency.rates", "rates.csv")
    return Display(display, read, rates)


def named_file(settings: Settings, session: AwsSession | None, address: str, setting: str, name: str) -> bytes | None:
    """The CSV that a setting names; None where it names none."""
    if not address:
        return None
    data = read_address(settings, address, session)
    if data is None:
        raise SettingsError(
            f"there is no such file: {address}",
            where=f"{setting} ({env_name(setting)})",
            fix=f"Set it to your {name}, or leave it empty.",
        )
    return data
