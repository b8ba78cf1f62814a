"""What a digest says of the state of the platform: of its days, and of a dashboard that is not current."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from finops_assets.core.errors import FinopsError

if TYPE_CHECKING:
    from finops_assets.core.inspection import Inspector


def dashboard_note(inspector: Inspector) -> str:
    """The sentence for the digest; empty where the dashboard shows every day as it is archived."""
    from finops_assets.core.digest import UNKNOWN_DASHBOARD, dashboard_words

    board = inspector.dashboard()
    return UNKNOWN_DASHBOARD if board.unknown else dashboard_words(board.newest, board.outdated)


def days_note(inspector: Inspector, now: datetime) -> str:
    """Whether all archived days are whole, in a line; a part that cannot be looked at does not hold up the digest."""
    try:
        return inspector.cheap(now).summary_for_readers
    except FinopsError as error:
        return f"it is not known whether all days are whole: {error.what}"
