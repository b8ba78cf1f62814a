"""The Athena client: one statement from its start to its end, stopped if anything interrupts the wait.

The project's own, as no library stops a query when a run is terminated (Dagster raises a plain BaseException), which
would leave it scanning, and costing, to its end.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

from finops_assets.adapters.aws import retries
from finops_assets.adapters.aws.denials import fix_of_denial
from finops_assets.adapters.aws.polling import jittered, wait_until
from finops_assets.adapters.aws.session import AwsError, AwsSession, explained
from finops_assets.core.errors import FinopsError, SettingsError
from finops_assets.core.values import QueryReceipt, QueryResult

LONGEST_QUERY = 262_144
"""Bytes of a statement that Athena accepts."""

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds between two looks at a running query, a 16th of its time so far: most of ours take 1 to 3 s, the longest
minutes, and Athena answers 100 such calls a second."""

ATTEMPTS = 4
"""Tries of a query that Athena itself calls retryable."""

MEGABYTE, TERABYTE = 1_000_000, 1_000_000_000_000
LEAST_BILLED = 10 * MEGABYTE
"""Athena rounds up to the megabyte, with at least 10 MB a query (https://aws.amazon.com/athena/pricing/)."""

ENDED = ("SUCCEEDED", "FAILED", "CANCELLED")
STARTS_AT_ONCE = 60.0
"""Seconds for which a start is tried again while the account's queue is full, beyond boto3's own retries."""


@dataclass(frozen=True)
class Query:
    """A statement that has succeeded; `manifest` is where it lists the files that it wrote, if it wrote any."""

    id: str
    manifest: str


class QueryError(FinopsError):
    """Athena ran the statement and it failed; `kind` is the first word of its reason, such as TABLE_NOT_FOUND."""

    def __init__(self, what: str, *, kind: str, retryable: bool = False, where: str = "", fix: str = "") -> None:
        super().__init__(what, where=where, fix=fix)
        self.kind, self.retryable = kind, retryable


FIXES = {
    "TABLE_NOT_FOUND": "Check the table's name (bill.table), and that the Glue catalog of this region has it.",
    "SCHEMA_NOT_FOUND": "Check the database's name (bill.table) and the region.",
    "COLUMN_NOT_FOUND": "The table's columns are not those of its files' format: run its crawler again.",
    "HIVE_BAD_DATA": "A file of the table is not of the type that the table says: mend the table's column types.",
    "HIVE_PATH_ALREADY_EXISTS": "Something else writes into _staging/: run it again.",
    "HIVE_CANNOT_OPEN_SPLIT": "A file could not be read: check s3:GetObject and kms:Decrypt on the bill's bucket.",
    "PERMISSION_DENIED": "Allow s3:GetObject and s3:ListBucket on the bucket that it names, and Lake Formation's "
    "SELECT where that is in use.",
    "Bytes scanned limit was exceeded": "Raise the workgroup's limit of bytes scanned a query, or run fewer days.",
}


