"""What each kind of line costs in each cost basis, in both engines: figures written by hand from AWS's documents.

Both engines run one SQL, and a day's rows are proved by sums that the same SQL makes: neither tells of a wrong rule.

Sources: summary_view.sql of aws-solutions-library-samples/cloud-intelligence-dashboards-framework (after its pull
request 1515), AWS's table dictionaries of CUR, CUR 2.0 and the Cost and Usage Dashboard (`amortized_cost`), FOCUS_Spec
(columns ChargeCategory and ChargeClass, pull requests 402 and 673).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from finops_assets.adapters.aws.warehouse import AthenaWarehouse
from finops_assets.composition import channels
from finops_assets.core.archive.breakdown import split_by_day
from finops_assets.core.archive.day_checks import faults
from finops_assets.core.bill.formats.cur import CUR
from finops_assets.core.bill.formats.cur2 import CUR2
from finops_assets.core.bill.formats.focus import FOCUS
from finops_assets.core.bill.rules import missing_columns
from finops_assets.core.errors import BillError
from finops_assets.core.ports import Warehouse
from finops_assets.core.schemas import CATEGORY_COLUMNS, MAY_BE_UNKNOWN
from finops_assets.core.values import LeftOut
from finops_assets_tests.support.bills import DAY, LEGACY_PARQUET, Line, account_map, at, line, open_bill, rows_of
from finops_assets_tests.support.bills import write_rows as write
from finops_assets_tests.support.on_aws import make_ready, platform_on
from standin.bills import load_bill
from standin.server import StandIn

Rows = Sequence[Mapping[str, Any]]
Opener = Callable[..., Warehouse]


@pytest.fixture(scope="module", params=["embedded", "athena"])
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opener]:
    """Opens a bill of the given rows, each argument a file, in one of the engines."""
    root, number = tmp_path_factory.mktemp("bills"), count()
    known: list[tuple[tuple[Rows, ...], Path]] = []

    def folder_of(files: tuple[Rows, ...]) -> Path:
        for written, folder in known:
            if all(one is other for one, other in zip(written, files, strict=False)):
                return folder
        folder = root / f"bill{next(number)}"
        for n, rows in enumerate(files):
            write(folder / f"{n}.parquet", rows)
        known.append((files, folder))
        return folder

    if request.param == "embedded":
        yield lambda *files, **rules: open_bill(folder_of(files), **rules)
        return
    running: StandIn = request.getfixturevalue("running")
    session = request.getfixturevalue("session")
    with pytest.MonkeyPatch.context() as patched:
        running.reset()
        for name, value in running.environ.items():
            patched.setenv(name, value)
        patched.setattr(channels, "aws_session", lambda _: session)
        loaded: set[Path] = set()

        def on_athena(*files: Rows, basis: str = "billed", **rules: Any) -> Warehouse:
            folder = folder_of(files)
            table = f"billing.{folder.name}"
            if not loaded:
                make_ready(running, folder, table=table)
            elif folder not in loaded:
                load_bill(running, folder, table=table)
            loaded.add(folder)
            settings = {f"bill__{name}": value for name, value in rules.items()}
            return platform_on(running, root, bill__table=table, bill__cost_basis=basis, **settings).warehouse

        yield on_athena


def by_account(warehouse: Warehouse) -> dict[str, Decimal]:
    """Account -> its cost on the day. It has one service."""
    rows = [row for batch in warehouse.breakdown(DAY, DAY, account_map()) for row in batch.to_pylist()]
    return {row["linkedaccount"]: row["cost"] for row in rows}


def charges_of(warehouse: Warehouse) -> dict[str, dict[str, Any]]:
    """Account -> what the money of its row is; the engine's own fingerprint of all rows is that of the rows."""
    (day,) = split_by_day(warehouse.breakdown(DAY, DAY, account_map()))
    if isinstance(warehouse, AthenaWarehouse):
        assert warehouse.fingerprints(DAY, DAY, account_map())[DAY].charges == day.charges_fingerprint
    assert not faults(day, warehouse.source_days(DAY, DAY)[DAY])
    assert day.charges is not None
    return {row["linkedaccount"]: row for row in day.charges.to_pylist()}


def total(warehouse: Warehouse) -> Decimal:
    """The bill's total of the day, and that of its rows, which agree."""
    day = warehouse.source_days(DAY, DAY)[DAY]
    assert sum(by_account(warehouse).values()) == day.total
    return day.total


# --- CUR: line-item type x cost basis -----------------------------------------------------------------------------

