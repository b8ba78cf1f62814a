"""One state of a day, whoever is asked: each link of a real home is broken, and every output says the same of it."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from finops_assets.cli import common
from finops_assets.cli.main import main
from finops_assets.core.archive import causes
from finops_assets.core.operations import verification
from finops_assets.core.operations.alerting import FRESHNESS, FailedRun
from finops_assets.core.operations.repair import REFRESH, plan, work_of
from finops_assets.core.operations.watch import Attempts
from finops_assets.core.schemas import charges_path, day_path, dimensions_path, scorecard_path
from finops_assets.defs.build import build_definitions
from finops_assets.defs.run import run_days
from finops_assets.platform import Platform, build_platform
from finops_assets.settings.load import load_settings
from finops_assets_tests.support.bills import at, line, make_bill

pytestmark = pytest.mark.usefixtures("records_in_memory")

LAST = date(2025, 9, 12)
DAYS = [LAST - timedelta(days=5 - n) for n in range(6)]
MIDDLE = DAYS[2]
WRITTEN, NOW = datetime(2025, 9, 13, 7, tzinfo=UTC), datetime(2025, 9, 13, 8, tzinfo=UTC)
"""When the bill was written, long enough ago that nobody is still copying it; and when it is looked at."""


def bill_of(folder: Path, middle: str = "3.00", written: datetime = WRITTEN) -> None:
    lines = [line("5.00", start=at(day)) for day in DAYS] + [line(middle, start=at(MIDDLE), service="S3")]
    file = make_bill(folder / "bill", lines)
    for each in file.rglob("*") if file.is_dir() else [file]:
        os.utime(each, (written.timestamp(), written.timestamp()))


def settings_of(folder: Path) -> dict[str, str]:
    return {
        "FINOPS_HOME": str(folder / "home"),
        "FINOPS_BILL__PATH": str(folder / "bill"),
        "FINOPS_BILL__FIRST_DAY": str(DAYS[0]),
        "FINOPS_DIMENSIONS__KEYS": "tag:team",
    }


def platform_of(folder: Path) -> Platform:
    return build_platform(load_settings(settings_of(folder), folder=folder))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    bill_of(folder)
    assert run_days(platform_of(folder), DAYS[0], LAST, clock=lambda: NOW).errors == ()
    return folder


@pytest.fixture
def home(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a home in which all is well; the command takes it for the morning after its last day."""
    folder = tmp_path / "own"
    shutil.copytree(made, folder)
    for name, value in settings_of(folder).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(common, "now", lambda: NOW)
    return folder


# --- the ways in which a home breaks --------------------------------------------------------------------------------


def lose(path: Callable[[date], str]) -> Callable[[Path], None]:
    return lambda folder: (folder / "home" / "archive" / path(MIDDLE)).unlink()


def cut_the_object(folder: Path) -> None:
    file = folder / "home" / "archive" / day_path(MIDDLE)
    file.write_bytes(file.read_bytes()[:-40])


def alter_the_rows(folder: Path) -> None:
    """Two costs are exchanged: rows, total and footer stay as they were."""
    file = folder / "home" / "archive" / day_path(MIDDLE)
    table = pq.read_table(file, partitioning=None)
    said = table.schema.metadata
    cost = pa.array(table["dailycost"].to_pylist()[::-1])
    table = table.set_column(4, table.schema.field(4), cost).replace_schema_metadata(said)
    pq.write_table(table, file, compression="snappy")


def put_charges_of_another_day(folder: Path) -> None:
    archive = folder / "home" / "archive"
    shutil.copyfile(archive / charges_path(LAST), archive / charges_path(MIDDLE))


def alter_the_charges(folder: Path) -> None:
    """Two amounts are exchanged: rows and metadata stay as they were."""
    file = folder / "home" / "archive" / charges_path(MIDDLE)
    table = pq.read_table(file, partitioning=None)
    usage, tax = table["usagecost"], table["taxcost"]
    names = table.schema.names
    altered = table.set_column(names.index("usagecost"), "usagecost", tax)
    altered = altered.set_column(names.index("taxcost"), "taxcost", usage)
    pq.write_table(altered.replace_schema_metadata(table.schema.metadata), file, compression="snappy")


