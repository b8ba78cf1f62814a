"""How text fits a terminal: its width, lines wrapped, wide tables, colours, a line that says how far a step is.

Without a terminal (a pipe, a file, a log) nothing of this happens: a line stays a line, and has no colour.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Collection, Sequence
from typing import TextIO

import click

from finops_assets.core.text import columns_wide

NARROWEST = 40
"""Columns: a terminal that says that it has fewer gets lines of these."""

COLOURS = {
    r"^fail\b|\bNO\b|\bMISSING\b|\bDAMAGED\b|\bFAILED\b|NOBODY WAS TOLD|■|\bred:": "red",
    r"^warn\b|◊|\bamber:": "yellow",
    r"^ok\b|●|\bgreen:": "green",
}
"""Words of ours that say how things are, with their colours; a symbol or a word always says the same."""

_COLOURED = re.compile("|".join(f"({pattern})" for pattern in COLOURS))


def width_of(stream: TextIO) -> int | None:
    """The columns of the terminal that the stream writes to; None where it is none."""
    return max(shutil.get_terminal_size().columns, NARROWEST) if stream.isatty() else None


def in_colour(stream: TextIO) -> bool:
    """Whether the stream's reader wants colours: a terminal, without NO_COLOR."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def painted(line: str, stream: TextIO) -> str:
    """The line with its words of COLOURS in colour, where the stream's reader wants that."""
    if not in_colour(stream):
        return line
    names = list(COLOURS.values())
    return _COLOURED.sub(lambda match: click.style(match[0], fg=names[(match.lastindex or 1) - 1]), line)


def wrapped(line: str, width: int | None) -> list[str]:
    """The line in lines of this width, at words; those after the first are indented as far as its text is."""
    if width is None or columns_wide(line) <= width:
        return [line]
    return _at_words(line, width, " " * _indent(line))


def _indent(line: str) -> int:
    """Where the text of a line begins that has labels set off by two spaces or more, as `ok    bill    ...` has."""
    labels = re.match(r"\s*(?:\S{1,20}(?: \S{1,20}){0,2} {2,}){0,2}", line)
    place = labels.end() if labels else 0
    return place if place <= NARROWEST * 2 // 3 else 2


def _at_words(text: str, width: int, indent: str = "") -> list[str]:
    """Lines of words; a word that is longer than a line, as a path, stands whole in one of its own."""
    breaking = textwrap.TextWrapper(
        width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False, drop_whitespace=True
    )
    return breaking.wrap(text) or [""]


def fitted(table: Sequence[Sequence[str]], widths: Sequence[int], right: Collection[int], width: int) -> list[str]:
    """A table's rows in lines of this width: columns that do not fit any more go on below, indented.

    Args:
        table: rows of cells, the header first.
        widths: of its columns.
        right: positions of the columns that are set right.
        width: of a line.
    """
    lines: list[list[int]] = [[]]
    used = 0
    for column, wide in enumerate(widths):
        indent = INDENT if len(lines) > 1 else 0
        if lines[-1] and used + 2 + wide > width:
            lines.append([])
            used = INDENT - 2
        elif not lines[-1]:
            used = indent - 2
        lines[-1].append(column)
        used += 2 + wide
    return [part for row in table for part in _row(row, lines, widths, right, width)]


INDENT = 4
"""Spaces before what stands below a row's first columns."""


def _row(
    row: Sequence[str], lines: Sequence[Sequence[int]], widths: Sequence[int], right: Collection[int], width: int
) -> list[str]:
    parts: list[str] = []
    for number, columns in enumerate(lines):
        before = " " * INDENT if number else ""
        cells = [padded(row[column], widths[column], column in right) for column in columns]
        text = before + "  ".join(cells).rstrip()
        if not number or text.strip():
            alone = len(columns) == 1 and columns_wide(text) > width
            parts += _at_words(text, width, before) if alone else [text]
    return parts


def padded(cell: str, width: int, right: bool) -> str:
    """The cell with spaces up to a width in columns of a terminal; `right` sets it right."""
    space = " " * (width - columns_wide(cell))
    return space + cell if right else cell + space


class Progress:
    """How far a long step is: a terminal has one line that is written over, with the time that is left; a pipe gets a
    line at every tenth of the way. Steps of less than 20 are not worth one.

    Args:
        write: writes a text as it is, for people.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._what, self._started, self._tenth, self._shown = "", 0.0, 0, False

    def __call__(self, what: str, done: int, of: int) -> None:
        """Say that so many of a step's days are done."""
        if of < 20:
            return
        if what != self._what or done < self._tenth * of // 10:
            self._what, self._started, self._tenth = what, time.monotonic(), done * 10 // of if done > 1 else 0
        line = f"  {what} {done} of {of} days"
        if width_of(sys.stderr) is not None:
            left = (time.monotonic() - self._started) / done * (of - done) if done else 0.0
            self._over(f"{line}, {duration(left)} left" if done < of else "")
        elif (tenth := done * 10 // of) > self._tenth:
            self._write(f"{line}\n")
            self._tenth = tenth
        if done >= of:
            self._what = ""

    def clear(self) -> None:
        """Take the line away, before another one is printed."""
        if self._shown:
            self._over("")

    def _over(self, line: str) -> None:
        self._write(f"\r\x1b[K{line}")
        self._shown = bool(line)


def duration(seconds: float) -> str:
    """`12 s` or `3 min`, rounded up."""
    return f"{int(seconds) + 1} s" if seconds < 90 else f"{int(seconds / 60) + 1} min"
