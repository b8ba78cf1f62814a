"""Doctor: the data set in QuickSight, its refreshes, and what it shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from finops_assets.adapters.aws.doctor.denied import unless_denied
from finops_assets.adapters.aws.glue_partitions import GlueCatalog
from finops_assets.adapters.aws.quicksight.fixes import INGESTION_FIXES
from finops_assets.adapters.aws.quicksight.ingestions import FINISHED, MANUAL, REFRESHES, WINDOW, cancel_command
from finops_assets.adapters.aws.session import AwsSession, explained
from finops_assets.core.findings import Finding, State, findings_of
from finops_assets.core.values import DashboardContent
from finops_assets.settings.sections import AwsSettings

FEW_REFRESHES = 3
MEGABYTE = 1_000_000


class QuickSightChecks:
    """The checks of the data set over ou_breakdown.

    Args:
        settings: of `[aws]`.
        session: the identity.
        catalog: the platform's own, for what the data set should hold.
        clock: the time, UTC.
    """

    def __init__(
        self, settings: AwsSettings, session: AwsSession, *, catalog: GlueCatalog, clock: Callable[[], datetime]
    ) -> None:
        self._settings, self._session, self._catalog, self._clock = settings, session, catalog, clock

    def check(self) -> Iterator[Finding]:
        aws = self._settings
        if not aws.quicksight_data_set:
            yield Finding(
                "data set",
                "skip",
                f"aws.quicksight_data_set is not set: the dashboard is s3://{aws.bucket}/dashboard/dashboard.html",
            )
            return
        findings = list(unless_denied("data set", self._data_set()))
        yield from findings
        if all(finding.state != "fail" for finding in findings):
            yield from findings_of("refreshes", self._refreshes())

    def _data_set(self) -> Iterator[Finding]:
        data_set = self._call("describe_data_set")["DataSet"]
        name, mode = data_set.get("Name", data_set["DataSetId"]), data_set.get("ImportMode")
        if mode != "SPICE":
            yield Finding(
                "data set",
                "fail",
                f"{name} is in mode {mode}: there is nothing to refresh",
                "Set the data set's query mode to SPICE, or leave aws.quicksight_data_set empty.",
            )
        else:
            size = data_set.get("ConsumedSpiceCapacityInBytes", 0)
            yield Finding("data set", "ok", f"{name}: SPICE, {size / MEGABYTE:,.1f} MB of its capacity")

    def _refreshes(self) -> Iterator[Finding]:
        ingestions = self._ingestions()
        limit = REFRESHES[self._settings.quicksight_edition]
        since = self._clock() - WINDOW
        taken = sum(
            one["CreatedTime"] > since and one.get("RequestSource") != "SCHEDULED" and one.get("RequestType") in MANUAL
            for one in ingestions
        )
        left = max(limit - taken, 0)
        state: State = "fail" if not left else "warn" if left <= FEW_REFRESHES else "ok"
        fix = "" if state == "ok" else "Run many days as one range (`finops backfill`): it takes one refresh."
        yield Finding("refreshes", state, f"{left} of {limit} left in these 24 hours", fix)
        yield from self._hanging(ingestions)
        yield _last_refresh(ingestions)

    def _hanging(self, ingestions: list[dict[str, Any]]) -> Iterator[Finding]:
        """A finding for each ingestion under way for longer than the timeout."""
        aws = self._settings
        for one in ingestions:
            seconds = (self._clock() - one["CreatedTime"]).total_seconds()
            if one["IngestionStatus"] not in FINISHED and seconds >= aws.quicksight_timeout_seconds:
                account = aws.quicksight_account or self._session.account
                command = cancel_command(account, aws.quicksight_data_set, one["IngestionId"])
                detail = f"{one['IngestionId']} is {one['IngestionStatus']} for {seconds / 3600:.1f} hours: it hangs"
                yield Finding("refresh under way", "fail", detail, f"The next run cancels it; by hand: `{command}`.")

    def shown(self) -> DashboardContent | None:
        done = next((one for one in self._ingestions() if one["IngestionStatus"] == "COMPLETED"), None)
        if done is None:
            return None
        expected, newest, content = self._catalog.contents()
        rows = done.get("RowInfo", {}).get("RowsIngested")
        data_set = self._settings.quicksight_data_set
        return DashboardContent(
            location=f"https://{self._session.region}.quicksight.aws.amazon.com/sn/data-sets/{data_set}",
            refreshed=done["CreatedTime"].astimezone(UTC),
            # A refresh of ours is named after the content that it loads; of another, only the rows can be compared.
            newest_day=newest if f"-{content[:8]}-" in done["IngestionId"] else None,
            rows=rows,
            expected_rows=expected if rows is not None else None,
        )

    def _ingestions(self) -> list[dict[str, Any]]:
        """The newest hundred, more than QuickSight allows in a day, newest first."""
        return sorted(
            self._call("list_ingestions", MaxResults=100)["Ingestions"],
            key=lambda one: one["CreatedTime"],
            reverse=True,
        )

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        aws = self._settings
        account = aws.quicksight_account or self._session.account
        fixes = {
            "ResourceNotFoundException": "Set aws.quicksight_data_set to an id of `aws quicksight list-data-sets`, and "
            "aws.region and aws.quicksight_account to where it is."
        }
        with explained(
            "quicksight:" + operation.title().replace("_", ""),
            where=f"{aws.quicksight_data_set} (aws.quicksight_data_set)",
            fixes=fixes,
        ):
            client = self._session.client("quicksight")
            return getattr(client, operation)(AwsAccountId=account, DataSetId=aws.quicksight_data_set, **parameters)


def _last_refresh(ingestions: list[dict[str, Any]]) -> Finding:
    """How the newest finished ingestion ended."""
    last = next((one for one in ingestions if one["IngestionStatus"] in FINISHED), None)
    if last is None:
        return Finding("last refresh", "ok", "none has ended yet")
    name = f"{last['IngestionId']} of {last['CreatedTime'].astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    kind = last.get("ErrorInfo", {}).get("Type", "")
    rows = last.get("RowInfo", {})
    if last["IngestionStatus"] != "COMPLETED":
        detail = f"{name} {last['IngestionStatus'].lower()}: {kind or 'no reason told'}; older data is shown"
        fix = INGESTION_FIXES.get(kind, "See the data set's refresh history")
        return Finding("last refresh", "fail", detail, f"{fix}.")
    if rows.get("RowsDropped"):
        return Finding(
            "last refresh",
            "fail",
            f"{name} dropped {rows['RowsDropped']:,} row(s)",
            "Compare the data set's column types with those of finops_db.ou_breakdown.",
        )
    return Finding("last refresh", "ok", f"{name}: {rows.get('RowsIngested', 0):,} rows")
