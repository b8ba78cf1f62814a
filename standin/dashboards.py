"""QuickSight beyond data sets: data sources, themes, dashboards with versions, sharing, schedules, the subscription.

A definition is looked through as QuickSight does: what its shape forbids is refused at once, what refers to something
that is not there makes a version that failed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from werkzeug import Response

from standin.definitions import api_model, faults_of, members, refuse_misshapen, value_at
from standin.faults import ServiceError

if TYPE_CHECKING:
    from standin.data_sets import DataSet
    from standin.protocols import Answer

STARTING_THEMES = ("CLASSIC", "MIDNIGHT", "SEASIDE", "RAINIER")
PATHS = {"DataSource": "datasource", "DataSet": "dataset", "Theme": "theme", "Dashboard": "dashboard"}
ID_PATTERN = re.compile(r"[\w-]+")


@dataclass
class Version:
    """A version of a theme or a dashboard; how it ends is known at once and told after `looks` more looks."""

    number: int
    request: dict[str, Any]
    created: datetime
    ends: str
    errors: list[dict[str, Any]]
    looks: int = 1
    verb: str = "CREATION"

    @property
    def status(self) -> str:
        return f"{self.verb}_IN_PROGRESS" if self.looks else f"{self.verb}_{self.ends}"


@dataclass
class Resource:
    """A data source, theme or dashboard."""

    kind: str
    id: str
    arn: str
    created: datetime
    request: dict[str, Any]
    versions: list[Version] = field(default_factory=list)
    published: int = 1
    status: str = ""
    error: dict[str, str] | None = None
    looks: int = 0


class Boards:
    """The part of QuickSight's API that puts dashboards in place; knobs for tests: `fail_next_version`,
    `fail_next_source`, `people` (who there is to share with), `subscription`.
    """

    def __init__(
        self,
        arn: Callable[[str], str],
        clock: Callable[[], datetime],
        data_sets: Callable[[], dict[str, DataSet]],
    ) -> None:
        self._arn, self._clock, self._data_sets = arn, clock, data_sets
        self.resources: dict[tuple[str, str], Resource] = {}
        self.grants: dict[tuple[str, str], dict[str, set[str]]] = {}
        self.schedules: dict[tuple[str, str], dict[str, Any]] = {}
        self.people: set[str] | None = None
        self.subscription: dict[str, str] | None = {
            "AccountName": "finops",
            "Edition": "ENTERPRISE",
            "AccountSubscriptionStatus": "ACCOUNT_CREATED",
        }
        self._failures: list[dict[str, Any]] = []
        self._source_failures: list[dict[str, str]] = []

    def fail_next_version(self, kind: str, message: str, *paths: str) -> None:
        """The next version of a dashboard fails with this error."""
        if kind not in api_model().shape_for("DashboardErrorType").enum:
            raise ValueError(f"{kind} is no DashboardErrorType of QuickSight")
        entities = [{"Path": path} for path in paths]
        self._failures.append({"Type": kind, "Message": message, "ViolatedEntities": entities})

    def fail_next_source(self, kind: str, message: str) -> None:
        """The next data source that is made or changed cannot be reached."""
        if kind not in api_model().shape_for("DataSourceErrorInfoType").enum:
            raise ValueError(f"{kind} is no DataSourceErrorInfoType of QuickSight")
        self._source_failures.append({"Type": kind, "Message": message})

    def dashboard(self, key: str) -> Resource:
        return self.resources["Dashboard", key]

    def operation(self, name: str) -> Callable[[dict[str, Any]], Answer | Response] | None:
        """What answers an operation; None for those that are not of this part."""
        own = {
            "DescribeAccountSubscription": self._subscription,
            "CreateDataSource": self._create_source,
            "UpdateDataSource": self._update_source,
            "DescribeDataSource": self._describe_source,
            "UpdateDashboardPublishedVersion": self._publish,
            "CreateRefreshSchedule": lambda params: self._schedule(params, new=True),
            "UpdateRefreshSchedule": lambda params: self._schedule(params, new=False),
            "DescribeRefreshSchedule": self._describe_schedule,
        }
        for kind in ("Theme", "Dashboard"):
            own |= {
                f"Create{kind}": lambda params, kind=kind: self._create(kind, params),
                f"Update{kind}": lambda params, kind=kind: self._update(kind, params),
                f"Describe{kind}": lambda params, kind=kind: self._describe(kind, params),
            }
        for kind in PATHS:
            own |= {
                f"Describe{kind}Permissions": lambda params, kind=kind: self._permissions(kind, params),
                f"Update{kind}Permissions": lambda params, kind=kind: self._share(kind, params),
            }
        return own.get(name)

    def refuse_unsubscribed(self, operation: str) -> None:
        """What every call answers in an account without QuickSight."""
        if self.subscription is None and operation != "DescribeAccountSubscription":
            raise ServiceError(
                "UnsupportedUserEditionException", "Account 123456789012 is not subscribed for QuickSight", 403
            )

    def _subscription(self, params: dict[str, Any]) -> Answer:
        if self.subscription is None:
            raise ServiceError(
                "ResourceNotFoundException",
                "Account 123456789012 is not signed up with QuickSight",
                404,
                {"ResourceType": "ACCOUNT_SETTINGS"},
            )
        return {"AccountInfo": self.subscription, "RequestId": str(uuid4()), "Status": 200}

    # Data sources -------------------------------------------------------------------------------------------------

    def _create_source(self, params: dict[str, Any]) -> Response:
        key = params["DataSourceId"]
        self._refuse_taken("DataSource", key)
        self._hold_to_model("CreateDataSource", params)
        resource = Resource("DataSource", key, self._arn(f"datasource/{key}"), self._clock(), params)
        self.resources["DataSource", key] = resource
        self._reach(resource, "CREATION")
        return _answer(202, Arn=resource.arn, DataSourceId=key, CreationStatus="CREATION_IN_PROGRESS")

    def _update_source(self, params: dict[str, Any]) -> Response:
        resource = self._of("DataSource", params)
        self._hold_to_model("UpdateDataSource", params)
        resource.request = resource.request | params
        self._reach(resource, "UPDATE")
        return _answer(202, Arn=resource.arn, DataSourceId=resource.id, UpdateStatus="UPDATE_IN_PROGRESS")

    def _reach(self, resource: Resource, verb: str) -> None:
        resource.error = self._source_failures.pop(0) if self._source_failures else None
        resource.status, resource.looks = f"{verb}_{'FAILED' if resource.error else 'SUCCESSFUL'}", 1

    def _describe_source(self, params: dict[str, Any]) -> Answer:
        resource = self._of("DataSource", params)
        going, resource.looks = resource.looks > 0, max(resource.looks - 1, 0)
        status = re.sub("_[A-Z]+$", "_IN_PROGRESS", resource.status) if going else resource.status
        description = {
            "Arn": resource.arn,
            "DataSourceId": resource.id,
            **{n: resource.request[n] for n in ("Name", "Type", "DataSourceParameters") if n in resource.request},
            "Status": status,
            "CreatedTime": resource.created.timestamp(),
            **({"ErrorInfo": resource.error} if resource.error and not going else {}),
        }
        return {"DataSource": description, "RequestId": str(uuid4()), "Status": 200}

    # Themes and dashboards ----------------------------------------------------------------------------------------

    def _create(self, kind: str, params: dict[str, Any]) -> Response:
        key = params[f"{kind}Id"]
        self._refuse_taken(kind, key)
        self._hold_to_model(f"Create{kind}", params)
        resource = Resource(kind, key, self._arn(f"{PATHS[kind]}/{key}"), self._clock(), params)
        resource.versions.append(self._version(kind, params, 1))
        self.resources[kind, key] = resource
        self.grants[kind, key] = {one["Principal"]: set(one["Actions"]) for one in params.get("Permissions", ())}
        return self._accepted(resource, 201)

    def _update(self, kind: str, params: dict[str, Any]) -> Response:
        resource = self._of(kind, params)
        self._hold_to_model(f"Update{kind}", params)
        if any(version.looks for version in resource.versions):
            raise ServiceError("ConflictException", f"{kind} {resource.id} is being changed", 409)
        version = self._version(kind, params, len(resource.versions) + 1)
        resource.versions.append(version)
        if kind == "Theme":
            resource.published = version.number
        return self._accepted(resource, 200)

    def _accepted(self, resource: Resource, status: int) -> Response:
        newest = resource.versions[-1]
        return _answer(
            status,
            **{f"{resource.kind}Id": resource.id},
            Arn=resource.arn,
            VersionArn=f"{resource.arn}/version/{newest.number}",
            CreationStatus=newest.status,
        )

    def _version(self, kind: str, params: dict[str, Any], number: int) -> Version:
        errors: list[dict[str, Any]] = []
        if kind == "Dashboard":
            refuse_misshapen(params["Definition"])
            errors = [*self._missing(params)] or ([self._failures.pop(0)] if self._failures else [])
        elif params["BaseThemeId"] not in STARTING_THEMES:
            raise _not_found("THEME", params["BaseThemeId"])
        return Version(number, params, self._clock(), "FAILED" if errors else "SUCCESSFUL", errors)

    def _describe(self, kind: str, params: dict[str, Any]) -> Answer:
        resource = self._of(kind, params)
        number = int(params.get("VersionNumber", resource.published))
        if not 1 <= number <= len(resource.versions):
            raise _not_found(f"{kind.upper()}_VERSION", f"{resource.id}/{number}")
        version = resource.versions[number - 1]
        description = {
            "VersionNumber": number,
            "Status": version.status,
            "Description": version.request.get("VersionDescription", ""),
            "CreatedTime": version.created.timestamp(),
            "Arn": f"{resource.arn}/version/{number}",
        }
        if not version.looks and version.errors:
            description["Errors"] = version.errors
        version.looks = max(version.looks - 1, 0)
        name = version.request["Name"]
        newest = {f"{kind}Id": resource.id, "Arn": resource.arn, "Name": name, "Version": description}
        return {kind: newest, "RequestId": str(uuid4()), "Status": 200}

    def _publish(self, params: dict[str, Any]) -> Answer:
        made, number = self._of("Dashboard", params), int(params["VersionNumber"])
        if not 1 <= number <= len(made.versions):
            raise _not_found("DASHBOARD_VERSION", f"{made.id}/{number}")
        if made.versions[number - 1].status not in ("CREATION_SUCCESSFUL", "UPDATE_SUCCESSFUL"):
            raise ServiceError("ConflictException", f"Version {number} of {made.id} cannot be published", 409)
        made.published = number
        return {"DashboardId": made.id, "DashboardArn": made.arn, "RequestId": str(uuid4()), "Status": 200}

    def _missing(self, params: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """What the definition speaks of and is not there: data sets, columns, parameters."""
        definition = params["Definition"]
        by_arn = {each.arn: each for each in self._data_sets().values()}
        columns: dict[str, set[str]] = {}
        for declared in definition["DataSetIdentifierDeclarations"]:
            data_set = by_arn.get(declared["DataSetArn"])
            if data_set is None:
                yield _version_error("DATA_SET_NOT_FOUND", f"Data set {declared['DataSetArn']} is not found", "")
                continue
            columns[declared["Identifier"]] = data_set.columns
        for calculated in definition.get("CalculatedFields", ()):
            known = columns.get(calculated["DataSetIdentifier"], set())
            names = re.findall(r"(?<!\$)\{(\w+)\}", calculated["Expression"])
            for name in sorted(set(names) - known):
                yield _version_error(
                    "COLUMN_REPLACEMENT_MISSING", f"Column {name} is not found", f"field/{calculated['Name']}"
                )
            known.add(calculated["Name"])
        parameters = {one["Name"] for each in definition.get("ParameterDeclarations", ()) for one in each.values()}
        for path, name, value in members(definition, ""):
            if name == "ColumnName":
                own = value_at(definition, path)
                if own["DataSetIdentifier"] not in columns:
                    yield _version_error("DATA_SET_NOT_FOUND", f"{own['DataSetIdentifier']} is not declared", path)
                elif value not in columns[own["DataSetIdentifier"]]:
                    yield _version_error("COLUMN_REPLACEMENT_MISSING", f"Column {value} is not found", path)
            elif name in ("ParameterName", "SourceParameterName", "DestinationParameterName"):
                if value not in parameters:
                    yield _version_error("PARAMETER_NOT_FOUND", f"Parameter {value} is not found", path)
            elif name == "Expression":
                for used in set(re.findall(r"\$\{(\w+)\}", value)) - parameters:
                    yield _version_error("PARAMETER_NOT_FOUND", f"Parameter {used} is not found", path)

    # Sharing and schedules ----------------------------------------------------------------------------------------

    def _permissions(self, kind: str, params: dict[str, Any]) -> Answer:
        held = self.grants.get((kind, self._there(kind, params)), {})
        permissions = [{"Principal": who, "Actions": sorted(actions)} for who, actions in held.items()]
        return {"Permissions": permissions, f"{kind}Id": params[f"{kind}Id"], "RequestId": str(uuid4()), "Status": 200}

    def _share(self, kind: str, params: dict[str, Any]) -> Answer:
        held = self.grants.setdefault((kind, self._there(kind, params)), {})
        for one in params.get("GrantPermissions", ()):
            if self.people is not None and one["Principal"] not in self.people:
                raise ServiceError(
                    "InvalidParameterValueException", f"Principal {one['Principal']} is not found in the account"
                )
            held.setdefault(one["Principal"], set()).update(one["Actions"])
        for one in params.get("RevokePermissions", ()):
            held.get(one["Principal"], set()).difference_update(one["Actions"])
        return self._permissions(kind, params)

    def _there(self, kind: str, params: dict[str, Any]) -> str:
        if kind != "DataSet":
            return self._of(kind, params).id
        if params["DataSetId"] not in self._data_sets():
            raise _not_found("DATA_SET", params["DataSetId"])
        return params["DataSetId"]

    def _schedule(self, params: dict[str, Any], *, new: bool) -> Response:
        key = (self._there("DataSet", params), params["Schedule"]["ScheduleId"])
        if new and key in self.schedules:
            raise ServiceError("ResourceExistsException", f"Schedule {key[1]} exists", 409)
        if not new and key not in self.schedules:
            raise _not_found("REFRESH_SCHEDULE", key[1])
        self.schedules[key] = params["Schedule"]
        return _answer(200, ScheduleId=key[1], Arn=self._arn(f"dataset/{key[0]}/refresh-schedule/{key[1]}"))

    def _describe_schedule(self, params: dict[str, Any]) -> Answer:
        key = (self._there("DataSet", params), params["ScheduleId"])
        if key not in self.schedules:
            raise _not_found("REFRESH_SCHEDULE", key[1])
        return {"RefreshSchedule": self.schedules[key], "RequestId": str(uuid4()), "Status": 200}

    # ----------------------------------------------------------------------------------------------------------------

    def _of(self, kind: str, params: dict[str, Any]) -> Resource:
        key = params[f"{kind}Id"]
        if (kind, key) not in self.resources:
            raise _not_found(re.sub("(?<!^)(?=[A-Z])", "_", kind).upper(), key)
        return self.resources[kind, key]

    def _refuse_taken(self, kind: str, key: str) -> None:
        if (kind, key) in self.resources:
            raise ServiceError("ResourceExistsException", f"{kind} {key} already exists", 409)

    @staticmethod
    def _hold_to_model(operation: str, params: dict[str, Any]) -> None:
        """What the API's own front refuses: unknown words, patterns, lengths."""
        if fault := next(faults_of(api_model().operation_model(operation).input_shape, params, ""), None):
            raise ServiceError("InvalidParameterValueException", f"1 validation error detected: {fault}")


def _version_error(kind: str, message: str, path: str) -> dict[str, Any]:
    return {"Type": kind, "Message": message, "ViolatedEntities": [{"Path": path}] if path else []}


def _not_found(kind: str, key: str) -> ServiceError:
    return ServiceError("ResourceNotFoundException", f"{kind} {key} is not found", 404, {"ResourceType": kind})


def _answer(status: int, **members: Any) -> Response:
    body = members | {"RequestId": str(uuid4())}
    return Response(json.dumps(body), status=status, content_type="application/json")
