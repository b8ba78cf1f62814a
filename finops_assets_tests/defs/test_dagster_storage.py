"""Dagster's own storage, damaged, full, locked or unreachable: one line with the file and the remedy, and an alert."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy
from click.testing import CliRunner

from finops_assets.adapters.shared.dagster_records import FILES, damaged_files
from finops_assets.cli import main as cli
from finops_assets.core.errors import RecordsError
from finops_assets.defs import instance as instances
from finops_assets.defs import run
from finops_assets.defs.instance import check_records, open_instance
from finops_assets.platform import Platform, build_platform
from finops_assets.settings.load import load_settings
from finops_assets.stories.sample_bill import SampleBill, write_sample_bill
from finops_assets_tests.operations.test_incidents import Channel

DAY = date(2025, 9, 10)


def seven() -> datetime:
    return datetime(2025, 9, 11, 7, tzinfo=UTC)


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a home's instance sets is gone after the test."""
    monkeypatch.setenv("DAGSTER_HOME", "")


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SampleBill:
    return write_sample_bill(tmp_path_factory.mktemp("bill") / "bill", DAY, 1)


@pytest.fixture(scope="module")
def filled(sample: SampleBill, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with its day, which tests copy."""
    home = tmp_path_factory.mktemp("filled") / "home"
    platform, _ = platform_of(home, sample)
    assert run.run_days(platform, DAY, DAY, clock=seven).errors == ()
    platform.warehouse.close()
    return home


@pytest.fixture
def home(filled: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(filled, tmp_path / "home"))


def settings_of(home: Path, sample: SampleBill) -> dict[str, str]:
    values = {"home": home, "bill.path": sample.focus, "accounts.path": sample.accounts, "bill.first_day": DAY}
    return {name: str(value) for name, value in values.items()}


def platform_of(home: Path, sample: SampleBill) -> tuple[Platform, Channel]:
    """A platform over a home, and its alert channel, which needs no disk."""
    channel = Channel()
    platform = build_platform(load_settings({}, settings_of(home, sample), folder=home.parent), seven)
    return replace(platform, alerts=channel), channel


@pytest.fixture
def platform(home: Path, sample: SampleBill) -> Iterator[tuple[Platform, Channel]]:
    platform, channel = platform_of(home, sample)
    yield platform, channel
    platform.warehouse.close()


def damage(file: Path) -> None:
    """Everything behind the first page, as after a bad restore."""
    data = file.read_bytes()
    file.write_bytes(data[:4096] + b"\xde\xad" * ((len(data) - 4096) // 2))


def finops(home: Path, sample: SampleBill, *words: str) -> Any:
    """The command in this process, with the settings of a home."""
    environ = {f"FINOPS_{name.upper().replace('.', '__')}": value for name, value in settings_of(home, sample).items()}
    return CliRunner().invoke(cli.main, words, env=environ)


# --- damaged ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named_with_its_remedy_and_the_remedy_helps(
    name: str, home: Path, sample: SampleBill
) -> None:
    """Each command is one line and exit code 1, the doctor fails at `dagster`; removed, `observe` mends the rest."""
    file = home / "dagster" / name
    damage(file)
    for words in (("observe",), ("run", "--date", str(DAY)), ("doctor",)):
        done = finops(home, sample, *words)
        assert done.exit_code == 1, done.output
        assert not done.exception or isinstance(done.exception, SystemExit), done.exception
        (line,) = [line for line in done.output.splitlines() if str(file) in line and "rm" not in line.split()[:1]][:1]
        assert f"`rm -r {file}*`, then `finops observe`" in done.output
        assert line.startswith("fail  dagster" if words == ("doctor",) else "error: "), line
    assert f"a run failed: {DAY}" in "".join(alert.read_text() for alert in (home / "alerts").glob("*.eml"))

    for part in file.parent.glob(f"{file.name}*"):
        part.unlink()
    assert finops(home, sample, "observe").exit_code == 0
    assert "ok    dagster" in finops(home, sample, "doctor").output
    platform, _ = platform_of(home, sample)
    assert run.run_days(platform, DAY, DAY, clock=seven).errors == ()
    platform.warehouse.close()
    assert f"a run failed: {DAY}" not in finops(home, sample, "status").output, "a whole day is the end of it"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (lambda data: data[: len(data) // 2], "malformed"),
        (lambda data: b"<html>404</html>" * 400, "not a database"),
        (lambda data: data, ""),
        (lambda data: b"", ""),
    ],
    ids=["cut", "something else", "whole", "empty, which SQLite takes for new"],
)
def test_what_is_damaged_is_found_without_a_trace(home: Path, content: Any, says: str) -> None:
    """Nothing is left beside the files by the look at them."""
    file = home / "dagster" / FILES[0]
    file.write_bytes(content(file.read_bytes()))
    before = sorted(file.parent.iterdir())
    found = damaged_files(home / "dagster")
    assert list(found) == [file] * bool(says)
    assert all(says in fault for fault in found.values())
    assert sorted(file.parent.iterdir()) == before


def test_the_look_at_a_file_is_bounded(home: Path) -> None:
    """A history of years is not read to its end: after so many seconds, what was seen until then has to do."""
    file = home / "dagster" / FILES[0]
    with closing(sqlite3.connect(file)) as con, con:
        con.execute("CREATE TABLE much (it TEXT)")
        con.executemany("INSERT INTO much VALUES (?)", [("x" * 3000,)] * 3000)
        con.execute("CREATE INDEX many ON much (it)")
    damage(file)
    seconds = iter(range(0, 10**9, 3))
    assert list(damaged_files(home / "dagster")) == [file]
    looks: list[int] = []

    def clock() -> float:
        looks.append(next(seconds))
        return looks[-1]

    damaged_files(home / "dagster", clock=clock)
    assert len(looks) < 20


def test_the_ui_does_not_start_on_damaged_records(home: Path, sample: SampleBill, monkeypatch: Any) -> None:
    """`finops dev` ends with the line instead of two daemons that crash; whole or new records let it start."""
    started: list[list[str]] = []

    def start(_home: Path, command: list[str], _host: str, _port: int, prepare: Callable[[], None]) -> int:
        prepare()
        started.append(command)
        return 0

    monkeypatch.setattr("finops_assets.cli.dev.run_dev", start)
    assert finops(home, sample, "dev").exit_code == 0
    assert len(started) == 1
    file = home / "dagster" / FILES[1]
    damage(file)
    done = finops(home, sample, "dev")
    assert done.exit_code == 1
    assert done.output.startswith(f"error: {file}: Dagster's records are damaged")
    assert len(started) == 1
    shutil.rmtree(home / "dagster")
    check_records(home / "dagster")
    assert all((home / "dagster" / name).is_file() for name in FILES)


# --- full, locked, unreachable -----------------------------------------------------------------------------------


@contextmanager
def filling_up(after: str) -> Iterator[None]:
    """Dagster's SQLite writes nothing any more from the first statement on that has this in it, as on a full disk."""
    full: list[bool] = []

    def before(con: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if after in f"{statement} {parameters}":
            full.append(True)
        if full and statement.startswith(("INSERT", "UPDATE")):
            failed = sqlite3.OperationalError("database or disk is full")
            failed.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise sqlalchemy.exc.OperationalError(statement, parameters, failed)

    sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", before)
    yield
    sqlalchemy.event.remove(sqlalchemy.Engine, "before_cursor_execute", before)


@pytest.mark.parametrize("after", ["INSERT INTO runs", "ou_breakdown_parquet", "digest_email"])
def test_a_disk_that_fills_up_during_a_run_is_told_and_the_next_run_is_whole(
    after: str, sample: SampleBill, tmp_path: Path
) -> None:
    """At its begin, in its middle, at its end: the error says which disk and how much, somebody is told, once."""
    platform, channel = platform_of(tmp_path / "home", sample)
    with filling_up(after), pytest.raises(RecordsError) as caught:
        run.run_days(platform, DAY, DAY, clock=seven)
    assert "the disk is full" in caught.value.what
    assert caught.value.where == str((tmp_path / "home" / "dagster").resolve())
    assert "Free 200 MB" in caught.value.fix
    assert [subject for subject, _, _ in channel.sent] == [f"FinOps: a run failed: {DAY}"]

    assert run.run_days(platform, DAY, DAY, clock=seven).errors == ()
    assert len(list(platform.settings.outbox_folder.glob("*.eml"))) == 1
    assert len(channel.sent) == 2
    assert channel.sent[1][0].startswith("FinOps: all clear")
    platform.warehouse.close()


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (sqlite3.SQLITE_BUSY, "held by another process"),
        (sqlite3.SQLITE_READONLY, "cannot be used"),
        (sqlite3.SQLITE_IOERR | 10 << 8, "cannot be used"),
        (sqlite3.SQLITE_CORRUPT, "damaged"),
    ],
)
def test_each_of_sqlites_errors_says_what_it_is(home: Path, code: int, says: str) -> None:
    """By its code, not by its words; the one it was raised from counts too."""
    failed = sqlite3.OperationalError("no words")
    failed.sqlite_errorcode = code

    def fail() -> None:
        try:
            raise sqlalchemy.exc.OperationalError("SELECT 1", {}, failed)
        except sqlalchemy.exc.OperationalError as error:
            raise dg.DagsterInvariantViolationError("the run cannot go on") from error

    with pytest.raises(RecordsError, match=says), open_instance(home / "dagster"):
        fail()


