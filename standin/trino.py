"""Athena's SQL (engine version 3, Trino) as DuckDB's: names, types and errors as Trino has them. Reads no data.

What cannot be said in DuckDB with Trino's meaning is refused by `Unsupported`, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import OptimizeError, ParseError, TokenError
from sqlglot.expressions.builders import apply_index_offset
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.pushdown_projections import pushdown_projections
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import build_scope, traverse_scope
from sqlglot.schema import MappingSchema
from sqlglot.tokens import Token, TokenType

CATALOG = "awsdatacatalog"
HIDDEN = {"$path": "string", "$file_modified_time": "timestamp"}
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


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FUNCTIONS = _words(
    """
    abs approx_distinct approx_percentile arbitrary any_value array_agg array_join at_timezone avg bool_and
    bool_or cardinality ceil ceiling chr coalesce concat contains corr count count_if cume_dist current_date
    current_timestamp date date_add date_diff date_format date_parse date_trunc day day_of_month day_of_week
    dense_rank dow element_at every exp first_value floor from_iso8601_date from_iso8601_timestamp from_unixtime
    greatest grouping hour if json_extract_scalar lag last_day_of_month last_value lead least length listagg ln
    lower lpad ltrim map map_keys map_values max max_by min min_by minute mod month now nth_value ntile nullif
    percent_rank position pow power quarter rank regexp_extract regexp_like regexp_replace replace reverse round
    row_number rpad rtrim second sha256 sign split split_part sqrt starts_with stddev strpos substr substring sum
    to_hex to_unixtime to_utf8 trim try try_cast unnest upper variance week year cast extract exists array
    """
)
"""What is known to mean the same here as there; everything else is refused or not registered."""

ELSEWHERE = _words(
    """
    acos all_match any_match approx_most_frequent approx_set array_distinct array_except array_intersect
    array_max array_min array_position array_remove array_sort array_sum array_union arrays_overlap asin atan
    atan2 bar bitwise_and bitwise_or bitwise_xor cbrt char2hexint checksum codepoint combinations concat_ws
    convert cos cosh covar_pop covar_samp crc32 current_time current_timezone day_of_year degrees doy e entropy
    filter flatten format format_datetime format_number from_base from_base64 from_hex geometric_mean
    hamming_distance histogram human_readable_seconds infinity is_finite is_infinite is_json_scalar is_nan
    json_array json_array_contains json_array_get json_array_length json_exists json_extract json_format
    json_object json_parse json_query json_size json_value kurtosis levenshtein_distance localtime
    localtimestamp log log10 log2 luhn_check map_agg map_concat map_entries map_filter map_from_entries
    map_union map_zip_with md5 merge millisecond multimap_agg nan ngrams none_match normalize numeric_histogram
    parse_datetime parse_duration pi qdigest_agg radians rand random reduce reduce_agg regexp_count
    regexp_extract_all regexp_position regexp_split regr_intercept regr_slope repeat row sequence sha1
    sha512 shuffle sin skewness slice soundex split_to_map stddev_pop stddev_samp tan tanh tdigest_agg
    timezone_hour timezone_minute to_base64 to_iso8601 to_milliseconds transform transform_keys transform_values
    translate trim_array truncate typeof url_decode url_encode url_extract_host
    url_extract_path uuid value_at_quantile var_pop var_samp week_of_year width_bucket with_timezone word_stem
    xxhash64 year_of_week yow zip zip_with
    """
)
"""Functions of Trino that are not done here: a query that calls one is refused, loudly."""

NO_CALLS = _words(
    """
    all and any as between bigint by case char cube decimal distinct double else end except filter following
    from group having in int integer intersect interval is join lateral like limit not null on or order over
    partition rollup row rows select sets smallint table then time timestamp tinyint union using values varchar
    when where with within real date
    """
)
"""Words that may stand before a parenthesis without being called."""


class QueryFailed(Exception):  # noqa: N818 - named as the state is
    """A query that ends as FAILED; the message begins with Trino's name of the error."""

    def __init__(self, code: str, message: str, *, retryable: bool = False) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.retryable = code, message, retryable


class Malformed(Exception):  # noqa: N818 - what the text is
    """A text that is no statement: Athena refuses it when the query is started."""


class Unsupported(Exception):  # noqa: N818 - what the request is
    """Something of Athena that this stand-in does not do."""


