"""The dashboard's visuals, one function each, as the API takes them.

Every light stands as a shape and a word; colours only repeat it.
"""

from __future__ import annotations

from typing import Any

from finops_assets.adapters.aws.quicksight.data_sets import light_shown, light_starts
from finops_assets.adapters.aws.quicksight.parts import (
    BY_BREAKDOWN,
    BY_SCORECARD,
    DAY,
    DETAIL,
    MONEY,
    NUMBER,
    OU,
    PERCENT,
    column_of,
    day_dimension,
    dimension,
    heading,
    measure,
    sort_by,
    tile_id,
)
from finops_assets.adapters.aws.quicksight.theme import BUDGET_COLOUR, COLOURS
from finops_assets.core.analytics.budgets import AMBER, GREEN, NONE, RED
from finops_assets.core.reports.charts.style import PALETTE

FORECAST_COLOUR = PALETTE[3].upper()


def tile(ou: str, amber: float) -> dict[str, Any]:
    """An OU's expected share of its budget, with the shape and colour of its light.

    The target is where the light begins: a tile's formatting can only look at what the tile holds.
    """
    icons = {RED: "SQUARE", AMBER: "TRIANGLE", GREEN: "CIRCLE"}
    formats = []
    for light, start in light_starts(amber).items():
        met = f"MAX({{lightfrom}}) = {start}"
        colour = {"Solid": {"Expression": met, "Color": COLOURS[light]}}
        icon = {"Expression": met, "IconOptions": {"Icon": icons[light]}, "Color": COLOURS[light]}
        formats.append({"PrimaryValue": {"TextColor": colour, "Icon": {"CustomCondition": icon}}})
    key = tile_id(ou)
    return {
        "KPIVisual": {
            "VisualId": key,
            "Title": heading(ou),
            "Subtitle": heading("of the month's budget"),
            "ChartConfiguration": {
                "FieldWells": {
                    "Values": [measure(f"{key}-share", BY_SCORECARD, "budgetshare", "MAX", PERCENT)],
                    "TargetValues": [measure(f"{key}-from", BY_SCORECARD, "lightfrom", "MAX", PERCENT)],
                    "TrendGroups": [],
                },
                "KPIOptions": {
                    "PrimaryValueDisplayType": "ACTUAL",
                    "SecondaryValue": {"Visibility": "HIDDEN"},
                    "ProgressBar": {"Visibility": "HIDDEN"},
                    "TrendArrows": {"Visibility": "HIDDEN"},
                    "Comparison": {"ComparisonMethod": "DIFFERENCE"},
                },
            },
            "ConditionalFormatting": {"ConditionalFormattingOptions": formats},
            "Actions": [_open_detail(f"{key}-open", {"CustomValuesConfiguration": _only(ou)})],
        }
    }


def budget_and_forecast(unit: str) -> dict[str, Any]:
    """Bars: the month to date by day, in the colour of that day's light. Lines: the budget and the forecast."""
    lines = [
        measure("combo-budget", BY_SCORECARD, "budget", "SUM", MONEY),
        measure("combo-forecast", BY_SCORECARD, "forecastp50", "SUM", MONEY),
    ]
    styles = {"combo-budget": ("SOLID", BUDGET_COLOUR), "combo-forecast": ("DASHED", FORECAST_COLOUR)}
    lights = {light_shown(light): COLOURS[light] for light in (GREEN, AMBER, RED, NONE)}
    return {
        "ComboChartVisual": {
            "VisualId": "budget-and-forecast",
            "Title": heading(f"Month to date against budget and forecast ({unit})"),
            "Subtitle": heading("Bars: month to date, by the day's light. Line: budget. Dashed: forecast of the month"),
            "ChartConfiguration": {
                "FieldWells": {
                    "ComboChartAggregatedFieldWells": {
                        "Category": [day_dimension("combo-day", BY_SCORECARD)],
                        "BarValues": [measure("combo-spent", BY_SCORECARD, "monthtodate", "SUM", MONEY)],
                        "Colors": [dimension("combo-light", BY_SCORECARD, "lightshown")],
                        "LineValues": lines,
                    }
                },
                "SortConfiguration": {"CategorySort": [sort_by("combo-day", "ASC")]},
                "BarsArrangement": "STACKED",
                "Series": [
                    {
                        "FieldComboSeriesItem": {
                            "FieldId": field,
                            "Settings": {
                                "LineStyleSettings": {"LineStyle": style, "LineWidth": "2px"},
                                "MarkerStyleSettings": {"MarkerColor": colour},
                            },
                        }
                    }
                    for field, (style, colour) in styles.items()
                ],
                "VisualPalette": {
                    "ColorMap": [
                        {"Element": {"FieldId": "combo-light", "FieldValue": light}, "Color": colour}
                        for light, colour in lights.items()
                    ]
                    + [{"Element": {"FieldId": field}, "Color": colour} for field, (_, colour) in styles.items()]
                },
                # One axis: a budget and what is spent of it are of one measure.
                "SingleAxisOptions": {"YAxisOptions": {"YAxis": "PRIMARY_Y_AXIS"}},
                "Legend": {"Visibility": "VISIBLE", "Position": "BOTTOM"},
            },
        }
    }


