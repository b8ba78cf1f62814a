"""The page's lights of values of dimensions: a row for each value that has a budget, the most urgent first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finops_assets.core.analytics.budgets import SHAPES
from finops_assets.core.analytics.value_scores import most_urgent_first
from finops_assets.core.money import money
from finops_assets.core.reports.digest.words import share_words
from finops_assets.core.text import LONGEST_MESSAGE, tidy

if TYPE_CHECKING:
    from finops_assets.core.analytics.value_scores import ValueScore
    from finops_assets.core.reports.dashboard.inputs import DashboardInputs


def value_lights(inputs: DashboardInputs) -> list[dict[str, str]]:
    """The rows as text; scores in another currency or cost basis than the page's are left out."""
    unit = inputs.currency, inputs.cost_basis
    scores = [
        each for each in inputs.values if each.line.budget is not None and (each.currency, each.cost_basis) == unit
    ]
    return [_row(score) for score in most_urgent_first(scores)]


def _row(score: ValueScore) -> dict[str, str]:
    line = score.line
    share = "" if line.share is None else share_words(line.share)
    return {
        "name": tidy(str(score.of), 300),
        "light": line.light,
        "shape": SHAPES[line.light],
        "reason": tidy(line.reason, LONGEST_MESSAGE),
        "month": money(line.forecast.month_to_date),
        "forecast": "" if line.forecast.expected is None else money(line.forecast.expected),
        "budget": "" if line.budget is None else money(line.budget),
        "share": share,
    }
