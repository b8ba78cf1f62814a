"""A day's dimensions: put before the rows that name them, kept with each version, no fault where keys are new."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finops_assets.adapters.shared.archive import ObjectArchive
from finops_assets.adapters.shared.dashboard_page import DATA_BEGINS, DATA_ENDS, DashboardPage, PageSources
from finops_assets.core.accounts.account_map import Membership, read_accounts_csv, to_parquet
from finops_assets.core.accounts.account_map import account_map as map_of
from finops_assets.core.archive.bill_difference import difference, published_as
from finops_assets.core.archive.day_dimensions import DIMENSIONS_PART, lacking_keys, named_dimensions
from finops_assets.core.archive.dimension_sums import MOST_VALUES, SUMS_PATH, dimension_sums, keys_of
from finops_assets.core.archive.recovery import restore_day
from finops_assets.core.errors import AccountsError, DamagedError
from finops_assets.core.operations.verification import verify
from finops_assets.core.schemas import ACCOUNT_MAP_PATH, DIMENSIONS, charges_path, day_path, dimensions_path
from finops_assets.core.values import PublishedDay
from finops_assets_tests.support.bills import (
    ACCOUNT,
    DAY,
    account_map,
    archive_days,
    at,
    line,
    new_archive,
    open_bill,
    rows_of,
    write_rows,
)

KEYS = ("tag:team", "tag:env")


def bill_of(folder: Path, *lines: tuple[str, str, str], keys: tuple[str, ...] = KEYS) -> Any:
    """A FOCUS bill of the day with a line for each (cost, team, environment)."""
    rows = [
        line(cost, service=f"S{n}", extra={"Tags": f'{{"team": "{team}", "env": "{env}"}}'})
        for n, (cost, team, env) in enumerate(lines)
    ]
    return open_bill(
        write_rows(folder / f"{len(list(folder.glob('*')))}.parquet", rows_of(rows, "focus")), dimensions=keys
    )


@pytest.fixture
def archive(tmp_path: Path) -> ObjectArchive:
    return new_archive(tmp_path)


@pytest.fixture
def bills(tmp_path: Path) -> Path:
    folder = tmp_path / "bills"
    folder.mkdir()
    return folder


def published(warehouse: Any, archive: ObjectArchive) -> PublishedDay:
    done = archive_days(warehouse, archive, [DAY])
    assert done.refused == {}
    return done.published[DAY]


def values(archive: ObjectArchive, day: PublishedDay) -> dict[tuple[str, str], Decimal]:
    rows = archive.dimensions(DAY, day.metadata[DIMENSIONS]).to_pylist()
    return {(row["dimension"], row["value"]): row["cost"] for row in rows}


def test_the_rows_name_their_dimensions(archive: ObjectArchive, bills: Path) -> None:
    """Each key with the fingerprint of its values; a second run leaves all three objects as they are."""
    bill = bill_of(bills, ("10", "a", "prod"), ("5", "b", "prod"))
    day = published(bill, archive)
    assert set(named_dimensions(day.metadata)) == set(KEYS)
    assert values(archive, day)["tag:team", "a"] == 10
    assert not published(bill, archive).changed
    assert DIMENSIONS_PART.fault(archive, DAY, day.metadata) == ""


class Killed(BaseException):
    pass


@pytest.mark.parametrize("after", ["nothing", "charges", "dimensions"])
def test_a_run_that_is_killed_between_objects_leaves_no_half(
    archive: ObjectArchive, bills: Path, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    """Readers have the old day whole or are told; the next run finishes it."""
    before = published(bill_of(bills, ("10", "a", "prod")), archive)
    charges, dimensions = charges_path(DAY), dimensions_path(DAY)
    allowed: dict[str, list[str]] = {"nothing": [], "charges": [charges], "dimensions": [charges, dimensions]}
    put = archive._put

    def until(path: str, data: bytes) -> Any:
        if path in (charges, dimensions, day_path(DAY)) and path not in allowed[after]:
            raise Killed
        return put(path, data)

    changed = bill_of(bills, ("20", "b", "prod"))
    monkeypatch.setattr(archive, "_put", until)
    with pytest.raises(Killed):
        archive_days(changed, archive, [DAY])
    monkeypatch.undo()
    current = archive.describe(DAY)
    assert current == before
    if after == "dimensions":
        assert "of other rows" in DIMENSIONS_PART.fault(archive, DAY, before.metadata)
    else:
        assert values(archive, before)["tag:team", "a"] == 10
    assert values(archive, published(changed, archive))["tag:team", "b"] == 20


def test_values_that_moved_are_another_day_and_no_restatement(archive: ObjectArchive, bills: Path) -> None:
    """AWS fills tags in for months that are over: no amount moves."""
    before = published(bill_of(bills, ("10", "", "prod")), archive)
    later = bill_of(bills, ("10", "a", "prod"))
    assert "tag:team" in difference(later.fingerprints(DAY, DAY, account_map())[DAY], published_as(before))
    done = archive_days(later, archive, [DAY])
    assert done.restated == {}
    assert done.published[DAY].changed


def test_a_day_of_other_keys_is_whole_until_it_is_run_again(archive: ObjectArchive, bills: Path) -> None:
    """Changing the setting makes no old day wrong; the day says which keys it lacks."""
    lines = ("10", "a", "prod")
    before = published(bill_of(bills, lines, keys=("tag:team",)), archive)
    both = bill_of(bills, lines)
    assert difference(both.fingerprints(DAY, DAY, account_map())[DAY], published_as(before)) == ""
    assert lacking_keys(before, KEYS) == ("tag:env",)
    after = published(both, archive)
    assert (lacking_keys(after, KEYS), after.fingerprint) == ((), before.fingerprint)
    without = published(bill_of(bills, lines, keys=()), archive)
    assert named_dimensions(without.metadata) == {}


def test_a_day_that_has_no_dimension_any_more_has_no_money_by_it(
    archive: ObjectArchive, bills: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A query of the table would add up what was there before; a run that was killed on the way is finished."""
    before = published(bill_of(bills, ("10", "a", "prod")), archive)
    without, put = bill_of(bills, ("9", "a", "x"), keys=()), archive.put

    def killed(path: str, data: bytes) -> str:
        if path == day_path(DAY):
            raise Killed
        return put(path, data)

    monkeypatch.setattr(archive, "put", killed)
    with pytest.raises(Killed):
        archive_days(without, archive, [DAY])
    monkeypatch.undo()
    assert "of other rows" in DIMENSIONS_PART.fault(archive, DAY, before.metadata)
    assert named_dimensions(published(without, archive).metadata) == {}
    assert pq.read_table(pa.BufferReader(archive.get(dimensions_path(DAY)) or b"")).num_rows == 0
    oldest = archive.versions(DAY)[-1]
    restored = restore_day(archive, DAY, oldest.id, datetime(2025, 9, 21, tzinfo=UTC))
    assert values(archive, restored)["tag:team", "a"] == 10


