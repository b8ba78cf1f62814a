"""What a digest says of the state of the platform: of its days, and of a dashboard that is not current."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from finops_assets.core.errors import FinopsError

if TYPE_CHECKING:
    from finops_assets.core.inspection import Inspector


@dataclass(frozen=True)
class StateNotes:
    """What a digest says beside its figures.

    Attributes:
        dashboard: a sentence where the dashboard does not show every day as it is archived; else empty.
        days: whether all archived days are whole, in a line.
        coverage: where every line of the bill is, in a few sentences.
    """

    dashboard: str = ""
    days: str = ""
    coverage: str = ""


def state_notes(inspector: Inspector, now: datetime) -> StateNotes:
    """The notes as of now (aware, UTC); what cannot be looked at is said, and does not hold up the digest."""
    from finops_assets.core.digest import UNKNOWN_DASHBOARD, dashboard_words

    try:
        look = inspector.cheap(now)
    except FinopsError as error:
        return StateNotes(UNKNOWN_DASHBOARD, f"it is not known whether all days are whole: {error.what}")
    board = look.dashboard
    sentence = UNKNOWN_DASHBOARD if board.unknown else dashboard_words(board.newest, board.outdated, now.year)
    return StateNotes(sentence, look.summary_for_readers, look.coverage_words)
