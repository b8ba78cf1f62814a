"""Ends of a query in Trino's words: DuckDB's errors under Trino's names, and queries that were stopped."""

from __future__ import annotations

import re

import duckdb

from standin.faults import ServiceError
from standin.trino.language import QueryFailed, Unsupported


class Stopped(Exception):  # noqa: N818 - an event
    """The query was stopped, or scans more than it may."""


class trino_errors:  # noqa: N801 - reads as `with errors named as Trino's`
    """DuckDB's errors under Trino's names."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: object) -> None:
        if not isinstance(error, duckdb.Error):
            return
        if isinstance(error, duckdb.InterruptException):
            raise Stopped("Query cancelled by user") from None
        text = str(error)
        if match := re.search(r"\b([A-Z]+_[A-Z_]+): (.*)", text):
            raise QueryFailed(match[1], match[2]) from None
        if "Division by zero" in text:
            raise QueryFailed("DIVISION_BY_ZERO", "Division by zero") from None
        first = text.splitlines()[0]
        if match := re.search(r'column "(\w+)" must appear in the GROUP BY clause', text):
            message = f"line 1:1: '{match[1]}' must be an aggregate expression or appear in GROUP BY clause"
            raise QueryFailed("EXPRESSION_NOT_AGGREGATE", message) from None
        if isinstance(error, duckdb.OutOfRangeException):
            raise QueryFailed("NUMERIC_VALUE_OUT_OF_RANGE", first) from None
        if isinstance(error, duckdb.ConversionException):
            raise QueryFailed("INVALID_CAST_ARGUMENT", first.removeprefix("Conversion Error: ")) from None
        raise Unsupported(first) from None


def refuse_doubled(names: list[str]) -> None:
    if doubled := next((name for name in names if names.count(name) > 1), None):
        raise QueryFailed("DUPLICATE_COLUMN_NAME", f"line 1:1: Column name '{doubled}' specified more than once")


def invalid(message: str, code: str = "INVALID_INPUT") -> ServiceError:
    return ServiceError("InvalidRequestException", message, fields={"AthenaErrorCode": code})
