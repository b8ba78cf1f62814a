"""The bill's formats: how each is recognised, and the one SQL a format that turns its lines into charges.

The SQL is written once, in Athena's dialect; an adapter runs it as it is or translated. Every charge has: charge_date
(UTC day of the start of its charge period), linkedaccount, service, ou (only where the bill itself has one),
charge_category, scheduled, left_out (why a setting leaves the line out, or NULL), currency and cost. Nothing else
computes a cost anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from finops_assets.core.errors import BillError, SettingsError
from finops_assets.core.schemas import MONEY_SQL, UNASSIGNED

NO_SERVICE = "(no service)"
NO_ACCOUNT = "(no account)"

EARLIEST, LATEST = date(1970, 1, 1), date(9999, 12, 30)
"""A line that starts outside of these days has no date that anybody meant."""

ACCOUNT_COLUMNS = frozenset(
    ("subaccountid", "billingaccountid", "line_item_usage_account_id", "bill_payer_account_id", "linkedaccount")
)
"""Columns that hold account ids: a tool that wrote one as a number has lost its leading zeros."""

Columns = Mapping[str, str]
"""Lower-case column name -> SQL type of the bill as the engine sees it."""


@dataclass(frozen=True)
class Rules:
    """What the settings ask of the bill."""

    cost_basis: str
    currency: str = ""
    include_tax: bool = True
    include_credits: bool = True
    include_refunds: bool = True


@dataclass(frozen=True)
class Basis:
    """A cost basis of a format: the column it stands on, and its SQL if that is more than the column.

    `by_type` names the columns of the line-item types whose cost is elsewhere than in `column`.
    """

    column: str
    amortization: Callable[[Columns], str] | None = None
    by_type: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def sql(self, columns: Columns) -> str:
        return self.amortization(columns) if self.amortization else _money(self.column)


@dataclass(frozen=True)
class Use:
    """What a bill tells of the use behind a charge, as SQL over its columns.

    Attributes:
        sku: columns that together name what was used: within an account and service they share a unit and a list price.
        quantity: how much of it, a double; NULL on a line that has a cost but is no use of its own, such as a discount.
        is_use: whether the line is use, or a discount on use.
        committed: whether a commitment covers the line.
        unused: whether it is the part of a commitment that covered nothing.
    """

    sku: tuple[str, ...]
    quantity: str
    is_use: str
    committed: str
    unused: str


@dataclass(frozen=True)
class BillFormat:
    """One kind of bill.

    Attributes:
        signature: columns that only this kind has: how it is recognised.
        required: columns without which it cannot be read, beside those of the cost basis.
        one_of: groups of columns of which one is needed.
        timestamps: columns that hold points in time.
        costs: columns that hold money.
        bases: the cost bases it can have.
        start: the column whose UTC day a charge is booked on.
        currency: the column that names the billing currency, if there is one.
        period: the column that holds the start of the line's billing period, if the format has one.
        quantities: columns that hold how much was used.
        use: what the bill tells of the use behind a charge (see `Use`); None where it tells nothing.
    """

    name: str
    title: str
    signature: frozenset[str]
    required: tuple[str, ...]
    start: str
    timestamps: tuple[str, ...]
    costs: tuple[str, ...]
    bases: Mapping[str, Basis]
    select: Callable[[Columns], Mapping[str, str]]
    one_of: tuple[tuple[str, ...], ...] = ()
    currency: str = ""
    period: str = ""
    quantities: tuple[str, ...] = ()
    use: Callable[[Columns, str], Use | None] | None = None


def _text(column: str) -> str:
    return f"NULLIF({column}, '')"


def _first(columns: Columns, candidates: Iterable[str], default: str) -> str:
    # CASE, as DuckDB is half again as fast at it as at COALESCE(NULLIF(...), ...) over millions of lines.
    found = " ".join(f"WHEN {c} <> '' THEN {c}" for c in candidates if c in columns)
    return f"CASE {found} ELSE {_quote(default)} END" if found else _quote(default)


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _money(column: str) -> str:
    return f"CAST({column} AS {MONEY_SQL})"


# --- FOCUS 1.0 to 1.2 (https://focus.finops.org/focus-specification) ---------------------------------------------


def _longer_than_a_day(columns: Columns, start: str, end: str) -> list[str]:
    return [f"date_diff('hour', {start}, {end}) > 24"] if end in columns else []


def _focus_select(columns: Columns) -> dict[str, str]:
    category = _text("chargecategory") if "chargecategory" in columns else "CAST(NULL AS VARCHAR)"
    if "chargeclass" in columns:
        # FOCUS has no category "Refund": a refund is a correction that gives money back.
        cost = next(c for c in ("billedcost", "effectivecost") if c in columns)
        category = f"CASE WHEN chargeclass = 'Correction' AND {cost} < 0 THEN 'Refund' ELSE {category} END"
    scheduled = _longer_than_a_day(columns, "chargeperiodstart", "chargeperiodend")
    if "chargecategory" in columns:
        scheduled.append("chargecategory IN ('Tax', 'Credit', 'Purchase')")
    if "chargeclass" in columns:
        scheduled.append("chargeclass = 'Correction'")
    if "chargefrequency" in columns:
        scheduled.append("chargefrequency IN ('Recurring', 'One-Time')")
    return {
        "linkedaccount": _first(columns, ("subaccountid", "billingaccountid"), NO_ACCOUNT),
        "account_name": _first(columns, ("subaccountname",), ""),
        "service": _first(columns, ("servicename",), NO_SERVICE),
        "charge_category": category,
        "scheduled": " OR ".join(scheduled) or "FALSE",
        "currency": _text("billingcurrency"),
    }


def _focus_use(columns: Columns, cost_basis: str) -> Use | None:  # noqa: ARG001
    quantity = next((c for c in FOCUS_QUANTITIES if c in columns), "")
    names = tuple(c for c in ("skuid", "skumeter", "x_usagetype") if c in columns)
    if not quantity or not names:  # a mean over all that a service sells is no price
        return None
    unit = {"pricingquantity": "pricingunit", "consumedquantity": "consumedunit"}[quantity]
    committed = []
    if "commitmentdiscountid" in columns:
        committed.append("commitmentdiscountid <> ''")
    if "pricingcategory" in columns:
        committed.append("pricingcategory = 'Committed'")
    # A month's unused part is booked on one day, as its purchase is: a scheduled charge, whatever it is called.
    month_long = _longer_than_a_day(columns, "chargeperiodstart", "chargeperiodend")
    unused = "FALSE"
    if "commitmentdiscountstatus" in columns:
        unused = " AND ".join(["commitmentdiscountstatus = 'Unused'", *(f"NOT ({longer})" for longer in month_long)])
    return Use(
        sku=(*names, *(c for c in ("x_operation", "regionid", unit) if c in columns)),
        quantity=quantity,
        is_use="chargecategory = 'Usage'" if "chargecategory" in columns else "TRUE",
        committed=" OR ".join(committed) or "FALSE",
        unused=unused,
    )


FOCUS_QUANTITIES = ("pricingquantity", "consumedquantity")

FOCUS = BillFormat(
    name="focus",
    title="FOCUS",
    signature=frozenset({"chargeperiodstart", "billingcurrency"}),
    required=("chargeperiodstart", "servicename", "billingcurrency"),
    one_of=(("subaccountid", "billingaccountid"),),
    start="chargeperiodstart",
    currency="billingcurrency",
    period="billingperiodstart",
    timestamps=("chargeperiodstart", "chargeperiodend"),
    costs=("billedcost", "effectivecost"),
    bases={"billed": Basis("billedcost"), "effective": Basis("effectivecost")},
    select=_focus_select,
    quantities=FOCUS_QUANTITIES,
    use=_focus_use,
)

# --- CUR 2.0 and legacy CUR (https://docs.aws.amazon.com/cur/latest/userguide/data-dictionary.html) ---------------

_TYPE = "line_item_line_item_type"
_PURCHASES = ("Fee", "RIFee", "SavingsPlanUpfrontFee", "SavingsPlanRecurringFee")


_COMMITMENT_FEES = tuple(
    f"savings_plan_{net}{kind}_commitment_for_billing_period"
    for kind in ("recurring", "amortized_upfront")
    for net in ("", "net_")
)


def _commitments(net: str) -> dict[str, tuple[str, ...]]:
    """Where the cost of a commitment's lines stands, by line-item type; `net` is '' or 'net_'."""
    return {
        "SavingsPlanCoveredUsage": (f"savings_plan_{net}savings_plan_effective_cost",),
        "SavingsPlanRecurringFee": (
            "savings_plan_total_commitment_to_date",
            "savings_plan_used_commitment",
            *(_COMMITMENT_FEES if net else ()),
        ),
        "DiscountedUsage": (f"reservation_{net}effective_cost",),
        "RIFee": (
            f"reservation_{net}unused_amortized_upfront_fee_for_billing_period",
            f"reservation_{net}unused_recurring_fee",
        ),
    }


