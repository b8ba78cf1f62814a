"""A bill in six dated copies, as somebody kept them, played again: the archive ends as the last, on both platforms.

Newest days that grow, a hole that is filled late, a month that is there twice for two minutes, a line in a closed
month, and a day that is emptied. Each figure is written by hand.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from finops_assets.core.archive import restatements
from finops_assets.core.archive.journal import Journal
from finops_assets.core.calendar import stretches
from finops_assets.core.operations import evidence
from finops_assets.defs.run import run_days
from finops_assets.platform import Platform, build_platform
from finops_assets.settings.load import load_settings
from finops_assets_tests.support.bills import ACCOUNT, Line, at, line, make_bill
from finops_assets_tests.support.on_aws import RECIPIENTS, TABLE, make_ready, platform_on
from standin.server import StandIn

pytestmark = pytest.mark.usefixtures("records_in_memory")

Costs = Mapping[date, str]


def d(text: str) -> date:
    """`9-24` of the year 2025."""
    month, day = map(int, text.split("-"))
    return date(2025, month, day)


FIRST: Costs = {d("9-24"): "24", d("9-25"): "25", d("9-27"): "20"}
FILLED: Costs = FIRST | {d("9-26"): "26", d("9-27"): "27", d("9-28"): "28"}
MONTH: Costs = FILLED | {d("9-29"): "29", d("9-30"): "30"}
OCTOBER: Costs = {date(2025, 10, n): "1" for n in range(1, 20)}
"""Days after the month: without them its end would not be over for the bill."""
LATE: Costs = MONTH | {d("9-25"): "32"} | OCTOBER
EMPTIED: Costs = {day: cost for day, cost in LATE.items() if day != d("9-26")} | {d("10-20"): "1"}


@dataclass
class Replay:
    """A platform, the bill that lies before it, and the mornings on which somebody looked."""

    platform: Platform
    put: Callable[[list[Line], datetime], None]
    now: datetime = datetime(2025, 9, 28, 7, tzinfo=UTC)
    ran: list[date] = field(default_factory=list)

    def deliver(self, costs: Costs, written: datetime, times: int = 1) -> None:
        """A copy of the bill, of which all lines may be there more than once."""
        lines = [line(cost, start=at(day, 5), account=ACCOUNT) for day, cost in costs.items() for _ in range(times)]
        self.put(lines, written)

    def look(self, now: datetime) -> None:
        """What the sensors do: run new and changed days, as one request."""
        self.now = now
        news = self.platform.with_clock(lambda: now).watch.news(now)
        days = sorted({*news.new, *news.restated})
        self.ran = days
        asked = stretches(days)
        for first, last in asked:
            assert run_days(self.platform, first, last, asked=asked, clock=lambda: now).errors == ()

    @property
    def totals(self) -> dict[date, Decimal]:
        return {day: self.platform.archive.describe(day).total for day in self.platform.archive.days()}

    def settled(self, day: date) -> str:
        return Journal(self.platform.archive, 3).settled()(day)

    def evidence(self) -> evidence.Evidence:
        asked = evidence.ask_bill(self.platform.inspector, "2025-09", self.now)
        return evidence.make(self.platform.archive, "2025-09", self.now, self.settled, asked)[0]


BOTH = pytest.mark.parametrize("replay", ["embedded", "aws"], indirect=True)


@pytest.fixture
def replay(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Replay:
    bill = tmp_path / "bill"
    if getattr(request, "param", "embedded") == "embedded":

        def put(lines: list[Line], written: datetime) -> None:
            file = make_bill(bill, lines)
            os.utime(file, (written.timestamp(), written.timestamp()))

        settings = {"home": str(tmp_path / ".finops"), "bill.path": str(bill), "mail.recipients": list(RECIPIENTS)}
        platform = build_platform(load_settings({}, {**settings, "schedule.retry_seconds": 0}, folder=tmp_path))
        return Replay(platform, put)

    from finops_assets.adapters.aws import bill_listing

    aws: StandIn = request.getfixturevalue("aws")
    times: list[datetime] = [datetime(2025, 9, 28, 6, tzinfo=UTC)]
    listed = bill_listing.objects_below

    def written_then(*where: object) -> object:
        """S3's own clock is the machine's: the bill's objects are as old as the copy."""
        return ({**found, "last_modified": times[-1]} for found in listed(*where))

    monkeypatch.setattr(bill_listing, "objects_below", written_then)
    make_ready(aws, make_bill(bill, [line(1)]).parent)

    def put_object(lines: list[Line], written: datetime) -> None:
        file = make_bill(bill, lines)
        times.append(written)
        key = f"{TABLE.split('.')[1]}/{file.name}"
        aws.client("s3").put_object(Bucket="a-bill-bucket", Key=key, Body=file.read_bytes())

    platform = platform_on(aws, tmp_path, bill__first_day="2025-09-01", schedule__retry_seconds=0)
    return Replay(platform, put_object)


