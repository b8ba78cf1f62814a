"""What a day's digest is made of: the archive's days around it, its scorecard, what readers know from earlier mails."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.accounts.published_map import account_names
from finops_assets.core.analytics import value_scores
from finops_assets.core.analytics.anomalies import CLOSED
from finops_assets.core.analytics.commitments import WEEK, read_commitments
from finops_assets.core.analytics.scoring import read as read_scorecard
from finops_assets.core.archive.age import Age
from finops_assets.core.archive.comparable_days import comparable, in_unit_of_costs
from finops_assets.core.archive.day_currencies import left_out_of
from finops_assets.core.archive.display import rates_words
from finops_assets.core.archive.journal import Journal
from finops_assets.core.archive.provenance import bill_shares
from finops_assets.core.bill.providers import archived_providers
from finops_assets.core.calendar import in_words
from finops_assets.core.delivery.changes import Changes
from finops_assets.core.delivery.mail_states import UNMAILED
from finops_assets.core.delivery.outbox import Outbox
from finops_assets.core.delivery.own_cost import own_cost
from finops_assets.core.delivery.value_editions import ValueEditions
from finops_assets.core.errors import ArchiveError, DamagedError
from finops_assets.core.money import money
from finops_assets.core.ports import Archive
from finops_assets.core.reports import digest
from finops_assets.core.reports.digest import Covered, DayFacts, DigestFigures, Late
from finops_assets.core.reports.digest.edition import subtotals
from finops_assets.core.schemas import BILL_DELIVERY, DIMENSIONS, day_path
from finops_assets.core.values import PublishedDay

if TYPE_CHECKING:
    import pyarrow as pa

    from finops_assets.core.analytics.anomalies import Episode
    from finops_assets.core.analytics.scorecard import Scorecard
    from finops_assets.core.bill.dimension_keys import DimensionValue

LOOK_BACK = 31
"""Days before a digest's own among which it looks for ones that were never mailed."""


