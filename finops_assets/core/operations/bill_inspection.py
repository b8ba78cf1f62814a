"""What an inspection learns of the bill: the days that it has whole, what it says of them, where its lines are."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from finops_assets.core.archive.available_days import delivered_until, late_words
from finops_assets.core.archive.bill_comparison import (
    CANNOT_BE_READ,
    EMPTY,
    BillComparison,
    Comparison,
    is_being_written,
    spans,
)
from finops_assets.core.archive.coverage import coverage
from finops_assets.core.archive.settlement import first_open_day
from finops_assets.core.bill.totals import bill_totals
from finops_assets.core.calendar import days_between, in_words
from finops_assets.core.errors import BeingWrittenError

if TYPE_CHECKING:
    import pyarrow as pa

    from finops_assets.core.archive.bill_difference import PublishedAs
    from finops_assets.core.archive.coverage import Coverage
    from finops_assets.core.archive.states import Facts
    from finops_assets.core.bill.totals import BillTotals
    from finops_assets.core.ports import Warehouse
    from finops_assets.core.values import DayPrint, ExportVersion


@dataclass(frozen=True)
class InspectionRules:
    """What the settings say of the bill's days.

    Attributes:
        first_day: bill.first_day.
        complete_after: bill.complete_after_hours.
        cost_basis: bill.cost_basis.
        change_closed: bill.change_closed_days.
        bill_rules: what the settings ask of the bill, as text: a bill that is asked otherwise is compared anew.
    """

    first_day: date
    complete_after: float = 0.0
    cost_basis: str = ""
    change_closed: bool = True
    bill_rules: str = ""


@dataclass(frozen=True)
class BillState:
    """What an inspection knows of the bill.

    Attributes:
        covered: the days that it has whole.
        prints: what it says of the days that it was compared on.
        totals: its control totals; None where they are not known.
        export_version: of its files; None where it could not be read.
        late: of several bills, which one yesterday waits for, in words.
        unreadable: why it cannot be read; empty where it can.
        question: of a cheap inspection: what the bill was asked, which is not asked again.
        compared: of a cheap inspection: the last comparison with the archive, if it was of this bill.
    """

    covered: Collection[date]
    prints: Mapping[date, DayPrint] = field(default_factory=dict)
    totals: BillTotals | None = None
    export_version: ExportVersion | None = None
    unreadable: str = ""
    late: str = ""
    question: str = ""
    compared: Comparison | None = None

    @property
    def unregistered(self) -> Mapping[str, str]:
        """Billing periods whose files the bill's table does not read, and what mends it."""
        return self.export_version.unregistered if self.export_version else {}


