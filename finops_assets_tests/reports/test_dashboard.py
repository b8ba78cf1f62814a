"""The dashboard page: its figures, its file, and the page itself in a real headless browser."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
import shutil
import subprocess
import unicodedata
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from hashlib import sha256
from itertools import product
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import finops_assets
from finops_assets.adapters.local.dashboard import DashboardFile
from finops_assets.adapters.shared.dashboard_page import DASHBOARD_PATH, DashboardPage, PageSources
from finops_assets.core.accounts.ous import ALL
from finops_assets.core.analytics.anomalies import Episode
from finops_assets.core.analytics.budgets import Budgets, budget_lines
from finops_assets.core.analytics.kept_parts import KeptParts, kept_parts
from finops_assets.core.analytics.moved_parts import Part
from finops_assets.core.analytics.scorecard import Score, Scorecard
from finops_assets.core.archive.age import age_of, deadline_by
from finops_assets.core.archive.cost_history import HistoryByColumns, day_costs, history_by_columns
from finops_assets.core.archive.day_costs import KeyIndex
from finops_assets.core.archive.kept_history import KeptHistory
from finops_assets.core.archive.restatements import RESTATEMENTS
from finops_assets.core.bill.dimension_keys import UNTAGGED
from finops_assets.core.errors import ArchiveError
from finops_assets.core.money import change, money, percent
from finops_assets.core.reports.dashboard import (
    OTHER_ACCOUNTS,
    DashboardInputs,
    DayNote,
    DimensionCosts,
    Outlook,
    Restated,
    dashboard_data,
    render,
    restated_days,
)
from finops_assets.core.reports.dashboard.data import OTHER_SERVICES
from finops_assets.core.reports.dashboard.packing import unpack
from finops_assets.core.reports.dashboard.page import SCRIPT_PARTS, page_script
from finops_assets.core.schemas import (
    ACCOUNT_MAP_PATH,
    ACCOUNT_OU_MAP,
    DIMENSION_BREAKDOWN,
    MONEY,
    UNASSIGNED,
    day_path,
    scorecard_path,
)
from finops_assets.core.text import tidy
from finops_assets.core.values import DayRows, PublishedDay
from finops_assets_tests.support.ages import CASES

Row = tuple[date, str, str, str, Decimal]

PARTS = Path(finops_assets.__file__).parent / "templates" / "dashboard"
LAST = date(2025, 9, 10)
MISSING = (date(2025, 8, 20), date(2025, 8, 21))
SCHEDULED = {date(2025, 8, 1): Decimal("120.5"), date(2025, 9, 1): Decimal("121.25"), date(2025, 9, 5): Decimal("-30")}
OUS = ("Workloads/Prod", "Workloads/Dev", "Data", UNASSIGNED)
SERVICES = ("Amazon EC2", "AWS Lambda", "Amazon S3")
NAMES = {"100000000000": "payments", "100000000001": "search"}
ODD = Decimal("0.0000172836")
"""A bill has up to 11 decimals; every row of the sample ends in some."""

HOSTILE = (
    "<script>window.hacked = 1</script>",
    "</script><img src=x onerror='window.hacked = 1'>",
    "\"quotes\" & 'apostrophes' <!-- {{ 7 * 7 }} {% raw %}",
    "two\nlines\r\nand\ttabs",
    '=HYPERLINK("http://example.com","click")',
    "line\u2028and\u2029separators",
    "__proto__",
    "javascript:window.hacked=1",
    "Ünïcödé/東京",
    "invoice\u202egnp.exe\u202c",
    "zero\u200bwidth\ufeff",
    "\x1b[31mred\x9b0m",
)


def day_range(days: int, last: date = LAST) -> list[date]:
    return [last - timedelta(days=days - 1 - n) for n in range(days)]


def sample_rows(days: int = 80) -> list[Row]:
    """Each OU has two accounts, each account three services; the cost tells the key and the day apart."""
    rows = []
    for n, day in enumerate(day_range(days)):
        if day in MISSING:
            continue
        for o, (ou, half) in enumerate(product(OUS, (0, 1))):
            for s, service in enumerate(SERVICES):
                cost = Decimal(1000 // (o + 1) + 10 * s + n) + Decimal(n * 7 % 31) / 100 + ODD * (o + s + 1)
                rows.append((day, ou, service, f"{100000000000 + o}", cost if not half else cost / 4))
        if day in SCHEDULED:
            rows.append((day, OUS[0], "AWS Support", "100000000000", SCHEDULED[day]))
    return rows


def as_table(rows: Sequence[Row]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [[]] * 5
    return pa.table(
        {
            "billingdate": pa.array(columns[0], pa.date32()),
            "ou": pa.array(columns[1], pa.string()),
            "service": pa.array(columns[2], pa.string()),
            "linkedaccount": pa.array(columns[3], pa.string()),
            "dailycost": pa.array(map(float, columns[4]), pa.float64()),
            "cost": pa.array(columns[4], MONEY),
        }
    )


def by_day(rows: Sequence[Row]) -> Iterator[tuple[date, pa.Table]]:
    for day in sorted({row[0] for row in rows}):
        yield day, as_table([row for row in rows if row[0] == day])


def columns_of(tables: Iterator[tuple[date, pa.Table]]) -> HistoryByColumns:
    index = KeyIndex()
    return history_by_columns([day_costs(index, day, table) for day, table in tables], index)


def summed(
    rows: Sequence[Row],
    *,
    day: date | None = None,
    ou: str | None = None,
    service: str | None = None,
    account: str | None = None,
    below: str = "",
    start: date = date.min,
    end: date = date.max,
) -> Decimal:
    """The exact sum of the rows that have these values; `start` and `end` bound the day, `below` the OU's path."""
    start, end = (day, day) if day else (start, end)
    return sum(
        (
            row[4]
            for row in rows
            if start <= row[0] <= end
            and (ou is None or row[1] == ou)
            and (service is None or row[2] == service)
            and (account is None or row[3] == account)
            and (not below or row[1] == below or row[1].startswith(f"{below}/"))
        ),
        Decimal(),
    )


def notes_for(rows: Sequence[Row], settlement: str = "closed") -> dict[date, DayNote]:
    totals: dict[date, Decimal] = {}
    for day, *_, cost in rows:
        totals[day] = totals.get(day, Decimal()) + cost
    return {day: DayNote(SCHEDULED.get(day, Decimal()), settlement, totals[day]) for day in sorted(totals)}


MONTHLY = {"All": 200_000, "Workloads/Prod": 100_000, "Workloads/Dev": 120_000, "Data": 33_000}
"""With the sample's costs: red, red, green and amber; Workloads has the sum of its two, Unassigned none."""

AUGUST = date(2025, 8, 31)


def scorecard(rows: Sequence[Row], day: date = LAST, monthly: Mapping[str, int] = MONTHLY, **more: object) -> Scorecard:
    """As of the day, with forecasts and lights as the archive's scorecards have them."""
    costs: dict[str, dict[date, Decimal]] = {}
    for of_day, ou, _, _, cost in rows:
        if of_day <= day:
            costs.setdefault(ou, {})[of_day] = costs.get(ou, {}).get(of_day, Decimal()) + cost
    plan = Budgets({(ou, "default"): Decimal(amount) for ou, amount in monthly.items()}, "USD")
    scores = tuple(
        Score(
            ou=line.ou,
            cost=summed(rows, day=day, below="" if line.ou == ALL else line.ou),
            direct=summed(rows, day=day, ou=line.ou),
            low=None,
            high=None,
            month_to_date=line.forecast.month_to_date,
            budget=line.budget,
            p10=line.forecast.low,
            p50=line.forecast.expected,
            p90=line.forecast.high,
            share=line.share,
            light=line.light,
            reason=line.reason,
            passed=line.passed,
            anomaly=None,
            settlement="provisional",
        )
        for line in budget_lines(plan, costs, day, currency="USD", known=monthly)
    )
    return Scorecard(day, "USD", "billed", scores, **more)


def episode(
    number: int, ou: str = "Workloads/Prod", service: str = "", account: str = "", **changed: object
) -> Episode:
    known = {
        "id": f"A-{number:06}",
        "kind": "rise",
        "state": "open",
        "first": date(2025, 9, 8),
        "last": LAST,
        "expected": Decimal("1000.004"),
        "actual": Decimal("2500.25"),
        "score": 7.5,
        "reason": f"Reason {number}.",
    } | changed
    return Episode(ou=ou, service=service, account=account, **known)


def sample_outlook(rows: Sequence[Row], **changed: object) -> Outlook:
    known = {
        "newest": scorecard(rows, error=0.064),
        "earlier": [scorecard(rows, AUGUST)],
        "restated": [Restated(date(2025, 9, 4), Decimal("12.5"), datetime.fromisoformat("2025-09-06"))],
        "episodes": [
            episode(1, service="Amazon EC2", account="100000000000"),
            episode(2, "Data", kind="drop", state="closed", actual=Decimal("10")),
            episode(3, ALL, kind="drift", state="planned", planned="Sale", actual=Decimal("1100")),
        ],
    }
    return Outlook(**known | changed)


def page_data(rows: Sequence[Row], **changed: object) -> dict:
    known = {
        "currency": "USD",
        "cost_basis": "billed",
        "generated_for": max(row[0] for row in rows),
        "max_cells": 1_000_000,
        "names": NAMES,
        "day_notes": notes_for(rows),
    } | changed
    day_notes, names = known.pop("day_notes"), known.pop("names")
    return dashboard_data(DashboardInputs(columns_of(by_day(rows)), day_notes, names, **known))


