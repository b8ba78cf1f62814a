"""What a month will cost: a level times weekday factors for the days that are left, with a band from past errors.

Charges that come again on a day of the month (`recurring`) are taken out of the level (`levels`) and added where they
are to come; OUs are made to add up by `coherence`.

The parameters were chosen on March to August 2018 of real daily cost (mybinder.org's, 6 series, every second day).
Mean error of the month's total from September to December: 3.8 %, against 4.2 to 8.2 % of the median of two weeks,
trailing week and run rate; with a fee on day 1 of a fifth of a month 3.0 %, against 3.3 to 48 %; with a charge on each
17th 3.3 %, against 9.2 to 18.5 %. `python -m benchmarks.analytics` scores it.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.analytics.levels import first_known, levels
from finops_assets.core.analytics.recurring import charges, expected_charges
from finops_assets.core.calendar import month_end
from finops_assets.core.money import CENT

if TYPE_CHECKING:
    import numpy as np

WINDOW = 56
"""Days that weekday factors are learned from: eight of each weekday, so that a median is not one odd day."""

LOOK_BACK = 110
"""Days whose forecasts are held against what came, for the band: it covers 83 % of months."""

LEVELS = WINDOW + LOOK_BACK
"""Days that levels and past errors are made of."""

HISTORY = 200
"""Days that are best given: a quarterly charge is known by those of three and of six months before."""

LEAST = 28
"""Days of history below which nothing is forecast: in four weeks, a weekday's median has two days on each side."""

BAND = (5, 95)
"""Percentiles of past errors that are shown as the 80 % band: nominal bands cover less than they say."""

USAGE = "usage"
"""The part of a month that is no scheduled charge."""

LEAST_TRIALS = 10
"""Past forecasts of the same length without which there is no band."""


@dataclass(frozen=True)
class MonthPart:
    """A part of a month, in the currency of its forecast.

    Attributes:
        kind: USAGE, or a kind of scheduled charge (`scheduled.PARTS`).
        so_far: exact, up to the day; all parts' sum to the month to date.
        to_come: what is still expected; None where nothing is forecast.
        why: where that comes from, or why nothing does; plain text.
    """

    kind: str
    so_far: Decimal
    to_come: Decimal | None
    why: str = ""


@dataclass(frozen=True)
class Forecast:
    """A month's cost as of a day, in the billing currency; estimates are rounded to cents.

    Attributes:
        month_to_date: exact, up to the day.
        expected, low, high: the month's total; None where nothing can be said.
        error: the median error of past forecasts of so many days, as a share; None without any.
        why_not: why nothing is forecast; empty where something is.
        daily: what each day that is left is expected to cost; before them, what days that may be incomplete still lack.
        parts: what the month is made of, where the bill tells usage from what is scheduled.
    """

    month_to_date: Decimal
    expected: Decimal | None = None
    low: Decimal | None = None
    high: Decimal | None = None
    error: float | None = None
    why_not: str = ""
    daily: tuple[tuple[date, Decimal], ...] = ()
    parts: tuple[MonthPart, ...] = ()


def forecasts(
    costs: Mapping[str, Mapping[date, Decimal]], as_of: date, unsettled: Collection[date] = ()
) -> dict[str, Forecast]:
    """The month of `as_of` for each series.

    The first day of each month is left out of level, factors and errors: support, tax and reservation fees are booked
    on it, and the month's own is in the month to date already. Charges that come again on another day of the month
    are left out, too, and added where they are to come.

    Args:
        costs: name -> day -> cost; a day without an entry has no data; best `HISTORY` days up to as_of.
        as_of: the newest day.
        unsettled: days that may be incomplete; each counts as the larger of seen and expected.
    """
    return forecasts_by_day(costs, [as_of], unsettled)[as_of]


def forecasts_by_day(
    costs: Mapping[str, Mapping[date, Decimal]],
    days: Sequence[date],
    unsettled: Collection[date] = (),
    *,
    usage: bool = False,
) -> dict[date, dict[str, Forecast]]:
    """As `forecasts`, as of each of many days: the same figures, in a fraction of the time.

    Of `usage`, a first is a day as any other.
    """
    import numpy as np

    by_day: dict[date, dict[str, Forecast]] = {day: {} for day in days}
    if not costs or not days:
        return by_day
    first, last = min(days) - timedelta(days=HISTORY - 1), max(days)
    span = [first + timedelta(days=n) for n in range((month_end(last) - first).days + 1)]
    known = {day for day in span if (usage or day.day != 1) and day <= last}
    table = np.array(
        [[float(of[day]) if day in known and day in of else np.nan for day in span] for of in costs.values()]
    )
    charged = charges(table)
    to_come = expected_charges(charged, span)
    table -= np.where(to_come > 0, charged, 0.0)
    late = np.where(charged > 0, 0.0, to_come)
    for weekday in range(7):  # days of one weekday see the same weekdays behind them, and go through at once
        alike = [day for day in days if day.weekday() == weekday]
        if alike:
            ends = [(day - first).days + 1 for day in alike]
            rows = _Rows(
                alike,
                [*costs.values()],
                np.concatenate([table[:, end - LEVELS : end] for end in ends]),
                [to_come[:, end : end + (month_end(day) - day).days] for day, end in zip(alike, ends, strict=True)],
                np.concatenate([late[:, end - LEVELS : end] for end in ends]),
                unsettled,
            )
            for day, of_day in zip(alike, rows.forecasts(), strict=True):
                by_day[day] = dict(zip(costs, of_day, strict=True))
    return by_day