def put_dimensions_of_another_day(folder: Path) -> None:
    archive = folder / "home" / "archive"
    shutil.copyfile(archive / dimensions_path(LAST), archive / dimensions_path(MIDDLE))


def in_the_catalog(statement: str) -> Callable[[Path], None]:
    def broken(folder: Path) -> None:
        with closing(sqlite3.connect(folder / "home" / "catalog.sqlite")) as con, con:
            con.execute(f"{statement} WHERE year = {MIDDLE.year} AND month = {MIDDLE.month} AND day = {MIDDLE.day}")

    return broken


def show_an_older_page(folder: Path) -> None:
    """The page as it was before the middle day was changed and archived anew."""
    page = folder / "home" / "dashboard.html"
    old, at_ = page.read_bytes(), page.stat()
    bill_of(folder, "9.00", WRITTEN + timedelta(minutes=1))
    assets = ("finops_daily_summary", "ou_breakdown_parquet", "athena_partition", "ou_scorecard")
    assert run_days(platform_of(folder), MIDDLE, MIDDLE, assets=assets, clock=lambda: NOW).errors == ()
    page.write_bytes(old)
    os.utime(page, ns=(at_.st_atime_ns, at_.st_mtime_ns))


def change_the_bill(folder: Path) -> None:
    """The bill has another cost; it was compared, as the sensor does within half a minute."""
    bill_of(folder, "9.00", WRITTEN + timedelta(minutes=1))
    platform_of(folder).with_clock(lambda: NOW).watch.news(NOW)


def lose_the_receipt(folder: Path) -> None:
    digest = folder / "home" / "archive" / "digests" / str(LAST)
    for file in (*digest.rglob("receipts/*"), *digest.rglob("sent.json")):
        file.unlink()


def doubt_the_mail(folder: Path) -> None:
    digest = folder / "home" / "archive" / "digests" / str(LAST)
    (receipt,) = digest.rglob("receipts/*.json")
    receipt.rename(receipt.with_name(receipt.name.replace(".json", ".sending.json")))
    for file in digest.rglob("sent.json"):
        file.unlink()


def lose_the_bills_day_and_the_object(folder: Path) -> None:
    lose_the_bills_day(folder)
    lose(day_path)(folder)


def empty_the_bills_day(folder: Path) -> None:
    """The bill has no line of the day any more; it was compared, as the sensor does."""
    lose_the_bills_day(folder)
    platform_of(folder).with_clock(lambda: NOW).watch.news(NOW)


def lose_the_bills_day(folder: Path) -> None:
    lines = [line("5.00", start=at(day)) for day in DAYS if day != MIDDLE]
    file = make_bill(folder / "bill", lines)
    for each in file.rglob("*") if file.is_dir() else [file]:
        os.utime(each, (WRITTEN.timestamp(), WRITTEN.timestamp()))


def break_the_bill_and_lose_the_object(folder: Path) -> None:
    for file in (folder / "bill").rglob("*.*"):
        file.write_bytes(b"\x00half a bill")
    lose(day_path)(folder)


