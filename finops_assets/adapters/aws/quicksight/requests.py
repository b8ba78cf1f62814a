"""What is put in place in QuickSight: the plan of it, and the requests that it becomes, in their order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from finops_assets.adapters.aws.quicksight import data_sets, definition, ids, theme
from finops_assets.core.accounts.ous import ALL
from finops_assets.core.accounts.permissions import Rule, visible, with_those_above
from finops_assets.core.errors import SettingsError

MOST_RULES = 999
"""Rows that QuickSight takes of one user's or group's rules."""


@dataclass(frozen=True)
class Plan:
    """The dashboard that is wanted.

    Attributes:
        workgroup: Athena's, for the data source.
        tiles: OUs with a tile of their own, after that of the whole.
        rules: who may see which OU; empty: everybody sees all.
        known: paths of the OUs that the account map knows.
        owners, viewers: ARNs of users or groups, or `user/name` and `group/name` of the default namespace.
        currency, cost_basis: of the amounts; empty where nothing is archived yet.
        amber: share of a budget from which on its light is amber.
        open_to_all: remove row-level security where `rules` is empty.
        charges: whether there is a data set of what the money is, for analyses of one's own.
    """

    workgroup: str
    tiles: Sequence[str] = ()
    rules: Sequence[Rule] = ()
    known: Sequence[str] = ()
    owners: Sequence[str] = ()
    viewers: Sequence[str] = ()
    currency: str = ""
    cost_basis: str = ""
    amber: float = 0.9
    open_to_all: bool = False
    charges: bool = False


@dataclass(frozen=True)
class Request:
    """A resource as its Create operation takes it, without AwsAccountId and Permissions."""

    kind: str
    id: str
    body: Mapping[str, Any]

    @property
    def noun(self) -> str:
        """The resource in the names of operations: `DataSet`."""
        return self.kind.title().replace(" ", "")

    @property
    def where(self) -> str:
        return f"QuickSight {self.kind} {self.id}"


def requests(plan: Plan, region: str, account: str, partition: str = "aws") -> list[Request]:
    """All resources of the plan, each after those that it refers to.

    Raises:
        SettingsError: the rules of one user or group are more than QuickSight takes.
    """

    def arn(kind: str, key: str) -> str:
        return f"arn:{partition}:quicksight:{region}:{account}:{kind}/{key}"

    source = arn("datasource", ids.SOURCE)
    athena = {"AthenaParameters": {"WorkGroup": plan.workgroup}}
    body: dict[str, Any] = {"Name": "FinOps: Athena", "Type": "ATHENA", "DataSourceParameters": athena}
    planned = [Request("data source", ids.SOURCE, body)]
    secured: dict[str, Any] = {}
    if plan.rules:
        _count_rules(plan)
        planned.append(_permissions(source, plan.rules))
        secured["RowLevelPermissionDataSet"] = {
            "Arn": arn("dataset", ids.PERMISSIONS),
            "PermissionPolicy": "GRANT_ACCESS",
            "FormatVersion": "VERSION_1",
            "Status": "ENABLED",
        }
    columns = data_sets.scorecard_columns()
    scorecard = data_sets.sql_table(source, "ou_scorecard", data_sets.scorecard_sql(plan.amber), columns)
    planned += [
        _data_set(ids.BREAKDOWN, "FinOps: cost by OU, service, account", data_sets.breakdown_table(source), **secured),
        _data_set(ids.SCORECARD, "FinOps: scorecard by OU", scorecard, **secured),
        *([_charges(source, **secured)] if plan.charges else []),
        Request(
            "theme",
            ids.THEME,
            {"Name": "FinOps", "BaseThemeId": theme.BASE_THEME, "Configuration": theme.theme()},
        ),
        Request(
            "dashboard",
            ids.DASHBOARD,
            {
                "Name": "FinOps: cost by organizational unit",
                "Definition": definition.definition(
                    arn("dataset", ids.SCORECARD),
                    arn("dataset", ids.BREAKDOWN),
                    tiles=plan.tiles,
                    currency=plan.currency,
                    cost_basis=plan.cost_basis,
                    amber=plan.amber,
                ),
                "ThemeArn": arn("theme", ids.THEME),
                "DashboardPublishOptions": {
                    "AdHocFilteringOption": {"AvailabilityStatus": "ENABLED"},
                    "ExportToCSVOption": {"AvailabilityStatus": "ENABLED"},
                    "SheetControlsOption": {"VisibilityState": "EXPANDED"},
                },
            },
        ),
    ]
    return [_versioned(request) for request in planned]


def _permissions(source: str, rules: Sequence[Rule]) -> Request:
    """The data set of row-level security; QuickSight reads its columns by these names."""
    columns = dict.fromkeys(("username", "groupname", "ou"), "STRING")
    renamed = {"username": "UserName", "groupname": "GroupName"}
    return _data_set(
        ids.PERMISSIONS,
        "FinOps: who may see which OU",
        data_sets.sql_table(source, "ou_permissions", data_sets.permissions_sql(rules), columns),
        UseAs="RLS_RULES",
        LogicalTableMap={
            "permissions": {
                "Alias": "ou_permissions",
                "Source": {"PhysicalTableId": "table"},
                "DataTransforms": [
                    {"RenameColumnOperation": {"ColumnName": old, "NewColumnName": new}} for old, new in renamed.items()
                ],
            }
        },
    )


def _charges(source: str, **secured: Any) -> Request:
    """What the money is; no visual of the dashboard reads it, so that it is asked of Athena when it is opened."""
    table = data_sets.sql_table(source, "ou_charges", data_sets.charges_sql(), data_sets.charges_columns())
    return _data_set(ids.CHARGES, "FinOps: what the money is, by OU", table, ImportMode="DIRECT_QUERY", **secured)


def _data_set(key: str, name: str, table: dict[str, Any], **more: Any) -> Request:
    body = {"Name": name, "PhysicalTableMap": {"table": table}, "ImportMode": "SPICE", **more}
    return Request("data set", key, body)


def _versioned(request: Request) -> Request:
    """With the content's hash in the description of its version, where the resource has versions."""
    if request.kind not in ("theme", "dashboard"):
        return request
    content = hashlib.sha256(json.dumps(request.body, sort_keys=True).encode()).hexdigest()[:16]
    return Request(request.kind, request.id, {**request.body, "VersionDescription": f"finops content {content}"})


def _count_rules(plan: Plan) -> None:
    """Raise where one user or group has more rules than QuickSight takes: it would let them see nothing."""
    ous = with_those_above(plan.known)
    counted: dict[str, set[str]] = {}
    for rule in plan.rules:
        seen = {rule.ou} if rule.ou == ALL else {rule.ou, *visible(rule, ous)}
        counted.setdefault(rule.who, set()).update(seen)
    for who, seen in counted.items():
        if len(seen) > MOST_RULES:
            raise SettingsError(
                f"{who} may see {len(seen):,} OUs, and QuickSight takes {MOST_RULES} rules of one",
                where="the permissions by OU",
                fix=f"Give {ALL}, split the group, or set accounts.ou_level to fewer levels.",
            )
