"""The tables of services, restated days and accounts without an OU."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_assets.core.money import change, money
from finops_assets.core.reports.snapshot.wording import DASH, moved_words, tone_of
from finops_assets.core.text import tidy

if TYPE_CHECKING:
    from finops_assets.core.reports.digest.figures import DigestFigures, Line

SERVICES_SHOWN = 9

RESTATED_SHOWN = 5

UNASSIGNED_SHOWN = 4


def service_table(figures: DigestFigures, room: int) -> dict[str, Any] | None:
    """The largest services, where the page has room for them."""
    ranking = figures.services
    keep = min(len(ranking.lines), SERVICES_SHOWN, room)
    if keep < 2:
        return None
    against = [a for a in (figures.last_week, figures.day_before) if a.has_rows]

    def changed(cost: Decimal, before: Decimal | None) -> dict[str, str] | None:
        return None if before is None else {"words": moved_words(cost, before), "tone": tone_of(cost, before)}

    def row(name: str, cost: Decimal, befores: Mapping[date, Decimal | None]) -> dict[str, Any]:
        return {
            "name": name,
            "cost": money(cost),
            "share": f"{cost / figures.total * 100:.1f} %" if figures.total > 0 and cost >= 0 else DASH,
            "changes": [changed(cost, befores[a.day]) for a in against],
        }

    def befores(line: Line) -> dict[date, Decimal | None]:
        return {figures.last_week.day: line.last_week, figures.day_before.day: line.day_before}

    rows = [row(tidy(line.name) or "(no service)", line.cost, befores(line)) for line in ranking.lines[:keep]]
    others = [*ranking.lines[keep:], *([ranking.rest] if ranking.rest else [])]
    if others:
        summed = {a.day: sum((befores(line)[a.day] or Decimal() for line in others), Decimal()) for a in against}
        rows.append(row("Other services", sum((line.cost for line in others), Decimal()), summed))
    return {
        "title": "Services",
        "note": f"In {tidy(figures.currency)}, {figures.short_day(figures.day)}.",
        "columns": ["Service", "Day", "Share", *(f"on {figures.short_day(a.day)}" for a in against)],
        "rows": rows,
    }


def restated_table(figures: DigestFigures) -> dict[str, Any]:
    moves = sorted(figures.restated, key=lambda m: -abs(m.delta))
    shown, left = sorted(moves[:RESTATED_SHOWN], key=lambda m: m.day), moves[RESTATED_SHOWN:]
    more = sum((m.delta for m in left), Decimal())
    return {
        "title": "Changed since the last mail",
        "columns": ["Day", "Mailed", "Now", "Change"],
        "rows": [
            {"day": figures.short_day(m.day), "old": money(m.old), "new": money(m.new), "delta": change(m.delta)}
            for m in shown
        ],
        "rest": f"{len(left)} more days, {change(more)} together." if left else "",
        "none": "No day that was mailed has changed.",
    }


def unassigned_table(figures: DigestFigures) -> dict[str, Any]:
    accounts = figures.unassigned
    keep = len(accounts) if len(accounts) <= UNASSIGNED_SHOWN + 1 else UNASSIGNED_SHOWN
    shown, left = accounts[:keep], accounts[keep:]
    more = sum((cost for *_, cost in left), Decimal())
    total = sum((cost for *_, cost in accounts), Decimal())
    return {
        "title": "Unassigned accounts",
        "columns": ["Account", "Day"],
        "rows": [
            {"name": f"{tidy(name)} ({tidy(account)})" if name else tidy(account), "cost": money(cost)}
            for account, name, cost in shown
        ],
        "total": ["All unassigned", money(total)],
        "rest": f"{len(left)} more accounts, {money(more)} together." if left else "",
        "none": "Every account belongs to an OU.",
    }
