"""Makes a month's evidence: bundles it, unless the newest bundle holds the same, and writes the index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_assets.core.archive.day_currencies import exact_total, is_mixed
from finops_assets.core.bill.currencies import currencies_of
from finops_assets.core.delivery.stored_digests import sha256_of
from finops_assets.core.errors import ArchiveError, ColdObjectError, DamagedError
from finops_assets.core.money import plain
from finops_assets.core.operations.evidence.asked_bill import AskedBill
from finops_assets.core.operations.evidence.bundle import (
    DAYS,
    GENERATED,
    READERS,
    README,
    RESTATED,
    SUMS,
    MonthSummary,
    csv_of,
    members_of,
    read_objects,
    readme,
    restatements_csv,
    sources,
    sums,
    zipped,
)
from finops_assets.core.operations.evidence.index import (
    BUNDLES,
    COLUMNS,
    RECORD,
    VERSION,
    Evidence,
    Member,
    bundle_path,
    check_over,
    days_of,
    index_path,
    read,
)
from finops_assets.core.schemas import day_path

if TYPE_CHECKING:
    from finops_assets.core.ports import Archive

Settled = Callable[[date], str]
"""Gives the settlement of a day."""


def make(archive: Archive, month: str, now: datetime, settled: Settled, asked: AskedBill) -> tuple[Evidence, bool]:
    """Bundle a month's evidence, unless the newest bundle holds the same; returns the index and whether it is new.

    Args:
        archive: has the month's objects, and gets the bundle.
        month: such as `2025-09`.
        now: becomes `made_at`; has a time zone.
        settled: tells the settlement of a day.
        asked: what the bill says of the month now.

    Raises:
        FinopsError: the month is not over, or nothing of it is archived.
    """
    check_over(month, now.date())
    days = days_of(month)
    with ThreadPoolExecutor(READERS) as readers:
        rows = list(readers.map(lambda day: _day_row(archive, day, settled, asked), days))
    summary = _summary(rows)
    if not summary.days_archived:
        raise ArchiveError(
            "no day of it is archived", where=month, fix=f"`finops backfill {days[0]} {days[-1]}` archives them."
        )
    contents = read_objects(archive, sources(archive, days))
    contents |= {DAYS: csv_of(COLUMNS, rows), README: readme(month, summary, asked).encode()}
    if restatements := restatements_csv(contents):
        contents[RESTATED] = restatements
    contents[SUMS] = sums(members_of(contents)).encode()
    members = members_of(contents)

    newest = read(archive, month)
    # A bill that cannot be asked any more takes nothing back of what was certified when it could.
    content_of = _archived_members if asked.unknown else _members_but_words
    same = newest is not None and content_of(newest.members) == content_of(members)
    if newest and same and newest.bundle in archive.list(f"{BUNDLES}{month}/"):
        return newest, False
    data = zipped(contents)
    version = _put(archive, month, newest.version + 1 if newest else 1, data)
    evidence = Evidence(
        month=month,
        version=version,
        bundle=bundle_path(month, version),
        sha256=sha256_of(data),
        size=len(data),
        made_at=now.isoformat(timespec="seconds"),
        total=None if summary.total is None else plain(summary.total),
        currency=summary.currency,
        cost_basis=summary.cost_basis,
        days_archived=summary.days_archived,
        days_missing=summary.days_missing,
        settlement=summary.settlement,
        days=tuple(rows),
        members=members,
        before=(*newest.before, {name: getattr(newest, name) for name in VERSION}) if newest else (),
        asked=asked.words,
        every_line=asked.every_line,
    )
    index = RECORD.encode(evidence)
    archive.put(index_path(month), index)
    return RECORD.decode(index, index_path(month)), True


def _put(archive: Archive, month: str, version: int, data: bytes) -> int:
    """Write the bundle under the first number from `version` on that is free, and read it back; returns the number.

    A number that is taken without an index is a killed run's: the same bytes are adopted, others are passed over.
    """
    while True:
        path = bundle_path(month, version)
        created = archive.create(path, data)
        try:
            stored = archive.get(path)
        except ColdObjectError:
            stored = None
        if stored == data:
            return version
        if created:
            raise DamagedError("does not read back as it was written", where=path, fix="Check the store; run it again.")
        version += 1


def _day_row(archive: Archive, day: date, settled: Settled, asked: AskedBill) -> dict[str, Any]:
    """A day's row of days.csv."""
    path = day_path(day)
    data, published = archive.get(path), archive.describe(day)
    row: dict[str, Any] = {**dict.fromkeys(COLUMNS, ""), "day": str(day), "archived": "no", "rows": 0}
    if data is None or published is None:
        return row
    source_total, in_bill = published.metadata.get("source_total"), None if asked.unknown else asked.prints.get(day)
    match, mixed = "" if asked.unknown else "no", is_mixed(published)
    if in_bill:
        match = "yes" if in_bill.total == published.total else "no"
    return row | {
        "archived": "yes",
        "rows": published.rows,
        "total": exact_total(published) if mixed else published.total,
        "currency": published.currency,
        "cost_basis": published.cost_basis,
        "settlement": settled(day),
        "source_total": Decimal(source_total) if source_total and not mixed else "",
        "totals_match": match,
        "fingerprint": published.fingerprint,
        "object": path,
        "version": published.version,
        "sha256": sha256_of(data),
        "bill_total": in_bill.total if in_bill and not mixed else "",
        "as_in_bill": match if not in_bill else "yes" if in_bill.fingerprint == published.fingerprint else "no",
    }


def _summary(rows: Sequence[Mapping[str, Any]]) -> MonthSummary:
    archived = [row for row in rows if row["archived"] == "yes"]
    units = {(row["currency"], row["cost_basis"]) for row in archived}
    one_unit = len(units) == 1 and all(len(currencies_of(currency)) == 1 for currency, _ in units)
    return MonthSummary(
        total=sum((row["total"] for row in archived), Decimal()) if one_unit else None,
        currency=", ".join(sorted({currency for currency, _ in units})),
        cost_basis=", ".join(sorted({basis for _, basis in units})),
        days_archived=len(archived),
        days_missing=tuple(row["day"] for row in rows if row["archived"] == "no"),
        settlement=dict(sorted(Counter(row["settlement"] for row in archived).items())),
    )


def _members_but_words(members: Iterable[Member]) -> set[Member]:
    """What makes a bundle another one: a new wording of its README does not."""
    return {member for member in members if member.name not in (README, SUMS)}


def _archived_members(members: Iterable[Member]) -> set[Member]:
    """The members that are the archive's own objects."""
    return {member for member in members if member.name not in GENERATED}
