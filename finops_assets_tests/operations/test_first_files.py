"""The files that `finops init` makes: what they propose, and that the platform reads them."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from finops_assets.core.accounts.account_map import read_accounts_csv, write_accounts_csv
from finops_assets.core.analytics.budgets import read_budgets
from finops_assets.core.operations.first_files import accounts_csv, budgets_csv, proposed_budget


def daily(first: date, amounts: list[str]) -> dict[date, Decimal]:
    return {first + timedelta(at): Decimal(amount) for at, amount in enumerate(amounts)}


@pytest.mark.parametrize(
    ("days", "amount", "case"),
    [
        # June 30 x 10 = 300, July 31 x 20 = 620, August 31 x 15 = 465; the median is 465, rounded up to two figures.
        (daily(date(2025, 6, 1), ["10"] * 30 + ["20"] * 31 + ["15"] * 31 + ["99"] * 5), "470", "three months"),
        (daily(date(2025, 9, 2), ["33.4"] * 29), "1100", "no whole month: 30 x 33.40 is 1,002"),
        (daily(date(2025, 9, 2), ["0.001"] * 29), "0.03", "cents of a month"),
        (daily(date(2025, 9, 2), ["33.4"] * 27), None, "too few days"),
        (daily(date(2025, 9, 1), ["0"] * 30), None, "nothing"),
    ],
)
def test_a_budget_is_proposed_from_whole_months(days: dict[date, Decimal], amount: str | None, case: str) -> None:
    """The median of the newest whole months, rounded up to two figures; nothing is proposed from too little."""
    proposed = proposed_budget(days, "USD")
    assert (proposed and proposed.amount) == (amount and Decimal(amount)), case


def test_a_proposed_budget_is_one_that_is_read() -> None:
    """It is of the whole organization, for every month."""
    proposed = proposed_budget(daily(date(2025, 9, 1), ["1000.01"] * 30), "EUR")
    assert proposed
    assert proposed.words == "the median month of 2025-09 is 30,000.30 EUR"
    budgets = read_budgets(budgets_csv(proposed, "EUR"), "budgets.csv")
    assert (budgets.amounts, budgets.currency) == ({("All", "default"): Decimal(31_000)}, "EUR")


def test_accounts_are_listed_the_dearest_first_and_read_as_unassigned_until_an_ou_is_filled_in() -> None:
    """Those of the organization have their OU; a name that a spreadsheet would run as a formula is text."""
    names = {"111111111111": "small", "222222222222": "=1+1", "333333333333": "known"}
    costs = {"222222222222": Decimal(9), "333333333333": Decimal("-1"), "444444444444": Decimal(5)}
    data = accounts_csv(names, costs, {"333333333333": "Workloads/Prod"})
    rows = read_accounts_csv(data, "accounts.csv")
    assert [(row.account_id, row.account_name, row.ou_path) for row in rows] == [
        ("222222222222", "'=1+1", "Unassigned"),
        ("444444444444", "", "Unassigned"),
        ("111111111111", "small", "Unassigned"),
        ("333333333333", "known", "Workloads/Prod"),
    ]
    assert read_accounts_csv(write_accounts_csv(rows), "accounts.csv") == sorted(rows, key=lambda row: row.account_id)
