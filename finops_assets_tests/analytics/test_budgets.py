"""Budgets and forecasts: what a plan says of each OU, the light that it gets, and how a month's end is expected."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

from finops_assets.cli import common
from finops_assets.cli.main import main
from finops_assets.core.analytics.budgets import AMBER, GREEN, NONE, RED, BudgetError, Line, budget_lines, read_budgets
from finops_assets.core.analytics.forecast import LEAST, forecasts
from finops_assets.core.analytics.scoring import read as read_whole
from finops_assets.stories.simulation import Simulation

pytestmark = pytest.mark.usefixtures("records_in_memory")

DAY = date(2025, 9, 20)
WEEK = (100, 100, 100, 100, 100, 40, 40)


def daily(scale: float = 1.0, days: int = 120, fee: float = 0.0) -> dict[date, Decimal]:
    """Days up to DAY that know only their weekday, and a fee on the first of each month."""
    found = {}
    for n in range(days):
        day = DAY - timedelta(days=n)
        found[day] = Decimal(str(round(scale * WEEK[day.weekday()] + (fee if day.day == 1 else 0), 2)))
    return found


def plan(*rows: str) -> bytes:
    return "\n".join(("ou,month,amount,currency", *rows)).encode()


def lines(costs: Mapping[str, Mapping[date, Decimal]], *rows: str) -> dict[str, Line]:
    return {
        line.ou: line for line in budget_lines(read_budgets(plan(*rows), "budgets.csv"), costs, DAY, currency="USD")
    }


def month_total(costs: Mapping[date, Decimal]) -> Decimal:
    """September, if its last ten days are like the weeks before."""
    rest = sum(WEEK[(DAY + timedelta(days=n)).weekday()] for n in range(1, 11))
    return sum((cost for day, cost in costs.items() if day.month == DAY.month), Decimal()) + rest


def test_a_regular_week_is_continued_to_the_months_end() -> None:
    """Month to date is exact; the days left follow their weekdays; a fee on the first is not spread over them."""
    for fee in (0.0, 5000.0):
        costs = daily(fee=fee)
        (found,) = forecasts({"Eng": costs}, DAY).values()
        assert found.month_to_date == sum(cost for day, cost in costs.items() if day >= date(2025, 9, 1))
        assert abs(found.expected - month_total(costs)) < 1
        assert found.low <= found.expected <= found.high
        assert found.error < 0.01
        assert [day for day, _ in found.daily] == [DAY + timedelta(days=n) for n in range(1, 11)]


def test_too_little_history_says_so_instead_of_guessing() -> None:
    """Below four weeks there is no forecast; between that and enough trials there is one without a band."""
    (short,) = forecasts({"Eng": daily(days=20)}, DAY).values()
    assert (short.expected, short.why_not) == (None, f"19 days of history, {LEAST} are needed")
    assert short.month_to_date > 0
    (longer,) = forecasts({"Eng": daily(days=40)}, DAY).values()
    assert longer.expected is not None


def test_the_last_day_of_a_month_is_its_total() -> None:
    """Nothing is left to expect."""
    (found,) = forecasts({"Eng": {date(2025, 9, 30): Decimal("1.23")}}, date(2025, 9, 30)).values()
    assert (found.low, found.expected, found.high) == (Decimal("1.23"),) * 3


def test_holes_and_an_outlier_do_not_carry_into_the_rest() -> None:
    """Days without data are no zeros, and one wild day moves the rest of the month by little."""
    costs = daily()
    hole = {day: cost for day, cost in costs.items() if (DAY - day).days not in (9, 10, 30)}
    wild = {**costs, DAY - timedelta(days=3): Decimal(10000)}
    usual = sum(cost for _, cost in forecasts({"x": costs}, DAY)["x"].daily)
    for changed in (hole, wild):
        rest = sum(cost for _, cost in forecasts({"x": changed}, DAY)["x"].daily)
        assert abs(rest - usual) < usual * Decimal("0.1")


def test_a_step_that_lasts_is_the_new_level() -> None:
    """From its third day on, what doubled is expected to stay so; of two days of it, four tenths are believed."""
    costs = daily()
    usual = sum(cost for _, cost in forecasts({"x": costs}, DAY)["x"].daily)
    for days, least, most in ((1, "0.9", "1.1"), (2, "1.2", "1.5"), (3, "1.8", "2.2"), (5, "1.8", "2.2")):
        newer = {day: cost * 2 for day, cost in costs.items() if (DAY - day).days < days}
        rest = sum(cost for _, cost in forecasts({"x": {**costs, **newer}}, DAY)["x"].daily)
        assert Decimal(least) * usual < rest < Decimal(most) * usual, days


def test_lights_and_their_reasons() -> None:
    """Green, amber, red by what is spent and what is expected, each in words with the amounts."""
    costs = {name: daily() for name in ("Green", "Amber", "Red", "Gone", "Free")}
    found = lines(
        costs, "Green,default,10000,USD", "Amber,default,2600,USD", "Red,default,2300,USD", "Gone,2025-09,900,USD"
    )
    assert {ou: line.light for ou, line in found.items()} == {
        "All": NONE,
        "Green": GREEN,
        "Amber": AMBER,
        "Red": RED,
        "Gone": RED,
        "Free": NONE,
    }
    assert found["Amber"].reason == "97 % of 2,600.00 USD expected"
    assert found["Red"].reason == "110 % of 2,300.00 USD expected, to be passed on 2025-09-28"
    assert found["Gone"].reason == "passed on 2025-09-11: 280 % of 900.00 USD expected"
    assert found["Gone"].passed == date(2025, 9, 11)
    assert found["Free"].reason == "no budget"


def test_nested_ous_roll_up() -> None:
    """A parent's own cap stands beside its children's; without one it is their sum; a part of a plan is none."""
    costs = {"Eng/A": daily(), "Eng/B": daily(0.5), "Ops/A": daily(), "Ops/B": daily(0.2)}
    found = lines(
        costs, "All,default,99000,USD", "Eng/A,default,4000,USD", "Eng/B,default,1000,USD", "Ops/A,default,9,USD"
    )
    assert list(found) == ["All", "Eng", "Eng/A", "Eng/B", "Ops", "Ops/A", "Ops/B"]
    assert (found["Eng"].budget, found["Ops"].budget, found["All"].budget) == (5000, None, 99000)
    assert found["Eng"].forecast.month_to_date == sum(found[f"Eng/{x}"].forecast.month_to_date for x in "AB")
    own = lines(costs, "Eng,default,100,USD", "Eng/A,default,4000,USD", "Eng/B,default,1000,USD")
    assert (own["Eng"].budget, own["Eng"].light, own["Eng/A"].light) == (100, RED, GREEN)


def test_a_month_without_a_budget_falls_back() -> None:
    """The month's own amount, else the default."""
    budgets = read_budgets(plan("Eng,default,10,USD", "Eng,2025-09,20,USD"), "b.csv")
    assert (budgets.of("Eng", "2025-09"), budgets.of("Eng", "2025-10"), budgets.of("Ops", "2025-09")) == (20, 10, None)


