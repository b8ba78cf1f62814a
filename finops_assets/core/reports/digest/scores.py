"""The scorecard in the digest's words: the sentence that matters, lights by OU, anomalies, and why the cost moved.

Imported where it is used: it knows the lights of `core.budgets`, which loads Arrow.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_assets.core.accounts.ous import ALL
from finops_assets.core.analytics.anomalies import (
    CLOSED,
    DRIFT,
    DROP,
    GROWING,
    NEW,
    OPEN,
    PLANNED,
    RISE,
    VANISHED,
    WITHDRAWN,
)
from finops_assets.core.analytics.budgets import AMBER, NONE, RED, SHAPES
from finops_assets.core.analytics.drivers import EFFECTS
from finops_assets.core.money import CENT, change, money, to_cents
from finops_assets.core.reports.digest.figures import DigestFigures, Mover
from finops_assets.core.reports.digest.words import headline, percent_words, stretch_words
from finops_assets.core.text import tidy

if TYPE_CHECKING:
    from finops_assets.core.analytics.anomalies import Episode
    from finops_assets.core.analytics.scorecard import Score

OUS_SHOWN = 20
"""OUs in the table beside the whole, so that the mail of a large organization is not clipped at 102 KB."""

ANOMALIES_SHOWN = 8
MONTHS = tuple(
    "January February March April May June July August September October November December".split()  # noqa: SIM905
)
KINDS = {
    RISE: "costs more than expected",
    DROP: "costs less than expected",
    DRIFT: "has drifted from its level",
    NEW: "is new",
    VANISHED: "has vanished",
}
METHOD = (
    "month to date, and for each day that is left its usual level times its weekday's factor; the range is where about "
    "80 % of past months ended"
)


# --- sentences ----------------------------------------------------------------------------------------------------


def matters(figures: DigestFigures) -> str:
    """The one sentence of what matters: the budget that is passed, else what is not as expected, else what moved."""
    found = (say(figures) for say in (_budget_words, _anomaly_words, _turned_words))
    return next(filter(None, found), None) or headline(figures)


def light_words(score: Score) -> str:
    """`■ red`: never by colour alone."""
    return f"{SHAPES[score.light]} {score.light}"


def subject_light(figures: DigestFigures) -> str:
    """The light of the whole, or of the edition's OU, for the subject; empty without a budget."""
    score = figures.score
    return "" if score is None or score.light == NONE else light_words(score)


def _budget_words(figures: DigestFigures) -> str:
    """That the budget of the whole, or of the edition's OU, is passed or expected to be."""
    score = figures.score
    if score is None or score.light != RED:
        return ""
    whose = f"{MONTHS[figures.day.month - 1]}'s budget{f' for {tidy(figures.ou, 60)}' if figures.ou else ''}"
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
    found = sorted(fresh(figures), key=lambda episode: -abs(episode.impact))
    if not found:
        return ""
    first, currency = found[0], tidy(figures.currency)
    begun = "A growing anomaly" if first.state == GROWING else "A new anomaly"
    kind = KINDS.get(first.kind) or tidy(first.kind, 60)
    words = (
        f"{begun}: {what(first, figures.names)} {kind}, {money(first.actual, currency)} instead of "
        f"{money(first.expected)} on "
        f"{stretch_words(first.first, first.last, figures.this_year)} ({change(first.impact, currency)})"
    )
    others = found[1:]
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


def fresh(figures: DigestFigures) -> list[Episode]:
    """Anomalies that began or grew since the last mail."""
    return [episode for episode in figures.news if episode.state in (OPEN, GROWING)]


def what(episode: Episode, names: Mapping[str, str]) -> str:
    """`Amazon EC2 in Workloads/Prod, account payments-prod`."""
    ou = "the whole organization" if episode.ou == ALL else tidy(episode.ou, 60)
    place = f"{tidy(episode.service, 60)} in {ou}" if episode.service else ou
    account = tidy(names.get(episode.account, ""), 60) or tidy(episode.account, 60)
    return f"{place}, account {account}" if account else place


def forecast_words(figures: DigestFigures) -> str:
    """How the forecast is made and how wrong it was; why there is none, where there is none."""
    card = figures.card
    if card is None:
        return ""
    if figures.score.p50 is None:
        return f"nothing is forecast: {tidy(card.why_no_forecast, 200) or 'its history is too short'}"
    if card.error is None:
        known = "; its error is known for the whole organization only" if figures.ou else ""
        return METHOD + (known or "; its error is not known yet, as too few past months can be tried")
    return f"{METHOD}. Tried on past days, it was {_percent(card.error)} off (median, whole organization)"


