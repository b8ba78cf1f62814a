"""Doctor: the workgroup, a query, the tables of finops_db and the registered days."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from finops_assets.adapters.aws.athena import Athena
from finops_assets.adapters.aws.doctor.denied import unless_denied
from finops_assets.adapters.aws.glue_partitions import GlueCatalog
from finops_assets.adapters.aws.glue_tables import GlueTables, hold_to_contract, table_inputs
from finops_assets.adapters.aws.session import AwsSession, explained
from finops_assets.adapters.aws.staging import PREFIX, Staging
from finops_assets.core.archive.expected_days import missing_days
from finops_assets.core.calendar import in_words
from finops_assets.core.findings import Finding, findings_of
from finops_assets.core.schemas import DATABASE, day_location
from finops_assets.settings.sections import AwsSettings

GIGABYTE = 1_000_000_000


class CatalogChecks:
    """The checks of Athena and Glue.

    Args:
        settings: of `[aws]`.
        session: the identity.
        tables, catalog, athena, staging: the platform's own, so that what is tried is what runs.
    """

    def __init__(
        self,
        settings: AwsSettings,
        session: AwsSession,
        *,
        tables: GlueTables,
        catalog: GlueCatalog,
        athena: Athena,
        staging: Staging,
    ) -> None:
        self._settings, self._session = settings, session
        self._tables, self._catalog, self._athena, self._staging = tables, catalog, athena, staging

    def queries(self, *, writes: bool) -> Iterator[Finding]:
        """Whether queries run; and where the bucket takes objects (`writes`), whether they may write them there."""
        yield from unless_denied("workgroup", self._workgroup())
        yield from findings_of("query", self._query(writes=writes))

    def tables(self) -> Iterator[Finding]:
        """The tables of finops_db, and the registered days."""
        yield from findings_of("tables", self._contract())
        yield from findings_of("partitions", self._partitions())

    def _workgroup(self) -> Iterator[Finding]:
        name, results = self._settings.workgroup, self._settings.athena_results
        setting = "aws.workgroup (FINOPS_AWS__WORKGROUP)"
        with explained(
            "athena:GetWorkGroup",
            where=f"{name}, {setting}",
            fixes={"InvalidRequestException": "Set it to one of `aws athena list-work-groups` in this region."},
        ):
            group = self._session.client("athena").get_work_group(WorkGroup=name)["WorkGroup"]
        configuration = group.get("Configuration", {})
        place = configuration.get("ResultConfiguration", {}).get("OutputLocation", "")
        if configuration.get("ManagedQueryResultsConfiguration", {}).get("Enabled"):
            place = ""  # in Athena's own storage, where an UNLOAD's manifest is not to be read
        elif results and not (place and configuration.get("EnforceWorkGroupConfiguration")):
            place = results
        if group.get("State") == "DISABLED":
            yield Finding("workgroup", "fail", f"{name} is disabled", "Enable it, or set aws.workgroup to another.")
        elif not place:
            yield Finding(
                "workgroup",
                "fail",
                f"{name} has no place of its own in S3 for query results",
                "Set aws.athena_results (FINOPS_AWS__ATHENA_RESULTS) to s3://<bucket>/<prefix>/, or give the workgroup "
                "an output location.",
            )
        else:
            limit = configuration.get("BytesScannedCutoffPerQuery")
            engine = configuration.get("EngineVersion", {}).get("EffectiveEngineVersion", "engine not told")
            yield Finding(
                "workgroup",
                "ok",
                f"{name}: enabled, {engine}, results {place}, "
                + (f"stops a query at {limit / GIGABYTE:,.1f} GB" if limit else "no limit of what a query scans"),
            )

    def _query(self, *, writes: bool) -> Iterator[Finding]:
        self._athena.rows("SELECT 1", "doctor: whether a query runs")
        yield Finding("query", "ok", "SELECT 1 ran, and its result was read")
        if not writes:
            return
        with TemporaryDirectory() as folder:
            self._staging.fetch("SELECT 1 AS one", "", "doctor: whether an UNLOAD is written", Path(folder))
        yield Finding("query", "ok", f"UNLOAD wrote below s3://{self._settings.bucket}/{PREFIX}, and was removed again")

    def _contract(self) -> Iterator[Finding]:
        existing = self._tables.own_tables()
        if existing is None:
            yield Finding("tables", "ok", f"the database {DATABASE} is not there yet: the first run makes it")
            return
        for name, wanted in table_inputs(self._settings.bucket).items():
            if name in existing:
                yield from findings_of("tables", self._agreed(existing[name], wanted))
            else:
                yield Finding("tables", "ok", f"{DATABASE}.{name} is not there yet: the first run makes it")

    def _agreed(self, existing: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[Finding]:
        hold_to_contract(existing, wanted)
        yield Finding("tables", "ok", f"{wanted['Name']} is as agreed")

    def _partitions(self) -> Iterator[Finding]:
        doubles, registered = self._catalog.doubles(), self._catalog.registered()
        if not registered and not doubles:
            yield Finding("partitions", "ok", "no day is registered yet")
            return
        good = True
        if doubles:
            good = False
            days = sorted({date(*map(int, partition.values)) for partition in doubles})
            yield Finding(
                "partitions",
                "fail",
                f"{in_words(days)} registered a second time ({'/'.join(doubles[0].values)} at {doubles[0].location}), "
                "which counts the cost twice",
                f"`finops run --date {days[0]}` removes it from every day. Stop the crawler or MSCK that makes it.",
            )
        place = f"s3://{self._settings.bucket}/"
        astray = [day for day, at in registered.items() if f"{at.rstrip('/')}/" != place + day_location(day)]
        if astray:
            good = False
            yield Finding(
                "partitions",
                "fail",
                f"{in_words(astray)} registered elsewhere, first at {registered[astray[0]]}",
                f"{_run(astray[0], astray[-1])} registers it at {place}{day_location(astray[0])}.",
            )
        gaps = missing_days((), registered, min(registered), max(registered))
        if gaps:
            yield Finding("partitions", "warn", f"{in_words(gaps)} missing between others", _run(gaps[0], gaps[-1]))
        if good:
            yield Finding(
                "partitions",
                "ok",
                f"{len(registered)} day(s) from {min(registered)} to {max(registered)}, each once, at its place",
            )


def _run(first: date, last: date) -> str:
    return f"`finops run --date {first}`" if first == last else f"`finops backfill {first} {last}`"
