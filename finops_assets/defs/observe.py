"""What Dagster shows of the archive, rebuilt where its own records are gone: `finops observe`.

Everything that was made is in the archive, the catalog, the dashboard and the outbox; Dagster only remembers it. What
it has forgotten is recorded as materializations that no run has made, with the metadata that the UI shows otherwise.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import dagster as dg

from finops_assets.core.accounts.account_map import counts
from finops_assets.core.accounts.published_map import published_map
from finops_assets.core.archive.publishing import source_day
from finops_assets.core.archive.states import is_at_its_place, shown_fault
from finops_assets.core.errors import ArchiveError
from finops_assets.core.ports import Archive
from finops_assets.core.reports.snapshot import snapshot_path
from finops_assets.core.schemas import ACCOUNT_MAP_PATH, RESTORED_AT, SCORECARD_PREFIX, scorecard_path
from finops_assets.core.values import DashboardContent, PublishedDay
from finops_assets.defs import keys
from finops_assets.defs import metadata as show
from finops_assets.defs.instance import BATCH_SIZE, open_instance
from finops_assets.defs.private import RUNLESS_JOB_NAME, RUNLESS_RUN_ID, StepMaterializationData
from finops_assets.platform import Platform

OBSERVED = {"observed": "rebuilt from the archive"}
READERS = 8
"""Days that are described at once: each waits for the store."""


@dataclass(frozen=True)
class Observed:
    """What was recorded, and what Dagster knew before, of each asset; and the days whose object cannot be read."""

    reported: Mapping[str, int]
    known: Mapping[str, int]
    unreadable: Mapping[date, str]


def observe(platform: Platform) -> Observed:
    """Record every day that is there and that Dagster does not know as materialized. Doing it again records nothing."""
    days = [day for day in platform.archive.days() if day >= platform.settings.bill.first_day]
    with _instance(platform) as instance:
        known = {name: _materialized(instance, name) & set(days) for name in keys.DAILY}
        map_known = instance.get_latest_materialization_event(dg.AssetKey(keys.MAP)) is not None
        facts_of = {} if map_known else _map(platform.archive)
        daily, unreadable = _daily(platform, {name: set(days) - known[name] for name in keys.DAILY})
        facts_of |= daily
        _report(
            instance,
            [
                dg.AssetMaterialization(name, partition=str(day) if day else None, metadata={**facts, **OBSERVED})
                for name in (keys.MAP, *keys.DAILY)
                for day, facts in facts_of.get(name, {}).items()
            ],
        )
    return Observed(
        reported={name: len(facts_of.get(name, {})) for name in (keys.MAP, *keys.DAILY)},
        known={keys.MAP: int(map_known), **{name: len(known[name]) for name in keys.DAILY}},
        unreadable=unreadable,
    )


def report_restored(platform: Platform, published: PublishedDay) -> None:
    """Have the UI show a restored day as it is now: no run has written it."""
    with _instance(platform) as instance:
        _report(
            instance,
            [dg.AssetMaterialization(keys.ARCHIVED, partition=str(published.day), metadata=show.stored_day(published))],
        )


def shown_since_restored(platform: Platform, published: PublishedDay) -> bool:
    """Whether the dashboard was refreshed with this day since it was restored, or it never was."""
    restored = published.metadata.get(RESTORED_AT)
    if restored is None:
        return True
    wanted = dg.AssetRecordsFilter(dg.AssetKey(keys.SHOWN), asset_partitions=[str(published.day)])
    with _instance(platform) as instance:
        records = instance.fetch_materializations(wanted, limit=1).records
    return bool(records) and records[0].timestamp >= datetime.fromisoformat(restored).timestamp()


def _instance(platform: Platform) -> AbstractContextManager[dg.DagsterInstance]:
    return open_instance(platform.settings.dagster_home, deployed=platform.settings.platform == "aws")


def _materialized(instance: dg.DagsterInstance, name: str) -> set[date]:
    return {date.fromisoformat(key) for key in instance.get_materialized_partitions(dg.AssetKey(name))}


def _map(archive: Archive) -> dict[str, dict[date | None, dict[str, Any]]]:
    """The account map, if it is published: it has no days."""
    table = published_map(archive)
    if table is None:
        return {}
    facts = {"dagster/row_count": table.num_rows, "accounts": sum(counts(table).values()), "path": ACCOUNT_MAP_PATH}
    return {keys.MAP: {None: facts}}


def _daily(
    platform: Platform, unknown: Mapping[str, Collection[date]]
) -> tuple[dict[str, dict[date | None, dict[str, Any]]], dict[date, str]]:
    """Of each asset those of the unknown days that are there, with their metadata; and the days that are unreadable."""
    registered = {day: at for day, at in platform.catalog.registered().items() if is_at_its_place(at, day)}
    shown = platform.preflight.shown() if unknown[keys.SHOWN] else None
    mailed = platform.outbox.records.mailed_days({*unknown[keys.MAILED], *unknown[keys.SNAPSHOT]})
    sent = {day: {"state": state} for day, state in sorted(mailed.items()) if state == "sent"}
    pages = _objects(platform.archive, "executive-snapshots/", snapshot_path, unknown[keys.SNAPSHOT])
    asked = {
        keys.SUMMARY: unknown[keys.SUMMARY],
        keys.ARCHIVED: unknown[keys.ARCHIVED],
        keys.REGISTERED: registered.keys() & unknown[keys.REGISTERED],
        keys.SHOWN: unknown[keys.SHOWN] if shown else (),
    }
    described, unreadable = _described(platform.archive, sorted({day for days in asked.values() for day in days}))

    def of(name: str) -> Iterator[PublishedDay]:
        return (published for day, published in described.items() if day in asked[name])

    days_shown = platform.settings.dashboard.days
    facts_of = {
        keys.SUMMARY: {
            published.day: show.source_day(source_day(published), published.cost_basis)
            for published in of(keys.SUMMARY)
        },
        keys.ARCHIVED: {published.day: show.stored_day(published) for published in of(keys.ARCHIVED)},
        keys.REGISTERED: {
            published.day: {**_figures(published), "location": registered[published.day]}
            for published in of(keys.REGISTERED)
        },
        keys.SCORED: _objects(platform.archive, f"{SCORECARD_PREFIX}/", scorecard_path, unknown[keys.SCORED]),
        # A range has the pages of its last day alone, as it has one mail.
        keys.SNAPSHOT: {day: facts for day, facts in sorted((sent | pages).items()) if day in unknown[keys.SNAPSHOT]},
        keys.SHOWN: {
            published.day: {
                **_figures(published),
                "dashboard": show.link(shown.location),
                "newest day shown": str(shown.newest_day),
            }
            for published in of(keys.SHOWN)
            if _is_shown(shown, platform.display.shown(published), days_shown)
        }
        if shown
        else {},
        keys.MAILED: {day: facts for day, facts in sent.items() if day in unknown[keys.MAILED]},
    }
    return facts_of, unreadable


def _objects(
    archive: Archive, prefix: str, path: Callable[[date], str], days: Collection[date]
) -> dict[date, dict[str, Any]]:
    """Those of the days that have their object."""
    existing = set(archive.list(prefix)) if days else set()
    return {day: {"path": path(day)} for day in sorted(days) if path(day) in existing}


def _described(archive: Archive, days: Sequence[date]) -> tuple[dict[date, PublishedDay], dict[date, str]]:
    def describe(day: date) -> PublishedDay | str | None:
        try:
            return archive.describe(day)
        except ArchiveError as error:  # one damaged day does not keep the others from being seen
            return str(error)

    with ThreadPoolExecutor(READERS) as readers:
        described = dict(zip(days, readers.map(describe, days), strict=True))
    return (
        {day: published for day, published in described.items() if isinstance(published, PublishedDay)},
        {day: published for day, published in described.items() if isinstance(published, str)},
    )


def _figures(published: PublishedDay) -> dict[str, Any]:
    facts = show.stored_day(published)
    return {
        name: facts[name]
        for name in ("dagster/partition_row_count", "total", show.EXACT_TOTAL, "currency", "cost basis")
    }


def _is_shown(shown: DashboardContent, published: PublishedDay, window: int) -> bool:
    """Whether the dashboard shows the day as it is archived, or is done with it, as it shows the newest days only."""
    if shown.newest_day is None or published.day > shown.newest_day:
        return False
    if shown.totals and published.day not in shown.totals:
        return len(shown.totals) >= window and published.day < min(shown.totals)
    return not shown_fault(shown, published)


def _report(instance: dg.DagsterInstance, materializations: Sequence[dg.AssetMaterialization]) -> None:
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
