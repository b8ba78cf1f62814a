"""What the page embeds of dimensions: the cost by value, OU and day of each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_assets.core.bill.dimension_keys import UNTAGGED
from finops_assets.core.reports.dashboard.amounts import MICRO
from finops_assets.core.text import distinct, tidy

if TYPE_CHECKING:
    import pyarrow as pa

OTHER_VALUES = "(other values)"
MOST_NAMED = 100
"""Values of a dimension that the page names."""


@dataclass(frozen=True)
class DimensionCosts:
    """Costs by dimension, value and OU (`core.archive.dimension_sums`), and the days that have each dimension."""

    sums: pa.Table
    days: Mapping[str, Collection[date]]


def dimension_data(
    costs: DimensionCosts | None, days: Sequence[date], ous: Sequence[str], most_cells: int
) -> list[dict[str, Any]]:
    """The page's `dimensions`: for each its `key`, the `values`, and `rows` of them by OU.

    `known` says of each day whether it has the dimension; the last of `values` stands for those that are not named, if
    there are any. A row is the positions of its value and OU, then integers of 1e-6 of the currency, aligned with the
    days.

    Args:
        costs: None where no dimension is set.
        days: of the page.
        ous: of the page, by position.
        most_cells: how many numbers may be embedded; beyond, values give way to `(other values)`, the smallest first.
    """
    if costs is None:
        return []
    at = {day: n for n, day in enumerate(days)}
    ou_at = {ou: n for n, ou in enumerate(ous)}
    parts = []
    for key, known in costs.days.items():
        if not any(day in at for day in known):
            continue
        by_value = _by_value(costs.sums, key, at, ou_at)
        named = _named(by_value, most_cells // max(1, len(costs.days)) // len(days))
        parts.append(_part(key, [day in known for day in days], by_value, named))
    return parts


Amounts = dict[int, list[Decimal]]
"""Position of an OU -> costs by day of the page."""


def _by_value(sums: pa.Table, key: str, at: Mapping[date, int], ou_at: Mapping[str, int]) -> dict[str | None, Amounts]:
    import pyarrow.compute as pc

    of_key = sums.filter(pc.equal(sums.column("dimension"), key))
    by_value: dict[str | None, Amounts] = {}
    columns = (of_key.column(name).to_pylist() for name in ("billingdate", "value", "ou", "cost"))
    for day, value, ou, cost in zip(*columns, strict=True):
        if day in at and ou in ou_at:
            series = by_value.setdefault(value, {}).setdefault(ou_at[ou], [Decimal()] * len(at))
            series[at[day]] += cost
    return by_value


def _named(by_value: Mapping[str | None, Amounts], most_rows: int) -> list[str]:
    """The values that are named, the largest first: `(untagged)` always, others while there is room for their rows."""
    size = {value: sum(abs(cost) for of in ous.values() for cost in of) for value, ous in by_value.items()}
    ranked = sorted((value for value in by_value if value is not None), key=lambda v: (v != UNTAGGED, -size[v], v))
    named: list[str] = []
    rows = 0
    for value in ranked[:MOST_NAMED]:
        rows += len(by_value[value])
        if named and rows > most_rows:
            break
        named.append(value)
    return named


def _part(
    key: str, known: Sequence[bool], by_value: Mapping[str | None, Amounts], named: Sequence[str]
) -> dict[str, Any]:
    position = {value: n for n, value in enumerate(named)}
    other = len(named) if any(value not in position for value in by_value) else -1
    rows: dict[tuple[int, int], list[Decimal]] = {}
    for value, ous in by_value.items():
        for ou, series in ous.items():
            cell = position.get(value, other) if value is not None else other, ou
            rows[cell] = [a + b for a, b in zip(rows[cell], series, strict=True)] if cell in rows else series
    shown = distinct(named)
    return {
        "key": tidy(key, 140),
        "known": [int(day) for day in known],
        "values": [*(shown[value] for value in named), *([OTHER_VALUES] if other >= 0 else [])],
        "rows": [[*cell, *(round(cost * MICRO) for cost in series)] for cell, series in sorted(rows.items())],
    }