def _amortized(columns: Columns, net: str) -> str:
    """The cost of commitments on the day they are used, by line-item type (AWS's CUR query library).

    `net` is '' or 'net_': the reservation_net_* and savings_plan_net_* columns, after private discounts. The unused
    part of a Savings Plan has no net column of its own: it is scaled as the plan's fee is. A legacy CUR has only the
    columns that the month needed: a line whose column is absent gets no cost, and a line without a cost is an error.
    """

    def cost(column: str) -> str:
        return _money(column) if column in columns else f"CAST(NULL AS {MONEY_SQL})"

    column_of = _commitments(net)
    total, used, *fees = column_of["SavingsPlanRecurringFee"]
    unused = f"({cost(total)} - {cost(used)})"
    if net and all(c in columns for c in fees):
        recurring, net_recurring, upfront, net_upfront = fees
        unused = f"""CAST({unused} * CASE
            WHEN COALESCE({recurring}, 0) <> 0 THEN CAST({net_recurring} AS DOUBLE) / CAST({recurring} AS DOUBLE)
            WHEN COALESCE({upfront}, 0) <> 0 THEN CAST({net_upfront} AS DOUBLE) / CAST({upfront} AS DOUBLE)
            ELSE 1 END AS {MONEY_SQL})"""
    elif net:
        unused = f"CAST(NULL AS {MONEY_SQL})"
    zero = f"CAST(0 AS {MONEY_SQL})"
    reservation_fee = ""
    if "reservation_reservation_a_r_n" in columns:
        reservation_fee = f"WHEN {_TYPE} = 'Fee' AND COALESCE(reservation_reservation_a_r_n, '') <> '' THEN {zero}"
    return f"""CASE
        WHEN {_TYPE} = 'SavingsPlanCoveredUsage' THEN {cost(*column_of["SavingsPlanCoveredUsage"])}
        WHEN {_TYPE} = 'SavingsPlanRecurringFee' THEN {unused}
        WHEN {_TYPE} IN ('SavingsPlanNegation', 'SavingsPlanUpfrontFee') THEN {zero}
        WHEN {_TYPE} = 'DiscountedUsage' THEN {cost(*column_of["DiscountedUsage"])}
        WHEN {_TYPE} = 'RIFee' THEN {" + ".join(map(cost, column_of["RIFee"]))}
        {reservation_fee}
        WHEN {_TYPE} = 'Refund' AND line_item_product_code = 'ComputeSavingsPlans' THEN {zero}
        ELSE {cost(f"line_item_{net}unblended_cost")} END"""


