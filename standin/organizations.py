"""AWS Organizations: OUs as deep as a test grows them, accounts, their moves, and pages of at most 20."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from standin.faults import Call, ServiceError
from standin.others import unknown

if TYPE_CHECKING:
    from standin.protocols import Answer
    from standin.server import StandIn

ORGANIZATION = "o-finops2025"
ROOT = "r-fin0"
PAGE = 20
STATUS_OF_STATE = {  # the retired field knows fewer words
    "PENDING_ACTIVATION": "ACTIVE",
    "ACTIVE": "ACTIVE",
    "SUSPENDED": "SUSPENDED",
    "PENDING_CLOSURE": "PENDING_CLOSURE",
    "CLOSED": "SUSPENDED",
}


@dataclass
class Unit:
    """The root or an OU."""

    id: str
    name: str
    parent: str | None


@dataclass
class Account:
    """A member account, or the management account itself."""

    id: str
    name: str
    parent: str
    state: str
    email: str
    joined: float


class Organizations:
    """The API, and for tests the tree and the knobs.

    `tags` has those of each account.

    Knobs: `state_fields` (("State",), or ("Status",) as before its retirement, or both), `page_size`,
    `empty_page_every` (each so many-th list call is answered by an empty page with a NextToken, as AWS warns; 0: none),
    `in_use`, `deny` and `throttle_next`.
    """

    def __init__(self, stand_in: StandIn) -> None:
        self._stand_in = stand_in
        self._lock = threading.RLock()
        self.reset()

    def reset(self) -> None:
        self.in_use = True
        self.state_fields: tuple[str, ...] = ("State",)
        self.page_size = PAGE
        self.empty_page_every = 5
        self.units: dict[str, Unit] = {ROOT: Unit(ROOT, "Root", None)}
        self.accounts: dict[str, Account] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self._lists = 0
        self._denied = ""
        self._throttled = 0
        self.add_account(self._stand_in.account, "management")

    def grow(self, tree: Mapping[str, Any], path: str = "") -> None:
        """Adds a tree of {OU name: {...}} and {account id: account name} below the OU at path."""
        for name, below in tree.items():
            if re.fullmatch("[0-9]{12}", name):
                self.add_account(name, below, path)
            else:
                here = f"{path}/{name}".strip("/")
                self.add_ou(here)
                self.grow(below, here)

    def add_ou(self, path: str) -> str:
        """The id of the OU at this path of names ("Data/Platform"); it and its parents are added where missing."""
        parent = ROOT
        for name in filter(None, path.split("/")):
            parent = self._child(parent, name) or self._add_unit(parent, name)
        return parent

    def add_account(
        self, account_id: str, name: str, ou_path: str = "", state: str = "ACTIVE", email: str = ""
    ) -> None:
        """An account in the OU at this path, or at the root; the same id again replaces it."""
        if state not in STATUS_OF_STATE:
            raise ValueError(f"{state} is not an AccountState of Organizations")
        joined = self._stand_in.clock().timestamp()
        email = email or f"aws+{account_id}@example.com"
        self.accounts[account_id] = Account(account_id, name, self.add_ou(ou_path), state, email, joined)

    def move_account(self, account_id: str, ou_path: str) -> None:
        self.accounts[account_id].parent = self.add_ou(ou_path)

    def rename_ou(self, path: str, name: str) -> None:
        self.units[self.add_ou(path)].name = name

    def deny(self, message: str = "You don't have permissions to access this resource.") -> None:
        """Every call is refused from now on, by default as for a member account that is no delegated administrator."""
        self._denied = message

    def throttle_next(self, times: int = 1) -> None:
        self._throttled = times

    def answer(self, call: Call) -> Answer:
        operations = {
            "DescribeOrganization": self._describe_organization,
            "ListRoots": self._list_roots,
            "ListOrganizationalUnitsForParent": self._list_units,
            "ListAccountsForParent": self._list_accounts_for_parent,
            "ListTagsForResource": self._list_tags,
            "ListAccounts": self._list_accounts,
            "ListParents": self._list_parents,
            "DescribeOrganizationalUnit": self._describe_unit,
            "DescribeAccount": self._describe_account,
            "MoveAccount": self._move_account,
        }
        operation = operations.get(call.operation)
        if operation is None:
            raise unknown(self._stand_in, call)
        with self._lock:
            if self._denied:
                raise ServiceError("AccessDeniedException", self._denied)
            if self._throttled:
                self._throttled -= 1
                raise ServiceError("TooManyRequestsException", "Rate exceeded", fields={"Type": call.operation})
            if not self.in_use:
                raise ServiceError(
                    "AWSOrganizationsNotInUseException", "Your account is not a member of an organization."
                )
            return operation(call.params)

    def _describe_organization(self, params: dict[str, Any]) -> Answer:
        master = self.accounts[self._stand_in.account]
        return {
            "Organization": {
                "Id": ORGANIZATION,
                "Arn": self._arn(f"organization/{ORGANIZATION}"),
                "FeatureSet": "ALL",
                "MasterAccountArn": self._arn(f"account/{ORGANIZATION}/{master.id}"),
                "MasterAccountId": master.id,
                "MasterAccountEmail": master.email,
                "AvailablePolicyTypes": [],
            }
        }

    def _list_roots(self, params: dict[str, Any]) -> Answer:
        root = {"Id": ROOT, "Arn": self._arn(f"root/{ORGANIZATION}/{ROOT}"), "Name": "Root", "PolicyTypes": []}
        return self._page([root], "Roots", params)

    def _list_units(self, params: dict[str, Any]) -> Answer:
        parent = self._parent(params["ParentId"])
        units = [self._unit(each) for each in self.units.values() if each.parent == parent]
        return self._page(units, "OrganizationalUnits", params)

    def _list_accounts_for_parent(self, params: dict[str, Any]) -> Answer:
        parent = self._parent(params["ParentId"])
        return self._page([self._account(a) for a in self.accounts.values() if a.parent == parent], "Accounts", params)

    def _list_tags(self, params: dict[str, Any]) -> Answer:
        """Of an account; AWS takes the id of an OU, a root or a policy, too."""
        if params["ResourceId"] not in self.accounts:
            raise ServiceError("TargetNotFoundException", "We can't find an account with the ResourceId that you gave.")
        tags = self.tags.get(params["ResourceId"], {})
        return self._page([{"Key": key, "Value": value} for key, value in tags.items()], "Tags", params)

    def _list_accounts(self, params: dict[str, Any]) -> Answer:
        return self._page([self._account(each) for each in self.accounts.values()], "Accounts", params)

    def _list_parents(self, params: dict[str, Any]) -> Answer:
        child = params["ChildId"]
        known = self.accounts.get(child) or self.units.get(child)
        if known is None or known.parent is None:
            raise ServiceError("ChildNotFoundException", "You specified a child that doesn't exist.")
        kind = "ROOT" if known.parent == ROOT else "ORGANIZATIONAL_UNIT"
        return self._page([{"Id": known.parent, "Type": kind}], "Parents", params)

    def _describe_unit(self, params: dict[str, Any]) -> Answer:
        unit = self.units.get(params["OrganizationalUnitId"])
        if unit is None or unit.parent is None:
            raise ServiceError(
                "OrganizationalUnitNotFoundException", "You specified an organizational unit that doesn't exist."
            )
        return {"OrganizationalUnit": self._unit(unit)}

    def _describe_account(self, params: dict[str, Any]) -> Answer:
        return {"Account": self._account(self._known_account(params))}

    def _move_account(self, params: dict[str, Any]) -> Answer:
        account = self._known_account(params)
        source, destination = params["SourceParentId"], params["DestinationParentId"]
        if account.parent != source:
            raise ServiceError("SourceParentNotFoundException", "You specified a source parent that doesn't exist.")
        if destination not in self.units:
            raise ServiceError(
                "DestinationParentNotFoundException", "You specified a destination parent that doesn't exist."
            )
        if destination == source:
            raise ServiceError("DuplicateAccountException", "The account is already in the destination you specified.")
        account.parent = destination
        return {}

    def _page(self, items: list[dict[str, Any]], name: str, params: dict[str, Any]) -> Answer:
        """At most 20 items; at times none but a token, and never twice in a row."""
        size = int(params.get("MaxResults", PAGE))
        if not 1 <= size <= PAGE:
            reason = "MAX_VALUE_EXCEEDED" if size > PAGE else "MIN_VALUE_EXCEEDED"
            raise _invalid(f"MaxResults must be between 1 and {PAGE}.", reason)
        scope = f"{name}:{params.get('ParentId') or params.get('ChildId') or params.get('ResourceId') or ''}"
        start, was_empty = _position(params.get("NextToken"), scope)
        self._lists += 1
        if self.empty_page_every and not was_empty and self._lists % self.empty_page_every == 0:
            return {name: [], "NextToken": _token(scope, start, empty=True)}
        end = start + min(size, self.page_size)
        page: dict[str, Any] = {name: items[start:end]}
        return page | {"NextToken": _token(scope, end)} if end < len(items) else page

    def _unit(self, unit: Unit) -> dict[str, Any]:
        return {
            "Id": unit.id,
            "Arn": self._arn(f"ou/{ORGANIZATION}/{unit.id}"),
            "Name": unit.name,
            "Path": self._path(unit.id),
        }

    def _account(self, account: Account) -> dict[str, Any]:
        states = {"State": account.state, "Status": STATUS_OF_STATE[account.state]}
        return {
            "Id": account.id,
            "Arn": self._arn(f"account/{ORGANIZATION}/{account.id}"),
            "Email": account.email,
            "Name": account.name,
            "Paths": [f"{self._path(account.parent)}{account.id}/"],
            "JoinedMethod": "CREATED",
            "JoinedTimestamp": account.joined,
        } | {name: states[name] for name in self.state_fields}

    def _path(self, unit_id: str) -> str:
        parent = self.units[unit_id].parent
        return f"{self._path(parent) if parent else ORGANIZATION + '/'}{unit_id}/"

    def _parent(self, parent_id: str) -> str:
        if parent_id not in self.units:
            raise ServiceError("ParentNotFoundException", "You specified parent that doesn't exist.")
        return parent_id

    def _known_account(self, params: dict[str, Any]) -> Account:
        if params["AccountId"] not in self.accounts:
            raise ServiceError("AccountNotFoundException", "You specified an account that doesn't exist.")
        return self.accounts[params["AccountId"]]

    def _child(self, parent: str, name: str) -> str | None:
        return next((each.id for each in self.units.values() if (each.parent, each.name) == (parent, name)), None)

    def _add_unit(self, parent: str, name: str) -> str:
        unit_id = f"ou-{ROOT.removeprefix('r-')}-{len(self.units):08x}"
        self.units[unit_id] = Unit(unit_id, name, parent)
        return unit_id

    def _arn(self, path: str) -> str:
        return f"arn:aws:organizations::{self._stand_in.account}:{path}"


def _token(scope: str, start: int, *, empty: bool = False) -> str:
    return base64.urlsafe_b64encode(f"{scope}:{start}:{int(empty)}".encode()).decode()


def _position(token: str | None, scope: str) -> tuple[int, bool]:
    """Where a page starts and whether the one before was empty; a token serves its own listing only."""
    if token is None:
        return 0, False
    try:
        found, start, empty = base64.urlsafe_b64decode(token).decode().rsplit(":", 2)
    except ValueError:
        found, start, empty = "", "0", "0"
    if found != scope:
        raise _invalid("You provided an invalid value for NextToken.", "INVALID_NEXT_TOKEN")
    return int(start), empty == "1"


def _invalid(message: str, reason: str) -> ServiceError:
    return ServiceError("InvalidInputException", message, fields={"Reason": reason})
