"""What tests start from: an environment without this machine's settings, and a stand-in AWS for those that ask."""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.unraisableexception import gc_collect_iterations_key

from standin.fixtures import running

if TYPE_CHECKING:
    import dagster as dg

    from finops_assets.adapters.aws.session import AwsSession
    from finops_assets.platform import Platform
    from finops_assets.settings.model import Settings
    from standin.server import StandIn

__all__ = ["aws", "running"]

LONG = (
    "test_terraform",
    "test_aws_killed",
    "test_a_simulated_month",
    "test_runbook",
    "test_aws_runs",
    "test_rehearsal",
    "test_dagster_ui",
    "test_dashboard",
    "test_replay",
    "test_told_rightly",
    "test_mornings_on_both",
    "test_scenarios",
    "test_line_types",
    "test_doctor",
    "test_scorecard",
    "test_states_in_every_output",
    "test_drivers",
    "test_exact_totals",
    "test_runs",
    "test_command_errors",
    "test_one_mail",
    "test_several_bills",
    "test_bill_formats",
    "test_dagster_storage",
    "test_digest_without_dashboard",
    "test_zero",
    "test_bill_files",
    "test_bill_files_on_aws",
    "test_hostile_bills",
    "test_sensors",
    "test_standin_athena",
    "test_deployment",
    "test_notes",
    "test_age",
    "test_quicksight_deploy",
    "test_query",
    "test_recovery",
    "test_aws_sensors",
    "test_by_command_alone",
    "test_cli",
    "test_dev",
    "test_contracts",
    "test_live_runs",
    "test_aws_terminated",
    "test_killed",
    "test_aws_morning",
    "test_hostile_names",
    "test_reading_needs_no_writing",
)
"""The longest files, the longest first: one that began last would be waited for in the end by the other workers.

The first two wait for most of their time, the next two never do: together they keep two cores busy.
"""


def pytest_configure(config: pytest.Config) -> None:
    """Collect garbage once at the end, not five times, which would take 2 s in each process."""
    config.stash[gc_collect_iterations_key] = 1


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Import the test files in an order that differs from worker to worker, once coverage is being measured.

    pytest compiles each of them for itself, which takes 7 s of CPU, and keeps what it compiled. Workers that all began
    with the same file would each compile every one.
    """
    worker, workers = os.environ.get("PYTEST_XDIST_WORKER", ""), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    folders = (Path(__file__).parent, Path(__file__).parents[1] / "standin" / "tests")
    asked = {(session.startpath / name).resolve() for name in session.config.args}
    if sys.dont_write_bytecode or workers == 1 or asked != set(folders):
        return
    root = Path(__file__).parents[1]
    files = [file for folder in folders for file in sorted(folder.rglob("test_*.py"))]
    modules = [".".join(file.relative_to(root).with_suffix("").parts) for file in files]
    first = len(modules) * int(worker.removeprefix("gw")) // workers
    with suppress(ImportError, SyntaxError):  # which the collection tells
        for module in (*modules[first:], *modules[:first]):
            importlib.import_module(module)


def pytest_collection_finish() -> None:
    """Leave what was imported, half a million objects, to the end of the process: runs make garbage by themselves.

    DuckDB complains at the end of what is not collected. pytest itself collects five times before that.
    """
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)
    gc.set_threshold(100_000, 20, 20)  # as the command does


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: order.get(item.path.stem, len(LONG)))


@pytest.fixture(autouse=True, scope="session")
def read_once() -> None:
    from finops_assets_tests.support import once  # noqa: F401


@pytest.fixture(autouse=True, scope="session")
def quick_records() -> None:
    """Dagster's SQLite does not wait for the disk: a run is mostly that. Processes that are killed keep their own."""
    from sqlalchemy import Engine, event

    @event.listens_for(Engine, "connect")
    def do_not_wait(connection: Any, _: Any) -> None:
        if type(connection).__module__.startswith("sqlite3"):
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("PRAGMA foreign_keys = ON")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No FINOPS_ setting and no DAGSTER_HOME of the person who runs the tests reaches them."""
    for name in list(os.environ):
        if name.startswith("FINOPS_") or name == "DAGSTER_HOME":
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True, scope="session")
def bills_of_stories_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Simulations copy a sample bill that was written before: each writes the same one, 0.4 s for ten weeks of it."""
    from dataclasses import fields, replace

    from finops_assets.stories import sample_bill

    write, written = sample_bill.write_sample_bill, {}

    def copied(folder: Path, last_day: date, days: int = 90) -> sample_bill.SampleBill:
        if folder.name != "final-bill":  # the demo's, which looks at what is in its folder
            return write(folder, last_day, days)
        if (last_day, days) not in written:
            written[last_day, days] = write(tmp_path_factory.mktemp("bill") / "bill", last_day, days)
        sample = written[last_day, days]
        source = sample.accounts.parent
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(source, folder)
        places = {each.name: getattr(sample, each.name) for each in fields(sample)}
        moved = {name: folder / place.relative_to(source) for name, place in places.items() if isinstance(place, Path)}
        return replace(sample, **moved)

    with pytest.MonkeyPatch.context() as patched:
        # Whoever imports the function when a simulation begins gets this one; tests of it import it before.
        patched.setattr(sample_bill, "write_sample_bill", copied)
        yield


