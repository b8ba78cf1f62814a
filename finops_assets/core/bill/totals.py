"""The whole bill in sums, from its control totals: its days, its billing periods, and what settings leave out.

They are taken once for each refresh of the bill, without account map and without a range of days. The archive is
compared with them, so that every line is accounted for.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from finops_assets.core.values import ControlTotal


EVERY_DAY = 3
"""Days in a row on which a bill must have lines for the next one to be expected: some payers are charged monthly."""

WAITS_DAYS = 2
"""Days that are over for longer wait for no bill: what comes later restates them. Clouds bill a day within two."""


@dataclass(frozen=True)
class Amount:
    """Lines of the bill, and their exact total.

    Attributes:
        shown: what the total is shown as, where that is in another currency; nothing is compared by it.
    """

    lines: int = 0
    total: Decimal = Decimal()
    shown: Decimal | None = field(default=None, compare=False)

    @property
    def money(self) -> Decimal:
        """The total as it is shown."""
        return self.total if self.shown is None else self.shown

    def __add__(self, other: Amount) -> Amount:
        shown = None if self.shown is None and other.shown is None else self.money + other.money
        return Amount(self.lines + other.lines, self.total + other.total, shown)

    def __sub__(self, other: Amount) -> Amount:
        shown = None if self.shown is None and other.shown is None else self.money - other.money
        return Amount(self.lines - other.lines, self.total - other.total, shown)


@dataclass(frozen=True)
class BillTotals:
    """The whole bill in sums.

    Attributes:
        days: the days that have lines that count, and what they come to; money is in the billing currency.
        periods: the billing periods that a day's lines lie in, ascending; an empty name where a line names none.
        months: the billing periods that the bill has, `2025-09`.
        left_out: what settings leave out: reason -> currency -> lines and total.
        undated: lines that have no date.
        without_cost: days that have lines that count and have no cost, and how many: such days cannot be archived.
        currency: the billing currency; empty where the bill does not name it.
        bills: of several bills, what each has on its days, of the lines that count; an empty map of a single bill.
        ends: of several bills, the newest day of each that has lines on every day and is expected to go on.
        shown_in: the currency that amounts are shown in, where that is another.
    """

    days: Mapping[date, Amount] = field(default_factory=dict)
    periods: Mapping[date, tuple[str, ...]] = field(default_factory=dict)
    months: frozenset[str] = frozenset()
    left_out: Mapping[str, Mapping[str, Amount]] = field(default_factory=dict)
    undated: Amount = Amount()
    without_cost: Mapping[date, int] = field(default_factory=dict)
    currency: str = ""
    bills: Mapping[str, Mapping[date, Amount]] = field(default_factory=dict)
    ends: Mapping[str, date] = field(default_factory=dict)
    shown_in: str = ""

    @property
    def whole(self) -> Amount:
        """All lines that count."""
        return sum(self.days.values(), Amount()) + self.undated

    @property
    def unit(self) -> str:
        """The currency of amounts as they are shown."""
        return self.shown_in or self.currency

    @property
    def on_firsts(self) -> bool:
        """Whether most of its lines are on the first day of a month, as in a bill of monthly granularity."""
        return 2 * sum(of.lines for day, of in self.days.items() if day.day == 1) > self.whole.lines

    def newest(self, yesterday: date) -> date | None:
        """The newest day up to yesterday that has lines: charges may be dated in days to come."""
        at = bisect_right(self._ascending, yesterday)
        return self._ascending[at - 1] if at else None

    @cached_property
    def _ascending(self) -> list[date]:
        """The days, asked for of each archived day: sorted once."""
        return sorted(self.days)

    def waits_for(self, day: date, yesterday: date) -> tuple[str, ...]:
        """Of several bills, those that a day waits for: they have not got so far, and the day is not long over."""
        if not is_awaited(day, yesterday):
            return ()
        return tuple(name for name, end in self.ends.items() if end < day)

    def is_empty(self, day: date, yesterday: date) -> bool:
        """Whether the bill has the day's billing period and a later day, and nothing on this one."""
        newest = self.newest(yesterday)
        return newest is not None and day < newest and day not in self.days and self.has_month(day)

    def has_lost(self, day: date, yesterday: date) -> bool:
        """Whether the bill has the day's billing period, and ends before the day."""
        newest = self.newest(yesterday)
        return (newest is None or day > newest) and self.has_month(day)

    def has_month(self, day: date) -> bool:
        """Whether the bill has the billing period that the day belongs to."""
        return f"{day:%Y-%m}" in self.months


def main_currency(amounts: Iterable[tuple[str | None, Decimal | int]]) -> str:
    """The currency that amounts are in; that of zeros where there is nothing else, and empty where none is named."""
    named = [(currency, amount) for currency, amount in amounts if currency]
    return min((c for c, amount in named if amount), default=min((c for c, _ in named), default=""))


def is_awaited(day: date, yesterday: date) -> bool:
    """Whether a day still waits for one of several bills that does not have it."""
    return (yesterday - day).days < WAITS_DAYS


def bill_totals(controls: Iterable[ControlTotal]) -> BillTotals:
    """The bill's control totals, put together."""
    days: dict[date, Amount] = defaultdict(Amount)
    periods: dict[date, set[str]] = defaultdict(set)
    left_out: dict[str, dict[str, Amount]] = defaultdict(lambda: defaultdict(Amount))
    months: set[str] = set()
    without_cost: dict[date, int] = defaultdict(int)
    undated, currencies = Amount(), []
    bills: dict[str, dict[date, Amount]] = defaultdict(lambda: defaultdict(Amount))
    going_on: set[str] = set()
    shown_in = ""
    for control in controls:
        shown_in = shown_in or control.shown_in
        amount = Amount(control.lines, control.total, control.shown)
        months.add(control.period or (f"{control.day:%Y-%m}" if control.day else ""))
        if control.left_out:
            left_out[control.left_out][control.currency] += amount
            continue
        currencies.append((control.currency, control.total))
        if control.day is None:
            undated += amount
        else:
            without_cost[control.day] += control.without_cost
            days[control.day] += amount
            if control.bill:
                bills[control.bill][control.day] += amount
                going_on |= set() if control.ended else {control.bill}
            periods[control.day].add(control.period)
    return BillTotals(
        days=dict(sorted(days.items())),
        periods={day: tuple(sorted(of)) for day, of in sorted(periods.items())},
        months=frozenset(months - {""}),
        left_out={reason: dict(of) for reason, of in sorted(left_out.items())},
        undated=undated,
        without_cost={day: lines for day, lines in sorted(without_cost.items()) if lines},
        currency=main_currency(currencies),
        bills={name: dict(sorted(of.items())) for name, of in bills.items()},
        ends={name: end for name in sorted(going_on) if (end := _end(set(bills[name])))},
        shown_in=shown_in,
    )


def _end(days: set[date]) -> date | None:
    """The newest day of a bill that has lines on each of its last days; None of one that has them now and then."""
    newest = max(days)
    return newest if all(newest - timedelta(days=n) in days for n in range(EVERY_DAY)) else None
