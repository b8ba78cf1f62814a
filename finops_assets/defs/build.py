"""Definitions over a platform: assets, checks, jobs, schedules, sensors and what they work with."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import dagster as dg

from finops_assets.core.operations.heartbeat import Heartbeat
from finops_assets.core.ports import no_progress
from finops_assets.core.reports.drawing import Drawing
from finops_assets.defs.alerts import build_failure_sensors
from finops_assets.defs.assets import build_assets
from finops_assets.defs.evidence import build_evidence
from finops_assets.defs.jobs import build_jobs, build_morning_checks
from finops_assets.defs.launcher import locked_in_process_executor
from finops_assets.defs.sensors import build_sensors
from finops_assets.defs.verification import build_verification
from finops_assets.platform import Platform, build_watch, utc_now


def build_definitions(
    platform: Platform,
    *,
    clock: Callable[[], datetime] = utc_now,
    progress: Callable[[str, int, int], None] | None = None,
    loggers: Mapping[str, Any] | None = None,
    drawing: Drawing | None = None,
) -> dg.Definitions:
    """Definitions over a platform.

    Args:
        platform: the adapters; tests give fakes or folders of their own.
        clock: tells the time (aware, UTC) where a record needs one.
        progress: told (what, done, of how many) as long steps advance.
        loggers: Dagster loggers instead of the default one.
        drawing: draws charts and pages; by default in this process.
    """
    # Single-run backfills are marked beta, and so is a month whose days are not all kept; its tests hold both.
    beta = ".*(backfill_policy|allow_nonexistent_upstream_partitions).*"
    warnings.filterwarnings("ignore", category=dg.BetaWarning, message=beta)
    settings, drawing = platform.settings, drawing or Drawing()
    assets = build_assets(settings, platform.labels)
    jobs, schedules = build_jobs(assets, settings)
    evidence, evidence_job, every_month = build_evidence(settings, platform.labels)
    verification_job, every_night = build_verification(settings)
    morning, morning_checks = build_morning_checks()
    watch = build_watch(platform, clock=clock, drawing=drawing)
    return dg.Definitions(
        assets=[*assets, morning, evidence],
        asset_checks=[morning_checks],
        jobs=[*jobs, evidence_job, verification_job],
        schedules=[*schedules, every_month, every_night],
        sensors=[*build_sensors(jobs[0], settings, clock), *build_failure_sensors(clock)],
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
            "receipts": dg.ResourceDefinition.hardcoded_resource(platform.receipts),
            "watch": watch,
            "heartbeat": Heartbeat(
                platform.archive, platform.heartbeats, faults=watch.faults_of_the_morning, deadline=watch.deadline
            ),
            "morning": watch.morning,
            "scoring": platform.scoring(),
            "drawing": dg.ResourceDefinition.hardcoded_resource(drawing),
            "clock": dg.ResourceDefinition.hardcoded_resource(clock),
            "progress": dg.ResourceDefinition.hardcoded_resource(progress or no_progress),
        },
    )
