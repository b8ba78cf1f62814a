"""What of archived days' costs is scheduled, and no usage: fees, tax, credits, refunds and other longer charges.

It is read of a day's charges (`core.archive.day_charges`). Few rows have any, but for firsts of a month: so they are
kept as a list of amounts, each with its row and its kind, beside the day's costs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.archive.day_charges import named_charges
from finops_assets.core.archive.day_costs import exact_parts
from finops_assets.core.bill.charge_kinds import NO_CATEGORY
from finops_assets.core.money import PLACES

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from finops_assets.core.archive.day_costs import KeyIndex
    from finops_assets.core.values import PublishedDay

FEE, TAX, CREDIT, REFUND, OTHER = KINDS = ("fee", "tax", "credit", "refund", "other")
"""Of scheduled charges; `other` are charges for longer than a day that are none of these, and corrections."""

COLUMNS = {FEE: "purchasecost", TAX: "taxcost", CREDIT: "creditcost", REFUND: "refundcost"}
"""The column of OU_CHARGES of each kind; what else `scheduledcost` has is of the last one."""

ScheduledKey = tuple[str, str, str]
"""OU path, service and kind."""


@dataclass(frozen=True)
class ScheduledCosts:
    """The scheduled part of a day's rows.

    Attributes:
        rows: positions among the day's rows; one may stand several times.
        kinds: of each amount, its kind by the position in KINDS.
        amounts: doubles that stand for decimals (`core.money.from_double`).
    """

    rows: np.ndarray
    kinds: np.ndarray
    amounts: np.ndarray

    @classmethod
    def none(cls) -> ScheduledCosts:
        """Of a day on which nothing is scheduled."""
        import numpy as np

        return cls(np.empty(0, np.int32), np.empty(0, np.int8), np.empty(0))

    def usage(self, costs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rows that have scheduled amounts, and what each costs without them, as doubles that stand for decimals.

        Args:
            costs: of all rows of the day.
        """
        import numpy as np

        rows, position = np.unique(self.rows, return_inverse=True)
        units, picos = exact_parts(costs[rows])
        for total, parts in zip((units, picos), exact_parts(self.amounts), strict=True):
            np.subtract.at(total, position, parts)
        units, picos = units + picos // 10**PLACES, picos % 10**PLACES
        return rows, units + picos / 10.0**PLACES

    def sums(self, keys: np.ndarray, index: KeyIndex) -> dict[ScheduledKey, Decimal]:
        """The exact amount by OU, service and kind.

        Args:
            keys: of all rows of the day.
            index: names them.
        """
        import numpy as np

        if not len(self.rows):
            return {}
        codes = index.codes(keys[self.rows])[:, :2]
        groups, position = np.unique(np.column_stack([codes, self.kinds.astype(np.int64)]), axis=0, return_inverse=True)
        sums = [np.zeros(len(groups), dtype=np.int64) for _ in range(2)]
        for total, parts in zip(sums, exact_parts(self.amounts), strict=True):
            np.add.at(total, position.reshape(-1), parts)
        ous, services, _ = index.names()
        units, picos = (total.tolist() for total in sums)
        return {
            (ous[ou], services[service], KINDS[kind]): Decimal(units[n]) + Decimal(picos[n]).scaleb(-PLACES)
            for n, (ou, service, kind) in enumerate(groups.tolist())
        }


def tells_kinds(published: PublishedDay) -> bool:
    """Whether a day says what its money is: it has charges, of bills that all have categories, or no rows at all."""
    if not published.rows:
        return True
    categories: Mapping[str, str] = json.loads(published.metadata.get("by_category", "{}"))
    return bool(named_charges(published.metadata)) and bool(categories) and NO_CATEGORY not in categories


def scheduled_costs(charges: pa.Table) -> ScheduledCosts:
    """The scheduled part of a day's rows, of its charges in the OU_CHARGES schema, a row for each."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    zero = pa.scalar(Decimal(), charges.schema.field("scheduledcost").type)
    some = np.flatnonzero(
        pc.or_(
            pc.not_equal(charges.column("scheduledcost"), zero),
            pc.or_(  # a refund may undo a fee of the same row
                pc.or_(*(pc.not_equal(charges.column(COLUMNS[kind]), zero) for kind in (FEE, TAX))),
                pc.or_(*(pc.not_equal(charges.column(COLUMNS[kind]), zero) for kind in (CREDIT, REFUND))),
            ),
        ).to_numpy(zero_copy_only=False)
    )
    if not len(some):
        return ScheduledCosts.none()
    of = charges.take(pa.array(some))
    amounts = {kind: of.column(name).to_pylist() for kind, name in COLUMNS.items()}
    totals = of.column("scheduledcost").to_pylist()
    amounts[OTHER] = [total - sum(parts) for total, *parts in zip(totals, *amounts.values(), strict=True)]
    parts = [
        (row, number, float(amount))
        for number, kind in enumerate(KINDS)
        for row, amount in zip(some.tolist(), amounts[kind], strict=True)
        if amount
    ]
    rows, kinds, values = zip(*parts, strict=True)
    return ScheduledCosts(np.array(rows, np.int32), np.array(kinds, np.int8), np.array(values))


def to_table(days: Iterable[tuple[date, np.ndarray, ScheduledCosts]]) -> pa.Table:
    """A month's scheduled amounts for `from_table`; of each day, the place of each row among the month's keys.

    The metadata has the days that tell their kinds, whether anything is scheduled on them or not.
    """
    import numpy as np
    import pyarrow as pa

    known = list(days)
    of_day = [np.full(len(of.rows), day.day, np.int8) for day, _, of in known]
    columns = {
        "day": (of_day, np.int8),
        "key": ([places[of.rows] for _, places, of in known], np.int32),
        "kind": ([of.kinds for *_, of in known], np.int8),
        "amount": ([of.amounts for *_, of in known], np.float64),
    }
    table = pa.table(
        {name: pa.array(np.concatenate([np.empty(0, kind), *parts])) for name, (parts, kind) in columns.items()}
    )
    return table.replace_schema_metadata({b"days": json.dumps([day.isoformat() for day, *_ in known]).encode()})


def from_table(table: pa.Table) -> dict[date, ScheduledCosts]:
    """What `to_table` has written, by day: `rows` are places among the month's keys."""
    import numpy as np

    day, key, kind, amount = (table.column(name).to_numpy() for name in ("day", "key", "kind", "amount"))
    days = [date.fromisoformat(text) for text in json.loads(table.schema.metadata[b"days"])]
    starts = {each: np.searchsorted(day, [each.day, each.day + 1]) for each in days}
    return {each: ScheduledCosts(*(of[slice(*starts[each])] for of in (key, kind, amount))) for each in days}
