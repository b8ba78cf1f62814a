"""The executive snapshot: a day on two A4 pages, for those who read no table of a bill. Pure: figures in, a PDF out.

What the pages say is worded here; how they look is in templates/executive_snapshot.typ. Typst is loaded where it is
used. The same data gives the same bytes: letters come from fonts that are shipped, the file is dated with its day.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache, partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from finops_assets.core.accounts.ous import ALL
from finops_assets.core.analytics.anomalies import CLOSED, WITHDRAWN
from finops_assets.core.analytics.budgets import AMBER, GREEN, NONE, RED
from finops_assets.core.analytics.doubling import ANSWER_WORDS, question_words
from finops_assets.core.analytics.drivers import summed, words
from finops_assets.core.analytics.forecast import WINDOW, month_end
from finops_assets.core.calendar import short_day
from finops_assets.core.money import CENT, change, money
from finops_assets.core.reports.charts.daily_cost import daily_cost_spec
from finops_assets.core.reports.charts.month import month_spec
from finops_assets.core.reports.digest.sentences import headline, late_words
from finops_assets.core.reports.digest.words import (
    LOUD,
    SETTLEMENTS,
    basis_words,
    days_words,
    percent_words,
    stretch_words,
)
from finops_assets.core.text import tidy

if TYPE_CHECKING:
    from finops_assets.core.analytics.anomalies import Episode
    from finops_assets.core.analytics.drivers import Drivers
    from finops_assets.core.analytics.scorecard import Score, Scorecard
    from finops_assets.core.reports.digest.figures import DigestFigures, Mover

OUS_SHOWN = 14
SERVICES_SHOWN = 9
ROWS_SHOWN = 22
"""Rows of both that the first page has room for: OUs come first."""

MOVERS_SHOWN, MOVERS_KEPT = 6, 3
SMALL = Decimal("0.001")
"""Moves under a thousandth of the day are left to the others, but for the largest three."""

EPISODES_SHOWN = 5
WARNINGS_SHOWN = 3
RESTATED_SHOWN = 5
UNASSIGNED_SHOWN = 4

STANDARDS = ["a-2a", "ua-1"]
"""For archives, and for those who have it read to them."""

DASH = "–"
_SEVERITY = {RED: 0, AMBER: 1}
_PARAGRAPH = 300
"""Characters of a sentence that are shown."""

_OTHER_SCRIPTS = re.compile(r"[^\u0000-\u06ff\u1e00-\u22ff\u2500-\u25ff\ufb1d-\ufdff\ufe70-\ufefe]")
"""Letters that none of the shipped fonts has, such as Chinese ones: for these the machine's own fonts are asked too."""


def snapshot_path(day: date) -> str:
    """Where a day's snapshot is kept in the archive."""
    return f"executive-snapshots/executive_snapshot_{day}.pdf"


def snapshot_specs(figures: DigestFigures, card: Scorecard | None) -> dict[str, dict[str, Any]]:
    """The charts of the pages as Vega-Lite specs, for `charts.to_svg`: `month`, where there is a scorecard, `daily`."""
    card = _fitting(figures, card)
    basis, currency = basis_words(figures.cost_basis), tidy(figures.currency)
    room = EPISODES_SHOWN - min(len(card.episodes), EPISODES_SHOWN) if card else 0
    daily = daily_cost_spec(
        figures.costs,
        figures.day,
        currency=currency,
        basis=basis,
        scheduled=figures.scheduled_by_day,
        width=720,
        height=240 + 25 * room,
    )
    specs = {"daily": daily}
    if card:
        of_month = {d: sum(of.values(), Decimal()) for d, of in figures.costs.items() if d >= figures.month.first}
        specs["month"] = month_spec(
            of_month,
            card.whole,
            day=figures.day,
            currency=currency,
            basis=basis,
            name="All OUs",
            width=720,
            height=240 + 13 * _rows_left(figures, card),
        )
    edges = {"left": 0, "right": 12, "top": 2, "bottom": 2}  # the page has margins of its own
    return {name: spec | {"padding": edges} for name, spec in specs.items()}


