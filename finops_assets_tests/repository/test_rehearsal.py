"""The deployment rehearsed: its own files, a real PostgreSQL, code server, webserver and daemon as processes.

What differs from ECS: runs are processes beside the code server (deploy/single.yaml) instead of tasks, AWS is the
stand-in, and the image is this machine.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from finops_assets.core.accounts.account_map import to_parquet
from finops_assets.core.schemas import ACCOUNT_MAP_PATH
from finops_assets.platform import build_platform
from finops_assets.settings.load import load_settings
from finops_assets.stories.sample_bill import write_sample_bill
from finops_assets_tests.support.on_aws import BUCKET, RECIPIENTS, make_ready, on_aws
from finops_assets_tests.support.postgres import Postgres, programs, running_postgres
from standin.server import StandIn

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PATIENCE = 120
"""Seconds that a step may take on a busy machine of two cores; waiting ends as soon as it is there."""

BACKFILL = 3
"""Days of the backfill; the scheduled day is the one after."""

pytestmark = pytest.mark.skipif(programs() is None, reason="no PostgreSQL here: apt-get install postgresql")


@dataclass
class Deployment:
    """The processes of a deployment, and what a person does with it."""

    folder: Path
    environ: dict[str, str]
    read_only: list[str]
    processes: dict[str, subprocess.Popen] = field(default_factory=dict)

    def start(self, name: str) -> None:
        """As the image does: `start NAME`, in DAGSTER_HOME."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [*self.read_only, DEPLOY / "start", name],
                cwd=self.environ["DAGSTER_HOME"],
                env=self.environ,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self, name: str) -> None:
        """SIGKILL to the process and its children."""
        with suppress(ProcessLookupError):
            os.killpg(self.processes[name].pid, signal.SIGKILL)
        self.processes[name].wait(30)

    def stop(self, name: str) -> str:
        """SIGTERM and 30 s, as ECS stops a task; how it ended, as the alarm on failed tasks takes it."""
        process = self.processes.pop(name)
        process.terminate()
        try:
            code = process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return "had to be killed"
        return STOPPED if code in (0, -signal.SIGTERM, 128 + signal.SIGTERM) else f"exit code {code}"

    def health(self, name: str) -> str:
        """What the container's health check says; nothing where all is well."""
        command = [sys.executable, DEPLOY / "healthcheck.py", name]
        done = subprocess.run(command, env=self.environ, capture_output=True, text=True, check=False)
        return "" if done.returncode == 0 else done.stderr or "it failed"

    def wait(self, what: str, reached: Callable[[], Any]) -> Any:
        """Wait until something is so; whoever ends before is shown with what it printed."""
        deadline = time.monotonic() + PATIENCE
        while not (found := reached()):
            gone = [name for name, process in self.processes.items() if process.poll() not in (None, -signal.SIGKILL)]
            assert not gone, f"{gone} ended before {what}:\n{self.printed()}"
            assert time.monotonic() < deadline, f"waited in vain: {what}\n{self.printed()}"
            time.sleep(1)  # each look is a question to the webserver, which is busy for its time
        return found

    def printed(self) -> str:
        return "\n".join(f"--- {log.name}\n{log.read_text()[-3000:]}" for log in sorted(self.folder.glob("*.log")))

    def ask(self, question: str, **variables: Any) -> Any:
        """A GraphQL question to the webserver, as the UI asks it."""
        body = json.dumps({"query": question, "variables": variables}).encode()
        url = f"http://127.0.0.1:{self.environ['DAGSTER_WEBSERVER_PORT']}/graphql"
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer
        return answer["data"]

    def runs(self) -> list[dict[str, Any]]:
        return self.ask(RUNS)["runsOrError"]["results"]


