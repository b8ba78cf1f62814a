"""The level of daily costs without their weekdays: smoothed, and quick where it has moved for good.

The parameters were chosen on March to August 2018 of mybinder.org's cost (6 series, every second day): by the errors of
the month's total of the series as they are, with steps of 40 % two and three days old, and with spikes of one to three.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

ALPHA = 0.1
"""How fast the level follows: errors were 6.4 % with 0.06, 6.3 % with 0.1, 6.6 % with 0.15."""

CLIP = 2.5
"""A day moves the level by at most so many usual steps: a single outlier does not carry into the rest of the month.
After a spike of one day errors were 8.3 % with 4 steps, 7.2 % with 2.5."""

LASTING, FAR = 3, 2.0
"""So many days in a row, each over two usual steps off to the same side, are a new level, their median. The steps after
it are larger at first, so that the new level is soon the mean of its days."""

RANGE = 1.0
"""Of their distance from the old level, by which those days may differ: what swings is no level. Without it, errors
were 4.4 % instead of 3.8 % on the later months."""

SECOND, LEAST_SECOND, MOST_SECOND = 2.0, 0.25, 0.4
"""Two such days are believed, but not yet kept, if both are so many usual steps and such a share of the old level off,
and as alike as `ALIKE` says; up to such a share. Two days after a step of 40 % errors were 13.2 % without this, 6.6 %
with it; two days of a spike of 50 to 300 % cost 10.0 % instead of 8.9 %."""

ALIKE = 0.5
"""Of their mean distance from the old level, by which two days may differ."""

LARGE, LONG = 1.0, 5
"""What is further off than the whole old level is one only after five days: spikes of three days are so large, steps
seldom. After such spikes errors were 27 % without this, 12 % with it."""

BACK, REMEMBERED = 0.33, 14
"""A day that is three times nearer to the level before, in two weeks after the move, was the end of a long spike: the
level before is taken up at once."""

MEMORY = 0.93
"""Of the usual step, that a day leaves of it."""


def levels(values: np.ndarray, unsettled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The level after each day, and the costs as they are judged.

    Args:
        values: cost over its weekday's factor, series by consecutive days; NaN where it is not known.
        unsettled: in the same shape, whether a day may be incomplete: it counts as the larger of seen and expected.

    Returns:
        Levels, and `values` with the unsettled days filled up; both in the shape of `values`.
    """
    import numpy as np

    state = _State(len(values))
    result, filled = np.full(values.shape, np.nan), values.copy()
    # Days before the first known one leave everything as it is: in a young archive they are most of them.
    for n in range(first_known(values), values.shape[1]):
        value = values[:, n]
        if unsettled[:, n].any():
            # Only a day that is far over it already says anything about the level.
            low = unsettled[:, n] & ~(value > state.level + FAR * state.spread)
            filled[:, n] = np.where(low & np.isfinite(value), np.fmax(value, state.level), value)
            value = np.where(low, np.nan, value)
        result[:, n] = state.after(value)
    return result, filled


def first_known(values: np.ndarray) -> int:
    """The first column in which any row has a finite value, or how many columns there are."""
    import numpy as np

    known = np.isfinite(values).any(axis=0)
    return int(known.argmax()) if known.any() else values.shape[1]


class _State:
    """What is known of each series after a day."""

    def __init__(self, rows: int) -> None:
        import numpy as np

        self.level = np.full(rows, np.nan)
        self.spread = np.full(rows, np.nan)  # the usual step
        self.side = np.zeros(rows)  # far days in a row, negative below
        self.start = np.full(rows, np.nan)  # the level before those
        self.before = np.full(rows, np.nan)  # the level before the last move
        self.age = np.full(rows, np.inf)  # days since that
        self.recent = np.full((rows, LASTING), np.nan)

    def after(self, value: np.ndarray) -> np.ndarray:
        """The level after one more day."""
        import numpy as np

        off = value - self.level
        known, begun = np.isfinite(value), np.isfinite(self.level)
        follows = known & begun
        most = np.where(np.isfinite(self.spread), CLIP * self.spread, np.inf)
        step = np.nan_to_num(np.clip(off, -most, most))
        far = follows & (np.abs(off) > FAR * self.spread)
        direction = np.sign(np.nan_to_num(off))
        in_a_row = np.where(far, np.where(direction == np.sign(self.side), self.side + direction, direction), 0.0)
        self.side = np.where(known, in_a_row, self.side)
        self.start = np.where(known & (np.abs(self.side) <= 1), self.level, self.start)
        self.age += known
        self.recent[known] = np.column_stack([self.recent[known, 1:], value[known]])
        usual, spread = 1.25 * np.abs(step), self.spread  # of a normal error, the mean absolute one makes a deviation
        grown = np.where(np.isfinite(spread), MEMORY * spread + (1 - MEMORY) * usual, usual)
        self.spread = np.where(follows, grown, spread)
        smooth = self.level + np.fmax(ALPHA, 1 / (self.age + LASTING)) * step
        smooth = np.where(known & ~begun, value, np.where(follows, smooth, self.level))
        self._move(off, value, smooth, known, far)
        return np.where(self._is_second(spread), self._second(), self.level)

    def _move(self, off: np.ndarray, value: np.ndarray, smooth: np.ndarray, known: np.ndarray, far: np.ndarray) -> None:
        """Take up a new level where days in a row say so, or the one before where it is back."""
        import numpy as np

        middle = np.median(self.recent, axis=1)
        distance = np.abs(middle - self.start)
        is_step = (distance <= LARGE * np.abs(self.start)) & (np.ptp(self.recent, axis=1) <= RANGE * distance)
        returned = far & (self.age <= REMEMBERED) & (np.abs(value - self.before) < BACK * np.abs(off))
        moved = known & (np.abs(self.side) >= np.where(is_step, LASTING, LONG)) & ~returned
        level = np.where(returned, self.before, np.where(moved, middle, smooth))
        self.before = np.where(moved, self.start, np.where(returned, self.level, self.before))
        self.age = np.where(moved | returned, 0.0, self.age)
        self.side = np.where(moved | returned, 0.0, self.side)
        self.level = level

    def _is_second(self, spread: np.ndarray) -> np.ndarray:
        import numpy as np

        two = np.abs(self.recent[:, -2:] - self.start[:, None])
        mean = two.mean(axis=1)
        return (
            (np.abs(self.side) >= LASTING - 1)
            & (np.ptp(two, axis=1) <= ALIKE * mean)
            & (two.min(axis=1) > SECOND * spread)
            & (mean > LEAST_SECOND * np.abs(self.start))
        )

    def _second(self) -> np.ndarray:
        import numpy as np

        most = MOST_SECOND * np.abs(self.start)
        return self.start + np.clip(self.recent[:, -2:].mean(axis=1) - self.start, -most, most)
