"""One run of a job from a shell: the same definitions, in the same instance that the UI shows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from uuid import uuid4

import dagster as dg

from finops_assets.composition.channels import alerts_of
from finops_assets.core.delivery.sent import record_after_failure
from finops_assets.core.errors import FinopsError, RecordsError
from finops_assets.core.operations.alerting import FailedRun
from finops_assets.core.operations.incident_records import Problem
from finops_assets.core.operations.incidents import Incidents
from finops_assets.core.ports import Progress, no_progress
from finops_assets.core.reports.drawing import Drawing, drawing_beside
from finops_assets.defs import keys
from finops_assets.defs.alerts import recorded_cause, tell_of_failures
from finops_assets.defs.bill import begin_versions
from finops_assets.defs.build import build_definitions
from finops_assets.defs.instance import open_instance
from finops_assets.defs.launcher import run_lock
from finops_assets.defs.metadata import OUTCOME
from finops_assets.defs.private import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    runs_of_location,
)
from finops_assets.defs.requests import DIGEST, MAIL_TAG, asked_for
from finops_assets.platform import Platform, utc_now
from finops_assets.settings.model import Settings

NO_RETRY_TAG = "dagster/max_retries"
"""A person or a scheduler that started the command starts it again; a daemon would run what Ctrl-C has ended."""


@dataclass(frozen=True)
class Outcome:
    """How the run ended: no error means that every day is whole.

    `digest` is what became of the last day's digest, in the form of `Sent.as_record`; None where none was to be sent.
    """

    run_id: str
    errors: tuple[str, ...]
    digest: Mapping[str, Any] | None = None


def run_days(  # noqa: PLR0913 (each is named where it is called)
    platform: Platform,
    first: date,
    last: date,
    *,
    assets: Sequence[str] = (),
    asked: Sequence[tuple[date, date]] = (),
    mail: bool = False,
    tell: Callable[[str], None] = lambda _: None,
    progress: Progress = no_progress,
    clock: Callable[[], datetime] = utc_now,
) -> Outcome:
    """Run the daily job over first to last (inclusive) in one run.

    Args:
        platform: what it runs on.
        first: first day; with `last` equal to it, the run is of that partition alone.
        last: last day.
        assets: which of its assets are made; all by default.
        asked: all stretches of days, (first, last), that were asked for together, where other runs make the others: one
            mail, that of the newest day, speaks for all of them.
        mail: send the digest of the last day although another day's mail may have spoken for it.
        tell: told each step as it ends.
        progress: told how far a long one is.
        clock: the time for records; the real one by default.

    Raises:
        RecordsError: Dagster's storage cannot be used; people were told, as of any failed run.
    """
    tags = (asked_for(asked) if asked else {}) | ({MAIL_TAG: "yes"} if mail else {})
    return run_with_tags(platform, first, last, tags, assets=assets, tell=tell, progress=progress, clock=clock)


def run_with_tags(
    platform: Platform,
    first: date,
    last: date,
    tags: Mapping[str, str],
    *,
    assets: Sequence[str] = (),
    tell: Callable[[str], None] = lambda _: None,
    progress: Progress = no_progress,
    clock: Callable[[], datetime] = utc_now,
) -> Outcome:
    """As `run_days`; the tags say what else was asked for, and whether mail was (`defs/requests.py`)."""
    what: dict[str, Any] = {"partition_key": str(first), "tags": tags}
    if first != last:
        ends = {ASSET_PARTITION_RANGE_START_TAG: str(first), ASSET_PARTITION_RANGE_END_TAG: str(last)}
        what = {"tags": {**tags, **ends}}
    with ExitStack() as beside:
        drawing = Drawing()
        if not assets and platform.outbox.digests.latest(last) is None:  # a digest will be made
            drawing = beside.enter_context(drawing_beside())
        definitions = build_definitions(
            platform,
            progress=progress,
            loggers={"console": _step_logger(tell)},
            drawing=drawing,
            clock=clock,
        )
        days = (first,) if first == last else (first, last)

        def failed(cause: str, run_id: str = "") -> None:
            platform.alerting.run_failed(FailedRun("the run", days, cause, run_id), clock())

        beside.enter_context(_told_without_records(failed, tell))
        instance = beside.enter_context(_instance(platform))
        what["asset_selection"] = [dg.AssetKey(name) for name in assets] or None
        begin_versions(instance)
        result = _executed(definitions, keys.DAILY_JOB, instance, **what)
        outcome = _outcome(result, failed, tell)
    if assets and DIGEST.path[-1] not in assets:
        return outcome
    digest = _digest_of(result) or record_after_failure(last, platform.outbox.records.mailed(last))
    return replace(outcome, digest=digest)


def make_evidence(
    platform: Platform,
    month: str,
    *,
    tell: Callable[[str], None] = lambda _: None,
    clock: Callable[[], datetime] = utc_now,
) -> Outcome:
    """Run the evidence job for a month, `2025-09`."""
    definitions = build_definitions(platform, loggers={"console": _step_logger(tell)}, clock=clock)

    def failed(cause: str, run_id: str = "") -> None:
        platform.alerting.evidence_failed((month,), cause, run_id)

    with _told_without_records(failed, tell), _instance(platform) as instance:
        return _outcome(_executed(definitions, keys.EVIDENCE_JOB, instance, partition_key=month), failed, tell)


def run_job(
    platform: Platform,
    job: str,
    *,
    tell: Callable[[str], None] = lambda _: None,
    clock: Callable[[], datetime] = utc_now,
) -> Outcome:
    """Run a job that is not of days or months, such as the check-up; what fails in it is told, as the sensors do."""
    definitions = build_definitions(platform, loggers={"console": _step_logger(tell)}, clock=clock)

    def failed(cause: str, run_id: str = "") -> None:
        platform.alerting.run_failed(FailedRun("the run", (), cause, run_id, job=job), clock())

    with _told_without_records(failed, tell), _instance(platform) as instance:
        result = _executed(definitions, job, instance)
        failures = [event for event in result.all_events if event.is_step_failure]
        if failures:
            _tried(lambda: tell_of_failures(platform.watch, result.dagster_run, failures, clock()), tell)
        elif result.success:
            _tried(lambda: platform.incidents.close("job_failed", [job]), tell)
        return _outcome(result, failed, tell)


def _executed(
    definitions: dg.Definitions,
    job: str,
    instance: dg.DagsterInstance,
    tags: Mapping[str, str] | None = None,
    **what: Any,
) -> dg.ExecuteInProcessResult:
    """Run a job in this process, which holds the run's lock; `what` are more arguments of `execute_in_process`.

    Raises:
        KeyboardInterrupt: a signal has ended the run; it is recorded as failed.
    """
    run_id = str(uuid4())
    with run_lock(instance, run_id) as lock_tags, runs_of_location(instance, keys.LOCATION):
        result = definitions.resolve_job_def(job).execute_in_process(
            instance=instance,
            raise_on_error=False,
            run_config={"loggers": {"console": {}}},
            run_id=run_id,
            tags={**(tags or {}), **lock_tags, NO_RETRY_TAG: "0"},
            **what,
        )
    reasons = [event.job_failure_data.failure_reason for event in result.all_events if event.is_job_failure]
    if any(reason is not None and reason.name == "UNEXPECTED_TERMINATION" for reason in reasons):
        raise KeyboardInterrupt  # Dagster has recorded it, and goes on as after any run
    return result


def tell_of_home(settings: Settings, days: Sequence[date], error: FinopsError, tell: Callable[[str], None]) -> None:
    """Tell that days could not be run, as the home, and with it the archive, cannot be used.

    Args:
        settings: name the channel.
        days: the first and the last, or the one.
        error: why.
        tell: told why an alert could not be sent.
    """
    incidents = Incidents(_NoArchive(error), alerts_of(settings), clock=utc_now, runbook=settings.alerts.runbook_url)
    subject = " to ".join(map(str, days)) or "every day of the bill"
    _tried(lambda: incidents.open_incident("run_failed", subject, Problem(str(error), "nothing was run")), tell)


class _NoArchive:
    """In place of an archive that cannot be used: whatever is asked of it is the reason."""

    def __init__(self, reason: FinopsError) -> None:
        self._reason = reason

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def refuse(*_: Any, **__: Any) -> Any:
            raise self._reason

        return refuse


@contextmanager
def _told_without_records(failed: Callable[[str], None], tell: Callable[[str], None]) -> Iterator[None]:
    """Tell of a run that cannot begin or end, as Dagster's storage fails: no hook and no sensor can."""
    try:
        yield
    except RecordsError as error:
        cause = str(error)
        _tried(lambda: failed(cause), tell)
        raise