def _over(score: Score) -> Decimal:
    likely = score.month_to_date if score.p50 is None else max(score.p50, score.month_to_date)
    return likely - (score.budget or Decimal())


def share_words(share: float) -> str:
    return f"{share * 100:.0f} %" if share < 100 else "over 100 times"


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"


# --- what the templates show --------------------------------------------------------------------------------------


def card_view(figures: DigestFigures) -> dict[str, Any]:
    """What the templates show of the scorecard; `scores` is empty without one."""
    card = figures.card
    if card is None:
        return {"scores": [], "light": None, "month_words": "", "rest_words": "", "lights_words": ""} | _no_details()
    shown = _shown(card.scores[1:])
    score = card.scores[0]
    names = {one.ou for one in (score, *shown)}
    rest = [one for one in card.scores if one.ou not in names]
    return {
        "scores": [_score_row(figures, one, names) for one in (score, *shown)],
        "has_budgets": any(one.budget is not None for one in card.scores),
        "has_forecasts": any(one.p50 is not None for one in card.scores),
        "light": _light(score) if score.light != NONE else None,
        "light_reason": tidy(score.reason, 200),
        "month_words": month_words(figures),
        "rest_words": _rest_words(figures, rest),
        "lights_words": ", ".join(f"{shape} {light}" for light, shape in SHAPES.items())
        + ": the month, as it is and as it is expected, against the budget",
        "forecast_words": forecast_words(figures),
        **_anomalies_view(figures),
        **_why_view(figures),
    }


def _no_details() -> dict[str, Any]:
    return {"why": [], "why_total": "", "anomalies": [], "anomalies_others": "", "forecast_words": ""}


def _shown(scores: Sequence[Score]) -> list[Score]:
    """The OUs of the table: red and amber ones first, then the most expensive, each below those it belongs to."""
    if len(scores) <= OUS_SHOWN + 2:
        return list(scores)
    there = {score.ou: score for score in scores}
    urgent = {RED: 0, AMBER: 1}
    kept: set[str] = set()
    for score in sorted(scores, key=lambda s: (urgent.get(s.light, 2), -abs(s.cost), s.ou)):
        needed = {above for above in (*_above(score.ou), score.ou) if above in there} - kept
        if len(kept) + len(needed) <= OUS_SHOWN:
            kept |= needed
    return [score for score in scores if score.ou in kept]


def _above(ou: str) -> list[str]:
    return [ou[:at] for at, character in enumerate(ou) if character == "/"]


def _score_row(figures: DigestFigures, score: Score, shown: Collection[str]) -> dict[str, Any]:
    top = score.ou == figures.card.scores[0].ou
    above = [] if top else [ou for ou in _above(score.ou) if ou in shown]
    name = score.ou[len(above[-1]) + 1 :] if above else score.ou
    if top and not figures.ou:
        name = "All"
    before = figures.lights_before.get(score.ou) if figures.lights_before is not None else None
    worse = score.light in (RED, AMBER)
    return {
        "name": tidy(name, 80) or "(no name)",
        "depth": min(len(above), 5),
        "top": top,
        "light": _light(score),
        "was": f"was {before}" if before and before != score.light else "",
        "reason": tidy(score.reason, 200) if worse else "",
        "when": _when(score, figures) if worse else "",
        "cost": money(score.cost),
        "change": _against_words(figures, score),
        "month": money(score.month_to_date),
        "budget": "" if score.budget is None else money(score.budget),
        "share": "" if score.share is None else share_words(score.share),
        "forecast": "" if score.p50 is None else money(score.p50),
        "band": _band(score),
        "anomaly": score.anomaly.id if score.anomaly else "",
    }


def _when(score: Score, figures: DigestFigures) -> str:
    """What the columns do not say: the day of the budget; the whole reason, where nothing is forecast."""
    if score.p50 is None:
        return tidy(score.reason, 200)
    if score.passed is None:
        return "may be passed" if score.p90 is not None and score.p90 > (score.budget or 0) else ""
    return f"{'passed' if score.passed <= figures.day else 'passes its budget'} on {figures.short_day(score.passed)}"


def _light(score: Score) -> dict[str, str]:
    return {"shape": SHAPES[score.light], "word": score.light, "tone": score.light.replace(" ", "")}


