"""The assets: what exists after each morning. Thin: each asks the pipeline to do its step, then reports.

A run covers one day or a contiguous range of days. A day that is not proved to be the bill is never published: its
asset fails, the check names the day and the reason, and what lies downstream does not run.
"""

# Without `from __future__ import annotations`: Dagster reads the assets' annotations as they are.

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import date, datetime, timedelta
from typing import Any

import dagster as dg

from finops_assets.core import calendar, notes, ports
from finops_assets.core.accounts.account_map import counts, to_parquet
from finops_assets.core.analytics.scoring import Scoring
from finops_assets.core.archive import breakdown, finding, publishing, registering
from finops_assets.core.delivery.digest_service import DigestService
from finops_assets.core.delivery.own_cost import note_mails
from finops_assets.core.errors import FinopsError, MissingDaysError
from finops_assets.core.operations import verification
from finops_assets.core.operations.heartbeat import Heartbeat
from finops_assets.core.operations.watch import THE_DASHBOARD, Watch
from finops_assets.core.ports import (
    Accounts,
    Archive,
    Catalog,
    DashboardData,
    Metrics,
    QueryReceipt,
    Warehouse,
)
from finops_assets.core.reports.digest.pictures import month_picture
from finops_assets.core.reports.drawing import Drawing
from finops_assets.core.schemas import ACCOUNT_MAP_PATH, ACCOUNT_OU_MAP, OU_BREAKDOWN, OU_SCORECARD
from finops_assets.core.text import tidy_lines
from finops_assets.defs import metadata as show
from finops_assets.defs.alerts import give_sign_of_life
from finops_assets.defs.requests import days_asked_for, mail_asked_for
from finops_assets.platform import AssetLabel
from finops_assets.settings.model import Settings

PRIORITY_TAG, AFTER_THE_DASHBOARD = "dagster/priority", "-1"
"""Steps of a run that are ready at once start in the order of this tag, the highest first; without one it is 0."""

DATA_VERSION_TAG = "dagster/data_version"
RETRIES = 2
REASON_TAG = "finops/reason"
"""Of a run that a sensor asked for: why."""

NOT_EMPTY = "no_day_empty"
UNASSIGNED = "unassigned_share_under_limit"
READS_BACK = "archive_reads_back"
IS_CURRENT = "dashboard_holds_the_archive"
MAP_IS_CURRENT = "account_map_is_current"
PLAN_IS_USED = "budgets_and_events_are_used"
NOT_DOUBLED = "no_day_twice_as_dear"
WARNINGS = (UNASSIGNED, PLAN_IS_USED, NOT_DOUBLED)
"""Checks that hold nothing up."""

Clock = Callable[[], datetime]
Receipts = Callable[[], list[QueryReceipt]]
Results = Iterator[dg.MaterializeResult | dg.AssetCheckResult]


def _days(context: dg.AssetExecutionContext) -> list[date]:
    return [date.fromisoformat(key) for key in context.partition_keys]


def _runs(context: dg.AssetExecutionContext, asset: str) -> bool:
    """Whether this run makes that asset too."""
    chosen = context.run.asset_selection
    return not chosen or dg.AssetKey(asset) in chosen


def _mail_request(context: dg.AssetExecutionContext) -> dict[str, Any]:
    """What was asked for of the mail, as arguments of `Morning.prepare` and `Morning.send`."""
    return {"asked": days_asked_for(context), "on_request": mail_asked_for(context.run.tags)}


@contextmanager
def _explained(context: dg.AssetExecutionContext, retry_seconds: float) -> Iterator[None]:
    """A failure that people can mend shows its message, and is not tried again; what nobody foresaw is, twice.

    Not by Dagster's RetryPolicy, which also tries again what somebody has terminated.
    """
    try:
        yield
    except FinopsError as error:
        raise _refusal(error) from error
    except (dg.Failure, dg.RetryRequested):
        raise
    except Exception as error:
        if context.retry_number >= RETRIES:
            raise
        wait = retry_seconds * 2**context.retry_number
        raise dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=wait) from error


@contextmanager
def _told(context: dg.AssetExecutionContext) -> Iterator[None]:
    """The alerts' own errors do not fail a morning: the incident says that nobody was told, and is told later."""
    try:
        yield
    except FinopsError as error:
        context.log.warning("incidents were not settled: %s", error)


def _measure(context: dg.AssetExecutionContext, metrics: Metrics, values: Mapping[str, float]) -> None:
    """Record metrics. A morning does not fail for them: the alarms that stand on them say that they are missing."""
    try:
        metrics.emit(values)
    except FinopsError as error:
        context.log.warning("metrics were not recorded: %s", error)


