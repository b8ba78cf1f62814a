"""A month's evidence: made by real Dagster runs, verified, changed, damaged, cut short, and in cold storage."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import random
import shlex
import shutil
import subprocess
import zipfile
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from finops_assets.adapters.shared.archive import ObjectArchive, folder_store
from finops_assets.cli import common
from finops_assets.cli import main as cli
from finops_assets.core.archive.breakdown import fingerprint
from finops_assets.core.archive.settlement import closes, settlement
from finops_assets.core.errors import ArchiveError, ColdObjectError, DamagedError, FinopsError
from finops_assets.core.operations import evidence
from finops_assets.core.operations.evidence import AskedBill, Evidence
from finops_assets.core.schemas import ACCOUNT_MAP_PATH, MONEY, OU_BREAKDOWN, day_path
from finops_assets.core.values import DayPrint, DayRows
from finops_assets.defs.build import build_definitions
from finops_assets.defs.keys import EVIDENCE as ASSET
from finops_assets.defs.keys import EVIDENCE_JOB as JOB
from finops_assets.defs.keys import IS_WHOLE
from finops_assets.defs.run import make_evidence, run_days
from finops_assets.platform import Platform, build_platform
from finops_assets.settings.load import load_settings
from finops_assets.stories.sample_bill import write_sample_bill
from finops_assets_tests.support.bills import ACCOUNT, line, make_bill, new_archive
from finops_assets_tests.support.on_aws import BUCKET, make_ready, on_aws, platform_on
from standin.server import StandIn

MONTH, DAYS, AUGUST = "2025-09", [date(2025, 9, 1), date(2025, 9, 2)], date(2025, 8, 31)
NOW = datetime(2025, 10, 16, 9, tzinfo=UTC)
DIGEST = f"digests/{DAYS[-1]}/r1/digest.html"
V1, V2, V3 = (f"evidence/bundles/{MONTH}/evidence-{MONTH}-v{n}.zip" for n in (1, 2, 3))


def settled(day: date) -> str:
    return settlement(closed=day < date(2025, 10, 1))


def make(
    archive: Any, month: str = MONTH, now: datetime = NOW, of_bill: Mapping[date, str] | None = None
) -> tuple[Evidence, bool]:
    """Bundle a month over a bill that is as the archive, but for the totals that are given."""
    there = {day: archive.describe(day) for day in archive.days()}
    prints = {day: DayPrint(of.fingerprint, of.total, of.rows) for day, of in there.items()}
    prints |= {day: DayPrint("other", Decimal(total), 1) for day, total in (of_bill or {}).items()}
    return evidence.make(archive, month, now, settled, AskedBill(prints, "an-export"))


def members(archive: ObjectArchive, there: Evidence) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive.get(there.bundle))) as bundle:
        return {name: bundle.read(name) for name in bundle.namelist()}


def table(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """A home with the last day of August and the first two of September, then one run of both months' evidence."""
    folder = tmp_path_factory.mktemp("home")
    sample = write_sample_bill(folder / "bill", DAYS[-1], 3)
    (folder / "finops.toml").write_text(
        f"home = '{folder / 'home'}'\n[bill]\npath = '{sample.focus}'\nfirst_day = {AUGUST}\n"
        f"[accounts]\npath = '{sample.accounts}'\n"
    )
    platform = build_platform(load_settings({}, folder=folder))
    assert run_days(platform, AUGUST, DAYS[-1], clock=lambda: datetime(2025, 9, 3, 7, tzinfo=UTC)).errors == ()
    for file in sample.focus.rglob("*.*"):  # an export of the morning on which both months are closed
        os.utime(file, 2 * ((NOW - timedelta(hours=3)).timestamp(),))
    platform.archive.put(f"incidents/closed/{MONTH}/one.json", b'{"kind": "source_late"}')
    months = {ASSET_PARTITION_RANGE_START_TAG: "2025-08", ASSET_PARTITION_RANGE_END_TAG: MONTH}
    with dg.DagsterInstance.get() as instance:
        job = build_definitions(platform, clock=lambda: NOW).resolve_job_def(JOB)
        assert job.execute_in_process(instance=instance, tags=months).success
    return platform


