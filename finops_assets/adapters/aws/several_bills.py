"""Several bills on AWS: a table of Athena for each, in one query each, and one view over all of them."""

from __future__ import annotations

from finops_assets.adapters.aws.warehouse import AthenaWarehouse
from finops_assets.adapters.shared.several_bills import SeveralBills


class SeveralTables(SeveralBills[AthenaWarehouse]):
    """Bills in tables."""

    def provide_summary(self) -> str:
        first, *others = self.bills.values()
        return first.provide_summary(others)
