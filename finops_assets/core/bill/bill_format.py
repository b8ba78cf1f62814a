"""What a bill format is: how it is recognised, the columns that it needs, and the SQL that reads a charge from a line.

Each module of `core.bill.formats` describes one format in these terms. All SQL is in Athena's dialect; an adapter runs
it as it is, or translated.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from finops_assets.core.schemas import MONEY_SQL

NO_SERVICE = "(no service)"
NO_ACCOUNT = "(no account)"

Columns = Mapping[str, str]
"""Lower-case column name -> SQL type of the bill as the engine sees it."""

INCLUDE_SETTINGS = ("include_tax", "include_credits", "include_refunds")
"""Settings of `[bill]` that leave a charge category out."""


NO_MONEY = f"CAST(NULL AS {MONEY_SQL})"
NO_TEXT = "CAST(NULL AS VARCHAR)"
NO_DATE = "CAST(NULL AS DATE)"


@dataclass(frozen=True)
class CostRule:
    """What some lines cost, where that is not the column of the cost basis.

    Attributes:
        lines: which, as their line-item type is named.
        condition: SQL that is true of them; it reads columns that the bill has.
        cost: the SQL of their cost, MONEY.
        columns: what the cost is read from. Where one of them is absent, these lines have no cost.
    """

    lines: str
    condition: str
    cost: str
    columns: tuple[str, ...] = ()

    def absent(self, columns: Columns) -> tuple[str, ...]:
        """Those of its columns that the bill does not have."""
        return tuple(c for c in self.columns if c not in columns)


@dataclass(frozen=True)
class CostBasis:
    """A cost basis of a format.

    Attributes:
        column: the column of its cost.
        or_else: a column that counts on lines where `column` is empty.
        does_without: whether a bill that lacks `column` has this basis all the same, by `or_else`; None: it never has.
        rules: gives the lines whose cost is something else, by the bill's columns; the first that fits a line counts.
        columns: all columns that it reads beyond those that the format requires.
    """

    column: str
    or_else: str = ""
    does_without: Callable[[Columns], bool] | None = None
    rules: Callable[[Columns], tuple[CostRule, ...]] = lambda columns: ()  # noqa: ARG005
    columns: tuple[str, ...] = ()

    def is_in(self, columns: Columns) -> bool:
        """Whether a bill with these columns has it; lines of some types may lack a column all the same."""
        return self.column in columns or (self.does_without is not None and self.does_without(columns))

    def sql(self, columns: Columns) -> str:
        """The cost of a line, as MONEY; NULL where a column that it is read from is absent or empty."""
        present = [c for c in (self.column, self.or_else) if c in columns]
        cost = money_sql(present[0]) if len(present) == 1 else f"COALESCE({', '.join(map(money_sql, present))})"
        cases = [
            f"WHEN {rule.condition} THEN {NO_MONEY if rule.absent(columns) else rule.cost}"
            for rule in self.rules(columns)
        ]
        return "\n        ".join(["CASE", *cases, f"ELSE {cost} END"]) if cases else cost

    def lacks_sql(self, columns: Columns) -> str:
        """The absent columns that a line's cost is read from, as text; NULL where there is none."""
        rules = self.rules(columns)
        if not any(rule.absent(columns) for rule in rules):
            return NO_TEXT
        cases = [
            f"WHEN {rule.condition} THEN {quoted(', '.join(absent)) if (absent := rule.absent(columns)) else NO_TEXT}"
            for rule in rules
        ]
        return f"CASE {' '.join(cases)} END"

    def columns_of(self, line_type: str, columns: Columns) -> tuple[str, ...]:
        """The columns that the cost of lines of this type is read from."""
        of_type = (rule.columns for rule in self.rules(columns) if rule.lines == line_type and rule.columns)
        return next(of_type, (self.column,))


@dataclass(frozen=True)
class Usage:
    """What a bill says of the usage behind a charge, as SQL over its columns.

    Attributes:
        sku: columns that together name what was used: within an account and service they share a unit and a list price.
        quantity: how much of it, a double; NULL on a line that has a cost and is no usage itself, such as a discount.
        is_usage: whether the line is usage, or a discount on usage.
        committed: whether a commitment covers the line.
        unused: whether it is the part of a commitment that covered nothing.
        usage_type: what was used, in a word for people.
        region: its code; empty text where the bill does not tell.
        resource: the column of the id of what was used; empty where the bill has none.
    """

    sku: tuple[str, ...]
    quantity: str
    is_usage: str
    committed: str
    unused: str
    usage_type: str = "''"
    region: str = "''"
    resource: str = ""


SAVINGS_PLAN, RESERVATION, COMMITMENT = "savings plan", "reservation", "commitment"
"""The kinds of commitments."""


@dataclass(frozen=True)
class Commitments:
    """How a bill tells of reservations and Savings Plans, as SQL on a line.

    Attributes:
        covered: the line is usage that a commitment covers.
        unused: its amortized cost is the part of a commitment that covered nothing.
        id: the ARN or id of the commitment; NULL or empty where the line does not name it.
        kind: SAVINGS_PLAN, RESERVATION, or COMMITMENT where it is neither.
        ends: the commitment's last day; NULL where the line does not tell.
        ondemand: what the covered usage would cost on demand, MONEY; NULL where the line does not tell.
    """

    covered: str
    unused: str
    id: str
    kind: str
    ends: str
    ondemand: str


