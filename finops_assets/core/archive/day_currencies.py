"""What an archived day says of its currencies: the amounts of each, and which accounts are billed in it.

A day of one currency says it in `currency`, as ever. One of several has `EUR+USD` there, and the entry `currencies`
with the facts of each; its `total` is then the sum of the numbers in its rows, by which they are proved, and no money.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from finops_assets.core.archive.day_charges import exact_costs
from finops_assets.core.bill.currencies import currencies_of
from finops_assets.core.money import money, plain
from finops_assets.core.schemas import UNASSIGNED
from finops_assets.core.values import DayRows, LeftOut, PublishedDay, SourceDay

CURRENCIES = "currencies"
"""The entry of a day's metadata."""

THESE_ARE = ", these are "
"""In reasons of older releases: before the currency of lines that are left out, where it is not the day's."""


@dataclass(frozen=True)
class CurrencyPart:
    """What a day has in one currency; amounts are exact.

    Attributes:
        accounts: those that are billed in it; None of all accounts that no other part names.
    """

    currency: str
    lines: int
    total: Decimal
    scheduled: Decimal
    unassigned: Decimal
    by_category: Mapping[str, Decimal]
    left_out: tuple[LeftOut, ...]
    accounts: frozenset[str] | None


def parts_of(currency: str, metadata: Mapping[str, str]) -> list[CurrencyPart]:
    """The currencies of a day's object, by its metadata; one of a day in one currency."""
    records = json.loads(metadata[CURRENCIES]) if CURRENCIES in metadata else []
    if not records:
        records = [
            {
                "currency": currency,
                "lines": int(metadata.get("source_lines", 0)),
                **{name: metadata.get(name, "0") for name in ("total", "scheduled", "unassigned")},
                "by_category": json.loads(metadata.get("by_category", "{}")),
                "left_out": json.loads(metadata.get("left_out", "[]")),
                "accounts": None,
            }
        ]
    return [_part(record) for record in records]


def _part(record: Mapping[str, Any]) -> CurrencyPart:
    return CurrencyPart(
        currency=record["currency"],
        lines=record["lines"],
        total=Decimal(record["total"]),
        scheduled=Decimal(record["scheduled"]),
        unassigned=Decimal(record["unassigned"]),
        by_category={name: Decimal(total) for name, total in record["by_category"].items()},
        left_out=left_out_of(record["left_out"]),
        accounts=None if record["accounts"] is None else frozenset(record["accounts"]),
    )


def left_out_records(left_out: Iterable[LeftOut]) -> list[list[Any]]:
    """What settings leave out of a day, as JSON types: the currency stands where it is not the day's."""
    return [[of.reason, of.lines, plain(of.total), *([of.currency] if of.currency else [])] for of in left_out]


def left_out_of(records: Iterable[Sequence[Any]]) -> tuple[LeftOut, ...]:
    """`left_out_records` read back; days of older releases name another currency in the reason."""
    left_out = []
    for reason, lines, total, *currency in records:
        why, _, named = reason.partition(THESE_ARE)
        left_out.append(LeftOut(why, lines, Decimal(total), currency[0] if currency else named))
    return tuple(left_out)


def currencies_fact(source: SourceDay, day: DayRows) -> dict[str, str]:
    """The entry of a day's metadata; nothing of a day in one currency.

    Args:
        source: what the bill says of it.
        day: as it will be archived.
    """
    if not source.parts:
        return {}
    accounts = {
        part.currency: sorted(a for a, c in day.account_currencies.items() if c == part.currency)
        for part in source.parts
    }
    others = max(accounts, key=lambda currency: len(accounts[currency]))  # named by what the others are not
    unassigned = _sums(day, others, of_ou=UNASSIGNED)
    records = [
        {
            "currency": part.currency,
            "lines": part.lines,
            "total": plain(part.total),
            "scheduled": plain(part.scheduled),
            "unassigned": plain(unassigned.get(part.currency, Decimal())),
            "by_category": {name: plain(total) for name, total in part.by_category.items()},
            "left_out": left_out_records(part.left_out),
            "accounts": None if part.currency == others else accounts[part.currency],
        }
        for part in source.parts
    ]
    return {CURRENCIES: json.dumps(records)}


def currency_fault(day: DayRows, source: SourceDay) -> str:
    """How the rows of a day in several currencies are not what the bill has in each; empty where they are."""
    if source.parts and day.charges is None:
        return "it has no charges, which tell its exact amounts"
    sums = _sums(day, source.parts[0].currency) if source.parts else {}
    for part in source.parts:
        has = sums.get(part.currency, Decimal())
        if has != part.total:
            return f"the rows have {plain(has)} {part.currency}, the bill has {plain(part.total)}"
    return ""


def _sums(day: DayRows, otherwise: str, of_ou: str = "") -> dict[str, Decimal]:
    """The exact costs of a day that has charges, by currency; those of one OU where named.

    Args:
        day: the day.
        otherwise: the currency of accounts without amounts.
        of_ou: the OU.
    """
    import pyarrow.compute as pc

    assert day.charges is not None, "a day without them is not published"
    costs = exact_costs(day.charges)
    if of_ou:
        costs = costs.filter(pc.equal(costs.column("ou"), of_ou))
    sums: dict[str, Decimal] = {}
    for account, cost in zip(costs.column("linkedaccount").to_pylist(), costs.column("cost").to_pylist(), strict=True):
        currency = day.account_currencies.get(account, otherwise)
        sums[currency] = sums.get(currency, Decimal()) + cost
    return sums


def currency_of_account(parts: Sequence[CurrencyPart], account: str) -> str:
    """The currency that an account's rows of a day are in."""
    named = next((part.currency for part in parts if part.accounts is not None and account in part.accounts), "")
    return named or next(part.currency for part in parts if part.accounts is None)


def is_mixed(published: PublishedDay) -> bool:
    """Whether a day has amounts in several currencies."""
    return len(currencies_of(published.currency)) > 1


def amounts_in_words(published: PublishedDay) -> str:
    """What a day comes to: `12.00 USD`, or `3.00 EUR + 12.00 USD`."""
    parts = parts_of(published.currency, published.metadata) if is_mixed(published) else []
    amounts = [money(part.total, part.currency) for part in parts]
    return " + ".join(amounts) or money(published.total, published.currency)


def exact_total(published: PublishedDay) -> str:
    """A day's exact total as text: a number, or `3 EUR + 12.000000000001 USD` of a day in several currencies."""
    if not is_mixed(published):
        return plain(published.total)
    return _exact(parts_of(published.currency, published.metadata))


def exact_of_bill(source: SourceDay) -> str:
    """The same of what the bill has of a day."""
    return _exact(source.parts) if source.parts else plain(source.total)


def _exact(parts: Sequence[CurrencyPart | SourceDay]) -> str:
    return " + ".join(f"{plain(part.total)} {part.currency}" for part in parts)
