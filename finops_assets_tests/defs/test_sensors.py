"""The sensors' own part: what they launch and what they leave, how often, and that none waits too long."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import dagster as dg
import pytest

from finops_assets.core.archive.gaps import Gap
from finops_assets.core.archive.states import Facts, state_of
from finops_assets.core.errors import BillError, FinopsError
from finops_assets.core.operations.inspection import Inspection
from finops_assets.core.operations.watch import Attempts
from finops_assets.core.schemas import day_path
from finops_assets.defs.build import build_definitions
from finops_assets.defs.sensors import Beside, build_sensors
from finops_assets.platform import Platform, build_platform
from finops_assets.settings.load import load_settings
from finops_assets.stories.simulation import Simulation, crashing

LAST = date(2025, 9, 12)
NOW = datetime(2025, 9, 13, 8, tzinfo=UTC)


@dataclass
class SomeWatch:
    """What a look finds, without anything to look at."""

    gaps: tuple[Gap, ...] = ()
    tended: list[Inspection] = field(default_factory=list)
    error: Exception | None = None
    told: list[tuple[str, Any, timedelta]] = field(default_factory=list)

    @property
    def alerting(self) -> SomeWatch:
        return self

    def inspect(self, now: datetime, asked: str, in_bill: Any) -> Inspection:
        if self.error:
            raise self.error
        facts = Facts(covered=(), archived={}, registered={}, read=None, shown=None, mailed={})
        found = {
            day: replace(state_of(day, facts), cause=gap.cause, detail=gap.detail)
            for gap in self.gaps
            for day in gap.days
        }
        return Inspection(now.date() - timedelta(days=1), facts, found, asked)

    def count_failures(self, attempts: Attempts) -> None: ...

    def report_damaged_notes(self) -> None: ...

    def report_inspection(self, what: str, error: Any, since: Any, now: datetime) -> None:
        self.told.append((what, error, now - since))

    def update_incidents(self, inspection: Inspection, *_: Any) -> None:
        self.tended.append(inspection)


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    return build_platform(load_settings({}, {"home": str(tmp_path), "bill.first_day": "2025-01-01"}, folder=tmp_path))


def tick(platform: Platform, watch: SomeWatch, now: datetime, cursor: str | None = None) -> Any:
    """One tick of missing_days."""
    definitions = build_definitions(platform)
    sensor = next(s for s in build_sensors(platform.settings, lambda: now) if s.name == "missing_days")
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(
            instance=instance,
            cursor=cursor,
            resources={"watch": watch},
            repository_def=definitions.get_repository_def(),
        )
        return sensor.evaluate_tick(context)


def days(requests: Any) -> list[str]:
    found = []
    for request in requests:
        ends = [request.tags[tag] for tag in sorted(request.tags) if "range" in tag]
        found.append(request.partition_key or " to ".join(sorted(ends)))
    return found


def gap(day: str, cause: str, last: str = "") -> Gap:
    return Gap(date.fromisoformat(day), date.fromisoformat(last or day), cause, "detail", "mend")


def test_exactly_the_days_that_are_not_whole_are_run(platform: Platform) -> None:
    """Stretches that do not touch are runs of their own; what a run would not mend is left to people."""
    found = SomeWatch(
        (
            gap("2025-09-01", "no object", "2025-09-03"),
            gap("2025-09-04", "source has no such day"),
            gap("2025-09-05", "no partition"),
            gap("2025-09-07", "mail in doubt"),
            gap("2025-09-09", "no object"),
            gap("2025-09-10", "no partition"),
            gap("2025-09-12", "source late"),
        )
    )
    asked = tick(platform, found, NOW)
    assert days(asked.run_requests) == ["2025-09-01 to 2025-09-03", "2025-09-05", "2025-09-09 to 2025-09-10"]
    assert [request.tags["finops/reason"] for request in asked.run_requests] == [
        "no object",
        "no partition",
        "no object",
    ]
    assert len(found.tended) == 1


def test_a_long_gap_is_mended_in_portions_the_newest_first(platform: Platform) -> None:
    """No more than schedule.repair_days at once; the next tick goes on, and what was just tried waits."""
    found = SomeWatch((gap("2025-06-01", "no object", "2025-09-10"),))
    first = tick(platform, found, NOW)
    assert days(first.run_requests) == ["2025-08-11 to 2025-09-10"]
    second = tick(platform, found, NOW + timedelta(minutes=1), first.cursor)
    assert days(second.run_requests) == ["2025-07-11 to 2025-08-10"]


def test_each_attempt_waits_twice_as_long_and_a_mended_day_is_forgotten(platform: Platform) -> None:
    """15 minutes, 30, an hour, ... up to a day, across restarts: the cursor remembers."""
    found = SomeWatch((gap("2025-09-10", "no object"),))
    cursor, launched = None, []
    for minutes in range(0, 3 * 24 * 60, 5):
        asked = tick_quickly(platform, found, NOW + timedelta(minutes=minutes), cursor)
        cursor = asked.cursor
        launched += [minutes] * len(asked.run_requests or ())
    assert launched == [0, 15, 45, 105, 225, 465, 945, 1905, 3345]
    well = tick(platform, SomeWatch(), NOW, cursor)
    assert json.loads(well.cursor)["attempts"] == {}


def test_no_two_attempts_share_a_key(platform: Platform) -> None:
    """Dagster launches a key once: an attempt a day later, or after the day was well between, has one of its own."""
    found = SomeWatch((gap("2025-09-10", "no object"),))
    ticks = [tick_quickly(platform, found, NOW + timedelta(minutes=minutes), None) for minutes in (0, 1, 24 * 60)]
    assert len({request.run_key for asked in ticks for request in asked.run_requests}) == 3


def tick_quickly(platform: Platform, watch: SomeWatch, now: datetime, cursor: str | None) -> Any:
    """As `tick`, over definitions that are made once."""
    made = tick_quickly.__dict__.setdefault("made", {})
    if id(platform) not in made:
        definitions = build_definitions(platform)
        clock = {"now": now}
        sensors = build_sensors(platform.settings, lambda: clock["now"])
        sensor = next(sensor for sensor in sensors if sensor.name == "missing_days")
        made[id(platform)] = sensor, clock, definitions.get_repository_def(), dg.DagsterInstance.ephemeral()
    sensor, clock, repository, instance = made[id(platform)]
    clock["now"] = now
    return sensor.evaluate_tick(
        dg.build_sensor_context(instance=instance, cursor=cursor, resources={"watch": watch}, repository_def=repository)
    )


def test_what_cannot_be_looked_at_is_said_and_changes_nothing(platform: Platform) -> None:
    """A bill that cannot be read is the tick's message, not a stack trace; the next tick looks again."""
    asked = tick(platform, SomeWatch(error=BillError("is damaged", where="bill.csv")), NOW, '{"asked": "x"}')
    assert asked.skip_message == "the days cannot be looked at: bill.csv: is damaged"
    assert not asked.run_requests
    assert json.loads(asked.cursor) == {"asked": "x", "blind since": NOW.isoformat()}


