"""A Dagster job of as many steps as ours that do nothing; as a module, one day of it: the floor under `finops run`."""

import logging
import os
from pathlib import Path
from typing import Any

import dagster as dg

from benchmarks.bills import FIRST_DAY

ASSETS_BY_DAY = 7
"""Assets of ours that record a materialization for each day; account_ou_map records one a run."""


def empty_job() -> Any:
    by_day = {
        "partitions_def": dg.DailyPartitionsDefinition(start_date=str(FIRST_DAY)),
        "backfill_policy": dg.BackfillPolicy.single_run(),
    }
    assets: list[Any] = []
    for number in range(ASSETS_BY_DAY + 1):

        def nothing() -> dg.MaterializeResult:
            return dg.MaterializeResult()

        deps = [assets[-1]] if assets else []
        assets.append(dg.asset(name=f"nothing_{number}", deps=deps, **(by_day if number else {}))(nothing))
    quiet = dg.LoggerDefinition(lambda _: logging.Logger("quiet", level=logging.CRITICAL))
    definitions = dg.Definitions(
        assets=assets, jobs=[dg.define_asset_job("empty")], executor=dg.in_process_executor, loggers={"quiet": quiet}
    )
    return definitions.resolve_job_def("empty")


if __name__ == "__main__":
    home = Path(os.environ["DAGSTER_HOME"])
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    with dg.DagsterInstance.get() as instance:
        run = empty_job().execute_in_process(
            instance=instance, partition_key=str(FIRST_DAY), run_config={"loggers": {"quiet": {}}}
        )
    assert run.success
