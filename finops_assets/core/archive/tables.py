"""The tables that people query: their columns, and what a row of each is. `finops query` answers from here."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, NamedTuple

from finops_assets.core.archive.restatements import RESTATEMENTS
from finops_assets.core.errors import FinopsError
from finops_assets.core.schemas import (
    ACCOUNT_OU_MAP,
    COLUMN_DESCRIPTIONS,
    COMMITMENTS,
    DATABASE,
    DIMENSION_BREAKDOWN,
    DIMENSION_SCORECARD,
    MOVED_PARTS,
    OU_BREAKDOWN,
    OU_CHARGES,
    OU_SCORECARD,
    PARTITION_KEYS,
    hive_columns,
)

if TYPE_CHECKING:
    import pyarrow as pa

DAY_KEYS = [(key, "int") for key in PARTITION_KEYS]
_SHOW = re.compile(rf"\s*SHOW\s+TABLES(\s+(IN|FROM)\s+{DATABASE})?\s*;?\s*", re.IGNORECASE)
_DESCRIBE = re.compile(rf'\s*(?:DESC|DESCRIBE|SHOW\s+COLUMNS\s+(?:IN|FROM))\s+(?:{DATABASE}\.)?"?(\w+)"?\s*;?\s*', re.I)

# "Table with name x does not exist!", and Athena's "TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.finops_db.x' ..."
_NO_TABLE = re.compile(r"Table with name (\w+) does not exist|Table '(?:\w+\.)*(\w+)' does not exist")


class Table(NamedTuple):
    """A table: what a row is, and its columns as Athena names their types."""

    row: str
    columns: list[tuple[str, str]]


def _by_day(row: str, schema: pa.Schema) -> Table:
    return Table(row, [*hive_columns(schema), *DAY_KEYS])


TABLES = {
    "ou_breakdown": _by_day("cost of a day by OU, service and account", OU_BREAKDOWN),
    "ou_charges": _by_day("the same by charge category and amortized, exact", OU_CHARGES),
    "dimension_breakdown": _by_day("cost of a day by tag, cost category or attribute", DIMENSION_BREAKDOWN),
    "commitments": _by_day("a Savings Plan or reservation of a day, and its use", COMMITMENTS),
    "ou_scorecard": _by_day("an OU's day, month, budget, forecast, anomaly", OU_SCORECARD),
    "dimension_scorecard": _by_day("the same of a tag, cost category or attribute", DIMENSION_SCORECARD),
    "moved_parts": _by_day("a part of what moved in a day, and its cause", MOVED_PARTS),
    "account_ou_map": Table("an account in an OU, and since when", hive_columns(ACCOUNT_OU_MAP)),
    "restatements": Table("a cost that the bill has changed afterwards", hive_columns(RESTATEMENTS)),
    "finops_daily_summary": Table(
        "the bill as it is now, by OU, service and account",
        [*hive_columns(OU_BREAKDOWN)[:-1], ("cost", dict(hive_columns(DIMENSION_BREAKDOWN))["cost"])],
    ),
}
"""By name, those that people look for first."""


def about_tables(sql: str) -> tuple[list[str], list[tuple[str, ...]]] | None:
    """The answer to SHOW TABLES or DESCRIBE, as columns' names and rows; None of another statement.

    Raises:
        FinopsError: there is no table of this name; it names the nearest.
    """
    if _SHOW.fullmatch(sql):
        return ["table", "a row is"], [(name, table.row) for name, table in TABLES.items()]
    if not (asked := _DESCRIBE.fullmatch(sql)):
        return None
    name = asked[1].lower()
    if name not in TABLES:
        raise no_such_table(name)
    columns = TABLES[name].columns
    return ["column", "type", "what it is"], [(*of, COLUMN_DESCRIPTIONS.get(of[0], "")) for of in columns]


def no_such_table(name: str) -> FinopsError:
    """The error of a query of a table that is not there: it names the nearest one."""
    near = difflib.get_close_matches(name.lower(), TABLES, n=1)
    meant = f"Did you mean {near[0]}? " if near else ""
    return FinopsError(f"there is no table {name}", fix=f"{meant}`finops query 'SHOW TABLES'` lists them.")


def missing_table(reason: str) -> FinopsError | None:
    """The error in an engine's words for a table that it does not know, DuckDB's or Athena's; None of other words."""
    named = _NO_TABLE.search(reason)
    return no_such_table(named[1] or named[2]) if named else None
