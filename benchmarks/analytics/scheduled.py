"""An invented bill with fees, Support, tax, credits and refunds by OU: month ends and false episodes, without and with.

Without is what is done of a bill that has no categories: all of the cost is judged, and what comes on firsts is taken
for fees. Rules were chosen on the first seeds; the others, with larger charges on other days, are reported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

import numpy as np

from benchmarks.analytics.data import CHOSEN_ON, REPORTED_ON
from finops_assets.core.accounts.ous import ALL
from finops_assets.core.analytics.budgets import rolled_up
from finops_assets.core.analytics.coherence import coherent_forecasts
from finops_assets.core.analytics.detection import Threshold, detect
from finops_assets.core.analytics.forecast import Forecast, month_end
from finops_assets.core.analytics.scheduled import ScheduledCharges
from finops_assets.core.archive.cost_history import CostHistory
from finops_assets.core.archive.scheduled_costs import CREDIT, FEE, REFUND, TAX, ScheduledKey

LAST = date(2025, 9, 30)
DAYS = tuple(LAST - timedelta(days=n) for n in reversed(range(300)))
MONTHS = (7, 8, 9)
AS_OF = (2, 5, 9, 14, 19, 24, 28)
FLOOR = Decimal(25)
JUDGED = 92
"""The last days, in which episodes are counted: none of them has a cause in usage."""

Key = tuple[str, str, str]


@dataclass(frozen=True)
class Part:
    """How the bills of a part are made: fees are shares of a month's usage, on a day that moves by so many days."""

    seeds: range
    support: float
    tax: float
    contract: tuple[int, int, float]
    credit: float
    refund: float
    purchase: float


PARTS = {
    CHOSEN_ON: Part(range(4), support=0.07, tax=0.08, contract=(3, 0, 0.1), credit=0.08, refund=0.5, purchase=1.0),
    REPORTED_ON: Part(range(20, 24), support=0.1, tax=0.2, contract=(17, 1, 0.2), credit=0.2, refund=1.5, purchase=3.0),
}


@dataclass(frozen=True)
class Bill:
    """A bill: usage by key and day, and what is scheduled, of the whole of it by day and key."""

    usage: Mapping[Key, np.ndarray]
    scheduled: Mapping[date, Mapping[Key, Mapping[str, Decimal]]]

    def by_ou(self, *, usage: bool) -> dict[str, dict[date, Decimal]]:
        """Each OU's own cost, or usage, by day."""
        sums: dict[str, dict[date, Decimal]] = {}
        for (ou, _, _), values in self.usage.items():
            of = sums.setdefault(ou, dict.fromkeys(DAYS, Decimal()))
            for day, value in zip(DAYS, values.tolist(), strict=True):
                of[day] += Decimal(repr(value))
        for day, charges in {} if usage else self.scheduled.items():
            for (ou, _, _), amounts in charges.items():
                sums[ou][day] += sum(amounts.values())
        return sums

    def costs(self, *, usage: bool) -> CostHistory:
        """The costs, or the usage, of every service of every account."""
        costs = {key: values.copy() for key, values in self.usage.items()}
        for day, charges in {} if usage else self.scheduled.items():
            for key, amounts in charges.items():
                of = costs.setdefault(key, np.zeros(len(DAYS)))
                of[DAYS.index(day)] += float(sum(amounts.values()))
        return CostHistory(DAYS, tuple(costs), {}, np.round(np.array(list(costs.values())), 6))

    def by_kind(self, until: date) -> dict[date, dict[ScheduledKey, Decimal]]:
        """What is scheduled on each day up to one, by OU, service and kind."""
        sums: dict[date, dict[ScheduledKey, Decimal]] = {day: {} for day in DAYS if day <= until}
        for day, charges in self.scheduled.items():
            for (ou, service, _), amounts in charges.items() if day <= until else ():
                for kind, amount in amounts.items():
                    of = ou, service, kind
                    sums[day][of] = sums[day].get(of, Decimal()) + amount
        return sums


def score() -> list[bool]:
    """Print both ways, by part; whether the bars are met on the part that is reported."""
    met = []
    for name, part in PARTS.items():
        bills = [_bill(seed, part) for seed in part.seeds]
        errors = np.mean([_errors(bill) for bill in bills], axis=0)
        episodes = np.mean([[_episodes(bill, usage=usage) for usage in (False, True)] for bill in bills], axis=0)
        print(f"\n{name}: fees, tax, credits and refunds by OU; all of the cost judged, and usage + scheduled")
        for of, (before, after) in zip(("the whole", "OUs"), errors.T, strict=True):
            print(f"mean error of the month, %: {of:<12}{before:>6.1f}{after:>6.1f}")
        print(f"false episodes in {JUDGED} days:{episodes[0]:>16.1f}{episodes[1]:>6.1f}")
        met = [errors[1, 0] <= 2, errors[1, 1] <= 2.5, (errors[1] <= errors[0]).all(), episodes[1] <= episodes[0] / 5]
    return [bool(each) for each in met]


