"""The dashboard's data in QuickSight: one SPICE ingestion a run and data set, waited for, and found after a crash.

What the data sets and their dashboard look like is `quicksight.py`'s matter; nothing here creates them.
"""

from __future__ import annotations

import hashlib
import logging
import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from finops_assets.adapters.aws.session import AwsError, AwsSession, explained
from finops_assets.core.errors import FinopsError
from finops_assets.core.ports import Refresh

REFRESHES = {"enterprise": 32, "standard": 8}
"""Manual refreshes of a data set that QuickSight allows in any 24 hours."""

WINDOW = timedelta(hours=24)
FINISHED = frozenset(("COMPLETED", "FAILED", "CANCELLED"))
MANUAL = frozenset(("FULL_REFRESH", "INCREMENTAL_REFRESH"))
FIRST_PAUSE, LONGEST_PAUSE = 0.15, 15.0
"""Seconds between two looks at a refresh. Refreshes take about as long each day: an eighth of the time between now and
then, before as after; a 32nd of the time so far where there was no refresh to learn from."""

_RIGHTS = (
    "In QuickSight's settings (Security & permissions) allow it Athena, the archive's bucket and the bucket of the "
    "query results, with 'Write permission for Athena Workgroup'"
)
_SOURCE = "Validate the data set's data source in QuickSight: its workgroup, role and VPC connection"
_AGAIN = "Run it again"
FIXES = {
    "ACCOUNT_CAPACITY_LIMIT_EXCEEDED": "Buy SPICE capacity (or turn on its auto-purchase) in QuickSight's settings for "
    "this region, or delete data sets that nobody uses",
    "CONNECTION_FAILURE": f"{_AGAIN}. If it stays so: {_SOURCE}",
    "CUSTOMER_ERROR": "Run the data set's query in Athena: it says what is wrong",
    "DATA_SET_DELETED": "Create the data set again, and set aws.quicksight_data_set to its id",
    "DATA_SET_NOT_SPICE": "Set the data set's query mode to SPICE",
    "DATA_SET_SIZE_LIMIT_EXCEEDED": "Let the data set's query choose fewer days",
    "DATA_SOURCE_AUTH_FAILED": f"{_SOURCE}. {_RIGHTS}",
    "DATA_SOURCE_CONNECTION_FAILED": f"{_AGAIN}. If it stays so: {_SOURCE}",
    "DATA_SOURCE_NOT_FOUND": "Create the Athena data source again, and point the data set at it",
    "DATA_TOLERANCE_EXCEPTION": "Too many rows do not fit the data set's types: edit it, compare them with "
    "finops_db.ou_breakdown, and save it",
    "FAILURE_TO_ASSUME_ROLE": "Let quicksight.amazonaws.com assume the role of the data source (its trust policy)",
    "IAM_ROLE_NOT_AVAILABLE": f"QuickSight's service role is gone or disabled. {_RIGHTS}: that makes it anew",
    "INGESTION_SUPERSEDED": f"Another refresh took its place. {_AGAIN}, if that one is not of the same days",
    "INTERNAL_SERVICE_ERROR": f"It is QuickSight's own fault. {_AGAIN}; if it stays so, ask AWS support",
    "PERMISSION_DENIED": _RIGHTS,
    "PERMISSION_NOT_FOUND": f"{_RIGHTS}; with Lake Formation, grant it SELECT on finops_db.ou_breakdown",
    "QUERY_TIMEOUT": "Let the data set's query choose fewer days, or run it in a workgroup with less to do",
    "REFRESH_SUPPRESSED_BY_EDIT": f"Somebody was editing the data set. {_AGAIN} when it is saved",
    "S3_FILE_INACCESSIBLE": _RIGHTS,
    "S3_MANIFEST_ERROR": "Point the data set at the Athena table finops_db.ou_breakdown, not at files",
    "SOURCE_RESOURCE_LIMIT_EXCEEDED": f"Athena has too much to do. {_AGAIN}, or give QuickSight a workgroup of its own",
    "SPICE_TABLE_NOT_FOUND": "Edit the data set and save it, which fills it anew",
    "SQL_EXCEPTION": "Run the data set's query in Athena: it says what is wrong",
    "SQL_SCHEMA_MISMATCH_ERROR": "The table's columns are no longer those of the data set: edit it, refresh its "
    "columns, and save it",
    "SQL_TABLE_NOT_FOUND": "Materialize athena_partition, which makes finops_db.ou_breakdown; see that the data set "
    "asks that table, in this region's catalog, and that QuickSight may read Glue (and Lake Formation, where used)",
}
"""What to do about an ingestion that failed, by ErrorInfo.Type."""