DRAWN = {"now": False}
"""Whether runs draw their pictures: where no test looks at them, they would be most of its time."""


@pytest.fixture(autouse=True, scope="session")
def pictures_where_they_are_looked_at() -> Iterator[None]:
    """Runs in this process draw charts and pages in tests marked `drawn` alone; elsewhere they are a byte each."""
    from finops_assets.core.reports.drawing import Drawing
    from finops_assets.defs import run

    real, beside, quick = Drawing, run.drawing_beside, Drawing(lambda _: b"\x89PNG", lambda *_: b"%PDF")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(run, "drawing_beside", lambda: beside() if DRAWN["now"] else nullcontext(quick))
        patched.setattr(run, "Drawing", lambda: real() if DRAWN["now"] else quick)
        yield


@pytest.fixture(autouse=True)
def drawn(request: pytest.FixtureRequest) -> Iterator[None]:
    DRAWN["now"] = "drawn" in request.keywords
    yield
    DRAWN["now"] = False


@pytest.fixture(scope="module")
def records_in_memory() -> Iterator[dict[Path, dg.DagsterInstance | None]]:
    """Runs in this process keep Dagster's records in memory, one instance a home: a quarter of a run is their files.

    Yields DAGSTER_HOME -> its instance; where a test puts None, the records are in its files.
    """
    import dagster as dg

    from finops_assets.defs import observe, rounds, run

    instances: dict[Path, dg.DagsterInstance | None] = {}
    on_disk = run._instance

    def of(platform: Platform) -> AbstractContextManager[dg.DagsterInstance]:
        home = platform.settings.dagster_home
        if home not in instances:
            instances[home] = dg.DagsterInstance.ephemeral()
        instance = instances[home]
        return nullcontext(instance) if instance else on_disk(platform)

    with pytest.MonkeyPatch.context() as patched:
        for module in (run, observe, rounds):
            patched.setattr(module, "_instance", of)
        yield instances
    for instance in instances.values():
        if instance:
            instance.dispose()


@pytest.fixture(scope="module")
def session(running: StandIn) -> Iterator[AwsSession]:
    """One for all tests of a module: making a client takes longer than most of them."""
    from finops_assets.adapters.aws.session import AwsSession

    with pytest.MonkeyPatch.context() as environment:
        for name, value in running.environ.items():
            environment.setenv(name, value)
        yield AwsSession(endpoint_url=running.url)


@pytest.fixture(scope="module")
def sessions(running: StandIn) -> dict[tuple[Any, ...], AwsSession]:
    """The sessions of a module's platforms: by what the settings and the environment say of AWS."""
    return {}


@pytest.fixture
def aws(running: StandIn, sessions: dict[tuple[Any, ...], AwsSession], monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """An empty account, to which AWS's own variables lead; platforms of the same identity share their clients."""
    from finops_assets.composition import channels

    running.reset()
    for name, value in running.environ.items():
        monkeypatch.setenv(name, value)
    open_session = channels.aws_session

    def once(settings: Settings) -> AwsSession:
        of = settings.aws
        environ = sorted(pair for pair in os.environ.items() if pair[0].startswith("AWS_"))
        identity = (of.region, of.profile, of.role_arn, of.endpoint_url, *environ)
        if identity not in sessions:
            sessions[identity] = open_session(settings)
        return sessions[identity]

    monkeypatch.setattr(channels, "aws_session", once)
    return running


REAL_CLOCK_MINUTES = 5
"""How long a test may take whose daemons have the machine's clock."""


@pytest.fixture
def one_day() -> None:
    """The day (UTC) does not change during the test: daemons take it from the machine, and no test can set that clock.

    Where midnight would come within the test's time, it is waited for.
    """
    now = datetime.now(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    if midnight - now < timedelta(minutes=REAL_CLOCK_MINUTES):
        time.sleep((midnight - now).total_seconds() + 1)
