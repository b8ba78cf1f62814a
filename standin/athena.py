"""Athena's API: executions from QUEUED to their end, and their results in S3. SQL is not understood here."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import duckdb
import pyarrow as pa
from moto.backends import get_backend
from sqlglot import exp

from standin.faults import Call, ServiceError
from standin.statements import Statements
from standin.tables import Tables
from standin.trino import MACROS, Malformed, QueryFailed, Translated, Unsupported, parse, translate
from standin.unload import Unload, parse_unload, refuse_if_taken, write_files

if TYPE_CHECKING:
    from standin.server import Answer, StandIn

LONGEST_QUERY = 262_144
WORKERS = 4
NO_OUTPUT = (
    "No output location provided. An output location is required either through the Workgroup result configuration "
    "setting or as an API input."
)
MOTO_ANSWERS = frozenset({"CreateWorkGroup", "GetWorkGroup", "ListWorkGroups", "DeleteWorkGroup"})
FINISHED = frozenset({"SUCCEEDED", "FAILED", "CANCELLED"})
USER, SYSTEM = 2, 1
"""Athena's categories of errors."""

ERROR_TYPE = 1000
"""Athena numbers its errors within a category; the stand-in does not know by what."""


@dataclass
class Query:
    """One execution; `scanned` are the bytes of DataScannedInBytes."""

    id: str
    sql: str
    token: str | None
    database: str
    workgroup: str
    output: str
    submitted: datetime
    cutoff: int | None = None
    state: str = "QUEUED"
    kind: str = "DML"
    subkind: str = "SELECT"
    reason: str | None = None
    retryable: bool = False
    scanned: int = 0
    queued_ms: int = 0
    engine_ms: int = 0
    completed: datetime | None = None
    manifest: str | None = None
    names: list[str] = field(default_factory=list)
    types: list[exp.DataType] = field(default_factory=list)
    cells: list[list[str | None]] = field(default_factory=list)
    update_count: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)
    connection: Any = None
    request: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """What the next query is to fail with."""

    code: str
    message: str
    retryable: bool
    orphans: bool


class Stopped(Exception):  # noqa: N818 - an event
    """The query was stopped, or scans more than it may."""


