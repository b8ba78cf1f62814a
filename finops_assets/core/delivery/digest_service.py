"""The digest of the newest day: made once, delivered once to each recipient.

Days that were asked for together get one mail, that of the newest of them, which covers the others. A day that
another mail covers gets one of its own only on request. The next digest says which mailed days have changed; one that
changed far gets a revision of its own at once. A day without a bill at its deadline has a digest, too, which says so
and shows the newest archived day.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.archive.age import Age
from finops_assets.core.archive.journal import Journal
from finops_assets.core.bill.dimension_keys import DimensionValue
from finops_assets.core.delivery.changes import Changes, Thresholds
from finops_assets.core.delivery.digest_collector import DigestCollector
from finops_assets.core.delivery.digest_maker import DigestMaker
from finops_assets.core.delivery.outbox import Outbox
from finops_assets.core.delivery.sent import Sent
from finops_assets.core.errors import FinopsError
from finops_assets.core.ports import Archive
from finops_assets.core.reports.digest import Late
from finops_assets.core.reports.digest.notes import StateNotes
from finops_assets.core.reports.digest.pictures import PICTURES
from finops_assets.core.reports.drawing import Drawing
from finops_assets.core.values import Delivery

if TYPE_CHECKING:
    from finops_assets.core.delivery.stored_digests import Stored


@dataclass(frozen=True)
class DigestForm:
    """What the settings give to all digests.

    Attributes:
        subject_prefix: mail.subject_prefix.
        links: label -> path or URL shown at the digest's end.
        editions: OU paths that somebody gets an edition of.
        thresholds: which changes of mailed days are mailed.
        values: values of dimensions that somebody gets an edition of.
    """

    subject_prefix: str = "[FinOps]"
    links: Mapping[str, str] = field(default_factory=dict)
    editions: Collection[str] = ()
    thresholds: Thresholds = field(default_factory=Thresholds)
    values: Collection[DimensionValue] = ()


class DigestService:
    """Makes and sends the digest.

    Args:
        archive: where days are read from.
        outbox: where digests are kept and sent from.
        form: what all digests are given by the settings.
        drawing: draws charts and the executives' pages.
        journal: tells how final days are.
        notes: what the digest says of the platform's state. It is asked when a digest is made, after the run has
            refreshed the dashboard or failed to.
        age: tells how old the archive's data are.

    Attributes:
        changes: days that have changed since they were mailed.
        maker: makes and stores digests.
    """

    def __init__(
        self,
        archive: Archive,
        outbox: Outbox,
        form: DigestForm = DigestForm(),
        *,
        drawing: Drawing | None = None,
        journal: Journal | None = None,
        notes: Callable[[datetime], StateNotes] = lambda _: StateNotes(),
        age: Callable[[datetime], Age | None] = lambda _: None,
    ) -> None:
        self._archive, self._outbox, self.age = archive, outbox, age
        self.changes = Changes(archive, outbox, form.thresholds)
        self._inputs = DigestCollector(
            archive,
            outbox,
            self.changes,
            journal=journal or Journal(archive),
            links=form.links,
            age=age,
            values=form.values,
        )
        self.maker = DigestMaker(
            archive,
            outbox,
            self._inputs,
            subject_prefix=form.subject_prefix,
            drawing=drawing or Drawing(),
            editions=[*form.editions, *map(str, form.values)],
            notes=notes,
        )

    def prepare(
        self, days: Sequence[date], now: datetime, *, asked: Collection[date] = (), on_request: bool = False
    ) -> None:
        """Begin to render the digest that `send` will need with these arguments, while the dashboard is refreshed.

        `send` renders it again where dashboard or days have another state by then. Nothing is stored or sent; `send`
        raises the errors.
        """
        day = days[-1]
        published = self._archive.history.describe([day]).get(day)
        latest = self._outbox.digests.latest(day)
        if published is None or (latest and not latest.late) or self._covering_day(day, asked, on_request=on_request):
            return
        self.maker.prepare(sorted({*days, *asked}), published, now)

    def send(
        self, days: Sequence[date], now: datetime, *, asked: Collection[date] = (), on_request: bool = False
    ) -> Sent:
        """Send the digest of the last of these days, unless the mail of another day covers it.

        It covers the days of `asked` that have no mail, and for those of the weeks before. Where another mail
        covers the day, nothing is made or sent but the correction that the settings call for.

        A digest that somebody already has is sent again by itself only if one of the days has moved by more than
        `correct_percent` since it was last mailed: then as a new revision that says so. One that nobody has yet, or
        that only said that the bill was late, is made anew if its day has changed.

        Args:
            days: of this run, ascending.
            now: the time (aware, UTC).
            asked: the days that were asked for together, where other runs make some of them: all get one mail, that of
                the newest day.
            on_request: somebody asked for this day's own mail, although another one may cover it.

        Raises:
            ArchiveError: the day is not archived.
            SettingsError: an address is malformed; nothing was sent.
        """
        day = days[-1]
        published = self._inputs.published(day)
        if covering := self._covering_day(day, asked, on_request=on_request):
            if corrected := self._corrected(days, now):
                return corrected
            covered = self._outbox.records.mailed(day).covered_by is not None
            out = not covered and self._outbox.records.mailed(covering).state == "sent"
            return Sent(day, None, (), outdated=False, covered_by=covering, newer_is_mailed=out)
        (revision, stored), mailed = self._outbox.digests.newest(day), self._outbox.records.mailed(day)
        outdated = stored is not None and stored.fingerprint != published.fingerprint
        # Its manifest was damaged: it cannot be sent again, and it is not made anew for somebody who may have it.
        if stored is None and revision and not mailed.covered_by:
            if mailed.state == "sent":
                return self._corrected(days, now) or Sent(day, None, (), outdated=False, mailed=mailed)
            if mailed.state in ("partial", "unknown"):
                self._outbox.deliver(day)  # says that it cannot, and what can be done
        if stored is None or (outdated and (stored.late or mailed.state == "none" or mailed.covered_by)):
            together = sorted({*days, *asked})
            stored = self.maker.make(
                together, published, self._outbox.digests.next_revision(day, published.fingerprint), now
            )
        elif corrected := self._corrected(days, now):
            return corrected
        return self._delivered(day, stored, outdated=stored.fingerprint != published.fingerprint)

    def _covering_day(self, day: date, asked: Collection[date], *, on_request: bool) -> date | None:
        """The day whose mail covers this one; None where its own is to be sent."""
        newest = max((day, *asked))
        if newest > day:
            return newest
        return None if on_request else self._outbox.records.mailed(day).covered_by

    def _delivered(self, day: date, stored: Stored, *, outdated: bool = False) -> Sent:
        """Deliver a stored digest to each recipient without a receipt; `day` is the last day of the run."""
        deliveries = tuple(self._outbox.deliver(stored.day))
        mailed = None if deliveries else self._outbox.records.mailed(stored.day)
        return Sent(day, stored, deliveries, outdated, _other_days(stored), mailed=mailed)

    def newest_day(self) -> date | None:
        """The newest archived day: the one whose digest people wait for."""
        return max(self._archive.days(), default=None)

    def _corrected(self, days: Sequence[date], now: datetime) -> Sent | None:
        """Send a revision for the newest of these days that has changed far since it was mailed, if one has."""
        changed = [change.day for change in self.changes.to_correct(now, days)]
        if not changed:
            return None
        day = changed[-1]
        published, revision = self._inputs.published(day), self._outbox.digests.newest_revision(day)
        total = published.total
        if not revision:  # its readers know it from the mail that covers it
            covered_by = self._outbox.records.mailed(day).covered_by
            if covered_by is None or not (revision := self._outbox.digests.newest_revision(covered_by)):
                return None
            published = self._inputs.published(covered_by)
        stored = self._outbox.digests.latest(published.day)
        if stored is None or stored.fingerprint != published.fingerprint or _known_from(stored).get(day) != total:
            stored = self.maker.make([published.day], published, revision + 1, now)
        return self._delivered(days[-1], stored)

    def refresh(self, day: date, now: datetime) -> Sent:
        """Render the day's digest anew as a revision of its own, on request, and send it to every recipient."""
        published = self._inputs.published(day)
        return self._delivered(
            day, self.maker.make([day], published, self._outbox.digests.newest_revision(day) + 1, now)
        )

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
            self._outbox.recipients.check_allowed(to)
            if not self._outbox.digests.newest_revision(day):
                self.maker.make([day], self._inputs.published(day), 1, now, alone=True)
        elif self._outbox.records.is_undelivered(day):
            return self.send([day], now, on_request=True).deliveries
        return self._outbox.resend(day, to or None)

    def send_late(self, day: date, now: datetime, written: datetime | None, bill: str = "") -> Sent | None:
        """Mail that the day's bill is late, with the newest archived day; None without one.

        A day that has a digest already is left as it is.

        Args:
            day: the day that is waited for.
            now: counts how late it is, from when the first day that is missing was due.
            written: when the newest export was written (UTC).
            bill: of several bills, the one that `written` is of.
        """
        through = max((d for d in self._archive.days() if d < day), default=None)
        revision, stored = self._outbox.digests.newest(day)
        if through is None or (stored and not stored.late) or (stored is None and revision):
            return None
        if stored is None:
            age = self.age(now)
            late = Late(day, age.late(now) if age else "", written, bill)
            published = self._inputs.published(through)
            stored = self.maker.make_late(published, late, now)
        return self._delivered(day, stored)

    def pictures(self, stored: Stored) -> dict[str, bytes]:
        """What a digest shows, by name, as PNG."""
        digest = self._outbox.digests.load(stored)
        return {PICTURES[name].title: png for name, png in digest.pictures.items()}


def _known_from(stored: Stored) -> Mapping[date, Decimal]:
    """Each day's total that readers know from a digest."""
    return {**stored.covers, **stored.says}


def _other_days(stored: Stored) -> tuple[date, ...]:
    """The days beside its own whose totals a digest has."""
    return tuple(day for day in stored.says if day != stored.day)
