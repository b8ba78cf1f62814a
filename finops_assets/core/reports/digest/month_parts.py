"""What a month's forecast is made of, in words: usage, and each kind of scheduled charge, so far and to come."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.analytics.forecast import USAGE
from finops_assets.core.analytics.scheduled import SUPPORT
from finops_assets.core.archive.scheduled_costs import CREDIT, FEE, OTHER, REFUND, TAX
from finops_assets.core.money import money
from finops_assets.core.text import tidy

if TYPE_CHECKING:
    from finops_assets.core.analytics.scorecard import Score, Scorecard

BOOKED_SHOWN = 5
"""Refunds and credits that are named: more would hide what else is said of the day."""

LABELS = {
    USAGE: "usage",
    FEE: "purchases and fees",
    SUPPORT: "support",
    TAX: "tax",
    CREDIT: "credits",
    REFUND: "refunds",
    OTHER: "other charges for longer than a day",
}


def part_words(score: Score) -> list[str]:
    """Each part of an OU's month in words, usage first: they sum to its forecast; none where the bill does not tell."""
    return [_words(LABELS.get(part.kind, part.kind), part.so_far, part.to_come, part.why) for part in score.parts]


def _words(label: str, so_far: Decimal, to_come: Decimal | None, why: str) -> str:
    words = f"{label} {money(so_far)} so far"
    if to_come:
        words += f" and {money(to_come)} expected"
    return f"{words} ({tidy(why, 160)})" if why else words


def parts_sentence(score: Score) -> str:
    """All parts in one line; empty where the bill does not tell."""
    return "; ".join(part_words(score))


def booked_notes(card: Scorecard | None, currency: str) -> list[str]:
    """A sentence for each refund, and each credit that comes once, of the day, the largest first."""
    booked = card.booked if card else ()
    told = [each.words(money(abs(each.amount), tidy(currency))) for each in booked[:BOOKED_SHOWN]]
    if others := booked[BOOKED_SHOWN:]:
        together = money(sum((each.amount for each in others), Decimal()), tidy(currency))
        told.append(f"{len(others)} more refunds and credits are booked on the day, {together} together.")
    return told