LOCATIONS = "{ workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError { __typename } } } } }"
RUNS = "{ runsOrError { ... on Runs { results { status } } } }"
SENSORS = """query ($at: RepositorySelector!) {
  sensorsOrError(repositorySelector: $at) {
    ... on Sensors { results { name sensorState { id status ticks(limit: 1) { status skipReason } } } }
  }
}"""
STOP_SENSOR = "mutation ($id: String!) { stopSensor(id: $id) { __typename ... on PythonError { message } } }"
START_SENSOR = """mutation ($at: SensorSelector!) {
  startSensor(sensorSelector: $at) { __typename ... on PythonError { message } }
}"""
STOP_SCHEDULE = """mutation ($id: String!) {
  stopRunningSchedule(id: $id) { __typename ... on PythonError { message } }
}"""
START_SCHEDULE = """mutation ($at: ScheduleSelector!) {
  startSchedule(scheduleSelector: $at) { __typename ... on PythonError { message } }
}"""
SCHEDULE = """query ($at: ScheduleSelector!) {
  scheduleOrError(scheduleSelector: $at) {
    ... on Schedule { scheduleState { id status ticks { status runIds timestamp } } }
  }
}"""
ASSETS = "query ($job: PipelineSelector!) { assetNodes(pipeline: $job) { assetKey { path } } }"
LAUNCH = """mutation ($what: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $what) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message }
  }
}"""
BACKFILL_STATUS = """query ($id: String!) {
  partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } }
}"""
MATERIALIZED = """query ($key: AssetKeyInput!) {
  assetOrError(assetKey: $key) { ... on Asset { assetMaterializations { partition runId } } }
}"""
AT = {"repositoryLocationName": "finops_assets.definitions", "repositoryName": "__repository__"}