def _run_seconds(context: dg.AssetExecutionContext) -> dict[str, float]:
    """How long the run has taken so far; nothing where Dagster does not know when it began."""
    record = context.instance.get_run_record_by_id(context.run.run_id)
    return {"RunSeconds": time.time() - record.start_time} if record and record.start_time else {}


def _refusal(error: FinopsError) -> dg.Failure:
    facts = {"where": error.where, "what to do": error.fix}
    return dg.Failure(
        description=tidy_lines(str(error)),
        metadata=show.shown({name: text for name, text in facts.items() if text}),
        allow_retries=False,
    )


def _refusal_of(reasons: Mapping[date, str], what: str, *, fix: str) -> dg.Failure:
    """The failure of a range of which these days are not right: it names them, and the first one's reason."""
    days = sorted(reasons)
    return _refusal(FinopsError(f"{calendar.in_words(days)} {what} ({days[0]}: {reasons[days[0]]})", fix=fix))


def build_assets(settings: Settings, labels: Mapping[str, AssetLabel]) -> list[Any]:
    """The asset graph.

    Args:
        settings: the first day of the partitions, the cost basis and the limits.
        labels: what stands behind each asset on this platform; keys and meaning are the same on every one.
    """

    def explained(context: dg.AssetExecutionContext) -> AbstractContextManager[None]:
        return _explained(context, settings.schedule.retry_seconds)

    # The signal in the UI. It looks at the newest write of any day, so a backfill turns it green: `morning`'s checks do
    # not let themselves be fooled.
    fresh = dg.FreshnessPolicy.cron(
        deadline_cron=settings.schedule.checks_cron, lower_bound_delta=timedelta(hours=24), timezone="UTC"
    )
    daily = dg.DailyPartitionsDefinition(start_date=settings.bill.first_day.isoformat(), timezone="UTC")
    basis = settings.bill.cost_basis

    def face(name: str, group: str, text: str) -> dict[str, Any]:
        shown = labels[name]
        return {
            "key": name,
            "group_name": group,
            "description": f"{text}\n\nOn this platform: {shown.stands_for}.",
            "kinds": set(shown.kinds),
            "owners": ["team:finops"],
            "tags": {"domain": "cost"},
        }

    def by_day(name: str, group: str, text: str, checks: Mapping[str, str] | None = None) -> dict[str, Any]:
        return {
            **face(name, group, text),
            "partitions_def": daily,
            "backfill_policy": dg.BackfillPolicy.single_run(),
            "freshness_policy": fresh if group == "published" else None,
            "check_specs": [
                dg.AssetCheckSpec(check, asset=name, blocking=check not in WARNINGS, description=promise)
                for check, promise in (checks or {}).items()
            ],
        }

    billing_export = dg.AssetSpec(
        **face("billing_export", "bill", "The bill as AWS delivers it: CUR 2.0, legacy CUR, FOCUS or a summary table.")
    )

    @dg.asset(
        **face("account_ou_map", "bill", "Which linked account was in which organizational unit, and when."),
        metadata={"dagster/column_schema": show.table_schema(ACCOUNT_OU_MAP)},
        check_specs=[
            dg.AssetCheckSpec(
                MAP_IS_CURRENT,
                asset="account_ou_map",
                description="The map is today's, and not an older one kept because the organization could not be read.",
            )
        ],
    )
    def account_ou_map(
        context: dg.AssetExecutionContext, accounts: dg.ResourceParam[Accounts], archive: dg.ResourceParam[Archive]
    ) -> dg.MaterializeResult:
        with explained(context):
            loaded = accounts.load()
            table = loaded.table
            data = to_parquet(table)
            notes.put_if_other(archive, ACCOUNT_MAP_PATH, data)
        per_ou = counts(table)
        if loaded.outdated:
            context.log.warning(loaded.outdated)
        return dg.MaterializeResult(
            check_results=[show.current_map(MAP_IS_CURRENT, loaded.outdated)],
            metadata={
                "dagster/row_count": table.num_rows,
                "accounts": sum(per_ou.values()),
                "moves between OUs": table.num_rows - sum(per_ou.values()),
                "path": ACCOUNT_MAP_PATH,
                **show.shown(loaded.facts),
                "accounts by OU": show.markdown_table(("OU", "accounts"), per_ou.items()),
            },
        )

    @dg.asset(
        **by_day(
            "finops_daily_summary",
            "bill",
            "The bill seen through the account-to-OU map: BillingDate, OU, Service, LinkedAccount, Cost.",
            {NOT_EMPTY: "The bill has every day of the run, whole."},
        ),
        deps=["billing_export", "account_ou_map"],
    )
    def finops_daily_summary(
        context: dg.AssetExecutionContext,
        warehouse: dg.ResourceParam[Warehouse],
        receipts: dg.ResourceParam[Receipts],
        metrics: dg.ResourceParam[Metrics],
        clock: dg.ResourceParam[Clock],
    ) -> Results:
        days = _days(context)
        with explained(context):
            try:
                found = finding.find_days(warehouse, days, clock(), settings.bill.complete_after_hours)
            except MissingDaysError as error:
                yield show.failed(NOT_EMPTY, dict.fromkeys(error.days, error.what))
                raise
            place = warehouse.provide_summary()
        bill = warehouse.describe()
        if bill.updated:
            age = (clock() - bill.updated).total_seconds() / 3600
            _measure(context, metrics, {"SourceAgeHours": max(age, 0.0)})
        context.log_event(
            dg.AssetObservation(billing_export.key, metadata=show.bill(bill), tags={DATA_VERSION_TAG: bill.snapshot})
        )
        for day, source in found.source.items():
            context.add_asset_metadata(show.source_day(source, basis), partition_key=str(day))
        for day, why in found.left_out.items():
            context.add_asset_metadata(show.shown({"left out": why}), partition_key=str(day))
        # The days that the bill has go on; ou_breakdown_parquet fails in the end for those that it has not.
        whole = (
            show.failed(NOT_EMPTY, found.left_out, dg.AssetCheckSeverity.WARN)
            if found.left_out
            else show.passed(NOT_EMPTY, days)
        )
        yield dg.MaterializeResult(metadata={"queryable as": place, **show.queries(receipts())}, check_results=[whole])

    @dg.asset(
        **by_day(
            "ou_breakdown_parquet",
            "archive",
            "The day's OU x Service x LinkedAccount cost, one Snappy Parquet object a day: the source of truth.",
            {
                breakdown.TOTALS: "The rows of each day sum to the bill's own total, exactly.",
                breakdown.SCHEMA: "Columns and types are those of the contract, and no value is null.",
                breakdown.KEYS: "No OU, service and account stands twice in a day.",
                UNASSIGNED: "Accounts without an OU stay under accounts.unassigned_limit_percent of the day's cost.",
            },
        ),
        deps=["finops_daily_summary", "account_ou_map"],
        metadata={"dagster/column_schema": show.table_schema(OU_BREAKDOWN)},
    )
    def ou_breakdown_parquet(
        context: dg.AssetExecutionContext,
        warehouse: dg.ResourceParam[Warehouse],
        archive: dg.ResourceParam[Archive],
        receipts: dg.ResourceParam[Receipts],
        clock: dg.ResourceParam[Clock],
        progress: dg.ResourceParam[ports.Progress],
        morning: dg.ResourceParam[DigestService],
        watch: dg.ResourceParam[Watch],
    ) -> Results:
        days, now = _days(context), clock()
        with explained(context):
            done = publishing.archive_days(
                warehouse,
                archive,
                days,
                cost_basis=basis,
                run_id=context.run.run_id,
                now=now,
                stable_after=settings.bill.stable_after,
                complete_after=settings.bill.complete_after_hours,
                progress=progress,
            )
        try:
            watch.inspector.bill.published(now, done.snapshot, done.published)
        except FinopsError as error:
            context.log.warning("it is not known whether every line of the bill is in a day: %s", error)
        if done.refused or done.left_out:
            for day in done.published:
                context.log_event(
                    dg.AssetMaterialization(
                        context.asset_key, metadata=show.archived_day(done, day), partition=str(day)
                    )
                )
        if done.refused:
            for promise, reasons in done.broken.items():
                if reasons:
                    yield show.failed(promise, reasons)
            raise _refusal_of(
                done.refused,
                "not published, as it is not exactly the bill",
                fix="If the bill changed while it was read, run these days again; else look at the account map.",
            )
        if done.left_out:
            with explained(context):
                raise MissingDaysError(
                    f"{calendar.in_words(list(done.published))} archived; the bill does not have "
                    f"{finding.left_out_in_words(done.left_out)}",
                    days=tuple(done.left_out),
                    fix="The sensors register, show and mail what is archived; without them, run those days again. "
                    "The others are run when the bill has them.",
                )
        for day in days:
            context.add_asset_metadata(show.archived_day(done, day), partition_key=str(day))
        with _told(context):
            verification.mended(archive, watch.incidents, days)
            if done.restated:
                watch.restated(morning.calling_for_correction(now), done.published[days[-1]].currency)
            if days[-1] == archive.days()[-1]:
                share = show.unassigned_percent(done.published[days[-1]])
                watch.unassigned(days[-1], share, settings.accounts.unassigned_limit_percent)
        yield dg.MaterializeResult(
            metadata=show.queries(receipts()),
            check_results=[
                *(show.passed(promise, days) for promise in breakdown.PROMISES),
                show.unassigned(UNASSIGNED, done.published, settings.accounts.unassigned_limit_percent),
            ],
        )

    @dg.asset(
        **by_day(
            "athena_partition",
            "archive",
            "The day registered in finops_db.ou_breakdown, and queryable.",
            {READS_BACK: "A query through the catalog gives the archive's rows and, to the cent, its total."},
        ),
        deps=["ou_breakdown_parquet"],
    )
    def athena_partition(
        context: dg.AssetExecutionContext,
        archive: dg.ResourceParam[Archive],
        catalog: dg.ResourceParam[Catalog],
        dashboard: dg.ResourceParam[DashboardData],
        receipts: dg.ResourceParam[Receipts],
    ) -> Results:
        days = _days(context)
        # SPICE takes many seconds: where this run refreshes it, it starts while the days are read back.
        early = (
            {"start": lambda: dashboard.start_refresh(_refresh_id(days))}
            if _runs(context, "quicksight_dataset")
            else {}
        )
        with explained(context):
            done = registering.register_days(archive, catalog, days, **early)
        if done.wrong:
            yield show.failed(READS_BACK, done.wrong)
            raise _refusal_of(done.wrong, "not read back as archived", fix="Run these days again.")
        for day in days:
            context.add_asset_metadata(show.registered_day(done, day), partition_key=str(day))
        yield dg.MaterializeResult(metadata=show.queries(receipts()), check_results=[show.passed(READS_BACK, days)])

    @dg.asset(
        **by_day(
            "ou_scorecard",
            "scores",
            "Each OU's day, month, budget, forecast, light and anomaly, as of the day: finops_db.ou_scorecard.",
            {
                PLAN_IS_USED: "budgets.csv and events.csv can be used, and the bill says why the day moved.",
                NOT_DOUBLED: "No day costs about twice what was expected, all over: a file delivered twice, or real?",
            },
        ),
        deps=["athena_partition"],
        metadata={"dagster/column_schema": show.table_schema(OU_SCORECARD)},
    )
    def ou_scorecard(
        context: dg.AssetExecutionContext,
        scoring: dg.ResourceParam[Scoring],
        receipts: dg.ResourceParam[Receipts],
        clock: dg.ResourceParam[Clock],
        drawing: dg.ResourceParam[Drawing],
        watch: dg.ResourceParam[Watch],
    ) -> dg.MaterializeResult:
        days = _days(context)
        with explained(context):
            done = scoring.score(days, clock())
            if done.reconciled:
                # Remembered only once it was told: what could not be noted is told by the next run.
                with _told(context):
                    watch.anomalies(done.reconciled)
                    watch.doubled(done.questions, done.currency)
                    scoring.remember(done)
            queries, last = show.queries(receipts()), done.cards[days[-1]]
            for day in days:
                context.add_asset_metadata(show.scorecard(done.cards[day]), partition_key=str(day))
            # Of the last day alone: what is in a result stands with each partition, pictures too.
            month = month_picture(done.whole, last.whole, last.day, currency=last.currency, cost_basis=last.cost_basis)
            words = show.scores_in_words(last, drawing.chart(month))
            context.add_asset_metadata(words, partition_key=str(last.day))
        return dg.MaterializeResult(
            metadata=queries,
            check_results=[
                show.warning(PLAN_IS_USED, dict.fromkeys(days[-1:], "; ".join(done.wrong)) if done.wrong else {}, days),
                show.warning(NOT_DOUBLED, {day: why for day, why in done.doubled.items() if day in days}, days),
            ],
        )

    @dg.asset(
        **by_day(
            "executive_snapshot",
            "published",
            "Two pages for executives, as PDF: of a range, those of its last day.",
        ),
        deps=["ou_scorecard"],
    )
    def executive_snapshot(
        context: dg.AssetExecutionContext,
        morning: dg.ResourceParam[DigestService],
        clock: dg.ResourceParam[Clock],
    ) -> dg.MaterializeResult:
        with explained(context):
            made = morning.snapshot(_days(context)[-1], clock())
        context.add_asset_metadata(show.snapshot(made), partition_key=str(made.day))
        return dg.MaterializeResult()

    @dg.asset(
        **by_day(
            "quicksight_dataset",
            "published",
            "The dashboard's data: refreshed once a run, waited for, and compared with the archive.",
            {IS_CURRENT: "The newest day and the total that the dashboard shows are those of the archive."},
        ),
        deps=["athena_partition", "ou_scorecard"],
    )
    def quicksight_dataset(
        context: dg.AssetExecutionContext,
        archive: dg.ResourceParam[Archive],
        dashboard: dg.ResourceParam[DashboardData],
        morning: dg.ResourceParam[DigestService],
        clock: dg.ResourceParam[Clock],
        watch: dg.ResourceParam[Watch],
    ) -> Results:
        days = _days(context)
        with explained(context):
            if _runs(context, "digest_email"):
                morning.prepare(days, clock(), **_mail_request(context))
            done = dashboard.refresh(_refresh_id(days))
            fault = registering.dashboard_fault(done, archive, settings.dashboard.days)
        if fault:
            yield show.failed(IS_CURRENT, {days[-1]: fault})
            raise _refusal(FinopsError(f"the dashboard is not the archive: {fault}", fix="Materialize it again."))
        with _told(context):
            watch.incidents.heal("dashboard_failed", [THE_DASHBOARD])
        yield dg.MaterializeResult(
            metadata=show.refresh(done) | show.age(morning.age(clock())), check_results=[show.passed(IS_CURRENT, days)]
        )

    @dg.asset(
        **by_day(
            "digest_email",
            "published",
            "The morning's mail: the day's cost by OU, with the CSV of all OUs. A range or a backfill sends one mail, "
            "for its newest day, that covers the others; a day that is covered gets its own only on request (the tag "
            "finops/mail with the value yes, or the job resend_digest). It is not held up by a dashboard that cannot "
            "be refreshed: it says so.",
        ),
        deps=["athena_partition", "ou_scorecard", "executive_snapshot"],
        # Not a dependency, but in this order within a run: the mail says whether the dashboard is current.
        op_tags={PRIORITY_TAG: AFTER_THE_DASHBOARD},
    )
    def digest_email(
        context: dg.AssetExecutionContext,
        morning: dg.ResourceParam[DigestService],
        archive: dg.ResourceParam[Archive],
        metrics: dg.ResourceParam[Metrics],
        clock: dg.ResourceParam[Clock],
        watch: dg.ResourceParam[Watch],
        heartbeat: dg.ResourceParam[Heartbeat],
    ) -> dg.MaterializeResult:
        days, now = _days(context), clock()
        with explained(context):
            done = morning.send(days, now, **_mail_request(context))
            age = morning.age(now)
            note_mails(archive, done.deliveries, now.date())
            notes = morning.notes(now)
        context.log.info("digest: %s", done)
        numbers = ({"DaysMissing": len(age.missing)} if age else {}) | (
            {"DayCost": float(done.stored.total)} if done.stored else {}
        )
        numbers |= {"DigestSent": 1} if done.deliveries else {}
        _measure(context, metrics, numbers | _run_seconds(context))
        with _told(context):
            if _runs(context, "ou_breakdown_parquet"):  # else this run has not held the days against the bill
                watch.done(days, now, shown=not notes.dashboard)
            watch.tell_restated(now)
            watch.tell_damaged_notes()
        with explained(context):
            pictures = morning.pictures(done.stored) if done.stored else {}
        shown: dict[str, Any] = {name: show.image(png) for name, png in pictures.items()}
        shown |= {"days": notes.days, "every line of the bill": notes.coverage, **show.age(age)}
        if notes.dashboard:
            shown["dashboard"] = notes.dashboard
        context.add_asset_metadata(show.shown(shown), partition_key=str(days[-1]))
        give_sign_of_life(heartbeat, now, context.log.warning)
        return dg.MaterializeResult(metadata=show.sent(done))

    return [
        billing_export,
        account_ou_map,
        finops_daily_summary,
        ou_breakdown_parquet,
        athena_partition,
        ou_scorecard,
        executive_snapshot,
        quicksight_dataset,
        digest_email,
    ]


def _refresh_id(days: list[date]) -> str:
    """`daily-20250910` or `backfill-20250901-20250910`: the same for the same work."""
    if len(days) == 1:
        return f"daily-{days[0]:%Y%m%d}"
    return f"backfill-{days[0]:%Y%m%d}-{days[-1]:%Y%m%d}"
