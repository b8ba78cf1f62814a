"""Whether a resource in QuickSight is as a request wants it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finops_assets.adapters.aws.quicksight.requests import Request

_NOT_COMPARED = frozenset(("SubType", "UseAs", "LogicalTableMap", "FormatVersion"))
"""Members of a data set that QuickSight need not repeat: comparing them would load the data at each deployment."""


def is_as_wanted(request: Request, current: Mapping[str, Any]) -> bool:
    """Whether an update would change nothing.

    Args:
        request: what is wanted.
        current: the resource as its Describe operation gives it.
    """
    if request.kind in ("theme", "dashboard"):
        same_content = current["Version"].get("Description", "") == request.body["VersionDescription"]
        return same_content and current["Name"] == request.body["Name"]
    opened = "RowLevelPermissionDataSet" not in request.body and current.get("RowLevelPermissionDataSet")
    return not opened and includes(current, _comparable(request.body))


def includes(current: Any, wanted: Any) -> bool:
    """Whether `current` has all that is wanted; AWS adds defaults to what was sent."""
    if isinstance(wanted, Mapping):
        return isinstance(current, Mapping) and all(
            includes(current.get(name), value) for name, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(current, list)
            and len(current) == len(wanted)
            and all(includes(one, value) for one, value in zip(current, wanted, strict=True))
        )
    return current == wanted


def _comparable(body: Any) -> Any:
    if isinstance(body, Mapping):
        return {name: _comparable(value) for name, value in body.items() if name not in _NOT_COMPARED}
    return [_comparable(one) for one in body] if isinstance(body, list) else body
