"""Days of the bill are published in the archive: found, broken down, checked, written; Dagster only calls it.

It can be repeated: a day that is archived as the bill has it is left as it is.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal

from finops_assets.core.accounts.published_map import read_account_map
from finops_assets.core.archive import breakdown, restatements
from finops_assets.core.archive.account_dimensions import attribute_keys
from finops_assets.core.archive.available_days import find_days
from finops_assets.core.archive.comparable_days import WRITERS
from finops_assets.core.archive.day_checks import DAY_CHECKS, TOTALS, faults
from finops_assets.core.archive.day_commitments import CommitmentsByDay, with_commitments
from finops_assets.core.archive.day_currencies import (
    CURRENCIES,
    currencies_fact,
    currency_of_account,
    left_out_of,
    left_out_records,
    parts_of,
)
from finops_assets.core.archive.display import Display
from finops_assets.core.archive.journal import Journal
from finops_assets.core.archive.provenance import bill_shares, bills_fact
from finops_assets.core.archive.restatements import Restatement
from finops_assets.core.bill.currencies import currencies_of
from finops_assets.core.bill.providers import archived_providers, providers_fact
from finops_assets.core.money import plain
from finops_assets.core.ports import Archive, Progress, Warehouse, no_progress
from finops_assets.core.schemas import BILL_DELIVERY
from finops_assets.core.values import DayRows, PublishedDay, SourceDay

LARGEST = 10
"""Rows of a day that are shown as its preview."""


@dataclass
class Archived:
    """The outcome of each day.

    Attributes:
        published: the days that were published, or were archived as the bill has them.
        largest: each day's rows of the highest cost, as a preview.
        unknown: each day's accounts without OU, and what they cost.
        broken: name of a check -> the days that fail it, and how; they are not published.
        restated: the days that were archived before with other rows.
        left_out: the days that the bill does not have completely, and why.
        snapshot: the id of the bill.
    """

    published: dict[date, PublishedDay] = field(default_factory=dict)
    largest: dict[date, list[dict]] = field(default_factory=dict)
    unknown: dict[date, dict[str, float]] = field(default_factory=dict)
    broken: dict[str, dict[date, str]] = field(default_factory=lambda: {check.name: {} for check in DAY_CHECKS})
    restated: dict[date, Restatement] = field(default_factory=dict)
    left_out: Mapping[date, str] = field(default_factory=dict)
    snapshot: str = ""

    @property
    def refused(self) -> dict[date, str]:
        return {day: fault for of_check in self.broken.values() for day, fault in of_check.items()}


@dataclass(frozen=True)
class ArchivingRules:
    """Which of the bill's days are archived, and how final they are.

    Attributes:
        complete_after, stable_after: bill.complete_after_hours and bill.stable_after: when days are whole, and settled.
        display: how costs are shown: days of which a currency has no rate are refused.
    """

    complete_after: float = 0.0
    stable_after: int = 0
    display: Display = field(default_factory=Display)


def archive_days(
    warehouse: Warehouse,
    archive: Archive,
    days: Sequence[date],
    *,
    cost_basis: str,
    run_id: str,
    now: datetime,
    rules: ArchivingRules = ArchivingRules(),
    progress: Progress = no_progress,
) -> Archived:
    """Publish one object a day, each proved to be exactly the bill; a day that is not stays as it was.

    A day that the bill does not have whole is left out; one on which it has no charges is published without rows. What
    a day's rewriting changes is entered in the ledger of restatements before the day is published.

    Args:
        warehouse: reads the bill.
        archive: where days are published.
        days: which (contiguous, ascending).
        cost_basis: the setting bill.cost_basis.
        run_id: the Dagster run, for the records.
        now: for how final a day is, and for when a change was first seen.
        rules: which of the bill's days are archived, and how final they are.
        progress: called with how many days are archived.
    """
    available = find_days(warehouse, days, now, rules.complete_after)
    source, described = available.source, warehouse.describe()
    rules.display.refuse_missing(source.values())
    mixed = [day for day, of in source.items() if of.parts]
    of_accounts = warehouse.account_currencies(min(mixed), max(mixed)) if mixed else {}
    written = min(available.bill.updated or now, now)
    settled = Journal(archive, rules.stable_after).settled(being_archived_from=written)
    result = Archived(left_out=available.left_out, snapshot=available.bill.snapshot)

    def record_change(before: PublishedDay, rows: DayRows) -> None:
        known, now_in = currencies_of(before.currency), currencies_of(source[rows.day].currency)
        if before.cost_basis != cost_basis or not set(known).intersection(now_in):
            return  # another setting, no other bill
        parts, of_account = parts_of(before.currency, before.metadata), of_accounts.get(rows.day, {})
        unit = {
            account: of_account.get(account, currency_of_account(parts, account) if rows.day in mixed else now_in[0])
            for account in rows.rows.column("linkedaccount").unique().to_pylist()
        }
        restatements.record(
            archive,
            before,
            rows,
            at=now,
            source_export=described.snapshot,
            run_id=run_id,
            currency_of=lambda account: unit.get(account) or currency_of_account(parts, account),
        )
        result.restated[rows.day] = Restatement(rows.day, before.total, rows.total)

    accounts = read_account_map(archive)
    keys = (*described.dimensions, *attribute_keys(accounts))

    def archive_day(rows: DayRows) -> None:
        rows = replace(rows, dimension_keys=keys, account_currencies=of_accounts.get(rows.day, {}))
        broken = faults(rows, source.get(rows.day))
        for check, fault in broken.items():
            result.broken[check][rows.day] = fault
        if not broken:
            facts = day_facts(source[rows.day], cost_basis)
            facts |= {"settlement": settled(rows.day), "run_id": run_id, "bill_format": described.format}
            facts |= currencies_fact(source[rows.day], rows)
            facts[BILL_DELIVERY] = described.delivery_of(rows.day)
            result.largest[rows.day] = breakdown.largest(rows.rows, LARGEST)
            result.unknown[rows.day] = breakdown.unknown_accounts(rows.rows)
            result.published[rows.day] = archive.publish(rows, facts, lambda before: record_change(before, rows))

    with ThreadPoolExecutor(WRITERS) as writers:
        under_way: deque[Future] = deque()
        commitments = CommitmentsByDay(warehouse.commitments(min(source), max(source)))
        batches = warehouse.breakdown(min(source), max(source), accounts)
        for rows in breakdown.split_by_day(batches, [day for day, of in source.items() if not of.lines], accounts):
            if rows.day not in source:
                continue
            rows = with_commitments(rows, commitments.of(rows.day))
            under_way.append(writers.submit(archive_day, rows))
            if len(under_way) > 2 * WRITERS:  # so that no more than these days are in memory
                under_way.popleft().result()
                progress("archived", len(result.published), len(days))
        for last in under_way:
            last.result()
            progress("archived", len(result.published), len(days))
    result.published = dict(sorted(result.published.items()))  # the writers end in any order
    for day in days:
        if day in source and day not in result.published and day not in result.refused:
            result.broken[TOTALS][day] = f"no row came out, the bill has {source[day].total}"
    return result


def day_facts(source: SourceDay, cost_basis: str) -> dict[str, str]:
    """What the archive's object says of the bill's day; decimals exact, as text."""
    return {
        "currency": source.currency,
        "cost_basis": cost_basis,
        "source_lines": str(source.lines),
        "source_total": plain(source.total),
        "scheduled": plain(source.scheduled),
        "by_category": json.dumps({name: plain(total) for name, total in source.by_category.items()}),
        "left_out": json.dumps(left_out_records(source.left_out)),
        **providers_fact(source.providers),
        **bills_fact(source),
    }


def source_day(published: PublishedDay) -> SourceDay:
    """What the bill said of an archived day, by the metadata of the day's object: `day_facts` read back."""
    facts, day = published.metadata, published.day
    parts = parts_of(published.currency, facts) if CURRENCIES in facts else []
    return SourceDay(
        day=day,
        currency=published.currency,
        lines=int(facts["source_lines"]),
        total=Decimal(facts["source_total"]),
        scheduled=Decimal(facts["scheduled"]),
        by_category={name: Decimal(total) for name, total in json.loads(facts["by_category"]).items()},
        left_out=left_out_of(json.loads(facts["left_out"])),
        providers=archived_providers([facts]),
        bills=bill_shares(facts),
        parts=tuple(
            SourceDay(day, of.currency, of.lines, of.total, of.scheduled, of.by_category, of.left_out) for of in parts
        ),
    )
