"""What was lost comes back: a day's earlier versions, and what Dagster knew of the days, on real homes and buckets."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from obstore.store import LocalStore

from finops_assets.adapters.aws.s3 import open_archive
from finops_assets.adapters.aws.session import AwsSession
from finops_assets.adapters.shared.archive import ObjectArchive, folder_store
from finops_assets.cli.main import main
from finops_assets.core.archive import restatements
from finops_assets.core.archive.proof import FOOTER_PREFIX
from finops_assets.core.archive.recovery import restore_day
from finops_assets.core.errors import ArchiveError, FinopsError, SettingsError
from finops_assets.core.schemas import OU_BREAKDOWN, day_path
from finops_assets.defs.event_log import BatchingSqliteEventLogStorage
from finops_assets.defs.instance import BATCH_SIZE
from finops_assets.defs.keys import DAILY, MAP
from finops_assets.defs.observe import observe
from finops_assets.defs.run import run_days
from finops_assets.platform import Platform, build_platform
from finops_assets.settings.load import load_settings
from finops_assets_tests.adapters.test_contracts import FACTS, day_rows
from finops_assets_tests.support.bills import DAY, at, line, make_bill, new_archive
from finops_assets_tests.support.on_aws import BUCKET, make_ready, on_aws, platform_on
from standin.server import StandIn

DAYS = [DAY + timedelta(days=n) for n in range(3)]
LAST = DAYS[-1]
NOW = datetime(2025, 9, 20, 12, tzinfo=UTC)
KEPT = "_versions/ou-breakdowns/year=2025/month=09/day=10"


def bill_of(folder: Path, cost: str) -> Path:
    """Three days of which the last costs this and a dollar."""
    return make_bill(folder, [line(1, start=at(day)) for day in DAYS] + [line(cost, start=at(LAST), service="S3")])


def settings_of(folder: Path) -> dict[str, str]:
    return {
        "FINOPS_HOME": str(folder / "home"),
        "FINOPS_BILL__PATH": str(folder / "bill"),
        "FINOPS_BILL__FIRST_DAY": str(DAY),
    }


WITHOUT_MAIL = ("finops_daily_summary", "ou_breakdown_parquet", "athena_partition", "quicksight_dataset")


def run(platform: Platform, first: date, last: date | None = None, assets: Sequence[str] = ()) -> None:
    seven = datetime.combine(last or first, datetime.min.time(), UTC) + timedelta(days=1, hours=7)
    assert run_days(platform, first, last or first, assets=assets, clock=lambda: seven).errors == ()


def dashboard_total(platform: Platform, day: date) -> Decimal:
    return platform.preflight.shown().totals[day]


def queried_total(platform: Platform, day: date) -> Decimal:
    sql = f"SELECT SUM(CAST(dailycost AS DECIMAL(38, 12))) FROM ou_breakdown WHERE billingdate = DATE '{day}'"
    return platform.catalog.query(sql)[1][0][0]


def everywhere(platform: Platform, day: date) -> set[Decimal]:
    """The day's total in the archive, by a query, and on the dashboard: one number, if they agree."""
    found = (platform.archive.describe(day).total, queried_total(platform, day), dashboard_total(platform, day))
    return {total.normalize() for total in found}


def materialized(home: Path) -> dict[str, set[str]]:
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        found = {name: set(instance.get_materialized_partitions(dg.AssetKey(name))) for name in DAILY}
        return found | {MAP: {str(instance.get_latest_materialization_event(dg.AssetKey(MAP)) is not None)}}


def newest(home: Path, name: str, day: date) -> dict[str, Any]:
    """The metadata of an asset's newest materialization of that day."""
    wanted = dg.AssetRecordsFilter(dg.AssetKey(name), asset_partitions=[str(day)])
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        (record,) = instance.fetch_materializations(wanted, limit=1).records
    return {name: found.value for name, found in record.asset_materialization.metadata.items()}


