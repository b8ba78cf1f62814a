"""The Dagster UI in a real browser: the lineage, a backfill launched from its own dialog, and what it shows after."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from finops_assets.platform import build_platform
from finops_assets.sample_bill import write_sample_bill
from finops_assets.sample_bill.exports import write_export
from finops_assets.settings import load_settings
from finops_assets.simulation import part_of, read_export

DAYS = 4
PATIENCE = 180
"""Seconds that a service may take on a busy machine of two cores; waiting ends as soon as it is there."""


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture
def ui(tmp_path: Path, one_day: None) -> Iterator[tuple[str, Path]]:
    """`finops dev` on a free loopback port, over a sample bill of which nothing is archived yet."""
    last = datetime.now(UTC).date() - timedelta(days=1)
    sample = write_sample_bill(tmp_path / "bill", last, DAYS)
    (tmp_path / "finops.toml").write_text(
        f"[bill]\npath = '{sample.focus}'\nfirst_day = {sample.first_day}\n[accounts]\npath = '{sample.accounts}'\n"
        "[schedule]\ncron = '0 0 1 1 *'\n"
    )
    port = free_port()
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("FINOPS_", "DAGSTER_"))}
    with (tmp_path / "dev.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "finops_assets.cli", "dev", "--port", str(port)],
            cwd=tmp_path,
            env=clean,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        base = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                urllib.request.urlopen(f"{base}/server_info", timeout=5)
                break
            except (urllib.error.URLError, OSError):
                assert server.poll() is None, (tmp_path / "dev.log").read_text()
                assert time.monotonic() < deadline, (tmp_path / "dev.log").read_text()
                time.sleep(0.5)
        yield base, tmp_path
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGINT)
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)


@pytest.mark.browser
def test_a_backfill_is_launched_from_the_dialog_and_a_changed_bill_is_noticed(ui: tuple[str, Path]) -> None:
    """Materialize all, all partitions, launch: the daemon runs one backfill, and the UI shows totals and checks.

    Then a day of the bill is delivered anew: the daemon's sensor has it rewritten within a minute or so, unasked.
    """
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = next((p for p in ("/usr/bin/chromium", "/usr/bin/chromium-browser") if Path(p).exists()), None)
    if chromium is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    base, folder = ui
    platform = build_platform(load_settings({}, {"home": str(folder / ".finops")}, folder=folder))
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1500, "height": 1000})
        page.set_default_timeout(60_000)
        page.goto(f"{base}/asset-groups")
        for group in ("bill", "archive", "published", "evidence"):
            page.get_by_text(group, exact=True).first.wait_for()
        page.goto(f"{base}/locations/finops_assets.definitions/jobs/daily_bill")
        page.get_by_role("button", name="Materialize all").click()
        page.get_by_role("button", name="All", exact=True).click()
        page.get_by_role("button", name="Launch backfill").click()
        deadline = time.monotonic() + PATIENCE
        while len(platform.outbox.mailed_days(platform.archive.days())) < DAYS or not any(
            (folder / ".finops" / "outbox").glob("*.eml")
        ):
            assert time.monotonic() < deadline, (folder / "dev.log").read_text()
            time.sleep(1)
        page.goto(f"{base}/assets/digest_email?view=partitions")
        page.get_by_text(f"Materialized ({DAYS})").wait_for()
        page.goto(f"{base}/assets/ou_breakdown_parquet?view=overview")
        newest = platform.archive.describe(platform.archive.days()[-1])
        page.get_by_text(f"{newest.total.normalize():f}").first.wait_for()
        page.goto(f"{base}/assets/ou_breakdown_parquet?view=checks")
        page.get_by_text("totals_match_source").first.wait_for()
        page.get_by_text("Passed").first.wait_for()
        browser.close()
    assert len(list((folder / ".finops" / "outbox").glob("*.eml"))) == 1
    day = platform.archive.days()[1]
    before = platform.archive.describe(day).total
    deliver_changed(folder / "bill" / "focus", day, 1.01)
    started = time.monotonic()
    while platform.archive.describe(day).total == before:
        assert time.monotonic() - started < NOTICED, (folder / "dev.log").read_text()
        time.sleep(1)


NOTICED = 180
"""Seconds: a tick of the sensor each 30 s, a run of some seconds, and a busy machine."""


def deliver_changed(export: Path, day: date, factor: float) -> None:
    """Put an export in place of the old one in which a day's costs are multiplied."""
    fresh = export.with_name("fresh")
    lines = part_of(read_export(export), date.max, {day: factor})
    write_export(fresh, "sample-focus", "FOCUS_1_2_AWS", lines, "BillingPeriodStart")
    export.rename(export.with_name("old"))
    fresh.rename(export)
