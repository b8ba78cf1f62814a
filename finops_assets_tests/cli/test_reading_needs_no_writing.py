"""Commands that only read: they work on a home that cannot be written, leave it as it is, and make none."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from finops_assets.adapters.local.catalog import SQLiteCatalog
from finops_assets.adapters.shared.archive import ObjectArchive, folder_store
from finops_assets.adapters.shared.folder import require_writable
from finops_assets.cli.main import main
from finops_assets.core.errors import ArchiveError
from finops_assets.defs.run import run_days
from finops_assets.platform import build_platform
from finops_assets.settings.load import load_settings
from finops_assets.stories.sample_bill import write_sample_bill

DAY = date(2025, 9, 10)

READING = {
    "status": ("status",),
    "gaps": ("gaps",),
    "query": ("query", "SELECT COUNT(*) FROM ou_breakdown"),
    "query of the bill": ("query", "SELECT COUNT(*) FROM finops_daily_summary"),
    "anomalies": ("anomalies", "--all"),
    "budgets": ("budgets",),
    "verify": ("verify",),
    "evidence list": ("evidence", "list"),
    "evidence verify": ("evidence", "verify", "2025-08"),
    "restore": ("restore", str(DAY)),
    "doctor": ("doctor",),
    "doctor --repair": ("doctor", "--repair"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finops.toml and a home that has one day."""
    folder = tmp_path_factory.mktemp("read")
    bill = write_sample_bill(folder / "bill", DAY, 1)
    (folder / "finops.toml").write_text(
        f"home = 'home'\n[bill]\npath = '{bill.focus.relative_to(folder)}'\nfirst_day = {DAY}\n"
        "[accounts]\npath = 'bill/accounts.csv'\n[budgets]\npath = 'bill/budgets.csv'\n"
    )
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DAGSTER_HOME", "")
        platform = build_platform(load_settings({}, folder=folder))
        assert run_days(platform, DAY, DAY, clock=lambda: datetime(2025, 9, 11, 7, tzinfo=UTC)).errors == ()
        platform.warehouse.close()
    return folder


def entries(folder: Path) -> dict[str, int]:
    """Everything below a folder, and when it was changed: a folder changes when a file in it comes or goes."""
    return {str(each.relative_to(folder)): each.stat().st_mtime_ns for each in folder.rglob("*")}


