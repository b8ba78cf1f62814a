"""Digests in the archive: stored once as revisions of a day, with checksums, and read back only as they were stored.

A revision exists once its manifest is written, which comes last. The layout is in `outbox.py`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.errors import ArchiveError, DamagedError
from finops_assets.core.notes import put_aside
from finops_assets.core.records import RecordType
from finops_assets.core.reports.digest import Digest, ou_hash

if TYPE_CHECKING:
    from finops_assets.core.delivery.recipients import Recipients
    from finops_assets.core.ports import Archive

PREFIX = "digests/"
HTML, TEXT, PNG, PDF, BILLS = "digest.html", "digest.txt", ".png", "executive_snapshot.pdf", "bills.csv"
MANIFEST, EDITIONS = "manifest.json", "editions/"
LATE = "late"

_MANIFEST_PATH = re.compile(rf"{PREFIX}(\d{{4}}-\d{{2}}-\d{{2}})/r(\d+)/{re.escape(MANIFEST)}")


@dataclass(frozen=True)
class Part:
    """One stored part of a digest."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Edition:
    """One OU's part of a digest; its parts are below the digest's `editions/<OU hash>/`.

    `total` is the exact subtotal, `says` every day's subtotal that its readers know from it, `covers` those of the days
    that it covers.
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
    it covers; `late` that the day's bill was late; `parts` has the editions' too, by their paths below the
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
        return digest_folder(self.day, self.revision)


@dataclass(frozen=True)
class _Lost:
    """In the place of a manifest that was damaged, and why: the revision was made, and may have been mailed."""

    lost: str


RECORD = RecordType[Stored | _Lost](Stored | _Lost, "a manifest")


@dataclass(frozen=True)
class Statements:
    """What the readers of a digest know from it.

    Attributes:
        totals: each day's total; by default that of the digest's day.
        of_editions: OU path -> the subtotals that the readers of its edition learn; by default that of the day, or none
            if the bill is late.
        covers: the totals of the days that it covers, by the OU of an edition; the whole's by an empty name.
        anomalies: the ids of those that it names, and how each stands; None where that is not kept.
        late: it goes out in place of a day without a bill.
    """

    totals: Mapping[date, Decimal] | None = None
    of_editions: Mapping[str, Mapping[date, Decimal]] = field(default_factory=dict)
    covers: Mapping[str, Mapping[date, Decimal]] = field(default_factory=dict)
    anomalies: Mapping[str, str] | None = None
    late: bool = False

    def edition(self, ou: str, digest: Digest) -> Edition:
        """What the manifest says of an OU's edition."""
        return Edition(
            subject=digest.subject,
            total=digest.total,
            csv_name=digest.csv_name,
            says=self.of_editions.get(ou, {} if self.late else {digest.day: digest.total}),
            covers=self.covers.get(ou, {}),
        )