AMOUNTS = {
    "line_item_net_unblended_cost": Decimal(2),
    "line_item_line_item_description": "as used",
    "bill_billing_entity": "AWS",
    "savings_plan_savings_plan_effective_cost": Decimal(3),
    "savings_plan_net_savings_plan_effective_cost": Decimal("2.5"),
    "savings_plan_total_commitment_to_date": Decimal(50),
    "savings_plan_used_commitment": Decimal(10),
    "savings_plan_recurring_commitment_for_billing_period": Decimal(8),
    "savings_plan_net_recurring_commitment_for_billing_period": Decimal(4),
    "savings_plan_amortized_upfront_commitment_for_billing_period": Decimal(0),
    "savings_plan_net_amortized_upfront_commitment_for_billing_period": Decimal(0),
    "reservation_reservation_a_r_n": None,
    "reservation_effective_cost": Decimal(5),
    "reservation_net_effective_cost": Decimal(6),
    "reservation_unused_amortized_upfront_fee_for_billing_period": Decimal(7),
    "reservation_net_unused_amortized_upfront_fee_for_billing_period": Decimal(11),
    "reservation_unused_recurring_fee": Decimal(9),
    "reservation_net_unused_recurring_fee": Decimal(13),
}
"""Every amount is another one, so that a cost tells which columns it was made of; unblended is 1, and net of that 2."""

NET, PERIOD = "line_item_net_unblended_cost", "bill_billing_period_start_date"
NO_DISCOUNT = {name: None for name in AMOUNTS if "_net_" in name}
UPFRONT = {
    "savings_plan_recurring_commitment_for_billing_period": Decimal(0),
    "savings_plan_net_recurring_commitment_for_billing_period": Decimal(0),
    "savings_plan_amortized_upfront_commitment_for_billing_period": Decimal(8),
    "savings_plan_net_amortized_upfront_commitment_for_billing_period": Decimal(2),
}
FREE = {**UPFRONT, "savings_plan_amortized_upfront_commitment_for_billing_period": Decimal(0)}
USED = {"savings_plan_used_commitment": Decimal(50)}
RESERVED = {"reservation_reservation_a_r_n": "arn:aws:ec2:us-east-1:1:reserved-instances/1"}
USED_RESERVATION = {
    **RESERVED,
    "reservation_unused_amortized_upfront_fee_for_billing_period": Decimal(0),
    "reservation_net_unused_amortized_upfront_fee_for_billing_period": Decimal(0),
    "reservation_unused_recurring_fee": Decimal(0),
    "reservation_net_unused_recurring_fee": Decimal(0),
}


def of_plan(product: str, description: str = "Refund for one-time fee for Savings Plan ID: 1-2") -> dict[str, Any]:
    return {"line_item_product_code": product, "line_item_line_item_description": description}


