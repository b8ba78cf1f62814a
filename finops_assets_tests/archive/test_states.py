"""Which days are not whole, with the cause and the command: each way that a day can be broken, on a real home."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from finops_assets.core.archive import gaps, states
from finops_assets.core.archive.causes import CAUSES
from finops_assets.core.archive.expected_days import expected_days
from finops_assets.core.archive.gaps import Gap
from finops_assets.core.archive.states import Facts, state_of
from finops_assets.core.schemas import RESTORED_FROM, day_location, day_path
from finops_assets.core.values import CatalogDay, DashboardContent, DayPrint, PublishedDay
from finops_assets_tests.cli.test_cli import DEMO_NOW, demo
from finops_assets_tests.support.command import finops

pytestmark = pytest.mark.usefixtures("records_in_memory")

__all__ = ["demo"]

FIRST, LAST = date(2025, 9, 1), date(2025, 9, 6)
DAYS = [FIRST + timedelta(days=n) for n in range(6)]
MIDDLE = DAYS[2]
TOTAL = Decimal("12.34")


def archived(day: date) -> PublishedDay:
    return PublishedDay(day, day_path(day), "v1", 7, TOTAL, "USD", "billed", "abc", 100)


def whole() -> Facts:
    """Six days of which nothing is missing."""
    shown = DashboardContent("d.html", datetime(2025, 9, 7, 7, tzinfo=UTC), LAST, totals=dict.fromkeys(DAYS, TOTAL))
    return Facts(
        covered=frozenset(DAYS),
        prints={day: DayPrint("abc", TOTAL, 7) for day in DAYS},
        scored=frozenset(DAYS),
        archived={day: archived(day) for day in DAYS},
        registered={day: day_location(day) for day in DAYS},
        read={day: CatalogDay(day, day_location(day), 7, TOTAL, 0) for day in DAYS},
        shown=shown,
        mailed=dict.fromkeys(DAYS, "sent"),
    )


def gaps_of(facts: Facts) -> list[Gap]:
    return gaps.find_gaps(state_of(day, facts) for day in DAYS)


def without(facts: Facts, link: str, *days: date) -> Facts:
    """The facts as if these days were not in one of its links."""
    there = getattr(facts, link)
    left = there - set(days) if link in ("covered", "scored") else {d: v for d, v in there.items() if d not in days}
    return replace(facts, **{link: left})


def changed(facts: Facts, link: str, day: date, value: object) -> Facts:
    return replace(facts, **{link: {**getattr(facts, link), day: value}})


RUN = f"finops run --date {MIDDLE}"
READ = CatalogDay(MIDDLE, day_location(MIDDLE), 7, TOTAL, 0)
BROKEN: list[tuple[str, Callable[[Facts], Facts], str, str]] = [
    ("no object", lambda c: without(c, "archived", MIDDLE), RUN, "the bill has it, the archive does not"),
    (
        "source has no such day",
        lambda c: without(without(c, "archived", MIDDLE), "covered", MIDDLE),
        f"have the month delivered again, or make sure that nothing was charged, then: {RUN}",
        "no charge on this one",
    ),
    ("zero rows", lambda c: changed(c, "archived", MIDDLE, replace(archived(MIDDLE), rows=0)), RUN, "holds no row"),
    ("no partition", lambda c: without(c, "registered", MIDDLE), RUN, "no query sees it"),
    (
        "wrong location",
        lambda c: changed(c, "registered", MIDDLE, day_location(FIRST)),
        RUN,
        f"registered at {day_location(FIRST)}",
    ),
    ("partition without rows", lambda c: without(c, "read", MIDDLE), RUN, "0 rows are read, 7 are archived"),
    ("doubled registration", lambda c: changed(c, "read", MIDDLE, replace(READ, rows=14)), RUN, "2 times over"),
    (
        "second object",
        lambda c: changed(c, "read", MIDDLE, replace(READ, rows=14, objects=2)),
        f"remove it, then: {RUN}",
        f"remove all but {day_path(MIDDLE)}",
    ),
    (
        "not read back as archived",
        lambda c: changed(c, "read", MIDDLE, replace(READ, total=TOTAL + Decimal("0.01"))),
        RUN,
        "12.35 is read, 12.34 is archived",
    ),
    (
        "dashboard outdated",
        lambda c: replace(c, shown=replace(c.shown, totals={**c.shown.totals, MIDDLE: TOTAL + 1})),
        RUN,
        "it shows 13.34",
    ),
    (
        "not as in the bill",
        lambda c: changed(c, "prints", MIDDLE, DayPrint("other", TOTAL + 3, 7)),
        RUN,
        "the bill has +3.00 USD",
    ),
    (
        "bill unreadable",
        lambda c: replace(without(without(c, "archived", MIDDLE), "covered", *DAYS), unreadable="x.csv: is cut"),
        "mend the bill",
        "x.csv: is cut",
    ),
    (
        "source not registered",
        lambda c: replace(
            without(without(c, "archived", MIDDLE), "covered", MIDDLE),
            unregistered={f"{MIDDLE:%Y-%m}": "3 file(s) are in no partition; register them: ALTER TABLE ..."},
        ),
        "register the month's folder in Athena",
        "ALTER TABLE",
    ),
    (
        "gone from the bill",
        lambda c: replace(without(without(c, "covered", MIDDLE), "prints", MIDDLE), gone=frozenset({MIDDLE})),
        "have the export delivered again",
        f"the bill ends on {LAST} now",
    ),
    ("no scorecard", lambda c: without(c, "scored", MIDDLE), RUN, "ou_scorecard does not have it"),
    (
        "no charges",
        lambda c: replace(c, without_charges={MIDDLE: "the table ou_charges does not have it"}),
        RUN,
        "ou_charges does not have it",
    ),
    (
        "no dimensions",
        lambda c: replace(c, without_dimensions={MIDDLE: "the table dimension_breakdown does not have it"}),
        RUN,
        "dimension_breakdown does not have it",
    ),
    (
        "no commitments",
        lambda c: replace(c, without_commitments={MIDDLE: "the table commitments does not have it"}),
        RUN,
        "commitments does not have it",
    ),
    ("damaged object", lambda c: replace(c, damaged={MIDDLE: "is damaged: no footer"}), RUN, "no footer"),
    (
        "mail unsent",
        lambda c: changed(c, "mailed", MIDDLE, "partial"),
        f"finops doctor --date {MIDDLE}",
        "not everybody",
    ),
    ("mail in doubt", lambda c: changed(c, "mailed", MIDDLE, "unknown"), f"finops doctor --date {MIDDLE}", "not known"),
]


def test_a_whole_month_has_no_gap() -> None:
    """Where every link has every day, nothing is told."""
    assert gaps_of(whole()) == []


@pytest.mark.parametrize(("cause", "break_it", "mend", "detail"), BROKEN, ids=[case[0] for case in BROKEN])
def test_each_broken_link_is_named_with_its_command(
    cause: str, break_it: Callable[[Facts], Facts], mend: str, detail: str
) -> None:
    """One day, one cause, what is wrong, and what mends it."""
    (gap,) = gaps_of(break_it(whole()))
    assert (gap.first, gap.last, gap.cause) == (MIDDLE, MIDDLE, cause)
    assert detail in gap.detail
    assert gap.mend.startswith(mend)


def test_every_cause_has_its_case() -> None:
    """No cause is listed that nothing finds: source late has a test of its own."""
    assert {case[0] for case in BROKEN} | {"source late"} == set(CAUSES)


def test_a_late_source_is_no_hole_in_it() -> None:
    """Days after the bill's newest one are late; the whole stretch is one gap, with one command."""
    late = without(without(whole(), "archived", *DAYS[4:]), "covered", *DAYS[4:])
    late = replace(late, shown=replace(late.shown, newest_day=DAYS[3], totals=dict.fromkeys(DAYS[:4], TOTAL)))
    assert gaps_of(late) == [
        Gap(
            DAYS[4],
            DAYS[5],
            "source late",
            f"the bill ends on {DAYS[3]}",
            f"wait for the export, then: finops backfill {DAYS[4]} {DAYS[5]}",
        )
    ]


