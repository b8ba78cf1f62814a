"""Parquet files as Athena reads them: whether the types go together, and what a scan costs."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from sqlglot import exp

from standin.trino.language import QueryFailed, Scan, duckdb_type

Leaf = tuple[str, str]
"""Physical type of a column, or GROUP, and its logical type."""


@lru_cache(maxsize=4096)
def _metadata(path: Path) -> pq.FileMetaData:
    return pq.read_metadata(path)


def file_columns(path: Path, uri: str) -> dict[str, tuple[str, Leaf]]:
    """Each column by its lower-case name: its name in the file, and its type."""
    try:
        schema = _metadata(path).schema
    except pa.ArrowInvalid:
        message = f"Not valid Parquet file: {uri} expected magic number: PAR1"
        raise QueryFailed("HIVE_BAD_DATA", message) from None
    leaves: dict[str, tuple[str, Leaf]] = {}
    for number in range(len(schema)):
        column = schema.column(number)
        own = column.path.split(".")[0]
        kind = (column.physical_type, column.logical_type.type) if column.path == own else ("GROUP", "")
        leaves.setdefault(own.lower(), (own, kind))
    return leaves


def is_readable(leaf: Leaf, glue: str) -> bool:
    """Whether Athena's Parquet reader makes the table's type of the file's."""
    physical, logical = leaf
    base = re.split(r"[(<]", glue.lower())[0]
    if base in ("map", "array", "struct"):
        return physical == "GROUP"
    if base in ("string", "varchar", "char", "binary"):
        return physical == "BYTE_ARRAY" and logical != "DECIMAL"
    if base == "decimal":
        return logical == "DECIMAL" or (physical in ("INT32", "INT64") and logical in ("NONE", "INT"))
    if base == "timestamp":
        return physical == "INT96" or (physical == "INT64" and logical == "TIMESTAMP")
    kinds = {
        "boolean": [("BOOLEAN", "NONE")],
        "date": [("INT32", "DATE"), ("INT32", "NONE")],
        "float": [("FLOAT", "NONE")],
        "double": [("DOUBLE", "NONE"), ("FLOAT", "NONE")],
        "bigint": [("INT64", "NONE"), ("INT64", "INT"), ("INT32", "NONE"), ("INT32", "INT")],
    }
    return leaf in kinds.get(base, [("INT32", "NONE"), ("INT32", "INT")])


def column_sql(own: str, leaf: Leaf, glue: str) -> str:
    name = f'"{own}"'
    if not is_readable(leaf, glue):
        return f"CAST(NULL AS {duckdb_type(glue)})"  # never read: the scan has checked the columns that are
    if glue.lower() == "timestamp":
        return f"CAST(CAST({name} AS TIMESTAMP_MS) AS TIMESTAMP)"
    if glue.lower() == "date" and leaf[1] != "DATE":
        return f"DATE '1970-01-01' + {name}"
    return f"CAST({name} AS {duckdb_type(glue)})"


def scan_cost(path: Path, uri: str, scan: Scan, leaves: dict[str, tuple[str, Leaf]]) -> int:
    """Compressed size of the columns needed, in row groups that the conditions do not exclude by their statistics."""
    metadata = _metadata(path)
    tops = [metadata.schema.column(n).path.split(".")[0].lower() for n in range(metadata.num_columns)]
    total = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)

        def statistics(name: str, group: Any = group) -> Any:
            return group.column(tops.index(name)).statistics if name in tops else None

        if all(_may_hold(conjunct, statistics) for conjunct in scan.conjuncts):
            total += sum(group.column(n).total_compressed_size for n, top in enumerate(tops) if top in scan.columns)
    return total


def is_domain_of(asked: exp.Expr, column: str) -> bool:
    """Whether a condition is a set of values and ranges of one column, of which Trino makes a domain."""
    asked = asked.unnest()
    if isinstance(asked, exp.And | exp.Or):
        return is_domain_of(asked.this, column) and is_domain_of(asked.expression, column)
    if isinstance(asked, exp.Not):
        return is_domain_of(asked.this, column)
    if isinstance(asked, exp.In):
        operands = [asked.this, *asked.expressions]
    elif isinstance(asked, exp.Between):
        operands = [asked.this, asked.args["low"], asked.args["high"]]
    elif isinstance(asked, exp.EQ | exp.NEQ | exp.LT | exp.LTE | exp.GT | exp.GTE):
        operands = [asked.left, asked.right]
    else:
        return False
    names = [each.name for each in operands if isinstance(each, exp.Column)]
    return names == [column] and all(isinstance(each, exp.Column | exp.Literal) for each in operands)


def _may_hold(asked: exp.Expr, statistics: Callable[[str], Any]) -> bool:
    """Whether a row group can hold a row for which the condition is true; what is not understood may be."""
    asked = asked.unnest()
    if isinstance(asked, exp.And):
        return _may_hold(asked.this, statistics) and _may_hold(asked.expression, statistics)
    if isinstance(asked, exp.Or):
        return _may_hold(asked.this, statistics) or _may_hold(asked.expression, statistics)
    if isinstance(asked, exp.Between):
        low = exp.GTE(this=asked.this, expression=asked.args["low"])
        high = exp.LTE(this=asked.this, expression=asked.args["high"])
        return _may_hold(low, statistics) and _may_hold(high, statistics)
    if isinstance(asked, exp.Is) and isinstance(asked.expression, exp.Null) and isinstance(asked.this, exp.Column):
        known = statistics(asked.this.name)
        return known is None or not known.has_null_count or known.null_count > 0
    if not isinstance(asked, exp.EQ | exp.LT | exp.LTE | exp.GT | exp.GTE):
        return True
    column, bound = asked.left, _constant(asked.right)
    flipped = isinstance(asked.right, exp.Column)
    if flipped:
        column, bound = asked.right, _constant(asked.left)
    if not isinstance(column, exp.Column) or bound is None:
        return True
    known = statistics(column.name)
    if known is None or not known.has_min_max:
        return True
    low, high = _comparable(known.min), _comparable(known.max)
    if type(low) is not type(bound) and not (isinstance(low, int | float) and isinstance(bound, int | float | Decimal)):
        return True
    operator = type(asked)
    if flipped:
        operator = {exp.LT: exp.GT, exp.LTE: exp.GTE, exp.GT: exp.LT, exp.GTE: exp.LTE}.get(operator, operator)
    return {
        exp.EQ: low <= bound <= high,
        exp.LT: low < bound,
        exp.LTE: low <= bound,
        exp.GT: high > bound,
        exp.GTE: high >= bound,
    }[operator]


def _constant(node: exp.Expr) -> Any:
    if isinstance(node, exp.Cast) and isinstance(node.this, exp.Literal):
        kind = node.to.this.value
        if kind in ("DATE", "TIMESTAMP"):
            try:
                return _comparable(datetime.fromisoformat(node.this.this))
            except ValueError:
                return None
        return Decimal(node.this.this) if kind == "DECIMAL" else None
    if isinstance(node, exp.Literal):
        return node.this if node.is_string else Decimal(node.this)
    return None


def _comparable(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - as SQL compares a date with a timestamp
    return value
