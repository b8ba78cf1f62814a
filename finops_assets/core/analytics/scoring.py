"""The scorecards of archived days: costs, budgets, forecasts, lights and anomalies brought together, and kept.

A day is scored as of itself, from archived rows alone: later days do not change it, and scoring it again gives the same
but for its settlement, the plan and the calendar as they are now. Only the newest archived day tells anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.accounts.ous import ALL, lineage
from finops_assets.core.accounts.published_map import account_names, published_map, read_account_map
from finops_assets.core.analytics import drivers, scorecard
from finops_assets.core.analytics.budgets import Budgets, Line, check_plan, month_lines, read_budgets, rolled_up
from finops_assets.core.analytics.doubling import Question, questions
from finops_assets.core.analytics.forecast import HISTORY as FORECAST_HISTORY
from finops_assets.core.analytics.forecast import forecasts_by_day
from finops_assets.core.analytics.scorecard import Score, Scorecard
from finops_assets.core.archive.comparing import WRITERS, comparable_rows, costs_by_ou
from finops_assets.core.errors import FinopsError
from finops_assets.core.money import money
from finops_assets.core.notes import put_if_other, read_note
from finops_assets.core.schemas import scorecard_path

if TYPE_CHECKING:
    import pyarrow as pa

    from finops_assets.core.analytics.anomalies import Doubled, Episode, Key
    from finops_assets.core.analytics.anomaly_history import AnomalyHistory
    from finops_assets.core.analytics.drivers import Drivers
    from finops_assets.core.analytics.episodes import Reconciled
    from finops_assets.core.analytics.events import Event
    from finops_assets.core.archive.settlement import Journal
    from finops_assets.core.findings import Finding
    from finops_assets.core.ports import Archive, PublishedDay, Warehouse

UNSETTLED = 2
"""Newest days on which a fall in cost is not told yet: exports were seen to lack a fifth of the newest day, once a
twentieth of the one before it, and next to nothing of older ones."""

LATE_AFTER = 3
"""Days after which a change of a day is a restatement, and no longer the day being completed."""


@dataclass(frozen=True)
class Plan:
    """What is read beside the archive: the budgets and the calendar, and what was wrong with them."""

    budgets: Budgets
    events: tuple[Event, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass
class Scored:
    """The scorecards of a run.

    `wrong` is what was left out and why; `doubled` are days that look as if they were delivered twice, and why; `whole`
    is the cost of everything by day, up to the last one; `reconciled` is what is to be told of the newest archived
    day, and None where the run is of earlier ones; `questions` are then all stretches that have doubled everywhere.
    """

    cards: dict[date, Scorecard] = field(default_factory=dict)
    wrong: tuple[str, ...] = ()
    doubled: dict[date, str] = field(default_factory=dict)
    whole: dict[date, Decimal] = field(default_factory=dict)
    reconciled: Reconciled | None = None
    questions: tuple[Question, ...] = ()

    @property
    def currency(self) -> str:
        """Of every amount of the newest day's scorecard."""
        return self.cards[max(self.cards)].currency


