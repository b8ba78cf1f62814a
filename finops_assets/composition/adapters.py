"""What a platform consists of: one adapter for each role, and what people are shown of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from finops_assets.core.archive.display import Display
from finops_assets.core.operations.doctor import Preflight
from finops_assets.core.ports import (
    Accounts,
    Alerts,
    Archive,
    Catalog,
    DashboardData,
    HeartbeatChannel,
    Mailer,
    Metrics,
    Warehouse,
)
from finops_assets.core.values import QueryReceipt
from finops_assets.settings.model import Settings


@dataclass(frozen=True)
class AssetLabel:
    """What stands behind an asset on this platform, as the Dagster UI shows it."""

    kinds: frozenset[str]
    stands_for: str


@dataclass(frozen=True, kw_only=True)
class Adapters:
    """One adapter for each role.

    Attributes:
        budgets, events: read budgets.csv and events.csv; None without one.
        display: how costs are shown.
        receipts: gives, once, what paid queries have taken since it was last asked.
        labels: by asset.
        links: label -> path or URL, shown in the digest.
        places: name -> path or URL, shown by the command.
    """

    settings: Settings
    warehouse: Warehouse
    accounts: Accounts
    archive: Archive
    catalog: Catalog
    dashboard: DashboardData
    mailer: Mailer
    alerts: Alerts
    metrics: Metrics
    preflight: Preflight
    heartbeats: Mapping[str, HeartbeatChannel] = field(default_factory=dict)
    budgets: Callable[[], bytes | None] = lambda: None
    events: Callable[[], bytes | None] = lambda: None
    display: Display = field(default_factory=Display)
    receipts: Callable[[], list[QueryReceipt]] = list
    labels: Mapping[str, AssetLabel] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)
