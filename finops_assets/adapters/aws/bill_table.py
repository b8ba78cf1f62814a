"""The bill's table: what Glue says of its columns, the SQL that reads them, and what its files say of the bill."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import partial
from typing import Any

from finops_assets.adapters.aws.bill_listing import OpenBucket, metadata_prefix, objects_below
from finops_assets.adapters.aws.bill_sources import BillSource
from finops_assets.adapters.aws.bill_view import quoted_name
from finops_assets.core.accounts.account_ids import impossible_account
from finops_assets.core.bill import layout
from finops_assets.core.bill.bill_format import BillFormat, Columns
from finops_assets.core.bill.charges import EARLIEST, used_columns
from finops_assets.core.bill.control_totals import NO_PERIOD, control_columns, control_totals_sql
from finops_assets.core.bill.dimensions import absent_columns
from finops_assets.core.bill.drivers_sql import driver_columns
from finops_assets.core.bill.formats import FORMATS
from finops_assets.core.bill.further_columns import further_columns
from finops_assets.core.bill.manifests import is_manifest
from finops_assets.core.bill.parts_sql import part_columns, resource_column
from finops_assets.core.bill.payers import payer_columns, payers_sql
from finops_assets.core.bill.profile import profile_columns
from finops_assets.core.bill.queries import half_filled_sql
from finops_assets.core.bill.recognition import recognise as recognise_format
from finops_assets.core.bill.rules import Rules, check_columns, cost_bases, missing_columns
from finops_assets.core.errors import BillError
from finops_assets.core.schemas import MONEY_SQL
from finops_assets.core.values import BillDescription, PassedOver

TIMES = ("string", "varchar", "timestamp", "date")
"""How Glue's types begin that can be read as a point in time."""

PERIOD_SQL = {
    "": NO_PERIOD,
    "billing_period": "billing_period",
    "month": "CONCAT(CAST(year AS VARCHAR), '-', LPAD(CAST(month AS VARCHAR), 2, '0'))",
}
"""The billing period of a line by the partition that it is in, for each kind of partitions."""

OF_PARTITION = "period_of_partition"


@dataclass(frozen=True)
class BillTable:
    """The bill's table as Glue describes it, and its files.

    Attributes:
        name: `database.table`.
        format, columns: the bill's format; its columns with their SQL types.
        select, select_profile: the columns as the bill's SQL expects them, for a day's charges and for `profile`.
        select_skus, select_no_skus: the further columns that tell what was used, and NULLs in their place.
        select_resources: those that name the resource behind a line, too; empty where the bill has none.
        select_totals, totals: the columns of the control totals, and their SQL by what it reads from.
        select_payers, payers: those of the bill's payers.
        half_filled: gives the SQL of billing periods in which some lines have no cost (`core.bill.queries`), likewise;
            None where there can be none.
        periods: the kind of its partitions, a key of PERIOD_SQL.
        description: of the bill; `with_files` adds what its location holds.
        relation: what stands behind FROM: the table, the view, or the view's text.
        condition: leaves the files over that are the bill; empty where all are.
        locations: of the tables that hold the bill.
        is_view: whether bill.table is a view.
        period_ids, passed_over, unregistered: the ExportVersion's.
    """

    name: str
    format: BillFormat
    columns: Mapping[str, str]
    select: str
    select_skus: str
    select_no_skus: str
    select_resources: str
    select_profile: str
    select_totals: str
    totals: Callable[[str], str]
    select_payers: str
    payers: Callable[[str], str]
    half_filled: Callable[[str], str] | None
    periods: str
    description: BillDescription
    relation: str
    condition: str = ""
    locations: tuple[str, ...] = ()
    is_view: bool = False
    period_ids: Mapping[str, str] = field(default_factory=dict)
    passed_over: tuple[PassedOver, ...] = ()
    unregistered: Mapping[str, str] = field(default_factory=dict)

    def source(self, select: str, start: date) -> str:
        """What a query of the days from `start` on reads from."""
        return f"({self._selected(select, _since(self.periods, start))}) AS bill"

    def source_with_skus(self, start: date, skus_since: date) -> str:
        """What a pass over the days from `start` on reads from, which asks for SKUs from a later day on.

        Each billing period is read once, and those that cannot hold that day without the columns that name SKUs.
        """
        with_skus = f"{self.select}, {self.select_skus}" if self.select_skus else self.select
        since = _since(self.periods, skus_since)
        if not since or (start.year, start.month) == (skus_since.year, skus_since.month):
            return self.source(with_skus, start)
        before = filter(None, (_since(self.periods, start), f"NOT ({since})"))
        without_skus = f"{self.select}, {self.select_no_skus}" if self.select_skus else self.select
        parts = (self._selected(without_skus, *before), self._selected(with_skus, since))
        return f"({' UNION ALL '.join(parts)}) AS bill"

    def _selected(self, select: str, *conditions: str) -> str:
        of_lines = " AND ".join(filter(None, (*conditions, self.condition)))
        return f"SELECT {select} FROM {self.relation}" + (f" WHERE {of_lines}" if of_lines else "")

    @property
    def totals_sql(self) -> str:
        """The control totals of the whole bill."""
        return self.totals(self.source(self.select_totals, EARLIEST))

    @property
    def payers_sql(self) -> str:
        """The payers of the whole bill."""
        return self.payers(self.source(self.select_payers, EARLIEST))

    @property
    def half_filled_sql(self) -> str:
        """Billing periods in which some lines have no cost; empty: none can have."""
        return self.half_filled(self.source(self.select_totals, EARLIEST)) if self.half_filled else ""


