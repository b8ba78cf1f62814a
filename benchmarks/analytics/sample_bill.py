"""Events in the sample bill before its stories begin, and what must not be told there."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np

from finops_assets.core.analytics.anomalies import Episode, Key
from finops_assets.core.analytics.anomaly_history import AnomalyHistory
from finops_assets.core.analytics.detection import HISTORY, Threshold, detect
from finops_assets.core.archive.cost_history import CostHistory

SEED = 7
FEE = Decimal("0.2")
"""Of a month's cost, booked on its first day."""

FLOOR = Decimal(25)
"""USD a day; the bill costs 3,000 a day."""

Costs = Mapping[Key, Mapping[date, Decimal]]


def score() -> list[bool]:
    """Print what is found of the events, and what must not be told; whether both are right."""
    costs, days = _sample_bill()
    last = days[-1]

    def found(costs: Costs, days: list[date] = days, **more: object) -> AnomalyHistory:
        return detect(CostHistory.of(costs, days), Threshold("USD", FLOOR), **more)

    quiet = found(costs)
    false = len(quiet.episodes(last, recent=len(days)))
    rng = np.random.default_rng(SEED)
    large = [key for key, of in costs.items() if sum(of.values()) >= 2 * FLOOR * len(of) and len(of) == len(days)]
    hits, single, late = [], [], []
    for kind in ("spike", "step", "drift", "new", "vanished") * 12:
        key, at = large[rng.integers(len(large))], int(rng.integers(len(days) // 2, len(days) - 24))
        changed, where = _changed(costs, key, kind, days[at:], rng)
        over = {"spike": at + 3, "drift": at + 24}.get(kind, at + 7)
        told = [
            episode
            for episode in found(changed).episodes(last, recent=len(days))
            if episode.first <= days[over]
            and episode.last >= days[at]
            and episode not in quiet.episodes(last, len(days))
        ]
        about = [episode for episode in told if _is_about(episode, where)]
        hits.append(bool(about))
        single.append(len(told) <= 1)
        late += [(min(episode.first for episode in about) - days[at]).days] if about else []
    recall, once = float(np.mean(hits)), float(np.mean(single))
    print(
        f"\nthe sample bill, {len(hits)} events in services of accounts: recall {recall:.2f} (bar 0.85), delay "
        f"{np.median(late):.0f} days, told as one episode {once:.0%}; {false} in {len(days)} days without events"
    )
    silent = True
    for name, count in _must_be_silent(costs, days, found):
        print(f"must not alert: {name:<52}{count:>4}")
        silent &= count == 0
    return [recall >= 0.85, silent]


def _sample_bill() -> tuple[dict[Key, dict[date, Decimal]], list[date]]:
    """Costs before the stories begin, which are in the last 60 days."""
    import duckdb

    from finops_assets.stories.sample_bill import write_sample_bill

    number, after = HISTORY, 60
    costs: dict[Key, dict[date, Decimal]] = {}
    with tempfile.TemporaryDirectory() as folder:
        bill = write_sample_bill(Path(folder) / "bill", date(2025, 9, 30), number + after)
        with bill.accounts.open(encoding="utf-8", newline="") as rows:
            ous = {
                row["account_id"]: row["ou_path"] for row in csv.DictReader(rows) if not row["valid_from"] > "2025-08"
            }
        lines = duckdb.sql(
            f"""SELECT SubAccountId, ServiceName, CAST(ChargePeriodStart AS DATE) AS day,
                sum(CAST(EffectiveCost AS DECIMAL(38, 12)))
            FROM read_parquet('{bill.focus}/**/*.parquet', hive_partitioning = false)
            GROUP BY ALL ORDER BY ALL"""
        ).fetchall()
    days = [bill.first_day + timedelta(days=n) for n in range(number)]
    for account, service, day, cost in lines:
        if day <= days[-1]:
            costs.setdefault((ous[account], service, account), {})[day] = cost
    return costs, days


def _changed(
    costs: Costs, key: Key, kind: str, days: list[date], rng: np.random.Generator
) -> tuple[dict[Key, dict[date, Decimal]], Key]:
    """The costs with an event of a kind from the first of these days on, and where it is."""
    of, size = dict(costs[key]), Decimal(repr(round(rng.uniform(0.75, 3), 2)))
    usual = sum(of.values()) / len(of)
    if kind == "spike":
        of.update({day: of[day] + size * usual for day in days[: rng.integers(1, 4)]})
    elif kind == "step":
        of.update({day: of[day] + size * usual for day in days})
    elif kind == "drift":
        of.update({day: of[day] + (1 + size / 3) * usual * min(n, 24) / 24 for n, day in enumerate(days)})
    elif kind == "new":
        key = (key[0], "A new service", key[2])
        of = dict.fromkeys(days, max(size * usual, 2 * FLOOR))
    else:
        of = {day: cost for day, cost in of.items() if day < days[0]}
    return {**costs, key: of}, key


def _is_about(episode: Episode, where: Key) -> bool:
    return episode.ou == where[0] and episode.service in ("", where[1]) and episode.account in ("", where[2])


def _must_be_silent(costs: Costs, days: list[date], found: Callable[..., AnomalyHistory]) -> Iterator[tuple[str, int]]:
    """What must not be told, and how many episodes it made."""
    last, middle = days[-1], len(days) - 20

    def times(factor: str, on: date) -> dict[Key, dict[date, Decimal]]:
        return {
            key: {day: cost * (Decimal(factor) if day == on else 1) for day, cost in of.items()}
            for key, of in costs.items()
        }

    usual = {episode.id for episode in found(costs).episodes(last, recent=len(days))}

    def count(findings: AnomalyHistory) -> int:
        return len({episode.id for episode in findings.episodes(last, recent=len(days))} - usual)

    largest = max((key for key in costs if len(costs[key]) == len(days)), key=lambda key: sum(costs[key].values()))
    one, total = costs[largest], sum(costs[largest].values()) / len(days)
    fee = {day: cost + (total * 30 * FEE if day.day == 1 else 0) for day, cost in one.items()}
    yield "a fee on the first of each month", count(found({**costs, largest: fee}))
    since = {day: fee[day] if day > days[middle - 31] else one[day] for day in one}
    yield "a fee on firsts that begins", count(found({**costs, largest: since}))
    for share in ("0.79", "0.5", "0.05"):
        yield f"a newest day that is complete to {share}", count(found(times(share, last), unsettled=[last]))
    late = {**costs, largest: {**one, days[middle]: one[days[middle]] + total * 5}}
    restated = {days[middle]: {largest: total * 5}}
    yield "a restatement of a settled day", count(found(late, restated=restated))
    rest = [day for day in days if day not in days[middle : middle + 9]]
    without = {key: {day: cost for day, cost in of.items() if day in rest} for key, of in costs.items()}
    yield "a hole of nine days", count(found(without, rest))
    doubled = found(times("2", days[middle]))
    yield "a file that was delivered twice", count(doubled) + (len(doubled.doubled) != 1)
    weekly = {day: total * 3 for day in days if day.weekday() == 6}
    yield "a job on Sundays", count(found({**costs, (largest[0], "A job", largest[2]): weekly}))
    monthly = {day: total * 3 for day in days if day.day == 17}
    yield "a charge on each 17th", count(found({**costs, (largest[0], "A contract", largest[2]): monthly}))
    small = {day: FLOOR * Decimal((n * 7919) % 97) / 100 for n, day in enumerate(days)}
    quarterly = {day: total * 6 for day in days if day.day == 17 and day.month in (1, 4, 7)}
    contract = found({**costs, (largest[0], "A contract", largest[2]): quarterly}).episodes(last, recent=20)
    yield "a charge each quarter, the third time", len([each for each in contract if each.service == "A contract"])
    yield "noise below the floor", count(found({**costs, (largest[0], "Noise", largest[2]): small}))
    account = largest[2]
    moved = {key: dict(of) for key, of in costs.items() if key[2] != account}
    for (ou, service, of_account), of in costs.items():
        if of_account == account:
            moved[(ou, service, account)] = {day: cost for day, cost in of.items() if day < days[middle]}
            moved[("Elsewhere", service, account)] = {day: cost for day, cost in of.items() if day >= days[middle]}
    yield "an account that moves to another OU", count(found(moved))
