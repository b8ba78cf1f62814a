"""What is measured, each in a process of its own: ours, the floors under it, and the plain way beside it.

Run as `python -m benchmarks.cases NAME ARGUMENTS`; prints seconds, CPU seconds, peak memory and notes as JSON.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.bills import FIRST_DAY, LAST_DAY

USED = ["ChargePeriodStart", "SubAccountId", "ServiceName", "BilledCost"]
DAYS = [FIRST_DAY + timedelta(days=i) for i in range((LAST_DAY - FIRST_DAY).days + 1)]


def _platform(folder: str, home: str) -> Any:
    from finops_assets.platform import build_platform
    from finops_assets.settings.load import load_settings

    settings = {
        "home": home,
        "bill.path": f"{folder}/bill",
        "bill.first_day": FIRST_DAY,
        "accounts.path": f"{folder}/accounts.csv",
    }
    return build_platform(load_settings({}, settings, folder=Path(home)))


def _import_engines() -> None:
    """Import what the work imports when it needs it, as the rival imports pandas: before the clock starts."""
    for name in ("duckdb", "jinja2", "numpy", "pyarrow.compute", "pyarrow.csv", "pyarrow.parquet", "sqlglot"):
        import_module(name)


@contextmanager
def _timed(result: dict) -> Any:
    started, cpu = time.perf_counter(), time.process_time()
    yield
    result["seconds"], result["cpu_seconds"] = time.perf_counter() - started, time.process_time() - cpu


def ours(folder: str) -> dict:
    """The backfill as a user runs it: one Dagster run over 90 days, everything recorded."""
    from finops_assets.defs.run import run_days

    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as home:
        platform = _platform(folder, home)
        _warm_instance(platform)
        with _timed(result):
            outcome = run_days(platform, DAYS[0], DAYS[-1])
        assert not outcome.errors, outcome.errors
        result["total"] = str(sum(platform.archive.describe(d).total for d in DAYS))
    return result


def _warm_instance(platform: Any) -> None:
    """Make Dagster's databases before the clock starts, as they are made once in the life of a home."""
    import dagster as dg

    from finops_assets.defs.instance import prepare_dagster_home

    prepare_dagster_home(platform.settings.dagster_home)
    with dg.DagsterInstance.get() as instance:
        instance.get_runs(limit=1)


def work(folder: str) -> dict:
    """The same steps without Dagster: map, bill, archive, catalog, dashboard, digest."""
    _import_engines()

    from finops_assets.core.accounts.account_map import to_parquet
    from finops_assets.core.archive import available_days, publishing, registering
    from finops_assets.core.delivery.digest_service import DigestForm, DigestService
    from finops_assets.core.reports.drawing import drawing_beside
    from finops_assets.core.schemas import ACCOUNT_MAP_PATH

    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as home:
        platform = _platform(folder, home)
        with _timed(result), drawing_beside() as drawing:
            platform.archive.put(ACCOUNT_MAP_PATH, to_parquet(platform.accounts.load().table))
            available_days.find_days(platform.warehouse, DAYS, datetime.now(UTC))
            done = publishing.archive_days(
                platform.warehouse,
                platform.archive,
                DAYS,
                cost_basis="billed",
                run_id="bench",
                now=datetime.now(UTC),
            )
            assert not done.refused
            assert not registering.register_days(platform.archive, platform.catalog, DAYS).wrong
            shown = platform.dashboard.refresh("bench")
            assert not registering.dashboard_fault(shown, platform.archive, platform.settings.dashboard.days)
            morning = DigestService(
                platform.archive, platform.outbox, DigestForm(links=platform.links), drawing=drawing
            )
            morning.send(DAYS, datetime.now(UTC))
        result["total"] = str(sum(p.total for p in done.published.values()))
    return result


def control_totals(folder: str) -> dict:
    """The control totals of the whole bill, as a refresh takes them: the bill is open, as a sensor's or a run's is."""
    _import_engines()
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as home:
        warehouse = _platform(folder, home).warehouse
        started = time.perf_counter()
        warehouse.describe()
        result["opening_seconds"] = time.perf_counter() - started
        with _timed(result):
            totals = warehouse.control_totals()
        result["total"], result["lines"] = str(sum(t.total for t in totals)), sum(t.lines for t in totals)
    return result


def reading(folder: str) -> dict:
    """What the backfill reads of the bill: each day's own total, then the breakdown's rows, thrown away."""
    _import_engines()
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as home:
        platform = _platform(folder, home)
        accounts = platform.accounts.load().table
        with _timed(result):
            days = platform.warehouse.source_days(DAYS[0], DAYS[-1])
            result["rows"] = sum(b.num_rows for b in platform.warehouse.breakdown(DAYS[0], DAYS[-1], accounts))
        result["total"] = str(sum(day.total for day in days.values()))
    return result


