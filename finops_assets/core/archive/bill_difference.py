"""How the bill's day differs from the archived one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.archive.day_charges import named_charges
from finops_assets.core.archive.day_commitments import COMMITMENTS_PART
from finops_assets.core.archive.day_dimensions import named_dimensions, other_dimensions
from finops_assets.core.archive.provenance import bill_shares
from finops_assets.core.bill.currencies import currencies_of
from finops_assets.core.bill.totals import Amount
from finops_assets.core.money import change
from finops_assets.core.schemas import RESTORED_FROM

if TYPE_CHECKING:
    from finops_assets.core.values import DayPrint, PublishedDay


@dataclass(frozen=True)
class PublishedAs:
    """What a comparison with the bill needs of an archived day.

    Attributes:
        held: whether somebody has restored an earlier version.
        lines: how many lines of the bill it was made of; None in a note of an older release.
        bills: of several bills, what each had of it.
        charges: the fingerprint of its charges; empty where it has none, as a day of an older release.
        dimensions: its dimensions, each with the fingerprint of its values.
        commitments: the fingerprint of its commitments; empty where it has none.
        shown: what the total is shown as, where that is in another currency.
    """

    fingerprint: str
    total: Decimal
    currency: str
    held: bool
    lines: int | None = None
    bills: Mapping[str, Amount] = field(default_factory=dict)
    charges: str = ""
    dimensions: Mapping[str, str] = field(default_factory=dict)
    shown: Decimal | None = None
    commitments: str = ""


def is_held(published: PublishedDay | None) -> bool:
    """Whether somebody has restored an earlier version of the day: only a run of that day by name replaces it."""
    return published is not None and RESTORED_FROM in published.metadata


def published_as(published: PublishedDay, shown: PublishedDay | None = None) -> PublishedAs:
    """What is kept of an archived day for later comparisons.

    Args:
        published: the day as it is archived.
        shown: the day as it is shown, where that is in another currency.
    """
    lines = int(published.metadata.get("source_lines", 0))
    bills: dict[str, Amount] = {}
    as_shown = bill_shares(shown.metadata) if shown else ()
    for n, share in enumerate(bill_shares(published.metadata)):
        amount = Amount(share.lines, share.total, as_shown[n].total if as_shown else None)
        bills[share.name] = bills.get(share.name, Amount()) + amount
    return PublishedAs(
        published.fingerprint,
        published.total,
        published.currency,
        is_held(published),
        lines,
        bills,
        named_charges(published.metadata),
        named_dimensions(published.metadata),
        shown.total if shown else None,
        COMMITMENTS_PART.named(published.metadata),
    )


def difference(in_bill: DayPrint, archived: PublishedAs) -> str:
    """How the bill's day differs from the archived one; empty where it does not, or where the day is held."""
    if archived.held:
        return ""
    if in_bill.fingerprint == archived.fingerprint:
        other = in_bill.charges and archived.charges and in_bill.charges != archived.charges
        by_value = other_dimensions(in_bill.dimensions, archived.dimensions)
        return "the bill has the same costs as other charges" if other else by_value
    amount = in_bill.total - archived.total if len(currencies_of(archived.currency)) == 1 else Decimal()
    return f"the bill has {change(amount)} {archived.currency}" if amount else "the bill has other rows"