BROKEN: list[tuple[str, date, Callable[[Path], None], bool]] = [
    ("no object", MIDDLE, lose(day_path), True),
    ("source has no such day", MIDDLE, lose_the_bills_day_and_the_object, True),
    ("not as in the bill", MIDDLE, empty_the_bills_day, True),
    ("bill unreadable", MIDDLE, break_the_bill_and_lose_the_object, True),
    ("damaged object", MIDDLE, cut_the_object, True),
    ("damaged object", MIDDLE, alter_the_rows, False),
    ("no charges", MIDDLE, lose(charges_path), True),
    ("no charges", MIDDLE, put_charges_of_another_day, False),
    ("no charges", MIDDLE, alter_the_charges, False),
    ("no dimensions", MIDDLE, lose(dimensions_path), True),
    ("no dimensions", MIDDLE, put_dimensions_of_another_day, False),
    ("not as in the bill", MIDDLE, change_the_bill, True),
    ("no partition", MIDDLE, in_the_catalog("DELETE FROM partitions"), True),
    ("wrong location", MIDDLE, in_the_catalog("UPDATE partitions SET location = 'ou-breakdowns/elsewhere/'"), True),
    ("no scorecard", MIDDLE, lose(scorecard_path), True),
    ("dashboard outdated", LAST, lambda folder: (folder / "home" / "dashboard.html").unlink(), True),
    ("dashboard outdated", LAST, lambda folder: (folder / "home" / "dashboard.html").write_bytes(b"half"), True),
    ("dashboard outdated", MIDDLE, show_an_older_page, True),
    ("mail unsent", LAST, lose_the_receipt, True),
    ("mail in doubt", LAST, doubt_the_mail, True),
]
"""The cause, its day, what breaks it, and whether a look that reads no object can see it."""

NAMES = [f"{cause}-{number}" for number, (cause, *_) in enumerate(BROKEN)]


def said(*words: str) -> str:
    """What the command prints; its exit code is that of what it found."""
    done = CliRunner().invoke(main, words)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.stdout


def causes_of(found: list[dict[str, str]]) -> dict[str, tuple[str, str]]:
    return {entry["day"]: (entry["state"], entry["detail"]) for entry in found if entry["state"] != "whole"}


def test_a_whole_home_is_whole_in_every_output(home: Path) -> None:
    """Nothing is said where nothing is wrong."""
    assert json.loads(said("gaps", "--json")) == []
    assert causes_of(json.loads(said("status", "--json"))["days"]) == {}
    assert plan(platform_of(home).inspector.thorough(NOW)) == []
    watch = platform_of(home).with_clock(lambda: NOW).watch
    assert set(watch.freshness(NOW).values()) == {""}
    assert "all whole" in said("status")
    assert "all whole" in watch.digests.maker.notes(NOW).days
    assert " fail " not in "\n".join(line for line in said("doctor", "--date", str(MIDDLE)).split("to the inbox:")[1:])


@pytest.mark.parametrize(("cause", "day", "breaks", "is_seen_cheaply"), BROKEN, ids=NAMES)
def test_all_faces_say_the_same_of_a_broken_link(
    home: Path, cause: str, day: date, breaks: Callable[[Path], None], is_seen_cheaply: bool
) -> None:
    """`gaps`, `doctor`, `--repair`, `--resume`, `status`, the sensor and the checks: one cause, one detail, one day."""
    breaks(home)
    (gap,) = json.loads(said("gaps", "--json"))
    assert (gap["first"], gap["last"], gap["cause"]) == (str(day), str(day), cause)
    words = f"{day}: {cause}: {gap['detail']}"

    failed = [
        finding for finding in json.loads(said("doctor", "--date", str(day), "--json")) if words in finding["detail"]
    ]
    assert cause.startswith("mail") or [finding["state"] for finding in failed] == ["fail"]

    (step,) = [step for step in json.loads(said("doctor", "--repair", "--json")) if step["why"].startswith(cause)]
    assert step["first"] == str(LAST if step["work"] == REFRESH else day)
    assert gap["detail"] in step["why"]
    assert step["work"] == work_of(cause)

    platform = platform_of(home)
    watch = platform.with_clock(lambda: NOW).watch
    inspection = watch.inspect(NOW)
    seen = {gap.first: (gap.cause, gap.detail) for gap in inspection.gaps}
    assert seen == ({day: (cause, gap["detail"])} if is_seen_cheaply else {})
    assert causes_of(json.loads(said("status", "--json"))["days"]) == {str(d): found for d, found in seen.items()}
    # The digest speaks of dashboard and mail elsewhere: it is made before it is sent.
    told = watch.digests.maker.notes(NOW).days
    assert (f"{cause}: {day}" in told) == (
        is_seen_cheaply and causes.CAUSES[cause] not in (causes.DASHBOARD, causes.MAIL)
    )
    if is_seen_cheaply:
        assert f"{cause}: {day}" in said("status")
        red = " ".join(watch.freshness(NOW).values())
        assert (
            cause == "source has no such day" or (cause.startswith("mail") and str(day) in red) or gap["detail"] in red
        )
    assert tuple(watch.freshness(NOW)) == FRESHNESS


