"""The sums that Athena has made of the bill, fetched as Parquet files, as a table of the embedded engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from finops_assets.adapters.shared.duck import ConfigValue, connect, file_literal
from finops_assets.core.bill.dimensions import dimension_columns
from finops_assets.core.bill.queries import by_dimension_sql
from finops_assets.core.schemas import MONEY_SQL

if TYPE_CHECKING:
    import duckdb

SUMS = "sums"


def connect_to_sums(
    config: Mapping[str, ConfigValue], files: Sequence[Path], dimensions: Sequence[str]
) -> duckdb.DuckDBPyConnection:
    """A connection in which SUMS has the rows of `one_pass_sql`: none where there is no file.

    Args:
        config: of DuckDB.
        files: that were fetched.
        dimensions: the keys that the lines were summed by.
    """
    con = connect(config)
    if files:
        con.execute(f"CREATE VIEW {SUMS} AS SELECT * FROM read_parquet([{', '.join(map(file_literal, files))}])")
        return con
    labels = "".join(f"{name} VARCHAR, " for name in dimension_columns(len(dimensions)))
    con.execute(
        f"CREATE TABLE {SUMS} (charge_date DATE, currency VARCHAR, charge_category VARCHAR, scheduled BOOLEAN, "
        "left_out VARCHAR, provider VARCHAR, ou VARCHAR, service VARCHAR, linkedaccount VARCHAR, "
        f"commitment VARCHAR, {labels}of_dimension BIGINT, of_source BIGINT, lines BIGINT, without_cost BIGINT, "
        f"total {MONEY_SQL}, effective {MONEY_SQL}, amounts BIGINT, usage BIGINT, month_long BIGINT, lacks VARCHAR)"
    )
    return con


def counted_sums_sql(dimensions: Sequence[str]) -> str:
    """The sums of lines that count, as `breakdown_sql` takes charges."""
    sums = f"SELECT *, total AS cost FROM {SUMS} WHERE of_source = 0"
    return by_dimension_sql(sums, dimensions) if dimensions else sums