def _rows_left(figures: DigestFigures, card: Scorecard) -> int:
    """Rows of the first page that nothing will stand in: the chart above them is as much higher."""
    ous = min(len(card.scores) - 1, OUS_SHOWN)
    services = min(len(figures.services.lines), SERVICES_SHOWN)
    return min(9, max(0, ROWS_SHOWN - ous - (services if services > 1 else 0)))


def snapshot_data(
    figures: DigestFigures,
    card: Scorecard | None,
    *,
    names: Mapping[str, str] | None = None,
    sentence: str | None = None,
    revision: int = 1,
) -> dict[str, Any]:
    """What the two pages show: JSON of strings, every number already in words, every name already one line.

    Args:
        figures: of the day.
        card: the day's scorecard; without one there are neither budgets nor forecasts nor anomalies, and it is said.
        names: account id -> name, for anomalies.
        sentence: of what matters; the digest's headline by default.
        revision: of the day's digest.
    """
    card = _fitting(figures, card)
    currency = tidy(figures.currency)
    day = f"{short_day(figures.day)} {figures.day.year}"
    unit = f"{basis_words(figures.cost_basis)} in {currency}"
    sentence = tidy(headline(figures) if sentence is None else sentence, _PARAGRAPH)
    settled = figures.facts.settlement
    revised = f", revision {revision}" if revision > 1 else ""
    through = f"{short_day(figures.data_through)} {figures.data_through.year}"
    cards = [_day_card(figures, card), _month_card(figures, card), _forecast_card(figures, card)]
    ous = _ous(figures, card)
    return {
        "date": figures.day.isoformat(),
        "title": f"Cloud cost, {day}: executive snapshot",
        "kicker": f"Cloud cost · executive snapshot · {day}{revised}",
        "stamp": f"{unit} · {settled} · data through {through}",
        "footer": f"{day}{revised} · {unit} · {settled}",
        "headline": sentence,
        "headline_size": 15 if len(sentence) <= 160 else 12 if len(sentence) <= 230 else 10.5,
        "warnings": _warnings(figures, card),
        "cards": cards,
        "card_height": 51 + 12.2 * max(len(c["details"]) + bool(c["light"]) for c in cards),
        "ous": ous,
        "services": _services(figures, ROWS_SHOWN - len(ous["rows"])),
        "movers": _movers(figures, card),
        "anomalies": _anomalies(figures, card, names or {}),
        "restated": _restated(figures),
        "unassigned": _unassigned(figures),
        "method": _method(figures, card, through),
        "alts": _alts(figures, card),
    }


def _fitting(figures: DigestFigures, card: Scorecard | None) -> Scorecard | None:
    """The scorecard, if it is of the same day and money."""
    same = card and (card.day, card.currency, card.cost_basis) == (figures.day, figures.currency, figures.cost_basis)
    return card if same else None


def to_pdf(data: Mapping[str, Any], charts: Mapping[str, str]) -> bytes:
    """The two pages as a tagged PDF with its fonts in it; the same data and charts give the same bytes.

    Args:
        data: as `snapshot_data` gives it.
        charts: `month` and `daily` as SVG; one that is missing is left out.
    """
    import typst

    template = files("finops_assets").joinpath("templates", "executive_snapshot.typ").read_bytes()
    inputs = {"data": json.dumps(data)} | {f"chart-{name}": _for_the_page(svg) for name, svg in charts.items()}
    foreign = any(_OTHER_SCRIPTS.search(text) for text in (json.dumps(data, ensure_ascii=False), *charts.values()))
    dated = datetime.combine(date.fromisoformat(data["date"]), datetime.min.time(), UTC)
    compiled = partial(
        typst.compile,
        template,
        format="pdf",
        font_paths=load_fonts(of_the_machine=foreign),
        sys_inputs=inputs,
        timestamp=dated,
    )
    try:
        return compiled(pdf_standards=STANDARDS)
    except typst.TypstError:  # a name has a letter that no font here has, which these standards do not allow
        return compiled()