_UNBLENDED = Basis("line_item_unblended_cost")

_CUR_BASES = {
    # What AWS invoices: the negation lines take back what a Savings Plan covers, discounts are lines of their own.
    "billed": _UNBLENDED,
    "unblended": _UNBLENDED,
    "net_unblended": Basis("line_item_net_unblended_cost"),
    "effective": Basis("line_item_unblended_cost", lambda columns: _amortized(columns, ""), _commitments("")),
    "net_amortized": Basis(
        "line_item_net_unblended_cost", lambda columns: _amortized(columns, "net_"), _commitments("net_")
    ),
}

_CUR_COSTS = (
    "line_item_unblended_cost",
    "line_item_net_unblended_cost",
    "savings_plan_savings_plan_effective_cost",
    "savings_plan_net_savings_plan_effective_cost",
    "savings_plan_total_commitment_to_date",
    "savings_plan_used_commitment",
    *_COMMITMENT_FEES,
    "reservation_effective_cost",
    "reservation_net_effective_cost",
    "reservation_unused_amortized_upfront_fee_for_billing_period",
    "reservation_net_unused_amortized_upfront_fee_for_billing_period",
    "reservation_unused_recurring_fee",
    "reservation_net_unused_recurring_fee",
)


def _cur_select(columns: Columns) -> dict[str, str]:
    services = ["product_product_name", "product_servicename", "product_servicecode", "line_item_product_code"]
    product = columns.get("product", "").upper()
    if product.startswith("MAP"):
        columns = {**columns, "element_at(product, 'product_name')": "VARCHAR"}
        services.insert(0, "element_at(product, 'product_name')")
    elif product in ("VARCHAR", "STRING"):  # CUR 2.0 as CSV: the map is JSON text
        columns = {**columns, "json_extract_scalar(product, '$.product_name')": "VARCHAR"}
        services.insert(0, "json_extract_scalar(product, '$.product_name')")
    purchases = ", ".join(_quote(p) for p in _PURCHASES)
    scheduled = [
        f"{_TYPE} IN ('Tax', 'Credit', 'Refund', {purchases})",
        *_longer_than_a_day(columns, "line_item_usage_start_date", "line_item_usage_end_date"),
    ]
    select = {
        "linkedaccount": _first(columns, ("line_item_usage_account_id", "bill_payer_account_id"), NO_ACCOUNT),
        "account_name": _first(columns, ("line_item_usage_account_name",), ""),
        "service": _first(columns, services, NO_SERVICE),
        "charge_category": f"""CASE
            WHEN {_TYPE} IN ('Usage', 'DiscountedUsage', 'SavingsPlanCoveredUsage', 'SavingsPlanNegation') THEN 'Usage'
            WHEN {_TYPE} IN ({purchases}) THEN 'Purchase'
            WHEN {_TYPE} IN ('Tax', 'Credit', 'Refund') THEN {_TYPE}
            WHEN {_TYPE} LIKE '%Discount' THEN 'Adjustment'
            ELSE COALESCE({_text(_TYPE)}, '(no type)') END""",
        "scheduled": " OR ".join(scheduled),
        "currency": _text("line_item_currency_code"),
    }
    # Split cost allocation repeats an instance's cost for each pod or task on it: the instance's own line is the money.
    split = [f"{_text(c)} IS NOT NULL" for c in ("split_line_item_parent_resource_id",) if c in columns]
    if "line_item_operation" in columns:
        split.append("line_item_operation IN ('EKSPod-EC2', 'ECSTask-EC2')")
    if split:
        select["split"] = " OR ".join(split)
    return select


