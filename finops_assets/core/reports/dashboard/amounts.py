"""The page's numbers: cost by OU, service, account and day as integers whose sums are exact."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

MICRO = 1_000_000
PICO = 10**12


def coded(column: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    """The column's distinct values in order, and each row's position among them."""
    import numpy as np
    import pyarrow.compute as pc

    encoded = column.combine_chunks().dictionary_encode()
    order = pc.sort_indices(encoded.dictionary)
    place = np.empty(len(order), dtype=np.int64)
    place[order.to_numpy()] = np.arange(len(order))
    return encoded.dictionary.take(order), place[encoded.indices.to_numpy()]


def name_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A null is an empty name: what the bill does not name still costs."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.fill_null(column.cast(pa.string()), "")


def split(cost: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Decimals as whole units and the 1e-12 parts beyond them, of the same sign: sums of these integers are exact."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    cost = cost.combine_chunks().cast(pa.decimal128(36, 12))  # two digits of room for the subtraction
    units = cost.cast(pa.int64(), safe=False)
    fraction = pc.subtract(cost, units.cast(pa.decimal128(19, 0))).cast(pa.decimal128(38, 12))
    # Less than 1e12 in size, so that the lower of its two 64-bit words is all of it.
    return units.to_numpy(), np.frombuffer(fraction.buffers()[1], dtype=np.int64)[::2][: len(fraction)]


def occurring_keys(codes: tuple[np.ndarray, ...], sizes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The triples of OU, service and account that occur, in order, and each row's position among them."""
    import numpy as np
    import pyarrow as pa

    shape = tuple(max(1, size) for size in sizes)
    ou, service, account = codes
    codes_of_keys, key_of_row = coded(pa.chunked_array([(ou * shape[1] + service) * shape[2] + account]))
    return np.stack(np.unravel_index(codes_of_keys.to_numpy(), shape), axis=1), key_of_row


def fold(
    keys: np.ndarray, key_of_row: np.ndarray, cost: np.ndarray, *, other: int, most_keys: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Put the smallest keys into `other` of their OU and service until at most `most_keys` are left.

    Returns:
        keys and each row's key after folding, and how many keys were folded.
    """
    import numpy as np

    if len(keys) <= most_keys:
        return keys, key_of_row, 0
    weight = np.bincount(key_of_row, weights=np.abs(cost), minlength=len(keys))
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
    return kept, position[key_of_row], int(small.sum())


def amounts_of(
    units: np.ndarray, picos: np.ndarray, key: np.ndarray, day: np.ndarray, ou_of_key: np.ndarray, days: int
) -> tuple[np.ndarray, np.ndarray]:
    """Micros by key and day, and what they lack by OU and day, in picos; `ou_of_key` ascends from 0 without a gap.

    What rounding leaves is carried down to the next key of the day: rounded by themselves, the thousand accounts of a
    service would be cents off in a year.
    """
    import numpy as np

    shape = (len(ou_of_key), days)
    whole, part = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    np.add.at(whole.reshape(-1), key * days + day, units)
    np.add.at(part.reshape(-1), key * days + day, picos)
    pico_per_micro = PICO // MICRO
    carried = (np.cumsum(part, axis=0) + pico_per_micro // 2) // pico_per_micro
    fraction = np.diff(carried, axis=0, prepend=0)
    rest = part - fraction * pico_per_micro
    first_of_ou = np.flatnonzero(np.diff(ou_of_key, prepend=-1))
    return whole * MICRO + fraction, np.add.reduceat(rest, first_of_ou, axis=0) if len(rest) else rest
