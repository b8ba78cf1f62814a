"""Alerts of the embedded platform: .eml files beside the digests. It keeps no metrics."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from itertools import count
from pathlib import Path
from uuid import uuid4

from finops_assets.core.errors import ArchiveError
from finops_assets.core.home import make_in_home
from finops_assets.core.mail_bytes import WIRE

ADDRESS = "finops-assets@localhost"


def utc_now() -> datetime:
    return datetime.now(UTC)


class FileAlerts:
    """Writes each alert atomically as `<folder>/alert-<UTC time>-<number>.eml`, and replaces no other file."""

    def __init__(self, folder: Path, clock: Callable[[], datetime] = utc_now) -> None:
        self._folder, self._clock = Path(folder), clock

    def send(self, subject: str, text: str, alert_id: str = "") -> str:
        """Write one alert; returns its file, which is `alert-<alert_id>.eml` where there is an id.

        Raises:
            ArchiveError: the folder cannot be written.
        """
        at = self._clock()
        data = _message(subject, text, at).as_bytes(policy=WIRE)
        part = self._folder / f".alert-{uuid4().hex}.part"
        try:
            make_in_home(self._folder)
            try:
                part.write_bytes(data)
                if alert_id:
                    return str(part.replace(self._folder / f"alert-{alert_id}.eml"))
                return str(self._placed(part, at))
            finally:
                part.unlink(missing_ok=True)
        except OSError as error:
            raise ArchiveError(
                f"the alert cannot be written: {error.strerror or error}",
                where=str(self._folder),
                fix="Free space, or mend its rights.",
            ) from None

    def _placed(self, part: Path, at: datetime) -> Path:
        """The file under the first free name: a link, unlike a renaming, replaces nothing."""
        for number in count(1):
            file = self._folder / f"alert-{at:%Y%m%dT%H%M%SZ}-{number}.eml"
            try:
                file.hardlink_to(part)
            except FileExistsError:
                continue
            return file
        raise AssertionError("count() does not end")


def _message(subject: str, text: str, at: datetime) -> EmailMessage:
    message = EmailMessage()
    message["From"] = message["To"] = ADDRESS
    message["Date"] = format_datetime(at)
    message["Subject"] = re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", _encodable(subject)).strip()
    message.set_content(_encodable(text))
    return message


def _encodable(text: str) -> str:
    """The text with `?` for half a surrogate pair, which cannot be encoded."""
    return text.encode(errors="replace").decode()


class NoMetrics:
    """Keeps no numbers."""

    def emit(self, values: Mapping[str, float]) -> None:
        """Do nothing."""