def recognise(name: str, format_name: str, rules: Rules, glue_table: Mapping[str, Any]) -> BillTable:
    """The bill's table by its columns; its files are not known yet.

    Args:
        name: bill.table, `database.table`.
        format_name: bill.format.
        rules: what the settings ask of the bill.
        glue_table: as Glue's GetTable gives it.

    Raises:
        BillError: the columns are of no known format, or the rules need one that is missing.
    """
    storage = glue_table.get("StorageDescriptor", {})
    raw = {c["Name"].lower(): c["Type"].lower() for c in storage.get("Columns", ())}
    keys = {k["Name"].lower() for k in glue_table.get("PartitionKeys", ())}
    fmt = recognise_format(raw, name) if format_name == "auto" else FORMATS[format_name]
    columns = {column: _sql_type(type_) for column, type_ in raw.items()}
    check_columns(fmt, columns, rules, name)
    used = used_columns(fmt, columns, rules)

    of_charges = dict.fromkeys((*used, *further_columns(fmt, columns, rules)))
    of_skus = [name for name in driver_columns(fmt, columns, rules) if name not in of_charges]

    parts = part_columns(fmt, columns, rules)

    def select(names: Iterable[str]) -> str:
        return ", ".join(f"{_typed(fmt, column, raw[column])} AS {column}" for column in names)

    periods = "billing_period" if "billing_period" in keys else "month" if {"year", "month"} <= keys else ""
    of_totals = {n: t for n, t in columns.items() if n != fmt.period or raw[n].startswith(TIMES)}
    # Files are not told apart here: without billing periods, a month without net costs is like a line without them.
    place = fmt.period if fmt.period in of_totals else OF_PARTITION if periods else ""
    return BillTable(
        name=name,
        format=fmt,
        columns=columns,
        select=select(of_charges),
        select_skus=select(of_skus),
        select_no_skus=", ".join(f"CAST(NULL AS {_no_sku_type(fmt, n)}) AS {n}" for n in of_skus),
        select_resources=select(parts) if resource_column(fmt, columns, rules) else "",
        select_profile=select(profile_columns(fmt, columns, rules)),
        select_totals=f"{select(control_columns(fmt, of_totals, rules))}, {PERIOD_SQL[periods]} AS {OF_PARTITION}",
        totals=partial(_totals_sql, fmt, of_totals, rules),
        select_payers=f"{select(payer_columns(fmt, of_totals))}, {PERIOD_SQL[periods]} AS {OF_PARTITION}",
        payers=partial(_payers_sql, fmt, of_totals),
        half_filled=partial(half_filled_sql, fmt, of_totals, rules, place) if place else None,
        periods=periods,
        relation=quoted_name(name),
        description=BillDescription(
            format=fmt.name,
            path=f"{name} in Athena",
            files=0,
            size_bytes=0,
            snapshot="",
            columns=used,
            cost_bases=cost_bases(fmt, columns),
            missing_columns=missing_columns(fmt, columns),
            dimensions={key: absent_columns(fmt, columns, key) for key in rules.dimensions},
        ),
    )


def _totals_sql(fmt: BillFormat, columns: Columns, rules: Rules, source: str) -> str:
    return control_totals_sql(fmt, columns, rules, source, OF_PARTITION)


def _payers_sql(fmt: BillFormat, columns: Columns, source: str) -> str:
    return payers_sql(fmt, columns, source, OF_PARTITION)


