"""Puts a bill into the stand-in as AWS would deliver and catalogue it, and sets up what a platform writes to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from standin.statements import PARQUET

if TYPE_CHECKING:
    from standin.server import StandIn

FOLDER = re.compile(r"^([^=]+)=([^=]+)$")


def setup(stand_in: StandIn, bucket: str = "finops-daily-summaries", workgroup: str = "finops") -> str:
    """The versioned archive bucket and a workgroup with its output below `athena-results/`; returns the bucket."""
    _create_bucket(stand_in, bucket)
    stand_in.client("s3").put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    output = {"OutputLocation": f"s3://{bucket}/athena-results/"}
    stand_in.client("athena").create_work_group(
        Name=workgroup,
        Configuration={"ResultConfiguration": output, "EnforceWorkGroupConfiguration": True},
    )
    return bucket


def load_bill(
    stand_in: StandIn,
    folder_or_files: Path | Iterable[Path],
    table: str = "billing.focus",
    bucket: str = "a-bill-bucket",
) -> str:
    """Upload a bill's Parquet files and register them as a table, with a partition for each folder `key=value`.

    Of a Data Exports folder the table is what lies below `data/`, its partition key `billing_period`; a legacy CUR has
    `year` and `month`, and files without such folders make a table without partitions. Returns the table's name.
    """
    database, name = table.split(".")
    base, files = _files(folder_or_files)
    data = [file for file in files if file.suffix == ".parquet"]
    if not data:
        raise ValueError(f"no Parquet file in {folder_or_files}")
    _create_bucket(stand_in, bucket)
    s3 = stand_in.client("s3")
    for file in files:
        s3.put_object(Bucket=bucket, Key=f"{name}/{file.relative_to(base).as_posix()}", Body=file.read_bytes())

    partitions: dict[str, dict[str, str]] = {}
    roots = set()
    for file in data:
        parts = file.relative_to(base).parent.parts
        keyed = [part for part in parts if FOLDER.match(part)]
        root = f"s3://{bucket}/" + "".join(f"{part}/" for part in (name, *parts[: len(parts) - len(keyed)]))
        roots.add(root)
        values = dict(FOLDER.match(part).groups() for part in keyed)
        partitions[root + "".join(f"{part}/" for part in keyed)] = {key.lower(): v for key, v in values.items()}
    [root] = roots
    keys = list(next(iter(partitions.values())))
    _register(stand_in, database, name, pq.read_schema(data[-1]), keys, root)
    if keys:
        _add_partitions(stand_in, database, name, partitions)
    return table


def glue_columns(schema: pa.Schema) -> list[dict[str, str]]:
    """The columns of Parquet files as a crawler describes them."""
    return [{"Name": field.name.lower(), "Type": glue_type(field.type)} for field in schema]


def glue_type(kind: pa.DataType) -> str:
    if pa.types.is_map(kind):
        return f"map<{glue_type(kind.key_type)},{glue_type(kind.item_type)}>"
    if pa.types.is_list(kind):
        return f"array<{glue_type(kind.value_type)}>"
    if pa.types.is_struct(kind):
        return f"struct<{','.join(f'{each.name.lower()}:{glue_type(each.type)}' for each in kind)}>"
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind):
        return "timestamp"
    named = {"double": "double", "float": "float", "bool": "boolean", "date32[day]": "date", "int64": "bigint"}
    named |= {"int32": "int", "string": "string", "large_string": "string"}
    return named[str(kind)]


def _files(folder_or_files: Path | Iterable[Path]) -> tuple[Path, list[Path]]:
    if not isinstance(folder_or_files, Path):
        files = sorted(folder_or_files)
        return _common_folder(files), files
    if folder_or_files.is_file():
        return folder_or_files.parent, [folder_or_files]
    return folder_or_files, sorted(file for file in folder_or_files.rglob("*") if file.is_file())


def _common_folder(files: list[Path]) -> Path:
    """The folder above all files and above their `key=value` folders."""
    return next(
        folder
        for folder in files[0].parents
        if all(folder in file.parents for file in files) and not any(FOLDER.match(part) for part in folder.parts[1:])
    )


def _create_bucket(stand_in: StandIn, bucket: str) -> None:
    if not stand_in.athena.tables.objects.exists(bucket):
        stand_in.client("s3").create_bucket(Bucket=bucket)


def _register(stand_in: StandIn, database: str, name: str, schema: pa.Schema, keys: list[str], location: str) -> None:
    glue = stand_in.client("glue")
    if database not in {each["Name"] for each in glue.get_databases()["DatabaseList"]}:
        glue.create_database(DatabaseInput={"Name": database})
    given = {
        "Name": name,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"EXTERNAL": "TRUE", "classification": "parquet"},
        "PartitionKeys": [{"Name": key, "Type": "string"} for key in keys],
        "StorageDescriptor": {"Columns": glue_columns(schema), "Location": location, **PARQUET},
    }
    glue.create_table(DatabaseName=database, TableInput=given)


def _add_partitions(stand_in: StandIn, database: str, name: str, partitions: Mapping[str, dict[str, str]]) -> None:
    glue = stand_in.client("glue")
    storage: dict[str, Any] = glue.get_table(DatabaseName=database, Name=name)["Table"]["StorageDescriptor"]
    inputs = [
        {"Values": list(values.values()), "StorageDescriptor": storage | {"Location": location}}
        for location, values in partitions.items()
    ]
    for start in range(0, len(inputs), 100):
        batch = inputs[start : start + 100]
        glue.batch_create_partition(DatabaseName=database, TableName=name, PartitionInputList=batch)
