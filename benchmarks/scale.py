"""What a morning takes as an organization grows: 50, 500 and 5,000 accounts of 12 services, 400 archived days.

`python -m benchmarks.scale [ACCOUNTS ...]` (a quarter of an hour); exits with 1 if a bar is not met. Each step is a
process of its own, measured by its CPU seconds and the peak memory of its largest process; what a task has to hold is
the memory of all its processes together, each shared page counted once. The floor is bare DuckDB, which makes the same
series and sums from the same objects.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from benchmarks.bills import scale_folder
from benchmarks.report import Row, finish
from finops_assets.core.operations.memory import SERVICES, needed_megabytes

DATA = Path(__file__).parent / ".data"
SIZES = (50, 500, 5_000)
DAYS = 400
LAST = date(2025, 9, 28)

MEASURED = """
import json, os, pathlib, resource, subprocess, sys, threading, time

def together(process):
    total = 0
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(folder.name)) == process:
                lines = (folder / "smaps_rollup").read_text().splitlines()
                total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        except (OSError, ValueError):
            continue
    return total / 1024

started, peak = time.perf_counter(), 0.0
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0)

def sample():
    global peak
    while child.poll() is None:
        peak = max(peak, together(child.pid))
        time.sleep(0.2)

sampler = threading.Thread(target=sample)
sampler.start()
out, err = child.communicate()
sampler.join()
used = resource.getrusage(resource.RUSAGE_CHILDREN)
if child.returncode not in (0, 1):
    sys.exit(err[-2000:])
print(json.dumps({"cpu": used.ru_utime + used.ru_stime, "mb": used.ru_maxrss / 1024, "together": peak,
    "seconds": time.perf_counter() - started, "code": child.returncode, "out": out[-2000:]}))
"""
"""Exit code 1 is the answer of `gaps` where there are some."""

MORNING = """
import sys
from datetime import UTC, datetime
from finops_assets.defs.rounds import make_round
from finops_assets.platform import build_platform
from finops_assets.settings.load import load_settings
clock = lambda: datetime.fromisoformat(sys.argv[1]).replace(tzinfo=UTC)
made = make_round(build_platform(load_settings(), clock), clock=clock)
sys.exit(f"{made.ran}" if made.failed or not made.ran else 0)
"""

FLOOR = """
import duckdb, sys
con = duckdb.connect(config={"threads": 2, "memory_limit": "2GB"})
source = f"read_parquet('{sys.argv[1]}/archive/ou-breakdowns/*/*/*/*.parquet', hive_partitioning=false)"
con.execute(f"CREATE TABLE series AS SELECT ou, service, linkedaccount, list(dailycost ORDER BY billingdate) AS costs, "
    f"SUM(CAST(dailycost AS DECIMAL(38, 12))) AS total FROM {source} GROUP BY ALL")
con.execute(f"CREATE TABLE sums AS SELECT billingdate, ou, SUM(CAST(dailycost AS DECIMAL(38, 12))) AS total "
    f"FROM {source} GROUP BY ALL")
"""

SCORED = """
import sys
from datetime import UTC, datetime
from finops_assets.platform import build_platform
from finops_assets.settings.load import load_settings
platform = build_platform(load_settings())
day = platform.archive.days()[-1]
platform.scoring.score([day], datetime.now(UTC))
platform.dashboard.refresh("benchmark")
"""


@dataclass(frozen=True)
class Used:
    """What a command took: CPU seconds of all its processes, MB of the largest and of all, seconds until it ended."""

    cpu: float
    mb: float
    together: float
    seconds: float


@dataclass(frozen=True)
class Size:
    """What an organization of so many accounts took."""

    accounts: int
    backfill: Used
    run: Used
    morning: Used
    scored: Used
    floor: Used
    reading: Mapping[str, Used]


def measured(command: list[str], environment: Mapping[str, str]) -> Used:
    """What a command takes, in a process that measures nothing else."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *command], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    facts = json.loads(done.stdout)
    return Used(facts["cpu"], facts["mb"], facts["together"], facts["seconds"])


