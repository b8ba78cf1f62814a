"""How the command fits a terminal, and that nothing of it is in a pipe."""

from __future__ import annotations

import io

import click
import pytest

from finops_assets.cli import layout, terminal
from finops_assets.core.analytics.budgets import AMBER, GREEN, RED, SHAPES


class Stream(io.StringIO):
    """What is printed to it; a terminal or not."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def narrow(monkeypatch: pytest.MonkeyPatch) -> Stream:
    """A terminal of 80 columns, to which everything is printed from now on."""
    stream = Stream(terminal=True)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setattr("sys.stderr", stream)
    return stream


WORDS = "ok    bill               " + " ".join(f"word{n}" for n in range(40))


def test_a_long_line_is_wrapped_below_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """At words, each of which is there; a path longer than a line stays whole, as it is copied."""
    shown = narrow(monkeypatch)
    terminal.say(WORDS)
    lines = shown.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert all(line.startswith(" " * 25 + "word") for line in lines[1:])
    assert " ".join(shown.getvalue().split()) == " ".join(WORDS.split())
    path = "/archive/" + "x" * 100
    assert path in layout.wrapped(f"see {path} for more", 80)


def test_a_pipe_gets_a_line_as_one_line_without_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever COLUMNS says: programs read it."""
    stream = Stream(terminal=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.stdout", stream)
    terminal.say(f"fail  {WORDS}")
    terminal.print_table(("a", "b"), [("■", "x" * 90)])
    assert stream.getvalue().splitlines() == [f"fail  {WORDS}", "a  b", f"■  {'x' * 90}"]


def test_a_wide_table_goes_on_below_and_nothing_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns stay below each other, a sentence is wrapped, and where there is nothing below, no line is lost to it."""
    shown = narrow(monkeypatch)
    sentence = " ".join(["because"] * 30)
    terminal.print_table(
        ("day", "amount", "name", "why"),
        [("2025-09-10", "1.00", "n" * 50, sentence), ("2025-09-11", "22.00", "m", "")],
        right={1},
    )
    lines = shown.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["day", "amount", "name"]
    assert lines[1].strip() == "why"
    assert shown.getvalue().count("because") == 30
    assert lines[-1].split() == ["2025-09-11", "22.00", "m"]


@pytest.mark.parametrize(
    ("is_terminal", "no_colour", "coloured"), [(True, "", True), (True, "1", False), (False, "", False)]
)
def test_colours_are_for_terminals_that_want_them(
    is_terminal: bool, no_colour: str, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NO_COLOR and a pipe have none; the words are the same."""
    monkeypatch.setenv("NO_COLOR", no_colour)
    monkeypatch.setattr("sys.stderr", Stream(terminal=is_terminal))
    monkeypatch.setattr("sys.stdout", Stream(terminal=is_terminal))
    terminal.say("fail  disk  it is full")
    terminal.complain("no")
    for stream in (terminal.sys.stdout, terminal.sys.stderr):
        assert ("\x1b[" in stream.getvalue()) == coloured  # type: ignore[attr-defined]


def test_progress_writes_over_its_line_and_says_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """And another line is printed where it stood."""
    stream = narrow(monkeypatch)
    for done in range(1, 41):
        terminal.PROGRESS("archived", done, 40)
        if done == 30:
            terminal.tell("by the way")
    terminal.say("done")
    shown = stream.getvalue()
    assert "archived 20 of 40 days, 1 s left" in shown
    assert "\r\x1b[Kby the way\n" in shown
    assert shown.count("\n") == 2
    assert shown.endswith("\r\x1b[Kdone\n")


def test_each_light_has_its_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the shape that stands for it everywhere; an arrow upwards is no light."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    lights = ((RED, "red"), (AMBER, "yellow"), (GREEN, "green"))
    for light, colour in lights:
        assert layout.painted(SHAPES[light], Stream(terminal=True)) == click.style(SHAPES[light], fg=colour)
    assert layout.painted("▲ 4.2 %", Stream(terminal=True)) == "▲ 4.2 %"


def test_progress_in_a_pipe_is_a_line_at_every_tenth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice, for two runs of as many days; of few days there is nothing to say."""
    stream = Stream(terminal=False)
    monkeypatch.setattr("sys.stderr", stream)
    progress = layout.Progress(stream.write)
    for _ in range(2):
        for done in range(1, 91):
            progress("archived", done, 90)
    progress("archived", 1, 5)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 20
    assert lines[0] == lines[10] == "  archived 9 of 90 days"
    assert not [line for line in lines if "\r" in line or "left" in line]
