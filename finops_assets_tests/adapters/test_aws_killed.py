"""Runs on AWS that are killed for real (SIGKILL) at every step's boundary and at random moments, and run again."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from finops_assets.core.schemas import day_path
from finops_assets.stories.sample_bill import SampleBill, write_sample_bill
from finops_assets_tests.support.children import CHILDREN, run_in_child
from finops_assets_tests.support.on_aws import BUCKET, RECIPIENTS, make_ready, objects, on_aws, platform_on
from standin.faults import Call
from standin.server import StandIn

LAST = date(2025, 9, 30)
DAYS = [LAST - timedelta(days=2 - n) for n in range(3)]


def start(environ: dict[str, str], errors: object = None, first: date = DAYS[0]) -> BaseProcess:
    process = CHILDREN.Process(target=run_in_child, args=(environ, first, DAYS[-1], errors))
    process.start()
    return process


def kill(process: BaseProcess) -> None:
    """SIGKILL to the run and what it has started, unless it has ended."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.join(10)


def finish(environ: dict[str, str]) -> tuple[str, ...]:
    """Run to the end; returns its errors."""
    ours, theirs = CHILDREN.Pipe(duplex=False)
    process = start(environ, theirs)
    theirs.close()
    assert ours.poll(60), "the run did not end"
    errors = ours.recv()
    process.join(30)
    return errors


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SampleBill:
    return write_sample_bill(tmp_path_factory.mktemp("sample") / "bill", LAST, 3)


@pytest.fixture
def aws(aws: StandIn, sample: SampleBill) -> StandIn:
    make_ready(aws, sample.focus, accounts=sample.accounts)
    return aws


