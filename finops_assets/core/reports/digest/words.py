"""Words for days, changes, lights and the bill's terms, as every report writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.analytics.budgets import SHAPES
from finops_assets.core.bill.providers import providers_in_words
from finops_assets.core.calendar import contiguous, short_day
from finops_assets.core.money import MANY_TIMES, money, percent, times
from finops_assets.core.reports.digest.figures import DayFacts, DigestFigures
from finops_assets.core.text import tidy

if TYPE_CHECKING:
    from finops_assets.core.analytics.scorecard import Score


def percent_words(now: Decimal, before: Decimal) -> str:
    """`core.money.percent`, without a sign where it rounds to zero."""
    words = percent(now, before)
    return "0.0 %" if words in ("+0.0 %", "-0.0 %") else words


def days_words(days: Sequence[date], this_year: int | None = None) -> str:
    """`1-3 Aug, 29 Aug`: ascending days, stretches drawn together."""
    return ", ".join(stretch_words(days[0], days[-1], this_year) for days in contiguous(days))


def stretch_words(first: date, last: date, this_year: int | None = None) -> str:
    """`1-3 Sep` (with an en dash), or `13 Jun to 9 Sep`; with years where they are not `this_year`, the reader's."""
    end = short_day(last, weekday=False, this_year=this_year)
    if first == last:
        return end
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day}\u2013{end}"
    return f"{short_day(first, weekday=False, this_year=this_year if first.year != last.year else None)} to {end}"


BASES = {
    "billed": "billed cost",
    "effective": "effective cost, amortized",
    "unblended": "unblended cost",
    "net_unblended": "net unblended cost",
    "net_amortized": "net amortized cost",
}

SETTLEMENTS = {
    "provisional": "provisional: {providers} may still change it",
    "stable": "stable: unchanged over the last refreshes of the bill",
    "closed": "closed: {providers} no longer change{s} it",
}


def settlement_words(facts: DayFacts) -> str:
    """`closed: AWS no longer changes it`; of several providers, `AWS and Microsoft no longer change it`."""
    one = len(facts.providers) <= 1
    words = SETTLEMENTS.get(facts.settlement, facts.settlement)
    return words.format(providers=tidy(providers_in_words(facts.providers), 120), s="s" if one else "")


SCHEDULED = {
    "Purchase": "purchases and fees",
    "Tax": "tax",
    "Credit": "credits",
    "Refund": "refunds",
    "Correction": "corrections",
}
"""Charge categories that are never usage of the day; `core.bill` marks their lines as scheduled in every format."""

LONG_CHARGES = "usage and other charges for longer than a day"

LOUD = Decimal("0.05")
"""Changes of at least 5 % are coloured: colour that is everywhere says nothing."""


def scheduled_lines(facts: DayFacts) -> list[tuple[str, Decimal]]:
    """The day's scheduled charges in words, by category; they sum to `facts.scheduled`."""
    lines = [(words, facts.by_category[name]) for name, words in SCHEDULED.items() if facts.by_category.get(name)]
    rest = facts.scheduled - sum((cost for _, cost in lines), Decimal())
    return [*lines, (LONG_CHARGES, rest)] if rest else lines


def basis_words(cost_basis: str) -> str:
    """`billed` -> `billed cost`."""
    return BASES.get(cost_basis, cost_basis)


MONTH_NAMES = tuple(
    "January February March April May June July August September October November December".split()  # noqa: SIM905
)


def light_words(score: Score) -> str:
    """`■ red`: never by colour alone."""
    return f"{SHAPES[score.light]} {score.light}"


def share_words(share: float) -> str:
    """`94 %`; over ten times `12 x`."""
    return f"{share * 100:.0f} %" if share <= MANY_TIMES else times(share)


def band_words(score: Score) -> str:
    """`11,234–13,457`: in whole units, as it is an estimate; empty where there is none, as of a month that is over."""
    if score.p10 is None or score.p90 is None or score.p10 == score.p90:
        return ""
    low, high = (f"{round(amount):,}" if abs(amount) >= 100 else money(amount) for amount in (score.p10, score.p90))
    return f"{low}–{high}"


def highest_and_lowest(figures: DigestFigures, totals: Mapping[date, Decimal]) -> str:
    """`Highest Mon 1 Sep: 4,566.23. Lowest Sun 7 Sep: 2,637.45.`"""
    low, high = (of(totals, key=lambda day: totals[day]) for of in (min, max))
    return (
        f"Highest {figures.short_day(high)}: {money(totals[high])}. "
        f"Lowest {figures.short_day(low)}: {money(totals[low])}."
    )
