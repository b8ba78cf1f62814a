"""Types in a query as Trino has them, and its errors where they do not go together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from typing import Any

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect

from standin.trino.language import QueryFailed


@cache
def _kind(text: str) -> exp.DataType:
    """A type by its name, for looking at only: sqlglot parses each name anew, hundreds of times a statement."""
    return exp.DataType.build(text)


def _literal(annotator: Any, node: exp.Literal) -> exp.Literal:
    if node.is_string:
        kind = _kind("varchar")
    elif re.fullmatch(r"\d*\.\d*", node.this):
        value = Decimal(node.this).as_tuple()
        scale = -value.exponent
        kind = _kind(f"decimal({max(len(value.digits), scale)}, {scale})")
    elif node.is_int:
        kind = _kind("int" if int(node.this) < 2**31 else "bigint")
    else:
        kind = _kind("double")
    annotator._set_type(node, kind)
    return node


def _as(kind: str) -> dict[str, Any]:
    return {"annotator": lambda annotator, node: annotator._set_type(node, _kind(kind)) or node}


def _as_first(annotator: Any, node: exp.Expr) -> exp.Expr:
    annotator._set_type(node, node.this.type)
    return node


def _truncated(annotator: Any, node: exp.Expr) -> exp.Expr:
    return _as_first(annotator, node)


def _bracket(annotator: Any, node: exp.Bracket) -> exp.Bracket:
    kinds = node.this.type.expressions if node.this.type else []
    annotator._set_type(node, kinds[-1] if kinds else _kind("unknown"))
    return node


def _transformed(annotator: Any, node: exp.Transform) -> exp.Transform:
    of = node.expression.this.type
    annotator._set_type(node, exp.DataType(this=exp.DType.ARRAY, expressions=[of.copy()], nested=True) if of else None)
    return node


def _quotient(annotator: Any, node: exp.Div) -> exp.Div:
    left, right = decimal_size(node.this.type), decimal_size(node.expression.type)
    if is_type(node.this, "FLOAT", "DOUBLE") or is_type(node.expression, "FLOAT", "DOUBLE"):
        kind = "double"
    elif left and right and not (is_integer(node.this) and is_integer(node.expression)):
        (p1, s1), (_, s2) = left, right
        kind = f"decimal({min(38, p1 + s2 + max(0, s2 - s1))}, {max(s1, s2)})"
    elif left and right:
        kind = "bigint" if "BIGINT" in (type_name(node.this.type), type_name(node.expression.type)) else "int"
    else:
        kind = "unknown"
    annotator._set_type(node, _kind(kind))
    return node


def _average(annotator: Any, node: exp.Avg) -> exp.Avg:
    annotator._set_type(node, node.this.type if is_type(node.this, "DECIMAL") else _kind("double"))
    return node


METADATA = Dialect.get_or_raise("athena").EXPRESSION_METADATA | {
    exp.Literal: {"annotator": _literal},
    exp.TimestampTrunc: {"annotator": _truncated},
    exp.DateTrunc: {"annotator": _truncated},
    exp.LastDay: _as("date"),
    exp.FromISO8601Timestamp: _as("timestamptz"),
    exp.FromISO8601Date: _as("date"),
    exp.CurrentTimestamp: _as("timestamptz"),
    exp.AtTimeZone: _as("timestamptz"),
    exp.JSONExtractScalar: _as("varchar"),
    exp.RegexpExtract: _as("varchar"),
    exp.SplitPart: _as("varchar"),
    exp.ArrayToString: _as("varchar"),
    exp.TimeToUnix: _as("double"),
    exp.UnixToTime: _as("timestamptz"),
    exp.Grouping: _as("bigint"),
    exp.DateDiff: _as("bigint"),
    exp.Split: _as("array<varchar>"),
    exp.ArgMax: {"annotator": _as_first},
    exp.ArgMin: {"annotator": _as_first},
    exp.AnyValue: {"annotator": _as_first},
    exp.Lag: {"annotator": _as_first},
    exp.Lead: {"annotator": _as_first},
    exp.FirstValue: {"annotator": _as_first},
    exp.LastValue: {"annotator": _as_first},
    exp.Bracket: {"annotator": _bracket},
    exp.Transform: {"annotator": _transformed},
    exp.Div: {"annotator": _quotient},
    exp.Avg: {"annotator": _average},
}


def type_name(kind: exp.DataType | None) -> str:
    return kind.this.value if isinstance(kind, exp.DataType) else "UNKNOWN"


def is_type(node: exp.Expr, *names: str) -> bool:
    return type_name(node.type) in names


def is_integer(node: exp.Expr) -> bool:
    return is_type(node, "TINYINT", "SMALLINT", "INT", "BIGINT")


def decimal_size(kind: exp.DataType | None) -> tuple[int, int] | None:
    """Precision and scale of a number that is exact."""
    whole = {"TINYINT": 3, "SMALLINT": 5, "INT": 10, "BIGINT": 19}
    if type_name(kind) in whole:
        return whole[type_name(kind)], 0
    if type_name(kind) != "DECIMAL":
        return None
    given = [int(each.name) for each in kind.expressions]
    return (given[0], given[1] if len(given) > 1 else 0) if given else (38, 0)


def type_class(node: exp.Expr) -> str | None:
    """Types that compare with each other; `None` for what is not known or NULL."""
    name = type_name(node.type)
    if name in ("TEXT", "VARCHAR", "CHAR", "NCHAR", "NVARCHAR"):
        return "text"
    if name in ("FLOAT", "DOUBLE") or decimal_size(node.type):
        return "number"
    if name in ("DATE", "TIMESTAMP", "TIMESTAMPTZ", "DATETIME", "TIMESTAMPNTZ", "TIMESTAMPLTZ"):
        return "time"
    return "boolean" if name == "BOOLEAN" else None


def _shown(node: exp.Expr) -> str:
    if isinstance(node, exp.Literal) and node.is_string:
        return f"varchar({len(node.this)})"
    return node.type.sql("trino").lower()


_OPERATORS = {
    exp.EQ: "=", exp.NEQ: "<>", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">=",
    exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/", exp.Mod: "%",
}  # fmt: skip


_NUMERIC = (exp.Sum, exp.Avg, exp.Round, exp.Abs)
_TEMPORAL = (exp.TimestampTrunc, exp.DateAdd, exp.Year, exp.Month, exp.Day)


def check_types(tree: exp.Query) -> None:
    for node in tree.walk():
        for left, right in _pairs(node):
            classes = {type_class(left), type_class(right)} - {None}
            arithmetic = isinstance(node, exp.Add | exp.Sub | exp.Mul | exp.Div | exp.Mod)
            if len(classes) > 1 or (arithmetic and "text" in classes):
                raise QueryFailed("TYPE_MISMATCH", f"line 1:1: {_mismatch(node, left, right)}")
        if isinstance(node, _NUMERIC) and type_class(node.this) in ("text", "time", "boolean"):
            _refuse_argument(node)
        if isinstance(node, _TEMPORAL) and type_class(node.this) in ("text", "number", "boolean"):
            _refuse_argument(node)
        if isinstance(node, exp.Concat | exp.DPipe):
            for part in node.expressions or (node.this, node.expression):
                if type_class(part) not in ("text", None):
                    _refuse_argument(node, part)


def _pairs(node: exp.Expr) -> Iterator[tuple[exp.Expr, exp.Expr]]:
    """The operands of a node that must be of types that go together."""
    if isinstance(node, tuple(_OPERATORS)):
        yield node.left, node.right
    elif isinstance(node, exp.Between):
        yield from ((node.this, node.args["low"]), (node.this, node.args["high"]))
    elif isinstance(node, exp.In):
        query = node.args.get("query")
        others = query.unnest().selects if query else node.expressions
        yield from ((node.this, other) for other in others)
    elif isinstance(node, exp.Coalesce):
        yield from ((node.this, other) for other in node.expressions)
    elif isinstance(node, exp.Case):
        results = [branch.args["true"] for branch in node.args["ifs"]] + [node.args.get("default")]
        results = [result for result in results if result is not None]
        yield from ((results[0], other) for other in results[1:])
    elif isinstance(node, exp.SetOperation):
        yield from zip(node.left.selects, node.right.selects, strict=False)


def _mismatch(node: exp.Expr, left: exp.Expr, right: exp.Expr) -> str:
    if type(node) in _OPERATORS:
        return f"Cannot apply operator: {_shown(left)} {_OPERATORS[type(node)]} {_shown(right)}"
    if isinstance(node, exp.Between):
        return f"Cannot check if {_shown(left)} is BETWEEN {_shown(node.args['low'])} and {_shown(node.args['high'])}"
    if isinstance(node, exp.In):
        return f"IN value and list items must be the same type: {_shown(left)} and {_shown(right)}"
    kind = {exp.Coalesce: "COALESCE operands", exp.Case: "CASE results"}.get(type(node))
    if kind:
        return f"All {kind} must be the same type or coercible to a common type: {_shown(left)}, {_shown(right)}"
    return f"column in UNION query has incompatible types: {_shown(left)}, {_shown(right)}"


def _refuse_argument(node: exp.Expr, argument: exp.Expr | None = None) -> None:
    name = {"timestamptrunc": "date_trunc", "dateadd": "date_add", "dpipe": "concat"}.get(node.key, node.key)
    shown = _shown(argument or node.this)
    raise QueryFailed("TYPE_MISMATCH", f"line 1:1: Unexpected parameters ({shown}) for function {name}")
