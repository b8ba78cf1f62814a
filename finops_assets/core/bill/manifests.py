"""Manifests: the lists of data files that an export delivers, and which of several lists is the current one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from finops_assets.core.bill import layout
from finops_assets.core.errors import BillError

if TYPE_CHECKING:
    from finops_assets.core.bill.file_choice import ListedFile

OF_REDSHIFT = "RedshiftManifest.json"
"""A legacy CUR with Redshift integration has another list of the same files for Redshift's COPY."""

TIMED_FOLDER = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})T(\d{0,2}):?(\d{0,2}):?(\d{0,2})")
"""A delivery's folder that is named after its time, `20250912T060000Z-<execution>`."""

LISTS = ("dataFiles", "reportKeys", "blobs")
"""What Data Exports, a legacy CUR and an export of Azure call the list of data files."""

NAMES = ("key", "uri", "blobName", "path")
"""What an entry of such a list calls its file, where it is no text itself."""

IDS = ("executionId", "assemblyId", "runId")
"""What they call the delivery; Azure within `runInfo`."""


@dataclass(frozen=True)
class Manifest:
    """What a manifest says.

    Attributes:
        path: its own.
        keys: the data files, as the export names them: keys in a bucket or `s3://` addresses.
        delivery: the id of the delivery; empty where nothing names one.
    """

    path: str
    keys: tuple[str, ...]
    delivery: str = ""


def is_manifest(path: str) -> bool:
    """Whether a path is that of a list of the bill's data files."""
    return path.endswith("anifest.json") and not path.endswith(OF_REDSHIFT)


def read_manifest(path: str, content: bytes, where: str) -> Manifest:
    """Read a manifest of Data Exports, of a legacy CUR or of an export of Azure.

    Args:
        path: its path in the listing.
        content: its bytes.
        where: how it is named to a person.

    Raises:
        BillError: it is no manifest.
    """
    try:
        said = json.loads(content.decode("utf-8-sig"))
        named: list[Any] = next((said[name] for name in LISTS if said.get(name)), [])
        keys = tuple(key if isinstance(key, str) else _name_in(key) for key in named)
        facts = {**(said.get("runInfo") or {}), **said}
        id_ = next((facts[name] for name in IDS if isinstance(facts.get(name), str) and facts[name]), "")
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise BillError(
            f"is not a manifest that can be read ({error})", where=where, fix="Copy the export again."
        ) from None
    return Manifest(path, keys, id_ or _folder_of_delivery(path, keys))


def _name_in(entry: Mapping[str, Any]) -> str:
    """The file that an entry of the list names.

    Raises:
        KeyError: it names none.
    """
    for name in NAMES:
        if entry.get(name):
            return entry[name]
    raise KeyError(NAMES[0])


def current_manifest(manifests: Sequence[ListedFile], read: Callable[[ListedFile], Manifest]) -> Manifest:
    """The manifest of the newest delivery of a billing period.

    A legacy CUR keeps a copy of the manifest in each version's folder, and the one nearest the period is current. An
    export that keeps its deliveries has a manifest in each one's folder, which has its time as the name; of these the
    names decide, as a copy's times are those of copying. A run over a part of the month, as Azure has them, is not it
    where one over the whole month is there.

    Args:
        manifests: the period's, at least one.
        read: reads one; it is asked for two of them at most.
    """
    widest = max(_days_of(manifest.path) for manifest in manifests)
    manifests = [manifest for manifest in manifests if _days_of(manifest.path) == widest]
    nearest = min(manifest.path.count("/") for manifest in manifests)
    near = max((m for m in manifests if m.path.count("/") == nearest), key=lambda m: (_time_of(m.path), m.modified))
    newest = max(manifests, key=lambda m: (_time_of(m.path), m.modified))
    current = read(near)
    time, newest_time = _time_of(near.path) or _time_of(*current.keys), _time_of(newest.path)
    if newest is near or not newest_time or newest_time <= (time or _written(near.modified)):
        return current
    return read(newest)


def _days_of(path: str) -> tuple[int, int]:
    """How late the days of a folder `20250901-20250930` end, and how early they begin; alike for other folders."""
    spans = re.findall(r"(?:^|/)(\d{8})-(\d{8})(?=/)", path)
    return (int(spans[-1][1]), -int(spans[-1][0])) if spans else (0, 0)


def _time_of(*paths: str) -> str:
    """The time in the name of a delivery's folder, `20250912060000`; empty where no path is in such a folder."""
    folders = (layout.place(path)[2].rpartition("/")[0] for path in paths)
    times = ("".join(match.groups()) for folder in folders for match in TIMED_FOLDER.finditer(folder))
    return max((time.ljust(14, "0") for time in times), default="")


def _written(modified: datetime) -> str:
    return f"{modified.astimezone(UTC):%Y%m%d%H%M%S}"


def _folder_of_delivery(path: str, keys: Sequence[str]) -> str:
    """The folder below the period's in which the data files are, or else the manifest."""
    for named in (*keys[:1], path):
        _, _, tail, versioned = layout.place(named)
        folder, slash, _ = tail.partition("/")
        if versioned and slash:
            return folder
    return ""


def data_files(manifest: Manifest) -> dict[str, str]:
    """The manifest's keys by their path from the period's folder on, which is the same in a bucket and in a copy."""
    return {layout.place(key)[2]: key for key in manifest.keys}
