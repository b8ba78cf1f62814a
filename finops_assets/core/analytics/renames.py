"""Services that the provider calls by another name from one day on: one service, and no anomaly.

AWS renames services, and its bills change from one day to the next. What ends and what begins then have the same
accounts and cost about the same; judged apart, one would be gone and the other new.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from difflib import SequenceMatcher
from statistics import median

from finops_assets.core.analytics.anomalies import Key
from finops_assets.core.bill.service_names import PRICE_LIST

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
    """A service's costs: by day, and by account."""

    days: dict[date, Decimal] = field(default_factory=dict)
    accounts: dict[str, dict[date, Decimal]] = field(default_factory=dict)


def find_renames(
    costs: Mapping[Key, Mapping[date, Decimal]], archived: Sequence[date], unsettled: Collection[date] = ()
) -> tuple[Renamed, ...]:
    """The services that were renamed in a history, by the day.

    Args:
        costs: of every service of every account.
        archived: the days, ascending.
        unsettled: those that may still be incomplete.
    """
    if len(archived) <= LEAST_BEFORE:
        return ()
    first, last = _ends(costs)
    began = {name: day for name, day in first.items() if name and bisect_left(archived, day) >= LEAST_BEFORE}
    ended = {name: day for name, day in last.items() if name and day < archived[-1]}
    if not began or not ended:
        return ()
    services = _services(costs, {*began, *ended})
    found: dict[str, Renamed] = {}
    taken: set[str] = set()
    for new, since in sorted(began.items(), key=lambda item: (item[1], item[0])):
        start = bisect_left(archived, since)
        near = [
            old
            for old, end in ended.items()
            if old != new and old not in taken and -1 <= bisect_left(archived, end) - start <= OVERLAP
        ]
        near.sort(key=lambda old: (-_similarity(old, new), old))
        for old in near:
            if _is_one(services[old], services[new], _similarity(old, new), archived, start, unsettled) and not (
                _are_two(old, new)
            ):
                found[new] = Renamed(old, new, since)
                taken.add(old)
                break
    return tuple(found.values())


def under_new_names(
    costs: Mapping[Key, Mapping[date, Decimal]], renames: Collection[Renamed]
) -> Mapping[Key, Mapping[date, Decimal]]:
    """The costs with each renamed service under its new name on all days; exact."""
    if not renames:
        return costs
    newest = newest_names(renames)
    merged: dict[Key, dict[date, Decimal]] = {}
    for (ou, service, account), by_day in costs.items():
        of_key = merged.setdefault((ou, newest.get(service, service), account), {})
        for day, cost in by_day.items():
            of_key[day] = of_key.get(day, Decimal()) + cost
    return merged


def newest_names(renames: Collection[Renamed]) -> dict[str, str]:
    """Old name -> the newest one, of a service that was renamed twice, too."""
    by_old = {renamed.old: renamed for renamed in renames}
    names = {}
    for old, renamed in by_old.items():
        while renamed.new in by_old and by_old[renamed.new].since > renamed.since:
            renamed = by_old[renamed.new]
        names[old] = renamed.new
    return names


def _ends(costs: Mapping[Key, Mapping[date, Decimal]]) -> tuple[dict[str, date], dict[str, date]]:
    """The first and the last day on which each service cost something."""
    first: dict[str, date] = {}
    last: dict[str, date] = {}
    for (_, service, _), by_day in costs.items():
        days = [day for day, cost in by_day.items() if cost]
        if days:
            first[service] = min(min(days), first.get(service, date.max))
            last[service] = max(max(days), last.get(service, date.min))
    return first, last


def _services(costs: Mapping[Key, Mapping[date, Decimal]], names: Collection[str]) -> dict[str, _Service]:
    services: dict[str, _Service] = defaultdict(_Service)
    for (_, name, account), by_day in costs.items():
        if name in names:
            service = services[name]
            of_account = service.accounts.setdefault(account, {})
            for day, cost in by_day.items():
                service.days[day] = service.days.get(day, Decimal()) + cost
                of_account[day] = of_account.get(day, Decimal()) + cost
    return services


def _is_one(
    old: _Service,
    new: _Service,
    similarity: float,
    archived: Sequence[date],
    start: int,
    unsettled: Collection[date],
) -> bool:
    """Whether what ends and what begins have the same accounts, and cost about the same."""
    before, after = archived[max(0, start - COMPARED) : start], archived[start : start + COMPARED]
    cost_before = sum((old.days.get(day, Decimal()) for day in before), Decimal())
    if cost_before <= 0 or sum(old.days.get(day, Decimal()) > 0 for day in before) < MOST_OF_THEM * len(before):
        return False
    with_new = {account for account, by_day in new.accounts.items() if any(by_day.get(day) for day in after)}
    if not with_new or not with_new <= old.accounts.keys():
        return False
    of_them = sum((old.accounts[account].get(day, Decimal()) for account in with_new for day in before), Decimal())
    if of_them < Decimal(str(SAME_ACCOUNTS)) * cost_before:
        return False
    complete = [day for day in after if day not in unsettled]
    times = _times(old, new, before, complete or after)
    most = RATHER_ALIKE if similarity >= SIMILAR else ALIKE
    return 1 / (most if complete else INCOMPLETE) <= times <= most


def _times(old: _Service, new: _Service, before: Sequence[date], after: Sequence[date]) -> float:
    """What the two cost together on a usual day after, by what the old one cost on the same weekdays before."""
    usual = {
        weekday: float(sum(costs)) / len(costs)
        for weekday in range(7)
        if (costs := [old.days.get(day, Decimal()) for day in before if day.weekday() == weekday])
    }
    mean = float(sum(old.days.get(day, Decimal()) for day in before)) / len(before)
    return median(
        float(old.days.get(day, Decimal()) + new.days.get(day, Decimal())) / (usual.get(day.weekday()) or mean)
        for day in after
    )


def _similarity(old: str, new: str) -> float:
    return SequenceMatcher(None, old.casefold(), new.casefold()).ratio()


def _are_two(old: str, new: str) -> bool:
    """Whether both are known to be services of their own, whatever they cost."""
    known = set(PRICE_LIST.values())
    return old in known and new in known