@pytest.fixture(scope="module")
def restated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a home after a backfill of three days, and a run of the last one with a changed bill."""
    folder = tmp_path_factory.mktemp("restated")
    bill_of(folder / "bill", "1.25")
    platform = build_platform(load_settings(settings_of(folder), folder=folder))
    run(platform, DAY, LAST)
    bill_of(folder / "bill", "7.75")
    run(platform, LAST, assets=WITHOUT_MAIL)
    return folder


@pytest.fixture
def own(restated: Path, tmp_path: Path) -> Path:
    """A copy of it that the test may change."""
    folder = tmp_path / "own"
    shutil.copytree(restated, folder)
    # Dagster writes its folder's place into its own file.
    shutil.rmtree(folder / "home" / "dagster")
    return folder


def platform_of(folder: Path) -> Platform:
    return build_platform(load_settings(settings_of(folder), folder=folder))


def finops(*arguments: str, **settings: str) -> Result:
    """The command in this process, which has loaded what takes most of its time."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        return CliRunner().invoke(main, arguments, env=settings)
    finally:
        signal.signal(signal.SIGTERM, handler)


# --- a day's versions -----------------------------------------------------------------------------------------------


def test_what_is_replaced_is_kept_beside_the_table(tmp_path: Path) -> None:
    """The same bytes below _versions/, once however often they come back, from the time when they were written."""
    archive, folder = new_archive(tmp_path), tmp_path / "archive"
    first, second = day_rows(DAY, "1.25"), day_rows(DAY, "2")
    archive.publish(first, FACTS)
    assert not (folder / "_versions").exists(), "a first writing replaces nothing"
    data, written = (folder / day_path(DAY)).read_bytes(), datetime(2025, 9, 11, 7, tzinfo=UTC)
    os.utime(folder / day_path(DAY), (written.timestamp(),) * 2)
    for rows in (second, second, first, second):
        archive.publish(rows, FACTS)
    kept = {file.read_bytes() for file in (folder / KEPT).iterdir()}
    assert len(list((folder / KEPT).iterdir())) == 2
    assert data in kept
    assert [(v.current, v.metadata["total"]) for v in archive.versions(DAY)] == [(True, "2"), (False, "1.25")]
    assert archive.versions(DAY)[1].written == written
    assert archive.days() == [DAY]


class Failing:
    """A store that is killed before it writes a day's object."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put(self, path: str, *args: Any, **how: Any) -> Any:
        if path == day_path(DAY):
            raise KeyboardInterrupt
        return self._store.put(path, *args, **how)


def test_killed_before_the_new_object_the_old_one_is_there(tmp_path: Path) -> None:
    """The day is readable as it was, and listed once; a retry publishes the new one and has both."""
    archive = new_archive(tmp_path)
    old = archive.publish(day_rows(DAY, "1.25"), FACTS)
    killed = ObjectArchive(Failing(folder_store(str(tmp_path / "archive"))))
    with pytest.raises(KeyboardInterrupt):
        killed.publish(day_rows(DAY, "2"), FACTS)
    assert archive.describe(DAY) == replace(old, changed=True)
    assert [(v.id, v.current) for v in archive.versions(DAY)] == [(old.version, True)]
    new = archive.publish(day_rows(DAY, "2"), FACTS)
    assert [v.id for v in archive.versions(DAY)] == [new.version, old.version]


def test_a_damaged_day_is_mended_and_kept(tmp_path: Path) -> None:
    """Running a damaged day writes it anew; what was damaged stays as a version that says nothing of itself."""
    archive = new_archive(tmp_path)
    archive.publish(day_rows(DAY, "1.25"), FACTS)
    file = tmp_path / "archive" / day_path(DAY)
    file.write_bytes(file.read_bytes()[:-40])
    assert archive.publish(day_rows(DAY, "1.25"), FACTS).changed
    assert archive.describe(DAY).total == Decimal("1.25")
    assert [dict(version.metadata) == {} for version in archive.versions(DAY)] == [False, True]


def written(table: pa.Table, **said: str) -> bytes:
    """A day's object as another tool may leave it."""
    facts = {"day": str(DAY), "rows": "1", "total": "1.25", "unassigned": "0", "fingerprint": "x", **FACTS, **said}
    sink = pa.BufferOutputStream()
    said = {FOOTER_PREFIX + name: value for name, value in facts.items()}
    pq.write_table(table.replace_schema_metadata(said), sink)
    return sink.getvalue().to_pybytes()


