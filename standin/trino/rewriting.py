"""A query's nodes that DuckDB would read with another meaning, replaced by what means the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlglot import exp

from standin.trino.language import Unsupported
from standin.trino.types import decimal_size, is_integer, is_type, type_class, type_name

MACROS = """
CREATE MACRO trino_integer(x, name) AS CASE WHEN regexp_full_match(x, '[+-]?[0-9]+') THEN x WHEN x IS NOT NULL
    THEN error('INVALID_CAST_ARGUMENT: Cannot cast ''' || x || ''' to ' || name) END;
CREATE MACRO trino_try_integer(x) AS CASE WHEN regexp_full_match(x, '[+-]?[0-9]+') THEN x END;
CREATE MACRO trino_unscaled(x) AS CAST(replace(CAST(x AS VARCHAR), '.', '') AS HUGEINT);
CREATE MACRO trino_quotient(n, d) AS CASE WHEN d = 0 THEN error('DIVISION_BY_ZERO: Division by zero')
    ELSE sign(n) * sign(d) * ((2 * abs(n) + abs(d)) // (2 * abs(d))) END;
CREATE MACRO trino_map_at(m, k) AS CASE WHEN m IS NULL OR map_contains(m, k) THEN m[k]
    ELSE error('INVALID_FUNCTION_ARGUMENT: Key not present in map: ' || k) END;
CREATE MACRO trino_array_at(a, i) AS CASE WHEN a IS NULL OR i BETWEEN 1 AND len(a) THEN a[i]
    ELSE error('INVALID_FUNCTION_ARGUMENT: Array subscript must be less than or equal to array length: '
        || i || ' > ' || len(a)) END;
"""


def rewritten(tree: exp.Query, now: datetime) -> exp.Query:
    """Each node that DuckDB would read with another meaning, replaced; children before their parents."""
    for node in reversed(list(tree.walk(bfs=True))):
        handler = _HANDLERS.get(type(node))
        if handler is not None:
            handler(node)
        elif isinstance(node, exp.CurrentDate):
            node.replace(exp.cast(exp.Literal.string(now.astimezone(UTC).date().isoformat()), "date"))
        elif isinstance(node, exp.CurrentTimestamp):
            node.replace(exp.cast(exp.Literal.string(now.isoformat()), "timestamptz"))
        elif isinstance(node, exp.Anonymous):
            _anonymous(node)
    return tree


def _wrap(node: exp.Expr, wrapper: Callable[[exp.Expr], exp.Expr]) -> None:
    """Put `wrapper` around a node, and around the window or filter that it is the function of."""
    around = (exp.Window, exp.Filter, exp.WithinGroup, exp.IgnoreNulls)
    while isinstance(node.parent, around) and node.arg_key == "this":
        node = node.parent
    hole = exp.Null()
    node.replace(hole)
    wrapped = wrapper(node)
    wrapped.type = wrapped.type or node.type
    hole.replace(wrapped)


def _cast(kind: str | exp.DataType) -> Callable[[exp.Expr], exp.Expr]:
    kind = exp.DataType.build(kind) if isinstance(kind, str) else kind.copy()
    return lambda node: exp.Cast(this=node, to=kind)


def _call(name: str, *arguments: exp.Expr | str | int) -> exp.Anonymous:
    values = [each if isinstance(each, exp.Expr) else exp.convert(each) for each in arguments]
    return exp.Anonymous(this=name, expressions=values)


def _divide(node: exp.Div) -> None:
    if is_type(node, "UNKNOWN"):
        raise Unsupported(f"a division whose types are not known: {node.sql('trino')}")
    if is_type(node, "DOUBLE"):
        return
    if is_integer(node):
        node.replace(exp.IntDiv(this=node.this, expression=node.expression))
        return
    node.replace(_decimal_quotient(node.this, node.expression, node.this.type, node.expression.type))


def _decimal_quotient(left: exp.Expr, right: exp.Expr, left_type: Any, right_type: Any) -> exp.Expr:
    """Exact, rounded half up, by integers: DuckDB divides decimals as doubles."""
    (p1, s1), (p2, s2) = decimal_size(left_type), decimal_size(right_type)
    scale, precision = max(s1, s2), min(38, p1 + s2 + max(0, s2 - s1))
    dividend = exp.Mul(
        this=_call("trino_unscaled", _cast(f"decimal({min(38, p1)}, {s1})")(left)),
        expression=exp.Cast(this=exp.Literal.string("1" + "0" * (scale + s2 - s1)), to=exp.DataType.build("int128")),
    )
    divisor = _call("trino_unscaled", _cast(f"decimal({min(38, p2)}, {s2})")(right))
    quotient = _cast("decimal(38, 0)")(_call("trino_quotient", dividend, divisor))
    unit = exp.Literal.string(f"{Decimal(1).scaleb(-scale):f}")
    unscaled = exp.Mul(this=quotient, expression=_cast(f"decimal({scale + 1}, {scale})")(unit))
    return _cast(f"decimal({precision}, {scale})")(unscaled)


def _sum(node: exp.Sum) -> None:
    if is_integer(node.this):
        _wrap(node, _cast("bigint"))  # DuckDB's sum of integers has 128 bits


def _avg(node: exp.Avg) -> None:
    if not is_type(node.this, "DECIMAL"):
        return
    kind = node.this.type
    argument = node.this

    def quotient(average: exp.Expr) -> exp.Expr:
        total, count = average.copy(), average.copy()
        for each, function in ((total, exp.Sum), (count, exp.Count)):
            inner = each if isinstance(each, exp.Avg) else each.find(exp.Avg)
            replaced = function(this=argument.copy())
            inner.replace(replaced)
            if inner is each:
                (total, count) = (replaced, count) if function is exp.Sum else (total, replaced)
        count = exp.func("NULLIF", count, exp.Literal.number(0))
        sums = exp.DataType.build(f"decimal(38, {decimal_size(kind)[1]})")
        return _cast(kind)(_decimal_quotient(total, count, sums, exp.DataType.build("bigint")))

    _wrap(node, quotient)


def _keep_date(node: exp.Expr) -> None:
    if is_type(node, "DATE"):
        _wrap(node, _cast("date"))  # DuckDB makes a timestamp of it


def _add(node: exp.Add | exp.Sub) -> None:
    if isinstance(node, exp.Sub) and type_class(node.this) == type_class(node.expression) == "time":
        raise Unsupported("the difference of two times as an interval (use date_diff)")
    _keep_date(node)


def _date_diff(node: exp.DateDiff) -> None:
    def moment(side: exp.Expr) -> exp.Expr:
        return _cast("timestamp")(side) if is_type(side, "DATE") else side

    # DuckDB's date_diff counts the boundaries that are crossed, Trino's the whole units that have passed.
    unit = node.text("unit").lower() or "day"
    node.replace(_call("date_sub", unit, moment(node.expression), moment(node.this)))


def _date_trunc(node: exp.Expr) -> None:
    _keep_date(node)


def _cast_from(node: exp.Cast) -> None:
    source, target = node.this, node.args["to"]
    name = type_name(target)
    if name in ("TIMESTAMP", "DATETIME", "TIMESTAMPTZ", "TIMESTAMPNTZ"):
        target.set("expressions", [])  # of a precision: DuckDB's own are other types
    if name in ("TEXT", "VARCHAR") and target.expressions:
        node.replace(_call("left", _cast("varchar")(source), int(target.expressions[0].name)))
        return
    if name in ("TEXT", "VARCHAR") and is_type(source, "TIMESTAMP", "DATETIME", "TIMESTAMPNTZ"):
        node.replace(_call("strftime", source, "%Y-%m-%d %H:%M:%S.%g"))
        return
    attempt = isinstance(node, exp.TryCast)
    if name == "DECIMAL" and not target.expressions:
        literal = source.this if isinstance(source, exp.Literal) else ""
        kind = Decimal(literal or 0).as_tuple() if literal else None
        scale = max(0, -kind.exponent) if kind else 0
        node.set("to", exp.DataType.build(f"decimal({max(len(kind.digits), scale) if kind else 38}, {scale})"))
    if name == "DECIMAL" and is_type(source, "DOUBLE", "FLOAT"):
        # Trino goes by the shortest text of the double, too; DuckDB multiplies, and is off from 1000 on.
        node.set("this", _cast("varchar")(source))
    elif name in ("TINYINT", "SMALLINT", "INT", "BIGINT") and type_class(source) == "text":
        shown = {"INT": "INTEGER"}.get(name, name)
        called = _call("trino_try_integer", source) if attempt else _call("trino_integer", source, shown)
        node.set("this", called)  # DuckDB would take '1.5' and ' 1 ' as integers
    elif name in ("TINYINT", "SMALLINT", "INT", "BIGINT") and is_type(source, "DOUBLE", "FLOAT"):
        node.set("this", exp.Round(this=source))  # halves away from zero, as Trino has them


def _bracket_at(node: exp.Bracket) -> None:
    [key] = node.expressions
    safe = node.args.get("safe")  # element_at
    if is_type(node.this, "MAP"):
        node.replace(_call("map_extract_value" if safe else "trino_map_at", node.this, key))
    elif is_type(node.this, "ARRAY", "LIST"):
        node.replace(_call("list_extract" if safe else "trino_array_at", node.this, key))
    else:
        raise Unsupported(f"a subscript of a type that is not known: {node.sql('trino')}")


def _arg(name: str) -> Callable[[exp.Expr], None]:
    def handler(node: exp.Expr) -> None:
        if node.args.get("count"):
            raise Unsupported(f"{name} with a number of values")
        node.replace(_call(name, node.this, node.expression))  # arg_max alone skips rows whose value is NULL

    return handler


def _round(node: exp.Round) -> None:
    if is_type(node.this, "DECIMAL"):
        precision, scale = decimal_size(node.this.type)
        _wrap(node, _cast(f"decimal({min(38, precision + 1)}, {scale})"))  # DuckDB drops the digits that are zero


def _at_time_zone(node: exp.AtTimeZone) -> None:
    node.replace(_call("timezone", node.args["zone"], _cast("timestamptz")(node.this)))


def _anonymous(node: exp.Anonymous) -> None:
    if node.name.lower() == "at_timezone":
        moment, zone = node.expressions
        node.replace(_call("timezone", zone, _cast("timestamptz")(moment)))


_HANDLERS: dict[type[exp.Expr], Callable[[Any], None]] = {
    exp.Div: _divide,
    exp.Sum: _sum,
    exp.Avg: _avg,
    exp.Add: _add,
    exp.Sub: _add,
    exp.DateAdd: _keep_date,
    exp.DateDiff: _date_diff,
    exp.TimestampTrunc: _date_trunc,
    exp.DateTrunc: _date_trunc,
    exp.Cast: _cast_from,
    exp.TryCast: _cast_from,
    exp.Bracket: _bracket_at,
    exp.ArgMax: _arg("arg_max_null"),
    exp.ArgMin: _arg("arg_min_null"),
    exp.CountIf: lambda node: _wrap(node, _cast("bigint")),
    exp.ApproxDistinct: lambda node: node.replace(exp.Count(this=exp.Distinct(expressions=[node.this]))),
    exp.Round: _round,
    exp.AtTimeZone: _at_time_zone,
}
