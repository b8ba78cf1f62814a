"""The further columns of a charge that a day's rows are made of: what its money is, and what it has of each dimension.

`core.bill.charge_kinds` and `core.bill.dimensions` say what stands in them.
"""

from __future__ import annotations

from finops_assets.core.bill.bill_format import BillFormat, Columns
from finops_assets.core.bill.charge_kinds import kind_expressions
from finops_assets.core.bill.charges import named_in
from finops_assets.core.bill.dimensions import label_expressions
from finops_assets.core.bill.rules import Rules


def further_expressions(fmt: BillFormat, columns: Columns, rules: Rules) -> dict[str, str]:
    """Each of them by its name, as SQL over the bill's columns."""
    return kind_expressions(fmt, columns, rules) | label_expressions(fmt, columns, rules)


def further_columns(fmt: BillFormat, columns: Columns, rules: Rules) -> tuple[str, ...]:
    """Those of the columns that `further_expressions` read; a bill can do without those beyond `used_columns`."""
    return named_in(" ".join(further_expressions(fmt, columns, rules).values()), columns)
