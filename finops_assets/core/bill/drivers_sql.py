"""Why two days differ in cost, as one SELECT over both: price, volume, coverage, and what is not usage."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, timedelta
from types import MappingProxyType

from finops_assets.core.bill.bill_format import BillFormat, Columns, Usage
from finops_assets.core.bill.charges import charge_expressions, in_days, named_in, select_sql
from finops_assets.core.bill.queries import NO_NAMES, SHOWN_OF_SKU
from finops_assets.core.bill.rules import Rules
from finops_assets.core.bill.service_names import join_names
from finops_assets.core.schemas import MONEY_SQL

NOTHING: Mapping[str, str] = MappingProxyType({})


def drivers_sql(
    fmt: BillFormat,
    columns: Columns,
    rules: Rules,
    day: date,
    against: date,
    table: str = "bill",
    names: Mapping[str, str] = NO_NAMES,
) -> str:
    """What each account's service costs on two days, and what makes the difference.

    Lines are matched by what was used: account, service and SKU. Where such usage has a quantity q on both days, at a
    unit cost of p, its price effect is q1 x (p1 - p0), and the rest is volume. Of the price effect, `coverage` is what
    comes of another share of the usage being covered by commitments: q1 x (share1 - share0) x (unit cost of covered
    usage - of other usage, over both days together). Usage on one day alone is volume.

    Quotients are doubles, rounded to the sixth decimal; the rest is exact, and a row's effects sum to now - before.
    `there_` is 1 where there are lines on the day, `used_` where some of them are more than fees, tax and the like.
    """
    kept = kept_sql(fmt, columns, rules, (day, against), table)
    return effects_sql(kept, sku_keys(fmt, columns, rules), day, against, names)


def sku_expressions(fmt: BillFormat, columns: Columns, rules: Rules) -> dict[str, str]:
    """Further columns of a charge, as SQL: what was used (`sku_0`, ...), how much, and whether it is committed use."""
    usage = _usage(fmt, columns, rules)
    return {f"sku_{n}": column for n, column in enumerate(usage.sku)} | {
        "usage_type": usage.usage_type,
        "region": usage.region,
        "quantity": usage.quantity,
        "is_use": f"COALESCE({usage.is_usage}, FALSE)",
        "committed": f"COALESCE({usage.committed}, FALSE)",
        "unused": f"COALESCE({usage.unused}, FALSE)",
    }


def sku_keys(fmt: BillFormat, columns: Columns, rules: Rules) -> tuple[str, ...]:
    """The columns that together name what was used, beside its service and account."""
    return tuple(f"sku_{n}" for n in range(len(_usage(fmt, columns, rules).sku)))


def _usage(fmt: BillFormat, columns: Columns, rules: Rules) -> Usage:
    usage = fmt.usage(columns, rules.cost_basis) if fmt.usage else None
    return usage or Usage((), "CAST(NULL AS DOUBLE)", "FALSE", "FALSE", "FALSE")


def with_parts_sql(charges: str) -> str:
    """The charges, each with the `part` of its day's cost that it belongs to: use, or what is no use of the day."""
    return f"""SELECT charges.*, CASE
        WHEN charge_category = 'Tax' THEN 'tax'
        WHEN charge_category = 'Credit' THEN 'credit'
        WHEN charge_category = 'Refund' THEN 'refund'
        WHEN unused THEN 'coverage'
        WHEN scheduled OR charge_category = 'Purchase' THEN 'one_off'
        WHEN is_use THEN 'use'
        ELSE 'other' END AS part
    FROM ({charges}) AS charges"""


def kept_sql(
    fmt: BillFormat,
    columns: Columns,
    rules: Rules,
    days: Collection[date],
    table: str = "bill",
    further: Mapping[str, str] = NOTHING,
) -> str:
    """The charges of one or two days that count, each with what was used and its part, and `further` columns as SQL."""
    expressions = charge_expressions(fmt, columns, rules) | sku_expressions(fmt, columns, rules) | dict(further)
    charges = select_sql(expressions, table, _on_days(fmt, min(days), max(days)))
    return f"""{with_parts_sql(charges)}
    WHERE left_out IS NULL"""


SKU_SUM_KEYS = ("charge_date", "linkedaccount", "service", "ou", "part", "committed")
"""The columns by which sums by SKU are kept apart, beside those that name the SKU."""


def sku_sums_sql(kept: str, skus: Sequence[str]) -> str:
    """Charges summed by SKU and day: as good as the charges themselves for `effects_sql`."""
    keys = ", ".join((*SKU_SUM_KEYS, *skus))
    return f"""SELECT {keys}, {SHOWN_OF_SKU}, SUM(cost) AS cost, SUM(quantity) AS quantity
FROM ({kept}) AS kept
GROUP BY {keys}"""


def effects_sql(kept: str, skus: Sequence[str], day: date, against: date, names: Mapping[str, str] = NO_NAMES) -> str:
    """What `drivers_sql` says, of charges or their sums by SKU that were selected before.

    Args:
        kept: as `kept_sql` or `sku_sums_sql` selects them.
        skus: the columns that name what was used.
        day, against, names: as for `drivers_sql`.
    """
    join, service = join_names(names, "effects.service")
    totals = ", ".join(f"{total_sql(value, condition)} AS {name}" for name, (value, condition) in EFFECTS_SQL.items())
    return f"""SELECT linkedaccount, {service} AS service, ou, SUM(cost0) AS before, SUM(cost1) AS now,
    MAX(there0) AS there_before, MAX(there1) AS there_now, MAX(used0) AS used_before, MAX(used1) AS used_now,
    {totals}
FROM ({effects_by_sku_sql(kept, skus, day, against)}) AS effects{join}
GROUP BY linkedaccount, {service}, ou"""


