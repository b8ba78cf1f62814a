"""FOCUS 1.0 to 1.2 (https://focus.finops.org/focus-specification), with the columns that AWS adds."""

from __future__ import annotations

from finops_assets.core.accounts.account_ids import account_id_sql
from finops_assets.core.bill.bill_format import (
    NO_ACCOUNT,
    NO_SERVICE,
    BillFormat,
    Columns,
    CostBasis,
    Usage,
    first_sql,
    longer_than_a_day,
    quoted,
    text_sql,
)

QUANTITIES = ("pricingquantity", "consumedquantity")
ACCOUNTS = ("subaccountid", "billingaccountid")
PROVIDERS = ("providername", "serviceprovidername", "invoiceissuername", "invoiceissuer", "publishername")
"""Columns that name the provider, the best of them first."""


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
        "linkedaccount": account_id_sql([c for c in ACCOUNTS if c in columns], _is_aws(columns), quoted(NO_ACCOUNT)),
        "account_name": first_sql(columns, ("subaccountname",), ""),
        "service": first_sql(columns, ("servicename",), NO_SERVICE),
        "charge_category": category,
        "scheduled": " OR ".join(scheduled) or "FALSE",
        "currency": text_sql("billingcurrency"),
    }


def _is_aws(columns: Columns) -> str:
    """Whether a charge is one of AWS: NULL where no provider is named."""
    provider = next((c for c in PROVIDERS if c in columns), "")
    if not provider:
        return "CAST(NULL AS BOOLEAN)"
    return f"CASE WHEN {provider} <> '' THEN {provider} LIKE '%AWS%' OR {provider} LIKE '%Amazon%' END"


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
    one_of=(ACCOUNTS,),
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
    accounts=ACCOUNTS,
    bases={"billed": CostBasis("billedcost"), "effective": CostBasis("effectivecost")},
    select=_select,
    quantities=QUANTITIES,
    usage=_usage,
)
