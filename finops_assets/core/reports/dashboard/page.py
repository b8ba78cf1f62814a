"""The page itself: the parts of templates/dashboard in one file, under a policy that allows nothing else to run."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

from finops_assets.core.calendar import full_day

SCRIPT_PARTS = (
    "data",  # what is embedded, and the calendar of its days
    "age",  # how old the data are when the page is opened
    "money",
    "figures",  # the cost of any place by day, and its colours
    "state",  # the address and links
    "elements",
    "chart",
    "table",
    "dimensions",  # a place's cost by tag, cost category or attribute of accounts
    "month",  # budget against forecast
    "lights",
    "anomalies",  # and restated days
    "moved",  # what moved on the newest day, and why
    "search",  # in the whole page; the table as CSV
    "page",  # puts it all on the page, and listens
)
"""The script's parts, in their order: one scope, in which each uses what the ones before it define."""


def render(data: Mapping[str, Any]) -> str:
    """The whole page: no other file, no network, and a policy under which only its own script runs.

    Args:
        data: as dashboard_data makes it; `refresh`, if there, is printed at the page's foot.
    """
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters["unbroken"] = _unbroken
    style, script = page_style(), page_script()
    return environment.from_string(_part("page.html.j2")).render(
        data=data,
        json=_inline_json(data),
        style=style,
        script=script,
        policy=_policy(style, script),
        refresh=data.get("refresh", ""),
        made=_made(data),
    )


@cache
def page_style() -> str:
    """The content of the page's only style element."""
    return "\n" + _part("style.css")


@cache
def page_script() -> str:
    """The content of the page's only script element that runs."""
    return "\n" + "".join(_part(f"{name}.js") for name in SCRIPT_PARTS)


def _part(name: str) -> str:
    return files("finops_assets").joinpath("templates", "dashboard", name).read_text(encoding="utf-8")


def _made(data: Mapping[str, Any]) -> str:
    """`30 Nov 2026, 08:00 UTC`; empty where the page does not say when it was made."""
    if not data["age"]:
        return ""
    made_at = datetime.fromisoformat(data["age"]["made"])
    return f"{full_day(made_at.date())}, {made_at:%H:%M} UTC"


def _unbroken(text: str) -> str:
    """The same words, with spaces inside `4.2 %`, `10 Sep` and `12.30 USD` at which no line ends."""
    return re.sub(r"(?<=\d) (?=%|[A-Z][A-Za-z]{2}\b)", "\N{NO-BREAK SPACE}", text)


def _inline_json(data: Mapping[str, Any]) -> str:
    """JSON that can end neither its script element nor a line: ASCII, and without `<`, `>` and `&`."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _policy(style: str, script: str) -> str:
    """A Content-Security-Policy that allows this script and this style by their hashes, and nothing else."""

    def hashed(block: str) -> str:
        return f"'sha256-{b64encode(sha256(block.encode()).digest()).decode()}'"

    return (
        f"default-src 'none'; script-src {hashed(script)}; style-src {hashed(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
