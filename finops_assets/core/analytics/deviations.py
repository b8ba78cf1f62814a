"""How far each day of many series is from what was expected of it, by the days before it alone.

What is expected is the median of the four weeks before, times the weekday's factor; on the first of a month also the
fees that were booked on the firsts before. Every array has a row a series and a column a day, consecutive; NaN is a
day without data.

The parameters were chosen on March to August 2018 of real daily cost (mybinder.org's). Of 660 events put into September
to December 91 % were found, half of them or more on their first day, with 0.39 false episodes a series and month; of
drops of 40 % that last, 88 %. Averages +- 30 % found 91 to 99 % with 1.0 to 1.9 false ones, mean and standard deviation
58 % with 0.8. `python -m benchmarks.analytics` scores it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date
from typing import TYPE_CHECKING

from finops_assets.core.analytics.recurring import QUARTERS, months_later

if TYPE_CHECKING:
    import numpy as np

SHARE = 0.25
"""Of what was expected, that a day must be off: nobody acts on less, however significant it is."""

SCORE = 4.5
"""Usual deviations that a day must be off: 3 would do for normal noise, and cost has heavy tails."""

AGAIN = 3.0
"""Usual deviations that are enough on two days in a row."""

LOUD_SHARE, LOUD_SCORE = 0.4, 1.5
"""Of what was expected, and usual deviations, that make a rise of the whole organization: so much money is told however
noisy the days before were, and one series has few false alarms."""

DRIFTED = 1.3
"""The last week's median over that of the four weeks before, or the other way round: growth, or a fall, that no single
day shows. A week of growth must also be more than any in ten weeks; a fall need not be: what is left of something is
seldom less than it ever was. With such a rule a lasting drop of 40 % was found in 70 % of cases, without it in all."""

FALLEN = 1.0
"""Usual deviations that the week of a fall must be off: where a series swings by its whole cost, any week may be low.
Without it 0.44 episodes a series and month were false, with it 0.39."""

WEEK = 7
LEVEL = 28
"""Days whose median is the level: two weeks of something new do not carry it away, then it is the new normal."""

WEEKS = 8
"""Weeks that a weekday's factor is the median of: an odd day or a holiday does not bend it."""

SPREAD = 56
"""Days whose median distance from the median of the two weeks before is the usual deviation, in money or as a share,
whichever is more. Four weeks before made a step widen it for eight weeks: recall .90 instead of .92, as quiet.

Alone, the money of quiet weekends would make weekdays look odd: with noise of 10 % the two have a sixth of the alarms.
"""

NEAR = 14
"""Days whose median each day's distance is taken from, for the usual deviation."""

LEAST = 28
"""Days of history that a series needs before it is judged: each weekday four times."""

LEAST_DEVIATION = 0.05
"""Of what is expected: a series that hardly moves is not shaken by a small step."""

LEAST_FACTOR = 0.1
"""A weekday below this share of the others says nothing about the level."""

FIRSTS = 3
"""Firsts of a month whose median excess is expected again: support, tax and plans are booked on that day.

That is for the band: a first is never a rise, as fees that are booked for the first time look like one, and what is no
fee still costs on the second.
"""

FIRST_DEVIATION = 0.1
"""Of those fees, by which they usually move: tax follows the bill."""

RECURS = 70
"""Days in which two days as odd, a week apart, make a third one usual: so many days have a monthly charge twice."""

AS_ODD = 0.8
"""Of a day's excess, that an earlier day must have had to count as odd."""

NEW_DAYS = 7
"""Days after its first that something new is called so; then it has to be judged by its own history."""

GONE_DAYS = 3
"""Days without cost after which a series that always had some counts as gone, however much it used to vary."""

MOST_SCORE = 99.0
"""The largest score: against no deviation at all, scores would be infinite."""

CHUNK = 256
"""Series that are judged at a time: some ten megabytes a window."""


FLOATS = ("expected", "deviation", "score")


