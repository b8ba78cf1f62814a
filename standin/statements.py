"""Athena's statements about the catalog (DDL): their grammar, and what they do to moto's Glue."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import unquote

import sqlglot
from moto.core.exceptions import JsonRESTError
from sqlglot import exp
from sqlglot.errors import ParseError

from standin.tables import Tables, partition_path
from standin.trino.language import CATALOG, Malformed, QueryFailed, Unsupported

NAME = r"((?:[`\"]?[\w-]+[`\"]?\.)*[`\"]?[\w-]+[`\"]?)"
PARTITION = r"PARTITION\s*\(((?:[^()']|'[^']*')*)\)"
PLACED = rf"{PARTITION}(?:\s*LOCATION\s*'[^']*')?"
PARQUET = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
}
TEXT = {
    "InputFormat": "org.apache.hadoop.mapred.TextInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
}

Describe = Callable[[str, str], dict[str, str]]
"""Columns of a query, run in a database, with Glue's types."""


class Statements:
    """Each statement returns the lines of its result."""

    def __init__(self, tables: Tables, describe: Describe) -> None:
        self._tables, self._describe = tables, describe
        self._grammar: list[tuple[re.Pattern[str], str, Callable[..., list[str]]]] = [
            (re.compile(pattern, re.I | re.S), kind, action)
            for pattern, kind, action in (
                (rf"CREATE\s+(OR\s+REPLACE\s+)?VIEW\s+{NAME}\s+AS\s+(.*)", "CREATE_VIEW", self._create_view),
                (rf"DROP\s+VIEW\s+(IF\s+EXISTS\s+)?{NAME}", "DROP_VIEW", self._drop_view),
                (
                    rf"CREATE\s+(?:DATABASE|SCHEMA)\s+(IF\s+NOT\s+EXISTS\s+)?{NAME}(?:\s+LOCATION\s+'([^']*)')?",
                    "CREATE_DATABASE",
                    self._create_database,
                ),
                (r"(CREATE\s+EXTERNAL\s+TABLE\s.*)", "CREATE_TABLE", self._create_table),
                (rf"DROP\s+TABLE\s+(IF\s+EXISTS\s+)?{NAME}", "DROP_TABLE", self._drop_table),
                (
                    rf"ALTER\s+TABLE\s+{NAME}\s+ADD\s+(IF\s+NOT\s+EXISTS\s+)?((?:{PLACED}\s*)+)",
                    "ALTER_TABLE_ADD_PARTITION",
                    self._add_partitions,
                ),
                (
                    rf"ALTER\s+TABLE\s+{NAME}\s+DROP\s+(IF\s+EXISTS\s+)?({PARTITION}(?:\s*,\s*{PARTITION})*)",
                    "ALTER_TABLE_DROP_PARTITION",
                    self._drop_partitions,
                ),
                (rf"MSCK\s+REPAIR\s+TABLE\s+{NAME}", "MSCK_REPAIR_TABLE", self._repair),
                (rf"SHOW\s+PARTITIONS\s+{NAME}", "SHOW_PARTITIONS", self._show_partitions),
                (rf"SHOW\s+TABLES(?:\s+IN\s+{NAME})?", "SHOW_TABLES", self._show_tables),
                (rf"DESCRIBE\s+{NAME}", "DESCRIBE_TABLE", self._describe_table),
            )
        ]

    def recognise(self, sql: str) -> tuple[str, Callable[[str], list[str]]]:
        """The statement's kind as Athena calls it, and what carries it out in a database.

        Raises:
            Unsupported, Malformed: it is none of them.
        """
        for pattern, kind, action in self._grammar:
            if match := pattern.fullmatch(sql):
                return kind, partial(_carry_out, action, match.groups())
        words = " ".join(sql.split()[:3]).upper()
        if re.match(
            r"(CREATE|ALTER|DROP|SHOW|DESCRIBE|MSCK|INSERT|MERGE|DELETE|UPDATE|EXPLAIN|PREPARE|EXECUTE|VACUUM|OPTIMIZE)\b",
            words,
        ):
            raise Unsupported(f"the statement {words}")
        raise Malformed(f"line 1:1: mismatched input '{words.split(' ')[0].lower()}'. Expecting: 'SELECT', 'WITH', ...")

    def _create_view(self, database: str, replace: str | None, name: str, query: str) -> list[str]:
        schema, view = self._named(name, database)
        columns = self._describe(query, database)
        if unnamed := next((name for name in columns if name.startswith("_col")), None):
            raise QueryFailed(
                "MISSING_COLUMN_NAME", f"line 1:1: Column name not specified at position {int(unnamed[4:]) + 1}"
            )
        existing = self._tables.table(schema, view)
        if existing and existing.get("TableType") != "VIRTUAL_VIEW":
            raise QueryFailed("TABLE_ALREADY_EXISTS", f"line 1:1: Table already exists: '{CATALOG}.{schema}.{view}'")
        if existing and not replace:
            raise QueryFailed("TABLE_ALREADY_EXISTS", f"line 1:1: View already exists: '{CATALOG}.{schema}.{view}'")
        description = {
            "originalSql": query,
            "catalog": CATALOG,
            "schema": database,
            "columns": [{"name": name, "type": kind} for name, kind in columns.items()],
        }
        given = {
            "Name": view,
            "TableType": "VIRTUAL_VIEW",
            "Parameters": {"presto_view": "true", "comment": "Presto View"},
            "StorageDescriptor": {
                "Columns": [{"Name": name, "Type": kind} for name, kind in columns.items()],
                "Location": "",
                "SerdeInfo": {},
            },
            "PartitionKeys": [],
            "ViewOriginalText": f"/* Presto View: {base64.b64encode(json.dumps(description).encode()).decode()} */",
            "ViewExpandedText": "/* Presto View */",
        }
        if existing:
            self._glue.update_table(schema, view, given)
        else:
            self._glue.create_table(schema, view, given)
        return []

    def _drop_view(self, database: str, if_exists: str | None, name: str) -> list[str]:
        schema, view = self._named(name, database)
        existing = self._tables.table(schema, view)
        if existing and existing.get("TableType") == "VIRTUAL_VIEW":
            self._glue.delete_table(schema, view)
        elif not if_exists:
            raise QueryFailed("TABLE_NOT_FOUND", f"line 1:1: View '{CATALOG}.{schema}.{view}' does not exist")
        return []

    def _create_database(self, database: str, if_not_exists: str | None, name: str, location: str | None) -> list[str]:
        given = {"Name": _plain(name), **({"LocationUri": location} if location else {})}
        if given["Name"] in self._glue.databases:
            if not if_not_exists:
                raise _hive_error(f"AlreadyExistsException(message:Database {given['Name']} already exists)")
            return []
        self._glue.create_database(given["Name"], given)
        return []

    def _create_table(self, database: str, sql: str) -> list[str]:
        schema, name, given, if_not_exists = _table_input(sql, database)
        if schema not in self._glue.databases:
            raise QueryFailed("FAILED", f"SemanticException [Error 10072]: Database does not exist: {schema}")
        if self._tables.table(schema, name):
            if not if_not_exists:
                raise _hive_error(f"AlreadyExistsException(message:Table {name} already exists)")
            return []
        self._glue.create_table(schema, name, given)
        return []

    def _drop_table(self, database: str, if_exists: str | None, name: str) -> list[str]:
        schema, table = self._named(name, database)
        if self._tables.table(schema, table):
            self._glue.delete_table(schema, table)
        elif not if_exists:
            raise QueryFailed("FAILED", f"SemanticException [Error 10001]: Table not found {table}")
        return []

    def _add_partitions(self, database: str, name: str, if_not_exists: str | None, listed: str, *_: str) -> list[str]:
        schema, table = self._existing(name, database)
        for spec, location in re.findall(rf"{PARTITION}\s*(?:LOCATION\s*'([^']*)')?", listed, re.I):
            values = _values(spec, table)
            default = f"{table['StorageDescriptor']['Location'].rstrip('/')}/{partition_path(_keys(table), values)}"
            storage = table["StorageDescriptor"] | {"Location": location or default}
            try:
                self._glue_table(schema, table).create_partition({"Values": values, "StorageDescriptor": storage})
            except JsonRESTError:
                if not if_not_exists:
                    raise _hive_error("AlreadyExistsException(message:Partition already exists.)") from None
        return []

    def _drop_partitions(self, database: str, name: str, if_exists: str | None, listed: str, *_: str) -> list[str]:
        schema, table = self._existing(name, database)
        for spec in re.findall(PARTITION, listed, re.I):
            try:
                self._glue_table(schema, table).delete_partition(_values(spec, table))
            except JsonRESTError:
                if not if_exists:
                    raise QueryFailed(
                        "FAILED", f"SemanticException [Error 10006]: Partition not found ({spec})"
                    ) from None
        return []

    def _repair(self, database: str, name: str) -> list[str]:
        """Register what lies below the table as its folders are called: `month=09` is '09', whoever registered 9."""
        schema, table = self._existing(name, database)
        location, keys = table["StorageDescriptor"]["Location"].rstrip("/"), _keys(table)
        folder = re.compile("/".join(f"{re.escape(key)}=([^/]+)" for key in keys) + "/")
        folders = {}
        for each in self._tables.objects.below([location])[location]:
            if at := folder.match(each.uri[len(location) + 1 :]):
                folders[tuple(unquote(value) for value in at.groups())] = f"{location}/{at[0]}"
        known = {each.values for each in self._tables.partitions(schema, table["Name"])}
        missing = {values: place for values, place in folders.items() if values not in known}
        for values, place in missing.items():
            storage = table["StorageDescriptor"] | {"Location": place}
            with suppress(JsonRESTError):
                self._glue_table(schema, table).create_partition({"Values": list(values), "StorageDescriptor": storage})
        paths = [f"{table['Name']}:{partition_path(keys, values)}" for values in missing]
        if not paths:
            return []
        return [
            "Partitions not in metastore:\t" + "\t".join(paths),
            *(f"Repair: Added partition to metastore {path}" for path in paths),
        ]

    def _show_partitions(self, database: str, name: str) -> list[str]:
        schema, table = self._existing(name, database)
        if not _keys(table):
            raise _hive_error(f"Table {table['Name']} is not a partitioned table")
        return [partition_path(_keys(table), each.values) for each in self._tables.partitions(schema, table["Name"])]

    def _show_tables(self, database: str, name: str | None) -> list[str]:
        schema = _plain(name) if name else database
        if schema not in self._glue.databases:
            raise QueryFailed("FAILED", f"SemanticException [Error 10072]: Database does not exist: {schema}")
        return sorted(self._glue.databases[schema].tables)

    def _describe_table(self, database: str, name: str) -> list[str]:
        _, table = self._existing(name, database)
        columns = [f"{each['Name']:<20}\t{each['Type']:<20}\t" for each in table["StorageDescriptor"]["Columns"]]
        keys = [f"{each['Name']:<20}\t{each['Type']:<20}\t" for each in table.get("PartitionKeys") or []]
        if not keys:
            return columns
        heading = ["", "# Partition Information", "# col_name            \tdata_type           \tcomment             "]
        return [*columns, *keys, *heading, "", *keys]

    @property
    def _glue(self) -> Any:
        return self._tables.glue

    def _named(self, name: str, database: str) -> tuple[str, str]:
        *above, own = [_plain(part) for part in name.split(".")]
        schema = above[-1] if above else database
        if schema not in self._glue.databases:
            raise QueryFailed("SCHEMA_NOT_FOUND", f"line 1:1: Schema '{schema}' does not exist")
        return schema, own

    def _existing(self, name: str, database: str) -> tuple[str, dict[str, Any]]:
        schema, own = self._named(name, database)
        table = self._tables.table(schema, own)
        if table is None:
            raise QueryFailed("FAILED", f"SemanticException [Error 10001]: Table not found {schema}.{own}")
        return schema, table

    def _glue_table(self, schema: str, table: dict[str, Any]) -> Any:
        return self._glue.databases[schema].tables[table["Name"]]


