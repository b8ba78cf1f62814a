"""The digest as an e-mail message, and the checking of addresses."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from datetime import datetime
from typing import TYPE_CHECKING

from finops_assets.core.digest.figures import Digest
from finops_assets.core.digest.page import chart_id
from finops_assets.core.digest.words import tidy
from finops_assets.core.errors import SettingsError

if TYPE_CHECKING:
    from email.headerregistry import Address
    from email.message import EmailMessage


_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@({_LABEL}(?:\.{_LABEL})*)")
_NAMED = re.compile(r'"?([^"<>\r\n]*?)"?\s*<([^<>]*)>')


def mail_address(text: str, setting: str) -> Address:
    """An address, `finops@example.com` or `FinOps <finops@example.com>`.

    Raises:
        SettingsError: it is not one that mail servers take; the message names the address and the setting.
    """
    from email.headerregistry import Address

    named = _NAMED.fullmatch(text.strip(" "))
    name, spec = named.groups() if named else ("", text.strip(" "))
    found = _ADDRESS.fullmatch(spec)
    if not found or len(found[1]) > 64 or len(spec) > 254 or any(unicodedata.category(c) == "Cc" for c in name):
        raise SettingsError(
            f"{text!r} is not an e-mail address",
            where=setting,
            fix="Write it as name@example.com, in plain ASCII letters (a domain in its xn-- form).",
        )
    return Address(display_name=name, username=found[1], domain=found[2])


def message(digest: Digest, *, sender: str, recipient: str, message_id: str, date_header: datetime) -> EmailMessage:
    """The mail to one recipient: mixed[alternative[text, related[html, chart]], CSV].

    The same arguments give the same bytes: the date is passed in and the boundaries are derived from the content.

    Raises:
        SettingsError: an address is malformed, or carries a line end.
    """
    from email.message import EmailMessage
    from email.policy import SMTP
    from email.utils import format_datetime

    mail = EmailMessage(policy=SMTP)
    mail["From"] = mail_address(sender, "mail.sender")
    mail["To"] = mail_address(recipient, "mail.recipients")
    mail["Subject"] = tidy(digest.subject, 400)
    mail["Date"] = format_datetime(date_header)
    mail["Message-ID"] = message_id
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Finops-Day"] = digest.day.isoformat()
    mail["X-Finops-Revision"] = str(digest.revision)
    # Quoted-printable and base64 only: 8-bit bodies would depend on what the servers in between can do.
    mail.set_content(digest.text, cte="quoted-printable")
    mail.add_alternative(digest.html, subtype="html", cte="quoted-printable")
    if digest.chart_png:
        mail.get_payload()[1].add_related(
            digest.chart_png, "image", "png", cid=f"<{chart_id(digest.day, digest.revision)}>", filename="chart.png"
        )
    mail.add_attachment(digest.csv, "text", "csv", filename=digest.csv_name, params={"charset": "utf-8"})
    content = hashlib.sha256(b"".join((digest.text.encode(), digest.html.encode(), digest.csv, digest.chart_png)))
    multiparts = [part for part in mail.walk() if part.is_multipart()]
    for number, part in enumerate(multiparts):
        part.set_boundary(f"finops-{content.hexdigest()[:32]}-{number}")
    return mail
