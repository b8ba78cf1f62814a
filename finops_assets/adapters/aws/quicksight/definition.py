"""The dashboard's definition as CreateDashboard takes it: two sheets, their visuals in place, filters and controls.

`Budgets and lights` has tiles, budget against forecast, and every OU with its light; `Drill-through` goes from OU to
service to account, as tables and a line, and lists anomalies. Nothing is asked of AWS here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from finops_assets.adapters.aws.quicksight import visuals
from finops_assets.adapters.aws.quicksight.data_sets import light_shown
from finops_assets.adapters.aws.quicksight.parts import (
    BY_BREAKDOWN,
    BY_SCORECARD,
    DETAIL,
    GRID,
    LONGEST_VALUE,
    OU,
    SUMMARY,
    column_of,
    grid,
    place,
    text_box,
    tile_id,
)
from finops_assets.core.accounts.ous import ALL
from finops_assets.core.analytics.budgets import AMBER, GREEN, NONE, RED

MOST_TILES = 12
TILES_A_ROW = 6

SHOWN_DAYS = 60
"""Days that charts show by default."""


def definition(
    scorecard_arn: str, breakdown_arn: str, *, tiles: Iterable[str], currency: str, cost_basis: str, amber: float
) -> dict[str, Any]:
    """The dashboard as CreateDashboard takes it.

    Args:
        scorecard_arn, breakdown_arn: of the data sets.
        tiles: OUs that have a tile of their own, after that of the whole; past MOST_TILES they have none.
        currency, cost_basis: of every amount; empty where nothing is archived yet.
        amber: share of a budget from which on its light is amber.
    """
    unit = ", ".join(word for word in (currency, cost_basis) if word) or "billing currency"
    shown = [ou for ou in dict.fromkeys([ALL, *tiles]) if len(ou) <= LONGEST_VALUE][:MOST_TILES]
    return {
        "DataSetIdentifierDeclarations": [
            {"Identifier": BY_SCORECARD, "DataSetArn": scorecard_arn},
            {"Identifier": BY_BREAKDOWN, "DataSetArn": breakdown_arn},
        ],
        "ParameterDeclarations": [
            {
                "StringParameterDeclaration": {
                    "ParameterValueType": "SINGLE_VALUED",
                    "Name": OU,
                    "DefaultValues": {"StaticValues": [ALL]},
                }
            }
        ],
        "CalculatedFields": [
            # An OU contains what lies below it; the breakdown names the OU that owns the account.
            {
                "DataSetIdentifier": data_set,
                "Name": "chosen",
                "Expression": f"ifelse(${{{OU}}} = '{ALL}', 'yes', {{ou}} = ${{{OU}}}, 'yes', "
                f"startsWith({{ou}}, concat(${{{OU}}}, '/')), 'yes', 'no')",
            }
            for data_set in (BY_SCORECARD, BY_BREAKDOWN)
        ],
        "FilterGroups": _filters(shown),
        "Sheets": [_summary(shown, unit, amber), _detail(unit)],
        "Options": {"WeekStart": "MONDAY"},
    }


def _summary(tiles: Sequence[str], unit: str, amber: float) -> dict[str, Any]:
    rows = -(-len(tiles) // TILES_A_ROW)
    width, top = GRID // TILES_A_ROW, 3
    below = top + rows * 5
    layout = [place("heading", "TEXT_BOX", 0, 0, GRID, top)]
    layout += [
        place(tile_id(ou), "VISUAL", top + n // TILES_A_ROW * 5, n % TILES_A_ROW * width, width, 5)
        for n, ou in enumerate(tiles)
    ]
    layout += [
        place("budget-and-forecast", "VISUAL", below, 0, 24, 12),
        place("shares", "VISUAL", below, 24, 12, 12),
        place("ous", "VISUAL", below + 12, 0, GRID, 14),
    ]
    return {
        "SheetId": SUMMARY,
        "Name": "Budgets and lights",
        "Title": "Budgets and lights",
        "ContentType": "INTERACTIVE",
        "ParameterControls": [_ou_control("summary-ou")],
        "FilterControls": [_date_control("summary-dates", "scorecard-dates")],
        "TextBoxes": [
            text_box(
                "heading",
                f"Amounts in {unit}. {', '.join(light_shown(light) for light in (GREEN, AMBER, RED, NONE))}. "
                "Tiles: share of the month's budget that is expected to be spent. Click a tile or an OU to open it. "
                "The table of OUs says through which day the data are.",
            )
        ],
        "Visuals": [
            *(visuals.tile(ou, amber) for ou in tiles),
            visuals.budget_and_forecast(unit),
            visuals.shares(),
            visuals.ous(unit),
        ],
        "Layouts": [grid(layout)],
        "SheetControlLayouts": [
            grid(
                [
                    place("summary-ou", "PARAMETER_CONTROL", 0, 0, 12, 2),
                    place("summary-dates", "FILTER_CONTROL", 0, 12, 12, 2),
                ],
                canvas=False,
            )
        ],
    }


def _detail(unit: str) -> dict[str, Any]:
    return {
        "SheetId": DETAIL,
        "Name": "Drill-through",
        "Title": "Drill-through",
        "ContentType": "INTERACTIVE",
        "ParameterControls": [_ou_control("detail-ou")],
        "FilterControls": [_date_control("detail-dates", "breakdown-dates")],
        "TextBoxes": [
            text_box(
                "path",
                f"OU, then service, then account: click a row, and what lies behind it remains. Amounts in {unit}.",
            )
        ],
        "Visuals": [
            visuals.costs_by_day(unit),
            visuals.costs("by-ou", "By OU", "ou", unit, narrows=["by-service", "by-account", "daily"]),
            visuals.costs("by-service", "By service", "service", unit, narrows=["by-account", "daily"]),
            visuals.costs("by-account", "By linked account", "linkedaccount", unit, narrows=["daily"]),
            visuals.anomalies(unit),
        ],
        "Layouts": [
            grid(
                [
                    place("path", "TEXT_BOX", 0, 0, GRID, 2),
                    place("daily", "VISUAL", 2, 0, GRID, 11),
                    place("by-ou", "VISUAL", 13, 0, 12, 14),
                    place("by-service", "VISUAL", 13, 12, 12, 14),
                    place("by-account", "VISUAL", 13, 24, 12, 14),
                    place("anomalies", "VISUAL", 27, 0, GRID, 12),
                ]
            )
        ],
        "SheetControlLayouts": [
            grid(
                [
                    place("detail-ou", "PARAMETER_CONTROL", 0, 0, 12, 2),
                    place("detail-dates", "FILTER_CONTROL", 0, 12, 12, 2),
                ],
                canvas=False,
            )
        ],
    }


# --- filters and controls -----------------------------------------------------------------------------------------


def _filters(tiles: Sequence[str]) -> list[dict[str, Any]]:
    newest = [*map(tile_id, tiles), "shares", "ous"]
    chosen = {
        "CustomFilterConfiguration": {
            "MatchOperator": "EQUALS",
            "ParameterName": OU,
            "NullOption": "NON_NULLS_ONLY",
        }
    }
    return [
        _filter("newest-day", _is(BY_SCORECARD, "latest", "yes", "newest-day"), SUMMARY, newest),
        *(
            _filter(f"of-{tile_id(ou)}", _is(BY_SCORECARD, "ou", ou, f"of-{tile_id(ou)}"), SUMMARY, [tile_id(ou)])
            for ou in tiles
        ),
        _filter("chart-ou", _category(BY_SCORECARD, "ou", chosen, "chart-ou"), SUMMARY, ["budget-and-forecast"]),
        _filter("scorecard-dates", _dates(BY_SCORECARD, "scorecard-dates"), SUMMARY, ["budget-and-forecast"]),
        _filter("breakdown-dates", _dates(BY_BREAKDOWN, "breakdown-dates"), DETAIL, _BREAKDOWN_VISUALS),
        _filter("breakdown-ou", _is(BY_BREAKDOWN, "chosen", "yes", "breakdown-ou"), DETAIL, _BREAKDOWN_VISUALS),
        _filter("anomalies-only", _is(BY_SCORECARD, "anomaly", "yes", "anomalies-only"), DETAIL, ["anomalies"]),
        _filter("anomalies-ou", _is(BY_SCORECARD, "chosen", "yes", "anomalies-ou"), DETAIL, ["anomalies"]),
    ]


_BREAKDOWN_VISUALS = ["daily", "by-ou", "by-service", "by-account"]


def _filter(key: str, of: dict[str, Any], sheet: str, visuals: list[str]) -> dict[str, Any]:
    scope = {"SheetId": sheet, "Scope": "SELECTED_VISUALS", "VisualIds": visuals}
    return {
        "FilterGroupId": f"group-{key}",
        "Filters": [of],
        "ScopeConfiguration": {"SelectedSheets": {"SheetVisualScopingConfigurations": [scope]}},
        "Status": "ENABLED",
        "CrossDataset": "SINGLE_DATASET",
    }


def _category(data_set: str, column: str, configuration: dict[str, Any], key: str) -> dict[str, Any]:
    return {"CategoryFilter": {"FilterId": key, "Column": column_of(data_set, column), "Configuration": configuration}}


def _is(data_set: str, column: str, value: str, key: str) -> dict[str, Any]:
    wanted = {"FilterListConfiguration": {"MatchOperator": "CONTAINS", "CategoryValues": [value]}}
    return _category(data_set, column, wanted, key)


def _dates(data_set: str, key: str) -> dict[str, Any]:
    return {
        "TimeRangeFilter": {
            "FilterId": key,
            "Column": column_of(data_set, "billingdate"),
            "IncludeMinimum": True,
            "IncludeMaximum": True,
            "RangeMinimumValue": {
                "RollingDate": {"Expression": f"addDateTime(-{SHOWN_DAYS}, 'DD', truncDate('DD', now()))"}
            },
            "RangeMaximumValue": {"RollingDate": {"Expression": "truncDate('DD', now())"}},
            "NullOption": "NON_NULLS_ONLY",
            "TimeGranularity": "DAY",
        }
    }


def _ou_control(key: str) -> dict[str, Any]:
    return {
        "Dropdown": {
            "ParameterControlId": key,
            "Title": "OU",
            "SourceParameterName": OU,
            "Type": "SINGLE_SELECT",
            "SelectableValues": {"LinkToDataSetColumn": column_of(BY_SCORECARD, "ou")},
        }
    }


def _date_control(key: str, filter_id: str) -> dict[str, Any]:
    return {
        "DateTimePicker": {
            "FilterControlId": key,
            "Title": "Days",
            "SourceFilterId": filter_id,
            "Type": "DATE_RANGE",
            "DisplayOptions": {"DateTimeFormat": "YYYY-MM-DD"},
        }
    }
