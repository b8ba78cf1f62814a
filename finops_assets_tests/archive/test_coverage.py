"""Every line of the bill is in an archived day, or named: with figures that are written by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from finops_assets.core.archive.available_days import days_to_archive
from finops_assets.core.archive.bill_difference import PublishedAs
from finops_assets.core.archive.coverage import coverage
from finops_assets.core.archive.settlement import closes, settlement
from finops_assets.core.bill.layout import period_of
from finops_assets.core.bill.totals import Amount, BillTotals, bill_totals
from finops_assets.core.values import ControlTotal
from finops_assets_tests.support.bills import DAY, at, line, make_bill, open_bill
from finops_assets_tests.support.on_aws import make_ready, platform_on
from standin.server import StandIn

pytestmark = pytest.mark.usefixtures("records_in_memory")

FIRST, YESTERDAY = date(2025, 9, 1), date(2025, 9, 30)


def september(day: int) -> date:
    return date(2025, 9, day)


def control(day: date | None, lines: int, total: str, period: str = "2025-09", **facts: str) -> ControlTotal:
    said = {"currency": "USD", "left_out": ""} | facts
    return ControlTotal(period, day, said["currency"], said["left_out"], lines, 0, Decimal(total))


def archived(lines: int, total: str, *, held: bool = False) -> PublishedAs:
    return PublishedAs("a-fingerprint", Decimal(total), "USD", held, lines)


BILL = bill_totals(
    [
        control(date(2022, 12, 31), 1, "100"),  # a fee that carries its own start
        control(september(10), 3, "10.01"),
        control(september(11), 2, "20.02"),
        control(september(11), 1, "0.50", period="2025-10"),  # billed late
        control(september(12), 4, "40.00"),
        control(september(14), 1, "1.25"),
        control(september(30), 2, "3.00"),
        control(date(2025, 11, 20), 1, "500"),
        control(september(10), 5, "7.00", left_out="bill.include_tax"),
        control(september(10), 2, "9.00", left_out="bill.currency is USD", currency="EUR"),
    ]
)
ARCHIVE = {
    september(10): archived(3, "10.01"),
    september(11): archived(2, "20.02"),
    september(13): archived(1, "5.00"),
    september(14): archived(1, "1.25"),
    date(2025, 8, 31): archived(6, "60.00"),
}


def of(totals: BillTotals = BILL, there: dict[date, PublishedAs] = ARCHIVE, **how: object) -> object:
    about = {"first_day": FIRST, "yesterday": YESTERDAY, "until": september(29), "cost_basis": "billed", **how}
    return coverage(totals, there, **about)


def test_each_line_is_in_a_day_or_has_its_reason() -> None:
    """Lines and money of the parts add up to the bill's, which is 674.78 USD in 15 lines."""
    found = of()
    assert found.bill == Amount(15, Decimal("674.78"))
    assert found.archived == Amount(7, Decimal("36.28"))
    assert {(part.reason.split(":")[0].split(" (")[0], part.days): part.amount for part in found.parts} == {
        ("not archived yet", (september(12),)): Amount(4, Decimal("40.00")),
        ("the bill has changed since", (september(11),)): Amount(1, Decimal("0.50")),
        ("the bill has no line of the day any more", (september(13),)): Amount(-1, Decimal("-5.00")),
        ("before bill.first_day", (date(2022, 12, 31),)): Amount(1, Decimal("100")),
        ("the day was not over when the export was written", (september(30),)): Amount(2, Decimal("3.00")),
        ("dated in days to come", (date(2025, 11, 20),)): Amount(1, Decimal("500")),
    }
    assert sum((part.amount for part in found.parts), found.archived) == found.bill
    assert [part.days[0].day for part in found.faults] == [11, 12, 13]
    assert found.only_archived == ((date(2025, 8, 31),), Amount(6, Decimal("60.00")))
    assert set(found.left_out) == {
        ("bill.include_tax", "USD", Amount(5, Decimal("7.00"))),
        ("bill.currency is USD", "EUR", Amount(2, Decimal("9.00"))),
    }


def test_the_sentences_give_lines_money_and_reason() -> None:
    """A reader finds the bill's total with its basis, what is in days, and each rest with days, lines and money."""
    words = of().words
    for said in (
        "The bill has 15 lines, 674.78 USD (billed): 36.28 USD in 3 days of the archive.",
        "1 line, 100.00 USD on 2022-12-31: before bill.first_day (2025-09-01)",
        "1 line, 500.00 USD on 2025-11-20: dated in days to come",
        "2 lines, 9.00 EUR (bill.currency is USD)",
        "In the archive alone, as the bill does not have their months any more: 1 day, 60.00 USD.",
    ):
        assert said in words
    assert "40.00 USD on 2025-09-12: not archived yet" in of().fault


def test_nothing_is_at_fault_where_settings_or_people_keep_a_day() -> None:
    """A held or kept day that the bill has otherwise is named, and no fault."""
    found = of(kept=[september(11), september(13)])
    assert [part.days[0].day for part in found.faults] == [12]
    assert "kept as archived" in found.words


def test_a_bill_that_is_all_archived_says_so() -> None:
    """The bill of one day, archived: nothing is left to name."""
    found = of(bill_totals([control(september(10), 3, "10.01")]), {september(10): archived(3, "10.01")})
    assert found.parts == ()
    assert (
        found.words == "The bill has 3 lines, 10.01 USD (billed): 10.01 USD in 1 day of the archive, and nothing else."
    )


