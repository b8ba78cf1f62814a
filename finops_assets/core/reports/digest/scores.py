"""The scorecard as the digest shows it: lights by OU, the month in words, anomalies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_assets.core.accounts.ous import ALL, within
from finops_assets.core.analytics.anomalies import CLOSED, GROWING, OPEN, PLANNED, WITHDRAWN
from finops_assets.core.analytics.budgets import AMBER, NONE, RED, SHAPES
from finops_assets.core.analytics.cost_causes import with_cause
from finops_assets.core.money import CENT, change, money
from finops_assets.core.reports.digest.matters import what
from finops_assets.core.reports.digest.month_parts import part_words
from finops_assets.core.reports.digest.reasons import why_view
from finops_assets.core.reports.digest.words import band_words, percent_words, share_words, stretch_words
from finops_assets.core.reports.digest.worst_first import worst_first
from finops_assets.core.text import tidy

if TYPE_CHECKING:
    from finops_assets.core.analytics.anomalies import Episode
    from finops_assets.core.analytics.scorecard import Score, Scorecard
    from finops_assets.core.reports.digest.figures import DigestFigures

OUS_SHOWN = 10
"""OUs in the table beside the whole, so that a mail is no longer than a reader reads, whatever the organization."""

ANOMALIES_SHOWN = 6
METHOD = (
    "month to date, and for each day that is left its usual level times its weekday's factor; the range is where about "
    "80 % of past months ended"
)
USAGE_METHOD = (
    "month to date, and for each day that is left the usual level of usage times its weekday's factor, and the "
    "scheduled charges that come again; the range is where about 80 % of past months ended"
)


def forecast_words(figures: DigestFigures) -> str:
    """How the forecast is made and how wrong it was; why there is none, where there is none."""
    card = figures.card
    if card is None:
        return ""
    if card.whole.p50 is None:
        return f"nothing is forecast: {tidy(card.why_no_forecast, 200) or 'its history is too short'}"
    method = USAGE_METHOD if card.scores[0].parts else METHOD
    if card.why_whole:
        method += f"; {tidy(card.why_whole, 400)}"
    if card.error is None:
        known = "; its error is known for the whole organization only" if figures.ou else ""
        return method + (known or "; its error is not known yet, as too few past months can be tried")
    return f"{method}. Tried on past days, it was {percent_of(card.error)} off (median, whole organization)"


def percent_of(share: float) -> str:
    return f"{share * 100:.1f} %"


def card_view(figures: DigestFigures) -> dict[str, Any]:
    """What the templates show of the scorecard; `scores` is empty without one."""
    card = figures.card
    if card is None:
        return {"scores": [], "light": None, "rest_words": "", "lights_words": ""} | _no_details()
    shown = _shown(card.scores[1:])
    score = card.scores[0]
    names = {one.ou for one in (score, *shown)}
    rest = [one for one in card.scores if one.ou not in names]
    return {
        "scores": [_score_row(figures, card, one) for one in (score, *shown)],
        "has_budgets": any(one.budget is not None for one in card.scores),
        "has_forecasts": any(one.p50 is not None for one in card.scores),
        "light": score_light(score) if score.light != NONE else None,
        "light_reason": tidy(score.reason, 200),
        "rest_words": _rest_words(figures, rest),
        "lights_words": ", ".join(f"{shape} {light}" for light, shape in SHAPES.items())
        + ": the month, as it is and as it is expected, against the budget",
        "forecast_words": forecast_words(figures),
        "parts_words": part_words(score),
        **_anomalies_view(figures, card),
        **why_view(figures),
    }


def _no_details() -> dict[str, Any]:
    return {
        "why": [],
        "why_total": "",
        "anomalies": [],
        "anomalies_others": "",
        "forecast_words": "",
        "parts_words": [],
    }


def _shown(scores: Sequence[Score]) -> list[Score]:
    """The OUs of the table: the worst light first, then the most money at risk."""
    return worst_first(scores)[: OUS_SHOWN if len(scores) > OUS_SHOWN + 1 else len(scores)]


def _score_row(figures: DigestFigures, card: Scorecard, score: Score) -> dict[str, Any]:
    top = score.ou == card.whole.ou
    name = "All" if top and not figures.ou else score.ou
    before = figures.lights_before.get(score.ou) if figures.lights_before is not None else None
    worse = score.light in (RED, AMBER)
    return {
        "name": tidy(name, 80) or "(no name)",
        "top": top,
        "light": score_light(score),
        "was": f"was {before}" if before and before != score.light else "",
        "reason": tidy(score.reason, 200) if worse else "",
        "when": _when(score, figures) if worse else "",
        "cost": money(score.cost),
        "change": _against_words(figures, score),
        "month": money(score.month_to_date),
        "budget": "" if score.budget is None else money(score.budget),
        "share": "" if score.share is None else share_words(score.share),
        "forecast": "" if score.p50 is None else money(score.p50),
        "band": band_words(score),
        "anomaly": score.anomaly.id if score.anomaly else "",
    }


def _when(score: Score, figures: DigestFigures) -> str:
    """What the columns do not say: the day of the budget; the whole reason, where nothing is forecast."""
    if score.p50 is None:
        return tidy(score.reason, 200)
    if score.passed is None:
        return "may be passed" if score.p90 is not None and score.p90 > (score.budget or 0) else ""
    return f"{'passed' if score.passed <= figures.day else 'passes its budget'} on {figures.short_day(score.passed)}"


def score_light(score: Score) -> dict[str, str]:
    return {"shape": SHAPES[score.light], "word": score.light, "tone": score.light.replace(" ", "")}


def _against_words(figures: DigestFigures, score: Score) -> dict[str, str] | None:
    against = figures.movers_against
    if against is None:
        return None
    before = subtree_cost(figures.costs[against.day], score.ou, whole=score.ou == ALL or figures.by_value)
    delta = score.cost - before
    return {
        "percent": percent_words(score.cost, before),
        "arrow": "" if abs(delta) < CENT / 2 else "▲" if delta > 0 else "▼",
        "tone": "flat" if abs(delta) < max(abs(before) / 20, CENT / 2) else "up" if delta > 0 else "down",
    }


def subtree_cost(costs: Mapping[str, Decimal], ou: str, *, whole: bool = False) -> Decimal:
    """The cost of an OU with what lies below it, of costs by OU."""
    return sum((cost for name, cost in costs.items() if whole or within(name, ou)), Decimal())


def _rest_words(figures: DigestFigures, rest: Sequence[Score]) -> str:
    if not rest:
        return ""
    lights = [(light, sum(score.light == light for score in rest)) for light in (RED, AMBER, *SHAPES)]
    counts = ", ".join(f"{count} {light}" for light, count in dict(lights).items() if count)
    own = money(sum((score.direct for score in rest), Decimal()), tidy(figures.currency))
    return (
        f"{len(rest)} more OUs ({counts}) are not shown here; their own accounts cost {own}. finops_db.ou_scorecard "
        "has them all."
    )


def _anomalies_view(figures: DigestFigures, card: Scorecard) -> dict[str, Any]:
    """What is news, then what still lasts; what ended before the last mail was in that one."""
    news = {episode.id for episode in figures.news}
    lasting = [e for e in card.episodes if e.id not in news and e.state in (OPEN, GROWING, PLANNED)]
    lasting = [e for e in lasting if e.last >= figures.day or e.state != PLANNED]

    def order(episode: Episode) -> tuple:
        urgency = {OPEN: 0, GROWING: 0, WITHDRAWN: 1, CLOSED: 1, PLANNED: 2}
        return urgency.get(episode.state, 2), -abs(episode.impact), episode.id

    all_ = [(e, True) for e in sorted(figures.news, key=order)] + [(e, False) for e in sorted(lasting, key=order)]
    shown, others = all_[:ANOMALIES_SHOWN], [episode for episode, _ in all_[ANOMALIES_SHOWN:]]
    impact = change(sum((episode.impact for episode in others), Decimal()), tidy(figures.currency))
    return {
        "anomalies": [_anomaly_row(figures, episode, news) for episode, news in shown],
        "anomalies_others": f"and {len(others)} more, {impact} together" if others else "",
    }


def _anomaly_row(figures: DigestFigures, episode: Episode, news: bool) -> dict[str, str]:
    days, names = stretch_words(episode.first, episode.last, figures.this_year), figures.names
    state = {
        OPEN: "New" if news else "Open",
        GROWING: "Growing" if news else "Open",
        CLOSED: "Ended",
        WITHDRAWN: "Withdrawn",
        PLANNED: "Planned",
    }.get(episode.state) or tidy(episode.state, 60)
    cause = figures.card.causes.get(episode.id, "") if figures.card else ""
    reason = with_cause(tidy(episode.reason, 300), tidy(cause, 300))
    if episode.state == WITHDRAWN:
        reason = f"A restatement undid it. {reason}"
    if episode.planned:
        reason = f"{tidy(episode.planned, 120)}. {reason}"
    impact = episode.impact
    return {
        "state": state,
        "what": what(episode, names),
        "reason": reason,
        "days": days,
        "id": tidy(episode.id, 40),
        "impact": change(impact),
        "tone": "flat" if episode.state in (WITHDRAWN, PLANNED, CLOSED) else "up" if impact > 0 else "down",
        "arrow": "" if abs(impact) < CENT / 2 else "▲" if impact > 0 else "▼",
    }


# --- why it moved -------------------------------------------------------------------------------------------------
