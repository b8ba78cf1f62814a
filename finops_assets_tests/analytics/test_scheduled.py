"""What is scheduled is forecast as what it is: a fee comes again, a credit ends, a refund is no usage."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal

import pytest

from finops_assets.core.analytics.forecast import Forecast
from finops_assets.core.analytics.scheduled import Booked, ScheduledCharges
from finops_assets.core.archive.scheduled_costs import CREDIT, FEE, REFUND, TAX, ScheduledKey

FIRST, AS_OF = date(2025, 6, 1), date(2025, 9, 10)
DAYS = [FIRST + timedelta(days=n) for n in range((AS_OF - FIRST).days + 1)]
USAGE = Forecast(Decimal(1000), Decimal(3000), Decimal(2900), Decimal(3200), 0.02)
CONTRACT: ScheduledKey = ("Shop/Web", "A contract", FEE)


def charges(by_key: Mapping[ScheduledKey, Mapping[date, str]], unsettled: tuple[date, ...] = ()) -> ScheduledCharges:
    by_day: dict[date, dict[ScheduledKey, Decimal]] = {day: {} for day in DAYS}
    for key, amounts in by_key.items():
        for day, amount in amounts.items():
            by_day[day][key] = Decimal(amount)
    return ScheduledCharges(by_day, unsettled)


def month(
    by_key: Mapping[ScheduledKey, Mapping[date, str]], unsettled: tuple[date, ...] = (), as_of: date = AS_OF
) -> Forecast:
    return charges(by_key, unsettled).months({"Shop": USAGE}, as_of)["Shop"]


def to_come(*args, **more) -> Decimal:
    """Beyond what is still expected of usage."""
    forecast = month(*args, **more)
    assert forecast.expected is not None
    return forecast.expected - forecast.month_to_date - Decimal(2000)


def on(day: int, amounts: Mapping[int, str]) -> dict[date, str]:
    """An amount on this day of months."""
    return {date(2025, of, day): amount for of, amount in amounts.items()}


@pytest.mark.parametrize(
    ("amounts", "expected", "why"),
    [
        (on(17, {6: "500", 7: "500", 8: "520"}), "500", "a fee of three months comes again, as the median"),
        (on(17, {7: "500", 8: "520"}), "510", "so does one of two"),
        (on(17, {8: "500"}), "0", "what came once is no contract"),
        (on(17, {6: "500", 7: "500"}), "0", "what did not come last month has ended"),
        (on(3, {6: "500", 7: "500", 8: "500", 9: "500"}), "0", "what has come in this month does not come twice"),
        (on(12, {6: "500", 7: "500", 8: "500"}) | on(10, {9: "500"}), "0", "nor what came two days before its day"),
        (on(8, {6: "500", 7: "500", 8: "500"}), "500", "what is two days late is still expected"),
        (on(3, {6: "500", 7: "500", 8: "500"}), "0", "what is a week late has ended"),
        ({date(2025, 6, 16): "90", date(2025, 7, 18): "90", date(2025, 8, 17): "90"}, "90", "its day may move"),
    ],
)
def test_a_monthly_fee_comes_again_on_its_day(amounts: dict[date, str], expected: str, why: str) -> None:
    assert to_come({CONTRACT: amounts}) == Decimal(expected), why


def test_a_charge_of_each_day_goes_on_to_the_end_of_the_month() -> None:
    """Twenty days are left of September; the last of a month is the 30th, whatever the months before had."""
    assert to_come({("Shop", "Savings Plans", FEE): dict.fromkeys(DAYS, "2.5")}) == 50


def test_one_that_began_three_days_ago_does_too_and_the_newest_day_may_lack_it() -> None:
    began = dict.fromkeys(DAYS[-4:-1], "2.5")
    assert to_come({("Shop", "Savings Plans", FEE): began}, unsettled=(AS_OF,)) == Decimal("52.5")


def test_tax_of_each_day_follows_its_weekdays() -> None:
    """Five of seven days: two weeks of ten charges are a mean of 5 a day."""
    weekdays = {day: "7" for day in DAYS if day.weekday() < 5}
    assert to_come({("Shop", "EC2", TAX): weekdays}) == 100


@pytest.mark.parametrize(
    ("amounts", "why"),
    [
        ({day: "-95" for day in DAYS if day <= date(2025, 9, 6)}, "a daily one that has ended"),
        (on(17, {6: "-500", 7: "-500", 8: "-130"}), "a monthly one whose last part was what was left"),
    ],
)
def test_a_credit_that_is_used_up_ends(amounts: dict[date, str], why: str) -> None:
    assert to_come({("Shop", "EC2", CREDIT): amounts}) == 0, why


def test_a_daily_credit_that_has_ended_says_so() -> None:
    credit = {day: "-95" for day in DAYS if day <= date(2025, 9, 6)}
    parts = {part.kind: part for part in month({("Shop", "EC2", CREDIT): credit}).parts}
    assert parts["credit"].so_far == -570
    assert parts["credit"].why == "the daily one ended on 2025-09-06"


def test_parts_sum_to_the_month_and_to_its_forecast() -> None:
    """Support is told from other fees by its service; the band is moved by what is known."""
    forecast = month(
        {
            CONTRACT: on(17, {6: "500", 7: "500", 8: "500"}),
            ("Shop", "AWS Support (Business)", FEE): on(1, {6: "300", 7: "300", 8: "310", 9: "320.10"}),
            ("Shop", "EC2", REFUND): {date(2025, 9, 9): "-1239.40"},
        }
    )
    assert [(part.kind, part.so_far, part.to_come) for part in forecast.parts] == [
        ("usage", Decimal(1000), Decimal(2000)),
        ("fee", Decimal(), Decimal(500)),
        ("support", Decimal("320.10"), Decimal()),
        ("refund", Decimal("-1239.40"), Decimal()),
    ]
    assert forecast.month_to_date == Decimal("80.70")
    assert (forecast.low, forecast.expected, forecast.high) == tuple(map(Decimal, ("2480.70", "2580.70", "2780.70")))
    assert forecast.daily == ((date(2025, 9, 17), Decimal(500)),)


def test_an_ou_has_what_is_scheduled_below_it_and_the_whole_all() -> None:
    known = charges({CONTRACT: on(17, {6: "500", 7: "500", 8: "500"}), ("Data", "S3", TAX): on(10, {9: "8"})})
    months = known.months({"All": USAGE, "Shop": USAGE, "Shop/Web": USAGE, "Data": USAGE}, AS_OF)
    assert {ou: of.expected for ou, of in months.items()} == {"All": 3508, "Shop": 3500, "Shop/Web": 3500, "Data": 3008}
    assert known.on(AS_OF) == {"All": 8, "Data": 8}


def test_a_refund_is_a_note_by_ou_and_so_is_a_credit_that_comes_once() -> None:
    """A credit of each day is none; nor is what is worth less than is told."""
    known = charges(
        {
            ("Shop", "Amazon RDS", REFUND): {AS_OF: "-1239.40"},
            ("Shop", "EC2", CREDIT): dict.fromkeys(DAYS, "-95"),
            ("Data", "S3", CREDIT): {AS_OF: "-200"},
            ("Data", "EC2", REFUND): {AS_OF: "-0.05"},
        }
    )
    refund, credit = known.booked(AS_OF, Decimal(10))
    assert refund == Booked("Shop", "Amazon RDS", REFUND, Decimal("-1239.40"))
    assert credit == Booked("Data", "S3", CREDIT, Decimal(-200))
    assert charges({("Data", "S3", CREDIT): {DAYS[0]: "-200"}}).booked(DAYS[0], Decimal(10)) == ()
    assert refund.words("1,239.40 USD").startswith("A refund of 1,239.40 USD for Amazon RDS in Shop")
