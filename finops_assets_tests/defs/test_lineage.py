"""What the Dagster UI offers of the lineage: a choice of days, checks that run alone, days that are out of date."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from finops_assets.defs import keys
from finops_assets.defs.bill import begin_versions, report_versions
from finops_assets.defs.morning import PROMISES
from finops_assets.stories.simulation import Simulation

FIRST, LAST = date(2025, 9, 8), date(2025, 9, 10)
CHANGED = date(2025, 9, 9)


@pytest.fixture
def sim(tmp_path: Path) -> Iterator[Simulation]:
    """Three days, archived and mailed at 07:00."""
    sim = Simulation(tmp_path / "home", FIRST, LAST, in_memory=True, draw=lambda _: b"")
    sim.at(LAST + timedelta(days=1), "06:00")
    sim.deliver(LAST)
    sim.at(LAST + timedelta(days=1), "08:00")
    begin_versions(sim.instance)  # as the sensor and the command do
    sim.launch("a person", [sim.request(FIRST, LAST)])
    assert sim.ran[-1].success
    yield sim
    sim.close()


def asset_checks(run: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {each.check_name: each for each in run.get_asset_check_evaluations()}


def test_all_that_can_be_materialized_together_has_days_or_no_partitions(sim: Simulation) -> None:
    """One asset with months among them, and the lineage's "Materialize all" would offer no choice of days."""
    graph = sim.definitions.resolve_asset_graph()
    kinds = {key.path[-1]: graph.get(key).partitions_def for key in graph.executable_asset_keys}
    assert set(kinds) == {keys.MAP, *keys.DAILY}
    assert {type(of).__name__ for of in kinds.values()} == {"NoneType", "DailyPartitionsDefinition"}


def test_a_check_of_the_morning_is_executed_alone(sim: Simulation) -> None:
    """It is one of the asset that it is about; nothing is made, and nobody is told."""
    told = sim.watch.incidents.open()
    job = sim.definitions.resolve_implicit_global_asset_job_def()
    for asset, promises in PROMISES.items():
        for name in promises:
            check = dg.AssetCheckKey(dg.AssetKey(asset), name)
            run = job.get_subset(asset_selection=set(), asset_check_selection={check}).execute_in_process(
                instance=sim.instance
            )
            assert run.success
            assert asset_checks(run)[name].passed, name
    assert sim.watch.incidents.open() == told


def test_a_run_of_an_old_day_shows_what_is_broken_today_and_does_not_fail(sim: Simulation) -> None:
    """The lineage's own runs evaluate an asset's checks, too: those of the morning warn there."""
    sim.at(LAST + timedelta(days=3), "08:00")  # two days are overdue
    job = sim.definitions.resolve_implicit_global_asset_job_def()
    run = job.execute_in_process(
        instance=sim.instance, partition_key=str(FIRST), asset_selection=[dg.AssetKey(keys.MAILED)]
    )
    assert run.success
    mailed = asset_checks(run)["yesterday_is_mailed"]
    assert not mailed.passed
    assert mailed.severity == dg.AssetCheckSeverity.WARN


def test_a_day_that_the_bill_has_changed_is_out_of_date_until_it_is_run_again(sim: Simulation) -> None:
    """By data versions of the bill's days: the UI says by itself which day, and why."""

    def out_of_date() -> list[str]:
        graph = sim.definitions.resolve_asset_graph()
        resolver = CachingStaleStatusResolver(sim.instance, graph, LoadingContextForTest(sim.instance))
        key = dg.AssetKey(keys.SUMMARY)
        return [str(d) for d in (FIRST, CHANGED, LAST) if resolver.get_status(key, str(d)) == StaleStatus.STALE]

    sim.sensors()
    assert out_of_date() == []
    sim.at(LAST + timedelta(days=1), "12:00")
    sim.deliver(LAST, {CHANGED: 2.0})
    sim.at(LAST + timedelta(days=1), "12:10")
    report_versions(sim.instance, sim.watch.news(sim.now).versions)  # as the sensor does
    assert out_of_date() == [str(CHANGED)]
    sim.sensors()
    assert sim.ran[-1].days == str(CHANGED)
    assert out_of_date() == []
