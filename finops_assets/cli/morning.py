"""`finops morning`: one round of what a daemon does all day, for a machine on which none runs."""

from __future__ import annotations

import sys

import click

from finops_assets.cli import common
from finops_assets.cli.errors import ALERTED, FAILED
from finops_assets.cli.running import platform_to_run
from finops_assets.cli.terminal import complain, print_json, say, tell


@click.command()
@common.as_json
def morning(as_json: bool) -> None:
    """Do once what the daemon of `finops dev` does all day, for cron or a scheduled task; no server is needed.

    Days that are new, changed or not whole are run, and what the schedules have had due since the last time:
    yesterday and its digest, the checks, the check-up, the proof of the archive, the month's evidence. Alerts are sent
    as the daemon sends them. Run it at schedule.cron (07:00 UTC) or later, and as often as you like.

    Exit codes: 0 all is done, 3 something is wrong and an alert was sent of it, 1 something is wrong and that is not
    sure.
    """
    from finops_assets.defs.rounds import make_round

    platform = platform_to_run([])
    made = make_round(platform, tell=tell, clock=lambda: common.now())
    failed = [run for run in made.ran if run.errors]
    not_told = [f"{name} could not be asked: {why}" for name, why in made.broken.items()]
    open_now = platform.incidents.open()
    not_told += [f"nobody was told of {each.key}: {each.not_notified}" for each in open_now if not each.notified]
    for message in [f"{run.what}: {error}" for run in failed for error in run.errors] + not_told:
        complain(message)
    if as_json:
        runs = [run._asdict() for run in made.ran]
        cause = next((error for run in failed for error in run.errors), "") or next(iter(not_told), "")
        busy = made.busy_since and made.busy_since.isoformat()
        print_json(
            {
                "succeeded": not failed and not not_told,
                "cause": cause,
                "runs": runs,
                "skipped": made.skipped,
                "busy_since": busy,
            }
        )
    elif made.busy_since:
        say(f"another process does this since {made.busy_since:%Y-%m-%d %H:%M} UTC: nothing was done here")
    else:
        for reason in made.skipped:
            say(reason)
        say(f"{len(made.ran)} run(s), {len(failed)} failed" if made.ran else "there was nothing to do")
    if failed or not_told:
        sys.exit(FAILED if not_told else ALERTED)
