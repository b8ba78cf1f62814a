"""The contracts: names, Arrow schemas and locations that every platform, query and file agrees on.

Column names are lower case, as Glue and Athena keep them; `BillingDate`, `OU` and so on still resolve there.
A column is only ever added at the end.
"""

from __future__ import annotations

from datetime import date

import pyarrow as pa

UNASSIGNED = "Unassigned"
"""The OU of an account that the map does not know on that day. Totals always include it."""

MONEY = pa.decimal128(38, 12)
"""Every sum is made in this type: bills carry up to 11 decimals, and no line is near 10^26."""

MONEY_SQL = "DECIMAL(38, 12)"

DATABASE = "finops_db"

OU_BREAKDOWN = pa.schema(
    [
        pa.field("billingdate", pa.date32(), nullable=True),
        pa.field("ou", pa.string(), nullable=True),
        pa.field("service", pa.string(), nullable=True),
        pa.field("linkedaccount", pa.string(), nullable=True),
        pa.field("dailycost", pa.float64(), nullable=True),
    ]
)
"""One row per OU, service and linked account of one UTC day; dailycost in the billing currency."""

COLUMN_DESCRIPTIONS = {
    "billingdate": "UTC day on which the charge period starts",
    "ou": "Organizational unit of the linked account on that day, or Unassigned",
    "service": "AWS service name as the bill gives it",
    "linkedaccount": "Linked (usage) account id, 12 digits on AWS",
    "dailycost": "Cost of the day in the billing currency, on the cost basis set",
}

CSV_HEADER = ("BillingDate", "OU", "Service", "LinkedAccount", "DailyCost")

ACCOUNT_OU_MAP = pa.schema(
    [
        pa.field("account_id", pa.string()),
        pa.field("account_name", pa.string()),
        pa.field("ou", pa.string()),
        pa.field("ou_path", pa.string()),
        pa.field("valid_from", pa.date32()),
        pa.field("valid_to", pa.date32()),
    ]
)
"""Who owned what, when: `ou` is `ou_path` cut to the level shown; valid_from inclusive, valid_to exclusive."""

BREAKDOWN_PREFIX = "ou-breakdowns"
DAY_OBJECT_NAME = "ou_breakdown.parquet"
ACCOUNT_MAP_PATH = "account-ou-map/account_ou_map.parquet"

RESTORED_FROM, RESTORED_AT = "restored_from", "restored_at"
"""What a day's object says beside the rest where `finops restore` has put an earlier version in its place."""


def day_location(day: date) -> str:
    """The folder of a day, e.g. `ou-breakdowns/year=2025/month=09/day=10/`."""
    return f"{BREAKDOWN_PREFIX}/year={day.year}/month={day.month:02d}/day={day.day:02d}/"


def day_path(day: date) -> str:
    """The one object of a day in the archive."""
    return day_location(day) + DAY_OBJECT_NAME


PARTITION_KEYS = ("year", "month", "day")

_HIVE_TYPES = {
    pa.date32(): "date",
    pa.string(): "string",
    pa.float64(): "double",
    MONEY: "decimal(38,12)",
    pa.timestamp("ms"): "timestamp",
}


def hive_columns(schema: pa.Schema) -> list[tuple[str, str]]:
    """The columns as Glue and Athena's DDL name their types."""
    return [(field.name, _HIVE_TYPES[field.type]) for field in schema]
