"""A day's commitments: put before the rows that name them, kept with each version, and none where the bill has none."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from finops_assets.adapters.shared.archive import ObjectArchive, folder_store
from finops_assets.core.archive.breakdown import split_by_day
from finops_assets.core.archive.day_commitments import COMMITMENTS_PART, CommitmentsByDay, with_commitments
from finops_assets.core.archive.recovery import restore_day
from finops_assets.core.errors import DamagedError
from finops_assets.core.schemas import CHARGES_OF_ROW, COMMITTED, MONEY, OU_BREAKDOWN, OU_CHARGES, commitments_path
from finops_assets.core.values import DayRows

DAY = date(2025, 9, 10)
NOW = datetime(2025, 9, 11, 7, tzinfo=UTC)
FACTS = {"currency": "USD", "cost_basis": "effective", "source_lines": "2"}
SUMS = pa.schema(
    [
        ("billingdate", pa.date32()),
        *((name, pa.string()) for name in ("commitmentid", "kind", "linkedaccount")),
        *((name, MONEY) for name in ("committedcost", "usedcost", "unusedcost", "ondemandcost")),
        ("expires", pa.date32()),
    ]
)


def sums(used: str, unused: str, day: date = DAY, ends: date | None = None) -> pa.Table:
    amounts = {
        "usedcost": Decimal(used),
        "unusedcost": Decimal(unused),
        "committedcost": Decimal(used) + Decimal(unused),
    }
    row = {"billingdate": day, "commitmentid": "plan", "kind": "savings plan", "linkedaccount": "1", "expires": ends}
    return pa.Table.from_pylist([row | amounts], SUMS)


def day_of(used: str, unused: str, ends: date | None = None) -> DayRows:
    """A day of one account, all of whose cost is a commitment's."""
    cost = Decimal(used) + Decimal(unused)
    amounts = dict.fromkeys(CHARGES_OF_ROW, Decimal()) | {"usagecost": cost, "effectivecost": cost}
    amounts |= {"committedcost": Decimal(used), "unusedcommitment": Decimal(unused)}
    row = {"billingdate": DAY, "ou": "Eng", "service": "EC2", "linkedaccount": "1", "dailycost": float(cost)}
    schema = pa.schema([*OU_BREAKDOWN, pa.field("cost", MONEY), *(OU_CHARGES.field(n) for n in CHARGES_OF_ROW)])
    (day,) = split_by_day(pa.Table.from_pylist([row | amounts | {"cost": cost}], schema).to_batches())
    return with_commitments(day, sums(used, unused, ends=ends))


@pytest.fixture
def archive(tmp_path: Path) -> ObjectArchive:
    return ObjectArchive(folder_store(str(tmp_path)))


def test_a_commitment_stands_by_the_ou_of_its_account(archive: ObjectArchive) -> None:
    published = archive.publish(day_of("3", "1", date(2026, 1, 2)), FACTS)
    rest, row = archive.commitments(DAY, published.metadata[COMMITTED]).to_pylist()
    assert (rest["kind"], rest["ou"], rest["ondemandcost"]) == ("on demand", "Eng", 0)
    assert (row["ou"], row["committedcost"], row["ondemandcost"], row["expires"]) == ("Eng", 4, None, date(2026, 1, 2))


def test_other_commitments_of_the_same_costs_write_the_day_anew(archive: ObjectArchive) -> None:
    """An end that is told later is no restatement; the version before has its own."""
    before = archive.publish(day_of("3", "1"), FACTS)
    restated: list = []
    after = archive.publish(day_of("3", "1", date(2026, 1, 2)), FACTS, restated.append)
    assert (after.changed, restated, after.fingerprint) == (True, [], before.fingerprint)
    with pytest.raises(DamagedError, match="of other rows"):
        archive.commitments(DAY, before.metadata[COMMITTED])
    restored = restore_day(archive, DAY, archive.versions(DAY)[-1].id, NOW)
    _, row = archive.commitments(DAY, restored.metadata[COMMITTED]).to_pylist()
    assert row["expires"] is None


def test_commitments_that_are_altered_or_lost_are_told_and_written_again(archive: ObjectArchive) -> None:
    day = day_of("3", "1")
    published = archive.publish(day, FACTS)
    assert COMMITMENTS_PART.fault(archive, DAY, published.metadata) == ""
    other = COMMITMENTS_PART.encode(day_of("2", "2").commitments, day.commitments_fingerprint, published.metadata)
    content = other.replace(b"savings plan", b"savings pLan")
    for altered in (other[:-40], content):
        archive.put(commitments_path(DAY), altered)
        assert "damaged" in COMMITMENTS_PART.fault(archive, DAY, published.metadata)
    archive.delete([commitments_path(DAY)])
    assert "does not have it" in COMMITMENTS_PART.fault(archive, DAY, published.metadata)
    assert archive.publish(day, FACTS).changed
    assert archive.commitments(DAY, published.metadata[COMMITTED]).equals(day.commitments)


def test_a_day_without_commitments_has_no_object_and_one_that_lost_them_no_rows(archive: ObjectArchive) -> None:
    """The table never shows those of before."""
    bare = replace(day_of("3", "1"), commitments=None, commitments_fingerprint="")
    assert COMMITTED not in archive.publish(bare, FACTS).metadata
    assert archive.list("commitments/") == []
    archive.publish(day_of("3", "1"), FACTS)
    archive.publish(bare, FACTS)
    assert archive.commitments(DAY, "").num_rows == 0


def test_each_day_gets_its_own_of_a_stream() -> None:
    """Days without any are passed over, and so are days that are asked for after all others."""
    days = [DAY, DAY + timedelta(days=2)]
    stream = CommitmentsByDay(batch for day in days for batch in sums("1", "0", day).to_batches())
    found = [stream.of(DAY + timedelta(days=n)) for n in range(4)]
    assert [table.num_rows if table else 0 for table in found] == [1, 0, 1, 0]
    assert stream.of(DAY) is None
