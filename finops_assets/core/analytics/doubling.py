"""A bill that has doubled everywhere: a file of it twice, or real? It is a question to people, asked once a stretch.

`detection` finds the days; here they become questions, with what a person can answer. A question ends when the bill is
mended and the days are run again, or when `events.csv` says that the cost is real.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.accounts.ous import ALL
from finops_assets.core.analytics.deviations import LEVEL
from finops_assets.core.money import money

if TYPE_CHECKING:
    from finops_assets.core.analytics.anomalies import Doubled

GAP = 3
"""Days between two doubled ones that still belong to one stretch: a hole, a first of the month, a day in between."""

ASKED = 28
"""Days after its last for which a stretch is still asked about: as long as an episode is reported."""


@dataclass(frozen=True)
class Question:
    """A stretch of days on which nearly everything cost about twice what was expected; amounts are exact decimals.

    Attributes:
        first, last: its days.
        days: how many of them were doubled.
        expected, actual: their cost together, as it was expected and as it is.
        newest: the newest day when it was asked; a stretch that ends with it may go on.
    """

    first: date
    last: date
    days: int
    expected: Decimal
    actual: Decimal
    newest: date

    @property
    def is_asked(self) -> bool:
        """Whether it is recent enough to be asked."""
        return self.last >= self.newest - timedelta(days=ASKED)

    @property
    def times(self) -> Decimal:
        return self.actual / self.expected

    @property
    def answer(self) -> str:
        """The line of events.csv that says that it is real.

        Where it may go on, the line reaches over the days after which the new cost is what is expected.
        """
        until = self.newest + timedelta(days=LEVEL) if self.last == self.newest else self.last
        return f"{self.first},{until},{ALL},,the cost is real"

    def is_near(self, day: date) -> bool:
        """Whether the day is one of the stretch, or so near that it would be."""
        return self.first - timedelta(days=GAP + 1) <= day <= self.last + timedelta(days=GAP + 1)


def questions(doubled: Iterable[Doubled], newest: date) -> tuple[Question, ...]:
    """The stretches of these days as of the newest one, ascending; later days do not count."""
    stretches: list[list[Doubled]] = []
    for each in sorted((each for each in doubled if each.day <= newest), key=lambda each: each.day):
        if stretches and (each.day - stretches[-1][-1].day).days <= GAP + 1:
            stretches[-1].append(each)
        else:
            stretches.append([each])
    return tuple(
        Question(
            first=days[0].day,
            last=days[-1].day,
            days=len(days),
            expected=sum((each.expected for each in days), Decimal()),
            actual=sum((each.actual for each in days), Decimal()),
            newest=newest,
        )
        for days in stretches
    )


def question_words(question: Question, currency: str, *, amounts: bool = True) -> str:
    """The question in one sentence; without amounts for those who see a part of the bill only."""
    days = f"on {question.first}"
    if question.days > 1:
        days = f"on {question.days} days from {question.first} to {question.last}"
    cost = ""
    if amounts:
        cost = f" ({money(question.actual, currency)}, {money(question.expected, currency)} expected)"
    return (
        f"Nearly every account costs about {question.times:.1f} times what it did, {days}{cost}: is a file of the bill "
        "there twice, or is it real?"
    )


ANSWER_WORDS = (
    "If a file is there twice, remove it: the days are run again. If it is real, write this line into events.csv "
    "(setting anomalies.events):"
)
"""What a person does about it; `Question.answer`, the exact line, follows."""


def mend_words(question: Question) -> str:
    """The same for whoever mends it, with the command."""
    days = f"run --date {question.first}"
    if question.first < question.last:
        days = f"backfill {question.first} {question.last}"
    return (
        f"if a file of the bill is there twice, remove it, and the days are run again (by hand: finops {days}); if it "
        f"is real, write this line into events.csv (anomalies.events): {question.answer}"
    )
