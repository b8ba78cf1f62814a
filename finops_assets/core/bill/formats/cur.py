"""The legacy Cost and Usage Report (https://docs.aws.amazon.com/cur/latest/userguide/data-dictionary.html).

Amortized cost follows AWS's own dashboards by line-item type (`_amortized`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import partial

from finops_assets.core.accounts.account_ids import account_id_sql
from finops_assets.core.bill.bill_format import (
    INCLUDE_SETTINGS,
    NO_ACCOUNT,
    NO_MONEY,
    NO_SERVICE,
    NO_TEXT,
    RESERVATION,
    SAVINGS_PLAN,
    BillFormat,
    Columns,
    Commitments,
    CostBasis,
    CostRule,
    LabelColumns,
    Usage,
    currency_sql,
    day_sql,
    first_sql,
    longer_than_a_day,
    money_sql,
    quantity_as_money_sql,
    quoted,
    text_sql,
)
from finops_assets.core.schemas import MONEY_SQL

TYPE = "line_item_line_item_type"
CODE = "line_item_product_code"
ACCOUNTS = ("line_item_usage_account_id", "bill_payer_account_id")
USAGE = ("Usage", "DiscountedUsage", "SavingsPlanCoveredUsage")
PURCHASES = ("Fee", "RIFee", "SavingsPlanUpfrontFee", "SavingsPlanRecurringFee")

ARN, PLAN_ARN = "reservation_reservation_a_r_n", "savings_plan_savings_plan_a_r_n"
ON_DEMAND = "pricing_public_on_demand_cost"
DESCRIPTION = "line_item_line_item_description"
PARENT, OPERATION = "split_line_item_parent_resource_id", "line_item_operation"
UNBLENDED, NET = "line_item_unblended_cost", "line_item_net_unblended_cost"
ZERO = f"CAST(0 AS {MONEY_SQL})"

PLAN_FEE_REFUND = "refund for one-time fee for savings plan%"
"""How AWS describes what it gives back of a Savings Plan's upfront fee, in lower case."""

COMMITMENT_FEES = tuple(
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
            *(COMMITMENT_FEES if net else ()),
        ),
        "DiscountedUsage": (f"reservation_{net}effective_cost",),
        "RIFee": (
            f"reservation_{net}unused_amortized_upfront_fee_for_billing_period",
            f"reservation_{net}unused_recurring_fee",
        ),
    }


def _unused_commitment(net: str) -> str:
    """The part of a plan that nobody used. It has no net column of its own: it is scaled as the plan's fee is."""
    unused = f"({money_sql('savings_plan_total_commitment_to_date')} - {money_sql('savings_plan_used_commitment')})"
    if not net:
        return unused
    recurring, net_recurring, upfront, net_upfront = COMMITMENT_FEES
    return f"""CAST({unused} * CASE
            WHEN COALESCE({recurring}, 0) <> 0 THEN CAST({net_recurring} AS DOUBLE) / CAST({recurring} AS DOUBLE)
            WHEN COALESCE({upfront}, 0) <> 0 THEN CAST({net_upfront} AS DOUBLE) / CAST({upfront} AS DOUBLE)
            ELSE 1 END AS {MONEY_SQL})"""


def _amortized(columns: Columns, net: str, *, selected: bool) -> tuple[CostRule, ...]:
    """The cost of commitments on the day they are used, by line-item type, after AWS's own dashboards.

    Source: summary_view.sql of aws-solutions-library-samples/cloud-intelligence-dashboards-framework, as corrected by
    its pull request 1515 (issues 1087, 1497): what is given back of a Savings Plan's upfront fee counts 0, as the fee
    does, and is known by its description; every other refund is money. AWS's rule names Compute plans alone; here it is
    that of all plans.

    `net` is '' or 'net_': the reservation_net_* and savings_plan_net_* columns, after private discounts.
    """
    column_of = _commitments(net)
    own = money_sql(NET if net else UNBLENDED)

    def rule(line_type: str, cost: str) -> CostRule:
        return CostRule(line_type, f"{TYPE} = '{line_type}'", cost, column_of.get(line_type, ()))

    [covered], [discounted] = column_of["SavingsPlanCoveredUsage"], column_of["DiscountedUsage"]
    return (
        rule("SavingsPlanCoveredUsage", money_sql(covered)),
        rule("SavingsPlanRecurringFee", _unused_commitment(net)),
        rule("SavingsPlanNegation", ZERO),
        rule("SavingsPlanUpfrontFee", ZERO),
        rule("DiscountedUsage", money_sql(discounted)),
        rule("RIFee", " + ".join(map(money_sql, column_of["RIFee"]))),
        *_fee(columns, selected=selected),
        _refund(columns, own),
    )


