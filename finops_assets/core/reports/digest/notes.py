"""What a digest says of the platform's state: the dashboard, the archived days, the bill's lines."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StateNotes:
    """What a digest says of the platform's state.

    Attributes:
        dashboard: a sentence where the dashboard does not show every day as it is archived; else empty.
        days: whether all archived days are whole, in a line.
        coverage: where every line of the bill is, in a few sentences.
    """

    dashboard: str = ""
    days: str = ""
    coverage: str = ""