@dataclass(frozen=True)
class Relation:
    """What a table's name stands for: columns in order with Glue's types, or the text of a view."""

    database: str
    name: str
    columns: dict[str, str]
    view: str | None = None


@dataclass
class Scan:
    """One reading of a table by a query: which columns it needs and what it asks of the rows.

    `conjuncts` hold for every row that can matter; their columns are named without the table.
    """

    name: str
    table: Relation
    columns: set[str] = field(default_factory=set)
    conjuncts: list[exp.Expr] = field(default_factory=list)


@dataclass(frozen=True)
class Translated:
    """A query in DuckDB's SQL, which reads each scan under its name."""

    sql: str
    scans: list[Scan]
    names: list[str]


Lookup = Callable[[str, str], Relation | None]
"""The table of a database by name; `None` where there is no such table, KeyError where there is no such database."""


def parse(sql: str) -> exp.Query:
    """The syntax tree of a query.

    Raises:
        Malformed: it is none.
    """
    try:
        tree = sqlglot.parse_one(sql, read="athena")
    except (ParseError, TokenError) as error:
        first = error.errors[0] if getattr(error, "errors", None) else {}
        where = f"line {first.get('line', 1)}:{first.get('col', 1)}"
        raise Malformed(f"{where}: mismatched input {first.get('highlight', '')!r}") from None
    if not isinstance(tree, exp.Query):
        raise Malformed("line 1:1: mismatched input. Expecting a query")
    if re.search(r"\bLIMIT\s+\d+\s+OFFSET\b", sql, re.I):
        raise Malformed("line 1:1: mismatched input 'OFFSET'. Expecting: <EOF>")  # Trino has them the other way round
    return tree


def translate(sql: str, database: str, lookup: Lookup, now: datetime) -> Translated:
    """The query as DuckDB understands it.

    Raises:
        Malformed, QueryFailed, Unsupported: what the query asks for is no SQL, wrong, or not done here.
    """
    _check_functions(sql)
    scans: dict[str, Scan] = {}
    tree = _resolved(parse(sql), sql, database, lookup, scans, depth=0)
    visible = {scan.name: list(scan.table.columns) for scan in scans.values()}
    schema = MappingSchema(visible=visible, dialect="athena", normalize=False)
    for scan in scans.values():
        types = {name: _type(glue) for name, glue in (scan.table.columns | HIDDEN).items()}
        schema.add_table(exp.to_identifier(scan.name).name, types, dialect="athena")
    tree = _qualified(tree, schema)
    _settle_having(tree)
    tree = annotate_types(tree, schema=schema, dialect="athena", expression_metadata=_METADATA)
    names = _output_names(tree)
    _check_types(tree)
    _find_needs(tree, scans)
    return Translated(_in_duckdb(tree, now).sql("duckdb"), list(scans.values()), names)


def condition(conjunct: exp.Expr, now: datetime) -> str:
    """A scan's conjunct in DuckDB's SQL; its columns are named without a table."""
    holder = exp.Paren(this=conjunct.copy())
    return _in_duckdb(holder, now).sql("duckdb")


def duckdb_type(glue: str) -> str:
    return _type(glue).sql("duckdb")


def _type(glue: str) -> exp.DataType:
    return exp.DataType.build(glue, dialect="hive")


def trino_type(glue: str) -> str:
    """`string` -> `varchar`: how Trino calls a type of Glue."""
    return _type(glue).sql("trino").lower()


# Names ----------------------------------------------------------------------------------------------------------


def _check_functions(sql: str) -> None:
    try:
        tokens = Dialect.get_or_raise("athena").tokenize(sql)
    except TokenError as error:
        raise Malformed(str(error)) from None
    for before, token, after in zip([None, *tokens], tokens, tokens[1:], strict=False):
        name = token.text.lower()
        if after.token_type != TokenType.L_PAREN or not re.fullmatch(r"[a-z_][a-z_0-9]*", name):
            continue
        if token.token_type == TokenType.IDENTIFIER or name in FUNCTIONS or name in NO_CALLS or _is_name(before):
            continue
        if name in ELSEWHERE:
            raise Unsupported(f"function {name}")
        if _opens_with(tokens, token):
            continue
        raise QueryFailed(
            "FUNCTION_NOT_REGISTERED",
            f"line {token.line}:{token.col - len(token.text) + 1}: Function {name} not registered",
        )


