"""The contracts: names, Arrow schemas and locations that every platform, query and file shares.

Column names are lower case, as Glue and Athena keep them; `BillingDate`, `OU` and so on still resolve there.
A column is only ever added at the end.
"""

from __future__ import annotations

from datetime import date

import pyarrow as pa

from finops_assets.core.money import DIGITS, PLACES

UNASSIGNED = "Unassigned"
"""The OU of an account that the map does not know on that day. Totals always include it."""

MONEY = pa.decimal128(DIGITS, PLACES)
"""Every sum is made in this type."""

MONEY_SQL = f"DECIMAL({DIGITS}, {PLACES})"

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

KEY_COLUMNS = ("ou", "service", "linkedaccount")
"""What a day's row is of; a day's rows are in the order of these."""

CATEGORY_COLUMNS = ("usagecost", "purchasecost", "taxcost", "creditcost", "refundcost", "adjustmentcost")
"""What the money of a row is, by charge category: these sum to the row's exact cost."""

MAY_BE_UNKNOWN = ("effectivecost", "committedcost", "unusedcommitment")
"""Columns of OU_CHARGES that not every bill tells."""

CHARGES_OF_ROW = (*CATEGORY_COLUMNS, *MAY_BE_UNKNOWN, "scheduledcost")

OU_CHARGES = pa.schema(
    [
        *(OU_BREAKDOWN.field(name) for name in ("billingdate", *KEY_COLUMNS)),
        *(pa.field(name, MONEY) for name in CHARGES_OF_ROW),
    ]
)
"""What each row of OU_BREAKDOWN is made of, in exact decimals of the billing currency, and on what basis.

`effectivecost` is the amortized cost of the same charges, of which commitments cover `committedcost` and nobody used
`unusedcommitment`; null on every row of a day on which the bill does not tell. `scheduledcost` is the part of the cost
that is no usage of the day: tax, fees, credits, refunds and charges whose period is longer than a day.
"""

DIMENSION_BREAKDOWN = pa.schema(
    [
        pa.field("billingdate", pa.date32()),
        pa.field("dimension", pa.string()),
        pa.field("value", pa.string()),
        *(OU_BREAKDOWN.field(name) for name in KEY_COLUMNS),
        pa.field("cost", MONEY),
    ]
)
"""What each row of OU_BREAKDOWN costs by the values of each dimension that is set (`core.bill.dimensions`).

The rows of one dimension sum to the day, and those of an OU, service and account to its row. A query says which
dimension it wants: the rows of two of them have the same money twice.
"""

ON_DEMAND = "on demand"
"""The kind of rows of COMMITMENTS that are no commitment: what else such services cost."""

COMMITMENTS = pa.schema(
    [
        pa.field("billingdate", pa.date32()),
        pa.field("commitmentid", pa.string()),
        pa.field("kind", pa.string()),
        *(OU_BREAKDOWN.field(name) for name in ("ou", "linkedaccount")),
        *(pa.field(name, MONEY) for name in ("committedcost", "usedcost", "unusedcost", "ondemandcost")),
        pa.field("expires", pa.date32()),
    ]
)
"""What each Savings Plan and reservation costs on a day, amortized, by the account that used it, or that owns it.

`usedcost` and `unusedcost` sum to `committedcost`, and over a day's rows to `committedcost` and `unusedcommitment` of
OU_CHARGES. AWS books what nobody used of a reservation once a month, on the 1st. `ondemandcost` is what the covered
usage would cost on demand, null where the bill does not tell; rows of the kind ON_DEMAND have it alone: what usage
costs that no commitment covers, of services in which one covers anything on that day. `expires` is null where no line
tells.
"""

