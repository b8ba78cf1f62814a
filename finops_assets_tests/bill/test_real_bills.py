"""Real bills that nobody here made: the product's totals are those that strangers computed.

The files are no part of the repository; where they are not beside it, these tests are skipped.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from finops_assets_tests.support.bills import (
    account_map,
    archive_days,
    days_with_charges,
    new_archive,
    open_bill,
    read_rows,
)

DATA = Path(__file__).parents[3] / "shared" / "data"
FOCUS = DATA / "focus_1_0_sample.csv"
CUR = DATA / "aws_cur_legacy_2023-11.csv"

pytestmark = pytest.mark.skipif(not FOCUS.is_file() or not CUR.is_file(), reason=f"no real bills in {DATA}")

SEPTEMBER = (date(2024, 9, 1), date(2024, 9, 30))
NOVEMBER = (date(2023, 11, 1), date(2023, 11, 14))


def added_up(file: Path, start: str, cost: str) -> dict[date, Decimal]:
    """A column by day, line by line in plain Python."""
    totals: dict[date, Decimal] = defaultdict(Decimal)
    with file.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            totals[date.fromisoformat(row[start][:10])] += Decimal(row[cost])
    return totals


@pytest.mark.parametrize(
    ("basis", "column", "total"),
    [("billed", "BilledCost", "20.52022672899"), ("effective", "EffectiveCost", "14.97651418586")],
)
def test_septembers_days_of_the_focus_sample(basis: str, column: str, total: str) -> None:
    """1,000 anonymised lines of a real FOCUS 1.0 bill; one of October's billing period starts in September."""
    warehouse = open_bill(FOCUS, basis=basis)
    days = warehouse.source_days(*SEPTEMBER)
    assert sum(there.total for there in days.values()) == Decimal(total)
    assert {day: there.total for day, there in days.items()} == added_up(FOCUS, "ChargePeriodStart", column)
    assert sum(there.lines for there in days.values()) == 1000
    assert warehouse.describe().format == "focus"
    assert days_with_charges(warehouse) == sorted(days)
    assert sum(row[-1] for row in read_rows(warehouse, *SEPTEMBER)) == Decimal(total)


def test_the_focus_samples_accounts_are_text() -> None:
    """AWS's have lost a digit when they were anonymised, and get a zero; those of other providers stay as they are."""
    ids = set(open_bill(FOCUS).accounts().column("account_id").to_pylist())
    with FOCUS.open(encoding="utf-8", newline="") as lines:
        wanted = {
            row["SubAccountId"].rjust(12, "0") if row["ProviderName"] == "AWS" else row["SubAccountId"]
            for row in csv.DictReader(lines)
        }
    assert ids == wanted


def test_the_focus_sample_is_archived_day_by_day(tmp_path: Path) -> None:
    """Every day of it can be published, with its exact total."""
    warehouse = open_bill(FOCUS)
    days = days_with_charges(warehouse)
    done = archive_days(warehouse, new_archive(tmp_path, account_map()), days)
    assert done.refused == {}
    assert sum(there.total for there in done.published.values()) == Decimal("20.52022672899")


@pytest.mark.parametrize("basis", ["billed", "unblended", "effective"])
def test_the_legacy_cur(basis: str) -> None:
    """1,281 lines of a real CUR in CSV; nothing was committed to, so that every cost basis is the same."""
    warehouse = open_bill(CUR, basis=basis)
    days = warehouse.source_days(*NOVEMBER)
    assert warehouse.describe().format == "cur"
    assert sum(there.total for there in days.values()) == Decimal("1.68230869740")
    assert {day: there.total for day, there in days.items()} == added_up(
        CUR, "lineItem/UsageStartDate", "lineItem/UnblendedCost"
    )
    assert sum(there.lines for there in days.values()) == 1281


def test_a_months_tax_is_a_scheduled_charge_of_its_first_day() -> None:
    """The CUR's 12 tax lines from the 1st to the 1st are 0.08 that nobody used on 1 November; no other day has any."""
    days = open_bill(CUR).source_days(*NOVEMBER)
    first = days.pop(NOVEMBER[0])
    assert (first.scheduled, first.by_category["Tax"]) == (Decimal("0.08"), Decimal("0.08"))
    assert all(there.scheduled == 0 and set(there.by_category) == {"Usage"} for there in days.values())
    without = open_bill(CUR, include_tax=False).source_days(NOVEMBER[0], NOVEMBER[0])[NOVEMBER[0]]
    assert [(out.reason, out.lines, out.total) for out in without.left_out] == [
        ("bill.include_tax", 12, Decimal("0.08"))
    ]
    assert without.total == first.total - Decimal("0.08")


def test_the_legacy_curs_services_have_names() -> None:
    """Its 14 products are named as people know them, not by code."""
    services = {row[2] for row in read_rows(open_bill(CUR), *NOVEMBER)}
    assert len(services) == 14
    assert "AWS CloudTrail" in services
