"""Every command in trouble: one line on stderr that says what, where and what to do; the exit code; no stack trace."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import date
from pathlib import Path
from typing import Any

import botocore.exceptions
import click
import duckdb
import obstore.exceptions
import psycopg2
import pyarrow as pa
import pytest
import sqlalchemy.exc
from click.testing import CliRunner, Result

from finops_assets.cli.common import DAY, MONTH
from finops_assets.cli.errors import ALERTED, DEFECT, FIXES, in_words
from finops_assets.cli.main import main
from finops_assets.core.errors import ArchiveError, FinopsError, SettingsError
from finops_assets.core.reports.drawing import Drawing
from finops_assets.stories.sample_bill import write_sample_bill
from finops_assets_tests.support.command import finops
from finops_assets_tests.support.on_aws import make_ready, on_aws
from standin.server import StandIn

THE_DAY = date(2025, 9, 10)


def leaves(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that does something, with its words: one that is added is tried, too."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = {" ".join(path): command for path, command in leaves(main)}


def words_of(name: str) -> tuple[str, ...]:
    """A command with the arguments that it asks for."""
    values = {DAY: str(THE_DAY), MONTH: "2025-09"}
    asked = [p for p in COMMANDS[name].params if isinstance(p, click.Argument) and p.required]
    return (*name.split(), *(values.get(each.type, "SELECT 1 AS one") for each in asked))


def raised_by(name: str, error: BaseException | Any, *more: str) -> Result:
    """What a command does that meets this error, or calls this function."""

    def callback(*_: Any, **__: Any) -> None:
        if isinstance(error, BaseException):
            raise error
        error()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(COMMANDS[name], "callback", callback)
        return CliRunner().invoke(main, [*words_of(name), *more], input="{}")


def test_the_commands_are_found() -> None:
    """The groups' own, too."""
    assert {"status", "query", "dev", "evidence make", "quicksight deploy", "settings from-terraform"} <= set(COMMANDS)


# --- what an error is called --------------------------------------------------------------------------------------


def statement_failed() -> Exception:
    return sqlalchemy.exc.OperationalError(
        "SELECT secret", {}, psycopg2.OperationalError("port 1 failed: refused\nmore")
    )


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/home/x/archive/day.parquet")
ERRORS = [
    (FinopsError("what", where="where", fix="Fix."), "error: where: what. Fix.", 1),
    (SettingsError("is wrong", where="a.b", fix="Mend it."), "error: a.b: is wrong. Mend it.", 2),
    (FULL, f"error: /home/x/archive/day.parquet: No space left on device. {FIXES[errno.ENOSPC]}", 1),
    (OSError(errno.EROFS, "Read-only file system", "f"), "error: f: Read-only file system. Mend its rights", 1),
    (OSError(errno.EMFILE, "Too many open files"), "error: the system: Too many open files: this process may have ", 1),
    (OSError(errno.EFBIG, "File too large", "f"), "error: f: File too large. Allow larger files", 1),
    (TimeoutError("timed out"), "error: the system: timed out. `finops doctor`", 1),
    (MemoryError(), "error: this process: there is not enough memory (MemoryError). Free memory", 1),
    (pa.ArrowMemoryError("malloc"), "error: this process: there is not enough memory (malloc). Free memory", 1),
    (duckdb.OutOfMemoryException("oom"), "error: this process: there is not enough memory (oom). Free memory", 1),
    (
        duckdb.IOException('IO Error: Could not write file "/x": No space left on device'),
        'error: DuckDB: IO Error: Could not write file "/x": No space left on device. Free space there',
        1,
    ),
    (sqlite3.OperationalError("database or disk is full"), "error: a database: cannot be used: database or disk is", 1),
    (statement_failed(), "error: a database: cannot be used: port 1 failed: refused. `finops doctor`", 1),
    (
        botocore.exceptions.EndpointConnectionError(endpoint_url="https://s3"),
        'error: AWS: Could not connect to the endpoint URL: "https://s3". `finops doctor`',
        1,
    ),
    (obstore.exceptions.BaseError("Generic error\ndump of state"), "error: the archive: Generic error. `finops", 1),
    (TypeError("two\nlines\x1b[31m"), f"error: {DEFECT}", 1),
]


@pytest.mark.parametrize(("error", "line", "code"), ERRORS, ids=[type(error).__name__ for error, _, _ in ERRORS])
def test_an_error_is_one_line_of_each_command(error: Exception, line: str, code: int) -> None:
    """Errors of finops keep their words; those of the machine and of libraries get some; a defect is called one."""
    for name in COMMANDS:
        done = raised_by(name, error)
        assert done.exit_code == code, name
        assert done.stdout == ""
        (said,) = done.stderr.splitlines()
        assert said.startswith(line), name


def test_a_defect_names_its_kind_and_its_place_in_our_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """The place is what a report needs first; the trace is one word away."""
    monkeypatch.setattr("finops_assets.settings.load.load_settings", lambda: [][0])
    done = CliRunner().invoke(main, ["status"])
    assert done.stderr.startswith(f"error: {DEFECT}, finops_assets/cli/common.py:")
    assert "IndexError: list index out of range. Report it with its trace, which --debug prints." in done.stderr


