"""One execution of Athena, as the API describes it, and its values as Athena writes them into results."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
from sqlglot import exp

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


def described(query: Query) -> dict[str, Any]:
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


def column_info(name: str, kind: exp.DataType) -> dict[str, Any]:
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


def result_cells(column: pa.ChunkedArray) -> list[str | None]:
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


def csv_cell(cell: str | None) -> str:
    return "" if cell is None else '"' + cell.replace('"', '""') + '"'
