"""What a month will cost: a level times weekday factors for the days that are left, with a band from past errors.

The method and its parameters were chosen on a year of real daily cost (mybinder.org's: 5 series, 10 months, 6 days of
each month). Mean error of the month's total: 6.0 %, against 7.5 to 7.9 % of run rate, trailing week and repeated week;
with a fee on day 1 of a fifth of a month 5.0 %, against 14.8 to 38.9 %. `python -m benchmarks.analytics` scores it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.money import CENT

if TYPE_CHECKING:
    import numpy as np

WINDOW = 56
"""Days that weekday factors are learned from: eight of each weekday, so that a median is not one odd day."""

LOOK_BACK = 110
"""Days whose forecasts are held against what came, for the band: it covers 83 % of months."""

HISTORY = WINDOW + LOOK_BACK
LEAST = 28
"""Days of history below which nothing is forecast: in four weeks, a weekday's median has two days on each side."""

ALPHA = 0.15
"""How fast the level follows: errors were 6.5 % with 0.1, 6.4 % with 0.15, 6.5 % with 0.2."""

CLIP = 4.0
"""A day moves the level by at most so many usual steps: a single outlier does not carry into the rest of the month."""

LASTING, FAR = 3, 2.0
"""So many days in a row, each over two usual steps off to the same side, are no outliers but a new level: their median.
Errors were 6.4 % without, 6.0 % with it; with 2 or 4 days, or 3 steps, 6.2 to 7.7 %."""

BAND = (5, 95)
"""Percentiles of past errors that are shown as the 80 % band: nominal bands cover less than they say."""

LEAST_TRIALS = 10
"""Past forecasts of the same length without which there is no band."""


@dataclass(frozen=True)
class Forecast:
    """A month's cost as of a day, in the billing currency; estimates are rounded to cents.

    Attributes:
        month_to_date: exact, up to the day.
        expected, low, high: the month's total; None where nothing can be said.
        error: the median error of past forecasts of so many days, as a share; None without any.
        why_not: why nothing is forecast; empty where something is.
        daily: the days that are left and what each is expected to cost.
    """

    month_to_date: Decimal
    expected: Decimal | None = None
    low: Decimal | None = None
    high: Decimal | None = None
    error: float | None = None
    why_not: str = ""
    daily: tuple[tuple[date, Decimal], ...] = ()


def month_end(day: date) -> date:
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)


def forecasts(costs: Mapping[str, Mapping[date, Decimal]], as_of: date) -> dict[str, Forecast]:
    """The month of `as_of` for each series.

    The first day of each month is left out of level, factors and errors: support, tax and reservation fees are booked
    on it, and the month's own is in the month to date already.

    Args:
        costs: name -> day -> cost; a day without an entry has no data; best `HISTORY` days up to as_of.
        as_of: the newest day.
    """
    return forecasts_by_day(costs, [as_of])[as_of]


def forecasts_by_day(
    costs: Mapping[str, Mapping[date, Decimal]], days: Sequence[date]
) -> dict[date, dict[str, Forecast]]:
    """As `forecasts`, as of each of many days: the same figures, in a fraction of the time."""
    import numpy as np

    by_day: dict[date, dict[str, Forecast]] = {day: {} for day in days}
    if not costs or not days:
        return by_day
    first, last = min(days) - timedelta(days=HISTORY - 1), max(days)
    span = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    table = np.array(
        [[float(of[day]) if day in of and day.day != 1 else np.nan for day in span] for of in costs.values()]
    )
    for weekday in range(7):  # days of one weekday see the same weekdays behind them, and go through at once
        alike = [day for day in days if day.weekday() == weekday]
        ends = [(day - first).days + 1 for day in alike]
        if alike:
            values = np.concatenate([table[:, end - HISTORY : end] for end in ends])
            as_of = [day for day in alike for _ in costs]
            of_rows = _forecasts([*costs.values()] * len(alike), values, as_of)
            for n, day in enumerate(alike):
                by_day[day] = dict(zip(costs, of_rows[n * len(costs) :], strict=False))
    return by_day


def _forecasts(costs: Sequence[Mapping[date, Decimal]], values: np.ndarray, as_of: Sequence[date]) -> list[Forecast]:
    """The forecasts of rows of `HISTORY` days that end each on its own day, all of one weekday."""
    import numpy as np

    weekday = np.array([(as_of[0] - timedelta(days=HISTORY - 1 - n)).weekday() for n in range(HISTORY)])
    factors = _factors(values[:, -WINDOW:], weekday[-WINDOW:])
    levels = _levels(values / factors[:, weekday])
    known = np.isfinite(values).sum(axis=1)
    lengths = np.array([(month_end(day) - day).days for day in as_of])
    errors = {n: _errors(values, levels, factors, weekday, n, lengths == n) for n in set(lengths.tolist()) if n}
    rows: list[Forecast] = []
    for row, (of, day) in enumerate(zip(costs, as_of, strict=True)):
        so_far = (day - timedelta(days=n) for n in range(day.day))
        to_date = sum((of[d] for d in so_far if d in of), Decimal())
        rest = [day + timedelta(days=n + 1) for n in range(lengths[row])]
        if not rest:
            rows.append(Forecast(to_date, to_date, to_date, to_date))
        elif known[row] < LEAST:
            rows.append(Forecast(to_date, why_not=f"{known[row]} days of history, {LEAST} are needed"))
        else:
            ahead = factors[row, [d.weekday() for d in rest]] * levels[row, -1]
            rows.append(_forecast(to_date, rest, ahead, errors[lengths[row]][row]))
    return rows


