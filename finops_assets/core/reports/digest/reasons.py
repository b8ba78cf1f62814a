"""Why the cost moved, in words: of the whole, and of each mover."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_assets.core.accounts.ous import ALL
from finops_assets.core.analytics.cost_causes import clause
from finops_assets.core.analytics.drivers import EFFECTS, summed, words
from finops_assets.core.archive.registering import HALF_A_CENT
from finops_assets.core.money import change, to_cents
from finops_assets.core.text import tidy

if TYPE_CHECKING:
    from finops_assets.core.analytics.anomalies import Episode
    from finops_assets.core.analytics.drivers import Drivers
    from finops_assets.core.analytics.kept_parts import KeptParts
    from finops_assets.core.reports.digest.figures import DigestFigures, Mover


def _drivers(figures: DigestFigures) -> Drivers | None:
    """What explains the day's movers; None where it is not of the days that the digest compares."""
    drivers = figures.card.drivers if figures.card else None
    return drivers if drivers and _compares(figures, drivers) else None


def _compares(figures: DigestFigures, of: Drivers | KeptParts) -> bool:
    """Whether it is of the two days that the digest compares."""
    against = figures.movers_against
    return against is not None and (of.day, of.against) == (figures.day, against.day)


def why_view(figures: DigestFigures) -> dict[str, Any]:
    """Each effect's part of the change, in cents that add up to it; nothing where the parts are not the whole of it."""
    against, drivers = figures.movers_against, _drivers(figures)
    if against is None or against.total is None or drivers is None:
        return {"why": [], "why_total": ""}
    delta = figures.total - against.total
    sums = summed(drivers, ALL)
    if not sums or not _add_up_to(sums, delta):
        return {"why": [], "why_total": ""}
    ranked = sorted(sums.items(), key=lambda item: -abs(item[1]))
    cents = {name: to_cents(amount) for name, amount in ranked}
    cents[ranked[0][0]] += to_cents(delta) - sum(cents.values(), Decimal())
    return {
        "why": [(EFFECTS.get(name, name), change(amount)) for name, amount in cents.items() if amount],
        "why_total": change(delta),
    }


def reasons(figures: DigestFigures, movers: Iterable[Mover]) -> list[str]:
    """Why each of the movers moved, in words; empty where that is not known."""
    drivers = _drivers(figures)
    movers = list(movers)
    known = drivers.among([(mover.ou, mover.service, mover.account) for mover in movers]) if drivers else {}
    sentences = []
    for mover in movers:
        driver = known.get((mover.ou, mover.service, mover.account))
        effects = driver.effects if driver else {}
        why = words(effects, "") if effects and _add_up_to(effects, mover.delta) else ""
        cause = mover_cause(figures, mover)
        sentences.append(cause if cause and len(effects) == 1 else "; ".join(filter(None, (cause, why))))
    return sentences


def mover_cause(figures: DigestFigures, mover: Mover) -> str:
    """The cause of a move in a clause: `cause: credit ended, +30.00`; empty where it is not known."""
    parts = figures.card.parts if figures.card else None
    if parts is None or not _compares(figures, parts):
        return ""
    key = mover.ou, mover.service, mover.account
    of_mover = parts.of(key)
    if abs(sum((part.delta for part in of_mover), Decimal()) - mover.delta) >= HALF_A_CENT:
        return ""
    cause = clause(of_mover, key)
    return f"cause: {cause}" if cause else ""


def because_of_effects(figures: DigestFigures) -> str:
    """Why the whole moved, as a clause: `because of volume +789.18, commitment coverage -0.56`; empty if not known."""
    against, drivers = figures.movers_against, _drivers(figures)
    if against is None or against.total is None or drivers is None:
        return ""
    sums = summed(drivers, ALL)
    known = words(sums, "") if sums and _add_up_to(sums, figures.total - against.total) else ""
    return f"because of {known}" if known else ""


def cause_clause(figures: DigestFigures, episode: Episode) -> str:
    """The cause of an episode in one clause; the one place that words it.

    Its first cause, as the kept parts of its days have it; else what moved its OU, service and account on the day, as
    far as the drivers know; else what was expected of it.
    """
    if cause := figures.card.causes.get(episode.id, "") if figures.card else "":
        return f"cause: {cause}"
    drivers = _drivers(figures)
    driver = drivers.among([episode.key]).get(episode.key) if drivers else None
    if driver and (known := words(driver.effects, "")):
        return f"because of {known} on {figures.short_day(figures.day)}"
    reason = tidy(episode.reason, 300)
    return f"because {reason[0].lower() if reason[1:2].islower() else reason[0]}{reason[1:]}" if reason else ""


def _add_up_to(effects: Mapping[str, Decimal], delta: Decimal) -> bool:
    """Whether the effects are the change; rows have a double's last digits less than the bill."""
    return abs(sum(effects.values(), Decimal()) - delta) < HALF_A_CENT
