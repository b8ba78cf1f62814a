"""Which files of the bill's table Athena reads: the manifests', as on the embedded platform."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from finops_assets.adapters.aws import pinned_files
from finops_assets.adapters.aws.bill_listing import GlueTable
from finops_assets.adapters.aws.doctor.bill import BillChecks
from finops_assets.adapters.aws.glue_tables import GlueTables
from finops_assets.adapters.aws.pinned_files import LONGEST, path_condition
from finops_assets.adapters.aws.session import AwsSession
from finops_assets.adapters.aws.summary_view import FORMER_STATE, STATE
from finops_assets.core.archive.available_days import find_days
from finops_assets.core.bill.layout import LEFTOVER, OLDER
from finops_assets.core.errors import BillError, FinopsError, MissingDaysError
from finops_assets.platform import Platform
from finops_assets_tests.support.bills import DAY, Line, at, line, make_bill, write_data_export, write_json
from finops_assets_tests.support.on_aws import TABLE, platform_on
from standin.bills import glue_columns, setup
from standin.server import StandIn
from standin.statements import PARQUET

BUCKET = "a-bill-bucket"
T1, T2 = "20250911T060000Z-aaaa", "20250912T060000Z-bbbb"
MONTH = "BILLING_PERIOD=2025-09"
OCTOBER = at(DAY + timedelta(days=30))


def catalogue(
    aws: StandIn,
    folder: Path,
    location: str,
    partitions: Mapping[tuple[str, ...], str] | None,
    keys: Iterable[str] = ("billing_period",),
    table: str = TABLE,
) -> None:
    """Upload a folder, and register a table over it.

    Args:
        aws: an empty account, or one with other tables.
        folder: its files become objects of the same names.
        location: the table's folder in the bucket.
        partitions: the folder of each partition by its values; None of a table without partitions.
        keys: of the partitions.
        table: its name.
    """
    if not aws.athena.tables.objects.exists(BUCKET):
        setup(aws)
        aws.client("s3").create_bucket(Bucket=BUCKET)
        aws.client("glue").create_database(DatabaseInput={"Name": "billing"})
    upload(aws, folder)
    storage: dict[str, Any] = {"Location": f"s3://{BUCKET}/{location}", **PARQUET}
    storage["Columns"] = glue_columns(pq.read_schema(next(folder.rglob("*.parquet"))))
    given = {
        "Name": table.split(".")[1],
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"EXTERNAL": "TRUE"},
        "PartitionKeys": [{"Name": key, "Type": "string"} for key in keys if partitions is not None],
        "StorageDescriptor": storage,
    }
    glue = aws.client("glue")
    glue.create_table(DatabaseName="billing", TableInput=given)
    for values, place in (partitions or {}).items():
        own = {"Values": list(values), "StorageDescriptor": storage | {"Location": f"s3://{BUCKET}/{place}"}}
        glue.create_partition(DatabaseName="billing", TableName=given["Name"], PartitionInput=own)


def upload(aws: StandIn, folder: Path) -> None:
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            key = file.relative_to(folder).as_posix()
            aws.client("s3").put_object(Bucket=BUCKET, Key=key, Body=file.read_bytes())


def keep(folder: Path, delivery: str, lines: list[Line], export: str = "x/focus", period: str = "2025-09") -> None:
    """A delivery of an export that keeps its deliveries, with its own manifest."""
    write_data_export(folder / export, lines, version=delivery, period=period, manifest=False)
    named = f"s3://{BUCKET}/{export}/data/BILLING_PERIOD={period}/{delivery}/focus-00001.snappy.parquet"
    path = folder / export / "metadata" / f"BILLING_PERIOD={period}" / delivery / "focus-Manifest.json"
    write_json(path, {"dataFiles": [named]})


def total(platform: Platform, day: date = DAY) -> Decimal:
    return platform.warehouse.source_days(day, day)[day].total


def queries(aws: StandIn, text: str) -> list[str]:
    return [query.sql for query in aws.athena.queries if text in query.sql]


def test_of_kept_deliveries_the_newest_is_read(aws: StandIn, tmp_path: Path) -> None:
    """By day, in the control totals, in the account map and in the view; the older one is named."""
    keep(tmp_path / "bill", T1, [line(3)])
    keep(tmp_path / "bill", T2, [line(5)])
    catalogue(aws, tmp_path / "bill", "x/focus/data/", {("2025-09",): f"x/focus/data/{MONTH}/"})
    platform = platform_on(aws, tmp_path)
    warehouse = platform.warehouse
    assert total(platform) == 5
    assert sum(control.total for control in warehouse.control_totals()) == 5
    assert warehouse.describe().deliveries == {"2025-09": T2}
    version = warehouse.export_version()
    assert [(of.reason, of.files) for of in version.passed_over] == [(OLDER, 1)]
    warehouse.provide_summary()
    assert platform.catalog.query("SELECT SUM(cost) AS t FROM finops_daily_summary")[1] == [(5,)]
    assert all('"$path" IN' in sql for sql in queries(aws, "focus"))


def test_a_new_delivery_is_read_when_its_manifest_is_there(aws: StandIn, tmp_path: Path) -> None:
    """In an open process: the version changes, and with it what is read."""
    keep(tmp_path / "bill", T1, [line(3)])
    catalogue(aws, tmp_path / "bill", "x/focus/data/", {("2025-09",): f"x/focus/data/{MONTH}/"})
    platform = platform_on(aws, tmp_path)
    before = platform.warehouse.export_version().snapshot
    assert total(platform) == 3
    keep(tmp_path / "next", T2, [line(5)])
    upload(aws, tmp_path / "next")
    assert platform.warehouse.export_version().snapshot != before
    assert total(platform) == 5


def test_an_ordinary_export_is_read_without_a_condition(aws: StandIn, tmp_path: Path) -> None:
    """Every file is named by its manifest: nothing is to be left out, and no query is slower."""
    write_data_export(tmp_path / "bill" / "x/focus", [line(5)])
    catalogue(aws, tmp_path / "bill", "x/focus/data", {("2025-09",): f"x/focus/data/{MONTH}"})
    assert total(platform_on(aws, tmp_path)) == 5
    assert not queries(aws, "$path")


def test_a_leftover_beside_the_manifest_is_not_read(aws: StandIn, tmp_path: Path) -> None:
    """A chunk that an overwritten export has left behind."""
    write_data_export(tmp_path / "bill" / "x/focus", [line(5)])
    stray = tmp_path / "bill" / "x/focus/data" / MONTH / "focus-00002.snappy.parquet"
    stray.write_bytes((stray.parent / "focus-00001.snappy.parquet").read_bytes())
    catalogue(aws, tmp_path / "bill", "x/focus/data/", {("2025-09",): f"x/focus/data/{MONTH}/"})
    platform = platform_on(aws, tmp_path)
    assert total(platform) == 5
    [left] = platform.warehouse.export_version().passed_over
    assert (left.reason, left.example) == (LEFTOVER, f"{MONTH}/{stray.name}")


@pytest.mark.parametrize("gone", ["focus-00002.snappy.parquet", "gone/focus-00001.snappy.parquet"])
def test_a_manifest_that_names_a_file_which_is_not_there_is_refused(aws: StandIn, tmp_path: Path, gone: str) -> None:
    """As on the embedded platform: a part of a month is no bill."""
    write_data_export(tmp_path / "bill" / "x/focus", [line(5)])
    name = "focus-00001.snappy.parquet"
    keys = [f"s3://{BUCKET}/x/focus/data/{MONTH}/{each}" for each in (name, gone)]
    write_json(tmp_path / "bill/x/focus/metadata" / MONTH / "focus-Manifest.json", {"dataFiles": keys})
    catalogue(aws, tmp_path / "bill", "x/focus/data/", {("2025-09",): f"x/focus/data/{MONTH}/"})
    with pytest.raises(BillError, match=rf"1 data file.* of 2025-09 that are not there, first {keys[1]}") as refused:
        total(platform_on(aws, tmp_path))
    assert refused.value.where == f"s3://{BUCKET}/x/focus/metadata/{MONTH}/focus-Manifest.json"


def test_a_legacy_report_for_athena_is_read_by_its_manifest(aws: StandIn, tmp_path: Path) -> None:
    """Its manifests lie beside the folder of its data, and name it `year=2025/month=9`."""
    data = tmp_path / "bill/cur/hourly/hourly/year=2025/month=9"
    write_data_export(tmp_path / "made", [line(5)])
    [made] = (tmp_path / "made").rglob("*.parquet")
    data.mkdir(parents=True)
    for name in ("hourly-00001.snappy.parquet", "hourly-00002.snappy.parquet"):
        (data / name).write_bytes(made.read_bytes())
    write_json(
        tmp_path / "bill/cur/hourly/20250901-20251001/hourly-Manifest.json",
        {"assemblyId": "f00d", "reportKeys": ["cur/hourly/hourly/year=2025/month=9/hourly-00001.snappy.parquet"]},
    )
    place = "cur/hourly/hourly/year=2025/month=9/"
    catalogue(aws, tmp_path / "bill", "cur/hourly/hourly/", {("2025", "9"): place}, ("year", "month"))
    platform = platform_on(aws, tmp_path)
    assert total(platform) == 5
    assert platform.warehouse.describe().deliveries == {"2025-09": "f00d"}


def two_exports(folder: Path, *payers: str | None) -> None:
    for number, payer in enumerate(payers):
        lines = [line(5 + number, extra={"BillingAccountId": payer} if payer else {})]
        write_data_export(folder / "x" / f"export-{number}", lines)


def crawled(aws: StandIn, folder: Path) -> None:
    """A crawler's table over a folder with several exports."""
    places = {(f"export-{n}", "data", "2025-09"): f"x/export-{n}/data/{MONTH}/" for n in (0, 1)}
    catalogue(aws, folder, "x/", places, ("partition_0", "partition_1", "billing_period"))


