"""What of a month is scheduled, and no usage: fees, support, tax, credits and refunds, each forecast as what it is.

A charge that comes each day goes on at its mean of two weeks, and ends with it: a credit that is used up is expected no
more. One that came on about the same day of last month and of one of the two before comes again, as their median; so
does a quarterly one. A refund, a purchase and all else that came once is not expected again. The charges of one OU's
service of one kind are one series. `python -m benchmarks.analytics` scores it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from statistics import median

from finops_assets.core.accounts.ous import ALL, lineage
from finops_assets.core.analytics.forecast import USAGE, Forecast, MonthPart, month_end
from finops_assets.core.analytics.recurring import QUARTERS, months_later
from finops_assets.core.archive.scheduled_costs import CREDIT, FEE, OTHER, REFUND, TAX, ScheduledKey
from finops_assets.core.money import CENT

SUPPORT = "support"
PARTS = (USAGE, FEE, SUPPORT, TAX, CREDIT, REFUND, OTHER)
"""Of a month, in the order in which they are shown."""

RECENT = 14
"""Archived days that say what comes each day: two of each weekday, as tax follows usage."""

MOST_DAYS = 0.7
"""Of those days, on which a daily charge came; tax of working days is on five of seven."""

LASTING = 3
"""Days in a row that begin a daily charge, and without it, that end it."""

OFTEN = 3
"""Days of those before, from which on what comes on one is no single charge."""

BEYOND = 3
"""Times of the usual day, from which on an amount is a charge of its own beside the daily one."""

NEAR = 3
"""Days before or after, on which the same charge may be booked in another month."""

WAITED = 5
"""Days after its own on which a charge is still expected: bills are completed late, and contracts end."""

REMAINDER = Decimal("0.5")
"""Of the one before, below which a credit's last part was what was left of it."""

Day = tuple[date, Decimal]


@dataclass(frozen=True)
class Booked:
    """A refund, or a credit that came once, on a day: `amount` as it is in the bill, mostly negative."""

    ou: str
    service: str
    kind: str
    amount: Decimal

    def words(self, amount: str) -> str:
        """The note, in one sentence.

        Args:
            amount: without its sign, as money.
        """
        what = self.kind if self.amount < 0 else f"reversed {self.kind}"
        service = f" for {' '.join(self.service.split())}" if self.service else ""
        return f"A {what} of {amount}{service} in {' '.join(self.ou.split())}: it is no change of usage."


@dataclass(frozen=True)
class _Series:
    """The scheduled charges of one kind, of one service in an OU.

    Attributes:
        key: what they are of.
        by_day: the amounts, of days that have any.
    """

    key: ScheduledKey
    by_day: Mapping[date, Decimal]

    @property
    def kind(self) -> str:
        """The part of a month that it belongs to."""
        _, service, kind = self.key
        return SUPPORT if kind in (FEE, OTHER) and "support" in service.lower() else kind

    @cached_property
    def by_month(self) -> Mapping[tuple[int, int], list[date]]:
        """The days of each month that have any."""
        months: dict[tuple[int, int], list[date]] = {}
        for day in sorted(self.by_day):
            months.setdefault((day.year, day.month), []).append(day)
        return months

    @cached_property
    def single(self) -> Mapping[date, Decimal]:
        """What does not come each day: the amounts of days that few come before, and what is far more than those."""
        single, before, together = {}, deque[Day](), Decimal()
        for day, amount in sorted(self.by_day.items()):
            while before and before[0][0] < day - timedelta(days=RECENT):
                together -= abs(before.popleft()[1])
            if len(before) < OFTEN:
                single[day] = amount
            elif abs(amount) * len(before) > BEYOND * together:  # a median each day took 2 s of 1,400 series
                single[day] = amount - median(other for _, other in before)
            before.append((day, amount))
            together += abs(amount)
        return single


@dataclass(frozen=True)
class _Expected:
    """What a series is expected to charge in the rest of a month, by day, and why."""

    days: tuple[Day, ...] = ()
    why: str = ""


