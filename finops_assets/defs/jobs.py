"""The jobs: a day of the bill, the checks of the morning, the check-up, the nightly proof, a digest again."""

# Without `from __future__ import annotations`: Dagster reads the ops' annotations as they are.

from datetime import date

import dagster as dg
from pydantic import Field

from finops_assets.core.analytics.scoring import Scoring
from finops_assets.core.archive.display import Display
from finops_assets.core.delivery.digest_service import DigestService
from finops_assets.core.errors import FinopsError
from finops_assets.core.findings import as_line, findings_of, verdict
from finops_assets.core.operations import verification
from finops_assets.core.operations.doctor import Preflight
from finops_assets.core.operations.incident_records import Problem
from finops_assets.core.operations.watch import Watch
from finops_assets.core.ports import Archive
from finops_assets.core.text import tidy_lines
from finops_assets.defs import keys
from finops_assets.defs.alerts import NOTIFIED, tell_of_failure
from finops_assets.defs.morning import checks_of_the_morning
from finops_assets.defs.steps import Clock

_MORNING = dg.AssetSelection.checks(checks_of_the_morning)

daily_bill = dg.define_asset_job(
    keys.DAILY_JOB,
    # Without the checks of the morning, which are about the day that is due: each backfill would evaluate them.
    selection=dg.AssetSelection.assets(keys.MAP, *keys.DAILY) - _MORNING,
    hooks={tell_of_failure},
    description="Runs a day of the bill, or a range: archive, dashboard, digest.",
)
morning_checks = dg.define_asset_job(
    keys.CHECKS_JOB,
    selection=_MORNING,
    description="Fails where yesterday is not published, shown and mailed.",
)


@dg.op(description="Everything that the settings use, each tried; what fails is told once, and once when it is mended.")
def look_at_everything(
    context: dg.OpExecutionContext,
    preflight: dg.ResourceParam[Preflight],
    scoring: dg.ResourceParam[Scoring],
    watch: dg.ResourceParam[Watch],
    display: dg.ResourceParam[Display],
    clock: dg.ResourceParam[Clock],
) -> None:
    """`finops doctor` as a run."""
    rates = findings_of("rates", display.check(clock().date()))
    findings = [*preflight.check(), *rates, *scoring.check()]
    failed = [finding for finding in findings if finding.state == "fail"]
    watch.alerting.report_damaged_notes()
    watch.incidents.update(
        "doctor", {f.name: Problem(f.detail, "nothing is mended by itself here", f.fix) for f in failed}
    )
    watch.incidents.close("job_failed", [keys.DOCTOR_JOB])  # it has looked: that it failed before is over
    context.log.info("\n".join(map(as_line, findings)))
    context.add_output_metadata({"verdict": verdict(findings), "failed": ", ".join(f.name for f in failed) or "none"})
    if failed:
        raise dg.Failure("\n".join(map(as_line, failed)), metadata={NOTIFIED: "doctor"}, allow_retries=False)


@dg.job(name=keys.DOCTOR_JOB, description="Tries everything that the settings use (`finops doctor`).")
def check_up() -> None:
    look_at_everything()


NEWEST = "newest"


class Resend(dg.Config):
    """Which digest, to whom, and whether it is made anew."""

    day: str = Field(NEWEST, description="A day as 2025-09-10, or `newest`: that of the newest archived day.")
    to: list[str] = Field(default_factory=list, description="Addresses; those of the first mail by default.")
    refresh: bool = Field(False, description="Make the digest anew, as another revision, for all recipients.")


@dg.op(
    description="The stored digest again, the same bytes, or made now where the day has none of its own; with "
    "`refresh` a new revision to all recipients. `to` takes addresses of the settings, and those of mail.resend_to."
)
def send_again(
    context: dg.OpExecutionContext,
    config: Resend,
    digests: dg.ResourceParam[DigestService],
    clock: dg.ResourceParam[Clock],
) -> None:
    """`finops resend` as a run."""
    try:
        sent = digests.resend(_day_of(config, digests), clock(), to=config.to, refresh=config.refresh)
    except (FinopsError, ValueError) as error:
        raise dg.Failure(tidy_lines(str(error)), allow_retries=False) from error
    context.add_output_metadata({"messages": "\n".join(f"{d.recipient}: {d.location}" for d in sent)})


def _day_of(config: Resend, digests: DigestService) -> date:
    """The day that the config names.

    Raises:
        FinopsError: it names the newest one, and none is archived.
        ValueError: it names none.
    """
    if config.day.strip().lower() != NEWEST:
        return date.fromisoformat(config.day)
    newest = digests.newest_day()
    if newest is None:
        raise FinopsError("no day is archived yet", where="the archive", fix="Run one: `finops run`, or daily_bill.")
    return newest


@dg.job(name=keys.RESEND_JOB, description="Sends a stored digest again (`finops resend`).")
def resend_digest() -> None:
    send_again()


@dg.op(description="Each day's object read once, and its rows held against what was written (`finops verify`).")
def verify_every_day(
    context: dg.OpExecutionContext, archive: dg.ResourceParam[Archive], watch: dg.ResourceParam[Watch]
) -> None:
    """`finops verify` as a run: damaged days are told once each, and once when they prove again."""
    verdicts = list(verification.verify(archive, archive.days()))
    summary = verification.summary(verdicts)
    verification.report(watch.incidents, verdicts)
    context.log.info(str(summary))
    context.add_output_metadata(
        {
            "verdict": str(summary),
            "days": summary.days,
            "damaged": ", ".join(str(verdict.day) for verdict in summary.damaged) or "none",
            "rows": summary.rows,
            "size (bytes)": summary.size_bytes,
            "without content hash": summary.without_content_hash,
        }
    )
    if summary.damaged:
        lines = [
            f"{verdict.path} {verdict.fault}. Run `finops run --date {verdict.day}`." for verdict in summary.damaged
        ]
        raise dg.Failure("\n".join(lines), metadata={NOTIFIED: verification.KIND}, allow_retries=False)


@dg.job(name=keys.VERIFICATION_JOB, description="Proves every archived day by its content (`finops verify`).")
def nightly_verification() -> None:
    verify_every_day()
