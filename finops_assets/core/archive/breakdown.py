"""From a stream of rows to whole days: split by day, summed, fingerprinted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.archive.account_dimensions import account_dimensions
from finops_assets.core.errors import ArchiveError
from finops_assets.core.schemas import (
    CHARGES_OF_ROW,
    DIMENSION_BREAKDOWN,
    KEY_COLUMNS,
    MAY_BE_UNKNOWN,
    MONEY,
    OU_BREAKDOWN,
    OU_CHARGES,
    UNASSIGNED,
)
from finops_assets.core.values import DayPrint, DayRows

if TYPE_CHECKING:
    import pyarrow as pa


def split_by_day(
    batches: Iterable[pa.RecordBatch], empty: Iterable[date] = (), accounts: pa.Table | None = None
) -> Iterator[DayRows]:
    """One DayRows for each day of a stream that is ordered by day, gathering one day at a time.

    Args:
        batches: the stream.
        empty: days that it has no rows of; they come last, without rows.
        accounts: the account map, whose further columns are dimensions, too.

    Raises:
        ArchiveError: the stream goes back to an earlier day: a day would be published in two halves.
    """
    import pyarrow as pa

    current: date | None = None
    pending: list[pa.RecordBatch] = []
    for batch in batches:
        for day, piece in day_slices(batch):
            if current is not None and day < current:
                raise ArchiveError(f"rows of {day} came after {current}", fix="This is a defect: report it.")
            if current is not None and day != current:
                yield _day_rows(current, pa.Table.from_batches(pending), accounts)
                pending = []
            current = day
            pending.append(piece)
    if current is not None:
        yield _day_rows(current, pa.Table.from_batches(pending), accounts)
    for day in empty:
        columns = [*OU_BREAKDOWN, pa.field("cost", MONEY), *(OU_CHARGES.field(name) for name in CHARGES_OF_ROW)]
        yield _day_rows(day, pa.schema(columns).empty_table(), None)


def prints(batches: Iterable[pa.RecordBatch]) -> dict[date, DayPrint]:
    """The days of a stream that is ordered by day, without their rows."""
    return {
        of.day: DayPrint(of.fingerprint, of.total, of.rows.num_rows, of.charges_fingerprint, of.dimension_prints)
        for of in split_by_day(batches)
    }


def day_prints(rows: Iterable[Sequence]) -> dict[date, DayPrint]:
    """The days of `core.bill.queries.fingerprints_sql`.

    Args:
        rows: day, fingerprint, total, number of rows, fingerprint of the charges, and maybe the key of a dimension.
    """
    prints: dict[date, DayPrint] = {}
    dimensions: dict[date, dict[str, str]] = {}
    for day, of, total, count, charges, *key in rows:
        by_key = dimensions.setdefault(day, {})
        if any(key):
            by_key[key[0]] = of
        else:
            prints[day] = DayPrint(of, total, count, charges, by_key)
    return prints


def day_slices(batch: pa.RecordBatch) -> Iterator[tuple[date, pa.RecordBatch]]:
    """The pieces of a batch that are of one day each, in its order."""
    import pyarrow.compute as pc

    if not batch.num_rows:
        return
    runs = pc.run_end_encode(batch.column(0))
    start = 0
    for day, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
        yield day, batch.slice(start, end - start)
        start = end


def whole_days(stream: Iterable[pa.RecordBatch]) -> Iterator[tuple[date, pa.Table]]:
    """A stream that is ordered by day, as one table a day."""
    import pyarrow as pa

    current: date | None = None
    pending: list[pa.RecordBatch] = []
    for batch in stream:
        for day, piece in day_slices(batch):
            if current is not None and day != current:
                yield current, pa.Table.from_batches(pending)
                pending = []
            current = day
            pending.append(piece)
    if current is not None:
        yield current, pa.Table.from_batches(pending)


def _day_rows(day: date, table: pa.Table, accounts: pa.Table | None) -> DayRows:
    import pyarrow.compute as pc

    dimensions = None
    if "dimension" in table.column_names:
        of_day = pc.equal(table.column("dimension"), "")
        table, dimensions = table.filter(of_day), table.filter(pc.invert(of_day)).select(DIMENSION_BREAKDOWN.names)
    if accounts is not None:
        dimensions = account_dimensions(day, table, accounts, dimensions)
    if dimensions is not None:
        dimensions = dimensions.cast(DIMENSION_BREAKDOWN).combine_chunks()
    cost = table.column("cost")
    unassigned = table.filter(pc.equal(table.column("ou"), UNASSIGNED)).column("cost")
    charges = _charges(table) if CHARGES_OF_ROW[0] in table.column_names else None
    return DayRows(
        day=day,
        rows=table.select(OU_BREAKDOWN.names).combine_chunks(),
        total=pc.sum(cost).as_py() or Decimal(),
        unassigned=pc.sum(unassigned).as_py() or Decimal(),
        fingerprint=fingerprint(table),
        charges=charges,
        charges_fingerprint=charges_fingerprint(charges) if charges else "",
        dimensions=dimensions,
        dimension_prints=dimension_prints(dimensions) if dimensions else {},
    )


def _charges(table: pa.Table) -> pa.Table:
    """A day's charges; a column that is not known on one row is not on any: its sum would be a wrong number."""
    import pyarrow as pa

    columns = {name: table.column(name) for name in OU_CHARGES.names}
    for name in MAY_BE_UNKNOWN:
        if columns[name].null_count:
            columns[name] = pa.chunked_array([pa.nulls(table.num_rows, MONEY)])
    return pa.table(columns).cast(OU_CHARGES).combine_chunks()


