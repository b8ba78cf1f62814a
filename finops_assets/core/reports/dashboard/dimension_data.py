"""What the page embeds of dimensions: the cost by value, OU and day of each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from finops_assets.core.bill.dimension_keys import UNTAGGED
from finops_assets.core.reports.dashboard.amounts import MICRO
from finops_assets.core.text import distinct, tidy

if TYPE_CHECKING:
    import numpy as np
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
    shown = set(days)
    parts = []
    for key, known in costs.days.items():
        if shown.isdisjoint(known):
            continue
        values, rows, amounts = _by_value(costs.sums, key, days, ous)
        named = _named(values, rows, amounts, most_cells // max(1, len(costs.days)) // len(days))
        parts.append(_part(key, [day in known for day in days], values, named, rows, amounts))
    return parts


def _by_value(
    sums: pa.Table, key: str, days: Sequence[date], ous: Sequence[str]
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The values; the positions of value and OU of each row, -1 for values without a name; micros by row and day."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pc.and_(pc.equal(sums.column("dimension"), key), pc.is_in(sums.column("billingdate"), pa.array(days)))
    of_key = sums.filter(pc.and_(wanted, pc.is_in(sums.column("ou"), pa.array(ous, pa.string())))).combine_chunks()
    if not of_key.num_rows:
        return [], np.zeros((0, 2), dtype=np.int64), np.zeros((0, len(days)))
    encoded = of_key.column("value").combine_chunks().dictionary_encode()
    value = pc.fill_null(encoded.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
    ou = pc.index_in(of_key.column("ou"), pa.array(ous, pa.string())).to_numpy().astype(np.int64)
    day = pc.index_in(of_key.column("billingdate"), pa.array(days)).to_numpy()
    rows, row = np.unique(np.column_stack([value, ou]), axis=0, return_inverse=True)
    amounts = np.zeros((len(rows), len(days)))
    # A double has the micros of nine billion.
    np.add.at(amounts, (row.reshape(-1), day), of_key.column("cost").cast(pa.float64()).to_numpy() * MICRO)
    return encoded.dictionary.to_pylist(), rows, amounts


def _named(values: Sequence[str], rows: np.ndarray, amounts: np.ndarray, most_rows: int) -> list[int]:
    """The values that are named, by position, the largest first: `(untagged)` always, others while there is room."""
    import numpy as np

    of_value = rows[:, 0] >= 0
    size = np.bincount(rows[of_value, 0], np.abs(amounts[of_value]).sum(axis=1), len(values))
    count = np.bincount(rows[of_value, 0], minlength=len(values))
    ranked = sorted(range(len(values)), key=lambda at: (values[at] != UNTAGGED, -size[at], values[at]))
    within = np.cumsum(count[ranked]) <= most_rows
    return [at for n, at in enumerate(ranked[:MOST_NAMED]) if n == 0 or within[n]]


def _part(
    key: str,
    known: Sequence[bool],
    values: Sequence[str],
    named: Sequence[int],
    rows: np.ndarray,
    amounts: np.ndarray,
) -> dict[str, Any]:
    import numpy as np

    position = {at: n for n, at in enumerate(named)}
    folded = np.array([[position.get(value, len(named)), ou] for value, ou in rows.tolist()]).reshape(-1, 2)
    cells, cell = np.unique(folded, axis=0, return_inverse=True)
    sums = np.zeros((len(cells), amounts.shape[1]))
    np.add.at(sums, cell.reshape(-1), amounts)
    shown = distinct([values[at] for at in named])
    others = bool(len(cells)) and int(cells[-1, 0]) == len(named)
    return {
        "key": tidy(key, 140),
        "known": [int(day) for day in known],
        "values": [*(shown[values[at]] for at in named), *([OTHER_VALUES] if others else [])],
        "rows": np.column_stack([cells, np.rint(sums).astype(np.int64)]).tolist(),
    }
