"""Rows of integers as one short text, for pages that would be large: 3 to 5 characters a number instead of 9.

Each number is what it is more than the one before it in its row, as a variable-length integer (zigzag, seven bits a
byte, the lowest first), and all of them together are Base64. `unpack` in templates/dashboard/data.js reads it.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

BITS = 7
MOST_BYTES = 10
"""Of a number of 64 bits."""


def pack(rows: Sequence[np.ndarray]) -> str:
    """The text of these rows of 64-bit integers; their lengths are not in it."""
    import numpy as np

    if not rows:
        return ""
    steps = np.concatenate([np.diff(row, prepend=0) for row in rows]).astype(np.int64)
    zigzag = ((steps << 1) ^ (steps >> 63)).astype(np.uint64)
    sizes = np.ones(len(zigzag), dtype=np.int64)
    for n in range(1, MOST_BYTES):
        sizes += zigzag >= np.uint64(1 << BITS * n)
    starts = np.cumsum(sizes) - sizes
    out = np.zeros(int(sizes.sum()), dtype=np.uint8)
    for n in range(int(sizes.max(initial=1))):
        at = sizes > n
        low = (zigzag[at] >> np.uint64(BITS * n)) & np.uint64(127)
        out[starts[at] + n] = low.astype(np.uint8) | ((sizes[at] > n + 1).astype(np.uint8) << BITS)
    return b64encode(out.tobytes()).decode()


def unpack(text: str, lengths: Sequence[int]) -> list[np.ndarray]:
    """The rows of a text, of these lengths.

    Raises:
        ValueError: it is no such text, or of other lengths.
    """
    import numpy as np

    data = np.frombuffer(b64decode(text, validate=True), dtype=np.uint8)
    ends = np.flatnonzero(data < 1 << BITS)
    if len(ends) != sum(lengths) or (len(data) and (not len(ends) or ends[-1] != len(data) - 1)):
        raise ValueError(f"there are {len(ends)} numbers, {sum(lengths)} are expected")
    if not len(ends):
        return [np.empty(0, dtype=np.int64) for _ in lengths]
    starts = np.concatenate([[0], ends[:-1] + 1])
    place = np.arange(len(data)) - np.repeat(starts, ends - starts + 1)
    parts = (data & 127).astype(np.uint64) << (place * BITS).astype(np.uint64)
    zigzag = np.add.reduceat(parts, starts)
    steps = (zigzag >> np.uint64(1)).astype(np.int64) ^ -(zigzag & np.uint64(1)).astype(np.int64)
    rows = np.split(steps, np.cumsum(lengths)[:-1]) if len(lengths) else []
    return [np.cumsum(row) for row in rows]
