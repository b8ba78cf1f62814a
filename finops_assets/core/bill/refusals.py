"""Bills that cannot be read as money by day, told by what an engine counts of their lines."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from finops_assets.core.bill.bill_format import NO_TEXT, BillFormat, Columns
from finops_assets.core.bill.rules import Rules, cost_bases
from finops_assets.core.errors import BillError

MONTHLY = 0.95
"""A bill is of monthly granularity where at least this share of its usage lines lasts a whole month."""


class Surveyed(NamedTuple):
    """Lines of the whole bill that share currency and absent columns: a row of `core.bill.queries.survey_sql`."""

    currency: str | None
    lacks: str | None
    lines: int
    on_first: int
    dated: bool
    place: tuple = ()
    """Values of the expressions that part the lines further."""


def is_unusual(surveyed: Iterable[Surveyed], chosen: str, has_currency: bool) -> bool:
    """Whether a bill must be looked at more closely (`core.bill.queries.closer_survey_sql`).

    Its lines are in several currencies or in none, or a twentieth of them starts on the first of a month.

    Args:
        surveyed: what it has.
        chosen: the setting bill.currency.
        has_currency: whether its format names the currency.
    """
    rows = list(surveyed)
    currencies = {(row.currency or "").strip(" ").upper() for row in rows}
    mixed = has_currency and ("" in currencies or (len(currencies) > 1 and not chosen))
    return mixed or 20 * sum(row.on_first for row in rows) > sum(row.lines for row in rows)


def refuse_currencies(
    amounts: Iterable[tuple[str | None, int]], chosen: str, where: str, column: str, *, several: bool = False
) -> None:
    """Refuse a bill whose amounts are in several currencies of which none is chosen, or in none.

    Args:
        amounts: currencies, and how many lines of each have a cost that is not zero: a line of nothing is in none.
        chosen: the setting bill.currency.
        where: the bill.
        column: where its currency is named; empty where the format has no such column.
        several: whether they may be in several, as there are rates to show them in one.

    Raises:
        BillError: it names the currencies and the setting that chooses, or the column.
    """
    lines: dict[str, int] = {}
    for currency, count in amounts:
        lines[currency or ""] = lines.get(currency or "", 0) + count
    currencies = sorted(currency for currency, count in lines.items() if currency and count)
    if not several and not chosen and len(currencies) > 1:
        raise BillError(
            f"the bill has {len(currencies)} currencies: {', '.join(currencies)}",
            where=f"{where} (bill.currency)",
            fix=f"Sums over currencies mean nothing: choose one, e.g. FINOPS_BILL__CURRENCY={currencies[0]}. "
            "The lines in others are then left out and counted. Or have all of them shown in one: currency.display, "
            "with the rates of each month in currency.rates.",
        )
    if column and (nameless := lines.get("", 0)):
        raise BillError(f"{nameless} line(s) have no currency", where=column, fix="Export the bill again.")


def is_monthly(usage: int, month_long: int) -> bool:
    """Whether a bill of so many usage lines, of which some last a whole month, is of monthly granularity."""
    return usage > 0 and month_long >= MONTHLY * usage


def refuse_monthly(usage: int, month_long: int, where: str) -> None:
    """Refuse a bill of monthly granularity.

    Raises:
        BillError: nearly all of its usage lines last a whole month.
    """
    if is_monthly(usage, month_long):
        raise BillError(
            f"it is a monthly export: {month_long} of {usage} usage line(s) are of a month",
            where=where,
            fix="A month's cost on one day is no daily cost: export with daily or hourly granularity "
            "(TIME_GRANULARITY of the data export, time unit of a legacy CUR).",
        )


def refuse_half_filled(places: Iterable[tuple[object, int]], cost_basis: str, column: str, where: str) -> None:
    """Refuse a bill in which some lines have a cost and others beside them do not.

    Args:
        places: as `core.bill.queries.half_filled_sql` selects them.
        cost_basis: bill.cost_basis.
        column: of that cost.
        where: the bill; empty where the places are files.

    Raises:
        BillError: it names the first place.
    """
    for place, lines in places:
        raise BillError(
            f"{lines} line(s) have no {cost_basis} cost, while others beside them do",
            where=f"{where}, period {place}, column {column}" if where else f"{place}, column {column}",
            fix="Export the bill again with that column filled, or choose another bill.cost_basis.",
        )


def refuse_lacking(
    lacking: Iterable[tuple[str | None, int]], fmt: BillFormat, columns: Columns, rules: Rules, where: str
) -> None:
    """Refuse a cost basis that reads columns which the bill does not have, for lines that it has.

    Args:
        lacking: absent columns, and how many lines need them; None where none is absent.
        fmt, columns, rules: of the bill.
        where: the bill.

    Raises:
        BillError: it names the columns, and cost bases that need none of them.
    """
    lines: dict[str, int] = {}
    for absent, count in lacking:
        if absent:
            lines[absent] = lines.get(absent, 0) + count
    if not lines:
        return
    names = ", ".join(dict.fromkeys(name for absent in sorted(lines) for name in absent.split(", ")))
    whole = [name for name in cost_bases(fmt, columns) if fmt.bases[name].lacks_sql(columns) == NO_TEXT]
    other = f", or set bill.cost_basis to {' or '.join(whole)}" if whole else ""
    raise BillError(
        f"the bill has no {rules.cost_basis} cost: {sum(lines.values())} line(s) need the column(s) {names}, "
        "which it does not have",
        where=f"{where} (bill.cost_basis)",
        fix=f"Export it with them{other}.",
    )
