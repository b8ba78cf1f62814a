"""The columns of the bill's files as the types that the bill's SQL expects: times in UTC, exact money, account ids."""

from __future__ import annotations

from finops_assets.core.bill.bill_format import BillFormat
from finops_assets.core.schemas import MONEY_SQL


def typed_column(bill_format: BillFormat, name: str, raw_name: str, raw_type: str) -> str:
    """A column of the files as the bill's SQL expects it, in DuckDB's SQL.

    Args:
        bill_format: of the bill.
        name: the column's normal name.
        raw_name, raw_type: its name in the files, and DuckDB's type of it.
    """
    column = identifier(raw_name)
    if name in bill_format.timestamps:
        return _point_in_time(column, raw_type)
    if name == bill_format.period:  # it sorts lines, and loses none: a text that is no time is no reason to refuse
        return _point_in_time(column, raw_type, cast="TRY_CAST")
    if name in bill_format.costs:
        return _amount(column, raw_type)
    if name in bill_format.quantities:
        return f"TRY_CAST({column} AS DOUBLE)"
    if raw_type == "VARCHAR":
        # A map as text: empty where a line has no product or tag, and nothing but JSON can be looked into.
        return f"CASE WHEN json_valid({column}) THEN {column} END" if name in bill_format.maps else column
    if raw_type.startswith("MAP"):
        return column
    return f"CAST({column} AS VARCHAR)"


def type_of(bill_format: BillFormat, name: str, raw_type: str) -> str:
    """The SQL type of a column as `typed_column` gives it, as far as the bill's SQL asks."""
    if name in (*bill_format.timestamps, bill_format.period):
        return "TIMESTAMP"
    if name in bill_format.costs and raw_type in ("VARCHAR", "DOUBLE", "FLOAT"):
        return MONEY_SQL
    return raw_type


def _point_in_time(column: str, raw_type: str, *, cast: str = "CAST") -> str:
    """A column as UTC: a zone is honoured, and a time without one is UTC, as AWS writes it.

    The engine's type without a zone does not honour one, and is read in half the time: text that ends with a Z, or has
    no room for a zone, is read by it. Times are a fifth of what a CSV file takes.
    """
    if raw_type == "VARCHAR":
        zoned = f"CAST({cast}(NULLIF({column}, '') AS TIMESTAMPTZ) AT TIME ZONE 'UTC' AS TIMESTAMP)"
        plain = f"{cast}({column} AS TIMESTAMP)"
        without_zone = f"{column} LIKE '____-__-__ __:__:__'"
        # Two cases, not one condition: of an OR, the engine looks at both sides of every line.
        return f"CASE WHEN suffix({column}, 'Z') THEN {plain} WHEN {without_zone} THEN {plain} ELSE {zoned} END"
    if "TIME ZONE" in raw_type or "TIMESTAMPTZ" in raw_type:
        return f"CAST({cast}({column} AS TIMESTAMPTZ) AT TIME ZONE 'UTC' AS TIMESTAMP)"
    return column if raw_type == "TIMESTAMP" else f"{cast}({column} AS TIMESTAMP)"


def _amount(column: str, raw_type: str) -> str:
    """A column as money: a double is the decimal that it is written as.

    DuckDB's own cast is that below 1,000, and drifts in the twelfth decimal above; the text of a double is 15 times
    slower, and few lines are that large.
    """
    if raw_type == "VARCHAR":
        return f"CAST(NULLIF({column}, '') AS {MONEY_SQL})"
    if raw_type not in ("DOUBLE", "FLOAT"):
        return column
    exact = f"CAST(CAST({column} AS VARCHAR) AS {MONEY_SQL})"
    if raw_type == "FLOAT":
        return exact
    return f"CASE WHEN ABS({column}) < 1000 THEN CAST({column} AS {MONEY_SQL}) ELSE {exact} END"


def identifier(name: str) -> str:
    """A name as DuckDB must be given it."""
    return '"' + name.replace('"', '""') + '"'
