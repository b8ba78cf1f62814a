"""Mail through a mail server of one's own (SMTP), one connection a message, encrypted and with a login or without."""

from __future__ import annotations

import ipaddress
import smtplib
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from finops_assets.adapters.shared.bounces import Bounces
from finops_assets.core.errors import FinopsError, SettingsError, UnknownDeliveryError
from finops_assets.core.mail_bytes import WIRE
from finops_assets.core.values import Delivery, Refused

if TYPE_CHECKING:
    from email.message import EmailMessage
    from pathlib import Path

    from finops_assets.settings.sections import SmtpSettings

PORTS = {"starttls": 587, "tls": 465, "none": 25}

CONNECT, ENCRYPT, LOGIN = "the connection", "encryption", "the login"
SENDER, RECIPIENT, MESSAGE = "the sender", "the recipient", "the message"
FIXES = {
    CONNECT: "Check smtp.host, smtp.port and smtp.security, and the network.",
    ENCRYPT: "Check smtp.security (starttls or tls) and the server's certificate; `none` does not encrypt.",
    LOGIN: "Check smtp.username and smtp.password (FINOPS_SMTP__PASSWORD).",
    SENDER: "Set mail.sender to an address that this login may send from.",
    RECIPIENT: "Check the address in mail.recipients.",
    MESSAGE: "See what the server says.",
}
"""What to do where the server refuses each step of a delivery."""

TOO_LARGE = 552
LATER = "Run it again later: what was sent is not sent again."


def from_settings(smtp: SmtpSettings, bounces: Path | None = None) -> SMTPMailer:
    """The mailer that `[smtp]` describes."""
    return SMTPMailer(
        smtp.host,
        smtp.port,
        security=smtp.security,
        username=smtp.username,
        password=smtp.password.get_secret_value(),
        timeout=smtp.timeout_seconds,
        bounces=bounces,
    )


class SMTPMailer:
    """Sends through a mail server.

    Args:
        host, port, security, username, password, timeout: the settings of `[smtp]`.
        context: how certificates are verified; by the system's authorities by default.
        bounces: where returned mail is found; None for nowhere.

    Raises:
        SettingsError: there is no host, or the login would cross a network in clear.
    """

    repeatable = False

    def __init__(
        self,
        host: str,
        port: int = 0,
        *,
        security: str = "starttls",
        username: str = "",
        password: str = "",
        timeout: float = 30.0,
        context: ssl.SSLContext | None = None,
        bounces: Path | None = None,
    ) -> None:
        if not host:
            raise SettingsError("names no server", where="smtp.host (FINOPS_SMTP__HOST)", fix="Set it.")
        if username and security == "none" and not _is_this_machine(host):
            raise SettingsError(
                f"the login at {host} would go over the network unencrypted",
                where="smtp.security",
                fix="Set it to starttls or tls, or leave smtp.username empty.",
            )
        if not (username + password).isascii():
            raise SettingsError("has letters outside ASCII", where="smtp.username or smtp.password", fix="Change it.")
        self._host, self._port, self._security = host, port or PORTS[security], security
        self._username, self._password, self._timeout = username, password, timeout
        self._context, self._bounces = context, Bounces(bounces)

    def send(self, message: EmailMessage, recipient: str, delivery_id: str) -> Delivery:  # noqa: ARG002  (the port's)
        """Hand the message over, with CRLF line ends.

        Raises:
            UnknownDeliveryError: the connection broke after the server may have accepted the message.
            FinopsError: the server refused it or was not reached; it says at which step.
        """
        data = message.as_bytes(policy=WIRE)
        sender = message["From"].addresses[0].addr_spec
        with self._logged_in() as server:
            with self._explained(SENDER, sender):
                server.ehlo_or_helo_if_needed()
                size = [f"size={len(data)}"] if server.has_extn("size") else []
                _taken(server.mail(sender, size))
            with self._explained(RECIPIENT, recipient):
                _taken(server.rcpt(recipient))
            with self._explained(MESSAGE, recipient):
                reply = self._hand_over(server, data, recipient)
        return Delivery(recipient, message["Message-ID"], f"{self.place}: {reply}")

    def refused(self, recipients: Sequence[str]) -> dict[str, Refused]:
        """Recipients whose mail came back."""
        return self._bounces.refused(recipients)

    def check(self) -> None:
        """Connect, encrypt and log in, without a message.

        Raises:
            FinopsError: as `send` would, at the step that failed.
        """
        with self._logged_in() as server, self._explained(LOGIN):
            server.ehlo_or_helo_if_needed()

    @contextmanager
    def _logged_in(self) -> Iterator[smtplib.SMTP]:
        with self._explained(CONNECT):
            server = self._connected()
        try:
            with self._explained(ENCRYPT):
                if self._security == "starttls":
                    server.starttls(context=self._verifying())
            with self._explained(LOGIN):
                if self._username:
                    server.login(self._username, self._password)
            yield server
        finally:
            _part(server)

    @property
    def place(self) -> str:
        """The server and its port."""
        return f"{self._host}:{self._port}"

    def _connected(self) -> smtplib.SMTP:
        if self._security == "tls":
            return smtplib.SMTP_SSL(self._host, self._port, timeout=self._timeout, context=self._verifying())
        return smtplib.SMTP(self._host, self._port, timeout=self._timeout)

    def _verifying(self) -> ssl.SSLContext:
        """Passed on always: smtplib verifies nothing without one."""
        return self._context or ssl.create_default_context()

    def _hand_over(self, server: smtplib.SMTP, data: bytes, recipient: str) -> str:
        try:
            return _taken(server.data(data))
        except smtplib.SMTPResponseException:
            raise
        except (smtplib.SMTPException, OSError) as error:
            raise UnknownDeliveryError(
                f"the connection to {self.place} broke before the server's answer ({_one_line(error)})",
                where=recipient,
                fix="It may have been sent or not: ask the recipient.",
            ) from None

    @contextmanager
    def _explained(self, step: str, address: str = "") -> Iterator[None]:
        """The server's refusal of a step in words: what it said, and what to do."""
        where = f"{address} ({self.place})" if address else self.place
        try:
            yield
        except smtplib.SMTPResponseException as error:
            fix = FIXES[step]
            if error.smtp_code == TOO_LARGE and step in (SENDER, MESSAGE):
                step, fix = MESSAGE, "Lower mail.max_megabytes: the message is too large for this server."
            elif 400 <= error.smtp_code < 500:
                fix = LATER
            reply = f"{error.smtp_code} {_one_line(error.smtp_error)}"
            raise FinopsError(f"the server refused {step} ({reply})", where=where, fix=fix) from None
        except ssl.SSLError as error:
            raise FinopsError(f"{ENCRYPT} failed ({_one_line(error)})", where=where, fix=FIXES[ENCRYPT]) from None
        except (smtplib.SMTPException, OSError) as error:
            raise FinopsError(f"{step} failed ({_one_line(error)})", where=where, fix=FIXES[step]) from None


def _taken(answer: tuple[int, bytes]) -> str:
    """The server's words where it said yes."""
    code, reply = answer
    if code not in (250, 251):
        raise smtplib.SMTPResponseException(code, reply)
    return f"{code} {_one_line(reply)}"


def _part(server: smtplib.SMTP) -> None:
    """What was accepted stays accepted, whatever becomes of the goodbye."""
    with suppress(smtplib.SMTPException, OSError):
        server.quit()
    server.close()


def _one_line(reply: object) -> str:
    text = reply.decode(errors="replace") if isinstance(reply, bytes) else str(reply)
    return " ".join(text.split())[:300] or type(reply).__name__


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
