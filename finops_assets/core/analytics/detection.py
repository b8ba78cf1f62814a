"""Finds the anomalies of a history of costs.

A day is judged with the days up to it alone (`core.analytics.deviations` has the rule), so that what is reported of it
stays true as days pass, and all days of a backfill are judged at once. OUs with what lies below them, their services
and their accounts are all judged; one cause shows in several of them and is reported once, of the smallest part that
explains most of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.accounts.ous import ALL
from finops_assets.core.analytics.anomalies import NEARLY_ALL, WHOLE, Doubled, Key, to_estimate
from finops_assets.core.analytics.anomaly_history import AnomalyHistory
from finops_assets.core.analytics.cost_series import SeriesTable, series_table
from finops_assets.core.analytics.day_notes import column_parts, find_blind_days, find_holidays
from finops_assets.core.analytics.deviations import SHARE, Deviations, deviations
from finops_assets.core.analytics.episode_builder import EpisodeBuilder
from finops_assets.core.analytics.events import Event, planned
from finops_assets.core.analytics.renames import Renamed, find_renames, newest_names, under_new_names
from finops_assets.core.archive.cost_history import CostHistory

if TYPE_CHECKING:
    import numpy as np

HISTORY = 200
"""Days before the first day of interest that are best given: three firsts of a month, each with its own level."""

TWICE = (1.6, 3.4)
"""Times of what was expected that all together must cost on a doubled day: a file delivered two or three times."""

NEAR, NEAR_NOISY = 0.4, 0.75
"""How far from those times, as a share of them, a single series may be: twice its usual deviation, but at least the one
and at most the other. With 1.6 to 3.4 times for each, 3 of 20 trebled days were found in data with noise of 20 %."""

UP = 0.3
"""Of the whole's excess, as a share, that nearly all series must have at least, however noisy they are."""

MOST_TIMES = 5.0
"""More than this counts as this, and a credit as nothing: one series that is far off does not make all so."""

LEAST_DOUBLED = 3
"""Series that must be doubled: one or two alone are an anomaly."""

RESTATED = 0.5
"""Of a day's excess, from which on a restatement explains it."""

Restated = Mapping[date, Mapping[Key, Decimal]]
"""day -> key -> by how much a cost was changed after its day had settled."""


@dataclass(frozen=True)
class Threshold:
    """What a day must be off at least to be an anomaly.

    Attributes:
        currency: of every cost.
        floor: in money; what never costs so much is not judged, except OUs.
        share: of what was expected.
    """

    currency: str
    floor: Decimal
    share: float = SHARE


def detect(
    costs: CostHistory,
    threshold: Threshold,
    *,
    unsettled: Collection[date] = (),
    restated: Restated | None = None,
    events: Sequence[Event] = (),
    names: Mapping[str, str] | None = None,
    usage: bool = False,
) -> AnomalyHistory:
    """Judge every day, as of that day.

    Args:
        costs: of every service of every account, best `HISTORY` days before the first day of interest. A day between
            its days is a hole and is not judged; what has no cost on one of them cost nothing.
        threshold: what a day must be off at least.
        unsettled: days that may still be incomplete; a drop on them is not reported.
        restated: days that are odd by a restatement alone are not reported.
        events: what is planned.
        names: account id -> name.
        usage: whether these are costs of usage, without fees and tax.
    """
    import numpy as np

    floor, share = float(threshold.floor), threshold.share
    archived = costs.days
    calendar = (
        [archived[0] + timedelta(days=n) for n in range((archived[-1] - archived[0]).days + 1)] if archived else []
    )
    settled = sorted(set(archived) - set(unsettled))
    known = set(archived)
    renamed = find_renames(costs, unsettled)
    costs = under_new_names(costs, renamed)
    table = series_table(costs, calendar, floor)

    loud = np.array([key == WHOLE for key in table.keys])

    def judge(values: np.ndarray) -> Deviations:
        return deviations(values, calendar, share=share, floor=floor, loud=loud, usage=usage)

    if table.keys:
        changed = {day: _renamed(deltas, renamed) for day, deltas in (restated or {}).items() if day in known}
        judged, doubled = _DoubledDays(table, events, changed).judged_without(judge)
        _drop_explained(table, judged, settled, changed)
        leaves = np.array([bool(key[1] and key[2]) for key in table.keys])
        down, holidays = find_holidays(table, judged, leaves)
        judged.drop[:, down] = False
    else:
        judged, doubled, holidays = Deviations.of_nothing(len(calendar)), (), ()
    return AnomalyHistory(
        currency=threshold.currency,
        share=share,
        archived=archived,
        settled=settled,
        events=tuple(events),
        names=dict(names or {}),
        doubled=doubled,
        table=table,
        judged=judged,
        runs=EpisodeBuilder(table, judged, share, floor).runs(),
        renamed=renamed,
        holidays=holidays,
        blind=find_blind_days(archived),
    )


def _renamed(deltas: Mapping[Key, Decimal], renames: Collection[Renamed]) -> Mapping[Key, Decimal]:
    """A day's changes with renamed services under their new names: a day that was only named anew has none."""
    names = newest_names(renames)
    sums: dict[Key, Decimal] = {}
    for (ou, service, account), delta in deltas.items():
        key = ou, names.get(service, service), account
        sums[key] = sums.get(key, Decimal()) + delta
    return sums


