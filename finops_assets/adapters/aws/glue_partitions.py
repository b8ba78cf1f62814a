"""Days as partitions of finops_db.ou_breakdown in the Glue catalog: registered, read back by Athena, queried.

Days are registered one by one, with their location: MSCK and crawlers read `month=09` as another partition than 9 and
would count the same files twice.
"""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_assets.adapters.aws import retries
from finops_assets.adapters.aws.glue_tables import PARQUET, TABLE, GlueTables
from finops_assets.adapters.aws.session import AwsError, AwsSession, explained
from finops_assets.adapters.shared.statements import refuse_all_but_select
from finops_assets.core.errors import ArchiveError, FinopsError
from finops_assets.core.schemas import DATABASE, MONEY_SQL, OU_BREAKDOWN, day_location, hive_columns
from finops_assets.core.values import CatalogDay, PublishedDay, QueryResult

if TYPE_CHECKING:
    from finops_assets.adapters.aws.athena import Athena


CREATE_BATCH, DELETE_BATCH = 100, 25
"""Partitions that one call takes: BatchCreatePartition and BatchUpdatePartition, BatchDeletePartition."""


@dataclass(frozen=True)
class Partition:
    """A registered partition: its key values as Glue keeps them, and what its parameters say of the day."""

    values: tuple[str, ...]
    location: str
    parameters: Mapping[str, str]


