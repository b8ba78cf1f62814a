"""`finops`: the platform from a shell. The same Dagster runs, instance and code as the UI's.

Exit codes: 0 done, 1 a run failed or something was found wrong, 2 wrong usage or settings; cli/errors.py has the
others.
Nothing heavy is imported before a command needs it, so that `finops --help` answers at once.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from finops_assets import __version__
from finops_assets.cli.errors import FAILED, CommandGroup
from finops_assets.cli.from_terraform import from_terraform
from finops_assets.cli.quicksight import quicksight
from finops_assets.cli.terminal import (
    complain,
    print_json,
    print_json_rows,
    print_rows,
    print_table,
    say,
    tell,
)
from finops_assets.cli.verify import build as build_verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from finops_assets.core.findings import Finding
    from finops_assets.core.operations.evidence import Evidence
    from finops_assets.core.operations.incidents import Incident
    from finops_assets.core.operations.inspection import Inspection
    from finops_assets.core.operations.repair import Step
    from finops_assets.core.ports import CatalogDay, DayVersion, Delivery
    from finops_assets.defs.run import Outcome
    from finops_assets.platform import Platform
    from finops_assets.settings.model import Settings


class Day(click.ParamType):
    """A calendar day, YYYY-MM-DD."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        if isinstance(value, date):
            return value
        try:
            return date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a day: write it as YYYY-MM-DD", param, ctx)


class Month(click.ParamType):
    """A calendar month, YYYY-MM."""

    name = "month"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return f"{date.fromisoformat(f'{value}-01'):%Y-%m}"
        except ValueError:
            self.fail(f"{value!r} is not a month: write it as YYYY-MM", param, ctx)


DAY, MONTH = Day(), Month()
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="finops")
def main() -> None:
    """Yesterday's AWS bill by organizational unit: archived, queryable, on the dashboard and in the inbox.

    Settings come from finops.toml and FINOPS_<SECTION>__<KEY>; see docs/configuration.md.
    """


@main.command()
@click.option("--days", type=click.IntRange(1, 400), default=90, show_default=True, help="Days of the sample bill.")
@click.option("--scenario", metavar="NAME", help="Play a story instead; `--scenario list` names them.")
def demo(days: int, scenario: str | None) -> None:
    """Make the sample bill and run the whole platform on it, or play a story of what goes wrong in a morning."""
    from finops_assets.platform import require_home
    from finops_assets.stories.demo import prepare_demo

    if scenario:
        _play(scenario)
        return
    started = _now()
    settings = _settings()
    require_home(settings)
    settings, sample, fresh = prepare_demo(settings, _yesterday(), days)
    if fresh:
        tell(f"Sample bill: {sample.first_day} to {sample.last_day} in {settings.sample_folder}")
    result = _execute(_platform(settings), sample.first_day, sample.last_day)
    if not result:
        sys.exit(FAILED)
    platform = _platform(settings)
    rows = _status_rows(platform)
    took = (_now() - started).total_seconds()
    total = sum((row["total"] for row in rows if row["archived"]), Decimal())
    finops = "finops" if shutil.which("finops") else os.path.relpath(sys.argv[0])
    _say_block(
        f"""
{len(rows)} days archived in {took:.0f} s, {_money(total)} {rows[-1]["currency"]} ({rows[-1]["cost_basis"]}).

  archive    {settings.archive_folder / "ou-breakdowns"}
  dashboard  {settings.dashboard_file}
  digest     {settings.outbox_folder / f"{sample.last_day}-*.eml"}
  query      {finops} query "SELECT ou, ROUND(SUM(dailycost), 2) AS cost FROM ou_breakdown GROUP BY ou ORDER BY 2 DESC"

Next:
  {finops} dev     open the Dagster UI on http://127.0.0.1:3000
  {finops} status  what is there, day by day
  your own bill: FINOPS_HOME=.finops-mine FINOPS_BILL__PATH=<file or folder> {finops} backfill
"""
    )


def _play(scenario: str) -> None:
    from finops_assets.core.home import make_home
    from finops_assets.platform import require_home
    from finops_assets.stories.scenarios import SCENARIOS, play

    stories = "\n".join(f"  {name:<14}  {story.__doc__}" for name, story in SCENARIOS.items())
    if scenario not in SCENARIOS:
        if scenario != "list":
            raise click.UsageError(f"there is no story {scenario!r}; these are:\n{stories}")
        _say_block(stories)
        return
    settings = _settings()
    require_home(settings)
    make_home(settings.home)
    home = settings.home / "scenarios" / scenario
    say(SCENARIOS[scenario].__doc__ or "", "")
    play(scenario, home, _yesterday(), _say_block)
    _say_block(
        f"""
Look at it:
  FINOPS_HOME={home} finops status
  mails      {home / "outbox"}
  alerts     {home / "alerts"}
  dashboard  {home / "dashboard.html"}
"""
    )


