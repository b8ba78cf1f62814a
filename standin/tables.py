"""Glue's tables over S3's objects, as DuckDB can read them: partitions, files, types, and what a scan costs.

The catalog and the objects are moto's, read within the process; SQL is not known here beyond a scan's conditions.
"""

from __future__ import annotations

import base64
import json
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from itertools import product
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from moto.backends import get_backend
from moto.s3.exceptions import MissingBucket
from moto.s3.models import FakeDeleteMarker
from sqlglot import exp

from standin.trino import (
    HIDDEN,
    QueryFailed,
    Relation,
    Scan,
    Unsupported,
    condition,
    duckdb_type,
    trino_type,
)

if TYPE_CHECKING:
    from standin.server import StandIn

NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
COLD = ("GLACIER", "DEEP_ARCHIVE")
"""Storage classes whose objects Athena passes over."""

VIEW = re.compile(r"/\* Presto View: (\S+) \*/")


@dataclass(frozen=True)
class Object:
    """One object of S3, under its address."""

    uri: str
    size: int
    modified: datetime
    key: Any


@dataclass(frozen=True)
class Partition:
    """A partition as registered: values as text, and where its objects are."""

    values: tuple[str, ...]
    location: str
    columns: dict[str, str]


class Objects:
    """moto's S3 from within the process."""

    def __init__(self, stand_in: StandIn) -> None:
        self._stand_in = stand_in

    def put(self, uri: str, data: bytes) -> None:
        bucket, key = split_uri(uri)
        with self._stand_in.moto_lock:
            self._backend.put_object(bucket, key, data)

    def get(self, uri: str) -> bytes:
        bucket, key = split_uri(uri)
        with self._stand_in.moto_lock:
            return self._backend.get_object(bucket, key).value

    def exists(self, bucket: str) -> bool:
        with self._stand_in.moto_lock:
            return bucket in self._backend.buckets

    def below(self, locations: Iterable[str], *, hidden: bool = False) -> dict[str, list[Object]]:
        """The objects below each location; without those that Hive hides."""
        buckets: dict[str, list[Object]] = {}
        found: dict[str, list[Object]] = {}
        for location in locations:
            bucket, prefix = split_uri(location)
            if bucket not in buckets:
                buckets[bucket] = self._all(bucket)
            prefix = prefix.rstrip("/") + "/" if prefix.strip("/") else ""
            start = f"s3://{bucket}/{prefix}"
            objects, own = buckets[bucket], []
            for at in range(bisect_left(objects, start, key=lambda each: each.uri), len(objects)):
                if not objects[at].uri.startswith(start):
                    break
                parts = objects[at].uri[len(start) :].split("/")
                if hidden or not (any(part.startswith(("_", ".")) for part in parts) or objects[at].size == 0):
                    own.append(objects[at])
            found[location] = own
        return found

    def local(self, each: Object) -> Path:
        """The object as a file, written once for each content."""
        # DuckDB knows a compressed text by its suffix only.
        suffix = ".gz" if each.uri.endswith(".gz") else ""
        file = self._stand_in.folder / "cache" / f"{each.key.etag.strip(chr(34))}{suffix}"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            with self._stand_in.moto_lock:
                data = each.key.value
            partial = file.with_name(f"{file.name}.{id(each)}")
            partial.write_bytes(data)
            partial.rename(file)
        return file

    def _all(self, bucket: str) -> list[Object]:
        with self._stand_in.moto_lock:
            try:
                keys = list(self._backend.head_bucket(bucket).keys.items())
            except MissingBucket:
                message = "The specified bucket does not exist (Service: Amazon S3; Status Code: 404; "
                raise QueryFailed("HIVE_UNKNOWN_ERROR", f"{message}Error Code: NoSuchBucket): {bucket}") from None
            live = [
                Object(f"s3://{bucket}/{name}", key.size, key.last_modified, key)
                for name, key in keys
                if not isinstance(key, FakeDeleteMarker) and key.storage_class not in COLD
            ]
        return sorted(live, key=lambda each: each.uri)

    @property
    def _backend(self) -> Any:
        return get_backend("s3")[self._stand_in.account]["aws"]


