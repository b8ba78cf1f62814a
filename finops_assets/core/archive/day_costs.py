"""The costs of archived days one by one, as numbers: a day is an array of costs and the numbers of their keys.

Keys are numbered as they are met, once for all days. Days of the same keys share one array of numbers, so that a day of
60,000 rows takes 0.5 MB. `core.archive.cost_history` puts days together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.money import DIGITS, PLACES, from_double
from finops_assets.core.schemas import KEY_COLUMNS, MONEY

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from finops_assets.core.archive.scheduled_costs import ScheduledCosts

Key = tuple[str, str, str]
"""OU path, service, account."""

SMALL = 4096.0
"""Below it, doubles lie closer together than decimals of twelve places: each rounds to the one that it stands for."""

CODE_BITS = 21
"""Bits of a name's number within a key's: two million different OUs, services or accounts."""


@dataclass(frozen=True)
class DayCosts:
    """An archived day's costs.

    Attributes:
        day: the day.
        keys: the number of each row's key, in the order of the day's object.
        costs: each row's cost, a double that stands for a decimal (`core.money.from_double`).
        by_ou: each OU's own exact cost, of those that have rows.
        scheduled: what of the costs is no usage; None where the day does not tell what its money is.
    """

    day: date
    keys: np.ndarray
    costs: np.ndarray
    by_ou: Mapping[str, Decimal]
    scheduled: ScheduledCosts | None = None


class KeyIndex:
    """Numbers the keys of many days: each OU, service and account, and each key that they make."""

    def __init__(self) -> None:
        import numpy as np

        self._names: list[dict[str, int]] = [{}, {}, {}]
        self._code_of_key = np.empty(0, dtype=np.int64)
        self._sorted_codes, self._key_of_code = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int32)
        self._last: tuple[list[pa.ChunkedArray], np.ndarray] | None = None
        self._ou_of_row: tuple[np.ndarray, np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self._code_of_key)

    def numbers(self, table: pa.Table) -> np.ndarray:
        """The number of each row's key; the same array as for the table before, where the keys are the same."""
        columns = [table.column(name) for name in KEY_COLUMNS]
        if self._last and all(new.equals(old) for new, old in zip(columns, self._last[0], strict=True)):
            return self._last[1]
        codes = self._name_codes(columns[0], 0)
        for n in (1, 2):
            codes = codes << CODE_BITS | self._name_codes(columns[n], n)
        numbers = self._numbers_of(codes)
        self._last = columns, numbers
        return numbers

    def names(self) -> tuple[list[str], list[str], list[str]]:
        """All OUs, services and accounts, in the order of their numbers."""
        ous, services, accounts = map(list, self._names)
        return ous, services, accounts

    def codes(self, keys: np.ndarray) -> np.ndarray:
        """The numbers of OU, service and account of these keys: three columns."""
        import numpy as np

        codes, mask = self._code_of_key[keys], (1 << CODE_BITS) - 1
        return np.stack([codes >> 2 * CODE_BITS, codes >> CODE_BITS & mask, codes & mask], axis=1)

    def keys(self, keys: np.ndarray) -> tuple[Key, ...]:
        """These keys by name."""
        names = self.names()
        columns = self.codes(keys).T.tolist()
        of_each = ([of[code] for code in column] for of, column in zip(names, columns, strict=True))
        return tuple(zip(*of_each, strict=True))

    def sums_by_ou(self, keys: np.ndarray, costs: np.ndarray) -> dict[str, Decimal]:
        """The exact cost of each OU that has rows on a day."""
        import numpy as np

        if self._ou_of_row is None or self._ou_of_row[0] is not keys:
            self._ou_of_row = keys, self._code_of_key[keys] >> 2 * CODE_BITS
        ous, known = self._ou_of_row[1], self._names[0]
        sums = [np.zeros(len(known), dtype=np.int64) for _ in range(2)]
        for total, parts in zip(sums, exact_parts(costs), strict=True):
            np.add.at(total, ous, parts)
        units, picos = (total.tolist() for total in sums)
        has_rows = np.bincount(ous, minlength=len(known)).tolist()
        return {ou: Decimal(units[n]) + Decimal(picos[n]).scaleb(-PLACES) for ou, n in known.items() if has_rows[n]}

    def _name_codes(self, column: pa.ChunkedArray, which: int) -> np.ndarray:
        import numpy as np
        import pyarrow as pa

        encoded = column.combine_chunks().dictionary_encode()
        known = self._names[which]
        of_value = [known.setdefault(name or "", len(known)) for name in encoded.dictionary.to_pylist()]
        nothing = known.setdefault("", len(known)) if encoded.null_count else 0
        codes = np.array([*of_value, nothing], dtype=np.int64)
        return codes[encoded.indices.fill_null(pa.scalar(len(of_value), encoded.indices.type)).to_numpy()]

    def _numbers_of(self, codes: np.ndarray) -> np.ndarray:
        import numpy as np

        unknown = np.flatnonzero(~np.isin(codes, self._sorted_codes, assume_unique=False))
        if len(unknown):
            _, first = np.unique(codes[unknown], return_index=True)
            added = codes[unknown][np.sort(first)]  # in the order of the rows
            self._code_of_key = np.concatenate([self._code_of_key, added])
            order = np.argsort(self._code_of_key, kind="stable")
            self._sorted_codes, self._key_of_code = self._code_of_key[order], order.astype(np.int32)
        return self._key_of_code[np.searchsorted(self._sorted_codes, codes)]


