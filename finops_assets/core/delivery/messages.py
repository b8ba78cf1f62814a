"""Makes the messages of a stored digest: the parts that each recipient gets, attached or as links."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from finops_assets.core.addresses import mail_address
from finops_assets.core.delivery.recipients import Post, address_hash
from finops_assets.core.delivery.stored_digests import PDF, Stored, StoredDigests, edition_folder
from finops_assets.core.errors import FinopsError
from finops_assets.core.reports.digest import Digest, Envelope, Link, message, ou_hash

if TYPE_CHECKING:
    from email.message import EmailMessage

    from finops_assets.core.ports import Archive


@dataclass(frozen=True)
class Contents:
    """What messages are made of: digests by OU, the whole's by an empty name, and the PDF."""

    digests: Mapping[str, Digest]
    pdf: bytes


class Messages:
    """Makes messages.

    Args:
        archive: makes links to files that are too large to attach.
        digests: the stored digests.
        sender: mail.sender.
        max_bytes: of a message; files that would make it larger are linked.
        link_valid: how long a link is valid.
        clock: tells the time (aware).
    """

    def __init__(
        self,
        archive: Archive,
        digests: StoredDigests,
        sender: str,
        *,
        max_bytes: float,
        link_valid: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        self._archive, self._digests, self._sender, self._clock = archive, digests, sender, clock
        self._max_bytes, self._link_valid = max_bytes, link_valid

    def contents(self, stored: Stored, posts: Sequence[Post]) -> tuple[Contents, list[FinopsError]]:
        """What these messages are made of, every part verified, and an error for each edition that was not made.

        Raises:
            ArchiveError: a part is gone or is not what was stored.
        """
        digests: dict[str, Digest] = {}
        missing: list[FinopsError] = []
        for ou in dict.fromkeys(post.ou for post in posts):
            if ou and ou not in stored.editions:
                who = ", ".join(post.address for post in posts if post.ou == ou)
                by_value = any(post.by_value for post in posts if post.ou == ou)
                first = f"If the day lacks the dimension, `finops backfill {stored.day} {stored.day}`; then "
                missing.append(
                    FinopsError(
                        f"has no edition of {ou} for {who}",
                        where=f"the digest of {stored.day}",
                        fix=f"{first if by_value else ''}"
                        f"`finops resend {stored.day} --refresh` makes a revision that has it.",
                    )
                )
            else:
                digests[ou] = self._digests.load(stored, ou)
        pdf = self._digests.pdf(stored) if any(post.pdf for post in posts) else b""
        return Contents(digests, pdf), missing

    def message(self, stored: Stored, contents: Contents, post: Post, suffix: str = "") -> tuple[EmailMessage, str]:
        """The message and its delivery id, the same whenever they are made: a repetition is recognised as one."""
        edition = f"-{ou_hash(post.ou)[:8]}" if post.ou else ""
        delivery_id = f"{stored.day}-r{stored.revision}-{address_hash(post.address)[:16]}{edition}{suffix}"
        domain = mail_address(self._sender, "mail.sender").domain
        digest = contents.digests[post.ou]
        folder = stored.path + (edition_folder(post.ou) if post.ou else "")
        mail = message(
            digest,
            Envelope(self._sender, post.address, f"<{delivery_id}@{domain}>", stored.rendered_at),
            max_bytes=self._max_bytes,
            link=lambda: self._link(folder + digest.csv_name),
            pdf=contents.pdf if post.pdf else b"",
            pdf_link=lambda: self._link(stored.path + PDF),
        )
        return mail, delivery_id

    def _link(self, path: str) -> Link:
        return Link(self._archive.link(path, valid=self._link_valid), path, self._clock() + self._link_valid)