@main.command()
@click.option("--date", "day", type=DAY, help="The day; yesterday (UTC) by default.")
@click.option("--mail", is_flag=True, help="Send its digest although another day's mail has spoken for it.")
@as_json
def run(day: date | None, mail: bool, as_json: bool) -> None:
    """Run one day: archive it, register it, refresh the dashboard, send the digest.

    Without --date, the days that the bill has changed since, or that are missing, are run with it, as the sensors do.
    A day that another day's mail has spoken for, as after a backfill, is mailed with --mail only.
    """
    by_name = day is not None
    day = day or _yesterday()
    platform = _platform_to_run([day])
    others = _other_days(platform, day)
    if by_name:
        _finish(platform, [(day, day)], as_json, mail=mail, before_the_end=lambda: _tell_of_others(others))
    else:
        from finops_assets.core.calendar import stretches

        _finish(platform, stretches({*others, day}), as_json, mail=mail)


@main.command()
@click.argument("first", metavar="FROM", type=DAY, required=False)
@click.argument("last", metavar="TO", type=DAY, required=False)
@click.option("--resume", is_flag=True, help="Only the days that are not whole: what a killed backfill has left.")
@click.option("--mail", is_flag=True, help="Send the newest day's digest although another mail has spoken for it.")
@as_json
def backfill(first: date | None, last: date | None, resume: bool, mail: bool, as_json: bool) -> None:
    """Run every day from FROM to TO in one run; without them, every day that the bill has.

    Days that the bill does not have, or not whole, are left out and named; with FROM and TO it then exits with 1.

    One mail is sent, the newest day's, which speaks for the others.
    """
    from finops_assets.core.archive.finding import days_to_archive, left_out_in_words
    from finops_assets.core.bill.totals import bill_totals
    from finops_assets.core.calendar import days_between, in_words
    from finops_assets.core.calendar import stretches as in_stretches

    if (first is None) != (last is None):
        raise click.UsageError("give both FROM and TO, or neither")
    platform = _platform_to_run([first, last] if first and last else [])
    bill, newest = platform.settings.bill, _yesterday()
    if first and last:
        if first > last:
            raise click.UsageError(f"FROM {first} is after TO {last}")
        _check_days(platform.settings, first, last)
    updated, totals = platform.warehouse.export_version().updated, bill_totals(platform.warehouse.control_totals())
    known = [day for day in totals.days if bill.first_day <= day <= newest]
    if not known and not first:
        complain(f"the bill has no day from bill.first_day ({bill.first_day}) to yesterday ({newest})")
        sys.exit(FAILED)
    wanted = days_between(first, last) if first and last else days_between(known[0], known[-1])
    days, left_out = days_to_archive(totals, wanted, updated, _now(), bill.complete_after_hours)
    if left_out:
        tell(f"left out: {left_out_in_words(left_out)}")
    if not days:
        complain(f"the bill has none of these days whole: {in_words(wanted)}")
        sys.exit(FAILED)
    stretches = in_stretches(days)
    if resume and mail:
        raise click.UsageError("--resume finishes what was begun: leave out --mail")
    if resume:
        _resume(platform, stretches, as_json)
    else:
        _finish(platform, stretches, as_json, mail=mail, left_out=left_out)
    if left_out and first:
        sys.exit(FAILED)


def _other_days(platform: Platform, day: date) -> list[date]:
    """Other days that the bill has changed, or that are missing or not whole, and that a run mends."""
    from finops_assets.core.archive.states import CANNOT_RUN, DASHBOARD, MAIL
    from finops_assets.core.errors import FinopsError
    from finops_assets.platform import build_watch

    watch, now = build_watch(platform), _now()
    try:
        if not platform.archive.days():  # what nobody asked to keep is not begun by itself
            return []
        news = watch.news(now)
        inspection = watch.inspect(now)
    except FinopsError as error:  # the run itself meets it, and says so where it belongs
        tell(f"not looked for other days: {error}")
        return []
    changed = {*news.new, *news.restated} if news else set()
    broken = {
        d for d, s in inspection.states.items() if s.cause not in ("", *CANNOT_RUN) and s.link not in (DASHBOARD, MAIL)
    }
    return sorted((changed | broken) - {day})


def _tell_of_others(days: Sequence[date]) -> None:
    """Name days that are not as in the bill and that nobody asked for."""
    from finops_assets.core.calendar import in_words

    if days:
        tell(f"left as they are, though the bill has them otherwise: {in_words(days)}; `finops run` runs them, too")


