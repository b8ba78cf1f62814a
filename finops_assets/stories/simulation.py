"""A home in which time is told: a bill that is delivered piece by piece, and Dagster's ticks at the hours one asks for.

What the stories of `finops demo --scenario` and the tests play on. The platform, its Dagster instance, its sensors,
schedules and runs are the real ones; only the clock, the delivery of the sample bill and the waiting are not.
"""

from __future__ import annotations

import email
import email.policy
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from finops_assets.core.home import make_home
from finops_assets.core.reports.drawing import Drawing
from finops_assets.defs.alerts import tell_of_death
from finops_assets.defs.build import build_definitions
from finops_assets.defs.instance import prepare_dagster_home
from finops_assets.defs.keys import CHECKS_JOB, DAILY_JOB, DOCTOR_JOB, VERIFICATION_JOB
from finops_assets.defs.launcher import WatchedRunLauncher
from finops_assets.defs.private import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG, WorkerStatus
from finops_assets.defs.sensors import run_request
from finops_assets.platform import Platform, build_platform
from finops_assets.settings.load import load_settings

if TYPE_CHECKING:
    import pyarrow as pa


EXPORT = "sample-focus"
Amounts = Mapping[date, float]


@dataclass
class Ran:
    """A run: of which job and days, why, and what became of it."""

    job: str
    days: str
    reason: str
    success: bool
    error: str = ""


