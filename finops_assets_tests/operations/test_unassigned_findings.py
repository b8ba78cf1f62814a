"""What doctor says of accounts without an OU: what they cost, whose ids they may be meant to be, and what to add."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from finops_assets.core.accounts.account_map import Membership
from finops_assets.core.operations.unassigned_findings import without_ou
from finops_assets_tests.support.bills import (
    DAY,
    account_map,
    archive_days,
    at,
    line,
    make_bill,
    new_archive,
    open_bill,
)

KNOWN, SLIP, FORMULA, BLANK = "111122223333", "111122223334", "444455556666", "777788889999"


def test_accounts_without_an_ou_are_named_with_their_cost_over_the_month(tmp_path: Path) -> None:
    """Of the day it is 30 of 80; the days before count for what accounts cost, and one of 31 days ago does not."""
    before, long_ago = DAY - timedelta(days=1), DAY - timedelta(days=30)
    lines = [
        line(50, account=KNOWN),
        line(20, account=SLIP),
        line(10, account=FORMULA),
        line("90.5", account=FORMULA, start=at(before)),
        line("0.25", account=BLANK, start=at(before)),
        line(7, account="999988887777", start=at(long_ago)),
    ]
    map_of = [Membership(KNOWN, "shop", "Eng"), Membership(BLANK, "later", "Unassigned")]
    archive = new_archive(tmp_path, account_map(*map_of))
    bill = open_bill(make_bill(tmp_path / "bill", lines), archive=archive)
    archive_days(bill, archive, [long_ago, before, DAY])
    (finding,) = without_ou(archive, DAY, limit=40.0)
    assert (finding.name, finding.state) == ("unassigned", "ok"), "37.5 % is under the limit"
    assert finding.detail.startswith(
        "37.5 % of 2025-09-10 is Unassigned, 30.00 USD (billed); 3 account(s) of 2025-09-09"
    )
    listed = [finding.detail.index(text) for text in (f"{SLIP} (the map knows {KNOWN}) 20.00", f"{FORMULA} 100.50")]
    assert listed == sorted(listed), "an id that may be a slip comes first"
    assert f"{BLANK} (later) 0.25" in finding.detail
    assert "999988887777" not in finding.detail
    assert finding.fix.endswith(f": {SLIP},,<OU>; {FORMULA},,<OU>"), "the map has the third already"
    (finding,) = without_ou(archive, DAY, limit=30.0)
    assert finding.state == "warn"


def test_nothing_is_said_where_all_accounts_have_an_ou(tmp_path: Path) -> None:
    """Nor of a day that is not archived."""
    known = [Membership(KNOWN, "shop", "Eng")]
    archive = new_archive(tmp_path, account_map(*known))
    assert not list(without_ou(archive, DAY, limit=0.0))
    archive_days(open_bill(make_bill(tmp_path / "bill", [line(1, account=KNOWN)]), archive=archive), archive, [DAY])
    assert not list(without_ou(archive, DAY, limit=0.0))