def test_a_bill_that_is_still_being_copied_is_left_alone(tmp_path: Path) -> None:
    """A CSV without a manifest, half copied: nothing is archived or mailed until it was left alone for a minute."""
    bill = tmp_path / "bill.csv"
    lines = [f"{LAST},Prod,Service {n},111122223333,1.00\n" for n in range(10)]
    bill.write_text(
        "billingdate,ou,service,linkedaccount,cost\n" + f"{LAST - timedelta(days=1)},Prod,S3,111122223333,5\n"
    )
    settings = {"bill.path": str(bill), "bill.format": "summary", "bill.currency": "USD", "accounts.path": ""}
    sim = Simulation(tmp_path / "home", LAST - timedelta(days=3), LAST, settings, draw=lambda _: b"", in_memory=True)

    def copied(text: str) -> None:
        with bill.open("a") as file:
            file.write(text)
        os.utime(bill, (sim.now.timestamp(), sim.now.timestamp()))

    sim.at(LAST, "02:00")
    copied("")
    sim.at(LAST, "02:02")
    sim.sensors()
    assert sim.platform.archive.days() == [LAST - timedelta(days=1)]
    sim.at(LAST + timedelta(days=1), "02:00")
    copied("".join(lines[:4]))
    for _ in range(8):
        sim.now += timedelta(seconds=20)
        sim.sensors()
        copied("")
    assert sim.platform.archive.days() == [LAST - timedelta(days=1)]
    copied("".join(lines[4:]))
    sim.now += timedelta(seconds=61)
    sim.sensors()
    assert sim.platform.archive.describe(LAST).total == 10
    assert len({str(mail["Date"]) for mail in sim.mails()}) == 2
    sim.close()


