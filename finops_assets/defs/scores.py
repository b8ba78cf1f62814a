"""The asset of the scores: each OU's month against budget and forecast, and what is unusual in it."""

# Without `from __future__ import annotations`: Dagster reads the assets' annotations as they are.

from collections.abc import Sequence
from datetime import date
from typing import Any

import dagster as dg

from finops_assets.core.analytics.scoring import Scored, Scoring
from finops_assets.core.operations.watch import Watch
from finops_assets.core.reports.digest.pictures import month_picture
from finops_assets.core.reports.drawing import Drawing
from finops_assets.core.schemas import OU_SCORECARD
from finops_assets.defs import keys, metadata, score_metadata
from finops_assets.defs.forms import AssetForms
from finops_assets.defs.steps import Clock, Receipts, add_metadata, alerts_may_fail, days_of_run, explained


def build_score_assets(forms: AssetForms) -> list[Any]:
    """The scorecard."""

    @dg.asset(
        **forms.daily(
            keys.SCORED,
            keys.SCORE_GROUP,
            "Each OU's day, budget, forecast and light.",
            {
                keys.PLAN_IS_USED: "budgets.csv and events.csv can be used, and the bill says why the day moved.",
                keys.NOT_DOUBLED: "No day costs about twice what was expected, all over: a file delivered twice, "
                "or real?",
            },
        ),
        deps=[keys.REGISTERED],
        metadata={"dagster/column_schema": metadata.table_schema(OU_SCORECARD)},
    )
    def ou_scorecard(
        context: dg.AssetExecutionContext,
        scoring: dg.ResourceParam[Scoring],
        receipts: dg.ResourceParam[Receipts],
        clock: dg.ResourceParam[Clock],
        drawing: dg.ResourceParam[Drawing],
        watch: dg.ResourceParam[Watch],
    ) -> dg.MaterializeResult:
        days = days_of_run(context)
        with explained(context, forms.settings.schedule.retry_seconds):
            scored = scoring.score(days, clock())
            with alerts_may_fail(context):
                _tell(watch, scoring, scored)
            queries = metadata.queries(receipts())
            add_metadata(context, {day: score_metadata.scorecard(scored.cards[day]) for day in days})
            # Of the last day alone: what is in a result stands with each partition, pictures too.
            add_metadata(context, {days[-1]: _in_words(scored, days[-1], drawing)})
        return dg.MaterializeResult(metadata=queries, check_results=_checked(scored, days))

    return [ou_scorecard]


def _tell(watch: Watch, scoring: Scoring, scored: Scored) -> None:
    """Alert what is new; it is remembered once it was told: what could not be noted is told by the next run."""
    if scored.reconciled:
        watch.alerting.report_anomalies(scored.reconciled)
        watch.alerting.report_doubling(scored.questions, scored.currency)
        scoring.remember(scored)


def _in_words(scored: Scored, day: date, drawing: Drawing) -> dict[str, Any]:
    card = scored.cards[day]
    month = month_picture(scored.whole, card.whole, day, currency=card.currency, cost_basis=card.cost_basis)
    return score_metadata.trend(scored.whole, day) | score_metadata.scores_in_words(card, drawing.chart(month))


def _checked(scored: Scored, days: Sequence[date]) -> list[dg.AssetCheckResult]:
    plan = dict.fromkeys(days[-1:], "; ".join(scored.wrong)) if scored.wrong else {}
    doubled = {day: why for day, why in scored.doubled.items() if day in days}
    return [
        metadata.warning(keys.PLAN_IS_USED, plan, days),
        metadata.warning(keys.NOT_DOUBLED, doubled, days),
    ]
