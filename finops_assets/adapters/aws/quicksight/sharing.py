"""Who may look at the dashboard and who may change it: QuickSight's groups of actions, and missing grants."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from finops_assets.core.errors import SettingsError

Grant = tuple[str, Mapping[str, Sequence[str]]]
"""A principal's ARN, and its actions by kind of resource."""

_READS_DASHBOARD = ("DescribeDashboard", "ListDashboardVersions", "QueryDashboard")
VIEWER = {"dashboard": _READS_DASHBOARD}
"""Kind of resource -> actions of one who may look; QuickSight takes these groups of actions only."""

OWNER = {
    "dashboard": (
        *_READS_DASHBOARD,
        *("UpdateDashboardPermissions", "DeleteDashboard", "UpdateDashboard"),
        *("DescribeDashboardPermissions", "UpdateDashboardPublishedVersion"),
    ),
    "data set": (
        *("UpdateDataSetPermissions", "DescribeDataSet", "DescribeDataSetPermissions", "PassDataSet"),
        *("DescribeIngestion", "ListIngestions", "UpdateDataSet", "DeleteDataSet", "CreateIngestion"),
        "CancelIngestion",
    ),
    "data source": (
        *("UpdateDataSourcePermissions", "DescribeDataSource", "DescribeDataSourcePermissions", "PassDataSource"),
        *("UpdateDataSource", "DeleteDataSource"),
    ),
    "theme": (
        *("DescribeTheme", "DescribeThemeAlias", "ListThemeAliases", "ListThemeVersions", "DeleteTheme"),
        *("UpdateTheme", "CreateThemeAlias", "DeleteThemeAlias", "UpdateThemeAlias"),
        *("UpdateThemePermissions", "DescribeThemePermissions"),
    ),
}
"""Kind of resource -> actions of one who may change it."""


def grants(owners: Sequence[str], viewers: Sequence[str], arn_prefix: str) -> list[Grant]:
    """What each owner and viewer may do; who is both is an owner.

    Args:
        owners, viewers: ARNs, or `user/name` and `group/name` of the default namespace.
        arn_prefix: `arn:aws:quicksight:<region>:<account>:`, for those that are no ARNs.

    Raises:
        SettingsError: one is neither.
    """
    roles: list[tuple[str, Mapping[str, Sequence[str]]]] = [(who, OWNER) for who in dict.fromkeys(owners)]
    roles += [(who, VIEWER) for who in dict.fromkeys(viewers) if who not in owners]
    return [(_principal(who, arn_prefix), actions) for who, actions in roles]


def _principal(who: str, arn_prefix: str) -> str:
    if re.fullmatch(r"arn:[-a-z]+:quicksight:[-a-z0-9]+:\d{12}:(user|group|namespace)/.+", who):
        return who
    if match := re.fullmatch(r"(user|group)/(.+)", who):
        return f"{arn_prefix}{match[1]}/default/{match[2]}"
    raise SettingsError(
        f"{who!r} is no user or group of QuickSight",
        where="--owner, --viewer",
        fix="Write group/name or user/name, or its ARN where QuickSight's users are kept in another region.",
    )


def missing_grants(kind: str, wanted: Sequence[Grant], current: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The permissions to give so that each principal has its actions; what others have stays.

    Args:
        kind: of the resource.
        wanted: the grants.
        current: the resource's permissions, as DescribeXPermissions lists them.
    """
    actions = {who: {f"quicksight:{action}" for action in by_kind[kind]} for who, by_kind in wanted if kind in by_kind}
    held = {permission["Principal"]: set(permission["Actions"]) for permission in current}
    return [
        {"Principal": who, "Actions": sorted(needed)}
        for who, needed in actions.items()
        if not needed <= held.get(who, set())
    ]
