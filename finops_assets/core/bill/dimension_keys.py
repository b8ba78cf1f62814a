"""A dimension of one's own is named by its key: `tag:team`, `cost_category:Product` or `account:business_unit`.

Tags and cost categories stand on the lines of the bill (`core.bill.dimensions`), attributes of accounts in the account
map (`core.accounts.account_map`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

TAG, COST_CATEGORY, ACCOUNT = "tag", "cost_category", "account"
KINDS = (TAG, COST_CATEGORY, ACCOUNT)

UNTAGGED = "(untagged)"
"""The value of money that has none: a tax, a credit, a resource without the tag, or one whose tag is empty."""

LONGEST_NAME = 128
"""Characters that the name of an AWS tag may have."""

MOST_KEYS = 20
"""Each key sums the bill's lines once more."""


MAP_COLUMNS = frozenset(("account_id", "account_name", "ou", "ou_path", "valid_from", "valid_to"))
"""Columns of the account map that are no attributes."""


def check_key(key: str) -> str:
    """The key of a dimension, if it is one.

    Raises:
        ValueError: it is none; the message follows the name of the setting.
    """
    kind, _, name = key.partition(":")
    if kind not in KINDS or not name:
        raise ValueError(f"has {key!r}: write tag:<key>, cost_category:<name> or account:<column of accounts.csv>")
    if kind == ACCOUNT and name.lower() in MAP_COLUMNS:
        raise ValueError(f"has {key!r}, which is no further column of accounts.csv")
    if len(name) > LONGEST_NAME or not re.fullmatch(r"[\w .:/=+@-]+", name):
        raise ValueError(
            f"has {key[:60]!r}: a name has at most {LONGEST_NAME} letters, digits, spaces and any of _ . : / = + - @"
        )
    return key


@dataclass(frozen=True, order=True)
class DimensionValue:
    """One value of a dimension, `(untagged)` included: written `account:team=platform`."""

    key: str
    value: str

    def __str__(self) -> str:
        return f"{self.key}={self.value}"


def dimension_value(text: str, keys: Collection[str] = ()) -> DimensionValue | None:
    """The value that a text such as `tag:team=web` names; None where it names none, as the path of an OU does not.

    Args:
        text: as it stands in settings or in budgets.csv.
        keys: the dimensions that are known: names may have a `=`, which is a part of the longest that fits.
    """
    known = max((key for key in keys if text.startswith(f"{key}=")), key=len, default="")
    key = known or text.partition("=")[0]
    value = text[len(key) + 1 :].strip()
    if not value or not (known or _is_key(key)):
        return None
    return DimensionValue(key, value)


def _is_key(key: str) -> bool:
    try:
        return bool(check_key(key))
    except ValueError:
        return False


def is_of_bill(key: str) -> bool:
    """Whether the lines of the bill have the values of a dimension."""
    return key.partition(":")[0] != ACCOUNT


def account_attributes(keys: Sequence[str]) -> tuple[str, ...]:
    """Those of the dimensions that are attributes of accounts, by the name of the attribute."""
    return tuple(key.partition(":")[2] for key in keys if not is_of_bill(key))


def shown_value(text: str | None) -> str:
    """A value as the table has it; a text of one's own that reads `(untagged)` gets a backslash in front.

    So does one that is `(untagged)` behind or among backslashes: two texts never become one value.
    """
    if not text:
        return UNTAGGED
    return f"\\{text}" if text.replace("\\", "") == UNTAGGED else text
