"""The records of a digest's mails: receipts, notes of messages that were begun, the totals that readers got.

Each of these objects may be damaged, and none stops the others. A receipt that cannot be read is no proof that its
recipient has the digest, and no proof that they do not: the message is in doubt, as one whose run was killed, and is
never sent again by itself. The rules of sending are those of `outbox.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from finops_assets.core.delivery.stored_digests import PREFIX
from finops_assets.core.errors import DamagedError, FinopsError
from finops_assets.core.notes import put_aside
from finops_assets.core.records import RecordType

if TYPE_CHECKING:
    from finops_assets.core.ports import Archive

T = TypeVar("T")

RECEIPT, SENDING = ".json", ".sending.json"
RECEIPTS, SENT = "receipts/", "sent.json"
TOTALS, TOTALS_BY_OU = PREFIX + "_told.json", PREFIX + "_told_by_ou.json"

REMEMBERED = 100
"""Days whose mailed total is kept: those that AWS may still change are 45 at most."""

Who = Callable[[str], tuple[str, str]]
"""Gives, for the name of a receipt, its recipient and the OU of their edition (empty for the whole)."""


@dataclass(frozen=True)
class Receipt:
    """That a message went out: to whom, when, by which id, where to, and what it was (SHA-256 of its bytes)."""

    recipient: str
    at: datetime
    message_id: str = ""
    location: str = ""
    ou: str = ""
    delivery_id: str = ""
    message_sha256: str = ""

    def __post_init__(self) -> None:
        _check_zone(self.at)


@dataclass(frozen=True)
class Begun:
    """A message that was begun and has no receipt; `unknown` says why it is not known what became of it, once it is."""

    recipient: str
    at: datetime
    by: str = ""
    ou: str = ""
    unknown: str = ""
    delivery_id: str = ""

    def __post_init__(self) -> None:
        _check_zone(self.at)


def _check_zone(at: datetime) -> None:
    if at.tzinfo is None:
        raise ValueError(f"{at} has no time zone")


@dataclass(frozen=True)
class SentToAll:
    """That every recipient has the digest, who they were, and since when."""

    recipients: tuple[str, ...]
    at: datetime | None = None


@dataclass(frozen=True)
class Covered:
    """That the mail of a day covers the days from first to last."""

    first: date
    last: date
    by: date
    revision: int


@dataclass(frozen=True)
class MailedTotals:
    """Each day's total as readers last got it, and its currency; that of a mail of an earlier release is not noted."""

    totals: Mapping[date, Decimal] = field(default_factory=dict)
    currencies: Mapping[date, str] = field(default_factory=dict)


@dataclass(frozen=True)
class MailedTotalsByOu:
    """The same by OU, for the readers of each edition."""

    totals: Mapping[str, Mapping[date, Decimal]] = field(default_factory=dict)


RECEIPT_RECORD = RecordType[Receipt](Receipt, "a receipt")
BEGUN_RECORD = RecordType[Begun](Begun, "a note of a message")
SENT_RECORD = RecordType[SentToAll](SentToAll, "a list of who has it")
COVERED_RECORD = RecordType[Covered](Covered, "days that a mail covers")


def _totals_of(totals: dict[str, Any]) -> dict[str, Any]:
    """Version 0 had no other field: the totals were the whole object."""
    return {"totals": totals}


TOTALS_RECORD = RecordType[MailedTotals](MailedTotals, "totals by day", upgrade=_totals_of)
TOTALS_BY_OU_RECORD = RecordType[MailedTotalsByOu](MailedTotalsByOu, "totals by OU and day", upgrade=_totals_of)


def mailed_totals(archive: Archive) -> Mapping[date, Decimal]:
    """Each day's total as readers last got it; nothing where that is lost."""
    return (TOTALS_RECORD.read(archive, TOTALS) or MailedTotals()).totals


def mailed_currencies(archive: Archive) -> Mapping[date, str]:
    """The currency of each of these totals, where it was noted."""
    return (TOTALS_RECORD.read(archive, TOTALS) or MailedTotals()).currencies


