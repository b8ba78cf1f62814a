"""What a role promises, held against every adapter that fills it: the embedded one, AWS's on the stand-in, a fake."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from obstore.store import MemoryStore

from finops_assets.adapters.aws.mailer import SESMailer
from finops_assets.adapters.aws.session import AwsSession
from finops_assets.adapters.local.catalog import SQLiteCatalog
from finops_assets.adapters.local.dashboard import DashboardFile
from finops_assets.adapters.local.mailer import EmlOutbox
from finops_assets.adapters.shared.archive import ObjectArchive, folder_store
from finops_assets.adapters.shared.dashboard_page import DASHBOARD_PATH, DashboardPage
from finops_assets.adapters.shared.smtp import SMTPMailer
from finops_assets.core.accounts.account_map import to_parquet
from finops_assets.core.archive import registering
from finops_assets.core.archive.breakdown import fingerprint
from finops_assets.core.errors import FinopsError
from finops_assets.core.ports import Archive, Catalog, DashboardData, Mailer
from finops_assets.core.schemas import ACCOUNT_MAP_PATH, MONEY, OU_BREAKDOWN, day_location, day_path
from finops_assets.core.values import CatalogDay, DayRows, PublishedDay, QueryResult, Refresh
from finops_assets_tests.support.bills import (
    ACCOUNT,
    DAY,
    FORMATS,
    account_map,
    at,
    days_with_charges,
    line,
    make_bill,
    open_bill,
)
from finops_assets_tests.support.on_aws import BUCKET, make_ready, platform_on
from standin.bills import load_bill
from standin.server import StandIn

NEXT = DAY + timedelta(days=1)
FACTS = {
    "currency": "USD",
    "cost_basis": "billed",
    "source_lines": "2",
    "source_total": "3",
    "scheduled": "0",
    "by_category": "{}",
    "left_out": "[]",
    "settlement": "provisional",
    "run_id": "a-run",
    "bill_format": "focus",
}


@pytest.fixture
def aws(aws: StandIn, tmp_path: Path) -> StandIn:
    make_ready(aws, make_bill(tmp_path / "nothing", [line(1)]).parent)
    return aws


def day_rows(day: date, *costs: str) -> DayRows:
    """A day of one OU, a service a cost."""
    table = pa.table(
        {
            "billingdate": pa.array([day] * len(costs), pa.date32()),
            "ou": ["Engineering"] * len(costs),
            "service": [f"Service {n}" for n in range(len(costs))],
            "linkedaccount": [ACCOUNT] * len(costs),
            "dailycost": [float(cost) for cost in costs],
            "cost": pa.array([Decimal(cost) for cost in costs], MONEY),
        }
    )
    return DayRows(day, table.select(OU_BREAKDOWN.names), sum(map(Decimal, costs)), Decimal(), fingerprint(table))


# --- the archive --------------------------------------------------------------------------------------------------


@pytest.fixture(params=["folder", "S3", "memory"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Archive:
    if request.param == "S3":
        return platform_on(request.getfixturevalue("aws"), tmp_path).archive
    store = MemoryStore() if request.param == "memory" else folder_store(str(tmp_path / "archive"))
    return ObjectArchive(store)


def test_an_object_is_what_was_put(archive: Archive) -> None:
    """Bytes come back as they were; what is not there is None; a listing is sorted and of its prefix alone."""
    for path in ("a/2", "a/1", "b/1"):
        assert archive.put(path, path.encode())
    assert archive.get("a/2") == b"a/2"
    assert archive.get("a/3") is None
    assert archive.list("a/") == ["a/1", "a/2"]
    assert archive.list("c/") == []


def test_an_object_is_created_once(archive: Archive) -> None:
    """Of two that create the same object, one is told that it did not; nothing is overwritten."""
    assert archive.create("once", b"first")
    assert not archive.create("once", b"second")
    assert archive.get("once") == b"first"


def test_deleting_can_be_repeated(archive: Archive) -> None:
    """What is not there is no error."""
    archive.put("a/1", b"")
    archive.delete(["a/1", "a/2"])
    archive.delete(["a/1"])
    archive.delete([])
    assert archive.list("a/") == []


def test_a_day_is_published_once_and_described(archive: Archive) -> None:
    """The same day again changes nothing; another total makes another version; rows come back with exact costs."""
    first = archive.publish(day_rows(DAY, "1.25", "1.75"), FACTS)
    assert (first.changed, first.path, first.rows, first.total) == (True, day_path(DAY), 2, Decimal(3))
    again = archive.publish(day_rows(DAY, "1.25", "1.75"), {**FACTS, "run_id": "another"})
    assert (again.changed, again.version) == (False, first.version)
    other = archive.publish(day_rows(DAY, "1.25", "2"), {**FACTS, "source_total": "3.25"})
    assert other.changed
    assert other.version != first.version
    assert archive.describe(DAY).version == other.version
    assert archive.describe(NEXT) is None
    assert archive.days() == [DAY]
    assert archive.read([DAY]).column("cost").to_pylist() == [Decimal("1.25"), Decimal(2)]


def test_what_was_replaced_can_be_read(archive: Archive) -> None:
    """Each version with its bytes and what it says of itself, newest first, one of them current; others are errors."""
    assert archive.versions(DAY) == []
    first = archive.publish(day_rows(DAY, "1.25", "1.75"), FACTS)
    data = archive.get(day_path(DAY))
    second = archive.publish(day_rows(DAY, "4"), {**FACTS, "run_id": "another"})
    archive.publish(day_rows(NEXT, "5"), FACTS)
    new, old = archive.versions(DAY)
    assert (new.id, new.current, old.id, old.current) == (second.version, True, first.version, False)
    assert (new.metadata, old.metadata) == (second.metadata, first.metadata)
    assert (old.size_bytes, len(data)) == (first.size_bytes, first.size_bytes)
    assert old.written <= new.written
    assert all(abs(datetime.now(UTC) - version.written) < timedelta(minutes=5) for version in (old, new))
    assert archive.read_version(DAY, old.id) == data
    assert archive.read_version(DAY, new.id) == archive.get(day_path(DAY))
    for day, version in ((NEXT, old.id), (DAY, "of-nothing")):
        with pytest.raises(FinopsError, match=f"has no version {version}"):
            archive.read_version(day, version)


def test_days_are_read_beside_each_other(archive: Archive) -> None:
    """The dashboard and the digest read at the same moment."""
    archive.publish(day_rows(DAY, "1.25", "1.75"), FACTS)
    with ThreadPoolExecutor(4) as readers:
        found = list(readers.map(archive.read, [[DAY]] * 40))
    assert {sum(table.column("cost").to_pylist()) for table in found} == {Decimal(3)}


@pytest.mark.parametrize("archive", ["folder", "S3"], indirect=True)
def test_a_link_leads_to_the_object(archive: Archive) -> None:
    """A file's path, or a URL that needs no credentials."""
    archive.put("digests/x.csv", b"the CSV")
    link = archive.link("digests/x.csv", valid=timedelta(days=1))
    if "://" in link:
        assert urllib.request.urlopen(link).read() == b"the CSV"
    else:
        assert Path(link).read_bytes() == b"the CSV"


