"""The result of an inspection: every expected day's state, and what follows from all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING

from finops_assets.core.archive import causes, gaps, states
from finops_assets.core.archive.gaps import Gap
from finops_assets.core.archive.states import DayState, Facts
from finops_assets.core.calendar import in_words

if TYPE_CHECKING:
    from finops_assets.core.archive.coverage import Coverage


@dataclass(frozen=True)
class DashboardState:
    """What the dashboard shows of the archive.

    Attributes:
        newest: the newest day that it shows; None where it shows none.
        outdated: archived days that it does not show, or not as they are archived, ascending.
        unknown: why it could not be inspected.
    """

    newest: date | None
    outdated: tuple[date, ...] = ()
    unknown: str = ""


@dataclass(frozen=True)
class Inspection:
    """Every expected day's state.

    Attributes:
        yesterday: the newest day that is expected.
        facts: what each link knows.
        states: the days, ascending, and their state.
        asked, in_bill: what the bill said of days that the archive does not have; the next cheap one is given them, so
            that the bill is asked again only when it has changed.
        since_refresh: archived days that were written since the dashboard's last refresh.
        unknown: links that could not be inspected, and why.
        coverage: where every line of the bill is; None where the bill was not compared since it was refreshed, or
            cannot be read.
        warnings: what may count twice in the bill, as far as it was compared.
    """

    yesterday: date
    facts: Facts
    states: Mapping[date, DayState]
    asked: str = ""
    in_bill: frozenset[date] = frozenset()
    since_refresh: tuple[date, ...] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)
    coverage: Coverage | None = None
    warnings: tuple[str, ...] = ()

    @property
    def days(self) -> tuple[date, ...]:
        return tuple(self.states)

    @property
    def archived(self) -> frozenset[date]:
        return frozenset(self.facts.archived)

    @cached_property
    def gaps(self) -> tuple[Gap, ...]:
        return tuple(gaps.find_gaps(self.states.values()))

    @property
    def not_whole(self) -> frozenset[date]:
        return frozenset(day for day, state in self.states.items() if not state.whole)

    @property
    def dashboard(self) -> DashboardState:
        """What the dashboard shows of the archive."""
        shown, facts = self.facts.shown, self.facts
        if causes.DASHBOARD in self.unknown:
            return DashboardState(None, unknown=self.unknown[causes.DASHBOARD])
        if shown is None:
            return DashboardState(None, tuple(facts.archived))
        if facts.behind:
            outdated = self.since_refresh or (facts.newest,)
        else:
            described = (facts.as_shown(published) for published in facts.archived.values() if published)
            outdated = tuple(published.day for published in described if states.shown_fault(shown, published))
        newest = shown.newest_day or max(facts.archived.keys() - set(outdated), default=None)
        return DashboardState(newest, outdated)

    @property
    def dashboard_fault(self) -> str:
        """Why the dashboard is not known to be current; empty where it is."""
        outdated = [f"{in_words(gap.days)}: {gap.detail}" for gap in self.gaps if gap.cause == causes.OUTDATED]
        return self.unknown.get(causes.DASHBOARD) or self.facts.behind or "; ".join(outdated)

    @property
    def summary(self) -> str:
        """Whether all days are whole, in one line."""
        unknown = [f" The {link} could not be inspected: {why}" for link, why in self.unknown.items()]
        return gaps.summary(self.states.values()) + self._of_the_bill + "".join(unknown)

    @property
    def coverage_words(self) -> str:
        """Where every line of the bill is, or why that is not known."""
        if self.coverage:
            return self.coverage.words
        if self.facts.unreadable:
            return "It is not known whether every line of the bill is in a day, as it cannot be read."
        return "The bill has not been compared with the archive since it was last refreshed: `finops gaps` does that."

    @property
    def summary_for_readers(self) -> str:
        """The same without mail and dashboard, which the digest speaks of elsewhere: it is made before it is sent."""
        own = (causes.DASHBOARD, causes.MAIL)
        days = [replace(state, cause="") if state.link in own else state for state in self.states.values()]
        return gaps.summary(days) + self._of_the_bill

    @property
    def _of_the_bill(self) -> str:
        return f" The bill cannot be read: {self.facts.unreadable}" if self.facts.unreadable else ""
