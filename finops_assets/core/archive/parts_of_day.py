"""The parts of a day that are put before its rows, in their order. A new kind of part is an entry here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finops_assets.core.archive.day_charges import CHARGES_PART
from finops_assets.core.archive.day_commitments import COMMITMENTS_PART
from finops_assets.core.archive.day_dimensions import DIMENSIONS_PART, as_named
from finops_assets.core.archive.day_parts import DayPart

if TYPE_CHECKING:
    import pyarrow as pa

    from finops_assets.core.values import DayRows


def parts_of_day(day: DayRows) -> list[tuple[DayPart, pa.Table | None, str]]:
    """The parts of the day, each with its fingerprint; that of one that it does not have is empty."""
    return [
        (CHARGES_PART, day.charges, day.charges_fingerprint),
        (DIMENSIONS_PART, day.dimensions, as_named(day.dimension_prints)),
        (COMMITMENTS_PART, day.commitments, day.commitments_fingerprint),
    ]