def shares() -> dict[str, Any]:
    """Every OU's expected share of its budget, as bars in its light's colour; the light's word is in the legend."""
    return {
        "BarChartVisual": {
            "VisualId": "shares",
            "Title": heading("Expected share of the budget, newest day"),
            "ChartConfiguration": {
                "FieldWells": {
                    "BarChartAggregatedFieldWells": {
                        "Category": [dimension("shares-ou", BY_SCORECARD, "ou")],
                        "Values": [measure("shares-share", BY_SCORECARD, "budgetshare", "MAX", PERCENT)],
                        "Colors": [dimension("shares-light", BY_SCORECARD, "lightshown")],
                    }
                },
                "SortConfiguration": {
                    "CategorySort": [sort_by("shares-share", "DESC")],
                    "CategoryItemsLimit": {"ItemsLimit": 25, "OtherCategories": "EXCLUDE"},
                },
                "Orientation": "HORIZONTAL",
                "BarsArrangement": "STACKED",
                "VisualPalette": {
                    "ColorMap": [
                        {
                            "Element": {"FieldId": "shares-light", "FieldValue": light_shown(light)},
                            "Color": COLOURS[light],
                        }
                        for light in (GREEN, AMBER, RED, NONE)
                    ]
                },
                "DataLabels": {"Visibility": "VISIBLE", "Overlap": "DISABLE_OVERLAP"},
                "Legend": {"Visibility": "VISIBLE", "Position": "BOTTOM"},
            },
            "Actions": [_open_detail("shares-open", {"SourceField": "shares-ou"})],
        }
    }


def ous(unit: str) -> dict[str, Any]:
    """Every OU on the newest day, one row each, with its light as shape, word, colour and reason."""
    columns = {
        "ou": ("OU", None),
        "lightshown": ("Light", None),
        "billingdate": ("Data through", DAY),
        "lightreason": ("Why", None),
        "daycost": ("Day", MONEY),
        "monthtodate": ("Month to date", MONEY),
        "budget": ("Budget", MONEY),
        "forecastp10": ("Forecast, low", MONEY),
        "forecastp50": ("Forecast", MONEY),
        "forecastp90": ("Forecast, high", MONEY),
        "budgetshare": ("Share of budget", PERCENT),
        "budgetpassed": ("Budget passed", DAY),
        "anomalyreason": ("Anomaly", None),
        "settlement": ("Settlement", None),
        "currency": ("Currency", None),
        "costbasis": ("Cost basis", None),
    }
    table = _table("ous", f"OUs on the newest day ({unit})", columns, sort_by("ous-budgetshare", "DESC"))
    table["TableVisual"]["ConditionalFormatting"] = {
        "ConditionalFormattingOptions": [
            {
                "Cell": {
                    "FieldId": "ous-lightshown",
                    "TextFormat": {
                        "TextColor": {
                            "Solid": {
                                "Expression": f'{{lightshown}} = "{light_shown(light)}"',
                                "Color": COLOURS[light],
                            }
                        }
                    },
                }
            }
            for light in (RED, AMBER, GREEN, NONE)
        ]
    }
    table["TableVisual"]["Actions"] = [_open_detail("ous-open", {"SourceField": "ous-ou"})]
    return table


def anomalies(unit: str) -> dict[str, Any]:
    columns = {
        "billingdate": ("Day", DAY),
        "ou": ("OU", None),
        "anomalykind": ("Kind", None),
        "episodestate": ("State", None),
        "anomalyreason": ("What", None),
        "daycost": ("Cost", MONEY),
        "expectedlow": ("Expected, low", MONEY),
        "expectedhigh": ("Expected, high", MONEY),
        "anomalyscore": ("Score", NUMBER),
        "episodeid": ("Episode", None),
        "settlement": ("Settlement", None),
    }
    return _table("anomalies", f"Anomalies ({unit})", columns, sort_by("anomalies-billingdate", "DESC"))


