"""What this platform itself costs a day: what its queries scanned, its mails, and what it keeps; for the digest.

Each run leaves a note of its paid queries in the archive, `own-cost/2025-09-10/<query id>.json`, under the day on which
they ran, and of the messages that it sent. Prices are AWS's list prices, in USD whatever the bill's currency.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.records import RecordType
from finops_assets.core.reports.digest import OwnCost

if TYPE_CHECKING:
    from finops_assets.core.ports import Archive
    from finops_assets.core.values import Delivery, QueryReceipt

PREFIX = "own-cost/"

PER_MAIL = Decimal("0.0001")
"""SES, outgoing: 0.10 USD per 1,000 messages, attachments aside (0.12 USD per GB)."""

PER_GIGABYTE_MONTH = Decimal("0.023")
"""S3 Standard, the first 50 TB, us-east-1."""

DAYS_A_MONTH = 30
GIGABYTE = 10**9


@dataclass(frozen=True)
class _Queries:
    """What a run's queries took."""

    queries: int
    scanned_bytes: int
    usd: Decimal


@dataclass(frozen=True)
class _Mails:
    """How many messages a run sent."""

    mails: int


RECORD = RecordType[_Queries | _Mails](_Queries | _Mails, "a note of own costs")


def note_queries(archive: Archive, receipts: Sequence[QueryReceipt], day: date) -> None:
    """Note what queries took on a day (UTC); the same queries again are the same note."""
    if receipts:
        scanned, usd = sum(r.scanned_bytes for r in receipts), sum((r.price for r in receipts), Decimal())
        RECORD.write(archive, f"{PREFIX}{day}/{receipts[0].id}.json", _Queries(len(receipts), scanned, usd))


def note_mails(archive: Archive, deliveries: Sequence[Delivery], day: date) -> None:
    """Note the messages that were sent on a day (UTC), where it has paid queries: elsewhere nothing is paid."""
    if deliveries and archive.list(f"{PREFIX}{day}/"):
        name = hashlib.sha256(deliveries[0].message_id.encode()).hexdigest()[:16]
        RECORD.write(archive, f"{PREFIX}{day}/mails-{name}.json", _Mails(len(deliveries)))


def own_cost(archive: Archive, day: date) -> OwnCost | None:
    """What the platform cost on a day; None where no paid query ran on it.

    Args:
        archive: has the notes, and is what is kept.
        day: on which it ran (UTC), not the day of the bill.
    """
    notes = [RECORD.read(archive, path) for path in archive.list(f"{PREFIX}{day}/")]
    asked = [note for note in notes if isinstance(note, _Queries)]
    queries, scanned = sum(note.queries for note in asked), sum(note.scanned_bytes for note in asked)
    mails = sum(note.mails for note in notes if isinstance(note, _Mails))
    if not queries:
        return None
    kept = archive.size()
    athena = sum((note.usd for note in asked), Decimal())
    return OwnCost(
        day,
        (
            (f"Athena: {queries} queries, {_size(scanned)} scanned", athena),
            (f"SES: {mails} messages", mails * PER_MAIL),
            (f"S3: {_size(kept)} kept", Decimal(kept) / GIGABYTE * PER_GIGABYTE_MONTH / DAYS_A_MONTH),
        ),
        "AWS list prices; without QuickSight, the machines that this runs on, and older versions of objects",
    )


def _size(count: int) -> str:
    for unit, size in (("GB", GIGABYTE), ("MB", 10**6)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count / 1000:,.1f} kB"
