"""Makes digests: the whole, its editions and the executives' PDF, drawn once, and stored."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

from finops_assets.core.delivery.digest_collector import DigestCollector, standing
from finops_assets.core.delivery.outbox import Outbox
from finops_assets.core.delivery.stored_digests import Statements, Stored
from finops_assets.core.notes import put_if_other
from finops_assets.core.ports import Archive
from finops_assets.core.reports import digest
from finops_assets.core.reports.digest import Digest, DigestFigures, Late
from finops_assets.core.reports.digest.matters import matters
from finops_assets.core.reports.digest.notes import StateNotes
from finops_assets.core.reports.drawing import Drawing
from finops_assets.core.reports.snapshot import snapshot_data, snapshot_path, snapshot_specs
from finops_assets.core.values import PublishedDay


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
    """A digest with its editions and the executives' PDF, and the earlier days that it covers.

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


class DigestMaker:
    """Makes digests and stores them.

    Args:
        archive: keeps the executives' PDF.
        outbox: keeps the digests.
        inputs: what they are made of.
        subject_prefix: mail.subject_prefix.
        drawing: draws charts and the executives' pages.
        editions: what somebody gets an edition of: OU paths, and values of dimensions.
        notes: what the digest says of the platform's state. It is asked when a digest is made, after the run has
            refreshed the dashboard or failed to.
    """

    def __init__(
        self,
        archive: Archive,
        outbox: Outbox,
        inputs: DigestCollector,
        *,
        subject_prefix: str,
        drawing: Drawing,
        editions: Collection[str],
        notes: Callable[[datetime], StateNotes],
    ) -> None:
        self._archive, self._outbox, self._inputs, self._prefix = archive, outbox, inputs, subject_prefix
        self._drawing, self._editions, self._notes_now = drawing, tuple(editions), notes
        self._last_notes: tuple[datetime, StateNotes] | None = None
        self._prepared: tuple[tuple[object, ...], Future[_Rendered]] | None = None

    def prepare(self, days: Sequence[date], published: PublishedDay, now: datetime) -> None:
        """Begin to render the digest that `make` will need with these arguments, while the dashboard is refreshed.

        `make` renders it again where dashboard or days have another state by then. Nothing is stored.
        """
        revision = self._outbox.digests.newest_revision(published.day) + 1
        executor = ThreadPoolExecutor(1)
        rendering = executor.submit(self._render_ahead, days, published, revision, now)
        self._prepared = self._key(days, published, revision, now), rendering
        executor.shutdown(wait=False)

    def make(
        self, days: Sequence[date], published: PublishedDay, revision: int, now: datetime, *, alone: bool = False
    ) -> Stored:
        """Render and store the digest of the last of these days; `alone`, it covers no other day."""
        prepared, self._prepared = self._prepared, None
        notes = self._notes_now(now)
        self._last_notes = now, notes
        rendered = None
        if prepared and not alone and prepared[0] == self._key(days, published, revision, now):
            rendered = prepared[1].result()
        if rendered is None or rendered.notes != notes:
            rendered = self._render(days, published, revision=revision, now=now, notes=notes, alone=alone)
        # Before the digest is stored: a crash between the two would lose the note, as the retry finds the digest.
        self._outbox.cover(rendered.covers, by=published.day, revision=rendered.digest.revision)
        return self._stored(rendered, published.fingerprint, now)

    def _key(self, days: Sequence[date], published: PublishedDay, revision: int, now: datetime) -> tuple[object, ...]:
        """What a digest depends on: of the time, only the day counts, and how old the data are by then."""
        return tuple(days), published.fingerprint, revision, now.date(), self._inputs.age(now)

    def notes(self, now: datetime) -> StateNotes:
        """What the digest says of the platform's state; of one that was made at this time, what it says."""
        if self._last_notes is None or self._last_notes[0] != now:
            self._last_notes = now, self._notes_now(now)
        return self._last_notes[1]

    def _render_ahead(self, days: Sequence[date], published: PublishedDay, revision: int, now: datetime) -> _Rendered:
        """The digest as it will be if the refresh that is under way succeeds."""
        notes = replace(self._notes_now(now), dashboard="")
        return self._render(days, published, revision=revision, now=now, notes=notes)

    def make_late(self, published: PublishedDay, late: Late, now: datetime) -> Stored:
        """Render and store the digest that says that a day's bill is late, with the newest day that is archived.

        Its readers learn no total of that day from it: they know it from its own mail.
        """
        rendered = self._render([published.day], published, revision=1, now=now, late=late, notes=self.notes(now))
        through = published.day
        says = {
            ou: {day: total for day, total in totals.items() if day != through} for ou, totals in rendered.says.items()
        }
        return self._stored(replace(rendered, says=says), f"late, {published.fingerprint}", now, late=True)

    def _stored(self, rendered: _Rendered, fingerprint: str, now: datetime, *, late: bool = False) -> Stored:
        return self._outbox.digests.store(
            rendered.digest,
            fingerprint,
            now,
            editions=rendered.editions,
            pdf=rendered.pdf,
            statements=Statements(
                totals=rendered.says[""],
                of_editions={ou: says for ou, says in rendered.says.items() if ou},
                covers=rendered.totals,
                anomalies=rendered.anomalies,
                late=late,
            ),
        )

    def snapshot(self, day: date, now: datetime) -> Snapshot:
        """Make the executives' PDF of a day and keep it in the archive; what the day's digest attaches is the same.

        Raises:
            ArchiveError: the day is not archived.
        """
        published = self._inputs.published(day)
        figures = self._inputs.figures(published, now)("")
        pdf = self._pdf(figures, self._outbox.digests.next_revision(day, published.fingerprint))
        path = snapshot_path(day)
        changed = put_if_other(self._archive, path, pdf)
        return Snapshot(
            day, path, len(pdf), published.total, published.currency, published.cost_basis, matters(figures), changed
        )

    def _pdf(self, figures: DigestFigures, revision: int) -> bytes:
        card = figures.card
        data = snapshot_data(figures, card, names=figures.names, revision=revision)
        return self._drawing.pages(data, snapshot_specs(figures, card))

    def _render(
        self,
        days: Sequence[date],
        published: PublishedDay,
        *,
        revision: int,
        now: datetime,
        notes: StateNotes,
        late: Late | None = None,
        alone: bool = False,
    ) -> _Rendered:
        # One that says that a bill is late covers no other day: its own digest, which follows, does.
        covers = [] if late or alone else self._inputs.never_mailed(days)
        figures_of = self._inputs.figures(published, now, covers=covers, late=late)

        def render(figures: DigestFigures) -> Digest:
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

        known = self._inputs.known_editions(published, self._editions)
        figures_by_ou = {ou: figures_of(ou) for ou in ("", *known)}
        digests = {ou: render(figures) for ou, figures in figures_by_ou.items()}
        says = {
            ou: {change.day: change.new for change in figures.restated} | {figures.day: figures.total}
            for ou, figures in figures_by_ou.items()
        }
        pdf = b"" if late else self._pdf(figures_by_ou[""], revision)
        card = figures_by_ou[""].card
        return _Rendered(
            digest=digests.pop(""),
            editions=digests,
            pdf=pdf,
            says=says,
            covers=covers,
            notes=notes,
            totals=self._inputs.totals(covers, known),
            anomalies={episode.id: standing(episode) for episode in card.episodes} if card else None,
        )