def _resume(platform: Platform, stretches: list[tuple[date, date]], as_json: bool) -> None:
    """Run those of these days that are not whole, as far as a run mends them."""
    from finops_assets.core import calendar
    from finops_assets.core.archive import states
    from finops_assets.core.calendar import days_between

    wanted = [day for first, last in stretches for day in days_between(first, last)]
    found = platform.inspector().thorough(_now(), wanted).states
    # Whether the last one's mail went out matters here; of the others, it speaks for them.
    left = [
        day
        for day, state in found.items()
        if not state.whole and state.cause not in states.CANNOT_RUN and (state.link != states.MAIL or day == wanted[-1])
    ]
    if platform.outbox.mailed(wanted[-1]).state not in ("sent", "unknown"):
        left = sorted({*left, wanted[-1]})
    tell(f"{len(wanted) - len(left)} of {len(wanted)} days are whole already")
    if left:
        _finish(platform, calendar.stretches(left), as_json)
    elif as_json:
        print_json({"succeeded": True, "days": []})


@main.command()
@click.option("--all", "every", is_flag=True, help="Show every day, not only the newest 14.")
@as_json
def status(every: bool, as_json: bool) -> None:
    """What is there, day by day: rows, total, settlement, archived, registered, mailed."""
    settings = _settings()
    platform = _platform(settings)
    inspection = platform.inspector().cheap(_now())
    rows = _status_rows(platform, inspection=inspection)
    if as_json:
        open_now = [{"kind": i.kind, "subject": i.subject, **vars(i.trouble)} for i in _incidents(platform)]
        age = platform.age(_now())
        facts = {"platform": settings.platform, "home": str(settings.home), "summary": inspection.summary}
        facts |= {"coverage": inspection.coverage, "coverage_words": inspection.coverage_words}
        facts |= age.as_record() if age else {}
        print_json({**facts, "days": rows, "incidents": open_now})
        return
    if not rows:
        on_aws = settings.platform == "aws"
        setting, place = ("bill.table", "") if on_aws else ("bill.path", f" in the home {settings.home.absolute()}")
        say(f"No day yet{place}. Run `finops demo`, or set {setting} and run `finops backfill`.")
        return
    shown = rows if every else rows[-14:]
    print_table(
        ("day", "rows", "total", "currency", "basis", "settlement", "archived", "registered", "mailed", "state"),
        [
            (
                *(r["day"], r["rows"], _money(r["total"]), r["currency"], r["cost_basis"], r["settlement"]),
                *(_yes(r["archived"]), _yes(r["registered"]), r["mailed"], r["state"]),
            )
            for r in shown
        ],
        right={1, 2},
    )
    _say_age(platform)
    say(inspection.summary)
    say(inspection.coverage_words)
    if inspection.gaps:
        say("`finops gaps` names the command that mends each.")
    for incident in _incidents(platform):
        told = f"NOBODY WAS TOLD: {incident.untold}" if incident.untold else "told"
        since = f"{incident.opened:%Y-%m-%d %H:%M} UTC"
        say(f"open since {since}: {incident.kind}, {incident.subject}: {incident.trouble.cause} ({told})")


@main.command()
@click.argument("sql")
@as_json
def query(sql: str, as_json: bool) -> None:
    """Run one SELECT (Athena's SQL) over the archive's tables; rows are printed as they come, in bounded memory.

    The tables are ou_breakdown, ou_scorecard, account_ou_map, restatements and finops_daily_summary. No other file and
    no address can be read.
    """
    from finops_assets.core.errors import FinopsError

    platform = _platform(_settings())
    with platform.catalog.stream(sql) as result:
        if not as_json:
            print_rows(result.columns, result.batches)
        elif doubled := sorted({name for name in result.columns if list(result.columns).count(name) > 1}):
            raise FinopsError(
                f"the query gives more than one column the name {doubled[0]}",
                fix="Name them apart: `... AS other_name`.",
            )
        else:
            print_json_rows(result.columns, result.batches)


@main.command()
@click.argument("day", type=DAY)
@click.option("--to", metavar="ADDRESS", help="Send it to this recipient only: one of the settings (mail.resend_to).")
@click.option("--received", is_flag=True, help="Send nothing: record that the recipient has it.")
@click.option("--refresh", is_flag=True, help="Make it anew from what is archived now, and send that as a revision.")
@as_json
def resend(day: date, to: str | None, received: bool, refresh: bool, as_json: bool) -> None:
    """Send the stored digest of DAY again, the same bytes.

    A day that was covered by another day's mail has none of its own: it is made now.
    """
    if received and not to:
        raise click.UsageError("--received needs --to: say who has it")
    if refresh and to:
        raise click.UsageError("--refresh makes a revision, which goes to all recipients: leave out --to")
    platform = _platform(_settings())
    if received:
        deliveries: Sequence[Delivery] = platform.outbox.settle(day, [to])
    else:
        from finops_assets.platform import build_watch

        morning = build_watch(platform).morning
        deliveries = morning.resend(day, _now(), to=[to] if to else (), refresh=refresh)
    if as_json:
        print_json([{"recipient": d.recipient, "location": d.location} for d in deliveries])
    else:
        print_table(("recipient", "message"), [(d.recipient, d.location) for d in deliveries])


