"""Archived days as they are shown: in the billing currency, or in one display currency by the rates of each month.

The archive stays in the billing currency. All that shows costs reads it through `ShownArchive`, which converts, or
through `Display.shown`; what proves, registers, restores or bundles days reads the archive itself.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from finops_assets.core.archive.day_costs import exact_decimals
from finops_assets.core.archive.day_currencies import CURRENCIES, CurrencyPart, left_out_records, parts_of
from finops_assets.core.archive.kept_history import KeptHistory
from finops_assets.core.archive.provenance import BILLS, bill_shares
from finops_assets.core.archive.scheduled_costs import COLUMNS
from finops_assets.core.bill.exchange_rates import (
    DECIMALS,
    EXAMPLE,
    ExchangeRates,
    Used,
    converted,
    rates_in_words,
    read_rates,
)
from finops_assets.core.findings import Finding
from finops_assets.core.money import PLACES, plain
from finops_assets.core.ports import Archive
from finops_assets.core.schemas import KEY_COLUMNS, MONEY
from finops_assets.core.values import ControlTotal, PublishedDay, SourceDay

if TYPE_CHECKING:
    import pyarrow as pa

RATES, BILLED_IN = "exchange_rates", "billing_currency"
"""Of a day as it is shown: the rates that were used, and the currency that it is archived in."""

READ_AGAIN = 60.0
"""Seconds for which rates that were read are used, so that a run reads them once."""


class Display:
    """How costs are shown; by default as they are billed.

    Args:
        currency: currency.display; empty to show the billing currency.
        read: reads currency.rates; None where it names no file.
        file: what that is called in errors.
    """

    def __init__(
        self, currency: str = "", read: Callable[[], bytes | None] = lambda: None, file: str = "rates.csv"
    ) -> None:
        self.currency, self._read, self._file = currency, read, file
        self._known: tuple[float, ExchangeRates] | None = None
        self._shown: tuple[Archive, ShownArchive] | None = None

    def __bool__(self) -> bool:
        """Whether costs are shown in a currency of their own."""
        return bool(self.currency)

    @property
    def rates(self) -> ExchangeRates:
        """The rates as they are now.

        Raises:
            SettingsError: they cannot be read.
        """
        now = time.monotonic()
        if self._known is None or now - self._known[0] > READ_AGAIN:
            data = self._read()
            rates = ExchangeRates(self.currency, {}) if data is None else read_rates(data, self._file, self.currency)
            self._known = now, rates
        return self._known[1]

    @property
    def version(self) -> str:
        """An id of how costs are shown: it changes when a rate does; empty of the billing currency."""
        return self.rates.version if self else ""

    def refuse_missing(self, days: Iterable[SourceDay]) -> None:
        """Refuse days that could not be shown, before any is archived.

        Raises:
            RatesError: it names every month and currency that is missing.
        """
        if self:
            parts = ((of.day, part) for of in days for part in (of.parts or (of,)))
            self.rates.refuse_missing((day, part.currency) for day, part in parts if part.lines)

    def check(self, today: date) -> Iterator[Finding]:
        """Whether the rates can be read, and those of this month are there."""
        if not self:
            return
        rates = self.rates
        months = sorted({month for month, _ in rates.rates})
        if not months:
            yield Finding("rates", "fail", f"{self._file} has no rate", f"Add a line for each month: {EXAMPLE}.")
            return
        detail = f"costs are shown in {self.currency}, by rates of {months[0]} to {months[-1]} in {self._file}"
        lacking = [
            currency
            for month, currency in sorted(rates.rates)
            if month == months[-1] and (f"{today:%Y-%m}", currency) not in rates.rates
        ]
        if lacking:
            fix = "Add a line for each before the first day of the month is archived: it is refused without."
            yield Finding("rates", "warn", f"{detail}: none for {today:%Y-%m} of {', '.join(lacking)}", fix)
        else:
            yield Finding("rates", "ok", detail)

    def archive(self, archive: Archive) -> Archive:
        """The archive as it is shown: one for all that show it, so that its costs are read once."""
        if not self:
            return archive
        if self._shown is None or self._shown[0] is not archive:
            self._shown = archive, ShownArchive(archive, self)
        return cast(Archive, self._shown[1])

    def shown(self, published: PublishedDay) -> PublishedDay:
        """A day's figures as they are shown; its rates stand in its metadata. What is left out stays as it is billed.

        Raises:
            RatesError: a rate is missing.
        """
        if not self or (published.currency == self.currency and CURRENCIES not in published.metadata):
            return published
        parts = parts_of(published.currency, published.metadata)
        left_out = (replace(of, currency=of.currency or part.currency) for part in parts for of in part.left_out)
        facts = {"left_out": json.dumps(left_out_records(left_out))}  # as it is billed, as in `controls`
        if not published.rows:
            return replace(published, currency=self.currency, metadata={**published.metadata, **facts})
        rates = {part.currency: self.rates.of(part.currency, published.day) for part in parts}
        used: list[Used] = [
            (f"{published.day:%Y-%m}", currency, rate) for currency, rate in rates.items() if currency != self.currency
        ]
        total = _sum(parts, rates, "total")
        facts |= {
            "total": plain(total),
            "source_total": plain(total),
            "scheduled": plain(_sum(parts, rates, "scheduled")),
            "unassigned": plain(_sum(parts, rates, "unassigned")),
            "by_category": json.dumps(_categories(parts, rates)),
            RATES: json.dumps([[month, currency, plain(rate)] for month, currency, rate in used]),
            BILLED_IN: published.currency,
        }
        if BILLS in published.metadata:
            shares = bill_shares(published.metadata)
            only = parts[0].currency  # where a share names none
            amounts = [converted(of.total, rates[of.currency or only]) for of in shares]
            facts[BILLS] = json.dumps(
                [[of.name, of.provider, of.lines, plain(amount)] for of, amount in zip(shares, amounts, strict=True)]
            )
        other = hashlib.sha256(f"{self.currency} {facts[RATES]}".encode()).hexdigest()[:8]
        return replace(
            published,
            total=total,
            currency=self.currency,
            fingerprint=f"{published.fingerprint}-{other}",
            metadata={**published.metadata, **facts},
        )

    def rows(self, published: PublishedDay, rows: pa.Table) -> tuple[pa.Table, pa.Array]:
        """A day's rows as they are shown, and their exact costs.

        Args:
            published: the day as it is archived.
            rows: in the OU_BREAKDOWN schema, without `cost`.
        """
        import pyarrow as pa

        parts = parts_of(published.currency, published.metadata)
        costs = exact_decimals(rows.column("dailycost").to_numpy())
        if not self or not rows.num_rows or {part.currency for part in parts} == {self.currency}:
            return rows, costs
        costs = _times(costs, _rate_of_rows(rows, parts, published.day, self.rates))
        at = rows.schema.get_field_index("dailycost")
        return rows.set_column(at, rows.schema.field(at), costs.cast(pa.float64())), costs

    def dimensions(self, published: PublishedDay, rows: pa.Table) -> pa.Table:
        """A day's costs by dimension as they are shown; `rows` are in the DIMENSION_BREAKDOWN schema."""
        parts = parts_of(published.currency, published.metadata)
        if not self or not rows.num_rows or {part.currency for part in parts} == {self.currency}:
            return rows
        at, costs = rows.schema.get_field_index("cost"), rows.column("cost").combine_chunks()
        shown = _times(costs, _rate_of_rows(rows, parts, published.day, self.rates))
        return rows.set_column(at, rows.schema.field(at), shown)

    def scheduled(self, shown: PublishedDay, charges: pa.Table) -> pa.Table:
        """The scheduled columns of a day's charges as they are shown; by kind, they sum to `scheduledcost`.

        Args:
            shown: the day as it is shown.
            charges: in the OU_CHARGES schema, as they are archived.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        parts = parts_of(shown.metadata.get(BILLED_IN, shown.currency), shown.metadata)
        if not self or not charges.num_rows or {part.currency for part in parts} == {self.currency}:
            return charges
        rates = _rate_of_rows(charges, parts, shown.day, self.rates)
        names = list(COLUMNS.values())
        wide = pa.decimal256(60, PLACES)  # sums and differences have more digits than MONEY
        of = {name: charges.column(name).combine_chunks() for name in (*names, "scheduledcost")}
        other = of.pop("scheduledcost").cast(wide)
        for amount in of.values():
            other = pc.subtract(other, amount.cast(wide))
        amounts = {name: _times(amount, rates) for name, amount in of.items()}
        total = _times(other.cast(MONEY), rates).cast(wide)
        for amount in amounts.values():
            total = pc.add(total, amount.cast(wide))
        keys = {name: charges.column(name) for name in KEY_COLUMNS}
        return pa.table({**keys, **amounts, "scheduledcost": total.cast(MONEY)})

    def commitments(self, published: PublishedDay, rows: pa.Table) -> pa.Table:
        """A day's commitments as they are shown; `rows` are in the COMMITMENTS schema."""
        parts = parts_of(published.currency, published.metadata)
        if not self or not rows.num_rows or {part.currency for part in parts} == {self.currency}:
            return rows
        rates = _rate_of_rows(rows, parts, published.day, self.rates)
        for at, field in enumerate(rows.schema):
            if field.type == MONEY:
                rows = rows.set_column(at, field, _times(rows.column(at).combine_chunks(), rates))
        return rows

    def controls(self, totals: Iterable[ControlTotal]) -> list[ControlTotal]:
        """The bill's control totals with what they are shown as; what settings leave out stays in its own currency."""
        return [self._control(of) for of in totals] if self else list(totals)

    def _control(self, of: ControlTotal) -> ControlTotal:
        month = of.day or (date.fromisoformat(f"{of.period}-01") if of.period else None)
        if of.left_out or month is None:
            return of
        rate = self.rates.of(of.currency, month) if of.total else Decimal(1)  # a line of nothing is in no currency
        return replace(of, shown=converted(of.total, rate), shown_in=self.currency)

    def restated(self, ledger: pa.Table) -> pa.Table:
        """The ledger of restatements as it is shown."""
        import pyarrow as pa

        if not self or not ledger.num_rows:
            return ledger
        names = ("oldcost", "newcost", "delta")
        rows = [
            {**row, **{name: converted(row[name], rate) for name in names}, "currency": self.currency}
            for row in ledger.to_pylist()
            for rate in [self.rates.of(row["currency"], row["billingdate"])]
        ]
        return pa.Table.from_pylist(rows, ledger.schema)


