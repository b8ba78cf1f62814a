"""The table of a benchmark: what was measured, its bar, and whether it is met."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROWS = "FINOPS_BENCH_ROWS"
"""Environment: a file for the rows as JSON, for the one table of all parts."""


@dataclass(frozen=True)
class Row:
    """A line of the table; `met` is None where there is no bar."""

    what: str
    measured: str
    bar: str = ""
    met: bool | None = None


def finish(rows: Sequence[Row]) -> None:
    """Print the table and end the process, with 1 where a bar is not met."""
    print_table(rows)
    if place := os.environ.get(ROWS):
        Path(place).write_text(json.dumps([asdict(row) for row in rows]))
    sys.exit(any(row.met is False for row in rows))


def print_table(rows: Sequence[Row]) -> None:
    """Each row in a line, in columns."""
    wide, wider = (max(len(getattr(row, name)) for row in rows) for name in ("what", "measured"))
    for row in rows:
        verdict = "" if row.met is None else "met" if row.met else "NOT MET"
        print(f"{row.what:<{wide}}  {row.measured:<{wider}}  {row.bar:<16} {verdict}")
