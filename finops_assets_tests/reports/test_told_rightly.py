"""What is told of days that are odd as a whole: a bill that has doubled, days that were archived late, covered days."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest

from finops_assets.core.analytics.anomalies import CLOSED, PLANNED
from finops_assets.core.analytics.episodes import FOUND_LATE, LEDGER, read_ledger
from finops_assets.core.archive.restatements import Restatement
from finops_assets.stories.simulation import Simulation

LAST = date(2025, 9, 17)
FIRST = LAST - timedelta(days=55)
"""Four weeks before the oldest day that is doubled or archived late: each day is judged by as many."""

TEAM, LEAD = "team@example.com", "lead@example.com"
DOUBLED = "FinOps: the bill has doubled everywhere: "


def day(before: int) -> date:
    return LAST - timedelta(days=before)


HOLE = [day(n) for n in range(25, 17, -1)]


def begin(home: Path) -> Simulation:
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "events.csv").exists():
        (home / "events.csv").write_text("first,last,ou,service,what\n", encoding="utf-8")
    people = {"mail.recipients": TEAM, "mail.by_ou": {"Workloads/Prod": [LEAD]}}
    settings = {"anomalies.events": str(home / "events.csv"), **people}
    return Simulation(home, FIRST, LAST, settings, in_memory=True, draw=lambda _: b"")


def archived(home: Path, *, without: frozenset[date] = frozenset()) -> Path:
    """A home with the days up to three before the last, mailed on their morning; some of them are not archived."""
    sim = begin(home)
    sim.at(day(2), "02:00")
    sim.deliver(day(3), without=without)
    if without:
        run(sim, FIRST, min(without) - timedelta(days=1))
        run(sim, max(without) + timedelta(days=1), day(3))
    else:
        run(sim, FIRST, day(3))
    sim.close()
    return home


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return archived(tmp_path_factory.mktemp("whole") / "home")


@pytest.fixture(scope="module")
def with_a_hole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return archived(tmp_path_factory.mktemp("hole") / "home", without=frozenset(HOLE))


def copied(prepared: Path, home: Path) -> Iterator[Simulation]:
    shutil.copytree(prepared, home)
    if not (home / "alerts-before").exists():
        (home / "alerts-before").write_text("\n".join(file.name for file in (home / "alerts").glob("*.eml")))
    sim = begin(home)
    yield sim
    sim.close()


@pytest.fixture(scope="module")
def doubled_once(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home on the first morning on which the bill has doubled."""
    home = tmp_path_factory.mktemp("doubled") / "home"
    for sim in copied(whole, home):
        morning(sim, day(2), {day(2): 2.0})
    return home


@pytest.fixture
def sim(whole: Path, tmp_path: Path) -> Iterator[Simulation]:
    yield from copied(whole, tmp_path / "home")


@pytest.fixture
def doubled(doubled_once: Path, tmp_path: Path) -> Iterator[Simulation]:
    yield from copied(doubled_once, tmp_path / "home")


@pytest.fixture
def holed(with_a_hole: Path, tmp_path: Path) -> Iterator[Simulation]:
    yield from copied(with_a_hole, tmp_path / "home")


def run(sim: Simulation, first: date, last: date | None = None) -> None:
    request = sim.request(first, last or first)
    sim.launch("a run", [request._replace(run_key=f"{request.run_key}-{len(sim.ran)}")])
    assert sim.ran[-1].error == ""


def morning(sim: Simulation, of: date, amounts: dict[date, float] | None = None) -> None:
    """The bill of a day is delivered in the night after it, and the day is run."""
    sim.at(of + timedelta(days=1), "02:00")
    sim.deliver(of, amounts)
    run(sim, of)


def alerts(sim: Simulation, kind: str) -> list[EmailMessage]:
    """Those since the home was copied, which has the alerts of its history."""
    return [mail for mail in sim.alerts()[len(_before(sim)) :] if mail["Subject"].startswith(kind)]


def _before(sim: Simulation) -> list[str]:
    return (sim.home / "alerts-before").read_text(encoding="utf-8").split()


def open_incidents(sim: Simulation, kind: str) -> list[str]:
    return [incident.subject for incident in sim.watch.incidents.open(kind)]


