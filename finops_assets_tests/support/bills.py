"""Bills for tests: the same charges written as any format, file kind and layout, and what reads them.

A `Line` is a charge in plain words; `rows_of` lays it out as one format names it, `write_rows` writes rows as they
are. Nothing here reads a bill or sums money.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from finops_assets.adapters.local.warehouse import DuckDBWarehouse
from finops_assets.adapters.shared.archive import ObjectArchive, folder_store
from finops_assets.core.accounts import account_map as accounts
from finops_assets.core.archive import publishing
from finops_assets.core.bill.rules import Rules
from finops_assets.core.bill.totals import bill_totals
from finops_assets.core.ports import Warehouse
from finops_assets.core.schemas import ACCOUNT_MAP_PATH
from finops_assets.core.values import SourceDay

FORMATS = ("focus", "cur2", "cur", "summary")
KINDS = ("parquet", "csv", "csv.gz")
DAY = date(2025, 9, 10)
ACCOUNT = "111122223333"
PAYER = "999988887777"


class Unquoted(str):
    """Text that is written to CSV as it is, such as an unquoted NULL."""

    __slots__ = ()


NULL = Unquoted("NULL")


def at(day: date = DAY, hour: int = 0, minute: int = 0, second: int = 0, microsecond: int = 0) -> datetime:
    """A moment in UTC without a zone, as AWS writes it."""
    return datetime(day.year, day.month, day.day, hour, minute, second, microsecond)  # noqa: DTZ001


@dataclass(frozen=True)
class Line:
    """One charge; `category` is Usage, Purchase, Tax, Credit or Refund, and `extra` are columns of its format."""

    cost: Decimal
    start: datetime = field(default_factory=at)
    service: str | None = "Amazon EC2"
    account: str | None = ACCOUNT
    category: str = "Usage"
    length: timedelta = timedelta(hours=1)
    currency: str = "USD"
    ou: str = "Engineering"
    extra: Mapping[str, Any] = field(default_factory=dict)


def line(cost: str | int | Decimal, **facts: Any) -> Line:
    return Line(Decimal(cost), **facts)


def rows_of(lines: Iterable[Line], fmt: str) -> list[dict[str, Any]]:
    """The lines with the columns of a format, named as its CSV files name them."""
    return [{**_LAYOUTS[fmt](one), **one.extra} for one in lines]


def _focus(one: Line) -> dict[str, Any]:
    refund = one.category == "Refund"
    return {
        "BilledCost": one.cost,
        "EffectiveCost": one.cost,
        "BillingAccountId": PAYER,
        "BillingCurrency": one.currency,
        "ChargeCategory": "Adjustment" if refund else one.category,
        "ChargeClass": None,
        "ChargeFrequency": "Usage-Based" if one.category == "Usage" else "One-Time",
        "ChargePeriodStart": one.start,
        "ChargePeriodEnd": one.start + one.length,
        "ServiceName": one.service,
        "SubAccountId": one.account,
        "SubAccountName": "shop-prod",
    }


def _cur2(one: Line) -> dict[str, Any]:
    return {
        "bill_payer_account_id": PAYER,
        "bill_payer_account_name": "payer",
        "line_item_usage_account_id": one.account,
        "line_item_usage_account_name": "shop-prod",
        "line_item_line_item_type": "Fee" if one.category == "Purchase" else one.category,
        "line_item_product_code": one.service,
        "line_item_currency_code": one.currency,
        "line_item_unblended_cost": one.cost,
        "line_item_usage_start_date": one.start,
        "line_item_usage_end_date": one.start + one.length,
    }


def _cur(one: Line) -> dict[str, Any]:
    """As a legacy CUR's CSV names them; its Parquet has the names of `normal_name`."""
    return {
        "bill/PayerAccountId": PAYER,
        "lineItem/UsageAccountId": one.account,
        "lineItem/LineItemType": "Fee" if one.category == "Purchase" else one.category,
        "lineItem/ProductCode": one.service,
        "lineItem/CurrencyCode": one.currency,
        "lineItem/UnblendedCost": one.cost,
        "lineItem/UsageStartDate": one.start,
        "lineItem/UsageEndDate": one.start + one.length,
    }


def _summary(one: Line) -> dict[str, Any]:
    return {
        "BillingDate": one.start.date(),
        "OU": one.ou,
        "Service": one.service,
        "LinkedAccount": one.account,
        "Cost": one.cost,
    }


_LAYOUTS = {"focus": _focus, "cur2": _cur2, "cur": _cur, "summary": _summary}

LEGACY_PARQUET = {
    "bill/PayerAccountId": "bill_payer_account_id",
    "lineItem/UsageAccountId": "line_item_usage_account_id",
    "lineItem/LineItemType": "line_item_line_item_type",
    "lineItem/ProductCode": "line_item_product_code",
    "lineItem/CurrencyCode": "line_item_currency_code",
    "lineItem/UnblendedCost": "line_item_unblended_cost",
    "lineItem/UsageStartDate": "line_item_usage_start_date",
    "lineItem/UsageEndDate": "line_item_usage_end_date",
}


def make_bill(path: Path, lines: Iterable[Line], fmt: str = "focus", kind: str = "parquet") -> Path:
    """The lines as one file of the format and kind in a new folder; returns what bill.path would be set to."""
    rows = rows_of(lines, fmt)
    if kind == "parquet" and fmt == "cur":
        rows = [{LEGACY_PARQUET.get(name, name): value for name, value in row.items()} for row in rows]
    return write_rows(path / f"{fmt}.{kind}", rows)


