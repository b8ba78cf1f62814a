"""The embedded platform's Dagster instance: its folder, its dagster.yaml, its environment."""

from __future__ import annotations

import os
from pathlib import Path

from finops_assets.core.errors import ArchiveError

BATCH_SIZE = 1000
"""Materializations recorded in one transaction; a backfill of a year and five assets makes 1,825."""


def prepare_dagster_home(folder: Path, *, deployed: bool = False) -> Path:
    """Make the folder and its dagster.yaml, and point this process (and those it starts) at it.

    A deployment (`deployed`) has its own: where DAGSTER_HOME names a folder with a dagster.yaml, that is used as it is.

    Raises:
        ArchiveError: the folder cannot be written.
    """
    own = os.environ.get("DAGSTER_HOME")
    if deployed and own and (Path(own) / "dagster.yaml").is_file():
        return Path(own)
    folder = folder.resolve()
    wanted = _dagster_yaml(folder)
    file = folder / "dagster.yaml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not file.is_file() or file.read_text(encoding="utf-8") != wanted:
            file.write_text(wanted, encoding="utf-8")
            # The UI asks for a newsletter's address over its first page unless this file says that it has.
            (folder / ".nux").mkdir(exist_ok=True)
            (folder / ".nux" / "nux.yaml").write_text("seen: 1\n", encoding="utf-8")
    except OSError as error:
        raise ArchiveError(
            f"cannot be written: {error.strerror or error}", where=f"{folder} (home)", fix="Set FINOPS_HOME elsewhere."
        ) from None
    os.environ["DAGSTER_HOME"] = str(folder)
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", str(BATCH_SIZE))
    return folder


def _dagster_yaml(folder: Path) -> str:
    return f"""# Written by finops_assets; changes are overwritten.
telemetry:
  enabled: false
event_log_storage:
  module: finops_assets.defs.event_log
  class: BatchingSqliteEventLogStorage
  config:
    base_dir: {str(folder / "history" / "runs")!r}
# One run at a time: no two write one day at once. It holds for runs of the UI, the schedules and the sensors;
# `finops run` in a shell starts at once.
concurrency:
  runs:
    max_concurrent_runs: 1
# A run whose process is gone is noticed, failed and tried again: every step can be repeated.
run_launcher:
  module: finops_assets.defs.launcher
  class: WatchedRunLauncher
run_monitoring:
  enabled: true
  poll_interval_seconds: 30
  start_timeout_seconds: 180
  max_runtime_seconds: 14400
run_retries:
  enabled: true
  max_retries: 2
  retry_on_asset_or_op_failure: false
"""