MENDED = [case for case in BROKEN if case[0] not in ("source has no such day", "bill unreadable", "mail in doubt")]


@pytest.mark.parametrize(("cause", "day", "breaks", "is_seen_cheaply"), MENDED, ids=[case[0] for case in MENDED])
def test_what_is_named_as_the_remedy_mends_it(
    home: Path, cause: str, day: date, breaks: Callable[[Path], None], is_seen_cheaply: bool
) -> None:
    """The work of `--repair`, for each cause that a run mends; and the sensor asks for a run of exactly that day."""
    breaks(home)
    platform = platform_of(home)
    if is_seen_cheaply:
        definitions = build_definitions(platform, clock=lambda: NOW)
        with dg.DagsterInstance.ephemeral() as instance:
            context = dg.build_sensor_context(
                instance=instance,
                resources={"watch": definitions.resources["watch"]},
                repository_def=definitions.get_repository_def(),
            )
            tick = definitions.get_repository_def().get_sensor_def("missing_days").evaluate_tick(context)
        assert [request.partition_key for request in tick.run_requests] == [str(day)]
    said("doctor", "--repair", "--yes", "--mail")
    assert json.loads(said("gaps", "--json")) == []


def test_a_day_that_the_nightly_proof_found_damaged_is_known_to_all(home: Path) -> None:
    """What only reading every row can find is seen by the cheap look from then on, in the same words, and mended."""
    alter_the_rows(home)
    platform = platform_of(home)
    watch = platform.with_clock(lambda: NOW).watch
    verification.report(watch.incidents, list(verification.verify(platform.archive, DAYS)))
    (gap,) = json.loads(said("gaps", "--json"))
    assert [(g.first, g.cause, g.detail) for g in watch.inspect(NOW).gaps] == [
        (MIDDLE, "damaged object", gap["detail"])
    ]
    assert f"damaged object: {MIDDLE}" in said("status")
    assert run_days(platform, MIDDLE, MIDDLE, clock=lambda: NOW).errors == ()
    assert watch.inspect(NOW).gaps == ()
    assert watch.incidents.open(verification.KIND) == []


def test_an_incident_heals_when_the_day_equals_the_bill_not_when_the_old_object_is_whole(home: Path) -> None:
    """A run failed as the bill could not be read: nothing is all clear while it cannot, whatever the archive has."""
    watch = platform_of(home).with_clock(lambda: NOW).watch
    assert not watch.inspect(NOW).gaps
    files = {file: file.read_bytes() for file in (home / "bill").rglob("*.*")}
    for file in files:
        file.write_bytes(b"\x00half a bill")
    watch.alerting.run_failed(FailedRun("finops_daily_summary", (MIDDLE,), "the bill is cut", "run"), NOW)
    for minutes in (1, 2, 60):
        now = NOW + timedelta(minutes=minutes)
        watch = platform_of(home).with_clock(lambda now=now: now).watch
        inspection = watch.inspect(now)
        assert MIDDLE not in inspection.not_whole
        watch.update_incidents(inspection, Attempts(15), (), now)
        assert [incident.subject for incident in watch.incidents.open("run_failed")] == [str(MIDDLE)]
    for file, data in files.items():
        file.write_bytes(data)
        os.utime(file, (WRITTEN.timestamp(), WRITTEN.timestamp()))
    later = NOW + timedelta(hours=2)
    watch = platform_of(home).with_clock(lambda: later).watch
    watch.update_incidents(watch.inspect(later), Attempts(15), (), later)
    assert watch.incidents.open("run_failed") == []
