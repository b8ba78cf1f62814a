"""The whole bill in sums, from its control totals: its days, its billing periods, and what settings leave out.

They are taken once for each refresh of the bill, without account map and without a range of days. The archive is
compared with them, so that every line is accounted for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from finops_assets.core.values import ControlTotal


@dataclass(frozen=True)
class Amount:
    """Lines of the bill, and their exact total."""

    lines: int = 0
    total: Decimal = Decimal()

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.lines + other.lines, self.total + other.total)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.lines - other.lines, self.total - other.total)


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
    """

    days: Mapping[date, Amount] = field(default_factory=dict)
    periods: Mapping[date, tuple[str, ...]] = field(default_factory=dict)
    months: frozenset[str] = frozenset()
    left_out: Mapping[str, Mapping[str, Amount]] = field(default_factory=dict)
    undated: Amount = Amount()
    without_cost: Mapping[date, int] = field(default_factory=dict)
    currency: str = ""

    @property
    def whole(self) -> Amount:
        """All lines that count."""
        return sum(self.days.values(), Amount()) + self.undated

    @property
    def on_firsts(self) -> bool:
        """Whether most of its lines are on the first day of a month, as in a bill of monthly granularity."""
        return 2 * sum(of.lines for day, of in self.days.items() if day.day == 1) > self.whole.lines

    def newest(self, yesterday: date) -> date | None:
        """The newest day up to yesterday that has lines: charges may be dated in days to come."""
        return max((day for day in self.days if day <= yesterday), default=None)

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


def bill_totals(controls: Iterable[ControlTotal]) -> BillTotals:
    """The bill's control totals, put together."""
    days: dict[date, Amount] = defaultdict(Amount)
    periods: dict[date, set[str]] = defaultdict(set)
    left_out: dict[str, dict[str, Amount]] = defaultdict(lambda: defaultdict(Amount))
    months: set[str] = set()
    without_cost: dict[date, int] = defaultdict(int)
    undated, currencies = Amount(), []
    for control in controls:
        amount = Amount(control.lines, control.total)
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
            periods[control.day].add(control.period)
    return BillTotals(
        days=dict(sorted(days.items())),
        periods={day: tuple(sorted(of)) for day, of in sorted(periods.items())},
        months=frozenset(months - {""}),
        left_out={reason: dict(of) for reason, of in sorted(left_out.items())},
        undated=undated,
        without_cost={day: lines for day, lines in sorted(without_cost.items()) if lines},
        currency=main_currency(currencies),
    )
