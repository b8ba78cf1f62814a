"""What goes out each morning: the digest of the newest day, made once, delivered to whoever has not got it yet."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_assets.core import charts
from finops_assets.core.errors import ArchiveError
from finops_assets.core.money import money
from finops_assets.core.pipeline import in_words, read_account_map
from finops_assets.core.ports import Archive, Delivery, PublishedDay
from finops_assets.core.schemas import day_path
from finops_assets.core.settlement import settlement

if TYPE_CHECKING:
    from finops_assets.core.digest import Covered, DayFacts, Digest
    from finops_assets.core.outbox import Outbox, Stored


@dataclass(frozen=True)
class Sent:
    """The digest of a day after this run: what is stored, and the messages that this run sent."""

    stored: Stored
    deliveries: tuple[Delivery, ...]
    outdated: bool


class Morning:
    """Makes and sends the digest.

    Args:
        archive: where days are read from.
        outbox: where digests are kept and sent from.
        subject_prefix: mail.subject_prefix.
        links: label -> path or URL shown at the digest's end.
        draw: turns a chart's spec into a PNG.
    """

    def __init__(
        self,
        archive: Archive,
        outbox: Outbox,
        subject_prefix: str,
        links: Mapping[str, str],
        draw: Callable[[Mapping[str, Any]], bytes] = charts.to_png,
    ) -> None:
        self._archive, self._outbox, self._prefix, self._links = archive, outbox, subject_prefix, links
        self._draw = draw
        self._ahead: tuple[tuple, Future[Digest]] | None = None

    def prepare(self, days: Sequence[date], now: datetime) -> None:
        """Begin to render the digest that `send` of these days will ask for, while something else is waited for.

        Nothing is stored or sent; what goes wrong here is said by `send`.
        """
        there = self._archive.describe(days[-1])
        if there is None or self._outbox.latest(days[-1]) is not None:
            return
        beside = ThreadPoolExecutor(1)
        self._ahead = _work(days, there, 1, now), beside.submit(self._render, days, there, revision=1, now=now)
        beside.shutdown(wait=False)

    def send(self, days: Sequence[date], now: datetime) -> Sent:
        """Send the digest of the last of these days, which speaks for the others too.

        A digest that somebody already has is never sent again by itself, not even when its day has changed since;
        one that nobody has yet is made anew if its day has changed.

        Raises:
            ArchiveError: the day is not archived.
            SettingsError: an address is malformed; nothing was sent.
        """
        day = days[-1]
        there = self._archive.describe(day)
        if there is None:
            raise ArchiveError("is not archived", where=day_path(day), fix="Materialize ou_breakdown_parquet first.")
        stored = self._outbox.latest(day)
        outdated = stored is not None and stored.fingerprint != there.fingerprint
        mailed = self._outbox.mailed(day)
        if stored is None or (outdated and (mailed.state == "none" or mailed.covered_by)):
            revision = self._outbox.next_revision(day, there.fingerprint)
            ahead, self._ahead = self._ahead, None
            if ahead and ahead[0] == _work(days, there, revision, now):
                digest = ahead[1].result()
            else:
                digest = self._render(days, there, revision=revision, now=now)
            # Before the digest is stored: a crash between the two would lose the note, as the retry finds the digest.
            self._outbox.cover(days[:-1], by=day, revision=digest.revision)
            stored, outdated = self._outbox.store(digest, there.fingerprint, now), False
        return Sent(stored, tuple(self._outbox.deliver(day)), outdated)

    def _render(self, days: Sequence[date], there: PublishedDay, *, revision: int, now: datetime) -> Digest:
        from finops_assets.core import digest

        day = there.day
        archived = [d for d in self._archive.days() if d <= day]
        shown = [d for d in archived if (day - d).days < digest.CHART_DAYS or d >= day.replace(day=1)]
        month_before = (day.replace(day=1) - timedelta(days=1)).replace(day=1)
        facts = {d: self._archive.describe(d) for d in archived if d >= min(month_before, shown[0])}
        other = [d for d, f in facts.items() if (f.currency, f.cost_basis) != (there.currency, there.cost_basis)]
        notes = [f"{in_words(other)} archived in another currency or cost basis: not compared."] if other else []
        facts = {d: f for d, f in facts.items() if d not in other}
        shown = [d for d in shown if d not in other]
        names = {r["account_id"]: r["account_name"] for r in read_account_map(self._archive).to_pylist()}
        figures = digest.digest_figures(
            self._archive.read(shown),
            day,
            days={d: _facts(f, now.date()) for d, f in facts.items()},
            names=names,
            currency=there.currency,
            cost_basis=there.cost_basis,
            archive_path=there.path,
            links=self._links,
            data_through=archived[-1],
            covered=self._covered(days[:-1]),
            notes=notes,
        )
        return digest.render(figures, self._draw(digest.chart_spec(figures)), revision=revision, prefix=self._prefix)

    def _covered(self, days: Sequence[date]) -> Covered | None:
        from finops_assets.core.digest import Covered

        if not days:
            return None
        total = sum((self._archive.describe(d).total for d in days), Decimal())
        return Covered(days[0], days[-1], len(days), total)


def _work(days: Sequence[date], there: PublishedDay, revision: int, now: datetime) -> tuple:
    """What a digest is made of: of the time, only the day counts."""
    return tuple(days), there.fingerprint, revision, now.date()


def _facts(day: PublishedDay, today: date) -> DayFacts:
    from finops_assets.core.digest import DayFacts

    said = day.metadata
    return DayFacts(
        total=day.total,
        scheduled=Decimal(said["scheduled"]),
        settlement=settlement(day.day, today),
        by_category={name: Decimal(total) for name, total in json.loads(said["by_category"]).items()},
        left_out=tuple(
            f"{lines} line(s), {money(Decimal(total), day.currency)}: {reason}"
            for reason, lines, total in json.loads(said["left_out"])
        ),
    )
