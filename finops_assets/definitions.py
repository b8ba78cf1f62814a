"""The composition root of the code location: settings -> platform -> Dagster Definitions.

Nothing happens at import. Dagster calls `defs`; tests and the command call `build_definitions` with a platform of
their own.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from finops_assets.core import charts

if TYPE_CHECKING:
    from finops_assets.platform import Platform


def _utc_now() -> datetime:
    return datetime.now(UTC)


def build_definitions(
    platform: Platform,
    *,
    clock: Callable[[], datetime] = _utc_now,
    progress: Callable[[str, int, int], None] | None = None,
    loggers: Mapping[str, Any] | None = None,
    draw: Callable[[Mapping[str, Any]], bytes] = charts.to_png,
) -> dg.Definitions:
    """Definitions over a platform.

    Args:
        platform: the adapters; tests give fakes or folders of their own.
        clock: tells the time (aware, UTC) where a record needs one.
        progress: told (what, done, of how many) as long steps advance.
        loggers: Dagster loggers instead of the default one.
        draw: turns a chart's spec into a PNG.
    """
    from finops_assets.core.morning import Morning
    from finops_assets.core.pipeline import no_progress
    from finops_assets.defs.assets import build_assets
    from finops_assets.defs.jobs import build_jobs

    # Single-run backfills are marked beta; they are what this platform stands on, and its tests hold them.
    warnings.filterwarnings("ignore", category=dg.BetaWarning, message=".*backfill_policy.*")
    settings = platform.settings
    assets = build_assets(settings, platform.faces)
    jobs, schedules = build_jobs(assets, settings)
    return dg.Definitions(
        assets=assets,
        jobs=jobs,
        schedules=schedules,
        # Seconds a step cheaper than a process each, and the steps share what they have read of the bill.
        executor=dg.in_process_executor,
        loggers=loggers,
        resources={
            "warehouse": platform.warehouse,
            "accounts": platform.accounts,
            "archive": platform.archive,
            "catalog": platform.catalog,
            "dashboard": platform.dashboard,
            "alerts": platform.alerts,
            "metrics": platform.metrics,
            "receipts": dg.ResourceDefinition.hardcoded_resource(platform.receipts),
            "morning": Morning(platform.archive, platform.outbox, settings.mail.subject_prefix, platform.links, draw),
            "clock": dg.ResourceDefinition.hardcoded_resource(clock),
            "progress": dg.ResourceDefinition.hardcoded_resource(progress or no_progress),
        },
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What `workspace.yaml` loads: the platform that finops.toml and the environment name."""
    from finops_assets.platform import build_platform
    from finops_assets.settings import load_settings

    return build_definitions(build_platform(load_settings()))
