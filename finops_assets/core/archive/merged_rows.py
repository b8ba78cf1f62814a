"""The rows of several bills merged day by day: one row for each OU, service and account, in archive order, exact.

A day's fingerprint is then made of the merged rows, by the one rule (`core.archive.breakdown`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.archive.breakdown import whole_days
from finops_assets.core.bill.queries import DIMENSION_KEYS
from finops_assets.core.errors import ArchiveError
from finops_assets.core.schemas import CHARGES_OF_ROW, KEY_COLUMNS, MONEY

if TYPE_CHECKING:
    import pyarrow as pa

    from finops_assets.core.values import SourceDay

KEYS = ("billingdate", *KEY_COLUMNS)


def merged(
    streams: Mapping[str, Iterable[pa.RecordBatch]], source: Mapping[str, Mapping[date, SourceDay]] | None = None
) -> Iterator[pa.RecordBatch]:
    """The rows of all bills, ordered as those of each are: by day, OU, service and account.

    One day of each is in memory at a time.

    Args:
        streams: of `Warehouse.breakdown`, by the name of each bill.
        source: what each bill says of its days; the rows of each are proved by it. None proves nothing.

    Raises:
        ArchiveError: faults of two bills that would hide each other in the sum.
    """
    days = {name: whole_days(stream) for name, stream in streams.items()}
    current = {name: head for name, stream in days.items() if (head := next(stream, None))}
    while current:
        day = min(head[0] for head in current.values())
        parts = {name: head[1] for name, head in current.items() if head[0] == day}
        if source is not None:
            _refuse_hidden_faults(day, parts, source)
        yield from _merged_day(list(parts.values())).to_batches()
        for name in parts:
            head = next(days[name], None)
            if head:
                current[name] = head
            else:
                del current[name]


def _refuse_hidden_faults(
    day: date, parts: Mapping[str, pa.Table], source: Mapping[str, Mapping[date, SourceDay]]
) -> None:
    """Hold each bill's rows of a day to its own total; one fault alone shows in the sum, and is reported there."""
    wanted = {name: days[day].total for name, days in source.items() if day in days}
    rest = {
        name: (_total(parts[name]) if name in parts else Decimal()) - wanted.get(name, Decimal())
        for name in {*parts, *wanted}
    }
    faulty = sorted(name for name, difference in rest.items() if difference)
    if faulty and not sum(rest.values()):
        raise ArchiveError(
            f"{day}: the rows of the bills {' and '.join(faulty)} do not sum to their totals, though together they do",
            fix="This is a defect: report it.",
        )


def _total(part: pa.Table) -> Decimal:
    import pyarrow.compute as pc

    if DIMENSION_KEYS[0] in part.column_names:
        part = part.filter(pc.equal(part.column(DIMENSION_KEYS[0]), ""))
    return pc.sum(part.column("cost")).as_py() or Decimal()


def _merged_day(parts: Sequence[pa.Table]) -> pa.Table:
    """The rows of one day; what an account's service costs in several bills is summed exactly."""
    if len(parts) == 1:
        return parts[0]
    import pyarrow as pa
    import pyarrow.compute as pc

    keys = (*KEYS, *(DIMENSION_KEYS if DIMENSION_KEYS[0] in parts[0].column_names else ()))
    names = (*keys, "dailycost", "cost", *CHARGES_OF_ROW)
    rows = pa.concat_tables([part.select(names) for part in parts], promote_options="permissive")
    whole = pc.ScalarAggregateOptions(skip_nulls=False)  # what one bill does not tell is not told of the sum
    sums = rows.group_by(list(keys)).aggregate(
        [
            ("cost", "sum"),
            ("dailycost", "sum"),
            ("cost", "count"),
            *((name, "sum", whole) for name in CHARGES_OF_ROW),
        ]
    )
    cost = sums.column("cost_sum").cast(MONEY)
    # A row of one bill keeps the engine's double. Of a sum, Python's is the nearest one; Arrow's may be one unit off.
    several = pc.greater(sums.column("cost_count"), 1).to_pylist()
    exact = [
        float(total.as_py()) if is_sum else double
        for total, is_sum, double in zip(cost, several, sums.column("dailycost_sum").to_pylist(), strict=True)
    ]
    table = pa.table(
        {
            **{key: sums.column(key) for key in keys},
            "dailycost": pa.array(exact, pa.float64()),
            "cost": cost,
            **{name: sums.column(f"{name}_sum").cast(MONEY) for name in CHARGES_OF_ROW},
        }
    )
    order = ("billingdate", *keys[len(KEYS) : len(KEYS) + 1], *keys[1 : len(KEYS)], *keys[len(KEYS) + 1 :])
    return table.sort_by([(key, "ascending") for key in order]).combine_chunks()