def _fee(columns: Columns, *, selected: bool) -> tuple[CostRule, ...]:
    """A reservation's upfront fee counts 0, as it is counted where the reservation is used; other fees are money.

    Only the reservation's ARN tells them apart. A legacy CUR has the columns that a month needed: one without any
    reservation column has no reservations. Those of CUR 2.0 are selected: absent, they tell nothing.
    """
    if ARN in columns:
        return (CostRule("Fee", f"{TYPE} = 'Fee' AND {ARN} <> ''", ZERO, (ARN,)),)
    if not selected and not any(c.startswith("reservation_") for c in columns):
        return ()
    may_be = [f"{TYPE} = 'Fee'", "COALESCE(line_item_product_code, '') NOT LIKE '%Support%'"]
    may_be += [f"{UNBLENDED} <> 0"] if UNBLENDED in columns else []
    may_be += ["COALESCE(bill_billing_entity, '') <> 'AWS Marketplace'"] if "bill_billing_entity" in columns else []
    return (CostRule("Fee", " AND ".join(may_be), NO_MONEY, (ARN,)),)


def _refund(columns: Columns, own: str) -> CostRule:
    """What is given back of a plan's upfront fee counts 0; a plan's refund without a description cannot be told."""
    of_plan = "line_item_product_code LIKE '%SavingsPlan%'"
    condition = f"{TYPE} = 'Refund'" + ("" if DESCRIPTION in columns else f" AND {of_plan}")
    cost = (
        f"CASE WHEN LOWER({DESCRIPTION}) LIKE '{PLAN_FEE_REFUND}' THEN {ZERO} "
        f"WHEN {of_plan} AND COALESCE({DESCRIPTION}, '') = '' THEN {NO_MONEY} ELSE {own} END"
    )
    return CostRule("Refund", condition, cost, (DESCRIPTION,))


def _effective(columns: Columns, *, selected: bool) -> tuple[CostRule, ...]:
    return (*_untold_split(columns), *_amortized(columns, "", selected=selected))


def _net_amortized(columns: Columns, *, selected: bool) -> tuple[CostRule, ...]:
    """By the net columns on lines of a month with a private discount, which have a net cost; else by the others."""
    rules = _amortized(columns, "", selected=selected)
    if NET in columns:
        discounted = tuple(
            replace(rule, condition=f"{NET} IS NOT NULL AND {rule.condition}")
            for rule in _amortized(columns, "net_", selected=selected)
        )
        others = CostRule("", f"{NET} IS NOT NULL", money_sql(NET))
        rules = (*discounted, others, *rules)
    return (*_untold_split(columns), *rules)


def _has_no_net(columns: Columns) -> bool:
    """Whether a bill has no column of costs after private discounts, and has those before."""
    return UNBLENDED in columns and not any("_net_" in name for name in columns)


def cost_bases_of(*, selected: bool) -> dict[str, CostBasis]:
    """The cost bases of a CUR.

    AWS writes net columns only "when your account has a discount in the applicable billing period" (the dictionaries of
    both reports): in months without them, net is what is not net.

    Args:
        selected: whether somebody has selected the columns, as in CUR 2.0: one that is absent then says nothing. A
            legacy CUR has those that its months needed; without any net column, no month has a discount.
    """
    lists = {net: tuple(c for of in _commitments(net).values() for c in of) for net in ("", "net_")}
    told = (ARN, DESCRIPTION, OPERATION)
    without = None if selected else _has_no_net
    return {
        # What AWS invoices: the negation lines take back what a Savings Plan covers, discounts are lines of their own.
        "billed": CostBasis(UNBLENDED, rules=_untold_split, columns=(OPERATION,)),
        "unblended": CostBasis(UNBLENDED, rules=_untold_split, columns=(OPERATION,)),
        "net_unblended": CostBasis(NET, UNBLENDED, without, _untold_split, (OPERATION,)),
        "effective": CostBasis(UNBLENDED, rules=partial(_effective, selected=selected), columns=(*lists[""], *told)),
        "net_amortized": CostBasis(
            NET,
            UNBLENDED,
            without,
            partial(_net_amortized, selected=selected),
            columns=(*lists[""], *lists["net_"], *told),
        ),
    }


