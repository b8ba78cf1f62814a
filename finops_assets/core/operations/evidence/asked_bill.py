"""What the bill says of a month at the moment at which its evidence is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING

from finops_assets.core.errors import FinopsError
from finops_assets.core.operations.evidence.index import days_of

if TYPE_CHECKING:
    from finops_assets.core.operations.inspector import Inspector
    from finops_assets.core.values import DayPrint


@dataclass(frozen=True)
class AskedBill:
    """What the bill says of a month's days now.

    Attributes:
        prints: its days.
        export: the id of its files.
        written: when the newest of them was written (UTC); empty where that is not known.
        unknown: why it could not be asked; empty where it could.
        has_month: whether it has the month's billing period.
        every_line: where every line of the whole bill is, in sentences.
    """

    prints: Mapping[date, DayPrint] = field(default_factory=dict)
    export: str = ""
    written: str = ""
    unknown: str = ""
    has_month: bool = True
    every_line: str = ""

    @property
    def words(self) -> str:
        """Which export was asked."""
        if self.unknown:
            return f"not asked: {self.unknown}"
        return f"export {self.export}" + (f", written {self.written}" if self.written else "")


def ask_bill(inspector: Inspector, month: str, now: datetime) -> AskedBill:
    """What the bill says of a month's days as it is now; one that cannot be read is no error, but certifies nothing."""
    days = days_of(month)
    try:
        compared = inspector.bill.compare(now, days)
        every_line = inspector.cheap(now).coverage_words
    except FinopsError as error:
        return AskedBill(unknown=str(error))
    if not compared.comparable:
        return AskedBill(unknown="the account-to-OU map is not there")
    has_month = compared.totals is None or compared.totals.has_month(days[0])
    written = f"{compared.written:%Y-%m-%d %H:%M} UTC" if compared.written else ""
    prints = {day: compared.prints[day] for day in days if day in compared.prints}
    unknown = "" if has_month else "it does not have the month"
    return AskedBill(prints, compared.snapshot, written, unknown, has_month, every_line)
