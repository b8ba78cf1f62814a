"""What each scan of a query needs: its columns, and the conditions that hold for every row that can matter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlglot import exp
from sqlglot.optimizer.pushdown_projections import pushdown_projections
from sqlglot.optimizer.scope import build_scope, traverse_scope

from standin.trino.language import Scan


def find_needs(tree: exp.Query, scans: dict[str, Scan]) -> None:
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
    if not asked or select.args.get("limit") or select.args.get("offset") or select.find(exp.Window):
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
