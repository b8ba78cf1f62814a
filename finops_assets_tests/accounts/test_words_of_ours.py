"""A customer's OU may be called as something of ours is: its costs stay its own."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from finops_assets.core.accounts.account_map import account_map, read_accounts_csv
from finops_assets.core.accounts.ous import not_ours
from finops_assets.core.reports.charts.daily_cost import daily_cost_spec
from finops_assets_tests.support.bills import ACCOUNT, line, make_bill, open_bill, read_rows

LOST = "999988887776"


@pytest.mark.parametrize("word", ["Unassigned", "All", "Unassigned/Team", "All/Unassigned"])
def test_an_ou_is_no_word_of_ours(tmp_path: Path, word: str) -> None:
    """What it costs is not that of the accounts that the map does not know, nor that of the whole organization."""
    rows = f"account_id,account_name,ou_path\n{ACCOUNT},shop,{word}\n".encode()
    ou_map = account_map(read_accounts_csv(rows, "accounts.csv"), ou_level="full", history="as_was")
    bill = make_bill(tmp_path, [line(5), line(3, account=LOST)])
    top, slash, below = word.partition("/")
    assert {(row[1], row[4]) for row in read_rows(open_bill(bill), ou_map=ou_map)} == {
        (f"{top} (OU){slash}{below}", Decimal(5)),
        ("Unassigned", Decimal(3)),
    }


@pytest.mark.parametrize("path", ["Workloads/All", "Other", "Total", "All OUs", "(no service)", "all", "All of us"])
def test_other_names_stay(path: str) -> None:
    """Only a path that begins with one of the two words is named otherwise."""
    assert not_ours(path) == path


def test_a_summary_table_has_no_whole(tmp_path: Path) -> None:
    """An OU of the bill's own that is called All is one OU."""
    bill = make_bill(tmp_path, [line(5, ou="All"), line(2, ou="All/a"), line(3, ou="Allies")], "summary")
    assert {row[1]: row[4] for row in read_rows(open_bill(bill))} == {"All (OU)": 5, "All (OU)/a": 2, "Allies": 3}


def test_an_ou_called_other_has_its_own_colour() -> None:
    """In the chart it is beside the sum of the small ones, and in no part the same."""
    day = date(2025, 9, 10)
    costs = {day: {"Other": Decimal(50), "A": Decimal(40), "B": Decimal(3), "C": Decimal(2)}}
    spec = daily_cost_spec(costs, day, currency="USD", basis="billed cost", top=2)
    bars = {bar["series"]: bar["cost"] for bar in spec["layer"][0]["data"]["values"]}
    assert bars == {"Other": 50.0, "A": 40.0, "Other OUs": 5.0}