def fingerprint(table: pa.Table) -> str:
    """An id of a day's rows and exact costs: it changes if and only if a row does.

    The same on every platform and library version, as it is made of text: CSV of the rows in archive order, with costs
    in units of the twelfth decimal. `core.bill.queries.fingerprints_sql` has an engine make the same.
    """
    return _fingerprint(table, ("cost",))


def charges_fingerprint(charges: pa.Table) -> str:
    """An id of a day's charges, made as that of its rows; it can be made again of the object, whose costs are exact.

    Args:
        charges: in the OU_CHARGES schema.
    """
    return _fingerprint(charges, CHARGES_OF_ROW)


def dimension_prints(dimensions: pa.Table) -> dict[str, str]:
    """An id of the values of each dimension of a day, made as that of its rows.

    Args:
        dimensions: in the DIMENSION_BREAKDOWN schema, the rows of each dimension one after the other.
    """
    import pyarrow.compute as pc

    if not dimensions.num_rows:
        return {}
    runs = pc.run_end_encode(dimensions.column("dimension").combine_chunks())
    prints, start = {}, 0
    for key, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
        prints[key] = _fingerprint(dimensions.slice(start, end - start), ("cost",), (*KEY_COLUMNS, "value"))
        start = end
    return prints


def _fingerprint(table: pa.Table, amounts: Sequence[str], keys: Sequence[str] = KEY_COLUMNS) -> str:
    import pyarrow as pa
    import pyarrow.csv as pacsv

    columns = {name: table.column(name) for name in keys}
    for name in amounts:
        cost = table.column(name).cast(MONEY)
        columns[name] = pa.chunked_array(
            [chunk.view(pa.decimal128(MONEY.precision, 0)) for chunk in cost.chunks], pa.decimal128(MONEY.precision, 0)
        )
    sink = pa.BufferOutputStream()
    pacsv.write_csv(pa.table(columns), sink, pacsv.WriteOptions(include_header=False))
    return hashlib.sha256(sink.getvalue()).hexdigest()


def largest(rows: pa.Table, count: int) -> list[dict]:
    """The day's rows of the highest cost, for people to look at."""
    import pyarrow.compute as pc

    chosen = pc.select_k_unstable(rows, count, [("dailycost", "descending")])
    return rows.select([*KEY_COLUMNS, "dailycost"]).take(chosen).to_pylist()


def unknown_accounts(rows: pa.Table) -> dict[str, float]:
    """Linked account -> cost of the day, of the accounts that the map does not know; the most expensive first."""
    import pyarrow.compute as pc

    unknown = rows.filter(pc.equal(rows.column("ou"), UNASSIGNED))
    sums = unknown.group_by("linkedaccount").aggregate([("dailycost", "sum")]).to_pylist()
    costs = {row["linkedaccount"]: row["dailycost_sum"] for row in sums}
    return dict(sorted(costs.items(), key=lambda item: (-abs(item[1]), item[0])))
