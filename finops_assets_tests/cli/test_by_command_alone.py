"""An archive that is kept by the command alone, as from cron: it does what can be done, and names the rest."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from click.testing import Result

from finops_assets_tests.support.bills import at, line, make_bill
from finops_assets_tests.support.command import finops

pytestmark = pytest.mark.usefixtures("records_in_memory")

MORNING = datetime(2025, 9, 13, 7, tzinfo=UTC)


def september(day: int) -> date:
    return date(2025, 9, day)


def write(folder: Path, costs: Mapping[date, str], written: datetime) -> None:
    """The bill, as an export of that time."""
    file = make_bill(folder / "bill", [line(cost, start=at(day)) for day, cost in costs.items()])
    os.utime(file, (written.timestamp(), written.timestamp()))


def typed(folder: Path, *words: str, now: datetime = MORNING, **settings: str) -> Result:
    places = {"FINOPS_BILL__PATH": str(folder / "bill"), "FINOPS_HOME": str(folder / "home")}
    return finops(*words, cwd=folder, now=now, **places, **settings)


def totals(folder: Path) -> dict[date, str]:
    """What `finops status` says of each archived day."""
    found = json.loads(typed(folder, "status", "--all", "--json").stdout)["days"]
    return {date.fromisoformat(row["day"]): row["total"] for row in found if row["archived"]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bill of 9 to 12 September that was written on the evening of the 12th, and has nothing on the 10th."""
    write(tmp_path, {september(9): "9", september(11): "11", september(12): "5"}, datetime(2025, 9, 12, 18, tzinfo=UTC))
    return tmp_path


def test_a_downloaded_export_is_archived_but_for_the_day_that_was_not_over(folder: Path) -> None:
    """Its last day is named, and the empty one is a day at 0; a second look has nothing more to do."""
    done = typed(folder, "backfill")
    assert done.exit_code == 0, done.stderr
    assert (
        "left out: 2025-09-12 (the newest export was written 2025-09-12 18:00 UTC, before it was over)" in done.stderr
    )
    assert totals(folder) == {september(9): "9", september(10): "0", september(11): "11"}
    assert "5.00 USD on 2025-09-12: the day was not over when the export was written" in done.stdout


def test_of_days_that_were_asked_for_those_that_are_there_are_archived(folder: Path) -> None:
    """The others are named with their reasons, for people and programs, and the exit code says that it is not all."""
    done = typed(folder, "backfill", "2025-08-31", "2025-09-12", "--json")
    assert done.exit_code == 1
    assert {date.fromisoformat(day): why for day, why in json.loads(done.stdout)["left_out"].items()} == {
        date(2025, 8, 31): "it has no charges on it",
        september(12): "the newest export was written 2025-09-12 18:00 UTC, before it was over",
    }
    assert max(totals(folder)) == september(11)


def test_the_mornings_run_finds_what_has_changed_and_what_is_missing(folder: Path) -> None:
    """From cron, without a daemon: an older day that moved is archived anew with the new day's run, in one mail."""
    typed(folder, "backfill", "2025-09-09", "2025-09-10")
    write(
        folder,
        {september(9): "9.50", september(10): "1", september(11): "11", september(12): "12"},
        datetime(2025, 9, 13, 6, tzinfo=UTC),
    )
    named = typed(folder, "run", "--date", "2025-09-12")
    assert named.exit_code == 0, named.stderr
    assert "left as they are, though the bill has them otherwise: 2025-09-09 to 2025-09-11" in named.stderr
    assert totals(folder) == {september(9): "9", september(10): "0", september(12): "12"}
    assert typed(folder, "gaps").exit_code == 1
    done = typed(folder, "run")
    assert done.exit_code == 0, done.stderr
    assert totals(folder) == {september(9): "9.5", september(10): "1", september(11): "11", september(12): "12"}
    assert "33.50 USD in 4 days of the archive, and nothing else." in done.stdout
    assert typed(folder, "gaps").exit_code == 0


def test_another_cost_basis_makes_another_bill(tmp_path: Path) -> None:
    """The files are as they were, and every day differs: what was compared on the old basis is no longer known."""
    lines = [line("9", start=at(september(day)), extra={"EffectiveCost": 7}) for day in (11, 12)]
    file = make_bill(tmp_path / "bill", lines)
    os.utime(file, (MORNING.timestamp() - 3600, MORNING.timestamp() - 3600))
    assert typed(tmp_path, "backfill").exit_code == 0
    assert totals(tmp_path) == {september(11): "9", september(12): "9"}
    done = typed(tmp_path, "run", FINOPS_BILL__COST_BASIS="effective")
    assert done.exit_code == 0, done.stderr
    assert totals(tmp_path) == {september(11): "7", september(12): "7"}


def test_where_nothing_can_be_done_the_command_fails(folder: Path) -> None:
    """A range of which the bill has no day is refused with the reason, and nothing is run."""
    done = typed(folder, "backfill", "2025-08-01", "2025-08-03")
    assert done.exit_code == 1
    assert "2025-08-01 to 2025-08-03 (it has no charges on it)" in done.stderr
    assert totals(folder) == {}