@dataclass
class Simulation:
    """A home, its clock, and what has happened.

    Args:
        home: an empty folder, or one that is not there.
        first_day, last_day: what the final bill holds.
        overrides: settings by dotted name.
        draw: draws charts, in place of the real ones; then there is no PDF either.
        adapt: exchanges adapters of the platform.
        in_memory: keep Dagster's records in memory: half the time of a run is their writing.
        tell: told what happens.
    """

    home: Path
    first_day: date
    last_day: date
    overrides: Mapping[str, Any] = field(default_factory=dict)
    draw: Callable[[Mapping[str, Any]], bytes] | None = None
    adapt: Callable[[Platform], Platform] = lambda platform: platform
    tell: Callable[[str], None] = lambda _: None
    in_memory: bool = False
    now: datetime = datetime(2025, 1, 1, tzinfo=UTC)
    ran: list[Ran] = field(default_factory=list)

    def __post_init__(self) -> None:
        from finops_assets.stories.sample_bill import write_sample_bill

        make_home(self.home)
        sample = write_sample_bill(self.home / "final-bill", self.last_day, (self.last_day - self.first_day).days + 1)
        self._lines = read_export(sample.focus)
        self.accounts, self.bill = self.home / "accounts.csv", self.home / "bill"
        shutil.copy(sample.accounts, self.accounts)
        values = {
            "home": str(self.home),
            "bill.path": str(self.bill),
            "bill.first_day": self.first_day,
            "accounts.path": str(self.accounts),
            "schedule.retry_seconds": 0,
        }
        settings = load_settings({}, {**values, **self.overrides}, folder=self.home)
        self.platform = self.adapt(build_platform(settings, lambda: self.now))
        self.platform = replace(
            self.platform,
            clock=lambda: self.now,
            drawing=Drawing(self.draw, lambda *_: b"") if self.draw else self.platform.drawing,
        )
        self.watch, self.digests = self.platform.watch, self.platform.digests
        self.definitions = build_definitions(self.platform, loggers={"console": _silent})
        self._repository = self.definitions.get_repository_def()
        prepare_dagster_home(settings.dagster_home)
        self.instance = dg.DagsterInstance.ephemeral() if self.in_memory else dg.DagsterInstance.get()
        self._cursors: dict[str, str | None] = {}
        self._run_keys: set[tuple[str, str]] = set()
        self._seen: set[Path] = set()

    def close(self) -> None:
        """Let Dagster's records and the engine go: DuckDB complains at the end of a process of what is still there."""
        self.instance.dispose()
        warehouse: Any = self.platform.warehouse  # the embedded one, which has an engine to close
        warehouse.close()

    # --- the world ------------------------------------------------------------------------------------------------

    def at(self, day: date, clock: str = "00:00") -> None:
        """Set the clock, UTC; it only goes forward."""
        hour, minute = map(int, clock.split(":"))
        self.now = max(self.now, datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC))

    def deliver(self, through: date, amounts: Amounts | None = None, *, without: frozenset[date] = frozenset()) -> None:
        """Deliver the bill as an export of now: its days up to `through`, some of them with other amounts.

        Args:
            through: the newest day.
            amounts: factors of a day's costs.
            without: days that are not in it.
        """
        from finops_assets.stories.sample_bill.exports import write_export

        lines = part_of(self._lines, through, amounts or {}, without)
        fresh = self.home / ".bill.part"
        shutil.rmtree(fresh, ignore_errors=True)
        write_export(fresh, EXPORT, "FOCUS_1_2_AWS", lines, "BillingPeriodStart")
        for file in fresh.rglob("*"):
            os.utime(file, (self.now.timestamp(), self.now.timestamp()))
        shutil.rmtree(self.bill, ignore_errors=True)
        fresh.rename(self.bill)
        self.say(f"an export is delivered, with data through {through}")

    def say(self, what: str) -> None:
        self.tell(f"{self.now:%a %d %b %H:%M}  {what}")

    # --- Dagster's ticks --------------------------------------------------------------------------------------------

    def sensors(self) -> None:
        """One tick of each sensor, as the daemon makes them, and the runs that they ask for."""
        for name in ("bill_has_news", "missing_days", "mail_returns"):
            context = dg.build_sensor_context(
                instance=self.instance,
                cursor=self._cursors.get(name),
                resources={
                    "watch": self.watch,
                    "metrics": self.platform.metrics,
                    "heartbeat": self.platform.heartbeat,
                },
                repository_def=self._repository,
            )
            tick = self._repository.get_sensor_def(name).evaluate_tick(context)
            self._cursors[name] = tick.cursor
            self.launch(name, tick.run_requests or ())
        self._show()

    def morning(self, day: date) -> None:
        """The tick of the daily schedule on the morning after a day."""
        self.at(day + timedelta(days=1), "07:00")
        context = dg.build_schedule_context(
            instance=self.instance,
            scheduled_execution_time=self.now,
            resources={"outbox": self.platform.outbox},
            repository_def=self._repository,
        )
        tick = self._repository.get_schedule_def("every_morning").evaluate_tick(context)
        if tick.skip_message:
            self.say(f"the daily schedule has nothing to do: {tick.skip_message}")
        self.launch("every_morning", tick.run_requests or ())
        self._show()

    def checks(self) -> bool:
        """The morning's checks; whether all are green."""
        result = self.definitions.resolve_job_def(CHECKS_JOB).execute_in_process(
            instance=self.instance, raise_on_error=False, run_config=_CONSOLE
        )
        self._show()
        return result.success

    def check_up(self) -> bool:
        """The check-up; whether it found nothing."""
        result = self.definitions.resolve_job_def(DOCTOR_JOB).execute_in_process(
            instance=self.instance, raise_on_error=False, run_config=_CONSOLE
        )
        self._show()
        return result.success

    def verification(self) -> bool:
        """The nightly proof of the archive; whether every day proved."""
        result = self.definitions.resolve_job_def(VERIFICATION_JOB).execute_in_process(
            instance=self.instance, raise_on_error=False, run_config=_CONSOLE
        )
        self._show()
        return result.success

    def hours(self, until: datetime, step: timedelta = timedelta(hours=1)) -> None:
        """Let the sensors tick from now until then."""
        while self.now < until:
            self.now = min(self.now + step, until)
            self.sensors()

    def launch(self, by: str, requests: Any) -> None:
        """Run what was asked for, each run key once."""
        for request in requests:
            if (by, request.run_key) in self._run_keys:  # as the daemon does
                continue
            self._run_keys.add((by, request.run_key))
            tags = dict(request.tags)
            days = (
                request.partition_key
                or f"{tags[ASSET_PARTITION_RANGE_START_TAG]} to {tags[ASSET_PARTITION_RANGE_END_TAG]}"
            )
            how = {"partition_key": request.partition_key, "tags": tags, "asset_selection": request.asset_selection}
            self.run(DAILY_JOB, days, tags.get("finops/reason", by), **how)

    def request(self, first: date, last: date, reason: str = "a backfill") -> dg.RunRequest:
        """A run over a range of days, as the backfill launcher asks for it."""
        return run_request(first, last, "", reason)

    def bury_the_dead(self) -> None:
        """What run monitoring does: a run whose process is gone has failed, and is told of."""
        launcher = WatchedRunLauncher()
        launcher.register_instance(self.instance)
        for run in self.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
            health = launcher.check_run_worker_health(run)
            if health.status is WorkerStatus.FAILED:
                self.instance.report_run_failed(run, health.msg)
                tell_of_death(self.watch, run, health.msg or "", self.now)
        self._show()

    def run(self, job: str, days: str, reason: str, **how: Any) -> bool:
        """A run of a job, in this process."""
        result = self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance, raise_on_error=False, run_config=_CONSOLE, **how
        )
        error = next(
            (
                event.step_failure_data.user_failure_data.description or ""
                if event.step_failure_data.user_failure_data
                else event.step_failure_data.error.message
                if event.step_failure_data.error
                else ""
                for event in result.all_events
                if event.is_step_failure
            ),
            "",
        )
        self.ran.append(Ran(job, days, reason, result.success, error))
        self.say(f"run of {days} ({reason}): {'done' if result.success else 'failed, ' + error.strip()}")
        return result.success

    # --- what people got ----------------------------------------------------------------------------------------------

    def mails(self) -> list[EmailMessage]:
        """The digests in the outbox, the oldest first."""
        return _messages(self.platform.settings.outbox_folder)

    def alerts(self) -> list[EmailMessage]:
        """The alerts, the oldest first."""
        return _messages(self.platform.settings.alerts_folder)

    def _show(self) -> None:
        """Tell the messages that have come since."""
        settings = self.platform.settings
        for what, folder in (("alert", settings.alerts_folder), ("mail", settings.outbox_folder)):
            for file in sorted(folder.glob("*.eml"), key=lambda file: file.stat().st_mtime_ns):
                if file not in self._seen:
                    self._seen.add(file)
                    message = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
                    to = f" to {message['To']}" if what == "mail" else ""
                    self.say(f"{what}{to}: {message['Subject'].strip()}")


