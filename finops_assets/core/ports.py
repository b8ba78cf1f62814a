"""The roles that a platform fills, as protocols, and the plain records that pass between them.

Adapters carry the technology in their names, ports the role. Nothing here knows Dagster, AWS or DuckDB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class LeftOut:
    """Lines of a day that a setting leaves out, and why: they are counted, never lost from sight."""

    reason: str
    lines: int
    total: Decimal


@dataclass(frozen=True)
class SourceDay:
    """What the bill itself says of one UTC day, before any OU is looked up.

    Totals are exact decimals in `currency`; `by_category` sums to `total`; `scheduled` is the part of it that is
    not usage of the day: tax, fees, credits, refunds and charges whose period is longer than a day.
    """

    day: date
    currency: str
    lines: int
    total: Decimal
    scheduled: Decimal
    by_category: Mapping[str, Decimal]
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True)
class DayRows:
    """One day of the breakdown as it will be archived: rows in the OU_BREAKDOWN schema and their exact total."""

    day: date
    rows: pa.Table
    total: Decimal
    unassigned: Decimal
    fingerprint: str


@dataclass(frozen=True)
class BillDescription:
    """What was recognised: format, files, the columns used, and an id that changes when the files do.

    `updated` is when the newest file was written (UTC), where that is known.
    """

    format: str
    path: str
    files: int
    size_bytes: int
    snapshot: str
    columns: tuple[str, ...]
    cost_bases: tuple[str, ...]
    updated: datetime | None = None


@dataclass(frozen=True)
class ExportVersion:
    """The bill from outside: an id that changes with each refresh of it, and when the newest was written (UTC).

    Of an export with manifests it is the manifests' id and time: they are delivered after all data files. Files that no
    manifest names may be written `in_place`: nothing but time tells whether they are whole.

    `periods` has an id for the files of each billing period's folder, `2025-09`, which changes when one of them does;
    files that lie in no such folder are under the empty name. `passed_over` are files beside it that are not read.
    """

    snapshot: str
    updated: datetime | None
    in_place: bool = False
    periods: Mapping[str, str] = field(default_factory=dict)
    passed_over: tuple[PassedOver, ...] = ()


@dataclass(frozen=True)
class PassedOver:
    """Files that lie where the bill lies and are not read, and why: how many, how large, and one of them."""

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
    """

    period: str
    day: date | None
    currency: str
    left_out: str
    lines: int
    without_cost: int
    total: Decimal


@dataclass(frozen=True)
class DayPrint:
    """A day of the breakdown without its rows: their fingerprint, as `core.breakdown` makes it, and exact total."""

    fingerprint: str
    total: Decimal
    rows: int


@dataclass(frozen=True)
class AccountMap:
    """Who owned what, in the ACCOUNT_OU_MAP schema; `outdated` says why it is not today's, where it is not."""

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
    """A day in the archive: where it is, what it says of itself, and whether this write changed anything."""

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

    `metadata` is what the object says of itself, as in PublishedDay; empty where it cannot be read.
    """

    id: str
    written: datetime
    size_bytes: int
    current: bool
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CatalogDay:
    """A registered partition as read back through the catalog: rows and total found there, strays counted.

    A stray is a row of another day; `objects` is how many objects the rows came from, which should be one.
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
    """What the dashboard shows now, as its last refresh left it.

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
    """What became of one message to one recipient."""

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


class Warehouse(Protocol):
    """Runs the bill's SQL and streams Arrow."""

    def describe(self) -> BillDescription: ...

    def export_version(self) -> ExportVersion:
        """Whether the bill has changed, without reading it."""

    def control_totals(self) -> list[ControlTotal]:
        """How many lines the whole bill has on which day, and their totals: one scan of few columns.

        No OU, no account map and no range is involved, so that a line that no day has is seen here.
        """

    def fingerprints(self, start: date, end: date, accounts: pa.Table) -> dict[date, DayPrint]:
        """What the rows of `breakdown` would be, in one query that gives a line a day."""

    def source_days(self, start: date, end: date) -> dict[date, SourceDay]:
        """What the bill says of each day from start to end inclusive; a day without lines has no entry."""

    def breakdown(self, start: date, end: date, accounts: pa.Table) -> Iterator[pa.RecordBatch]:
        """Rows of the days from start to end inclusive, ordered by day, OU, service and account.

        The batches have OU_BREAKDOWN's columns and a sixth, `cost`, the exact decimal that dailycost rounds.
        """

    def drivers(self, day: date, against: date) -> pa.Table:
        """What each account's service costs on two days and what makes the difference, in one query over both.

        The columns are those of `core.drivers.as_sums`; costs are those of `breakdown`, whichever OU they are of.
        """

    def accounts(self) -> pa.Table:
        """Accounts that the bill names: account_id, account_name."""

    def provide_summary(self) -> str:
        """Make finops_daily_summary queryable, or make it anew if it is outdated; returns where it is."""


class Accounts(Protocol):
    """Knows which linked account belongs to which OU, and since when."""

    def load(self) -> AccountMap: ...


