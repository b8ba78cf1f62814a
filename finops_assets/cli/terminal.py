"""The one place that prints: names of others drive no terminal, and what is long is printed as it comes.

Text for people is harmless (core/text.py) and cut; JSON is exact, its unsafe characters written as escapes.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import is_dataclass
from datetime import date
from decimal import Decimal
from itertools import chain
from math import isfinite
from typing import Any

import click

from finops_assets.cli import layout
from finops_assets.core.text import columns_wide, sentence, shortened, shortened_inside, visible

SMALL_FIGURES = 4
"""Figures that are shown of a number below one."""

LONGEST_CELL = 500
"""Characters of a cell of a table; `--json` has all of them."""

_UNSAFE = re.compile(
    "[\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ud800-\udfff\ufeff\uffa0\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""What a terminal may obey, or shows to nobody, of what `json.dumps` leaves as it is."""


PROGRESS = layout.Progress(lambda text: click.echo(text, nl=False, err=True, color=True))
"""How far a long step is, on stderr."""


class OutputClosedError(Exception):
    """Nobody reads the output any more, as after `finops query ... | head`."""


def say(*lines: str) -> None:
    """Print lines; a line end inside one, as in a name, becomes a space. A terminal gets long ones wrapped."""
    width = layout.width_of(sys.stdout)
    _write("\n".join(layout.painted(part, sys.stdout) for line in lines for part in layout.wrapped(_line(line), width)))


def tell(line: str) -> None:
    """Print a line beside the output, on stderr."""
    PROGRESS.clear()
    _write("\n".join(layout.wrapped(_line(line), layout.width_of(sys.stderr))), err=True)


def complain(text: str) -> None:
    """Print an error on stderr: in one line, or as many as a terminal needs."""
    PROGRESS.clear()
    lines = layout.wrapped(f"error: {sentence(text)}", layout.width_of(sys.stderr))
    lines[0] = lines[0].replace("error: ", click.style("error: ", fg="red", bold=True), 1)
    click.echo("\n".join(lines), err=True, color=layout.in_colour(sys.stderr))


def print_exact(text: str) -> None:
    """Print JSON or TOML as it is, with what is unsafe as `\\u` escapes, which mean the same."""
    _write(_escaped(text))


def print_json(value: Any) -> None:
    """Print a value as JSON: exact amounts as text, objects by their fields."""
    print_exact(json.dumps(value, default=_encoded, indent=2, ensure_ascii=False))


def print_table(header: Sequence[Any], rows: Iterable[Sequence[Any]], right: Collection[int] = ()) -> None:
    """Print a table, its columns as wide as their widest cells. Where a terminal is narrower, what does not fit beside
    the first columns stands below them; nothing is cut.

    Args:
        header: names of the columns.
        rows: of the same length.
        right: positions of the columns that are set right.
    """
    table = [[_cell(value) for value in row] for row in (header, *rows)]
    columns = list(zip(*table, strict=True))
    widths = [max(map(columns_wide, column)) for column in columns]
    width = layout.width_of(sys.stdout)
    if width is None or sum(widths) + 2 * (len(widths) - 1) <= width:
        lines = _lines(columns, widths, right)
    else:
        lines = layout.fitted(table, widths, right, width)
    _write("\n".join(layout.painted(line, sys.stdout) for line in lines))


def print_rows(names: Sequence[str], batches: Iterable[Sequence[Sequence[Any]]]) -> None:
    """Print a table as its rows come; the first batch says how wide the columns are.

    A cell of a later batch that is wider is printed whole, and moves the rest of its line to the right.
    """
    widths: list[int] = []
    right: set[int] = set()
    for rows in chain(filter(len, batches), [()]):
        columns = list(zip(*rows, strict=True)) or [()] * len(names)
        cells = [_made_once(_rounded, column) for column in columns]
        if not widths:
            right = {i for i, column in enumerate(columns) if any(isinstance(v, int | float | Decimal) for v in column)}
            cells = [[_cell(name), *column] for name, column in zip(names, cells, strict=True)]
            widths = [max(map(columns_wide, set(column))) for column in cells]
        if lines := _lines(cells, widths, right):
            _write("\n".join(lines))