def _tried(alert: Callable[[], None], tell: Callable[[str], None]) -> None:
    """An alert that cannot be sent is said on the spot; the failure itself is what the command ends with."""
    try:
        alert()
    except FinopsError as error:
        tell(f"not everybody was told of this failure: {error}")


def _outcome(
    result: dg.ExecuteInProcessResult, failed: Callable[[str, str], None], tell: Callable[[str], None]
) -> Outcome:
    """How the run ended. One that failed outside its steps, where no hook is, is told here."""
    errors = _errors(result)
    if not result.success and not errors:
        errors = ["the run failed before its first step"]
        _tried(lambda: failed(errors[0], result.run_id), tell)
    return Outcome(result.run_id, tuple(errors))


def _instance(platform: Platform) -> AbstractContextManager[dg.DagsterInstance]:
    return open_instance(platform.settings.dagster_home, deployed=platform.settings.platform == "aws")


def _digest_of(result: dg.ExecuteInProcessResult) -> Mapping[str, Any] | None:
    """What digest_email says of the mail; None where it did not come so far."""
    metadata = [
        event.step_materialization_data.materialization.metadata
        for event in result.all_events
        if event.is_step_materialization and event.asset_key == DIGEST
    ]
    outcome = metadata[-1][OUTCOME].value if metadata else None
    return outcome if isinstance(outcome, Mapping) else None


def _errors(result: dg.ExecuteInProcessResult) -> list[str]:
    errors = []
    for event in result.all_events:
        if not event.is_step_failure:
            continue
        errors.append(f"{event.step_key}: {recorded_cause(event.step_failure_data)}")
    return errors


def _step_logger(tell: Callable[[str], None]) -> dg.LoggerDefinition:
    """A Dagster logger that tells each finished step."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            event = getattr(record, "dagster_event", None)
            if event is not None and event.is_step_success:
                seconds = event.step_success_data.duration_ms / 1000
                tell(f"  {event.step_key} {seconds:.1f} s")

    @dg.logger
    def steps(_: Any) -> logging.Logger:
        logger = logging.Logger("finops", level=logging.DEBUG)
        logger.addHandler(Handler())
        return logger

    return steps
