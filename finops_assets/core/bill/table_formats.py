"""Folders of Delta Lake, Apache Iceberg and Apache Hudi, whose own log decides which of their files count."""

from __future__ import annotations

import re
from collections.abc import Iterable

from finops_assets.core.errors import BillError

MARKS = {
    "Delta Lake": re.compile(r"(?:^|/)_delta_log/"),
    "Apache Iceberg": re.compile(r"(?:^|/)metadata/[^/]+\.metadata\.json(?:\.gz)?$"),
    "Apache Hudi": re.compile(r"(?:^|/)\.hoodie/"),
}
"""What lies in the folder of such a table, and in that of no export."""


def refuse_table_formats(root: str, setting: str, files: Iterable[tuple[str, bool]]) -> None:
    """Refuse files that lie in the folder of such a table: files that it has removed still lie there.

    Args:
        root: how the listing is named to a person.
        setting: the setting that says where the bill is.
        files: each path, and whether it may be the bill's data.

    Raises:
        BillError: some do.
    """
    tables: dict[str, str] = {}
    data = []
    for path, may_be_data in files:
        for format_name, mark in MARKS.items():
            if match := mark.search(path):
                tables[path[: match.start()]] = format_name
        if may_be_data:
            data.append(path)
    for folder, format_name in sorted(tables.items()):
        inside = [path for path in data if not folder or path.startswith(f"{folder}/")]
        if inside:
            raise BillError(
                f"holds a table of {format_name} ({folder or '.'}): its own log decides which of its files count, and "
                f"{inside[0]} may be one that was removed",
                where=root,
                fix=f"Write the table's rows as Parquet files into a folder of their own, and point {setting} at it.",
            )
