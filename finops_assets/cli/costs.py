"""`finops query`, `finops budgets` and `finops anomalies`: the costs themselves."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from finops_assets.cli import common
from finops_assets.cli.errors import FAILED
from finops_assets.cli.terminal import print_csv_rows, print_json, print_json_rows, print_rows, print_table, say, tell
from finops_assets.core.errors import FinopsError

if TYPE_CHECKING:
    from finops_assets.core.analytics.commitments import Use


class QueryCommand(click.Command):
    """`finops query`, whose help lists the tables."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        from finops_assets.core.archive.tables import TABLES  # loads Arrow, which no other help needs

        with formatter.section("Tables"):
            formatter.write_dl([(name, table.row) for name, table in TABLES.items()])


@click.command(cls=QueryCommand)
@click.argument("sql")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV: exact numbers.")
@common.as_json
def query(sql: str, as_csv: bool, as_json: bool) -> None:
    """Run one SELECT (Athena's SQL) over the archive's tables; rows are printed as they come, in bounded memory.

    SHOW TABLES and DESCRIBE ou_breakdown say what there is. No other file and no address can be read. Numbers are
    rounded for people; --csv and --json have all of their figures.
    """
    from finops_assets.core.archive.tables import about_tables, missing_table

    if as_csv and as_json:
        raise click.UsageError("--csv and --json are two ways to print the same rows: give one")
    if about := about_tables(sql):
        _print_rows(about[0], [about[1]], as_csv, as_json)
        return
    platform = common.open_platform()
    if platform.display:
        tell(
            "Costs of ou_breakdown, ou_charges, dimension_breakdown, commitments, restatements and "
            "finops_daily_summary are in the currency that each account is billed in: do not sum over several. Those "
            f"of scorecards are in {platform.display.currency}."
        )
    try:
        with platform.catalog.stream(sql) as result:
            _print_rows(result.columns, result.batches, as_csv, as_json)
    except FinopsError as error:
        raise missing_table(str(error)) or error from None


def _print_rows(
    columns: Sequence[str], batches: Iterable[Sequence[Sequence[Any]]], as_csv: bool, as_json: bool
) -> None:
    """Print an answer as it comes.

    Raises:
        FinopsError: two columns have one name, which JSON's objects cannot have.
    """
    if as_csv:
        print_csv_rows(columns, batches)
    elif not as_json:
        print_rows(columns, batches)
    elif doubled := sorted({name for name in columns if list(columns).count(name) > 1}):
        raise FinopsError(
            f"the query gives more than one column the name {doubled[0]}",
            fix="Name them apart: `... AS other_name`.",
        )
    else:
        print_json_rows(columns, batches)


@click.command()
@click.option("--date", "day", type=common.DAY, help="As of which day; the newest archived one by default.")
@common.as_json
def budgets(day: date | None, as_json: bool) -> None:
    """Each month against its budget, of OUs and values of dimensions; exits with 1 where one is red."""
    from finops_assets.core.accounts.published_map import read_account_map
    from finops_assets.core.analytics.budgets import RED, SHAPES, budget_lines, read_budgets
    from finops_assets.core.analytics.forecast import HISTORY
    from finops_assets.core.analytics.judged_costs import judged_costs
    from finops_assets.core.analytics.value_scores import ValueBasis, ValueScoring
    from finops_assets.core.archive.comparable_days import comparable_days
    from finops_assets.core.archive.display import rates_words
    from finops_assets.core.errors import SettingsError

    settings = common.load()
    platform = common.platform_of(settings)
    data = platform.budgets()
    if data is None:
        raise SettingsError(
            "is not set", where="budgets.path (FINOPS_BUDGETS__PATH)", fix="Set it to a CSV: ou,month,amount,currency."
        )
    plan = read_budgets(data, settings.budgets.path, settings.dimensions.keys)
    costs, span, published = comparable_days(platform.shown_archive, day, HISTORY)
    judged = judged_costs(costs, span, [published.day])
    unsettled = platform.journal.unsettled(span, common.now())
    lines = budget_lines(
        plan,
        judged.whole.ou_costs(span),
        published.day,
        currency=published.currency,
        amber=settings.budgets.amber_percent / 100,
        known=set(read_account_map(platform.archive)["ou"].to_pylist()),
        expected=judged.months([published.day], unsettled)[published.day],
    )
    by_value = ValueScoring(platform.shown_archive, platform.journal, settings.budgets.amber_percent / 100)
    values = by_value.scores([published.day], ValueBasis(span, published, plan, unsettled))[published.day]
    lines += [score.line for score in values if score.line.budget is not None]
    if as_json:
        print_json([{**vars(line), "forecast": vars(line.forecast)} for line in lines])
    else:
        say(f"{published.day:%B %Y} as of {published.day}, in {published.currency}, {published.cost_basis}")
        print_table(
            ("", "OU", "budget", "so far", "expected", "80 % band", "light"),
            [
                (
                    *(SHAPES[line.light], line.ou, _or_dash(line.budget), common.amount(line.forecast.month_to_date)),
                    _or_dash(line.forecast.expected),
                    f"{_or_dash(line.forecast.low)} to {_or_dash(line.forecast.high)}" if line.forecast.low else "-",
                    f"{line.light}: {line.reason}" if line.budget is not None else line.reason,
                )
                for line in lines
            ],
            right={2, 3, 4, 5},
        )
        if rates := rates_words(span.values()):
            say(rates)
    if any(line.light == RED for line in lines):
        sys.exit(FAILED)