class Athena:
    """Runs statements in one workgroup.

    Args:
        session: the identity.
        workgroup: aws.workgroup.
        results: aws.athena_results; empty for the workgroup's own.
        timeout_seconds: after so long a statement is stopped, waiting in the queue included.
        price_per_terabyte: USD, for estimates.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        session: AwsSession,
        *,
        workgroup: str,
        results: str = "",
        timeout_seconds: float = 1800,
        price_per_terabyte: float = 5.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._session, self._workgroup, self._results = session, workgroup, results
        self._timeout, self._price, self._sleep = timeout_seconds, Decimal(str(price_per_terabyte)), sleep
        self._receipts: list[QueryReceipt] = []

    def receipts(self) -> list[QueryReceipt]:
        """The receipts of the queries since the last call."""
        taken, self._receipts = self._receipts, []
        return taken

    def run(self, sql: str, purpose: str, *, database: str = "", token: str = "") -> Query:
        """Run one statement to its end.

        Args:
            sql: the statement.
            purpose: what it is for, in its receipt.
            database: the database of names without one.
            token: makes the start repeatable: the same token and statement are the same execution, also when another
                process asks. Without one, a statement that Athena calls retryable is started again.

        Raises:
            QueryError: it failed, was cancelled by somebody else, or took too long and was stopped.
            AwsError, SettingsError: it could not be started.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._once(sql, purpose, database, token or uuid4().hex)
            except QueryError as error:
                if not error.retryable or token or attempt == ATTEMPTS:
                    raise
                self._sleep(retries.pause(attempt + 1))
        raise AssertionError("the last attempt returns or raises")

    def stream(self, sql: str, purpose: str, *, database: str = "") -> QueryResult:
        """Run one SELECT; its pages, of Python values by Athena's types, are fetched as they are asked for."""
        pages = self._pages(self.run(sql, purpose, database=database).id)
        first = next(pages)
        columns = first["ResultSetMetadata"]["ColumnInfo"]
        readers = [_READERS.get(column["Type"], str) for column in columns]

        def batches() -> Iterator[list[tuple[Any, ...]]]:
            rows = first["Rows"][1:]  # the first row of the first page is the header
            while rows is not None:
                values = [[cell.get("VarCharValue") for cell in row["Data"]] for row in rows]
                yield [tuple(_value(read, v) for read, v in zip(readers, row, strict=True)) for row in values]
                rows = next((page["Rows"] for page in pages), None)

        return QueryResult([column["Name"] for column in columns], batches())

    def rows(self, sql: str, purpose: str, *, database: str = "") -> tuple[list[str], list[tuple[Any, ...]]]:
        """As `stream`, for a small answer: column names, and all rows."""
        result = self.stream(sql, purpose, database=database)
        return list(result.columns), result.all_rows()

    def _pages(self, query_id: str) -> Iterator[Mapping[str, Any]]:
        with explained("athena:GetQueryResults", where=f"workgroup {self._workgroup}"):
            yield from (
                page["ResultSet"]
                for page in self._session.client("athena")
                .get_paginator("get_query_results")
                .paginate(QueryExecutionId=query_id, PaginationConfig={"PageSize": 1000})
            )

    def _once(self, sql: str, purpose: str, database: str, token: str) -> Query:
        if len(sql.encode()) > LONGEST_QUERY:
            raise FinopsError(
                f"the statement has {len(sql.encode()):,} bytes, Athena takes {LONGEST_QUERY:,}",
                where=purpose,
                fix="Ask for fewer days at once.",
            )
        deadline = time.monotonic() + self._timeout
        started: str | None = None
        try:
            started = self._start(sql, database, token, deadline)
            return self._wait(started, purpose, deadline)
        except QueryError:
            raise
        except BaseException as error:
            # Any interruption of the wait: Ctrl-C, SIGTERM, Dagster's terminate, a lost connection.
            if started is None and isinstance(error, Exception):
                raise
            self._stop(started or self._started_unseen(sql, database, token))
            raise

    def _start(self, sql: str, database: str, token: str, deadline: float) -> str:
        request: dict[str, Any] = {
            "QueryString": sql,
            "ClientRequestToken": token.ljust(32, "-")[:128],
            "WorkGroup": self._workgroup,
        }
        if database:
            request["QueryExecutionContext"] = {"Database": database}
        if self._results:
            request["ResultConfiguration"] = {"OutputLocation": self._results}
        give_up, attempt = min(deadline, time.monotonic() + STARTS_AT_ONCE), 1
        while True:
            try:
                with explained("athena:StartQueryExecution", where=f"workgroup {self._workgroup} (aws.workgroup)"):
                    return self._session.client("athena").start_query_execution(**request)["QueryExecutionId"]
            except FinopsError as error:
                code = getattr(error, "code", "")
                if retries.is_temporary(code) and time.monotonic() < give_up:
                    attempt += 1
                    self._sleep(retries.pause(attempt))
                    continue
                raise _explained_start(error, self._workgroup) from None

    def _started_unseen(self, sql: str, database: str, token: str) -> str | None:
        """The execution that an interrupted start may have made.

        Starting it again with the same token gives its id; if there was none, this makes one, which is then stopped.
        """
        try:
            return self._start(sql, database, token, time.monotonic())
        except FinopsError:
            return None

    def _wait(self, query_id: str, purpose: str, deadline: float) -> Query:
        started = time.monotonic()

        def pause() -> float:
            return jittered(min(max(FIRST_PAUSE, (time.monotonic() - started) / 16), LONGEST_PAUSE))

        def too_late(execution: Mapping[str, Any]) -> QueryError:
            self._stop(query_id)
            return QueryError(
                f"did not end within {self._timeout:g} s ({execution['Status']['State'].lower()}) and was stopped",
                kind="TIMEOUT",
                where=f"{purpose} (query {query_id})",
                fix="Raise aws.query_timeout_seconds, or run fewer days; a queue this long may need more capacity.",
            )

        execution = wait_until(
            lambda execution: execution["Status"]["State"] in ENDED,
            self._current(query_id, {"Status": {"State": "QUEUED"}}),
            lambda execution: self._current(query_id, execution),
            seconds_left=lambda: deadline - time.monotonic(),
            pause=pause,
            sleep=self._sleep,
            too_late=too_late,
        )
        self._keep_receipt(execution, purpose)
        if execution["Status"]["State"] != "SUCCEEDED":
            raise _failed(execution["Status"], purpose, query_id)
        return Query(query_id, execution.get("Statistics", {}).get("DataManifestLocation", ""))

    def _current(self, query_id: str, execution: Mapping[str, Any]) -> Mapping[str, Any]:
        """The query as it is now; as it was where Athena is too busy to answer, which is no reason to give it up."""
        try:
            with explained("athena:GetQueryExecution", where=f"workgroup {self._workgroup}"):
                return self._session.client("athena").get_query_execution(QueryExecutionId=query_id)["QueryExecution"]
        except AwsError as error:
            if retries.is_temporary(error.code):
                return execution
            raise

    def _stop(self, query_id: str | None) -> None:
        if query_id is None:
            return
        try:
            with explained("athena:StopQueryExecution"):
                self._session.client("athena").stop_query_execution(QueryExecutionId=query_id)
        except FinopsError as error:
            # People must see the error for which it is stopped; this one only says that the query goes on.
            logging.getLogger(__name__).warning("query %s could not be stopped: %s", query_id, error)

    def _keep_receipt(self, execution: Mapping[str, Any], purpose: str) -> None:
        statistics = execution.get("Statistics", {})
        scanned = statistics.get("DataScannedInBytes", 0)
        query_id, region = execution["QueryExecutionId"], self._session.region
        self._receipts.append(
            QueryReceipt(
                id=query_id,
                purpose=purpose,
                scanned_bytes=scanned,
                seconds=statistics.get("TotalExecutionTimeInMillis", 0) / 1000,
                price=price(scanned, self._price, billed=execution.get("StatementType") == "DML"),
                link=f"https://{region}.console.aws.amazon.com/athena/home?region={region}#/query-editor/history/{query_id}",
            )
        )


