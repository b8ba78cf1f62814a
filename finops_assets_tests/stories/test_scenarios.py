"""The stories of `finops demo --scenario`: what each tells, in which order, and that it ends with every day whole."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from finops_assets.cli.main import main
from finops_assets.platform import build_platform
from finops_assets.settings.load import load_settings
from finops_assets.stories import scenarios
from finops_assets.stories.simulation import Simulation

LAST = date(2025, 9, 12)

# What is told of the story itself, in this order; the mornings before it are the same for all.
STORIES = {
    "late-export": [
        r"07:00  run of 2025-09-12 \(every_morning\): failed, .*before 2025-09-12 was over",
        r"07:00  alert: FinOps: the bill is late: 2025-09-12$",
        r"07:00  mail to finops@localhost: \[FinOps\] 12 Sep 2025: no bill yet; data through 11 Sep 2025$",
        r"07:30  the checks of the morning are red$",
        r"16:10  run of 2025-09-12 \(the bill has this day now\): done$",
        r"16:10  alert: FinOps: all clear, the bill has arrived: 2025-09-12$",
        r"16:10  mail to finops@localhost: \[FinOps\] 12 Sep 2025, revision 2: 3,451.83 USD",
        r"16:10  the checks of the morning are green$",
    ],
    "restatement": [
        r"run of 2025-09-06 \(the bill has changed this day\): done$",
        r"run of 2025-09-09 \(the bill has changed this day\): done$",
        r"run of 2025-09-11 \(the bill has changed this day\): done$",
        r"run of 2025-09-12 \(the bill has this day now\): done$",
        r"alert: FinOps: a day that was mailed has changed: 2025-09-09$",
        r"alert: FinOps: all clear, the change was mailed: 2025-09-09$",
        r"mail .*\] 9 Sep 2025, revision 2: 4,343.08 USD",
        r"mail .*\] 12 Sep 2025: 3,451.83 USD",
        r"07:00  the daily schedule has nothing to do: 2025-09-12 is done: mailed 2025-09-13 02:10 UTC",
        r"2025-09-09  310  3474.467660546200  4343.084575681800  868.616915135600$",
    ],
    "ou-move": [
        r"run of 2025-09-12 \(the bill has this day now\): done$",
        r"mail .*\] 12 Sep 2025: 3,451.83 USD",
        r"02:11  run of 2025-09-06 to 2025-09-11 \(the bill has changed this day\): done$",
        r"2025-09-05  Root  ",
        r"2025-09-06  Acquisitions/Newcomers  ",
        r"2025-09-12  Acquisitions/Newcomers  ",
    ],
    "missing-day": [
        r"12:00  run of 2025-09-06 \(no object\): done$",
        r"12:00  run of 2025-09-09 \(no partition\): done$",
        r"not whole now: no day$",
        r"alert: FinOps: a day is missing: 2025-09-03$",
        r"12:00  run of 2025-09-03 \(the bill has this day now\): done$",
        r"alert: FinOps: all clear, the day is there: 2025-09-03$",
    ],
    "bounce": [
        r"mail .*\] 12 Sep 2025: 3,451.83 USD",
        r"alert: FinOps: a recipient does not get the digest: finops@localhost$",
        r"10:00  alert: FinOps: all clear, the recipient can be reached: finops@localhost$",
    ],
    "spice-failure": [
        r"run of 2025-09-12 \(the bill has this day now\): failed, .*dashboard.html: the dashboard cannot be written",
        r"alert: FinOps: the dashboard was not refreshed: 2025-09-12$",
        r"02:10  mail .*\] 12 Sep 2025: 3,451.83 USD",
        r"02:30  run of 2025-09-12 \(dashboard outdated\): done$",
        r"02:30  alert: FinOps: all clear, the dashboard is current again: 2025-09-12$",
    ],
    "crash": [
        r"the process that ran 2025-09-12 was killed once the day was archived$",
        r"what it left: 2025-09-12: no partition$",
        r"alert: FinOps: a run failed: 2025-09-12$",
        r"run of 2025-09-12 \(no partition\): done$",
        r"alert: FinOps: all clear, the days of the failed run are whole: 2025-09-12$",
        r"mail .*\] 12 Sep 2025: 3,451.83 USD",
        r"and then: mailed 2025-09-13 02:30 UTC to finops@localhost \(revision 1\)$",
    ],
}


@dataclass
class Begun:
    """A home after the mornings before its story, and where its simulation stood."""

    home: Path
    now: datetime
    cursors: dict[str, str | None]
    run_keys: set[tuple[str, str]]


@dataclass
class Beginnings:
    """The mornings before a story, which are the same for most: lived once, and copied for the next story."""

    folder: Path
    live: Callable[[Simulation, int], None]
    begun: dict[int, Begun] = field(default_factory=dict)

    def begin(self, sim: Simulation, mailed: int = 1) -> None:
        if not sim.in_memory:  # another process looks for the runs of these mornings, which a copy has not
            self.live(sim, mailed)
        elif begun := self.begun.get(mailed):
            shutil.copytree(begun.home, sim.home, dirs_exist_ok=True)
            sim.now, sim._cursors, sim._run_keys = begun.now, dict(begun.cursors), set(begun.run_keys)
            sim._seen.update(file for kind in ("alerts", "outbox") for file in (sim.home / kind).glob("*.eml"))
        else:
            self.live(sim, mailed)
            kept = self.folder / str(mailed)
            shutil.copytree(sim.home, kept, ignore=lambda folder, names: {"dagster", "final-bill"} & set(names))
            self.begun[mailed] = Begun(kept, sim.now, dict(sim._cursors), set(sim._run_keys))


@pytest.fixture(scope="module")
def beginnings(tmp_path_factory: pytest.TempPathFactory) -> Beginnings:
    return Beginnings(tmp_path_factory.mktemp("begun"), scenarios.begin)


@pytest.mark.parametrize("name", STORIES)
def test_a_story_is_told_to_its_end(
    name: str, beginnings: Beginnings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is noticed, sent and mended, each once; afterwards every day is whole, and nothing is left open."""
    # Charts have their own tests; the story of the crash needs records that another process sees.
    quick = partial(Simulation, draw=lambda _: b"", in_memory=name != "crash")
    monkeypatch.setattr(scenarios, "Simulation", quick)
    monkeypatch.setattr(scenarios, "begin", beginnings.begin)
    told: list[str] = []
    scenarios.play(name, tmp_path / "story", LAST, told.append)
    left = iter(told)
    for expected in STORIES[name]:
        assert any(re.search(expected, line) for line in left), f"not told, or not in this order: {expected}\n{told}"
    alerts = [line for line in told if "alert: " in line]
    assert len(alerts) == sum("alert: " in expected for expected in STORIES[name]), alerts
    platform = build_platform(load_settings({"FINOPS_HOME": str(tmp_path / "story")}, folder=tmp_path))
    days = platform.archive.days()
    assert days[-1] == LAST
    assert len(days) == (days[-1] - days[0]).days + 1
    assert list(platform.catalog.registered()) == days
    assert not platform.archive.list("incidents/open/")


def test_every_story_can_be_chosen() -> None:
    """`finops demo --scenario list` names them with what they tell; another name is refused with the same list."""
    listed = CliRunner().invoke(main, ["demo", "--scenario", "list"])
    assert listed.exit_code == 0
    assert [line.split()[0] for line in listed.output.splitlines()] == list(STORIES) == list(scenarios.SCENARIOS)
    refused = CliRunner().invoke(main, ["demo", "--scenario", "earthquake"])
    assert refused.exit_code == 2
    assert "no such story: 'earthquake'; `--scenario list` names them" in refused.output
