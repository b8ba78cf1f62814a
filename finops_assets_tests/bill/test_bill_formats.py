"""Each format is recognised and gives the same charges, whichever way its files are written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from finops_assets.core.bill.recognition import normal_name, recognise
from finops_assets.core.values import LeftOut
from finops_assets_tests.support.bills import (
    ACCOUNT,
    DAY,
    FORMATS,
    KINDS,
    LEGACY_PARQUET,
    NULL,
    PAYER,
    at,
    days_with_charges,
    line,
    make_bill,
    open_bill,
    read_rows,
    rows_of,
    source_day,
    write_rows,
)

OTHER = "444455556666"
MONTH = timedelta(days=30)
NEXT = DAY + timedelta(days=1)

LINES = [
    line("12.50"),
    line("0.00000000001", start=at(hour=23, minute=59)),
    line("1234.56789012345", service="Amazon S3", account=OTHER, start=at(hour=7)),
    line("1234.56789012345", service="Amazon S3", account=OTHER, start=at(hour=7)),
    line("-3.25", service="Amazon RDS"),
    line("99999999.99", service="AWS Support", category="Purchase", length=MONTH),
    line("7.77", service='Tax, "GST"', category="Tax", length=MONTH),
    line("-5", category="Credit"),
    line("-0.75", category="Refund"),
    line("2", start=at(NEXT), account=OTHER, service=None),
]


@pytest.mark.parametrize(
    ("columns", "name", "reason"),
    [
        (["ChargePeriodStart", "BillingCurrency", "ServiceName"], "focus", "the names of FOCUS 1.0 to 1.2"),
        (["chargeperiodstart", "billingcurrency"], "focus", "as Athena lower-cases them"),
        (["ChargePeriodStart", "BilledCost"], "focus", "one required column is missing: the error is to name it"),
        (["line_item_usage_start_date", "bill_payer_account_name"], "cur2", "a column that only CUR 2.0 has"),
        (["line_item_usage_start_date", "product"], "cur2", "CUR 2.0 has product as a map"),
        (["line_item_usage_start_date", "product_product_name"], "cur", "a legacy CUR in Parquet"),
        (["lineItem/UsageStartDate", "lineItem/LineItemType"], "cur", "a legacy CUR in CSV"),
        (["lineItem/LineItemType"], "cur", "without its start date it is still a CUR"),
        (["BillingDate", "OU", "Service", "LinkedAccount", "Cost"], "summary", "the mission's table"),
        (["BillingDate", "Service", "LinkedAccount", "Cost"], "summary", "one column short: the error is to name it"),
    ],
)
def test_a_bill_is_recognised_by_its_columns(columns: list[str], name: str, reason: str) -> None:
    """The columns alone say what a bill is."""
    assert recognise(map(normal_name, columns), "x").name == name, reason


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("lineItem/UsageStartDate", "line_item_usage_start_date"),
        ("reservation/ReservationARN", "reservation_reservation_a_r_n"),
        ("savingsPlan/SavingsPlanEffectiveCost", "savings_plan_savings_plan_effective_cost"),
        ("bill/PayerAccountId", "bill_payer_account_id"),
        ("BilledCost", "billedcost"),
        ("line_item_unblended_cost", "line_item_unblended_cost"),
        ("\ufeffBilledCost", "billedcost"),
        (" Service ", "service"),
    ],
)
def test_headers_have_the_names_that_parquet_gives_them(header: str, name: str) -> None:
    """A CSV's header and a Parquet column of the same bill are one column."""
    assert normal_name(header) == name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fmt", ["focus", "cur2", "cur"])
