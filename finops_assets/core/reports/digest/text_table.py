"""Tables in plain text."""

from __future__ import annotations

from collections.abc import Sequence
from unicodedata import bidirectional

from finops_assets.core.text import columns_wide, shortened


def columns(rows: Sequence[Sequence[str]], align: str, widest: int = 38) -> str:
    """Rows of cells as aligned text; `align` has `<` or `>` for each column, `widest` bounds a cell in characters."""
    cells = [[shortened(cell, widest) for cell in row] for row in rows]
    widths = [max(map(columns_wide, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        padded = []
        for cell, width, side in zip(row, widths, align, strict=True):
            space = " " * (width - columns_wide(cell))
            padded.append(_isolated(cell) + space if side == "<" else space + _isolated(cell))
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def _isolated(text: str) -> str:
    """Right-to-left text between isolates, so that the numbers beside it keep their places."""
    rtl = any(bidirectional(c) in ("R", "AL", "AN") for c in text)
    return f"\u2068{text}\u2069" if rtl else text
