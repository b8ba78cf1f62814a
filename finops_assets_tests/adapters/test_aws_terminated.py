"""A run that is terminated from the Dagster UI: Athena's query is stopped with it."""

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
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from finops_assets.stories.sample_bill import write_sample_bill
from finops_assets_tests.support.on_aws import make_ready, on_aws
from standin.server import StandIn

LAST = date(2025, 9, 30)
PATIENCE = 120

REPOSITORIES = "{ repositoriesOrError { ... on RepositoryConnection { nodes { name location { name } } } } }"
LAUNCH = """mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
TERMINATE = """mutation ($id: String!) { terminateRun(runId: $id) { __typename } }"""
STATUS = """query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"""


def test_terminating_a_run_stops_its_query(tmp_path: Path) -> None:
    """Launched and terminated as the UI does it, through the webserver: nothing goes on scanning."""
    with StandIn(tmp_path / "aws") as aws, pytest.MonkeyPatch.context() as patch:
        for name, value in aws.environ.items():
            patch.setenv(name, value)
        make_ready(aws, write_sample_bill(tmp_path / "bill", LAST, 2).focus)
        aws.athena.min_seconds = 300
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with (tmp_path / "dev.log").open("w") as log:
            dev = subprocess.Popen(
                [sys.executable, "-m", "finops_assets", "dev", "--port", str(port)],
                cwd=tmp_path,
                env=os.environ | on_aws(aws, tmp_path),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            terminate_while_it_waits(aws, f"http://127.0.0.1:{port}/graphql", tmp_path / "dev.log")
        finally:
            os.killpg(dev.pid, signal.SIGKILL)


def terminate_while_it_waits(aws: StandIn, url: str, log: Path) -> None:
    def ask(query: str, **variables: Any) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["data"]

    deadline = time.monotonic() + PATIENCE

    def until(said: Any) -> Any:
        while True:
            try:
                found = said()
            except (urllib.error.URLError, OSError):
                found = None
            if found:
                return found
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)

    def of_the_run() -> list[Any]:
        """Not the sensors', which look at the bill at the same time."""
        return [q for q in aws.athena.queries if "UNLOAD" in q.sql]

    (location,) = until(lambda: ask(REPOSITORIES)["repositoriesOrError"].get("nodes"))
    selector = {"repositoryName": location["name"], "repositoryLocationName": location["location"]["name"]}
    assets = [{"path": [name]} for name in ("account_ou_map", "finops_daily_summary")]
    launched = ask(
        LAUNCH,
        params={
            "selector": {**selector, "pipelineName": "__ASSET_JOB", "assetSelection": assets},
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": str(LAST)}]},
        },
    )["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    until(lambda: [q for q in of_the_run() if q.state == "RUNNING"] and aws.calls.count("athena", "GetQueryExecution"))
    run_id = launched["run"]["runId"]
    assert ask(TERMINATE, id=run_id)["terminateRun"]["__typename"] == "TerminateRunSuccess"
    until(lambda: ask(STATUS, id=run_id)["runOrError"]["status"] == "CANCELED")
    until(lambda: all(q.state == "CANCELLED" for q in of_the_run()))
    assert aws.calls.count("athena", "StopQueryExecution") == 1
