"""Rounds: one at a time, what a killed one leaves, and what is remembered from one to the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from finops_assets.adapters.shared.archive import ObjectArchive
from finops_assets.core.operations.rounds import GONE_AFTER, PATH, Round, RunOfDays, begin
from finops_assets_tests.support.bills import new_archive

SEVEN = datetime(2025, 9, 13, 7, tzinfo=UTC)
RUN = RunOfDays(date(2025, 9, 11), date(2025, 9, 12), ("athena_partition",), {"finops/mail": "yes"}, retry=1)


@dataclass
class Clock:
    now: datetime = SEVEN

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def archive(tmp_path: Path) -> ObjectArchive:
    return new_archive(tmp_path)


def begun(archive: ObjectArchive, clock: Callable[[], datetime]) -> Round:
    round_ = begin(archive, clock)
    assert isinstance(round_, Round)
    return round_


def test_one_process_makes_a_round_at_a_time(archive: ObjectArchive) -> None:
    """Another is told since when it is made; once that gives no sign of life any more, it goes ahead."""
    clock = Clock()
    begun(archive, clock)
    clock.now += GONE_AFTER - timedelta(seconds=1)
    assert begin(archive, clock) == SEVEN
    clock.now += timedelta(seconds=1)
    with begun(archive, clock).under_way():
        assert begin(archive, clock) == clock.now
    begun(archive, clock)


def test_a_long_round_gives_signs_of_life(archive: ObjectArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lasts for hours is not taken for killed."""
    monkeypatch.setattr("finops_assets.core.operations.rounds.SIGN_SECONDS", 0.001)
    clock = Clock()
    with begun(archive, clock).under_way():
        clock.now += timedelta(hours=3)
        signs = [archive.get(PATH)]
        while b"T10:00" not in (signs[-1] or b""):  # the next sign has the clock's time
            signs.append(archive.get(PATH))
        assert begin(archive, clock) == SEVEN


def test_a_run_is_left_to_the_next_round_where_its_process_ends_in_it(archive: ObjectArchive) -> None:
    """Killed or interrupted: days, assets and tags are those that were asked for. One that fails is done."""
    interrupted = begun(archive, Clock())
    with pytest.raises(KeyboardInterrupt), interrupted.under_way(), interrupted.running(RUN):
        raise KeyboardInterrupt
    assert begun(archive, Clock()).killed == RUN
    with pytest.raises(ValueError, match="bad"), begun(archive, Clock(SEVEN + GONE_AFTER)).running(RUN):
        raise ValueError("bad")
    assert begun(archive, Clock(SEVEN + 2 * GONE_AFTER)).killed is None


def test_what_is_remembered(archive: ObjectArchive) -> None:
    """The first round looks a day back; later ones from where everything was done, with the sensors' own words."""
    first = begun(archive, Clock())
    assert first.due_since == SEVEN - timedelta(days=1)
    assert first.cursor("a sensor") is None
    first.remember("a sensor", "its words")
    first.done(SEVEN)
    later = begun(archive, Clock(SEVEN + timedelta(days=2)))
    assert (later.due_since, later.cursor("a sensor")) == (SEVEN, "its words")


def test_a_damaged_memory_stops_no_round(archive: ObjectArchive) -> None:
    """It is put aside, and everything is looked at anew."""
    begun(archive, Clock()).done(SEVEN)
    archive.put(PATH, b'{"schema_version": 1, "done_until"')
    assert begun(archive, Clock(SEVEN + timedelta(days=2))).due_since == SEVEN + timedelta(days=1)
    assert len(archive.list("damaged/rounds/")) == 1
