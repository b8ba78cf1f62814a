"""`finops run` and `finops backfill`: days are run, and what became of them is reported."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import click

from finops_assets.cli import common
from finops_assets.cli.days import say_rates, status_rows
from finops_assets.cli.errors import FAILED
from finops_assets.cli.terminal import PROGRESS, complain, print_json, say, tell

if TYPE_CHECKING:
    from finops_assets.defs.run import Outcome
    from finops_assets.platform import Platform
    from finops_assets.settings.model import Settings


LATE = timedelta(days=7)
"""A bill that is late by so much, where days are archived, is an incident."""


@click.command()
@click.option("--date", "day", type=common.DAY, help="The day; yesterday (UTC) by default.")
@click.option("--mail", is_flag=True, help="Send its digest although another day's mail has spoken for it.")
@common.as_json
def run(day: date | None, mail: bool, as_json: bool) -> None:
    """Run one day: archive it, register it, refresh the dashboard, send the digest.

    Without --date, the days that the bill has changed since, or that are missing, are run with it, as the sensors do.
    A day that another day's mail has spoken for, as after a backfill, is mailed with --mail only.
    """
    by_name = day is not None
    day = day or common.yesterday()
    platform = platform_to_run([day])
    _refuse_after_the_end(platform, day)
    others = _other_days(platform, day)
    if by_name:
        _finish(platform, [(day, day)], as_json, mail=mail, before_the_end=lambda: _tell_of_others(others))
    else:
        from finops_assets.core.calendar import stretches

        _finish(platform, stretches({*others, day}), as_json, mail=mail)


@click.command()
@click.argument("first", metavar="FROM", type=common.DAY, required=False)
@click.argument("last", metavar="TO", type=common.DAY, required=False)
@click.option("--resume", is_flag=True, help="Only the days that are not whole: what a killed backfill has left.")
@click.option("--mail", is_flag=True, help="Send the newest day's digest although another mail has spoken for it.")
@common.as_json
def backfill(first: date | None, last: date | None, resume: bool, mail: bool, as_json: bool) -> None:
    """Run every day from FROM to TO in one run; without them, every day that the bill has.

    Days that the bill does not have, or not whole, are left out and named; with FROM and TO it then exits with 1.

    One mail is sent, the newest day's, which speaks for the others.
    """
    from finops_assets.core.archive.available_days import days_to_archive, left_out_in_words
    from finops_assets.core.bill.totals import bill_totals
    from finops_assets.core.calendar import days_between, in_words
    from finops_assets.core.calendar import stretches as in_stretches

    if (first is None) != (last is None):
        raise click.UsageError("give both FROM and TO, or neither")
    platform = platform_to_run([first, last] if first and last else [])
    bill, newest = platform.settings.bill, common.yesterday()
    if first and last:
        if first > last:
            raise click.UsageError(f"FROM {first} is after TO {last}")
        check_days(platform.settings, first, last)
    version, totals = platform.warehouse.export_version(), bill_totals(platform.warehouse.control_totals())
    known = [day for day in totals.days if bill.first_day <= day <= newest]
    if not known and not first:
        complain(f"the bill has no day from bill.first_day ({bill.first_day}) to yesterday ({newest})")
        sys.exit(FAILED)
    wanted = days_between(first, last) if first and last else days_between(known[0], known[-1])
    days, left_out = days_to_archive(
        totals, wanted, version.updated, common.now(), bill.complete_after_hours, oldest=version.oldest
    )
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


def _refuse_after_the_end(platform: Platform, day: date) -> None:
    """Refuse a day long after the last one of a bill that is not delivered any more: a run would fail, and alert.

    A bill that is late by some days is alerted. Nobody waits for one of which no day, or none of a week before, is
    archived; that bill is asked.

    Raises:
        FinopsError: the bill ends before the day.
    """
    from finops_assets.core.bill.totals import bill_totals
    from finops_assets.core.errors import FinopsError

    newest = max(platform.archive.days(), default=None)
    if day > common.yesterday() or (newest and day - newest <= LATE):
        return
    try:
        days = bill_totals(platform.warehouse.control_totals()).days
    except FinopsError:
        return  # the run meets it, and alerts
    if not days or day <= max(days):
        return
    name = f"yesterday, {day}," if day == common.yesterday() else str(day)
    raise FinopsError(
        f"{name} is not in this bill; its newest day is {max(days)}",
        fix=f"Run that day (`finops run --date {max(days)}`) or all of them (`finops backfill`).",
    )


def _other_days(platform: Platform, day: date) -> list[date]:
    """Other days that the bill has changed, or that are missing or not whole, and that a run mends."""
    from finops_assets.core.errors import FinopsError
    from finops_assets.core.operations.repair import other_days

    watch, now = platform.watch, common.now()
    try:
        if not platform.archive.days():  # what nobody asked to keep is not begun by itself
            return []
        news = watch.news(now)
        inspection = watch.inspect(now)
    except FinopsError as error:  # the run itself meets it, and says so where it belongs
        tell(f"not looked for other days: {error}")
        return []
    return other_days(inspection, {*news.new, *news.restated} if news else (), day)


def _tell_of_others(days: Sequence[date]) -> None:
    """Name days that are not as in the bill and that nobody asked for."""
    from finops_assets.core.calendar import in_words

    if days:
        tell(f"left as they are, though the bill has them otherwise: {in_words(days)}; `finops run` runs them, too")


def _resume(platform: Platform, stretches: list[tuple[date, date]], as_json: bool) -> None:
    """Run those of these days that are not whole, as far as a run mends them."""
    from finops_assets.core.calendar import days_between
    from finops_assets.core.calendar import stretches as in_stretches
    from finops_assets.core.operations.repair import left_to_run

    wanted = [day for first, last in stretches for day in days_between(first, last)]
    mailed = platform.outbox.records.mailed(wanted[-1]).state in ("sent", "unknown")
    left = left_to_run(platform.inspector.thorough(common.now(), wanted), wanted, last_is_mailed=mailed)
    tell(f"{len(wanted) - len(left)} of {len(wanted)} days are whole already")
    if left:
        _finish(platform, in_stretches(left), as_json)
    elif as_json:
        print_json({"succeeded": True, "days": []})


def platform_to_run(days: Sequence[date]) -> Platform:
    """The platform for a run, which may be nobody's to watch: where the home cannot be written, people are told."""
    from finops_assets.core.errors import ArchiveError
    from finops_assets.platform import require_home

    settings = common.load()
    try:
        require_home(settings)
        return common.platform_of(settings)
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
    inspection = platform.inspector.cheap(common.now())
    wanted = status_rows(platform, stretches, inspection)
    digest = outcomes[-1].digest or {}
    corrections = [o.digest for o in outcomes[:-1] if o.digest and o.digest["state"] == SENT]
    if as_json:
        facts = {"coverage": inspection.coverage, "left_out": {str(day): why for day, why in (left_out or {}).items()}}
        runs = [
            {"first": first, "last": last, "run_id": outcome.run_id, "errors": outcome.errors}
            for (first, last), outcome in zip(stretches, outcomes, strict=True)
        ]
        cause = next((error for outcome in outcomes for error in outcome.errors), "")
        record = {"succeeded": good, "cause": cause, "run_id": outcomes[-1].run_id, "runs": runs, "days": wanted}
        print_json({**record, "digest": digest, "corrections": corrections, **facts})
    elif good:
        total = sum((r["total"] for r in wanted), Decimal())
        days = f"{wanted[0]['day']}" + (f" to {wanted[-1]['day']}" if len(wanted) > 1 else "")
        say(f"{days}: {common.amount(total)} {wanted[-1]['currency']} ({wanted[-1]['cost_basis']}) archived")
        say_rates(wanted)
        say(f"dashboard  {platform.places['dashboard']}")
    if not as_json:
        for mail_state in (*corrections, digest):
            if good or mail_state["state"] in (SENT, SENT_IN_PART):
                place = f"; {platform.places['digest']}" if mail_state["state"] == SENT else ""
                say(f"digest     {mail_state['words']}{place}")
        if good:
            say(f"bill       {inspection.coverage_words}")
            bill = platform.warehouse.describe()
            for warning in (*bill.warnings, *bill.untold_dimensions.values()):
                say(f"warning    {warning}")
    before_the_end()
    if not good:
        sys.exit(FAILED)


def check_days(settings: Settings, first: date, last: date) -> None:
    """Refuse days that are not kept, or not over yet."""
    from finops_assets.core.errors import SettingsError

    start, newest = settings.bill.first_day, common.yesterday()
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


def execute(platform: Platform, first: date, last: date, assets: Sequence[str] = ()) -> bool:
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

    check_days(platform.settings, first, last)
    outcome = run_days(
        platform,
        first,
        last,
        assets=assets,
        asked=asked,
        mail=mail,
        tell=tell,
        progress=PROGRESS,
        clock=lambda: common.now(),
    )
    for message in outcome.errors:
        complain(message)
    if outcome.errors:
        complain(f"run {outcome.run_id} failed; `finops dev` shows it")
    return outcome
