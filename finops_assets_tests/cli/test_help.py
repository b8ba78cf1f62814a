"""`finops --help`, as a terminal of 80 columns shows it."""

from __future__ import annotations

from pathlib import Path

from finops_assets.cli.main import main
from finops_assets_tests.support.command import finops


def test_every_command_is_listed_once_in_a_line_that_is_whole(tmp_path: Path) -> None:
    """Each stands in one section; no line is cut or wrapped."""
    done = finops("--help", cwd=tmp_path, COLUMNS="80")
    lines = done.stdout.split("Options:")[1].splitlines()
    assert max(map(len, lines)) < 80
    assert not [line for line in lines if "..." in line]
    listed = [line.split()[0] for line in lines if line.startswith("  ") and not line.startswith("  -")]
    assert sorted(listed) == sorted(main.commands)