COLUMN_DESCRIPTIONS = {
    "billingdate": "UTC day on which the charge period starts",
    "ou": "Organizational unit of the linked account on that day, or Unassigned",
    "service": "Service name as the bill gives it",
    "linkedaccount": "Linked (usage) account id, 12 digits on AWS",
    "dailycost": "Cost of the day in the billing currency, on the cost basis set",
    "usagecost": "Usage; of a bill without charge categories, all of the cost",
    "purchasecost": "Fees of reservations, Savings Plans and subscriptions",
    "taxcost": "Tax",
    "creditcost": "Credits, mostly negative",
    "refundcost": "Refunds, mostly negative",
    "adjustmentcost": "Discounts, corrections and every other kind of charge",
    "effectivecost": "Amortized cost of the same charges; null where the bill has none",
    "committedcost": "The part of the amortized cost that reservations and Savings Plans cover",
    "unusedcommitment": "The part of the amortized cost that nobody used of reservations and Savings Plans",
    "scheduledcost": "The part of the cost that is no usage of the day: tax, fees, credits, refunds, longer charges",
    "dimension": "Key of the dimension, such as tag:team; the rows of each dimension sum to the day",
    "value": "Value of the dimension, or (untagged)",
    "cost": "Exact cost of the day in the billing currency, on the cost basis set",
    "commitmentid": "ARN or id of the Savings Plan or reservation; empty on rows of the kind on demand",
    "kind": "savings plan, reservation, commitment or on demand",
    "usedcost": "The part of the commitment that covers usage, amortized",
    "unusedcost": "The part of it that nobody used; of a reservation booked on the 1st for the whole month",
    "ondemandcost": "What the usage would cost on demand, or costs where nothing covers it; null where not known",
    "expires": "Last day of the commitment where the line tells; null elsewhere",
    "daycost": "Cost of the day, of the OU and all below it, or of the value",
    "directcost": "Cost of the day of the OU's own accounts: sums to the day's total",
    "expectedlow": "What the day was expected to cost at least, from the days before it",
    "expectedhigh": "What the day was expected to cost at most",
    "monthtodate": "Cost from the 1st to the day",
    "unknowndays": "Archived days from the 1st to the day on which the value's cost is not known",
    "budget": "What the month may cost; null without a budget",
    "forecastp10": "Month's cost: lower end of the 80 % band; null where nothing is forecast",
    "forecastp50": "Month's cost, expected",
    "forecastp90": "Month's cost: upper end of the 80 % band",
    "budgetshare": "Share of the budget that the month is expected to take, 1 is all of it",
    "light": "green, amber, red or no budget",
    "lightreason": "The light in words",
    "budgetpassed": "Day on which the budget was, or is expected to be, passed",
    "anomalyscore": "How far the day is from what was expected, in usual deviations; 0 without an anomaly",
    "anomalykind": "rise, drop, drift, new or vanished; null without an anomaly",
    "anomalyreason": "The anomaly in words",
    "episodeid": "Id of the anomaly's episode: the same on each of its days",
    "episodestate": "open, growing, closed, withdrawn or planned",
    "settlement": "provisional, stable or closed, when the row was written",
    "comparedwith": "Day that the day is compared with: a week before it, else the day before",
    "part": "Place of the part among those of the OU, service and account, the largest first; the rest is the last",
    "partkind": "use, credit, refund, tax, one_off, coverage, other, moved or rest",
    "cause": "What most of the part's change comes of, such as quantity, price or credit ended",
    "usagetype": "What was used, in the bill's own word; empty where the part is of several",
    "region": "Region of the use; empty where the bill does not tell, or of several",
    "resource": "Id of the resource, where the bill names it and it is at hand",
    "costbefore": "Cost on the day compared with",
    "costnow": "Cost on the day",
    "change": "costnow less costbefore: the rows of a day sum to its change",
    "quantitybefore": "How much was used on the day compared with; null where that is not known",
    "quantitynow": "How much was used on the day; null where that is not known",
    "newaccount": "Of the change, what comes of an account that is new",
    "goneaccount": "Of the change, what comes of an account that is gone",
    "moved": "Of the change, what comes of an account that moved between OUs",
    "volume": "Of the change, what comes of the quantity used",
    "price": "Of the change, what comes of the unit price",
    "coverage": "Of the change, what comes of commitments covering more or less",
    "exchange": "Of the change, what comes of exchange rates",
    "other": "Of the change, all else: credits, refunds, fees, tax",
    "isnewregion": "Whether the account used nothing in the region on the day compared with",
    "currency": "Billing currency of every amount of the row",
    "costbasis": "Cost basis of every amount of the row",
}

