"""Parts that the adapters of both platforms are given: what the settings say, bound to the archive."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime

from finops_assets.core.archive.age import Age, age_of, deadline_by
from finops_assets.core.archive.journal import Journal
from finops_assets.core.bill.bill_names import bill_key
from finops_assets.core.bill.dimension_keys import is_of_bill
from finops_assets.core.bill.rules import Rules
from finops_assets.core.errors import SettingsError
from finops_assets.core.ports import Archive
from finops_assets.core.schemas import DATABASE
from finops_assets.settings.bill_section import BillEntry
from finops_assets.settings.kinds import LEAST_MEMORY, memory_bytes
from finops_assets.settings.model import Settings

SUMMARY = f"{DATABASE}.finops_daily_summary"


def bill_rules(settings: Settings, of: BillEntry | None = None) -> Rules:
    """What the settings ask of the bill, or of one of several."""
    bill = settings.bill
    return Rules(
        provider=(of or bill).provider,
        cost_basis=bill.cost_basis,
        currency=bill.currency,
        include_tax=bill.include_tax,
        include_credits=bill.include_credits,
        include_refunds=bill.include_refunds,
        dimensions=tuple(filter(is_of_bill, settings.dimensions.keys)),
        several_currencies=bool(settings.currency.display),
    )


def bills_in_words(settings: Settings) -> str:
    """All that the settings ask of the bills, as text: bills that are asked otherwise are compared anew."""
    several = settings.bill.entries.values()
    words = repr(tuple((of.name, bill_rules(settings, of)) for of in several) or bill_rules(settings))
    return words + "".join(f" {key}" for key in bill_rules(settings).dimensions)


def refuse_incomplete(bills: Iterable[BillEntry], setting: str, example: str) -> None:
    """Refuse one of several bills that does not say where it is, or that lies where another does.

    Args:
        bills: of the settings.
        setting: `path` or `table`, by the platform.
        example: of a value.

    Raises:
        SettingsError: the bill and the setting.
    """
    places: dict[str, str] = {}
    for bill in bills:
        place, variable = getattr(bill, setting), f"FINOPS_BILL__{bill_key(bill.name).upper()}__{setting.upper()}"
        where = f"bill.{bill.name}.{setting} ({variable})"
        if not place:
            raise SettingsError("is not set", where=where, fix=f"Set it, for example to {example}.")
        if place in places:
            what = f"is {place}, as that of the bill {places[place]} is: its charges would count twice"
            raise SettingsError(what, where=where, fix="Give each bill its own.")
        if place == SUMMARY:
            raise SettingsError(
                f"is {place}, the view that is made over all bills",
                where=where,
                fix="Name the table that the view was made of.",
            )
        places[place] = bill.name


def part_of(memory: str, bills: int) -> str:
    """The memory of each of so many bills, so that together they have warehouse.memory, if that is enough."""
    return memory if bills == 1 else f"{max(memory_bytes(memory) // bills, LEAST_MEMORY) // 1000}KB"


def settled_days(settings: Settings, archive: Archive) -> Callable[[], Callable[[date], str]]:
    """Gives what tells the settlement of a day, as of the moment at which it is asked for."""
    return lambda: Journal(archive, settings.bill.stable_after).settled()


def archive_age(settings: Settings, archive: Archive, now: datetime) -> Age | None:
    """How old the archive's data are at a time (aware, UTC); None where nothing is archived."""
    deadline = deadline_by(settings.schedule.cron)
    return age_of(archive.days(), first_day=settings.bill.first_day, now=now, deadline=deadline)