def test_a_watch_that_cannot_look_for_long_is_told_once_and_cleared(tmp_path: Path) -> None:
    """Nothing is noticed while a sensor cannot look: after ten minutes somebody hears of it, and when it can again."""
    sim = Simulation(tmp_path / "home", LAST - timedelta(days=3), LAST, draw=lambda _: b"", in_memory=True)
    sim.at(LAST + timedelta(days=1), "02:00")
    sim.deliver(LAST)
    sim.sensors()
    catalog = sim.platform.settings.catalog_file
    whole = catalog.read_bytes()
    catalog.write_bytes(b"half a database, half of nothing" * 100)
    for clock in ("02:01", "02:05", "02:12", "02:30", "03:00"):
        sim.at(LAST + timedelta(days=1), clock)
        sim.sensors()
    assert [mail["Subject"] for mail in sim.alerts()] == ["FinOps: something cannot be looked at: the days"]
    assert "catalog.sqlite" in sim.alerts()[0].get_content()
    catalog.write_bytes(whole)
    sim.sensors()
    assert [mail["Subject"] for mail in sim.alerts()][1:] == ["FinOps: all clear, it can be looked at again: the days"]
    sim.close()


def test_work_that_takes_long_goes_on_beside_the_ticks() -> None:
    """A query of minutes is started once; ticks come and go, and one of them has its result. Errors come out too."""
    beside, gate, begun = Beside(patience=0.05), Event(), []

    def slow() -> str:
        begun.append(1)
        gate.wait(10)
        return "compared"

    assert [beside.done(slow)[0] for _ in range(3)] == [False, False, False]
    gate.set()
    assert Beside(patience=5).done(lambda: 7) == (True, 7)
    for _ in range(100):
        finished, result = beside.done(slow)
        if finished:
            break
    assert (result, len(begun)) == ("compared", 1)

    def broken() -> None:
        raise BillError("is damaged")

    with pytest.raises(BillError):
        beside.done(broken)
    assert Beside(patience=5).done(lambda: "again") == (True, "again")


def test_a_source_that_stays_broken_makes_no_storm(tmp_path: Path) -> None:
    """A day whose every run fails: some ten runs in two days, one alert, and one all-clear when it is mended."""
    broken = {"now": True}
    sim = Simulation(
        tmp_path / "home",
        LAST - timedelta(days=3),
        LAST,
        draw=lambda _: b"",
        adapt=lambda platform: crashing(
            platform, "warehouse", "breakdown", lambda: BillError("the engine is broken") if broken["now"] else None
        ),
    )
    sim.at(LAST + timedelta(days=1), "02:00")
    sim.deliver(LAST)
    sim.hours(sim.now + timedelta(days=2), timedelta(hours=1))
    assert 5 <= len(sim.ran) <= 10
    assert failures(sim) == [f"FinOps: a run failed: {LAST}"]
    broken["now"] = False
    sim.hours(sim.now + timedelta(days=1), timedelta(hours=4))
    assert failures(sim)[1:] == [f"FinOps: all clear, the days of the failed run are whole: {LAST}"]
    assert LAST not in sim.watch.inspect(sim.now).not_whole
    sim.close()


