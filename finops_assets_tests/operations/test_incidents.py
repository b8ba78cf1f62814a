"""Incidents: who is told what, once, whatever is repeated, killed or done by two processes at once."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier, Thread

import pytest

from finops_assets.adapters.shared.archive import ObjectArchive, folder_store
from finops_assets.core.errors import ArchiveError, FinopsError
from finops_assets.core.operations.alert_messages import KINDS, SHOWN
from finops_assets.core.operations.incident_records import Problem
from finops_assets.core.operations.incidents import STILL_SENDING, Incidents
from finops_assets.core.records import KEY

MISSING = {"2025-09-10": Problem("no object: the bill has it", "run twice", "finops run --date 2025-09-10", "abc")}


@dataclass
class Channel:
    """An alert channel that keeps what it was given, and can be broken or die."""

    broken: str = ""
    dies: bool = False
    sent: list[tuple[str, str, str]] = field(default_factory=list)

    def send(self, subject: str, text: str, alert_id: str = "") -> str:
        if self.broken:
            raise FinopsError(self.broken, fix="Mend the topic.")
        self.sent.append((subject, text, alert_id))
        if self.dies:
            raise KeyboardInterrupt
        return f"message {len(self.sent)}"


@dataclass
class Desk:
    """Incidents over a folder, with a clock and a channel."""

    folder: Path
    channel: Channel = field(default_factory=Channel)
    now: datetime = datetime(2025, 9, 11, 7, tzinfo=UTC)

    def open(self) -> Incidents:
        """As a process that has just started has them."""
        archive = ObjectArchive(folder_store(str(self.folder)))
        return Incidents(
            archive, self.channel, clock=lambda: self.now, run_link=lambda run: f"http://127.0.0.1:3000/runs/{run}"
        )

    @property
    def subjects(self) -> list[str]:
        return [subject for subject, _, _ in self.channel.sent]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "archive")


def test_one_alert_when_it_breaks_one_when_it_heals_none_between(desk: Desk) -> None:
    """However often it is found, and by however many processes: two messages."""
    for _ in range(3):
        desk.open().update("missing_day", MISSING)
        desk.now += timedelta(hours=1)
    for _ in range(2):
        desk.open().update("missing_day", {})
        desk.now += timedelta(hours=1)
    assert desk.subjects == [
        "FinOps: a day is missing: 2025-09-10",
        "FinOps: all clear, the day is there: 2025-09-10",
    ]
    (closed,) = desk.open().closed()
    assert desk.open().open() == []
    assert (closed.notified, closed.all_clear) == ("message 1", "message 2")
    assert closed.closed - closed.opened == timedelta(hours=3)


def test_an_alert_answers_what_whoever_is_woken_asks(desk: Desk) -> None:
    """Cause, what was tried, the command, the run, the runbook's heading and since when."""
    desk.open().update("missing_day", MISSING)
    ((_, text, _),) = desk.channel.sent
    assert text == (
        "2025-09-10: no object: the bill has it\n\n"
        "Tried: run twice\n"
        "Mend it: finops run --date 2025-09-10\n"
        "Dagster run: http://127.0.0.1:3000/runs/abc\n"
        "Since: 2025-09-11 07:00 UTC\n\n"
        "Runbook: docs/runbook.md#a-day-is-missing\n"
    )


def test_it_breaks_again_after_it_healed(desk: Desk) -> None:
    """The second time is another incident."""
    for problems in (MISSING, {}, MISSING, {}):
        desk.open().update("missing_day", problems)
        desk.now += timedelta(minutes=5)
    assert len(desk.subjects) == 4
    assert len(desk.open().closed("2025-09")) == 2


def test_incidents_of_one_kind_are_told_together(desk: Desk) -> None:
    """Thirty missing days are one message, which spells out ten and names the others; each has its own all-clear."""
    problems = {f"2025-09-{day:02d}": Problem("no object") for day in range(1, 31)}
    desk.open().update("missing_day", problems)
    ((subject, text, _),) = desk.channel.sent
    assert subject == "FinOps: a day is missing: 2025-09-01, 2025-09-02, 2025-09-03 and 27 more"
    assert text.count("no object") == SHOWN
    assert "And 20 more: 2025-09-11, " in text
    del problems["2025-09-04"]
    desk.open().update("missing_day", problems)
    assert desk.subjects[1:] == ["FinOps: all clear, the day is there: 2025-09-04"]


