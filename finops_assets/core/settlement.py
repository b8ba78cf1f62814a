"""How final a day is: provisional days may still change, closed ones no longer do.

AWS refreshes a month for up to two weeks after it ends (Data Exports' documentation); after that it is taken as closed.
"""

from __future__ import annotations

from datetime import date, timedelta

PROVISIONAL, CLOSED = "provisional", "closed"
DAYS_AFTER_MONTH_END = 14


def settlement(day: date, today: date) -> str:
    """`provisional` or `closed`, as of today (UTC)."""
    month_end = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return CLOSED if today > month_end + timedelta(days=DAYS_AFTER_MONTH_END) else PROVISIONAL
