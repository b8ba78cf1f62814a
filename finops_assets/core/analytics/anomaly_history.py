"""What was found in a history of costs: the episodes as of any of its days, and what an OU was expected to cost."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.accounts.ous import ALL
from finops_assets.core.analytics.anomalies import (
    CLOSED,
    DRIFT,
    DROP,
    NEW,
    OPEN,
    PLANNED,
    RISE,
    VANISHED,
    WHOLE,
    Band,
    Doubled,
    Episode,
    Key,
    contains,
    newest_first,
    to_estimate,
)
from finops_assets.core.analytics.cost_series import SeriesTable
from finops_assets.core.analytics.day_notes import TOLD_DAYS, BlindDays, Holiday
from finops_assets.core.analytics.deviations import LEVEL, SCORE, Deviations
from finops_assets.core.analytics.episode_builder import Run
from finops_assets.core.analytics.events import Event, planned
from finops_assets.core.analytics.renames import Renamed
from finops_assets.core.money import change, money, percent

if TYPE_CHECKING:
    import numpy as np

RECENT = 28
"""Days after its last that an episode is still reported: as long as the level remembers it."""

NOTHING = 0.01
"""Of what was expected, up to which something is gone."""

TEN = 10
"""Times of what was expected from which on a percentage says less than the amounts."""

USUAL_NOW = 7
"""Days after an episode that say whether it went on, and counts as usual now."""


@dataclass(frozen=True)
class _Sums:
    """The cost of an episode's days together, and its worst day."""

    expected: float
    actual: Decimal
    peak: float
    score: float
    worst: float


