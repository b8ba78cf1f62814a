"""Forecasts of more than a regular week: charges by day of month, new levels, incomplete days, parents and children."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pytest

from finops_assets.core.analytics.coherence import coherent_forecasts
from finops_assets.core.analytics.forecast import forecasts, forecasts_by_day
from finops_assets.core.analytics.levels import levels

DAY = date(2025, 9, 10)
"""A Wednesday; 20 days of September are left, among them the 17th."""

REST = 14 * 100 + 6 * 40
"""What they cost: 14 weekdays of 100 USD, 6 days of weekends of 40 USD."""


def daily(days: int = 200, scale: str = "1") -> dict[date, Decimal]:
    """Days up to DAY: 100 USD on weekdays, 40 USD at weekends."""
    past = [DAY - timedelta(days=n) for n in range(days)]
    return {day: Decimal(100 if day.weekday() < 5 else 40) * Decimal(scale) for day in past}


def rest(costs: dict[date, Decimal], **more: object) -> Decimal:
    forecast = forecasts({"x": costs}, DAY, **more)["x"]
    return forecast.expected - forecast.month_to_date


def charged(*days: date) -> dict[date, Decimal]:
    costs = daily()
    return {day: cost + (500 if day in days else 0) for day, cost in costs.items()}


def test_a_charge_that_came_on_the_17th_of_two_months_comes_again() -> None:
    """500 USD on 17 July and 17 August are added to the days left, on the 17th."""
    costs = charged(date(2025, 7, 17), date(2025, 8, 17))
    assert abs(rest(costs) - (REST + 500)) < 5
    by_day = dict(forecasts({"x": costs}, DAY)["x"].daily)
    assert abs(by_day[date(2025, 9, 17)] - 600) < 5
    assert abs(by_day[date(2025, 9, 18)] - 100) < 5


def test_a_charge_that_came_once_is_not_expected() -> None:
    """One month alone is no rule, and does not carry into the days left."""
    assert abs(rest(charged(date(2025, 8, 17))) - REST) < 20


def test_a_charge_that_has_come_this_month_is_not_added_again() -> None:
    """That of the 8th, known from two months, is in the month to date."""
    assert abs(rest(charged(date(2025, 7, 8), date(2025, 8, 8), date(2025, 9, 8))) - REST) < 20


def test_a_quarterly_charge_is_known_after_it_came_twice() -> None:
    """17 March and 17 June: it is expected on 17 September; after June alone it is not."""
    assert abs(rest(charged(date(2025, 3, 17), date(2025, 6, 17))) - (REST + 500)) < 5
    assert abs(rest(charged(date(2025, 6, 17))) - REST) < 20


def test_a_job_on_each_sunday_is_a_weekday_and_no_charge_of_the_month() -> None:
    """It falls on one day of the month in February and March; its weekday says it all."""
    costs = {day: cost + (900 if day.weekday() == 6 else 0) for day, cost in daily().items()}
    assert abs(rest(costs) - (REST + 3 * 900)) < 60


@pytest.mark.parametrize(("seen", "lacks"), [(80, 20), (100, 0), (130, 0)])
def test_an_incomplete_day_counts_as_the_larger_of_seen_and_expected(seen: int, lacks: int) -> None:
    """80 USD of an expected 100 lack 20, and the level stays; the month to date is what was seen, exactly."""
    costs = {**daily(), DAY: Decimal(seen)}
    forecast = forecasts({"x": costs}, DAY, [DAY])["x"]
    assert forecast.month_to_date == 10 * 100 - 2 * 60 - 100 + seen
    assert abs(forecast.expected - forecast.month_to_date - REST - lacks) < 30
    assert forecast.expected == forecast.month_to_date + sum(cost for _, cost in forecast.daily)


def test_days_that_have_settled_are_taken_as_they_are() -> None:
    """Without a word that it is incomplete, a low day lacks nothing."""
    assert abs(rest({**daily(), DAY: Decimal(80)}) - REST) < 5


def test_after_a_spike_of_three_days_the_level_is_the_one_before() -> None:
    """Three days of twice the cost look like a step; the first day back takes up the old level at once."""
    spike = {DAY - timedelta(days=n) for n in (1, 2, 3, 4)} - {date(2025, 9, 6)}
    costs = {day: cost * (2 if day in spike else 1) for day, cost in daily().items()}
    assert abs(rest(costs) - REST) < REST * Decimal("0.12")


def test_a_fall_that_lasts_is_believed_in_two_days() -> None:
    """40 % less on two days: most of it is expected to stay."""
    costs = {day: cost * (Decimal("0.6") if (DAY - day).days < 2 else 1) for day, cost in daily().items()}
    assert rest(costs) < REST * Decimal("0.7")


def test_many_days_at_once_give_the_same_figures_as_each_alone() -> None:
    """A backfill of forty days, with charges that come again, and a newest day that is incomplete."""
    series = {"x": charged(date(2025, 3, 17), date(2025, 6, 17), date(2025, 7, 8), date(2025, 8, 8)), "y": daily(60)}
    days = [DAY - timedelta(days=n) for n in range(0, 40, 9)]
    by_day = forecasts_by_day(series, days, [DAY])
    assert by_day == {day: forecasts(series, day, [DAY]) for day in days}


def organization() -> tuple[dict[str, dict[date, Decimal]], dict[str, dict[date, Decimal]]]:
    """Accounts in two teams and in the unit above them: one team grows, the others do not."""
    growing = {day: cost + (DAY - day).days // 7 for day, cost in daily(scale="0.4").items()}
    direct = {"Unit/A": daily(), "Unit/B": growing, "Unit": daily(scale="0.13"), "Other": daily(scale="2")}
    rolled = dict(direct)
    rolled["Unit"] = {day: sum(direct[ou][day] for ou in ("Unit", "Unit/A", "Unit/B")) for day in daily()}
    rolled["All"] = {day: sum(of[day] for of in direct.values()) for day in daily()}
    return direct, rolled


def test_parents_are_expected_to_cost_what_their_children_are() -> None:
    """To the cent, with a parent's own accounts: they alone are the difference."""
    direct, rolled = organization()
    found = coherent_forecasts(direct, rolled, [DAY])[DAY]
    assert found.keys() == rolled.keys()
    to_come = {ou: forecast.expected - forecast.month_to_date for ou, forecast in found.items()}
    assert to_come["All"] == to_come["Unit"] + to_come["Other"]
    own = to_come["Unit"] - to_come["Unit/A"] - to_come["Unit/B"]
    assert abs(own - Decimal("0.13") * REST) < 5
    for ou, forecast in found.items():
        assert forecast.month_to_date == sum(cost for day, cost in rolled[ou].items() if day.month == 9)
    assert all(forecast.low <= forecast.expected <= forecast.high for forecast in found.values())


