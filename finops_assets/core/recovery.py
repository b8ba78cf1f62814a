"""Bringing an earlier version of a day back: proved to be a whole object of that day, then published as the newest one.

The archive's part of `finops restore`. The version stays where it is; what it replaces stays as a version too. A day
that was restored says so of itself, and is held: only somebody who runs it by name replaces it by the bill's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core import breakdown, restatements
from finops_assets.core.errors import ArchiveError, DamagedError
from finops_assets.core.pipeline import HALF_A_CENT
from finops_assets.core.ports import DayRows, PublishedDay
from finops_assets.core.schemas import MONEY, OU_BREAKDOWN, RESTORED_AT, RESTORED_FROM, day_path

if TYPE_CHECKING:
    from finops_assets.core.ports import Archive


def restore_day(archive: Archive, day: date, version: str, now: datetime) -> PublishedDay:
    """Publish a version of the day again; nothing is changed where it is current, or was restored before.

    Its rows and what it says of itself stay as they were, with `restored_from` and `restored_at` beside.

    Args:
        archive: where the day is.
        day: which.
        version: an id of `archive.versions`.
        now: when it is restored (aware).

    Raises:
        ArchiveError: there is no such version, or it is not a whole day that could be published.
    """
    known = {found.id: found for found in archive.versions(day)}
    data = archive.read_version(day, version)
    chosen = known[version]
    if chosen.current and (there := archive.describe(day)):
        return replace(there, changed=False)
    rows = whole_day(data, day, chosen.metadata, version)
    facts = {**chosen.metadata, RESTORED_FROM: version, RESTORED_AT: now.astimezone(UTC).isoformat()}

    def enter(before: PublishedDay) -> None:
        if (before.currency, before.cost_basis) == (facts["currency"], facts["cost_basis"]):
            restatements.record(archive, before, rows, at=now, source_export=f"version {version}", run_id="restored")

    return archive.publish(rows, facts, enter)


def whole_day(data: bytes, day: date, said: Mapping[str, str], version: str) -> DayRows:
    """The rows of a version, if it is a whole object of that day in today's schema, and sums to its own total.

    Args:
        data: the Parquet object.
        day: the day that it must be of.
        said: what the object says of itself; nothing where that could not be read.
        version: its id, for the error.

    Raises:
        DamagedError: it cannot be read, or is not what it says.
        ArchiveError: it is another day's, or of another schema.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    def refusal(fault: str, kind: type[ArchiveError] = DamagedError) -> ArchiveError:
        other = f"Choose another one: `finops restore {day}` lists them."
        return kind(f"version {version} {fault}, and is not restored", where=day_path(day), fix=other)

    if not said:
        raise refusal("is damaged, or was not written by finops_assets")
    if said.get("day", str(day)) != str(day):
        raise refusal(f"is of {said['day']}", ArchiveError)
    try:
        rows = pq.ParquetFile(pa.BufferReader(data)).read().replace_schema_metadata()
    except (pa.ArrowInvalid, OSError) as error:
        raise refusal(f"is damaged ({str(error).splitlines()[0]})") from None
    if not rows.schema.equals(OU_BREAKDOWN):
        raise refusal(f"has the columns {', '.join(f'{f.name} {f.type}' for f in rows.schema)}", ArchiveError)
    if not rows.num_rows or rows.num_rows != int(said["rows"]):
        raise refusal(f"has {rows.num_rows:,} rows, and says {int(said['rows']):,}")
    others = [str(found) for found in pc.unique(rows.column("billingdate")).to_pylist() if found != day]
    if others:
        raise refusal(f"has rows of {', '.join(others[:3])}", ArchiveError)
    whole = DayRows(
        day=day,
        rows=rows,
        total=Decimal(said["total"]),
        unassigned=Decimal(said.get("unassigned", "0")),
        fingerprint=said["fingerprint"],
    )
    found = breakdown.faults(whole, None)  # of the bill that it was proved against, only the total is left
    broken = [found[promise] for promise in (breakdown.SCHEMA, breakdown.KEYS) if promise in found]
    if broken:
        raise refusal(f"is damaged ({'; '.join(broken)})")
    try:
        total = pc.sum(rows.column("dailycost").cast(MONEY)).as_py()
    except pa.ArrowInvalid as error:  # a cost that is no amount of money
        raise refusal(f"is damaged ({error})") from None
    if abs(total - whole.total) >= HALF_A_CENT:
        raise refusal(f"is damaged: its rows sum to {total}, and it says {whole.total}")
    return whole
