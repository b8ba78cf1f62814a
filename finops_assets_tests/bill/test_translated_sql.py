"""The project's SQL is translated once for all processes, and what is kept of that is never another statement."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlglot

from finops_assets.adapters.local.catalog import SQLiteCatalog
from finops_assets.adapters.shared import translated_sql
from finops_assets.adapters.shared.translated_sql import translated

SQL = (
    "SELECT REGEXP_REPLACE(id, '[0-9]', ''), '2025-09-28', 'a ''2025-09-28''' FROM bill "
    "WHERE day BETWEEN DATE '{first}' AND DATE '{last}' AND at < TIMESTAMP '{last} 07:30:00' AND name <> 'it''s'"
)
SEPTEMBER = SQL.format(first="2025-09-01", last="2025-09-30")
OCTOBER = SQL.format(first="2025-10-01", last="2025-10-31")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "finops_assets" / "sql"


def by_translator(sql: str) -> str:
    return sqlglot.transpile(sql, read="athena", write="duckdb")[0]


def test_another_day_is_not_translated_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert translated(SEPTEMBER) == by_translator(SEPTEMBER)
    assert len(list(cache.iterdir())) == 1
    expected = by_translator(OCTOBER)
    monkeypatch.setattr(translated_sql, "by_translator", lambda _: pytest.fail("it is kept"))
    assert translated(OCTOBER) == expected


def test_an_expression_is_translated_as_in_a_statement(cache: Path) -> None:
    expression = "REGEXP_LIKE(id, '^0') AND day = DATE '2025-09-30'"
    for _ in range(2):
        assert f"SELECT {translated(expression, 'SELECT ')}" == by_translator(f"SELECT {expression}")
    assert len(list(cache.iterdir())) == 1


def test_what_people_ask_is_not_kept(cache: Path, tmp_path: Path) -> None:
    catalog = SQLiteCatalog(tmp_path / "catalog.sqlite", tmp_path / "archive")
    catalog.query("SELECT COUNT(*) FROM restatements WHERE ou = 'a secret'")
    assert not cache.exists()


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: data + b" OR TRUE", lambda _: b""])
def test_what_is_damaged_is_translated_anew(cache: Path, damage) -> None:
    translated(SEPTEMBER)
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert translated(SEPTEMBER) == by_translator(SEPTEMBER)
    assert file.read_bytes() == whole


def test_without_a_place_to_keep_it_is_translated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert translated(SEPTEMBER) == by_translator(SEPTEMBER)


def test_days_of_the_first_thousand_years_are_left_as_they_are(cache: Path) -> None:
    sql = "SELECT DATE '0001-01-01', DATE '2025-09-30'"
    assert translated(sql) == by_translator(sql)
    assert not cache.exists(), "they would be taken for what stands for others"
