"""A bill that is opened: recognised, checked, and a view of it with typed columns that the bill's SQL runs on."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from finops_assets.adapters.local.bill_bytes import DataFile
from finops_assets.adapters.local.bill_contents import BillContents
from finops_assets.adapters.local.bill_diagnosis import Diagnosis, first_line
from finops_assets.adapters.local.bill_files import BillFiles
from finops_assets.adapters.local.bill_source import FILE_COLUMN, BillSource
from finops_assets.adapters.local.column_types import identifier, type_of, typed_column
from finops_assets.adapters.local.csv_contents import exact_records
from finops_assets.adapters.local.overlapping_files import OverlappingFiles
from finops_assets.adapters.local.parquet_contents import may_be_copies
from finops_assets.adapters.shared.duck import ConfigValue, athena_to_duckdb, connect, in_utc
from finops_assets.core.bill.charges import charges_sql, undated_condition, used_columns
from finops_assets.core.bill.control_totals import NO_PERIOD, control_totals, control_totals_sql
from finops_assets.core.bill.drivers_sql import driver_columns
from finops_assets.core.bill.formats import FORMATS
from finops_assets.core.bill.overlaps import PeriodDay, may_overlap
from finops_assets.core.bill.overlaps import warnings as overlap_warnings
from finops_assets.core.bill.queries import survey_sql
from finops_assets.core.bill.recognition import recognise
from finops_assets.core.bill.rules import Rules, check_columns, cost_bases
from finops_assets.core.bill.source_days import refuse_currencies
from finops_assets.core.errors import BillError
from finops_assets.core.values import BillDescription, ControlTotal

if TYPE_CHECKING:
    import duckdb

WITH_FILES = "placed_bill"
"""A view of the bill in which each line has its file."""

TIMES = ("VARCHAR", "TIMESTAMP", "DATE")
"""How the types begin that can be read as a point in time."""


class OpenBill:
    """A connection in which the view `bill` has typed, lower-case columns.

    Args:
        files: of the bill.
        format_name: bill.format.
        rules: what the settings ask of the bill.
        config: of DuckDB.
        contents: what is known of CSV files already.

    Raises:
        BillError: it cannot be read, is of no known format, or lacks what the format or the settings need.
        SettingsError: a setting that its format cannot honour.
    """

    def __init__(
        self,
        files: BillFiles,
        format_name: str,
        rules: Rules,
        config: Mapping[str, ConfigValue],
        contents: BillContents,
    ) -> None:
        self.files, self._rules = files, rules
        contents.refuse_same_files(files)
        self.con = connect(config)
        self._source = BillSource(files, Path(str(config["temp_directory"])))
        with self.explained(Diagnosis(self.con, self._source)):
            self._source.describe(self.con)
        raw = self._source.columns
        self.format = recognise(raw, str(files.root)) if format_name == "auto" else FORMATS[format_name]
        self.columns = {name: type_of(self.format, name, raw_type) for name, (_, raw_type) in raw.items()}
        check_columns(self.format, self.columns, rules, str(files.root))
        self._used = used_columns(self.format, self.columns, rules)
        self._source.refuse_doubled(self._used)
        self.driver_columns = {n: type_ for n, type_ in self.columns.items() if n not in self._source.doubled}
        read = dict.fromkeys((*self._used, *driver_columns(self.format, self.driver_columns, rules)))
        if self._names_period():
            read[self.format.period] = None
        self._select = ", ".join(f"{typed_column(self.format, n, *raw[n])} AS {identifier(n)}" for n in read)
        with self.explained():
            self.create_bill_view(self.con)
        lines_of = {} if files.parquet else contents.csv_lines(self._source.data, in_place=files.in_place)
        warnings = self._survey(lines_of)
        self.description = BillDescription(
            format=self.format.name,
            path=str(files.root),
            files=len(files.files),
            size_bytes=files.size_bytes,
            snapshot=files.snapshot,
            columns=self._used,
            cost_bases=cost_bases(self.format, self.columns),
            updated=files.updated,
            warnings=warnings,
        )

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that a query of the view reads."""
        return tuple(data.path for data in self._source.data)

    def session(self) -> OpenBill:
        """The same bill in another connection: two runs at once must not meet in one."""
        session = copy.copy(self)
        session.con = in_utc(self.con.cursor())
        return session

    def create_bill_view(self, con: duckdb.DuckDBPyConnection) -> None:
        """Create the view `bill` in a connection."""
        con.execute(f"CREATE OR REPLACE VIEW bill AS SELECT {self._select} FROM ({self._source.sql()})")

    def charges(self, start: date, end: date) -> str:
        """The SQL of the charges of these days, both inclusive."""
        return charges_sql(self.format, self.columns, self._rules, start, end)

    def control_totals(self) -> list[ControlTotal]:
        """The control totals of all lines; the billing period is that of a line's file where no column names it."""
        columns, view, otherwise = dict(self.columns), "bill", NO_PERIOD
        if not self._names_period():
            columns.pop(self.format.period, None)
            if any(map(self.files.period_of, self.files.files)):
                self._create_view_with_files()
                view, otherwise = WITH_FILES, FILE_COLUMN
        rows = self.rows(control_totals_sql(self.format, columns, self._rules, view, otherwise))
        return control_totals(rows, lambda path: self.files.period_of(self._source.data_of(path).file))

    def _names_period(self) -> bool:
        """Whether the bill has a column of the billing period that can be read as a time."""
        name, columns = self.format.period, self._source.columns
        return name in columns and name not in self._source.doubled and columns[name][1].startswith(TIMES)

    def rows(self, sql: str) -> list[tuple]:
        """All rows of a query in Athena's dialect."""
        with self.explained():
            return self.con.execute(athena_to_duckdb(sql)).fetchall()

    def _survey(self, lines_of: Mapping[DataFile, int]) -> tuple[str, ...]:
        """One scan that proves that all lines are read, have a date and one currency, and finds files that share days.

        Args:
            lines_of: the lines of CSV files, counted by another reader.

        Returns:
            What is to be warned of.
        """
        with self.explained():
            files = OverlappingFiles(self.con, self._source, WITH_FILES, self._used)
            if self.files.parquet and self.files.in_place:
                files.refuse_copies(may_be_copies(self.files.files))
        shared = self.files.in_place and may_overlap(files.deliveries)
        period = f"DATE_FORMAT({self.format.period}, '%Y-%m')" if self._names_period() else "''"
        day = f"CAST({self.format.start} AS DATE)"
        by = (FILE_COLUMN, period, day) if shared else (FILE_COLUMN,) if lines_of else ()
        if by:
            self._create_view_with_files()
        rows = self.rows(survey_sql(self.format, WITH_FILES if by else "bill", by))
        if lines_of:
            self._refuse_lost_lines(lines_of, rows)
        self._refuse_undated_and_mixed(_by_currency(rows))
        if not shared:
            return ()
        lines: dict[str, dict[PeriodDay, int]] = defaultdict(lambda: defaultdict(int))
        for _, count, _, path, of_period, of_day in rows:
            lines[files.delivery(path)][of_period or "", of_day] += count

        def totals(first: date, last: date) -> list[tuple]:
            cost = self.format.bases[self._rules.cost_basis].sql(self.columns)
            lines_sql = f"SELECT {FILE_COLUMN}, {period} AS period, {day} AS day, {cost} AS cost FROM {WITH_FILES}"
            return self.rows(
                f"SELECT {FILE_COLUMN}, period, day, SUM(cost) FROM ({lines_sql}) AS lines "
                f"WHERE day BETWEEN DATE '{first}' AND DATE '{last}' GROUP BY 1, 2, 3"
            )

        currencies = {currency for currency, *_ in rows}
        with self.explained():
            overlaps = files.overlaps(lines, totals)
        return overlap_warnings(overlaps, currencies.pop() if len(currencies) == 1 else "")

    def _refuse_lost_lines(self, lines_of: Mapping[DataFile, int], rows: Sequence[tuple]) -> None:
        """Refuse a bill of which the engine has not read every line."""
        read: dict[DataFile, int] = defaultdict(int)
        for _, count, _, path, *_ in rows:
            read[self._source.data_of(path)] += count
        for data, lines in lines_of.items():
            if read[data] != lines and read[data] != (exact := exact_records(data)):
                raise BillError(
                    f"has {exact:,} line(s), of which {read[data]:,} can be read",
                    where=data.name,
                    fix="Copy it from the export again; if that does not help, report this message.",
                )

    def _refuse_undated_and_mixed(self, of_currency: Sequence[tuple[str | None, int, bool]]) -> None:
        """Refuse a bill with lines that have no date, or with several currencies of which none is chosen."""
        if not all(dated for _, _, dated in of_currency):
            no_date = undated_condition(self.format.start)
            (lines,) = self.rows(f"SELECT COUNT(*) FROM bill WHERE {no_date}")[0]
            raise BillError(
                f"{lines} line(s) have no date that can be booked",
                where=self._place(no_date, self.format.start),
                fix="No line may be lost: export the bill again.",
            )
        currencies = [currency for currency, _, _ in of_currency if currency]
        if not self._rules.currency:
            refuse_currencies(currencies, str(self.files.root))
        if self.format.currency and len(currencies) < len(of_currency):
            raise BillError(
                f"{sum(lines for currency, lines, _ in of_currency if not currency)} line(s) have no currency",
                where=self._place(f"NULLIF({self.format.currency}, '') IS NULL", self.format.currency),
                fix="Export the bill again.",
            )

    def without_cost(self, day: date, lines: int) -> BillError:
        """The error of lines of a day without a cost: it names the column, by the type of the first of them."""
        cost_basis = self._rules.cost_basis
        basis = self.format.bases[cost_basis]
        condition = f"({basis.sql(self.columns)}) IS NULL AND CAST({self.format.start} AS DATE) = DATE '{day}'"
        types = self._first(condition, self.format.line_type) if basis.by_type else None
        line_type = types[1] if types else ""
        return BillError(
            f"{lines} line(s) of {day} have no {cost_basis} cost" + (f", first a {line_type}" if line_type else ""),
            where=self._place(condition, *basis.by_type.get(line_type, (basis.column,))),
            fix="Export the bill again with that column filled, or choose another bill.cost_basis.",
        )

    def _place(self, condition: str, *columns: str) -> str:
        """The first file that has such a line, and the columns as they are named there."""
        first = self._first(condition)
        names = ", ".join(self._source.columns.get(column, (column,))[0] for column in columns)
        return f"{self._source.data_of(first[0]).name if first else self.files.root}, column {names}"

    def _first(self, condition: str, column: str = "''") -> tuple | None:
        """The file of the first line that fulfils a condition, and one of its values."""
        self._create_view_with_files()
        rows = self.rows(f"SELECT {FILE_COLUMN}, {column} FROM {WITH_FILES} WHERE {condition} LIMIT 1")
        return rows[0] if rows else None

    def _create_view_with_files(self) -> None:
        """Make a view of the bill in which each line has its file."""
        lines = f"SELECT {self._select}, {FILE_COLUMN} FROM ({self._source.sql(with_file=True)})"
        with self.explained():
            self.con.execute(f"CREATE OR REPLACE TEMP VIEW {WITH_FILES} AS {lines}")

    @contextmanager
    def explained(self, diagnosis: Diagnosis | None = None) -> Iterator[None]:
        """Turn an engine's error into one that names the file, the column and what to do."""
        import duckdb
        import pyarrow as pa

        try:
            yield
        except duckdb.InterruptException:
            raise
        except duckdb.OutOfMemoryException as error:
            raise BillError(
                f"needs more memory or disk than allowed ({first_line(error)})",
                where=str(self.files.root),
                fix="Raise warehouse.memory (FINOPS_WAREHOUSE__MEMORY), or free space on the disk of the home.",
            ) from None
        except (duckdb.Error, pa.ArrowException) as error:  # the second while rows are streamed
            diagnosis = diagnosis or Diagnosis(self.con, self._source, self._used, self.format)
            raise diagnosis.of(error) from None


def _by_currency(rows: Sequence[tuple]) -> list[tuple[str | None, int, bool]]:
    """Rows of a survey by file or day as those of the whole bill."""
    lines: dict[str | None, int] = defaultdict(int)
    undated = set()
    for currency, count, dated, *_ in rows:
        lines[currency] += count
        if not dated:
            undated.add(currency)
    return [(currency, count, currency not in undated) for currency, count in lines.items()]
