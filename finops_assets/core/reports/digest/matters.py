"""The one sentence of what matters: the budget that is passed, else what is not as expected, else what moved."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.accounts.ous import ALL
from finops_assets.core.analytics.anomalies import DRIFT, DROP, GROWING, NEW, OPEN, RISE, VANISHED
from finops_assets.core.analytics.budgets import RED
from finops_assets.core.money import change, money
from finops_assets.core.reports.digest.sentences import headline
from finops_assets.core.reports.digest.words import MONTH_NAMES, share_words, stretch_words
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


def matters(figures: DigestFigures) -> str:
    """The one sentence of what matters: the budget that is passed, else what is not as expected, else what moved."""
    sentences = (words(figures) for words in (_budget_words, _anomaly_words, _turned_words))
    return next(filter(None, sentences), None) or headline(figures)


def _budget_words(figures: DigestFigures) -> str:
    """That the budget of the whole, or of the edition's OU, is passed or expected to be."""
    score = figures.score
    if score is None or score.light != RED:
        return ""
    whose = f"{MONTH_NAMES[figures.day.month - 1]}'s budget{f' for {tidy(figures.ou, 60)}' if figures.ou else ''}"
    return f"{whose} {_passing(figures, score)}."


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


def _anomaly_words(figures: DigestFigures) -> str:
    """The largest anomaly that began or grew."""
    episodes = sorted(_fresh(figures), key=lambda episode: -abs(episode.impact))
    if not episodes:
        return ""
    first, currency = episodes[0], tidy(figures.currency)
    begun = "A growing anomaly" if first.state == GROWING else "A new anomaly"
    kind = KINDS.get(first.kind) or tidy(first.kind, 60)
    words = (
        f"{begun}: {what(first, figures.names)} {kind}, {money(first.actual, currency)} instead of "
        f"{money(first.expected)} on "
        f"{stretch_words(first.first, first.last, figures.this_year)} ({change(first.impact, currency)})"
    )
    others = episodes[1:]
    if not others:
        return f"{words}."
    impact = change(sum((episode.impact for episode in others), Decimal()), currency)
    return f"{words}; {len(others)} more {'has' if len(others) == 1 else 'have'} begun or grown ({impact})."


def _turned_words(figures: DigestFigures) -> str:
    """The OU that has turned red; all that are red, where it is not known what they were."""
    card, before = figures.card, figures.lights_before
    if card is None:
        return ""
    red = [score for score in card.scores[1:] if score.light == RED]
    if before is not None:
        red = [score for score in red if before.get(score.ou) != RED]
    if not red:
        return ""
    red.sort(key=lambda score: (-_over(score), score.ou))
    first = red[0]
    more = f"; {len(red) - 1} more {'OU is' if len(red) == 2 else 'OUs are'} red, too" if red[1:] else ""
    turned = "is" if before is None else "has turned"
    return f"{tidy(first.ou, 60)} {turned} red: its budget {_passing(figures, first)}{more}."


def _fresh(figures: DigestFigures) -> list[Episode]:
    """Anomalies that began or grew since the last mail."""
    return [episode for episode in figures.news if episode.state in (OPEN, GROWING)]


def what(episode: Episode, names: Mapping[str, str]) -> str:
    """`Amazon EC2 in Workloads/Prod, account payments-prod`."""
    ou = "the whole organization" if episode.ou == ALL else tidy(episode.ou, 60)
    place = f"{tidy(episode.service, 60)} in {ou}" if episode.service else ou
    account = tidy(names.get(episode.account, ""), 60) or tidy(episode.account, 60)
    return f"{place}, account {account}" if account else place


def _over(score: Score) -> Decimal:
    likely = score.month_to_date if score.p50 is None else max(score.p50, score.month_to_date)
    return likely - (score.budget or Decimal())
