"""Whether the projection of a table's partitions reaches a folder: one that it does not reach is not read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta

MOMENT = re.compile(r"NOW(?:\s*([+-])\s*(\d+)\s*(YEAR|MONTH|WEEK|DAY)S?)?", re.IGNORECASE)

DAYS = {"YEAR": 366, "MONTH": 31, "WEEK": 7, "DAY": 1}
"""At most: a folder at the edge of a range is taken for one that is read."""


def unreached_key(parameters: Mapping[str, str], values: Mapping[str, str], today: date) -> str:
    """The key of the projection that leaves a folder out; empty where none does, or where that cannot be told.

    Args:
        parameters: the table's, their names in lower case.
        values: of the keys, by the folder's name.
        today: for `NOW` (UTC).
    """
    for key, value in values.items():
        kind = parameters.get(f"projection.{key}.type", "").lower()
        if kind == "enum":
            listed = {each.strip() for each in parameters.get(f"projection.{key}.values", "").split(",")}
            reached = value in listed
        else:
            first, _, last = parameters.get(f"projection.{key}.range", "").partition(",")
            reached = {"integer": _within, "date": _within_dates}.get(kind, _always)(
                value, first.strip(), last.strip(), today
            )
        if not reached:
            return key
    return ""


def _always(*_: object) -> bool:
    return True


def _within(value: str, first: str, last: str, _: date) -> bool:
    try:
        return int(first) <= int(value) <= int(last)
    except ValueError:
        return True


def _within_dates(value: str, first: str, last: str, today: date) -> bool:
    """Dates are compared by their digits, as far as both have them: `2025-09` is within `2023-01-01,NOW`."""
    low, high, own = _digits(first, today, -1), _digits(last, today, 1), re.sub(r"\D", "", value)
    if not (low and high and len(own) >= len("202509")):
        return True
    length = min(map(len, (low, high, own)))
    return low[:length] <= own[:length] <= high[:length]


def _digits(moment: str, today: date, outwards: int) -> str:
    match = MOMENT.fullmatch(moment)
    if not match:
        return re.sub(r"\D", "", moment)
    sign, count, unit = match.groups()
    if not sign:
        return f"{today:%Y%m%d}"
    days = int(count) * DAYS[unit.upper()] * (1 if sign == "+" else -1)
    try:
        return f"{today + timedelta(days=days + outwards):%Y%m%d}"
    except OverflowError:
        return ""
