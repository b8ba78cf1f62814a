"""Charges that come again on their day of the month: contracts, support and plans that are not booked on the first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

from finops_assets.core.calendar import month_end

if TYPE_CHECKING:
    import numpy as np

WEEK = 7
DAYS_BEFORE = 2 * WEEK
"""Days before a day that say what is usual: with the half year of a quarterly charge, 198 days."""

SPREADS = 4.0
"""Usual differences of a day to that a week before, from which on it is a charge."""

SHARE = 0.5
"""Of the usual, that a charge is at least."""

MONTHS = (1, 2, 3)
"""A charge of last month is expected again if one of the two months before had it, too."""

QUARTERS = (3, 6)
"""A charge that came in both, and in no month between, is expected again."""


def months_later(day: date, months: int) -> date:
    """The same day of another month, or its last one; negative for earlier months."""
    month = day.year * 12 + day.month - 1 + months
    first = date(month // 12, month % 12 + 1, 1)
    return first.replace(day=min(day.day, month_end(first).day))


def charges(values: np.ndarray) -> np.ndarray:
    """What each day cost beyond the usual, where that is far more; 0 elsewhere.

    A charge is more than the median of the two weeks before and than what the weekday cost in both; its amount is what
    it is beyond the weekday.

    Args:
        values: cost, series by consecutive days; NaN where it is not known.
    """
    import bottleneck
    import numpy as np

    before = np.pad(values, ((0, 0), (DAYS_BEFORE, 0)), constant_values=np.nan)
    middle = bottleneck.move_median(before, DAYS_BEFORE, min_count=WEEK, axis=1)[:, DAYS_BEFORE - 1 : -1]
    weekly = np.abs(before[:, WEEK:] - before[:, :-WEEK])
    spread = bottleneck.move_median(weekly, WEEK, min_count=3, axis=1)[:, WEEK - 1 : -1]
    of_weekday = np.minimum(before[:, WEEK:-WEEK], before[:, :-DAYS_BEFORE])
    usual = np.fmax(middle, of_weekday)
    off = values - usual
    with np.errstate(invalid="ignore"):
        is_charge = (off > SPREADS * spread) & (off > SHARE * usual) & (off > 0)
        return np.where(is_charge, values - np.where(np.isnan(of_weekday), middle, of_weekday), 0.0)


def expected_charges(found: np.ndarray, days: Sequence[date]) -> np.ndarray:
    """What is to be charged on each day, by the same day of the months before; 0 where nothing is.

    Args:
        found: the charges of these days; of days that have not come yet, nothing.
        days: consecutive; the day of each column.
    """
    import numpy as np

    padded = np.column_stack([found, np.zeros(len(found))])  # the last column is of days before the first
    last = padded.shape[1] - 1
    column = {day: n for n, day in enumerate(days)}

    def of(months: int) -> np.ndarray:
        return padded[:, [column.get(months_later(day, -months), last) for day in days]]

    one, two, three = (of(months) for months in MONTHS)
    half_a_year = of(QUARTERS[1])
    monthly = (one > 0) & ((two > 0) | (three > 0))
    quarterly = (one == 0) & (two == 0) & (three > 0) & (half_a_year > 0)
    expected = np.where(quarterly, (three + half_a_year) / 2, 0.0)
    known = np.stack([part[monthly] for part in (one, two, three)])
    expected[monthly] = np.nanmedian(np.where(known > 0, known, np.nan), axis=0)
    return expected
