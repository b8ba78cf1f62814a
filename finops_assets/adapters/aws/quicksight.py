"""Puts the QuickSight dashboard in place: made or updated, waited for, shared, and left alone where nothing changed.

What it looks like is `quicksight_dashboard.py`'s matter. Every request is held to the API's model before any call.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

from finops_assets.adapters.aws import quicksight_dashboard as board
from finops_assets.adapters.aws.ingestions import FIXES as INGESTION_FIXES
from finops_assets.adapters.aws.session import AwsError, AwsSession, explained
from finops_assets.core.accounts.permissions import Rule, visible, with_those_above
from finops_assets.core.errors import FinopsError, SettingsError

MOST_RULES = 999
"""Rows that QuickSight takes of one user's or group's rules."""

SCHEDULE, SCHEDULE_AT = "finops-daily", "06:00"
"""The refresh of the permissions, by QuickSight itself, each day (UTC): new OUs come with the account map."""

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0

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

_SUBSCRIBE = (
    "Sign up for QuickSight (Enterprise edition) in this account and region: "
    "https://quicksight.aws.amazon.com/sn/console/signup; or set aws.quicksight_account and aws.region to where it is."
)
_REPORT = "`finops quicksight show` prints what was sent; please report it with this message."
DASHBOARD_FIXES = {
    "ACCESS_DENIED": "Let QuickSight read the data sets: the role needs quicksight:PassDataSet on both.",
    "SOURCE_NOT_FOUND": _REPORT,
    "DATA_SET_NOT_FOUND": "Somebody has deleted a data set meanwhile: deploy again, which makes it anew.",
    "INTERNAL_FAILURE": "It is QuickSight's own fault: deploy again; if it stays so, ask AWS support.",
    "PARAMETER_VALUE_INCOMPATIBLE": _REPORT,
    "PARAMETER_TYPE_INVALID": _REPORT,
    "PARAMETER_NOT_FOUND": _REPORT,
    "COLUMN_TYPE_MISMATCH": "Compare the data sets' column types with the tables of finops_db. " + _REPORT,
    "COLUMN_GEOGRAPHIC_ROLE_MISMATCH": _REPORT,
    "COLUMN_REPLACEMENT_MISSING": "A data set lacks a column that the dashboard shows: somebody has edited it by hand, "
    "or this version needs a newer one; deploy again, which puts it back.",
}
"""What to do about an error of a dashboard's version, by its type."""

SOURCE_FIX = (
    "In QuickSight's settings (Security & permissions) allow it Athena, the archive's bucket and the bucket of the "
    "query results, with 'Write permission for Athena Workgroup'; see aws.workgroup."
)