def split_uri(uri: str) -> tuple[str, str]:
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme not in ("s3", "s3a", "s3n") or not bucket:
        raise QueryFailed("HIVE_METASTORE_ERROR", f"not an S3 location: {uri!r}")
    return bucket, key


class Tables:
    """The catalog's tables, and the reading of them."""

    def __init__(self, stand_in: StandIn) -> None:
        self._stand_in = stand_in
        self.objects = Objects(stand_in)

    def lookup(self, database: str, name: str) -> Relation | None:
        """See trino.Lookup."""
        found = self.table(database, name)
        if found is None:
            return None
        storage = found.get("StorageDescriptor") or {}
        columns = {each["Name"]: each["Type"] for each in storage.get("Columns") or []}
        columns |= {each["Name"]: each["Type"] for each in found.get("PartitionKeys") or []}
        if found.get("TableType") != "VIRTUAL_VIEW":
            return Relation(database, name, columns)
        text = VIEW.fullmatch(found.get("ViewOriginalText") or "")
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
            if _is_projected(table):
                partitions = _projected(table, f"{scan.table.database}.{scan.table.name}", self._stand_in.clock())
            else:
                partitions = self.partitions(scan.table.database, scan.table.name)
            partitions = self._asked_for(connection, partitions, keys, scan, _namer(table))
        else:
            partitions = [Partition((), storage.get("Location") or "", {})]
        found = self.objects.below(dict.fromkeys(each.location for each in partitions))
        files = [(each, partition) for partition in partitions for each in found[partition.location]]
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

    def _parquet(
        self, files: list[tuple[Object, Partition]], columns: dict[str, str], scan: Scan
    ) -> tuple[list[str], int]:
        scanned = 0
        alike: dict[tuple, list[Path]] = defaultdict(list)
        for each, _ in files:
            path = self.objects.local(each)
            leaves = _leaves(path, each.uri)
            for name in scan.columns & set(columns) & set(leaves):
                if not _readable(leaves[name][1], columns[name]):
                    raise QueryFailed(
                        "HIVE_BAD_DATA",
                        f"Field {name}'s type {leaves[name][1][0]} in parquet file {each.uri} is incompatible with "
                        f"type {trino_type(columns[name])} defined in table schema",
                    )
            scanned += _cost(path, each.uri, scan, leaves)
            # Files that differ in more than their columns' kinds are read by name all the same.
            shape = tuple((name, leaves[name][0], leaves[name][1]) for name in columns if name in leaves)
            alike[shape].append(path)
        parts = []
        for shape, paths in alike.items():
            kinds = {name: (own, leaf) for name, own, leaf in shape}
            values = [
                _value(kinds[name][0], kinds[name][1], glue) if name in kinds else f"CAST(NULL AS {duckdb_type(glue)})"
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


def _is_projected(table: dict[str, Any]) -> bool:
    return (table.get("Parameters") or {}).get("projection.enabled", "").strip().lower() == "true"


def _projected(table: dict[str, Any], name: str, now: datetime) -> list[Partition]:
    """Every partition that the table's parameters describe, whether it has a folder or not; registered ones are none.

    Only keys of the type `integer`, and months, are known here.
    """
    parameters = {key: value.strip() for key, value in table["Parameters"].items()}
    keys = [each["Name"] for each in table["PartitionKeys"]]
    if missing := [key for key in keys if f"projection.{key}.type" not in parameters]:
        raise QueryFailed(
            "HIVE_METASTORE_ERROR",
            f"Table {name} is configured for partition projection, but the following partition columns are missing "
            f"projection configuration: [{', '.join(missing)}] (table {name})",
        )
    values = [_projected_values(key, parameters, name, now) for key in keys]
    template = parameters.get("storage.location.template")
    if template is None:
        folders = "/".join(f"{key}=${{{key}}}" for key in keys)
        template = f"{table['StorageDescriptor']['Location'].rstrip('/')}/{folders}/"
    if missing := [key for key in keys if f"${{{key}}}" not in template]:
        raise QueryFailed(
            "HIVE_METASTORE_ERROR",
            f"Invalid storage.location.template of table {name}: it has no ${{{missing[0]}}}",
        )
    location = Template(template)
    return [
        Partition(found, location.safe_substitute(dict(zip(keys, found, strict=True))), {})
        for found in product(*values)
    ]


def _projected_values(key: str, parameters: dict[str, str], name: str, now: datetime) -> list[str]:
    kind = parameters[f"projection.{key}.type"].lower()
    if kind == "date":
        return _projected_months(key, parameters, name, now)
    if kind != "integer":
        raise Unsupported(f"partition projection of the type {kind}")
    told = re.fullmatch(r"\s*(-?\d+)\s*,\s*(-?\d+)\s*", parameters.get(f"projection.{key}.range", ""))
    if told is None:
        raise QueryFailed("HIVE_METASTORE_ERROR", f"Invalid projection.{key}.range of table {name}")
    step = int(parameters.get(f"projection.{key}.interval", "1"))
    digits = int(parameters.get(f"projection.{key}.digits", "0"))
    return [f"{value:0{digits}d}" if digits else str(value) for value in range(int(told[1]), int(told[2]) + 1, step)]


def _projected_months(key: str, parameters: dict[str, str], name: str, now: datetime) -> list[str]:
    """The months of a range of dates, up to that of `now` where it ends NOW; other formats are not known here."""
    form, unit = (parameters.get(f"projection.{key}.{what}", "") for what in ("format", "interval.unit"))
    if (form, unit.upper(), parameters.get(f"projection.{key}.interval")) != ("yyyy-MM", "MONTHS", "1"):
        raise Unsupported(f"partition projection of dates in the format {form!r} by {unit!r}")
    told = re.fullmatch(
        r"\s*(\d{4})-(\d{2})\s*,\s*(?:(\d{4})-(\d{2})|NOW)\s*", parameters.get(f"projection.{key}.range", "")
    )
    if told is None:
        raise QueryFailed("HIVE_METASTORE_ERROR", f"Invalid projection.{key}.range of table {name}")
    first, last = int(told[1]) * 12 + int(told[2]), int(told[3] or now.year) * 12 + int(told[4] or now.month)
    return [f"{(month - 1) // 12}-{(month - 1) % 12 + 1:02d}" for month in range(first, last + 1)]


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


# Parquet ---------------------------------------------------------------------------------------------------------

Leaf = tuple[str, str]
"""Physical type of a column, or GROUP, and its logical type."""


@lru_cache(maxsize=4096)
def _metadata(path: Path) -> pq.FileMetaData:
    return pq.read_metadata(path)


def _leaves(path: Path, uri: str) -> dict[str, tuple[str, Leaf]]:
    """Each column by its lower-case name: its name in the file, and its type."""
    try:
        schema = _metadata(path).schema
    except pa.ArrowInvalid:
        message = f"Not valid Parquet file: {uri} expected magic number: PAR1"
        raise QueryFailed("HIVE_BAD_DATA", message) from None
    leaves: dict[str, tuple[str, Leaf]] = {}
    for number in range(len(schema)):
        column = schema.column(number)
        own = column.path.split(".")[0]
        kind = (column.physical_type, column.logical_type.type) if column.path == own else ("GROUP", "")
        leaves.setdefault(own.lower(), (own, kind))
    return leaves


def _readable(leaf: Leaf, glue: str) -> bool:
    """Whether Athena's Parquet reader makes the table's type of the file's."""
    physical, logical = leaf
    base = re.split(r"[(<]", glue.lower())[0]
    if base in ("map", "array", "struct"):
        return physical == "GROUP"
    if base in ("string", "varchar", "char", "binary"):
        return physical == "BYTE_ARRAY" and logical != "DECIMAL"
    if base == "decimal":
        return logical == "DECIMAL" or (physical in ("INT32", "INT64") and logical in ("NONE", "INT"))
    if base == "timestamp":
        return physical == "INT96" or (physical == "INT64" and logical == "TIMESTAMP")
    kinds = {
        "boolean": [("BOOLEAN", "NONE")],
        "date": [("INT32", "DATE"), ("INT32", "NONE")],
        "float": [("FLOAT", "NONE")],
        "double": [("DOUBLE", "NONE"), ("FLOAT", "NONE")],
        "bigint": [("INT64", "NONE"), ("INT64", "INT"), ("INT32", "NONE"), ("INT32", "INT")],
    }
    return leaf in kinds.get(base, [("INT32", "NONE"), ("INT32", "INT")])


def _value(own: str, leaf: Leaf, glue: str) -> str:
    name = f'"{own}"'
    if not _readable(leaf, glue):
        return f"CAST(NULL AS {duckdb_type(glue)})"  # never read: the scan has checked the columns that are
    if glue.lower() == "timestamp":
        return f"CAST(CAST({name} AS TIMESTAMP_MS) AS TIMESTAMP)"
    if glue.lower() == "date" and leaf[1] != "DATE":
        return f"DATE '1970-01-01' + {name}"
    return f"CAST({name} AS {duckdb_type(glue)})"


def _cost(path: Path, uri: str, scan: Scan, leaves: dict[str, tuple[str, Leaf]]) -> int:
    """Compressed size of the columns needed, in row groups that the conditions do not exclude by their statistics."""
    metadata = _metadata(path)
    tops = [metadata.schema.column(n).path.split(".")[0].lower() for n in range(metadata.num_columns)]
    total = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)

        def statistics(name: str, group: Any = group) -> Any:
            return group.column(tops.index(name)).statistics if name in tops else None

        if all(_may_hold(conjunct, statistics) for conjunct in scan.conjuncts):
            total += sum(group.column(n).total_compressed_size for n, top in enumerate(tops) if top in scan.columns)
    return total


