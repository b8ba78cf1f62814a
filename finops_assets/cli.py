"""`finops`: the platform from a shell. The same Dagster runs, instance and code as the UI's.

Exit codes: 0 done, 1 a run failed or something was found wrong, 2 wrong usage or settings.
Nothing heavy is imported before a command needs it, so that `finops --help` answers at once.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from finops_assets import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from finops_assets.core.doctor import Finding
    from finops_assets.core.ports import CatalogDay
    from finops_assets.platform import Platform
    from finops_assets.settings import Settings

FAILED, WRONG_USAGE = 1, 2


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


DAY = Day()
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


class _Shown(click.Group):
    """Errors that people can mend end in one line on stderr and an exit code, not in a stack trace."""

    def invoke(self, ctx: click.Context) -> Any:
        from finops_assets.core.errors import FinopsError, SettingsError

        # A process of seconds makes hundreds of thousands of objects at import: to look through them for garbage as
        # often as a long-lived one does costs it a tenth of its life.
        gc.set_threshold(100_000, 20, 20)
        # As Ctrl-C does: what is under way, such as a query that costs money, is stopped on the way out.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            _complain(str(error))
            ctx.exit(WRONG_USAGE)
        except FinopsError as error:
            _complain(str(error))
            ctx.exit(FAILED)


@click.group(cls=_Shown, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="finops")
def main() -> None:
    """Yesterday's AWS bill by organizational unit: archived, queryable, on the dashboard and in the inbox.

    Settings come from finops.toml and FINOPS_<SECTION>__<KEY>; see docs/configuration.md.
    """


@main.command()
@click.option("--days", type=click.IntRange(1, 400), default=90, show_default=True, help="Days of the sample bill.")
def demo(days: int) -> None:
    """Make the sample bill and run the whole platform on it."""
    from finops_assets.demo import prepare_demo

    started = datetime.now(UTC)
    settings, sample, fresh = prepare_demo(_settings(), _yesterday(), days)
    if fresh:
        _tell(f"Sample bill: {sample.first_day} to {sample.last_day} in {settings.sample_folder}")
    result = _execute(_platform(settings), sample.first_day, sample.last_day)
    if not result:
        sys.exit(FAILED)
    platform = _platform(settings)
    rows = _status_rows(platform)
    took = (datetime.now(UTC) - started).total_seconds()
    total = sum((row["total"] for row in rows if row["archived"]), Decimal())
    finops = "finops" if shutil.which("finops") else os.path.relpath(sys.argv[0])
    click.echo(
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


@main.command()
@click.option("--date", "day", type=DAY, help="The day; yesterday (UTC) by default.")
@as_json
def run(day: date | None, as_json: bool) -> None:
    """Run one day: archive it, register it, refresh the dashboard, send the digest."""
    day = day or _yesterday()
    platform = _platform(_settings())
    _finish(platform, [(day, day)], as_json)


@main.command()
@click.argument("first", metavar="FROM", type=DAY, required=False)
@click.argument("last", metavar="TO", type=DAY, required=False)
@as_json
def backfill(first: date | None, last: date | None, as_json: bool) -> None:
    """Run every day from FROM to TO in one run; without them, every day that the bill has."""
    from finops_assets.core.pipeline import contiguous

    if (first is None) != (last is None):
        raise click.UsageError("give both FROM and TO, or neither")
    platform = _platform(_settings())
    if first and last:
        if first > last:
            raise click.UsageError(f"FROM {first} is after TO {last}")
        stretches = [(first, last)]
    else:
        newest = _yesterday()
        days = [d for d in platform.warehouse.coverage() if platform.settings.bill.first_day <= d <= newest]
        if not days:
            _complain(
                f"the bill has no day from bill.first_day ({platform.settings.bill.first_day}) to yesterday ({newest})"
            )
            sys.exit(FAILED)
        stretches = [(s[0], s[-1]) for s in contiguous(days)]
    _finish(platform, stretches, as_json)


@main.command()
@click.option("--all", "every", is_flag=True, help="Show every day, not only the newest 14.")
@as_json
def status(every: bool, as_json: bool) -> None:
    """What is there, day by day: rows, total, settlement, archived, registered, mailed."""
    settings = _settings()
    platform = _platform(settings)
    rows = _status_rows(platform)
    if as_json:
        _print_json({"platform": settings.platform, "home": str(settings.home), "days": rows})
        return
    if not rows:
        setting = "bill.table" if settings.platform == "aws" else "bill.path"
        click.echo(f"No day yet. Run `finops demo`, or set {setting} and run `finops backfill`.")
        return
    shown = rows if every else rows[-14:]
    _print_table(
        ("day", "rows", "total", "currency", "basis", "settlement", "archived", "registered", "mailed"),
        [
            (
                *(r["day"], r["rows"], _money(r["total"]), r["currency"], r["cost_basis"], r["settlement"]),
                *(_yes(r["archived"]), _yes(r["registered"]), r["mailed"]),
            )
            for r in shown
        ],
        right={1, 2},
    )
    missing = sum(not r["archived"] for r in rows)
    click.echo(f"{len(rows)} days from {rows[0]['day']} to {rows[-1]['day']}, {missing} missing.")


@main.command()
@click.argument("sql")
@as_json
def query(sql: str, as_json: bool) -> None:
    """Run one SELECT (Athena's SQL) over ou_breakdown, account_ou_map and finops_daily_summary."""
    platform = _platform(_settings())
    columns, rows = platform.catalog.query(sql)
    if as_json:
        _print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        right = {i for i in range(len(columns)) if any(isinstance(row[i], int | float | Decimal) for row in rows)}
        _print_table(columns, [["" if v is None else v for v in row] for row in rows], right=right)


@main.command()
@click.argument("day", type=DAY)
@click.option("--to", metavar="ADDRESS", help="Send it to this recipient only.")
@click.option("--received", is_flag=True, help="Send nothing: record that the recipient has it.")
@as_json
def resend(day: date, to: str | None, received: bool, as_json: bool) -> None:
    """Send the stored digest of DAY again, the same bytes."""
    if received and not to:
        raise click.UsageError("--received needs --to: say who has it")
    outbox = _platform(_settings()).outbox
    deliveries = outbox.settle(day, [to]) if received else outbox.resend(day, [to] if to else None)
    if as_json:
        _print_json([{"recipient": d.recipient, "location": d.location} for d in deliveries])
    else:
        _print_table(("recipient", "message"), [(d.recipient, d.location) for d in deliveries])


@main.command()
@click.option("--date", "day", type=DAY, help="The day that is walked through; the newest archived one by default.")
@as_json
def doctor(day: date | None, as_json: bool) -> None:
    """Look at everything that the settings use, then at one day from the bill to the inbox; mend nothing."""
    from finops_assets.core.doctor import as_line, as_record, verdict, walk

    settings = _settings()
    platform = _platform(settings)
    findings = []

    def show(found: Iterable[Finding]) -> None:
        for finding in found:
            findings.append(finding)
            if not as_json:
                click.echo(as_line(finding))

    show(platform.preflight.check())
    if day is None and not any(finding.name == "bucket" and finding.state == "fail" for finding in findings):
        day = max(platform.archive.days(), default=None)
    if day:
        if not as_json:
            click.echo(f"\n{day}, from the bill to the inbox:")
        show(
            walk(
                day,
                warehouse=platform.warehouse,
                archive=platform.archive,
                catalog=platform.catalog,
                outbox=platform.outbox,
                preflight=platform.preflight,
                recipients=settings.mail.recipients,
                today=datetime.now(UTC).date(),
            )
        )
    if as_json:
        _print_json([as_record(finding) for finding in findings])
    else:
        click.echo(f"\n{verdict(findings)}")
    if any(finding.state == "fail" for finding in findings):
        sys.exit(FAILED)


@main.command()
@click.option("--weekly", is_flag=True, help="The rows of each of the newest 35 days, by year, month and day.")
@as_json
def gaps(weekly: bool, as_json: bool) -> None:
    """Which days are not whole, why, and the command that mends each; exits with 1 where there are any."""
    from finops_assets.core.gaps import Chain, expected_days, find_gaps

    settings = _settings()
    platform = _platform(settings)
    covered, archived = platform.warehouse.coverage(), platform.archive.days()
    days = expected_days(covered, archived, settings.bill.first_day, _yesterday())
    registered = platform.catalog.registered()
    seen = sorted(registered.keys() & set(days))
    chain = Chain(
        covered=frozenset(covered),
        archived={day: there for day in archived if (there := platform.archive.describe(day))},
        registered=registered,
        read=platform.catalog.read_back(seen) if seen else {},
        shown=platform.preflight.shown() if archived else None,
        mailed=platform.outbox.mailed_days(days),
    )
    found = find_gaps(days, chain)
    if weekly:
        _show_counts(days[-35:], chain.read, as_json)
    elif as_json:
        _print_json([vars(gap) for gap in found])
    elif found:
        _print_table(
            ("days", "cause", "what", "mend"),
            [
                (f"{gap.first}" + (f" to {gap.last}" if gap.last > gap.first else ""), gap.cause, gap.detail, gap.mend)
                for gap in found
            ],
        )
    if not as_json:
        behind = sum((gap.last - gap.first).days + 1 for gap in found)
        click.echo(
            f"{len(days)} days from {days[0]} to {days[-1]}: " + (f"{behind} not whole." if found else "all whole.")
        )
    if found:
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
        _print_json(rows)
        return
    _print_table(
        ("year", "month", "day", "rows", "total", ""),
        [(*list(row.values())[:4], _money(row["total"]), "" if row["rows"] else "MISSING") for row in rows],
        right={0, 1, 2, 3, 4},
    )


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on.")
def dev(host: str, port: int) -> None:
    """Open the Dagster UI: webserver and daemon (schedule, backfills) on this machine."""
    from finops_assets.defs.instance import prepare_dagster_home

    settings = _settings()
    prepare_dagster_home(settings.dagster_home, deployed=settings.platform == "aws")
    workspace = ["-w", "workspace.yaml"] if Path("workspace.yaml").is_file() else ["-m", "finops_assets.definitions"]
    command = [sys.executable, "-m", "dagster", "dev", *workspace, "-h", host, "-p", str(port)]
    os.execv(sys.executable, command)  # noqa: S606  (no shell: the arguments are ours)


def _yesterday() -> date:
    return datetime.now(UTC).date() - timedelta(days=1)


def _settings() -> Settings:
    from finops_assets.settings import load_settings

    return load_settings()


def _platform(settings: Settings) -> Platform:
    from finops_assets.platform import build_platform

    return build_platform(settings)


def _finish(platform: Platform, stretches: list[tuple[date, date]], as_json: bool) -> None:
    """Run each stretch of days, report what is there afterwards, and exit with 1 if any failed."""
    good = [_execute(platform, first, last) for first, last in stretches]
    wanted = _status_rows(platform, stretches)
    if as_json:
        _print_json({"succeeded": all(good), "days": wanted})
    elif all(good):
        total = sum((r["total"] for r in wanted), Decimal())
        days = f"{wanted[0]['day']}" + (f" to {wanted[-1]['day']}" if len(wanted) > 1 else "")
        click.echo(f"{days}: {_money(total)} {wanted[-1]['currency']} ({wanted[-1]['cost_basis']}) archived")
        click.echo(f"dashboard  {platform.places['dashboard']}")
        click.echo(f"digest     {wanted[-1]['mailed']}; {platform.places['digest']}")
    if not all(good):
        sys.exit(FAILED)


def _execute(platform: Platform, first: date, last: date) -> bool:
    """One Dagster run of the daily job over the days, recorded in the same instance that the UI shows."""
    from finops_assets.core.errors import SettingsError

    start, newest = platform.settings.bill.first_day, _yesterday()
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
    from finops_assets.run import run_days

    outcome = run_days(platform, first, last, tell=_tell)
    for message in outcome.errors:
        _complain(message)
    if outcome.errors:
        _complain(f"run {outcome.run_id} failed; `finops dev` shows it")
    return not outcome.errors


def _status_rows(platform: Platform, stretches: list[tuple[date, date]] | None = None) -> list[dict[str, Any]]:
    """What is there of these stretches of days; by default, of every day from the first that is known to the last."""
    from finops_assets.core.settlement import settlement

    archive, outbox = platform.archive, platform.outbox
    registered, archived = platform.catalog.registered(), set(archive.days())
    known = sorted(archived | set(registered))
    if stretches is None:
        stretches = [(known[0], known[-1])] if known else []
    today = datetime.now(UTC).date()
    span = [first + timedelta(days=n) for first, last in stretches for n in range((last - first).days + 1)]
    mailed = outbox.mailed_days(span)
    rows = []
    for day in span:
        there = archive.describe(day) if day in archived else None
        rows.append(
            {
                "day": day,
                "rows": there.rows if there else 0,
                "total": there.total if there else Decimal(),
                "currency": there.currency if there else "",
                "cost_basis": there.cost_basis if there else "",
                "settlement": settlement(day, today) if there else "",
                "archived": there is not None,
                "registered": day in registered,
                "mailed": mailed[day],
                "path": there.path if there else "",
                "version": there.version if there else "",
            }
        )
    return rows


def _yes(value: bool) -> str:
    return "yes" if value else "NO"


def _money(amount: Decimal) -> str:
    from finops_assets.core.money import money

    return money(amount)


def _print_json(value: Any) -> None:
    from finops_assets.core.money import plain

    def encode(item: Any) -> Any:
        return plain(item) if isinstance(item, Decimal) else str(item)

    click.echo(json.dumps(value, default=encode, indent=2, ensure_ascii=False))


def _print_table(header: Any, rows: Any, right: Any = ()) -> None:
    cells = [[str(value) for value in row] for row in (header, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    for row in cells:
        parts = [v.rjust(w) if i in right else v.ljust(w) for i, (v, w) in enumerate(zip(row, widths, strict=True))]
        click.echo("  ".join(parts).rstrip())


def _tell(text: str) -> None:
    click.echo(text, err=True)


def _complain(text: str) -> None:
    click.echo(click.style("error: ", fg="red", bold=True) + text, err=True)


if __name__ == "__main__":
    main()
