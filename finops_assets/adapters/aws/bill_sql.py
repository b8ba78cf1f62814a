"""The statements that read the bill's table: its charges, the one pass over days, and sums by SKU."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from finops_assets.adapters.aws.bill_table import BillTable
from finops_assets.core.archive.sku_sums import SUMS_SINCE
from finops_assets.core.bill.charge_kinds import kind_expressions
from finops_assets.core.bill.charges import charges_sql
from finops_assets.core.bill.drivers_sql import kept_sql, sku_expressions, sku_keys, sku_sums_sql, with_parts_sql
from finops_assets.core.bill.queries import one_pass_sql
from finops_assets.core.bill.rules import Rules


def charges(table: BillTable, rules: Rules, start: date, end: date, *, undated: bool = False) -> str:
    """The charges of days from start to end inclusive, and with `undated` the lines that have no date."""
    of_bill = (table.format, table.columns, rules)
    source = table.source(table.select, start)
    return charges_sql(*of_bill, start, end, source, undated=undated, further=kind_expressions(*of_bill))


def day_pass(table: BillTable, rules: Rules, start: date, end: date, *, teaches: bool) -> tuple[str, date | None]:
    """The one pass over these days, and the first day of which it gives sums by SKU; None where it gives none.

    A table without partitions has all of its columns read for every day of a range: there a long one gives none.
    """
    of_bill = (table.format, table.columns, rules)
    since = max(start, end - SUMS_SINCE)
    if since > start and not table.periods:
        return one_pass_sql(charges(table, rules, start, end, undated=True), teaches=teaches), None
    source = table.source_with_skus(start, since)
    further = {**kind_expressions(*of_bill), **sku_expressions(*of_bill)}
    lines = with_parts_sql(charges_sql(*of_bill, start, end, source, undated=True, further=further))
    return one_pass_sql(lines, teaches=teaches, skus=sku_keys(*of_bill), skus_since=since), since


def sku_sums(table: BillTable, rules: Rules, days: Sequence[date]) -> str:
    """The sums by SKU of these days alone."""
    first, last = min(days), max(days)
    of_bill = (table.format, table.columns, rules)
    source = table.source_with_skus(first, first)
    of_lines = charges_sql(*of_bill, first, last, source, further=sku_expressions(*of_bill))
    on_days = ", ".join(f"DATE '{day}'" for day in days)
    return sku_sums_sql(f"{kept_sql(of_lines)} AND charge_date IN ({on_days})", sku_keys(*of_bill))
