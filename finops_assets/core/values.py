"""The records that pass between the roles of `core.ports`: of bill, archive, catalog, dashboard and mail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class LeftOut:
    """Lines of a day that a setting leaves out, and why; every output counts them.

    `total` is in `currency`, or in that of the day where it is empty; what is left out is never converted.
    """

    reason: str
    lines: int
    total: Decimal
    currency: str = ""


@dataclass(frozen=True)
class BillShare:
    """What one of several bills has of a day: its lines that count, and their exact total.

    Attributes:
        name: as the settings call the bill.
        provider: who bills it, in words.
        currency: of its total, on a day of several currencies; empty on one that has one.
    """

    name: str
    provider: str
    lines: int
    total: Decimal
    currency: str = ""


@dataclass(frozen=True)
class SourceDay:
    """What the bill itself says of one UTC day, before any OU is looked up.

    Totals are exact decimals in `currency`; `by_category` sums to `total`; `scheduled` is the part of it that is
    not usage of the day: tax, fees, credits, refunds and charges whose period is longer than a day. `providers` are
    those of its lines that count, by name. Where there are several bills, `bills` has the share of each, and they sum
    to `lines` and `total`. A day of several currencies has one of these for each in `parts`; no line is in two.
    """

    day: date
    currency: str
    lines: int
    total: Decimal
    scheduled: Decimal
    by_category: Mapping[str, Decimal]
    left_out: tuple[LeftOut, ...] = ()
    providers: tuple[str, ...] = ()
    bills: tuple[BillShare, ...] = ()
    parts: tuple[SourceDay, ...] = ()


@dataclass(frozen=True)
class DayRows:
    """One day as it will be archived: rows in the OU_BREAKDOWN schema, their exact total, and what they are made of.

    `charges` are in the OU_CHARGES schema, a row for each of `rows`; None of a version of an older release.
    `dimensions` are in the DIMENSION_BREAKDOWN schema; None where no dimension is set. `dimension_prints` has the
    fingerprint of each, and `dimension_keys` are those that the settings ask for. `account_currencies` has the currency
    of each account that has amounts on a day in several. `commitments` are in the COMMITMENTS schema; None where the
    bill names none.
    """

    day: date
    rows: pa.Table
    total: Decimal
    unassigned: Decimal
    fingerprint: str
    charges: pa.Table | None = None
    charges_fingerprint: str = ""
    dimensions: pa.Table | None = None
    dimension_prints: Mapping[str, str] = field(default_factory=dict)
    dimension_keys: tuple[str, ...] = ()
    account_currencies: Mapping[str, str] = field(default_factory=dict)
    commitments: pa.Table | None = None
    commitments_fingerprint: str = ""


@dataclass(frozen=True)
class BillDescription:
    """The bill as it was recognised: format, files, the columns used, and an id that changes when the files do.

    `updated` is when the newest file was written (UTC), where that is known. `missing_columns` has for each cost basis
    those that it can read and the bill does not have (`core.bill.rules.missing_columns`). `deliveries` has the export's
    own id of the delivery of each billing period, `2025-09`, that has one. `warnings` say what may count twice: files
    that no manifest names and that share days (`core.bill.overlaps`). `dimensions` has each dimension that its lines
    are asked for, and the columns that could hold it where it has none of them. Of several bills, `bills` has each by
    its name.
    """

    format: str
    path: str
    files: int
    size_bytes: int
    snapshot: str
    columns: tuple[str, ...]
    cost_bases: tuple[str, ...]
    updated: datetime | None = None
    warnings: tuple[str, ...] = ()
    missing_columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    deliveries: Mapping[str, str] = field(default_factory=dict)
    dimensions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    bills: Mapping[str, BillDescription] = field(default_factory=dict)

    @property
    def untold_dimensions(self) -> dict[str, str]:
        """Each dimension that the bill has no column for, and that in a sentence."""
        return {
            key: f"{key}: the bill has no column {' or '.join(columns)}, so that all of it is (untagged)"
            for key, columns in self.dimensions.items()
            if columns
        }

    def delivery_of(self, day: date) -> str:
        """The delivery of the billing period that a day belongs to; the bill's own id where the export names none."""
        return self.deliveries.get(f"{day:%Y-%m}") or self.snapshot


@dataclass(frozen=True)
class BillProfile:
    """What a bill is like, for people who look at it (`core.bill.profile`).

    Attributes:
        payers: provider -> the accounts that it bills, ascending; an empty one where lines name none.
        lengths: usage lines by a key of `core.bill.profile.LENGTHS`; none where the bill has no column of their end.
        lines: all.
        rewritten: lines whose account id was not in its one form (`core.accounts.account_ids`).
        example: one of those ids as it is written.
        learned: product codes that take their service's name from other lines of the bill.
    """

    payers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    lengths: Mapping[str, int] = field(default_factory=dict)
    lines: int = 0
    rewritten: int = 0
    example: str = ""
    learned: int = 0


@dataclass(frozen=True)
class ExportVersion:
    """The version of the bill's files: an id that changes with each refresh, and when the newest was written (UTC).

    With manifests, these are the manifests' id and time: they are delivered after all data files. Files that no
    manifest names are `in_place`: only the time since they were last written tells whether they are complete.

    `periods` has an id for the files of each billing period's folder, `2025-09`, which changes when one of them does;
    files that lie in no such folder are under the empty name. `passed_over` are files beside it that are not read.
    `unregistered` are billing periods whose files the bill's table does not read, and the words of what mends it.
    `changed` is when a file in place was last written, renamed or given another time, where that is known.

    Of several bills, `updated` is that of the bill that was written first, of those that newer days are expected in,
    and `oldest` is its name, where another was written on a later day.
    """

    snapshot: str
    updated: datetime | None
    in_place: bool = False
    periods: Mapping[str, str] = field(default_factory=dict)
    passed_over: tuple[PassedOver, ...] = ()
    unregistered: Mapping[str, str] = field(default_factory=dict)
    oldest: str = ""
    changed: datetime | None = None


