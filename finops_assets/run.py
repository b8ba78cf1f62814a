"""One run of a job from a shell: the same definitions, in the same instance that the UI shows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import dagster as dg
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from finops_assets.core.drawing import Drawing, drawing_beside
from finops_assets.core.sent import record_after_failure
from finops_assets.definitions import build_definitions
from finops_assets.defs import evidence
from finops_assets.defs.instance import prepare_dagster_home
from finops_assets.defs.jobs import JOB
from finops_assets.defs.launcher import process_tag
from finops_assets.defs.metadata import OUTCOME
from finops_assets.defs.requests import DIGEST, MAIL_TAG, asked_for
from finops_assets.platform import Platform


@dataclass(frozen=True)
class Outcome:
    """How the run ended: no error means that every day is whole.

    `digest` is what became of the last day's digest, in the form of `Sent.as_record`; None where none was to be sent.
    """

    run_id: str
    errors: tuple[str, ...]
    digest: Mapping[str, Any] | None = None


def run_days(
    platform: Platform,
    first: date,
    last: date,
    *,
    assets: Sequence[str] = (),
    asked: Sequence[tuple[date, date]] = (),
    mail: bool = False,
    tell: Callable[[str], None] = lambda _: None,
    clock: Callable[[], datetime] | None = None,
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
        tell: told each step as it ends, and how far a long one is.
        clock: the time for records; the real one by default.
    """
    prepare_dagster_home(platform.settings.dagster_home, deployed=platform.settings.platform == "aws")
    tags = process_tag() | (asked_for(asked) if asked else {}) | ({MAIL_TAG: "yes"} if mail else {})
    days: dict[str, Any] = {"partition_key": str(first), "tags": tags}
    if first != last:
        ends = {ASSET_PARTITION_RANGE_START_TAG: str(first), ASSET_PARTITION_RANGE_END_TAG: str(last)}
        days = {"tags": ends | tags}
    with ExitStack() as beside:
        drawing = Drawing()
        if not assets and platform.outbox.latest(last) is None:  # a digest will be made
            drawing = beside.enter_context(drawing_beside())
        definitions = build_definitions(
            platform,
            progress=_Progress(tell),
            loggers={"console": _step_logger(tell)},
            drawing=drawing,
            **({"clock": clock} if clock else {}),
        )
        instance = beside.enter_context(dg.DagsterInstance.get())
        result = definitions.resolve_job_def(JOB).execute_in_process(
            instance=instance,
            raise_on_error=False,
            run_config={"loggers": {"console": {}}},
            asset_selection=[dg.AssetKey(name) for name in assets] or None,
            **days,
        )
    mailing = not assets or DIGEST.path[-1] in assets
    digest = (_digest_of(result) or record_after_failure(last, platform.outbox.mailed(last))) if mailing else None
    return Outcome(result.run_id, tuple(_errors(result)), digest)


def make_evidence(
    platform: Platform,
    month: str,
    *,
    tell: Callable[[str], None] = lambda _: None,
    clock: Callable[[], datetime] | None = None,
) -> Outcome:
    """Run the evidence job for a month, `2025-09`."""
    prepare_dagster_home(platform.settings.dagster_home, deployed=platform.settings.platform == "aws")
    definitions = build_definitions(
        platform, loggers={"console": _step_logger(tell)}, **({"clock": clock} if clock else {})
    )
    with dg.DagsterInstance.get() as instance:
        result = definitions.resolve_job_def(evidence.JOB).execute_in_process(
            instance=instance,
            raise_on_error=False,
            run_config={"loggers": {"console": {}}},
            partition_key=month,
            tags=process_tag(),
        )
    return Outcome(result.run_id, tuple(_errors(result)))


def _digest_of(result: dg.ExecuteInProcessResult) -> Mapping[str, Any] | None:
    """What digest_email says of the mail; None where it did not come so far."""
    found = [
        event.step_materialization_data.materialization.metadata
        for event in result.all_events
        if event.is_step_materialization and event.asset_key == DIGEST
    ]
    return found[-1][OUTCOME].value if found else None


def _errors(result: dg.ExecuteInProcessResult) -> list[str]:
    errors = []
    for event in result.all_events:
        if not event.is_step_failure:
            continue
        data = event.step_failure_data
        if data.user_failure_data and data.user_failure_data.description:
            errors.append(f"{event.step_key}: {data.user_failure_data.description}")
        else:
            cause = data.error.cause or data.error
            errors.append(f"{event.step_key}: {cause.message.strip()}")
    if not result.success and not errors:
        errors.append("the run failed before its first step")
    return errors


class _Progress:
    """Says how far a long step is: at every tenth of the way, and only where there is a way to speak of."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell, self._tenth = tell, 0

    def __call__(self, what: str, done: int, of: int) -> None:
        tenth = done * 10 // of
        if of >= 20 and tenth > self._tenth:
            self._tell(f"  {what} {done} of {of} days")
            self._tenth = tenth % 10


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