def test_every_export_gives_the_same_charges_in_every_kind_of_file(tmp_path: Path, fmt: str, kind: str) -> None:
    """Days, exact totals, categories, scheduled charges, accounts and services are the same nine times."""
    warehouse = open_bill(make_bill(tmp_path, LINES, fmt, kind))
    assert warehouse.describe().format == fmt
    days = warehouse.source_days(DAY, NEXT)
    assert list(days) == days_with_charges(warehouse) == [DAY, NEXT]
    there = days[DAY]
    assert (there.currency, there.lines, there.left_out) == ("USD", 9, ())
    assert there.total == sum(one.cost for one in LINES[:9]).quantize(Decimal("1e-12"))
    assert there.scheduled == Decimal("99999999.99") + Decimal("7.77") - 5 - Decimal("0.75")
    assert there.by_category == {
        "Credit": Decimal(-5),
        "Purchase": Decimal("99999999.99"),
        "Refund": Decimal("-0.75"),
        "Tax": Decimal("7.77"),
        "Usage": Decimal("9.25") + Decimal("0.00000000001") + 2 * Decimal("1234.56789012345"),
    }
    assert read_rows(warehouse, DAY, NEXT) == [
        (DAY, "Engineering", "AWS Support", ACCOUNT, Decimal("99999999.99")),
        (DAY, "Engineering", "Amazon EC2", ACCOUNT, Decimal("6.75000000001")),
        (DAY, "Engineering", "Amazon RDS", ACCOUNT, Decimal("-3.25")),
        (DAY, "Engineering", 'Tax, "GST"', ACCOUNT, Decimal("7.77")),
        (DAY, "Unassigned", "Amazon S3", OTHER, Decimal("2469.1357802469")),
        (NEXT, "Unassigned", "(no service)", OTHER, Decimal(2)),
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_summary_table_keeps_its_own_ous(tmp_path: Path, kind: str) -> None:
    """A finops_daily_summary has the same money; it says the OU itself and nothing of categories."""
    warehouse = open_bill(make_bill(tmp_path, LINES, "summary", kind), currency="EUR")
    there = warehouse.source_days(DAY, NEXT)[DAY]
    total = sum(one.cost for one in LINES[:9]).quantize(Decimal("1e-12"))
    assert (there.currency, there.total, there.scheduled, there.by_category) == ("EUR", total, 0, {"Cost": total})
    assert {row[1] for row in read_rows(warehouse, DAY, NEXT)} == {"Engineering"}


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_format_that_is_set_reads_as_one_that_is_recognised(tmp_path: Path, fmt: str) -> None:
    """bill.format changes nothing where it says what the columns say."""
    path = make_bill(tmp_path, LINES, fmt)
    assert source_day(path, fmt=fmt) == source_day(path)


@pytest.mark.parametrize(
    ("fmt", "extra", "bases"),
    [
        ("focus", {}, ("billed", "effective")),
        ("cur2", {}, ("billed", "unblended", "effective")),
        (
            "cur2",
            {"line_item_net_unblended_cost": Decimal(1)},
            ("billed", "unblended", "net_unblended", "effective", "net_amortized"),
        ),
        ("cur", {}, ("billed", "unblended", "net_unblended", "effective", "net_amortized")),
        ("cur", {"reservation/NetEffectiveCost": Decimal(1)}, ("billed", "unblended", "effective")),
        ("summary", {}, ("billed", "effective", "unblended", "net_unblended", "net_amortized")),
    ],
)
def test_a_bill_says_which_costs_it_has(tmp_path: Path, fmt: str, extra: dict, bases: tuple[str, ...]) -> None:
    """The cost bases on offer are those that the columns allow; a summary's Cost is what its owner says it is.

    A legacy CUR without any net column has no private discount; the columns of CUR 2.0 are selected.
    """
    warehouse = open_bill(make_bill(tmp_path, [line(1, extra=extra)], fmt), basis=bases[-1])
    assert warehouse.describe().cost_bases == bases


@pytest.mark.parametrize(
    ("fmt", "extra", "basis", "cost"),
    [
        ("focus", {"EffectiveCost": Decimal(2)}, "billed", 1),
        ("focus", {"EffectiveCost": Decimal(2)}, "effective", 2),
        ("cur2", {"line_item_net_unblended_cost": Decimal(3)}, "billed", 1),
        ("cur2", {"line_item_net_unblended_cost": Decimal(3)}, "unblended", 1),
        ("cur2", {"line_item_net_unblended_cost": Decimal(3)}, "net_unblended", 3),
        ("cur2", {"line_item_net_unblended_cost": Decimal(3)}, "effective", 1),
        ("cur2", {"line_item_net_unblended_cost": Decimal(3)}, "net_amortized", 3),
        ("summary", {}, "net_amortized", 1),
    ],
)
def test_each_cost_basis_reads_its_own_column(tmp_path: Path, fmt: str, extra: dict, basis: str, cost: int) -> None:
    """bill.cost_basis chooses the column of a usage line."""
    assert source_day(make_bill(tmp_path, [line(1, extra=extra)], fmt), basis=basis).total == cost


@pytest.mark.parametrize(
    ("line_type", "category", "scheduled"),
    [
        ("Usage", "Usage", False),
        ("DiscountedUsage", "Usage", False),
        ("SavingsPlanCoveredUsage", "Usage", False),
        ("SavingsPlanNegation", "Usage", False),
        ("Fee", "Purchase", True),
        ("RIFee", "Purchase", True),
        ("SavingsPlanUpfrontFee", "Purchase", True),
        ("SavingsPlanRecurringFee", "Purchase", True),
        ("Tax", "Tax", True),
        ("Credit", "Credit", True),
        ("Refund", "Refund", True),
        ("EdpDiscount", "Adjustment", False),
        ("PrivateRateDiscount", "Adjustment", False),
        ("SomethingNew", "SomethingNew", False),
        (None, "(no type)", False),
    ],
)
def test_line_item_types_have_the_categories_of_focus(
    tmp_path: Path, line_type: str | None, category: str, scheduled: bool
) -> None:
    """A CUR's types are told in FOCUS's words, and fees, tax and credits are scheduled charges."""
    there = source_day(make_bill(tmp_path, [line(1, extra={"line_item_line_item_type": line_type})], "cur2"))
    assert (there.by_category, there.scheduled) == ({category: Decimal(1)}, Decimal(scheduled))


@pytest.mark.parametrize(
    ("category", "length", "extra", "scheduled", "reason"),
    [
        ("Usage", timedelta(hours=1), {}, False, "an hour's usage"),
        ("Usage", timedelta(days=1), {}, False, "a day's usage"),
        ("Usage", timedelta(days=1, hours=1), {}, True, "longer than a day"),
        ("Usage", MONTH, {}, True, "storage billed by the month"),
        ("Usage", timedelta(hours=1), {"ChargeFrequency": "Recurring"}, True, "a subscription"),
        ("Usage", timedelta(hours=1), {"ChargeFrequency": None}, False, "nothing said"),
        ("Usage", timedelta(hours=1), {"ChargeClass": "Correction"}, True, "a correction of an earlier day"),
        ("Adjustment", timedelta(hours=1), {"ChargeFrequency": None}, True, "a refund"),
        ("Adjustment", timedelta(hours=1), {"ChargeFrequency": "Usage-based"}, False, "an adjustment of usage"),
        ("Purchase", timedelta(hours=1), {}, True, "a fee"),
        ("Tax", MONTH, {}, True, "a month's tax stands on its first day"),
        ("Tax", timedelta(hours=1), {}, True, "tax of any length"),
        ("Credit", timedelta(hours=1), {}, True, "a credit"),
    ],
)
def test_a_scheduled_charge_is_not_usage_of_its_day(
    tmp_path: Path, category: str, length: timedelta, extra: dict, scheduled: bool, reason: str
) -> None:
    """What is booked on a day without being used on it is told apart."""
    there = source_day(make_bill(tmp_path, [line(3, category=category, length=length, extra=extra)]))
    assert there.scheduled == (3 if scheduled else 0), reason


@pytest.mark.parametrize("fmt", ["focus", "cur2", "cur"])
@pytest.mark.parametrize(
    ("setting", "category"), [("include_tax", "Tax"), ("include_credits", "Credit"), ("include_refunds", "Refund")]
)
def test_what_a_setting_leaves_out_is_counted(tmp_path: Path, fmt: str, setting: str, category: str) -> None:
    """Tax, credits and refunds can each be left out alone; lines and money left out are told."""
    costs = {"Usage": 10, "Tax": 4, "Credit": -2, "Refund": -1}
    lines = [line(cost, category=name) for name, cost in costs.items()] + [line(costs[category], category=category)]
    warehouse = open_bill(make_bill(tmp_path, lines, fmt), **{setting: False})
    there = warehouse.source_days(DAY, DAY)[DAY]
    out = costs.pop(category)
    assert there.left_out == (LeftOut(f"bill.{setting}", 2, Decimal(2 * out)),)
    assert (there.total, there.lines) == (sum(costs.values()), 3)
    assert set(there.by_category) == set(costs)
    assert sum(row[-1] for row in read_rows(warehouse)) == there.total


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"split_line_item_parent_resource_id": "i-1"}, "the parent's own line is the money"),
        ({"line_item_operation": "EKSPod-EC2"}, "a pod's share"),
        ({"line_item_operation": "ECSTask-EC2"}, "a task's share"),
    ],
)
def test_split_cost_allocation_is_not_money(tmp_path: Path, columns: dict, reason: str) -> None:
    """Lines that share out an instance's cost among pods and tasks are left out, counted."""
    whole = {name: "RunInstances" if name == "line_item_operation" else None for name in columns}
    there = source_day(
        make_bill(tmp_path, [line(8, extra=whole), line(5, extra=columns), line(3, extra=columns)], "cur2")
    )
    assert there.total == 8, reason
    assert there.left_out == (LeftOut("split cost allocation", 2, Decimal(8)),)