# --- the catalog --------------------------------------------------------------------------------------------------


class FakeCatalog:
    """Partitions in a dictionary, read from the archive."""

    def __init__(self, archive: Archive) -> None:
        self._archive, self._known = archive, {}

    def register(self, days: Iterable[PublishedDay]) -> list[date]:
        new = [there.day for there in days if there.day not in self._known]
        self._known |= {day: day_location(day) for day in new}
        return new

    def registered(self) -> dict[date, str]:
        return dict(self._known)

    def read_back(self, days: Sequence[date]) -> dict[date, CatalogDay]:
        there = {d: self._archive.describe(d) for d in days if d in self._known}
        return {d: CatalogDay(d, self._known[d], f.rows, f.total, 0) for d, f in there.items() if f}

    @contextmanager
    def stream(self, sql: str) -> Iterator[QueryResult]:
        from finops_assets.adapters.shared.statements import refuse_all_but_select

        refuse_all_but_select(sql)
        rows = sum(self._archive.describe(day).rows for day in self._known)
        yield QueryResult(["n"], iter([[(rows,)]]))

    def query(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        with self.stream(sql) as result:
            return list(result.columns), result.all_rows()


@pytest.fixture(params=["SQLite", "Glue", "fake"])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Archive, Catalog]:
    if request.param == "Glue":
        platform = platform_on(request.getfixturevalue("aws"), tmp_path)
        return platform.archive, platform.catalog
    archive = ObjectArchive(folder_store(str(tmp_path / "archive")))
    if request.param == "fake":
        return archive, FakeCatalog(archive)
    return archive, SQLiteCatalog(tmp_path / "catalog.sqlite", tmp_path / "archive")


