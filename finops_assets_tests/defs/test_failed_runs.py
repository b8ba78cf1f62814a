"""Failed runs are told once, whatever they are runs of, and whoever notices; and closed when the job runs through."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.decorators.op_decorator import DecoratedOpFunction
from dagster._core.remote_origin import InProcessCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from finops_assets.core.findings import Finding
from finops_assets.core.operations.alerting import FRESHNESS
from finops_assets.core.operations.watch import Watch
from finops_assets.core.reports.drawing import Drawing
from finops_assets.defs import keys
from finops_assets.defs.alerts import FORGOTTEN_AFTER
from finops_assets.defs.build import build_definitions
from finops_assets.platform import Platform, build_platform
from finops_assets.settings.load import load_settings
from finops_assets.stories.sample_bill import write_sample_bill
from finops_assets_tests.operations.test_incidents import Channel

DAY = date(2025, 9, 10)
CONFIGS = {"resend_digest": {"ops": {"send_again": {"config": {"day": str(DAY)}}}}}
"""Of jobs that do not run without one."""


@dataclass
class Desk:
    """A platform whose alerts are kept, a Dagster instance, and the sensors that tell of failures."""

    platform: Platform
    channel: Channel
    instance: dg.DagsterInstance
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    cursors: dict[str, str | None] = field(default_factory=dict)
    location: InProcessCodeLocationOrigin | None = None
    definitions: dg.Definitions = field(init=False)

    def __post_init__(self) -> None:
        self.build()

    def build(self) -> None:
        """As a process that has just started has it."""
        nothing = Drawing(lambda _: b"", lambda *_: b"")
        self.definitions = build_definitions(self.platform, clock=lambda: self.now, drawing=nothing)
        self.watch: Watch = self.definitions.resources["watch"]
        self.tick()

    @property
    def told(self) -> list[str]:
        return [subject for subject, _, _ in self.channel.sent]

    def run(self, job: str, **how: Any) -> bool:
        found = self.definitions.get_repository_def().get_job(job)
        how = {"run_config": CONFIGS.get(job)} | how
        return found.execute_in_process(instance=self.instance, raise_on_error=False, **how).success

    def tick(self) -> None:
        """One look of each sensor that tells of failures, as the daemon has it."""
        repository = self.definitions.get_repository_def()
        for name in ("failed_runs",):
            context = dg.build_sensor_context(
                instance=self.instance,
                cursor=self.cursors.get(name),
                repository_def=repository,
                resources={"watch": self.watch},
            )
            if self.location:
                context._code_location_origin, context._repository_name = self.location, "__repository__"
            tick = repository.get_sensor_def(name).evaluate_tick(context)
            assert not [reaction.error for reaction in tick.dagster_run_reactions or () if reaction.error]
            self.cursors[name] = tick.cursor

    def mail_returns(self) -> None:
        """The look that closes what has run through since."""
        needed = {name: self.definitions.resources[name] for name in ("watch", "metrics", "heartbeat")}
        context = dg.build_sensor_context(instance=self.instance, resources=needed)
        self.definitions.get_repository_def().get_sensor_def("mail_returns").evaluate_tick(context)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    sample = write_sample_bill(tmp_path / "bill", DAY, 1)
    values = {"home": str(tmp_path / "home"), "bill.path": str(sample.focus), "accounts.path": str(sample.accounts)}
    values |= {"bill.first_day": str(DAY), "schedule.retry_seconds": 0}
    platform = build_platform(load_settings({}, values, folder=tmp_path))
    channel = Channel()
    with dg.DagsterInstance.ephemeral() as instance:
        yield Desk(replace(platform, alerts=channel), channel, instance)
    platform.warehouse.close()


def raising(error: Exception, job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the first step of a job raise, whatever it does otherwise."""
    for op in job.all_node_defs:
        if isinstance(op, dg.OpDefinition) and isinstance(op._compute_fn, DecoratedOpFunction):

            @functools.wraps(op._compute_fn.decorated_fn)
            def broken(*_: Any, **__: Any) -> None:
                raise error

            monkeypatch.setattr(op, "_compute_fn", DecoratedOpFunction(broken))


def test_an_exception_in_any_job_is_told_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever of the jobs there are: one alert with the cause, by the run or by a sensor, not by both."""
    repository = desk.definitions.get_repository_def()
    found = repository.get_all_jobs()
    assert len(found) >= 6
    for job in found:
        raising(RuntimeError("nobody foresaw this"), job, monkeypatch)
        how: dict[str, Any] = {}
        if job.name.startswith("__ASSET_JOB"):
            how["asset_selection"] = [dg.AssetKey("account_ou_map")]
        elif job.partitions_def:
            how["partition_key"] = job.partitions_def.get_first_partition_key()
        before = len(desk.told)
        assert not desk.run(job.name, **how), job.name
        for _ in range(2):
            desk.tick()
        assert len(desk.told) == before + 1, (job.name, desk.told[before:])
        assert "nobody foresaw this" in desk.channel.sent[-1][1]
        monkeypatch.undo()
    kinds = {incident.kind for incident in desk.watch.incidents.open()}
    assert kinds == {"run_failed", "evidence_failed", "job_failed"}


def test_what_the_run_told_is_not_told_again_after_it_healed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run tells, somebody mends and runs the day, and only then does the sensor look: nothing more is said."""
    with monkeypatch.context() as patched:
        raising(RuntimeError("a blip"), desk.definitions.get_repository_def().get_job("daily_bill"), patched)
        assert not desk.run("daily_bill", partition_key=str(DAY))
        desk.now += timedelta(minutes=1)
        assert not desk.run("daily_bill", partition_key=str(DAY)), "an incident is open: this run tells nothing"
    desk.now += timedelta(minutes=1)
    assert desk.run("daily_bill", partition_key=str(DAY))
    before = list(desk.told)
    assert [subject for subject in before if str(DAY) in subject and "run" in subject] == [
        f"FinOps: a run failed: {DAY}",
        f"FinOps: all clear, the days of the failed run are whole: {DAY}",
    ]
    desk.tick()
    assert desk.told == before