def text_to(sim: Simulation, address: str = TEAM) -> str:
    mail = [mail for mail in sim.mails() if mail["To"] == address][-1]
    return mail.get_body(("plain",)).get_content()


def html_to(sim: Simulation, address: str = TEAM) -> str:
    mail = [mail for mail in sim.mails() if mail["To"] == address][-1]
    return mail.get_body(("html",)).get_content()


def test_a_bill_that_has_doubled_is_asked_about_on_its_first_day_wherever_the_day_is_shown(doubled: Simulation) -> None:
    """One alert, and the question with its answer on top of the mail and of the dashboard; no OU is blamed."""
    (alert,) = alerts(doubled, DOUBLED)
    line = f"{day(2)},{day(2) + timedelta(days=28)},All,,the cost is real"
    assert alert["Subject"] == f"{DOUBLED}{day(2)}"
    assert line in alert.get_content()
    assert f"finops run --date {day(2)}" in alert.get_content()
    assert text_to(doubled).startswith("PLEASE ANSWER. Nearly every account costs about 2.")
    assert line in text_to(doubled).splitlines()
    page, mail = doubled.platform.settings.dashboard_file.read_text(encoding="utf-8"), html_to(doubled)
    assert mail.index(line) < mail.index("AWS cost by organizational unit &middot;")
    assert page.index(line) < page.index('<ul class="tiles"')
    assert not alerts(doubled, "FinOps: a cost that nobody expected")


def test_an_edition_asks_without_amounts_of_the_whole(doubled: Simulation) -> None:
    """Readers of one OU learn that the bill is in doubt, and nothing of what the others cost."""
    question = text_to(doubled, LEAD).partition("AWS cost by")[0]
    assert question.startswith("PLEASE ANSWER. Nearly every account costs about 2.")
    assert "USD" not in question


def test_days_that_stay_doubled_are_one_question(doubled: Simulation) -> None:
    """Three mornings of a doubled bill: one alert, one open incident, and a digest that counts the days."""
    amounts = {day(2): 2.0}
    for of in (day(1), LAST):
        amounts[of] = 2.0
        morning(doubled, of, amounts)
    assert len(alerts(doubled, DOUBLED)) == 1
    assert open_incidents(doubled, "doubled") == [str(day(2))]
    assert f"on 3 days from {day(2)} to {LAST}" in " ".join(text_to(doubled).split())


def test_a_bill_of_weeks_that_is_there_twice_is_one_question(sim: Simulation) -> None:
    """The files of 25 days are delivered twice at once: one alert for all of them, and one all-clear."""
    amounts = {day(n): 2.0 for n in range(3, 28)}
    sim.at(day(2), "04:00")
    sim.deliver(day(3), amounts)
    run(sim, day(27), day(3))
    (alert,) = alerts(sim, DOUBLED)
    assert f"on 25 days from {day(27)} to {day(3)}" in " ".join(alert.get_content().split())
    assert not alerts(sim, "FinOps: a cost that nobody expected")
    assert len(alerts(sim, "FinOps: a day that was mailed has changed")) == 1

    sim.at(day(2), "09:00")
    sim.deliver(day(3))
    run(sim, day(27), day(3))
    assert open_incidents(sim, "doubled") == []
    assert len(alerts(sim, "FinOps: all clear, the doubled bill is mended")) == 1
    assert not text_to(sim).startswith("PLEASE ANSWER")


def test_the_line_that_the_question_names_answers_it(doubled: Simulation) -> None:
    """Written as it stands into events.csv: all clear, planned episodes, and no question about the days that follow."""
    line = next(each for each in text_to(doubled).splitlines() if each.endswith(",All,,the cost is real"))
    with (doubled.home / "events.csv").open("a", encoding="utf-8") as events:
        events.write(f"{line}\n")
    morning(doubled, day(1), {day(2): 2.0, day(1): 2.0})
    assert open_incidents(doubled, "doubled") == []
    assert len(alerts(doubled, "FinOps: all clear, the doubled bill is mended")) == 1
    assert not text_to(doubled).startswith("PLEASE ANSWER")
    morning(doubled, LAST, {day(2): 2.0, day(1): 2.0, LAST: 2.0})
    assert len(alerts(doubled, DOUBLED)) == 1
    told = read_ledger(doubled.platform.archive.get(LEDGER)).notifications
    assert {entry.episode.state for entry in told if entry.episode.first >= day(2)} == {PLANNED}


