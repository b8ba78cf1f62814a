"""The dashboard's page: made from the archive, and read back."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from finops_assets.core.accounts.published_map import account_names
from finops_assets.core.analytics import value_scores
from finops_assets.core.analytics.scorecard import Scorecard
from finops_assets.core.analytics.scoring import with_moves
from finops_assets.core.archive.age import Age
from finops_assets.core.archive.dimension_sums import dimension_sums, keys_of
from finops_assets.core.archive.display import rates_words
from finops_assets.core.archive.kept_history import DaysOfCosts
from finops_assets.core.bill.providers import archived_providers
from finops_assets.core.calendar import in_words
from finops_assets.core.delivery.digest_collector import day_facts
from finops_assets.core.errors import ArchiveError, DamagedError
from finops_assets.core.ports import Archive
from finops_assets.core.reports.dashboard import (
    DashboardInputs,
    DayNote,
    DimensionCosts,
    Outlook,
    dashboard_data,
    render,
)
from finops_assets.core.reports.dashboard.packing import unpack
from finops_assets.core.reports.digest import COMPARED, DigestInputs, FrontPage, digest_figures, front_page
from finops_assets.core.schemas import day_path
from finops_assets.core.values import DashboardContent, PublishedDay, Refresh

DATA_BEGINS, DATA_ENDS = b'<script type="application/json" id="data">', b"</script>"


def page_shown(page: bytes, location: str, refreshed: datetime) -> DashboardContent:
    """What a dashboard page shows, from the figures in it.

    Raises:
        DamagedError: it is no complete page of finops_assets.
    """
    _, _, data_and_more = page.partition(DATA_BEGINS)
    text, ends, _ = data_and_more.partition(DATA_ENDS)
    try:
        data: dict[str, Any] = json.loads(text if ends else b"")
        days = [date.fromisoformat(day) for day in data["days"]]
        micros, picos = (_sums(rows, len(days)) for rows in _numbers(data, len(days)))
        totals = {
            day: Decimal(micro).scaleb(-6) + Decimal(pico).scaleb(-12)
            for day, micro, pico in zip(days, micros, picos, strict=True)
        }
    except (ValueError, KeyError, IndexError, TypeError, OverflowError):
        raise DamagedError(
            "is no dashboard of ours, or not a whole one", where=location, fix="`finops run` writes it anew."
        ) from None
    return DashboardContent(location, refreshed, days[-1], totals=totals)


def _numbers(data: Mapping[str, Any], days: int) -> tuple[Sequence[Any], Sequence[Any]]:
    """A page's amounts and what they lack, row by row."""
    if "packed" not in data:
        return data["amounts"], data["ou_rest"]
    packed = data["packed"]
    return unpack(packed["amounts"], packed["lengths"]), unpack(packed["ou_rest"], [days] * len(data["ou"]))


def _sums(rows: Sequence[Any], days: int) -> list[int]:
    """What rows sum to by day; one that is shorter is of the last days."""
    import numpy as np

    sums = np.zeros(days, dtype=np.int64)
    for row in rows:
        sums[days - len(row) :] += np.asarray(row, dtype=np.int64)
    return sums.tolist()


