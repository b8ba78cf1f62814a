"""The archive and the catalog: one whole object a day, what it says of itself, and what a reader gets back."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finops_assets.adapters.local.catalog import SQLiteCatalog
from finops_assets.adapters.shared.archive import ObjectArchive, folder_store
from finops_assets.core.accounts import published_map
from finops_assets.core.archive import breakdown, day_checks, registering
from finops_assets.core.errors import ArchiveError, FinopsError
from finops_assets.core.schemas import ACCOUNT_MAP_PATH, OU_BREAKDOWN, day_path
from finops_assets.core.values import DayRows, PublishedDay, SourceDay
from finops_assets_tests.support.bills import (
    ACCOUNT,
    DAY,
    account_map,
    archive_days,
    at,
    line,
    make_bill,
    new_archive,
    open_bill,
    write_rows,
)

NEXT = DAY + timedelta(days=1)
FACTS = {"currency": "USD", "cost_basis": "billed"}


def day_rows(*rows: tuple[str, str, str, str], day: date = DAY) -> DayRows:
    """A day with these (OU, service, account, cost), as the breakdown streams it."""
    costs = pa.array([Decimal(row[3]) for row in rows], pa.decimal128(38, 12))
    columns = [pa.array([row[i] for row in rows], pa.string()) for i in range(3)]
    columns = [pa.array([day] * len(rows), pa.date32()), *columns, costs.cast(pa.float64()), costs]
    batch = pa.RecordBatch.from_arrays(columns, names=[*OU_BREAKDOWN.names, "cost"])
    (found,) = breakdown.split_by_day([batch])
    return found


ROWS = day_rows(("Eng", "EC2", "1", "1.5"), ("Eng", "S3", "1", "0.00000000001"), ("Unassigned", "EC2", "2", "-0.25"))


@pytest.fixture
def archive(tmp_path: Path) -> ObjectArchive:
    return new_archive(tmp_path)


@pytest.fixture
def catalog(tmp_path: Path) -> SQLiteCatalog:
    return SQLiteCatalog(tmp_path / "catalog.sqlite", tmp_path / "archive")


# --- the archive --------------------------------------------------------------------------------------------------


def test_a_day_is_one_object_in_the_contracts_schema(archive: ObjectArchive, tmp_path: Path) -> None:
    """Path, columns, types and compression are those of the contract, with nothing beside the object."""
    archive.publish(ROWS, FACTS)
    file = tmp_path / "archive" / "ou-breakdowns" / "year=2025" / "month=09" / "day=10" / "ou_breakdown.parquet"
    assert [f for f in file.parent.rglob("*") if f.is_file()] == [file]
    there = pq.ParquetFile(file)
    assert there.schema_arrow.equals(OU_BREAKDOWN)
    assert there.metadata.row_group(0).column(0).compression == "SNAPPY"
    assert there.read().to_pylist()[0] == {
        "billingdate": DAY,
        "ou": "Eng",
        "service": "EC2",
        "linkedaccount": "1",
        "dailycost": 1.5,
    }


def test_an_object_says_of_itself_what_it_is(archive: ObjectArchive) -> None:
    """The exact total, currency, cost basis, fingerprint and whatever else is published with it are read back."""
    written = archive.publish(ROWS, {**FACTS, "run_id": "r1", "note": "Büro"})
    there = archive.describe(DAY)
    assert replace(there, changed=True) == written
    assert (there.total, there.rows, there.currency, there.cost_basis) == (Decimal("1.25000000001"), 3, "USD", "billed")
    assert there.metadata["unassigned"] == "-0.25"
    assert there.metadata["note"] == "Büro"
    assert there.fingerprint == ROWS.fingerprint


def test_the_same_day_again_changes_nothing(archive: ObjectArchive, tmp_path: Path) -> None:
    """A run that finds the same leaves the object as it is; who ran and when do not count."""
    first = archive.publish(ROWS, {**FACTS, "run_id": "r1", "settlement": "provisional"})
    file = tmp_path / "archive" / day_path(DAY)
    before = file.stat().st_mtime_ns
    again = archive.publish(ROWS, {**FACTS, "run_id": "r2", "settlement": "provisional"})
    assert (first.changed, again.changed, again.version) == (True, False, first.version)
    assert file.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("rows", "facts", "reason"),
    [
        (day_rows(("Eng", "EC2", "1", "1.25000000001")), {}, "other rows to the same total"),
        (
            day_rows(("Eng", "EC2", "1", "1.5"), ("Eng", "S3", "1", "0.00000000002")),
            {},
            "money in the eleventh decimal",
        ),
        (ROWS, {"cost_basis": "effective"}, "another cost basis"),
        (ROWS, {"currency": "EUR"}, "another currency"),
        (ROWS, {"left_out": json.dumps([["bill.include_tax", 1, "2"]])}, "what is left out"),
        (ROWS, {"scheduled": "1"}, "what is scheduled"),
        (ROWS, {"settlement": "closed"}, "how final it is"),
        (ROWS, {"by_category": json.dumps({"Tax": "1"})}, "the categories"),
        (ROWS, {"currencies": json.dumps([{"currency": "EUR", "accounts": ["1"]}])}, "which accounts are in euro"),
    ],
)
def test_a_day_that_says_something_else_is_written(
    archive: ObjectArchive, rows: DayRows, facts: dict, reason: str
) -> None:
    """Whatever a reader could see differently is a change."""
    archive.publish(ROWS, FACTS)
    assert archive.publish(rows, {**FACTS, **facts}).changed, reason
    assert archive.describe(DAY).fingerprint == rows.fingerprint


def test_the_days_are_those_with_an_object(archive: ObjectArchive, tmp_path: Path) -> None:
    """Days come in order; other files below the prefix are no days."""
    for day in (NEXT, DAY):
        archive.publish(day_rows(("Eng", "EC2", "1", "1"), day=day), FACTS)
    (tmp_path / "archive" / "ou-breakdowns" / "year=2025" / "month=09" / "README.md").write_text("x", encoding="utf-8")
    write_rows(tmp_path / "archive" / "ou-breakdowns" / "year=2025" / "month=09" / "day=12" / "x.parquet", [{"a": 1}])
    assert archive.days() == [DAY, NEXT]


def test_days_are_read_back_to_the_cent(archive: ObjectArchive) -> None:
    """Rows of several days come with their cost as a decimal; a day that is not there is named."""
    archive.publish(ROWS, FACTS)
    archive.publish(day_rows(("Eng", "EC2", "1", "98765432109.87"), day=NEXT), FACTS)
    table = archive.read([DAY, NEXT])
    assert table.column("cost").to_pylist()[-1].quantize(Decimal("0.01")) == Decimal("98765432109.87")
    assert sum(table.column("cost").to_pylist()[:3]) == ROWS.total
    assert archive.read([]).num_rows == 0
    with pytest.raises(ArchiveError, match=r"day=12/ou_breakdown.parquet: is not in the archive.*finops run --date"):
        archive.read([DAY, date(2025, 9, 12)])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"garbage", "is damaged"),
        (b"", "is damaged"),
        (None, "was not written by finops_assets"),
    ],
)
def test_an_object_that_is_not_ours_is_named(archive: ObjectArchive, data: bytes | None, says: str) -> None:
    """A damaged or foreign object is an error that says which day to run again."""
    if data is None:
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table({"a": [1]}), sink)
        data = sink.getvalue().to_pybytes()
    archive.put(day_path(DAY), data)
    with pytest.raises(ArchiveError, match=rf"day=10/ou_breakdown.parquet: {says}"):
        archive.describe(DAY)


def test_a_place_that_cannot_be_written_is_an_error_that_names_it(archive: ObjectArchive, tmp_path: Path) -> None:
    """What the store refuses becomes an ArchiveError with the object's path and what to do."""
    archive.put("ou-breakdowns", b"a file where the folder should be")
    with pytest.raises(ArchiveError, match=r"cannot be written .* Check the space and rights") as error:
        archive.put(day_path(DAY), b"")
    assert error.value.where == day_path(DAY)


