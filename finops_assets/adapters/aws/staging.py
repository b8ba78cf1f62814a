"""The results of Athena's UNLOAD: staged outside every table, checked against the manifest, fetched, swept.

    _staging/<what is asked>/query.json       the token of the query, written before it starts
    _staging/<what is asked>/<token>/...      the files that it writes

A killed run leaves these objects. The next run with the same query finds the token, and by it the same execution, so
that nothing is scanned twice. Two runs with the same query at once share the execution: if one removes the files while
the other fetches them, the other runs the query again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from finops_assets.adapters.aws.athena import Athena, QueryError
from finops_assets.adapters.aws.s3 import s3_explained
from finops_assets.core.errors import ArchiveError
from finops_assets.core.ports import Archive

if TYPE_CHECKING:
    from obstore.store import ObjectStore

PREFIX = "_staging/"
JOURNAL = "query.json"
ATTEMPTS = 4
LEFT_BEHIND = timedelta(hours=6)
"""Objects older than this belong to no live run: it is more than the longest query and its fetching take."""

AGAIN = ("CANCELLED", "HIVE_PATH_ALREADY_EXISTS")
"""Ends of a query after which it is tried again: it was stopped from outside, or another run writes to its place."""


class Staging:
    """Unloads a SELECT and brings its rows into a folder.

    Args:
        athena: runs the query.
        archive: the bucket's small objects: the journal, and what is swept.
        store: the same bucket, for streaming.
        bucket: its name.
        open_bucket: opens another bucket, for the manifest among the query's results.
        clock: the time, UTC.
    """

    def __init__(
        self,
        athena: Athena,
        archive: Archive,
        store: ObjectStore,
        bucket: str,
        open_bucket: Callable[[str], ObjectStore],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._athena, self._archive, self._store, self._bucket = athena, archive, store, bucket
        self._open, self._clock = open_bucket, clock

    def fetch(self, select: str, asked: str, purpose: str, folder: Path) -> list[Path]:
        """The rows of a SELECT as Parquet files in a folder; no file where there are no rows.

        Args:
            select: the query, in Athena's SQL.
            asked: what the answer depends on beside the query: the same words mean the same answer.
            purpose: what it is for, in its receipt.
            folder: where the files go.

        Raises:
            QueryError: the query failed; what it left behind is swept.
            ArchiveError: the staged files are not those of the manifest, even after several tries.
        """
        self.sweep()
        place = PREFIX + hashlib.sha256((asked + select).encode()).hexdigest()[:20] + "/"
        for attempt in range(1, ATTEMPTS + 1):
            token = self._token(place)
            staged = f"{place}{token}/"
            unload = (
                f"UNLOAD (\n{select}\n)\nTO 's3://{self._bucket}/{staged}'\n"
                "WITH (format = 'PARQUET', compression = 'SNAPPY')"
            )
            try:
                query = self._athena.run(unload, purpose, token=token)
            except QueryError as error:
                self._remove(place)
                if attempt < ATTEMPTS and (error.retryable or error.kind in AGAIN):
                    continue
                raise
            files = self._fetched(staged, self._manifest(query.manifest), folder)
            self._remove(place)
            if files is not None:
                return files
        raise ArchiveError(
            "the staged files are not those that the query's manifest lists",
            where=f"s3://{self._bucket}/{place}",
            fix="Something else writes or removes there: stop it, and run this again.",
        )

    def sweep(self) -> int:
        """Remove what killed runs left behind hours ago; returns how many objects."""
        before = self._clock() - LEFT_BEHIND
        with s3_explained(self._bucket, PREFIX, "s3:ListBucket"):
            old = [o["path"] for batch in self._store.list(PREFIX) for o in batch if o["last_modified"] < before]
        self._archive.delete(old)
        return len(old)

    def _token(self, place: str) -> str:
        journal = place + JOURNAL
        while True:
            written = self._archive.get(journal)
            if written is not None:
                return json.loads(written)["token"]
            token = uuid4().hex
            if self._archive.create(journal, json.dumps({"token": token, "at": str(self._clock())}).encode()):
                return token

    def _manifest(self, uri: str) -> set[str] | None:
        """The paths in the query's manifest; None where the manifest is gone."""
        bucket, _, path = uri.removeprefix("s3://").partition("/")
        if not path:
            return set()
        try:
            with s3_explained(bucket, path, "s3:GetObject"):
                text = self._open(bucket).get(path).bytes().to_bytes().decode()
        except FileNotFoundError:
            return None
        return {line.strip().removeprefix(f"s3://{self._bucket}/") for line in text.splitlines() if line.strip()}

    def _fetched(self, staged: str, wanted: set[str] | None, folder: Path) -> list[Path] | None:
        """The staged files, fetched into a folder; None where they differ from the manifest or vanish meanwhile."""
        with s3_explained(self._bucket, staged, "s3:ListBucket"):
            sizes = {o["path"]: o["size"] for batch in self._store.list(staged) for o in batch}
        if wanted is None or set(sizes) != wanted:
            return None
        files: list[Path] = []
        for path, size in sorted(sizes.items()):
            file = folder / f"{len(files)}.parquet"
            try:
                with file.open("wb") as out, s3_explained(self._bucket, path, "s3:GetObject"):
                    for chunk in self._store.get(path).stream(min_chunk_size=4_194_304):
                        out.write(chunk)
            except FileNotFoundError:
                return None
            if file.stat().st_size != size:
                return None
            files.append(file)
        return files

    def _remove(self, place: str) -> None:
        """Remove all of a place, its journal last: without the journal, nothing would lead to what remains."""
        paths = self._archive.list(place)
        self._archive.delete(sorted(paths, key=lambda path: path.endswith(JOURNAL)))
