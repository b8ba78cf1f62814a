"""What fills the dashboard's data sets: their SQL, their columns, and row-level security by OU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from finops_assets.core.accounts.ous import ALL
from finops_assets.core.accounts.permissions import Rule
from finops_assets.core.analytics.budgets import AMBER, GREEN, NONE, RED, SHAPES
from finops_assets.core.schemas import DATABASE, OU_BREAKDOWN, OU_CHARGES, OU_SCORECARD, hive_columns

if TYPE_CHECKING:
    import pyarrow as pa

THIS_YEAR_AND_THE_LAST = "year BETWEEN year(current_date) - 1 AND year(current_date)"
"""The condition on a projected table: without an end, Athena lists the folder of every day to come."""

_TYPES = {"string": "STRING", "date": "DATETIME", "double": "DECIMAL", "decimal": "DECIMAL", "int": "INTEGER"}


def _types(schema: pa.Schema) -> dict[str, str]:
    """The columns, with their QuickSight types."""
    return {name: _TYPES[kind.partition("(")[0]] for name, kind in hive_columns(schema)}


def _as_doubles(schema: pa.Schema) -> list[str]:
    """Each column as it is selected: exact amounts as doubles."""
    return [
        f"CAST({name} AS double) AS {name}" if kind.startswith("decimal") else name
        for name, kind in hive_columns(schema)
    ]


def light_shown(light: str) -> str:
    """`■ red`: what stands for a light in every visual."""
    return f"{SHAPES[light]} {light}"


def scorecard_columns() -> dict[str, str]:
    """The columns of the scorecard's data set, with their QuickSight types."""
    return _types(OU_SCORECARD) | {
        "lightshown": "STRING",
        "lightfrom": "DECIMAL",
        "latest": "STRING",
        "anomaly": "STRING",
    }


def scorecard_sql(amber: float) -> str:
    """What fills the scorecard's data set: this year and the last one.

    Amounts become doubles, which QuickSight keeps to 15 digits: its own exact decimals end after four decimal places.
    `lightfrom` is the share of the budget from which on the light is what it is: 1 red, `amber` amber, 0 green.
    """
    columns = _as_doubles(OU_SCORECARD)
    shown = " ".join(f"WHEN '{light}' THEN '{light_shown(light)}'" for light in (GREEN, AMBER, RED, NONE))
    starts = " ".join(f"WHEN '{light}' THEN {start}" for light, start in light_starts(amber).items())
    columns += [
        f"CASE light {shown} ELSE light END AS lightshown",
        f"CAST(CASE light {starts} END AS double) AS lightfrom",
        "CASE WHEN billingdate = max(billingdate) OVER () THEN 'yes' ELSE 'no' END AS latest",
        "CASE WHEN episodeid IS NULL THEN 'no' ELSE 'yes' END AS anomaly",
    ]
    listed = ",\n    ".join(columns)
    return f"SELECT\n    {listed}\nFROM {DATABASE}.ou_scorecard\nWHERE {THIS_YEAR_AND_THE_LAST}"


def charges_columns() -> dict[str, str]:
    """The columns of the charges' data set, with their QuickSight types."""
    return _types(OU_CHARGES)


def charges_sql() -> str:
    """What the charges' data set asks Athena when it is opened: this year and the last one, amounts as doubles."""
    columns = ",\n    ".join(_as_doubles(OU_CHARGES))
    return f"SELECT\n    {columns}\nFROM {DATABASE}.ou_charges\nWHERE {THIS_YEAR_AND_THE_LAST}"


def light_starts(amber: float) -> dict[str, float]:
    return {RED: 1.0, AMBER: min(amber, 0.999), GREEN: 0.0}


def permissions_sql(rules: Sequence[Rule]) -> str:
    """Which user or group may see which OU: the rules, drawn out to the OUs below as they are at each refresh.

    No OU means all. QuickSight takes a comma for the end of a value, unless it is in double quotes.
    """
    listed = ",\n    ".join(f"({_literal(rule.user)}, {_literal(rule.group)}, {_literal(rule.ou)})" for rule in rules)
    return f"""WITH rules (username, groupname, root) AS (
    VALUES {listed}
),
known (ou) AS (
    SELECT ou FROM {DATABASE}.account_ou_map
    UNION SELECT ou FROM {DATABASE}.ou_scorecard WHERE {THIS_YEAR_AND_THE_LAST}
),
seen (username, groupname, ou) AS (
    SELECT username, groupname, root FROM rules WHERE root <> '{ALL}'
    UNION SELECT rules.username, rules.groupname, known.ou
    FROM rules JOIN known ON starts_with(known.ou, concat(rules.root, '/'))
)
SELECT username, groupname, CASE WHEN strpos(ou, ',') > 0 THEN concat('"', ou, '"') ELSE ou END AS ou FROM seen
UNION ALL SELECT username, groupname, CAST(NULL AS varchar) AS ou FROM rules WHERE root = '{ALL}'"""


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'" if text else "CAST(NULL AS varchar)"


def breakdown_table(source_arn: str) -> dict[str, Any]:
    """The table itself, every registered row of it: a refresh is held to their number."""
    columns = [_column(name, kind) for name, kind in _types(OU_BREAKDOWN).items()]
    return {
        "RelationalTable": {
            "DataSourceArn": source_arn,
            "Catalog": "AwsDataCatalog",
            "Schema": DATABASE,
            "Name": "ou_breakdown",
            "InputColumns": columns,
        }
    }


def sql_table(source_arn: str, name: str, sql: str, columns: dict[str, str]) -> dict[str, Any]:
    """A table that a query makes."""
    listed = [_column(column, kind) for column, kind in columns.items()]
    return {"CustomSql": {"DataSourceArn": source_arn, "Name": name, "SqlQuery": sql, "Columns": listed}}


def _column(name: str, kind: str) -> dict[str, str]:
    return {"Name": name, "Type": kind, **({"SubType": "FLOAT"} if kind == "DECIMAL" else {})}
