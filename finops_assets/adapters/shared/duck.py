"""DuckDB for both platforms: connections in UTC, Athena's SQL in its dialect, and literals."""

from __future__ import annotations

import atexit
import re
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from finops_assets.adapters.shared.translated_sql import translated
from finops_assets.core.accounts.account_ids import WHOLE

if TYPE_CHECKING:
    import duckdb


ConfigValue = str | int | float | list[str]
"""What a setting of DuckDB can be."""


def connect(config: Mapping[str, ConfigValue]) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB that reads times as UTC."""
    import duckdb

    return in_utc(duckdb.connect(":memory:", config=dict(config)))


def session() -> duckdb.DuckDBPyConnection:
    """A connection to an empty in-memory DuckDB that this process opens once, for tables that the caller registers.

    Opening a database takes 18 ms of CPU, a connection to one that is open none. Tables and views would be seen by all;
    what is registered is seen by the connection alone.
    """
    return in_utc(_shared().cursor())


@cache
def _shared() -> duckdb.DuckDBPyConnection:
    import duckdb

    con = duckdb.connect(":memory:")
    atexit.register(con.close)
    return con


def in_utc(con: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    con.execute("SET TimeZone = 'UTC'")
    con.execute("SET enable_progress_bar = false")
    return con


@lru_cache(maxsize=256)
def athena_to_duckdb(sql: str) -> str:
    """The project's SQL, written for Athena, as DuckDB runs it."""
    parts: dict[str, str] = {}

    def apart(match: re.Match[str]) -> str:
        name = f"part_{len(parts)}_of_the_sql"
        parts[name] = _translated(match[1], "SELECT ")
        return name

    translated = _translated(WHOLE_PART.sub(apart, sql))
    return re.sub(r"part_\d+_of_the_sql", lambda match: parts[match[0]], translated) if parts else translated


WHOLE_PART = re.compile(rf"{re.escape(WHOLE)}(.*?){re.escape(WHOLE)}", re.DOTALL)
"""The SQL of an account id is the same in most statements, and half of their text: it takes 5 ms to translate."""


_translated = lru_cache(maxsize=256)(translated)


def sql_literal(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def file_literal(file: Path) -> str:
    """A file's name as DuckDB must be given it: this file, not the files that it matches as a pattern."""
    return sql_literal(re.sub(r"[*?[]", r"[\g<0>]", str(file)))
