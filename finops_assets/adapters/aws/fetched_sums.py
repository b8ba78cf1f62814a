"""The sums that one pass over the bill has given, as files in a folder of their own, and what is read from them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from finops_assets.adapters.shared.duck import ConfigValue, athena_to_duckdb, connect, file_literal
from finops_assets.core.bill.commitments import commitments_sql
from finops_assets.core.bill.dimensions import dimension_columns
from finops_assets.core.bill.drivers_sql import SKU_SUM_KEYS
from finops_assets.core.bill.queries import OF_COMMITMENTS, OF_ROWS, OF_SKUS, SHOWN_COLUMNS, by_dimension_sql
from finops_assets.core.calendar import days_between
from finops_assets.core.schemas import MONEY_SQL

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

SUMS = "sums"
"""The view of their rows, those of `one_pass_sql`."""

BATCH_ROWS = 131_072

LEFT_BEHIND = 86_400.0
"""Seconds after which a folder of sums belongs to no live process."""

EMPTY = (
    "charge_date DATE, currency VARCHAR, charge_category VARCHAR, scheduled BOOLEAN, left_out VARCHAR, "
    "provider VARCHAR, ou VARCHAR, service VARCHAR, linkedaccount VARCHAR, commitment VARCHAR, {labels}is_of VARCHAR, "
    f"lines BIGINT, without_cost BIGINT, total {MONEY_SQL}, effective {MONEY_SQL}, amounts BIGINT, usage BIGINT, "
    "month_long BIGINT, lacks VARCHAR"
)


@dataclass(frozen=True)
class FetchedSums:
    """The sums of a range of days.

    Attributes:
        key: the bill's snapshot, the first and the last day.
        folder, files: where they are.
        fetched_at: on the clock of `time.monotonic`.
        dimensions: how many dimensions they are by.
        skus_since: the first day of which they have sums by SKU, too; None where they have none.
        sums_kept: whether those were kept in the archive.
    """

    key: tuple[str, date, date]
    folder: Path
    files: tuple[Path, ...]
    fetched_at: float
    dimensions: int
    skus_since: date | None
    sums_kept: bool = False

    def connect(self, config: Mapping[str, ConfigValue]) -> duckdb.DuckDBPyConnection:
        """A connection with the view SUMS."""
        con = connect(config)
        if self.files:
            files = ", ".join(map(file_literal, self.files))
            con.execute(f"CREATE VIEW {SUMS} AS SELECT * FROM read_parquet([{files}])")
        else:
            labels = "".join(f"{name} VARCHAR, " for name in dimension_columns(self.dimensions))
            con.execute(f"CREATE TABLE {SUMS} ({EMPTY.format(labels=f'{labels}of_dimension BIGINT, ')})")
        return con

    def sku_sums(self, skus: Sequence[str], config: Mapping[str, ConfigValue]) -> dict[date, pa.Table]:
        """The sums by SKU of each day that they have them of."""
        if self.skus_since is None:
            return {}
        days = days_between(self.skus_since, self.key[2])
        condition = f"is_of = '{OF_SKUS}' AND left_out IS NULL"
        return by_day(self.files, skus, days, config, cost="total", condition=condition)

    def commitments(self, config: Mapping[str, ConfigValue]) -> Iterator[pa.RecordBatch]:
        """The commitments of each day, of a bill that can name them."""
        if not self.files:
            return
        sums = f"SELECT * FROM {SUMS} WHERE is_of = '{OF_COMMITMENTS}'"
        with closing(self.connect(config)) as con:
            yield from con.sql(athena_to_duckdb(commitments_sql(sums))).to_arrow_reader(BATCH_ROWS)


def new_folder(parent: Path) -> Path:
    """A folder for sums. Folders that killed processes left behind a day ago are removed first."""
    parent.mkdir(parents=True, exist_ok=True)
    for old in parent.glob("sums-*"):
        if time.time() - old.stat().st_mtime > LEFT_BEHIND:
            shutil.rmtree(old, ignore_errors=True)
    return Path(mkdtemp(prefix="sums-", dir=parent))


def counted_sums_sql(dimensions: Sequence[str]) -> str:
    """The sums of lines that count, of the view SUMS, as `breakdown_sql` takes charges."""
    sums = f"SELECT *, total AS cost FROM {SUMS} WHERE is_of = '{OF_ROWS}'"
    return by_dimension_sql(sums, dimensions) if dimensions else sums


def by_day(
    files: Sequence[Path],
    skus: Sequence[str],
    days: Iterable[date],
    config: Mapping[str, ConfigValue],
    *,
    cost: str = "cost",
    condition: str = "TRUE",
) -> dict[date, pa.Table]:
    """Sums by SKU in files, as `core.bill.drivers_sql.effects_sql` reads them: one table a day, in one order.

    Args:
        files: where they are; none where there are no rows.
        skus: the columns that name what was used.
        days: of which there is a table each, with no rows where the files have none.
        config: of the engine.
        cost: the column of the cost.
        condition: what rows of the files are sums by SKU.
    """
    keys = ", ".join((*SKU_SUM_KEYS, *skus))
    typed = ", ".join(f"CAST({name} AS VARCHAR) AS {name}" for name in (*SKU_SUM_KEYS[1:5], *skus, *SHOWN_COLUMNS))
    with closing(connect(config)) as con:
        if files:
            rows = f"read_parquet([{', '.join(map(file_literal, files))}])"
        else:
            columns = ", ".join(f"NULL AS {name}" for name in (*SKU_SUM_KEYS, *skus, *SHOWN_COLUMNS, cost, "quantity"))
            rows, condition = f"(SELECT {columns})", "FALSE"
        sums = con.sql(
            f"SELECT CAST(charge_date AS DATE) AS charge_date, {typed}, CAST(committed AS BOOLEAN) AS committed, "
            f"CAST({cost} AS {MONEY_SQL}) AS cost, CAST(quantity AS DOUBLE) AS quantity FROM {rows} "
            f"WHERE {condition} ORDER BY {keys}"
        ).to_arrow_table()
    return {day: of_day(sums, day) for day in days}


def of_day(sums: pa.Table, day: date) -> pa.Table:
    """The rows of one day."""
    import pyarrow.compute as pc

    return sums.filter(pc.equal(sums.column("charge_date"), day))


def read_files(files: Sequence[Path]) -> pa.Table | None:
    """The rows of a few small files; None where there is none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pa.concat_tables([pq.read_table(path) for path in files], promote_options="permissive") if files else None