ROWS = day_rows(DAY, "1.25").rows
NULLS = ROWS.set_column(1, OU_BREAKDOWN.field(1), pa.array([None], pa.string()))
WRONG: list[tuple[str, bytes, str]] = [
    ("another day's", written(day_rows(LAST, "1.25").rows, day=str(LAST)), f"is of {LAST}, and is not restored"),
    ("rows of another day", written(day_rows(LAST, "1.25").rows), f"has rows of {LAST}"),
    ("not a Parquet file", b"PAR1 and no more", "is damaged"),
    ("somebody else's", written(ROWS.select(["ou"]), fingerprint="")[:-1] + b"!", "is damaged"),
    ("cut off inside", written(ROWS)[:4] + b"\0" * 40 + written(ROWS)[44:], "is damaged"),
    ("another schema", written(ROWS.drop_columns(["ou"])), "has the columns billingdate date32"),
    ("another total", written(ROWS, total="1.26"), "sum to 1.250000000000, and it says 1.26"),
    ("rows are missing", written(ROWS, rows="2"), "has 1 rows, and says 2"),
    ("no row", written(ROWS.slice(0, 0), rows="0", total="0"), "has no row, and does not say that the bill has none"),
    ("nulls", written(NULLS), "nulls in ou"),
    ("no number", written(ROWS.set_column(4, OU_BREAKDOWN.field(4), pa.array([float("nan")]))), "is damaged"),
]


@pytest.mark.parametrize(("name", "data", "says"), WRONG, ids=[case[0] for case in WRONG])
def test_what_is_no_whole_day_is_not_restored(tmp_path: Path, name: str, data: bytes, says: str) -> None:
    """A version that is damaged, of another day, or not what it says is refused by name, and nothing is changed."""
    archive = new_archive(tmp_path)
    archive.put(day_path(DAY), data)
    (wrong,) = archive.versions(DAY)
    (tmp_path / "archive" / day_path(DAY)).rename(tmp_path / "object")
    good = archive.publish(day_rows(DAY, "2"), FACTS)
    kept = tmp_path / "archive" / KEPT / f"{wrong.id}.parquet"
    kept.parent.mkdir(parents=True)
    (tmp_path / "object").rename(kept)
    with pytest.raises(ArchiveError, match=f"finops restore {DAY}") as error:
        restore_day(archive, DAY, wrong.id, NOW)
    assert says in str(error.value), name
    assert archive.describe(DAY).version == good.version


def test_a_kept_version_that_rotted_is_refused(tmp_path: Path) -> None:
    """Bytes that are no longer those that were kept are found, although they are a Parquet file with a right sum."""
    archive = new_archive(tmp_path)
    old = archive.publish(day_rows(DAY, "1.25"), FACTS)
    archive.publish(day_rows(DAY, "2"), FACTS)
    kept = tmp_path / "archive" / KEPT / f"{old.version}.parquet"
    kept.write_bytes(written(ROWS))
    assert archive.versions(DAY)[1].metadata == {}
    with pytest.raises(ArchiveError, match="is not what was kept"):
        restore_day(archive, DAY, old.version, NOW)


@pytest.mark.parametrize("version", ["0123456789abcdef", "", "../../account-ou-map/account_ou_map", "1.25"])
def test_an_unknown_version_is_an_error_that_says_how_to_see_them(tmp_path: Path, version: str) -> None:
    """Whatever is asked for, nothing outside of the day's versions is read."""
    archive = new_archive(tmp_path)
    archive.publish(day_rows(DAY, "1.25"), FACTS)
    with pytest.raises(ArchiveError, match=rf"has no version {version}. `finops restore {DAY}` lists"):
        restore_day(archive, DAY, version, NOW)


