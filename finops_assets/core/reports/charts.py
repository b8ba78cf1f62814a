"""Charts as plain Vega-Lite specs, and their PNG. No figures are computed here, and nothing is read or written.

A spec is a dict: the same one is an image in the mail and interactive in a page. vl_convert needs no browser; it is
imported where it is used, as its first render in a process takes 0.5 s.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_assets.core.calendar import MONTHS, short_day
from finops_assets.core.money import money
from finops_assets.core.text import tidy, visible

if TYPE_CHECKING:
    from finops_assets.core.analytics.scorecard import Score

PALETTE = ("#1f5a96", "#e08a1e", "#2a9d8f", "#8e6bb8", "#c2506a")
"""Colours of the largest series, told apart by people who are colour-blind, on white and on near-black."""

REST = "Other"
REST_COLOUR = "#9aa5b1"
_INK, _MUTED, _GRID = "#1f2933", "#52606d", "#eceff2"
_LABEL_LENGTH = 27
_PLOT_WIDTH = 540
_FEWEST_DAYS = 14
"""Room for this many days is kept, so that a new archive's first bars are bars and not walls."""


DailyCost = Mapping[date, Mapping[str, Decimal]]
"""day -> series (an OU) -> cost; a day without an entry has no data, which is not the same as zero."""


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
) -> dict[str, Any]:
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
    labels = _short_labels([*colours, REST])
    bars = _bars(costs, days, day, labels)
    marks = _scheduled(costs, days, scheduled or {})
    missing = [{"day": d.isoformat(), "text": "no data"} for d in days if d > oldest and d not in costs]
    drawn = [name for name in labels.values() if any(bar["series"] == name for bar in bars)]
    palette = {labels[name]: colour for name, colour in {**colours, REST: REST_COLOUR}.items()}
    x = {
        "field": "day",
        "type": "ordinal",
        "scale": {"domain": [d.isoformat() for d in days], "paddingInner": 0.18, "paddingOuter": 0.1},
        "axis": _day_axis(days, day),
    }
    layers: list[dict[str, Any]] = [
        {
            "data": {"values": bars},
            "mark": {"type": "bar", "stroke": "white", "strokeWidth": 0.4},
            "encoding": {
                "x": x,
                "y": {
                    "field": "cost",
                    "type": "quantitative",
                    "stack": "zero",
                    "title": None,
                    "scale": _cost_scale(bars),
                    "axis": _cost_axis(bars),
                },
                "order": {"field": "rank", "type": "quantitative"},
                "color": {
                    "field": "series",
                    "type": "nominal",
                    "scale": {"domain": drawn, "range": [palette[name] for name in drawn]},
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
    ]
    if marks:
        layers.append(
            {
                "data": {"values": marks},
                "mark": {"type": "bar", "fill": "white", "fillOpacity": 0.5, "stroke": _INK, "strokeWidth": 1.1},
                "encoding": {
                    "x": x,
                    "y": {"field": "from", "type": "quantitative", "stack": None},
                    "y2": {"field": "to"},
                    "tooltip": [{"field": "shown", "type": "nominal", "title": "Scheduled charges"}],
                },
            }
        )
    if missing:
        layers.append(
            {
                "data": {"values": missing},
                "mark": {"type": "text", "angle": 270, "align": "left", "dx": 4, "fontSize": 11, "color": _MUTED},
                "encoding": {"x": x, "y": {"datum": 0}, "text": {"field": "text"}},
            }
        )
    if day in costs:
        layers.append(_day_label(costs, marks, days, x))
    years = str(day.year) if oldest.year == day.year else f"{oldest.year}\u2013{day.year}"
    title: dict[str, Any] = {
        "text": f"Daily cost by OU in {currency}, {basis}, {years}",
        "anchor": "start",
        "frame": "bounds",
        "fontSize": 14,
        "fontWeight": "bold",
        "color": _INK,
        "offset": 10,
    }
    if marks:
        title |= {
            "subtitle": "Outlined part of a bar: scheduled charges (tax, fees, credits, refunds), not usage of the day",
            "subtitleColor": _MUTED,
            "subtitleFontSize": 12,
            "subtitlePadding": 4,
        }
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": width,
        "height": height,
        "autosize": {"type": "fit", "contains": "padding"},
        "background": "white",
        "padding": {"left": 12, "right": 16, "top": 12, "bottom": 12},
        "title": title,
        "layer": layers,
        "config": {
            "font": "Helvetica, Arial, Liberation Sans, DejaVu Sans, sans-serif",
            "view": {"stroke": None},
            "axis": {"labelFontSize": 12, "labelColor": _MUTED},
            "legend": {"labelFontSize": 12, "labelColor": _INK},
        },
    }


def to_png(spec: Mapping[str, Any], scale: float = 2) -> bytes:
    """The spec as a PNG of `scale` device pixels per CSS pixel. Nothing is loaded from the network."""
    import vl_convert

    return _packed(vl_convert.vegalite_to_png(json.dumps(_drawable(spec)), scale=scale, allowed_base_urls=[]))


def to_svg(spec: Mapping[str, Any]) -> str:
    """The spec as SVG, with its text as text. Nothing is loaded from the network."""
    import vl_convert

    return vl_convert.vegalite_to_svg(json.dumps(_drawable(spec)), allowed_base_urls=[])


def _drawable(part: Any) -> Any:
    """A spec of harmless text: a name with a character that XML does not have makes the renderer end the process."""
    if isinstance(part, str):
        return visible(part)
    if isinstance(part, list | tuple):
        return [_drawable(each) for each in part]
    if isinstance(part, Mapping):
        return {_drawable(name): _drawable(each) for name, each in part.items()}
    return part


def _packed(png: bytes) -> bytes:
    """The same image with its data compressed well: vl_convert hardly does, and a mail is a quarter of the size."""
    parts, pixels, at = [png[:8]], b"", 8
    while at < len(png):
        length = int.from_bytes(png[at : at + 4])
        kind, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += length + 12
        if kind == b"IDAT":
            pixels += body
            continue
        if kind == b"IEND":
            parts.append(_chunk(b"IDAT", zlib.compress(zlib.decompress(pixels), 6)))
        parts.append(_chunk(kind, body))
    return b"".join(parts)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4) + kind + body + zlib.crc32(kind + body).to_bytes(4)


def _short_labels(names: Sequence[str]) -> dict[str, str]:
    """Names cut to fit a legend, the end of a path kept as it says most; still one label a name."""
    labels: dict[str, str] = {}
    for name in names:
        clean = tidy(name, 10 * _LABEL_LENGTH) or "(no name)"
        label = clean if len(clean) <= _LABEL_LENGTH else _end_of_path(clean)
        number = 2
        while label in labels.values():
            label = f"{label[: _LABEL_LENGTH - 4]} ({number})"
            number += 1
        labels[name] = label
    return labels


def _end_of_path(name: str) -> str:
    """The last levels of a path that fit, `…/Payments`; a level too long by itself loses its own beginning."""
    end = name[1 - _LABEL_LENGTH :]
    return "…" + end[end.index("/") :] if "/" in end else "…" + end


def _bars(costs: DailyCost, days: Sequence[date], day: date, labels: Mapping[str, str]) -> list[dict[str, Any]]:
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
                "name": name,
                "cost": float(cost),
                "shown": money(cost),
                "rank": rank[name],
                "focus": d == day,
            }
            for name, cost in stacked.items()
        ]
    return bars


