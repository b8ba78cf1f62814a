"""What goes out each morning: the digest of the newest day, made once, delivered to whoever has not got it yet.

Days that were asked for together get one mail, that of the newest of them, which speaks for the others. A day that
another mail has spoken for gets one of its own only if somebody asks for it. A day that changes after it was mailed is
told in the next digest, or, if it moved far, in a revision of its own. A day without a bill at its deadline has its
digest too: it says so, and shows the newest day there is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.accounts.published_map import account_names
from finops_assets.core.analytics.anomalies import CLOSED
from finops_assets.core.analytics.scoring import read as read_scorecard
from finops_assets.core.archive import restatements
from finops_assets.core.archive.comparing import comparable, in_unit_of_costs
from finops_assets.core.archive.restatements import Restatement
from finops_assets.core.archive.settlement import Journal, first_open_day
from finops_assets.core.calendar import in_words
from finops_assets.core.delivery.outbox import UNMAILED
from finops_assets.core.delivery.own_cost import own_cost
from finops_assets.core.delivery.sent import Sent
from finops_assets.core.errors import ArchiveError, FinopsError
from finops_assets.core.money import money
from finops_assets.core.notes import put_if_other
from finops_assets.core.ports import Archive, Delivery, PublishedDay
from finops_assets.core.reports.digest.notes import StateNotes
from finops_assets.core.reports.digest.pictures import PICTURES
from finops_assets.core.reports.drawing import Drawing
from finops_assets.core.schemas import day_path

if TYPE_CHECKING:
    import pyarrow as pa

    from finops_assets.core.analytics.anomalies import Episode
    from finops_assets.core.analytics.scorecard import Scorecard
    from finops_assets.core.archive.age import Age
    from finops_assets.core.delivery.outbox import Outbox, Stored
    from finops_assets.core.reports.digest import Covered, DayFacts, Digest, DigestFigures, Late


LOOK_BACK = 31
"""Days before a digest's own among which it looks for ones that nobody has heard of."""


@dataclass(frozen=True)
class Snapshot:
    """The executives' PDF of a day, as it is kept in the archive."""

    day: date
    path: str
    size_bytes: int
    total: Decimal
    currency: str
    cost_basis: str
    sentence: str
    changed: bool


@dataclass(frozen=True)
class _Rendered:
    """A digest with its editions and the executives' PDF, and the earlier days that it speaks for.

    `says` is each day's total that the readers learn from it, by the OU of their edition; the whole's by an empty name.
    `totals` are those of the days that it covers, in the same way. `notes` is what it says of the platform's state.
    `anomalies` are the ids of those that it knows of, and how each stands.
    """

    digest: Digest
    editions: Mapping[str, Digest]
    pdf: bytes
    says: Mapping[str, Mapping[date, Decimal]]
    covers: Sequence[date]
    notes: StateNotes
    totals: Mapping[str, Mapping[date, Decimal]]
    anomalies: Mapping[str, str] | None


@dataclass(frozen=True)
class Thresholds:
    """From which moves on a mailed day's change is told in the next digest, and corrected by one of its own."""

    tell_percent: float = 0.5
    correct_percent: float = 5.0
    amount: float = 1.0


