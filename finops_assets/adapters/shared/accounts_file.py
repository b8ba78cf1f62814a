"""The account map from accounts.csv, or from the accounts that the bill names."""

from __future__ import annotations

from pathlib import Path

from finops_assets.core.accounts import account_map as accounts
from finops_assets.core.errors import SettingsError
from finops_assets.core.ports import Warehouse
from finops_assets.core.values import AccountMap


class AccountsFile:
    """Reads `accounts.path` each time it is asked; without one, lists the bill's accounts as Unassigned."""

    def __init__(self, path: str, warehouse: Warehouse, *, ou_level: str | int, history: str) -> None:
        self._path, self._warehouse, self._ou_level, self._history = path, warehouse, ou_level, history

    def load(self) -> AccountMap:
        if not self._path:
            memberships = accounts.from_bill(self._warehouse.accounts())
            file = "none: the accounts that the bill names"
        else:
            file = self._path
            memberships = accounts.read_accounts_csv(self._read(), file)
        table = accounts.account_map(memberships, ou_level=self._ou_level, history=self._history)
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