def test_a_broken_channel_loses_nothing_and_is_seen(desk: Desk) -> None:
    """The incident says that nobody was told and why; once the channel works, it is told, once."""
    desk.channel.broken = "the topic is gone"
    desk.open().update("missing_day", MISSING)
    (incident,) = desk.open().open()
    assert incident.not_notified == "the topic is gone. Mend the topic."
    assert not incident.notified
    desk.channel.broken = ""
    for _ in range(2):
        desk.open().update("missing_day", MISSING)
    assert desk.subjects == ["FinOps: a day is missing: 2025-09-10"]
    (incident,) = desk.open().open()
    assert (incident.not_notified, incident.opened) == ("", desk.now)


def test_what_heals_before_anybody_was_told_is_not_announced(desk: Desk) -> None:
    """An all-clear for something that nobody heard of would only raise questions; it is kept on record."""
    desk.channel.broken = "the topic is gone"
    desk.open().update("missing_day", MISSING)
    desk.channel.broken = ""
    desk.open().update("missing_day", {})
    assert desk.subjects == []
    (closed,) = desk.open().closed()
    assert closed.all_clear == "no alert was sent, so no all-clear is"


@pytest.mark.parametrize("problems", [MISSING, {}], ids=["while it breaks", "while it heals"])
def test_a_process_killed_while_it_tells(desk: Desk, problems: dict[str, Problem]) -> None:
    """The message may be out or not: it is sent again after a while, under the same id; nothing is lost."""
    if not problems:
        desk.open().update("missing_day", MISSING)
    desk.channel.dies = True
    with pytest.raises(KeyboardInterrupt):
        desk.open().update("missing_day", problems)
    desk.channel.dies = False
    before = len(desk.channel.sent)
    desk.now += timedelta(minutes=1)
    desk.open().update("missing_day", problems)
    assert len(desk.channel.sent) == before, "the other process may still be at it"
    desk.now += STILL_SENDING
    desk.open().update("missing_day", problems)
    desk.open().update("missing_day", problems)
    assert len(desk.channel.sent) == before + 1
    assert desk.channel.sent[-1][2] == desk.channel.sent[-2][2]
    assert len(desk.open().open()) == bool(problems)


