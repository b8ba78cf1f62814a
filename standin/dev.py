"""`make aws-dev`: a stand-in AWS with the sample bill in it, the settings that lead there, and the Dagster UI on it.

Everything is in `.finops-aws/`; what AWS would keep is gone when this ends, as the stand-in keeps it in memory.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

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
        settings = on_aws(aws, HOME, aws__sns_topic_arn=topic, bill__first_day=sample.first_day)
        print("\nThe settings of this AWS, for another shell:\n")
        print("".join(f"export {name}={shlex.quote(value)}\n" for name, value in settings.items()))
        print(f"Try: finops doctor; finops backfill {last - timedelta(days=6)} {last}; finops status\n", flush=True)
        ui = [sys.executable, "-m", "finops_assets", "dev", *sys.argv[1:]]
        try:
            subprocess.run(ui, env=os.environ | settings, check=False)
        except KeyboardInterrupt:
            print("Stopped.")


if __name__ == "__main__":
    main()