def duckdb_query(folder: str) -> dict:
    """Bare DuckDB: the breakdown's own query, its rows read to the end and thrown away."""
    _import_engines()
    import duckdb

    from finops_assets.adapters.shared.duck import athena_to_duckdb
    from finops_assets.core.bill.charges import charges_sql
    from finops_assets.core.bill.formats.focus import FOCUS
    from finops_assets.core.bill.queries import breakdown_sql, summary_sql
    from finops_assets.core.bill.rules import Rules

    result: dict[str, Any] = {}
    con = duckdb.connect(config={"memory_limit": "800MB"})
    con.execute(f"CREATE TABLE account_ou_map AS SELECT *, ou_path AS ou FROM read_csv('{folder}/accounts.csv')")
    con.execute("ALTER TABLE account_ou_map ALTER account_id TYPE VARCHAR")
    con.execute("UPDATE account_ou_map SET valid_from = NULL")
    con.execute("ALTER TABLE account_ou_map ALTER valid_from TYPE DATE")
    con.execute("UPDATE account_ou_map SET valid_from = DATE '1970-01-01'")
    con.execute("ALTER TABLE account_ou_map ADD COLUMN valid_to DATE DEFAULT DATE '9999-12-31'")
    with _timed(result):
        con.execute(f"CREATE VIEW bill AS SELECT * FROM read_parquet('{folder}/bill/data/*/*.parquet')")
        columns = {name.lower(): type_ for name, type_, *_ in con.execute("DESCRIBE bill").fetchall()}
        charges = charges_sql(FOCUS, columns, Rules("billed"), DAYS[0], DAYS[-1])
        sql = athena_to_duckdb(breakdown_sql(summary_sql(charges)))
        rows = sum(batch.num_rows for batch in con.sql(sql).to_arrow_reader(131_072))
    result["rows"] = rows
    return result


def dagster_recording(days: str, storage: str = "stock") -> dict:
    """Dagster alone: as many assets that do nothing, over as many days, in one run with the in-process executor."""
    import dagster as dg

    from benchmarks.empty_job import empty_job

    result: dict[str, Any] = {}
    count = int(days)
    with tempfile.TemporaryDirectory() as home:
        os.environ["DAGSTER_HOME"] = home
        (Path(home) / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
        if storage == "ours":
            from finops_assets.defs.instance import prepare_dagster_home

            prepare_dagster_home(Path(home))
        job = empty_job()
        with dg.DagsterInstance.get() as instance:
            instance.get_runs(limit=1)
            range_ = {
                "dagster/asset_partition_range_start": str(DAYS[0]),
                "dagster/asset_partition_range_end": str(DAYS[count - 1]),
            }
            with _timed(result):
                done = job.execute_in_process(instance=instance, tags=range_, run_config={"loggers": {"quiet": {}}})
            assert done.success
    return result


def pandas_pipeline(folder: str, columns: str = "all") -> dict:
    """The plain way, without an orchestrator: day by day, read the month, filter, group, write CSV and Parquet.

    `columns` is `all`, or `used` for a thrifty author who reads only the four columns that are needed.
    """
    import pandas as pd

    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as out, _timed(result):
        ous = pd.read_csv(f"{folder}/accounts.csv", dtype=str)[["account_id", "ou_path"]]
        total = 0.0
        for day in DAYS:
            month = Path(folder) / "bill" / "data" / f"BILLING_PERIOD={day:%Y-%m}"
            frame = pd.read_parquet(month, columns=USED if columns == "used" else None)
            start = pd.Timestamp(day)
            frame = frame[(frame.ChargePeriodStart >= start) & (frame.ChargePeriodStart < start + pd.Timedelta(days=1))]
            frame = frame.merge(ous, left_on="SubAccountId", right_on="account_id", how="left")
            rows = frame.groupby(["ou_path", "ServiceName", "SubAccountId"], as_index=False)["BilledCost"].sum()
            rows.to_csv(f"{out}/{day}.csv", index=False)
            rows.to_parquet(f"{out}/{day}.parquet", compression="snappy")
            total += rows.BilledCost.sum()
        result["total"] = f"{total:.6f}"
    return result


CASES = {f.__name__: f for f in (ours, work, reading, control_totals, duckdb_query, dagster_recording, pandas_pipeline)}


def main() -> None:
    name, *arguments = sys.argv[1:]
    result = CASES[name](*arguments)
    result["process_cpu_seconds"] = time.process_time()
    result["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(result))


if __name__ == "__main__":
    main()