def _is_name(before: Token | None) -> bool:
    """After AS, a name with a list of columns; after a closing parenthesis, an alias with one."""
    return before is not None and before.token_type in (TokenType.ALIAS, TokenType.R_PAREN)


def _opens_with(tokens: list[Token], token: Token) -> bool:
    """Whether the name is a common table expression's, with a list of columns: `WITH a (x) AS (`."""
    at = next(i for i, each in enumerate(tokens) if each is token)
    before = tokens[at - 1].token_type if at else None
    if before not in (TokenType.WITH, TokenType.COMMA):
        return False
    close = next((i for i in range(at, len(tokens)) if tokens[i].token_type == TokenType.R_PAREN), at)
    return [each.token_type for each in tokens[close + 1 : close + 3]] == [TokenType.ALIAS, TokenType.L_PAREN]


def _resolved(
    tree: exp.Query, sql: str, database: str, lookup: Lookup, scans: dict[str, Scan], depth: int
) -> exp.Query:
    """The query with lower-case names, without common table expressions and views, each table a scan of its own.

    Trino, too, writes a common table expression out wherever it is used, and so reads its tables each time.
    """
    if depth > 20:
        raise QueryFailed("VIEW_IS_RECURSIVE", "line 1:1: View is recursive")
    for identifier in tree.find_all(exp.Identifier):
        identifier.set("this", identifier.this.lower())
        identifier.set("quoted", True)
    for bracket in tree.find_all(exp.Bracket):
        if not bracket.args.get("offset"):
            # Subscripts count from 1 here; sqlglot keeps those it knows as numbers from 0 on, keys of maps, too.
            bracket.set("expressions", apply_index_offset(bracket.this, bracket.expressions, 1, dialect="athena"))
    for select in tree.find_all(exp.Select):
        # A name that nobody uses; at the top they are called by their place in the end.
        for number, projection in enumerate(select.expressions):
            if not isinstance(projection, exp.Alias | exp.Column | exp.Star | exp.Dot):
                projection.replace(exp.alias_(projection.copy(), f"_unnamed{number}", quoted=True))
    if any(join.args.get("method") == "NATURAL" for join in tree.find_all(exp.Join)):
        raise Unsupported("NATURAL JOIN")
    _inline(tree, {})
    for table in list(tree.find_all(exp.Table)):
        relation = _relation(table, sql, database, lookup)
        alias = exp.TableAlias(this=table.args["alias"].this if table.args.get("alias") else table.this.copy())
        if table.args.get("alias") and table.args["alias"].columns:
            alias.set("columns", table.args["alias"].columns)
        if relation.view is None:
            scan = Scan(f"scan_{len(scans) + 1}", relation)
            scans[scan.name] = scan
            table.replace(exp.Table(this=exp.to_identifier(scan.name, quoted=True), alias=alias))
        else:
            view = _resolved(parse(relation.view), relation.view, relation.database, lookup, scans, depth + 1)
            alias.set("columns", alias.columns or [exp.to_identifier(name, quoted=True) for name in relation.columns])
            table.replace(exp.Subquery(this=view, alias=alias))
    return tree


def _inline(node: exp.Expr, known: dict[str, tuple[exp.Query, list[exp.Identifier]]]) -> None:
    if isinstance(node, exp.Query) and (with_ := node.args.get("with_")):
        if with_.args.get("recursive"):
            raise Unsupported("WITH RECURSIVE")
        known = dict(known)
        for cte in with_.expressions:
            _inline(cte.this, known)
            known[cte.alias] = (cte.this, cte.args["alias"].columns)
        node.set("with_", None)
    for child in list(node.iter_expressions()):
        _inline(child, known)
    if isinstance(node, exp.Table) and not node.db and node.name in known:
        query, columns = known[node.name]
        alias = node.args.get("alias")
        name = alias.this if alias else node.this
        listed = alias.columns if alias and alias.columns else columns
        copied = exp.TableAlias(this=name.copy(), columns=[column.copy() for column in listed])
        node.replace(exp.Subquery(this=query.copy(), alias=copied))


