"""The cause of a change is named, and the parts of a change add up to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from finops_assets.core.accounts.account_map import Membership
from finops_assets.core.analytics.cost_causes import Cause, causes
from finops_assets.core.analytics.driver_sums import explain
from finops_assets.core.analytics.explanations import Explanation, compared_day
from finops_assets.core.analytics.moved_parts import REST, moved_parts
from finops_assets.core.errors import BillError
from finops_assets_tests.analytics.test_drivers import OTHER, WEEK_AGO, use
from finops_assets_tests.support.bills import ACCOUNT, DAY, Line, account_map, line, make_bill, open_bill


def explanation(
    path: Path, lines: Sequence[Line], *members: Membership, fmt: str = "cur2", basis: str = "effective"
) -> Explanation:
    warehouse = open_bill(make_bill(path, list(lines), fmt), basis=basis)
    moved = explain(warehouse.drivers(DAY, WEEK_AGO), DAY, WEEK_AGO, account_map(*members), "USD", basis)
    parts = moved_parts(warehouse.moved_parts(DAY, WEEK_AGO), moved, {})
    assert sum(part.delta for part in parts) == sum(driver.delta for driver in moved.each())
    return Explanation(DAY, WEEK_AGO, "USD", basis, parts)


def steady(fmt: str = "cur2") -> list[Line]:
    """An account that uses three things on both days."""
    lines = []
    for day in (WEEK_AGO, DAY):
        lines.append(use(fmt, day, "100", "50"))
        lines.append(use(fmt, day, "10", "5", sku="TimedStorage-ByteHrs", service="Amazon S3"))
        lines.append(use(fmt, day, "7", "1", sku="DataTransfer-Out-Bytes"))
    return lines


def credited(day, cost: str) -> Line:
    return use("cur2", day, None, cost, kind="Credit")


PLANTED = {
    "a new account": ("new_account", [use("cur2", DAY, "9", "40", account=OTHER)]),
    "a new service": ("new_service", [use("cur2", DAY, "9", "40", sku="Train", service="Amazon SageMaker")]),
    "a new usage type": ("new_usage", [use("cur2", DAY, "9", "40", sku="BoxUsage:p4d.24xlarge")]),
    "more of it": ("quantity", [use("cur2", DAY, "80", "40")]),
    "dearer by half": ("price", [use("cur2", DAY, "0", "25")]),
    "a credit that ended": ("credit_ended", [credited(WEEK_AGO, "-30")]),
    "a credit that came": ("credit_came", [credited(DAY, "-30")]),
    "a refund": ("refund", [use("cur2", DAY, None, "-30", kind="Refund")]),
    "a fee": ("fee", [use("cur2", DAY, None, "300", kind="Fee")]),
    "twice the lines": ("doubled", steady()[3:]),
}  # fmt: skip


@pytest.mark.parametrize("what", PLANTED)
def test_the_cause_is_named_first(tmp_path: Path, what: str) -> None:
    """One change beside steady use; the causes sum to the change exactly."""
    kind, lines = PLANTED[what]
    found = explanation(tmp_path, [*steady(), *lines], basis="unblended")
    named = found.causes("All")
    assert named[0].kind == kind
    assert sum(cause.amount for cause in named) == sum(part.delta for part in found.parts)


@pytest.mark.parametrize("basis", ["effective", "unblended"])
def test_coverage_that_is_lost_is_named(tmp_path: Path, basis: str) -> None:
    """100 hours under a plan at 0.60, then the same on demand at 1.00; the invoice has the plan in its fee."""
    covered = use("cur2", WEEK_AGO, "100", "100", kind="SavingsPlanCoveredUsage", effective="60", sku="BoxUsage:c7i")
    lines = [covered, use("cur2", WEEK_AGO, "100", "-100", kind="SavingsPlanNegation", sku="BoxUsage:c7i")]
    lines.append(use("cur2", DAY, "100", "100", sku="BoxUsage:c7i"))
    (cause,) = explanation(tmp_path, [*steady(), *lines], basis=basis).causes("All")
    assert (cause.kind, cause.amount) == ("coverage_lost", 40 if basis == "effective" else 100)


def test_one_resource_and_a_new_region_are_named(tmp_path: Path) -> None:
    """One bucket of two takes all of the growth; what is used where nothing was is of that region."""

    def of(day: date, amount: str, resource: str, region: str = "us-east-1", sku: str = "Requests") -> Line:
        made = use("cur2", day, amount, amount, sku=sku, service="Amazon S3")
        extra = {**made.extra, "line_item_resource_id": resource, "product_region_code": region}
        return replace(made, extra=extra)

    lines = [of(WEEK_AGO, "5", "one"), of(WEEK_AGO, "5", "two"), of(DAY, "5", "one"), of(DAY, "45", "two")]
    (cause,) = explanation(tmp_path / "resource", lines).causes("All")
    assert (cause.kind, cause.resource, cause.amount) == ("resource", "two", 40)
    lines = [of(WEEK_AGO, "5", "one"), of(DAY, "5", "one"), of(DAY, "7", "three", "ap-east-1", "APE1-Requests")]
    (cause,) = explanation(tmp_path / "region", lines).causes("All")
    assert cause == Cause("new_region", Decimal(7), ACCOUNT, "Amazon S3", "APE1-Requests", "ap-east-1", "three")


def test_five_parts_are_kept_and_the_rest_is_one(tmp_path: Path) -> None:
    """Seven usage types grow by 1 to 7: 7 to 3 stand by themselves, 2 and 1 and what did not move are the rest."""
    lines = [use("cur2", DAY, str(n), str(n), sku=f"Type-{n}") for n in range(1, 8)]
    found = explanation(tmp_path, [*steady(), *lines])
    assert [(part.usage_type, part.delta) for part in found.parts] == [
        *((f"Type-{n}", n) for n in (7, 6, 5, 4, 3)),
        ("", 3),
    ]
    assert (found.parts[-1].kind, found.parts[-1].before) == (REST, 51)


def test_an_account_that_moved_has_its_parts_in_both_ous(tmp_path: Path) -> None:
    """It leaves with 56.00, and joins with that and what it grew by."""
    members = (
        Membership(ACCOUNT, "a", "Eng/Old", valid_to=DAY),
        Membership(ACCOUNT, "a", "Eng/New", valid_from=DAY),
    )
    found = explanation(tmp_path, [*steady(), use("cur2", DAY, "20", "10")], *members)
    assert [(c.kind, c.amount) for c in found.causes("Eng/Old")] == [("moved", -56)]
    assert [(c.kind, c.amount) for c in found.causes("Eng/New")] == [("moved", 56), ("quantity", 10)]
    assert [(c.kind, c.amount) for c in found.causes("Eng")] == [("quantity", 10)]


def test_parts_of_another_bill_are_refused(tmp_path: Path) -> None:
    """Parts that do not sum to what moved are of a bill that has changed meanwhile."""
    one, other = (open_bill(make_bill(tmp_path / c, [line(c)], "focus")) for c in ("1", "2"))
    moved = explain(one.drivers(DAY, WEEK_AGO), DAY, WEEK_AGO, account_map(), "USD", "billed")
    with pytest.raises(BillError):
        moved_parts(other.moved_parts(DAY, WEEK_AGO), moved, {})


def test_the_day_compared_with_is_a_week_before_or_the_day_before() -> None:
    before = DAY - timedelta(days=1)
    assert compared_day(DAY, {WEEK_AGO, before}) == WEEK_AGO
    assert compared_day(DAY, {before}) == before
    assert compared_day(DAY, {DAY}) is None
    assert causes(()) == []