def test_a_crawlers_table_over_two_exports_of_a_month_is_refused(aws: StandIn, tmp_path: Path) -> None:
    """The charges are in both."""
    two_exports(tmp_path / "bill", None, None)
    crawled(aws, tmp_path / "bill")
    with pytest.raises(BillError, match=r"2 exports, x/export-0 and x/export-1: charges of 2025-09.*twice"):
        total(platform_on(aws, tmp_path))


def test_a_table_over_the_exports_of_two_payers_is_one_bill(aws: StandIn, tmp_path: Path) -> None:
    """Athena tells which payer each file is of."""
    two_exports(tmp_path / "bill", "111111111111", "222222222222")
    crawled(aws, tmp_path / "bill")
    assert total(platform_on(aws, tmp_path)) == 11


def test_an_export_beside_that_of_the_table_is_not_asked_after(aws: StandIn, tmp_path: Path) -> None:
    """No partition reads it: it is another table's."""
    two_exports(tmp_path / "bill", None, None)
    catalogue(aws, tmp_path / "bill", "x/", {("2025-09",): f"x/export-1/data/{MONTH}/"})
    platform = platform_on(aws, tmp_path)
    assert total(platform) == 6
    assert platform.warehouse.export_version().unregistered == {}


def test_a_month_without_a_partition_is_named_with_the_statement_that_mends_it(aws: StandIn, tmp_path: Path) -> None:
    """In the version of the bill and in the error of a run; the statement, run as it is printed, mends it."""
    write_data_export(tmp_path / "bill" / "x/focus", [line(5)])
    write_data_export(tmp_path / "bill" / "x/focus", [line(7, start=OCTOBER)], period="2025-10")
    catalogue(aws, tmp_path / "bill", "x/focus/data/", {("2025-09",): f"x/focus/data/{MONTH}/"})
    platform = platform_on(aws, tmp_path)
    before = platform.warehouse.export_version()
    assert list(before.unregistered) == ["2025-10"]
    assert total(platform) == 5
    with pytest.raises(MissingDaysError, match="ALTER TABLE") as missing:
        find_days(platform.warehouse, [OCTOBER.date()], OCTOBER.replace(tzinfo=UTC) + timedelta(days=2))
    assert "Athena" in missing.value.fix
    session = AwsSession(region="us-east-1", endpoint_url=aws.url)
    findings = BillChecks(
        TABLE,
        session,
        warehouse=platform.warehouse,
        tables=GlueTables(session, "finops-daily-summaries"),
        athena=None,
        clock=lambda: datetime.now(UTC),
    ).check()
    assert [(f.state, "ALTER TABLE" in f.detail) for f in findings if f.name == "bill's partitions"] == [("fail", True)]
    gaps = platform.inspector.thorough(OCTOBER.replace(tzinfo=UTC) + timedelta(days=2)).gaps
    [gap] = [gap for gap in gaps if gap.first <= OCTOBER.date() <= gap.last]
    assert (gap.cause, gap.first) == ("source not registered", date(2025, 10, 1))
    assert "ALTER TABLE" in gap.detail
    statement = re.search(r"ALTER TABLE .*$", before.unregistered["2025-10"])
    assert statement, before.unregistered
    athena = aws.client("athena")
    athena.start_query_execution(QueryString=statement[0], WorkGroup="finops")
    aws.athena.queries[-1].stopped.wait(0.5)
    fresh = platform_on(aws, tmp_path)
    assert total(fresh, OCTOBER.date()) == 7
    after = fresh.warehouse.export_version()
    assert (after.unregistered, after.snapshot != before.snapshot) == ({}, True)


