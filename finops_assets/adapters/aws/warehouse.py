"""The warehouse on AWS: Athena makes one pass over the bill's table; its sums are staged, fetched and read here.

Athena sums the lines by day, account and service (one UNLOAD for a whole range of days); the account map is looked up
on these sums with the same SQL as on the embedded platform, in bounded memory.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from finops_assets.adapters.aws import bill_sql
from finops_assets.adapters.aws.athena import Athena
from finops_assets.adapters.aws.bill_payers import refuse_shared
from finops_assets.adapters.aws.bill_sources import BillSources
from finops_assets.adapters.aws.bill_table import BillTable, impossible, manifests, recognise, with_files, without_cost
from finops_assets.adapters.aws.fetched_sums import (
    BATCH_ROWS,
    SUMS,
    FetchedSums,
    by_day,
    counted_sums_sql,
    new_folder,
    read_files,
)
from finops_assets.adapters.aws.glue_tables import MAP_TABLE, GlueTables
from finops_assets.adapters.aws.staging import Staging
from finops_assets.adapters.aws.summary_view import NAME, SummaryView
from finops_assets.adapters.shared.duck import athena_to_duckdb, connect
from finops_assets.core.accounts.account_ids import refuse_impossible
from finops_assets.core.analytics.driver_sums import as_sums
from finops_assets.core.analytics.moved_parts import as_parts
from finops_assets.core.archive.breakdown import day_prints
from finops_assets.core.archive.sku_sums import SkuSums
from finops_assets.core.bill import layout, queries, refusals
from finops_assets.core.bill.charges import EARLIEST, LATEST
from finops_assets.core.bill.commitments import tells_commitments
from finops_assets.core.bill.control_totals import control_totals
from finops_assets.core.bill.currencies import OfAccounts, account_currencies
from finops_assets.core.bill.drivers_sql import effects_sql, sku_keys
from finops_assets.core.bill.parts_sql import parts_sql
from finops_assets.core.bill.payers import payer_periods
from finops_assets.core.bill.profile import bill_profile, profile_sql
from finops_assets.core.bill.rules import Rules
from finops_assets.core.bill.service_names import keep_names, known_names, learned
from finops_assets.core.bill.source_days import Fact, source_days
from finops_assets.core.bill.totals import bill_totals
from finops_assets.core.errors import BillError
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
    import pyarrow as pa
    from obstore.store import ObjectStore

Answer = TypeVar("Answer")

STAGED_FOR = 3600.0
"""Seconds that fetched sums are read again within one process: the steps of a run follow each other at once."""


class AthenaWarehouse:
    """Reads the bill through its Athena table.

    Args:
        table: bill.table, `database.table`.
        format_name: bill.format.
        rules: what the settings ask of the bill.
        athena: runs the statements.
        tables: Glue's tables.
        staging: brings the sums here.
        archive: keeps the statement of the view, and the names of services.
        open_bucket: opens the bill's bucket, to list its files.
        memory, threads: what the embedded engine may use on the sums.
        folder: where sums lie while they are read.
    """

    def __init__(  # noqa: PLR0913  (one for each part that it works with, given by name, in one place)
        self,
        table: str,
        format_name: str,
        rules: Rules,
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
        self._summary = SummaryView(tables, athena, archive)
        self._open, self._folder = open_bucket, folder
        self._sources = BillSources(tables, open_bucket)
        self._config = {"memory_limit": memory, "temp_directory": str(folder)} | (
            {"threads": threads} if threads else {}
        )
        self._lock = threading.Lock()
        self._table: BillTable | None = None
        self._proved = ""
        self._fetched: FetchedSums | None = None
        self._version: ExportVersion | None = None
        self._delivery = ""
        self._totals: tuple[str, float, list[ControlTotal]] | None = None
        self._whole = ""

    def describe(self) -> BillDescription:
        return (self._table or self._current()).description

    def export_version(self) -> ExportVersion:
        known = self._table
        table = known or self._current()
        # What a view reads may be another table tomorrow.
        delivered = [] if table.is_view else manifests(table, self._open)
        if not delivered:
            table = self._current() if known else table
            return self._export_version(table, table.description.snapshot, table.description.updated)
        listing = "\n".join(f"{manifest['path']} {manifest['e_tag']}" for manifest in delivered)
        snapshot = hashlib.sha256(listing.encode()).hexdigest()[:16]
        # The data files come before their manifests: they are listed once for each delivery, not each time. A period
        # that lacks its partition may get it between two deliveries.
        before = self._version
        if before is None or self._delivery != snapshot or before.unregistered:
            self._delivery = snapshot
            table = self._current() if known else table
            newest = max(manifest["last_modified"] for manifest in delivered)
            if table.unregistered:
                missing = f"{snapshot} {' '.join(table.unregistered)}"
                snapshot = hashlib.sha256(missing.encode()).hexdigest()[:16]
            self._version = self._export_version(table, snapshot, newest)
        assert self._version is not None, "it was made above"
        return self._version

    def _export_version(self, table: BillTable, snapshot: str, updated: datetime | None) -> ExportVersion:
        return ExportVersion(
            snapshot,
            updated,
            periods=table.period_ids,
            passed_over=table.passed_over,
            unregistered=table.unregistered,
        )

    def fingerprints(self, start: date, end: date, accounts: pa.Table) -> dict[date, DayPrint]:  # noqa: ARG002
        """As the port says; Athena reads the published account map, which is the same."""
        self._tables.ensure()
        table = self._current()
        sql = bill_sql.compared_sql(table, self._rules, self._names(table), start, end)
        return day_prints(self._athena.rows(sql, f"compare the days from {start} to {end} with the archive")[1])

    def control_totals(self) -> list[ControlTotal]:
        table = self._current()
        snapshot, known = table.description.snapshot, self._totals
        if known is None or known[0] != snapshot or time.monotonic() - known[1] > STAGED_FOR:
            rows = self._athena.rows(table.totals_sql, "control totals of the whole bill")[1]
            self._totals = known = snapshot, time.monotonic(), control_totals(rows, layout.normal_period)
        return list(known[2])

    def payers(self) -> list[PayerPeriod]:
        return payer_periods(self._athena.rows(self._current().payers_sql, "payers of the whole bill")[1])

    def profile(self, since: date) -> BillProfile:
        table = self._current()
        source = table.source(table.select_profile, since)
        sql = profile_sql(table.format, table.columns, self._rules, since, source)
        names = known_names(self._archive)
        return bill_profile(self._athena.rows(sql, f"what the bill is like since {since}")[1], len(names.learned))

    def source_days(self, start: date, end: date) -> dict[date, SourceDay]:
        table, fetched = self._sums(start, end)
        with closing(fetched.connect(self._config)) as con:
            rows = con.execute(
                "SELECT charge_date, currency, charge_category, scheduled, left_out, lines, without_cost, total, "
                f"amounts, provider, usage, month_long, lacks FROM {SUMS} "
                f"WHERE is_of = '{queries.OF_SOURCE}' ORDER BY ALL"
            ).fetchall()
        facts = [Fact(*row) for row in rows]
        self._refuse(table, facts)
        return source_days(
            facts,
            self._rules.currency,
            lambda day, lines: without_cost(table, self._rules, day, lines),
            lambda: bill_totals(self.control_totals()).currency,
        )

    def account_currencies(self, start: date, end: date) -> OfAccounts:
        sql = bill_sql.currencies(self._current(), self._rules, start, end)
        purpose = f"currencies of the accounts from {start} to {end}"
        return account_currencies(self._athena.rows(sql, purpose)[1], self._name)

    def breakdown(self, start: date, end: date, accounts: pa.Table) -> Iterator[pa.RecordBatch]:
        table, fetched = self._sums(start, end)
        keys = self._rules.dimensions
        sums = counted_sums_sql(keys)
        sql = athena_to_duckdb(queries.breakdown_sql(sums, names=self._names(table), dimensions=bool(keys)))
        with closing(fetched.connect(self._config)) as con:
            con.register("account_ou_map", accounts)
            for batch in con.sql(sql).to_arrow_reader(BATCH_ROWS):
                refuse_impossible(batch.column("linkedaccount"), lambda text: impossible(table, text))
                yield batch

    def commitments(self, start: date, end: date) -> Iterator[pa.RecordBatch]:
        table, fetched = self._sums(start, end)
        return fetched.commitments(self._config) if tells_commitments(table.format, table.columns) else iter(())

    def drivers(self, day: date, against: date) -> pa.Table:
        """As the port says, of sums by SKU: those of the pass over the day, and those that an earlier one has kept."""
        return as_sums(self._of_sums(self._current(), day, against, effects_sql))

    def moved_parts(self, day: date, against: date, *, rescan: bool = True) -> pa.Table:
        """As the port says: by a query over both days where resources are asked for, else of the sums by SKU."""
        table = self._current()
        sql = bill_sql.parts_by_resource(table, self._rules, self._names(table), day, against) if rescan else ""
        if not sql:
            return as_parts(self._of_sums(table, day, against, parts_sql))
        return self._asked(table, sql, f"what moved on {day}", lambda files: as_parts(read_files(files)))

    def _of_sums(self, table: BillTable, day: date, against: date, question: Callable[..., str]) -> pa.Table:
        """The answer to a question about the sums by SKU of two days; those that are not kept are asked for."""
        import pyarrow as pa

        skus, kept = sku_keys(table.format, table.columns, self._rules), self._kept_sums(table)
        known = kept.read((against, day))
        if missing := [each for each in (against, day) if each not in known]:
            asked = self._sku_sums(table, skus, missing)
            known |= asked
            kept.keep(asked)
        kept.sweep(day)
        sql = question("SELECT * FROM sku_sums", skus, day, against, self._names(table))
        with closing(connect(self._config)) as con:
            con.register("sku_sums", pa.concat_tables(known.values()))
            return con.sql(athena_to_duckdb(sql)).to_arrow_table()

    def keep_sums(self, day: date) -> None:  # noqa: ARG002  (those of all its days are kept)
        self._kept_sums(self._current())

    def _kept_sums(self, table: BillTable) -> SkuSums:
        """The kept sums by SKU, with those of the last pass among them."""
        skus = sku_keys(table.format, table.columns, self._rules)
        kept = SkuSums(self._archive, self._name, f"{table.format.name} {self._rules} {skus} {queries.SHOWN_COLUMNS}")
        fetched = self._fetched
        if fetched and not fetched.sums_kept and fetched.key[0] == table.description.snapshot:
            kept.keep(fetched.sku_sums(skus, self._config))
            self._fetched = replace(fetched, sums_kept=True)
        return kept

    def _sku_sums(self, table: BillTable, skus: Sequence[str], days: Sequence[date]) -> dict[date, pa.Table]:
        """The sums by SKU of one or two days, by a query of their own."""
        sql, purpose = bill_sql.sku_sums(table, self._rules, days), f"what was used on {' and '.join(map(str, days))}"
        return self._asked(table, sql, purpose, lambda files: by_day(files, skus, days, self._config))

    def _asked(self, table: BillTable, sql: str, purpose: str, read: Callable[[Sequence[Path]], Answer]) -> Answer:
        """What is read from the files of a query's answer."""
        folder = new_folder(self._folder)
        try:
            return read(self._staging.fetch(sql, table.description.snapshot, purpose, folder))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def accounts(self) -> pa.Table:
        import pyarrow as pa

        lines = bill_sql.charges(self._table or self._current(), self._rules, EARLIEST, LATEST)
        names, rows = self._athena.rows(queries.accounts_sql(lines), "which accounts the bill names")
        return pa.table({name: [row[i] for row in rows] for i, name in enumerate(names)})

    def provide_summary(self, beside: Sequence[AthenaWarehouse] = ()) -> str:
        """As the port says; of several bills the view has the lines of the others `beside` this one, too."""
        if self._name == NAME:
            return f"{NAME}, the table that was there before"
        bills = (self, *beside)
        other = self._summary.provide("\nUNION ALL\n".join(each.summary_select() for each in bills))
        if other:
            return f"{NAME}, the {other} that was there before: it was not made here, and stays as it is"
        return f"{NAME}, a view over {', '.join(each.table for each in bills)}"

    @property
    def table(self) -> str:
        """The bill's table, `database.table`."""
        return self._name

    def summary_select(self) -> str:
        """The SELECT of finops_daily_summary over this bill, all days."""
        table = self._table or self._current()
        return queries.summary_sql(
            bill_sql.charges(table, self._rules, EARLIEST, LATEST), f"{DATABASE}.{MAP_TABLE}", self._names(table)
        )

    def statements(self, day: date) -> dict[str, str]:
        """What a run of a day asks of the bill's table, as SELECTs: what for -> the statement."""
        table = self._current()
        return bill_sql.statements(table, self._rules, self._names(table), day)

    def _sums(self, start: date, end: date) -> tuple[BillTable, FetchedSums]:
        """The sums of these days: fetched ones are used again, unless the bill's files have changed since."""
        with self._lock:
            table = self._current()
            key = (table.description.snapshot, start, end)
            fetched = self._fetched
            if fetched is None or fetched.key != key or time.monotonic() - fetched.fetched_at > STAGED_FOR:
                self._discard()
                folder = new_folder(self._folder)
                teaches = "service_name" in table.format.select(table.columns)
                by = len(self._rules.dimensions)
                select, skus_since = bill_sql.day_pass(table, self._rules, start, end, teaches=teaches)
                purpose = f"sum the bill of {start}" + (f" to {end}" if end != start else "")
                files = self._staging.fetch(select, table.description.snapshot, purpose, folder)
                self._fetched = fetched = FetchedSums(key, folder, tuple(files), time.monotonic(), by, skus_since)
                if teaches and files:
                    self._learn_names(fetched)
            return table, fetched

    def _names(self, table: BillTable) -> Mapping[str, str]:
        """The name of each product code of the bill."""
        if not table.format.service_code:
            return {}
        return known_names(self._archive).of(table.format)

    def _learn_names(self, fetched: FetchedSums) -> None:
        """Keep the names of product codes that are new in these sums: they come with them, by no further scan."""
        with closing(fetched.connect(self._config)) as con:
            rows = con.execute(
                f"SELECT service_code, service_name, lines FROM {SUMS} WHERE is_of = '{queries.OF_NAMES}'"
            ).fetchall()
        keep_names(self._archive, learned(rows))

    def _discard(self) -> None:
        if self._fetched is not None:
            shutil.rmtree(self._fetched.folder, ignore_errors=True)
            self._fetched = None

    def __del__(self) -> None:
        self._discard()

    def _current(self) -> BillTable:
        """The table as it is now: its columns are asked of Glue once a process, its files listed each time."""
        known = self._table or recognise(
            self._name, self._format_name, self._rules, self._sources.glue_table(self._name).description
        )
        source = self._sources.current(self._name)
        table = with_files(known, source)
        if self._proved != table.description.snapshot:
            refuse_shared(self._name, source, self._athena)
            self._proved = table.description.snapshot
        self._table = table
        return table

    def _refuse(self, table: BillTable, facts: list[Fact]) -> None:
        """Refuse lines without a date, a column or a currency, several currencies, and a monthly export."""
        undated = sum(f.lines for f in facts if f.day is None)
        if undated:
            raise BillError(
                f"{undated} line(s) have no date that can be booked",
                where=f"{self._name}, column {table.format.start}",
                fix="No line may be lost: export the bill again.",
            )
        self._refuse_half_filled(table)
        kept = [f for f in facts if f.left_out is None]
        refusals.refuse_lacking(
            ((f.lacks, f.without_cost) for f in kept), table.format, table.columns, self._rules, self._name
        )
        if column := table.format.currency:
            amounts = ((f.currency, f.amounts) for f in facts)
            rules, where = self._rules, f"{self._name}, column {column}"
            refusals.refuse_currencies(amounts, rules.currency, self._name, where, several=rules.several_currencies)
        usage, month_long = sum(f.usage for f in facts), sum(f.month_long for f in facts)
        # One day's usage may last a month in any bill: all of its days are asked.
        if refusals.is_monthly(usage, month_long) and bill_totals(self.control_totals()).on_firsts:
            refusals.refuse_monthly(usage, month_long, self._name)

    def _refuse_half_filled(self, table: BillTable) -> None:
        """Refuse billing periods in which some lines have no cost; asked once of each version of the bill."""
        if not table.half_filled_sql or self._whole == table.description.snapshot:
            return
        basis = self._rules.cost_basis
        rows = self._athena.rows(table.half_filled_sql, f"which billing periods have no {basis} cost")[1]
        places = ((period, lines) for period, lines in rows)
        refusals.refuse_half_filled(places, basis, table.format.bases[basis].column, self._name)
        self._whole = table.description.snapshot
