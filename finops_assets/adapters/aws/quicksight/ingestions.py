"""One SPICE data set's ingestions: started, resumed after a crash, described, and cancelled where they hang.

QuickSight runs one ingestion of a data set at a time and queues the others. It has no limit of its own on how long one
runs (CloudFormation waits 36 hours for one by default), so an ingestion that hangs holds up all later ones until
somebody cancels it. An ingestion that is cancelled leaves SPICE as it was.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from finops_assets.adapters.aws import retries
from finops_assets.adapters.aws.polling import wait_until
from finops_assets.adapters.aws.quicksight.fixes import INGESTION_FIXES
from finops_assets.adapters.aws.session import AwsError, AwsSession, explained
from finops_assets.core.errors import FinopsError

REFRESHES = {"enterprise": 32, "standard": 8}
"""Manual refreshes of a data set that QuickSight allows in any 24 hours."""

WINDOW = timedelta(hours=24)
FINISHED = frozenset(("COMPLETED", "FAILED", "CANCELLED"))
MANUAL = frozenset(("FULL_REFRESH", "INCREMENTAL_REFRESH"))
_RAISE = "If refreshes of this data set take that long, raise aws.quicksight_timeout_seconds"
CANCEL_SECONDS, CANCEL_PAUSE = 30.0, 2.0
"""Seconds that a cancelled ingestion is given to stop, and between two looks at it."""


class HungRefreshError(FinopsError):
    """An ingestion did not end in time; `cancelled` says whether it has stopped since."""

    def __init__(self, what: str, *, cancelled: bool, where: str = "", fix: str = "") -> None:
        super().__init__(what, where=where, fix=fix)
        self.cancelled = cancelled


class Expected(NamedTuple):
    """What the data set should hold; `content` is a hash that changes with what is registered."""

    rows: int | None
    newest_day: date | None
    content: str


@dataclass(frozen=True)
class RunningRefresh:
    """A refresh under way: the ingestion that makes it, what it should load, and the ones before it.

    Attributes:
        recent: the ingestions of the last 24 hours before it, newest first.
        ours: whether this process started it; otherwise it follows one that was under way or done.
        at: when the ingestion was created.
    """

    work: str
    expected: Expected
    recent: list[dict[str, Any]]
    ingestion: dict[str, Any]
    ours: bool
    at: datetime

    @property
    def usual_seconds(self) -> int:
        """How long the last completed ingestion took; 0 where there is none."""
        completed = (one for one in self.recent if one["IngestionStatus"] == "COMPLETED")
        return next((took for one in completed if (took := one.get("IngestionTimeInSeconds"))), 0)


@dataclass(frozen=True)
class Kind:
    """A data set's table, and the setting that names the data set."""

    table: str
    setting: str


BREAKDOWN = Kind("finops_db.ou_breakdown", "aws.quicksight_data_set")
SCORECARD = Kind("finops_db.ou_scorecard", "aws.quicksight_scorecard_data_set")


