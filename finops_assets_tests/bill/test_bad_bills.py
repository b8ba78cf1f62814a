"""Whatever is wrong with a bill: one error a person understands, that names the file, column or setting, and the fix.

A case says how the bill is spoilt, which error is raised, and the parts of its message in their order.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from finops_assets.adapters.local.warehouse import DuckDBWarehouse
from finops_assets.core.archive import available_days, publishing
from finops_assets.core.bill.rules import Rules
from finops_assets.core.errors import BillError, FinopsError, MissingDaysError, SettingsError
from finops_assets_tests.support.bills import (
    DAY,
    NULL,
    Unquoted,
    account_map,
    at,
    line,
    make_bill,
    new_archive,
    open_bill,
    read_rows,
    rows_of,
    source_day,
    write_rows,
)

ROW = rows_of([line(1)], "focus")[0]
HEADER = ",".join(ROW)
ENGINES_WORDS = re.compile(r"^\W*(Error|\w+ Error|\w+Exception|Traceback)\b|LINE \d+:|struct_pack|SELECT ")


NOW = datetime(2025, 9, 20, 7, tzinfo=UTC)


@dataclass(frozen=True)
class Case:
    """A spoilt bill: `make` writes it into a folder and returns bill.path."""

    id: str
    make: Callable[[Path], Path | str]
    error: type[FinopsError]
    says: tuple[str, ...]
    how: dict[str, Any] = field(default_factory=dict)


def spoilt(**columns: Any) -> Callable[[Path], Path]:
    """Of three CSV files in a folder, the last line of the second one has these values."""

    def make(folder: Path) -> Path:
        first, second, third = ({**ROW, "SubAccountName": name} for name in ("first", "second", "third"))
        for name, rows in {"1.csv": [first], "2.csv": [second, ROW, {**ROW, **columns}], "3.csv": [third]}.items():
            write_rows(folder / name, rows)
        return folder

    return make


def parquet(**columns: Any) -> Callable[[Path], Path]:
    """The same in Parquet."""

    def make(folder: Path) -> Path:
        write_rows(folder / "1.parquet", [{**ROW, "SubAccountName": "first"}])
        write_rows(folder / "2.parquet", [ROW, {**ROW, **columns}])
        return folder

    return make


def text(*lines: str, encoding: str = "utf-8", name: str = "2.csv") -> Callable[[Path], Path]:
    """Beside a good file, one with this text."""

    def make(folder: Path) -> Path:
        write_rows(folder / "1.csv", [ROW])
        data = "".join(one + "\n" for one in lines).encode(encoding)
        (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return folder

    return make


def damaged(spoil: Callable[[bytes], bytes], name: str = "2.parquet") -> Callable[[Path], Path]:
    """Of three files, the second one is spoilt as bytes."""

    def make(folder: Path) -> Path:
        # Values that do not compress, in a plain encoding: the pages are most of the file.
        rows = [{**ROW, "ServiceName": f"service {i * 7919 % 1000}"} for i in range(1000)]
        kind = name.partition(".")[2]
        for number in ("1", "2", "3"):
            write_rows(folder / f"{number}.{kind}", [{**row, "SubAccountName": number} for row in rows])
        file = folder / name
        file.write_bytes(spoil(file.read_bytes()))
        return folder

    return make


def page_of(column: str) -> Callable[[Path], Path]:
    """A Parquet file whose footer is whole and whose page of a column is not."""

    def make(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        rows = [{**ROW, "BilledCost": float(i), "ServiceName": f"service {i * 7919 % 1000}"} for i in range(1000)]
        write_rows(folder / "1.parquet", rows)
        table = pq.read_table(folder / "1.parquet")
        pq.write_table(table, folder / "2.parquet", use_dictionary=False, compression="snappy")
        group = pq.ParquetFile(folder / "2.parquet").metadata.row_group(0)
        chunk = next(group.column(i) for i in range(group.num_columns) if group.column(i).path_in_schema == column)
        data = bytearray((folder / "2.parquet").read_bytes())
        middle = chunk.data_page_offset + chunk.total_compressed_size // 2
        data[middle : middle + 200] = b"\xff" * 200
        (folder / "2.parquet").write_bytes(data)
        return folder

    return make


def without(*columns: str) -> Callable[[Path], Path]:
    return lambda folder: write_rows(folder / "bill.csv", [{k: v for k, v in ROW.items() if k not in columns}])


def empty_folder(folder: Path) -> Path:
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "notes.txt").write_text("nothing", encoding="utf-8")
    return folder


def mixed(folder: Path) -> Path:
    write_rows(folder / "a.parquet", [ROW])
    return write_rows(folder / "b.csv", [ROW]).parent


CUR_ROW = rows_of([line(1)], "cur2")[0]
COVERED = {**CUR_ROW, "line_item_line_item_type": "SavingsPlanCoveredUsage"}

CASES = [
    # where the bill is
    Case("no bill set", lambda _: "", SettingsError, ("bill.path (FINOPS_BILL__PATH)", "is not set", "finops demo")),
    Case(
        "no such path",
        lambda folder: folder / "gone.csv",
        SettingsError,
        ("bill.path (FINOPS_BILL__PATH)", "no such file or folder", "gone.csv", "Set it"),
    ),
    Case(
        "in a bucket",
        lambda _: "s3://bucket/focus",
        SettingsError,
        ("bill.path", "on this machine: s3://bucket/focus", "Set it"),
    ),
    Case(
        "no path at all", lambda _: "x" * 5000, BillError, ("xxx", "cannot be looked at (File name too long)", "Check")
    ),
    Case("empty folder", empty_folder, BillError, ("holds no bill", ".parquet, .csv or .csv.gz", "Point bill.path")),
    Case("Parquet and CSV", mixed, BillError, ("both Parquet and CSV", "a.parquet and b.csv", "Point bill.path")),
    # what kind of bill it is
    Case(
        "unknown format",
        lambda folder: write_rows(folder / "bill.csv", [{"a": 1, "b": 2}]),
        BillError,
        ("bill.csv", "not a bill in a known format", "a, b", "FOCUS 1.0 to 1.2"),
    ),
    Case(
        "semicolons",
        text(HEADER.replace(",", ";"), name="1.csv"),
        BillError,
        ("not a bill in a known format", "billedcost;", "Give a FOCUS"),
    ),
    Case(
        "another format set",
        lambda folder: make_bill(folder, [line(1)], "cur2"),
        BillError,
        ("the FOCUS bill has no column chargeperiodstart, servicename, billingcurrency", "bill.format"),
        {"fmt": "focus"},
    ),
    Case("no service", without("ServiceName"), BillError, ("bill.csv", "no column servicename", "Export it with")),
    Case("no currency column", without("BillingCurrency"), BillError, ("no column billingcurrency", "Export it with")),
    Case("no date column", without("ChargePeriodStart"), BillError, ("no column chargeperiodstart", "Export it with")),
    Case(
        "no account at all",
        without("SubAccountId", "BillingAccountId"),
        BillError,
        ("no column subaccountid or billingaccountid", "Export it with"),
    ),
    Case(
        "no cost at all",
        without("BilledCost", "EffectiveCost"),
        BillError,
        ("no cost column: it has no column billedcost", "Export it with one"),
    ),
    Case(
        "not this cost basis",
        without("EffectiveCost"),
        BillError,
        ("bill.cost_basis", "no effective cost: it has no column effectivecost", "set bill.cost_basis to billed"),
        {"basis": "effective"},
    ),
    Case(
        "a cost basis of another format",
        without(),
        BillError,
        (
            "bill.cost_basis",
            "no net_amortized cost: FOCUS has no such cost",
            "Set bill.cost_basis to billed or effective",
        ),
        {"basis": "net_amortized"},
    ),
    Case(
        "a summary without its currency",
        lambda folder: make_bill(folder, [line(1)], "summary"),
        SettingsError,
        ("bill.currency (FINOPS_BILL__CURRENCY)", "does not say its currency", "e.g. to USD"),
        {"currency": ""},
    ),
    Case(
        "a summary without tax",
        lambda folder: make_bill(folder, [line(1)], "summary"),
        SettingsError,
        ("bill.include_tax", "does not tell such charges apart", "Leave it true"),
        {"include_tax": False},
    ),
    Case(
        "refunds that cannot be told",
        without("ChargeCategory"),
        SettingsError,
        ("bill.include_refunds", "does not tell such charges apart", "column chargecategory"),
        {"include_refunds": False},
    ),
    # values
    Case(
        "two currencies",
        spoilt(BillingCurrency="EUR"),
        BillError,
        ("bill.currency", "2 currencies: EUR, USD", "FINOPS_BILL__CURRENCY=EUR"),
    ),
    Case(
        "two currencies on two days",
        spoilt(BillingCurrency="EUR", ChargePeriodStart=at(DAY.replace(day=11))),
        BillError,
        ("bill.currency", "2 currencies: EUR, USD", "choose one"),
    ),
    Case(
        "no currency", spoilt(BillingCurrency=NULL), BillError, ("2.csv, column BillingCurrency", "1 line(s) have no")
    ),
    Case(
        "a cost in words",
        spoilt(BilledCost="free"),
        BillError,
        ("2.csv, line 4, column BilledCost", "'free' is not an amount of money", "Mend that line"),
    ),
    Case("a decimal comma", spoilt(BilledCost="1,5"), BillError, ("2.csv, line 4, column BilledCost", "'1,5' is not")),
    Case("NaN", spoilt(BilledCost="NaN"), BillError, ("2.csv, line 4, column BilledCost", "'NaN' is not an amount")),
    Case(
        "infinity", spoilt(BilledCost="inf"), BillError, ("2.csv, line 4, column BilledCost", "'inf' is not an amount")
    ),
    Case(
        "more money than there is", spoilt(BilledCost="1e30"), BillError, ("2.csv", "'1e30' is not an amount of money")
    ),
    Case(
        "an empty cost",
        spoilt(BilledCost=None),
        BillError,
        ("2.csv, column BilledCost", f"1 line(s) of {DAY} have no billed cost", "bill.cost_basis"),
    ),
    Case(
        "an empty cost beside a column filename",
        spoilt(BilledCost=None, filename="x"),
        BillError,
        ("2.csv, column BilledCost", "have no billed cost"),
    ),
    Case("a NULL cost", spoilt(BilledCost=NULL), BillError, ("2.csv, column BilledCost", "have no billed cost")),
    Case(
        "NaN in Parquet", parquet(BilledCost=float("nan")), BillError, ("2.parquet, column BilledCost", "'nan' is not")
    ),
    Case("infinity in Parquet", parquet(BilledCost=float("inf")), BillError, ("2.parquet, column BilledCost", "'inf'")),
    Case("a null in Parquet", parquet(BilledCost=None), BillError, ("2.parquet, column BilledCost", "no billed cost")),
    Case(
        "a sum beyond all money",
        lambda folder: write_rows(folder / "bill.csv", [{**ROW, "BilledCost": Unquoted("9" * 26)}] * 2),
        BillError,
        ("bill.csv", "cannot be read (Out of Range Error: Overflow", "Export the bill again"),
    ),
    Case(
        "no date that anybody knows",
        spoilt(ChargePeriodStart="yesterday"),
        BillError,
        ("2.csv, line 4, column ChargePeriodStart", "'yesterday' is not a date", "Mend that line"),
    ),
    Case(
        "a day that is none",
        spoilt(ChargePeriodStart="2025-02-30"),
        BillError,
        ("line 4", "'2025-02-30' is not a date"),
    ),
    Case(
        "an American date", spoilt(ChargePeriodStart="09/10/2025"), BillError, ("line 4", "'09/10/2025' is not a date")
    ),
    Case(
        "an empty date",
        spoilt(ChargePeriodStart=None),
        BillError,
        ("2.csv, column ChargePeriodStart", "1 line(s) have no date", "No line may be lost"),
    ),
    Case(
        "the end of time", spoilt(ChargePeriodStart="infinity"), BillError, ("2.csv, column ChargePer", "have no date")
    ),
    Case("before the first day", spoilt(ChargePeriodStart="1969-12-31"), BillError, ("2.csv, column", "have no date")),
    Case("a null date in Parquet", parquet(ChargePeriodStart=None), BillError, ("2.parquet, column Charge", "no date")),
    Case(
        "a column that a line needs",
        lambda folder: write_rows(folder / "2.csv", [CUR_ROW, COVERED]),
        BillError,
        ("(bill.cost_basis)", "no effective cost", "savings_plan_savings_plan_effective_cost", "billed or unblended"),
        {"basis": "effective"},
    ),
    Case(
        "a cost that the month did not need",
        lambda folder: write_rows(folder / "2.csv", [{**CUR_ROW, "savingsPlan/SavingsPlanEffectiveCost": ""}, COVERED]),
        BillError,
        (
            "2.csv, column savingsPlan/SavingsPlanEffectiveCost",
            f"1 line(s) of {DAY} have no effective cost, first a SavingsPlanCoveredUsage",
            "bill.cost_basis",
        ),
        {"basis": "effective"},
    ),
    # CSV files
    Case("too few values", text(HEADER, "1,2,3"), BillError, ("2.csv, line 2", "has 3 value(s), the header has 12")),
    Case(
        "too many values", text(HEADER, "1" + "," * 12), BillError, ("2.csv, line 2", "has 13 value(s), the header has")
    ),
    Case(
        "an unclosed quote", text(HEADER, '"1,2', "3" + "," * 11), BillError, ("2.csv, line", "is not CSV", "Copy it")
    ),
    Case("text after a quote", text(HEADER, '"1"2' + "," * 11), BillError, ("2.csv, line 2", "is not CSV", "Copy it")),
    Case(
        "Latin-1",
        text(HEADER, "1,1,1,USD,Usage,,,2025-09-10,2025-09-11,Café,1,shop", encoding="latin-1"),
        BillError,
        ("2.csv, line 2", "is not UTF-8"),
    ),
    Case("UTF-16", text(HEADER, encoding="utf-16"), BillError, ("2.csv, line 1", "is not UTF-8", "UTF-8")),
    Case("an empty file", text(), BillError, ("2.csv", "is empty: it has no header", "Copy it")),
    Case(
        "a header in the middle",
        text(HEADER, HEADER),
        BillError,
        ("2.csv, line 2, column BilledCost", "'BilledCost' is not an amount of money"),
    ),
    Case("a column twice", text(HEADER + ",BilledCost"), BillError, ("2.csv", "has the column BilledCost twice")),
    Case(
        "a column twice, in lower case", text(HEADER + ",billedcost"), BillError, ("2.csv", "column BilledCost twice")
    ),
    Case("a line without an end", text(HEADER, "x" * 3_000_000), BillError, ("2.csv, line 2", "is not CSV")),
    Case(
        "gzip cut in the middle",
        damaged(lambda data: data[: len(data) // 2], "2.csv.gz"),
        BillError,
        ("2.csv.gz", "is damaged or not whole", "Copy it from the export again"),
    ),
    Case(
        "gzip cut at the end", damaged(lambda data: data[:-4], "2.csv.gz"), BillError, ("2.csv.gz", "is damaged or not")
    ),
    Case(
        "gzip cut in its head", damaged(lambda data: data[:8], "2.csv.gz"), BillError, ("2.csv.gz", "is damaged or not")
    ),
    Case("not gzip", damaged(lambda _: b"a,b\n1,2\n", "2.csv.gz"), BillError, ("2.csv.gz", "is damaged or not whole")),
    # Parquet files
    Case(
        "no Parquet",
        damaged(lambda data: b"garbage " * 100),
        BillError,
        ("2.parquet", "is damaged or not whole", "Copy it from the export again"),
    ),
    Case("an empty Parquet file", damaged(lambda data: b""), BillError, ("2.parquet", "is damaged or not whole")),
    Case(
        "Parquet cut in the middle",
        damaged(lambda data: data[: len(data) // 2]),
        BillError,
        ("2.parquet", "is damaged"),
    ),
    Case("Parquet cut in its footer", damaged(lambda data: data[:-6]), BillError, ("2.parquet", "is damaged or not")),
    Case(
        "a hole before an intact footer",
        damaged(lambda data: data[:4] + b"\0" * (len(data) // 2) + data[4 + len(data) // 2 :]),
        BillError,
        ("2.parquet",),
    ),
    Case("a damaged page of costs", page_of("BilledCost"), BillError, ("2.parquet",)),
    Case("a damaged page of services", page_of("ServiceName"), BillError, ("2.parquet", "is damaged or not whole")),
    Case("a damaged page of dates", page_of("ChargePeriodStart"), BillError, ("2.parquet",)),
    Case(
        "a cost that is a list",
        lambda folder: write_rows(folder / "bill.parquet", [{**ROW, "BilledCost": [1.5]}]),
        BillError,
        ("bill.parquet, column BilledCost", "'[1.5]' is not an amount of money"),
    ),
]


def read_everything(path: Path | str, **how: Any) -> None:
    warehouse = open_bill(path, **how)
    warehouse.source_days(DAY, DAY)
    read_rows(warehouse)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_bad_bill_is_refused_in_words(tmp_path: Path, case: Case) -> None:
    """The error has the right kind, names what it is about in its first sentence, and ends with what to do."""
    path = case.make(tmp_path / "bill")
    with pytest.raises(FinopsError) as caught:
        read_everything(path, **case.how)
    message = str(caught.value)
    assert type(caught.value) is case.error, message
    assert re.search(".*".join(map(re.escape, case.says)), message, re.DOTALL), message
    assert caught.value.fix, message
    assert not ENGINES_WORDS.search(caught.value.what), message
    assert "\n" not in message


def test_a_day_that_the_bill_does_not_have_is_named(tmp_path: Path) -> None:
    """Days behind the bill's end are an error that names them, what there is, and what to do; never a green zero."""
    path = make_bill(tmp_path, [line(1), line(2, start=at(DAY.replace(day=13)))])
    days = [DAY.replace(day=d) for d in (14, 15)]
    with pytest.raises(MissingDaysError) as caught:
        available_days.find_days(open_bill(path), days, NOW)
    assert caught.value.days == tuple(days)
    message = str(caught.value)
    assert (
        "the bill has no charges on 2025-09-14 to 2025-09-15; it has 2 day(s) from 2025-09-10 to 2025-09-13" in message
    )
    assert str(path) in message
    assert "Wait for the next export" in message


