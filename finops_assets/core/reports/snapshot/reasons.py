"""What moved and why, and what nobody expected."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_assets.core.accounts.ous import ALL
from finops_assets.core.analytics.anomalies import CLOSED, WITHDRAWN
from finops_assets.core.analytics.drivers import summed, words
from finops_assets.core.money import change, money
from finops_assets.core.reports.digest.words import percent_words, stretch_words
from finops_assets.core.reports.snapshot.wording import tone_of
from finops_assets.core.text import tidy

if TYPE_CHECKING:
    from finops_assets.core.analytics.anomalies import Episode
    from finops_assets.core.analytics.drivers import Drivers
    from finops_assets.core.analytics.scorecard import Scorecard
    from finops_assets.core.reports.digest.figures import DigestFigures, Mover

MOVERS_SHOWN, MOVERS_KEPT = 6, 3

SMALL = Decimal("0.001")
"""Moves under a thousandth of the day are left to the others, but for the largest three."""

EPISODES_SHOWN = 5


def mover_table(figures: DigestFigures, card: Scorecard | None) -> dict[str, Any]:
    """The largest moves, and all others together: they add up to the day's change."""
    against = figures.movers_against
    title, none = "What moved, and why", "There is no day to compare with."
    if against is None or against.total is None:
        return {"title": title, "note": "", "columns": [], "rows": [], "total": [], "rest": "", "none": none}
    movers = sorted((*figures.movers_up, *figures.movers_down), key=lambda m: -abs(m.delta))
    least = abs(figures.total) * SMALL
    shown = [m for n, m in enumerate(movers[:MOVERS_SHOWN]) if n < MOVERS_KEPT or abs(m.delta) >= least]
    base = figures.short_day(against.day)
    before, now = against.total, figures.total
    drivers = _drivers(figures, card)
    rows = [_mover_row(mover, drivers) for mover in shown]
    if shown:
        left = _before_and_now(
            before - sum((m.before for m in shown), Decimal()), now - sum((m.now for m in shown), Decimal())
        )
        rows.append({"service": "Everything else", "where": "", "reason": "", **left})
    total = _before_and_now(before, now)
    why = words(summed(drivers, ALL), "") if drivers else ""
    return {
        "title": title,
        "note": f"In {tidy(figures.currency)}, {figures.short_day(figures.day)} against {base}, {against.words}.",
        "columns": ["Service, account and OU", base, figures.short_day(figures.day), "Change", "in %"],
        "rows": rows,
        "total": ["All OUs", *(total[key] for key in ("before", "now", "delta", "percent"))],
        "rest": f"All OUs: {why}." if why else "",
        "none": f"Nothing moved against {base}.",
    }


def _before_and_now(before: Decimal, now: Decimal) -> dict[str, str]:
    return {
        "before": money(before),
        "now": money(now),
        "delta": change(now - before),
        "percent": percent_words(now, before),
        "tone": tone_of(now, before),
    }


def _mover_row(mover: Mover, drivers: Drivers | None) -> dict[str, str]:
    name, account = tidy(mover.name, 60), tidy(mover.account, 40)
    return {
        "service": tidy(mover.service) or "(no service)",
        "where": f"{name} ({account}) in {tidy(mover.ou)}" if name else f"{account} in {tidy(mover.ou)}",
        "reason": _reason(drivers, mover),
        **_before_and_now(mover.before, mover.now),
    }


def _drivers(figures: DigestFigures, card: Scorecard | None) -> Drivers | None:
    """What explains the movers, if it is of the same two days."""
    drivers, against = card.drivers if card else None, figures.movers_against
    same = drivers and against and (drivers.day, drivers.against) == (figures.day, against.day)
    return drivers if same else None


def _reason(drivers: Drivers | None, mover: Mover) -> str:
    if drivers is None:
        return ""
    key = (mover.ou, mover.service, mover.account)
    driver = drivers.among([key]).get(key)
    return words(driver.effects, "") if driver else ""


def anomaly_table(figures: DigestFigures, card: Scorecard | None, names: Mapping[str, str]) -> dict[str, Any]:
    episodes = card.episodes if card else ()
    lasting = sorted(
        episodes, key=lambda e: e.state in (CLOSED, WITHDRAWN)
    )  # stable: the newest and largest stay first
    shown, left = lasting[:EPISODES_SHOWN], lasting[EPISODES_SHOWN:]
    more = sum((e.impact for e in left), Decimal())
    return {
        "title": "Anomalies",
        "note": f"In {tidy(card.currency)}, the days of an episode together." if card and shown else "",
        "columns": ["State", "What", "Expected", "Actual", "Impact"],
        "rows": [_episode_row(figures, episode, names) for episode in shown],
        "rest": f"{len(left)} more, {change(more)} together." if left else "",
        "none": "No anomaly in the last weeks." if card else "There is no scorecard of the day: none was looked for.",
    }


def _episode_row(figures: DigestFigures, episode: Episode, names: Mapping[str, str]) -> dict[str, str]:
    account = tidy(names.get(episode.account, "") or episode.account, 60)
    days = stretch_words(episode.first, episode.last, figures.this_year)
    return {
        "state": episode.state,
        "id": tidy(episode.id, 20),
        "what": " · ".join(part for part in (tidy(episode.service), account, tidy(episode.ou)) if part),
        "days": f"{episode.kind}, {days}" + (f", planned: {tidy(episode.planned, 80)}" if episode.planned else ""),
        "reason": tidy(episode.reason, 220),
        "expected": money(episode.expected),
        "actual": money(episode.actual),
        "impact": change(episode.impact),
        "tone": tone_of(episode.actual, episode.expected),
    }