@pytest.mark.parametrize(
    ("data", "where", "said"),
    [
        (b"", "b.csv", "has no rows"),
        (b"ou,amount\nEng,1\n", "b.csv", "has no column month, currency"),
        (plan("Eng,default,ten,USD"), "b.csv, line 2", "'ten' is no amount"),
        (plan("Eng,default,1_000,USD"), "b.csv, line 2", "'1_000' is no amount"),
        (plan("Eng,default,-1,USD"), "b.csv, line 2", "'-1' is no amount"),
        (plan("Eng,default,NaN,USD"), "b.csv, line 2", "'NaN' is no amount"),
        (plan("Eng,September,1,USD"), "b.csv, line 2", "'September' is no month"),
        (plan("Eng,2025-13,1,USD"), "b.csv, line 2", "'2025-13' is no month"),
        (plan("Eng,default,1,$"), "b.csv, line 2", "'$' is no currency"),
        (plan(",default,1,USD"), "b.csv, line 2", "names no OU"),
        (plan("Eng,default,1,USD", "Eng/,default,2,USD"), "b.csv, line 3", "has default twice"),
        (plan("Eng,default,1,USD", "Ops,default,2,EUR"), "b.csv, line 3", "has 2 currencies: EUR, USD"),
        (b"\xff\xfe", "b.csv", "is no CSV file in UTF-8"),
    ],
)
def test_a_plan_that_cannot_be_read_says_where(data: bytes, where: str, said: str) -> None:
    """The file and line, what is wrong, and what to write instead."""
    with pytest.raises(BudgetError) as caught:
        read_budgets(data, "b.csv")
    assert caught.value.where == where
    assert said in caught.value.what
    assert caught.value.fix


