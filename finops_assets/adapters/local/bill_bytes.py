"""The bytes of a bill's CSV file, unpacked in small pieces: memory is bounded whatever the file holds."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from finops_assets.core.errors import BillError

PIECE = 1_048_576
"""Bytes at a time, of what is unpacked."""

GZIP_READ = 65_536


@dataclass(frozen=True)
class DataFile:
    """A file of lines as the engine reads it.

    Attributes:
        path: where it is read.
        file: the bill's file that it is, or that it is packed in.
        member: its name in that file, where it is packed in one.
    """

    path: Path
    file: Path
    member: str = ""

    @property
    def name(self) -> str:
        """As people know it."""
        return f"{self.file}/{self.member}" if self.member else str(self.file)


def open_bytes(path: Path) -> IO[bytes]:
    """A CSV file to be read, unpacked by its ending."""
    ending = path.suffix.lower()
    if ending == ".gz":
        return cast("IO[bytes]", gzip.open(path))
    if ending == ".zst":
        import pyarrow as pa

        return cast("IO[bytes]", pa.input_stream(str(path), compression="zstd"))
    return path.open("rb")


def unpacked(path: Path) -> Iterator[bytes]:
    """The pieces of a CSV file to its very end, with its checksums tried.

    Raises:
        OSError, EOFError, zlib.error: it cannot be read, is not whole, or is not what was packed.
    """
    if path.suffix.lower() == ".gz":
        yield from _gunzipped(path)
        return
    with open_bytes(path) as data:
        while piece := data.read(PIECE):
            yield piece


def _gunzipped(path: Path) -> Iterator[bytes]:
    """As `gzip` does, a fifth faster; several members are one file."""
    with path.open("rb") as packed:
        member, begun = zlib.decompressobj(31), False
        while data := packed.read(GZIP_READ):
            while data:
                if piece := member.decompress(data, PIECE):
                    yield piece
                begun, data = not member.eof, member.unused_data or member.unconsumed_tail
                if member.eof:
                    member = zlib.decompressobj(31)
        if begun:
            raise EOFError("the packed data end before they should")


@contextmanager
def damage_named(name: str) -> Iterator[None]:
    """Turn the errors of reading a packed file into one that names it."""
    import pyarrow as pa

    try:
        yield
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        what = f"is damaged or not whole ({error})"
        raise BillError(what, where=name, fix="Copy it from the export again.") from None