def test_what_is_not_there_is_none(archive: ObjectArchive) -> None:
    """A day or an object that is missing is no error."""
    assert archive.describe(DAY) is None
    assert archive.get("nothing/here") is None
    assert archive.list("nothing/") == []
    assert archive.days() == []


@pytest.mark.parametrize(
    "name", ["with space", "Bücher & Töchter", "100%", "%41", "a#b", "it's", "b?[1]*", "year=1999"]
)
def test_the_home_may_have_any_name(tmp_path: Path, name: str) -> None:
    """Archive and catalog work below any folder, and its name is never taken for a pattern or a partition."""
    home = tmp_path / name
    new_archive(tmp_path / "bx1y").publish(day_rows(("Eng", "EC2", "1", "100")), FACTS)  # what b?[1]* would match
    archive, catalog = new_archive(home), SQLiteCatalog(home / "catalog.sqlite", home / "archive")
    archive.publish(ROWS, FACTS)
    assert archive.days() == [DAY]
    assert not registering.register_days(archive, catalog, [DAY]).wrong
    sql = "SELECT year, month, day, COUNT(*) FROM ou_breakdown GROUP BY 1, 2, 3"
    assert catalog.query(sql)[1] == [(2025, 9, 10, 3)]


def test_a_reader_never_sees_half_a_day(archive: ObjectArchive) -> None:
    """While a day is rewritten again and again, every read gets one whole version."""
    small = day_rows(("Eng", "EC2", "1", "1"))
    large = day_rows(*(("Eng", f"service {i:05d}", "1", "1") for i in range(20_000)))
    archive.publish(small, FACTS)
    done = threading.Event()

    def write() -> None:
        for _ in range(15):
            archive.publish(large, FACTS)
            archive.publish(small, FACTS)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    while not done.is_set():
        seen.add((archive.read([DAY]).num_rows, archive.describe(DAY).rows in (1, 20_000)))
    writer.join()
    assert seen <= {(1, True), (20_000, True)}