def test_two_processes_at_once_tell_once(desk: Desk) -> None:
    """A sensor and a run's own hook find the same at the same moment."""
    for problems in (MISSING, {}):
        gate = Barrier(8)

        def update(incidents: Incidents, found: dict[str, Problem] = problems, gate: Barrier = gate) -> None:
            gate.wait()
            incidents.update("missing_day", found)

        threads = [Thread(target=update, args=(desk.open(),)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(desk.subjects) == 2
    assert desk.open().open() == []


def test_subjects_are_no_paths(desk: Desk) -> None:
    """An address or a name with slashes and line ends is kept as it is, in one object of its own kind."""
    subject = "../../up/er\r\nBcc: all@example.com@example.com"
    desk.open().update("refused", {subject: Problem("bounce")})
    (incident,) = desk.open().open("refused")
    assert incident.subject == subject
    desk.open().update("refused", {})
    assert [incident.subject for incident in desk.open().closed()] == [subject]


def test_every_kind_says_both_sides() -> None:
    """Each kind has its words for breaking and for healing, and no two share a heading."""
    assert all(kind.alert and kind.all_clear and kind.heading for kind in KINDS.values())
    assert len({kind.heading for kind in KINDS.values()}) == len(KINDS)


@dataclass
class FullDisk:
    """An archive that takes nothing, as on a full disk, or gives nothing either, as a bucket out of reach."""

    inner: ObjectArchive
    full: bool = True
    out_of_reach: bool = False
    refuses: tuple[str, ...] = ("create", "put", "delete")

    def __getattr__(self, name: str) -> object:
        if self.full and (self.out_of_reach or name in self.refuses):

            def refuse(*_: object, **__: object) -> None:
                raise ArchiveError("cannot be written: no space left", where="the archive", fix="Free space.")

            return refuse
        return getattr(self.inner, name)


@pytest.fixture
def full(desk: Desk) -> FullDisk:
    return FullDisk(ObjectArchive(folder_store(str(desk.folder))))


def without_room(desk: Desk, full: FullDisk) -> Incidents:
    return Incidents(full, desk.channel, clock=lambda: desk.now)


@pytest.mark.parametrize("out_of_reach", [False, True], ids=["full", "out of reach"])
def test_an_alert_needs_no_disk(desk: Desk, full: FullDisk, out_of_reach: bool) -> None:
    """What cannot be noted is told all the same, says so, is not told at every tick, and noted once there is room."""
    full.out_of_reach = out_of_reach
    incidents = without_room(desk, full)
    for _ in range(5):
        incidents.update("missing_day", MISSING)
        incidents.open_incident("missing_day", *next(iter(MISSING.items())))
        desk.now += timedelta(minutes=10)
    assert desk.subjects == ["FinOps: a day is missing: 2025-09-10"]
    assert "could not be noted in the archive (the archive: cannot be written: no space left" in desk.channel.sent[0][1]
    full.full = False
    for _ in range(2):
        incidents.update("missing_day", MISSING)
    assert len(desk.subjects) == 1, "it was told before it could be noted"
    (noted,) = desk.open().open()
    assert noted.notified == "message 1"
    incidents.update("missing_day", {})
    assert desk.subjects[1:] == ["FinOps: all clear, the day is there: 2025-09-10"]


def test_what_stays_without_a_note_is_told_again_each_hour(desk: Desk, full: FullDisk) -> None:
    """And by each process of its own: rather twice than not at all. What is over is not remembered."""
    incidents = without_room(desk, full)
    for _ in range(13):
        incidents.update("missing_day", MISSING)
        desk.now += timedelta(minutes=10)
    assert len(desk.subjects) == 3
    without_room(desk, full).update("missing_day", MISSING)
    assert len(desk.subjects) == 4
    incidents.update("missing_day", {})
    incidents.update("missing_day", MISSING)
    assert len(desk.subjects) == 5


def test_a_note_that_cannot_be_ended_sends_no_second_alert(desk: Desk, full: FullDisk) -> None:
    """The disk fills up between the note and the message: the process that told says nothing more for an hour."""
    full.refuses = ("put",)
    incidents = without_room(desk, full)
    for _ in range(5):
        incidents.update("missing_day", MISSING)
        desk.now += timedelta(minutes=11)
    assert len(desk.subjects) == 1


def test_what_can_neither_be_noted_nor_told_is_an_error(desk: Desk, full: FullDisk) -> None:
    """A channel that is files on the same disk: whoever asks is told that nobody was."""
    desk.channel.broken = "the alert cannot be written"
    with pytest.raises(FinopsError, match="nobody was told of missing_day/2025-09-10"):
        without_room(desk, full).update("missing_day", MISSING)


def test_what_is_wrong_is_told_although_what_healed_cannot_be_noted(desk: Desk, full: FullDisk) -> None:
    """One day is well again, another breaks, and the disk is full: the all-clear waits for room, the alert does not."""
    desk.open().update("missing_day", MISSING)
    with pytest.raises(ArchiveError):
        without_room(desk, full).update("missing_day", {"2025-09-11": Problem("no object")})
    assert desk.subjects[1:] == ["FinOps: a day is missing: 2025-09-11"]


def test_an_incident_of_an_earlier_release_is_read(desk: Desk) -> None:
    """Versions 0 and 1 called its fields otherwise; it is closed as any other."""
    desk.open().update("missing_day", MISSING)
    (incident,) = desk.open().open()
    names = {"problem": "trouble", "notified": "told", "not_notified": "untold", "closed": "healed"}
    path = desk.folder / incident.path
    fields = {names.get(name, name): value for name, value in json.loads(path.read_bytes()).items()}
    path.write_text(json.dumps(fields | {KEY: 1}))
    assert desk.open().open() == [incident]
    desk.open().update("missing_day", {})
    (closed,) = desk.open().closed()
    assert (closed.problem, closed.notified, closed.closed) == (incident.problem, "message 1", desk.now)
