"""Athena's partition projection: the partitions that a table's parameters describe."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from string import Template
from typing import Any

from standin.trino.language import QueryFailed, Unsupported


@dataclass(frozen=True)
class Partition:
    """A partition as registered: values as text, and where its objects are."""

    values: tuple[str, ...]
    location: str
    columns: dict[str, str]


def is_projected(table: dict[str, Any]) -> bool:
    return (table.get("Parameters") or {}).get("projection.enabled", "").strip().lower() == "true"


def projected_partitions(table: dict[str, Any], name: str, now: datetime) -> list[Partition]:
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
        Partition(values_of_one, location.safe_substitute(dict(zip(keys, values_of_one, strict=True))), {})
        for values_of_one in product(*values)
    ]


def _projected_values(key: str, parameters: dict[str, str], name: str, now: datetime) -> list[str]:
    kind = parameters[f"projection.{key}.type"].lower()
    if kind == "date":
        return projected_months(key, parameters, name, now)
    if kind != "integer":
        raise Unsupported(f"partition projection of the type {kind}")
    bounds = re.fullmatch(r"\s*(-?\d+)\s*,\s*(-?\d+)\s*", parameters.get(f"projection.{key}.range", ""))
    if bounds is None:
        raise QueryFailed("HIVE_METASTORE_ERROR", f"Invalid projection.{key}.range of table {name}")
    step = int(parameters.get(f"projection.{key}.interval", "1"))
    digits = int(parameters.get(f"projection.{key}.digits", "0"))
    return [
        f"{value:0{digits}d}" if digits else str(value) for value in range(int(bounds[1]), int(bounds[2]) + 1, step)
    ]


def projected_months(key: str, parameters: dict[str, str], name: str, now: datetime) -> list[str]:
    """The months of a range of dates, up to that of `now` where it ends NOW; other formats are not known here."""
    form, unit = (parameters.get(f"projection.{key}.{what}", "") for what in ("format", "interval.unit"))
    if (form, unit.upper(), parameters.get(f"projection.{key}.interval")) != ("yyyy-MM", "MONTHS", "1"):
        raise Unsupported(f"partition projection of dates in the format {form!r} by {unit!r}")
    bounds = re.fullmatch(
        r"\s*(\d{4})-(\d{2})\s*,\s*(?:(\d{4})-(\d{2})|NOW)\s*", parameters.get(f"projection.{key}.range", "")
    )
    if bounds is None:
        raise QueryFailed("HIVE_METASTORE_ERROR", f"Invalid projection.{key}.range of table {name}")
    first, last = int(bounds[1]) * 12 + int(bounds[2]), int(bounds[3] or now.year) * 12 + int(bounds[4] or now.month)
    return [f"{(month - 1) // 12}-{(month - 1) % 12 + 1:02d}" for month in range(first, last + 1)]
