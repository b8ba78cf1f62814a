"""Forecasts of a month's end on real daily cost, beside simpler rules; exits with 1 if a bar is not met.

`python -m benchmarks.analytics FOLDER`, where FOLDER holds daily_cost_by_project_2017-12_2018-12.csv and its twin by
category (MIT, jupyterhub/binder-billing). Days 4, 8, 12, 16, 20 and 25 of each month from March to December 2018 are
scored.
"""

from __future__ import annotations

import csv
import resource
import sys
import time
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

from finops_assets.core.forecast import Forecast, forecasts, month_end

Series = Mapping[str, Mapping[date, Decimal]]
MONTHS = [date(2018, month, 1) for month in range(3, 13)]
AS_OF = (4, 8, 12, 16, 20, 25)
FEE = Decimal("0.2")
"""Of a month's cost, booked on its first day, as Savings Plans, reservations, support and tax are."""


def main() -> None:
    """Print the table of errors, the band's coverage and the speed."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    real = _read(Path(sys.argv[1]))
    with_fee = {name: _with_fee(costs) for name, costs in real.items()}
    rules: dict[str, Callable[[Series, date], dict[str, Decimal | None]]] = {
        "ours": lambda series, day: {name: found.expected for name, found in forecasts(series, day).items()},
        "run rate": _each(lambda costs, day: _to_date(costs, day) / day.day * month_end(day).day),
        "trailing 7 days": _each(lambda costs, day: _to_date(costs, day) + _left(day) * _week(costs, day) / 7),
        "the week repeated": _each(_repeated),
    }
    error = {name: (_wape(rule, real), _wape(rule, with_fee)) for name, rule in rules.items()}
    print(f"{'mean error of the month, %':<28}{'real':>8}{'with a fee on day 1':>22}")
    for name, (plain, fee) in error.items():
        print(f"{name:<28}{plain:>8.1f}{fee:>22.1f}")
    coverage = _coverage(real)
    print(f"the 80 % band covered {coverage:.1%} of months (bar 75 to 90 %)")
    seconds, megabytes = _speed(real)
    print(f"2,000 series of 400 days: {seconds:.1f} s (bar 10 s), {megabytes:.0f} MB at most (bar 1,000)")
    ours, rivals = error["ours"], [error[name] for name in error if name != "ours"]
    met = (
        ours[0] <= min(plain for plain, _ in rivals),
        ours[1] < error["run rate"][1] / 2,
        0.75 <= coverage <= 0.9,
        seconds < 10,
        megabytes < 1000,
    )
    sys.exit(not all(met))


def _read(folder: Path) -> dict[str, dict[date, Decimal]]:
    """The series of a whole year; those that end before, or begin late, have no month to score."""
    series: dict[str, dict[date, Decimal]] = {}
    for file, key in (("project", "project_id"), ("category", "category")):
        with (folder / f"daily_cost_by_{file}_2017-12_2018-12.csv").open(encoding="utf-8", newline="") as rows:
            for row in csv.DictReader(rows):
                series.setdefault(row[key], {})[date.fromisoformat(row["date"])] = Decimal(row["cost"])
    return {name: costs for name, costs in series.items() if len(costs) > 300}


def _with_fee(costs: Mapping[date, Decimal]) -> dict[date, Decimal]:
    fee = sum(costs.values()) / len(costs) * 30 * FEE
    return {day: cost + (fee if day.day == 1 else 0) for day, cost in costs.items()}


def _each(rule: Callable[[Mapping[date, Decimal], date], Decimal]) -> Callable[[Series, date], dict]:
    return lambda series, day: {name: rule(costs, day) for name, costs in series.items()}


def _to_date(costs: Mapping[date, Decimal], day: date) -> Decimal:
    return sum((costs.get(day.replace(day=n), Decimal()) for n in range(1, day.day + 1)), Decimal())


def _left(day: date) -> int:
    return (month_end(day) - day).days


def _week(costs: Mapping[date, Decimal], day: date) -> Decimal:
    return sum((costs.get(day - timedelta(days=n), Decimal()) for n in range(7)), Decimal())


def _repeated(costs: Mapping[date, Decimal], day: date) -> Decimal:
    week = [costs.get(day - timedelta(days=6 - n), Decimal()) for n in range(7)]
    return _to_date(costs, day) + sum((week[n % 7] for n in range(_left(day))), Decimal())


def _cases(series: Series) -> list[tuple[date, dict[str, Decimal]]]:
    return [
        (first.replace(day=day), {name: _to_date(costs, month_end(first)) for name, costs in series.items()})
        for first in MONTHS
        for day in AS_OF
    ]


def _wape(rule: Callable[[Series, date], dict[str, Decimal | None]], series: Series) -> float:
    off = of = Decimal()
    for day, actual in _cases(series):
        for name, expected in rule(series, day).items():
            if expected is not None:
                off, of = off + abs(expected - actual[name]), of + actual[name]
    return float(100 * off / of)


def _coverage(series: Series) -> float:
    within: list[bool] = []
    for day, actual in _cases(series):
        found: dict[str, Forecast] = forecasts(series, day)
        within += [f.low <= actual[name] <= f.high for name, f in found.items() if f.low is not None]
    return sum(within) / len(within)


def _speed(series: Series) -> tuple[float, float]:
    day = date(2018, 12, 20)
    some = list(series.values())
    many = {str(n): some[n % len(some)] for n in range(2000)}
    started = time.perf_counter()
    forecasts(many, day)
    return time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


if __name__ == "__main__":
    main()
