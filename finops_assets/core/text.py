"""Names and messages of others as harmless text: the one rule for mail, PDF, dashboard, terminal, alerts and Dagster.

An account may be called anything: with control characters that drive a terminal, with bidirectional overrides that turn
a line around, with characters that nobody sees, or without end. What a page, a mail or a terminal shows has none of
these. What programs read (Parquet, CSV, JSON) keeps names as they are.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

LONGEST_NAME, LONGEST_MESSAGE = 120, 2000
"""Characters of a name and of a sentence that are shown."""

_VISIBLE_FORMATS = {*range(0x0600, 0x0606), 0x06DD, 0x070F, 0x0890, 0x0891, 0x08E2, 0x110BD, 0x110CD}
"""Unicode's prepended concatenation marks: of the category of invisible characters, and visible."""

_FILLERS = {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0}
"""Letters and marks that show nothing (Unicode's Default_Ignorable_Code_Point)."""


class _Replacements(dict[int, int | str | None]):
    """What stands for each character, as `str.translate` asks for it; what was asked once is kept."""

    def __missing__(self, code: int) -> int | str | None:
        category = unicodedata.category(chr(code))
        shown: int | str | None = code
        if category in ("Cc", "Zl", "Zp") or code & 0xFFFE == 0xFFFE:  # the last two of each plane are no characters
            shown = " "
        elif category == "Cs":  # half a character, which no file and no terminal takes
            shown = "\N{REPLACEMENT CHARACTER}"
        elif (category == "Cf" and code not in _VISIBLE_FORMATS) or code in _FILLERS:
            shown = None
        self[code] = shown
        return shown


_REPLACEMENTS = _Replacements()


def visible(text: str) -> str:
    """The text without what nobody sees: control characters and line ends become spaces, invisible ones go.

    Bidirectional overrides and zero-width characters are among the invisible ones.
    """
    if text.isascii() and text.isprintable():
        return text
    return text.translate(_REPLACEMENTS)


def shortened(text: str, limit: int) -> str:
    """The text, or its beginning and `…`: at most `limit` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def shortened_inside(text: str, limit: int = LONGEST_MESSAGE) -> str:
    """The text, or its beginning, `…` and its end, which often says what is wrong with the name in the middle."""
    end = limit // 4
    return text if len(text) <= limit else f"{text[: limit - end - 1]}…{text[-end:]}"


def tidy(text: str, limit: int = LONGEST_NAME) -> str:
    """A name as one line of harmless text, at most `limit` characters."""
    return shortened(" ".join(visible(text).split()), limit)


def sentence(text: str) -> str:
    """A message as one line of harmless text, cut inside."""
    return shortened_inside(" ".join(visible(text).split()))


def tidy_lines(text: str) -> str:
    """A text of several lines, each harmless and cut inside."""
    return "\n".join(shortened_inside(visible(line)) for line in re.split("\r\n|[\n\r]", text))


def distinct(names: Iterable[str], limit: int = LONGEST_NAME) -> dict[str, str]:
    """Each name -> how it is shown. Different names stay different: `Prod`, `Prod (2)`.

    A name that is shown as it is keeps its own form, whichever others look like it.
    """
    shown: dict[str, str] = {}
    taken: set[str] = set()
    for name in sorted(set(names), key=lambda name: (tidy(name, limit) != name, name)):
        plain = form = tidy(name, limit)
        number = 2
        while form in taken:
            mark = f" ({number})"
            form = shortened(plain, limit - len(mark)) + mark
            number += 1
        taken.add(form)
        shown[name] = form
    return shown


def distinct_paths(paths: Iterable[str], limit: int = LONGEST_NAME) -> dict[str, str]:
    """As `distinct`, of paths with `/` and of all paths above them: what lies below another stays below it."""
    below: dict[str, set[str]] = {}  # a path with its last `/` -> the names right below it
    for path in paths:
        parts = path.split("/")
        for level, name in enumerate(parts):
            below.setdefault("".join(f"{part}/" for part in parts[:level]), set()).add(name)
    shown: dict[str, str] = {}
    for above, names in sorted(below.items(), key=lambda item: item[0].count("/")):
        start = f"{shown[above[:-1]]}/" if above else ""
        shown |= {f"{above}{name}": start + form for name, form in distinct(names, limit).items()}
    return shown


_MARKUP = re.compile(r"[\\`*\[\]<>|~&]|(?<![^\W_])_|_(?![^\W_])|^[#+=-]|^\d+[.)](?=\s|$)")


def markdown(text: str) -> str:
    """One line of text that Markdown shows as it is: no markup, link, picture, HTML or table cell comes of it."""

    def escaped(match: re.Match[str]) -> str:
        return f"{match[0][:-1]}\\{match[0][-1]}"

    return _MARKUP.sub(escaped, sentence(text))


def columns_wide(text: str) -> int:
    """How many columns of a fixed-width font the text takes."""
    if text.isascii():
        return len(text)
    seen = [c for c in text if not unicodedata.combining(c) and unicodedata.category(c) != "Cf"]
    return len(seen) + sum(unicodedata.east_asian_width(c) in "WF" for c in seen)
