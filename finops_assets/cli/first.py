"""`finops init`: the settings, the account map and a budget for one's own bill, as files to be filled in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from finops_assets.cli import common
from finops_assets.cli.from_terraform import as_toml
from finops_assets.cli.terminal import say
from finops_assets.core.errors import BillError

if TYPE_CHECKING:
    from finops_assets.settings.model import Settings

HOME, SETTINGS, ACCOUNTS, BUDGETS = ".finops-mine", "finops.toml", "accounts.csv", "budgets.csv"


@click.command()
@click.argument("export")
@click.option("--organizations", is_flag=True, help="Take each account's OU from AWS Organizations, too.")
def init(export: str, organizations: bool) -> None:
    """Read the bill at EXPORT, a file or folder; write finops.toml, accounts.csv and budgets.csv where they lack.

    A file that exists is left as it is. Then `finops backfill` archives every day of the bill.
    """
    from finops_assets.core.bill.totals import bill_totals
    from finops_assets.core.operations.first_files import account_costs, accounts_csv, budgets_csv, proposed_budget

    if "://" in export:
        raise click.UsageError(f"{export} is not on this machine: copy it here, or see docs/aws.md for a bill on S3")
    with TemporaryDirectory() as home:
        settings = _settings(export, Path(home))
        platform = common.platform_of(settings)
        bill = platform.warehouse.describe()
        totals = bill_totals(platform.warehouse.control_totals())
        newest = totals.newest(common.yesterday())
        if newest is None:
            raise BillError("has no line of a day that is over", where=export, fix="Name an export that has charges.")
        table = platform.accounts.load().table
        names = dict(zip(table["account_id"].to_pylist(), table["account_name"].to_pylist(), strict=True))
        costs = account_costs(platform.warehouse, newest, table)
        paths = _ou_paths(settings) if organizations else {}
    days = {day: of.total for day, of in totals.days.items() if day <= newest}
    budget = proposed_budget(days, totals.currency)
    say(
        f"{export}: {bill.format}, {totals.whole.lines:,} lines of {len(names)} account(s), "
        f"{min(days)} to {newest} ({len(days)} days)"
    )
    known = sum(account in paths for account in names)
    unknown = f"{len(names) - known} of {len(names)} accounts, the dearest first: fill in ou_path (Workloads/Prod)"
    _write(ACCOUNTS, accounts_csv(names, costs, paths), unknown if known < len(names) else f"{known} accounts")
    if budget:
        amount = common.amount(budget.amount)
        _write(BUDGETS, budgets_csv(budget, totals.currency), f"{amount} {totals.currency} a month: {budget.words}")
    _write(SETTINGS, settings_toml(export, budgets=BUDGETS if Path(BUDGETS).exists() else "").encode(), f"home {HOME}")
    say(
        "",
        f"Next: `{common.this_command()} backfill` archives these {len(days)} days,",
        f"then see {HOME}/dashboard.html.",
    )


def _settings(export: str, home: Path) -> Settings:
    """Settings for the bill alone, whatever this folder's say; of the environment, those of AWS count.

    Raises:
        SettingsError: the export cannot be a bill's path.
    """
    from finops_assets.settings.load import load_settings

    of_aws = {name: value for name, value in os.environ.items() if name.startswith("FINOPS_AWS__")}
    return load_settings(of_aws, {"home": home, "bill.path": export}, folder=home)


def _ou_paths(settings: Settings) -> Mapping[str, str]:
    from finops_assets.composition.channels import organization

    return {of.account_id: of.ou_path for of in organization(settings)}


def _write(file: str, data: bytes, what: str) -> None:
    """Write a file that is not there yet, and say so."""
    try:
        with Path(file).open("xb") as out:
            out.write(data)
    except FileExistsError:
        say(f"  {file:<13} is there already, and left as it is")
    else:
        say(f"  {file:<13} written: {what}")


def settings_toml(export: str, budgets: str) -> str:
    """A finops.toml for the export, with what people set next as comments.

    Args:
        export: bill.path.
        budgets: budgets.path; empty where there is none.
    """
    plan = f"path = {as_toml(budgets)}" if budgets else f'# path = "{BUDGETS}"         # ou,month,amount,currency'
    return f"""\
# All settings: docs/configuration.md
home = "{HOME}"               # archive, dashboard, outbox: a folder of its own for each bill

[bill]
path = {as_toml(export)}
# cost_basis = "effective"         # amortized; or billed (as here), unblended, net_unblended, net_amortized

[accounts]
path = "{ACCOUNTS}"
# ou_level = 2                     # levels of the OU path that are shown; all of them by default

[budgets]
{plan}

[mail]
# recipients = ["finops@example.com"]
# executives = ["cfo@example.com"]                       # the same digest, with the PDF

# [mail.by_ou]                     # that OU and what lies below it, and nothing else
# "Workloads/Prod" = ["prod-lead@example.com"]
"""
