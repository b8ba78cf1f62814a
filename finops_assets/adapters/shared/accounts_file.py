"""The account map from accounts.csv, or from the accounts that the bill names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from finops_assets.core.accounts import account_map as accounts
from finops_assets.core.errors import SettingsError
from finops_assets.core.ports import Warehouse
from finops_assets.core.values import AccountMap


class AccountsFile:
    """Reads `accounts.path` each time it is asked; without one, lists the bill's accounts as Unassigned.

    Args:
        path: accounts.path.
        warehouse: names the bill's accounts.
        ou_level, history: as `account_map` takes them.
        attributes: further columns that dimensions.keys names.
    """

    def __init__(
        self, path: str, warehouse: Warehouse, *, ou_level: str | int, history: str, attributes: Sequence[str] = ()
    ) -> None:
        self._path, self._warehouse, self._ou_level, self._history = path, warehouse, ou_level, history
        self._attributes = attributes

    def load(self) -> AccountMap:
        if not self._path:
            if self._attributes:
                raise SettingsError(
                    f"account:{self._attributes[0]} is a column of accounts.csv, and there is none",
                    where="dimensions.keys (FINOPS_DIMENSIONS__KEYS)",
                    fix="Set accounts.path to one with that column, or take the key out.",
                )
            memberships = accounts.from_bill(self._warehouse.accounts())
            file = "none: the accounts that the bill names"
        else:
            file = self._path
            memberships = accounts.read_accounts_csv(self._read(), file, self._attributes)
        level, history, attributes = self._ou_level, self._history, self._attributes
        table = accounts.account_map(memberships, ou_level=level, history=history, attributes=attributes)
        return AccountMap(table, {"file": file, "rows": str(len(memberships))})

    def _read(self) -> bytes:
        file = Path(self._path)
        if not file.is_file():
            raise SettingsError(
                f"there is no such file: {file}",
                where="accounts.path (FINOPS_ACCOUNTS__PATH)",
                fix="Set it to your accounts.csv, or leave it empty to see every account as Unassigned.",
            )
        return file.read_bytes()