# --- proving a day ------------------------------------------------------------------------------------------------


def source(total: str) -> SourceDay:
    return SourceDay(DAY, "USD", 3, Decimal(total), Decimal(), {})


@pytest.mark.parametrize(
    ("day", "said", "promise", "says"),
    [
        (ROWS, "1.25000000001", None, ""),
        (ROWS, "1.25", day_checks.TOTALS, "rows sum to 1.250000000010, the bill to 1.25, 1.0E-11 apart"),
        (day_rows(("E", "S", "1", "1"), ("E", "S", "1", "2")), "3", day_checks.KEYS, "E / S / 1 is there twice"),
    ],
)
def test_a_day_is_published_only_if_it_is_the_bill(day: DayRows, said: str, promise: str | None, says: str) -> None:
    """A difference of a hundred-billionth is found, and so is a key that is there twice."""
    assert day_checks.faults(day, source(said)) == ({promise: says} if promise else {})


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (ROWS.rows.drop_columns(["ou"]), "columns are billingdate date32"),
        (ROWS.rows.cast(OU_BREAKDOWN.set(4, pa.field("dailycost", pa.float32()))), "dailycost float"),
        (ROWS.rows.set_column(1, OU_BREAKDOWN.field(1), pa.array([None, "a", "b"])), "nulls in ou"),
    ],
)
def test_a_day_of_another_schema_is_not_published(rows: pa.Table, says: str) -> None:
    """Missing columns, other types and nulls break the promise of the schema."""
    assert says in day_checks.faults(replace(ROWS, rows=rows), source("1.25000000001"))[day_checks.SCHEMA]


def test_days_are_split_wherever_the_batches_end() -> None:
    """A day in three batches and three days in one batch come out as whole days, in order."""
    days = [DAY + timedelta(days=i) for i in range(3)]
    whole = pa.table(
        {
            "billingdate": pa.array([day for day in days for _ in range(4)], pa.date32()),
            "ou": [f"ou{i}" for i in range(12)],
            "service": ["s"] * 12,
            "linkedaccount": ["1"] * 12,
            "dailycost": [1.0] * 12,
            "cost": pa.array([Decimal(1)] * 12, pa.decimal128(38, 12)),
        }
    )
    for size in (1, 3, 5, 12):
        found = breakdown.split_by_day(whole.to_batches(size))
        assert [(d.day, d.rows.num_rows, d.total) for d in found] == [(day, 4, Decimal(4)) for day in days]
    with pytest.raises(ArchiveError, match="rows of 2025-09-10 came after 2025-09-12"):
        list(breakdown.split_by_day([*whole.to_batches(), *whole.to_batches()]))


def test_the_fingerprint_is_of_the_rows_and_the_exact_costs() -> None:
    """The same rows have the same fingerprint whatever the batches; a cost in the last decimal has another."""
    same = day_rows(
        ("Eng", "EC2", "1", "1.5"), ("Eng", "S3", "1", "0.00000000001"), ("Unassigned", "EC2", "2", "-0.25")
    )
    other = day_rows(
        ("Eng", "EC2", "1", "1.5"), ("Eng", "S3", "1", "0.00000000002"), ("Unassigned", "EC2", "2", "-0.25")
    )
    comma = day_rows(("Eng", 'a,"b', "1", "1"))
    assert ROWS.fingerprint == same.fingerprint
    assert (
        len({ROWS.fingerprint, other.fingerprint, comma.fingerprint, day_rows(("Eng,a", '"b', "1", "1")).fingerprint})
        == 4
    )


