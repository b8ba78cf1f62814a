"""Several bills as one: their versions, days, control totals and descriptions put together, by the name of each.

Nothing is converted: amounts are summed within a billing currency. Several are refused, unless there are rates to show
them in one. The rows of a day are merged in `core.archive.merged_rows`.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from typing import TypeVar

from finops_assets.core.bill.bill_names import bill_key
from finops_assets.core.bill.currencies import day_of_several, summed_day
from finops_assets.core.bill.formats import FORMATS
from finops_assets.core.bill.providers import providers_in_words
from finops_assets.core.bill.refusals import refuse_currencies
from finops_assets.core.errors import BillError, FinopsError, SettingsError
from finops_assets.core.values import (
    BillDescription,
    BillShare,
    ControlTotal,
    ExportVersion,
    PassedOver,
    SourceDay,
)

Item = TypeVar("Item")
OWN_SETTING = re.compile(r"\b(?:bill\.(path|table|format)|FINOPS_BILL__(PATH|TABLE|FORMAT))\b")


@contextmanager
def of_bill(name: str) -> Iterator[None]:
    """Have an error about one of several bills name it, and its settings."""

    def named(match: re.Match[str]) -> str:
        if match[1]:
            return f"bill.{name}.{match[1]}"
        return f"FINOPS_BILL__{bill_key(name).upper()}__{match[2]}"

    try:
        yield
    except (BillError, SettingsError) as error:
        where, fix = (OWN_SETTING.sub(named, text) for text in (error.where, error.fix))
        raised: FinopsError = type(error)(f"the bill {name}: {error.what}", where=where, fix=fix)
        raise raised from None


def one_id(parts: Mapping[str, str]) -> str:
    """An id of several, each by its name: it changes when one does, whatever their order."""
    listing = "\n".join(f"{name} {parts[name]}" for name in sorted(parts))
    return hashlib.sha256(listing.encode()).hexdigest()[:16]


def combined_version(
    versions: Mapping[str, ExportVersion],
    last_days: Mapping[str, date | None],
    superseded: Callable[[], frozenset[str]],
) -> ExportVersion:
    """The version of all bills together.

    Its time is that of the bill that was written first: a day is whole once each bill was written after it. Bills that
    have ended, by the setting or as their payers go on in another, are not waited for.

    Args:
        versions: by the name of each bill.
        last_days: bill.last_day of each.
        superseded: tells which bills others have followed; asked only where the bills were written on different days.
    """
    updates = {name: of.updated for name, of in versions.items() if of.updated}
    newest = max(updates.values(), default=None)
    oldest = ""
    if newest is not None:
        yesterday = newest.date() - timedelta(days=1)
        going_on = {name: at for name, at in updates.items() if (last_days.get(name) or yesterday) >= yesterday}
        if any(at.date() < newest.date() for at in going_on.values()):
            ended = superseded()
            going_on = {name: at for name, at in going_on.items() if name not in ended}
        first = min(going_on, key=lambda name: going_on[name], default="")
        if first and going_on[first].date() < newest.date():
            oldest = first
        newest = going_on[first] if first else newest
    periods: dict[str, dict[str, str]] = defaultdict(dict)
    unregistered: dict[str, list[str]] = defaultdict(list)
    for name, of in versions.items():
        for period, id_ in of.periods.items():
            periods[period][name] = id_
        for period, words in of.unregistered.items():
            unregistered[period].append(f"the bill {name}: {words}")
    return ExportVersion(
        one_id({name: of.snapshot for name, of in versions.items()}),
        newest,
        in_place=any(of.in_place for of in versions.values()),
        periods={period: one_id(ids) for period, ids in sorted(periods.items())},
        passed_over=tuple(named for name, of in versions.items() for named in _named(name, of.passed_over)),
        unregistered={period: "; ".join(words) for period, words in sorted(unregistered.items())},
        oldest=oldest,
        changed=max(
            (at for of in versions.values() if of.in_place for at in (of.updated, of.changed) if at), default=None
        ),
    )


def _named(name: str, passed_over: Iterable[PassedOver]) -> Iterator[PassedOver]:
    for of in passed_over:
        yield replace(of, example=f"{of.example} of the bill {name}")


def combined_days(
    bills: Mapping[str, Mapping[date, SourceDay]], *, several_currencies: bool = False
) -> dict[date, SourceDay]:
    """What the bills say of each day together; each share is exact, and so is their sum.

    Args:
        bills: their days, by name.
        several_currencies: whether they may be in more than one.

    Raises:
        BillError: they are in several currencies.
    """
    by_day: dict[date, dict[str, SourceDay]] = defaultdict(dict)
    for name, days in bills.items():
        for day, source in days.items():
            by_day[day][name] = source
    if not several_currencies:
        refuse_two_currencies(
            (name, of.currency) for of_day in by_day.values() for name, of in of_day.items() if of.lines and of.total
        )
    parts = _by_currency if several_currencies else _in_one
    return {
        day: day_of_several(day, [_combined_day(day, part) for part in parts(of_day)])
        for day, of_day in sorted(by_day.items())
    }


def _in_one(bills: Mapping[str, SourceDay]) -> list[dict[str, SourceDay]]:
    """What the bills have of a day in the one currency that has totals."""
    return [dict(bills)]


def _by_currency(bills: Mapping[str, SourceDay]) -> list[dict[str, SourceDay]]:
    """What the bills have of a day in each currency; one without lines, or that names none, goes with the first."""
    several = [(name, part) for name, of in bills.items() for part in (of.parts or (of,))]
    # Not by totals: a charge and its credit sum to nothing, and their rows are amounts all the same.
    currencies = sorted({part.currency for _, part in several if part.lines and part.currency})
    if len(currencies) < 2:
        return [dict(bills)]
    parts: dict[str, dict[str, SourceDay]] = {currency: {} for currency in currencies}
    for name, part in several:
        of = parts[part.currency if part.currency in parts else currencies[0]]
        of[name] = part
    return [
        {name: replace(part, bills=(_share(name, part, currency),)) for name, part in of.items()}
        for currency, of in parts.items()
    ]


def _share(name: str, of: SourceDay, currency: str = "") -> BillShare:
    return BillShare(name, providers_in_words(of.providers), of.lines, of.total, currency)


def _combined_day(day: date, bills: Mapping[str, SourceDay]) -> SourceDay:
    counting = [of for of in bills.values() if of.lines] or list(bills.values())
    # A bill without an amount on the day may name another currency, or none: the amounts decide.
    currency = next((of.currency for of in counting if of.total), counting[0].currency)
    shares = (share for name, of in bills.items() if of.lines for share in (of.bills or (_share(name, of),)))
    return replace(summed_day(day, currency, bills.values()), bills=tuple(shares))


def combined_totals(
    bills: Mapping[str, Iterable[ControlTotal]], ended: frozenset[str], *, several_currencies: bool = False
) -> list[ControlTotal]:
    """The control totals of all bills, those of each under its name.

    Args:
        bills: by name.
        ended: the bills that no newer days are expected in.
        several_currencies: whether they may be in more than one.

    Raises:
        BillError: they are in several currencies.
    """
    totals = [replace(each, bill=name, ended=name in ended) for name, controls in bills.items() for each in controls]
    if not several_currencies:
        refuse_two_currencies(
            (name, each.currency)
            for name, controls in bills.items()
            for each in controls
            if not each.left_out and each.total
        )
    return sorted(totals, key=lambda of: (of.period, of.day or date.min, of.currency, of.left_out, of.bill))


def refuse_two_currencies(of_bills: Iterable[tuple[str, str]]) -> None:
    """Refuse bills in several currencies, of which bill.currency chooses none.

    Raises:
        BillError: it names the currencies, and a bill of each.
    """
    currencies = {currency: name for name, currency in of_bills if currency}
    where = ", ".join(f"{name} in {currency}" for currency, name in sorted(currencies.items()))
    refuse_currencies(((currency, 1) for currency in currencies), "", f"the bills {where}", "")


def combined_description(bills: Mapping[str, BillDescription], version: ExportVersion) -> BillDescription:
    """The bills as one, and each by its name."""
    several = list(bills.values())
    columns = dict.fromkeys(column for of in several for column in of.columns)
    missing: dict[str, dict[str, None]] = defaultdict(dict)
    deliveries: dict[str, list[str]] = defaultdict(list)
    for name, of in bills.items():
        for basis, lacking in of.missing_columns.items():
            missing[basis] |= dict.fromkeys(lacking)
        for period, delivery in of.deliveries.items():
            deliveries[period].append(f"{name}: {delivery}")
    return BillDescription(
        format=", ".join(sorted({of.format for of in several})),
        path="; ".join(f"{name}: {of.path}" for name, of in bills.items()),
        files=sum(of.files for of in several),
        size_bytes=sum(of.size_bytes for of in several),
        snapshot=one_id({name: of.snapshot for name, of in bills.items()}),
        columns=tuple(columns),
        cost_bases=tuple(basis for basis in several[0].cost_bases if all(basis in of.cost_bases for of in several)),
        updated=version.updated,
        missing_columns={basis: tuple(lacking) for basis, lacking in missing.items()},
        deliveries={period: ", ".join(of_period) for period, of_period in sorted(deliveries.items())},
        warnings=tuple(f"the bill {name}: {words}" for name, of in bills.items() for words in of.warnings),
        dimensions={key: _absent_in_all(key, several) for of in several for key in of.dimensions},
        bills=dict(bills),
    )


def _absent_in_all(key: str, bills: Sequence[BillDescription]) -> tuple[str, ...]:
    """The columns that could hold a dimension, of bills of which none has one."""
    absent = [of.dimensions.get(key, ()) for of in bills]
    return tuple(dict.fromkeys(name for of in absent for name in of)) if all(absent) else ()


def refuse_without_payer(bills: Mapping[str, BillDescription]) -> None:
    """Refuse one of several bills that does not say whose it is: nobody could tell whether it counts twice.

    A daily summary table never says so: whoever made it vouches for it.

    Raises:
        BillError: the bill and the column.
    """
    for name, of in bills.items():
        payer = FORMATS[of.format].payer
        if payer and payer not in of.columns:
            raise BillError(
                f"the bill {name} has no column {payer}, by which bills are told apart",
                where=of.path,
                fix="Export it with that column.",
            )
