"""A day's Savings Plans and reservations as an object of the archive, put before the rows as the charges are.

A day on which the bill names none, or does not tell what they cost amortized, has no object.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.archive.breakdown import whole_days
from finops_assets.core.archive.content_hash import commitments_hash
from finops_assets.core.archive.day_parts import DayPart
from finops_assets.core.money import plain
from finops_assets.core.schemas import (
    COMMITMENTS,
    COMMITMENTS_PREFIX,
    COMMITTED,
    MONEY,
    ON_DEMAND,
    UNASSIGNED,
    commitments_path,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from finops_assets.core.values import DayRows, SourceDay

ORDER = ("commitmentid", "kind", "ou", "linkedaccount")
MAY_BE_NULL = ("ondemandcost", "expires")
NOT_ON_DEMAND = ("committedcost", "unusedcommitment", "taxcost", "creditcost", "refundcost", "adjustmentcost")
"""Columns of OU_CHARGES that are no part of what usage costs without a commitment."""


def _is_known(commitments: pa.Table) -> bool:
    return not any(commitments.column(n).null_count for n in commitments.column_names if n not in MAY_BE_NULL)


COMMITMENTS_PART = DayPart(
    COMMITTED,
    "commitments",
    "commitments",
    COMMITMENTS,
    COMMITMENTS_PREFIX,
    commitments_path,
    commitments_hash,
    _is_known,
)


class CommitmentsByDay:
    """The commitments of a stream that is ordered by day, a day in memory at a time.

    Args:
        batches: of `Warehouse.commitments`.
    """

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self._days = whole_days(batches)
        self._head = next(self._days, None)

    def of(self, day: date) -> pa.Table | None:
        """Those of a day; None where it has none. Days are asked for in ascending order; an earlier one has none."""
        while self._head and self._head[0] < day:
            self._head = next(self._days, None)
        return self._head[1] if self._head and self._head[0] == day else None


def with_commitments(day: DayRows, sums: pa.Table | None) -> DayRows:
    """A day with its commitments, each by the OU of its account on the day.

    Args:
        day: the day; its rows have each account that the bill names on it.
        sums: the columns of `core.bill.commitments.commitments_sql`; None where there are none.
    """
    import pyarrow as pa

    charges = day.charges
    if sums is None or charges is None or charges.column("committedcost").null_count:
        return day
    of_account = dict(zip(day.rows.column("linkedaccount").to_pylist(), day.rows.column("ou").to_pylist(), strict=True))
    ous = [of_account.get(account, UNASSIGNED) for account in sums.column("linkedaccount").to_pylist()]
    named = pa.table({n: ous if n == "ou" else sums.column(n) for n in COMMITMENTS.names}).cast(COMMITMENTS)
    table = pa.concat_tables([named, _on_demand(charges)]).sort_by([(name, "ascending") for name in ORDER])
    table = table.combine_chunks()
    return replace(day, commitments=table, commitments_fingerprint=_fingerprint(table))


def _on_demand(charges: pa.Table) -> pa.Table:
    """By account, what usage costs that no commitment covers, of the services in which one covers anything.

    It is the amortized cost of these rows without commitments, tax, credits, refunds and adjustments. Purchases are
    fees of commitments there, which are amortized in their use.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    covers = pc.not_equal(charges.column("committedcost"), pa.scalar(Decimal(), MONEY))
    services = charges.filter(covers).column("service").unique()
    rows = charges.filter(pc.is_in(charges.column("service"), services))
    amounts = [(name, "sum") for name in ("effectivecost", *NOT_ON_DEMAND)]
    sums = rows.group_by(["ou", "linkedaccount"]).aggregate(amounts).to_pylist()
    own = {"billingdate": charges.column("billingdate")[0].as_py(), "commitmentid": "", "kind": ON_DEMAND}
    own |= dict.fromkeys(("committedcost", "usedcost", "unusedcost"), Decimal())
    return pa.Table.from_pylist(
        [
            own
            | {"ou": of["ou"], "linkedaccount": of["linkedaccount"]}
            | {"ondemandcost": of["effectivecost_sum"] - sum(of[f"{name}_sum"] for name in NOT_ON_DEMAND)}
            for of in sums
        ],
        COMMITMENTS,
    )


def commitments_fault(day: DayRows, source: SourceDay | None) -> str:  # noqa: ARG001
    """How a day's commitments are not its charges; empty where they are.

    What is used of all commitments, and what is not, is what the charges say: sums of the bill that know no commitment.
    """
    import pyarrow.compute as pc

    commitments, charges = day.commitments, day.charges
    if commitments is None or charges is None:
        return ""

    def total(table: pa.Table, name: str) -> Decimal:
        return pc.sum(table.column(name)).as_py() or Decimal()

    used, unused, whole = (total(commitments, name) for name in ("usedcost", "unusedcost", "committedcost"))
    covered, idle = total(charges, "committedcost"), total(charges, "unusedcommitment")
    if (used, unused) != (covered, idle):
        return (
            f"commitments are used for {plain(used)} and not for {plain(unused)}, the charges say "
            f"{plain(covered)} and {plain(idle)}"
        )
    return "" if whole == used + unused else f"what is used and what is not do not sum to {plain(whole)}"


def _fingerprint(commitments: pa.Table) -> str:
    """An id of a day's commitments: it changes if and only if a row does."""
    import pyarrow as pa
    import pyarrow.csv as pacsv

    sink = pa.BufferOutputStream()
    pacsv.write_csv(commitments, sink, pacsv.WriteOptions(include_header=False))
    return hashlib.sha256(sink.getvalue()).hexdigest()
