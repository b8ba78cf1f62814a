"""A bill that is opened: recognised, checked, and a view of it with typed columns that the bill's SQL runs on."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from finops_assets.adapters.local.bill_bytes import DataFile
from finops_assets.adapters.local.bill_contents import BillContents
from finops_assets.adapters.local.bill_diagnosis import Diagnosis, first_line
from finops_assets.adapters.local.bill_files import BillFiles
from finops_assets.adapters.local.bill_source import FILE_COLUMN, BillSource
from finops_assets.adapters.local.column_types import identifier, type_of, typed_column
from finops_assets.adapters.local.csv_contents import exact_records
from finops_assets.adapters.local.overlapping_files import OverlappingFiles
from finops_assets.adapters.local.parquet_contents import may_be_copies
from finops_assets.adapters.shared.duck import ConfigValue, athena_to_duckdb, connect, in_utc
from finops_assets.core.accounts.account_ids import impossible_account
from finops_assets.core.bill.bill_format import currency_sql, quoted
from finops_assets.core.bill.charges import charges_sql, undated_condition, used_columns
from finops_assets.core.bill.control_totals import NO_PERIOD, control_totals, control_totals_sql
from finops_assets.core.bill.dimensions import absent_columns, refuse_doubled_labels
from finops_assets.core.bill.formats import FORMATS
from finops_assets.core.bill.further_columns import further_columns, further_expressions
from finops_assets.core.bill.overlaps import PeriodDay, may_overlap
from finops_assets.core.bill.overlaps import warnings as overlap_warnings
from finops_assets.core.bill.parts_sql import part_columns
from finops_assets.core.bill.payers import payer_periods, payers_sql
from finops_assets.core.bill.profile import bill_profile, profile_columns, profile_sql
from finops_assets.core.bill.queries import closer_survey_sql, half_filled_sql, survey_sql
from finops_assets.core.bill.recognition import recognise
from finops_assets.core.bill.refusals import (
    Surveyed,
    is_unusual,
    refuse_currencies,
    refuse_half_filled,
    refuse_lacking,
    refuse_monthly,
)
from finops_assets.core.bill.rules import Rules, check_columns, cost_bases, missing_columns
from finops_assets.core.bill.service_names import learned
from finops_assets.core.bill.shared_periods import payer_column, refuse_shared_periods
from finops_assets.core.errors import BillError
from finops_assets.core.values import BillDescription, BillProfile, ControlTotal, PayerPeriod

if TYPE_CHECKING:
    import duckdb

WITH_FILES = "placed_bill"
"""A view of the bill in which each line has its file."""

TIMES = ("VARCHAR", "TIMESTAMP", "DATE")
"""How the types begin that can be read as a point in time."""


class OpenBill:
    """A connection in which the view `bill` has typed, lower-case columns.

    Args:
        files: of the bill.
        format_name: bill.format.
        rules: what the settings ask of the bill.
        config: of DuckDB.
        contents: what is known of CSV files already.

    Raises:
        BillError: it cannot be read, is of no known format, or lacks what the format or the settings need.
        SettingsError: a setting that its format cannot honour.
    """

    def __init__(
        self,
        files: BillFiles,
        format_name: str,
        rules: Rules,
        config: Mapping[str, ConfigValue],
        contents: BillContents,
    ) -> None:
        self.files, self._rules = files, rules
        contents.refuse_same_files(files)
        self.con = connect(config)
        self._source = BillSource(files, Path(str(config["temp_directory"])))
        with self.explained(Diagnosis(self.con, self._source)):
            self._source.describe(self.con)
        raw = self._source.columns
        self.format = recognise(raw, str(files.root)) if format_name == "auto" else FORMATS[format_name]
        self.columns = {name: type_of(self.format, name, raw_type) for name, (_, raw_type) in raw.items()}
        check_columns(self.format, self.columns, rules, str(files.root))
        self._used = used_columns(self.format, self.columns, rules)
        self._source.refuse_doubled(self._used)
        self.undoubled = {n: type_ for n, type_ in self.columns.items() if n not in self._source.doubled}
        read = dict.fromkeys((*self._used, *part_columns(self.format, self.undoubled, rules)))
        read |= dict.fromkeys(profile_columns(self.format, self.columns, rules))
        refuse_doubled_labels(self.format, self.columns, tuple(self._source.doubled), rules)
        read |= dict.fromkeys(further_columns(self.format, self.undoubled, rules))
        if self._names_period():
            read[self.format.period] = None
        self._select = ", ".join(f"{typed_column(self.format, n, *raw[n])} AS {identifier(n)}" for n in read)
        with self.explained():
            self.create_bill_view(self.con)
        self._refuse_shared_periods()
        lines_of = {} if files.parquet else contents.csv_lines(self._source.data, in_place=files.in_place)
        warnings = self._survey(lines_of)
        self.description = BillDescription(
            format=self.format.name,
            path=str(files.root),
            files=len(files.files),
            size_bytes=files.size_bytes,
            snapshot=files.snapshot,
            columns=self._used,
            cost_bases=cost_bases(self.format, self.columns),
            updated=files.updated,
            missing_columns=missing_columns(self.format, self.columns),
            dimensions={key: absent_columns(self.format, self.columns, key) for key in rules.dimensions},
            deliveries=files.deliveries,
            warnings=warnings,
        )

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that a query of the view reads."""
        return tuple(data.path for data in self._source.data)

    def session(self) -> OpenBill:
        """The same bill in another connection: two runs at once must not meet in one."""
        session = copy.copy(self)
        session.con = in_utc(self.con.cursor())
        return session

    def create_bill_view(self, con: duckdb.DuckDBPyConnection, name: str = "bill") -> None:
        """Create a view of the bill in a connection."""
        con.execute(f"CREATE OR REPLACE VIEW {name} AS SELECT {self._select} FROM ({self._source.sql()})")

    def charges(self, start: date, end: date, view: str = "bill") -> str:
        """The SQL of the charges of these days, both inclusive."""
        further = further_expressions(self.format, self.undoubled, self._rules)
        return charges_sql(self.format, self.columns, self._rules, start, end, view, further=further)

    def control_totals(self) -> list[ControlTotal]:
        """The control totals of all lines; the billing period is that of a line's file where no column names it."""
        columns, view, otherwise = self._with_periods()
        rows = self.rows(control_totals_sql(self.format, columns, self._rules, view, otherwise))
        return control_totals(rows, self._period_of)

    def payers(self) -> list[PayerPeriod]:
        """The payers of all lines by billing period, which is found as for the control totals."""
        columns, view, otherwise = self._with_periods()
        return payer_periods(self.rows(payers_sql(self.format, columns, view, otherwise)), self._period_of)

    def profile(self, since: date) -> BillProfile:
        """What the lines from a day on are like."""
        rows = self.rows(profile_sql(self.format, self.columns, self._rules, since))
        return bill_profile(rows, len(self.learned))

    def _with_periods(self) -> tuple[dict[str, str], str, str]:
        """The bill's columns, the view of its lines, and the SQL of a line's billing period if no column names it."""
        columns = dict(self.columns)
        if self._names_period():
            return columns, "bill", NO_PERIOD
        columns.pop(self.format.period, None)
        if not any(map(self.files.period_of, self.files.files)):
            return columns, "bill", NO_PERIOD
        self._create_view_with_files()
        return columns, WITH_FILES, FILE_COLUMN

    def _period_of(self, file: str) -> str:
        return self.files.period_of(self._source.data_of(file).file)

    def _names_period(self) -> bool:
        """Whether the bill has a column of the billing period that can be read as a time."""
        name, columns = self.format.period, self._source.columns
        return name in columns and name not in self._source.doubled and columns[name][1].startswith(TIMES)

    def rows(self, sql: str) -> list[tuple]:
        """All rows of a query in Athena's dialect."""
        with self.explained():
            return self.con.execute(athena_to_duckdb(sql)).fetchall()

    def _refuse_shared_periods(self) -> None:
        """Refuse exports that have a billing period in common, unless their lines are of different payers."""
        files = {str(f): (self.files.period_of(f), export) for f, export in self.files.exports.items()}
        shared = [data for data in self._source.data if files.get(str(data.file), ("", ""))[0] in self.files.shared]
        if not shared:
            return
        name, payers = payer_column(self._source.columns), None
        if name:
            payer = typed_column(self.format, name, *self._source.columns[name])
            lines = self._source.sql(shared, with_file=True)
            with self.explained():
                rows = self.con.execute(f"SELECT DISTINCT {FILE_COLUMN}, {payer} FROM ({lines})").fetchall()
            payers = [(*files[str(self._source.data_of(path).file)], payer or "") for path, payer in rows]
        refuse_shared_periods(str(self.files.root), "bill.path", self.files.shared, payers)

    def _survey(self, lines_of: Mapping[DataFile, int]) -> tuple[str, ...]:
        """One scan: it proves that all lines are read and can be booked, learns names, and finds files that share days.

        Args:
            lines_of: the lines of CSV files, counted by another reader.

        Returns:
            What is to be warned of.
        """
        with self.explained():
            files = OverlappingFiles(self.con, self._source, WITH_FILES, self._used)
            if self.files.parquet and self.files.in_place:
                files.refuse_copies(may_be_copies(self.files.files))
        shared = self.files.in_place and may_overlap(files.deliveries)
        period = f"DATE_FORMAT({self.format.period}, '%Y-%m')" if self._names_period() else "''"
        day = f"CAST({self.format.start} AS DATE)"
        by = (FILE_COLUMN, period, day) if shared else (FILE_COLUMN,) if lines_of else ()
        if by:
            self._create_view_with_files()
        rows = self.rows(survey_sql(self.format, self.columns, self._rules, WITH_FILES if by else "bill", by))
        taught = learned((code, name, lines) for _, _, lines, _, _, code, name, is_taught, *_ in rows if is_taught)
        self.learned = taught
        surveyed = [Surveyed._make((*row[:5], tuple(row[8:]))) for row in rows if not row[7]]
        if lines_of:
            self._refuse_lost_lines(lines_of, surveyed)
        self._refuse_unreadable(surveyed)
        if not shared:
            return ()
        lines: dict[str, dict[PeriodDay, int]] = defaultdict(lambda: defaultdict(int))
        for row in surveyed:
            path, of_period, of_day = row.place
            lines[files.delivery(path)][of_period or "", of_day] += row.lines

        def totals(first: date, last: date) -> list[tuple]:
            cost = self.format.bases[self._rules.cost_basis].sql(self.columns)
            lines_sql = f"SELECT {FILE_COLUMN}, {period} AS period, {day} AS day, {cost} AS cost FROM {WITH_FILES}"
            return self.rows(
                f"SELECT {FILE_COLUMN}, period, day, SUM(cost) FROM ({lines_sql}) AS lines "
                f"WHERE day BETWEEN DATE '{first}' AND DATE '{last}' GROUP BY 1, 2, 3"
            )

        currencies = {row.currency or "" for row in surveyed}
        with self.explained():
            overlaps = files.overlaps(lines, totals)
        return overlap_warnings(overlaps, currencies.pop() if len(currencies) == 1 else "")

    def _refuse_lost_lines(self, lines_of: Mapping[DataFile, int], surveyed: Sequence[Surveyed]) -> None:
        """Refuse a bill of which the engine has not read every line."""
        read: dict[DataFile, int] = defaultdict(int)
        for row in surveyed:
            read[self._source.data_of(row.place[0])] += row.lines
        for data, lines in lines_of.items():
            if read[data] != lines and read[data] != (exact := exact_records(data)):
                raise BillError(
                    f"has {exact:,} line(s), of which {read[data]:,} can be read",
                    where=data.name,
                    fix="Copy it from the export again; if that does not help, report this message.",
                )

    def _refuse_unreadable(self, surveyed: Sequence[Surveyed]) -> None:
        """Refuse a bill with lines that have no date, lack a column, or are in several currencies; a monthly export."""
        root, fmt, rules = str(self.files.root), self.format, self._rules
        if not all(row.dated for row in surveyed):
            no_date = undated_condition(fmt.start)
            (lines,) = self.rows(f"SELECT COUNT(*) FROM bill WHERE {no_date}")[0]
            raise BillError(
                f"{lines} line(s) have no date that can be booked",
                where=self._place(no_date, fmt.start),
                fix="No line may be lost: export the bill again.",
            )
        refuse_lacking(((row.lacks, row.lines) for row in surveyed), fmt, self.columns, rules, root)
        if half_filled := half_filled_sql(fmt, self.columns, rules, FILE_COLUMN, WITH_FILES):
            self._create_view_with_files()
            refuse_half_filled(self.rows(half_filled), rules.cost_basis, fmt.bases[rules.cost_basis].column, "")
        if not is_unusual(surveyed, rules.currency, bool(fmt.currency)):
            return
        closer = self.rows(closer_survey_sql(fmt, self.columns, rules))
        amounts = [(currency, count) for currency, count, _, _ in closer]
        if fmt.currency:
            nameless = any(count for currency, count in amounts if not currency)
            without = f"{currency_sql(fmt.currency)} IS NULL AND {fmt.bases[rules.cost_basis].sql(self.columns)} <> 0"
            column = self._place(without, fmt.currency) if nameless else root
            refuse_currencies(amounts, rules.currency, root, column, several=rules.several_currencies)
        refuse_monthly(sum(row[2] for row in closer), sum(row[3] for row in closer), root)

    def without_cost(self, day: date, lines: int) -> BillError:
        """The error of lines of a day without a cost: it names the column, by the type of the first of them."""
        cost_basis = self._rules.cost_basis
        basis = self.format.bases[cost_basis]
        condition = f"({basis.sql(self.columns)}) IS NULL AND CAST({self.format.start} AS DATE) = DATE '{day}'"
        types = self._first(condition, self.format.line_type) if basis.rules(self.columns) else None
        line_type = types[1] if types else ""
        return BillError(
            f"{lines} line(s) of {day} have no {cost_basis} cost" + (f", first a {line_type}" if line_type else ""),
            where=self._place(condition, *basis.columns_of(line_type, self.columns)),
            fix="Export the bill again with that column filled, or choose another bill.cost_basis.",
        )

    def impossible_account(self, account: str) -> BillError:
        """The error of an account id that cannot be one; `account` is as the bill has it."""
        columns = [name for name in self.format.accounts if name in self.columns]
        written = " OR ".join(f"{name} = {quoted(account)}" for name in columns)
        return impossible_account(account, self._place(written, *columns))

    def _place(self, condition: str, *columns: str) -> str:
        """The first file that has such a line, and the columns as they are named there."""
        first = self._first(condition)
        names = ", ".join(self._source.columns.get(column, (column,))[0] for column in columns)
        return f"{self._source.data_of(first[0]).name if first else self.files.root}, column {names}"

    def _first(self, condition: str, column: str = "''") -> tuple | None:
        """The file of the first line that fulfils a condition, and one of its values."""
        self._create_view_with_files()
        rows = self.rows(f"SELECT {FILE_COLUMN}, {column} FROM {WITH_FILES} WHERE {condition} LIMIT 1")
        return rows[0] if rows else None

    def _create_view_with_files(self) -> None:
        """Make a view of the bill in which each line has its file."""
        lines = f"SELECT {self._select}, {FILE_COLUMN} FROM ({self._source.sql(with_file=True)})"
        with self.explained():
            self.con.execute(f"CREATE OR REPLACE TEMP VIEW {WITH_FILES} AS {lines}")

    @contextmanager
    def explained(self, diagnosis: Diagnosis | None = None) -> Iterator[None]:
        """Turn an engine's error into one that names the file, the column and what to do."""
        import duckdb
        import pyarrow as pa

        try:
            yield
        except duckdb.InterruptException:
            raise
        except duckdb.OutOfMemoryException as error:
            raise BillError(
                f"needs more memory or disk than allowed ({first_line(error)})",
                where=str(self.files.root),
                fix="Raise warehouse.memory (FINOPS_WAREHOUSE__MEMORY), or free space on the disk of the home.",
            ) from None
        except (duckdb.Error, pa.ArrowException) as error:  # the second while rows are streamed
            diagnosis = diagnosis or Diagnosis(self.con, self._source, self._used, self.format)
            raise diagnosis.of(error) from None


def _by_currency(rows: Sequence[tuple]) -> list[tuple[str | None, int, bool]]:
    """Rows of a survey by file or day as those of the whole bill."""
    lines: dict[str | None, int] = defaultdict(int)
    undated = set()
    for currency, count, dated, *_ in rows:
        lines[currency] += count
        if not dated:
            undated.add(currency)
    return [(currency, count, currency not in undated) for currency, count in lines.items()]