PROJECTION = {"projection.enabled": "true"}


@pytest.mark.parametrize(
    ("key", "kind", "range_", "read"),
    [
        ("billing_period", "date", "2023-01,NOW", True),
        ("billing_period", "date", "NOW-20YEARS,NOW+1MONTHS", True),
        ("billing_period", "date", "2023-01,2025-09", False),
        ("billing_period", "date", "2025-11-01,NOW", False),
        ("billing_period", "date", "2025-10-01,NOW", True),
        ("billing_period", "enum", "2025-09,2025-10", True),
        ("billing_period", "enum", "2025-08,2025-09", False),
        ("year", "integer", "2020,2024", False),
        ("year", "integer", "2020,2030", True),
        ("billing_period", "injected", "", True),
    ],
)
def test_a_month_beyond_the_projection_is_known(key: str, kind: str, range_: str, read: bool) -> None:
    """A range that ends, and one that begins later; what cannot be told is taken for read."""
    name = "values" if kind == "enum" else "range"
    parameters = PROJECTION | {f"projection.{key}.type": kind, f"projection.{key}.{name}": range_}
    table = GlueTable("db.t", {"Parameters": parameters, "PartitionKeys": [{"Name": key}]})
    path = "x/year=2025/month=10/a" if key == "year" else "x/BILLING_PERIOD=2025-10/a"
    assert table.unprojected_key(path) == ("" if read else key)


