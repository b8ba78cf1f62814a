"""Which rows the page holds, and their numbers: all of them, or few enough that it stays small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from finops_assets.core.reports.dashboard.amounts import DAYS_AT_ONCE, amounts_of, fold

if TYPE_CHECKING:
    import numpy as np

    from finops_assets.core.archive.cost_history import HistoryByColumns

RECENT = 92
"""Days, a quarter, of which services and accounts are kept where the page cannot hold those of all days."""


@dataclass(frozen=True)
class Figures:
    """The numbers of a page.

    Attributes:
        names: OUs, services and accounts.
        keys: positions of OU, service and account, ascending; the position after the last is what has no name.
        amounts: of each key, integers of 1e-6 of the currency: of all days, or of the last ones.
        ou_rest: by OU and day, what the amounts lack to the exact sum, in 1e-12.
        folded: how many rows are in others.
        since: for how many of the last days services and accounts are kept; 0 where it is all of them.
    """

    names: tuple[list[str], list[str], list[str]]
    keys: np.ndarray
    amounts: list[np.ndarray]
    ou_rest: np.ndarray
    folded: int
    since: int = 0


def figures_of(costs: HistoryByColumns, days: Sequence[date], most_cells: int) -> Figures:
    """The numbers of a page.

    Args:
        costs: of its archived days.
        days: of the page, ascending.
        most_cells: how many numbers it may hold; exceeded where OUs alone are more.
    """
    import numpy as np

    names = [sorted({key[n] for key in costs.keys}) for n in range(3)]
    codes = [{name: at for at, name in enumerate(of)} for of in names]
    keys = np.array([[code[part] for code, part in zip(codes, key, strict=True)] for key in costs.keys]).reshape(-1, 3)
    columns = np.searchsorted(np.array(days, dtype="datetime64[D]"), np.array(costs.days, dtype="datetime64[D]"))
    other = len(names[2])
    kept, key_of_row, folded = fold(keys, _weight(costs, 0), other=other, most_keys=most_cells // len(days))
    if len(kept) * len(days) <= most_cells or len(days) <= RECENT:
        amounts, rest = amounts_of(costs.columns, key_of_row, columns, kept[:, 0], len(days))
        return _with_used_accounts(names, kept, list(amounts), rest, folded)
    return _recent_figures(costs, names, keys, columns, len(days), most_cells)


def _recent_figures(
    costs: HistoryByColumns,
    names: Sequence[list[str]],
    keys: np.ndarray,
    columns: np.ndarray,
    days: int,
    most_cells: int,
) -> Figures:
    """Each OU on all days, and its services and accounts on the last ones, the smallest of them folded."""
    import numpy as np

    ous, (service, account) = len(names[0]), (len(names[1]), len(names[2]))
    at = int(np.searchsorted(columns, days - RECENT))
    weight = _weight(costs, at)

    def recent(start: int, end: int) -> np.ndarray:
        return costs.columns(at + start, at + end)

    most_keys = max(1, (most_cells - ous * days) // RECENT)
    kept, key_of_row, folded = fold(keys, weight, other=account, most_keys=most_keys)
    if len(kept) > most_keys:  # services of OUs are too many: the smallest become one row of their OU
        of_kept = np.bincount(key_of_row, weights=weight, minlength=len(kept))
        small = np.argsort(of_kept, kind="stable")[: len(kept) - most_keys]
        kept[small, 1:] = service, account
        kept, position = np.unique(kept, axis=0, return_inverse=True)
        key_of_row, folded = position[key_of_row], len(keys) - len(kept)
    of_ou = np.stack([np.arange(ous), np.full(ous, service), np.full(ous, account)], axis=1)
    kept, position = np.unique(np.concatenate([kept, of_ou]), axis=0, return_inverse=True)  # a row for each OU
    key_of_row, whole = position[: len(position) - ous][key_of_row], position[len(position) - ous :]
    amounts, rest = amounts_of(recent, key_of_row, columns[at:] - (days - RECENT), kept[:, 0], RECENT)
    before, rest_before = amounts_of(costs.columns, keys[:, 0], columns[:at], np.arange(ous), days - RECENT)
    rows = list(amounts)
    for ou, row in enumerate(whole.tolist()):
        rows[row] = np.concatenate([before[ou], amounts[row]])
    return _with_used_accounts(names, kept, rows, np.concatenate([rest_before, rest], axis=1), folded, RECENT)


def _weight(costs: HistoryByColumns, first: int) -> np.ndarray:
    """What each row costs in all from a day's position on, whichever its sign."""
    import numpy as np

    weight = np.zeros(len(costs.keys))
    for start in range(first, len(costs.days), DAYS_AT_ONCE):
        weight += np.nansum(np.abs(costs.columns(start, start + DAYS_AT_ONCE)), axis=1)
    return weight


def _with_used_accounts(
    names: Sequence[list[str]],
    keys: np.ndarray,
    amounts: list[np.ndarray],
    rest: np.ndarray,
    folded: int,
    since: int = 0,
) -> Figures:
    """The figures, without the names of accounts that are all folded."""
    import numpy as np

    ous, services, accounts = names
    if folded:
        used = np.unique(keys[:, 2])
        used = used[used < len(accounts)]
        keys = keys.copy()
        keys[:, 2] = np.searchsorted(used, keys[:, 2])  # what is folded comes after the last, as before
        accounts = [accounts[at] for at in used.tolist()]
    return Figures((ous, services, accounts), keys, amounts, rest, folded, since)
