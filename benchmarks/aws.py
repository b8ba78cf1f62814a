"""What a day and a year take on AWS, counted by the stand-in: ours beside the plain way, over the same HTTP.

The plain way is the script that one writes first: for each day one SELECT whose CSV is put as it is, one ALTER TABLE,
one refresh of the data set, one mail. For the single day a query takes 1.5 s and a refresh 20 s, about what AWS takes,
and the plain way looks again twice a second, which is eager: without any pause it would be throttled (Athena answers
100 looks a second). For the year they take no time, and it looks again without a pause, which favours the plain way: it
has 365 times as many. Each way runs in a process of its own, which has imported what it needs.
Run as `python -m benchmarks.aws`; `--quick` leaves the year out.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from email.message import EmailMessage
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import boto3

from benchmarks.report import Row, finish
from finops_assets.core.bill.charges import used_columns
from finops_assets.core.bill.drivers_sql import driver_columns
from finops_assets.core.bill.formats import FORMATS
from finops_assets.core.bill.further_columns import further_columns
from finops_assets.core.bill.rules import Rules
from finops_assets.platform import build_platform
from finops_assets.settings.load import load_settings
from finops_assets.stories.sample_bill import focus_export
from finops_assets_tests.support import on_aws
from standin.server import StandIn

LAST, YEAR = date(2025, 9, 30), 365
SPANS = (("a day", 1),) if "--quick" in sys.argv else (("a day", 1), (f"{YEAR} days", YEAR))
QUERY_SECONDS, REFRESH_SECONDS, REFRESH_STEPS = 1.5, 20.0, 3
LOOK = 0.5


@dataclass(frozen=True)
class Taken:
    """What a way took for a range of days."""

    queries: int
    source: int
    archive: int
    glue: int
    ingestions: int
    mails: int
    seconds: float


def measure() -> dict[tuple[str, str], Taken]:
    """(`a day` or `365 days`, way) -> what it took."""
    from finops_assets.stories.sample_bill import write_sample_bill

    found = {}
    with tempfile.TemporaryDirectory() as folder, StandIn(Path(folder) / "aws") as aws:
        os.environ.update(aws.environ)
        sample = write_sample_bill(Path(folder) / "bill", LAST, YEAR)
        for span, days in SPANS:
            first = LAST - timedelta(days=days - 1)
            for way in (ours, plain, one_pass):
                aws.reset()
                aws.quicksight.refreshes_allowed = 10_000  # AWS would refuse the plain way's 33rd
                on_aws.make_ready(aws, sample.focus)
                if days == 1:
                    aws.athena.min_seconds = QUERY_SECONDS
                    aws.quicksight.seconds_per_step = REFRESH_SECONDS / REFRESH_STEPS
                home = Path(folder) / f"{days}-{way.__name__}"
                found[span, way.__name__] = _counted(aws, _in_child(aws, way.__name__, first, home, sample.accounts))
    return found


def _in_child(aws: StandIn, way: str, first: date, home: Path, accounts: Path) -> float:
    """The seconds that a way takes in a process of its own, from when it is ready; only that is counted."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    child = spawn.Process(target=_timed, args=(there, way, aws.account, first, home, accounts))
    child.start()
    there.close()
    try:
        here.recv()
        aws.calls.reset()
        aws.athena.queries.clear()
        here.send("go")
        return here.recv()
    except EOFError:
        sys.exit(f"{way} of {first} failed")
    finally:
        child.join()


def _timed(parent: Connection, way: str, account: str, first: date, home: Path, accounts: Path) -> None:
    work = {"ours": ours, "plain": plain, "one_pass": one_pass}[way](account, first, home, accounts)
    parent.send("ready")
    parent.recv()
    started = time.perf_counter()
    work()
    parent.send(time.perf_counter() - started)


def _counted(aws: StandIn, seconds: float) -> Taken:
    calls = aws.calls
    return Taken(
        queries=calls.count("athena", "StartQueryExecution"),
        source=sum(query.scanned for query in aws.athena.queries if on_aws.TABLE in query.sql.replace('"', "")),
        archive=sum(query.scanned for query in aws.athena.queries if "finops_db.ou_breakdown" in query.sql),
        glue=calls.count("glue"),
        ingestions=calls.count("quicksight", "CreateIngestion"),
        mails=calls.count("sesv2", "SendEmail"),
        seconds=seconds,
    )


Work = Callable[[], None]


def ours(_: str, first: date, home: Path, accounts: Path) -> Work:
    """The Dagster run, everything recorded, in an account that has run the day before."""
    from finops_assets.defs.run import run_days

    def run(start: date, end: date) -> None:
        settings = on_aws.settings_on(home, accounts__path=accounts)
        platform = build_platform(load_settings(settings | dict(os.environ), folder=home))
        seven = datetime(end.year, end.month, end.day, 7, tzinfo=UTC) + timedelta(days=1)
        outcome = run_days(platform, start, end, clock=lambda: seven)
        if outcome.errors:
            sys.exit("\n".join(outcome.errors))

    if first == LAST:
        run(LAST - timedelta(days=1), LAST - timedelta(days=1))
    return lambda: run(first, LAST)