def test_stretches_end_where_the_cause_changes() -> None:
    """Days that are not contiguous, or broken otherwise, are gaps of their own: each has its command."""
    broken = without(without(whole(), "archived", DAYS[0], DAYS[1], DAYS[3]), "registered", DAYS[2])
    found = [(gap.first, gap.last, gap.cause) for gap in gaps_of(broken)]
    assert found == [
        (DAYS[0], DAYS[1], "no object"),
        (DAYS[2], DAYS[2], "no partition"),
        (DAYS[3], DAYS[3], "no object"),
    ]


def test_mail_is_settled_day_by_day() -> None:
    """Two days in a row of which somebody may have the digest or not are two gaps, each with its own command."""
    doubt = changed(changed(whole(), "mailed", DAYS[1], "unknown"), "mailed", DAYS[2], "unknown")
    found = gaps_of(doubt)
    assert [gap.first for gap in found] == DAYS[1:3]
    assert [str(gap.first) in gap.mend for gap in found] == [True, True]


def test_an_old_day_without_a_digest_is_whole() -> None:
    """A backfill sends one summary, not old digests; only of the newest day a missing digest is missed."""
    never = replace(whole(), mailed={})
    assert [(gap.first, gap.cause) for gap in gaps_of(never)] == [(LAST, "mail unsent")]


def test_a_dashboard_that_counts_rows_is_behind_once() -> None:
    """QuickSight tells rows, not days: what it lacks is one gap, at the newest day."""
    shown = DashboardContent("a link", datetime(2025, 9, 7, 7, tzinfo=UTC), LAST, rows=35, expected_rows=42)
    written = dict.fromkeys(DAYS, datetime(2025, 9, 7, 6, tzinfo=UTC))
    (gap,) = gaps_of(replace(whole(), shown=shown, behind=states.behind(shown, written)))
    assert (gap.first, gap.cause) == (LAST, "dashboard outdated")
    assert "there is none" in states.behind(None, written)