CUR_TABLE: list[tuple[str, dict[str, Any], tuple[str, str, str, str], str]] = [
    # type, columns, (unblended, net unblended, effective, net amortized), why
    ("Usage", {}, ("1", "2", "1", "2"), "on demand: what was paid is what it cost"),
    ("Usage", NO_DISCOUNT, ("1", "1", "1", "1"), "a month without a discount has no net cost: it is that before it"),
    ("DiscountedUsage", RESERVED, ("1", "2", "5", "6"), "the reservation's fees for this usage"),
    ("DiscountedUsage", RESERVED | NO_DISCOUNT, ("1", "1", "5", "5"), "no discount"),
    ("SavingsPlanCoveredUsage", {}, ("1", "2", "3", "2.5"), "the plan's share, not the on-demand price"),
    ("SavingsPlanCoveredUsage", NO_DISCOUNT, ("1", "1", "3", "3"), "no discount"),
    ("SavingsPlanNegation", {}, ("1", "2", "0", "0"), "takes back what covered usage does not cost here"),
    ("SavingsPlanRecurringFee", {}, ("1", "2", "40", "20"), "the unused commitment, scaled as the recurring fee is"),
    ("SavingsPlanRecurringFee", UPFRONT, ("1", "2", "40", "10"), "all upfront: scaled as the upfront fee is"),
    ("SavingsPlanRecurringFee", FREE, ("1", "2", "40", "40"), "no fee at all to scale by"),
    ("SavingsPlanRecurringFee", USED, ("1", "2", "0", "0"), "all of it is used"),
    ("SavingsPlanRecurringFee", NO_DISCOUNT, ("1", "1", "40", "40"), "no discount"),
    ("SavingsPlanUpfrontFee", {}, ("1", "2", "0", "0"), "counted where it is used"),
    ("RIFee", RESERVED, ("1", "2", "16", "24"), "what of a reservation's fees nobody used"),
    ("RIFee", RESERVED | NO_DISCOUNT, ("1", "1", "16", "16"), "no discount"),
    ("RIFee", USED_RESERVATION, ("1", "2", "0", "0"), "all of it is used"),
    ("Fee", RESERVED, ("1", "2", "0", "0"), "a reservation's upfront fee is counted where it is used"),
    ("Fee", {}, ("1", "2", "1", "2"), "a fee of no reservation"),
    ("Fee", {"reservation_reservation_a_r_n": ""}, ("1", "2", "1", "2"), "a fee of no reservation, as CSV has it"),
    ("Refund", {}, ("1", "2", "1", "2"), "money back for usage"),
    ("Refund", RESERVED, ("1", "2", "1", "2"), "money back of a reservation: AWS counts it"),
    ("Refund", of_plan("ComputeSavingsPlans"), ("1", "2", "0", "0"), "a plan's fee comes back, which counts nowhere"),
    ("Refund", of_plan("MachineLearningSavingsPlans"), ("1", "2", "0", "0"), "of any plan"),
    ("Refund", of_plan("DatabaseSavingsPlans"), ("1", "2", "0", "0"), "of any plan"),
    ("Refund", of_plan("PlansOfTheFuture"), ("1", "2", "0", "0"), "told by its description, not by its product"),
    ("Refund", NO_DISCOUNT | of_plan("ComputeSavingsPlans"), ("1", "1", "0", "0"), "no discount"),
    ("Refund", of_plan("ComputeSavingsPlans", "EDP discount"), ("1", "2", "1", "2"), "a discount on a plan is money"),
    ("Credit", {}, ("1", "2", "1", "2"), "no commitment"),
    ("Tax", {}, ("1", "2", "1", "2"), "no commitment"),
    ("EdpDiscount", {}, ("1", "2", "1", "2"), "a discount is a line of its own"),
    ("PrivateRateDiscount", {}, ("1", "2", "1", "2"), "a discount is a line of its own"),
    ("BundledDiscount", {}, ("1", "2", "1", "2"), "a discount is a line of its own"),
    ("FlatRateSubscription", {}, ("1", "2", "1", "2"), "no commitment"),
    ("SomethingNew", {}, ("1", "2", "1", "2"), "a type that nobody knows keeps its cost"),
]
CUR_BASES = ("unblended", "net_unblended", "effective", "net_amortized")


def cur2_rows(cases: Sequence[tuple[str, Mapping[str, Any]]]) -> Rows:
    """A line of 1.00 for each case, in an account of its own."""
    lines = [
        line(1, account=f"{i:012d}", extra={**AMOUNTS, "line_item_line_item_type": line_type, **extra})
        for i, (line_type, extra) in enumerate(cases)
    ]
    return rows_of(lines, "cur2")


def months_of(rows: Rows) -> tuple[Rows, Rows]:
    """The lines without net costs, in a month's file that lacks these columns, and the others in that of another."""
    bare = [row for row in rows if row[NET] is None]
    before = [{k: v for k, v in row.items() if "_net_" not in k} for row in bare]
    return (
        [{**row, PERIOD: at(DAY.replace(month=DAY.month - 1, day=1))} for row in before],
        [{**row, PERIOD: at(DAY.replace(day=1))} for row in rows if row not in bare],
    )


CUR2_ROWS = months_of(cur2_rows([(line_type, extra) for line_type, extra, *_ in CUR_TABLE]))


@pytest.mark.parametrize("basis", ["billed", *CUR_BASES])
def test_each_line_item_type_costs_what_aws_says(opened: Opener, basis: str) -> None:
    """Line-item type by line-item type, and cost basis by cost basis."""
    column = CUR_BASES.index("unblended" if basis == "billed" else basis)
    costs = by_account(opened(*CUR2_ROWS, basis=basis))
    for number, (line_type, _, expected, why) in enumerate(CUR_TABLE):
        assert costs[f"{number:012d}"] == Decimal(expected[column]), f"{line_type}: {why}"
    assert len(costs) == len(CUR_TABLE)


@pytest.mark.parametrize("basis", ["effective", "net_amortized"])
def test_a_csv_costs_the_same(tmp_path: Path, basis: str) -> None:
    """Amounts are text there, and an absent one is empty or its column is absent."""
    for number, rows in enumerate(CUR2_ROWS):
        write(tmp_path / "bill" / f"{number}.csv", rows)
    expected = {f"{n:012d}": Decimal(costs[CUR_BASES.index(basis)]) for n, (_, _, costs, _) in enumerate(CUR_TABLE)}
    assert by_account(open_bill(tmp_path / "bill", basis=basis)) == expected