@pytest.mark.parametrize("words", READING.values(), ids=READING.keys())
def test_a_reading_command_leaves_the_home_as_it_is(
    words: tuple[str, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file of the home is made, changed or removed, not even for a moment."""
    monkeypatch.chdir(folder)
    before = entries(folder / "home")
    done = CliRunner().invoke(main, words)
    assert isinstance(done.exception, SystemExit | None), done.exception
    after = entries(folder / "home")
    if "doctor" in words:  # it tries a nameless file, which not every file system can make without a name
        assert after.keys() == before.keys()
    else:
        assert after == before


CHILD = """
import json, sys
from click.testing import CliRunner
from finops_assets.cli.main import main
from finops_assets.cli.errors import DEFECT
found = {}
for name, words in json.loads(sys.argv[1]).items():
    done = CliRunner().invoke(main, words)
    unexpected = done.output if DEFECT in done.output or not isinstance(done.exception, SystemExit | None) else ""
    found[name] = [done.exit_code, done.output, unexpected]
print(json.dumps(found))
"""


def outcomes(folder: Path, *begin: str) -> dict[str, list]:
    """What each reading command does in a process of its own that starts with the words of `begin`."""
    command = [*begin, sys.executable, "-c", CHILD, json.dumps(READING)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def read_only(folder: Path) -> list[str]:
    """The words that give a process the folder as a read-only file system; skips where the machine forbids it."""
    mount = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'
    for rights in ([], ["--user", "--map-root-user"]):
        begin = ["unshare", *rights, "--mount", "sh", "-c", mount, "sh", str(folder)]
        try:
            done = subprocess.run([*begin, "test", "!", "-w", folder], capture_output=True, check=False)
        except FileNotFoundError:
            break
        if done.returncode == 0:
            return begin
    pytest.skip("this machine lets nobody mount a folder")


def test_a_read_only_home_reads_as_a_writable_one(folder: Path) -> None:
    """Each reading command says the same, and ends with the same code; the doctor fails at the home, and goes on."""
    begin = read_only(folder / "home")
    there, here = outcomes(folder, *begin), outcomes(folder)
    doctors = there.pop("doctor"), here.pop("doctor")
    assert there == here
    assert {unexpected for _, _, unexpected in there.values()} == {""}
    told = [[line for line in text.splitlines() if line[:4] in ("ok  ", "fail", "warn")] for _, text, _ in doctors]
    only_there = [line for line in told[0] if line not in told[1]]
    assert [line.split()[:2] for line in only_there] == [["fail", "home"], ["fail", "dagster"]]
    assert all("is not writable: Read-only file system" in line for line in only_there)
    assert [line for line in told[0] if f"{DAY}: " in line or "catalog" in line], "it goes on to the day"


def test_a_run_on_a_read_only_home_is_refused_in_one_line(folder: Path) -> None:
    """The home is named, with what to do."""
    command = [*read_only(folder / "home"), sys.executable, "-m", "finops_assets", "run", "--date", str(DAY)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "error: home (home): cannot be written: Read-only file system. Set FINOPS_HOME elsewhere."
    )


@pytest.mark.parametrize("words", READING.values(), ids=READING.keys())
def test_a_reading_command_makes_no_home(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is none, as in the wrong folder, there is none afterwards."""
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, words)
    assert isinstance(done.exception, SystemExit | None), done.exception
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", READING.values(), ids=READING.keys())
def test_a_reading_command_finds_the_home_of_a_settings_file_from_another_folder(
    words: tuple[str, ...], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As from cron: it says what it says in the file's own folder, and makes nothing where it is run."""
    monkeypatch.chdir(folder)
    here = CliRunner().invoke(main, words)
    monkeypatch.chdir(tmp_path)
    there = CliRunner().invoke(main, words, env={"FINOPS_SETTINGS": str(folder / "finops.toml")})
    said, elsewhere = (
        re.sub(r"[\d,.]+ GB free", "GB free", each.output.replace(f"{folder}/", "")) for each in (here, there)
    )
    assert elsewhere == said  # but for the disk's free space: others write to it meanwhile
    assert there.exit_code == here.exit_code
    assert list(tmp_path.iterdir()) == []


def test_many_that_start_at_once_do_not_meet(tmp_path: Path) -> None:
    """Each proves that the home can be written, and builds its platform, whatever the others are doing."""
    settings = load_settings({}, {"home": str(tmp_path / "home")}, folder=tmp_path)
    settings.home.mkdir()

    def start(_: int) -> str:
        try:
            build_platform(settings)
            require_writable(settings.home)
        except ArchiveError as error:
            return str(error)
        return "started"

    with ThreadPoolExecutor(4) as starters:
        assert Counter(starters.map(start, range(400))) == {"started": 400}
    assert list(tmp_path.iterdir()) == [settings.home]
    assert list(settings.home.iterdir()) == []


def test_the_first_write_makes_the_archive(tmp_path: Path) -> None:
    """Before it, the archive is empty, and its folder does not exist."""
    archive = ObjectArchive(folder_store(str(tmp_path / "home" / "archive")))
    assert (archive.get("a/note.json"), archive.list("a/"), archive.days(), archive.size()) == (None, [], [], 0)
    assert archive.versions(DAY) == []
    archive.delete(["a/note.json"])
    assert list(tmp_path.iterdir()) == []
    assert archive.create("a/note.json", b"{}")
    assert not archive.create("a/note.json", b"other")
    assert (archive.get("a/note.json"), archive.list("a/")) == (b"{}", ["a/note.json"])


# --- the catalog --------------------------------------------------------------------------------------------------


@pytest.fixture
def catalog(tmp_path: Path) -> SQLiteCatalog:
    return SQLiteCatalog(tmp_path / "home" / "catalog.sqlite", tmp_path / "home" / "archive")


def test_a_catalog_that_does_not_exist_has_no_partitions_and_is_not_made(
    catalog: SQLiteCatalog, tmp_path: Path
) -> None:
    """Looking makes nothing, in a folder that does not exist or is empty."""
    assert catalog.registered() == {}
    (tmp_path / "home").mkdir()
    assert catalog.registered() == {}
    assert list((tmp_path / "home").iterdir()) == []


def test_a_catalog_whose_first_writer_was_killed_has_no_partitions(catalog: SQLiteCatalog, tmp_path: Path) -> None:
    """SQLite makes an empty file before it makes the table."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "catalog.sqlite").touch()
    assert catalog.registered() == {}


KILLED = """
import os, sqlite3, sys
con = sqlite3.connect(sys.argv[1])
con.execute("PRAGMA cache_size = 1")
con.execute("UPDATE partitions SET location = 'half'")
con.executemany("INSERT INTO partitions VALUES ('ou_breakdown', 2024, 1, ?, 'half')", [(n,) for n in range(5000)])
os._exit(9)
"""


def test_a_catalog_whose_writer_was_killed_is_read_as_it_was_before(catalog: SQLiteCatalog, tmp_path: Path) -> None:
    """The half of a change that has reached the file is undone by whoever reads next."""
    file = tmp_path / "home" / "catalog.sqlite"
    catalog.register([])
    with closing(sqlite3.connect(file)) as con, con:
        con.execute("INSERT INTO partitions VALUES ('ou_breakdown', 2025, 9, 10, 'whole')")
    assert subprocess.run([sys.executable, "-c", KILLED, file], check=False).returncode == 9
    assert os.path.getsize(f"{file}-journal") > 0, "the change was under way"  # noqa: PTH202
    assert catalog.registered() == {DAY: "whole"}
