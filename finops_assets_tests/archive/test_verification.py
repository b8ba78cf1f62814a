"""`finops verify` and its nightly job: the whole archive proved by content, and each damaged day told with its cure."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from finops_assets.cli.main import main
from finops_assets.core.archive import proof
from finops_assets.core.operations import verification
from finops_assets.core.schemas import day_path
from finops_assets.stories.simulation import Simulation
from finops_assets_tests.archive.test_proof import rewritten, with_costs

FIRST, LAST = date(2025, 8, 30), date(2025, 9, 4)
DAMAGED, CUT = FIRST + timedelta(days=1), FIRST + timedelta(days=2)


def play(home: Path, **how: object) -> Simulation:
    return Simulation(home, FIRST, LAST, draw=lambda _: b"", in_memory=True, **how)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose six days are whole and mailed."""
    sim = play(tmp_path_factory.mktemp("verified") / "home")
    sim.at(LAST + timedelta(days=1), "02:00")
    sim.deliver(LAST)
    sim.launch("a backfill", [sim.request(FIRST, LAST)])
    sim.close()
    assert [ran.success for ran in sim.ran] == [True]
    return sim.home


@pytest.fixture
def sim(whole: Path, tmp_path: Path) -> Iterator[Simulation]:
    shutil.copytree(whole, tmp_path / "home")
    sim = play(tmp_path / "home")
    sim.at(LAST + timedelta(days=1), "04:00")
    yield sim
    sim.close()


def alter(sim: Simulation, day: date, **footer: str | None) -> bytes:
    """Give each row of a day the same share of its total; returns the object as it was."""
    file = sim.platform.settings.archive_folder / day_path(day)
    good = file.read_bytes()
    rows, total = sim.platform.archive.describe(day).rows, sim.platform.archive.describe(day).total
    file.write_bytes(rewritten(good, with_costs(*[float(total) / rows] * rows), **footer))
    return good


def finops(sim: Simulation, *words: str) -> Result:
    settings = {
        "FINOPS_HOME": str(sim.home),
        "FINOPS_BILL__PATH": str(sim.bill),
        "FINOPS_BILL__FIRST_DAY": str(FIRST),
        "FINOPS_ACCOUNTS__PATH": str(sim.accounts),
    }
    return CliRunner().invoke(main, list(words), env=settings)


def test_a_whole_archive_is_proved(sim: Simulation) -> None:
    """Every day, its rows and bytes are counted; nothing is written, told or missing."""
    archive = sim.platform.archive
    found = [archive.describe(day) for day in archive.days()]
    rows, size = sum(there.rows for there in found), sum(there.size_bytes for there in found)
    done = finops(sim, "verify")
    assert (done.exit_code, done.output) == (0, f"6 of 6 days proved: {rows:,} rows, {size / 1e6:,.1f} MB.\n")
    told = json.loads(finops(sim, "verify", str(FIRST), str(DAMAGED), "--json").output)
    assert (told["verified"], told["days"], told["damaged"], told["without_content_hash"]) == (True, 2, [], 0)
    assert sim.verification()
    assert sim.alerts() == []


def test_damaged_days_are_named_with_the_command_that_mends_them(sim: Simulation) -> None:
    """Rows that add up to the day's total, a cut object, and a day that is gone: each with its cause; exit code 1."""
    alter(sim, DAMAGED)
    cut = sim.platform.settings.archive_folder / day_path(CUT)
    cut.write_bytes(cut.read_bytes()[:-40])
    done = finops(sim, "verify")
    lines = done.output.splitlines()
    assert (done.exit_code, len(lines)) == (1, 5), done.output
    assert lines[0] == f"{DAMAGED}  {day_path(DAMAGED)} is damaged: its rows are not those that were written"
    assert lines[1].split("Mend it: ")[1].startswith(f"finops run --date {DAMAGED}; ")
    assert lines[2].startswith(f"{CUT}  {day_path(CUT)} is damaged")
    assert lines[4].startswith("4 of 6 days proved: ")
    cut.unlink()
    told = json.loads(finops(sim, "verify", str(CUT), str(CUT), "--json").output)
    assert [(found["day"], found["fault"]) for found in told["damaged"]] == [(str(CUT), "is not in the archive")]


def test_the_night_tells_of_a_damaged_day_once_and_its_run_mends_it(sim: Simulation) -> None:
    """One alert, however many nights; the command that it names writes the day anew, and is the all-clear."""
    good = alter(sim, DAMAGED)
    assert not sim.verification()
    sim.at(sim.now.date() + timedelta(days=1), "04:00")
    assert not sim.verification()
    (alert,) = sim.alerts()
    assert alert["Subject"] == f"FinOps: a day is damaged: {DAMAGED}"
    text = alert.get_content()
    assert "is damaged: its rows are not those that were written" in text
    assert f"Mend it: finops run --date {DAMAGED};" in text

    sim.launch("by hand", [sim.request(DAMAGED, DAMAGED)])
    assert [ran.success for ran in sim.ran] == [True]
    proved = proof.prove(sim.platform.archive.get(day_path(DAMAGED)), DAMAGED)
    assert proved.rows == proof.prove(good, DAMAGED).rows
    assert sim.alerts()[-1]["Subject"] == f"FinOps: all clear, the day is as it was written: {DAMAGED}"
    assert sim.verification()
    assert len(sim.alerts()) == 2


def test_a_morning_does_not_show_a_damaged_day(sim: Simulation) -> None:
    """A run that reads one stops, names it and its cure: no digest and no dashboard is made of altered rows."""
    alter(sim, DAMAGED)
    page = sim.platform.settings.dashboard_file.read_bytes()
    assert not sim.run("daily_bill", str(LAST), "by hand", partition_key=str(LAST))
    assert f"finops run --date {DAMAGED}" in sim.ran[-1].error
    assert sim.platform.settings.dashboard_file.read_bytes() == page


def test_days_of_an_older_release_are_counted(sim: Simulation) -> None:
    """They have no content hash: proved by fingerprint where it can be made again, else by rows and total."""
    folder = sim.platform.settings.archive_folder
    for day in (FIRST, DAMAGED):
        file = folder / day_path(day)
        file.write_bytes(rewritten(file.read_bytes(), content=None))
    alter(sim, CUT, content=None)  # to the same total, which nothing that the object says can tell
    found = verification.summary(list(verification.verify(sim.platform.archive, sim.platform.archive.days())))
    assert (found.damaged, found.without_content_hash) == ((), 3)
    assert found.by_rows_and_total >= 1
    assert "3 of them have no content hash" in finops(sim, "verify").output


def test_the_wrong_range_is_refused(sim: Simulation) -> None:
    """One day of two, or the wrong way round."""
    assert finops(sim, "verify", str(FIRST)).exit_code == 2
    assert finops(sim, "verify", str(LAST), str(FIRST)).exit_code == 2


def test_every_night_has_its_schedule(sim: Simulation) -> None:
    """By the setting, in UTC, running from the start."""
    schedule = sim.definitions.get_repository_def().get_schedule_def("nightly_verification_schedule")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 4 * * *", "UTC")
    assert schedule.default_status.value == "RUNNING"
