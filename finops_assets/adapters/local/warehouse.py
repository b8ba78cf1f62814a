"""The embedded warehouse: DuckDB over the bill's own files, running the SQL that Athena runs.

What is engine-specific stays here: reading Parquet and CSV into typed columns, translating the SQL, streaming Arrow,
and finding the file and line behind an engine's error.
"""

from __future__ import annotations

import csv
import gzip
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from finops_assets.adapters.local.bill_files import BillFiles, find_bill
from finops_assets.core import bill
from finops_assets.core.errors import BillError
from finops_assets.core.ports import BillDescription, LeftOut, SourceDay
from finops_assets.core.schemas import MONEY_SQL

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

EARLIEST, LATEST = date(1970, 1, 1), date(9999, 12, 30)
BATCH_ROWS = 131_072

TEXT = "'VARCHAR'"
CSV_OPTIONS = (
    "header=true, auto_detect=false, delim=',', quote='\"', escape='\"', "
    "nullstr='NULL', allow_quoted_nulls=false, max_line_size=16777216, strict_mode=true"
)
"""RFC 4180 and nothing guessed: every value is text until its column says otherwise; an unquoted NULL is none."""


class DuckDBWarehouse:
    """Reads the bill where it lies; nothing is copied or imported.

    Args:
        path: bill.path.
        format_name: bill.format.
        rules: what the settings ask of the bill.
        memory: DuckDB's memory limit, e.g. "800MB".
        threads: DuckDB's threads, 0 for one per core.
        spill: folder for what does not fit in memory.
    """

    def __init__(
        self, path: str, format_name: str, rules: bill.Rules, *, memory: str, threads: int, spill: Path
    ) -> None:
        self._path, self._format_name, self._rules = path, format_name, rules
        self._config = {"memory_limit": memory, "temp_directory": str(spill)} | ({"threads": threads} if threads else {})
        self._lock = threading.Lock()
        self._opened: tuple[str, _OpenBill] | None = None
        self._days: dict[tuple[str, date, date], dict[date, SourceDay]] = {}

    def describe(self) -> BillDescription:
        with self._open() as opened:
            return opened.description

    def coverage(self) -> list[date]:
        with self._open() as opened:
            start = opened.format.start
            rows = opened.query(f"SELECT DISTINCT CAST({start} AS DATE) AS d FROM bill ORDER BY 1").fetchall()
            return [row[0] for row in rows]

    def source_days(self, start: date, end: date) -> dict[date, SourceDay]:
        with self._open() as opened:
            key = (opened.description.snapshot, start, end)
            if key not in self._days:
                self._days = {key: self._read_source_days(opened, start, end)}
            return self._days[key]

    def _read_source_days(self, opened: _OpenBill, start: date, end: date) -> dict[date, SourceDay]:
        rows = opened.query(bill.source_days_sql(opened.charges(self._rules, start, end))).fetchall()
        by_day = defaultdict(list)
        for day, *facts in rows:
            by_day[day].append(facts)
        return {day: self._source_day(day, facts, opened) for day, facts in by_day.items()}

    def _source_day(self, day: date, facts: list, opened: _OpenBill) -> SourceDay:
        kept = [f for f in facts if f[3] is None]
        currencies = sorted({f[0] or "" for f in kept})
        without_cost = sum(f[5] for f in kept)
        if without_cost:
            column = opened.format.bases[self._rules.cost_basis].column
            raise BillError(
                f"{without_cost} line(s) of {day} have no {self._rules.cost_basis} cost",
                where=f"{opened.where(column, f'{column} IS NULL', day)}, column {column}",
                fix="Export the bill again, or choose another bill.cost_basis.",
            )
        if "" in currencies:
            raise BillError(
                f"lines of {day} have no currency", where=opened.files.root.as_posix(), fix="Export the bill again."
            )
        if len(currencies) > 1:
            raise BillError(
                f"the bill has {len(currencies)} currencies on {day}: {', '.join(currencies)}",
                where=f"{opened.files.root} (bill.currency)",
                fix=f"Sums over currencies mean nothing: choose one, e.g. FINOPS_BILL__CURRENCY={currencies[0]}. "
                "The lines in others are then left out and counted.",
            )
        categories: dict[str, Decimal] = defaultdict(Decimal)
        left_out: dict[str, list] = defaultdict(lambda: [0, Decimal()])
        for _, category, _, reason, lines, _, total in facts:
            if reason is None:
                categories[category or "Cost"] += total
            else:
                left_out[reason][0] += lines
                left_out[reason][1] += total or Decimal()
        return SourceDay(
            day=day,
            currency=currencies[0] if currencies else self._rules.currency,
            lines=sum(f[4] for f in kept),
            total=sum((f[6] for f in kept), Decimal()),
            scheduled=sum((f[6] for f in kept if f[2]), Decimal()),
            by_category=dict(sorted(categories.items())),
            left_out=tuple(LeftOut(reason, n, total) for reason, (n, total) in sorted(left_out.items())),
        )

    def breakdown(self, start: date, end: date, accounts: pa.Table) -> Iterator[pa.RecordBatch]:
        with self._open() as opened:
            sql = bill.breakdown_sql(bill.summary_sql(opened.charges(self._rules, start, end)))
            con = opened.cursor()
            con.register("account_ou_map", accounts)
            with opened.explained():
                yield from con.sql(athena_to_duckdb(sql)).to_arrow_reader(BATCH_ROWS)

    def accounts(self) -> pa.Table:
        with self._open() as opened:
            sql = athena_to_duckdb(bill.accounts_sql(opened.charges(self._rules, EARLIEST, LATEST)))
            with opened.explained():
                return opened.cursor().sql(sql).to_arrow_table()

    def summary_view(self, con: duckdb.DuckDBPyConnection, name: str) -> None:
        """Create the view finops_daily_summary (all days) in another connection, over its table account_ou_map."""
        with self._open() as opened:
            opened.create_bill_view(con)
            summary = bill.summary_sql(opened.charges(self._rules, EARLIEST, LATEST))
            con.execute(f"CREATE VIEW {name} AS {athena_to_duckdb(summary)}")

    @contextmanager
    def _open(self) -> Iterator[_OpenBill]:
        """The bill as it is on disk now; recognised again only when a file has changed."""
        files = find_bill(self._path)
        with self._lock:
            if self._opened is None or self._opened[0] != files.snapshot:
                self._opened = (files.snapshot, _OpenBill(files, self._format_name, self._rules, self._config))
            yield self._opened[1]


