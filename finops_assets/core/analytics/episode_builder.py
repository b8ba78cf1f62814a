"""Odd days of many series become episodes: one for each cause, of the smallest part that explains most of it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from finops_assets.core.accounts.ous import ALL, lineage, within
from finops_assets.core.analytics.anomalies import NEARLY_ALL, WHOLE, Key, contains, shared
from finops_assets.core.analytics.deviations import LEVEL, WEEK

if TYPE_CHECKING:
    from finops_assets.core.analytics.cost_series import SeriesTable
    from finops_assets.core.analytics.deviations import Deviations

GAP = 3
"""Quiet days inside an episode: a weekend between two bad days does not make them two."""

MOST = 0.7
"""Of an excess, that a part must explain for the episode to be about the part alone."""

GOES_ON = 0.5
"""Of the share that an episode's first day was off, that later days are still off if it goes on."""

PARTS = 3
"""OUs at most that a day of the OU above them is reported as; what is in more of them is one cause, reported once."""


@dataclass(eq=False)
class Run:
    """An episode while it is built.

    Attributes:
        key: what it is about; what it was before it was known to be wider stands in `widened`.
        sign: 1 for a rise, -1 for a drop.
        hits: the columns of its odd days, ascending.
        widened: the column on which it became wider, and the key before.
    """

    key: Key
    sign: int
    hits: list[int]
    widened: tuple[int, Key] | None = None

    def key_on(self, column: int) -> Key:
        """What it was known to be about on a day."""
        return self.widened[1] if self.widened and column < self.widened[0] else self.key

    def id(self, calendar: Sequence[date]) -> str:
        text = "\0".join((*self.key_on(self.hits[0]), "up" if self.sign > 0 else "down", str(calendar[self.hits[0]])))
        return f"A-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


class _ByOU:
    """Episodes by the OU that they are of: what is in other OUs has nothing in common with a key."""

    def __init__(self, runs: Iterable[Run]) -> None:
        self._runs: dict[str, dict[Run, None]] = {}
        for run in runs:
            self.add(run)

    def add(self, run: Run) -> None:
        self._runs.setdefault(run.key[0], {})[run] = None

    def of(self, ou: str) -> Iterator[Run]:
        """The episodes of the OU itself, of its services and of its accounts."""
        yield from self._runs.get(ou, ())

    def around(self, key: Key) -> Iterator[Run]:
        """The episodes that a key may have something in common with."""
        if key[1] or key[2]:
            for ou in (*lineage(key[0]), ALL):
                yield from self.of(ou)
        else:
            for ou in self._runs:
                if ou == ALL or key[0] == ALL or within(ou, key[0]) or within(key[0], ou):
                    yield from self.of(ou)


