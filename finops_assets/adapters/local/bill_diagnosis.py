"""What is wrong with a bill that the engine could not read: the file, the line and the column behind its error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finops_assets.adapters.local.bill_bytes import DataFile
from finops_assets.adapters.local.bill_csv import csv_fault, csv_line
from finops_assets.adapters.local.bill_source import FILE_COLUMN, BillSource
from finops_assets.adapters.local.column_types import identifier
from finops_assets.core.errors import BillError
from finops_assets.core.schemas import MONEY_SQL

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

    from finops_assets.core.bill.bill_format import BillFormat


NOT_UTF8 = "not valid UTF8"
"""Words of DuckDB about a Parquet file whose text is not UTF-8."""


class Diagnosis:
    """Looks for the fault in the files.

    Args:
        con: a connection.
        source: the bill's files.
        used: the columns that are read, by their normal names; none before the format is known.
        bill_format: None before it is known.
    """

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        source: BillSource,
        used: Sequence[str] = (),
        bill_format: BillFormat | None = None,
    ) -> None:
        self._con, self._source, self._used, self._format = con, source, used, bill_format

    def of(self, error: Exception) -> BillError:
        """A value or a file that is at fault, or else what the engine says."""
        fault = self._bad_value()
        for data in self._source.data:
            fault = fault or self._bad_file(data)
        return fault or BillError(
            f"cannot be read ({first_line(error)})",
            where=str(self._source.files.root),
            fix="Export the bill again; if that does not help, report this message.",
        )

    def _bad_value(self) -> BillError | None:
        """The first cell that is not the number or time that its column should hold."""
        import duckdb

        for name in self._used:
            wanted, kind = self._wanted(name)
            if not wanted:
                continue
            raw_name, _ = self._source.columns[name]
            column = identifier(raw_name)
            # As text: a Parquet file's statistics leave out NaN, from which the engine concludes that no cast can fail.
            text = f"NULLIF(CAST({column} AS VARCHAR), '')"
            bad = f"{text} IS NOT NULL AND TRY_CAST({text} AS {wanted}) IS NULL"
            source = self._source.sql(with_file=True)
            try:
                row = self._con.execute(
                    f"SELECT {FILE_COLUMN}, CAST({column} AS VARCHAR) FROM ({source}) WHERE {bad} LIMIT 1"
                ).fetchone()
            except duckdb.Error:
                return None
            if row:
                (path, value), parquet = row, self._source.files.parquet
                data = self._source.data_of(path)
                line = "" if parquet else csv_line(data, name, value)
                return BillError(
                    f"{value!r} is not {kind}",
                    where=f"{data.name}{line}, column {raw_name}",
                    fix="Mend that line, or export the bill again.",
                )
        return None

    def _wanted(self, name: str) -> tuple[str, str]:
        """The SQL type that a column's values must be, and that in words; empty where any text will do."""
        if self._format and name in self._format.costs:
            return MONEY_SQL, "an amount of money"
        if self._format and name in self._format.timestamps:
            return "TIMESTAMPTZ", "a date"
        return "", ""

    def _bad_file(self, data: DataFile) -> BillError | None:
        """What is wrong with this file, read alone."""
        import duckdb

        source = self._source.sql([data])
        try:
            names = {name.lower(): name for name, *_ in self._con.execute(f"DESCRIBE {source}").fetchall()}
            wanted = [self._source.columns[name][0].lower() for name in self._used] or list(names)
            columns = ", ".join(identifier(names[name]) for name in wanted if name in names)
            self._con.execute(f"SELECT BIT_XOR(HASH({columns})) FROM ({source})").fetchone()
        except duckdb.Error as error:
            if self._source.files.parquet and NOT_UTF8 in str(error):
                return self._not_text(data, [names[name] for name in wanted if name in names])
            what, where = f"is damaged or not whole ({first_line(error)})", data.name
            if not self._source.files.parquet:
                what, where = csv_fault(data) or (f"cannot be read as CSV ({first_line(error)})", data.name)
            return BillError(what, where=where, fix="Copy it from the export again.")
        return None

    def _not_text(self, data: DataFile, names: Sequence[str]) -> BillError:
        """Which column of a Parquet file holds bytes that are no text."""
        import duckdb

        column = ""
        for name in names:
            try:
                self._con.execute(f"SELECT MAX({identifier(name)}) FROM ({self._source.sql([data])})").fetchone()
            except duckdb.Error:
                column = f", column {name}"
                break
        return BillError(
            "holds text that is not UTF-8",
            where=f"{data.name}{column}",
            fix="Write it as UTF-8, or export the bill again.",
        )


def first_line(error: Exception) -> str:
    """The first line of the engine's words."""
    return str(error).strip().splitlines()[0].removesuffix(".")
