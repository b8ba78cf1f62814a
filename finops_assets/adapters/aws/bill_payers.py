"""Whether exports that a table has a billing period of in common are of different payers, asked of Athena."""

from __future__ import annotations

from finops_assets.adapters.aws.athena import Athena
from finops_assets.adapters.aws.bill_sources import BillSource
from finops_assets.adapters.aws.bill_view import quoted_name
from finops_assets.adapters.aws.pinned_files import PATH, path_condition
from finops_assets.core.bill.shared_periods import payer_column, refuse_shared_periods


def refuse_shared(name: str, source: BillSource, athena: Athena) -> None:
    """Refuse exports that have a billing period in common, unless each is of another payer; it costs a small query.

    Args:
        name: bill.table.
        source: its tables and their files.
        athena: runs the query.

    Raises:
        BillError: charges of a period would count twice, or it is not known.
    """
    for table_name in sorted(source.bills):
        table, files = source.tables[table_name]
        shared = files.choice.shared
        if not shared:
            continue
        where = f"{table_name} (bill.table = {name})"
        columns = (column["Name"].lower() for column in table.description["StorageDescriptor"]["Columns"])
        payer = payer_column(columns)
        if not payer:
            refuse_shared_periods(where, "bill.table", shared)
        of = {files.address[one.path]: (one.period, one.export) for one in files.choice.files}
        asked = [address for address, (period, _) in of.items() if period in shared]
        conditions = [path_condition(of, asked, where), files.condition]
        condition = " AND ".join(filter(None, conditions)) or "1 = 1"
        rows = athena.rows(
            f"SELECT DISTINCT {PATH}, TRIM(CAST({payer} AS VARCHAR)) AS payer "
            f"FROM {quoted_name(table_name)} WHERE {condition}",
            "which payers the exports are of",
        )[1]
        refuse_shared_periods(
            where, "bill.table", shared, [(*of[path], payer or "") for path, payer in rows if path in of]
        )
