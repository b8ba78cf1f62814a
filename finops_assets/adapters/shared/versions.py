"""The older versions of a day's object: kept by a versioned bucket itself, or by KeptVersions in other stores.

KeptVersions copies an object below `_versions/`, outside of every table, before it is replaced, under an id of its
content, so that the same bytes are kept once. A process that is killed leaves the old object or the new one, and the
old one is kept or still in its place.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING, Protocol

from finops_assets.adapters.shared.folder import FolderStore
from finops_assets.core.errors import DamagedError
from finops_assets.core.values import DayVersion

if TYPE_CHECKING:
    from obstore import GetResult
    from obstore.store import ObjectStore

VERSIONS_PREFIX = "_versions"


class Versions(Protocol):
    """Keeps the objects that are replaced."""

    def keep(self, path: str) -> None:
        """Called before the object is replaced."""

    def of(self, path: str) -> list[DayVersion]:
        """The object's versions, the newest first, without their metadata."""

    def read(self, path: str, version: str) -> bytes | None:
        """The object in that version; None where there is no such version."""


class KeptVersions:
    """Versions in a store that keeps none by itself; the store's errors are passed on to the caller."""

    def __init__(self, store: ObjectStore | FolderStore) -> None:
        self._store = store

    def keep(self, path: str) -> None:
        from obstore.exceptions import AlreadyExistsError

        current = self._find(path)
        if current is None:
            return
        data = current.bytes().to_bytes()
        place = _place(path, content_version(data))
        try:
            self._store.put(place, data, mode="create")
        except (AlreadyExistsError, FileExistsError):
            return
        if isinstance(self._store, FolderStore):  # it was written when its object was, not when that was replaced
            written = current.meta["last_modified"].timestamp()
            os.utime(self._store.folder / place, (written, written))

    def of(self, path: str) -> list[DayVersion]:
        name = re.compile(re.escape(_place(path, "ID")).replace("ID", "([0-9a-f]+)"))
        versions = {}
        for batch in self._store.list(_place(path, "ID").rpartition("/")[0]):
            for item in batch:
                if match := name.fullmatch(item["path"]):
                    versions[match[1]] = DayVersion(match[1], item["last_modified"], item["size"], current=False)
        if current := self._find(path):
            version = content_version(current.bytes().to_bytes())
            written, size = current.meta["last_modified"], current.meta["size"]
            versions[version] = DayVersion(version, written, size, current=True)
        return sorted(versions.values(), key=lambda one: (one.current, one.written), reverse=True)

    def read(self, path: str, version: str) -> bytes | None:
        """As the protocol says.

        Raises:
            DamagedError: what is kept as that version is not what was put there.
        """
        if not re.fullmatch("[0-9a-f]+", version):  # it becomes part of a path
            return None
        current = self._find(path)
        if current and content_version(data := current.bytes().to_bytes()) == version:
            return data
        place = _place(path, version)
        kept = self._find(place)
        if kept is None:
            return None
        data = kept.bytes().to_bytes()
        if content_version(data) != version:
            raise DamagedError("is damaged: it is not what was kept", where=place, fix="Choose another version.")
        return data

    def _find(self, path: str) -> GetResult | None:
        try:
            return self._store.get(path)
        except FileNotFoundError:
            return None


def _place(path: str, version: str) -> str:
    """`_versions/ou-breakdowns/year=2025/month=09/day=10/<version>.parquet`, of a day's object."""
    folder, _, name = path.rpartition("/")
    return f"{VERSIONS_PREFIX}/{folder}/{version}.{name.rpartition('.')[2]}"


def content_version(data: bytes) -> str:
    """A version's id, where the store gives none."""
    return hashlib.sha256(data).hexdigest()[:16]
