"""A backfill that is killed for real (SIGKILL), at different points, and run again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from finops_assets.core.schemas import day_path
from finops_assets.platform import Platform, build_platform
from finops_assets.settings.load import load_settings
from finops_assets.stories.sample_bill import write_sample_bill
from finops_assets_tests.support.children import CHILDREN, run_in_child

LAST = date(2025, 9, 30)
DAYS = [LAST - timedelta(days=9 - i) for i in range(10)]
TOML = """[bill]
path = '{bill}'
first_day = 2025-09-21
[accounts]
path = '{accounts}'
[mail]
recipients = ['a@example.com', 'b@example.com', 'c@example.com']
"""

MOMENTS: list[tuple[str, Callable[[Platform], bool]]] = [
    ("the account map is published", lambda p: p.archive.list("account-ou-map") != []),
    ("the first day is archived", lambda p: len(p.archive.days()) >= 1),
    ("half of the days are archived", lambda p: len(p.archive.days()) >= 5),
    ("every day is archived", lambda p: len(p.archive.days()) == 10),
    ("the days are registered", lambda p: bool(p.catalog.registered())),
    ("the dashboard is there", lambda p: p.settings.dashboard_file.exists()),
    ("the digest is stored", lambda p: any(path.endswith("manifest.json") for path in p.archive.list("digests"))),
    ("one of three has the mail", lambda p: len(list(p.settings.outbox_folder.glob("*.eml"))) >= 1),
]


def start(folder: Path, errors: object = None) -> BaseProcess:
    """Begin the backfill of a home in a process of its own, which is a fork of one that has imported everything."""
    environ = {"FINOPS_HOME": str(folder / ".finops"), "FINOPS_SETTINGS": str(folder / "finops.toml")}
    process = CHILDREN.Process(target=run_in_child, args=(environ, DAYS[0], DAYS[-1], errors))
    process.start()
    return process


def finish(folder: Path) -> tuple[str, ...]:
    """Backfill to the end; returns its errors."""
    ours, theirs = CHILDREN.Pipe(duplex=False)
    process = start(folder, theirs)
    theirs.close()
    assert ours.poll(120), "the backfill did not end"
    errors = ours.recv()
    process.join(30)
    return errors


def kill(process: BaseProcess) -> None:
    """SIGKILL to the backfill and what it has started, unless it has ended."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.join(10)


@pytest.fixture(scope="module")
def bill(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample_bill(tmp_path_factory.mktemp("bill") / "bill", LAST, 10).focus


@pytest.fixture(scope="module")
def truth(bill: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[date, str]:
    """The fingerprints of an archive that was never disturbed."""
    folder = tmp_path_factory.mktemp("truth")
    (folder / "finops.toml").write_text(TOML.format(bill=bill, accounts=bill.parent / "accounts.csv"))
    assert finish(folder) == ()
    archive = build_platform(load_settings({}, {"home": str(folder / ".finops")}, folder=folder)).archive
    return {day: archive.describe(day).fingerprint for day in DAYS}


@pytest.mark.parametrize("moments", [MOMENTS[::2], MOMENTS[1::2]], ids=lambda moments: f"{moments[0][0]} ...")
def test_backfills_that_are_killed_leave_whole_days_and_are_finished_by_the_next(
    moments: Sequence[tuple[str, Callable[[Platform], bool]]], bill: Path, truth: dict[date, str], tmp_path: Path
) -> None:
    """One after the other, each killed a moment later: what is there is whole; in the end every day, one mail each."""
    (tmp_path / "finops.toml").write_text(TOML.format(bill=bill, accounts=bill.parent / "accounts.csv"))
    platform = build_platform(load_settings({}, {"home": str(tmp_path / ".finops")}, folder=tmp_path))
    for _, reached in moments:
        backfill = start(tmp_path)
        while backfill.is_alive() and not reached(platform):
            time.sleep(0.002)
        kill(backfill)

        for day in platform.archive.days():
            assert platform.archive.describe(day).fingerprint == truth[day]
            assert platform.archive.read([day]).num_rows == platform.archive.describe(day).rows
        assert set(platform.catalog.registered()) <= set(platform.archive.days())

    assert finish(tmp_path) == ()
    assert {day: platform.archive.describe(day).fingerprint for day in platform.archive.days()} == truth
    assert set(platform.catalog.registered()) == set(DAYS)
    assert {day: found.rows for day, found in platform.catalog.read_back(DAYS).items()} == {
        day: platform.archive.describe(day).rows for day in DAYS
    }
    mails = list(platform.settings.outbox_folder.glob("*.eml"))
    assert len(mails) == 3
    assert set(platform.outbox.records.mailed_days(DAYS).values()) == {"sent"}
    folder = platform.settings.archive_folder
    objects = {str(f.relative_to(folder)) for f in (folder / "ou-breakdowns").rglob("*.parquet")}
    assert objects == set(map(day_path, DAYS))


def test_the_process_that_draws_ends_with_a_killed_run() -> None:
    """It is beside the run, and would wait for work for ever."""
    code = (
        "import multiprocessing, time\n"
        "from finops_assets.core.reports.drawing import drawing_beside\n"
        "if __name__ == '__main__':\n"
        "    with drawing_beside():\n"
        "        print(multiprocessing.active_children()[0].pid, flush=True)\n"
        "        time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as run:
        beside = int(run.stdout.readline())
        run.kill()
    deadline = time.monotonic() + 60
    state = ["ps", "-o", "stat=", "-p", str(beside)]
    while subprocess.run(state, capture_output=True, text=True, check=False).stdout.strip()[:1] not in ("", "Z"):
        assert time.monotonic() < deadline, "it lives"
        time.sleep(0.1)