def test_dimensions_that_we_wrote_are_not_read_again(archive: ObjectArchive, bills: Path, tmp_path: Path) -> None:
    """`finops gaps` proves them by one listing of their stamps."""
    published(bill_of(bills, ("10", "a", "prod")), archive)
    archive.history.costs([DAY])
    archive.history.keep()
    fresh = new_archive(tmp_path)
    assert fresh.history.parts_proved(DIMENSIONS_PART, fresh.history.proved([DAY])) == {DAY}
    archive.put(dimensions_path(DAY), b"other")
    assert fresh.history.parts_proved(DIMENSIONS_PART, fresh.history.proved([DAY])) == set()


@pytest.mark.parametrize("how", ["lost", "cut", "of another day"])
def test_other_dimensions_are_told_and_written_again(archive: ObjectArchive, bills: Path, how: str) -> None:
    bill = bill_of(bills, ("10", "a", "prod"))
    day, path = published(bill, archive), dimensions_path(DAY)
    if how == "lost":
        archive.delete([path])
    else:
        data = archive.get(path) or b""
        archive.put(path, data[:-9] if how == "cut" else data.replace(b"prod", b"test"))
    with pytest.raises(DamagedError):
        archive.dimensions(DAY, day.metadata[DIMENSIONS])
    (verdict,) = verify(archive, [DAY])
    assert verdict.fault.startswith("has no whole dimensions")
    assert published(bill, archive).version == day.version
    assert values(archive, day)["tag:team", "a"] == 10


def test_a_restored_version_has_its_dimensions_again(archive: ObjectArchive, bills: Path) -> None:
    published(bill_of(bills, ("10", "a", "prod")), archive)
    published(bill_of(bills, ("20", "b", "prod")), archive)
    oldest = archive.versions(DAY)[-1]
    restored = restore_day(archive, DAY, oldest.id, datetime(2025, 9, 21, tzinfo=UTC))
    assert values(archive, restored)["tag:team", "a"] == 10