_CONSOLE: dict[str, Any] = {"loggers": {"console": {}}}


@dg.logger
def _silent(_: Any) -> Any:
    import logging

    logger = logging.Logger("silent")
    logger.addHandler(logging.NullHandler())
    return logger


def read_export(export: Path) -> pa.Table:
    """The lines of an export."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pa.concat_tables(pq.read_table(file) for file in sorted(export.rglob("*.parquet")))


def part_of(lines: pa.Table, through: date, amounts: Amounts, without: frozenset[date] = frozenset()) -> pa.Table:
    """The lines up to a day, with some days' costs multiplied, rounded to the bill's ten decimals."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    days = lines["ChargePeriodStart"].cast(pa.date32())
    kept = pc.less_equal(days, through)
    for day in without:
        kept = pc.and_(kept, pc.not_equal(days, day))
    lines, days = lines.filter(kept), days.filter(kept)
    if not amounts:
        return lines
    factors = np.ones(lines.num_rows)
    for day, factor in amounts.items():
        factors[np.asarray(pc.equal(days, day))] = factor
    for name in ("BilledCost", "EffectiveCost"):
        cost = np.round(lines[name].to_numpy() * factors, 10)
        lines = lines.set_column(lines.schema.get_field_index(name), name, pa.array(cost))
    return lines


def _messages(folder: Path) -> list[EmailMessage]:
    files = sorted(folder.glob("*.eml"), key=lambda file: file.stat().st_mtime_ns)
    return [email.message_from_bytes(file.read_bytes(), policy=email.policy.default) for file in files]


def crashing(platform: Platform, role: str, method: str, error: Callable[[], BaseException | None]) -> Platform:
    """The platform with an adapter whose method raises what `error` gives, and does its work where that is nothing."""

    class Crashing:
        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> Any:
            found = getattr(self._inner, name)
            if name != method:
                return found

            def called(*args: Any, **kwargs: Any) -> Any:
                if (raised := error()) is not None:
                    raise raised
                return found(*args, **kwargs)

            return called

    changed: dict[str, Any] = {role: Crashing(getattr(platform, role))}
    return replace(platform, **changed)