def _cur_use(columns: Columns, cost_basis: str) -> Use | None:
    if not {"line_item_usage_type", "line_item_usage_amount"} <= set(columns):
        return None
    # What takes a Savings Plan's use off the bill again repeats its amount, which is used once. Where commitments are
    # amortized, the cost of a plan's recurring fee is what nobody used of it.
    amortized = CUR.bases[cost_basis].amortization is not None
    return Use(
        sku=tuple(c for c in ("line_item_usage_type", "line_item_operation") if c in columns),
        quantity=f"CASE WHEN {_TYPE} IN ('Usage', 'DiscountedUsage', 'SavingsPlanCoveredUsage') "
        "THEN line_item_usage_amount END",
        is_use=f"{_TYPE} IN ('Usage', 'DiscountedUsage', 'SavingsPlanCoveredUsage', 'SavingsPlanNegation') "
        f"OR {_TYPE} LIKE '%Discount'",
        committed=f"{_TYPE} IN ('DiscountedUsage', 'SavingsPlanCoveredUsage', 'SavingsPlanNegation')",
        unused=f"{_TYPE} = 'SavingsPlanRecurringFee'" if amortized else "FALSE",
    )


CUR = BillFormat(
    name="cur",
    title="legacy CUR",
    signature=frozenset({"line_item_usage_start_date"}),
    required=("line_item_usage_start_date", _TYPE, "line_item_product_code", "line_item_currency_code"),
    one_of=(("line_item_usage_account_id", "bill_payer_account_id"),),
    start="line_item_usage_start_date",
    currency="line_item_currency_code",
    period="bill_billing_period_start_date",
    timestamps=("line_item_usage_start_date", "line_item_usage_end_date"),
    costs=_CUR_COSTS,
    bases=_CUR_BASES,
    select=_cur_select,
    quantities=("line_item_usage_amount",),
    use=_cur_use,
)

CUR2 = replace(
    CUR,
    name="cur2",
    title="CUR 2.0",
    signature=frozenset({"line_item_usage_start_date", "bill_payer_account_name"}),
)

# --- an existing finops_daily_summary: BillingDate, OU, Service, LinkedAccount, Cost ------------------------------


def _summary_select(columns: Columns) -> dict[str, str]:
    return {
        "linkedaccount": _first(columns, ("linkedaccount",), NO_ACCOUNT),
        "account_name": "''",
        "service": _first(columns, ("service",), NO_SERVICE),
        "charge_category": "CAST(NULL AS VARCHAR)",
        "scheduled": "FALSE",
        "currency": "CAST(NULL AS VARCHAR)",
        "ou": _first(columns, ("ou",), UNASSIGNED),
    }


SUMMARY = BillFormat(
    name="summary",
    title="daily summary table",
    signature=frozenset({"billingdate", "ou", "service", "linkedaccount", "cost"}),
    required=("billingdate", "ou", "service", "linkedaccount"),
    start="billingdate",
    timestamps=("billingdate",),
    # The table does not say what its Cost is: the setting names it, and whoever made the table vouches for it.
    costs=("cost",),
    bases=dict.fromkeys(("billed", "effective", "unblended", "net_unblended", "net_amortized"), Basis("cost")),
    select=_summary_select,
)

FORMATS = {f.name: f for f in (FOCUS, CUR2, CUR, SUMMARY)}

_CUR2_ONLY = ("bill_payer_account_name", "line_item_usage_account_name", "product", "resource_tags", "cost_category")


