"""What is planned: the budgets and the calendar of events as they are read for scorecards, and whether they fit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from finops_assets.core.accounts.ous import lineage
from finops_assets.core.accounts.published_map import published_map, read_account_map
from finops_assets.core.analytics.budgets import Budgets, check_plan, read_budgets
from finops_assets.core.analytics.events import Event, read_events
from finops_assets.core.analytics.value_scores import value_series
from finops_assets.core.bill.dimension_keys import DimensionValue
from finops_assets.core.errors import FinopsError
from finops_assets.core.findings import Finding, findings_of
from finops_assets.core.text import tidy

if TYPE_CHECKING:
    from finops_assets.core.ports import Archive


CHECKED_DAYS = 31
"""Archived days, the newest, on which something has a value that settings name."""

MOST_NAMED = 20
"""Values that a finding names."""


@dataclass(frozen=True)
class Plan:
    """The budgets and the calendar, and what was wrong with them."""

    budgets: Budgets
    events: tuple[Event, ...] = ()
    notes: tuple[str, ...] = ()


def _no_file() -> bytes | None:
    return None


@dataclass(frozen=True)
class PlanFiles:
    """Reads the plan.

    Attributes:
        budgets, events: read budgets.csv and events.csv; give None where there is none.
        budgets_at, events_at: what they are called in errors.
        editions: OUs that somebody gets an edition of the digest of (mail.by_ou).
        dimensions: dimensions.keys.
        values: of dimensions, that somebody gets an edition of (mail.by_value).
    """

    budgets: Callable[[], bytes | None] = _no_file
    events: Callable[[], bytes | None] = _no_file
    budgets_at: str = "budgets.csv"
    events_at: str = "events.csv"
    editions: Collection[str] = ()
    dimensions: Collection[str] = ()
    values: Collection[DimensionValue] = ()

    def read(self, archive: Archive, currency: str, ous: Collection[str]) -> Plan:
        """The plan of a bill; what cannot be used is left out, with a note.

        Args:
            archive: has the account map.
            currency: of the bill.
            ous: those that have costs.
        """
        budgets, notes = Budgets({}, currency), []
        events: tuple[Event, ...] = ()
        try:
            if (data := self.budgets()) is not None:
                planned = read_budgets(data, self.budgets_at, self.dimensions)
                check_plan(planned, currency, {*_mapped_ous(archive), *ous})
                budgets = planned
                notes += [f"{self.budgets_at}: {words}." for words in self._without_dimension(planned)]
        except FinopsError as error:
            notes.append(f"No budgets are shown: {error}")
        try:
            if (data := self.events()) is not None:
                events = read_events(data, self.events_at)
        except FinopsError as error:
            notes.append(f"Planned events are not known: {error}")
        return Plan(budgets, events, tuple(notes))

    def check(self, archive: Archive) -> Iterator[Finding]:
        """Whether the plan and the calendar can be used, and the OUs of editions exist."""
        if published_map(archive) is None:
            return  # before the first run, no OU is known
        yield from findings_of("budgets", self._check_budgets(archive))
        yield from findings_of("events", self._check_events(archive))
        known = _known_ous(archive)
        for ou in sorted(set(self.editions) - known):
            yield Finding(
                "editions",
                "warn",
                f"mail.by_ou: there is no OU {ou}: its readers get an empty digest",
                f"Write one of {', '.join(sorted(known))}.",
            )

        yield from findings_of("editions", self._check_values(archive))

    def _check_values(self, archive: Archive) -> Iterator[Finding]:
        """The values with a budget or an edition that nothing of the newest weeks has."""
        budgets: set[DimensionValue] = set()
        with suppress(FinopsError):  # another finding says why
            if (data := self.budgets()) is not None:
                budgets = {value for value, _ in read_budgets(data, self.budgets_at, self.dimensions).of_values}
        wanted = dict.fromkeys(sorted(budgets), self.budgets_at) | dict.fromkeys(self.values, "mail.by_value")
        days = archive.history.describe(archive.days()[-CHECKED_DAYS:]) if wanted else {}
        series = value_series(archive, days)
        for value, where in wanted.items():
            of_key = series.get(value.key)
            if of_key and value.value not in of_key.costs and not of_key.folded:
                detail = f"{where}: nothing of the last {len(days)} archived days has {value}"
                yield Finding("editions", "warn", detail, f"Write one of {_some(of_key.costs)}.")

    def _check_budgets(self, archive: Archive) -> Iterator[Finding]:
        if (data := self.budgets()) is not None:
            plan = read_budgets(data, self.budgets_at, self.dimensions)
            newest = archive.describe(days[-1]) if (days := archive.days()) else None
            check_plan(plan, newest.currency if newest else plan.currency, _mapped_ous(archive))
            for words in self._without_dimension(plan):
                yield Finding("budgets", "warn", f"{self.budgets_at}: {words}", "Add it to dimensions.keys.")
            rows = len(plan.amounts) + len(plan.of_values)
            yield Finding("budgets", "ok", f"{rows} rows in {self.budgets_at}, in {plan.currency}")

    def _without_dimension(self, plan: Budgets) -> Iterator[str]:
        """Of each dimension that has budgets and is not set, that they are not judged."""
        for key in sorted({value.key for value, _ in plan.of_values} - set(self.dimensions)):
            yield f"{key} is no dimension of the settings: its budgets are not judged"

    def _check_events(self, archive: Archive) -> Iterator[Finding]:
        if (data := self.events()) is not None:
            events = read_events(data, self.events_at)
            known = _known_ous(archive)
            for ou in sorted({event.ou for event in events if event.ou} - known):
                detail = f"{self.events_at}: there is no OU {ou}: its events explain nothing"
                yield Finding("events", "warn", detail, f"Write All, or one of {', '.join(sorted(known))}.")
            yield Finding("events", "ok", f"{len(events)} rows in {self.events_at}")


def _some(values: Collection[str]) -> str:
    """Values, by name; the first ones of many."""
    shown = sorted(values)[:MOST_NAMED]
    return ", ".join(tidy(value, 80) for value in shown) + (", ..." if len(values) > len(shown) else "")


def _mapped_ous(archive: Archive) -> set[str]:
    """The OUs of the published map."""
    return set(read_account_map(archive)["ou"].to_pylist())


def _known_ous(archive: Archive) -> set[str]:
    """Those, and those above them."""
    return {path for ou in _mapped_ous(archive) for path in lineage(ou)}
