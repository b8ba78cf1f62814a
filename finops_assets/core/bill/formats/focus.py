"""FOCUS 1.0 to 1.2 (https://focus.finops.org/focus-specification), with the columns that AWS adds."""

from __future__ import annotations

from finops_assets.core.bill import providers
from finops_assets.core.bill.bill_format import (
    NO_ACCOUNT,
    NO_SERVICE,
    BillFormat,
    Columns,
    CostBasis,
    Usage,
    first_sql,
    longer_than_a_day,
    text_sql,
)

QUANTITIES = ("pricingquantity", "consumedquantity")


def _select(columns: Columns) -> dict[str, str]:
    category = text_sql("chargecategory") if "chargecategory" in columns else "CAST(NULL AS VARCHAR)"
    if "chargeclass" in columns:
        # FOCUS has no category "Refund": a refund is a correction that gives money back.
        cost = next(c for c in ("billedcost", "effectivecost") if c in columns)
        category = f"CASE WHEN chargeclass = 'Correction' AND {cost} < 0 THEN 'Refund' ELSE {category} END"
    scheduled = longer_than_a_day(columns, "chargeperiodstart", "chargeperiodend")
    if "chargecategory" in columns:
        scheduled.append("chargecategory IN ('Tax', 'Credit', 'Purchase')")
    if "chargeclass" in columns:
        scheduled.append("chargeclass = 'Correction'")
    if "chargefrequency" in columns:
        scheduled.append("chargefrequency IN ('Recurring', 'One-Time')")
    return {
        "linkedaccount": first_sql(columns, ("subaccountid", "billingaccountid"), NO_ACCOUNT),
        "account_name": first_sql(columns, ("subaccountname",), ""),
        "service": first_sql(columns, ("servicename",), NO_SERVICE),
        "charge_category": category,
        "scheduled": " OR ".join(scheduled) or "FALSE",
        "currency": text_sql("billingcurrency"),
    }


def _usage(columns: Columns, cost_basis: str) -> Usage | None:  # noqa: ARG001
    quantity = next((c for c in QUANTITIES if c in columns), "")
    skus = tuple(c for c in ("skuid", "skumeter", "x_usagetype") if c in columns)
    if not quantity or not skus:  # a mean over all that a service sells is no price
        return None
    unit = {"pricingquantity": "pricingunit", "consumedquantity": "consumedunit"}[quantity]
    committed = []
    if "commitmentdiscountid" in columns:
        committed.append("commitmentdiscountid <> ''")
    if "pricingcategory" in columns:
        committed.append("pricingcategory = 'Committed'")
    # A month's unused part is booked on one day, as its purchase is: a scheduled charge, whatever it is called.
    month_long = longer_than_a_day(columns, "chargeperiodstart", "chargeperiodend")
    unused = "FALSE"
    if "commitmentdiscountstatus" in columns:
        unused = " AND ".join(["commitmentdiscountstatus = 'Unused'", *(f"NOT ({longer})" for longer in month_long)])
    return Usage(
        sku=(*skus, *(c for c in ("x_operation", "regionid", unit) if c in columns)),
        quantity=quantity,
        is_usage="chargecategory = 'Usage'" if "chargecategory" in columns else "TRUE",
        committed=" OR ".join(committed) or "FALSE",
        unused=unused,
    )


FOCUS = BillFormat(
    name="focus",
    title="FOCUS",
    recognises=lambda names: "chargeperiodstart" in names or "billingcurrency" in names,
    required=("chargeperiodstart", "servicename", "billingcurrency"),
    one_of=(("subaccountid", "billingaccountid"),),
    start="chargeperiodstart",
    currency="billingcurrency",
    include_columns={
        "include_tax": "chargecategory",
        "include_credits": "chargecategory",
        "include_refunds": "chargeclass",
    },
    period="billingperiodstart",
    timestamps=("chargeperiodstart", "chargeperiodend"),
    costs=("billedcost", "effectivecost"),
    accounts=("subaccountid", "billingaccountid"),
    bases={"billed": CostBasis("billedcost"), "effective": CostBasis("effectivecost")},
    select=_select,
    quantities=QUANTITIES,
    payer="billingaccountid",
    providers=providers.COLUMNS,
    usage=_usage,
)