def test_a_day_of_which_a_setting_leaves_everything_out_is_missing(tmp_path: Path) -> None:
    """A day with nothing but tax is no day of a bill without tax."""
    warehouse = open_bill(make_bill(tmp_path, [line(1, category="Tax")]), include_tax=False)
    with pytest.raises(MissingDaysError, match="no charges on 2025-09-10; it has none at all"):
        available_days.find_days(warehouse, [DAY], NOW)


def test_a_day_without_charges_inside_of_a_bill_is_empty(tmp_path: Path) -> None:
    """Its month and a later day are there: it is a day of the bill, at zero, and the others are not held up."""
    path = make_bill(tmp_path, [line(1), line(2, start=at(DAY.replace(day=13)))])
    found = available_days.find_days(open_bill(path), [DAY.replace(day=d) for d in (10, 11, 12, 13, 14)], NOW)
    assert [(day.day, of.lines, of.total) for day, of in found.source.items()] == [
        (10, 1, 1),
        (11, 0, 0),
        (12, 0, 0),
        (13, 1, 2),
    ]
    assert list(found.left_out) == [DAY.replace(day=14)]


def test_a_damaged_bill_leaves_what_was_published(tmp_path: Path) -> None:
    """The archive holds what it held, when the bill can no longer be read."""
    path = make_bill(tmp_path / "bill", [line(1)])
    archive = new_archive(tmp_path)
    how = {"cost_basis": "billed", "run_id": "a-run", "now": datetime(2025, 9, 20, tzinfo=UTC)}
    assert publishing.archive_days(open_bill(path), archive, [DAY], **how).published
    path.write_bytes(path.read_bytes()[:-6])
    with pytest.raises(BillError):
        publishing.archive_days(open_bill(path), archive, [DAY], **how)
    assert archive.describe(DAY).total == 1