def exact_sum(costs: np.ndarray) -> Decimal:
    """The sum of the decimals that these doubles stand for; NaN counts nothing."""
    units, picos = exact_parts(costs)
    return Decimal(int(units.sum())) + Decimal(int(picos.sum())).scaleb(-PLACES)


def exact_parts(costs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The decimals that these doubles stand for, as whole units and the 1e-12 parts beyond them; NaN is 0.

    Sums of these integers are exact.
    """
    import numpy as np

    known = np.nan_to_num(costs)
    units = np.trunc(known)
    picos = np.rint((known - units) * 10.0**PLACES).astype(np.int64)
    units = units.astype(np.int64)
    for at in zip(*np.nonzero(np.abs(known) >= SMALL), strict=True):
        cost = from_double(float(known[at]))
        units[at] = int(cost)
        picos[at] = int((cost - int(cost)).scaleb(PLACES))
    return units, picos


def exact_decimals(costs: np.ndarray) -> pa.Array:
    """The decimals that these doubles stand for."""
    import pyarrow as pa
    import pyarrow.compute as pc

    units, picos = exact_parts(costs)
    whole = pa.array(units).cast(pa.decimal128(DIGITS - 1, PLACES))  # a digit less, as sums have one more
    part = pa.array(picos).cast(pa.decimal128(DIGITS - 1, 0)).view(pa.decimal128(DIGITS - 1, PLACES))
    return pc.add(whole, part).cast(MONEY)


def positions(days: Sequence[DayCosts]) -> tuple[np.ndarray, np.ndarray]:
    """The keys that these days have, in the order in which they appear; and the place of each number in it, or -1."""
    import numpy as np

    most = 1 + max((int(of.keys.max()) for of in days if len(of.keys)), default=-1)
    position = np.full(most, -1, dtype=np.int32)
    kept: list[np.ndarray] = [np.empty(0, dtype=np.int32)]
    count, seen = 0, None
    for of in days:
        if of.keys is not seen:
            new = of.keys[position[of.keys] < 0]
            position[new] = np.arange(count, count + len(new))
            count += len(new)
            kept.append(new)
            seen = of.keys
    return np.concatenate(kept), position


def put_together(days: Sequence[DayCosts], *, usage: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The keys that these days have, in the order in which they appear, and costs by key and day (NaN: no such row).

    With `usage`, they are costs without what is scheduled, of days that tell it.
    """
    import numpy as np

    keys, position = positions(days)
    costs = np.empty((len(days), len(keys)))
    for row, of in enumerate(days):
        if len(of.keys) < len(keys):
            costs[row] = np.nan
        costs[row, position[of.keys]] = of.costs
        if usage and of.scheduled is not None:
            rows, without = of.scheduled.usage(of.costs)
            costs[row, position[of.keys[rows]]] = without
    return keys, costs.T
