"""Days: ranges, contiguous stretches, ends of months, and how they are written for people."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Sequence
from datetime import date, timedelta


def in_words(days: Sequence[date]) -> str:
    """`2025-09-01 to 2025-09-03, 2025-09-07`, shortened after five stretches."""
    stretches = contiguous(days)
    shown = [str(s[0]) if len(s) == 1 else f"{s[0]} to {s[-1]}" for s in stretches[:5]]
    more = f" and {sum(len(s) for s in stretches[5:])} more day(s)" if len(stretches) > 5 else ""
    return ", ".join(shown) + more


def days_between(first: date, last: date) -> list[date]:
    """Every day from first to last."""
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def month_end(day: date) -> date:
    """The last day of the day's month."""
    return day.replace(day=monthrange(day.year, day.month)[1])


def contiguous(days: Sequence[date]) -> list[list[date]]:
    """The days (ascending) parted into stretches without a gap: a run covers one stretch."""
    stretches: list[list[date]] = []
    for day in days:
        if stretches and (day - stretches[-1][-1]).days == 1:
            stretches[-1].append(day)
        else:
            stretches.append([day])
    return stretches


MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def short_day(day: date, *, weekday: bool = True, this_year: int | None = None) -> str:
    """`Wed 10 Sep`, whatever the process's locale; with its year where that is not `this_year`, the reader's."""
    text = f"{day.day} {MONTHS[day.month - 1]}"
    if this_year is not None and day.year != this_year:
        text += f" {day.year}"
    return f"{WEEKDAYS[day.weekday()]} {text}" if weekday else text


def full_day(day: date) -> str:
    """`10 Sep 2025`."""
    return f"{short_day(day, weekday=False)} {day.year}"


def stretches(days: Iterable[date]) -> list[tuple[date, date]]:
    """Contiguous stretches as (first, last): a run each."""
    return [(stretch[0], stretch[-1]) for stretch in contiguous(sorted(set(days)))]
