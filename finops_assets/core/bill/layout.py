"""The layout of an export: the billing period that a path belongs to, and which names may be a bill's data.

Only names are considered here; adapters list the files.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import lru_cache

from finops_assets.core.values import PassedOver

EQUALS = "(?:=|%3D)"
"""As a browser, or a tool that encodes names, writes `=` into the name of a folder."""

PERIOD_FOLDER = re.compile(
    rf"(?:^|/)(?:billing_period{EQUALS}(\d{{4}})-(0?[1-9]|1[0-2])(?:-01)?|(\d{{4}})(0[1-9]|1[0-2])\d{{2}}-\d{{8}}"
    rf"|year{EQUALS}(\d{{4}})/month{EQUALS}(0?[1-9]|1[0-2]))(?=/)",
    re.IGNORECASE,
)
"""Data Exports' `BILLING_PERIOD=2025-09` (Hive's tools write it in lower case, and 9 for 09), legacy CUR's
`20250901-20251001`, and with Athena `year=2025/month=9`."""

OLDER = "older deliveries, which the manifest does not name"
LEFTOVER = "beside the files of a manifest that does not name them"
UNREAD = "neither Parquet nor CSV by name"
HIDDEN = "in a hidden folder, or with a name that begins with . or _"
LINKED = "links to what is read already, or to a folder above"
BROKEN = "links to what is not there"
EMPTY = "empty objects"

STATUS_TABLE = "cost_and_usage_data_status"
"""A legacy CUR with Athena integration keeps a small table of its own state beside the bill."""

DATA = re.compile(
    r"\.(parquet|parq|pq|csv|tsv|psv|orc|avro|arrow|feather|xlsx|xlsm|xlsb|xls|ods|jsonl|ndjson)(\.|$)", re.IGNORECASE
)
PACKED = re.compile(r"\.(zip|gz|gzip|bz2|zst|xz|lz4|br|snappy|7z|rar|tar|tgz)$", re.IGNORECASE)
NO_DATA = re.compile(r"\.(sql|json|yml|yaml|md|txt|crc|md5|sha1|sha256|asc|sig|html|pdf|log)$", re.IGNORECASE)
"""Other files of an export: manifests, statements that make tables, checksums, notes."""

OF_TOOLS = frozenset((".finops", ".git", ".venv", "__pycache__", ".ipynb_checkpoints", "_delta_log", "lost+found"))
"""Folders of programs, in which no bill is: the home's default is one of them."""


def period_of(path: str) -> str:
    """The billing period, `2025-09`, in whose folder a path lies; empty where it lies in none."""
    matches = list(PERIOD_FOLDER.finditer(path))
    return _month(matches[-1]) if matches else ""


def _month(match: re.Match[str]) -> str:
    year, month = (group for group in match.groups() if group)
    return f"{year}-{int(month):02d}"


def normal_period(period: str) -> str:
    """A billing period as a partition's value, `2025-9`, with its month in two digits; other text as it is."""
    match = re.fullmatch(r"(\d{4})-(\d{1,2})", period)
    return f"{match[1]}-{int(match[2]):02d}" if match else period


@lru_cache(maxsize=100_000)
def place(path: str) -> tuple[str, str, str, bool]:
    """What a path says of an export.

    Returns:
        The export's folder; the billing period; the path from the period's folder on, which is the same in a bucket and
        in a copy of it; and whether the layout may hold older versions of the period beside the current one.
    """
    matches = list(PERIOD_FOLDER.finditer(path))
    if not matches:
        return "", "", path, False
    last = matches[-1]
    export, tail = path[: last.start()], path[last.end() :].lstrip("/")
    for folder in ("/data", "/metadata"):
        export = export.removesuffix(folder)
    return export, _month(last), tail, not last.group(0).lstrip("/").lower().startswith("year")


def is_hidden(path: str) -> bool:
    """Whether a folder or the file of a path has a name that begins with `.` or `_`."""
    return any(part.startswith((".", "_")) for part in path.split("/"))


def may_be_data(path: str) -> bool:
    """Whether the name is that of a bill's data, in any form, so that people may think that it is read."""
    *folders, name = path.split("/")
    # macOS writes `._x` beside each x on a disk that is not its own.
    if name.startswith("._") or OF_TOOLS.intersection(folders):
        return False
    return bool(DATA.search(name) or PACKED.search(name)) and not NO_DATA.search(name)


def period_ids(files: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """An id for the files of each billing period, which changes when one of them does.

    Args:
        files: each file's path, and what changes when it is written anew.
    """
    of_period: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for path, version in files:
        of_period[period_of(path)].append((path, version))
    return {
        period: hashlib.sha256(json.dumps(sorted(of_period[period])).encode()).hexdigest()[:16]
        for period in sorted(of_period)
    }


def grouped(files: Iterable[tuple[str, str, int]]) -> tuple[PassedOver, ...]:
    """Files that are not read by the reason why, each reason with the first of its files as the example.

    Args:
        files: the reason, the path and the size in bytes of each.
    """
    of_reason: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for reason, path, size in files:
        of_reason[reason].append((path, size))
    return tuple(
        PassedOver(reason, len(passed_over), sum(size for _, size in passed_over), min(path for path, _ in passed_over))
        for reason, passed_over in sorted(of_reason.items())
    )
