"""The evidence of a month: all that was said of it in one zip with checksums, and an index that stays at hand.

    evidence/bundles/2025-09/evidence-2025-09-v1.zip    a version is written once, and may be moved to cold storage
    evidence/index/2025-09.json                         what the newest version holds: hashes, sizes, the month's total

A bundle is written and read back before the index names it: whatever kills a run leaves the index of a whole bundle. A
month whose content is as it was is left as it is; one that has changed gets the next version, and keeps those before.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import zipfile
from calendar import monthrange
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_assets.core.archive.restatements import RESTATEMENTS_PREFIX
from finops_assets.core.calendar import in_words
from finops_assets.core.delivery.mail_states import COVERED
from finops_assets.core.delivery.stored_digests import PREFIX as DIGESTS
from finops_assets.core.errors import ArchiveError, ColdObjectError, DamagedError, FinopsError
from finops_assets.core.money import plain
from finops_assets.core.operations import incident_records
from finops_assets.core.records import RecordType
from finops_assets.core.reports.digest import csv_text
from finops_assets.core.schemas import ACCOUNT_MAP_PATH, day_path

if TYPE_CHECKING:
    from finops_assets.core.operations.inspection import Inspector
    from finops_assets.core.ports import Archive
    from finops_assets.core.values import DayPrint

BUNDLES, INDEX = "evidence/bundles/", "evidence/index/"
DAYS, RESTATED, README, SUMS = GENERATED = ("days.csv", "restatements.csv", "README.txt", "SHA256SUMS")
READERS = 8
"""Objects that are read at once: more than the cores, as a GET waits for the store."""

COLUMNS = (
    *("day", "archived", "rows", "total", "currency", "cost_basis", "settlement", "source_total", "totals_match"),
    *("fingerprint", "object", "version", "sha256", "bill_total", "as_in_bill"),
)
"""Of days.csv and the index's `days`; totals are exact, `sha256` is of the day's object.

