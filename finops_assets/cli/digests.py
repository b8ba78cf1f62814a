"""`finops resend`: a digest again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

import click

from finops_assets.cli import common
from finops_assets.cli.terminal import print_json, print_table

if TYPE_CHECKING:
    from finops_assets.core.values import Delivery


@click.command()
@click.argument("day", type=common.DAY)
@click.option("--to", metavar="ADDRESS", help="Send it to this recipient only: one of the settings (mail.resend_to).")
@click.option("--received", is_flag=True, help="Send nothing: record that the recipient has it.")
@click.option("--refresh", is_flag=True, help="Make it anew from what is archived now, and send that as a revision.")
@common.as_json
def resend(day: date, to: str | None, received: bool, refresh: bool, as_json: bool) -> None:
    """Send the stored digest of DAY again, the same bytes.

    A day that was covered by another day's mail has none of its own: it is made now.
    """
    if received and not to:
        raise click.UsageError("--received needs --to: say who has it")
    if refresh and to:
        raise click.UsageError("--refresh makes a revision, which goes to all recipients: leave out --to")
    platform = common.open_platform()
    if received and to:
        deliveries: Sequence[Delivery] = platform.outbox.settle(day, [to])
    else:
        deliveries = platform.digests.resend(day, common.now(), to=[to] if to else (), refresh=refresh)
    if as_json:
        print_json([{"recipient": d.recipient, "location": d.location} for d in deliveries])
    else:
        print_table(("recipient", "message"), [(d.recipient, d.location) for d in deliveries])