def test_only_the_days_asked_for_are_archived(tmp_path: Path, archive: ObjectArchive) -> None:
    """A range of days is published day by day; the others of the bill stay away."""
    days = [DAY + timedelta(days=i) for i in range(4)]
    warehouse = open_bill(make_bill(tmp_path / "bill", [line(i + 1, start=at(day)) for i, day in enumerate(days)]))
    done = archive_days(warehouse, archive, days[1:3])
    assert {day: there.total for day, there in done.published.items()} == {days[1]: 2, days[2]: 3}
    assert archive.days() == days[1:3]
    facts = done.published[days[1]].metadata
    assert (facts["source_total"], facts["bill_format"], facts["settlement"]) == ("2", "focus", "provisional")


def test_a_day_that_nets_to_nothing_is_a_day(tmp_path: Path, archive: ObjectArchive) -> None:
    """Zero lines and charges that are taken back are archived as the zero that they are."""
    path = make_bill(tmp_path / "bill", [line(5), line(-5), line(0, service="S3"), line(0, start=at(NEXT))])
    done = archive_days(open_bill(path), archive, [DAY, NEXT])
    assert [there.total for there in done.published.values()] == [0, 0]
    assert [there.rows for there in done.published.values()] == [2, 1]


def test_without_a_published_map_nothing_is_archived(tmp_path: Path) -> None:
    """The map comes first; the error says so."""
    archive = ObjectArchive(folder_store(str(tmp_path / "archive")))
    with pytest.raises(ArchiveError, match=f"{ACCOUNT_MAP_PATH}: the account-to-OU map is not there yet. Materialize"):
        archive_days(open_bill(make_bill(tmp_path, [line(1)])), archive, [DAY])


def published(*days: date) -> list[PublishedDay]:
    """Days as an archive describes them, wherever they are."""
    return [PublishedDay(day, day_path(day), "v1", 1, Decimal(2), "USD", "billed", f"of {day}", 900) for day in days]


# --- the catalog --------------------------------------------------------------------------------------------------


def test_only_registered_days_can_be_queried(archive: ObjectArchive, catalog: SQLiteCatalog) -> None:
    """An object is not a row of the table before its partition is registered."""
    for day in (DAY, NEXT):
        archive.publish(day_rows(("Eng", "EC2", "1", "2"), day=day), FACTS)
    count = "SELECT COUNT(*) FROM finops_db.ou_breakdown"
    assert catalog.query(count)[1] == [(0,)]
    assert catalog.register(published(DAY)) == [DAY]
    assert catalog.query(count)[1] == [(1,)]
    assert catalog.register(published(DAY, NEXT)) == [NEXT], "only the new one is told"
    assert catalog.query(count)[1] == [(2,)]
    assert list(catalog.registered()) == [DAY, NEXT]


def test_a_registered_day_without_its_object_is_found(
    archive: ObjectArchive, catalog: SQLiteCatalog, tmp_path: Path
) -> None:
    """What is read back is what is there: a deleted object has no entry, and does not break other days."""
    for day in (DAY, NEXT):
        archive.publish(day_rows(("Eng", "EC2", "1", "2"), day=day), FACTS)
    assert not registering.register_days(archive, catalog, [DAY, NEXT]).wrong
    (tmp_path / "archive" / day_path(NEXT)).unlink()
    assert list(catalog.read_back([DAY, NEXT])) == [DAY]
    assert catalog.query("SELECT DISTINCT BillingDate FROM ou_breakdown")[1] == [(DAY,)]
    with pytest.raises(ArchiveError, match=r"2025-09-11 not archived. Materialize ou_breakdown_parquet"):
        registering.register_days(archive, catalog, [DAY, NEXT])


def test_an_object_that_was_swapped_is_found(archive: ObjectArchive, catalog: SQLiteCatalog, tmp_path: Path) -> None:
    """Another day's object in a day's place is told by its rows' dates, though its rows are as many."""
    for day in (DAY, NEXT):
        archive.publish(day_rows(("Eng", "EC2", "1", "2"), day=day), FACTS)
    (tmp_path / "archive" / day_path(DAY)).write_bytes((tmp_path / "archive" / day_path(NEXT)).read_bytes())
    assert catalog.register(published(DAY))
    assert catalog.read_back([DAY])[DAY].strays == 1
    assert DAY in registering.register_days(archive, catalog, [DAY]).wrong


