"""What `finops doctor --repair` would do: the work that makes each day whole, by its state.

Only planned here; the work is done by runs of the assets that each step names.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from finops_assets.core.archive import causes
from finops_assets.core.calendar import contiguous

if TYPE_CHECKING:
    from finops_assets.core.archive.states import DayState
    from finops_assets.core.operations.inspection import Inspection

ARCHIVE, REGISTER, SCORE, REFRESH, MAIL, NOTHING = (
    "archive again",
    "register",
    "score",
    "refresh the dashboard",
    "send the digest",
    "",
)

ASSETS = {
    ARCHIVE: ("account_ou_map", "finops_daily_summary", "ou_breakdown_parquet", "athena_partition", "ou_scorecard"),
    REGISTER: ("athena_partition",),
    SCORE: ("ou_scorecard",),
    REFRESH: ("quicksight_dataset",),
    MAIL: ("digest_email",),
}
"""What makes each step's work; a later step's is not part of an earlier one's."""

_WORK = {
    causes.ARCHIVE: ARCHIVE,
    causes.CATALOG: REGISTER,
    causes.READ_BACK: ARCHIVE,
    causes.SCORECARD: SCORE,
    causes.DASHBOARD: REFRESH,
    causes.MAIL: MAIL,
}
_OTHERWISE = {"doubled registration": REGISTER, "mail in doubt": NOTHING}


@dataclass(frozen=True)
class Step:
    """Work on a contiguous stretch of days, and why; `work` is empty where only people can mend it, as `why` says."""

    first: date
    last: date
    work: str
    why: str


def plan(inspection: Inspection) -> list[Step]:
    """The steps that make every day whole and as the bill has it now, in the order in which they are to be done.

    A day that was restored by hand stays as it is.
    """
    work = {day: (work_of(state.cause), _words(state)) for day, state in inspection.states.items() if not state.whole}
    steps = [step for kind in (ARCHIVE, REGISTER, SCORE) for step in _steps(kind, work)]
    newest = max([*inspection.archived, *(step.last for step in steps)], default=None)
    if newest and (steps or any(kind == REFRESH for kind, _ in work.values())):
        reason = "its days change above" if steps else next(why for kind, why in work.values() if kind == REFRESH)
        steps.append(Step(newest, newest, REFRESH, reason))
    return [*steps, *_steps(MAIL, work), *_steps(NOTHING, work)]


def work_of(cause: str) -> str:
    """The work that mends a cause; empty where only people can."""
    if cause in causes.CANNOT_RUN:
        return NOTHING
    return _OTHERWISE.get(cause, _WORK[causes.CAUSES[cause]])


def left_to_run(inspection: Inspection, days: Sequence[date], *, last_is_mailed: bool) -> list[date]:
    """The days of a backfill that is resumed: those that are not whole, as far as a run mends them.

    Args:
        inspection: of these days.
        days: which, ascending. Whether the last one's mail went out matters; of the others, it covers them.
        last_is_mailed: whether a run has nothing to mail of the last day.
    """
    left = {
        day
        for day, state in inspection.states.items()
        if not state.whole and state.cause not in causes.CANNOT_RUN and (state.link != causes.MAIL or day == days[-1])
    }
    return sorted(left if last_is_mailed else left | {days[-1]})


def other_days(inspection: Inspection, changed: Collection[date], day: date) -> list[date]:
    """Days beside one that is run which the bill has changed, or which are not whole and which a run mends.

    Args:
        inspection: of all days.
        changed: new and restated days.
        day: the one that is run by name.
    """
    left_alone = ("", *causes.CANNOT_RUN)
    broken = {
        other
        for other, state in inspection.states.items()
        if state.cause not in left_alone and state.link not in (causes.DASHBOARD, causes.MAIL)
    }
    return sorted({*changed, *broken} - {day})


def _steps(work: str, by_day: Mapping[date, tuple[str, str]]) -> list[Step]:
    """The days of one kind of work, a step for each contiguous stretch of one reason."""
    steps: list[Step] = []
    for stretch in contiguous(sorted(day for day, (wanted, _) in by_day.items() if wanted == work)):
        for day in stretch:
            why = by_day[day][1]
            if steps and steps[-1].why == why and (day - steps[-1].last).days == 1:
                steps[-1] = Step(steps[-1].first, day, work, why)
            else:
                steps.append(Step(day, day, work, why))
    return steps


def _words(state: DayState) -> str:
    return f"{state.cause}: {state.detail}" + (f"; {state.mend}" if state.cause in causes.CANNOT_RUN else "")
