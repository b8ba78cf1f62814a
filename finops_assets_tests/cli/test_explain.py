"""`finops explain`: the cause of a day's change, in words and as JSON."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from click.testing import Result

from finops_assets_tests.support.bills import at, line, make_bill
from finops_assets_tests.support.command import finops

pytestmark = pytest.mark.usefixtures("records_in_memory")

BEFORE, DAY = date(2025, 9, 10), date(2025, 9, 11)
WRITTEN = datetime(2025, 9, 13, 6, tzinfo=UTC)


def explain(folder: Path, *words: str, command: str = "explain") -> Result:
    places = {"FINOPS_BILL__PATH": str(folder / "bill"), "FINOPS_HOME": str(folder / "home")}
    return finops(command, *words, cwd=folder, now=WRITTEN, **places)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bill of two days; on the second one there is an account more."""
    lines = [line("4", start=at(BEFORE)), line("4", start=at(DAY)), line("7", start=at(DAY), account="444455556666")]
    file = make_bill(tmp_path / "bill", lines)
    os.utime(file, (WRITTEN.timestamp(), WRITTEN.timestamp()))
    assert explain(tmp_path, command="backfill").exit_code == 0
    return tmp_path


def test_a_day_is_explained_in_words_and_as_json(folder: Path) -> None:
    """Currency and cost basis stand with the amounts, lines fit 80 columns, and the parts sum to the change."""
    said = explain(folder, str(DAY))
    assert said.exit_code == 0, said.stderr
    first, cause, source = said.stdout.splitlines()
    assert first == f"All on {DAY} against {BEFORE}: +7.00 USD, billed cost"
    assert cause.strip() == "1. new account of Amazon EC2, 444455556666: +7.00 USD"
    assert "moved_parts" in source
    assert max(map(len, said.stdout.splitlines())) <= 80
    found = json.loads(explain(folder, str(DAY), "Unassigned", "--json").stdout)
    of_bill = json.loads(explain(folder, str(DAY), "Unassigned", "--json", "--from-bill").stdout)
    assert (found.pop("source"), of_bill.pop("source")) == ("moved_parts", "bill")
    assert found == of_bill
    assert (found["currency"], found["cost_basis"], float(found["change"])) == ("USD", "billed", 7)
    assert [(part["account"], float(part["change"])) for part in found["parts"]] == [("444455556666", 7)]


@pytest.mark.parametrize("words", [(str(DAY), "Nowhere"), ("2025-09-01",), (str(BEFORE),)])
def test_what_cannot_be_explained_is_an_error(folder: Path, words: tuple[str, ...]) -> None:
    """An OU that nobody has, a day that is not archived, and one with none before it."""
    said = explain(folder, *words)
    assert said.exit_code != 0
    assert said.stderr.startswith("error: ")
