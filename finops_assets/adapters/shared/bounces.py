"""Returned mail: bounces and complaints, read from a folder that the sender's mailbox is delivered to.

A mail server returns what it cannot deliver as a delivery status notification (RFC 3464), a provider tells of a
complaint by a feedback report (RFC 5965). Anybody can write to a mailbox: what is no such report, or a malformed one,
is skipped, only the fields of a message are parsed, and what is quoted of one is a line of printable text.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from email.parser import HeaderParser
from email.utils import parsedate_to_datetime
from pathlib import Path

from finops_assets.core.errors import FinopsError
from finops_assets.core.text import tidy
from finops_assets.core.values import Refused

LONGEST_FILE = 1_000_000
LONGEST_FIELD = 1_000
"""Characters that are looked at: the standard library takes minutes for a Content-Type of 200,000 semicolons."""

MOST_PARTS, MOST_RECIPIENTS = 10, 100
"""A report has three parts, and a digest's has one recipient."""

LONGEST_REASON = 300
SHOWN_FILES = 3

NO_COMPLAINTS = frozenset(("not-spam", "auth-failure"))
"""Feedback of people who like a message, and of DMARC."""

_ADDRESS = re.compile(r"""[^\s<>(),;:"]+@[^\s<>(),;:"]+""")
_EMPTY_LINES = re.compile(r"\n[ \t]*\n\s*")
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class _Report:
    """What a message reports of one recipient, whose addresses are in lower case."""

    file: Path
    addresses: frozenset[str]
    kind: str
    reason: str
    at: datetime | None


class Bounces:
    """The reports in a folder and those below it, whatever the names of the files; each is read once.

    Args:
        folder: with a message a file, such as a Maildir. None, or one that is not there, has no reports.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._known: dict[Path, tuple[tuple[int, int], tuple[_Report, ...]]] = {}

    def refused(self, recipients: Sequence[str]) -> dict[str, Refused]:
        """Recipients that a report is about, whatever the case of their addresses.

        Raises:
            FinopsError: the folder, or a file in it, cannot be read.
        """
        about: dict[str, list[_Report]] = {}
        for report in self._reports():
            for address in report.addresses:
                about.setdefault(address, []).append(report)
        return {who: _refused(who, about[who.lower()]) for who in recipients if who.lower() in about}

    def _reports(self) -> list[_Report]:
        known = {}
        for path in _files(self._folder) if self._folder else ():
            try:
                facts = path.stat()
                if not stat.S_ISREG(facts.st_mode):
                    continue
                state = facts.st_size, facts.st_mtime_ns
                before, reports = self._known.get(path, (None, ()))
                known[path] = state, reports if before == state else tuple(_read(path))
            except FileNotFoundError:  # in a Maildir, files move from new/ to cur/ at any moment
                continue
            except OSError as error:
                raise _unreadable(path, error) from None
        self._known = known
        return [report for _, reports in known.values() for report in reports]


def _files(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise _unreadable(Path(error.filename), error)

    for inside, _, names in os.walk(folder, onerror=refuse):
        yield from (Path(inside, name) for name in sorted(names))


def _unreadable(path: Path, error: OSError) -> FinopsError:
    return FinopsError(
        f"cannot be read: {error.strerror or error}",
        where=f"{_printable(path)} (mail.bounces)",
        fix="Mend its rights, or set mail.bounces to another folder.",
    )


def _refused(recipient: str, reports: Sequence[_Report]) -> Refused:
    """What the newest report says, and since when there are any; all of them have to go."""
    newest = max(reports, key=lambda report: report.at or _LONG_AGO)
    since = min((report.at for report in reports if report.at), default=None)
    files = list(dict.fromkeys(report.file for report in reports))
    named = ", ".join(map(_printable, files[:SHOWN_FILES]))
    if len(files) > SHOWN_FILES:
        named += f" and {len(files) - SHOWN_FILES} more that name this address"
    todo = (
        f"Ask {recipient} whether the digest is wanted, or take the address out of mail.recipients"
        if newest.kind == "complaint"
        else f"Mend the address or its mailbox, or take {recipient} out of mail.recipients"
    )
    return Refused(newest.kind, newest.reason, since, f"{todo}; then remove the report of it: {named}")


# --- one message ------------------------------------------------------------------------------------------------------


def _read(path: Path) -> Iterator[_Report]:
    with path.open(encoding="utf-8", errors="replace") as file:
        head, _, body = file.read(LONGEST_FILE).partition("\n\n")
    message = _fields(head)
    boundary = _boundary(message)
    if not boundary:
        return
    contents: dict[str, str] = {}
    between = re.compile(rf"^--{re.escape(boundary)}(?:--)?[ \t]*(?:\n|\Z)", re.MULTILINE)
    for part in between.split(body, maxsplit=MOST_PARTS)[1:]:
        fields, _, content = part.partition("\n\n")
        contents.setdefault(_fields(fields).get_content_type(), content.strip())
    date = _when(message["Date"])
    if status := contents.get("message/delivery-status"):
        yield from _bounced(path, status, date)
    elif feedback := contents.get("message/feedback-report"):
        returned = contents.get("message/rfc822") or contents.get("text/rfc822-headers") or ""
        yield from _complained(path, _fields(feedback), _fields(returned), date)


def _fields(text: str) -> Message:
    """The fields up to an empty line: a report's parts are written like the head of a message."""
    return HeaderParser().parsestr(text)