COLUMN_OF_TYPE = {
    "Usage": "usagecost",
    "DiscountedUsage": "usagecost",
    "SavingsPlanCoveredUsage": "usagecost",
    "SavingsPlanNegation": "usagecost",
    "SavingsPlanRecurringFee": "purchasecost",
    "SavingsPlanUpfrontFee": "purchasecost",
    "RIFee": "purchasecost",
    "Fee": "purchasecost",
    "Refund": "refundcost",
    "Credit": "creditcost",
    "Tax": "taxcost",
    "EdpDiscount": "adjustmentcost",
    "PrivateRateDiscount": "adjustmentcost",
    "BundledDiscount": "adjustmentcost",
    "FlatRateSubscription": "adjustmentcost",
    "SomethingNew": "adjustmentcost",
}
"""Line-item type -> the column of ou_charges that its money stands in."""

USED_COMMITMENT = ("DiscountedUsage", "SavingsPlanCoveredUsage")
UNUSED_COMMITMENT = ("SavingsPlanRecurringFee", "RIFee")


@pytest.mark.parametrize(("basis", "amortized"), [("billed", "effective"), ("net_unblended", "net_amortized")])
def test_the_money_of_each_line_item_type_is_of_its_kind(opened: Opener, basis: str, amortized: str) -> None:
    """Each row says its category, its amortized cost, and what of it a commitment covers or leaves unused."""
    charges = charges_of(opened(*CUR2_ROWS, basis=basis))
    cost_at, amortized_at = CUR_BASES.index("unblended" if basis == "billed" else basis), CUR_BASES.index(amortized)
    for number, (line_type, _, costs, why) in enumerate(CUR_TABLE):
        row, cost, effective = charges[f"{number:012d}"], Decimal(costs[cost_at]), Decimal(costs[amortized_at])
        in_categories = {name: row[name] for name in CATEGORY_COLUMNS if row[name]}
        assert in_categories == {COLUMN_OF_TYPE[line_type]: cost}, f"{line_type}: {why}"
        assert row["effectivecost"] == effective, f"{line_type}: {why}"
        assert row["committedcost"] == (effective if line_type in USED_COMMITMENT else 0), line_type
        assert row["unusedcommitment"] == (effective if line_type in UNUSED_COMMITMENT else 0), line_type
        fixed = COLUMN_OF_TYPE[line_type] in ("purchasecost", "taxcost", "creditcost", "refundcost")
        assert row["scheduledcost"] == (cost if fixed else 0), line_type


@pytest.mark.parametrize("absent", ["savings_plan_savings_plan_effective_cost", "reservation_effective_cost"])
def test_a_day_of_which_one_line_has_no_amortized_cost_has_none(opened: Opener, absent: str) -> None:
    """A sum without it would be a wrong number; what was billed is known all the same."""
    line_type = "DiscountedUsage" if absent.startswith("reservation") else "SavingsPlanCoveredUsage"
    rows = [{k: v for k, v in row.items() if k != absent} for row in cur2_rows([("Usage", {}), (line_type, {})])]
    charges = charges_of(opened(rows, basis="billed"))
    assert [row["usagecost"] for row in charges.values()] == [1, 1]
    assert {row[name] for row in charges.values() for name in MAY_BE_UNKNOWN} == {None}


# --- FOCUS: charge category x charge class x cost basis -----------------------------------------------------------

COLUMN_OF_SHOWN = {
    "Usage": "usagecost",
    "Purchase": "purchasecost",
    "Tax": "taxcost",
    "Credit": "creditcost",
    "Refund": "refundcost",
    "Adjustment": "adjustmentcost",
    "Correction": "adjustmentcost",
}
"""Category that is shown -> the column of ou_charges."""

