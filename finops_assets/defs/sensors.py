"""The sensors: each asks core.watch what it notices, and launches what has to run; a run per contiguous stretch."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from datetime import date, datetime
from threading import Thread
from typing import Any

import dagster as dg

from finops_assets.core.archive.causes import CANNOT_RUN, NO_SCORECARD
from finops_assets.core.calendar import days_between, in_words, stretches
from finops_assets.core.errors import BeingWrittenError, FinopsError
from finops_assets.core.operations import repair
from finops_assets.core.operations.alerting import THE_BILL, THE_DAYS
from finops_assets.core.operations.heartbeat import Heartbeat
from finops_assets.core.operations.watch import Attempts, Watch
from finops_assets.core.ports import Metrics
from finops_assets.defs.alerts import days_of, give_sign_of_life, heal_jobs
from finops_assets.defs.bill import begin_versions, report_versions
from finops_assets.defs.jobs import daily_bill
from finops_assets.defs.private import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    IN_PROGRESS_RUN_STATUSES,
)
from finops_assets.defs.requests import REASON_TAG, asked_for
from finops_assets.settings.model import Settings

PATIENCE = 20.0
"""Seconds that a tick of the daemon's waits for its work."""

WAITING = (dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED)


class Beside:
    """A tick's work that may take longer than Dagster gives a tick (60 s): it goes on, and a later tick has its result.

    Args:
        patience: seconds that a tick waits; None where it waits until the work is done.
    """

    def __init__(self, patience: float | None = PATIENCE) -> None:
        self._patience = patience
        self._under_way: Future[Any] | None = None

    def done(self, work: Callable[[], Any]) -> tuple[bool, Any]:
        """Whether the work is done, and its result; where some is under way already, it is that which is waited for."""
        if self._under_way is None:
            future: Future[Any] = Future()
            self._under_way = future
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


def build_sensors(
    settings: Settings, clock: Callable[[], datetime], patience: float | None = PATIENCE
) -> list[dg.SensorDefinition]:
    """The bill's, the gaps' and the mail's; `patience` is that of `Beside`."""
    minutes, cap = settings.schedule.repair_minutes, settings.schedule.repair_days
    comparing, looking = Beside(patience), Beside(patience)

    @dg.sensor(
        job=daily_bill,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Runs new and changed days as soon as the bill has them.",
    )
    def bill_has_news(context: dg.SensorEvaluationContext, watch: dg.ResourceParam[Watch]) -> Any:
        now = clock()
        begin_versions(context.instance)
        cursor = json.loads(context.cursor or "{}")
        try:
            done, news = comparing.done(lambda: watch.news(now, cursor.get("seen", "")))
        except BeingWrittenError as error:
            return dg.SkipReason(str(error))
        except FinopsError as error:
            return blind(context, cursor, watch, THE_BILL, error, now)
        if not done:
            return dg.SkipReason("the bill is being compared with the archive")
        sighted(context, cursor, watch, THE_BILL, now)
        if not news:
            return dg.SkipReason("the bill is as it was")
        # What fails here is for missing_days, which knows each day's state.
        context.update_cursor(json.dumps({"seen": news.seen}))
        report_versions(context.instance, news.versions)
        busy = busy_days(context.instance)
        changed, new = ([day for day in days if day not in busy] for days in (news.restated, news.new))
        # Changed days first: the newest day's digest then tells of them. And apart from new ones, which it covers.
        reasons = [("the bill has changed this day", changed), ("the bill has this day now", new)]
        newest = watch.digests.newest_day() if changed or new else None
        requests = run_requests(reasons, f"{news.seen} {now:%Y-%m-%dT%H:%M}", newest)
        return requests or dg.SkipReason("all days are as in the bill")

    @dg.sensor(
        job=daily_bill,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Runs days that are not whole; alerts about what it cannot mend.",
    )
    def missing_days(context: dg.SensorEvaluationContext, watch: dg.ResourceParam[Watch]) -> Any:
        now = clock()
        cursor = json.loads(context.cursor or "{}")
        attempts = Attempts.from_record(minutes, cursor.get("attempts", {}))
        try:
            in_bill = [date.fromisoformat(day) for day in cursor.get("in_bill", ())]
            done, inspection = looking.done(lambda: watch.inspect(now, cursor.get("asked", ""), in_bill))
            if not done:
                return dg.SkipReason("the bill is being asked for the days that the archive does not have")
            busy = busy_days(context.instance)
            attempts.keep(inspection.not_whole)
            watch.count_failures(attempts)
            watch.update_incidents(inspection, attempts, busy, now)
            watch.alerting.report_damaged_notes()
        except FinopsError as error:
            return blind(context, cursor, watch, THE_DAYS, error, now)
        sighted(context, cursor, watch, THE_DAYS, now)
        causes = {day: gap.cause for gap in inspection.gaps for day in gap.days}
        wanted = [day for day, cause in causes.items() if cause not in CANNOT_RUN]
        due = [day for day in wanted if day not in busy and attempts.due(day, now)]
        # The newest first where there are more than the cap: people wait for those.
        due = sorted(due)[-cap:]
        attempts.count(due, now)
        record = {
            "asked": inspection.asked,
            "in_bill": sorted(map(str, inspection.in_bill)),
            "attempts": attempts.as_record(),
        }
        context.update_cursor(json.dumps(record))
        if not due:
            return dg.SkipReason(
                f"{in_words(sorted(inspection.not_whole))} not whole" if inspection.gaps else "every day is whole"
            )
        # A run for each stretch of one kind of work: what is archived already need not be read from the bill again.
        reasons = [
            (causes[first], days_between(first, last))
            for assets in dict.fromkeys(_assets(causes[day]) for day in due)
            for first, last in stretches(day for day in due if _assets(causes[day]) == assets)
        ]
        return run_requests(reasons, f"missing {now:%Y-%m-%dT%H:%M}", max(inspection.archived, default=None))

    @dg.sensor(
        minimum_interval_seconds=600,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Alerts about recipients that cannot be reached.",
    )
    def mail_returns(
        context: dg.SensorEvaluationContext,
        watch: dg.ResourceParam[Watch],
        metrics: dg.ResourceParam[Metrics],
        heartbeat: dg.ResourceParam[Heartbeat],
    ) -> Any:
        # A sign of life for CloudWatch: where it stops, the daemon has, and an alarm that expects it says so.
        with suppress(FinopsError):
            metrics.emit({"Tick": 1})
        give_sign_of_life(heartbeat, clock(), context.log.warning, only_again=True)
        try:
            heal_jobs(watch.incidents, context.instance, clock())
            watch.alerting.report_refused_recipients()
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