def _relation(table: exp.Table, sql: str, database: str, lookup: Lookup) -> Relation:
    if not isinstance(table.this, exp.Identifier):
        raise Unsupported(f"a table function: {table.sql('trino')}")
    where = _position(table.args.get("catalog") or table.args.get("db") or table.this, sql)
    schema = table.db or database
    if table.catalog and table.catalog != CATALOG:
        raise QueryFailed("CATALOG_NOT_FOUND", f"{where}: Catalog '{table.catalog}' does not exist")
    if schema == "information_schema":
        raise Unsupported("information_schema")
    try:
        relation = lookup(schema, table.name)
    except KeyError:
        raise QueryFailed("SCHEMA_NOT_FOUND", f"{where}: Schema '{schema}' does not exist") from None
    if relation is None:
        name = f"{CATALOG}.{schema}.{table.name}"
        raise QueryFailed("TABLE_NOT_FOUND", f"{where}: Table '{name}' does not exist")
    return relation


def _position(node: exp.Expr, sql: str) -> str:
    start = node.meta.get("start")
    if start is None:
        return "line 1:1"
    return f"line {sql.count(chr(10), 0, start) + 1}:{start - sql.rfind(chr(10), 0, start)}"


def _qualified(tree: exp.Query, schema: MappingSchema) -> exp.Query:
    try:
        return qualify(tree, schema=schema, dialect="athena", expand_alias_refs=False)
    except OptimizeError as error:
        found = re.search(r"Column '?\"?([^'\"]+)\"?'?.*?(?:Line: (\d+), Col: (\d+))?$", str(error), re.S)
        name, line, end = found.groups() if found else (str(error), None, None)
        where = f"line {line}:{int(end) - len(name) + 1}" if line else "line 1:1"
        if "ambiguous" in str(error).lower():
            raise QueryFailed("AMBIGUOUS_NAME", f"{where}: Column '{name}' is ambiguous") from None
        if "column" not in str(error).lower():
            raise Unsupported(str(error)) from None
        raise QueryFailed("COLUMN_NOT_FOUND", f"{where}: Column '{name}' cannot be resolved") from None


def _settle_having(tree: exp.Query) -> None:
    """HAVING sees the columns that are read, never the names that SELECT gives."""
    for scope in traverse_scope(tree):
        having = scope.expression.args.get("having")
        for column in having.find_all(exp.Column) if having else ():
            if column.table:
                continue
            holders = [name for name, source in scope.sources.items() if column.name in _columns_of(scope, name)]
            if len(holders) != 1:
                raise QueryFailed("COLUMN_NOT_FOUND", f"line 1:1: Column '{column.name}' cannot be resolved")
            column.set("table", exp.to_identifier(holders[0], quoted=True))


def _columns_of(scope: Any, name: str) -> list[str]:
    source = scope.sources[name]
    if isinstance(source, exp.Table):
        return [column.name for column in scope.expression.find_all(exp.Column) if column.table == name]
    return source.expression.named_selects


def _output_names(tree: exp.Query) -> list[str]:
    """Outputs without a name are `_col` and their place."""
    names = enumerate(tree.named_selects)
    return [f"_col{place}" if re.fullmatch(r"_unnamed\d+|_col_\d+", name) else name for place, name in names]


# Types ----------------------------------------------------------------------------------------------------------


def _literal(annotator: Any, node: exp.Literal) -> exp.Literal:
    if node.is_string:
        kind = exp.DataType.build("varchar")
    elif re.fullmatch(r"\d*\.\d*", node.this):
        value = Decimal(node.this).as_tuple()
        scale = -value.exponent
        kind = exp.DataType.build(f"decimal({max(len(value.digits), scale)}, {scale})")
    elif node.is_int:
        kind = exp.DataType.build("int" if int(node.this) < 2**31 else "bigint")
    else:
        kind = exp.DataType.build("double")
    annotator._set_type(node, kind)
    return node


def _as(kind: str) -> dict[str, Any]:
    return {"annotator": lambda annotator, node: annotator._set_type(node, exp.DataType.build(kind)) or node}


def _as_first(annotator: Any, node: exp.Expr) -> exp.Expr:
    annotator._set_type(node, node.this.type)
    return node


def _truncated(annotator: Any, node: exp.Expr) -> exp.Expr:
    return _as_first(annotator, node)


def _bracket(annotator: Any, node: exp.Bracket) -> exp.Bracket:
    kinds = node.this.type.expressions if node.this.type else []
    annotator._set_type(node, kinds[-1] if kinds else exp.DataType.build("unknown"))
    return node