def _forecast(to_date: Decimal, rest: list[date], ahead: np.ndarray, errors: np.ndarray) -> Forecast:
    import numpy as np

    def cents(amount: float) -> Decimal:
        return Decimal(repr(float(amount))).quantize(CENT)

    remainder = float(ahead.sum())
    errors = errors[np.isfinite(errors)]
    daily = tuple((day, cents(cost)) for day, cost in zip(rest, ahead, strict=True))
    expected = to_date + cents(remainder)
    if len(errors) < LEAST_TRIALS:
        return Forecast(to_date, expected, daily=daily)
    low, high = np.percentile(errors, BAND)
    return Forecast(
        to_date,
        expected,
        to_date + cents(min(remainder * (1 + low), remainder)),
        to_date + cents(max(remainder * (1 + high), remainder)),
        float(np.median(np.abs(errors))),
        daily=daily,
    )


def _factors(values: np.ndarray, weekday: np.ndarray) -> np.ndarray:
    """Seven factors a series, of mean 1: the median of each weekday against the mean of the week around it."""
    import numpy as np

    filled, known = np.nan_to_num(values), np.isfinite(values).astype(float)
    sums, counts = (np.cumsum(np.pad(part, ((0, 0), (4, 3))), axis=1) for part in (filled, known))
    around, number = sums[:, 7:] - sums[:, :-7], counts[:, 7:] - counts[:, :-7]
    factors = np.ones((len(values), 7))
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a weekday without data has no median, and keeps its 1
        ratio = values / np.where(number >= 4, around / number, np.nan)  # most of a week
        for day in range(7):
            of_day = ratio[:, weekday == day]
            enough = np.isfinite(of_day).sum(axis=1) >= 3  # a median of two is their mean
            factors[:, day] = np.where(enough, np.nanmedian(of_day, axis=1), 1.0)
    factors = np.where(np.isfinite(factors) & (factors > 0), factors, 1.0)
    return factors * 7 / factors.sum(axis=1, keepdims=True)


def _levels(values: np.ndarray) -> np.ndarray:
    """The level after each day: exponentially smoothed, in steps that an outlier does not widen."""
    import numpy as np

    levels = np.full(values.shape, np.nan)
    level, spread = np.full(len(values), np.nan), np.full(len(values), np.nan)
    side, recent = np.zeros(len(values)), np.full((len(values), LASTING), np.nan)
    for n in range(values.shape[1]):
        value = values[:, n]
        off = value - level
        known, begun = np.isfinite(value), np.isfinite(level)
        most = np.where(np.isfinite(spread), CLIP * spread, np.inf)
        step = np.nan_to_num(np.clip(off, -most, most))
        follows = known & begun
        far = follows & (np.abs(off) > FAR * spread)
        direction = np.sign(np.nan_to_num(off))
        days = np.where(far, np.where(direction == np.sign(side), side + direction, direction), 0.0)
        side = np.where(known, days, side)  # days in a row, negative below
        recent = np.where(known[:, None], np.column_stack([recent[:, 1:], value]), recent)
        moved = known & (np.abs(side) >= LASTING)
        level = np.where(known & ~begun, value, np.where(follows, level + ALPHA * step, level))
        level, side = np.where(moved, np.median(recent, axis=1), level), np.where(moved, 0.0, side)
        usual = 1.25 * np.abs(step)  # of a normal error, the mean absolute one makes a standard deviation
        spread = np.where(follows, np.where(np.isfinite(spread), 0.93 * spread + 0.07 * usual, usual), spread)
        levels[:, n] = level
    return levels


def _errors(
    values: np.ndarray, levels: np.ndarray, factors: np.ndarray, weekday: np.ndarray, length: int, rows: np.ndarray
) -> dict[int, np.ndarray]:
    """How far sums over so many days came from what was expected of them, as shares: of these rows, by past day."""
    import numpy as np

    values, levels, factors = values[rows], levels[rows], factors[rows]
    columns = []
    for origin in range(values.shape[1] - LOOK_BACK, values.shape[1] - length):
        ahead = slice(origin + 1, origin + 1 + length)
        known = np.isfinite(values[:, ahead])
        expected = (factors[:, weekday[ahead]] * known).sum(axis=1) * levels[:, origin]
        with np.errstate(all="ignore"):
            share = np.nansum(values[:, ahead], axis=1) / expected - 1
        columns.append(np.where(known.any(axis=1) & (expected > 0), share, np.nan))
    shares = np.array(columns).T if columns else np.empty((len(values), 0))
    return dict(zip(np.flatnonzero(rows).tolist(), shares, strict=True))
