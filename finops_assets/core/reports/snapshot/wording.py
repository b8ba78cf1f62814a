"""How the pages word changes and shares."""

from __future__ import annotations

from decimal import Decimal

from finops_assets.core.money import CENT, change
from finops_assets.core.reports.digest.words import LOUD, percent_words, share_words

DASH = "–"

PARAGRAPH = 300
"""Characters of a sentence that are shown."""


def tone_of(now: Decimal, before: Decimal) -> str:
    """Only a loud change has a colour."""
    delta = now - before
    if abs(delta) < max(LOUD * abs(before), CENT / 2):
        return "flat"
    return "up" if delta > 0 else "down"


def moved_words(now: Decimal, before: Decimal) -> str:
    """`▲ +4.2 % (+137.22)`."""
    delta = now - before
    arrow = "" if abs(delta) < CENT / 2 else "▲ " if delta > 0 else "▼ "
    share = percent_words(now, before)
    return f"{arrow}{change(delta)}" if share in ("n/a", "new") else f"{arrow}{share} ({change(delta)})"


def share_of_budget(share: Decimal | float | None) -> str:
    if share is None:
        return DASH
    return share_words(float(share))