# --- finops restore -------------------------------------------------------------------------------------------------


def test_an_old_version_is_brought_back_everywhere_and_nothing_is_mailed(own: Path) -> None:
    """Archive, query and dashboard show the old total; the UI too; no mail; again changes nothing; a run ends it."""
    platform, settings = platform_of(own), settings_of(own)
    mails = {file.name: file.read_bytes() for file in platform.settings.outbox_folder.iterdir()}
    assert everywhere(platform, LAST) == {Decimal("8.75")}

    listed = json.loads(finops("restore", str(LAST), "--json", **settings).stdout)
    assert [(v["current"], v["total"], v["rows"], v["settlement"]) for v in listed] == [
        (True, "8.75", "2", "provisional"),
        (False, "2.25", "2", "provisional"),
    ]
    table = finops("restore", str(LAST), **settings).stdout.splitlines()
    assert [line.split()[0] for line in table] == ["version", listed[0]["version"], listed[1]["version"]]
    assert table[0].split()[-3:] == ["total", "settlement", "current"]

    old = listed[1]["version"]
    done = finops("restore", str(LAST), "--version", old, **settings)
    assert done.exit_code == 0, done.stderr
    assert f"{LAST} restored from version {old}, 2.25 USD (billed). Nothing was mailed." in done.stdout
    assert f"held as it is until someone runs it by name: `finops run --date {LAST}`." in done.stdout
    assert everywhere(platform, LAST) == {Decimal("2.25")}
    there = platform.archive.describe(LAST)
    assert there.metadata["restored_from"] == old
    assert datetime.fromisoformat(there.metadata["restored_at"]).tzinfo
    assert {v.id for v in platform.archive.versions(LAST)} == {there.version, *(v["version"] for v in listed)}
    ledger = restatements.read(platform.archive, [LAST]).column("sourceexport").to_pylist()
    assert ledger.count(f"version {old}") == 1, "a change of the day goes into the ledger, whoever made it"
    shown = newest(own / "home", "ou_breakdown_parquet", LAST)
    assert (shown["version"], shown["total"], shown["restored from version"]) == (there.version, 2.25, old)

    runs = len(list((own / "home" / "dagster" / "history" / "runs").iterdir()))
    again = finops("restore", str(LAST), "--version", old, "--json", **settings)
    assert json.loads(again.stdout) | {"version": ""} == {
        "succeeded": True,
        "day": str(LAST),
        "changed": False,
        "held": True,
        "rows": 2,
        "total": "2.25",
        "currency": "USD",
        "version": "",
    }
    assert "unchanged" in finops("restore", str(LAST), "--version", there.version, **settings).stdout
    assert platform.archive.describe(LAST) == there
    assert len(list((own / "home" / "dagster" / "history" / "runs").iterdir())) == runs, "no run was made"
    assert {file.name: file.read_bytes() for file in platform.settings.outbox_folder.iterdir()} == mails

    run(platform, LAST, assets=WITHOUT_MAIL)
    assert everywhere(platform, LAST) == {Decimal("8.75")}
    assert "restored_from" not in platform.archive.describe(LAST).metadata


def test_a_restore_that_was_interrupted_is_finished_by_the_same_command(own: Path) -> None:
    """Killed once the object was written, the dashboard is behind; the command again refreshes it."""
    platform, settings = platform_of(own), settings_of(own)
    old = platform.archive.versions(LAST)[1].id
    assert restore_day(platform.archive, LAST, old, datetime.now(UTC)).changed
    assert everywhere(platform, LAST) == {Decimal("2.25"), Decimal("8.75")}
    done = finops("restore", str(LAST), "--version", old, **settings)
    assert (done.exit_code, "unchanged" in done.stdout) == (0, True), done.stderr
    assert everywhere(platform, LAST) == {Decimal("2.25")}


