"""Days that are not whole, as stretches of one cause, and in one line."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date

from finops_assets.core.archive.causes import MAIL, mend
from finops_assets.core.archive.states import DayState
from finops_assets.core.calendar import days_between, in_words


@dataclass(frozen=True)
class Gap:
    """A contiguous stretch of days that are not whole for the same cause; `mend` is a command, or what to wait for."""

    first: date
    last: date
    cause: str
    detail: str
    mend: str

    @property
    def days(self) -> list[date]:
        return days_between(self.first, self.last)


def find_gaps(states: Iterable[DayState]) -> list[Gap]:
    """The days (ascending) that are not whole, as stretches of one cause each; mail is settled day by day."""
    stretches: list[Gap] = []
    for state in states:
        if state.whole:
            continue
        day, first, detail = state.day, state.day, state.detail
        if stretches and state.link != MAIL and _continues(stretches[-1], state):
            before = stretches.pop()
            first, detail = before.first, before.detail
        stretches.append(Gap(first, day, state.cause, detail, mend(state.cause, first, day)))
    return stretches


def _continues(before: Gap, state: DayState) -> bool:
    """Whether a day follows a stretch, and is not whole for the same cause."""
    return before.cause == state.cause and (state.day - before.last).days == 1


def summary(states: Collection[DayState]) -> str:
    """`90 days from 2025-09-01 to 2025-11-29: all whole.`, or how many are not and why, in one line."""
    if not states:
        return "no day yet"
    days = sorted(state.day for state in states)
    of = f"{len(days)} day{'s' if len(days) > 1 else ''} from {days[0]} to {days[-1]}"
    broken: dict[str, list[date]] = {}
    for state in states:
        if not state.whole:
            broken.setdefault(state.cause, []).append(state.day)
    if not broken:
        return f"{of}: all whole."
    count = sum(map(len, broken.values()))
    return f"{of}: {count} not whole ({'; '.join(f'{cause}: {in_words(sorted(of))}' for cause, of in broken.items())})."
