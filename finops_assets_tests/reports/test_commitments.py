"""Savings Plans and reservations in the digest: their use in a line, and each note once."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from finops_assets.core.analytics.commitments import use, use_of_each
from finops_assets.core.reports.digest.commitments import commitment_notes, commitment_words
from finops_assets.core.schemas import COMMITMENTS

DAY = date(2025, 9, 10)
FIRST = DAY.replace(day=1)
PLAN, RESERVED = "arn:aws:savingsplans::1:savingsplan/p-1", "arn:aws:rds:us-east-1:1:ri:db-1"


def rows(*of: dict[str, Any]) -> pa.Table:
    def row(given: dict[str, Any]) -> dict[str, Any]:
        used, unused = Decimal(given.pop("used", 0)), Decimal(given.pop("unused", 0))
        own = {"billingdate": DAY, "commitmentid": PLAN, "kind": "savings plan", "ou": "Eng", "linkedaccount": "1"}
        return own | {"usedcost": used, "unusedcost": unused, "committedcost": used + unused} | given

    return pa.Table.from_pylist([row(dict(one)) for one in of], COMMITMENTS)


def on_demand(amount: int, **of: Any) -> dict[str, Any]:
    return {"commitmentid": "", "kind": "on demand", "ondemandcost": Decimal(amount), **of}


def reservation(**of: Any) -> dict[str, Any]:
    return {"commitmentid": RESERVED, "kind": "reservation", **of}


def test_a_reservation_counts_in_the_rate_of_a_whole_month_alone() -> None:
    """Its unused part is booked on the 1st, and is that of the month: on the day it would say that all was used."""
    table = rows({"used": 3, "unused": 1}, reservation(used=4), reservation(billingdate=FIRST, unused=6, used=4))
    month_to_date = use(table, [FIRST + timedelta(days=n) for n in range(10)])
    assert (month_to_date.used, month_to_date.unused, month_to_date.all_used) == (3, 1, 11)
    assert month_to_date.utilization == Decimal("0.75")
    september = use(table, [FIRST + timedelta(days=n) for n in range(30)])
    assert (september.used, september.unused) == (11, 7)
    of_reservation = use_of_each(table, DAY)[0]
    assert (of_reservation.kind, of_reservation.month.utilization) == ("reservation", None)


def test_the_line_has_the_day_and_the_month() -> None:
    table = rows(
        {"used": 3, "unused": 1, "ondemandcost": Decimal(6), "expires": date(2026, 3, 1)},
        {"used": 4, "unused": 0, "ondemandcost": Decimal(6), "billingdate": FIRST},
        on_demand(14),
        on_demand(4, billingdate=FIRST),
    )
    assert commitment_words(table, DAY, "USD") == (
        "75 % (87 % this month) used, 1.00 USD (1.00 this month) not used, coverage 30 % (40 % this month), "
        "next expiry 2026-03-01"
    )


def test_the_line_says_that_reservations_are_left_out() -> None:
    table = rows({"used": 3, "unused": 1, "ondemandcost": None}, reservation(used=4))
    assert commitment_words(table, DAY, "USD") == (
        "75 % (75 % this month) used, 1.00 USD (1.00 this month) not used (without reservations until the month ends)"
    )


def test_an_ou_is_told_what_it_uses_and_nothing_of_the_others() -> None:
    """Of a plan that another account owns the OU has no unused part: all of it would seem used."""
    table = rows(
        {"used": 3, "ou": "Eng/Web", "ondemandcost": Decimal(5), "expires": date(2026, 3, 1)},
        {"used": 8, "unused": 1, "ou": "Data", "ondemandcost": Decimal(9)},
        on_demand(5, ou="Eng"),
    )
    assert (
        commitment_words(table, DAY, "USD", "Eng") == "3.00 USD (3.00 this month) used, coverage 50 % (50 % this month)"
    )
    assert commitment_words(table, DAY, "USD", "Sales") == ""
    assert commitment_words(None, DAY, "USD") == ""


@pytest.mark.parametrize(
    ("left", "since", "told"),
    [
        (91, 1, False),
        (90, 1, True),
        (89, 1, False),
        (88, 3, True),
        (30, 1, True),
        (29, 1, False),
        (7, 1, True),
        (6, 1, False),
        (0, 1, False),
        (40, None, True),
        (100, None, False),
        (-1, None, False),
    ],
)
def test_an_end_is_told_once_for_each_threshold(left: int, since: int | None, *, told: bool) -> None:
    """Also where mails of the days between were not sent, and of one that readers have never been told."""
    table = rows({"used": 1, "expires": DAY + timedelta(days=left)})
    before = DAY - timedelta(days=since) if since else None
    notes = commitment_notes(table, DAY, before, "USD")
    assert len(notes) == told
    if told:
        assert notes[0] == f"The savings plan p-1 ends on {DAY + timedelta(days=left)}, in {left} days."


def test_a_week_of_little_use_is_told_when_it_begins() -> None:
    """One day of it is not; nor is a reservation, whose rate is not known."""
    week = [{"used": 10, "billingdate": DAY - timedelta(days=n)} for n in range(1, 8)]
    still = rows(*week, {"used": 8, "unused": 2})
    assert commitment_notes(still, DAY, DAY - timedelta(days=1), "USD") == []
    low = rows(*week, {"used": 0, "unused": 20}, reservation(unused=9))
    assert commitment_notes(low, DAY, DAY - timedelta(days=1), "USD") == [
        "The savings plan p-1 was used to 75 % in the week to 2025-09-10: 20.00 USD of September so far not used."
    ]
    next_day = rows(*week, {"used": 0, "unused": 20}, {"used": 9, "unused": 1, "billingdate": DAY + timedelta(days=1)})
    assert commitment_notes(next_day, DAY + timedelta(days=1), DAY, "USD") == []
    assert commitment_notes(None, DAY, None, "USD") == []


def test_a_name_of_anybody_is_short_harmless_text() -> None:
    table = rows({"used": 1, "expires": DAY, "commitmentid": "arn/" + "x" * 10_000 + "\u202e\n"})
    (note,) = commitment_notes(table, DAY, None, "USD")
    assert len(note) < 200
    assert "\u202e" not in note
    assert "\n" not in note