def test_a_dashboard_that_tells_nothing_of_itself_is_judged_by_the_clock() -> None:
    """A refresh that somebody else has started: a day written after it is not in it, as far as can be told."""
    shown = DashboardContent("a link", datetime(2025, 9, 7, 7, tzinfo=UTC), None, rows=42, expected_rows=42)
    written = dict.fromkeys(DAYS, datetime(2025, 9, 7, 6, tzinfo=UTC))
    assert states.behind(shown, written) == ""
    late = written | {MIDDLE: datetime(2025, 9, 7, 8, tzinfo=UTC)}
    assert states.behind(shown, late) == f"{MIDDLE} was written after its last refresh"


def test_a_restored_day_is_held() -> None:
    """Somebody has put an earlier version back: that the bill has it otherwise is no gap, and it is well."""
    held = replace(archived(MIDDLE), metadata={RESTORED_FROM: "v0"})
    facts = changed(changed(whole(), "archived", MIDDLE, held), "prints", MIDDLE, DayPrint("other", TOTAL + 3, 7))
    assert gaps_of(facts) == []
    assert state_of(MIDDLE, facts).as_in_bill is True


def test_whether_a_day_is_as_in_the_bill_is_unknown_where_nothing_says_so() -> None:
    """Of a bill that cannot be read, or that was not asked for the day, nothing follows for the archived day."""
    assert state_of(MIDDLE, whole()).as_in_bill is True
    assert state_of(MIDDLE, without(whole(), "prints", MIDDLE)).as_in_bill is None
    assert state_of(MIDDLE, replace(whole(), unreadable="x.csv: is cut")).as_in_bill is None


def test_days_are_expected_from_the_first_that_is_known() -> None:
    """Not before bill.first_day, not before the bill begins, up to yesterday; with nothing known, yesterday alone."""
    assert expected_days(DAYS, [], DAYS[1], LAST) == DAYS[1:]
    assert expected_days(DAYS[:2], [], date(2020, 1, 1), DAYS[3]) == DAYS[:4]
    assert expected_days([], [], FIRST, LAST) == [LAST]


def test_the_command_finds_what_was_broken_and_mends_it(demo: Path, tmp_path: Path) -> None:
    """On a real home: a day's object and another's partition are lost, and what it says to run mends them."""
    home = tmp_path / "home"
    shutil.copytree(demo / ".finops", home)
    at_home = {"cwd": demo, "now": DEMO_NOW, "FINOPS_HOME": str(home)}
    before = finops("gaps", **at_home)
    assert (before.exit_code, "all whole.\n" in before.stdout) == (0, True), before.stdout + before.stderr

    lost, unseen = date(2025, 9, 10), date(2025, 9, 11)
    (home / "archive" / day_path(lost)).unlink()
    with sqlite3.connect(home / "catalog.sqlite") as catalog:
        catalog.execute("DELETE FROM partitions WHERE year = ? AND month = ? AND day = ?", unseen.timetuple()[:3])
    done = finops("gaps", "--json", **at_home)
    found = json.loads(done.stdout)
    assert done.exit_code == 1
    assert [(gap["first"], gap["cause"]) for gap in found] == [(str(lost), "no object"), (str(unseen), "no partition")]
    counted = {
        date(row["year"], row["month"], row["day"]): row["rows"]
        for row in json.loads(finops("gaps", "--weekly", "--json", **at_home).stdout)
    }
    assert [day for day, rows in counted.items() if not rows] == [lost, unseen]
    assert finops("gaps", "--weekly", **at_home).stdout.count("MISSING") == 2

    for gap in found:
        mended = finops(*gap["mend"].split()[1:], **at_home)
        assert mended.exit_code == 0, mended.stderr
    assert finops("gaps", **at_home).exit_code == 0


def test_a_bill_that_ended_long_ago_is_late(tmp_path: Path) -> None:
    """A bill without its newest days: the days after it are late, in one line, and programs get exit code 1."""
    bill = tmp_path / "bill.csv"
    bill.write_text("BillingDate,OU,Service,LinkedAccount,Cost\n2025-09-01,Prod,Amazon S3,111122223333,1.25\n")
    settings = {"FINOPS_HOME": str(tmp_path / "home"), "FINOPS_BILL__PATH": str(bill)}
    settings |= {"FINOPS_BILL__FIRST_DAY": "2025-01-01", "FINOPS_BILL__CURRENCY": "USD"}
    assert finops("run", "--date", "2025-09-01", cwd=tmp_path, **settings).exit_code == 0
    done = finops("gaps", cwd=tmp_path, **settings)
    assert done.exit_code == 1
    line = next(line for line in done.stdout.splitlines() if "source late" in line)
    assert line.startswith("2025-09-02 to ")
    assert "the bill ends on 2025-09-01" in line
