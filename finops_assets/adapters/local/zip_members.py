"""The CSV files in a `.csv.zip`, as AWS packs a legacy CUR, made readable for an engine that knows no zip.

A member's packed bytes are what a gzipped file has between its head and its checksum. They are copied with these two
around them, so that nothing is unpacked: a zip takes its own size on the disk, once more, whatever it unpacks to.
Names in the zip are shown and compared, never used as paths.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import IO

from finops_assets.adapters.local.bill_bytes import DataFile
from finops_assets.core.bill.layout import may_be_data
from finops_assets.core.errors import BillError

ENDING = ".csv.zip"
COPIED = 1_048_576
LOCAL_HEADER = struct.Struct("<4s5H3I2H")
GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
OF_MACOS = "__MACOSX/"
ENCRYPTED = 0x1


class ZipMembers:
    """The members of zips, copied into a temporary folder that goes with this object.

    Args:
        zips: the files.
        folder: where the temporary folder is made, if it can be; or else where the system has its own.

    Attributes:
        files: the members that are CSV, by their zip.

    Raises:
        BillError: one is damaged, holds no CSV, something beside CSV that may be data, or a member that cannot be read.
    """

    def __init__(self, zips: Sequence[Path], folder: Path) -> None:
        self._folder = _temporary(folder)
        self.files = {file: tuple(self._members(file, number)) for number, file in enumerate(zips)}

    def _members(self, file: Path, number: int) -> Iterator[DataFile]:
        try:
            with zipfile.ZipFile(file) as packed, file.open("rb") as raw:
                members = _csv_members(file, packed)
                if sum(member.compress_size for member in members) > file.stat().st_size:
                    raise zipfile.BadZipFile("its members overlap")
                for position, member in enumerate(members):
                    ending = ".csv" if member.compress_type == zipfile.ZIP_STORED else ".csv.gz"
                    path = Path(self._folder.name) / f"{number}-{position}{ending}"
                    with path.open("wb") as copy:
                        _copy_member(raw, member, copy)
                    yield DataFile(path, file, member.filename)
        except (zipfile.BadZipFile, EOFError, struct.error, ValueError, NotImplementedError) as error:
            what = f"is damaged or not whole ({error})"
            raise BillError(what, where=str(file), fix="Copy it from the export again.") from None
        except OSError as error:
            what = f"cannot be unpacked ({error.strerror or error})"
            raise BillError(what, where=str(file), fix=f"Free space below {self._folder.name}.") from None


def _temporary(folder: Path) -> TemporaryDirectory[str]:
    """A temporary folder in the given one, or the system's where that cannot be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return TemporaryDirectory(prefix="finops-zip-", dir=folder, ignore_cleanup_errors=True)
    except OSError:
        return TemporaryDirectory(prefix="finops-zip-", dir=gettempdir(), ignore_cleanup_errors=True)


def _csv_members(file: Path, packed: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The members to be read; the others are no data."""
    members = []
    for member in packed.infolist():
        name = member.filename
        if member.is_dir() or name.startswith(OF_MACOS) or name.split("/")[-1].startswith("._"):
            continue
        if not name.lower().endswith(".csv"):
            if may_be_data(name):
                raise BillError(
                    f"holds {name}, which is not read in a zip",
                    where=str(file),
                    fix=f"Unpack it in a folder of the bill (`unzip {file.name}`), and move the zip elsewhere.",
                )
            continue
        if member.flag_bits & ENCRYPTED or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            how = "a password" if member.flag_bits & ENCRYPTED else f"method {member.compress_type}"
            raise BillError(
                f"holds {name} packed with {how}, which is not read",
                where=str(file),
                fix=f"Unpack it in a folder of the bill (`unzip {file.name}`), and move the zip elsewhere.",
            )
        members.append(member)
    if not members:
        raise BillError("holds no .csv file", where=str(file), fix="Move it elsewhere, or copy it again.")
    return members


def _copy_member(raw: IO[bytes], member: zipfile.ZipInfo, copy: IO[bytes]) -> None:
    """Copy a member as a file of its own: gzipped where it is packed."""
    raw.seek(member.header_offset)
    header = LOCAL_HEADER.unpack(raw.read(LOCAL_HEADER.size))
    if header[0] != b"PK\x03\x04":
        raise zipfile.BadZipFile(f"{member.filename} is not where the list of members says")
    raw.seek(header[9] + header[10], 1)
    deflated = member.compress_type == zipfile.ZIP_DEFLATED
    if deflated:
        copy.write(GZIP_HEAD)
    left, checksum = member.compress_size, 0
    while left:
        piece = raw.read(min(COPIED, left))
        if not piece:
            raise EOFError("it ends before it should")
        copy.write(piece)
        left -= len(piece)
        checksum = 0 if deflated else zlib.crc32(piece, checksum)
    if deflated:
        copy.write(struct.pack("<2I", member.CRC, member.file_size & 0xFFFFFFFF))
    elif checksum != member.CRC:
        raise zipfile.BadZipFile(f"bad checksum of {member.filename}")
