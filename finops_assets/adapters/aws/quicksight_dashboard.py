"""What the QuickSight dashboard looks like, as code: data sets, theme and definition as the API takes them.

Plain functions that make dicts; nothing is asked of AWS here. Two sheets: `Budgets and lights` (tiles, budget against
forecast, every OU with its light), and `Drill-through` (OU -> service -> account, as tables and a line, and anomalies).
Every light stands as a shape and a word; colours only repeat it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any
from xml.sax.saxutils import escape

from finops_assets.core.accounts.ous import ALL
from finops_assets.core.accounts.permissions import Rule
from finops_assets.core.analytics.budgets import AMBER, GREEN, NONE, RED, SHAPES
from finops_assets.core.reports.charts.style import LIGHT_COLOURS, PALETTE, REST_COLOUR
from finops_assets.core.schemas import DATABASE, OU_BREAKDOWN, OU_SCORECARD, hive_columns

SOURCE, THEME, DASHBOARD = "finops-athena", "finops-theme", "finops-costs"
BREAKDOWN, SCORECARD, PERMISSIONS = "finops-ou-breakdown", "finops-ou-scorecard", "finops-ou-permissions"
BASE_THEME = "CLASSIC"

SUMMARY, DETAIL = "budgets-and-lights", "drill-through"
"""The sheets."""

LONGEST_VALUE = 512
"""Characters of a value that a filter takes."""

MOST_TILES = 12
TILES_A_ROW = 6
GRID = 36
"""Columns of a sheet's grid."""

SHOWN_DAYS = 60
"""Days that charts show until somebody chooses others."""

COLOURS = {light: colour.upper() for light, colour in LIGHT_COLOURS.items()}
_INK, _MUTED, _PAPER, _LINE, _BUDGET = "#1F2933", "#52606D", "#FFFFFF", "#D9DEE3", "#1F2933"
_FORECAST = PALETTE[3].upper()

_TYPES = {"string": "STRING", "date": "DATETIME", "double": "DECIMAL", "int": "INTEGER"}


# --- data sets ----------------------------------------------------------------------------------------------------


def light_shown(light: str) -> str:
    """`■ red`: what stands for a light in every visual."""
    return f"{SHAPES[light]} {light}"


def scorecard_columns() -> dict[str, str]:
    """The columns of the scorecard's data set, with their QuickSight types."""
    own = {name: "DECIMAL" if kind.startswith("decimal") else _TYPES[kind] for name, kind in hive_columns(OU_SCORECARD)}
    return own | {"lightshown": "STRING", "lightfrom": "DECIMAL", "latest": "STRING", "anomaly": "STRING"}


def scorecard_sql(amber: float) -> str:
    """What fills the scorecard's data set: this year and the last one.

    Amounts become doubles, which QuickSight keeps to 15 digits: its own exact decimals end after four decimal places.
    `lightfrom` is the share of the budget from which on the light is what it is: 1 red, `amber` amber, 0 green.
    """
    amounts = {name for name, kind in hive_columns(OU_SCORECARD) if kind.startswith("decimal")}
    columns = [f"CAST({c} AS double) AS {c}" if c in amounts else c for c in OU_SCORECARD.names]
    shown = " ".join(f"WHEN '{light}' THEN '{light_shown(light)}'" for light in (GREEN, AMBER, RED, NONE))
    starts = " ".join(f"WHEN '{light}' THEN {start}" for light, start in _starts(amber).items())
    columns += [
        f"CASE light {shown} ELSE light END AS lightshown",
        f"CAST(CASE light {starts} END AS double) AS lightfrom",
        "CASE WHEN billingdate = max(billingdate) OVER () THEN 'yes' ELSE 'no' END AS latest",
        "CASE WHEN episodeid IS NULL THEN 'no' ELSE 'yes' END AS anomaly",
    ]
    listed = ",\n    ".join(columns)
    return f"SELECT\n    {listed}\nFROM {DATABASE}.ou_scorecard\nWHERE year >= year(current_date) - 1"


