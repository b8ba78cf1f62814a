"""`finops verify`: every day of the archive proved by its content."""

from __future__ import annotations

import sys
from datetime import date
from typing import Any

import click

from finops_assets.cli import common
from finops_assets.cli.errors import FAILED
from finops_assets.cli.terminal import print_json, say


@click.command("verify")
@click.argument("first", metavar="FROM", type=common.DAY, required=False)
@click.argument("last", metavar="TO", type=common.DAY, required=False)
@common.as_json
def verify(first: date | None, last: date | None, as_json: bool) -> None:
    """Prove the rows of every archived day, or of those from FROM to TO; exits with 1 if one is damaged.

    Each object is read once, and changed in nothing. `finops evidence verify` proves a month's bundle.
    """
    from finops_assets.core.calendar import days_between
    from finops_assets.core.operations.verification import summary
    from finops_assets.core.operations.verification import verify as verify_days

    if (first is None) != (last is None):
        raise click.UsageError("give both FROM and TO, or neither")
    if first and last and first > last:
        raise click.UsageError(f"FROM {first} is after TO {last}")
    archive = common.open_platform().archive
    verdicts = []
    for verdict in verify_days(archive, days_between(first, last) if first and last else archive.days()):
        verdicts.append(verdict)
        if verdict.fault and not as_json:
            say(f"{verdict.day}  {verdict.path} {verdict.fault}")
            say(f"            Mend it: {verdict.mend}")
    summary_of_days = summary(verdicts)
    if as_json:
        _print_json(summary_of_days)
    else:
        say(str(summary_of_days) if verdicts else "No day is archived.")
    if summary_of_days.damaged:
        sys.exit(FAILED)


def _print_json(verified: Any) -> None:
    damaged = [{"day": str(v.day), "path": v.path, "fault": v.fault, "mend": v.mend} for v in verified.damaged]
    facts = {"verified": not damaged, **vars(verified), "damaged": damaged}
    print_json(facts)
