"""What the archive knows beside the days' rows: scorecards, restated days, unusual costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.analytics import episodes, scorecard
from finops_assets.core.analytics.moves import episode_causes
from finops_assets.core.archive import restatements

if TYPE_CHECKING:
    import pyarrow as pa

    from finops_assets.core.analytics.anomalies import Episode
    from finops_assets.core.analytics.scorecard import Scorecard
    from finops_assets.core.ports import Archive


@dataclass(frozen=True)
class Restated:
    """A day that was written again with other costs.

    Attributes:
        day: the day.
        delta: what its total is more than when it was first archived, exact; 0 where cost only moved between rows.
        seen: when the last change was first seen (UTC).
    """

    day: date
    delta: Decimal
    seen: datetime


@dataclass(frozen=True)
class Outlook:
    """What the archive knows beside the days' rows: lights, budgets and forecasts, what was restated, what is odd.

    Attributes:
        newest: the newest scorecard of the page's days, best the newest day's.
        earlier: of each month before that of `newest`, the scorecard of its last archived day; the order does not
            matter. Budgets and lights of earlier months are taken from them, their costs from the rows.
        restated: the page's days that were restated, each once; see `restated_days`.
        episodes: the anomalies that have a day on the page, each once, in their newest state.
        causes: the cause of each, in a clause, by id, where it is known.
    """

    newest: Scorecard
    earlier: Sequence[Scorecard] = ()
    restated: Sequence[Restated] = ()
    episodes: Sequence[Episode] = ()
    causes: Mapping[str, str] = field(default_factory=dict)


def restated_days(ledger: pa.Table) -> tuple[Restated, ...]:
    """The days of a ledger of restatements (schema RESTATEMENTS), in order."""
    by_day = ledger.group_by("billingdate").aggregate([("delta", "sum"), ("firstseen", "max")])
    columns = (by_day.column(name).to_pylist() for name in ("billingdate", "delta_sum", "firstseen_max"))
    return tuple(sorted((Restated(*row) for row in zip(*columns, strict=True)), key=lambda each: each.day))


def read_outlook(
    archive: Archive, days: Sequence[date], *, restated_as: Callable[[pa.Table], pa.Table] = lambda ledger: ledger
) -> Outlook | None:
    """What the dashboard shows of these (archived, ascending) days beside their rows; None without a scorecard.

    Args:
        archive: has it.
        days: which.
        restated_as: gives the ledger of restatements as it is shown.
    """
    last_of_month = {(day.year, day.month): day for day in days}
    cards = [card for day in last_of_month.values() if (card := scorecard.read(archive, day))]
    if not cards or cards[-1].day != days[-1]:
        return None
    known = {entry.episode.id: entry.episode for entry in episodes.read(archive).notifications}
    known |= {episode.id: episode for episode in cards[-1].episodes}
    shown = [episode for episode in known.values() if episode.last >= days[0]]
    return Outlook(
        newest=cards[-1],
        earlier=cards[:-1],
        restated=restated_days(restated_as(restatements.read(archive, days))),
        episodes=shown,
        causes=episode_causes(archive, shown),
    )
