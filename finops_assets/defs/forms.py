"""What all assets are given alike: partitions, groups, owners, descriptions, the specs of their checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

import dagster as dg

from finops_assets.composition.adapters import AssetLabel
from finops_assets.defs import keys
from finops_assets.settings.model import Settings


@dataclass(frozen=True)
class AssetForms:
    """The arguments that assets have in common.

    Attributes:
        settings: the first day of the partitions, and the deadline.
        labels: what stands behind each asset on this platform; keys and meaning are the same on every one.
    """

    settings: Settings
    labels: Mapping[str, AssetLabel]

    @cached_property
    def days(self) -> dg.DailyPartitionsDefinition:
        """One partition a day, from bill.first_day."""
        return dg.DailyPartitionsDefinition(start_date=self.settings.bill.first_day.isoformat(), timezone="UTC")

    @cached_property
    def fresh(self) -> dg.FreshnessPolicy:
        """The signal in the UI. It looks at the newest write of any day, so that a backfill of old days turns it green:
        the checks of the morning (morning.py) look at the day that is due."""
        return dg.FreshnessPolicy.cron(
            deadline_cron=self.settings.schedule.checks_cron, lower_bound_delta=timedelta(hours=24), timezone="UTC"
        )

    def plain(self, name: str, group: str, text: str, more: str = "") -> dict[str, Any]:
        """Of an asset that is not made by day.

        Args:
            name: its key.
            group: its group.
            text: what it is, in a sentence that the catalog's list shows whole (45 characters).
            more: what its own page says besides.
        """
        label = self.labels[name]
        return {
            "key": name,
            "group_name": group,
            "description": "\n\n".join(filter(None, [text, more, f"On this platform: {label.stands_for}."])),
            "kinds": set(label.kinds),
            "owners": ["team:finops"],
            "tags": {"domain": "cost"},
        }

    def daily(
        self, name: str, group: str, text: str, checks: Mapping[str, str] | None = None, *, more: str = ""
    ) -> dict[str, Any]:
        """Of an asset that is made by day, a range of days in one run.

        Args:
            name: its key.
            group: its group.
            text: what it is, as in `plain`.
            checks: check -> what it promises; each holds up what lies downstream, unless it is one of keys.WARNINGS.
            more: what its own page says besides.
        """
        return {
            **self.plain(name, group, text, more),
            "partitions_def": self.days,
            "backfill_policy": dg.BackfillPolicy.single_run(),
            "freshness_policy": self.fresh if group == keys.PUBLISHED_GROUP else None,
            "check_specs": [
                dg.AssetCheckSpec(check, asset=name, blocking=check not in keys.WARNINGS, description=promise)
                for check, promise in (checks or {}).items()
            ],
        }
