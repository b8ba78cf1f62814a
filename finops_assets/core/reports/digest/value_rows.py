"""Budgets by tag, cost category and account attribute as the digest of the whole shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from finops_assets.core.analytics.budgets import SHAPES
from finops_assets.core.analytics.value_scores import URGENT, most_urgent_first
from finops_assets.core.money import money
from finops_assets.core.reports.digest.words import share_words
from finops_assets.core.text import tidy

if TYPE_CHECKING:
    from finops_assets.core.analytics.value_scores import ValueScore
    from finops_assets.core.reports.digest.figures import DigestFigures

VALUES_SHOWN = 5
"""Values in the table, so that the mail of a large organization is not clipped."""


def value_view(figures: DigestFigures) -> dict[str, Any]:
    """What the templates show of values with a budget: rows as those of OUs, and what is left out in words."""
    ranked = most_urgent_first(figures.values)
    shown, rest = ranked[:VALUES_SHOWN], ranked[VALUES_SHOWN:]
    lights = [(light, sum(score.line.light == light for score in rest)) for light in URGENT]
    counts = ", ".join(f"{count} {light}" for light, count in lights if count)
    words = f"{len(rest)} more values ({counts}) are not shown here; finops_db.dimension_scorecard has them all."
    return {"values": [_row(score) for score in shown], "values_rest": words if rest else ""}


def _row(score: ValueScore) -> dict[str, Any]:
    line = score.line
    return {
        "name": tidy(str(score.of), 120),
        "light": {"shape": SHAPES[line.light], "word": line.light, "tone": line.light.replace(" ", "")},
        "reason": tidy(line.reason, 300),
        "cost": money(score.cost),
        "month": money(line.forecast.month_to_date),
        "forecast": "" if line.forecast.expected is None else money(line.forecast.expected),
        "budget": "" if line.budget is None else money(line.budget),
        "share": "" if line.share is None else share_words(line.share),
    }
