"""What the dashboard shows beside the rows: scorecards, restated days, unusual costs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

from finops_assets.core.analytics import scorecard

if TYPE_CHECKING:
    from finops_assets.core.ports import Archive
    from finops_assets.core.reports.dashboard import Outlook


def outlook(archive: Archive, days: Sequence[date]) -> Outlook | None:
    """What the dashboard shows of these (archived, ascending) days beside their rows; None without a scorecard."""
    from finops_assets.core.analytics import episodes
    from finops_assets.core.archive import restatements
    from finops_assets.core.reports.dashboard import Outlook, restated_days

    last_of_month = {(day.year, day.month): day for day in days}
    cards = [card for day in last_of_month.values() if (card := scorecard.read(archive, day))]
    if not cards or cards[-1].day != days[-1]:
        return None
    known = {told.episode.id: told.episode for told in episodes.read(archive).notifications}
    known |= {episode.id: episode for episode in cards[-1].episodes}
    return Outlook(
        newest=cards[-1],
        earlier=cards[:-1],
        restated=restated_days(restatements.read(archive, days)),
        episodes=[episode for episode in known.values() if episode.last >= days[0]],
    )