def _assets(cause: str) -> tuple[str, ...]:
    """The assets that mend a cause, where a run of all of them is not needed; empty for all."""
    return repair.ASSETS[repair.SCORE] if cause == NO_SCORECARD else ()


def run_requests(
    reasons: Sequence[tuple[str, Sequence[date]]], key: str, newest_archived: date | None
) -> list[dg.RunRequest]:
    """What one tick asks for: a run for each contiguous stretch of days, and one mail for all of them at most.

    That mail is the newest day's. Nobody waits for the digest of older days: where a newer day is archived already, no
    mail goes out for them but corrections, and the next digest covers those that were never mailed.

    Args:
        reasons: why, and of which days; in the order in which they are run.
        key: names the tick: the same key asks for a run once.
        newest_archived: the newest day in the archive, if there is one.
    """
    planned = [(reason, ends) for reason, days in reasons for ends in stretches(days)]
    known = [(newest_archived, newest_archived)] if newest_archived else []
    together = asked_for([ends for _, ends in planned] + known)
    return [run_request(*ends, key, reason, together) for reason, ends in planned]


def run_request(
    first: date, last: date, key: str, reason: str, request: Mapping[str, str] | None = None
) -> dg.RunRequest:
    """A run of a day or of a contiguous range, of what mends the reason; the same key asks for it once.

    Args:
        first, last: the first and the last day.
        key: names who asks, and when.
        reason: why, for people; a cause of core.states, or other words.
        request: tags that say what else was asked for together with it.
    """
    how: dict[str, Any] = {"run_key": f"{first} {last} {key}", "tags": {REASON_TAG: reason, **(request or {})}}
    if assets := _assets(reason):
        how["asset_selection"] = [dg.AssetKey(name) for name in assets]
    if first == last:
        return dg.RunRequest(partition_key=str(first), **how)
    ends = {ASSET_PARTITION_RANGE_START_TAG: str(first), ASSET_PARTITION_RANGE_END_TAG: str(last)}
    return dg.RunRequest(**how | {"tags": how["tags"] | ends})


def blind(
    context: dg.SensorEvaluationContext,
    cursor: dict[str, Any],
    watch: Watch,
    what: str,
    error: FinopsError,
    now: datetime,
) -> dg.SkipReason:
    """What a sensor does when it cannot look: it says so, and once that lasts, an alert does."""
    since = cursor.setdefault("blind since", now.isoformat())
    context.update_cursor(json.dumps(cursor))
    reason = f"{what} cannot be looked at: {error}"
    try:
        watch.alerting.report_inspection(what, error, datetime.fromisoformat(since), now)
    except FinopsError as untold:
        reason += f"; and nobody was told: {untold}"
    return dg.SkipReason(reason)


def sighted(
    context: dg.SensorEvaluationContext, cursor: dict[str, Any], watch: Watch, what: str, now: datetime
) -> None:
    """It can look again: all clear, if anybody was told that it could not."""
    if cursor.pop("blind since", None):
        context.update_cursor(json.dumps(cursor))
        watch.alerting.report_inspection(what, None, None, now)