def test_a_damaged_object_is_named_by_every_reader(
    archive: ObjectArchive, catalog: SQLiteCatalog, tmp_path: Path
) -> None:
    """Reading back and querying both name the day's file and the command that mends it."""
    for day in (DAY, NEXT):
        archive.publish(day_rows(("Eng", "EC2", "1", "2"), day=day), FACTS)
    catalog.register(published(DAY, NEXT))
    (tmp_path / "archive" / day_path(NEXT)).write_bytes(b"PAR1 garbage PAR1")
    message = r"day=11/ou_breakdown.parquet: is damaged .*finops run --date 2025-09-11"
    with pytest.raises(ArchiveError, match=message):
        catalog.read_back([DAY, NEXT])
    with pytest.raises(ArchiveError, match=message):
        catalog.query("SELECT * FROM ou_breakdown")


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELEC 1", "cannot be parsed|only one SELECT"),
        ("SELECT 'x", "cannot be parsed"),
        ("", "only one SELECT"),
        ("SELECT 1; DROP TABLE ou_breakdown", "only one SELECT"),
        ("DELETE FROM ou_breakdown", "only one SELECT"),
        ("SELECT nothing FROM ou_breakdown", "the query failed: .*nothing"),
        ("SELECT * FROM somewhere", "the query failed: .*somewhere"),
    ],
)
def test_a_query_that_cannot_run_is_refused_in_words(catalog: SQLiteCatalog, sql: str, says: str) -> None:
    """Only one SELECT is run, and what is wrong with it is said."""
    with pytest.raises(FinopsError, match=says):
        catalog.query(sql)


def test_the_map_and_the_summary_can_be_queried(tmp_path: Path, archive: ObjectArchive) -> None:
    """account_ou_map is the published one, and finops_daily_summary the bill seen through it."""
    warehouse = open_bill(make_bill(tmp_path / "bill", [line(3), line(4, account="other")]))
    catalog = SQLiteCatalog(tmp_path / "catalog.sqlite", tmp_path / "archive", warehouse)
    sql = "SELECT ou, SUM(Cost) FROM finops_daily_summary GROUP BY ou ORDER BY ou"
    assert catalog.query(sql)[1] == [("Engineering", 3), ("Unassigned", 4)]
    assert catalog.query("SELECT account_id, ou FROM account_ou_map")[1] == [(ACCOUNT, "Engineering")]
    (tmp_path / "archive" / ACCOUNT_MAP_PATH).unlink()
    assert catalog.query("SELECT * FROM finops_db.account_ou_map")[1] == []


@pytest.mark.parametrize("action", ["registered", "register"])
def test_a_catalog_that_is_none_is_named(tmp_path: Path, action: str) -> None:
    """A file that is no SQLite database, and a folder in its place, are refused in words."""
    (tmp_path / "broken.sqlite").write_bytes(b"this is no database, but long enough to be read as one" * 50)
    (tmp_path / "folder.sqlite").mkdir()
    for name in ("broken.sqlite", "folder.sqlite"):
        catalog = SQLiteCatalog(tmp_path / name, tmp_path)
        with pytest.raises(ArchiveError, match=f"{name}: the catalog cannot be used .*can be deleted"):
            catalog.register(published(DAY)) if action == "register" else catalog.registered()


def test_two_runs_register_at_once(archive: ObjectArchive, catalog: SQLiteCatalog) -> None:
    """Partitions that several runs register at the same time are all there, once."""
    days = [DAY + timedelta(days=i) for i in range(40)]
    wrong: list[Any] = []

    def register(part: list[date]) -> None:
        try:
            for day in part:
                catalog.register(published(day))
        except FinopsError as error:
            wrong.append(error)

    threads = [threading.Thread(target=register, args=(days[i::4],)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert list(catalog.registered()) == days


def test_the_map_that_is_looked_up_is_the_published_one(tmp_path: Path) -> None:
    """The breakdown reads the map from the archive, not from accounts.csv."""
    archive = new_archive(tmp_path, account_map(ou_level="full"))
    assert published_map.read_account_map(archive).equals(account_map())
