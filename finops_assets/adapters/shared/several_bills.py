"""Several bills as one warehouse: each is read by a warehouse of its own, and the answers are put together.

What is put together how is a rule of `core`: `core.bill.several`, `core.bill.payers`, `core.archive.merged_rows`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from heapq import merge
from operator import itemgetter
from typing import TYPE_CHECKING, Generic, TypeVar

from finops_assets.core.analytics.driver_sums import summed_up
from finops_assets.core.archive.breakdown import prints, whole_days
from finops_assets.core.archive.merged_rows import merged
from finops_assets.core.bill import several
from finops_assets.core.bill.currencies import OfAccounts, account_currencies
from finops_assets.core.bill.payers import refuse_covered_twice, superseded
from finops_assets.core.bill.profile import combined_profile
from finops_assets.core.ports import Warehouse
from finops_assets.core.values import (
    BillDescription,
    BillProfile,
    ControlTotal,
    DayPrint,
    ExportVersion,
    PayerPeriod,
    SourceDay,
)

if TYPE_CHECKING:
    import pyarrow as pa

OneBill = TypeVar("OneBill", bound=Warehouse)
Answer = TypeVar("Answer")


class SeveralBills(Generic[OneBill]):
    """The union of bills that have no payer's month in common; a platform's own class adds `provide_summary`.

    Args:
        bills: the warehouse of each, by its name.
        last_days: bill.last_day of each, None of one that goes on.
        several_currencies: whether they may be in more than one.
    """

    def __init__(
        self, bills: Mapping[str, OneBill], last_days: Mapping[str, date | None], *, several_currencies: bool = False
    ) -> None:
        self.bills, self._last_days, self._several_currencies = bills, last_days, several_currencies
        self._lock = threading.Lock()
        self._payers: tuple[str, dict[str, list[PayerPeriod]]] | None = None

    def describe(self) -> BillDescription:
        return several.combined_description(self._of_each(lambda bill: bill.describe()), self.export_version())

    def export_version(self) -> ExportVersion:
        versions = self._of_each(lambda bill: bill.export_version())
        return several.combined_version(versions, self._last_days, lambda: superseded(self._payers_by_bill(versions)))

    def control_totals(self) -> list[ControlTotal]:
        payers = self._checked()
        ended = superseded(payers) | {name for name, last in self._last_days.items() if last}
        totals = self._of_each(lambda bill: bill.control_totals())
        return several.combined_totals(totals, ended, several_currencies=self._several_currencies)

    def payers(self) -> list[PayerPeriod]:
        return [of for periods in self._payers_by_bill().values() for of in periods]

    def profile(self, since: date) -> BillProfile:
        return combined_profile(self._of_each(lambda bill: bill.profile(since)).values())

    def source_days(self, start: date, end: date) -> dict[date, SourceDay]:
        self._checked()
        days = self._of_each(lambda bill: bill.source_days(start, end))
        return several.combined_days(days, several_currencies=self._several_currencies)

    def account_currencies(self, start: date, end: date) -> OfAccounts:
        found = self._of_each(lambda bill: bill.account_currencies(start, end))
        rows = ((day, *each) for days in found.values() for day, of in days.items() for each in of.items())
        return account_currencies(rows, f"the bills {' and '.join(self.bills)}")

    def breakdown(self, start: date, end: date, accounts: pa.Table) -> Iterator[pa.RecordBatch]:
        self._checked()
        source = self._of_each(lambda bill: bill.source_days(start, end))
        yield from merged(self._streams(start, end, accounts), source)

    def commitments(self, start: date, end: date) -> Iterator[pa.RecordBatch]:
        days = (whole_days(_named(name, bill.commitments(start, end))) for name, bill in self.bills.items())
        for _, table in merge(*days, key=itemgetter(0)):
            yield from table.to_batches()

    def fingerprints(self, start: date, end: date, accounts: pa.Table) -> dict[date, DayPrint]:
        """As the port says; of merged rows, which no engine has, so that they are read for it."""
        self._checked()
        return prints(merged(self._streams(start, end, accounts)))

    def drivers(self, day: date, against: date) -> pa.Table:
        import pyarrow as pa

        return summed_up(pa.concat_tables(self._of_each(lambda bill: bill.drivers(day, against)).values()))

    def moved_parts(self, day: date, against: date, *, rescan: bool = True) -> pa.Table:
        import pyarrow as pa

        of_each = self._of_each(lambda bill: bill.moved_parts(day, against, rescan=rescan))
        return pa.concat_tables(of_each.values())

    def keep_sums(self, day: date) -> None:
        self._of_each(lambda bill: bill.keep_sums(day))

    def accounts(self) -> pa.Table:
        import pyarrow as pa

        names: dict[str, str] = {}
        for accounts in self._of_each(lambda bill: bill.accounts()).values():
            for row in accounts.to_pylist():
                names[row["account_id"]] = names.get(row["account_id"]) or row["account_name"]
        ordered = sorted(names.items())
        return pa.table(
            {
                "account_id": pa.array([account for account, _ in ordered], pa.string()),
                "account_name": pa.array([name for _, name in ordered], pa.string()),
            }
        )

    def refuse_faulty(self) -> None:
        """Refuse bills that cannot be read together.

        Raises:
            BillError: they have a payer's month in common, or one does not name its payers.
        """
        self._checked()

    def _streams(self, start: date, end: date, accounts: pa.Table) -> dict[str, Iterator[pa.RecordBatch]]:
        return {name: _named(name, bill.breakdown(start, end, accounts)) for name, bill in self.bills.items()}

    def _of_each(self, ask: Callable[[OneBill], Answer]) -> dict[str, Answer]:
        """The answer of each bill, by its name; an error names it, too."""
        answers = {}
        for name, bill in self.bills.items():
            with several.of_bill(name):
                answers[name] = ask(bill)
        return answers

    def _checked(self) -> dict[str, list[PayerPeriod]]:
        """The payers of each bill, which have no month in common.

        Raises:
            BillError: two bills have the same payer's month, or one does not name its payers.
        """
        payers = self._payers_by_bill()
        refuse_covered_twice(payers)
        return payers

    def _payers_by_bill(self, versions: Mapping[str, ExportVersion] | None = None) -> dict[str, list[PayerPeriod]]:
        """The payers of each bill, asked again only when the files of one have changed."""
        versions = versions or self._of_each(lambda bill: bill.export_version())
        snapshot = several.one_id({name: of.snapshot for name, of in versions.items()})
        with self._lock:
            if self._payers is None or self._payers[0] != snapshot:
                several.refuse_without_payer(self._of_each(lambda bill: bill.describe()))
                self._payers = snapshot, self._of_each(lambda bill: bill.payers())
            return self._payers[1]


def _named(name: str, stream: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """A stream of one bill, whose errors name it."""
    with several.of_bill(name):
        yield from stream