def _starts(amber: float) -> dict[str, float]:
    return {RED: 1.0, AMBER: min(amber, 0.999), GREEN: 0.0}


def permissions_sql(rules: Sequence[Rule]) -> str:
    """Which user or group may see which OU: the rules, drawn out to the OUs below as they are at each refresh.

    No OU means all. QuickSight takes a comma for the end of a value, unless it is in double quotes.
    """
    listed = ",\n    ".join(f"({_literal(rule.user)}, {_literal(rule.group)}, {_literal(rule.ou)})" for rule in rules)
    return f"""WITH rules (username, groupname, root) AS (
    VALUES {listed}
),
known (ou) AS (
    SELECT ou FROM {DATABASE}.account_ou_map
    UNION SELECT ou FROM {DATABASE}.ou_scorecard WHERE year >= year(current_date) - 1
),
seen (username, groupname, ou) AS (
    SELECT username, groupname, root FROM rules WHERE root <> '{ALL}'
    UNION SELECT rules.username, rules.groupname, known.ou
    FROM rules JOIN known ON starts_with(known.ou, concat(rules.root, '/'))
)
SELECT username, groupname, CASE WHEN strpos(ou, ',') > 0 THEN concat('"', ou, '"') ELSE ou END AS ou FROM seen
UNION ALL SELECT username, groupname, CAST(NULL AS varchar) AS ou FROM rules WHERE root = '{ALL}'"""


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'" if text else "CAST(NULL AS varchar)"


def breakdown_table(source_arn: str) -> dict[str, Any]:
    """The table itself, every registered row of it: a refresh is held to their number."""
    columns = [_column(name, _TYPES[kind]) for name, kind in hive_columns(OU_BREAKDOWN)]
    return {
        "RelationalTable": {
            "DataSourceArn": source_arn,
            "Catalog": "AwsDataCatalog",
            "Schema": DATABASE,
            "Name": "ou_breakdown",
            "InputColumns": columns,
        }
    }


def sql_table(source_arn: str, name: str, sql: str, columns: dict[str, str]) -> dict[str, Any]:
    """A table that a query makes."""
    listed = [_column(column, kind) for column, kind in columns.items()]
    return {"CustomSql": {"DataSourceArn": source_arn, "Name": name, "SqlQuery": sql, "Columns": listed}}


def _column(name: str, kind: str) -> dict[str, str]:
    return {"Name": name, "Type": kind, **({"SubType": "FLOAT"} if kind == "DECIMAL" else {})}


# --- theme --------------------------------------------------------------------------------------------------------


def theme() -> dict[str, Any]:
    """The colours of the digest and the platform's own dashboard, on white."""
    return {
        "DataColorPalette": {
            "Colors": [*(colour.upper() for colour in PALETTE), REST_COLOUR.upper()],
            "MinMaxGradient": ["#E6EEF6", PALETTE[0].upper()],
            "EmptyFillColor": "#EEF0F2",
        },
        "UIColorPalette": {
            "PrimaryForeground": _INK,
            "PrimaryBackground": _PAPER,
            "SecondaryForeground": _MUTED,
            "SecondaryBackground": "#F5F7F9",
            "Accent": PALETTE[0].upper(),
            "AccentForeground": _PAPER,
            "Danger": COLOURS[RED],
            "DangerForeground": _PAPER,
            "Warning": COLOURS[AMBER],
            "WarningForeground": _PAPER,
            "Success": COLOURS[GREEN],
            "SuccessForeground": _PAPER,
            "Dimension": _INK,
            "DimensionForeground": _PAPER,
            "Measure": PALETTE[0].upper(),
            "MeasureForeground": _PAPER,
        },
        "Sheet": {
            "Tile": {"Border": {"Show": True}},
            "TileLayout": {"Gutter": {"Show": True}, "Margin": {"Show": True}},
        },
    }


