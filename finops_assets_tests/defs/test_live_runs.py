"""Runs of a real code server, watched by Dagster's own run monitoring: which it leaves alone, and which it fails."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import create_test_daemon_workspace_context
from dagster._core.workspace.load_target import GrpcServerTarget
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration

from finops_assets.defs.instance import prepare_dagster_home

LONG_JOB = """
import os, time
from pathlib import Path
import dagster as dg
from finops_assets.defs.launcher import locked_in_process_executor

@dg.op
def lasts() -> None:
    Path("pid").write_text(str(os.getpid()))
    while not Path("go-on").exists():
        time.sleep(0.05)

@dg.job(executor_def=locked_in_process_executor)
def long_job() -> None:
    lasts()
"""


@dataclass
class Machine:
    """An instance with our dagster.yaml, a code server, and what the daemon does with them."""

    folder: Path
    instance: dg.DagsterInstance
    servers: list[subprocess.Popen] = field(default_factory=list)
    stack: ExitStack = field(default_factory=ExitStack)

    def start_server(self) -> None:
        """Start a code server, and load its code location as the daemon does."""
        socket = self.folder / f"{len(self.servers)}.sock"
        command = [sys.executable, "-m", "dagster", "api", "grpc", "--python-file", "long.py", "--socket", str(socket)]
        self.servers.append(subprocess.Popen(command, cwd=self.folder, stderr=subprocess.DEVNULL))
        eventually(socket.exists)
        target = GrpcServerTarget(host="localhost", port=None, socket=str(socket), location_name="long")
        self.daemon = self.stack.enter_context(create_test_daemon_workspace_context(target, self.instance))
        eventually(lambda: not self.daemon.create_request_context().get_location_entry("long").load_error)

    def launch(self) -> str:
        """Launch the job as the daemon does; wait until its step runs."""
        request = self.daemon.create_request_context()
        location = request.get_code_location("long")
        repository = next(iter(location.get_repositories().values()))
        job = repository.get_full_job("long_job")
        run = self.instance.create_run_for_job(
            namespace()["long_job"],
            remote_job_origin=job.get_remote_origin(),
            job_code_origin=job.get_python_origin(),
        )
        self.instance.launch_run(run.run_id, request)
        eventually((self.folder / "pid").exists)
        return run.run_id

    @property
    def process(self) -> int:
        return int((self.folder / "pid").read_text())

    def tick(self) -> None:
        """One iteration of run monitoring."""
        errors = [error for error in execute_run_monitoring_iteration(self.daemon, logging.getLogger("test")) if error]
        assert not errors

    def status(self, run_id: str) -> str:
        return self.instance.get_run_by_id(run_id).status.value


def namespace() -> dict[str, object]:
    scope: dict[str, object] = {}
    exec(LONG_JOB, scope)
    return scope


def eventually(holds: Callable[[], bool], seconds: float = 120.0) -> None:
    """Wait until it holds: seconds that a process may take to start on a busy machine."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def stopped(process: subprocess.Popen) -> Iterator[None]:
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.setenv("DAGSTER_HOME", str(prepare_dagster_home(tmp_path / "dagster")))
    (tmp_path / "long.py").write_text(LONG_JOB, encoding="utf-8")
    with dg.DagsterInstance.get() as instance:
        made = Machine(tmp_path, instance)
        try:
            with made.stack:
                made.start_server()
                yield made
        finally:
            (tmp_path / "go-on").touch()
            for server in made.servers:
                server.kill()
                server.wait()


def test_a_run_that_goes_on_is_left_alone_whatever_becomes_of_its_code_server(machine: Machine) -> None:
    """Through many ticks of run monitoring: the server serves, stands still, definitions are reloaded, it is killed."""
    run_id = machine.launch()
    assert machine.instance.run_launcher.locks.is_held(run_id)
    for _ in range(3):
        machine.tick()
        assert machine.status(run_id) == "STARTED"
    [server] = machine.servers
    with stopped(server):  # Dagster's own question to it would wait, and then fail
        machine.tick()
        assert machine.status(run_id) == "STARTED"
    machine.start_server()  # reloading definitions starts another server, and the first one lets its runs end
    machine.tick()
    assert machine.status(run_id) == "STARTED"
    server.kill()
    server.wait()
    machine.tick()
    assert machine.status(run_id) == "STARTED"
    (machine.folder / "go-on").touch()
    eventually(lambda: machine.status(run_id) != "STARTED")
    machine.tick()
    assert machine.status(run_id) == "SUCCESS"
    assert len(machine.instance.get_runs()) == 1


def test_a_run_whose_process_is_killed_is_found_at_the_next_look(machine: Machine) -> None:
    """Its code server cannot tell, as it was killed too: the lock does, and the run fails, with the reason."""
    run_id = machine.launch()
    machine.servers[0].kill()
    machine.servers[0].wait()
    os.kill(machine.process, signal.SIGKILL)
    eventually(lambda: not machine.instance.run_launcher.locks.is_held(run_id))
    machine.tick()
    assert machine.status(run_id) == "FAILURE"
    [failure] = machine.instance.all_logs(run_id, of_type=dg.DagsterEventType.PIPELINE_FAILURE)
    assert "its process is gone" in failure.message
