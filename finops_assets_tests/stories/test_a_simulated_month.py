"""Thirty-one mornings with everything that goes wrong in them: what is there at the end, and who was told what."""

import csv
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from email.message import EmailMessage
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finops_assets.core.archive.bill_comparison import COMPARED_PATH
from finops_assets.core.operations.alerting import FRESHNESS
from finops_assets.core.schemas import day_path, scorecard_path
from finops_assets.platform import Platform
from finops_assets.stories.simulation import Simulation, crashing

FIRST, LAST = date(2025, 8, 31), date(2025, 9, 30)
HISTORY = date(2025, 8, 20)
MORNINGS = [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1)]
RECIPIENTS = ("finance@example.com", "cto@example.com")

LATE = {date(2025, 9, 4), date(2025, 9, 18)}
"""Delivered at 11:00 instead of 03:00."""

OUTAGE = {date(2025, 9, 10), date(2025, 9, 11)}
"""No export at all: the next one has these days too."""

UNFINISHED = {date(2025, 9, n): 0.97 for n in (1, 6, 13, 14, 19, 26)}
"""Days of which the first export has a part only: the next one restates them."""

IN_CLOSED_MONTH = date(2025, 8, 25)
RESTATED = {
    date(2025, 9, 15): {date(2025, 9, 7): 1.2},
    date(2025, 9, 22): {date(2025, 9, 20): 1.08},
    date(2025, 9, 29): {IN_CLOSED_MONTH: 1.3},
}
"""On which mornings which days are changed for good, and how far; the last one weeks after its month was closed."""

EMPTIED_ON, EMPTIED = date(2025, 9, 16), date(2025, 9, 12)
"""The export of one morning has lost a day that was archived; the next one has it again."""

MOVED_ON, MOVED_SINCE = date(2025, 9, 17), date(2025, 9, 9)
ACCOUNT_ROW = 2

CRASHES = {
    date(2025, 9, 2): ("accounts", "load", "account_ou_map"),
    date(2025, 9, 3): ("warehouse", "provide_summary", "finops_daily_summary"),
    date(2025, 9, 5): ("archive", "publish", "ou_breakdown_parquet"),
    date(2025, 9, 6): ("catalog", "register", "athena_partition"),
    date(2025, 9, 8): ("dashboard", "refresh", "quicksight_dataset"),
    date(2025, 9, 9): ("outbox", "deliver", "digest_email"),
}
"""Day whose run crashes, in which part, and the asset that fails by it."""

LOST_DASHBOARD, LOST_NOTE, ALTERED, LOST_SCORECARDS, CUT = (date(2025, 9, day) for day in (21, 23, 24, 25, 28))
"""On the noon after which day the dashboard is deleted, a note emptied, rows altered, scorecards lost; and the day
whose bill cannot be read from midnight to noon."""

DOUBLED = date(2025, 9, 27)
"""On the noon after it an export comes that has each line of the month twice; two minutes later it is mended."""

DOUBLED_MONTH = [date(2025, 9, n) for n in range(1, 28)]

ALTERED_DAY, UNSCORED = date(2025, 9, 5), [date(2025, 9, day) for day in (12, 13, 14)]

TRIES = 3
"""A step that crashes is tried twice more; the run fails when all three have."""


@dataclass
class RecordedAlerts:
    """An alert channel that keeps what it was given."""

    sent: list[tuple[str, str]] = field(default_factory=list)

    def send(self, subject: str, text: str, alert_id: str = "") -> str:
        self.sent.append((subject, text))
        return f"{len(self.sent)} {alert_id}"


@dataclass
class Month:
    """The month after it was lived through."""

    sim: Simulation
    alerts: RecordedAlerts
    amounts: dict[date, float]
    checks: dict[date, bool]

    @cached_property
    def mails(self) -> list[EmailMessage]:
        """All digests, parsed once."""
        return self.sim.mails()


