"""Who owns what, asked of AWS Organizations: its tree walked once a load, its moves kept as a history in the archive.

`core.accounts` merges a snapshot into the history.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from operator import itemgetter
from typing import Any

from finops_assets.adapters.aws.session import AwsSession, explained
from finops_assets.core.accounts.account_map import (
    ALWAYS,
    COLUMNS,
    Membership,
    account_map,
    from_map,
    merge_snapshot,
    read_accounts_csv,
    write_accounts_csv,
)
from finops_assets.core.accounts.ous import ROOT, not_ours
from finops_assets.core.accounts.published_map import published_map
from finops_assets.core.errors import AccountsError, DamagedError, FinopsError
from finops_assets.core.notes import put_aside
from finops_assets.core.ports import Archive
from finops_assets.core.records import RecordType
from finops_assets.core.values import AccountMap

HISTORY_PATH = "organization/accounts.csv"
SNAPSHOT_PATH = "organization/snapshot.json"
PAGE = 20
"""As many accounts or OUs as Organizations gives in one answer."""

CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
ROLE_SETTING = "aws.organizations_role_arn (FINOPS_AWS__ORGANIZATIONS_ROLE_ARN)"
_ALLOW = (
    "Allow organizations:ListRoots, organizations:ListOrganizationalUnitsForParent, "
    "organizations:ListAccountsForParent (with account:... in dimensions.keys, organizations:ListTagsForResource, too) "
    "to a role in the management account (or a delegated administrator's), and "
    f"name it in {ROLE_SETTING}; or write an accounts.csv and set accounts.path."
)
_FIXES = {
    "AccessDeniedException": _ALLOW,
    "AWSOrganizationsNotInUseException": f"Name a role of the organization's management account in {ROLE_SETTING}, "
    "or write an accounts.csv and set accounts.path.",
    "TooManyRequestsException": "Others ask Organizations too much at this time; run it again later.",
    "ParentNotFoundException": "An OU was removed while the organization was read; run it again.",
}


@dataclass(frozen=True)
class Snapshot:
    """The organization at one moment: its memberships, the number of OUs, and accounts by state."""

    memberships: tuple[Membership, ...]
    units: int
    states: Mapping[str, int]


@dataclass(frozen=True)
class SnapshotFacts:
    """What the archive keeps of the newest snapshot.

    Attributes:
        day: of the snapshot, in UTC.
        accounts, units: number of accounts and of OUs.
        inactive: accounts that are not active, by state, in words; `0` where there are none.
    """

    day: date
    accounts: int
    units: int
    inactive: str

    def shown(self) -> dict[str, str]:
        """The facts by what they are called to a reader."""
        return {
            "day": self.day.isoformat(),
            "accounts in the organization": str(self.accounts),
            "OUs": str(self.units),
            "accounts not active": self.inactive,
        }


def _named_fields(facts: dict[str, Any]) -> dict[str, Any]:
    """Version 0 had the words that a reader sees for its fields."""
    words = {
        "day": "day",
        "accounts": "accounts in the organization",
        "units": "OUs",
        "inactive": "accounts not active",
    }
    return {name: facts[word] for name, word in words.items()}


SNAPSHOT: RecordType[SnapshotFacts] = RecordType(SnapshotFacts, "the facts of a snapshot", upgrade=_named_fields)


class OrganizationsAccounts:
    """The organization's tree of today, merged into the history of who was where.

    Where Organizations does not answer, the newest stored history is used and the map is marked as outdated: the digest
    matters more than the moves of one day.

    Args:
        session: how AWS is reached.
        archive: keeps the history and the facts of the newest snapshot.
        ou_level, history: as `account_map` takes them.
        tags: keys, in lower case, of the accounts' own tags that are kept as attributes; each account is asked for
            them, and their capitals do not matter.
        role_arn: role in the management account; empty where the session's own may read the organization.
        today: the day of the snapshot, in UTC.
    """

    def __init__(
        self,
        session: AwsSession,
        archive: Archive,
        *,
        ou_level: str | int,
        history: str,
        tags: Sequence[str] = (),
        role_arn: str = "",
        today: Callable[[], date],
    ) -> None:
        self._session, self._archive, self._role_arn, self._today = session, archive, role_arn, today
        self._ou_level, self._history, self._tags = ou_level, history, tags

    def load(self) -> AccountMap:
        """The map of today, or of the newest snapshot if today's cannot be had.

        Raises:
            SettingsError: no region is set, or no OU is as deep as the level that is shown.
            FinopsError: Organizations cannot be read, and there is no history yet.
            AccountsError: the history in the archive contradicts itself.
            ArchiveError: the archive cannot be read or written.
        """
        memberships = self._memberships()
        known = SNAPSHOT.read(self._archive, SNAPSHOT_PATH)
        facts = known.shown() if known else {}
        client, day = self._session.client("organizations", self._role_arn), self._today()
        try:
            snapshot = _snapshot(client, self._tags)
            last = known.day if known else ALWAYS
            merged = merge_snapshot(memberships, snapshot.memberships, day, last=last)
        except FinopsError as error:
            if not memberships:
                raise
            outdated = f"the organization is shown as of {facts.get('day', 'an unknown day')}. {error}"
        else:
            newest = _facts(snapshot, day)
            outdated, facts = "", newest.shown()
            self._keep(HISTORY_PATH, write_accounts_csv(merged), memberships and write_accounts_csv(memberships))
            if newest != known:
                SNAPSHOT.write(self._archive, SNAPSHOT_PATH, newest)
            memberships = merged
        level, history, tags = self._ou_level, self._history, self._tags
        table = account_map(memberships, ou_level=level, history=history, attributes=tags)
        return AccountMap(table, {**facts, "history": HISTORY_PATH}, outdated)

    def _memberships(self) -> list[Membership]:
        """The history; a damaged one is rebuilt from the published map, which has the same memberships.

        Raises:
            AccountsError: somebody has edited it, and it contradicts itself.
        """
        data = self._archive.get(HISTORY_PATH)
        if data is None:
            return []
        try:
            return _history(data)
        except DamagedError as error:
            table = published_map(self._archive)
            recovered = [] if table is None else from_map(table)
            # Written over, never removed: no role may delete the history. Without a map the next snapshot replaces it.
            instead = write_accounts_csv(recovered) if recovered else data
            put_aside(self._archive, HISTORY_PATH, data, error.what, instead=instead)
            return recovered

    def _keep(self, path: str, data: bytes, current: bytes | object) -> None:
        if data != current:
            self._archive.put(path, data)


def organization_now(session: AwsSession, role_arn: str = "") -> list[Membership]:
    """The organization's accounts as they are, each once.

    Raises:
        SettingsError: no region is set.
        FinopsError: Organizations cannot be read.
    """
    return list(_snapshot(session.client("organizations", role_arn), ()).memberships)


def _history(data: bytes) -> list[Membership]:
    """The memberships of the history's object.

    Raises:
        DamagedError: it is empty, cut, or no accounts.csv.
        AccountsError: it is whole, and contradicts itself: somebody has edited it.
    """
    try:
        return read_accounts_csv(data, HISTORY_PATH, attributes=None)
    except AccountsError as error:
        if data.startswith(COLUMNS[0].encode()) and data.endswith(b"\n"):
            raise
        raise DamagedError(error.what, where=HISTORY_PATH, fix="Put an earlier version of it back.") from None


def _snapshot(client: Any, tags: Sequence[str]) -> Snapshot:
    """Every account, its OU and these of its tags, by a walk from the root.

    The walk takes a while: an account that is moved meanwhile can be met twice, and where it is met last counts.
    """
    accounts: dict[str, tuple[Membership, str]] = {}
    units = 0
    parents = [(root["Id"], "") for root in _listed(client, "list_roots", "Roots")]
    while parents:
        parent, path = parents.pop()
        for account in _listed(client, "list_accounts_for_parent", "Accounts", ParentId=parent):
            name = CONTROL.sub(" ", account.get("Name", "")).strip()
            # AWS names the state in `State`; answers from before September 2026 have `Status` alone.
            state = account.get("State") or account.get("Status") or "ACTIVE"
            accounts[account["Id"]] = Membership(account["Id"], name, path or ROOT), state
        below = _listed(client, "list_organizational_units_for_parent", "OrganizationalUnits", ParentId=parent)
        for unit in below:
            units += 1
            below_root = _level(unit) + (" (OU)" if _level(unit) == ROOT else "")
            parents.append((unit["Id"], f"{path}/{_level(unit)}" if path else not_ours(below_root)))
    if not accounts:
        raise AccountsError("Organizations names no account", where="organizations:ListAccountsForParent", fix=_ALLOW)
    states = Counter(state for _, state in accounts.values())
    memberships = tuple(_tagged(client, membership, tags) for membership, _ in accounts.values())
    return Snapshot(memberships, units, states)


def _tagged(client: Any, membership: Membership, tags: Sequence[str]) -> Membership:
    """The membership with these of the account's tags: one request an account, so none where no tag is asked for."""
    if not tags:
        return membership
    listed = _listed(client, "list_tags_for_resource", "Tags", ResourceId=membership.account_id)
    listed.sort(key=itemgetter("Key"))  # of two that differ in capitals alone, the one in lower case comes last
    of = {tag["Key"].lower(): CONTROL.sub(" ", tag.get("Value", "")).strip() for tag in listed}
    return replace(membership, attributes=tuple((name, of.get(name, "")) for name in sorted(tags)))


def _listed(client: Any, operation: str, items: str, **parameters: str) -> list[dict[str, Any]]:
    """All items of a listing, past pages that are empty and not the last, as AWS may give them."""
    action = "organizations:" + operation.title().replace("_", "")
    with explained(action, where=f"{action} ({ROLE_SETTING})", fixes=_FIXES):
        paged = {} if operation == "list_tags_for_resource" else {"PaginationConfig": {"PageSize": PAGE}}
        pages = client.get_paginator(operation).paginate(**parameters, **paged)
        return [item for page in pages for item in page[items]]


def _level(unit: Mapping[str, Any]) -> str:
    """An OU's name as one level of a path: a slash in it becomes U+2215, which looks alike and parts no levels."""
    return CONTROL.sub(" ", unit.get("Name", "")).replace("/", "\N{DIVISION SLASH}").strip() or unit["Id"]


def _facts(snapshot: Snapshot, day: date) -> SnapshotFacts:
    inactive = [
        f"{count} {state.replace('_', ' ').lower()}"
        for state, count in sorted(snapshot.states.items())
        if state != "ACTIVE"
    ]
    return SnapshotFacts(day, len(snapshot.memberships), snapshot.units, ", ".join(inactive) or "0")
