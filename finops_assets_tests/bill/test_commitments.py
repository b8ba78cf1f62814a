"""What is used of each Savings Plan and reservation, and what is not: by line type, on both engines, to the digit.

Sources: AWS's table dictionaries of CUR and CUR 2.0 (columns of reservations and Savings Plans), FOCUS_Spec (columns
CommitmentDiscountId, CommitmentDiscountStatus and CommitmentDiscountType).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from finops_assets.composition import channels
from finops_assets.core.archive.breakdown import split_by_day
from finops_assets.core.archive.day_checks import COMMITMENTS, faults
from finops_assets.core.archive.day_commitments import CommitmentsByDay, with_commitments
from finops_assets.core.ports import Warehouse
from finops_assets.core.schemas import MONEY, ON_DEMAND
from finops_assets.core.values import DayRows
from finops_assets.stories.sample_bill import SampleBill, write_sample_bill
from finops_assets_tests.support.bills import DAY, account_map, line, open_bill, rows_of, write_rows
from finops_assets_tests.support.on_aws import make_ready, platform_on
from standin.bills import load_bill
from standin.server import StandIn

Rows = Sequence[Mapping[str, Any]]
Opener = Callable[..., Warehouse]

PLAN = "arn:aws:savingsplans::111122223333:savingsplan/1"
RESERVED = "arn:aws:rds:us-east-1:111122223333:ri:1"
MONTH = timedelta(days=30)


@pytest.fixture(scope="module", params=["embedded", "athena"])
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opener]:
    """Opens a bill of the given rows in one of the engines."""
    root, number = tmp_path_factory.mktemp("bills"), count()

    def written(rows: Rows) -> Path:
        folder = root / f"bill{next(number)}"
        write_rows(folder / "0.parquet", rows)
        return folder

    if request.param == "embedded":
        yield lambda rows, **rules: open_bill(written(rows), **rules)
        return
    running: StandIn = request.getfixturevalue("running")
    session = request.getfixturevalue("session")
    with pytest.MonkeyPatch.context() as patched:
        running.reset()
        for name, value in running.environ.items():
            patched.setenv(name, value)
        patched.setattr(channels, "aws_session", lambda _: session)
        ready = False

        def on_athena(rows: Rows, basis: str = "billed", **rules: Any) -> Warehouse:
            nonlocal ready
            folder = written(rows)
            table = f"billing.{folder.name}"
            (load_bill if ready else make_ready)(running, folder, table=table)
            ready = True
            settings = {f"bill__{name}": value for name, value in rules.items()}
            return platform_on(running, root, bill__table=table, bill__cost_basis=basis, **settings).warehouse

        yield on_athena


def day_of(warehouse: Warehouse) -> DayRows:
    """The day as it is archived: whole, and its commitments are what its charges say."""
    (day,) = split_by_day(warehouse.breakdown(DAY, DAY, account_map()))
    day = with_commitments(day, CommitmentsByDay(warehouse.commitments(DAY, DAY)).of(DAY))
    assert faults(day, warehouse.source_days(DAY, DAY)[DAY]) == {}
    return day


def rows_by_id(day: DayRows) -> dict[str, dict[str, Any]]:
    assert day.commitments is not None
    rows = day.commitments.to_pylist()
    for row in rows:
        assert row["committedcost"] == row["usedcost"] + row["unusedcost"]
    return {row["commitmentid"]: row for row in rows}


def cur_lines(fmt: str, *, net: bool = False) -> Rows:
    """A plan and a reservation, each used and not, with the lines that are neither."""

    def of(line_type: str, cost: str, service: str = "AmazonEC2", **extra: Any) -> dict[str, Any]:
        kind = "lineItem/LineItemType" if fmt == "cur" else "line_item_line_item_type"
        return rows_of([line(cost, service=service, extra={kind: line_type, **extra})], fmt)[0]

    plan = {"savings_plan_savings_plan_a_r_n": PLAN, "savings_plan_end_time": "2027-03-04T23:59:59.000Z"}
    reserved = {"reservation_reservation_a_r_n": RESERVED}
    month = {"lineItem/UsageEndDate" if fmt == "cur" else "line_item_usage_end_date": None}
    rows = [
        of(
            "SavingsPlanCoveredUsage",
            "10",
            **plan,
            savings_plan_savings_plan_effective_cost=Decimal("6.25"),
            savings_plan_net_savings_plan_effective_cost=Decimal(5),
            pricing_public_on_demand_cost=Decimal(10),
        ),
        of("SavingsPlanNegation", "-10", **plan),
        of(
            "SavingsPlanRecurringFee",
            "8",
            service="ComputeSavingsPlans",
            **plan,
            savings_plan_total_commitment_to_date=Decimal(8),
            savings_plan_used_commitment=Decimal("6.25"),
            savings_plan_recurring_commitment_for_billing_period=Decimal(8),
            savings_plan_net_recurring_commitment_for_billing_period=Decimal(4),
            savings_plan_amortized_upfront_commitment_for_billing_period=Decimal(0),
            savings_plan_net_amortized_upfront_commitment_for_billing_period=Decimal(0),
        ),
        of("SavingsPlanUpfrontFee", "100", service="ComputeSavingsPlans", **plan),
        of(
            "DiscountedUsage",
            "0",
            service="AmazonRDS",
            **reserved,
            reservation_effective_cost=Decimal(3),
            reservation_net_effective_cost=Decimal(2),
            pricing_public_on_demand_cost=Decimal(4),
        ),
        of(
            "RIFee",
            "90",
            service="AmazonRDS",
            **reserved,
            **month,
            reservation_unused_amortized_upfront_fee_for_billing_period=Decimal("0.5"),
            reservation_net_unused_amortized_upfront_fee_for_billing_period=Decimal("0.25"),
            reservation_unused_recurring_fee=Decimal("1.5"),
            reservation_net_unused_recurring_fee=Decimal("0.75"),
            reservation_end_time="2026-12-31T23:59:59.000Z",
        ),
        of("Fee", "40", service="AmazonRDS", **reserved),
        of("Usage", "2", service="AmazonEC2", pricing_public_on_demand_cost=Decimal(2)),
        of("Usage", "7", service="AmazonS3", pricing_public_on_demand_cost=Decimal(7)),
        of("Tax", "1", service="AmazonEC2"),
    ]
    if net:
        return [{**row, "line_item_net_unblended_cost": row["line_item_unblended_cost"]} for row in rows]
    return [{name: value for name, value in row.items() if "_net_" not in name} for row in rows]


def normal(name: str) -> str:
    """As a legacy CUR's Parquet names what its CSV calls `lineItem/LineItemType`."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name.replace("/", "")) if "/" in name else name