# --- which day a charge is of -------------------------------------------------------------------------------------


@pytest.mark.parametrize("fmt", ["focus", "cur"])
@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2025-09-10T00:00:00Z", 10),
        ("2025-09-10T23:59:59.999Z", 10),
        ("2025-09-10T23:59:59.999999999Z", 10),
        ("2025-09-11T00:00:00.000Z", 11),
        ("2025-09-10 00:00:00", 10),
        ("2025-09-10 23:59:59", 10),
        ("2025-09-10", 10),
        ("2025-09-11T00:30:00+02:00", 10),
        ("2025-09-11 02:00:00+02:00", 11),
        ("2025-09-10T20:00:00-05:00", 11),
        ("2025-09-11 00:30+02", 10),
        ("2025-09-10 21:00:00-0330", 11),
        ("2025-09-10 23:59:59 UTC", 10),
    ],
)
def test_text_is_booked_on_its_utc_day(tmp_path: Path, fmt: str, text: str, day: int) -> None:
    """A zone in a CSV is honoured, a time without one is UTC, and a day ends before midnight."""
    row = rows_of([line(1)], fmt)[0]
    row["ChargePeriodStart" if fmt == "focus" else "lineItem/UsageStartDate"] = text
    assert days_with_charges(open_bill(write_rows(tmp_path / "bill.csv", [row]))) == [date(2025, 9, day)]


