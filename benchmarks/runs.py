"""A day's run and a backfill of 90 days, as ratios to the floors under them; exits with 1 if a bar is not met.

`python -m benchmarks.runs` (some minutes); `--quick` leaves out 30 million lines and the pandas pipeline.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.bills import bill_folder
from benchmarks.report import Row, finish

DATA = Path(__file__).parent / ".data"


def case(name: str, *arguments: object, repeat: int = 1, python: str = sys.executable) -> dict:
    """The run of a case with the median time, each run in a process of its own."""
    runs = []
    for _ in range(repeat):
        command = [python, "-m", "benchmarks.cases", name, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    return sorted(runs, key=lambda r: r["seconds"])[len(runs) // 2]


def wall(command: list[str], environment: Mapping[str, str]) -> float:
    """Wall time of a whole process, seconds."""
    started = time.perf_counter()
    subprocess.run(command, env=environment, capture_output=True, check=True)
    return time.perf_counter() - started


def backfill(quick: bool) -> list[Row]:
    ten = bill_folder(DATA, 10_000_000)
    ours, work = case("ours", ten, repeat=3), case("work", ten, repeat=3)
    reading, totals = case("reading", ten, repeat=3), case("control_totals", ten, repeat=3)
    assert totals["total"] == reading["total"], "the control totals are not the bill's"
    share, of_reading = totals["seconds"] / ours["seconds"], totals["cpu_seconds"] / reading["cpu_seconds"]
    query, recording = case("duckdb_query", ten, repeat=3), case("dagster_recording", 90, repeat=3)
    floor = query["seconds"] + recording["seconds"]
    ratio = ours["seconds"] / floor
    rows = [
        Row("bare DuckDB, the same query", f"{query['seconds']:.2f} s", ""),
        Row("Dagster recording 90 days of empty assets", f"{recording['seconds']:.2f} s", ""),
        Row("the same in batches (our event log)", f"{case('dagster_recording', 90, 'ours')['seconds']:.2f} s", ""),
        Row("ours, 90 days of 10M lines", f"{ours['seconds']:.2f} s = {ratio:.2f} x floor", "<= 0.5 x", ratio <= 0.5),
        Row("ours, peak memory", f"{ours['peak_mb']:.0f} MB", "<= 500 MB", ours["peak_mb"] <= 500),
        Row("the work alone, without Dagster", f"{work['seconds']:.2f} s", ""),
        Row("control totals of 10M lines", f"{totals['seconds']:.2f} s = {share:.3f} x ours", "<= 0.1 x", share <= 0.1),
        Row("their CPU against the backfill's reading", f"{totals['cpu_seconds']:.2f} s = {of_reading:.2f} x", ""),
        Row("their whole process", f"{totals['process_cpu_seconds']:.2f} s CPU, {totals['peak_mb']:.0f} MB", ""),
        Row("the reading's", f"{reading['process_cpu_seconds']:.2f} s CPU, {reading['peak_mb']:.0f} MB", ""),
    ]
    if quick:
        return rows
    thirty = case("ours", bill_folder(DATA, 30_000_000))
    growth = thirty["peak_mb"] / ours["peak_mb"]
    rival = os.environ.get("RIVAL_PYTHON", sys.executable)
    plain, thrifty = (case("pandas_pipeline", ten, columns, python=rival) for columns in ("all", "used"))
    assert abs(float(plain["total"]) - float(ours["total"])) < 0.01, "the rival's total differs"
    alone, whole = plain["seconds"] / work["seconds"], plain["seconds"] / ours["seconds"]
    return [
        *rows,
        Row("ours, 90 days of 30M lines", f"{thirty['seconds']:.2f} s, {thirty['peak_mb']:.0f} MB", ""),
        Row("memory at 30M against 10M lines", f"{growth:.2f} x", "<= 1.2 x", growth <= 1.2),
        Row("plain pandas, day by day", f"{plain['seconds']:.1f} s, {plain['peak_mb']:.0f} MB", ""),
        Row("the same, reading only the columns it needs", f"{thrifty['seconds']:.1f} s", ""),
        Row("the work against pandas", f"{alone:.1f} x faster", ">= 20 x", alone >= 20),
        Row("with Dagster's recording", f"{whole:.1f} x faster", ">= 5 x", whole >= 5),
    ]


def one_day(repeat: int = 7) -> list[Row]:
    """Whole processes, taken in turns, as the machine's speed drifts; each run of ours renders and sends a digest."""
    with tempfile.TemporaryDirectory() as home:
        finops = [sys.executable, "-m", "finops_assets"]
        ours_env = {**os.environ, "FINOPS_HOME": home}
        empty_env = {**os.environ, "DAGSTER_HOME": f"{home}/empty"}
        empty_job = [sys.executable, "-m", "benchmarks.empty_job"]
        wall([*finops, "demo"], ours_env)
        wall(empty_job, empty_env)  # makes its databases, as the demo has made ours
        today = datetime.now(UTC).date()
        pairs = []
        for number in range(repeat):
            day = str(today - timedelta(days=2 + number))
            pairs.append((wall(empty_job, empty_env), wall([*finops, "run", "--date", day], ours_env)))
        helped = statistics.median(wall([*finops, "--help"], ours_env) for _ in range(repeat))
    empty, ours = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(ours / empty for empty, ours in pairs)
    return [
        Row("an empty Dagster job of eight steps, whole process", f"{empty:.2f} s", ""),
        Row("finops run, whole process", f"{ours:.2f} s = {ratio:.2f} x", "<= 1.5 x", ratio <= 1.5),
        Row("finops --help", f"{helped:.2f} s", "< 0.5 s", helped < 0.5),
    ]


def main() -> None:
    """Measure both and print the table."""
    finish([*one_day(), *backfill("--quick" in sys.argv[1:])])


if __name__ == "__main__":
    main()
