"""The home is made for its owner alone, keeps the rights that it has, and may have any name that a folder has."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
import yaml

from finops_assets.adapters.local.alerts import FileAlerts
from finops_assets.adapters.local.catalog import SQLiteCatalog
from finops_assets.adapters.shared.archive import ObjectArchive, folder_store
from finops_assets.adapters.shared.doctor import free_bytes
from finops_assets.adapters.shared.doctor import home as findings_of
from finops_assets.adapters.shared.folder import require_writable
from finops_assets.cli.dev import Holder, lock_home
from finops_assets.defs.instance import open_instance, prepare_dagster_home
from finops_assets.settings.load import load_settings
from finops_assets.stories.demo import prepare_demo


@pytest.fixture(autouse=True)
def usual_rights(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Others may read what is made in the usual way."""
    monkeypatch.setenv("DAGSTER_HOME", "")
    before = os.umask(0o022)
    yield
    os.umask(before)


def rights(folder: Path) -> int:
    return stat.S_IMODE(folder.stat().st_mode)


def begin_demo(home: Path) -> None:
    settings = load_settings({}, {"home": str(home)}, folder=home.parent)
    prepare_demo(settings, date(2025, 9, 10), 1)


FIRST: dict[str, Callable[[Path], object]] = {
    "an object of the archive": lambda home: ObjectArchive(folder_store(str(home / "archive"))).put("a.json", b"{}"),
    "the catalog": lambda home: SQLiteCatalog(home / "catalog.sqlite", home / "archive").register([]),
    "an alert": lambda home: FileAlerts(home / "alerts").send("subject", "text", "a"),
    "Dagster's records": lambda home: prepare_dagster_home(home / "dagster"),
    "the lock of finops dev": lambda home: os.close(lock_home(home, Holder(1, "host", "now", "address"))),
    "a demo": begin_demo,
}


@pytest.mark.parametrize("first", FIRST)
def test_whatever_makes_the_home_makes_it_for_its_owner_alone(first: str, tmp_path: Path) -> None:
    """It holds costs and addresses; the folders above it get the usual rights."""
    home = tmp_path / "above" / "home"
    FIRST[first](home)
    assert rights(home) == 0o700
    assert rights(home.parent) == 0o755
    if (home / "archive").exists():
        assert rights(home / "archive") == 0o700


@pytest.mark.parametrize("first", FIRST)
def test_a_home_that_exists_keeps_its_rights(first: str, tmp_path: Path) -> None:
    """Its owner has given them."""
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o750)
    FIRST[first](home)
    assert rights(home) == 0o750


def test_proving_that_it_can_be_written_makes_none(tmp_path: Path) -> None:
    """The first write does."""
    require_writable(tmp_path / "home")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("mode", "warned"), [(0o700, False), (0o755, True), (0o750, True), (0o701, True)])
def test_the_doctor_warns_of_a_home_that_others_may_look_into(mode: int, warned: bool, tmp_path: Path) -> None:
    """With the command that closes it."""
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(mode)
    found = [finding for finding in findings_of(home, free_bytes) if finding.name == "home's rights"]
    assert [(finding.state, f"chmod 700 {home}" in finding.fix) for finding in found] == [("warn", True)] * warned


@pytest.mark.parametrize("name", ["plain", """it's "mine": #1, 50 €""", "- [a, {b}] & *c", "日本 \\ über", "true", "'"])
def test_dagsters_file_is_yaml_whatever_the_home_is_called(name: str, tmp_path: Path) -> None:
    """It is read back as it was meant, by Dagster too."""
    folder = prepare_dagster_home(tmp_path / name / "dagster")
    read = yaml.safe_load((folder / "dagster.yaml").read_text(encoding="utf-8"))
    assert read["event_log_storage"]["config"]["base_dir"] == str(tmp_path / name / "dagster" / "history" / "runs")
    assert read["compute_logs"]["config"]["base_dir"] == str(tmp_path / name / "dagster" / "storage")


def test_dagster_works_in_a_home_with_quotes_colons_and_blanks(tmp_path: Path) -> None:
    """Its records are made in that folder."""
    home = tmp_path / """it's "mine": #1, ü"""
    with open_instance(home / "dagster") as instance:
        assert instance.get_runs() == []
    assert (home / "dagster" / "history" / "runs.db").is_file()
    assert [each.name for each in tmp_path.iterdir()] == [home.name]
