"""Control totals: the whole bill by period, day, currency and reason for leaving out, the same through both engines.

The figures are written by hand. Beside them: which columns are read, what is remembered, and the ids of periods.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from finops_assets.core.bill.control_totals import control_columns
from finops_assets.core.bill.formats import FORMATS as BILL_FORMATS
from finops_assets.core.bill.rules import Rules
from finops_assets.core.errors import BillError
from finops_assets.core.ports import Warehouse
from finops_assets.core.values import ControlTotal, PassedOver
from finops_assets_tests.support.bills import (
    DAY,
    FORMATS,
    Line,
    at,
    line,
    make_bill,
    open_bill,
    rows_of,
    write_data_export,
    write_rows,
)
from finops_assets_tests.support.on_aws import make_ready, platform_on
from standin.bills import load_bill
from standin.server import StandIn

pytestmark = pytest.mark.usefixtures("records_in_memory")

NEXT = DAY + timedelta(days=1)
LONG_AGO, FAR_AHEAD = date(1999, 12, 31), date(2999, 1, 1)
SETTINGS = {"currency": "USD", "include_tax": False}

PERIOD = {
    "focus": "BillingPeriodStart",
    "cur2": "bill_billing_period_start_date",
    "cur": "bill_billing_period_start_date",
}
"""The column of the billing period, as Parquet files name it."""


@dataclass
class Opened:
    """A warehouse over a bill, and what changes the bill's files afterwards."""

    warehouse: Warehouse
    write: Callable[[str, bytes], None]
    """Writes a file, its path below the bill's folder."""