_ZERO = f"CAST(0 AS {MONEY_SQL})"
_IS_VOLUME = "part = 'use' AND (matched OR NOT counts0 OR NOT counts1)"
EFFECTS_SQL = {
    "volume": ("delta - repriced", _IS_VOLUME),
    "price": ("repriced - covering", "matched"),
    "coverage": ("CASE WHEN matched THEN covering ELSE delta END", "matched OR part = 'coverage'"),
    "one_off": ("delta", "part = 'one_off'"),
    "credits": ("delta", "part IN ('credit', 'refund')"),
    "tax": ("delta", "part = 'tax'"),
    "other": ("delta", f"part = 'other' OR (part = 'use' AND NOT ({_IS_VOLUME}))"),
}
"""Each effect of a SKU as SQL, and where it has that effect."""


def total_sql(value: str, condition: str) -> str:
    """The sum of a value over the rows that fulfil a condition; 0 where none does."""
    return f"COALESCE(SUM(CASE WHEN {condition} THEN {value} END), {_ZERO})"


def effects_by_sku_sql(kept: str, skus: Sequence[str], day: date, against: date) -> str:
    """Each SKU's cost on two days, and the doubles and conditions that EFFECTS_SQL is made of.

    Args:
        kept: charges or their sums, as for `effects_sql`.
        skus: the columns that tell one SKU, or one resource of it, from another: each is a column of the rows.
        day, against: the days.
    """
    names = ", ".join(skus)
    of_skus = f"{names}, " if names else ""
    key = ", ".join(("linkedaccount", "service", "ou", "part", *skus))
    on = [f"charge_date = DATE '{against}'", f"charge_date = DATE '{day}'"]

    def of_days(name: str, value: str, condition: str = "", function: str = "SUM", other: str = "") -> str:
        return ", ".join(
            f"{function}(CASE WHEN {is_day}{condition} THEN {value}{other} END) AS {name}{n}"
            for n, is_day in enumerate(on)
        )

    grouped = f"""SELECT {key}, {SHOWN_OF_SKU},
        {of_days("cost", "cost")},
        {of_days("quantity", "quantity")},
        {of_days("cost_covered", "cost", " AND committed")},
        {of_days("covered", "quantity", " AND committed")},
        {of_days("there", "1", function="MAX", other=" ELSE 0")},
        {of_days("used", "1", " AND part IN ('use', 'other')", function="MAX", other=" ELSE 0")}
    FROM ({kept}) AS kept
    GROUP BY {key}"""
    zero = _ZERO
    # Beyond 1E30 nothing is a quantity: that keeps NaN and infinity out.
    matched = " AND ".join(f"quantity{n} > 0 AND quantity{n} < 1E30" for n in (0, 1))
    numbers = f"""SELECT linkedaccount, service, ou, part, {of_skus}usage_type, region, there0, there1, used0, used1,
        COALESCE(cost0, {zero}) AS cost0, COALESCE(cost1, {zero}) AS cost1,
        COALESCE(quantity0, 0) <> 0 OR COALESCE(cost0, {zero}) <> {zero} AS counts0,
        COALESCE(quantity1, 0) <> 0 OR COALESCE(cost1, {zero}) <> {zero} AS counts1,
        CAST(COALESCE(cost0, {zero}) AS DOUBLE) AS c0, CAST(COALESCE(cost1, {zero}) AS DOUBLE) AS c1,
        part = 'use' AND COALESCE({matched}, FALSE) AS matched, quantity0 AS q0, quantity1 AS q1,
        COALESCE(covered0, 0) AS k0, COALESCE(covered1, 0) AS k1,
        CAST(COALESCE(cost_covered0, {zero}) + COALESCE(cost_covered1, {zero}) AS DOUBLE) AS covered_cost
    FROM ({grouped}) AS skus"""
    # Today's use at that day's unit cost. Where it is far from both costs, the unit is not what is paid for (a minimum
    # charge, a free tier that is used up): all of the change is volume then.
    then = "q1 * c0 / q0"
    comparable = f"matched AND ABS({then}) <= 10 * (ABS(c0) + ABS(c1))"
    mixed = "k0 + k1 > 0 AND q0 + q1 - k0 - k1 > 1E-9 * (q0 + q1)"
    saved = "covered_cost / (k0 + k1) - (c0 + c1 - covered_cost) / (q0 + q1 - k0 - k1)"

    def rounded(value: str, condition: str) -> str:
        attempt = f"TRY_CAST(TRY_CAST({value} AS DECIMAL(38, 6)) AS {MONEY_SQL})"
        return f"COALESCE(CASE WHEN {condition} THEN {attempt} END, {zero})"

    return f"""SELECT numbers.*, cost1 - cost0 AS delta,
        {rounded(f"c1 - {then}", comparable)} AS repriced,
        {rounded(f"(k1 - q1 * k0 / q0) * ({saved})", f"{comparable} AND {mixed}")} AS covering
    FROM ({numbers}) AS numbers"""


def _on_days(fmt: BillFormat, start: date, end: date) -> str:
    """The condition that a line starts on the first or the last day; the days between them are left out."""
    lines = in_days(fmt, start, end)
    if (end - start).days <= 1:
        return lines
    after_start = start + timedelta(days=1)
    return (
        f"{lines} AND NOT "
        f"({fmt.start} >= TIMESTAMP '{after_start} 00:00:00' AND {fmt.start} < TIMESTAMP '{end} 00:00:00')"
    )


def driver_columns(fmt: BillFormat, columns: Columns, rules: Rules) -> tuple[str, ...]:
    """Those of the columns that `drivers_sql` reads; a bill can do without those beyond `used_columns`."""
    return named_in(drivers_sql(fmt, columns, rules, date(2000, 1, 2), date(2000, 1, 1)), columns)