BERLIN = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("moment", "type_", "day"),
    [
        (at(hour=23, minute=59, second=59, microsecond=999_999), pa.timestamp("us"), 10),
        (at(hour=23, minute=59, second=59, microsecond=999_000), pa.timestamp("ms"), 10),
        (at(hour=23, minute=59, second=59), pa.timestamp("ns"), 10),
        (at(hour=23, minute=59, second=59), pa.timestamp("s"), 10),
        (at(date(2025, 9, 11)), pa.timestamp("us"), 11),
        (datetime(2025, 9, 10, 23, 59, 59, tzinfo=UTC), pa.timestamp("us", "UTC"), 10),
        (datetime(2025, 9, 11, 0, 30, tzinfo=BERLIN), pa.timestamp("us", "Europe/Berlin"), 10),
        (datetime(2025, 9, 11, 2, 0, tzinfo=BERLIN), pa.timestamp("ns", "Europe/Berlin"), 11),
        (date(2025, 9, 10), pa.date32(), 10),
        ("2025-09-11T00:30:00+02:00", pa.string(), 10),
    ],
)
def test_parquet_times_are_booked_on_their_utc_day(tmp_path: Path, moment: Any, type_: pa.DataType, day: int) -> None:
    """Whatever the unit and the zone of a Parquet timestamp, it is of its UTC day."""
    row = {**rows_of([line(1)], "focus")[0], "ChargePeriodStart": moment, "ChargePeriodEnd": None}
    types = {"ChargePeriodStart": type_, "ChargePeriodEnd": pa.timestamp("us")}
    path = write_rows(tmp_path / "bill.parquet", [row], types)
    assert days_with_charges(open_bill(path)) == [date(2025, 9, day)]


