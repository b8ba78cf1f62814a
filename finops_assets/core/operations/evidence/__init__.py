"""The evidence of a month: all that was said of it in one zip with checksums, and an index that stays at hand.

    evidence/bundles/2025-09/evidence-2025-09-v1.zip    a version is written once, and may be moved to cold storage
    evidence/index/2025-09.json                         what the newest version holds: hashes, sizes, the month's total

A bundle is written and read back before the index names it: whatever kills a run leaves the index of a whole bundle. A
month whose content is as it was is left as it is; one that has changed gets the next version, and keeps those before.

`making` writes both, from what `bundle` collects and what `asked_bill` says; `index` reads; `verification` compares.
"""

from __future__ import annotations

from finops_assets.core.operations.evidence.asked_bill import AskedBill, ask_bill
from finops_assets.core.operations.evidence.index import Evidence, Member, check_over, days_of, read, read_all
from finops_assets.core.operations.evidence.making import make
from finops_assets.core.operations.evidence.verification import Verified, verify

__all__ = [
    "AskedBill",
    "Evidence",
    "Member",
    "Verified",
    "ask_bill",
    "check_over",
    "days_of",
    "make",
    "read",
    "read_all",
    "verify",
]
