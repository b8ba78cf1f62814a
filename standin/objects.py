"""moto's S3 from within the process: objects listed, read and written, and kept as local files for DuckDB."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moto.backends import get_backend
from moto.s3.exceptions import MissingBucket
from moto.s3.models import FakeDeleteMarker

from standin.trino.language import QueryFailed

if TYPE_CHECKING:
    from standin.server import StandIn


COLD = ("GLACIER", "DEEP_ARCHIVE")
"""Storage classes whose objects Athena passes over."""


@dataclass(frozen=True)
class Object:
    """One object of S3, under its address."""

    uri: str
    size: int
    modified: datetime
    key: Any


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
        by_location: dict[str, list[Object]] = {}
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
            by_location[location] = own
        return by_location

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
