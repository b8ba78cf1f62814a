"""The page of a large organization: few enough numbers that it stays small, and exact sums all the same."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pytest

from finops_assets.core.archive.cost_history import HistoryByColumns, history_by_columns
from finops_assets.core.archive.day_costs import DayCosts
from finops_assets.core.reports.dashboard.figures import RECENT, Figures, figures_of
from finops_assets.core.reports.dashboard.packing import pack, unpack

FIRST = date(2025, 1, 1)
LENGTH = 100
DAYS = [FIRST + timedelta(days=n) for n in range(LENGTH)]
OUS, SERVICES, ACCOUNTS = 4, 3, 5


KEYS = [
    (f"Ou {ou}", f"Service {service}", f"{ou}{account}")
    for ou in range(OUS)
    for service in range(SERVICES)
    for account in range(ACCOUNTS)
]


class Index:
    """The keys of 4 OUs with 3 services of 5 accounts each."""

    def keys(self, numbers: np.ndarray) -> tuple[tuple[str, str, str], ...]:
        return tuple(KEYS[n] for n in numbers.tolist())


def history() -> HistoryByColumns:
    """The first key costs most, 0.00009 a day, each later one 0.0000015 less."""
    keys = np.arange(len(KEYS), dtype=np.int32)
    costs = np.array([1.5e-6 * (len(keys) - n) for n in range(len(keys))])
    return history_by_columns([DayCosts(day, keys, costs, {}) for day in DAYS], Index())


def exact_ou_totals(figures: Figures) -> list[list[Decimal]]:
    """Each OU's cost by day, of the page's amounts and rest."""
    sums = [[Decimal(int(rest)).scaleb(-12) for rest in of_ou] for of_ou in figures.ou_rest]
    for (ou, *_), row in zip(figures.keys.tolist(), figures.amounts, strict=True):
        for n, micros in enumerate(row.tolist(), LENGTH - len(row)):
            sums[ou][n] += Decimal(micros).scaleb(-6)
    return sums


WANTED = [Decimal("0.0000015") * sum(60 - n for n in range(ou * 15, ou * 15 + 15)) for ou in range(OUS)]


@pytest.mark.parametrize(
    ("most_cells", "most_numbers", "since"),
    [
        pytest.param(10_000, 6000, 0, id="all of it"),
        pytest.param(1_300, 1_300, 0, id="accounts folded"),
        pytest.param(1_000, 1_000, RECENT, id="services of the last days"),
        pytest.param(700, 4 * LENGTH + 4 * RECENT, RECENT, id="services folded"),
    ],
)
def test_sums_of_ous_are_exact_however_little_room_there_is(most_cells: int, most_numbers: int, since: int) -> None:
    """Accounts give way first, then services of early days, then small services; each OU keeps its every day."""
    figures = figures_of(history(), DAYS, most_cells)
    assert exact_ou_totals(figures) == [[wanted] * LENGTH for wanted in WANTED]
    assert sum(map(len, figures.amounts)) <= most_numbers
    assert figures.since == since
    assert len({tuple(key) for key in figures.keys.tolist()}) == len(figures.amounts)


def test_the_largest_keep_their_names() -> None:
    """And accounts that are all folded are not listed."""
    figures = figures_of(history(), DAYS, 1_300)
    assert figures.names[2][0] == "00"
    assert len(figures.names[2]) < OUS * ACCOUNTS
    assert figures.folded > 0


@pytest.mark.parametrize(
    "rows",
    [
        [[]],
        [[0], [-1, 1]],
        [[5, 5, 5, 4], [], [2**53, -(2**53), 12_345_678_901]],
        [[127, 128, -64, -65, 8191, 8192], [1_000_000]],
    ],
)
def test_packed_rows_come_back_as_they_were(rows: list[list[int]]) -> None:
    """Of any length and size."""
    text = pack([np.array(row, dtype=np.int64) for row in rows])
    assert [row.tolist() for row in unpack(text, [len(row) for row in rows])] == rows


@pytest.mark.parametrize(("text", "lengths"), [("AAA=", [1]), ("gA==", [1]), ("*", [1]), ("AA==", [2])])
def test_a_cut_text_is_refused(text: str, lengths: list[int]) -> None:
    """A page that is not whole is no dashboard."""
    with pytest.raises(ValueError):
        unpack(text, lengths)