class DataSet:
    """One SPICE data set and its ingestions.

    Args:
        session: how AWS is reached.
        data_set_id: the data set.
        kind: which of the two data sets it is.
        account, edition: as QuickSightDataSet takes them.
        timeout_seconds: an ingestion that is not done so long after its start hangs.
        clock, sleep: replaced where time must not pass.
    """

    def __init__(
        self,
        session: AwsSession,
        data_set_id: str,
        kind: Kind,
        *,
        account: str,
        edition: str,
        timeout_seconds: float,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None],
    ) -> None:
        self._session, self._id, self._kind = session, data_set_id, kind
        self._account, self._edition, self._timeout = account, edition, timeout_seconds
        self._clock, self._sleep = clock, sleep

    @property
    def link(self) -> str:
        return f"https://{self._session.region}.quicksight.aws.amazon.com/sn/data-sets/{self._id}/view"

    @property
    def _where(self) -> str:
        return f"QuickSight data set {self._id} ({self._kind.setting})"

    @property
    def _account_id(self) -> str:
        return self._account or self._session.account

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        fixes = {
            "ResourceNotFoundException": f"Set {self._kind.setting} to an id of `aws quicksight list-data-sets`, and "
            "aws.region and aws.quicksight_account to where it is.",
            "InvalidParameterValueException": "See that the data set is in SPICE mode, and aws.quicksight_account.",
        }
        call = getattr(self._session.client("quicksight"), operation)
        account = self._account_id
        with explained("quicksight:" + operation.title().replace("_", ""), where=self._where, fixes=fixes):
            return call(AwsAccountId=account, DataSetId=self._id, **parameters)

    def _since(self, start: datetime) -> list[dict[str, Any]]:
        """The ingestions created since then, and older unfinished ones, newest first.

        QuickSight lists the newest first without promising it: a page ends the search only if all of it is older.
        """
        ingestions: list[dict[str, Any]] = []
        page_token: dict[str, str] = {}
        while True:
            page = self._call("list_ingestions", MaxResults=100, **page_token)
            new = [one for one in page["Ingestions"] if one["CreatedTime"] > start]
            ingestions += new + [one for one in page["Ingestions"] if one["CreatedTime"] <= start and not _is_done(one)]
            if not page.get("NextToken") or (page["Ingestions"] and not new):
                return sorted(ingestions, key=lambda one: one["CreatedTime"], reverse=True)
            page_token = {"NextToken": page["NextToken"]}

    def follow_or_start(self, refresh_id: str, expected: Expected) -> RunningRefresh:
        """The ingestion for this work and content: one under way or done, or else a new one.

        Ingestions that hang, whoever started them, are cancelled first: a new one would only queue up behind them.

        Raises:
            HungRefreshError: one that hangs cannot be stopped; none was started.
        """
        at = self._clock()
        ingestions = self._since(at - WINDOW)
        if hung := self._hung(ingestions, at):
            self._cancel_all(hung, at)
            ingestions = self._since(at - WINDOW)
        recent = [one for one in ingestions if one["CreatedTime"] > at - WINDOW]
        work = re.sub(r"[^a-zA-Z0-9_-]", "-", f"{refresh_id}-{expected.content[:8]}")[:120]
        followed = _to_follow(ingestions, work, expected)
        ingestion, ours = (followed, False) if followed else self._start(work, recent)
        return RunningRefresh(work, expected, recent, ingestion, ours, ingestion.get("CreatedTime", at))

    def _start(self, work: str, recent: list[dict[str, Any]]) -> tuple[dict[str, Any], bool]:
        """A new ingestion, or the one that another process has just started for this work; and whether it is new."""
        attempt = max((attempt_of(one, work) for one in recent), default=0) + 1
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
                return {"IngestionId": ingestion_id, "IngestionStatus": "INITIALIZED"}, True
            existing = self.describe(ingestion_id)
            if existing["CreatedTime"] > self._clock() - WINDOW:
                return existing, False
            attempt += 1  # it is older than the window: since then, SPICE may have been filled with anything

    def describe(self, ingestion_id: str) -> dict[str, Any]:
        return self._call("describe_ingestion", IngestionId=ingestion_id)["Ingestion"]

    def current(self, ingestion: dict[str, Any]) -> dict[str, Any]:
        """The ingestion as it is now; as it was where AWS is too busy to answer, which is no reason to give it up."""
        try:
            return self.describe(ingestion["IngestionId"])
        except AwsError as error:
            if retries.is_temporary(error.code):
                return ingestion
            raise

    def cancel(self, ingestion_id: str) -> None:
        self._call("cancel_ingestion", IngestionId=ingestion_id)

    def refreshes_left(self, running: RunningRefresh) -> int:
        """Refreshes that QuickSight still allows in the current 24 hours."""
        return max(REFRESHES[self._edition] - len(_manual(running.recent)) - running.ours, 0)

    # --- ingestions that hang -------------------------------------------------------------------------------------

    def _hung(self, ingestions: list[dict[str, Any]], now: datetime) -> list[dict[str, Any]]:
        """Ingestions under way for longer than the timeout, newest first: the last of them is the one that runs."""
        oldest = now - timedelta(seconds=self._timeout)
        return [one for one in ingestions if not _is_done(one) and one["CreatedTime"] <= oldest]

    def _cancel_all(self, hung: list[dict[str, Any]], now: datetime) -> None:
        """Stop ingestions that hang; raises if one of them cannot be stopped."""
        for one in hung:  # newest first: no queued one starts when the running one is stopped
            _, why_not = self._stop(one["IngestionId"])
            if why_not:
                hours = (now - one["CreatedTime"]).total_seconds() / 3600
                raise HungRefreshError(
                    f"refresh {one['IngestionId']} is {one['IngestionStatus']} for {hours:.1f} hours and {why_not}: "
                    "QuickSight lets no other refresh of this data set run",
                    cancelled=False,
                    where=self._where,
                    fix=self._by_hand(one["IngestionId"]),
                )

    def give_up(self, running: RunningRefresh, ingestion: dict[str, Any]) -> dict[str, Any]:
        """Cancel an ingestion whose time is over, and what else hangs before it.

        Returns:
            The ingestion, where it completed at the last moment.

        Raises:
            HungRefreshError: it has not completed; the error says whether it was cancelled.
        """
        name, now = ingestion["IngestionId"], self._clock()
        stopped, why_not = self._stop(name)
        if stopped["IngestionStatus"] == "COMPLETED":
            return stopped
        # What it was queued behind is older, and hangs as well.
        others = [one for one in self._hung(self._since(now - WINDOW), now) if one["IngestionId"] != name]
        self._cancel_all(others, now)
        usual = f" (the one before took {running.usual_seconds})" if running.usual_seconds else ""
        raise HungRefreshError(
            f"refresh {name} was still {ingestion['IngestionStatus']} after {self._timeout:g} seconds{usual} and "
            + (why_not or "was cancelled: the dashboard shows the data from before it"),
            cancelled=not why_not,
            where=self._where,
            fix=self._by_hand(name) if why_not else f"Run it again: it starts another. {_RAISE}. History: {self.link}",
        )

    def _stop(self, ingestion_id: str) -> tuple[dict[str, Any], str]:
        """Cancel an ingestion and wait until it stops: the ingestion, and why it goes on where it does."""
        ingestion: dict[str, Any] = {"IngestionId": ingestion_id, "IngestionStatus": "RUNNING"}
        try:
            self.cancel(ingestion_id)
        except FinopsError as error:
            return ingestion, f"could not be cancelled ({error.what})"
        until = self._clock() + timedelta(seconds=CANCEL_SECONDS)
        ingestion = wait_until(
            _is_done,
            self.current(ingestion),
            self.current,
            seconds_left=lambda: (until - self._clock()).total_seconds(),
            pause=lambda: CANCEL_PAUSE,
            sleep=self._sleep,
        )
        if _is_done(ingestion):
            return ingestion, ""
        status = ingestion["IngestionStatus"]
        return ingestion, f"is still {status} {CANCEL_SECONDS:g} seconds after it was cancelled"

    def _by_hand(self, ingestion_id: str) -> str:
        command = cancel_command(self._account_id, self._id, ingestion_id)
        return (
            f"Cancel it by hand: `{command}` (quicksight:CancelIngestion must be allowed). If it goes on all the same, "
            "ask AWS Support to end it, or delete the data set and make it again (`finops quicksight deploy`)."
        )

    # --- ingestions that have ended -------------------------------------------------------------------------------

    def check(self, done: Mapping[str, Any]) -> None:
        """Raise what is wrong with a finished ingestion. After a failed one, the dashboard still shows the old data."""
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
        """What to do about an ErrorInfo.Type; the table of fixes names ou_breakdown and its setting."""
        fix = INGESTION_FIXES.get(kind, "See the data set's refresh history")
        for named, own in zip(astuple(BREAKDOWN), astuple(self._kind), strict=True):
            fix = fix.replace(named, own)
        return fix

    def _used_up(self, recent: list[dict[str, Any]], answer: str = "") -> FinopsError:
        """The error of too many refreshes; `answer` is QuickSight's own message, where it was asked."""
        manual, limit = _manual(recent), REFRESHES[self._edition]
        allowed = f"QuickSight allows {limit} ({self._edition} edition)" + (f"; it says: {answer}" if answer else "")
        fix = "The days are archived and registered all the same. "
        if manual:
            free = manual[min(len(manual), limit) - 1]["CreatedTime"].astimezone(UTC) + WINDOW
            fix += f"Run it again after {free:%Y-%m-%d %H:%M} UTC, when the oldest of them no longer counts; "
        fix += "run many days as one range (`finops backfill`), which takes one refresh"
        if answer:
            fix += "; and see that aws.quicksight_edition is the account's"
        return FinopsError(
            f"{len(manual)} refreshes were made by hand or by runs in the last 24 hours, {allowed}",
            where=self._where,
            fix=f"{fix}.",
        )


