"""The bill's lines as charges: the one SQL, whatever the format, that computes a cost.

Every charge has: charge_date (UTC day of the start of its charge period), linkedaccount, account_name, service, ou
(where the bill itself has one), charge_category, scheduled, left_out (why a setting leaves the line out, or NULL),
provider (who bills, empty where the bill does not say), currency and cost; and of a line that cannot count or tells of
the export, lacks (the absent columns that its cost is read from) and granularity (of usage: 'month' or 'day'). Nothing
else computes a cost anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta
from types import MappingProxyType

from finops_assets.core.bill.bill_format import NO_TEXT, BillFormat, Columns, first_sql, quoted
from finops_assets.core.bill.rules import Rules

EARLIEST, LATEST = date(1970, 1, 1), date(9999, 12, 30)
"""A line that starts before or after counts as one without a date: exports write such dates by mistake."""


def charges_sql(
    fmt: BillFormat,
    columns: Columns,
    rules: Rules,
    start: date,
    end: date,
    table: str = "bill",
    *,
    undated: bool = False,
    further: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """The SELECT that turns the bill's lines of start to end (inclusive) into charges.

    With `undated`, lines without a date come too, so that they can be refused. `further` are more columns of a charge,
    each with its SQL (`core.bill.further_columns`).
    """
    lines = in_days(fmt, start, end)
    if undated:
        lines = f"(({lines}) OR {fmt.start} IS NULL)"
    return select_sql({**charge_expressions(fmt, columns, rules), **further}, table, lines)


def select_sql(expressions: Mapping[str, str], table: str, condition: str) -> str:
    """A SELECT of named expressions over those lines of a table that fulfil the condition."""
    selected = ",\n    ".join(f"{sql} AS {name}" for name, sql in expressions.items())
    return f"SELECT\n    {selected}\nFROM {table}\nWHERE {condition}"


def in_days(fmt: BillFormat, start: date, end: date) -> str:
    """The condition that a line starts on one of these days, both inclusive.

    It is half-open on the raw column, so that an engine can skip files and row groups by their statistics.
    """
    next_day = end + timedelta(days=1)
    return f"{fmt.start} >= TIMESTAMP '{start} 00:00:00' AND {fmt.start} < TIMESTAMP '{next_day} 00:00:00'"


def charge_expressions(fmt: BillFormat, columns: Columns, rules: Rules) -> dict[str, str]:
    """Each column of a charge by its name, as SQL over the bill's columns."""
    parts = dict(fmt.select(columns))
    split = parts.pop("split", None)
    reasons = [(f"({split})", "split cost allocation")] if split else []
    if rules.currency and fmt.currency:
        reasons.append((f"{parts['currency']} <> {quoted(rules.currency)}", f"bill.currency is {rules.currency}"))
    for include, category, reason in (
        (rules.include_tax, "Tax", "bill.include_tax"),
        (rules.include_credits, "Credit", "bill.include_credits"),
        (rules.include_refunds, "Refund", "bill.include_refunds"),
    ):
        if not include:
            reasons.append((f"({parts['charge_category']}) = '{category}'", reason))
    left_out = NO_TEXT
    if reasons:
        left_out = "CASE " + " ".join(f"WHEN {c} THEN {quoted(r)}" for c, r in reasons) + " END"
    basis = fmt.bases[rules.cost_basis]
    name = parts.get("service_name")
    learning = {"service_code": fmt.service_code, "service_name": name} if name else {}
    return learning | {
        "charge_date": f"CAST({fmt.start} AS DATE)",
        "linkedaccount": parts["linkedaccount"],
        "account_name": parts["account_name"],
        "service": parts["service"],
        "ou": parts.get("ou", NO_TEXT),
        "charge_category": parts["charge_category"],
        "scheduled": f"COALESCE({parts['scheduled']}, FALSE)",
        "left_out": left_out,
        "provider": quoted(rules.provider) if rules.provider else first_sql(columns, fmt.providers, ""),
        "currency": parts["currency"] if fmt.currency else quoted(rules.currency),
        "cost": basis.sql(columns),
        "lacks": basis.lacks_sql(columns),
        "granularity": granularity_sql(fmt, columns),
    }


def granularity_sql(fmt: BillFormat, columns: Columns) -> str:
    """'month' of usage from the first of a month for more than a day, 'day' of other usage, NULL of other lines.

    A monthly export has each line from the first of a month, to its end or to the day of the export.
    """
    if fmt.metered is None:
        return NO_TEXT
    month = "FALSE"
    if fmt.end in columns:
        hours = f"date_diff('hour', {fmt.start}, {fmt.end})"
        first = f"EXTRACT(DAY FROM {fmt.start}) = 1 AND EXTRACT(HOUR FROM {fmt.start}) = 0"
        month = f"{first} AND {hours} BETWEEN 25 AND {31 * 24}"
    return f"CASE WHEN NOT ({fmt.metered(columns)}) THEN {NO_TEXT} WHEN {month} THEN 'month' ELSE 'day' END"


def undated_condition(column: str) -> str:
    """The condition that a line has no date in this column, or one out of range."""
    earliest, latest = (f"TIMESTAMP '{day} 00:00:00'" for day in (EARLIEST, LATEST))
    return f"({column} IS NULL OR {column} < {earliest} OR {column} >= {latest})"


def used_columns(fmt: BillFormat, columns: Columns, rules: Rules) -> tuple[str, ...]:
    """Those of the columns that `charges_sql` reads."""
    return named_in(charges_sql(fmt, columns, rules, date(2000, 1, 1), date(2000, 1, 1)), columns)


def named_in(sql: str, columns: Columns) -> tuple[str, ...]:
    """Those of the columns that an SQL names; words within its texts name none."""
    text = re.sub(r"'(?:[^']|'')*'", "''", sql).lower()
    words = set(re.findall(r"\w+", text))

    def is_named(column: str) -> bool:
        return column in words if re.fullmatch(r"\w+", column) else bool(re.search(rf"\b{re.escape(column)}\b", text))

    return tuple(c for c in columns if is_named(c))
