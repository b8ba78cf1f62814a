"""What of a digest is one OU's: its subtree's rows, facts and scorecard, for a mail that says nothing of the others."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.accounts.ous import within
from finops_assets.core.reports.digest.figures import DayFacts

if TYPE_CHECKING:
    import pyarrow as pa

    from finops_assets.core.analytics.scorecard import Scorecard


def subtree(rows: pa.Table, ou: str) -> pa.Table:
    """The rows of the OU and of what lies below it."""
    import pyarrow.compute as pc

    return rows.filter(pc.or_(pc.equal(rows["ou"], ou), pc.starts_with(rows["ou"], pattern=f"{ou}/")))


def subtotals(rows: pa.Table, ou: str, days: Iterable[date]) -> dict[date, Decimal]:
    """The OU's exact cost on each of these days, of rows as `digest_figures` takes them."""
    sums = subtree(rows, ou).group_by("billingdate").aggregate([("cost", "sum")])
    by_day = dict(zip(sums["billingdate"].to_pylist(), sums["cost_sum"].to_pylist(), strict=True))
    return {day: by_day.get(day, Decimal()) for day in sorted(days)}


def facts(rows: pa.Table, whole: Mapping[date, DayFacts], archived: Collection[date]) -> dict[date, DayFacts]:
    """The facts of each of these days: the subtotal, and the settlement, which is the whole bill's.

    Args:
        rows: the OU's.
        whole: the facts of whole days.
        archived: days that have rows of anybody, or are archived without any.
    """
    sums = rows.group_by("billingdate").aggregate([("cost", "sum")])
    by_day = dict(zip(sums["billingdate"].to_pylist(), sums["cost_sum"].to_pylist(), strict=True))
    return {
        day: DayFacts(
            by_day.get(day, Decimal()), settlement=of.settlement, delivery=of.delivery, providers=of.providers
        )
        for day, of in whole.items()
        if day in archived
    }


def left_open(ou: str, rows: pa.Table, whole: Mapping[date, DayFacts], day: date) -> tuple[str, ...]:
    """What cannot be said of an OU alone; amounts of the whole bill are not given away."""
    sentences = []
    if not rows.num_rows:
        sentences.append(
            f"No account of these days is in {ou} or below it: check the path in the settings of the mail."
        )
    if any(of.scheduled or of.by_category for of in whole.values()):
        sentences.append(
            "The scheduled charges of a day (tax, fees, credits, refunds) are shown for the whole bill only."
        )
    if whole[day].left_out:
        sentences.append("Settings leave lines out of the bill; how much of that is this OU's is not known.")
    return tuple(sentences)


def card_of(card: Scorecard | None, ou: str) -> Scorecard | None:
    """The OU's part of a scorecard, itself first; None where it has none.

    The back-tested error is the whole's forecast's, so it is not in it.
    """
    own = card.by_ou.get(ou) if card else None
    if card is None or own is None:
        return None
    below = (score for score in card.scores if score.ou != ou and within(score.ou, ou))
    drivers = card.drivers.below(ou) if card.drivers else None
    return replace(
        card,
        scores=(own, *below),
        episodes=tuple(episode for episode in card.episodes if within(episode.ou, ou)),
        drivers=drivers,
        parts=card.parts and card.parts.within(ou),
        booked=tuple(each for each in card.booked if within(each.ou, ou)),
        error=None,
        why_no_forecast="" if own.p50 is not None else "its history is too short",
    )


def ou_hash(ou: str) -> str:
    """Names an edition where a path cannot stand: in object paths, delivery ids and content ids."""
    return hashlib.sha256(ou.encode()).hexdigest()[:16]