def test_a_damaged_day_is_written_anew_with_the_next_bill(tmp_path: Path) -> None:
    """What cannot be read is a changed day: it stops no look at the bill, and is as the bill has it afterwards."""
    sim = Simulation(tmp_path / "home", LAST - timedelta(days=3), LAST, draw=lambda _: b"", in_memory=True)
    sim.at(LAST, "02:00")
    sim.deliver(LAST - timedelta(days=1))
    sim.launch("a backfill", [sim.request(sim.first_day, LAST - timedelta(days=1))])
    total = sim.platform.archive.describe(sim.first_day).total
    file = sim.platform.settings.archive_folder / day_path(sim.first_day)
    file.write_bytes(file.read_bytes()[:-40])
    sim.at(LAST + timedelta(days=1), "02:00")
    sim.deliver(LAST)
    sim.sensors()
    assert [(ran.days, ran.success) for ran in sim.ran[1:]] == [(str(sim.first_day), True), (str(LAST), True)]
    assert sim.platform.archive.describe(sim.first_day).total == total
    sim.close()


def failures(sim: Simulation) -> list[str]:
    """Not that the days after are late, which they are."""
    return [mail["Subject"] for mail in sim.alerts() if "bill" not in mail["Subject"]]


def test_the_daemon_says_that_it_lives(platform: Platform) -> None:
    """Each tick of mail_returns is a heartbeat, whatever the mailer says; metrics that fail stop no tick."""

    class Numbers:
        def __init__(self) -> None:
            self.emitted: list[dict[str, float]] = []

        def emit(self, values: dict[str, float]) -> None:
            self.emitted.append(dict(values))
            if len(self.emitted) > 1:
                raise FinopsError("CloudWatch is not there")

    definitions, numbers = build_definitions(platform), Numbers()
    watch = platform.watch
    sensors = build_sensors(platform.settings, lambda: NOW)
    sensor = next(each for each in sensors if each.name == "mail_returns")
    needed = {"watch": watch, "metrics": numbers, "heartbeat": definitions.resources["heartbeat"]}
    with dg.DagsterInstance.ephemeral() as instance:
        for _ in range(2):
            context = dg.build_sensor_context(instance=instance, resources=needed)
            assert sensor.evaluate_tick(context).skip_message == "0 recipient(s) cannot be reached"
    assert numbers.emitted == [{"Tick": 1}, {"Tick": 1}]


def test_a_backfill_of_the_launcher_that_fails_is_told(tmp_path: Path) -> None:
    """Dagster's own asset job carries no hook of ours: its failure is told by the daemon, with day and cause, once."""
    sim = Simulation(tmp_path / "home", LAST - timedelta(days=1), LAST, draw=lambda _: b"", in_memory=True)
    sim.at(LAST + timedelta(days=1), "02:00")
    sim.deliver(LAST)
    (sim.bill / "broken.parquet").write_bytes(b"PAR1")
    job = sim.definitions.resolve_implicit_global_asset_job_def()
    chosen = [dg.AssetKey("account_ou_map"), dg.AssetKey("finops_daily_summary")]
    done = job.execute_in_process(
        instance=sim.instance, raise_on_error=False, partition_key=str(LAST), asset_selection=chosen
    )
    assert not done.success
    assert failures(sim) == []
    failure = next(event for event in done.all_events if event.event_type_value == "PIPELINE_FAILURE")
    sensor = sim.definitions.get_repository_def().get_sensor_def("failed_runs")
    for _ in range(2):
        context = dg.build_run_status_sensor_context(
            sensor_name="failed_runs",
            dagster_instance=sim.instance,
            dagster_run=sim.instance.get_run_by_id(done.run_id),
            dagster_event=failure,
            resources={"watch": sim.watch},
        ).for_run_failure()
        sensor(context)
    (alert,) = sim.alerts()
    assert alert["Subject"] == f"FinOps: a run failed: {LAST}"
    assert "broken.parquet" in alert.get_content()
    sim.close()