def test_a_partition_that_reads_an_older_delivery_is_refused(aws: StandIn, tmp_path: Path) -> None:
    """Its place is a delivery's folder, and a newer one is there: the statement that moves it is named."""
    keep(tmp_path / "bill", T1, [line(3)])
    keep(tmp_path / "bill", T2, [line(5)])
    catalogue(aws, tmp_path / "bill", "x/focus/data/", {("2025-09",): f"x/focus/data/{MONTH}/{T1}/"})
    with pytest.raises(BillError, match=rf"ALTER TABLE .* SET LOCATION .*{T2}"):
        total(platform_on(aws, tmp_path))


@pytest.mark.parametrize("other", [f"{MONTH}/", f"{MONTH}/{T1}"])
def test_a_file_that_two_partitions_read_is_refused(aws: StandIn, tmp_path: Path, other: str) -> None:
    """As `2025-9` beside `2025-09`, or a folder within another's: Athena counts its lines twice."""
    keep(tmp_path / "bill", T1, [line(3)])
    places = {("2025-09",): f"x/focus/data/{MONTH}/", ("2025-9",): f"x/focus/data/{other}"}
    catalogue(aws, tmp_path / "bill", "x/focus/data/", places)
    with pytest.raises(BillError, match=r"2 partitions, .* count twice.*DROP PARTITION"):
        total(platform_on(aws, tmp_path))


def test_a_delta_lake_under_a_plain_table_is_refused(aws: StandIn, tmp_path: Path) -> None:
    """Its log decides which files count, and Athena would read all."""
    write_data_export(tmp_path / "bill" / "x/focus", [line(5)])
    write_json(tmp_path / "bill" / "x/focus/data/_delta_log/00000000000000000000.json", {})
    catalogue(aws, tmp_path / "bill", "x/focus/data/", None)
    with pytest.raises(BillError, match="Delta Lake"):
        total(platform_on(aws, tmp_path))


# --- a view as bill.table -----------------------------------------------------------------------------------------


def view(aws: StandIn, sql: str, name: str = "billing.theirs") -> None:
    athena = aws.client("athena")
    athena.start_query_execution(QueryString=f"CREATE OR REPLACE VIEW {name} AS {sql}", WorkGroup="finops")
    query = aws.athena.queries[-1]
    for _ in range(200):
        if query.state in ("SUCCEEDED", "FAILED"):
            break
        query.stopped.wait(0.02)
    assert query.state == "SUCCEEDED", query.reason


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM billing.focus",
        "SELECT f.* FROM billing.focus f WHERE f.billedcost > 0",
        "WITH focus AS (SELECT * FROM billing.focus) SELECT focus.* FROM focus",
        "SELECT * FROM billing.focus UNION ALL SELECT * FROM billing.focus WHERE focus.billedcost < 0",
        "SELECT * FROM billing.focus WHERE \"$path\" LIKE '%parquet'",
    ],
)
def test_a_view_is_read_through_the_files_of_its_tables(aws: StandIn, tmp_path: Path, sql: str) -> None:
    """Of its table's kept deliveries the newest counts, and a new one is seen."""
    keep(tmp_path / "bill", T1, [line(3)])
    keep(tmp_path / "bill", T2, [line(5)])
    catalogue(aws, tmp_path / "bill", "x/focus/data/", {("2025-09",): f"x/focus/data/{MONTH}/"})
    view(aws, sql)
    platform = platform_on(aws, tmp_path, bill__table="billing.theirs")
    assert total(platform) == 5
    before = platform.warehouse.export_version()
    assert (platform.warehouse.describe().files, before.updated is None) == (1, False)
    keep(tmp_path / "next", "20250913T060000Z-cccc", [line(6)])
    upload(aws, tmp_path / "next")
    assert platform.warehouse.export_version().snapshot != before.snapshot
    assert total(platform) == 6