def test_the_range_asked_for_is_half_open(tmp_path: Path) -> None:
    """A day has its first moment and not the next day's."""
    edges = [at() - timedelta(microseconds=1), at(), at(NEXT) - timedelta(microseconds=1), at(NEXT)]
    path = make_bill(tmp_path, [line(10**i, start=moment) for i, moment in enumerate(edges)])
    assert source_day(path).total == 110
    assert set(open_bill(path).source_days(DAY, DAY)) == {DAY}


def test_the_machines_time_zone_does_not_matter(tmp_path: Path) -> None:
    """On a machine in New York the bill has the same days."""
    edges = [at(), at(hour=23, minute=59)]
    path = write_rows(tmp_path / "bill.csv", rows_of([line(1, start=moment) for moment in edges], "focus"))
    code = (
        "import sys, datetime; from pathlib import Path; from finops_assets_tests.support.bills import *;"
        "w = open_bill(Path(sys.argv[1]));"
        "print(*days_with_charges(w), *(t.total for t in w.source_days(DAY, DAY).values()),"
        "*[r[0] for r in read_rows(w)])"
    )
    environ = {**os.environ, "TZ": "America/New_York", "PYTHONPATH": str(Path(__file__).parents[2])}
    ran = subprocess.run(
        [sys.executable, "-c", code, str(path)], env=environ, capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == [str(DAY), "2.000000000000", str(DAY)]


# --- columns that differ from bill to bill ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fmt", "absent", "reason"),
    [
        ("focus", ["ChargeCategory", "ChargeClass", "ChargeFrequency"], "FOCUS 1.0 of another provider"),
        ("focus", ["ChargePeriodEnd", "EffectiveCost", "SubAccountName"], "columns that nobody selected"),
        ("focus", ["BillingAccountId"], "the sub-account is enough"),
        ("cur2", ["line_item_usage_end_date", "line_item_usage_account_name"], "columns that nobody selected"),
        ("cur2", ["bill_payer_account_id"], "the usage account is enough"),
        ("cur", ["bill/PayerAccountId", "lineItem/UsageEndDate"], "columns that nobody selected"),
    ],
)
def test_optional_columns_may_be_absent(tmp_path: Path, fmt: str, absent: list[str], reason: str) -> None:
    """A bill without its optional columns is read, to the same total."""
    rows = [{name: value for name, value in row.items() if name not in absent} for row in rows_of(LINES[:5], fmt)]
    found = source_day(write_rows(tmp_path / "bill.csv", rows))
    assert found.total == sum(one.cost for one in LINES[:5]), reason


