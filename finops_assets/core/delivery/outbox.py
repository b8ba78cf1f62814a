"""The outbox: digests stored once, mailed once to each recipient, and sent again only when somebody asks.

The archive holds all state, as small objects under `digests/`:

    digests/2025-09-10/r1/digest.html, digest.txt, the CSV, chart.png, month.png
    digests/2025-09-10/r1/executive_snapshot.pdf                 what executives get beside it
    digests/2025-09-10/r1/editions/<hash>/                       the same parts of one edition, by OU or value
    digests/2025-09-10/r1/manifest.json                          written last: with it the digest exists
    digests/2025-09-10/r1/receipts/<address hash>.sending.json   while a message is handed over
    digests/2025-09-10/r1/receipts/<address hash>.json           written after each message
    digests/2025-09-10/r1/sent.json                              written when all recipients have theirs
    digests/2025-09-10/r1/resends/<address hash>-<n>.json        sent again on request
    digests/2025-09-10/r1/late                                   if it went out in place of a day without a bill
    digests/_told.json                                           each day's total as recipients last got it, of days
                                                                 that a mail covers too: as it was when it was made
    digests/_told_by_ou.json                                     the same for the readers of each edition
    digests/_covered/<first>_<last>_by_<day>_r1.json             days that another day's mail covers

A receipt of an edition is named <address hash>.<hash>, of its OU or value. A `.sending.json` without its receipt means
that a message may have been accepted or not: its run was killed, or the connection was cut. That cannot be known, so it
is not sent again by itself, and stays in doubt until a person settles it.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.calendar import contiguous
from finops_assets.core.delivery import receipts
from finops_assets.core.delivery.mail_states import COVERED, MailRecords
from finops_assets.core.delivery.messages import Messages
from finops_assets.core.delivery.receipts import (
    BEGUN_RECORD,
    COVERED_RECORD,
    RECEIPT,
    RECEIPT_RECORD,
    RECEIPTS,
    SENDING,
    SENT,
    SENT_RECORD,
    Begun,
    Covered,
    Receipt,
    SentToAll,
)
from finops_assets.core.delivery.recipients import Post, Recipients, address_hash
from finops_assets.core.delivery.stored_digests import Stored, StoredDigests, sha256_of
from finops_assets.core.errors import FinopsError, UnknownDeliveryError
from finops_assets.core.mail_bytes import WIRE
from finops_assets.core.values import Delivery

if TYPE_CHECKING:
    from email.message import EmailMessage

    from finops_assets.core.ports import Archive, Mailer
    from finops_assets.core.values import Refused

MEGABYTE = 1_000_000

ATTEMPTS, PAUSE = 6, 0.4
"""How often, and how many seconds apart, the receipt of a message is looked for that another run is sending."""

STILL_SENDING = timedelta(minutes=10)
"""A message that was begun longer ago was interrupted: SES and mail servers answer in seconds, at worst in minutes."""


class Outbox:
    """Mails stored digests, each once to each recipient.

    Args:
        archive: where digests, receipts and markers are kept.
        mailer: hands one message to one recipient.
        recipients: who gets what; checked before the first message.
        max_megabytes, link_days: the settings mail.max_megabytes and mail.link_days, for files too large to attach.
        clock: the time that receipts carry.

    Attributes:
        digests: the stored digests.
        records: what was mailed.
        recipients: who gets what.
    """

    def __init__(
        self,
        archive: Archive,
        mailer: Mailer,
        recipients: Recipients,
        *,
        max_megabytes: float = 9.0,
        link_days: int = 7,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._archive = archive
        self._mailer = mailer
        self._clock = clock
        self.recipients = recipients
        self.digests = StoredDigests(archive, recipients)
        self.records = MailRecords(archive, recipients, clock)
        self._messages = Messages(
            archive,
            self.digests,
            recipients.sender,
            max_bytes=max_megabytes * MEGABYTE,
            link_valid=timedelta(days=link_days),
            clock=clock,
        )

    # --- sending --------------------------------------------------------------------------------------------------

    def deliver(self, day: date) -> list[Delivery]:
        """Send the newest stored digest to each recipient who has no receipt for it; returns what was sent.

        A digest that all recipients have is done, whatever the settings say later. A recipient that the mailer refuses,
        whose edition was not made, or whose message may have been accepted or not, does not hold up the others: the
        error is raised after them. A retry sends what was refused, and never what may have been accepted.

        Raises:
            SettingsError: an address is malformed; nothing was sent.
            ArchiveError: nothing is stored, or it is not what was stored; nothing was sent.
            UnknownDeliveryError: a message may have been accepted, now or by an earlier run.
            FinopsError: the mailer refused a message, or somebody's edition is not in the digest.
        """
        stored = self.digests.require(day)
        if self._archive.get(stored.path + SENT) is not None:
            return []
        posts = self.recipients.posts()
        notes = self.records.of(stored)
        todo = [post for post in posts if _receipt(stored, post) not in notes]
        contents, problems = self._messages.contents(stored, todo)
        deliveries: list[Delivery] = []
        begun: list[Post] = []
        for post in todo:
            if post.ou and post.ou not in stored.editions:
                continue
            sending = _sending(stored, post)
            mail, delivery_id = self._messages.message(stored, contents, post)
            if sending in notes or not self._begin(stored, post, delivery_id):
                begun.append(post)
                continue
            try:
                sent = self._mailer.send(mail, post.address, delivery_id)
            except UnknownDeliveryError as error:
                BEGUN_RECORD.write(self._archive, sending, replace(self._intent(post, delivery_id), unknown=error.what))
                begun.append(post)
            except FinopsError as error:
                self._archive.delete([sending])
                problems.append(error)
            else:
                deliveries.append(self._record(_receipt(stored, post), sent, mail, delivery_id, post))
                self._archive.delete([sending])
        problems += self._unknown_deliveries(stored, begun)
        if problems:
            raise _together(problems)
        self._finish(stored, posts)
        return deliveries

    def _finish(self, stored: Stored, posts: Sequence[Post]) -> None:
        """Note the totals that all recipients have now, then that all of them have the digest."""
        editions = {post.ou: stored.editions[post.ou] for post in posts if post.ou in stored.editions}
        of_editions = {ou: {**edition.covers, **edition.says} for ou, edition in editions.items()}
        receipts.note_mailed_totals(self._archive, {**stored.covers, **stored.says}, of_editions, stored.currency)
        addresses = list(dict.fromkeys(post.address for post in posts))
        SENT_RECORD.write(self._archive, stored.path + SENT, SentToAll(tuple(addresses), self._clock()))

    def mailed_totals(self, ou: str = "") -> Mapping[date, Decimal]:
        """Each day's total as all recipients last got it, by the day's own digest or a later one.

        Args:
            ou: the readers of this edition instead, and their subtotals.
        """
        if ou:
            return receipts.mailed_totals_by_ou(self._archive).get(ou, {})
        return receipts.mailed_totals(self._archive)

    def mailed_currencies(self) -> Mapping[date, str]:
        """The currency of each day's total as recipients last got it; of days that an earlier release mailed, none."""
        return receipts.mailed_currencies(self._archive)

    def resend(self, day: date, to: Sequence[str] | None = None) -> list[Delivery]:
        """Send the newest stored digest again: the same stored bytes, under a Message-ID of its own.

        The new id keeps mail servers from dropping it as a duplicate; the rest of the message is the same, but for a
        link to a CSV too large to attach, which is made anew. Where it was not known whether a recipient had the
        digest, it is known from now on.

        Args:
            day: the digest's day.
            to: addresses that the settings name or allow (`check_allowed`); all recipients by default.

        Raises:
            SettingsError: an address is malformed or not allowed; nothing was sent.
            ArchiveError: nothing is stored, or it is not what was stored; nothing was sent.
        """
        if to is not None:
            self.recipients.check_allowed(to)
        stored = self.digests.require(day)
        posts = self.recipients.posts(to)
        contents, problems = self._messages.contents(stored, posts)
        if problems:
            raise _together(problems)
        earlier = self._archive.list(f"{stored.path}resends/")
        unsettled = receipts.unsettled(self.records.of(stored))
        deliveries = []
        for post in posts:
            name = f"{stored.path}resends/{post.name}-"
            number = 1 + sum(path.startswith(name) for path in earlier)
            mail, delivery_id = self._messages.message(stored, contents, post, f"-resend-{number}")
            sent = self._mailer.send(mail, post.address, delivery_id)
            deliveries.append(self._record(f"{name}{number}.json", sent, mail, delivery_id, post))
            if _sending(stored, post) in unsettled:
                self._settle(stored, _receipt(stored, post), sent, post.ou)
        return deliveries

    def settle(self, day: date, to: Sequence[str]) -> list[Delivery]:
        """Record that a digest has arrived where that was not known, so that it is not sent again.

        Of somebody who gets several editions, all that are in doubt have arrived.

        Returns:
            What was recorded; nothing for a recipient who has a receipt already.

        Raises:
            SettingsError: an address is malformed; nothing was recorded.
            FinopsError: no message to one of them was ever begun; nothing was recorded.
        """
        stored = self.digests.require(day)
        recipients = self.recipients.checked(to, "to")
        notes = self.records.of(stored)
        never = [r for r in recipients if not _notes_of(notes, r)]
        if never:
            raise FinopsError(
                f"no message to {', '.join(never)} was begun",
                where=f"the digest of {day}",
                fix=f"`finops resend {day} --to {never[0]}` sends it.",
            )
        unsettled = [(r, note) for r in recipients for note in sorted(_notes_of(receipts.unsettled(notes), r))]
        return [
            self._settle(
                stored,
                note.removesuffix(SENDING) + RECEIPT,
                Delivery(r, "", "recorded by hand: it has arrived"),
                begun.ou if (begun := self.records.begun(note)) else "",
            )
            for r, note in unsettled
        ]

    def _settle(self, stored: Stored, receipt: str, delivery: Delivery, ou: str) -> Delivery:
        record = Receipt(delivery.recipient, self._clock(), delivery.message_id, delivery.location, ou)
        RECEIPT_RECORD.write(self._archive, receipt, record)
        self._archive.delete([receipt.removesuffix(RECEIPT) + SENDING])
        notes = self.records.of(stored)
        posts = self.recipients.posts()
        if all(_receipt(stored, post) in notes for post in posts):
            self._finish(stored, posts)
        return delivery

    def _begin(self, stored: Stored, post: Post, delivery_id: str) -> bool:
        """Note that the message is about to be handed over; False where that is or was done elsewhere."""
        if self._mailer.repeatable:
            return True
        sending = _sending(stored, post)
        if not BEGUN_RECORD.create(self._archive, sending, self._intent(post, delivery_id)):
            return False
        # Another run may have sent it, and removed its note, since this one looked for the receipt.
        if self._archive.get(_receipt(stored, post)) is not None:
            self._archive.delete([sending])
            return False
        return True

    def _intent(self, post: Post, delivery_id: str) -> Begun:
        by = f"{socket.gethostname()}, process {os.getpid()}"
        return Begun(post.address, self._clock(), by, post.ou, delivery_id=delivery_id)

    def _unknown_deliveries(self, stored: Stored, posts: Sequence[Post]) -> list[FinopsError]:
        """An error that names the messages that were begun and have no receipt by now; none where all have one."""
        reasons: dict[str, list[str]] = {}
        for post in posts:
            if doubt := self._awaited_doubt(stored, post):
                reasons.setdefault(post.address, []).append(doubt)
        if not reasons:
            return []
        doubts = {address: "; ".join(dict.fromkeys(why)) for address, why in reasons.items()}
        address = next(iter(doubts)) if len(doubts) == 1 else "ADDRESS"
        command = f"finops resend {stored.day} --to {address}"
        return [
            UnknownDeliveryError(
                "it is not known who has it: " + ", ".join(f"{who} ({why})" for who, why in doubts.items()),
                where=f"the digest of {stored.day}",
                fix=f"`{command}` sends it, `{command} --received` records that it has arrived.",
            )
        ]

    def _awaited_doubt(self, stored: Stored, post: Post) -> str:
        """Why it is not known whether a recipient has the digest; empty, once there is a receipt.

        A run that is sending at this moment is given a few seconds to write it.
        """
        doubt = ""
        for _ in range(ATTEMPTS):
            note = self.records.begun(_sending(stored, post))
            # In this order: the run that sends writes the receipt before it removes its note.
            if self._archive.get(_receipt(stored, post)) is not None:
                return ""
            if note is None:
                return "another run gave it up just now"
            doubt = self._doubt(note)
            if note.unknown or self._clock() - note.at >= STILL_SENDING:
                break
            time.sleep(PAUSE)
        return doubt

    def _doubt(self, note: Begun) -> str:
        if note.unknown:
            return note.unknown
        if self._clock() - note.at < STILL_SENDING:
            return f"another run is sending it since {note.at:%H:%M:%S} UTC, or was killed: {note.by}"
        return f"a run was interrupted while it sent it at {note.at:%Y-%m-%d %H:%M:%S} UTC: {note.by}"

    def _record(self, path: str, sent: Delivery, mail: EmailMessage, delivery_id: str, post: Post) -> Delivery:
        record = Receipt(
            recipient=sent.recipient,
            at=self._clock(),
            message_id=sent.message_id,
            location=sent.location,
            ou=post.ou,
            delivery_id=delivery_id,
            message_sha256=sha256_of(mail.as_bytes(policy=WIRE)),
        )
        RECEIPT_RECORD.write(self._archive, path, record)
        return sent

    def refused(self) -> dict[str, Refused]:
        """Recipients in the settings that do not get their mail, as far as the mailer can tell, and why.

        Raises:
            SettingsError: an address is malformed.
            FinopsError: it cannot be told.
        """
        return self._mailer.refused(list(dict.fromkeys(post.address for post in self.recipients.posts())))

    def cover(self, days: Iterable[date], by: date, revision: int) -> None:
        """Note that the mail of `by` covers these days: one small object for each contiguous stretch of them."""
        for stretch in contiguous(sorted(set(days) - {by})):
            path = f"{COVERED}{stretch[0]}_{stretch[-1]}_by_{by}_r{revision}.json"
            COVERED_RECORD.write(self._archive, path, Covered(stretch[0], stretch[-1], by, revision))


def _receipt(stored: Stored, post: Post) -> str:
    return f"{stored.path}{RECEIPTS}{post.name}{RECEIPT}"


def _sending(stored: Stored, post: Post) -> str:
    return f"{stored.path}{RECEIPTS}{post.name}{SENDING}"


def _notes_of(paths: Iterable[str], address: str) -> list[str]:
    """Receipts and notes of somebody's messages, of the whole and of editions."""
    return [path for path in paths if f"/{RECEIPTS}{address_hash(address)}." in path]


def _together(problems: Sequence[FinopsError]) -> FinopsError:
    """One error that says all of them, of the kind that must not be overlooked."""
    if len(problems) == 1:
        return problems[0]
    unknown = any(isinstance(problem, UnknownDeliveryError) for problem in problems)
    return (UnknownDeliveryError if unknown else FinopsError)("\n".join(map(str, problems)))
