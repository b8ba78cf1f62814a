"""What settings leave out of a day: the lines of each reason and currency together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from finops_assets.core.bill.totals import Amount
from finops_assets.core.values import LeftOut


def summed_left_out(parts: Iterable[LeftOut]) -> tuple[LeftOut, ...]:
    """One for each reason and currency, in order."""
    sums: dict[tuple[str, str], Amount] = defaultdict(Amount)
    for part in parts:
        sums[part.reason, part.currency] += Amount(part.lines, part.total)
    return tuple(LeftOut(reason, of.lines, of.total, currency) for (reason, currency), of in sorted(sums.items()))