def test_a_restored_day_that_is_run_is_held_no_longer(tmp_path: Path) -> None:
    """Even where the bill says what was restored: the object is written anew, without the mark."""
    archive = new_archive(tmp_path)
    first = archive.publish(day_rows(DAY, "1.25"), FACTS)
    archive.publish(day_rows(DAY, "2"), FACTS)
    assert restore_day(archive, DAY, first.version, NOW).metadata["restored_from"] == first.version
    assert archive.publish(day_rows(DAY, "1.25"), FACTS).changed
    assert "restored_from" not in archive.describe(DAY).metadata


def test_the_command_refuses_what_is_not_there(restated: Path) -> None:
    """A day that was never archived, a version that is none: exit code 1, and what to do."""
    settings = settings_of(restated)
    never = finops("restore", "2025-09-20", **settings)
    assert (never.exit_code, "was never archived" in never.stderr) == (1, True)
    unknown = finops("restore", str(LAST), "--version", "beef", **settings)
    assert (unknown.exit_code, f"`finops restore {LAST}` lists those it has" in unknown.stderr) == (1, True)


# --- finops observe -------------------------------------------------------------------------------------------------


def test_dagster_knows_again_what_is_there(restated: Path, tmp_path: Path) -> None:
    """Without DAGSTER_HOME, the same partitions are materialized as before, with their figures; again reports none."""
    folder = tmp_path / "lost"
    before = materialized(restated / "home")
    assert all(before.values())
    shutil.copytree(restated, folder)
    shutil.rmtree(folder / "home" / "dagster")
    done = json.loads(finops("observe", "--json", **settings_of(folder)).stdout)
    assert done["reported"] == {MAP: 1, **dict.fromkeys(DAILY, 3)}
    assert materialized(folder / "home") == before
    there = platform_of(folder).archive.describe(LAST)
    shown = newest(folder / "home", "ou_breakdown_parquet", LAST)
    assert shown["observed"] == "rebuilt from the archive"
    assert (shown["total"], shown["dagster/partition_row_count"], shown["currency"]) == (8.75, 2, "USD")
    assert (shown["version"], shown["fingerprint"], shown["path"]) == (
        there.version,
        there.fingerprint[:16],
        day_path(LAST),
    )
    assert newest(folder / "home", "finops_daily_summary", LAST)["source total"] == "8.75"
    assert newest(folder / "home", "athena_partition", LAST)["location"].endswith("day=12/")
    again = finops("observe", **settings_of(folder))
    assert again.exit_code == 0, again.stderr
    assert [line.split()[1:] for line in again.stdout.splitlines()[1:]] == [["1", "0"], *[["3", "0"]] * 7]


def test_only_what_is_there_is_reported(own: Path) -> None:
    """A day that is not registered, not shown or not mailed is not materialized there; a damaged one is named."""
    platform = platform_of(own)
    with sqlite3.connect(own / "home" / "catalog.sqlite") as catalog:
        catalog.execute("DELETE FROM partitions WHERE day = ?", (DAYS[0].day,))
    platform.archive.publish(day_rows(DAYS[1], "5"), FACTS)  # the dashboard still shows 1
    (own / "home" / "archive" / day_path(LAST)).write_bytes(b"PAR1")
    for note in (own / "home" / "archive" / "digests").rglob("sent.json"):
        note.unlink()
    done = observe(platform)
    assert [str(day) for day in done.unreadable] == [str(LAST)]
    assert done.reported == {
        MAP: 1,
        "finops_daily_summary": 2,
        "ou_breakdown_parquet": 2,
        "athena_partition": 1,
        "ou_scorecard": 3,
        "executive_snapshot": 1,
        "quicksight_dataset": 1,
        "digest_email": 0,
    }
    assert materialized(own / "home")["quicksight_dataset"] == {str(DAYS[0])}