def _may_hold(asked: exp.Expr, statistics: Callable[[str], Any]) -> bool:
    """Whether a row group can hold a row for which the condition is true; what is not understood may be."""
    asked = asked.unnest()
    if isinstance(asked, exp.And):
        return _may_hold(asked.this, statistics) and _may_hold(asked.expression, statistics)
    if isinstance(asked, exp.Or):
        return _may_hold(asked.this, statistics) or _may_hold(asked.expression, statistics)
    if isinstance(asked, exp.Between):
        low = exp.GTE(this=asked.this, expression=asked.args["low"])
        high = exp.LTE(this=asked.this, expression=asked.args["high"])
        return _may_hold(low, statistics) and _may_hold(high, statistics)
    if isinstance(asked, exp.Is) and isinstance(asked.expression, exp.Null) and isinstance(asked.this, exp.Column):
        known = statistics(asked.this.name)
        return known is None or not known.has_null_count or known.null_count > 0
    if not isinstance(asked, exp.EQ | exp.LT | exp.LTE | exp.GT | exp.GTE):
        return True
    column, bound = asked.left, _constant(asked.right)
    flipped = isinstance(asked.right, exp.Column)
    if flipped:
        column, bound = asked.right, _constant(asked.left)
    if not isinstance(column, exp.Column) or bound is None:
        return True
    known = statistics(column.name)
    if known is None or not known.has_min_max:
        return True
    low, high = _comparable(known.min), _comparable(known.max)
    if type(low) is not type(bound) and not (isinstance(low, int | float) and isinstance(bound, int | float | Decimal)):
        return True
    operator = type(asked)
    if flipped:
        operator = {exp.LT: exp.GT, exp.LTE: exp.GTE, exp.GT: exp.LT, exp.GTE: exp.LTE}.get(operator, operator)
    return {
        exp.EQ: low <= bound <= high,
        exp.LT: low < bound,
        exp.LTE: low <= bound,
        exp.GT: high > bound,
        exp.GTE: high >= bound,
    }[operator]


def _constant(node: exp.Expr) -> Any:
    if isinstance(node, exp.Cast) and isinstance(node.this, exp.Literal):
        kind = node.to.this.value
        if kind in ("DATE", "TIMESTAMP"):
            try:
                return _comparable(datetime.fromisoformat(node.this.this))
            except ValueError:
                return None
        return Decimal(node.this.this) if kind == "DECIMAL" else None
    if isinstance(node, exp.Literal):
        return node.this if node.is_string else Decimal(node.this)
    return None


def _comparable(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - as SQL compares a date with a timestamp
    return value


def _text_literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
