"""What `finops doctor` says of costs without an OU: how much it is, whose, and the rows that the account map lacks."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.accounts.account_ids import near_misses
from finops_assets.core.accounts.published_map import account_names, published_map
from finops_assets.core.archive.comparable_days import unassigned_percent
from finops_assets.core.findings import Finding
from finops_assets.core.money import money
from finops_assets.core.reports.digest.csv_file import csv_text
from finops_assets.core.schemas import UNASSIGNED

if TYPE_CHECKING:
    from finops_assets.core.ports import Archive

RANGE = timedelta(days=30)
"""Days up to the one that is looked at, whose accounts are listed."""

MOST_ACCOUNTS = 10
"""Accounts that are named in one finding."""


def without_ou(archive: Archive, day: date, limit: float) -> Iterator[Finding]:
    """The accounts without an OU of the 30 days up to an archived day; nothing where there are none.

    Args:
        archive: as costs are shown.
        day: the newest of these days.
        limit: accounts.unassigned_limit_percent, from which on it is a warning.
    """
    published = archive.describe(day)
    days = [each for each in archive.days() if day - RANGE < each <= day]
    if published is None or not (costs := _unassigned(archive, days)):
        return
    percent = unassigned_percent(published)
    of_day = money(Decimal(published.metadata["unassigned"]), published.currency)
    names = account_names(archive)
    accounts = sorted(costs, key=lambda account: (-abs(costs[account]), account))
    table = published_map(archive)
    known = set() if table is None else set(table["account_id"].to_pylist())
    near = near_misses(accounts, known)
    shown = sorted(accounts, key=lambda account: account not in near)[:MOST_ACCOUNTS]
    named = ", ".join(_named(each, names.get(each, ""), near.get(each, ""), costs[each]) for each in shown)
    more = f" and {len(accounts) - len(shown)} more" if len(accounts) > len(shown) else ""
    yield Finding(
        "unassigned",
        "warn" if percent > limit else "ok",
        f"{percent:.1f} % of {day} is {UNASSIGNED}, {of_day} ({published.cost_basis}); {len(accounts)} account(s) of "
        f"{days[0]} to {day} are in no OU of the map, with what they cost since: {named}{more}",
        # An account may be in no OU on purpose, and accounts that were made one after the other have like ids.
        _fix([account for account in shown if account not in known], names),
    )


def _unassigned(archive: Archive, days: list[date]) -> dict[str, Decimal]:
    """Account -> exact cost, of the rows without an OU."""
    import pyarrow.compute as pc

    rows = archive.read(days)
    sums = rows.filter(pc.equal(rows["ou"], UNASSIGNED)).group_by("linkedaccount").aggregate([("cost", "sum")])
    return dict(zip(sums["linkedaccount"].to_pylist(), sums["cost_sum"].to_pylist(), strict=True))


def _named(account: str, name: str, meant: str, cost: Decimal) -> str:
    also = "; ".join(filter(None, (" ".join(name.split()), f"the map knows {meant}" if meant else "")))
    return f"{account}{f' ({also})' if also else ''} {money(cost)}"


def _fix(accounts: list[str], names: dict[str, str]) -> str:
    """What to do about accounts that the map lacks: rows of an accounts.csv, in which the OU is to be filled in."""
    if not accounts:
        return "Give those that belong to an OU an ou_path in the account map."
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="; ")
    writer.writerows((account, csv_text(" ".join(names.get(account, "").split())), "<OU>") for account in accounts)
    return f"Add those that belong to an OU to accounts.csv: {out.getvalue().removesuffix('; ')}"