def price(scanned_bytes: int, per_terabyte: Decimal, *, billed: bool = True) -> Decimal:
    """USD of one query; DDL costs nothing."""
    if not billed:
        return Decimal()
    megabytes = -(-max(scanned_bytes, LEAST_BILLED) // MEGABYTE)
    return per_terabyte * megabytes * MEGABYTE / TERABYTE


def _explained_start(error: FinopsError, workgroup: str) -> FinopsError:
    message = error.what
    if "No output location" in message:
        return SettingsError(
            f"the workgroup {workgroup} has no place for query results",
            where="aws.athena_results (FINOPS_AWS__ATHENA_RESULTS)",
            fix="Set it to s3://<bucket>/<prefix>/, or give the workgroup a location.",
        )
    if re.search(r"WorkGroup .*(not found|is not found|disabled)", message, re.IGNORECASE):
        return SettingsError(
            f"Athena says: {message}",
            where="aws.workgroup (FINOPS_AWS__WORKGROUP)",
            fix="Name an enabled workgroup of this region (aws.region).",
        )
    return error


def _failed(status: Mapping[str, Any], purpose: str, query_id: str) -> QueryError:
    reason = status.get("StateChangeReason") or "no reason given"
    fault = status.get("AthenaError", {})
    prefix = re.match(r"[A-Z][A-Z_]+(?=:)", reason)
    kind = prefix[0] if prefix else next((known for known in FIXES if known in reason), "")
    what = f"the query was cancelled ({reason})" if status["State"] == "CANCELLED" else f"the query failed: {reason}"
    return QueryError(
        what,
        kind=kind or status["State"],
        retryable=bool(fault.get("Retryable")),
        where=f"{purpose} (query {query_id})",
        fix=fix_of_denial(reason) or FIXES.get(kind, "Look at it in Athena's history."),
    )


def _value(read: Callable[[str], Any], value: str | None) -> Any:
    return None if value is None else read(value)


def _timestamp(text: str) -> datetime:
    return datetime.fromisoformat(text.removesuffix(" UTC"))


_READERS: Mapping[str, Callable[[str], Any]] = {
    "tinyint": int,
    "smallint": int,
    "integer": int,
    "bigint": int,
    "float": float,
    "double": float,
    "decimal": Decimal,
    "boolean": lambda text: text == "true",
    "date": date.fromisoformat,
    "timestamp": _timestamp,
}
