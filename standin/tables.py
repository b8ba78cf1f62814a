"""Glue's tables over S3's objects, as DuckDB can read them: partitions, files and their rows."""

from __future__ import annotations

import base64
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import duckdb
import pyarrow as pa
from moto.backends import get_backend
from sqlglot import exp

from standin.objects import Object, Objects
from standin.parquet import column_sql, file_columns, is_domain_of, is_readable, scan_cost
from standin.projection import Partition, is_projected, projected_partitions
from standin.trino.language import HIDDEN, QueryFailed, Relation, Scan, Unsupported, duckdb_type, trino_type
from standin.trino.translation import condition

if TYPE_CHECKING:
    from standin.server import StandIn

NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
VIEW = re.compile(r"/\* Presto View: (\S+) \*/")


class Tables:
    """The catalog's tables, and the reading of them."""

    def __init__(self, stand_in: StandIn) -> None:
        self._stand_in = stand_in
        self.objects = Objects(stand_in)

    def lookup(self, database: str, name: str) -> Relation | None:
        """See trino.Lookup."""
        description = self.table(database, name)
        if description is None:
            return None
        storage = description.get("StorageDescriptor") or {}
        columns = {each["Name"]: each["Type"] for each in storage.get("Columns") or []}
        columns |= {each["Name"]: each["Type"] for each in description.get("PartitionKeys") or []}
        if description.get("TableType") != "VIRTUAL_VIEW":
            return Relation(database, name, columns)
        text = VIEW.fullmatch(description.get("ViewOriginalText") or "")
        if not text:
            raise QueryFailed("HIVE_INVALID_VIEW_DATA", f"Invalid view data for {database}.{name}")
        view = json.loads(base64.b64decode(text[1]))
        return Relation(view.get("schema") or database, name, columns, view["originalSql"])

    def table(self, database: str, name: str) -> dict[str, Any] | None:
        """Glue's own description of a table.

        Raises:
            KeyError: there is no such database.
        """
        with self._stand_in.moto_lock:
            tables = self.glue.databases[database].tables
            return tables[name].as_dict() if name in tables else None

    def partitions(self, database: str, name: str) -> list[Partition]:
        with self._stand_in.moto_lock:
            inputs = [each.partition_input for each in self.glue.databases[database].tables[name].partitions.values()]
        return [_partition(each) for each in inputs]

    @property
    def glue(self) -> Any:
        return get_backend("glue")[self._stand_in.account][self._stand_in.region]

    def open(self, connection: duckdb.DuckDBPyConnection, scan: Scan) -> int:
        """Make the scan readable under its name; returns the bytes that reading it costs.

        Raises:
            QueryFailed: partitions or files that Athena cannot read.
        """
        table = self.table(scan.table.database, scan.table.name)
        if table is None:
            raise QueryFailed("TABLE_NOT_FOUND", f"line 1:1: Table '{scan.table.name}' does not exist")
        _refuse_formats(table)
        storage = table["StorageDescriptor"]
        keys = {each["Name"]: each["Type"] for each in table.get("PartitionKeys") or []}
        if keys:
            if is_projected(table):
                partitions = projected_partitions(
                    table, f"{scan.table.database}.{scan.table.name}", self._stand_in.clock()
                )
            else:
                partitions = self.partitions(scan.table.database, scan.table.name)
            partitions = self._asked_for(connection, partitions, keys, scan, _namer(table))
        else:
            partitions = [Partition((), storage.get("Location") or "", {})]
        objects = self.objects.below(dict.fromkeys(each.location for each in partitions))
        files = [(each, partition) for partition in partitions for each in objects[partition.location]]
        files = self._asked_by_path(connection, files, scan)
        columns = {each["Name"]: each["Type"] for each in storage["Columns"]}
        serde = (storage.get("SerdeInfo") or {}).get("SerializationLibrary", "")
        if "parquet" in serde.lower():
            parts, scanned = self._parquet(files, columns, scan)
        else:
            parts, scanned = self._text(files, columns, storage, serde, table)
        self._view(connection, scan.name, columns, keys, files, parts)
        return scanned

    def open_empty(self, connection: duckdb.DuckDBPyConnection, scan: Scan) -> None:
        """Make the scan known by its columns only, for a query that is described and not run."""
        _empty_view(connection, scan.name, scan.table.columns)

    def _asked_for(
        self,
        connection: duckdb.DuckDBPyConnection,
        partitions: list[Partition],
        keys: dict[str, str],
        scan: Scan,
        named: Callable[[Partition], str],
    ) -> list[Partition]:
        """The partitions that the query's conditions on partition keys leave over."""
        for partition in partitions:
            _check_schema(partition, scan.table, named)
        _partition_values(connection, f"{scan.name}_partitions", partitions, keys)
        left = set(range(len(partitions)))
        now = self._stand_in.clock()
        for conjunct in scan.conjuncts:
            if {column.name for column in conjunct.find_all(exp.Column)} <= set(keys):
                asked = f'SELECT partition FROM "{scan.name}_partitions" WHERE {condition(conjunct, now)}'
                try:
                    left &= {number for (number,) in connection.execute(asked).fetchall()}
                except duckdb.Error:
                    continue  # the query itself will fail on it
        return [partitions[number] for number in sorted(left)]

    def _asked_by_path(
        self, connection: duckdb.DuckDBPyConnection, files: list[tuple[Object, Partition]], scan: Scan
    ) -> list[tuple[Object, Partition]]:
        """The files that comparisons of `$path` with constants leave over: Trino does not open the others."""
        asked = [each for each in scan.conjuncts if is_domain_of(each, "$path")]
        if not asked or not files:
            return files
        paths = pa.table({"$path": [each.uri for each, _ in files], "file": pa.array(range(len(files)))})
        connection.register("paths_arrow", paths)
        try:
            now = self._stand_in.clock()
            where = " AND ".join(f"({condition(each, now)})" for each in asked)
            left = connection.execute(f"SELECT file FROM paths_arrow WHERE {where} ORDER BY file").fetchall()
        finally:
            connection.unregister("paths_arrow")
        return [files[number] for (number,) in left]

    def _parquet(
        self, files: list[tuple[Object, Partition]], columns: dict[str, str], scan: Scan
    ) -> tuple[list[str], int]:
        scanned = 0
        alike: dict[tuple, list[Path]] = defaultdict(list)
        for each, _ in files:
            path = self.objects.local(each)
            leaves = file_columns(path, each.uri)
            for name in scan.columns & set(columns) & set(leaves):
                if not is_readable(leaves[name][1], columns[name]):
                    raise QueryFailed(
                        "HIVE_BAD_DATA",
                        f"Field {name}'s type {leaves[name][1][0]} in parquet file {each.uri} is incompatible with "
                        f"type {trino_type(columns[name])} defined in table schema",
                    )
            scanned += scan_cost(path, each.uri, scan, leaves)
            # Files that differ in more than their columns' kinds are read by name all the same.
            shape = tuple((name, leaves[name][0], leaves[name][1]) for name in columns if name in leaves)
            alike[shape].append(path)
        parts = []
        for shape, paths in alike.items():
            kinds = {name: (own, leaf) for name, own, leaf in shape}
            values = [
                column_sql(kinds[name][0], kinds[name][1], glue)
                if name in kinds
                else f"CAST(NULL AS {duckdb_type(glue)})"
                for name, glue in columns.items()
            ]
            named = ", ".join(f'{value} AS "{name}"' for name, value in zip(columns, values, strict=True))
            listed = ", ".join(_text_literal(str(path)) for path in dict.fromkeys(paths))
            reader = f"read_parquet([{listed}], filename = true, binary_as_string = true)"
            parts.append(f"SELECT {named + ', ' if named else ''}filename AS local_file FROM {reader}")
        return parts, scanned

    def _text(
        self,
        files: list[tuple[Object, Partition]],
        columns: dict[str, str],
        storage: dict[str, Any],
        serde: str,
        table: dict[str, Any],
    ) -> tuple[list[str], int]:
        given = (storage.get("SerdeInfo") or {}).get("Parameters") or {}
        quoted = "OpenCSV" in serde
        options = {
            "delim": given.get("separatorChar", ",") if quoted else given.get("field.delim", "\x01"),
            "quote": given.get("quoteChar", '"') if quoted else "",
            "escape": given.get("escapeChar", "\\") if quoted else "",
        }
        nothing = "chr(26)" if quoted else "'\\N'"  # OpenCSVSerde has no NULL: nobody writes this
        skip = int((table.get("Parameters") or {}).get("skip.header.line.count", 0))
        named = ", ".join(f"{_text_literal(name)}: 'VARCHAR'" for name in columns)
        written = ", ".join(f"{name} = {_text_literal(value)}" for name, value in options.items())
        values = ", ".join(
            f'"{name}"' if trino_type(glue) == "varchar" else f'TRY_CAST("{name}" AS {duckdb_type(glue)}) AS "{name}"'
            for name, glue in columns.items()
        )
        parts = [
            f"SELECT {values}, {_text_literal(str(path))} AS local_file FROM read_csv({_text_literal(str(path))}, "
            f"columns = {{{named}}}, auto_detect = false, header = false, skip = {skip}, null_padding = true, "
            f"nullstr = {nothing}, {written})"
            for path in dict.fromkeys(self.objects.local(each) for each, _ in files)
        ]
        return parts, sum(each.size for each, _ in files)

    def _view(
        self,
        connection: duckdb.DuckDBPyConnection,
        name: str,
        columns: dict[str, str],
        keys: dict[str, str],
        files: list[tuple[Object, Partition]],
        parts: list[str],
    ) -> None:
        if not files:
            _empty_view(connection, name, columns | keys)
            return
        # The same content under two keys, or in two partitions, is one local file and counts twice.
        rows = {
            "local_file": [str(self.objects.local(each)) for each, _ in files],
            "$path": [each.uri for each, _ in files],
            "$file_modified_time": pa.array(
                [each.modified.replace(tzinfo=None) for each, _ in files], pa.timestamp("ms")
            ),
            **{key: [_given(p.values[at]) for _, p in files] for at, key in enumerate(keys)},
        }
        connection.register(f"{name}_arrow", pa.table(rows))
        typed = [f'CAST("{key}" AS {duckdb_type(glue)}) AS "{key}"' for key, glue in keys.items()]
        others = ", ".join(["local_file", '"$path"', '"$file_modified_time"', *typed])
        connection.execute(f'CREATE TEMP TABLE "{name}_files" AS SELECT {others} FROM "{name}_arrow"')
        connection.unregister(f"{name}_arrow")
        outer = [*(f'f."{column}"' for column in columns), *(f'p."{column}"' for column in [*keys, *HIDDEN])]
        union = " UNION ALL ".join(parts)
        connection.execute(
            f'CREATE TEMP VIEW "{name}" AS SELECT {", ".join(outer)} '
            f'FROM ({union}) AS f JOIN "{name}_files" AS p ON f.local_file = p.local_file'
        )