class DigestService:
    """Makes and sends the digest.

    Args:
        archive: where days are read from.
        outbox: where digests are kept and sent from.
        subject_prefix: mail.subject_prefix.
        links: label -> path or URL shown at the digest's end.
        drawing: draws charts and the executives' pages.
        thresholds: when a changed day is told.
        journal: tells how final days are.
        editions: OU paths that somebody gets an edition of.
        notes: what the digest says of the platform's state. It is asked when a digest is made, after the run has
            refreshed the dashboard or failed to.
        age: tells how old the archive's data are.
    """

    def __init__(
        self,
        archive: Archive,
        outbox: Outbox,
        subject_prefix: str,
        links: Mapping[str, str],
        drawing: Drawing | None = None,
        thresholds: Thresholds = Thresholds(),
        journal: Journal | None = None,
        editions: Collection[str] = (),
        notes: Callable[[datetime], StateNotes] = lambda _: StateNotes(),
        age: Callable[[datetime], Age | None] = lambda _: None,
    ) -> None:
        self._archive, self._outbox, self._prefix, self._links = archive, outbox, subject_prefix, links
        self._drawing, self._thresholds, self._journal = drawing or Drawing(), thresholds, journal
        self._editions, self._look, self.age = tuple(editions), notes, age
        self._noted: tuple[datetime, StateNotes] | None = None
        self._ahead: tuple[tuple, Future[_Rendered]] | None = None

    def prepare(
        self, days: Sequence[date], now: datetime, *, asked: Collection[date] = (), on_request: bool = False
    ) -> None:
        """Begin to render the digest that `send` with these arguments will ask for, while the dashboard is refreshed.

        Where it would say something else of dashboard and days afterwards, it is rendered again. Nothing is stored or
        sent; what goes wrong here is said by `send`.
        """
        day = days[-1]
        there, latest = self._archive.describe(day), self._outbox.latest(day)
        if there is None or (latest and not latest.late) or self._spoken_for_by(day, asked, on_request=on_request):
            return
        revision = self._outbox.newest_revision(day) + 1
        together = sorted({*days, *asked})
        beside = ThreadPoolExecutor(1)
        ahead = beside.submit(self._ahead_of_the_dashboard, together, there, revision, now)
        self._ahead = self._work(together, there, revision, now), ahead
        beside.shutdown(wait=False)

    def send(
        self, days: Sequence[date], now: datetime, *, asked: Collection[date] = (), on_request: bool = False
    ) -> Sent:
        """Send the digest of the last of these days, unless the mail of another day speaks for it.

        It speaks for the days of `asked` that have no mail, and for those of the weeks before. Where another mail
        speaks for the day, nothing is made or sent but the correction that the settings call for.

        A digest that somebody already has is sent again by itself only if one of the days has moved by more than
        `correct_percent` since its readers last heard of it: then as a new revision that says so. One that nobody has
        yet, or that only said that the bill was late, is made anew if its day has changed.

        Args:
            days: of this run, ascending.
            now: the time (aware, UTC).
            asked: the days that were asked for together, where other runs make some of them: all get one mail, that of
                the newest day.
            on_request: somebody asked for this day's own mail, although another one may speak for it.

        Raises:
            ArchiveError: the day is not archived.
            SettingsError: an address is malformed; nothing was sent.
        """
        day = days[-1]
        there = self._described(day)
        if speaker := self._spoken_for_by(day, asked, on_request=on_request):
            if corrected := self._corrected(days, now):
                return corrected
            covered = self._outbox.mailed(day).covered_by is not None
            out = not covered and self._outbox.mailed(speaker).state == "sent"
            return Sent(day, None, (), outdated=False, spoken_for_by=speaker, newer_is_mailed=out)
        stored, mailed = self._outbox.latest(day), self._outbox.mailed(day)
        outdated = stored is not None and stored.fingerprint != there.fingerprint
        # Its manifest was damaged: it cannot be sent again, and it is not made anew for somebody who may have it.
        if stored is None and self._outbox.newest_revision(day) and not mailed.covered_by:
            if mailed.state == "sent":
                return self._corrected(days, now) or Sent(day, None, (), outdated=False, mailed=mailed)
            if mailed.state in ("partial", "unknown"):
                self._outbox.deliver(day)  # says that it cannot, and what can be done
        if stored is None or (outdated and (stored.late or mailed.state == "none" or mailed.covered_by)):
            together = sorted({*days, *asked})
            stored = self._make(together, there, self._outbox.next_revision(day, there.fingerprint), now)
        elif corrected := self._corrected(days, now):
            return corrected
        return self._delivered(day, stored, outdated=stored.fingerprint != there.fingerprint)

    def _spoken_for_by(self, day: date, asked: Collection[date], *, on_request: bool) -> date | None:
        """The day whose mail speaks for this one; None where its own is to be sent."""
        newest = max((day, *asked))
        if newest > day:
            return newest
        return None if on_request else self._outbox.mailed(day).covered_by

    def _delivered(self, day: date, stored: Stored, *, outdated: bool = False) -> Sent:
        """Deliver a stored digest to whoever has not got it yet; `day` is what the run was about."""
        deliveries = tuple(self._outbox.deliver(stored.day))
        mailed = None if deliveries else self._outbox.mailed(stored.day)
        return Sent(day, stored, deliveries, outdated, _others(stored), mailed=mailed)

    def newest_day(self) -> date | None:
        """The newest archived day: the one whose digest people wait for."""
        return max(self._archive.days(), default=None)

    def _corrected(self, days: Sequence[date], now: datetime) -> Sent | None:
        """A revision for the newest of these days that has moved far since its readers heard of it, if one has."""
        moved = [move.day for move in self.moves(now, days) if self._calls_for_correction(move)]
        if not moved:
            return None
        day = moved[-1]
        there, revision = self._described(day), self._outbox.newest_revision(day)
        told = there.total
        if not revision:  # its readers know it from the mail that covers it
            covered_by = self._outbox.mailed(day).covered_by
            if covered_by is None or not (revision := self._outbox.newest_revision(covered_by)):
                return None
            there = self._described(covered_by)
        stored = self._outbox.latest(there.day)
        if stored is None or stored.fingerprint != there.fingerprint or _known_from(stored).get(day) != told:
            stored = self._make([there.day], there, revision + 1, now)
        return self._delivered(days[-1], stored)

    def refresh(self, day: date, now: datetime) -> Sent:
        """Render the day's digest anew as a revision of its own, on request, and send it to every recipient."""
        there = self._described(day)
        return self._delivered(day, self._make([day], there, self._outbox.newest_revision(day) + 1, now))

    def resend(self, day: date, now: datetime, *, to: Sequence[str] = (), refresh: bool = False) -> Sequence[Delivery]:
        """Send the day's digest again, on request: the stored bytes. One that was never made is made now.

        A day that another mail has covered gets a digest of its own this way. One that nobody has yet is delivered to
        all recipients as by a run, so that no run sends it again; made for `to` alone, it stays undelivered to others.

        Args:
            day: the digest's day.
            now: the time (aware, UTC).
            to: these recipients only.
            refresh: make it anew from what is archived now, and send that as a revision to all recipients.

        Raises:
            SettingsError: an address is malformed or not allowed; nothing was made or sent.
            ArchiveError: the day is not archived, or the stored digest is damaged; nothing was sent.
            FinopsError: a revision was asked for, but not for everybody.
        """
        if refresh and to:
            raise FinopsError("a revision goes to all recipients", fix="Leave out either the address or the refresh.")
        if refresh:
            return self.refresh(day, now).deliveries
        if to:
            self._outbox.check_allowed(to)
            if self._outbox.latest(day) is None and not self._outbox.newest_revision(day):
                self._make([day], self._described(day), 1, now, alone=True)
        elif self._outbox.is_undelivered(day):
            return self.send([day], now, on_request=True).deliveries
        return self._outbox.resend(day, to or None)

    def send_late(self, day: date, now: datetime, written: datetime | None) -> Sent | None:
        """Tell the recipients that the day's bill is late, with the newest day there is; None where there is none.

        A day that has a digest already is left as it is.

        Args:
            day: the day that is waited for.
            now: counts how late it is, from when the first day that is missing was due.
            written: when the newest export was written (UTC).
        """
        from finops_assets.core.reports.digest import Late

        through = max((d for d in self._archive.days() if d < day), default=None)
        stored = self._outbox.latest(day)
        if through is None or (stored and not stored.late) or (stored is None and self._outbox.newest_revision(day)):
            return None
        if stored is None:
            age = self.age(now)
            late = Late(day, age.late(now) if age else "", written)
            there = self._described(through)
            made = self._render([through], there, revision=1, now=now, late=late, notes=self.notes(now))
            says = {ou: {d: total for d, total in of.items() if d != through} for ou, of in made.says.items()}
            stored = self._stored(replace(made, says=says), f"late, {there.fingerprint}", now, late=True)
        return self._delivered(day, stored)

    def pictures(self, stored: Stored) -> dict[str, bytes]:
        """What a digest shows, by name, as PNG."""
        digest = self._outbox.load(stored)
        return {PICTURES[name].title: png for name, png in digest.pictures.items()}

    def moves(
        self, now: datetime, days: Iterable[date] | None = None, archived: Mapping[date, PublishedDay] | None = None
    ) -> list[Restatement]:
        """Days whose total is another than their readers last heard, ascending: of open months, or in the ledger.

        Args:
            now: the time (aware, UTC).
            days: of which days; of all by default.
            archived: what the archive says of open days; one in another currency or cost basis is none of them.
        """
        in_unit = next((there for there in (archived or {}).values() if there.rows), None)
        told, oldest, changed = self._outbox.told(), first_open_day(now.date()), restatements.days(self._archive)
        found = []
        for day in sorted(told.keys() if days is None else told.keys() & set(days)):
            there = None
            if day >= oldest and archived is not None:
                there = archived.get(day)
            elif day >= oldest or day in changed:
                there = self._archive.describe(day)
            if there and in_unit and not comparable(there, in_unit):
                there = None
            if there and there.total != told[day]:
                found.append(Restatement(day, told[day], there.total))
        return found

    def calling_for_correction(self, now: datetime) -> list[Restatement]:
        """Those that moved by more than `correct_percent`."""
        return [move for move in self.moves(now) if self._calls_for_correction(move)]

    def _calls_for_correction(self, move: Restatement) -> bool:
        return move.exceeds(self._thresholds.correct_percent, self._thresholds.amount)

    def _make(
        self, days: Sequence[date], there: PublishedDay, revision: int, now: datetime, *, alone: bool = False
    ) -> Stored:
        """Render and store the digest of the last of these days; `alone`, it speaks for no other day."""
        ahead, self._ahead = self._ahead, None
        notes = self._look(now)
        self._noted = now, notes
        made = None
        if ahead and not alone and ahead[0] == self._work(days, there, revision, now):
            made = ahead[1].result()
        if made is None or made.notes != notes:
            made = self._render(days, there, revision=revision, now=now, notes=notes, alone=alone)
        # Before the digest is stored: a crash between the two would lose the note, as the retry finds the digest.
        self._outbox.cover(made.covers, by=there.day, revision=made.digest.revision)
        return self._stored(made, there.fingerprint, now)

    def _work(self, days: Sequence[date], there: PublishedDay, revision: int, now: datetime) -> tuple:
        """What a digest is made of: of the time, only the day counts, and how old the data are by then."""
        return tuple(days), there.fingerprint, revision, now.date(), self.age(now)

    def notes(self, now: datetime) -> StateNotes:
        """What the digest says of the platform's state; of one that was made at this time, what it says."""
        if self._noted is None or self._noted[0] != now:
            self._noted = now, self._look(now)
        return self._noted[1]

    def _ahead_of_the_dashboard(
        self, days: Sequence[date], there: PublishedDay, revision: int, now: datetime
    ) -> _Rendered:
        """The digest as it will be if the refresh that is under way succeeds."""
        notes = replace(self._look(now), dashboard="")
        return self._render(days, there, revision=revision, now=now, notes=notes)

    def _stored(self, made: _Rendered, fingerprint: str, now: datetime, *, late: bool = False) -> Stored:
        return self._outbox.store(
            made.digest,
            fingerprint,
            now,
            says=made.says[""],
            late=late,
            editions=made.editions,
            editions_say={ou: says for ou, says in made.says.items() if ou},
            pdf=made.pdf,
            covers=made.totals,
            anomalies=made.anomalies,
        )

    def snapshot(self, day: date, now: datetime) -> Snapshot:
        """Make the executives' PDF of a day and keep it in the archive; what the day's digest attaches is the same.

        Raises:
            ArchiveError: the day is not archived.
        """
        from finops_assets.core.reports.digest.matters import matters
        from finops_assets.core.reports.snapshot import snapshot_path

        there = self._described(day)
        figures = self._figures(there, now)("")
        pdf = self._pdf(figures, self._outbox.next_revision(day, there.fingerprint))
        path = snapshot_path(day)
        changed = put_if_other(self._archive, path, pdf)
        return Snapshot(day, path, len(pdf), there.total, there.currency, there.cost_basis, matters(figures), changed)

    def _pdf(self, figures: DigestFigures, revision: int) -> bytes:
        from finops_assets.core.reports.digest.matters import matters
        from finops_assets.core.reports.snapshot import snapshot_data, snapshot_specs

        card = figures.card
        data = snapshot_data(figures, card, names=figures.names, sentence=matters(figures), revision=revision)
        return self._drawing.pages(data, snapshot_specs(figures, card))

    def _unmailed(self, days: Sequence[date]) -> list[date]:
        """The other days that the last one's mail speaks for: of these, and of the weeks before, those without a mail.

        The readers of the others are told of a change by `restated`.
        """
        states, _ = self._heard(days[-1], days)
        return [day for day in sorted(states) if day != days[-1] and states[day] in UNMAILED]

    def _heard(self, day: date, among: Sequence[date] = ()) -> tuple[dict[date, str], date | None]:
        """Whether the days before one, and these, were mailed; and the last before it that somebody heard of."""
        before = [d for d in self._archive.days() if d < day and (day - d).days <= LOOK_BACK]
        states = self._outbox.mailed_days({*before, *among})
        return states, max((d for d in before if states[d] not in UNMAILED), default=None)

    def _render(
        self,
        days: Sequence[date],
        there: PublishedDay,
        *,
        revision: int,
        now: datetime,
        notes: StateNotes,
        late: Late | None = None,
        alone: bool = False,
    ) -> _Rendered:
        from finops_assets.core.reports import digest

        # One that says that a bill is late speaks for no other day: its own digest, which follows, does.
        covers = [] if late or alone else self._unmailed(days)
        figures_of = self._figures(there, now, covers=covers, late=late)

        def rendered(figures: DigestFigures) -> Digest:
            specs = {name: picture.spec(figures) for name, picture in digest.PICTURES.items()}
            return digest.render(
                figures,
                {name: self._drawing.chart(spec) for name, spec in specs.items() if spec},
                revision=revision,
                prefix=self._prefix,
                dashboard=notes.dashboard,
                state=notes.days,
                coverage="" if figures.ou else notes.coverage,
            )

        figures = {ou: figures_of(ou) for ou in ("", *self._editions)}
        made = {ou: rendered(of) for ou, of in figures.items()}
        says = {ou: {move.day: move.new for move in of.restated} | {of.day: of.total} for ou, of in figures.items()}
        pdf = b"" if late else self._pdf(figures[""], revision)
        card = figures[""].card
        return _Rendered(
            digest=made.pop(""),
            editions=made,
            pdf=pdf,
            says=says,
            covers=covers,
            notes=notes,
            totals=self._totals(covers),
            anomalies={episode.id: _standing(episode) for episode in card.episodes} if card else None,
        )

    def _totals(self, days: Sequence[date]) -> dict[str, dict[date, Decimal]]:
        """What these days cost now, those that are archived: the whole by an empty name, and the OU of each edition."""
        from finops_assets.core.reports.digest.edition import subtotals

        there = {day: found.total for day in days if (found := self._archive.describe(day))}
        if not there:
            return {}
        rows = self._archive.read(list(there)) if self._editions else None
        return {"": there} | {ou: subtotals(rows, ou, there) for ou in self._editions}

    def _figures(
        self, there: PublishedDay, now: datetime, *, covers: Sequence[date] = (), late: Late | None = None
    ) -> Callable[[str], DigestFigures]:
        """Gives the figures of a day: of the whole bill by an empty name, or an OU's."""
        from finops_assets.core.reports import digest

        day = there.day
        archived = [d for d in self._archive.days() if d <= day]
        shown = [d for d in archived if (day - d).days < digest.CHART_DAYS or d >= day.replace(day=1)]
        month_before = (day.replace(day=1) - timedelta(days=1)).replace(day=1)
        facts = {d: self._described(d) for d in archived if d >= min(month_before, shown[0])}
        there = in_unit_of_costs(there, facts.values())
        other = [d for d, f in facts.items() if not comparable(f, there)]
        notes = [f"{in_words(other)} archived in another currency or cost basis: not compared."] if other else []
        facts = {d: f for d, f in facts.items() if d not in other}
        if awaited := sorted(set(covers).difference(archived)):
            notes.append(f"Not archived yet: {in_words(awaited)}. This mail speaks for it; no other one is sent.")
        covered = self._covered(sorted(set(covers).intersection(archived)))
        shown = [d for d in shown if d not in other]
        rows = self._archive.read(shown)
        today, age = now.date(), self.age(now)
        settled = (self._journal or Journal(self._archive)).settled()
        card = read_scorecard(self._archive, there)
        before, known = self._mailed_before(there)
        inputs = digest.DigestInputs(
            rows,
            day,
            days={d: _facts(f, settled(d)) for d, f in facts.items()},
            names=account_names(self._archive),
            currency=there.currency,
            cost_basis=there.cost_basis,
            archive_path=there.path,
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
        )

        def of(ou: str) -> DigestFigures:
            moves = self._edition_moves(ou, rows, shown, now) if ou else self.moves(now, archived=facts)
            told = [m for m in moves if m.exceeds(self._thresholds.tell_percent, self._thresholds.amount)]
            return digest.digest_figures(inputs, ou=ou, restated=told)

        return of

    def _edition_moves(self, ou: str, rows: pa.Table, shown: Sequence[date], now: datetime) -> list[Restatement]:
        """Days whose subtotal is another than the readers of an OU's edition last heard, of those that are shown."""
        from finops_assets.core.reports.digest.edition import subtotals

        told, oldest = self._outbox.told(ou), first_open_day(now.date())
        sums = subtotals(rows, ou, shown)
        return [
            Restatement(day, told[day], sums[day])
            for day in sorted(told.keys() & sums.keys())
            if day >= oldest and told[day] != sums[day]
        ]

    def _mailed_before(self, there: PublishedDay) -> tuple[Scorecard | None, Mapping[str, str] | None]:
        """Of the last day before this one whose digest went out: its scorecard, and what its readers know of anomalies.

        The scorecard may have been made again since, with anomalies that were found late.
        """
        _, heard = self._heard(there.day)
        if heard is None:
            return None, None
        stored = self._outbox.latest(heard)
        return read_scorecard(self._archive, self._described(heard)), stored.anomalies if stored else None

    def _described(self, day: date) -> PublishedDay:
        there = self._archive.describe(day)
        if there is None:
            raise ArchiveError("is not archived", where=day_path(day), fix=f"`finops run --date {day}` archives it.")
        return there

    def _covered(self, days: Sequence[date]) -> Covered | None:
        from finops_assets.core.reports.digest import Covered

        if not days:
            return None
        total = sum((self._described(d).total for d in days), Decimal())
        return Covered(days[0], days[-1], len(days), total)


