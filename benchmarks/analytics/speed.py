"""The time and memory of forecasts and anomalies."""

from __future__ import annotations

import resource
import time
from datetime import date, timedelta
from decimal import Decimal

import numpy as np

from benchmarks.analytics.data import CALENDAR, Series
from finops_assets.core.analytics.detection import Threshold, detect
from finops_assets.core.analytics.forecast import forecasts
from finops_assets.core.archive.cost_history import CostHistory


def score(real: Series) -> list[bool]:
    """Print both for 2,000 series of 400 days; whether they are within their bars."""
    some = [
        {day: Decimal(repr(float(cost))) for day, cost in zip(CALENDAR, costs, strict=True) if np.isfinite(cost)}
        for costs in real.values()
    ]
    many = {str(n): some[n % len(some)] for n in range(2000)}
    started = time.process_time()
    forecasts(many, date(2018, 12, 20))
    seconds = time.process_time() - started
    days = [date(2018, 12, 31) - timedelta(days=n) for n in range(400)]
    costs = {(f"Unit {n % 50}", f"Service {n % 40}", str(n)): of for n, of in enumerate(many.values())}
    started = time.process_time()
    findings = detect(CostHistory.of(costs, days), Threshold("USD", Decimal(1)))
    for day in days:
        findings.episodes(day)
        for unit in range(50):
            findings.band(f"Unit {unit}", day)
    judged = time.process_time() - started
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(
        f"\n2,000 series of 400 days: forecasts {seconds:.1f} s, anomalies as of each day {judged:.1f} s "
        f"(bar 10 s), {megabytes:.0f} MB at most (bar 1,000)"
    )
    return [seconds + judged < 10, megabytes < 1000]