@main.command()
@click.argument("day", type=DAY)
@click.option("--version", metavar="VERSION", help="The version to bring back.")
@as_json
def restore(day: date, version: str | None, as_json: bool) -> None:
    """List the versions of DAY, or bring one of them back: archive, catalog and dashboard; nothing is mailed."""
    from finops_assets.core.archive.recovery import restore_day
    from finops_assets.core.errors import ArchiveError
    from finops_assets.core.schemas import RESTORED_FROM, day_path

    platform = _platform(_settings())
    if version is None:
        versions = platform.archive.versions(day)
        if not versions:
            raise ArchiveError("was never archived", where=day_path(day), fix=f"Run `finops run --date {day}`.")
        _show_versions(versions, as_json)
        return
    _check_days(platform.settings, day, day)
    there = restore_day(platform.archive, day, version, _now())
    from finops_assets.defs.observe import REGISTERED, SCORED, SHOWN, report_restored, shown_since_restored

    if there.changed:
        report_restored(platform, there)
    # A restore that was interrupted, or whose refresh failed, is finished by the same command again.
    finished = not there.changed and shown_since_restored(platform, there)
    good = finished or _execute(platform, day, day, (REGISTERED, SCORED, SHOWN))
    held = RESTORED_FROM in there.metadata
    if as_json:
        figures = {"rows": there.rows, "total": there.total, "currency": there.currency, "version": there.version}
        print_json({"succeeded": good, "day": day, "changed": there.changed, "held": held, **figures})
    else:
        done = f"restored from version {version}" if there.changed else f"is version {version} already: unchanged"
        say(f"{day} {done}, {_money(there.total)} {there.currency} ({there.cost_basis}). Nothing was mailed.")
        if held:
            say(f"It is held as it is until someone runs it by name: `finops run --date {day}`.")
    if not good:
        sys.exit(FAILED)


def _show_versions(versions: Sequence[DayVersion], as_json: bool) -> None:
    if as_json:
        told = ("rows", "total", "fingerprint", "run_id", "settlement", "restored_from", "restored_at")
        print_json(
            [
                {"version": one.id, "written": one.written.isoformat(), "size": one.size_bytes, "current": one.current}
                | {name: one.metadata[name] for name in told if name in one.metadata}
                for one in versions
            ]
        )
        return
    print_table(
        ("version", "written (UTC)", "rows", "total", "settlement", "current"),
        [
            (
                *(one.id, f"{one.written:%Y-%m-%d %H:%M:%S}", one.metadata.get("rows", "")),
                _money(Decimal(one.metadata["total"])) if one.metadata else "cannot be read",
                *(one.metadata.get("settlement", ""), "yes" if one.current else ""),
            )
            for one in versions
        ],
        right={2, 3},
    )


@main.command()
@as_json
def observe(as_json: bool) -> None:
    """Have Dagster know again what is there, where its records are gone: from archive, catalog, dashboard, outbox."""
    from finops_assets.defs.observe import observe as observe_archive

    done = observe_archive(_platform(_settings()))
    if as_json:
        unreadable = {str(day): why for day, why in done.unreadable.items()}
        print_json({"reported": done.reported, "known": done.known, "unreadable": unreadable})
    else:
        print_table(
            ("asset", "known before", "reported"),
            [(name, done.known[name], number) for name, number in done.reported.items()],
            right={1, 2},
        )
    for why in done.unreadable.values():
        complain(why)
    if done.unreadable:
        sys.exit(FAILED)


