"""The contents of a bundle: the archive's objects of a month, and the files that are made for it."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_assets.core.archive.restatements import RESTATEMENTS_PREFIX
from finops_assets.core.calendar import in_words
from finops_assets.core.delivery.mail_states import COVERED
from finops_assets.core.delivery.stored_digests import PREFIX as DIGESTS
from finops_assets.core.delivery.stored_digests import sha256_of
from finops_assets.core.money import plain
from finops_assets.core.operations import incident_records
from finops_assets.core.operations.evidence.asked_bill import AskedBill
from finops_assets.core.operations.evidence.index import Member, days_of, index_path
from finops_assets.core.reports.digest import account_text, csv_text
from finops_assets.core.schemas import ACCOUNT_MAP_PATH

if TYPE_CHECKING:
    from finops_assets.core.ports import Archive

DAYS, RESTATED, README, SUMS = GENERATED = ("days.csv", "restatements.csv", "README.txt", "SHA256SUMS")

READERS = 8
"""Objects that are read at once: more than the cores, as a GET waits for the store."""

LEDGER = f"{RESTATEMENTS_PREFIX}/"


@dataclass(frozen=True)
class MonthSummary:
    """What a month's days come to; `total` is None where they have more than one currency or cost basis.

    `settlement` counts the archived days that are provisional, stable, closed.
    """

    total: Decimal | None
    currency: str
    cost_basis: str
    days_archived: int
    days_missing: tuple[str, ...]
    settlement: Mapping[str, int]


# --- the archive's objects ----------------------------------------------------------------------------------------


def sources(archive: Archive, days: Sequence[date]) -> list[str]:
    """The paths of the archive's objects that are evidence of these days, a whole month."""
    first, last = str(days[0]), str(days[-1])
    covered = [(path, path.removeprefix(COVERED)) for path in archive.list(COVERED)]
    return [
        *(path for day in days for path in archive.list(f"{DIGESTS}{day}/")),
        *(path for path, span in covered if span[:10] <= last and span[11:21] >= first),  # named <first>_<last>_by_...
        *(path for path in archive.list(LEDGER) if path.startswith(f"{LEDGER}{first[:8]}")),
        *archive.list(f"{incident_records.CLOSED}{first[:7]}/"),
        ACCOUNT_MAP_PATH,
    ]


def read_objects(archive: Archive, paths: Iterable[str]) -> dict[str, bytes]:
    """The objects at these paths; those that do not exist, or no longer, are left out."""
    paths = list(paths)
    with ThreadPoolExecutor(READERS) as readers:
        objects = zip(paths, readers.map(archive.get, paths), strict=True)
        return {path: data for path, data in objects if data is not None}


# --- the files that are made --------------------------------------------------------------------------------------


def csv_of(columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    """For a spreadsheet, as the digest's CSV is: UTF-8 with a byte order mark, CRLF, plain decimals, no formulas."""

    def cell(value: Any) -> str:
        if isinstance(value, Decimal):
            return plain(value)
        return csv_text(value) if isinstance(value, str) else "" if value is None else str(value)

    columns = list(columns)
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(map(cell, columns))
    writer.writerows([cell(row.get(name)) for name in columns] for row in rows)
    return out.getvalue().encode("utf-8-sig")


def restatements_csv(contents: Mapping[str, bytes]) -> bytes:
    """The ledger's Parquet objects as one CSV, whatever their columns; one that cannot be read is named as such.

    Args:
        contents: of the bundle, by path.

    Returns:
        The file; nothing where the month has no restatements.
    """
    ledger = {path: data for path, data in contents.items() if path.startswith(LEDGER)}
    if not ledger:
        return b""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = []
    for path, data in sorted(ledger.items()):
        try:
            rows += [{**row, "object": path} for row in pq.read_table(pa.BufferReader(data)).to_pylist()]
        except pa.ArrowException:
            rows.append({"object": f"{path} (cannot be read)"})
    columns = dict.fromkeys(name for row in rows for name in row)
    if "linkedaccount" in columns:  # once more as text, as the digest's CSV has it
        columns["account"] = None
        rows = [
            {**row, "account": account_text(row["linkedaccount"])} if row.get("linkedaccount") else row for row in rows
        ]
    return csv_of(columns, rows)


def readme(month: str, summary: MonthSummary, asked: AskedBill) -> str:
    """README.txt: what the month comes to, what is in the bundle, how to verify it by hand."""
    total = "no total, as the days have" if summary.total is None else plain(summary.total)
    missing = in_words([date.fromisoformat(day) for day in summary.days_missing])
    return f"""Evidence of the AWS bill of {month}, bundled by finops_assets.

Days archived: {summary.days_archived} of {len(days_of(month))}
Days missing:  {missing or "none"}
Settlement:    {", ".join(f"{count} {name}" for name, count in summary.settlement.items())}
Total:         {total} {summary.currency} ({summary.cost_basis})
Bill asked:    {asked.words}
Every line:    {asked.every_line or "not known"}

What is in it
  {DAYS}         a row a day: exact total, and whether it is the bill's own as that was when this was bundled; the
                   day's object and its SHA-256
  digests/         each day's mail as it was stored: HTML, text, CSV, charts, the executives' PDF, each OU's edition,
                   the manifest, and a receipt of each message
  restatements/    what the bill changed of a day after it was archived ({RESTATED}: all of it), where it did
  account-ou-map/  which account was in which organizational unit, when
  incidents/       what went wrong in the month, and when it was well again, where anything did
  {SUMS}       of every file but itself

Verify it by hand
  1. sha256sum evidence-{month}-v*.zip    must be the `sha256` in {index_path(month)} of the archive
  2. unzip it into an empty folder, and there: sha256sum -c {SUMS}
  3. the rows of the days are not in it: of each object in {DAYS}, sha256sum must be its `sha256`

`finops evidence verify {month}` does all of this.
"""


def members_of(contents: Mapping[str, bytes]) -> tuple[Member, ...]:
    """Name, hash and size of each file of a bundle."""
    return tuple(Member(name, sha256_of(data), len(data)) for name, data in sorted(contents.items()))


def sums(members: Iterable[Member]) -> str:
    """SHA256SUMS, as sha256sum writes and checks it."""
    return "".join(f"{member.sha256}  {member.name}\n" for member in members if member.name != SUMS)


def zipped(contents: Mapping[str, bytes]) -> bytes:
    """The same bytes for the same contents: in order, all of one time and with the same rights."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as bundle:
        for name, data in sorted(contents.items()):
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_DEFLATED, 3, 0o644 << 16
            bundle.writestr(entry, data)
    return out.getvalue()
