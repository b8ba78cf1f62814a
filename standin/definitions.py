"""A dashboard's definition looked through as QuickSight does, and held to the model of its API."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

import botocore.session

from standin.faults import ServiceError

STRUCTURES = ("VisualId", "SheetId", "FilterGroupId", "FilterId", "CustomActionId", "SheetTextBoxId")
"""Names whose values may each stand once in a definition where they are declared."""


def refuse_misshapen(definition: dict[str, Any]) -> None:
    """What QuickSight refuses at once: ids given twice, layouts and actions that lead nowhere, the wrong order."""
    for name in STRUCTURES:
        declared = [
            value
            for path, member, value in members(definition, "")
            if member == name and not (name == "SheetId" and "ScopingConfigurations" in path)
        ]
        doubled = [value for value, count in Counter(declared).items() if count > 1]
        if doubled:
            raise _misshapen(f"{name} {doubled[0]} is not unique")
    sheets = {sheet["SheetId"]: sheet for sheet in definition.get("Sheets", ())}
    filters = {value for _, name, value in members(definition.get("FilterGroups", []), "") if name == "FilterId"}
    for key, sheet in sheets.items():
        visuals = {one["VisualId"]: one for each in sheet.get("Visuals", ()) for one in each.values()}
        controls = {value for _, n, value in members(sheet, "") if n in ("ParameterControlId", "FilterControlId")}
        elements = {*visuals, *controls, *(box["SheetTextBoxId"] for box in sheet.get("TextBoxes", ()))}
        for path, name, value in members(sheet, ""):
            if name == "ElementId" and value not in elements:
                raise _misshapen(f"layout of sheet {key} has {value}, which is no element of it")
            if name == "TargetSheetId" and value not in sheets:
                raise _misshapen(f"there is no sheet {value} to go to")
            if name == "SourceFilterId" and value not in filters:
                raise _misshapen(f"a control of sheet {key} is of the filter {value}, which is not there")
            if name == "TargetVisuals" and not set(value) <= set(visuals):
                raise _misshapen(f"action at {path} filters visuals that sheet {key} does not have")
            if name == "ActionOperations":
                order = [next(iter(one)) for one in value]
                if "SetParametersOperation" in order and order[0] != "NavigationOperation":
                    raise _misshapen("NavigationOperation must come before SetParametersOperation")
        for visual in visuals.values():
            _refuse_strange_fields(visual)
        for path, name, value in members(definition.get("FilterGroups", []), ""):
            if name != "VisualIds" or value_at(definition["FilterGroups"], path)["SheetId"] != key:
                continue
            if strange := set(value) - set(visuals):
                raise _misshapen(f"a filter is for {sorted(strange)[0]}, which sheet {key} does not have")


def _refuse_strange_fields(visual: dict[str, Any]) -> None:
    """Sorting, formatting and actions speak of fields of the visual's wells only."""
    wells = visual.get("ChartConfiguration", {}).get("FieldWells", {})
    fields = {value for _, name, value in members(wells, "") if name == "FieldId"}
    columns = {value for _, name, value in members(wells, "") if name == "ColumnName"}
    for path, name, value in members(visual, ""):
        if name in ("FieldId", "SourceField") and value not in fields:
            raise _misshapen(f"{path} of visual {visual['VisualId']} speaks of the field {value}, which it lacks")
        if name == "Expression" and "ConditionalFormatting" in path:
            used = set(re.findall(r"\{(\w+)\}", value))
            if not used <= columns:
                raise _misshapen(f"formatting of visual {visual['VisualId']} looks at {used - columns}")


def members(value: Any, path: str) -> Iterator[tuple[str, str, Any]]:
    """(path of what holds it, name, value) of everything below."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield path, name, one
            yield from members(one, f"{path}/{name}")
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from members(one, f"{path}/{number}")


def value_at(value: Any, path: str) -> Any:
    for part in filter(None, path.split("/")):
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value


def faults_of(shape: Any, value: Any, path: str) -> Iterator[str]:
    if shape.type_name == "structure" and isinstance(value, dict):
        for name in value.keys() - shape.members.keys():
            yield f"unknown member {name} at '{path}'"
        for name, member in shape.members.items():
            if name in value:
                yield from faults_of(member, value[name], f"{path}.{name}")
    elif shape.type_name == "list" and isinstance(value, list):
        for number, one in enumerate(value):
            yield from faults_of(shape.member, one, f"{path}[{number}]")
    elif shape.type_name == "map" and isinstance(value, dict):
        for name, one in value.items():
            yield from faults_of(shape.value, one, f"{path}.{name}")
    elif isinstance(value, str) and getattr(shape, "enum", None) and value not in shape.enum:
        yield f"Value '{value}' at '{path}' failed to satisfy constraint: Member must satisfy enum value set"
    pattern = shape.metadata.get("pattern")
    if pattern and isinstance(value, str) and not re.fullmatch(pattern, value):
        yield f"Value '{value}' at '{path}' failed to satisfy constraint: regular expression pattern: {pattern}"
    most = shape.metadata.get("max")
    if most is not None and isinstance(value, str | list | dict) and len(value) > most:
        yield f"Value at '{path}' failed to satisfy constraint: Member must have length at most {most}"


@cache
def api_model() -> Any:
    return botocore.session.get_session().get_service_model("quicksight")


def _misshapen(message: str) -> ServiceError:
    return ServiceError("InvalidParameterValueException", f"Definition is invalid: {message}")
