"""What the two pages say: every number already in words, every name already one line."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_assets.core.analytics.doubling import ANSWER_WORDS, question_words
from finops_assets.core.analytics.forecast import WINDOW
from finops_assets.core.calendar import short_day
from finops_assets.core.money import money
from finops_assets.core.reports.digest.front_page import FrontPage, front_page
from finops_assets.core.reports.digest.month_parts import parts_sentence
from finops_assets.core.reports.digest.sentences import late_words
from finops_assets.core.reports.digest.words import (
    basis_words,
    days_words,
    highest_and_lowest,
    settlement_words,
    stretch_words,
)
from finops_assets.core.reports.snapshot.cards import day_card, forecast_card, month_card
from finops_assets.core.reports.snapshot.ou_table import ou_table
from finops_assets.core.reports.snapshot.reasons import anomaly_table, mover_table
from finops_assets.core.reports.snapshot.specs import ROWS_SHOWN, fitting
from finops_assets.core.reports.snapshot.tables import restated_table, service_table, unassigned_table
from finops_assets.core.reports.snapshot.wording import PARAGRAPH
from finops_assets.core.text import tidy

if TYPE_CHECKING:
    from finops_assets.core.analytics.scorecard import Scorecard
    from finops_assets.core.reports.digest.figures import DigestFigures

WARNINGS_SHOWN = 3


def snapshot_path(day: date) -> str:
    """Where a day's snapshot is kept in the archive."""
    return f"executive-snapshots/executive_snapshot_{day}.pdf"


def snapshot_data(
    figures: DigestFigures,
    card: Scorecard | None,
    *,
    names: Mapping[str, str] | None = None,
    revision: int = 1,
) -> dict[str, Any]:
    """What the two pages show: JSON of strings, every number already in words, every name already one line.

    Args:
        figures: of the day.
        card: the day's scorecard; without one there are neither budgets nor forecasts nor anomalies; the pages say so.
        names: account id -> name, for anomalies.
        revision: of the day's digest.
    """
    card = fitting(figures, card)
    currency = tidy(figures.currency)
    day = f"{short_day(figures.day)} {figures.day.year}"
    unit = f"{basis_words(figures.cost_basis)} in {currency}"
    front = front_page(figures)
    sentence = tidy(front.headline, PARAGRAPH)
    settled = figures.facts.settlement
    revised = f", revision {revision}" if revision > 1 else ""
    through = f"{short_day(figures.data_through)} {figures.data_through.year}"
    cards = [day_card(figures, card), month_card(figures, card), forecast_card(figures, card)]
    ous = ou_table(figures, card)
    return {
        "date": figures.day.isoformat(),
        "title": f"Cloud cost, {day}: executive snapshot",
        "kicker": f"Cloud cost · executive snapshot · {day}{revised}",
        "stamp": f"{unit} · {settled} · data through {through}",
        "footer": f"{day}{revised} · {unit} · {settled}",
        "headline": sentence,
        "matters": _matters(front),
        "headline_size": 15 if len(sentence) <= 160 else 12 if len(sentence) <= 230 else 10.5,
        "warnings": _warnings(figures, card),
        "cards": cards,
        "card_height": 51 + 12.2 * max(len(c["details"]) + bool(c["light"]) for c in cards),
        "ous": ous,
        "services": service_table(figures, ROWS_SHOWN - len(ous["rows"])),
        "movers": mover_table(figures, card),
        "anomalies": anomaly_table(figures, card, names or {}),
        "restated": restated_table(figures),
        "unassigned": unassigned_table(figures),
        "method": _method(figures, card, through),
        "alts": _alts(figures, card),
    }


