"""UNLOAD: its grammar, and the files that it leaves in S3."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from standin.objects import Objects
from standin.tables import NULL_PARTITION, partition_path
from standin.trino.language import Malformed, QueryFailed, Unsupported

STATEMENT = re.compile(
    r"UNLOAD\s*\((?P<query>.*)\)\s*TO\s*'(?P<to>[^']+)'\s*(?:WITH\s*\((?P<options>.*)\))?\s*", re.I | re.S
)
OPTION = re.compile(r"\s*(\w+)\s*=\s*(?:'((?:[^']|'')*)'|ARRAY\s*\[([^\]]*)\]|(\d+))\s*(?:,|$)", re.I)
KNOWN = {"format", "compression", "partitioned_by", "field_delimiter", "compression_level"}
CODECS = {"GZIP": "gzip", "SNAPPY": "snappy", "ZSTD": "zstd", "LZ4": "lz4", "NONE": "none"}
MOST_PARTITIONS = 100
FILES = 2
"""Files that rows are dealt out to, one after the other: no client can take one file, or their order, for granted."""


@dataclass(frozen=True)
class Unload:
    """What an UNLOAD asks for."""

    query: str
    to: str
    format: str
    compression: str
    partitioned_by: tuple[str, ...] = ()
    field_delimiter: str = "\x01"


def parse_unload(sql: str) -> Unload:
    """The statement in its parts.

    Raises:
        Malformed: it is no UNLOAD; Unsupported: a format that is not written here.
    """
    match = STATEMENT.fullmatch(sql)
    if not match:
        raise Malformed("line 1:1: mismatched input 'UNLOAD'. Expecting: UNLOAD (query) TO 's3://...' WITH (...)")
    options: dict[str, Any] = {}
    rest = match["options"] or ""
    while rest.strip():
        option = OPTION.match(rest)
        if not option:
            raise Malformed(f"line 1:1: mismatched input {rest.strip()[:20]!r}")
        name, text, listed, number = option.groups()
        options[name.lower()] = text if text is not None else number or re.findall(r"'([^']*)'", listed or "")
        rest = rest[option.end() :]
    if unknown := set(options) - KNOWN:
        raise QueryFailed(
            "INVALID_TABLE_PROPERTY", f"Catalog 'awsdatacatalog' table property {min(unknown)!r} does not exist"
        )
    kind = str(options.get("format", "")).upper()
    if not kind:
        raise QueryFailed("INVALID_TABLE_PROPERTY", "UNLOAD needs the property format")
    if kind not in ("PARQUET", "JSON", "TEXTFILE"):
        raise Unsupported(f"UNLOAD to {kind}")
    compression = str(options.get("compression", "GZIP")).upper()
    if compression not in CODECS or (kind != "PARQUET" and compression not in ("GZIP", "NONE")):
        raise Unsupported(f"UNLOAD to {kind} compressed with {compression}")
    return Unload(
        match["query"],
        match["to"].rstrip("/") + "/",
        kind,
        compression,
        tuple(name.lower() for name in options.get("partitioned_by", ())),
        options.get("field_delimiter", "," if kind == "JSON" else "\x01"),
    )


def refuse_if_taken(unload: Unload, objects: Objects) -> None:
    if objects.below([unload.to], hidden=True)[unload.to]:
        raise QueryFailed(
            "HIVE_PATH_ALREADY_EXISTS", f"Target directory for table '{unload.to}' already exists: {unload.to}"
        )


def write_files(
    unload: Unload,
    rows: pa.Table,
    objects: Objects,
    at: datetime,
    cancelled: Callable[[], bool],
    most: int | None = None,
) -> list[str]:
    """Write the rows below the target, `most` files at most; returns their addresses. No rows leave no file."""
    _refuse_types(rows)
    written = []
    for folder, part in _partitions(unload, rows):
        for number in range(min(FILES, part.num_rows)):
            if cancelled() or len(written) == most:
                return written
            dealt = part.take(pa.array(range(number, part.num_rows, FILES)))
            uri = f"{unload.to}{folder}{at:%Y%m%d_%H%M%S}_{uuid4().int % 100_000:05d}_{uuid4().hex[:5]}_{uuid4()}"
            uri += ".gz" if unload.format != "PARQUET" and unload.compression == "GZIP" else ""
            objects.put(uri, _encoded(unload, dealt))
            written.append(uri)
    return written


def _partitions(unload: Unload, rows: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    keys = unload.partitioned_by
    if not keys:
        yield "", rows
        return
    if tuple(rows.column_names[-len(keys) :]) != keys:
        raise QueryFailed(
            "HIVE_COLUMN_ORDER_MISMATCH",
            f"Partition keys must be the last columns in the table and in the same order: {list(keys)}",
        )
    texts = [pc.cast(rows[key], pa.string()).fill_null(NULL_PARTITION) for key in keys]
    of_row = list(zip(*(text.to_pylist() for text in texts), strict=True))
    places: dict[tuple[str, ...], list[int]] = {}
    for place, values in enumerate(of_row):
        places.setdefault(values, []).append(place)
    if len(places) > MOST_PARTITIONS:
        raise QueryFailed(
            "HIVE_TOO_MANY_OPEN_PARTITIONS",
            f"Exceeded limit of {MOST_PARTITIONS} open writers for partitions/buckets.",
        )
    kept = rows.drop_columns(list(keys))
    for values, own in places.items():
        yield partition_path(keys, values) + "/", kept.take(pa.array(own))


def _refuse_types(rows: pa.Table) -> None:
    for field in rows.schema:
        zoned = pa.types.is_timestamp(field.type) and field.type.tz
        if zoned or pa.types.is_null(field.type):
            kind = "timestamp(3) with time zone" if zoned else "unknown"
            raise QueryFailed("NOT_SUPPORTED", f"Unsupported Hive type: {kind}")


def _encoded(unload: Unload, rows: pa.Table) -> bytes:
    if unload.format == "PARQUET":
        sink = io.BytesIO()
        pq.write_table(
            rows,
            sink,
            compression=CODECS[unload.compression],
            use_deprecated_int96_timestamps=True,  # as Athena writes them
            store_schema=False,
        )
        return sink.getvalue()
    text = io.StringIO(newline="")
    if unload.format == "JSON":
        for row in rows.to_pylist():
            text.write(json.dumps(row, default=_json) + "\n")
    else:
        writer = csv.writer(
            text, delimiter=unload.field_delimiter, lineterminator="\n", quoting=csv.QUOTE_NONE, escapechar="\\"
        )
        columns = [
            ["\\N" if value is None else _plain(value) for value in column.to_pylist()] for column in rows.columns
        ]
        for line in zip(*columns, strict=True):
            writer.writerow(line)
    data = text.getvalue().encode()
    return gzip.compress(data) if unload.compression == "GZIP" else data


def _json(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else str(value)


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