@dataclass(frozen=True)
class PassedOver:
    """Files beside the bill that are not read, and why: how many, their size in bytes, and one of them."""

    reason: str
    files: int
    size_bytes: int
    example: str


@dataclass(frozen=True)
class ControlTotal:
    """Lines of the bill of one day, billing period, currency and reason for leaving out: how many, and their total.

    Attributes:
        period: the billing period that the line itself names, `2025-09`; empty where the bill has no such column.
        day: the UTC day that they are booked on; None of lines that have no date.
        currency: empty where the bill does not name one.
        left_out: why a setting leaves them out; empty of lines that count.
        without_cost: how many of them have no cost.
        total: exact.
        bill: of several bills, the name of the one that they are in.
        ended: whether no newer days are expected in that bill.
        shown, shown_in: what the total is shown as and its currency, where that is another.
    """

    period: str
    day: date | None
    currency: str
    left_out: str
    lines: int
    without_cost: int
    total: Decimal
    bill: str = ""
    ended: bool = False
    shown: Decimal | None = None
    shown_in: str = ""


@dataclass(frozen=True)
class PayerPeriod:
    """Lines of the bill of one payer in one billing period.

    Attributes:
        payer: the account that is billed, as the bill names it; empty where it names none.
        period: `2025-09`; that of the lines' days where the bill does not name its periods.
        lines: how many.
    """

    payer: str
    period: str
    lines: int


@dataclass(frozen=True)
class DayPrint:
    """A day of the breakdown without its rows: their fingerprint (`core.archive.breakdown`), exact total and number.

    `charges` is the fingerprint of what the rows are made of; empty in a note of an older release. `dimensions` has
    that of the values of each dimension which the bill's own lines have.
    """

    fingerprint: str
    total: Decimal
    rows: int
    charges: str = ""
    dimensions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class AccountMap:
    """The account map, in the ACCOUNT_OU_MAP schema; `outdated` says why it is not today's, empty where it is."""

    table: pa.Table
    facts: Mapping[str, str] = field(default_factory=dict)
    outdated: str = ""


@dataclass(frozen=True)
class QueryReceipt:
    """What one query of a paid engine took: bytes scanned, seconds, and an estimate of its price in USD."""

    id: str
    purpose: str
    scanned_bytes: int
    seconds: float
    price: Decimal
    link: str = ""


@dataclass(frozen=True)
class QueryResult:
    """The answer to a SELECT: the columns' names, and its rows in batches, each of them read when it is asked for."""

    columns: Sequence[str]
    batches: Iterator[Sequence[tuple[Any, ...]]]

    def all_rows(self) -> list[tuple[Any, ...]]:
        """Every row: for an answer that is known to be small."""
        return [row for batch in self.batches for row in batch]


@dataclass(frozen=True)
class PublishedDay:
    """A day in the archive: its object's path and metadata, and whether this write changed anything."""

    day: date
    path: str
    version: str
    rows: int
    total: Decimal
    currency: str
    cost_basis: str
    fingerprint: str
    size_bytes: int
    metadata: Mapping[str, str] = field(default_factory=dict)
    changed: bool = True


@dataclass(frozen=True)
class DayVersion:
    """One version of a day's object, the current one or one that was replaced.

    `metadata` is the object's, as in PublishedDay; empty where it cannot be read.
    """

    id: str
    written: datetime
    size_bytes: int
    current: bool
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CatalogDay:
    """A registered partition as read back through the catalog: its rows and their total.

    `strays` are rows of other days; `objects` is how many objects the rows came from, which should be one.
    """

    day: date
    location: str
    rows: int
    total: Decimal
    strays: int
    objects: int = 1


@dataclass(frozen=True)
class Refresh:
    """One refresh of the dashboard's data: its id, where the result is, what it holds.

    Not every dashboard can tell its total; one that cannot is held to the rows that it should have (`expected_rows`).
    """

    id: str
    location: str
    rows: int
    newest_day: date | None
    total: Decimal | None
    expected_rows: int | None = None
    detail: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DashboardContent:
    """What the dashboard shows since its last refresh.

    Attributes:
        refreshed: when that was.
        newest_day: the newest day that it shows; None where that cannot be told.
        rows, expected_rows: what it holds, and what a refresh now would load; None where rows are not counted.
        totals: each day's total, where it can be told.
    """

    location: str
    refreshed: datetime
    newest_day: date | None
    rows: int | None = None
    expected_rows: int | None = None
    totals: Mapping[date, Decimal] = field(default_factory=dict)


@dataclass(frozen=True)
class Delivery:
    """One message that was handed over for one recipient."""

    recipient: str
    message_id: str
    location: str


@dataclass(frozen=True)
class Refused:
    """Why a recipient does not get their mail.

    Attributes:
        kind: `bounce`, `complaint` or `suppressed`.
        reason: one line of plain text. It may quote a mail server: where it is shown as HTML, it is escaped.
        since: when that was first so (UTC), where it is known.
        fix: what to do about it, in the imperative.
    """

    kind: str
    reason: str
    since: datetime | None
    fix: str
