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
    BillProfile,
    CatalogDay,
    ControlTotal,
    DayPrint,
    DayRows,
    DayVersion,
    Delivery,
    ExportVersion,
    PayerPeriod,
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
        """Lines and totals of the whole bill by day: one scan of few columns.

        No OU, no account map and no range of days is involved, so that a line that is in no day is counted here.
        """

    def payers(self) -> list[PayerPeriod]:
        """Which payers the bill has in which billing periods: one scan of two columns; asked of several bills alone."""

    def profile(self, since: date) -> BillProfile:
        """What the bill is like from a day on, for people to look at: one scan of few columns."""

    def fingerprints(self, start: date, end: date, accounts: pa.Table) -> dict[date, DayPrint]:
        """The fingerprints of the rows that `breakdown` would give, in one query with a row a day."""

    def source_days(self, start: date, end: date) -> dict[date, SourceDay]:
        """What the bill says of each day from start to end inclusive; a day without lines has no entry."""

    def account_currencies(self, start: date, end: date) -> Mapping[date, Mapping[str, str]]:
        """The currency of each account that has amounts on these days; asked of days in several currencies alone.

        Raises:
            BillError: an account has amounts in two currencies on one day.
        """

    def breakdown(self, start: date, end: date, accounts: pa.Table) -> Iterator[pa.RecordBatch]:
        """Rows of the days from start to end inclusive, ordered by day, OU, service and account.

        The batches have OU_BREAKDOWN's columns and a sixth, `cost`, the exact decimal that dailycost rounds. Where the
        settings name dimensions, further rows have a `dimension` and its `value`: both are empty on the day's own rows.
        """

    def commitments(self, start: date, end: date) -> Iterator[pa.RecordBatch]:
        """What each Savings Plan and reservation costs on these days, ordered by day; the columns of `commitments_sql`.

        It has no batch where the bill names none (`core.bill.commitments`).
        """

    def drivers(self, day: date, against: date) -> pa.Table:
        """What each account's service costs on two days and what makes the difference, in one query over both.

        The columns are those of `core.analytics.driver_sums.as_sums`; costs are those of `breakdown`, over all OUs.
        """

    def moved_parts(self, day: date, against: date, *, rescan: bool = True) -> pa.Table:
        """The largest parts of what moved each account's service, of the same two days and lines as `drivers`.

        The columns are those of `core.analytics.moved_parts.as_parts`. Where the bill names resources, parts of usage
        are of one resource each; an engine that is paid by the byte names them where it may `rescan` the lines.
        """

    def keep_sums(self, day: date) -> None:
        """Keep what later days are compared with of this archived day, where its sums are at hand: without a query."""

    def accounts(self) -> pa.Table:
        """Accounts that the bill names: account_id, account_name."""

    def provide_summary(self) -> str:
        """Create finops_daily_summary, or create it anew if it is outdated; returns where it is."""


class Accounts(Protocol):
    """Gives the account map: which linked account belongs to which OU, and since when."""

    def load(self) -> AccountMap: ...