class Expected(NamedTuple):
    """What the data set should hold; `content` is a hash that changes with what is registered."""

    rows: int | None
    newest_day: date | None
    content: str


@dataclass(frozen=True)
class _Begun:
    """A refresh under way: the ingestion that makes it, what it should load, and the ones before it.

    Attributes:
        ours: whether it was started here, rather than found.
        at: when it was started or found.
    """

    work: str
    expected: Expected
    recent: list[dict[str, Any]]
    ingestion: dict[str, Any]
    ours: bool
    at: datetime


def utc_now() -> datetime:
    return datetime.now(UTC)


class QuickSightDataSet:
    """The SPICE data sets of the dashboard: ou_breakdown's and, where there is one, ou_scorecard's.

    Refreshes are few: 32 or 8 of a data set in 24 hours. So an ingestion's id says what it is for and which content it
    loads: the same work that is tried again finds its ingestion, running or done, and starts no other. An interrupted
    run leaves its ingestions to go on.

    Args:
        session: how AWS is reached.
        data_set_id: id of the data set over ou_breakdown, as `aws quicksight list-data-sets` shows it.
        scorecard_data_set: id of the one over ou_scorecard; empty where there is none.
        account: AWS account of QuickSight; empty for the session's own.
        edition: "enterprise" or "standard", which decides how many refreshes there are.
        timeout_seconds: how long the refreshes are waited for.
        expected: what is registered in the catalog, as of now: an Expected, or a tuple of its members.
        scorecard_content: an id of all that ou_scorecard holds, as of now (`content_below`).
        sleep, clock: replaced where time must not pass.
    """

    def __init__(
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
        self._first = _DataSet(session, data_set_id, _BREAKDOWN, account, edition, clock)
        self._second = None
        if scorecard_data_set:
            if scorecard_content is None:
                raise ValueError("scorecard_data_set needs scorecard_content")
            self._second = _DataSet(session, scorecard_data_set, _SCORECARD, account, edition, clock)
        self._scorecard_content = scorecard_content or str
        self._begun: dict[str, _Begun] = {}

    def begin(self, refresh_id: str) -> Callable[[], None]:
        """Start the ingestion of ou_breakdown, and leave it to `refresh` to wait for it; calling it off cancels it.

        That of ou_scorecard is not started: it is not written yet. One that was found, not started, is another run's,
        which is not called off. An ingestion that is cancelled leaves SPICE as it was.
        """
        try:
            begun = self._begun[refresh_id] = self._first.follow_or_start(refresh_id, Expected(*self._expected()))
        except FinopsError:
            return lambda: None

        def call_off() -> None:
            del self._begun[refresh_id]
            if not begun.ours:
                return
            try:
                self._first.cancel(begun)
            except FinopsError as error:
                # The reason for calling it off is what people must see; this only says what goes on.
                logging.getLogger(__name__).warning("a refresh could not be called off: %s", error)

        return call_off

    def refresh(self, refresh_id: str) -> Refresh:
        """Bring what is registered and the scorecards into SPICE, unless they are there already, and wait for both.

        Returns:
            The rows of ou_breakdown that were ingested, and what was registered before it or, if other days were
            meanwhile, after it.

        Raises:
            FinopsError: an ingestion failed, was cancelled, dropped rows or takes too long; or the refreshes of the
                last 24 hours are used up. It names the data set; of two that failed, both.
            AwsError: QuickSight refused a call.
        """
        begun = self._begun.pop(refresh_id, None) or self._first.follow_or_start(
            refresh_id, Expected(*self._expected())
        )
        running = {self._first: begun}
        if self._second:
            wanted = Expected(None, None, self._scorecard_content())
            running[self._second] = self._second.follow_or_start(refresh_id, wanted)
        finished = self._finished(running)
        expected, done = begun.expected, finished[self._first]
        rows = done.get("RowInfo", {}).get("RowsIngested", 0)
        if expected.rows not in (None, rows):
            after = Expected(*self._expected())  # another run may have registered days while this was loaded
            expected = after if rows == after.rows else expected
        detail = {
            "state": done["IngestionStatus"],
            "seconds": str(done.get("IngestionTimeInSeconds", "")),
            "bytes": str(done.get("IngestionSizeInBytes", "")),
            "attempt": str(_attempt(done, begun.work)),
            "refreshes left today": str(self._first.left(begun)),
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

    def _finished(self, running: Mapping[_DataSet, _Begun]) -> dict[_DataSet, dict[str, Any]]:
        """Each data set's ingestion as it ended, after all of them have; raises what is wrong with any."""
        now = {of: begun.ingestion for of, begun in running.items()}
        faults: list[FinopsError] = []
        while waiting := [of for of, ingestion in now.items() if ingestion["IngestionStatus"] not in FINISHED]:
            late = [of for of in waiting if self._waited(running[of]) >= self._timeout]
            faults += [of.late(now.pop(of), self._timeout) for of in late]
            if late:
                continue
            self._sleep(min(self._pause(running[of]) for of in waiting))
            for of in waiting:
                now[of] = of.describe(now[of]["IngestionId"])
        for of, ingestion in now.items():
            try:
                of.check(ingestion)
            except FinopsError as error:
                faults.append(error)
        if len(faults) > 1:
            raise FinopsError(
                "; and ".join(fault.what for fault in faults),
                where="; ".join(fault.where for fault in faults),
                fix=" ".join(dict.fromkeys(fault.fix for fault in faults)),
            )
        if faults:
            raise faults[0]
        return now

    def _waited(self, begun: _Begun) -> float:
        return (self._clock() - begun.at).total_seconds()

    def _pause(self, begun: _Begun) -> float:
        waited = self._waited(begun)
        usual = next((took for one in begun.recent if (took := one.get("IngestionTimeInSeconds"))), 0)
        pause = abs(usual - waited) / 8 if usual else waited / 32
        pause = min(max(FIRST_PAUSE, pause), LONGEST_PAUSE) * random.uniform(0.75, 1.25)  # noqa: S311  (jitter)
        return min(pause, self._timeout - waited)


@dataclass(frozen=True)
class _Kind:
    """A data set's table, and the setting that names the data set."""

    table: str
    setting: str


_BREAKDOWN = _Kind("finops_db.ou_breakdown", "aws.quicksight_data_set")
_SCORECARD = _Kind("finops_db.ou_scorecard", "aws.quicksight_scorecard_data_set")


class _DataSet:
    """One SPICE data set and its ingestions."""

    def __init__(
        self,
        session: AwsSession,
        data_set_id: str,
        kind: _Kind,
        account: str,
        edition: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._session, self._id, self._kind, self._clock = session, data_set_id, kind, clock
        self._account, self._edition = account, edition

    @property
    def link(self) -> str:
        return f"https://{self._session.region}.quicksight.aws.amazon.com/sn/data-sets/{self._id}/view"

    @property
    def _where(self) -> str:
        return f"QuickSight data set {self._id} ({self._kind.setting})"

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        fixes = {
            "ResourceNotFoundException": f"Set {self._kind.setting} to an id of `aws quicksight list-data-sets`, and "
            "aws.region and aws.quicksight_account to where it is.",
            "InvalidParameterValueException": "See that the data set is in SPICE mode, and aws.quicksight_account.",
        }
        client = self._session.client("quicksight")
        action = "quicksight:" + operation.title().replace("_", "")
        account = self._account or self._session.account
        with explained(action, where=self._where, fixes=fixes):
            return getattr(client, operation)(AwsAccountId=account, DataSetId=self._id, **parameters)

    def _since(self, start: datetime) -> list[dict[str, Any]]:
        """The ingestions made since then, newest first.

        QuickSight lists the newest first without promising it: a page ends the search only if all of it is older.
        """
        found: list[dict[str, Any]] = []
        token: dict[str, str] = {}
        while True:
            page = self._call("list_ingestions", MaxResults=100, **token)
            new = [one for one in page["Ingestions"] if one["CreatedTime"] > start]
            found += new
            if not page.get("NextToken") or (page["Ingestions"] and not new):
                return sorted(found, key=lambda one: one["CreatedTime"], reverse=True)
            token = {"NextToken": page["NextToken"]}

    def follow_or_start(self, refresh_id: str, expected: Expected) -> _Begun:
        """The ingestion of this work on this content: one under way or done, or else a new one."""
        at = self._clock()
        recent = self._since(at - WINDOW)
        work = re.sub(r"[^a-zA-Z0-9_-]", "-", f"{refresh_id}-{expected.content[:8]}")[:120]
        found = _to_follow(recent, work, expected)
        return _Begun(work, expected, recent, found or self._start(work, recent), found is None, at)

    def _start(self, work: str, recent: list[dict[str, Any]]) -> dict[str, Any]:
        """A new ingestion, or the one that somebody else started for the same work at this moment."""
        attempt = max((_attempt(one, work) for one in recent), default=0) + 1
        if len(_manual(recent)) >= REFRESHES[self._edition]:
            raise self._used_up(recent)
        while True:
            ingestion_id = f"{work}-{attempt}"
            try:
                self._call("create_ingestion", IngestionId=ingestion_id, IngestionType="FULL_REFRESH")
            except AwsError as error:
                if error.code == "LimitExceededException":
                    raise self._used_up(recent, error.what) from None
                if error.code != "ResourceExistsException":
                    raise
            else:
                return {"IngestionId": ingestion_id, "IngestionStatus": "INITIALIZED"}
            there = self.describe(ingestion_id)
            if there["IngestionStatus"] not in FINISHED or there["CreatedTime"] > self._clock() - WINDOW:
                return there
            attempt += 1  # it is of another day: since then, SPICE may have been filled with anything

    def describe(self, ingestion_id: str) -> dict[str, Any]:
        return self._call("describe_ingestion", IngestionId=ingestion_id)["Ingestion"]

    def cancel(self, begun: _Begun) -> None:
        self._call("cancel_ingestion", IngestionId=begun.ingestion["IngestionId"])

    def left(self, begun: _Begun) -> int:
        """Refreshes that are left of the last 24 hours'."""
        return max(REFRESHES[self._edition] - len(_manual(begun.recent)) - begun.ours, 0)

    def late(self, ingestion: Mapping[str, Any], seconds: float) -> FinopsError:
        return FinopsError(
            f"refresh {ingestion['IngestionId']} is still {ingestion['IngestionStatus']} after {seconds:g} seconds",
            where=self._where,
            fix=f"Run it again later: it finds this refresh and starts no other. See {self.link}, or raise "
            "aws.quicksight_timeout_seconds.",
        )

    def check(self, done: Mapping[str, Any]) -> None:
        """Raise what is wrong with a finished ingestion. A failed one leaves the old data showing."""
        name, error = f"refresh {done['IngestionId']}", done.get("ErrorInfo", {})
        if done["IngestionStatus"] == "CANCELLED":
            raise FinopsError(f"{name} was cancelled", where=self._where, fix="Run it again: it starts another.")
        if done["IngestionStatus"] == "FAILED":
            kind = error.get("Type", "no type given")
            message = error.get("Message", "").strip().rstrip(".")
            raise FinopsError(
                f"{name} failed, and the dashboard shows the data from before it: {kind}"
                + (f" ({message})" if message else ""),
                where=self._where,
                fix=f"{self._fix(kind)}. Refresh history: {self.link}",
            )
        ingested, dropped = (done.get("RowInfo", {}).get(rows, 0) for rows in ("RowsIngested", "RowsDropped"))
        if dropped:
            raise FinopsError(
                f"{name} dropped {dropped:,} row(s) of {dropped + ingested:,}: what the dashboard shows is not whole",
                where=self._where,
                fix=f"Compare the data set's column types with those of {self._kind.table} (amounts are decimal "
                f"numbers, linkedaccount a text); the rows and reasons are in the refresh history: {self.link}",
            )

    def _fix(self, kind: str) -> str:
        """What to do about an ErrorInfo.Type; FIXES speaks of ou_breakdown."""
        fix = FIXES.get(kind, "See the data set's refresh history")
        for told, own in zip(astuple(_BREAKDOWN), astuple(self._kind), strict=True):
            fix = fix.replace(told, own)
        return fix

    def _used_up(self, recent: list[dict[str, Any]], said: str = "") -> FinopsError:
        manual, limit = _manual(recent), REFRESHES[self._edition]
        allowed = f"QuickSight allows {limit} ({self._edition} edition)" + (f"; it says: {said}" if said else "")
        fix = "The days are archived and registered all the same. "
        if manual:
            free = manual[min(len(manual), limit) - 1]["CreatedTime"].astimezone(UTC) + WINDOW
            fix += f"Run it again after {free:%Y-%m-%d %H:%M} UTC, when the oldest of them no longer counts; "
        fix += "run many days as one range (`finops backfill`), which takes one refresh"
        if said:
            fix += "; and see that aws.quicksight_edition is the account's"
        return FinopsError(
            f"{len(manual)} refreshes were made by hand or by runs in the last 24 hours, {allowed}",
            where=self._where,
            fix=f"{fix}.",
        )


def content_below(session: AwsSession, bucket: str, prefix: str) -> str:
    """An id of the objects below a prefix, which changes when one of them is written anew, comes or goes."""
    found = hashlib.sha256()
    with explained("s3:ListBucket", where=f"s3://{bucket}/{prefix}"):
        for page in session.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for one in page.get("Contents", ()):
                found.update(f"{one['Key']} {one['ETag']}\n".encode())
    return found.hexdigest()[:16]


def _to_follow(recent: list[dict[str, Any]], work: str, expected: Expected) -> dict[str, Any] | None:
    """The ingestion that is doing this work, or has done it if SPICE has not been filled by another since."""
    for one in recent:
        if _attempt(one, work) and one["IngestionStatus"] not in FINISHED:
            return one
    # One that failed or was cancelled changed nothing: what was loaded before it still stands.
    newest = next((one for one in recent if one["IngestionStatus"] not in ("FAILED", "CANCELLED")), None)
    return newest if newest and _attempt(newest, work) and _is_whole(newest, expected) else None


def _is_whole(done: Mapping[str, Any], expected: Expected) -> bool:
    """Whether it is worth finding again: a result that was refused must not be the answer for ever."""
    rows = done.get("RowInfo", {})
    ingested = rows.get("RowsIngested")
    return ingested is not None and not rows.get("RowsDropped") and expected.rows in (None, ingested)


def _attempt(ingestion: Mapping[str, Any], work: str) -> int:
    """Which attempt at this work it is; 0 if it is other work."""
    found = re.fullmatch(rf"{re.escape(work)}-(\d+)", ingestion.get("IngestionId", ""))
    return int(found[1]) if found else 0


def _manual(recent: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that count against the limit: neither the data set's own schedule nor its creation or an edit."""
    return [one for one in recent if one.get("RequestSource") != "SCHEDULED" and one.get("RequestType") in MANUAL]
