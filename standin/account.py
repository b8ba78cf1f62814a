"""An account as somebody sets it up for the platform, and the platform's settings that lead there."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from standin.bills import load_bill, setup
from standin.server import StandIn

BUCKET, WORKGROUP, TABLE, DATA_SET = "finops-daily-summaries", "finops", "billing.focus", "ou-breakdown"
SENDER = "finops@example.com"
RECIPIENTS = ("a@example.com", "b@example.com", "c@example.com")


def on_aws(aws: StandIn, home: Path, **settings: Any) -> dict[str, str]:
    """The environment of a process that runs on the stand-in; settings as `bill__table="billing.cur2"`."""
    return settings_on(home, **settings) | aws.environ


def settings_on(home: Path, **settings: Any) -> dict[str, str]:
    """The settings as environment variables."""
    chosen = {
        "platform": "aws",
        "home": home / ".finops",
        "bill__table": TABLE,
        "aws__bucket": BUCKET,
        "aws__workgroup": WORKGROUP,
        "aws__quicksight_data_set": DATA_SET,
        "mail__sender": SENDER,
        "mail__recipients": ",".join(RECIPIENTS),
        **settings,
    }
    return {f"FINOPS_{name.upper()}": str(value) for name, value in chosen.items()}


def make_ready(aws: StandIn, bill: Path, *, accounts: Path | None = None, table: str = TABLE) -> None:
    """Make bucket, workgroup, the bill's table, the organization, the data set and verified addresses.

    Args:
        aws: the stand-in.
        bill: folder or file of the bill.
        accounts: an accounts.csv; its newest memberships become the organization.
        table: the bill's table, `database.table`.
    """
    setup(aws, BUCKET)
    load_bill(aws, bill, table=table)
    for address in (SENDER, *RECIPIENTS):
        aws.mail.verify(address)
    aws.quicksight.seconds_per_step = 0.1
    aws.quicksight.add_data_set(DATA_SET, table="finops_db.ou_breakdown")
    if accounts:
        for account, (name, path) in newest_memberships(accounts).items():
            aws.organizations.add_account(account, name, path)
    aws.calls.reset()


def newest_memberships(accounts: Path) -> Mapping[str, tuple[str, str]]:
    """Account -> (name, OU path) as of the last line of each in an accounts.csv."""
    with accounts.open(encoding="utf-8", newline="") as lines:
        return {row["account_id"]: (row["account_name"], row["ou_path"]) for row in csv.DictReader(lines)}