def write_rows(file: Path, rows: Sequence[Mapping[str, Any]], types: Mapping[str, pa.DataType] | None = None) -> Path:
    """Rows as Parquet, CSV or gzipped CSV, by the file's name. In Parquet decimals become doubles, as AWS has them.

    Args:
        file: the file, replaced; folders are made.
        rows: all with the columns of any of them; a column that a row lacks is null there.
        types: Arrow types of columns, where they are not to be guessed.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    names = list(dict.fromkeys(name for row in rows for name in row))
    if file.suffix == ".parquet":
        columns = {name: _array([row.get(name) for row in rows], (types or {}).get(name)) for name in names}
        pq.write_table(pa.table(columns), file)
        return file
    text = csv_text(names, ([row.get(name) for name in names] for row in rows))
    data = text.encode()
    file.write_bytes(gzip.compress(data) if file.suffix == ".gz" else data)
    return file


def _array(values: list, type_: pa.DataType | None) -> pa.Array:
    if type_ is None and any(isinstance(value, Decimal) for value in values):
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    if type_ is None and all(value is None for value in values):
        type_ = pa.string()
    return pa.array(values, type_)


def csv_text(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """RFC 4180; None is nothing between the commas, and text that says NULL is quoted."""
    return "".join(",".join(map(_cell, row)) + "\n" for row in [list(header), *rows])


def _cell(value: Any) -> str:
    if isinstance(value, Unquoted):
        return str(value)
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return f"{value:f}"
    text = value.isoformat(sep=" ") if isinstance(value, datetime) else str(value)
    return '"' + text.replace('"', '""') + '"' if text == "NULL" or set(text) & set(',"\r\n') else text


def write_data_export(
    root: Path,
    lines: Iterable[Line],
    *,
    period: str = "2025-09",
    version: str = "",
    kind: str = "parquet",
    manifest: bool = True,
) -> Path:
    """A FOCUS export as AWS Data Exports lays it out in S3, copied to `root`; a version is kept beside older ones."""
    folder = f"BILLING_PERIOD={period}" + (f"/{version}" if version else "")
    name = f"focus-00001.{'snappy.parquet' if kind == 'parquet' else kind}"
    write_rows(root / "data" / folder / name, rows_of(lines, "focus"))
    if manifest:
        write_json(
            root / "metadata" / f"BILLING_PERIOD={period}" / "focus-Manifest.json",
            {"exportArn": "arn:aws:bcm", "dataFiles": [f"s3://a-bucket/exports/focus/data/{folder}/{name}"]},
        )
    return root


def write_json(file: Path, content: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def open_bill(
    path: Path | str, fmt: str = "auto", basis: str = "billed", *, archive: ObjectArchive | None = None, **rules: Any
) -> DuckDBWarehouse:
    """The warehouse over a bill, as the embedded platform opens it. A summary's currency is USD unless it is given."""
    if fmt == "summary" or Path(path).name.startswith("summary"):
        rules.setdefault("currency", "USD")
    spill = Path(path).parent / "spill"
    how = {"memory": "400MB", "threads": 2, "spill": spill, "archive": archive}
    return DuckDBWarehouse(str(path), fmt, Rules(basis, **rules), **how)


def days_with_charges(warehouse: Warehouse) -> list[date]:
    """The days that have lines that count."""
    return list(bill_totals(warehouse.control_totals()).days)


def source_day(path: Path, day: date = DAY, **how: Any) -> SourceDay:
    """What the bill says of one day."""
    return open_bill(path, **how).source_days(day, day)[day]


def read_rows(warehouse: DuckDBWarehouse, first: date = DAY, last: date = DAY, ou_map: pa.Table | None = None) -> list:
    """The breakdown's rows as (day, OU, service, account, exact cost)."""
    ou_map = account_map() if ou_map is None else ou_map
    rows = [row for batch in warehouse.breakdown(first, last, ou_map) for row in batch.to_pylist()]
    return [(r["billingdate"], r["ou"], r["service"], r["linkedaccount"], r["cost"]) for r in rows]


def account_map(*memberships: accounts.Membership, ou_level: str | int = "full", history: str = "as_was") -> pa.Table:
    """The map as it is looked up; ACCOUNT is in Engineering unless memberships are given."""
    chosen = memberships or (accounts.Membership(ACCOUNT, "shop-prod", "Engineering"),)
    return accounts.account_map(chosen, ou_level=ou_level, history=history)


def new_archive(home: Path, ou_map: pa.Table | None = None) -> ObjectArchive:
    """An archive in a folder, with a published account map."""
    archive = ObjectArchive(folder_store(str(home / "archive")))
    archive.put(ACCOUNT_MAP_PATH, accounts.to_parquet(account_map() if ou_map is None else ou_map))
    return archive


def archive_days(warehouse: DuckDBWarehouse, archive: ObjectArchive, days: Sequence[date], **facts: Any) -> Any:
    """The pipeline's step, on a fixed day."""
    how = {"cost_basis": "billed", "run_id": "a-run", "now": datetime(2025, 9, 20, 7, tzinfo=UTC), **facts}
    return publishing.archive_days(warehouse, archive, days, **how)


def utc_day(moment: datetime) -> date:
    """The UTC day of a moment; without a zone it is UTC."""
    return (moment.astimezone(UTC) if moment.tzinfo else moment).date()