class Scoring:
    """Makes scorecards and keeps them in the archive.

    Args:
        warehouse: asked why the newest day of a run moved.
        archive: where days are read from and scorecards are kept.
        journal: tells how final days are.
        budgets, events: read budgets.csv and events.csv; None where there is none.
        budgets_at, events_at: what they are called in errors.
        amber: share of a budget from which on a month is amber.
        least_share, least_amount: below which nothing is an anomaly.
        editions: OUs that somebody gets an edition of the digest of.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        archive: Archive,
        journal: Journal,
        *,
        budgets: Callable[[], bytes | None] = lambda: None,
        events: Callable[[], bytes | None] = lambda: None,
        budgets_at: str = "budgets.csv",
        events_at: str = "events.csv",
        amber: float = 0.9,
        least_share: float = 0.25,
        least_amount: Decimal = Decimal(10),
        editions: Collection[str] = (),
    ) -> None:
        self._warehouse, self._archive, self._journal = warehouse, archive, journal
        self._budgets, self._events = budgets, events
        self._budgets_at, self._events_at = budgets_at, events_at
        self._amber, self._least_share, self._least_amount = amber, least_share, least_amount
        self._editions = editions

    def check(self) -> Iterator[Finding]:
        """Whether the plan and the calendar can be used, and the OUs of editions (mail.by_ou) are there."""
        from finops_assets.core.findings import Finding, told

        if published_map(self._archive) is None:
            return  # before the first run, no OU is known
        yield from told("budgets", self._look_at_budgets())
        yield from told("events", self._look_at_events())
        known = self._known_ous()
        for ou in sorted(set(self._editions) - known):
            yield Finding(
                "editions",
                "warn",
                f"mail.by_ou: there is no OU {ou}: its readers get an empty digest",
                f"Write one of {', '.join(sorted(known))}.",
            )

    def _look_at_budgets(self) -> Iterator[Finding]:
        from finops_assets.core.findings import Finding

        if (data := self._budgets()) is not None:
            plan = read_budgets(data, self._budgets_at)
            newest = self._archive.describe(days[-1]) if (days := self._archive.days()) else None
            check_plan(plan, newest.currency if newest else plan.currency, self._ous())
            yield Finding("budgets", "ok", f"{len(plan.amounts)} rows in {self._budgets_at}, in {plan.currency}")

    def _look_at_events(self) -> Iterator[Finding]:
        from finops_assets.core.analytics.events import read_events
        from finops_assets.core.findings import Finding

        if (data := self._events()) is not None:
            events = read_events(data, self._events_at)
            known = self._known_ous()
            for ou in sorted({event.ou for event in events if event.ou} - known):
                said = f"{self._events_at}: there is no OU {ou}: its events explain nothing"
                yield Finding("events", "warn", said, f"Write All, or one of {', '.join(sorted(known))}.")
            yield Finding("events", "ok", f"{len(events)} rows in {self._events_at}")

    def _known_ous(self) -> set[str]:
        """Those, and those above them."""
        return {path for ou in self._ous() for path in lineage(ou)}

    def _ous(self) -> set[str]:
        """The OUs of the published map."""
        return set(read_account_map(self._archive)["ou"].to_pylist())

    def score(self, days: Sequence[date], now: datetime) -> Scored:
        """Score these days (ascending, contiguous, archived) and keep their scorecards, and why the last one moved.

        A plan or calendar that cannot be used is left out and told in the scorecards' notes: the bill is not held up.

        Raises:
            ArchiveError: a day is not archived, or its rows cannot be read.
        """
        scored = self._scored(days, now)
        last = scored.cards[days[-1]]
        moved, why_not = self._moved(days[-1], last)
        scored.wrong = tuple(dict.fromkeys((*scored.wrong, *why_not)))
        scored.cards[days[-1]] = replace(last, drivers=moved, notes=scored.wrong)
        self._keep(scored.cards)
        newest = self._archive.days()[-1]
        if newest > days[-1] and self._archive.get(scorecard_path(newest)) is not None:
            # Its month, and what was unusual in it, may be others now; why it moved stays as it was told.
            along = self._scored([newest], now)
            self._keep(along.cards)
            scored.reconciled, scored.questions = along.reconciled, along.questions
        return scored

    def _scored(self, days: Sequence[date], now: datetime) -> Scored:
        scored = Scored()
        left, wrong = list(days), []
        while left:  # days of another currency or cost basis are scored by themselves
            rows, span, newest = self._rows(left)
            plan = self._plan(newest.currency, rows)
            wrong += plan.notes
            findings = self._findings(rows, span, newest, plan, now)
            scored.doubled |= {found.day: _doubled_words(found, newest) for found in findings.doubled}
            scored.cards |= self._cards([day for day in left if day in span], rows, span, newest, plan, findings)
            left = [day for day in left if day not in span]
            if newest.day == days[-1]:
                scored.whole = _by_day(rows)
            if newest.day == self._archive.days()[-1]:
                scored.reconciled = self._reconciled(findings, newest.day)
                scored.questions = questions(findings.doubled, newest.day)
        if scored.reconciled:
            scored.cards[days[-1]] = _with_episodes(scored.cards[days[-1]], scored.reconciled.current)
        scored.wrong = tuple(dict.fromkeys(wrong))
        scored.cards[days[-1]] = replace(scored.cards[days[-1]], notes=scored.wrong)
        return scored

    def remember(self, scored: Scored) -> None:
        """Enter in the ledger what was told; to be called once it was, as the next run tells nothing of it."""
        from finops_assets.core.analytics import episodes

        if scored.reconciled:
            put_if_other(self._archive, episodes.LEDGER, episodes.write_ledger(scored.reconciled.ledger))

    def _reconciled(self, findings: AnomalyHistory, day: date) -> Reconciled:
        from finops_assets.core.analytics import episodes

        return episodes.reconcile(episodes.read(self._archive), findings, day)

    def _rows(self, days: Sequence[date]) -> tuple[pa.Table, dict[date, PublishedDay], PublishedDay]:
        from finops_assets.core.analytics.detection import HISTORY

        return comparable_rows(self._archive, days[-1], (days[-1] - days[0]).days + max(HISTORY, FORECAST_HISTORY))

    def _plan(self, currency: str, rows: pa.Table) -> Plan:
        from finops_assets.core.analytics.events import read_events

        budgets, events, notes = Budgets({}, currency), (), []
        try:
            if (data := self._budgets()) is not None:
                read = read_budgets(data, self._budgets_at)
                check_plan(read, currency, {*self._ous(), *rows["ou"].unique().to_pylist()})
                budgets = read
        except FinopsError as error:
            notes.append(f"No budgets are shown: {error}")
        try:
            if (data := self._events()) is not None:
                events = read_events(data, self._events_at)
        except FinopsError as error:
            notes.append(f"Planned events are not known: {error}")
        return Plan(budgets, events, tuple(notes))

    def _findings(
        self, rows: pa.Table, span: Mapping[date, PublishedDay], newest: PublishedDay, plan: Plan, now: datetime
    ) -> AnomalyHistory:
        from finops_assets.core.analytics.detection import detect

        today = now.date()
        settled = self._journal.settled()
        young = [day for day in span if (today - day).days <= UNSETTLED and settled(day) == "provisional"]
        return detect(
            _by_key(rows),
            span.keys(),
            currency=newest.currency,
            floor=self._least_amount,
            share=self._least_share,
            unsettled=young,
            restated=self._restated(span),
            events=plan.events,
            names=account_names(self._archive),
        )

    def _restated(self, span: Iterable[date]) -> dict[date, dict[Key, Decimal]]:
        """By how much each cost was changed after its day was complete."""
        from finops_assets.core.archive import restatements

        changed: dict[date, dict[Key, Decimal]] = {}
        for row in restatements.read(self._archive, list(span)).to_pylist():
            if (row["firstseen"].date() - row["billingdate"]).days > LATE_AFTER:
                of_day = changed.setdefault(row["billingdate"], {})
                key = row["ou"], row["service"], row["linkedaccount"]
                of_day[key] = of_day.get(key, Decimal()) + row["delta"]
        return changed

    def _cards(
        self,
        days: Sequence[date],
        rows: pa.Table,
        span: Mapping[date, PublishedDay],
        newest: PublishedDay,
        plan: Plan,
        findings: AnomalyHistory,
    ) -> dict[date, Scorecard]:
        costs = costs_by_ou(rows, span)
        # The whole is there on every day: of days without any row, it cost nothing.
        rolled = {ALL: dict.fromkeys(span, Decimal()), **rolled_up(costs)}
        settled = self._journal.settled()
        cards = {}
        since = _first_days(rows)
        expected = forecasts_by_day(rolled, days)
        for day in days:
            lines = month_lines(
                plan.budgets, rolled, day, currency=newest.currency, amber=self._amber, expected=expected[day]
            )
            episodes = findings.episodes(day)
            whole = lines[0].forecast
            cards[day] = Scorecard(
                day=day,
                currency=newest.currency,
                cost_basis=newest.cost_basis,
                scores=tuple(
                    _score(line, rolled, costs, day, findings, episodes, settled(day))
                    for line in lines
                    if line.ou == ALL or line.budget is not None or since.get(line.ou, date.max) <= day
                ),
                episodes=episodes,
                error=whole.error,
                why_no_forecast=whole.why_not,
                notes=plan.notes,
                fingerprint=span[day].fingerprint,
                questions=tuple(each for each in questions(findings.doubled, day) if each.is_asked),
            )
        return cards

    def _moved(self, day: date, card: Scorecard) -> tuple[Drivers | None, tuple[str, ...]]:
        """Why the day cost what it did, against the same weekday a week before, else the day before."""
        there = set(self._archive.days())
        against = next((d for d in (day - timedelta(days=7), day - timedelta(days=1)) if d in there), None)
        if against is None:
            return None, ()
        try:
            sums = self._warehouse.drivers(day, against)
            found = drivers.explain(sums, day, against, read_account_map(self._archive), card.currency, card.cost_basis)
        except FinopsError as error:
            return None, (f"Why the day moved is not told: {error}",)
        return found, ()

    def _keep(self, cards: Mapping[date, Scorecard]) -> None:
        """Write what is not there as it is, each object in one step; drivers first, so that a card never lacks them."""

        def keep(card: Scorecard) -> None:
            if card.drivers:
                put_if_other(self._archive, drivers.drivers_path(card.day), drivers.to_parquet(card.drivers))
            put_if_other(self._archive, scorecard_path(card.day), scorecard.to_parquet(card))

        with ThreadPoolExecutor(WRITERS) as writers:
            list(writers.map(keep, cards.values()))


def read(archive: Archive, there: PublishedDay) -> Scorecard | None:
    """The scorecard of an archived day, with why it moved; None where there is none of the rows as they are now."""
    card = scorecard.read(archive, there.day)
    if card is None or card.fingerprint != there.fingerprint:
        return None
    return replace(card, drivers=read_note(archive, drivers.drivers_path(there.day), drivers.read, None))


def _by_key(rows: pa.Table) -> dict[Key, dict[date, Decimal]]:
    columns = [rows[name].to_pylist() for name in ("ou", "service", "linkedaccount", "billingdate", "cost")]
    costs: dict[Key, dict[date, Decimal]] = {}
    for ou, service, account, day, cost in zip(*columns, strict=True):
        of_key = costs.setdefault((ou or "", service or "", account or ""), {})
        of_key[day] = of_key.get(day, Decimal()) + cost
    return costs


def _first_days(rows: pa.Table) -> dict[str, date]:
    """The first day on which each OU, or one below it, has a row, whatever the row costs."""
    since: dict[str, date] = {}
    for row in rows.group_by("ou").aggregate([("billingdate", "min")]).to_pylist():
        for ou in lineage(row["ou"]):
            since[ou] = min(row["billingdate_min"], since.get(ou, date.max))
    return since


def _by_day(rows: pa.Table) -> dict[date, Decimal]:
    sums = rows.group_by("billingdate").aggregate([("cost", "sum")]).to_pylist()
    return {row["billingdate"]: row["cost_sum"] for row in sums}


def _doubled_words(found: Doubled, newest: PublishedDay) -> str:
    return (
        f"nearly everything costs {found.actual / found.expected:.1f} times what was expected "
        f"({money(found.actual, newest.currency)}, expected {money(found.expected, newest.currency)}): see whether the "
        "export has a file twice; if it is real, a line in events.csv says so"
    )


def _score(
    line: Line,
    rolled: Mapping[str, Mapping[date, Decimal]],
    costs: Mapping[str, Mapping[date, Decimal]],
    day: date,
    findings: AnomalyHistory,
    episodes: Sequence[Episode],
    settled: str,
) -> Score:
    from finops_assets.core.analytics.anomalies import largest

    forecast, band = line.forecast, findings.band(line.ou, day)
    return Score(
        ou=line.ou,
        cost=rolled.get(line.ou, {}).get(day, Decimal()),
        direct=costs.get(line.ou, {}).get(day, Decimal()),
        low=band.low if band else None,
        high=band.high if band else None,
        month_to_date=forecast.month_to_date,
        budget=line.budget,
        p10=forecast.low,
        p50=forecast.expected,
        p90=forecast.high,
        share=line.share,
        light=line.light,
        reason=line.reason,
        passed=line.passed,
        anomaly=largest(episodes, line.ou, day),
        settlement=settled,
    )


def _with_episodes(card: Scorecard, episodes: tuple[Episode, ...]) -> Scorecard:
    """The card with the episodes as the ledger has them: their ids, and what was told of them."""
    from finops_assets.core.analytics.anomalies import largest

    scores = tuple(replace(score, anomaly=largest(episodes, score.ou, card.day)) for score in card.scores)
    return replace(card, scores=scores, episodes=episodes)
