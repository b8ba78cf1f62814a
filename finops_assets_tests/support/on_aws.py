"""A platform on the stand-in AWS, in this process."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from finops_assets.core.schemas import day_path
from finops_assets.defs.run import Outcome, run_days
from finops_assets.platform import Platform, build_platform
from finops_assets.settings.load import load_settings
from standin.account import (
    BUCKET,
    DATA_SET,
    RECIPIENTS,
    SENDER,
    TABLE,
    WORKGROUP,
    make_ready,
    newest_memberships,
    on_aws,
    settings_on,
)
from standin.server import StandIn

__all__ = [
    "BUCKET",
    "DATA_SET",
    "RECIPIENTS",
    "SENDER",
    "TABLE",
    "WORKGROUP",
    "make_ready",
    "newest_memberships",
    "objects",
    "on_aws",
    "platform_on",
    "run",
    "settings_on",
    "versions",
]


def platform_on(aws: StandIn, home: Path, **settings: Any) -> Platform:
    """The platform in this process; AWS's own variables must be set in its environment."""
    return build_platform(load_settings(on_aws(aws, home, **settings), folder=home))


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