@dataclass(frozen=True)
class Plan:
    """What is to be there.

    Attributes:
        workgroup: Athena's, for the data source.
        tiles: OUs with a tile of their own, after that of the whole.
        rules: who may see which OU; empty for everybody all.
        known: paths of the OUs that the account map knows.
        owners, viewers: ARNs of users or groups, or `user/name` and `group/name` of the default namespace.
        currency, cost_basis: of the amounts; empty where nothing is archived yet.
        amber: share of a budget from which on its light is amber.
        open_to_all: take row-level security away where it is and `rules` is empty.
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


@dataclass(frozen=True)
class Done:
    """What became of one resource: `created`, `updated` or `unchanged`."""

    kind: str
    id: str
    how: str


@dataclass(frozen=True)
class Request:
    """A resource as CreateX takes it, beside AwsAccountId and Permissions, and the operations of its kind."""

    kind: str
    id: str
    body: Mapping[str, Any]

    @property
    def noun(self) -> str:
        return self.kind.title().replace(" ", "")

    @property
    def where(self) -> str:
        return f"QuickSight {self.kind} {self.id}"


def requests(plan: Plan, region: str, account: str, partition: str = "aws") -> list[Request]:
    """All that is put in place, in the order in which each can refer to what is before it.

    Raises:
        SettingsError: the rules of one user or group are more than QuickSight takes.
    """

    def arn(kind: str, key: str) -> str:
        return f"arn:{partition}:quicksight:{region}:{account}:{kind}/{key}"

    source, secured = arn("datasource", board.SOURCE), {}
    made = [
        Request(
            "data source",
            board.SOURCE,
            {
                "Name": "FinOps: Athena",
                "Type": "ATHENA",
                "DataSourceParameters": {"AthenaParameters": {"WorkGroup": plan.workgroup}},
            },
        )
    ]
    if plan.rules:
        _count_rules(plan)
        columns = dict.fromkeys(("username", "groupname", "ou"), "STRING")
        renamed = {"username": "UserName", "groupname": "GroupName"}
        made.append(
            _data_set(
                board.PERMISSIONS,
                "FinOps: who may see which OU",
                board.sql_table(source, "ou_permissions", board.permissions_sql(plan.rules), columns),
                UseAs="RLS_RULES",
                LogicalTableMap={
                    "permissions": {
                        "Alias": "ou_permissions",
                        "Source": {"PhysicalTableId": "table"},
                        "DataTransforms": [
                            {"RenameColumnOperation": {"ColumnName": old, "NewColumnName": new}}
                            for old, new in renamed.items()
                        ],
                    }
                },
            )
        )
        secured = {
            "RowLevelPermissionDataSet": {
                "Arn": arn("dataset", board.PERMISSIONS),
                "PermissionPolicy": "GRANT_ACCESS",
                "FormatVersion": "VERSION_1",
                "Status": "ENABLED",
            }
        }
    scorecard = board.sql_table(source, "ou_scorecard", board.scorecard_sql(plan.amber), board.scorecard_columns())
    made += [
        _data_set(board.BREAKDOWN, "FinOps: cost by OU, service, account", board.breakdown_table(source), **secured),
        _data_set(board.SCORECARD, "FinOps: scorecard by OU", scorecard, **secured),
        Request(
            "theme",
            board.THEME,
            {"Name": "FinOps", "BaseThemeId": board.BASE_THEME, "Configuration": board.theme()},
        ),
        Request(
            "dashboard",
            board.DASHBOARD,
            {
                "Name": "FinOps: cost by organizational unit",
                "Definition": board.definition(
                    arn("dataset", board.SCORECARD),
                    arn("dataset", board.BREAKDOWN),
                    tiles=plan.tiles,
                    currency=plan.currency,
                    cost_basis=plan.cost_basis,
                    amber=plan.amber,
                ),
                "ThemeArn": arn("theme", board.THEME),
                "DashboardPublishOptions": {
                    "AdHocFilteringOption": {"AvailabilityStatus": "ENABLED"},
                    "ExportToCSVOption": {"AvailabilityStatus": "ENABLED"},
                    "SheetControlsOption": {"VisibilityState": "EXPANDED"},
                },
            },
        ),
    ]
    return [_versioned(one) for one in made]


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
        seen = {rule.ou} if rule.ou == board.ALL else {rule.ou, *visible(rule, ous)}
        counted.setdefault(rule.who, set()).update(seen)
    for who, seen in counted.items():
        if len(seen) > MOST_RULES:
            raise SettingsError(
                f"{who} may see {len(seen):,} OUs, and QuickSight takes {MOST_RULES} rules of one",
                where="the permissions by OU",
                fix=f"Give {board.ALL}, split the group, or set accounts.ou_level to fewer levels.",
            )


# --- held to the API's model --------------------------------------------------------------------------------------


def faults(request: Request, account: str) -> list[str]:
    """What AWS's own description of the API has against a request, with the place of each."""
    from botocore.validate import ParamValidator

    shape = _model().operation_model(f"Create{request.noun}").input_shape
    body = {"AwsAccountId": account, f"{request.noun}Id": request.id, **request.body}
    report = ParamValidator().validate(body, shape)
    return [*filter(None, report.generate_report().splitlines()), *_beyond(shape, body, "")]


@cache
def _model() -> Any:
    """Read once: it takes botocore a third of a second."""
    import botocore.session

    return botocore.session.get_session().get_service_model("quicksight")