def recognise(columns: Iterable[str], where: str) -> BillFormat:
    """The format that these columns are.

    Raises:
        BillError: none of the formats has such columns.
    """
    names = set(columns)
    # One column of the signature is enough: `check_columns` then says which required one is missing.
    if FOCUS.signature & names:
        return FOCUS
    if any(name.startswith("line_item_") for name in names):
        return CUR2 if names & set(_CUR2_ONLY) else CUR
    if len(SUMMARY.signature - names) <= 1:
        return SUMMARY
    shown = ", ".join(sorted(names)[:8]) or "no columns"
    raise BillError(
        f"is not a bill in a known format; its columns are {shown}{', ...' if len(names) > 8 else ''}",
        where=where,
        fix="Give a FOCUS 1.0 to 1.2, CUR 2.0 or legacy CUR export, or a table of BillingDate, OU, Service, "
        "LinkedAccount, Cost; or set bill.format to learn which column is missing.",
    )


def normal_name(header: str) -> str:
    """A header as Parquet and Athena name it.

    `lineItem/UsageStartDate` -> `line_item_usage_start_date`, `reservation/ReservationARN` ->
    `reservation_reservation_a_r_n`, `BilledCost` -> `billedcost`.
    """
    header = header.strip().lstrip("\ufeff")
    if "/" in header:
        header = "_".join(re.sub(r"(?<!^)([A-Z])", r"_\1", part) for part in header.split("/"))
    return header.lower()


def check_columns(fmt: BillFormat, columns: Columns, rules: Rules, where: str) -> None:
    """Refuse a bill that lacks what the format or the settings need.

    Raises:
        BillError: a missing required column, or a cost basis that the bill does not have.
        SettingsError: a setting that this format cannot honour.
    """
    missing = [c for c in fmt.required if c not in columns]
    missing += [" or ".join(group) for group in fmt.one_of if not any(c in columns for c in group)]
    if missing:
        raise BillError(
            f"the {fmt.title} bill has no column {', '.join(missing)}",
            where=where,
            fix="Export it with that column, or set bill.format if this is another format.",
        )
    available = cost_bases(fmt, columns)
    if rules.cost_basis not in available:
        basis = fmt.bases.get(rules.cost_basis)
        why = f"it has no column {basis.column}" if basis else f"{fmt.title} has no such cost"
        if not available:
            raise BillError(f"the {fmt.title} bill has no cost column: {why}", where=where, fix="Export it with one.")
        raise BillError(
            f"the bill has no {rules.cost_basis} cost: {why}",
            where=f"{where} (bill.cost_basis)",
            fix=f"Set bill.cost_basis to {' or '.join(available)}.",
        )
    if fmt is SUMMARY and not rules.currency:
        raise SettingsError(
            "a daily summary table does not say its currency",
            where="bill.currency (FINOPS_BILL__CURRENCY)",
            fix="Set it, e.g. to USD.",
        )
    needed = {"include_tax": "chargecategory", "include_credits": "chargecategory", "include_refunds": "chargeclass"}
    dishonoured = [
        name
        for name, column in needed.items()
        if not getattr(rules, name) and (fmt is SUMMARY or (fmt is FOCUS and column not in columns))
    ]
    if dishonoured:
        raise SettingsError(
            f"the {fmt.title} bill does not tell such charges apart ({where})",
            where=", ".join(f"bill.{name}" for name in dishonoured),
            fix="Leave it true, or give a bill that has "
            + ("charge categories." if fmt is SUMMARY else f"the column {needed[dishonoured[0]]}."),
        )


def cost_bases(fmt: BillFormat, columns: Columns) -> tuple[str, ...]:
    """The cost bases that a bill with these columns has."""
    return tuple(name for name, basis in fmt.bases.items() if basis.column in columns)


def used_columns(fmt: BillFormat, columns: Columns, rules: Rules) -> tuple[str, ...]:
    """The columns that the bill's SQL reads, of those there are."""
    return named_in(charges_sql(fmt, columns, rules, date(2000, 1, 1), date(2000, 1, 1)), columns)


def driver_columns(fmt: BillFormat, columns: Columns, rules: Rules) -> tuple[str, ...]:
    """The columns that `drivers_sql` reads, of those there are; none of those beyond `used_columns` is needed."""
    return named_in(drivers_sql(fmt, columns, rules, date(2000, 1, 2), date(2000, 1, 1)), columns)


def named_in(sql: str, columns: Columns) -> tuple[str, ...]:
    """The columns that an SQL names, of those there are."""
    text = sql.lower()
    return tuple(c for c in columns if re.search(rf"\b{re.escape(c)}\b", text))


