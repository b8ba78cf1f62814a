"""What is in the CSV files of the bill, by a reader of its own: how many records, and what an engine could miss.

DuckDB leaves out without a word, with the buffers that it has here, a last line longer than a buffer and a tail of
zeros longer than one (duckdb/duckdb#25825), and does not look at gzip's checksums. So all of a file is read once more,
by bytes: 0.15 s of CPU for a million lines of 370 bytes, a twentieth of what a run takes to read them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from finops_assets.adapters.local.bill_bytes import PIECE, DataFile, damage_named, open_bytes, unpacked
from finops_assets.adapters.local.bill_csv import LONGEST_LINE, csv_rows
from finops_assets.core.errors import BillError

if TYPE_CHECKING:
    import numpy as np

LF, CR, QUOTE = 10, 13, 34
MOST_COLUMNS = 5_000
"""DuckDB takes 1.3 s of CPU to open a bill of so many, 3 s of twice as many, minutes of 100,000. AWS's own have some
hundred, and one for each of 500 tags."""


@dataclass(frozen=True)
class CsvContents:
    """Records without the header and blank lines, and bytes, both as they are unpacked."""

    records: int
    size_bytes: int


def refuse_endless_header(data: DataFile) -> None:
    """Refuse a file whose first line is too long, or has too many columns, before anything reads it as a line.

    Raises:
        BillError: it is, or cannot be read.
    """
    with damage_named(data.name), open_bytes(data.path) as text:
        begin = text.read(LONGEST_LINE + 1)
    first = min((at for at in (begin.find(b"\n"), begin.find(b"\r")) if at >= 0), default=len(begin))
    if first > LONGEST_LINE:
        raise _too_long(data, 1)
    if (columns := begin.count(b",", 0, first) + 1) > MOST_COLUMNS:
        raise too_many_columns(columns, f"{data.name}, line 1")


def too_many_columns(columns: int, where: str) -> BillError:
    """The error of a file with more than MOST_COLUMNS."""
    return BillError(
        f"has {columns:,} columns; a bill has {MOST_COLUMNS:,} at most",
        where=where,
        fix="Export it with the columns that are needed, or leave tags out.",
    )


def _too_long(data: DataFile, line: int) -> BillError:
    return BillError(
        f"is not CSV: it has a line of more than {LONGEST_LINE:,} bytes",
        where=f"{data.name}, line {line}",
        fix="Copy it from the export again, as it is: lines end with a line feed.",
    )


def csv_contents(files: Sequence[DataFile], threads: int = 0) -> Mapping[DataFile, CsvContents]:
    """What is in each of the files.

    Args:
        files: CSV, plain or packed.
        threads: how many are read at once, 0 for one a core.

    Raises:
        BillError: one is damaged or not whole, has a NUL byte, or a line that is too long.
    """
    stop = threading.Event()
    with ThreadPoolExecutor(threads or os.cpu_count() or 1, "contents") as pool:
        try:
            return dict(zip(files, pool.map(lambda data: _contents(data, stop), files), strict=True))
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def _contents(data: DataFile, stop: threading.Event) -> CsvContents:
    counter = _Records(data, _line_end(data))
    with damage_named(data.name):
        for piece in unpacked(data.path):
            counter.feed(piece)
            if counter.record_size > LONGEST_LINE:  # it has no end, or a quote within a value was taken for one
                return CsvContents(exact_records(data), 0)
            if stop.is_set():
                break
    return counter.contents()


def _line_end(data: DataFile) -> int:
    """The byte that ends the lines: CR where no LF comes with the first one."""
    with damage_named(data.name), open_bytes(data.path) as text:
        begin = text.read(PIECE)
    at = begin.find(b"\r")
    return CR if at >= 0 and b"\n" not in begin[: at + 2] and at + 1 < len(begin) else LF


class _Records:
    """Counts the records of RFC 4180 in the pieces of a file: a line ends one where the quotes before it are even.

    A quote within a value that is not quoted makes this count wrong, and is so rare that `exact_records` is asked then.

    Attributes:
        record_size: bytes of the record that has begun.
    """

    def __init__(self, data: DataFile, line_end: int) -> None:
        self._data, self._end = data, line_end
        self._lines = self._records = self._size = 0
        self._open_quote = False
        self._begun = b""
        """The first bytes of the line that the last piece has begun, two at most."""
        self._begun_size = self.record_size = 0

    def feed(self, piece: bytes) -> None:
        """Count a piece.

        Raises:
            BillError: it has a NUL byte, or a line that is too long.
        """
        import numpy as np

        nul = piece.find(b"\0")
        if nul >= 0:
            line = self._lines + piece.count(bytes((self._end,)), 0, nul) + 1
            raise BillError(
                f"has a NUL byte, the {self._size + nul + 1:,}th: it is not text, or was not copied to its end",
                where=f"{self._data.name}, line {line}",
                fix="Copy it from the export again.",
            )
        self._size += len(piece)
        data = np.frombuffer(piece, np.uint8)
        ends = np.flatnonzero(data == self._end)
        if len(ends):
            self._count(piece, data, ends)
            rest = piece[int(ends[-1]) + 1 :]
            self._begun, self._begun_size = rest[:2], len(rest)
        else:
            self._open_quote ^= bool(piece.count(b'"') % 2)
            self._begun, self._begun_size = (self._begun + piece[:2])[:2], self._begun_size + len(piece)
            self.record_size += len(piece)
        if self._begun_size > LONGEST_LINE:
            raise _too_long(self._data, self._lines + 1)

    def _count(self, piece: bytes, data: np.ndarray, ends: np.ndarray) -> None:
        import numpy as np

        if int(ends[0]) + self._begun_size > LONGEST_LINE:
            raise _too_long(self._data, self._lines + 1)
        self._lines += len(ends)
        outside = np.ones(len(ends), bool)
        if self._open_quote or b'"' in piece:
            # The parity of the quotes in each line, the last one being what follows the last end.
            begins = np.concatenate(([0], ends + 1))
            whole = int(begins[-1]) == len(piece)
            odd = np.bitwise_xor.reduceat((data == QUOTE).view(np.uint8), begins[:-1] if whole else begins)
            parity = np.bitwise_xor.accumulate(np.append(odd, np.uint8(0)) if whole else odd).astype(bool)
            if self._open_quote:
                parity = ~parity
            outside, self._open_quote = ~parity[:-1], bool(parity[-1])
        if outside.any():
            self.record_size = len(piece) - 1 - int(ends[len(outside) - 1 - int(outside[::-1].argmax())])
        else:
            self.record_size += len(piece)
        lengths = np.diff(ends, prepend=-1 - self._begun_size) - 1
        blank = (lengths == 0) & outside
        for at in np.flatnonzero((lengths == 1) & outside):
            first = self._begun[:1] if at == 0 and self._begun_size else piece[int(ends[at]) - 1 : int(ends[at])]
            blank[at] = first == b"\r"
        self._records += int(np.count_nonzero(outside)) - int(np.count_nonzero(blank))

    def contents(self) -> CsvContents:
        """At the end of the file."""
        unfinished = self._begun_size and self._begun not in (b"\r", b"\n")
        return CsvContents(max(self._records + bool(unfinished) - 1, 0), self._size)


def exact_records(data: DataFile) -> int:
    """The records of a file by Python's reader, without header and blank lines: a hundred times slower."""
    return max(sum(1 for _, row in csv_rows(data) if row) - 1, 0)
