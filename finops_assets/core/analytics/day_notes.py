"""What is said of days and is no anomaly: a holiday, and days on which the detector sees nothing after a long hole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING

from finops_assets.core.analytics.anomalies import to_estimate
from finops_assets.core.analytics.deviations import LEVEL
from finops_assets.core.money import money, percent

if TYPE_CHECKING:
    import numpy as np

    from finops_assets.core.analytics.cost_series import SeriesTable
    from finops_assets.core.analytics.deviations import Deviations

LOWER = 0.8
"""Of what was expected, below which a service, or the whole, is down."""

LEAST_LEFT = 0.4
"""Of what was expected, that the whole costs on a holiday at least; less is an outage, or an incomplete day."""

MOST = 0.7
"""Of the expected cost, and of the services by number, that must be down."""

LEAST_SERVICES = 5
"""Services of accounts below which there is no 'most'."""

AT_ONCE = 25
"""Days that are compared at once, of all services."""

TOLD_DAYS = 7
"""Days after it on which a holiday is still told."""


@dataclass(frozen=True)
class Holiday:
    """A weekday on which most services cost less, and were back on the next day.

    Attributes:
        day: the holiday.
        back: the next archived day.
        expected, actual: the cost of the whole on the day.
    """

    day: date
    back: date
    expected: Decimal
    actual: Decimal

    def words(self, currency: str) -> str:
        """The note, in one sentence."""
        return (
            f"{self.day:%A} {self.day} looks like a holiday: most services cost less, and the next day was as usual "
            f"({money(self.actual, currency)} in all, where {money(self.expected, currency)} was expected, "
            f"{percent(self.actual, self.expected)})."
        )


@dataclass(frozen=True)
class BlindDays:
    """Days after a hole that is longer than what the detector remembers: it sees little on them, and says so.

    Attributes:
        hole_first, hole_last: the days that are not archived.
        until: the last day on which it is so.
    """

    hole_first: date
    hole_last: date
    until: date

    def words(self) -> str:
        """The note, in one sentence."""
        return (
            f"Up to {self.until} anomalies may be missed: the {(self.hole_last - self.hole_first).days + 1} days from "
            f"{self.hole_first} to {self.hole_last} are not archived, and what is usual is learned from the "
            f"{LEVEL} days before each day."
        )


def find_blind_days(archived: Sequence[date]) -> tuple[BlindDays, ...]:
    """The stretches after long holes among the archived days, which are ascending."""
    day = timedelta(days=1)
    return tuple(
        BlindDays(before + day, after - day, after + timedelta(days=LEVEL - 1))
        for before, after in pairwise(archived)
        if (after - before).days > LEVEL + 1
    )


def find_holidays(table: SeriesTable, judged: Deviations, leaves: np.ndarray) -> tuple[list[int], tuple[Holiday, ...]]:
    """The weekdays on which most services were down, and those of them that were holidays.

    On the day itself nobody knows whether it is the first of many: a drop of most services is reported from its second
    day on.

    Args:
        table: the costs.
        judged: how far each is off.
        leaves: whether each row is one service of one account.

    Returns:
        The columns of all such weekdays whose day before was none, and the holidays.
    """
    import numpy as np

    most = np.concatenate([_are_down(table, judged, leaves, part) for part in column_parts(len(table.calendar))])
    columns: list[int] = []
    holidays: list[Holiday] = []
    archived = np.flatnonzero(np.isfinite(table.values).any(axis=0)).tolist()
    for at, column in enumerate(archived):
        day, left = table.calendar[column], _left(table, judged, column)
        if not most[column] or day.weekday() >= 5 or not LEAST_LEFT <= left < LOWER:
            continue
        if at and _left(table, judged, archived[at - 1]) < LOWER:
            continue
        columns.append(column)
        if at + 1 < len(archived) and _left(table, judged, archived[at + 1]) >= (1 + left) / 2:
            row = table.whole_row(column)
            holidays.append(
                Holiday(
                    day,
                    table.calendar[archived[at + 1]],
                    to_estimate(float(judged.expected[row, column])),
                    table.exact(row, column),
                )
            )
    return columns, tuple(holidays)


def column_parts(columns: int) -> list[slice]:
    """The columns in parts: what is made of a part of them for every service takes little memory."""
    return [slice(start, min(start + AT_ONCE, columns)) for start in range(0, columns, AT_ONCE)]


def _are_down(table: SeriesTable, judged: Deviations, leaves: np.ndarray, columns: slice) -> np.ndarray:
    """Whether most services are down, for each of these days."""
    import numpy as np

    values, usual = table.values[leaves, columns], judged.expected[leaves, columns]
    expected = np.where(np.isfinite(values) & (usual > 0), usual, 0.0)
    down = (expected > 0) & (values < LOWER * expected)
    number, known = down.sum(axis=0), (expected > 0).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(down, expected, 0.0).sum(axis=0) / expected.sum(axis=0)
    return (known >= LEAST_SERVICES) & (number >= MOST * known) & (share >= MOST)


def _left(table: SeriesTable, judged: Deviations, column: int) -> float:
    """What the whole cost on a day, as a share of what was expected; 1 where nothing was."""
    row = table.whole_row(column)
    expected = float(judged.expected[row, column])
    return float(table.values[row, column]) / expected if expected > 0 else 1.0