@dataclass(frozen=True)
class PageSources:
    """What a page shows beside the rows of its days.

    Attributes:
        settled: gives what tells how final each day is; by default what the archive said when it was written.
        outlook: gives lights, budgets, forecasts, restatements and anomalies of the page's days. It is called once a
            refresh with the days, in order; None: these days have no scorecard, and the page has no lights.
        age: tells how old the archive's data are at a time; without it, the page does not say when it was made.
        dimensions: whether costs by dimension are shown, of the days that have them.
    """

    settled: Callable[[], Callable[[date], str]] | None = None
    outlook: Callable[[Sequence[date]], Outlook | None] | None = None
    age: Callable[[datetime], Age | None] | None = None
    dimensions: bool = False


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
        sources: what it shows beside the days' rows.
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
        sources: PageSources = PageSources(),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._archive, self._write, self._location = archive, write, location
        self._days, self._max_cells, self._sources, self._clock = days, max_cells, sources, clock

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
        days = self._archive.days()[-self._days :]
        if not days:
            raise ArchiveError(
                "there is nothing to show, no day is archived", where=self._location, fix="Run a day: `finops run`."
            )
        of_days = self._archive.history.costs(days)
        self._archive.history.keep()
        archived, costs = of_days.published, of_days.by_columns(days)
        # A day without rows adds nothing up: what its object says of currency and cost basis does not matter.
        with_rows = {day: of_day for day, of_day in archived.items() if of_day.rows} or {days[-1]: archived[days[-1]]}
        currency = _common("currency", {day: of_day.currency for day, of_day in with_rows.items()})
        cost_basis = _common("cost basis", {day: of_day.cost_basis for day, of_day in with_rows.items()})
        now = self._clock()
        outlook = self._sources.outlook(days) if self._sources.outlook else None
        card = replace(with_moves(self._archive, outlook.newest), causes=outlook.causes) if outlook else None
        data = dashboard_data(
            DashboardInputs(
                costs,
                self._notes(archived),
                account_names(self._archive),
                currency=currency,
                cost_basis=cost_basis,
                generated_for=days[-1],
                max_cells=self._max_cells,
                outlook=outlook,
                age=self._sources.age(now) if self._sources.age else None,
                made_at=now,
                dimensions=self._dimensions(archived) if self._sources.dimensions else None,
                rates=rates_words(archived.values()),
                values=value_scores.read(self._archive, archived[days[-1]]),
                moved=card.parts if card else None,
                front=self._front(of_days, card, now),
            )
        )
        page = render({**data, "refresh": refresh_id}).encode()
        self._write(page)
        return Refresh(
            id=refresh_id,
            location=self._location,
            rows=sum(of_day.rows for of_day in archived.values()),
            newest_day=days[-1],
            total=sum(costs.totals().values(), Decimal()),
            detail={
                "days": str(len(days)),
                "oldest_day": days[0].isoformat(),
                "currency": currency,
                "cost_basis": cost_basis,
                "size_bytes": str(len(page)),
                "rows_folded": str(data["folded"]),
            },
        )

    def _front(self, of_days: DaysOfCosts, card: Scorecard | None, now: datetime) -> FrontPage:
        """What matters of the newest day, in the words of its mail: of the same rows, facts and scorecard."""
        archived = of_days.published
        day = max(archived)
        near = {d: of for d, of in archived.items() if (day - d).days <= max(COMPARED) or d >= day.replace(day=1)}
        settled = self._sources.settled() if self._sources.settled else None
        published = archived[day]
        inputs = DigestInputs(
            of_days.rows(in_full={day - timedelta(days=n) for n in COMPARED}),
            day,
            days={d: day_facts(of, settled(d) if settled else "") for d, of in near.items()},
            names=account_names(self._archive),
            currency=published.currency,
            cost_basis=published.cost_basis,
            this_year=now.year,
            card=card,
        )
        return front_page(digest_figures(inputs))

    def _dimensions(self, archived: Mapping[date, PublishedDay]) -> DimensionCosts | None:
        sums = dimension_sums(self._archive, archived)
        keys = keys_of(sums)
        return DimensionCosts(sums, keys) if keys else None

    def _notes(self, archived: Mapping[date, PublishedDay]) -> dict[date, DayNote]:
        settled = self._sources.settled() if self._sources.settled else None
        return {day: _note(published, settled(day) if settled else "") for day, published in archived.items()}


def _note(day: PublishedDay, settled: str) -> DayNote:
    return DayNote(
        scheduled=Decimal(day.metadata.get("scheduled", "0")),
        settlement=settled or day.metadata.get("settlement", ""),
        total=day.total,
        providers=archived_providers([day.metadata]),
    )


def _common(what: str, of_days: Mapping[date, str]) -> str:
    """The value that all days share; a page that adds up different ones would show money that does not exist."""
    days_of: dict[str, list[date]] = defaultdict(list)
    for day, value in of_days.items():
        days_of[value].append(day)
    if len(days_of) > 1:
        differing = "; ".join(f"{value}: {in_words(days)}" for value, days in sorted(days_of.items()))
        minority = min(days_of.values(), key=lambda days: (len(days), days))
        raise ArchiveError(
            f"the archived days differ in {what} and cannot be added up ({differing})",
            where=day_path(minority[0]),
            fix=f"Write the days with the wrong {what} again with today's settings, e.g. "
            f"`finops backfill {minority[0]} {minority[-1]}`, or show fewer days (dashboard.days).",
        )
    return next(iter(days_of))
