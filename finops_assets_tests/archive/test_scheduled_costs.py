"""What of a day's costs is no usage: read once with the day, kept by month, exact, and shown as the day is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa

from finops_assets.adapters.shared.archive import ObjectArchive
from finops_assets.adapters.shared.folder import FolderStore
from finops_assets.core.archive import breakdown
from finops_assets.core.archive.display import Display
from finops_assets.core.schemas import CATEGORY_COLUMNS, OU_BREAKDOWN, OU_CHARGES, charges_path
from finops_assets.core.values import DayRows

FIRST = date(2025, 8, 31)
DAYS = [FIRST + timedelta(days=n) for n in range(3)]
EC2, S3, SUPPORT = ("Shop", "EC2", "1"), ("Shop/Web", "S3", "2"), ("Root", "AWS Support", "3")
TOLD = {"currency": "USD", "cost_basis": "billed", "by_category": json.dumps({"Usage": "1"})}
MONTH_LONG = "month-long usage"
MONEY = {
    EC2: {"usagecost": "100.1", "taxcost": "0.1"},
    S3: {"usagecost": "0.000000000003", "creditcost": "-7", "refundcost": "-5000.25"},
    SUPPORT: {MONTH_LONG: "29.5", "purchasecost": "70000.01"},
}
"""Exact, by category; support is charged as usage that is longer than a day."""
USAGE = {EC2: Decimal("100.1"), S3: Decimal("0.000000000003"), SUPPORT: Decimal()}
SCHEDULED = {
    ("Shop", "EC2", "tax"): Decimal("0.1"),
    ("Shop/Web", "S3", "credit"): Decimal(-7),
    ("Shop/Web", "S3", "refund"): Decimal("-5000.25"),
    ("Root", "AWS Support", "fee"): Decimal("70000.01"),
    ("Root", "AWS Support", "other"): Decimal("29.5"),
}


class Counting(FolderStore):
    """A folder that remembers which objects were read."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.read: list[str] = []

    def get(self, path: str):
        self.read.append(path)
        return super().get(path)


def day_of(day: date, money: Mapping[tuple[str, str, str], Mapping[str, str]]) -> DayRows:
    """A day's rows and charges."""
    kind = pa.decimal128(38, 12)
    columns: dict[str, list[Decimal]] = {name: [] for name in OU_CHARGES.names[4:]}
    costs = []
    for amounts in money.values():
        exact = {name: Decimal(amount) for name, amount in amounts.items()}
        longer = exact.pop(MONTH_LONG, Decimal())
        usage = exact.pop("usagecost", Decimal())
        row = {**exact, "usagecost": usage + longer, "scheduledcost": longer + sum(exact.values())}
        costs.append(sum((row.get(name, Decimal()) for name in CATEGORY_COLUMNS), Decimal()))
        for name, of in columns.items():
            of.append(row.get(name, Decimal()))
    exact_costs = pa.array(costs, kind)
    keys = [pa.array([key[n] for key in money], pa.string()) for n in range(3)]
    arrays = [pa.array([day] * len(money), pa.date32()), *keys, exact_costs.cast(pa.float64()), exact_costs]
    arrays += [pa.array(of, kind) for of in columns.values()]
    batch = pa.RecordBatch.from_arrays(arrays, names=[*OU_BREAKDOWN.names, "cost", *columns])
    (of_day,) = breakdown.split_by_day([batch])
    return of_day


def opened(folder: Path) -> tuple[ObjectArchive, list[str]]:
    store = Counting(str(folder))
    return ObjectArchive(store), store.read


def archived(folder: Path, facts: Mapping[str, str] = TOLD) -> None:
    archive, _ = opened(folder)
    for day in DAYS:
        archive.publish(day_of(day, MONEY), facts)
    archive.history.costs(DAYS)
    archive.history.keep()


def charges_read(read: list[str]) -> list[str]:
    return sorted(path for path in read if path.startswith("ou-charges"))


