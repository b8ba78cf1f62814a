"""Writes terraform/contract.json: the tables as the code expects them, so that Terraform and the code cannot part ways.

Usage: python scripts/terraform_contract.py > terraform/contract.json
"""

from __future__ import annotations

import json
from typing import Any

from finops_assets.adapters.aws.glue_tables import table_inputs
from finops_assets.core.bill.bill_format import BillFormat
from finops_assets.core.bill.charges import used_columns
from finops_assets.core.bill.drivers_sql import driver_columns
from finops_assets.core.bill.formats.cur2 import CUR2
from finops_assets.core.bill.formats.focus import FOCUS, PROVIDERS
from finops_assets.core.bill.further_columns import further_columns
from finops_assets.core.bill.providers import AWS
from finops_assets.core.bill.rules import Rules, cost_bases
from finops_assets.core.schemas import DATABASE
from finops_assets.stories.sample_bill import cur2_export, focus_export

BUCKET = "{bucket}"
"""Terraform puts the archive's bucket in its place."""

EXPORTS = {
    "focus": (FOCUS, focus_export.FOCUS_COLUMNS, focus_export.FOCUS_TYPES, "FOCUS_1_2_AWS"),
    "cur2": (CUR2, cur2_export.CUR2_COLUMNS, cur2_export.CUR2_TYPES, "COST_AND_USAGE_REPORT"),
}


def contract() -> dict[str, Any]:
    """The database and tables of the archive, and the columns that an export of the bill must have."""
    return {
        "database": DATABASE,
        "tables": table_inputs(BUCKET),
        "exports": {
            f"{name}{suffix}": _export(*described, with_resources=bool(suffix))
            for name, described in EXPORTS.items()
            for suffix in ("", "_with_resources")
        },
    }


RESOURCE_ID = {"focus": "resourceid", "cur2": "line_item_resource_id"}


def _export(
    fmt: BillFormat, columns: str, types: dict[str, str], source: str, *, with_resources: bool = False
) -> dict[str, Any]:
    """The columns that the code reads with any cost basis, as Data Exports and as Glue name them.

    Tags and cost categories are among them from the first day on, whatever dimensions are set: an export has no column
    for the months before it was asked for. With `with_resources` the id of each line's resource is, too.
    """
    glue = dict.fromkeys(columns.split(), "string")
    glue |= {name: type_ for type_, names in types.items() for name in names.split() if name in glue}
    sql = {name.lower(): {"string": "VARCHAR"}.get(type_, type_.upper()) for name, type_ in glue.items()}
    sql = {name: type_ for name, type_ in sql.items() if name not in PROVIDERS}  # AWS bills: it need not be exported
    read: set[str] = set()
    for basis in cost_bases(fmt, sql):
        rules = Rules(basis, provider=AWS, dimensions=("tag:any", "cost_category:any"))
        read |= {*used_columns(fmt, sql, rules), *further_columns(fmt, sql, rules), *driver_columns(fmt, sql, rules)}
    if with_resources:
        read.add(RESOURCE_ID[fmt.name])
    kept = [name for name in glue if name.lower() in read]
    return {
        "query": f"SELECT {', '.join(kept)} FROM {source}",
        "source": source,
        "columns": [{"Name": name.lower(), "Type": glue[name]} for name in kept],
    }


if __name__ == "__main__":
    print(json.dumps(contract(), indent=2))
