"""An object of a day that is put before its rows, and that the rows name: its charges, its dimensions.

That one PUT of the rows stays the commit. A part of another fingerprint is of another state of the day, and no reader
is given it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from finops_assets.core.errors import DamagedError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from finops_assets.core.ports import Archive

FINGERPRINT, CONTENT = "fingerprint", "content"
"""Entries of the object's own metadata: an id of the part, and the hash of its values (`content_hash`)."""


@dataclass(frozen=True)
class DayPart:
    """A kind of such objects.

    Attributes:
        entry: of the rows' metadata, which has the fingerprint of the part; none where the day has no such part.
        title: for people, in the plural.
        table: that the objects are.
        schema: of the table.
        prefix: of all objects of the kind.
        path: gives the object of a day.
        hashed: gives the hash of its values.
        whole: whether a table in the schema can be a day's.
    """

    entry: str
    title: str
    table: str
    schema: pa.Schema
    prefix: str
    path: Callable[[date], str]
    hashed: Callable[[pa.Table], str]
    whole: Callable[[pa.Table], bool] = lambda table: True  # noqa: ARG005

    @property
    def absent(self) -> str:
        return f"the table {self.table} does not have it"

    @property
    def none(self) -> pa.Table:
        """A part without rows, of a day that has no such part any more; its fingerprint is empty."""
        return self.schema.empty_table()

    def named(self, footer: Mapping[str, str]) -> str:
        """The fingerprint of the part that a day's rows name; empty where they name none."""
        return footer.get(self.entry, "")

    def fault(self, archive: Archive, day: date, footer: Mapping[str, str]) -> str:
        """How the part of an archived day is not the one that its rows name; empty where it is, or they name none.

        Args:
            archive: where the day is.
            day: the day.
            footer: what its rows say of themselves.
        """
        if fingerprint := self.named(footer):
            try:
                self.decode(archive.get(self.path(day)), day, fingerprint)
            except DamagedError as error:
                return error.what
        return ""

    def encode(self, rows: pa.Table, fingerprint: str, facts: Mapping[str, str]) -> bytes:
        """The object: Snappy Parquet, with metadata under `finops.` keys.

        Args:
            rows: in the schema.
            fingerprint: of them.
            facts: the metadata of the day's rows.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        footer = {name: facts[name] for name in ("day", "total", "currency", "cost_basis")}
        footer |= {"rows": str(rows.num_rows), FINGERPRINT: fingerprint, CONTENT: self.hashed(rows)}
        schema = self.schema.with_metadata({f"finops.{key}": value for key, value in footer.items()})
        sink = pa.BufferOutputStream()
        pq.write_table(rows.cast(self.schema).replace_schema_metadata(schema.metadata), sink, compression="snappy")
        return sink.getvalue().to_pybytes()

    def decode(self, data: bytes | None, day: date, fingerprint: str) -> pa.Table:
        """The part of a day, proved to be that of this fingerprint by its content.

        Args:
            data: the object; None where there is none.
            day: the day.
            fingerprint: as the day's breakdown names it.

        Raises:
            DamagedError: there is none, it cannot be read, or it is of another state of the day.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        if data is None:
            raise self._error(day, self.absent)
        damaged = f"its {self.title} are damaged: they are not those that were written"
        try:
            file = pq.ParquetFile(pa.BufferReader(data))
            footer = {key.decode().removeprefix("finops."): value.decode() for key, value in _metadata(file).items()}
            rows = file.read(use_threads=False).replace_schema_metadata()
            rows.validate(full=True)
        except (pa.ArrowException, OSError, UnicodeDecodeError):
            raise self._error(day, damaged) from None
        if footer.get(FINGERPRINT) != fingerprint:
            raise self._error(day, f"the table {self.table} has it of other rows")
        whole = rows.schema.equals(self.schema) and rows.num_rows == int(footer.get("rows", -1)) and self.whole(rows)
        if not whole or footer.get(CONTENT) != self.hashed(rows):
            raise self._error(day, damaged)
        return rows

    def _error(self, day: date, fault: str) -> DamagedError:
        return DamagedError(fault, where=self.path(day), fix=f"Run `finops run --date {day}`.")


def _metadata(file: pq.ParquetFile) -> Mapping[bytes, bytes]:
    return file.schema_arrow.metadata or {}
