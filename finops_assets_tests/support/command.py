"""`finops` in this process: what a person types, without the second that a new process takes to import everything.

A process of its own is right where one is killed, or where its own exit or imports are what a test is about.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from contextlib import chdir
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

from click.testing import CliRunner, Result

from finops_assets.cli import common
from finops_assets.cli.errors import DEFECT
from finops_assets.cli.main import main


def finops(*arguments: str, cwd: Path, now: datetime | None = None, **environment: str) -> Result:
    """Run the command in a folder, with these settings and none of this machine's.

    Args:
        arguments: the command's words.
        cwd: the folder in which it is typed.
        now: what the command takes for the present moment; the real one by default.
        environment: environment variables.

    Returns:
        Its exit code and what it printed. An error that finops has made itself fails the test.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("FINOPS_", "DAGSTER_"))}
    clock: Callable[[], datetime] = (lambda: now) if now else (lambda: datetime.now(UTC))
    thresholds = gc.get_threshold()
    with patch.dict(os.environ, clean | environment, clear=True), patch.object(common, "now", clock), chdir(cwd):
        try:
            done = CliRunner().invoke(main, arguments, catch_exceptions=False)
        finally:
            gc.set_threshold(*thresholds)
    assert DEFECT not in done.output, done.output
    return done
