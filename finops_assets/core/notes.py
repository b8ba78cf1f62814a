"""Notes: small objects of the archive that hold state, and what happens where one of them is damaged.

A damaged note (empty, cut, or of the wrong shape) affects only what it is about. Its reader goes on without it; the
note is moved to `damaged/<its path>.<UTC time>`, the next write makes it anew, and an incident says what was lost
(`core.operations.losses`). Nothing here knows what a note means: its reader gives the function that parses it, which
raises DamagedError, and nothing else, where it cannot.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache, partial
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar, cast

from finops_assets.core.errors import DamagedError, FinopsError

if TYPE_CHECKING:
    import pyarrow as pa
    from pydantic import TypeAdapter

    from finops_assets.core.ports import Archive

T = TypeVar("T")

DAMAGED = "damaged/"
"""Where copies of damaged notes are kept until somebody removes them."""

FIX = "Put an earlier version of it back."

MALFORMED: tuple[type[Exception], ...] = (
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    ArithmeticError,
)
"""What the parsing of bytes that are no such note raises."""


def read_note(archive: Archive, path: str, parse: Callable[[bytes], T], otherwise: T) -> T:
    """A note's content; `otherwise` where it does not exist, or is damaged and has been put aside.

    Args:
        archive: keeps it.
        path: of the note.
        parse: turns the bytes into the content.
        otherwise: the content without the note.

    Raises:
        ArchiveError: the archive cannot be read.
    """
    data = archive.get(path)
    if data is None:
        return otherwise
    try:
        return parse(data)
    except DamagedError as error:
        put_aside(archive, path, data, error.what)
        return otherwise


def put_aside(archive: Archive, path: str, data: bytes, why: str, *, instead: bytes | None = None) -> None:
    """Copy a damaged note below `damaged/`, then remove it.

    Where the archive cannot be written, the note stays where it is, and its next reader puts it aside.

    Args:
        archive: keeps it.
        path: of the note.
        data: its bytes as they were read: a note that was written anew since then is left alone.
        why: what is wrong with it, for the log.
        instead: what is written in its place, if anything.
    """
    log = logging.getLogger(__name__)
    try:
        if not any(archive.get(copy) == data for copy in copies_of(archive, path)):
            _copy(archive, path, data)
        if archive.get(path) != data:
            return
        if instead is None:
            archive.delete([path])
        else:
            archive.put(path, instead)
    except FinopsError as error:  # also where a right is missing
        log.warning("%s is damaged (%s), and cannot be put aside: %s", path, why, error)
    else:
        log.warning("%s is damaged (%s), and was put aside below %s", path, why, DAMAGED)


def _copy(archive: Archive, path: str, data: bytes) -> None:
    name = f"{DAMAGED}{path}.{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    while not archive.create(next(names), data):  # another damage of the same second has the name
        continue


def copies_of(archive: Archive, path: str) -> list[str]:
    """The copies that are kept of a damaged note, the oldest first."""
    folder = f"{DAMAGED}{path}".rpartition("/")[0]  # a store lists whole folders only
    return [copy for copy in archive.list(f"{folder}/") if copy.startswith(f"{DAMAGED}{path}.")]


@contextmanager
def parsing(what: str, where: str, *also: type[Exception]) -> Iterator[None]:
    """Turn what parsing raises of bytes that are no such note into a DamagedError.

    Args:
        what: the note should be, such as `a manifest`.
        where: its path.
        also: what else the reader of its format raises.
    """
    try:
        yield
    except (*MALFORMED, *also) as error:
        first_line = next(iter(str(error).splitlines()), "")
        reason = f"{type(error).__name__}: {first_line}" if first_line else type(error).__name__
        raise DamagedError(f"is not {what} ({reason})", where=where, fix=FIX) from None


def json_note(kind: type[T], what: str, where: str) -> Callable[[bytes], T]:
    """Parses a note that is the JSON of a type: a dataclass, or a mapping such as dict[date, Decimal].

    Args:
        kind: the type; its fields are checked.
        what: the note is, for the error.
        where: its path, for the error.
    """
    return partial(_validated, kind, what, where)


def _validated(kind: type[T], what: str, where: str, data: bytes) -> T:
    from pydantic import ValidationError

    try:
        return _adapter(cast("Hashable", kind)).validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        reason = f"{place}: {first['msg']}" if place else first["msg"]
        raise DamagedError(f"is not {what} ({reason})", where=where, fix=FIX) from None


def table_note(schema: pa.Schema, what: str, where: str, *, texts: bool = False) -> Callable[[bytes], pa.Table]:
    """Parses a note that is a Parquet file with at least these columns, of which no other is kept.

    Args:
        schema: the columns and their types.
        what: the note is, for the error.
        where: its path, for the error.
        texts: whether further columns of text are kept, too, behind those of the schema.
    """
    return partial(_table, schema, what, where, texts)


def _table(schema: pa.Schema, what: str, where: str, texts: bool, data: bytes) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with parsing(what, where, pa.ArrowException, OSError):
        whole = pq.ParquetFile(pa.BufferReader(data)).read()
        further = [f for f in whole.schema if texts and f.name not in schema.names and pa.types.is_string(f.type)]
        wanted = pa.schema([*schema, *further])
        table = whole.select(wanted.names).cast(wanted)
        table.validate(full=True)
    return table


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def put_if_other(archive: Archive, path: str, data: bytes) -> bool:
    """Write an object unless it exists with the same content; returns whether it was written."""
    if archive.get(path) == data:
        return False
    archive.put(path, data)
    return True
