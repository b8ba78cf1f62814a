"""The chart of daily cost by OU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal

from finops_assets.core.calendar import short_day
from finops_assets.core.money import money
from finops_assets.core.reports.charts.style import (
    INK,
    MUTED,
    PALETTE,
    REST,
    REST_COLOUR,
    DailyCost,
    Spec,
    cost_axis,
    cost_scale,
    day_axis,
    framed,
    short_labels,
    title_of,
)

_PLOT_WIDTH = 540
_FEWEST_DAYS = 14
"""Room for this many days is kept, so that a new archive's first bars are bars and not walls."""


def series_colours(costs: DailyCost, top: int = len(PALETTE)) -> dict[str, str]:
    """The largest series over all the days, largest first, each with its colour; what is not in it is `Other`."""
    totals: dict[str, Decimal] = {}
    for of_day in costs.values():
        for name, cost in of_day.items():
            totals[name] = totals.get(name, Decimal()) + abs(cost)
    largest = sorted(totals, key=lambda name: (-totals[name], name))
    return dict(zip(largest[:top], PALETTE, strict=False))


def daily_cost_spec(
    costs: DailyCost,
    day: date,
    *,
    currency: str,
    basis: str,
    scheduled: Mapping[date, Decimal] | None = None,
    width: int = 640,
    height: int = 236,
    top: int = len(PALETTE),
) -> Spec:
    """Daily cost stacked by the largest series, with `day` highlighted and labelled, as a Vega-Lite spec.

    Args:
        costs: cost of each day by series; days without data between the first and `day` are marked as such.
        day: the day that stands out; later days are not drawn.
        currency, basis: named in the title, e.g. `USD` and `billed cost`.
        scheduled: the part of a day's cost that is not usage of it; drawn as an outlined part at the bar's end.
        width, height: of the whole image in CSS pixels, legend and margins included.
        top: series drawn by themselves, five at most; the others are summed as `Other`.
    """
    oldest = min((d for d in costs if d <= day), default=day)
    first = min(oldest, day - timedelta(_FEWEST_DAYS - 1))
    days = [first + timedelta(n) for n in range((day - first).days + 1)]
    colours = series_colours({d: costs[d] for d in days if d in costs}, top)
    labels = short_labels([*colours, REST])
    bars = _bars(costs, days, day, labels)
    marks = _scheduled(costs, days, scheduled or {})
    missing = [{"day": d.isoformat(), "text": "no data"} for d in days if d > oldest and d not in costs]
    x = {
        "field": "day",
        "type": "ordinal",
        "scale": {"domain": [d.isoformat() for d in days], "paddingInner": 0.18, "paddingOuter": 0.1},
        "axis": _day_axis(days, day),
    }
    palette = {labels[name]: colour for name, colour in {**colours, REST: REST_COLOUR}.items()}
    layers = [_bar_layer(bars, palette, x, currency)]
    if marks:
        layers.append(_scheduled_layer(marks, x))
    if missing:
        layers.append(_missing_layer(missing, x))
    if day in costs:
        layers.append(_day_label(costs, marks, days, x))
    years = str(day.year) if oldest.year == day.year else f"{oldest.year}\u2013{day.year}"
    title = title_of(
        f"Daily cost by OU in {currency}, {basis}, {years}",
        "Outlined part of a bar: scheduled charges (tax, fees, credits, refunds), not usage of the day"
        if marks
        else "",
    )
    return framed(layers, title, width=width, height=height, legend={"labelFontSize": 12, "labelColor": INK})


def _bar_layer(bars: Sequence[Spec], colours: Mapping[str, str], x: Spec, currency: str) -> Spec:
    """The stacked bars.

    Args:
        bars: a part of a bar each.
        colours: label -> colour, in the order of the stack; the rest included.
        x: the encoding of days.
        currency: named in the tooltip.
    """
    drawn = [name for name in colours if any(bar["series"] == name for bar in bars)]
    return {
        "data": {"values": bars},
        "mark": {"type": "bar", "stroke": "white", "strokeWidth": 0.4},
        "encoding": {
            "x": x,
            "y": {
                "field": "cost",
                "type": "quantitative",
                "stack": "zero",
                "title": None,
                "scale": cost_scale(bars),
                "axis": cost_axis(bars),
            },
            "order": {"field": "rank", "type": "quantitative"},
            "color": {
                "field": "series",
                "type": "nominal",
                "scale": {"domain": drawn, "range": [colours[name] for name in drawn]},
                "legend": {
                    "title": None,
                    "orient": "bottom",
                    "columns": 3,
                    "symbolType": "square",
                    "symbolSize": 120,
                    "symbolOpacity": 1,
                    "labelLimit": 210,
                    "columnPadding": 18,
                    "rowPadding": 3,
                    "offset": 8,
                },
            },
            "opacity": {"condition": {"test": "datum.focus", "value": 1}, "value": 0.62},
            "tooltip": [
                {"field": "day", "type": "nominal", "title": "Day"},
                {"field": "name", "type": "nominal", "title": "OU"},
                {"field": "shown", "type": "nominal", "title": currency},
            ],
        },
    }


