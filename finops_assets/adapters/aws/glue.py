"""The Glue catalog: the tables of finops_db held to their contract, the days as its partitions, read back by Athena.

Days of ou_breakdown are registered one by one, with their location: MSCK and crawlers read `month=09` as another
partition than 9 and would count the same files twice. Those of ou_scorecard are projected: it is read, and a day
without one is told by the platform's own checks, so there is nothing that registering it would show.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_assets.adapters.aws import retries
from finops_assets.adapters.aws.session import AwsError, AwsSession, explained
from finops_assets.adapters.shared.statements import refuse_all_but_select
from finops_assets.core.archive.restatements import RESTATEMENTS, RESTATEMENTS_PREFIX
from finops_assets.core.errors import ArchiveError, FinopsError
from finops_assets.core.schemas import (
    ACCOUNT_MAP_PATH,
    ACCOUNT_OU_MAP,
    BREAKDOWN_PREFIX,
    DATABASE,
    MONEY_SQL,
    OU_BREAKDOWN,
    OU_SCORECARD,
    PARTITION_KEYS,
    SCORECARD_PREFIX,
    day_location,
    hive_columns,
)
from finops_assets.core.values import CatalogDay, PublishedDay, QueryResult

if TYPE_CHECKING:
    from finops_assets.adapters.aws.athena import Athena

TABLE, MAP_TABLE, SUMMARY_VIEW = "ou_breakdown", "account_ou_map", "finops_daily_summary"
SCORECARD = "ou_scorecard"
LEDGER = RESTATEMENTS_PREFIX

CREATE_BATCH, DELETE_BATCH = 100, 25
"""Partitions that one call takes: BatchCreatePartition and BatchUpdatePartition, BatchDeletePartition."""

PROJECTED_YEARS = (2015, 2040)
"""Years of ou_scorecard that Athena looks for. A query without a year makes it list each day of them: all of ours say
which years they want."""

_FORMATS = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
}


@dataclass(frozen=True)
class Partition:
    """A registered partition: its key values as Glue keeps them, and what its parameters say of the day."""

    values: tuple[str, ...]
    location: str
    parameters: Mapping[str, str]


def table_inputs(bucket: str) -> dict[str, dict[str, Any]]:
    """The contract of the platform's own tables, as Glue's TableInput."""

    def table(
        name: str,
        columns: list[tuple[str, str]],
        location: str,
        keys: Sequence[str] = (),
        projection: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        parameters = {"EXTERNAL": "TRUE", "classification": "parquet", "parquet.compression": "SNAPPY"}
        return {
            "Name": name,
            "TableType": "EXTERNAL_TABLE",
            "Parameters": parameters | dict(projection or {}),
            "PartitionKeys": [{"Name": key, "Type": "int"} for key in keys],
            "StorageDescriptor": {
                "Columns": [{"Name": column, "Type": type_} for column, type_ in columns],
                "Location": location,
                **_FORMATS,
            },
        }

    folder = ACCOUNT_MAP_PATH.rsplit("/", 1)[0]
    scorecards = f"s3://{bucket}/{SCORECARD_PREFIX}/"
    return {
        TABLE: table(TABLE, hive_columns(OU_BREAKDOWN), f"s3://{bucket}/{BREAKDOWN_PREFIX}/", PARTITION_KEYS),
        MAP_TABLE: table(MAP_TABLE, hive_columns(ACCOUNT_OU_MAP), f"s3://{bucket}/{folder}/"),
        LEDGER: table(LEDGER, hive_columns(RESTATEMENTS), f"s3://{bucket}/{RESTATEMENTS_PREFIX}/"),
        SCORECARD: table(
            SCORECARD, hive_columns(OU_SCORECARD), scorecards, PARTITION_KEYS, _projection_of_days(scorecards)
        ),
    }


def _projection_of_days(location: str) -> dict[str, str]:
    """Table parameters by which Athena finds a day's folder without its being registered."""
    ranges = {"year": PROJECTED_YEARS, "month": (1, 12), "day": (1, 31)}
    told = {"projection.enabled": "true"}
    for key, (first, last) in ranges.items():
        told |= {f"projection.{key}.type": "integer", f"projection.{key}.range": f"{first},{last}"}
        if key != "year":
            told[f"projection.{key}.digits"] = "2"
    folders = "/".join(f"{key}=${{{key}}}" for key in PARTITION_KEYS)
    return told | {"storage.location.template": f"{location}{folders}/"}