def _table(key: str, title: str, columns: dict[str, tuple[str, Any]], sort: dict[str, Any]) -> dict[str, Any]:
    """A row of the scorecard's data set in each line."""
    return {
        "TableVisual": {
            "VisualId": key,
            "Title": heading(title),
            "ChartConfiguration": {
                "FieldWells": {
                    "TableUnaggregatedFieldWells": {
                        "Values": [
                            {
                                "FieldId": f"{key}-{column}",
                                "Column": column_of(BY_SCORECARD, column),
                                **({"FormatConfiguration": formats} if formats else {}),
                            }
                            for column, (_, formats) in columns.items()
                        ]
                    }
                },
                "SortConfiguration": {"RowSort": [sort]},
                "FieldOptions": {
                    "SelectedFieldOptions": [
                        {"FieldId": f"{key}-{column}", "CustomLabel": label} for column, (label, _) in columns.items()
                    ]
                },
            },
        }
    }


def costs(key: str, title: str, column: str, unit: str, *, narrows: list[str]) -> dict[str, Any]:
    """Cost by one column, largest first; a click leaves what belongs to it in the visuals that it narrows."""
    return {
        "TableVisual": {
            "VisualId": key,
            "Title": heading(f"{title} ({unit})"),
            "ChartConfiguration": {
                "FieldWells": {
                    "TableAggregatedFieldWells": {
                        "GroupBy": [dimension(f"{key}-name", BY_BREAKDOWN, column)],
                        "Values": [measure(f"{key}-cost", BY_BREAKDOWN, "dailycost", "SUM", MONEY)],
                    }
                },
                "SortConfiguration": {"RowSort": [sort_by(f"{key}-cost", "DESC")]},
                "TotalOptions": {"TotalsVisibility": "VISIBLE", "Placement": "END"},
                "FieldOptions": {
                    "SelectedFieldOptions": [
                        {"FieldId": f"{key}-name", "CustomLabel": title.removeprefix("By ").capitalize()}
                        if column != "ou"
                        else {"FieldId": f"{key}-name", "CustomLabel": "OU"},
                        {"FieldId": f"{key}-cost", "CustomLabel": "Cost"},
                    ]
                },
            },
            "Actions": [
                {
                    "CustomActionId": f"{key}-narrow",
                    "Name": "Show only this",
                    "Status": "ENABLED",
                    "Trigger": "DATA_POINT_CLICK",
                    "ActionOperations": [
                        {
                            "FilterOperation": {
                                "SelectedFieldsConfiguration": {"SelectedFieldOptions": "ALL_FIELDS"},
                                "TargetVisualsConfiguration": {
                                    "SameSheetTargetVisualConfiguration": {"TargetVisuals": narrows}
                                },
                            }
                        }
                    ],
                }
            ],
        }
    }


def costs_by_day(unit: str) -> dict[str, Any]:
    columns = ("ou", "service", "linkedaccount")
    return {
        "LineChartVisual": {
            "VisualId": "daily",
            "Title": heading(f"Cost by day and service ({unit})"),
            "ChartConfiguration": {
                "FieldWells": {
                    "LineChartAggregatedFieldWells": {
                        "Category": [day_dimension("daily-day", BY_BREAKDOWN)],
                        "Values": [measure("daily-cost", BY_BREAKDOWN, "dailycost", "SUM", MONEY)],
                        "Colors": [dimension("daily-service", BY_BREAKDOWN, "service", hierarchy="daily-drill")],
                    }
                },
                "SortConfiguration": {
                    "CategorySort": [sort_by("daily-day", "ASC")],
                    "ColorItemsLimitConfiguration": {"ItemsLimit": len(PALETTE), "OtherCategories": "INCLUDE"},
                },
                "Type": "LINE",
                "Legend": {"Visibility": "VISIBLE", "Position": "RIGHT"},
            },
            "ColumnHierarchies": [
                {
                    "ExplicitHierarchy": {
                        "HierarchyId": "daily-drill",
                        "Columns": [column_of(BY_BREAKDOWN, column) for column in columns[1:]],
                    }
                }
            ],
        }
    }


def _open_detail(key: str, value: dict[str, Any]) -> dict[str, Any]:
    """A click goes to the second sheet with the OU chosen. QuickSight wants the navigation to come first."""
    chosen = [{"DestinationParameterName": OU, "Value": value}]
    return {
        "CustomActionId": key,
        "Name": "Open its services and accounts",
        "Status": "ENABLED",
        "Trigger": "DATA_POINT_CLICK",
        "ActionOperations": [
            {"NavigationOperation": {"LocalNavigationConfiguration": {"TargetSheetId": DETAIL}}},
            {"SetParametersOperation": {"ParameterValueConfigurations": chosen}},
        ],
    }


def _only(text: str) -> dict[str, Any]:
    return {"IncludeNullValue": False, "CustomValues": {"StringValues": [text]}}
