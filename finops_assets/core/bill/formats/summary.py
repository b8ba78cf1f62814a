"""A daily summary table that somebody else keeps: BillingDate, OU, Service, LinkedAccount, Cost."""

from __future__ import annotations

from finops_assets.core.accounts.account_ids import account_id_sql
from finops_assets.core.accounts.ous import ALL, not_ours
from finops_assets.core.bill.bill_format import (
    NO_ACCOUNT,
    NO_SERVICE,
    BillFormat,
    Columns,
    CostBasis,
    first_sql,
    quoted,
)
from finops_assets.core.schemas import UNASSIGNED

COLUMNS = frozenset(("billingdate", "ou", "service", "linkedaccount", "cost"))


def _select(columns: Columns) -> dict[str, str]:
    return {
        "linkedaccount": account_id_sql(("linkedaccount",), "CAST(NULL AS BOOLEAN)", quoted(NO_ACCOUNT)),
        "account_name": "''",
        "service": first_sql(columns, ("service",), NO_SERVICE),
        "charge_category": "CAST(NULL AS VARCHAR)",
        "scheduled": "FALSE",
        "currency": "CAST(NULL AS VARCHAR)",
        "ou": f"CASE WHEN ou = '{ALL}' OR ou LIKE '{ALL}/%' THEN CONCAT('{not_ours(ALL)}', SUBSTR(ou, {len(ALL) + 1})) "
        f"ELSE {first_sql(columns, ('ou',), UNASSIGNED)} END",
    }


SUMMARY = BillFormat(
    name="summary",
    title="daily summary table",
    recognises=lambda names: len(COLUMNS.difference(names)) <= 1,
    required=("billingdate", "ou", "service", "linkedaccount"),
    start="billingdate",
    timestamps=("billingdate",),
    # The table does not say what its Cost is: the setting names it, and whoever made the table vouches for it.
    costs=("cost",),
    accounts=("linkedaccount",),
    bases=dict.fromkeys(("billed", "effective", "unblended", "net_unblended", "net_amortized"), CostBasis("cost")),
    select=_select,
)