def charges_sql(
    fmt: BillFormat,
    columns: Columns,
    rules: Rules,
    start: date,
    end: date,
    table: str = "bill",
    *,
    undated: bool = False,
    ends_only: bool = False,
    more: Mapping[str, str] | None = None,
) -> str:
    """The SELECT, in Athena's dialect, that turns the bill's lines of start to end (inclusive) into charges.

    The range is half-open on the raw column, so that an engine can skip files and row groups by their statistics.
    With `undated`, lines without a date come too, so that they can be refused. With `ends_only`, the days between start
    and end are left out. `more` names expressions over the bill's columns that are selected, too.
    """
    next_day = end + timedelta(days=1)
    range_ = f"{fmt.start} >= TIMESTAMP '{start} 00:00:00' AND {fmt.start} < TIMESTAMP '{next_day} 00:00:00'"
    if undated:
        range_ = f"(({range_}) OR {fmt.start} IS NULL)"
    if ends_only and (end - start).days > 1:
        after_start = start + timedelta(days=1)
        in_between = f"{fmt.start} >= TIMESTAMP '{after_start} 00:00:00' AND {fmt.start} < TIMESTAMP '{end} 00:00:00'"
        range_ += f" AND NOT ({in_between})"
    selected = {**charge_expressions(fmt, columns, rules), **(more or {})}
    expressions = ",\n    ".join(f"{sql} AS {name}" for name, sql in selected.items())
    return f"SELECT\n    {expressions}\nFROM {table}\nWHERE {range_}"


def charge_expressions(fmt: BillFormat, columns: Columns, rules: Rules) -> dict[str, str]:
    """Each column of a charge by its name, as SQL over the bill's columns."""
    parts = dict(fmt.select(columns))
    split = parts.pop("split", None)
    reasons = [(f"({split})", "split cost allocation")] if split else []
    if rules.currency and fmt is not SUMMARY:
        reasons.append((f"{parts['currency']} <> {_quote(rules.currency)}", f"bill.currency is {rules.currency}"))
    for include, category, reason in (
        (rules.include_tax, "Tax", "bill.include_tax"),
        (rules.include_credits, "Credit", "bill.include_credits"),
        (rules.include_refunds, "Refund", "bill.include_refunds"),
    ):
        if not include:
            reasons.append((f"({parts['charge_category']}) = '{category}'", reason))
    left_out = "CAST(NULL AS VARCHAR)"
    if reasons:
        left_out = "CASE " + " ".join(f"WHEN {c} THEN {_quote(r)}" for c, r in reasons) + " END"
    return {
        "charge_date": f"CAST({fmt.start} AS DATE)",
        "linkedaccount": parts["linkedaccount"],
        "account_name": parts["account_name"],
        "service": parts["service"],
        "ou": parts.get("ou", "CAST(NULL AS VARCHAR)"),
        "charge_category": parts["charge_category"],
        "scheduled": f"COALESCE({parts['scheduled']}, FALSE)",
        "left_out": left_out,
        "currency": _quote(rules.currency) if fmt is SUMMARY else parts["currency"],
        "cost": fmt.bases[rules.cost_basis].sql(columns),
    }


def survey_sql(fmt: BillFormat, table: str = "bill") -> str:
    """One row for each billing currency of the whole bill: how many lines, and whether all can be on a day."""
    earliest, latest = (f"TIMESTAMP '{day} 00:00:00'" for day in (EARLIEST, LATEST))
    return f"""SELECT {fmt.currency or "''"} AS currency, COUNT(*) AS lines,
    COUNT(*) = COUNT({fmt.start}) AND MIN({fmt.start}) >= {earliest} AND MAX({fmt.start}) < {latest} AS dated
FROM {table} GROUP BY 1 ORDER BY 1"""


def undated(column: str) -> str:
    """The condition that is true of a line whose date in this column is none that anybody meant."""
    earliest, latest = (f"TIMESTAMP '{day} 00:00:00'" for day in (EARLIEST, LATEST))
    return f"({column} IS NULL OR {column} < {earliest} OR {column} >= {latest})"


def source_days_sql(charges: str) -> str:
    """What the bill says of each day, by currency, category and reason for leaving out; no OU is involved."""
    return f"""SELECT charge_date, currency, COALESCE(charge_category, '') AS charge_category, scheduled, left_out,
    COUNT(*) AS lines, COUNT(*) - COUNT(cost) AS without_cost, SUM(cost) AS total
FROM ({charges}) AS charges
GROUP BY charge_date, currency, COALESCE(charge_category, ''), scheduled, left_out
ORDER BY 1, 2, 3, 4, 5"""


def one_pass_sql(charges: str) -> str:
    """Both sums of the bill in one pass over it, for an engine that is paid by what it scans.

    Rows with of_source = 1 are those of `source_days_sql`; the others are the lines that count, summed by account,
    service and the bill's own OU, for `summary_sql` to see through the account map. An engine makes each kind from the
    lines themselves, so that the first proves the second.
    """
    return f"""SELECT charge_date, currency, charge_category, scheduled, left_out, ou, service, linkedaccount,
    GROUPING(linkedaccount) AS of_source, COUNT(*) AS lines, COUNT(*) - COUNT(cost) AS without_cost, SUM(cost) AS total
FROM ({charges}) AS charges
GROUP BY GROUPING SETS (
    (charge_date, currency, charge_category, scheduled, left_out),
    (charge_date, left_out, ou, service, linkedaccount)
)"""


