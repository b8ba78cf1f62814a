"""`finops`: the platform from a shell. The same Dagster runs, instance and code as the UI's.

Exit codes: 0 done, 1 a run failed or something was found wrong, 2 wrong usage or settings; errors.py has the others.
"""

from __future__ import annotations

import click

from finops_assets import __version__
from finops_assets.cli import costs, days, digests, evidence, explain, health, recovery, running, start
from finops_assets.cli.errors import CommandGroup
from finops_assets.cli.from_terraform import from_terraform
from finops_assets.cli.quicksight import quicksight
from finops_assets.cli.verify import verify


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="finops")
def main() -> None:
    """Yesterday's AWS bill by organizational unit: archived, queryable, on the dashboard and in the inbox.

    Settings come from finops.toml and FINOPS_<SECTION>__<KEY>; see docs/configuration.md.
    """


@click.group("settings")
def settings_group() -> None:
    """Write settings."""


settings_group.add_command(from_terraform)
for command in (
    *(start.demo, start.dev, running.run, running.backfill, days.status, days.gaps),
    *(costs.query, costs.budgets, costs.anomalies, explain.explain, digests.resend, recovery.restore, recovery.observe),
    *(health.doctor, verify, evidence.evidence, quicksight, settings_group),
):
    main.add_command(command)