def unpacked(data: dict) -> dict:
    """A large page's data with its numbers as lists, as a small page has them."""
    packed, days = data["packed"], len(data["days"])
    amounts, rest = unpack(packed["amounts"], packed["lengths"]), unpack(packed["ou_rest"], [days] * len(data["ou"]))
    return data | {"amounts": [row.tolist() for row in amounts], "ou_rest": [row.tolist() for row in rest]}


def amounts_of(data: dict, **wanted: str) -> list[int]:
    """Micros by archived day, summed over the keys with these names."""
    rows = [
        amounts
        for key, amounts in zip(data["keys"], data["amounts"], strict=True)
        if all(
            data[level][code] == wanted.get(level, data[level][code])
            for level, code in zip(("ou", "service", "account"), key, strict=True)
        )
    ]
    return [sum(column) for column in zip(*rows, strict=True)]


# ---- what the page holds


def test_a_page_too_small_for_early_days_has_a_name_for_each_row():
    """15 services of one account each leave no account to fold: an OU's early days are of no service and no account."""
    days = day_range(200)
    rows = [(day, ou, f"s{n}", "1", Decimal(1)) for day in days for ou in ("A", "B") for n in range(15)]
    data = page_data(rows, max_cells=5000)
    assert data["folded"] == 0
    named = {
        (data["ou"][ou], data["service"][s], data["account"][a], data["account_name"][a]) for ou, s, a in data["keys"]
    }
    assert {(ou, OTHER_SERVICES, OTHER_ACCOUNTS, "") for ou in ("A", "B")} < named
    assert len(named) == 32
    words = "Before 11 Jun, OUs are shown without their services and accounts to keep this page small."
    assert words in render(data)


def test_no_rounding_is_lost():
    """An OU's amounts of a day and their rest are the exact decimal; a service's are within a millionth of it."""
    rows = sample_rows()
    rows += [(LAST, "Data", f"tiny {n}", "100000000004", Decimal("0.0000004")) for n in range(1000)]
    rows += [(LAST, "Data", f"less {n}", "100000000004", Decimal("-0.00000070001")) for n in range(1000)]
    data = unpacked(page_data(rows))
    days = [date.fromisoformat(day) for day in data["days"]]
    for ou in OUS:
        rest = data["ou_rest"][data["ou"].index(ou)]
        for day, micros, picos in zip(days, amounts_of(data, ou=ou), rest, strict=True):
            assert Decimal(micros).scaleb(-6) + Decimal(picos).scaleb(-12) == summed(rows, day=day, ou=ou)
            assert abs(picos) < 1_000_000
        for service in SERVICES:
            for day, micros in zip(days, amounts_of(data, ou=ou, service=service), strict=True):
                assert abs(Decimal(micros).scaleb(-6) - summed(rows, day=day, ou=ou, service=service)) < Decimal("1e-6")


@pytest.mark.parametrize(
    "cost",
    [
        pytest.param("12345678901.123456789012", id="larger than one 64-bit word of 1e-12"),
        pytest.param("-12345678901.123456789012", id="such a credit"),
        pytest.param("-0.000000000001", id="smallest credit"),
        pytest.param("0", id="zero"),
    ],
)
def test_an_amount_is_the_decimal_rounded_to_six_places(cost: str):
    """Amounts come through as integers of 1e-6, whatever their size and sign."""
    data = page_data([(LAST, "Data", "Amazon S3", "1", Decimal(cost))])
    assert data["amounts"] == [[round(Decimal(cost) * 1_000_000)]]


def test_the_order_of_rows_does_not_matter():
    """The archive's order is no promise."""
    rows = sample_rows(10)
    assert page_data(rows[::-1]) == page_data(rows)


def test_a_null_name_is_kept_with_its_cost():
    """What the bill does not name still costs."""
    data = page_data([(LAST, None, "Amazon S3", "1", Decimal(3)), (LAST, "Data", None, None, Decimal(4))])
    assert sorted(data["ou"]) == ["", "Data"]
    assert amounts_of(data) == [7_000_000]


def test_missing_days_are_not_days_of_no_cost():
    """A day that is not archived has no amounts at all; an archived day without rows has zeros."""
    rows = sample_rows(40)
    empty = MISSING[0]
    day_notes = notes_for(rows) | {empty: DayNote(Decimal(), "closed", Decimal())}
    data = page_data(rows, day_notes=day_notes, generated_for=LAST + timedelta(days=2))
    assert MISSING[1].isoformat() not in data["days"]
    assert amounts_of(data)[data["days"].index(empty.isoformat())] == 0
    assert data["last"] == "2025-09-12"
    assert data["tiles"][-1]["lines"][1:] == ["3 days missing: 21 Aug, 11 Sep to 12 Sep", "2 days behind Fri 12 Sep"]


def test_the_headlines_are_the_exact_figures():
    """Newest day with both comparisons, month to date, average of 30 days, and how far the data go."""
    rows = sample_rows()
    newest, month, average, through = page_data(rows, day_notes=notes_for(rows, "provisional"))["tiles"]
    total = summed(rows, day=LAST)
    lines = []
    for words, before in (("Tue 9 Sep", date(2025, 9, 9)), ("Wed 3 Sep", date(2025, 9, 3))):
        then = summed(rows, day=before)
        lines.append(f"{change(total - then, 'USD')} ({percent(total, then)}) vs {words}")
    assert newest == {
        "label": "Wed 10 Sep 2025",
        "value": money(total),
        "unit": "USD, billed",
        "lines": [*lines, "Provisional: may still change"],
    }
    assert month["value"] == money(summed(rows, start=date(2025, 9, 1)))
    assert month["lines"] == ["1 Sep to 10 Sep, 10 days"]
    assert average["value"] == money(summed(rows, start=date(2025, 8, 12)) / 28)
    assert average["lines"] == ["12 Aug to 10 Sep, 28 of 30 days"]
    assert through["value"] == "10 Sep 2025"
    assert through["lines"] == ["78 days archived since Mon 23 Jun 2025", "2 days missing: 20 Aug to 21 Aug"]


def test_the_headlines_say_what_they_cannot_compare_and_what_is_scheduled():
    """A comparison with a missing day is not made up, and a fee does not pass for usage."""
    rows = [row for row in sample_rows() if row[0] <= date(2025, 9, 1) and row[0] != date(2025, 8, 31)]
    newest = page_data(rows)["tiles"][0]["lines"]
    assert newest[0] == "No data for Sun 31 Aug to compare with"
    assert newest[-1] == "Includes 121.25 USD of scheduled charges"


def test_the_smallest_accounts_are_folded_and_no_total_changes():
    """Past the limit the small accounts of an OU and service become one row; the large ones keep their names."""
    rows = [
        (day, ou, service, f"{account}", Decimal(account + 1) ** 3 + ODD)
        for day, ou, service, account in product(day_range(5), OUS, SERVICES, range(20))
    ]
    data = page_data(rows, max_cells=300)
    assert len(data["keys"]) == 60
    assert sum(map(len, data["amounts"])) <= 300
    assert data["folded"] == 240 - 60 + 12
    assert amounts_of(data) == amounts_of(page_data(rows))
    for ou, service in product(OUS, SERVICES):
        here = {data["account"][key[2]] for key in data["keys"] if data["ou"][key[0]] == ou}
        assert here == {"19", "18", "17", "16", OTHER_ACCOUNTS}
        exact = [summed(rows, day=day, ou=ou, service=service) for day in day_range(5)]
        for micros, cost in zip(amounts_of(data, ou=ou, service=service), exact, strict=True):
            assert abs(Decimal(micros) - cost * 1_000_000) < 1


def test_an_account_alone_in_its_ou_and_service_keeps_its_name():
    """Folding one row into one row saves nothing and hides a name; a limit of nothing leaves a row per group."""
    rows = [(LAST, "Data", f"service {n}", f"{n}", Decimal(1)) for n in range(9)]
    rows += [(LAST, "Data", "service 0", f"{n}", Decimal(n)) for n in range(20, 30)]
    data = page_data(rows, max_cells=1)
    assert len(data["keys"]) == 9
    assert data["folded"] == 11
    assert {data["account"][key[2]] for key in data["keys"]} == {OTHER_ACCOUNTS, *map(str, range(1, 9))}


@pytest.mark.parametrize(
    ("day_notes", "message"),
    [
        pytest.param({}, "nothing to show", id="no day at all"),
        pytest.param(
            {LAST: DayNote(Decimal(), "", Decimal("10.01"))}, "object says 10.01", id="rows are not the total"
        ),
        pytest.param({date(2025, 9, 9): DayNote(Decimal(), "", Decimal())}, "2025-09-10", id="a day without a note"),
    ],
)
def test_rows_that_contradict_the_archive_are_refused(day_notes: Mapping[date, DayNote], message: str):
    """A page never shows a total that the archive does not vouch for."""
    with pytest.raises(ArchiveError, match=message):
        page_data([(LAST, "Data", "Amazon S3", "1", Decimal(10))], day_notes=day_notes)


# ---- lights, budgets and forecasts