# --- the definition -----------------------------------------------------------------------------------------------

BY_SCORECARD, BY_BREAKDOWN = "ou_scorecard", "ou_breakdown"
"""The data sets' names within the definition."""

OU = "ou"
"""The parameter: the OU that charts and the second sheet are about."""


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
    layout = [_at("heading", "TEXT_BOX", 0, 0, GRID, top)]
    layout += [
        _at(_tile_id(ou), "VISUAL", top + n // TILES_A_ROW * 5, n % TILES_A_ROW * width, width, 5)
        for n, ou in enumerate(tiles)
    ]
    layout += [
        _at("budget-and-forecast", "VISUAL", below, 0, 24, 12),
        _at("shares", "VISUAL", below, 24, 12, 12),
        _at("ous", "VISUAL", below + 12, 0, GRID, 14),
    ]
    return {
        "SheetId": SUMMARY,
        "Name": "Budgets and lights",
        "Title": "Budgets and lights",
        "ContentType": "INTERACTIVE",
        "ParameterControls": [_ou_control("summary-ou")],
        "FilterControls": [_date_control("summary-dates", "scorecard-dates")],
        "TextBoxes": [
            _text_box(
                "heading",
                f"Amounts in {unit}. {', '.join(light_shown(light) for light in (GREEN, AMBER, RED, NONE))}. "
                "Tiles: share of the month's budget that is expected to be spent. Click a tile or an OU to open it. "
                "The table of OUs says through which day the data are.",
            )
        ],
        "Visuals": [*(_tile(ou, amber) for ou in tiles), _budget_and_forecast(unit), _shares(), _ous(unit)],
        "Layouts": [_grid(layout)],
        "SheetControlLayouts": [
            _grid(
                [
                    _at("summary-ou", "PARAMETER_CONTROL", 0, 0, 12, 2),
                    _at("summary-dates", "FILTER_CONTROL", 0, 12, 12, 2),
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
            _text_box(
                "path",
                f"OU, then service, then account: click a row, and what lies behind it remains. Amounts in {unit}.",
            )
        ],
        "Visuals": [
            _line(unit),
            _costs("by-ou", "By OU", "ou", unit, narrows=["by-service", "by-account", "daily"]),
            _costs("by-service", "By service", "service", unit, narrows=["by-account", "daily"]),
            _costs("by-account", "By linked account", "linkedaccount", unit, narrows=["daily"]),
            _anomalies(unit),
        ],
        "Layouts": [
            _grid(
                [
                    _at("path", "TEXT_BOX", 0, 0, GRID, 2),
                    _at("daily", "VISUAL", 2, 0, GRID, 11),
                    _at("by-ou", "VISUAL", 13, 0, 12, 14),
                    _at("by-service", "VISUAL", 13, 12, 12, 14),
                    _at("by-account", "VISUAL", 13, 24, 12, 14),
                    _at("anomalies", "VISUAL", 27, 0, GRID, 12),
                ]
            )
        ],
        "SheetControlLayouts": [
            _grid(
                [
                    _at("detail-ou", "PARAMETER_CONTROL", 0, 0, 12, 2),
                    _at("detail-dates", "FILTER_CONTROL", 0, 12, 12, 2),
                ],
                canvas=False,
            )
        ],
    }


# --- visuals ------------------------------------------------------------------------------------------------------


def _tile_id(ou: str) -> str:
    return "tile-" + hashlib.sha256(ou.encode()).hexdigest()[:12]


def _tile(ou: str, amber: float) -> dict[str, Any]:
    """An OU's expected share of its budget, with the shape and colour of its light.

    The target is where the light begins: a tile's formatting can only look at what the tile holds.
    """
    icons = {RED: "SQUARE", AMBER: "TRIANGLE", GREEN: "CIRCLE"}
    formats = []
    for light, start in _starts(amber).items():
        met = f"MAX({{lightfrom}}) = {start}"
        colour = {"Solid": {"Expression": met, "Color": COLOURS[light]}}
        icon = {"Expression": met, "IconOptions": {"Icon": icons[light]}, "Color": COLOURS[light]}
        formats.append({"PrimaryValue": {"TextColor": colour, "Icon": {"CustomCondition": icon}}})
    key = _tile_id(ou)
    return {
        "KPIVisual": {
            "VisualId": key,
            "Title": _text(ou),
            "Subtitle": _text("of the month's budget"),
            "ChartConfiguration": {
                "FieldWells": {
                    "Values": [_measure(f"{key}-share", BY_SCORECARD, "budgetshare", "MAX", _PERCENT)],
                    "TargetValues": [_measure(f"{key}-from", BY_SCORECARD, "lightfrom", "MAX", _PERCENT)],
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


def _budget_and_forecast(unit: str) -> dict[str, Any]:
    """Bars: the month to date by day, in the colour of that day's light. Lines: the budget and the forecast."""
    lines = [
        _measure("combo-budget", BY_SCORECARD, "budget", "SUM", _MONEY),
        _measure("combo-forecast", BY_SCORECARD, "forecastp50", "SUM", _MONEY),
    ]
    styles = {"combo-budget": ("SOLID", _BUDGET), "combo-forecast": ("DASHED", _FORECAST)}
    lights = {light_shown(light): COLOURS[light] for light in (GREEN, AMBER, RED, NONE)}
    return {
        "ComboChartVisual": {
            "VisualId": "budget-and-forecast",
            "Title": _text(f"Month to date against budget and forecast ({unit})"),
            "Subtitle": _text("Bars: month to date, by the day's light. Line: budget. Dashed: forecast of the month"),
            "ChartConfiguration": {
                "FieldWells": {
                    "ComboChartAggregatedFieldWells": {
                        "Category": [_day("combo-day", BY_SCORECARD)],
                        "BarValues": [_measure("combo-spent", BY_SCORECARD, "monthtodate", "SUM", _MONEY)],
                        "Colors": [_dimension("combo-light", BY_SCORECARD, "lightshown")],
                        "LineValues": lines,
                    }
                },
                "SortConfiguration": {"CategorySort": [_sort("combo-day", "ASC")]},
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


def _shares() -> dict[str, Any]:
    """Every OU's expected share of its budget, as bars in its light's colour; the light's word is in the legend."""
    return {
        "BarChartVisual": {
            "VisualId": "shares",
            "Title": _text("Expected share of the budget, newest day"),
            "ChartConfiguration": {
                "FieldWells": {
                    "BarChartAggregatedFieldWells": {
                        "Category": [_dimension("shares-ou", BY_SCORECARD, "ou")],
                        "Values": [_measure("shares-share", BY_SCORECARD, "budgetshare", "MAX", _PERCENT)],
                        "Colors": [_dimension("shares-light", BY_SCORECARD, "lightshown")],
                    }
                },
                "SortConfiguration": {
                    "CategorySort": [_sort("shares-share", "DESC")],
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


def _ous(unit: str) -> dict[str, Any]:
    """Every OU on the newest day, one row each, with its light as shape, word, colour and reason."""
    columns = {
        "ou": ("OU", None),
        "lightshown": ("Light", None),
        "billingdate": ("Data through", _DAY),
        "lightreason": ("Why", None),
        "daycost": ("Day", _MONEY),
        "monthtodate": ("Month to date", _MONEY),
        "budget": ("Budget", _MONEY),
        "forecastp10": ("Forecast, low", _MONEY),
        "forecastp50": ("Forecast", _MONEY),
        "forecastp90": ("Forecast, high", _MONEY),
        "budgetshare": ("Share of budget", _PERCENT),
        "budgetpassed": ("Budget passed", _DAY),
        "anomalyreason": ("Anomaly", None),
        "settlement": ("Settlement", None),
        "currency": ("Currency", None),
        "costbasis": ("Cost basis", None),
    }
    table = _table("ous", f"OUs on the newest day ({unit})", columns, _sort("ous-budgetshare", "DESC"))
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


def _anomalies(unit: str) -> dict[str, Any]:
    columns = {
        "billingdate": ("Day", _DAY),
        "ou": ("OU", None),
        "anomalykind": ("Kind", None),
        "episodestate": ("State", None),
        "anomalyreason": ("What", None),
        "daycost": ("Cost", _MONEY),
        "expectedlow": ("Expected, low", _MONEY),
        "expectedhigh": ("Expected, high", _MONEY),
        "anomalyscore": ("Score", _NUMBER),
        "episodeid": ("Episode", None),
        "settlement": ("Settlement", None),
    }
    return _table("anomalies", f"Anomalies ({unit})", columns, _sort("anomalies-billingdate", "DESC"))


def _table(key: str, title: str, columns: dict[str, tuple[str, Any]], sort: dict[str, Any]) -> dict[str, Any]:
    """A row of the scorecard's data set in each line."""
    return {
        "TableVisual": {
            "VisualId": key,
            "Title": _text(title),
            "ChartConfiguration": {
                "FieldWells": {
                    "TableUnaggregatedFieldWells": {
                        "Values": [
                            {
                                "FieldId": f"{key}-{column}",
                                "Column": _of(BY_SCORECARD, column),
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


def _costs(key: str, title: str, column: str, unit: str, *, narrows: list[str]) -> dict[str, Any]:
    """Cost by one column, largest first; a click leaves what belongs to it in the visuals that it narrows."""
    return {
        "TableVisual": {
            "VisualId": key,
            "Title": _text(f"{title} ({unit})"),
            "ChartConfiguration": {
                "FieldWells": {
                    "TableAggregatedFieldWells": {
                        "GroupBy": [_dimension(f"{key}-name", BY_BREAKDOWN, column)],
                        "Values": [_measure(f"{key}-cost", BY_BREAKDOWN, "dailycost", "SUM", _MONEY)],
                    }
                },
                "SortConfiguration": {"RowSort": [_sort(f"{key}-cost", "DESC")]},
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


def _line(unit: str) -> dict[str, Any]:
    columns = ("ou", "service", "linkedaccount")
    return {
        "LineChartVisual": {
            "VisualId": "daily",
            "Title": _text(f"Cost by day and service ({unit})"),
            "ChartConfiguration": {
                "FieldWells": {
                    "LineChartAggregatedFieldWells": {
                        "Category": [_day("daily-day", BY_BREAKDOWN)],
                        "Values": [_measure("daily-cost", BY_BREAKDOWN, "dailycost", "SUM", _MONEY)],
                        "Colors": [_dimension("daily-service", BY_BREAKDOWN, "service", hierarchy="daily-drill")],
                    }
                },
                "SortConfiguration": {
                    "CategorySort": [_sort("daily-day", "ASC")],
                    "ColorItemsLimitConfiguration": {"ItemsLimit": len(PALETTE), "OtherCategories": "INCLUDE"},
                },
                "Type": "LINE",
                "Legend": {"Visibility": "VISIBLE", "Position": "RIGHT"},
            },
            "ColumnHierarchies": [
                {
                    "ExplicitHierarchy": {
                        "HierarchyId": "daily-drill",
                        "Columns": [_of(BY_BREAKDOWN, column) for column in columns[1:]],
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


# --- filters and controls -----------------------------------------------------------------------------------------


def _filters(tiles: Sequence[str]) -> list[dict[str, Any]]:
    newest = [*map(_tile_id, tiles), "shares", "ous"]
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
            _filter(f"of-{_tile_id(ou)}", _is(BY_SCORECARD, "ou", ou, f"of-{_tile_id(ou)}"), SUMMARY, [_tile_id(ou)])
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
    return {"CategoryFilter": {"FilterId": key, "Column": _of(data_set, column), "Configuration": configuration}}


def _is(data_set: str, column: str, value: str, key: str) -> dict[str, Any]:
    wanted = {"FilterListConfiguration": {"MatchOperator": "CONTAINS", "CategoryValues": [value]}}
    return _category(data_set, column, wanted, key)


def _dates(data_set: str, key: str) -> dict[str, Any]:
    return {
        "TimeRangeFilter": {
            "FilterId": key,
            "Column": _of(data_set, "billingdate"),
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
            "SelectableValues": {"LinkToDataSetColumn": _of(BY_SCORECARD, "ou")},
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


# --- small parts --------------------------------------------------------------------------------------------------

_SEPARATED = {"DecimalSeparator": "DOT", "ThousandsSeparator": {"Symbol": "COMMA", "Visibility": "VISIBLE"}}


def _numbers(kind: str, places: int) -> dict[str, Any]:
    told = {"SeparatorConfiguration": _SEPARATED, "DecimalPlacesConfiguration": {"DecimalPlaces": places}}
    return {"NumberFormatConfiguration": {"FormatConfiguration": {f"{kind}DisplayFormatConfiguration": told}}}


_MONEY, _NUMBER, _PERCENT = _numbers("Number", 2), _numbers("Number", 1), _numbers("Percentage", 0)
_DAY = {"DateTimeFormatConfiguration": {"DateTimeFormat": "YYYY-MM-DD"}}


def _of(data_set: str, column: str) -> dict[str, str]:
    return {"DataSetIdentifier": data_set, "ColumnName": column}


def _dimension(field: str, data_set: str, column: str, *, hierarchy: str = "") -> dict[str, Any]:
    told = {"FieldId": field, "Column": _of(data_set, column), **({"HierarchyId": hierarchy} if hierarchy else {})}
    return {"CategoricalDimensionField": told}


def _day(field: str, data_set: str) -> dict[str, Any]:
    return {
        "DateDimensionField": {
            "FieldId": field,
            "Column": _of(data_set, "billingdate"),
            "DateGranularity": "DAY",
            "FormatConfiguration": _DAY["DateTimeFormatConfiguration"],
        }
    }


def _measure(field: str, data_set: str, column: str, function: str, formats: dict[str, Any]) -> dict[str, Any]:
    return {
        "NumericalMeasureField": {
            "FieldId": field,
            "Column": _of(data_set, column),
            "AggregationFunction": {"SimpleNumericalAggregation": function},
            "FormatConfiguration": formats["NumberFormatConfiguration"],
        }
    }


def _sort(field: str, direction: str) -> dict[str, Any]:
    return {"FieldSort": {"FieldId": field, "Direction": direction}}


def _text(text: str) -> dict[str, Any]:
    """A title: names of the bill may hold line breaks, and be longer than a title."""
    return {"Visibility": "VISIBLE", "FormatText": {"PlainText": " ".join(text.split())[:200] or "(no name)"}}


def _text_box(key: str, text: str) -> dict[str, Any]:
    """A text box's content is XML."""
    return {"SheetTextBoxId": key, "Content": f"<text-box>{escape(' '.join(text.split()))}</text-box>"}


def _at(key: str, kind: str, row: int, column: int, width: int, height: int) -> dict[str, Any]:
    return {
        "ElementId": key,
        "ElementType": kind,
        "RowIndex": row,
        "ColumnIndex": column,
        "ColumnSpan": width,
        "RowSpan": height,
    }


def _grid(elements: list[dict[str, Any]], *, canvas: bool = True) -> dict[str, Any]:
    grid: dict[str, Any] = {"Elements": elements}
    if canvas:
        size = {"ScreenCanvasSizeOptions": {"ResizeOption": "FIXED", "OptimizedViewPortWidth": "1600px"}}
        grid["CanvasSizeOptions"] = size
    return {"Configuration": {"GridLayout": grid}}
