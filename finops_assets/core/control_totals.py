"""The SQL of the bill's control totals, and the billing period that a path lies in."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_assets.core import bill
from finops_assets.core.ports import ControlTotal

if TYPE_CHECKING:
    from finops_assets.core.bill import BillFormat, Columns, Rules

PERIOD_FOLDER = re.compile(
    r"(?:^|/)(?:BILLING_PERIOD=(\d{4})-(\d{2})|(\d{4})(\d{2})\d{2}-\d{8}|year=(\d{4})/month=(\d{1,2}))(?=/)",
    re.IGNORECASE,
)
"""Data Exports' `BILLING_PERIOD=2025-09`, legacy CUR's `20250901-20251001`, and with Athena `year=2025/month=9`."""

PERIOD_COLUMNS = ("billingperiodstart", "bill_billing_period_start_date")
"""What names a line's billing period in FOCUS, and in CUR 2.0 and legacy CUR."""


def period_of_path(path: str) -> str:
    """The billing period, `2025-09`, of the folder that a file lies in; empty where it lies in none."""
    matches = list(PERIOD_FOLDER.finditer(path))
    if not matches:
        return ""
    year, month = (group for group in matches[-1].groups() if group)
    return f"{year}-{int(month):02d}"


def period_column(columns: Iterable[str]) -> str:
    """The column that names a line's billing period; empty where the bill has none."""
    there = set(columns)
    return next((name for name in PERIOD_COLUMNS if name in there), "")


def control_totals_sql(
    fmt: BillFormat, columns: Columns, rules: Rules, table: str = "bill", period: str | None = None
) -> str:
    """The whole bill by billing period, day, currency and reason for leaving out: lines, lines without cost, total.

    It is made from the charges, as all money is, but without account, service and OU: an engine that reads by column
    reads a few of them.

    Args:
        fmt, columns, rules: of the bill.
        table: the bill.
        period: SQL of the billing period as `2025-09`; by default that of the bill's own column.
    """
    name = period_column(columns)
    month = f"SUBSTR(CAST({name} AS VARCHAR), 1, 7)"
    own = f"CASE WHEN {month} LIKE '____-__' THEN {month} END" if name else "CAST(NULL AS VARCHAR)"
    charges = bill.charges_sql(
        fmt, columns, rules, bill.EARLIEST, bill.LATEST, table, undated=True, more={"period": period or own}
    )
    return f"""SELECT COALESCE(period, '') AS period, charge_date, COALESCE(currency, '') AS currency,
    COALESCE(left_out, '') AS left_out, COUNT(*) AS line_count, COUNT(*) - COUNT(cost) AS without_cost,
    SUM(cost) AS total
FROM ({charges}) AS charges
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3, 4"""


def control_totals(rows: Iterable[tuple[Any, ...]]) -> list[ControlTotal]:
    """The rows of `control_totals_sql` as records."""
    found = [ControlTotal(*row) for row in rows]
    return [control if control.total is not None else replace(control, total=Decimal()) for control in found]