@pytest.fixture
def archive(filled: Platform, tmp_path: Path) -> ObjectArchive:
    """A copy of that home's archive, for the test to change."""
    shutil.copytree(filled.settings.archive_folder, tmp_path / "archive")
    return ObjectArchive(folder_store(str(tmp_path / "archive")))


def finops(platform: Platform, *arguments: str) -> Result:
    environ = {"FINOPS_SETTINGS": str(platform.settings.home.parent / "finops.toml")}
    return CliRunner().invoke(cli.main, ["evidence", *arguments], env=environ)


# --- what is made -------------------------------------------------------------------------------------------------


def test_the_index_says_what_the_month_was(filled: Platform) -> None:
    """One run of two months: exact total, currency, basis, settlement, missing days, and every file with its hash."""
    there = evidence.read(filled.archive, MONTH)
    described = [filled.archive.describe(day) for day in DAYS]
    assert Decimal(there.total) == sum(day.total for day in described)
    assert (there.currency, there.cost_basis, there.settlement) == ("USD", "billed", {"closed": 2})
    assert there.days_missing == tuple(f"2025-09-{n:02d}" for n in range(3, 31))
    assert (there.days_archived, there.version, there.bundle, there.before) == (2, 1, V1, ())
    assert there.made_at == "2025-10-16T09:00:00+00:00"
    data = filled.archive.get(V1)
    assert (there.sha256, there.size) == (hashlib.sha256(data).hexdigest(), len(data))
    contents = members(filled.archive, there)
    assert {m.name: (m.sha256, m.size) for m in there.members} == {
        name: (hashlib.sha256(data).hexdigest(), len(data)) for name, data in contents.items()
    }
    assert evidence.read(filled.archive, "2025-08").days_archived == 1


def test_a_bundle_holds_all_that_was_said_of_the_month(filled: Platform) -> None:
    """Each digest with CSV, manifest and receipt, the days it covers, the account map, the incidents: as they are."""
    contents = members(filled.archive, evidence.read(filled.archive, MONTH))
    live = filled.archive.list(f"digests/{DAYS[-1]}/")
    assert {DIGEST, f"digests/{DAYS[-1]}/r1/manifest.json"} < set(live)
    assert any("/receipts/" in path for path in live)
    live += [f"digests/_covered/{AUGUST}_{DAYS[0]}_by_{DAYS[1]}_r1.json", f"incidents/closed/{MONTH}/one.json"]
    live += [ACCOUNT_MAP_PATH]
    assert set(contents) == {*live, "days.csv", "README.txt", "SHA256SUMS"}
    assert all(contents[path] == filled.archive.get(path) for path in live)
    with zipfile.ZipFile(io.BytesIO(filled.archive.get(V1))) as bundle:
        assert all(entry.compress_type == zipfile.ZIP_DEFLATED for entry in bundle.infolist())


def test_days_csv_is_the_reconciliation(filled: Platform) -> None:
    """A row a day of the month: what is archived, the bill's own total, whether both are the same; gaps say no."""
    rows = table(members(filled.archive, evidence.read(filled.archive, MONTH))["days.csv"])
    assert [row["day"] for row in rows] == [f"2025-09-{n:02d}" for n in range(1, 31)]
    assert {row["archived"] for row in rows[2:]} == {"no"}
    for row, day in zip(rows[:2], DAYS, strict=True):
        there = filled.archive.describe(day)
        assert (row["archived"], int(row["rows"]), Decimal(row["total"])) == ("yes", there.rows, there.total)
        assert (row["totals_match"], Decimal(row["source_total"])) == ("yes", there.total)
        assert (row["fingerprint"], row["version"], row["object"]) == (there.fingerprint, there.version, day_path(day))
        assert row["sha256"] == hashlib.sha256(filled.archive.get(day_path(day))).hexdigest()


