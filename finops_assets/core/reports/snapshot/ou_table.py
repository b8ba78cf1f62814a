"""The table of OUs: those with the worst light and the highest cost."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_assets.core.accounts.ous import ALL
from finops_assets.core.analytics.budgets import AMBER, GREEN, NONE, RED
from finops_assets.core.money import money
from finops_assets.core.reports.digest.worst_first import worst_first
from finops_assets.core.reports.snapshot.wording import DASH, PARAGRAPH, moved_words, share_of_budget
from finops_assets.core.text import tidy

if TYPE_CHECKING:
    from finops_assets.core.analytics.scorecard import Score, Scorecard
    from finops_assets.core.reports.digest.figures import DigestFigures

OUS_SHOWN = 14


def ou_table(figures: DigestFigures, card: Scorecard | None) -> dict[str, Any]:
    """The OUs with the worst light and the highest cost; the others are counted, and what they cost beside these."""
    if card is None:
        return _ous_without_scorecard(figures)
    scores = worst_first(score for score in card.scores if score.ou != ALL)
    shown = scores if len(scores) <= OUS_SHOWN + 1 else scores[:OUS_SHOWN]
    planned = any(score.light != NONE for score in card.scores)
    columns, cells = (_BUDGET_COLUMNS, _budget_cells) if planned else (_COST_COLUMNS, _cost_cells)
    paths = {score.ou for score in shown}
    order = "worst light first, then the most over budget"
    notes = [order if planned else "no budgets are configured: no OU has a light"]
    if any(f"{ou}/" in other for ou in paths for other in paths if other.startswith(f"{ou}/")):
        notes.append("an OU contains what lies below it")
    return {
        "title": "OUs against their budgets" if planned else "Cost by OU",
        "note": f"In {tidy(figures.currency)}; {'; '.join(notes)}.",
        "columns": list(columns),
        "rows": [{"name": _path(s.ou), "cells": cells(figures, s)} for s in shown],
        "rest": _rest(scores[len(shown) :], shown, card.whole),
        "total": {"name": "All OUs", "cells": cells(figures, card.whole)},
    }


def _path(ou: str) -> str:
    """Of a path that is too long, the end says most."""
    text = tidy(ou, len(ou) + 1) or "(no name)"
    return text if len(text) <= PARAGRAPH else f"…{text[1 - PARAGRAPH :]}"


_BUDGET_COLUMNS = ("OU", "Light", "Day", "Month to date", "Budget", "Forecast", "Share", "Over from")

_COST_COLUMNS = ("OU", "Day", "Expected", "Month to date", "Forecast", "80 % band")


def _budget_cells(figures: DigestFigures, score: Score) -> list[str]:
    return [
        score.light,
        money(score.cost),
        money(score.month_to_date),
        _amount(score.budget),
        _amount(score.p50),
        share_of_budget(score.share),
        DASH if score.passed is None else figures.short_day(score.passed, weekday=False),
    ]


def _cost_cells(_: DigestFigures, score: Score) -> list[str]:
    return [
        money(score.cost),
        _band(score.low, score.high),
        money(score.month_to_date),
        _amount(score.p50),
        _band(score.p10, score.p90),
    ]


def _amount(amount: Decimal | None) -> str:
    return DASH if amount is None else money(amount)


def _band(low: Decimal | None, high: Decimal | None) -> str:
    return DASH if low is None or high is None else f"{money(low)} – {money(high)}"


def _rest(left: Sequence[Score], shown: Sequence[Score], whole: Score) -> str:
    """`188 more OUs (3 red, 5 amber): 1,234.50 of the day and 12,345.00 of the month lie in none of the above.`"""
    if not left:
        return ""
    paths = {score.ou for score in shown}
    top = [s for s in shown if not any(s.ou[:at] in paths for at, c in enumerate(s.ou) if c == "/")]
    day = whole.cost - sum((s.cost for s in top), Decimal())
    month = whole.month_to_date - sum((s.month_to_date for s in top), Decimal())
    counts = [(light, sum(s.light == light for s in left)) for light in (RED, AMBER, GREEN, NONE)]
    lights = ", ".join(f"{n} {light}" for light, n in counts if n)
    return (
        f"{len(left)} more OUs ({lights}): {money(day)} of the day and {money(month)} of the month to date are in none "
        "of the OUs above."
    )


def _ous_without_scorecard(figures: DigestFigures) -> dict[str, Any]:
    def cells(cost: Decimal, last_week: Decimal | None, day_before: Decimal | None) -> list[str]:
        befores = (last_week, day_before)
        return [NONE, money(cost), *(DASH if b is None else moved_words(cost, b) for b in befores)]

    ranking = figures.ous
    lines = [*ranking.lines, *([ranking.rest] if ranking.rest else [])]
    against = [figures.short_day(a.day, weekday=False) for a in (figures.last_week, figures.day_before)]
    return {
        "title": "Cost by OU",
        "note": f"In {tidy(figures.currency)}; there is no scorecard of the day: no budgets, no forecasts.",
        "columns": ["OU", "Light", "Day", *(f"on {day}" for day in against)],
        "rows": [
            {"name": _path(line.name), "cells": cells(line.cost, line.last_week, line.day_before)} for line in lines
        ],
        "rest": "",
        "total": {"name": "All OUs", "cells": cells(figures.total, figures.last_week.total, figures.day_before.total)},
    }