def size(accounts: int) -> Size:
    """Archive all days but the last by a backfill, run the last, by itself and as a morning, and read."""
    folder = scale_folder(DATA, accounts, LAST, DAYS)
    home, other = folder / "home", folder / "home-of-mornings"
    subprocess.run(["rm", "-rf", str(home), str(other)], check=True)
    first = LAST - timedelta(days=DAYS - 1)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FINOPS_")} | {
        "FINOPS_HOME": str(home),
        "FINOPS_BILL__PATH": str(folder / "bill"),
        "FINOPS_BILL__FIRST_DAY": str(first),
        "FINOPS_ACCOUNTS__PATH": str(folder / "accounts.csv"),
        "FINOPS_MAIL__SENDER": "finops@example.com",
        "FINOPS_MAIL__RECIPIENTS": "team@example.com",
    }
    finops, python = [sys.executable, "-m", "finops_assets"], [sys.executable, "-c"]
    backfill = measured([*finops, "backfill", str(first), str(LAST - timedelta(days=1))], environment)
    # Links, as a day that is copied is another object: the history of its costs would be read anew.
    subprocess.run(["cp", "-R", str(home), str(other)], check=True)
    subprocess.run(["rm", "-rf", str(other / "archive")], check=True)
    subprocess.run(["cp", "-al", str(home / "archive"), str(other / "archive")], check=True)
    seven = f"{LAST + timedelta(days=1)} 07:00:30"
    morning = measured([*python, MORNING, seven], environment | {"FINOPS_HOME": str(other)})
    run = measured([*finops, "run", "--date", str(LAST)], environment)
    asked = {
        "status": [*finops, "status"],
        "gaps": [*finops, "gaps"],
        "query": [*finops, "query", f"SELECT SUM(dailycost) FROM ou_breakdown WHERE billingdate = DATE '{LAST}'"],
    }
    return Size(
        accounts,
        backfill,
        run,
        morning,
        scored=measured([*python, SCORED], environment),
        floor=measured([*python, FLOOR, str(home)], environment),
        reading={name: measured(command, environment) for name, command in asked.items()},
    )


SLACK = 1.15
"""How far above the product's table (`core/operations/memory.py`) a measurement may be: machines differ."""

BARS = {
    500: {"run": 1.4, "mb": 600, "scored": 3.0, "backfill": 800},
    5_000: {"run": 3.0, "mb": 1000, "scored": 2.0, "backfill": 2000},
}
"""Accounts -> a run's CPU against 50 accounts, its MB, scores and dashboard against the floor, a backfill's MB."""


def rows(of: Size, smallest: Size) -> list[Row]:
    """The table's rows of a size."""
    bars = BARS.get(of.accounts)
    ratio = of.run.cpu / smallest.run.cpu
    share = of.scored.cpu / of.floor.cpu

    def row(what: str, figure: str, bar: float | None, value: float, unit: str) -> Row:
        bar_text, met = ("", None) if bar is None else (f"<= {bar:g} {unit}", value <= bar)
        return Row(f"{of.accounts:,} accounts: {what}", figure, bar_text, met)

    def fitting(what: str, used: Used, days: int) -> Row:
        """Against what the product takes for measured: a run that takes more would be killed where it was let begin."""
        most = round(needed_megabytes(of.accounts * SERVICES, days) * SLACK)
        return row(what, f"{used.cpu:.1f} s CPU, {used.together:.0f} MB", most, used.together, "MB")

    bar = dict.fromkeys(("run", "mb", "scored", "backfill")) | (bars or {})
    return [
        row("a day's run", f"{of.run.cpu:.1f} s CPU = {ratio:.2f} x", bar["run"], ratio, "x"),
        row("its memory", f"{of.run.mb:.0f} MB", bar["mb"], of.run.mb, "MB"),
        fitting("finops morning, all its processes", of.morning, 1),
        fitting("the backfill, all its processes", of.backfill, DAYS - 1),
        row(
            "scores and dashboard",
            f"{of.scored.cpu:.1f} s CPU = {share:.1f} x floor, {of.scored.mb:.0f} MB",
            bar["scored"],
            share,
            "x",
        ),
        row("bare DuckDB (the floor)", f"{of.floor.cpu:.1f} s CPU, {of.floor.mb:.0f} MB", None, 0, ""),
        row(
            f"a backfill of {DAYS - 1} days",
            f"{of.backfill.cpu:.1f} s CPU, {of.backfill.mb:.0f} MB",
            bar["backfill"],
            of.backfill.mb,
            "MB",
        ),
        *(
            row(f"finops {name}", f"{used.seconds:.1f} s, {used.cpu:.1f} s CPU", 3 if bars else None, used.seconds, "s")
            for name, used in of.reading.items()
        ),
    ]


def main() -> None:
    """Measure each size and print the table."""
    sizes = [size(int(accounts)) for accounts in sys.argv[1:] or SIZES]
    finish([each for of in sizes for each in rows(of, sizes[0])])


if __name__ == "__main__":
    main()