def test_a_view_of_another_engine_is_refused(aws: StandIn, tmp_path: Path) -> None:
    """Which tables it reads cannot be told, so that its changes could not be seen."""
    write_data_export(tmp_path / "bill" / "x/focus", [line(5)])
    catalogue(aws, tmp_path / "bill", "x/focus/data/", {("2025-09",): f"x/focus/data/{MONTH}/"})
    glue = aws.client("glue")
    columns = glue.get_table(DatabaseName="billing", Name="focus")["Table"]["StorageDescriptor"]["Columns"]
    given = {
        "Name": "theirs",
        "TableType": "VIRTUAL_VIEW",
        "ViewOriginalText": "SELECT * FROM focus",
        "StorageDescriptor": {"Columns": columns, "Location": ""},
    }
    glue.create_table(DatabaseName="billing", TableInput=given)
    with pytest.raises(FinopsError, match="not made in Athena") as refused:
        total(platform_on(aws, tmp_path, bill__table="billing.theirs"))
    assert refused.value.where == "billing.theirs (bill.table)"


# --- finops_daily_summary -----------------------------------------------------------------------------------------

SUMMARY = "finops_db.finops_daily_summary"


def made(aws: StandIn) -> int:
    return len(queries(aws, f"CREATE OR REPLACE VIEW {SUMMARY} AS\n"))


@pytest.fixture
def ready(aws: StandIn, tmp_path: Path) -> Callable[[], Platform]:
    """An ordinary bill, and a new process on it each time."""
    write_data_export(tmp_path / "bill" / "x/focus", [line(5)])
    catalogue(aws, tmp_path / "bill", "x/focus/data/", {("2025-09",): f"x/focus/data/{MONTH}/"})
    return lambda: platform_on(aws, tmp_path)


def test_the_summary_is_made_once(aws: StandIn, ready: Callable[[], Platform]) -> None:
    """Another process knows it again; one that somebody has dropped is made anew."""
    ready().warehouse.provide_summary()
    assert ready().warehouse.provide_summary() == f"{SUMMARY}, a view over {TABLE}"
    assert made(aws) == 1
    aws.client("glue").delete_table(DatabaseName="finops_db", Name="finops_daily_summary")
    ready().warehouse.provide_summary()
    assert made(aws) == 2


@pytest.mark.parametrize("before", [True, False])
def test_somebody_elses_view_is_never_replaced(aws: StandIn, ready: Callable[[], Platform], before: bool) -> None:
    """Whether it was there before the first run, or was made in place of the platform's."""
    platform = ready()
    if before:
        aws.client("glue").create_database(DatabaseInput={"Name": "finops_db"})
    else:
        platform.warehouse.provide_summary()
    view(aws, "SELECT 'theirs' AS whose", SUMMARY)
    platform.warehouse.provide_summary()
    assert "the view that was there before" in ready().warehouse.provide_summary()
    assert made(aws) == (0 if before else 1)
    text = aws.athena.tables.lookup("finops_db", "finops_daily_summary")
    assert text
    assert text.view == "SELECT 'theirs' AS whose"


def test_somebody_elses_view_can_be_the_bill(aws: StandIn, tmp_path: Path) -> None:
    """It is read through its table, and stays as it is."""
    make_bill(tmp_path / "bill/daily", [line(5)], "summary")
    catalogue(aws, tmp_path / "bill", "daily/", None, table="billing.daily")
    aws.client("glue").create_database(DatabaseInput={"Name": "finops_db"})
    view(aws, "SELECT billingdate, ou, service, linkedaccount, cost * 2 AS cost FROM billing.daily", SUMMARY)
    platform = platform_on(aws, tmp_path, bill__table=SUMMARY, bill__currency="USD")
    assert total(platform) == 10
    assert platform.warehouse.describe().files == 1
    assert platform.warehouse.provide_summary() == f"{SUMMARY}, the table that was there before"
    assert made(aws) == 0