def usage_by_key(archive: ObjectArchive) -> dict[tuple[str, str, str], Decimal]:
    usage, _ = archive.history.costs(DAYS).usage(DAYS)
    return {key: usage.exact([row], DAYS[1]) for row, key in enumerate(usage.keys)}


def test_usage_is_the_cost_without_what_is_scheduled_to_the_last_decimal(tmp_path: Path) -> None:
    """By row, by OU and by kind, of a day that was just read and of one that was kept."""
    archived(tmp_path)
    for _ in range(2):
        archive, _ = opened(tmp_path)
        usage, scheduled = archive.history.costs(DAYS).usage(DAYS)
        assert usage_by_key(archive) == USAGE
        assert scheduled[DAYS[2]] == SCHEDULED
        assert usage.by_ou["Shop/Web"][DAYS[0]] == Decimal("0.000000000003")
        assert usage.by_ou["Root"][DAYS[0]] == 0
        for path in tmp_path.glob("_state/history/*"):
            path.unlink()


def test_charges_are_read_once_a_day_and_then_kept_by_month(tmp_path: Path) -> None:
    archived(tmp_path)
    kept, read = opened(tmp_path)
    kept.history.costs(DAYS)
    assert charges_read(read) == []
    for path in tmp_path.glob("_state/history/*"):
        path.unlink()
    unkept, read = opened(tmp_path)
    unkept.history.costs(DAYS)
    unkept.history.costs(DAYS)
    assert charges_read(read) == [charges_path(day) for day in DAYS]


def test_months_that_an_older_release_has_kept_are_made_again(tmp_path: Path) -> None:
    """Its record names no object with what is scheduled: those days are read once more, and kept with it."""
    archived(tmp_path)
    for path in tmp_path.glob("_state/history/*.json"):
        record = json.loads(path.read_text())
        del record["scheduled"]
        path.write_text(json.dumps(record))
    archive, read = opened(tmp_path)
    assert usage_by_key(archive) == USAGE
    archive.history.keep()
    assert charges_read(read) == [charges_path(day) for day in DAYS]
    again, read = opened(tmp_path)
    assert usage_by_key(again) == USAGE
    assert charges_read(read) == []


def test_a_day_of_a_bill_without_categories_does_not_tell_its_usage(tmp_path: Path) -> None:
    """Nor does one whose charges are damaged; neither is an error, and of the first they are not read."""
    archived(tmp_path, {**TOLD, "by_category": json.dumps({"Cost": "1"})})
    archive, read = opened(tmp_path)
    assert [of.scheduled for of in archive.history.costs(DAYS).days.values()] == [None] * 3
    assert charges_read(read) == []
    archived(tmp_path)
    archive.put(charges_path(DAYS[1]), b"damaged")
    for path in tmp_path.glob("_state/history/*"):
        path.unlink()
    archive, _ = opened(tmp_path)
    assert [of.scheduled is None for of in archive.history.costs(DAYS).days.values()] == [False, True, False]


def test_what_is_scheduled_is_shown_in_the_display_currency(tmp_path: Path) -> None:
    archived(tmp_path)
    rates = b"month,currency,rate\n2025-08,USD,0.5\n2025-09,USD,0.5\n"
    archive, _ = opened(tmp_path)
    shown = Display("EUR", lambda: rates, "rates.csv").archive(archive)
    usage, scheduled = shown.history.costs(DAYS).usage(DAYS)
    assert scheduled[DAYS[1]]["Shop/Web", "S3", "refund"] == Decimal("-2500.125")
    assert scheduled[DAYS[1]]["Root", "AWS Support", "fee"] == Decimal("35000.005")
    assert usage.by_ou["Shop"][DAYS[1]] == Decimal("50.05")
    assert (
        sum(scheduled[DAYS[1]].values(), usage.totals()[DAYS[1]])
        == shown.history.costs(DAYS).history(DAYS).totals()[DAYS[1]]
    )
