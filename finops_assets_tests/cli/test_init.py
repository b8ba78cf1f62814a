"""`finops init`: from an export to settings with which every day of it can be archived."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from finops_assets_tests.support.bills import line, rows_of, write_rows
from finops_assets_tests.support.command import finops
from standin.server import StandIn

pytestmark = pytest.mark.usefixtures("records_in_memory")

NOW = datetime(2025, 9, 13, 7, tzinfo=UTC)


def at(day: int) -> datetime:
    return datetime(2025, 9, day)  # noqa: DTZ001


@pytest.fixture
def export(tmp_path: Path) -> str:
    """A folder with two accounts on three days; the name holds what TOML has to escape."""
    lines = [
        *(line(10, start=at(day), account="111122223333") for day in (10, 11, 12)),
        line("0.5", start=at(12), account="444455556666"),
        line("70.5", start=at(11), account="444455556666"),
    ]
    folder = tmp_path / 'my "own" export'
    folder.mkdir()
    write_rows(folder / "export.parquet", rows_of(lines, "focus"))
    return folder.name


def test_two_commands_lead_from_an_export_to_its_digest(export: str, tmp_path: Path) -> None:
    """`finops init`, `finops backfill`: what it wrote is what the platform reads, and the dearest account is first."""
    done = finops("init", export, cwd=tmp_path, now=NOW)
    assert done.exit_code == 0, done.output
    assert "2025-09-10 to 2025-09-12 (3 days)" in done.stdout
    accounts = (tmp_path / "accounts.csv").read_text().splitlines()
    assert accounts[0] == "account_id,account_name,ou_path"
    assert [row.split(",")[0] for row in accounts[1:]] == ["444455556666", "111122223333"]
    settings = tomllib.loads((tmp_path / "finops.toml").read_text())
    assert settings["bill"] == {"path": export}
    done = finops("backfill", cwd=tmp_path, now=NOW)
    assert done.exit_code == 0, done.output
    assert "101.00 USD (billed) archived" in done.stdout
    assert list((tmp_path / ".finops-mine" / "outbox").glob("*.eml"))
    done = finops("doctor", cwd=tmp_path, now=NOW)
    assert "2 without an ou_path are Unassigned" in done.stdout


def test_a_file_that_exists_is_never_written_over(export: str, tmp_path: Path) -> None:
    """Neither settings nor accounts; of what lacks, files are made."""
    (tmp_path / "finops.toml").write_text("[bill]\npath = 'other'\n")
    (tmp_path / "accounts.csv").write_text("mine")
    done = finops("init", export, cwd=tmp_path, now=NOW)
    assert done.exit_code == 0, done.output
    assert done.stdout.count("is there already, and left as it is") == 2
    assert (tmp_path / "finops.toml").read_text() == "[bill]\npath = 'other'\n"
    assert (tmp_path / "accounts.csv").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [("nowhere", 2, "there is no such file or folder"), ("s3://bucket/export", 2, "is not on this machine")],
)
def test_an_export_that_cannot_be_read_leaves_no_file(name: str, code: int, words: str, tmp_path: Path) -> None:
    """It says why, and writes nothing."""
    done = finops("init", name, cwd=tmp_path, now=NOW)
    assert done.exit_code == code
    assert words in done.output
    assert not list(tmp_path.iterdir())


def test_a_bill_of_days_to_come_has_nothing_to_begin_with(tmp_path: Path) -> None:
    """A line that is dated tomorrow is no day that is over."""
    folder = tmp_path / "export"
    folder.mkdir()
    write_rows(folder / "export.parquet", rows_of([line(1, start=at(20))], "focus"))
    done = finops("init", "export", cwd=tmp_path, now=NOW)
    assert done.exit_code == 1
    assert "no line of a day that is over" in done.output
    assert [each.name for each in tmp_path.iterdir()] == ["export"]


def test_ous_come_from_the_organization_where_asked(export: str, tmp_path: Path, aws: StandIn) -> None:
    """Accounts that it knows have their path; the others are to be filled in."""
    account = "777788889999"
    aws.organizations.grow({"Workloads": {account: "shop"}})
    write_rows(tmp_path / export / "more.parquet", rows_of([line(500, start=at(12), account=account)], "focus"))
    done = finops("init", export, "--organizations", cwd=tmp_path, now=NOW)
    assert done.exit_code == 0, done.output
    rows = [row.split(",") for row in (tmp_path / "accounts.csv").read_text().splitlines()[1:]]
    assert [(row[0], row[2]) for row in rows] == [(account, "Workloads"), ("444455556666", ""), ("111122223333", "")]
