"""The embedded warehouse: DuckDB over the bill's own files, running the SQL that Athena runs.

What is engine-specific stays in this folder: reading Parquet and CSV into typed columns (`open_bill`), translating the
SQL, streaming Arrow, and finding the file and line behind an engine's error (`bill_diagnosis`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from finops_assets.adapters.local.bill_contents import BillContents, last_change, left_alone
from finops_assets.adapters.local.bill_files import find_bill
from finops_assets.adapters.local.open_bill import OpenBill
from finops_assets.adapters.shared.duck import ConfigValue, athena_to_duckdb
from finops_assets.core.accounts.account_ids import refuse_impossible
from finops_assets.core.analytics.driver_sums import as_sums
from finops_assets.core.analytics.moved_parts import as_parts
from finops_assets.core.archive.breakdown import prints
from finops_assets.core.bill.charges import EARLIEST, LATEST
from finops_assets.core.bill.commitments import commitments_sql, tells_commitments
from finops_assets.core.bill.currencies import OfAccounts, account_currencies, account_currencies_sql
from finops_assets.core.bill.drivers_sql import drivers_sql
from finops_assets.core.bill.parts_sql import bill_parts_sql
from finops_assets.core.bill.queries import (
    accounts_sql,
    breakdown_sql,
    by_dimension_sql,
    source_days_sql,
    summary_sql,
    summed_by_dimension_sql,
)
from finops_assets.core.bill.rules import Rules
from finops_assets.core.bill.service_names import keep_names, known_names
from finops_assets.core.bill.source_days import Fact, source_days
from finops_assets.core.bill.totals import bill_totals
from finops_assets.core.calendar import days_between
from finops_assets.core.ports import Archive
from finops_assets.core.schemas import DATABASE
from finops_assets.core.values import (
    BillDescription,
    BillProfile,
    ControlTotal,
    DayPrint,
    ExportVersion,
    PayerPeriod,
    SourceDay,
)

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

BATCH_ROWS = 131_072


class DuckDBWarehouse:
    """Reads the bill where it lies; nothing is copied or imported. Each call has a connection of its own.

    Args:
        path: bill.path.
        format_name: bill.format.
        rules: what the settings ask of the bill.
        memory: DuckDB's memory limit, e.g. "800MB".
        threads: DuckDB's threads, 0 for one per core.
        spill: folder for what does not fit in memory.
        archive: keeps the names of services; None keeps none.
    """

    def __init__(
        self,
        path: str,
        format_name: str,
        rules: Rules,
        *,
        memory: str,
        threads: int,
        spill: Path,
        archive: Archive | None = None,
    ) -> None:
        self._archive = archive
        self._path, self._format_name, self._rules = path, format_name, rules
        self._config: dict[str, ConfigValue] = {"memory_limit": memory, "temp_directory": str(spill)}
        if threads:
            self._config["threads"] = threads
        self._contents = BillContents(threads)
        self._lock = threading.Lock()
        self._opened: tuple[str, OpenBill] | None = None
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
        return ExportVersion(
            files.snapshot,
            files.updated,
            files.in_place,
            files.periods,
            files.passed_over,
            changed=last_change(files.files) if files.in_place else None,
        )

    def fingerprints(self, start: date, end: date, accounts: pa.Table) -> dict[date, DayPrint]:
        # Not by `fingerprints_sql`: it gathers each day's rows as text in memory, all days at once.
        return prints(self.breakdown(start, end, accounts))

    def control_totals(self) -> list[ControlTotal]:
        with self._open() as opened:
            snapshot = opened.description.snapshot
            if self._totals is None or self._totals[0] != snapshot:
                self._totals = snapshot, opened.control_totals()
            return list(self._totals[1])

    def payers(self) -> list[PayerPeriod]:
        with self._open() as opened:
            return opened.payers()

    def profile(self, since: date) -> BillProfile:
        with self._open() as opened:
            return opened.profile(since)

    def source_days(self, start: date, end: date) -> dict[date, SourceDay]:
        with self._open() as opened:
            key = (opened.description.snapshot, start, end)
            days = self._days.get(key)
            if days is None:
                days = self._read_source_days(opened, start, end)
                self._days = {key: days}
            return dict(days)

    def _read_source_days(self, opened: OpenBill, start: date, end: date) -> dict[date, SourceDay]:
        facts = opened.rows(source_days_sql(opened.charges(start, end)))
        return source_days(
            (Fact(*row) for row in facts),
            self._rules.currency,
            opened.without_cost,
            lambda: bill_totals(opened.control_totals()).currency,
        )

    def account_currencies(self, start: date, end: date) -> OfAccounts:
        with self._open() as opened:
            return account_currencies(opened.rows(account_currencies_sql(opened.charges(start, end))), self._path)

    def breakdown(self, start: date, end: date, accounts: pa.Table) -> Iterator[pa.RecordBatch]:
        with self._open() as opened:
            opened.con.register("account_ou_map", accounts)
            keys, names = self._rules.dimensions, self._names(opened)
            if self._archive and opened.learned:
                keep_names(self._archive, opened.learned)
            # An id is looked for in a connection of its own, as rows are still streamed from this one.
            refused = lambda account: opened.session().impossible_account(account)  # noqa: E731
            for first, last in _spans(opened, start, end):
                charges = opened.charges(first, last)
                if keys:
                    charges = by_dimension_sql(summed_by_dimension_sql(charges, len(keys)), keys)
                sql = breakdown_sql(charges, names=names, dimensions=bool(keys))
                with opened.explained():
                    for batch in opened.con.sql(athena_to_duckdb(sql)).to_arrow_reader(BATCH_ROWS):
                        refuse_impossible(batch.column("linkedaccount"), refused)
                        yield batch

    def commitments(self, start: date, end: date) -> Iterator[pa.RecordBatch]:
        with self._open() as opened:
            if not tells_commitments(opened.format, opened.undoubled):
                return
            for first, last in _spans(opened, start, end):
                sql = commitments_sql(opened.charges(first, last))
                with opened.explained():
                    yield from opened.con.sql(athena_to_duckdb(sql)).to_arrow_reader(BATCH_ROWS)

    def drivers(self, day: date, against: date) -> pa.Table:
        with self._open() as opened:
            of_bill = (opened.format, opened.undoubled, self._rules)
            sql = athena_to_duckdb(drivers_sql(*of_bill, day, against, names=self._names(opened)))
            with opened.explained():
                return as_sums(opened.con.sql(sql).to_arrow_table())

    def moved_parts(self, day: date, against: date, *, rescan: bool = True) -> pa.Table:  # noqa: ARG002
        """As the port says, in either case: reading the bill's files again costs nothing."""
        with self._open() as opened:
            of_bill = (opened.format, opened.undoubled, self._rules)
            sql = athena_to_duckdb(bill_parts_sql(*of_bill, day, against, names=self._names(opened)))
            with opened.explained():
                return as_parts(opened.con.sql(sql).to_arrow_table())

    def keep_sums(self, day: date) -> None:
        """Nothing to keep: reading the bill's files again costs nothing."""

    def accounts(self) -> pa.Table:
        with self._open() as opened:
            sql = athena_to_duckdb(accounts_sql(opened.charges(EARLIEST, LATEST)))
            with opened.explained():
                return opened.con.sql(sql).to_arrow_table()

    def provide_summary(self) -> str:
        """Nothing to keep: each query that names the view makes it over the bill as it is then."""
        return f"{DATABASE}.finops_daily_summary (`finops query`)"

    def summary_view(self, con: duckdb.DuckDBPyConnection, name: str, bill: str = "bill") -> Sequence[Path]:
        """Create the view finops_daily_summary (all days) in another connection, over its table account_ou_map.

        Args:
            con: the connection.
            name: of the view.
            bill: of a view of the bill's lines, made for it.

        Returns:
            The files that the view reads.
        """
        with self._open() as opened:
            opened.create_bill_view(con, bill)
            summary = summary_sql(opened.charges(EARLIEST, LATEST, bill), names=self._names(opened))
            con.execute(f"CREATE VIEW {name} AS {athena_to_duckdb(summary)}")
            return opened.paths

    def _names(self, opened: OpenBill) -> Mapping[str, str]:
        """The name of each product code of the bill."""
        if not opened.format.service_code:
            return {}
        return known_names(self._archive).and_also(opened.learned).of(opened.format)

    @contextmanager
    def _open(self) -> Iterator[OpenBill]:
        """The bill as it is on disk now, in a connection of its own; recognised again only when a file has changed."""
        files = find_bill(self._path)
        with left_alone(files.files):
            with self._lock:
                if self._opened is None or self._opened[0] != files.snapshot:
                    opened = OpenBill(files, self._format_name, self._rules, self._config, self._contents)
                    self._opened = (files.snapshot, opened)
                session = self._opened[1].session()
            try:
                yield session
            finally:
                session.con.close()


def _spans(opened: OpenBill, start: date, end: date) -> list[tuple[date, date]]:
    """The days as spans that are queried one after the other: months, of a bill in Parquet with a file for each.

    Rows are sorted in memory before the first comes: those of 400 days at once took 800 MB. Of a month's days, DuckDB
    opens the other months' files for no more than their footers.
    """
    months = sorted({day.replace(day=1) for day in days_between(start, end)})
    if not opened.files.parquet or len(opened.files.files) < len(months):
        return [(start, end)]
    ends = [*(month - timedelta(days=1) for month in months[1:]), end]
    return [(max(month, start), last) for month, last in zip(months, ends, strict=True)]