def _beyond(shape: Any, value: Any, at: str) -> Iterator[str]:
    """What botocore leaves to the server: words that are none of those allowed, patterns, and what is too long."""
    limits = shape.metadata
    if shape.type_name == "structure" and isinstance(value, Mapping):
        for name, member in shape.members.items():
            if name in value:
                yield from _beyond(member, value[name], f"{at}.{name}")
        return
    if shape.type_name == "map" and isinstance(value, Mapping):
        for name, one in value.items():
            yield from _beyond(shape.value, one, f"{at}.{name}")
    elif shape.type_name == "list" and isinstance(value, list):
        for number, one in enumerate(value):
            yield from _beyond(shape.member, one, f"{at}[{number}]")
    elif isinstance(value, str):
        if getattr(shape, "enum", None) and value not in shape.enum:
            yield f"{at}: {value!r} is none of {', '.join(shape.enum)}"
        # The model writes patterns for Java, which anchors them.
        if "pattern" in limits and not re.fullmatch(limits["pattern"].removeprefix("^").removesuffix("$"), value):
            yield f"{at}: {value[:60]!r} does not match {limits['pattern']}"
    size = len(value) if isinstance(value, str | list | Mapping) else value
    if "max" in limits and isinstance(size, int | float) and not isinstance(size, bool) and size > limits["max"]:
        yield f"{at}: {size} is more than {limits['max']}"


def hold_to_model(made: Sequence[Request], account: str) -> None:
    """Raise where a request does not fit the API; nothing was called."""
    for request in made:
        if found := faults(request, account):
            raise FinopsError(
                f"what would be sent does not fit AWS's API: {'; '.join(found[:3])}"
                + (f" and {len(found) - 3} more" if len(found) > 3 else ""),
                where=request.where,
                fix="Update boto3, if this version is older than the API; otherwise please report it.",
            )