def test_sha256sum_verifies_the_unpacked_zip(filled: Platform, tmp_path: Path) -> None:
    """By hand, with nothing of ours: sha256sum -c passes, over every file but the list itself."""
    with zipfile.ZipFile(io.BytesIO(filled.archive.get(V1))) as bundle:
        bundle.extractall(tmp_path)
        names = bundle.namelist()
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(done.stdout.splitlines()) == sorted(f"{name}: OK" for name in names if name != "SHA256SUMS")


def test_dagster_shows_it_and_warns_of_missing_days(filled: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each month has its materialization; the check is a warning that names the days, not a failure."""
    monkeypatch.setenv("DAGSTER_HOME", str(filled.settings.dagster_home))
    with dg.DagsterInstance.get() as instance:
        records = instance.fetch_materializations(dg.AssetKey(ASSET), limit=2).records
        check = dg.AssetCheckKey(dg.AssetKey(ASSET), IS_WHOLE)
        (execution,) = instance.event_log_storage.get_asset_check_execution_history(check, limit=1)
    shown = {record.partition_key: record.asset_materialization.metadata for record in records}
    assert set(shown) == {"2025-08", MONTH}
    facts = shown[MONTH]
    assert facts["days missing"].text == "2025-09-03 to 2025-09-30"
    assert (facts["days archived"].value, facts["path"].text, facts["changed by this run"].value) == (2, V1, True)
    evaluation = execution.event.dagster_event.event_specific_data
    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert evaluation.description.startswith("2025-08-01 to 2025-08-30, 2025-09-03 to 2025-09-30: ")


def test_the_schedule_asks_for_the_month_before(filled: Platform) -> None:
    """On the 16th, the first day on which the month before is closed; a month that is not kept is passed over."""
    repository = build_definitions(filled).get_repository_def()
    schedule = repository.get_schedule_def("every_month")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 9 16 * *", "UTC")
    asked = []
    with dg.DagsterInstance.ephemeral() as instance:
        for month in (8, 10):
            tick = datetime(2025, month, 16, 9, tzinfo=UTC)
            context = dg.build_schedule_context(
                instance=instance, scheduled_execution_time=tick, repository_def=repository
            )
            asked.append(schedule.evaluate_tick(context))
    assert (asked[0].run_requests, "2025-07" in asked[0].skip_message) == ([], True)
    assert [request.partition_key for request in asked[1].run_requests] == [MONTH]
    assert all(closes(day, tick) for day in evidence.days_of(MONTH))


# --- made again ---------------------------------------------------------------------------------------------------


def test_the_same_content_is_left_as_it_is(archive: ObjectArchive) -> None:
    """Made again, later: nothing is written, and the index keeps its time."""
    before = {path: archive.get(path) for path in archive.list("")}
    there, changed = make(archive, now=NOW + timedelta(days=3))
    assert (changed, there.made_at) == (False, "2025-10-16T09:00:00+00:00")
    assert {path: archive.get(path) for path in archive.list("")} == before


def test_changed_content_is_the_next_version(archive: ObjectArchive) -> None:
    """The version before stays, byte for byte, and the new index knows it."""
    first = evidence.read(archive, MONTH)
    kept = archive.get(V1)
    archive.put(f"digests/{DAYS[-1]}/r1/resends/somebody-1.json", b"{}")
    there, changed = make(archive)
    assert (changed, there.version, there.bundle, archive.get(V1)) == (True, 2, V2, kept)
    assert there.before == (
        {"version": 1, "bundle": V1, "sha256": first.sha256, "size": first.size, "made_at": first.made_at},
    )
    archive.put(f"digests/{DAYS[-1]}/r1/resends/somebody-2.json", b"{}")
    there, _ = make(archive)
    assert [(each["version"], each["bundle"]) for each in there.before] == [(1, V1), (2, V2)]
    assert evidence.verify(archive, MONTH).fault is None


def test_the_same_objects_make_the_same_bytes(filled: Platform, archive: ObjectArchive, tmp_path: Path) -> None:
    """Elsewhere, written in another order: the bundle is the same to the last bit."""
    other = ObjectArchive(folder_store(str(tmp_path / "other")))
    for path in reversed(archive.list("")):
        if not path.startswith("evidence/"):
            other.put(path, archive.get(path))
    asked = evidence.ask_bill(filled.inspector, MONTH, NOW)
    there, _ = evidence.make(other, MONTH, NOW + timedelta(days=1), settled, asked)
    assert other.get(there.bundle) == archive.get(V1)


class Killed(BaseException):
    """As a process ends that is killed."""


class Dying:
    """An archive whose process is killed before a write that begins so."""

    def __init__(self, archive: ObjectArchive, prefix: str) -> None:
        self._archive, self._prefix = archive, prefix

    def __getattr__(self, name: str) -> Any:
        return getattr(self._archive, name)

    def put(self, path: str, data: bytes) -> str:
        return self._archive.put(self._alive(path), data)

    def create(self, path: str, data: bytes) -> bool:
        return self._archive.create(self._alive(path), data)

    def _alive(self, path: str) -> str:
        if path.startswith(self._prefix):
            raise Killed
        return path


@pytest.mark.parametrize("before", ["evidence/bundles/", "evidence/index/"])
def test_a_killed_run_leaves_the_old_index_valid(archive: ObjectArchive, before: str) -> None:
    """Killed before the bundle or before the index: the old evidence verifies, and the next run ends the work."""
    first = evidence.read(archive, MONTH)
    archive.put(f"digests/{DAYS[-1]}/r1/resends/somebody-1.json", b"{}")
    with pytest.raises(Killed):
        make(Dying(archive, before))
    done = evidence.verify(archive, MONTH)
    assert (done.evidence, done.fault) == (first, None)
    there, changed = make(archive)
    assert (changed, there.bundle) == (True, V2), "the bundle that was left is adopted, as it is the same"
    assert evidence.verify(archive, MONTH).fault is None


def test_what_a_killed_run_left_is_never_overwritten(archive: ObjectArchive) -> None:
    """A bundle without an index, of content that has changed since, is passed over: the number after it is taken."""
    for n in (1, 2):
        archive.put(f"digests/{DAYS[-1]}/r1/resends/somebody-{n}.json", b"{}")
        if n == 1:
            with pytest.raises(Killed):
                make(Dying(archive, "evidence/index/"))
            left = archive.get(V2)
    there, _ = make(archive)
    assert (there.bundle, [each["bundle"] for each in there.before], archive.get(V2)) == (V3, [V1], left)


# --- verified -----------------------------------------------------------------------------------------------------


def test_a_whole_bundle_verifies(filled: Platform) -> None:
    """Exit code 0; for programs the same as JSON; and the list has both months."""
    done = finops(filled, "verify", MONTH)
    assert (done.exit_code, V1 in done.stdout, "The archive is as it was then" in done.stdout) == (0, True, True)
    told = json.loads(finops(filled, "verify", MONTH, "--json").stdout)
    assert (told["verified"], told["damage"], told["since"]) == (True, [], {"changed": [], "new": [], "gone": []})
    listed = json.loads(finops(filled, "list", "--json").stdout)
    assert [(month["month"], month["version"]) for month in listed] == [("2025-08", 1), (MONTH, 1)]
    assert [line.split()[0] for line in finops(filled, "list").stdout.splitlines()] == ["month", "2025-08", MONTH]


def test_a_flipped_byte_anywhere_is_found(archive: ObjectArchive) -> None:
    """In a file, a header or the directory: never an error of another kind, and the bundle is named."""
    whole = archive.get(V1)
    chance = random.Random(9)
    for at in [0, *(chance.randrange(len(whole)) for _ in range(25)), *range(len(whole) - 25, len(whole))]:
        archive.put(V1, whole[:at] + bytes([whole[at] ^ 1 << chance.randrange(8)]) + whole[at + 1 :])
        done = evidence.verify(archive, MONTH)
        assert isinstance(done.fault, DamagedError)
        assert (done.fault.where, bool(done.damage)) == (V1, True)


def test_the_damaged_file_is_named(archive: ObjectArchive) -> None:
    """A digest exchanged within the zip, the bundle's own hash corrected in the index: the file itself is found."""
    there = evidence.read(archive, MONTH)
    contents = members(archive, there) | {DIGEST: b"other words"}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as bundle:
        for name, data in contents.items():
            bundle.writestr(name, data)
        bundle.writestr("extra.txt", "was never in it")
    archive.put(V1, out.getvalue())
    index = json.loads(archive.get(f"evidence/index/{MONTH}.json"))
    index |= {"sha256": hashlib.sha256(out.getvalue()).hexdigest(), "size": len(out.getvalue())}
    archive.put(f"evidence/index/{MONTH}.json", json.dumps(index).encode())
    assert evidence.verify(archive, MONTH).damage == (
        "extra.txt is not in the index",
        f"{DIGEST} is not what the index says",
    )
    member = {m["name"]: m for m in index["members"]}[DIGEST]
    member["sha256"] = hashlib.sha256(b"other words").hexdigest()
    archive.put(f"evidence/index/{MONTH}.json", json.dumps(index).encode())
    assert "SHA256SUMS does not say what the index says" in evidence.verify(archive, MONTH).damage


def test_a_bundle_that_is_gone_is_found_and_made_again(archive: ObjectArchive) -> None:
    """It is an error with what to do; making it again takes another number."""
    archive.delete([V1])
    done = evidence.verify(archive, MONTH)
    assert done.damage == ("it is gone",)
    assert f"`finops evidence make {MONTH}`" in done.fault.fix
    there, changed = make(archive)
    assert (changed, there.bundle, evidence.verify(archive, MONTH).fault) == (True, V2, None)


def test_what_has_changed_since_is_told(archive: ObjectArchive) -> None:
    """A restated day, a new receipt, a lost chart: the bundle is whole, and each object is named."""
    archive.put(day_path(DAYS[0]), archive.get(day_path(DAYS[1])))
    archive.put(f"digests/{DAYS[-1]}/r1/resends/somebody-1.json", b"{}")
    archive.put(day_path(date(2025, 9, 30)), b"late")
    archive.delete([DIGEST])
    done = evidence.verify(archive, MONTH)
    assert (done.fault, done.changed, done.gone) == (None, (day_path(DAYS[0]),), (DIGEST,))
    assert done.new == (f"digests/{DAYS[-1]}/r1/resends/somebody-1.json", day_path(date(2025, 9, 30)))


def test_a_damaged_index_is_an_error_that_says_so(archive: ObjectArchive) -> None:
    """Neither verified nor overwritten."""
    archive.put(f"evidence/index/{MONTH}.json", b'{"month": "2025-09"}')
    for act in (evidence.verify, make):
        with pytest.raises(DamagedError, match=f"evidence/index/{MONTH}.json: is not the index of a month"):
            act(archive, MONTH)


# --- which objects, and what is made of them ----------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> ObjectArchive:
    """An archive of one day in a month, with nothing else in it but the account map."""
    archive = new_archive(tmp_path)
    publish(archive, date(2025, 9, 10), "3")
    return archive


def publish(archive: ObjectArchive, day: date, cost: str, **facts: str) -> None:
    """A day of one row."""
    costs = {"dailycost": [float(cost)], "cost": pa.array([Decimal(cost)], MONEY)}
    rows = pa.table({"billingdate": [day], "ou": ["Prod"], "service": ["S3"], "linkedaccount": [ACCOUNT], **costs})
    known = {"currency": "USD", "cost_basis": "billed", "source_total": cost, "settlement": "closed", **facts}
    archive.publish(DayRows(day, rows.select(OU_BREAKDOWN.names), Decimal(cost), Decimal(), fingerprint(rows)), known)


def test_only_the_months_own_objects_are_in_it(small: ObjectArchive) -> None:
    """Spans that touch the month are in, those beside it are not; nor are the days next to it."""
    of_it = [
        "digests/_covered/2025-08-30_2025-09-01_by_2025-09-02_r1.json",
        "digests/_covered/2025-09-30_2025-10-02_by_2025-10-03_r1.json",
        "digests/_covered/2025-01-01_2025-12-31_by_2026-01-01_r1.json",
        "digests/2025-09-01/r1/digest.html",
        "digests/2025-09-30/r2/executive_snapshot.pdf",
        "digests/2025-09-30/r2/editions/0123456789abcdef/digest.html",
        "digests/2025-09-30/r2/receipts/0a1b.0123456789abcdef.json",
        "incidents/closed/2025-09/20250910T070000-source_late-2025-09-09.json",
    ]
    others = [
        "digests/_covered/2025-08-01_2025-08-31_by_2025-09-01_r1.json",
        "digests/_covered/2025-10-01_2025-10-02_by_2025-10-03_r1.json",
        "digests/2025-08-31/r1/digest.html",
        "digests/2025-10-01/r1/digest.html",
        "restatements/2025-10-01_a_b.parquet",
        "incidents/open/source_late/2025-09-09.json",
        "incidents/closed/2025-10/one.json",
    ]
    for path in of_it + others:
        small.put(path, path.encode())
    there, _ = make(small)
    generated = {"days.csv", "README.txt", "SHA256SUMS", ACCOUNT_MAP_PATH}
    assert {member.name for member in there.members} - generated == set(of_it)


def test_restatements_are_a_csv_that_runs_no_formula(small: ObjectArchive) -> None:
    """The ledger's objects as they are, and all their columns in one CSV; a damaged one is named, none is lost."""
    rows = {
        "a": {"ou": ["=1+1", "Prod"], "delta": pa.array([Decimal("-1.50"), None], pa.decimal128(38, 12))},
        "b": {"ou": ["Dev"], "seen": [datetime(2025, 9, 12, 7)]},  # noqa: DTZ001
    }
    for name, columns in rows.items():
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table(columns), sink)
        small.put(f"restatements/2025-09-10_{name}_x.parquet", sink.getvalue().to_pybytes())
    small.put("restatements/2025-09-11_y_z.parquet", b"no Parquet")
    found = members(small, make(small)[0])
    assert found["restatements/2025-09-11_y_z.parquet"] == b"no Parquet"
    object_ = "restatements/2025-09-10_{}_x.parquet"
    assert table(found["restatements.csv"]) == [
        {"ou": "'=1+1", "delta": "-1.5", "object": object_.format("a"), "seen": ""},
        {"ou": "Prod", "delta": "", "object": object_.format("a"), "seen": ""},
        {"ou": "Dev", "delta": "", "object": object_.format("b"), "seen": "2025-09-12 07:00:00"},
        {"ou": "", "delta": "", "object": "restatements/2025-09-11_y_z.parquet (cannot be read)", "seen": ""},
    ]


