"""What `finops doctor --repair` would do: bill, archive, catalog, dashboard and outbox compared, and the work it takes.

Only compared here; the work is done by runs of the assets that each step names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from finops_assets.core.gaps import CANNOT_RUN, Chain, Gap, find_gaps
from finops_assets.core.money import change
from finops_assets.core.pipeline import contiguous, published_map
from finops_assets.core.schemas import ACCOUNT_OU_MAP, RESTORED_FROM

if TYPE_CHECKING:
    from finops_assets.core.ports import Archive, DayPrint, Warehouse

ARCHIVE, REGISTER, REFRESH, MAIL, NOTHING = "archive again", "register", "refresh the dashboard", "send the digest", ""

ASSETS = {
    ARCHIVE: ("account_ou_map", "finops_daily_summary", "ou_breakdown_parquet", "athena_partition", "ou_scorecard"),
    REGISTER: ("athena_partition",),
    REFRESH: ("quicksight_dataset",),
    MAIL: ("digest_email",),
}
"""What makes each step's work; a later step's is not part of an earlier one's."""

_MENDS = {
    "no object": ARCHIVE,
    "damaged object": ARCHIVE,
    "zero rows": ARCHIVE,
    "partition without rows": ARCHIVE,
    "not read back as archived": ARCHIVE,
    "no partition": REGISTER,
    "wrong location": REGISTER,
    "doubled registration": REGISTER,
    "dashboard outdated": REFRESH,
    "mail unsent": MAIL,
}


@dataclass(frozen=True)
class Step:
    """Work on a contiguous stretch of days, and why; `work` is empty where only people can mend it, as `why` says."""

    first: date
    last: date
    work: str
    why: str


def plan(days: Sequence[date], chain: Chain, warehouse: Warehouse, archive: Archive) -> list[Step]:
    """The steps that make every day whole and as the bill has it now, in the order in which they are to be done.

    Costs one query over all days that the bill has. A day that was restored by hand stays as it is.
    """
    gaps = find_gaps(days, chain)
    why = {day: gap for gap in gaps for day in gap.days}
    found = {day: (_MENDS.get(gap.cause, NOTHING), _words(gap)) for day, gap in why.items()}
    found |= {
        day: (ARCHIVE, reason)
        for day, reason in _differing(chain, warehouse, archive).items()
        if day not in why or why[day].cause not in CANNOT_RUN
    }
    steps = [step for work in (ARCHIVE, REGISTER) for step in _steps(work, found)]
    newest = max([*chain.archived, *(step.last for step in steps)], default=None)
    if newest and (steps or any(work == REFRESH for work, _ in found.values())):
        reason = "its days change above" if steps else next(why for work, why in found.values() if work == REFRESH)
        steps.append(Step(newest, newest, REFRESH, reason))
    return [*steps, *_steps(MAIL, found), *_steps(NOTHING, found)]


def _differing(chain: Chain, warehouse: Warehouse, archive: Archive) -> dict[date, str]:
    """Archived days that the bill has otherwise now."""
    both = sorted(set(chain.covered) & chain.archived.keys())
    if not both:
        return {}
    accounts = published_map(archive)
    accounts = ACCOUNT_OU_MAP.empty_table() if accounts is None else accounts
    prints: Mapping[date, DayPrint] = warehouse.fingerprints(both[0], both[-1], accounts)
    differing = {}
    for day in both:
        there, bill = chain.archived[day], prints.get(day)
        if there and bill and there.fingerprint != bill.fingerprint and RESTORED_FROM not in there.metadata:
            moved = bill.total - there.total
            differing[day] = f"the bill has {change(moved)} {there.currency}" if moved else "the bill has other rows"
    return differing


def _steps(work: str, found: Mapping[date, tuple[str, str]]) -> list[Step]:
    """The days of one kind of work, a step for each contiguous stretch of one reason."""
    steps = []
    for stretch in contiguous(sorted(day for day, (wanted, _) in found.items() if wanted == work)):
        for day in stretch:
            why = found[day][1]
            if steps and steps[-1].why == why and (day - steps[-1].last).days == 1:
                steps[-1] = Step(steps[-1].first, day, work, why)
            else:
                steps.append(Step(day, day, work, why))
    return steps


def _words(gap: Gap) -> str:
    return f"{gap.cause}: {gap.detail}" + (f"; {gap.mend}" if gap.cause in CANNOT_RUN else "")
