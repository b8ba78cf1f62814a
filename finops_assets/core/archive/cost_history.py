"""Archived costs as numbers: a row for each service of an account in an OU, a column for each archived day.

History is kept as one double a cost, never as Python objects: 60,000 rows a day of 200 days take 96 MB. An archived
cost is a double that stands for a decimal (`core.money.from_double`), so that sums stay exact.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.archive.day_costs import (
    DayCosts,
    Key,
    KeyIndex,
    exact_decimals,
    exact_sum,
    positions,
    put_together,
)
from finops_assets.core.archive.scheduled_costs import ScheduledKey

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


ScheduledByDay = Mapping[date, Mapping[ScheduledKey, Decimal]]
"""day -> OU's own path, service and kind of scheduled charge -> exact amount."""


@dataclass(frozen=True)
class OuHistory:
    """What OUs cost on archived days, and what there are costs of.

    Attributes:
        days: the archived days, ascending.
        keys: what each row is of.
        by_ou: each OU's own exact cost, on the days on which it has rows.
    """

    days: tuple[date, ...]
    keys: tuple[Key, ...]
    by_ou: Mapping[str, Mapping[date, Decimal]]

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


@dataclass(frozen=True)
class HistoryByColumns(OuHistory):
    """The costs of archived days, of which a few are put together at a time: 400 of 60,000 rows would be 190 MB.

    Attributes:
        positions: of each day, which of the keys its costs are of.
        of_day: each day's costs.
    """

    positions: Sequence[np.ndarray]
    of_day: Sequence[np.ndarray]

    def columns(self, start: int, end: int) -> np.ndarray:
        """Costs by row and day, of the days from one position to before another; NaN where the day has no such row."""
        import numpy as np

        costs = np.full((len(self.of_day[start:end]), len(self.keys)), np.nan)
        for row, n in enumerate(range(start, min(end, len(self.days)))):
            costs[row, self.positions[n]] = self.of_day[n]
        return costs.T


@dataclass(frozen=True)
class CostHistory(OuHistory):
    """Costs of archived days.

    Attributes:
        costs: by row and day, in the billing currency; NaN where the day has no such row.
    """

    costs: np.ndarray

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
        return cls(known, tuple(costs), by_ou, values)

    def exact(self, rows: Sequence[int] | np.ndarray, day: date) -> Decimal:
        """The exact cost of these rows together on a day; 0 where they have none."""
        at = self._column(day)
        return Decimal() if at is None else exact_sum(self.costs[rows, at])

    def exact_each(self, rows: Sequence[int], day: date) -> list[Decimal]:
        """The exact cost of each of these rows on a day; 0 where it has none."""
        at = self._column(day)
        return [Decimal()] * len(rows) if at is None else exact_decimals(self.costs[rows, at]).to_pylist()

    def _column(self, day: date) -> int | None:
        at = bisect_left(self.days, day)
        return at if at < len(self.days) and self.days[at] == day else None


def cost_history(tables: Iterable[tuple[date, pa.Table]]) -> CostHistory:
    """The history of archived days.

    Args:
        tables: the days, ascending, each with its rows in the OU_BREAKDOWN schema.
    """
    index = KeyIndex()
    return history_of_days([day_costs(index, day, table) for day, table in tables], index)


def day_costs(index: KeyIndex, day: date, table: pa.Table) -> DayCosts:
    """A day's costs, of its rows in the OU_BREAKDOWN schema."""
    keys, costs = index.numbers(table), table.column("dailycost").to_numpy()
    return DayCosts(day, keys, costs, index.sums_by_ou(keys, costs))


def history_of_days(days: Sequence[DayCosts], index: KeyIndex) -> CostHistory:
    """The history of these days, ascending, whose keys are those of an index."""
    numbers, costs = put_together(days)
    return CostHistory(tuple(of.day for of in days), index.keys(numbers), _by_ou(days), costs)


def costs_by_ou(days: Sequence[DayCosts]) -> OuHistory:
    """What OUs cost on these days, without the costs of what they have."""
    return OuHistory(tuple(of.day for of in days), (), _by_ou(days))


def usage_history(days: Sequence[DayCosts], index: KeyIndex) -> tuple[CostHistory, ScheduledByDay]:
    """The usage of these days, ascending, and what is scheduled on each; all of them tell what their money is."""
    numbers, costs = put_together(days, usage=True)
    scheduled = {of.day: of.scheduled.sums(of.keys, index) if of.scheduled else {} for of in days}
    by_ou = _by_ou(days)
    for day, sums in scheduled.items():
        for (ou, _, _), amount in sums.items():
            by_ou[ou][day] -= amount
    return CostHistory(tuple(of.day for of in days), index.keys(numbers), by_ou, costs), scheduled


def history_by_columns(days: Sequence[DayCosts], index: KeyIndex) -> HistoryByColumns:
    """The same, of which a few days are put together at a time."""
    numbers, position = positions(days)
    of_keys: dict[int, np.ndarray] = {}  # days of the same keys share their array
    of_day = [of_keys.setdefault(id(of.keys), position[of.keys]) for of in days]
    known = tuple(of.day for of in days)
    return HistoryByColumns(known, index.keys(numbers), _by_ou(days), of_day, [of.costs for of in days])


def _by_ou(days: Sequence[DayCosts]) -> dict[str, dict[date, Decimal]]:
    by_ou: dict[str, dict[date, Decimal]] = {}
    for of in days:
        for ou, cost in of.by_ou.items():
            by_ou.setdefault(ou, {})[of.day] = cost
    return by_ou