@pytest.mark.parametrize("state", ["former release", "killed"])
def test_a_view_is_known_again_by_what_it_reads(aws: StandIn, ready: Callable[[], Platform], state: str) -> None:
    """An earlier release has kept the statement alone; so has a run that was killed behind it."""
    platform = ready()
    platform.warehouse.provide_summary()
    kept = json.loads(platform.archive.get(STATE) or b"")
    if state == "killed":
        platform.archive.put(STATE, json.dumps({**kept, "stored": ""}).encode())
    else:
        platform.archive.delete([STATE])
        platform.archive.put(FORMER_STATE, f"CREATE OR REPLACE VIEW {SUMMARY} AS\n{kept['select']}".encode())
    assert ready().warehouse.provide_summary() == f"{SUMMARY}, a view over {TABLE}"
    assert (made(aws), json.loads(platform.archive.get(STATE) or b"")) == (2, kept)
    view(aws, "SELECT 'theirs' AS whose", SUMMARY)
    assert "the view that was there before" in ready().warehouse.provide_summary()


# --- the condition ------------------------------------------------------------------------------------------------


def names(folders: Iterable[str], files: int) -> list[str]:
    folder = "s3://a-bucket-of-a-common-length/exports/focus/data/BILLING_PERIOD=2025-09"
    return [f"{folder}/{each}/focus-{n:05d}.snappy.parquet" for each in folders for n in range(files)]


def test_many_files_are_chosen_by_ranges_of_their_folder() -> None:
    """Of 40 kept deliveries with 300 files the newest is one range: no file of another folder is in it."""
    folders = [f"202509{day:02d}T060000Z-{day:04d}" for day in range(1, 41)]
    paths = names(folders, 300)
    chosen = names(folders[-1:], 300)
    condition = path_condition(paths, chosen, "t")
    assert condition == f"\"$path\" BETWEEN '{chosen[0]}' AND '{chosen[-1]}'"


def test_a_leftover_among_many_files_is_left_out_by_two_ranges() -> None:
    """Those before it, and those after it."""
    paths = names(["d"], 500)
    condition = path_condition(paths, paths[:250] + paths[251:], "t")
    assert condition.count("BETWEEN") == 2
    assert [paths[number] in condition for number in (249, 250, 251)] == [True, False, True]


def test_a_condition_stays_within_a_query() -> None:
    """Every second of 3,000 files: without the part that all share; of 30,000 it is refused."""
    paths = names(["d"], 3_000)
    condition = path_condition(paths, paths[::2], "t")
    assert len(condition) < LONGEST
    assert condition.startswith('substr("$path", ')
    paths = names(["d"], 30_000)
    with pytest.raises(BillError, match="15000 of its 30000 files"):
        path_condition(paths, paths[::2], "t")


def test_names_cannot_leave_the_condition() -> None:
    """A quote in a key stays in the literal."""
    assert path_condition(["s3://b/it's", "s3://b/x"], ["s3://b/it's"], "t") == "\"$path\" IN ('s3://b/it''s')"


def test_many_files_are_read_by_ranges(aws: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two deliveries the newest counts, by a range of its folder, as Athena compares text."""
    monkeypatch.setattr(pinned_files, "NAMED", 100)
    write_data_export(tmp_path / "made", [line(1)])
    [made] = (tmp_path / "made").rglob("*.parquet")
    for delivery in (T1, T2):
        folder = tmp_path / "bill/x/focus/data" / MONTH / delivery
        folder.mkdir(parents=True)
        for number in range(4):
            (folder / f"focus-{number:05d}.snappy.parquet").write_bytes(made.read_bytes())
        named = [f"s3://{BUCKET}/x/focus/data/{MONTH}/{delivery}/{each.name}" for each in sorted(folder.iterdir())]
        write_json(tmp_path / "bill/x/focus/metadata" / MONTH / delivery / "m-Manifest.json", {"dataFiles": named})
    catalogue(aws, tmp_path / "bill", "x/focus/data/", {("2025-09",): f"x/focus/data/{MONTH}/"})
    assert total(platform_on(aws, tmp_path)) == 4
    assert queries(aws, '"$path" BETWEEN')
