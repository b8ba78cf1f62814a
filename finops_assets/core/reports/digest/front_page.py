"""The front page: what matters of a day, in the same words at the top of the mail, the PDF and the dashboard.

It is made of the day's rows and scorecard alone, and of nothing that depends on who was mailed what and when: so the
three say the same.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_assets.core.analytics.anomalies import GROWING, OPEN
from finops_assets.core.analytics.budgets import RED
from finops_assets.core.money import CENT, change, money
from finops_assets.core.reports.digest.matters import what, what_matters
from finops_assets.core.reports.digest.reasons import cause_clause, reasons
from finops_assets.core.reports.digest.words import percent_words, share_words, stretch_words
from finops_assets.core.reports.digest.worst_first import over_budget, worst_first
from finops_assets.core.text import tidy

if TYPE_CHECKING:
    from finops_assets.core.analytics.anomalies import Episode
    from finops_assets.core.analytics.scorecard import Score
    from finops_assets.core.reports.digest.figures import DigestFigures, Mover

RED_SHOWN, ANOMALIES_SHOWN, MOVED_SHOWN = 4, 3, 10

FLOOR = Decimal("0.005")
"""Of the day's cost: what moved by less is counted and not listed."""


@dataclass(frozen=True)
class RedOu:
    """An OU that is red: its path, by how much it is over its budget, and in what words."""

    ou: str
    amount: str
    words: str


@dataclass(frozen=True)
class OpenAnomaly:
    """An anomaly that lasts: what it is, what it costs more (or less) than expected, and its cause in one clause."""

    id: str
    what: str
    days: str
    amount: str
    arrow: str
    because: str


@dataclass(frozen=True)
class Moved:
    """An OU's use of a service in an account that moved, with the change and its cause in one clause."""

    service: str
    ou: str
    account: str
    amount: str
    percent: str
    arrow: str
    because: str
    before: str
    now: str


@dataclass(frozen=True)
class FrontPage:
    """What matters of a day; amounts are text in the digest's currency.

    Attributes:
        headline: one sentence.
        because: its cause in one clause; empty where none is known.
        red: the OUs that are red, the most money over the budget first; `red_more` counts those that are not listed.
        anomalies: those that are open, the largest first; `anomalies_more` counts and sums the others.
        moved: what moved by more than the floor, the largest first; `moved_more` says what is not listed.
        against: the day that it is compared with, in words; empty where there is none.
    """

    headline: str
    because: str
    red: tuple[RedOu, ...] = ()
    red_more: str = ""
    anomalies: tuple[OpenAnomaly, ...] = ()
    anomalies_more: str = ""
    moved: tuple[Moved, ...] = ()
    moved_more: str = ""
    against: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def front_page(figures: DigestFigures) -> FrontPage:
    """What matters of a day, or of the edition that the figures are of."""
    headline, because = what_matters(figures)
    card = figures.card
    red = worst_first(score for score in card.scores[1:] if score.light == RED) if card else []
    lasting = [e for e in card.episodes if e.state in (OPEN, GROWING)] if card else []
    lasting.sort(key=lambda episode: (-abs(episode.impact), episode.id))
    left = lasting[ANOMALIES_SHOWN:]
    together = change(sum((episode.impact for episode in left), Decimal()))
    moved, moved_more = _moved(figures)
    against = figures.movers_against
    return FrontPage(
        headline=headline,
        because=because,
        red=tuple(_red_ou(figures, score) for score in red[:RED_SHOWN]),
        red_more=_red_more(red[RED_SHOWN:]),
        anomalies=tuple(_open_anomaly(figures, episode) for episode in lasting[:ANOMALIES_SHOWN]),
        anomalies_more=f"and {len(left)} more, {together} together" if left else "",
        moved=moved,
        moved_more=moved_more,
        against=f"{figures.short_day(against.day)}, {against.words}" if against else "",
    )


def _red_ou(figures: DigestFigures, score: Score) -> RedOu:
    if score.budget is None:
        return RedOu(tidy(score.ou, 80), "", tidy(score.reason, 160))
    over = over_budget(score)
    words = f"of {money(score.budget)}"
    if score.share is not None:
        words += f", {share_words(score.share)}"
    if score.passed:
        was = "passed" if score.passed <= figures.day else "passes it"
        words += f", {was} on {figures.short_day(score.passed)}"
    return RedOu(tidy(score.ou, 80) or "(no name)", f"{change(over)}", words)


def _red_more(left: list[Score]) -> str:
    if not left:
        return ""
    over = sum((over_budget(score) for score in left), Decimal())
    return f"and {len(left)} more, {change(over)} together"


def _open_anomaly(figures: DigestFigures, episode: Episode) -> OpenAnomaly:
    impact = episode.impact
    return OpenAnomaly(
        id=tidy(episode.id, 40),
        what=what(episode, figures.names),
        days=stretch_words(episode.first, episode.last, figures.this_year),
        amount=change(impact),
        arrow="" if abs(impact) < CENT / 2 else "▲" if impact > 0 else "▼",
        because=cause_clause(figures, episode),
    )


def _moved(figures: DigestFigures) -> tuple[tuple[Moved, ...], str]:
    """What moved by more than the floor, and the others in a sentence."""
    against = figures.movers_against
    if against is None or against.total is None:
        return (), ""
    floor = max(CENT, abs(figures.total) * FLOOR)
    movers = sorted((*figures.movers_up, *figures.movers_down), key=lambda mover: -abs(mover.delta))
    shown = [mover for mover in movers if abs(mover.delta) >= floor][:MOVED_SHOWN]
    left = figures.moves - len(shown)
    rest = figures.total - against.total - sum((mover.delta for mover in shown), Decimal())
    rows = tuple(_row(mover, reason) for mover, reason in zip(shown, reasons(figures, shown), strict=True))
    if left <= 0:
        return rows, ""
    others = "1 other move" if left == 1 else f"{left:,} other moves"
    return rows, f"{others}, none of them among the largest: {change(rest)} together"


def _row(mover: Mover, reason: str) -> Moved:
    name, account = tidy(mover.name, 60), tidy(mover.account, 60)
    return Moved(
        service=tidy(mover.service, 80) or "(no service)",
        ou=tidy(mover.ou, 80),
        account=f"{name} ({account})" if name else account,
        amount=change(mover.delta),
        percent=percent_words(mover.now, mover.before),
        arrow="▲" if mover.delta > 0 else "▼",
        because=tidy(reason, 300),
        before=money(mover.before),
        now=money(mover.now),
    )