@cache
def load_fonts(*, of_the_machine: bool) -> Any:
    """The shipped fonts, and those of the machine too where asked."""
    import typst

    shipped = str(files("finops_assets").joinpath("templates", "fonts"))
    return typst.Fonts(include_system_fonts=of_the_machine, font_paths=[shipped])


def _for_the_page(svg: str) -> str:
    """A chart as the page takes it: with the page's letters, set as close as a browser's, and a third of the bytes.

    A mark that is translucent as a whole would be an object of its own in the file; its fill and stroke are so here.
    """

    def tag(found: re.Match) -> str:
        text = re.sub(r'\sfont-family="[^"]*"', ' font-family="Inter" letter-spacing="-0.15"', found[0])
        if "fill-opacity=" in text or "stroke-opacity=" in text:
            return text
        return re.sub(r'\sopacity="([^"]*)"', r' fill-opacity="\1" stroke-opacity="\1"', text)

    return re.sub(r"<(?:path|text)\b[^<>]*>", tag, svg)


def _warnings(figures: DigestFigures, card: Scorecard | None) -> list[str]:
    """What must be known before any number is read."""
    asked = [question_words(each, tidy(figures.currency)) for each in (card.questions if card else ())][-1:]
    if asked:
        asked.append(f"{ANSWER_WORDS} {card.questions[-1].answer}")
    said = [*asked, late_words(figures) or figures.age_sentence, *figures.notes, *(card.notes if card else ())]
    if figures.month.missing:
        days = days_words(figures.month.missing, figures.this_year)
        said.append(f"There is no data for {days}: the month to date is without them.")
    shown = [tidy(sentence, _PARAGRAPH) for sentence in said if sentence]
    kept = WARNINGS_SHOWN + len(asked)
    left = len(shown) - kept
    return shown if left <= 0 else [*shown[:kept], f"The digest says {left} more."]


# Cards


def _card(label: str, big: str, details: Iterable[tuple[str, str]], light: str | None = None) -> dict[str, Any]:
    return {
        "label": label,
        "big": big,
        "light": light,
        "details": [{"words": said, "tone": tone} for said, tone in details],
    }


def _tone(now: Decimal, before: Decimal) -> str:
    """Only a loud change has a colour."""
    delta = now - before
    if abs(delta) < max(LOUD * abs(before), CENT / 2):
        return "flat"
    return "up" if delta > 0 else "down"


def _moved(now: Decimal, before: Decimal) -> str:
    """`▲ +4.2 % (+137.22)`."""
    delta = now - before
    arrow = "" if abs(delta) < CENT / 2 else "▲ " if delta > 0 else "▼ "
    share = percent_words(now, before)
    return f"{arrow}{change(delta)}" if share in ("n/a", "new") else f"{arrow}{share} ({change(delta)})"


def _day_card(figures: DigestFigures, card: Scorecard | None) -> dict[str, Any]:
    details = []
    for against in (figures.last_week, figures.day_before):
        on = f"on {figures.short_day(against.day)}"
        if against.total is None:
            details.append((f"no data to compare {on}", "flat"))
        else:
            tone = _tone(figures.total, against.total)
            details.append((f"{_moved(figures.total, against.total)} {on}", tone))
    if card and card.whole.low is not None and card.whole.high is not None:
        details.append((f"expected {money(card.whole.low)} to {money(card.whole.high)}", "flat"))
    return _card(f"{figures.short_day(figures.day)}, {tidy(figures.currency)}", money(figures.total), details)


def _month_card(figures: DigestFigures, card: Scorecard | None) -> dict[str, Any]:
    month = figures.month
    label = f"Month to date, {stretch_words(month.first, month.last, figures.this_year)}, {tidy(figures.currency)}"
    total = card.whole.month_to_date if card else month.total
    details = []
    if month.before is not None:
        same_days = stretch_words(
            month.before_first, month.before_first + (month.last - month.first), figures.this_year
        )
        details.append((f"{percent_words(total, month.before)} on {same_days} ({money(month.before)})", "flat"))
    whole = card.whole if card else None
    if whole and whole.budget is not None:
        if whole.budget:
            details.insert(0, (f"{_share(total / whole.budget)} of the budget of {money(whole.budget)}", "flat"))
        else:
            details.insert(0, ("the budget is 0.00", "flat"))
    else:
        details.insert(0, ("no budget for all OUs together", "flat"))
    return _card(label, money(total), details)