`source_total` is what the bill said when the day was archived, `bill_total` what it said when the bundle was made;
`as_in_bill` is whether every row is the bill's, and empty where the bill could not be asked or does not have the month.
"""

VERSION = ("version", "bundle", "sha256", "size", "made_at")
"""What an index keeps of the versions before its own."""

Settled = Callable[[date], str]


@dataclass(frozen=True)
class Member:
    """One file of a bundle."""

    name: str
    sha256: str
    size: int


@dataclass(frozen=True)
class AskedBill:
    """What the bill says of a month's days now.

    Attributes:
        prints: its days.
        export: the id of its files.
        written: when the newest of them was written (UTC); empty where that is not known.
        unknown: why it could not be asked; empty where it could.
        has_month: whether it has the month's billing period.
        every_line: where every line of the whole bill is, in sentences.
    """

    prints: Mapping[date, DayPrint] = field(default_factory=dict)
    export: str = ""
    written: str = ""
    unknown: str = ""
    has_month: bool = True
    every_line: str = ""

    @property
    def words(self) -> str:
        """Which export was asked."""
        if self.unknown:
            return f"not asked: {self.unknown}"
        return f"export {self.export}" + (f", written {self.written}" if self.written else "")


@dataclass(frozen=True)
class Evidence:
    """A month's index: its newest bundle, and what the month was when that was made.

    Attributes:
        total: exact; None where the days have more than one currency or cost basis.
        settlement: how many of the archived days were provisional, stable, closed.
        days: a row a day, with COLUMNS.
        before: VERSION of each version before this one.
        asked: the export that the days were held against, or why none could be.
        every_line: where every line of the whole bill was then: money that is in no day is named.
    """

    month: str
    version: int
    bundle: str
    sha256: str
    size: int
    made_at: str
    total: str | None
    currency: str
    cost_basis: str
    days_archived: int
    days_missing: tuple[str, ...]
    settlement: Mapping[str, int]
    days: tuple[Mapping[str, Any], ...]
    members: tuple[Member, ...]
    before: tuple[Mapping[str, Any], ...] = ()
    asked: str = ""
    every_line: str = ""

    @property
    def faults(self) -> dict[date, str]:
        """What keeps the month from being whole: day -> reason."""
        found = {}
        for row in self.days:
            if row["archived"] == "no":
                fault = "not archived"
            elif row["totals_match"] == "no":
                of_bill = row.get("bill_total", row["source_total"])
                fault = f"its total is {row['total']}, " + (
                    f"the bill's {of_bill}" if of_bill else "the bill has no such day"
                )
            elif row.get("as_in_bill") == "no":
                fault = "its rows are not the bill's, though its total is"
            elif row.get("as_in_bill") == "":
                fault = f"it could not be held against the bill ({self.asked})"
            elif self.total is None:
                fault = f"it is in {row['currency']} ({row['cost_basis']}), other days of the month are not"
            else:
                continue
            found[date.fromisoformat(row["day"])] = fault
        return found


RECORD = RecordType[Evidence](Evidence, "the index of a month's evidence")


@dataclass(frozen=True)
class Verified:
    """What was found of a month's evidence; paths are of the archive's objects that are not as they were bundled.

    Attributes:
        damage: what is wrong with the bundle.
        fault: why it is not verified: the damage, or that the bundle cannot be read at the moment; None where it is.
    """

    evidence: Evidence
    damage: tuple[str, ...]
    fault: FinopsError | None
    changed: tuple[str, ...]
    new: tuple[str, ...]
    gone: tuple[str, ...]


def days_of(month: str) -> list[date]:
    """The days of a month, `2025-09`."""
    year, number = map(int, month.split("-"))
    return [date(year, number, day + 1) for day in range(monthrange(year, number)[1])]


def check_over(month: str, today: date) -> None:
    """Refuse a month that has days to come.

    Raises:
        FinopsError: it is not over.
    """
    if today <= days_of(month)[-1]:
        raise FinopsError("the month is not over yet", where=month, fix="Its evidence can be made once it is (UTC).")


# --- making -------------------------------------------------------------------------------------------------------


def ask_bill(inspector: Inspector, month: str, now: datetime) -> AskedBill:
    """What the bill says of a month's days as it is now; one that cannot be read is no error, but certifies nothing."""
    days = days_of(month)
    try:
        found = inspector.bill.compare(now, days)
        every_line = inspector.cheap(now).coverage_words
    except FinopsError as error:
        return AskedBill(unknown=str(error))
    if not found.comparable:
        return AskedBill(unknown="the account-to-OU map is not there")
    has_month = found.totals is None or found.totals.has_month(days[0])
    written = f"{found.written:%Y-%m-%d %H:%M} UTC" if found.written else ""
    prints = {day: found.prints[day] for day in days if day in found.prints}
    unknown = "" if has_month else "it does not have the month"
    return AskedBill(prints, found.snapshot, written, unknown, has_month, every_line)


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
    facts = _facts(rows)
    if not facts["days_archived"]:
        raise ArchiveError(
            "no day of it is archived", where=month, fix=f"`finops backfill {days[0]} {days[-1]}` archives them."
        )
    contents = _read(archive, _sources(archive, days))
    contents |= {DAYS: _csv(COLUMNS, rows), README: _readme(month, facts, asked).encode()}
    ledger = {path: data for path, data in contents.items() if path.startswith(f"{RESTATEMENTS_PREFIX}/")}
    if ledger:
        contents[RESTATED] = _restatements(ledger)
    contents[SUMS] = _sums(_members(contents)).encode()
    members = _members(contents)

    there = read(archive, month)
    # A bill that cannot be asked any more takes nothing back of what was certified when it could.
    of = _sources_alone if asked.unknown else _compared
    if there and of(there.members) == of(members) and there.bundle in archive.list(f"{BUNDLES}{month}/"):
        return there, False
    data = _zipped(contents)
    version = _put(archive, month, there.version + 1 if there else 1, data)
    made = Evidence(
        month=month,
        version=version,
        bundle=_bundle(month, version),
        sha256=_sha256(data),
        size=len(data),
        made_at=now.isoformat(timespec="seconds"),
        **{**facts, "total": None if facts["total"] is None else plain(facts["total"])},
        days=tuple(rows),
        members=members,
        before=(*there.before, {name: getattr(there, name) for name in VERSION}) if there else (),
        asked=asked.words,
        every_line=asked.every_line,
    )
    index = RECORD.encode(made)
    archive.put(_index(month), index)
    return RECORD.decode(index, _index(month)), True


def _put(archive: Archive, month: str, version: int, data: bytes) -> int:
    """Write the bundle under the first number from `version` on that is free, and read it back; returns the number.

    A number that is taken without an index is a killed run's: the same bytes are adopted, others are passed over.
    """
    while True:
        path = _bundle(month, version)
        created = archive.create(path, data)
        try:
            back = archive.get(path)
        except ColdObjectError:
            back = None
        if back == data:
            return version
        if created:
            raise DamagedError("does not read back as it was written", where=path, fix="Check the store; run it again.")
        version += 1


