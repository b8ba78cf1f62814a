"""The dashboard's page: made of the archive, and what a page that was made shows."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_assets.core.accounts.published_map import account_names
from finops_assets.core.archive.age import Age
from finops_assets.core.calendar import in_words
from finops_assets.core.errors import ArchiveError, DamagedError
from finops_assets.core.ports import Archive, DashboardContent, PublishedDay, Refresh
from finops_assets.core.reports.dashboard import DashboardInputs, DayNote, Outlook, dashboard_data, render
from finops_assets.core.schemas import day_path

if TYPE_CHECKING:
    pass


PAGE_DATA = re.compile(rb'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)


def page_shown(page: bytes, location: str, refreshed: datetime) -> DashboardContent:
    """What a dashboard page holds, by the figures in it.

    Raises:
        DamagedError: it is no page of ours, or not a whole one.
    """
    found = PAGE_DATA.search(page)
    try:
        data: dict[str, Any] = json.loads(found[1] if found else b"")
        days = [date.fromisoformat(day) for day in data["days"]]
        totals = {
            day: Decimal(sum(amounts[i] for amounts in data["amounts"])).scaleb(-6)
            + Decimal(sum(rest[i] for rest in data["ou_rest"])).scaleb(-12)
            for i, day in enumerate(days)
        }
    except (ValueError, KeyError, IndexError, TypeError):
        raise DamagedError(
            "is no dashboard of ours, or not a whole one", where=location, fix="`finops run` writes it anew."
        ) from None
    return DashboardContent(location, refreshed, days[-1], totals=totals)


Settled = Callable[[], Callable[[date], str]]


ReadOutlook = Callable[[Sequence[date]], Outlook | None]


DASHBOARD_PATH = "dashboard/dashboard.html"
"""Where the page lies in the archive, if it is an object of it."""


class DashboardPage:
    """Shows the newest archived days in one HTML page that loads nothing else.

    Args:
        archive: where the days are read from.
        write: puts the page in its place, whole or not at all.
        location: where people find it.
        days: how many of the newest archived days it holds.
        max_cells: how many numbers it embeds at most; beyond, the smallest accounts are folded.
        settled: gives what tells how final each day is; by default what the archive said when it was written.
        outlook: gives what is known of the page's days beside their rows: lights, budgets, forecasts, restatements,
            anomalies. It is called once a refresh with the days, in order. None: there is no scorecard of these days,
            and the page has no lights; so by default.
        age: tells how old the archive's data are at a time; without it, the page does not say when it was made.
        clock: the time (aware, UTC).
    """

    def __init__(
        self,
        archive: Archive,
        write: Callable[[bytes], object],
        location: str,
        *,
        days: int,
        max_cells: int,
        settled: Settled | None = None,
        outlook: ReadOutlook | None = None,
        age: Callable[[datetime], Age | None] | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._age, self._clock = age, clock
        self._archive, self._write, self._location = archive, write, location
        self._days, self._max_cells, self._settled, self._outlook = days, max_cells, settled, outlook

    def start_refresh(self, _: str) -> Callable[[], None]:
        """Start nothing: the page is made in a moment."""
        return lambda: None

    def refresh(self, refresh_id: str) -> Refresh:
        """Write the page from what is archived now; readers see the old one or the new one, never half of one.

        Returns:
            The rows, the exact total and the newest day that the page holds.

        Raises:
            ArchiveError: nothing is archived, the days are of several currencies or cost bases, a day's rows are not
                what its object says, a scorecard is not in the days' currency and cost basis, or the page cannot be
                written.
        """
        import pyarrow.compute as pc

        days = self._archive.days()[-self._days :]
        if not days:
            raise ArchiveError(
                "there is nothing to show, no day is archived", where=self._location, fix="Run a day: `finops run`."
            )
        archived = {day: self._describe(day) for day in days}
        # A day without rows adds nothing up: what its object says of currency and cost basis does not matter.
        with_rows = {day: found for day, found in archived.items() if found.rows} or {days[-1]: archived[days[-1]]}
        currency = _the_one("currency", {day: found.currency for day, found in with_rows.items()})
        cost_basis = _the_one("cost basis", {day: found.cost_basis for day, found in with_rows.items()})
        rows = self._archive.read(days)
        now = self._clock()
        data = dashboard_data(
            DashboardInputs(
                rows,
                self._notes(archived),
                account_names(self._archive),
                currency=currency,
                cost_basis=cost_basis,
                generated_for=days[-1],
                max_cells=self._max_cells,
                outlook=self._outlook(days) if self._outlook else None,
                age=self._age(now) if self._age else None,
                made_at=now,
            )
        )
        page = render({**data, "refresh": refresh_id}).encode()
        self._write(page)
        return Refresh(
            id=refresh_id,
            location=self._location,
            rows=rows.num_rows,
            newest_day=days[-1],
            total=pc.sum(rows.column("cost")).as_py() or Decimal(),
            detail={
                "days": str(len(days)),
                "oldest_day": days[0].isoformat(),
                "currency": currency,
                "cost_basis": cost_basis,
                "size_bytes": str(len(page)),
                "rows_folded": str(data["folded"]),
            },
        )

    def _notes(self, archived: Mapping[date, PublishedDay]) -> dict[date, DayNote]:
        tell = self._settled() if self._settled else None
        return {day: _note(found, tell(day) if tell else "") for day, found in archived.items()}

    def _describe(self, day: date) -> PublishedDay:
        found = self._archive.describe(day)
        if found is None:
            raise ArchiveError(
                "vanished from the archive while the dashboard read it",
                where=day_path(day),
                fix=f"Write the day again: `finops run --date {day}`.",
            )
        return found


def _note(day: PublishedDay, settled: str) -> DayNote:
    return DayNote(
        scheduled=Decimal(day.metadata.get("scheduled", "0")),
        settlement=settled or day.metadata.get("settlement", ""),
        total=day.total,
    )


def _the_one(what: str, of_days: Mapping[date, str]) -> str:
    """The value that all days share; a page that adds up different ones would show money that does not exist."""
    days_of: dict[str, list[date]] = defaultdict(list)
    for day, value in of_days.items():
        days_of[value].append(day)
    if len(days_of) > 1:
        found = "; ".join(f"{value}: {in_words(days)}" for value, days in sorted(days_of.items()))
        minority = min(days_of.values(), key=lambda days: (len(days), days))
        raise ArchiveError(
            f"the archived days differ in {what} and cannot be added up ({found})",
            where=day_path(minority[0]),
            fix=f"Write the days with the wrong {what} again with today's settings, e.g. "
            f"`finops backfill {minority[0]} {minority[-1]}`, or show fewer days (dashboard.days).",
        )
    return next(iter(days_of))
