"""The outbox: digests stored once, mailed once to each recipient, and sent again only when somebody asks.

What was done is in the archive, as small objects under `digests/`; nothing is remembered elsewhere:

    digests/2025-09-10/r1/digest.html, digest.txt, the CSV, chart.png, month.png
    digests/2025-09-10/r1/executive_snapshot.pdf                 what executives get beside it
    digests/2025-09-10/r1/editions/<OU hash>/                    the same parts of one OU's edition
    digests/2025-09-10/r1/manifest.json                          written last: with it the digest exists
    digests/2025-09-10/r1/receipts/<address hash>.sending.json   there while a message is handed over
    digests/2025-09-10/r1/receipts/<address hash>.json           written after each message
    digests/2025-09-10/r1/sent.json                              written when all recipients have theirs
    digests/2025-09-10/r1/resends/<address hash>-<n>.json        sent again on request
    digests/2025-09-10/r1/late                                   there if it went out in place of a day without a bill
    digests/_told.json                                           each day's total as recipients last heard it, of days
                                                                 that a mail covers too: as it was when it was made
    digests/_told_by_ou.json                                     the same for the readers of each edition
    digests/_covered/<first>_<last>_by_<day>_r1.json             days that another day's mail speaks for

A receipt of an edition is named <address hash>.<OU hash>. A `.sending.json` without its receipt means that a message
may have been accepted or not: its run was killed, or the connection was cut. Nothing can tell which, so it is not sent
again by itself, and not forgotten: a person settles it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_assets.core.addresses import mail_address
from finops_assets.core.delivery import mail_records
from finops_assets.core.delivery.mail_records import RECEIPT, SENDING, Begun, Receipt
from finops_assets.core.errors import ArchiveError, DamagedError, FinopsError, SettingsError, UnknownDeliveryError
from finops_assets.core.money import plain
from finops_assets.core.notes import parsing, put_aside
from finops_assets.core.reports.digest import Digest, Envelope, Link, message, ou_hash, within

if TYPE_CHECKING:
    from email.message import EmailMessage

    from finops_assets.core.ports import Archive, Delivery, Mailer, Refused

PREFIX = "digests/"
COVERED = PREFIX + "_covered/"
HTML, TEXT, PNG, PDF = "digest.html", "digest.txt", ".png", "executive_snapshot.pdf"
MANIFEST, SENT, EDITIONS = "manifest.json", "sent.json", "editions/"
LATE, TOLD, TOLD_BY_OU = "late", PREFIX + "_told.json", PREFIX + "_told_by_ou.json"
REMEMBERED = 100
"""Days whose told total is kept: those that AWS may still change are 45 at most."""
UNMAILED = ("none", "late")
"""States of a day whose costs nobody was sent."""
RECEIPTS = "receipts/"
MEGABYTE = 1_000_000

LOOKS, PAUSE = 6, 0.4
"""How often, and how many seconds apart, the receipt of a message is looked for that another run is sending."""

STILL_SENDING = timedelta(minutes=10)
"""A message that was begun longer ago was interrupted: SES and mail servers answer in seconds, at worst in minutes."""

_MANIFEST = re.compile(rf"{PREFIX}(\d{{4}}-\d{{2}}-\d{{2}})/r(\d+)/{re.escape(MANIFEST)}")
_COVERED = re.compile(rf"{COVERED}([\d-]{{10}})_([\d-]{{10}})_by_([\d-]{{10}})_r(\d+)\.json")


@dataclass(frozen=True)
class Part:
    """One stored part of a digest."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Edition:
    """One OU's part of a digest; its parts are below the digest's `editions/<OU hash>/`.

    `total` is the exact subtotal, `says` every day's subtotal that its readers know from it, `covers` those of the days
    that it speaks for.
    """

    subject: str
    total: Decimal
    csv_name: str
    says: Mapping[date, Decimal] = field(default_factory=dict)
    covers: Mapping[date, Decimal] = field(default_factory=dict)


@dataclass(frozen=True)
class Stored:
    """A digest in the archive, as its manifest describes it; `total` is exact, `fingerprint` is the day's data.

    `says` is every day's total that its readers know from it; `covers` is the total, as it was then, of each day that
    it speaks for; `late` that the day's bill was not there; `parts` has the editions' too, by their paths below the
    digest's; `editions` are by OU. `anomalies` are the ids of those that its readers know of, and how each stood; None
    where that was not kept.
    """

    day: date
    revision: int
    subject: str
    total: Decimal
    currency: str
    fingerprint: str
    csv_name: str
    parts: Mapping[str, Part]
    sender: str
    recipients: tuple[str, ...]
    rendered_at: datetime
    says: Mapping[date, Decimal] = field(default_factory=dict)
    late: bool = False
    editions: Mapping[str, Edition] = field(default_factory=dict)
    covers: Mapping[date, Decimal] = field(default_factory=dict)
    anomalies: Mapping[str, str] | None = None

    @property
    def path(self) -> str:
        return _folder(self.day, self.revision)