# --- put in place -------------------------------------------------------------------------------------------------


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Deployment:
    """One go at putting a plan in place.

    Args:
        session: how AWS is reached.
        account: AWS account of QuickSight; empty for the session's own.
        timeout_seconds: how long each resource, and each data set's first data, is waited for.
        tell: says what is done while it is done.
        sleep, clock: replaced where time must not pass.
    """

    session: AwsSession
    account: str = ""
    timeout_seconds: float = 600
    tell: Callable[[str], None] = lambda _: None
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], datetime] = utc_now
    _loading: dict[str, str] = field(default_factory=dict)

    def deploy(self, plan: Plan) -> list[Done]:
        """Make or update all of it, wait for it and share it.

        Returns:
            What became of each resource. A second time, without a change, everything is `unchanged`.

        Raises:
            SettingsError: the plan cannot be put in place as it is.
            AwsError: QuickSight refused a call; it names the action.
            FinopsError: a resource or its data failed, or takes too long.
        """
        self.account = self.account or self.session.account
        made = requests(plan, self.session.region, self.account, self._partition)
        hold_to_model(made, self.account)
        grants = self._grants(plan)
        self._check_subscription()
        found = {request.id: self._find(request) for request in made}
        self._check_stays_secured(plan, found)
        done = []
        for request in made:
            done.append(self._ensure(request, found[request.id]))
            self._share(request, grants)
            if request.id == board.PERMISSIONS:
                self._schedule()
                # Until the rules are loaded nobody but owners sees anything of what they secure.
                self._wait_for_data(request.id)
            self.tell(f"{done[-1].kind} {request.id}: {done[-1].how}")
        for data_set in list(self._loading):
            self._wait_for_data(data_set)
        return done

    @property
    def link(self) -> str:
        return f"https://{self.session.region}.quicksight.aws.amazon.com/sn/dashboards/{board.DASHBOARD}"

    @property
    def _partition(self) -> str:
        region = self.session.region
        return "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"

    # What is there ------------------------------------------------------------------------------------------------

    def _check_subscription(self) -> None:
        """The first call: an account without QuickSight answers each of the others in its own words."""
        where = f"account {self.account}"
        try:
            info = self._call("DescribeAccountSubscription", where, {"ResourceNotFoundException": _SUBSCRIBE})
        except AwsError as error:
            if "AccessDenied" in error.code:  # nothing depends on it: what follows says it in its own words
                return
            raise
        info = info["AccountInfo"]
        if info.get("AccountSubscriptionStatus", "").upper() in ("UNSUBSCRIBED", "UNSUBSCRIBE_IN_PROGRESS"):
            raise FinopsError("the account's QuickSight subscription has ended", where=where, fix=_SUBSCRIBE)
        if info.get("Edition") == "STANDARD":
            raise FinopsError(
                "QuickSight is in its Standard edition, which takes no dashboards by its API",
                where=where,
                fix="Upgrade it to Enterprise in QuickSight's settings; or leave aws.quicksight_data_set empty: the "
                "platform publishes a dashboard of its own in the bucket.",
            )

    def _find(self, request: Request) -> dict[str, Any] | None:
        try:
            answer = self._call(f"Describe{request.noun}", request.where, **{f"{request.noun}Id": request.id})
        except AwsError as error:
            if error.code == "ResourceNotFoundException":
                return None
            raise
        return answer[request.noun]

    def _check_stays_secured(self, plan: Plan, found: Mapping[str, dict[str, Any] | None]) -> None:
        """Raise where row-level security would go away without anybody's having said so."""
        secured = [key for key, there in found.items() if (there or {}).get("RowLevelPermissionDataSet")]
        if secured and not plan.rules and not plan.open_to_all:
            raise SettingsError(
                f"{', '.join(secured)} are secured by OU, and no permissions are given: all who can open the dashboard "
                "would see every OU",
                where="aws.quicksight_permissions (FINOPS_AWS__QUICKSIGHT_PERMISSIONS)",
                fix="Set it to your ou_permissions.csv, or deploy with --open-to-all.",
            )

    # One resource -------------------------------------------------------------------------------------------------

    def _ensure(self, request: Request, there: dict[str, Any] | None) -> Done:
        if there is not None and self._status(request, there).endswith("IN_PROGRESS"):
            there = self._settled(request)  # somebody else is at it
        if there is None:
            self._send("Create", request)
            self._check(request, self._settled(request), "")
            return Done(request.kind, request.id, "created")
        if self._is_as_wanted(request, there):
            return Done(request.kind, request.id, "unchanged")
        answer = self._send("Update", request)
        version = {}
        if request.kind in ("theme", "dashboard"):
            version = {"VersionNumber": int(answer["VersionArn"].rsplit("/", 1)[1])}
        self._check(request, self._settled(request, **version), " Readers still see the version before.")
        if request.kind == "dashboard":
            self._call(
                "UpdateDashboardPublishedVersion",
                request.where,
                _FIXES,
                DashboardId=request.id,
                **version,
            )
        return Done(request.kind, request.id, "updated")

    def _send(self, verb: str, request: Request) -> dict[str, Any]:
        body = dict(request.body)
        if verb == "Update":
            body.pop("Type", None)  # of a data source: it cannot change
            body.pop("UseAs", None)  # of a data set: likewise
        answer = self._call(f"{verb}{request.noun}", request.where, _FIXES, **{f"{request.noun}Id": request.id}, **body)
        if answer.get("IngestionId"):
            self._loading[request.id] = answer["IngestionId"]
        return answer

    def _is_as_wanted(self, request: Request, there: dict[str, Any]) -> bool:
        if self._status(request, there).endswith("FAILED"):
            return False
        if request.kind in ("theme", "dashboard"):
            said = there["Version"].get("Description", "")
            return said == request.body["VersionDescription"] and there["Name"] == request.body["Name"]
        opened = "RowLevelPermissionDataSet" not in request.body and there.get("RowLevelPermissionDataSet")
        return not opened and _holds(there, _comparable(request.body))

    def _status(self, request: Request, there: Mapping[str, Any]) -> str:
        """Of a data source, or of the version of a theme or a dashboard; a data set has none."""
        told = there if request.kind == "data source" else there.get("Version", {})
        return told.get("Status", "")

    def _settled(self, request: Request, **version: int) -> dict[str, Any]:
        """The resource as it is when it is no longer being made."""
        start, pause = self.clock(), FIRST_PAUSE
        key = {f"{request.noun}Id": request.id}
        while True:
            there = self._call(f"Describe{request.noun}", request.where, **key, **version)[request.noun]
            status = self._status(request, there)
            if not status.endswith("IN_PROGRESS"):
                return there
            if (self.clock() - start).total_seconds() >= self.timeout_seconds:
                raise FinopsError(
                    f"is still {status} after {self.timeout_seconds:g} seconds",
                    where=request.where,
                    fix="Deploy again later: it goes on from there.",
                )
            self.sleep(pause * random.uniform(0.75, 1.25))  # noqa: S311  (jitter)
            pause = min(pause * 1.5, LONGEST_PAUSE)

    def _check(self, request: Request, there: Mapping[str, Any], still: str) -> None:
        """Raise what QuickSight has against a resource that it took and then could not make."""
        status = self._status(request, there)
        if not status.endswith("FAILED"):
            return
        if request.kind == "data source":
            error = there.get("ErrorInfo", {})
            raise FinopsError(
                f"{status}: {error.get('Type', 'no type given')}: {error.get('Message', '')}".rstrip(": "),
                where=request.where,
                fix=SOURCE_FIX,
            )
        errors = there["Version"].get("Errors", [])
        told = [_told(error) for error in errors] or ["no reason given"]
        advice = dict.fromkeys(DASHBOARD_FIXES.get(error.get("Type", ""), _REPORT) for error in errors)
        raise FinopsError(
            f"{status}: {'; '.join(told[:5])}" + (f" and {len(told) - 5} more" if len(told) > 5 else ""),
            where=request.where,
            fix=" ".join([*advice] or [_REPORT]) + still,
        )

    # Sharing ------------------------------------------------------------------------------------------------------

    def _grants(self, plan: Plan) -> list[tuple[str, Mapping[str, Sequence[str]]]]:
        """Principal and what it may do with each kind of resource."""
        both = set(plan.owners) & set(plan.viewers)
        wanted = [(who, OWNER) for who in dict.fromkeys(plan.owners)]
        wanted += [(who, VIEWER) for who in dict.fromkeys(plan.viewers) if who not in both]
        return [(self._principal(who), what) for who, what in wanted]

    def _principal(self, who: str) -> str:
        if re.fullmatch(r"arn:[-a-z]+:quicksight:[-a-z0-9]+:\d{12}:(user|group|namespace)/.+", who):
            return who
        if found := re.fullmatch(r"(user|group)/(.+)", who):
            names = f"{found[1]}/default/{found[2]}"
            return f"arn:{self._partition}:quicksight:{self.session.region}:{self.account}:{names}"
        raise SettingsError(
            f"{who!r} is no user or group of QuickSight",
            where="--owner, --viewer",
            fix="Write group/name or user/name, or its ARN where QuickSight's users are kept in another region.",
        )

    def _share(self, request: Request, grants: Sequence[tuple[str, Mapping[str, Sequence[str]]]]) -> None:
        """Give what is missing; what others were given by hand stays."""
        wanted = {who: {f"quicksight:{a}" for a in what[request.kind]} for who, what in grants if request.kind in what}
        if not wanted:
            return
        key = {f"{request.noun}Id": request.id}
        there = self._call(f"Describe{request.noun}Permissions", request.where, **key).get("Permissions", [])
        held = {one["Principal"]: set(one["Actions"]) for one in there}
        missing = [
            {"Principal": who, "Actions": sorted(actions)}
            for who, actions in wanted.items()
            if not actions <= held.get(who, set())
        ]
        if missing:
            names = ", ".join(one["Principal"].split(":", 5)[-1] for one in missing)
            fix = (
                f"See that {names} is a user or group of QuickSight in this account; where users are kept in another "
                "region, give the whole ARN."
            )
            fixes = {"InvalidParameterValueException": fix, "ResourceNotFoundException": fix}
            operation = f"Update{request.noun}Permissions"
            self._call(operation, request.where, fixes, **key, GrantPermissions=missing)

    # Data ---------------------------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        """QuickSight itself refreshes the permissions each day: that takes none of the counted refreshes."""
        where, key = f"QuickSight data set {board.PERMISSIONS}", {"DataSetId": board.PERMISSIONS}
        wanted = {
            "ScheduleId": SCHEDULE,
            "ScheduleFrequency": {"Interval": "DAILY", "Timezone": "Etc/UTC", "TimeOfTheDay": SCHEDULE_AT},
            "RefreshType": "FULL_REFRESH",
        }
        try:
            there = self._call("DescribeRefreshSchedule", where, **key, ScheduleId=SCHEDULE)["RefreshSchedule"]
        except AwsError as error:
            if error.code != "ResourceNotFoundException":
                raise
            self._call("CreateRefreshSchedule", where, **key, Schedule=wanted)
            return
        if not _holds(there, wanted):
            self._call("UpdateRefreshSchedule", where, **key, Schedule=wanted)

    def _wait_for_data(self, data_set: str) -> None:
        """Until the data that a new or changed data set loads is there."""
        ingestion_id = self._loading.pop(data_set, None)
        if ingestion_id is None:
            return
        where, start, pause = f"QuickSight data set {data_set}", self.clock(), FIRST_PAUSE
        while True:
            answer = self._call("DescribeIngestion", where, DataSetId=data_set, IngestionId=ingestion_id)
            there = answer["Ingestion"]
            if there["IngestionStatus"] in ("COMPLETED", "FAILED", "CANCELLED"):
                break
            if (self.clock() - start).total_seconds() >= self.timeout_seconds:
                self.tell(f"{where}: its data is still being loaded ({there['IngestionStatus']})")
                return
            self.sleep(pause * random.uniform(0.75, 1.25))  # noqa: S311  (jitter)
            pause = min(pause * 1.5, LONGEST_PAUSE)
        rows = there.get("RowInfo", {})
        if there["IngestionStatus"] != "COMPLETED" or rows.get("RowsDropped"):
            error = there.get("ErrorInfo", {})
            kind = error.get("Type", there["IngestionStatus"])
            message = error.get("Message", "") or f"{rows.get('RowsDropped', 0):,} row(s) were dropped"
            raise FinopsError(
                f"its data could not be loaded: {kind} ({message.rstrip('.')})",
                where=where,
                fix=f"{INGESTION_FIXES.get(kind, 'See its refresh history in QuickSight')}. Then refresh the data set.",
            )
        self.tell(f"{where}: {rows.get('RowsIngested', 0):,} rows loaded")

    def _call(
        self, operation: str, where: str, fixes: Mapping[str, str] | None = None, **parameters: Any
    ) -> dict[str, Any]:
        told = {
            "UnsupportedUserEditionException": _SUBSCRIBE,
            "ConflictException": "Somebody else is changing it at this moment: deploy again in a minute.",
            "LimitExceededException": "Delete what nobody uses in QuickSight, or have the limit raised.",
        }
        method = re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()
        with explained(f"quicksight:{operation}", where=where, fixes=told | dict(fixes or {})):
            return getattr(self.session.client("quicksight"), method)(AwsAccountId=self.account, **parameters)


