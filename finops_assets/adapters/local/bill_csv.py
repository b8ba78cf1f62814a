"""CSV files of the bill read by Python, line by line: slow, for their headers and for finding the line of a fault."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from finops_assets.adapters.local.bill_bytes import DataFile, damage_named, open_bytes
from finops_assets.core.bill.recognition import normal_name
from finops_assets.core.errors import BillError

LONGEST_LINE = 2_097_152
"""Bytes, for DuckDB as well."""


def csv_rows(data: DataFile) -> Iterator[tuple[int, list[str]]]:
    """The records of a CSV file, each with the number of its last line: slow, for headers and for finding faults.

    Raises:
        BillError: it is no file that can be read, or not CSV in UTF-8 from some line on.
    """
    csv.field_size_limit(LONGEST_LINE)
    line = 0
    try:
        # Bytes that are not UTF-8 are let through as surrogates, so that the line they are in can be named.
        with (
            damage_named(data.name),
            open_bytes(data.path) as raw,
            io.TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline="") as text,
        ):
            reader = csv.reader(text, strict=True)
            for row in reader:
                line = reader.line_num
                "".join(row).encode()
                yield line, row
    except UnicodeEncodeError:
        raise BillError("is not UTF-8", where=f"{data.name}, line {line}", fix="Save or export it as UTF-8.") from None
    except csv.Error as error:
        raise BillError(
            f"is not CSV: {error}", where=f"{data.name}, line {line + 1}", fix="Copy it from the export again."
        ) from None


def csv_fault(data: DataFile) -> tuple[str, str] | None:
    """What is wrong with a CSV file, and where."""
    try:
        rows = csv_rows(data)
        _, header = next(rows)
        for line, row in rows:
            if row and len(row) != len(header):
                return f"has {len(row)} value(s), the header has {len(header)}", f"{data.name}, line {line}"
    except BillError as error:
        return error.what, error.where
    return None


def csv_line(data: DataFile, column: str, value: str) -> str:
    """`, line 7`: the first one with this value in the column of this (normal) name."""
    rows = csv_rows(data)
    _, header = next(rows)
    at = [normal_name(name) for name in header].index(column)
    return next((f", line {line}" for line, row in rows if len(row) > at and row[at] == value), "")