def _carry_out(action: Callable[..., list[str]], parts: tuple[str | None, ...], database: str) -> list[str]:
    return action(database, *parts)


def _plain(name: str) -> str:
    return name.replace("`", "").replace('"', "").lower()


def _keys(table: dict[str, Any]) -> list[str]:
    return [each["Name"] for each in table.get("PartitionKeys") or []]


def _values(spec: str, table: dict[str, Any]) -> list[str]:
    given = {_plain(key): value for key, value in re.findall(r"([`\w]+)\s*=\s*('[^']*'|[^,\s]+)", spec)}
    kinds = {each["Name"]: each["Type"] for each in table.get("PartitionKeys") or []}
    if set(given) != set(kinds):
        raise QueryFailed(
            "FAILED", f"SemanticException Partition spec {{{spec}}} doesn't contain all partition columns"
        )
    texts = {key: value.strip("'") for key, value in given.items()}
    # Hive writes the value of a number as the number: '09' as 9.
    return [
        str(int(texts[key])) if kind in ("int", "bigint", "smallint", "tinyint") else texts[key]
        for key, kind in kinds.items()
    ]


def _hive_error(message: str) -> QueryFailed:
    return QueryFailed(
        "FAILED", f"Execution Error, return code 1 from org.apache.hadoop.hive.ql.exec.DDLTask. {message}"
    )


