"""A service has one name in a bill, whatever its lines say: learned from those that name it, on both platforms."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from finops_assets.core.bill.service_names import PRICE_LIST, RECORD, RECORD_PATH, ServiceNames, learned
from finops_assets.core.ports import Warehouse
from finops_assets_tests.support.bills import (
    DAY,
    account_map,
    at,
    line,
    new_archive,
    open_bill,
    rows_of,
    write_rows,
)
from finops_assets_tests.support.on_aws import make_ready, platform_on
from standin.server import StandIn

S3 = "Amazon Simple Storage Service"
MAP = {"product": pa.map_(pa.string(), pa.string())}
NEXT = date(2025, 9, 11)


def cur2(cost: int, code: str, name: str | None = None, servicecode: str = "", **facts: Any) -> dict[str, Any]:
    """A line of a CUR 2.0 export; its map names the product where `name` is given."""
    (row,) = rows_of([line(cost, service=code, **facts)], "cur2")
    return {**row, "product_servicecode": servicecode, "product": [("product_name", name)] if name else None}


def without_map(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "product"}


def services(warehouse: Warehouse, first: date = DAY, last: date = DAY) -> dict[str, Decimal]:
    """Each service's exact cost."""
    sums: dict[str, Decimal] = {}
    for batch in warehouse.breakdown(first, last, account_map()):
        for row in batch.to_pylist():
            sums[row["service"]] = sums.get(row["service"], Decimal()) + row["cost"]
    return sums


LINES = [
    cur2(10, "AmazonS3", S3, "AmazonS3"),
    cur2(5, "AmazonS3", S3, "AWSDataTransfer"),
    cur2(-1, "AmazonS3", None, category="EdpDiscount"),
]
OWN = [
    cur2(7, "8kxv3", "Acme Scanner"),
    cur2(8, "8kxv3", "Acme Scanner"),
    cur2(1, "8kxv3", "Acme Scanner (trial)"),
    cur2(-2, "8kxv3", None, category="EdpDiscount"),
    cur2(3, "unheard-of", None),
]


@pytest.fixture(params=["local", "aws"])
def warehouse_of(request: pytest.FixtureRequest, aws: StandIn, tmp_path: Path) -> Iterator[Any]:
    """Opens a bill of these rows on one of the platforms."""

    def opened(rows: list[dict[str, Any]]) -> Warehouse:
        bill = write_rows(tmp_path / "bill" / "cur2.parquet", rows, MAP)
        if request.param == "local":
            return open_bill(bill)
        make_ready(aws, bill.parent)
        return platform_on(aws, tmp_path, bill__cost_basis="billed").warehouse

    return opened


@pytest.mark.parametrize("rows", [LINES, [without_map(row) for row in LINES]], ids=["with the map", "without it"])
def test_data_transfer_is_of_the_service_that_has_it(warehouse_of: Any, rows: list[dict[str, Any]]) -> None:
    """As in Cost Explorer, with discounts and with the export's `product` map or without it."""
    assert services(warehouse_of(rows)) == {S3: Decimal(14)}


def test_a_codes_name_is_learned_from_other_lines(warehouse_of: Any) -> None:
    """Lines without a name have that of most lines of their code; names of their own stay, unknown codes are codes."""
    warehouse = warehouse_of(OWN)
    assert services(warehouse) == {"Acme Scanner": 13, "Acme Scanner (trial)": 1, "unheard-of": 3}
    drivers = {row["service"]: row["now"] for row in warehouse.drivers(DAY, NEXT).to_pylist()}
    assert drivers == {"Acme Scanner": 13, "Acme Scanner (trial)": 1, "unheard-of": 3}


def test_a_day_compared_is_named_as_the_day_archived(warehouse_of: Any) -> None:
    """What was learned from one day names the lines of another, whichever of them is asked about."""
    rows = [*OWN, cur2(-4, "8kxv3", None, category="EdpDiscount", start=at(NEXT))]
    warehouse = warehouse_of(rows)
    assert services(warehouse, DAY, NEXT)["Acme Scanner"] == 9
    assert services(warehouse, NEXT, NEXT) == {"Acme Scanner": -4}


def test_on_aws_no_further_scan_is_made(aws: StandIn, tmp_path: Path) -> None:
    """Names come with the day's sums, and are kept beside the archive; what is known is not named anew."""
    make_ready(aws, write_rows(tmp_path / "bill" / "cur2.parquet", OWN, MAP).parent)
    platform = platform_on(aws, tmp_path, bill__cost_basis="billed")
    RECORD.write(platform.archive, RECORD_PATH, ServiceNames({"unheard-of": "Heard Of"}))
    before = len(aws.athena.queries)
    assert services(platform.warehouse)["Heard Of"] == 3
    assert len(aws.athena.queries) == before + 1
    kept = RECORD.read(platform.archive, RECORD_PATH)
    assert kept == ServiceNames({"8kxv3": "Acme Scanner", "unheard-of": "Heard Of"})
    assert kept.and_also({"8kxv3": "Acme Platform"}) == kept


def test_in_files_a_name_that_was_learned_first_stays(tmp_path: Path) -> None:
    """The seller calls the product otherwise: lines without a name keep theirs, and no archived day is named anew."""
    archive, bill = new_archive(tmp_path), tmp_path / "bill" / "cur2.parquet"
    write_rows(bill, OWN, MAP)
    assert services(open_bill(bill, archive=archive))["Acme Scanner"] == 13
    later = [cur2(4, "8kxv3", "Acme Radar", start=at(NEXT)), cur2(-1, "8kxv3", None, start=at(NEXT))]
    write_rows(bill, [*OWN, *later, cur2(1, "new", "Newcomer", start=at(NEXT)), *3 * later[:1]], MAP)
    assert services(open_bill(bill, archive=archive), NEXT, NEXT) == {
        "Acme Radar": 16,
        "Acme Scanner": -1,
        "Newcomer": 1,
    }
    assert RECORD.read(archive, RECORD_PATH) == ServiceNames({"8kxv3": "Acme Scanner", "new": "Newcomer"})


def test_the_name_of_most_lines_is_learned() -> None:
    """Of as many lines, the first by the alphabet: the same bill has the same names each time."""
    rows = [("a", "B", 2), ("a", "A", 2), ("a", "C", 1), ("b", None, 9), (None, "X", 9), ("c", "c", 1)]
    assert learned(rows) == {"a": "A"}


def test_names_are_no_codes() -> None:
    """No name of the price list is itself a code of another service, so that nothing is named twice."""
    assert not {name for code, name in PRICE_LIST.items() if name != code} & set(PRICE_LIST)
