"""The small parts that the dashboard's sheets and visuals are made of, as the API takes them."""

from __future__ import annotations

import hashlib
from typing import Any
from xml.sax.saxutils import escape

SUMMARY, DETAIL = "budgets-and-lights", "drill-through"
"""The sheets."""


LONGEST_VALUE = 512
"""Characters of a value that a filter takes."""


GRID = 36
"""Columns of a sheet's grid."""


BY_SCORECARD, BY_BREAKDOWN = "ou_scorecard", "ou_breakdown"
"""The data sets' names within the definition."""


OU = "ou"
"""The parameter: the OU that charts and the second sheet are about."""


def tile_id(ou: str) -> str:
    return "tile-" + hashlib.sha256(ou.encode()).hexdigest()[:12]


_SEPARATED = {"DecimalSeparator": "DOT", "ThousandsSeparator": {"Symbol": "COMMA", "Visibility": "VISIBLE"}}


def _numbers(kind: str, places: int) -> dict[str, Any]:
    formats = {"SeparatorConfiguration": _SEPARATED, "DecimalPlacesConfiguration": {"DecimalPlaces": places}}
    return {"NumberFormatConfiguration": {"FormatConfiguration": {f"{kind}DisplayFormatConfiguration": formats}}}


MONEY, NUMBER, PERCENT = _numbers("Number", 2), _numbers("Number", 1), _numbers("Percentage", 0)


DAY = {"DateTimeFormatConfiguration": {"DateTimeFormat": "YYYY-MM-DD"}}


def column_of(data_set: str, column: str) -> dict[str, str]:
    return {"DataSetIdentifier": data_set, "ColumnName": column}


def dimension(field: str, data_set: str, column: str, *, hierarchy: str = "") -> dict[str, Any]:
    within = {"HierarchyId": hierarchy} if hierarchy else {}
    return {"CategoricalDimensionField": {"FieldId": field, "Column": column_of(data_set, column), **within}}


def day_dimension(field: str, data_set: str) -> dict[str, Any]:
    return {
        "DateDimensionField": {
            "FieldId": field,
            "Column": column_of(data_set, "billingdate"),
            "DateGranularity": "DAY",
            "FormatConfiguration": DAY["DateTimeFormatConfiguration"],
        }
    }


def measure(field: str, data_set: str, column: str, function: str, formats: dict[str, Any]) -> dict[str, Any]:
    return {
        "NumericalMeasureField": {
            "FieldId": field,
            "Column": column_of(data_set, column),
            "AggregationFunction": {"SimpleNumericalAggregation": function},
            "FormatConfiguration": formats["NumberFormatConfiguration"],
        }
    }


def sort_by(field: str, direction: str) -> dict[str, Any]:
    return {"FieldSort": {"FieldId": field, "Direction": direction}}


def heading(text: str) -> dict[str, Any]:
    """A title: names of the bill may hold line breaks, and be longer than a title."""
    return {"Visibility": "VISIBLE", "FormatText": {"PlainText": " ".join(text.split())[:200] or "(no name)"}}


def text_box(key: str, text: str) -> dict[str, Any]:
    """A text box's content is XML."""
    return {"SheetTextBoxId": key, "Content": f"<text-box>{escape(' '.join(text.split()))}</text-box>"}


def place(key: str, kind: str, row: int, column: int, width: int, height: int) -> dict[str, Any]:
    return {
        "ElementId": key,
        "ElementType": kind,
        "RowIndex": row,
        "ColumnIndex": column,
        "ColumnSpan": width,
        "RowSpan": height,
    }


def grid(elements: list[dict[str, Any]], *, canvas: bool = True) -> dict[str, Any]:
    layout: dict[str, Any] = {"Elements": elements}
    if canvas:
        size = {"ScreenCanvasSizeOptions": {"ResizeOption": "FIXED", "OptimizedViewPortWidth": "1600px"}}
        layout["CanvasSizeOptions"] = size
    return {"Configuration": {"GridLayout": layout}}