def _or_dash(amount: Decimal | None) -> str:
    return "-" if amount is None else common.amount(amount)


@click.command()
@click.option("--date", "day", type=common.DAY, help="As of which day; the newest archived one by default.")
@common.as_json
def commitments(day: date | None, as_json: bool) -> None:
    """Each Savings Plan and reservation: what is used of it on the day and this month, what is not, when it ends."""
    from finops_assets.core.analytics.commitments import read_commitments, use, use_of_each
    from finops_assets.core.archive.display import rates_words
    from finops_assets.core.errors import ArchiveError
    from finops_assets.core.reports.digest.commitments import name

    archive = common.open_platform().shown_archive
    archived = [each for each in archive.days() if day is None or each <= day]
    if not archived or (day and archived[-1] != day):
        raise ArchiveError("is not archived", where=str(day or "the archive"), fix="`finops run` archives a day.")
    day = archived[-1]
    span = archive.history.describe([each for each in archived if each >= day.replace(day=1)])
    rows = read_commitments(archive, span)
    each_use = use_of_each(rows, day)
    if as_json:
        print_json([{**vars(one), "day": vars(one.day), "month": vars(one.month)} for one in each_use])
        return
    if not each_use:
        say(f"The bill names no Savings Plan and no reservation from {min(span)} to {day}.")
        return
    say(f"{day:%B %Y} as of {day}, in {span[day].currency}, amortized; the day, and the month to date")
    print_table(
        ("kind", "commitment", "used", "not used", "month: used", "not used", "utilization", "ends"),
        [
            (
                *(one.kind, name(one.id), *_use_words(one.day), *_use_words(one.month), _share(one.month.utilization)),
                str(one.expires or "not told"),
            )
            for one in each_use
        ],
        right={2, 3, 4, 5, 6},
    )
    of_day, of_month = use(rows, [day]).coverage, use(rows, list(span)).coverage
    say(f"Coverage: {_share(of_day)} on the day, {_share(of_month)} this month.")
    if rates := rates_words(span.values()):
        say(rates)


def _use_words(use: Use) -> tuple[str, str]:
    """What is used and what is not; that of a reservation is not known before its month ends."""
    return common.amount(use.all_used), "-" if use.utilization is None else common.amount(use.unused)


def _share(share: Decimal | None) -> str:
    return "-" if share is None else f"{int(100 * share)} %"


@click.command()
@click.option("--all", "every", is_flag=True, help="Those that are over, too.")
@common.as_json
def anomalies(every: bool, as_json: bool) -> None:
    """Costs that nobody expected: the episodes that were found, the newest last; exits with 1 where one goes on."""
    from finops_assets.core.analytics import scorecard
    from finops_assets.core.analytics.anomalies import GROWING, OPEN
    from finops_assets.core.analytics.episodes import read
    from finops_assets.core.archive.display import rates_words

    platform = common.open_platform()
    archive = platform.archive
    ledger = read(archive)
    goes_on = [entry for entry in ledger.notifications if entry.episode.state in (OPEN, GROWING)]
    shown = ledger.notifications if every else goes_on
    if as_json:
        print_json([{**vars(entry.episode), "impact": entry.episode.impact, "told": entry.times} for entry in shown])
    elif shown:
        for entry in shown:
            say(f"{entry.episode.id}  {entry.episode.state}: {entry.episode.reason}")
            if entry.episode.planned:
                say(f"          {entry.episode.planned}")
    else:
        say("No anomaly goes on." + ("" if every else " --all shows those that are over."))
    days = archive.days()
    if platform.display and not as_json:
        named = sorted({entry.episode.last for entry in shown}.intersection(days))
        described = (platform.shown_archive.describe(day) for day in named)
        if rates := rates_words(filter(None, described)):
            say(rates)
    card = scorecard.read(archive, days[-1]) if days and every and not as_json else None
    for renamed in card.renamed if card else ():
        say(f"No anomaly: {renamed}.")
    if goes_on:
        sys.exit(FAILED)