class DigestCollector:
    """Collects the figures of digests.

    Args:
        archive: has the days.
        outbox: has what was mailed.
        changes: tells which mailed days have changed.
        journal: tells how final days are.
        links: label -> path or URL shown at the digest's end.
        age: tells how old the archive's data are.
        values: values of dimensions that somebody gets an edition of.
    """

    def __init__(
        self,
        archive: Archive,
        outbox: Outbox,
        changes: Changes,
        *,
        journal: Journal,
        links: Mapping[str, str],
        age: Callable[[datetime], Age | None],
        values: Iterable[DimensionValue] = (),
    ) -> None:
        self._archive, self._outbox, self._changes = archive, outbox, changes
        self._journal, self._links, self.age = journal, links, age
        self._by_value = ValueEditions(archive, values)

    def published(self, day: date) -> PublishedDay:
        """The archived day.

        Raises:
            ArchiveError: it is not archived.
        """
        published = self._archive.history.describe([day]).get(day)
        if published is None:
            raise ArchiveError("is not archived", where=day_path(day), fix=f"`finops run --date {day}` archives it.")
        return published

    def never_mailed(self, days: Sequence[date]) -> list[date]:
        """The other days that the last one's mail covers: of these, and of the weeks before, those without a mail.

        The readers of the others learn of a change by `restated`.
        """
        states, _ = self._mailed(days[-1], days)
        return [day for day in sorted(states) if day != days[-1] and states[day] in UNMAILED]

    def _mailed(self, day: date, among: Sequence[date] = ()) -> tuple[dict[date, str], date | None]:
        """Whether the days before one, and these, were mailed; and the last before it that was."""
        before = [d for d in self._archive.days() if d < day and (day - d).days <= LOOK_BACK]
        states = self._outbox.records.mailed_days({*before, *among})
        return states, max((d for d in before if states[d] not in UNMAILED), default=None)

    def known_editions(self, published: PublishedDay, editions: Iterable[str]) -> list[str]:
        """Those of the editions that can be made of a day: by value, only where it has the value's dimension."""
        by_value = self._by_value
        return [name for name in editions if name not in by_value or by_value.can_be_made(name, published)]

    def totals(self, days: Sequence[date], editions: Sequence[str]) -> dict[str, dict[date, Decimal]]:
        """What these days cost now, those that are archived: the whole by an empty name, and these editions."""
        described = self._archive.history.describe(days)
        totals = {day: published.total for day, published in described.items()}
        if not totals:
            return {}
        ous = [name for name in editions if name not in self._by_value]
        rows = self._archive.history.costs(list(totals)).rows(()) if ous else None
        by_value = {name: self._by_value.subtotals(name, described) for name in editions if name in self._by_value}
        return {"": totals} | {ou: subtotals(rows, ou, totals) for ou in ous} | by_value

    def figures(
        self, published: PublishedDay, now: datetime, *, covers: Sequence[date] = (), late: Late | None = None
    ) -> Callable[[str], DigestFigures]:
        """Gives the figures of a day: of the whole bill by an empty name, or of an edition."""
        day = published.day
        archived = [d for d in self._archive.days() if d <= day]
        shown = [d for d in archived if (day - d).days < digest.CHART_DAYS or d >= day.replace(day=1)]
        month_before = (day.replace(day=1) - timedelta(days=1)).replace(day=1)
        facts = self._archive.history.describe([d for d in archived if d >= min(month_before, shown[0])])
        published = in_unit_of_costs(published, facts.values())
        other = [d for d, f in facts.items() if not comparable(f, published)]
        notes = [f"{in_words(other)} archived in another currency or cost basis: not compared."] if other else []
        facts = {d: f for d, f in facts.items() if d not in other}
        if awaited := sorted(set(covers).difference(archived)):
            notes.append(f"Not archived yet: {in_words(awaited)}. This mail speaks for it; no other one is sent.")
        covered = self._covered(sorted(set(covers).intersection(archived)))
        shown = [d for d in shown if d not in other]
        compared = {day - timedelta(days=n) for n in digest.COMPARED}
        rows = self._archive.history.costs(shown).rows(in_full=compared)
        today, age = now.date(), self.age(now)
        settled = self._journal.settled()
        card = read_scorecard(self._archive, published)
        last = self._mailed(published.day)[1]
        before, known = self._known_to_readers(last)
        inputs = digest.DigestInputs(
            rows,
            day,
            days={d: day_facts(f, settled(d)) for d, f in facts.items()},
            names=account_names(self._archive),
            currency=published.currency,
            cost_basis=published.cost_basis,
            archive_path=published.path,
            links=self._links,
            data_through=age.through if age else archived[-1],
            covered=covered,
            notes=[*notes, *(card.notes if card else ())],
            late=late,
            age=age,
            this_year=today.year,
            card=card,
            news=_news(card, before, known),
            lights_before={score.ou: score.light for score in before.scores} if before else None,
            own_cost=own_cost(self._archive, today - timedelta(days=1)),
            dimensions=self._dimensions(published),
            rates=rates_words(facts.values()),
            commitments=self._commitments(facts, day, last),
            mailed_before=last,
            values=[each for each in value_scores.read(self._archive, published) if each.line.budget is not None],
        )

        def figures_of(ou: str) -> DigestFigures:
            described = {d: facts[d] for d in shown}
            part = None
            if ou in self._by_value:
                mailed = self.published(before.day) if before else None
                part = self._by_value.part(ou, day, described, inputs.names, mailed)
                sums = self._by_value.subtotals(ou, described)
                changed = self._changes.since_mailed_to(ou, sums, described, now)
            elif ou:
                changed = self._changes.since_mailed_to(ou, subtotals(rows, ou, described), described, now)
            else:
                changed = self._changes.since_mailed(now, archived=facts)
            to_tell = self._changes.to_tell(changed)
            return digest.digest_figures(inputs, ou="" if part else ou, part=part, restated=to_tell)

        return figures_of

    def _dimensions(self, published: PublishedDay) -> pa.Table | None:
        """The day's dimensions; None of a day without, or whose dimensions are damaged: the day's state says that."""
        named = published.metadata.get(DIMENSIONS)
        with suppress(DamagedError):
            return self._archive.dimensions(published.day, named) if named else None
        return None

    def _commitments(self, facts: Mapping[date, PublishedDay], day: date, last: date | None) -> pa.Table | None:
        """The commitments of the month to date, and of the weeks up to this day and to that of the last mail."""
        since = min(day.replace(day=1), (last or day) - timedelta(days=WEEK - 1), day - timedelta(days=WEEK - 1))
        rows = read_commitments(self._archive, {d: of for d, of in facts.items() if since <= d <= day})
        return rows if rows.num_rows else None

    def _known_to_readers(self, last: date | None) -> tuple[Scorecard | None, Mapping[str, str] | None]:
        """Of the last day before this one whose digest went out: its scorecard, and what its readers know of anomalies.

        The scorecard may have been made again since, with anomalies that were found late.
        """
        if last is None:
            return None, None
        stored = self._outbox.digests.latest(last)
        return read_scorecard(self._archive, self.published(last)), stored.anomalies if stored else None

    def _covered(self, days: Sequence[date]) -> Covered | None:
        if not days:
            return None
        total = sum((of.total for of in self._archive.history.describe(days).values()), Decimal())
        return Covered(days[0], days[-1], len(days), total)


def _news(card: Scorecard | None, before: Scorecard | None, known: Mapping[str, str] | None) -> list[Episode]:
    """The anomalies of a day that its readers do not know of as they stand: new ones, and changed ones.

    Args:
        card: of the day.
        before: of the day of the last mail, as it is now.
        known: what the last mail knew of; None where that was not kept, and `before` stands for it.
    """
    if card is None:
        return []
    if known is None:
        if before is None:
            return [episode for episode in card.episodes if episode.first <= card.day <= episode.last]
        known = {episode.id: standing(episode) for episode in before.episodes}
    return [episode for episode in card.episodes if known.get(episode.id) != standing(episode)]


def standing(episode: Episode) -> str:
    """How an anomaly stands: its state; of one that is over also when it ended, as late days may make it longer."""
    return f"{episode.state} {episode.last}" if episode.state == CLOSED else episode.state


def day_facts(day: PublishedDay, settled: str) -> DayFacts:
    """What the archive says of a day beside its rows; `settled` is how final it is."""
    metadata = day.metadata
    return DayFacts(
        total=day.total,
        scheduled=Decimal(metadata["scheduled"]),
        settlement=settled,
        empty=not day.rows,
        delivery=metadata.get(BILL_DELIVERY, ""),
        providers=archived_providers([metadata]),
        bills=bill_shares(metadata),
        by_category={name: Decimal(total) for name, total in json.loads(metadata["by_category"]).items()},
        left_out=tuple(
            f"{of.lines} line(s), {money(of.total, of.currency or day.currency)}: {of.reason}"
            for of in left_out_of(json.loads(metadata["left_out"]))
        ),
    )
