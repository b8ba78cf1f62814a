"""What a digest says of the state of the platform: of its days, and of a dashboard that is not current."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from finops_assets.core.errors import FinopsError
from finops_assets.core.reports.digest import UNKNOWN_DASHBOARD, dashboard_words
from finops_assets.core.reports.digest.notes import StateNotes

if TYPE_CHECKING:
    from finops_assets.core.operations.inspector import Inspector


def state_notes(inspector: Inspector, now: datetime) -> StateNotes:
    """The notes as of now (aware, UTC); what cannot be inspected is said, and does not hold up the digest."""
    try:
        inspection = inspector.cheap(now)
    except FinopsError as error:
        return StateNotes(UNKNOWN_DASHBOARD, f"it is not known whether all days are whole: {error.what}")
    board = inspection.dashboard
    sentence = UNKNOWN_DASHBOARD if board.unknown else dashboard_words(board.newest, board.outdated, now.year)
    coverage = " ".join([inspection.coverage_words, *(f"{words.rstrip('.')}." for words in inspection.warnings)])
    return StateNotes(sentence, inspection.summary_for_readers, coverage)
