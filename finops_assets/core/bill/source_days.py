"""What the bill says of each day, from the sums that an engine makes of its lines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from finops_assets.core.bill.currencies import day_of_several
from finops_assets.core.bill.left_out import summed_left_out
from finops_assets.core.bill.providers import providers_of
from finops_assets.core.bill.totals import Amount
from finops_assets.core.errors import BillError
from finops_assets.core.values import LeftOut, SourceDay


class Fact(NamedTuple):
    """The lines of one day that share currency, category, reason for leaving out and provider: a row of the SQL.

    Attributes:
        amounts: how many of them have a cost that is not zero. A line of nothing is in no currency.
        provider: who bills them.
        usage, month_long: how many are usage, and usage of a whole month; 0 where the whole bill was asked before.
        lacks: absent columns that a cost among them is read from; None likewise.
    """

    day: date
    currency: str | None
    category: str | None
    scheduled: bool
    left_out: str | None
    lines: int
    without_cost: int
    total: Decimal | None
    amounts: int
    provider: str | None = None
    usage: int = 0
    month_long: int = 0
    lacks: str | None = None

    @property
    def amount(self) -> Amount:
        """The lines and their total; of lines without any cost, zero."""
        return Amount(self.lines, self.total or Decimal())


def source_days(
    facts: Iterable[Fact], currency: str, without_cost: Callable[[date, int], BillError], bills_own: Callable[[], str]
) -> dict[date, SourceDay]:
    """Each day's facts as one record.

    Args:
        facts: as `core.bill.queries.source_days_sql` selects them.
        currency: the setting bill.currency, for days of which every line is left out.
        without_cost: makes the error for (day, lines that have no cost).
        bills_own: gives the currency of the whole bill, for days of which no line that counts has an amount.
    """
    by_day: dict[date, list[Fact]] = defaultdict(list)
    for fact in facts:
        by_day[fact.day].append(fact)
    return {
        day: day_of_several(
            day, [_source_day(day, part, currency, without_cost, bills_own) for part in _by_currency(of_day)]
        )
        for day, of_day in by_day.items()
    }


def _by_currency(facts: list[Fact]) -> list[list[Fact]]:
    """The facts of each currency that has amounts that count; the first has those of other currencies, too."""
    currencies = sorted({f.currency or "" for f in facts if f.left_out is None and f.amounts})
    if len(currencies) < 2:
        return [facts]
    first = currencies[0]
    parts: dict[str, list[Fact]] = {currency: [] for currency in currencies}
    for fact in facts:
        parts[fact.currency if fact.currency in parts else first].append(fact)
    return list(parts.values())


def _source_day(
    day: date,
    facts: list[Fact],
    wanted_currency: str,
    without_cost: Callable[[date, int], BillError],
    bills_own: Callable[[], str],
) -> SourceDay:
    kept = [f for f in facts if f.left_out is None]
    lines_without_cost = sum(f.without_cost for f in kept)
    if lines_without_cost:
        raise without_cost(day, lines_without_cost)
    # One currency at most has amounts: the bill's only one, or the one that is set.
    currency = next((f.currency for f in kept if f.amounts), wanted_currency)
    if kept and not currency:
        currency = bills_own()
    categories: dict[str, Decimal] = defaultdict(Decimal)
    for fact in kept:
        categories[fact.category or "Cost"] += fact.amount.total
    left_out = (
        LeftOut(f.left_out, f.lines, f.amount.total, "" if f.currency == currency else f.currency or "")
        for f in facts
        if f.left_out is not None
    )
    return SourceDay(
        day=day,
        currency=currency or "",
        lines=sum(f.lines for f in kept),
        total=sum((f.amount.total for f in kept), Decimal()),
        scheduled=sum((f.amount.total for f in kept if f.scheduled), Decimal()),
        by_category=dict(sorted(categories.items())),
        left_out=summed_left_out(left_out),
        providers=providers_of(f.provider for f in kept),
    )