def image_environ() -> dict[str, str]:
    """What the image sets, from the Dockerfile: a rehearsal with other values would prove little."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    final = text[text.rindex("\nFROM ") :]
    pairs = [pair for line in re.findall(r"^ENV (.+)$", final, re.MULTILINE) for pair in line.split()]
    return dict(pair.split("=", 1) for pair in pairs)


def instance_of_one_task() -> str:
    """The dagster.yaml of a single task: deploy/dagster.yaml, deploy/single.yaml laid over it."""
    command = [sys.executable, DEPLOY / "overlay.py", DEPLOY / "dagster.yaml", DEPLOY / "single.yaml"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def read_only(folder: Path) -> list[str]:
    """What a command is begun with so that it, and nobody else, has the folder as a read-only file system.

    As the image has it on ECS. Nothing where this machine does not allow it: that takes root.
    """
    mount = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && cd "$1" && shift && exec "$@"'
    begin = ["unshare", "--mount", "sh", "-c", mount, "sh", str(folder)]
    with suppress(OSError):
        if subprocess.run([*begin, "test", "!", "-w", folder], capture_output=True, check=False).returncode == 0:
            return begin
    return []


def free_ports(count: int) -> list[str]:
    import socket

    with ExitStack() as opened:
        sockets = [opened.enter_context(closing(socket.socket())) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [str(each.getsockname()[1]) for each in sockets]


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    with running_postgres() as cluster:
        yield cluster


@pytest.fixture
def tick(one_day: None) -> datetime:
    """When the schedule ticks: the minute that has just begun, so that nobody waits for it, and no second one comes."""
    return datetime.now(UTC).replace(second=0, microsecond=0)


@pytest.fixture
def deployment(aws: StandIn, postgres: Postgres, tick: datetime, tmp_path: Path) -> Iterator[Deployment]:
    """A DAGSTER_HOME as the image has it, and the environment as terraform/ sets it; nothing is started yet."""
    scheduled = tick.date() - timedelta(days=1)
    sample = write_sample_bill(tmp_path / "bill", scheduled, BACKFILL + 1)
    make_ready(aws, sample.focus, accounts=sample.accounts)
    home = tmp_path / "dagster"
    home.mkdir()
    shutil.copy(DEPLOY / "workspace.yaml", home)
    (home / "dagster.yaml").write_text(instance_of_one_task(), encoding="utf-8")
    never = f"0 0 1 {(tick.month + 1) % 12 + 1} *"  # not for a month at least
    grpc, web = free_ports(2)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("FINOPS_", "DAGSTER_"))}
    environ = {
        **inherited,
        **image_environ(),
        **postgres.environ,
        **on_aws(
            aws,
            tmp_path,
            bill__first_day=sample.first_day,
            schedule__cron=f"{tick.minute} {tick.hour} * * *",
            schedule__checks_cron=never,
            schedule__doctor_cron=never,
            schedule__verify_cron=never,
            schedule__evidence_cron=never,
        ),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(tmp_path),
        "DAGSTER_HOME": str(home),
        "DAGSTER_CODE_HOST": "127.0.0.1",
        "DAGSTER_GRPC_HOST": "127.0.0.1",
        "DAGSTER_GRPC_PORT": grpc,
        "DAGSTER_WEBSERVER_HOST": "127.0.0.1",
        "DAGSTER_WEBSERVER_PORT": web,
    }
    made = Deployment(tmp_path, environ, read_only(home))
    try:
        yield made
    finally:
        for name in made.processes:
            made.kill(name)


def test_a_day_and_a_backfill_are_done_once_though_the_daemon_is_killed(
    deployment: Deployment, aws: StandIn, postgres: Postgres, tick: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon dies during a backfill, and is away when the day is due; after its restart all is there, once.

    Two processes make the tables at the same moment; the backfill's run goes on without a daemon; the tick that was
    missed is made up for; nothing is written, refreshed or mailed twice. A stop as ECS does it is no failure, and who
    has an old password is not healthy.
    """
    scheduled = tick.date() - timedelta(days=1)
    days = [scheduled - timedelta(days=BACKFILL - n) for n in range(BACKFILL)]
    platform = build_platform(load_settings(deployment.environ, folder=deployment.folder))
    archive = platform.archive
    archive.put(ACCOUNT_MAP_PATH, to_parquet(platform.accounts.load().table))  # a backfill of days does not make it
    for name in ("code", "webserver"):
        deployment.start(name)
    deployment.wait("code server and webserver are up", lambda: location_is_loaded(deployment))
    assert deployment.health("code") == ""
    assert deployment.health("webserver") == ""
    # They would run every day of the bill at once, before anybody asks.
    for sensor in sensors(deployment):
        changed(deployment.ask(STOP_SENSOR, id=sensor["sensorState"]["id"]))
    changed(deployment.ask(STOP_SCHEDULE, id=schedule(deployment)["scheduleState"]["id"]))

    aws.quicksight.hold_running()  # so that the run is still under way when the daemon is killed
    assets = deployment.ask(ASSETS, job={**AT, "pipelineName": "daily_bill"})["assetNodes"]
    of_days = [each["assetKey"] for each in assets if each["assetKey"] != {"path": ["account_ou_map"]}]
    what = {"assetSelection": of_days, "partitionNames": [str(day) for day in days]}
    launched = deployment.ask(LAUNCH, what=what)["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    deployment.start("daemon")
    deployment.wait("the backfill refreshes the dashboard", lambda: done(deployment) == 0 and aws.quicksight.ingestions)
    assert archive.days() == days
    deployment.kill("daemon")

    changed(deployment.ask(START_SCHEDULE, at=MORNING))
    for name, value in deployment.environ.items():
        monkeypatch.setenv(name, value)
    as_if_started_at(tick - timedelta(minutes=1))
    aws.quicksight.hold_running(False)
    deployment.wait("the run has ended without a daemon", lambda: done(deployment) == 1)
    assert schedule(deployment)["scheduleState"]["ticks"] == []

    deployment.start("daemon")
    deployment.wait("both runs have ended", lambda: done(deployment) == 2)
    backfill = launched["backfillId"]
    deployment.wait("the backfill is done", lambda: backfill_status(deployment, backfill) == "COMPLETED_SUCCESS")
    [made_up] = schedule(deployment)["scheduleState"]["ticks"]
    assert (made_up["timestamp"], made_up["status"], len(made_up["runIds"])) == (tick.timestamp(), "SUCCESS", 1)
    assert deployment.health("daemon") == ""

    everything = [*days, scheduled]
    assert archive.days() == everything
    for asset in ("ou_breakdown_parquet", "athena_partition"):
        seen = deployment.ask(MATERIALIZED, key={"path": [asset]})["assetOrError"]["assetMaterializations"]
        assert Counter(each["partition"] for each in seen) == {str(day): 1 for day in everything}
    assert all(len(list(archive.versions(day))) == 1 for day in everything)
    assert len(aws.quicksight.ingestions) == 2
    for recipient in RECIPIENTS:
        subjects = [mail.message["Subject"] for mail in aws.mail.to(recipient)]
        assert len(subjects) == len(set(subjects)) == 2, subjects
    logs = aws.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="dagster-logs/").get("Contents", [])
    assert logs, "what the runs printed is not in the bucket"

    for name in ("bill_has_news", "missing_days"):
        changed(deployment.ask(START_SENSOR, at={**AT, "sensorName": name}))
    deployment.wait("the sensors have looked", lambda: len(skips(deployment)) == 2)
    assert skips(deployment) == {"bill_has_news": "all days are as in the bill", "missing_days": "every day is whole"}
    assert len(deployment.runs()) == 2

    written = {path.name for path in Path(deployment.environ["DAGSTER_HOME"]).iterdir()}
    assert written <= {"dagster.yaml", "workspace.yaml", *TRIES_TO_MAKE}, "the image is read-only there"
    assert deployment.stop("daemon") == STOPPED, "an alarm would be raised at each deployment"
    postgres.change_password()
    for name in ("code", "webserver"):
        assert "password authentication failed" in deployment.health(name)
    for name in ("code", "webserver"):
        assert deployment.stop(name) == STOPPED, f"{name}: an alarm would be raised at each deployment"


