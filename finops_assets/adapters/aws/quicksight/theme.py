"""The dashboard's theme: the colours of the digest and of the platform's own dashboard, on white."""

from __future__ import annotations

from typing import Any

from finops_assets.core.analytics.budgets import AMBER, GREEN, RED
from finops_assets.core.reports.charts.style import LIGHT_COLOURS, PALETTE, REST_COLOUR

BASE_THEME = "CLASSIC"


COLOURS = {light: colour.upper() for light, colour in LIGHT_COLOURS.items()}


INK, MUTED, PAPER, LINE, BUDGET_COLOUR = "#1F2933", "#52606D", "#FFFFFF", "#D9DEE3", "#1F2933"


def theme() -> dict[str, Any]:
    """The colours of the digest and the platform's own dashboard, on white."""
    return {
        "DataColorPalette": {
            "Colors": [*(colour.upper() for colour in PALETTE), REST_COLOUR.upper()],
            "MinMaxGradient": ["#E6EEF6", PALETTE[0].upper()],
            "EmptyFillColor": "#EEF0F2",
        },
        "UIColorPalette": {
            "PrimaryForeground": INK,
            "PrimaryBackground": PAPER,
            "SecondaryForeground": MUTED,
            "SecondaryBackground": "#F5F7F9",
            "Accent": PALETTE[0].upper(),
            "AccentForeground": PAPER,
            "Danger": COLOURS[RED],
            "DangerForeground": PAPER,
            "Warning": COLOURS[AMBER],
            "WarningForeground": PAPER,
            "Success": COLOURS[GREEN],
            "SuccessForeground": PAPER,
            "Dimension": INK,
            "DimensionForeground": PAPER,
            "Measure": PALETTE[0].upper(),
            "MeasureForeground": PAPER,
        },
        "Sheet": {
            "Tile": {"Border": {"Show": True}},
            "TileLayout": {"Gutter": {"Show": True}, "Margin": {"Show": True}},
        },
    }
