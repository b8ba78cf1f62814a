"""The page's numbers: cost by OU, service, account and day as integers whose sums are exact."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from finops_assets.core.archive.day_costs import exact_parts

if TYPE_CHECKING:
    import numpy as np

Columns = Callable[[int, int], "np.ndarray"]

MICRO = 1_000_000
PICO = 10**12

DAYS_AT_ONCE = 16
"""Days that are added up at a time: 60,000 rows of them are 8 MB."""


def fold(keys: np.ndarray, weight: np.ndarray, *, other: int, most_keys: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Put the smallest keys into `other` of their OU and service until at most `most_keys` are left.

    Args:
        keys: positions of OU, service and account, each key once.
        weight: of each key.
        other: the position of the account that they are put into.
        most_keys: how many may be left.

    Returns:
        the keys that are left, in order; which of them each given one is now; and how many were folded.
    """
    import numpy as np

    if len(keys) <= most_keys:
        kept, position = np.unique(keys, axis=0, return_inverse=True)
        return kept, position, 0
    order = np.argsort(weight, kind="stable")
    _, group = np.unique(keys[:, :2], axis=0, return_inverse=True)
    # Each folded key goes, and the first of its OU and service brings one row for the rest.
    first_of_group = np.zeros(len(keys), dtype=bool)
    first_of_group[np.unique(group[order], return_index=True)[1]] = True
    left = len(keys) - np.arange(1, len(keys) + 1) + np.cumsum(first_of_group)
    enough = left <= most_keys
    count = int(np.argmax(enough)) + 1 if enough.any() else len(keys)
    small = np.zeros(len(keys), dtype=bool)
    small[order[:count]] = True
    small &= np.bincount(group[small], minlength=group.max() + 1)[group] > 1  # one alone keeps its name
    folded = keys.copy()
    folded[small, 2] = other
    kept, position = np.unique(folded, axis=0, return_inverse=True)
    return kept, position, int(small.sum())


def amounts_of(
    costs: Columns, key_of_row: np.ndarray, columns: np.ndarray, ou_of_key: np.ndarray, days: int
) -> tuple[np.ndarray, np.ndarray]:
    """Micros by key and day, and what they lack by OU and day, in picos.

    What rounding leaves is carried down to the next key of the day: rounded by themselves, the thousand accounts of a
    service would be cents off in a year.

    Args:
        costs: gives those by row and archived day, from one day to before another.
        key_of_row: which key each row belongs to; a key without rows costs nothing.
        columns: the page's day of each archived one.
        ou_of_key: ascends from 0 without a gap.
        days: of the page.
    """
    import numpy as np

    shape = (len(ou_of_key), days)
    whole, part = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    order = np.argsort(key_of_row, kind="stable")
    first_of_key = np.flatnonzero(np.diff(key_of_row[order], prepend=-1))
    with_rows = key_of_row[order][first_of_key]
    for start in range(0, len(columns) if len(order) else 0, DAYS_AT_ONCE):
        some = slice(start, min(start + DAYS_AT_ONCE, len(columns)))
        for sums, parts in zip((whole, part), exact_parts(costs(some.start, some.stop)[order]), strict=True):
            sums[np.ix_(with_rows, columns[some])] = np.add.reduceat(parts, first_of_key, axis=0)
    pico_per_micro = PICO // MICRO
    carried = (np.cumsum(part, axis=0) + pico_per_micro // 2) // pico_per_micro
    fraction = np.diff(carried, axis=0, prepend=0)
    rest = part - fraction * pico_per_micro
    first_of_ou = np.flatnonzero(np.diff(ou_of_key, prepend=-1))
    return whole * MICRO + fraction, np.add.reduceat(rest, first_of_ou, axis=0) if len(rest) else rest
