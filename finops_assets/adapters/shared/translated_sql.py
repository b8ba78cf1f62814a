"""Athena's SQL in DuckDB's dialect, translated once for all processes: the translator alone takes 0.2 s to import.

A translation is kept in the user's cache (`$XDG_CACHE_HOME` or `~/.cache`, then `finops_assets/sql`), in a file whose
name is the hash of the statement without its dates, of the translator's version and of the form of the file. What
cannot be read or written there is translated anew.
"""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

DATE = re.compile(r"'\d{4}-\d\d-\d\d(?: \d\d:\d\d:\d\d)?'")
STAND_IN = re.compile(r"'0(\d{3})-01-01(?: 00:00:00)?'")
"""What stands for a statement's dates, in the same form: no bill has a day of the first thousand years."""

MOST_STATEMENTS = 400
"""Files that are kept: settings and forms of bills make dozens."""


def translated(sql: str, before: str = "") -> str:
    """SQL in DuckDB's dialect.

    Args:
        sql: a statement, or an expression.
        before: makes a statement of an expression, and is taken away again.
    """
    dates: list[str] = []

    def apart(match: re.Match[str]) -> str:
        dates.append(match[0])
        time = " 00:00:00" if " " in match[0] else ""
        return f"'0{len(dates):03d}-01-01{time}'"

    if STAND_IN.search(sql) or len(DATE.findall(sql)) > 999:
        return by_translator(before + sql).removeprefix(before)
    template = before + DATE.sub(apart, sql)
    file = _file(template)
    kept = _read(file) if file else None
    if kept is None:
        kept = by_translator(template)
        if file:
            _keep(file, kept)
    return STAND_IN.sub(lambda match: dates[int(match[1]) - 1], kept).removeprefix(before)


def by_translator(sql: str) -> str:
    """A statement in DuckDB's dialect, of which nothing is kept."""
    import sqlglot

    return sqlglot.transpile(sql, read="athena", write="duckdb")[0]


def _file(template: str) -> Path | None:
    """Where a statement's translation is kept; None where this user has no home."""
    name = hashlib.sha256(f"1 {version('sqlglot')} {template}".encode()).hexdigest()
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        return None
    return cache / "finops_assets" / "sql" / f"{name}.sql"


def _read(file: Path) -> str | None:
    """A translation that was kept; None where there is none, or another text than was written."""
    try:
        written, _, sql = file.read_bytes().partition(b"\n")
    except OSError:
        return None
    return sql.decode() if hashlib.sha256(sql).hexdigest().encode() == written else None


def _keep(file: Path, sql: str) -> None:
    """Keep a translation, in one step; without it the next process translates again."""
    data = sql.encode()
    beside = file.with_suffix(f".{os.getpid()}.tmp")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if sum(1 for _ in file.parent.iterdir()) < MOST_STATEMENTS:
            beside.write_bytes(hashlib.sha256(data).hexdigest().encode() + b"\n" + data)
            beside.replace(file)
    except OSError:
        with suppress(OSError):
            beside.unlink()
