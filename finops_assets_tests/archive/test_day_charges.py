"""A day's charges: put before the rows that name them, kept with each version, made anew for days that have none."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from finops_assets.adapters.shared.archive import ObjectArchive, folder_store
from finops_assets.core.archive.breakdown import split_by_day
from finops_assets.core.archive.day_charges import charges_fault, named_charges
from finops_assets.core.archive.recovery import restore_day
from finops_assets.core.errors import DamagedError
from finops_assets.core.schemas import CHARGES_OF_ROW, MONEY, OU_BREAKDOWN, OU_CHARGES, charges_path
from finops_assets.core.values import DayRows, SourceDay

DAY = date(2025, 9, 10)
NOW = datetime(2025, 9, 11, 7, tzinfo=UTC)
FACTS = {"currency": "USD", "cost_basis": "billed", "source_lines": "2"}


def day_of(*rows: tuple[str, str, str | None], day: date = DAY) -> DayRows:
    """A day with a row for each (usage, tax, amortized cost), in accounts of their own."""
    columns: dict[str, list] = {name: [Decimal()] * len(rows) for name in CHARGES_OF_ROW}
    columns["usagecost"] = [Decimal(usage) for usage, _, _ in rows]
    columns["taxcost"] = columns["scheduledcost"] = [Decimal(tax) for _, tax, _ in rows]
    columns["effectivecost"] = [None if effective is None else Decimal(effective) for *_, effective in rows]
    cost = [Decimal(usage) + Decimal(tax) for usage, tax, _ in rows]
    table = pa.table(
        {
            "billingdate": [day] * len(rows),
            "ou": ["Eng"] * len(rows),
            "service": ["EC2"] * len(rows),
            "linkedaccount": [f"{n:012d}" for n in range(len(rows))],
            "dailycost": list(map(float, cost)),
            "cost": pa.array(cost, MONEY),
            **{name: pa.array(values, MONEY) for name, values in columns.items()},
        },
        schema=pa.schema([*OU_BREAKDOWN, pa.field("cost", MONEY), *(OU_CHARGES.field(n) for n in CHARGES_OF_ROW)]),
    )
    (rows_of_day,) = split_by_day(table.to_batches())
    return rows_of_day


def said(total: str, usage: str, tax: str) -> SourceDay:
    by_category = {"Usage": Decimal(usage), "Tax": Decimal(tax)}
    return SourceDay(DAY, "USD", 2, Decimal(total), Decimal(tax), by_category)


@pytest.fixture
def archive(tmp_path: Path) -> ObjectArchive:
    return ObjectArchive(folder_store(str(tmp_path)))


def test_a_day_is_held_to_the_bill_by_category() -> None:
    """The total alone does not tell that a tax stands as usage."""
    day = day_of(("10", "1", "9"))
    assert charges_fault(day, said("11", "10", "1")) == ""
    fault = charges_fault(day, said("11", "11", "0"))
    assert "usagecost is 10, in the bill 11" in fault
    assert "taxcost is 1, in the bill 0" in fault
    assert "scheduledcost is 1, in the bill 0" in fault


@pytest.mark.parametrize(
    ("order", "words"), [([1, 0], "one for one"), (None, "Eng / EC2 / 000000000000 do not sum to its cost")]
)
def test_a_day_is_held_to_its_charges_row_by_row(order: list[int] | None, words: str) -> None:
    """The sums of the day do not tell that two rows have each other's charges, or that a cent changed its row."""
    day = day_of(("10", "1", "9"), ("5", "0", "4"))
    assert day.charges is not None
    charges = day.charges.take(order) if order else _a_cent_moved(day.charges)
    assert words in charges_fault(replace(day, charges=charges), said("16", "15", "1"))


def _a_cent_moved(charges: pa.Table) -> pa.Table:
    usage = pa.array([Decimal("9.99"), Decimal("5.01")], MONEY)
    return charges.set_column(charges.schema.get_field_index("usagecost"), "usagecost", usage)