def test_lines_of_commas_at_a_spreadsheets_end_are_no_rows() -> None:
    """As in the other files that people write."""
    budgets = read_budgets(plan("Eng,default,10,USD", ",,,", ",,,"), "b.csv")
    assert budgets.amounts == {("Eng", "default"): 10}
    with pytest.raises(BudgetError, match="has no rows"):
        read_budgets(plan(",,,"), "b.csv")


def test_a_plan_that_does_not_fit_the_bill_is_refused() -> None:
    """Another currency, or an OU that there is not: a wrong light is worse than none."""
    with pytest.raises(BudgetError, match="the budgets are in EUR, the bill is in USD"):
        lines({"Eng": daily()}, "Eng,default,1,EUR")
    with pytest.raises(BudgetError, match="there is no OU Enginering"):
        lines({"Eng": daily()}, "Enginering,default,1,USD")


def test_the_command_shows_plan_actual_forecast_and_light(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`finops budgets` on an archived bill: amounts to the cent, a shape beside each light, 1 where one is red."""
    last = date(2025, 9, 12)
    sim = Simulation(tmp_path / "home", last - timedelta(days=44), last, draw=lambda _: b"")
    sim.at(last + timedelta(days=1), "02:00")
    sim.deliver(last)
    sim.launch("a backfill", [sim.request(sim.first_day, last)])
    to_date = sum(
        sim.platform.archive.describe(day).total for day in sim.platform.archive.days() if day >= date(2025, 9, 1)
    )
    card = read_whole(sim.platform.archive, sim.platform.archive.describe(last))
    monkeypatch.setattr(common, "now", lambda: datetime(2025, 9, 13, 2, tzinfo=UTC))
    sim.close()
    file = tmp_path / "budgets.csv"
    file.write_bytes(plan("All,default,1000,USD", "Data,default,900000,USD"))
    for name, value in {
        "HOME": tmp_path / "home",
        "BILL__PATH": sim.bill,
        "BILL__FIRST_DAY": sim.first_day,
        "ACCOUNTS__PATH": sim.accounts,
        "BUDGETS__PATH": file,
    }.items():
        monkeypatch.setenv(f"FINOPS_{name}", str(value))
    monkeypatch.chdir(tmp_path)
    shown = CliRunner().invoke(main, ["budgets"])
    assert shown.exit_code == 1, shown.output
    assert "September 2025 as of 2025-09-12, in USD, billed" in shown.output
    whole = next(line for line in shown.output.splitlines() if " All " in line)
    assert whole.startswith("■")
    assert f"{to_date:,.2f}" in whole
    assert "red: passed on 2025-09-01" in whole
    assert next(line for line in shown.output.splitlines() if " Data " in line).startswith("●")
    lines = json.loads(CliRunner().invoke(main, ["budgets", "--json"]).stdout)
    expected = {line["ou"]: Decimal(line["forecast"]["expected"]) for line in lines}
    assert card
    assert expected == {score.ou: score.p50 for score in card.scores}, "what the digest says, of an unsettled day, too"
    monkeypatch.setenv("FINOPS_BUDGETS__PATH", "nowhere.csv")
    refused = CliRunner().invoke(main, ["budgets"])
    assert refused.exit_code == 2
    assert "there is no such file: nowhere.csv" in refused.output
