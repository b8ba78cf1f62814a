"""How old the archive's data are, in one sentence that mail, dashboard, PDF, command, checks and alerts repeat.

Here are the newest archived day, when the day after it was due, and how many expected days are missing. Why a day is
missing is said by `core.archive.states`. Nothing is read here, and no clock is asked. The dashboard's script says the
same of the moment at which a page is opened: templates/dashboard/age.js, held to these words by a test.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from finops_assets.core.archive.expected_days import missing_days
from finops_assets.core.calendar import contiguous, full_day, short_day
from finops_assets.core.cron import parse_cron

Deadline = Callable[[date], datetime]
"""When a day is due (aware, UTC)."""

MOST_DAYS, MOST_MONTHS = 60, 35
"""Up to so many days an age is in days, up to so many months in months, then in years."""

STRETCHES_NAMED = 3


@dataclass(frozen=True)
class Age:
    """How old the archive's data are on a day.

    Attributes:
        through: the newest archived day.
        today: the day of the statement (UTC).
        due: when the day after `through` is due (aware, UTC).
        missing: the expected days up to yesterday that are not archived, ascending.
        overdue: whether that time is past; where it is not, the data are current, and all texts are empty.
    """

    through: date
    today: date
    due: datetime
    missing: tuple[date, ...]
    overdue: bool

    @property
    def words(self) -> str:
        """`26 months old`."""
        return f"{span_words(self.through, self.today)} old"

    @property
    def short(self) -> str:
        """`data through 30 Sep 2024, 26 months old`; empty where the data are current."""
        return f"data through {full_day(self.through)}, {self.words}" if self.overdue else ""

    @property
    def sentence(self) -> str:
        """The sentence about the age of the data; empty where they are current."""
        if not self.overdue:
            return ""
        earlier = sum(day < self.through for day in self.missing)
        count = f"{len(self.missing):,} day is" if len(self.missing) == 1 else f"{len(self.missing):,} days are"
        of_them = f", {earlier:,} of them before {full_day(self.through)}" if earlier else ""
        return (
            f"D{self.short[1:]}: {full_day(self.through + timedelta(days=1))} has been due since "
            f"{full_day(self.due.date())}, {self.due:%H:%M} UTC; {count} missing up to "
            f"{full_day(self.today - timedelta(days=1))}{of_them}."
        )

    def late(self, now: datetime) -> str:
        """`7 h late` or `57 days late`, counted from when the day after `through` was due; empty in the first hour."""
        hours = int((now - self.due).total_seconds() // 3600)
        if hours < 1:
            return ""
        return f"{hours} h late" if hours < 48 else f"{span_words(self.due.date(), now.date())} late"

    @property
    def missing_words(self) -> str:
        """`No day missing`, or how many days are, and which: `3 days missing: 3 Sep, 9 to 10 Sep`."""
        return missing_words(self.missing, self.today.year)

    def as_record(self) -> dict[str, Any]:
        """For programs: JSON types."""
        return {
            "data_through": self.through.isoformat(),
            "next_day_due": self.due.isoformat(),
            "overdue": self.overdue,
            "days_missing": len(self.missing),
            "age": self.sentence,
        }

    def for_page(self, made: datetime) -> dict[str, Any]:
        """What a page needs to say the same whenever it is opened; times in ISO 8601."""
        earlier = [day for day in self.missing if day < self.through]
        return {
            "through": self.through.isoformat(),
            "due": self.due.isoformat(timespec="minutes"),
            "made": made.astimezone(UTC).isoformat(timespec="minutes"),
            "holes": [[days[0].isoformat(), days[-1].isoformat()] for days in contiguous(earlier)],
        }


def age_of(archived: Collection[date], *, first_day: date, now: datetime, deadline: Deadline) -> Age | None:
    """How old the archive's data are; None where nothing is archived.

    Args:
        archived: the archived days.
        first_day: bill.first_day: no day before it is expected.
        now: the time (aware, UTC).
        deadline: when each day is due.
    """
    yesterday = now.date() - timedelta(days=1)
    through = max((day for day in archived if day <= yesterday), default=None)
    if through is None:
        return None
    due = deadline(through + timedelta(days=1))
    missing = missing_days((), archived, first_day, yesterday)
    return Age(through, now.date(), due, tuple(missing), overdue=now >= due)


def deadline_by(cron: str) -> Deadline:
    """When a day's digest is due: the first tick of the daily schedule (UTC) after the day's end."""
    schedule = parse_cron(cron)

    def deadline(day: date) -> datetime:
        return schedule.next_from(datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC))

    return deadline


def span_words(first: date, last: date) -> str:
    """`2 days`, `26 months` or `4 years`: whole ones that have passed."""
    days = (last - first).days
    if days <= MOST_DAYS:
        return f"{days} day{'' if days == 1 else 's'}"
    months = (last.year - first.year) * 12 + last.month - first.month - (last.day < first.day)
    return f"{months} months" if months <= MOST_MONTHS else f"{months // 12} years"


def missing_words(days: Sequence[date], this_year: int) -> str:
    """`No day missing`, or how many of the ascending days there are, and the first stretches of them."""
    if not days:
        return "No day missing"
    stretches = contiguous(days)
    named = [
        " to ".join(short_day(day, weekday=False, this_year=this_year) for day in dict.fromkeys((of[0], of[-1])))
        for of in stretches[:STRETCHES_NAMED]
    ]
    left = sum(map(len, stretches[STRETCHES_NAMED:]))
    more = f" and {left:,} more" if left else ""
    return f"{len(days):,} day{'' if len(days) == 1 else 's'} missing: {', '.join(named)}{more}"
