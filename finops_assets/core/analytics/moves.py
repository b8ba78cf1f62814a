"""Why the days of a run moved: their drivers and the parts of these, made and kept beside the scorecards."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

from finops_assets.core.analytics import drivers, kept_parts
from finops_assets.core.analytics.anomalies import DRIFT
from finops_assets.core.analytics.cost_causes import clause
from finops_assets.core.analytics.explanations import compared_day, kept_parts_of, moved, parts_of_moved
from finops_assets.core.calendar import in_words
from finops_assets.core.errors import FinopsError
from finops_assets.core.notes import put_if_other
from finops_assets.core.schemas import MOVED_PARTS_PREFIX, moved_parts_path

if TYPE_CHECKING:
    from finops_assets.core.analytics.anomalies import Episode
    from finops_assets.core.analytics.kept_parts import KeptParts
    from finops_assets.core.analytics.scorecard import Scorecard
    from finops_assets.core.ports import Archive, Warehouse

WEEK = timedelta(days=7)


class Moves:
    """Finds and keeps why days moved.

    Args:
        warehouse: reads the bill, in the currency of the archive's days.
        archive: has the days.
    """

    def __init__(self, warehouse: Warehouse, archive: Archive) -> None:
        self._warehouse, self._archive = warehouse, archive

    def added(
        self, cards: Mapping[date, Scorecard], outdated: Iterable[date]
    ) -> tuple[dict[date, Scorecard], tuple[str, ...]]:
        """The cards of a run with why their days moved, and what is not known of that, in words.

        It is found for the last day, and for those of the week before it that are `outdated`.
        """
        last = max(cards)
        again = [day for day in outdated if last - WEEK <= day < last]
        found = dict(cards)
        wrong: tuple[str, ...] = ()
        for day in (*again, last):
            found[day], wrong = self._with_moves(cards[day])
        return found, wrong

    def _with_moves(self, card: Scorecard) -> tuple[Scorecard, tuple[str, ...]]:
        before = compared_day(card.day, set(self._archive.days()))
        try:
            described = self._archive.history.describe([card.day, *([before] if before else [])])
            day = described.get(card.day)
            if day is None or before is None:
                self._warehouse.keep_sums(card.day)
                return card, ()
            of = moved(self._warehouse, self._archive, day, before, card.renamed)
        except FinopsError as error:
            return card, (f"Why the day's cost changed is not known: {error}",)
        card = replace(card, drivers=of)
        try:
            parts = parts_of_moved(self._warehouse, of, card.renamed, rescan=False)
            return replace(card, parts=kept_parts.kept_parts(day, described[before], parts)), ()
        except FinopsError as error:
            return card, (f"The parts of the day's change are not known: {error}",)

    def keep(self, card: Scorecard) -> None:
        """Write what a card has, each object in one step."""
        if card.parts:
            put_if_other(self._archive, moved_parts_path(card.day), kept_parts.to_parquet(card.parts))
        if card.drivers:
            put_if_other(self._archive, drivers.drivers_path(card.day), drivers.to_parquet(card.drivers))

    def remove(self, days: Sequence[date]) -> None:
        """Remove the parts of days that are outdated, and were not made anew: no query shall add them up.

        Where the right to remove them is missing, they stay: nothing but queries reads them, and a day is not held up.
        """
        try:
            self._archive.delete([moved_parts_path(day) for day in days])
        except FinopsError as error:
            logging.getLogger(__name__).warning("outdated parts of %s cannot be removed: %s", in_words(days), error)

    def outdated(self, days: Iterable[date]) -> list[date]:
        """Those of these days whose kept parts are of other rows than the archive's."""
        existing = set(self._archive.list(f"{MOVED_PARTS_PREFIX}/"))
        kept = ((day, kept_parts_of(self._archive, day)) for day in days if moved_parts_path(day) in existing)
        return [day for day, parts in kept if parts and not is_current(self._archive, parts)]


def is_current(archive: Archive, parts: KeptParts) -> bool:
    """Whether parts are of the rows that are archived now, of both days."""
    described = archive.history.describe([parts.day, parts.against])
    day, against = described.get(parts.day), described.get(parts.against)
    return bool(day and against and parts.made_of == kept_parts.made_of(day, against))


def current_parts(archive: Archive, day: date) -> KeptParts | None:
    """The kept parts of a day; None where there are none of the rows that are archived now."""
    parts = kept_parts_of(archive, day)
    return parts if parts and is_current(archive, parts) else None


def episode_causes(archive: Archive, episodes: Iterable[Episode]) -> dict[str, str]:
    """The cause of each episode in a clause, by id; those of which none is known are left out.

    A day of the episode is compared with one before it: its first ones are; of a drift, its last one.
    """
    known: dict[date, KeptParts | None] = {}
    found: dict[str, str] = {}
    for episode in episodes:
        for day in _days(episode):
            if day not in known:
                known[day] = kept_parts_of(archive, day)
            parts = known[day]
            if parts is None or (parts.against >= episode.first and episode.kind != DRIFT):
                continue
            of_key = parts.of(episode.key)
            delta = sum(part.delta for part in of_key)
            if delta * episode.impact > 0 and (words := clause(of_key, episode.key)):
                found[episode.id] = words
                break
    return found


def _days(episode: Episode) -> Iterator[date]:
    if episode.kind == DRIFT:
        yield episode.last
        return
    day = episode.first
    while day <= min(episode.last, episode.first + WEEK - timedelta(days=1)):
        yield day
        day += timedelta(days=1)
