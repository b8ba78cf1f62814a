"""Payers: which accounts are billed in which billing periods, so that no export is counted beside another of the same.

Several bills are read together. A payer's month that is in two of them would count twice; one that goes on in another
bill is not waited for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date
from typing import Any

from finops_assets.core.accounts.account_ids import DIGITS, AccountIdError, account_id
from finops_assets.core.bill.bill_format import BillFormat, Columns, text_sql
from finops_assets.core.bill.charges import undated_condition
from finops_assets.core.bill.control_totals import NO_PERIOD
from finops_assets.core.errors import BillError
from finops_assets.core.values import PayerPeriod

SHOWN = 5


def payer_columns(fmt: BillFormat, columns: Columns) -> tuple[str, ...]:
    """Those of the columns that `payers_sql` reads."""
    return tuple(name for name in (fmt.payer, fmt.start, fmt.period) if name in columns)


def payers_sql(fmt: BillFormat, columns: Columns, table: str = "bill", otherwise: str = NO_PERIOD) -> str:
    """The lines of each payer by billing period, in Athena's dialect; `payer_periods` reads its rows.

    Args:
        fmt, columns: of the bill.
        table: the bill.
        otherwise: SQL of the period, for a bill without a column of it; the day decides where that is null.
    """
    payer = text_sql(fmt.payer) if fmt.payer in columns else "CAST(NULL AS VARCHAR)"
    period = otherwise
    if fmt.period in columns:
        period = f"CASE WHEN NOT {undated_condition(fmt.period)} THEN CAST({fmt.period} AS DATE) END"
    month = f"CASE WHEN NOT {undated_condition(fmt.start)} THEN CAST(date_trunc('month', {fmt.start}) AS DATE) END"
    return f"""SELECT payer, period, month_of_day, COUNT(*) AS lines
FROM (SELECT {payer} AS payer, {period} AS period, {month} AS month_of_day FROM {table}) AS payers
GROUP BY payer, period, month_of_day"""


def payer_periods(rows: Iterable[tuple[Any, ...]], period_of: Any = str) -> list[PayerPeriod]:
    """The rows of `payers_sql` as records, ascending.

    Args:
        rows: their period is the date on which it starts, or a text.
        period_of: the billing period, `2025-09`, that such a text means; empty where it means none.
    """
    lines: dict[tuple[str, str], int] = defaultdict(int)
    for payer, period, month, count in rows:
        named = f"{period:%Y-%m}" if isinstance(period, date) else period_of(period) if period else ""
        lines[payer_id(payer or ""), named or (f"{month:%Y-%m}" if month else "")] += count
    return [PayerPeriod(payer, period, count) for (payer, period), count in sorted(lines.items())]


def payer_id(payer: str) -> str:
    """A payer's id in one form, so that two exports of one payer are known: see `core.accounts.account_ids`."""
    with suppress(AccountIdError):  # what cannot be an id is compared as it is written
        payer = account_id(payer)
    payer = payer.strip()
    return payer.zfill(DIGITS) if payer.isascii() and payer.isdigit() else payer.lower()


def refuse_covered_twice(payers: Mapping[str, Sequence[PayerPeriod]]) -> None:
    """Refuse bills that have the same payer's month.

    Args:
        payers: bill -> what it has of each payer.

    Raises:
        BillError: both bills, the payer and the months.
    """
    bills: dict[tuple[str, str], list[str]] = defaultdict(list)
    for bill, periods in payers.items():
        for of in periods:
            bills[of.payer, of.period].append(bill)
    twice: dict[tuple[str, ...], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for (payer, period), both in bills.items():
        if len(both) > 1:
            twice[tuple(both)][payer].append(period)
    for of_bills, by_payer in twice.items():
        payer, months = next(iter(by_payer.items()))
        shown = sorted(months)
        more = f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else ""
        who = f"the payer {payer}" if payer else "lines without a payer"
        raise BillError(
            f"{' and '.join(of_bills)} both have {who} in {', '.join(shown[:SHOWN])}{more}: charges would count twice",
            where=f"the bills {' and '.join(of_bills)}",
            fix="Take one of them out of the settings, or these months out of its export (folder or partition).",
        )


def superseded(payers: Mapping[str, Sequence[PayerPeriod]]) -> frozenset[str]:
    """The bills whose every payer goes on in another bill, in a later month: exports that others have followed."""
    newest: dict[str, dict[str, str]] = defaultdict(dict)
    for bill, periods in payers.items():
        for of in periods:
            newest[of.payer][bill] = max(of.period, newest[of.payer].get(bill, ""))
    going_on = {bill for by_bill in newest.values() for bill in by_bill if by_bill[bill] == max(by_bill.values())}
    return frozenset(payers.keys() - going_on)
