"""Athena's API: executions from QUEUED to their end, and their results in S3. SQL is not understood here."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import duckdb
import pyarrow as pa
from moto.backends import get_backend
from sqlglot import exp

from standin.athena_errors import Stopped, invalid, refuse_doubled, trino_errors
from standin.athena_queries import FINISHED, Failure, Query, column_info, csv_cell, described, result_cells
from standin.faults import Call, ServiceError
from standin.statements import Statements
from standin.tables import Tables
from standin.trino.language import Malformed, QueryFailed, Translated, Unsupported, check_syntax
from standin.trino.rewriting import MACROS
from standin.trino.translation import Translations
from standin.unload import Unload, parse_unload, refuse_if_taken, write_files

if TYPE_CHECKING:
    from standin.protocols import Answer
    from standin.server import StandIn

LONGEST_QUERY = 262_144
WORKERS = 4
NO_OUTPUT = (
    "No output location provided. An output location is required either through the Workgroup result configuration "
    "setting or as an API input."
)


TRANSLATIONS = Translations()

MOTO_ANSWERS = frozenset({"CreateWorkGroup", "GetWorkGroup", "ListWorkGroups", "DeleteWorkGroup"})


class Athena:
    """The service, and for tests the knobs `min_seconds`, `max_active` and `fail_next`."""

    def __init__(self, stand_in: StandIn) -> None:
        self._stand_in = stand_in
        self.tables = Tables(stand_in)
        self._statements = Statements(self.tables, self._describe)
        self._engine: duckdb.DuckDBPyConnection | None = None
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
        self.queries = []
        self.min_seconds, self.max_active = 0.0, 20
        self._failures: list[Failure] = []

    def close(self) -> None:
        """Let the engine go, which keeps nothing from one query to the next, and is opened again when it is needed."""
        with self._engine_lock:
            if self._engine is not None:
                self._engine.close()
                self._engine = None

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
        with self._connect() as connection, trino_errors():
            for scan in translated.scans:
                self.tables.open(connection, scan)
            return connection.execute(translated.sql).fetchall()

    def answer(self, call: Call) -> Answer | None:
        if call.operation in MOTO_ANSWERS:
            return None
        operation = {
            "StartQueryExecution": self._start,
            "GetQueryExecution": lambda p: {"QueryExecution": described(self._query(p["QueryExecutionId"]))},
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
                    raise invalid("ClientRequestToken must have 32 to 128 characters")
                same = next((query for query in self.queries if query.token == token), None)
                if same and same.request != params:
                    raise invalid("Idempotent parameters do not match")
                if same:
                    return {"QueryExecutionId": same.id}
            if len(sql.encode()) > LONGEST_QUERY:
                raise invalid(
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
            raise invalid(f"WorkGroup {name} is not found.")
        if group.state == "DISABLED":
            raise invalid(f"WorkGroup {name} is disabled.")
        settings = group.configuration
        own = (settings.get("ResultConfiguration") or {}).get("OutputLocation")
        asked = (params.get("ResultConfiguration") or {}).get("OutputLocation")
        # moto's `primary` says that it enforces what it does not have; AWS's does not.
        enforced = settings.get("EnforceWorkGroupConfiguration") and own
        output = own if enforced else asked or own
        if not output:
            raise invalid(NO_OUTPUT)
        bucket = re.sub("^s3://", "", output).split("/")[0]
        if not self.tables.objects.exists(bucket):
            raise invalid(f"Unable to verify/create output bucket {bucket}")
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
                check_syntax(sql)
                return lambda q: self._select(q, sql)
            if re.match(r"UNLOAD\b", sql, re.I):
                query.subkind = "UNLOAD"
                inner = re.match(r"UNLOAD\s*(\(.*\))\s*TO\s*'", sql, re.I | re.S)
                if inner:
                    check_syntax(inner[1][1:-1])
                return lambda q: self._unload(q, sql)
            if explained := re.match(r"EXPLAIN\s*\(\s*TYPE\s+VALIDATE\s*\)\s*(.*)", sql, re.I | re.S):
                check_syntax(explained[1])
                query.kind, query.subkind = "UTILITY", "EXPLAIN"  # syntax, names and types: no row is read
                return lambda q: self._define(
                    q, lambda database: ["true"] * bool(self._describe(explained[1], database))
                )
            kind, action = self._statements.recognise(sql)
        except Malformed as error:
            raise invalid(str(error), "MALFORMED_QUERY") from None
        except Unsupported as error:
            self._stand_in.refused.append(f"athena: {error}")
            raise ServiceError("StandInDoesNotKnow", f"The stand-in AWS does not know {error}.") from None
        query.kind, query.subkind = "DDL", kind
        return lambda q: self._define(q, action)

    def _query(self, execution: str) -> Query:
        known = next((query for query in self.queries if query.id == execution), None)
        if known is None:
            raise invalid(f"QueryExecution {execution} was not found")
        return known

    def _batch(self, params: dict[str, Any]) -> Answer:
        known = {query.id: query for query in self.queries}
        asked = params["QueryExecutionIds"]
        unknown = [
            {"QueryExecutionId": each, "ErrorCode": "INVALID_INPUT", "ErrorMessage": f"{each} was not found"}
            for each in asked
            if each not in known
        ]
        described = [described(known[each]) for each in asked if each in known]
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
            raise invalid(f"WorkGroup {params['WorkGroup']} is not found.")
        if set(params) - {"WorkGroup", "State"}:
            raise ServiceError("StandInDoesNotKnow", "The stand-in AWS changes the State of a workgroup only.")
        group.state = params.get("State", group.state)
        return {}

    def _results(self, params: dict[str, Any]) -> Answer:
        query = self._query(params["QueryExecutionId"])
        if query.state not in FINISHED:
            raise invalid(f"Query has not yet finished. Current state: {query.state}")
        if query.state != "SUCCEEDED":
            raise invalid(f"Query did not finish successfully. Final query state: {query.state}")
        size = params.get("MaxResults", 1000)
        if not 1 <= size <= 1000:
            raise invalid("MaxResults is more than maximum allowed length 1000.")
        header = [query.names] if query.kind == "DML" and query.subkind == "SELECT" else []
        lines = header + query.cells
        start = int(params.get("NextToken") or 0)
        rows = [
            {"Data": [{} if cell is None else {"VarCharValue": cell} for cell in line]}
            for line in lines[start : start + size]
        ]
        more = {"NextToken": str(start + size)} if start + size < len(lines) else {}
        columns = [column_info(name, kind) for name, kind in zip(query.names, query.types, strict=True)]
        result_set = {"Rows": rows, "ResultSetMetadata": {"ColumnInfo": columns}}
        return {"UpdateCount": query.update_count, "ResultSet": result_set, **more}

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
            with trino_errors():
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
        return TRANSLATIONS.translate(sql, database, self.tables.lookup, self._stand_in.clock())

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
        query.cells = [list(line) for line in zip(*map(result_cells, rows.columns), strict=True)]
        lines = [query.names, *query.cells]
        text = "".join(",".join(csv_cell(cell) for cell in line) + "\n" for line in lines)
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
        refuse_doubled(query.names)
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
        if not translated.kinds:
            with self._connect() as connection, trino_errors():
                for scan in translated.scans:
                    self.tables.open_empty(connection, scan)
                columns = connection.execute(f"DESCRIBE {translated.sql}").fetchall()
            kinds = (exp.DataType.build(each[1].strip('"'), dialect="duckdb").sql("hive").lower() for each in columns)
            translated.kinds[:] = [kind.replace(", ", ",") for kind in kinds]
        refuse_doubled(translated.names)
        return dict(zip(translated.names, translated.kinds, strict=True))