class _OpenBill:
    """A connection in which the view `bill` has typed, lower-case columns."""

    def __init__(self, files: BillFiles, format_name: str, rules: bill.Rules, config: Mapping[str, object]) -> None:
        self.files = files
        self.con = connect(config)
        self._headers = {} if files.parquet else _read_headers(files.files)
        raw = self._raw_columns()
        self.format = bill.recognise(raw, str(files.root)) if format_name == "auto" else bill.FORMATS[format_name]
        self.columns = {name: self._type(name, type_) for name, (_, type_) in raw.items()}
        bill.check_columns(self.format, self.columns, rules, str(files.root))
        self._used = bill.used_columns(self.format, self.columns, rules)
        self._select = ", ".join(f"{self._typed(n, *raw[n])} AS {_identifier(n)}" for n in self._used)
        self.create_bill_view(self.con)
        self._refuse_undated()
        self.description = BillDescription(
            format=self.format.name,
            path=str(files.root),
            files=len(files.files),
            size_bytes=files.size_bytes,
            snapshot=files.snapshot,
            columns=self._used,
            cost_bases=bill.cost_bases(self.format, self.columns),
        )

    def create_bill_view(self, con: duckdb.DuckDBPyConnection) -> None:
        con.execute(f"CREATE OR REPLACE VIEW bill AS SELECT {self._select} FROM ({self._source()})")

    def charges(self, rules: bill.Rules, start: date, end: date) -> str:
        return bill.charges_sql(self.format, self.columns, rules, start, end)

    def query(self, sql: str) -> duckdb.DuckDBPyConnection:
        with self.explained():
            return self.cursor().execute(athena_to_duckdb(sql))

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection of its own to the same views: a result still being read elsewhere is not disturbed."""
        con = self.con.cursor()
        con.execute("SET TimeZone = 'UTC'")
        return con

    def _source(self, with_place: bool = False) -> str:
        if self.files.parquet:
            names = ", ".join(sql_literal(f) for f in self.files.files)
            return f"SELECT * FROM read_parquet([{names}], union_by_name=true, hive_partitioning=false" + (
                ", filename=true)" if with_place else ")"
            )
        groups = defaultdict(list)
        for file, header in self._headers.items():
            groups[header].append(file)
        return " UNION ALL BY NAME ".join(
            f"SELECT * FROM read_csv([{', '.join(map(sql_literal, files))}], {CSV_OPTIONS}, "
            f"columns={{{', '.join(f'{sql_literal(column)}: {TEXT}' for column in header)}}}"
            f"{', filename=true' if with_place else ''})"
            for header, files in groups.items()
        )

    def _raw_columns(self) -> dict[str, tuple[str, str]]:
        """Normal name -> (name in the files, DuckDB type)."""
        with self.explained():
            described = self.con.execute(f"DESCRIBE {self._source()}").fetchall()
        columns: dict[str, tuple[str, str]] = {}
        for name, type_, *_ in described:
            normal = bill.normal_name(name)
            if normal in columns:
                raise BillError(
                    f"has the column {normal} twice", where=str(self.files.root), fix="Export it with one of them."
                )
            columns[normal] = (name, type_)
        return columns

    def _type(self, name: str, raw_type: str) -> str:
        if name in self.format.timestamps:
            return "TIMESTAMP"
        if name in self.format.costs and raw_type == "VARCHAR":
            return MONEY_SQL
        return raw_type

    def _typed(self, name: str, raw_name: str, raw_type: str) -> str:
        column = _identifier(raw_name)
        if name in self.format.timestamps:
            if raw_type in ("VARCHAR", "TIMESTAMP WITH TIME ZONE"):
                # A zone is honoured, and a time without one is UTC, as AWS writes it.
                text = f"NULLIF({column}, '')" if raw_type == "VARCHAR" else column
                return f"CAST(CAST({text} AS TIMESTAMPTZ) AT TIME ZONE 'UTC' AS TIMESTAMP)"
            return column if raw_type == "TIMESTAMP" else f"CAST({column} AS TIMESTAMP)"
        if name in self.format.costs and raw_type == "VARCHAR":
            return f"CAST(NULLIF({column}, '') AS {MONEY_SQL})"
        if name in self.format.costs or raw_type == "VARCHAR" or raw_type.startswith("MAP"):
            return column
        return f"CAST({column} AS VARCHAR)"  # such as an account id that a tool wrote as a number

    def _refuse_undated(self) -> None:
        start = self.format.start
        undated = self.query(f"SELECT COUNT(*) FROM bill WHERE {start} IS NULL").fetchone()[0]
        if undated:
            raise BillError(
                f"{undated} line(s) have no date",
                where=f"{self.where(start, f'{start} IS NULL')}, column {start}",
                fix="No line may be lost: export the bill again.",
            )

    def where(self, column: str, condition: str, day: date | None = None) -> str:
        """The first file that has such a line."""
        on_day = f" AND CAST({self.format.start} AS DATE) = DATE '{day}'" if day and not self._headers else ""
        sql = (
            f"SELECT filename FROM (SELECT {self._select}, filename FROM ({self._source(True)})) "
            f"WHERE ({condition}){on_day} LIMIT 1"
        )
        import duckdb

        try:
            found = self.con.execute(sql).fetchone()
        except duckdb.Error:
            found = None
        return found[0] if found else str(self.files.root)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn an engine's error into one that names the file, the column and what to do."""
        import duckdb

        try:
            yield
        except (duckdb.ConversionException, duckdb.InvalidInputException, duckdb.OutOfRangeException) as error:
            raise self._bad_value() or self._bad_file(error) from None
        except duckdb.IOException as error:
            if "No space left" in str(error):
                raise
            raise self._bad_file(error) from None
        except duckdb.OutOfMemoryException as error:
            raise BillError(
                f"needs more memory than allowed: {_first_line(error)}",
                where=str(self.files.root),
                fix="Raise warehouse.memory (FINOPS_WAREHOUSE__MEMORY).",
            ) from None

    def _bad_value(self) -> BillError | None:
        """The first cell that is not the number or time that its column should hold."""
        import duckdb

        for name, (raw_name, raw_type) in self._raw_columns().items():
            column = _identifier(raw_name)
            if name not in self._used:
                continue
            if name in self.format.costs:
                wanted, kind = MONEY_SQL, "a number"
            elif name in self.format.timestamps:
                wanted, kind = "TIMESTAMPTZ", "a date"
            else:
                continue
            text = f"NULLIF({column}, '')" if raw_type == "VARCHAR" else column
            bad = f"{text} IS NOT NULL AND TRY_CAST({text} AS {wanted}) IS NULL"
            try:
                row = self.con.execute(
                    f"SELECT filename, CAST({column} AS VARCHAR) FROM ({self._source(True)}) WHERE {bad} LIMIT 1"
                ).fetchone()
            except duckdb.Error:
                return None
            if row:
                return BillError(
                    f"{row[1]!r} is not {kind}{' that money can be' if kind == 'a number' else ''}",
                    where=f"{row[0]}, column {raw_name}",
                    fix="Mend that line, or export the bill again.",
                )
        return None

    def _bad_file(self, error: Exception) -> BillError:
        import duckdb

        for file in self.files.files:
            probe = sql_literal(file)
            try:
                if self.files.parquet:
                    self.con.execute(f"SELECT COUNT(*) FROM read_parquet({probe})").fetchone()
                    self.con.execute(f"SELECT {self._probe_columns()} FROM read_parquet({probe})").fetchone()
                    continue
            except duckdb.Error as cause:
                return BillError(
                    f"is damaged or not whole: {_first_line(cause)}", where=str(file), fix="Copy it from the export again."
                )
        kind = "is damaged or not whole" if self.files.parquet else "has a line that is not CSV"
        return BillError(
            f"{kind}: {_first_line(error)}", where=str(self.files.root), fix="Mend it, or copy it from the export again."
        )

    def _probe_columns(self) -> str:
        columns = getattr(self, "_used", None)
        if not columns:
            return "COUNT(*)"
        raw = self._raw_columns()
        return ", ".join(f"COUNT({_identifier(raw[c][0])})" for c in columns)


def connect(config: Mapping[str, object]) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB that reads times as UTC."""
    import duckdb

    con = duckdb.connect(":memory:", config=dict(config))
    con.execute("SET TimeZone = 'UTC'")
    con.execute("SET enable_progress_bar = false")
    return con


@lru_cache(maxsize=32)
def athena_to_duckdb(sql: str) -> str:
    """The project's SQL, written for Athena, as DuckDB runs it."""
    import sqlglot

    return sqlglot.transpile(sql, read="athena", write="duckdb")[0]


def _read_headers(files: tuple[Path, ...]) -> dict[Path, tuple[str, ...]]:
    headers = {}
    for file in files:
        try:
            with gzip.open(file, "rt", encoding="utf-8-sig", newline="") if file.suffix == ".gz" else file.open(
                encoding="utf-8-sig", newline=""
            ) as lines:
                header = next(csv.reader(lines), [])
        except (OSError, EOFError, UnicodeDecodeError) as error:
            raise BillError(f"cannot be read: {error}", where=str(file), fix="Copy it from the export again.") from None
        if not any(header):
            raise BillError("is empty: it has no header", where=str(file), fix="Copy it from the export again.")
        headers[file] = tuple(header)
    return headers


def sql_literal(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].removesuffix(".")
