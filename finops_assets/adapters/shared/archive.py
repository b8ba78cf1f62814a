"""The archive: one object a day through obstore, the same code for a folder and S3.

An object is written by a single PUT, which is atomic: obstore writes a local file beside its place and renames it, and
S3 shows an object when its upload is complete. Readers never see half a day.
"""

from __future__ import annotations

import mimetypes
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from operator import itemgetter
from typing import TYPE_CHECKING, TypeVar

from finops_assets.adapters.shared.duck import session
from finops_assets.adapters.shared.folder import FolderStore
from finops_assets.adapters.shared.versions import KeptVersions, Versions, content_version
from finops_assets.core.archive import proof
from finops_assets.core.archive.day_charges import CHARGES_PART
from finops_assets.core.archive.day_commitments import COMMITMENTS_PART
from finops_assets.core.archive.day_currencies import CURRENCIES
from finops_assets.core.archive.day_dimensions import DIMENSIONS_PART
from finops_assets.core.archive.day_parts import DayPart
from finops_assets.core.archive.kept_history import KeptHistory
from finops_assets.core.archive.parts_of_day import parts_of_day
from finops_assets.core.errors import ArchiveError, DamagedError, FinopsError
from finops_assets.core.money import plain
from finops_assets.core.schemas import (
    BREAKDOWN_PREFIX,
    CHARGES,
    COMMITTED,
    DIMENSIONS,
    MONEY_SQL,
    OU_BREAKDOWN,
    RESTORED_FROM,
    day_path,
)
from finops_assets.core.values import DayRows, DayVersion, PublishedDay

if TYPE_CHECKING:
    import pyarrow as pa
    from obstore import ObjectMeta, PutResult
    from obstore.store import ObjectStore

READERS = 4
"""Days that are read at once: more than the cores, as a GET waits for the store."""

T = TypeVar("T")
R = TypeVar("R")

Explain = Callable[[str, str, str], FinopsError | None]

DAY_OBJECT = re.compile(rf"{BREAKDOWN_PREFIX}/year=(\d{{4}})/month=(\d{{2}})/day=(\d{{2}})/ou_breakdown\.parquet")
SAME = (
    *("fingerprint", "total", "currency", "cost_basis", "source_total", "by_category", "scheduled", "left_out"),
    CHARGES,
    DIMENSIONS,
    COMMITTED,
    *("providers", "bills", CURRENCIES),
    "settlement",
    RESTORED_FROM,  # so that a restored day that is run by name is held no longer, whatever the run finds
)
"""Metadata that a day's object must have the same, beside its rows, to be left as it is by another run."""


def folder_store(folder: str) -> FolderStore:
    """A store on a local folder, which is made by the first write."""
    return FolderStore(folder)