@dataclass(frozen=True)
class _Post:
    """One message that somebody gets: the whole digest, with the PDF or without, or the edition of an OU."""

    address: str
    ou: str = ""
    pdf: bool = False

    @property
    def name(self) -> str:
        """Names its receipt, without the address in the path."""
        return f"{_address_hash(self.address)}{f'.{ou_hash(self.ou)}' if self.ou else ''}"


@dataclass(frozen=True)
class MailState:
    """Whether a day was mailed.

    Attributes:
        state: `none`, `partial` (some recipients have it), `unknown` (a message may have gone out or not), `late` (they
            were told that its bill is late) or `sent`.
        revision: of the digest that the state is about; None where nothing is stored.
        when: when the last message went out (UTC).
        recipients: who has it.
        covered_by: the day whose mail speaks for this one, where it has none of its own.
        unknown: who may have it or not.
    """

    state: str
    revision: int | None = None
    when: datetime | None = None
    recipients: tuple[str, ...] = ()
    covered_by: date | None = None
    unknown: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.covered_by:
            missing = {
                "sent": "",
                "partial": ", which not everybody has yet",
                "none": ", which is not sent yet",
                "unknown": ", which may have been sent or not",
                "late": ", which said that its bill is late",
            }
            return f"covered by the mail of {self.covered_by}{missing[self.state]}"
        doubt = f"; not known whether to {', '.join(self.unknown)}" if self.unknown else ""
        if self.when is None:
            stored = "not mailed" if self.revision is None else f"revision {self.revision} stored, not mailed"
            return stored + doubt
        words = {"sent": "mailed", "late": "told to be late"}.get(self.state, "mailed only in part")
        to = ", ".join(self.recipients)
        return f"{words} {self.when:%Y-%m-%d %H:%M} UTC to {to} (revision {self.revision}){doubt}"


@dataclass(frozen=True)
class _Contents:
    """What messages are made of: digests by OU, the whole's by an empty name, and the PDF."""

    digests: Mapping[str, Digest]
    pdf: bytes


