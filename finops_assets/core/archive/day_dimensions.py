"""A day's dimensions as an object of the archive: what its rows cost by tag, cost category or account attribute.

The object is put before the breakdown, as the charges are (`core.archive.day_parts`). The breakdown names the keys,
each with the fingerprint of its values. A day without rows has no object.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.archive.content_hash import dimensions_hash
from finops_assets.core.archive.day_charges import exact_costs, summed
from finops_assets.core.archive.day_parts import DayPart
from finops_assets.core.money import plain
from finops_assets.core.schemas import DIMENSION_BREAKDOWN, DIMENSIONS, DIMENSIONS_PREFIX, dimensions_path

if TYPE_CHECKING:
    import pyarrow as pa

    from finops_assets.core.values import DayRows, PublishedDay, SourceDay


def _has_no_null(dimensions: pa.Table) -> bool:
    return not any(column.null_count for column in dimensions.columns)


DIMENSIONS_PART = DayPart(
    DIMENSIONS,
    "dimensions",
    "dimension_breakdown",
    DIMENSION_BREAKDOWN,
    DIMENSIONS_PREFIX,
    dimensions_path,
    dimensions_hash,
    _has_no_null,
)


def as_named(prints: Mapping[str, str]) -> str:
    """The dimensions of a day as its breakdown names them; empty where it has none."""
    return json.dumps(dict(sorted(prints.items())), ensure_ascii=False) if prints else ""


def named_dimensions(footer: Mapping[str, str]) -> dict[str, str]:
    """The keys of a day's dimensions, each with the fingerprint of its values; none of a day without."""
    return json.loads(DIMENSIONS_PART.named(footer) or "{}")


def other_dimensions(in_bill: Mapping[str, str], archived: Mapping[str, str]) -> str:
    """How the values of the bill are not the archived ones, of the dimensions that both have; empty where they are.

    A day that was archived with other keys is whole: `lacking_keys` tells them.
    """
    both = in_bill.keys() & archived.keys()
    differing = sorted(key for key in both if in_bill[key] != archived[key])
    return f"the bill has the same costs by other values of {', '.join(differing)}" if differing else ""


def lacking_keys(published: PublishedDay, keys: Collection[str]) -> tuple[str, ...]:
    """Those of the dimensions that an archived day does not have: it was archived before they were set."""
    if not published.rows:
        return ()
    return tuple(key for key in keys if key not in named_dimensions(published.metadata))


def dimensions_fault(day: DayRows, source: SourceDay | None) -> str:
    """How a day's dimensions are not the bill's; empty where they are.

    The values of each dimension sum to the day's total in the bill, and those of each OU, service and account to its
    row's exact cost.

    Args:
        day: the day; its charges give the exact costs, and it names the dimensions that it has to have.
        source: what the bill says of it.
    """
    import pyarrow.compute as pc

    keys = day.dimension_keys
    if not keys or not day.rows.num_rows:
        return ""
    if day.dimensions is None or day.charges is None:
        return f"it has no value of {', '.join(keys)}"
    rows = exact_costs(day.charges)
    for key in keys:
        of_key = day.dimensions.filter(pc.equal(day.dimensions.column("dimension"), key))
        total = pc.sum(of_key.column("cost")).as_py()
        if source is None or total != source.total:
            sums_to, in_bill = plain(total or Decimal()), plain(source.total if source else Decimal())
            return f"the values of {key} sum to {sums_to}, the bill to {in_bill}"
        if not summed(of_key).equals(rows):
            return f"the values of {key} do not sum to the rows of their OU, service and account"
    return ""
