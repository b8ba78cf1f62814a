"""What the Dagster UI says without a browser: descriptions, groups, numbers to plot, failures, times of events."""

from __future__ import annotations

import time
from base64 import b64decode
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal

import dagster as dg
import pytest

from finops_assets.core.errors import FinopsError, UnknownDeliveryError
from finops_assets.defs import keys
from finops_assets.defs.event_log import _spread
from finops_assets.defs.jobs import NEWEST
from finops_assets.defs.private import runs_of_location, show_failures_in_words
from finops_assets.defs.score_metadata import trend
from finops_assets.defs.steps import refusal
from finops_assets.stories.simulation import Simulation

FIRST, LAST = date(2025, 9, 9), date(2025, 9, 10)
LIST_WIDTH = 50
"""Characters of a description that the catalog's list shows."""


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulation]:
    """Two days, archived and mailed."""
    sim = Simulation(tmp_path_factory.mktemp("home"), FIRST, LAST, in_memory=True, draw=lambda _: b"")
    sim.at(LAST + timedelta(days=1), "06:00")
    sim.deliver(LAST)
    sim.at(LAST + timedelta(days=1), "08:00")
    sim.launch("a person", [sim.request(FIRST, LAST)])
    assert sim.ran[-1].success
    yield sim
    sim.close()


def test_whatever_is_listed_says_in_a_line_what_it_is(sim: Simulation) -> None:
    """Each asset, job, schedule and sensor; of assets, the first sentence is shown whole."""
    repository = sim.definitions.get_repository_def()
    graph = sim.definitions.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        first = (graph.get(key).description or "").split("\n")[0]
        assert 10 < len(first) <= LIST_WIDTH, (key, first)
        assert first.endswith("."), first
    others = [
        *(job for job in repository.get_all_jobs() if not job.name.startswith("__")),
        *repository.schedule_defs,
        *repository.sensor_defs,
    ]
    assert len(others) > 10
    for each in others:
        assert 10 < len(each.description or "") <= 90, (each.name, each.description)


def test_groups_are_listed_in_the_order_of_the_flow(sim: Simulation) -> None:
    """Dagster sorts them by name; each asset's group is its parents' or a later one."""
    graph = sim.definitions.resolve_asset_graph()
    group_of = {key: graph.get(key).group_name for key in graph.get_all_asset_keys()}
    assert sorted(keys.GROUPS) == list(keys.GROUPS)
    assert set(group_of.values()) == set(keys.GROUPS)
    for key, group in group_of.items():
        assert all(group_of[parent] <= group for parent in graph.get(key).parent_keys), key


def test_resend_digest_opens_with_a_config_that_is_valid(sim: Simulation) -> None:
    """It is of the newest day until somebody writes another."""
    job = sim.definitions.resolve_job_def(keys.RESEND_JOB)
    config = dg.validate_run_config(job, {})
    assert config["ops"]["send_again"]["config"]["day"] == NEWEST


def test_costs_are_numbers_that_are_plotted_and_exact_texts(sim: Simulation) -> None:
    """Of the scorecard total, month to date and forecast; of the archive the total."""
    for name, plotted in {keys.SCORED: ("total", "month to date"), keys.ARCHIVED: ("total",)}.items():
        event = sim.instance.get_latest_materialization_event(dg.AssetKey(name))
        assert event is not None
        assert event.asset_materialization is not None
        metadata = event.asset_materialization.metadata
        assert all(isinstance(metadata[each], dg.FloatMetadataValue) for each in plotted)
        exact = Decimal(str(metadata["exact total"].value))
        assert Decimal(str(metadata["total"].value)) == round(exact, 2) != 0


def test_the_picture_of_the_last_days_is_small_enough_to_be_shown_at_once() -> None:
    """Markdown of 1,000 characters and more is behind a click; the last day's bar is the darker one."""
    costs = {LAST - timedelta(days=n): Decimal(10**9 + n * 10**7) for n in range(400)}
    [shown] = trend(costs, LAST).values()
    assert len(shown.value) < 1000
    svg = b64decode(shown.value.partition("base64,")[2].rstrip(")")).decode()
    assert svg.count("M") == 30
    assert trend({LAST: Decimal(1)}, LAST) == {}


@pytest.mark.parametrize("debug", [False, True])
def test_a_failed_step_shows_its_message_alone(debug: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """With FINOPS_DEBUG the stack is there, too; the error's class is known either way."""
    show_failures_in_words()
    monkeypatch.setenv("FINOPS_DEBUG", "1" if debug else "")

    @dg.op
    def fails() -> None:
        try:
            raise UnknownDeliveryError("it is not known", fix="Look at it.")
        except FinopsError as error:
            raise refusal(error) from error

    @dg.job
    def job() -> None:
        fails()

    result = job.execute_in_process(raise_on_error=False)
    [event] = [event for event in result.all_events if event.is_step_failure]
    error = event.step_failure_data.error
    assert error is not None
    assert bool(error.stack) == debug
    assert (error.cause or error).cls_name == UnknownDeliveryError.__name__
    if not debug:
        assert error.message == event.step_failure_data.user_failure_data.description  # type: ignore[union-attr]


def test_a_run_of_the_command_is_of_the_code_location() -> None:
    """By its origin the timeline shows it, by its tag the job's page; other runs of the process stay as they are."""

    @dg.job
    def job() -> None:
        pass

    with dg.DagsterInstance.ephemeral() as instance:
        with runs_of_location(instance, keys.LOCATION):
            of_command = job.execute_in_process(instance=instance).run_id
        of_script = job.execute_in_process(instance=instance).run_id
        run, other = instance.get_run_by_id(of_command), instance.get_run_by_id(of_script)
        assert run is not None
        assert run.remote_job_origin is not None
        assert run.remote_job_origin.repository_origin.get_label() == f"__repository__@{keys.LOCATION}"
        assert run.tags["dagster/code_location"] == keys.LOCATION
        assert other is not None
        assert other.remote_job_origin is None


def test_events_of_a_batch_have_a_millisecond_each() -> None:
    """In their order, the last one at its own time: the UI lists one event of an asset for each millisecond."""
    now = time.time()

    def event(at: float) -> dg.EventLogEntry:
        return dg.EventLogEntry(
            error_info=None, level=20, user_message="", run_id="r", timestamp=at, job_name="j", dagster_event=None
        )

    times = [each.timestamp for each in _spread([event(now)] * 90)]
    assert len({int(at * 1000) for at in times}) >= 89
    assert times == sorted(times)
    assert times[-1] == now
    assert _spread([event(1.0), event(2.0)]) == [event(1.0), event(2.0)]