CSV_HEADER = ("BillingDate", "OU", "Service", "LinkedAccount", "DailyCost", "Account")

OU_SCORECARD = pa.schema(
    [
        pa.field("billingdate", pa.date32()),
        pa.field("ou", pa.string()),
        pa.field("daycost", MONEY),
        pa.field("directcost", MONEY),
        pa.field("expectedlow", MONEY),
        pa.field("expectedhigh", MONEY),
        pa.field("monthtodate", MONEY),
        pa.field("budget", MONEY),
        pa.field("forecastp10", MONEY),
        pa.field("forecastp50", MONEY),
        pa.field("forecastp90", MONEY),
        pa.field("budgetshare", pa.float64()),
        pa.field("light", pa.string()),
        pa.field("lightreason", pa.string()),
        pa.field("budgetpassed", pa.date32()),
        pa.field("anomalyscore", pa.float64()),
        pa.field("anomalykind", pa.string()),
        pa.field("anomalyreason", pa.string()),
        pa.field("episodeid", pa.string()),
        pa.field("episodestate", pa.string()),
        pa.field("settlement", pa.string()),
        pa.field("currency", pa.string()),
        pa.field("costbasis", pa.string()),
    ]
)
"""One row per OU of one UTC day: `All`, every OU that has costs or a budget, and those above it, as of that day.

`daycost`, `monthtodate`, budget and forecast of an OU are those of all that lies below it: they add up only between
OUs of one level. `directcost` is that of its own accounts alone: its sum over a day's rows is the day's total.
"""

DIMENSION_SCORECARD = pa.schema(
    [
        pa.field("billingdate", pa.date32()),
        pa.field("dimension", pa.string()),
        pa.field("value", pa.string()),
        pa.field("daycost", MONEY),
        pa.field("monthtodate", MONEY),
        pa.field("unknowndays", pa.int32()),
        *(OU_SCORECARD.field(name) for name in ("budget", "forecastp10", "forecastp50", "forecastp90", "budgetshare")),
        *(OU_SCORECARD.field(name) for name in ("light", "lightreason", "budgetpassed")),
        *(OU_SCORECARD.field(name) for name in ("settlement", "currency", "costbasis")),
    ]
)
"""One row per value of each dimension of one UTC day, as of that day: values with costs in the month, or a budget.

`daycost` of the rows of one dimension sums to the day; the row without a value has what is not named. A query says
which dimension it wants: the rows of two of them have the same money twice.
"""

MOVED_PARTS = pa.schema(
    [
        pa.field("billingdate", pa.date32()),
        pa.field("comparedwith", pa.date32()),
        *(OU_BREAKDOWN.field(name) for name in KEY_COLUMNS),
        pa.field("part", pa.int32()),
        *(pa.field(name, pa.string()) for name in ("partkind", "cause", "usagetype", "region", "resource")),
        *(pa.field(name, MONEY) for name in ("costbefore", "costnow", "change")),
        *(pa.field(name, pa.float64()) for name in ("quantitybefore", "quantitynow")),
        *(pa.field(name, MONEY) for name in ("newaccount", "goneaccount", "moved", "volume", "price", "coverage")),
        *(pa.field(name, MONEY) for name in ("exchange", "other")),
        pa.field("isnewregion", pa.bool_()),
        *(OU_SCORECARD.field(name) for name in ("currency", "costbasis")),
    ]
)
"""The parts of what moved an OU's service in an account between two days: the largest five, and all others as one.

`change` of the rows of an OU, service and account sums to its change, and over all rows to that of the day. The columns
from `newaccount` to `other` are what made it, and sum to `change`.
"""

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
"""The account map: `ou` is `ou_path` cut to the level shown; valid_from inclusive, valid_to exclusive."""