FOCUS_TABLE: list[tuple[str, str | None, str | None, tuple[int, int], str, str]] = [
    # ChargeCategory, ChargeClass, ChargeFrequency, (billed, effective), category that is shown, why
    ("Usage", None, "Usage-Based", (10, 9), "Usage", "used"),
    ("Usage", None, "Usage-Based", (0, 8), "Usage", "covered by a commitment: billed with its purchase"),
    ("Usage", "Correction", "Usage-Based", (-100, -100), "Correction", "a correction takes the old charge back"),
    ("Usage", "Correction", "Usage-Based", (90, 90), "Correction", "and books the new one"),
    ("Purchase", None, "One-Time", (300, 0), "Purchase", "effective where it is used"),
    ("Purchase", None, "Recurring", (30, 0), "Purchase", "effective where it is used"),
    ("Purchase", "Correction", "One-Time", (-20, 0), "Correction", "no refund: its other half may follow"),
    ("Tax", None, "One-Time", (7, 7), "Tax", "tax"),
    ("Tax", "Correction", "One-Time", (-6, -6), "Tax", "a correction of tax is tax"),
    ("Credit", None, "One-Time", (-5, -5), "Credit", "a credit"),
    ("Credit", "Correction", "One-Time", (4, 4), "Credit", "a credit that is taken back"),
    ("Adjustment", None, "One-Time", (-40, -40), "Refund", "AWS's refunds are adjustments"),
    ("Adjustment", "Correction", "One-Time", (-50, -50), "Refund", "of a month before"),
    ("Adjustment", None, None, (-3, -3), "Refund", "a refund whose frequency nobody named"),
    ("Adjustment", None, "Usage-based", (2, 2), "Adjustment", "an adjustment of usage is none"),
]


def focus_rows() -> Rows:
    lines = [
        line(billed, account=f"{i:012d}", extra={
            "EffectiveCost": Decimal(effective), "ChargeCategory": category, "ChargeClass": class_,
            "ChargeFrequency": frequency,
        })
        for i, (category, class_, frequency, (billed, effective), *_) in enumerate(FOCUS_TABLE)
    ]  # fmt: skip
    return rows_of(lines, "focus")


FOCUS_ROWS = focus_rows()


@pytest.mark.parametrize(("basis", "column"), [("billed", 0), ("effective", 1)])
def test_each_charge_of_focus_costs_what_it_says(opened: Opener, basis: str, column: int) -> None:
    """A basis is a column; what a charge is says nothing of its cost, and does say under which name it is shown."""
    warehouse = opened(FOCUS_ROWS, basis=basis)
    costs = by_account(warehouse)
    shown: dict[str, Decimal] = {}
    for number, (category, class_, _, amounts, name, why) in enumerate(FOCUS_TABLE):
        assert costs[f"{number:012d}"] == amounts[column], f"{category}, {class_}: {why}"
        shown[name] = shown.get(name, Decimal()) + amounts[column]
    assert warehouse.source_days(DAY, DAY)[DAY].by_category == shown


def test_the_money_of_each_charge_of_focus_is_of_its_kind(opened: Opener) -> None:
    """Its category as it is shown; commitments are told by their id and status, which this bill does not have."""
    charges = charges_of(opened(FOCUS_ROWS))
    for number, (_, _, _, (billed, effective), shown, why) in enumerate(FOCUS_TABLE):
        row = charges[f"{number:012d}"]
        assert {name: row[name] for name in CATEGORY_COLUMNS if row[name]} == (
            {COLUMN_OF_SHOWN[shown]: billed} if billed else {}
        ), why
        assert (row["effectivecost"], row["committedcost"], row["unusedcommitment"]) == (effective, None, None), why


@pytest.mark.parametrize(
    ("columns", "committed", "unused", "why"),
    [
        ({"CommitmentDiscountId": None, "CommitmentDiscountStatus": None}, 0, 0, "on demand"),
        ({"CommitmentDiscountId": "arn:sp", "CommitmentDiscountStatus": "Used"}, 9, 0, "covered"),
        ({"CommitmentDiscountId": "arn:sp", "CommitmentDiscountStatus": "Unused"}, 0, 9, "nobody used it"),
        (
            {"CommitmentDiscountId": "arn:sp", "CommitmentDiscountStatus": None, "ChargeCategory": "Purchase"},
            0,
            0,
            "the purchase itself is no use of it",
        ),
    ],
)
def test_focus_tells_what_a_commitment_covers(
    tmp_path: Path, columns: dict[str, Any], committed: int, unused: int, why: str
) -> None:
    write(tmp_path / "b.parquet", rows_of([line(10, extra={"EffectiveCost": Decimal(9), **columns})], "focus"))
    (row,) = charges_of(open_bill(tmp_path / "b.parquet")).values()
    assert (row["effectivecost"], row["committedcost"], row["unusedcommitment"]) == (9, committed, unused), why


