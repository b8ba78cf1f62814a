"""Several bills on the embedded platform: a DuckDB for each, and one view over all of them for queries."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from finops_assets.adapters.local.warehouse import DuckDBWarehouse
from finops_assets.adapters.shared.several_bills import SeveralBills

if TYPE_CHECKING:
    import duckdb


class SeveralFiles(SeveralBills[DuckDBWarehouse]):
    """Bills in files."""

    def provide_summary(self) -> str:
        return next(iter(self.bills.values())).provide_summary()

    def summary_view(self, con: duckdb.DuckDBPyConnection, name: str) -> Sequence[Path]:
        """Create the view finops_daily_summary over all bills; returns the files that it reads."""
        self.refuse_faulty()
        files: list[Path] = []
        views = [f"{name}_{place}" for place in range(len(self.bills))]
        for place, bill in enumerate(self.bills.values()):
            files += bill.summary_view(con, views[place], f"bill_{place}")
        con.execute(f"CREATE VIEW {name} AS {' UNION ALL '.join(f'SELECT * FROM {view}' for view in views)}")
        return files

    def close(self) -> None:
        """Let the engines go; what is asked next opens them again."""
        for bill in self.bills.values():
            bill.close()
