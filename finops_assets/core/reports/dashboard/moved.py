"""The page's list of what moved on its newest day: the largest moves of each OU, their causes and parts, as text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_assets.core.analytics.cost_causes import CAUSES, clause, part_causes
from finops_assets.core.calendar import short_day
from finops_assets.core.money import CENT, change, money
from finops_assets.core.schemas import KEY_COLUMNS

if TYPE_CHECKING:
    from finops_assets.core.analytics.anomalies import Key
    from finops_assets.core.analytics.kept_parts import KeptParts
    from finops_assets.core.analytics.moved_parts import Part
    from finops_assets.core.reports.dashboard.inputs import DashboardInputs

OF_EACH_OU, MOST = 5, 150
"""Moves of an OU's own, and of all: each takes half a kilobyte of the page."""


def moved_data(inputs: DashboardInputs) -> dict[str, Any]:
    """The moves of the newest day, the largest first; `rows` is empty where they are not known.

    Each has its OU, service and account as they are named in the rows, and its parts, which add up to it.
    """
    moved = inputs.moved
    if moved is None:
        return {"rows": []}
    largest = _largest(moved)
    return {
        "day": short_day(moved.day, this_year=inputs.this_year),
        "against": short_day(moved.against, this_year=inputs.this_year),
        "rows": [_row(key, moved.of(key)) for key in largest],
    }


def _largest(moved: KeptParts) -> list[Key]:
    changes: dict[Key, Decimal] = defaultdict(Decimal)
    keys = zip(*(moved.rows.column(name).to_pylist() for name in KEY_COLUMNS), strict=True)
    for key, delta in zip(keys, moved.rows.column("change").to_pylist(), strict=True):
        changes[key] += delta
    of_ou: dict[str, int] = defaultdict(int)
    kept = []
    for key in sorted(changes, key=lambda key: (-abs(changes[key]), key)):
        of_ou[key[0]] += 1
        if of_ou[key[0]] <= OF_EACH_OU and abs(changes[key]) >= CENT:
            kept.append(key)
    return kept[:MOST]


def _row(key: Key, parts: Sequence[Part]) -> dict[str, Any]:
    ou, service, account = key
    causes = part_causes(parts)
    return {
        "ou": ou,
        "service": service,
        "account": account,
        "change": change(sum((part.delta for part in parts), Decimal())),
        "cause": clause(parts, key),
        "parts": [_part(part, cause) for part, cause in zip(parts, causes, strict=True) if part.delta],
    }


def _part(part: Part, cause: str) -> list[str]:
    where = ", ".join(filter(None, (part.usage_type, part.region, part.resource)))
    return [
        where or part.kind.replace("_", " "),
        CAUSES[cause],
        money(part.before),
        money(part.now),
        change(part.delta),
    ]