class ScheduledCharges:
    """The scheduled charges of a history of days that all tell what their money is.

    Args:
        by_day: what is scheduled on each day; of every archived day.
        unsettled: days that may be incomplete.
    """

    def __init__(self, by_day: Mapping[date, Mapping[ScheduledKey, Decimal]], unsettled: Collection[date] = ()) -> None:
        self._by_day, self._unsettled = by_day, unsettled
        self._archived = sorted(by_day)
        amounts: dict[ScheduledKey, dict[date, Decimal]] = {}
        for day, sums in by_day.items():
            for key, amount in sums.items():
                if amount:
                    amounts.setdefault(key, {})[day] = amount
        self._series = [_Series(key, of) for key, of in sorted(amounts.items())]

    def on(self, day: date) -> dict[str, Decimal]:
        """What is scheduled on a day, by OU with what lies below it."""
        sums: dict[str, Decimal] = {}
        for (ou, _, _), amount in self._by_day.get(day, {}).items():
            for name in (ALL, *lineage(ou)):
                sums[name] = sums.get(name, Decimal()) + amount
        return sums

    def booked(self, day: date, least: Decimal) -> tuple[Booked, ...]:
        """The refunds of a day, and its credits that did not come before, of at least so much; the largest first.

        Of a history of less than two weeks nobody knows which credits came before.
        """
        is_known = bool(self._archived) and self._archived[0] <= day - timedelta(days=RECENT)
        known = {key: amount for key, amount in self._by_day.get(day, {}).items() if abs(amount) >= least}
        told = []
        for series in self._series:
            if series.key in known and (
                series.kind == REFUND or (series.kind == CREDIT and is_known and _is_single(series, day))
            ):
                told.append(Booked(*series.key, known[series.key]))
        return tuple(sorted(told, key=lambda each: (-abs(each.amount), each.ou, each.service)))

    def months(self, usage: Mapping[str, Forecast], as_of: date) -> dict[str, Forecast]:
        """The months of OUs as of a day: what is forecast of their usage, and what is scheduled; with parts.

        Args:
            usage: the forecast of each OU's usage, with what lies below it; of `All`, too.
            as_of: the day.
        """
        first = as_of.replace(day=1)
        so_far: dict[tuple[str, str], Decimal] = {}
        to_come: dict[tuple[str, str], list[Day]] = {}
        why: dict[tuple[str, str], dict[str, None]] = {}
        settled = [day for day in self._archived if day <= as_of and day not in self._unsettled]
        for series in self._series:
            days = series.by_month.get((first.year, first.month), ())
            spent = sum((series.by_day[day] for day in days if day <= as_of), Decimal())
            expected = self._expected(series, as_of, settled)
            if not (days or expected.days or expected.why):
                continue
            for name in (ALL, *lineage(series.key[0])):
                of = name, series.kind
                so_far[of] = so_far.get(of, Decimal()) + spent
                to_come.setdefault(of, []).extend(expected.days)
                why.setdefault(of, {}).update({expected.why: None} if expected.why else {})
        return {
            ou: _with_scheduled(
                forecast,
                [(kind, so_far[ou, kind], to_come[ou, kind], why[ou, kind]) for kind in PARTS if (ou, kind) in so_far],
            )
            for ou, forecast in usage.items()
        }

    def _expected(self, series: _Series, as_of: date, settled: Sequence[date]) -> _Expected:
        """What is still to come in the month of `as_of`.

        Args:
            series: the charges.
            as_of: later ones count for nothing.
            settled: the archived days up to it that are complete, ascending.
        """
        if series.key[2] == REFUND:
            return _Expected(why="a refund is not expected again")
        daily, why = _daily(series, settled)
        again = list(_again(series, as_of))
        to_come = {day: amount for day, amount, _ in again}
        if daily:
            for day in self._days_left(as_of):
                if day > as_of or day not in series.by_day:
                    to_come[day] = to_come.get(day, Decimal()) + daily
        reasons = dict.fromkeys([*([why] if why else []), *(reason for *_, reason in again)])
        return _Expected(tuple(sorted(to_come.items())), "; ".join(reasons))

    def _days_left(self, as_of: date) -> Iterator[date]:
        """The days of the month that may still be charged: those to come, and those that may be incomplete."""
        yield from (day for day in self._archived if day in self._unsettled and as_of.replace(day=1) <= day <= as_of)
        yield from (as_of + timedelta(days=n + 1) for n in range((month_end(as_of) - as_of).days))


def _daily(series: _Series, settled: Sequence[date]) -> tuple[Decimal, str]:
    """What a series charges each day, in cents, and why; 0 where it does not, or does no more."""
    recent, last = settled[-RECENT:], settled[-LASTING:]
    on = [day for day in recent if day in series.by_day]
    lasts = len(last) == LASTING and all(day in series.by_day for day in last)
    if not on or not (lasts or len(on) >= MOST_DAYS * len(recent)):
        return Decimal(), _ended(series, settled)
    if not any(day in series.by_day for day in last):
        return Decimal(), f"the daily one ended on {on[-1]}"
    usual = median(series.by_day[day] for day in on)
    since = on[0] if len(on) >= MOST_DAYS * len(recent) else last[0]
    days = [day for day in recent if day >= since]
    amounts = [series.by_day.get(day, Decimal()) for day in days]
    clipped = [usual if abs(amount) > BEYOND * abs(usual) else amount for amount in amounts]
    mean = (sum(clipped, Decimal()) / len(clipped)).quantize(CENT)
    return mean, "each day, as in the last two weeks" if mean else ""


