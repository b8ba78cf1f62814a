"""The real series, and which part of them parameters are chosen on."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

import numpy as np

FIRST_DAY, DAYS = date(2017, 12, 13), 384
CALENDAR = [FIRST_DAY + timedelta(days=n) for n in range(DAYS)]
CHOSEN_ON, REPORTED_ON = "chosen on", "reported on"
MONTHS = {CHOSEN_ON: range(3, 9), REPORTED_ON: range(9, 13)}
"""Of 2018, by part."""

SPLIT = (date(2018, 9, 1) - FIRST_DAY).days
FEE = 0.2
"""Of a month's cost, booked on its first day, as Savings Plans, reservations, support and tax are."""

FIRSTS = np.array([day.day == 1 for day in CALENDAR])

Series = Mapping[str, np.ndarray]
"""name -> cost by day of CALENDAR; NaN where it is not known."""


def read(folder: Path) -> dict[str, np.ndarray]:
    """Every series that costs anything, and the total of the projects."""
    series: dict[str, np.ndarray] = {}
    projects = set()
    for file, key in (("project", "project_id"), ("category", "category")):
        with (folder / f"daily_cost_by_{file}_2017-12_2018-12.csv").open(encoding="utf-8", newline="") as rows:
            for row in csv.DictReader(rows):
                name, column = row[key], (date.fromisoformat(row["date"]) - FIRST_DAY).days
                series.setdefault(name, np.full(DAYS, np.nan))[column] = float(row["cost"])
                projects |= {name} if file == "project" else set()
    series = {name: costs for name, costs in series.items() if np.nansum(costs) > 0}
    known = np.any([np.isfinite(series[name]) for name in projects & series.keys()], axis=0)
    total = np.nansum([series[name] for name in projects & series.keys()], axis=0)
    return {**series, "total": np.where(known, total, np.nan)}


def long_series(series: Series) -> dict[str, np.ndarray]:
    """Those that have a year of months to score."""
    return {name: costs for name, costs in series.items() if np.isfinite(costs).sum() > 300}


def with_fee(costs: np.ndarray) -> np.ndarray:
    return costs + np.where(FIRSTS, np.nanmean(costs, axis=-1, keepdims=True) * 30 * FEE, 0)


def column(day: date) -> int:
    return (day - FIRST_DAY).days
