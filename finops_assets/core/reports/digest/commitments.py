"""What the digest says of Savings Plans and reservations: a line of their use, and notes."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.analytics.commitments import Use, expiring, little_used, use, use_of_each
from finops_assets.core.calendar import month_end
from finops_assets.core.money import money
from finops_assets.core.text import tidy

if TYPE_CHECKING:
    import pyarrow as pa


def commitment_words(rows: pa.Table | None, day: date, currency: str, ou: str = "") -> str:
    """The use of the day, and of the month to date in brackets, in a line; empty where there are no commitments.

    An OU is told what it uses, and what is unused of what its accounts own: a plan's use elsewhere is not in its rows.

    Args:
        rows: in the COMMITMENTS schema, of the month to date; None of an archive that has none.
        day: the digest's.
        currency: of the amounts.
        ou: the path of the OU that an edition is of; empty for the whole.
    """
    if rows is None:
        return ""
    month = [day.replace(day=1) + timedelta(days=n) for n in range(day.day)]
    of_day, of_month = use(rows, [day], ou), use(rows, month, ou)
    if not of_month.all_used and not of_month.unused:
        return ""
    parts = []
    if not ou and of_month.utilization is not None:
        parts.append(f"{_both(of_day.utilization, of_month.utilization)} used")
    if ou or of_month.utilization is None:
        parts.append(f"{_amounts(of_day.all_used, of_month.all_used, currency)} used")
    if not ou or of_month.unused:
        parts.append(f"{_amounts(of_day.unused, of_month.unused, currency)} not used{_but(rows, month, of_month, ou)}")
    if of_month.coverage is not None:
        parts.append(f"coverage {_both(of_day.coverage, of_month.coverage)}")
    if not ou and (ends := sorted(one.expires for one in use_of_each(rows, day) if one.expires and one.expires >= day)):
        parts.append(f"next expiry {ends[0]}")
    return ", ".join(parts)


def commitment_notes(rows: pa.Table | None, day: date, before: date | None, currency: str) -> list[str]:
    """A sentence for each commitment that ends soon or is little used, at each threshold once.

    Args:
        rows: in the COMMITMENTS schema, of the weeks up to both days.
        day: the digest's.
        before: the day of the last mail; None where there was none.
        currency: of the amounts.
    """
    if rows is None or not rows.num_rows:
        return []
    notes = [
        f"The {one.kind} {name(one.id)} ends on {one.expires}, in {left} day{'s' * (left != 1)}."
        for one, left in expiring(rows, day, before)
    ]
    return notes + [
        f"The {one.kind} {name(one.id)} was used to {_percent(rate)} in the week to {day}: "
        f"{money(one.month.unused, currency)} of {day:%B} so far not used."
        for one, rate in little_used(rows, day, before)
    ]


def name(id_: str) -> str:
    """What people know a commitment by: the last part of its ARN."""
    return tidy(id_.rsplit("/", 1)[-1].rsplit(":", 1)[-1] or id_, 100)


def _but(rows: pa.Table, month: list[date], of_month: Use, ou: str) -> str:
    """What the unused part leaves out; empty where that is nothing."""
    known = of_month.all_used == of_month.used
    whole = month[-1] == month_end(month[-1])
    return "" if known or whole or ou or not rows.num_rows else " (without reservations until the month ends)"


def _both(of_day: Decimal | None, of_month: Decimal | None) -> str:
    return f"{_percent(of_day)} ({_percent(of_month)} this month)"


def _amounts(of_day: Decimal, of_month: Decimal, currency: str) -> str:
    return f"{money(of_day, currency)} ({money(of_month)} this month)"


def _percent(share: Decimal | None) -> str:
    """Rounded down, so that 100 % is all of it."""
    return "-" if share is None else f"{int(100 * share)} %"
