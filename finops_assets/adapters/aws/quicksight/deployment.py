"""Puts the dashboard in place in QuickSight: creates or updates each resource, waits for it, shares it.

Every request is held to the API's model before any call. Resources that are as wanted are left alone.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from finops_assets.adapters.aws.polling import growing, wait_until
from finops_assets.adapters.aws.quicksight import fixes, ids
from finops_assets.adapters.aws.quicksight.api_model import hold_to_model
from finops_assets.adapters.aws.quicksight.comparison import includes, is_as_wanted
from finops_assets.adapters.aws.quicksight.ingestions import FINISHED
from finops_assets.adapters.aws.quicksight.requests import Plan, Request, requests
from finops_assets.adapters.aws.quicksight.sharing import Grant, grants, missing_grants
from finops_assets.adapters.aws.session import AwsError, AwsSession, explained
from finops_assets.core.errors import FinopsError, SettingsError

SCHEDULE, SCHEDULE_AT = "finops-daily", "06:00"
"""The refresh of the permissions, by QuickSight itself, each day (UTC): new OUs come with the account map."""

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
"""Seconds between two looks at a resource."""


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Deployed:
    """What became of one resource: `created`, `updated` or `unchanged`."""

    kind: str
    id: str
    how: str


@dataclass
class Deployment:
    """One deployment of a plan.

    Args:
        session: how AWS is reached.
        account: AWS account of QuickSight; empty for the session's own.
        timeout_seconds: how long each resource, and each data set's first data, is waited for.
        tell: reports progress.
        sleep, clock: replaced where time must not pass.
    """

    session: AwsSession
    account: str = ""
    timeout_seconds: float = 600
    tell: Callable[[str], None] = lambda _: None
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], datetime] = utc_now
    _loading: dict[str, str] = field(default_factory=dict)  # data set -> the ingestion that its change started

    def deploy(self, plan: Plan) -> list[Deployed]:
        """Create or update all of it, wait for it and share it.

        Returns:
            What became of each resource. A second time, without a change, everything is `unchanged`.

        Raises:
            SettingsError: the plan cannot be put in place as it is.
            AwsError: QuickSight refused a call; it names the action.
            FinopsError: a resource or its data failed, or takes too long.
        """
        self.account = self.account or self.session.account
        partition, region = self._partition, self.session.region
        planned = requests(replace(plan, charges=True), region, self.account, partition)
        hold_to_model(planned, self.account)
        wanted = grants(plan.owners, plan.viewers, f"arn:{partition}:quicksight:{region}:{self.account}:")
        self._check_subscription()
        current = {request.id: self._find(request) for request in planned}
        if (
            not plan.charges and current[ids.CHARGES] is None
        ):  # where it was made once, it stays as secured as the others
            planned = [request for request in planned if request.id != ids.CHARGES]
        self._check_stays_secured(plan, current)
        deployed = []
        for request in planned:
            deployed.append(self._ensure(request, current[request.id]))
            self._share(request, wanted)
            if request.id == ids.PERMISSIONS:
                self._schedule()
                # Until the rules are loaded nobody but owners sees anything of what they secure.
                self._wait_for_data(request.id)
            self.tell(f"{request.kind} {request.id}: {deployed[-1].how}")
        for data_set in list(self._loading):
            self._wait_for_data(data_set)
        return deployed

    @property
    def link(self) -> str:
        return f"https://{self.session.region}.quicksight.aws.amazon.com/sn/dashboards/{ids.DASHBOARD}"

    @property
    def _partition(self) -> str:
        region = self.session.region
        return "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"

    # --- before anything is changed -------------------------------------------------------------------------------

    def _check_subscription(self) -> None:
        """The first call: an account without QuickSight answers each of the others in its own words."""
        where = f"account {self.account}"
        try:
            answer = self._call(
                "DescribeAccountSubscription", where, fixes_by_code={"ResourceNotFoundException": fixes.SUBSCRIBE}
            )
        except AwsError as error:
            if "AccessDenied" in error.code:  # nothing depends on it: the calls that follow name what is wrong
                return
            raise
        subscription = answer["AccountInfo"]
        if subscription.get("AccountSubscriptionStatus", "").upper() in ("UNSUBSCRIBED", "UNSUBSCRIBE_IN_PROGRESS"):
            raise FinopsError("the account's QuickSight subscription has ended", where=where, fix=fixes.SUBSCRIBE)
        if subscription.get("Edition") == "STANDARD":
            raise FinopsError(
                "QuickSight is in its Standard edition, which takes no dashboards by its API",
                where=where,
                fix="Upgrade it to Enterprise in QuickSight's settings; or leave aws.quicksight_data_set empty: the "
                "platform publishes a dashboard of its own in the bucket.",
            )

    def _find(self, request: Request) -> dict[str, Any] | None:
        try:
            return self._describe(request)
        except AwsError as error:
            if error.code == "ResourceNotFoundException":
                return None
            raise

    def _check_stays_secured(self, plan: Plan, current: Mapping[str, dict[str, Any] | None]) -> None:
        """Raise where the plan would remove row-level security without `open_to_all`."""
        secured = [key for key, resource in current.items() if (resource or {}).get("RowLevelPermissionDataSet")]
        if secured and not plan.rules and not plan.open_to_all:
            raise SettingsError(
                f"{', '.join(secured)} are secured by OU, and no permissions are given: all who can open the dashboard "
                "would see every OU",
                where="aws.quicksight_permissions (FINOPS_AWS__QUICKSIGHT_PERMISSIONS)",
                fix="Set it to your ou_permissions.csv, or deploy with --open-to-all.",
            )

    # --- one resource ---------------------------------------------------------------------------------------------

    def _ensure(self, request: Request, current: dict[str, Any] | None) -> Deployed:
        if current is not None and _status(request, current).endswith("IN_PROGRESS"):
            current = self._settled(request)  # somebody else is changing it
        if current is None:
            self._send("Create", request)
            _check(request, self._settled(request))
            return Deployed(request.kind, request.id, "created")
        if not _status(request, current).endswith("FAILED") and is_as_wanted(request, current):
            return Deployed(request.kind, request.id, "unchanged")
        answer = self._send("Update", request)
        version = {}
        if request.kind in ("theme", "dashboard"):
            version = {"VersionNumber": int(answer["VersionArn"].rsplit("/", 1)[1])}
        _check(request, self._settled(request, version), " Readers still see the version before.")
        if request.kind == "dashboard":
            self._call(
                "UpdateDashboardPublishedVersion",
                request.where,
                {"DashboardId": request.id, **version},
                fixes_by_code=fixes.REQUEST_FIXES,
            )
        return Deployed(request.kind, request.id, "updated")

    def _send(self, verb: str, request: Request) -> dict[str, Any]:
        body = dict(request.body)
        if verb == "Update":
            body.pop("Type", None)  # of a data source: it cannot change
            body.pop("UseAs", None)  # of a data set: likewise
        answer = self._call(
            f"{verb}{request.noun}",
            request.where,
            {f"{request.noun}Id": request.id, **body},
            fixes_by_code=fixes.REQUEST_FIXES,
        )
        if answer.get("IngestionId"):
            self._loading[request.id] = answer["IngestionId"]
        return answer

    def _describe(self, request: Request, version: Mapping[str, int] | None = None) -> dict[str, Any]:
        parameters = {f"{request.noun}Id": request.id, **(version or {})}
        return self._call(f"Describe{request.noun}", request.where, parameters)[request.noun]

    def _settled(self, request: Request, version: Mapping[str, int] | None = None) -> dict[str, Any]:
        """The resource, or this version of it, after QuickSight has made it."""

        def too_late(resource: Mapping[str, Any]) -> FinopsError:
            return FinopsError(
                f"is still {_status(request, resource)} after {self.timeout_seconds:g} seconds",
                where=request.where,
                fix="Deploy again later: it goes on from there.",
            )

        start = self.clock()
        return wait_until(
            lambda resource: not _status(request, resource).endswith("IN_PROGRESS"),
            self._describe(request, version),
            lambda _: self._describe(request, version),
            seconds_left=lambda: self._seconds_left(start),
            pause=growing(FIRST_PAUSE, LONGEST_PAUSE),
            sleep=self.sleep,
            too_late=too_late,
        )

    def _seconds_left(self, start: datetime) -> float:
        return self.timeout_seconds - (self.clock() - start).total_seconds()

    def _share(self, request: Request, wanted: Sequence[Grant]) -> None:
        """Give what is missing; what others were given by hand stays."""
        if not any(request.kind in actions for _, actions in wanted):
            return
        key = {f"{request.noun}Id": request.id}
        current = self._call(f"Describe{request.noun}Permissions", request.where, key).get("Permissions", [])
        missing = missing_grants(request.kind, wanted, current)
        if missing:
            names = ", ".join(permission["Principal"].split(":", 5)[-1] for permission in missing)
            fix = (
                f"See that {names} is a user or group of QuickSight in this account; where users are kept in another "
                "region, give the whole ARN."
            )
            self._call(
                f"Update{request.noun}Permissions",
                request.where,
                {**key, "GrantPermissions": missing},
                fixes_by_code={"InvalidParameterValueException": fix, "ResourceNotFoundException": fix},
            )

    # --- data -----------------------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        """QuickSight itself refreshes the permissions each day: that takes none of the counted refreshes."""
        where, key = f"QuickSight data set {ids.PERMISSIONS}", {"DataSetId": ids.PERMISSIONS}
        wanted = {
            "ScheduleId": SCHEDULE,
            "ScheduleFrequency": {"Interval": "DAILY", "Timezone": "Etc/UTC", "TimeOfTheDay": SCHEDULE_AT},
            "RefreshType": "FULL_REFRESH",
        }
        try:
            current = self._call("DescribeRefreshSchedule", where, {**key, "ScheduleId": SCHEDULE})["RefreshSchedule"]
        except AwsError as error:
            if error.code != "ResourceNotFoundException":
                raise
            self._call("CreateRefreshSchedule", where, {**key, "Schedule": wanted})
            return
        if not includes(current, wanted):
            self._call("UpdateRefreshSchedule", where, {**key, "Schedule": wanted})

    def _wait_for_data(self, data_set: str) -> None:
        """Wait until the data of a new or changed data set are loaded; past the timeout, loading goes on alone."""
        ingestion_id = self._loading.pop(data_set, None)
        if ingestion_id is None:
            return
        where, start = f"QuickSight data set {data_set}", self.clock()

        def describe(_: Mapping[str, Any] | None = None) -> dict[str, Any]:
            parameters = {"DataSetId": data_set, "IngestionId": ingestion_id}
            return self._call("DescribeIngestion", where, parameters)["Ingestion"]

        ingestion = wait_until(
            lambda ingestion: ingestion["IngestionStatus"] in FINISHED,
            describe(),
            describe,
            seconds_left=lambda: self._seconds_left(start),
            pause=growing(FIRST_PAUSE, LONGEST_PAUSE),
            sleep=self.sleep,
        )
        status, rows = ingestion["IngestionStatus"], ingestion.get("RowInfo", {})
        if status not in FINISHED:
            self.tell(f"{where}: its data is still being loaded ({status})")
            return
        if status != "COMPLETED" or rows.get("RowsDropped"):
            error = ingestion.get("ErrorInfo", {})
            kind = error.get("Type", status)
            message = error.get("Message", "") or f"{rows.get('RowsDropped', 0):,} row(s) were dropped"
            fix = fixes.INGESTION_FIXES.get(kind, "See its refresh history in QuickSight")
            raise FinopsError(
                f"its data could not be loaded: {kind} ({message.rstrip('.')})",
                where=where,
                fix=f"{fix}. Then refresh the data set.",
            )
        self.tell(f"{where}: {rows.get('RowsIngested', 0):,} rows loaded")

    def _call(
        self,
        operation: str,
        where: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        fixes_by_code: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        common = {
            "UnsupportedUserEditionException": fixes.SUBSCRIBE,
            "ConflictException": "Somebody else is changing it at this moment: deploy again in a minute.",
            "LimitExceededException": "Delete what nobody uses in QuickSight, or have the limit raised.",
        }
        method = re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()
        with explained(f"quicksight:{operation}", where=where, fixes=common | dict(fixes_by_code or {})):
            return getattr(self.session.client("quicksight"), method)(AwsAccountId=self.account, **(parameters or {}))


def _status(request: Request, resource: Mapping[str, Any]) -> str:
    """Of a data source, or of the version of a theme or a dashboard; a data set has none."""
    versioned = resource if request.kind == "data source" else resource.get("Version", {})
    return versioned.get("Status", "")


def _check(request: Request, resource: Mapping[str, Any], still: str = "") -> None:
    """Raise QuickSight's errors of a resource that it accepted and then could not make."""
    status = _status(request, resource)
    if not status.endswith("FAILED"):
        return
    if request.kind == "data source":
        error = resource.get("ErrorInfo", {})
        raise FinopsError(
            f"{status}: {error.get('Type', 'no type given')}: {error.get('Message', '')}".rstrip(": "),
            where=request.where,
            fix=fixes.SOURCE_FIX,
        )
    errors = resource["Version"].get("Errors", [])
    reasons = [_reason(error) for error in errors] or ["no reason given"]
    advice = dict.fromkeys(fixes.DASHBOARD_FIXES.get(error.get("Type", ""), fixes.REPORT) for error in errors)
    raise FinopsError(
        f"{status}: {'; '.join(reasons[:5])}" + (f" and {len(reasons) - 5} more" if len(reasons) > 5 else ""),
        where=request.where,
        fix=" ".join([*advice] or [fixes.REPORT]) + still,
    )


def _reason(error: Mapping[str, Any]) -> str:
    places = ", ".join(entity.get("Path", "") for entity in error.get("ViolatedEntities", ())[:3])
    reason = f"{error.get('Type', 'no type given')}: {error.get('Message', '').strip().rstrip('.')}"
    return f"{reason} (at {places})" if places else reason
