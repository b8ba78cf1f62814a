"""Parts that the adapters of both platforms are given: what the settings say, bound to the archive."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime

from finops_assets.core.archive.age import Age, age_of, deadline_by
from finops_assets.core.archive.journal import Journal
from finops_assets.core.bill.rules import Rules
from finops_assets.core.ports import Archive
from finops_assets.settings.model import Settings


def bill_rules(settings: Settings) -> Rules:
    """What the settings ask of the bill."""
    bill = settings.bill
    return Rules(
        cost_basis=bill.cost_basis,
        currency=bill.currency,
        include_tax=bill.include_tax,
        include_credits=bill.include_credits,
        include_refunds=bill.include_refunds,
    )


def settled_days(settings: Settings, archive: Archive) -> Callable[[], Callable[[date], str]]:
    """Gives what tells the settlement of a day, as of the moment at which it is asked for."""
    return lambda: Journal(archive, settings.bill.stable_after).settled()


def archive_age(settings: Settings, archive: Archive, now: datetime) -> Age | None:
    """How old the archive's data are at a time (aware, UTC); None where nothing is archived."""
    deadline = deadline_by(settings.schedule.cron)
    return age_of(archive.days(), first_day=settings.bill.first_day, now=now, deadline=deadline)
