"""The dashboard's data in QuickSight: one SPICE ingestion a run and data set, waited for as long as it may take.

`ingestions` has what becomes of a single ingestion; `deployment` creates the data sets and their dashboard.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from finops_assets.adapters.aws.polling import jittered, wait_until
from finops_assets.adapters.aws.quicksight.ingestions import (
    BREAKDOWN,
    FINISHED,
    SCORECARD,
    DataSet,
    Expected,
    HungRefreshError,
    RunningRefresh,
    attempt_of,
)
from finops_assets.adapters.aws.session import AwsSession, explained
from finops_assets.core.errors import FinopsError
from finops_assets.core.values import Refresh

FIRST_PAUSE, LONGEST_PAUSE = 0.15, 15.0
"""Seconds between two looks at a refresh. As refreshes take about the same time each day, a pause is an eighth of the
time to (or since) the moment at which the previous one ended; without a previous one, a 32nd of the time so far."""


def utc_now() -> datetime:
    return datetime.now(UTC)


class QuickSightDataSet:
    """The SPICE data sets of the dashboard: ou_breakdown's and, where there is one, ou_scorecard's.

    QuickSight allows 32 or 8 refreshes of a data set in 24 hours. An ingestion's id therefore names the work and the
    content that it loads: a retry of the same work finds its ingestion, running or done, and starts no other. The
    ingestions of an interrupted run go on; one that takes longer than the timeout is cancelled, whoever started it.

    Args:
        session: how AWS is reached.
        data_set_id: id of the data set over ou_breakdown, as `aws quicksight list-data-sets` shows it.
        scorecard_data_set: id of the one over ou_scorecard; empty where there is none.
        account: AWS account of QuickSight; empty for the session's own.
        edition: "enterprise" or "standard", which decides how many refreshes there are.
        timeout_seconds: how long an ingestion may take, from its start.
        expected: what is registered in the catalog, as of now: an Expected, or a tuple of its members.
        scorecard_content: an id of all that ou_scorecard holds, as of now (`content_below`).
        sleep, clock: replaced where time must not pass.
    """

    def __init__(  # noqa: PLR0913  (settings, and what tests replace; all but two by name, in one place)
        self,
        session: AwsSession,
        data_set_id: str,
        *,
        account: str = "",
        edition: str,
        timeout_seconds: float,
        expected: Callable[[], tuple[int | None, date | None, str]],
        scorecard_data_set: str = "",
        scorecard_content: Callable[[], str] | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._timeout, self._expected, self._sleep, self._clock = timeout_seconds, expected, sleep, clock
        common: dict[str, Any] = {
            "account": account,
            "edition": edition,
            "timeout_seconds": timeout_seconds,
            "clock": clock,
            "sleep": sleep,
        }
        self._first = DataSet(session, data_set_id, BREAKDOWN, **common)
        self._second = None
        if scorecard_data_set:
            if scorecard_content is None:
                raise ValueError("scorecard_data_set needs scorecard_content")
            self._second = DataSet(session, scorecard_data_set, SCORECARD, **common)
        self._scorecard_content = scorecard_content or str
        self._started: dict[str, RunningRefresh] = {}
        self._hung: dict[str, HungRefreshError] = {}

    def start_refresh(self, refresh_id: str) -> Callable[[], None]:
        """Start the ingestion of ou_breakdown, for which `refresh` waits.

        That of ou_scorecard is not started: it is not written yet.

        Returns:
            What cancels the ingestion, unless it is another run's. A cancelled ingestion leaves SPICE as it was.
        """
        try:
            running = self._started[refresh_id] = self._first.follow_or_start(refresh_id, Expected(*self._expected()))
        except HungRefreshError as error:
            self._hung[refresh_id] = error  # stopping it again would only take as long again
            return lambda: None
        except FinopsError:
            return lambda: None

        def cancel() -> None:
            del self._started[refresh_id]
            if not running.ours:
                return
            try:
                self._first.cancel(running.ingestion["IngestionId"])
            except FinopsError as error:
                # People must see the error for which it is cancelled; this one only says that the refresh goes on.
                logging.getLogger(__name__).warning("a refresh could not be called off: %s", error)

        return cancel

    def refresh(self, refresh_id: str) -> Refresh:
        """Load the registered days and the scorecards into SPICE, unless it has them already, and wait for both.

        Returns:
            The rows of ou_breakdown that were ingested, and what was registered before it or, if other days were
            meanwhile, after it.

        Raises:
            HungRefreshError: an ingestion did not end in time. It is cancelled, and the next refresh starts another.
            FinopsError: an ingestion failed, was cancelled or dropped rows; or the refreshes of the last 24 hours are
                used up. It names the data set; of two that failed, both.
            AwsError: QuickSight refused a call.
        """
        if hung := self._hung.pop(refresh_id, None):
            raise hung
        first = self._started.pop(refresh_id, None) or self._first.follow_or_start(
            refresh_id, Expected(*self._expected())
        )
        running = {self._first: first}
        if self._second:
            wanted = Expected(None, None, self._scorecard_content())
            running[self._second] = self._second.follow_or_start(refresh_id, wanted)
        finished = self._finished(running)
        expected, done = first.expected, finished[self._first]
        rows = done.get("RowInfo", {}).get("RowsIngested", 0)
        if expected.rows not in (None, rows):
            after = Expected(*self._expected())  # another run may have registered days while this was loaded
            expected = after if rows == after.rows else expected
        detail = {
            "state": done["IngestionStatus"],
            "seconds": str(done.get("IngestionTimeInSeconds", "")),
            "bytes": str(done.get("IngestionSizeInBytes", "")),
            "attempt": str(attempt_of(done, first.work)),
            "refreshes left today": str(self._first.refreshes_left(first)),
        }
        if self._second:
            scorecard = finished[self._second]
            detail |= {
                "scorecard refresh": scorecard["IngestionId"],
                "scorecard rows": str(scorecard.get("RowInfo", {}).get("RowsIngested", 0)),
            }
        return Refresh(
            id=done["IngestionId"],
            location=self._first.link,
            rows=rows,
            newest_day=expected.newest_day,
            total=None,
            expected_rows=expected.rows,
            detail=detail,
        )

    def _finished(self, running: Mapping[DataSet, RunningRefresh]) -> dict[DataSet, dict[str, Any]]:
        """Each data set's ingestion as it ended, after all of them have; raises what is wrong with any."""
        current = {data_set: refresh.ingestion for data_set, refresh in running.items()}
        errors: list[FinopsError] = []
        while _waiting(current := self._until_one_is_late(running, current)):
            for data_set in _waiting(current):
                if self._seconds_left(running[data_set]) > 0:
                    continue
                try:
                    current[data_set] = data_set.give_up(running[data_set], current.pop(data_set))
                except FinopsError as error:
                    errors.append(error)
        for data_set, ingestion in current.items():
            try:
                data_set.check(ingestion)
            except FinopsError as error:
                errors.append(error)
        if len(errors) > 1:
            raise FinopsError(
                "; and ".join(error.what for error in errors),
                where="; ".join(error.where for error in errors),
                fix=" ".join(dict.fromkeys(error.fix for error in errors)),
            )
        if errors:
            raise errors[0]
        return current

    def _until_one_is_late(
        self, running: Mapping[DataSet, RunningRefresh], current: dict[DataSet, dict[str, Any]]
    ) -> dict[DataSet, dict[str, Any]]:
        """The ingestions when all have ended, or when the time of one that has not is over."""
        waiting = _waiting(current)

        def look(seen: dict[DataSet, dict[str, Any]]) -> dict[DataSet, dict[str, Any]]:
            nonlocal waiting
            seen = seen | {data_set: data_set.current(seen[data_set]) for data_set in waiting}
            waiting = _waiting(seen)
            return seen

        return wait_until(
            lambda seen: not _waiting(seen),
            current,
            look,
            seconds_left=lambda: min(self._seconds_left(running[data_set]) for data_set in waiting),
            pause=lambda: min(self._pause(running[data_set]) for data_set in waiting),
            sleep=self._sleep,
        )

    def _seconds_left(self, refresh: RunningRefresh) -> float:
        return self._timeout - (self._clock() - refresh.at).total_seconds()

    def _pause(self, refresh: RunningRefresh) -> float:
        left, usual = self._seconds_left(refresh), refresh.usual_seconds
        waited = self._timeout - left
        pause = abs(usual - waited) / 8 if usual else waited / 32
        return min(jittered(min(max(FIRST_PAUSE, pause), LONGEST_PAUSE)), left)


def _waiting(current: Mapping[DataSet, Mapping[str, Any]]) -> list[DataSet]:
    return [data_set for data_set, ingestion in current.items() if ingestion["IngestionStatus"] not in FINISHED]


def content_below(session: AwsSession, bucket: str, prefix: str) -> str:
    """An id of the objects below a prefix; it changes when one of them is added, replaced or removed."""
    digest = hashlib.sha256()
    with explained("s3:ListBucket", where=f"s3://{bucket}/{prefix}"):
        for page in session.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for listed in page.get("Contents", ()):
                digest.update(f"{listed['Key']} {listed['ETag']}\n".encode())
    return digest.hexdigest()[:16]