class ShownArchive:
    """An archive whose days are read as they are shown; all else is the archive's own.

    Args:
        archive: in the billing currency.
        display: how costs are shown.
    """

    def __init__(self, archive: Archive, display: Display) -> None:
        self._archive, self._display = archive, display
        self._history: tuple[str, KeptHistory] | None = None

    @property
    def history(self) -> KeptHistory:
        """The costs of its days as they are shown, while the rates are the same."""
        version = self._display.version
        if self._history is None or self._history[0] != version:
            self._history = version, ShownHistory(cast(Archive, self), self._archive, self._display)
        return self._history[1]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._archive, name)

    def describe(self, day: date) -> PublishedDay | None:
        """The day's figures as they are shown."""
        published = self._archive.describe(day)
        return published and self._display.shown(published)

    def read(self, days: Sequence[date]) -> pa.Table:
        """Rows of these days as they are shown, with the exact `cost`."""
        import pyarrow as pa

        tables = []
        for published, rows in self._archive.stream(days):
            shown, costs = self._display.rows(published, rows)
            tables.append(shown.append_column("cost", costs))
        return pa.concat_tables(tables) if tables else self._archive.read(days)

    def dimensions(self, day: date, named: str) -> pa.Table:
        """The day's costs by dimension as they are shown."""
        rows, published = self._archive.dimensions(day, named), self._archive.describe(day)
        return self._display.dimensions(published, rows) if published else rows

    def commitments(self, day: date, fingerprint: str) -> pa.Table:
        """The day's commitments as they are shown."""
        rows, published = self._archive.commitments(day, fingerprint), self._archive.describe(day)
        return self._display.commitments(published, rows) if published else rows

    def stream(self, days: Sequence[date]) -> Iterator[tuple[PublishedDay, pa.Table]]:
        """These days one by one, as they are shown."""
        for published, rows in self._archive.stream(days):
            yield self._display.shown(published), self._display.rows(published, rows)[0]

    def stream_charges(self, days: Sequence[PublishedDay]) -> Iterator[pa.Table | None]:
        """The scheduled columns of these days' charges as they are shown."""
        for shown, charges in zip(days, self._archive.stream_charges(days), strict=True):
            yield charges if charges is None else self._display.scheduled(shown, charges)