def plain(account: str, first: date, *_: Path) -> Work:
    """Day by day, each step with its own call."""
    pause = LOOK if first == LAST else 0.0
    s3, sight, ses = (boto3.client(name) for name in ("s3", "quicksight", "sesv2"))
    _query("CREATE DATABASE finops_db")
    _query(
        "CREATE EXTERNAL TABLE finops_db.ou_breakdown (service string, linkedaccount string, dailycost string) "
        "PARTITIONED BY (year int, month int, day int) "
        "ROW FORMAT SERDE 'org.apache.hadoop.hive.serde2.OpenCSVSerde' "
        f"LOCATION 's3://{on_aws.BUCKET}/plain/' TBLPROPERTIES ('skip.header.line.count' = '1')",
    )

    def one(day: date) -> None:
        query = _query(
            f"""SELECT servicename AS service, subaccountid AS linkedaccount, SUM(billedcost) AS dailycost
            FROM {on_aws.TABLE} WHERE chargeperiodstart >= TIMESTAMP '{day} 00:00:00'
            AND chargeperiodstart < TIMESTAMP '{day + timedelta(days=1)} 00:00:00' GROUP BY 1, 2""",
            pause,
        )
        bucket, _, key = query["ResultConfiguration"]["OutputLocation"].removeprefix("s3://").partition("/")
        data = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        place = f"plain/year={day.year}/month={day.month:02d}/day={day.day:02d}/"
        s3.put_object(Bucket=on_aws.BUCKET, Key=f"{place}data.csv", Body=data)
        _query(
            f"ALTER TABLE finops_db.ou_breakdown ADD IF NOT EXISTS PARTITION (year={day.year}, month={day.month}, "
            f"day={day.day}) LOCATION 's3://{on_aws.BUCKET}/{place}'",
            pause,
        )
        which = {"AwsAccountId": account, "DataSetId": on_aws.DATA_SET, "IngestionId": f"plain-{day}"}
        sight.create_ingestion(**which)
        while sight.describe_ingestion(**which)["Ingestion"]["IngestionStatus"] not in ("COMPLETED", "FAILED"):
            time.sleep(pause)
        for recipient in on_aws.RECIPIENTS:
            mail = EmailMessage()
            mail["From"], mail["To"], mail["Subject"] = on_aws.SENDER, recipient, f"Cost of {day}"
            mail.set_content("attached")
            mail.add_attachment(data, "text", "csv", filename=f"{day}.csv")
            ses.send_email(
                FromEmailAddress=on_aws.SENDER,
                Destination={"ToAddresses": [recipient]},
                Content={"Raw": {"Data": mail.as_bytes()}},
            )

    def work() -> None:
        for n in range((LAST - first).days + 1):
            one(first + timedelta(days=n))

    return work


def one_pass(_: str, first: date, *__: Path) -> Work:
    """Reading every column that the bill's SQL needs, once, of these days."""
    columns = ", ".join(f"COUNT({name})" for name in used())
    sql = (
        f"SELECT {columns} FROM {on_aws.TABLE} WHERE chargeperiodstart >= TIMESTAMP '{first} 00:00:00' "
        f"AND chargeperiodstart < TIMESTAMP '{LAST + timedelta(days=1)} 00:00:00'"
    )
    return lambda: _query(sql)


def used() -> list[str]:
    """Every column that is read of the sample bill for a day's rows, what their money is, and why the day moved."""
    fmt, rules = FORMATS["focus"], Rules("billed")
    columns = dict.fromkeys(map(str.lower, focus_export.FOCUS_COLUMNS.split()), "VARCHAR")
    read = (
        *used_columns(fmt, columns, rules),
        *further_columns(fmt, columns, rules),
        *driver_columns(fmt, columns, rules),
    )
    return list(dict.fromkeys(read))


def _query(sql: str, pause: float = 0.0) -> dict[str, Any]:
    athena = boto3.client("athena")
    query_id = athena.start_query_execution(QueryString=sql, WorkGroup=on_aws.WORKGROUP)["QueryExecutionId"]
    while True:
        found = athena.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]
        if found["Status"]["State"] == "SUCCEEDED":
            return found
        if found["Status"]["State"] in ("FAILED", "CANCELLED"):
            sys.exit(f"{found['Status']['StateChangeReason']}\n{sql}")
        time.sleep(pause)


def main() -> None:
    found = measure()
    names = ("queries", "source", "archive", "glue", "ingestions", "mails", "seconds")
    print(f"{'':<20}" + "".join(f"{name:>14}" for name in names))
    for (span, way), taken in found.items():
        cells = (f"{getattr(taken, name):,.2f}" if name == "seconds" else f"{getattr(taken, name):,}" for name in names)
        print(f"{span + ', ' + way:<20}" + "".join(f"{cell:>14}" for cell in cells))
    bars: list[Row] = []
    for (span, days), (most_queries, most_glue) in zip(SPANS, ((3, 4), (6, 10)), strict=False):
        mine, theirs, once = (found[span, way] for way in ("ours", "plain", "one_pass"))
        times = theirs.seconds / mine.seconds
        needed = 1.0 if days == 1 else 10.0
        bars += [
            Row(f"{span}: Athena queries", str(mine.queries), f"<= {most_queries}", mine.queries <= most_queries),
            Row(f"{span}: calls of Glue", str(mine.glue), f"<= {most_glue}", mine.glue <= most_glue),
            Row(f"{span}: ingestions", str(mine.ingestions), "1", mine.ingestions == 1),
            Row(f"{span}: mails", str(mine.mails), "one a recipient", mine.mails == len(on_aws.RECIPIENTS)),
            Row(
                f"{span}: source scanned against one pass",
                f"{mine.source / once.source:.2f} x",
                "<= 1.1 x",
                mine.source <= 1.1 * once.source,
            ),
            Row(f"{span}: the plain way takes", f"{times:.2f} x as long", f">= {needed:g} x", times >= needed),
        ]
    print()
    finish(bars)


if __name__ == "__main__":
    main()