class Archive(Protocol):
    """Keeps one object a day, whole or not at all."""

    @property
    def history(self) -> Any:
        """The costs of its days, each read once in a process: a `core.archive.kept_history.KeptHistory`."""

    def publish(
        self, day: DayRows, metadata: Mapping[str, str], replacing: Callable[[PublishedDay], None] = ...
    ) -> PublishedDay:
        """Write the day unless its object holds the same rows already, and says the same of them.

        `replacing` is called with a day that has other rows before it is replaced; not with one that is damaged.
        """

    def describe(self, day: date) -> PublishedDay | None:
        """The day's object by the metadata in its footer; its rows are not read. None where it is not archived.

        Raises:
            DamagedError: the footer cannot be read, or was not written by finops_assets.
        """

    def prove(self, day: date) -> str:
        """How the day's object differs from what was written, in words that follow its path; empty where it does not.

        It reads the whole object, and compares the rows with the footer (`core.archive.proof`).
        """

    def charges(self, day: date, fingerprint: str) -> pa.Table:
        """What the day's rows are made of, in the OU_CHARGES schema.

        Args:
            day: the day.
            fingerprint: of the charges, as the day's metadata names it (`core.archive.day_charges.named_charges`).

        Raises:
            DamagedError: they are not there, are damaged, or are of another state of the day.
        """

    def stream_charges(self, days: Sequence[PublishedDay]) -> Iterator[pa.Table | None]:
        """The charges of these days one by one, in the order given; None of a day that has none, or damaged ones."""

    def dimensions(self, day: date, named: str) -> pa.Table:
        """What the day's rows cost by the values of its dimensions, in the DIMENSION_BREAKDOWN schema.

        Args:
            day: the day.
            named: the dimensions, as the day's metadata names them (DIMENSIONS).

        Raises:
            DamagedError: they are not there, are damaged, or are of another state of the day.
        """

    def commitments(self, day: date, fingerprint: str) -> pa.Table:
        """The day's Savings Plans and reservations, in the COMMITMENTS schema.

        Args:
            day: the day.
            fingerprint: of them, as the day's metadata names it (COMMITTED).

        Raises:
            DamagedError: they are not there, are damaged, or are of another state of the day.
        """

    def kept_part(self, part: Any, day: date, fingerprint: str) -> pa.Table | None:
        """A part of a version of the day, a `core.archive.day_parts.DayPart`; None where that is not kept."""

    def days(self) -> list[date]: ...

    def written(self) -> dict[date, datetime]:
        """The archived days, ascending, and when each object was written: one listing."""

    def stamps(self) -> dict[date, str]:
        """The archived days, ascending, each with a text that changes when its object is written: one listing."""

    def object_stamps(self, prefix: str) -> dict[str, str]:
        """The objects below a prefix by path, each with a text that changes when it has other bytes: one listing."""

    def read(self, days: Sequence[date]) -> pa.Table:
        """Rows of these days: OU_BREAKDOWN's columns and `cost`, dailycost as an exact decimal.

        Raises:
            DamagedError: a day's rows are not those that were written.
            ArchiveError: a day is not archived.
        """

    def stream(self, days: Sequence[date]) -> Iterator[tuple[PublishedDay, pa.Table]]:
        """These days one by one, in the order given: what the object says, and its rows, without `cost`.

        A few are in memory at a time. Raises as `read` does.
        """

    def versions(self, day: date) -> list[DayVersion]:
        """The kept versions of the day, the newest first; none where it was never published."""

    def read_version(self, day: date, version: str) -> bytes:
        """The day's object in that version; one that does not exist is an error."""

    def put(self, path: str, data: bytes) -> str: ...

    def create(self, path: str, data: bytes) -> bool:
        """Write an object that does not exist yet; where it exists, write nothing and return False."""

    def delete(self, paths: Sequence[str]) -> None:
        """Remove objects; one that does not exist is no error."""

    def get(self, path: str) -> bytes | None: ...

    def list(self, prefix: str) -> list[str]: ...

    def size(self) -> int:
        """Bytes of all objects together, without the versions that were replaced."""

    def link(self, path: str, *, valid: timedelta) -> str:
        """Where a person with this link can fetch the object, at most for so long."""


class Catalog(Protocol):
    """Registers the days that can be queried, and queries them."""

    def register(self, days: Iterable[PublishedDay]) -> list[date]:
        """Register days at their one location; returns those that were not registered so before."""

    def registered(self) -> dict[date, str]: ...

    def read_back(self, days: Sequence[date]) -> dict[date, CatalogDay]:
        """These days as a query reads them; a day that cannot be read has no entry."""

    def stream(self, sql: str) -> AbstractContextManager[QueryResult]:
        """Run one SELECT, in Athena's SQL, and read its answer batch by batch."""

    def query(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """As `stream`, for a small answer; returns the columns' names and all rows."""


class DashboardData(Protocol):
    """Holds what the dashboard shows: refreshed, waited for and described."""

    def start_refresh(self, refresh_id: str) -> Callable[[], None]:
        """Start the refresh that `refresh` of this id then waits for, where that takes long; returns what cancels it.

        It raises nothing: `refresh` fails for the same reason, and raises it.
        """

    def refresh(self, refresh_id: str) -> Refresh: ...


class Mailer(Protocol):
    """Hands one message to one recipient."""

    repeatable: bool
    """Whether the same delivery id again leaves one message, not two."""

    def send(self, message: EmailMessage, recipient: str, delivery_id: str) -> Delivery:
        """Hand the message over.

        Raises:
            UnknownDeliveryError: it is not known whether the message was accepted.
            FinopsError: it was not accepted.
        """

    def refused(self, recipients: Sequence[str]) -> dict[str, Refused]:
        """Recipients that do not get their mail, as far as this mailer knows, and why.

        Raises:
            FinopsError: the mailer cannot find out.
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
    """Notifies people that something is wrong, or that it is right again."""

    def send(self, subject: str, text: str, alert_id: str = "") -> str:
        """Send one alert; returns its id or place. Of a subject that is too long, the beginning is sent.

        Where the channel can, the same alert_id again leaves one message, not two.
        """


class HeartbeatChannel(Protocol):
    """Sends a daily heartbeat to a monitor outside of the platform, which alarms where none arrives."""

    def beat(self, day: date) -> str:
        """Report that the day is done; returns where that was reported.

        Raises:
            FinopsError: it could not be reported.
        """


class Metrics(Protocol):
    """Keeps numbers over time, for alarms."""

    def emit(self, values: Mapping[str, float]) -> None:
        """Record values of METRICS, as of now."""


Progress = Callable[[str, int, int], None]
"""Called with (what, done, of how many) as a long step advances."""


def no_progress(what: str, done: int, of: int) -> None:
    """Report nothing."""