def _news(card: Scorecard | None, before: Scorecard | None, known: Mapping[str, str] | None) -> list[Episode]:
    """The anomalies of a day that its readers have not heard of yet, as they stand: new ones, and changed ones.

    Args:
        card: of the day.
        before: of the day of the last mail, as it is now.
        known: what the last mail knew of; None where that was not kept, and `before` stands for it.
    """
    if card is None:
        return []
    if before is None and known is None:
        return [episode for episode in card.episodes if episode.first <= card.day <= episode.last]
    if known is None:
        known = {episode.id: _standing(episode) for episode in before.episodes}
    return [episode for episode in card.episodes if known.get(episode.id) != _standing(episode)]


def _standing(episode: Episode) -> str:
    """How an anomaly stands: its state; of one that is over also when it ended, as late days may make it longer."""
    return f"{episode.state} {episode.last}" if episode.state == CLOSED else episode.state


def _known_from(stored: Stored) -> Mapping[date, Decimal]:
    """Each day's total that the readers know from a digest."""
    return {**stored.covers, **stored.says}


def _others(stored: Stored) -> tuple[date, ...]:
    """The days beside its own that a digest tells the totals of."""
    return tuple(day for day in stored.says if day != stored.day)


def _facts(day: PublishedDay, settled: str) -> DayFacts:
    from finops_assets.core.reports.digest import DayFacts

    said = day.metadata
    return DayFacts(
        total=day.total,
        scheduled=Decimal(said["scheduled"]),
        settlement=settled,
        empty=not day.rows,
        by_category={name: Decimal(total) for name, total in json.loads(said["by_category"]).items()},
        left_out=tuple(
            f"{lines} line(s), {money(Decimal(total), day.currency)}: {reason}"
            for reason, lines, total in json.loads(said["left_out"])
        ),
    )