@main.command()
@click.option("--date", "day", type=DAY, help="The day that is walked through; the newest archived one by default.")
@click.option("--repair", is_flag=True, help="Compare every day instead, and say what would mend it.")
@click.option("--yes", is_flag=True, help="With --repair: do it.")
@click.option("--mail", is_flag=True, help="With --repair --yes: send the digests that nobody has, too.")
@as_json
def doctor(day: date | None, repair: bool, yes: bool, mail: bool, as_json: bool) -> None:
    """Look at everything that the settings use, then at one day from the bill to the inbox; mend nothing."""
    from finops_assets.core.archive.settlement import Journal
    from finops_assets.core.findings import as_line, as_record, told, verdict
    from finops_assets.core.operations.doctor import covered, how_old, walk

    settings = _settings()
    platform = _platform(settings)
    if (yes or mail) and not repair:
        raise click.UsageError("--yes and --mail belong to --repair")
    if repair:
        _repair(platform, yes, mail, as_json)
        return
    findings = []

    def show(found: Iterable[Finding]) -> None:
        for finding in found:
            findings.append(finding)
            if not as_json:
                _say_block(as_line(finding))

    show(platform.preflight.check())
    if settings.platform == "aws":
        from finops_assets.defs.instance import look_at_database

        show(told("dagster", look_at_database(settings.dagster_home)))
    show(platform.scoring().check())
    if not any(finding.name == "bucket" and finding.state == "fail" for finding in findings):
        show(told("age", how_old(platform.age(_now()))))
        day = day or max(platform.archive.days(), default=None)
    if day:
        if not as_json:
            say("", f"{day}, from the bill to the inbox:")
        now = _now()
        inspection = platform.inspector().thorough(now, [day])
        outbox = platform.outbox
        settled = Journal(platform.archive, settings.bill.stable_after).settled()
        show(walk(day, inspection, outbox=outbox, recipients=outbox.addresses, settled=settled))
    show(covered(platform.inspector().cheap(_now())))
    if as_json:
        print_json([as_record(finding) for finding in findings])
    else:
        say("", verdict(findings))
    if any(finding.state == "fail" for finding in findings):
        sys.exit(FAILED)


def _say_age(platform: Platform) -> None:
    """How old the data are, where they are not current."""
    age = platform.age(_now())
    if age and age.sentence:
        say(age.sentence)


def _repair(platform: Platform, yes: bool, mail: bool, as_json: bool) -> None:
    """Say what differs and what would mend it, or mend it; exits with 1 where something is left to do."""
    from finops_assets.core.operations.repair import ASSETS, MAIL, plan

    inspection = platform.inspector().thorough(_now())
    steps = plan(inspection)
    done: list[str] = []
    for step in steps:
        doable = step.work and (step.work != MAIL or mail)
        if not yes or not doable:
            done.append("" if not yes else "left" if step.work else "cannot be done by itself")
        else:
            done.append("done" if _execute(platform, step.first, step.last, ASSETS[step.work]) else "FAILED")
    if as_json:
        print_json([{**vars(step), "done": how} for step, how in zip(steps, done, strict=True)])
    elif steps:
        rows = [(_span(step), step.work or "-", step.why, how) for step, how in zip(steps, done, strict=True)]
        print_table(("days", "work", "why", ""), rows)
        if not yes:
            say("Nothing was changed. `finops doctor --repair --yes` does it; `--mail` sends the digests too.")
    else:
        _say_age(platform)
        say(inspection.summary)
    if not as_json:
        say(inspection.coverage_words)
    if any(how != "done" for how in done) or inspection.facts.unreadable or inspection.unknown:
        sys.exit(FAILED)


def _span(of: Step) -> str:
    return f"{of.first}" + (f" to {of.last}" if of.last > of.first else "")


@main.command()
@click.option("--weekly", is_flag=True, help="The rows of each of the newest 35 days, by year, month and day.")
@as_json
def gaps(weekly: bool, as_json: bool) -> None:
    """Which days are not whole, why, and the command that mends each; exits with 1 where there are any."""
    platform = _platform(_settings())
    inspection = platform.inspector().thorough(_now())
    found = inspection.gaps
    if weekly:
        _show_counts(inspection.days[-35:], inspection.facts.read, as_json)
    elif as_json:
        print_json([vars(gap) for gap in found])
    elif found:
        print_table(
            ("days", "cause", "what", "mend"),
            [
                (f"{gap.first}" + (f" to {gap.last}" if gap.last > gap.first else ""), gap.cause, gap.detail, gap.mend)
                for gap in found
            ],
        )
    if not as_json:
        _say_age(platform)
        say(inspection.coverage_words)
        say(inspection.summary)  # the verdict comes last
    for unsure in (inspection.facts.unreadable, *inspection.unknown.values()):
        if unsure and as_json:
            complain(unsure)
    uncovered = inspection.coverage is not None and inspection.coverage.fault
    if found or uncovered or inspection.facts.unreadable or inspection.unknown:
        sys.exit(FAILED)


def _show_counts(days: Sequence[date], read: Mapping[date, CatalogDay], as_json: bool) -> None:
    """What a reader gets of each day, as the weekly routine counts it."""
    rows = [
        {
            "year": day.year,
            "month": day.month,
            "day": day.day,
            "rows": read[day].rows if day in read else 0,
            "total": read[day].total if day in read else Decimal(),
        }
        for day in days
    ]
    if as_json:
        print_json(rows)
        return
    print_table(
        ("year", "month", "day", "rows", "total", ""),
        [(*list(row.values())[:4], _money(row["total"]), "" if row["rows"] else "MISSING") for row in rows],
        right={0, 1, 2, 3, 4},
    )


