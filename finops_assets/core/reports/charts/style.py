"""What all charts share: colours, the frame around the layers, axes, and names cut to fit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from finops_assets.core.text import tidy

PALETTE = ("#1f5a96", "#e08a1e", "#2a9d8f", "#8e6bb8", "#c2506a")
"""Colours of the largest series, told apart by people who are colour-blind, on white and on near-black."""

REST = "\0rest"
"""The series of all that is not drawn by itself: no OU can be called so."""

REST_LABEL = "Other"
REST_COLOUR = "#9aa5b1"

LIGHT_COLOURS = {"green": "#2f7d4f", "amber": "#a8670c", "red": "#b42318", "no budget": "#52606d"}
"""Of the lights, dark enough to be read as text on white; a word and a shape always stand beside."""

INK, MUTED, _GRID = "#1f2933", "#52606d", "#eceff2"
_LABEL_LENGTH = 27

Spec = dict[str, Any]

DailyCost = Mapping[date, Mapping[str, Decimal]]
"""day -> series (an OU) -> cost; a day without an entry has no data, which is not the same as zero."""


def framed(layers: Sequence[Spec], title: Spec, *, width: int, height: int, legend: Spec | None = None) -> Spec:
    """The whole spec of a chart.

    Args:
        layers: what is drawn, from the bottom up.
        title: `title_of`.
        width, height: of the whole image in CSS pixels, margins included.
        legend: its configuration, where there is one.
    """
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": width,
        "height": height,
        "autosize": {"type": "fit", "contains": "padding"},
        "background": "white",
        "padding": {"left": 12, "right": 16, "top": 12, "bottom": 12},
        "title": title,
        "layer": list(layers),
        "config": {
            "font": "Helvetica, Arial, Liberation Sans, DejaVu Sans, sans-serif",
            "view": {"stroke": None},
            "axis": {"labelFontSize": 12, "labelColor": MUTED},
            **({"legend": legend} if legend else {}),
        },
    }


def title_of(text: str, subtitle: str | Sequence[str] = "") -> Spec:
    title: Spec = {
        "text": text,
        "anchor": "start",
        "frame": "bounds",
        "fontSize": 14,
        "fontWeight": "bold",
        "color": INK,
        "offset": 10,
    }
    if subtitle:
        title |= {
            "subtitle": subtitle if isinstance(subtitle, str) else list(subtitle),
            "subtitleColor": MUTED,
            "subtitleFontSize": 12,
            "subtitlePadding": 4,
        }
    return title


def day_axis(texts: Mapping[str, str], day: date) -> Spec:
    """The axis of days: a text for each that is labelled (ISO -> text), with the newest day in bold."""
    is_day = {"test": f"datum.value === '{day.isoformat()}'"}
    return {
        "title": None,
        "values": list(texts),
        "labelExpr": f"{json.dumps(texts)}[datum.value]",
        "labelAngle": 0,
        "labelOverlap": False,
        "labelFontWeight": {"condition": {**is_day, "value": "bold"}, "value": "normal"},
        "labelColor": {"condition": {**is_day, "value": INK}, "value": MUTED},
        "ticks": False,
        "domainColor": MUTED,
        "labelPadding": 6,
    }


def short_labels(names: Sequence[str]) -> dict[str, str]:
    """Names cut to fit a legend, the end of a path kept as it says most; still one label a name."""
    labels: dict[str, str] = {}
    for name in names:
        if name == REST:
            labels[name] = REST_LABEL if REST_LABEL not in labels.values() else f"{REST_LABEL} OUs"
            continue
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


def cost_axis(bars: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "format": _axis_format(bars),
        "labelExpr": "replace(datum.label, 'G', 'B')",
        "tickCount": 4,
        "gridColor": _GRID,
        "domain": False,
        "ticks": False,
        "labelPadding": 6,
    }


def cost_scale(bars: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of costs that are all 0, one that has 0 at the bottom: Vega would put it in the middle."""
    return {} if any(bar["cost"] for bar in bars) else {"domain": [0, 1]}


def _axis_format(bars: Sequence[Mapping[str, Any]]) -> str:
    largest = max((abs(bar["cost"]) for bar in bars), default=0)
    if largest >= 10_000:
        return "~s"
    return ",.0f" if largest >= 10 else ",.2f"