class ShownHistory(KeptHistory):
    """Costs of archived days as they are shown, read once and kept nowhere; what objects say is of the archive's own.

    Args:
        shown: the archive as it is shown.
        billed: the archive, in the billing currency.
        display: how costs are shown.
    """

    def __init__(self, shown: Archive, billed: Archive, display: Display) -> None:
        super().__init__(shown, keeps=False)
        self._billed, self._display = billed, display

    def describe(self, days: Collection[date]) -> dict[date, PublishedDay]:
        return {day: self._display.shown(of) for day, of in self._billed.history.describe(days).items()}


def rates_words(days: Iterable[PublishedDay]) -> str:
    """The rates by which days are shown, in a sentence; empty where none was used."""
    shown = [day for day in days if RATES in day.metadata]
    used = {
        (month, currency, Decimal(rate)) for day in shown for month, currency, rate in json.loads(day.metadata[RATES])
    }
    return rates_in_words(shown[0].currency, used) if shown else ""


def _sum(parts: Iterable[CurrencyPart], rates: Mapping[str, Decimal], fact: str) -> Decimal:
    return sum((converted(getattr(part, fact), rates[part.currency]) for part in parts), Decimal())


def _categories(parts: Iterable[CurrencyPart], rates: Mapping[str, Decimal]) -> dict[str, str]:
    sums: dict[str, Decimal] = {}
    for part in parts:
        for category, total in part.by_category.items():
            sums[category] = sums.get(category, Decimal()) + converted(total, rates[part.currency])
    return {category: plain(total) for category, total in sorted(sums.items())}


def _times(costs: pa.Array, rates: pa.Array) -> pa.Array:
    """Exact costs at rates, in twelve places, half to even, as `exchange_rates.converted` has them one by one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    products = pc.multiply(costs.cast(pa.decimal256(38, PLACES)), rates)
    return pc.round(products, ndigits=PLACES, round_mode="half_to_even").cast(MONEY)


def _rate_of_rows(rows: pa.Table, parts: Sequence[CurrencyPart], day: date, rates: ExchangeRates) -> pa.Array:
    """The rate of each row, by its account."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = pa.decimal256(10 + DECIMALS, DECIMALS)
    known = {part.currency: pa.scalar(rates.of(part.currency, day), kind) for part in parts}
    of_row = pa.repeat(next(known[part.currency] for part in parts if part.accounts is None), rows.num_rows)
    accounts = rows.column("linkedaccount").combine_chunks()
    for part in parts:
        if part.accounts is not None:
            named = pc.is_in(accounts, pa.array(sorted(part.accounts), pa.string()))
            of_row = pc.if_else(named, known[part.currency], of_row)
    return of_row