def test_an_empty_day_has_no_object_and_lacks_nothing(archive: ObjectArchive, bills: Path) -> None:
    lines = [line("1"), line("1", start=at(DAY + timedelta(days=2)))]
    bill = open_bill(write_rows(bills / "focus.parquet", rows_of(lines, "focus")), dimensions=("tag:team",))
    empty = DAY + timedelta(days=1)
    done = archive_days(bill, archive, [DAY, empty])
    assert done.refused == {}
    assert archive.get(dimensions_path(empty)) is None
    assert lacking_keys(done.published[empty], KEYS) == ()


def test_account_attributes_come_from_the_published_map(archive: ObjectArchive, bills: Path) -> None:
    """A column of the map is a dimension: no line of the bill is asked for it."""
    members = [Membership(ACCOUNT, "", "Eng", attributes=(("unit", "shop"),))]
    table = map_of(members, ou_level="full", history="as_was", attributes=("unit",))
    archive.put(ACCOUNT_MAP_PATH, to_parquet(table))
    day = published(bill_of(bills, ("10", "a", "prod"), keys=()), archive)
    assert values(archive, day) == {("account:unit", "shop"): 10}


def test_a_column_that_the_settings_name_has_to_be_in_the_file() -> None:
    data = b"account_id,account_name,ou_path,unit\n111122223333,a,Eng,shop\n"
    (row,) = read_accounts_csv(data, "accounts.csv", ("unit",))
    assert row.attributes == (("unit", "shop"),)
    with pytest.raises(AccountsError, match="has no column cost_center"):
        read_accounts_csv(data, "accounts.csv", ("unit", "cost_center"))


# --- sums for the dashboard -----------------------------------------------------------------------------------------


@pytest.fixture
def counted(archive: ObjectArchive, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The days whose dimensions were read."""
    read: list[Any] = []
    dimensions = archive.dimensions
    monkeypatch.setattr(archive, "dimensions", lambda day, named: (read.append(day), dimensions(day, named))[1])
    return read


def test_a_day_is_read_once_for_its_sums(archive: ObjectArchive, bills: Path, counted: list[Any]) -> None:
    """Until it is another one, or the sums are lost or damaged."""
    day = published(bill_of(bills, ("10", "a", "prod"), ("5", "a", "test")), archive)
    for _ in range(2):
        sums = dimension_sums(archive, {DAY: day})
        assert keys_of(sums) == {"tag:env": {DAY}, "tag:team": {DAY}}
        rows = sums.to_pylist()
        assert {(row["dimension"], row["value"]): row["cost"] for row in rows}["tag:team", "a"] == 15
    assert counted == [DAY]
    archive.put(SUMS_PATH, b"half")
    dimension_sums(archive, {DAY: day})
    other = published(bill_of(bills, ("10", "b", "prod")), archive)
    dimension_sums(archive, {DAY: other})
    assert counted == [DAY] * 3


def test_many_values_are_one_in_the_sums(archive: ObjectArchive, bills: Path) -> None:
    """A key with a value for each resource; no amount is lost."""
    lines = [line(str(n + 1), extra={"Tags": f'{{"team": "t{n}"}}'}) for n in range(MOST_VALUES + 10)]
    bill = open_bill(write_rows(bills / "focus.parquet", rows_of(lines, "focus")), dimensions=("tag:team",))
    sums = dimension_sums(archive, {DAY: published(bill, archive)}).to_pylist()
    assert len(sums) == MOST_VALUES + 1
    (other,) = [row for row in sums if row["value"] is None]
    assert other["cost"] == 55  # 1 to 10


def test_a_day_of_damaged_dimensions_is_shown_as_one_without(archive: ObjectArchive, bills: Path) -> None:
    """Not as a day that cost nothing: the page has no sums of it."""
    published(bill_of(bills, ("10", "a", "prod")), archive)
    archive.put(dimensions_path(DAY), b"half")
    pages: list[bytes] = []
    sources = PageSources(dimensions=True)
    DashboardPage(archive, pages.append, "page.html", days=5, max_cells=1000, sources=sources).refresh("a-run")
    data = json.loads(pages[0].partition(DATA_BEGINS)[2].partition(DATA_ENDS)[0])
    assert (data["days"], data["dimensions"]) == ([str(DAY)], [])


def test_a_day_without_dimensions_has_no_sums(archive: ObjectArchive, bills: Path) -> None:
    day = published(bill_of(bills, ("10", "a", "prod"), keys=()), archive)
    assert dimension_sums(archive, {DAY: replace(day)}).num_rows == 0
