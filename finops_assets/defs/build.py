"""Definitions over a platform: assets, checks, jobs, schedules, sensors and what they work with."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import dagster as dg

from finops_assets.core.ports import no_progress
from finops_assets.core.reports.drawing import Drawing
from finops_assets.defs.alerts import build_failure_sensors
from finops_assets.defs.assets import build_assets
from finops_assets.defs.evidence import build_evidence
from finops_assets.defs.jobs import build_jobs, build_morning_checks
from finops_assets.defs.launcher import locked_in_process_executor
from finops_assets.defs.sensors import build_sensors
from finops_assets.defs.verification import build_verification
from finops_assets.platform import Platform


def build_definitions(
    platform: Platform,
    *,
    clock: Callable[[], datetime] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    loggers: Mapping[str, Any] | None = None,
    drawing: Drawing | None = None,
) -> dg.Definitions:
    """Definitions over a platform.

    Args:
        platform: the adapters and the objects; tests give fakes or folders of their own.
        clock: tells the time (aware, UTC) where a record needs one; the platform's by default.
        progress: told (what, done, of how many) as long steps advance.
        loggers: Dagster loggers instead of the default one.
        drawing: draws charts and pages; the platform's by default.
    """
    # Single-run backfills are marked beta, and so is a month whose days are not all kept; its tests hold both.
    beta = ".*(backfill_policy|allow_nonexistent_upstream_partitions).*"
    warnings.filterwarnings("ignore", category=dg.BetaWarning, message=beta)
    platform = replace(platform, clock=clock or platform.clock, drawing=drawing or platform.drawing)
    settings = platform.settings
    assets = build_assets(settings, platform.labels)
    jobs, schedules = build_jobs(assets, settings)
    evidence, evidence_job, every_month = build_evidence(settings, platform.labels)
    verification_job, every_night = build_verification(settings)
    morning, morning_checks = build_morning_checks()
    plain = dg.ResourceDefinition.hardcoded_resource
    return dg.Definitions(
        assets=[*assets, morning, evidence],
        asset_checks=[morning_checks],
        jobs=[*jobs, evidence_job, verification_job],
        schedules=[*schedules, every_month, every_night],
        sensors=[*build_sensors(jobs[0], settings, platform.clock), *build_failure_sensors(platform.clock)],
        # Seconds a step cheaper than a process each, and the steps share what they have read of the bill.
        executor=locked_in_process_executor,
        loggers=loggers,
        resources={
            "warehouse": platform.warehouse,
            "accounts": platform.accounts,
            "archive": platform.archive,
            "catalog": platform.catalog,
            "dashboard": platform.dashboard,
            "outbox": platform.outbox,
            "preflight": platform.preflight,
            "metrics": platform.metrics,
            "receipts": plain(platform.receipts),
            "watch": platform.watch,
            "heartbeat": platform.heartbeat,
            "digests": platform.digests,
            "scoring": platform.scoring,
            "drawing": plain(platform.drawing),
            "clock": plain(platform.clock),
            "progress": plain(progress or no_progress),
        },
    )