def _forecast_card(figures: DigestFigures, card: Scorecard | None) -> dict[str, Any]:
    end = figures.short_day(month_end(figures.day), weekday=False)
    label = f"Month's forecast to {end}, {tidy(figures.currency)}"
    if card is None:
        return _card(label, "not made", [("there is no scorecard of the day", "flat")])
    whole = card.whole
    if whole.p50 is None:
        why = tidy(card.why_no_forecast, 90) or "too little history"
        return _card(label, "none yet", [(why, "flat")], whole.light)
    details = []
    if figures.day == month_end(figures.day):
        details.append(("the month is complete", "flat"))
    elif whole.p10 is None or whole.p90 is None:
        details.append(("too few past forecasts for a band", "flat"))
    else:
        details.append((f"80 % band: {money(whole.p10)} to {money(whole.p90)}", "flat"))
    if whole.budget is not None:
        left = whole.budget - whole.p50
        details.append((f"{money(abs(left))} {'under' if left >= 0 else 'over'} the budget", "flat"))
        if whole.passed:
            was = "passed" if whole.passed <= figures.day else "will be passed"
            details.append((f"it {was} on {figures.short_day(whole.passed, weekday=False)}", "flat"))
    return _card(label, money(whole.p50), details, whole.light)


def _share(share: Decimal | float | None) -> str:
    if share is None:
        return DASH
    return f"{share * 100:.0f} %" if share < 100 else "> 9,999 %"


# Tables


def _ous(figures: DigestFigures, card: Scorecard | None) -> dict[str, Any]:
    """The OUs with the worst light and the highest cost; the others are counted, and what they cost beside these."""
    if card is None:
        return _ous_without_scorecard(figures)
    scores = sorted(
        (score for score in card.scores if score.ou != ALL),
        key=lambda s: (_SEVERITY.get(s.light, 2), -s.cost, s.ou),
    )
    shown = scores if len(scores) <= OUS_SHOWN + 1 else scores[:OUS_SHOWN]
    planned = any(score.light != NONE for score in card.scores)
    columns, cells = (_BUDGET_COLUMNS, _budget_cells) if planned else (_COST_COLUMNS, _cost_cells)
    paths = {score.ou for score in shown}
    notes = ["worst light first, then the largest" if planned else "no budgets are configured: no OU has a light"]
    if any(f"{ou}/" in other for ou in paths for other in paths if other.startswith(f"{ou}/")):
        notes.append("an OU contains what lies below it")
    return {
        "title": "OUs against their budgets" if planned else "Cost by OU",
        "note": f"In {tidy(figures.currency)}; {'; '.join(notes)}.",
        "columns": list(columns),
        "rows": [{"name": _path(s.ou), "cells": cells(figures, s)} for s in shown],
        "rest": _rest(scores[len(shown) :], shown, card.whole),
        "total": {"name": "All OUs", "cells": cells(figures, card.whole)},
    }


def _path(ou: str) -> str:
    """Of a path that is too long, the end says most."""
    text = tidy(ou, len(ou) + 1) or "(no name)"
    return text if len(text) <= _PARAGRAPH else f"…{text[1 - _PARAGRAPH :]}"


_BUDGET_COLUMNS = ("OU", "Light", "Day", "Month to date", "Budget", "Forecast", "Share", "Over from")
_COST_COLUMNS = ("OU", "Day", "Expected", "Month to date", "Forecast", "80 % band")


def _budget_cells(figures: DigestFigures, score: Score) -> list[str]:
    return [
        score.light,
        money(score.cost),
        money(score.month_to_date),
        _amount(score.budget),
        _amount(score.p50),
        _share(score.share),
        DASH if score.passed is None else figures.short_day(score.passed, weekday=False),
    ]