def _table_input(sql: str, database: str) -> tuple[str, str, dict[str, Any], bool]:
    """Hive's CREATE EXTERNAL TABLE as Glue's TableInput."""
    try:
        create = sqlglot.parse_one(sql, read="hive")
    except ParseError as error:
        raise Malformed(f"line 1:1: {error}") from None
    if not isinstance(create, exp.Create) or not isinstance(create.this, exp.Schema):
        raise Unsupported("CREATE TABLE without columns")
    table = create.this.this
    properties = create.args["properties"].expressions if create.args.get("properties") else []
    of_kind = {type(each): each for each in properties}
    parameters = {each.name: each.args["value"].name for each in properties if type(each) is exp.Property}
    if exp.LocationProperty not in of_kind:
        raise QueryFailed("FAILED", "SemanticException External tables need a LOCATION")
    serde = of_kind.get(exp.RowFormatSerdeProperty)
    delimited = of_kind.get(exp.RowFormatDelimitedProperty)
    stored = of_kind.get(exp.FileFormatProperty)
    kind = stored.this.name.upper() if stored else "TEXTFILE"
    if kind == "PARQUET":
        storage = dict(PARQUET)
    elif kind == "TEXTFILE":
        library = serde.this.name if serde else "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"
        own = of_kind.get(exp.SerdeProperties)
        options = {each.name: each.args["value"].name for each in own.expressions} if own else {}
        if delimited and delimited.args.get("fields"):
            options["field.delim"] = delimited.args["fields"].name
        storage = TEXT | {"SerdeInfo": {"SerializationLibrary": library, "Parameters": options}}
    else:
        raise Unsupported(f"STORED AS {kind}")
    partitioned = of_kind.get(exp.PartitionedByProperty)
    columns = [_column(each) for each in create.this.expressions if isinstance(each, exp.ColumnDef)]
    given = {
        "Name": table.name.lower(),
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"EXTERNAL": "TRUE"} | parameters,
        "PartitionKeys": [_column(each) for each in partitioned.this.expressions] if partitioned else [],
        "StorageDescriptor": {"Columns": columns, "Location": of_kind[exp.LocationProperty].this.name} | storage,
    }
    return (table.db or database).lower(), given["Name"], given, bool(create.args.get("exists"))


def _column(column: exp.ColumnDef) -> dict[str, str]:
    return {"Name": column.name.lower(), "Type": column.args["kind"].sql("hive").lower().replace(", ", ",")}
