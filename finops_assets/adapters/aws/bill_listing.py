"""The files of a Glue table: what its partitions read, what its export's manifests say, and which of them are the bill.

`core.bill.file_choice` decides, as on the embedded platform. What is said of a table here holds for one of Hive's kind;
of one whose format has a log of its own, Athena reads the log.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from finops_assets.adapters.aws.pinned_files import path_condition
from finops_assets.adapters.aws.projected_periods import unreached_key
from finops_assets.adapters.aws.s3 import s3_explained
from finops_assets.core.bill import layout
from finops_assets.core.bill.file_choice import ChosenFile, FileChoice, ListedFile, Listing, choose_files
from finops_assets.core.errors import BillError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

OpenBucket = Callable[[str], "ObjectStore"]

WITH_A_LOG = frozenset(("ICEBERG", "DELTA", "HUDI"))
"""What Glue's parameters call the formats whose log decides which files count."""

KEY_FOLDER = re.compile(rf"([A-Za-z_]+){layout.EQUALS}([^/]+)", re.IGNORECASE)

SCHEMES = ("s3", "s3a", "s3n")

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Partition:
    """A registered partition: the values of the table's keys, in their order, and where its files are."""

    values: tuple[str, ...]
    location: str


@dataclass(frozen=True)
class GlueTable:
    """What Glue says of a table.

    Attributes:
        name: `database.table`.
        description: as GetTable gives it.
        partitions: the registered ones; None of a table without partitions, or with projected ones.
    """

    name: str
    description: Mapping[str, Any]
    partitions: tuple[Partition, ...] | None = None

    @property
    def location(self) -> str:
        return self.description.get("StorageDescriptor", {}).get("Location") or ""

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(key["Name"].lower() for key in self.description.get("PartitionKeys") or ())

    @property
    def is_view(self) -> bool:
        return self.description.get("TableType") == "VIRTUAL_VIEW"

    @property
    def has_a_log(self) -> bool:
        """Whether its format has a log of its own."""
        parameters = _parameters(self.description)
        named = (parameters.get("table_type", ""), parameters.get("spark.sql.sources.provider", ""))
        return not WITH_A_LOG.isdisjoint(name.upper() for name in named)

    def unprojected_key(self, path: str) -> str:
        """The key of the table's projection that leaves a path's folder out; empty where none does."""
        if not self.keys or not is_projected(self.description):
            return ""
        values = {key: value for key, value in _values(path).items() if key in self.keys}
        return unreached_key(_parameters(self.description), values, datetime.now(UTC).date())

    @property
    def locations(self) -> tuple[str, ...]:
        """Where its files are read from."""
        if self.partitions is None:
            return (self.location,)
        return tuple(dict.fromkeys(partition.location for partition in self.partitions))


def is_projected(description: Mapping[str, Any]) -> bool:
    """Whether Athena finds the table's partitions by their paths, and ignores registered ones."""
    return _parameters(description).get("projection.enabled", "").strip().lower() == "true"


def _parameters(description: Mapping[str, Any]) -> dict[str, str]:
    return {name.lower(): str(value) for name, value in (description.get("Parameters") or {}).items()}


@dataclass(frozen=True)
class TableFiles:
    """The files of a table.

    Attributes:
        choice: the files that are the bill; those that no partition reads are left out.
        condition: leaves them over in a query; empty where the table has no others.
        address: of each path of the choice.
        unregistered: the billing periods that have files and no partition, and what mends it, in words.
    """

    choice: FileChoice
    condition: str = ""
    address: Mapping[str, str] = field(default_factory=dict)
    unregistered: Mapping[str, str] = field(default_factory=dict)


@dataclass
class _Objects:
    """Objects of S3 as files of a listing: a path is a key in the bucket of the table's location."""

    table: GlueTable
    files: dict[str, ListedFile] = field(default_factory=dict)
    address: dict[str, str] = field(default_factory=dict)
    read: set[str] = field(default_factory=set)

    @cached_property
    def exports(self) -> frozenset[str]:
        """The folders of the exports that the table reads."""
        return frozenset(layout.place(path)[0] for path in self.read)

    def is_of_the_table(self, listed: ListedFile) -> bool:
        """Whether a partition reads it, or it is of an export that one reads: others lie in the same bucket."""
        if listed.path in self.read or listed.reason or not self.exports:
            return True
        export = layout.place(listed.path)[0]
        return export in self.exports or any(known.startswith(f"{export}/") for known in self.exports)


