"""What every step of a run does alike: its days, its errors in words, its metrics, what was asked for of its mail."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any

import dagster as dg

from finops_assets.core.calendar import in_words
from finops_assets.core.errors import BeingWrittenError, FinopsError
from finops_assets.core.ports import Metrics
from finops_assets.core.text import tidy_lines
from finops_assets.core.values import QueryReceipt
from finops_assets.defs import metadata
from finops_assets.defs.requests import days_asked_for, mail_asked_for

RETRIES = 2

Clock = Callable[[], datetime]
Receipts = Callable[[], list[QueryReceipt]]
Results = Iterator[dg.MaterializeResult | dg.AssetCheckResult]


def days_of_run(context: dg.AssetExecutionContext) -> list[date]:
    """The days of the run, ascending."""
    return [date.fromisoformat(key) for key in context.partition_keys]


def makes(context: dg.AssetExecutionContext, asset: str) -> bool:
    """Whether this run makes that asset, too."""
    selected = context.run.asset_selection
    return not selected or dg.AssetKey(asset) in selected


def mail_request(context: dg.AssetExecutionContext) -> dict[str, Any]:
    """What was asked for of the mail, as arguments of `DigestService.prepare` and `DigestService.send`."""
    return {"asked": days_asked_for(context), "on_request": mail_asked_for(context.run.tags)}


@contextmanager
def explained(context: dg.AssetExecutionContext, retry_seconds: float) -> Iterator[None]:
    """A failure that people can mend shows its message, and is not tried again; unexpected errors are retried twice.

    So is a bill that was changed while it was read: its copy may have come to its end by then.

    Not by Dagster's RetryPolicy, which also tries again what somebody has terminated.

    Args:
        context: of the step.
        retry_seconds: schedule.retry_seconds; the second wait is twice as long.
    """
    try:
        yield
    except BeingWrittenError as error:
        if context.retry_number >= RETRIES:
            raise refusal(error) from error
        raise _again(context, retry_seconds) from error
    except FinopsError as error:
        raise refusal(error) from error
    except (dg.Failure, dg.RetryRequested):
        raise
    except Exception as error:
        if context.retry_number >= RETRIES:
            raise
        raise _again(context, retry_seconds) from error


def _again(context: dg.AssetExecutionContext, retry_seconds: float) -> dg.RetryRequested:
    return dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=retry_seconds * 2**context.retry_number)


@contextmanager
def alerts_may_fail(context: dg.OpExecutionContext | dg.AssetExecutionContext) -> Iterator[None]:
    """An alert's own errors do not fail a run: the incident says that nobody was told, and is told later."""
    try:
        yield
    except FinopsError as error:
        context.log.warning("incidents were not settled: %s", error)


def measure(context: dg.AssetExecutionContext, metrics: Metrics, values: Mapping[str, float]) -> None:
    """Record metrics. A run does not fail for them: the alarms that stand on them say that they are missing."""
    try:
        metrics.emit(values)
    except FinopsError as error:
        context.log.warning("metrics were not recorded: %s", error)


def run_seconds(context: dg.AssetExecutionContext) -> dict[str, float]:
    """How long the run has taken so far; nothing where Dagster does not know when it began."""
    record = context.instance.get_run_record_by_id(context.run.run_id)
    return {"RunSeconds": time.time() - record.start_time} if record and record.start_time else {}


def refusal(error: FinopsError) -> dg.Failure:
    """An error as a step's failure, which is not retried."""
    facts = {"where": error.where, "what to do": error.fix}
    return dg.Failure(
        description=tidy_lines(str(error)),
        metadata=metadata.shown({name: text for name, text in facts.items() if text}),
        allow_retries=False,
    )


def refusal_of(reasons: Mapping[date, str], what: str, *, fix: str) -> dg.Failure:
    """The failure of a range of which these days are not right: it names them, and the first one's reason."""
    days = sorted(reasons)
    return refusal(FinopsError(f"{in_words(days)} {what} ({days[0]}: {reasons[days[0]]})", fix=fix))


def add_metadata(context: dg.AssetExecutionContext, of_days: Mapping[date, Mapping[str, Any]]) -> None:
    """What the UI shows of each day."""
    for day, facts in of_days.items():
        context.add_asset_metadata(dict(facts), partition_key=str(day))