class _Rows:
    """Each series as of each of some days, all of one weekday: a row for each series as of the first day, and so on.

    Args:
        as_of: the days.
        costs: the series.
        values: of each row, the `LEVELS` days up to its own, without recurring charges.
        to_come: for each day, by series, the charges of the days that are left.
        late: in the shape of `values`, charges that were expected and have not come.
        unsettled: days that may be incomplete.
    """

    def __init__(
        self,
        as_of: Sequence[date],
        costs: Sequence[Mapping[date, Decimal]],
        values: np.ndarray,
        to_come: Sequence[np.ndarray],
        late: np.ndarray,
        unsettled: Collection[date],
    ) -> None:
        import numpy as np

        self._as_of, self._costs, self._values, self._to_come = as_of, costs, values, to_come
        back = [timedelta(days=LEVELS - 1 - n) for n in range(LEVELS)]
        self._weekday = np.array([(as_of[0] - days).weekday() for days in back])
        self._factors = _factors(values[:, -WINDOW:], self._weekday[-WINDOW:])
        of_days = self._factors[:, self._weekday]
        incomplete = np.repeat([[day - days in unsettled for days in back] for day in as_of], len(costs), axis=0)
        self._levels, filled = levels(values / of_days, incomplete)
        self._missing = np.where(incomplete, np.nan_to_num(filled * of_days - values) + late, 0.0)

    def forecasts(self) -> list[list[Forecast]]:
        """For each day, the forecast of each series."""
        import numpy as np

        known, number = np.isfinite(self._values).sum(axis=1), len(self._costs)
        by_day = []
        for at, day in enumerate(self._as_of):
            rows = range(at * number, (at + 1) * number)
            rest = [day + timedelta(days=n + 1) for n in range((month_end(day) - day).days)]
            ahead = self._factors[rows][:, [d.weekday() for d in rest]] * self._levels[rows, -1:] + self._to_come[at]
            judged = bool(rest) and known[rows.start : rows.stop].max() >= LEAST  # else nothing is forecast
            errors = self._errors(slice(rows.start, rows.stop), len(rest)) if judged else np.empty((number, 0))
            missing = self._missing[rows, -day.day :]
            by_day.append(
                [
                    _forecast(of, day, int(known[row]), [*missing[n], *ahead[n]], errors[n])
                    for n, (row, of) in enumerate(zip(rows, self._costs, strict=True))
                ]
            )
        return by_day

    def _errors(self, rows: slice, length: int) -> np.ndarray:
        """How far sums over so many days came from what was expected of them, as shares, by row and past day.

        Days before the first level are left out.
        """
        import numpy as np

        values, levels, factors = self._values[rows], self._levels[rows], self._factors[rows]
        columns = []
        first = first_known(levels)  # before it, nothing was expected
        for origin in range(max(first, LEVELS - LOOK_BACK), LEVELS - length):
            ahead = slice(origin + 1, origin + 1 + length)
            known = np.isfinite(values[:, ahead])
            expected = (factors[:, self._weekday[ahead]] * known).sum(axis=1) * levels[:, origin]
            with np.errstate(all="ignore"):
                share = np.nansum(values[:, ahead], axis=1) / expected - 1
            columns.append(np.where(known.any(axis=1) & (expected > 0), share, np.nan))
        return np.array(columns).T if columns else np.empty((len(values), 0))


def _forecast(
    costs: Mapping[date, Decimal], as_of: date, known: int, to_come: Sequence[float], errors: np.ndarray
) -> Forecast:
    """A month's forecast.

    Args:
        costs: the series.
        as_of: the newest day.
        known: days of history.
        to_come: for each day of the month, what is still to come of it.
        errors: past ones of so many days, as shares.
    """
    import numpy as np

    def cents(amount: float) -> Decimal:
        return Decimal(repr(float(amount))).quantize(CENT)

    month = [as_of.replace(day=n + 1) for n in range(month_end(as_of).day)]
    to_date = sum((costs[day] for day in month[: as_of.day] if day in costs), Decimal())
    if as_of == month[-1] and not any(to_come):
        return Forecast(to_date, to_date, to_date, to_date)
    if known < LEAST:
        return Forecast(to_date, why_not=f"{known} days of history, {LEAST} are needed")
    daily = tuple((day, cents(cost)) for day, cost in zip(month, to_come, strict=True) if day > as_of or cost)
    remainder = float(sum(to_come))
    expected = to_date + cents(remainder)
    errors = errors[np.isfinite(errors)]
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