class StoredDigests:
    """Stores digests, and reads them back.

    Args:
        archive: where they are kept.
        recipients: whom a manifest names.
    """

    def __init__(self, archive: Archive, recipients: Recipients) -> None:
        self._archive, self._recipients = archive, recipients

    def store(
        self,
        digest: Digest,
        fingerprint: str,
        rendered_at: datetime,
        *,
        editions: Mapping[str, Digest] | None = None,
        pdf: bytes = b"",
        statements: Statements = Statements(),
    ) -> Stored:
        """Keep a digest. A revision that exists already, made of the same data, is left as it is and returned.

        Args:
            digest: the rendered digest.
            fingerprint: of the day's data.
            rendered_at: becomes the mail's Date; has a time zone.
            editions: OU path -> its edition of the digest.
            pdf: the executives' two pages; empty for none.
            statements: what its readers know from it.

        Raises:
            ArchiveError: this revision exists already, made of other data.
        """
        existing = self._read_manifest(digest.day, digest.revision)
        folder = digest_folder(digest.day, digest.revision)
        if existing is None and self._archive.get(folder + MANIFEST) is not None:
            raise self._lost(digest.day, digest.revision)
        if existing:
            if existing.fingerprint != fingerprint:
                raise ArchiveError(
                    f"revision {digest.revision} was made of other data",
                    where=existing.path,
                    fix=f"Render revision {self.next_revision(digest.day, fingerprint)}.",
                )
            return existing
        editions = editions or {}
        parts = _parts(digest) | ({PDF: pdf} if pdf else {})
        for ou, edition in editions.items():
            parts |= {edition_folder(ou) + name: data for name, data in _parts(edition).items()}
        stored = Stored(
            day=digest.day,
            revision=digest.revision,
            subject=digest.subject,
            total=digest.total,
            currency=digest.currency,
            fingerprint=fingerprint,
            csv_name=digest.csv_name,
            parts={name: Part(sha256_of(data), len(data)) for name, data in parts.items()},
            sender=self._recipients.sender,
            recipients=self._recipients.addresses,
            rendered_at=rendered_at.astimezone(UTC),
            says={digest.day: digest.total} if statements.totals is None else statements.totals,
            late=statements.late,
            editions={ou: statements.edition(ou, edition) for ou, edition in editions.items()},
            covers=statements.covers.get("", {}),
            anomalies=statements.anomalies,
        )
        for name, data in parts.items():
            self._archive.put(folder + name, data)
        if stored.late:
            self._archive.put(folder + LATE, b"")
        RECORD.write(self._archive, folder + MANIFEST, stored)
        return stored

    def latest(self, day: date) -> Stored | None:
        """The newest stored digest of the day; None where there is none, and where its manifest was damaged.

        `newest` tells the two apart.
        """
        return self.newest(day)[1]

    def newest(self, day: date) -> tuple[int, Stored | None]:
        """The newest revision of the day's digest (0 where there is none), and it; None where its manifest was damaged.

        By one listing: between two, another run may have stored the first one, which would be taken for damaged.
        """
        revision = self.newest_revision(day)
        return revision, self._read_manifest(day, revision) if revision else None

    def newest_revision(self, day: date) -> int:
        """The newest revision of the day's digest, whether its manifest can be read or not; 0 where there is none."""
        return newest_revisions(self._archive.list(digest_folder(day))).get(day, 0)

    def next_revision(self, day: date, fingerprint: str) -> int:
        """The revision that a digest of this data is: the stored one's if it was made of the same, else one more."""
        revision, latest = self.newest(day)
        return revision if latest and latest.fingerprint == fingerprint else revision + 1

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
        folder = edition_folder(ou) if ou else ""
        names = [
            name
            for name in stored.parts
            if (name.startswith(folder) if ou else not name.startswith(EDITIONS) and name != PDF)
        ]
        parts = {name.removeprefix(folder): self._part(stored, name) for name in names}
        described: Stored | Edition = stored.editions[ou] if ou else stored
        return Digest(
            day=stored.day,
            subject=described.subject,
            html=parts[HTML].decode(),
            text=parts[TEXT].decode(),
            csv=parts[described.csv_name],
            csv_name=described.csv_name,
            revision=stored.revision,
            total=described.total,
            currency=stored.currency,
            pictures={name.removesuffix(PNG): data for name, data in parts.items() if name.endswith(PNG)},
            ou=ou,
            bills_csv=parts.get(BILLS, b""),
        )

    def pdf(self, stored: Stored) -> bytes:
        """The executives' PDF as it was stored; empty where there is none.

        Raises:
            ArchiveError: it is gone or is not what was stored.
        """
        return self._part(stored, PDF) if PDF in stored.parts else b""

    def _part(self, stored: Stored, name: str) -> bytes:
        data = self._archive.get(stored.path + name)
        if data is None or sha256_of(data) != stored.parts[name].sha256:
            raise ArchiveError(
                "is gone" if data is None else "is not what was stored: its SHA-256 differs",
                where=stored.path + name,
                fix="Put its stored version back, or materialize digest_email after a change of the day's data.",
            )
        return data

    def require(self, day: date) -> Stored:
        """The newest stored digest of the day.

        Raises:
            ArchiveError: there is none, or its manifest was damaged.
        """
        revision, stored = self.newest(day)
        if stored is None and revision:
            raise self._lost(day, revision)
        if stored is None:
            raise ArchiveError(
                f"there is no stored digest of {day}",
                where=digest_folder(day),
                fix=f"`finops resend {day}` makes one and sends it.",
            )
        return stored

    def _lost(self, day: date, revision: int) -> DamagedError:
        return DamagedError(
            f"revision {revision} cannot be sent again, as its manifest was damaged",
            where=digest_folder(day, revision) + MANIFEST,
            fix=f"`finops resend {day} --refresh` makes the digest anew, as a revision that goes to all recipients.",
        )

    def _read_manifest(self, day: date, revision: int) -> Stored | None:
        """A digest by its manifest; None where there is none, or a damaged one was put aside.

        In the place of a damaged one stays a note that it was: the revision was made, and may have been mailed.
        """
        path = digest_folder(day, revision) + MANIFEST
        data = self._archive.get(path)
        if data is None:
            return None
        try:
            manifest = RECORD.decode(data, path)
        except DamagedError as error:
            put_aside(self._archive, path, data, error.what, instead=RECORD.encode(_Lost(error.what)))
            return None
        return manifest if isinstance(manifest, Stored) else None


def digest_folder(day: date, revision: int | None = None) -> str:
    """Where the digests of a day are, or one revision of them."""
    return f"{PREFIX}{day}/" if revision is None else f"{PREFIX}{day}/r{revision}/"


def edition_folder(ou: str) -> str:
    """Where the parts of an OU's edition are, below the digest's folder."""
    return f"{EDITIONS}{ou_hash(ou)}/"


def newest_revisions(paths: Iterable[str]) -> dict[date, int]:
    """The newest whole digest of each day: one without a manifest was never finished."""
    newest: dict[date, int] = {}
    for match in filter(None, map(_MANIFEST_PATH.fullmatch, paths)):
        day, revision = date.fromisoformat(match[1]), int(match[2])
        newest[day] = max(revision, newest.get(day, 0))
    return newest


def sha256_of(data: bytes) -> str:
    """In hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _parts(digest: Digest) -> dict[str, bytes]:
    parts = {HTML: digest.html.encode(), TEXT: digest.text.encode(), digest.csv_name: digest.csv}
    parts |= {BILLS: digest.bills_csv} if digest.bills_csv else {}
    return parts | {f"{name}{PNG}": png for name, png in digest.pictures.items()}