def morning(text: str, hour: int = 7, minute: int = 0) -> datetime:
    day = d(text)
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)


@BOTH
def test_six_copies_converge_to_the_last(replay: Replay) -> None:
    """To the last digit; the ledger explains each step; no evidence certifies what the bill does not say."""
    platform = replay.platform
    # 1. The newest day is whole as far as the export knows; the 26th is not there, and empty until it is.
    replay.deliver(FIRST, morning("9-28", 6))
    assert run_days(platform, d("9-24"), d("9-27"), clock=lambda: morning("9-28")).errors == ()
    assert replay.totals == {d("9-24"): 24, d("9-25"): 25, d("9-26"): 0, d("9-27"): 20}
    # 2. The hole is filled, the newest day has grown.
    replay.deliver(FILLED, morning("9-29", 6))
    replay.look(morning("9-29"))
    assert replay.ran == [d("9-26"), d("9-27"), d("9-28")]
    assert replay.totals == {day: Decimal(cost) for day, cost in FILLED.items()}
    # 3. All is there twice; 4. and mended two minutes later.
    replay.deliver(MONTH, morning("10-1", 6), times=2)
    replay.look(morning("10-1"))
    assert replay.totals == {day: 2 * Decimal(cost) for day, cost in MONTH.items()}
    replay.deliver(MONTH, morning("10-1", 7, 2))
    replay.look(morning("10-1", 7, 5))
    assert replay.totals == {day: Decimal(cost) for day, cost in MONTH.items()}
    assert replay.evidence().faults == {day: "not archived" for day in evidence.days_of("2025-09") if day < d("9-24")}
    # Weeks later, no export was written since: the clock alone closes nothing.
    replay.now = morning("10-20", 5)
    assert replay.settled(d("9-25")) == "provisional"
    # 5. A line comes late into the month that is over by now.
    replay.deliver(LATE, morning("10-20", 6))
    before = replay.evidence()
    assert before.faults[d("9-25")] == "its total is 25, the bill's 32"
    replay.look(morning("10-20"))
    assert replay.ran == [d("9-25"), *OCTOBER]
    assert {replay.settled(day) for day in MONTH} == {"closed"}
    assert replay.settled(d("10-19")) == "provisional"
    certified = replay.evidence()
    assert d("9-25") not in certified.faults
    assert "written 2025-10-20 06:00 UTC" in certified.asked
    assert certified.every_line.endswith("215.00 USD in 26 days of the archive, and nothing else.")
    # 6. A day loses all its lines.
    replay.deliver(EMPTIED, morning("10-21", 6))
    replay.look(morning("10-21"))
    assert replay.ran == [d("9-26"), d("10-20")]
    assert replay.totals == {d("9-26"): 0} | {day: Decimal(cost) for day, cost in EMPTIED.items()}
    # The end: everything is as in the bill, said by every depth of looking.
    now = morning("10-21", 8)
    for look in (platform.inspector.cheap(now), platform.inspector.thorough(now)):
        assert [gap for gap in look.gaps if gap.cause != "dashboard outdated"] == []
        assert (look.coverage.faults, look.coverage.bill.total) == ((), Decimal(24 + 32 + 27 + 28 + 29 + 30 + 20))
    steps = [
        (d("9-25"), 25, 50),
        (d("9-25"), 50, 25),
        (d("9-25"), 25, 32),
        (d("9-26"), 0, 26),
        (d("9-26"), 26, 52),
        (d("9-26"), 52, 26),
        (d("9-26"), 26, 0),
        (d("9-27"), 20, 27),
    ]
    ledger = restatements.read(platform.archive).to_pylist()
    entered = {(row["billingdate"], int(row["oldcost"]), int(row["newcost"])) for row in ledger}
    assert set(steps) <= entered
    # Five mornings, five digests; what had moved far was sent once more, as a revision.
    paths = platform.archive.list("digests/")
    digests = {path.split("/")[1] for path in paths if path.endswith("/r1/manifest.json")}
    assert digests == {"2025-09-27", "2025-09-28", "2025-09-30", "2025-10-19", "2025-10-20"}