def test_a_line_without_a_cost_is_a_fault_and_no_zero() -> None:
    """It is named with its day; one of a day before bill.first_day is in no day anyway."""
    nameless = ControlTotal("2025-09", september(10), "USD", "", 3, 1, Decimal("10.01"))
    before = ControlTotal("2022-12", date(2022, 12, 31), "USD", "", 1, 1, Decimal())
    found = of(bill_totals([nameless, before]), {september(10): archived(3, "10.01")})
    assert found.fault == "1 line on 2025-09-10: no billed cost is named, which is not zero"
    assert f"Without a cost: {found.fault}." in found.words


@pytest.mark.parametrize(
    ("day", "empty", "lost", "why"),
    [
        (september(13), True, False, "its month is there, and a later day"),
        (september(14), False, False, "it has a line"),
        (date(2025, 8, 31), False, False, "the bill has nothing of August"),
        (date(2025, 10, 2), False, True, "October is there, by a line that is billed in it, and nothing after the day"),
    ],
)
def test_which_days_the_bill_has_emptied_or_lost(day: date, empty: bool, lost: bool, why: str) -> None:
    """A day is empty where the bill goes on after it; behind its end it is late or lost, never zero."""
    yesterday = date(2025, 10, 5)
    assert (BILL.is_empty(day, yesterday), BILL.has_lost(day, yesterday)) == (empty, lost), why


def test_a_charge_of_days_to_come_makes_no_day_before_it_empty() -> None:
    """A line of November says nothing of the end of September: those days are late, not empty."""
    bill = bill_totals([control(september(10), 1, "1"), control(date(2025, 11, 20), 1, "500")])
    assert not bill.is_empty(september(11), september(30))
    assert days_to_archive(bill, [september(10), september(11)], None, datetime(2025, 10, 1, 7, tzinfo=UTC)) == (
        [september(10)],
        {september(11): "it has no charges on it"},
    )


def test_a_day_that_was_not_over_is_left_out_and_the_others_are_not() -> None:
    """The export of 12 September 18:00 has that day in part: the days before it are archived, an empty one too."""
    written = datetime(2025, 9, 12, 18, tzinfo=UTC)
    days = [september(n) for n in (10, 11, 12, 13)]
    has, left_out = days_to_archive(BILL, days, written, datetime(2025, 9, 15, tzinfo=UTC))
    assert has == days[:2]
    assert list(left_out) == days[2:]
    assert "2025-09-12 18:00 UTC" in left_out[september(12)]


@pytest.mark.parametrize(
    ("written", "closed"),
    [
        (datetime(2025, 9, 30, 23, tzinfo=UTC), False),
        (datetime(2025, 10, 15, 23, 59, tzinfo=UTC), False),
        (datetime(2025, 10, 16, tzinfo=UTC), True),
        (None, False),
    ],
)
def test_an_export_closes_a_month_that_was_written_after_aws_is_done_with_it(
    written: datetime | None, closed: bool
) -> None:
    """September is final two weeks after its end, by the time of the export, whatever the clock says."""
    assert closes(september(1), written) == closes(september(30), written) == closed
    assert settlement(closed=closed, unchanged=1, stable_after=3) == ("closed" if closed else "provisional")


@pytest.mark.parametrize(
    ("path", "period"),
    [
        ("focus/data/BILLING_PERIOD=2025-09/a.parquet", "2025-09"),
        ("cur/20250901-20251001/assembly/a.csv.gz", "2025-09"),
        ("cur/year=2025/month=9/a.parquet", "2025-09"),
        ("bill/a.csv", ""),
    ],
)
def test_the_billing_period_of_a_file(path: str, period: str) -> None:
    """Each layout of AWS names it in a folder."""
    assert period_of(path) == period


LINES = [
    line("10.25", start=at(date(2025, 9, 10), 1), extra={"BillingPeriodStart": at(date(2025, 9, 1))}),
    line("-0.25", start=at(date(2025, 9, 10), 2), extra={"BillingPeriodStart": at(date(2025, 9, 1))}),
    line("3", start=at(date(2025, 9, 10), 3), extra={"BillingPeriodStart": at(date(2025, 10, 1))}),
    line("100", start=at(date(1999, 12, 31), 1), extra={"BillingPeriodStart": at(date(2025, 9, 1))}),
    line("500", start=at(date(2031, 1, 1)), extra={"BillingPeriodStart": at(date(2025, 9, 1))}),
    line("7", category="Tax", extra={"BillingPeriodStart": at(date(2025, 9, 1))}),
    line("9", currency="EUR", extra={"BillingPeriodStart": at(date(2025, 9, 1))}),
]


@pytest.mark.parametrize("on", ["embedded", "aws"])
def test_control_totals_are_of_the_whole_bill_on_both_platforms(
    on: str, request: pytest.FixtureRequest, tmp_path: object
) -> None:
    """By billing period, day, currency and reason: what is old, in days to come, billed late or left out is there."""
    path = make_bill(tmp_path / "bill", LINES)
    if on == "embedded":
        warehouse = open_bill(path, currency="USD", include_tax=False)
    else:
        aws: StandIn = request.getfixturevalue("aws")
        make_ready(aws, path.parent)
        platform = platform_on(aws, tmp_path, bill__currency="USD", bill__include_tax="false")
        warehouse = platform.warehouse
    found = {(c.period, c.day, c.left_out): (c.lines, c.without_cost, c.total) for c in warehouse.control_totals()}
    assert found == {
        ("2025-09", DAY, ""): (2, 0, Decimal("10.00")),
        ("2025-10", DAY, ""): (1, 0, Decimal("3")),
        ("2025-09", date(1999, 12, 31), ""): (1, 0, Decimal("100")),
        ("2025-09", date(2031, 1, 1), ""): (1, 0, Decimal("500")),
        ("2025-09", DAY, "bill.include_tax"): (1, 0, Decimal("7")),
        ("2025-09", DAY, "bill.currency is USD"): (1, 0, Decimal("9")),
    }
