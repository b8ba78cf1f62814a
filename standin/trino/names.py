"""Names in a query as Trino resolves them: common table expressions, views, tables and columns."""

from __future__ import annotations

import re
from typing import Any

from sqlglot import exp
from sqlglot.errors import OptimizeError
from sqlglot.expressions.builders import apply_index_offset
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import traverse_scope
from sqlglot.schema import MappingSchema

from standin.trino.language import CATALOG, Lookup, QueryFailed, Relation, Scan, Unsupported, parse


def resolve(tree: exp.Query, sql: str, database: str, lookup: Lookup, scans: dict[str, Scan], depth: int) -> exp.Query:
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
            view = resolve(parse(relation.view), relation.view, relation.database, lookup, scans, depth + 1)
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


def qualify_names(tree: exp.Query, schema: MappingSchema) -> exp.Query:
    try:
        return qualify(tree, schema=schema, dialect="athena", expand_alias_refs=False)
    except OptimizeError as error:
        match = re.search(r"Column '?\"?([^'\"]+)\"?'?.*?(?:Line: (\d+), Col: (\d+))?$", str(error), re.S)
        name, line, end = match.groups() if match else (str(error), None, None)
        where = f"line {line}:{int(end) - len(name) + 1}" if line else "line 1:1"
        if "ambiguous" in str(error).lower():
            raise QueryFailed("AMBIGUOUS_NAME", f"{where}: Column '{name}' is ambiguous") from None
        if "column" not in str(error).lower():
            raise Unsupported(str(error)) from None
        raise QueryFailed("COLUMN_NOT_FOUND", f"{where}: Column '{name}' cannot be resolved") from None


def settle_having(tree: exp.Query) -> None:
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


def output_names(tree: exp.Query) -> list[str]:
    """Outputs without a name are `_col` and their place."""
    names = enumerate(tree.named_selects)
    return [f"_col{place}" if re.fullmatch(r"_unnamed\d+|_col_\d+", name) else name for place, name in names]
