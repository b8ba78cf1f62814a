"""The warehouse on AWS: Athena makes one pass over the bill's table; its sums are staged, fetched and read here.

Athena sums the lines by day, account and service (one UNLOAD for a whole range of days); the account map is looked up
on these sums with the same SQL as on the embedded platform, in bounded memory.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from finops_assets.adapters.aws.athena import Athena
from finops_assets.adapters.aws.glue_tables import MAP_TABLE, SUMMARY_VIEW, GlueTables
from finops_assets.adapters.aws.s3 import s3_explained
from finops_assets.adapters.aws.staging import Staging
from finops_assets.adapters.shared.duck import athena_to_duckdb, connect, file_literal
from finops_assets.core.analytics.drivers import as_sums
from finops_assets.core.bill import formats as bill
from finops_assets.core.bill import layout as bill_layout
from finops_assets.core.bill.control_totals import NO_PERIOD, control_columns, control_totals, control_totals_sql
from finops_assets.core.bill.formats import EARLIEST, LATEST
from finops_assets.core.bill.source_days import Fact, refuse_currencies, source_days
from finops_assets.core.errors import BillError
from finops_assets.core.ports import (
    Archive,
    BillDescription,
    ControlTotal,
    DayPrint,
    ExportVersion,
    PassedOver,
    SourceDay,
)
from finops_assets.core.schemas import DATABASE, MONEY_SQL

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    from obstore.store import ObjectStore

BATCH_ROWS = 131_072
STAGED_FOR = 3600.0
"""Seconds that fetched sums are read again within one process: the steps of a run follow each other at once."""

VIEW_STATE = "_state/finops_daily_summary.sql"
"""The statement that last made the view: Athena keeps it reworded, which cannot be compared."""

SUMS = "sums"

TIMES = ("string", "varchar", "timestamp", "date")
"""How Glue's types begin that can be read as a point in time."""

PERIOD_SQL = {
    "": NO_PERIOD,
    "billing_period": "billing_period",
    "month": "CONCAT(CAST(year AS VARCHAR), '-', LPAD(CAST(month AS VARCHAR), 2, '0'))",
}
"""The billing period of a line by the partition that it is in, for each kind of partitions."""


@dataclass(frozen=True)
class _Table:
    """The bill's table as Glue describes it now, and its files.

    `periods` names the kind of its partitions; `period_ids` and `passed_over` are the ExportVersion's.
    """

    name: str
    location: str
    format: bill.BillFormat
    columns: Mapping[str, str]
    select: str
    select_drivers: str
    totals_sql: str
    periods: str
    description: BillDescription
    period_ids: Mapping[str, str] = field(default_factory=dict)
    passed_over: tuple[PassedOver, ...] = ()


@dataclass(frozen=True)
class _Fetched:
    """The sums of a range of days, in a folder of their own."""

    key: tuple[str, date, date]
    folder: Path
    files: tuple[Path, ...]
    fetched_at: float