class GlueTables:
    """The tables that the platform uses: its own, made if they are not there, and the bill's, only read.

    Args:
        session: the identity.
        bucket: the archive's.
    """

    def __init__(self, session: AwsSession, bucket: str) -> None:
        self._session, self._bucket = session, bucket
        self._own: dict[str, dict[str, Any]] | None = None

    def ensure(self) -> None:
        """Make the database and its tables where they are not there; hold those that are there to the contract.

        Raises:
            ArchiveError: a table has other columns, keys or another place; nothing was changed.
        """
        if self._own is not None:
            return
        found = self.own_tables()
        if found is None:
            description = {"Name": DATABASE, "Description": "Daily AWS cost by organizational unit"}
            self._make("glue:CreateDatabase", f"database {DATABASE}", DatabaseInput=description)
            found = {}
        for name, wanted in table_inputs(self._bucket).items():
            if name in found:
                hold_to_contract(found[name], wanted)
                continue
            self._make("glue:CreateTable", f"table {DATABASE}.{name}", DatabaseName=DATABASE, TableInput=wanted)
        self._own = found

    def _make(self, action: str, what: str, **description: Any) -> None:
        try:
            with explained(action, where=what):
                method = {"glue:CreateDatabase": "create_database", "glue:CreateTable": "create_table"}[action]
                getattr(self._client, method)(**description)
        except AwsError as error:
            if error.code != "AlreadyExistsException":  # another run has made it meanwhile
                raise

    def own_tables(self) -> dict[str, dict[str, Any]] | None:
        """The platform's tables and view that are there; None without the database."""
        wanted = "|".join((TABLE, MAP_TABLE, LEDGER, SCORECARD, SUMMARY_VIEW))
        try:
            with explained("glue:GetTables", where=f"database {DATABASE}"):
                pages = self._client.get_paginator("get_tables").paginate(DatabaseName=DATABASE, Expression=wanted)
                return {table["Name"]: table for page in pages for table in page["TableList"]}
        except AwsError as error:
            if error.code == "EntityNotFoundException":
                return None
            raise

    def summary_view(self) -> dict[str, Any] | None:
        """Whatever stands under the name of finops_daily_summary."""
        self.ensure()
        return (self._own or {}).get(SUMMARY_VIEW)

    def source(self, table: str) -> dict[str, Any]:
        """The bill's table, `database.table`.

        Raises:
            FinopsError: there is none.
        """
        database, name = table.split(".")
        with explained(
            "glue:GetTable",
            where=f"bill.table = {table}",
            fixes={
                "EntityNotFoundException": "Set bill.table (FINOPS_BILL__TABLE) to the bill's table, database.table, "
                "and aws.region to its region."
            },
        ):
            return self._client.get_table(DatabaseName=database, Name=name)["Table"]

    @property
    def _client(self) -> Any:
        return self._session.client("glue")


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
        wanted = {there.day: self._wanted(there) for there in days}
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
        return [day for day, there in wanted.items() if day not in known or known[day].location != there.location]

    def registered(self) -> dict[date, str]:
        known, _ = self._read()
        return {day: there.location for day, there in known.items()}

    def doubles(self) -> list[Partition]:
        """Registrations of a day beside its own, as crawlers and MSCK make them: they count its cost twice."""
        return self._read()[1]

    def contents(self) -> tuple[int | None, date | None, str]:
        """What a reader of the whole table gets: rows (None where that is not known), newest day, and an id of it.

        The first time after `register` it is what that has found and done; Glue is asked again the next time.
        """
        known = self._read()[0] if self._known is None else self._known
        self._known = None
        rows = [there.parameters.get("finops.rows", "") for there in known.values()]
        said = "\n".join(f"{day} {there.parameters.get('finops.fingerprint')}" for day, there in known.items())
        return (
            sum(map(int, rows)) if all(map(str.isdecimal, rows)) else None,
            max(known, default=None),
            hashlib.sha256(said.encode()).hexdigest()[:16],
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
        locations = {day: there.location for day, there in located.items()}
        found = {}
        for year, month, number, n, total, strays, objects in rows:
            day = date(year, month, number)
            found[day] = CatalogDay(day, locations.get(day, ""), n, total or Decimal(), strays, objects)
        return found

    @contextmanager
    def stream(self, sql: str) -> Iterator[QueryResult]:
        """Run one SELECT in Athena, and fetch its answer page by page; names without a database are finops_db's."""
        refuse_all_but_select(sql)
        yield self._athena.stream(sql, "query", database=DATABASE)

    def query(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """As `stream`, for a small answer; returns the columns' names and all rows."""
        with self.stream(sql) as result:
            return list(result.columns), result.all_rows()

    def _wanted(self, there: PublishedDay) -> Partition:
        day = there.day
        facts = {"rows": there.rows, "total": there.total, "fingerprint": there.fingerprint, "version": there.version}
        return Partition(
            values=_key(day),
            location=f"s3://{self._bucket}/{day_location(day)}",
            parameters={f"finops.{name}": str(value) for name, value in facts.items()},
        )

    def _input(self, there: Partition) -> dict[str, Any]:
        columns = [{"Name": column, "Type": type_} for column, type_ in hive_columns(OU_BREAKDOWN)]
        return {
            "Values": list(there.values),
            "Parameters": dict(there.parameters),
            "StorageDescriptor": {"Columns": columns, "Location": there.location, **_FORMATS},
        }

    def _read(self) -> tuple[dict[date, Partition], list[Partition]]:
        """What is registered, by day, and the registrations that double one."""
        by_day: dict[date, list[Partition]] = defaultdict(list)
        try:
            with explained("glue:GetPartitions", where=f"table {DATABASE}.{TABLE}"):
                pages = self._client.get_paginator("get_partitions").paginate(
                    DatabaseName=DATABASE, TableName=TABLE, ExcludeColumnSchema=True
                )
                for found in (found for page in pages for found in page["Partitions"]):
                    said = found.get("Parameters", {})
                    partition = Partition(
                        values=tuple(found["Values"]),
                        location=found["StorageDescriptor"].get("Location", ""),
                        parameters={name: value for name, value in said.items() if name.startswith("finops.")},
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
        """Hand over entries in batches, those that fail for a passing reason again; returns what was there already."""
        raced: set[tuple[str, ...]] = set()
        call = getattr(self._client, f"batch_{verb}_partition")
        argument = {"create": "PartitionInputList", "update": "Entries", "delete": "PartitionsToDelete"}[verb]
        for start in range(0, len(entries), size):
            batch = entries[start : start + size]
            for attempt in range(1, retries.ATTEMPTS + 1):
                with explained(f"glue:Batch{verb.title()}Partition", where=f"table {DATABASE}.{TABLE}"):
                    answer = call(DatabaseName=DATABASE, TableName=TABLE, **{argument: batch})
                faults = {
                    tuple(fault.get("PartitionValues") or fault["PartitionValueList"]): fault["ErrorDetail"]
                    for fault in answer.get("Errors", ())
                }
                raced |= {v for v, detail in faults.items() if detail["ErrorCode"] == "AlreadyExistsException"}
                gone = {v for v, detail in faults.items() if _settled(verb, detail["ErrorCode"])}
                batch = [entry for entry in batch if _values(entry) in faults.keys() - gone]
                if not batch:
                    break
                faults = {v: detail for v, detail in faults.items() if v not in gone}
                lasting = any(not retries.passes(detail["ErrorCode"]) for detail in faults.values())
                if lasting or attempt == retries.ATTEMPTS:
                    raise _refused(verb, faults)
                self._sleep(retries.pause(attempt))
        return raced

    @property
    def _client(self) -> Any:
        return self._session.client("glue")


def _settled(verb: str, code: str) -> bool:
    """Somebody else was quicker: what was asked is so."""
    return (verb, code) in (("create", "AlreadyExistsException"), ("delete", "EntityNotFoundException"))


def _values(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(entry.get("Values") or entry["PartitionValueList"])


def _refused(verb: str, faults: Mapping[tuple[str, ...], Mapping[str, str]]) -> FinopsError:
    days = ", ".join("-".join(values) for values in sorted(faults)[:5])
    more = f" and {len(faults) - 5} more" if len(faults) > 5 else ""
    detail = next(iter(faults.values()))
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


def hold_to_contract(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise where a table is not as agreed; columns after the agreed ones are fine."""

    def columns(table: Mapping[str, Any]) -> list[tuple[str, str]]:
        return [(c["Name"].lower(), c["Type"].lower()) for c in table["StorageDescriptor"]["Columns"]]

    def keys(table: Mapping[str, Any]) -> list[tuple[str, str]]:
        return [(k["Name"].lower(), re.sub("^integer$", "int", k["Type"].lower())) for k in table["PartitionKeys"]]

    def place(table: Mapping[str, Any]) -> str:
        return re.sub("^s3[an]:", "s3:", table["StorageDescriptor"].get("Location", "")).rstrip("/") + "/"

    def projection(table: Mapping[str, Any]) -> list[tuple[str, str]]:
        """What decides where Athena looks for partitions; where it is on, it passes over those registered."""
        told = {name.lower(): value for name, value in (table.get("Parameters") or {}).items()}
        if told.get("projection.enabled", "").strip().lower() != "true":
            return []
        relevant = {n: v for n, v in told.items() if n.startswith("projection.") or n == "storage.location.template"}
        relevant["projection.enabled"] = "true"
        return sorted(relevant.items())

    def words(pairs: Sequence[tuple[str, str]]) -> str:
        return ", ".join(map(" ".join, pairs)) or "none"

    name = f"{DATABASE}.{wanted['Name']}"
    agreed = columns(wanted)
    differences = [
        f"{what} {there}, agreed {expected}"
        for what, there, expected in (
            ("columns", words(columns(found)[: len(agreed)]), words(agreed)),
            ("partition keys", words(keys({"PartitionKeys": [], **found})), words(keys(wanted))),
            ("location", place(found), place(wanted)),
            ("partition projection", words(projection(found)), words(projection(wanted))),
        )
        if there != expected
    ]
    if differences:
        raise ArchiveError(
            f"the table is not as agreed: {'; '.join(differences)}",
            where=name,
            fix="Drop the table (its files stay), and run again: it is made as agreed; or set aws.bucket.",
        )