class Crashes:
    """Raises in one part so many times on the mornings that are planned for it."""

    def __init__(self) -> None:
        self.left: dict[tuple[str, str], int] = {}

    def arm(self, role: str, method: str) -> None:
        self.left[role, method] = TRIES

    def adapted(self, platform: Platform) -> Platform:
        for role, method, _ in CRASHES.values():
            platform = crashing(platform, role, method, lambda key=(role, method): self._error(*key))
        return platform

    def _error(self, role: str, method: str) -> BaseException | None:
        left = self.left.get((role, method), 0)
        self.left[role, method] = max(left - 1, 0)
        return RuntimeError(f"{role}.{method} was hit by a cosmic ray") if left else None


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Month]:
    crashes, alerts = Crashes(), RecordedAlerts()
    sim = Simulation(
        tmp_path_factory.mktemp("month") / "home",
        HISTORY,
        LAST,
        {"mail.recipients": ",".join(RECIPIENTS)},
        draw=lambda _: b"",
        in_memory=True,
        adapt=lambda platform: crashes.adapted(replace(platform, alerts=alerts)),
    )
    lived = Month(sim, alerts, {}, {})
    before = FIRST - timedelta(days=1)
    sim.at(FIRST, "03:00")
    sim.deliver(before)
    sim.launch("a backfill", [sim.request(HISTORY, before)])
    for day in MORNINGS:
        live(lived, crashes, day)
    yield lived
    sim.close()


def live(month: Month, crashes: Crashes, day: date) -> None:
    """The morning after a day, from the delivery of its bill to noon."""
    sim, morning = month.sim, day + timedelta(days=1)
    if day in CRASHES:
        crashes.arm(*CRASHES[day][:2])
    if day == MOVED_ON:
        move_account(sim)
    month.amounts |= RESTATED.get(day, {})
    newest = month.amounts | ({day: UNFINISHED[day]} if day in UNFINISHED else {})
    sim.at(morning, "03:00")
    if day not in OUTAGE | LATE:
        sim.deliver(day, newest, without=frozenset({EMPTIED} if day == EMPTIED_ON else ()))
    if day == CUT:
        for file in sim.bill.rglob("*.parquet"):
            file.write_bytes(file.read_bytes()[:100])
    sim.sensors()
    for clock in ("03:01", "03:20", "04:00"):
        sim.at(morning, clock)
        sim.sensors()
    sim.morning(day)
    sim.at(morning, "07:30")
    # A run of the checks takes longer than all else of a quiet morning.
    told = LATE | OUTAGE | {CUT} | CRASHES.keys()
    month.checks[day] = sim.checks() if day in told else not any(freshness(sim))
    sim.at(morning, "11:00")
    if day in LATE or day == CUT:
        sim.deliver(day, newest)
    sim.sensors()
    sim.at(morning, "12:00")
    sim.sensors()
    if day == DOUBLED:
        double(month, day, morning)
    spoil(sim, day, morning)


def double(month: Month, day: date, morning: date) -> None:
    """The whole month's lines twice, and the sensors look; then the next export."""
    sim = month.sim
    twice = month.amounts | {each: 2 * month.amounts.get(each, 1) for each in DOUBLED_MONTH}
    for clock, amounts in (("13:00", twice), ("13:02", month.amounts)):
        sim.at(morning, clock)
        sim.deliver(day, amounts)
        sim.sensors()
    for clock in ("13:03", "14:00"):
        sim.at(morning, clock)
        sim.sensors()


def spoil(sim: Simulation, day: date, morning: date) -> None:
    """What happens to the home itself at noon of some days; then the sensors look until the evening."""
    archive = sim.platform.settings.archive_folder
    if day == LOST_DASHBOARD:
        sim.platform.settings.dashboard_file.unlink()
    elif day == LOST_NOTE:
        (archive / COMPARED_PATH).write_bytes(b"")
    elif day == ALTERED:
        alter(archive / day_path(ALTERED_DAY))
        sim.at(morning, "12:30")
        assert not sim.verification()
    elif day == LOST_SCORECARDS:
        for lost in UNSCORED:
            (archive / scorecard_path(lost)).unlink()
    else:
        return
    for clock in ("13:00", "13:01", "14:00"):
        sim.at(morning, clock)
        sim.sensors()
    if day == LOST_NOTE:  # somebody has looked at the copy
        shutil.rmtree(archive / "damaged")
        sim.sensors()
    if day == ALTERED:
        assert sim.verification()