def test_what_is_told_beside_the_rows_is_the_scorecards_own():
    """Amounts are the scorecard's to the cent; the whole stands first, then level by level, Unassigned at its end."""
    rows = sample_rows()
    outlook = sample_outlook(rows)
    told = page_data(rows, outlook=outlook)["outlook"]
    assert [score["ou"] for score in told["scores"]] == [
        ALL,
        "Data",
        "Workloads",
        UNASSIGNED,
        "Workloads/Dev",
        "Workloads/Prod",
    ]
    for score in told["scores"]:
        own = outlook.newest.by_ou[score["ou"]]
        amounts = (own.month_to_date, own.budget, own.p10, own.p50, own.p90)
        assert score["text"] == ["" if amount is None else money(amount) for amount in amounts]
        assert score["micros"] == [None if amount is None else round(amount * 1_000_000) for amount in amounts]
        assert (score["light"], score["reason"]) == (own.light, own.reason)
        assert score["passed"] == (own.passed.isoformat() if own.passed else "")
    assert [told["scores"][at]["light"] for at in told["worst"]] == [
        "red",
        "red",
        "amber",
        "green",
        "green",
        "no budget",
    ]
    assert told["notices"] == []
    (again,) = told["restated"]
    total = summed(rows, day=date(2025, 9, 4))
    assert again == {
        "day": "2025-09-04",
        "old": money(total - Decimal("12.5")),
        "new": money(total),
        "by": "+12.50",
        "seen": "2025-09-06",
    }
    (august,) = told["months"]
    assert (august["first"], august["day"]) == ("2025-08-01", "2025-08-31")
    assert august["budgets"][0] == 200_000_000_000
    assert august["lights"][0] == outlook.earlier[0].whole.light


def test_a_page_without_scorecards_says_nothing_of_them():
    """Older archives have none: the page is as it was."""
    assert "outlook" not in page_data(sample_rows())


def test_months_that_the_page_does_not_hold_are_not_offered():
    """June's first days are not on the page: its sum would be half a month's."""
    rows = sample_rows()
    cards = [scorecard(rows, day) for day in (date(2025, 6, 30), date(2025, 7, 31), AUGUST)]
    told = page_data(rows, outlook=sample_outlook(rows, earlier=cards[::-1]))["outlook"]
    assert [month["first"] for month in told["months"]] == ["2025-07-01", "2025-08-01"]


def test_the_outlook_takes_at_most_half_of_the_page_and_says_what_it_leaves_out():
    """Earlier months give way first, then the oldest episodes; lights and restated days stay, and so do the rows."""
    rows = sample_rows()
    episodes = [episode(n, last=LAST - timedelta(days=n), first=LAST - timedelta(days=40)) for n in range(30)]
    outlook = sample_outlook(rows, episodes=episodes, earlier=[scorecard(rows, AUGUST)])
    room = 5 * 6 + 3  # six lights and a restated day
    told = page_data(rows, outlook=outlook, max_cells=2 * (room + 3 * 30 + 6))["outlook"]
    assert (len(told["months"]), len(told["episodes"]), told["notices"]) == (1, 30, [])
    told = page_data(rows, outlook=outlook, max_cells=2 * (room + 3 * 30 + 5))["outlook"]
    assert (len(told["months"]), len(told["episodes"])) == (0, 30)
    told = page_data(rows, outlook=outlook, max_cells=2 * (room + 3 * 2))["outlook"]
    assert [found["id"] for found in told["episodes"]] == ["A-000000", "A-000001"]
    assert (len(told["scores"]), len(told["restated"]), told["months"]) == (6, 1, [])
    assert told["notices"] == [
        "1 earlier month left out to keep this page small.",
        "28 older anomalies left out to keep this page small.",
    ]
    data = page_data(rows, outlook=outlook, max_cells=2000)
    embedded = 5 * 6 + 6 + 3 + 3 * 30
    assert sum(map(len, data["amounts"])) + embedded <= 2000
    assert amounts_of(data) == amounts_of(page_data(rows))


def test_lights_that_are_not_of_these_costs_say_so():
    """A scorecard of the day before, or of rows that have changed since, is shown with a word of warning."""
    rows = sample_rows()
    noted = sample_outlook(rows, newest=scorecard(rows, LAST - timedelta(days=1), notes=("The plan is old.",)))
    assert page_data(rows, outlook=noted)["outlook"]["notices"] == [
        "The plan is old.",
        "Lights and forecasts are as of Tue 9 Sep 2025: there is no scorecard of Wed 10 Sep yet.",
    ]
    changed = [*rows, (date(2025, 9, 3), "Data", "Amazon S3", "100000000004", Decimal("0.01"))]
    (notice,) = page_data(changed, outlook=sample_outlook(rows))["outlook"]["notices"]
    assert "the month to date of 2 OUs is not what the days below add up to" in notice
    other_month = [*rows, (date(2025, 8, 3), "Data", "Amazon S3", "100000000004", Decimal("0.01"))]
    assert page_data(other_month, outlook=sample_outlook(rows))["outlook"]["notices"] == []


@pytest.mark.parametrize("changed", [{"currency": "EUR"}, {"cost_basis": "effective"}])
@pytest.mark.parametrize("which", ["newest", "earlier"])
def test_a_scorecard_of_other_money_is_refused(changed: dict[str, str], which: str):
    """A budget in euros beside a bill in dollars would be a light that means nothing."""
    rows = sample_rows()
    outlook = sample_outlook(rows)
    other = dataclasses.replace(outlook.newest if which == "newest" else outlook.earlier[0], **changed)
    outlook = dataclasses.replace(outlook, **{which: other if which == "newest" else [other]})
    with pytest.raises(ArchiveError, match=next(iter(changed.values()))) as error:
        page_data(rows, outlook=outlook)
    assert error.value.where == scorecard_path(other.day)


def test_a_budget_of_nothing_is_no_number_that_json_cannot_hold():
    """Any cost is infinitely much of a budget of 0."""
    rows = sample_rows()
    data = page_data(rows, outlook=sample_outlook(rows, newest=scorecard(rows, monthly=MONTHLY | {"Data": 0})))
    (score,) = [score for score in data["outlook"]["scores"] if score["ou"] == "Data"]
    assert (score["light"], score["share"]) == ("red", "over 999 x the budget")
    assert json.loads(inline(render(data), '<script type="application/json" id="data">')) == data


def test_restated_days_are_the_ledgers_sums():
    """A day that was rewritten twice has moved by both; when is when it last moved."""

    def row(day: date, delta: str, seen: int) -> dict:
        return {
            "billingdate": day,
            "ou": "Data",
            "delta": Decimal(delta),
            "firstseen": datetime.fromisoformat(f"2025-09-{seen}"),
        }

    earlier = LAST - timedelta(days=3)
    ledger = [row(LAST, "1.5", 11), row(LAST, "-0.25", 12), row(LAST, "3", 11), row(earlier, "-1", 10)]
    assert restated_days(pa.Table.from_pylist(ledger, RESTATEMENTS)) == (
        Restated(earlier, Decimal(-1), datetime.fromisoformat("2025-09-10")),
        Restated(LAST, Decimal("4.25"), datetime.fromisoformat("2025-09-12")),
    )
    assert restated_days(RESTATEMENTS.empty_table()) == ()


# ---- the page as text


def hostile_outlook(rows: Sequence[Row]) -> Outlook:
    """Every text of it is hostile."""
    newest = scorecard(rows, monthly={name.strip("/"): 5 for name in HOSTILE[:-1]}, notes=HOSTILE[:2])
    episodes = [
        episode(n, name, name, name, id=name, reason=name, planned=name, kind=name, state=name)
        for n, name in enumerate(HOSTILE)
    ]
    return Outlook(newest, episodes=episodes)


def inline(page: str, opening: str) -> str:
    return page.split(opening, 1)[1].split("</script>", 1)[0]


def test_data_cannot_leave_its_script_element():
    """Whatever a name holds, the embedded JSON is inert text and reads back unchanged."""
    rows = [(LAST, name, name, name, Decimal(1)) for name in HOSTILE]
    outlook = hostile_outlook(rows)
    data = page_data(rows, names={name: name for name in HOSTILE}, outlook=outlook)
    embedded = inline(render(data), '<script type="application/json" id="data">')
    assert not re.search("[<>&\u2028\u2029\n]", embedded)
    assert json.loads(embedded) == data


def texts(part: object) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    elif isinstance(part, Mapping):
        yield from (text for each in (*part, *part.values()) for text in texts(each))
    elif isinstance(part, list | tuple):
        yield from (text for each in part for text in texts(each))


def test_no_text_of_the_page_turns_a_line_around_hides_or_has_no_end():
    """Names, reasons and notices are in one line, without controls, and cut; figures are all there."""
    endless = "x" * 100_000
    rows = [(LAST, name, name, name, Decimal(1)) for name in (*HOSTILE, endless)]
    told = hostile_outlook(rows)
    told = dataclasses.replace(told, newest=dataclasses.replace(told.newest, notes=(endless, *HOSTILE)))
    data = page_data(rows, names={name: name for name in HOSTILE}, outlook=told)
    shown = list(texts(data))
    assert not [text for text in shown if not text.isprintable()]
    assert max(map(len, shown)) <= 2000
    assert max(len(name) for name in (*data["ou"], *data["service"], *data["account"])) <= 120
    assert sum(amount for (amount,) in data["amounts"]) == len(rows) * 1_000_000


def test_names_that_look_alike_stay_apart_and_paths_stay_paths():
    """Two OUs that differ only in what nobody sees are two rows with two lights; a child stays below its parent."""
    plain, hidden = "Prod/Shop", "Pro\u200bd/Shop\u202e"
    rows = [(LAST, plain, "EC2", "1", Decimal(1)), (LAST, hidden, "EC\u20602", "1\ufeff", Decimal(2))]
    card = scorecard(rows, monthly={plain: 5, hidden: 7, "Pro\u200bd": 9})
    found = episode(0, hidden, "EC\u20602", "1\ufeff")
    data = page_data(rows, outlook=Outlook(card, episodes=[found]))
    assert dict(zip(data["ou"], data["amounts"], strict=True)) == {
        "Prod/Shop": [1_000_000],
        "Prod (2)/Shop": [2_000_000],
    }
    assert (sorted(data["service"]), sorted(data["account"])) == (["EC2", "EC2 (2)"], ["1", "1 (2)"])
    budgets = {score["ou"]: score["text"][1] for score in data["outlook"]["scores"]}
    assert (budgets["Prod/Shop"], budgets["Prod (2)/Shop"], budgets["Prod (2)"]) == ("5.00", "7.00", "9.00")
    (shown,) = data["outlook"]["episodes"]
    assert (shown["ou"], shown["service"], shown["account"]) == ("Prod (2)/Shop", "EC2 (2)", "1 (2)")


