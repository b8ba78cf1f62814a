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
from finops_assets.defs.archive import build_archive_assets
from finops_assets.defs.bill import build_bill_assets
from finops_assets.defs.evidence import build_evidence
from finops_assets.defs.forms import AssetForms
from finops_assets.defs.jobs import check_up, daily_bill, morning_checks, nightly_verification, resend_digest
from finops_assets.defs.launcher import locked_in_process_executor
from finops_assets.defs.morning import checks_of_the_morning
from finops_assets.defs.private import show_failures_in_words
from finops_assets.defs.published import build_published_assets
from finops_assets.defs.schedules import build_schedules
from finops_assets.defs.scores import build_score_assets
from finops_assets.defs.sensors import PATIENCE, build_sensors
from finops_assets.platform import Platform


def build_definitions(
    platform: Platform,
    *,
    clock: Callable[[], datetime] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    loggers: Mapping[str, Any] | None = None,
    drawing: Drawing | None = None,
    patience: float | None = PATIENCE,
) -> dg.Definitions:
    """Definitions over a platform.

    Args:
        platform: the adapters and the objects; tests give fakes or folders of their own.
        clock: tells the time (aware, UTC) where a record needs one; the platform's by default.
        progress: told (what, done, of how many) as long steps advance.
        loggers: Dagster loggers instead of the default one.
        drawing: draws charts and pages; the platform's by default.
        patience: seconds that a sensor's tick waits for its work; None where it waits until that is done.
    """
    # Single-run backfills are marked beta, and so is a month whose days are not all kept; its tests hold both.
    beta = ".*(backfill_policy|allow_nonexistent_upstream_partitions).*"
    warnings.filterwarnings("ignore", category=dg.BetaWarning, message=beta)
    if clock or drawing:
        platform = replace(platform, clock=clock or platform.clock, drawing=drawing or platform.drawing)
    show_failures_in_words()
    settings, forms = platform.settings, AssetForms(platform.settings, platform.labels)
    evidence, month_is_whole, monthly_bundle, every_month = build_evidence(forms)
    plain = dg.ResourceDefinition.hardcoded_resource
    return dg.Definitions(
        assets=[
            *build_bill_assets(forms),
            *build_archive_assets(forms),
            *build_score_assets(forms),
            *build_published_assets(forms),
            evidence,
        ],
        asset_checks=[checks_of_the_morning, month_is_whole],
        jobs=[daily_bill, morning_checks, check_up, resend_digest, nightly_verification, monthly_bundle],
        schedules=[*build_schedules(settings), every_month],
        sensors=[*build_sensors(settings, platform.clock, patience), *build_failure_sensors(platform.clock)],
        # Seconds a step cheaper than a process each, and the steps share what they have read of the bill.
        executor=locked_in_process_executor,
        loggers=loggers,
        resources={
            "warehouse": platform.warehouse,
            "accounts": platform.accounts,
            "archive": platform.archive,
            "shown_archive": platform.shown_archive,
            "display": plain(platform.display),
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
            "require_memory": plain(platform.require_memory),
            "progress": plain(progress or no_progress),
        },
    )