def files_of(
    table: GlueTable, open_bucket: OpenBucket, read: Callable[[str, str], bytes], *, whole: bool = False
) -> TableFiles:
    """The table's files as they are now.

    Args:
        table: no view.
        open_bucket: opens a bucket.
        read: gives a manifest's bytes, by its address and version.
        whole: all that the table reads counts, as it is no bill.

    Raises:
        BillError: what `choose_files` refuses; a partition that reads another delivery than the newest one, or a part
            of it; too many files for a query.
    """
    objects = _objects(table, open_bucket)
    _, root = _split(table.location)
    listing = Listing(
        root=f"{table.location or table.name} (bill.table)",
        files=[listed for _, listed in sorted(objects.files.items()) if objects.is_of_the_table(listed)],
        read=lambda path: read(objects.address[path], objects.files[path].version),
        where=lambda path: objects.address.get(path, path),
        shown=lambda path: path.removeprefix(root).lstrip("/"),
        setting="bill.table",
    )
    if whole or table.has_a_log:
        chosen = (ChosenFile(f, in_manifest=True) for f in listing.files if f.path in objects.read and not f.reason)
        return TableFiles(FileChoice(tuple(chosen)), address=objects.address)
    choice = choose_files(listing)
    unread = [chosen for chosen in choice.files if chosen.path not in objects.read]
    kept = tuple(chosen for chosen in choice.files if chosen.path in objects.read)
    _refuse_read_twice(table, [objects.address[chosen.path] for chosen in kept])
    unregistered = _unregistered(table, objects, unread) if unread else {}
    addresses = {objects.address[path] for path in objects.read if not objects.files[path].reason}
    condition = path_condition(addresses, {objects.address[chosen.path] for chosen in kept}, table.name)
    return TableFiles(FileChoice(kept, choice.passed_over), condition, objects.address, unregistered)


def _objects(table: GlueTable, open_bucket: OpenBucket) -> _Objects:
    objects = _Objects(table)
    unprojected: dict[str, bool] = {}
    home = _split(table.location)[0]
    folders = {_split(location): location.partition("://")[0] for location in table.locations if location}
    for bucket, prefix in _roots(table):
        for listed in objects_below(open_bucket, bucket, prefix):
            key = listed["path"]
            path = key if bucket == home else f"{bucket}/{key}"
            if path in objects.files:
                continue
            folder = _folder_of(bucket, key, folders)
            below = key.removeprefix(prefix if folder is None else folder).lstrip("/")
            objects.address[path] = f"{folders.get((bucket, folder or ''), 's3')}://{bucket}/{key}"
            objects.files[path] = ListedFile(
                path,
                listed["size"],
                f"{listed['e_tag']} {listed['size']}",
                listed["last_modified"],
                "data" if folder is not None or _may_be_unregistered(path) else "other",
                layout.HIDDEN if layout.is_hidden(below) else "" if listed["size"] else layout.EMPTY,
            )
            own = path.rpartition("/")[0]
            if own not in unprojected:
                unprojected[own] = bool(table.unprojected_key(path))
            if folder is not None and not unprojected[own]:
                objects.read.add(path)
    return objects


def objects_below(open_bucket: OpenBucket, bucket: str, prefix: str) -> Iterator[Mapping[str, Any]]:
    """The objects whose keys begin with a prefix, a whole folder."""
    with s3_explained(bucket, prefix, "s3:ListBucket"):
        yield from (each for batch in open_bucket(bucket).list(prefix) for each in batch)


def metadata_prefix(location: str) -> tuple[str, str] | None:
    """The bucket and the folder in which Data Exports keeps the manifests of the data at a location; None elsewhere."""
    bucket, prefix = _split(location)
    export, data, below = f"{prefix}/".rpartition("/data/")
    if not data or not bucket or (below and not layout.PERIOD_FOLDER.match(below)):
        return None
    return bucket, f"{export}/metadata/{below.partition('/')[0]}"


def _roots(table: GlueTable) -> list[tuple[str, str]]:
    """The folders to list: the table's own, those of partitions elsewhere, and those of the export's manifests."""
    roots: dict[tuple[str, str], None] = {}
    for location in dict.fromkeys((table.location, *table.locations)):
        bucket, prefix = _split(location)
        if not bucket or any(b == bucket and _is_below(prefix, root) for b, root in roots):
            continue
        if location != table.location and layout.period_of(f"{prefix}/"):
            prefix = layout.PERIOD_FOLDER.split(f"{prefix}/")[0].rstrip("/")
        parent = prefix.rpartition("/")[0]
        if {"year", "month"} <= set(table.keys) and parent.rpartition("/")[2] == prefix.rpartition("/")[2] != "":
            prefix = parent  # a legacy CUR for Athena: its manifests lie beside the folder of its data
        roots[bucket, prefix] = None
        if manifests := metadata_prefix(f"s3://{bucket}/{prefix}"):
            roots[manifests[0], manifests[1].rstrip("/")] = None
    return list(roots)


def _split(location: str) -> tuple[str, str]:
    """Bucket and prefix, without a slash at its end; both empty where a location is not in S3."""
    scheme, _, rest = location.partition("://")
    bucket, _, prefix = rest.partition("/")
    return (bucket, prefix.rstrip("/")) if scheme in SCHEMES else ("", "")


