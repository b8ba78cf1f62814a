"""Attributes of accounts as dimensions: what each row of a day costs, by what the account map says of its account."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from finops_assets.core.bill.dimension_keys import ACCOUNT, shown_value
from finops_assets.core.schemas import ACCOUNT_OU_MAP, DIMENSION_BREAKDOWN, KEY_COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa


def attribute_keys(accounts: pa.Table) -> tuple[str, ...]:
    """The dimensions that an account map has: its columns after those of ACCOUNT_OU_MAP."""
    return tuple(f"{ACCOUNT}:{name}" for name in sorted(accounts.column_names[len(ACCOUNT_OU_MAP) :]))


def account_dimensions(day: date, rows: pa.Table, accounts: pa.Table, others: pa.Table | None) -> pa.Table | None:
    """The day's rows once for each attribute, before those of other dimensions; None where there is neither.

    Args:
        day: the day, on which the map is looked up.
        rows: of the breakdown, with the exact `cost`.
        accounts: the account map; its columns after those of ACCOUNT_OU_MAP are the attributes.
        others: rows of DIMENSION_BREAKDOWN's columns.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    attributes = accounts.column_names[len(ACCOUNT_OU_MAP) :]
    if not attributes:
        return others
    from_, to = accounts.column("valid_from"), accounts.column("valid_to")
    valid = accounts.filter(pc.and_(pc.less_equal(from_, day), pc.greater(to, day)))
    of_account = {account: n for n, account in enumerate(valid.column("account_id").to_pylist())}
    encoded = rows.column("linkedaccount").combine_chunks().dictionary_encode()
    at = [of_account.get(account) for account in encoded.dictionary.to_pylist()]
    tables = []
    for name in sorted(attributes):
        values = valid.column(name).to_pylist()
        shown = pa.array([shown_value(None if n is None else values[n]) for n in at], pa.string())
        columns = {
            "billingdate": rows.column("billingdate"),
            "dimension": pa.array([f"{ACCOUNT}:{name}"] * rows.num_rows, pa.string()),
            "value": shown.take(encoded.indices),
            **{each: rows.column(each) for each in (*KEY_COLUMNS, "cost")},
        }
        tables.append(pa.table(columns).cast(DIMENSION_BREAKDOWN))
    return pa.concat_tables([*tables, *([] if others is None else [others.cast(DIMENSION_BREAKDOWN)])])
