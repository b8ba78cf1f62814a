"""A day's charges as an object of the archive: what each row of the breakdown is made of, in exact decimals.

The object is put before the breakdown, which names its fingerprint: that one PUT stays the commit. Charges of another
fingerprint are of another state of the day, and no reader is given them.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.archive.content_hash import charges_hash
from finops_assets.core.archive.day_parts import DayPart
from finops_assets.core.bill.charge_kinds import by_column
from finops_assets.core.money import plain
from finops_assets.core.schemas import (
    CATEGORY_COLUMNS,
    CHARGES,
    CHARGES_PREFIX,
    KEY_COLUMNS,
    MAY_BE_UNKNOWN,
    MONEY,
    OU_CHARGES,
    charges_path,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from finops_assets.core.values import DayRows, SourceDay

ROUNDING = 1e-12
"""How far doubles may be from a row's cost, as a part of the amounts that make it."""


def _is_known(charges: pa.Table) -> bool:
    """Whether each column has a value on every row, or on none."""
    return not any(0 < charges.column(n).null_count < charges.num_rows for n in MAY_BE_UNKNOWN)


CHARGES_PART = DayPart(
    CHARGES, "charges", "ou_charges", OU_CHARGES, CHARGES_PREFIX, charges_path, charges_hash, _is_known
)


def named_charges(footer: Mapping[str, str]) -> str:
    """The fingerprint of the charges that a day's breakdown was made from; empty of days of older releases."""
    return CHARGES_PART.named(footer)


def charges_fault(day: DayRows, source: SourceDay | None) -> str:
    """How a day's charges are not the bill's, by row or by category; empty where they are.

    Each row's categories sum to its cost, each category of the day to what the bill says of it, and the scheduled part
    likewise. The amounts of the bill come from another query, which knows no OU.
    """
    import pyarrow.compute as pc

    charges = day.charges
    if charges is None:
        return ""
    sums = {name: pc.sum(charges.column(name)).as_py() or Decimal() for name in (*CATEGORY_COLUMNS, "scheduledcost")}
    if charges.num_rows != day.rows.num_rows:
        return f"{charges.num_rows} rows have charges, {day.rows.num_rows} a cost"
    if fault := _row_fault(day.rows, charges):
        return fault
    if (total := sum((sums[name] for name in CATEGORY_COLUMNS), Decimal())) != day.total:
        return f"the categories sum to {plain(total)}, the rows to {plain(day.total)}"
    wanted = by_column(source.by_category if source else {})
    wanted["scheduledcost"] = source.scheduled if source else Decimal()
    differing = [
        f"{name} is {plain(sums[name])}, in the bill {plain(wanted[name])}"
        for name in sums
        if sums[name] != wanted[name]
    ]
    return "; ".join(differing)


def _row_fault(rows: pa.Table, charges: pa.Table) -> str:
    """The first row whose charges are another row's, or do not sum to its cost as far as a double tells."""
    import numpy as np

    if not charges.select(KEY_COLUMNS).equals(rows.select(KEY_COLUMNS)):
        return "the charges are not of the rows' OUs, services and accounts, one for one"
    parts = [charges.column(name).cast("float64").to_numpy() for name in CATEGORY_COLUMNS]
    apart = np.abs(sum(parts) - rows.column("dailycost").to_numpy())
    wrong = np.flatnonzero(apart > ROUNDING * sum(map(np.abs, parts)))
    if not len(wrong):
        return ""
    ou, service, account = (rows.column(name)[int(wrong[0])].as_py() for name in KEY_COLUMNS)
    return f"the categories of {ou} / {service} / {account} do not sum to its cost"


def exact_costs(charges: pa.Table) -> pa.Table:
    """The exact cost of each row of a day, in archive order, by its charges."""
    import pyarrow as pa

    parts = [charges.select([*KEY_COLUMNS, name]).rename_columns([*KEY_COLUMNS, "cost"]) for name in CATEGORY_COLUMNS]
    return summed(pa.concat_tables(parts))


def summed(costs: pa.Table) -> pa.Table:
    """Costs summed by OU, service and account, in archive order."""
    sums = costs.group_by(list(KEY_COLUMNS)).aggregate([("cost", "sum")]).rename_columns([*KEY_COLUMNS, "cost"])
    exact = sums.set_column(len(KEY_COLUMNS), "cost", sums.column("cost").cast(MONEY))
    return exact.sort_by([(name, "ascending") for name in KEY_COLUMNS]).combine_chunks()
