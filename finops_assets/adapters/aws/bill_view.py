"""A view as bill.table: its text, the tables that it reads, and the text with the chosen files of these alone."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from finops_assets.core.errors import BillError

PRESTO_VIEW = re.compile(r"/\*\s*Presto View:\s*(\S+)\s*\*/")

OWN_CATALOGS = frozenset(("", "awsdatacatalog", "hive"))

DEEPEST = 10
"""Views of views."""

FIX = "Set bill.table to the table that has the bill's lines, or make the view anew in Athena."


@dataclass(frozen=True)
class ViewText:
    """What a view says.

    Attributes:
        sql: its SELECT, in Athena's dialect.
        database: the one in which its names are looked up.
    """

    sql: str
    database: str


def view_text(name: str, description: Mapping[str, Any]) -> ViewText:
    """The text of a view of Athena.

    Args:
        name: `database.view`.
        description: as Glue's GetTable gives it.

    Raises:
        BillError: it is a view of another engine, or cannot be read.
    """
    match = PRESTO_VIEW.search(description.get("ViewOriginalText") or "")
    try:
        said = json.loads(base64.b64decode(match[1])) if match else {}
        return ViewText(said["originalSql"], said.get("schema") or name.split(".")[0])
    except (ValueError, KeyError, binascii.Error):
        raise BillError(
            "is a view that was not made in Athena: which tables it reads cannot be told",
            where=f"{name} (bill.table)",
            fix=FIX,
        ) from None


def tables_in(name: str, text: ViewText) -> list[str]:
    """The tables and views that a view's text names, each as `database.table`.

    Raises:
        BillError: the text cannot be understood, or names a table of another catalog.
    """
    _, tables = _parsed(name, text)
    return list(dict.fromkeys(full for _, full in tables))


def inlined(
    name: str, text: ViewText, view_of: Callable[[str], ViewText | None], conditions: Mapping[str, str], depth: int = 0
) -> str:
    """The text of a view that reads the chosen files of its tables alone.

    Args:
        name: `database.view`.
        text: its text.
        view_of: the text of another view; None of a table.
        conditions: of each table, the condition that leaves its chosen files over.

    Raises:
        BillError: the text cannot be understood.
    """
    from sqlglot import exp

    if depth > DEEPEST:
        raise BillError("is a view of too many views", where=f"{name} (bill.table)", fix=FIX)
    tree, tables = _parsed(name, text)
    hidden = ', "$path"' if "$path" in text.sql.lower() else ""
    for table, full in tables:
        other = view_of(full)
        if other is not None:
            inner = inlined(full, other, view_of, conditions, depth + 1)
        elif conditions.get(full):
            inner = f"SELECT *{hidden} FROM {quoted_name(full)} WHERE {conditions[full]}"
        else:
            continue
        alias = table.args.get("alias") or exp.TableAlias(this=exp.to_identifier(table.name, quoted=True))
        subquery = exp.Subquery(this=_parse(name, inner), alias=alias.copy())
        if joins := table.args.get("joins"):
            subquery.set("joins", joins)
        table.replace(subquery)
    replaced = {full for _, full in tables}
    for column in tree.find_all(exp.Column):
        if f"{column.db}.{column.table}".lower() in replaced:
            column.set("db", None)  # it is the name of a subquery now
    return tree.sql("athena")


def quoted_name(table: str) -> str:
    """`database.table` in a query."""
    return ".".join(f'"{part}"' for part in table.split("."))


def _parse(name: str, sql: str) -> Any:
    import sqlglot
    from sqlglot.errors import SqlglotError

    try:
        return sqlglot.parse_one(sql, read="athena")
    except SqlglotError:
        raise BillError(
            "is a view whose text cannot be understood: which tables it reads cannot be told",
            where=f"{name} (bill.table)",
            fix=FIX,
        ) from None


def _parsed(name: str, text: ViewText) -> tuple[Any, list[tuple[Any, str]]]:
    """The text's tree, and the tables in it that are no common table expressions, with their full names."""
    from sqlglot import exp

    tree = _parse(name, text.sql)
    expressions = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    tables = []
    for table in tree.find_all(exp.Table):
        if not table.name or (not table.db and table.name.lower() in expressions):
            continue
        if table.catalog.lower() not in OWN_CATALOGS:
            raise BillError(
                f"is a view that reads {table.catalog}.{table.db}.{table.name}, which is in another catalog: its "
                "changes cannot be seen",
                where=f"{name} (bill.table)",
                fix=FIX,
            )
        table.set("catalog", None)
        full = f"{table.db or text.database}.{table.name}".lower()
        if not table.db:
            table.set("db", exp.to_identifier(text.database, quoted=True))
        tables.append((table, full))
    return tree, tables
