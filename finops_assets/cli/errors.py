"""The outermost edge of the command: each error is one line on stderr and an exit code; `--debug` prints its trace.

An error that has words of its own (`FinopsError`) keeps them. Errors of the machine and of libraries get words here, as
every command meets them and none can do anything about them. What is left is a defect, and is called one. No library is
imported for this: classes are known by their names.
"""

from __future__ import annotations

import errno
import gc
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import click

from finops_assets.cli.terminal import OutputClosedError, complain
from finops_assets.core.errors import FinopsError, SettingsError

FAILED, WRONG_USAGE, SIGNALLED = 1, 2, 128
ALERTED = 3
"""Something is wrong, and an alert was sent of it: whoever watches exit codes need not send another."""

DEBUG_VARIABLE = "FINOPS_DEBUG"
_DEBUG = f"{__name__}.debug"

SIGNALS = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}

FULL = (errno.ENOSPC, errno.EDQUOT)
NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
FIXES = {
    **dict.fromkeys(FULL, "Free space there, then run it again: what is archived is whole."),
    **dict.fromkeys(NO_DESCRIPTOR, "Allow more of them (`ulimit -n 1024`), then run it again."),
    **dict.fromkeys(FORBIDDEN, "Mend its rights, or set FINOPS_HOME to a folder that can be written."),
    errno.EFBIG: "Allow larger files (`ulimit -f unlimited`), then run it again.",
    errno.ENOMEM: "Free memory, or set warehouse.memory lower; then run it again.",
    errno.EIO: "See what the system's log says of the disk; then run it again.",
    errno.ENOTDIR: "A file is where a folder has to be: move it away, or mend the path.",
    errno.EISDIR: "A folder is where a file has to be: move it away, or mend the path.",
    errno.ENOENT: "See whether the path is right, and that nobody moves its folder meanwhile.",
    errno.EAGAIN: "End other processes, or allow more of them (`ulimit -u`); then run it again.",
}
"""What to do about an error of the system, by its number."""

DEFECT = "an error of finops itself"

DATABASE = ("sqlite3.Error", "sqlalchemy.exc.SQLAlchemyError", "psycopg2.Error")
AWS = ("botocore.exceptions.BotoCoreError", "botocore.exceptions.ClientError")
STORE = ("obstore.exceptions.BaseError",)
ENGINE = ("duckdb.Error", "_duckdb.Error")


class CommandGroup(click.Group):
    """The command, whose errors are each one line on stderr.

    Exit codes: 1 for an error, 2 for wrong settings, 130 after Ctrl-C, 143 after SIGTERM,
    141 where nobody reads the output any more.

    Attributes:
        sections: the commands as the help lists them: title -> commands.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sections: dict[str, list[click.Command]] = {}

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the commands of each section, their lines whole and below each other."""
        widest = max((len(name) for name in self.commands), default=0)
        for title, commands in self.sections.items():
            with formatter.section(title):
                rows = [((command.name or "").ljust(widest), command.get_short_help_str(100)) for command in commands]
                formatter.write_dl(rows)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        _take_debug(self)
        return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        # A process of seconds makes hundreds of thousands of objects at import: to look through them for garbage as
        # often as a long-lived one does costs it a tenth of its life.
        gc.set_threshold(100_000, 20, 20)
        with _signals() as signals:
            try:
                return super().invoke(ctx)
            except (click.ClickException, click.Abort):
                raise
            except OutputClosedError:  # as in `finops status | head -1`
                # What is still to be flushed at the end has no reader either.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                ctx.exit(SIGNALLED + signal.SIGPIPE)
            except (click.exceptions.Exit, SystemExit) as ended:
                # A run that was interrupted is recorded as failed, and then the command ends as after any failed run.
                if _exit_code(ended) and signals.first():
                    _end_interrupted(ctx, signals.first())
                raise
            except BaseException as error:  # noqa: BLE001 (the one place where any error gets its words)
                if _is_debugging(ctx):
                    traceback.print_exception(error)
                if signals.first() or isinstance(error, KeyboardInterrupt):
                    _end_interrupted(ctx, signals.first() or signal.SIGINT)
                complain(str(in_words(error)))
                ctx.exit(WRONG_USAGE if isinstance(error, SettingsError) else FAILED)


def _end_interrupted(ctx: click.Context, number: int) -> NoReturn:
    """Say that a signal has ended the command, and exit as a shell expects it."""
    complain(
        f"finops {ctx.invoked_subcommand or ''} was interrupted by {SIGNALS[signal.Signals(number)]}. "
        "What is archived is whole; run it again to go on."
    )
    ctx.exit(SIGNALLED + number)


