"""How final a day is: a provisional day may still change, a stable one has stopped to, a closed one hardly ever does.

AWS refreshes a month for up to two weeks after it ends (Data Exports' documentation). A day is closed once the archive
has it as an export does that was written after these weeks: it is the bill that closes a day, not the clock. A closed
day is compared again when its month's files change. A day is stable once so many refreshes of the bill in a row have
left it as it is, by `core.archive.journal`.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from finops_assets.core.calendar import month_end

PROVISIONAL, STABLE, CLOSED = "provisional", "stable", "closed"
DAYS_AFTER_MONTH_END = 14


def first_open_day(today: date) -> date:
    """The oldest day that AWS refreshes by itself: of this month, or of the last one in the two weeks after its end."""
    this_month = today.replace(day=1)
    over = today > this_month + timedelta(days=DAYS_AFTER_MONTH_END)
    return this_month if over else (this_month - timedelta(days=1)).replace(day=1)


def closes_from(day: date) -> datetime:
    """The time (UTC) from which an export no longer changes the day, as a rule: two weeks after its month's end."""
    last = month_end(day) + timedelta(days=DAYS_AFTER_MONTH_END + 2)
    return datetime.combine(last, datetime.min.time(), UTC)


def closes(day: date, written: datetime | None) -> bool:
    """Whether an export that was written then (aware) has the day as final; False where the time is not known."""
    return written is not None and written >= closes_from(day)


def settlement(*, closed: bool, unchanged: int = 0, stable_after: int = 0) -> str:
    """`provisional`, `stable` or `closed`.

    Args:
        closed: whether the archive has the day as an export that closes it.
        unchanged: refreshes of the bill in a row that have left the day as it is.
        stable_after: bill.stable_after; 0 where refreshes are not counted.
    """
    if closed:
        return CLOSED
    return STABLE if 0 < stable_after <= unchanged else PROVISIONAL
