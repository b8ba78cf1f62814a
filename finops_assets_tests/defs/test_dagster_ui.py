"""The Dagster UI in a real browser: what foreign pages get; a backfill from its own dialog, and what it shows after."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote

import pytest

from finops_assets.defs import keys
from finops_assets.platform import build_platform
from finops_assets.settings.load import load_settings
from finops_assets.stories.sample_bill import write_sample_bill
from finops_assets.stories.sample_bill.exports import write_export
from finops_assets.stories.simulation import part_of, read_export

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
            [sys.executable, "-m", "finops_assets", "dev", "--port", str(port)],
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

    Before, pages of other origins try to start a job and to read the bill, and get nothing; the UI's own page can.
    Then a day of the bill is delivered anew: the daemon's sensor has it rewritten within a minute or so, unasked.
    """
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = next((p for p in ("/usr/bin/chromium", "/usr/bin/chromium-browser") if Path(p).exists()), None)
    if chromium is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    base, folder = ui
    platform = build_platform(load_settings({}, {"home": str(folder / ".finops")}, folder=folder))
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--host-resolver-rules=MAP *.example 127.0.0.1"]
        )
        assert_that_foreign_pages_get_nothing(browser, base)
        page = browser.new_page(viewport={"width": 1500, "height": 1000})
        page.set_default_timeout(60_000)
        frames: list[str] = []
        page.on("websocket", lambda live: live.on("framereceived", lambda frame: frames.append(str(frame))))
        page.goto(f"{base}/asset-groups")
        for group in keys.GROUPS:
            page.get_by_text(group, exact=True).first.wait_for()
        page.goto(f"{base}/locations/finops_assets.definitions/jobs/daily_bill")
        page.get_by_role("button", name="Materialize all").click()
        page.get_by_role("button", name="All", exact=True).click()
        page.get_by_role("button", name="Launch backfill").click()
        deadline = time.monotonic() + PATIENCE
        while len(platform.outbox.records.mailed_days(platform.archive.days())) < DAYS or not any(
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
        [run] = backfilled(page)
        page.goto(f"{base}/runs/{run}")
        page.get_by_text("RUN_SUCCESS").first.wait_for()
        assert any('"connection_ack"' in frame for frame in frames), "the UI's live updates come by a WebSocket"
        assert own_page_asks(page, LAUNCH.replace("HOW", "own"))["data"] == {"launchRun": {"__typename": LAUNCHED}}
        assert launched_how(page) == ["own"], "the same mutation that other pages have sent"
        assert_that_the_pages_tell_what_was_run(page, base, folder)
        browser.close()
    assert len(list((folder / ".finops" / "outbox").glob("*.eml"))) == 1
    day = platform.archive.days()[1]
    before = platform.archive.describe(day).total
    deliver_changed(folder / "bill" / "focus", day, 1.01)
    started = time.monotonic()
    while platform.archive.describe(day).total == before:
        assert time.monotonic() - started < NOTICED, (folder / "dev.log").read_text()
        time.sleep(1)


def assert_that_the_pages_tell_what_was_run(page: Any, base: str, folder: Path) -> None:
    """A run of the command is on its job's page and in the timeline; pictures and days are there without a click."""
    subprocess.run(
        [sys.executable, "-m", "finops_assets", "run", "--date", str(datetime.now(UTC).date() - timedelta(days=1))],
        cwd=folder,
        env={k: v for k, v in os.environ.items() if not k.startswith(("FINOPS_", "DAGSTER_"))},
        check=True,
        capture_output=True,
    )
    [run] = [run for run, tags in tags_of_runs(page).items() if "finops/lock" in tags]
    location = f"{base}/locations/{keys.LOCATION}"
    page.goto(f"{location}/jobs/daily_bill/runs")
    page.get_by_text(run[:8]).first.wait_for()
    page.goto(f"{base}/overview/timeline")
    page.get_by_text("daily_bill", exact=True).first.wait_for()
    page.goto(f"{base}/assets/ou_scorecard?view=events")
    picture = page.get_by_alt_text("daily cost").first
    picture.wait_for()
    assert picture.evaluate("each => each.naturalWidth") > 0, "the browser has drawn it"
    page.goto(f"{location}/jobs/resend_digest/playground")
    page.get_by_text("No errors").wait_for()


LAUNCH = """mutation {
  launchRun(executionParams: {
    selector: {
      repositoryLocationName: "finops_assets.definitions", repositoryName: "__repository__", jobName: "morning_checks"
    }
    executionMetadata: {tags: [{key: "launched", value: "HOW"}]}
  }) { __typename }
}"""
LAUNCHED = "LaunchRunSuccess"
RUNS = "{ runsOrError { ... on Runs { results { runId tags { key value } } } } }"

FORM_BY_ADDRESS = """([url]) => {
  const form = Object.assign(document.createElement("form"), {method: "POST", action: url, enctype: "text/plain"});
  document.body.append(form);
  form.submit();
}"""
IMAGE_BY_ADDRESS = """([url]) => new Promise(done => {
  Object.assign(new Image(), {onload: done, onerror: done, src: url});
})"""
JSON_AS_TEXT = """([url, body]) => fetch(url, {
  method: "POST", mode: "no-cors", headers: {"Content-Type": "text/plain; application/json"}, body
}).then(() => null, () => null)"""
ASK = """([url, body]) => fetch(url, {method: "POST", headers: {"Content-Type": "application/json"}, body})
  .then(async answer => [answer.status, await answer.text()], () => [0, "kept back by the browser"])"""
CONNECT = """([url]) => new Promise(done => {
  const live = new WebSocket(url.replace("http", "ws"), "graphql-ws");
  live.onopen = () => done("open");
  live.onerror = () => done("refused");
})"""


@contextmanager
def foreign_page() -> Iterator[int]:
    """The port of a web server that has nothing to do with ours: an empty page at each address."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><body>win a prize")

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def assert_that_foreign_pages_get_nothing(browser: Any, base: str) -> None:
    """Forms, images, scripts and live connections of other origins, and a name that is rebound to this machine."""
    graphql, port = f"{base}/graphql", base.rpartition(":")[2]
    page = browser.new_page()
    page.set_default_timeout(60_000)

    def launch(how: str) -> tuple[str, str]:
        mutation = LAUNCH.replace("HOW", how)
        return f"{graphql}?query={quote(mutation)}", json.dumps({"query": mutation})

    with foreign_page() as other_port:
        for number, origin in enumerate((f"http://stranger.example:{other_port}", f"http://127.0.0.1:{other_port}")):
            page.goto(origin)
            page.evaluate(IMAGE_BY_ADDRESS, [launch(f"image {number}")[0]])
            page.evaluate(JSON_AS_TEXT, [graphql, launch(f"text {number}")[1]])
            assert page.evaluate(ASK, [graphql, launch(f"json {number}")[1]])[0] == 0
            assert page.evaluate(CONNECT, [graphql]) == "refused"
            with page.expect_navigation() as answer:
                page.evaluate(FORM_BY_ADDRESS, [launch(f"form {number}")[0]])
            assert answer.value.status == 403
    rebound = f"http://rebound.example:{port}"
    assert page.goto(rebound).status == 421
    status, text = page.evaluate(ASK, [f"{rebound}/graphql", json.dumps({"query": RUNS})])
    assert (status, "runsOrError" in text) == (421, False)
    assert page.evaluate(CONNECT, [f"{rebound}/graphql"]) == "refused"
    page.goto(f"{base}/server_info")
    assert page.evaluate(CONNECT, [graphql]) == "open", "a page of its own"
    assert launched_how(page) == []
    page.close()


def own_page_asks(page: Any, query: str) -> Any:
    """The answer to a GraphQL query that a page of the UI's own origin sends."""
    status, text = page.evaluate(ASK, ["/graphql", json.dumps({"query": query})])
    assert status == 200, text
    return json.loads(text)


def tags_of_runs(page: Any) -> dict[str, dict[str, str]]:
    """The tags of each run that there is, by its id."""
    runs = own_page_asks(page, RUNS)["data"]["runsOrError"]["results"]
    return {run["runId"]: {tag["key"]: tag["value"] for tag in run["tags"]} for run in runs}


def launched_how(page: Any) -> list[str]:
    """How the runs were launched that this test has asked for by GraphQL."""
    return sorted(tags["launched"] for tags in tags_of_runs(page).values() if "launched" in tags)


def backfilled(page: Any) -> list[str]:
    """The runs of the backfill from the dialog."""
    return [run for run, tags in tags_of_runs(page).items() if "dagster/backfill" in tags]


NOTICED = 180
"""Seconds: a tick of the sensor each 30 s, a run of some seconds, and a busy machine."""


def deliver_changed(export: Path, day: date, factor: float) -> None:
    """Put an export in place of the old one in which a day's costs are multiplied."""
    fresh = export.with_name("fresh")
    lines = part_of(read_export(export), date.max, {day: factor})
    write_export(fresh, "sample-focus", "FOCUS_1_2_AWS", lines, "BillingPeriodStart")
    export.rename(export.with_name("old"))
    fresh.rename(export)
