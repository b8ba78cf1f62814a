"""The three cards at the head of the first page: the day, the month, its forecast."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from finops_assets.core.calendar import month_end
from finops_assets.core.money import money
from finops_assets.core.reports.digest.words import percent_words, stretch_words
from finops_assets.core.reports.snapshot.wording import moved_words, share_of_budget, tone_of
from finops_assets.core.text import tidy

if TYPE_CHECKING:
    from finops_assets.core.analytics.scorecard import Scorecard
    from finops_assets.core.reports.digest.figures import DigestFigures


def _card(label: str, big: str, details: Iterable[tuple[str, str]], light: str | None = None) -> dict[str, Any]:
    return {
        "label": label,
        "big": big,
        "light": light,
        "details": [{"words": words, "tone": tone} for words, tone in details],
    }


def day_card(figures: DigestFigures, card: Scorecard | None) -> dict[str, Any]:
    details = []
    for against in (figures.last_week, figures.day_before):
        other = figures.short_day(against.day)
        if against.total is None:
            details.append((f"no data to compare with {other}", "flat"))
        else:
            tone = tone_of(figures.total, against.total)
            details.append((f"{moved_words(figures.total, against.total)} vs {other}", tone))
    if card and card.whole.low is not None and card.whole.high is not None:
        details.append((f"expected {money(card.whole.low)} to {money(card.whole.high)}", "flat"))
    return _card(f"{figures.short_day(figures.day)}, {tidy(figures.currency)}", money(figures.total), details)


def month_card(figures: DigestFigures, card: Scorecard | None) -> dict[str, Any]:
    month = figures.month
    label = f"Month to date, {stretch_words(month.first, month.last, figures.this_year)}, {tidy(figures.currency)}"
    total = card.whole.month_to_date if card else month.total
    details = []
    if month.before is not None:
        same_days = stretch_words(
            month.before_first, month.before_first + (month.last - month.first), figures.this_year
        )
        details.append((f"{percent_words(total, month.before)} vs {same_days} ({money(month.before)})", "flat"))
    whole = card.whole if card else None
    if whole and whole.budget is not None:
        if whole.budget:
            share = share_of_budget(total / whole.budget)
            details.insert(0, (f"{share} of the budget of {money(whole.budget)}", "flat"))
        else:
            details.insert(0, ("the budget is 0.00", "flat"))
    else:
        details.insert(0, ("no budget for all OUs together", "flat"))
    return _card(label, money(total), details)


def forecast_card(figures: DigestFigures, card: Scorecard | None) -> dict[str, Any]:
    end = figures.short_day(month_end(figures.day), weekday=False)
    label = f"Month's forecast to {end}, {tidy(figures.currency)}"
    if card is None:
        return _card(label, "not made", [("there is no scorecard of the day", "flat")])
    whole = card.whole
    if whole.p50 is None:
        why = tidy(card.why_no_forecast, 90) or "too little history"
        return _card(label, "none yet", [(why, "flat")], whole.light)
    details = []
    if figures.day == month_end(figures.day):
        details.append(("the month is complete", "flat"))
    elif whole.p10 is None or whole.p90 is None:
        details.append(("too few past forecasts for a band", "flat"))
    else:
        details.append((f"80 % band: {money(whole.p10)} to {money(whole.p90)}", "flat"))
    if whole.budget is not None:
        left = whole.budget - whole.p50
        details.append((f"{money(abs(left))} {'under' if left >= 0 else 'over'} the budget", "flat"))
        if whole.passed:
            was = "passed" if whole.passed <= figures.day else "will be passed"
            details.append((f"it {was} on {figures.short_day(whole.passed, weekday=False)}", "flat"))
    return _card(label, money(whole.p50), details, whole.light)
