"""A damaged note costs its own part: it is put aside, told once, made anew, and stops neither a run nor the watch."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from obstore.store import MemoryStore

from finops_assets.adapters.shared.archive import ObjectArchive
from finops_assets.cli.main import main
from finops_assets.core import notes
from finops_assets.core.accounts.published_map import published_map
from finops_assets.core.analytics import drivers, episodes, scorecard
from finops_assets.core.archive import restatements
from finops_assets.core.archive.bill_comparison import COMPARED_PATH, BillComparison
from finops_assets.core.archive.causes import NO_SCORECARD
from finops_assets.core.archive.journal import JOURNAL_PATH, Journal
from finops_assets.core.delivery import own_cost, receipts
from finops_assets.core.errors import ArchiveError, DamagedError
from finops_assets.core.operations import losses
from finops_assets.core.operations.incident_records import Problem
from finops_assets.core.operations.incidents import Incidents
from finops_assets.core.schemas import ACCOUNT_MAP_PATH, day_path, scorecard_path
from finops_assets.stories import sample_bill
from finops_assets.stories.simulation import Simulation
from finops_assets_tests.operations.test_incidents import Channel
from finops_assets_tests.support.bills import DAY

pytestmark = pytest.mark.usefixtures("records_in_memory")

FIRST, LAST = date(2025, 8, 28), date(2025, 9, 8)
BEFORE, LOST = LAST - timedelta(days=1), FIRST + timedelta(days=2)
SETTINGS = {"mail.recipients": "finance@example.com,cto@example.com", "mail.by_ou": {"Workloads": ["lead@example.com"]}}
NOW = datetime(2025, 9, 11, 7, tzinfo=UTC)

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "emptied": lambda _: b"",
    "cut": lambda data: data[: len(data) // 2],
    "{}": lambda _: b"{}",
    "[]": lambda _: b"[]",
    "random": lambda _: bytes((7 * n * n + 3) % 256 for n in range(300)),
}

# --- each note by itself --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Note:
    """A note: where it is, how it is read, what that gives without it, and damages that are no damage of it."""

    path: str
    read: Callable[[ObjectArchive], Any]
    without: Any
    harmless: tuple[str, ...] = ()


def incidents(archive: ObjectArchive) -> Incidents:
    return Incidents(archive, Channel(), clock=lambda: NOW)


def settlement_of(archive: ObjectArchive) -> str:
    return Journal(archive, 1).settled()(BEFORE)


OPEN, CLOSED = "incidents/open/doctor/bucket.json", "incidents/closed/2025-09/20250911T070000-doctor-disk.json"
RESTATED, COST = f"restatements/{BEFORE}_a_b.parquet", f"own-cost/{BEFORE}/q.json"
TOLD, TOLD_BY_OU = "digests/_told.json", "digests/_told_by_ou.json"

NOTES = [
    Note(OPEN, lambda archive: incidents(archive).open(), []),
    Note(CLOSED, lambda archive: incidents(archive).closed("2025-09"), []),
    Note(JOURNAL_PATH, settlement_of, "provisional"),
    Note(TOLD, receipts.mailed_totals, {}, ("{}",)),
    Note(TOLD_BY_OU, receipts.mailed_totals_by_ou, {}, ("{}",)),
    Note(COMPARED_PATH, lambda archive: BillComparison(None, archive).last(), None),
    Note(episodes.LEDGER, episodes.read, episodes.Ledger()),
    Note(ACCOUNT_MAP_PATH, published_map, None),
    Note(scorecard_path(BEFORE), lambda archive: scorecard.read(archive, BEFORE), None),
    Note(
        drivers.drivers_path(BEFORE),
        lambda archive: notes.read_note(archive, drivers.drivers_path(BEFORE), drivers.read, None),
        None,
    ),
    Note(RESTATED, lambda archive: restatements.read(archive, [BEFORE]).num_rows, 0),
    Note(COST, lambda archive: own_cost.own_cost(archive, BEFORE), None),
]


@pytest.fixture(scope="module")
def good(whole: Path) -> dict[str, bytes]:
    """Each note as it is where nothing is damaged."""
    folder = whole / "archive"
    found = {note.path: file.read_bytes() for note in NOTES if (file := folder / note.path).is_file()}
    archive = ObjectArchive(MemoryStore())
    there = incidents(archive)
    there.open_incident("doctor", "bucket", Problem("it is gone"))
    there.open_incident("doctor", "disk", Problem("it is full"))
    there.close("doctor", ["disk"])
    found |= {path: archive.get(path) for path in archive.list("incidents/")}
    found[JOURNAL_PATH] = json.dumps({"refreshes": [], "unchanged": {str(BEFORE): 5}}).encode()
    found[COMPARED_PATH] = json.dumps({"state": "a bill", "at": NOW.isoformat()}).encode()
    found[COST] = json.dumps({"queries": 1, "scanned_bytes": 5, "usd": "0.01"}).encode()
    import pyarrow as pa
    import pyarrow.parquet as pq

    row = dict.fromkeys(restatements.RESTATEMENTS.names) | {"billingdate": BEFORE}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist([row], restatements.RESTATEMENTS), sink)
    found[RESTATED] = sink.getvalue().to_pybytes()
    assert found.keys() == {note.path for note in NOTES}
    return found


@pytest.mark.parametrize("note", NOTES, ids=lambda note: note.path)
def test_a_damaged_note_is_put_aside_by_its_reader(note: Note, good: dict[str, bytes]) -> None:
    """Whatever has become of it, reading gives what there is without it, keeps the bytes, and removes them there."""
    archive = ObjectArchive(MemoryStore())
    archive.put(note.path, good[note.path])
    whole = note.read(archive)
    assert whole is not None
    assert repr(whole) != repr(note.without)
    assert archive.list("damaged/") == []
    for name, damage in DAMAGES.items():
        if name in note.harmless:
            continue
        data = damage(good[note.path])
        archive.put(note.path, data)
        assert note.read(archive) == note.without, name
        assert archive.get(note.path) is None, name
        assert data in [archive.get(copy) for copy in notes.copies_of(archive, note.path)], name
    archive.delete(archive.list("damaged/"))
    archive.put(note.path, good[note.path])
    assert repr(note.read(archive)) == repr(whole), "what is written anew is read"
    assert losses.loss_of(note.path).what != "a note", "its loss has words"


def test_the_role_on_aws_may_remove_every_note_but_the_history() -> None:
    """The policy in docs/aws.md allows it; the history of the organization is only ever written over."""
    page = (Path(__file__).parents[2] / "docs" / "aws.md").read_text(encoding="utf-8")
    statement = page.split('"Sid": "WhatIsPassing"')[1].split("]")[0]
    allowed = set(re.findall(r"\$\{BUCKET\}/([\w-]+/)\*", statement))
    folders = {start.partition("/")[0] + "/" for start in losses.LOSSES}
    assert folders - allowed == {"organization/"}


def test_where_nothing_can_be_written_reading_goes_on() -> None:
    """The note stays in its place, and the answer is the same; an archive that cannot be read is an error."""

    class ReadOnly(ObjectArchive):
        def put(self, path: str, data: bytes) -> str:
            raise ArchiveError("cannot be written", where=path)

        def create(self, path: str, data: bytes) -> bool:
            raise ArchiveError("cannot be written", where=path)

    store = MemoryStore()
    ObjectArchive(store).put(JOURNAL_PATH, b"")
    archive = ReadOnly(store)
    assert settlement_of(archive) == "provisional"
    assert archive.list("") == [JOURNAL_PATH]


def test_a_note_that_was_written_anew_meanwhile_is_left_alone() -> None:
    """Between the reading and the putting aside, another process has mended it."""
    archive = ObjectArchive(MemoryStore())
    archive.put("refreshes/journal.json", b"good")
    notes.put_aside(archive, "refreshes/journal.json", b"", "is empty")
    assert archive.get("refreshes/journal.json") == b"good"


def test_a_parser_that_fails_for_another_reason_is_not_believed() -> None:
    """Only DamagedError is a verdict on the note: anything else is a defect, and shows."""
    archive = ObjectArchive(MemoryStore())
    archive.put("a", b"whole")

    def broken(_: bytes) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        notes.read_note(archive, "a", broken, None)
    assert archive.list("") == ["a"]
    with pytest.raises(DamagedError, match="is not a list"):
        notes.json_note(list[int], "a list", "a")(b"{}")


def test_each_damage_is_told_once_until_somebody_has_looked() -> None:
    """One message with what was lost, where the copy is and what follows; the all-clear when the copy is removed."""
    archive, channel = ObjectArchive(MemoryStore()), Channel()
    told = Incidents(archive, channel, clock=lambda: NOW)
    long = f"digests/{DAY}/r1/receipts/{'a' * 64}.{'b' * 64}.json"
    for path in (JOURNAL_PATH, long):
        archive.put(path, b"")
        notes.put_aside(archive, path, b"", "is empty")
    for _ in range(3):
        losses.report(archive, told)
    ((subject, text, _),) = channel.sent
    copies = archive.list("damaged/")
    assert subject.startswith("FinOps: a note was damaged: ")
    for part in (JOURNAL_PATH, long, "was empty", "days are provisional until that is counted again", *copies):
        assert part in text, part
    archive.delete(copies)
    losses.report(archive, told)
    assert [subject.split(":")[1].strip() for subject, *_ in channel.sent[1:]] == ["all clear, the note is put away"]


# --- a home in which every note is damaged --------------------------------------------------------------------------


def play(home: Path, bill: Any) -> Simulation:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sample_bill, "write_sample_bill", lambda *_: bill)
        return Simulation(home, FIRST, LAST, SETTINGS, draw=lambda _: b"", in_memory=True)


@pytest.fixture(scope="module")
def bill(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return sample_bill.write_sample_bill(tmp_path_factory.mktemp("bill"), LAST, (LAST - FIRST).days + 1)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, bill: Any) -> Path:
    """A home whose days up to the last but one are whole and mailed, with an incident open and one closed."""
    sim = play(tmp_path_factory.mktemp("notes") / "home", bill)
    sim.at(BEFORE + timedelta(days=1), "02:00")
    sim.deliver(BEFORE)
    sim.launch("a backfill", [sim.request(FIRST, BEFORE)])
    sim.sensors()
    for subject in ("bucket", "disk"):
        sim.watch.incidents.open_incident("doctor", subject, Problem("it is gone"))
    sim.watch.incidents.close("doctor", ["disk"])
    assert [ran.success for ran in sim.ran] == [True]
    sim.close()
    return sim.home


@pytest.fixture
def sim(whole: Path, bill: Any, tmp_path: Path) -> Iterator[Simulation]:
    shutil.copytree(whole, tmp_path / "home")
    sim = play(tmp_path / "home", bill)
    sim.at(LAST + timedelta(days=1), "02:00")
    yield sim
    sim.close()


def finops(sim: Simulation, *words: str) -> str:
    settings = {
        "HOME": sim.home,
        "BILL__PATH": sim.bill,
        "BILL__FIRST_DAY": FIRST,
        "ACCOUNTS__PATH": sim.accounts,
        "MAIL__RECIPIENTS": SETTINGS["mail.recipients"],
        "MAIL__BY_OU": json.dumps(SETTINGS["mail.by_ou"]),
    }
    done = CliRunner().invoke(main, list(words), env={f"FINOPS_{name}": str(value) for name, value in settings.items()})
    assert done.exception is None or isinstance(done.exception, SystemExit), done.output
    return done.output


PREFIXES = ("anomalies", "account-ou-map", "dashboard", "digests", "drivers", "incidents", "ou-scorecards", "refreshes")
"""Folders of the archive whose small objects are notes."""


def notes_of(sim: Simulation) -> list[str]:
    """Every note of the home; of digests the manifest and the receipts of the newest, and what readers were told."""
    archive = sim.platform.archive
    found = [path for prefix in PREFIXES for path in archive.list(f"{prefix}/") if path.endswith((".json", ".parquet"))]
    kept = (f"digests/{BEFORE}/", "digests/_told")
    return [
        path
        for path in found
        if (not path.startswith("digests/") or path.startswith(kept)) and not path.endswith("/sent.json")
    ]


@pytest.mark.parametrize("damage", ["cut", "[]"])  # one that no reader can parse, and one of another kind
def test_a_home_of_damaged_notes_goes_on(sim: Simulation, damage: str) -> None:
    """The commands answer, yesterday is run and mailed once, a lost day is found, and each damage is told once."""
    archive, sent = sim.platform.archive, len(sim.mails())
    damaged = notes_of(sim)
    assert len(damaged) >= 12
    for path in damaged:
        archive.put(path, DAMAGES[damage](archive.get(path)))
    (sim.platform.settings.archive_folder / day_path(LOST)).unlink()
    sim.deliver(LAST)

    for command in ("status", "gaps"):
        finops(sim, command)
    sim.sensors()
    # The scorecards that were damaged are made again too, by runs of them alone.
    whole = {ran.days for ran in sim.ran if ran.reason != NO_SCORECARD}
    assert (whole, {ran.success for ran in sim.ran}) == ({str(LAST), str(LOST)}, {True}), sim.ran
    assert sorted(archive.days())[-1] == LAST
    assert LOST in archive.days()
    sim.at(sim.now.date(), "03:00")
    sim.sensors()
    sim.at(sim.now.date(), "04:00")
    sim.sensors()
    assert {ran.success for ran in sim.ran} == {True}, sim.ran

    new = [(mail["To"], mail["Subject"]) for mail in sim.mails()[sent:]]
    assert len(set(new)) == len(new), "nobody has a mail twice"
    assert {to for to, subject in new if "8 Sep 2025" in subject} == {
        "finance@example.com",
        "cto@example.com",
        "lead@example.com",
    }
    assert not [subject for _, subject in new if "7 Sep 2025" in subject], "what was mailed is not mailed again"
    text = [alert.get_content() for alert in sim.alerts() if "a note was damaged" in alert["Subject"]]
    told = {copy: sum(copy in each for each in text) for copy in archive.list("damaged/")}
    assert set(told.values()) <= {0, 1}, "each is told once, or counted beyond the tenth of one message"
    opened = sim.watch.incidents.open(losses.KIND)
    assert len(opened) == len(told)
    assert all(incident.notified for incident in opened)
    paths = {copy.removeprefix("damaged/").rpartition(".")[0] for copy in told}
    assert {JOURNAL_PATH, episodes.LEDGER, ACCOUNT_MAP_PATH} <= paths
    assert {path for path in damaged if path.startswith("incidents/open/")} <= paths
    assert sim.watch.inspect(sim.now).gaps == ()
    for command in ("status", "gaps", "anomalies", "doctor"):
        finops(sim, command)

    mails = len(sim.mails())
    sim.launch("by hand", [sim.request(BEFORE, BEFORE)])
    assert (sim.ran[-1].success, len(sim.mails())) == (True, mails), "a day whose manifest is lost was mailed"
    assert "revision 1 cannot be sent again" in finops(sim, "resend", str(BEFORE))