def test_text_outside_the_data_is_escaped_too():
    """Currency, basis and refresh id are settings and ids, and still no markup."""
    data = page_data(sample_rows(3), currency="<b>USD", cost_basis='"billed"') | {"refresh": "<i>7</i>"}
    page = render(data)
    assert "<b>" not in page
    assert "<i>7" not in page
    assert "&lt;i&gt;7&lt;/i&gt;" in page


def test_the_policy_allows_the_pages_own_script_and_nothing_else():
    """The hashes are those of the page as written; there is no unsafe-inline, no unsafe-eval and no host."""
    page = render(page_data(sample_rows(3)))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1].replace("&#39;", "'")
    for element in ("script", "style"):
        block = re.search(rf"<{element}>(.*?)</{element}>", page, re.DOTALL)[1]
        assert f"{element}-src 'sha256-{b64encode(sha256(block.encode()).digest()).decode()}';" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "http" not in policy


def parts_of_the_script() -> dict[str, str]:
    return {file.name: file.read_text(encoding="utf-8") for file in sorted(PARTS.glob("*.js"))}


def test_the_page_is_put_together_of_every_part():
    """No file beside the page's template is left out, and each stands in it as it is written."""
    page, parts = render(page_data(sample_rows(3))), parts_of_the_script()
    assert sorted(parts) == sorted(f"{name}.js" for name in SCRIPT_PARTS)
    whole = inline(page, "\n<script>")
    assert whole == "\n" + "".join(parts[f"{name}.js"] for name in SCRIPT_PARTS)
    assert f"<style>\n{(PARTS / 'style.css').read_text(encoding='utf-8')}</style>" in page
    assert {file.name for file in PARTS.iterdir()} == {*parts, "page.html.j2", "style.css"}


@pytest.mark.skipif(not shutil.which("node"), reason="needs Node.js")
@pytest.mark.parametrize("name", SCRIPT_PARTS)
def test_node_parses_each_part(name: str):
    """A mistake is told with its file and line; `make lint` does the same."""
    subprocess.run(["node", "--check", PARTS / f"{name}.js"], check=True)


# ---- the file


class FakeArchive:
    """Days and objects in memory; keeps what it was asked to read."""

    def __init__(self, rows: Sequence[Row] = (), **facts: str) -> None:
        self.rows = rows
        self.objects: dict[str, bytes] = {}
        self.reads: list[list[date]] = []
        self.history = KeptHistory(self)
        self.described = {
            day: self._published(day, summed(rows, day=day), facts) for day in sorted({row[0] for row in rows})
        }

    def _published(self, day: date, total: Decimal, facts: Mapping[str, str]) -> PublishedDay:
        said = {
            "currency": "USD",
            "cost_basis": "billed",
            "scheduled": str(SCHEDULED.get(day, 0)),
            "by_category": "{}",
            "left_out": "[]",
            "settlement": "provisional",
            "total": str(total),
        } | facts
        return PublishedDay(
            day, day_path(day), "1", self._count(day), total, said["currency"], said["cost_basis"], "f", 1, said
        )

    def _count(self, day: date) -> int:
        return sum(row[0] == day for row in self.rows)

    def publish(self, day: DayRows, metadata: Mapping[str, str]) -> PublishedDay:
        raise AssertionError("the dashboard writes no day")

    def describe(self, day: date) -> PublishedDay | None:
        return self.described.get(day)

    def days(self) -> list[date]:
        return sorted(self.described)

    def stream(self, days: Sequence[date]) -> Iterator[tuple[PublishedDay, pa.Table]]:
        self.reads.append(list(days))
        for day in days:
            yield self.described[day], as_table([row for row in self.rows if row[0] == day])

    def stamps(self) -> dict[date, str]:
        return dict.fromkeys(self.days(), "1")

    def put(self, path: str, data: bytes) -> str:
        assert path.startswith("_state/history/"), "the dashboard writes nothing else into the archive"
        return ""

    def get(self, path: str) -> bytes | None:
        return self.objects.get(path)

    def list(self, prefix: str) -> list[str]:
        return sorted(path for path in self.objects if path.startswith(prefix))

    def add_map(self, rows: Sequence[tuple[str, str, date]]) -> None:
        table = pa.Table.from_pylist(
            [
                {"account_id": account, "account_name": name, "ou": "Data", "ou_path": "Data", "valid_from": start}
                for account, name, start in rows
            ],
            schema=ACCOUNT_OU_MAP,
        )
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink)
        self.objects[ACCOUNT_MAP_PATH] = sink.getvalue().to_pybytes()


def dashboard(archive: FakeArchive, path: Path, days: int = 400) -> DashboardFile:
    return DashboardFile(archive, path, days=days, max_cells=1_000_000)


def embedded(path: Path) -> dict:
    return json.loads(inline(path.read_text(encoding="utf-8"), '<script type="application/json" id="data">'))


def test_a_refresh_writes_the_newest_days_and_says_what_it_holds(tmp_path: Path):
    """Rows, exact total and newest day are those of the page, and only its days were read."""
    rows = sample_rows()
    archive = FakeArchive(rows)
    path = tmp_path / "new" / "folder" / "dashboard.html"
    refresh = dashboard(archive, path, days=30).refresh("run-7")
    shown = [day for day in day_range(80) if day not in MISSING][-30:]
    assert archive.reads == [shown]
    assert refresh.id == "run-7"
    assert refresh.location == str(path)
    assert refresh.newest_day == LAST
    assert refresh.rows == sum(row[0] in shown for row in rows)
    assert refresh.total == summed(rows, start=shown[0])
    data = embedded(path)
    assert data["days"] == [day.isoformat() for day in shown]
    assert data["scheduled"][data["days"].index("2025-09-05")] == -30_000_000
    assert set(data["settlement"]) == {"provisional"}
    assert "Refresh run-7" in path.read_text(encoding="utf-8")


def test_account_names_are_the_newest_of_the_map(tmp_path: Path):
    """An account that was renamed goes by its new name; one without a name goes by its id."""
    archive = FakeArchive([(LAST, "Data", "Amazon S3", account, Decimal(1)) for account in ("1", "2", "3")])
    archive.add_map([("1", "new", date(2025, 5, 1)), ("1", "old", date(1, 1, 1)), ("2", "", date(1, 1, 1))])
    path = tmp_path / "dashboard.html"
    dashboard(archive, path).refresh("1")
    assert embedded(path)["account_name"] == ["new", "", ""]


@pytest.mark.parametrize(
    ("facts", "what"), [({"currency": "EUR"}, "currency"), ({"cost_basis": "effective"}, "cost basis")]
)
def test_days_that_cannot_be_added_up_are_refused(tmp_path: Path, facts: dict[str, str], what: str):
    """Dollars and euros, or two cost bases, are never one total; the error names the days and the way out."""
    archive = FakeArchive(sample_rows(10))
    archive.described |= {day: FakeArchive(sample_rows(10), **facts).described[day] for day in day_range(2)}
    path = tmp_path / "dashboard.html"
    path.write_text("old page")
    with pytest.raises(ArchiveError, match=what) as error:
        dashboard(archive, path).refresh("1")
    assert f"{next(iter(facts.values()))}: 2025-09-09 to 2025-09-10" in str(error.value)
    assert "finops backfill 2025-09-09 2025-09-10" in str(error.value)
    assert path.read_text() == "old page"


def test_the_outlook_is_asked_for_once_with_the_days_of_the_page(tmp_path: Path):
    """What it gives is on the page; where it gives nothing, the page has no lights."""
    rows = sample_rows()
    asked, path = [], tmp_path / "dashboard.html"

    def outlook(days: Sequence[date]) -> Outlook | None:
        asked.append(list(days))
        return sample_outlook(rows) if len(days) > 30 else None

    for days in (60, 30):
        DashboardFile(
            FakeArchive(rows), path, days=days, max_cells=1_000_000, sources=PageSources(outlook=outlook)
        ).refresh("1")
        assert ("outlook" in embedded(path)) == (days == 60)
    shown = [day for day in day_range(80) if day not in MISSING]
    assert asked == [shown[-60:], shown[-30:]]


def test_an_empty_archive_is_an_error(tmp_path: Path):
    """An empty page would look like a day without cost."""
    with pytest.raises(ArchiveError, match="nothing to show"):
        dashboard(FakeArchive(), tmp_path / "dashboard.html").refresh("1")
    assert not list(tmp_path.iterdir())


def test_a_page_that_cannot_be_put_in_place_leaves_nothing_behind(tmp_path: Path):
    """The page is written beside its place and moved there; when that fails, no half file stays."""
    path = tmp_path / "dashboard.html"
    path.mkdir()
    with pytest.raises(ArchiveError, match="cannot be written"):
        dashboard(FakeArchive(sample_rows(3)), path).refresh("1")
    assert list(tmp_path.iterdir()) == [path]