def with_files(table: BillTable, source: BillSource) -> BillTable:
    """The table with the files that it reads now: the id of the bill changes when one of them does."""
    versions, newest, size, files = [], [], 0, 0
    passed_over: list[PassedOver] = []
    unregistered: dict[str, list[str]] = defaultdict(list)
    deliveries: dict[str, list[str]] = defaultdict(list)
    for name, (_, found) in sorted(source.tables.items()):
        chosen = [one.listed for one in found.choice.files]
        of = f"{name} " if source.text else ""
        versions += [(f"{of}{listed.path}", listed.version) for listed in chosen]
        if name not in source.bills:
            continue
        files, size = files + len(chosen), size + sum(listed.size for listed in chosen)
        newest += [listed.modified for listed in chosen]
        passed_over += found.choice.passed_over
        for period, words in found.unregistered.items():
            unregistered[period].append(words)
        for period, delivery in found.choice.deliveries.items():
            deliveries[period].append(delivery)
    snapshot = hashlib.sha256(f"{table.name}{source.text}".encode())
    for path, version in versions:
        snapshot.update(f"{path} {version}\n".encode())
    description = replace(
        table.description,
        files=files,
        size_bytes=size,
        snapshot=snapshot.hexdigest()[:16],
        updated=max(newest, default=None),
        deliveries={period: ", ".join(of_period) for period, of_period in sorted(deliveries.items())},
    )
    return replace(
        table,
        description=description,
        relation=source.relation,
        condition=source.condition,
        locations=tuple(source.tables[name][0].location for name in sorted(source.bills)),
        is_view=bool(source.text),
        period_ids=layout.period_ids(versions),
        passed_over=tuple(passed_over),
        unregistered={period: "; ".join(of_period) for period, of_period in sorted(unregistered.items())},
    )


def manifests(table: BillTable, open_bucket: OpenBucket) -> list[Mapping[str, Any]]:
    """The manifests that Data Exports keeps in a folder beside that of the data."""
    folders = dict.fromkeys(filter(None, map(metadata_prefix, table.locations)))
    listed = (each for bucket, prefix in folders for each in objects_below(open_bucket, bucket, prefix))
    return [
        each
        for each in listed
        if each["size"] and is_manifest(each["path"]) and not layout.is_hidden(each["path"].split("/")[-1])
    ]


def impossible(table: BillTable, account: str) -> BillError:
    """The error of an account id that cannot be one."""
    columns = [name for name in table.format.accounts if name in table.columns]
    return impossible_account(account, f"{table.name}, column {' or '.join(columns)}")


def without_cost(table: BillTable, rules: Rules, day: date, lines: int) -> BillError:
    """The error of lines of a day without a cost."""
    basis = table.format.bases[rules.cost_basis]
    of_rules = basis.rules(table.columns)
    columns = {basis.column}.union(*(rule.columns for rule in of_rules)) & set(table.columns)
    return BillError(
        f"{lines} line(s) of {day} have no {rules.cost_basis} cost",
        where=f"{table.name}, column {' or '.join(sorted(columns))}",
        fix="Export the bill again with that column filled, or choose another bill.cost_basis.",
    )


def _sql_type(hive_type: str) -> str:
    return {"string": "VARCHAR", "int": "INTEGER"}.get(hive_type, hive_type.upper())


def _typed(fmt: BillFormat, name: str, hive_type: str) -> str:
    """A column as the bill's SQL expects it, in Athena's SQL; tables over CSV files hold nothing but strings."""
    if hive_type == "binary":  # text that was not marked as text; Glue's crawler takes it for bytes
        return _typed(fmt, f"FROM_UTF8({name})", "string")
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
    if name in fmt.accounts and hive_type == "double":  # as text it would be in scientific notation
        return f"CAST(CAST({name} AS BIGINT) AS VARCHAR)"
    if hive_type == "string" or hive_type.startswith(("map", "varchar")):
        return name
    return f"CAST({name} AS VARCHAR)"


def _no_sku_type(fmt: BillFormat, name: str) -> str:
    """The type, as `_typed` selects it, of a column that tells what was used."""
    return "DOUBLE" if name in fmt.quantities else "VARCHAR"


def _since(periods: str, start: date) -> str:
    """The condition that skips billing periods before these days; empty where none is skipped.

    A line can be billed in a later period than it started in (a correction, a tax), and a fee in the period before; an
    engine that reads all the later ones loses none of them. Months may be written without their zero, `2025-9`: as text
    such a period is not before the same one in two digits.
    """
    if start <= EARLIEST or not periods:
        return ""
    first = start.replace(day=1) - timedelta(days=1)
    if periods == "billing_period":
        return f"billing_period >= '{first:%Y-%m}'"
    return f"CAST(year AS INTEGER) * 100 + CAST(month AS INTEGER) >= {first:%Y%m}"