def _quotient(annotator: Any, node: exp.Div) -> exp.Div:
    left, right = _decimal(node.this.type), _decimal(node.expression.type)
    if _is(node.this, "FLOAT", "DOUBLE") or _is(node.expression, "FLOAT", "DOUBLE"):
        kind = "double"
    elif left and right and not (_is_integer(node.this) and _is_integer(node.expression)):
        (p1, s1), (_, s2) = left, right
        kind = f"decimal({min(38, p1 + s2 + max(0, s2 - s1))}, {max(s1, s2)})"
    elif left and right:
        kind = "bigint" if "BIGINT" in (_name(node.this.type), _name(node.expression.type)) else "int"
    else:
        kind = "unknown"
    annotator._set_type(node, exp.DataType.build(kind))
    return node


def _average(annotator: Any, node: exp.Avg) -> exp.Avg:
    annotator._set_type(node, node.this.type if _is(node.this, "DECIMAL") else exp.DataType.build("double"))
    return node


_METADATA = Dialect.get_or_raise("athena").EXPRESSION_METADATA | {
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
    exp.Div: {"annotator": _quotient},
    exp.Avg: {"annotator": _average},
}


def _name(kind: exp.DataType | None) -> str:
    return kind.this.value if isinstance(kind, exp.DataType) else "UNKNOWN"


def _is(node: exp.Expr, *names: str) -> bool:
    return _name(node.type) in names


def _is_integer(node: exp.Expr) -> bool:
    return _is(node, "TINYINT", "SMALLINT", "INT", "BIGINT")


def _decimal(kind: exp.DataType | None) -> tuple[int, int] | None:
    """Precision and scale of a number that is exact."""
    whole = {"TINYINT": 3, "SMALLINT": 5, "INT": 10, "BIGINT": 19}
    if _name(kind) in whole:
        return whole[_name(kind)], 0
    if _name(kind) != "DECIMAL":
        return None
    given = [int(each.name) for each in kind.expressions]
    return (given[0], given[1] if len(given) > 1 else 0) if given else (38, 0)


def _class(node: exp.Expr) -> str | None:
    """Types that compare with each other; `None` for what is not known or NULL."""
    name = _name(node.type)
    if name in ("TEXT", "VARCHAR", "CHAR", "NCHAR", "NVARCHAR"):
        return "text"
    if name in ("FLOAT", "DOUBLE") or _decimal(node.type):
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


def _check_types(tree: exp.Query) -> None:
    for node in tree.walk():
        for left, right in _pairs(node):
            classes = {_class(left), _class(right)} - {None}
            arithmetic = isinstance(node, exp.Add | exp.Sub | exp.Mul | exp.Div | exp.Mod)
            if len(classes) > 1 or (arithmetic and "text" in classes):
                raise QueryFailed("TYPE_MISMATCH", f"line 1:1: {_mismatch(node, left, right)}")
        if isinstance(node, _NUMERIC) and _class(node.this) in ("text", "time", "boolean"):
            _refuse_argument(node)
        if isinstance(node, _TEMPORAL) and _class(node.this) in ("text", "number", "boolean"):
            _refuse_argument(node)
        if isinstance(node, exp.Concat | exp.DPipe):
            for part in node.expressions or (node.this, node.expression):
                if _class(part) not in ("text", None):
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


# What each scan needs -------------------------------------------------------------------------------------------


def _find_needs(tree: exp.Query, scans: dict[str, Scan]) -> None:
    """Columns and conditions of each scan, found in a copy whose unused columns are taken out."""
    pruned = pushdown_projections(tree.copy())
    for scope in traverse_scope(pruned):
        for alias, source in scope.sources.items():
            if isinstance(source, exp.Table) and source.name in scans:
                used = (column.name for column in scope.columns if column.table == alias)
                scans[source.name].columns.update(used)
    for query in _outermost(pruned):
        _push(query, [], scans)


def _outermost(tree: exp.Expr) -> Iterator[exp.Query]:
    """The query itself and those in expressions: all that are not read by a FROM or JOIN of another."""
    for scope in build_scope(tree).traverse():
        if scope.is_root or scope.is_subquery:
            yield scope.expression


