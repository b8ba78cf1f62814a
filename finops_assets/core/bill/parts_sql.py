"""The largest parts of what moved an account's service between two days: usage type, region, and resource."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from finops_assets.core.bill.bill_format import BillFormat, Columns, text_sql
from finops_assets.core.bill.charges import named_in
from finops_assets.core.bill.drivers_sql import (
    EFFECTS_SQL,
    effects_by_sku_sql,
    kept_sql,
    sku_keys,
    total_sql,
)
from finops_assets.core.bill.queries import NO_NAMES, SHOWN_COLUMNS
from finops_assets.core.bill.rules import Rules
from finops_assets.core.bill.service_names import join_names

LARGEST = 5
"""Parts of a row that are kept apart; the others are one, the rest."""

REST = "rest"
"""The kind of what is not kept apart."""

RESOURCE = "resource"


def parts_sql(
    kept: str,
    skus: Sequence[str],
    day: date,
    against: date,
    names: Mapping[str, str] = NO_NAMES,
    *,
    with_resources: bool = False,
) -> str:
    """The parts of each account's service that moved the most, LARGEST of them, and the rest as one.

    The parts of an account's service sum to its cost on both days; `volume`, `price`, `coverage` and `other` of a part
    sum to its change. What did not move is in the rest. `kind` is a part of `drivers_sql.with_parts_sql`, or REST.
    `newregion` is 1 where the account used nothing in the part's region on the other day.

    Args:
        kept: charges or their sums by SKU, as for `drivers_sql.effects_sql`.
        skus: the columns that name what was used.
        day, against, names: as for `drivers_sql.drivers_sql`.
        with_resources: whether `kept` has the column `resource`, by which usage is parted further.
    """
    keys = (*skus, RESOURCE) if with_resources else tuple(skus)
    resource = f"CASE WHEN part = 'use' THEN {RESOURCE} ELSE '' END" if with_resources else "''"
    join, service = join_names(names, "effects.service")
    effects = {name: total_sql(*EFFECTS_SQL[name]) for name in ("volume", "price", "coverage")}
    totals = ", ".join(f"{sql} AS {name}" for name, sql in effects.items())
    of = f"linkedaccount, {service}, ou, part, usage_type, region, COALESCE({resource}, '')"
    summed = f"""SELECT linkedaccount, {service} AS service, ou, part AS kind, usage_type, region,
        COALESCE({resource}, '') AS resource, SUM(cost0) AS before, SUM(cost1) AS now,
        SUM(q0) AS quantitybefore, SUM(q1) AS quantitynow, {totals}, MAX(used0) AS used0
    FROM ({effects_by_sku_sql(kept, keys, day, against)}) AS effects{join}
    GROUP BY {of}"""
    moved = "now <> before OR volume <> 0 OR price <> 0 OR coverage <> 0"
    order = f"CASE WHEN {moved} THEN 0 ELSE 1 END, ABS(now - before) DESC, kind, usage_type, region, resource"
    ranked = f"""SELECT summed.*, {moved} AS moved,
        ROW_NUMBER() OVER (PARTITION BY linkedaccount, service, ou ORDER BY {order}) AS place,
        MAX(CASE WHEN kind = 'use' THEN used0 ELSE 0 END) OVER (PARTITION BY linkedaccount, region) AS region0
    FROM ({summed}) AS summed"""
    placed = f"""SELECT ranked.*, CASE WHEN moved AND place <= {LARGEST} THEN place ELSE {LARGEST + 1} END AS part,
        CASE WHEN kind = 'use' AND region <> '' AND region0 = 0 THEN 1 ELSE 0 END AS newregion0
    FROM ({ranked}) AS ranked"""
    shown = ", ".join(
        f"CASE WHEN part <= {LARGEST} THEN MAX({name}) ELSE '' END AS {name}" for name in (*SHOWN_COLUMNS, "resource")
    )
    quantities = ", ".join(
        f"CASE WHEN part <= {LARGEST} THEN MAX({name}) END AS {name}" for name in ("quantitybefore", "quantitynow")
    )
    return f"""SELECT linkedaccount, service, ou, part,
    CASE WHEN part <= {LARGEST} THEN MAX(kind) ELSE '{REST}' END AS kind, {shown}, SUM(before) AS before,
    SUM(now) AS now, {quantities}, SUM(volume) AS volume, SUM(price) AS price, SUM(coverage) AS coverage,
    SUM(now) - SUM(before) - SUM(volume) - SUM(price) - SUM(coverage) AS other,
    CASE WHEN part <= {LARGEST} THEN MAX(newregion0) ELSE 0 END AS newregion
FROM ({placed}) AS placed
GROUP BY linkedaccount, service, ou, part"""


def lines_by_resource_sql(
    fmt: BillFormat, columns: Columns, rules: Rules, day: date, against: date, table: str = "bill"
) -> str:
    """The charges of two days that count, with the id of the resource of each, for `parts_sql`."""
    resource = resource_column(fmt, columns, rules)
    expression = text_sql(resource) if resource else "''"
    return kept_sql(fmt, columns, rules, (day, against), table, {RESOURCE: expression})


def resource_column(fmt: BillFormat, columns: Columns, rules: Rules) -> str:
    """The column of the id of what was used; empty where the bill has none."""
    usage = fmt.usage(columns, rules.cost_basis) if fmt.usage else None
    return usage.resource if usage else ""


def bill_parts_sql(
    fmt: BillFormat,
    columns: Columns,
    rules: Rules,
    day: date,
    against: date,
    table: str = "bill",
    names: Mapping[str, str] = NO_NAMES,
) -> str:
    """The parts as `parts_sql` gives them, of the bill's lines, by resource where it names them."""
    lines = lines_by_resource_sql(fmt, columns, rules, day, against, table)
    with_resources = bool(resource_column(fmt, columns, rules))
    return parts_sql(lines, sku_keys(fmt, columns, rules), day, against, names, with_resources=with_resources)


def part_columns(fmt: BillFormat, columns: Columns, rules: Rules) -> tuple[str, ...]:
    """Those of the columns that `bill_parts_sql` reads."""
    return named_in(bill_parts_sql(fmt, columns, rules, date(2000, 1, 2), date(2000, 1, 1)), columns)
