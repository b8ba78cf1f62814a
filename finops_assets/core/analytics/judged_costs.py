"""What days are judged and forecast by: their usage, where the bill tells it on the whole of their history, else costs.

Costs hold fees and tax. Where these cannot be told, what comes on the first of a month beyond the usual is taken for
them (`deviations`, `forecast`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.accounts.ous import ALL
from finops_assets.core.analytics.budgets import rolled_up
from finops_assets.core.analytics.coherence import coherent_forecasts
from finops_assets.core.analytics.forecast import HISTORY, Forecast
from finops_assets.core.analytics.scheduled import ScheduledCharges
from finops_assets.core.archive.scheduled_costs import tells_kinds
from finops_assets.core.calendar import contiguous

if TYPE_CHECKING:
    from finops_assets.core.analytics.anomalies import Key
    from finops_assets.core.archive.cost_history import CostHistory, OuHistory, ScheduledByDay
    from finops_assets.core.archive.kept_history import DaysOfCosts
    from finops_assets.core.values import PublishedDay

FIRSTS = "what is booked on the first of a month beyond the usual is taken for fees and tax"


@dataclass(frozen=True)
class JudgedCosts:
    """The costs of comparable days, and what they are judged by.

    Attributes:
        whole: what OUs cost.
        costs: of every service of every account: usage, or all of the cost.
        scheduled: what of each day is no usage; None where that is not known, and `costs` are all of it.
        days: those that are judged so; others have another history.
        why_whole: why usage is not known, in words; empty where it is.
    """

    whole: OuHistory
    costs: CostHistory
    scheduled: ScheduledByDay | None
    days: frozenset[date]
    why_whole: str = ""

    def rolled(self) -> dict[str, dict[date, Decimal]]:
        """What each OU costs with what lies below it on each of the days; the whole exists on every day."""
        return {ALL: dict.fromkeys(self.whole.days, Decimal()), **rolled_up(self.whole.ou_costs(self.whole.days))}

    def months(self, days: Sequence[date], unsettled: Collection[date] = ()) -> dict[date, dict[str, Forecast]]:
        """The month of each of these days, for each OU with what lies below it.

        Args:
            days: as of which is forecast.
            unsettled: days that may be incomplete.
        """
        if self.scheduled is None:
            direct = self.whole.ou_costs(self.whole.days)
            return coherent_forecasts(direct, self.rolled(), days, unsettled)
        direct = self.costs.ou_costs(self.costs.days)
        rolled = {ALL: dict.fromkeys(self.costs.days, Decimal()), **rolled_up(direct)}
        usage = coherent_forecasts(direct, rolled, days, unsettled, usage=True)
        charges = ScheduledCharges(self.scheduled, unsettled)
        return {day: charges.months(of_day, day) for day, of_day in usage.items()}


def judged_costs(span: DaysOfCosts, comparable: Mapping[date, PublishedDay], days: Sequence[date]) -> JudgedCosts:
    """What days are judged by.

    Args:
        span: the costs of days.
        comparable: those of them that can be compared, ascending.
        days: those to judge, ascending; the last of them is always judged so.
    """
    untold = [day for day in comparable if span.days[day].scheduled is None]

    def of_window(day: date) -> list[date]:
        return [other for other in untold if day - timedelta(days=HISTORY) < other <= day]

    if untold_then := of_window(days[-1]):
        history = span.history(comparable)
        judged = frozenset(day for day in days if day in comparable and of_window(day))
        return JudgedCosts(history, history, None, judged, _why_whole(comparable, untold_then))
    since = max(untold, default=date.min)
    known = [day for day in comparable if day > since]
    costs, scheduled = span.usage(known)
    judged = frozenset(day for day in days if day in comparable and day > since and not of_window(day))
    return JudgedCosts(span.by_ou(known), costs, scheduled, judged)


def usage_of(
    restated: Mapping[date, Mapping[Key, Decimal]], span: DaysOfCosts, usage: CostHistory
) -> dict[date, dict[Key, Decimal]]:
    """By how much each usage was changed, of changes of costs: in proportion, as the ledger knows no categories."""
    if not restated:
        return {}
    costs = span.history(restated)
    rows, rows_of_usage = ({key: row for row, key in enumerate(of.keys)} for of in (costs, usage))
    changed: dict[date, dict[Key, Decimal]] = {}
    for day, deltas in restated.items():
        keys = [key for key in deltas if key in rows]
        known = [key for key in keys if key in rows_of_usage]
        of_day = costs.exact_each([rows[key] for key in keys], day)
        used = dict(zip(known, usage.exact_each([rows_of_usage[key] for key in known], day), strict=True))
        for key, cost in zip(keys, of_day, strict=True):
            delta = deltas[key] * used[key] / cost if cost else deltas[key]
            changed.setdefault(day, {})[key] = delta
    return changed


def _why_whole(comparable: Mapping[date, PublishedDay], untold: Sequence[date]) -> str:
    """Why usage is not known of a history with these days."""
    without = [
        day for day in untold if not tells_kinds(comparable[day]) and not comparable[day].metadata.get("charges")
    ]
    if len(without) < len(untold):
        return f"the bill does not tell usage from fees and tax: {FIRSTS}"
    stretch = contiguous(without)[0]
    return (
        f"{len(without)} archived days were made before fees and tax were told apart (run them again, such as with "
        f"finops backfill {stretch[0]} {stretch[-1]}): until then, {FIRSTS}"
    )