def _is_below(path: str, folder: str) -> bool:
    return not folder or path == folder or path.startswith(f"{folder}/")


def _folder_of(bucket: str, key: str, folders: Mapping[tuple[str, str], str]) -> str | None:
    """The prefix of the location that reads an object; None where none does."""
    folder = key
    while folder:
        folder = folder.rpartition("/")[0]
        if (bucket, folder) in folders:
            return folder
    return None


def _may_be_unregistered(path: str) -> bool:
    """Whether an object that no partition reads may be of a billing period that has no partition yet."""
    return bool(layout.period_of(path)) and layout.may_be_data(path)


def _refuse_read_twice(table: GlueTable, addresses: Sequence[str]) -> None:
    """Refuse partitions of which two read the same file: its lines would count twice.

    Raises:
        BillError: two do.
    """
    partitions: dict[tuple[str, str], list[Partition]] = {}
    for partition in table.partitions or ():
        partitions.setdefault(_split(partition.location), []).append(partition)
    for folder in sorted({address.rpartition("/")[0] for address in addresses}):
        (bucket, below), readers = _split(folder), []
        while below:
            readers += partitions.get((bucket, below), [])
            below = below.rpartition("/")[0]
        if len(readers) > 1:
            first, second = (_spec(table, partition.values) for partition in readers[:2])
            raise BillError(
                f"has {len(readers)} partitions, ({first}) and ({second}), that read the files in {folder}/: their "
                "lines would count twice",
                where=f"{table.name} (bill.table)",
                fix=f"Drop one of them: ALTER TABLE {_ddl_name(table)} DROP PARTITION ({second})",
            )


def _unregistered(table: GlueTable, objects: _Objects, unread: Sequence[ChosenFile]) -> dict[str, str]:
    """The billing periods that no partition reads, in words.

    Raises:
        BillError: a partition reads another delivery of a period, or a part of the newest.
    """
    of: dict[tuple[str, str], list[ChosenFile]] = {}
    for chosen in unread:
        of.setdefault((chosen.period, chosen.export), []).append(chosen)
    read = {layout.place(path)[1::-1] for path in objects.read if not objects.files[path].reason}
    words: dict[str, list[str]] = {}
    for (period, export), files in sorted(of.items()):
        folder = _common_folder([objects.address[chosen.path] for chosen in files])
        size = sum(chosen.listed.size for chosen in files)
        what = f"{len(files)} file(s) of {period} ({size / MEGABYTE:,.1f} MB) in {folder} are in no partition of it"
        if (period, export) in read:
            raise BillError(
                f"{what}, while other files of that month are: the partition reads another delivery, or a part of it",
                where=f"{table.name} (bill.table)",
                fix=f"Set the partition's location: {_statement(table, folder, 'SET')}",
            )
        words.setdefault(period, []).append(f"{what}; register them: {_statement(table, folder, 'ADD')}")
    return {period: "; ".join(of_period) for period, of_period in words.items()}


def _common_folder(addresses: Sequence[str]) -> str:
    folders = {address.rpartition("/")[0] for address in addresses}
    if len(folders) == 1:
        return f"{min(folders)}/"
    first = min(folders)
    match = list(layout.PERIOD_FOLDER.finditer(f"{first}/"))[-1]
    return f"{first[: match.end()]}/"


def _statement(table: GlueTable, folder: str, action: str) -> str:
    """The statement that registers a folder, or sets the place of its partition; words where it cannot be told."""
    if key := table.unprojected_key(folder):
        place = f"'projection.{key}.range' (or '.values')"
        return f"ALTER TABLE {_ddl_name(table)} SET TBLPROPERTIES, with {place} so that it is within"
    values = _values(folder)
    if not table.keys or not set(table.keys) <= set(values) or "'" in folder:
        return "run the crawler that made the table"
    spec = _spec(table, [values[key] for key in table.keys])
    if action == "SET":
        return f"ALTER TABLE {_ddl_name(table)} PARTITION ({spec}) SET LOCATION '{folder}'"
    return f"ALTER TABLE {_ddl_name(table)} ADD IF NOT EXISTS PARTITION ({spec}) LOCATION '{folder}'"


def _values(path: str) -> dict[str, str]:
    """The values of partition keys in the names of a path's folders."""
    return {match[1].lower(): match[2] for match in KEY_FOLDER.finditer(path)}


def _spec(table: GlueTable, values: Sequence[str]) -> str:
    return ", ".join(f"`{key}` = '{value}'" for key, value in zip(table.keys, values, strict=False))


def _ddl_name(table: GlueTable) -> str:
    database, name = table.name.split(".")
    return f"`{database}`.`{name}`"