class Outbox:
    """Stores digests and mails them, each once.

    Args:
        archive: where digests, receipts and markers are kept.
        mailer: hands one message to one recipient.
        sender, recipients: the settings mail.sender and mail.recipients; checked before the first message.
        by_ou: the setting mail.by_ou: OU path -> who gets the edition of it. Nobody gets an edition beside the whole,
            or beside the edition of an OU that it is below.
        executives: the setting mail.executives: who gets the whole with the PDF.
        resend_to: the setting mail.resend_to: addresses, or domains as `@example.com`, that a digest may be sent again
            to beside those of the other settings.
        max_megabytes, link_days: the settings of the same names, for files too large to attach.
        clock: the time that receipts carry.
    """

    def __init__(
        self,
        archive: Archive,
        mailer: Mailer,
        sender: str,
        recipients: Sequence[str],
        *,
        by_ou: Mapping[str, Sequence[str]] | None = None,
        executives: Sequence[str] = (),
        resend_to: Sequence[str] = (),
        max_megabytes: float = 9.0,
        link_days: int = 7,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._archive = archive
        self._mailer = mailer
        self._sender = sender
        self._recipients = tuple(recipients)
        self._by_ou = {ou: tuple(addresses) for ou, addresses in (by_ou or {}).items()}
        self._executives = tuple(executives)
        self._resend_to = tuple(resend_to)
        self._max_bytes = max_megabytes * MEGABYTE
        self._link_valid = timedelta(days=link_days)
        self._clock = clock

    # --- storing --------------------------------------------------------------------------------------------------

    def store(
        self,
        digest: Digest,
        fingerprint: str,
        rendered_at: datetime,
        *,
        says: Mapping[date, Decimal] | None = None,
        late: bool = False,
        editions: Mapping[str, Digest] | None = None,
        editions_say: Mapping[str, Mapping[date, Decimal]] | None = None,
        pdf: bytes = b"",
        covers: Mapping[str, Mapping[date, Decimal]] | None = None,
        anomalies: Mapping[str, str] | None = None,
    ) -> Stored:
        """Keep a digest. A revision that is there already, made of the same data, is left as it is and returned.

        Args:
            digest: the rendered digest.
            fingerprint: of the day's data.
            rendered_at: becomes the mail's Date; has a time zone.
            says: the totals that its readers learn; by default that of its day.
            late: it goes out in place of a day without a bill.
            editions: OU path -> its edition of the digest.
            editions_say: OU path -> the subtotals that its readers learn; by default that of the day, or none if late.
            pdf: the executives' two pages; empty for none.
            covers: the totals of the days that it speaks for, by the OU of an edition; the whole's by an empty name.
            anomalies: the ids of those that its readers know of, and how each stands.

        Raises:
            ArchiveError: this revision is there already, made of other data.
        """
        there = self._read_manifest(digest.day, digest.revision)
        if there is None and self._archive.get(_folder(digest.day, digest.revision) + MANIFEST) is not None:
            raise self._lost(digest.day, digest.revision)
        if there:
            if there.fingerprint != fingerprint:
                raise ArchiveError(
                    f"revision {digest.revision} was made of other data",
                    where=there.path,
                    fix=f"Render revision {self.next_revision(digest.day, fingerprint)}.",
                )
            return there
        editions, covers = editions or {}, covers or {}
        parts = _parts(digest) | ({PDF: pdf} if pdf else {})
        for ou, edition in editions.items():
            parts |= {_edition_folder(ou) + name: data for name, data in _parts(edition).items()}
        folder = _folder(digest.day, digest.revision)
        stored = Stored(
            day=digest.day,
            revision=digest.revision,
            subject=digest.subject,
            total=digest.total,
            currency=digest.currency,
            fingerprint=fingerprint,
            csv_name=digest.csv_name,
            parts={name: Part(_sha256(data), len(data)) for name, data in parts.items()},
            sender=self._sender,
            recipients=self.addresses,
            rendered_at=rendered_at.astimezone(UTC),
            says={digest.day: digest.total} if says is None else says,
            late=late,
            editions={
                ou: Edition(
                    subject=edition.subject,
                    total=edition.total,
                    csv_name=edition.csv_name,
                    says=(editions_say or {}).get(ou, {} if late else {edition.day: edition.total}),
                    covers=covers.get(ou, {}),
                )
                for ou, edition in editions.items()
            },
            covers=covers.get("", {}),
            anomalies=anomalies,
        )
        for name, data in parts.items():
            self._archive.put(folder + name, data)
        if late:
            self._archive.put(folder + LATE, b"")
        self._write(folder + MANIFEST, _manifest(stored))
        return stored

    def latest(self, day: date) -> Stored | None:
        """The newest stored digest of the day; None where there is none, and where its manifest was damaged.

        `newest_revision` tells the two apart.
        """
        revision = self.newest_revision(day)
        return self._read_manifest(day, revision) if revision else None

    def newest_revision(self, day: date) -> int:
        """The newest revision of the day's digest, whether its manifest can be read or not; 0 where there is none."""
        return _revisions(self._archive.list(_folder(day))).get(day, 0)

    def next_revision(self, day: date, fingerprint: str) -> int:
        """The revision that a digest of this data is: the stored one's if it was made of the same, else one more."""
        latest = self.latest(day)
        if latest and latest.fingerprint == fingerprint:
            return latest.revision
        return self.newest_revision(day) + 1

    def load(self, stored: Stored, ou: str = "") -> Digest:
        """The digest as it was stored, or its edition of an OU.

        Raises:
            ArchiveError: it has no such edition; a part is gone or is not what was stored.
        """
        if ou and ou not in stored.editions:
            raise ArchiveError(
                f"has no edition of {ou}",
                where=stored.path,
                fix=f"`finops resend {stored.day} --refresh` makes a revision that has it.",
            )
        folder = _edition_folder(ou) if ou else ""
        names = [
            name
            for name in stored.parts
            if (name.startswith(folder) if ou else not name.startswith(EDITIONS) and name != PDF)
        ]
        found = {name.removeprefix(folder): self._part(stored, name) for name in names}
        of: Stored | Edition = stored.editions[ou] if ou else stored
        return Digest(
            day=stored.day,
            subject=of.subject,
            html=found[HTML].decode(),
            text=found[TEXT].decode(),
            csv=found[of.csv_name],
            csv_name=of.csv_name,
            revision=stored.revision,
            total=of.total,
            currency=stored.currency,
            pictures={name.removesuffix(PNG): data for name, data in found.items() if name.endswith(PNG)},
            ou=ou,
        )

    def pdf(self, stored: Stored) -> bytes:
        """The executives' PDF as it was stored; empty where there is none.

        Raises:
            ArchiveError: it is gone or is not what was stored.
        """
        return self._part(stored, PDF) if PDF in stored.parts else b""

    def _part(self, stored: Stored, name: str) -> bytes:
        data = self._archive.get(stored.path + name)
        if data is None or _sha256(data) != stored.parts[name].sha256:
            raise ArchiveError(
                "is gone" if data is None else "is not what was stored: its SHA-256 differs",
                where=stored.path + name,
                fix="Put its stored version back, or materialize digest_email after a change of the day's data.",
            )
        return data

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
        stored = self._stored(day)
        if self._archive.get(stored.path + SENT) is not None:
            return []
        posts = self._posts()
        there = self._records(stored)
        todo = [post for post in posts if _receipt(stored, post) not in there]
        contents, problems = self._contents(stored, todo)
        deliveries: list[Delivery] = []
        begun: list[_Post] = []
        for post in todo:
            if post.ou and post.ou not in stored.editions:
                continue
            sending = _sending(stored, post)
            mail, delivery_id = self._message(stored, contents, post)
            if sending in there or not self._begin(stored, post, delivery_id):
                begun.append(post)
                continue
            try:
                sent = self._mailer.send(mail, post.address, delivery_id)
            except UnknownDeliveryError as error:
                self._write(sending, {**self._intent(post, delivery_id), "unknown": error.what})
                begun.append(post)
            except FinopsError as error:
                self._archive.delete([sending])
                problems.append(error)
            else:
                deliveries.append(self._record(_receipt(stored, post), sent, mail, delivery_id, post))
                self._archive.delete([sending])
        problems += self._open(stored, begun)
        if problems:
            raise _together(problems)
        self._finish(stored, posts)
        return deliveries

    def _contents(self, stored: Stored, posts: Sequence[_Post]) -> tuple[_Contents, list[FinopsError]]:
        """What these messages are made of, every part of it looked at before the first goes out; what was not made."""
        digests: dict[str, Digest] = {}
        missing: dict[str, FinopsError] = {}
        for ou in dict.fromkeys(post.ou for post in posts):
            if ou and ou not in stored.editions:
                who = ", ".join(post.address for post in posts if post.ou == ou)
                missing[ou] = FinopsError(
                    f"has no edition of {ou} for {who}",
                    where=f"the digest of {stored.day}",
                    fix=f"`finops resend {stored.day} --refresh` makes a revision that has it.",
                )
            else:
                digests[ou] = self.load(stored, ou)
        pdf = self.pdf(stored) if any(post.pdf for post in posts) else b""
        return _Contents(digests, pdf), list(missing.values())

    def _finish(self, stored: Stored, posts: Sequence[_Post]) -> None:
        """Everybody has it: remember what they know from it, then that it is done."""
        if stored.says or stored.covers:
            self._write(TOLD, _newest({**self.told(), **stored.covers, **stored.says}))
        editions = {post.ou: stored.editions[post.ou] for post in posts if post.ou in stored.editions}
        read = {ou: {**edition.covers, **edition.says} for ou, edition in editions.items()}
        if any(read.values()):
            before = mail_records.told_by_ou(self._archive, TOLD_BY_OU)
            told = {ou: _newest({**before.get(ou, {}), **says}) for ou, says in read.items()}
            self._write(TOLD_BY_OU, {ou: _plain(totals) for ou, totals in before.items()} | told)
        addresses = list(dict.fromkeys(post.address for post in posts))
        self._write(stored.path + SENT, {"recipients": addresses, "at": self._clock()})

    def told(self, ou: str = "") -> dict[date, Decimal]:
        """Each day's total as all recipients last heard it, by the day's own digest or a later one.

        Args:
            ou: the readers of this edition instead, and their subtotals.
        """
        if ou:
            return mail_records.told_by_ou(self._archive, TOLD_BY_OU).get(ou, {})
        return mail_records.told(self._archive, TOLD)

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
            self.check_allowed(to)
        stored = self._stored(day)
        posts = self._posts(to)
        contents, problems = self._contents(stored, posts)
        if problems:
            raise _together(problems)
        earlier = self._archive.list(f"{stored.path}resends/")
        unsettled = _unsettled(self._records(stored))
        deliveries = []
        for post in posts:
            name = f"{stored.path}resends/{post.name}-"
            number = 1 + sum(path.startswith(name) for path in earlier)
            mail, delivery_id = self._message(stored, contents, post, f"-resend-{number}")
            sent = self._mailer.send(mail, post.address, delivery_id)
            deliveries.append(self._record(f"{name}{number}.json", sent, mail, delivery_id, post))
            if _sending(stored, post) in unsettled:
                self._settle(stored, _receipt(stored, post), sent, post.ou)
        return deliveries

    def check_allowed(self, to: Sequence[str]) -> None:
        """Refuse addresses that the settings neither name as recipients nor allow in mail.resend_to.

        Upper and lower case are the same. `@example.com` allows that domain, and none below it.

        Raises:
            SettingsError: an address is malformed or not allowed.
        """
        allowed = {entry.lower() for entry in self._resend_to} | {post.address.lower() for post in self._posts()}
        for address in self._checked(to, "to"):
            domain = address.lower().rpartition("@")[2]
            if not {address.lower(), f"@{domain}"} & allowed:
                raise SettingsError(
                    f"{address} is no recipient of the settings and is not allowed here",
                    where="mail.resend_to (FINOPS_MAIL__RESEND_TO)",
                    fix=f"Nothing was sent. If the costs may be sent there, add {address} or @{domain} to the setting.",
                )

    def settle(self, day: date, to: Sequence[str]) -> list[Delivery]:
        """Record that a digest has arrived where that was not known, so that it is not sent again.

        Of somebody who gets several editions, all that are in doubt have arrived.

        Returns:
            What was recorded; nothing for a recipient who has a receipt already.

        Raises:
            SettingsError: an address is malformed; nothing was recorded.
            FinopsError: no message to one of them was ever begun; nothing was recorded.
        """
        from finops_assets.core.ports import Delivery

        stored = self._stored(day)
        recipients = self._checked(to, "to")
        there = self._records(stored)
        never = [r for r in recipients if not _notes_of(there, r)]
        if never:
            raise FinopsError(
                f"no message to {', '.join(never)} was begun",
                where=f"the digest of {day}",
                fix=f"`finops resend {day} --to {never[0]}` sends it.",
            )
        unsettled = [(r, note) for r in recipients for note in sorted(_notes_of(_unsettled(there), r))]
        return [
            self._settle(
                stored,
                note.removesuffix(SENDING) + RECEIPT,
                Delivery(r, "", "recorded by hand: it has arrived"),
                begun.ou if (begun := self._begun(note)) else "",
            )
            for r, note in unsettled
        ]

    def _settle(self, stored: Stored, receipt: str, delivery: Delivery, ou: str) -> Delivery:
        self._write(receipt, {**asdict(delivery), **_of(ou), "at": self._clock()})
        self._archive.delete([receipt.removesuffix(RECEIPT) + SENDING])
        there = self._records(stored)
        posts = self._posts()
        if all(_receipt(stored, post) in there for post in posts):
            self._finish(stored, posts)
        return delivery

    def _begin(self, stored: Stored, post: _Post, delivery_id: str) -> bool:
        """Note that the message is about to be handed over; False where that is or was done elsewhere."""
        if self._mailer.repeatable:
            return True
        sending = _sending(stored, post)
        if not self._archive.create(sending, _json(self._intent(post, delivery_id))):
            return False
        # Another run may have sent it, and removed its note, since this one looked for the receipt.
        if self._archive.get(_receipt(stored, post)) is not None:
            self._archive.delete([sending])
            return False
        return True

    def _intent(self, post: _Post, delivery_id: str) -> dict[str, Any]:
        return {
            "recipient": post.address,
            **_of(post.ou),
            "delivery_id": delivery_id,
            "by": f"{socket.gethostname()}, process {os.getpid()}",
            "at": self._clock(),
        }

    def _open(self, stored: Stored, posts: Sequence[_Post]) -> list[FinopsError]:
        """What is to be said of messages that were begun: nothing, where they have their receipts by now."""
        found = [(post.address, doubt) for post in posts if (doubt := self._awaited_doubt(stored, post))]
        if not found:
            return []
        doubts = {who: "; ".join(dict.fromkeys(why for each, why in found if each == who)) for who, _ in found}
        address = next(iter(doubts)) if len(doubts) == 1 else "ADDRESS"
        command = f"finops resend {stored.day} --to {address}"
        return [
            UnknownDeliveryError(
                "it is not known who has it: " + ", ".join(f"{who} ({why})" for who, why in doubts.items()),
                where=f"the digest of {stored.day}",
                fix=f"`{command}` sends it, `{command} --received` records that it has arrived.",
            )
        ]

    def _awaited_doubt(self, stored: Stored, post: _Post) -> str:
        """Why it is not known whether a recipient has the digest; empty, once there is a receipt.

        A run that is sending at this moment is given a few seconds to write it.
        """
        for _ in range(LOOKS):
            note = self._begun(_sending(stored, post))
            # In this order: the run that sends writes the receipt before it removes its note.
            if self._archive.get(_receipt(stored, post)) is not None:
                return ""
            if note is None:
                return "another run gave it up just now"
            if note.unknown or self._clock() - note.at >= STILL_SENDING:
                break
            time.sleep(PAUSE)
        return self._doubt(note)

    def _doubt(self, note: Begun) -> str:
        if note.unknown:
            return note.unknown
        if self._clock() - note.at < STILL_SENDING:
            return f"another run is sending it since {note.at:%H:%M:%S} UTC, or was killed: {note.by}"
        return f"a run was interrupted while it sent it at {note.at:%Y-%m-%d %H:%M:%S} UTC: {note.by}"

    def _message(self, stored: Stored, contents: _Contents, post: _Post, suffix: str = "") -> tuple[EmailMessage, str]:
        """The message and its delivery id, the same whenever they are made: a repetition is recognised as one."""
        edition = f"-{ou_hash(post.ou)[:8]}" if post.ou else ""
        delivery_id = f"{stored.day}-r{stored.revision}-{_address_hash(post.address)[:16]}{edition}{suffix}"
        domain = mail_address(self._sender, "mail.sender").domain
        digest = contents.digests[post.ou]
        folder = stored.path + (_edition_folder(post.ou) if post.ou else "")
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

    def _record(self, path: str, sent: Delivery, mail: EmailMessage, delivery_id: str, post: _Post) -> Delivery:
        facts = {"delivery_id": delivery_id, "message_sha256": _sha256(mail.as_bytes()), "at": self._clock()}
        self._write(path, {**asdict(sent), **_of(post.ou), **facts})
        return sent

    @property
    def addresses(self) -> tuple[str, ...]:
        """Everybody whom the settings name, as they are written there."""
        of_ous = (address for addresses in self._by_ou.values() for address in addresses)
        return tuple(dict.fromkeys((*self._recipients, *self._executives, *of_ous)))

    def _posts(self, to: Sequence[str] | None = None) -> list[_Post]:
        """Who gets what, by the settings: one message with the whole, else one of each edition.

        Args:
            to: only these; somebody whom the settings do not name gets the whole.

        Raises:
            SettingsError: an address is malformed, or nobody is named.
        """

        def of(addresses: Sequence[str], setting: str) -> list[str]:
            return self._checked(addresses, setting) if addresses else []

        if not any((self._recipients, self._executives, *self._by_ou.values())):
            self._checked((), "mail.recipients")
        executives = of(self._executives, "mail.executives")
        with_pdf = {address.lower() for address in executives}
        plan: dict[str, list[_Post]] = {}
        for address in (*of(self._recipients, "mail.recipients"), *executives):
            plan.setdefault(address.lower(), [_Post(address, pdf=address.lower() in with_pdf)])
        for ou, addresses in self._by_ou.items():
            for address in of(addresses, f"mail.by_ou ({ou})"):
                plan.setdefault(address.lower(), []).append(_Post(address, ou))
        if to is None:
            return [post for posts in plan.values() for post in _outermost(posts)]
        return [
            post
            for address in self._checked(to, "to")
            for post in _outermost(plan.get(address.lower(), [_Post(address)]))
        ]

    def _checked(self, recipients: Sequence[str], setting: str) -> list[str]:
        """Every address is looked at before any message goes out; one that is there twice counts once."""
        if not recipients:
            raise SettingsError("names nobody", where=setting, fix="Write at least one address.")
        mail_address(self._sender, "mail.sender")
        unique: dict[str, str] = {}
        for recipient in recipients:
            address = mail_address(recipient, setting).addr_spec
            unique.setdefault(_address_hash(address), address)
        return list(unique.values())

    def refused(self) -> dict[str, Refused]:
        """Recipients in the settings that do not get their mail, as far as the mailer can tell, and why.

        Raises:
            SettingsError: an address is malformed.
            FinopsError: it cannot be told.
        """
        return self._mailer.refused(list(dict.fromkeys(post.address for post in self._posts())))

    # --- what was mailed ------------------------------------------------------------------------------------------

    def cover(self, days: Iterable[date], by: date, revision: int) -> None:
        """Note that the mail of `by` speaks for these days: one small object for each contiguous stretch of them."""
        from finops_assets.core.calendar import contiguous

        for stretch in contiguous(sorted(set(days) - {by})):
            facts = {"first": stretch[0], "last": stretch[-1], "by": by, "revision": revision}
            self._write(f"{COVERED}{stretch[0]}_{stretch[-1]}_by_{by}_r{revision}.json", facts)

    def is_undelivered(self, day: date) -> bool:
        """Whether nobody has a digest of the day's own: there is none, or no message of it was begun."""
        return self._own_state(day, None).state == "none"

    def mailed(self, day: date) -> MailState:
        """Whether the day was mailed: by its own newest digest, or covered by another day's mail.

        A day of which people only know that its bill was late is covered by the mail that brings its costs.
        """
        own = self._own_state(day, None)
        if own.state not in UNMAILED:
            return own
        by, revision = _covering(self._archive.list(COVERED)).get(day, (None, 0))
        if by is None:
            return own
        mail = self._own_state(by, revision)
        return MailState(mail.state, revision, mail.when, mail.recipients, covered_by=by)

    def mailed_days(self, days: Iterable[date], *, own: bool = False) -> dict[date, str]:
        """The state, as in MailState, of many days, from one listing of the archive.

        Args:
            days: which.
            own: of their own digests alone; by default that of the mail that speaks for a day without one.
        """
        paths = self._archive.list(PREFIX)
        newest, covering = _revisions(paths), _covering(paths)
        there = set(paths)
        unknown, partial = (
            {path.split(RECEIPTS)[0] for path in found} for found in (_unsettled(paths), _receipts(paths))
        )

        def of(day: date, revision: int) -> str:
            folder = _folder(day, revision)
            if folder + SENT in there:
                return "late" if folder + LATE in there else "sent"
            return "unknown" if folder in unknown else "partial" if folder in partial else "none"

        states = {day: of(day, newest[day]) if day in newest else "none" for day in days}
        if own:
            return states
        return {
            day: of(*covering[day]) if state in UNMAILED and day in covering else state for day, state in states.items()
        }

    def _own_state(self, day: date, revision: int | None) -> MailState:
        paths = self._archive.list(_folder(day))
        revision = revision or _revisions(paths).get(day)
        if revision is None:
            return MailState("none")
        folder = _folder(day, revision)
        within = [path for path in paths if path.startswith(folder)]
        found = [self._receipt(path) for path in _receipts(within)]
        receipts = [each for each in found if isinstance(each, Receipt)]
        open_notes = [each for each in found if isinstance(each, Begun)]
        open_notes += [note for path in _unsettled(within) if (note := self._begun(path))]
        everybody: tuple[str, ...] = ()
        if open_notes and folder + SENT in within:  # what it says is known, whatever became of a receipt
            everybody = mail_records.sent_to_all(self._archive, folder + SENT)
        doubted = {note.recipient for note in open_notes}
        sent = "late" if folder + LATE in within else "sent"
        state = sent if folder + SENT in within else "unknown" if open_notes else "partial" if receipts else "none"
        return MailState(
            state=state,
            revision=revision,
            when=max((receipt.at for receipt in receipts), default=None),
            recipients=tuple(sorted({receipt.recipient for receipt in receipts} | doubted & set(everybody))),
            unknown=tuple(sorted(doubted - set(everybody))),
        )

    def _records(self, stored: Stored) -> frozenset[str]:
        """The paths of a digest's receipts and notes, each receipt looked into: a damaged one counts as a note."""
        there = frozenset(self._archive.list(stored.path + RECEIPTS))
        damaged = {path for path in _receipts(there) if isinstance(self._receipt(path), Begun)}
        return there - damaged | {path.removesuffix(RECEIPT) + SENDING for path in damaged}

    def _receipt(self, path: str) -> Receipt | Begun:
        return mail_records.receipt(self._archive, path, self._who, self._clock())

    def _begun(self, path: str) -> Begun | None:
        return mail_records.begun(self._archive, path, self._who, self._clock())

    def _who(self, path: str) -> tuple[str, str]:
        """Recipient and OU of a receipt or a note by its name, as far as the settings know them."""
        name = path.rpartition("/")[2].removesuffix(SENDING).removesuffix(RECEIPT)
        try:
            posts = self._posts()
        except SettingsError:
            posts = []
        known = {post.name: (post.address, post.ou) for post in posts}
        return known.get(name, (f"a recipient that the settings no longer name ({name[:8]})", ""))

    # --- the small objects ----------------------------------------------------------------------------------------

    def _stored(self, day: date) -> Stored:
        stored = self.latest(day)
        if stored is None and (revision := self.newest_revision(day)):
            raise self._lost(day, revision)
        if stored is None:
            raise ArchiveError(
                f"there is no stored digest of {day}",
                where=_folder(day),
                fix=f"`finops resend {day}` makes one and sends it.",
            )
        return stored

    def _lost(self, day: date, revision: int) -> DamagedError:
        return DamagedError(
            f"revision {revision} cannot be sent again, as its manifest was damaged",
            where=_folder(day, revision) + MANIFEST,
            fix=f"`finops resend {day} --refresh` makes the digest anew, as a revision that goes to all recipients.",
        )

    def _read_manifest(self, day: date, revision: int) -> Stored | None:
        """A digest by its manifest; None where there is none, or a damaged one was put aside.

        In the place of a damaged one stays a note that it was: the revision was made, and may have been mailed.
        """
        path = _folder(day, revision) + MANIFEST
        data = self._archive.get(path)
        if data is None:
            return None
        try:
            return _parsed(path, data)
        except DamagedError as error:
            put_aside(self._archive, path, data, error.what, instead=_json({"lost": error.what}))
            return None

    def _write(self, path: str, facts: Mapping[str, Any]) -> None:
        self._archive.put(path, _json(facts))


def _parsed(path: str, data: bytes) -> Stored | None:
    """A digest by its manifest; None of the note that stays in the place of a damaged one.

    Raises:
        DamagedError: it is none.
    """
    with parsing("a manifest", path):
        found = dict(json.loads(data))
        if found.keys() == {"lost"}:
            return None
        return Stored(
            **found
            | {
                "day": date.fromisoformat(found["day"]),
                "total": Decimal(found["total"]),
                "parts": {name: Part(**part) for name, part in found["parts"].items()},
                "recipients": tuple(found["recipients"]),
                "rendered_at": datetime.fromisoformat(found["rendered_at"]),
                "says": _totals(found.get("says", {})),
                "editions": {
                    ou: Edition(
                        **of
                        | {
                            "total": Decimal(of["total"]),
                            "says": _totals(of["says"]),
                            "covers": _totals(of.get("covers", {})),
                        }
                    )
                    for ou, of in found.get("editions", {}).items()
                },
                "covers": _totals(found.get("covers", {})),
            }
        )


def _json(facts: Mapping[str, Any]) -> bytes:
    return json.dumps(facts, default=_as_text, ensure_ascii=False, indent=1).encode()


def _as_text(value: Any) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def _plain(totals: Mapping[date, Decimal]) -> dict[str, str]:
    return {day.isoformat(): plain(total) for day, total in totals.items()}


def _totals(facts: Mapping[str, str]) -> dict[date, Decimal]:
    return {date.fromisoformat(day): Decimal(total) for day, total in facts.items()}


def _newest(told: Mapping[date, Decimal]) -> dict[str, str]:
    return _plain({day: told[day] for day in sorted(told)[-REMEMBERED:]})


def _manifest(stored: Stored) -> dict[str, Any]:
    editions = {
        ou: {
            **asdict(edition),
            "total": plain(edition.total),
            "says": _plain(edition.says),
            "covers": _plain(edition.covers),
        }
        for ou, edition in stored.editions.items()
    }
    return {
        **asdict(stored),
        "total": plain(stored.total),
        "says": _plain(stored.says),
        "editions": editions,
        "covers": _plain(stored.covers),
    }


def _of(ou: str) -> dict[str, str]:
    """What a receipt says of an edition; those of the whole are as they always were."""
    return {"ou": ou} if ou else {}


def _outermost(posts: Sequence[_Post]) -> list[_Post]:
    """Without the editions that the whole, or another of them, contains."""
    return [
        post
        for post in posts
        if not any(post.ou != other.ou and (not other.ou or within(post.ou, other.ou)) for other in posts)
    ]


def _edition_folder(ou: str) -> str:
    return f"{EDITIONS}{ou_hash(ou)}/"


def _folder(day: date, revision: int | None = None) -> str:
    return f"{PREFIX}{day}/" if revision is None else f"{PREFIX}{day}/r{revision}/"


def _parts(digest: Digest) -> dict[str, bytes]:
    parts = {HTML: digest.html.encode(), TEXT: digest.text.encode(), digest.csv_name: digest.csv}
    return parts | {f"{name}{PNG}": png for name, png in digest.pictures.items()}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _address_hash(address: str) -> str:
    """Names receipts without putting addresses into paths."""
    return _sha256(address.lower().encode())


def _receipt(stored: Stored, post: _Post) -> str:
    return f"{stored.path}{RECEIPTS}{post.name}{RECEIPT}"


def _sending(stored: Stored, post: _Post) -> str:
    return f"{stored.path}{RECEIPTS}{post.name}{SENDING}"


def _notes_of(paths: Iterable[str], address: str) -> list[str]:
    """Receipts and notes of somebody's messages, of the whole and of editions."""
    return [path for path in paths if f"/{RECEIPTS}{_address_hash(address)}." in path]


def _receipts(paths: Iterable[str]) -> list[str]:
    return [path for path in paths if f"/{RECEIPTS}" in path and not path.endswith(SENDING)]


def _unsettled(paths: Iterable[str]) -> list[str]:
    """Notes of messages that were begun and have no receipt."""
    there = set(paths)
    return [path for path in there if path.endswith(SENDING) and path.removesuffix(SENDING) + RECEIPT not in there]


def _together(problems: Sequence[FinopsError]) -> FinopsError:
    """One error that says all of them, of the kind that must not be overlooked."""
    if len(problems) == 1:
        return problems[0]
    unknown = any(isinstance(problem, UnknownDeliveryError) for problem in problems)
    return (UnknownDeliveryError if unknown else FinopsError)("\n".join(map(str, problems)))


def _revisions(paths: Iterable[str]) -> dict[date, int]:
    """The newest whole digest of each day: one without a manifest was never finished."""
    newest: dict[date, int] = {}
    for found in filter(None, map(_MANIFEST.fullmatch, paths)):
        day, revision = date.fromisoformat(found[1]), int(found[2])
        newest[day] = max(revision, newest.get(day, 0))
    return newest


def _covering(paths: Iterable[str]) -> dict[date, tuple[date, int]]:
    """Day -> (the day whose mail covers it, its revision); the latest mail where there are several."""
    covered: dict[date, tuple[date, int]] = {}
    for found in filter(None, map(_COVERED.fullmatch, paths)):
        first, last, by = map(date.fromisoformat, found.groups()[:3])
        for n in range((last - first).days + 1):
            day = first + timedelta(n)
            covered[day] = max((by, int(found[4])), covered.get(day, (date.min, 0)))
    return covered
