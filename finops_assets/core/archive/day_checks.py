"""What every published day has to fulfil. A new check is a function here, and an entry of DAY_CHECKS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.archive.day_charges import charges_fault
from finops_assets.core.archive.day_commitments import commitments_fault
from finops_assets.core.archive.day_currencies import currency_fault
from finops_assets.core.archive.day_dimensions import dimensions_fault
from finops_assets.core.schemas import OU_BREAKDOWN

if TYPE_CHECKING:
    import pyarrow as pa

    from finops_assets.core.values import DayRows, SourceDay

TOTALS, CHARGES, DIMENSIONS = "totals_match_source", "charges_match_source", "dimensions_match_source"
COMMITMENTS = "commitments_match_charges"
SCHEMA, KEYS = "schema_as_agreed", "no_duplicate_keys"


@dataclass(frozen=True)
class DayCheck:
    """One check of a day.

    Attributes:
        name: of the asset check.
        description: what holds where it passes.
        fault: how a day breaks it, given what the bill says of the day; empty where it does not. The day has the agreed
            columns.
    """

    name: str
    description: str
    fault: Callable[[DayRows, SourceDay | None], str]


def faults(day: DayRows, source: SourceDay | None) -> dict[str, str]:
    """What forbids publishing this day: name of the check -> its fault. Empty where the day is exactly the bill."""
    if fault := column_fault(day.rows):
        return {SCHEMA: fault}
    return {check.name: fault for check in DAY_CHECKS if (fault := check.fault(day, source))}


def column_fault(rows: pa.Table) -> str:
    """Columns that are not those of the contract; empty where they are."""
    if rows.schema.names == OU_BREAKDOWN.names and rows.schema.types == OU_BREAKDOWN.types:
        return ""
    return f"columns are {', '.join(f'{f.name} {f.type}' for f in rows.schema)}"


def null_fault(rows: pa.Table) -> str:
    """The columns that have nulls; empty where none has."""
    with_nulls = [name for name in OU_BREAKDOWN.names if rows.column(name).null_count]
    return f"nulls in {', '.join(with_nulls)}" if with_nulls else ""


def key_fault(rows: pa.Table) -> str:
    """The first OU, service and account that stand twice in sorted rows; empty where none do."""
    import pyarrow.compute as pc

    if rows.num_rows < 2:
        return ""
    ou, service, account = (rows.column(name).combine_chunks() for name in ("ou", "service", "linkedaccount"))

    def as_next(column: pa.Array) -> pa.Array:  # rows are sorted, so that a doubled key stands beside its twin
        return pc.equal(column.slice(1), column.slice(0, len(column) - 1))

    row = pc.and_(pc.and_(as_next(ou), as_next(service)), as_next(account)).index(True).as_py()
    return f"{ou[row].as_py()} / {service[row].as_py()} / {account[row].as_py()} is there twice" if row >= 0 else ""


def _total_fault(day: DayRows, source: SourceDay | None) -> str:
    expected = source.total if source else Decimal()
    if day.total != expected:
        return f"rows sum to {day.total}, the bill to {expected}, {day.total - expected} apart"
    return currency_fault(day, source) if source else ""


DAY_CHECKS = (
    DayCheck(TOTALS, "The rows of each day sum to the bill's own total, exactly, and in each currency.", _total_fault),
    DayCheck(
        CHARGES,
        "Usage, purchases, tax, credits, refunds and adjustments of each day sum to the bill's own, exactly.",
        charges_fault,
    ),
    DayCheck(
        DIMENSIONS,
        "The values of each dimension sum to the bill's own total of the day, and to each row's cost, exactly.",
        dimensions_fault,
    ),
    DayCheck(
        COMMITMENTS,
        "What is used of Savings Plans and reservations, and what is not, is what the charges say, exactly.",
        commitments_fault,
    ),
    DayCheck(
        SCHEMA,
        "Columns and types are those of the contract, and no value is null.",
        lambda day, _: null_fault(day.rows),
    ),
    DayCheck(KEYS, "No OU, service and account stands twice in a day.", lambda day, _: key_fault(day.rows)),
)