def _push(query: exp.Expr, asked: list[exp.Expr], scans: dict[str, Scan]) -> None:
    """Hand the conditions on a query's output down to what it reads, where that does not change the result."""
    if isinstance(query, exp.Subquery):
        _push(query.this, asked, scans)
    elif isinstance(query, exp.SetOperation):
        limited = query.args.get("limit") or query.args.get("offset")
        left = dict(zip(query.named_selects, query.left.selects, strict=False))
        right = dict(zip(left, query.right.selects, strict=False))
        for branch, names in ((query.left, left), (query.right, right)):
            renamed = [_renamed(each, {n: o.alias_or_name for n, o in names.items()}) for each in asked]
            _push(branch, [] if limited else [each for each in renamed if each is not None], scans)
    elif isinstance(query, exp.Select):
        conditions = list(query.args["where"].this.flatten()) if _is_and(query.args.get("where")) else []
        if query.args.get("where") and not conditions:
            conditions = [query.args["where"].this]
        conditions += _through(query, asked)
        _push_into_sources(query, conditions, scans)


def _is_and(where: exp.Where | None) -> bool:
    return where is not None and isinstance(where.this, exp.And)


def _renamed(condition: exp.Expr, names: dict[str, str]) -> exp.Expr | None:
    if any(column.name not in names for column in condition.find_all(exp.Column)):
        return None
    return condition.copy().transform(lambda n: exp.column(names[n.name]) if isinstance(n, exp.Column) else n)


def _through(select: exp.Select, asked: list[exp.Expr]) -> list[exp.Expr]:
    """Conditions on the output as conditions on what is read; only those that may be asked before grouping."""
    if select.args.get("limit") or select.args.get("offset") or select.find(exp.Window):
        return []
    group = select.args.get("group")
    outputs = {output.alias_or_name: output.unalias() for output in select.selects}
    if group or any(output.find(exp.AggFunc) for output in outputs.values()):
        sets = group and any(group.args.get(kind) for kind in ("rollup", "cube", "grouping_sets", "all"))
        keys = [] if sets or not group else [key.sql() for key in group.expressions]
        outputs = {name: output for name, output in outputs.items() if output.sql() in keys}
    passed = []
    for condition in asked:
        if all(column.name in outputs for column in condition.find_all(exp.Column)):
            passed.append(
                condition.copy().transform(lambda n: outputs[n.name].copy() if isinstance(n, exp.Column) else n)
            )
    return passed


def _push_into_sources(select: exp.Select, conditions: list[exp.Expr], scans: dict[str, Scan]) -> None:
    from_ = select.args.get("from_")
    joins = select.args.get("joins") or []
    sides = [(join.side or ("FULL" if join.args.get("kind") == "FULL" else "")).upper() for join in joins]
    if from_ is None:
        return
    preserved = not any(side in ("RIGHT", "FULL") for side in sides)
    _hand_to(from_.this, conditions if preserved else [], scans)
    for number, (join, side) in enumerate(zip(joins, sides, strict=True)):
        on = join.args.get("on")
        own = list(on.flatten()) if isinstance(on, exp.And) else [on] if on is not None else []
        later = any(each in ("RIGHT", "FULL") for each in sides[number + 1 :])
        handed = [] if side == "FULL" or later else own if side == "LEFT" else own + conditions
        _hand_to(join.this, handed, scans)
    if from_ is not None and preserved:
        inner = [join.args["on"] for join, side in zip(joins, sides, strict=True) if not side and join.args.get("on")]
        _hand_to(from_.this, [c for on in inner for c in on.flatten()], scans, again=True)


def _hand_to(source: exp.Expr, conditions: Iterable[exp.Expr], scans: dict[str, Scan], again: bool = False) -> None:
    name = source.alias_or_name
    own = []
    for condition in conditions:
        columns = list(condition.find_all(exp.Column))
        plain = not condition.find(exp.Query, exp.AggFunc, exp.Window, exp.Rand)
        if columns and plain and all(column.table == name for column in columns):
            own.append(condition.copy().transform(lambda n: exp.column(n.name) if isinstance(n, exp.Column) else n))
    if isinstance(source, exp.Table) and source.name in scans:
        scans[source.name].conjuncts += own
    elif isinstance(source, exp.Subquery) and not again:
        _push(source.this, own, scans)


# DuckDB's words -------------------------------------------------------------------------------------------------