def test_days_of_two_bases_have_no_total(small: ObjectArchive) -> None:
    """Sums of unlike things are not made; the days are named, as are days whose total is not the bill's."""
    publish(small, date(2025, 9, 11), "5", cost_basis="effective")
    publish(small, date(2025, 9, 12), "5")
    there, _ = make(small, of_bill={date(2025, 9, 12): "6"})
    assert (there.total, there.currency, there.cost_basis) == (None, "USD", "billed, effective")
    assert "other days of the month are not" in there.faults[date(2025, 9, 11)]
    assert there.faults[date(2025, 9, 12)] == "its total is 5, the bill's 6"
    assert b"no total" in members(small, there)["README.txt"]


# --- what cannot be made ------------------------------------------------------------------------------------------


def test_a_month_must_be_over_and_have_days(small: ObjectArchive) -> None:
    """To the end of its last day (UTC) it is refused, and so is one without an archived day; nothing is written."""
    for now, month, what in (
        (datetime(2025, 9, 30, 23, 59, tzinfo=UTC), MONTH, "2025-09: the month is not over yet"),
        (NOW, "2025-08", "2025-08: no day of it is archived. `finops backfill 2025-08-01 2025-08-31` archives them"),
    ):
        with pytest.raises(FinopsError, match=what):
            make(small, month, now)
    assert small.list("evidence/") == []
    assert make(small, now=datetime(2025, 10, 1, tzinfo=UTC))[1]


