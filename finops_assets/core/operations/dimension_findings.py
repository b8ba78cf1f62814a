"""What `finops doctor` finds of the dimensions: absent columns, keys that nothing has, days without them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date
from typing import TYPE_CHECKING

from finops_assets.core.archive.day_dimensions import lacking_keys
from finops_assets.core.bill.dimension_keys import is_of_bill
from finops_assets.core.calendar import in_words
from finops_assets.core.errors import DamagedError
from finops_assets.core.findings import Finding
from finops_assets.core.reports.digest.tagged import tagged_shares, tagged_words
from finops_assets.core.schemas import DIMENSIONS

if TYPE_CHECKING:
    from finops_assets.core.archive.bill_difference import PublishedAs
    from finops_assets.core.ports import Archive
    from finops_assets.core.values import BillDescription

ACTIVATE = "Activate the key as a cost allocation tag in AWS's Billing console, tag resources, or take it out."


def dimension_findings(
    keys: Sequence[str],
    bill: BillDescription,
    archive: Archive,
    day: date,
    known: Mapping[date, PublishedAs],
) -> Iterator[Finding]:
    """A finding for each dimension, and one of the days that do not have all of them.

    Args:
        keys: dimensions.keys.
        bill: as it was recognised.
        archive: has the day.
        day: whose values are looked at.
        known: archived days as they were last compared with the bill.
    """
    for detail in bill.untold_dimensions.values():
        yield Finding("dimension", "warn", detail, "Export the bill with that column, or take the key out.")
    published = archive.describe(day)
    named = published.metadata.get(DIMENSIONS) if published else None
    if published and named:
        with suppress(DamagedError):  # the walk through the day says so
            for share in tagged_shares(archive.dimensions(day, named)):
                absent = share.key not in keys or share.key in bill.untold_dimensions
                bare = is_of_bill(share.key) and not share.tagged and not absent
                words = f"{day}: {tagged_words(share, published.currency)}"
                yield Finding("dimension", "warn" if bare else "ok", words, ACTIVATE if bare else "")
    without = {other for other, of in known.items() if of.lines and not set(keys) <= of.dimensions.keys()}
    without = {other for other in without if other != day} | (
        {day} if published and lacking_keys(published, keys) else set()
    )
    if without and keys:
        days = sorted(without)
        yield Finding(
            "dimension",
            "warn",
            f"archived without {', '.join(keys)}, or some of them: {in_words(days)}",
            f"Run `finops backfill {days[0]} {days[-1]}`; no amount changes.",
        )