def test_a_bill_that_is_late_is_no_failed_run_of_the_lineage_either(desk: Desk) -> None:
    """The look at all days tells that the bill is late; a sensor that finds the failed run leaves it to that."""
    late = DAY + timedelta(days=1)
    desk.now = datetime(2025, 9, 12, 8, tzinfo=UTC)
    chosen = [dg.AssetKey("account_ou_map"), dg.AssetKey("finops_daily_summary")]
    assert not desk.run("__ASSET_JOB", partition_key=str(late), asset_selection=chosen)
    desk.tick()
    assert desk.told == []
    desk.now += timedelta(days=1)
    assert not desk.run("__ASSET_JOB", partition_key=str(late), asset_selection=chosen)
    desk.tick()
    assert desk.told == [f"FinOps: a run failed: {late}"], "of a day that nobody waits for it is a failed run"


@dataclass
class Findings:
    """A preflight that finds what it is told to."""

    found: list[Finding]

    def check(self) -> Iterator[Finding]:
        yield from self.found


def test_a_check_up_that_found_faults_has_told_them_itself(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its findings are one alert, and none of the failed run; one that crashes is told until it has looked again."""
    found = Findings([Finding("bucket", "fail", "is not there", "Make it.")])
    desk.platform = replace(desk.platform, preflight=found)
    desk.build()
    assert not desk.run("check_up")
    desk.tick()
    assert desk.told == ["FinOps: the morning's check-up found a fault: bucket"]
    with monkeypatch.context() as patched:
        raising(ZeroDivisionError("a defect"), desk.definitions.get_repository_def().get_job("check_up"), patched)
        for _ in range(2):
            assert not desk.run("check_up")
            desk.tick()
    assert desk.told[1:] == ["FinOps: a job failed: check_up"]
    assert "a defect" in desk.channel.sent[-1][1]
    assert not desk.run("check_up"), "it has looked, and the fault is there still"
    desk.tick()
    assert desk.told[2:] == ["FinOps: all clear, the job has run through: check_up"]


def test_checks_that_are_red_have_told_why_themselves(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken promises are one alert; the red run of morning_checks is no second one, but a defect of it is."""
    assert not desk.run("morning_checks")
    desk.tick()
    assert [subject.split(":")[1] for subject in desk.told] == [" yesterday is not done"]
    (record,) = desk.instance.get_run_records()
    checks = desk.instance.all_logs(record.dagster_run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    assert len(checks) == len(FRESHNESS), "the checks are recorded, red or green, before the run fails"
    with monkeypatch.context() as patched:
        raising(ZeroDivisionError("a defect"), desk.definitions.get_repository_def().get_job("morning_checks"), patched)
        assert not desk.run("morning_checks")
        desk.tick()
    assert desk.told[1:] == ["FinOps: a job failed: morning_checks"]


def test_a_job_that_runs_through_is_well_again_and_one_that_nobody_runs_is_put_away(desk: Desk) -> None:
    """Each digest that could not be sent again is told; one is sent at last, which is clear; the other is put away."""
    assert desk.run("daily_bill", partition_key=str(DAY))

    def resend(day: str) -> bool:
        return desk.run("resend_digest", run_config={"ops": {"send_again": {"config": {"day": day}}}})

    outbox = desk.platform.settings.outbox_folder
    outbox.rename(outbox.with_name("away"))
    outbox.write_text("in the way")
    assert not resend(str(DAY))
    assert not resend("2025-01-01")
    desk.tick()
    assert sorted(desk.told) == [
        "FinOps: a job failed: resend_digest 2025-01-01",
        f"FinOps: a job failed: resend_digest {DAY}",
    ]
    outbox.unlink()
    desk.mail_returns()
    assert desk.told[2:] == []
    assert resend(str(DAY))
    desk.mail_returns()
    assert desk.told[2:] == [f"FinOps: all clear, the job has run through: resend_digest {DAY}"]
    desk.now += FORGOTTEN_AFTER + timedelta(minutes=1)
    desk.mail_returns()
    assert desk.watch.incidents.open() == []
    assert desk.told[3:] == []


def test_a_command_that_was_killed_is_told_and_other_peoples_runs_are_not(desk: Desk) -> None:
    """Under a daemon: a run of `finops run` belongs to the code location as those of the UI do; others' runs do not."""

    def origin(location: str) -> InProcessCodeLocationOrigin:
        return InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name=location), location_name=location)

    def fail(job: str, location: str, day: date) -> None:
        repository = RemoteRepositoryOrigin(origin(location), "__repository__")
        run = desk.instance.create_run_for_job(
            desk.definitions.get_repository_def().get_job(job),
            remote_job_origin=RemoteJobOrigin(repository, job),
            status=dg.DagsterRunStatus.STARTED,
            tags={"dagster/partition": str(day)},
        )
        desk.instance.report_run_failed(run, "its process is gone")

    desk.location = origin(keys.LOCATION)
    fail("daily_bill", keys.LOCATION, DAY)
    fail("daily_bill", "another team", DAY + timedelta(days=2))
    desk.tick()
    assert sorted(desk.told) == [f"FinOps: a run failed: {DAY}"]
    assert "its process is gone" in desk.channel.sent[0][1]