def test_the_same_page_can_be_an_object_of_the_archive(tmp_path: Path):
    """On AWS without QuickSight the page lies in the bucket, byte for byte the one that would be a file."""
    archive, place = FakeArchive(sample_rows(10)), f"s3://finops/{DASHBOARD_PATH}"
    archive.put = archive.objects.__setitem__
    put = partial(archive.put, DASHBOARD_PATH)
    in_archive = DashboardPage(archive, put, place, days=5, max_cells=1000).refresh("run-7")
    in_file = DashboardFile(archive, tmp_path / "page.html", days=5, max_cells=1000).refresh("run-7")
    pages = {path: page for path, page in archive.objects.items() if not path.startswith("_state/")}
    assert pages == {"dashboard/dashboard.html": (tmp_path / "page.html").read_bytes()}
    assert in_archive == dataclasses.replace(in_file, location=place)
    with pytest.raises(ArchiveError, match="nothing to show") as error:
        DashboardPage(FakeArchive(), put, place, days=5, max_cells=1000).refresh("run-7")
    assert error.value.where == place


# ---- the page in a browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the playwright package")
    if CHROMIUM is None:
        pytest.skip("needs Chromium on the path")
    with playwright.sync_playwright() as running:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        chromium = running.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield chromium
        chromium.close()


OPENED = datetime(2025, 9, 11, 8, tzinfo=UTC)
"""When a page is opened: the morning after its last day."""


class Opened:
    """A page in the browser, with what it complained of and asked for."""

    def __init__(self, browser, file: Path, **context: object) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1400, "height": 900}, "locale": "de-DE"} | context)
        drawn = "setTimeout(() => { window.drawn = location.hash })"  # after the page's own listener
        self.context.add_init_script(f"addEventListener('hashchange', () => {drawn})")
        self.page = self.context.new_page()
        self.file = file
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.on("request", lambda request: self.requests.append(request.url))

        if context.get("java_script_enabled", True):
            self.page.clock.set_fixed_time(OPENED)

    def go(self, state: str = "") -> None:
        self.page.goto("about:blank")
        self.page.goto(self.file.as_uri() + state)

    def follow(self, link) -> None:
        """Click, and wait until the page shows what the link leads to."""
        address = link.get_attribute("href")
        link.click()
        self.page.wait_for_function("address => window.drawn === address", arg=address)

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()

    def names(self) -> list[str]:
        return [text.strip() for text in self.page.locator("#table tbody th a").all_inner_texts()]

    def column(self, number: int) -> list[str]:
        return self.page.locator(f"#table tbody tr > :nth-child({number})").all_inner_texts()

    def total(self) -> str:
        return self.page.locator("#table tfoot tr:last-child td").first.inner_text()


@pytest.fixture
def open_page(browser, tmp_path: Path) -> Iterator:
    """Opens rows as a page; at the end nothing may have been complained of or asked for beside the file itself."""
    opened = []

    def open_rows(
        rows: Sequence[Row],
        *,
        state: str = "",
        data: Mapping | None = None,
        outlook: Outlook | None = None,
        **context: object,
    ) -> Opened:
        file = tmp_path / f"dashboard-{len(opened)}.html"
        day_notes = notes_for(rows) | notes_for([row for row in rows if row[0] >= date(2025, 9, 1)], "provisional")
        file.write_text(render(page_data(rows, day_notes=day_notes, outlook=outlook) | (data or {})), encoding="utf-8")
        opened.append(Opened(browser, file, **context))
        opened[-1].go(state)
        return opened[-1]

    yield open_rows
    for page in opened:
        page.context.close()
        assert page.complaints == []
        assert {url.split("#")[0] for url in page.requests} <= {page.file.as_uri(), "about:blank", "data:,"}


def cell(rows: Sequence[Row], **wanted: object) -> str:
    return money(summed(rows, **wanted))


@pytest.mark.browser
def test_a_browser_parses_each_part_and_the_whole(browser):
    """Each part is a script by itself, and no two of them define the same name."""
    page = browser.new_page()
    for source in (*parts_of_the_script().values(), page_script()):
        page.evaluate("source => { new Function(source) }", source)
    page.close()


@pytest.mark.browser
def test_drilling_down_and_back(open_page):
    """OU, service, account, days, each with the bill's own totals; the breadcrumb and Back lead up again."""
    rows = sample_rows()
    view = open_page(rows, state="#range=all")
    assert view.names() == list(OUS)
    assert view.column(2) == [cell(rows, ou=ou) for ou in OUS]
    assert view.total() == view.text("#sum") == cell(rows)
    assert view.page.locator(".crumbs").is_hidden()

    view.follow(view.page.get_by_role("link", name="Workloads/Prod"))
    assert view.text("#title") == "Workloads/Prod"
    assert set(view.names()) == {*SERVICES, "AWS Support"}
    assert view.total() == view.text("#sum") == cell(rows, ou=OUS[0])

    view.follow(view.page.get_by_role("link", name="Amazon EC2"))
    assert view.names() == ["payments 100000000000", "search 100000000001"]
    assert view.column(2) == [cell(rows, ou=OUS[0], service="Amazon EC2", account=f"10000000000{n}") for n in (0, 1)]

    view.follow(view.page.get_by_role("link", name="payments"))
    assert view.text("#title") == "payments (100000000000)"
    assert view.column(1)[0].startswith("Wed 10 Sep")
    assert view.column(2)[0] == cell(rows, day=LAST, ou=OUS[0], service="Amazon EC2", account="100000000000")
    crumbs = view.page.locator("#crumbs li").all_inner_texts()
    assert crumbs == ["All organizational units", "Workloads/Prod", "Amazon EC2", "payments (100000000000)"]

    view.follow(view.page.locator("#crumbs").get_by_role("link", name="Workloads/Prod"))
    assert view.text("#title") == "Workloads/Prod"
    view.page.go_back()
    view.page.locator("#title").filter(has_text="payments (100000000000)").wait_for()
    view.follow(view.page.locator("#crumbs").get_by_role("link", name="All organizational units"))
    assert view.names() == list(OUS)


@pytest.mark.browser
def test_everything_can_be_done_with_the_keyboard(open_page):
    """Rows open with Enter and the focus follows; the arrow keys read the chart day by day, gaps included."""
    rows = sample_rows()
    view = open_page(rows, state="#range=30")
    view.page.get_by_role("link", name="Workloads/Dev").focus()
    view.page.keyboard.press("Enter")
    view.page.wait_for_function("document.activeElement.id === 'title'")
    assert view.text("#title") == "Workloads/Dev"
    chart = view.page.get_by_role("slider")
    chart.focus()
    expected = f"Wed 10 Sep 2025; {cell(rows, day=LAST, ou='Workloads/Dev')} USD, billed; Provisional"
    assert chart.get_attribute("aria-valuetext") == expected
    view.page.keyboard.press("ArrowLeft")
    assert chart.get_attribute("aria-valuetext").startswith("Tue 9 Sep 2025; ")
    view.page.keyboard.press("Home")
    assert chart.get_attribute("aria-valuetext").startswith("Tue 12 Aug 2025; ")
    for _ in range(8):
        view.page.keyboard.press("ArrowRight")
    assert chart.get_attribute("aria-valuetext") == "Wed 20 Aug 2025; No data: the day is not in the archive"
    view.page.get_by_role("button", name="Service").focus()
    view.page.keyboard.press("Enter")
    assert view.names() == ["Amazon EC2", "Amazon S3", "AWS Lambda"]
    assert view.page.evaluate("document.activeElement.dataset.sort") == "name"
    assert view.page.locator("th[aria-sort]").get_attribute("aria-sort") == "ascending"


def tile_named(view: Opened, name: str):
    return view.page.locator("#lights a").filter(has=view.page.locator(".name", has_text=re.compile(f"^{name}$")))


def facts(view: Opened) -> dict[str, str]:
    return dict(text.split("\n") for text in view.page.locator("#facts div").all_inner_texts())


AXE = Path(__file__).parent.parent / "support" / "axe.min.js"
RULES = "['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']"


@pytest.mark.browser
@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_barrier(width: int, scheme: str, open_page):
    """Contrast, landmarks, labels, target sizes and the rest of WCAG 2.2 AA that axe-core can tell."""
    rows = sample_rows()
    viewport = {"width": width, "height": 900}
    view = open_page(rows, outlook=sample_outlook(rows), viewport=viewport, color_scheme=scheme, bypass_csp=True)
    view.page.evaluate(AXE.read_text(encoding="utf-8"))
    found = view.page.evaluate(f"axe.run({{runOnly: {RULES}}})")
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found["violations"]] == []
    assert len(found["passes"]) > 20