def _changed_by(table: SeriesTable, row: int, deltas: Mapping[Key, Decimal]) -> Decimal:
    """By how much a restatement has changed the costs of a row together."""
    of_row = {table.history.keys[member] for member in table.members[row]}
    return sum((delta for key, delta in deltas.items() if key in of_row), Decimal())


class _DoubledDays:
    """Days on which nearly everything costs about twice what was expected, and that no event explains."""

    def __init__(self, table: SeriesTable, events: Sequence[Event], restated: Restated) -> None:
        import numpy as np

        self._table, self._events, self._restated = table, events, restated
        self._leaves = np.array([bool(key[1] and key[2]) for key in table.keys])  # one service of one account each

    def judged_without(self, judge: Callable[[np.ndarray], Deviations]) -> tuple[Deviations, tuple[Doubled, ...]]:
        """How far each day is off, where doubled days count as what was expected of them; and the doubled days.

        Where the history is too short to expect anything, what a restated day had before counts as expected.

        A pass finds the doubled days that the median still tells apart, two weeks of a stretch; the days after those
        show when these are put right. Of the table, doubled days are taken out.
        """
        import numpy as np

        table, judged = self._table, judge(self._table.values)
        nothing_expected = ~np.isfinite(judged.expected[self._leaves]).any(axis=0)
        young = {day: deltas for day, deltas in self._restated.items() if nothing_expected[table.column(day)]}
        before = self._before_restatement(young)
        doubled: dict[int, Doubled] = {}
        while True:
            newly = {table.column(each.day): each for each in self._find(judged, before)}
            is_complete = newly.keys() <= doubled.keys()
            doubled |= newly
            if is_complete:
                break
            once = table.values.copy()
            for column, each in doubled.items():
                once[:, column] *= float(each.expected / each.actual)
            judged = judge(once)
        if doubled:
            table.values[:, list(doubled)] = float("nan")
            for flags in (judged.rise, judged.drop, judged.drift, judged.new):
                flags[:, list(doubled)] = False
        return judged, tuple(doubled[column] for column in sorted(doubled))

    def _before_restatement(self, restated: Restated) -> dict[int, tuple[np.ndarray, Decimal]]:
        """What the rows of restated days, and these days in all, cost before: column -> (floats, exact total)."""
        import numpy as np

        table, before = self._table, {}
        for day, deltas in restated.items():
            column = table.column(day)
            off = [float(_changed_by(table, row, deltas)) for row in range(len(table.members))]
            whole = table.exact(table.whole_row(column), column) - sum(deltas.values(), Decimal())
            before[column] = table.values[:, column] - np.array(off), whole
        return before

    def _find(self, judged: Deviations, before: Mapping[int, tuple[np.ndarray, Decimal]]) -> Iterator[Doubled]:
        import numpy as np

        table = self._table
        parts = [self._nearly_all(judged, before, part) for part in column_parts(len(table.calendar))]
        for column in np.flatnonzero(np.concatenate(parts)).tolist():
            row = table.whole_row(column)
            usual = float(judged.expected[row, column])
            if not math.isnan(usual):
                expected_in_all = to_estimate(usual)
            elif column in before:
                expected_in_all = before[column][1]
            else:
                continue
            day = table.calendar[column]
            if not planned(self._events, ALL, "", day, day):
                yield Doubled(day, expected_in_all, table.exact(row, column))

    def _nearly_all(
        self, judged: Deviations, before: Mapping[int, tuple[np.ndarray, Decimal]], columns: slice
    ) -> np.ndarray:
        """Whether nearly everything has doubled, for each of these days."""
        import numpy as np

        leaves, values = self._leaves, self._table.values[self._leaves, columns]
        expected = np.where(np.isfinite(values), judged.expected[leaves, columns], np.nan)
        for column, (costs, _) in before.items():
            if columns.start <= column < columns.stop:
                expected[:, column - columns.start] = costs[leaves]
        usable = np.isfinite(expected) & (expected > 0)
        with np.errstate(all="ignore"):
            known = np.where(usable, expected, 0.0)
            weight = known.sum(axis=0)
            times = np.where(usable, values / expected, np.nan)
            of_all = (np.nan_to_num(np.clip(times, 0, MOST_TIMES)) * known).sum(axis=0) / weight
            usual = np.nan_to_num(2 * judged.deviation[leaves, columns] / expected)
            twice = np.abs(times - of_all) <= np.clip(usual, NEAR, NEAR_NOISY) * of_all
            twice &= times >= 1 + UP * (of_all - 1)
            nearly_all = np.where(twice, known, 0.0).sum(axis=0) >= NEARLY_ALL * weight
            return nearly_all & (of_all >= TWICE[0]) & (of_all <= TWICE[1]) & (twice.sum(axis=0) >= LEAST_DOUBLED)


def _drop_explained(table: SeriesTable, judged: Deviations, settled: Collection[date], restated: Restated) -> None:
    """Take back drops of days that may be incomplete, and what a restatement explains."""
    import numpy as np

    complete = set(settled)
    judged.drop[:, [day not in complete for day in table.calendar]] = False
    for day, deltas in restated.items():
        column = table.column(day)
        for row in np.flatnonzero(judged.rise[:, column] | judged.drop[:, column]).tolist():
            delta = float(_changed_by(table, row, deltas))
            off = table.values[row, column] - judged.expected[row, column]
            if delta * off > 0 and abs(delta) >= RESTATED * abs(off):
                judged.rise[row, column] = judged.drop[row, column] = False
