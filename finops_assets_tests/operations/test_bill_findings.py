"""What `finops doctor` says of the bill: counted by hand, the same through both engines."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from finops_assets.core.bill.totals import bill_totals
from finops_assets.core.operations.bill_findings import bill_findings
from finops_assets.core.ports import Warehouse
from finops_assets.core.values import BillProfile
from finops_assets_tests.support.bills import DAY, at, line, make_bill, open_bill, rows_of, write_rows
from finops_assets_tests.support.command import finops
from finops_assets_tests.support.on_aws import make_ready, platform_on

AUGUST, JULY = date(2025, 8, 31), date(2025, 7, 31)
HOUR, WEEK = timedelta(hours=1), timedelta(days=7)


@pytest.fixture(params=["DuckDB", "Athena"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Warehouse]:
    def open_(bill: Path, **rules: Any) -> Warehouse:
        if request.param == "DuckDB":
            return open_bill(bill, **rules)
        make_ready(request.getfixturevalue("aws"), bill.parent)
        return platform_on(
            request.getfixturevalue("aws"), tmp_path, **{f"bill__{k}": v for k, v in rules.items()}
        ).warehouse

    return open_


def test_lines_are_counted_by_length_payer_and_the_form_of_their_account(
    opened: Callable[..., Warehouse], tmp_path: Path
) -> None:
    """Of a FOCUS bill: usage of an hour, a day and a week; a purchase is no usage; older months are not asked for."""
    lines = [
        *(line(1, start=at(DAY), length=HOUR, account=account) for account in ("12345678901", "012345678901")),
        line(1, start=at(DAY), length=timedelta(days=1)),
        line(1, start=at(DAY), length=WEEK),
        line(1, start=at(DAY), category="Purchase", length=timedelta(days=30)),
        line(1, start=at(AUGUST)),
        line(1, start=at(JULY)),
    ]
    rows = [row | {"ProviderName": "Amazon Web Services"} for row in rows_of(lines, "focus")]
    rows[3] |= {"ProviderName": "Microsoft", "BillingAccountId": "tenant-1"}
    warehouse = opened(write_rows(tmp_path / "bill" / "focus.parquet", rows))
    assert warehouse.profile(AUGUST) == BillProfile(
        payers={"AWS": ("999988887777",), "Microsoft": ("tenant-1",)},
        lengths={"hour": 3, "day": 1, "longer": 1},
        lines=6,
        rewritten=1,
        example="12345678901",
    )


def test_what_is_said_of_a_bill(tmp_path: Path) -> None:
    """Each month with its days, lines and total; a cost basis that some lines could not have names its columns."""
    lines = [line("1.50", start=at(DAY), account="12345678901"), line("2", start=at(AUGUST)), line("4", start=at(JULY))]
    warehouse = open_bill(make_bill(tmp_path / "bill", lines, "cur2"))
    said = {of.name: of.detail for of in bill_findings(warehouse, bill_totals(warehouse.control_totals()), DAY)}
    assert said["months"] == (
        "2025-09 1 day(s), 1 lines, 1.50 USD; 2025-08 1 day(s), 1 lines, 2.00 USD; 2025-07 1 day(s), 1 lines, 4.00 USD"
    )
    assert said["payers"] == "AWS bills 999988887777"
    assert said["lines"] == (
        "since 2025-08-01: 2 lines, 100 % of usage hourly, "
        "1 with an account id in another form: '12345678901' is read as 012345678901"
    )
    assert "net_unblended line_item_net_unblended_cost" in said["columns"]
    assert "delivery" not in said


def test_the_bill_is_described_before_any_day_is_archived(tmp_path: Path) -> None:
    """By the command, from the bill alone; nothing is made for it."""
    make_bill(tmp_path / "bill", [line("1.50", start=at(DAY)), line("2", start=at(AUGUST))], "cur2")
    now = datetime(2025, 9, 11, 7, tzinfo=UTC)
    answer = finops("doctor", "--json", cwd=tmp_path, now=now, FINOPS_BILL__PATH="bill")
    said = {of["name"]: of["detail"] for of in json.loads(answer.stdout)}
    assert said["months"] == "2025-09 1 day(s), 1 lines, 1.50 USD; 2025-08 1 day(s), 1 lines, 2.00 USD"
    assert said["payers"] == "AWS bills 999988887777"
    assert not list((tmp_path / ".finops").rglob("*.parquet"))


def test_of_many_months_the_newest_are_named_and_the_others_summed(tmp_path: Path) -> None:
    """A year fits in a line."""
    days = [date(2025, month, 1) + timedelta(days=n) for month in range(1, 10) for n in (0, 1)]
    warehouse = open_bill(make_bill(tmp_path / "bill", [line("0.1", start=at(day)) for day in days]))
    said = {of.name: of.detail for of in bill_findings(warehouse, bill_totals(warehouse.control_totals()), days[-1])}
    assert said["months"].endswith("; 6 earlier month(s) 12 day(s), 12 lines, 1.20 USD")
    assert sum((of.total for of in bill_totals(warehouse.control_totals()).days.values()), Decimal()) == Decimal("1.8")
