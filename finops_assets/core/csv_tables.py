"""Small CSV files that people write: a header, then rows, each with the line of the file that it ends on.

Accounts, permissions, budgets, rates and the calendar of events are read by it; what their columns mean, and the error
that people see, is each reader's own.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat

from finops_assets.core.errors import FinopsError


class CsvError(ValueError):
    """A file is not CSV in UTF-8; `line` is where the record begins that could not be read, None of a whole file."""

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(reason)
        self.line = line


@dataclass(frozen=True)
class CsvRow:
    """One row.

    Attributes:
        line: the line of the file that it ends on.
        fields: its values as they are written.
        values: column name -> value; empty where the row is too short.
        complete: whether it has as many values as the header.
        is_blank: whether no value is written: spreadsheets end with lines of commas. One that is longer than the header
            is malformed, and not blank.
    """

    line: int
    fields: tuple[str, ...]
    values: Mapping[str, str]
    complete: bool
    is_blank: bool

    def stripped(self, column: str) -> str:
        """A value without blanks around it; empty where there is no such column."""
        return self.values.get(column, "").strip()


class CsvTable:
    """A CSV file; `header` has its columns' names, stripped and in lower case.

    Args:
        data: the file: UTF-8, with a byte order mark or without.
        strict: whether malformed quotes are refused.

    Raises:
        CsvError: it is not UTF-8, or its header is malformed.
    """

    def __init__(self, data: bytes, *, strict: bool = True) -> None:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise CsvError(str(error)) from None
        self._reader = csv.reader(io.StringIO(text, newline=""), strict=strict)
        self.header = [name.strip().lower() for name in next(self._records(), [])]

    def rows(self) -> Iterator[CsvRow]:
        """The rows below the header, once; empty lines are left out, lines of commas alone are not (`is_blank`).

        Raises:
            CsvError: a row is malformed.
        """
        for fields in self._records():
            if fields:
                yield CsvRow(
                    line=self._reader.line_num,
                    fields=tuple(fields),
                    values=dict(zip(self.header, chain(fields, repeat("")), strict=False)),
                    complete=len(fields) == len(self.header),
                    is_blank=not any(fields) and len(fields) <= len(self.header),
                )

    def _records(self) -> Iterator[list[str]]:
        line = self._reader.line_num
        try:
            for record in self._reader:
                line = self._reader.line_num
                yield record
        except csv.Error as error:
            raise CsvError(str(error), line + 1) from None


def read_csv(
    data: bytes,
    file: str,
    columns: Sequence[str],
    error: type[FinopsError],
    *,
    example: str,
    strict: bool = True,
    needs_rows: bool = False,
) -> tuple[list[str], list[CsvRow]]:
    """The header of a file, which has these columns among others, and its rows that have a value.

    Args:
        data: the file.
        file: what it is called in errors.
        columns: that it must have.
        error: the kind of error that is raised.
        example: a row of it, for errors.
        strict: whether malformed quotes are refused.
        needs_rows: whether a header alone is refused.

    Raises:
        FinopsError: of the kind `error`: it is no CSV in UTF-8, is empty, or lacks a column.
    """
    try:
        table = CsvTable(data, strict=strict)
        rows = [row for row in table.rows() if not row.is_blank]
    except CsvError as malformed:
        raise error(f"is no CSV file in UTF-8 ({malformed})", where=file, fix="Save it as CSV UTF-8.") from None
    what = ""
    if needs_rows and not rows:
        what = "has no rows"
    elif not table.header:
        what = "is empty"
    elif missing := [name for name in columns if name not in table.header]:
        what = f"has no column {', '.join(missing)}"
    if what:
        raise error(what, where=file, fix=f"Its first line is {','.join(columns)}; a row is e.g. {example}.")
    return table.header, rows