class Athena:
    """The service, and for tests the knobs `min_seconds`, `max_active` and `fail_next`."""

    def __init__(self, stand_in: StandIn) -> None:
        self._stand_in = stand_in
        self.tables = Tables(stand_in)
        self._statements = Statements(self.tables, self._describe)
        self._engine = duckdb.connect(config={"threads": 2})
        self._engine.execute("SET GLOBAL TimeZone = 'UTC'")
        self._engine.execute(MACROS)
        self._lock = threading.RLock()
        # Of its own: a statement asks for a connection while it holds moto's lock, which a query that is being admitted
        # waits for while it holds the other one.
        self._engine_lock = threading.Lock()
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="athena")
        self.queries: list[Query] = []
        self.reset()

    def reset(self) -> None:
        with self._lock:
            running = list(self.queries)
        for query in running:
            self._stop(query)
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="athena")
        with self._engine_lock:
            if self._engine is not None:
                self._engine.close()
                self._engine = None
        self.queries = []
        self.min_seconds = 0.0
        self.max_active = 20
        self._failures: list[Failure] = []

    def fail_next(
        self, error_code: str, message: str, *, retryable: bool = False, orphans: bool = False, times: int = 1
    ) -> None:
        """The next query fails; with `orphans`, an UNLOAD has written a file by then."""
        self._failures += [Failure(error_code, message, retryable, orphans)] * times

    def describe(self, sql: str, database: str = "default") -> dict[str, str]:
        """The columns of a query with Glue's types, without running it; raises as `rows_of`."""
        return self._describe(sql, database)

    def rows_of(self, sql: str, database: str = "default") -> list[tuple]:
        """The rows of a query, at once and without an execution: what another service asks of Athena.

        Raises:
            QueryFailed, Malformed, Unsupported: as the query would fail.
        """
        translated = self._translated(sql, database)
        with self._connect() as connection, _errors():
            for scan in translated.scans:
                self.tables.open(connection, scan)
            return connection.execute(translated.sql).fetchall()

    def answer(self, call: Call) -> Answer | None:
        if call.operation in MOTO_ANSWERS:
            return None
        operation = {
            "StartQueryExecution": self._start,
            "GetQueryExecution": lambda p: {"QueryExecution": _described(self._query(p["QueryExecutionId"]))},
            "BatchGetQueryExecution": self._batch,
            "GetQueryResults": self._results,
            "StopQueryExecution": self._stop_query,
            "ListQueryExecutions": self._list,
            "UpdateWorkGroup": self._update_workgroup,
        }.get(call.operation)
        if operation is None:
            self._stand_in.refused.append(f"athena {call.operation}")
            raise ServiceError("StandInDoesNotKnow", f"The stand-in AWS does not know {call.operation} of athena.")
        return operation(call.params)

    # The API ------------------------------------------------------------------------------------------------------

    def _start(self, params: dict[str, Any]) -> Answer:
        sql, token = params["QueryString"], params.get("ClientRequestToken")
        with self._lock:
            if token is not None:
                if not 32 <= len(token) <= 128:
                    raise _invalid("ClientRequestToken must have 32 to 128 characters")
                same = next((query for query in self.queries if query.token == token), None)
                if same and same.request != params:
                    raise _invalid("Idempotent parameters do not match")
                if same:
                    return {"QueryExecutionId": same.id}
            if len(sql.encode()) > LONGEST_QUERY:
                raise _invalid(
                    "1 validation error detected: Value at 'queryString' failed to satisfy constraint: Member must "
                    f"have length less than or equal to {LONGEST_QUERY}"
                )
            query = self._admitted(params, sql, token)
            run = self._prepared(query)
            if sum(each.state not in FINISHED for each in self.queries) >= self.max_active:
                raise ServiceError(
                    "TooManyRequestsException",
                    "You have exceeded the limit for the number of queries you can run concurrently. Reduce the "
                    "number of concurrent queries submitted by this account. Contact customer support to request a "
                    "concurrent query limit increase.",
                    fields={"Reason": "CONCURRENT_QUERY_LIMIT_EXCEEDED"},
                )
            self.queries.append(query)
            self._pool.submit(self._run, query, run)
        return {"QueryExecutionId": query.id}

    def _admitted(self, params: dict[str, Any], sql: str, token: str | None) -> Query:
        name = params.get("WorkGroup", "primary")
        group = get_backend("athena")[self._stand_in.account][self._stand_in.region].work_groups.get(name)
        if group is None:
            raise _invalid(f"WorkGroup {name} is not found.")
        if group.state == "DISABLED":
            raise _invalid(f"WorkGroup {name} is disabled.")
        settings = group.configuration
        own = (settings.get("ResultConfiguration") or {}).get("OutputLocation")
        asked = (params.get("ResultConfiguration") or {}).get("OutputLocation")
        # moto's `primary` says that it enforces what it does not have; AWS's does not.
        enforced = settings.get("EnforceWorkGroupConfiguration") and own
        output = own if enforced else asked or own
        if not output:
            raise _invalid(NO_OUTPUT)
        bucket = re.sub("^s3://", "", output).split("/")[0]
        if not self.tables.objects.exists(bucket):
            raise _invalid(f"Unable to verify/create output bucket {bucket}")
        return Query(
            id=str(uuid4()),
            sql=sql,
            token=token,
            database=(params.get("QueryExecutionContext") or {}).get("Database", "default").lower(),
            workgroup=name,
            output=output.rstrip("/") + "/",
            submitted=self._stand_in.clock(),
            cutoff=settings.get("BytesScannedCutoffPerQuery"),
            request=params,
        )

    def _prepared(self, query: Query) -> Callable[[Query], None]:
        """What carries the statement out; one that cannot be parsed is refused before it is an execution."""
        sql = re.sub(r"^(\s|--[^\n]*\n|/\*.*?\*/)+", "", query.sql, flags=re.S).strip().rstrip(";").rstrip()
        try:
            if re.match(r"(SELECT|WITH|VALUES|TABLE)\b|\(", sql, re.I):
                parse(sql)
                return lambda q: self._select(q, sql)
            if re.match(r"UNLOAD\b", sql, re.I):
                query.subkind = "UNLOAD"
                if re.match(r"UNLOAD\s*\(", sql, re.I) and (found := re.search(r"\(.*\)\s*TO\s*'", sql, re.I | re.S)):
                    parse(found[0][1 : found[0].rindex(")")])
                return lambda q: self._unload(q, sql)
            kind, action = self._statements.recognise(sql)
        except Malformed as error:
            raise _invalid(str(error), "MALFORMED_QUERY") from None
        except Unsupported as error:
            self._stand_in.refused.append(f"athena: {error}")
            raise ServiceError("StandInDoesNotKnow", f"The stand-in AWS does not know {error}.") from None
        query.kind, query.subkind = "DDL", kind
        return lambda q: self._define(q, action)

    def _query(self, execution: str) -> Query:
        found = next((query for query in self.queries if query.id == execution), None)
        if found is None:
            raise _invalid(f"QueryExecution {execution} was not found")
        return found

    def _batch(self, params: dict[str, Any]) -> Answer:
        known = {query.id: query for query in self.queries}
        asked = params["QueryExecutionIds"]
        unknown = [
            {"QueryExecutionId": each, "ErrorCode": "INVALID_INPUT", "ErrorMessage": f"{each} was not found"}
            for each in asked
            if each not in known
        ]
        described = [_described(known[each]) for each in asked if each in known]
        return {"QueryExecutions": described, "UnprocessedQueryExecutionIds": unknown}

    def _list(self, params: dict[str, Any]) -> Answer:
        own = [query.id for query in reversed(self.queries) if query.workgroup == params.get("WorkGroup", "primary")]
        start, size = int(params.get("NextToken") or 0), params.get("MaxResults", 50)
        more = {"NextToken": str(start + size)} if start + size < len(own) else {}
        return {"QueryExecutionIds": own[start : start + size], **more}

    def _stop_query(self, params: dict[str, Any]) -> Answer:
        self._stop(self._query(params["QueryExecutionId"]))
        return {}

    def _update_workgroup(self, params: dict[str, Any]) -> Answer:
        group = get_backend("athena")[self._stand_in.account][self._stand_in.region].work_groups.get(
            params["WorkGroup"]
        )
        if group is None:
            raise _invalid(f"WorkGroup {params['WorkGroup']} is not found.")
        if set(params) - {"WorkGroup", "State"}:
            raise ServiceError("StandInDoesNotKnow", "The stand-in AWS changes the State of a workgroup only.")
        group.state = params.get("State", group.state)
        return {}

    def _results(self, params: dict[str, Any]) -> Answer:
        query = self._query(params["QueryExecutionId"])
        if query.state not in FINISHED:
            raise _invalid(f"Query has not yet finished. Current state: {query.state}")
        if query.state != "SUCCEEDED":
            raise _invalid(f"Query did not finish successfully. Final query state: {query.state}")
        size = params.get("MaxResults", 1000)
        if not 1 <= size <= 1000:
            raise _invalid("MaxResults is more than maximum allowed length 1000.")
        header = [query.names] if query.kind == "DML" and query.subkind == "SELECT" else []
        lines = header + query.cells
        start = int(params.get("NextToken") or 0)
        rows = [
            {"Data": [{} if cell is None else {"VarCharValue": cell} for cell in line]}
            for line in lines[start : start + size]
        ]
        more = {"NextToken": str(start + size)} if start + size < len(lines) else {}
        columns = [_column(name, kind) for name, kind in zip(query.names, query.types, strict=True)]
        told = {"Rows": rows, "ResultSetMetadata": {"ColumnInfo": columns}}
        return {"UpdateCount": query.update_count, "ResultSet": told, **more}

    # The life of a query ------------------------------------------------------------------------------------------

    def _stop(self, query: Query) -> None:
        with self._lock:
            if query.state in FINISHED:
                return
            query.stopped.set()
            if query.state == "QUEUED":
                self._finish(query, "CANCELLED", "Query cancelled by user")
            if query.connection is not None:
                query.connection.interrupt()

    def _run(self, query: Query, run: Callable[[Query], None]) -> None:
        with self._lock:
            if query.state in FINISHED:
                return
            query.state = "RUNNING"
            query.queued_ms = round((self._stand_in.clock() - query.submitted).total_seconds() * 1000)
        began = time.monotonic()
        state, reason = "SUCCEEDED", None
        try:
            query.connection = self._connect()
            if query.stopped.wait(self.min_seconds):
                raise Stopped("Query cancelled by user")
            with _errors():
                run(query)
        except Stopped as stopped:
            state, reason = "CANCELLED", str(stopped)
        except QueryFailed as failed:
            state, reason, query.retryable = "FAILED", str(failed), failed.retryable
        except Malformed as malformed:
            state, reason = "FAILED", f"SYNTAX_ERROR: {malformed}"
        except Unsupported as unsupported:
            self._stand_in.refused.append(f"athena: {unsupported}")
            state, reason = "FAILED", f"StandInDoesNotKnow: {unsupported}"
        except Exception as error:  # noqa: BLE001 - a thread that dies would leave the query running for ever
            self._stand_in.refused.append(f"athena: {error!r}")
            state, reason = "FAILED", f"StandInFailed: {error!r}"
        if query.stopped.is_set() and state != "SUCCEEDED":
            state, reason = "CANCELLED", reason if state == "CANCELLED" else "Query cancelled by user"
        with self._lock:
            query.engine_ms = round((time.monotonic() - began) * 1000)
            connection, query.connection = query.connection, None
            self._finish(query, state, reason)
        if connection is not None:
            connection.close()

    def _finish(self, query: Query, state: str, reason: str | None) -> None:
        query.reason, query.completed = reason, self._stand_in.clock()
        query.state = state

    def _translated(self, sql: str, database: str) -> Translated:
        return translate(sql, database, self.tables.lookup, self._stand_in.clock())

    def _connect(self) -> duckdb.DuckDBPyConnection:
        with self._engine_lock:
            if self._engine is None:
                self._engine = duckdb.connect(config={"threads": 2})
                self._engine.execute(MACROS)
            connection = self._engine.cursor()
        connection.execute("SET TimeZone = 'UTC'")
        return connection

    def _failure(self) -> Failure | None:
        with self._lock:
            return self._failures.pop(0) if self._failures else None

    def _select(self, query: Query, sql: str) -> None:
        rows = self._executed(query, sql, self._failure())
        query.cells = [list(line) for line in zip(*map(_cells, rows.columns), strict=True)]
        lines = [query.names, *query.cells]
        text = "".join(",".join(_quoted(cell) for cell in line) + "\n" for line in lines)
        self.tables.objects.put(f"{query.output}{query.id}.csv", text.encode())
        self.tables.objects.put(f"{query.output}{query.id}.csv.metadata", b"stand-in")

    def _executed(self, query: Query, sql: str, failure: Failure | None) -> pa.Table:
        if failure and not failure.orphans:
            raise QueryFailed(failure.code, failure.message, retryable=failure.retryable)
        translated = self._translated(sql, query.database)
        for scan in translated.scans:
            query.scanned += self.tables.open(query.connection, scan)
        if query.cutoff and query.scanned > query.cutoff:
            raise Stopped("Bytes scanned limit was exceeded")
        if query.stopped.is_set():
            raise Stopped("Query cancelled by user")
        result = query.connection.sql(translated.sql)
        query.names = translated.names
        query.types = [exp.DataType.build(str(kind).strip('"'), dialect="duckdb") for kind in result.types]
        return result.to_arrow_table().rename_columns(translated.names)

    def _unload(self, query: Query, sql: str) -> None:
        unload: Unload = parse_unload(sql)
        failure = self._failure()
        if failure and not failure.orphans:
            raise QueryFailed(failure.code, failure.message, retryable=failure.retryable)
        refuse_if_taken(unload, self.tables.objects)
        rows = self._executed(query, unload.query, None)
        _refuse_doubled(query.names)
        most = 1 if failure else None
        at = self._stand_in.clock()
        written = write_files(unload, rows, self.tables.objects, at, query.stopped.is_set, most)
        if failure:
            raise QueryFailed(failure.code, failure.message, retryable=failure.retryable)
        if query.stopped.is_set():
            raise Stopped("Query cancelled by user")
        query.manifest = f"{query.output}{query.id}-manifest.csv"
        self.tables.objects.put(query.manifest, "".join(f"{uri}\n" for uri in written).encode())
        self.tables.objects.put(f"{query.output}{query.id}.metadata", b"stand-in")
        query.update_count, query.names, query.types = rows.num_rows, [], []

    def _define(self, query: Query, action: Callable[[str], list[str]]) -> None:
        failure = self._failure()
        if failure:
            raise QueryFailed(failure.code, failure.message, retryable=failure.retryable)
        with self._stand_in.moto_lock:
            lines = action(query.database)
        name = {"SHOW_PARTITIONS": "partition", "SHOW_TABLES": "tab_name"}.get(query.subkind, "result")
        query.names, query.types = [name], [exp.DataType.build("varchar")]
        query.cells = [[line] for line in lines]
        self.tables.objects.put(f"{query.output}{query.id}.txt", "".join(f"{line}\n" for line in lines).encode())
        self.tables.objects.put(f"{query.output}{query.id}.txt.metadata", b"stand-in")

    def _describe(self, sql: str, database: str) -> dict[str, str]:
        """The columns of a query, with Glue's types."""
        translated = self._translated(sql, database)
        with self._connect() as connection, _errors():
            for scan in translated.scans:
                self.tables.open_empty(connection, scan)
            columns = connection.execute(f"DESCRIBE {translated.sql}").fetchall()
        _refuse_doubled(translated.names)
        kinds = (exp.DataType.build(column[1].strip('"'), dialect="duckdb").sql("hive").lower() for column in columns)
        return dict(zip(translated.names, (kind.replace(", ", ",") for kind in kinds), strict=True))


