"""The embedded warehouse: DuckDB over the bill's own files, running the SQL that Athena runs.

What is engine-specific stays here: reading Parquet and CSV into typed columns, translating the SQL, streaming Arrow,
and finding the file and line behind an engine's error.
"""

from __future__ import annotations

import copy
import csv
import gzip
import threading
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from finops_assets.adapters.local.bill_files import BillFiles, find_bill
from finops_assets.adapters.shared.duck import athena_to_duckdb, connect, file_literal, in_utc, sql_literal
from finops_assets.core.analytics.drivers import as_sums
from finops_assets.core.bill.charges import EARLIEST, LATEST, charges_sql, undated_condition, used_columns
from finops_assets.core.bill.control_totals import NO_PERIOD, control_totals, control_totals_sql
from finops_assets.core.bill.drivers_sql import driver_columns, drivers_sql
from finops_assets.core.bill.formats import FORMATS
from finops_assets.core.bill.queries import (
    accounts_sql,
    breakdown_sql,
    fingerprints_sql,
    source_days_sql,
    summary_sql,
    survey_sql,
)
from finops_assets.core.bill.recognition import normal_name, recognise
from finops_assets.core.bill.rules import Rules, check_columns, cost_bases
from finops_assets.core.bill.source_days import Fact, refuse_currencies, source_days
from finops_assets.core.errors import BillError
from finops_assets.core.ports import BillDescription, ControlTotal, DayPrint, ExportVersion, SourceDay
from finops_assets.core.schemas import DATABASE, MONEY_SQL

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

BATCH_ROWS = 131_072

PLACED, PLACE = "placed_bill", "file_of_the_bill"
"""A view of the bill in which each line has its file, and the column that names the file."""

TIMES = ("VARCHAR", "TIMESTAMP", "DATE")
"""How the types begin that can be read as a point in time."""

TEXT = "'VARCHAR'"
LONGEST_LINE, CSV_BUFFER = 2_097_152, 8_388_608
CSV_OPTIONS = (
    "header=true, auto_detect=false, delim=',', quote='\"', escape='\"', "
    "nullstr='NULL', allow_quoted_nulls=false, strict_mode=true, "
    f"max_line_size={LONGEST_LINE}, buffer_size={CSV_BUFFER}"
)
"""RFC 4180 and nothing guessed: every value is text until its column says otherwise; an unquoted NULL is none.

Each file that is being read has a buffer, one a thread, of 16 longest lines unless told: eight gzipped files at once
did not fit in 800 MB. With 8 MB buffers they fit in 300 MB, and reading is a third faster.
"""


