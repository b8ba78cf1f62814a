"""Control totals: lines and sums of the whole bill, by billing period, day, currency and reason for leaving out.

They use the same expressions as the charges, without accounts, services and OUs: one scan of few columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal
from typing import Any

from finops_assets.core.bill.bill_format import BillFormat, Columns
from finops_assets.core.bill.charges import charge_expressions, named_in, undated_condition
from finops_assets.core.bill.rules import Rules
from finops_assets.core.values import ControlTotal

NO_PERIOD = "CAST(NULL AS DATE)"


def control_totals_sql(
    fmt: BillFormat, columns: Columns, rules: Rules, table: str = "bill", otherwise: str = NO_PERIOD
) -> str:
    """The control totals of all lines of the bill, in Athena's dialect; `control_totals` reads its rows.

    Args:
        fmt, columns, rules: as for the charges.
        table: the bill.
        otherwise: SQL of the period, for a bill without a column of it.
    """
    charge = charge_expressions(fmt, columns, rules)
    # Dates out of range count as none: Python cannot represent all of those that Athena can.
    day = f"CASE WHEN NOT {undated_condition(fmt.start)} THEN {charge['charge_date']} END"
    period = otherwise
    if fmt.period in columns:
        period = f"CASE WHEN NOT {undated_condition(fmt.period)} THEN CAST({fmt.period} AS DATE) END"
    return f"""SELECT period, charge_date, currency, left_out, COUNT(*) AS lines,
    COUNT(*) - COUNT(cost) AS without_cost, SUM(cost) AS total
FROM (
    SELECT {period} AS period, {day} AS charge_date, {charge["currency"]} AS currency, {charge["left_out"]} AS left_out,
        {charge["cost"]} AS cost
    FROM {table}
) AS charges
GROUP BY period, charge_date, currency, left_out"""


def control_columns(fmt: BillFormat, columns: Columns, rules: Rules) -> tuple[str, ...]:
    """Those of the columns that `control_totals_sql` reads."""
    return named_in(control_totals_sql(fmt, columns, rules), columns)


def control_totals(rows: Iterable[tuple[Any, ...]], period_of: Callable[[str], str] = str) -> list[ControlTotal]:
    """The rows of `control_totals_sql` as records, ascending by period, day, currency and reason.

    Args:
        rows: their period is the date on which it starts, or a text.
        period_of: the billing period, `2025-09`, that such a text means.
    """
    sums: dict[tuple[str, date | None, str, str], tuple[int, int, Decimal]] = {}
    for period, day, currency, left_out, lines, without_cost, total in rows:
        named = f"{period:%Y-%m}" if isinstance(period, date) else period_of(period) if period else ""
        key = (named, day, currency or "", left_out or "")
        so_far = sums.get(key, (0, 0, Decimal()))
        sums[key] = (so_far[0] + lines, so_far[1] + without_cost, so_far[2] + (total or Decimal()))
    ordered = sorted(sums, key=lambda key: (key[0], key[1] or date.min, key[2], key[3]))
    return [ControlTotal(*key, *sums[key]) for key in ordered]
