"""What is kept of a digest's mails, read back: receipts, notes of messages that were begun, what readers were told.

Each of these objects may be damaged, and none stops the others. A receipt that cannot be read is no proof that its
recipient has the digest, and no proof that they do not: the message is in doubt, as one whose run was killed, and is
never sent again by itself. The rules of sending are those of `core.outbox`, which writes what is read here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar

from finops_assets.core.errors import DamagedError, FinopsError
from finops_assets.core.notes import json_note, put_aside, read_note

if TYPE_CHECKING:
    from finops_assets.core.ports import Archive

T = TypeVar("T")

RECEIPT, SENDING = ".json", ".sending.json"

Who = Callable[[str], tuple[str, str]]
"""Gives, for the name of a receipt, its recipient and the OU of their edition (empty for the whole)."""


@dataclass(frozen=True)
class Receipt:
    """That a message went out."""

    recipient: str
    at: datetime

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

    def __post_init__(self) -> None:
        _check_zone(self.at)


def _check_zone(at: datetime) -> None:
    if at.tzinfo is None:
        raise ValueError(f"{at} has no time zone")


@dataclass(frozen=True)
class SentToAll:
    """That every recipient has the digest, and who they were."""

    recipients: tuple[str, ...]


def told(archive: Archive, path: str) -> dict[date, Decimal]:
    """Each day's total as readers were last told it; nothing where that is lost."""
    return read_note(archive, path, json_note(dict[date, Decimal], "totals by day", path), {})


def told_by_ou(archive: Archive, path: str) -> dict[str, dict[date, Decimal]]:
    """The same by OU, for the readers of each edition."""
    return read_note(archive, path, json_note(dict[str, dict[date, Decimal]], "totals by OU and day", path), {})


def sent_to_all(archive: Archive, path: str) -> tuple[str, ...]:
    """Who had the digest when everybody had it; nobody where that cannot be read."""
    found = read_json(archive, path, SentToAll)
    return found.recipients if isinstance(found, SentToAll) else ()


def receipt(archive: Archive, path: str, who: Who, now: datetime) -> Receipt | Begun:
    """What a receipt says; where it is damaged, the message in doubt that it is from now on.

    Args:
        archive: keeps it.
        path: of the receipt, which is there.
        who: names its recipient where it does not itself.
        now: when the damage is found.
    """
    found = read_json(archive, path, Receipt)
    if isinstance(found, Receipt):
        return found
    recipient, ou = who(path)
    doubt = Begun(recipient, now, ou=ou, unknown="its receipt was damaged")
    # The doubt is noted before the receipt goes: killed between the two, nothing is sent again.
    try:
        archive.create(path.removesuffix(RECEIPT) + SENDING, _as_note(doubt))
    except FinopsError:  # where nothing can be written, the receipt stays, and is found again
        return doubt
    if found is not None:
        put_aside(archive, path, found, "it is no receipt")
    return doubt


def begun(archive: Archive, path: str, who: Who, now: datetime) -> Begun | None:
    """What the note of a begun message says; None where it is gone. A damaged one is replaced by one that says so."""
    found = read_json(archive, path, Begun)
    if found is None or isinstance(found, Begun):
        return found
    recipient, ou = who(path)
    doubt = Begun(recipient, now, ou=ou, unknown="the note that it was begun was damaged")
    put_aside(archive, path, found, "it is no note of a message", instead=_as_note(doubt))
    return doubt


def read_json(archive: Archive, path: str, kind: type[T]) -> T | bytes | None:
    """An object as a record; its bytes where it is none, and None where it is not there."""
    data = archive.get(path)
    if data is None:
        return None
    try:
        return json_note(kind, kind.__name__, path)(data)
    except DamagedError:
        return data


def _as_note(doubt: Begun) -> bytes:
    facts = {name: value for name, value in vars(doubt).items() if value}
    return json.dumps({**facts, "at": doubt.at.isoformat()}, ensure_ascii=False, indent=1).encode()