class DuckDBWarehouse:
    """Reads the bill where it lies; nothing is copied or imported. Each call has a connection of its own.

    Args:
        path: bill.path.
        format_name: bill.format.
        rules: what the settings ask of the bill.
        memory: DuckDB's memory limit, e.g. "800MB".
        threads: DuckDB's threads, 0 for one per core.
        spill: folder for what does not fit in memory.
    """

    def __init__(self, path: str, format_name: str, rules: Rules, *, memory: str, threads: int, spill: Path) -> None:
        self._path, self._format_name, self._rules = path, format_name, rules
        self._config = {"memory_limit": memory, "temp_directory": str(spill)} | (
            {"threads": threads} if threads else {}
        )
        self._lock = threading.Lock()
        self._opened: tuple[str, _OpenBill] | None = None
        self._days: dict[tuple[str, date, date], dict[date, SourceDay]] = {}
        self._totals: tuple[str, list[ControlTotal]] | None = None

    def describe(self) -> BillDescription:
        with self._open() as opened:
            return opened.description

    def close(self) -> None:
        """Let the engine go; what is asked next opens it again."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened:
            opened[1].con.close()

    def export_version(self) -> ExportVersion:
        files = find_bill(self._path)
        return ExportVersion(files.snapshot, files.updated, files.in_place, files.periods, files.passed_over)

    def fingerprints(self, start: date, end: date, accounts: pa.Table) -> dict[date, DayPrint]:
        with self._open() as opened:
            opened.con.register("account_ou_map", accounts)
            breakdown = breakdown_sql(summary_sql(opened.charges(self._rules, start, end)))
            found = opened.rows(fingerprints_sql(breakdown))
        return {day: DayPrint(fingerprint, total, rows) for day, fingerprint, total, rows in found}

    def control_totals(self) -> list[ControlTotal]:
        with self._open() as opened:
            snapshot = opened.description.snapshot
            if self._totals is None or self._totals[0] != snapshot:
                self._totals = snapshot, opened.control_totals(self._rules)
            return list(self._totals[1])

    def source_days(self, start: date, end: date) -> dict[date, SourceDay]:
        with self._open() as opened:
            key = (opened.description.snapshot, start, end)
            days = self._days.get(key)
            if days is None:
                days = self._read_source_days(opened, start, end)
                self._days = {key: days}
            return dict(days)

    def _read_source_days(self, opened: _OpenBill, start: date, end: date) -> dict[date, SourceDay]:
        facts = opened.rows(source_days_sql(opened.charges(self._rules, start, end)))
        basis = self._rules.cost_basis
        return source_days(
            (Fact(*row) for row in facts),
            self._rules.currency,
            lambda day, lines: opened.without_cost(basis, day, lines),
        )

    def breakdown(self, start: date, end: date, accounts: pa.Table) -> Iterator[pa.RecordBatch]:
        with self._open() as opened:
            opened.con.register("account_ou_map", accounts)
            sql = breakdown_sql(summary_sql(opened.charges(self._rules, start, end)))
            with opened.explained():
                yield from opened.con.sql(athena_to_duckdb(sql)).to_arrow_reader(BATCH_ROWS)

    def drivers(self, day: date, against: date) -> pa.Table:
        with self._open() as opened:
            sql = athena_to_duckdb(drivers_sql(opened.format, opened.driver_columns, self._rules, day, against))
            with opened.explained():
                return as_sums(opened.con.sql(sql).to_arrow_table())

    def accounts(self) -> pa.Table:
        with self._open() as opened:
            sql = athena_to_duckdb(accounts_sql(opened.charges(self._rules, EARLIEST, LATEST)))
            with opened.explained():
                return opened.con.sql(sql).to_arrow_table()

    def provide_summary(self) -> str:
        """Nothing to keep: each query that names the view makes it over the bill as it is then."""
        return f"{DATABASE}.finops_daily_summary (`finops query`)"

    def summary_view(self, con: duckdb.DuckDBPyConnection, name: str) -> Sequence[Path]:
        """Create the view finops_daily_summary (all days) in another connection, over its table account_ou_map.

        Returns:
            The files that the view reads.
        """
        with self._open() as opened:
            opened.create_bill_view(con)
            summary = summary_sql(opened.charges(self._rules, EARLIEST, LATEST))
            con.execute(f"CREATE VIEW {name} AS {athena_to_duckdb(summary)}")
            return opened.files.files

    @contextmanager
    def _open(self) -> Iterator[_OpenBill]:
        """The bill as it is on disk now, in a connection of its own; recognised again only when a file has changed."""
        files = find_bill(self._path)
        with self._lock:
            if self._opened is None or self._opened[0] != files.snapshot:
                self._opened = (files.snapshot, _OpenBill(files, self._format_name, self._rules, self._config))
            session = self._opened[1].session()
        try:
            yield session
        finally:
            session.con.close()


class _OpenBill:
    """A connection in which the view `bill` has typed, lower-case columns."""

    def __init__(self, files: BillFiles, format_name: str, rules: Rules, config: Mapping[str, object]) -> None:
        self.files = files
        self.con = connect(config)
        self._doubled: dict[str, Path] = {}
        self._raw: dict[str, tuple[str, str]] = {}
        self._used: tuple[str, ...] = ()
        self._headers = {} if files.parquet else {file: self._read_header(file) for file in files.files}
        self._raw = self._raw_columns()
        self.format = recognise(self._raw, str(files.root)) if format_name == "auto" else FORMATS[format_name]
        self.columns = {name: self._type(name, type_) for name, (_, type_) in self._raw.items()}
        check_columns(self.format, self.columns, rules, str(files.root))
        self._used = used_columns(self.format, self.columns, rules)
        self._refuse_doubled()
        self.driver_columns = {n: type_ for n, type_ in self.columns.items() if n not in self._doubled}
        read = dict.fromkeys((*self._used, *driver_columns(self.format, self.driver_columns, rules)))
        if self._names_period():
            read[self.format.period] = None
        self._select = ", ".join(f"{self._typed(n, *self._raw[n])} AS {_identifier(n)}" for n in read)
        with self.explained():
            self.create_bill_view(self.con)
        self._survey(rules)
        self.description = BillDescription(
            format=self.format.name,
            path=str(files.root),
            files=len(files.files),
            size_bytes=files.size_bytes,
            snapshot=files.snapshot,
            columns=self._used,
            cost_bases=cost_bases(self.format, self.columns),
            updated=files.updated,
        )

    def session(self) -> _OpenBill:
        """The same bill in another connection: two runs at once must not meet in one."""
        session = copy.copy(self)
        session.con = in_utc(self.con.cursor())
        return session

    def create_bill_view(self, con: duckdb.DuckDBPyConnection) -> None:
        con.execute(f"CREATE OR REPLACE VIEW bill AS SELECT {self._select} FROM ({self._source()})")

    def charges(self, rules: Rules, start: date, end: date) -> str:
        return charges_sql(self.format, self.columns, rules, start, end)

    def control_totals(self, rules: Rules) -> list[ControlTotal]:
        """The control totals of all lines; the billing period is that of a line's file where no column names it."""
        columns, view, otherwise = dict(self.columns), "bill", NO_PERIOD
        if not self._names_period():
            columns.pop(self.format.period, None)
            if any(map(self.files.period_of, self.files.files)):
                self._create_placed_view()
                view, otherwise = PLACED, PLACE
        rows = self.rows(control_totals_sql(self.format, columns, rules, view, otherwise))
        return control_totals(rows, lambda file: self.files.period_of(Path(file)))

    def _names_period(self) -> bool:
        """Whether the bill has a column of the billing period that can be read as a time."""
        name = self.format.period
        return name in self._raw and name not in self._doubled and self._raw[name][1].startswith(TIMES)

    def rows(self, sql: str) -> list[tuple]:
        with self.explained():
            return self.con.execute(athena_to_duckdb(sql)).fetchall()

    def _source(self, files: Sequence[Path] = (), *, with_place: bool = False) -> str:
        place = f", filename='{PLACE}'" if with_place else ""
        if self.files.parquet:
            names = ", ".join(map(file_literal, files or self.files.files))
            return f"SELECT * FROM read_parquet([{names}], union_by_name=true, hive_partitioning=false{place})"
        groups = defaultdict(list)
        for file in files or self.files.files:
            groups[self._headers[file]].append(file)
        return " UNION ALL BY NAME ".join(
            f"SELECT * FROM read_csv([{', '.join(map(file_literal, group))}], {CSV_OPTIONS}, "
            f"columns={{{', '.join(f'{sql_literal(column)}: {TEXT}' for column in header)}}}{place})"
            for header, group in groups.items()
        )

    def _read_header(self, file: Path) -> tuple[str, ...]:
        """The header of a CSV file; names that are there twice or missing are made distinct by their position."""
        _, header = next(_csv_rows(file), (0, []))
        if not any(header):
            raise BillError("is empty: it has no header", where=str(file), fix="Copy it from the export again.")
        names: dict[str, str] = {}
        for position, name in enumerate(header, 1):
            normal = normal_name(name)
            if normal in names:
                self._doubled[normal] = file
            if not normal or normal in names:
                name = f"{name} ({position})"
            names[normal_name(name)] = name
        return tuple(names.values())

    def _raw_columns(self) -> dict[str, tuple[str, str]]:
        """Normal name -> (name in the files, DuckDB type)."""
        with self.explained():
            described = self.con.execute(f"DESCRIBE {self._source()}").fetchall()
        columns: dict[str, tuple[str, str]] = {}
        for name, type_, *_ in described:
            normal = normal_name(name)
            if normal in columns:
                self._doubled[normal] = self.files.root
            columns[normal] = (name, type_)
        return columns

    def _refuse_doubled(self) -> None:
        for name in self._used:
            if name in self._doubled:
                raise BillError(
                    f"has the column {self._raw[name][0]} twice",
                    where=str(self._doubled[name]),
                    fix="Export it with one of them.",
                )

    def _type(self, name: str, raw_type: str) -> str:
        if name in (*self.format.timestamps, self.format.period):
            return "TIMESTAMP"
        if name in self.format.costs and raw_type in ("VARCHAR", "DOUBLE", "FLOAT"):
            return MONEY_SQL
        return raw_type

    def _typed(self, name: str, raw_name: str, raw_type: str) -> str:
        column = _identifier(raw_name)
        if name in self.format.timestamps:
            return _point_in_time(column, raw_type)
        if name == self.format.period:  # it sorts lines, and loses none: a text that is no time is no reason to refuse
            return _point_in_time(column, raw_type, cast="TRY_CAST")
        if name in self.format.costs:
            return _amount(column, raw_type)
        if name in self.format.quantities:
            return f"TRY_CAST({column} AS DOUBLE)"
        if raw_type == "VARCHAR":
            # CUR 2.0's map as text: empty where a line has no product, and nothing but JSON can be looked into.
            return f"CASE WHEN json_valid({column}) THEN {column} END" if name == "product" else column
        if raw_type.startswith("MAP"):
            return column
        if name in self.format.accounts and raw_type in NUMBERS:
            return f"format('{{:012d}}', CAST({column} AS BIGINT))"
        return f"CAST({column} AS VARCHAR)"

    def _survey(self, rules: Rules) -> None:
        """Refuse a bill with lines that can be on no day, or with currencies that nobody chose from."""
        found = self.rows(survey_sql(self.format))
        if not all(dated for _, _, dated in found):
            no_date = undated_condition(self.format.start)
            (lines,) = self.rows(f"SELECT COUNT(*) FROM bill WHERE {no_date}")[0]
            raise BillError(
                f"{lines} line(s) have no date that can be booked",
                where=self._place(no_date, self.format.start),
                fix="No line may be lost: export the bill again.",
            )
        currencies = [currency for currency, _, _ in found if currency]
        if not rules.currency:
            refuse_currencies(currencies, str(self.files.root))
        if self.format.currency and len(currencies) < len(found):
            raise BillError(
                f"{sum(lines for currency, lines, _ in found if not currency)} line(s) have no currency",
                where=self._place(f"NULLIF({self.format.currency}, '') IS NULL", self.format.currency),
                fix="Export the bill again.",
            )

    def without_cost(self, cost_basis: str, day: date, lines: int) -> BillError:
        """Some lines of a day have no cost: which column should have had it, by the type of the first of them."""
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
        found = self._first(condition)
        names = ", ".join(self._raw.get(column, (column,))[0] for column in columns)
        return f"{found[0] if found else self.files.root}, column {names}"

    def _first(self, condition: str, column: str = "''") -> tuple | None:
        """The file of the first line that fulfils a condition, and one of its values."""
        self._create_placed_view()
        found = self.rows(f"SELECT {PLACE}, {column} FROM {PLACED} WHERE {condition} LIMIT 1")
        return found[0] if found else None

    def _create_placed_view(self) -> None:
        """Make a view of the bill in which each line has its file."""
        placed = f"SELECT {self._select}, {PLACE} FROM ({self._source(with_place=True)})"
        with self.explained():
            self.con.execute(f"CREATE OR REPLACE TEMP VIEW {PLACED} AS {placed}")

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn an engine's error into one that names the file, the column and what to do."""
        import duckdb
        import pyarrow as pa

        try:
            yield
        except duckdb.InterruptException:
            raise
        except duckdb.OutOfMemoryException as error:
            raise BillError(
                f"needs more memory or disk than allowed ({_first_line(error)})",
                where=str(self.files.root),
                fix="Raise warehouse.memory (FINOPS_WAREHOUSE__MEMORY), or free space on the disk of the home.",
            ) from None
        except (duckdb.Error, pa.ArrowException) as error:  # the second while rows are streamed
            raise self._diagnosis(error) from None

    def _diagnosis(self, error: Exception) -> BillError:
        """What is wrong with the bill that the engine could not read: a value, a file, or else what the engine says."""
        found = self._bad_value()
        for file in self.files.files:
            found = found or self._bad_file(file)
        return found or BillError(
            f"cannot be read ({_first_line(error)})",
            where=str(self.files.root),
            fix="Export the bill again; if that does not help, report this message.",
        )

    def _bad_value(self) -> BillError | None:
        """The first cell that is not the number or time that its column should hold."""
        import duckdb

        for name in self._used:
            raw_name, _ = self._raw[name]
            if name in self.format.costs:
                wanted, kind = MONEY_SQL, "an amount of money"
            elif name in self.format.timestamps:
                wanted, kind = "TIMESTAMPTZ", "a date"
            else:
                continue
            column = _identifier(raw_name)
            # As text: a Parquet file's statistics leave out NaN, from which the engine concludes that no cast can fail.
            text = f"NULLIF(CAST({column} AS VARCHAR), '')"
            bad = f"{text} IS NOT NULL AND TRY_CAST({text} AS {wanted}) IS NULL"
            source = self._source(with_place=True)
            try:
                row = self.con.execute(
                    f"SELECT {PLACE}, CAST({column} AS VARCHAR) FROM ({source}) WHERE {bad} LIMIT 1"
                ).fetchone()
            except duckdb.Error:
                return None
            if row:
                file, value = row
                line = "" if self.files.parquet else _csv_line(Path(file), name, value)
                return BillError(
                    f"{value!r} is not {kind}",
                    where=f"{file}{line}, column {raw_name}",
                    fix="Mend that line, or export the bill again.",
                )
        return None

    def _bad_file(self, file: Path) -> BillError | None:
        """What is wrong with this file, read alone."""
        import duckdb

        source = self._source([file])
        try:
            there = {name.lower(): name for name, *_ in self.con.execute(f"DESCRIBE {source}").fetchall()}
            wanted = [self._raw[name][0].lower() for name in self._used] or list(there)
            columns = ", ".join(_identifier(there[name]) for name in wanted if name in there)
            self.con.execute(f"SELECT BIT_XOR(HASH({columns})) FROM ({source})").fetchone()
        except duckdb.Error as error:
            what, where = f"is damaged or not whole ({_first_line(error)})", str(file)
            if not self.files.parquet:
                what, where = _csv_fault(file) or (f"cannot be read as CSV ({_first_line(error)})", str(file))
            return BillError(what, where=where, fix="Copy it from the export again.")
        return None


