"""The two pages set by Typst, which loads where it is used.

The same data gives the same bytes: letters come from fonts that are shipped, the file is dated with its day. How the
pages look is in templates/executive_snapshot.typ.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import cache
from importlib.resources import files
from typing import Any

STANDARDS = ["a-2a", "ua-1"]
"""For archives, and for those who have it read to them."""

_OTHER_SCRIPTS = re.compile(r"[^\u0000-\u06ff\u1e00-\u22ff\u2500-\u25ff\ufb1d-\ufdff\ufe70-\ufefe]")
"""Letters that none of the shipped fonts has, such as Chinese ones: for these the machine's own fonts are asked too."""


def to_pdf(data: Mapping[str, Any], charts: Mapping[str, str]) -> bytes:
    """The two pages as a tagged PDF with its fonts in it; the same data and charts give the same bytes.

    Args:
        data: as `snapshot_data` gives it.
        charts: `month` and `daily` as SVG; one that is missing is left out.
    """
    import typst

    template = files("finops_assets").joinpath("templates", "executive_snapshot.typ").read_bytes()
    inputs = {"data": json.dumps(data)} | {f"chart-{name}": _for_the_page(svg) for name, svg in charts.items()}
    foreign = any(_OTHER_SCRIPTS.search(text) for text in (json.dumps(data, ensure_ascii=False), *charts.values()))
    dated = datetime.combine(date.fromisoformat(data["date"]), datetime.min.time(), UTC)

    def compiled(**options: Any) -> bytes:
        pdf = typst.compile(
            template,
            format="pdf",
            font_paths=load_fonts(of_the_machine=foreign),
            sys_inputs=inputs,
            timestamp=dated,
            **options,
        )
        assert isinstance(pdf, bytes), "without a path to write to, it gives the bytes"
        return pdf

    try:
        return compiled(pdf_standards=STANDARDS)
    except typst.TypstError:  # a name has a letter that no font here has, which these standards do not allow
        return compiled()


@cache
def load_fonts(*, of_the_machine: bool) -> Any:
    """The shipped fonts, and those of the machine too where asked."""
    import typst

    shipped = str(files("finops_assets").joinpath("templates", "fonts"))
    return typst.Fonts(include_system_fonts=of_the_machine, font_paths=[shipped])


def _for_the_page(svg: str) -> str:
    """A chart as the page takes it: with the page's letters, set as close as a browser's, and a third of the bytes.

    A mark that is translucent as a whole would be an object of its own in the file; its fill and stroke are so here.
    """

    def tag(match: re.Match) -> str:
        text = re.sub(r'\sfont-family="[^"]*"', ' font-family="Inter" letter-spacing="-0.15"', match[0])
        if "fill-opacity=" in text or "stroke-opacity=" in text:
            return text
        return re.sub(r'\sopacity="([^"]*)"', r' fill-opacity="\1" stroke-opacity="\1"', text)

    return re.sub(r"<(?:path|text)\b[^<>]*>", tag, svg)
