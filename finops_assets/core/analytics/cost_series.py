"""The series in which anomalies are looked for: costs of OUs, services and accounts, a row each, a column a day."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.accounts.ous import ALL
from finops_assets.core.analytics.anomalies import WHOLE, Key, contains
from finops_assets.core.archive.cost_history import CostHistory

if TYPE_CHECKING:
    import numpy as np

LARGEST = 50
"""Services of accounts that are judged however little they cost: doubled days are recognised by them."""

Span = tuple[int, int, int]
"""First column, the column after the last, and the row that counts there."""


@dataclass
class SeriesTable:
    """Costs as rows of consecutive days; NaN where a day is not archived.

    An account that moves between OUs is no cause: from that day on its old and its new OU have rows of their own, with
    costs as if it had always been where it is now.

    Attributes:
        calendar: the day of each column.
        values: cost by row and column.
        keys: what each row is of.
        members: the rows of `history` that each row sums.
        spans: for each key, which row counts in which columns.
        history: the costs that the rows are made of.
    """

    calendar: Sequence[date]
    values: np.ndarray
    keys: list[Key]
    members: list[list[int]]
    spans: dict[Key, list[Span]]
    history: CostHistory
    _parts: dict[Key, list[Key]] = field(default_factory=dict)
    _exact: dict[tuple[int, int], Decimal] = field(default_factory=dict)

    def column(self, day: date) -> int:
        return (day - self.calendar[0]).days

    def row(self, key: Key, column: int) -> int | None:
        """The row of a key on a day; None where it has none."""
        for start, end, row in self.spans.get(key, ()):
            if start <= column < end:
                return row
        return None

    def whole_row(self, column: int) -> int:
        """The row of the whole organization."""
        row = self.row(WHOLE, column)
        assert row is not None, "every table with a day in it has the whole"
        return row

    def parts(self, key: Key, column: int) -> tuple[list[Key], list[int]]:
        """The services of accounts that a key contains, and their rows."""
        if key not in self._parts:
            self._parts[key] = [part for part in self.spans if part[1] and part[2] and contains(key, part)]
        rows = [(part, row) for part in self._parts[key] if (row := self.row(part, column)) is not None]
        return [part for part, _ in rows], [row for _, row in rows]

    def exact(self, row: int, column: int) -> Decimal:
        """The cost of a row on a day, as an exact decimal."""
        if (row, column) not in self._exact:
            self._exact[row, column] = self.history.exact(self.members[row], self.calendar[column])
        return self._exact[row, column]


def series_table(history: CostHistory, calendar: Sequence[date], floor: float) -> SeriesTable:
    """The table of these costs.

    Args:
        history: what is judged; what has no cost on one of its days cost nothing.
        calendar: consecutive days.
        floor: what never costs so much on a day gets no row, except OUs.
    """
    import numpy as np

    if not history.keys or not calendar:
        return SeriesTable(calendar, np.empty((0, len(calendar))), [], [], {}, history)
    column = {day: n for n, day in enumerate(calendar)}
    columns = np.array([column[day] for day in history.days])
    leaves = np.full((len(history.keys), len(calendar)), np.nan)
    leaves[:, columns] = np.nan_to_num(history.costs)
    largest = np.fmax(np.fmax.reduce(leaves, axis=1), -np.fmin.reduce(leaves, axis=1))  # abs would be another copy
    enough = min(floor, float(np.sort(largest)[-LARGEST:][0]))
    values: list[np.ndarray] = []
    names: list[Key] = []
    members: list[list[int]] = []
    spans: dict[Key, list[Span]] = defaultdict(list)
    for start, owners, touched in _move_epochs(_account_moves(history, columns)):
        for key in [key for key in spans if touched is not None and _is_touched(key, touched)]:
            first, end, row = spans[key][-1]
            spans[key][-1] = (first, min(start, end), row)
        for key, rows in _grouped(history.keys, owners, touched).items():
            if bool(key[1]) != bool(key[2]) and len(rows) == 1:
                continue  # an account's only service, or a service's only account: the same as the two together
            cost = leaves[rows].sum(axis=0) if len(rows) > 1 else leaves[rows[0]]
            most = largest[rows[0]] if len(rows) == 1 else np.nanmax(np.abs(cost))
            if (key[1] or key[2]) and not most >= (enough if key[1] and key[2] else floor):
                continue
            spans[key].append((start, len(calendar), len(values)))
            values.append(cost)
            names.append(key)
            members.append(rows)
    return SeriesTable(calendar, np.array(values), names, members, dict(spans), history)


def _grouped(keys: Sequence[Key], owners: Mapping[str, str], touched: Collection[str] | None) -> dict[Key, list[int]]:
    """The rows of leaves that each key sums, with accounts in the OUs of `owners`; of all keys, or of those touched."""
    groups: dict[Key, list[int]] = defaultdict(list)
    for row, (ou, service, account) in enumerate(keys):
        for key in _containing_keys(owners.get(account, ou), service, account):
            if touched is None or _is_touched(key, touched):
                groups[key].append(row)
    return groups


def _is_touched(key: Key, touched: Collection[str]) -> bool:
    return key[0] in touched and key[0] != ALL


def _containing_keys(ou: str, service: str, account: str) -> Iterator[Key]:
    """A service of an account, and everything that contains it."""
    yield from ((ou, service, account), (ou, service, ""), (ou, "", account), (ou, "", ""), WHOLE)
    yield from ((ou[:at], "", "") for at, character in enumerate(ou) if character == "/")


def _account_moves(history: CostHistory, columns: np.ndarray) -> dict[str, list[tuple[int, str]]]:
    """The accounts that moved: where each was from which column on. One that is in two OUs at once did not move."""
    import numpy as np

    ous: dict[str, set[str]] = defaultdict(set)
    for ou, _, account in history.keys:
        ous[account].add(ou)
    places: dict[str, dict[int, str]] = {account: {} for account, of in ous.items() if len(of) > 1 and account}
    in_two_at_once = set()
    for row, (ou, _, account) in enumerate(history.keys):
        place = places.get(account)
        if place is not None:
            for at in columns[np.isfinite(history.costs[row])].tolist():
                if place.setdefault(at, ou) != ou:
                    in_two_at_once.add(account)
    moves = {}
    for account, place in places.items():
        if account not in in_two_at_once:
            known = sorted(place.items())
            moves[account] = [(at, ou) for n, (at, ou) in enumerate(known) if n == 0 or known[n - 1][1] != ou]
    return {account: path for account, path in moves.items() if len(path) > 1}


def _move_epochs(moves: Mapping[str, list[tuple[int, str]]]) -> Iterator[tuple[int, dict[str, str], set[str] | None]]:
    """From each column on which accounts moved: where those are now, and the OUs that are touched, with parents."""
    owners = {account: path[0][1] for account, path in moves.items()}
    yield 0, dict(owners), None
    by_column: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for account, path in moves.items():
        for at, ou in path[1:]:
            by_column[at].append((account, ou))
    for at in sorted(by_column):
        touched = set()
        for account, ou in by_column[at]:
            touched |= {key[0] for name in (owners[account], ou) for key in _containing_keys(name, "", "")}
            owners[account] = ou
        yield at, dict(owners), touched
