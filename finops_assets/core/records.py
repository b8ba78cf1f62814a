"""Records: dataclasses that the archive keeps as JSON. One codec writes and reads all of them.

Each record says its version, as `schema_version`; one of a release before there were versions says none, and is read
as version 0. Amounts are exact decimals as text, times are ISO 8601, and a field that a later release has added has a
default. A record of a newer release than this one is refused, and left as it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from finops_assets.core.errors import DamagedError, FinopsError
from finops_assets.core.money import plain
from finops_assets.core.notes import FIX, MALFORMED, read_note

if TYPE_CHECKING:
    from finops_assets.core.ports import Archive

T = TypeVar("T")

KEY = "schema_version"


class NewerRecordError(FinopsError):
    """A record was written by a newer release, whose meaning this one cannot know."""


def _as_it_was(facts: dict[str, Any]) -> dict[str, Any]:
    return facts


@dataclass(frozen=True)
class RecordType(Generic[T]):
    """How records of one class are written and read.

    Attributes:
        record: the class, a dataclass; or a union of dataclasses that have different fields.
        name: what one is called in errors, such as `an incident`.
        version: of the fields as they are written now; counted up when an older reader would misread them.
        upgrade: makes the fields of an earlier version, 0 included, into those of `version`.
    """

    record: Any
    name: str
    version: int = 1
    upgrade: Callable[[dict[str, Any]], dict[str, Any]] = _as_it_was

    def encode(self, record: T) -> bytes:
        """A record as JSON, its version first; a field that has its default is written, too."""
        facts = _adapter(self.record).dump_python(record)
        return json.dumps({KEY: self.version, **_as_json(facts)}, ensure_ascii=False, indent=1).encode()

    def decode(self, data: bytes, path: str) -> T:
        """The record of its bytes; fields that this release does not know are passed over.

        Args:
            data: what `encode` of this or an earlier release has written.
            path: of the object, for errors.

        Raises:
            DamagedError: it is no such record.
            NewerRecordError: a newer release has written it.
        """
        from pydantic import ValidationError

        try:
            facts = json.loads(data)
        except ValueError as error:
            raise self._damaged(str(error).splitlines()[0], path) from None
        if not isinstance(facts, dict):
            raise self._damaged(f"it is no object: {type(facts).__name__}", path)
        version = facts.pop(KEY, 0)
        if not isinstance(version, int) or version < 0:
            raise self._damaged(f"{KEY} is {version!r}", path)
        if version > self.version:
            raise NewerRecordError(
                f"was written by a newer release ({self.name}, version {version}; this one knows {self.version})",
                where=path,
                fix="Update finops_assets here to the release that wrote it.",
            )
        try:
            upgraded = self.upgrade(facts) if version < self.version else facts
        except MALFORMED as error:
            raise self._damaged(f"{type(error).__name__}: {error}", path) from None
        try:
            return _adapter(self.record).validate_python(upgraded)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise self._damaged(f"{place}: {first['msg']}" if place else first["msg"], path) from None

    def read(self, archive: Archive, path: str, otherwise: T | None = None) -> T | None:
        """A record of the archive; `otherwise` where there is none, or a damaged one was put aside.

        Raises:
            ArchiveError: the archive cannot be read.
            NewerRecordError: a newer release has written it.
        """
        return read_note(archive, path, lambda data: self.decode(data, path), otherwise)

    def write(self, archive: Archive, path: str, record: T) -> None:
        """Put a record into the archive, over an earlier one.

        Raises:
            ArchiveError: the archive cannot be written.
        """
        archive.put(path, self.encode(record))

    def create(self, archive: Archive, path: str, record: T) -> bool:
        """Put a record into the archive where nothing is; whether it was put.

        Raises:
            ArchiveError: the archive cannot be written.
        """
        return archive.create(path, self.encode(record))

    def _damaged(self, why: str, path: str) -> DamagedError:
        return DamagedError(f"is not {self.name} ({why})", where=path, fix=FIX)


def _as_json(value: Any) -> Any:
    """A value of a record in JSON's types: exact amounts and ISO dates as text."""
    if isinstance(value, Mapping):
        return {str(_as_json(key)): _as_json(of) for key, of in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_as_json(each) for each in value]
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value


@cache
def _adapter(record: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(record)
