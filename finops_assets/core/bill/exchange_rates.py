"""Exchange rates: what one unit of a billing currency is worth in the currency that costs are shown in, by month.

`rates.csv` has the columns month (`2025-09`), currency and rate: units of the display currency for one of `currency`.
Only what is shown is converted, never what is archived. A rate that is not there is an error: none is guessed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Context, Decimal

from finops_assets.core.csv_tables import read_csv
from finops_assets.core.errors import SettingsError
from finops_assets.core.money import PLACES, plain

COLUMNS = ("month", "currency", "rate")
EXAMPLE = "2025-09,USD,0.9234"
DIGITS, DECIMALS = 10, 12
"""A rate has at most so many digits before the point, and after it."""

EXACT = Context(prec=80, rounding=ROUND_HALF_EVEN)
"""No product of an amount and a rate has more digits."""


class RatesError(SettingsError):
    """The rates cannot be read, or lack one that is needed; `where` names the file, and the line."""


Used = tuple[str, str, Decimal]
"""A rate as it was used: month, currency, rate."""


@dataclass(frozen=True)
class ExchangeRates:
    """The rates of a file.

    Attributes:
        display: the currency that costs are shown in.
        rates: (month, currency) -> units of `display` for one of the currency.
        where: the file.
    """

    display: str
    rates: Mapping[tuple[str, str], Decimal]
    where: str = "rates.csv"

    def of(self, currency: str, day: date) -> Decimal:
        """The rate of a currency on a day.

        Raises:
            RatesError: there is none; it names the month and the currency.
        """
        if currency == self.display:
            return Decimal(1)
        rate = self.rates.get((f"{day:%Y-%m}", currency))
        if rate is None:
            raise self.missing([(f"{day:%Y-%m}", currency)])
        return rate

    def refuse_missing(self, wanted: Iterable[tuple[date, str]]) -> None:
        """Refuse days that cannot be shown.

        Args:
            wanted: days, and the currencies that they have amounts in.

        Raises:
            RatesError: it names every month and currency that is missing.
        """
        needed = {(f"{day:%Y-%m}", currency) for day, currency in wanted if currency not in ("", self.display)}
        if missing := sorted(needed - self.rates.keys()):
            raise self.missing(missing)

    def missing(self, pairs: Iterable[tuple[str, str]]) -> RatesError:
        """The error of rates that are not there."""
        pairs = list(pairs)
        month, currency = pairs[0]
        named = ", ".join(f"{currency} for {month}" for month, currency in pairs)
        return RatesError(
            f"has no rate of {named}",
            where=f"{self.where} (currency.rates)",
            fix=f"Add a line for each, such as {month},{currency},<what one {currency} is worth in {self.display}>.",
        )

    @property
    def version(self) -> str:
        """An id of the rates: it changes when one does."""
        lines = "\n".join(f"{month} {currency} {plain(rate)}" for (month, currency), rate in sorted(self.rates.items()))
        return hashlib.sha256(f"{self.display}\n{lines}".encode()).hexdigest()[:8]


def converted(amount: Decimal, rate: Decimal) -> Decimal:
    """An exact amount at a rate, in twelve places, half to even."""
    if rate == 1:
        return amount
    return EXACT.multiply(amount, rate).quantize(Decimal(1).scaleb(-PLACES), context=EXACT)


def rates_in_words(display: str, used: Iterable[Used]) -> str:
    """`Shown in EUR: USD at 0.9234 for 2025-09, 0.91 for 2025-08.`; empty where no rate was used."""
    by_currency: dict[str, dict[str, Decimal]] = {}
    for month, currency, rate in sorted(used, reverse=True):
        by_currency.setdefault(currency, {})[month] = rate
    parts = [
        f"{currency} at " + ", ".join(f"{plain(rate)} for {month}" for month, rate in of.items())
        for currency, of in sorted(by_currency.items())
    ]
    return f"Shown in {display}: {'; '.join(parts)}." if parts else ""


def read_rates(data: bytes, file: str, display: str) -> ExchangeRates:
    """The rates of a `rates.csv`.

    Args:
        data: the file.
        file: what it is called in errors.
        display: the currency that costs are shown in.

    Raises:
        RatesError: a column is missing, or a row cannot be read or is there twice.
    """
    _, rows = read_csv(data, file, COLUMNS, RatesError, example=EXAMPLE)
    rates: dict[tuple[str, str], Decimal] = {}
    for row in rows:
        where = f"{file}, line {row.line}"
        if not row.complete:
            raise RatesError(f"has {len(row.fields)} values", where=where, fix=f"Write it as {EXAMPLE}.")
        month, currency, text = map(row.stripped, COLUMNS)
        currency = currency.upper()
        if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", month, re.ASCII):
            raise RatesError(f"{month!r} is no month", where=where, fix="Write it as 2025-09.")
        if not re.fullmatch(r"[A-Z]{3}", currency):
            raise RatesError(f"{currency!r} is no currency", where=where, fix="Write its code, such as USD.")
        rate = _rate(text, where)
        if currency == display and rate != 1:
            raise RatesError(f"{display} is the currency shown: its rate is 1", where=where, fix="Leave that line out.")
        if (month, currency) in rates:
            raise RatesError(f"{currency} has two rates for {month}", where=where, fix="Keep one of the rows.")
        rates[month, currency] = rate
    return ExchangeRates(display, rates, file)


def _rate(text: str, where: str) -> Decimal:
    if re.fullmatch(rf"\d{{1,{DIGITS}}}(\.\d{{1,{DECIMALS}}})?", text, re.ASCII) and (rate := Decimal(text)):
        return rate
    raise RatesError(
        f"{text!r} is no rate",
        where=where,
        fix=f"Write a number above 0 with a point, such as 0.9234, with at most {DECIMALS} decimals.",
    )
