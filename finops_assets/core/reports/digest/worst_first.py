"""Which OUs come first wherever OUs are listed: the worst light, and within it the most money at risk."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.analytics.budgets import AMBER, RED

if TYPE_CHECKING:
    from finops_assets.core.analytics.scorecard import Score

_SEVERITY = {RED: 0, AMBER: 1}


def over_budget(score: Score) -> Decimal:
    """What the month costs or is expected to cost more than its budget, negative below it; 0 without a budget."""
    if score.budget is None:
        return Decimal()
    expected = score.month_to_date if score.p50 is None else max(score.p50, score.month_to_date)
    return expected - score.budget


def worst_first(scores: Iterable[Score]) -> list[Score]:
    """Red, amber, then the others; red and amber ones by money over the budget, the others by the day's cost."""

    def order(score: Score) -> tuple:
        urgent = score.light in _SEVERITY
        return _SEVERITY.get(score.light, 2), -(over_budget(score) if urgent else score.cost), score.ou

    return sorted(scores, key=order)
