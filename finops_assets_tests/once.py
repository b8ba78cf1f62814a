"""What every client and every run would read anew is read once a process: AWS's service models, Dagster's migrations.

Each test has sessions, and an instance, of its own; parsing the same files for them would be a third of its time.
"""

from __future__ import annotations

from functools import cache

import alembic.script
import botocore.session
from alembic.config import Config

_scripts = alembic.script.ScriptDirectory.from_config
_known: dict[str | None, alembic.script.ScriptDirectory] = {}


def _script_directory(config: Config) -> alembic.script.ScriptDirectory:
    place = config.get_main_option("script_location")
    if place not in _known:
        _known[place] = _scripts(config)
    return _known[place]


botocore.session.create_loader = cache(botocore.session.create_loader)
alembic.script.ScriptDirectory.from_config = _script_directory