def _in_duckdb(tree: exp.Query, now: datetime) -> exp.Query:
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
    if _is(node, "UNKNOWN"):
        raise Unsupported(f"a division whose types are not known: {node.sql('trino')}")
    if _is(node, "DOUBLE"):
        return
    if _is_integer(node):
        node.replace(exp.IntDiv(this=node.this, expression=node.expression))
        return
    node.replace(_decimal_quotient(node.this, node.expression, node.this.type, node.expression.type))


def _decimal_quotient(left: exp.Expr, right: exp.Expr, left_type: Any, right_type: Any) -> exp.Expr:
    """Exact, rounded half up, by integers: DuckDB divides decimals as doubles."""
    (p1, s1), (p2, s2) = _decimal(left_type), _decimal(right_type)
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
    if _is_integer(node.this):
        _wrap(node, _cast("bigint"))  # DuckDB's sum of integers has 128 bits


def _avg(node: exp.Avg) -> None:
    if not _is(node.this, "DECIMAL"):
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
        sums = exp.DataType.build(f"decimal(38, {_decimal(kind)[1]})")
        return _cast(kind)(_decimal_quotient(total, count, sums, exp.DataType.build("bigint")))

    _wrap(node, quotient)


def _keep_date(node: exp.Expr) -> None:
    if _is(node, "DATE"):
        _wrap(node, _cast("date"))  # DuckDB makes a timestamp of it


def _add(node: exp.Add | exp.Sub) -> None:
    if isinstance(node, exp.Sub) and _class(node.this) == _class(node.expression) == "time":
        raise Unsupported("the difference of two times as an interval (use date_diff)")
    _keep_date(node)


def _date_diff(node: exp.DateDiff) -> None:
    def moment(side: exp.Expr) -> exp.Expr:
        return _cast("timestamp")(side) if _is(side, "DATE") else side

    # DuckDB's date_diff counts the boundaries that are crossed, Trino's the whole units that have passed.
    unit = node.text("unit").lower() or "day"
    node.replace(_call("date_sub", unit, moment(node.expression), moment(node.this)))


def _date_trunc(node: exp.Expr) -> None:
    _keep_date(node)


def _cast_from(node: exp.Cast) -> None:
    source, target = node.this, node.args["to"]
    name = _name(target)
    if name in ("TIMESTAMP", "DATETIME", "TIMESTAMPTZ", "TIMESTAMPNTZ"):
        target.set("expressions", [])  # of a precision: DuckDB's own are other types
    if name in ("TEXT", "VARCHAR") and target.expressions:
        node.replace(_call("left", _cast("varchar")(source), int(target.expressions[0].name)))
        return
    if name in ("TEXT", "VARCHAR") and _is(source, "TIMESTAMP", "DATETIME", "TIMESTAMPNTZ"):
        node.replace(_call("strftime", source, "%Y-%m-%d %H:%M:%S.%g"))
        return
    attempt = isinstance(node, exp.TryCast)
    if name == "DECIMAL" and not target.expressions:
        literal = source.this if isinstance(source, exp.Literal) else ""
        kind = Decimal(literal or 0).as_tuple() if literal else None
        scale = max(0, -kind.exponent) if kind else 0
        node.set("to", exp.DataType.build(f"decimal({max(len(kind.digits), scale) if kind else 38}, {scale})"))
    if name == "DECIMAL" and _is(source, "DOUBLE", "FLOAT"):
        # Trino goes by the shortest text of the double, too; DuckDB multiplies, and is off from 1000 on.
        node.set("this", _cast("varchar")(source))
    elif name in ("TINYINT", "SMALLINT", "INT", "BIGINT") and _class(source) == "text":
        shown = {"INT": "INTEGER"}.get(name, name)
        called = _call("trino_try_integer", source) if attempt else _call("trino_integer", source, shown)
        node.set("this", called)  # DuckDB would take '1.5' and ' 1 ' as integers
    elif name in ("TINYINT", "SMALLINT", "INT", "BIGINT") and _is(source, "DOUBLE", "FLOAT"):
        node.set("this", exp.Round(this=source))  # halves away from zero, as Trino has them


def _bracket_at(node: exp.Bracket) -> None:
    [key] = node.expressions
    safe = node.args.get("safe")  # element_at
    if _is(node.this, "MAP"):
        node.replace(_call("map_extract_value" if safe else "trino_map_at", node.this, key))
    elif _is(node.this, "ARRAY", "LIST"):
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
    if _is(node.this, "DECIMAL"):
        precision, scale = _decimal(node.this.type)
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
