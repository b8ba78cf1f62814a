"""What each client and each run would make anew is made once a process.

AWS's service models and Dagster's migrations are parsed once: for sessions and instances of each test it would be a
third of its time. Dagster's records in memory keep their connection, of which a run opens 220, know their own columns,
and take an event in one transaction, or a batch of asset events, as the platform's own event log does; and the class of
a step's resources, of which a run makes 100, is made once for each set of names. moto loads its module of S3's
addresses anew with each call, for settings that no test has. Templates are compiled once, and each SQL is translated
once.
"""

from __future__ import annotations

import inspect
from collections import namedtuple
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from itertools import groupby

import alembic.script
import botocore.session
import dagster as dg
import jinja2
import sqlglot
from alembic.config import Config
from dagster import EventLogEntry
from dagster._core.definitions import freshness, scoped_resources_builder
from dagster._core.event_api import AssetRecordsFilter, EventRecordsResult
from dagster._core.events import ASSET_EVENTS
from dagster._core.storage.event_log import SqlEventLogStorage, sql_event_log
from dagster._core.storage.event_log import in_memory as events_in_memory
from dagster._core.storage.event_log.base import EventLogCursor
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.runs import in_memory as runs_in_memory
from moto.s3 import urls as addresses_of_s3
from moto.s3.models import S3Backend
from sqlalchemy import Connection, func, select
from sqlalchemy.pool import SingletonThreadPool

_scripts = alembic.script.ScriptDirectory.from_config
_known: dict[str | None, alembic.script.ScriptDirectory] = {}


def _script_directory(config: Config) -> alembic.script.ScriptDirectory:
    place = config.get_main_option("script_location")
    if place not in _known:
        _known[place] = _scripts(config)
    return _known[place]


botocore.session.create_loader = cache(botocore.session.create_loader)
alembic.script.ScriptDirectory.from_config = _script_directory


@contextmanager
def _event_transaction(storage: events_in_memory.InMemoryEventLogStorage) -> Iterator[Connection]:
    with storage._db_lock, storage._engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def _run_transaction(storage: runs_in_memory.InMemoryRunStorage) -> Iterator[Connection]:
    with storage._engine.connect() as connection, connection.begin():
        yield connection


# Dagster's own open a connection, and set two pragmas, for each question; conftest.py sets them for each connection.
events_in_memory.NullPool = runs_in_memory.NullPool = SingletonThreadPool
events_in_memory.InMemoryEventLogStorage._connect = _event_transaction
runs_in_memory.InMemoryRunStorage.connect = _run_transaction


OF_NO_USE = {
    dg.DagsterEventType.STEP_OUTPUT,
    dg.DagsterEventType.HOOK_SKIPPED,
    dg.DagsterEventType.ENGINE_EVENT,
    dg.DagsterEventType.LOGS_CAPTURED,
    dg.DagsterEventType.RESOURCE_INIT_STARTED,
    dg.DagsterEventType.RESOURCE_INIT_SUCCESS,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
}
"""Half of a run's events: neither Dagster nor a test reads them from records in memory."""


def _store_event(storage: events_in_memory.InMemoryEventLogStorage, event: EventLogEntry) -> None:
    storage._storage_id += 1
    kind = event.dagster_event_type if event.is_dagster_event else None
    if kind not in OF_NO_USE:
        with storage.index_connection() as connection:
            stored = connection.execute(SqlEventLogStorageTable.insert(), storage._event_to_row(event))
            number = stored.inserted_primary_key[0]
            if kind in ASSET_EVENTS and event.get_dagster_event().asset_key:
                storage._store_asset_event_tags(connection, [event], [number])
                storage._store_asset_event(connection, event, number)
                _newest_of(storage).clear()
        if kind == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            storage._store_runless_asset_check_evaluation(event, number)  # which does not look for what was planned
    for handler in list(storage._handlers[event.run_id]):
        handler(event, str(EventLogCursor.from_storage_id(storage._storage_id)))


