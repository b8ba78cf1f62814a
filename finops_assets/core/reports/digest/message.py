"""The digest as an e-mail message."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from html import escape

from finops_assets.core.addresses import mail_address
from finops_assets.core.reports.digest.figures import Digest
from finops_assets.core.reports.digest.pictures import content_id
from finops_assets.core.text import tidy

CSV_NOTE = "<!-- csv -->"
"""Where the stored HTML takes the note on how the CSV comes, if it is not attached as it is."""

PDF_NAME = "executive_snapshot"


@dataclass(frozen=True)
class Link:
    """Where a file too large to attach is: `url` until `until` at the latest (UTC), `path` in the archive."""

    url: str
    path: str
    until: datetime


@dataclass(frozen=True)
class _Enclosed:
    """One way to bring the files: as (type, subtype, name, bytes), and what text and HTML say of those that are not."""

    files: tuple[tuple[str, str, str, bytes], ...]
    text: str = ""
    html: str = ""


@dataclass(frozen=True)
class Envelope:
    """Who gets a message from whom, and what makes it this message.

    Attributes:
        date: of the message (aware); passed in, so that the same message has the same bytes.
    """

    sender: str
    recipient: str
    message_id: str
    date: datetime


def message(
    digest: Digest,
    envelope: Envelope,
    *,
    max_bytes: float = float("inf"),
    link: Callable[[], Link] | None = None,
    pdf: bytes = b"",
    pdf_link: Callable[[], Link] | None = None,
) -> EmailMessage:
    """The mail to one recipient: mixed[alternative[text, related[html, pictures]], CSV, PDF].

    The CSV is attached; gzipped, where the message as it is sent would be larger than `max_bytes`; linked, where it
    still would be. A PDF is attached as long as it fits beside a linked CSV, and linked then. The same arguments give
    the same bytes: the boundaries come from the content.

    Args:
        link, pdf_link: make the links, which are asked for only where they are needed; without `link`, the CSV is
            gzipped at most, without `pdf_link` the PDF always attached.
        pdf: the executives' two pages; empty for none.

    Raises:
        SettingsError: an address is malformed, or carries a line end.
    """
    for enclosed in _ways(digest, link, pdf, pdf_link):
        mail = _assembled(digest, enclosed, envelope)
        if len(mail.as_bytes()) <= max_bytes:
            break
    return mail


def _ways(
    digest: Digest, link: Callable[[], Link] | None, pdf: bytes, pdf_link: Callable[[], Link] | None
) -> Iterator[_Enclosed]:
    pages = (("application", "pdf", f"{PDF_NAME}_{digest.day}.pdf", pdf),) if pdf else ()
    small = (("text", "csv", f"bills_{digest.day}.csv", digest.bills_csv),) if digest.bills_csv else ()
    yield _Enclosed((("text", "csv", digest.csv_name, digest.csv), *small, *pages))
    name = f"{digest.csv_name}.gz"
    words = f"The CSV is too large to attach as it is: it is attached gzipped, as {name}."
    packed = ("application", "gzip", name, gzip.compress(digest.csv, mtime=0))
    yield _Enclosed((packed, *small, *pages), words, _note(words))
    if link:
        text, html = _linked("CSV", link())
        yield _Enclosed((*small, *pages), text, html)
        if pages and pdf_link:
            pdf_text, pdf_html = _linked("PDF", pdf_link())
            yield _Enclosed(small, f"{text}\n{pdf_text}", html + pdf_html)


def _linked(what: str, link: Link) -> tuple[str, str]:
    words = f"The {what} is too large to attach. Valid until {link.until:%Y-%m-%d %H:%M} UTC at the latest:"
    kept = f"The archive keeps it at {link.path}."
    url = escape(link.url)
    if link.url.startswith(("https://", "http://")):
        url = f'<a class="link" href="{url}" style="color:#1f5a96">Download the {what}</a>'
    return f"{words}\n{link.url}\n{kept}", _note(f"{escape(words)} {url}<br>{escape(kept)}")


def _note(html: str) -> str:
    style = "margin:12px 0 0;padding:10px 14px;background:#eef2f6;border-radius:6px;color:#1f2933"
    return f'<p class="ink note" style="{style};font-size:14px;line-height:20px;overflow-wrap:anywhere">{html}</p>\n'


def _assembled(digest: Digest, enclosed: _Enclosed, envelope: Envelope) -> EmailMessage:
    text, html = digest.text, digest.html
    if enclosed.text:
        before, _, after = html.partition(CSV_NOTE)
        text, html = f"{text}\n{enclosed.text}\n", before + enclosed.html + after
    mail = EmailMessage(policy=SMTP)
    mail["From"] = mail_address(envelope.sender, "mail.sender")
    mail["To"] = mail_address(envelope.recipient, "mail.recipients")
    mail["Subject"] = tidy(digest.subject, 400)
    mail["Date"] = format_datetime(envelope.date)
    mail["Message-ID"] = envelope.message_id
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Finops-Day"] = digest.day.isoformat()
    mail["X-Finops-Revision"] = str(digest.revision)
    # Quoted-printable and base64 only: 8-bit bodies would depend on what the servers in between can do.
    mail.set_content(text, cte="quoted-printable")
    mail.add_alternative(html, subtype="html", cte="quoted-printable")
    page = mail.get_body(("html",))
    assert page is not None, "it was added just now"
    pictures = sorted(digest.pictures.items())
    for name, png in pictures:
        cid = f"<{content_id(name, digest.day, digest.revision, digest.ou)}>"
        page.add_related(png, "image", "png", cid=cid, filename=f"{name}.png")
    for kind, subtype, name, data in enclosed.files:
        params = {"charset": "utf-8"} if kind == "text" else {}
        mail.add_attachment(data, kind, subtype, filename=name, params=params)
    parts = (digest.text.encode(), digest.html.encode(), digest.csv, digest.bills_csv, *(png for _, png in pictures))
    content = hashlib.sha256(b"".join(parts))
    multiparts = [part for part in mail.walk() if part.is_multipart()]
    for number, part in enumerate(multiparts):
        part.set_boundary(f"finops-{content.hexdigest()[:32]}-{number}")
    return mail