class _errors:  # noqa: N801 - reads as `with errors named as Trino's`
    """DuckDB's errors under Trino's names."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: object) -> None:
        if not isinstance(error, duckdb.Error):
            return
        if isinstance(error, duckdb.InterruptException):
            raise Stopped("Query cancelled by user") from None
        text = str(error)
        if found := re.search(r"\b([A-Z]+_[A-Z_]+): (.*)", text):
            raise QueryFailed(found[1], found[2]) from None
        if "Division by zero" in text:
            raise QueryFailed("DIVISION_BY_ZERO", "Division by zero") from None
        first = text.splitlines()[0]
        if found := re.search(r'column "(\w+)" must appear in the GROUP BY clause', text):
            message = f"line 1:1: '{found[1]}' must be an aggregate expression or appear in GROUP BY clause"
            raise QueryFailed("EXPRESSION_NOT_AGGREGATE", message) from None
        if isinstance(error, duckdb.OutOfRangeException):
            raise QueryFailed("NUMERIC_VALUE_OUT_OF_RANGE", first) from None
        if isinstance(error, duckdb.ConversionException):
            raise QueryFailed("INVALID_CAST_ARGUMENT", first.removeprefix("Conversion Error: ")) from None
        raise Unsupported(first) from None


def _refuse_doubled(names: list[str]) -> None:
    if doubled := next((name for name in names if names.count(name) > 1), None):
        raise QueryFailed("DUPLICATE_COLUMN_NAME", f"line 1:1: Column name '{doubled}' specified more than once")


def _invalid(message: str, code: str = "INVALID_INPUT") -> ServiceError:
    return ServiceError("InvalidRequestException", message, fields={"AthenaErrorCode": code})


def _described(query: Query) -> dict[str, Any]:
    suffix = {"SELECT": ".csv", "UNLOAD": ""}.get(query.subkind, ".txt")
    status: dict[str, Any] = {"State": query.state, "SubmissionDateTime": query.submitted}
    if query.completed:
        status["CompletionDateTime"] = query.completed
    if query.reason:
        status["StateChangeReason"] = query.reason
    if query.state == "FAILED":
        status["AthenaError"] = {
            "ErrorCategory": SYSTEM if query.retryable else USER,
            "ErrorType": ERROR_TYPE,
            "Retryable": query.retryable,
            "ErrorMessage": query.reason,
        }
    statistics: dict[str, Any] = {"DataScannedInBytes": query.scanned}
    if query.state in FINISHED:
        statistics |= {
            "EngineExecutionTimeInMillis": query.engine_ms,
            "QueryQueueTimeInMillis": query.queued_ms,
            "TotalExecutionTimeInMillis": query.queued_ms + query.engine_ms,
        }
    if query.manifest:
        statistics["DataManifestLocation"] = query.manifest
    return {
        "QueryExecutionId": query.id,
        "Query": query.sql,
        "StatementType": query.kind,
        "SubstatementType": query.subkind,
        "ResultConfiguration": {"OutputLocation": f"{query.output}{query.id}{suffix}"},
        "QueryExecutionContext": {"Database": query.database},
        "Status": status,
        "Statistics": statistics,
        "WorkGroup": query.workgroup,
        "EngineVersion": {
            "SelectedEngineVersion": "AUTO",
            "EffectiveEngineVersion": "Athena engine version 3",
        },
    }


def _column(name: str, kind: exp.DataType) -> dict[str, Any]:
    numbers = [int(each.name) for each in kind.expressions] if kind.is_type("decimal") else []
    text = kind.sql("trino").lower().split("(")[0]
    shown = {"real": "float"}.get(text, text) if kind.this.value not in ("TIMESTAMPTZ",) else "timestamp with time zone"
    precisions = {"varchar": 2147483647, "bigint": 19, "integer": 10, "double": 17, "timestamp": 3}
    return {
        "CatalogName": "hive",
        "SchemaName": "",
        "TableName": "",
        "Name": name,
        "Label": name,
        "Type": shown,
        "Precision": numbers[0] if numbers else precisions.get(shown, 0),
        "Scale": numbers[1] if len(numbers) > 1 else 0,
        "Nullable": "UNKNOWN",
        "CaseSensitive": shown == "varchar",
    }


def _cells(column: pa.ChunkedArray) -> list[str | None]:
    return [None if value is None else _text(value) for value in column.to_pylist()]


def _text(value: Any) -> str:
    """A value as Athena writes it into results."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return _java_double(value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}.{value.microsecond // 1000:03d}" + (" UTC" if value.tzinfo else "")
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}={_inner(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        if value and all(isinstance(each, tuple) for each in value):
            return "{" + ", ".join(f"{key}={_inner(each)}" for key, each in value) + "}"
        return "[" + ", ".join(_inner(each) for each in value) + "]"
    return str(value)


def _inner(value: Any) -> str:
    return "null" if value is None else _text(value)


def _java_double(value: float) -> str:
    """As Java's Double.toString: `1.2345678E7` from ten millions on."""
    if value != value:
        return "NaN"
    if abs(value) == float("inf"):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(value)
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    text = "".join(map(str, digits)).rstrip("0") or "0"
    power = exponent + len(digits) - 1
    return f"{'-' if sign else ''}{text[0]}.{text[1:] or '0'}E{power}"


def _quoted(cell: str | None) -> str:
    return "" if cell is None else '"' + cell.replace('"', '""') + '"'
