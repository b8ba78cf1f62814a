"""The page's headlines, as text."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from finops_assets.core.calendar import short_day
from finops_assets.core.money import change, money, percent
from finops_assets.core.reports.dashboard.inputs import DashboardInputs

AVERAGE_DAYS = 30


def tiles(inputs: DashboardInputs, totals: Mapping[date, Decimal], last: date, missing: str) -> list[dict[str, Any]]:
    """The headlines: label, value, unit, and the sentences under them.

    Args:
        inputs: of the page.
        totals: of its archived days.
        last: the last day of its calendar.
        missing: the line that says how many days are missing.
    """
    first, newest, this_year = min(totals), max(totals), inputs.this_year
    currency, unit = inputs.currency, inputs.unit
    note = inputs.day_notes[newest]
    of_newest = [
        _against(totals, newest, newest - timedelta(days=1), currency, this_year),
        _against(totals, newest, newest - timedelta(days=7), currency, this_year),
    ]
    if note.scheduled:
        of_newest.append(f"Includes {money(note.scheduled, currency)} of scheduled charges")
    if note.settlement == "provisional":
        of_newest.append("Provisional: may still change")
    month = [day for day in totals if (day.year, day.month) == (newest.year, newest.month)]
    recent = [day for day in totals if newest - timedelta(days=AVERAGE_DAYS) < day <= newest]
    average = sum((totals[day] for day in recent), Decimal()) / len(recent)
    through = [f"{count(len(totals), 'day')} archived since {short_day(first)} {first.year}"]
    through.append(missing)
    if last > newest:
        through.append(f"{count((last - newest).days, 'day')} behind {short_day(last)}")
    return [
        {
            "label": f"{short_day(newest)} {newest.year}",
            "value": money(totals[newest]),
            "unit": unit,
            "lines": of_newest,
        },
        {
            "label": "Month to date",
            "value": money(sum((totals[day] for day in month), Decimal())),
            "unit": unit,
            "lines": [_span(month, newest.replace(day=1), newest, this_year)],
        },
        {
            "label": f"Average per day, last {AVERAGE_DAYS} days",
            "value": money(average),
            "unit": unit,
            "lines": [_span(recent, newest - timedelta(days=AVERAGE_DAYS - 1), newest, this_year)],
        },
        {
            "label": "Data through",
            "value": f"{short_day(newest, weekday=False)} {newest.year}",
            "unit": "",
            "lines": through,
        },
    ]


def _against(totals: Mapping[date, Decimal], day: date, before: date, currency: str, this_year: int | None) -> str:
    words = short_day(before, this_year=this_year)
    if before not in totals:
        return f"No data for {words} to compare with"
    now, then = totals[day], totals[before]
    return f"{change(now - then, currency)} ({percent(now, then)}) vs {words}"


def _span(archived: list[date], start: date, end: date, this_year: int | None) -> str:
    """`1 Sep to 10 Sep, 10 days`, or how many of the days there are."""
    calendar = (end - start).days + 1
    days = count(calendar, "day")
    if len(archived) != calendar:
        days = f"{len(archived)} of {days}"
    of_start = this_year if start.year != end.year else None  # else the year at the end stands for both
    first, last = (short_day(d, weekday=False, this_year=y) for d, y in ((start, of_start), (end, this_year)))
    return f"{first} to {last}, {days}"


def count(number: int, noun: str, plural: str = "") -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"
