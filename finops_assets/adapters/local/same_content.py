"""Refuses files of the bill that have the same content, whatever their names and packing: it would count twice.

Cheap first: the same file by another name, then sizes, then the first and last bytes, then all of them. A bill
without such files costs a look at each file's size.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from finops_assets.adapters.local.bill_bytes import DataFile, damage_named, unpacked
from finops_assets.core.errors import BillError

if TYPE_CHECKING:
    from finops_assets.adapters.local.csv_contents import CsvContents

ENDS = 65_536
"""Bytes of a file's begin and end that are compared before all of it is."""

Item = TypeVar("Item")


def refuse_links(files: Sequence[Path]) -> None:
    """Refuse a file that is there by two names: a hard or a symbolic link.

    Raises:
        BillError: it names both.
    """
    stats = {file: file.stat() for file in files}
    for first, second in _alike(files, lambda file: (stats[file].st_dev, stats[file].st_ino)):
        raise _twice(str(first), str(second), "is the same file as", "Remove one of the names (it is a link).")


def refuse_same_bytes(files: Sequence[Path], has_lines: Callable[[Path], bool]) -> None:
    """Refuse a file that is there twice with the same bytes.

    Args:
        files: of the bill.
        has_lines: whether a file has lines; those that have none count nothing.

    Raises:
        BillError: it names both.
    """
    sizes = {file: file.stat().st_size for file in files}
    for same_size in _groups((file for file in files if sizes[file]), lambda file: sizes[file]):
        for same_ends in _groups(same_size, _ends):
            for first, second in _alike(same_ends, _all_bytes):
                if has_lines(first):
                    raise _twice(str(first), str(second), "has the same bytes as")


def refuse_same_text(contents: Mapping[DataFile, CsvContents]) -> None:
    """Refuse a CSV file that is there twice, packed in two ways: the same bytes once they are unpacked.

    Raises:
        BillError: it names both.
    """
    for same_size in _groups((data for data, of in contents.items() if of.records), lambda d: contents[d].size_bytes):
        for first, second in _alike(same_size, _text):
            raise _twice(first.name, second.name, "has the same lines as")


def _twice(first: str, second: str, how: str, fix: str = "Remove one of them.") -> BillError:
    return BillError(f"{how} {first}: its charges would count twice", where=second, fix=fix)


def _groups(items: Iterable[Item], key: Callable[[Item], Hashable]) -> Iterator[list[Item]]:
    """Those items, in their order, that share their key with another."""
    by_key: dict[Hashable, list[Item]] = defaultdict(list)
    for item in items:
        by_key[key(item)].append(item)
    return (group for group in by_key.values() if len(group) > 1)


def _alike(items: Iterable[Item], key: Callable[[Item], Hashable]) -> Iterator[tuple[Item, Item]]:
    """Of the items that share a key, the first two."""
    return ((group[0], group[1]) for group in _groups(items, key))


def _ends(file: Path) -> bytes:
    with damage_named(str(file)), file.open("rb") as data:
        begin = data.read(ENDS)
        data.seek(max(file.stat().st_size - ENDS, 0))
        return hashlib.blake2b(begin + data.read(ENDS)).digest()


def _all_bytes(file: Path) -> bytes:
    with damage_named(str(file)), file.open("rb") as data:
        return hashlib.file_digest(data, "blake2b").digest()


def _text(data: DataFile) -> bytes:
    digest = hashlib.blake2b()
    with damage_named(data.name):
        for piece in unpacked(data.path):
            digest.update(piece)
    return digest.digest()
