"""The embedded mailer: each message is a file that any mail program opens. Nothing leaves the machine."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from email.message import EmailMessage
from pathlib import Path

from finops_assets.adapters.shared.bounces import Bounces
from finops_assets.core.errors import ArchiveError
from finops_assets.core.home import make_in_home
from finops_assets.core.mail_bytes import WIRE
from finops_assets.core.values import Delivery, Refused


class EmlOutbox:
    """Writes `<folder>/<delivery id>.eml` atomically; the same id again replaces the file.

    Args:
        folder: where the messages go.
        bounces: where returned mail is found, if somebody sends the messages on; None for nowhere.
    """

    repeatable = True

    def __init__(self, folder: Path, bounces: Path | None = None) -> None:
        self._folder, self._bounces = Path(folder), Bounces(bounces)

    def send(self, message: EmailMessage, recipient: str, delivery_id: str) -> Delivery:
        """Write the message as it would go over SMTP, with CRLF line ends.

        Raises:
            ArchiveError: the folder cannot be written, or the id is no file name.
        """
        if not re.fullmatch(r"\w[\w.-]*", delivery_id, re.ASCII):
            raise ArchiveError(f"{delivery_id!r} cannot be a file name", where=str(self._folder))
        file = self._folder / f"{delivery_id}.eml"
        beside = file.with_suffix(f".{os.getpid()}.tmp")
        try:
            make_in_home(self._folder)
            with beside.open("wb") as out:
                out.write(message.as_bytes(policy=WIRE))
                out.flush()
                # The receipt that follows must not outlive the mail in a power cut.
                os.fsync(out.fileno())
            beside.replace(file)
        except OSError as error:
            raise ArchiveError(
                f"cannot be written: {error.strerror or error}", where=str(file), fix="Free space, or mend its rights."
            ) from None
        return Delivery(recipient=recipient, message_id=message["Message-ID"], location=str(file))

    def refused(self, recipients: Sequence[str]) -> dict[str, Refused]:
        """Recipients whose mail came back."""
        return self._bounces.refused(recipients)