@main.command()
@click.option("--date", "day", type=DAY, help="As of which day; the newest archived one by default.")
@as_json
def budgets(day: date | None, as_json: bool) -> None:
    """Each OU's month against its budget: so far, expected, and the light; exits with 1 where one is red."""
    from finops_assets.core.accounts.published_map import read_account_map
    from finops_assets.core.analytics.budgets import RED, SHAPES, budget_lines, read_budgets
    from finops_assets.core.analytics.forecast import HISTORY
    from finops_assets.core.archive.comparing import comparable_rows, costs_by_ou
    from finops_assets.core.errors import SettingsError

    settings = _settings()
    platform = _platform(settings)
    data = platform.budgets()
    if data is None:
        raise SettingsError(
            "is not set", where="budgets.path (FINOPS_BUDGETS__PATH)", fix="Set it to a CSV: ou,month,amount,currency."
        )
    plan = read_budgets(data, settings.budgets.path)
    rows, span, there = comparable_rows(platform.archive, day, HISTORY)
    lines = budget_lines(
        plan,
        costs_by_ou(rows, span),
        there.day,
        currency=there.currency,
        amber=settings.budgets.amber_percent / 100,
        known=set(read_account_map(platform.archive)["ou"].to_pylist()),
    )
    if as_json:
        print_json([{**vars(line), "forecast": vars(line.forecast)} for line in lines])
    else:
        say(f"{there.day:%B %Y} as of {there.day}, in {there.currency}, {there.cost_basis}")
        print_table(
            ("", "OU", "budget", "so far", "expected", "80 % band", "light"),
            [
                (
                    *(SHAPES[line.light], line.ou, _or_dash(line.budget), _money(line.forecast.month_to_date)),
                    _or_dash(line.forecast.expected),
                    f"{_or_dash(line.forecast.low)} to {_or_dash(line.forecast.high)}" if line.forecast.low else "-",
                    f"{line.light}: {line.reason}" if line.budget is not None else line.reason,
                )
                for line in lines
            ],
            right={2, 3, 4, 5},
        )
    if any(line.light == RED for line in lines):
        sys.exit(FAILED)


def _or_dash(amount: Decimal | None) -> str:
    return "-" if amount is None else _money(amount)


@main.command()
@click.option("--all", "every", is_flag=True, help="Those that are over, too.")
@as_json
def anomalies(every: bool, as_json: bool) -> None:
    """Costs that nobody expected: the episodes that were found, the newest last; exits with 1 where one goes on."""
    from finops_assets.core.analytics.anomalies import GROWING, OPEN
    from finops_assets.core.analytics.episodes import read

    ledger = read(_platform(_settings()).archive)
    goes_on = [entry for entry in ledger.notifications if entry.episode.state in (OPEN, GROWING)]
    shown = ledger.notifications if every else goes_on
    if as_json:
        print_json([{**vars(told.episode), "impact": told.episode.impact, "told": told.times} for told in shown])
    elif shown:
        for told in shown:
            say(f"{told.episode.id}  {told.episode.state}: {told.episode.reason}")
            if told.episode.planned:
                say(f"          {told.episode.planned}")
    else:
        say("No anomaly goes on." + ("" if every else " --all shows those that are over."))
    if goes_on:
        sys.exit(FAILED)


@main.group()
def evidence() -> None:
    """A month's evidence in one zip with checksums: make, verify, list."""


@evidence.command()
@click.argument("month", type=MONTH)
@as_json
def make(month: str, as_json: bool) -> None:
    """Bundle the evidence of MONTH, unless the newest bundle holds the same."""
    from finops_assets.core.calendar import in_words
    from finops_assets.core.errors import SettingsError
    from finops_assets.core.operations.evidence import check_over, read
    from finops_assets.defs.run import make_evidence

    platform = _platform(_settings())
    first = f"{platform.settings.bill.first_day:%Y-%m}"
    check_over(month, _now().date())
    if month < first:
        raise SettingsError(
            f"{month} is before the first month that is kept, {first}",
            where="bill.first_day (FINOPS_BILL__FIRST_DAY)",
            fix="Set it to a day of that month or of an earlier one.",
        )
    before = read(platform.archive, month)
    outcome = make_evidence(platform, month, tell=tell, clock=lambda: _now())
    there = read(platform.archive, month)
    for message in outcome.errors:
        complain(message)
    if as_json:
        print_json({"succeeded": not outcome.errors, "changed": there != before, "evidence": there and asdict(there)})
    elif not outcome.errors:
        say(f"{month}: {there.bundle}{'' if there != before else ', as it was'}, {_evidence_words(there)}")
        for why in dict.fromkeys(there.faults.values()):
            tell(f"not whole: {in_words([day for day, fault in there.faults.items() if fault == why])}, {why}")
    if outcome.errors:
        sys.exit(FAILED)


