"""The history that is kept: a day's object is read once, and again only when it has changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from finops_assets.adapters.shared.archive import ObjectArchive
from finops_assets.adapters.shared.folder import FolderStore
from finops_assets.core.archive import breakdown
from finops_assets.core.archive.day_charges import CHARGES_PART
from finops_assets.core.errors import DamagedError
from finops_assets.core.schemas import CHARGES, OU_BREAKDOWN, OU_CHARGES, day_path
from finops_assets.core.values import DayRows

FIRST = date(2025, 8, 30)
DAYS = [FIRST + timedelta(days=n) for n in range(4)]  # two of August, two of September
EC2, S3, OTHER = ("Shop", "EC2", "1"), ("Shop/Web", "S3", "2"), ("Data", "Lambda", "1")
COSTS = [{EC2: "1.5", S3: "0.1"}, {EC2: "1.25", S3: "0.2"}, {S3: "0.3", OTHER: "-7"}, {EC2: "4", S3: "0.4"}]
FACTS = {"currency": "USD", "cost_basis": "billed"}


class Counting(FolderStore):
    """A folder that remembers which objects were read."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.read: list[str] = []

    def get(self, path: str):
        self.read.append(path)
        return super().get(path)


def day_rows(day: date, costs: Mapping[tuple[str, str, str], str]) -> DayRows:
    exact = pa.array([Decimal(cost) for cost in costs.values()], pa.decimal128(38, 12))
    columns = [pa.array([key[n] for key in costs], pa.string()) for n in range(3)]
    columns = [pa.array([day] * len(costs), pa.date32()), *columns, exact.cast(pa.float64()), exact]
    names, nothing = [*OU_BREAKDOWN.names, "cost"], pa.array([Decimal()] * len(costs), exact.type)
    for name in OU_CHARGES.names[4:]:
        names.append(name)
        columns.append(exact if name in ("usagecost", "effectivecost") else nothing)
    (of_day,) = breakdown.split_by_day([pa.RecordBatch.from_arrays(columns, names=names)])
    return of_day


@pytest.fixture
def opened(tmp_path: Path) -> Callable[[], tuple[ObjectArchive, list[str]]]:
    """Opens the archive as another process does, and gives the paths that it reads from then on."""

    def open_archive() -> tuple[ObjectArchive, list[str]]:
        store = Counting(str(tmp_path / "archive"))
        return ObjectArchive(store), store.read

    archive, _ = open_archive()
    for day, costs in zip(DAYS, COSTS, strict=True):
        archive.publish(day_rows(day, costs), FACTS)
    archive.history.costs(DAYS)
    archive.history.keep()
    return open_archive


def days_read(read: list[str]) -> list[str]:
    return sorted(path for path in read if path.startswith("ou-"))


def totals(archive: ObjectArchive) -> dict[date, Decimal]:
    return archive.history.costs(DAYS).history(DAYS).totals()


TOTALS = dict(zip(DAYS, map(Decimal, ("1.6", "1.45", "-6.7", "4.4")), strict=True))


def test_what_is_kept_is_what_was_archived_and_no_day_is_read_again(opened) -> None:
    """Another process has every cost, and each day's metadata, by a record and an object a month."""
    archive, read = opened()
    of_days = archive.history.costs(DAYS)
    history = of_days.history(DAYS)
    assert days_read(read) == []
    months = ("2025-08", "2025-09")
    assert sorted(read) == [f"_state/history/{month}.{kind}" for month in months for kind in ("arrow", "json")]
    assert history.keys == (EC2, S3, OTHER)
    assert history.costs[:, 2].tolist()[1:] == [0.3, -7.0]
    assert history.totals() == TOTALS
    assert history.by_ou["Shop"] == {DAYS[0]: Decimal("1.5"), DAYS[1]: Decimal("1.25"), DAYS[3]: 4}
    assert of_days.published[DAYS[3]].total == Decimal("4.4")
    assert archive.history.describe(DAYS) == dict(of_days.published)


