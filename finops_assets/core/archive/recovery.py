"""Restoring an earlier version of a day: it is proved to be a complete object of that day, then published again.

The archive's part of `finops restore`. The version stays where it is; what it replaces becomes a version too. A
restored day has that in its metadata, and is held: only a run of that day by name replaces it with the bill's.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from finops_assets.core.archive import proof, restatements
from finops_assets.core.archive.day_charges import CHARGES_PART
from finops_assets.core.archive.day_commitments import COMMITMENTS_PART
from finops_assets.core.archive.day_currencies import currency_of_account, parts_of
from finops_assets.core.archive.day_dimensions import DIMENSIONS_PART
from finops_assets.core.errors import DamagedError
from finops_assets.core.schemas import CHARGES, COMMITTED, DIMENSIONS, RESTORED_AT, RESTORED_FROM
from finops_assets.core.values import DayRows, PublishedDay

if TYPE_CHECKING:
    from finops_assets.core.ports import Archive


def restore_day(archive: Archive, day: date, version: str, now: datetime) -> PublishedDay:
    """Publish a version of the day again; nothing is changed where it is current, or was restored before.

    Its rows, charges, dimensions, commitments and metadata stay as they were; `restored_from` and `restored_at` are
    added. Where one of these parts is not kept, the day is published without, as one of a release that had none.

    Args:
        archive: where the day is.
        day: which.
        version: an id of `archive.versions`.
        now: when it is restored (aware).

    Raises:
        ArchiveError: there is no such version, or it is not a complete day.
    """
    known = {kept.id: kept for kept in archive.versions(day)}
    rows = whole_day(archive.read_version(day, version), day, version)
    chosen = known[version]
    if chosen.current and (published := archive.describe(day)):
        return replace(published, changed=False)
    facts = {**chosen.metadata, RESTORED_FROM: version, RESTORED_AT: now.astimezone(UTC).isoformat()}
    fingerprint = facts.pop(CHARGES, "")
    if fingerprint and (charges := archive.kept_part(CHARGES_PART, day, fingerprint)):
        rows = replace(rows, charges=charges, charges_fingerprint=fingerprint)
    named = facts.pop(DIMENSIONS, "")
    if named and (dimensions := archive.kept_part(DIMENSIONS_PART, day, named)):
        rows = replace(rows, dimensions=dimensions, dimension_prints=json.loads(named))
    fingerprint = facts.pop(COMMITTED, "")
    if fingerprint and (commitments := archive.kept_part(COMMITMENTS_PART, day, fingerprint)):
        rows = replace(rows, commitments=commitments, commitments_fingerprint=fingerprint)

    def record_change(before: PublishedDay) -> None:
        if (before.currency, before.cost_basis) == (facts["currency"], facts["cost_basis"]):
            parts = parts_of(before.currency, {**before.metadata, **facts})
            restatements.record(
                archive,
                before,
                rows,
                at=now,
                source_export=f"version {version}",
                run_id="restored",
                currency_of=lambda account: currency_of_account(parts, account),
            )

    return archive.publish(rows, facts, record_change)


def whole_day(data: bytes, day: date, version: str) -> DayRows:
    """The rows of a version, proved to be a complete object of that day with the rows that were written.

    Args:
        data: the Parquet object.
        day: the day that it must be of.
        version: its id, for the error.

    Raises:
        DamagedError: it cannot be proved.
    """
    try:
        return proof.prove(data, day).as_written()
    except DamagedError as error:
        raise DamagedError(
            f"version {version} {error.what}, and is not restored",
            where=error.where,
            fix=f"Choose another one: `finops restore {day}` lists them.",
        ) from None