def _cost_cells(_: DigestFigures, score: Score) -> list[str]:
    return [
        money(score.cost),
        _band(score.low, score.high),
        money(score.month_to_date),
        _amount(score.p50),
        _band(score.p10, score.p90),
    ]


def _amount(amount: Decimal | None) -> str:
    return DASH if amount is None else money(amount)


def _band(low: Decimal | None, high: Decimal | None) -> str:
    return DASH if low is None or high is None else f"{money(low)} – {money(high)}"


def _rest(left: Sequence[Score], shown: Sequence[Score], whole: Score) -> str:
    """`188 more OUs (3 red, 5 amber): 1,234.50 of the day and 12,345.00 of the month lie in none of the above.`"""
    if not left:
        return ""
    paths = {score.ou for score in shown}
    top = [s for s in shown if not any(s.ou[:at] in paths for at, c in enumerate(s.ou) if c == "/")]
    day = whole.cost - sum((s.cost for s in top), Decimal())
    month = whole.month_to_date - sum((s.month_to_date for s in top), Decimal())
    counts = [(light, sum(s.light == light for s in left)) for light in (RED, AMBER, GREEN, NONE)]
    lights = ", ".join(f"{n} {light}" for light, n in counts if n)
    return (
        f"{len(left)} more OUs ({lights}): {money(day)} of the day and {money(month)} of the month to date are in none "
        "of the OUs above."
    )


def _ous_without_scorecard(figures: DigestFigures) -> dict[str, Any]:
    def cells(cost: Decimal, last_week: Decimal | None, day_before: Decimal | None) -> list[str]:
        befores = (last_week, day_before)
        return [NONE, money(cost), *(DASH if b is None else _moved(cost, b) for b in befores)]

    ranking = figures.ous
    lines = [*ranking.lines, *([ranking.rest] if ranking.rest else [])]
    against = [figures.short_day(a.day, weekday=False) for a in (figures.last_week, figures.day_before)]
    return {
        "title": "Cost by OU",
        "note": f"In {tidy(figures.currency)}; there is no scorecard of the day: no budgets, no forecasts.",
        "columns": ["OU", "Light", "Day", *(f"on {day}" for day in against)],
        "rows": [
            {"name": _path(line.name), "cells": cells(line.cost, line.last_week, line.day_before)} for line in lines
        ],
        "rest": "",
        "total": {
            "name": "All OUs",
            "cells": cells(figures.total, figures.last_week.total, figures.day_before.total),
        },
    }


def _services(figures: DigestFigures, room: int) -> dict[str, Any] | None:
    """The largest services, where the page has room for them."""
    ranking = figures.services
    keep = min(len(ranking.lines), SERVICES_SHOWN, room)
    if keep < 2:
        return None
    against = [a for a in (figures.last_week, figures.day_before) if a.has_rows]

    def row(name: str, cost: Decimal, befores: Mapping[date, Decimal | None]) -> dict[str, Any]:
        return {
            "name": name,
            "cost": money(cost),
            "share": f"{cost / figures.total * 100:.1f} %" if figures.total > 0 and cost >= 0 else DASH,
            "changes": [
                None
                if befores[a.day] is None
                else {"words": _moved(cost, befores[a.day]), "tone": _tone(cost, befores[a.day])}
                for a in against
            ],
        }

    def befores(line: Any) -> dict[date, Decimal | None]:
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


# Why


def _movers(figures: DigestFigures, card: Scorecard | None) -> dict[str, Any]:
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
        "tone": _tone(now, before),
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
    found, against = card.drivers if card else None, figures.movers_against
    same = found and against and (found.day, found.against) == (figures.day, against.day)
    return found if same else None


def _reason(drivers: Drivers | None, mover: Mover) -> str:
    if drivers is None:
        return ""
    key = (mover.ou, mover.service, mover.account)
    return next((words(d.effects, "") for d in drivers.drivers if (d.ou, d.service, d.account) == key), "")


