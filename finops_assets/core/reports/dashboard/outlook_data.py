"""The page's `outlook`: lights, budgets, forecasts, restated days and anomalies, as much of them as fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_assets.core.accounts.ous import ALL
from finops_assets.core.analytics.anomalies import Episode, newest_first
from finops_assets.core.analytics.budgets import NONE, SHAPES
from finops_assets.core.analytics.cost_causes import with_cause
from finops_assets.core.analytics.doubling import ANSWER_WORDS, question_words
from finops_assets.core.analytics.scorecard import Score, Scorecard
from finops_assets.core.calendar import short_day
from finops_assets.core.errors import ArchiveError
from finops_assets.core.money import CENT, MANY_TIMES, change, money
from finops_assets.core.reports.dashboard.amounts import MICRO
from finops_assets.core.reports.dashboard.inputs import DashboardInputs
from finops_assets.core.reports.dashboard.outlook import Outlook, Restated
from finops_assets.core.reports.dashboard.tiles import count
from finops_assets.core.reports.digest.month_parts import booked_notes, parts_sentence
from finops_assets.core.reports.digest.words import share_words
from finops_assets.core.reports.digest.worst_first import worst_first
from finops_assets.core.schemas import UNASSIGNED, scorecard_path

if TYPE_CHECKING:
    from finops_assets.core.archive.cost_history import OuHistory

_SCORE_CELLS = 5
_EPISODE_CELLS = _RESTATED_CELLS = 3
_MOST_EPISODES = 500
"""Each takes half a kilobyte of the page."""


def outlook_data(
    inputs: DashboardInputs, outlook: Outlook, totals: Mapping[date, Decimal], most_cells: int
) -> tuple[dict[str, Any], int]:
    """The page's `outlook`, and how many numbers it embeds.

    Args:
        inputs: of the page.
        outlook: what is known.
        totals: of the page's days.
        most_cells: how many numbers it may embed.
    """
    newest = outlook.newest
    for card in (newest, *outlook.earlier):
        _check_card(card, inputs)
    scores = sorted(newest.scores, key=_nested)
    restated = sorted((each for each in outlook.restated if each.day in totals), key=lambda each: each.day)
    months = _earlier_months(outlook, scores, min(totals))
    episodes = sorted(outlook.episodes, key=newest_first)

    cells = _SCORE_CELLS * len(scores) + _RESTATED_CELLS * len(restated)
    most_months = max(0, most_cells - cells - _EPISODE_CELLS * len(episodes)) // max(1, len(scores))
    fewer_months = len(months) - most_months
    months = months[-most_months:] if most_months else []
    cells += len(months) * len(scores)
    most_episodes = min(_MOST_EPISODES, max(0, most_cells - cells) // _EPISODE_CELLS)
    left_out = len(episodes) - most_episodes
    episodes = episodes[:most_episodes]
    cells += _EPISODE_CELLS * len(episodes)

    notices = _notices(newest, inputs.costs, totals, inputs.this_year)
    if fewer_months > 0:
        notices.append(f"{count(fewer_months, 'earlier month')} left out to keep this page small.")
    if left_out > 0:
        notices.append(f"{count(left_out, 'older anomaly', 'older anomalies')} left out to keep this page small.")
    places = {score.ou: at for at, score in enumerate(scores)}
    worst = [places[score.ou] for score in worst_first(scores)]
    data = {
        "day": newest.day.isoformat(),
        "all": ALL,
        "shapes": dict(SHAPES),
        "questions": [[question_words(each, inputs.currency), ANSWER_WORDS, each.answer] for each in newest.questions],
        "notices": notices,
        "error": "" if newest.error is None else f"{newest.error:.1%}".replace("%", " %"),
        "why_no_forecast": newest.why_no_forecast,
        "why_whole": newest.why_whole,
        "scores": [_score(score) for score in scores],
        "worst": worst,
        "months": months,
        "restated": [_restated(each, totals[each.day]) for each in restated],
        "episodes": [_episode(episode, outlook.causes.get(episode.id, "")) for episode in episodes],
    }
    return data, cells


def _check_card(card: Scorecard, inputs: DashboardInputs) -> None:
    if (card.currency, card.cost_basis) != (inputs.currency, inputs.cost_basis):
        raise ArchiveError(
            f"the scorecard is in {card.currency}, {card.cost_basis}, the days are in {inputs.unit}",
            where=scorecard_path(card.day),
            fix=f"Make it again with today's settings: `finops run --date {card.day}`.",
        )


def _nested(score: Score) -> tuple:
    """The whole, then level by level, so that parents stand above their children; what has no OU ends its level."""
    return (score.ou != ALL, score.ou.count("/"), score.ou == UNASSIGNED, score.ou.split("/"))


def _earlier_months(outlook: Outlook, scores: Sequence[Score], first: date) -> list[dict[str, Any]]:
    """Months before the newest scorecard's that the page holds from their 1st on, in order."""
    cards = {card.day.replace(day=1): card for card in sorted(outlook.earlier, key=lambda card: card.day)}
    months = []
    for month in sorted(month for month in cards if first <= month < outlook.newest.day.replace(day=1)):
        known = cards[month].by_ou
        of = [known.get(score.ou) for score in scores]
        months.append(
            {
                "first": month.isoformat(),
                "day": cards[month].day.isoformat(),
                "budgets": [None if score is None else _micros(score.budget) for score in of],
                "lights": [NONE if score is None else score.light for score in of],
            }
        )
    return months


