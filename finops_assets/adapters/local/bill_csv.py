"""CSV files of the bill read by Python, line by line: slow, for their headers and for finding the line of a fault."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from finops_assets.core.bill.recognition import normal_name
from finops_assets.core.errors import BillError

LONGEST_LINE = 2_097_152
"""Bytes, for DuckDB as well."""


def csv_rows(file: Path) -> Iterator[tuple[int, list[str]]]:
    """The records of a CSV file, each with the number of its last line: slow, for headers and for finding faults.

    Raises:
        BillError: it is no file that can be read, or not CSV in UTF-8 from some line on.
    """
    csv.field_size_limit(LONGEST_LINE)
    line = 0
    try:
        with _open_text(file) as text:
            reader = csv.reader(text, strict=True)
            for row in reader:
                line = reader.line_num
                "".join(row).encode()
                yield line, row
    except UnicodeEncodeError:
        raise BillError("is not UTF-8", where=f"{file}, line {line}", fix="Save or export it as UTF-8.") from None
    except csv.Error as error:
        raise BillError(
            f"is not CSV: {error}", where=f"{file}, line {line + 1}", fix="Copy it from the export again."
        ) from None
    except (OSError, EOFError, zlib.error) as error:
        raise BillError(
            f"is damaged or not whole ({error})", where=str(file), fix="Copy it from the export again."
        ) from None


def _open_text(file: Path) -> TextIO:
    # Bytes that are not UTF-8 are let through as surrogates, so that the line they are in can be named.
    if file.name.lower().endswith(".gz"):
        return gzip.open(file, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="")
    return file.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def csv_fault(file: Path) -> tuple[str, str] | None:
    """What is wrong with a CSV file, and where."""
    try:
        rows = csv_rows(file)
        _, header = next(rows)
        for line, row in rows:
            if row and len(row) != len(header):
                return f"has {len(row)} value(s), the header has {len(header)}", f"{file}, line {line}"
    except BillError as error:
        return error.what, error.where
    return None


def csv_line(file: Path, column: str, value: str) -> str:
    """`, line 7`: the first one with this value in the column of this (normal) name."""
    rows = csv_rows(file)
    _, header = next(rows)
    at = [normal_name(name) for name in header].index(column)
    return next((f", line {line}" for line, row in rows if len(row) > at and row[at] == value), "")