class EpisodeBuilder:
    """Goes through the days of a table and draws its odd rows together.

    What an episode explained stays explained as long as it goes on, unless it doubles: an OU remembers a service's
    spike for longer than the service itself does.

    Args:
        table: the costs.
        judged: how far each is off, and which days are odd.
        share, floor: what a day must be off at least, as a share of what was expected and in money.
    """

    def __init__(self, table: SeriesTable, judged: Deviations, share: float, floor: float) -> None:
        import numpy as np

        self._table, self._judged, self._share, self._floor = table, judged, share, floor
        with np.errstate(all="ignore"):
            self._off = np.nan_to_num(table.values - judged.expected)
        whole = table.spans.get(WHOLE)
        self._known = np.cumsum(np.isfinite(table.values[whole[-1][2]])) if whole else np.empty(0)
        self._explained: dict[tuple[Key, int], tuple[int, float]] = {}
        self._below_the_root = [key for key in table.spans if not any(key[1:]) and "/" not in key[0] and key[0] != ALL]

    def runs(self) -> list[Run]:
        import numpy as np

        runs: list[Run] = []
        for sign, flags in ((1, self._judged.rise), (-1, self._judged.drop)):
            of_sign: list[Run] = []
            for column in np.flatnonzero(flags.any(axis=0)).tolist():
                quiet = [(run, self._quiet_days(run.hits[-1], column)) for run in of_sign]
                going = [run for run, days in quiet if days <= GAP]
                usual = [run for run, days in quiet if GAP < days <= LEVEL and self._is_usual(run, column)]
                rows = np.flatnonzero(flags[:, column]).tolist()
                odd = {
                    self._table.keys[row]: row for row in rows if self._table.row(self._table.keys[row], column) == row
                }
                recent = [run for run, days in quiet if days <= LEVEL]
                of_sign += self._opened_on(column, sign, odd, going, usual, recent)
            runs += of_sign
        return runs

    def _quiet_days(self, last: int, column: int) -> int:
        """Days with data between the two."""
        return int(self._known[column] - self._known[last]) - 1

    def _is_usual(self, run: Run, column: int) -> bool:
        """Whether an episode went on after its last day, and this one is no worse: a step that weekends still show.

        The week from its first day on still knows what was expected before it.
        """
        start, row = run.hits[0], self._table.row(run.key, column)
        if row is None or start + WEEK > column:
            return False
        usual = self._judged.expected[row, start : start + WEEK]
        cost = self._table.values[row, run.hits[-1] + 1 : column]
        before = usual[[(n - start) % WEEK for n in range(run.hits[-1] + 1, column)]]
        worst = max(self._excess(run.key, n, run.sign) for n in run.hits)
        off = [float(value) for value in (cost - before) * run.sign if value == value]
        return bool(off) and sum(off) / len(off) >= worst / 2 and self._excess(run.key, column, run.sign) <= worst

    def _opened_on(
        self,
        column: int,
        sign: int,
        odd: dict[Key, int],
        going: list[Run],
        usual: list[Run],
        recent: Sequence[Run],
    ) -> list[Run]:
        """The episodes that begin on a day; those that go on are extended.

        Args:
            column: the day.
            sign: 1 for rises, -1 for drops.
            odd: what is off on the day in that direction, with its row.
            going: the episodes that may go on.
            usual: those whose cost counts as usual now.
            recent: those that may still go on, though their last odd day is longer ago.
        """
        for run in going:
            if run.key in odd:
                run.hits.append(column)
        opened: list[Run] = []
        current, before, near = _ByOU([*going, *usual]), _ByOU(recent), {*usual}
        if self._is_everywhere(column, odd) and not any(run.key == WHOLE for run in going):
            opened.append(Run(WHOLE, sign, [column]))
            current.add(opened[-1])
        for key in sorted(odd, key=lambda key: (-self._excess(key, column, sign), key)):
            off = self._excess(key, column, sign)
            if not self._is_explained(key, column, sign, current, near):
                known = self._explained.get((key, sign))
                if known and self._quiet_days(known[0], column) <= GAP and off <= 2 * known[1]:
                    self._explained[key, sign] = (column, known[1])
                    continue
                for cause in self._causes(key, column, sign, odd):
                    if self._is_explained(cause, column, sign, current, near):
                        continue
                    same = self._same_cause(cause, column, [*current.of(cause[0]), *before.of(cause[0])])
                    if same is None:
                        same = Run(cause, sign, [column])
                        opened.append(same)
                    else:
                        self._go_on(same, cause, column)
                    current.add(same)
            self._explained[key, sign] = (column, max(off, self._explained.get((key, sign), (0, 0.0))[1]))
        return opened

    def _same_cause(self, key: Key, column: int, runs: Iterable[Run]) -> Run | None:
        """The episode that this is more of: it goes on, and is of the same thing or of the same account."""
        for run in runs:
            if run.key == key and self._goes_on(run, column):
                return run
            account = run.key[2]
            if not account or run.key[0] != key[0] or key == run.key or not (key[1] or key[2]):
                continue
            if key[2]:
                is_of_it = key[2] == account
            else:  # a service of the OU, most of which is the account's
                part = self._excess((key[0], key[1], account), column, run.sign)
                is_of_it = part >= self._excess(key, column, run.sign) / 2
            if is_of_it and self._goes_on(run, column):
                return run
        return None

    def _goes_on(self, run: Run, column: int) -> bool:
        """Whether the two days up to this one cost rather what its first day did than what was expected before it."""
        start, first = run.hits[0], run.key_on(run.hits[0])
        row = self._table.row(first, column)
        if row is None or start == column:
            return row is not None
        last = list(range(max(start, column - 1), column + 1))
        usual = self._judged.expected[row, [start + (n - start) % WEEK for n in last]]
        off = (self._table.values[row, last] - usual) * run.sign
        known = off == off
        before, worst = float(self._judged.expected[row, start]), self._excess(first, start, run.sign)
        expected = float(abs(usual[known]).sum())
        if not known.any() or not before or not expected:
            return bool(known.any()) and float(off[known].mean()) >= GOES_ON * worst
        return float(off[known].sum()) / expected >= GOES_ON * worst / abs(before)

    def _go_on(self, run: Run, key: Key, column: int) -> None:
        """The episode has one more day; where it is of another service, it is of the account as a whole."""
        if run.hits[-1] != column:
            run.hits.append(column)
        if key != run.key and run.key[1]:
            if run.hits[0] != column:
                run.widened = column, run.key
            run.key = run.key[0], "", run.key[2]

    def _excess(self, key: Key, column: int, sign: int) -> float:
        row = self._table.row(key, column)
        return 0.0 if row is None else float(self._off[row, column]) * sign

    def _is_explained(self, key: Key, column: int, sign: int, runs: _ByOU, usual: Collection[Run]) -> bool:
        rest = off = self._excess(key, column, sign)
        for run in runs.around(key):
            # What contains the key explains it only if it is odd on this day itself.
            if contains(run.key, key) and (run.hits[-1] == column or run.key == key or run in usual):
                return True
            common = shared(run.key, key)
            rest -= max(self._excess(common, column, sign), 0.0) if common else 0.0
        row = self._table.row(key, column)
        enough = max(self._floor, self._share * abs(float(self._judged.expected[row, column])))
        return rest < off and (rest < enough or rest < (1 - MOST) * off)

    def _causes(self, key: Key, column: int, sign: int, odd: Mapping[Key, int]) -> list[Key]:
        """The smallest odd part that explains most of it; else a few OUs that do together; else itself."""
        off = self._excess(key, column, sign)
        parts = {part: self._excess(part, column, sign) for part in odd if part != key and contains(key, part)}
        enough = [part for part, of in parts.items() if of >= MOST * off]
        if enough:
            return [max(enough, key=lambda part: (_depth(part), parts[part], part))]
        if key[1] or key[2]:
            return [key]
        ous = sorted((part for part in parts if not part[1] and not part[2]), key=lambda part: (-parts[part], part))
        chosen: list[Key] = []
        for part in ous:
            if len(chosen) < PARTS and not any(shared(part, other) for other in chosen):
                chosen.append(part)
        if sum(parts[part] for part in chosen) < MOST * off:
            return [key]
        return [cause for part in chosen for cause in self._causes(part, column, sign, odd)]

    def _is_everywhere(self, column: int, odd: Mapping[Key, int]) -> bool:
        """Whether the OUs below the root that are odd have nearly all of the expected cost."""
        expected = {}
        for key in self._below_the_root:
            row = self._table.row(key, column)
            usual = math.nan if row is None else abs(float(self._judged.expected[row, column]))
            if not math.isnan(usual):
                expected[key] = usual
        hit = [usual for key, usual in expected.items() if key in odd]
        return WHOLE in odd and len(hit) > PARTS and sum(hit) >= NEARLY_ALL * sum(expected.values())


def _depth(key: Key) -> tuple[int, int]:
    return bool(key[1]) + bool(key[2]), -1 if key[0] == ALL else key[0].count("/")
