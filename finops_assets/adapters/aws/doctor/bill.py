"""Doctor: the bill's table and files, how its exports are delivered, and the organization."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from finops_assets.adapters.aws.accounts import HISTORY_PATH, ROLE_SETTING
from finops_assets.adapters.aws.athena import Athena
from finops_assets.adapters.aws.glue_tables import MAP_TABLE, GlueTables
from finops_assets.adapters.aws.s3 import open_archive
from finops_assets.adapters.aws.session import AwsSession, explained
from finops_assets.adapters.aws.warehouse import AthenaWarehouse
from finops_assets.core.errors import BillError, FinopsError
from finops_assets.core.findings import Finding, State, error_finding, findings_of
from finops_assets.core.operations.doctor import files_passed_over
from finops_assets.core.schemas import DATABASE
from finops_assets.core.values import BillDescription
from finops_assets.settings.sections import AwsSettings

OLD, TOO_OLD = 24.0, 48.0
"""Hours: AWS refreshes an export up to three times a day, so a day without a new file is late, two are a fault."""

EXPORTS_REGION = "us-east-1"
"""The only region that answers for Data Exports."""

MEGABYTE = 1_000_000


class BillChecks:
    """The checks of the bill's table and of its files.

    Args:
        table: bill.table.
        session: the identity.
        warehouse, tables: the platform's own, so that what is tried is what runs.
        athena: likewise; None where no query runs.
        clock: the time, UTC.
        name: of the finding.
    """

    def __init__(
        self,
        table: str,
        session: AwsSession,
        *,
        warehouse: AthenaWarehouse,
        tables: GlueTables,
        athena: Athena | None,
        clock: Callable[[], datetime],
        name: str = "bill",
    ) -> None:
        self._finding = name
        self._table, self._session, self._clock = table, session, clock
        self._warehouse, self._tables, self._athena = warehouse, tables, athena

    def check(self) -> Iterator[Finding]:
        source = self._tables.source(self._table)
        location = source.get("StorageDescriptor", {}).get("Location", "")
        bill = self._described(location)
        at = f", at {location}" if location else ""
        yield Finding(self._finding, "ok", f"{bill.path}: {bill.format}, cost bases {', '.join(bill.cost_bases)}{at}")
        if not bill.files or bill.updated is None:
            yield Finding(
                "bill's files",
                "fail",
                f"{location or bill.path} holds no file",
                "Wait for the export's first delivery, or see that the table's location is the export's.",
            )
        else:
            of_files = list(findings_of("bill's files", self._files(bill, location)))
            yield from of_files
            yield from files_passed_over(self._warehouse.export_version().passed_over)
            if self._athena and all(finding.state != "fail" for finding in of_files):
                yield from findings_of("bill's statements", self._statements(self._athena))
        for words in self._warehouse.export_version().unregistered.values():
            yield Finding("bill's partitions", "fail", words, "Run that statement in Athena.")

    def _statements(self, athena: Athena) -> Iterator[Finding]:
        """Have Athena check what a run will ask: syntax, names, types and rights, by statements that scan nothing."""
        checked, later = [], []
        is_new = MAP_TABLE not in (self._tables.own_tables() or {})
        for purpose, sql in self._warehouse.statements(self._clock().date() - timedelta(days=1)).items():
            if is_new and f"{DATABASE}.{MAP_TABLE}" in sql:
                later.append(purpose)
                continue
            athena.run(f"EXPLAIN (TYPE VALIDATE)\n{sql}", f"doctor: whether this is valid: {purpose}")
            checked.append(purpose)
        rest = f"; once the first run has made the account map: {', '.join(later)}" if later else ""
        yield Finding("bill's statements", "ok", f"Athena would run each of {len(checked)}: {', '.join(checked)}{rest}")

    def _described(self, location: str) -> BillDescription:
        from obstore.exceptions import BaseError

        try:
            return self._warehouse.describe()
        except (BaseError, OSError) as error:
            bucket = location.removeprefix("s3://").partition("/")[0]
            raise BillError(
                f"its files cannot be listed ({str(error).splitlines()[0]})",
                where=f"{location} (bill.table)",
                fix=f"Allow s3:ListBucket on arn:aws:s3:::{bucket}; see that the bucket is there, in this region.",
            ) from None

    def _files(self, bill: BillDescription, location: str) -> Iterator[Finding]:
        if location:  # a view has none: what its tables read was listed
            self._try_a_file(location)
        hours = (self._clock() - bill.updated).total_seconds() / 3600 if bill.updated else 0.0
        state: State = "ok" if hours <= OLD else "warn" if hours <= TOO_OLD else "fail"
        fix = "See the export in Billing and Cost Management, Data Exports: what its status says."
        detail = f"{bill.files} file(s), {bill.size_bytes / MEGABYTE:,.1f} MB, readable, the newest {hours:.0f} h old"
        yield Finding("bill's files", state, detail, "" if state == "ok" else fix)

    def _try_a_file(self, location: str) -> None:
        bucket, _, prefix = location.removeprefix("s3://").partition("/")
        s3 = self._session.client("s3")
        with explained("s3:ListBucket", where=f"arn:aws:s3:::{bucket}"):
            listed = s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=100).get("Contents", ())
        key = next((each["Key"] for each in listed if each["Size"]), "")
        if key:
            with explained("s3:GetObject", where=f"arn:aws:s3:::{bucket}/{key}"):
                s3.get_object(Bucket=bucket, Key=key, Range="bytes=0-3")["Body"].read()


def exports(session: AwsSession) -> Iterator[Finding]:
    """The state of this account's data exports; in an organization they mostly belong to the payer's account.

    It comes last: in a network that blocks this one service, the call waits for its timeout.
    """
    if session.region != EXPORTS_REGION:
        yield Finding("data exports", "skip", f"only {EXPORTS_REGION} tells how exports are delivered")
        return
    try:
        with explained("bcm-data-exports:ListExports", where="the exports of this account"):
            pages = session.client("bcm-data-exports").get_paginator("list_exports").paginate()
            listed = [export for page in pages for export in page.get("Exports", ())]
    except FinopsError as error:
        yield error_finding("data exports", error, "skip")
        return
    if not listed:
        yield Finding("data exports", "skip", "this account has none: the payer's account has them")
    for export in listed:
        status = export.get("ExportStatus", {})
        name, state, reason = export["ExportName"], status.get("StatusCode", ""), status.get("StatusReason", "")
        if state == "HEALTHY":
            when = status.get("LastRefreshedAt")
            at = f", delivered {when.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if when else ", not delivered yet"
            yield Finding("data exports", "ok", f"{name} is healthy{at}")
        else:
            yield Finding(
                "data exports",
                "warn",
                f"{name} is {state.lower() or 'in no state that is told'}: {reason or 'no reason given'}",
                "Mend it in Billing and Cost Management, Data Exports, if it is the one of bill.table.",
            )


def organization(session: AwsSession, settings: AwsSettings) -> Iterator[Finding]:
    """Whether Organizations answers; without it, the history in the archive is used."""
    try:
        detail = _root(session, settings)
    except FinopsError as error:
        if open_archive(session, settings.bucket).get(HISTORY_PATH) is None:
            raise
        kept = error_finding("organization", error, "warn")
        yield Finding(kept.name, kept.state, f"{kept.detail}; accounts are shown as last seen", kept.fix)
    else:
        yield Finding("organization", "ok", detail)


def _root(session: AwsSession, settings: AwsSettings) -> str:
    client = session.client("organizations", settings.organizations_role_arn)
    fix = f"Allow it to a role of the management account, named in {ROLE_SETTING}; or set accounts.path."

    def listed(operation: str, items: str, **parameters: str) -> list[dict[str, Any]]:
        action = "organizations:" + operation.title().replace("_", "")
        fixes = {
            "AccessDeniedException": f"{action} is denied. {fix}",
            "AWSOrganizationsNotInUseException": f"Name a role of the management account in {ROLE_SETTING}, "
            "or write an accounts.csv and set accounts.path.",
        }
        with explained(action, where=action, fixes=fixes):
            return [each for page in client.get_paginator(operation).paginate(**parameters) for each in page[items]]

    root = listed("list_roots", "Roots")[0]["Id"]
    units = listed("list_organizational_units_for_parent", "OrganizationalUnits", ParentId=root)
    accounts = listed("list_accounts_for_parent", "Accounts", ParentId=root)
    return f"readable: {len(units)} OU(s) and {len(accounts)} account(s) directly below the root {root}"
