"""One round of what the daemon does all day, in this process, and then over: `finops morning`.

Sensors and schedules are the daemon's own, and so are the runs that they ask for. What the daemon keeps in Dagster's
records is in the archive (`core/operations/rounds.py`): those of this process may be gone when it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

import dagster as dg

from finops_assets.core.cron import parse_cron
from finops_assets.core.errors import RecordsError
from finops_assets.core.operations.alerting import FailedRun
from finops_assets.core.operations.rounds import RETRIES, Round, RunOfDays, begin
from finops_assets.defs import keys
from finops_assets.defs.alerts import days_of, tell_of_death
from finops_assets.defs.build import build_definitions
from finops_assets.defs.instance import open_instance
from finops_assets.defs.launcher import GONE, fail_dead_runs
from finops_assets.defs.private import PARTITION_NAME_TAG
from finops_assets.defs.requests import REASON_TAG
from finops_assets.defs.run import Outcome, make_evidence, run_job, run_with_tags
from finops_assets.platform import Platform, utc_now

NEWS, GAPS, MAIL = "bill_has_news", "missing_days", "mail_returns"
TURNS = 5
"""How often the sensors of the days look at most: a run may publish an account map, which is news again."""


class Ran(NamedTuple):
    """A run of a round: of what, in words, its errors, and its id in Dagster."""

    what: str
    errors: tuple[str, ...]
    run_id: str


@dataclass
class Made:
    """What a round has done.

    Attributes:
        ran: its runs, in their order.
        broken: sensor or schedule that could not be asked -> why; nobody was alerted of that.
        skipped: why schedules that were due had nothing to do.
        busy_since: since when another process makes a round, where this one did nothing for that.
    """

    ran: list[Ran] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    busy_since: datetime | None = None

    @property
    def failed(self) -> bool:
        return any(run.errors for run in self.ran)


def make_round(
    platform: Platform, *, tell: Callable[[str], None] = lambda _: None, clock: Callable[[], datetime] = utc_now
) -> Made:
    """Run the days that are new, changed or not whole, and what the schedules have had due since the last round.

    Args:
        platform: what it runs on.
        tell: told each run as it begins, and each step as it ends.
        clock: the time (aware, UTC).

    Raises:
        FinopsError: the archive, or Dagster's storage, cannot be used; or an alert could be neither sent nor noted.
    """
    begun = begin(platform.archive, clock)
    if isinstance(begun, datetime):
        return Made(busy_since=begun)
    with begun.under_way(), _instance(platform) as instance:
        made = _Maker(platform, begun, instance, tell, clock)
        made.make()
    return made.made


class _Maker:
    """Makes one round."""

    def __init__(
        self,
        platform: Platform,
        begun: Round,
        instance: dg.DagsterInstance,
        tell: Callable[[str], None],
        clock: Callable[[], datetime],
    ) -> None:
        self.platform, self.round, self.instance, self.tell, self.clock = platform, begun, instance, tell, clock
        self.made = Made()
        # Nothing else waits for a tick here, so that it need not be short.
        self.repository = build_definitions(platform, clock=clock, patience=None).get_repository_def()
        self.given: dict[str, Any] = {"instance": instance, "repository_def": self.repository}
        parts = ("watch", "metrics", "heartbeat", "outbox")
        self.resources = {name: getattr(platform, name) for name in parts}

    def make(self) -> None:
        now = self.clock()
        self._take_up()
        self._look_after_days()
        for schedule, at in self._due(now):
            with self._apart(schedule.name):
                self._run_schedule(schedule, at)
            self._look_after_days()
        with self._apart(MAIL):
            self._tick(MAIL)
        self.round.done(now)

    @contextmanager
    def _apart(self, name: str) -> Iterator[None]:
        """What fails unexpectedly in one sensor or schedule does not hold up the others, as with the daemon."""
        try:
            yield
        except RecordsError:  # nothing runs without them
            raise
        except Exception as error:  # noqa: BLE001
            self.made.broken[name] = repr(error.__cause__ or error)

    def _take_up(self) -> None:
        """Tell of a run whose process is gone, and run it again, as run monitoring does where a daemon runs."""
        now, watch, killed = self.clock(), self.platform.watch, self.round.killed
        for run, why in fail_dead_runs(self.instance):
            tell_of_death(watch, run, why, now)
        if killed is None:
            return
        watch.alerting.run_failed(FailedRun("the run", killed.ends, GONE, ""), now)
        if killed.retry < RETRIES:
            self._run_days(replace(killed, retry=killed.retry + 1), "the process of its run was killed")

    def _look_after_days(self) -> None:
        """Tick the sensors of the days, and run what they ask for, until they ask for nothing."""
        for _ in range(TURNS):
            before = len(self.made.ran)
            for name in (NEWS, GAPS):
                with self._apart(name):
                    for request in self._tick(name):
                        self._run_request(request, request.tags.get(REASON_TAG, name))
            if len(self.made.ran) == before:
                return

    def _tick(self, name: str) -> Sequence[dg.RunRequest]:
        """What a sensor asks for; what it remembers is kept before that is run."""
        sensor = self.repository.get_sensor_def(name)
        needed = {key: self.resources[key] for key in sensor.required_resource_keys}
        context = dg.build_sensor_context(cursor=self.round.cursor(name), resources=needed, **self.given)
        tick = sensor.evaluate_tick(context)
        self.round.remember(name, tick.cursor)
        return tick.run_requests or ()

    def _due(self, now: datetime) -> list[tuple[dg.ScheduleDefinition, datetime]]:
        """The schedules that had their time since the last round, and when that was; in the order of a day."""
        due = []
        for schedule in self.repository.schedule_defs:
            cron = schedule.cron_schedule
            assert isinstance(cron, str)  # ours have one expression each
            if at := parse_cron(cron).last_between(self.round.due_since, now):
                due.append((schedule, at))
        return sorted(due, key=lambda each: each[1].time())

    def _run_schedule(self, schedule: dg.ScheduleDefinition, at: datetime) -> None:
        """Run what a schedule asks for at its time."""
        needed = {key: self.resources[key] for key in schedule.required_resource_keys}
        tick = schedule.evaluate_tick(
            dg.build_schedule_context(scheduled_execution_time=at, resources=needed, **self.given)
        )
        if tick.skip_message:
            self.made.skipped.append(tick.skip_message)
        job = schedule.job_name
        how: dict[str, Any] = {"tell": self.tell, "clock": self.clock}
        for request in tick.run_requests or ():
            if job == keys.DAILY_JOB:
                self._run_request(request, "it is due")
            elif job == keys.EVIDENCE_JOB and (month := request.partition_key):
                self._run(f"the evidence of {month}", partial(make_evidence, self.platform, month, **how))
            else:
                self._run(job, partial(run_job, self.platform, job, **how))

    def _run_request(self, request: dg.RunRequest, reason: str) -> None:
        tags = dict(request.tags)
        ends = days_of({PARTITION_NAME_TAG: request.partition_key} if request.partition_key else tags)
        assets = tuple(key.path[-1] for key in request.asset_selection or ())
        self._run_days(RunOfDays(ends[0], ends[-1], assets, tags), reason)

    def _run_days(self, run: RunOfDays, reason: str) -> None:
        def days() -> Outcome:
            with self.round.running(run):
                return run_with_tags(
                    self.platform,
                    run.first,
                    run.last,
                    run.tags,
                    assets=run.assets,
                    tell=self.tell,
                    clock=self.clock,
                )

        self._run(f"{run.words} ({reason})", days)

    def _run(self, what: str, run: Callable[[], Outcome]) -> None:
        self.tell(what)
        outcome = run()
        self.made.ran.append(Ran(what, outcome.errors, outcome.run_id))


def _instance(platform: Platform) -> AbstractContextManager[dg.DagsterInstance]:
    return open_instance(platform.settings.dagster_home, deployed=platform.settings.platform == "aws")