def mailed_totals_by_ou(archive: Archive) -> Mapping[str, Mapping[date, Decimal]]:
    """The same by OU, for the readers of each edition."""
    return (TOTALS_BY_OU_RECORD.read(archive, TOTALS_BY_OU) or MailedTotalsByOu()).totals


def note_mailed_totals(
    archive: Archive,
    totals: Mapping[date, Decimal],
    of_editions: Mapping[str, Mapping[date, Decimal]],
    currency: str = "",
) -> None:
    """Note the totals that readers have got now; of earlier ones, those of the newest days are kept.

    Args:
        archive: keeps it.
        totals: of the whole, by day.
        of_editions: subtotals by OU and day.
        currency: of all of them.
    """
    if totals:
        newest = _newest({**mailed_totals(archive), **totals})
        currencies = {**mailed_currencies(archive), **(dict.fromkeys(totals, currency) if currency else {})}
        kept = {day: currencies[day] for day in newest if day in currencies}
        TOTALS_RECORD.write(archive, TOTALS, MailedTotals(newest, kept))
    if any(of_editions.values()):
        before = mailed_totals_by_ou(archive)
        after = {ou: _newest({**before.get(ou, {}), **totals}) for ou, totals in of_editions.items()}
        TOTALS_BY_OU_RECORD.write(archive, TOTALS_BY_OU, MailedTotalsByOu({**before, **after}))


def _newest(totals: Mapping[date, Decimal]) -> dict[date, Decimal]:
    return {day: totals[day] for day in sorted(totals)[-REMEMBERED:]}


def sent_to_all(archive: Archive, path: str) -> tuple[str, ...]:
    """Who had the digest when everybody had it; nobody where that cannot be read."""
    record = _read(archive, path, SENT_RECORD)
    return record.recipients if isinstance(record, SentToAll) else ()


def receipt(archive: Archive, path: str, who: Who, now: datetime) -> Receipt | Begun:
    """What a receipt says; where it is damaged, the message in doubt that it is from now on.

    Args:
        archive: keeps it.
        path: of the receipt, which is there.
        who: names its recipient where it does not itself.
        now: when the damage is found.
    """
    record = _read(archive, path, RECEIPT_RECORD)
    if isinstance(record, Receipt):
        return record
    recipient, ou = who(path)
    doubt = Begun(recipient, now, ou=ou, unknown="its receipt was damaged")
    # The doubt is noted before the receipt goes: killed between the two, nothing is sent again.
    try:
        BEGUN_RECORD.create(archive, path.removesuffix(RECEIPT) + SENDING, doubt)
    except FinopsError:  # where nothing can be written, the receipt stays, and is found again
        return doubt
    if record is not None:
        put_aside(archive, path, record, "it is no receipt")
    return doubt


def begun(archive: Archive, path: str, who: Who, now: datetime) -> Begun | None:
    """What the note of a begun message says; None where it is gone. A damaged one is replaced by one that says so."""
    record = _read(archive, path, BEGUN_RECORD)
    if record is None or isinstance(record, Begun):
        return record
    recipient, ou = who(path)
    doubt = Begun(recipient, now, ou=ou, unknown="the note that it was begun was damaged")
    put_aside(archive, path, record, "it is no note of a message", instead=BEGUN_RECORD.encode(doubt))
    return doubt


def _read(archive: Archive, path: str, record: RecordType[T]) -> T | bytes | None:
    """An object as a record; its bytes where it is none, and None where it is not there."""
    data = archive.get(path)
    if data is None:
        return None
    try:
        return record.decode(data, path)
    except DamagedError:
        return data


# --- the names of receipts ----------------------------------------------------------------------------------------


def receipts_of(paths: Iterable[str]) -> list[str]:
    """The receipts among the paths below digests."""
    return [path for path in paths if f"/{RECEIPTS}" in path and not path.endswith(SENDING)]


def unsettled(paths: Collection[str]) -> list[str]:
    """Notes of messages that were begun and have no receipt."""
    existing = set(paths)
    return [
        path for path in existing if path.endswith(SENDING) and path.removesuffix(SENDING) + RECEIPT not in existing
    ]