def test_the_command_makes_it_in_the_uis_instance(filled: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Dagster run, which here finds everything as it was; a failed one says why and exits with 1."""
    done = finops(filled, "make", MONTH, "--json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["succeeded"], told["changed"]) == (0, True, False), done.output
    assert told["evidence"]["bundle"] == V1
    assert told["evidence"]["members"][0]["name"] == "README.txt"
    monkeypatch.setattr(common, "now", lambda: datetime(2025, 11, 30, 23, 59, tzinfo=UTC))
    for month, code, what in (
        ("2025-10", 1, "2025-10: no day of it is archived"),
        ("2025-11", 1, "the month is not over yet"),
        ("2025-07", 2, "2025-07 is before the first month that is kept, 2025-08"),
        ("2025-9", 2, "write it as YYYY-MM"),
    ):
        failed = finops(filled, "make", month)
        assert (failed.exit_code, what in failed.stderr) == (code, True), failed.output
    none = finops(filled, "verify", "2025-10")
    assert (none.exit_code, "`finops evidence make 2025-10`" in none.stderr) == (1, True)


def test_a_failed_run_is_told_until_it_is_made(filled: Platform) -> None:
    """The incident is about a month, names its command, is no matter of any day, and ends when the month is made."""
    november = datetime(2025, 12, 16, 9, tzinfo=UTC)
    assert make_evidence(filled, "2025-11", clock=lambda: november).errors
    watch = filled.watch
    watch.alerting.days_done(DAYS)
    (incident,) = [one for one in watch.incidents.open("evidence_failed") if one.subject == "2025-11"]
    assert "no day of it is archived" in incident.problem.cause
    assert incident.problem.mend == "finops evidence make 2025-11"
    publish(filled.archive, date(2025, 11, 1), "3")
    assert make_evidence(filled, "2025-11", clock=lambda: november).errors == ()
    assert "2025-11" not in [one.subject for one in watch.incidents.open("evidence_failed")]


def test_a_month_that_cannot_be_made_does_not_hold_up_the_others(small: ObjectArchive, tmp_path: Path) -> None:
    """A backfill of months that begins before the bill: those that have days are made, and the run says the rest."""
    values = {"home": str(tmp_path), "bill.path": str(tmp_path), "bill.first_day": date(2025, 7, 15)}
    platform = build_platform(load_settings({}, values, folder=tmp_path))
    job = build_definitions(platform, clock=lambda: NOW).resolve_job_def(JOB)
    months = {ASSET_PARTITION_RANGE_START_TAG: "2025-07", ASSET_PARTITION_RANGE_END_TAG: MONTH}
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance, tags=months, raise_on_error=False)
        (made,) = instance.fetch_materializations(dg.AssetKey(ASSET), limit=9).records
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    said = failure.step_failure_data.user_failure_data.description
    assert said.startswith("2025-07: no day of it is archived; 1 more month(s) cannot be bundled either")
    assert (made.partition_key, evidence.read(small, MONTH).version) == (MONTH, 1)
    (incident,) = platform.watch.incidents.open("evidence_failed")
    assert incident.subject == "2025-07 to 2025-09"


# --- in cold storage ----------------------------------------------------------------------------------------------


@pytest.fixture
def bucket(aws: StandIn, archive: ObjectArchive, tmp_path: Path) -> Iterator[Platform]:
    """The home's archive in a bucket, with its evidence moved to Glacier Deep Archive."""
    make_ready(aws, make_bill(tmp_path / "bill", [line(1)]).parent)
    platform = platform_on(aws, tmp_path)
    for path in archive.list(""):
        platform.archive.put(path, archive.get(path))
    aws.client("s3").copy_object(Bucket=BUCKET, Key=V1, CopySource=f"{BUCKET}/{V1}", StorageClass="DEEP_ARCHIVE")
    return platform


def test_a_bundle_in_deep_archive_is_restored_by_the_command_told(
    aws: StandIn, bucket: Platform, tmp_path: Path
) -> None:
    """It cannot be read, and what to run is said; the live objects are compared with the index all the same."""
    bucket.archive.put(DIGEST, b"other words")
    done = evidence.verify(bucket.archive, MONTH)
    assert isinstance(done.fault, ColdObjectError)
    assert (done.damage, done.changed) == ((), (DIGEST,))
    shown = CliRunner().invoke(cli.main, ["evidence", "verify", MONTH], env=on_aws(aws, tmp_path))
    assert (shown.exit_code, f"changed since: {DIGEST}" in shown.stdout) == (1, True), shown.output
    assert "InvalidObjectState" in shown.stderr

    command = shlex.split(shown.stderr.split("`")[1])
    assert command[:3] == ["aws", "s3api", "restore-object"]
    told = dict(zip(command[3::2], command[4::2], strict=True))
    aws.client("s3").restore_object(
        Bucket=told["--bucket"], Key=told["--key"], RestoreRequest=json.loads(told["--restore-request"])
    )
    assert evidence.verify(bucket.archive, MONTH).fault is None


def test_a_new_version_needs_nothing_of_the_cold_ones(aws: StandIn, bucket: Platform) -> None:
    """Unchanged, nothing is written; changed, the next version is; a cold bundle without an index is passed over."""
    assert make(bucket.archive)[1]  # S3's versions of the days' objects are not the folder's
    aws.client("s3").copy_object(Bucket=BUCKET, Key=V2, CopySource=f"{BUCKET}/{V2}", StorageClass="DEEP_ARCHIVE")
    aws.calls.reset()
    assert not make(bucket.archive)[1]
    assert aws.calls.count("s3", "PutObject") == 0
    aws.client("s3").put_object(Bucket=BUCKET, Key=V3, Body=b"left by a killed run", StorageClass="DEEP_ARCHIVE")
    bucket.archive.put(DIGEST, b"other words")
    there, changed = make(bucket.archive)
    assert (changed, there.version) == (True, 4)
    assert evidence.verify(bucket.archive, MONTH).fault is None


def test_a_bundle_that_does_not_read_back_is_not_indexed(archive: ObjectArchive) -> None:
    """What the store has kept otherwise than it was written never gets an index."""
    before = archive.get(f"evidence/index/{MONTH}.json")
    archive.put(DIGEST, b"other words")

    class Forgetful(Dying):
        def create(self, path: str, data: bytes) -> bool:
            return self._archive.create(path, data[:-1])

    with pytest.raises(ArchiveError, match="does not read back"):
        make(Forgetful(archive, "nothing"))
    assert archive.get(f"evidence/index/{MONTH}.json") == before
