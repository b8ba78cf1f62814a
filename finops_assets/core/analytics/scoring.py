"""The scorecards of archived days: costs, budgets, forecasts, lights and anomalies brought together, and kept.

A day is scored as of itself, from archived rows alone: later days do not change it, and scoring it again gives the same
but for its settlement, the plan and the calendar as they are now. Only the newest archived day notifies anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from finops_assets.core.accounts.ous import ALL, lineage
from finops_assets.core.accounts.published_map import account_names
from finops_assets.core.analytics import drivers, episodes, scorecard
from finops_assets.core.analytics.anomalies import Doubled, Episode, Key, largest
from finops_assets.core.analytics.anomaly_history import RECENT, AnomalyHistory
from finops_assets.core.analytics.budgets import month_lines
from finops_assets.core.analytics.detection import HISTORY, Threshold, detect
from finops_assets.core.analytics.doubling import Question, questions
from finops_assets.core.analytics.forecast import HISTORY as FORECAST_HISTORY
from finops_assets.core.analytics.judged_costs import JudgedCosts, judged_costs, usage_of
from finops_assets.core.analytics.moves import Moves, current_parts, episode_causes
from finops_assets.core.analytics.plan import Plan, PlanFiles
from finops_assets.core.analytics.scheduled import ScheduledCharges
from finops_assets.core.analytics.scorecard import Score, Scorecard
from finops_assets.core.analytics.value_scores import ValueBasis, ValueScoring
from finops_assets.core.archive import restatements
from finops_assets.core.archive.comparable_days import WRITERS, comparable_days
from finops_assets.core.money import CENT, money
from finops_assets.core.notes import put_if_other, read_note
from finops_assets.core.schemas import scorecard_path

if TYPE_CHECKING:
    from finops_assets.core.analytics.episodes import Reconciled
    from finops_assets.core.archive.cost_history import OuHistory
    from finops_assets.core.archive.journal import Journal
    from finops_assets.core.findings import Finding
    from finops_assets.core.ports import Archive, Warehouse
    from finops_assets.core.values import PublishedDay

LATE_AFTER = 3
"""Days after which a change of a day is a restatement, and no longer the day being completed."""


@dataclass(frozen=True)
class ScoringRules:
    """From which on something counts.

    Attributes:
        amber: share of a budget from which on a month is amber.
        least_share, least_amount: below which nothing is an anomaly.
    """

    amber: float = 0.9
    least_share: float = 0.25
    least_amount: Decimal = Decimal(10)


@dataclass
class Scored:
    """The scorecards of a run.

    Attributes:
        cards: by day.
        wrong: what was left out, and why.
        doubled: days that look as if they were delivered twice, and why.
        whole: the cost of everything by day, up to the last one.
        reconciled: what is to be notified of the newest archived day; None where the run is of earlier ones.
        questions: then, all stretches that have doubled everywhere.
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


@dataclass(frozen=True)
class _Basis:
    """What days of one currency and cost basis are scored by.

    Attributes:
        judged: the costs of the archived days, with those before that the rules need, and what they are judged by.
        archived: the days.
        newest: the last of them.
        plan: budgets and events.
        history: the anomalies.
        unsettled: days that may still be incomplete.
    """

    judged: JudgedCosts
    archived: Mapping[date, PublishedDay]
    newest: PublishedDay
    plan: Plan
    history: AnomalyHistory
    unsettled: Sequence[date] = ()


