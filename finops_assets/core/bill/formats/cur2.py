"""CUR 2.0, a standard data export: the columns of the legacy report, and some of its own.

Columns: https://docs.aws.amazon.com/cur/latest/userguide/table-dictionary-cur2.html
"""

from __future__ import annotations

from dataclasses import replace

from finops_assets.core.bill.formats.cur import CUR, cost_bases_of, has_line_items

CUR2_ONLY = frozenset(
    ("bill_payer_account_name", "line_item_usage_account_name", "product", "resource_tags", "cost_category")
)

CUR2 = replace(
    CUR,
    name="cur2",
    title="CUR 2.0",
    bases=cost_bases_of(selected=True),
    recognises=lambda names: has_line_items(names) and not CUR2_ONLY.isdisjoint(names),
)