def alter(file: Path) -> None:
    """Exchange two costs: rows, total and footer stay as they were."""
    table = pq.read_table(file, partitioning=None)
    said, costs = table.schema.metadata, table["dailycost"].to_pylist()
    costs[0], costs[-1] = costs[-1], costs[0]
    table = table.set_column(4, table.schema.field(4), pa.array(costs)).replace_schema_metadata(said)
    pq.write_table(table, file, compression="snappy")


def freshness(sim: Simulation) -> list[str]:
    return list(sim.watch.freshness(sim.now).values())


def move_account(sim: Simulation) -> None:
    with sim.accounts.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    account, name = rows[ACCOUNT_ROW][:2]
    with sim.accounts.open("a", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerow((account, name, "Moved/There", MOVED_SINCE.isoformat(), ""))


def test_every_day_is_whole_and_equal_to_the_final_bill(month: Month) -> None:
    """Whatever happened on the way, at the end each day is archived, registered and, exactly, the bill's last word."""
    totals: dict[date, Decimal] = {}
    for file in sorted(month.sim.bill.rglob("*.parquet")):
        table = pq.read_table(file, columns=["ChargePeriodStart", "BilledCost"])
        for start, cost in zip(*(column.to_pylist() for column in table.columns), strict=True):
            totals[start.date()] = totals.get(start.date(), Decimal()) + Decimal(repr(cost))
    platform = month.sim.platform
    archived = {day: platform.archive.describe(day).total for day in platform.archive.days()}
    assert archived == totals
    assert set(archived) == {HISTORY + timedelta(days=n) for n in range((LAST - HISTORY).days + 1)}
    assert not month.sim.watch.inspect(month.sim.now).gaps
    read = platform.catalog.read_back(list(archived))
    assert {day: found.total.quantize(Decimal("0.000001")) for day, found in read.items()} == {
        day: total.quantize(Decimal("0.000001")) for day, total in totals.items()
    }


def test_every_recipient_got_exactly_one_digest_a_day_or_its_revision(month: Month) -> None:
    """Each morning one digest to each recipient: the day's, or that its bill is late; all else says "revision"."""
    first: Counter[tuple[str, date]] = Counter()
    revisions: Counter[tuple[str, str]] = Counter()
    for mail in month.mails:
        sent = datetime.strptime(mail["Date"], "%a, %d %b %Y %H:%M:%S %z").date()
        if re.search(r"revision \d+", mail["Subject"]):
            revisions[mail["To"], mail["Message-ID"]] += 1
        else:
            first[mail["To"], sent] += 1
    mornings = [FIRST, *(day + timedelta(days=1) for day in MORNINGS)]  # the backfill's own mail comes first
    assert first == {(who, morning): 1 for who in RECIPIENTS for morning in mornings}
    assert set(revisions.values()) == {1}
    # The day of the closed month was mailed with the backfill's last day: that mail is revised.
    corrected = {max(day, FIRST - timedelta(days=1)) for days in RESTATED.values() for day in days}
    assert {
        subject_day(mail["Subject"]) for mail in month.mails if "revision" in mail["Subject"]
    } == LATE | corrected | {EMPTIED, DOUBLED}


def subject_day(subject: str) -> date:
    """`[FinOps] 4 Sep 2025, revision 2: ...` -> 2025-09-04."""
    return datetime.strptime(re.search(r"\d+ \w+ \d{4}", subject)[0], "%d %b %Y").date()  # noqa: DTZ007


def test_every_incident_has_exactly_one_alert_and_one_all_clear(month: Month) -> None:
    """What broke was told once and once when it healed, and nothing else was: no alert explains another's cause."""
    assert {incident.kind for incident in month.sim.watch.incidents.open()} <= {"anomaly"}
    incidents = [incident for incident in month.sim.watch.incidents.closed() if incident.kind != "anomaly"]
    sent = [(subject, text) for subject, text in month.alerts.sent if not of_anomalies(subject)]
    days_late = {"source_late": 3}
    assert Counter(incident.kind for incident in incidents) == {
        **days_late,
        "run_failed": len(CRASHES) - 1 + 1,  # the deadline of the day whose bill is cut
        "cannot_look": 1,
        "damaged_day": 1,
        "damaged_note": 1,
        "dashboard_failed": 1,
        "doubled": 1,
        # A day that is emptied and filled again, and a month that is doubled and mended.
        "restated": sum(map(len, RESTATED.values())) + 2 + 2 * len(DOUBLED_MONTH),
    }
    told = Counter("all clear" if "all clear" in subject else "broken" for subject, _ in sent)
    alone = len(incidents) - 2 * (len(DOUBLED_MONTH) - 1)  # what happens to many days at once is one alert
    assert told == {"broken": alone, "all clear": alone}
    for incident in incidents:
        assert incident.notified
        assert incident.all_clear
        assert sum(f"\nSince: {incident.opened:%Y-%m-%d %H:%M} UTC" in text for _, text in sent) >= 1
    for _, _, asset in CRASHES.values():
        assert any(asset in text or "dashboard" in subject for subject, text in sent), f"{asset} crashed"


def of_anomalies(subject: str) -> bool:
    return "nobody expected" in subject or "an anomaly was withdrawn" in subject


def test_every_anomaly_is_told_once(month: Month) -> None:
    """Whatever crashes, comes late and is restated: each episode is in one alert, and in one more if it grew."""
    incidents = month.sim.watch.incidents
    episodes = [each for each in (*incidents.open("anomaly"), *incidents.closed()) if each.kind == "anomaly"]
    assert episodes
    begun = [text for subject, text in month.alerts.sent if "nobody expected" in subject]
    for episode in episodes:
        assert sum(f"{episode.subject}: " in text for text in begun) == 1, episode.subject


def test_a_month_that_has_doubled_is_a_question_until_it_is_mended(month: Month) -> None:
    """It is asked at the top of the digest and in one alert, though four weeks before are not all there to judge by."""
    told = {
        mail["Subject"]: mail.get_body(("plain",)).get_content().split("AWS cost by")[0]
        for mail in month.mails
        if f"{DOUBLED:%-d %b %Y}, revision" in mail["Subject"]
    }
    asked = "on 27 days from 2025-09-01 to 2025-09-27"
    assert [asked in " ".join(top.split()) for _, top in sorted(told.items())] == [True, False]
    assert sum(asked in text for subject, text in month.alerts.sent if "all clear" not in subject) == 1


def test_changed_days_are_told_with_what_was_told_before(month: Month) -> None:
    """The morning after a day was mailed unfinished, the digest says what it was told as and what it is now."""
    day = date(2025, 9, 26)
    mail = next(mail for mail in month.mails if f"{day + timedelta(days=1):%-d %b %Y}:" in mail["Subject"])
    text = mail.get_body(("plain",)).get_content()
    section = text.split("Changed by AWS since it was mailed")[1].split("All amounts")[0]
    assert "Fri 26 Sep" in section
    assert "+3.1 %" in section


def test_the_ledger_adds_up_to_what_changed(month: Month) -> None:
    """Old, new and delta of each changed row are in the table `restatements`; an account that moved sums to nothing."""
    columns, rows = month.sim.platform.catalog.query(
        "SELECT billingdate, SUM(newcost) - SUM(oldcost) - SUM(delta) AS off, SUM(delta) AS delta, "
        "COUNT(DISTINCT sourceexport) AS exports FROM restatements GROUP BY billingdate ORDER BY 1"
    )
    assert columns == ["billingdate", "off", "delta", "exports"]
    assert all(off == 0 for _, off, _, _ in rows)
    found = {day: delta for day, _, delta, _ in rows}
    moved = month.sim.platform.catalog.query(
        "SELECT ou, SUM(delta) FROM restatements WHERE ou = 'Moved/There' GROUP BY ou"
    )[1]
    assert moved[0][1] > 0
    assert {day for days in RESTATED.values() for day in days} | {EMPTIED} <= set(found)


def test_the_checks_of_the_morning_tell_the_mornings_apart(month: Month) -> None:
    """At 07:30 they are red where the day was not there, and green on all other mornings, whatever ran in between."""
    assert {day for day, green in month.checks.items() if not green} == LATE | OUTAGE | {CUT}
    assert len(FRESHNESS) == 6


def test_days_become_stable_once_refreshes_leave_them_alone(month: Month) -> None:
    """A day that three refreshes have left as it was is stable; the newest is provisional; a closed month is closed."""
    settled = month.sim.watch.journal.settled()
    assert settled(LAST) == "provisional"
    assert settled(LAST - timedelta(days=10)) == "stable"
    assert settled(HISTORY) == "closed"
