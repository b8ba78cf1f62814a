"""The digest as an e-mail message, and the checking of addresses."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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

CSV_NOTE = "<!-- csv -->"
"""Where the stored HTML takes the note on how the CSV comes, if it is not attached as it is."""


@dataclass(frozen=True)
class Link:
    """Where a CSV too large to attach is: `url` until `until` at the latest (UTC), `path` in the archive."""

    url: str
    path: str
    until: datetime


@dataclass(frozen=True)
class _Enclosed:
    """One way to bring the CSV: a file, or none, and what text and HTML say about it."""

    file: tuple[str, str, str, bytes] | None
    text: str = ""
    html: str = ""


def mail_address(text: str, setting: str) -> Address:
    """An address, `finops@example.com` or `FinOps <finops@example.com>`.

    Raises:
        SettingsError: it is not one that mail servers take; the message names the address and the setting.
    """
    from email.headerregistry import Address

    named = _NAMED.fullmatch(text.strip(" "))
    name, spec = named.groups() if named else ("", text.strip(" "))
    found = _ADDRESS.fullmatch(spec)
    if (
        not found
        or len(found[1]) > 64
        or len(spec) > 254
        or any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in name)
    ):
        raise SettingsError(
            f"{text!r} is not an e-mail address",
            where=setting,
            fix="Write it as name@example.com, in plain ASCII letters (a domain in its xn-- form).",
        )
    return Address(display_name=name, username=found[1], domain=found[2])


def message(
    digest: Digest,
    *,
    sender: str,
    recipient: str,
    message_id: str,
    date_header: datetime,
    max_bytes: float = float("inf"),
    link: Callable[[], Link] | None = None,
) -> EmailMessage:
    """The mail to one recipient: mixed[alternative[text, related[html, chart]], CSV].

    The CSV is attached; gzipped, where the message as it is sent would be larger than `max_bytes`; linked, where it
    still would be. The same arguments give the same bytes: the date is passed in, the boundaries come from the content.

    Args:
        link: makes the link, which is asked for only where one is needed; without it, the CSV is gzipped at most.

    Raises:
        SettingsError: an address is malformed, or carries a line end.
    """
    for enclosed in _ways(digest, link):
        mail = _assembled(digest, enclosed, sender, recipient, message_id, date_header)
        if len(mail.as_bytes()) <= max_bytes:
            break
    return mail


def _ways(digest: Digest, link: Callable[[], Link] | None) -> Iterator[_Enclosed]:
    import gzip

    yield _Enclosed(("text", "csv", digest.csv_name, digest.csv))
    name = f"{digest.csv_name}.gz"
    words = f"The CSV is too large to attach as it is: it is attached gzipped, as {name}."
    yield _Enclosed(("application", "gzip", name, gzip.compress(digest.csv, mtime=0)), words, _note(words))
    if link:
        yield _linked(link())


def _linked(link: Link) -> _Enclosed:
    from html import escape

    words = f"The CSV is too large to attach. Valid until {link.until:%Y-%m-%d %H:%M} UTC at the latest:"
    kept = f"The archive keeps it at {link.path}."
    url = escape(link.url)
    if link.url.startswith(("https://", "http://")):
        url = f'<a class="link" href="{url}" style="color:#1f5a96">Download the CSV</a>'
    return _Enclosed(None, f"{words}\n{link.url}\n{kept}", _note(f"{escape(words)} {url}<br>{escape(kept)}"))


def _note(html: str) -> str:
    style = "margin:12px 0 0;padding:10px 14px;background:#eef2f6;border-radius:6px;color:#1f2933"
    return f'<p class="ink note" style="{style};font-size:14px;line-height:20px;overflow-wrap:anywhere">{html}</p>\n'


def _assembled(
    digest: Digest, enclosed: _Enclosed, sender: str, recipient: str, message_id: str, date_header: datetime
) -> EmailMessage:
    from email.message import EmailMessage
    from email.policy import SMTP
    from email.utils import format_datetime

    text, html = digest.text, digest.html
    if enclosed.text:
        before, _, after = html.partition(CSV_NOTE)
        text, html = f"{text}\n{enclosed.text}\n", before + enclosed.html + after
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
    mail.set_content(text, cte="quoted-printable")
    mail.add_alternative(html, subtype="html", cte="quoted-printable")
    if digest.chart_png:
        mail.get_payload()[1].add_related(
            digest.chart_png, "image", "png", cid=f"<{chart_id(digest.day, digest.revision)}>", filename="chart.png"
        )
    if enclosed.file:
        kind, subtype, name, data = enclosed.file
        params = {"charset": "utf-8"} if kind == "text" else {}
        mail.add_attachment(data, kind, subtype, filename=name, params=params)
    content = hashlib.sha256(b"".join((digest.text.encode(), digest.html.encode(), digest.csv, digest.chart_png)))
    multiparts = [part for part in mail.walk() if part.is_multipart()]
    for number, part in enumerate(multiparts):
        part.set_boundary(f"finops-{content.hexdigest()[:32]}-{number}")
    return mail