def _band(score: Score) -> str:
    """`11,234–13,457`: in whole units, as it is an estimate."""
    if score.p10 is None or score.p90 is None:
        return ""
    low, high = (f"{round(amount):,}" if abs(amount) >= 100 else money(amount) for amount in (score.p10, score.p90))
    return f"{low}–{high}"


def _against_words(figures: DigestFigures, score: Score) -> dict[str, str] | None:
    against = figures.movers_against
    if against is None:
        return None
    before = subtree_cost(figures.costs[against.day], score.ou, whole=score.ou == ALL)
    delta = score.cost - before
    return {
        "percent": percent_words(score.cost, before),
        "arrow": "" if abs(delta) < CENT / 2 else "▲" if delta > 0 else "▼",
        "tone": "flat" if abs(delta) < max(abs(before) / 20, CENT / 2) else "up" if delta > 0 else "down",
    }


def subtree_cost(costs: Mapping[str, Decimal], ou: str, *, whole: bool = False) -> Decimal:
    """The cost of an OU with what lies below it, of costs by OU."""
    from finops_assets.core.accounts.ous import within

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


def month_words(figures: DigestFigures) -> str:
    """The chart of the month for those who do not see it."""
    score, currency = figures.score, tidy(figures.currency)
    month = MONTHS[figures.day.month - 1]
    words = f"Chart: {month} against budget and forecast. To {figures.short_day(figures.day)}: "
    words += money(score.month_to_date, currency)
    words += "" if score.budget is None else f" of a budget of {money(score.budget)}"
    if score.p50 is not None:
        band = _band(score)
        words += f". Expected by the month's end: {money(score.p50)}{f' ({band})' if band else ''}"
    return f"{words}. {light_words(score)}: {tidy(score.reason, 200)}."


# --- anomalies ----------------------------------------------------------------------------------------------------


def _anomalies_view(figures: DigestFigures) -> dict[str, Any]:
    """What is news, then what still lasts; what ended before the last mail has been told."""
    told = {episode.id for episode in figures.news}
    lasting = [e for e in figures.card.episodes if e.id not in told and e.state in (OPEN, GROWING, PLANNED)]
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
    reason = tidy(episode.reason, 300)
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


def _effects(figures: DigestFigures) -> dict[tuple[str, str, str], Mapping[str, Decimal]]:
    """(OU, service, account) -> effects; empty where they are not of the days that the digest compares."""
    drivers, against = figures.card.drivers, figures.movers_against
    if drivers is None or against is None or (drivers.day, drivers.against) != (figures.day, against.day):
        return {}
    return {(driver.ou, driver.service, driver.account): driver.effects for driver in drivers.drivers}


def _why_view(figures: DigestFigures) -> dict[str, Any]:
    """Each effect's part of the change, in cents that add up to it; nothing where the parts are not the whole of it."""
    from finops_assets.core.analytics.drivers import summed

    against = figures.movers_against
    if against is None or against.total is None or not _effects(figures):
        return {"why": [], "why_total": ""}
    delta = figures.total - against.total
    sums = summed(figures.card.drivers, ALL)
    if not sums or not _is(sums, delta):
        return {"why": [], "why_total": ""}
    ranked = sorted(sums.items(), key=lambda item: -abs(item[1]))
    cents = {name: to_cents(amount) for name, amount in ranked}
    cents[ranked[0][0]] += to_cents(delta) - sum(cents.values(), Decimal())
    return {
        "why": [(EFFECTS.get(name, name), change(amount)) for name, amount in cents.items() if amount],
        "why_total": change(delta),
    }


def reasons(figures: DigestFigures, movers: Iterable[Mover]) -> list[str]:
    """Why each of the movers moved, in words; empty where that is not known."""
    from finops_assets.core.analytics.drivers import words

    known = _effects(figures) if figures.card else {}
    found = []
    for mover in movers:
        effects = known.get((mover.ou, mover.service, mover.account), {})
        found.append(words(effects, "") if effects and _is(effects, mover.delta) else "")
    return found


def _is(effects: Mapping[str, Decimal], delta: Decimal) -> bool:
    """Whether the effects add up to the change; rows have a double's last digits less than the bill."""
    from finops_assets.core.archive.registering import HALF_A_CENT

    return abs(sum(effects.values(), Decimal()) - delta) < HALF_A_CENT
