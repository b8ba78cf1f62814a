"""What days are judged by: usage, where all days of their history tell it; else all of their cost, and that is said."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from finops_assets.core.analytics.anomalies import Key
from finops_assets.core.analytics.coherence import coherent_forecasts
from finops_assets.core.analytics.detection import Threshold, detect
from finops_assets.core.analytics.judged_costs import JudgedCosts, judged_costs, usage_of
from finops_assets.core.archive.day_costs import DayCosts, KeyIndex
from finops_assets.core.archive.kept_history import DaysOfCosts
from finops_assets.core.archive.scheduled_costs import KINDS, REFUND, TAX, ScheduledCosts
from finops_assets.core.schemas import KEY_COLUMNS
from finops_assets.core.values import PublishedDay

LAST = date(2025, 9, 10)
DAYS = [LAST - timedelta(days=n) for n in reversed(range(230))]
KEYS: list[Key] = [("Shop", "Amazon RDS", "1"), ("Shop", "EC2", "2"), ("Data", "S3", "3")]
USAGE = [200.0, 100.0, 50.0]
REFUNDED = -1239.4


def span(*, told: Collection[date], categories: str = "Usage", until: date = LAST) -> DaysOfCosts:
    """Costs of which usage never changes: on firsts there is tax on all of it, on the last day a refund of RDS."""
    index = KeyIndex()
    keys = index.numbers(
        pa.table({name: pa.chunked_array([[key[n] for key in KEYS]]) for n, name in enumerate(KEY_COLUMNS)})
    )
    days, published = {}, {}
    for day in [day for day in DAYS if day <= until]:
        amounts = [[usage * 6, KINDS.index(TAX), row] for row, usage in enumerate(USAGE) if day.day == 1]
        amounts += [[REFUNDED, KINDS.index(REFUND), 0]] if day == LAST else []
        costs = np.array(USAGE)
        for amount, _, row in amounts:
            costs[int(row)] += amount
        of_kind = np.array(amounts).reshape(-1, 3)
        scheduled = ScheduledCosts(of_kind[:, 2].astype(np.int32), of_kind[:, 1].astype(np.int8), of_kind[:, 0])
        days[day] = DayCosts(day, keys, costs, index.sums_by_ou(keys, costs), scheduled if day in told else None)
        facts = {"by_category": json.dumps({categories: "1"})} | (
            {"charges": "f"} if day in told or categories == "Cost" else {}
        )
        published[day] = PublishedDay(day, "", "", 3, Decimal(), "USD", "billed", "", 0, facts)
    return DaysOfCosts(published, days, index)


def judged(of: DaysOfCosts, days: list[date]) -> JudgedCosts:
    return judged_costs(of, of.published, days)


def test_a_refund_is_no_drop_where_usage_is_judged_and_is_one_where_it_is_not() -> None:
    """The refund is in the month all the same, and nothing of it is expected again."""
    floor = Threshold("USD", Decimal(10))
    known, unknown = judged(span(told=DAYS), [LAST]), judged(span(told=()), [LAST])
    assert detect(known.costs, floor, usage=True).episodes(LAST) == ()
    assert [episode.service for episode in detect(unknown.costs, floor).episodes(LAST)] == ["Amazon RDS"]
    month = known.months([LAST])[LAST]["All"]
    assert month.month_to_date == Decimal(350) * 10 + 350 * 6 + Decimal("-1239.4")
    assert month.expected == month.month_to_date + 350 * 20


def test_a_bill_without_categories_is_forecast_as_before_to_the_cent() -> None:
    of = span(told=(), categories="Cost")
    known = judged(of, [LAST])
    direct = of.history(DAYS).ou_costs(DAYS)
    whole = {day: sum((by_day[day] for by_day in direct.values()), Decimal()) for day in DAYS}
    assert known.months([LAST]) == coherent_forecasts(direct, {"All": whole, **direct}, [LAST])
    assert known.why_whole.startswith("the bill does not tell usage from fees and tax")


def test_one_day_of_before_in_the_history_leaves_the_rule_of_firsts_and_names_the_command() -> None:
    old = LAST - timedelta(days=199)
    known = judged(span(told=set(DAYS) - {old}), [LAST])
    assert known.scheduled is None
    assert known.days == {LAST}
    assert f"finops backfill {old} {old}" in known.why_whole


def test_a_day_is_judged_by_its_own_history_whatever_it_is_scored_with() -> None:
    """The last day has 200 days that tell; the day before has one that does not, and is judged apart."""
    of = span(told=DAYS[30:])
    both = judged(of, DAYS[-2:])
    assert (both.scheduled is not None, both.days) == (True, {LAST})
    assert both.costs.days[0] == DAYS[30]
    alone = judged(span(told=DAYS[30:], until=DAYS[-2]), DAYS[-2:-1])
    assert (alone.scheduled, alone.days) == (None, {DAYS[-2]})


@pytest.mark.parametrize(("told", "is_usage"), [(DAYS, True), (DAYS[40:], False)])
def test_a_short_history_that_tells_all_is_judged_by_usage(told: list[date], is_usage: bool) -> None:
    known = judged(span(told=told, until=DAYS[100]), [DAYS[100]])
    assert (known.scheduled is not None) == is_usage


def test_a_change_of_costs_is_one_of_usage_in_proportion() -> None:
    """On a first, six sevenths of the cost are tax: so much of a day that was doubled is no usage."""
    of, first = span(told=DAYS), date(2025, 9, 1)
    usage, _ = of.usage(DAYS)
    assert usage_of({first: {KEYS[1]: Decimal(350)}}, of, usage) == {first: {KEYS[1]: Decimal(50)}}
    assert usage_of({}, of, usage) == {}


def test_each_change_of_many_keys_and_days_is_divided_by_its_own_cost() -> None:
    """On a first a seventh is usage, on another day all of it; a key that no day has is left out."""
    of, first, second = span(told=DAYS), date(2025, 9, 1), date(2025, 9, 2)
    usage, _ = of.usage(DAYS)
    unknown = ("Shop", "EC2", "9")
    restated = {
        first: {KEYS[2]: Decimal(35), KEYS[0]: Decimal("-1400"), unknown: Decimal(1)},
        second: {KEYS[1]: Decimal("0.07")},
    }
    assert usage_of(restated, of, usage) == {
        first: {KEYS[2]: Decimal(5), KEYS[0]: Decimal(-200)},
        second: {KEYS[1]: Decimal("0.07")},
    }