@dataclass
class AnomalyHistory:
    """What `detect` found: ask it for the episodes as of a day, and for an OU's band on a day.

    Attributes:
        currency: of every cost.
        share: of what was expected, that a day must be off at least.
        archived: the days, ascending.
        settled: those on which a drop is reported.
        events: what is planned.
        names: account id -> name.
        doubled: days that cost twice what was expected, all over, and that no event explains. They are not judged, and
            other days are judged as if these had cost what was expected.
        table, judged: every series, and how far each of its days is off.
        runs: the odd days of each episode, over the whole history.
        renamed: services that have another name since a day; the series have the new one.
        holidays: weekdays on which most services were down, and back on the next day.
        blind: stretches after long holes, on which anomalies may be missed.
    """

    currency: str
    share: float
    archived: Sequence[date]
    settled: Sequence[date]
    events: tuple[Event, ...]
    names: dict[str, str]
    doubled: tuple[Doubled, ...]
    table: SeriesTable
    judged: Deviations
    runs: Sequence[Run]
    renamed: tuple[Renamed, ...] = ()
    holidays: tuple[Holiday, ...] = ()
    blind: tuple[BlindDays, ...] = ()
    _of_hits: dict[tuple[Run, Key, int], _Sums] = field(default_factory=dict)

    @property
    def calendar(self) -> Sequence[date]:
        """Every day from the first archived one to the last."""
        return self.table.calendar

    def newest(self, as_of: date, *, rises: bool) -> date | None:
        """The newest day up to `as_of` on which a rise, or a drop, can be reported."""
        days = self.archived if rises else self.settled
        at = bisect_right(days, as_of)
        while at and any(each.day == days[at - 1] for each in self.doubled):
            at -= 1
        return days[at - 1] if at else None

    def notes(self, as_of: date) -> tuple[str, ...]:
        """What is to be said as of a day and is no anomaly: holidays, and that anomalies may be missed."""
        holidays = [each for each in self.holidays if each.back <= as_of <= each.day + timedelta(days=TOLD_DAYS)]
        blind = [each for each in self.blind if each.hole_last < as_of <= each.until]
        return (*(each.words(self.currency) for each in holidays), *(each.words() for each in blind))

    def not_judged(self, as_of: date, back: int) -> tuple[date, ...]:
        """The holes and doubled days among so many days up to `as_of`; none while the history is too short to judge."""
        if not self.archived:
            return ()
        column = self.table.column(as_of)
        whole = self.table.row(WHOLE, column)
        if whole is None or math.isnan(self.judged.expected[whole, column]):
            return ()
        judged = set(self.archived) - {each.day for each in self.doubled}
        return tuple(day for day in self.calendar if day <= as_of < day + timedelta(days=back) and day not in judged)

    def was_found_on(self, episode: Episode, days: Collection[date]) -> bool:
        """Whether one of these days was itself an anomaly that the episode is made of."""
        columns = {self.table.column(day) for day in days if episode.first <= day <= episode.last}
        sign = 1 if episode.rises else -1
        runs = [run for run in self.runs if run.sign == sign and contains(run.key, episode.key)]
        return any(
            columns.intersection(run.hits)
            for run in runs
            if run.id(self.calendar) == episode.id or run.key == episode.key
        )

    def episodes(self, as_of: date, recent: int = RECENT) -> tuple[Episode, ...]:
        """The episodes as they stood on a day, the newest and largest first.

        Args:
            as_of: later days count for nothing.
            recent: days before it, within which an episode must have had its last day.
        """
        episodes = []
        for run in self.runs:
            column = self.table.column(as_of)
            hits = run.hits[: bisect_right(run.hits, column)]
            if hits and self.calendar[hits[-1]] >= as_of - timedelta(days=recent):
                episodes.append(self._episode(run, hits, as_of))
        return tuple(sorted(episodes, key=newest_first))

    def band(self, ou: str, day: date) -> Band | None:
        """What a day of an OU (or `All`) was expected to cost; None where that cannot be said.

        A day outside it is an anomaly, unless such days come again and again or the money is too little.
        """
        if not self.archived or not self.calendar[0] <= day <= self.calendar[-1]:
            return None
        column = self.table.column(day)
        known = self._known((ou, "", ""), column)
        if known is None:
            return None
        row, _, expected = known
        wide = max(SCORE * float(self.judged.deviation[row, column]), self.share * abs(expected))
        if math.isnan(wide):
            return None
        low = expected - wide if expected < 0 else max(expected - wide, 0.0)
        return Band(to_estimate(low), to_estimate(expected + wide), float(self.judged.score[row, column]))

    def cost(self, key: Key, first: date, last: date) -> Decimal:
        """What something costs on these days together, exactly."""
        history = self.table.history
        rows = [row for row, part in enumerate(history.keys) if contains(key, part)]
        return sum((history.exact(rows, day) for day in history.days if first <= day <= last), Decimal())

    def _episode(self, run: Run, hits: list[int], as_of: date) -> Episode:
        known = run, run.key_on(self.table.column(as_of)), len(hits)
        run = replace(run, key=known[1])
        if known not in self._of_hits:
            self._of_hits[known] = self._sums(run, hits)
        sums = self._of_hits[known]
        first, last = self.calendar[hits[0]], self.calendar[hits[-1]]
        kind = self._kind(run, hits, gone=abs(sums.actual) <= Decimal(repr(NOTHING * abs(sums.expected))))
        plan = planned(self.events, run.key[0], run.key[1], first, last)
        state = OPEN if last == self.newest(as_of, rises=run.sign > 0) else CLOSED
        reason = self._reason(run, kind, first, last, sums)
        if state == CLOSED and self._goes_on(run.key, first, last, as_of, sums):
            reason += "; that has gone on, and counts as usual now"
        return Episode(
            run.id(self.calendar),
            *run.key,
            kind=kind,
            state=PLANNED if plan else state,
            first=first,
            last=last,
            expected=to_estimate(sums.expected),
            actual=sums.actual,
            score=round(sums.score, 1),
            reason=reason,
            planned=str(plan or ""),
            peak=to_estimate(sums.peak),
            worst=round(sums.worst, 4),
        )

    def _sums(self, run: Run, hits: list[int]) -> _Sums:
        expected, actual, peak, score, worst = 0.0, Decimal(), 0.0, 0.0, 0.0
        for column in range(hits[0], hits[-1] + 1):
            known = self._known(run.key, column)
            if known is None:
                continue
            row, cost, usual = known
            expected += usual
            actual += self.table.exact(row, column)
            if column in hits:
                off = cost - usual
                peak = off if off * run.sign > peak * run.sign else peak
                score = max(score, abs(float(self.judged.score[row, column])))
                worst = max(worst, abs(off / usual)) if usual else worst
        return _Sums(expected, actual, peak, score, worst)

    def _known(self, key: Key, column: int) -> tuple[int, float, float] | None:
        """Its row, cost and expected cost; None on a hole, and where nothing can be said."""
        row = self.table.row(key, column)
        if row is None:
            return None
        cost, expected = float(self.table.values[row, column]), float(self.judged.expected[row, column])
        return None if math.isnan(cost) or math.isnan(expected) else (row, cost, expected)

    def _kind(self, run: Run, hits: list[int], *, gone: bool) -> str:
        if run.sign < 0:
            return VANISHED if gone else DROP
        row = self.table.row(run.key, hits[0])
        if row is not None and self.judged.new[row, hits[0]]:
            return NEW
        by_week = (self.judged.drift[row, n] for n in hits if (row := self.table.row(run.key, n)) is not None)
        return DRIFT if all(by_week) else RISE

    def _reason(self, run: Run, kind: str, first: date, last: date, sums: _Sums) -> str:
        expected, actual = to_estimate(sums.expected), sums.actual
        days = f"on {first}" if first == last else f"in the {(last - first).days + 1} days from {first} to {last}"
        what, cost = self._what(run.key), money(actual, self.currency)
        usual = money(expected, self.currency)
        if kind == NEW:
            sentence = f"{what} is new: it cost {cost} {days}, and nothing in the {LEVEL} days before"
        elif kind == VANISHED:
            sentence = f"{what} is gone: it cost {cost} {days}, where {usual} was expected from the four weeks before"
        else:
            grows = " has been growing: it" if kind == DRIFT else ""
            off = change(actual - expected, self.currency)
            if 0 <= actual < TEN * expected:
                off = f"{off}, {percent(actual, expected)}"
            sentence = (
                f"{what}{grows} cost {cost} {days}, where {usual} was expected "
                f"from the same weekdays of the four weeks before ({off})"
            )
        part = self._largest_part(run, first, last)
        return f"{sentence}; most of it is {part}" if part else sentence

    def _goes_on(self, key: Key, first: date, last: date, as_of: date, sums: _Sums) -> bool:
        """Whether the days after it cost rather what its days did than what was expected of those."""
        start = self.table.column(last) + 1
        row, end = self.table.row(key, start - 1), min(self.table.column(as_of), start + USUAL_NOW - 1) + 1
        known = [] if row is None else [cost for cost in self.table.values[row, start:end].tolist() if cost == cost]
        if not known:
            return False
        days = (last - first).days + 1
        usual, cost = sums.expected / days, float(sums.actual) / days
        now = sum(known) / len(known)
        return (now - usual) * (cost - usual) > (cost - usual) ** 2 / 2

    def _what(self, key: Key) -> str:
        ou, service, account = (" ".join(part.split()) for part in key)
        name = " ".join(self.names.get(key[2], "").split()) or account
        if service and account:
            return f"{service} in {name} ({ou})"
        if account:
            return f"Account {name} ({ou})"
        if service:
            return f"{service} in {ou}"
        return "The whole organization" if ou == ALL else ou

    def _largest_part(self, run: Run, first: date, last: date) -> str:
        """The part that most of an OU's, a service's or an account's excess comes from; empty where there is none."""
        if run.key[1] and run.key[2]:
            return ""
        start, end = self.table.column(first), self.table.column(last) + 1
        whole, (parts, rows) = self.table.row(run.key, end - 1), self.table.parts(run.key, end - 1)
        if whole is None or not parts:
            return ""
        off = self._excess(rows, start, end) * run.sign
        most = off.argmax()
        (of_whole,) = self._excess([whole], start, end) * run.sign
        return self._what(parts[most]) if off[most] >= of_whole / 2 > 0 else ""

    def _excess(self, rows: list[int], start: int, end: int) -> np.ndarray:
        """How much more than expected these days cost together."""
        import numpy as np

        return np.nansum(self.table.values[rows, start:end] - self.judged.expected[rows, start:end], axis=-1)