def test_columns_that_nobody_needs_do_no_harm(tmp_path: Path) -> None:
    """Extra columns of any type and name, doubled or without one, are passed over."""
    extra = {"Tags": {"a": ["b"]}, "cost": "x", "filename": None, "order by": 3, 'x"y': 1.5, "left_out": "no"}
    path = make_bill(tmp_path / "a", [line(1, extra=extra)])
    assert source_day(path).total == 1
    text = "ChargePeriodStart,BilledCost,BillingCurrency,SubAccountId,ServiceName,tags/Owner,tags/owner,Tags,tags,,\n"
    csv = tmp_path / "bill.csv"
    csv.write_text(text + "2025-09-10 00:00:00,1.5,USD,1,EC2,a,b,c,d,e,f\n", encoding="utf-8")
    assert source_day(csv).total == Decimal("1.5")


def test_files_of_one_bill_may_differ_in_their_columns(tmp_path: Path) -> None:
    """A column that appears in the second month, or in another order, is read where it is."""
    rows = rows_of([line(1), line(2, start=at(NEXT), category="Tax")], "focus")
    write_rows(tmp_path / "bill" / "1.csv", [{k: v for k, v in rows[0].items() if k != "ChargeCategory"}])
    write_rows(tmp_path / "bill" / "2.csv", [dict(reversed(rows[1].items()))])
    days = open_bill(tmp_path / "bill").source_days(DAY, NEXT)
    assert days[DAY].by_category == {"Cost": 1}
    assert days[NEXT].by_category == {"Tax": 2}


@pytest.mark.parametrize(
    ("value", "service", "reason"),
    [
        (NULL, "(no service)", "an unquoted NULL is none, as in FOCUS's own sample"),
        ("NULL", "NULL", "a quoted one is text"),
        ("", "(no service)", "empty is none"),
        ("null", "null", "only the token is none"),
        ("Amazon\nS3", "Amazon\nS3", "a line break within quotes"),
        ('"; DROP TABLE bill; --', '"; DROP TABLE bill; --', "quotes and SQL are text"),
        ("Büro ☕ 東京", "Büro ☕ 東京", "any script"),
    ],
)
def test_csv_values_are_read_as_they_are_written(tmp_path: Path, value: str, service: str, reason: str) -> None:
    """Nothing is guessed from a value's look."""
    path = write_rows(tmp_path / "bill.csv", [{**rows_of([line(1)], "focus")[0], "ServiceName": value}])
    assert read_rows(open_bill(path))[0][2] == service, reason


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_lines_may_end_in_any_way(tmp_path: Path, newline: str) -> None:
    """Files of Unix, Windows and old tools, with a byte-order mark, blank lines and no last line end."""
    rows = rows_of([line(1), line(2)], "focus")
    text = write_rows(tmp_path / "unix.csv", rows).read_text(encoding="utf-8")
    path = tmp_path / "bill.csv"
    path.write_bytes(("\ufeff" + text.replace("\n", newline) + newline).rstrip(newline).encode())
    assert source_day(path).total == 3


def test_duplicate_and_negative_lines_are_money(tmp_path: Path) -> None:
    """Lines that are alike to the last column are each counted, and so is money that comes back."""
    assert source_day(make_bill(tmp_path, [line("1.1")] * 3 + [line("-0.3")] * 2)).total == Decimal("2.7")


@pytest.mark.parametrize(
    ("type_", "value", "account", "reason"),
    [
        (pa.int64(), 111122223333, "111122223333", "a tool saw a number"),
        (pa.int64(), 1122223333, "001122223333", "an AWS account has 12 digits: its zeros were lost"),
        (pa.float64(), 111122223333.0, "111122223333", "as pandas has whole numbers beside nulls"),
        (pa.int64(), 1234567890123, "1234567890123", "more digits are kept"),
        (pa.string(), "51738928782", "051738928782", "text is a number that lost its zero, too"),
        (pa.decimal128(12, 0), Decimal(1122223333), "001122223333", "a warehouse's number"),
    ],
)
def test_account_ids_that_are_numbers_are_ids_again(
    tmp_path: Path, type_: pa.DataType, value: Any, account: str, reason: str
) -> None:
    """An account id that lost its form finds its OU all the same."""
    row = {**rows_of([line(1)], "focus")[0], "SubAccountId": value}
    path = write_rows(tmp_path / "bill.parquet", [row], {"SubAccountId": type_})
    assert read_rows(open_bill(path))[0][3] == account, reason