MORNING = {**AT, "scheduleName": "every_morning"}


STOPPED = "stopped"
TRIES_TO_MAKE = {"logs", ".logs_queue"}
"""Of Dagster's telemetry, though it is off: it goes on where it cannot."""


CHANGED = ("StopSensorMutationResult", "Sensor", "ScheduleStateResult")


def changed(answer: dict[str, Any]) -> None:
    """A mutation is answered by what it changed, or by an error."""
    [result] = answer.values()
    assert result["__typename"] in CHANGED, result


def as_if_started_at(moment: datetime) -> None:
    """Have the schedule running since then: what a daemon finds that was away while it ticked."""
    from dagster import DagsterInstance
    from dagster._core.scheduler.instigation import ScheduleInstigatorData

    with DagsterInstance.get() as instance:
        [state] = [each for each in instance.all_instigator_state() if each.instigator_name == "every_morning"]
        cron = state.instigator_data.cron_schedule
        instance.update_instigator_state(state.with_data(ScheduleInstigatorData(cron, moment.timestamp())))


def schedule(deployment: Deployment) -> dict[str, Any]:
    return deployment.ask(SCHEDULE, at=MORNING)["scheduleOrError"]


def location_is_loaded(deployment: Deployment) -> bool:
    try:
        found = deployment.ask(LOCATIONS)["workspaceOrError"]["locationEntries"]
    except OSError:
        return False
    return [(each["name"], (each["locationOrLoadError"] or {}).get("__typename")) for each in found] == [
        ("finops_assets.definitions", "RepositoryLocation")
    ]


def done(deployment: Deployment) -> int:
    """How many runs have succeeded. None may fail."""
    runs = deployment.runs()
    assert not [run for run in runs if run["status"] in ("FAILURE", "CANCELED")], deployment.printed()
    return sum(run["status"] == "SUCCESS" for run in runs)


def backfill_status(deployment: Deployment, backfill: str) -> str:
    return deployment.ask(BACKFILL_STATUS, id=backfill)["partitionBackfillOrError"]["status"]


def sensors(deployment: Deployment) -> list[dict[str, Any]]:
    return deployment.ask(SENSORS, at=AT)["sensorsOrError"]["results"]


def skips(deployment: Deployment) -> dict[str, str]:
    """Sensor -> why its newest tick, which ran nothing, did not."""
    states = {each["name"]: each["sensorState"]["ticks"] for each in sensors(deployment)}
    return {name: ticks[0]["skipReason"] for name, ticks in states.items() if ticks and ticks[0]["status"] == "SKIPPED"}
