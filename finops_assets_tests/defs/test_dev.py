"""`finops dev`: one for each home, and nothing of it is left when it ends, however it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from finops_assets.cli.dev import check_address
from finops_assets.core.errors import FinopsError, SettingsError

TREE = """
import os, signal, subprocess, sys, time
from pathlib import Path

def ended(number, _):
    Path(f"{number}.signal").touch()
    sys.exit(int(sys.argv[1]))

for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, ended)
deaf = "import signal, time; [signal.signal(s, signal.SIG_IGN) for s in (2, 15)]; print(1, flush=True); time.sleep(600)"
plain = "import signal, time; signal.signal(2, signal.SIG_DFL); print(1, flush=True); time.sleep(600)"
children = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for code in (plain, deaf)]
for child in children:
    child.stdout.readline()
Path("pids.part").write_text(" ".join(str(pid) for pid in [os.getpid(), *(child.pid for child in children)]))
Path("pids.part").rename("pids")
time.sleep(600)
"""
"""In the place of `dagster dev`: a process with two children, one of which heeds no signal."""

DEV = """
import sys
from pathlib import Path
from finops_assets.cli.dev import run_dev
command = [sys.executable, "-c", Path("tree.py").read_text(), sys.argv[2]]
sys.exit(run_dev(Path("home"), command, "127.0.0.1", int(sys.argv[1]), patience=0.5))
"""


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def eventually(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def lives(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has asked after does not."""
    told = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(told.strip()) and not told.strip().startswith("Z")


@contextmanager
def dev(folder: Path, code: int = 0) -> Iterator[tuple[subprocess.Popen, list[int]]]:
    """`run_dev` in a process of its own, and the processes that it started."""
    (folder / "tree.py").write_text(TREE, encoding="utf-8")
    (folder / "pids").unlink(missing_ok=True)
    command = [sys.executable, "-c", DEV, str(free_port()), str(code)]
    with (folder / "said").open("w") as said:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # ignored where tests run under nohup
        )
    started: list[int] = []
    try:
        eventually(lambda: (folder / "pids").exists() or process.poll() is not None)
        assert process.poll() is None, (folder / "said").read_text()
        started = [int(pid) for pid in (folder / "pids").read_text().split()]
        yield process, started
    finally:
        process.kill()
        process.wait()
        for pid in filter(lives, started):
            os.kill(pid, signal.SIGKILL)


def test_killed_it_leaves_nothing_and_the_next_one_starts(tmp_path: Path) -> None:
    """kill -9, as the kernel does where memory is short: all that it started is gone, before its lock is free."""
    with dev(tmp_path) as (first, started):
        assert all(map(lives, started))
        first.kill()
        first.wait()
        with dev(tmp_path) as (_, others):  # waits for the lock
            assert not any(map(lives, started))
            assert all(map(lives, others))


def test_its_guard_killed_it_leaves_nothing_either(tmp_path: Path) -> None:
    """The process between is no weak place."""
    with dev(tmp_path) as (process, started):
        guard = int(subprocess.check_output(["ps", "-o", "ppid=", "-p", str(started[0])]))
        os.kill(guard, signal.SIGKILL)
        assert process.wait(60) == 128 + signal.SIGKILL
        eventually(lambda: not any(map(lives, started)), 10)


def test_killed_while_it_starts_it_leaves_nothing(tmp_path: Path) -> None:
    """Gone before it has read what the guard told it: the line is broken then, and not only at its end."""
    ours, theirs = socket.socketpair()
    guard = [sys.executable, "-m", "finops_assets.cli.dev_guard", str(theirs.fileno()), "1", "0.5"]
    with ours, subprocess.Popen([*guard, sys.executable, "-c", TREE, "0"], cwd=tmp_path, pass_fds=[theirs.fileno()]):
        theirs.close()
        eventually((tmp_path / "pids").exists)
        started = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
        ours.close()  # with the number unread
    assert not any(map(lives, started))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_handed_on_and_the_exit_code_is_that_of_what_ran(tmp_path: Path, number: int) -> None:
    """Ctrl-C, or `kill`: what was started ends as it does by itself, the rest with it; the address alone is printed."""
    with dev(tmp_path, code=7) as (process, started):
        process.send_signal(number)
        assert process.wait(60) == 7
        assert (tmp_path / f"{int(number)}.signal").exists()
        assert not any(map(lives, started)), "one of them heeds no signal"
    (said,) = (tmp_path / "said").read_text().splitlines()
    assert said.startswith("Dagster UI: http://127.0.0.1:")


def test_a_terminal_that_is_closed_ends_it(tmp_path: Path) -> None:
    """A window closed, a connection lost: it ends, and all with it."""
    with dev(tmp_path) as (process, started):
        process.send_signal(signal.SIGHUP)
        process.wait(60)
        assert not any(map(lives, started))


def test_the_guard_loads_nothing_but_the_standard_library() -> None:
    """It lives as long as `finops dev` and must start before anything that could be left behind."""
    code = "import sys; before = set(sys.modules); import finops_assets.cli.dev_guard; "
    code += "print(*(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    roots = {name.partition(".")[0] for name in loaded}
    assert roots - {"finops_assets"} <= sys.stdlib_module_names


def finops_dev(folder: Path, port: int) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("FINOPS_", "DAGSTER_"))}
    command = [sys.executable, "-m", "finops_assets", "dev", "--port", str(port)]
    return subprocess.run(
        command,
        cwd=folder,
        env=clean | {"FINOPS_HOME": "home"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_second_one_says_who_has_the_home_and_ends(tmp_path: Path) -> None:
    """One line: process, machine, since when, where it listens and what to do; nothing is started, exit code 1."""
    with dev(tmp_path) as (first, started):
        refused = finops_dev(tmp_path, free_port())
        assert refused.returncode == 1
        [line] = refused.stderr.splitlines()
        holder = json.loads((tmp_path / "home" / "dev.lock").read_text())
        assert holder["pid"] == first.pid
        for fact in (str(first.pid), socket.gethostname(), holder["since"], holder["address"], f"kill {first.pid}"):
            assert fact in line
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", holder["since"])
        assert all(map(lives, started))


def test_a_port_that_is_taken_is_said_before_anything_is_started(tmp_path: Path) -> None:
    """One line that names the address; the home is free for the next start."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        refused = finops_dev(tmp_path, port)
    assert refused.returncode == 1
    [line] = refused.stderr.splitlines()
    assert f"127.0.0.1:{port}" in line
    assert "--port" in line
    with dev(tmp_path):
        pass


def test_an_address_of_another_machine_is_wrong_usage() -> None:
    """Nothing can listen there, whoever ends."""
    with pytest.raises(SettingsError) as refused:
        check_address("192.0.2.1", 3000)
    assert refused.value.where == "192.0.2.1:3000"


def test_connections_that_have_just_ended_are_not_in_the_way() -> None:
    """The webserver takes such a port; so does the look at it. An address that listens is taken, with IPv6 too."""
    port = free_port()
    with socket.create_server(("127.0.0.1", port)) as server, socket.create_connection(("127.0.0.1", port)):
        server.accept()[0].close()  # the server's side ends first, and waits for late packets
    check_address("127.0.0.1", port)
    if socket.has_dualstack_ipv6():
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as server, pytest.raises(FinopsError):
            check_address("::1", server.getsockname()[1])