def _scheduled(
    costs: DailyCost, days: Sequence[date], scheduled: Mapping[date, Decimal]
) -> list[dict[str, str | float]]:
    """From the day's usage to its total: the part that is scheduled; credits reach above the total."""
    marks = []
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


def _day_axis(days: Sequence[date], day: date) -> dict[str, Any]:
    """Mondays and the day itself; a Monday too near to it makes room."""
    shown = [d for d in days if d.weekday() == 0 and (day - d).days > 5] + [day]
    texts = {d.isoformat(): short_day(d, weekday=d == day) for d in shown}
    is_day = {"test": f"datum.value === '{day.isoformat()}'"}
    return {
        "title": None,
        "values": list(texts),
        "labelExpr": f"{json.dumps(texts)}[datum.value]",
        "labelAngle": 0,
        "labelOverlap": False,
        "labelAlign": {"condition": {**is_day, "value": "right"}, "value": "center"},
        "labelFontWeight": {"condition": {**is_day, "value": "bold"}, "value": "normal"},
        "labelColor": {"condition": {**is_day, "value": _INK}, "value": _MUTED},
        "ticks": False,
        "domainColor": _MUTED,
        "labelPadding": 6,
    }


def _cost_axis(bars: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "format": _axis_format(bars),
        "labelExpr": "replace(datum.label, 'G', 'B')",
        "tickCount": 4,
        "gridColor": _GRID,
        "domain": False,
        "ticks": False,
        "labelPadding": 6,
    }


