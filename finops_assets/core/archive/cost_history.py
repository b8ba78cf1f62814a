"""Archived costs as numbers: a row for each service of an account in an OU, a column for each archived day.

History is read day by day and kept as one double a cost, never as Python objects: 60,000 rows a day of 200 days take
96 MB. An archived cost is a double that stands for a decimal (`core.money.from_double`), so that sums stay exact.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.money import PLACES, from_double

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

Key = tuple[str, str, str]
"""OU path, service, account."""

SMALL = 4096.0
"""Below it, doubles lie closer together than decimals of twelve places: each rounds to the one that it stands for."""

KEY_COLUMNS = ("ou", "service", "linkedaccount")


@dataclass(frozen=True)
class CostHistory:
    """Costs of archived days.

    Attributes:
        days: the archived days, ascending.
        keys: what each row is of.
        costs: by row and day, in the billing currency; NaN where the day has no such row.
        by_ou: each OU's own exact cost, on the days on which it has rows.
    """

    days: tuple[date, ...]
    keys: tuple[Key, ...]
    costs: np.ndarray
    by_ou: Mapping[str, Mapping[date, Decimal]]

    @classmethod
    def of(cls, costs: Mapping[Key, Mapping[date, Decimal]], days: Iterable[date]) -> CostHistory:
        """The history of costs that are given one by one."""
        import numpy as np

        known = tuple(sorted(days))
        column = {day: n for n, day in enumerate(known)}
        values = np.full((len(costs), len(known)), np.nan)
        by_ou: dict[str, dict[date, Decimal]] = {}
        for row, ((ou, _, _), by_day) in enumerate(costs.items()):
            of_ou = by_ou.setdefault(ou, {})
            for day, cost in by_day.items():
                if day in column:
                    values[row, column[day]] = float(cost)
                    of_ou[day] = of_ou.get(day, Decimal()) + cost
        return cls(known, tuple(costs), values, by_ou)

    def exact(self, rows: Sequence[int] | np.ndarray, day: date) -> Decimal:
        """The exact cost of these rows together on a day; 0 where they have none."""
        at = self._column(day)
        return Decimal() if at is None else exact_sum(self.costs[rows, at])

    def ou_costs(self, days: Iterable[date]) -> dict[str, dict[date, Decimal]]:
        """Each OU's own exact cost on every one of these days; 0 on a day without rows of it."""
        empty = dict.fromkeys(days, Decimal())
        return {ou: empty | dict(of_ou) for ou, of_ou in self.by_ou.items()}

    def totals(self) -> dict[date, Decimal]:
        """The exact cost of each day that has rows."""
        totals: dict[date, Decimal] = {}
        for of_ou in self.by_ou.values():
            for day, cost in of_ou.items():
                totals[day] = totals.get(day, Decimal()) + cost
        return dict(sorted(totals.items()))

    def sums_by_ou(self, first: date, last: date) -> dict[str, Decimal]:
        """Each OU's own exact cost from one day to another, both inclusive; of those that have rows."""
        return {
            ou: sum((cost for day, cost in of_ou.items() if first <= day <= last), Decimal())
            for ou, of_ou in self.by_ou.items()
        }

    def first_days(self) -> dict[str, date]:
        """The first day on which each OU has a row of its own, whatever the row costs."""
        return {ou: min(of_ou) for ou, of_ou in self.by_ou.items() if of_ou}

    def _column(self, day: date) -> int | None:
        at = bisect_left(self.days, day)
        return at if at < len(self.days) and self.days[at] == day else None


def cost_history(tables: Iterable[tuple[date, pa.Table]], most_days: int) -> CostHistory:
    """The history of archived days.

    Args:
        tables: the days, ascending, each with its rows in the OU_BREAKDOWN schema.
        most_days: how many they are at most.
    """
    days: list[date] = []
    by_ou: dict[str, dict[date, Decimal]] = {}
    index, costs = _KeyIndex(), _GrowingTable(most_days)
    for day, table in tables:
        rows, of_day = index.rows_of(table), table.column("dailycost").to_numpy()
        costs.add(len(days), rows, of_day, len(index.keys))
        days.append(day)
        for ou, cost in index.sums_by_ou(rows, of_day).items():
            by_ou.setdefault(ou, {})[day] = cost
    return CostHistory(tuple(days), tuple(index.keys), costs.values(len(index.keys), len(days)), by_ou)


class _GrowingTable:
    """Costs by row and day while days are added; NaN where none was.

    A day is kept in one piece, as it is written: days of the same keys are then copied at the memory's speed.
    """

    def __init__(self, most_days: int) -> None:
        import numpy as np

        self._days = np.empty((most_days, 0))

    def add(self, column: int, rows: np.ndarray, costs: np.ndarray, keys: int) -> None:
        import numpy as np

        most_days, room = self._days.shape
        if keys > room:
            grown = np.empty((most_days, max(keys, room + room // 4)))
            grown[:column, :room] = self._days[:column]
            grown[:column, room:] = np.nan
            self._days = grown
        self._days[column] = np.nan
        self._days[column, rows] = costs

    def values(self, keys: int, days: int) -> np.ndarray:
        return self._days[:days, :keys].T


class _KeyIndex:
    """Numbers the keys of many days; most days have the keys of the day before, in the same order."""

    def __init__(self) -> None:
        self.keys: list[Key] = []
        self._known: dict[Key, int] = {}
        self._ous: dict[str, int] = {}
        self._ou_of_key: list[int] = []
        self._ou_of_row: tuple[np.ndarray, np.ndarray] | None = None
        self._last: tuple[list[pa.ChunkedArray], np.ndarray] | None = None

    def rows_of(self, table: pa.Table) -> np.ndarray:
        """The number of each row's key."""
        import numpy as np

        columns = [table.column(name) for name in KEY_COLUMNS]
        if self._last and all(new.equals(old) for new, old in zip(columns, self._last[0], strict=True)):
            return self._last[1]
        names = ([name or "" for name in column.to_pylist()] for column in columns)
        rows = np.array([self._number(key) for key in zip(*names, strict=True)], dtype=np.int32)
        self._last = columns, rows
        return rows

    def sums_by_ou(self, rows: np.ndarray, costs: np.ndarray) -> dict[str, Decimal]:
        """The exact cost of each OU that has rows on a day."""
        import numpy as np

        if self._ou_of_row is None or self._ou_of_row[0] is not rows:
            self._ou_of_row = rows, np.array(self._ou_of_key, dtype=np.int32)[rows]
        ous = self._ou_of_row[1]
        sums = [np.zeros(len(self._ous), dtype=np.int64) for _ in range(2)]
        for total, parts in zip(sums, exact_parts(costs), strict=True):
            np.add.at(total, ous, parts)
        units, picos = (total.tolist() for total in sums)
        has_rows = np.bincount(ous, minlength=len(self._ous)).tolist()
        return {ou: Decimal(units[n]) + Decimal(picos[n]).scaleb(-PLACES) for ou, n in self._ous.items() if has_rows[n]}

    def _number(self, key: Key) -> int:
        number = self._known.get(key)
        if number is None:
            number = self._known[key] = len(self.keys)
            self.keys.append(key)
            self._ou_of_key.append(self._ous.setdefault(key[0], len(self._ous)))
        return number


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