def test_a_year_is_observed_in_few_transactions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One by one they would be 1,095, each with its wait for the disk; what is known is not recorded again."""
    bill_of(tmp_path / "bill", "1")
    settings = settings_of(tmp_path) | {"FINOPS_BILL__FIRST_DAY": "2020-01-01"}
    platform = build_platform(load_settings(settings, folder=tmp_path))
    days = [date(2022, 1, 1) + timedelta(days=n) for n in range(365)]
    platform.catalog.register([platform.archive.publish(day_rows(day, "1.25"), FACTS) for day in days])
    batches: list[int] = []
    store = BatchingSqliteEventLogStorage.store_event_batch

    def counted(self: BatchingSqliteEventLogStorage, events: Sequence[Any]) -> None:
        batches.append(len(events))
        store(self, events)

    monkeypatch.setattr(BatchingSqliteEventLogStorage, "store_event_batch", counted)
    done = observe(platform)
    assert (done.reported["ou_breakdown_parquet"], done.reported["athena_partition"]) == (365, 365)
    assert sum(batches) == sum(done.reported.values()) == 3 * 365
    assert len(batches) == -(-3 * 365 // BATCH_SIZE)
    batches.clear()
    assert not any(observe(platform).reported.values())
    assert batches == []


# --- on AWS ---------------------------------------------------------------------------------------------------------


def test_a_version_of_the_bucket_is_brought_back(aws: StandIn, tmp_path: Path) -> None:
    """Over HTTP: S3's own versions, one restored with its partition and SPICE, no mail; a deleted day can be, too."""
    make_ready(aws, bill_of(tmp_path / "bill", "1").parent)
    platform = platform_on(aws, tmp_path, bill__first_day=DAY)
    for costs in (("1", "1.25"), ("1", "7.75")):
        platform.archive.publish(day_rows(LAST, *costs), FACTS)
    run(platform, LAST, assets=("athena_partition", "quicksight_dataset"))
    ingestions = len(aws.quicksight.ingestions)
    new, old = platform.archive.versions(LAST)
    assert (new.current, new.metadata["total"], old.current, old.metadata["total"]) == (True, "8.75", False, "2.25")
    assert new.id == platform.archive.describe(LAST).version

    settings = on_aws(aws, tmp_path, bill__first_day=DAY)
    done = finops("restore", str(LAST), "--version", old.id, **settings)
    assert done.exit_code == 0, done.stderr
    there = platform.archive.describe(LAST)
    assert (there.total, there.metadata["restored_from"]) == (Decimal("2.25"), old.id)
    assert queried_total(platform, LAST) == there.total
    (partition,) = aws.client("glue").get_partitions(DatabaseName="finops_db", TableName="ou_breakdown")["Partitions"]
    assert partition["Parameters"]["finops.version"] == there.version
    assert (aws.mail.sent, len(aws.quicksight.ingestions)) == ([], ingestions + 1)

    aws.client("s3").delete_object(Bucket=BUCKET, Key=day_path(LAST))
    assert not any(version.current for version in platform.archive.versions(LAST))
    assert restore_day(platform.archive, LAST, new.id, NOW).total == Decimal("8.75")
    with pytest.raises(ArchiveError, match="has no version of-nothing"):
        restore_day(platform.archive, LAST, "of-nothing", NOW)


def test_a_bucket_without_versioning_says_so(aws: StandIn, session: AwsSession) -> None:
    """What was replaced there is gone: the error names the bucket and the command that keeps what comes."""
    aws.client("s3").create_bucket(Bucket="plain")
    archive = open_archive(session, "plain")
    archive.publish(day_rows(DAY, "1.25"), FACTS)
    with pytest.raises(SettingsError, match=r"plain keeps no versions.*put-bucket-versioning --bucket plain"):
        restore_day(archive, DAY, "null", NOW)


def test_a_bucket_that_may_not_be_listed_names_the_permission(aws: StandIn, session: AwsSession) -> None:
    """The action and the resource that the policy lacks."""
    aws.client("s3").create_bucket(Bucket="closed")
    aws.client("s3").put_bucket_versioning(Bucket="closed", VersioningConfiguration={"Status": "Enabled"})
    aws.faults.fail("s3", "ListObjectVersions", code="AccessDenied", message="Access Denied", status=403)
    with pytest.raises(FinopsError, match="Allow s3:ListBucketVersions on arn:aws:s3:::closed"):
        open_archive(session, "closed").versions(DAY)