class Archive(Protocol):
    """Keeps one object a day, whole or not at all."""

    def publish(
        self, day: DayRows, metadata: Mapping[str, str], replacing: Callable[[PublishedDay], None] = ...
    ) -> PublishedDay:
        """Write the day unless its object holds the same rows already, and says the same of them.

        `replacing` is told of a day with other rows before it goes; not of one that is damaged.
        """

    def describe(self, day: date) -> PublishedDay | None:
        """What the day's object says of itself: a look at its footer, not at its rows.

        Raises:
            DamagedError: the footer cannot be read, or is none of ours.
        """

    def prove(self, day: date) -> str:
        """How the day's object is not what was written, in words that follow its path; empty where it is.

        Reads the object whole, and compares its rows with what its footer says (`core.proof`).
        """

    def days(self) -> list[date]: ...

    def written(self) -> dict[date, datetime]:
        """The archived days, ascending, and when the store has their object from: one listing."""

    def read(self, days: Sequence[date]) -> pa.Table:
        """Rows of these days: OU_BREAKDOWN's columns and `cost`, dailycost as an exact decimal.

        Raises:
            DamagedError: a day's rows are not those that were written.
            ArchiveError: a day is not archived.
        """

    def versions(self, day: date) -> list[DayVersion]:
        """What was ever published of the day, as far as it is kept, newest first; none where it never was."""

    def read_version(self, day: date, version: str) -> bytes:
        """The day's object as it was in that version; one that is not there is an error."""

    def put(self, path: str, data: bytes) -> str: ...

    def create(self, path: str, data: bytes) -> bool:
        """Write an object that is not there yet; False, and nothing written, where it is."""

    def delete(self, paths: Sequence[str]) -> None:
        """Remove objects; those that are not there are no error."""

    def get(self, path: str) -> bytes | None: ...

    def list(self, prefix: str) -> list[str]: ...

    def size(self) -> int:
        """Bytes of all objects together, without the versions that were replaced."""

    def link(self, path: str, *, valid: timedelta) -> str:
        """Where a person with this link can fetch the object, at most for so long."""


class Catalog(Protocol):
    """Knows which days can be queried, and where they lie."""

    def register(self, days: Iterable[PublishedDay]) -> list[date]:
        """Register days at their one location; returns those that were not registered so before."""

    def registered(self) -> dict[date, str]: ...

    def read_back(self, days: Sequence[date]) -> dict[date, CatalogDay]:
        """What a reader gets of these days; a day that cannot be read has no entry."""

    def stream(self, sql: str) -> AbstractContextManager[QueryResult]:
        """Run one SELECT, in Athena's SQL, and read its answer batch by batch."""

    def query(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """As `stream`, for a small answer; returns the columns' names and all rows."""


class DashboardData(Protocol):
    """Holds what the dashboard shows: refreshed, waited for and described."""

    def start_refresh(self, refresh_id: str) -> Callable[[], None]:
        """Start what `refresh` of this id then waits for, where that takes long; returns what calls it off.

        It raises nothing: `refresh` meets the same obstacle, and says so where it belongs.
        """

    def refresh(self, refresh_id: str) -> Refresh: ...


class Mailer(Protocol):
    """Hands one message to one recipient."""

    repeatable: bool
    """Whether the same delivery id again leaves one message, not two."""

    def send(self, message: EmailMessage, recipient: str, delivery_id: str) -> Delivery:
        """Hand the message over.

        Raises:
            UnknownDeliveryError: it may have been accepted or not.
            FinopsError: it was surely not accepted.
        """

    def refused(self, recipients: Sequence[str]) -> dict[str, Refused]:
        """Recipients that do not get their mail, as far as this mailer can tell, and why.

        Raises:
            FinopsError: it cannot be told.
        """


METRICS = {
    "DigestSent": "Count",
    "RunFailed": "Count",
    "RunSeconds": "Seconds",
    "Tick": "Count",
    "DaysMissing": "Count",
    "SourceAgeHours": "None",
    "DayCost": "None",
}
"""What the platform measures of itself, and CloudWatch's name of the unit."""


class Alerts(Protocol):
    """Tells people that something is wrong, or well again."""

    def send(self, subject: str, text: str, alert_id: str = "") -> str:
        """Send one alert; returns its id or place. Of a subject that is too long, the beginning is sent.

        Where the channel can, the same alert_id again leaves one message, not two.
        """


class HeartbeatChannel(Protocol):
    """Gives a sign of life to an alarm that is not ours."""

    def beat(self, day: date) -> str:
        """Say that the day is done; returns where that was said.

        Raises:
            FinopsError: it could not be said.
        """


class Metrics(Protocol):
    """Keeps numbers over time, for alarms."""

    def emit(self, values: Mapping[str, float]) -> None:
        """Record values of METRICS, as of now."""


Progress = Callable[[str, int, int], None]
"""Told (what, done, of how many) as a long step advances."""


def no_progress(what: str, done: int, of: int) -> None:
    """Tell nobody."""
