"""The index of a month's evidence: what its newest bundle holds, and what the month was when that was made."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from finops_assets.core.errors import FinopsError
from finops_assets.core.records import RecordType

if TYPE_CHECKING:
    from finops_assets.core.ports import Archive

BUNDLES, INDEX = "evidence/bundles/", "evidence/index/"

COLUMNS = (
    *("day", "archived", "rows", "total", "currency", "cost_basis", "settlement", "source_total", "totals_match"),
    *("fingerprint", "object", "version", "sha256", "bill_total", "as_in_bill"),
)
"""Of days.csv and the index's `days`; totals are exact, `sha256` is of the day's object.

`source_total` is what the bill said when the day was archived, `bill_total` what it said when the bundle was made;
`as_in_bill` is whether every row is the bill's, and empty where the bill could not be asked or does not have the month.
"""

VERSION = ("version", "bundle", "sha256", "size", "made_at")
"""What an index keeps of the versions before its own."""


@dataclass(frozen=True)
class Member:
    """One file of a bundle."""

    name: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Evidence:
    """A month's index: its newest bundle, and what the month was when that was made.

    Attributes:
        total: exact; None where the days have more than one currency or cost basis.
        settlement: how many of the archived days were provisional, stable, closed.
        days: a row a day, with COLUMNS.
        before: VERSION of each version before this one.
        asked: the export that the days were held against, or why none could be.
        every_line: where every line of the whole bill was then: money that is in no day is named.
    """

    month: str
    version: int
    bundle: str
    sha256: str
    size: int
    made_at: str
    total: str | None
    currency: str
    cost_basis: str
    days_archived: int
    days_missing: tuple[str, ...]
    settlement: Mapping[str, int]
    days: tuple[Mapping[str, Any], ...]
    members: tuple[Member, ...]
    before: tuple[Mapping[str, Any], ...] = ()
    asked: str = ""
    every_line: str = ""

    @property
    def faults(self) -> dict[date, str]:
        """What keeps the month from being whole: day -> reason."""
        faults = {date.fromisoformat(row["day"]): self._fault(row) for row in self.days}
        return {day: fault for day, fault in faults.items() if fault}

    def _fault(self, row: Mapping[str, Any]) -> str:
        """What is wrong with a day; empty where nothing is."""
        if row["archived"] == "no":
            return "not archived"
        if row["totals_match"] == "no":
            bill_total = row.get("bill_total", row["source_total"])
            bill = f"the bill's {bill_total}" if bill_total else "the bill has no such day"
            return f"its total is {row['total']}, {bill}"
        if row.get("as_in_bill") == "no":
            return "its rows are not the bill's, though its total is"
        if row.get("as_in_bill") == "":
            return f"it could not be held against the bill ({self.asked})"
        several = {(each["currency"], each["cost_basis"]) for each in self.days if each["archived"] == "yes"}
        if self.total is None and len(several) > 1:
            return f"it is in {row['currency']} ({row['cost_basis']}), other days of the month are not"
        return ""


RECORD = RecordType[Evidence](Evidence, "the index of a month's evidence")


def read(archive: Archive, month: str) -> Evidence | None:
    """The month's index; None where it has no evidence."""
    data = archive.get(index_path(month))
    return None if data is None else RECORD.decode(data, index_path(month))


def read_all(archive: Archive) -> list[Evidence]:
    """Every month's index, ascending."""
    matches = (re.fullmatch(rf"{INDEX}(\d{{4}}-\d{{2}})\.json", path) for path in archive.list(INDEX))
    return [evidence for match in matches if match and (evidence := read(archive, match[1]))]


def index_path(month: str) -> str:
    """Where a month's index is kept."""
    return f"{INDEX}{month}.json"


def bundle_path(month: str, version: int) -> str:
    """Where a version of a month's bundle is kept."""
    return f"{BUNDLES}{month}/evidence-{month}-v{version}.zip"


def days_of(month: str) -> list[date]:
    """The days of a month, `2025-09`."""
    year, number = map(int, month.split("-"))
    return [date(year, number, day + 1) for day in range(monthrange(year, number)[1])]


def check_over(month: str, today: date) -> None:
    """Refuse a month that has days to come.

    Raises:
        FinopsError: it is not over.
    """
    if today <= days_of(month)[-1]:
        raise FinopsError("the month is not over yet", where=month, fix="Its evidence can be made once it is (UTC).")