def _matters(front: FrontPage) -> list[str]:
    """The headline's cause, the OUs that are red, and the open anomalies: a line each, as the mail says them."""
    lines = [f"{front.because[0].upper()}{tidy(front.because[1:], 150)}."] if front.because else []
    if front.red:
        named = [f"{tidy(row.ou, 40)} ({row.amount})" for row in front.red]
        lines.append(f"Red: {'; '.join([*named, *filter(None, [front.red_more])])}.")
    if front.anomalies:
        named = [f"{tidy(row.what, 60)} ({row.amount}, {row.id})" for row in front.anomalies]
        lines.append(f"Open anomalies: {'; '.join([*named, *filter(None, [front.anomalies_more])])}.")
    return lines


def _warnings(figures: DigestFigures, card: Scorecard | None) -> list[str]:
    """What must be known before any number is read."""
    questions = card.questions[-1:] if card else ()
    asked = [question_words(each, tidy(figures.currency)) for each in questions]
    asked += [f"{ANSWER_WORDS} {each.answer}" for each in questions]
    sentences = [*asked, late_words(figures) or figures.age_sentence, *figures.notes, *(card.notes if card else ())]
    if figures.month.missing:
        days = days_words(figures.month.missing, figures.this_year)
        sentences.append(f"There is no data for {days}: the month to date is without them.")
    shown = [tidy(sentence, PARAGRAPH) for sentence in sentences if sentence]
    kept = WARNINGS_SHOWN + len(asked)
    left = len(shown) - kept
    return shown if left <= 0 else [*shown[:kept], f"The digest says {left} more."]


# How far it can be trusted


def _method(figures: DigestFigures, card: Scorecard | None, through: str) -> list[tuple[str, str]]:
    facts = figures.facts
    lines = [
        ("Settlement", f"{settlement_words(facts)}. Data through {through}."),
        (
            "Amounts",
            f"{basis_words(figures.cost_basis)} in {tidy(figures.currency)}, by UTC day, exact, shown in cents."
            + (f" {tidy(figures.rates, PARAGRAPH)}" if figures.rates else ""),
        ),
        ("Forecast", _forecast_words(card)),
    ]
    if card:
        lines.append(
            (
                "Lights",
                "red: over the budget, or expected to be; amber: near it, or the band reaches over it; green: within.",
            )
        )
    links = "; ".join(f"{label}: {url}" for label, url in figures.links.items() if url.startswith("https://"))
    if links:
        lines.append(("More", tidy(links, PARAGRAPH)))
    if facts.left_out:
        lines.append(("Left out", tidy("; ".join(facts.left_out), PARAGRAPH)))
    return lines


def _forecast_words(card: Scorecard | None) -> str:
    if card is None:
        return "none, as there is no scorecard of the day."
    if card.whole.p50 is None:
        return f"none yet: {tidy(card.why_no_forecast, 120) or 'too little history'}."
    error = "too few past forecasts to test it on" if card.error is None else f"median error {card.error * 100:.1f} %"
    parts = parts_sentence(card.whole)
    made = f"{parts}. How: " if parts else ""
    why = f"{tidy(card.why_whole, 200)}; " if card.why_whole else ""
    return (
        f"{made}month to date, plus a smoothed level times weekday factors of the last {WINDOW} days for the days left"
        f"{', and scheduled charges that come again' if parts else ''}; {why}back-tested on past months: {error}."
    )


def _alts(figures: DigestFigures, card: Scorecard | None) -> dict[str, str]:
    """The charts for those who do not see them."""
    currency = tidy(figures.currency)
    totals = {d: sum(costs.values(), Decimal()) for d, costs in figures.costs.items()}
    month = f"Chart: month to date {money(figures.month.total, currency)}"
    if card and card.whole.budget is not None:
        month += f", budget {money(card.whole.budget, currency)}"
    if card and card.whole.p50 is not None:
        month += f", forecast {money(card.whole.p50, currency)}"
    return {
        "month": f"{month}.",
        "daily": (
            f"Chart: daily cost by OU, {stretch_words(min(totals), figures.day, figures.this_year)}, in {currency}. "
            f"{highest_and_lowest(figures, totals)}"
        ),
    }
