"""A sandbox for a user's SELECT: a DuckDB that can read the tables' files and nothing else, with a memory limit.

What it may do is fixed before it runs: the files are listed, all other access is disabled, and the configuration is
locked. The answer is streamed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from finops_assets.adapters.shared.duck import ConfigValue, connect, file_literal, sql_literal
from finops_assets.core.errors import FinopsError
from finops_assets.core.values import QueryResult

if TYPE_CHECKING:
    import duckdb

Result = TypeVar("Result")

MEMORY = "500MB"
"""What DuckDB may hold before it spills; with Python and what DuckDB does not count, a process stays below 1 GB."""

BATCH_ROWS = 8192

CLOSED: dict[str, ConfigValue] = {
    "memory_limit": MEMORY,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "allow_persistent_secrets": False,
    "python_enable_replacements": False,
}
"""No extension is fetched or loaded, no stored password is read, and no variable of this program is a table."""


@contextmanager
def sandbox() -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB to create tables in, before `shut` closes it; it spills to a temporary folder of its own."""
    with ExitStack() as held:
        try:
            spill = held.enter_context(tempfile.TemporaryDirectory(prefix="finops-query-", ignore_cleanup_errors=True))
        except OSError:  # no folder can be written: what does not fit in memory is refused then
            spill = ""
        yield held.enter_context(closing(connect(CLOSED | {"temp_directory": spill})))


def shut(con: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> None:
    """From now on, these files can be read and nothing else can be reached; it cannot be undone."""
    # A view opens a file by its literal's spelling, and by the file's own name.
    allowed = sorted({*map(file_literal, files), *map(sql_literal, files)})
    con.execute(f"SET allowed_paths = [{', '.join(allowed)}]")
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")


@contextmanager
def streamed(con: duckdb.DuckDBPyConnection, sql: str) -> Iterator[QueryResult]:
    """Run one statement; each batch of rows is read when it is asked for.

    DuckDB works in a thread of its own: whatever ends the wait (Ctrl-C, SIGTERM) is seen at once, and ends DuckDB's
    work. In the main thread a signal would be seen only between two of its calls, at times after minutes.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="finops-query") as worker:

        def result_of(call: Callable[[], Result]) -> Result:
            future = worker.submit(call)
            try:
                return future.result()
            except BaseException:
                _interrupted(con, future)
                raise

        def batches() -> Iterator[Sequence[tuple[Any, ...]]]:
            while rows := result_of(lambda: cursor.fetchmany(BATCH_ROWS)):
                yield rows

        cursor = result_of(lambda: con.execute(sql))
        yield QueryResult([column[0] for column in cursor.description], batches())


def _interrupted(con: duckdb.DuckDBPyConnection, running: Future) -> None:
    """Interrupt the query until it has ended: DuckDB forgets an interruption before the query's first step."""
    while not running.done():
        con.interrupt()
        wait([running], timeout=0.05)


def is_of_the_query(error: duckdb.Error) -> bool:
    """Whether the statement is at fault, and not an object that it reads."""
    import duckdb

    return isinstance(
        error,
        duckdb.BinderException
        | duckdb.CatalogException
        | duckdb.ConversionException
        | duckdb.NotImplementedException
        | duckdb.OutOfMemoryException
        | duckdb.OutOfRangeException
        | duckdb.ParserException
        | duckdb.PermissionException
        | duckdb.SyntaxException,
    )


def query_error(error: duckdb.Error) -> FinopsError:
    """The engine's refusal in one line."""
    import duckdb

    words = " ".join(str(error).partition("\n\nLINE ")[0].split())
    if isinstance(error, duckdb.PermissionException):
        return FinopsError(
            f"the query asks for something outside the archive ({words})",
            fix="A query reads the archive's tables, and no other file or address.",
        )
    if isinstance(error, duckdb.OutOfMemoryException):
        return FinopsError(
            f"the query takes more than {MEMORY} of memory ({words})",
            fix="Ask for fewer days or columns, or make room for what it spills (TMPDIR).",
        )
    return FinopsError(f"the query failed: {words}")