def test_what_an_error_came_from_counts() -> None:
    """Dagster wraps what a step raises; what was dealt with before a defect does not hide it."""
    wrapped = RuntimeError("a step failed")
    wrapped.__cause__ = ArchiveError("cannot be read", where="day.parquet")
    assert in_words(wrapped) is wrapped.__cause__
    defect = RuntimeError("a defect")
    defect.__context__ = ArchiveError("was dealt with")
    assert "RuntimeError: a defect" in str(in_words(defect))


@pytest.mark.parametrize("name", COMMANDS)
def test_debug_prints_the_trace_before_the_line(name: str) -> None:
    """Before the command's name, behind it, or by the environment; 0 is no."""
    error = ArchiveError("cannot be read", where="day.parquet")
    for done in (
        raised_by(name, error, "--debug"),
        CliRunner().invoke(main, ["--debug", "quicksight", "show"], env={"FINOPS_PLATFORM": "local"}),
    ):
        assert done.stderr.startswith("Traceback"), done.stderr
        assert done.stderr.splitlines()[-1].startswith("error: ")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("FINOPS_DEBUG", "1")
        assert raised_by(name, error).stderr.startswith("Traceback")
        environment.setenv("FINOPS_DEBUG", "0")
        assert raised_by(name, error).stderr.startswith("error: ")


# --- signals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "word"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")])
def test_a_signal_ends_each_command_with_its_code(number: int, word: str) -> None:
    """128 and the signal's number, as a shell has it; the handlers are as they were afterwards."""
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)

    def interrupted() -> None:
        os.kill(os.getpid(), number)
        time.sleep(30)

    def recorded_as_failed() -> None:  # as Dagster does, which has handlers of its own
        try:
            interrupted()
        except KeyboardInterrupt:
            sys.exit(1)

    for name in COMMANDS:
        for callback in (interrupted, recorded_as_failed):
            done = raised_by(name, callback)
            assert done.exit_code == 128 + number
            (line,) = done.stderr.splitlines()
            assert line.startswith(f"error: finops {name.split()[0]} was interrupted by {word}. ")
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_ctrl_c_while_the_command_is_imported_is_one_line(tmp_path: Path) -> None:
    """Half a second of imports, of which a trace would be a page; with the signal ignored, it goes on."""
    (tmp_path / "click.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nprint('went on')\n")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (tmp_path, Path(__file__).parents[2])))}
    command = [sys.executable, "-m", "finops_assets", "status"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "error: finops was interrupted by Ctrl-C.\n")
    ignoring = (
        f"import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); os.execv({command[0]!r}, {command})"
    )
    done = subprocess.run(
        [sys.executable, "-c", ignoring], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("went on")


def test_a_finished_command_is_not_called_interrupted() -> None:
    """A signal that comes with the last line changes nothing."""

    def finished() -> None:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)

    assert raised_by("status", finished).exit_code == 0


def test_a_pipe_that_nobody_reads_ends_without_a_word(folder: Path) -> None:
    """`finops budgets | true`."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        command = [sys.executable, "-m", "finops_assets", "budgets"]
        done = subprocess.run(command, cwd=folder, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


# --- the machine --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finops.toml and a home that has one day."""
    folder = tmp_path_factory.mktemp("desk")
    bill = write_sample_bill(folder / "bill", THE_DAY, 1)
    (folder / "finops.toml").write_text(
        f"home = 'home'\n[bill]\npath = '{bill.focus.relative_to(folder)}'\nfirst_day = {THE_DAY}\n"
        "[accounts]\npath = 'bill/accounts.csv'\n[budgets]\npath = 'bill/budgets.csv'\n"
    )
    (folder / "tf.json").write_text(json.dumps({"settings": {"value": {"bill.currency": "USD"}}}))
    with pytest.MonkeyPatch.context() as environment:
        environment.chdir(folder)
        environment.setenv("DAGSTER_HOME", "")
        done = CliRunner().invoke(main, ["backfill"])
    assert done.exit_code == 0, done.output
    return folder


CHILD = """
import json, sys
from contextlib import nullcontext
from click.testing import CliRunner
from finops_assets.defs import run
from finops_assets.cli.main import main
from finops_assets.core.reports.drawing import Drawing
run.drawing_beside = lambda: nullcontext(Drawing(lambda _: b"PNG", lambda *_: b"PDF"))
found = {}
for name, words in json.loads(sys.argv[1]).items():
    done = CliRunner().invoke(main, words)
    found[name] = [done.exit_code, done.stdout, done.stderr]
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
print(json.dumps(found))
"""

IN_TROUBLE = {name: words_of(name) for name in COMMANDS if name not in ("dev", "demo")} | {
    "run": ("run", "--date", str(THE_DAY)),
    "demo": ("demo", "--scenario", "list"),
    "settings from-terraform": ("settings", "from-terraform", "--file", "home/new.toml", "tf.json"),
}
"""`dev` starts other processes, which have troubles of their own; a demo makes its own bill."""


