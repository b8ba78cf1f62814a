"""What the money of a charge is: a column of `ou_charges` by its category, its amortized cost, and its commitment.

A charge has three further columns for it: charge_category and scheduled, which every bill's charges have, and

    effective    the cost on the amortized basis of the same discounts; NULL where the bill has none
    commitment   'covered' by a commitment, 'unused' part of one, 'none'; NULL where the bill does not tell

and of the commitment itself commitment_id, commitment_kind, commitment_end and ondemand (`core.bill.commitments`).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType

from finops_assets.core.bill.bill_format import NO_MONEY, NO_TEXT, BillFormat, Columns, quoted
from finops_assets.core.bill.commitments import COVERED, UNCOMMITTED, UNUSED, commitment_expressions
from finops_assets.core.bill.rules import Rules
from finops_assets.core.schemas import CATEGORY_COLUMNS, CHARGES_OF_ROW, MONEY_SQL

COLUMN_OF = MappingProxyType(
    {
        "Usage": "usagecost",
        "Purchase": "purchasecost",
        "Tax": "taxcost",
        "Credit": "creditcost",
        "Refund": "refundcost",
    }
)
"""Charge category -> its column. Every other one, such as a discount or a correction, is an adjustment."""

NO_CATEGORY = "Cost"
"""The category of lines of a bill that has none (`core.bill.source_days`): their cost counts as usage."""

AMORTIZED = MappingProxyType(
    {
        "billed": "effective",
        "unblended": "effective",
        "effective": "effective",
        "net_unblended": "net_amortized",
        "net_amortized": "net_amortized",
    }
)
"""Cost basis -> the amortized one with the same discounts."""


def column_of(category: str) -> str:
    """The column of `ou_charges` that money of a charge category stands in."""
    return "usagecost" if category == NO_CATEGORY else COLUMN_OF.get(category, "adjustmentcost")


def by_column(by_category: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """What the bill says of each category, as the columns of `ou_charges`."""
    sums = dict.fromkeys(CATEGORY_COLUMNS, Decimal())
    for category, total in by_category.items():
        sums[column_of(category)] += total
    return sums


def kind_expressions(fmt: BillFormat, columns: Columns, rules: Rules) -> dict[str, str]:
    """The columns of a charge that this module tells of, as SQL over the bill's columns."""
    amortized = AMORTIZED[rules.cost_basis]
    basis = fmt.bases.get(amortized)
    # A format that knows no commitments does not say what its cost is: the setting does.
    told = basis is not None and (fmt.commitments is not None or amortized == rules.cost_basis)
    commitments = fmt.commitments(columns) if fmt.commitments else None
    return {
        "effective": basis.sql(columns) if basis and told and basis.is_in(columns) else NO_MONEY,
        "commitment": NO_TEXT
        if commitments is None
        else f"CASE WHEN {commitments.covered} THEN {quoted(COVERED)} WHEN {commitments.unused} THEN {quoted(UNUSED)} "
        f"ELSE {quoted(UNCOMMITTED)} END",
        **commitment_expressions(commitments),
    }


KIND_KEYS = ("charge_category", "scheduled", "commitment")
"""The columns of a charge by which sums are kept apart, so that what the money is can be told of them."""

EFFECTIVE_SUM = "CASE WHEN COUNT(*) = COUNT(effective) THEN SUM(effective) END"
"""The amortized cost of several charges; NULL where that of one is not known: a part of it would be a wrong number."""


def kind_sums() -> dict[str, str]:
    """The columns of CHARGES_OF_ROW as sums over cost, effective and KIND_KEYS."""
    zero = f"CAST(0 AS {MONEY_SQL})"

    def total(value: str, condition: str) -> str:
        return f"SUM(CASE WHEN {condition} THEN {value} ELSE {zero} END)"

    column = "CASE " + " ".join(f"WHEN charge_category = {quoted(c)} THEN {quoted(n)}" for c, n in COLUMN_OF.items())
    column += " WHEN charge_category IS NULL THEN 'usagecost' ELSE 'adjustmentcost' END"
    sums = {name: total("cost", f"({column}) = {quoted(name)}") for name in CATEGORY_COLUMNS}
    known = "COUNT(*) = COUNT(effective) AND COUNT(*) = COUNT(commitment)"
    sums |= {
        "effectivecost": EFFECTIVE_SUM,
        "committedcost": f"CASE WHEN {known} THEN {total('effective', f'commitment = {quoted(COVERED)}')} END",
        "unusedcommitment": f"CASE WHEN {known} THEN {total('effective', f'commitment = {quoted(UNUSED)}')} END",
        "scheduledcost": total("cost", "scheduled"),
    }
    return {name: sums[name] for name in CHARGES_OF_ROW}
