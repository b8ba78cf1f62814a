"""The composition root of the code location: settings -> platform -> Dagster Definitions.

Nothing happens at import. Dagster calls `defs`; tests and the command call `build_definitions` with a platform of
their own.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg

from finops_assets.core.drawing import Drawing

if TYPE_CHECKING:
    from finops_assets.core.watch import Watch
    from finops_assets.platform import Platform


def _utc_now() -> datetime:
    return datetime.now(UTC)


def build_definitions(
    platform: Platform,
    *,
    clock: Callable[[], datetime] = _utc_now,
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
    from finops_assets.core.heartbeat import Heartbeat
    from finops_assets.core.pipeline import no_progress
    from finops_assets.defs.alerts import build_failure_sensors
    from finops_assets.defs.assets import build_assets
    from finops_assets.defs.evidence import build_evidence
    from finops_assets.defs.jobs import build_jobs, build_morning_checks
    from finops_assets.defs.launcher import locked_in_process_executor
    from finops_assets.defs.sensors import build_sensors
    from finops_assets.defs.verification import build_verification

    # Single-run backfills are marked beta, and so is a month whose days are not all kept; its tests hold both.
    beta = ".*(backfill_policy|allow_nonexistent_upstream_partitions).*"
    warnings.filterwarnings("ignore", category=dg.BetaWarning, message=beta)
    settings, drawing = platform.settings, drawing or Drawing()
    assets = build_assets(settings, platform.faces)
    jobs, schedules = build_jobs(assets, settings)
    evidence, evidence_job, every_month = build_evidence(settings, platform.faces)
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


def build_watch(
    platform: Platform,
    *,
    clock: Callable[[], datetime] = _utc_now,
    drawing: Drawing | None = None,
) -> Watch:
    """What looks after a platform; the arguments are those of `build_definitions`."""
    from finops_assets.core.age import deadline_by
    from finops_assets.core.incidents import Incidents
    from finops_assets.core.morning import Morning, Thresholds
    from finops_assets.core.settlement import Journal
    from finops_assets.core.state_notes import state_notes
    from finops_assets.core.watch import Watch

    settings, archive, outbox = platform.settings, platform.archive, platform.outbox
    journal = Journal(archive, settings.bill.stable_after)
    mail = settings.mail
    drawing = drawing or Drawing()
    thresholds = Thresholds(mail.tell_change_percent, mail.correct_change_percent, mail.change_amount)
    ui = settings.alerts.dagster_url or platform.links.get("Dagster", "")
    inspector = platform.inspector()
    return Watch(
        inspector=inspector,
        warehouse=platform.warehouse,
        archive=archive,
        outbox=outbox,
        morning=Morning(
            archive,
            outbox,
            mail.subject_prefix,
            platform.links,
            drawing,
            thresholds,
            journal,
            editions=mail.by_ou,
            notes=partial(state_notes, inspector),
            age=platform.age,
        ),
        journal=journal,
        incidents=Incidents(
            archive,
            platform.alerts,
            clock=clock,
            run_link=lambda run_id: f"{ui.rstrip('/')}/runs/{run_id}" if ui else run_id,
            runbook=settings.alerts.runbook_url,
        ),
        first_day=settings.bill.first_day,
        complete_after=settings.bill.complete_after_hours,
        deadline=deadline_by(settings.schedule.cron),
        change_closed=settings.bill.change_closed_days,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What `workspace.yaml` loads: the platform that finops.toml and the environment name."""
    from finops_assets.platform import build_platform
    from finops_assets.settings import load_settings

    return build_definitions(build_platform(load_settings()))
