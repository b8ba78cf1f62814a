"""What each client and each run would make anew is made once a process.

AWS's service models and Dagster's migrations are parsed once: for sessions and instances of each test it would be a
third of its time. Dagster's records in memory keep their connection, of which a run opens 230; and the class of the
resources of a step, of which a run makes 100, is made once for each set of names: 8 % of a run.
"""

from __future__ import annotations

from collections import namedtuple
from functools import cache

import alembic.script
import botocore.session
from alembic.config import Config
from dagster._core.definitions import scoped_resources_builder
from dagster._core.storage.event_log import in_memory as events_in_memory
from dagster._core.storage.runs import in_memory as runs_in_memory
from sqlalchemy.pool import QueuePool

_scripts = alembic.script.ScriptDirectory.from_config
_known: dict[str | None, alembic.script.ScriptDirectory] = {}


def _script_directory(config: Config) -> alembic.script.ScriptDirectory:
    place = config.get_main_option("script_location")
    if place not in _known:
        _known[place] = _scripts(config)
    return _known[place]


botocore.session.create_loader = cache(botocore.session.create_loader)
alembic.script.ScriptDirectory.from_config = _script_directory
events_in_memory.NullPool = runs_in_memory.NullPool = QueuePool


@cache
def _named(typename: str, names: tuple[str, ...]) -> type:
    return namedtuple(typename, names)


scoped_resources_builder.namedtuple = lambda typename, names: _named(typename, tuple(names))
