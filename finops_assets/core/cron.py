"""Cron expressions of the settings: five fields that Dagster's scheduler takes, at times that exist.

Own code, as settings are read by every command and Dagster takes a second to import; and as Dagster misreads some that
it takes: `54-54` in the minute is every minute for it, `59/7` is 7, 14, ...; cron libraries read those otherwise.
What has two readings is refused here.
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

EXAMPLE = "0 7 * * *"
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
DAYS_IN_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
TERM = re.compile(r"(?P<first>[0-9]+|[A-Z]{3})(?:-(?P<last>[0-9]+|[A-Z]{3})(?:/(?P<step>[0-9]+))?)?")


@dataclass(frozen=True)
class Field:
    """What one field takes."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        named = f", or {self.names[0]} to {self.names[-1]}" if self.names else ""
        return f"{self.low} to {self.high}{named}"

    def parse(self, part: str) -> frozenset[int]:
        """The numbers of a field.

        Raises:
            ValueError: it has other numbers or names, or is written in a way that is not taken.
        """
        text = part.upper()
        if text == "*":
            return frozenset(range(self.low, self.high + 1))
        if step := re.fullmatch(r"\*/([0-9]+)", text):
            return frozenset(range(self.low, self.high + 1, self._step(part, step[1])))
        numbers: set[int] = set()
        for term in text.split(","):
            match = TERM.fullmatch(term)
            if not match:
                raise self._wrong(part)
            first = last = self._number(part, match["first"])
            if match["last"]:
                last = self._number(part, match["last"])
                if match["last"] == "SUN" and first > 0:
                    last = 7
                if last <= first:
                    raise self._wrong(part, "a range begins with the smaller one")
            numbers |= set(range(first, last + 1, self._step(part, match["step"] or "1")))
        return frozenset(numbers)

    def _number(self, part: str, text: str) -> int:
        if text in self.names:
            return self.names.index(text) + self.low
        if not text.isdecimal() or not self.low <= int(text) <= self.high:
            raise self._wrong(part)
        return int(text)

    def _step(self, part: str, text: str) -> int:
        if not 1 <= int(text) <= self.high - self.low:
            raise self._wrong(part, f"a step is 1 to {self.high - self.low}")
        return int(text)

    def _wrong(self, part: str, reason: str = "") -> ValueError:
        how = reason or f"it is {self.words}; lists (1,2), ranges (1-5), and steps of those or of all (1-5/2, */2)"
        return ValueError(f"its {self.name} cannot be {part}: {how}")


MINUTE, HOUR = Field("minute", 0, 59), Field("hour", 0, 23)
DAY, MONTH = Field("day of the month", 1, 31), Field("month", 1, 12, MONTHS)
WEEKDAY = Field("weekday", 0, 7, WEEKDAYS)


@dataclass(frozen=True)
class Cron:
    """The times at which a schedule fires.

    Attributes:
        text: the expression, with one blank between its fields.
        minutes, hours, days, months: those on which it fires; the last day of a month (L) is given as 28 to 31.
        weekdays: the same; Sunday is 0.
        either: a day of either `days` or `weekdays` is enough, as neither field is `*`; else it is one of both.
        last_day: of `days`, only the last one of each month counts.
    """

    text: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool
    last_day: bool = False

    @property
    def at_most_once_a_day(self) -> bool:
        return len(self.minutes) * len(self.hours) == 1

    def next_from(self, start: datetime) -> datetime:
        """The first time at or after `start`; its seconds are taken for zero, its time zone is kept."""
        start = start.replace(second=0, microsecond=0)
        times = [
            time(hour, minute, tzinfo=start.tzinfo) for hour in sorted(self.hours) for minute in sorted(self.minutes)
        ]
        day = start.date()
        while True:  # ends: `parse_cron` takes no expression whose days do not exist
            if self._is_on(day):
                for at in times:
                    if (moment := datetime.combine(day, at)) >= start:
                        return moment
            day += timedelta(days=1)

    def last_between(self, after: datetime, until: datetime) -> datetime | None:
        """The last time that is after `after` and not after `until`; None where there is none.

        Args:
            after: the earliest time, exclusive; with its seconds, 07:00:30 is after 07:00.
            until: the latest time, inclusive.
        """
        last, moment = None, self.next_from(after + timedelta(minutes=1))
        while moment <= until:
            last, moment = moment, self.next_from(moment + timedelta(minutes=1))
        return last

    def _is_on(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        of_month = day.day == monthrange(day.year, day.month)[1] if self.last_day else day.day in self.days
        of_week = day.isoweekday() % 7 in self.weekdays
        return of_month or of_week if self.either else of_month and of_week


def parse_cron(expression: str) -> Cron:
    """The times of an expression.

    Raises:
        ValueError: it is none, or names days that do not exist; the message says which field is wrong, and why.
    """
    parts = expression.split()
    if len(parts) != 5:
        raise ValueError(f"must be a cron expression of five fields, such as {EXAMPLE}")
    minutes, hours, months = MINUTE.parse(parts[0]), HOUR.parse(parts[1]), MONTH.parse(parts[3])
    last_day = parts[2].upper() == "L"
    days = frozenset(range(28, 32)) if last_day else DAY.parse(parts[2])
    weekdays = frozenset(day % 7 for day in WEEKDAY.parse(parts[4]))
    either = parts[2] != "*" and parts[4] != "*"
    if either and "*" in parts[2] + parts[4]:
        raise ValueError("cannot have a step of all (*/2) in the day of the month or the weekday while both are set")
    if min(days) > max(DAYS_IN_MONTH[month - 1] for month in months):
        raise ValueError(f"its day of the month cannot be {parts[2]}: no month of {parts[3]} has that day")
    return Cron(" ".join(parts), minutes, hours, days, months, weekdays, either, last_day)
