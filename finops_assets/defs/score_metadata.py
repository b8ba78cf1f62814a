"""How the scores look in the Dagster UI: numbers to plot, tables of all OUs, pictures."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from finops_assets.core.analytics.budgets import RED, SHAPES
from finops_assets.core.analytics.scorecard import Scorecard
from finops_assets.core.money import money, plain
from finops_assets.core.reports.charts.sparkline import sparkline
from finops_assets.core.schemas import scorecard_path
from finops_assets.defs import metadata

SCORES_SHOWN, TREND_DAYS = 50, 30


def scorecard(card: Scorecard) -> dict[str, Any]:
    """The whole organization on a day."""
    whole, unit = card.whole, {"currency": card.currency, "cost basis": card.cost_basis}
    facts = {
        "dagster/partition_row_count": len(card.scores),
        "total": metadata.plotted(whole.cost),
        "month to date": metadata.plotted(whole.month_to_date),
        **({} if whole.budget is None else {"budget": metadata.plotted(whole.budget)}),
        **({} if whole.p50 is None else {"forecast": metadata.plotted(whole.p50)}),
        metadata.EXACT_TOTAL: plain(whole.cost),
        "exact month to date": plain(whole.month_to_date),
        **unit,
        "light": f"{SHAPES[whole.light]} {whole.light}: {whole.reason}",
        "OUs over their budget": sum(score.light == RED for score in card.scores),
        "anomalies": sum(episode.first <= card.day <= episode.last for episode in card.episodes),
        "path": scorecard_path(card.day),
    }
    return metadata.shown(facts | ({"notes": "\n".join(card.notes)} if card.notes else {}))


def scores_in_words(card: Scorecard, picture: bytes = b"") -> dict[str, Any]:
    """Every OU of a day, its anomalies and a picture of the month, for people to look at."""
    unit = f"{card.currency}, {card.cost_basis}"
    shown = card.scores[:SCORES_SHOWN]
    facts: dict[str, Any] = {
        "scores": metadata.markdown_table(
            ("", "OU", f"day ({unit})", "month to date", "budget", "forecast", "light"),
            (
                (
                    *(SHAPES[score.light], score.ou, money(score.cost), money(score.month_to_date)),
                    *("" if amount is None else money(amount) for amount in (score.budget, score.p50)),
                    f"{score.light}: {score.reason}" if score.budget is not None else score.light,
                )
                for score in shown
            ),
        )
    }
    if len(card.scores) > len(shown):
        facts["OUs not shown"] = len(card.scores) - len(shown)
    if card.episodes:
        facts["anomalies in words"] = metadata.markdown_table(
            ("id", "state", "what"), ((e.id, e.state, e.reason) for e in card.episodes[:SCORES_SHOWN])
        )
    return facts | ({"month": metadata.image(picture)} if picture else {})


def trend(costs: Mapping[date, Decimal], day: date) -> dict[str, Any]:
    """The costs of the days up to this one as a small picture, which the UI shows without a click: it does so with
    Markdown of less than 1,000 characters, and a chart has many more."""
    days = [costs[each] for each in sorted(costs) if each <= day][-TREND_DAYS:]
    if len(days) < 2:
        return {}
    return {
        f"last {TREND_DAYS} days": metadata.image(
            sparkline([float(cost) for cost in days]).encode(), "svg+xml", "daily cost"
        )
    }
