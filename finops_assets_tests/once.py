"""What each client and each run would make anew is made once a process.

AWS's service models and Dagster's migrations are parsed once: for sessions and instances of each test it would be a
third of its time. Dagster's records in memory keep their connection, of which a run opens 220; and the class of a
step's resources, of which a run makes 100, is made once for each set of names.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache

import alembic.script
import botocore.session
from alembic.config import Config
from dagster._core.definitions import scoped_resources_builder
from dagster._core.storage.event_log import in_memory as events_in_memory
from dagster._core.storage.runs import in_memory as runs_in_memory
from sqlalchemy import Connection
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


@cache
def _class_of(typename: str, names: tuple[str, ...]) -> type:
    return namedtuple(typename, names)


def _named(typename: str, names: Sequence[str]) -> type:
    return _class_of(typename, tuple(names))


scoped_resources_builder.namedtuple = _named