def _scheduled_layer(marks: Sequence[Spec], x: Spec) -> Spec:
    return {
        "data": {"values": marks},
        "mark": {"type": "bar", "fill": "white", "fillOpacity": 0.5, "stroke": INK, "strokeWidth": 1.1},
        "encoding": {
            "x": x,
            "y": {"field": "from", "type": "quantitative", "stack": None},
            "y2": {"field": "to"},
            "tooltip": [{"field": "shown", "type": "nominal", "title": "Scheduled charges"}],
        },
    }


def _missing_layer(missing: Sequence[Spec], x: Spec) -> Spec:
    return {
        "data": {"values": missing},
        "mark": {"type": "text", "angle": 270, "align": "left", "dx": 4, "fontSize": 11, "color": MUTED},
        "encoding": {"x": x, "y": {"datum": 0}, "text": {"field": "text"}},
    }


def _bars(costs: DailyCost, days: Sequence[date], day: date, labels: Mapping[str, str]) -> list[Spec]:
    rank = {name: place for place, name in enumerate(labels)}
    bars = []
    for d in days:
        stacked: dict[str, Decimal] = {}
        for name, cost in costs.get(d, {}).items():
            kept = name if name in labels else REST
            stacked[kept] = stacked.get(kept, Decimal()) + cost
        bars += [
            {
                "day": d.isoformat(),
                "series": labels[name],
                "name": labels[REST] if name == REST else name,
                "cost": float(cost),
                "shown": money(cost),
                "rank": rank[name],
                "focus": d == day,
            }
            for name, cost in stacked.items()
        ]
    return bars


def _scheduled(costs: DailyCost, days: Sequence[date], scheduled: Mapping[date, Decimal]) -> list[Spec]:
    """From the day's usage to its total: the part that is scheduled; credits reach above the total."""
    marks: list[Spec] = []
    for d in days:
        if d in costs and scheduled.get(d):
            total = sum(costs[d].values(), Decimal())
            marks.append(
                {
                    "day": d.isoformat(),
                    "from": float(total - scheduled[d]),
                    "to": float(total),
                    "shown": money(scheduled[d]),
                }
            )
    return marks


def _day_axis(days: Sequence[date], day: date) -> Spec:
    """Mondays and the day itself; a Monday too near to it makes room."""
    labelled = [d for d in days if d.weekday() == 0 and (day - d).days > 5] + [day]
    at_the_edge = {"condition": {"test": f"datum.value === '{day.isoformat()}'", "value": "right"}, "value": "center"}
    axis = day_axis({d.isoformat(): short_day(d, weekday=d == day) for d in labelled}, day)
    return axis | {"labelAlign": at_the_edge}


def _day_label(costs: DailyCost, marks: Sequence[Spec], days: Sequence[date], x: Spec) -> Spec:
    """The newest day's total above its bar, and above the neighbours that the text reaches over."""
    outlined = {mark["day"]: mark["from"] for mark in marks}

    def top(d: date) -> float:
        stack = sum((cost for cost in costs.get(d, {}).values() if cost > 0), Decimal())
        return max(float(stack), outlined.get(d.isoformat(), 0.0))

    text = money(sum(costs[days[-1]].values(), Decimal()))
    beneath = 1 + len(text) * 8 * len(days) // _PLOT_WIDTH
    own = top(days[-1])
    label = {"day": days[-1].isoformat(), "own": own, "at": max(own, *map(top, days[-beneath:])), "text": text}
    y = {"field": "at", "type": "quantitative"}
    words = {
        "type": "text",
        "align": "right",
        "baseline": "bottom",
        "dx": 6,
        "dy": -3,
        "fontSize": 13,
        "fontWeight": "bold",
        "color": INK,
    }
    return {
        "data": {"values": [label]},
        "layer": [
            {"mark": {"type": "rule", "color": INK}, "encoding": {"x": x, "y": y, "y2": {"field": "own"}}},
            {"mark": words, "encoding": {"x": x, "y": y, "text": {"field": "text"}}},
        ],
    }
