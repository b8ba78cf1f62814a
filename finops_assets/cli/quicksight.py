"""`finops quicksight`: the dashboard in QuickSight, shown as what would be sent, and put in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from finops_assets.cli.terminal import print_json, say, tell

if TYPE_CHECKING:
    from finops_assets.adapters.aws.quicksight.requests import Plan
    from finops_assets.core.accounts.permissions import Rule
    from finops_assets.platform import Platform
    from finops_assets.settings.model import Settings

permissions_option = click.option(
    "--permissions",
    metavar="FILE",
    help="ou_permissions.csv (user,group,ou), a file or s3://bucket/key: who may see which OU. "
    "Default: aws.quicksight_permissions.",
)


@click.group()
def quicksight() -> None:
    """The dashboard in Amazon QuickSight: data source, data sets, row-level security, theme, two sheets."""


@quicksight.command()
@permissions_option
@click.option("--owner", "owners", multiple=True, metavar="WHO", help="group/NAME, user/NAME or an ARN: may change it.")
@click.option("--viewer", "viewers", multiple=True, metavar="WHO", help="group/NAME, user/NAME or an ARN: may look.")
@click.option("--charges", is_flag=True, help="Also a data set of what the money is, for analyses of your own.")
@click.option("--open-to-all", is_flag=True, help="Take row-level security away: who can open it sees every OU.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def deploy(
    permissions: str | None,
    owners: Sequence[str],
    viewers: Sequence[str],
    charges: bool,
    open_to_all: bool,
    as_json: bool,
) -> None:
    """Make or update it, wait for it and share it; without a change, nothing is done."""
    from finops_assets.adapters.aws.glue_tables import GlueTables
    from finops_assets.adapters.aws.quicksight import ids
    from finops_assets.adapters.aws.quicksight.deployment import Deployment
    from finops_assets.composition.channels import aws_session

    settings, platform = _on_aws()
    session = aws_session(settings)
    plan = replace(_plan(settings, platform, permissions, owners, viewers, open_to_all), charges=charges)
    # The tables that the data sets read: on a new account, the first run has not made them yet.
    GlueTables(session, settings.aws.bucket).ensure()
    deployment = Deployment(
        session,
        settings.aws.quicksight_account,
        timeout_seconds=settings.aws.quicksight_timeout_seconds,
        tell=tell,
    )
    done = deployment.deploy(plan)
    wanted = {"quicksight_data_set": ids.BREAKDOWN, "quicksight_scorecard_data_set": ids.SCORECARD}
    missing = {name: value for name, value in wanted.items() if getattr(settings.aws, name, "") != value}
    if as_json:
        resources = [{"kind": one.kind, "id": one.id, "how": one.how} for one in done]
        facts = {"resources": resources, "dashboard": deployment.link, "secured": bool(plan.rules), "settings": wanted}
        print_json(facts)
        return
    for one in done:
        say(f"{one.kind:<12}  {one.id:<22}  {one.how}")
    say(f"dashboard     {deployment.link}")
    say(f"seen by OU    {_secured(plan)}")
    if not (owners or viewers):
        say("shared        with nobody now: --owner and --viewer name a group/NAME or user/NAME")
    if missing:
        say("", "So that each day's run refreshes it, set", "", "[aws]")
        for name, value in missing.items():
            say(f'{name} = "{value}"')


@quicksight.command()
@permissions_option
def show(permissions: str | None) -> None:
    """Print, as JSON, what `deploy` would send; nothing is asked of QuickSight."""
    from finops_assets.adapters.aws.quicksight.api_model import hold_to_model
    from finops_assets.adapters.aws.quicksight.requests import requests
    from finops_assets.composition.channels import aws_session

    settings, platform = _on_aws()
    session = aws_session(settings)
    account = settings.aws.quicksight_account or session.account
    planned = requests(_plan(settings, platform, permissions), session.region, account)
    hold_to_model(planned, account)
    bodies = {f"{one.kind} {one.id}": one.body for one in planned}
    print_json(bodies)


def _plan(
    settings: Settings,
    platform: Platform,
    permissions: str | None,
    owners: Sequence[str] = (),
    viewers: Sequence[str] = (),
    open_to_all: bool = False,
) -> Plan:
    from finops_assets.adapters.aws.quicksight.requests import Plan
    from finops_assets.core.accounts.published_map import read_account_map

    known = sorted(set(read_account_map(platform.archive)["ou"].to_pylist()))
    days = platform.archive.days()
    newest = platform.archive.describe(days[-1]) if days else None
    return Plan(
        workgroup=settings.aws.workgroup,
        tiles=list(dict.fromkeys(path.split("/")[0] for path in known)),
        rules=_rules(settings, permissions, known),
        known=known,
        owners=owners,
        viewers=viewers,
        currency=newest.currency if newest else "",
        cost_basis=newest.cost_basis if newest else "",
        amber=settings.budgets.amber_percent / 100,
        open_to_all=open_to_all,
    )


def _rules(settings: Settings, given: str | None, known: Sequence[str]) -> list[Rule]:
    from finops_assets.composition.channels import read_address
    from finops_assets.core.accounts.permissions import read_permissions
    from finops_assets.core.errors import SettingsError

    address = given or settings.aws.quicksight_permissions
    if not address:
        return []
    data = read_address(settings, address)
    if data is None:
        raise SettingsError(
            f"there is no such file: {address}",
            where="--permissions" if given else "aws.quicksight_permissions (FINOPS_AWS__QUICKSIGHT_PERMISSIONS)",
            fix="Set it to your ou_permissions.csv, with the columns user,group,ou.",
        )
    return read_permissions(data, address, known)


def _secured(plan: Plan) -> str:
    if not plan.rules:
        return "no: who can open the dashboard sees every OU (--permissions)"
    return f"yes: {len({rule.who for rule in plan.rules})} users and groups; others see nothing"


def _on_aws() -> tuple[Settings, Platform]:
    from finops_assets.core.errors import SettingsError
    from finops_assets.platform import build_platform
    from finops_assets.settings.load import load_settings

    settings = load_settings()
    if settings.platform != "aws":
        raise SettingsError(
            f"is {settings.platform!r}, and QuickSight is on AWS",
            where="platform (FINOPS_PLATFORM)",
            fix="Set it to aws; the embedded platform's dashboard is a file, dashboard.html in the home.",
        )
    return settings, build_platform(settings)
