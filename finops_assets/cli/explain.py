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
@click.option("--from-bill", is_flag=True, help="Ask the bill, also where the archive keeps the parts.")
@common.as_json
def explain(day: date, ou: str, from_bill: bool, as_json: bool) -> None:
    """Why DAY cost more or less than the same weekday before, in all, or in OU with all below it.

    The causes are named, the largest first; with --json the parts, which add up to the change, are there, too. They are
    those of the table moved_parts where it has the day as it is archived; else the bill is asked, as with --from-bill,
    which names resources on AWS, too.
    """
    from finops_assets.core.accounts.ous import ALL, within
    from finops_assets.core.accounts.published_map import read_account_map
    from finops_assets.core.analytics.cost_causes import words
    from finops_assets.core.analytics.explanations import explained
    from finops_assets.core.errors import FinopsError
    from finops_assets.core.money import change

    platform = common.open_platform()
    explanation = explained(platform.shown_bill, platform.shown_archive, day, from_bill=from_bill)
    ous = {part.ou for part in explanation.parts} | set(read_account_map(platform.archive)["ou"].to_pylist())
    if ou != ALL and not any(within(each, ou) for each in ous):
        raise FinopsError(f"there is no OU {ou}", fix="`finops query` of account_ou_map lists them.")
    parts, named, currency = explanation.of(ou), explanation.causes(ou), explanation.currency
    source = "moved_parts" if explanation.kept else "bill"
    delta = sum((part.delta for part in parts), Decimal())
    if as_json:
        facts = {name: getattr(explanation, name) for name in ("day", "against", "currency", "cost_basis")}
        of_parts = [{**vars(part), "change": part.delta} for part in parts]
        print_json(
            {
                **facts,
                "source": source,
                "ou": ou,
                "change": delta,
                "causes": [vars(each) for each in named],
                "parts": of_parts,
            }
        )
        return
    say(f"{ou} on {day} against {explanation.against}: {change(delta, currency)}, {explanation.cost_basis} cost")
    for place, cause in enumerate(named[:SHOWN], 1):
        lines = click.wrap_text(words(cause, currency), 79, f"{place:>2}. ", "    ").split("\n")
        say(*lines)
    if rest := named[SHOWN:]:
        amount = change(sum((each.amount for each in rest), Decimal()), currency)
        say(f"    {len(rest)} more: {amount}")
    say("As kept in finops_db.moved_parts." if explanation.kept else "Asked of the bill.")
