"""The files that a new installation starts with, made of its bill: accounts.csv and budgets.csv."""

from __future__ import annotations

import csv
import io
from calendar import monthrange
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_CEILING, Decimal
from statistics import median
from typing import TYPE_CHECKING

from finops_assets.core.accounts.account_map import COLUMNS as ACCOUNTS_HEADER
from finops_assets.core.accounts.ous import ALL
from finops_assets.core.analytics.budgets import COLUMNS as BUDGETS_HEADER
from finops_assets.core.analytics.budgets import DEFAULT
from finops_assets.core.money import money, plain
from finops_assets.core.reports.digest.csv_file import csv_text
from finops_assets.core.schemas import UNASSIGNED

if TYPE_CHECKING:
    import pyarrow as pa

    from finops_assets.core.ports import Warehouse

COSTS_OF = timedelta(days=30)
"""The newest days of the bill by which accounts are sorted."""

MONTHS, DAYS = 3, 28
"""Whole months that a budget is proposed from; where there is none, days."""

ROUNDED_TO = 2
"""Figures of a proposed budget; it is rounded up."""


@dataclass(frozen=True)
class ProposedBudget:
    """What a month may cost, in the billing currency, and the figures that this comes from, in words."""

    amount: Decimal
    words: str


def account_costs(warehouse: Warehouse, newest: date, accounts: pa.Table) -> dict[str, Decimal]:
    """The exact cost of each account on the 30 days up to the newest; those that cost nothing are not in it.

    Args:
        warehouse: reads the bill.
        newest: the newest day.
        accounts: in the ACCOUNT_OU_MAP schema.
    """
    costs: dict[str, Decimal] = defaultdict(Decimal)
    for batch in warehouse.breakdown(newest - COSTS_OF + timedelta(days=1), newest, accounts):
        for account, cost in zip(batch["linkedaccount"].to_pylist(), batch["cost"].to_pylist(), strict=True):
            costs[account] += cost
    return dict(costs)


def accounts_csv(names: Mapping[str, str], costs: Mapping[str, Decimal], ou_paths: Mapping[str, str]) -> bytes:
    """An accounts.csv of all accounts, the dearest first; an ou_path that is not known is empty, to be filled in.

    Args:
        names: account id -> name.
        costs: account id -> cost; accounts that are not in `names` are listed, too.
        ou_paths: account id -> path, where it is known.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(ACCOUNTS_HEADER[:3])
    for account in sorted({*names, *costs}, key=lambda each: (-costs.get(each, Decimal()), each)):
        path = ou_paths.get(account, "")
        writer.writerow((account, csv_text(names.get(account) or ""), "" if path == UNASSIGNED else csv_text(path)))
    return out.getvalue().encode()


def proposed_budget(days: Mapping[date, Decimal], currency: str) -> ProposedBudget | None:
    """What a month may cost by what the newest whole months cost; of a shorter bill, by its newest days.

    Args:
        days: the total of each day that the bill has.
        currency: of these totals.

    Returns:
        The median, rounded up to two figures; None where there are too few days, or they come to nothing.
    """
    by_month: dict[date, list[Decimal]] = defaultdict(list)
    for day, total in days.items():
        by_month[day.replace(day=1)].append(total)
    whole = sorted(month for month, of in by_month.items() if len(of) == monthrange(month.year, month.month)[1])
    if newest := whole[-MONTHS:]:
        typical = median(sum(by_month[month], Decimal()) for month in newest)
        months = f"{newest[0]:%Y-%m}" + (f" to {newest[-1]:%Y-%m}" if len(newest) > 1 else "")
        words = f"the median month of {months} is {money(typical, currency)}"
    elif len(days) >= DAYS:
        a_day = median(days[day] for day in sorted(days)[-DAYS:])
        typical = a_day * 30
        words = f"30 times the median day of the newest {DAYS}, {money(a_day, currency)}"
    else:
        return None
    return ProposedBudget(_rounded_up(typical), words) if typical > 0 else None


def _rounded_up(amount: Decimal) -> Decimal:
    step = Decimal(1).scaleb(amount.adjusted() + 1 - ROUNDED_TO)
    return (amount / step).to_integral_value(ROUND_CEILING) * step


def budgets_csv(proposed: ProposedBudget, currency: str) -> bytes:
    """A budgets.csv with one budget, of the whole organization for every month."""
    row = (ALL, DEFAULT, plain(proposed.amount), currency)
    return f"{','.join(BUDGETS_HEADER)}\n{','.join(row)}\n".encode()