NUMBERS = frozenset(
    ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "DOUBLE")
)


def _point_in_time(column: str, raw_type: str, *, cast: str = "CAST") -> str:
    """A column as UTC: a zone is honoured, and a time without one is UTC, as AWS writes it."""
    text = f"NULLIF({column}, '')" if raw_type == "VARCHAR" else column
    if raw_type == "VARCHAR" or "TIME ZONE" in raw_type or "TIMESTAMPTZ" in raw_type:
        return f"CAST({cast}({text} AS TIMESTAMPTZ) AT TIME ZONE 'UTC' AS TIMESTAMP)"
    return column if raw_type == "TIMESTAMP" else f"{cast}({column} AS TIMESTAMP)"


def _amount(column: str, raw_type: str) -> str:
    """A column as money: a double is the decimal that it is written as.

    DuckDB's own cast is that below 1,000, and drifts in the twelfth decimal above; the text of a double is 15 times
    slower, and few lines are that large.
    """
    if raw_type == "VARCHAR":
        return f"CAST(NULLIF({column}, '') AS {MONEY_SQL})"
    if raw_type not in ("DOUBLE", "FLOAT"):
        return column
    exact = f"CAST(CAST({column} AS VARCHAR) AS {MONEY_SQL})"
    if raw_type == "FLOAT":
        return exact
    return f"CASE WHEN ABS({column}) < 1000 THEN CAST({column} AS {MONEY_SQL}) ELSE {exact} END"


def _csv_rows(file: Path) -> Iterator[tuple[int, list[str]]]:
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
    how = {"encoding": "utf-8-sig", "errors": "surrogateescape", "newline": ""}
    return gzip.open(file, "rt", **how) if file.name.lower().endswith(".gz") else file.open(**how)


def _csv_fault(file: Path) -> tuple[str, str] | None:
    """What is wrong with a CSV file, and where."""
    try:
        rows = _csv_rows(file)
        _, header = next(rows)
        for line, row in rows:
            if row and len(row) != len(header):
                return f"has {len(row)} value(s), the header has {len(header)}", f"{file}, line {line}"
    except BillError as error:
        return error.what, error.where
    return None


def _csv_line(file: Path, column: str, value: str) -> str:
    """`, line 7`: the first one with this value in the column of this (normal) name."""
    rows = _csv_rows(file)
    _, header = next(rows)
    at = [normal_name(name) for name in header].index(column)
    return next((f", line {line}" for line, row in rows if len(row) > at and row[at] == value), "")


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].removesuffix(".")
