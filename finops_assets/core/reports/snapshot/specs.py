"""The charts of the pages, as high as the tables leave room."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_assets.core.reports.charts.daily_cost import daily_cost_spec
from finops_assets.core.reports.charts.month import month_spec
from finops_assets.core.reports.digest.words import basis_words
from finops_assets.core.reports.snapshot.ou_table import OUS_SHOWN
from finops_assets.core.reports.snapshot.reasons import EPISODES_SHOWN
from finops_assets.core.reports.snapshot.tables import SERVICES_SHOWN
from finops_assets.core.text import tidy

if TYPE_CHECKING:
    from finops_assets.core.analytics.scorecard import Scorecard
    from finops_assets.core.reports.digest.figures import DigestFigures

ROWS_SHOWN = 22
"""Rows of OUs and services that the first page has room for: OUs come first."""


def snapshot_specs(figures: DigestFigures, card: Scorecard | None) -> dict[str, dict[str, Any]]:
    """The charts of the pages by name: `daily`, and `month` where there is a scorecard."""
    card = fitting(figures, card)
    basis, currency = basis_words(figures.cost_basis), tidy(figures.currency)
    room = EPISODES_SHOWN - min(len(card.episodes), EPISODES_SHOWN) if card else 0
    daily = daily_cost_spec(
        figures.costs,
        figures.day,
        currency=currency,
        basis=basis,
        scheduled=figures.scheduled_by_day,
        width=720,
        height=240 + 25 * room,
    )
    specs = {"daily": daily}
    if card:
        of_month = {d: sum(of.values(), Decimal()) for d, of in figures.costs.items() if d >= figures.month.first}
        specs["month"] = month_spec(
            of_month,
            card.whole,
            day=figures.day,
            currency=currency,
            basis=basis,
            name="All OUs",
            width=720,
            height=240 + 13 * rows_left(figures, card),
        )
    edges = {"left": 0, "right": 12, "top": 2, "bottom": 2}  # the page has margins of its own
    return {name: spec | {"padding": edges} for name, spec in specs.items()}


def rows_left(figures: DigestFigures, card: Scorecard) -> int:
    """Rows of the first page that nothing will stand in: the chart above them is as much higher."""
    ous = min(len(card.scores) - 1, OUS_SHOWN)
    services = min(len(figures.services.lines), SERVICES_SHOWN)
    return min(9, max(0, ROWS_SHOWN - ous - (services if services > 1 else 0)))


def fitting(figures: DigestFigures, card: Scorecard | None) -> Scorecard | None:
    """The scorecard, if it is of the same day and money."""
    same = card and (card.day, card.currency, card.cost_basis) == (figures.day, figures.currency, figures.cost_basis)
    return card if same else None
