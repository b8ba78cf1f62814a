"""Runs that would not fit into the memory say so before they start."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from finops_assets.adapters.shared.memory import memory_limit
from finops_assets.core.operations import memory
from finops_assets.core.operations.memory import MEGABYTE, MemoryShortError, needed_megabytes
from finops_assets.defs.run import run_days
from finops_assets.platform import Platform, build_platform
from finops_assets.settings.load import load_settings
from finops_assets_tests.support.bills import at, line, make_bill

FIRST, LAST = date(2025, 9, 10), date(2025, 9, 11)


@pytest.mark.parametrize(
    ("rows", "days", "megabytes"),
    [
        (600, 1, 531),
        (600, 399, 544),
        (6_000, 1, 624),
        (6_000, 399, 661),
        (60_000, 1, 1_134),
        (60_000, 31, 1_815),  # a range is worked on month by month
        (12, 1, 531),  # Dagster and the libraries alone
        (33_000, 1, 879),  # halfway between two measurements
        (114_000, 1, 1_644),  # as far beyond the last one as that is beyond the one before
        (60_000, 16, 1_474.5),
    ],
)
def test_what_a_run_takes_is_what_was_measured(rows: int, days: int, megabytes: float) -> None:
    """The table of terraform/README.md, and the lines between its rows."""
    assert needed_megabytes(rows, days) == pytest.approx(megabytes)


def test_a_run_that_just_fits_is_made() -> None:
    """And one without a known limit; a byte less is refused."""
    memory.require(6_000, 1, 624 * MEGABYTE)
    memory.require(6_000, 1, None)
    with pytest.raises(MemoryShortError):
        memory.require(6_000, 1, 624 * MEGABYTE - 1)


def test_a_containers_limit_is_seen(tmp_path: Path) -> None:
    """Of either kind of control group; one without a limit has the machine's memory."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert memory_limit(tmp_path) == machine
    (tmp_path / "memory.max").write_text("max\n", encoding="ascii")
    assert memory_limit(tmp_path) == machine
    (tmp_path / "memory.max").write_text("536870912\n", encoding="ascii")
    assert memory_limit(tmp_path) == 536_870_912
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text("268435456\n", encoding="ascii")
    assert memory_limit(tmp_path) == 268_435_456


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    bill = make_bill(tmp_path / "bill", [line(5, start=at(day)) for day in (FIRST, LAST)])
    written = datetime(2025, 9, 12, 5, tzinfo=UTC).timestamp()
    os.utime(bill, (written, written))
    settings = {"FINOPS_BILL__PATH": str(bill), "FINOPS_HOME": str(tmp_path / "home")}
    return build_platform(load_settings(settings, folder=tmp_path), lambda: datetime(2025, 9, 12, 7, tzinfo=UTC))


@pytest.mark.usefixtures("records_in_memory")
def test_a_run_that_does_not_fit_reads_nothing_and_is_told_of(platform: Platform) -> None:
    """Nothing is archived and people get an alert; with more memory, or without the check, the same run is made."""
    small = replace(platform, memory_limit=lambda: 512 * MEGABYTE)
    (error,) = run_days(small, LAST, LAST, clock=small.clock).errors
    assert "takes about 531 MB of memory, and 512 MB may be used" in error
    assert platform.archive.days() == []
    assert [incident.key for incident in platform.incidents.open()] == [f"run_failed/{LAST}"]
    assert run_days(platform, LAST, LAST, clock=platform.clock).errors == ()
    assert not [incident for incident in platform.incidents.open() if incident.kind == "run_failed"]
    unchecked = platform.settings.warehouse.model_copy(update={"check_memory": False})
    settings = platform.settings.model_copy(update={"warehouse": unchecked})
    assert run_days(replace(small, settings=settings), FIRST, FIRST, clock=small.clock).errors == ()
    assert platform.archive.days() == [LAST - timedelta(days=1), LAST]