COSTS = (
    UNBLENDED,
    NET,
    "savings_plan_savings_plan_effective_cost",
    "savings_plan_net_savings_plan_effective_cost",
    "savings_plan_total_commitment_to_date",
    "savings_plan_used_commitment",
    *COMMITMENT_FEES,
    "reservation_effective_cost",
    "reservation_net_effective_cost",
    "reservation_unused_amortized_upfront_fee_for_billing_period",
    "reservation_net_unused_amortized_upfront_fee_for_billing_period",
    "reservation_unused_recurring_fee",
    "reservation_net_unused_recurring_fee",
)


def _select(columns: Columns) -> dict[str, str]:
    name = _service_name(columns)
    purchases = ", ".join(quoted(p) for p in PURCHASES)
    scheduled = [
        f"{TYPE} IN ('Tax', 'Credit', 'Refund', {purchases})",
        *longer_than_a_day(columns, "line_item_usage_start_date", "line_item_usage_end_date"),
    ]
    select = {
        "linkedaccount": account_id_sql([c for c in ACCOUNTS if c in columns], "TRUE", quoted(NO_ACCOUNT)),
        "account_name": first_sql(columns, ("line_item_usage_account_name",), ""),
        "service": f"""CASE {name} WHEN {CODE} <> '' THEN {CODE}
            ELSE {first_sql(columns, ("product_servicename", "product_servicecode"), NO_SERVICE)} END""",
        "charge_category": f"""CASE
            WHEN {TYPE} IN ('Usage', 'DiscountedUsage', 'SavingsPlanCoveredUsage', 'SavingsPlanNegation') THEN 'Usage'
            WHEN {TYPE} IN ({purchases}) THEN 'Purchase'
            WHEN {TYPE} IN ('Tax', 'Credit', 'Refund') THEN {TYPE}
            WHEN {TYPE} LIKE '%Discount' THEN 'Adjustment'
            ELSE COALESCE({text_sql(TYPE)}, '(no type)') END""",
        "scheduled": " OR ".join(scheduled),
        "currency": currency_sql("line_item_currency_code"),
    }
    if name:
        select["service_name"] = f"CASE {name} END"
    if split := _split(columns):
        select["split"] = split
    return select


def _split(columns: Columns) -> str:
    """The condition that a line is of split cost allocation; empty where no column tells.

    Such a line repeats an instance's cost for each pod or task on it: the instance's own line is the money. Its parent
    or its operation tells it; where neither was selected, any other column of such lines, or the usage type.
    """
    told = [f"{PARENT} <> ''"] if PARENT in columns else []
    told += [f"{OPERATION} IN ('EKSPod-EC2', 'ECSTask-EC2')"] if OPERATION in columns else []
    if PARENT not in columns:
        # Amounts are written as 0 on other lines by some tools.
        others = [name for name in columns if name.startswith("split_line_item_")]
        told += [f"({name} <> '' AND COALESCE(TRY_CAST({name} AS DOUBLE), 1) <> 0)" for name in others]
    if not told and "line_item_usage_type" in columns:
        told = ["(line_item_usage_type LIKE '%EKS-EC2-%' OR line_item_usage_type LIKE '%ECS-EC2-%')"]
    return " OR ".join(told)


def _untold_split(columns: Columns) -> tuple[CostRule, ...]:
    """Lines of pods and tasks of which no column tells whether they repeat an instance's cost, or are of Fargate."""
    if _split(columns) or "line_item_resource_id" not in columns:
        return ()
    condition = (
        "line_item_product_code IN ('AmazonEKS', 'AmazonECS') AND "
        "(line_item_resource_id LIKE '%:pod/%' OR line_item_resource_id LIKE '%:task/%')"
    )
    return (CostRule("pod or task", condition, NO_MONEY, (OPERATION,)),)


def _metered(columns: Columns) -> str:  # noqa: ARG001
    """Usage, but for support, which is charged by the month in any report."""
    types = ", ".join(map(quoted, USAGE))
    return f"{TYPE} IN ({types}) AND COALESCE(line_item_product_code, '') NOT LIKE '%Support%'"


def _service_name(columns: Columns) -> str:
    """The cases of a line that names its service itself; none where the bill has no such column."""
    product = columns.get("product", "").upper()
    names = ["product_product_name"] if "product_product_name" in columns else []
    if product.startswith("MAP"):
        names.insert(0, "element_at(product, 'product_name')")
    elif product in ("VARCHAR", "STRING"):  # CUR 2.0 as CSV: the map is JSON text
        names.insert(0, "json_extract_scalar(product, '$.product_name')")
    cases = [f"WHEN {name} <> '' THEN {name}" for name in names]
    if {"product_servicename", "product_servicecode"} <= set(columns):
        # Data transfer has AWSDataTransfer here, and the code of the service whose data it is as its product's.
        cases.append(f"WHEN product_servicename <> '' AND product_servicecode = {CODE} THEN product_servicename")
    return " ".join(cases)


