"""The stand-in is a program of its own."""

from __future__ import annotations

import ast
from pathlib import Path

STANDIN = Path(__file__).parents[1]


def test_it_imports_nothing_of_the_projects_tests_and_the_project_for_the_demonstration_alone() -> None:
    """`dev.py` writes the project's sample bill and starts its UI."""
    importing = set()
    for file in STANDIN.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] == "finops_assets_tests" for name in names), file
            if any(name.split(".")[0] == "finops_assets" for name in names):
                importing.add(file.relative_to(STANDIN).as_posix())
    assert importing == {"dev.py", "tests/test_standin_athena.py"}
