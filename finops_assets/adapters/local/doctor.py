"""Checks of what the embedded platform needs: a home, space, the bill's files, addresses, a mail server.

Nothing is written but an unnamed temporary file, and no mail is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from finops_assets.adapters.shared.dashboard_page import page_shown
from finops_assets.adapters.shared.doctor import accounts_file, dagster, each_bill, free_bytes, home
from finops_assets.core.archive.expected_days import missing_days
from finops_assets.core.bill.dimension_keys import account_attributes
from finops_assets.core.bill.totals import bill_totals
from finops_assets.core.calendar import in_words
from finops_assets.core.delivery.outbox import MEGABYTE
from finops_assets.core.findings import Finding, findings_of
from finops_assets.core.operations.doctor import addresses, days_in_several_files, files_passed_over
from finops_assets.core.operations.heartbeat import is_set
from finops_assets.core.values import DashboardContent

if TYPE_CHECKING:
    from finops_assets.core.ports import Warehouse
    from finops_assets.settings.model import Settings


class LocalPreflight:
    """Checks the embedded platform.

    Args:
        settings: the settings in force.
        warehouse: reads the bill.
        mail: checks what the digest is mailed by.
        free: gives the free bytes of the disk that a folder is on.
    """

    def __init__(
        self,
        settings: Settings,
        warehouse: Warehouse,
        mail: Callable[[], Iterable[Finding]],
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self._settings, self._warehouse, self._mail, self._free = settings, warehouse, mail, free

    def check(self) -> Iterator[Finding]:
        settings = self._settings
        yield from findings_of("home", home(settings.home, self._free))
        yield from each_bill(self._warehouse, self._bill)
        attributes = account_attributes(settings.dimensions.keys)
        yield from findings_of("accounts", accounts_file(settings.accounts, attributes, self._warehouse))
        yield from addresses(settings.mail.sender, settings.mail.everybody)
        yield from self._mail()
        yield is_set(settings.alerts.heartbeat_url.get_secret_value(), settings.alerts.heartbeat_recipients)
        yield from findings_of("dagster", dagster(settings.dagster_home))

    def shown(self) -> DashboardContent | None:
        file = self._settings.dashboard_file
        if not file.is_file():
            return None
        return page_shown(file.read_bytes(), str(file), datetime.fromtimestamp(file.stat().st_mtime, UTC))

    @staticmethod
    def _bill(warehouse: Warehouse, _: str, name: str) -> Iterator[Finding]:
        bill, days = warehouse.describe(), list(bill_totals(warehouse.control_totals()).days)
        if not days:
            yield Finding(name, "fail", f"{bill.path} has no charges", "Copy the export again, all of its files.")
            return
        yield Finding(
            name,
            "ok",
            f"{bill.path}: {bill.format}, {bill.files} file(s), {bill.size_bytes / MEGABYTE:,.1f} MB, "
            f"{len(days)} day(s) from {days[0]} to {days[-1]}; cost bases {', '.join(bill.cost_bases)}",
        )
        missing = missing_days((), days, days[0], days[-1])
        if missing:
            yield Finding(name, "warn", f"it has no charges on {in_words(missing)}", "See whether files are missing.")
        yield from days_in_several_files(bill.warnings)
        yield from files_passed_over(warehouse.export_version().passed_over)