def _errors(bill: Bill) -> np.ndarray:
    """In percent of what was spent: all of the cost, and usage + scheduled, by the whole and OUs."""
    off, spent = np.zeros((2, 2)), np.zeros(2)
    direct, usage = bill.by_ou(usage=False), bill.by_ou(usage=True)
    truth, rolled = rolled_up(direct), rolled_up(usage)
    as_of = [date(2025, month, day) for month in MONTHS for day in AS_OF]
    before, of_usage = coherent_forecasts(direct, truth, as_of), coherent_forecasts(usage, rolled, as_of, usage=True)
    for day in as_of:
        after = ScheduledCharges(bill.by_kind(day)).months(of_usage[day], day)
        for ou, costs in truth.items():
            total = float(sum(costs[day.replace(day=n + 1)] for n in range(month_end(day).day)))
            at = int(ou != ALL)
            spent[at] += abs(total)
            for way, forecasts in enumerate((before[day], after)):
                off[way, at] += abs(_expected(forecasts[ou]) - total)
    return 100 * off / spent


def _expected(forecast: Forecast) -> float:
    assert forecast.expected is not None, "the history is long enough"
    return float(forecast.expected)


def _episodes(bill: Bill, *, usage: bool) -> int:
    found = detect(bill.costs(usage=usage), Threshold("USD", FLOOR), usage=usage)
    return len(found.episodes(LAST, recent=JUDGED))


def _bill(seed: int, part: Part) -> Bill:
    rng = np.random.default_rng(seed)
    weekend = np.array([day.weekday() >= 5 for day in DAYS])
    usage: dict[Key, np.ndarray] = {}
    for account in range(12):
        size, quiet = rng.lognormal(4.5, 0.6), 1 - 0.6 * rng.uniform(0.3, 1)
        for service in range(5):
            base = 0.6 * size * rng.lognormal(0, 0.8) * np.where(weekend, quiet, 1)
            level = np.exp(np.cumsum(rng.normal(0, 0.004, len(DAYS))))
            key = f"Unit {account // 6}/Team {account // 3}", f"Service {service}", f"1110000000{account:02}"
            usage[key] = np.round(base * level * rng.lognormal(0, rng.uniform(0.04, 0.15), len(DAYS)), 6)
    scheduled: dict[date, dict[Key, dict[str, Decimal]]] = {day: {} for day in DAYS}

    def charge(day: date, key: Key, kind: str, amount: float) -> None:
        of = scheduled[day].setdefault(key, {})
        of[kind] = of.get(kind, Decimal()) + Decimal(f"{amount:.2f}")

    keys = list(usage)
    whole = sum(usage.values())
    payer, daily, contract, credited, used_up = (keys[at] for at in rng.choice(len(keys), 5, replace=False))
    ends, late = len(DAYS) - int(rng.integers(20, 75)), int(rng.integers(1, 3))
    for n, day in enumerate(DAYS):
        charge(day, daily, FEE, 0.05 * whole.mean())
        if n < ends:
            charge(day, credited, CREDIT, -part.credit * usage[credited].mean() * 5)
        if day.day == 1 and n >= 28:
            charge(day, (payer[0], "AWS Support", payer[2]), FEE, part.support * whole[n - 28 : n].sum())
            for key, values in usage.items():
                charge(day, key, TAX, part.tax * values[n - 28 : n].sum())
        on, moves, share = part.contract
        if day.day == 15 and n > 28:
            booked = min(day.replace(day=on + int(rng.integers(-moves, moves + 1))), LAST)
            charge(booked, (contract[0], "A contract", contract[2]), FEE, share * 30 * usage[contract].mean() * 5)
        if day.day == 20 and n < len(DAYS) - 30 * late:
            left = 1.0 if n < len(DAYS) - 30 * (late + 1) else 0.3
            charge(day, used_up, CREDIT, -left * part.credit * 30 * usage[used_up].mean())
    for _ in range(4):
        key, n = keys[int(rng.integers(len(keys)))], int(rng.integers(len(DAYS) - JUDGED, len(DAYS)))
        charge(DAYS[n], key, REFUND, -part.refund * 7 * usage[key].mean())
    key, n = keys[int(rng.integers(len(keys)))], int(rng.integers(len(DAYS) - JUDGED, len(DAYS)))
    charge(DAYS[n], key, FEE, part.purchase * 30 * usage[key].mean())
    return Bill(usage, scheduled)
