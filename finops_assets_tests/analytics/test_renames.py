"""A service that is called otherwise from one day on is one service: told as renamed, and no anomaly."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, timedelta
from decimal import Decimal

import pytest

from finops_assets.core.analytics.anomalies import NEW, VANISHED, Key
from finops_assets.core.analytics.detection import Threshold, detect
from finops_assets.core.analytics.renames import Renamed, newest_names, under_new_names
from finops_assets.core.archive.cost_history import CostHistory

LAST = date(2025, 9, 25)
DAYS = [LAST - timedelta(days=n) for n in reversed(range(90))]
OLD, NEW_NAME, EC2 = "Amazon Old Search Service", "Amazon New Search Service", "Amazon EC2"
SHOP, PAY = "111000000001", "111000000002"
SINCE = LAST - timedelta(days=2)

Costs = dict[Key, dict[date, Decimal]]


def of(amount: int, days: Collection[date]) -> dict[date, Decimal]:
    return {day: Decimal(amount + day.toordinal() % 3) for day in days}


def before(day: date) -> list[date]:
    return [each for each in DAYS if each < day]


def since(day: date) -> list[date]:
    return [each for each in DAYS if each >= day]


def bill(old: str = OLD, new: str = NEW_NAME, amount: int = 200, account: str = SHOP) -> Costs:
    """One service that ends as another begins, beside one that goes on."""
    return {
        ("Shop", EC2, SHOP): of(300, DAYS),
        ("Pay", EC2, PAY): of(100, DAYS),
        ("Shop", old, SHOP): of(200, before(SINCE)),
        ("Shop" if account == SHOP else "Pay", new, account): of(amount, since(SINCE)),
    }


def found(costs: Costs, **how: object) -> tuple[list[tuple[str, str]], tuple[Renamed, ...]]:
    """The episodes' services and kinds, and the services that were renamed."""
    history = detect(CostHistory.of(costs, DAYS), Threshold("USD", Decimal(10)), **how)
    return [(each.service, each.kind) for each in history.episodes(LAST)], history.renamed


def test_a_new_name_is_no_anomaly() -> None:
    """The same account and the same cost: one series, and a note."""
    episodes, renamed = found(bill())
    assert episodes == []
    assert renamed == (Renamed(OLD, NEW_NAME, SINCE),)
    assert "renamed" in str(renamed[0])


def test_a_renamed_service_is_judged_as_before() -> None:
    """What it costs more under its new name is a rise of what it cost under the old one."""
    costs = bill()
    costs["Shop", NEW_NAME, SHOP] = {**of(200, since(SINCE)), LAST: Decimal(900)}
    episodes, _ = found(costs)
    assert [kind for _, kind in episodes] == ["rise"]


def test_both_names_may_stand_on_the_day() -> None:
    """The change comes in the middle of a day: its cost is that of both."""
    costs = bill()
    costs["Shop", OLD, SHOP][SINCE] = Decimal(80)
    costs["Shop", NEW_NAME, SHOP][SINCE] = Decimal(121)
    assert found(costs) == ([], (Renamed(OLD, NEW_NAME, SINCE),))


def test_a_newest_day_that_is_not_complete_yet_is_no_reason_to_alert() -> None:
    """The first morning after the change has a part of its day."""
    costs: Costs = {key: dict(days) for key, days in bill().items()}
    costs["Shop", OLD, SHOP] = of(200, before(LAST))
    costs["Shop", NEW_NAME, SHOP] = {LAST: Decimal(90)}
    assert found(costs, unsettled=[LAST]) == ([], (Renamed(OLD, NEW_NAME, LAST),))


@pytest.mark.parametrize(
    ("costs", "reason"),
    [
        (bill(amount=900), "it costs four times as much"),
        (bill(account=PAY), "another account has it"),
        (bill(old="Amazon Redshift", new="AWS Lambda"), "both are known to be services of their own"),
        ({**bill(), ("Shop", NEW_NAME, SHOP): of(200, since(SINCE + timedelta(days=1))[1:])}, "they do not meet"),
        ({**bill(), ("Shop", NEW_NAME, SHOP): of(200, [DAYS[2], *since(SINCE)])}, "the new name is not new"),
    ],
)
def test_what_is_not_one_service_is_still_told(costs: Mapping[Key, Mapping[date, Decimal]], reason: str) -> None:
    """A service that ends is gone, and another that begins is new."""
    episodes, renamed = found(dict(costs))
    assert not renamed, reason
    assert {kind for _, kind in episodes} & {NEW, VANISHED, "drop", "rise"}, reason


def test_two_changes_lead_to_the_newest_name() -> None:
    """A history may have more than one; no cent is lost on the way."""
    renames = (Renamed("A", "B", DAYS[30]), Renamed("B", "C", DAYS[60]))
    assert newest_names(renames) == {"A": "C", "B": "C"}
    costs = {("X", name, "1"): {DAYS[n]: Decimal(n)} for n, name in enumerate("ABC")}
    renamed = under_new_names(CostHistory.of(costs, DAYS), renames)
    assert renamed.keys == (("X", "C", "1"),) * 3
    assert [renamed.exact(range(3), day) for day in DAYS[:4]] == [0, 1, 2, 0]
