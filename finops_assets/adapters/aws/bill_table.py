"""The bill's table: what Glue says of it, the SQL that reads its columns and partitions, and its files in S3."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from finops_assets.adapters.aws.s3 import s3_explained
from finops_assets.core.bill import layout
from finops_assets.core.bill.bill_format import BillFormat
from finops_assets.core.bill.charges import EARLIEST, used_columns
from finops_assets.core.bill.control_totals import NO_PERIOD, control_columns, control_totals_sql
from finops_assets.core.bill.drivers_sql import driver_columns
from finops_assets.core.bill.formats import FORMATS
from finops_assets.core.bill.payers import payer_columns, payers_sql
from finops_assets.core.bill.recognition import recognise as recognise_format
from finops_assets.core.bill.rules import Rules, check_columns, cost_bases
from finops_assets.core.schemas import MONEY_SQL
from finops_assets.core.values import BillDescription, PassedOver

if TYPE_CHECKING:
    from obstore.store import ObjectStore

TIMES = ("string", "varchar", "timestamp", "date")
"""How Glue's types begin that can be read as a point in time."""

PERIOD_SQL = {
    "": NO_PERIOD,
    "billing_period": "billing_period",
    "month": "CONCAT(CAST(year AS VARCHAR), '-', LPAD(CAST(month AS VARCHAR), 2, '0'))",
}
"""The billing period of a line by the partition that it is in, for each kind of partitions."""


@dataclass(frozen=True)
class BillTable:
    """The bill's table as Glue describes it, and its files.

    Attributes:
        name: `database.table`.
        location: `s3://bucket/prefix` of its files; empty for a view.
        format, columns: the bill's format; its columns with their SQL types.
        select, select_drivers: the columns as the bill's SQL expects them, for a day's charges and for `drivers`.
        totals_sql, payers_sql: the control totals of the whole bill, and its payers.
        periods: the kind of its partitions, a key of PERIOD_SQL.
        description: of the bill; `with_files` adds what its location holds.
        period_ids, passed_over: the ExportVersion's.
    """

    name: str
    location: str
    format: BillFormat
    columns: Mapping[str, str]
    select: str
    select_drivers: str
    totals_sql: str
    payers_sql: str
    periods: str
    description: BillDescription
    period_ids: Mapping[str, str] = field(default_factory=dict)
    passed_over: tuple[PassedOver, ...] = ()

    @property
    def bucket_and_prefix(self) -> tuple[str, str]:
        bucket, _, prefix = self.location.removeprefix("s3://").partition("/")
        return bucket, prefix

    def source(self, select: str, start: date) -> str:
        """What a query of the days from `start` on reads from."""
        return f"(SELECT {select} FROM {_quoted(self.name)}{_since(self.periods, start)}) AS bill"


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

    def select(names: Iterable[str]) -> str:
        return ", ".join(f"{_typed(fmt, column, raw[column])} AS {column}" for column in names)

    periods = "billing_period" if "billing_period" in keys else "month" if {"year", "month"} <= keys else ""
    of_totals = {n: t for n, t in columns.items() if n != fmt.period or raw[n].startswith(TIMES)}
    source = (
        f"(SELECT {select(control_columns(fmt, of_totals, rules))}, {PERIOD_SQL[periods]} AS "
        f"period_of_partition FROM {_quoted(name)}) AS bill"
    )
    payers_source = (
        f"(SELECT {select(payer_columns(fmt, of_totals))}, {PERIOD_SQL[periods]} AS "
        f"period_of_partition FROM {_quoted(name)}) AS bill"
    )
    return BillTable(
        name=name,
        location=storage.get("Location", ""),
        format=fmt,
        columns=columns,
        select=select(used),
        select_drivers=select(driver_columns(fmt, columns, rules)),
        totals_sql=control_totals_sql(fmt, of_totals, rules, source, "period_of_partition"),
        payers_sql=payers_sql(fmt, of_totals, payers_source, "period_of_partition"),
        periods=periods,
        description=BillDescription(
            format=fmt.name,
            path=f"{name} in Athena",
            files=0,
            size_bytes=0,
            snapshot="",
            columns=used,
            cost_bases=cost_bases(fmt, columns),
        ),
    )


def with_files(table: BillTable, open_bucket: Callable[[str], ObjectStore]) -> BillTable:
    """The table with what its location holds now: the id of the bill changes when a file does."""
    bucket, prefix = table.bucket_and_prefix
    # A view has no files of its own.
    objects = sorted(objects_below(open_bucket, bucket, prefix), key=lambda o: o["path"]) if bucket else []
    files = [each for each in objects if not _passed_over(each)]
    versions = [(file["path"], f"{file['e_tag']} {file['size']}") for file in files]
    snapshot = hashlib.sha256(table.name.encode())
    for path, version in versions:
        snapshot.update(f"{path} {version}\n".encode())
    description = replace(
        table.description,
        files=len(files),
        size_bytes=sum(file["size"] for file in files),
        snapshot=snapshot.hexdigest()[:16],
        updated=max((file["last_modified"] for file in files), default=None),
    )
    passed_over = (
        (reason, each["path"].removeprefix(prefix).lstrip("/"), each["size"])
        for each in objects
        if (reason := _passed_over(each)) and layout.may_be_data(each["path"])
    )
    return replace(
        table,
        description=description,
        period_ids=layout.period_ids(versions),
        passed_over=layout.grouped(passed_over),
    )


def manifests(table: BillTable, open_bucket: Callable[[str], ObjectStore]) -> list[Mapping[str, Any]]:
    """The manifests that Data Exports keeps in a folder beside that of the data."""
    bucket, prefix = table.bucket_and_prefix
    export, data, _ = prefix.partition("/data/")
    if not bucket or not data:
        return []
    listed = objects_below(open_bucket, bucket, f"{export}/metadata/")
    return [each for each in listed if not _passed_over(each) and each["path"].endswith("anifest.json")]


def objects_below(open_bucket: Callable[[str], ObjectStore], bucket: str, prefix: str) -> Iterator[Mapping[str, Any]]:
    with s3_explained(bucket, prefix, "s3:ListBucket"):
        yield from (each for batch in open_bucket(bucket).list(prefix) for each in batch)


def _passed_over(listed: Mapping[str, Any]) -> str:
    """Why Athena does not read an object; empty where it does."""
    name = listed["path"].rsplit("/", 1)[-1]
    return layout.HIDDEN if layout.is_hidden(name) else "" if listed["size"] else layout.EMPTY


def _sql_type(hive_type: str) -> str:
    return {"string": "VARCHAR", "int": "INTEGER"}.get(hive_type, hive_type.upper())


def _typed(fmt: BillFormat, name: str, hive_type: str) -> str:
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
    if name in fmt.accounts and hive_type in ("bigint", "int", "double"):
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
