"""Archived costs as numbers: exact sums, whatever the size of a cost and whichever keys a day has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops_assets.core.archive.cost_history import CostHistory, cost_history
from finops_assets.core.archive.day_costs import Key, exact_parts, exact_sum
from finops_assets.core.money import from_double
from finops_assets.core.schemas import OU_BREAKDOWN

DAY = date(2025, 9, 10)
EC2, S3, LAMBDA = ("Shop", "EC2", "1"), ("Shop/Web", "S3", "2"), ("Data", "Lambda", "1")


def tables(*days: Mapping[Key, str]) -> Iterator[tuple[date, pa.Table]]:
    """Archived days from DAY on, each with these costs."""
    for n, costs in enumerate(days):
        day = DAY + timedelta(days=n)
        columns = [[day] * len(costs), *([key[part] for key in costs] for part in range(3)), map(float, costs.values())]
        yield day, pa.table([pa.array(of, field.type) for of, field in zip(columns, OU_BREAKDOWN, strict=True)],
                            schema=OU_BREAKDOWN)  # fmt: skip


def history_of(*days: Mapping[Key, str]) -> CostHistory:
    return cost_history(tables(*days))


def test_days_with_other_keys_and_another_order_are_put_together() -> None:
    """A key that a day lacks is NaN there, which is not 0; sums are exact, by OU, by day and by key."""
    history = history_of({EC2: "0.1", S3: "0.2"}, {}, {LAMBDA: "0", S3: "12345.67", EC2: "0.000000000001"}, {S3: "-5"})
    days = [DAY + timedelta(days=n) for n in range(4)]
    assert history.days == tuple(days)
    assert history.keys == (EC2, S3, LAMBDA)
    assert np.isnan(history.costs).tolist() == [
        [False, True, False, True],
        [False, True, False, False],
        [True, True, False, True],
    ]
    assert history.totals() == {
        days[0]: Decimal("0.3"),
        days[2]: Decimal("12345.670000000001"),
        days[3]: Decimal(-5),
    }
    assert history.ou_costs(days)["Shop/Web"] == dict(
        zip(days, map(Decimal, ("0.2", "0", "12345.67", "-5")), strict=True)
    )
    assert history.sums_by_ou(days[1], days[2]) == {
        "Shop": Decimal("0.000000000001"),
        "Shop/Web": Decimal("12345.67"),
        "Data": 0,
    }
    assert history.first_days() == {"Shop": days[0], "Shop/Web": days[0], "Data": days[2]}
    assert history.exact([0, 1], days[2]) == Decimal("12345.670000000001")
    assert history.exact([0, 1], days[1]) == 0
    assert history.exact([0, 1], DAY - timedelta(days=1)) == 0


def test_no_day_and_days_without_rows_are_no_error() -> None:
    """An archive of days on which the bill has nothing still has its days."""
    assert history_of().days == ()
    empty = history_of({}, {})
    assert (len(empty.days), empty.keys, empty.totals()) == (2, (), {})


def test_costs_given_one_by_one_are_the_same_history() -> None:
    """What tests and benchmarks give in a dict is what the archive would have."""
    given_costs = {EC2: {DAY: Decimal("0.1")}, S3: {DAY: Decimal("0.2"), DAY + timedelta(days=1): Decimal(7)}}
    made = CostHistory.of(given_costs, [DAY, DAY + timedelta(days=1)])
    archived = history_of({EC2: "0.1", S3: "0.2"}, {S3: "7"})
    assert (made.days, made.keys, made.by_ou) == (archived.days, archived.keys, archived.by_ou)
    assert np.array_equal(made.costs, archived.costs, equal_nan=True)


@pytest.mark.parametrize(
    ("costs", "total"),
    [
        pytest.param(["0.1", "0.2"], "0.3", id="no binary fraction"),
        pytest.param(["999.999999999999", "0.000000000001"], "1000", id="the twelfth place"),
        pytest.param(["4095.123456789012", "4096.987654321"], "8192.111111110012", id="where doubles become coarser"),
        pytest.param(["123456789.12", "-123456789.11", "0.000000000003"], "0.010000000003", id="large"),
        pytest.param(["-0.5", "nan", "0.25"], "-0.25", id="not there"),
    ],
)
def test_sums_of_doubles_are_those_of_the_decimals_they_stand_for(costs: list[str], total: str) -> None:
    """As the bill has them, to the last place."""
    assert exact_sum(np.array(costs, dtype=float)) == Decimal(total)


@given(st.lists(st.floats(-1e9, 1e9, allow_nan=False), max_size=20))
def test_each_double_is_taken_as_money_takes_it(costs: list[float]) -> None:
    """`core.money.from_double` is the rule, for small ones by another way."""
    units, picos = exact_parts(np.array(costs))
    for cost, unit, pico in zip(costs, units.tolist(), picos.tolist(), strict=True):
        assert Decimal(unit) + Decimal(pico).scaleb(-12) == from_double(cost)
