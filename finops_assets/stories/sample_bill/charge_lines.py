"""The charges of a window of days: worked out once, so that both export formats agree to the last decimal.

Only sums, products and hashes are used, never a random generator or a transcendental function: these give the same
doubles on every machine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from finops_assets.stories.sample_bill.catalog import (
    METERS,
)
from finops_assets.stories.sample_bill.commitments import COMMITMENTS
from finops_assets.stories.sample_bill.hashing import key_of, noise, share_of
from finops_assets.stories.sample_bill.organization import BILLED, HABITS
from finops_assets.stories.sample_bill.spending import CHARGES, HOURS, WEEKDAYS, Charge

COVERED_KINDS = ("SavingsPlanCoveredUsage", "DiscountedUsage")


USAGE_KINDS = ("Usage", *COVERED_KINDS)


RECURRING_KINDS = ("SavingsPlanRecurringFee", "RIFee")


@dataclass(frozen=True)
class Lines:
    """The charges of a window as columns, one element a charge, ordered by day.

    `charge` is the position in CHARGES; `start` and `end` are UTC; amounts are USD, rounded to ten decimals.
    `unused` is the part of a commitment's fee that no usage was covered by, and zero on every other charge.
    """

    charge: np.ndarray
    start: np.ndarray
    end: np.ndarray
    list_cost: np.ndarray
    billed: np.ndarray
    effective: np.ndarray
    unused: np.ndarray

    def take(self, positions: np.ndarray) -> Lines:
        return Lines(**{name: column[positions] for name, column in vars(self).items()})


def charge_lines(last_day: date, days: int) -> Lines:
    """What is charged in the window, and what the commitments make of it."""
    before = np.arange(days - 1, -1, -1)
    dates = np.datetime64(last_day, "D") - before
    next_month = (dates.astype("datetime64[M]") + 1).astype("datetime64[D]")
    at_day, charge = np.nonzero(booked(dates, before))
    list_cost = np.round(daily_costs(dates, before)[at_day, charge], 10)

    kind, name = each("kind")[charge], each("commitment")[charge]
    covered, recurring = np.isin(kind, COVERED_KINDS), np.isin(kind, RECURRING_KINDS)
    discount = np.array([COMMITMENTS[c.commitment].discount if c.commitment else 0.0 for c in CHARGES])[charge]
    billed = np.where(covered, 0.0, list_cost)
    prepaid = recurring | ((kind == "Fee") & (name != ""))
    effective = np.where(covered, np.round(list_cost * (1.0 - discount), 10), np.where(prepaid, 0.0, billed))

    # A fee's unused part is the commitment of its period, as far as it has come, less what it has covered in it.
    months_end = np.minimum(at_day + (next_month - dates).astype(np.int64)[at_day], days)
    period_end = np.where(kind == "RIFee", months_end, at_day + 1)
    unused = np.zeros(len(charge))
    for commitment, terms in COMMITMENTS.items():
        usage, fee = covered & (name == commitment), recurring & (name == commitment)
        used = np.bincount(at_day[usage], effective[usage], minlength=days)
        idle = np.concatenate([[0.0], np.cumsum(terms.per_day - used)])
        unused[fee] = np.round(idle[period_end[fee]] - idle[at_day[fee]], 10)

    start = dates[at_day].astype("datetime64[ms]")
    to_month_end = each("monthly")[charge] > 0
    end = np.where(to_month_end, next_month[at_day].astype("datetime64[ms]"), start + np.timedelta64(1, "D"))
    return by_hour(Lines(charge, start, end, list_cost, billed, effective, unused))


def each(field: str) -> np.ndarray:
    """A field of every charge, in the order of CHARGES."""
    return np.array([getattr(charge, field) for charge in CHARGES])


def booked(dates: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Days by charges: whether there is a line. A reservation's first fee is booked on the day that it is bought."""
    before = before[:, None]
    day_of_month = (dates - dates.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64)[:, None] + 1
    first = (each("kind") == "RIFee") & (before == each("since"))
    due = (each("monthly") == 0) | (each("monthly") == day_of_month) | first
    return due & (before <= each("since")) & (before >= each("until"))


def daily_costs(dates: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Days by charges: USD at list price, which is cost x growth x season x noise for usage, and exact for the rest."""
    kind = each("kind")
    usage, covered = np.isin(kind, USAGE_KINDS), np.isin(kind, COVERED_KINDS)
    steady = ~usage | np.array([METERS[charge.meter].steady for charge in CHARGES])
    habits = [HABITS[BILLED[charge.account].ou_path] for charge in CHARGES]
    growth = np.array([h.growth if c.growth is None else c.growth for c, h in zip(CHARGES, habits, strict=True)])
    level = np.where(usage, np.maximum(1.0 - growth * before[:, None] / 30.0, 0.4), 1.0)

    weekday = (dates.astype(np.int64) + 3) % 7
    weekend = np.array([habit.weekend for habit in habits])
    season = np.stack([*(np.full(len(CHARGES), share) for share in WEEKDAYS), weekend, weekend * 0.97])[weekday]
    season = np.where(steady, 1.0, season)

    names = [f"{charge.account} {charge.meter}" for charge in CHARGES]
    size = np.array([0.7 + 0.6 * share_of(n) if c.varied else 1.0 for n, c in zip(names, CHARGES, strict=True)])
    keys = np.array([key_of(f"{n} {c.kind}") for n, c in zip(names, CHARGES, strict=True)], np.uint64)
    swing = np.where(usage, np.where(steady | covered, 0.01, 0.06), 0.0)
    cost = each("cost") * size * level * season * (1.0 + swing * noise(keys, dates.astype(np.uint64)[:, None]))

    month_end = (dates.astype("datetime64[M]") + 1).astype("datetime64[D]")
    return np.where(kind == "RIFee", cost * (month_end - dates).astype(np.int64)[:, None], cost)


def by_hour(lines: Lines) -> Lines:
    """Split the lines of hourly charges into 24, one an hour."""
    parts = np.where(each("hourly")[lines.charge], 24, 1)
    hour = np.arange(parts.sum()) - np.repeat(np.cumsum(parts) - parts, parts)
    lines = lines.take(np.repeat(np.arange(len(parts)), parts))
    hourly = each("hourly")[lines.charge]
    start = lines.start + hour * np.timedelta64(1, "h")
    cost = np.round(lines.billed * np.array(HOURS)[hour] / 100.0, 10)
    return replace(
        lines,
        start=start,
        end=np.where(hourly, start + np.timedelta64(1, "h"), lines.end),
        **{name: np.where(hourly, cost, getattr(lines, name)) for name in ("list_cost", "billed", "effective")},
    )


def upfront_part(charge: Charge) -> float:
    """The share of the upfront payment in what a commitment costs a day."""
    if not charge.commitment:
        return 0.0
    return COMMITMENTS[charge.commitment].upfront_per_day / COMMITMENTS[charge.commitment].per_day


def prices() -> np.ndarray:
    """The list price of every charge, in USD per unit."""
    return np.array([METERS[charge.meter].price for charge in CHARGES])


def doubled(twice: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions with those marked in `twice` repeated, and a mask of the repetitions."""
    positions = np.repeat(np.arange(len(twice)), np.where(twice, 2, 1))
    return positions, np.diff(positions, prepend=-1) == 0