@dataclass(frozen=True)
class LabelColumns:
    """Where a bill has tags, or cost categories (`core.bill.dimensions`).

    Attributes:
        maps: columns that hold a map of names to values, as text JSON; the first that a bill has is read.
        prefix: how the columns begin that hold one name each; empty where the format has none.
        inside: column of `maps` -> how its names begin.
        bare: those of `maps` that may have a tag without AWS's `user:`.
    """

    maps: tuple[str, ...]
    prefix: str = ""
    inside: Mapping[str, str] = field(default_factory=dict)
    bare: tuple[str, ...] = ()


@dataclass(frozen=True)
class BillFormat:
    """One kind of bill.

    Attributes:
        name: as in bill.format.
        title: for people.
        recognises: whether a bill with these columns (lower case) is of this format; of several formats, the first of
            FORMATS is taken. One column of its own is enough: `check_columns` says which required one is missing.
        required: columns without which it cannot be read, beside that of the cost basis.
        one_of: groups of columns of which one is needed.
        start: the column whose UTC day a charge is booked on.
        end: the column of the end of its charge period, exclusive.
        metered: gives the condition that a line is usage, which daily and hourly exports give by day or hour; None
            where the format has no such lines.
        timestamps: columns that hold points in time.
        costs: columns that hold money.
        accounts: columns that hold account ids: a tool that wrote one as a number has lost its leading zeros.
        bases: the cost bases it can have.
        select: gives the SQL of a charge's columns, by the bill's columns: linkedaccount, account_name, service,
            charge_category, scheduled, currency; where the format has them, ou, and `split`: whether the line repeats
            the cost of another.
        currency: the column that names the billing currency; empty where the format has none.
        include_columns: of INCLUDE_SETTINGS those that can leave charges out, each with the column that it needs.
        period: the column that holds the start of the line's billing period, if the format has one.
        quantities: columns that hold how much was used.
        line_type: the column of the types that `CostRule.lines` names.
        service_code: the column of a code that lines without a name of their service have; `select` gives the name
            that they have themselves as `service_name`, where the bill has any (`core.bill.service_names`).
        payer: the column of the account that is billed, if the format has one.
        providers: columns that name who bills, the best first.
        usage: gives the usage behind a charge, by the bill's columns and the cost basis; None where it is not known.
        labels: where lines have tags and cost categories, by the kind of the dimension.
        commitments: gives how lines of commitments are told, by the bill's columns, None where they cannot be; None
            where the format has no such lines.
    """

    name: str
    title: str
    recognises: Callable[[Collection[str]], bool]
    required: tuple[str, ...]
    start: str
    timestamps: tuple[str, ...]
    costs: tuple[str, ...]
    accounts: tuple[str, ...]
    bases: Mapping[str, CostBasis]
    select: Callable[[Columns], Mapping[str, str]]
    one_of: tuple[tuple[str, ...], ...] = ()
    end: str = ""
    metered: Callable[[Columns], str] | None = None
    currency: str = ""
    include_columns: Mapping[str, str] = field(default_factory=dict)
    period: str = ""
    quantities: tuple[str, ...] = ()
    line_type: str = ""
    service_code: str = ""
    payer: str = ""
    providers: tuple[str, ...] = ()
    usage: Callable[[Columns, str], Usage | None] | None = None
    commitments: Callable[[Columns], Commitments | None] | None = None
    labels: Mapping[str, LabelColumns] = field(default_factory=dict)

    @property
    def maps(self) -> frozenset[str]:
        """Columns that may hold a map, which a CSV file has as JSON text."""
        return frozenset(("product", *(name for labels in self.labels.values() for name in labels.maps)))


def text_sql(column: str) -> str:
    """A column of text, NULL where it is empty."""
    return f"NULLIF({column}, '')"


def first_sql(columns: Columns, candidates: Iterable[str], default: str) -> str:
    """The first of these columns, of those that the bill has, that is not empty on a line; else the default."""
    # CASE, as DuckDB is half again as fast at it as at COALESCE(NULLIF(...), ...) over millions of lines.
    cases = " ".join(f"WHEN {c} <> '' THEN {c}" for c in candidates if c in columns)
    return f"CASE {cases} ELSE {quoted(default)} END" if cases else quoted(default)


def quoted(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def money_sql(column: str) -> str:
    """A column as MONEY."""
    return f"CAST({column} AS {MONEY_SQL})"


def currency_sql(column: str) -> str:
    """A column of currencies in the spelling of ISO 4217, `USD`; NULL where it is empty."""
    return f"NULLIF(UPPER(TRIM({column})), '')"


def day_sql(columns: Columns, column: str) -> str:
    """The day of a column of text such as `2026-09-10T11:59:59.000Z`; NULL where it is none, or absent."""
    return f"TRY_CAST(SUBSTR({column}, 1, 10) AS DATE)" if column in columns else NO_DATE


def quantity_as_money_sql(columns: Columns, column: str) -> str:
    """A column of `BillFormat.quantities` as MONEY; NULL where it is no amount, or absent."""
    return f"TRY_CAST({column} AS {MONEY_SQL})" if column in columns else NO_MONEY


def longer_than_a_day(columns: Columns, start: str, end: str) -> list[str]:
    """The condition that a charge's period is longer than a day; none where the bill has no column of its end."""
    return [f"date_diff('hour', {start}, {end}) > 24"] if end in columns else []