class Scoring:
    """Makes scorecards and keeps them in the archive.

    Args:
        warehouse: asked why the newest day of a run moved.
        archive: where days are read from and scorecards are kept.
        journal: tells how final days are.
        plan: budgets and events.
        rules: from which on something counts.
        restated_as: gives the ledger of restatements in the currency of the archive's days.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        archive: Archive,
        journal: Journal,
        plan: PlanFiles = PlanFiles(),  # noqa: B008 - frozen
        rules: ScoringRules = ScoringRules(),
        restated_as: Callable[[pa.Table], pa.Table] = lambda ledger: ledger,
    ) -> None:
        self._archive, self._journal, self._moves = archive, journal, Moves(warehouse, archive)
        self._plan, self._rules, self._restated_as = plan, rules, restated_as
        self._values = ValueScoring(archive, journal, rules.amber)

    def check(self) -> Iterator[Finding]:
        """Whether the plan and the calendar can be used, and the OUs of editions exist."""
        yield from self._plan.check(self._archive)

    def score(self, days: Sequence[date], now: datetime) -> Scored:
        """Score these days (ascending, contiguous, archived) and keep their scorecards, and why the last one moved.

        A plan or calendar that cannot be used is left out with a note in the scorecards: the bill is not held up.

        Raises:
            ArchiveError: a day is not archived, or its rows cannot be read.
        """
        scored = self._scored(days, now)
        outdated = self._moves.outdated(days)
        scored.cards, why_not = self._moves.added(scored.cards, outdated)
        scored.wrong = tuple(dict.fromkeys((*scored.wrong, *why_not)))
        last = scored.cards[days[-1]]
        scored.cards[days[-1]] = replace(last, notes=_notes(scored.wrong, last))
        self._keep(scored.cards)
        self._moves.remove([day for day in outdated if scored.cards[day].parts is None])
        newest = self._archive.days()[-1]
        if newest > days[-1] and self._archive.get(scorecard_path(newest)) is not None:
            # Its month, and what was unusual in it, may be others now; why it moved stays as it was notified.
            of_newest = self._scored([newest], now)
            self._keep(of_newest.cards)
            scored.reconciled, scored.questions = of_newest.reconciled, of_newest.questions
        return scored

    def remember(self, scored: Scored) -> None:
        """Enter in the ledger what was notified; call it after that, as the next run does not notify it again."""
        if scored.reconciled:
            put_if_other(self._archive, episodes.LEDGER, episodes.write_ledger(scored.reconciled.ledger))

    def _scored(self, days: Sequence[date], now: datetime) -> Scored:
        scored = Scored()
        wrong: list[str] = []
        left = list(days)
        while left:  # days of another currency or cost basis, or with another kind of history, are scored by themselves
            basis = self._basis(left, now)
            wrong += basis.plan.notes
            of_basis = [day for day in left if day in basis.judged.days]
            of_values = ValueBasis(basis.archived, basis.newest, basis.plan.budgets, basis.unsettled)
            self._values.score(of_basis, of_values)
            doubled = basis.history.doubled
            scored.doubled |= {day.day: _doubled_words(day, basis.newest.currency) for day in doubled}
            scored.cards |= self._cards(of_basis, basis)
            left = [day for day in left if day not in basis.judged.days]
            if basis.newest.day == days[-1]:
                scored.whole = basis.judged.whole.totals()
            if basis.newest.day == self._archive.days()[-1]:
                scored.reconciled = episodes.reconcile(episodes.read(self._archive), basis.history, basis.newest.day)
                scored.questions = questions(doubled, basis.newest.day)
        if scored.reconciled:
            scored.cards[days[-1]] = _with_episodes(scored.cards[days[-1]], scored.reconciled.current)
        scored.wrong = tuple(dict.fromkeys(wrong))
        last = scored.cards[days[-1]]
        scored.cards[days[-1]] = replace(last, notes=_notes(scored.wrong, last))
        return scored

    def _basis(self, days: Sequence[date], now: datetime) -> _Basis:
        back = (days[-1] - days[0]).days + max(HISTORY, FORECAST_HISTORY)
        span, archived, newest = comparable_days(self._archive, days[-1], back)
        self._archive.history.keep()
        judged = judged_costs(span, archived, days)
        plan = self._plan.read(self._archive, newest.currency, list(judged.whole.by_ou))
        unsettled = self._journal.unsettled(archived, now)
        restated, usage = self._restated(archived), judged.scheduled is not None
        history = detect(
            judged.costs,
            Threshold(newest.currency, self._rules.least_amount, self._rules.least_share),
            unsettled=unsettled,
            restated=usage_of(restated, span, judged.costs) if usage else restated,
            events=plan.events,
            names=account_names(self._archive),
            usage=usage,
        )
        archived = {day: archived[day] for day in judged.whole.days}
        return _Basis(judged, archived, newest, plan, history, unsettled)

    def _restated(self, days: Iterable[date]) -> dict[date, dict[Key, Decimal]]:
        """By how much each cost was changed after its day was complete."""
        changed: dict[date, dict[Key, Decimal]] = {}
        ledger = restatements.read(self._archive, list(days))
        after = pc.days_between(ledger["billingdate"], ledger["firstseen"].cast(pa.date32()))
        late = ledger.filter(pc.greater(after, LATE_AFTER))  # a tenth of it: the rest was completion
        late = self._restated_as(late)
        columns = ("billingdate", "ou", "service", "linkedaccount", "delta")
        for day, *names, delta in zip(*(late[name].to_pylist() for name in columns), strict=True):
            of_day, key = changed.setdefault(day, {}), tuple(names)
            of_day[key] = of_day.get(key, Decimal()) + delta
        return changed

    def _cards(self, days: Sequence[date], basis: _Basis) -> dict[date, Scorecard]:
        newest, plan = basis.newest, basis.plan
        direct, rolled = basis.judged.whole.ou_costs(basis.archived), basis.judged.rolled()
        settlement = self._journal.settled()
        since = _first_days(basis.judged.whole)
        expected = basis.judged.months(days, basis.unsettled)
        charges = ScheduledCharges(basis.judged.scheduled or {}, basis.unsettled)
        cards = {}
        for day in days:
            lines = month_lines(
                plan.budgets, rolled, day, currency=newest.currency, amber=self._rules.amber, expected=expected[day]
            )
            current = basis.history.episodes(day)
            whole, scheduled = lines[0].forecast, charges.on(day)
            cards[day] = Scorecard(
                day=day,
                currency=newest.currency,
                cost_basis=newest.cost_basis,
                scores=tuple(
                    Score.of_month(
                        line,
                        cost=rolled.get(line.ou, {}).get(day, Decimal()),
                        direct=direct.get(line.ou, {}).get(day, Decimal()),
                        band=(band.low + booked, band.high + booked)
                        if (band := basis.history.band(line.ou, day))
                        else None,
                        anomaly=largest(current, line.ou, day),
                        settlement=settlement(day),
                    )
                    for line in lines
                    for booked in [scheduled.get(line.ou, Decimal()).quantize(CENT)]
                    if line.ou == ALL or line.budget is not None or since.get(line.ou, date.max) <= day
                ),
                episodes=current,
                error=whole.error,
                why_no_forecast=whole.why_not,
                notes=(*plan.notes, *basis.history.notes(day)),
                fingerprint=basis.archived[day].fingerprint,
                questions=tuple(each for each in questions(basis.history.doubled, day) if each.is_asked),
                why_whole=basis.judged.why_whole,
                booked=charges.booked(day, self._rules.least_amount),
                renamed=tuple(each for each in basis.history.renamed if 0 <= (day - each.since).days < RECENT),
            )
        return cards

    def _keep(self, cards: Mapping[date, Scorecard]) -> None:
        """Write what has changed, each object in one step; drivers first, so that a card never lacks them."""

        def keep(card: Scorecard) -> None:
            self._moves.keep(card)
            put_if_other(self._archive, scorecard_path(card.day), scorecard.to_parquet(card))

        with ThreadPoolExecutor(WRITERS) as writers:
            list(writers.map(keep, cards.values()))


def read(archive: Archive, published: PublishedDay) -> Scorecard | None:
    """The scorecard of an archived day, with why it moved, and what caused its anomalies.

    None where there is none of the rows as they are now.
    """
    card = scorecard.read(archive, published.day)
    if card is None or card.fingerprint != published.fingerprint:
        return None
    return replace(with_moves(archive, card), causes=episode_causes(archive, card.episodes))


def with_moves(archive: Archive, card: Scorecard) -> Scorecard:
    """The card with why its day moved, as far as that is kept."""
    moved = read_note(archive, drivers.drivers_path(card.day), drivers.read, None)
    return replace(card, drivers=moved, parts=current_parts(archive, card.day))


def _first_days(costs: OuHistory) -> dict[str, date]:
    """The first day on which each OU, or one below it, has a row, whatever the row costs."""
    since: dict[str, date] = {}
    for own, first in costs.first_days().items():
        for ou in lineage(own):
            since[ou] = min(first, since.get(ou, date.max))
    return since


def _doubled_words(doubled: Doubled, currency: str) -> str:
    return (
        f"nearly everything costs {doubled.actual / doubled.expected:.1f} times what was expected "
        f"({money(doubled.actual, currency)}, expected {money(doubled.expected, currency)}): see whether the "
        "export has a file twice; if it is real, a line in events.csv says so"
    )


def _notes(wrong: Sequence[str], card: Scorecard) -> tuple[str, ...]:
    """What was left out in the run, and what is to be said of the card's day."""
    return tuple(dict.fromkeys((*wrong, *card.notes)))


def _with_episodes(card: Scorecard, current: tuple[Episode, ...]) -> Scorecard:
    """The card with the episodes as the ledger has them: their ids, and what was notified of them."""
    scores = tuple(replace(score, anomaly=largest(current, score.ou, card.day)) for score in card.scores)
    return replace(card, scores=scores, episodes=current)