def _boundary(message: Message) -> str | None:
    """What stands between the parts of a report; None where a message is none."""
    if message.get_content_type() != "multipart/report" or len(message["Content-Type"]) > LONGEST_FIELD:
        return None
    try:
        return message.get_boundary()
    except (LookupError, ValueError):  # a boundary may name a charset of its own (RFC 2231)
        return None


def _bounced(path: Path, status: str, date: datetime | None) -> Iterator[_Report]:
    """First the fields of the message, then those of each recipient. What is only delayed may still arrive."""
    groups = [_fields(group) for group in _EMPTY_LINES.split(status, maxsplit=MOST_RECIPIENTS)]
    arrived = next(filter(None, (_when(group["Arrival-Date"]) for group in groups)), date)
    for group in groups:
        if _word(group["Action"]) == "failed":
            addresses = _addresses(group["Original-Recipient"], group["Final-Recipient"])
            yield _Report(path, addresses, "bounce", f"the mail came back ({_diagnosis(group)})", arrived)


def _diagnosis(group: Message) -> str:
    """`550 5.1.1 no such user`: what the server said, or else the status."""
    answer = re.sub(r"^\s*[\w.-]+\s*;", "", _start(group["Diagnostic-Code"]))
    return tidy(answer, LONGEST_REASON) or tidy(f"status {_start(group['Status']) or 'unknown'}", LONGEST_REASON)


def _complained(path: Path, report: Message, returned: Message, date: datetime | None) -> Iterator[_Report]:
    """Some providers hide who complained; a digest that they return is addressed to one recipient."""
    kind = _word(report["Feedback-Type"])
    if kind and kind not in NO_COMPLAINTS:
        addresses = _addresses(*report.get_all("Original-Rcpt-To", [])) or _addresses(returned["To"])
        at = _when(report["Arrival-Date"]) or _when(report["Received-Date"]) or date
        yield _Report(path, addresses, "complaint", f"a digest was reported as unwanted ({kind})", at)


def _start(value: str | None) -> str:
    return str(value or "")[:LONGEST_FIELD]


def _word(value: str | None) -> str:
    """The first word, in lower case: comments may follow."""
    match = re.match(r"\s*([\w-]{1,40})", _start(value), re.ASCII)
    return match[1].lower() if match else ""


def _addresses(*values: str | None) -> frozenset[str]:
    """`rfc822;Bob@example.com`, `<bob@example.com>`: each address in the fields."""
    return frozenset(address.lower() for value in values for address in _ADDRESS.findall(_start(value)))


def _when(value: str | None) -> datetime | None:
    """A date field, in UTC."""
    try:
        time = parsedate_to_datetime(_start(value))
        return time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC)
    except (IndexError, OverflowError, TypeError, ValueError):
        return None


def _printable(path: Path) -> str:
    """A path may have bytes that are no text."""
    return tidy(os.fsencode(path).decode(errors="replace"), LONGEST_REASON)