BREAKDOWN_PREFIX = "ou-breakdowns"
DAY_OBJECT_NAME = "ou_breakdown.parquet"
CHARGES_PREFIX = "ou-charges"
CHARGES_OBJECT_NAME = "ou_charges.parquet"
DIMENSIONS_PREFIX = "dimension-breakdowns"
DIMENSIONS_OBJECT_NAME = "dimension_breakdown.parquet"
COMMITMENTS_PREFIX = "commitments"
COMMITMENTS_OBJECT_NAME = "commitments.parquet"
SCORECARD_PREFIX = "ou-scorecards"
SCORECARD_OBJECT_NAME = "ou_scorecard.parquet"
VALUE_SCORES_PREFIX = "dimension-scorecards"
VALUE_SCORES_OBJECT_NAME = "dimension_scorecard.parquet"
MOVED_PARTS_PREFIX = "moved-parts"
MOVED_PARTS_OBJECT_NAME = "moved_parts.parquet"
ACCOUNT_MAP_PATH = "account-ou-map/account_ou_map.parquet"

CHARGES = "charges"
"""In a day's metadata: the fingerprint of its charges. Days of releases without `ou_charges` do not have it."""

DIMENSIONS = "dimensions"
"""In a day's metadata: the keys of its dimensions, each with the fingerprint of its values, as JSON; absent without."""

COMMITTED = "commitments"
"""In a day's metadata: the fingerprint of its commitments; absent where it has none."""

BILL_DELIVERY = "bill_delivery"
"""In a day's metadata: the export's id of the delivery that it was made of, or else the id of the bill's files."""

RESTORED_FROM, RESTORED_AT = "restored_from", "restored_at"
"""Metadata of a day's object that `finops restore` has published from an earlier version."""


def day_location(day: date) -> str:
    """The folder of a day, e.g. `ou-breakdowns/year=2025/month=09/day=10/`."""
    return f"{BREAKDOWN_PREFIX}/year={day.year}/month={day.month:02d}/day={day.day:02d}/"


def day_path(day: date) -> str:
    """The one object of a day in the archive."""
    return day_location(day) + DAY_OBJECT_NAME


def charges_path(day: date) -> str:
    """The one object of a day's charges, in partitions as those of the breakdown."""
    return f"{CHARGES_PREFIX}/year={day.year}/month={day.month:02d}/day={day.day:02d}/{CHARGES_OBJECT_NAME}"


def dimensions_path(day: date) -> str:
    """The one object of a day's dimensions, in partitions as those of the breakdown."""
    folder = f"{DIMENSIONS_PREFIX}/year={day.year}/month={day.month:02d}/day={day.day:02d}"
    return f"{folder}/{DIMENSIONS_OBJECT_NAME}"


def commitments_path(day: date) -> str:
    """The one object of a day's commitments, in partitions as those of the breakdown."""
    folder = f"{COMMITMENTS_PREFIX}/year={day.year}/month={day.month:02d}/day={day.day:02d}"
    return f"{folder}/{COMMITMENTS_OBJECT_NAME}"


def scorecard_path(day: date) -> str:
    """The one object of a day's scorecard, in partitions as those of the breakdown."""
    return f"{SCORECARD_PREFIX}/year={day.year}/month={day.month:02d}/day={day.day:02d}/{SCORECARD_OBJECT_NAME}"


def value_scores_path(day: date) -> str:
    """The one object of a day's scores by dimension, in partitions as those of the breakdown."""
    folder = f"{VALUE_SCORES_PREFIX}/year={day.year}/month={day.month:02d}/day={day.day:02d}"
    return f"{folder}/{VALUE_SCORES_OBJECT_NAME}"


def moved_parts_path(day: date) -> str:
    """The one object of the parts of a day's change, in partitions as those of the breakdown."""
    return f"{MOVED_PARTS_PREFIX}/year={day.year}/month={day.month:02d}/day={day.day:02d}/{MOVED_PARTS_OBJECT_NAME}"


PARTITION_KEYS = ("year", "month", "day")

_HIVE_TYPES = {
    pa.date32(): "date",
    pa.string(): "string",
    pa.float64(): "double",
    pa.int32(): "int",
    pa.bool_(): "boolean",
    MONEY: f"decimal({DIGITS},{PLACES})",
    pa.timestamp("ms"): "timestamp",
}


def hive_columns(schema: pa.Schema) -> list[tuple[str, str]]:
    """The columns as Glue and Athena's DDL name their types."""
    return [(field.name, _HIVE_TYPES[field.type]) for field in schema]
