"""Budgets and scores by the values of dimensions: exact sums, moves, remainders, and days that do not have the key."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from finops_assets.adapters.shared.archive import ObjectArchive
from finops_assets.core.accounts.account_map import Membership, to_parquet
from finops_assets.core.accounts.account_map import account_map as map_of
from finops_assets.core.analytics import value_scores
from finops_assets.core.analytics.budgets import AMBER, GREEN, NONE, RED, BudgetError, Budgets, read_budgets
from finops_assets.core.analytics.plan import PlanFiles
from finops_assets.core.analytics.value_scores import ValueBasis, ValueScore, ValueScoring
from finops_assets.core.archive.journal import Journal
from finops_assets.core.bill.dimension_keys import DimensionValue, dimension_value
from finops_assets.core.schemas import ACCOUNT_MAP_PATH, value_scores_path
from finops_assets_tests.support.bills import archive_days, at, line, new_archive, open_bill, rows_of, write_rows

FIRST, SECOND, THIRD = (date(2025, 9, n) for n in (1, 2, 3))
MOVING, STAYING, BARE = "111122223333", "222233334444", "333344445555"
TEAM = "account:team"


def member(account: str, team: str, first: date = date(1, 1, 1), last: date = date(9999, 12, 31)) -> Membership:
    return Membership(account, account, "Eng", valid_from=first, valid_to=last, attributes=(("team", team),))


@pytest.fixture
def archive(tmp_path: Path) -> ObjectArchive:
    """Three days: the first is archived without the key, and on the third an account is with another team."""
    costs = {MOVING: "10", STAYING: "5.000000000001", BARE: "1"}
    rows = rows_of(
        [line(cost, start=at(day), account=of) for day in (FIRST, SECOND, THIRD) for of, cost in costs.items()], "focus"
    )
    bill = open_bill(write_rows(tmp_path / "bills" / "focus.parquet", rows))
    members = [member(MOVING, "a", last=THIRD), member(MOVING, "b", THIRD), member(STAYING, "b"), member(BARE, "")]
    made = new_archive(tmp_path, map_of(members, ou_level="full", history="as_was"))
    assert archive_days(bill, made, [FIRST]).refused == {}
    with_team = map_of(members, ou_level="full", history="as_was", attributes=["team"])
    made.put(ACCOUNT_MAP_PATH, to_parquet(with_team))
    assert archive_days(bill, made, [SECOND, THIRD]).refused == {}
    return made


def scores(archive: ObjectArchive, budgets: Budgets, *days: date) -> Mapping[str, ValueScore]:
    """Those of the last of these days, by what they are of."""
    archived = {day: of for day in archive.days() if (of := archive.describe(day))}
    basis = ValueBasis(archived, archived[days[-1]], budgets, ())
    ValueScoring(archive, Journal(archive), 0.9).score(days, basis)
    return {str(score.of): score for score in value_scores.read(archive, archived[days[-1]])}


def plan(*rows: str) -> Budgets:
    text = "\n".join(["ou,month,amount,currency", *rows])
    return read_budgets(text.encode(), "budgets.csv", [TEAM, "tag:cost=center"])


def test_the_values_of_a_day_sum_to_it(archive: ObjectArchive) -> None:
    """Those that have the account on the day, the remainder, and one with a budget that nobody has."""
    found = scores(archive, plan(f"{TEAM}=c,default,7,USD"), SECOND, THIRD)
    assert {of: score.cost for of, score in found.items()} == {
        f"{TEAM}=a": 0,
        f"{TEAM}=b": Decimal("15.000000000001"),
        f"{TEAM}=c": 0,
        f"{TEAM}=(untagged)": 1,
    }
    month = {of: score.line.forecast.month_to_date for of, score in found.items()}
    assert month == {  # of two days: the first does not have the key
        f"{TEAM}=a": 10,
        f"{TEAM}=b": Decimal("20.000000000002"),
        f"{TEAM}=c": 0,
        f"{TEAM}=(untagged)": 2,
    }
    assert {score.currency for score in found.values()} == {"USD"}


def test_a_month_with_a_day_that_lacks_the_key_is_not_green(archive: ObjectArchive) -> None:
    """What is over its budget is red all the same; without a budget there is no light."""
    budgets = plan(f"{TEAM}=a,2025-09,100,USD", f"{TEAM}=b,default,20,USD", f"{TEAM}=(untagged),2025-08,1,USD")
    found = scores(archive, budgets, SECOND, THIRD)
    lights = {of.partition("=")[2]: score.line.light for of, score in found.items()}
    assert lights == {"a": AMBER, "b": RED, "(untagged)": NONE}
    assert {score.unknown_days for score in found.values()} == {1}
    assert f"without 1 day of the month on which {TEAM} is not known" in found[f"{TEAM}=a"].line.reason
    assert found[f"{TEAM}=b"].line.passed == THIRD


def test_a_month_that_is_known_whole_is_judged_as_that_of_an_ou(archive: ObjectArchive) -> None:
    archived = {day: of for day in (SECOND, THIRD) if (of := archive.describe(day))}
    basis = ValueBasis(archived, archived[THIRD], plan(f"{TEAM}=a,2025-09,100,USD"), ())
    ValueScoring(archive, Journal(archive), 0.9).score([THIRD], basis)
    (score,) = (each for each in value_scores.read(archive, archived[THIRD]) if each.line.budget)
    assert (score.line.light, score.unknown_days, score.line.share) == (GREEN, 0, 0.1)


def test_a_day_without_the_key_has_no_scores(archive: ObjectArchive) -> None:
    """And no object, unless it had one: that one is emptied."""
    assert scores(archive, plan(f"{TEAM}=a,default,1,USD"), FIRST) == {}
    assert archive.get(value_scores_path(FIRST)) is None
    archive.put(value_scores_path(FIRST), value_scores.to_parquet(FIRST, [], "another"))
    scores(archive, Budgets({}, "USD"), FIRST)
    published = archive.describe(FIRST)
    assert published
    assert value_scores._parsed(archive.get(value_scores_path(FIRST)) or b"", "")[0] == value_scores.made_of(published)


def test_scores_of_other_rows_are_not_shown(archive: ObjectArchive) -> None:
    """Nor damaged ones, which are put aside."""
    scores(archive, Budgets({}, "USD"), THIRD)
    third, second = archive.describe(THIRD), archive.describe(SECOND)
    assert third
    assert second
    archive.put(value_scores_path(SECOND), archive.get(value_scores_path(THIRD)) or b"")
    assert value_scores.read(archive, second) == ()
    archive.put(value_scores_path(THIRD), b"half")
    assert value_scores.read(archive, third) == ()
    assert archive.get(value_scores_path(THIRD)) is None


def test_what_is_not_named_is_one_row(archive: ObjectArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of a dimension sum to the day, however many values it has."""
    monkeypatch.setattr(value_scores, "MOST_SCORED", 1)
    found = scores(archive, plan(f"{TEAM}=a,default,1,USD"), THIRD)
    assert {of: score.cost for of, score in found.items()} == {
        f"{TEAM}=a": 0,
        f"{TEAM}=b": Decimal("15.000000000001"),
        f"{TEAM}=": 1,
    }
    assert found[f"{TEAM}="].line.forecast.month_to_date == 2


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("account:team=web", DimensionValue(TEAM, "web")),
        ("account:team=a/b=c", DimensionValue(TEAM, "a/b=c")),
        ("tag:cost=center=9", DimensionValue("tag:cost=center", "9")),
        ("account:team=(untagged)", DimensionValue(TEAM, "(untagged)")),
        ("account:team=", None),
        ("account:ou=x", None),
        ("Workloads/Prod", None),
        ("a=b", None),
    ],
)
def test_a_value_is_named_by_its_key(text: str, value: DimensionValue | None) -> None:
    assert dimension_value(text, [TEAM, "tag:cost=center"]) == value


