"""QuickSight's data sets and ingestions as their API describes them."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from standin.faults import ServiceError

if TYPE_CHECKING:
    from standin.protocols import Answer


FINISHED = frozenset({"COMPLETED", "FAILED", "CANCELLED"})
BYTES_PER_ROW = 64  # any number will do: SPICE's own size is not known outside


@dataclass
class DataSet:
    """A data set and the query that fills it."""

    id: str
    name: str
    sql: str
    arn: str
    created: datetime
    mode: str = "SPICE"
    request: dict[str, Any] = field(default_factory=dict)
    spice_rows: int = 0
    ticked_at: datetime | None = None

    @property
    def columns(self) -> set[str]:
        """Those that a dashboard may use, by the names that it knows them by."""
        tables = self.request.get("PhysicalTableMap", {}).values()
        listed = [one for table in tables for of in table.values() for one in input_columns(of)]
        renamed = {
            step["RenameColumnOperation"]["ColumnName"]: step["RenameColumnOperation"]["NewColumnName"]
            for table in self.request.get("LogicalTableMap", {}).values()
            for step in table.get("DataTransforms", ())
            if "RenameColumnOperation" in step
        }
        return {renamed.get(one["Name"], one["Name"]) for one in listed}


@dataclass
class Ingestion:
    """One refresh of a data set's SPICE copy, as DescribeIngestion tells of it."""

    id: str
    data_set: DataSet
    created: datetime
    request_type: str
    status: str = "INITIALIZED"
    ended: datetime | None = None
    rows: int | None = None
    dropped: int = 0
    error: dict[str, str] | None = None

    @property
    def arn(self) -> str:
        return f"{self.data_set.arn}/ingestion/{self.id}"

    @property
    def finished(self) -> bool:
        return self.status in FINISHED


def filling_sql(params: dict[str, Any]) -> str:
    """What fills the data set: its one physical table, as QuickSight asks Athena for it."""
    [table] = params["PhysicalTableMap"].values()
    if "CustomSql" in table:
        return table["CustomSql"]["SqlQuery"]
    if "RelationalTable" in table:
        relation = table["RelationalTable"]
        columns = ", ".join(f'"{one["Name"]}"' for one in relation["InputColumns"]) or "*"
        return f'SELECT {columns} FROM "{relation["Schema"]}"."{relation["Name"]}"'
    raise invalid("This stand-in fills data sets from a RelationalTable or a CustomSql only")


def input_columns(table: dict[str, Any]) -> list[dict[str, str]]:
    return table.get("InputColumns") or table.get("Columns") or []


def summary(data_set: DataSet) -> dict[str, Any]:
    return {
        "Arn": data_set.arn,
        "DataSetId": data_set.id,
        "Name": data_set.name,
        "CreatedTime": data_set.created.timestamp(),
        "LastUpdatedTime": data_set.created.timestamp(),
        "ImportMode": data_set.mode,
    }


def invalid(message: str) -> ServiceError:
    return ServiceError("InvalidParameterValueException", message, 400)


def page(items: list[dict[str, Any]], name: str, params: dict[str, Any]) -> Answer:
    size = int(params.get("MaxResults", 100))
    if not 1 <= size <= 100:
        raise invalid(f"MaxResults must be between 1 and 100, not {size}")
    try:
        start = int(base64.urlsafe_b64decode(params.get("NextToken", "")) or 0)
    except ValueError as error:
        raise ServiceError("InvalidNextTokenException", "The NextToken value isn't valid.", 400) from error
    answer: Answer = {name: items[start : start + size], "RequestId": str(uuid4())}
    if start + size < len(items):
        answer["NextToken"] = base64.urlsafe_b64encode(str(start + size).encode()).decode()
    return answer
