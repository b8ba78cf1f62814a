"""`finops status` and `finops gaps`: what is archived, day by day, and which days are not whole."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from finops_assets.cli import common
from finops_assets.cli.errors import FAILED
from finops_assets.cli.terminal import complain, print_json, print_table, say

if TYPE_CHECKING:
    from finops_assets.core.archive.states import Facts
    from finops_assets.core.operations.inspection import Inspection
    from finops_assets.platform import Platform


@click.command()
@click.option("--all", "every", is_flag=True, help="Show every day, not only the newest 14.")
@common.as_json
def status(every: bool, as_json: bool) -> None:
    """What is there, day by day: rows, total, settlement, archived, registered, mailed."""
    settings = common.load()
    platform = common.platform_of(settings)
    inspection = platform.inspector.cheap(common.now())
    rows = status_rows(platform, inspection=inspection)
    if as_json:
        open_now = [{"kind": i.kind, "subject": i.subject, **vars(i.problem)} for i in platform.incidents.open()]
        age = platform.age(common.now())
        facts: dict[str, Any] = {
            "platform": settings.platform,
            "home": str(settings.home),
            "summary": inspection.summary,
        }
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
    units = {f"{r['currency']} ({r['cost_basis']})" for r in shown if r["archived"]}
    [unit] = units if len(units) == 1 else [""]  # what all days have alike stands once
    print_table(
        (
            *("day", "rows", unit or "total", *(() if unit else ("currency", "basis"))),
            *("settlement", "archived", "registered", "mailed", "state"),
        ),
        [
            (
                *(r["day"], r["rows"], common.amount(r["total"])),
                *(() if unit else (r["currency"], r["cost_basis"])),
                *(r["settlement"], common.yes_no(r["archived"]), common.yes_no(r["registered"]), r["mailed"]),
                r["state"],
            )
            for r in shown
        ],
        right={1, 2},
    )
    common.say_age(platform)
    say_rates(shown)
    say(inspection.summary)
    say(inspection.coverage_words)
    if inspection.gaps:
        say("`finops gaps` names the command that mends each.")
    for incident in platform.incidents.open():
        told = f"NOBODY WAS TOLD: {incident.not_notified}" if incident.not_notified else "told"
        since = f"{incident.opened:%Y-%m-%d %H:%M} UTC"
        say(f"open since {since}: {incident.kind}, {incident.subject}: {incident.problem.cause} ({told})")


def say_rates(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the exchange rates by which days are shown, those of a month once."""
    for words in dict.fromkeys(row["rates"] for row in rows if row.get("rates")):
        say(words)


@click.command()
@click.option("--weekly", is_flag=True, help="The rows of each of the newest 35 days, by year, month and day.")
@common.as_json
def gaps(weekly: bool, as_json: bool) -> None:
    """Which days are not whole, why, and the command that mends each; exits with 1 where there are any."""
    platform = common.open_platform()
    inspection = platform.inspector.thorough(common.now())
    not_whole = inspection.gaps
    if weekly:
        _show_counts(inspection.days[-35:], inspection.facts, as_json)
    elif as_json:
        print_json([vars(gap) for gap in not_whole])
    elif not_whole:
        print_table(
            ("days", "cause", "what", "mend"),
            [
                (f"{gap.first}" + (f" to {gap.last}" if gap.last > gap.first else ""), gap.cause, gap.detail, gap.mend)
                for gap in not_whole
            ],
        )
    if not as_json:
        common.say_age(platform)
        say(inspection.coverage_words)
        say(inspection.summary)  # the verdict comes last
    for unsure in (inspection.facts.unreadable, *inspection.unknown.values()):
        if unsure and as_json:
            complain(unsure)
    uncovered = inspection.coverage is not None and inspection.coverage.fault
    if not_whole or uncovered or inspection.facts.unreadable or inspection.unknown:
        sys.exit(FAILED)


def _show_counts(days: Sequence[date], facts: Facts, as_json: bool) -> None:
    """What a reader gets of each day, as the weekly routine counts it."""
    from finops_assets.core.archive.day_currencies import exact_total, is_mixed

    read = facts.read or {}
    # Of several currencies the sum that was read back is no money.
    mixed = {day: exact_total(of) for day, of in facts.archived.items() if of and is_mixed(of)}
    rows: list[dict[str, Any]] = [
        {
            "year": day.year,
            "month": day.month,
            "day": day.day,
            "rows": read[day].rows if day in read else 0,
            "total": mixed.get(day, read[day].total) if day in read else Decimal(),
        }
        for day in days
    ]
    if as_json:
        print_json(rows)
        return
    print_table(
        ("year", "month", "day", "rows", "total", ""),
        [
            (
                *list(row.values())[:4],
                row["total"] if isinstance(row["total"], str) else common.amount(row["total"]),
                "" if row["rows"] else "MISSING",
            )
            for row in rows
        ],
        right={0, 1, 2, 3, 4},
    )


def status_rows(
    platform: Platform, stretches: list[tuple[date, date]] | None = None, inspection: Inspection | None = None
) -> list[dict[str, Any]]:
    """What is there of these stretches of days; by default, of every day from the first that is known to the last."""
    from finops_assets.core.archive.display import rates_words
    from finops_assets.core.archive.states import state_of
    from finops_assets.core.calendar import days_between
    from finops_assets.core.errors import DamagedError

    archive, outbox = platform.shown_archive, platform.outbox
    inspection = inspection or platform.inspector.cheap(common.now())
    facts = inspection.facts
    known = sorted({*facts.archived, *facts.registered})
    if stretches is None:
        stretches = [(known[0], known[-1])] if known else []
    settled = platform.journal.settled()
    span = [day for first, last in stretches for day in days_between(first, last)]
    mailed = outbox.records.mailed_days(span)
    rows = []
    for day in span:
        state = inspection.states.get(day) or state_of(day, facts)
        try:
            published = archive.describe(day) if day in facts.archived else None
        except DamagedError:
            published = None
        rows.append(
            {
                "day": day,
                "rows": published.rows if published else 0,
                "total": published.total if published else Decimal(),
                "currency": published.currency if published else "",
                "cost_basis": published.cost_basis if published else "",
                **({"rates": rates_words([published])} if published and platform.display else {}),
                "settlement": settled(day) if published else "DAMAGED" if day in facts.archived else "",
                "archived": published is not None,
                "registered": bool(state.location),
                "mailed": mailed[day],
                "state": state.cause or "whole",
                "detail": state.detail,
                "mend": state.mend,
                "path": published.path if published else "",
                "version": published.version if published else "",
            }
        )
    return rows
