"""The ledger of restatements: what each rewriting of a day has changed, row by row, as a queryable table.

One small object for each rewriting, `restatements/2025-09-10_<old>-<version>_<new>.parquet`, named after the
fingerprints of the day before and after, and the version that was replaced: writing it again gives the same object. It
is written before the day itself, so that every change is recorded; what a killed run recorded and did not publish is
replaced by the next rewriting of the same version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pyarrow as pa

from finops_assets.core.money import from_double
from finops_assets.core.notes import read_note, table_note
from finops_assets.core.schemas import MONEY

if TYPE_CHECKING:
    from finops_assets.core.ports import Archive
    from finops_assets.core.values import DayRows, PublishedDay

RESTATEMENTS_PREFIX = "restatements"

RESTATEMENTS = pa.schema(
    [
        pa.field("billingdate", pa.date32()),
        pa.field("ou", pa.string()),
        pa.field("service", pa.string()),
        pa.field("linkedaccount", pa.string()),
        pa.field("oldcost", MONEY),
        pa.field("newcost", MONEY),
        pa.field("delta", MONEY),
        pa.field("currency", pa.string()),
        pa.field("costbasis", pa.string()),
        pa.field("firstseen", pa.timestamp("ms")),
        pa.field("sourceexport", pa.string()),
        pa.field("runid", pa.string()),
    ]
)
"""One row per OU, service and linked account of a day whose cost was changed; firstseen in UTC."""


@dataclass(frozen=True)
class Restatement:
    """A day's total before and after a rewriting, exact, in the billing currency."""

    day: date
    old: Decimal
    new: Decimal

    @property
    def delta(self) -> Decimal:
        return self.new - self.old

    def exceeds(self, percent: float, amount: float = 0.0) -> bool:
        """Whether the move is over this share of what it was, and of at least this amount."""
        moved = abs(self.delta)
        return moved > 0 and moved >= Decimal(str(amount)) and moved * 100 > abs(self.old) * Decimal(str(percent))


def record(
    archive: Archive,
    before: PublishedDay,
    after: DayRows,
    *,
    at: datetime,
    source_export: str,
    run_id: str,
    currency_of: Callable[[str], str] | None = None,
) -> int:
    """Enter what the rewriting of a day changes; returns how many rows of it do.

    Args:
        archive: holds the day as it was, and the ledger.
        before: the day as it is published.
        after: the day as it will be.
        at: when the change was first seen (aware).
        source_export: the id of the bill that the new rows come from.
        run_id: the Dagster run.
        currency_of: gives the currency of an account, where the day has several; by default the day's own.
    """
    import pyarrow.parquet as pq

    rows = differences(archive.read([before.day]), after.rows)
    # A day that comes back to what it was is another version of it: what was entered of the first one stays.
    version = hashlib.sha256(before.version.encode()).hexdigest()[:8]
    name = f"{RESTATEMENTS_PREFIX}/{before.day}_{before.fingerprint[:16]}-{version}_"
    path = f"{name}{after.fingerprint[:16]}.parquet"
    never_published = [other for other in archive.list(f"{RESTATEMENTS_PREFIX}/") if other.startswith(name)]
    if rows:
        facts = {
            "costbasis": before.cost_basis,
            "firstseen": at.replace(tzinfo=None),
            "sourceexport": source_export,
            "runid": run_id,
        }
        sink = pa.BufferOutputStream()
        unit = currency_of or (lambda _: before.currency)
        entries = [{"billingdate": before.day, **row, "currency": unit(row["linkedaccount"]), **facts} for row in rows]
        table = pa.Table.from_pylist(entries, RESTATEMENTS)
        pq.write_table(table, sink, compression="snappy")
        if path not in never_published:  # when it was first seen stays as it is
            archive.put(path, sink.getvalue().to_pybytes())
    archive.delete([other for other in never_published if other != path])
    return len(rows)


def differences(old: pa.Table, new: pa.Table) -> list[dict]:
    """The rows whose cost differs: ou, service, linkedaccount, oldcost, newcost, delta; a row that is not there is 0.

    Costs are compared as they are archived, as doubles: a row that is written again as it was differs in nothing.
    """
    keys = ["ou", "service", "linkedaccount"]
    sides = [table.select([*keys, "dailycost"]) for table in (old, new)]
    both = sides[0].join(sides[1], keys, join_type="full outer", left_suffix="_old", right_suffix="_new")
    changed = []
    for row in both.to_pylist():
        was, is_ = row["dailycost_old"] or 0.0, row["dailycost_new"] or 0.0
        if was != is_:
            oldcost, newcost = from_double(was), from_double(is_)
            costs = {"oldcost": oldcost, "newcost": newcost, "delta": newcost - oldcost}
            changed.append({**{key: row[key] for key in keys}, **costs})
    return sorted(changed, key=lambda row: tuple(row[key] for key in keys))


def days(archive: Archive) -> set[date]:
    """The days that the ledger has an entry of, by one listing."""
    names = (path.split("/")[-1] for path in archive.list(f"{RESTATEMENTS_PREFIX}/"))
    return {date.fromisoformat(name[:10]) for name in names}


def read(archive: Archive, days: Sequence[date] | None = None) -> pa.Table:
    """The ledger's rows, of these days or of all; a damaged object of it is put aside."""
    wanted = None if days is None else {str(day) for day in days}
    nothing = RESTATEMENTS.empty_table()
    tables = [
        read_note(archive, path, table_note(RESTATEMENTS, "a restatement", path), nothing)
        for path in archive.list(f"{RESTATEMENTS_PREFIX}/")
        if wanted is None or path.split("/")[-1][:10] in wanted
    ]
    return pa.concat_tables([nothing, *tables])
