"""Hostile bills, each seen at somebody who does this job: on both platforms the right figure, or one clear refusal.

Figures are written by hand: a day's rows as the archive must have them, or words of the error.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from finops_assets.core.bill.totals import bill_totals
from finops_assets.core.errors import BillError
from finops_assets.core.ports import Warehouse
from finops_assets_tests.adapters.test_bill_files_on_aws import catalogue
from finops_assets_tests.support.bills import Line, account_map, at, line, open_bill, rows_of, write_rows
from finops_assets_tests.support.on_aws import platform_on
from standin.server import StandIn

SEP, OCT = date(2025, 9, 30), date(2025, 10, 1)
PROD, OTHER = "012345678901", "111122223333"
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Bill:
    """A bill and what is right of it.

    Attributes:
        id: what is odd about it.
        files: path below the bill's folder -> rows of a Parquet file, or the text of a manifest or log.
        right: day -> its exact total, of each day that has lines.
        rows: of these days also the rows (service, account, cost), where they are what is at stake.
        refused: words of the error, in any order, where no figure is right.
        rules: settings of the bill.
        types: Arrow types of columns.
    """

    id: str
    files: Mapping[str, Rows | str]
    right: Mapping[date, str] = field(default_factory=dict)
    rows: Sequence[tuple[str, str, str]] = ()
    refused: tuple[str, ...] = ()
    rules: Mapping[str, Any] = field(default_factory=dict)
    types: Mapping[str, pa.DataType] = field(default_factory=dict)


def focus(*lines: Line, **columns: Any) -> Rows:
    return [row | columns for row in rows_of(lines, "focus")]


def cur(*lines: Line, **columns: Any) -> Rows:
    return [row | columns for row in rows_of(lines, "cur2")]


def manifest(*files: str) -> str:
    return json.dumps({"dataFiles": [f"s3://a-bucket/exports/{file}" for file in files]})


def typed(line_type: str, cost: str, day: date = OCT, **columns: Any) -> Mapping[str, Any]:
    """A line of a Cost and Usage Report, of a type."""
    return {**cur(line(cost, start=at(day)))[0], "line_item_line_item_type": line_type, **columns}


MONTH = "BILLING_PERIOD=2025-10"
ONE = f"e/data/{MONTH}/e-00001.parquet"
TWO = f"e/data/{MONTH}/e-00002.parquet"
MANIFEST = f"e/metadata/{MONTH}/e-Manifest.json"
FIVE, SEVEN = focus(line(5, start=at(OCT))), focus(line(7, start=at(OCT, 3)))
PLAN = {
    "savings_plan_savings_plan_effective_cost": 0.0,
    "savings_plan_total_commitment_to_date": 0.0,
    "savings_plan_used_commitment": 0.0,
    "savings_plan_savings_plan_a_r_n": "arn:aws:savingsplans::123456789012:savingsplan/1",
    "line_item_line_item_description": "Refund for one-time fee for Savings Plan ID: 1-2-3",
}

BILLS = [
    # which files are the bill
    Bill(
        "two kept deliveries of one export",
        {
            f"e/data/{MONTH}/20251002T010000Z-a/e-00001.parquet": FIVE,
            f"e/data/{MONTH}/20251003T010000Z-b/e-00001.parquet": focus(line(6, start=at(OCT))),
            f"e/metadata/{MONTH}/20251002T010000Z-a/e-Manifest.json": manifest(
                f"e/data/{MONTH}/20251002T010000Z-a/e-00001.parquet"
            ),
            f"e/metadata/{MONTH}/20251003T010000Z-b/e-Manifest.json": manifest(
                f"e/data/{MONTH}/20251003T010000Z-b/e-00001.parquet"
            ),
        },
        {OCT: "6"},
    ),
    Bill("a leftover chunk beside the manifest", {ONE: FIVE, TWO: SEVEN, MANIFEST: manifest(ONE)}, {OCT: "5"}),
    Bill(
        "a file that the manifest names is not there",
        {ONE: FIVE, MANIFEST: manifest(ONE, TWO)},
        refused=("e-00002.parquet", "2025-10"),
    ),
    Bill(
        "two exports of the same period and payer",
        {ONE: FIVE, f"f/data/{MONTH}/f-00001.parquet": SEVEN},
        refused=("2 exports",),
    ),
    Bill(
        "two exports of one payer, whose id one of them has without its zero",
        {
            ONE: focus(line(5, start=at(OCT)), BillingAccountId="012345678901"),
            f"f/data/{MONTH}/f-00001.parquet": focus(line(7, start=at(OCT)), BillingAccountId="12345678901"),
        },
        refused=("2 exports", "payer 012345678901"),
    ),
    Bill(
        "an old export and its successor",
        {
            "old/data/BILLING_PERIOD=2025-09/old-00001.parquet": focus(line(5, start=at(SEP))),
            f"new/data/{MONTH}/new-00001.parquet": SEVEN,
        },
        {SEP: "5", OCT: "7"},
    ),
    Bill(
        "a Delta Lake table",
        {
            "part-00000-a.snappy.parquet": FIVE,
            "part-00000-b.snappy.parquet": SEVEN,
            "_delta_log/00000000000000000000.json": "{}",
        },
        refused=("Delta",),
    ),
    # what a line's money is
    Bill(
        "a returned Machine Learning plan",
        {
            "a.parquet": [
                typed("SavingsPlanUpfrontFee", "100", line_item_product_code="MachineLearningSavingsPlans", **PLAN),
                typed("Refund", "-100", line_item_product_code="MachineLearningSavingsPlans", **PLAN),
                typed("Usage", "3", **dict.fromkeys(PLAN)),
            ]
        },
        {OCT: "3"},
        rules={"basis": "effective"},
    ),
    Bill(
        "a private discount that began in the second month",
        {
            "09.parquet": [typed("Usage", "10", SEP)],
            "10.parquet": [typed("Usage", "10", line_item_net_unblended_cost=9.0)],
        },
        {SEP: "10", OCT: "9"},
        rules={"basis": "net_unblended"},
    ),
    Bill(
        "a line of nothing without a currency",
        {"a.parquet": focus(line(5, start=at(OCT)), line(0, start=at(OCT), currency=""))},
        {OCT: "5"},
    ),
    Bill(
        "a line of nothing in another currency, and ` usd`",
        {"a.parquet": focus(line(5, start=at(OCT), currency=" usd"), line(0, start=at(OCT), currency="EUR"))},
        {OCT: "5"},
    ),
    Bill(
        "two currencies that both have money",
        {"a.parquet": focus(line(5, start=at(OCT)), line(1, start=at(OCT), currency="EUR"))},
        refused=("2 currencies", "EUR", "USD"),
    ),
    Bill(
        "a monthly export",
        {
            "a.parquet": focus(
                *(line(100, start=at(date(2025, month, 1)), length=timedelta(days=30)) for month in (8, 9, 10))
            )
        },
        refused=("month", "daily"),
    ),
    Bill(
        "split cost allocation known by its cost alone",
        {
            "a.parquet": [
                typed("Usage", "1", split_line_item_split_cost=None),
                typed("Usage", "0.6", split_line_item_split_cost=0.6),
            ]
        },
        {OCT: "1"},
    ),
    Bill(
        "a correction of 100 to 90, refunds left out",
        {
            "a.parquet": [
                {**row, "ChargeClass": kind}
                for row, kind in zip(
                    focus(*(line(cost, start=at(OCT)) for cost in (100, -100, 90))),
                    (None, "Correction", "Correction"),
                    strict=True,
                )
            ]
        },
        {OCT: "90"},
        rules={"include_refunds": False},
    ),
    # whose it is, and what
    Bill(
        "an account id as a number",
        {"a.parquet": focus(line(5, start=at(OCT), account=12345678901))},
        {OCT: "5"},
        rows=[("Amazon EC2", PROD, "5")],
        types={"SubAccountId": pa.int64()},
    ),
    Bill(
        "an account id that a spreadsheet has written",
        {
            "a.parquet": focus(
                *(line(1, start=at(OCT), account=each) for each in ("1.2345678901E+10", " 12345678901.0 "))
            )
        },
        {OCT: "2"},
        rows=[("Amazon EC2", PROD, "2")],
    ),
    Bill(
        "the transfer of S3 without the product map",
        {
            "a.parquet": [
                typed("Usage", "10", line_item_product_code="AmazonS3", product_servicecode="AmazonS3"),
                typed("Usage", "5", line_item_product_code="AmazonS3", product_servicecode="AWSDataTransfer"),
                typed("EdpDiscount", "-1", line_item_product_code="AmazonS3", product_servicecode=""),
            ]
        },
        {OCT: "14"},
        rows=[("Amazon Simple Storage Service", OTHER, "14")],
    ),
]


@pytest.fixture(params=["DuckDB", "Athena"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Warehouse]:
    """Opens the warehouse of a platform over a folder."""

    def open_(folder: Path, basis: str = "billed", **rules: Any) -> Warehouse:
        if request.param == "DuckDB":
            return open_bill(folder, basis=basis, **rules)
        aws: StandIn = request.getfixturevalue("aws")
        export = next((file for file in folder.rglob(f"data/{MONTH}") if len(list(folder.glob("*/data"))) == 1), None)
        if export:
            place = export.relative_to(folder).as_posix()
            catalogue(aws, folder, f"{place.removesuffix(MONTH)}", {("2025-10",): f"{place}/"})
        else:
            catalogue(aws, folder.parent, f"{folder.name}/", None)
        settings = {f"bill__{name}": value for name, value in {"cost_basis": basis, **rules}.items()}
        return platform_on(aws, tmp_path, **settings).warehouse

    return open_


@pytest.mark.parametrize("bill", BILLS, ids=lambda bill: bill.id)
def test_a_hostile_bill_has_its_right_figure_or_is_refused(
    bill: Bill, opened: Callable[..., Warehouse], tmp_path: Path
) -> None:
    folder = tmp_path / "the-bill"
    for name, content in bill.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            (folder / name).write_text(content, encoding="utf-8")
        else:
            write_rows(folder / name, content, bill.types)
    if bill.refused:
        with pytest.raises(BillError) as refused:
            opened(folder, **bill.rules).source_days(SEP, OCT)
        assert all(words in str(refused.value) for words in bill.refused), refused.value
        return
    warehouse = opened(folder, **bill.rules)
    right = {day: Decimal(total) for day, total in bill.right.items()}
    assert {day: amount.total for day, amount in bill_totals(warehouse.control_totals()).days.items()} == right
    assert {day: said.total for day, said in warehouse.source_days(SEP, OCT).items()} == right
    rows = [row for batch in warehouse.breakdown(SEP, OCT, account_map()) for row in batch.to_pylist()]
    assert sum(row["cost"] for row in rows) == sum(right.values())
    if bill.rows:
        got = {(row["service"], row["linkedaccount"], row["cost"]) for row in rows}
        assert got == {(service, account, Decimal(cost)) for service, account, cost in bill.rows}