def _cost_scale(bars: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of costs that are all 0, one that has 0 at the bottom: Vega would put it in the middle."""
    return {} if any(bar["cost"] for bar in bars) else {"domain": [0, 1]}


def _axis_format(bars: Sequence[Mapping[str, Any]]) -> str:
    largest = max((abs(bar["cost"]) for bar in bars), default=0)
    if largest >= 10_000:
        return "~s"
    return ",.0f" if largest >= 10 else ",.2f"


def _day_label(costs: DailyCost, marks: Sequence[Mapping[str, Any]], days: Sequence[date], x: dict) -> dict[str, Any]:
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
        "color": _INK,
    }
    return {
        "data": {"values": [label]},
        "layer": [
            {"mark": {"type": "rule", "color": _INK}, "encoding": {"x": x, "y": y, "y2": {"field": "own"}}},
            {"mark": words, "encoding": {"x": x, "y": y, "text": {"field": "text"}}},
        ],
    }


LIGHT_COLOURS = {"green": "#2f7d4f", "amber": "#a8670c", "red": "#b42318", "no budget": "#52606d"}
"""Of the lights of core.budgets, dark enough to be read as text on white; a word and a shape always stand beside."""


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
) -> dict[str, Any]:
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
    from finops_assets.core.analytics.budgets import SHAPES
    from finops_assets.core.analytics.forecast import month_end

    last = month_end(day)
    days = [day.replace(day=1) + timedelta(n) for n in range(last.day)]
    budget = None if score.budget is None else float(score.budget)
    bars, total = [], Decimal()
    for d in days:
        if d <= day and d in costs:
            total += costs[d]
            over = score.budget is not None and total > score.budget
            bars.append({"day": d.isoformat(), "cost": float(total), "over": over, "shown": money(total)})
    colour = LIGHT_COLOURS[score.light]
    x = {
        "field": "day",
        "type": "ordinal",
        "scale": {"domain": [d.isoformat() for d in days], "paddingInner": 0.2, "paddingOuter": 0.1},
        "axis": _month_axis(days, day),
    }
    y = {
        "field": "cost",
        "type": "quantitative",
        "title": None,
        "scale": _cost_scale(
            [*bars, *({"cost": float(cost)} for cost in (score.budget, score.p50, score.p90) if cost)]
        ),
        "axis": _cost_axis([*bars, {"cost": budget or 0.0}]),
    }
    layers: list[dict[str, Any]] = [
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
        *_forecast_layers(score, day, last, x, colour),
    ]
    if budget is not None:
        layers += _budget_layers(budget, money(score.budget), days, x)
    light = score.light if score.reason == score.light else f"{score.light}: {score.reason}"
    (called,) = _short_labels([name or score.ou]).values()
    expected = "No forecast."
    if score.p50 is not None:
        band = f" ({money(score.p10)} to {money(score.p90)})" if score.p10 is not None and day < last else ""
        expected = f"Forecast {money(score.p50)}{band}."
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": width,
        "height": height,
        "autosize": {"type": "fit", "contains": "padding"},
        "background": "white",
        "padding": {"left": 12, "right": 16, "top": 12, "bottom": 12},
        "title": {
            "text": f"{called}: {MONTHS[day.month - 1]} {day.year} against budget and forecast",
            "subtitle": [f"{SHAPES[score.light]} {light}", f"{expected} In {currency}, {basis}"],
            "subtitleColor": _MUTED,
            "subtitleFontSize": 12,
            "subtitlePadding": 4,
            "anchor": "start",
            "frame": "bounds",
            "fontSize": 14,
            "fontWeight": "bold",
            "color": _INK,
            "offset": 10,
            "limit": width - 28,
        },
        "layer": layers,
        "config": {
            "font": "Helvetica, Arial, Liberation Sans, DejaVu Sans, sans-serif",
            "view": {"stroke": None},
            "axis": {"labelFontSize": 12, "labelColor": _MUTED},
        },
    }


def _forecast_layers(score: Score, day: date, last: date, x: dict[str, Any], colour: str) -> list[dict[str, Any]]:
    """From the month so far to where it is expected to end; nothing on the last day, or without a forecast."""
    if score.p50 is None or day >= last:
        return []
    ends = (score.p50, *(score.p50 if end is None else end for end in (score.p10, score.p90)))
    now = float(score.month_to_date)
    from_to = [
        {"day": d.isoformat(), "cost": p50, "low": low, "high": high}
        for d, p50, low, high in ((day, now, now, now), (last, *map(float, ends)))
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


def _budget_layers(budget: float, words: str, days: Sequence[date], x: dict[str, Any]) -> list[dict[str, Any]]:
    at = {"field": "cost", "type": "quantitative"}
    label = {"day": days[0].isoformat(), "cost": budget, "text": f"budget {words}"}
    return [
        {
            "data": {"values": [label]},
            "mark": {"type": "rule", "color": _INK, "strokeWidth": 1.5},
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
                "color": _INK,
            },
            "encoding": {"x": x, "y": at, "text": {"field": "text"}},
        },
    ]


def _month_axis(days: Sequence[date], day: date) -> dict[str, Any]:
    """The first, the last, the newest day, and every fifth that is not too near to one of them."""
    fixed = {days[0], days[-1], day}
    shown = sorted(fixed | {d for d in days if d.day % 5 == 0 and all(abs((d - f).days) > 2 for f in fixed)})
    if 0 < (days[-1] - day).days <= 2:
        shown.remove(days[-1])
    texts = {d.isoformat(): short_day(d, weekday=False) for d in shown}
    is_day = {"test": f"datum.value === '{day.isoformat()}'"}
    return {
        "title": None,
        "values": list(texts),
        "labelExpr": f"{json.dumps(texts)}[datum.value]",
        "labelAngle": 0,
        "labelOverlap": False,
        "labelFontWeight": {"condition": {**is_day, "value": "bold"}, "value": "normal"},
        "labelColor": {"condition": {**is_day, "value": _INK}, "value": _MUTED},
        "ticks": False,
        "domainColor": _MUTED,
        "labelPadding": 6,
    }