CUR2 = cur_lines("cur2")
CUR = [{normal(name): value for name, value in row.items()} for row in cur_lines("cur")]
CUR_CASES = [
    ("cur2, unblended", CUR2, "unblended", ("6.25", "1.75", "3", "2")),
    ("cur2, amortized", CUR2, "effective", ("6.25", "1.75", "3", "2")),
    ("cur2, after private discounts", cur_lines("cur2", net=True), "net_amortized", ("5", "0.875", "2", "1")),
    ("legacy cur", CUR, "billed", ("6.25", "1.75", "3", "2")),
]


@pytest.mark.parametrize(("rows", "basis", "expected"), [of[1:] for of in CUR_CASES], ids=[of[0] for of in CUR_CASES])
def test_each_line_type_of_a_cur_is_used_or_not(
    opened: Opener, rows: Rows, basis: str, expected: Sequence[str]
) -> None:
    """Negations, upfront fees and what nothing covers are of no commitment."""
    found = rows_by_id(day_of(opened(rows, basis=basis)))
    used, unused, reserved, idle = map(Decimal, expected)
    plan, reservation, rest = (found.pop(name) for name in (PLAN, RESERVED, ""))
    assert found == {}
    assert (plan["kind"], plan["usedcost"], plan["unusedcost"]) == ("savings plan", used, unused)
    assert (plan["ondemandcost"], plan["expires"], plan["ou"]) == (10, date(2027, 3, 4), "Engineering")
    assert (reservation["kind"], reservation["usedcost"], reservation["unusedcost"]) == ("reservation", reserved, idle)
    assert (reservation["ondemandcost"], reservation["expires"]) == (4, date(2026, 12, 31))
    # S3 is no service in which anything is covered.
    assert (rest["kind"], rest["committedcost"], rest["ondemandcost"]) == (ON_DEMAND, 0, 2)


def focus_rows(*, version: str) -> Rows:
    def of(cost: str, status: str | None, id_: str | None, type_: str | None, **facts: Any) -> dict[str, Any]:
        extra = {
            "CommitmentDiscountId": id_,
            "CommitmentDiscountStatus": status,
            "CommitmentDiscountType": type_,
            "EffectiveCost": Decimal(cost),
            "BilledCost": Decimal(0),
            "ListCost": 2 * Decimal(cost),
        }
        if version == "1.2":
            extra["CommitmentDiscountQuantity"] = Decimal(1)
        return rows_of([line(cost, extra=extra, **facts)], "focus")[0]

    return [
        of("6.25", "Used", PLAN, "Savings Plan"),
        of("1.75", "Unused", PLAN, "Savings Plan"),
        of("0", None, PLAN, "Savings Plan", category="Purchase"),
        of("3", "Used", RESERVED, "Reserved Instance", service="Amazon RDS"),
        of("2", "Unused", RESERVED, "Reserved Instance", service="Amazon RDS", length=MONTH),
        of("5", "Used", "cud-1", "Resource-based"),
        of("2", None, None, None),
        of("7", None, None, None, service="Amazon S3"),
    ]