def test_a_summary_table_says_nothing_of_its_money(tmp_path: Path) -> None:
    """All of it counts as usage; the setting alone may say that its cost is amortized."""
    write(tmp_path / "b.parquet", rows_of([line(10)], "summary"))
    for basis, effective in (("billed", None), ("effective", 10)):
        (row,) = charges_of(open_bill(tmp_path / "b.parquet", basis=basis, currency="USD")).values()
        assert (row["usagecost"], row["effectivecost"], row["committedcost"]) == (10, effective, None)


@pytest.mark.parametrize(
    ("setting", "lines", "amount"), [("include_refunds", 3, -93), ("include_tax", 2, 1), ("include_credits", 2, -1)]
)
def test_a_correction_is_no_refund(opened: Opener, setting: str, lines: int, amount: int) -> None:
    """Refunds, tax and credits are left out with their corrections; both halves of other corrections stay."""
    there = opened(FOCUS_ROWS, **{setting: False}).source_days(DAY, DAY)[DAY]
    assert there.left_out == (LeftOut(f"bill.{setting}", lines, Decimal(amount)),)
    assert there.total == 219 - amount


# --- columns that are absent --------------------------------------------------------------------------------------

COVERED, PLAN, ARN = "SavingsPlanCoveredUsage", "ComputeSavingsPlans", "reservation_reservation_a_r_n"
DESCRIPTION = "line_item_line_item_description"


@pytest.mark.parametrize(
    ("line_type", "extra", "basis", "absent", "why"),
    [
        (COVERED, {}, "effective", "savings_plan_savings_plan_effective_cost", "its cost"),
        (
            COVERED,
            {},
            "net_amortized",
            "savings_plan_net_savings_plan_effective_cost",
            "its cost in such a month",
        ),
        ("SavingsPlanRecurringFee", {}, "effective", "savings_plan_used_commitment", "what was used of it"),
        ("DiscountedUsage", {}, "effective", "reservation_effective_cost", "its cost"),
        ("RIFee", {}, "effective", "reservation_unused_recurring_fee", "a half of its cost"),
        ("Fee", {}, "effective", ARN, "whether it is a reservation's"),
        ("Refund", {"line_item_product_code": PLAN}, "effective", DESCRIPTION, "whether a plan's fee comes back"),
    ],
)
def test_a_basis_is_refused_by_the_column_that_its_lines_lack(
    opened: Opener, line_type: str, extra: dict, basis: str, absent: str, why: str
) -> None:
    """A cost is never made without a column that it needs."""
    rows = [{k: v for k, v in row.items() if k != absent} for row in cur2_rows([("Usage", {}), (line_type, extra)])]
    with pytest.raises(BillError) as refused:
        opened(rows, basis=basis).source_days(DAY, DAY)
    assert absent in refused.value.what, why
    assert "bill.cost_basis" in refused.value.where
    assert "unblended" in refused.value.fix


def test_columns_that_no_line_needs_may_be_absent(opened: Opener) -> None:
    """A bill of usage alone has each basis without any column of commitments, fees and refunds."""
    usage = rows_of([line(1, extra={"line_item_net_unblended_cost": Decimal(2)})], "cur2")
    assert total(opened(usage, basis="effective")) == 1
    assert total(opened(usage, basis="net_amortized")) == 2


@pytest.mark.parametrize(
    ("extra", "why"),
    [
        ({"line_item_product_code": "AWSSupportBusiness"}, "support is never reserved"),
        ({"bill_billing_entity": "AWS Marketplace"}, "sellers have no reservations"),
        ({"line_item_unblended_cost": Decimal(0), "line_item_net_unblended_cost": Decimal(0)}, "nothing either way"),
    ],
)
def test_a_fee_that_is_no_reservations_needs_no_reservation_column(opened: Opener, extra: dict, why: str) -> None:
    rows = [{k: v for k, v in row.items() if k != ARN} for row in cur2_rows([("Fee", extra)])]
    assert total(opened(rows, basis="effective")) == rows[0]["line_item_unblended_cost"], why


def test_refunds_of_usage_need_no_description(opened: Opener) -> None:
    """Only a plan's refund may be that of its fee."""
    rows = [{k: v for k, v in row.items() if k != DESCRIPTION} for row in cur2_rows([("Refund", {})])]
    assert total(opened(rows, basis="effective")) == 1


def test_a_plans_refund_whose_description_is_empty_has_no_cost(opened: Opener) -> None:
    rows = cur2_rows([("Usage", {}), ("Refund", {"line_item_product_code": PLAN, DESCRIPTION: None})])
    with pytest.raises(BillError) as refused:
        opened(rows, basis="effective").source_days(DAY, DAY)
    assert DESCRIPTION in refused.value.where


