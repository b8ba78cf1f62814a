"""A bill whose control totals and reasons are in the currency that costs are shown in; its days stay as billed."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from finops_assets.core.analytics.shown_drivers import shown_sums
from finops_assets.core.archive.day_currencies import parts_of
from finops_assets.core.archive.display import Display
from finops_assets.core.ports import Archive, Warehouse
from finops_assets.core.values import ControlTotal

if TYPE_CHECKING:
    import pyarrow as pa


class ShownBill:
    """A warehouse for what is shown; all else is the warehouse's own.

    Args:
        warehouse: reads the bill.
        archive: in the billing currency; tells which currency an account's days are in.
        display: how costs are shown.
    """

    def __init__(self, warehouse: Warehouse, archive: Archive, display: Display) -> None:
        self._warehouse, self._archive, self._display = warehouse, archive, display

    def __getattr__(self, name: str) -> Any:
        return getattr(self._warehouse, name)

    def control_totals(self) -> list[ControlTotal]:
        """The control totals as they are shown."""
        return self._display.controls(self._warehouse.control_totals())

    def drivers(self, day: date, against: date) -> pa.Table:
        """Why a day moved, each day at its own rates."""
        return self._shown(self._warehouse.drivers(day, against), day, against)

    def moved_parts(self, day: date, against: date, *, rescan: bool = True) -> pa.Table:
        """The parts of what moved, each day at its own rates."""
        return self._shown(self._warehouse.moved_parts(day, against, rescan=rescan), day, against)

    def _shown(self, sums: pa.Table, day: date, against: date) -> pa.Table:
        described = [self._archive.describe(each) for each in (against, day)]
        before, now = ([] if of is None else parts_of(of.currency, of.metadata) for of in described)
        return shown_sums(sums, (against, before), (day, now), self._display.rates)
