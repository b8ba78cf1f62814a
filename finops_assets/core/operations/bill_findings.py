"""What `finops doctor` says of the bill itself: deliveries, payers, granularity, and the columns that it lacks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.accounts.account_ids import AccountIdError, account_id
from finops_assets.core.bill.profile import LENGTHS
from finops_assets.core.bill.totals import bill_totals
from finops_assets.core.findings import Finding
from finops_assets.core.money import money
from finops_assets.core.values import BillProfile

if TYPE_CHECKING:
    from finops_assets.core.bill.totals import Amount, BillTotals
    from finops_assets.core.ports import Warehouse
    from finops_assets.core.values import BillDescription

SHOWN = 3
"""Months, deliveries, payers and columns that are named in one finding."""


def bill_findings(warehouse: Warehouse, totals: BillTotals | None, newest: date) -> Iterator[Finding]:
    """What the bill is like, for a person to hold against the export's own settings.

    Args:
        warehouse: reads it.
        totals: of the whole bill; None where it was not asked.
        newest: the day that is looked at: lines of its month and the one before are asked for, as Athena's bytes are
            paid for.
    """
    bill = warehouse.describe()
    yield from _deliveries(bill)
    if totals:
        yield from _months(totals)
    since = (newest.replace(day=1) - timedelta(days=1)).replace(day=1)
    profile = warehouse.profile(since)
    if who := "; ".join(f"{provider} bills {_payers(of)}" for provider, of in profile.payers.items()):
        yield Finding("payers", "ok", who)
    yield Finding("lines", "ok", f"since {since}: {', '.join(_of_lines(profile))}")
    lacking = "; ".join(
        f"{basis} {', '.join(of[:SHOWN])}{_more(len(of), 'other')}" for basis, of in bill.missing_columns.items() if of
    )
    if lacking:
        detail = f"not in the bill, and read by a cost basis where lines need them: {lacking}"
        yield Finding("columns", "ok", detail)


def findings_before_the_first_day(warehouse: Warehouse, yesterday: date) -> Iterator[Finding]:
    """The same of a bill of which nothing is archived yet: its control totals are taken for it.

    Args:
        warehouse: reads it.
        yesterday: the newest day that can be whole.
    """
    totals = bill_totals(warehouse.control_totals())
    yield from bill_findings(warehouse, totals, totals.newest(yesterday) or yesterday)


def _deliveries(bill: BillDescription) -> Iterator[Finding]:
    if bill.deliveries:
        newest = sorted(bill.deliveries.items(), reverse=True)
        of = ", ".join(f"{period} of {delivery}" for period, delivery in newest[:SHOWN])
        yield Finding("delivery", "ok", f"{of}{_more(len(newest), 'earlier period')}")


def _months(totals: BillTotals) -> Iterator[Finding]:
    """The days and the total of each of the bill's newest months; nothing of a bill without days."""
    by_month: dict[str, list[Amount]] = defaultdict(list)
    for day, amount in totals.days.items():
        by_month[f"{day:%Y-%m}"].append(amount)
    if not by_month:
        return
    newest = sorted(by_month.items(), reverse=True)
    of = "; ".join(f"{month} {_sum(amounts, totals.unit)}" for month, amounts in newest[:SHOWN])
    earlier = [amount for _, amounts in newest[SHOWN:] for amount in amounts]
    rest = f"; {len(newest) - SHOWN} earlier month(s) {_sum(earlier, totals.unit)}" if earlier else ""
    yield Finding("months", "ok", of + rest)


def _sum(amounts: list[Amount], currency: str) -> str:
    total = sum((amount.money for amount in amounts), Decimal())
    lines = sum(amount.lines for amount in amounts)
    return f"{len(amounts)} day(s), {lines:,} lines, {money(total, currency)}"


def _payers(payers: tuple[str, ...]) -> str:
    named = [payer for payer in payers if payer]
    if not named:
        return "accounts that it does not name"
    return f"{', '.join(named[:SHOWN])}{_more(len(named), 'other payer')}"


def _of_lines(profile: BillProfile) -> Iterator[str]:
    yield f"{profile.lines:,} lines"
    usage = sum(profile.lengths.values())
    for length, lines in profile.lengths.items():
        share = 100 * lines / usage
        yield f"{f'{share:.0f}' if share >= 1 else '<1'} % of usage {LENGTHS[length]}"
    if profile.rewritten:
        try:
            now = f" is read as {account_id(profile.example)}"
        except AccountIdError:
            now = ""
        yield f"{profile.rewritten:,} with an account id in another form: {profile.example!r}{now}"
    if profile.learned:
        yield f"{profile.learned} product code(s) take a service's name from other lines"


def _more(count: int, of: str) -> str:
    return f" and {count - SHOWN} {of}(s)" if count > SHOWN else ""