def test_costs_by_columns_are_the_same_history(opened) -> None:
    """The page takes a few days at a time."""
    archive, _ = opened()
    of_days = archive.history.costs(DAYS)
    whole, by_columns = of_days.history(DAYS), of_days.by_columns(DAYS)
    assert (by_columns.keys, by_columns.totals()) == (whole.keys, whole.totals())
    some = by_columns.columns(1, 3).tolist()
    assert some[0][0] == 1.25
    assert some[1] == pytest.approx([0.2, 0.3], rel=1e-15)
    assert some[2][1] == -7.0
    assert some[0][1] != some[0][1]  # NaN: the day has no such row


def test_rows_are_exact_and_others_are_by_ou(opened) -> None:
    """The digest needs services and accounts of three days."""
    archive, _ = opened()
    rows = archive.history.costs(DAYS[1:3]).rows(in_full=[DAYS[2]]).to_pylist()
    assert [(row["billingdate"], row["ou"], row["service"], row["linkedaccount"], row["cost"]) for row in rows] == [
        (DAYS[1], "Shop", "", "", Decimal("1.25")),
        (DAYS[1], "Shop/Web", "", "", Decimal("0.2")),
        (DAYS[2], *S3, Decimal("0.3")),
        (DAYS[2], *OTHER, Decimal(-7)),
    ]


def test_a_day_that_was_written_again_is_read_again_and_its_month_kept_anew(opened) -> None:
    """In the process that wrote it and in the next one, and no other day with it."""
    archive, _ = opened()
    assert totals(archive) == TOTALS
    archive.publish(day_rows(DAYS[2], {OTHER: "5"}), FACTS)
    assert totals(archive) == TOTALS | {DAYS[2]: Decimal(5)}
    later, read = opened()
    assert totals(later) == TOTALS | {DAYS[2]: Decimal(5)}
    assert days_read(read) == [day_path(DAYS[2])]
    later.history.keep()
    last, read = opened()
    assert totals(last) == TOTALS | {DAYS[2]: Decimal(5)}
    assert days_read(read) == []


@pytest.mark.parametrize("data", [b"", b"{}", None], ids=["empty", "another", "absent"])
@pytest.mark.parametrize("kind", ["json", "arrow"])
def test_what_is_damaged_is_made_again_of_the_days(opened, tmp_path: Path, kind: str, data: bytes | None) -> None:
    """Nothing is kept here alone: the days of that month are read."""
    file = tmp_path / "archive" / "_state" / "history" / f"2025-09.{kind}"
    file.unlink() if data is None else file.write_bytes(data)
    archive, read = opened()
    assert totals(archive) == TOTALS
    assert days_read(read) == [day_path(day) for day in DAYS[2:]]


def test_a_damaged_day_is_refused_though_it_was_kept(opened, tmp_path: Path) -> None:
    """Its object has another stamp, so that it is read, and proved."""
    file = tmp_path / "archive" / day_path(DAYS[0])
    file.write_bytes(file.read_bytes()[:-9])
    archive, _ = opened()
    assert sorted(archive.history.proved(DAYS)) == DAYS[1:]
    with pytest.raises(DamagedError):
        archive.history.costs(DAYS)


def test_charges_that_were_written_are_known_until_they_are_others(opened, tmp_path: Path) -> None:
    """`finops gaps` reads those alone that changed since."""
    archive, _ = opened()
    assert sorted(archive.history.proved(DAYS)) == DAYS
    described = archive.history.describe(DAYS)
    assert sorted(archive.history.parts_proved(CHARGES_PART, described)) == DAYS
    (charges,) = (tmp_path / "archive" / "ou-charges").rglob("day=30/*.parquet")
    charges.write_bytes(b"other")
    assert sorted(archive.history.parts_proved(CHARGES_PART, described)) == DAYS[1:]
    named = {**described[DAYS[2]].metadata, CHARGES: "of other rows"}
    other = described | {DAYS[2]: replace(described[DAYS[2]], metadata=named)}
    assert sorted(archive.history.parts_proved(CHARGES_PART, other)) == [DAYS[1], DAYS[3]]


def test_a_new_day_that_is_asked_for_first_keeps_its_month_known(opened) -> None:
    """A run registers its day before it scores it with those of the days before."""
    archive, read = opened()
    new = DAYS[-1] + timedelta(days=1)
    archive.publish(day_rows(new, {EC2: "2"}), FACTS)
    read.clear()
    archive.history.costs([new])
    assert archive.history.costs([*DAYS, new]).history([new]).totals() == {new: Decimal(2)}
    assert days_read(read) == [day_path(new)]
