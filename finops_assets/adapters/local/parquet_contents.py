"""What is in the Parquet files of the bill, by their footers: whether they are whole, and which may be the same."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from finops_assets.adapters.local.bill_bytes import damage_named
from finops_assets.adapters.local.csv_contents import MOST_COLUMNS, too_many_columns
from finops_assets.core.errors import BillError

if TYPE_CHECKING:
    import pyarrow.parquet as pq

MAGIC = b"PAR1"
LONG_FOOTER = 1_000_000
"""Bytes from which on the columns are counted before the engine is asked for them."""


def refuse_spoilt_parquet(files: Sequence[Path]) -> None:
    """Refuse a file that is empty or has no end, or more columns than an engine opens in seconds.

    Raises:
        BillError: it names the file.
    """
    for file in files:
        size = file.stat().st_size
        with damage_named(str(file)), file.open("rb") as data:
            data.seek(max(size - 8, 0))
            end = data.read(8)
        footer = struct.unpack("<I", end[:4])[0] if end[4:] == MAGIC else size
        if footer + 12 > size:
            what = "it does not end as Parquet does" if size else "0 bytes"
            raise BillError(f"is damaged or not whole ({what})", where=str(file), fix="Copy it from the export again.")
        if footer > LONG_FOOTER:
            with damage_named(str(file)):
                columns = _footer(file).num_columns
            if columns > MOST_COLUMNS:
                raise too_many_columns(columns, str(file))


def has_lines(file: Path) -> bool:
    """Whether a file has lines."""
    with damage_named(str(file)):
        return bool(_footer(file).num_rows)


def may_be_copies(files: Sequence[Path]) -> list[list[Path]]:
    """Files with lines whose row groups have the same numbers of lines, sizes, least and greatest values."""
    alike: dict[Hashable, list[Path]] = defaultdict(list)
    for file in files:
        with damage_named(str(file)):
            footer = _footer(file)
        if footer.num_rows:
            groups = (footer.row_group(number) for number in range(footer.num_row_groups))
            alike[tuple((group.num_rows, group.total_byte_size) for group in groups)].append(file)
    copies: dict[Hashable, list[Path]] = defaultdict(list)
    for of in alike.values():
        for file in of if len(of) > 1 else ():
            copies[_ranges(file)].append(file)
    return [of for of in copies.values() if len(of) > 1]


def _ranges(file: Path) -> Hashable:
    """The least and the greatest value of each column in each row group, where the file says them."""
    footer = _footer(file)
    groups = (footer.row_group(number) for number in range(footer.num_row_groups))
    columns = (group.column(number) for group in groups for number in range(group.num_columns))
    every = ((column.path_in_schema, column.statistics) for column in columns)
    return tuple((name, str(of.min), str(of.max)) for name, of in every if of is not None and of.has_min_max)


def _footer(file: Path) -> pq.FileMetaData:
    import pyarrow.parquet as pq

    return pq.read_metadata(file)