def summary_sql(charges: str, account_map: str = "account_ou_map") -> str:
    """finops_daily_summary: billingdate, ou, service, linkedaccount, cost, through the effective-dated map.

    Lines are summed by account before the map is looked up: an account's day meets one row of the map, so the join
    can neither lose nor double money, and the reconciliation with `source_days_sql` proves it.
    """
    return f"""SELECT c.charge_date AS billingdate, COALESCE(c.ou, m.ou, '{UNASSIGNED}') AS ou, c.service,
    c.linkedaccount, c.cost
FROM (
    SELECT charge_date, ou, service, linkedaccount, SUM(cost) AS cost
    FROM ({charges}) AS charges
    WHERE left_out IS NULL
    GROUP BY charge_date, ou, service, linkedaccount
) AS c
LEFT JOIN {account_map} AS m
    ON c.linkedaccount = m.account_id AND c.charge_date >= m.valid_from AND c.charge_date < m.valid_to"""


def breakdown_sql(summary: str) -> str:
    """The day's OU x Service x LinkedAccount cost, in archive order; `cost` is exact, `dailycost` its double."""
    return f"""SELECT billingdate, ou, service, linkedaccount, CAST(SUM(cost) AS DOUBLE) AS dailycost, SUM(cost) AS cost
FROM ({summary}) AS finops_daily_summary
GROUP BY billingdate, ou, service, linkedaccount
ORDER BY billingdate, ou, service, linkedaccount"""


def fingerprints_sql(breakdown: str) -> str:
    """One line a day of a breakdown: `core.breakdown.fingerprint` of its rows, their number and their exact total."""
    names = ", ".join(f"'\"', REPLACE({name}, '\"', '\"\"'), '\",'" for name in ("ou", "service", "linkedaccount"))
    row = f"CONCAT({names}, CAST(CAST(cost * 1000000000000 AS DECIMAL(38, 0)) AS VARCHAR), CHR(10))"
    rows = f"ARRAY_JOIN(ARRAY_AGG({row} ORDER BY ou, service, linkedaccount), '')"
    return f"""SELECT billingdate, LOWER(TO_HEX(SHA256(TO_UTF8({rows})))) AS fingerprint, SUM(cost) AS total,
    COUNT(*) AS row_count
FROM ({breakdown}) AS ou_breakdown
GROUP BY billingdate
ORDER BY billingdate"""


