"""The chart of a month: cost so far against budget and forecast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.analytics.budgets import SHAPES
from finops_assets.core.calendar import MONTHS, month_end, short_day
from finops_assets.core.money import money
from finops_assets.core.reports.charts.style import (
    INK,
    LIGHT_COLOURS,
    PALETTE,
    Spec,
    cost_axis,
    cost_scale,
    day_axis,
    framed,
    short_labels,
    title_of,
)

if TYPE_CHECKING:
    from finops_assets.core.analytics.scorecard import Score


def month_spec(
    costs: Mapping[date, Decimal],
    score: Score,
    *,
    day: date,
    currency: str,
    basis: str,
    name: str = "",
    width: int = 640,
    height: int = 236,
) -> Spec:
    """An OU's month against its budget: cost so far as bars, the forecast to the month's end with its band.

    Bars over the budget are red; the forecast has the colour of the light.

    Args:
        costs: of each day of the month, at least; a day without an entry has no data, and no bar.
        score: the OU's on `day`: budget, forecast and light.
        day: the newest day; later ones are not drawn.
        currency, basis: named in the title.
        name: what the OU is called in the title; its path by default.
        width, height: of the whole image in CSS pixels.
    """
    last = month_end(day)
    days = [day.replace(day=1) + timedelta(n) for n in range(last.day)]
    bars = _bars(costs, days, day, score.budget)
    budget = None if score.budget is None else float(score.budget)
    x: Spec = {
        "field": "day",
        "type": "ordinal",
        "scale": {"domain": [d.isoformat() for d in days], "paddingInner": 0.2, "paddingOuter": 0.1},
        "axis": _month_axis(days, day),
    }
    y: Spec = {
        "field": "cost",
        "type": "quantitative",
        "title": None,
        "scale": cost_scale([*bars, *({"cost": float(cost)} for cost in (score.budget, score.p50, score.p90) if cost)]),
        "axis": cost_axis([*bars, {"cost": budget or 0.0}]),
    }
    layers: list[Spec] = [
        {
            "data": {"values": bars},
            "mark": {"type": "bar"},
            "encoding": {
                "x": x,
                "y": y,
                "color": {"condition": {"test": "datum.over", "value": LIGHT_COLOURS["red"]}, "value": PALETTE[0]},
                "opacity": {"condition": {"test": f"datum.day === '{day.isoformat()}'", "value": 1}, "value": 0.72},
                "tooltip": [
                    {"field": "day", "type": "nominal", "title": "Month to"},
                    {"field": "shown", "type": "nominal", "title": currency},
                ],
            },
        },
        *_forecast_layers(score, day, last, x),
    ]
    if score.budget is not None:
        layers += _budget_layers(score.budget, days, x)
    light = score.light if score.reason == score.light else f"{score.light}: {score.reason}"
    (called,) = short_labels([name or score.ou]).values()
    title = title_of(
        f"{called}: {MONTHS[day.month - 1]} {day.year} against budget and forecast",
        [f"{SHAPES[score.light]} {light}", f"{_forecast_words(score, day, last)} In {currency}, {basis}"],
    )
    return framed(layers, title | {"limit": width - 28}, width=width, height=height)


def _bars(costs: Mapping[date, Decimal], days: Sequence[date], day: date, budget: Decimal | None) -> list[Spec]:
    """The month to each day, and whether that is over the budget."""
    bars, total = [], Decimal()
    for d in days:
        if d <= day and d in costs:
            total += costs[d]
            over = budget is not None and total > budget
            bars.append({"day": d.isoformat(), "cost": float(total), "over": over, "shown": money(total)})
    return bars


def _forecast_words(score: Score, day: date, last: date) -> str:
    if score.p50 is None:
        return "No forecast."
    if score.p10 is None or score.p90 is None or day >= last:
        return f"Forecast {money(score.p50)}."
    return f"Forecast {money(score.p50)} ({money(score.p10)} to {money(score.p90)})."


def _forecast_layers(score: Score, day: date, last: date, x: Spec) -> list[Spec]:
    """From the month so far to where it is expected to end; nothing on the last day, or without a forecast."""
    if score.p50 is None or day >= last:
        return []
    ends = (score.p50, *(score.p50 if end is None else end for end in (score.p10, score.p90)))
    now, colour = float(score.month_to_date), LIGHT_COLOURS[score.light]
    p50, low, high = map(float, ends)
    from_to = [
        {"day": day.isoformat(), "cost": now, "low": now, "high": now},
        {"day": last.isoformat(), "cost": p50, "low": low, "high": high},
    ]
    along = {"x": x, "y": {"field": "cost", "type": "quantitative"}}
    return [
        {
            "data": {"values": from_to},
            "mark": {"type": "area", "color": colour, "opacity": 0.2},
            "encoding": {"x": x, "y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"}},
        },
        {
            "data": {"values": from_to},
            "mark": {"type": "line", "color": colour, "strokeDash": [5, 3], "strokeWidth": 2},
            "encoding": along,
        },
        {
            "data": {"values": from_to[1:]},
            "mark": {"type": "point", "filled": True, "size": 50, "color": colour, "opacity": 1},
            "encoding": along,
        },
    ]


def _budget_layers(budget: Decimal, days: Sequence[date], x: Spec) -> list[Spec]:
    at = {"field": "cost", "type": "quantitative"}
    label = {"day": days[0].isoformat(), "cost": float(budget), "text": f"budget {money(budget)}"}
    return [
        {
            "data": {"values": [label]},
            "mark": {"type": "rule", "color": INK, "strokeWidth": 1.5},
            "encoding": {"y": at},
        },
        {
            "data": {"values": [label]},
            "mark": {
                "type": "text",
                "align": "left",
                "baseline": "bottom",
                "dx": -6,
                "dy": -3,
                "fontSize": 12,
                "color": INK,
            },
            "encoding": {"x": x, "y": at, "text": {"field": "text"}},
        },
    ]


def _month_axis(days: Sequence[date], day: date) -> Spec:
    """The first, the last, the newest day, and every fifth that is not too near to one of them."""
    fixed = {days[0], days[-1], day}
    shown = sorted(fixed | {d for d in days if d.day % 5 == 0 and all(abs((d - f).days) > 2 for f in fixed)})
    if 0 < (days[-1] - day).days <= 2:
        shown.remove(days[-1])
    return day_axis({d.isoformat(): short_day(d, weekday=False) for d in shown}, day)