def test_an_ou_that_is_too_young_takes_no_forecast_from_its_parent() -> None:
    """Its parent is forecast by itself, and the young one says why it is not."""
    direct, rolled = organization()
    direct["Unit/B"] = rolled["Unit/B"] = daily(days=9)
    found = coherent_forecasts(direct, rolled, [DAY])[DAY]
    alone = forecasts(rolled, DAY)
    assert found["Unit/B"].expected is None
    assert found["Unit/B"].why_not
    assert found["Unit"].expected is not None
    assert abs(found["Unit"].expected - alone["Unit"].expected) < alone["Unit"].expected / 20


def test_days_before_the_first_known_one_change_no_level() -> None:
    """A young archive has the levels of its days, however far the window reaches back."""
    values = np.array([[100.0, 104.0, np.nan, 98.0, 260.0, 255.0, 250.0], [np.nan, 10.0, 11.0, 9.0, 10.0, 40.0, 10.0]])
    unsettled = np.zeros(values.shape, dtype=bool)
    unsettled[:, -1] = True
    before = np.full((2, 50), np.nan)
    alone = levels(values, unsettled)
    longer = levels(np.hstack([before, values]), np.hstack([np.zeros(before.shape, dtype=bool), unsettled]))
    for of_days, of_all in zip(alone, longer, strict=True):
        np.testing.assert_array_equal(of_all, np.hstack([before, of_days]))