def _store_batch(storage: events_in_memory.InMemoryEventLogStorage, events: Sequence[EventLogEntry]) -> None:
    for of_assets, stretch in groupby(events, key=lambda event: event.dagster_event_type in ASSET_EVENTS):
        if of_assets and not storage._handlers[events[0].run_id]:
            _store_asset_events(storage, list(stretch))
        else:
            for event in stretch:
                storage.store_event(event)


def _store_asset_events(storage: events_in_memory.InMemoryEventLogStorage, events: Sequence[EventLogEntry]) -> None:
    with storage.index_connection() as connection:
        before = connection.execute(select(func.max(SqlEventLogStorageTable.c.id))).scalar() or 0
        connection.execute(SqlEventLogStorageTable.insert(), [storage._event_to_row(event) for event in events])
        numbered = list(enumerate(events, before + 1))
        storage._store_asset_event_tags(connection, events, [number for number, _ in numbered])
        # An asset's row is replaced by each of its events: only the last one matters.
        last = {event.get_dagster_event().asset_key: (number, event) for number, event in numbered}
        for number, event in last.values():
            storage._store_asset_event(connection, event, number)
    _newest_of(storage).clear()
    storage._storage_id += len(events)


def _newest_of(storage: events_in_memory.InMemoryEventLogStorage) -> dict[tuple[object, ...], EventRecordsResult]:
    return storage.__dict__.setdefault("newest_materializations", {})


def _fetch_materializations(
    storage: events_in_memory.InMemoryEventLogStorage,
    of: AssetRecordsFilter | dg.AssetKey,
    limit: int,
    cursor: str | None = None,
    ascending: bool = False,
) -> EventRecordsResult:
    """The same answer while no asset has a new event: Dagster asks twice for each check of a day."""
    parts = of if isinstance(of, dg.AssetKey) else tuple(repr(getattr(of, name)) for name in FILTERS)
    asked = (parts, limit, cursor, ascending)
    newest = _newest_of(storage)
    if asked not in newest:
        newest[asked] = _fetch(storage, of, limit, cursor, ascending)
    return newest[asked]


FILTERS = tuple(inspect.signature(AssetRecordsFilter).parameters)
_fetch = SqlEventLogStorage.fetch_materializations

events_in_memory.InMemoryEventLogStorage.store_event = _store_event
events_in_memory.InMemoryEventLogStorage.store_event_batch = _store_batch
events_in_memory.InMemoryEventLogStorage.fetch_materializations = _fetch_materializations
sql_event_log.deserialize_value = lru_cache(maxsize=256)(sql_event_log.deserialize_value)
events_in_memory.InMemoryEventLogStorage._has_asset_key_col_on_connection = lambda *_: True
events_in_memory.InMemoryEventLogStorage.has_asset_key_col = lambda *_: True
events_in_memory.InMemoryEventLogStorage.has_table = lambda *_: True

S3Backend._url_module = addresses_of_s3


@cache
def _class_of(typename: str, names: tuple[str, ...]) -> type:
    return namedtuple(typename, names)


def _named(typename: str, names: Sequence[str]) -> type:
    return _class_of(typename, tuple(names))


scoped_resources_builder.namedtuple = _named
# Dagster walks through a thousand ticks of a schedule, each time that definitions are made.
freshness.get_smallest_cron_interval = cache(freshness.get_smallest_cron_interval)

_compile, _codes = jinja2.Environment.compile, {}


def _compiled(environment: jinja2.Environment, source: str, *named: object, **how: object) -> object:
    knows = (environment.autoescape, environment.trim_blocks, environment.lstrip_blocks)
    key = (source, named, *how.items(), *knows, *environment.filters, None, *environment.tests)
    if key not in _codes:
        _codes[key] = _compile(environment, source, *named, **how)
    return _codes[key]


jinja2.Environment.compile = _compiled
sqlglot.transpile = cache(sqlglot.transpile)