@pytest.mark.browser
def test_an_account_is_found_anywhere_and_its_tiles_and_csv_are_its_own(open_page):
    """By account, over all services; the search finds by name and id; the file has the shown rows to the cent."""
    rows = sample_rows()
    view = open_page(rows, outlook=sample_outlook(rows), state="#range=month&view=accounts&ou=Data")
    tiles = view.text(".tiles")
    with view.page.expect_download() as download:
        view.page.locator("#csv").click()
    written = list(csv.reader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8-sig"))))
    costs = [cost.replace(",", "") for cost in view.column(2)]
    assert [row[1] for row in written[1 : len(costs) + 1]] == costs
    assert written[len(costs) + 1][1] == view.total().replace(",", "")
    link = view.page.locator("#table tbody th a").first
    account = re.search(r"[0-9]{12}", link.inner_text())[0]
    view.page.locator("#everywhere").fill(account)
    (found,) = view.page.locator("#found a").all()
    view.follow(found)
    assert account in view.text("#title")
    assert view.text("#views").startswith("By service")
    assert view.total() == view.text("#sum") == view.page.locator(".tiles .value").nth(1).inner_text()
    assert view.text(".tiles") != tiles
    view.page.locator("#everywhere").fill("no such thing")
    assert view.text("#found-foot") == "Nothing on this page has that in its name."


@pytest.mark.browser
def test_from_a_light_down_to_an_account(open_page):
    """Tile, OU, OU below, service, account: each shows its light in words, and the archive's numbers to the cent."""
    rows = sample_rows()
    outlook = sample_outlook(rows)
    view = open_page(rows, outlook=outlook, state="#range=month")
    assert view.page.evaluate("scrollY") == 0, "a page begins at its top"
    whole, month = outlook.newest.whole, date(2025, 9, 1)
    assert view.text("#verdict").split("\n") == ["■ Red", "105 % of budget expected"]
    assert facts(view) == {
        "Month to date": cell(rows, start=month),
        "Budget": "200,000.00",
        "Forecast": money(whole.p50),
        "80 % band": f"{money(whole.p10)} to {money(whole.p90)}",
        "Budget passed": "29 Sep, expected",
    }
    assert view.text("#reason") == whole.reason
    assert "by 6.4\u00a0% (median)" in view.text("#method")
    assert view.total() == view.text("#sum") == cell(rows, start=month)
    lights = [text.split("\n")[0] for text in view.page.locator("#lights a").all_inner_texts()]
    assert lights == ["◊ Amber", "● Green", "○ No budget", "● Green", "■ Red"]
    for ou in ("Data", "Workloads", UNASSIGNED, "Workloads/Dev", "Workloads/Prod"):
        score, text = outlook.newest.by_ou[ou], tile_named(view, ou).inner_text()
        assert f"{cell(rows, below=ou, start=month)} USD, billed" in text
        assert money(score.p50) in text
        assert f"{money(score.p10)} to {money(score.p90)}" in text
        assert score.budget is None or (money(score.budget) in text and score.reason.split(":")[-1] in text)
    assert "28 Sep, expected" in tile_named(view, "Workloads/Prod").inner_text()

    view.follow(tile_named(view, "Workloads"))
    assert view.text("#month-title") == view.text("#title") == "Workloads"
    assert view.page.evaluate("document.activeElement.id") == "month-title"
    assert facts(view)["Month to date"] == cell(rows, below="Workloads", start=month)
    assert view.text("#sum") == cell(rows, below="Workloads", start=month)
    assert view.names() == ["Workloads/Prod", "Workloads/Dev"]
    assert [text.split("\n")[2] for text in view.page.locator("#lights a").all_inner_texts()] == [
        "Workloads/Dev",
        "Workloads/Prod",
    ]
    view.follow(view.page.get_by_role("link", name="By service"))
    of_service = dict(zip(view.names(), view.column(2), strict=True))
    assert of_service["Amazon EC2"] == cell(rows, below="Workloads", service="Amazon EC2", start=month)
    view.page.go_back()

    view.follow(tile_named(view, "Workloads/Prod"))
    assert facts(view)["Budget passed"] == "28 Sep, expected"
    assert view.page.locator("#below").is_hidden()
    view.follow(view.page.get_by_role("link", name="Amazon EC2").first)
    assert view.page.locator("#outlook").is_hidden()
    view.follow(view.page.get_by_role("link", name="payments").first)
    assert view.total() == cell(rows, ou=OUS[0], service="Amazon EC2", account="100000000000", start=month)
    view.follow(view.page.locator("#crumbs").get_by_role("link", name="Workloads", exact=True))
    assert view.text("#title") == "Workloads"


@pytest.mark.browser
def test_a_service_of_all_ous_and_an_ou_with_accounts_of_its_own(open_page):
    """All by service; a parent's own accounts are a row of their own, and its address holds all below it."""
    rows = [*sample_rows(10), (LAST, "Workloads", "Amazon EC2", "100000000009", Decimal("7.25"))]
    view = open_page(rows, state="#range=all&view=services")
    assert dict(zip(view.names(), view.column(2), strict=True)) == {
        service: cell(rows, service=service) for service in {row[2] for row in rows}
    }
    view.follow(view.page.get_by_role("link", name="Amazon EC2"))
    assert view.total() == cell(rows, service="Amazon EC2")
    assert "100000000009" in view.names()
    view.go("#range=all&ou=Workloads")
    assert view.total() == cell(rows, below="Workloads")
    assert view.names() == ["Workloads/Prod", "Workloads/Dev", "Workloads (own accounts)"]
    view.follow(view.page.get_by_role("link", name="Workloads (own accounts)"))
    assert view.text("#title") == "Workloads (own accounts)"
    assert view.total() == view.text("#sum") == "7.25"
    assert view.names() == ["Amazon EC2"]


@pytest.mark.browser
def test_the_month_is_read_with_the_keyboard_and_earlier_months_are_there(open_page):
    """Each day's cost up to it and its own; what is to come has none. August has its budget, and the archive's sum."""
    rows = sample_rows()
    tight = scorecard(rows, AUGUST, MONTHLY | {"All": 150_000})
    view = open_page(rows, outlook=sample_outlook(rows, earlier=[tight]))
    chart = view.page.locator("#month-chart")
    chart.focus()
    newest = chart.get_attribute("aria-valuetext")
    assert newest.startswith(f"Wed 10 Sep 2025; {cell(rows, start=date(2025, 9, 1))} USD, billed to date; ")
    assert f"{cell(rows, day=LAST)} USD, billed on the day; Provisional; Anomaly A-000001: rise, open" in newest
    view.page.keyboard.press("ArrowRight")
    assert chart.get_attribute("aria-valuetext") == "Thu 11 Sep 2025; Yet to come"
    view.page.keyboard.press("Home")
    first = cell(rows, day=date(2025, 9, 1))
    assert chart.get_attribute("aria-valuetext").startswith(f"Mon 1 Sep 2025; {first} USD, billed to date; {first} USD")
    assert view.page.locator("#month-chart .budget").count() == 1
    assert view.page.locator("#month-chart .ahead").count() == 1
    assert "Forecast with its 80 % band" in view.text("#month-marks")
    view.page.get_by_title("August 2025").focus()
    view.page.keyboard.press("Enter")
    view.page.locator("#months").filter(has_text="September 2025").or_(
        view.page.get_by_text("August 2025")
    ).first.wait_for()
    view.page.wait_for_function("document.activeElement.textContent.includes('Sep')")
    august = summed(rows, start=date(2025, 8, 1), end=AUGUST)
    assert facts(view) == {"Month": money(august), "Budget": "150,000.00"}
    assert view.text("#verdict").replace("\n", " ") == f"■ Red {august / 1500:.0f} % of budget spent"
    assert view.page.locator("#month-chart rect[fill='url(#missing-month-chart)']").count() == 2
    assert view.page.locator("#month-chart .ahead").count() == 0
    assert view.page.locator("#month-chart .over").get_attribute("d")


@pytest.mark.browser
def test_of_many_lights_the_worst_come_first_and_all_can_be_found(open_page):
    """A bounded number at first; names and lights are searched; a budget without costs has its tile and its page."""
    rows = [
        (LAST - timedelta(days=n), f"Unit {u:02}", "Amazon S3", "1", Decimal(10)) for n in range(40) for u in range(20)
    ]
    budgets = {f"Unit {u:02}": 280 + u for u in range(20)} | {"Idle/Sandbox": 5}
    view = open_page(rows, outlook=Outlook(scorecard(rows, monthly=budgets)))
    names = view.page.locator("#lights .name")
    assert names.all_inner_texts() == [f"Unit {u:02}" for u in range(8)]
    assert view.text("#lights-foot") == "8 of 22 organizational units, those that need attention most first."
    view.page.get_by_placeholder("Filter by name or light").fill("SANDBOX")
    assert names.all_inner_texts() == ["Idle/Sandbox"]
    view.follow(view.page.locator("#lights a"))
    assert facts(view)["Budget"] == "5.00"
    assert view.text("#sum") == "0.00"
    view.page.go_back()
    view.page.locator("#more-lights").filter(has_text="Show all 22").click()
    assert names.count() == 22
    view.page.get_by_placeholder("Filter by name or light").fill("red")
    assert set(view.page.locator("#lights .light").all_inner_texts()) == {"■ Red"}


@pytest.mark.browser
def test_anomalies_and_restated_days_are_marked_and_listed_where_they_belong(open_page):
    """Those of the place that is shown and below it, in the period; the link of one leads to where it is."""
    rows = sample_rows()
    view = open_page(rows, outlook=sample_outlook(rows), state="#range=7")
    items = view.page.locator("#episodes li")
    assert items.count() == 3
    first = items.first.inner_text()
    for part in ("◆ Open", "Rise", "A-000001", "8 Sep to 10 Sep", "+1,500.25 USD, billed", "Reason 1."):
        assert part in first
    assert "2,500.25 against 1,000.00 expected" in first
    assert "Planned: Sale" in items.last.inner_text()
    assert view.page.locator("#chart path.anomaly").count() == 3
    assert view.page.locator("#chart .restated").count() == 1
    before = summed(rows, day=date(2025, 9, 4)) - Decimal("12.5")
    row = view.page.locator("#restatements tbody tr").inner_text().split("\t")
    assert row == ["4 Sep", money(before), cell(rows, day=date(2025, 9, 4)), "+12.50", "6 Sep"]
    view.go("#range=7&view=days")
    noted = view.page.locator("tbody tr").filter(has_text="Thu 4 Sep").locator(".note").inner_text()
    assert f"Restated on the whole bill: {money(before)} → {row[2]} USD, billed" in noted
    view.go("#range=7")
    view.follow(items.first.get_by_role("link"))
    assert view.text("#title") == "payments (100000000000)"
    assert items.count() == 1
    view.go("#range=7&ou=Data")
    assert items.all_inner_texts()[0].startswith("● Closed")
    view.go("#from=2025-08-01&to=2025-08-07")
    assert view.text("#odd-foot") == "1 Aug to 7 Aug 2025: no anomalies (3 more in other periods), no day restated."


def moved(*given: tuple[str, str, str, str]) -> KeptParts:
    """Moves of a first account by OU, service, usage type and change."""
    days = (PublishedDay(d, "", "", 0, Decimal(), "USD", "billed", str(d), 0) for d in (LAST, LAST - timedelta(days=7)))
    parts = [
        Part(
            *(ou, service, "100000000000", "use", used, "", ""),
            *(Decimal(), Decimal(by), None, 1.0, {"volume": Decimal(by)}),
        )
        for ou, service, used, by in given
    ]
    return kept_parts(*days, parts)


@pytest.mark.browser
def test_moves_are_listed_with_cause_and_parts_where_they_belong(open_page):
    """Of the place that is shown; a link leads to a move's own place, and its parts add up to it. Names stay text."""
    ours = [("Workloads/Prod", "Amazon EC2", name, by) for name, by in (("BoxUsage:m5", "30.25"), (HOSTILE[0], "1.50"))]
    other = ("Data", "Amazon S3", "Requests", "7")
    rows = sample_rows()
    view = open_page(rows, data={"moved": page_data(rows, moved=moved(*ours, other))["moved"]})
    items = view.page.locator("#moves > li")
    assert items.count() == 2
    first = items.first.inner_text()
    assert "Cause: new service of BoxUsage:m5, +31.75" in first
    assert "+31.75 USD, billed" in first
    assert "Wed 10 Sep against Wed 3 Sep" in view.text("#moved-foot")
    items.first.locator("summary").click()
    cells = items.first.locator("tbody tr").all_inner_texts()
    assert [row.split("\t") for row in cells] == [
        ["BoxUsage:m5", "new service", "0.00", "30.25", "+30.25"],
        [HOSTILE[0], "new service", "0.00", "1.50", "+1.50"],
    ]
    view.follow(items.first.get_by_role("link"))
    assert view.text("#title") == "payments (100000000000)"
    assert items.count() == 1
    view.go("#ou=Workloads%2FDev")
    assert not view.page.locator("#moved").is_visible()


def test_of_many_moves_the_largest_of_each_ou_are_on_the_page():
    """A page without kept parts has none."""
    many = [("Data", f"Service {n:02}", "A", str(n)) for n in range(1, 20)]
    rows = page_data(sample_rows(), moved=moved(*many, ("Workloads/Dev", "Amazon S3", "B", "0.50")))["moved"]["rows"]
    assert [row["change"] for row in rows] == ["+19.00", "+18.00", "+17.00", "+16.00", "+15.00", "+0.50"]
    assert page_data(sample_rows())["moved"]["rows"] == []


@pytest.mark.browser
def test_ranges_change_every_figure(open_page):
    """Presets and the two date inputs; the change is against the equal period before, missing days left out of both."""
    rows = sample_rows()
    view = open_page(rows)
    assert view.text("#period") == "12 Aug to 10 Sep 2025, 28 of 30 days"
    assert view.text("#sum") == cell(rows, start=date(2025, 8, 12))
    twins = {day - timedelta(days=30) for day in MISSING}
    before = summed([row for row in rows if row[0] not in twins], start=date(2025, 7, 13), end=date(2025, 8, 11))
    now = summed(rows, start=date(2025, 8, 12))
    assert view.text("#change") == (
        f"{change(now - before)} ({percent(now, before)}) against 13 Jul to 11 Aug 2025, "
        "2 missing days left out of both"
    )
    for name, start in (("7 days", date(2025, 9, 4)), ("Month to date", date(2025, 9, 1)), ("All", date.min)):
        view.follow(view.page.get_by_role("link", name=name, exact=True))
        assert view.text("#sum") == view.total() == cell(rows, start=start)
    assert view.text("#change") == "No equal period before this one on this page"
    view.page.get_by_label("From").fill("2025-08-03")
    view.page.get_by_label("to", exact=True).fill("2025-08-09")
    view.page.locator("#period").filter(has_text="3 Aug to 9 Aug 2025").wait_for()
    start, end = date(2025, 8, 3), date(2025, 8, 9)
    assert view.text("#sum") == cell(rows, start=start, end=end)
    now, before = (
        summed(rows, ou="Data", start=start, end=end),
        summed(rows, ou="Data", start=start - timedelta(days=7), end=end - timedelta(days=7)),
    )
    data_row = view.page.get_by_role("row").filter(has=view.page.get_by_role("link", name="Data"))
    assert data_row.locator("td").nth(2).inner_text().split() == [change(now - before), *percent(now, before).split()]


@pytest.mark.browser
def test_the_filter_finds_rows_and_says_when_there_is_none(open_page):
    """Names and ids are found, whatever their case; the total of what was found stands beside the whole."""
    rows = sample_rows()
    view = open_page(rows, state="#range=all")
    view.page.get_by_role("searchbox", name="Filter the table").fill("workLOADS")
    assert view.names() == ["Workloads/Prod", "Workloads/Dev"]
    found = view.page.locator("tfoot tr").first.inner_text().split("\t")
    assert found[:2] == ["2 of 4 found", money(summed(rows, ou=OUS[0]) + summed(rows, ou=OUS[1]))]
    assert view.total() == cell(rows)
    view.page.get_by_role("searchbox", name="Filter the table").fill("no such thing")
    assert view.names() == []
    assert view.text("#foot") == "Nothing here has that in its name."
    view.go(f"#range=all&ou={OUS[0]}&service=Amazon EC2")
    view.page.get_by_role("searchbox", name="Filter the table").fill("000001")
    assert view.names() == ["search 100000000001"]


@pytest.mark.browser
def test_gaps_scheduled_charges_and_provisional_days_are_marked(open_page):
    """A missing day is hatched, not zero; a day with scheduled charges has a mark; both are in the legend."""
    view = open_page(sample_rows(), state="#range=30")
    assert view.page.locator("#chart rect[fill='url(#missing-chart)']").count() == 2
    assert view.page.locator("#chart .mark").count() == 2
    assert view.page.locator("#chart .open").count() == 1
    assert len(view.page.locator("#marks li").all()) == 3
    view.go("#range=30&view=days")
    days = dict(zip((text.split("\n")[0] for text in view.column(1)), view.column(2), strict=True))
    assert view.page.locator("tbody tr").filter(has_text="Wed 20 Aug").locator("td").first.inner_text() == "–"
    assert len(days) == 30
    fee = view.page.locator("tbody tr").filter(has_text="Fri 5 Sep").locator(".note").inner_text()
    assert fee == "Scheduled charges on the whole bill: -30.00 USD, billed; Provisional"
    view.go("#from=2025-08-03&to=2025-08-09")
    assert view.page.locator("#marks li").count() == 0


@pytest.mark.browser
def test_currency_and_basis_stand_wherever_a_number_stands(open_page):
    """Tiles, chart axis, readout, headline and both money columns."""
    rows = sample_rows()
    view = open_page(rows, outlook=sample_outlook(rows))
    daily = ("header p", ".tiles", "#chart svg", "#readout", "#unit", "th.cost", "th.change", "#table caption")
    outlook = (
        "#month-unit",
        "#month-chart svg",
        "#month-readout",
        "#below-unit",
        "#lights a",
        "#episodes li",
        "#odd h3",
    )
    for selector in (*daily, *outlook):
        assert "USD, billed" in view.page.locator(selector).first.text_content(), selector


@pytest.mark.browser
def test_hostile_names_are_text_everywhere(open_page):
    """Down every level and back, nothing runs, nothing is loaded, and all that can be seen of each name is there."""
    rows = [(LAST - timedelta(days=n), name, name, name, Decimal(n + 1)) for n in range(3) for name in HOSTILE]
    outlook = hostile_outlook(rows)
    view = open_page(rows, data={"account_name": list(map(tidy, HOSTILE))}, state="#range=all", outlook=outlook)
    on_page = "[...document.querySelectorAll('tbody a')].map(a => a.textContent.trim())"
    assert set(view.page.evaluate(on_page)) == set(map(tidy, HOSTILE))
    for place in range(len(HOSTILE)):
        view.go("#range=all")
        name = view.page.evaluate(on_page)[place]
        for level in range(3):
            view.follow(view.page.locator("tbody a").nth(0 if level else place))
            assert view.total() == "6.00"
        assert name in view.page.locator("#crumbs").text_content()
        assert view.page.locator("tbody tr").count() == 3
        assert name in view.page.locator("#episodes .where").text_content()
    view.go("#range=all")
    view.page.locator("#more-lights").click()
    tiles = view.page.evaluate("[...document.querySelectorAll('#lights .name')].map(name => name.textContent)")
    assert set(map(tidy, HOSTILE)) <= set(tiles)
    assert view.page.evaluate("window.hacked") is None
    assert view.page.locator("img").count() == 0


@pytest.mark.browser
def test_the_policy_stops_what_the_page_itself_would_never_do(open_page):
    """Code from strings and markup from strings are refused by the browser."""
    view = open_page(sample_rows(3))
    later = "new Promise(done => setTimeout(() => { try { done(%s) } catch (error) { done(error.name) } }))"
    assert view.page.evaluate(later % "eval('1 + 1')") == "EvalError"
    assert view.page.evaluate(later % "document.body.innerHTML = '<b>x</b>'") == "TypeError"
    assert view.page.evaluate("fetch('https://example.com/').catch(error => error.name)") == "TypeError"
    assert view.page.title() == "AWS cost by OU, through 2025-09-10"
    view.complaints.clear()


@pytest.mark.browser
def test_an_address_that_fits_nothing_shows_the_whole(open_page):
    """An old link to an OU that is gone, or a range of nonsense, is no broken page."""
    rows = sample_rows()
    view = open_page(rows, state="#ou=Gone&service=Amazon%20EC2&range=elephant&from=x")
    assert view.text("#title") == "All organizational units"
    assert view.text("#sum") == cell(rows, start=date(2025, 8, 12))
    view.go("#from=1999-01-01&to=2099-01-01")
    assert view.text("#sum") == cell(rows)


@pytest.mark.browser
def test_many_ous_share_one_colour_and_keep_their_rows(open_page):
    """The chart names the largest and sums the rest; the table holds all, and cuts a very long list until asked."""
    rows = [(LAST, f"Unit {n:03}", "Amazon S3", "1", Decimal(1000 - n)) for n in range(250)]
    rows.append((LAST, UNASSIGNED, "Amazon S3", "2", Decimal(1)))
    view = open_page(rows)
    legend = [text.split("\n")[0].strip() for text in view.page.locator("#legend .name").all_inner_texts()]
    assert legend == [*(f"Unit {n:03}" for n in range(7)), "Other OUs (243)", UNASSIGNED]
    assert view.total() == cell(rows)
    assert len(view.names()) == 200
    view.page.get_by_role("button", name="Show all 251").click()
    assert len(view.names()) == 251


@pytest.mark.browser
def test_credits_and_folded_accounts_are_told(open_page):
    """A negative row has no share of the whole, and the page says what it folded."""
    rows = [(LAST, "Data", "Amazon S3", f"{n}", Decimal(n + 1)) for n in range(50)]
    rows.append((LAST, "Data", "Credit", "1", Decimal("-5.25")))
    view = open_page(rows, state="#ou=Data")
    credit = view.page.get_by_role("row").filter(has_text="Credit")
    assert credit.locator("td").all_inner_texts()[:2] == ["-5.25", "–"]
    folded = page_data(rows, max_cells=10)
    view = open_page(rows, data=folded, state="#ou=Data&service=Amazon S3")
    assert OTHER_ACCOUNTS in view.names()
    assert "42 of the smallest rows" in view.text("footer")
    assert view.total() == cell(rows, service="Amazon S3")


@pytest.mark.browser
@pytest.mark.parametrize("state", ["", "#range=all&view=days", "#ou=Workloads/Prod&service=Amazon EC2&range=all"])
def test_a_phone_in_the_dark_shows_it_whole(open_page, state: str):
    """Nothing is wider than 390 pixels, and dark mode is dark."""
    rows, phone = sample_rows(), {"width": 390, "height": 844}
    view = open_page(rows, state=state, outlook=sample_outlook(rows), viewport=phone, color_scheme="dark")
    assert view.page.evaluate("document.documentElement.scrollWidth") == 390
    assert view.page.evaluate(
        "document.querySelector('.scroll').scrollWidth <= document.querySelector('.scroll').clientWidth"
    )
    assert view.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 22, 28)"