def in_words(error: BaseException) -> FinopsError:
    """An error as what happened, to what, and what to do; one that has such words, or came from one, keeps them."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, FinopsError):
            return seen
        if words := _known(seen):
            return words
        seen = seen.__cause__
    return _defect(error)


def _known(error: BaseException) -> FinopsError | None:
    """The words for an error of the machine or of a library; None where it is neither."""
    reason = _first_line(error)
    if isinstance(error, MemoryError) or _is(error, ("duckdb.OutOfMemoryException", "_duckdb.OutOfMemoryException")):
        return FinopsError(f"there is not enough memory ({reason})", where="this process", fix=FIXES[errno.ENOMEM])
    if isinstance(error, OSError):
        return _of_the_system(error)
    if _is(error, AWS):
        return FinopsError(reason, where="AWS", fix="`finops doctor` says which permission or service is missing.")
    if _is(error, DATABASE):
        return FinopsError(
            f"cannot be used: {_first_line(getattr(error, 'orig', None) or error)}",
            where="a database",
            fix=_fix_in(reason) or "`finops doctor` says which file is damaged; a server has to be started.",
        )
    if _is(error, STORE):
        return FinopsError(reason, where="the archive", fix=_fix_in(reason) or "`finops doctor` says what is wrong.")
    if _is(error, ENGINE) and (fix := _fix_in(reason)):
        return FinopsError(reason, where="DuckDB", fix=fix)
    return None


def _of_the_system(error: OSError) -> FinopsError:
    """The words for an error that the operating system gave."""
    place = str(error.filename) if error.filename is not None else ""
    if not place and _was_printing(error):
        place = "the output"
    what = error.strerror or _first_line(error)
    if error.errno in NO_DESCRIPTOR:
        import resource

        what = f"{what}: this process may have {resource.getrlimit(resource.RLIMIT_NOFILE)[0]}"
    fix = FIXES.get(error.errno or 0, "`finops doctor` tries everything that the settings use.")
    return FinopsError(what, where=place or "the system", fix=fix)


def _defect(error: BaseException) -> FinopsError:
    """The words for an error that finops has made: its kind, and the place in our code."""
    frames = traceback.extract_tb(error.__traceback__)
    package = f"{Path(__file__).parents[1]}{os.sep}"
    own = [frame for frame in frames if frame.filename.startswith(package)]
    at = f", {Path(own[-1].filename).relative_to(Path(package).parent)}:{own[-1].lineno}" if own else ""
    return FinopsError(
        f"{type(error).__name__}: {_first_line(error)}",
        where=f"{DEFECT}{at}",
        fix="Report it with its trace, which --debug prints.",
    )


def _fix_in(reason: str) -> str:
    """What to do about an error whose number a library has turned into text, in the system's own words."""
    if "disk is full" in reason:  # SQLite's words
        return FIXES[errno.ENOSPC]
    return next((fix for number, fix in FIXES.items() if os.strerror(number) in reason), "")


def _first_line(error: BaseException) -> str:
    """The first line of its message; libraries add a dump of their state, or the statement, below it."""
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__


def _is(error: BaseException, names: tuple[str, ...]) -> bool:
    """Whether it is of one of the classes, by their full names."""
    return any(f"{kind.__module__}.{kind.__qualname__}" in names for kind in type(error).__mro__)


def _was_printing(error: OSError) -> bool:
    return any(frame.f_globals.get("__name__") == "click.utils" for frame, _ in traceback.walk_tb(error.__traceback__))


def _exit_code(ended: click.exceptions.Exit | SystemExit) -> Any:
    return ended.exit_code if isinstance(ended, click.exceptions.Exit) else ended.code


def _take_debug(command: click.Command) -> None:
    """Let a command, and those below it, take `--debug`: it may stand before or behind a command's name."""
    if not any(parameter.name == "debug" for parameter in command.params):
        option = click.Option(
            ["--debug"],
            is_flag=True,
            expose_value=False,
            hidden=not isinstance(command, CommandGroup),
            callback=_note_debug,
            help=f"Print the stack trace of an error, too ({DEBUG_VARIABLE}=1).",
        )
        command.params.append(option)
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        _take_debug(below)


def _note_debug(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        ctx.meta[_DEBUG] = True


def _is_debugging(ctx: click.Context) -> bool:
    return ctx.meta.get(_DEBUG, False) or os.environ.get(DEBUG_VARIABLE, "").lower() not in (
        "",
        "0",
        "false",
    )


class _Signals:
    """The signals that end a command and have come, whoever handles them: Dagster puts handlers of its own in place.

    Args:
        readable: the pipe into which Python writes the number of each signal; None where none are looked for.
    """

    def __init__(self, readable: int | None = None) -> None:
        self._readable, self._first = readable, 0

    def first(self) -> int:
        """The number of the first one; 0 where none has come."""
        if self._readable is not None and not self._first:
            with suppress(BlockingIOError):
                self._first = next((number for number in os.read(self._readable, 64) if number in SIGNALS), 0)
        return self._first


@contextmanager
def _signals() -> Iterator[_Signals]:
    """SIGTERM interrupts as Ctrl-C does: what is under way, such as a paid query, is stopped on the way out."""
    if threading.current_thread() is not threading.main_thread():
        yield _Signals()
        return
    readable, writable = os.pipe()
    for end in (readable, writable):
        os.set_blocking(end, False)
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    interrupting = (signal.SIGTERM,) if ignored else (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, signal.default_int_handler) for number in interrupting}
    woken = signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    try:
        yield _Signals(readable)
    finally:
        signal.set_wakeup_fd(woken)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(readable)
        os.close(writable)
