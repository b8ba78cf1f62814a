"""The embedded catalog: the partitions of finops_db.ou_breakdown, registered in one SQLite file, queried by DuckDB.

As with Glue, an archived day that is not registered cannot be queried.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finops_assets.adapters.local.sandbox import is_of_the_query, query_error, sandbox, shut, streamed
from finops_assets.adapters.shared.duck import connect, file_literal
from finops_assets.adapters.shared.statements import refuse_all_but_select
from finops_assets.adapters.shared.translated_sql import by_translator
from finops_assets.core.archive.restatements import RESTATEMENTS, RESTATEMENTS_PREFIX
from finops_assets.core.errors import ArchiveError
from finops_assets.core.home import make_home
from finops_assets.core.schemas import (
    ACCOUNT_MAP_PATH,
    ACCOUNT_OU_MAP,
    CHARGES_OBJECT_NAME,
    CHARGES_PREFIX,
    COMMITMENTS,
    COMMITMENTS_OBJECT_NAME,
    COMMITMENTS_PREFIX,
    DATABASE,
    DAY_OBJECT_NAME,
    DIMENSION_BREAKDOWN,
    DIMENSION_SCORECARD,
    DIMENSIONS_OBJECT_NAME,
    DIMENSIONS_PREFIX,
    MONEY_SQL,
    MOVED_PARTS,
    MOVED_PARTS_OBJECT_NAME,
    MOVED_PARTS_PREFIX,
    OU_CHARGES,
    OU_SCORECARD,
    SCORECARD_OBJECT_NAME,
    SCORECARD_PREFIX,
    VALUE_SCORES_OBJECT_NAME,
    VALUE_SCORES_PREFIX,
    day_location,
)
from finops_assets.core.values import CatalogDay, PublishedDay, QueryResult

if TYPE_CHECKING:
    import duckdb

    from finops_assets.adapters.local.several_bills import SeveralFiles
    from finops_assets.adapters.local.warehouse import DuckDBWarehouse

TABLE = "ou_breakdown"


class SQLiteCatalog:
    """Partitions as rows: (table, year, month, day) -> location.

    Args:
        file: the SQLite file, made on the first write.
        archive_folder: the folder that locations are relative to.
        warehouse: makes finops_daily_summary, the bill with the account map, for queries.
    """

    def __init__(
        self, file: Path, archive_folder: Path, warehouse: DuckDBWarehouse | SeveralFiles | None = None
    ) -> None:
        self._file, self._folder, self._warehouse = file, archive_folder, warehouse

    def register(self, days: Iterable[PublishedDay]) -> list[date]:
        wanted = {published.day: day_location(published.day) for published in days}
        before = self.registered()
        with self._writing() as con:
            con.executemany(
                "INSERT INTO partitions VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET location = excluded.location",
                [(TABLE, d.year, d.month, d.day, location) for d, location in wanted.items()],
            )
        return [day for day, location in wanted.items() if before.get(day) != location]

    def registered(self) -> dict[date, str]:
        with self._explained():
            if not self._file.exists():
                return {}
            # "rw" neither makes nor changes the file, and reads one that cannot be written, too; "ro" could not read
            # a catalog whose last writer was killed, as SQLite has to undo that writer's change first.
            address = f"{self._file.absolute().as_uri()}?mode=rw"
            with closing(sqlite3.connect(address, timeout=30, uri=True)) as con:
                if not con.execute("SELECT 1 FROM sqlite_master WHERE name = 'partitions'").fetchall():
                    return {}
                rows = con.execute(
                    "SELECT year, month, day, location FROM partitions WHERE name = ? ORDER BY 1, 2, 3", (TABLE,)
                ).fetchall()
        return {date(y, m, d): location for y, m, d, location in rows}

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction; the file and its table are created where they do not exist."""
        with self._explained():
            make_home(self._file.parent)
            with closing(sqlite3.connect(self._file, timeout=30)) as con, con:
                con.execute(
                    "CREATE TABLE IF NOT EXISTS partitions (name TEXT, year INT, month INT, day INT, location TEXT, "
                    "PRIMARY KEY (name, year, month, day))"
                )
                yield con

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise ArchiveError(
                f"the catalog cannot be used ({error})",
                where=str(self._file),
                fix="Check FINOPS_HOME; a damaged catalog can be deleted: running the days again registers them.",
            ) from None

    def read_back(self, days: Sequence[date]) -> dict[date, CatalogDay]:
        """These days as a query reads them; those that are not registered, or have no object, have no entry."""
        registered = self.registered()
        readable = {d: registered[d] for d in days if d in registered and self._object(registered[d]).is_file()}
        if not readable:
            return {}
        with self._database(readable) as con:
            rows = con.execute(
                f"SELECT make_date(year, month, day), COUNT(*), SUM(CAST(dailycost AS {MONEY_SQL})), "
                f"COUNT_IF(billingdate <> make_date(year, month, day)) FROM {DATABASE}.{TABLE} GROUP BY ALL"
            ).fetchall()
        read = {day: CatalogDay(day, readable[day], n, total, strays) for day, n, total, strays in rows}
        return {day: read.get(day, CatalogDay(day, readable[day], 0, Decimal(), 0)) for day in readable}

    def _object(self, location: str) -> Path:
        return self._folder / location / DAY_OBJECT_NAME

    @contextmanager
    def _database(self, partitions: dict[date, str]) -> Iterator[duckdb.DuckDBPyConnection]:
        """A DuckDB in which finops_db.ou_breakdown is these partitions."""
        import duckdb

        with closing(connect({})) as con:
            try:
                self._create_table(con, partitions)
                yield con
            except duckdb.Error as error:
                raise self._damaged(partitions) or error from None

    def _damaged(self, partitions: dict[date, str]) -> ArchiveError | None:
        """The first day whose object cannot be read, if that is what stopped a query."""
        import duckdb

        with closing(connect({})) as con:
            for day, location in partitions.items():
                file = self._object(location)
                try:
                    con.execute(f"SELECT BIT_XOR(HASH(COLUMNS(*))) FROM read_parquet({file_literal(file)})").fetchall()
                except duckdb.Error as error:
                    return ArchiveError(
                        f"is damaged ({str(error).strip().splitlines()[0]})",
                        where=str(file),
                        fix=f"Run `finops run --date {day}`.",
                    )
        return None

    def _create_table(self, con: duckdb.DuckDBPyConnection, partitions: dict[date, str]) -> list[Path]:
        """Make ou_breakdown of these partitions; returns the files that it reads."""
        con.execute(f"CREATE SCHEMA IF NOT EXISTS {DATABASE}")
        if not partitions:
            con.execute(
                f"CREATE TABLE {DATABASE}.{TABLE} (billingdate DATE, ou VARCHAR, service VARCHAR, "
                "linkedaccount VARCHAR, dailycost DOUBLE, year INTEGER, month INTEGER, day INTEGER)"
            )
            return []
        objects = [self._object(location) for location in partitions.values()]
        files = ", ".join(map(file_literal, objects))
        # From the object's own place, as DuckDB's hive partitioning also reads a `year=` in the path of the home.
        place = "year=(\\d+)/month=(\\d+)/day=(\\d+)/[^/]+$"
        partition = (
            f"CAST(regexp_extract(filename, '{place}', {i}) AS INTEGER) AS {name}"
            for i, name in enumerate(("year", "month", "day"), 1)
        )
        con.execute(
            f"CREATE VIEW {DATABASE}.{TABLE} AS SELECT * EXCLUDE (filename), {', '.join(partition)} "
            f"FROM read_parquet([{files}], hive_partitioning=false, filename=true)"
        )
        return objects

    @contextmanager
    def stream(self, sql: str) -> Iterator[QueryResult]:
        """Run one SELECT, in Athena's dialect, over finops_db: ou_breakdown, ou_charges, dimension_breakdown,
        commitments, ou_scorecard, dimension_scorecard, moved_parts, account_ou_map, restatements,
        finops_daily_summary.

        Its rows are read batch by batch, and it reaches nothing but these tables.

        The database's name may be left out.

        Raises:
            FinopsError: not one SELECT, or the engine refuses it (its message says where).
        """
        import duckdb

        refuse_all_but_select(sql)
        partitions = {d: loc for d, loc in self.registered().items() if self._object(loc).is_file()}
        try:
            with sandbox() as con:
                files = [*self._create_table(con, partitions), *self._create_side_tables(con)]
                con.execute(f"SET search_path = '{DATABASE},main'")
                if self._warehouse and "finops_daily_summary" in sql.lower():
                    files += self._warehouse.summary_view(con, f"{DATABASE}.finops_daily_summary")
                shut(con, files)
                with streamed(con, by_translator(sql)) as result:  # not kept: whoever asks may have written a secret
                    yield result
        except duckdb.Error as error:
            damaged = None if is_of_the_query(error) else self._damaged(partitions)
            raise damaged or query_error(error) from None

    def query(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """As `stream`, for a small answer; returns the columns' names and all rows."""
        with self.stream(sql) as result:
            return list(result.columns), result.all_rows()

    def _create_side_tables(self, con: duckdb.DuckDBPyConnection) -> list[Path]:
        """Create the tables that need no registration, over the objects that exist; returns their files."""
        read: list[Path] = []
        days = "year=*/month=*/day=*"
        for name, schema, pattern in (
            ("account_ou_map", ACCOUNT_OU_MAP, ACCOUNT_MAP_PATH),
            ("restatements", RESTATEMENTS, f"{RESTATEMENTS_PREFIX}/*.parquet"),
            ("ou_charges", OU_CHARGES, f"{CHARGES_PREFIX}/{days}/{CHARGES_OBJECT_NAME}"),
            ("dimension_breakdown", DIMENSION_BREAKDOWN, f"{DIMENSIONS_PREFIX}/{days}/{DIMENSIONS_OBJECT_NAME}"),
            ("commitments", COMMITMENTS, f"{COMMITMENTS_PREFIX}/{days}/{COMMITMENTS_OBJECT_NAME}"),
            ("ou_scorecard", OU_SCORECARD, f"{SCORECARD_PREFIX}/{days}/{SCORECARD_OBJECT_NAME}"),
            ("dimension_scorecard", DIMENSION_SCORECARD, f"{VALUE_SCORES_PREFIX}/{days}/{VALUE_SCORES_OBJECT_NAME}"),
            ("moved_parts", MOVED_PARTS, f"{MOVED_PARTS_PREFIX}/{days}/{MOVED_PARTS_OBJECT_NAME}"),
        ):
            keys = ", ".join(f"{part}(billingdate) AS {part}" for part in ("year", "month", "day"))
            columns = f"*, {keys}" if days in pattern else "*"
            objects = sorted(self._folder.glob(pattern))
            files = ", ".join(map(file_literal, objects))
            read += objects
            if files:
                rows = f"read_parquet([{files}], hive_partitioning=false)"
            else:
                rows = f"empty_{name}"
                con.register(rows, schema.empty_table())
            kind = "VIEW" if files else "TABLE"
            con.execute(f"CREATE {kind} {DATABASE}.{name} AS SELECT {columns} FROM {rows}")
        return read
