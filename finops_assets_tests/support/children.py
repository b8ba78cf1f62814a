"""Runs in processes of their own, which may be killed: forks of one that has everything read and nothing begun."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Mapping
from contextlib import nullcontext
from datetime import UTC, date, datetime, timedelta
from typing import Any

from finops_assets.platform import build_platform
from finops_assets.settings.load import load_settings

CHILDREN = multiprocessing.get_context("forkserver")
CHILDREN.set_forkserver_preload([__name__, "finops_assets_tests.support.preloaded"])


def run_in_child(environ: Mapping[str, str], first: date, last: date, to: Any = None) -> None:
    """One run, for a process that may be killed; its errors go through the pipe `to`, if there is one."""
    from finops_assets.core.reports.drawing import Drawing
    from finops_assets.defs import run

    run.drawing_beside = lambda: nullcontext(Drawing(lambda _: b"\x89PNG", lambda *_: b"%PDF"))
    os.setsid()  # what the run starts beside it is killed with it
    os.environ.update(environ)
    platform = build_platform(load_settings(environ))
    seven = datetime(last.year, last.month, last.day, 7, tzinfo=UTC) + timedelta(days=1)
    outcome = run.run_days(platform, first, last, clock=lambda: seven)
    if to:
        to.send(outcome.errors)
