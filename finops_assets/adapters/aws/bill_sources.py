"""What bill.table reads now: a table, or the tables of a view, each with its files."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from finops_assets.adapters.aws.bill_listing import (
    GlueTable,
    OpenBucket,
    Partition,
    TableFiles,
    files_of,
    is_projected,
)
from finops_assets.adapters.aws.bill_view import FIX, ViewText, inlined, quoted_name, tables_in, view_text
from finops_assets.adapters.aws.glue_tables import GlueTables
from finops_assets.adapters.aws.s3 import s3_explained
from finops_assets.core.bill.recognition import recognise
from finops_assets.core.errors import BillError

KNOWN_FOR = 60.0
"""Seconds that Glue's answers are used again: a run asks for the bill many times in a row."""

MOST_TABLES = 50
"""Tables that a view may read."""


@dataclass(frozen=True)
class BillSource:
    """What a query of the bill reads.

    Attributes:
        relation: what stands behind FROM.
        condition: leaves the chosen files over; empty where all count, and of a view, whose relation has it.
        tables: each table, and its files; of a view, its text counts for changes, too.
        bills: the names of those that hold a bill.
        text: of a view; empty for a table.
    """

    relation: str
    condition: str
    tables: Mapping[str, tuple[GlueTable, TableFiles]]
    bills: frozenset[str]
    text: str = ""


@dataclass
class BillSources:
    """Asks Glue and S3.

    Args:
        tables: Glue's.
        open_bucket: opens a bucket.
    """

    tables: GlueTables
    open_bucket: OpenBucket
    _glue: dict[str, tuple[float, GlueTable]] = field(default_factory=dict)
    _manifests: dict[tuple[str, str], bytes] = field(default_factory=dict)

    def current(self, name: str) -> BillSource:
        """What bill.table is now.

        Args:
            name: `database.table`.

        Raises:
            BillError: what `files_of` refuses; a view that cannot be understood.
        """
        asked = self.glue_table(name)
        if not asked.is_view:
            files = files_of(asked, self.open_bucket, self._read)
            return BillSource(quoted_name(name), files.condition, {name: (asked, files)}, frozenset((name,)))
        tables = {base.name: base for base in self._base_tables(asked)}
        bills = frozenset(base for base, table in tables.items() if _holds_a_bill(table))
        found = {
            base: (table, files_of(table, self.open_bucket, self._read, whole=base not in bills))
            for base, table in tables.items()
        }
        conditions = {base: files.condition for base, (_, files) in found.items() if files.condition}
        text = view_text(name, asked.description)
        relation = f"({inlined(name, text, self._view_of, conditions)})" if conditions else quoted_name(name)
        return BillSource(relation, "", found, bills, text.sql)

    def glue_table(self, name: str) -> GlueTable:
        """A table as Glue describes it, with its registered partitions."""
        known = self._glue.get(name)
        if known and time.monotonic() - known[0] < KNOWN_FOR:
            return known[1]
        description = self.tables.source(name)
        table = GlueTable(name, description)
        if table.keys and not table.is_view and not is_projected(description):
            registered = tuple(Partition(values, location) for values, location in self.tables.partitions(name))
            table = replace(table, partitions=registered)
        self._glue[name] = time.monotonic(), table
        return table

    def forget(self) -> None:
        """Ask Glue again next time."""
        self._glue.clear()

    def _base_tables(self, view: GlueTable) -> list[GlueTable]:
        """The tables that a view reads, through other views."""
        left, found = [view.name], {view.name: view}
        while left:
            name = left.pop()
            if not found[name].is_view:
                continue
            for other in tables_in(name, view_text(name, found[name].description)):
                if other not in found:
                    found[other] = self.glue_table(other)
                    left.append(other)
            if len(found) > MOST_TABLES:
                raise BillError(
                    f"is a view that reads more than {MOST_TABLES} tables", where=f"{view.name} (bill.table)", fix=FIX
                )
        return [table for table in found.values() if not table.is_view]

    def _view_of(self, name: str) -> ViewText | None:
        table = self.glue_table(name)
        return view_text(name, table.description) if table.is_view else None

    def _read(self, address: str, version: str) -> bytes:
        """A manifest, read once for each version."""
        key = address, version
        if key not in self._manifests:
            bucket, _, path = address.partition("://")[2].partition("/")
            with s3_explained(bucket, path, "s3:GetObject"):
                self._manifests[key] = self.open_bucket(bucket).get(path).bytes().to_bytes()
        return self._manifests[key]


def _holds_a_bill(table: GlueTable) -> bool:
    storage = table.description.get("StorageDescriptor", {})
    try:
        recognise({column["Name"].lower(): column["Type"].lower() for column in storage.get("Columns", ())}, table.name)
    except BillError:
        return False
    return True