def limited(folder: Path, limit: int, value: int) -> dict[str, list[Any]]:
    """What each command does in a process with a limit."""

    def limit_it() -> None:
        resource.setrlimit(limit, (value, value))

    command = [sys.executable, "-c", CHILD, json.dumps(IN_TROUBLE)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("FINOPS_", "DAGSTER_"))}
    child = subprocess.Popen(
        command, cwd=folder, env=clean, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=limit_it
    )
    out, err = child.communicate(timeout=120)
    assert child.returncode == 0, err
    assert "Traceback" not in out + err
    return json.loads(out.splitlines()[-1])


WRITING = ("run", "morning", "backfill", "observe", "evidence make", "resend", "settings from-terraform")


def test_a_disk_that_takes_nothing_is_one_line(folder: Path) -> None:
    """No file may grow: what only reads does as always, what writes names the place; nothing is lost."""
    before = {each: each.read_bytes() for each in (folder / "home" / "archive").rglob("*") if each.is_file()}
    done = limited(folder, resource.RLIMIT_FSIZE, 0)
    for name, (code, _, err) in done.items():
        assert DEFECT not in err, (name, err)
        if name in WRITING:
            assert code == 1, (name, err)
            assert err.splitlines()[-1].startswith("error: "), (name, err)
        else:
            assert "File too large" not in err, (name, err)
    assert {each: each.read_bytes() for each in before} == before


def test_64_descriptors_are_enough(folder: Path) -> None:
    """No command needs more; a limit that is too low is named."""
    for name, (code, _, err) in limited(folder, resource.RLIMIT_NOFILE, 64).items():
        assert "Too many open files" not in err, (name, err)
        assert DEFECT not in err, (name, err)
        assert code in ((0, 1, ALERTED) if name == "morning" else (0, 1, 2)), (name, code)


def test_a_stopped_database_is_one_line_of_each_command_that_needs_it(
    aws: StandIn, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deployment's PostgreSQL that does not answer: what needs no record of a run does as always."""
    make_ready(aws, folder / "bill" / "focus")
    monkeypatch.setattr("dagster_postgres.utils.time.sleep", lambda _: None)
    monkeypatch.setattr("finops_assets.defs.run.drawing_beside", lambda: nullcontext(Drawing()))
    place = {"hostname": "127.0.0.1", "port": 1, "username": "u", "password": "secret", "db_name": "d"}
    storage = {"postgres": {"postgres_db": {**place, "scheme": "postgresql+psycopg2"}}}
    (tmp_path / "dagster.yaml").write_text(json.dumps({"storage": storage}))  # YAML, too
    accounts = folder / "bill" / "accounts.csv"
    on = on_aws(aws, tmp_path, accounts__path=accounts, bill__first_day=THE_DAY, alerts__backend="eml")
    stopped = {}
    for name, words in IN_TROUBLE.items():
        if name != "settings from-terraform":
            done = finops(*words, cwd=tmp_path, **on, DAGSTER_HOME=str(tmp_path))
            assert "Traceback" not in done.output, (name, done.output)
            assert "secret" not in done.output, name
            if "port 1 failed" in done.output:
                stopped[name] = (done.exit_code, done.output.splitlines()[-1])
    assert set(stopped) == {"run", "morning", "backfill", "observe", "evidence make", "doctor"}
    doctor = finops("doctor", cwd=tmp_path, **on, DAGSTER_HOME=str(tmp_path)).stdout
    assert "\nfail  dagster            Dagster's database: " in doctor, doctor[-900:]
    for name in set(stopped) - {"doctor"}:
        assert stopped[name][0] == 1
        assert stopped[name][1].startswith("error: Dagster's database: "), name


def test_ctrl_c_in_the_middle_of_a_run_is_one_line_and_the_next_run_is_whole(folder: Path) -> None:
    """A terminal sends it to each process of the group: none of them prints a trace."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("FINOPS_", "DAGSTER_"))}
    clean |= {"FINOPS_HOME": str(folder / "interrupted")}
    command = [sys.executable, "-u", "-m", "finops_assets", "backfill"]
    child = subprocess.Popen(
        command,
        cwd=folder,
        env=clean,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    said = child.stderr.readline()
    assert "account_ou_map" in said
    os.killpg(child.pid, signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    assert "Traceback" not in out + err
    assert err.splitlines()[-1].startswith("error: finops backfill was interrupted by Ctrl-C. ")
    with pytest.MonkeyPatch.context() as environment:
        environment.chdir(folder)
        environment.setenv("DAGSTER_HOME", "")
        environment.setenv("FINOPS_HOME", clean["FINOPS_HOME"])
        assert CliRunner().invoke(main, ["backfill"]).exit_code == 0
        assert len(list((folder / "interrupted" / "outbox").glob("*.eml"))) == 1
