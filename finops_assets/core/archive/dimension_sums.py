"""What each archived day costs by the values of its dimensions and OU: one object, so that each day is read once.

It is made again from the days where it is lost or damaged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from hashlib import sha256
from typing import TYPE_CHECKING

from finops_assets.core.archive.display import RATES
from finops_assets.core.errors import DamagedError
from finops_assets.core.schemas import DIMENSIONS, MONEY

if TYPE_CHECKING:
    import pyarrow as pa

    from finops_assets.core.ports import Archive
    from finops_assets.core.values import PublishedDay

SUMS_PATH = "_state/dimension_sums.parquet"
MOST_VALUES = 1000
"""Values of a dimension that a day keeps by name, the largest; a key with a value for each resource has more."""

MOST_DAYS = 1000
"""Days that are kept: the dashboard and scorecards ask for the same ones again, each for its own stretch."""

COLUMNS = ("billingdate", "dimension", "value", "ou", "cost")
FINGERPRINTS = b"finops.days"


def dimension_sums(archive: Archive, days: Mapping[date, PublishedDay]) -> pa.Table:
    """The costs of these days by dimension, value and OU; null is the value of what is too small to be named.

    Days without dimensions, or whose dimensions are damaged, have no rows.

    Args:
        archive: has the days, and keeps the sums.
        days: as the archive describes them; with other exchange rates, they are other days.
    """
    import pyarrow as pa

    wanted = {
        day: _id(f"{named}{of.metadata.get(RATES, '')}")
        for day, of in days.items()
        if (named := of.metadata.get(DIMENSIONS))
    }
    known, kept = _kept(archive)
    reused = {day: of for day, of in wanted.items() if known.get(day) == of}
    tables = [_of_days(kept, reused)] if reused else []
    made: dict[date, str] = dict(reused)
    for day in sorted(wanted.keys() - reused.keys()):
        try:
            rows = archive.dimensions(day, days[day].metadata[DIMENSIONS])
        except DamagedError:
            continue  # the state of the day says so
        tables.append(_sums(rows))
        made[day] = wanted[day]
    sums = pa.concat_tables(tables) if tables else _schema().empty_table()
    others = {day: of for day, of in known.items() if day not in days}
    together = dict(sorted((others | made).items())[-MOST_DAYS:])
    if together != known:
        _keep(archive, _of_days(pa.concat_tables([_of_days(kept, others), sums]), together), together)
    return sums


def keys_of(sums: pa.Table) -> dict[str, set[date]]:
    """Each dimension of these sums, and the days that have it."""
    days: dict[str, set[date]] = {}
    for row in sums.group_by(["dimension", "billingdate"]).aggregate([]).to_pylist():
        days.setdefault(row["dimension"], set()).add(row["billingdate"])
    return dict(sorted(days.items()))


def _schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [("billingdate", pa.date32()), *((name, pa.string()) for name in ("dimension", "value", "ou")), ("cost", MONEY)]
    )


def _sums(rows: pa.Table) -> pa.Table:
    """A day's rows without services and accounts; all but the largest values of a dimension as one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    keys = ["billingdate", "dimension", "value", "ou"]
    sums = rows.group_by(keys).aggregate([("cost", "sum")]).rename_columns(list(COLUMNS))
    sizes = sums.set_column(4, "cost", pc.abs(sums.column("cost"))).group_by(["dimension", "value"])
    ranked = sizes.aggregate([("cost", "sum")]).sort_by([("cost_sum", "descending"), ("value", "ascending")])
    left = dict.fromkeys(ranked.column("dimension").unique().to_pylist(), MOST_VALUES)
    small = set()
    for dimension, value in zip(*(ranked.column(name).to_pylist() for name in ("dimension", "value")), strict=True):
        left[dimension] -= 1
        if left[dimension] < 0:
            small.add((dimension, value))
    if small:
        names = zip(sums.column("dimension").to_pylist(), sums.column("value").to_pylist(), strict=True)
        values = pa.array([None if name in small else name[1] for name in names], pa.string())
        sums = sums.set_column(2, "value", values).group_by(keys).aggregate([("cost", "sum")])
    return sums.rename_columns(list(COLUMNS)).cast(_schema())


def _of_days(sums: pa.Table, days: Mapping[date, str]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    return sums.filter(pc.is_in(sums.column("billingdate"), pa.array(list(days), pa.date32())))


def _id(named: str) -> str:
    return sha256(named.encode()).hexdigest()[:16]


def _kept(archive: Archive) -> tuple[dict[date, str], pa.Table]:
    """The days that are kept, each with the id of its dimensions, and their sums; none of an object that is damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = archive.get(SUMS_PATH)
    if data is not None:
        try:
            table = pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False)
            table.validate(full=True)
            days = json.loads((table.schema.metadata or {})[FINGERPRINTS])
            bare = table.replace_schema_metadata()
            if bare.schema.equals(_schema()):
                return {date.fromisoformat(day): of for day, of in days.items()}, bare
        except (pa.ArrowException, OSError, ValueError, KeyError, AttributeError):
            pass
    return {}, _schema().empty_table()


def _keep(archive: Archive, sums: pa.Table, days: Mapping[date, str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = json.dumps({str(day): of for day, of in sorted(days.items())})
    sink = pa.BufferOutputStream()
    pq.write_table(sums.replace_schema_metadata({FINGERPRINTS: text.encode()}), sink, compression="snappy")
    archive.put(SUMS_PATH, sink.getvalue().to_pybytes())
