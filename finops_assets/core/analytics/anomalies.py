"""Anomalies: days that cost what nobody expected, drawn together into episodes that each have one id and one alert.

Here is what an episode is; `detection` finds them, `episodes` keeps which ones were notified.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from finops_assets.core.accounts.ous import ALL, within
from finops_assets.core.money import CENT

RISE, DROP, DRIFT, NEW, VANISHED = KINDS = ("rise", "drop", "drift", "new", "vanished")
OPEN, GROWING, CLOSED, WITHDRAWN, PLANNED = STATES = ("open", "growing", "closed", "withdrawn", "planned")

NEARLY_ALL = 0.8
"""Of the expected cost, that must be doubled, or odd for a day to be so as a whole."""

Key = tuple[str, str, str]
"""OU path, service and account; service and account are empty where it is about all of them."""

WHOLE: Key = (ALL, "", "")
"""The whole organization."""


@dataclass(frozen=True)
class Episode:
    """Consecutive days on which one thing costs more or less than expected, with one cause and one id.

    Attributes:
        id: short, stable from day to day while the episode lasts, e.g. `A-3f9c21`.
        ou: the OU's path; `service` and `account` narrow it down, and are empty where it is about all of them.
        kind: one of KINDS.
        state: one of STATES.
        first, last: its days.
        expected, actual: the cost of its days together, as it was expected and as it was.
        score: of its worst day, in usual deviations.
        reason: one sentence, with expected, actual and what it can be compared with; plain text.
        planned: the event of the calendar that explains it; empty where none does.
        peak: actual less expected of its worst day; negative for a drop.
        worst: the largest share of what was expected that one of its days was off; 0 where nothing was expected.
    """

    id: str
    ou: str
    service: str
    account: str
    kind: str
    state: str
    first: date
    last: date
    expected: Decimal
    actual: Decimal
    score: float
    reason: str
    planned: str = ""
    peak: Decimal = Decimal()
    worst: float = 0.0

    @property
    def impact(self) -> Decimal:
        return self.actual - self.expected

    @property
    def key(self) -> Key:
        return self.ou, self.service, self.account

    @property
    def rises(self) -> bool:
        return self.kind not in (DROP, VANISHED)


@dataclass(frozen=True)
class Band:
    """What an OU was expected to cost on a day, and how far off it was, in usual deviations (negative: below)."""

    low: Decimal
    high: Decimal
    score: float


@dataclass(frozen=True)
class Doubled:
    """A day on which nearly everything costs twice what was expected: something to check, no anomaly."""

    day: date
    expected: Decimal
    actual: Decimal


def contains(whole: Key, part: Key) -> bool:
    """Whether one thing is the other or a part of it; an OU contains what lies below it, its services do not."""
    if whole[1] or whole[2]:
        return whole[0] == part[0] and whole[1] in ("", part[1]) and whole[2] in ("", part[2])
    return whole[0] == ALL or within(part[0], whole[0])


def shared(one: Key, other: Key) -> Key | None:
    """What two things have in common; None where that is nothing."""
    if contains(one, other):
        return other
    if contains(other, one):
        return one
    common = one[0], one[1] or other[1], one[2] or other[2]
    return common if contains(one, common) and contains(other, common) else None


def largest(episodes: Iterable[Episode], ou: str, day: date) -> Episode | None:
    """The episode of an OU, or of something in it, that moved most money and has the day in it; None without one."""
    of_ou = [
        episode
        for episode in episodes
        if episode.state != WITHDRAWN and episode.first <= day <= episode.last and contains((ou, "", ""), episode.key)
    ]
    return max(of_ou, key=lambda episode: (abs(episode.impact), episode.id), default=None)


def newest_first(episode: Episode) -> tuple[int, Decimal, str]:
    """Sorts episodes as they are shown: the newest and largest first."""
    return -episode.last.toordinal(), -abs(episode.impact), episode.id


def to_estimate(amount: float) -> Decimal:
    """An estimate as money, in cents."""
    return Decimal(repr(float(amount))).quantize(CENT) + 0