class BillInspector:
    """Asks the bill for an inspection, and holds the answer against the archive.

    Args:
        warehouse: reads the bill.
        comparison: the last comparison of the bill with the archive.
        rules: what the settings say of the bill's days.
    """

    def __init__(self, warehouse: Warehouse, comparison: BillComparison, rules: InspectionRules) -> None:
        self._warehouse, self._comparison, self._rules = warehouse, comparison, rules

    def known(
        self,
        now: datetime,
        written: Mapping[date, datetime],
        absent: Sequence[date],
        asked: str,
        in_bill: Collection[date],
    ) -> BillState:
        """What is known of the bill without a query of its lines.

        Its control totals are asked for once, where the archive lacks days and no comparison has them.

        Args:
            now: the time (aware, UTC).
            written: the archived days.
            absent: expected days that are not archived.
            asked, in_bill: the question and the answer of an earlier inspection.
        """
        yesterday = now.date() - timedelta(days=1)
        compared = self._comparison.last()
        question, export_version, totals = "", None, None
        try:
            export_version = self._warehouse.export_version()
            state = self._comparison.state(export_version)
            compared = compared if compared and compared.state == state else None
            if absent:
                question = f"{export_version.snapshot} {in_words(absent) if written else 'nothing archived'}"
            if compared and compared.totals:
                totals = compared.totals
                in_bill = self._whole_days(totals, export_version, yesterday, written)
            elif absent and question != asked:
                if is_being_written(export_version, now):
                    question = asked  # it is asked once it is left alone
                else:
                    totals = bill_totals(self._warehouse.control_totals())
                    in_bill = self._whole_days(totals, export_version, yesterday, written)
        except BeingWrittenError:
            question = asked
        except CANNOT_BE_READ as error:
            return BillState((), export_version=export_version, unreadable=str(error))
        late = late_words(export_version, totals, yesterday) if export_version else ""
        if compared is None:
            return BillState(in_bill, export_version=export_version, late=late, question=question)
        return BillState(
            in_bill,
            prints=compared.prints if compared.comparable else {},
            totals=None if compared.unreadable else compared.totals,
            export_version=export_version,
            unreadable=compared.unreadable if compared.comparable else "",
            late=late,
            question=question,
            compared=compared if compared.comparable else None,
        )

    def read(self, days: Sequence[date] | None, yesterday: date, written: Collection[date]) -> BillState:
        """What the bill says of the days now; it is queried for what no comparison of this bill has.

        Args:
            days: which, ascending; every expected day where None.
            yesterday: the newest day that is expected.
            written: the archived days.
        """
        rules = self._rules
        try:
            export_version = self._warehouse.export_version()
            until = delivered_until(export_version.updated, rules.complete_after)
            last = min(filter(None, (until, yesterday, max(days) if days else None)))
            first = max(min(days), rules.first_day) if days else rules.first_day
            accounts = self._comparison.accounts()  # nothing can be compared without it, only counted
            compared = self._comparison.known(export_version)
            prints: Mapping[date, DayPrint] = {}
            if accounts is not None and last >= first:
                prints = self._prints(first, last, accounts, compared)
            if days is not None and set(days) <= prints.keys():
                return BillState(prints.keys(), prints, export_version=export_version)
            totals = compared.totals if compared else None
            totals = totals or bill_totals(self._warehouse.control_totals())
            begins = min((day for day in totals.days if first <= day <= last), default=None)
            wanted = days or sorted({*written, *(days_between(begins, last) if begins else ())})
            if accounts is not None:
                empty = {day: EMPTY for day in wanted if first <= day <= last and totals.is_empty(day, yesterday)}
                prints = dict(sorted({**prints, **empty}.items()))
            covered = self._whole_days(totals, export_version, yesterday, written)
            late = late_words(export_version, totals, yesterday) if export_version else ""
            return BillState(covered, prints, totals, export_version, late=late)
        except CANNOT_BE_READ as error:
            return BillState(self._whole_days_of_a_faulty_bill(yesterday), unreadable=str(error))

    def _prints(
        self, first: date, last: date, accounts: pa.Table, compared: Comparison | None
    ) -> Mapping[date, DayPrint]:
        """What the bill says of each day: by its last comparison, and by queries of the days that it does not have."""
        if compared is None or compared.totals is None:
            return self._warehouse.fingerprints(first, last, accounts)
        prints = {day: of for day, of in compared.prints.items() if first <= day <= last and of.rows}
        unknown = [day for day in sorted(compared.totals.days) if first <= day <= last and day not in compared.asked]
        for start, end in spans(unknown):
            prints |= self._warehouse.fingerprints(start, end, accounts)
        return prints

    def gone(self, bill: BillState, written: Collection[date], yesterday: date) -> frozenset[date]:
        """Archived days that the bill had and has no more, though it has newer ones."""
        if bill.totals is None or bill.export_version is None:
            return frozenset()
        until = min(filter(None, (self._delivered_until(bill.export_version), yesterday)))
        return frozenset(day for day in written if day <= until and bill.totals.has_lost(day, yesterday))

    def kept(
        self, archived: Mapping[date, PublishedAs], prints: Mapping[date, DayPrint], now: datetime
    ) -> frozenset[date]:
        """Days that stay as they are archived: the settings do not let closed days change."""
        if self._rules.change_closed:
            return frozenset()
        oldest = first_open_day(now.date())
        return frozenset(day for day in prints.keys() & archived.keys() if day < oldest)

    def coverage(
        self, bill: BillState, archived: Mapping[date, PublishedAs], facts: Facts, yesterday: date
    ) -> Coverage | None:
        """Where every line of the bill is; None where its control totals are not known."""
        if bill.totals is None or bill.export_version is None:
            return None
        return coverage(
            bill.totals,
            archived,
            first_day=self._rules.first_day,
            yesterday=yesterday,
            until=self._delivered_until(bill.export_version),
            cost_basis=self._rules.cost_basis,
            kept=frozenset(facts.kept) | {day for day, published in archived.items() if published.held},
            passed_over=bill.export_version.passed_over,
        )

    def _whole_days(
        self, totals: BillTotals, export_version: ExportVersion, yesterday: date, days: Iterable[date]
    ) -> list[date]:
        """The days that the bill has whole: those with charges, and archived ones of `days` that it has emptied."""
        empty = (day for day in days if totals.is_empty(day, yesterday))
        whole = (day for day in sorted({*totals.days, *empty}) if not totals.waits_for(day, yesterday))
        return self._delivered(whole, export_version, yesterday)

    def _whole_days_of_a_faulty_bill(self, yesterday: date) -> list[date]:
        """The days of a bill whose costs cannot be read, as when a line has no cost; none where they are not known."""
        try:
            totals = bill_totals(self._warehouse.control_totals())
            return self._delivered(totals.days, self._warehouse.export_version(), yesterday)
        except CANNOT_BE_READ:
            return []

    def _delivered(self, days: Iterable[date], export_version: ExportVersion, yesterday: date) -> list[date]:
        """The days that were over when the bill was written, of months whose files are read."""
        until, unread = self._delivered_until(export_version), export_version.unregistered
        return [day for day in days if day <= min(until or yesterday, yesterday) and f"{day:%Y-%m}" not in unread]

    def _delivered_until(self, export_version: ExportVersion) -> date | None:
        return delivered_until(export_version.updated, self._rules.complete_after)