@pytest.mark.browser
def test_print_is_light_and_without_controls(open_page):
    """Paper has no buttons and no dark mode."""
    rows = sample_rows()
    view = open_page(rows, outlook=sample_outlook(rows), color_scheme="dark")
    view.page.emulate_media(media="print", color_scheme="dark")
    assert view.page.locator(".toolbar").is_hidden()
    assert view.page.locator(".tools").is_hidden()
    for shown in ("#table", "#month-chart", "#lights", "#episodes"):
        assert view.page.locator(shown).is_visible()
    assert view.page.evaluate("getComputedStyle(document.querySelector('h1')).color") == "rgb(23, 33, 43)"


@pytest.mark.browser
def test_a_page_counts_its_age_when_it_is_opened(open_page):
    """Made on the morning after its last day, it says later what the mail of that moment says, to the letter."""
    for name, (archived, now, sentence, missing) in CASES.items():
        last, moment = max(archived), datetime.fromisoformat(now).replace(tzinfo=UTC)
        made = datetime(last.year, last.month, last.day, 8, tzinfo=UTC) + timedelta(days=1)
        age = age_of(archived, first_day=date(2020, 1, 1), now=made, deadline=deadline_by("0 7 * * *"))
        rows = [(day, "Prod", "EC2", "1", Decimal(5)) for day in sorted(archived)]
        data = page_data(rows, day_notes=notes_for(rows), generated_for=last, age=age, made_at=made)
        view = open_page(rows, data=data)
        view.page.clock.set_fixed_time(moment)
        view.go()
        assert view.page.locator("#age").is_visible() == bool(sentence), name
        assert view.page.locator("#age").text_content() == sentence, name
        assert view.page.locator("#missing").text_content() == missing, name
        assert f"made {made.day} {made:%b} {made.year}, 08:00 UTC" in view.text("header").replace(
            "\N{NO-BREAK SPACE}", " "
        )