def _notices(newest: Scorecard, costs: OuHistory, totals: Mapping[date, Decimal], this_year: int | None) -> list[str]:
    """What a reader has to know before trusting the lights: that they are not of the newest day, or of other costs."""
    last, month = max(totals), newest.day.replace(day=1)
    notices = [*newest.notes, *booked_notes(newest, newest.currency)]
    if newest.day < last:
        notices.append(
            f"Lights and forecasts are as of {short_day(newest.day)} {newest.day.year}: "
            f"there is no scorecard of {short_day(last, this_year=this_year)} yet."
        )
    if min(totals) <= month:  # else the page does not hold the whole month
        sums = _month_sums(costs, month, newest.day)
        moved = [score.ou for score in newest.scores if abs(score.month_to_date - sums.get(score.ou, 0)) >= CENT / 2]
        if moved:
            notices.append(
                f"Costs have changed since the lights of {short_day(newest.day, this_year=this_year)} were made: "
                f"the month to date of {count(len(moved), 'OU')} is not what the days below add up to. "
                "The next run mends it."
            )
    return notices


def _month_sums(costs: OuHistory, first: date, last: date) -> dict[str, Decimal]:
    """Exact cost of these days by OU, with what lies below it, and of the whole."""
    sums: dict[str, Decimal] = {ALL: Decimal()}
    for ou, cost in costs.sums_by_ou(first, last).items():
        parts = ou.split("/")
        for name in (ALL, *("/".join(parts[: n + 1]) for n in range(len(parts)))):
            sums[name] = sums.get(name, Decimal()) + cost
    return sums


def _micros(amount: Decimal | None) -> int | None:
    return None if amount is None else round(amount * MICRO)


def _text(amount: Decimal | None) -> str:
    return "" if amount is None else money(amount)


def _score(score: Score) -> dict[str, Any]:
    amounts = (score.month_to_date, score.budget, score.p10, score.p50, score.p90)
    return {
        "ou": score.ou,
        "light": score.light,
        "reason": score.reason,
        "share": _share(score.share),
        "passed": "" if score.passed is None else score.passed.isoformat(),
        "text": [_text(amount) for amount in amounts],
        "micros": [_micros(amount) for amount in amounts],
        **({"parts": parts_sentence(score)} if score.parts else {}),
    }


def _share(share: float | None) -> str:
    if share is None:
        return ""
    return f"{share_words(share)} of budget" if share <= MANY_TIMES else f"{share_words(share)} the budget"


def _restated(restated: Restated, total: Decimal) -> dict[str, str]:
    return {
        "day": restated.day.isoformat(),
        "old": money(total - restated.delta),
        "new": money(total),
        "by": change(restated.delta),
        "seen": restated.seen.date().isoformat(),
    }


def _episode(episode: Episode, cause: str) -> dict[str, str]:
    return {
        "id": episode.id,
        "ou": episode.ou,
        "service": episode.service,
        "account": episode.account,
        "kind": episode.kind,
        "state": episode.state,
        "first": episode.first.isoformat(),
        "last": episode.last.isoformat(),
        "expected": money(episode.expected),
        "actual": money(episode.actual),
        "impact": change(episode.impact),
        "reason": with_cause(episode.reason, cause),
        "planned": episode.planned,
    }