def test_a_value_is_no_ou_of_the_plan() -> None:
    """Its budget is in no parent's, and a slash in it is no path."""
    budgets = plan("Eng,default,10,USD", f"{TEAM}=Eng/Web,default,20,USD", f"{TEAM}=Eng/Web,2025-09,30,USD")
    value = DimensionValue(TEAM, "Eng/Web")
    assert budgets.names() == {"Eng"}
    assert (budgets.of_value(value, "2025-09"), budgets.of_value(value, "2025-10")) == (30, 20)
    with pytest.raises(BudgetError) as caught:
        plan(f"{TEAM}=a,default,1,USD", f"{TEAM}=a,default,2,USD")
    assert caught.value.where == "budgets.csv, line 3"


def test_a_budget_by_a_key_that_is_not_set_is_told(archive: ObjectArchive) -> None:
    """The others are judged; a note and the check-up name it."""
    data = b"ou,month,amount,currency\nEng,default,10,USD\ntag:env=prod,default,5,USD\n"
    files = PlanFiles(budgets=lambda: data, dimensions=[TEAM])
    read = files.read(archive, "USD", ["Eng"])
    assert read.budgets.of("Eng", "2025-09") == 10
    assert read.notes == ("budgets.csv: tag:env is no dimension of the settings: its budgets are not judged.",)
    assert [(each.state, "tag:env" in each.detail) for each in files.check(archive)] == [("warn", True), ("ok", False)]


def test_sums_of_other_days_are_kept(archive: ObjectArchive) -> None:
    """Scorecards and the dashboard ask for stretches of their own: neither drops what the other has read."""
    from finops_assets.core.archive.dimension_sums import _kept, dimension_sums

    for day in (THIRD, SECOND, THIRD):
        published = archive.describe(day)
        assert published
        assert dimension_sums(archive, {day: published})["billingdate"].unique().to_pylist() == [day]
    assert set(_kept(archive)[0]) == {SECOND, THIRD}
