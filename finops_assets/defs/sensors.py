"""The sensors: each asks core.watch what it notices, and launches what has to run; a run per contiguous stretch."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from datetime import date, datetime
from threading import Thread
from typing import Any

import dagster as dg
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from finops_assets.core.errors import FinopsError
from finops_assets.core.gaps import CANNOT_RUN
from finops_assets.core.pipeline import days_between, in_words
from finops_assets.core.ports import Metrics
from finops_assets.core.watch import Attempts, Watch, stretches
from finops_assets.defs.alerts import days_of
from finops_assets.defs.assets import REASON_TAG
from finops_assets.settings import Settings

WAITING = (dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED)


class Beside:
    """A tick's work that may take longer than Dagster gives a tick (60 s): it goes on, and a later tick has its result.

    Args:
        patience: seconds that a tick waits.
    """

    def __init__(self, patience: float = 20.0) -> None:
        self._patience = patience
        self._under_way: Future[Any] | None = None

    def done(self, work: Callable[[], Any]) -> tuple[bool, Any]:
        """Whether the work is done, and its result; where some is under way already, it is that which is waited for."""
        if self._under_way is None:
            self._under_way = future = Future()
            # A daemon: the code server does not wait for it when it is stopped.
            Thread(target=_do, args=(work, future), daemon=True).start()
        if not wait([self._under_way], self._patience).done:
            return False, None
        finished, self._under_way = self._under_way, None
        return True, finished.result()


def _do(work: Callable[[], Any], future: Future[Any]) -> None:
    try:
        future.set_result(work())
    except BaseException as error:  # noqa: BLE001  (whoever asks for the result gets it)
        future.set_exception(error)


def build_sensors(job: Any, settings: Settings, clock: Callable[[], datetime]) -> list[dg.SensorDefinition]:
    """The bill's, the gaps' and the mail's."""
    minutes, cap = settings.schedule.repair_minutes, settings.schedule.repair_days
    comparing, looking = Beside(), Beside()

    @dg.sensor(
        job=job,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Runs new and changed days as soon as the bill is refreshed, or the account map has changed.",
    )
    def bill_has_news(context: dg.SensorEvaluationContext, watch: dg.ResourceParam[Watch]) -> Any:
        now = clock()
        cursor = json.loads(context.cursor or "{}")
        seen, owed = cursor.get("seen", ""), cursor.get("owed", {})
        attempts = Attempts.from_record(minutes, cursor.get("attempts", {}))
        try:
            done, news = comparing.done(lambda: watch.news(now, cursor.get("seen", "")))
            if not done:
                return dg.SkipReason("the bill is being compared with the archive")
            if news:
                # A new day whose run fails is for missing_days; a changed one is owed until it is as in the bill.
                seen, attempts = news.seen, Attempts(minutes)
                owed = {str(day): news.prints[day] for day in news.restated}
            elif not owed:
                return dg.SkipReason("the bill is as it was")
            prints = {date.fromisoformat(day): print_ for day, print_ in owed.items()}
            changed = sorted(prints) if news else watch.owed(prints)
        except FinopsError as error:
            return dg.SkipReason(f"the bill cannot be looked at: {error}")
        busy = busy_days(context.instance)
        due = [day for day in changed if day not in busy and attempts.due(day, now)]
        attempts.make(due, now)
        owed = {str(day): owed[str(day)] for day in changed}
        context.update_cursor(json.dumps({"seen": seen, "owed": owed, "attempts": attempts.as_record()}))
        key = f"{seen} {now:%Y-%m-%dT%H:%M}"
        # Changed days first: the newest day's digest then tells of them. And apart from new ones, which it covers.
        requests = [run_request(*ends, key, "the bill has changed this day") for ends in stretches(due)]
        new = [day for day in news.new if day not in busy] if news else []
        requests += [run_request(*ends, key, "the bill has this day now") for ends in stretches(new)]
        return requests or dg.SkipReason(
            f"{in_words(changed)} is being run" if changed else "all days are as in the bill"
        )

    @dg.sensor(
        job=job,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Runs days that are not whole, each again after a wait that doubles; tells what it cannot mend.",
    )
    def missing_days(context: dg.SensorEvaluationContext, watch: dg.ResourceParam[Watch]) -> Any:
        now = clock()
        cursor = json.loads(context.cursor or "{}")
        attempts = Attempts.from_record(minutes, cursor.get("attempts", {}))
        try:
            in_bill = [date.fromisoformat(day) for day in cursor.get("in_bill", ())]
            done, look = looking.done(lambda: watch.look(now, cursor.get("asked", ""), in_bill))
            if not done:
                return dg.SkipReason("the bill is being asked for the days that the archive does not have")
            busy = busy_days(context.instance)
            attempts.keep(look.not_whole)
            watch.count_failures(attempts)
            watch.tend(look, attempts, busy, now)
            watch.tell_damaged_notes()
        except FinopsError as error:
            return dg.SkipReason(f"the days cannot be looked at: {error}")
        wanted = [day for gap in look.gaps if gap.cause not in CANNOT_RUN for day in gap.days]
        due = [day for day in wanted if day not in busy and attempts.due(day, now)]
        # The newest first where there are more than the cap: people wait for those.
        due = sorted(due)[-cap:]
        attempts.make(due, now)
        record = {"asked": look.asked, "in_bill": sorted(map(str, look.in_bill)), "attempts": attempts.as_record()}
        context.update_cursor(json.dumps(record))
        if not due:
            return dg.SkipReason(f"{in_words(sorted(look.not_whole))} not whole" if look.gaps else "every day is whole")
        causes = {day: gap.cause for gap in look.gaps for day in gap.days}
        return [run_request(*ends, f"missing {now:%Y-%m-%dT%H:%M}", causes[ends[0]]) for ends in stretches(due)]

    @dg.sensor(
        minimum_interval_seconds=600,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells of recipients whose mail bounced, who complained or who are suppressed.",
    )
    def mail_returns(
        _: dg.SensorEvaluationContext, watch: dg.ResourceParam[Watch], metrics: dg.ResourceParam[Metrics]
    ) -> Any:
        # A heartbeat: where it stops, the daemon has, and an alarm that expects it says so.
        with suppress(FinopsError):
            metrics.emit({"Tick": 1})
        try:
            watch.recipients()
        except FinopsError as error:
            return dg.SkipReason(f"the mailer cannot tell: {error}")
        return dg.SkipReason(f"{len(watch.incidents.open('refused'))} recipient(s) cannot be reached")

    return [bill_has_news, missing_days, mail_returns]


def busy_days(instance: dg.DagsterInstance) -> set[date]:
    """The days of runs that are queued or under way."""
    runs = instance.get_runs(dg.RunsFilter(statuses=[*IN_PROGRESS_RUN_STATUSES, *WAITING]))
    busy: set[date] = set()
    for run in runs:
        ends = days_of(dict(run.tags))
        if ends:
            busy |= set(days_between(ends[0], ends[-1]))
    return busy


def run_request(first: date, last: date, key: str, reason: str) -> dg.RunRequest:
    """A run of a day or of a contiguous range; the same key asks for it once."""
    run_key = f"{first} {last} {key}"
    tags = {REASON_TAG: reason}
    if first == last:
        return dg.RunRequest(run_key=run_key, partition_key=str(first), tags=tags)
    ends = {ASSET_PARTITION_RANGE_START_TAG: str(first), ASSET_PARTITION_RANGE_END_TAG: str(last)}
    return dg.RunRequest(run_key=run_key, tags=tags | ends)