@evidence.command()
@click.argument("month", type=MONTH)
@as_json
def verify(month: str, as_json: bool) -> None:
    """Check the bundle of MONTH file by file, and tell what has changed in the archive since it was made."""
    from finops_assets.core.operations.evidence import verify as verify_month

    done = verify_month(_platform(_settings()).archive, month)
    there = done.evidence
    since = {"changed": done.changed, "new": done.new, "gone": done.gone}
    if as_json:
        facts = {"bundle": there.bundle, "sha256": there.sha256, "made_at": there.made_at}
        print_json({**facts, "verified": not done.fault, "damage": done.damage, "since": since})
    else:
        if not done.fault:
            say(f"{there.bundle} is whole: {_evidence_words(there)}, made {there.made_at}")
        for what, paths in since.items():
            for path in paths:
                say(f"{what} since: {path}")
        if not any(since.values()):
            say("The archive is as it was then.")
    if done.fault:
        raise done.fault


@evidence.command("list")
@as_json
def list_evidence(as_json: bool) -> None:
    """Every month that has evidence."""
    from finops_assets.core.operations.evidence import read_all

    found = read_all(_platform(_settings()).archive)
    if as_json:
        print_json([{k: v for k, v in vars(there).items() if k not in ("days", "members")} for there in found])
    else:
        print_table(
            ("month", "version", "made", "days", "missing", "total", "currency", "basis", "bundle"),
            [
                (
                    *(e.month, e.version, e.made_at, e.days_archived, len(e.days_missing)),
                    *("" if e.total is None else _money(Decimal(e.total)), e.currency, e.cost_basis, e.bundle),
                )
                for e in found
            ],
            right={1, 3, 4, 5},
        )


def _evidence_words(there: Evidence) -> str:
    total = "" if there.total is None else f", {_money(Decimal(there.total))} {there.currency} ({there.cost_basis})"
    return f"{len(there.members)} files, {there.days_archived} days{total}"


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on.")
def dev(host: str, port: int) -> None:
    """Open the Dagster UI: webserver and daemon (schedule, backfills) on this machine."""
    from finops_assets.cli.dev import run_dev
    from finops_assets.defs.instance import check_records

    settings = _settings()
    _platform(settings)  # settings that it lacks are named here, and not by each process of Dagster's
    check_records(settings.dagster_home, deployed=settings.platform == "aws")
    workspace = ["-w", "workspace.yaml"] if Path("workspace.yaml").is_file() else ["-m", "finops_assets.definitions"]
    os.environ["DAGSTER_UI_URL"] = settings.alerts.dagster_url
    sys.exit(run_dev(settings.home, [sys.executable, "-m", "finops_assets.defs.dagster_dev", *workspace], host, port))


def _say_block(text: str) -> None:
    """Print text of our own that has several lines."""
    say(*text.split("\n"))


def _now() -> datetime:
    return datetime.now(UTC)


def _yesterday() -> date:
    return _now().date() - timedelta(days=1)


def _settings() -> Settings:
    from finops_assets.settings.model import load_settings

    return load_settings()


def _platform(settings: Settings) -> Platform:
    from finops_assets.platform import build_platform

    return build_platform(settings, lambda: _now())


def _platform_to_run(days: Sequence[date]) -> Platform:
    """The platform for a run, which may be nobody's to watch: where the home cannot be written, people are told."""
    from finops_assets.core.errors import ArchiveError
    from finops_assets.platform import require_home

    settings = _settings()
    try:
        require_home(settings)
        return _platform(settings)
    except ArchiveError as error:
        from finops_assets.defs.run import tell_of_home

        tell_of_home(settings, days, error, tell)
        raise