def _empty_view(connection: duckdb.DuckDBPyConnection, name: str, columns: dict[str, str]) -> None:
    nulls = [f'CAST(NULL AS {duckdb_type(glue)}) AS "{column}"' for column, glue in (columns | HIDDEN).items()]
    connection.execute(f'CREATE TEMP VIEW "{name}" AS SELECT {", ".join(nulls)} WHERE false')


def _partition(given: dict[str, Any]) -> Partition:
    storage = given.get("StorageDescriptor") or {}
    if not (storage.get("SerdeInfo") or {}).get("SerializationLibrary") or not storage.get("Location"):
        raise QueryFailed("HIVE_INVALID_METADATA", f"Partition {given.get('Values')} is missing its SerDe or location")
    columns = {each["Name"].lower(): each["Type"] for each in storage.get("Columns") or []}
    return Partition(tuple(given["Values"]), storage["Location"], columns)


def _namer(table: dict[str, Any]) -> Callable[[Partition], str]:
    keys = [each["Name"] for each in table["PartitionKeys"]]
    return lambda partition: partition_path(keys, partition.values)


def partition_path(keys: Iterable[str], values: Iterable[str]) -> str:
    """`year=2025/month=9`, as Hive writes it."""
    return "/".join(f"{key}={quote(value, safe=' ,-._~')}" for key, value in zip(keys, values, strict=True))