@pytest.mark.parametrize("version", ["1.0", "1.2"])
def test_focus_tells_by_id_and_status_and_not_when_it_ends(opened: Opener, version: str) -> None:
    found = rows_by_id(day_of(opened(focus_rows(version=version))))
    amounts = {name: (row["kind"], row["usedcost"], row["unusedcost"]) for name, row in found.items()}
    assert amounts == {
        "": (ON_DEMAND, 0, 0),
        PLAN: ("savings plan", Decimal("6.25"), Decimal("1.75")),
        RESERVED: ("reservation", 3, 2),
        "cud-1": ("commitment", 5, 0),
    }
    assert {row["expires"] for row in found.values()} == {None}
    assert (found[PLAN]["ondemandcost"], found[""]["ondemandcost"]) == (Decimal("12.5"), 2)


def test_a_bill_without_commitments_has_none(opened: Opener) -> None:
    """Neither one whose lines name none, nor one that has no column of them."""
    plain = [{**row, "CommitmentDiscountId": None} for row in focus_rows(version="1.0")]
    for rows in (
        [{**row, "CommitmentDiscountStatus": None} for row in plain],
        rows_of([line(1)], "cur2"),
        rows_of([line(1)], "summary"),
    ):
        rules = {"currency": "USD"} if "OU" in rows[0] else {}
        assert day_of(opened(rows, **rules)).commitments is None


def test_what_would_be_paid_on_demand_may_not_be_known(opened: Opener) -> None:
    """A legacy CUR may lack the column; a plan without its ARN has a name all the same."""
    without = ("pricing_public_on_demand_cost", "savings_plan_savings_plan_a_r_n", "savings_plan_end_time")
    rows = [{name: value for name, value in row.items() if name not in without} for row in CUR2]
    found = rows_by_id(day_of(opened(rows)))
    assert found["(not named)"]["kind"] == "savings plan"
    assert (found["(not named)"]["ondemandcost"], found["(not named)"]["expires"]) == (None, None)
    assert found[RESERVED]["ondemandcost"] is None


def test_a_commitment_that_is_not_in_the_charges_refuses_the_day(tmp_path: Path) -> None:
    """The day's check, by an amount that is neither used nor unused."""
    write_rows(tmp_path / "0.parquet", CUR2)
    warehouse = open_bill(tmp_path)
    day = day_of(warehouse)
    assert day.commitments is not None
    used = day.commitments.column("usedcost").to_pylist()
    used[1] -= 1
    wrong = day.commitments.set_column(6, "usedcost", pa.array(used, MONEY))
    assert set(faults(replace(day, commitments=wrong), warehouse.source_days(DAY, DAY)[DAY])) == {COMMITMENTS}


LAST = date(2025, 9, 30)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SampleBill:
    return write_sample_bill(tmp_path_factory.mktemp("sample") / "bill", LAST, 40)


@pytest.mark.parametrize("fmt", ["cur2", "focus"])
def test_a_month_of_the_sample_bill_is_what_its_fees_say(sample: SampleBill, fmt: str) -> None:
    """Used and unused of each commitment sum to what AWS says that it costs, in columns that the platform never reads.

    A plan's recurring commitment is on its daily fee; a reservation's recurring fee and amortized upfront fee of the
    billing period are on its monthly one.
    """
    first = LAST.replace(day=1)
    warehouse = open_bill(getattr(sample, fmt))
    stream = CommitmentsByDay(warehouse.commitments(first, LAST))
    sums: dict[str, Decimal] = {}
    for day in split_by_day(warehouse.breakdown(first, LAST, account_map())):
        commitments = with_commitments(day, stream.of(day.day)).commitments
        assert commitments is not None
        for row in commitments.to_pylist():
            assert row["committedcost"] == row["usedcost"] + row["unusedcost"]
            if row["kind"] != ON_DEMAND:
                sums[row["commitmentid"]] = sums.get(row["commitmentid"], Decimal()) + row["committedcost"]
    assert sums == fees_of_month(sample.cur2, first)
    assert len(sums) == 3


def fees_of_month(bill: Path, first: date) -> dict[str, Decimal]:
    """ARN -> what a commitment costs in the month, by the columns of its own fee."""
    fee = "savings_plan_recurring_commitment_for_billing_period"
    upfront = "reservation_amortized_upfront_fee_for_billing_period"
    with duckdb.connect() as con:
        rows = con.execute(
            f"""SELECT COALESCE(NULLIF(savings_plan_savings_plan_a_r_n, ''), reservation_reservation_a_r_n),
                SUM(CASE WHEN line_item_line_item_type = 'RIFee'
                    THEN {upfront}::DECIMAL(38, 12) + line_item_unblended_cost::DECIMAL(38, 12)
                    ELSE {fee}::DECIMAL(38, 12) END)
            FROM read_parquet('{bill}/**/*.parquet', union_by_name = true, hive_partitioning = false)
            WHERE line_item_line_item_type IN ('RIFee', 'SavingsPlanRecurringFee')
                AND CAST(line_item_usage_start_date AS DATE) >= DATE '{first}'
            GROUP BY 1"""
        ).fetchall()
    return dict(rows)
