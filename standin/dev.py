"""`make aws-dev`: a stand-in AWS with the sample bill in it, all its days archived, and the Dagster UI on it.

Everything is in `.finops-aws/`, mails and the dashboard's page too; what AWS would keep is gone when this ends, as the
stand-in keeps it in memory.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

from finops_assets.adapters.shared.dashboard_page import DASHBOARD_PATH
from finops_assets.platform import build_platform
from finops_assets.settings.load import load_settings
from finops_assets.stories.sample_bill import write_sample_bill
from standin.account import RECIPIENTS, make_ready, on_aws
from standin.server import StandIn

HOME, DAYS = Path(".finops-aws").absolute(), 60


def main() -> None:
    shutil.rmtree(HOME, ignore_errors=True)  # yesterday's Dagster history would tell of days that this AWS has not
    last = datetime.now(UTC).date() - timedelta(days=1)
    print(f"Sample bill of {DAYS} days up to {last} ...", flush=True)
    sample = write_sample_bill(HOME / "bill", last, DAYS)
    with StandIn(HOME / "aws", port=int(os.environ.get("AWS_DEV_PORT", "5555"))) as aws:
        make_ready(aws, sample.focus, accounts=sample.accounts)
        topic = aws.client("sns").create_topic(Name="finops-alerts")["TopicArn"]
        aws.client("sns").subscribe(TopicArn=topic, Protocol="email", Endpoint=RECIPIENTS[0])
        aws.topics.confirm(RECIPIENTS[0])
        folder = sample.accounts.parent
        settings = on_aws(
            aws,
            HOME,
            aws__sns_topic_arn=topic,
            bill__first_day=sample.first_day,
            budgets__path=folder / "budgets.csv",
            anomalies__events=folder / "events.csv",
        )
        print("\nThe settings of this AWS, for another shell:\n")
        print("".join(f"export {name}={shlex.quote(value)}\n" for name, value in settings.items()))
        finops = [sys.executable, "-m", "finops_assets"]
        environment = os.environ | settings
        sys.stdout.flush()
        Thread(target=keep_mails, args=(aws, HOME / "outbox"), daemon=True).start()
        try:
            subprocess.run([*finops, "backfill"], env=environment, check=True)
            page = HOME / "dashboard.html"
            page.write_bytes(page_of(environment))
            print(f"\nThe dashboard as a page: {page}")
            print(f"Mails: {HOME / 'outbox'}")
            print("Try: finops doctor; finops status; finops budgets\n", flush=True)
            subprocess.run([*finops, "dev", *sys.argv[1:]], env=environment, check=False)
        except KeyboardInterrupt:
            print("Stopped.")


def page_of(environment: Mapping[str, str]) -> bytes:
    """The dashboard's page over this AWS's archive: the stand-in's QuickSight has data, and shows nothing."""
    page = environment | {"FINOPS_AWS__QUICKSIGHT_DATA_SET": ""}
    os.environ.update(page)  # the AWS clients read where they go from there
    platform = build_platform(load_settings(page))
    platform.dashboard.refresh("aws-dev")
    return platform.archive.get(DASHBOARD_PATH)


def keep_mails(aws: StandIn, folder: Path, seconds: float = 1.0) -> None:
    """Write each message that SES has accepted as a file that any mail program opens, for as long as this runs."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = 0
    while True:
        for mail in aws.mail.sent[kept:]:
            kept += 1
            (folder / f"{mail.at:%Y-%m-%d-%H%M%S}-{kept}-{mail.recipients[0]}.eml").write_bytes(bytes(mail.message))
        time.sleep(seconds)


if __name__ == "__main__":
    main()
