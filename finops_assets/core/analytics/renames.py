"""Services that the provider calls by another name from one day on: one service, and no anomaly.

AWS renames services, and its bills change from one day to the next. What ends and what begins then have the same
accounts and cost about the same; judged apart, one would be gone and the other new.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from difflib import SequenceMatcher
from statistics import median
from typing import TYPE_CHECKING

from finops_assets.core.bill.service_names import PRICE_LIST

if TYPE_CHECKING:
    import numpy as np

    from finops_assets.core.archive.cost_history import CostHistory

LEAST_BEFORE = 28
"""Archived days before the change in which the new name must not stand: what comes now and then is not new."""

COMPARED = 14
"""Archived days on either side of the change whose costs are compared."""

MOST_OF_THEM = 0.7
"""Of the days before the change, on which the old name must have had a cost."""

OVERLAP = 2
"""Archived days after the first of the new name on which the old one may still stand."""

SAME_ACCOUNTS = 0.8
"""Of the old name's cost, that must be of the accounts that have the new one."""

ALIKE, RATHER_ALIKE = 1.25, 2.0
"""Times by which the costs may differ: of names that say nothing, and of names that are much the same."""

SIMILAR = 0.6
"""Of two names' letters, that are the same in the same order."""

INCOMPLETE = 5.0
"""Times less that it may cost while none of its days is complete."""


@dataclass(frozen=True)
class Renamed:
    """A service that is called `new` from a day on, and was called `old` before."""

    old: str
    new: str
    since: date

    def __str__(self) -> str:
        return (
            f"{self.old} was renamed: it is called {self.new} since {self.since}, with the same accounts and "
            "about the same cost"
        )


@dataclass
class _Service:
    """A service's costs by archived day: in all, and by account."""

    days: np.ndarray
    accounts: dict[str, np.ndarray] = field(default_factory=dict)


def find_renames(history: CostHistory, unsettled: Collection[date] = ()) -> tuple[Renamed, ...]:
    """The services that were renamed in a history, by the day.

    Args:
        history: of every service of every account.
        unsettled: days that may still be incomplete.
    """
    days = len(history.days)
    if days <= LEAST_BEFORE:
        return ()
    first, last = _ends(history)
    began = {name: at for name, at in first.items() if name and at >= LEAST_BEFORE}
    ended = {name: at for name, at in last.items() if name and at < days - 1}
    if not began or not ended:
        return ()
    services = _services(history, {*began, *ended})
    complete = [day not in unsettled for day in history.days]
    found: dict[str, Renamed] = {}
    taken: set[str] = set()
    for new, start in sorted(began.items(), key=lambda item: (item[1], item[0])):
        near = [old for old, end in ended.items() if old != new and old not in taken and -1 <= end - start <= OVERLAP]
        near.sort(key=lambda old: (-_similarity(old, new), old))
        for old in near:
            comparison = _Comparison(services[old], services[new], start, [day.weekday() for day in history.days])
            if comparison.is_one(_similarity(old, new), complete) and not _are_two(old, new):
                found[new] = Renamed(old, new, history.days[start])
                taken.add(old)
                break
    return tuple(found.values())


def under_new_names(history: CostHistory, renames: Collection[Renamed]) -> CostHistory:
    """The history with each renamed service under its new name on all days: a key then has a row for each name."""
    if not renames:
        return history
    newest = newest_names(renames)
    keys = tuple((ou, newest.get(service, service), account) for ou, service, account in history.keys)
    return replace(history, keys=keys)


def newest_names(renames: Collection[Renamed]) -> dict[str, str]:
    """Old name -> the newest one, of a service that was renamed twice, too."""
    by_old = {renamed.old: renamed for renamed in renames}
    names = {}
    for old, renamed in by_old.items():
        while renamed.new in by_old and by_old[renamed.new].since > renamed.since:
            renamed = by_old[renamed.new]
        names[old] = renamed.new
    return names


def _ends(history: CostHistory) -> tuple[dict[str, int], dict[str, int]]:
    """The first and the last archived day on which each service cost something, by their numbers."""
    import numpy as np

    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for service, rows in _rows_of_services(history).items():
        costs = np.flatnonzero((np.nan_to_num(history.costs[rows]) != 0).any(axis=0))
        if len(costs):
            first[service], last[service] = int(costs[0]), int(costs[-1])
    return first, last


def _services(history: CostHistory, names: Collection[str]) -> dict[str, _Service]:
    import numpy as np

    services = {}
    for name, rows in _rows_of_services(history).items():
        if name in names:
            costs = np.nan_to_num(history.costs[rows])
            services[name] = service = _Service(costs.sum(axis=0))
            for row, of_row in zip(rows, costs, strict=True):
                account = history.keys[row][2]
                service.accounts[account] = service.accounts.get(account, 0) + of_row
    return services


def _rows_of_services(history: CostHistory) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = defaultdict(list)
    for row, (_, service, _) in enumerate(history.keys):
        rows[service].append(row)
    return rows


@dataclass(frozen=True)
class _Comparison:
    """What ends and what begins on the archived day `start`; `weekdays` are those of all archived days."""

    old: _Service
    new: _Service
    start: int
    weekdays: Sequence[int]

    @property
    def before(self) -> slice:
        return slice(max(0, self.start - COMPARED), self.start)

    @property
    def after(self) -> slice:
        return slice(self.start, self.start + COMPARED)

    def is_one(self, similarity: float, complete: Sequence[bool]) -> bool:
        """Whether the two have the same accounts, and cost about the same."""
        old, new, before, after = self.old, self.new, self.before, self.after
        cost_before = float(old.days[before].sum())
        if cost_before <= 0 or (old.days[before] > 0).sum() < MOST_OF_THEM * len(old.days[before]):
            return False
        with_new = {account for account, costs in new.accounts.items() if costs[after].any()}
        if not with_new or not with_new <= old.accounts.keys():
            return False
        if sum(float(old.accounts[account][before].sum()) for account in with_new) < SAME_ACCOUNTS * cost_before:
            return False
        days = range(len(old.days))[after]
        whole = [day for day in days if complete[day]]
        times = self._times(whole or days)
        most = RATHER_ALIKE if similarity >= SIMILAR else ALIKE
        return 1 / (most if whole else INCOMPLETE) <= times <= most

    def _times(self, days: Sequence[int]) -> float:
        """What the two cost together on a usual one of these days, by what the old one cost on that weekday before."""
        before = range(len(self.old.days))[self.before]
        by_weekday: dict[int, list[float]] = defaultdict(list)
        for day in before:
            by_weekday[self.weekdays[day]].append(float(self.old.days[day]))
        usual = {weekday: sum(costs) / len(costs) for weekday, costs in by_weekday.items()}
        mean = float(self.old.days[self.before].mean())
        return median(
            float(self.old.days[day] + self.new.days[day]) / (usual.get(self.weekdays[day]) or mean) for day in days
        )


def _similarity(old: str, new: str) -> float:
    return SequenceMatcher(None, old.casefold(), new.casefold()).ratio()


def _are_two(old: str, new: str) -> bool:
    """Whether both are known to be services of their own, whatever they cost."""
    known = set(PRICE_LIST.values())
    return old in known and new in known
