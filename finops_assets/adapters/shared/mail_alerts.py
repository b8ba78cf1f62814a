"""Alerts as plain messages through the digest's own mailer, to addresses of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

from finops_assets.core.addresses import mail_address
from finops_assets.core.errors import FinopsError
from finops_assets.core.ports import Mailer
from finops_assets.core.text import tidy


class MailAlerts:
    """Sends each alert to each recipient, one message each.

    Args:
        mailer: hands messages over.
        sender, recipients: the settings mail.sender and alerts.recipients.
        setting: the name of the recipients' setting.
        clock: the time that messages carry.
    """

    def __init__(
        self,
        mailer: Mailer,
        sender: str,
        recipients: Sequence[str],
        *,
        setting: str = "alerts.recipients",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._mailer, self._sender, self._recipients, self._clock = mailer, sender, tuple(recipients), clock
        self._setting = setting

    def send(self, subject: str, text: str, alert_id: str = "") -> str:
        """Send one alert; returns where the messages are.

        Raises:
            SettingsError: an address is malformed; nothing was sent.
            FinopsError: a recipient was not reached; the others were.
        """
        domain = mail_address(self._sender, "mail.sender").domain
        addresses = [mail_address(one, self._setting).addr_spec for one in self._recipients]
        at = self._clock()
        number = alert_id or f"{at:%Y%m%dT%H%M%S%fZ}"
        places, problems = [], []
        for position, address in enumerate(addresses, 1):
            message = EmailMessage()
            message["From"], message["To"], message["Date"] = self._sender, address, format_datetime(at)
            message["Message-ID"] = f"<alert-{number}-{position}@{domain}>"
            message["Subject"] = tidy(subject, 200)
            message.set_content(text.encode(errors="replace").decode())
            try:
                places.append(self._mailer.send(message, address, f"alert-{number}-{position}").location)
            except FinopsError as error:
                problems.append(str(error))
        if problems:
            raise FinopsError(f"the message was not sent: {'; '.join(problems)}", where=self._setting)
        return ", ".join(places)
