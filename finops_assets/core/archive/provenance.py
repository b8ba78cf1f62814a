"""Provenance: what each of several bills has of an archived day, in the day's metadata and in words.

Where there is one bill, nothing is written and nothing said.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.money import money, plain
from finops_assets.core.values import BillShare

if TYPE_CHECKING:
    from finops_assets.core.values import SourceDay

BILLS = "bills"
"""The entry of an archived day's metadata."""


def bills_fact(source: SourceDay) -> dict[str, str]:
    """The day's metadata of its bills: name, provider, lines and exact total of each."""
    shares = [
        [share.name, share.provider, share.lines, plain(share.total), *([share.currency] if share.currency else [])]
        for share in source.bills
    ]
    return {BILLS: json.dumps(shares)} if shares else {}


def bill_shares(facts: Mapping[str, str]) -> tuple[BillShare, ...]:
    """What each bill has of an archived day, by the day's metadata."""
    shares = json.loads(facts.get(BILLS, "[]"))
    return tuple(BillShare(name, provider, n, Decimal(total), *of) for name, provider, n, total, *of in shares)


def shares_in_words(shares: Sequence[BillShare], currency: str) -> list[str]:
    """`azure (Microsoft): 8.88 USD, 1 line` for each bill; none where there is one bill."""
    return [
        f"{of.name} ({of.provider}): {money(of.total, of.currency or currency)}, "
        f"{of.lines:,} line{'' if of.lines == 1 else 's'}"
        for of in shares
    ]
