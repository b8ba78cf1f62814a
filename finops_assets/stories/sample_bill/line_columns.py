"""What both export formats write of a charge, and the Arrow table that they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from finops_assets.stories.sample_bill.catalog import (
    GLOBAL_SERVICES,
    METERS,
    SERVICES,
    USAGE_TYPE_PREFIXES,
)
from finops_assets.stories.sample_bill.charge_lines import Lines
from finops_assets.stories.sample_bill.commitments import COMMITMENTS
from finops_assets.stories.sample_bill.hashing import key_of
from finops_assets.stories.sample_bill.organization import BILLED, Account
from finops_assets.stories.sample_bill.spending import Charge

AWS = "Amazon Web Services, Inc."


ON_DEMAND_RATE = "JRTCKXETXF.6YS6EN2CT7"
"""AWS's codes for the On-Demand term and its hourly rate, the same for every SKU."""


INVOICED_AFTER = 5
"""Days after the end of a billing period when its invoice is issued and the lines carry its id."""


def region_of(charge: Charge) -> str:
    """The region's code; empty for what AWS bills without one."""
    return "" if METERS[charge.meter].service in GLOBAL_SERVICES else BILLED[charge.account].region


def usage_type_of(charge: Charge) -> str:
    return USAGE_TYPE_PREFIXES.get(region_of(charge), "") + METERS[charge.meter].usage_type


def description_of(charge: Charge) -> str:
    meter = METERS[charge.meter]
    match charge.kind:
        case "Tax":
            return f"Tax for product code {meter.service}"
        case "Credit":
            return "Example Migration Credit"
        case "Refund":
            return f"Refund for {SERVICES[meter.service].name}"
        case "Fee" if charge.commitment:
            return f"Sign up charge for subscription: {COMMITMENTS[charge.commitment].arn}"
        case "DiscountedUsage" | "RIFee":
            return f"{meter.instance} reserved instance, {COMMITMENTS[charge.commitment].payment}"
    price = f"{meter.price:.10f}".rstrip("0").rstrip(".")
    return f"${price} per {meter.unit}, {meter.family}"


def resource_of(charge: Charge) -> str | None:
    """An id for what has one here, instances and buckets; other usage is billed without a resource."""
    meter, account = METERS[charge.meter], BILLED[charge.account]
    if meter.service == "AmazonEC2" and meter.instance:
        return f"i-0{key_of(f'{charge.account} {charge.meter}'):016x}"
    return f"{account.id}-example-bucket" if meter.service == "AmazonS3" else None


def sku_of(charge: Charge) -> str:
    return f"{key_of(usage_type_of(charge) + METERS[charge.meter].operation):016X}"


def tags_of(account: Account) -> dict[str, str] | None:
    """Tags of an account's resources; sandboxes and accounts that nobody knows carry none, as everywhere."""
    if account.ou_path in ("", "Sandbox"):
        return None
    return {"environment": "nonprod" if "NonProd" in account.ou_path else "prod", "team": account.name.split("-")[0]}


def product_of(account: Account) -> str:
    """The value of the cost category Product: the workloads that customers see, and everything behind them."""
    if account.ou_path in ("", "Sandbox", "Root"):
        return ""
    return "Storefront" if account.ou_path.startswith("Workloads/") else "Foundation"


def periods(lines: Lines, last_day: date, names: str) -> dict[str, Any]:
    """Billing period, charge period and invoice id of each line, under the format's names for them."""
    month = lines.start.astype("datetime64[M]")
    months, month_of = np.unique(month, return_inverse=True)
    issued = (months + 1).astype("datetime64[D]") + INVOICED_AFTER <= np.datetime64(last_day, "D")
    invoices = [f"EXAMPLE-{month}" if done else None for month, done in zip(months, issued, strict=True)]
    values = (
        month.astype("datetime64[ms]"),
        (month + 1).astype("datetime64[ms]"),
        lines.start,
        lines.end,
        pa.array(invoices, pa.string()).take(pa.array(month_of)),
    )
    return dict(zip(names.split(), values, strict=True))


def table(
    columns: str,
    types: Mapping[str, str],
    rows: Sequence[Mapping[str, Any]],
    row: np.ndarray,
    measures: Mapping[str, Any],
) -> pa.Table:
    """An Arrow table with the columns given: a measure a line where there is one, else what the row says."""
    arrow = {
        "double": pa.float64(),
        "timestamp": pa.timestamp("ms"),
        "map<string,string>": pa.map_(pa.string(), pa.string()),
        "map<string,double>": pa.map_(pa.string(), pa.float64()),
    }
    type_of = {name: arrow[glue] for glue, names in types.items() for name in names.split()}
    schema = pa.schema([(name, type_of.get(name, pa.string())) for name in columns.split()])
    positions = pa.array(row)
    arrays = []
    for name, kind in zip(schema.names, schema.types, strict=True):
        if name in measures:
            arrays.append(pa.array(measures[name], kind, from_pandas=True))
            continue
        values = [cells.get(name) for cells in rows]
        if pa.types.is_map(kind):
            values = [None if value is None else list(value.items()) for value in values]
        arrays.append(pa.array(values, kind).take(positions))
    return pa.table(arrays, schema=schema)
