"""Budgets: what each OU may cost in a month, nested OUs rolled up, and the light that actual and forecast give.

`budgets.csv` has the columns ou, month, amount, currency: an OU's path as the account map shows it, `All`, or a value
of a dimension as `account:team=platform`; a month (`2025-09`) or `default`, which every other month falls back on.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from finops_assets.core.accounts.ous import ALL, lineage, within
from finops_assets.core.analytics.forecast import Forecast, forecasts
from finops_assets.core.bill.dimension_keys import DimensionValue, dimension_value
from finops_assets.core.csv_tables import read_csv
from finops_assets.core.errors import FinopsError
from finops_assets.core.money import money
from finops_assets.core.schemas import UNASSIGNED

DEFAULT = "default"
COLUMNS = ("ou", "month", "amount", "currency")
GREEN, AMBER, RED, NONE = "green", "amber", "red", "no budget"
SHAPES = {GREEN: "●", AMBER: "◊", RED: "■", NONE: "○"}
"""A light has a shape, too, for people who do not see its colour."""


class BudgetError(FinopsError):
    """The budgets cannot be read as a plan; `where` names the file and line."""


@dataclass(frozen=True)
class Budgets:
    """The plan: (OU path or `All`, `2025-09` or `default`) -> amount, in one currency; so `of_values`, by value."""

    amounts: Mapping[tuple[str, str], Decimal]
    currency: str
    of_values: Mapping[tuple[DimensionValue, str], Decimal] = field(default_factory=dict)

    def of(self, ou: str, month: str, with_costs: Collection[str] = ()) -> Decimal | None:
        """What an OU may cost in a month: its own cap, else the sum of those below it.

        None where there is neither, or where one below has costs and no budget: against a part of the plan, the whole
        would always look too dear.

        Args:
            ou: its path, or `All`.
            month: `2025-09`.
            with_costs: the OUs that have costs.
        """
        own = self.amounts.get((ou, month), self.amounts.get((ou, DEFAULT)))
        if own is not None:
            return own
        below = [self.of(child, month, with_costs) for child in _children(ou, {*self.names(), *with_costs})]
        known = [amount for amount in below if amount is not None]
        return sum(known, Decimal()) if known and len(known) == len(below) else None

    def of_value(self, value: DimensionValue, month: str) -> Decimal | None:
        """What a value of a dimension may cost in a month; None where it has no budget."""
        return self.of_values.get((value, month), self.of_values.get((value, DEFAULT)))

    def values(self, month: str) -> set[DimensionValue]:
        """The values of dimensions that have a budget in a month."""
        return {value for value, of in self.of_values if of in (month, DEFAULT)}

    def names(self) -> set[str]:
        """Every OU of the plan, and those above them."""
        return {path for name, _ in self.amounts for path in lineage(name)}


def _children(ou: str, names: Collection[str]) -> list[str]:
    """The next OUs below."""
    depth = 0 if ou == ALL else ou.count("/") + 1
    return sorted(
        name for name in names if name != ALL and name.count("/") == depth and (ou == ALL or within(name, ou))
    )


def read_budgets(data: bytes, file: str, dimensions: Collection[str] = ()) -> Budgets:
    """The plan of a `budgets.csv`.

    Args:
        data: the file.
        file: what it is called in errors.
        dimensions: their keys (dimensions.keys).

    Raises:
        BudgetError: a column is missing, a row cannot be read or stands twice, or there is more than one currency.
    """
    example = "Workloads/Prod,default,12000,USD"
    _, rows = read_csv(data, file, COLUMNS, BudgetError, example=example, strict=False, needs_rows=True)
    amounts: dict[tuple[str, str], Decimal] = {}
    of_values: dict[tuple[DimensionValue, str], Decimal] = {}
    currencies: dict[str, int] = {}
    for row in rows:
        where = f"{file}, line {row.line}"
        ou, month, amount, currency = map(row.stripped, COLUMNS)
        _check_row(where, ou, month, currency)
        value, path = dimension_value(ou, dimensions), ou.strip("/")
        if (value, month) in of_values or (path, month) in amounts:
            raise BudgetError(f"{ou} has {month} twice", where=where, fix="Keep one of the rows.")
        if value:
            of_values[value, month] = _amount(amount, where)
        else:
            amounts[path, month] = _amount(amount, where)
        currencies.setdefault(currency, row.line)
    if len(currencies) > 1:
        raise BudgetError(
            f"has {len(currencies)} currencies: {', '.join(sorted(currencies))}",
            where=f"{file}, line {max(currencies.values())}",
            fix="Write all amounts in the billing currency.",
        )
    return Budgets(amounts, next(iter(currencies)), of_values)


def _check_row(where: str, ou: str, month: str, currency: str) -> None:
    if not ou:
        raise BudgetError("names no OU", where=where, fix=f"Write its path, or {ALL} for the whole organization.")
    if month != DEFAULT and not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", month):
        raise BudgetError(f"{month!r} is no month", where=where, fix=f"Write it as 2025-09, or {DEFAULT}.")
    if not re.fullmatch(r"[A-Z]{3}", currency):
        raise BudgetError(f"{currency!r} is no currency", where=where, fix="Write its code, such as USD.")


def _amount(text: str, where: str) -> Decimal:
    if not re.fullmatch(r"\d+(\.\d+)?", text, re.ASCII):
        raise BudgetError(f"{text!r} is no amount", where=where, fix="Write it as 12000 or 12000.50.")
    return Decimal(text)


@dataclass(frozen=True)
class Line:
    """An OU's month against its budget: every amount in the billing currency, `share` of the budget as a fraction.

    Attributes:
        ou: its path, or `All`.
        budget: None where it has none.
        forecast: the month as of the day.
        share: of the budget that the month is expected to take (what it has taken, where nothing is forecast).
        passed: the day on which the budget is, or is expected to be, passed; None where it is not.
        light: `green`, `amber`, `red` or `no budget`.
        reason: the light in words.
    """

    ou: str
    budget: Decimal | None
    forecast: Forecast
    share: float | None
    passed: date | None
    light: str
    reason: str


def budget_lines(
    budgets: Budgets,
    costs: Mapping[str, Mapping[date, Decimal]],
    as_of: date,
    *,
    currency: str,
    amber: float = 0.9,
    known: Iterable[str] = (),
    expected: Mapping[str, Forecast] | None = None,
) -> list[Line]:
    """Each OU's month as of a day, the whole first, then by path; parents stand above their children.

    Args:
        budgets: the plan.
        costs: OU path -> day -> cost, as far back as it is known.
        as_of: the newest day.
        currency: the billing currency.
        amber: share of the budget from which on the light is amber; red is over it.
        known: OUs that exist beside those with costs.
        expected: the forecasts as of the day, where they are known.

    Raises:
        BudgetError: the plan is in another currency, or names an unknown OU.
    """
    rolled = rolled_up(costs)
    check_plan(budgets, currency, [*rolled, *known])
    return month_lines(budgets, rolled, as_of, currency=currency, amber=amber, expected=expected)


def check_plan(budgets: Budgets, currency: str, ous: Iterable[str]) -> None:
    """Refuse a plan that is not of this bill.

    Args:
        budgets: the plan.
        currency: the billing currency.
        ous: the known OUs; those above them count, too.

    Raises:
        BudgetError: it is in another currency, or names an unknown OU.
    """
    if budgets.currency != currency:
        raise BudgetError(
            f"the budgets are in {budgets.currency}, the bill is in {currency}",
            where="budgets.path (FINOPS_BUDGETS__PATH)",
            fix=f"Write the amounts in {currency}.",
        )
    known = {ALL} | {path for ou in ous for path in lineage(ou)}
    unknown = sorted({name for name, _ in budgets.amounts if name not in known})
    if unknown:
        raise BudgetError(
            f"there is no OU {', '.join(unknown)}",
            where="budgets.path (FINOPS_BUDGETS__PATH)",
            fix=f"The OUs are {', '.join(sorted(known - {ALL}))}; accounts.ou_level says how deep they are shown.",
        )


def month_lines(
    budgets: Budgets,
    rolled: Mapping[str, Mapping[date, Decimal]],
    as_of: date,
    *,
    currency: str,
    amber: float = 0.9,
    expected: Mapping[str, Forecast] | None = None,
) -> list[Line]:
    """As `budget_lines`, of costs that are `rolled_up` already and a plan that was checked; later days are ignored.

    `expected` are the forecasts as of that day, where they are known.
    """
    month = f"{as_of:%Y-%m}"
    expected = forecasts(rolled, as_of) if expected is None else expected
    empty = Forecast(Decimal(), Decimal(), Decimal(), Decimal())
    return [
        line_of(
            name,
            budgets.of(name, month, rolled),
            expected.get(name, empty),
            rolled.get(name, {}),
            as_of,
            currency,
            amber,
        )
        for name in sorted(rolled.keys() | budgets.names(), key=by_path)
    ]


def by_path(ou: str) -> tuple:
    """Sorts OUs as they are shown: the whole first, then by path, parents above their children, Unassigned last."""
    return ou != ALL, ou == UNASSIGNED, ou.split("/")


def rolled_up(costs: Mapping[str, Mapping[date, Decimal]]) -> dict[str, dict[date, Decimal]]:
    """Each OU with what lies below it, those above it, and the whole, `All`."""
    rolled: dict[str, dict[date, Decimal]] = {}
    for path, of in costs.items():
        for name in (ALL, *lineage(path)):
            sums = rolled.setdefault(name, {})
            for day, cost in of.items():
                sums[day] = sums.get(day, Decimal()) + cost
    return rolled


def line_of(
    ou: str,
    budget: Decimal | None,
    forecast: Forecast,
    costs: Mapping[date, Decimal],
    as_of: date,
    currency: str,
    amber: float,
) -> Line:
    """A month against its budget, of an OU or of whatever else has both; `costs` are by day."""
    if budget is None:
        return Line(ou, None, forecast, None, None, NONE, "no budget")
    likely = forecast.month_to_date if forecast.expected is None else forecast.expected
    share = float(likely / budget) if budget else (0.0 if likely <= 0 else float("inf"))
    passed = _passed(budget, costs, forecast, as_of)
    of = f"of {money(budget, currency)}"
    if forecast.month_to_date > budget:
        return Line(ou, budget, forecast, share, passed, RED, f"passed on {passed}: {_percent(share)} {of} expected")
    if likely > budget:
        return Line(
            ou, budget, forecast, share, passed, RED, f"{_percent(share)} {of} expected, to be passed on {passed}"
        )
    what = "expected" if forecast.expected is not None else f"so far; no forecast, {forecast.why_not}"
    light = AMBER if share >= amber or (forecast.high is not None and forecast.high > budget) else GREEN
    doubt = ", and it may be passed" if light == AMBER and share < amber else ""
    return Line(ou, budget, forecast, share, None, light, f"{_percent(share)} {of} {what}{doubt}")


def _passed(budget: Decimal, costs: Mapping[date, Decimal], forecast: Forecast, as_of: date) -> date | None:
    total = Decimal()
    first = as_of.replace(day=1)
    for day, cost in (*sorted((d, c) for d, c in costs.items() if first <= d <= as_of), *forecast.daily):
        total += cost
        if total > budget:
            return day
    return None


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %") if share < 100 else "over 100 times"
