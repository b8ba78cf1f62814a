"""Dagster's SQLite event log: a batch of asset events in one transaction, and commits that wait for no disk.

The same rows as Dagster's own storage in the same files: a backfill of 90 days records hundreds of materializations,
and opening, committing and closing two databases for each costs more than the whole rest of the run. Dagster hands
over batches where DAGSTER_EVENT_BATCH_SIZE is set; its Postgres storage takes them the way this does.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from dagster import EventLogEntry

from finops_assets.defs.private import (
    ASSET_EVENTS,
    SQLITE_BUSY_TIMEOUT_SECONDS,
    ConfigurableClassData,
    SqlEventLogStorageTable,
    SqliteEventLogStorage,
)

KEPT_OPEN = 4
"""Databases whose connection stays open: the index, the run being recorded, and the ones last looked at."""

APART = 0.001
"""Seconds between the events of a batch."""


class BatchingSqliteEventLogStorage(SqliteEventLogStorage):
    """SqliteEventLogStorage with a `store_event_batch` of its own, and connections that stay open."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: OrderedDict[str, sa.Engine] = OrderedDict()
        super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Any
    ) -> BatchingSqliteEventLogStorage:
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sa.Connection]:
        with self._db_lock:
            engine = self._engines.pop(shard, None) or self._engine(shard)
            self._engines[shard] = engine
            if len(self._engines) > KEPT_OPEN:
                self._engines.popitem(last=False)[1].dispose()
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as con:
                yield con

    def _engine(self, shard: str) -> sa.Engine:
        engine = sa.create_engine(
            self.conn_string_for_shard(shard), connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
        )
        # In WAL mode, which Dagster sets, a commit then waits for no disk. A killed process loses nothing; a power cut
        # may lose the last records, never what they are of: days and receipts are written elsewhere, and in full.
        sa.event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = NORMAL"))
        return engine

    def dispose(self) -> None:
        for engine in self._engines.values():
            engine.dispose()
        self._engines.clear()
        super().dispose()

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events in their order: each stretch of asset events in one transaction, check events one by one."""
        for of_assets, stretch in groupby(events, key=lambda event: event.dagster_event_type in ASSET_EVENTS):
            if of_assets:
                self._store_asset_events(list(stretch))
            else:
                super().store_event_batch(list(stretch))

    def _store_asset_events(self, events: Sequence[EventLogEntry]) -> None:
        events = _spread(events)
        rows = [self._event_to_row(event) for event in events]
        with self.run_connection(events[0].run_id) as con:
            con.execute(SqlEventLogStorageTable.insert(), rows)
        with self.index_connection() as con:
            inserted = [con.execute(SqlEventLogStorageTable.insert().values(**row)) for row in rows]
            ids = [result.inserted_primary_key[0] for result in inserted if result.inserted_primary_key]
            self._store_asset_event_tags(con, events, ids)
            # An asset's row in the index is replaced by each of its events: only the last one matters.
            last = {event.get_dagster_event().asset_key: (event, id_) for event, id_ in zip(events, ids, strict=True)}
            for event, id_ in last.values():
                self._store_asset_event(con, event, id_)


def _spread(events: Sequence[EventLogEntry]) -> list[EventLogEntry]:
    """The events of a batch a millisecond apart, the last one at its own time.

    The UI takes events of one asset in one millisecond for one, and lists a few of a range's days. Those before the
    last are moved back, to the time in which the step did its work.
    """
    spread: list[EventLogEntry] = []
    latest = float("inf")
    for event in reversed(events):
        latest = min(event.timestamp, latest - APART)
        spread.append(event if event.timestamp == latest else event._replace(timestamp=latest))
    return spread[::-1]