def test_a_rise_in_days_that_were_archived_late_is_told_once_and_in_the_next_digest(holed: Simulation) -> None:
    """Eight days are filled in at once, half again as dear: one alert that says so, nothing left open, one mention."""
    amounts = dict.fromkeys(HOLE, 1.5)
    holed.at(day(2), "04:00")
    holed.deliver(day(3), amounts)
    run(holed, HOLE[0], HOLE[-1])
    (told,) = alerts(holed, "FinOps: a cost that nobody expected")
    assert FOUND_LATE[2:] in " ".join(told.get_content().split())
    late = [entry for entry in read_ledger(holed.platform.archive.get(LEDGER)).notifications if entry.late]
    assert {entry.episode.state for entry in late} == {CLOSED}
    assert not [s for s in open_incidents(holed, "anomaly") if s in {entry.episode.id for entry in late}]

    run(holed, HOLE[0], HOLE[-1])
    morning(holed, day(2), amounts)
    assert len(alerts(holed, "FinOps: a cost that nobody expected")) == 1
    assert FOUND_LATE[2:] in " ".join(text_to(holed).split())
    morning(holed, day(1), amounts)
    assert FOUND_LATE[2:] not in " ".join(text_to(holed).split()), "it was told yesterday"


def test_a_covered_day_that_moves_a_little_is_told_in_the_next_digest(sim: Simulation) -> None:
    """It had no mail of its own: the total that the covering mail was made with is what it is compared with."""
    was = sim.platform.archive.describe(day(6)).total
    sim.at(day(2), "04:00")
    sim.deliver(day(3), {day(6): 1.02})
    run(sim, day(6))
    now = sim.platform.archive.describe(day(6)).total
    assert sim.platform.outbox.records.mailed(day(6)).covered_by == day(3)
    assert sim.definitions.resources["digests"].changes.since_mailed(sim.now) == [Restatement(day(6), was, now)]
    mails = len(sim.mails())
    morning(sim, day(2), {day(6): 1.02})
    assert len(sim.mails()) == mails + 2
    for address in (TEAM, LEAD):
        assert "Changed by AWS since it was mailed" in text_to(sim, address)
    assert f"{was:,.2f}" in text_to(sim)
    assert f"{now:,.2f}" in text_to(sim)
    assert sim.definitions.resources["digests"].changes.since_mailed(sim.now) == []


def test_a_covered_day_that_moves_far_is_corrected_by_a_revision_of_the_mail_that_covers_it(sim: Simulation) -> None:
    """One alert, one revision that names the day with both totals, and the all-clear; the same run again sends none."""
    sim.at(day(2), "04:00")
    sim.deliver(day(3), {day(6): 1.2})
    run(sim, day(6))
    mail = [mail for mail in sim.mails() if mail["To"] == TEAM][-1]
    assert mail["Subject"].startswith(f"[FinOps] {day(3).day} Sep 2025, revision 2: ")
    assert "+20.0 %" in text_to(sim).partition("Changed by AWS since it was mailed")[2]
    assert len(alerts(sim, "FinOps: a day that was mailed has changed")) == 1
    assert open_incidents(sim, "restated") == []
    mails = len(sim.mails())
    run(sim, day(6))
    assert len(sim.mails()) == mails


def test_a_manifest_from_before_covered_totals_were_kept_is_read(sim: Simulation) -> None:
    """Its covered days are known to be mailed, and no change of them is told."""
    import json

    archive, outbox = sim.platform.archive, sim.platform.outbox
    path = f"{outbox.digests.latest(day(3)).path}manifest.json"
    facts = json.loads(archive.get(path))
    for each in (facts, *facts["editions"].values()):
        del each["covers"]
    del facts["anomalies"]
    archive.put(path, json.dumps(facts).encode())
    stored = outbox.digests.latest(day(3))
    assert (stored.covers, stored.anomalies) == ({}, None)
    assert outbox.records.mailed(day(6)).covered_by == day(3)