def _given(value: str) -> str | None:
    return None if value == NULL_PARTITION else value


def _partition_values(
    connection: duckdb.DuckDBPyConnection, name: str, partitions: list[Partition], keys: dict[str, str]
) -> None:
    columns = {key: pa.array([_given(p.values[at]) for p in partitions], pa.string()) for at, key in enumerate(keys)}
    connection.register("partitions_arrow", pa.table({"partition": pa.array(range(len(partitions))), **columns}))
    typed = ", ".join(f'CAST("{key}" AS {duckdb_type(glue)}) AS "{key}"' for key, glue in keys.items())
    try:
        connection.execute(f'CREATE TEMP TABLE "{name}" AS SELECT partition, {typed} FROM partitions_arrow')
    except duckdb.ConversionException as error:
        raise QueryFailed("HIVE_INVALID_PARTITION_VALUE", f"Invalid partition value: {error}") from None
    finally:
        connection.unregister("partitions_arrow")


def _refuse_formats(table: dict[str, Any]) -> None:
    parameters = table.get("Parameters") or {}
    serde = (table["StorageDescriptor"].get("SerdeInfo") or {}).get("SerializationLibrary") or ""
    if parameters.get("table_type", "").upper() == "ICEBERG":
        raise Unsupported("Iceberg tables")
    if not re.search("parquet|OpenCSV|LazySimple", serde, re.I):
        raise Unsupported(f"tables with the SerDe {serde!r}")


def _check_schema(partition: Partition, table: Relation, named: Callable[[Partition], str]) -> None:
    """Types of a partition's own columns must be the table's, or become them without loss."""
    wider = {"tinyint": 0, "smallint": 1, "int": 2, "bigint": 3}
    for name, own in partition.columns.items():
        wanted = table.columns.get(name, own)
        if trino_type(own) == trino_type(wanted) or wider.get(own, 9) < wider.get(wanted, -1):
            continue
        if (own, wanted) == ("float", "double") or trino_type(wanted) == "varchar":
            continue
        raise QueryFailed(
            "HIVE_PARTITION_SCHEMA_MISMATCH",
            "There is a mismatch between the table and partition schemas. The types are incompatible and cannot be "
            f"coerced. The column '{name}' in table '{table.database}.{table.name}' is declared as type '{wanted}', "
            f"but partition '{named(partition)}' declared column '{name}' as type '{own}'.",
        )


def _text_literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