def test_a_warehouse_recovers_when_the_bill_does(tmp_path: Path) -> None:
    """A long-lived process that saw a broken bill reads the mended one."""
    path = make_bill(tmp_path, [line(1)], kind="csv")
    good = path.read_text(encoding="utf-8")
    warehouse = open_bill(path)
    assert warehouse.source_days(DAY, DAY)[DAY].total == 1
    path.write_text(good + "broken\n", encoding="utf-8")
    with pytest.raises(BillError, match="line 3"):
        warehouse.source_days(DAY, DAY)
    path.write_text(good + good.splitlines()[1] + "\n", encoding="utf-8")
    assert warehouse.source_days(DAY, DAY)[DAY].total == 2


def test_too_little_memory_is_said(tmp_path: Path) -> None:
    """The message names the setting that gives more."""
    path = write_rows(tmp_path / "bill.csv", [ROW])
    warehouse = DuckDBWarehouse(str(path), "auto", Rules("billed"), memory="1MB", threads=1, spill=tmp_path / "spill")
    with pytest.raises(BillError, match=r"needs more memory or disk.*FINOPS_WAREHOUSE__MEMORY"):
        list(warehouse.breakdown(DAY, DAY, account_map()))


def test_money_in_a_column_that_is_not_shown_may_be_anything(tmp_path: Path) -> None:
    """Only what is read is checked: EffectiveCost does not stop a bill that is shown as billed."""
    assert source_day(write_rows(tmp_path / "bill.csv", [{**ROW, "EffectiveCost": "n/a"}])).total == Decimal(1)
