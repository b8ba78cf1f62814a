"""Dimensions in the digest and on the dashboard: shares rounded down, exact sums, texts that stay texts."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace

import pyarrow as pa
import pytest

from finops_assets.core.analytics.budgets import Line
from finops_assets.core.analytics.forecast import Forecast
from finops_assets.core.analytics.value_scores import ValueScore
from finops_assets.core.archive.cost_history import cost_history
from finops_assets.core.bill.dimension_keys import DimensionValue
from finops_assets.core.reports.dashboard import DashboardInputs, DimensionCosts
from finops_assets.core.reports.dashboard.dimension_data import OTHER_VALUES, dimension_data
from finops_assets.core.reports.dashboard.value_lights import value_lights
from finops_assets.core.reports.digest.tagged import TaggedShare, tagged_shares, tagged_words
from finops_assets.core.reports.digest.value_rows import VALUES_SHOWN, value_view
from finops_assets.core.schemas import DIMENSION_BREAKDOWN, MONEY
from finops_assets_tests.support.bills import DAY

HOSTILE = '</script><img src=x onerror=alert(1)>\u202e=1+1"' + "x" * 10_000
DAYS = [DAY - timedelta(days=1), DAY]
SUMS = pa.schema(
    [*(DIMENSION_BREAKDOWN.field(n) for n in ("billingdate", "dimension", "value", "ou")), ("cost", MONEY)]
)


def breakdown(*rows: tuple[str, str, str, str]) -> pa.Table:
    """Rows of the day: (dimension, value, OU, cost)."""
    names = ("dimension", "value", "ou")
    of = [dict(zip(names, row, strict=False)) | {"cost": Decimal(row[3])} for row in rows]
    known = {"billingdate": DAY, "service": "EC2", "linkedaccount": "1"}
    return pa.Table.from_pylist([known | row for row in of], schema=DIMENSION_BREAKDOWN)


def sums(*rows: tuple[int, str | None, str, str]) -> pa.Table:
    """Sums of tag:team: (number of the day, value, OU, cost)."""
    return pa.Table.from_pylist(
        [
            {"billingdate": DAYS[n], "dimension": "tag:team", "value": value, "ou": ou, "cost": Decimal(cost)}
            for n, value, ou, cost in rows
        ],
        schema=SUMS,
    )


def test_the_share_of_a_day_is_that_of_each_key_and_ou() -> None:
    rows = breakdown(
        ("tag:team", "a", "Eng/Web", "83"),
        ("tag:team", "(untagged)", "Eng", "7"),
        ("tag:team", "(untagged)", "Engine", "10"),
        ("account:unit", "\\(untagged)", "Eng/Web", "83"),
        ("account:unit", "(untagged)", "Eng", "17"),
    )
    assert tagged_shares(rows) == (
        TaggedShare("account:unit", Decimal(83), Decimal(100)),
        TaggedShare("tag:team", Decimal(83), Decimal(100)),
    )
    assert tagged_shares(rows, "Eng")[1] == TaggedShare("tag:team", Decimal(83), Decimal(90))
    assert tagged_shares(None) == ()


@pytest.mark.parametrize(
    ("tagged", "total", "words"),
    [
        ("2202.29", "2653.36", "tag:team: 83 % of 2,653.36 USD has a value"),
        ("2653.35", "2653.36", "tag:team: 99 % of 2,653.36 USD has a value"),
        ("2653.36", "2653.36", "tag:team: 100 % of 2,653.36 USD has a value"),
        ("0.01", "2653.36", "tag:team: <1 % of 2,653.36 USD has a value"),
        ("0", "2653.36", "tag:team: 0 % of 2,653.36 USD has a value"),
        ("12", "-3", "tag:team: 12.00 USD of -3.00 USD has a value"),
        ("12", "9", "tag:team: 12.00 USD of 9.00 USD has a value"),
        ("0", "0", "tag:team: nothing of 0.00 USD has a value"),
    ],
)
def test_a_share_is_rounded_down_and_a_credit_makes_it_an_amount(tagged: str, total: str, words: str) -> None:
    assert tagged_words(TaggedShare("tag:team", Decimal(tagged), Decimal(total)), "USD") == words


def test_the_page_has_each_value_by_ou_and_day() -> None:
    """Integers of a millionth; a day that does not have the key is known as one."""
    costs = DimensionCosts(sums((1, "b", "Eng", "2.0000005"), (1, "(untagged)", "Eng", "1")), {"tag:team": {DAY}})
    (part,) = dimension_data(costs, DAYS, ["Data", "Eng"], 1000)
    assert part["known"] == [0, 1]
    assert part["values"] == ["(untagged)", "b"]
    assert part["rows"] == [[0, 1, 0, 1_000_000], [1, 1, 0, 2_000_000]]
    assert dimension_data(None, DAYS, [], 1000) == []
    assert dimension_data(DimensionCosts(sums(), {"tag:team": {DAY - timedelta(days=9)}}), DAYS, [], 1000) == []


def test_what_is_not_named_is_summed() -> None:
    """What the archive has folded, and what there is no room for."""
    rows = sums((0, "a", "Eng", "9"), (0, "b", "Eng", "5"), (1, "c", "Eng", "3"), (1, None, "Eng", "1"))
    (part,) = dimension_data(DimensionCosts(rows, {"tag:team": DAYS}), DAYS, ["Eng"], 4)
    assert part["values"] == ["a", "b", OTHER_VALUES]
    assert part["rows"][-1] == [2, 0, 0, 4_000_000]


def test_a_value_of_anybody_is_short_harmless_text() -> None:
    """Two that look alike stay two."""
    rows = sums((0, HOSTILE, "Eng", "1"), (0, HOSTILE + "y", "Eng", "1"), (0, "\u202ea", "Eng", "1"))
    (part,) = dimension_data(DimensionCosts(rows, {"tag:team": DAYS}), DAYS, ["Eng"], 1000)
    assert len(set(part["values"])) == 3
    assert all(len(value) < 200 and "\u202e" not in value for value in part["values"])
    assert len(json.dumps(part)) < 2000


def value_score(value: str, light: str, share: float | None, budget: str | None = "10") -> ValueScore:
    line = Line(
        f"tag:team={value}",
        None if budget is None else Decimal(budget),
        Forecast(Decimal("4.5"), Decimal(9)),
        share,
        None,
        light,
        "a reason",
    )
    return ValueScore(DimensionValue("tag:team", value), Decimal("1.5"), 0, line, "closed", "USD", "billed")


SCORES = [
    value_score("a", "green", 0.5),
    value_score("b", "red", 1.2),
    value_score(HOSTILE, "red", 3.0),
    value_score("c", "no budget", None, None),
]


def page_inputs(*scores: ValueScore, currency: str = "USD") -> DashboardInputs:
    return DashboardInputs(
        cost_history([]),  # type: ignore[arg-type]
        {},
        {},
        currency=currency,
        cost_basis="billed",
        generated_for=DAY,
        max_cells=1000,
        values=scores,
    )


def test_lights_of_values_stand_by_urgency() -> None:
    """On the page those with a budget alone, in its unit; texts stay texts."""
    rows = value_lights(page_inputs(*SCORES))
    assert [(row["light"], row["share"], row["month"]) for row in rows] == [
        ("red", "300 %", "4.50"),
        ("red", "120 %", "4.50"),
        ("green", "50 %", "4.50"),
    ]
    assert "\u202e" not in rows[0]["name"]
    assert len(rows[0]["name"]) <= 300
    assert value_lights(page_inputs(*SCORES, currency="EUR")) == []


def test_the_mail_names_some_values_and_counts_the_others() -> None:
    """The reddest first, so that a large organization's mail is not clipped."""
    many = [value_score(f"v{n:02}", "green", n / 100) for n in range(VALUES_SHOWN)]
    view = value_view(SimpleNamespace(values=(*many, *SCORES[:2])))  # type: ignore[arg-type]
    assert [row["name"] for row in view["values"]][:3] == [
        "tag:team=b",
        "tag:team=a",
        f"tag:team=v{VALUES_SHOWN - 1:02}",
    ]
    assert len(view["values"]) == VALUES_SHOWN
    assert view["values_rest"].startswith("2 more values (2 green) are not shown here")
    assert value_view(SimpleNamespace(values=()))["values_rest"] == ""  # type: ignore[arg-type]