def print_csv_rows(names: Sequence[str], batches: Iterable[Sequence[Sequence[Any]]]) -> None:
    """Print rows as CSV, a header first, as they come; what a spreadsheet would run as a formula is text."""
    from finops_assets.core.reports.digest.csv_file import csv_text

    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    for rows in chain([[names]], batches):
        for row in rows:
            writer.writerow([csv_text(visible(value)) if isinstance(value, str) else _exact(value) for value in row])
        _write(out.getvalue(), newline=False)
        out.seek(0)
        out.truncate()


def print_json_rows(names: Sequence[str], batches: Iterable[Sequence[Sequence[Any]]]) -> None:
    """Print rows as a JSON list of objects, a line each, as they come."""
    row = ", ".join(f"{json.dumps(name).replace('%', '%%')}: %s" for name in names).join(("  {", "}"))
    before = "["
    for rows in filter(len, batches):
        columns = [_json_cells(column) for column in zip(*rows, strict=True)]
        lines = ",\n".join([row % values for values in zip(*columns, strict=True)])
        _write(_escaped(f"{before}\n{lines}"), newline=False)
        before = ","
    _write("[]" if before == "[" else "\n]")


def _line(text: str) -> str:
    return shortened_inside(visible(text))


def _write(text: str, *, newline: bool = True, err: bool = False) -> None:
    try:
        click.echo(text, nl=newline, err=err, color=layout.in_colour(sys.stderr if err else sys.stdout))
    except BrokenPipeError:
        raise OutputClosedError from None


def _escaped(text: str) -> str:
    if text.isascii() and "\x7f" not in text:
        return text
    return _UNSAFE.sub(lambda match: json.dumps(match[0]).strip('"') if match[0] != "\x7f" else "\\u007f", text)


def _encoded(item: Any) -> Any:
    from finops_assets.core.bill.totals import Amount
    from finops_assets.core.money import plain

    if isinstance(item, Amount):
        return {"lines": item.lines, "total": item.money}
    if is_dataclass(item):
        return vars(item)
    return plain(item) if isinstance(item, Decimal) else str(item)


def _exact(value: Any) -> Any:
    from finops_assets.core.money import plain

    return plain(value) if isinstance(value, Decimal) else value


def _cell(value: Any) -> str:
    if type(value) is Decimal:
        return f"{value:f}"  # 0.000000000000, not 0E-12
    return "" if value is None else shortened(visible(value if type(value) is str else str(value)), LONGEST_CELL)


def _rounded(value: Any) -> str:
    """A cell as people read it: `1,234.50`, and of an amount below one its first figures, `0.01234`."""
    if not isinstance(value, (float, Decimal)) or not isfinite(value):
        return _cell(value)
    if not value or not -1 < value < 1:
        return f"{value:,.2f}"
    figures = Decimal(repr(value) if isinstance(value, float) else value)
    text = f"{figures:.{SMALL_FIGURES}g}"
    return f"{Decimal(text):f}" if "E" in text.upper() else text


def _json_cells(column: Sequence[Any]) -> list[str]:
    if set(map(type, column)) == {float}:  # at once is four times as fast
        return json.dumps(column)[1:-1].split(", ")
    return _made_once(lambda value: json.dumps(value, default=_encoded, ensure_ascii=False), column)


def _made_once(make: Callable[[Any], str], column: Sequence[Any]) -> list[str]:
    """The cells of a column, each different value made once: the same names, days and numbers stand in most rows."""
    if set(map(type, column)) not in ({str}, {int}, {date}):  # of others, equal values may read differently: 1 and 1.0
        return [make(value) for value in column]
    texts = {value: make(value) for value in set(column)}
    return [texts[value] for value in column]


def _lines(columns: Sequence[Sequence[str]], widths: Sequence[int], right: Collection[int]) -> list[str]:
    """The rows of these columns, aligned, without spaces at their ends."""
    padded = [_padded(column, width, i in right) for i, (column, width) in enumerate(zip(columns, widths, strict=True))]
    return [line.rstrip() for line in map("  ".join, zip(*padded, strict=True))]


def _padded(column: Sequence[str], width: int, right: bool) -> list[str]:
    if all(map(str.isascii, column)):
        return [cell.rjust(width) if right else cell.ljust(width) for cell in column]
    cells = {cell: layout.padded(cell, width, right) for cell in set(column)}
    return [cells[cell] for cell in column]