@pytest.mark.browser
def test_a_page_of_another_year_names_it(open_page):
    """On the axis, in the table of days and in the lists; of this year, dates are short."""
    rows = sample_rows()
    view = open_page(rows, outlook=sample_outlook(rows), state="#range=7&view=days")
    assert "2025" not in view.text("#chart") + view.text("#episodes")
    view.page.clock.set_fixed_time(datetime(2027, 1, 2, 8, tzinfo=UTC))
    view.go("#range=7&view=days")
    assert "USD, billed, 2025" in view.text("#chart")
    assert "8 Sep to 10 Sep 2025" in view.text("#episodes")


@pytest.mark.browser
def test_without_javascript_the_headlines_still_stand(open_page):
    """The tiles are in the page itself; the rest says what it needs."""
    rows = sample_rows()
    view = open_page(rows, outlook=sample_outlook(rows), java_script_enabled=False)
    assert cell(rows, day=LAST) in view.text(".tiles")
    assert view.page.locator("noscript tr").nth(1).inner_text().split("\t")[:2] == [ALL, "■ red"]
    assert "need JavaScript" in view.text("noscript")


@pytest.mark.browser
def test_texts_without_end_do_not_make_the_page_wider(open_page):
    """A name or a notice of 100,000 characters is cut and broken into lines."""
    endless = "x" * 100_000
    rows = [*sample_rows(3), (LAST, endless, endless, endless, Decimal(9000))]
    newest = scorecard(rows, monthly={"All": 1, endless: 5}, notes=(endless,))
    told = Outlook(newest, episodes=[episode(0, endless, endless, endless, reason=endless, planned=endless)])
    view = open_page(rows, data={"account_name": [endless[:120]] * 20}, outlook=told)
    assert view.page.evaluate("document.documentElement.scrollWidth") == 1400


def dimension_of(rows: Sequence[Row], known: Sequence[date]) -> DimensionCosts:
    """Each service as a value of tag:team, hostile as it may be; the last service has none."""
    values = [*HOSTILE, UNTAGGED]
    services = sorted({row[2] for row in rows})
    sums = [
        {
            "billingdate": day,
            "dimension": "tag:team",
            "value": values[-1 - services.index(service)],
            "ou": ou,
            "cost": c,
        }
        for day, ou, service, _, c in rows
        if day in known
    ]
    fields = [DIMENSION_BREAKDOWN.field(name) for name in ("billingdate", "dimension", "value", "ou", "cost")]
    return DimensionCosts(pa.Table.from_pylist(sums, schema=pa.schema(fields)), {"tag:team": set(known)})


@pytest.mark.browser
def test_a_dimension_is_a_second_way_to_drill(open_page):
    """Values with their sums, of what has none too; one value by OU; days that do not have it are told."""
    rows = sample_rows()
    known = sorted({row[0] for row in rows})[10:]
    data = page_data(rows, dimensions=dimension_of(rows, known))
    view = open_page(rows, data=data, state="#range=all")
    view.page.get_by_role("link", name="By tag:team").click()
    assert view.total() == cell(rows)
    assert "(untagged)" in view.names()
    assert "(days without tag:team)" in view.text("#table")
    first = min(row[0] for row in rows)
    assert f"finops backfill {first} {known[0] - timedelta(days=1)}" in view.text("#foot")
    view.page.get_by_role("link", name="(untagged)").click()
    of_none = [row for row in rows if row[0] in known and row[2] == min(row[2] for row in rows)]
    assert view.total() == cell(of_none)
    assert view.text("#title") == "tag:team: (untagged)"
    ou = view.names()[0]
    view.page.locator("#table tbody a").first.click()
    assert "tag:team: (untagged)" in view.text("#crumbs")
    assert view.total() == cell(of_none, below=ou)
    view.page.get_by_role("link", name="All organizational units").click()
    assert view.total() == cell(rows)
    assert view.page.evaluate("window.hacked") is None


@pytest.mark.browser
def test_values_of_a_dimension_stay_text(open_page):
    """Markup, formulas and turned lines are shown, and do nothing."""
    rows = [(LAST, "Data", f"Service {n:02}", "1", Decimal(n + 1)) for n in range(len(HOSTILE) + 1)]
    view = open_page(rows, data=page_data(rows, dimensions=dimension_of(rows, [LAST])), state="#by=tag:team")
    assert view.total() == cell(rows)
    assert len(view.names()) == len(HOSTILE) + 1
    assert view.page.evaluate("window.hacked") is None
    for row in view.page.locator("#table tbody a").all():
        assert not unsafe_characters(row.inner_text())


def unsafe_characters(text: str) -> set[str]:
    return {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp")} - {"\n"}
