"""The tables of finops_db in the Glue catalog, created as agreed and held to that; and the bill's table, only read.

Days of ou_breakdown are registered one by one (`glue_partitions`). Those of the tables beside it are projected: Athena
finds them by their paths, and the platform's own checks report a day without charges or a scorecard.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from finops_assets.adapters.aws.session import AwsError, AwsSession, explained
from finops_assets.core.archive.restatements import RESTATEMENTS, RESTATEMENTS_PREFIX
from finops_assets.core.errors import ArchiveError
from finops_assets.core.schemas import (
    ACCOUNT_MAP_PATH,
    ACCOUNT_OU_MAP,
    BREAKDOWN_PREFIX,
    CHARGES_PREFIX,
    COMMITMENTS,
    COMMITMENTS_PREFIX,
    DATABASE,
    DIMENSION_BREAKDOWN,
    DIMENSION_SCORECARD,
    DIMENSIONS_PREFIX,
    MOVED_PARTS,
    MOVED_PARTS_PREFIX,
    OU_BREAKDOWN,
    OU_CHARGES,
    OU_SCORECARD,
    PARTITION_KEYS,
    SCORECARD_PREFIX,
    VALUE_SCORES_PREFIX,
    hive_columns,
)

if TYPE_CHECKING:
    import pyarrow as pa

TABLE, MAP_TABLE, SUMMARY_VIEW = "ou_breakdown", "account_ou_map", "finops_daily_summary"
SCORECARD, CHARGES, DIMENSIONS = "ou_scorecard", "ou_charges", "dimension_breakdown"
COMMITTED = "commitments"
VALUE_SCORES = "dimension_scorecard"
MOVED = "moved_parts"
LEDGER = RESTATEMENTS_PREFIX

PROJECTED_YEARS = (2015, 2040)
"""Years of projected tables that Athena looks for. A query without a year makes it list each day of them: all of ours
say which years they want."""

PARQUET = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
}


def table_inputs(bucket: str) -> dict[str, dict[str, Any]]:
    """The contract of the platform's own tables, as Glue's TableInput."""

    def table(
        name: str,
        columns: list[tuple[str, str]],
        location: str,
        keys: Sequence[str] = (),
        projection: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        parameters = {"EXTERNAL": "TRUE", "classification": "parquet", "parquet.compression": "SNAPPY"}
        return {
            "Name": name,
            "TableType": "EXTERNAL_TABLE",
            "Parameters": parameters | dict(projection or {}),
            "PartitionKeys": [{"Name": key, "Type": "int"} for key in keys],
            "StorageDescriptor": {
                "Columns": [{"Name": column, "Type": type_} for column, type_ in columns],
                "Location": location,
                **PARQUET,
            },
        }

    folder = ACCOUNT_MAP_PATH.rsplit("/", 1)[0]

    def by_day(name: str, schema: pa.Schema, prefix: str) -> dict[str, Any]:
        place = f"s3://{bucket}/{prefix}/"
        return table(name, hive_columns(schema), place, PARTITION_KEYS, _projection_of_days(place))

    return {
        TABLE: table(TABLE, hive_columns(OU_BREAKDOWN), f"s3://{bucket}/{BREAKDOWN_PREFIX}/", PARTITION_KEYS),
        MAP_TABLE: table(MAP_TABLE, hive_columns(ACCOUNT_OU_MAP), f"s3://{bucket}/{folder}/"),
        LEDGER: table(LEDGER, hive_columns(RESTATEMENTS), f"s3://{bucket}/{RESTATEMENTS_PREFIX}/"),
        CHARGES: by_day(CHARGES, OU_CHARGES, CHARGES_PREFIX),
        DIMENSIONS: by_day(DIMENSIONS, DIMENSION_BREAKDOWN, DIMENSIONS_PREFIX),
        COMMITTED: by_day(COMMITTED, COMMITMENTS, COMMITMENTS_PREFIX),
        SCORECARD: by_day(SCORECARD, OU_SCORECARD, SCORECARD_PREFIX),
        VALUE_SCORES: by_day(VALUE_SCORES, DIMENSION_SCORECARD, VALUE_SCORES_PREFIX),
        MOVED: by_day(MOVED, MOVED_PARTS, MOVED_PARTS_PREFIX),
    }


def _projection_of_days(location: str) -> dict[str, str]:
    """Table parameters by which Athena finds a day's folder without its being registered."""
    ranges = {"year": PROJECTED_YEARS, "month": (1, 12), "day": (1, 31)}
    parameters = {"projection.enabled": "true"}
    for key, (first, last) in ranges.items():
        parameters |= {f"projection.{key}.type": "integer", f"projection.{key}.range": f"{first},{last}"}
        if key != "year":
            parameters[f"projection.{key}.digits"] = "2"
    folders = "/".join(f"{key}=${{{key}}}" for key in PARTITION_KEYS)
    return parameters | {"storage.location.template": f"{location}{folders}/"}


