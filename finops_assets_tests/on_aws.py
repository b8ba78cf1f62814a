"""A platform on the stand-in AWS: an account made ready, and the settings that lead there."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from finops_assets.core.schemas import day_path
from finops_assets.defs.run import Outcome, run_days
from finops_assets.platform import Platform, build_platform
from finops_assets.settings.load import load_settings
from finops_assets_tests.aws import StandIn
from finops_assets_tests.aws.bills import load_bill, setup

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


def platform_on(aws: StandIn, home: Path, **settings: Any) -> Platform:
    """The platform in this process; AWS's own variables must be set in its environment."""
    return build_platform(load_settings(on_aws(aws, home, **settings), folder=home))


def make_ready(aws: StandIn, bill: Path, *, accounts: Path | None = None, table: str = TABLE) -> None:
    """What somebody would have set up: bucket, workgroup, the bill's table, the organization, data set and sender."""
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


def run(platform: Platform, first: date, last: date | None = None) -> Outcome:
    """Run these days at 07:00 UTC of the morning after the last of them."""
    last = last or first
    morning = datetime(last.year, last.month, last.day, 7, tzinfo=UTC) + timedelta(days=1)
    return run_days(platform, first, last, clock=lambda: morning)


def objects(aws: StandIn, prefix: str = "", bucket: str = BUCKET) -> list[str]:
    """The keys of a bucket below a prefix."""
    pages = aws.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [each["Key"] for page in pages for each in page.get("Contents", ())]


def versions(aws: StandIn, day: date) -> list[str]:
    """The versions of a day's object."""
    listed = aws.client("s3").list_object_versions(Bucket=BUCKET, Prefix=day_path(day)).get("Versions", [])
    return [version["VersionId"] for version in listed]


def newest_memberships(accounts: Path) -> Mapping[str, tuple[str, str]]:
    """Account -> (name, OU path) as of the last line of each in an accounts.csv."""
    with accounts.open(encoding="utf-8", newline="") as lines:
        return {row["account_id"]: (row["account_name"], row["ou_path"]) for row in csv.DictReader(lines)}