@pytest.fixture(params=["DuckDB", "Athena"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Opened]:
    """Opens the warehouse over a folder of bill files, with settings of the bill."""

    def open_(folder: Path, **rules: Any) -> Opened:
        if request.param == "DuckDB":

            def write(name: str, data: bytes) -> None:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(data)

            return Opened(open_bill(folder, **rules), write)
        aws: StandIn = request.getfixturevalue("aws")
        make_ready(aws, make_bill(tmp_path / "nothing", [line(1)]).parent)
        load_bill(aws, folder, table="billing.the_bill", bucket="the-bucket")
        settings = {f"bill__{name}": value for name, value in {"currency": "USD", **rules}.items()}
        aws.calls.reset()
        s3 = aws.client("s3")
        return Opened(
            platform_on(aws, tmp_path, bill__table="billing.the_bill", **settings).warehouse,
            lambda name, data: s3.put_object(Bucket="the-bucket", Key=f"the_bill/{name}", Body=data),
        )

    return open_


def billed(fmt: str, one: Line, period: str) -> Line:
    """The line with the column of its billing period, where the format has one."""
    return replace(one, extra={PERIOD[fmt]: at(date.fromisoformat(f"{period}-01"))}) if fmt in PERIOD else one


def counted(period: str, day: date, total: str, lines: int = 1, **facts: Any) -> ControlTotal:
    """A control total, of lines in USD that count and have a cost unless it is said."""
    return ControlTotal(**{**NORMAL, "period": period, "day": day, "lines": lines, "total": Decimal(total), **facts})


NORMAL = {"currency": "USD", "left_out": "", "without_cost": 0}


@pytest.mark.parametrize("fmt", FORMATS)
def test_every_line_of_the_bill_is_in_a_control_total(opened: Callable[..., Opened], tmp_path: Path, fmt: str) -> None:
    """Before 2000, far ahead, billed a month later, left out, in another currency, without a cost: all are counted."""
    lines = [
        billed(fmt, line("0.1", start=at(LONG_AGO, 23, 59, 59)), "1999-12"),
        billed(fmt, line("0.00000000001"), "2025-09"),
        billed(fmt, line("12345.6789", start=at(DAY, 5)), "2025-09"),
        billed(fmt, line("4"), "2025-10"),
        billed(fmt, Line(None, start=at(NEXT)), "2025-09"),
        billed(fmt, line("-8", start=at(FAR_AHEAD)), "2999-01"),
    ]
    if fmt == "summary":
        bill = make_bill(tmp_path / "summary", lines, fmt).parent
        assert opened(bill, currency="USD").warehouse.control_totals() == [
            counted("", LONG_AGO, "0.1"),
            counted("", DAY, "12349.67890000001", 3),
            counted("", NEXT, "0", without_cost=1),
            counted("", FAR_AHEAD, "-8"),
        ]
        return
    lines += [
        billed(fmt, line("7", category="Tax"), "2025-09"),
        billed(fmt, line("3", currency="EUR"), "2025-09"),
        billed(fmt, line("0.5", currency="EUR"), "2025-09"),
    ]
    bill = make_bill(tmp_path / fmt, lines, fmt).parent
    assert opened(bill, **SETTINGS).warehouse.control_totals() == [
        counted("1999-12", LONG_AGO, "0.1"),
        counted("2025-09", DAY, "3.5", 2, currency="EUR", left_out="bill.currency is USD"),
        counted("2025-09", DAY, "12345.67890000001", 2),
        counted("2025-09", DAY, "7", left_out="bill.include_tax"),
        counted("2025-09", NEXT, "0", without_cost=1),
        counted("2025-10", DAY, "4"),
        counted("2999-01", FAR_AHEAD, "-8"),
    ]


def test_control_totals_are_those_of_the_days(opened: Callable[..., Opened], tmp_path: Path) -> None:
    """What a day's archive is held against and what the control totals say of it are the same."""
    lines = [
        billed("cur2", line("0.1", start=at(DAY, 3)), "2025-09"),
        billed("cur2", line("12345.678901234567"), "2025-10"),
        billed("cur2", line("-3.5", category="Credit"), "2025-09"),
        billed("cur2", line("7", category="Tax"), "2025-09"),
    ]
    warehouse = opened(make_bill(tmp_path / "bill", lines, "cur2").parent, include_tax=False).warehouse
    totals = [one for one in warehouse.control_totals() if not one.left_out]
    day = warehouse.source_days(DAY, DAY)[DAY]
    assert (sum(one.total for one in totals), sum(one.lines for one in totals)) == (day.total, day.lines)
    assert day.total == Decimal("12342.278901234567")


@pytest.mark.parametrize(
    ("folder", "period"),
    [("", ""), ("data/BILLING_PERIOD=2025-10", "2025-10"), ("year=2025/month=9", "2025-09")],
)
def test_a_bill_without_the_column_has_the_period_of_its_folder(
    opened: Callable[..., Opened], tmp_path: Path, folder: str, period: str
) -> None:
    """Where no line names its billing period, the folder does; a bill in neither has none."""
    write_rows(tmp_path / "bill" / folder / "focus.parquet", rows_of([line("2.5"), line(1, start=at(NEXT))], "focus"))
    totals = opened(tmp_path / "bill").warehouse.control_totals()
    assert totals == [counted(period, DAY, "2.5"), counted(period, NEXT, "1")]


def test_a_period_that_is_no_time_loses_no_line(opened: Callable[..., Opened], tmp_path: Path) -> None:
    """Text is read as the time that it is; a line whose period is empty or nonsense is in a total without one."""
    texts = ["2025-09-01T00:00:00Z", "soon", "", None]
    lines = [line(10**i, extra={"BillingPeriodStart": text}) for i, text in enumerate(texts)]
    totals = opened(make_bill(tmp_path / "bill", lines).parent).warehouse.control_totals()
    assert totals == [counted("", DAY, "1110", 3), counted("2025-09", DAY, "1")]


def test_more_totals_than_one_answer_of_athena_holds(opened: Callable[..., Opened], tmp_path: Path) -> None:
    """A bill of 1,100 days has 1,100 control totals: Athena gives them in pages of 1,000."""
    lines = [line(1, start=at(date(2022, 9, 1) + timedelta(days=n))) for n in range(1100)]
    totals = opened(make_bill(tmp_path / "bill", lines).parent).warehouse.control_totals()
    assert [one.day for one in totals] == [one.start.date() for one in lines]
    assert sum(one.total for one in totals) == 1100


def test_lines_without_a_date_are_counted_where_they_can_be_read(aws: StandIn, tmp_path: Path) -> None:
    """Athena's totals have them without a day, and dates that nobody meant; the embedded reader refuses the bill."""
    rows = rows_of([line(1), line(2), line(4)], "focus")
    rows[1]["ChargePeriodStart"], rows[2]["ChargePeriodStart"] = None, at(date(1900, 1, 1))
    make_ready(aws, write_rows(tmp_path / "bill" / "focus.parquet", rows).parent)
    totals = platform_on(aws, tmp_path).warehouse.control_totals()
    assert totals == [counted("", None, "6", 2), counted("", DAY, "1")]
    with pytest.raises(BillError, match=r"2 line.s. have no date"):
        open_bill(tmp_path / "bill").control_totals()


SPLIT = "split_line_item_parent_resource_id"
FEW = {
    "focus": {"billedcost", "billingcurrency", "billingperiodstart", "chargeperiodstart"},
    "cur2": {
        "line_item_unblended_cost",
        "line_item_currency_code",
        "bill_billing_period_start_date",
        "line_item_usage_start_date",
    },
}
MANY = {
    "focus": {"chargecategory", "chargeclass", "chargeperiodend", "servicename", "subaccountid"},
    "cur2": {"line_item_usage_account_id", "line_item_product_code", "line_item_line_item_type"},
}


@pytest.mark.parametrize(
    ("fmt", "more", "rules", "needed"),
    [
        ("focus", set(), {}, set()),
        ("focus", set(), {"include_tax": False}, {"chargecategory", "chargeclass"}),
        ("cur2", set(), {}, set()),
        ("cur2", {SPLIT}, {}, {SPLIT}),
    ],
    ids=["FOCUS", "a category is left out", "CUR 2.0", "split lines are left out"],
)
def test_few_columns_are_read(fmt: str, more: set[str], rules: Mapping[str, Any], needed: set[str]) -> None:
    """Day, period, currency and cost, and what tells lines that are left out: no account and no service."""
    columns = dict.fromkeys(sorted(FEW[fmt] | MANY[fmt] | more), "VARCHAR")
    assert set(control_columns(BILL_FORMATS[fmt], columns, Rules("billed", **rules))) == FEW[fmt] | needed


def test_one_query_of_few_columns_says_what_it_is_for(aws: StandIn, tmp_path: Path) -> None:
    """On Athena the control totals are one query, asked once for each state of the files; its receipt names it."""
    lines = [line(n, start=at(DAY, n % 24), account=f"{n:012d}", service=f"Service {n}") for n in range(500)]
    bill = make_bill(tmp_path / "bill", lines)
    make_ready(aws, bill.parent)
    platform = platform_on(aws, tmp_path)
    first, again = platform.warehouse.control_totals(), platform.warehouse.control_totals()
    assert first == again == [counted("", DAY, "124750", 500)]
    assert aws.calls.count("athena", "StartQueryExecution") == 1
    [query] = aws.athena.queries
    assert 0 < query.scanned < bill.stat().st_size / 2
    other = make_bill(tmp_path / "other", [line(3)]).read_bytes()
    aws.client("s3").put_object(Bucket="a-bill-bucket", Key=f"focus/{bill.name}", Body=other)
    assert platform.warehouse.control_totals() == [counted("", DAY, "3")]
    assert aws.calls.count("athena", "StartQueryExecution") == 2
    assert [receipt.purpose for receipt in platform.receipts()] == ["control totals of the whole bill"] * 2


def test_the_embedded_totals_follow_the_files(tmp_path: Path) -> None:
    """They are remembered as long as no file changes, and a caller cannot change what is remembered."""
    warehouse = open_bill(make_bill(tmp_path / "bill", [line(1)]).parent)
    warehouse.control_totals().clear()
    assert warehouse.control_totals() == [counted("", DAY, "1")]
    make_bill(tmp_path / "bill", [line(1), line(2)])
    assert warehouse.control_totals() == [counted("", DAY, "3", 2)]


# --- the export version: billing periods, and files that are not read ----------------------------------------------


def test_each_period_has_an_id_of_its_own_files(opened: Callable[..., Opened], tmp_path: Path) -> None:
    """A period's id changes when a file of it is delivered anew with its manifest, and no other period's does."""
    bill = write_data_export(tmp_path / "focus", [line(1)])
    write_data_export(bill, [line(2)], period="2025-10")
    there = opened(bill)
    before = there.warehouse.export_version().periods
    assert list(before) == ["2025-09", "2025-10"]
    assert there.warehouse.export_version().periods == before
    new = write_data_export(tmp_path / "new" / "focus", [line(1), line(3)])
    data = "data/BILLING_PERIOD=2025-09/focus-00001.snappy.parquet"
    manifest = "metadata/BILLING_PERIOD=2025-09/focus-Manifest.json"
    there.write(data, (new / data).read_bytes())
    there.write(manifest, (new / manifest).read_bytes() + b"\n")
    after = there.warehouse.export_version().periods
    assert after["2025-09"] != before["2025-09"]
    assert after["2025-10"] == before["2025-10"]


def test_files_in_no_periods_folder_have_one_id(opened: Callable[..., Opened], tmp_path: Path) -> None:
    """They are under the empty name, and another file changes the id."""
    bill = make_bill(tmp_path / "bill", [line(1)])
    there = opened(bill.parent)
    before = there.warehouse.export_version().periods
    assert list(before) == [""]
    there.write("more.parquet", bill.read_bytes())
    after = there.warehouse.export_version().periods
    assert list(after) == [""]
    assert after != before


def test_files_that_nobody_reads_are_told_with_one_of_them(opened: Callable[..., Opened], tmp_path: Path) -> None:
    """Hidden data beside the bill is counted on both platforms; notes and the bill itself are not."""
    there = opened(make_bill(tmp_path / "bill", [line(1)]).parent)
    assert there.warehouse.export_version().passed_over == ()
    for name in ("_old.parquet", ".part.csv.gz", "_SUCCESS", ".DS_Store", "._focus.parquet"):
        there.write(name, b"12345")
    hidden = "in a hidden folder, or with a name that begins with . or _"
    assert there.warehouse.export_version().passed_over == (PassedOver(hidden, 2, 10, ".part.csv.gz"),)


def test_empty_objects_are_told_where_athena_passes_over_them(aws: StandIn, tmp_path: Path) -> None:
    """An object of no bytes has no lines, and no error comes of it; a folder's own mark is none of the bill's files."""
    make_ready(aws, make_bill(tmp_path / "bill", [line(1)]).parent)
    for key in ("focus/nothing.parquet", "focus/folder/"):
        aws.client("s3").put_object(Bucket="a-bill-bucket", Key=key, Body=b"")
    passed_over = platform_on(aws, tmp_path).warehouse.export_version().passed_over
    assert passed_over == (PassedOver("empty objects", 1, 0, "nothing.parquet"),)
