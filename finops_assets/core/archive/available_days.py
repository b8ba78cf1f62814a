"""Which of the days that were asked for the bill has completely, and why each of the others is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from finops_assets.core.bill.totals import BillTotals, bill_totals, is_awaited
from finops_assets.core.calendar import in_words
from finops_assets.core.errors import MissingDaysError
from finops_assets.core.ports import Warehouse
from finops_assets.core.values import ExportVersion, SourceDay


def delivered_until(updated: datetime | None, complete_after: float = 0.0) -> date | None:
    """The newest day that was over, for so many hours, when the bill was last written; None where that is not known."""
    return (updated - timedelta(hours=complete_after)).date() - timedelta(days=1) if updated else None


@dataclass(frozen=True)
class FoundDays:
    """What the bill says of the days that were asked for.

    Attributes:
        source: the days that it has whole, ascending; one of no charges has no lines.
        left_out: the others, ascending, and why each is left out.
        bill: the bill's files as they were looked at.
    """

    source: Mapping[date, SourceDay]
    left_out: Mapping[date, str]
    bill: ExportVersion


def days_to_archive(
    totals: BillTotals,
    days: Sequence[date],
    updated: datetime | None,
    now: datetime,
    complete_after: float = 0.0,
    *,
    oldest: str = "",
) -> tuple[list[date], dict[date, str]]:
    """Those of the days that the bill has whole; and the others, with why each is left out.

    A day without charges is an empty day of the bill where that has its billing period and a later day.

    Args:
        totals: of the bill.
        days: which, ascending.
        updated: when the newest export was written (UTC), where that is known.
        now: the time (aware, UTC).
        complete_after: bill.complete_after_hours.
        oldest: of several bills, the one that `updated` is of.
    """
    until, yesterday = delivered_until(updated, complete_after), now.date() - timedelta(days=1)
    has, left_out = [], {}
    for day in days:
        if until and day > until:
            left_out[day] = _not_over(updated, oldest)
        elif late := totals.waits_for(day, yesterday):
            left_out[day] = waits_for_words(late)
        elif day in totals.days or totals.is_empty(day, yesterday):
            has.append(day)
        else:
            left_out[day] = NO_CHARGES
    return has, left_out


def find_days(warehouse: Warehouse, days: Sequence[date], now: datetime, complete_after: float = 0.0) -> FoundDays:
    """What the bill says of these (contiguous, ascending) days; those that it does not have whole are left out.

    Costs the bill's control totals, beside the days' own sums, only where a day has no charges or a bill of several
    may be late.

    Args:
        warehouse: reads the bill.
        days: which.
        now: the time (aware, UTC).
        complete_after: bill.complete_after_hours.

    Raises:
        MissingDaysError: it has none of them whole; it names the days that it has.
    """
    export_version = warehouse.export_version()
    updated, until = export_version.updated, delivered_until(export_version.updated, complete_after)
    unregistered = export_version.unregistered
    unread = {day: unregistered[f"{day:%Y-%m}"] for day in days if f"{day:%Y-%m}" in unregistered}
    over = [day for day in days if (not until or day <= until) and day not in unread]
    source = dict(warehouse.source_days(over[0], over[-1])) if over else {}
    source = {day: of for day, of in source.items() if day not in unread}
    left_out = {day: unread.get(day) or _not_over(updated, export_version.oldest) for day in days if day not in over}
    covered, fix = "", "Wait for the next export, point bill.path at one that has them, or run other days."
    yesterday = now.date() - timedelta(days=1)
    bare = [day for day in over if day not in source or not source[day].lines]
    of_several = [day for day in over if day in source and source[day].bills and is_awaited(day, yesterday)]
    totals = bill_totals(warehouse.control_totals()) if bare or of_several else BillTotals()
    late = {day: waits_for_words(bills) for day in of_several if (bills := totals.waits_for(day, yesterday))}
    source = {day: of for day, of in source.items() if day not in late}
    left_out |= late
    if bare:
        empty, others = days_to_archive(totals, bare, updated, now, complete_after)
        for day in empty:
            left_out_only = source[day].left_out if day in source else ()
            source[day] = SourceDay(day, totals.currency, 0, Decimal(), Decimal(), {}, left_out_only)
        source = {day: of for day, of in source.items() if day not in others}
        left_out |= others
        has = sorted(totals.days)
        if len(has) > 1 and all(day.day == 1 for day in has):
            fix = "Export with daily or hourly granularity: it has first days of months alone, as a monthly export has."
        covered = f"; it has {len(has)} day(s) from {has[0]} to {has[-1]}" if has else "; it has none at all"
    if not source:
        raise MissingDaysError(
            f"{_has_none(left_out, export_version)}{covered}",
            days=tuple(days),
            where=warehouse.describe().path,
            fix="Run that statement in Athena, then this again." if unread else fix,
        )
    return FoundDays(dict(sorted(source.items())), dict(sorted(left_out.items())), export_version)


NO_CHARGES = "it has no charges on it"


def _has_none(left_out: Mapping[date, str], bill: ExportVersion) -> str:
    """That the bill has none of these days whole, and why."""
    days, reasons = in_words(sorted(left_out)), set(left_out.values())
    if reasons == {NO_CHARGES}:
        return f"the bill has no charges on {days}"
    if reasons == {_not_over(bill.updated, bill.oldest)}:
        part = "it has a part of the charges at most"
        return f"{_written(bill.updated, bill.oldest)}, before {days} was over: {part}"
    return f"the bill does not have {left_out_in_words(left_out)}"


def _not_over(updated: datetime | None, oldest: str = "") -> str:
    return f"{_written(updated, oldest)}, before it was over"


def _written(updated: datetime | None, oldest: str) -> str:
    if updated is None:
        return ""
    of = f" of the bill {oldest}" if oldest else ""
    return f"the newest export{of} was written {updated:%Y-%m-%d %H:%M} UTC"


def waits_for_words(bills: Sequence[str]) -> str:
    """That a day waits for some of several bills."""
    return f"the bill {' and the bill '.join(bills)} has no charges on it yet, and had some on each day before"


def late_words(bill: ExportVersion, totals: BillTotals | None, yesterday: date) -> str:
    """Which of several bills yesterday waits for; empty where there is one bill, or none is late."""
    if bill.oldest and bill.updated and (delivered_until(bill.updated) or yesterday) < yesterday:
        return f"{_written(bill.updated, bill.oldest)}, the others later"
    late = totals.waits_for(yesterday, yesterday) if totals else ()
    return waits_for_words(late) if late else ""


def left_out_in_words(left_out: Mapping[date, str]) -> str:
    """`2025-09-30 (the bill has no charges on it)`; days of one reason together."""
    reasons: dict[str, list[date]] = {}
    for day, why in left_out.items():
        reasons.setdefault(why, []).append(day)
    return "; ".join(f"{in_words(days)} ({why})" for why, days in reasons.items())