@pytest.mark.parametrize("fmt", ["focus", "cur2", "cur"])
@pytest.mark.parametrize("nobody", [None, ""])
def test_a_line_without_an_account_is_the_payers(tmp_path: Path, fmt: str, nobody: str | None) -> None:
    """Charges that no linked account owns, such as tax, are the payer account's."""
    warehouse = open_bill(make_bill(tmp_path, [line(1, account=nobody)], fmt))
    assert read_rows(warehouse)[0][3] == PAYER
    assert warehouse.accounts().to_pylist() == [{"account_id": PAYER, "account_name": warehouse_name(fmt)}]


def warehouse_name(fmt: str) -> str:
    return "" if fmt == "cur" else "shop-prod"


def test_accounts_have_their_newest_name(tmp_path: Path) -> None:
    """An account that was renamed is listed once, by the name of its newest charge."""
    names = {at(): "new-name", at(DAY - timedelta(days=40)): "old-name"}
    lines = [line(1, start=start, extra={"SubAccountName": name}) for start, name in names.items()]
    assert open_bill(make_bill(tmp_path, lines)).accounts().to_pylist() == [
        {"account_id": ACCOUNT, "account_name": "new-name"}
    ]


@pytest.mark.parametrize(
    ("product", "service", "reason"),
    [
        ({"product_name": "Amazon Simple Storage Service", "sku": "x"}, "Amazon Simple Storage Service", "the name"),
        ({"sku": "x"}, "a-code", "a map without the name"),
        ({}, "a-code", "an empty map"),
        (None, "a-code", "no map"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_cur2_names_the_product_in_a_map(
    tmp_path: Path, kind: str, product: dict | None, service: str, reason: str
) -> None:
    """The service is the product's name in the map (Parquet) or in the JSON text (CSV), else the product's code."""
    types = {"product": pa.map_(pa.string(), pa.string())}
    value: Any = product
    if kind == "parquet":
        value = None if product is None else list(product.items())
    elif product is not None:
        value = json.dumps(product)
    row = {**rows_of([line(1, service="a-code")], "cur2")[0], "product": value}
    warehouse = open_bill(write_rows(tmp_path / f"bill.{kind}", [row], types))
    assert warehouse.describe().format == "cur2"
    assert read_rows(warehouse)[0][2] == service, reason


def test_a_map_that_is_not_json_is_no_reason_to_stop(tmp_path: Path) -> None:
    """A product that cannot be looked into leaves the product's code."""
    row = {**rows_of([line(1, service="a-code")], "cur2")[0], "product": "{product_name=S3}"}
    assert read_rows(open_bill(write_rows(tmp_path / "bill.csv", [row])))[0][2] == "a-code"


@pytest.mark.parametrize("kind", KINDS)
def test_a_legacy_cur_has_the_service_that_people_know(tmp_path: Path, kind: str) -> None:
    """product/ProductName comes before product codes, and headers with slashes are read."""
    row = {**rows_of([line(1)], "cur")[0], "product/ProductName": "Amazon Elastic Compute Cloud"}
    if kind == "parquet":
        names = {**LEGACY_PARQUET, "product/ProductName": "product_product_name"}
        row = {names[name]: value for name, value in row.items()}
    assert read_rows(open_bill(write_rows(tmp_path / f"bill.{kind}", [row])))[0][2] == "Amazon Elastic Compute Cloud"


def test_legacy_headers_are_read_as_their_parquet_names(tmp_path: Path) -> None:
    """reservation/ReservationARN is reservation_reservation_a_r_n: a reservation's upfront fee is amortized."""
    extra = {"lineItem/LineItemType": "Fee", "reservation/ReservationARN": "arn:aws:rds:1"}
    path = make_bill(tmp_path, [line(100, extra=extra), line(3)], "cur", "csv")
    assert source_day(path, basis="effective").total == 3
    assert source_day(path, basis="billed").total == 103


# --- money --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "cost"),
    [("8.0E-7", "0.0000008"), ("5e-9", "0.000000005"), ("-0", "0"), ("+1.5", "1.5"), (".5", "0.5"), ("1E3", "1000")],
)
def test_csv_amounts_may_have_exponents_and_signs(tmp_path: Path, text: str, cost: str) -> None:
    """Every spelling of a number that AWS uses is that number."""
    path = write_rows(tmp_path / "bill.csv", [{**rows_of([line(1)], "focus")[0], "BilledCost": text}])
    assert source_day(path).total == Decimal(cost)


@pytest.mark.parametrize(
    "amount", ["0.00000000001", "999.99", "1000", "1000.01", "12345.67", "123456.78", "98765432.1", "-4567890.123"]
)
def test_a_double_is_the_decimal_that_it_is_written_as(tmp_path: Path, amount: str) -> None:
    """12,345.67 in Parquet is 12345.67 to the last decimal, not 12345.670000000001."""
    assert source_day(make_bill(tmp_path, [line(amount)] * 3)).total == 3 * Decimal(amount)


@pytest.mark.parametrize(
    "type_", [pa.decimal128(20, 11), pa.decimal128(38, 12), pa.float32(), pa.int32(), pa.string()], ids=str
)
def test_costs_may_have_any_numeric_type(tmp_path: Path, type_: pa.DataType) -> None:
    """Decimals, floats, whole numbers and text in Parquet are the same money."""
    value: Any = "3" if type_ == pa.string() else Decimal(3) if pa.types.is_decimal(type_) else 3
    row = {**rows_of([line(1)], "focus")[0], "BilledCost": value}
    assert source_day(write_rows(tmp_path / "bill.parquet", [row], {"BilledCost": type_})).total == 3


def test_one_currency_is_chosen_of_two(tmp_path: Path) -> None:
    """With a currency set, lines in others are left out and counted, each currency for itself."""
    lines = [line(10), line(7, currency="EUR"), line(5, currency="GBP"), line(1, category="Tax", currency="EUR")]
    lines += [line(2, category="Tax"), line(9, start=at(NEXT), currency="EUR")]
    warehouse = open_bill(make_bill(tmp_path, lines), currency="USD", include_tax=False)
    there = warehouse.source_days(DAY, NEXT)[DAY]
    assert (there.currency, there.total) == ("USD", 10)
    assert there.left_out == (
        LeftOut("bill.currency is USD", 2, Decimal(8), "EUR"),
        LeftOut("bill.currency is USD", 1, Decimal(5), "GBP"),
        LeftOut("bill.include_tax", 1, Decimal(2)),
    )
    assert sum(row[-1] for row in read_rows(warehouse, DAY, NEXT)) == 10
    assert days_with_charges(warehouse) == [DAY], "a day of which nothing is kept is not covered"


def test_two_kinds_of_bill_do_not_disturb_each_other_in_one_column(tmp_path: Path) -> None:
    """A month with costs as doubles and one with costs as text are one bill."""
    rows = rows_of([line("0.1"), line("12345.67", start=at(NEXT))], "focus")
    write_rows(tmp_path / "bill" / "1.parquet", rows[:1])
    write_rows(tmp_path / "bill" / "2.parquet", [{**rows[1], "BilledCost": "12345.67"}])
    days = open_bill(tmp_path / "bill").source_days(DAY, NEXT)
    assert [days[DAY].total, days[NEXT].total] == [Decimal("0.1"), Decimal("12345.67")]