def test_a_bill_that_merely_ends_earlier_deletes_nothing(replay: Replay) -> None:
    """An older copy of the export: the days behind its end are named, and stay as they were archived."""
    replay.deliver(FILLED, morning("9-29", 6))
    assert run_days(replay.platform, d("9-24"), d("9-28"), clock=lambda: morning("9-29")).errors == ()
    replay.deliver({d("9-24"): "24", d("9-25"): "25"}, morning("9-30", 6))
    replay.look(morning("9-30"))
    assert replay.ran == []
    assert replay.totals[d("9-28")] == 28
    gaps = {gap.cause: (gap.first, gap.last) for gap in replay.platform.inspector.cheap(morning("9-30")).gaps}
    assert gaps["gone from the bill"] == (d("9-26"), d("9-28"))


def test_a_bill_without_an_old_month_deletes_nothing(replay: Replay) -> None:
    """Exports are pruned: the archive keeps the month, and says that it alone has it."""
    replay.deliver(LATE, morning("10-20", 6))
    assert run_days(replay.platform, d("9-24"), d("10-19"), clock=lambda: morning("10-20")).errors == ()
    replay.deliver(OCTOBER, morning("10-20", 9))
    replay.look(morning("10-20", 10))
    assert replay.ran == []
    look = replay.platform.inspector.cheap(morning("10-20", 10))
    assert look.coverage.only_archived[1].total == 24 + 32 + 26 + 27 + 28 + 29 + 30
    assert look.coverage.faults == ()


def test_closed_days_stay_where_the_settings_say_so(replay: Replay) -> None:
    """With bill.change_closed_days = false the late line is named, and not taken over."""
    of_bill = replay.platform.settings.bill.model_copy(update={"change_closed_days": False})
    settings = replay.platform.settings.model_copy(update={"bill": of_bill})
    replay.platform = platform = replace(replay.platform, settings=settings)
    replay.deliver(MONTH | OCTOBER, morning("10-20", 6))
    assert run_days(platform, d("9-24"), d("10-19"), clock=lambda: morning("10-20")).errors == ()
    replay.deliver(LATE, morning("10-20", 9))
    replay.look(morning("10-20", 10))
    assert replay.ran == []
    look = platform.inspector.cheap(morning("10-20", 10))
    assert "7.00 USD on 2025-09-25: kept as archived" in look.coverage.words
    assert (look.coverage.faults, replay.totals[d("9-25")]) == ((), 25)


def test_a_backfill_does_what_can_be_done(replay: Replay) -> None:
    """A run over days of which the last was not over archives the others, and fails naming that one."""
    replay.deliver(FIRST | {d("9-28"): "3"}, morning("9-28", 18))
    outcome = run_days(replay.platform, d("9-24"), d("9-28"), clock=lambda: morning("9-29"))
    assert replay.totals == {d("9-24"): 24, d("9-25"): 25, d("9-26"): 0, d("9-27"): 20}
    assert "2025-09-28" in " ".join(outcome.errors)
    now = morning("9-29") + timedelta(minutes=1)
    assert replay.platform.inspector.cheap(now).coverage.words.count("2025-09-28: the day was not over") == 1
