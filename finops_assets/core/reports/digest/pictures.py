"""The pictures of a digest: which there are, what each is drawn from, and its words for those who do not see it.

Another picture is an entry in PICTURES, and a place for it in templates/digest.html.j2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.money import money
from finops_assets.core.reports.charts.daily_cost import daily_cost_spec
from finops_assets.core.reports.charts.month import month_spec
from finops_assets.core.reports.digest.edition import ou_hash
from finops_assets.core.reports.digest.words import (
    MONTH_NAMES,
    band_words,
    basis_words,
    highest_and_lowest,
    light_words,
    stretch_words,
)
from finops_assets.core.text import tidy

if TYPE_CHECKING:
    from finops_assets.core.analytics.scorecard import Score
    from finops_assets.core.reports.charts.style import Spec
    from finops_assets.core.reports.digest.figures import DigestFigures

CHART_WIDTH, CHART_HEIGHT = 500, 226
"""Narrower than the mail: on a phone, three quarters of its size, the labels can still be read."""


@dataclass(frozen=True)
class Picture:
    """A picture that a digest may show.

    Attributes:
        name: it is stored and attached as `<name>.png`.
        title: what it is called in Dagster.
        spec: gives the chart; None where these figures have none.
        words: the same for those who do not see it.
    """

    name: str
    title: str
    spec: Callable[[DigestFigures], Spec | None]
    words: Callable[[DigestFigures], str]


def chart_spec(figures: DigestFigures) -> Spec:
    """Daily cost by OU."""
    return daily_cost_spec(
        figures.costs,
        figures.day,
        currency=figures.currency,
        basis=basis_words(figures.cost_basis),
        scheduled=figures.scheduled_by_day,
        width=CHART_WIDTH,
        height=CHART_HEIGHT,
    )


def month_chart_spec(figures: DigestFigures) -> Spec | None:
    """The month against budget and forecast; None where there is neither."""
    score = figures.score
    if score is None or (score.budget is None and score.p50 is None):
        return None
    sums = {d: sum(of.values(), Decimal()) for d, of in figures.costs.items()}
    name = "" if figures.ou else "All OUs"
    return month_picture(sums, score, figures.day, currency=figures.currency, cost_basis=figures.cost_basis, name=name)


def month_picture(
    costs: Mapping[date, Decimal], score: Score, day: date, *, currency: str, cost_basis: str, name: str = "All OUs"
) -> Spec:
    """The picture of a month as the digest shows it: the same figures give the same one, which is drawn once.

    Args:
        costs: by day; those of other months are passed over.
        score: of the whole, or of an OU.
        day: the newest day.
        currency, cost_basis: of the costs.
        name: in the title; the OU's path where it is empty.
    """
    first = day.replace(day=1)
    return month_spec(
        {d: cost for d, cost in costs.items() if first <= d},
        score,
        day=day,
        currency=currency,
        basis=basis_words(cost_basis),
        name=name,
        width=CHART_WIDTH,
        height=CHART_HEIGHT,
    )


def _chart_words(figures: DigestFigures) -> str:
    totals = {d: sum(costs.values(), Decimal()) for d, costs in figures.costs.items()}
    mean = sum(totals.values(), Decimal()) / len(totals)
    days = stretch_words(min(totals), figures.day, figures.this_year)
    return (
        f"Chart: daily cost by OU, {days}, in {tidy(figures.currency)}. "
        f"{figures.short_day(figures.day)}: {money(figures.total)}. "
        f"{highest_and_lowest(figures, totals)} Average of {len(totals)} days: {money(mean)}."
    )


def _month_words(figures: DigestFigures) -> str:
    score, currency = figures.score, tidy(figures.currency)
    if score is None:
        return ""
    month = MONTH_NAMES[figures.day.month - 1]
    words = f"Chart: {month} against budget and forecast. To {figures.short_day(figures.day)}: "
    words += money(score.month_to_date, currency)
    words += "" if score.budget is None else f" of a budget of {money(score.budget)}"
    if score.p50 is not None:
        band = band_words(score)
        words += f". Expected by the month's end: {money(score.p50)}{f' ({band})' if band else ''}"
    return f"{words}. {light_words(score)}: {tidy(score.reason, 200)}."


DAILY = Picture("chart", "daily cost", chart_spec, _chart_words)
MONTH = Picture("month", "month", month_chart_spec, _month_words)
PICTURES = {picture.name: picture for picture in (DAILY, MONTH)}


def content_id(name: str, day: date, revision: int, ou: str = "") -> str:
    """How the mail's HTML refers to a picture."""
    before = "" if name == DAILY.name else f"{name}-"
    return f"{before}chart-{day}-r{revision}{f'-{ou_hash(ou)}' if ou else ''}@finops-assets"