def test_a_day_is_registered_at_its_place_and_read_back(places: tuple[Archive, Catalog]) -> None:
    """New days are told, old ones are not; a reader gets the archive's rows and total, to the twelfth decimal."""
    archive, catalog = places
    assert catalog.registered() == {}
    there = [archive.publish(day_rows(day, "1.25", "1.75"), FACTS) for day in (DAY, NEXT)]
    assert catalog.register(there[:1]) == [DAY]
    assert catalog.register(there) == [NEXT]
    assert catalog.register(there) == []
    assert list(catalog.registered()) == [DAY, NEXT]
    assert all(location.endswith(day_location(day)) for day, location in catalog.registered().items())
    read = catalog.read_back([DAY, NEXT])
    assert {day: (found.rows, found.total, found.strays, found.objects) for day, found in read.items()} == {
        DAY: (2, Decimal(3), 0, 1),
        NEXT: (2, Decimal(3), 0, 1),
    }
    assert not registering.register_days(archive, catalog, [DAY, NEXT]).wrong


def test_a_day_whose_object_is_gone_is_not_read(places: tuple[Archive, Catalog]) -> None:
    """A registration without an object has no entry, and breaks no other day."""
    archive, catalog = places
    catalog.register([archive.publish(day_rows(day, "1"), FACTS) for day in (DAY, NEXT)])
    archive.delete([day_path(DAY)])
    assert list(catalog.read_back([DAY, NEXT])) == [NEXT]


def test_people_may_ask_one_select(places: tuple[Archive, Catalog]) -> None:
    """A query over the registered days; anything that writes is refused before an engine sees it."""
    archive, catalog = places
    catalog.register([archive.publish(day_rows(DAY, "1", "2"), FACTS)])
    with catalog.stream("SELECT COUNT(*) AS n FROM ou_breakdown") as result:
        assert (list(result.columns), [list(rows) for rows in result.batches]) == (["n"], [[(2,)]])
    assert catalog.query("SELECT COUNT(*) AS n FROM ou_breakdown") == (["n"], [(2,)])
    with pytest.raises(FinopsError, match="only one SELECT"):
        catalog.query("DROP TABLE ou_breakdown")


# --- the warehouse ------------------------------------------------------------------------------------------------

LINES = [
    line("0.1", start=at(DAY, 23, 59, 59), service="Amazon S3"),
    line("0.2", account="444455556666"),
    line("12345.678901234567", start=at(DAY, 5)),
    line("-3.5", category="Credit"),
    line("7", category="Tax", length=timedelta(days=30)),
    line("2.25", start=at(NEXT)),
    line("1.5", service=None),
    line("0"),
]


