"""The one sentence of what matters: the budget that is passed, else what is not as expected, else what moved."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.accounts.ous import ALL, within
from finops_assets.core.analytics.anomalies import DRIFT, DROP, GROWING, NEW, OPEN, RISE, VANISHED
from finops_assets.core.analytics.budgets import RED
from finops_assets.core.money import change, money
from finops_assets.core.reports.digest.reasons import because_of_effects, cause_clause
from finops_assets.core.reports.digest.sentences import headline
from finops_assets.core.reports.digest.words import MONTH_NAMES, share_words, stretch_words
from finops_assets.core.reports.digest.worst_first import over_budget, worst_first
from finops_assets.core.text import tidy

if TYPE_CHECKING:
    from finops_assets.core.analytics.anomalies import Episode
    from finops_assets.core.analytics.scorecard import Score
    from finops_assets.core.reports.digest.figures import DigestFigures

KINDS = {
    RISE: "costs more than expected",
    DROP: "costs less than expected",
    DRIFT: "has drifted from its level",
    NEW: "is new",
    VANISHED: "has vanished",
}


FRESH_DAYS = 7
"""An anomaly that began within so many days, or grows, may be the headline; an older one is listed below it."""


def what_matters(figures: DigestFigures) -> tuple[str, str]:
    """The one sentence of what matters, and its cause as a clause; the clause is empty where none is known.

    The budget that is passed, else what is not as expected, else an OU that is red, else what moved. It depends on the
    day alone, not on what was mailed before.
    """
    for words in (_budget_words, _anomaly_words, _red_words):
        sentence, because = words(figures)
        if sentence:
            return sentence, because
    return headline(figures), because_of_effects(figures)


def matters(figures: DigestFigures) -> str:
    """The one sentence of what matters."""
    return what_matters(figures)[0]


def _budget_words(figures: DigestFigures) -> tuple[str, str]:
    """That the budget of the whole, or of the edition's OU, is passed or expected to be."""
    score, card = figures.score, figures.card
    if score is None or card is None or score.light != RED:
        return "", ""
    whose = f"{MONTH_NAMES[figures.day.month - 1]}'s budget{f' for {tidy(figures.ou, 60)}' if figures.ou else ''}"
    return f"{whose} {_passing(figures, score)}.", _largest_cause(figures, card.scores[0].ou)


def _passing(figures: DigestFigures, score: Score) -> str:
    """`of 88,000.00 USD is expected to be passed on Mon 30 Nov: 90,728.11 USD by the month's end (103 % of it)`."""
    if score.budget is None:
        return tidy(score.reason, 200)
    currency = tidy(figures.currency)
    on = f" on {figures.short_day(score.passed)}" if score.passed else ""
    share = "" if score.share is None else f" ({share_words(score.share)} of it)"
    expected = "" if score.p50 is None else f"{money(score.p50, currency)} expected by the month's end"
    if score.month_to_date > score.budget:
        so_far = f"{money(score.month_to_date, currency)} so far{f', {expected}' if expected else ''}"
        return f"of {money(score.budget, currency)} was passed{on}: {so_far}{share}"
    return f"of {money(score.budget, currency)} is expected to be passed{on}: {expected}{share}"


def _anomaly_words(figures: DigestFigures) -> tuple[str, str]:
    """The largest anomaly that began in the last days or grows."""
    episodes = sorted(_fresh(figures), key=lambda episode: -abs(episode.impact))
    if not episodes:
        return "", ""
    first, currency = episodes[0], tidy(figures.currency)
    begun = "A growing anomaly" if first.state == GROWING else "A new anomaly"
    kind = KINDS.get(first.kind) or tidy(first.kind, 60)
    words = (
        f"{begun}: {what(first, figures.names)} {kind}, {money(first.actual, currency)} instead of "
        f"{money(first.expected)} on "
        f"{stretch_words(first.first, first.last, figures.this_year)} ({change(first.impact, currency)})"
    )
    others = episodes[1:]
    because = cause_clause(figures, first)
    if not others:
        return f"{words}.", because
    impact = change(sum((episode.impact for episode in others), Decimal()), currency)
    return f"{words}; {len(others)} more {'has' if len(others) == 1 else 'have'} begun or grown ({impact}).", because


def _red_words(figures: DigestFigures) -> tuple[str, str]:
    """The OU that is furthest over its budget, and how many others are red."""
    red = worst_first(score for score in figures.card.scores[1:] if score.light == RED) if figures.card else []
    if not red:
        return "", ""
    first = red[0]
    more = f"; {len(red) - 1} more {'OU is' if len(red) == 2 else 'OUs are'} red, too" if red[1:] else ""
    words = f"{tidy(first.ou, 60)} is red: its budget {_passing(figures, first)}{more}."
    return words, _largest_cause(figures, first.ou)


def _largest_cause(figures: DigestFigures, ou: str) -> str:
    """Why an OU is over its budget: the largest anomaly that lasts in it; for the whole, else its worst OU."""
    card = figures.card
    if card is None:
        return ""
    inside = [e for e in card.episodes if e.state in (OPEN, GROWING) and e.rises and (ou == ALL or within(e.ou, ou))]
    if inside:
        largest = max(inside, key=lambda episode: abs(episode.impact))
        kind = KINDS.get(largest.kind) or tidy(largest.kind, 60)
        return f"because {what(largest, figures.names)} {kind} ({change(largest.impact)})"
    below = worst_first(score for score in card.scores[1:] if score.light == RED and score.ou != ou)
    if not below:
        return ""
    return f"because {tidy(below[0].ou, 60)} is {change(over_budget(below[0]))} over its own budget"


def _fresh(figures: DigestFigures) -> list[Episode]:
    """Anomalies that last, and began in the last days or grow."""
    episodes = figures.card.episodes if figures.card else ()
    return [episode for episode in episodes if _is_fresh(episode, figures.day)]


def _is_fresh(episode: Episode, day: date) -> bool:
    return episode.state == GROWING or (episode.state == OPEN and (day - episode.first).days < FRESH_DAYS)


def what(episode: Episode, names: Mapping[str, str]) -> str:
    """`Amazon EC2 in Workloads/Prod, account payments-prod`."""
    ou = "the whole organization" if episode.ou == ALL else tidy(episode.ou, 60)
    place = f"{tidy(episode.service, 60)} in {ou}" if episode.service else ou
    account = tidy(names.get(episode.account, ""), 60) or tidy(episode.account, 60)
    return f"{place}, account {account}" if account else place
