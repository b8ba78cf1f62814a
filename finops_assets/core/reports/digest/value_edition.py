"""What of a digest is one value of a dimension, such as a team's: its rows, facts and score, for a mail of its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

from finops_assets.core.analytics.scorecard import Score
from finops_assets.core.reports.digest.edition import facts

if TYPE_CHECKING:
    import pyarrow as pa

    from finops_assets.core.analytics.scorecard import Scorecard
    from finops_assets.core.analytics.value_scores import ValueScore
    from finops_assets.core.bill.dimension_keys import DimensionValue
    from finops_assets.core.reports.digest.calculation import DigestInputs
    from finops_assets.core.reports.digest.figures import DayFacts


@dataclass(frozen=True)
class ValuePart:
    """The part of the bill that has a value.

    Attributes:
        of: the value.
        rows: as those of the digest's inputs; what they cost sums to the value.
        days: on which the value's cost is known: those that are archived with its dimension.
        score: of the day; None where there is none.
        light_before: as of the last mail; empty where that is not known.
        moved: accounts that have come or gone since the day compared with, in sentences.
        archive_path: where the day's object is.
    """

    of: DimensionValue
    rows: pa.Table
    days: Collection[date]
    score: ValueScore | None = None
    light_before: str = ""
    moved: tuple[str, ...] = ()
    archive_path: str = ""


def inputs_of(inputs: DigestInputs, part: ValuePart, archived: Collection[date]) -> DigestInputs:
    """What of the inputs is the value's; `archived` are the days on which it is known."""
    name = str(part.of)
    return replace(
        inputs,
        rows=part.rows,
        days=facts(part.rows, inputs.days, archived),
        archive_path=part.archive_path,
        covered=replace(inputs.covered, total=None) if inputs.covered else None,
        notes=(*inputs.notes, *part.moved),
        card=_card(inputs.card, part.score),
        news=(),
        lights_before={name: part.light_before} if part.light_before else None,
        own_cost=None,
        dimensions=None,
        commitments=None,
    )


def left_open(part: ValuePart, whole: Mapping[date, DayFacts], day: date) -> tuple[str, ...]:
    """What cannot be said of a value alone; amounts of the whole bill are not given away."""
    key = part.of.key
    sentences = []
    if not part.rows.num_rows:
        sentences.append(f"Nothing of these days has {part.of}: check the value in the settings of the mail.")
    if absent := sum(d.replace(day=1) == day.replace(day=1) and d <= day and d not in part.days for d in whole):
        days = "1 day" if absent == 1 else f"{absent} days"
        sentences.append(f"{days} of the month, archived without {key}: what of them is {part.of} is not known.")
    sentences.append(f"Anomalies are found by OU, service and account, and not by {key}.")
    if any(of.scheduled or of.by_category for of in whole.values()):
        sentences.append("Scheduled charges (tax, fees, credits, refunds) are known for the whole bill only.")
    if whole[day].left_out:
        sentences.append("Settings leave lines out of the bill; how much of that is this value's is not known.")
    return tuple(sentences)


def _card(card: Scorecard | None, score: ValueScore | None) -> Scorecard | None:
    """The value's score as a scorecard of its own; None where it has none."""
    if card is None or score is None:
        return None
    own = Score.of_month(
        replace(score.line, ou=str(score.of)),
        cost=score.cost,
        direct=score.cost,
        band=None,
        anomaly=None,
        settlement=score.settlement,
    )
    why_not = "" if own.p50 is not None else "its history is too short"
    return replace(
        card,
        scores=(own,),
        episodes=(),
        drivers=None,
        parts=None,
        booked=(),
        error=None,
        why_no_forecast=why_not,
        why_whole="",
    )