@pytest.fixture(params=["DuckDB", "Athena"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Any]:
    """Opens the warehouse over some lines as a bill of a format."""

    def open_(lines: list, fmt: str) -> Any:
        bill = make_bill(tmp_path / fmt, lines, fmt)
        if request.param == "DuckDB":
            return open_bill(bill)
        aws = request.getfixturevalue("aws")
        load_bill(aws, bill.parent, table=f"billing.{fmt}_bill", bucket=f"bill-{fmt}")
        currency = {"bill__currency": "USD"} if fmt == "summary" else {}
        return platform_on(aws, tmp_path, bill__table=f"billing.{fmt}_bill", **currency).warehouse

    return open_


@pytest.mark.parametrize("fmt", FORMATS)
def test_the_bill_is_the_same_through_every_engine(opened: Callable[..., Any], fmt: str) -> None:
    """Days, totals by category, rows in order, exact costs: what the lines say, whoever sums them."""
    warehouse = opened(LINES, fmt)
    assert warehouse.describe().format == fmt
    assert days_with_charges(warehouse) == [DAY, NEXT]
    days = warehouse.source_days(DAY, NEXT)
    assert sorted(days) == [DAY, NEXT]
    assert days[DAY].lines == 7
    assert days[DAY].total == Decimal("12350.978901234567")
    if fmt != "summary":
        assert days[DAY].by_category == {"Credit": Decimal("-3.5"), "Tax": 7, "Usage": Decimal("12347.478901234567")}
        assert days[DAY].scheduled == Decimal("3.5")
    assert warehouse.source_days(NEXT + timedelta(days=1), NEXT + timedelta(days=2)) == {}
    ou_map = account_map()
    rows = [row for batch in warehouse.breakdown(DAY, NEXT, ou_map) for row in batch.to_pylist()]
    keys = [(row["billingdate"], row["ou"], row["service"], row["linkedaccount"]) for row in rows]
    assert keys == sorted(keys)
    assert sum(row["cost"] for row in rows) == Decimal("12353.228901234567")
    if fmt != "summary":
        assert {row["ou"] for row in rows if row["linkedaccount"] == "444455556666"} == {"Unassigned"}
        accounts = {row["account_id"] for row in warehouse.accounts().to_pylist()}
        assert accounts == {ACCOUNT, "444455556666"}
    assert warehouse.provide_summary().startswith("finops_db.finops_daily_summary")


# --- the dashboard's data -----------------------------------------------------------------------------------------


class FakeDashboard:
    """Shows what is archived."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def start_refresh(self, refresh_id: str) -> Callable[[], None]:
        return lambda: None

    def refresh(self, refresh_id: str) -> Refresh:
        days = self._archive.days()
        found = [self._archive.describe(day) for day in days]
        return Refresh(refresh_id, "nowhere", sum(f.rows for f in found), days[-1], sum(f.total for f in found))


@pytest.fixture(params=["a file", "an object", "QuickSight", "fake"])
def shown(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Archive, Catalog, DashboardData]:
    how = {"days": 400, "max_cells": 100_000}
    if request.param in ("QuickSight", "an object"):
        platform = platform_on(request.getfixturevalue("aws"), tmp_path)
        write = partial(platform.archive.put, DASHBOARD_PATH)
        page = DashboardPage(platform.archive, write, f"s3://{BUCKET}/{DASHBOARD_PATH}", **how)
        return platform.archive, platform.catalog, platform.dashboard if request.param == "QuickSight" else page
    archive = ObjectArchive(folder_store(str(tmp_path / "archive")))
    page = FakeDashboard(archive) if request.param == "fake" else DashboardFile(archive, tmp_path / "d.html", **how)
    return archive, SQLiteCatalog(tmp_path / "catalog.sqlite", tmp_path / "archive"), page


def test_a_refreshed_dashboard_holds_the_archive(shown: tuple[Archive, Catalog, DashboardData]) -> None:
    """Rows and newest day are the archive's, after the first day, after the second, and when it is repeated."""
    archive, catalog, dashboard = shown
    archive.put(ACCOUNT_MAP_PATH, to_parquet(account_map()))
    for n, day in enumerate((DAY, NEXT, NEXT), 1):
        catalog.register([archive.publish(day_rows(day, "1.25", "1.75"), FACTS)])
        done = dashboard.refresh(f"daily-{day:%Y%m%d}")
        assert (done.rows, done.newest_day) == (2 * min(n, 2), day)
        assert registering.dashboard_fault(done, archive, 400) == ""
        assert done.location


# --- the mailer ---------------------------------------------------------------------------------------------------


@pytest.fixture(params=["files", "SMTP", "SES"])
def mailer(request: pytest.FixtureRequest, tmp_path: Path) -> Mailer:
    if request.param == "SES":
        return SESMailer(AwsSession(region="us-east-1", endpoint_url=request.getfixturevalue("aws").url))
    if request.param == "SMTP":
        return SMTPMailer("nobody.invalid", bounces=tmp_path / "bounces")
    return EmlOutbox(tmp_path / "outbox", tmp_path / "bounces")


def test_nobody_is_refused_who_never_had_mail(mailer: Mailer) -> None:
    """A fresh recipient, none at all, one with capitals; no server but SES has to be there to tell."""
    assert mailer.refused([]) == {}
    assert mailer.refused(["fresh@example.com", "Fresh@Example.com"]) == {}
