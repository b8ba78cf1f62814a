"""FOCUS 1.0 to 1.2 (https://focus.finops.org/focus-specification), with the columns that AWS adds."""

from __future__ import annotations

from finops_assets.core.accounts.account_ids import account_id_sql
from finops_assets.core.bill import providers
from finops_assets.core.bill.bill_format import (
    COMMITMENT,
    INCLUDE_SETTINGS,
    NO_ACCOUNT,
    NO_DATE,
    NO_SERVICE,
    NO_TEXT,
    RESERVATION,
    SAVINGS_PLAN,
    BillFormat,
    Columns,
    Commitments,
    CostBasis,
    LabelColumns,
    Usage,
    currency_sql,
    first_sql,
    longer_than_a_day,
    quantity_as_money_sql,
    quoted,
    text_sql,
)

QUANTITIES = ("pricingquantity", "consumedquantity")
ACCOUNTS = ("subaccountid", "billingaccountid")
PROVIDERS = (*providers.COLUMNS, "invoiceissuer", "publishername")
"""Columns that name the provider of a line, the best of them first."""


CORRECTION = "chargeclass = 'Correction'"


def _category(columns: Columns) -> str:
    """The charge category as it is shown, and as bill.include_* leaves it out.

    Correction, credit and refund are three things (FOCUS_Spec, pull request 673; its glossary): a correction mends what
    was invoiced, mostly as a pair that takes the old charge back and books the new one, whose halves stay together. A
    refund returns what was charged: providers write it as a one-time Adjustment (FOCUS_Spec, pull request 402, and its
    supporting content: AWS's line-item type Refund, Microsoft's charge type Refund). Adjustments that are usage-based
    are no refunds. Corrections of taxes, credits and adjustments are of these categories: both halves are.
    """
    category = text_sql("chargecategory") if "chargecategory" in columns else NO_TEXT
    cases = []
    if "chargecategory" in columns:
        cases.append(f"WHEN {_refund(columns)} THEN 'Refund'")
    if "chargeclass" in columns:
        of_usage = "COALESCE(chargecategory, '') NOT IN ('Tax', 'Credit', 'Adjustment') AND "
        cases.append(f"WHEN {of_usage if 'chargecategory' in columns else ''}{CORRECTION} THEN 'Correction'")
    return f"CASE {' '.join(cases)} ELSE {category} END" if cases else category


def _refund(columns: Columns) -> str:
    one_time = " AND COALESCE(LOWER(chargefrequency), '') <> 'usage-based'" if "chargefrequency" in columns else ""
    return f"chargecategory = 'Adjustment'{one_time}"


def _select(columns: Columns) -> dict[str, str]:
    scheduled = longer_than_a_day(columns, "chargeperiodstart", "chargeperiodend")
    if "chargecategory" in columns:
        scheduled += ["chargecategory IN ('Tax', 'Credit', 'Purchase')", f"({_refund(columns)})"]
    if "chargeclass" in columns:
        scheduled.append(CORRECTION)
    if "chargefrequency" in columns:
        scheduled.append("chargefrequency IN ('Recurring', 'One-Time')")
    return {
        "linkedaccount": account_id_sql([c for c in ACCOUNTS if c in columns], _is_aws(columns), quoted(NO_ACCOUNT)),
        "account_name": first_sql(columns, ("subaccountname",), ""),
        "service": first_sql(columns, ("servicename",), NO_SERVICE),
        "charge_category": _category(columns),
        "scheduled": " OR ".join(scheduled) or "FALSE",
        "currency": currency_sql("billingcurrency"),
    }


def _metered(columns: Columns) -> str:
    """Usage, but for support, which is charged by the month, and corrections of earlier months."""
    metered = ["COALESCE(servicename, '') NOT LIKE '%Support%'"]
    metered += ["chargecategory = 'Usage'"] if "chargecategory" in columns else []
    metered += ["COALESCE(chargeclass, '') <> 'Correction'"] if "chargeclass" in columns else []
    return " AND ".join(metered)


def _is_aws(columns: Columns) -> str:
    """Whether a charge is one of AWS: NULL where no provider is named."""
    provider = next((c for c in PROVIDERS if c in columns), "")
    if not provider:
        return "CAST(NULL AS BOOLEAN)"
    return providers.is_aws_sql(provider)


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
        usage_type=first_sql(columns, ("x_usagetype", "skumeter", "skuid"), ""),
        region=first_sql(columns, ("regionid",), ""),
        resource="resourceid" if "resourceid" in columns else "",
    )


def _commitments(columns: Columns) -> Commitments | None:
    """By the id and the status of the commitment discount, which usage alone has a use of.

    FOCUS has no column of a commitment's end, and names its kind as the provider does (CommitmentDiscountType).
    """
    if not {"chargecategory", "commitmentdiscountid", "commitmentdiscountstatus"} <= set(columns):
        return None
    unused = "chargecategory = 'Usage' AND commitmentdiscountstatus = 'Unused'"
    used = "chargecategory = 'Usage' AND commitmentdiscountid <> '' AND COALESCE(commitmentdiscountstatus, '') <> "
    named = f"LOWER({'commitmentdiscounttype' if 'commitmentdiscounttype' in columns else 'commitmentdiscountid'})"
    return Commitments(
        covered=f"{used}'Unused'",
        unused=unused,
        id="commitmentdiscountid",
        kind=f"CASE WHEN {named} LIKE '%saving%' THEN {quoted(SAVINGS_PLAN)} "
        f"WHEN {named} LIKE '%reserv%' OR {named} LIKE '%:ri:%' THEN {quoted(RESERVATION)} "
        f"ELSE {quoted(COMMITMENT)} END",
        ends=NO_DATE,
        ondemand=quantity_as_money_sql(columns, "listcost"),
    )


FOCUS = BillFormat(
    name="focus",
    title="FOCUS",
    recognises=lambda names: "chargeperiodstart" in names or "billingcurrency" in names,
    required=("chargeperiodstart", "servicename", "billingcurrency"),
    one_of=(ACCOUNTS,),
    start="chargeperiodstart",
    end="chargeperiodend",
    metered=_metered,
    currency="billingcurrency",
    include_columns=dict.fromkeys(INCLUDE_SETTINGS, "chargecategory"),
    period="billingperiodstart",
    timestamps=("chargeperiodstart", "chargeperiodend"),
    costs=("billedcost", "effectivecost"),
    accounts=ACCOUNTS,
    bases={"billed": CostBasis("billedcost"), "effective": CostBasis("effectivecost")},
    select=_select,
    quantities=(*QUANTITIES, "listcost"),
    payer="billingaccountid",
    providers=providers.COLUMNS,
    usage=_usage,
    commitments=_commitments,
    labels={"tag": LabelColumns(("tags",), bare=("tags",)), "cost_category": LabelColumns(("x_costcategories",))},
)