def _day_row(archive: Archive, day: date, settled: Settled, asked: AskedBill) -> dict[str, Any]:
    path = day_path(day)
    data, there = archive.get(path), archive.describe(day)
    row = {**dict.fromkeys(COLUMNS, ""), "day": str(day), "archived": "no", "rows": 0}
    if data is None or there is None:
        return row
    source, in_bill = there.metadata.get("source_total"), None if asked.unknown else asked.prints.get(day)
    match = "" if asked.unknown else "no"
    if in_bill:
        match = "yes" if in_bill.total == there.total else "no"
    return row | {
        "archived": "yes",
        "rows": there.rows,
        "total": there.total,
        "currency": there.currency,
        "cost_basis": there.cost_basis,
        "settlement": settled(day),
        "source_total": Decimal(source) if source else "",
        "totals_match": match,
        "fingerprint": there.fingerprint,
        "object": path,
        "version": there.version,
        "sha256": _sha256(data),
        "bill_total": in_bill.total if in_bill else "",
        "as_in_bill": match if not in_bill else "yes" if in_bill.fingerprint == there.fingerprint else "no",
    }


def _facts(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the days come to, as the index says it."""
    there = [row for row in rows if row["archived"] == "yes"]
    units = {(row["currency"], row["cost_basis"]) for row in there}
    return {
        "total": sum((row["total"] for row in there), Decimal()) if len(units) == 1 else None,
        "currency": ", ".join(sorted({currency for currency, _ in units})),
        "cost_basis": ", ".join(sorted({basis for _, basis in units})),
        "days_archived": len(there),
        "days_missing": tuple(row["day"] for row in rows if row["archived"] == "no"),
        "settlement": dict(sorted(Counter(row["settlement"] for row in there).items())),
    }


def _sources(archive: Archive, days: Sequence[date]) -> list[str]:
    """The archive's objects that are evidence of these days, a whole month."""
    first, last = str(days[0]), str(days[-1])
    ledger = f"{RESTATEMENTS_PREFIX}/"
    spans = [(path, path.removeprefix(COVERED)) for path in archive.list(COVERED)]
    return [
        *(path for day in days for path in archive.list(f"{DIGESTS}{day}/")),
        *(path for path, span in spans if span[:10] <= last and span[11:21] >= first),  # named <first>_<last>_by_...
        *(path for path in archive.list(ledger) if path.startswith(f"{ledger}{first[:8]}")),
        *archive.list(f"{incident_records.CLOSED}{first[:7]}/"),
        ACCOUNT_MAP_PATH,
    ]


def _read(archive: Archive, paths: Iterable[str]) -> dict[str, bytes]:
    """The objects at these paths; those that are not there, or no longer, are left out."""
    paths = list(paths)
    with ThreadPoolExecutor(READERS) as readers:
        found = zip(paths, readers.map(archive.get, paths), strict=True)
        return {path: data for path, data in found if data is not None}


def _restatements(ledger: Mapping[str, bytes]) -> bytes:
    """The ledger's Parquet objects as one CSV, whatever their columns; one that cannot be read is named as such."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = []
    for path, data in sorted(ledger.items()):
        try:
            rows += [{**row, "object": path} for row in pq.read_table(pa.BufferReader(data)).to_pylist()]
        except pa.ArrowException:
            rows.append({"object": f"{path} (cannot be read)"})
    return _csv(dict.fromkeys(name for row in rows for name in row), rows)


def _csv(columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
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


def _readme(month: str, facts: Mapping[str, Any], asked: AskedBill) -> str:
    total = "no total, as the days have" if facts["total"] is None else plain(facts["total"])
    missing = in_words([date.fromisoformat(day) for day in facts["days_missing"]])
    return f"""Evidence of the AWS bill of {month}, bundled by finops_assets.

Days archived: {facts["days_archived"]} of {len(days_of(month))}
Days missing:  {missing or "none"}
Settlement:    {", ".join(f"{count} {name}" for name, count in facts["settlement"].items())}
Total:         {total} {facts["currency"]} ({facts["cost_basis"]})
Bill asked:    {asked.words}
Every line:    {asked.every_line or "not known"}

What is in it
  {DAYS}         a row a day: exact total, and whether it is the bill's own as that was when this was bundled; the
                   day's object and its SHA-256
  digests/         each day's mail as it was stored: HTML, text, CSV, charts, the executives' PDF, each OU's edition,
                   the manifest, and a receipt of each message
  restatements/    what AWS changed of a day after it was archived ({RESTATED}: all of it), where it did
  account-ou-map/  which account was in which organizational unit, when
  incidents/       what went wrong in the month, and when it was well again, where anything did
  {SUMS}       of every file but itself

Verify it by hand
  1. sha256sum evidence-{month}-v*.zip    must be the `sha256` in {_index(month)} of the archive
  2. unzip it into an empty folder, and there: sha256sum -c {SUMS}
  3. the rows of the days are not in it: of each object in {DAYS}, sha256sum must be its `sha256`

`finops evidence verify {month}` does all of this.
"""


def _members(contents: Mapping[str, bytes]) -> tuple[Member, ...]:
    return tuple(Member(name, _sha256(data), len(data)) for name, data in sorted(contents.items()))


def _compared(members: Iterable[Member]) -> set[Member]:
    """What makes a bundle another one: a new wording of its README does not."""
    return {member for member in members if member.name not in (README, SUMS)}


def _sources_alone(members: Iterable[Member]) -> set[Member]:
    """The members that are the archive's own objects."""
    return {member for member in members if member.name not in GENERATED}


def _sums(members: Iterable[Member]) -> str:
    """As sha256sum writes and checks it."""
    return "".join(f"{member.sha256}  {member.name}\n" for member in members if member.name != SUMS)


def _zipped(contents: Mapping[str, bytes]) -> bytes:
    """The same bytes for the same contents: in order, all of one time and with the same rights."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as bundle:
        for name, data in sorted(contents.items()):
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_DEFLATED, 3, 0o644 << 16
            bundle.writestr(entry, data)
    return out.getvalue()


# --- reading ------------------------------------------------------------------------------------------------------


def read(archive: Archive, month: str) -> Evidence | None:
    """The month's index, or None."""
    data = archive.get(_index(month))
    return None if data is None else RECORD.decode(data, _index(month))


def read_all(archive: Archive) -> list[Evidence]:
    """Every month's index, ascending."""
    found = (re.fullmatch(rf"{INDEX}(\d{{4}}-\d{{2}})\.json", path) for path in archive.list(INDEX))
    return [there for match in found if match and (there := read(archive, match[1]))]


def verify(archive: Archive, month: str) -> Verified:
    """Compare the bundle with its index, file by file, and the archive's live objects with what was bundled.

    Raises:
        ArchiveError: the month has no index, or one that cannot be read.
    """
    there = read(archive, month)
    if there is None:
        raise ArchiveError("the month has no evidence", where=_index(month), fix=f"`finops evidence make {month}`.")
    damage: list[str] = []
    fault: FinopsError | None = None
    try:
        damage = _damage(there, archive.get(there.bundle))
    except ColdObjectError as error:
        fault = error
    if damage:
        more = f" and {len(damage) - 3} more" if len(damage) > 3 else ""
        fault = DamagedError(
            "; ".join(damage[:3]) + more,
            where=there.bundle,
            fix=f"Put its stored version back, or remove it and run `finops evidence make {month}`.",
        )
    days = days_of(month)
    live = _read(archive, [*_sources(archive, days), *map(day_path, days)])
    now = {path: _sha256(data) for path, data in live.items()}
    then = {member.name: member.sha256 for member in there.members if member.name not in GENERATED}
    then |= {row["object"]: row["sha256"] for row in there.days if row["object"]}
    return Verified(
        evidence=there,
        damage=tuple(damage),
        fault=fault,
        changed=tuple(sorted(path for path in then.keys() & now.keys() if then[path] != now[path])),
        new=tuple(sorted(now.keys() - then.keys())),
        gone=tuple(sorted(then.keys() - now.keys())),
    )


def _damage(there: Evidence, data: bytes | None) -> list[str]:
    """How the bundle is not what its index says."""
    if data is None:
        return ["it is gone"]
    sha256 = _sha256(data)
    found = [] if sha256 == there.sha256 else [f"its SHA-256 is {sha256}, the index says {there.sha256}"]
    contents: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as bundle:
            names = bundle.namelist()
            found += [f"{name} is not in the index" for name in sorted(set(names) - {m.name for m in there.members})]
            for member in there.members:
                try:
                    contents[member.name] = bundle.read(member.name)
                except Exception as error:  # noqa: BLE001  (what a damaged zip raises is not agreed)
                    found.append(f"{member.name} cannot be read ({error})")
    except Exception as error:  # noqa: BLE001
        return [*found, f"it cannot be opened ({error})"]
    known = {member.name: member.sha256 for member in there.members}
    found += [f"{name} is not what the index says" for name in contents if _sha256(contents[name]) != known[name]]
    if contents.get(SUMS) not in (None, _sums(there.members).encode()):
        found.append(f"{SUMS} does not say what the index says")
    return found


def _bundle(month: str, version: int) -> str:
    return f"{BUNDLES}{month}/evidence-{month}-v{version}.zip"


def _index(month: str) -> str:
    return f"{INDEX}{month}.json"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