def _finish(
    platform: Platform,
    stretches: list[tuple[date, date]],
    as_json: bool,
    *,
    mail: bool = False,
    left_out: Mapping[date, str] | None = None,
    before_the_end: Callable[[], None] = lambda: None,
) -> None:
    """Run each stretch of days, report what is there afterwards, and exit with 1 if any failed.

    One mail speaks for all of them: that of the newest day.
    """
    from finops_assets.core.delivery.sent import SENT, SENT_IN_PART

    asked = stretches if len(stretches) > 1 else ()
    outcomes = [_run(platform, first, last, asked=asked, mail=mail) for first, last in stretches]
    good = not any(outcome.errors for outcome in outcomes)
    inspection = platform.inspector().cheap(_now())
    wanted = _status_rows(platform, stretches, inspection)
    digest = outcomes[-1].digest or {}
    corrections = [o.digest for o in outcomes[:-1] if o.digest and o.digest["state"] == SENT]
    if as_json:
        facts = {"coverage": inspection.coverage, "left_out": {str(day): why for day, why in (left_out or {}).items()}}
        print_json({"succeeded": good, "days": wanted, "digest": digest, "corrections": corrections, **facts})
    elif good:
        total = sum((r["total"] for r in wanted), Decimal())
        days = f"{wanted[0]['day']}" + (f" to {wanted[-1]['day']}" if len(wanted) > 1 else "")
        say(f"{days}: {_money(total)} {wanted[-1]['currency']} ({wanted[-1]['cost_basis']}) archived")
        say(f"dashboard  {platform.places['dashboard']}")
    if not as_json:
        for told in (*corrections, digest):
            if good or told["state"] in (SENT, SENT_IN_PART):
                place = f"; {platform.places['digest']}" if told["state"] == SENT else ""
                say(f"digest     {told['words']}{place}")
        if good:
            say(f"bill       {inspection.coverage_words}")
    before_the_end()
    if not good:
        sys.exit(FAILED)


def _check_days(settings: Settings, first: date, last: date) -> None:
    """Refuse days that are not kept, or not over yet."""
    from finops_assets.core.errors import SettingsError

    start, newest = settings.bill.first_day, _yesterday()
    if first < start:
        raise SettingsError(
            f"{first} is before the first day that is kept, {start}",
            where="bill.first_day (FINOPS_BILL__FIRST_DAY)",
            fix="Set it to that day or an earlier one.",
        )
    if last > newest:
        raise SettingsError(
            f"{last} is not over yet", where="the day asked for", fix=f"The newest whole day (UTC) is {newest}."
        )


def _execute(platform: Platform, first: date, last: date, assets: Sequence[str] = ()) -> bool:
    """As `_run`; whether it succeeded."""
    return not _run(platform, first, last, assets).errors


def _run(
    platform: Platform,
    first: date,
    last: date,
    assets: Sequence[str] = (),
    *,
    asked: Sequence[tuple[date, date]] = (),
    mail: bool = False,
) -> Outcome:
    """One Dagster run of the daily job over the days, recorded in the same instance that the UI shows."""
    from finops_assets.defs.run import run_days

    _check_days(platform.settings, first, last)
    how = {"assets": assets, "asked": asked, "mail": mail, "tell": tell}
    outcome = run_days(platform, first, last, clock=lambda: _now(), **how)
    for message in outcome.errors:
        complain(message)
    if outcome.errors:
        complain(f"run {outcome.run_id} failed; `finops dev` shows it")
    return outcome


def _status_rows(
    platform: Platform, stretches: list[tuple[date, date]] | None = None, inspection: Inspection | None = None
) -> list[dict[str, Any]]:
    """What is there of these stretches of days; by default, of every day from the first that is known to the last."""
    from finops_assets.core.archive.settlement import Journal
    from finops_assets.core.archive.states import state_of
    from finops_assets.core.calendar import days_between
    from finops_assets.core.errors import DamagedError

    archive, outbox = platform.archive, platform.outbox
    inspection = inspection or platform.inspector().cheap(_now())
    facts = inspection.facts
    known = sorted({*facts.archived, *facts.registered})
    if stretches is None:
        stretches = [(known[0], known[-1])] if known else []
    settled = Journal(archive, platform.settings.bill.stable_after).settled()
    span = [day for first, last in stretches for day in days_between(first, last)]
    mailed = outbox.mailed_days(span)
    rows = []
    for day in span:
        state = inspection.states.get(day) or state_of(day, facts)
        try:
            there = archive.describe(day) if day in facts.archived else None
        except DamagedError:
            there = None
        rows.append(
            {
                "day": day,
                "rows": there.rows if there else 0,
                "total": there.total if there else Decimal(),
                "currency": there.currency if there else "",
                "cost_basis": there.cost_basis if there else "",
                "settlement": settled(day) if there else "DAMAGED" if day in facts.archived else "",
                "archived": there is not None,
                "registered": bool(state.location),
                "mailed": mailed[day],
                "state": state.cause or "whole",
                "detail": state.detail,
                "mend": state.mend,
                "path": there.path if there else "",
                "version": there.version if there else "",
            }
        )
    return rows


def _incidents(platform: Platform) -> list[Incident]:
    from finops_assets.core.operations.incidents import Incidents

    return Incidents(platform.archive, platform.alerts, clock=lambda: _now()).open()


def _yes(value: bool) -> str:
    return "yes" if value else "NO"


def _money(amount: Decimal) -> str:
    from finops_assets.core.money import money

    return money(amount)


main.add_command(quicksight)
main.add_command(build_verify(DAY, as_json))


@main.group("settings")
def settings_group() -> None:
    """Write settings."""


settings_group.add_command(from_terraform)
