"""How much of a day has a value of each dimension: a line for each key in the digest."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.accounts.ous import within
from finops_assets.core.bill.dimension_keys import UNTAGGED
from finops_assets.core.money import money
from finops_assets.core.text import tidy

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class TaggedShare:
    """What of a day has a value of one dimension; exact, in the currency shown."""

    key: str
    tagged: Decimal
    total: Decimal


def tagged_shares(dimensions: pa.Table | None, ou: str = "") -> tuple[TaggedShare, ...]:
    """The share of each dimension of a day, by key; none of a day without dimensions.

    Args:
        dimensions: of the day, in the DIMENSION_BREAKDOWN schema.
        ou: the path of the OU that is asked for, with what lies below it; empty for the whole.
    """
    import pyarrow.compute as pc

    if dimensions is None or not dimensions.num_rows:
        return ()
    tagged = pc.not_equal(dimensions.column("value"), UNTAGGED)
    sums = (
        dimensions.select(["dimension", "ou", "cost"])
        .append_column("tagged", tagged)
        .group_by(["dimension", "ou", "tagged"])
        .aggregate([("cost", "sum")])
    )
    amounts: dict[str, list[Decimal]] = {key: [Decimal(), Decimal()] for key in sums.column("dimension").to_pylist()}
    for row in sums.to_pylist():
        if not ou or within(row["ou"], ou):
            amounts[row["dimension"]][row["tagged"]] += row["cost_sum"]
    return tuple(TaggedShare(key, with_, without + with_) for key, (without, with_) in sorted(amounts.items()))


def tagged_words(share: TaggedShare, currency: str) -> str:
    """`tag:team: 83 % of 2,653.36 USD has a value`: rounded down, so that 100 % is all of it.

    Where credits make a part larger than the whole, amounts stand instead of a share.
    """
    total = money(share.total, currency)
    if share.total <= 0 or not 0 <= share.tagged <= share.total:
        part = money(share.tagged, currency) if share.tagged else "nothing"
        return f"{tidy(share.key, 140)}: {part} of {total} has a value"
    percent = int(100 * share.tagged / share.total)
    words = "<1" if share.tagged and not percent else str(percent)
    return f"{tidy(share.key, 140)}: {words} % of {total} has a value"
