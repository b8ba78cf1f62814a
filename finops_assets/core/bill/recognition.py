"""Which format a bill is, by its columns, and the normal spelling of their names."""

from __future__ import annotations

import re
from collections.abc import Iterable

from finops_assets.core.bill.bill_format import BillFormat
from finops_assets.core.bill.formats import FORMATS
from finops_assets.core.errors import BillError


def recognise(columns: Iterable[str], where: str) -> BillFormat:
    """The format that these columns are.

    Args:
        columns: their normal names.
        where: the bill, for the error.

    Raises:
        BillError: none of the formats has such columns.
    """
    names = set(columns)
    for bill_format in FORMATS.values():
        if bill_format.recognises(names):
            return bill_format
    shown = ", ".join(sorted(names)[:8]) or "no columns"
    raise BillError(
        f"is not a bill in a known format; its columns are {shown}{', ...' if len(names) > 8 else ''}",
        where=where,
        fix="Give a FOCUS 1.0 to 1.2, CUR 2.0 or legacy CUR export, or a table of BillingDate, OU, Service, "
        "LinkedAccount, Cost; or set bill.format to learn which column is missing.",
    )


def normal_name(header: str) -> str:
    """A header as Parquet and Athena name it.

    `lineItem/UsageStartDate` -> `line_item_usage_start_date`, `reservation/ReservationARN` ->
    `reservation_reservation_a_r_n`, `resourceTags/user:Team` -> `resource_tags_user_team`, `BilledCost` ->
    `billedcost`.
    """
    header = header.strip().lstrip("\ufeff")
    group, slash, name = header.partition("/")
    if group in LABELS:  # the names of tags and cost categories are anybody's
        return f"{athena_name(group)}_{athena_name(name)}"
    if slash:
        header = "_".join(re.sub(r"(?<!^)([A-Z])", r"_\1", part) for part in header.split("/"))
    return header.lower()


LABELS = ("resourceTags", "costCategory")


def athena_name(text: str) -> str:
    """A name as AWS makes a column of it: `user:CostCenter` -> `user_cost_center`.

    Source: "Column names" of the Cost and Usage Report's page on Athena: an underscore before each capital, lower case,
    every other sign than letters and digits an underscore, never two of them together or one at an end.
    """
    spaced = re.sub(r"([A-Z])", r"_\1", text).lower()
    return re.sub(r"[^a-z0-9]+", "_", spaced).strip("_")
