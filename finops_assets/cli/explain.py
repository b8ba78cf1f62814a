"""`finops explain`: why a day cost what it did."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import click

from finops_assets.cli import common
from finops_assets.cli.terminal import print_json, say

SHOWN = 10
"""Causes that are printed; `--json` has all."""


@click.command()
@click.argument("day", type=common.DAY)
@click.argument("ou", required=False, default="All")
@common.as_json
def explain(day: date, ou: str, as_json: bool) -> None:
    """Why DAY cost more or less than the same weekday before, in all, or in OU with all below it.

    The causes are named, the largest first; with --json the parts, which add up to the change, are there, too.
    """
    from finops_assets.core.accounts.ous import ALL, within
    from finops_assets.core.accounts.published_map import read_account_map
    from finops_assets.core.analytics.cost_causes import words
    from finops_assets.core.analytics.explanations import explained
    from finops_assets.core.errors import FinopsError
    from finops_assets.core.money import change

    platform = common.open_platform()
    explanation = explained(platform.shown_bill, platform.shown_archive, day)
    ous = {part.ou for part in explanation.parts} | set(read_account_map(platform.archive)["ou"].to_pylist())
    if ou != ALL and not any(within(each, ou) for each in ous):
        raise FinopsError(f"there is no OU {ou}", fix="`finops query` of account_ou_map lists them.")
    moved, parts, named = explanation.drivers, explanation.of(ou), explanation.causes(ou)
    delta = sum((part.delta for part in parts), Decimal())
    if as_json:
        facts = {name: getattr(moved, name) for name in ("day", "against", "currency", "cost_basis")}
        of_parts = [{**vars(part), "change": part.delta} for part in parts]
        print_json({**facts, "ou": ou, "change": delta, "causes": [vars(each) for each in named], "parts": of_parts})
        return
    say(f"{ou} on {day} against {moved.against}: {change(delta, moved.currency)}, {moved.cost_basis} cost")
    for place, cause in enumerate(named[:SHOWN], 1):
        lines = click.wrap_text(words(cause, moved.currency), 79, f"{place:>2}. ", "    ").split("\n")
        say(*lines)
    if rest := named[SHOWN:]:
        amount = change(sum((each.amount for each in rest), Decimal()), moved.currency)
        say(f"    {len(rest)} more: {amount}")