class GlueCatalog:
    """Days as partitions of finops_db.ou_breakdown.

    Args:
        session: the identity.
        tables: the contract's tables.
        athena: reads them.
        bucket: the archive's.
        sleep: waits so many seconds between the tries of a batch.
    """

    def __init__(
        self,
        session: AwsSession,
        tables: GlueTables,
        athena: Athena,
        bucket: str,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._session, self._tables, self._athena, self._bucket = session, tables, athena, bucket
        self._sleep = sleep
        self._known: dict[date, Partition] | None = None
        self._located: dict[date, Partition] | None = None

    def register(self, days: Iterable[PublishedDay]) -> list[date]:
        """Register days at their one location; a partition elsewhere is corrected, a doubled one removed.

        Returns:
            The days that were not registered at that location before.

        Raises:
            ArchiveError: the table is not as agreed, or Glue refused some of the days; it names them.
        """
        self._tables.ensure()
        wanted = {published.day: self._wanted(published) for published in days}
        known, doubles = self._read()
        # First the doubles: for a moment a day may be missing, which is seen, but it is never counted twice.
        self._batches("delete", [{"Values": list(p.values)} for p in doubles], DELETE_BATCH)
        new = [day for day in wanted if day not in known]
        changed = [day for day in wanted if day in known and known[day] != wanted[day]]
        raced = self._batches("create", [self._input(wanted[day]) for day in new], CREATE_BATCH)
        self._batches(
            "update",
            [
                {"PartitionValueList": list(wanted[day].values), "PartitionInput": self._input(wanted[day])}
                for day in wanted
                if day in changed or wanted[day].values in raced
            ],
            CREATE_BATCH,
        )
        self._known = self._located = dict(sorted((known | wanted).items()))
        return [
            day for day, partition in wanted.items() if day not in known or known[day].location != partition.location
        ]

    def registered(self) -> dict[date, str]:
        known, _ = self._read()
        return {day: partition.location for day, partition in known.items()}

    def doubles(self) -> list[Partition]:
        """Registrations of a day beside its own, as crawlers and MSCK make them: they count its cost twice."""
        return self._read()[1]

    def contents(self) -> tuple[int | None, date | None, str]:
        """Rows of the whole table (None where a partition does not say), its newest day, and an id of its content.

        After `register` or `registered` the first answer needs no call: it is what was just read and registered.
        """
        known = self._read()[0] if self._known is None else self._known
        self._known = None
        rows = [partition.parameters.get("finops.rows", "") for partition in known.values()]
        fingerprints = "\n".join(
            f"{day} {partition.parameters.get('finops.fingerprint')}" for day, partition in known.items()
        )
        return (
            sum(map(int, rows)) if all(map(str.isdecimal, rows)) else None,
            max(known, default=None),
            hashlib.sha256(fingerprints.encode()).hexdigest()[:16],
        )

    def read_back(self, days: Sequence[date]) -> dict[date, CatalogDay]:
        key = "year * 10000 + month * 100 + day"
        if (days[-1] - days[0]).days == len(days) - 1:
            wanted = f"{key} BETWEEN {days[0]:%Y%m%d} AND {days[-1]:%Y%m%d}"
        else:
            wanted = f"{key} IN ({', '.join(f'{day:%Y%m%d}' for day in days)})"
        _, rows = self._athena.rows(
            f"""SELECT year, month, day, COUNT(*) AS n, SUM(CAST(dailycost AS {MONEY_SQL})) AS total,
    COUNT_IF(year(billingdate) * 10000 + month(billingdate) * 100 + day(billingdate) <> {key}) AS strays,
    COUNT(DISTINCT "$path") AS objects
FROM {DATABASE}.{TABLE}
WHERE year BETWEEN {days[0].year} AND {days[-1].year} AND {wanted}
GROUP BY year, month, day""",
            "read the days back",
        )
        located, self._located = self._located or self._read()[0], None
        locations = {day: partition.location for day, partition in located.items()}
        read = {}
        for year, month, number, n, total, strays, objects in rows:
            day = date(year, month, number)
            read[day] = CatalogDay(day, locations.get(day, ""), n, total or Decimal(), strays, objects)
        return read

    @contextmanager
    def stream(self, sql: str) -> Iterator[QueryResult]:
        """Run one SELECT in Athena, and fetch its answer page by page; names without a database are finops_db's."""
        refuse_all_but_select(sql)
        yield self._athena.stream(sql, "query", database=DATABASE)

    def query(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """As `stream`, for a small answer; returns the columns' names and all rows."""
        with self.stream(sql) as result:
            return list(result.columns), result.all_rows()

    def _wanted(self, published: PublishedDay) -> Partition:
        day = published.day
        facts = {
            "rows": published.rows,
            "total": published.total,
            "fingerprint": published.fingerprint,
            "version": published.version,
        }
        return Partition(
            values=_key(day),
            location=f"s3://{self._bucket}/{day_location(day)}",
            parameters={f"finops.{name}": str(value) for name, value in facts.items()},
        )

    def _input(self, partition: Partition) -> dict[str, Any]:
        columns = [{"Name": column, "Type": type_} for column, type_ in hive_columns(OU_BREAKDOWN)]
        return {
            "Values": list(partition.values),
            "Parameters": dict(partition.parameters),
            "StorageDescriptor": {"Columns": columns, "Location": partition.location, **PARQUET},
        }

    def _read(self) -> tuple[dict[date, Partition], list[Partition]]:
        """What is registered, by day, and the registrations that double one."""
        by_day: dict[date, list[Partition]] = defaultdict(list)
        try:
            with explained("glue:GetPartitions", where=f"table {DATABASE}.{TABLE}"):
                pages = self._client.get_paginator("get_partitions").paginate(
                    DatabaseName=DATABASE, TableName=TABLE, ExcludeColumnSchema=True
                )
                for listed in (listed for page in pages for listed in page["Partitions"]):
                    parameters = listed.get("Parameters", {})
                    partition = Partition(
                        values=tuple(listed["Values"]),
                        location=listed["StorageDescriptor"].get("Location", ""),
                        parameters={name: value for name, value in parameters.items() if name.startswith("finops.")},
                    )
                    by_day[_day(partition.values)].append(partition)
        except AwsError as error:
            if error.code != "EntityNotFoundException":
                raise
        known, doubles = {}, []
        for day, partitions in sorted(by_day.items()):
            for partition in partitions:
                if partition.values == _key(day):
                    known[day] = partition
                else:  # the same day spelled otherwise, such as month '09'
                    doubles.append(partition)
        self._known = known
        return known, doubles

    def _batches(self, verb: str, entries: list[dict[str, Any]], size: int) -> set[tuple[str, ...]]:
        """Send entries in batches, and those that fail for a passing reason again.

        Returns:
            The values of partitions that another run had created before.
        """
        raced: set[tuple[str, ...]] = set()
        call = getattr(self._client, f"batch_{verb}_partition")
        argument = {"create": "PartitionInputList", "update": "Entries", "delete": "PartitionsToDelete"}[verb]
        for start in range(0, len(entries), size):
            batch = entries[start : start + size]
            for attempt in range(1, retries.ATTEMPTS + 1):
                with explained(f"glue:Batch{verb.title()}Partition", where=f"table {DATABASE}.{TABLE}"):
                    answer = call(DatabaseName=DATABASE, TableName=TABLE, **{argument: batch})
                errors = {
                    tuple(error.get("PartitionValues") or error["PartitionValueList"]): error["ErrorDetail"]
                    for error in answer.get("Errors", ())
                }
                raced |= {v for v, detail in errors.items() if detail["ErrorCode"] == "AlreadyExistsException"}
                settled = {v for v, detail in errors.items() if _settled(verb, detail["ErrorCode"])}
                batch = [entry for entry in batch if _values(entry) in errors.keys() - settled]
                if not batch:
                    break
                errors = {v: detail for v, detail in errors.items() if v not in settled}
                lasting = any(not retries.is_temporary(detail["ErrorCode"]) for detail in errors.values())
                if lasting or attempt == retries.ATTEMPTS:
                    raise _refused(verb, errors)
                self._sleep(retries.pause(attempt))
        return raced

    @property
    def _client(self) -> Any:
        return self._session.client("glue")


def _settled(verb: str, code: str) -> bool:
    """Whether another run has done it already."""
    return (verb, code) in (("create", "AlreadyExistsException"), ("delete", "EntityNotFoundException"))


def _values(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(entry.get("Values") or entry["PartitionValueList"])


def _refused(verb: str, errors: Mapping[tuple[str, ...], Mapping[str, str]]) -> FinopsError:
    days = ", ".join("-".join(values) for values in sorted(errors)[:5])
    more = f" and {len(errors) - 5} more" if len(errors) > 5 else ""
    detail = next(iter(errors.values()))
    return ArchiveError(
        f"Glue did not {verb} the partition(s) {days}{more}: {detail['ErrorCode']}: {detail.get('ErrorMessage', '')}",
        where=f"{DATABASE}.{TABLE}",
        fix="Run these days again; the others are done.",
    )


def _key(day: date) -> tuple[str, ...]:
    """The values of a day's own registration."""
    return str(day.year), str(day.month), str(day.day)


def _day(values: Sequence[str]) -> date:
    try:
        year, month, day = map(int, values)
        return date(year, month, day)
    except ValueError:
        raise ArchiveError(
            f"has a partition {'/'.join(values)}, which is no day",
            where=f"{DATABASE}.{TABLE}",
            fix="Remove that partition; its table must hold nothing but days.",
        ) from None