def _anomalies(figures: DigestFigures, card: Scorecard | None, names: Mapping[str, str]) -> dict[str, Any]:
    episodes = card.episodes if card else ()
    lasting = sorted(
        episodes, key=lambda e: e.state in (CLOSED, WITHDRAWN)
    )  # stable: the newest and largest stay first
    shown, left = lasting[:EPISODES_SHOWN], lasting[EPISODES_SHOWN:]
    more = sum((e.impact for e in left), Decimal())
    return {
        "title": "Anomalies",
        "note": f"In {tidy(card.currency)}, the days of an episode together." if shown else "",
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
        "tone": _tone(episode.actual, episode.expected),
    }


# How far it can be trusted


def _restated(figures: DigestFigures) -> dict[str, Any]:
    moves = sorted(figures.restated, key=lambda m: -abs(m.delta))
    shown, left = sorted(moves[:RESTATED_SHOWN], key=lambda m: m.day), moves[RESTATED_SHOWN:]
    more = sum((m.delta for m in left), Decimal())
    return {
        "title": "Changed since the last mail",
        "columns": ["Day", "Was told", "Is now", "Change"],
        "rows": [
            {"day": figures.short_day(m.day), "old": money(m.old), "new": money(m.new), "delta": change(m.delta)}
            for m in shown
        ],
        "rest": f"{len(left)} more days, {change(more)} together." if left else "",
        "none": "No day that was told has changed.",
    }


def _unassigned(figures: DigestFigures) -> dict[str, Any]:
    found = figures.unassigned
    keep = len(found) if len(found) <= UNASSIGNED_SHOWN + 1 else UNASSIGNED_SHOWN
    shown, left = found[:keep], found[keep:]
    more = sum((cost for *_, cost in left), Decimal())
    total = sum((cost for *_, cost in found), Decimal())
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


def _method(figures: DigestFigures, card: Scorecard | None, through: str) -> list[tuple[str, str]]:
    facts = figures.facts
    lines = [
        ("Settlement", f"{SETTLEMENTS.get(facts.settlement, facts.settlement)}. Data through {through}."),
        (
            "Amounts",
            f"{basis_words(figures.cost_basis)} in {tidy(figures.currency)}, by UTC day, exact, shown in cents.",
        ),
        ("Forecast", _forecast_words(card)),
    ]
    if card:
        lines.append(
            (
                "Lights",
                "red: over the budget, or expected to be; amber: near it, or the band reaches over it; green: within.",
            )
        )
    links = "; ".join(f"{label}: {url}" for label, url in figures.links.items() if url.startswith("https://"))
    if links:
        lines.append(("More", tidy(links, _PARAGRAPH)))
    if facts.left_out:
        lines.append(("Left out", tidy("; ".join(facts.left_out), _PARAGRAPH)))
    return lines


def _forecast_words(card: Scorecard | None) -> str:
    if card is None:
        return "none, as there is no scorecard of the day."
    if card.whole.p50 is None:
        return f"none yet: {tidy(card.why_no_forecast, 120) or 'too little history'}."
    error = "too few past forecasts to test it on" if card.error is None else f"median error {card.error * 100:.1f} %"
    return (
        f"month to date, plus a smoothed level times weekday factors of the last {WINDOW} days for the days left; "
        f"back-tested on past months: {error}."
    )


def _alts(figures: DigestFigures, card: Scorecard | None) -> dict[str, str]:
    """The charts for those who do not see them."""
    currency = tidy(figures.currency)
    totals = {d: sum(costs.values(), Decimal()) for d, costs in figures.costs.items()}
    low, high = min(totals, key=totals.get), max(totals, key=totals.get)
    month = f"Chart: month to date {money(figures.month.total, currency)}"
    if card and card.whole.budget is not None:
        month += f", budget {money(card.whole.budget, currency)}"
    if card and card.whole.p50 is not None:
        month += f", forecast {money(card.whole.p50, currency)}"
    return {
        "month": f"{month}.",
        "daily": (
            f"Chart: daily cost by OU, {stretch_words(min(totals), figures.day, figures.this_year)}, in {currency}. "
            f"Highest {figures.short_day(high)}: {money(totals[high])}. "
            f"Lowest {figures.short_day(low)}: {money(totals[low])}."
        ),
    }
