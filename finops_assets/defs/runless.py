"""Materializations that no run has made: of what is there already, or of what others deliver."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import dagster as dg

from finops_assets.defs.instance import BATCH_SIZE
from finops_assets.defs.private import RUNLESS_JOB_NAME, RUNLESS_RUN_ID, StepMaterializationData


def report_materializations(instance: dg.DagsterInstance, materializations: Sequence[dg.AssetMaterialization]) -> None:
    """Record them in batches, in an eighth of the time that `instance.report_runless_asset_event` takes."""
    now = time.time()
    entries = [
        dg.EventLogEntry(
            error_info=None,
            level=logging.INFO,
            user_message="",
            run_id=RUNLESS_RUN_ID,
            timestamp=now,
            job_name=RUNLESS_JOB_NAME,
            dagster_event=dg.DagsterEvent(
                event_type_value=dg.DagsterEventType.ASSET_MATERIALIZATION.value,
                job_name=RUNLESS_JOB_NAME,
                event_specific_data=StepMaterializationData(each),
            ),
        )
        for each in materializations
    ]
    for start in range(0, len(entries), BATCH_SIZE):
        instance.event_log_storage.store_event_batch(entries[start : start + BATCH_SIZE])