def legacy(*lines: Line) -> list[dict[str, Any]]:
    """The lines as a legacy CUR in Parquet."""
    return [{LEGACY_PARQUET.get(k, k): v for k, v in row.items()} for row in rows_of(lines, "cur")]


def test_a_legacy_cur_without_any_reservation_column_has_no_reservations(opened: Opener) -> None:
    """It has the columns that its months needed: a fee in it is none of a reservation, unless others are there."""
    rows = legacy(line(3, category="Purchase"))
    assert total(opened(rows, basis="effective")) == 3
    reserved = [{**row, "reservation_effective_cost": Decimal(0)} for row in rows]
    with pytest.raises(BillError, match=ARN):
        opened(reserved, basis="effective").source_days(DAY, DAY)


@pytest.mark.parametrize("basis", ["net_unblended", "net_amortized"])
def test_net_is_what_is_not_net_in_months_without_a_discount(opened: Opener, basis: str) -> None:
    """AWS writes the columns in months with a private discount alone: a month's file may lack them."""
    covered = {"line_item_line_item_type": COVERED, "savings_plan_savings_plan_effective_cost": Decimal(4)}
    before = rows_of([line(10), line(6, extra=covered)], "cur2")
    since = rows_of([line(10, extra={"line_item_net_unblended_cost": Decimal(9)})], "cur2")
    since = [{**row, "savings_plan_savings_plan_effective_cost": Decimal(0)} for row in since]
    assert total(opened(before, since, basis=basis)) == (25 if basis == "net_unblended" else 23)


def test_a_net_cost_that_is_empty_beside_others_is_a_fault(opened: Opener) -> None:
    """Within a file, and a billing period, all lines have it or none: it is no month without a discount."""
    period = {PERIOD: at(DAY.replace(day=1))}
    nets = (Decimal(9), None, Decimal(0))
    lines = [line(10, extra={**period, NET: net}) for net in nets] + [line(0, extra={**period, NET: None})]
    with pytest.raises(BillError) as refused:
        opened(rows_of(lines, "cur2"), basis="net_unblended").source_days(DAY, DAY)
    assert "1 line(s) have no net_unblended cost" in refused.value.what
    assert NET in refused.value.where


def test_a_legacy_cur_without_any_net_column_has_no_discount(opened: Opener) -> None:
    """Its columns are AWS's choice, those of CUR 2.0 somebody's: there, their absence is refused."""
    rows = legacy(line(3))
    warehouse = opened(rows, basis="net_unblended")
    assert total(warehouse) == 3
    assert NET in warehouse.describe().missing_columns["net_unblended"]
    selected = rows_of([line(3)], "cur2")
    with pytest.raises(BillError, match="no column line_item_net_unblended_cost"):
        opened(selected, basis="net_unblended").source_days(DAY, DAY)


@pytest.mark.parametrize(
    ("fmt", "columns", "missing"),
    [
        (FOCUS, "billedcost effectivecost", {}),
        (FOCUS, "billedcost", {"effective": ("effectivecost",)}),
        (CUR, "line_item_unblended_cost line_item_net_unblended_cost line_item_operation", {
            "effective": (
                "savings_plan_savings_plan_effective_cost",
                "savings_plan_total_commitment_to_date",
                "savings_plan_used_commitment",
                "reservation_effective_cost",
                "reservation_unused_amortized_upfront_fee_for_billing_period",
                "reservation_unused_recurring_fee",
                ARN,
                DESCRIPTION,
            ),
        }),
        (CUR2, " ".join(["line_item_unblended_cost", "line_item_operation", *AMOUNTS]), {}),
    ],
)  # fmt: skip
def test_missing_columns_are_told_for_each_basis(fmt: Any, columns: str, missing: dict) -> None:
    """Doctor tells them before a line needs one."""
    told = missing_columns(fmt, dict.fromkeys(columns.split(), "VARCHAR"))
    assert {name: of for name, of in told.items() if name != "net_amortized"} == missing
    assert ("net_amortized" in told) == (fmt is CUR)


# --- split cost allocation ----------------------------------------------------------------------------------------

POD = "arn:aws:eks:us-east-1:111122223333:pod/shop/web/1"