class ObjectArchive:
    """Days, and the other objects of the archive, in one object store.

    Args:
        store: where objects are.
        explain: (what the store said, path, S3's name of the action) -> the error for people, or None where the store
            said only that the object is not there. By default that of a folder.
        versions: keeps what is replaced; by default below `_versions/`.
    """

    def __init__(
        self, store: ObjectStore | FolderStore, explain: Explain | None = None, versions: Versions | None = None
    ) -> None:
        self._store, self._explain = store, explain or _explain_folder
        self._versions = versions or KeptVersions(store)
        self.history = KeptHistory(self)

    def publish(
        self, day: DayRows, metadata: Mapping[str, str], replacing: Callable[[PublishedDay], None] = lambda _: None
    ) -> PublishedDay:
        """Write the day's objects unless they already hold the same rows and the same metadata (SAME).

        The rows themselves are compared, so that a damaged object is written anew, whatever its footer says. The
        parts of the day are put first, and the rows that name them commit all. Those that the rows name no more
        get an object without rows, so that no query has money of another state. What is replaced stays as a version.
        """
        path = day_path(day.day)
        known = {
            "day": day.day.isoformat(),
            "rows": str(day.rows.num_rows),
            "total": plain(day.total),
            "unassigned": plain(day.unassigned),
            "fingerprint": day.fingerprint,
            **metadata,
            **{part.entry: fingerprint for part, _, fingerprint in parts_of_day(day) if fingerprint},
            proof.CONTENT: proof.content_hash(day.rows),
        }
        replaced: Mapping[str, str] = {}
        if stored := self._get(path):
            try:
                proved = proof.prove(stored[0], day.day)
            except DamagedError:
                pass  # no reader was given its rows: they are no earlier version of the bill
            else:
                replaced = proved.footer
                before = self._published(day.day, path, stored[0], replaced, stored[1])
                says_the_same = all(replaced.get(name) == known.get(name) for name in SAME)
                if says_the_same and proof.same_rows(proved.rows, day.rows):
                    return replace(before, changed=self._put_parts(day, known, replaced))
                if before.fingerprint != day.fingerprint:
                    replacing(before)
        self._put_parts(day, known, replaced)
        data = _encode(day.rows, known)
        with self._explained(path, "s3:PutObject"):
            self._versions.keep(path)
        version = self.put(path, data)
        return self._published(day.day, path, data, known, version)

    def _put_parts(self, day: DayRows, metadata: Mapping[str, str], replaced: Mapping[str, str]) -> bool:
        """Write the day's parts unless they are there; returns whether any were written."""
        written = [
            self._put_part(part, day.day, rows if fingerprint and rows else part.none, fingerprint, metadata)
            for part, rows, fingerprint in parts_of_day(day)
            if fingerprint or part.entry in replaced
        ]
        return any(written)

    def _put_part(
        self, part: DayPart, day: date, rows: pa.Table, fingerprint: str, metadata: Mapping[str, str]
    ) -> bool:
        path = part.path(day)
        try:
            part.decode(self.get(path), day, fingerprint)
        except DamagedError:
            data = part.encode(rows, fingerprint, metadata)
            with self._explained(path, "s3:PutObject"):
                self._versions.keep(path)
            stamp = f"{self._put(path, data)['e_tag']} {len(data)}"
            self.history.part_written(part, day, fingerprint, stamp)
            return True
        return False

    def charges(self, day: date, fingerprint: str) -> pa.Table:
        return CHARGES_PART.decode(self.get(CHARGES_PART.path(day)), day, fingerprint)

    def stream_charges(self, days: Sequence[PublishedDay]) -> Iterator[pa.Table | None]:
        yield from _read_ahead(self._whole_charges, days)

    def _whole_charges(self, day: PublishedDay) -> pa.Table | None:
        named = CHARGES_PART.named(day.metadata)
        with suppress(DamagedError):
            return self.charges(day.day, named) if named else None
        return None

    def dimensions(self, day: date, named: str) -> pa.Table:
        return DIMENSIONS_PART.decode(self.get(DIMENSIONS_PART.path(day)), day, named)

    def commitments(self, day: date, fingerprint: str) -> pa.Table:
        return COMMITMENTS_PART.decode(self.get(COMMITMENTS_PART.path(day)), day, fingerprint)

    def kept_part(self, part: DayPart, day: date, fingerprint: str) -> pa.Table | None:
        path = part.path(day)
        with self._explained(path, "s3:GetObject"):
            for version in self._versions.of(path):
                with suppress(DamagedError):
                    return part.decode(self._versions.read(path, version.id), day, fingerprint)
        return None

    def describe(self, day: date) -> PublishedDay | None:
        path = day_path(day)
        stored = self._get(path)
        if stored is None:
            return None
        data, version = stored
        return self._published(day, path, data, proof.read_footer(data, day), version)

    def _published(self, day: date, path: str, data: bytes, metadata: Mapping[str, str], version: str) -> PublishedDay:
        return PublishedDay(
            day=day,
            path=path,
            version=version,
            rows=int(metadata["rows"]),
            total=Decimal(metadata["total"]),
            currency=metadata["currency"],
            cost_basis=metadata["cost_basis"],
            fingerprint=metadata["fingerprint"],
            size_bytes=len(data),
            metadata=metadata,
        )

    def versions(self, day: date) -> list[DayVersion]:
        path = day_path(day)
        with self._explained(path, "s3:GetObject"):
            versions = self._versions.of(path)

        def described(version: DayVersion) -> DayVersion:
            try:
                return replace(version, metadata=proof.read_footer(self.read_version(day, version.id), day))
            except ArchiveError:  # one that cannot be read is listed all the same
                return version

        with ThreadPoolExecutor(READERS) as readers:
            return list(readers.map(described, versions))

    def read_version(self, day: date, version: str) -> bytes:
        path = day_path(day)
        with self._explained(path, "s3:GetObject"):
            data = self._versions.read(path, version)
        if data is None:
            those = f"`finops restore {day}` lists those it has."
            raise ArchiveError(f"has no version {version}", where=path, fix=those)
        return data

    def days(self) -> list[date]:
        return list(self.written())

    def written(self) -> dict[date, datetime]:
        return {day: of["last_modified"] for day, of in self._day_objects()}

    def stamps(self) -> dict[date, str]:
        objects = self._day_objects()
        return {day: f"{of['e_tag']} {of['last_modified'].isoformat()} {of['size']}" for day, of in objects}

    def object_stamps(self, prefix: str) -> dict[str, str]:
        return {of["path"]: f"{of['e_tag']} {of['size']}" for of in self._objects(prefix)}

    def _day_objects(self) -> list[tuple[date, ObjectMeta]]:
        """The days of which there is an object, ascending, and what the store says of it, by one listing."""
        objects = [(DAY_OBJECT.fullmatch(of["path"]), of) for of in self._objects(f"{BREAKDOWN_PREFIX}/")]
        days = [(date(*map(int, match.groups())), of) for match, of in objects if match]
        return sorted(days, key=itemgetter(0))

    def read(self, days: Sequence[date]) -> pa.Table:
        import pyarrow as pa

        tables = [rows for _, rows in self.stream(days)]
        rows = pa.concat_tables(tables) if tables else OU_BREAKDOWN.empty_table()
        # Arrow rounds some doubles to decimals one unit off in the twelfth place; DuckDB does not. In a connection of
        # its own: the one that DuckDB shares within a process refuses a second reader beside the first.
        with closing(session()) as con:
            con.register("day", rows)
            return con.sql(f"SELECT *, CAST(dailycost AS {MONEY_SQL}) AS cost FROM day").to_arrow_table()

    def stream(self, days: Sequence[date]) -> Iterator[tuple[PublishedDay, pa.Table]]:
        yield from _read_ahead(self._proved, days)

    def _proved(self, day: date) -> tuple[PublishedDay, pa.Table]:
        path = day_path(day)
        stored = self._get(path)
        if stored is None:
            raise ArchiveError("is not in the archive", where=path, fix=f"Run `finops run --date {day}`.")
        data, version = stored
        proved = proof.prove(data, day)
        return self._published(day, path, data, proved.footer, version), proved.rows

    def prove(self, day: date) -> str:
        data = self.get(day_path(day))
        if data is None:
            return "is not in the archive"
        try:
            proof.prove(data, day)
        except DamagedError as error:
            return error.what
        return ""

    def put(self, path: str, data: bytes) -> str:
        """Write an object; returns its version: S3's own where the bucket has versions, else one of the content."""
        return self._put(path, data)["version"] or content_version(data)

    def _put(self, path: str, data: bytes) -> PutResult:
        with self._explained(path, "s3:PutObject"):
            return self._store.put(path, data, attributes=self._attributes(path))

    def _attributes(self, path: str) -> dict[str, str] | None:
        """The media type, so that a browser opens a page in S3 rather than saving it; files have none."""
        known = None if isinstance(self._store, FolderStore) else mimetypes.guess_type(path)[0]
        return {"Content-Type": f"{known}; charset=utf-8" if known.startswith("text/") else known} if known else None

    def create(self, path: str, data: bytes) -> bool:
        from obstore.exceptions import AlreadyExistsError

        with self._explained(path, "s3:PutObject"):
            try:
                self._store.put(path, data, mode="create")
            except (AlreadyExistsError, FileExistsError):
                return False
        return True

    def get(self, path: str) -> bytes | None:
        stored = self._get(path)
        return stored[0] if stored else None

    def _get(self, path: str) -> tuple[bytes, str] | None:
        with self._explained(path, "s3:GetObject"):
            try:
                result = self._store.get(path)
                data = result.bytes().to_bytes()
            except FileNotFoundError as error:  # S3 also says so of a bucket that is not there
                if self._explain(str(error), path, "s3:GetObject"):
                    raise
                return None
        return data, result.meta["version"] or content_version(data)

    def list(self, prefix: str) -> list[str]:
        return sorted(of["path"] for of in self._objects(prefix))

    def size(self) -> int:
        return sum(of["size"] for of in self._objects(""))

    def _objects(self, prefix: str) -> Iterator[ObjectMeta]:
        """What the store says of the objects below a prefix, by one listing."""
        with self._explained(prefix, "s3:ListBucket"):
            for batch in self._store.list(prefix):
                yield from batch

    def delete(self, paths: Sequence[str]) -> None:
        with self._explained(paths[0] if paths else "", "s3:DeleteObject"):
            for path in paths:
                try:
                    self._store.delete(path)
                except FileNotFoundError:  # a folder says so, S3 does not
                    continue

    def link(self, path: str, *, valid: timedelta) -> str:
        """A presigned URL on S3; the file's own path in a folder."""
        import obstore.store

        if isinstance(self._store, FolderStore):
            return str(self._store.folder / path)
        assert isinstance(self._store, obstore.store.S3Store), "a platform has a folder or a bucket"
        with self._explained(path, "s3:GetObject"):
            return obstore.sign(self._store, "GET", path, expires_in=valid)

    @contextmanager
    def _explained(self, path: str, action: str) -> Iterator[None]:
        """A store's error in words: what could not be done to which object, and what to do about it."""
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, OSError) as error:
            raise (self._explain(str(error), path, action) or ArchiveError("is not there", where=path)) from None