@pytest.fixture(scope="module")
def truth(running: StandIn, sample: SampleBill, tmp_path_factory: pytest.TempPathFactory) -> dict[date, str]:
    """The fingerprints of an archive that was never disturbed."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in running.environ.items():
            patch.setenv(name, value)
        running.reset()
        make_ready(running, sample.focus, accounts=sample.accounts)
        home = tmp_path_factory.mktemp("truth")
        assert finish(on_aws(running, home)) == ()
        archive = platform_on(running, home).archive
        return {day: archive.describe(day).fingerprint for day in DAYS}


def key(pattern: str) -> Callable[[Call], bool]:
    return lambda call: bool(re.search(pattern, call.params.get("Key", "")))


def sql(pattern: str) -> Callable[[Call], bool]:
    return lambda call: bool(re.search(pattern, call.params.get("QueryString", "")))


# In the order in which a run comes there.
MOMENTS = [
    ("the organization is being read", "organizations", "ListAccountsForParent", None, True),
    ("the account map is published", "s3", "PutObject", key("account_ou_map"), True),
    ("the query's token is noted", "s3", "PutObject", key("query.json"), True),
    ("the UNLOAD has started", "athena", "StartQueryExecution", sql("UNLOAD"), True),
    ("a staged file is being fetched", "s3", "GetObject", key("_staging/.*/.*_"), True),
    ("the staging is being swept", "s3", "DeleteObjects", None, True),
    ("the view is made", "athena", "StartQueryExecution", sql("CREATE OR REPLACE VIEW"), True),
    ("a day is about to be published", "s3", "PutObject", key("ou-breakdowns/"), False),
    ("a day is published", "s3", "PutObject", key("ou-breakdowns/"), True),
    ("the days are registered", "glue", "BatchCreatePartition", None, True),
    ("the days are being read back", "athena", "StartQueryExecution", sql("path"), True),
    ("a scorecard is kept", "s3", "PutObject", key("ou-scorecards/"), True),
    ("the executives' pages are kept", "s3", "PutObject", key("executive-snapshots/"), True),
    ("the refresh has started", "quicksight", "CreateIngestion", None, True),
    ("the refresh is being waited for", "quicksight", "DescribeIngestion", None, True),
    ("the digest is stored in part", "s3", "PutObject", key("digest.html"), True),
    ("the digest is stored", "s3", "PutObject", key("digests/.*/manifest.json"), True),
    ("a mail has its receipt", "s3", "PutObject", key(r"receipts/[0-9a-f]+\.json"), True),
    ("all have it", "s3", "PutObject", key("sent.json"), True),
]


def assert_nothing_is_half(aws: StandIn, home: Path, truth: dict[date, str]) -> None:
    """What a reader sees at this moment: only whole days, only those that are archived."""
    platform = platform_on(aws, home)
    archived = platform.archive.days()
    for day in archived:
        there = platform.archive.describe(day)
        assert there.fingerprint == truth[day]
        assert platform.archive.read([day]).num_rows == there.rows
    assert set(platform.catalog.registered()) <= set(archived)


def assert_all_is_well(aws: StandIn, home: Path, truth: dict[date, str]) -> None:
    """One object, one partition, one completed ingestion of what there is, one mail a recipient; nothing left over."""
    platform = platform_on(aws, home)
    assert {day: platform.archive.describe(day).fingerprint for day in platform.archive.days()} == truth
    assert platform.archive.list("ou-breakdowns/") == [day_path(day) for day in DAYS]
    assert platform.archive.list("_staging/") == []
    found = aws.client("glue").get_partitions(DatabaseName="finops_db", TableName="ou_breakdown")["Partitions"]
    assert sorted(p["Values"] for p in found) == sorted([str(d.year), str(d.month), str(d.day)] for d in DAYS)
    rows = sum(platform.archive.describe(day).rows for day in DAYS)
    assert [(i.status, i.rows) for i in aws.quicksight.ingestions] == [("COMPLETED", rows)]
    read = platform.catalog.read_back(DAYS)
    assert {day: there.rows for day, there in read.items()} == {d: platform.archive.describe(d).rows for d in DAYS}
    assert Counter(mail.recipients[0] for mail in aws.mail.sent) == dict.fromkeys(RECIPIENTS, 1)
    assert set(platform.outbox.records.mailed_days(DAYS).values()) == {"sent"}
    assert aws.client("s3").list_multipart_uploads(Bucket=BUCKET).get("Uploads", []) == []


REFRESH = next(n for n, (moment, *_) in enumerate(MOMENTS) if "refresh" in moment)
"""A refresh goes on while runs are killed: those that are killed after this one find it done."""


@pytest.mark.parametrize(
    "moments",
    [MOMENTS[:REFRESH:2], MOMENTS[1:REFRESH:2], MOMENTS[REFRESH::2], MOMENTS[REFRESH + 1 :: 2]],
    ids=lambda moments: f"{moments[0][0]} ... {moments[-1][0]}",
)
def test_runs_that_are_killed_are_finished_by_the_next(
    moments: Sequence[tuple], aws: StandIn, truth: dict[date, str], tmp_path: Path
) -> None:
    """One run after the other, each killed a moment later: whole days only at each; in the end everything once."""
    environ = on_aws(aws, tmp_path)
    for moment, service, operation, when, after in moments:
        held = aws.faults.hold(service, operation, when=when, after=after)
        process = start(environ)
        assert held.reached.wait(60), f"no run came there: {moment}"
        kill(process)
        held.abandon()
        assert_nothing_is_half(aws, tmp_path, truth)
    assert finish(environ) == ()
    assert_all_is_well(aws, tmp_path, truth)


@pytest.mark.parametrize("accepted", [True, False], ids=["SES has it", "SES has it not"])
def test_killed_while_ses_has_the_message_in_hand(
    accepted: bool, aws: StandIn, truth: dict[date, str], tmp_path: Path
) -> None:
    """Nothing can tell whether it went out: it is not sent again by itself, and not forgotten; a person settles it."""
    environ = on_aws(aws, tmp_path)
    held = aws.faults.hold("sesv2", "SendEmail", skip=1, after=accepted)
    process = start(environ)
    assert held.reached.wait(60)
    kill(process)
    held.abandon()
    (error,) = finish(environ)
    who = RECIPIENTS[1]
    assert f"it is not known who has it: {who}" in error
    assert f"finops resend {LAST} --to {who}" in error
    assert Counter(m.recipients[0] for m in aws.mail.sent) == {r: 1 for r in RECIPIENTS if r != who or accepted}
    outbox = platform_on(aws, tmp_path).outbox
    if accepted:
        outbox.settle(LAST, [who])
    else:
        outbox.resend(LAST, [who])
    assert finish(environ) == ()
    assert_all_is_well(aws, tmp_path, truth)


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_a_random_moment(seed: int, aws: StandIn, truth: dict[date, str], tmp_path: Path) -> None:
    """Some moment that nobody thought of: the same promises, three kills in a row."""
    dice = random.Random(seed)
    environ = on_aws(aws, tmp_path)
    for _ in range(3):
        process = start(environ)
        time.sleep(dice.uniform(0.2, 3.0))
        kill(process)
        assert_nothing_is_half(aws, tmp_path, truth)
    errors = finish(environ)
    outbox = platform_on(aws, tmp_path).outbox
    for who in outbox.records.mailed(LAST).unknown:  # killed with a message in hand: what a person would look up
        (outbox.settle if aws.mail.to(who) else outbox.resend)(LAST, [who])
        errors = finish(environ)
    assert errors == ()
    assert_all_is_well(aws, tmp_path, truth)


def test_two_runs_of_one_day_at_once(aws: StandIn, tmp_path: Path) -> None:
    """There is one object, one partition, and each recipient has one mail; the second says who is sending it."""
    runs = []
    for n in range(2):
        ours, theirs = CHILDREN.Pipe(duplex=False)
        runs.append((start(on_aws(aws, tmp_path / str(n)), theirs, first=LAST), ours))
        theirs.close()
    for _, ours in runs:
        assert ours.poll(60), "a run did not end"
    errors = [ours.recv() for _, ours in runs]
    for process, _ in runs:
        process.join(30)
    failed = [error for run in errors for error in run]
    assert () in errors, failed
    assert all("another run is sending it" in error for error in failed), failed
    assert objects(aws, "ou-breakdowns/") == [day_path(LAST)]
    assert objects(aws, "_staging/") == []
    assert sorted(mail.recipients[0] for mail in aws.mail.sent) == sorted(RECIPIENTS)
    (partition,) = aws.client("glue").get_partitions(DatabaseName="finops_db", TableName="ou_breakdown")["Partitions"]
    assert partition["Values"] == ["2025", "9", "30"]