@dataclass
class Deviations:
    """How far each day of each series is off.

    Attributes:
        expected: the cost that was expected; 0 for something new, NaN where nothing can be said.
        deviation: the usual one, in money.
        score: usual deviations off, negative below; NaN where nothing can be said.
        rise, drop: whether the day is an anomaly, in one direction or the other.
        drift: whether it is one by its week alone.
        new: whether it is one because nothing cost before.
    """

    expected: np.ndarray
    deviation: np.ndarray
    score: np.ndarray
    rise: np.ndarray
    drop: np.ndarray
    drift: np.ndarray
    new: np.ndarray

    @classmethod
    def of_nothing(cls, days: int) -> Deviations:
        """Of no series at all."""
        import numpy as np

        return cls(*(np.empty((0, days)) for _ in fields(cls)))


def deviations(
    values: np.ndarray,
    days: Sequence[date],
    *,
    share: float,
    floor: float,
    loud: np.ndarray | None = None,
    usage: bool = False,
) -> Deviations:
    """Judge every day of every series.

    Args:
        values: cost, series by consecutive days.
        days: the day of each column.
        share: of what was expected, that an anomaly is off at least.
        floor: what it is off at least, in money.
        loud: for each series, whether large rises of it are told whatever its noise; none by default.
        usage: whether these are costs of usage, without fees and tax: a first is a day as any other then.
    """
    import numpy as np

    loud = np.zeros(len(values), bool) if loud is None else loud
    first = np.array([day.day == 1 and not usage for day in days])
    months = np.array([[(day - months_later(day, -n)).days for day in days] for n in (1, *QUARTERS)])
    names = [each.name for each in fields(Deviations)]
    judged = Deviations(*(np.empty(values.shape, dtype=float if name in FLOATS else bool) for name in names))
    for start in range(0, len(values), CHUNK):  # each part goes to its place: two of each were 300 MB at 5,000 accounts
        some = slice(start, start + CHUNK)
        part = _judge(values[some], loud[some], first, months, share, floor)
        for name in names:
            getattr(judged, name)[some] = getattr(part, name)
    return judged


def _judge(
    values: np.ndarray, loud: np.ndarray, first: np.ndarray, months: np.ndarray, share: float, floor: float
) -> Deviations:
    import numpy as np

    with np.errstate(all="ignore"):
        known = np.isfinite(values)
        costs_something = known & (values != 0) & ~first  # what costs on firsts alone is a fee, and never new
        busy = _before(costs_something, LEVEL)
        alive = np.where(first | ((values == 0) & (busy == 0)), np.nan, values)  # nothing is no level of something new
        factor = _factors(alive)
        flat = np.where(factor >= LEAST_FACTOR, alive / factor, np.nan)
        level = _median_before(flat, LEVEL, 4)
        level[_before(np.isfinite(alive), RECURS) < LEAST] = np.nan
        usual = level * factor
        error = alive - usual
        spread = _spread(flat, level, factor)
        fees = _fees(values - usual, first)
        expected = usual + fees
        deviation = np.fmax(spread, LEAST_DEVIATION * np.abs(usual)) + FIRST_DEVIATION * fees
        excess = values - expected
        score = np.clip(excess / np.fmax(deviation, floor / MOST_SCORE + 1e-12), -MOST_SCORE, MOST_SCORE)
        enough = np.fmax(share * np.abs(expected), floor)
        high = (excess >= enough) & (excess > 0) & ~first
        rise = high & ((score > SCORE) | (_last(high & (score > AGAIN), 2) == 2))
        rise |= high & loud[:, None] & (excess >= LOUD_SHARE * np.abs(expected)) & (score > LOUD_SCORE)
        largest = _shift(_largest_last(values, RECURS), 1)
        rise &= (busy >= LEVEL / 2) | (values > (1 + share) * largest)  # what comes now and then is judged by its most
        below = usual - values  # fees that do not come are no drop
        low = (below >= np.fmax(share * np.abs(usual), floor)) & (below > 0)
        drop = low & ((below > SCORE * deviation) | (_last(low & (below > AGAIN * deviation), 2) == 2))
        drop &= busy >= LEVEL * 0.75
        odd = np.where(first, np.nan, error)
        rise, drop = (_unusual(flags, odd, values, usual, months, sign) for flags, sign in ((rise, 1), (drop, -1)))
        week = _median_last(flat, WEEK, 4)
        drift = (
            (week > max(DRIFTED, 1 + share) * level)
            & (level > 0)
            & ((week - level) * factor >= floor)
            & (excess > 0)
            & ~first
        )
        drift &= ~rise & (week > _shift(_largest_last(week, RECURS - WEEK), WEEK))  # more than any week before
        fallen = (level - week) * factor >= np.fmax(FALLEN * deviation, floor)
        fallen &= week < min(1 / DRIFTED, 1 - share) * level
        drop |= fallen & (below > 0) & (below >= share / 2 * usual) & (week >= 0) & (busy >= LEVEL * 0.75)
        gone = low & (_last(known & (values == 0), GONE_DAYS) == GONE_DAYS) & (_shift(busy, GONE_DAYS - 1) >= LEVEL - 3)
        new, born = _new(values, known, costs_something, busy, months, floor)
        return Deviations(
            np.where(born, 0.0, np.where(drop & first, usual, expected)),
            deviation,
            np.where(new, MOST_SCORE, score),
            (rise | drift | new) & ~(born & ~new),
            (drop | gone) & ~born,
            drift,
            new,
        )