class AthenaWarehouse:
    """Reads the bill through its Athena table.

    Args:
        table: bill.table, `database.table`.
        format_name: bill.format.
        rules: what the settings ask of the bill.
        athena: runs the statements.
        tables: Glue's tables.
        staging: brings the sums here.
        archive: keeps the view's statement.
        open_bucket: opens the bill's bucket, to list its files.
        memory, threads: what the embedded engine may use on the sums.
        folder: where sums lie while they are read.
    """

    def __init__(
        self,
        table: str,
        format_name: str,
        rules: bill.Rules,
        *,
        athena: Athena,
        tables: GlueTables,
        staging: Staging,
        archive: Archive,
        open_bucket: Callable[[str], ObjectStore],
        memory: str,
        threads: int,
        folder: Path,
    ) -> None:
        self._name, self._format_name, self._rules = table, format_name, rules
        self._athena, self._tables, self._staging, self._archive = athena, tables, staging, archive
        self._open, self._folder = open_bucket, folder
        self._config = {"memory_limit": memory, "temp_directory": str(folder)} | (
            {"threads": threads} if threads else {}
        )
        self._lock = threading.Lock()
        self._table: _Table | None = None
        self._fetched: _Fetched | None = None
        self._glanced: ExportVersion | None = None
        self._totals: tuple[str, float, list[ControlTotal]] | None = None

    def describe(self) -> BillDescription:
        return (self._table or self._look()).description

    def export_version(self) -> ExportVersion:
        known = self._table
        table = known or self._look()
        bucket, _, prefix = table.location.removeprefix("s3://").partition("/")
        manifests = [found for found in self._manifests(bucket, prefix) if found["path"].endswith("anifest.json")]
        if not manifests:
            table = self._look() if known else table
            bill = table.description
            return ExportVersion(bill.snapshot, bill.updated, periods=table.period_ids, passed_over=table.passed_over)
        seen = hashlib.sha256("\n".join(f"{m['path']} {m['e_tag']}" for m in manifests).encode())
        snapshot = seen.hexdigest()[:16]
        # The data files come before their manifests: they are listed once for each delivery, not each time.
        if self._glanced is None or self._glanced.snapshot != snapshot:
            table = self._look() if known else table
            newest = max(m["last_modified"] for m in manifests)
            self._glanced = ExportVersion(snapshot, newest, periods=table.period_ids, passed_over=table.passed_over)
        return self._glanced

    def _manifests(self, bucket: str, prefix: str) -> list[Mapping[str, Any]]:
        """What lies in the folder of manifests that Data Exports keeps beside the one of the data."""
        export, data, _ = prefix.partition("/data/")
        if not bucket or not data:
            return []
        return [found for found in _objects(self._open, bucket, f"{export}/metadata/") if not _passed_over(found)]

    def fingerprints(self, start: date, end: date, accounts: pa.Table) -> dict[date, DayPrint]:  # noqa: ARG002
        """As the port says; the map is read in Athena, where it is the same published one."""
        self._tables.ensure()
        charges = self._charges(self._look(), start, end)
        sql = bill.fingerprints_sql(bill.breakdown_sql(bill.summary_sql(charges, f"{DATABASE}.{MAP_TABLE}")))
        found = self._athena.rows(sql, f"compare the days from {start} to {end} with the archive")[1]
        return {day: DayPrint(fingerprint, total, rows) for day, fingerprint, total, rows in found}

    def control_totals(self) -> list[ControlTotal]:
        table = self._look()
        snapshot, known = table.description.snapshot, self._totals
        if known is None or known[0] != snapshot or time.monotonic() - known[1] > STAGED_FOR:
            rows = self._athena.rows(table.totals_sql, "control totals of the whole bill")[1]
            self._totals = known = snapshot, time.monotonic(), control_totals(rows)
        return list(known[2])

    def source_days(self, start: date, end: date) -> dict[date, SourceDay]:
        table, fetched = self._sums(start, end)
        with closing(self._connect(fetched)) as con:
            rows = con.execute(
                "SELECT charge_date, currency, charge_category, scheduled, left_out, lines, without_cost, total "
                f"FROM {SUMS} WHERE of_source = 1 ORDER BY ALL"
            ).fetchall()
        facts = [Fact(*row) for row in rows]
        self._refuse(table, facts)
        return source_days(facts, self._rules.currency, lambda day, lines: self._without_cost(table, day, lines))

    def breakdown(self, start: date, end: date, accounts: pa.Table) -> Iterator[pa.RecordBatch]:
        _, fetched = self._sums(start, end)
        sums = f"SELECT *, total AS cost FROM {SUMS} WHERE of_source = 0"
        sql = athena_to_duckdb(bill.breakdown_sql(bill.summary_sql(sums)))
        with closing(self._connect(fetched)) as con:
            con.register("account_ou_map", accounts)
            yield from con.sql(sql).to_arrow_reader(BATCH_ROWS)

    def drivers(self, day: date, against: date) -> pa.Table:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = self._look()
        periods = _since(table.periods, min(day, against))
        source = f"(SELECT {table.select_drivers} FROM {_quoted(table.name)}{periods}) AS bill"
        sql = bill.drivers_sql(table.format, table.columns, self._rules, day, against, source)
        folder = self._new_folder()
        try:
            files = self._staging.fetch(sql, table.description.snapshot, f"why {day} is not as {against}", folder)
            found = [pq.ParquetFile(file).read() for file in files]
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return as_sums(pa.concat_tables(found) if found else None)

    def accounts(self) -> pa.Table:
        import pyarrow as pa

        charges = self._charges(self._table or self._look(), EARLIEST, LATEST)
        names, rows = self._athena.rows(bill.accounts_sql(charges), "which accounts the bill names")
        return pa.table({name: [row[i] for row in rows] for i, name in enumerate(names)})

    def provide_summary(self) -> str:
        name = f"{DATABASE}.{SUMMARY_VIEW}"
        there = self._tables.summary_view()
        if self._name == name or (there and there.get("TableType") != "VIRTUAL_VIEW"):
            return f"{name}, the table that was there before"
        table = self._table or self._look()
        select = bill.summary_sql(self._charges(table, EARLIEST, LATEST), f"{DATABASE}.account_ou_map")
        statement = f"CREATE OR REPLACE VIEW {name} AS\n{select}"
        if there is None or self._archive.get(VIEW_STATE) != statement.encode():
            self._athena.run(statement, "make the view finops_daily_summary")
            self._archive.put(VIEW_STATE, statement.encode())
        return f"{name}, a view over {self._name}"

    def _charges(self, table: _Table, start: date, end: date, *, undated: bool = False) -> str:
        source = f"(SELECT {table.select} FROM {_quoted(table.name)}{_since(table.periods, start)}) AS bill"
        return bill.charges_sql(table.format, table.columns, self._rules, start, end, source, undated=undated)

    def _sums(self, start: date, end: date) -> tuple[_Table, _Fetched]:
        """The sums of these days: those that are here already, unless the bill's files have changed since."""
        with self._lock:
            table = self._look()
            key = (table.description.snapshot, start, end)
            there = self._fetched
            if there is None or there.key != key or time.monotonic() - there.fetched_at > STAGED_FOR:
                self._discard()
                folder = self._new_folder()
                select = bill.one_pass_sql(self._charges(table, start, end, undated=True))
                purpose = f"sum the bill of {start}" + (f" to {end}" if end != start else "")
                files = self._staging.fetch(select, table.description.snapshot, purpose, folder)
                self._fetched = there = _Fetched(key, folder, tuple(files), time.monotonic())
            return table, there

    def _new_folder(self) -> Path:
        """A folder for sums. Those of processes that were killed hours ago go first."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for old in self._folder.glob("sums-*"):
            if time.time() - old.stat().st_mtime > 24 * STAGED_FOR:
                shutil.rmtree(old, ignore_errors=True)
        return Path(mkdtemp(prefix="sums-", dir=self._folder))

    def _discard(self) -> None:
        if self._fetched is not None:
            shutil.rmtree(self._fetched.folder, ignore_errors=True)
            self._fetched = None

    def __del__(self) -> None:
        self._discard()

    def _connect(self, fetched: _Fetched) -> duckdb.DuckDBPyConnection:
        con = connect(self._config)
        if fetched.files:
            files = ", ".join(map(file_literal, fetched.files))
            con.execute(f"CREATE VIEW {SUMS} AS SELECT * FROM read_parquet([{files}])")
        else:
            con.execute(
                f"CREATE TABLE {SUMS} (charge_date DATE, currency VARCHAR, charge_category VARCHAR, scheduled BOOLEAN, "
                "left_out VARCHAR, ou VARCHAR, service VARCHAR, linkedaccount VARCHAR, of_source BIGINT, lines BIGINT, "
                f"without_cost BIGINT, total {MONEY_SQL})"
            )
        return con

    def _look(self) -> _Table:
        """The table as it is now: asked of Glue once a process, its files listed each time."""
        known = self._table
        if known is None:
            found = self._tables.source(self._name)
            known = self._recognise(found)
        self._table = _with_files(known, self._open)
        return self._table

    def _recognise(self, found: Mapping[str, Any]) -> _Table:
        storage = found.get("StorageDescriptor", {})
        raw = {c["Name"].lower(): c["Type"].lower() for c in storage.get("Columns", ())}
        keys = {k["Name"].lower(): k["Type"].lower() for k in found.get("PartitionKeys", ())}
        chosen = self._format_name
        fmt = bill.recognise(raw, self._name) if chosen == "auto" else bill.FORMATS[chosen]
        columns = {name: _sql_type(type_) for name, type_ in raw.items()}
        bill.check_columns(fmt, columns, self._rules, self._name)
        used = bill.used_columns(fmt, columns, self._rules)

        def select(names: Iterable[str]) -> str:
            return ", ".join(f"{_typed(fmt, name, raw[name])} AS {name}" for name in names)

        periods = "billing_period" if "billing_period" in keys else "month" if {"year", "month"} <= set(keys) else ""
        of_totals = {n: t for n, t in columns.items() if n != fmt.period or raw[n].startswith(TIMES)}
        source = (
            f"(SELECT {select(control_columns(fmt, of_totals, self._rules))}, {PERIOD_SQL[periods]} AS "
            f"period_of_partition FROM {_quoted(self._name)}) AS bill"
        )
        return _Table(
            name=self._name,
            location=storage.get("Location", ""),
            format=fmt,
            columns=columns,
            select=select(used),
            select_drivers=select(bill.driver_columns(fmt, columns, self._rules)),
            totals_sql=control_totals_sql(fmt, of_totals, self._rules, source, "period_of_partition"),
            periods=periods,
            description=BillDescription(
                format=fmt.name,
                path=f"{self._name} in Athena",
                files=0,
                size_bytes=0,
                snapshot="",
                columns=used,
                cost_bases=bill.cost_bases(fmt, columns),
            ),
        )

    def _refuse(self, table: _Table, facts: list[Fact]) -> None:
        """Refuse lines that can be on no day, and currencies that nobody chose from."""
        undated = sum(f.lines for f in facts if f.day is None)
        if undated:
            raise BillError(
                f"{undated} line(s) have no date that can be booked",
                where=f"{self._name}, column {table.format.start}",
                fix="No line may be lost: export the bill again.",
            )
        if not self._rules.currency:
            refuse_currencies((f.currency for f in facts if f.currency), self._name)
        nameless = sum(f.lines for f in facts if not f.currency)
        if table.format.currency and nameless:
            raise BillError(
                f"{nameless} line(s) have no currency",
                where=f"{self._name}, column {table.format.currency}",
                fix="Export the bill again.",
            )

    def _without_cost(self, table: _Table, day: date, lines: int) -> BillError:
        basis = table.format.bases[self._rules.cost_basis]
        columns = {basis.column}.union(*basis.by_type.values()) & set(table.columns)
        return BillError(
            f"{lines} line(s) of {day} have no {self._rules.cost_basis} cost",
            where=f"{self._name}, column {' or '.join(sorted(columns))}",
            fix="Export the bill again with that column filled, or choose another bill.cost_basis.",
        )


def _with_files(table: _Table, open_bucket: Callable[[str], ObjectStore]) -> _Table:
    """The table with what its location holds now: the id of the bill changes when a file does."""
    bucket, _, prefix = table.location.removeprefix("s3://").partition("/")
    # A view has no files of its own.
    objects = sorted(_objects(open_bucket, bucket, prefix), key=lambda o: o["path"]) if bucket else []
    read = [found for found in objects if not _passed_over(found)]
    listed = [(found["path"], f"{found['e_tag']} {found['size']}") for found in read]
    seen = hashlib.sha256(table.name.encode())
    for path, version in listed:
        seen.update(f"{path} {version}\n".encode())
    described = replace(
        table.description,
        files=len(read),
        size_bytes=sum(found["size"] for found in read),
        snapshot=seen.hexdigest()[:16],
        updated=max((found["last_modified"] for found in read), default=None),
    )
    passed_over = (
        (_passed_over(found), found["path"].removeprefix(prefix).lstrip("/"), found["size"])
        for found in objects
        if _passed_over(found) and bill_layout.may_be_data(found["path"])
    )
    return replace(
        table,
        description=described,
        period_ids=bill_layout.period_ids(listed),
        passed_over=bill_layout.grouped(passed_over),
    )


def _objects(open_bucket: Callable[[str], ObjectStore], bucket: str, prefix: str) -> Iterator[Mapping[str, Any]]:
    with s3_explained(bucket, prefix, "s3:ListBucket"):
        yield from (found for batch in open_bucket(bucket).list(prefix) for found in batch)


def _passed_over(found: Mapping[str, Any]) -> str:
    """Why Athena does not read an object; empty where it does."""
    name = found["path"].rsplit("/", 1)[-1]
    return bill_layout.HIDDEN if bill_layout.is_hidden(name) else "" if found["size"] else bill_layout.EMPTY


def _sql_type(hive_type: str) -> str:
    return {"string": "VARCHAR", "int": "INTEGER"}.get(hive_type, hive_type.upper())


def _typed(fmt: bill.BillFormat, name: str, hive_type: str) -> str:
    """A column as the bill's SQL expects it, in Athena's SQL; tables over CSV files hold nothing but strings."""
    text = f"NULLIF({name}, '')"
    if name in (*fmt.timestamps, fmt.period):
        if hive_type.startswith(("string", "varchar")):
            utc = f"CAST(from_iso8601_timestamp({text}) AT TIME ZONE 'UTC' AS TIMESTAMP)"
            # The period sorts lines, and loses none: a text that is no time is no reason to refuse the bill.
            return f"TRY({utc})" if name == fmt.period else utc
        return name if hive_type == "timestamp" else f"CAST({name} AS TIMESTAMP)"
    if name in fmt.costs:
        return f"CAST({text} AS {MONEY_SQL})" if hive_type == "string" else name
    if name in fmt.quantities:
        return f"TRY_CAST({name} AS DOUBLE)"
    if name in bill.ACCOUNT_COLUMNS and hive_type in ("bigint", "int", "double"):
        return f"lpad(CAST(CAST({name} AS BIGINT) AS VARCHAR), 12, '0')"
    if hive_type == "string" or hive_type.startswith(("map", "varchar")):
        return name
    return f"CAST({name} AS VARCHAR)"


def _quoted(table: str) -> str:
    return ".".join(f'"{part}"' for part in table.split("."))


def _since(periods: str, start: date) -> str:
    """The condition that skips billing periods before these days.

    A line can be billed in a later period than it started in (a correction, a tax), and a fee in the period before; an
    engine that reads all the later ones loses none of them.
    """
    if start <= EARLIEST or not periods:
        return ""
    first = start.replace(day=1) - timedelta(days=1)
    if periods == "billing_period":
        return f" WHERE billing_period >= '{first:%Y-%m}'"
    return f" WHERE CAST(year AS INTEGER) * 100 + CAST(month AS INTEGER) >= {first:%Y%m}"