def test_other_errors_stay_what_they_are(home: Path) -> None:
    """A defect, our own SQLite's error and a file that cannot be written are none of Dagster's records."""
    for error in (ZeroDivisionError("a defect"), sqlite3.DatabaseError("the catalog"), OSError(28, "No space left")):
        with pytest.raises(type(error)) as caught, open_instance(home / "dagster"):
            raise error
        assert caught.value is error


def test_a_database_server_that_is_down_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a deployment: its address and the driver's reason, without the attempts that were made."""
    monkeypatch.setattr("dagster_postgres.utils.time.sleep", lambda _: None)
    place = {"hostname": "127.0.0.1", "port": 1, "username": "u", "password": "secret", "db_name": "d"}
    storage = {"postgres": {"postgres_db": {**place, "scheme": "postgresql+psycopg2"}}}
    (tmp_path / "dagster.yaml").write_text(json.dumps({"storage": storage}))  # YAML, too
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with pytest.raises(RecordsError) as caught, open_instance(tmp_path / "unused", deployed=True):
        pass
    assert caught.value.where == "Dagster's database"
    assert "port 1 failed" in caught.value.what
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caplog.text == ""


@pytest.mark.parametrize("words", [("run", "--date", str(DAY)), ("backfill", str(DAY), str(DAY))])
def test_a_home_that_cannot_be_written_is_told_by_the_channel(
    words: tuple[str, ...], tmp_path: Path, sample: SampleBill, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is run, and by a channel that needs no disk: somebody who is not at the keyboard learns of it."""
    channel = Channel()
    monkeypatch.setattr(run, "alerts_of", lambda settings: channel)
    (tmp_path / "file").write_text("")
    home = tmp_path / "file" / "home"
    done = finops(home, sample, *words)
    assert done.exit_code == 1
    assert done.output.splitlines()[-1].startswith(f"error: {home} (home): cannot be written")
    ((subject, text, _),) = channel.sent
    assert subject.startswith(f"FinOps: a run failed: {DAY}")
    assert "cannot be written" in text
    assert "could not be noted" in text
    finops(home, sample, "status")
    assert len(channel.sent) == 1, "whoever looks sees it"


def test_a_run_that_fails_before_its_first_step_is_told(
    platform: tuple[Platform, Channel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No hook sees it, and no daemon need be there: the command tells."""
    over, channel = platform
    build = run.build_definitions

    def with_a_broken_resource(*args: Any, **how: Any) -> dg.Definitions:
        made = build(*args, **how)
        made.resources["drawing"] = dg.ResourceDefinition(lambda _: 1 / 0)
        return made

    monkeypatch.setattr(run, "build_definitions", with_a_broken_resource)
    outcome = run.run_days(over, DAY, DAY, clock=seven)
    assert outcome.errors == ("the run failed before its first step",)
    assert [subject for subject, _, _ in channel.sent] == [f"FinOps: a run failed: {DAY}"]


# --- two at once --------------------------------------------------------------------------------------------------

OPENS = """
import sys, time
from pathlib import Path
from dagster._core.storage.runs.sqlite.sqlite_run_storage import RunStorageSqlMetadata
from finops_assets.defs.instance import open_instance

folder, me = Path(sys.argv[1]), sys.argv[2]
create_all = RunStorageSqlMetadata.create_all

def both(what, patience):
    (folder / f"{what}-{me}").touch()
    for _ in range(patience):
        if len(list(folder.glob(f"{what}-*"))) == 2:
            return
        time.sleep(0.01)

def create(*args, **how):
    both("creates", 100)  # the other one is waited for here: two that create at once do it at the same moment
    create_all(*args, **how)

RunStorageSqlMetadata.create_all = create
both("ready", 6000)
with open_instance(folder / "dagster") as instance:
    instance.get_runs()
"""


def test_two_first_openings_do_not_race_for_the_tables(tmp_path: Path) -> None:
    """Two processes open a new home at the same moment: one makes the tables, the other waits and finds them."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("FINOPS_", "DAGSTER_"))}
    command = [sys.executable, "-c", OPENS, str(tmp_path)]
    started = [
        subprocess.Popen([*command, me], env=clean, stderr=subprocess.PIPE, text=True) for me in ("first", "second")
    ]
    for each in started:
        _, said = each.communicate(timeout=120)
        assert each.returncode == 0, said
    assert len(list(tmp_path.glob("creates-*"))) == 1
    assert damaged_files(tmp_path / "dagster") == {}


def test_an_opening_that_hangs_is_an_error_with_the_lock(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process holds the lock: after a minute the error names it."""
    from filelock import FileLock

    monkeypatch.setattr(instances, "LOCK_SECONDS", 0.05)
    lock = home / "dagster" / instances.LOCK
    with (
        FileLock(lock),
        pytest.raises(RecordsError, match="another process has been opening") as caught,
        open_instance(home / "dagster"),
    ):
        pass
    assert caught.value.where == str(lock)
