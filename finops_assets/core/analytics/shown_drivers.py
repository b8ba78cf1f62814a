"""Why a day moved, in the currency that costs are shown in: each day at its rates, and what the rates make of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_assets.core.analytics.drivers import EXCHANGE, OF_THE_BILL
from finops_assets.core.archive.day_currencies import CurrencyPart, currency_of_account
from finops_assets.core.bill.exchange_rates import ExchangeRates, converted
from finops_assets.core.schemas import MONEY

if TYPE_CHECKING:
    import pyarrow as pa

Day = tuple[date, Sequence[CurrencyPart]]
"""A day, and what it has in each currency."""


def shown_sums(sums: pa.Table, before: Day, now: Day, rates: ExchangeRates) -> pa.Table:
    """The sums of `Warehouse.drivers` as they are shown, with a column more: what another rate makes.

    Args:
        sums: in the billing currencies; or the parts of `Warehouse.moved_parts`.
        before, now: the days compared; an account that one of them does not name has the currency of the other.
        rates: of their months.
    """
    import pyarrow as pa

    names = [*sums.column_names, EXCHANGE]
    rows = [_shown(row, before, now, rates) for row in sums.to_pylist()]
    schema = sums.schema.append(pa.field(EXCHANGE, MONEY))
    return pa.Table.from_pylist(rows, schema).select(names)


def _shown(row: dict[str, Any], before: Day, now: Day, rates: ExchangeRates) -> dict[str, Any]:
    """A row with each amount at its day's rate; its effects sum to the change of what is shown, exactly."""
    account = row["linkedaccount"]
    then = _rate(account, before, now[1], rates)
    today = _rate(account, now, before[1], rates)
    shown = {"before": converted(row["before"], then), "now": converted(row["now"], today)}
    effects = [name for name in OF_THE_BILL if name in row]
    shown |= {name: converted(row[name], today) for name in effects}
    shown[EXCHANGE] = converted(row["before"], today) - shown["before"]
    rest = shown["now"] - shown["before"] - sum((shown[name] for name in (*effects, EXCHANGE)), Decimal())
    shown["other"] += rest  # what rounding to twelve places leaves over
    return {**row, **shown}


def _rate(account: str, day: Day, otherwise: Sequence[CurrencyPart], rates: ExchangeRates) -> Decimal:
    parts = day[1] or otherwise
    return rates.of(currency_of_account(parts, account), day[0]) if parts else Decimal(1)
