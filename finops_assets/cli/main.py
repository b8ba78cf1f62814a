"""`finops`: the platform from a shell. The same Dagster runs, instance and code as the UI's.

Exit codes: 0 done, 1 a run failed or something was found wrong, 2 wrong usage or settings; errors.py has the others.
"""

from __future__ import annotations

import click

from finops_assets import __version__
from finops_assets.cli import costs, days, digests, evidence, explain, first, health, morning, recovery, running, start
from finops_assets.cli.errors import CommandGroup
from finops_assets.cli.from_terraform import from_terraform
from finops_assets.cli.quicksight import quicksight
from finops_assets.cli.verify import verify


@click.group("settings")
def settings_group() -> None:
    """Write settings."""


settings_group.add_command(from_terraform)

GROUPS: dict[str, dict[click.Command, str]] = {
    "Begin": {
        first.init: "Settings, accounts and a budget for one's own bill.",
        start.demo: "The whole platform on a sample bill, or a story.",
        start.dev: "The Dagster UI: schedule, backfills, sensors.",
    },
    "Each day": {
        running.run: "One day: archived, registered, shown, mailed.",
        morning.morning: "Once what a daemon does all day, from cron or a task.",
        running.backfill: "Every day of a range, or of the bill, in one run.",
        digests.resend: "A day's stored digest once more.",
    },
    "Costs": {
        costs.query: "One SELECT over the archive's tables.",
        costs.budgets: "Each OU's month against its budget.",
        costs.anomalies: "Costs that nobody expected.",
        explain.explain: "Why a day moved: causes, and their largest parts.",
        costs.commitments: "Savings Plans and reservations: used or not, and when they end.",
    },
    "State": {
        days.status: "Each archived day: total, registered, mailed.",
        days.gaps: "Days that are not whole, why, and what mends them.",
        health.doctor: "What the settings use, and one day from bill to inbox.",
        verify: "The archive's rows, proved against what was written.",
    },
    "Operation": {
        evidence.evidence: "A month's evidence in one zip with checksums.",
        recovery.restore: "A day's versions, or one of them brought back.",
        recovery.observe: "Dagster's records, made anew from the archive.",
        quicksight: "The dashboard in Amazon QuickSight.",
        settings_group: "Settings from Terraform's outputs.",
    },
}
"""The commands by what they are for, each in a line of `finops --help`."""


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="finops")
def main() -> None:
    """Yesterday's AWS bill by organizational unit: archived, queryable, on the dashboard and in the inbox.

    Settings come from finops.toml and FINOPS_<SECTION>__<KEY>; see docs/configuration.md.
    """


for title, commands in GROUPS.items():
    for command, line in commands.items():
        command.short_help = line
        main.add_command(command)
        main.sections.setdefault(title, []).append(command)