def _new(
    values: np.ndarray,
    known: np.ndarray,
    costs_something: np.ndarray,
    busy: np.ndarray,
    months: np.ndarray,
    floor: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Days of something that began in the last week, after weeks without: those that cost enough, and all.

    What cost as much before those weeks comes now and then, as monthly and quarterly charges do; it is not new.
    """
    import numpy as np

    begins = costs_something & (busy == 0) & (_before(known, LEVEL) >= LEVEL)
    born = _last(begins, NEW_DAYS) > 0
    earlier = _shift(_largest_last(values, RECURS - NEW_DAYS), NEW_DAYS)
    quarters = [np.arange(values.shape[1]) - back for back in months[1:]]
    in_both = np.minimum(*(np.where(at >= 0, values[:, np.maximum(at, 0)], 0.0) for at in quarters))
    return born & costs_something & (values >= floor) & ~(np.fmax(earlier, in_both) >= AS_ODD * values), born


def _spread(flat: np.ndarray, level: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """The usual deviation of each day, in money.

    Args:
        flat: cost over its weekday's factor.
        level: its usual one.
        factor: the weekday's.
    """
    import numpy as np

    near = np.abs(flat - _median_before(flat, NEAR, 4))
    of_level = np.where(level != 0, near / np.abs(level), np.nan)
    spread = np.fmax(
        _median_before(near * np.abs(factor), SPREAD, LEVEL // 2),
        _median_before(of_level, SPREAD, LEVEL // 2) * np.abs(level * factor),
    )
    return 1.4826 * np.where(np.isnan(spread), factor * _spread_around(flat, level, np.isnan(spread)), spread)


def _factors(values: np.ndarray) -> np.ndarray:
    """Of each day's weekday: the median share of the weeks that ended with it, over the weeks before."""
    import numpy as np

    filled = np.where(np.isfinite(values), values, 0.0)
    number = _last(np.isfinite(values), WEEK)
    ratio = values / np.where(number >= WEEK - 2, _last(filled, WEEK) / number, np.nan)
    ratio = np.where(ratio < 0, np.nan, ratio)
    factors = np.ones(values.shape)
    for day in range(min(WEEK, values.shape[1])):
        of_day = _median_before(ratio[:, day::WEEK], WEEKS, 3)  # a median of two is their mean
        factors[:, day::WEEK] = np.where(np.isfinite(of_day), of_day, 1.0)
    return factors


def _fees(excess: np.ndarray, first: np.ndarray) -> np.ndarray:
    """What is booked on firsts beyond the usual, by the firsts before."""
    import numpy as np

    fees = np.zeros(excess.shape)
    median = _median_before(excess[:, first], FIRSTS, 1)
    fees[:, first] = np.fmax(np.nan_to_num(median), 0.0)
    return fees


def _unusual(
    flags: np.ndarray, odd: np.ndarray, values: np.ndarray, usual: np.ndarray, months: np.ndarray, sign: int
) -> np.ndarray:
    """The flags without those days that are as odd as others were.

    That is, as two in the weeks before, a week or more apart, or as the same day of the month before, or of both the
    third and the sixth month before.
    """
    import numpy as np

    rows, days = np.nonzero(flags)
    if not len(rows):
        return flags
    enough = AS_ODD * odd[rows, days] * sign
    padded = np.pad(odd * sign, ((0, 0), (RECURS, 0)), constant_values=np.nan)
    lags = np.arange(WEEK + 1, RECURS + 1)  # the last week may be the same episode
    often = padded[rows[:, None], days[:, None] + RECURS - lags] >= enough[:, None]
    often[:, :-1] &= ~often[:, 1:]  # the first day of each such time
    apart = np.where(often, lags, -1).max(axis=1) - np.where(often, lags, RECURS * 2).min(axis=1)

    def was_as_odd(back: np.ndarray) -> np.ndarray:
        before = days - back[days]
        at = np.maximum(before, 0)
        then = np.where(np.isnan(odd[rows, at]), values[rows, at] - usual[rows, days], odd[rows, at])
        return (before >= 0) & (then * sign >= enough)

    month, *quarters = (was_as_odd(back) for back in months)
    kept = flags.copy()
    kept[rows, days] = (apart < WEEK) & ~month & ~np.all(quarters, axis=0)
    return kept


def _shift(values: np.ndarray, days: int) -> np.ndarray:
    import numpy as np

    return np.pad(values, ((0, 0), (days, 0)))[:, : values.shape[1]]


def _last(values: np.ndarray, days: int) -> np.ndarray:
    """Sums over so many days up to each."""
    import numpy as np

    sums = np.cumsum(np.pad(values.astype(float), ((0, 0), (days, 0))), axis=1)
    return sums[:, days:] - sums[:, :-days]


def _largest_last(values: np.ndarray, days: int) -> np.ndarray:
    """The largest of so many days up to each."""
    import bottleneck
    import numpy as np

    padded = np.pad(np.nan_to_num(values), ((0, 0), (days - 1, 0)))
    return bottleneck.move_max(padded, days, axis=1)[:, days - 1 :]


def _before(values: np.ndarray, days: int) -> np.ndarray:
    """Sums over so many days before each."""
    return _shift(_last(values, days), 1)


def _median_before(values: np.ndarray, days: int, least: int) -> np.ndarray:
    """Medians over so many days before each; NaN with fewer than `least` known."""
    import numpy as np

    if not values.shape[1]:  # a history without a first of a month
        return values
    return _median_last(np.pad(values, ((0, 0), (1, 0)), constant_values=np.nan)[:, :-1], days, least)


def _median_last(values: np.ndarray, days: int, least: int) -> np.ndarray:
    """Medians over so many days up to each; NaN with fewer than `least` known."""
    import bottleneck
    import numpy as np

    padded = np.pad(values, ((0, 0), (days - 1, 0)), constant_values=np.nan)
    return bottleneck.move_median(padded, days, min_count=least, axis=1)[:, days - 1 :]


def _spread_around(values: np.ndarray, level: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where wanted, the median of how far the LEVEL days before are off the level; NaN with too few, and elsewhere."""
    import numpy as np

    rows, days = np.nonzero(wanted & np.isfinite(level))
    padded = np.pad(values, ((0, 0), (LEVEL, 0)), constant_values=np.nan)
    off = np.abs(padded[rows[:, None], days[:, None] + np.arange(LEVEL)] - level[rows, days][:, None])
    enough = np.isfinite(off).sum(axis=1) >= LEVEL // 2
    spread = np.full(values.shape, np.nan)
    spread[rows[enough], days[enough]] = np.nanmedian(off[enough], axis=1)
    return spread
