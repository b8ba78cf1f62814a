"""The legacy Cost and Usage Report (https://docs.aws.amazon.com/cur/latest/userguide/data-dictionary.html).

Amortized cost follows AWS's CUR query library by line-item type.
"""

from __future__ import annotations

from collections.abc import Collection

from finops_assets.core.bill.bill_format import (
    INCLUDE_SETTINGS,
    NO_ACCOUNT,
    NO_SERVICE,
    BillFormat,
    Columns,
    CostBasis,
    Usage,
    first_sql,
    longer_than_a_day,
    money_sql,
    quoted,
    text_sql,
)
from finops_assets.core.schemas import MONEY_SQL

TYPE = "line_item_line_item_type"
PURCHASES = ("Fee", "RIFee", "SavingsPlanUpfrontFee", "SavingsPlanRecurringFee")


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


def _amortized(columns: Columns, net: str) -> str:
    """The cost of commitments on the day they are used, by line-item type (AWS's CUR query library).

    `net` is '' or 'net_': the reservation_net_* and savings_plan_net_* columns, after private discounts. The unused
    part of a Savings Plan has no net column of its own: it is scaled as the plan's fee is. A legacy CUR has only the
    columns that the month needed: a line whose column is absent gets no cost, and a line without a cost is an error.
    """

    def cost(column: str) -> str:
        return money_sql(column) if column in columns else f"CAST(NULL AS {MONEY_SQL})"

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
        reservation_fee = f"WHEN {TYPE} = 'Fee' AND COALESCE(reservation_reservation_a_r_n, '') <> '' THEN {zero}"
    return f"""CASE
        WHEN {TYPE} = 'SavingsPlanCoveredUsage' THEN {cost(*column_of["SavingsPlanCoveredUsage"])}
        WHEN {TYPE} = 'SavingsPlanRecurringFee' THEN {unused}
        WHEN {TYPE} IN ('SavingsPlanNegation', 'SavingsPlanUpfrontFee') THEN {zero}
        WHEN {TYPE} = 'DiscountedUsage' THEN {cost(*column_of["DiscountedUsage"])}
        WHEN {TYPE} = 'RIFee' THEN {" + ".join(map(cost, column_of["RIFee"]))}
        {reservation_fee}
        WHEN {TYPE} = 'Refund' AND line_item_product_code = 'ComputeSavingsPlans' THEN {zero}
        ELSE {cost(f"line_item_{net}unblended_cost")} END"""


UNBLENDED = CostBasis("line_item_unblended_cost")

BASES = {
    # What AWS invoices: the negation lines take back what a Savings Plan covers, discounts are lines of their own.
    "billed": UNBLENDED,
    "unblended": UNBLENDED,
    "net_unblended": CostBasis("line_item_net_unblended_cost"),
    "effective": CostBasis("line_item_unblended_cost", lambda columns: _amortized(columns, ""), _commitments("")),
    "net_amortized": CostBasis(
        "line_item_net_unblended_cost", lambda columns: _amortized(columns, "net_"), _commitments("net_")
    ),
}

COSTS = (
    "line_item_unblended_cost",
    "line_item_net_unblended_cost",
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
    services = ["product_product_name", "product_servicename", "product_servicecode", "line_item_product_code"]
    product = columns.get("product", "").upper()
    if product.startswith("MAP"):
        columns = {**columns, "element_at(product, 'product_name')": "VARCHAR"}
        services.insert(0, "element_at(product, 'product_name')")
    elif product in ("VARCHAR", "STRING"):  # CUR 2.0 as CSV: the map is JSON text
        columns = {**columns, "json_extract_scalar(product, '$.product_name')": "VARCHAR"}
        services.insert(0, "json_extract_scalar(product, '$.product_name')")
    purchases = ", ".join(quoted(p) for p in PURCHASES)
    scheduled = [
        f"{TYPE} IN ('Tax', 'Credit', 'Refund', {purchases})",
        *longer_than_a_day(columns, "line_item_usage_start_date", "line_item_usage_end_date"),
    ]
    select = {
        "linkedaccount": first_sql(columns, ("line_item_usage_account_id", "bill_payer_account_id"), NO_ACCOUNT),
        "account_name": first_sql(columns, ("line_item_usage_account_name",), ""),
        "service": first_sql(columns, services, NO_SERVICE),
        "charge_category": f"""CASE
            WHEN {TYPE} IN ('Usage', 'DiscountedUsage', 'SavingsPlanCoveredUsage', 'SavingsPlanNegation') THEN 'Usage'
            WHEN {TYPE} IN ({purchases}) THEN 'Purchase'
            WHEN {TYPE} IN ('Tax', 'Credit', 'Refund') THEN {TYPE}
            WHEN {TYPE} LIKE '%Discount' THEN 'Adjustment'
            ELSE COALESCE({text_sql(TYPE)}, '(no type)') END""",
        "scheduled": " OR ".join(scheduled),
        "currency": text_sql("line_item_currency_code"),
    }
    # Split cost allocation repeats an instance's cost for each pod or task on it: the instance's own line is the money.
    split = [f"{text_sql(c)} IS NOT NULL" for c in ("split_line_item_parent_resource_id",) if c in columns]
    if "line_item_operation" in columns:
        split.append("line_item_operation IN ('EKSPod-EC2', 'ECSTask-EC2')")
    if split:
        select["split"] = " OR ".join(split)
    return select


def _usage(columns: Columns, cost_basis: str) -> Usage | None:
    if not {"line_item_usage_type", "line_item_usage_amount"} <= set(columns):
        return None
    # What takes a Savings Plan's use off the bill again repeats its amount, which is used once. Where commitments are
    # amortized, the cost of a plan's recurring fee is what nobody used of it.
    amortized = BASES[cost_basis].amortization is not None
    return Usage(
        sku=tuple(c for c in ("line_item_usage_type", "line_item_operation") if c in columns),
        quantity=f"CASE WHEN {TYPE} IN ('Usage', 'DiscountedUsage', 'SavingsPlanCoveredUsage') "
        "THEN line_item_usage_amount END",
        is_usage=f"{TYPE} IN ('Usage', 'DiscountedUsage', 'SavingsPlanCoveredUsage', 'SavingsPlanNegation') "
        f"OR {TYPE} LIKE '%Discount'",
        committed=f"{TYPE} IN ('DiscountedUsage', 'SavingsPlanCoveredUsage', 'SavingsPlanNegation')",
        unused=f"{TYPE} = 'SavingsPlanRecurringFee'" if amortized else "FALSE",
    )


def has_line_items(names: Collection[str]) -> bool:
    """Whether a bill with these columns is a Cost and Usage Report, of either version."""
    return any(name.startswith("line_item_") for name in names)


CUR = BillFormat(
    name="cur",
    title="legacy CUR",
    recognises=has_line_items,
    required=("line_item_usage_start_date", TYPE, "line_item_product_code", "line_item_currency_code"),
    one_of=(("line_item_usage_account_id", "bill_payer_account_id"),),
    start="line_item_usage_start_date",
    currency="line_item_currency_code",
    include_columns=dict.fromkeys(INCLUDE_SETTINGS, TYPE),
    period="bill_billing_period_start_date",
    timestamps=("line_item_usage_start_date", "line_item_usage_end_date"),
    costs=COSTS,
    accounts=("line_item_usage_account_id", "bill_payer_account_id"),
    bases=BASES,
    select=_select,
    quantities=("line_item_usage_amount",),
    line_type=TYPE,
    payer="bill_payer_account_id",
    usage=_usage,
)
