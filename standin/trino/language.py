"""Athena's language here: its errors, what a query reads, and the types of Glue, Trino and DuckDB."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, TokenError

CATALOG = "awsdatacatalog"
HIDDEN = {"$path": "string", "$file_modified_time": "timestamp"}


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
    """A query in DuckDB's SQL, which reads each scan under its name.

    `kinds` are Glue's types of its columns, once somebody has described it.
    """

    sql: str
    scans: list[Scan]
    names: list[str]
    kinds: list[str] = field(default_factory=list)


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


@lru_cache(maxsize=1000)
def check_syntax(sql: str) -> None:
    """Refuse what is no query; a text that is one is parsed once.

    Raises:
        Malformed: it is none.
    """
    parse(sql)


def duckdb_type(glue: str) -> str:
    return sql_type(glue).sql("duckdb")


@cache
def sql_type(glue: str) -> exp.DataType:
    """A type of Glue, for looking at only: each is parsed once."""
    return exp.DataType.build(glue, dialect="hive")


def trino_type(glue: str) -> str:
    """`string` -> `varchar`: how Trino calls a type of Glue."""
    return sql_type(glue).sql("trino").lower()
