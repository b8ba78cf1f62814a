"""What a digest says of a dashboard that is not current."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from finops_assets.core.inspection import Inspector


def dashboard_note(inspector: Inspector) -> str:
    """The sentence for the digest; empty where the dashboard shows every day as it is archived."""
    from finops_assets.core.digest import UNKNOWN_DASHBOARD, dashboard_words

    board = inspector.dashboard()
    return UNKNOWN_DASHBOARD if board.unknown else dashboard_words(board.newest, board.outdated)
