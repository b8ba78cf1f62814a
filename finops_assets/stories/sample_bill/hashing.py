"""Numbers that belong to a name: the same on every machine and with every version of NumPy."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np


def key_of(name: str) -> int:
    """64 bits that belong to the name."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")


def share_of(name: str) -> float:
    """A number in [0, 1) that belongs to the name."""
    return (key_of(name) >> 11) * 2.0**-53


def mix(values: np.ndarray) -> np.ndarray:
    """SplitMix64's finalizer: spreads 64-bit integers evenly, the same on every machine."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def noise(keys: np.ndarray, days: np.ndarray) -> np.ndarray:
    """A triangular variate in (-1, 1) for each key and day, whatever the window is."""
    bits = mix(keys ^ mix(days))
    halves = (bits >> np.uint64(32)).astype(np.float64) + (bits & np.uint64(0xFFFFFFFF)).astype(np.float64)
    return halves / 2.0**32 - 1.0
