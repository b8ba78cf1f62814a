"""A day's sums by SKU, kept for the mornings that compare another day with it, so that its lines are read once.

Each bill's sums of a day are one small object, of the state of the day that its archived rows have: with others they
are not used, and the bill is asked again. They can be lost; nothing but time and scanned bytes is lost with them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING

from finops_assets.core.notes import put_if_other

if TYPE_CHECKING:
    import pyarrow as pa

    from finops_assets.core.ports import Archive

PREFIX = "drivers/sums/"
KEPT = timedelta(days=15)
"""A day is compared with that of a week before; after an outage, with one that is a little older."""

SUMS_SINCE = timedelta(days=7)
"""Of a range of days, those that later mornings compare with: the last one and the week before it."""

STATE = b"finops.state"


class SkuSums:
    """The kept sums of one bill.

    Args:
        archive: where they are.
        bill: names the bill, among several.
        rules: what they depend on beside the bill: its format, its settings, the columns that name a SKU.
    """

    def __init__(self, archive: Archive, bill: str, rules: str) -> None:
        self._archive, self._rules = archive, rules
        self._name = re.sub("[^A-Za-z0-9._-]", "_", bill)

    def keep(self, sums: Mapping[date, pa.Table]) -> None:
        """Keep the sums of these days, as far as they are archived."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        for day, state in self._states(sums).items():
            sink = pa.BufferOutputStream()
            pq.write_table(sums[day].replace_schema_metadata({STATE: state}), sink, compression="zstd")
            put_if_other(self._archive, self._path(day), sink.getvalue().to_pybytes())

    def read(self, days: Collection[date]) -> dict[date, pa.Table]:
        """The sums of those of the days of which they are kept, in the state in which the day is archived."""
        states = self._states(days)
        kept = {day: self._read(day, state) for day, state in states.items()}
        return {day: sums for day, sums in kept.items() if sums is not None}

    def _read(self, day: date, state: str) -> pa.Table | None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        data = self._archive.get(self._path(day))
        if data is None:
            return None
        try:
            sums = pq.ParquetFile(pa.BufferReader(data)).read()
        except (pa.ArrowException, OSError):  # damaged: they are made again
            return None
        has_state = (sums.schema.metadata or {}).get(STATE, b"").decode() == state
        return sums.replace_schema_metadata() if has_state else None

    def sweep(self, newest: date) -> None:
        """Remove sums that no morning compares with any more."""
        kept = PREFIX + (newest - KEPT).isoformat()
        self._archive.delete([path for path in self._archive.list(PREFIX) if path < kept])

    def _path(self, day: date) -> str:
        return f"{PREFIX}{day}/{self._name}.parquet"

    def _states(self, days: Collection[date]) -> dict[date, str]:
        """An id, of its rows and of the rules, of each of the days that is archived; by one listing of the archive."""
        published = self._archive.history.describe(days) if days else {}
        return {
            day: hashlib.sha256(f"{of.fingerprint} {self._rules}".encode()).hexdigest() for day, of in published.items()
        }
