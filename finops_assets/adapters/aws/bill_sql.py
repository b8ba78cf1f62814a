"""The statements that read the bill's table: its charges, the one pass over days, and sums by SKU."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date

from finops_assets.adapters.aws.bill_table import BillTable
from finops_assets.adapters.aws.glue_tables import MAP_TABLE
from finops_assets.adapters.aws.summary_view import NAME
from finops_assets.core.archive.sku_sums import SUMS_SINCE
from finops_assets.core.bill.charges import EARLIEST, LATEST, charges_sql
from finops_assets.core.bill.commitments import tells_commitments
from finops_assets.core.bill.currencies import account_currencies_sql
from finops_assets.core.bill.drivers_sql import kept_sql, sku_expressions, sku_keys, sku_sums_sql, with_parts_sql
from finops_assets.core.bill.further_columns import further_expressions
from finops_assets.core.bill.parts_sql import bill_parts_sql
from finops_assets.core.bill.queries import (
    accounts_sql,
    breakdown_sql,
    by_dimension_sql,
    fingerprints_sql,
    one_pass_sql,
    summary_sql,
    summed_by_dimension_sql,
)
from finops_assets.core.bill.rules import Rules
from finops_assets.core.schemas import DATABASE


def charges(table: BillTable, rules: Rules, start: date, end: date, *, undated: bool = False) -> str:
    """The charges of days from start to end inclusive, and with `undated` the lines that have no date."""
    of_bill = (table.format, table.columns, rules)
    source = table.source(table.select, start)
    return charges_sql(*of_bill, start, end, source, undated=undated, further=further_expressions(*of_bill))


def day_pass(table: BillTable, rules: Rules, start: date, end: date, *, teaches: bool) -> tuple[str, date | None]:
    """The one pass over these days, and the first day of which it gives sums by SKU; None where it gives none.

    A table without partitions has all of its columns read for every day of a range: there a long one gives none.
    """
    of_bill, dimensions = (table.format, table.columns, rules), len(rules.dimensions)
    since = max(start, end - SUMS_SINCE)
    committed = tells_commitments(table.format, table.columns)
    if since > start and not table.periods:
        lines = charges(table, rules, start, end, undated=True)
        return one_pass_sql(lines, teaches=teaches, dimensions=dimensions, commitments=committed), None
    source = table.source_with_skus(start, since)
    further = further_expressions(*of_bill) | sku_expressions(*of_bill)
    lines = with_parts_sql(charges_sql(*of_bill, start, end, source, undated=True, further=further))
    skus = sku_keys(*of_bill)
    sql = one_pass_sql(
        lines, teaches=teaches, dimensions=dimensions, skus=skus, skus_since=since, commitments=committed
    )
    return sql, since


def currencies(table: BillTable, rules: Rules, start: date, end: date) -> str:
    """The currencies of the accounts on these days."""
    return account_currencies_sql(charges(table, rules, start, end))


def compared_sql(table: BillTable, rules: Rules, names: Mapping[str, str], start: date, end: date) -> str:
    """The fingerprints of these days, and of each dimension of them, through the published account map."""
    lines, keys = charges(table, rules, start, end), rules.dimensions
    if keys:
        lines = by_dimension_sql(summed_by_dimension_sql(lines, len(keys)), keys)
    by = bool(keys)
    return fingerprints_sql(breakdown_sql(lines, f"{DATABASE}.{MAP_TABLE}", names, dimensions=by), dimensions=by)


def statements(table: BillTable, rules: Rules, names: Mapping[str, str], day: date) -> dict[str, str]:
    """What a run of a day, and the sensors, ask of the bill's table: what for -> the SELECT."""
    teaches = "service_name" in table.format.select(table.columns)
    asked = {
        "the pass over a day": day_pass(table, rules, day, day, teaches=teaches)[0],
        "what was used on a day": sku_sums(table, rules, [day]),
        "currencies of the accounts": currencies(table, rules, day, day) if rules.several_currencies else "",
        "control totals": table.totals_sql,
        "payers": table.payers_sql,
        "months without a cost": table.half_filled_sql,
        "accounts": accounts_sql(charges(table, rules, EARLIEST, LATEST)),
    }
    through_map = {
        "comparison with the archive": compared_sql(table, rules, names, day, day),
        NAME: summary_sql(charges(table, rules, EARLIEST, LATEST), f"{DATABASE}.{MAP_TABLE}", names),
    }
    return {purpose: sql for purpose, sql in (asked | through_map).items() if sql}


def parts_by_resource(table: BillTable, rules: Rules, names: Mapping[str, str], day: date, against: date) -> str:
    """The parts of what moved between two days, by the resource of each line; empty where the bill names none."""
    if not table.select_resources:
        return ""
    source = table.source(table.select_resources, min(day, against))
    return bill_parts_sql(table.format, table.columns, rules, day, against, source, names)


def sku_sums(table: BillTable, rules: Rules, days: Collection[date]) -> str:
    """The sums by SKU of one or two days alone."""
    of_bill, first = (table.format, table.columns, rules), min(days)
    return sku_sums_sql(kept_sql(*of_bill, days, table.source_with_skus(first, first)), sku_keys(*of_bill))