def _read_ahead(read: Callable[[T], R], what: Sequence[T]) -> Iterator[R]:
    """What is read of each of these, in order; a few are read at once and are in memory."""
    with ThreadPoolExecutor(READERS) as readers:
        waiting = deque(readers.submit(read, each) for each in what[:READERS])
        for later in [*what[READERS:], *[None] * len(waiting)]:
            done = waiting.popleft().result()
            if later is not None:
                waiting.append(readers.submit(read, later))
            yield done


def _explain_folder(message: str, path: str, action: str) -> FinopsError | None:
    if action == "s3:GetObject" and "not found:" in message:
        return None
    done = {"s3:PutObject": "written", "s3:DeleteObject": "removed"}.get(action, "read")
    first_line = message.splitlines()[0] if message else "no reason given"
    return ArchiveError(f"cannot be {done} ({first_line})", where=path, fix="Check the space and rights there.")


def _encode(rows: pa.Table, metadata: Mapping[str, str]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = OU_BREAKDOWN.with_metadata({proof.FOOTER_PREFIX + key: value for key, value in metadata.items()})
    sink = pa.BufferOutputStream()
    pq.write_table(rows.cast(OU_BREAKDOWN).replace_schema_metadata(schema.metadata), sink, compression="snappy")
    return sink.getvalue().to_pybytes()
