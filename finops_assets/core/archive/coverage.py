"""Coverage: every line of the bill is in an archived day, or is listed with the reason why it is in none.

The bill's control totals are compared with what the archive says of its days. Both are exact, and neither is made from
the other. Every output has the same sentences.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from finops_assets.core.archive.available_days import waits_for_words
from finops_assets.core.bill.layout import OLDER
from finops_assets.core.bill.totals import Amount, BillTotals
from finops_assets.core.calendar import in_words
from finops_assets.core.money import money

if TYPE_CHECKING:
    from finops_assets.core.archive.bill_difference import PublishedAs
    from finops_assets.core.values import PassedOver


@dataclass(frozen=True)
class Part:
    """Money of the bill that is in no archived day, or not as it is there.

    Attributes:
        reason: why, in words.
        days: on which days, ascending; none of lines without a date.
        amount: lines and total; of days that differ, what the bill has more than the archive.
        fault: whether it should be in a day.
    """

    reason: str
    days: tuple[date, ...]
    amount: Amount
    fault: bool


@dataclass(frozen=True)
class BillPart:
    """What one of several bills has, and what the archive has of it."""

    name: str
    bill: Amount
    archived: Amount


@dataclass(frozen=True)
class Coverage:
    """Where the bill's lines are.

    Attributes:
        bill: all lines that count.
        archived: what the archive has of the bill's days.
        days: how many these are.
        parts: the rest, so that `bill` is `archived` and the sum of these.
        left_out: what settings leave out of the bill: (reason, currency, lines and total).
        without_cost: lines among those of `bill` that have no cost, and their days from bill.first_day on.
        only_archived: days that the bill does not have any more, and what the archive has of them.
        passed_over: files beside the bill that are not read.
        currency, cost_basis: of all amounts but those that are left out.
        bills: of several bills, each by itself.
    """

    bill: Amount
    archived: Amount
    days: int
    parts: tuple[Part, ...]
    left_out: tuple[tuple[str, str, Amount], ...]
    only_archived: tuple[tuple[date, ...], Amount]
    passed_over: tuple[PassedOver, ...]
    without_cost: tuple[tuple[date, ...], int]
    currency: str
    cost_basis: str
    bills: tuple[BillPart, ...] = ()

    @property
    def faults(self) -> tuple[Part, ...]:
        """Money that should be in a day as it is in the bill, and is not."""
        return tuple(part for part in self.parts if part.fault)

    @property
    def words(self) -> str:
        """Where every line is, in a few sentences."""
        sentences = [
            f"The bill has {_lines(self.bill.lines)}, {self._money(self.bill)} ({self.cost_basis}): "
            f"{self._money(self.archived)} in {_days(self.days)} of the archive"
            + ("." if self.parts else ", and nothing else.")
        ]
        if self.bills:
            sentences.append("By bill: " + "; ".join(map(self._of_bill, self.bills)) + ".")
        if self.parts:
            sentences.append("Not in a day: " + "; ".join(map(self._part, self.parts)) + ".")
        if self._without_cost:
            sentences.append(f"Without a cost: {self._without_cost}.")
        if self.left_out:
            sentences.append(
                "Left out by settings: "
                + "; ".join(f"{_lines(of.lines)}, {money(of.total, unit)} ({why})" for why, unit, of in self.left_out)
                + "."
            )
        gone, amount = self.only_archived
        if gone:
            sentences.append(
                f"In the archive alone, as the bill does not have their months any more: {_days(len(gone))}, "
                f"{self._money(amount)}."
            )
        unread = [of for of in self.passed_over if of.reason != OLDER]  # exports keep those beside the newest
        if unread:
            files = "; ".join(f"{of.files} ({of.reason}), such as {of.example}" for of in unread)
            sentences.append(f"Files beside the bill that are not read: {files}.")
        return " ".join(sentences)

    @property
    def fault(self) -> str:
        """What should be in a day and is not, or has no cost, in words; empty where there is nothing."""
        sentences = [*map(self._part, self.faults), *([self._without_cost] if self._without_cost else [])]
        return "; ".join(sentences)

    @property
    def _without_cost(self) -> str:
        days, lines = self.without_cost
        if not days:
            return ""
        return f"{_lines(lines)} on {in_words(days)}: no {self.cost_basis} cost is named, which is not zero"

    def _of_bill(self, of: BillPart) -> str:
        archived = "all archived" if of.bill == of.archived else f"{self._money(of.archived)} of it archived"
        return f"{of.name} {_lines(of.bill.lines)}, {self._money(of.bill)}, {archived}"

    def _part(self, part: Part) -> str:
        on = f" on {in_words(part.days)}" if part.days else ""
        return f"{_lines(part.amount.lines)}, {self._money(part.amount)}{on}: {part.reason}"

    def _money(self, amount: Amount) -> str:
        return money(amount.money, self.currency)


@dataclass(frozen=True)
class _Periods:
    """The days that bound the archive: those before, between and after them are not archived for other reasons.

    Attributes:
        first_day: bill.first_day.
        oldest: the oldest archived day; None where nothing is archived.
        last_whole: the newest day that was over when the bill was written.
        yesterday: the newest day that is over (UTC).
    """

    first_day: date
    oldest: date | None
    last_whole: date
    yesterday: date

    def reason(self, day: date) -> str:
        """Why a day of the bill is rightly not archived; empty where it should be."""
        if day < self.first_day:
            return f"before bill.first_day ({self.first_day})"
        if day > self.yesterday:
            return "dated in days to come: archived when they are over"
        if day > self.last_whole:
            return "the day was not over when the export was written"
        if self.oldest is None or day < self.oldest:
            since = f" ({self.oldest})" if self.oldest else ""
            return f"before the archive begins{since}: `finops backfill` archives it"
        return ""


def coverage(
    totals: BillTotals,
    archived: Mapping[date, PublishedAs],
    *,
    first_day: date,
    yesterday: date,
    until: date | None,
    cost_basis: str,
    kept: Collection[date] = (),
    passed_over: tuple[PassedOver, ...] = (),
) -> Coverage:
    """Compare the bill's control totals with the archive.

    Args:
        totals: of the whole bill.
        archived: what the archive says of each of its days.
        first_day: bill.first_day.
        yesterday: the newest day that is over (UTC).
        until: the newest day that was over when the bill was written; None where that is not known.
        cost_basis: bill.cost_basis.
        kept: archived days that stay as they are although the bill has them otherwise, by a setting or by hand.
        passed_over: files beside the bill that are not read.
    """
    reasons: dict[tuple[str, bool], dict[date, Amount]] = {}
    inside = Amount()

    def put(reason: str, day: date, amount: Amount, *, fault: bool = False) -> None:
        reasons.setdefault((reason, fault), {})[day] = amount

    periods = _Periods(first_day, min(archived, default=None), min(until or yesterday, yesterday), yesterday)
    for day, amount in totals.days.items():
        if day not in archived:
            late = totals.waits_for(day, yesterday)
            reason = periods.reason(day) or (waits_for_words(late) if late else "")
            put(reason or "not archived yet", day, amount, fault=not reason)
            continue
        stored = _amount(archived[day])
        inside += stored
        rest = amount - stored
        if rest.lines or rest.total:
            which = _changed(totals, day, archived[day])
            why = f"kept as archived, {which} has changed" if day in kept else f"{which} has changed since"
            put(f"{why} (the difference)", day, rest, fault=day not in kept)
    only_archived: dict[date, Amount] = {}
    for day, published in archived.items():
        stored = _amount(published)
        if day in totals.days or not (stored.lines or stored.total):
            continue
        if not totals.has_month(day):
            only_archived[day] = stored
            continue
        inside += stored
        reason = "the bill has no line of the day any more (the difference)"
        put(reason, day, Amount() - stored, fault=day not in kept)
    without_cost = {day: lines for day, lines in totals.without_cost.items() if day >= first_day}
    parts = [
        Part(reason, tuple(sorted(of)), sum(of.values(), Amount()), fault) for (reason, fault), of in reasons.items()
    ]
    if totals.undated.lines:
        parts.append(Part("they have no date", (), totals.undated, fault=True))
    return Coverage(
        bill=totals.whole,
        archived=inside,
        days=sum(day in archived for day in totals.days),
        parts=tuple(sorted(parts, key=lambda part: (not part.fault, part.days))),
        left_out=tuple((why, unit, of) for why, by_unit in totals.left_out.items() for unit, of in by_unit.items()),
        only_archived=(tuple(sorted(only_archived)), sum(only_archived.values(), Amount())),
        passed_over=passed_over,
        without_cost=(tuple(without_cost), sum(without_cost.values())),
        currency=totals.unit,
        cost_basis=cost_basis,
        bills=tuple(_by_bill(totals, archived)),
    )


def _by_bill(totals: BillTotals, archived: Mapping[date, PublishedAs]) -> Iterator[BillPart]:
    """Each of several bills against what the archive says of its part of the days that the bill has."""
    for name, days in totals.bills.items():
        stored = (archived[day].bills.get(name, Amount()) for day in days if day in archived)
        yield BillPart(name, sum(days.values(), Amount()), sum(stored, Amount()))


def _changed(totals: BillTotals, day: date, published: PublishedAs) -> str:
    """The bill, or those of several, that a day is not archived as."""
    names = {*published.bills, *(name for name, days in totals.bills.items() if day in days)}
    other = sorted(
        name for name in names if published.bills.get(name, Amount()) != totals.bills.get(name, {}).get(day, Amount())
    )
    return f"the bill {' and '.join(other)}" if other and totals.bills else "the bill"


def _amount(published: PublishedAs) -> Amount:
    return Amount(published.lines or 0, published.total, published.shown)


def _lines(count: int) -> str:
    return f"{count:,} line" + ("" if abs(count) == 1 else "s")


def _days(count: int) -> str:
    return f"{count:,} day" + ("" if count == 1 else "s")