def drivers_sql(fmt: BillFormat, columns: Columns, rules: Rules, day: date, against: date, table: str = "bill") -> str:
    """What each account's service costs on two days, and what makes the difference.

    Lines are matched by what was used: account, service and SKU. Where such use has a quantity q on both days, at a
    unit cost of p, its price effect is q1 x (p1 - p0), and the rest is volume. Of the price effect, `coverage` is what
    comes of another share of the use being covered by commitments: q1 x (share1 - share0) x (unit cost of covered use -
    of other use, over both days together). Use on one day alone is volume.

    Quotients are doubles, rounded to the sixth decimal; the rest is exact, and a row's effects sum to now - before.
    `there_` is 1 where there are lines on the day, `used_` where some of them are more than fees, tax and the like.
    """
    use = fmt.use(columns, rules.cost_basis) if fmt.use else None
    use = use or Use((), "CAST(NULL AS DOUBLE)", "FALSE", "FALSE", "FALSE")
    sku = {f"sku_{n}": column for n, column in enumerate(use.sku)}
    more = sku | {
        "quantity": use.quantity,
        "is_use": f"COALESCE({use.is_use}, FALSE)",
        "committed": f"COALESCE({use.committed}, FALSE)",
        "unused": f"COALESCE({use.unused}, FALSE)",
    }
    charges = charges_sql(fmt, columns, rules, min(day, against), max(day, against), table, ends_only=True, more=more)
    key = ", ".join(("linkedaccount", "service", "ou", "part", *sku))
    on = [f"charge_date = DATE '{against}'", f"charge_date = DATE '{day}'"]

    def of_days(name: str, value: str, condition: str = "", function: str = "SUM", other: str = "") -> str:
        return ", ".join(
            f"{function}(CASE WHEN {is_day}{condition} THEN {value}{other} END) AS {name}{n}"
            for n, is_day in enumerate(on)
        )

    kept = f"""SELECT charges.*, CASE
        WHEN charge_category = 'Tax' THEN 'tax'
        WHEN charge_category IN ('Credit', 'Refund') THEN 'credits'
        WHEN unused THEN 'coverage'
        WHEN scheduled OR charge_category = 'Purchase' THEN 'one_off'
        WHEN is_use THEN 'use'
        ELSE 'other' END AS part
    FROM ({charges}) AS charges
    WHERE left_out IS NULL"""
    grouped = f"""SELECT {key},
        {of_days("cost", "cost")},
        {of_days("quantity", "quantity")},
        {of_days("cost_covered", "cost", " AND committed")},
        {of_days("covered", "quantity", " AND committed")},
        {of_days("there", "1", function="MAX", other=" ELSE 0")},
        {of_days("used", "1", " AND part IN ('use', 'other')", function="MAX", other=" ELSE 0")}
    FROM ({kept}) AS kept
    GROUP BY {key}"""
    zero = f"CAST(0 AS {MONEY_SQL})"
    # Beyond 1E30 nothing is a quantity: that keeps NaN and infinity out.
    matched = " AND ".join(f"quantity{n} > 0 AND quantity{n} < 1E30" for n in (0, 1))
    numbers = f"""SELECT linkedaccount, service, ou, part, there0, there1, used0, used1,
        COALESCE(cost0, {zero}) AS cost0, COALESCE(cost1, {zero}) AS cost1,
        COALESCE(quantity0, 0) <> 0 OR COALESCE(cost0, {zero}) <> {zero} AS counts0,
        COALESCE(quantity1, 0) <> 0 OR COALESCE(cost1, {zero}) <> {zero} AS counts1,
        CAST(COALESCE(cost0, {zero}) AS DOUBLE) AS c0, CAST(COALESCE(cost1, {zero}) AS DOUBLE) AS c1,
        part = 'use' AND COALESCE({matched}, FALSE) AS matched, quantity0 AS q0, quantity1 AS q1,
        COALESCE(covered0, 0) AS k0, COALESCE(covered1, 0) AS k1,
        CAST(COALESCE(cost_covered0, {zero}) + COALESCE(cost_covered1, {zero}) AS DOUBLE) AS covered_cost
    FROM ({grouped}) AS skus"""
    # Today's use at that day's unit cost. Where it is far from both costs, the unit is not what is paid for (a minimum
    # charge, a free tier that is used up): all of the change is volume then.
    then = "q1 * c0 / q0"
    comparable = f"matched AND ABS({then}) <= 10 * (ABS(c0) + ABS(c1))"
    mixed = "k0 + k1 > 0 AND q0 + q1 - k0 - k1 > 1E-9 * (q0 + q1)"
    saved = "covered_cost / (k0 + k1) - (c0 + c1 - covered_cost) / (q0 + q1 - k0 - k1)"

    def rounded(value: str, condition: str) -> str:
        attempt = f"TRY_CAST(TRY_CAST({value} AS DECIMAL(38, 6)) AS {MONEY_SQL})"
        return f"COALESCE(CASE WHEN {condition} THEN {attempt} END, {zero})"

    effects = f"""SELECT numbers.*, cost1 - cost0 AS delta,
        {rounded(f"c1 - {then}", comparable)} AS repriced,
        {rounded(f"(k1 - q1 * k0 / q0) * ({saved})", f"{comparable} AND {mixed}")} AS covering
    FROM ({numbers}) AS numbers"""

    def total(name: str, value: str, condition: str) -> str:
        return f"COALESCE(SUM(CASE WHEN {condition} THEN {value} END), {zero}) AS {name}"

    is_volume = "part = 'use' AND (matched OR NOT counts0 OR NOT counts1)"
    return f"""SELECT linkedaccount, service, ou, SUM(cost0) AS before, SUM(cost1) AS now,
    MAX(there0) AS there_before, MAX(there1) AS there_now, MAX(used0) AS used_before, MAX(used1) AS used_now,
    {total("volume", "delta - repriced", is_volume)},
    {total("price", "repriced - covering", "matched")},
    {total("coverage", "CASE WHEN matched THEN covering ELSE delta END", "matched OR part = 'coverage'")},
    {total("one_off", "delta", "part = 'one_off'")},
    {total("credits", "delta", "part = 'credits'")},
    {total("tax", "delta", "part = 'tax'")},
    {total("other", "delta", f"part = 'other' OR (part = 'use' AND NOT ({is_volume}))")}
FROM ({effects}) AS effects
GROUP BY linkedaccount, service, ou"""


def accounts_sql(charges: str) -> str:
    """The linked accounts that the bill names, each with its newest name."""
    return f"""SELECT linkedaccount AS account_id, COALESCE(MAX_BY(account_name, charge_date), '') AS account_name
FROM ({charges}) AS charges GROUP BY linkedaccount ORDER BY 1"""
