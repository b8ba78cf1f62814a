"""A day of several billing currencies: amounts are summed within a currency, and each account has one of them.

The archive's rows have no column for a currency: an account's is that of its payer, and is kept with the day. An
account that is billed in two currencies on one day is refused, as its row would mix them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

from finops_assets.core.bill.left_out import summed_left_out
from finops_assets.core.errors import BillError
from finops_assets.core.values import SourceDay

SEPARATOR = "+"
"""Between the currencies of a day that has several: `EUR+USD`."""

OfAccounts = Mapping[date, Mapping[str, str]]
"""Day -> account -> the currency that it has amounts in."""


def currencies_of(unit: str) -> tuple[str, ...]:
    """The currencies of a day by its name for them: `EUR`, or `EUR+USD`."""
    return tuple(unit.split(SEPARATOR))


def day_of_several(day: date, parts: Sequence[SourceDay]) -> SourceDay:
    """A day by its parts, one for each currency; the only part where there is one.

    Totals of the whole are sums of plain numbers: a checksum of the rows, and no amount of money. Nobody is shown them.
    """
    if len(parts) == 1:
        return parts[0]
    parts = sorted(parts, key=lambda part: part.currency)
    whole = summed_day(day, SEPARATOR.join(part.currency for part in parts), parts)
    return replace(whole, bills=tuple(share for part in parts for share in part.bills), parts=tuple(parts))


def summed_day(day: date, currency: str, parts: Collection[SourceDay]) -> SourceDay:
    """The sums of what has no line in common, such as bills or currencies; without `bills` and `parts`.

    Args:
        day: the day.
        currency: its name for all of them.
        parts: of the day.
    """
    categories: dict[str, Decimal] = defaultdict(Decimal)
    for part in parts:
        for category, total in part.by_category.items():
            categories[category] += total
    left_out = (replace(out, currency=out.currency or part.currency) for part in parts for out in part.left_out)
    return SourceDay(
        day=day,
        currency=currency,
        lines=sum(part.lines for part in parts),
        total=sum((part.total for part in parts), Decimal()),
        scheduled=sum((part.scheduled for part in parts), Decimal()),
        by_category=dict(sorted(categories.items())),
        left_out=summed_left_out(left_out),
        providers=tuple(sorted({provider for part in parts if part.lines for provider in part.providers})),
    )


def account_currencies_sql(charges: str) -> str:
    """The currencies that each account has amounts in, by day; lines that are left out or of 0.00 are in none."""
    return f"""SELECT charge_date, linkedaccount, currency
FROM ({charges}) AS charges
WHERE left_out IS NULL AND cost <> 0
GROUP BY charge_date, linkedaccount, currency
ORDER BY 1, 2, 3"""


def account_currencies(rows: Iterable[tuple[date, str, str | None]], where: str) -> dict[date, dict[str, str]]:
    """The rows of `account_currencies_sql`, of one bill or of several.

    Raises:
        BillError: an account has two currencies on one day; it names both.
    """
    found: dict[date, dict[str, str]] = defaultdict(dict)
    for day, account, currency in rows:
        known = found[day].setdefault(account, currency or "")
        if known != (currency or ""):
            raise BillError(
                f"the account {account} has amounts in {known} and {currency} on {day}",
                where=where,
                fix="An account's row cannot mix currencies: choose one by bill.currency, or export each payer in one.",
            )
    return dict(found)