def cancel_command(account: str, data_set_id: str, ingestion_id: str) -> str:
    """What a person types to cancel an ingestion."""
    of = f"--aws-account-id {account} --data-set-id {shlex.quote(data_set_id)}"
    return f"aws quicksight cancel-ingestion {of} --ingestion-id {shlex.quote(ingestion_id)}"


def _is_done(ingestion: Mapping[str, Any]) -> bool:
    return ingestion["IngestionStatus"] in FINISHED


def _to_follow(recent: list[dict[str, Any]], work: str, expected: Expected) -> dict[str, Any] | None:
    """The ingestion that is doing this work, or has done it if SPICE has not been filled by another since."""
    for one in recent:
        if attempt_of(one, work) and not _is_done(one):
            return one
    # One that failed or was cancelled changed nothing: what was loaded before it still stands.
    newest = next((one for one in recent if one["IngestionStatus"] not in ("FAILED", "CANCELLED")), None)
    return newest if newest and attempt_of(newest, work) and _is_whole(newest, expected) else None


def _is_whole(done: Mapping[str, Any], expected: Expected) -> bool:
    """Whether it may be followed again: one whose result was refused would be refused for ever."""
    rows = done.get("RowInfo", {})
    ingested = rows.get("RowsIngested")
    return ingested is not None and not rows.get("RowsDropped") and expected.rows in (None, ingested)


def attempt_of(ingestion: Mapping[str, Any], work: str) -> int:
    """Which attempt at this work it is; 0 if it is other work."""
    match = re.fullmatch(rf"{re.escape(work)}-(\d+)", ingestion.get("IngestionId", ""))
    return int(match[1]) if match else 0


def _manual(recent: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that count against the limit: neither the data set's own schedule nor its creation or an edit."""
    return [one for one in recent if one.get("RequestSource") != "SCHEDULED" and one.get("RequestType") in MANUAL]