def _ended(series: _Series, settled: Sequence[date]) -> str:
    """That it came each day until this month, or the weeks before; empty where it did not."""
    if not settled:
        return ""
    before = [day for day in series.by_day if settled[-1] - timedelta(days=2 * RECENT + LASTING) <= day <= settled[-1]]
    return f"the daily one ended on {max(before)}" if len(before) >= LASTING * 2 else ""


def _again(series: _Series, as_of: date) -> Iterator[tuple[date, Decimal, str]]:
    """The charges of this month that came in the months before and not yet in it: day, amount in cents, and why."""

    amounts = series.single

    def of(months: int) -> list[date]:
        month = months_later(as_of.replace(day=1), -months)
        return [day for day in series.by_month.get((month.year, month.month), ()) if day in amounts]

    one, two, three, six = (of(months) for months in (1, 2, QUARTERS[0], QUARTERS[1]))
    come = [day for day in of(0) if day <= as_of]
    expected: list[tuple[date, list[date], str]] = []
    for day in one:
        target = months_later(day, 1)
        if before := _nearest_of({2: two, 3: three}, target):
            expected.append((target, [day, *before], f"on day {target.day}, as in the months before"))
    for day in three:
        target = months_later(day, QUARTERS[0])
        if (before := _nearest_of({6: six}, target)) and not _nearest_of({1: one, 2: two}, target):
            expected.append((target, [day, *before], f"on day {target.day}, as three and six months before"))
    for target, known, why in sorted(expected, key=lambda each: (each[0] not in come, each[0])):
        if (near := _nearest(come, target)) is not None:
            come.remove(near)
        elif target + timedelta(days=WAITED) >= as_of:
            if series.key[2] == CREDIT and abs(amounts[known[0]]) < REMAINDER * abs(amounts[known[1]]):
                continue
            yield target, median(amounts[day] for day in known).quantize(CENT), why


def _nearest_of(months: Mapping[int, Iterable[date]], target: date) -> list[date]:
    """The days of so many months before that are nearest to the same day, of the months that have one."""
    near = (_nearest(days, months_later(target, -back)) for back, days in months.items())
    return [day for day in near if day]


def _nearest(days: Iterable[date], target: date) -> date | None:
    """The day that is nearest to another, at most NEAR days off; None without one."""
    near = [day for day in days if abs((day - target).days) <= NEAR]
    return min(near, key=lambda day: (abs((day - target).days), day), default=None)


def _is_single(series: _Series, day: date) -> bool:
    """Whether nothing of it came in the weeks before, nor about that day of the month before."""
    last_month = months_later(day, -1)
    return not any(
        day - timedelta(days=RECENT) <= other < day or abs((other - last_month).days) <= NEAR for other in series.by_day
    )


def _with_scheduled(
    usage: Forecast, scheduled: Sequence[tuple[str, Decimal, Sequence[Day], Iterable[str]]]
) -> Forecast:
    """An OU's month: its usage, and of each kind what is scheduled so far, what is to come by day, and why."""
    spent = usage.month_to_date + sum((so_far for _, so_far, _, _ in scheduled), Decimal())
    forecast = usage.expected is not None
    parts = [
        MonthPart(USAGE, usage.month_to_date, None if usage.expected is None else usage.expected - usage.month_to_date),
        *(
            MonthPart(kind, so_far, sum((a for _, a in days), Decimal()) if forecast else None, "; ".join(why))
            for kind, so_far, days, why in scheduled
            if so_far or days
        ),
    ]
    added = spent - usage.month_to_date + sum((part.to_come or Decimal() for part in parts[1:]), Decimal())
    daily = dict(usage.daily)
    for _, _, days, _ in scheduled:
        for day, amount in days if forecast else ():
            daily[day] = daily.get(day, Decimal()) + amount
    return replace(
        usage,
        month_to_date=spent,
        expected=None if usage.expected is None else usage.expected + added,
        low=None if usage.low is None else usage.low + added,
        high=None if usage.high is None else usage.high + added,
        daily=tuple(sorted(daily.items())),
        parts=tuple(parts),
    )
