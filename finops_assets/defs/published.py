"""The assets that people see: the executives' two pages, the dashboard's data, the digest."""

# Without `from __future__ import annotations`: Dagster reads the assets' annotations as they are.

from typing import Any

import dagster as dg

from finops_assets.core.archive.age import Age
from finops_assets.core.archive.registering import dashboard_fault
from finops_assets.core.delivery.digest_service import DigestService
from finops_assets.core.delivery.own_cost import note_mails
from finops_assets.core.delivery.sent import Sent
from finops_assets.core.errors import FinopsError
from finops_assets.core.operations.alerting import THE_DASHBOARD
from finops_assets.core.operations.heartbeat import Heartbeat
from finops_assets.core.operations.watch import Watch
from finops_assets.core.ports import Archive, DashboardData, Metrics
from finops_assets.core.reports.digest.notes import StateNotes
from finops_assets.defs import keys, metadata
from finops_assets.defs.alerts import give_sign_of_life
from finops_assets.defs.archive import refresh_id
from finops_assets.defs.forms import AssetForms
from finops_assets.defs.steps import (
    Clock,
    Results,
    add_metadata,
    alerts_may_fail,
    days_of_run,
    explained,
    mail_request,
    makes,
    measure,
    refusal,
    run_seconds,
)

PRIORITY_TAG, AFTER_THE_DASHBOARD = "dagster/priority", "-1"
"""Steps of a run that are ready at once start in the order of this tag, the highest first; without one it is 0."""


def build_published_assets(forms: AssetForms) -> list[Any]:
    """The pages, the dashboard and the mail."""
    retry = forms.settings.schedule.retry_seconds

    @dg.asset(
        **forms.daily(
            keys.SNAPSHOT,
            keys.PUBLISHED_GROUP,
            "Two pages for executives, as PDF.",
            more="A range of days has those of its last day.",
        ),
        deps=[keys.SCORED],
    )
    def executive_snapshot(
        context: dg.AssetExecutionContext,
        digests: dg.ResourceParam[DigestService],
        clock: dg.ResourceParam[Clock],
    ) -> dg.MaterializeResult:
        day = days_of_run(context)[-1]
        with explained(context, retry):
            snapshot = digests.maker.snapshot(day, clock())
        add_metadata(context, {day: metadata.snapshot(snapshot)})
        return dg.MaterializeResult()

    @dg.asset(
        **forms.daily(
            keys.SHOWN,
            keys.PUBLISHED_GROUP,
            "The dashboard's data, equal to the archive.",
            {keys.IS_CURRENT: "The newest day and the total that the dashboard shows are those of the archive."},
        ),
        deps=[keys.REGISTERED, keys.SCORED],
    )
    def quicksight_dataset(
        context: dg.AssetExecutionContext,
        shown_archive: dg.ResourceParam[Archive],
        dashboard: dg.ResourceParam[DashboardData],
        digests: dg.ResourceParam[DigestService],
        clock: dg.ResourceParam[Clock],
        watch: dg.ResourceParam[Watch],
    ) -> Results:
        days = days_of_run(context)
        with explained(context, retry):
            if makes(context, keys.MAILED):
                digests.prepare(days, clock(), **mail_request(context))
            refresh = dashboard.refresh(refresh_id(days))
            fault = dashboard_fault(refresh, shown_archive, forms.settings.dashboard.days)
        if fault:
            yield metadata.failed(keys.IS_CURRENT, {days[-1]: fault})
            raise refusal(FinopsError(f"the dashboard is not the archive: {fault}", fix="Materialize it again."))
        with alerts_may_fail(context):
            watch.incidents.close("dashboard_failed", [THE_DASHBOARD])
        facts = metadata.refresh(refresh) | metadata.age(digests.age(clock()))
        yield dg.MaterializeResult(metadata=facts, check_results=[metadata.passed(keys.IS_CURRENT, days)])

    @dg.asset(
        **forms.daily(
            keys.MAILED,
            keys.PUBLISHED_GROUP,
            "The morning's mail: the day's cost by OU.",
            more="A range or a backfill sends one mail, for its newest day, that covers the others; a day that is "
            "covered gets its own only on request (the tag finops/mail with the value yes, or the job resend_digest). "
            "It is not held up by a dashboard that cannot be refreshed: it says so.",
        ),
        deps=[keys.REGISTERED, keys.SCORED, keys.SNAPSHOT],
        # Not a dependency, but in this order within a run: the mail says whether the dashboard is current.
        op_tags={PRIORITY_TAG: AFTER_THE_DASHBOARD},
    )
    def digest_email(
        context: dg.AssetExecutionContext,
        digests: dg.ResourceParam[DigestService],
        archive: dg.ResourceParam[Archive],
        metrics: dg.ResourceParam[Metrics],
        clock: dg.ResourceParam[Clock],
        watch: dg.ResourceParam[Watch],
        heartbeat: dg.ResourceParam[Heartbeat],
    ) -> dg.MaterializeResult:
        days, now = days_of_run(context), clock()
        with explained(context, retry):
            sent = digests.send(days, now, **mail_request(context))
            note_mails(archive, sent.deliveries, now.date())
            notes, age = digests.maker.notes(now), digests.age(now)
        context.log.info("digest: %s", sent)
        measure(context, metrics, _numbers(sent, age) | run_seconds(context))
        with alerts_may_fail(context):
            if makes(context, keys.ARCHIVED):  # else this run has not held the days against the bill
                watch.alerting.days_done(days, now, shown=not notes.dashboard)
            watch.alerting.close_restated(now)
            watch.alerting.report_damaged_notes()
        with explained(context, retry):
            add_metadata(context, {days[-1]: _shown(sent, digests, notes, age)})
        give_sign_of_life(heartbeat, now, context.log.warning)
        return dg.MaterializeResult(metadata=metadata.sent(sent))

    return [executive_snapshot, quicksight_dataset, digest_email]


def _numbers(sent: Sent, age: Age | None) -> dict[str, float]:
    """The metrics of a mail."""
    numbers: dict[str, float] = {"DaysMissing": len(age.missing)} if age else {}
    numbers |= {"DayCost": float(sent.stored.total)} if sent.stored else {}
    return numbers | ({"DigestSent": 1} if sent.deliveries else {})


def _shown(sent: Sent, digests: DigestService, notes: StateNotes, age: Age | None) -> dict[str, Any]:
    """What the UI shows of the run's last day: the pictures of its digest, and the platform's state."""
    pictures = digests.pictures(sent.stored) if sent.stored else {}
    facts: dict[str, Any] = {name: metadata.image(png) for name, png in pictures.items()}
    facts |= {"days": notes.days, "every line of the bill": notes.coverage, **metadata.age(age)}
    return metadata.shown(facts | ({"dashboard": notes.dashboard} if notes.dashboard else {}))