@pytest.mark.parametrize(
    ("whole", "split", "why"),
    [
        ({"line_item_operation": "RunInstances"}, {"line_item_operation": "EKSPod-EC2"}, "its operation"),
        ({"split_line_item_parent_resource_id": None}, {"split_line_item_parent_resource_id": "i-1"}, "its parent"),
        ({"split_line_item_split_cost": Decimal(0)}, {"split_line_item_split_cost": Decimal("0.6")}, "0 is no share"),
        ({"split_line_item_unused_cost": ""}, {"split_line_item_unused_cost": "0.1"}, "a share as text"),
        ({"line_item_usage_type": "BoxUsage"}, {"line_item_usage_type": "USE1-EKS-EC2-vCPU-Hours"}, "its usage type"),
    ],
)
def test_split_cost_allocation_is_told_by_any_column_of_it(opened: Opener, whole: dict, split: dict, why: str) -> None:
    """Such lines repeat an instance's cost: they are left out, counted."""
    shares = [line(share, extra={**split, "line_item_product_code": "AmazonEKS"}) for share in (5, 3)]
    there = opened(rows_of([line(8, extra=whole), *shares], "cur2")).source_days(DAY, DAY)[DAY]
    assert (there.total, there.left_out) == (8, (LeftOut("split cost allocation", 2, Decimal(8)),)), why


def test_pods_that_cannot_be_told_are_refused(opened: Opener) -> None:
    """A pod's line is a share of an instance, or Fargate's own cost: without operation and usage type nobody knows."""
    pod = {"line_item_product_code": "AmazonEKS", "line_item_resource_id": POD}
    rows = rows_of([line(8, extra={"line_item_resource_id": "i-1"}), line(5, extra=pod)], "cur2")
    with pytest.raises(BillError, match="line_item_operation"):
        opened(rows).source_days(DAY, DAY)


# --- currency and granularity -------------------------------------------------------------------------------------


LATER = at(DAY.replace(day=DAY.day + 1))


@pytest.mark.parametrize(("fmt", "nothing"), [("focus", None), ("cur2", ""), ("cur2", "EUR")])
def test_a_line_of_nothing_is_in_no_currency(opened: Opener, fmt: str, nothing: str | None) -> None:
    """0.00 without a currency, or in another one, is no conflict."""
    lines = [line(5), *(line("0.0000000000", currency=nothing, category="Tax", start=start) for start in (at(), LATER))]
    days = opened(rows_of(lines, fmt)).source_days(DAY, LATER.date())
    assert [(day.total, day.lines, day.currency) for day in days.values()] == [(5, 2, "USD"), (0, 1, "USD")]


def test_currencies_are_compared_without_blanks_and_case(opened: Opener) -> None:
    rows = rows_of([line(5), line(2, currency=" usd "), line(9, currency="eur")], "focus")
    there = opened(rows, currency="USD").source_days(DAY, DAY)[DAY]
    assert (there.total, there.currency) == (7, "USD")
    assert there.left_out == (LeftOut("bill.currency is USD", 1, Decimal(9), "EUR"),)
    with pytest.raises(BillError, match="2 currencies: EUR, USD"):
        opened(rows).source_days(DAY, DAY)


FIRST, NEXT = at(DAY.replace(day=1)), at(DAY.replace(month=DAY.month + 1, day=1))
MONTH = NEXT - FIRST


@pytest.mark.parametrize("fmt", ["focus", "cur2"])
def test_a_monthly_export_is_refused(opened: Opener, fmt: str) -> None:
    """A month's cost on one day is no daily cost, whatever fees stand beside it."""
    lines = [line(n, start=FIRST, length=MONTH, service=f"s{n}") for n in range(1, 20)]
    lines += [line(1, start=start, category="Tax", length=MONTH) for start in (FIRST, at())]
    with pytest.raises(BillError) as refused:
        opened(rows_of(lines, fmt)).source_days(FIRST.date(), DAY)
    assert "monthly" in refused.value.what
    assert "daily or hourly" in refused.value.fix


@pytest.mark.parametrize("fmt", ["focus", "cur2"])
def test_month_long_charges_are_in_any_bill(opened: Opener, fmt: str) -> None:
    """Tax, fees, support and some usage last a month in an hourly export, too; so does a bill of nothing else."""
    long = {"start": FIRST, "length": MONTH}
    charges = [line(1, category="Tax", **long), line(2, category="Purchase", **long)]
    charges += [line(4, service="AWSSupportBusiness", **long)]
    bare = opened(rows_of(charges, fmt)).source_days(FIRST.date(), DAY)
    assert bare[FIRST.date()].total == 7
    lines = [*charges, line(8, service="AmazonRoute53", **long), *(line(1, start=at(hour=h)) for h in range(3))]
    assert opened(rows_of(lines, fmt)).source_days(FIRST.date(), DAY)[FIRST.date()].total == 15