class GlueTables:
    """The tables that the platform uses: its own, created if missing, and the bill's, only read.

    Args:
        session: the identity.
        bucket: the archive's.
    """

    def __init__(self, session: AwsSession, bucket: str) -> None:
        self._session, self._bucket = session, bucket
        self._own: dict[str, dict[str, Any]] | None = None

    def ensure(self) -> None:
        """Create the database and its tables if missing; hold existing tables to the contract.

        Raises:
            ArchiveError: a table has other columns, keys or another place; nothing was changed.
        """
        if self._own is not None:
            return
        current = self.own_tables()
        if current is None:
            description = {"Name": DATABASE, "Description": "Daily cost by organizational unit"}
            self._make("glue:CreateDatabase", f"database {DATABASE}", DatabaseInput=description)
            current = {}
        for name, wanted in table_inputs(self._bucket).items():
            if name in current:
                hold_to_contract(current[name], wanted)
                continue
            self._make("glue:CreateTable", f"table {DATABASE}.{name}", DatabaseName=DATABASE, TableInput=wanted)
        self._own = current

    def _make(self, action: str, what: str, **description: Any) -> None:
        try:
            with explained(action, where=what):
                method = {"glue:CreateDatabase": "create_database", "glue:CreateTable": "create_table"}[action]
                getattr(self._client, method)(**description)
        except AwsError as error:
            if error.code != "AlreadyExistsException":  # another run has made it meanwhile
                raise

    def own_tables(self) -> dict[str, dict[str, Any]] | None:
        """The platform's existing tables and view; None without the database."""
        wanted = "|".join((*table_inputs(self._bucket), SUMMARY_VIEW))
        try:
            with explained("glue:GetTables", where=f"database {DATABASE}"):
                pages = self._client.get_paginator("get_tables").paginate(DatabaseName=DATABASE, Expression=wanted)
                return {table["Name"]: table for page in pages for table in page["TableList"]}
        except AwsError as error:
            if error.code == "EntityNotFoundException":
                return None
            raise

    def summary_view(self, *, again: bool = False) -> dict[str, Any] | None:
        """The table or view that has the name finops_daily_summary; `again` asks Glue now, else once a process."""
        self.ensure()
        if again:
            self._own = self.own_tables() or {}
        return (self._own or {}).get(SUMMARY_VIEW)

    def source(self, table: str) -> dict[str, Any]:
        """The bill's table, `database.table`.

        Raises:
            FinopsError: there is none.
        """
        database, name = table.split(".")
        with explained(
            "glue:GetTable",
            where=f"bill.table = {table}",
            fixes={
                "EntityNotFoundException": "Set bill.table (FINOPS_BILL__TABLE) to the bill's table, database.table, "
                "and aws.region to its region."
            },
        ):
            return self._client.get_table(DatabaseName=database, Name=name)["Table"]

    def partitions(self, table: str) -> list[tuple[tuple[str, ...], str]]:
        """The registered partitions of the bill's table: the values of its keys, and the location."""
        database, name = table.split(".")
        with explained("glue:GetPartitions", where=f"bill.table = {table}"):
            pages = self._client.get_paginator("get_partitions").paginate(
                DatabaseName=database, TableName=name, ExcludeColumnSchema=True
            )
            return [
                (tuple(each["Values"]), location)
                for page in pages
                for each in page["Partitions"]
                if (location := each.get("StorageDescriptor", {}).get("Location"))
            ]

    @property
    def _client(self) -> Any:
        return self._session.client("glue")


def hold_to_contract(current: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise where a table is not as agreed; columns after the agreed ones are fine.

    Args:
        current: the table as Glue has it.
        wanted: of `table_inputs`.
    """

    def columns(table: Mapping[str, Any]) -> list[tuple[str, str]]:
        return [(c["Name"].lower(), c["Type"].lower()) for c in table["StorageDescriptor"]["Columns"]]

    def keys(table: Mapping[str, Any]) -> list[tuple[str, str]]:
        return [(k["Name"].lower(), re.sub("^integer$", "int", k["Type"].lower())) for k in table["PartitionKeys"]]

    def place(table: Mapping[str, Any]) -> str:
        return re.sub("^s3[an]:", "s3:", table["StorageDescriptor"].get("Location", "")).rstrip("/") + "/"

    def projection(table: Mapping[str, Any]) -> list[tuple[str, str]]:
        """The parameters of partition projection; where it is on, Athena ignores registered partitions."""
        parameters = {name.lower(): value for name, value in (table.get("Parameters") or {}).items()}
        if parameters.get("projection.enabled", "").strip().lower() != "true":
            return []
        relevant = {
            n: v for n, v in parameters.items() if n.startswith("projection.") or n == "storage.location.template"
        }
        relevant["projection.enabled"] = "true"
        return sorted(relevant.items())

    def words(pairs: Sequence[tuple[str, str]]) -> str:
        return ", ".join(map(" ".join, pairs)) or "none"

    name = f"{DATABASE}.{wanted['Name']}"
    agreed = columns(wanted)
    differences = [
        f"{what} {actual}, agreed {expected}"
        for what, actual, expected in (
            ("columns", words(columns(current)[: len(agreed)]), words(agreed)),
            ("partition keys", words(keys({"PartitionKeys": [], **current})), words(keys(wanted))),
            ("location", place(current), place(wanted)),
            ("partition projection", words(projection(current)), words(projection(wanted))),
        )
        if actual != expected
    ]
    if differences:
        raise ArchiveError(
            f"the table is not as agreed: {'; '.join(differences)}",
            where=name,
            fix="Drop the table (its files stay), and run again: it is made as agreed; or set aws.bucket.",
        )