def _usage(columns: Columns, cost_basis: str) -> Usage | None:
    if not {"line_item_usage_type", "line_item_usage_amount"} <= set(columns):
        return None
    # What takes a Savings Plan's use off the bill again repeats its amount, which is used once. Where commitments are
    # amortized, the cost of a plan's recurring fee is what nobody used of it.
    amortized = cost_basis in ("effective", "net_amortized")
    return Usage(
        sku=tuple(c for c in ("line_item_usage_type", "line_item_operation") if c in columns),
        quantity=f"CASE WHEN {TYPE} IN ('Usage', 'DiscountedUsage', 'SavingsPlanCoveredUsage') "
        "THEN line_item_usage_amount END",
        is_usage=f"{TYPE} IN ('Usage', 'DiscountedUsage', 'SavingsPlanCoveredUsage', 'SavingsPlanNegation') "
        f"OR {TYPE} LIKE '%Discount'",
        committed=f"{TYPE} IN ('DiscountedUsage', 'SavingsPlanCoveredUsage', 'SavingsPlanNegation')",
        unused=f"{TYPE} = 'SavingsPlanRecurringFee'" if amortized else "FALSE",
        usage_type=first_sql(columns, ("line_item_usage_type",), ""),
        region=first_sql(columns, ("product_region_code", "product_region"), ""),
        resource="line_item_resource_id" if "line_item_resource_id" in columns else "",
    )


def _commitments_of_lines(columns: Columns) -> Commitments:
    """By the line-item type: the amortized cost of a commitment's own recurring fee is what nobody used of it.

    Source: AWS's table dictionaries of both reports. A reservation's end stands on its fee, a plan's on each line.
    """
    of_plan = f"{TYPE} IN ('SavingsPlanCoveredUsage', 'SavingsPlanRecurringFee')"

    def either(plan: str, reservation: str) -> str:
        return f"CASE WHEN {of_plan} THEN {plan} ELSE {reservation} END"

    return Commitments(
        covered=f"{TYPE} IN ('DiscountedUsage', 'SavingsPlanCoveredUsage')",
        unused=f"{TYPE} IN ('RIFee', 'SavingsPlanRecurringFee')",
        id=either(*(name if name in columns else NO_TEXT for name in (PLAN_ARN, ARN))),
        kind=either(quoted(SAVINGS_PLAN), quoted(RESERVATION)),
        ends=either(day_sql(columns, "savings_plan_end_time"), day_sql(columns, "reservation_end_time")),
        ondemand=quantity_as_money_sql(columns, ON_DEMAND),
    )


def has_line_items(names: Collection[str]) -> bool:
    """Whether a bill with these columns is a Cost and Usage Report, of either version."""
    return any(name.startswith("line_item_") for name in names)


LABELS = {
    "tag": LabelColumns(("resource_tags", "tags"), "resource_tags_", {"tags": "resourceTags/"}, ("tags",)),
    "cost_category": LabelColumns(("cost_category",), "cost_category_"),
}
"""A column for each name in a legacy CUR, or where a CUR 2.0 query selects keys by themselves; else a map.

Source: AWS's table dictionaries of the resource tags, tags and cost category columns of both reports.
"""

CUR = BillFormat(
    name="cur",
    title="legacy CUR",
    recognises=has_line_items,
    required=("line_item_usage_start_date", TYPE, "line_item_product_code", "line_item_currency_code"),
    one_of=(ACCOUNTS,),
    start="line_item_usage_start_date",
    end="line_item_usage_end_date",
    metered=_metered,
    currency="line_item_currency_code",
    include_columns=dict.fromkeys(INCLUDE_SETTINGS, TYPE),
    period="bill_billing_period_start_date",
    timestamps=("line_item_usage_start_date", "line_item_usage_end_date"),
    costs=COSTS,
    accounts=ACCOUNTS,
    bases=cost_bases_of(selected=False),
    select=_select,
    quantities=("line_item_usage_amount", ON_DEMAND),
    line_type=TYPE,
    service_code=CODE,
    payer="bill_payer_account_id",
    usage=_usage,
    commitments=_commitments_of_lines,
    labels=LABELS,
)