_FIXES = {
    "InvalidParameterValueException": f"QuickSight takes it otherwise than its API describes it. {_REPORT}",
    "InvalidDataSetParameterValueException": f"QuickSight takes it otherwise than its API describes it. {_REPORT}",
    "ResourceNotFoundException": "Something that it refers to was deleted meanwhile: deploy again.",
}


def _told(error: Mapping[str, Any]) -> str:
    places = ", ".join(entity.get("Path", "") for entity in error.get("ViolatedEntities", ())[:3])
    said = f"{error.get('Type', 'no type given')}: {error.get('Message', '').strip().rstrip('.')}"
    return f"{said} (at {places})" if places else said


_NOT_COMPARED = frozenset(("SubType", "UseAs", "LogicalTableMap", "FormatVersion"))
"""What QuickSight need not tell again of a data set: to look for it there would load the data at each deployment."""


def _comparable(body: Any) -> Any:
    if isinstance(body, Mapping):
        return {name: _comparable(value) for name, value in body.items() if name not in _NOT_COMPARED}
    return [_comparable(one) for one in body] if isinstance(body, list) else body


def _holds(there: Any, wanted: Any) -> bool:
    """Whether all that is wanted is so there; AWS adds what was not said."""
    if isinstance(wanted, Mapping):
        return isinstance(there, Mapping) and all(_holds(there.get(name), value) for name, value in wanted.items())
    if isinstance(wanted, list):
        return (
            isinstance(there, list)
            and len(there) == len(wanted)
            and all(_holds(one, value) for one, value in zip(there, wanted, strict=True))
        )
    return there == wanted
