"""A tick of each sensor over three years of archived days; exits with 1 if one takes a second or more.

`python -m benchmarks.sensors`: on the embedded platform, wall time of the median of seven ticks, nothing to do and with
a bill that has just been refreshed. What a tick asks of AWS is counted in the tests (test_aws_sensors.py).
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

from benchmarks.report import Row, finish

DAYS = 3 * 365
LAST = date(2025, 9, 12)
TICKS = 7
BAR = 1.0


def main() -> None:
    """Make three years of objects, partitions and mails, then tick."""
    import pyarrow as pa

    from finops_assets.core.schemas import OU_BREAKDOWN, scorecard_path
    from finops_assets.core.values import DayRows
    from finops_assets.stories.simulation import Simulation

    with tempfile.TemporaryDirectory() as folder:
        first = LAST - timedelta(days=DAYS - 1)
        sim = Simulation(
            Path(folder) / "home",
            LAST - timedelta(days=59),
            LAST,
            {"bill.first_day": first},
            draw=lambda _: b"",
        )
        sim.at(LAST + timedelta(days=1), "06:00")
        sim.deliver(LAST)
        sim.launch("a backfill", [sim.request(LAST - timedelta(days=59), LAST)])
        archive = sim.platform.archive
        rows, there = archive.read([LAST]).select(OU_BREAKDOWN.names), archive.describe(LAST)
        facts = {name: value for name, value in there.metadata.items() if name not in ("day", "content")}
        card = archive.get(scorecard_path(LAST))
        for n in range(60, DAYS):
            day = LAST - timedelta(days=n)
            of_day = rows.set_column(0, OU_BREAKDOWN.field(0), pa.array([day] * rows.num_rows, pa.date32()))
            archive.publish(DayRows(day, of_day, there.total, Decimal(), there.fingerprint), facts)
            archive.put(scorecard_path(day), card)
            for name in ("digest.html", "digest.txt", "manifest.json", "sent.json", "receipts/a.json"):
                archive.put(f"digests/{day}/r1/{name}", b"{}")
        older = [replace(there, day=LAST - timedelta(days=n)) for n in range(60, DAYS)]
        sim.platform.catalog.register(older)
        sim.platform.dashboard.refresh("after the days were put there")
        sim.sensors()

        def refresh_the_bill() -> None:
            sim.now += timedelta(minutes=10)
            sim.deliver(LAST)

        slow = [
            _report("every sensor, nothing to do", sim.sensors),
            _report("every sensor, the bill refreshed", sim.sensors, before=refresh_the_bill),
        ]
        assert not sim.watch.inspect(sim.now).gaps
        sim.close()
    finish(slow)


def _report(what: str, tick: Callable[[], None], before: Callable[[], None] = lambda: None) -> Row:
    taken = []
    for _ in range(TICKS):
        before()
        started = time.perf_counter()
        tick()
        taken.append(time.perf_counter() - started)
    middle = statistics.median(taken)
    return Row(f"{what}, {DAYS:,} days", f"{middle:.3f} s", f"< {BAR:g} s", middle < BAR)


if __name__ == "__main__":
    main()
