"""The roles that a platform fills, as protocols; the records that pass between them are in `core.values`.

Adapters carry the technology in their names, ports the role. Nothing here knows Dagster, AWS or DuckDB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date, datetime, timedelta
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any, Protocol

from finops_assets.core.values import (
    AccountMap,
    BillDescription,
    CatalogDay,
    ControlTotal,
    DayPrint,
    DayRows,
    DayVersion,
    Delivery,
    ExportVersion,
    PublishedDay,
    QueryResult,
    Refresh,
    Refused,
    SourceDay,
)

if TYPE_CHECKING:
    import pyarrow as pa


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
