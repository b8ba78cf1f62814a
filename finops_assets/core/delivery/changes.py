"""Days that have changed since they were mailed: which the next digest tells, and which are corrected at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from finops_assets.core.archive import restatements
from finops_assets.core.archive.comparable_days import comparable
from finops_assets.core.archive.display import BILLED_IN
from finops_assets.core.archive.restatements import Restatement
from finops_assets.core.archive.settlement import first_open_day
from finops_assets.core.delivery.outbox import Outbox
from finops_assets.core.ports import Archive
from finops_assets.core.values import PublishedDay


@dataclass(frozen=True)
class Thresholds:
    """From which moves on a mailed day's change is told in the next digest, and corrected by one of its own."""

    tell_percent: float = 0.5
    correct_percent: float = 5.0
    amount: float = 1.0


class Changes:
    """Compares what is archived with what was mailed.

    Args:
        archive: has the days.
        outbox: has the totals that were mailed.
        thresholds: which changes count.
    """

    def __init__(self, archive: Archive, outbox: Outbox, thresholds: Thresholds = Thresholds()) -> None:
        self._archive, self._outbox, self._thresholds = archive, outbox, thresholds

    def since_mailed(
        self, now: datetime, days: Iterable[date] | None = None, archived: Mapping[date, PublishedDay] | None = None
    ) -> list[Restatement]:
        """Days whose total is another than their readers last got, ascending: of open months, or in the ledger.

        Args:
            now: the time (aware, UTC).
            days: of which days; of all by default.
            archived: what the archive says of open days; one in another currency or cost basis is none of them.
        """
        in_unit = next((published for published in (archived or {}).values() if published.rows), None)
        mailed, oldest = self._outbox.mailed_totals(), first_open_day(now.date())
        restated, currencies = restatements.days(self._archive), self._outbox.mailed_currencies()
        changes = []
        wanted = sorted(mailed.keys() if days is None else mailed.keys() & set(days))
        to_describe = [
            day for day in wanted if (archived is None and day >= oldest) or (day < oldest and day in restated)
        ]
        known = self._archive.history.describe(to_describe) if to_describe else {}
        for day in wanted:
            published = archived.get(day) if archived is not None and day >= oldest else known.get(day)
            if published and in_unit and not comparable(published, in_unit):
                published = None
            if published and not mailed_alike(published, currencies):
                published = None
            if published and published.total != mailed[day]:
                changes.append(Restatement(day, mailed[day], published.total))
        return changes

    def since_mailed_to(
        self, edition: str, sums: Mapping[date, Decimal], shown: Mapping[date, PublishedDay], now: datetime
    ) -> list[Restatement]:
        """Days whose subtotal is another than the readers of an edition last got, of those that are shown.

        Args:
            edition: what it is of.
            sums: its exact subtotals.
            shown: the days as they are shown.
            now: the time (aware, UTC).
        """
        currencies = self._outbox.mailed_currencies()
        alike = [day for day, published in shown.items() if mailed_alike(published, currencies)]
        mailed, oldest = self._outbox.mailed_totals(edition), first_open_day(now.date())
        return [
            Restatement(day, mailed[day], sums[day])
            for day in sorted(mailed.keys() & sums.keys() & set(alike))
            if day >= oldest and mailed[day] != sums[day]
        ]

    def to_tell(self, changes: Iterable[Restatement]) -> list[Restatement]:
        """Those of the changes that the next digest tells."""
        return [each for each in changes if each.exceeds(self._thresholds.tell_percent, self._thresholds.amount)]

    def to_correct(self, now: datetime, days: Iterable[date] | None = None) -> list[Restatement]:
        """The days, of all by default, that call for a digest of their own: a revision that corrects the last one."""
        limits = self._thresholds.correct_percent, self._thresholds.amount
        return [each for each in self.since_mailed(now, days) if each.exceeds(*limits)]


def mailed_alike(published: PublishedDay, currencies: Mapping[date, str]) -> bool:
    """Whether a day was mailed in the currency that it is shown in; else no change can be told by amounts.

    Args:
        published: the day as it is shown.
        currencies: those that days were mailed in; one of an earlier release was mailed in the billing currency.
    """
    billed_in = published.metadata.get(BILLED_IN, published.currency)
    return currencies.get(published.day, billed_in) == published.currency
