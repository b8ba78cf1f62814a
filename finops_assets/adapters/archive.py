"""The archive: one object a day through obstore, so that a folder and S3 are the same code.

An object is written by a single PUT, whole or not at all: obstore writes a local file beside its place and renames it,
and S3 shows an object when its upload is complete. Readers never see half a day.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.errors import ArchiveError
from finops_assets.core.money import plain
from finops_assets.core.ports import DayRows, PublishedDay
from finops_assets.core.schemas import BREAKDOWN_PREFIX, MONEY_SQL, OU_BREAKDOWN, day_path

if TYPE_CHECKING:
    import pyarrow as pa
    from obstore.store import ObjectStore

READERS = 4
"""Days that are read at once: more than the cores, as a GET waits for the store."""

METADATA_PREFIX = "finops."
DAY_OBJECT = re.compile(rf"{BREAKDOWN_PREFIX}/year=(\d{{4}})/month=(\d{{2}})/day=(\d{{2}})/ou_breakdown\.parquet")
NEEDED = frozenset(("rows", "total", "currency", "cost_basis", "fingerprint"))
SAME = ("fingerprint", "total", "currency", "cost_basis", "source_total", "by_category", "scheduled", "left_out")
"""A day whose object already says the same of all these is left as it is: running a day twice changes nothing."""


def folder_store(folder: str) -> ObjectStore:
    """A store on a local folder, made if it is not there.

    Raises:
        ArchiveError: the folder cannot be written.
    """
    from pathlib import Path

    from obstore.store import LocalStore

    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        probe = Path(folder) / ".writable"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise ArchiveError(
            f"cannot be written: {error.strerror or error}", where=f"{folder} (home)", fix="Set FINOPS_HOME elsewhere."
        ) from None
    return LocalStore(str(Path(folder).resolve()))


class ObjectArchive:
    """Days, and the small objects around them, in one object store."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def publish(self, day: DayRows, metadata: Mapping[str, str]) -> PublishedDay:
        """Write the day's object unless it already holds the same; metadata are kept in the file."""
        path = day_path(day.day)
        known = {
            "day": day.day.isoformat(),
            "rows": str(day.rows.num_rows),
            "total": plain(day.total),
            "unassigned": plain(day.unassigned),
            "fingerprint": day.fingerprint,
            **metadata,
        }
        there = self.describe(day.day)
        if there and all(there.metadata.get(name) == known.get(name) for name in SAME):
            return _unchanged(there)
        data = _encode(day.rows, known)
        self.put(path, data)
        return self._published(day.day, path, data, known)

    def describe(self, day: date) -> PublishedDay | None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = day_path(day)
        data = self.get(path)
        if data is None:
            return None
        try:
            footer = pq.read_schema(pa.BufferReader(data)).metadata or {}
        except pa.ArrowInvalid as error:
            raise ArchiveError(f"is damaged: {error}", where=path, fix=f"Run `finops run --date {day}`.") from None
        found = {
            key.decode().removeprefix(METADATA_PREFIX): value.decode()
            for key, value in footer.items()
            if key.decode().startswith(METADATA_PREFIX)
        }
        if not found.keys() >= NEEDED:
            raise ArchiveError("was not written by finops_assets", where=path, fix="Move it out of the archive.")
        return self._published(day, path, data, found)

    def _published(self, day: date, path: str, data: bytes, metadata: Mapping[str, str]) -> PublishedDay:
        return PublishedDay(
            day=day,
            path=path,
            version=hashlib.sha256(data).hexdigest()[:16],
            rows=int(metadata["rows"]),
            total=Decimal(metadata["total"]),
            currency=metadata["currency"],
            cost_basis=metadata["cost_basis"],
            fingerprint=metadata["fingerprint"],
            size_bytes=len(data),
            metadata=metadata,
        )

    def days(self) -> list[date]:
        found = (DAY_OBJECT.fullmatch(path) for path in self.list(BREAKDOWN_PREFIX + "/"))
        return sorted(date(*map(int, match.groups())) for match in found if match)

    def read(self, days: Sequence[date]) -> pa.Table:
        import duckdb
        import pyarrow as pa

        with ThreadPoolExecutor(READERS) as readers:
            tables = list(readers.map(self._rows, days))
        rows = pa.concat_tables(tables) if tables else OU_BREAKDOWN.empty_table()
        # Arrow rounds some doubles to decimals one unit off in the twelfth place; DuckDB does not.
        return (
            duckdb.from_arrow(rows).query("day", f"SELECT *, CAST(dailycost AS {MONEY_SQL}) AS cost FROM day")
        ).to_arrow_table()

    def _rows(self, day: date) -> pa.Table:
        import pyarrow as pa
        import pyarrow.parquet as pq

        data = self.get(day_path(day))
        if data is None:
            raise ArchiveError("is not in the archive", where=day_path(day), fix=f"Run `finops run --date {day}`.")
        # Days are small: Arrow's own threads cost three times what they save.
        file = pq.ParquetFile(pa.BufferReader(data))
        return file.read(columns=OU_BREAKDOWN.names, use_threads=False).replace_schema_metadata()

    def put(self, path: str, data: bytes) -> str:
        from obstore.exceptions import BaseError

        try:
            result = self._store.put(path, data)
        except (BaseError, OSError) as error:
            raise ArchiveError(
                f"cannot be written ({str(error).splitlines()[0]})", where=path, fix="Check the space and rights there."
            ) from None
        return result["version"] or hashlib.sha256(data).hexdigest()[:16]

    def get(self, path: str) -> bytes | None:
        try:
            return self._store.get(path).bytes().to_bytes()
        except FileNotFoundError:
            return None

    def list(self, prefix: str) -> list[str]:
        return sorted(item["path"] for batch in self._store.list(prefix) for item in batch)


def _unchanged(there: PublishedDay) -> PublishedDay:
    from dataclasses import replace

    return replace(there, changed=False)


def _encode(rows: pa.Table, metadata: Mapping[str, str]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = OU_BREAKDOWN.with_metadata({METADATA_PREFIX + key: value for key, value in metadata.items()})
    sink = pa.BufferOutputStream()
    pq.write_table(rows.cast(OU_BREAKDOWN).replace_schema_metadata(schema.metadata), sink, compression="snappy")
    return sink.getvalue().to_pybytes()