def test_the_rows_name_their_charges(archive: ObjectArchive) -> None:
    """A reader who has the one can prove the other."""
    day = day_of(("10", "1", "9"), ("5", "0", "4"))
    published = archive.publish(day, FACTS)
    charges = archive.charges(DAY, named_charges(published.metadata))
    assert charges.equals(day.charges)
    assert sum(charges["effectivecost"].to_pylist()) == 13


def test_what_one_row_does_not_tell_no_row_of_the_day_does() -> None:
    """A sum over the rows that have it would be a wrong number."""
    day = day_of(("10", "0", "9"), ("5", "0", None))
    assert day.charges is not None
    assert day.charges["effectivecost"].to_pylist() == [None, None]


def test_a_run_that_was_killed_between_the_two_leaves_a_day_that_is_not_whole(
    archive: ObjectArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The charges are new, the rows old: no reader is given charges of another state. The next run finishes."""
    before = archive.publish(day_of(("10", "1", "9")), FACTS)
    put = archive.put

    def killed(path: str, data: bytes) -> str:
        if path != charges_path(DAY):
            raise KeyboardInterrupt
        return put(path, data)

    changed = day_of(("20", "2", "18"))
    monkeypatch.setattr(archive, "put", killed)
    with pytest.raises(KeyboardInterrupt):
        archive.publish(changed, FACTS)
    monkeypatch.undo()
    assert archive.describe(DAY) == before
    with pytest.raises(DamagedError, match="of other rows"):
        archive.charges(DAY, named_charges(before.metadata))
    after = archive.publish(changed, FACTS)
    assert archive.charges(DAY, named_charges(after.metadata)).equals(changed.charges)


def test_charges_that_are_lost_are_written_again_and_the_rows_stay(archive: ObjectArchive) -> None:
    day = day_of(("10", "1", "9"))
    before = archive.publish(day, FACTS)
    assert not archive.publish(day, FACTS).changed
    archive.delete([charges_path(DAY)])
    after = archive.publish(day, FACTS)
    assert (after.changed, after.version) == (True, before.version)
    assert archive.charges(DAY, day.charges_fingerprint).equals(day.charges)


def test_other_charges_of_the_same_costs_are_no_restatement(archive: ObjectArchive) -> None:
    """A tax that was usage moves no number that somebody was mailed."""
    archive.publish(day_of(("10", "1", "9")), FACTS)
    restated: list = []
    moved = archive.publish(day_of(("11", "0", "9")), FACTS, restated.append)
    assert (moved.changed, restated) == (True, [])


def test_a_restored_version_has_its_charges_again(archive: ObjectArchive) -> None:
    first = day_of(("10", "1", "9"))
    archive.publish(first, FACTS)
    archive.publish(day_of(("20", "2", "18")), FACTS)
    archive.publish(day_of(("30", "3", "28")), FACTS)
    oldest = archive.versions(DAY)[-1]
    restored = restore_day(archive, DAY, oldest.id, NOW)
    assert restored.total == 11
    assert archive.charges(DAY, named_charges(restored.metadata)).equals(first.charges)


def test_a_day_of_an_older_release_is_whole_and_gets_its_charges_when_it_is_written_anew(
    archive: ObjectArchive,
) -> None:
    """The same rows: nothing is restated."""
    day = day_of(("10", "1", "9"))
    old = DayRows(DAY, day.rows, day.total, day.unassigned, day.fingerprint)
    before = archive.publish(old, FACTS)
    assert named_charges(before.metadata) == ""
    assert archive.list("ou-charges/") == []
    restated: list = []
    after = archive.publish(day, FACTS, restated.append)
    assert (after.changed, restated, after.fingerprint) == (True, [], before.fingerprint)
    assert archive.charges(DAY, named_charges(after.metadata)).num_rows == 1


def test_each_day_has_its_own_charges(archive: ObjectArchive) -> None:
    days = [day_of(("10", "1", "9"), day=DAY + timedelta(days=n)) for n in range(3)]
    for day in days:
        archive.publish(day, FACTS)
    assert len(archive.list("ou-charges/")) == 3
    for day in days:
        assert archive.charges(day.day, day.charges_fingerprint)["billingdate"].to_pylist() == [day.day]
