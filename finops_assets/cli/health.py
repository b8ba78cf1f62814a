"""`finops doctor`: everything that the settings use, then one day from the bill to the inbox; or repair."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import date
from typing import TYPE_CHECKING

import click

from finops_assets.cli import common
from finops_assets.cli.errors import FAILED
from finops_assets.cli.running import execute
from finops_assets.cli.terminal import print_json, print_table, say
from finops_assets.core.findings import findings_of

if TYPE_CHECKING:
    from finops_assets.core.findings import Finding
    from finops_assets.core.operations.repair import Step
    from finops_assets.platform import Platform


@click.command()
@click.option(
    "--date", "day", type=common.DAY, help="The day that is walked through; the newest archived one by default."
)
@click.option("--repair", is_flag=True, help="Compare every day instead, and say what would mend it.")
@click.option("--yes", is_flag=True, help="With --repair: do it.")
@click.option("--mail", is_flag=True, help="With --repair --yes: send the digests that nobody has, too.")
@common.as_json
def doctor(day: date | None, repair: bool, yes: bool, mail: bool, as_json: bool) -> None:
    """Look at everything that the settings use, then at one day from the bill to the inbox; mend nothing."""
    from finops_assets.core.archive.bill_comparison import last_comparison
    from finops_assets.core.findings import as_line, as_record, verdict
    from finops_assets.core.operations.bill_findings import bill_findings
    from finops_assets.core.operations.dimension_findings import dimension_findings
    from finops_assets.core.operations.doctor import covered, how_old, walk
    from finops_assets.core.operations.unassigned_findings import without_ou

    settings = common.load()
    platform = common.platform_of(settings)
    if (yes or mail) and not repair:
        raise click.UsageError("--yes and --mail belong to --repair")
    if repair:
        _repair(platform, yes, mail, as_json)
        return
    findings = []

    def show(checked: Iterable[Finding]) -> None:
        for finding in checked:
            findings.append(finding)
            if not as_json:
                common.say_block(as_line(finding))

    show(platform.preflight.check())
    if settings.platform == "aws":
        from finops_assets.defs.instance import look_at_database

        show(findings_of("dagster", look_at_database(settings.dagster_home)))
    show(findings_of("rates", platform.display.check(common.now().date())))
    show(platform.scoring.check())
    if not any(finding.name == "bucket" and finding.state == "fail" for finding in findings):
        show(findings_of("age", how_old(platform.age(common.now()))))
        day = day or max(platform.archive.days(), default=None)
    if not day:
        show(_of_the_bill(platform, findings))
    if day:
        now = common.now()
        inspection = platform.inspector.thorough(now, [day])
        if not inspection.facts.unreadable:
            if not as_json:
                say("", "What the bill is like:")
            known = last_comparison(platform.archive)
            show(findings_of("bill", bill_findings(platform.warehouse, known.totals if known else None, day)))
            archived = {other: of for other, (_, of) in known.archived.items()} if known else {}
            keys, bill = settings.dimensions.keys, platform.warehouse.describe()
            show(findings_of("dimension", dimension_findings(keys, bill, platform.shown_archive, day, archived)))
        if not as_json:
            say("", f"{day}, from the bill to the inbox:")
        outbox = platform.outbox
        settled = platform.journal.settled()
        show(walk(day, inspection, outbox=outbox, recipients=outbox.recipients.addresses, settled=settled))
        limit = settings.accounts.unassigned_limit_percent
        show(findings_of("unassigned", without_ou(platform.shown_archive, day, limit)))
    show(covered(platform.inspector.cheap(common.now())))
    if as_json:
        print_json([as_record(finding) for finding in findings])
    else:
        say("", verdict(findings))
    if any(finding.state == "fail" for finding in findings):
        sys.exit(FAILED)


def _of_the_bill(platform: Platform, findings: Sequence[Finding]) -> Iterable[Finding]:
    """What the bill is like where nothing is archived; on AWS that costs money, and waits for a day to look at."""
    from finops_assets.core.operations.bill_findings import findings_before_the_first_day

    if platform.settings.platform == "aws" or any(of.name.startswith("bill") and of.state == "fail" for of in findings):
        return ()
    return findings_of("bill", findings_before_the_first_day(platform.shown_bill, common.yesterday()))


def _repair(platform: Platform, yes: bool, mail: bool, as_json: bool) -> None:
    """Say what differs and what would mend it, or mend it; exits with 1 where something is left to do."""
    from finops_assets.core.operations.repair import ASSETS, MAIL, plan

    inspection = platform.inspector.thorough(common.now())
    steps = plan(inspection)
    done: list[str] = []
    for step in steps:
        doable = step.work and (step.work != MAIL or mail)
        if not yes or not doable:
            done.append("" if not yes else "left" if step.work else "cannot be done by itself")
        else:
            done.append("done" if execute(platform, step.first, step.last, ASSETS[step.work]) else "FAILED")
    if as_json:
        print_json([{**vars(step), "done": how} for step, how in zip(steps, done, strict=True)])
    elif steps:
        rows = [(_span(step), step.work or "-", step.why, how) for step, how in zip(steps, done, strict=True)]
        print_table(("days", "work", "why", ""), rows)
        if not yes:
            say("Nothing was changed. `finops doctor --repair --yes` does it; `--mail` sends the digests too.")
    else:
        common.say_age(platform)
        say(inspection.summary)
    if not as_json:
        say(inspection.coverage_words)
    if any(how != "done" for how in done) or inspection.facts.unreadable or inspection.unknown:
        sys.exit(FAILED)


def _span(of: Step) -> str:
    return f"{of.first}" + (f" to {of.last}" if of.last > of.first else "")
