"""What a digest says of a dashboard that is not current."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import TYPE_CHECKING

from finops_assets.core.watch import REFRESHED_PATH

if TYPE_CHECKING:
    from finops_assets.core.ports import Archive


def dashboard_note(archive: Archive) -> str:
    """The sentence for the digest; empty where the dashboard was refreshed since the last day was archived."""
    from finops_assets.core.digest import UNKNOWN_DASHBOARD, dashboard_words

    written, data = archive.written(), archive.get(REFRESHED_PATH)
    if data is None:
        return dashboard_words(None, list(written))
    try:
        facts = json.loads(data)
        shown, made_of = date.fromisoformat(facts["newest_day"]), datetime.fromisoformat(facts["newest_write"])
    except (ValueError, KeyError, TypeError):  # a damaged note does not hold up the digest
        return UNKNOWN_DASHBOARD
    return dashboard_words(shown, [day for day, at in written.items() if at > made_of or day > shown])
