"""`finops demo` and `finops dev`: the sample bill, a story, the Dagster UI."""

from __future__ import annotations

import difflib
import os
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from finops_assets.cli import common
from finops_assets.cli.days import status_rows
from finops_assets.cli.errors import FAILED
from finops_assets.cli.running import execute
from finops_assets.cli.terminal import say, tell


class ScenarioName(click.ParamType):
    """The name of a story, or `list`."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from finops_assets.stories.scenarios import SCENARIOS

        if value != "list" and value not in SCENARIOS:
            near = [name for name in SCENARIOS if name.startswith(value)] or difflib.get_close_matches(value, SCENARIOS)
            meant = f"did you mean {near[0]}? " if near else ""
            self.fail(f"no such story: {value!r}; {meant}`--scenario list` names them", param, ctx)
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002
        """The names that begin like this, for the shell's Tab."""
        from finops_assets.stories.scenarios import SCENARIOS

        return [CompletionItem(name) for name in (*SCENARIOS, "list") if name.startswith(incomplete)]


@click.command()
@click.option("--days", type=click.IntRange(1, 400), default=90, show_default=True, help="Days of the sample bill.")
@click.option("--scenario", type=ScenarioName(), help="Play a story instead; `--scenario list` names them.")
def demo(days: int, scenario: str | None) -> None:
    """Make the sample bill and run the whole platform on it, or play a story of what goes wrong in a morning."""
    from finops_assets.defs.keys import CHECKS_JOB
    from finops_assets.defs.run import run_job
    from finops_assets.platform import require_home
    from finops_assets.stories.demo import prepare_demo

    if scenario:
        _play(scenario)
        return
    started = common.now()
    settings = common.load()
    require_home(settings)
    settings, sample, fresh = prepare_demo(settings, common.yesterday(), days)
    if fresh:
        tell(f"Sample bill: {sample.first_day} to {sample.last_day} in {settings.sample_folder}")
    result = execute(common.platform_of(settings), sample.first_day, sample.last_day)
    if not result:
        sys.exit(FAILED)
    platform = common.platform_of(settings)
    # As the schedule does each morning: without it, the UI shows these checks as never executed.
    run_job(platform, CHECKS_JOB, tell=tell, clock=lambda: common.now())
    rows = status_rows(platform)
    took = (common.now() - started).total_seconds()
    total = sum((row["total"] for row in rows if row["archived"]), Decimal())
    finops = common.this_command()
    common.say_block(
        f"""
{len(rows)} days archived in {took:.0f} s, {common.amount(total)} {rows[-1]["currency"]} ({rows[-1]["cost_basis"]}).

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
    if scenario == "list":
        common.say_block(stories)
        return
    settings = common.load()
    require_home(settings)
    make_home(settings.home)
    home = settings.home / "scenarios" / scenario
    say(SCENARIOS[scenario].__doc__ or "", "")
    play(scenario, home, common.yesterday(), common.say_block)
    common.say_block(
        f"""
Look at it:
  FINOPS_HOME={home} finops status
  mails      {home / "outbox"}
  alerts     {home / "alerts"}
  dashboard  {home / "dashboard.html"}
"""
    )


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on.")
def dev(host: str, port: int) -> None:
    """Open the Dagster UI: webserver and daemon (schedule, backfills) on this machine."""
    from finops_assets.cli.dev import run_dev
    from finops_assets.defs.instance import check_records

    settings = common.load()

    def prepare() -> None:
        common.platform_of(settings)  # settings that it lacks are named here, and not by each process of Dagster's
        check_records(settings.dagster_home, deployed=settings.platform == "aws")

    workspace = ["-w", "workspace.yaml"] if Path("workspace.yaml").is_file() else ["-m", "finops_assets.definitions"]
    os.environ["DAGSTER_UI_URL"] = settings.alerts.dagster_url
    sys.exit(
        run_dev(
            settings.home, [sys.executable, "-m", "finops_assets.defs.dagster_dev", *workspace], host, port, prepare
        )
    )
