"""The stand-in's Athena answers as AWS and Trino document it: one row a promise, with what it rests on."""

from __future__ import annotations

import csv
import io
import threading
import time
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError

from finops_assets.stories.sample_bill import write_sample_bill
from standin.bills import load_bill, setup
from standin.server import StandIn
from standin.statements import PARQUET

BUCKET = "finops-daily-summaries"
MONEY = pa.decimal128(38, 12)
TRINO = "https://trino.io/docs/current/"

SEMANTICS = [
    # sql, rows as GetQueryResults gives them or the failure's first words, why
    ("SELECT 7 / 2, -7 / 2, 7 % 2", [["3", "-3", "1"]], f"integers divide to integers: {TRINO}functions/math.html"),
    ("SELECT 1 / 0", "DIVISION_BY_ZERO", "for integers"),
    ("SELECT 1.0 / 0", "DIVISION_BY_ZERO", "for decimals"),
    ("SELECT 1e0 / 0, -1e0 / 0, 0e0 / 0", [["Infinity", "-Infinity", "NaN"]], "doubles are IEEE 754"),
    ("SELECT 5 % 0", "DIVISION_BY_ZERO", "the modulus divides, too"),
    (
        "SELECT 1.0 / 3.0, 2.0 / 3.0",
        [["0.3", "0.7"]],
        f"scale of the wider operand, half up: {TRINO}functions/decimal.html",
    ),
    ("SELECT sum(m) / count(*) FROM lines", [["2.500000000000"]], "decimal(38,12) by bigint stays exact"),
    ("SELECT avg(CAST(v AS decimal(10,2))) FROM (VALUES 1.00, 2.00, 2.00) AS t (v)", [["1.67"]], "avg keeps the type"),
    ("SELECT avg(v) FROM (VALUES 1, 2) AS t (v)", [["1.5"]], "avg of integers is double"),
    ("SELECT sum(v) FROM (VALUES BIGINT '1', BIGINT '2') AS t (v)", [["3"]], "sum(bigint) is bigint, see the types"),
    ("SELECT sum(m) FROM lines", [["12.500000000000"]], "sum of decimal(p,s) is decimal(38,s)"),
    (
        "SELECT CAST(123456.1e0 AS decimal(38,12)), CAST(0.1e0 AS decimal(38,12))",
        [["123456.100000000000", "0.100000000000"]],
        "a double becomes a decimal by its shortest text",
    ),
    (
        "SELECT CAST(2.5e0 AS bigint), CAST(-2.5e0 AS bigint), CAST(1.5 AS bigint)",
        [["3", "-3", "2"]],
        "halves round away from zero",
    ),
    (
        "SELECT lower(to_hex(sha256(to_utf8('abc')))), to_hex(sha256(to_utf8('')))",
        [
            [
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
            ]
        ],
        "SHA-256 of FIPS 180-2's examples, in capitals",
    ),
    (
        "SELECT array_join(array_agg(v || chr(10) ORDER BY v DESC), '') FROM (VALUES 'a', 'b') AS t (v)",
        [["b\na\n"]],
        "an ordered aggregate",
    ),
    ("SELECT CAST('1.5' AS bigint)", "INVALID_CAST_ARGUMENT", "a text with a fraction is no integer"),
    ("SELECT CAST('x' AS double)", "INVALID_CAST_ARGUMENT", "bad text"),
    (
        "SELECT TRY_CAST('x' AS double), TRY_CAST('1.5' AS integer), TRY(1 / 0)",
        [[None, None, None]],
        "NULL where CAST fails",
    ),
    ("SELECT CAST(TIMESTAMP '2025-09-10 01:02:03' AS varchar)", [["2025-09-10 01:02:03.000"]], "with three digits"),
    ("SELECT 1 = '1'", "TYPE_MISMATCH", f"no cast between varchar and numbers: {TRINO}language/types.html"),
    ("SELECT n FROM lines WHERE d = '2025-09-10'", "TYPE_MISMATCH", "a date is not compared with text"),
    ("SELECT n FROM lines WHERE d BETWEEN '2025-09-01' AND '2025-09-02'", "TYPE_MISMATCH", "nor between texts"),
    ("SELECT n FROM lines WHERE k IN (1, 2)", "TYPE_MISMATCH", "nor in a list"),
    ("SELECT n FROM lines WHERE month = 9", "TYPE_MISMATCH", "a partition key of type string is text"),
    ("SELECT coalesce(n, 'x') FROM lines", "TYPE_MISMATCH", "one type for COALESCE"),
    ("SELECT 'a' || 1", "TYPE_MISMATCH", "concatenation takes text only"),
    ("SELECT sum(k) FROM lines", "TYPE_MISMATCH", "a sum takes numbers only"),
    ("SELECT date_trunc('month', k) FROM lines", "TYPE_MISMATCH", "date_trunc takes a time"),
    ("SELECT 1 UNION ALL SELECT 'a'", "TYPE_MISMATCH", "columns of a UNION have one type"),
    (
        (
            "SELECT date_trunc('month', DATE '2025-09-10'), DATE '2025-09-10' + INTERVAL '1' DAY, "
            "date_add('month', -1, DATE '2025-09-10'), DATE '2025-03-31' - INTERVAL '1' MONTH"
        ),
        [["2025-09-01", "2025-09-11", "2025-08-10", "2025-02-28"]],
        f"of a date, a date: {TRINO}functions/datetime.html",
    ),
    ("SELECT date_trunc('day', TIMESTAMP '2025-09-10 01:02:03')", [["2025-09-10 00:00:00.000"]], "of a timestamp, one"),
    (
        (
            "SELECT date_diff('hour', TIMESTAMP '2025-01-01 00:59:00', TIMESTAMP '2025-01-01 01:58:00'), "
            "date_diff('day', DATE '2025-09-01', DATE '2025-09-10'), "
            "date_diff('hour', DATE '2025-09-01', DATE '2025-09-02')"
        ),
        [["0", "9", "24"]],
        "whole units that have passed, not boundaries",
    ),
    ("SELECT count(*) FROM lines WHERE t = DATE '2025-09-10'", [["1"]], "a date compares with a timestamp as midnight"),
    (
        "SELECT year(d), month(d), day(d), day_of_week(d) FROM lines WHERE n = 3",
        [["2025", "9", "10", "3"]],
        "Monday is 1",
    ),
    (
        "SELECT date_format(t, '%Y-%m-%d %H'), date(t), CAST(t AS date) FROM lines WHERE n = 4",
        [["2025-09-10 13", "2025-09-10", "2025-09-10"]],
        "MySQL's format letters",
    ),
    (
        "SELECT CAST(at_timezone(from_iso8601_timestamp('2025-09-10T01:00:00Z'), 'America/New_York') AS date)",
        [["2025-09-09"]],
        "the day where the clock hangs",
    ),
    (
        "SELECT CAST(TIMESTAMP '2025-09-10 01:00:00' AT TIME ZONE 'America/New_York' AS date)",
        [["2025-09-09"]],
        "a timestamp without a zone is the session's, UTC",
    ),
    (
        "SELECT v FROM (VALUES 2, NULL, 1) AS t (v) ORDER BY v",
        [["1"], ["2"], [None]],
        f"NULLs last: {TRINO}sql/select.html",
    ),
    ("SELECT v FROM (VALUES 2, NULL, 1) AS t (v) ORDER BY v DESC", [["2"], ["1"], [None]], "in both directions"),
    ("SELECT v FROM (VALUES 2, NULL, 1) AS t (v) ORDER BY v NULLS FIRST LIMIT 1", [[None]], "unless asked"),
    ("SELECT n AS amount FROM lines GROUP BY amount", "COLUMN_NOT_FOUND", "GROUP BY sees no aliases"),
    ("SELECT n AS amount FROM lines WHERE amount = 1", "COLUMN_NOT_FOUND", "nor does WHERE"),
    ("SELECT n AS amount, count(*) FROM lines GROUP BY n HAVING amount = 1", "COLUMN_NOT_FOUND", "nor HAVING"),
    (
        "SELECT n, count(*) AS n2 FROM lines GROUP BY 1 HAVING count(*) > 0 ORDER BY n2, 1 LIMIT 1",
        [["1", "1"]],
        "ORDER BY does, and both take a place",
    ),
    ("SELECT n, k FROM lines GROUP BY n", "EXPRESSION_NOT_AGGREGATE", "every column is grouped or aggregated"),
    ('SELECT N, "K" FROM LINES WHERE "N" = 1', [["1", "a"]], "names have no case, quoted or not"),
    (
        "SELECT substr('abcdef', 2, 3), strpos('abc', 'c'), strpos('abc', 'x')",
        [["bcd", "3", "0"]],
        "positions start at 1",
    ),
    (
        "SELECT element_at(tags, 'team'), element_at(tags, 'nobody') FROM lines WHERE n = 1",
        [["x", None]],
        "absent: NULL",
    ),
    (
        "SELECT element_at(transform(ARRAY[k], v -> concat(v, k, 'c')), 1) FROM lines WHERE n = 1",
        [["aac"]],
        f"{TRINO}functions/lambda.html: it sees the columns around it",
    ),
    ("SELECT tags['nobody'] FROM lines WHERE n = 1", "INVALID_FUNCTION_ARGUMENT", "a subscript that is absent fails"),
    ("SELECT json_extract_scalar('{\"a\": {\"b\": 1}}', '$.a.b')", [["1"]], f"{TRINO}functions/json.html"),
    ("SELECT concat('a', NULL), concat('a', 'b', 'c')", [[None, "abc"]], "NULL in concat is NULL"),
    (
        "SELECT lpad('7', 2, '0'), lpad('789', 2, '0'), replace('a-b', '-', ''), split('a,b', ',')[2]",
        [["07", "78", "ab", "b"]],
        f"{TRINO}functions/string.html",
    ),
    (
        "SELECT contains(split('a,b', ','), 'b'), regexp_like('i-0123', '^i-\\d+$'), starts_with('abc', 'ab')",
        [["true", "true", "true"]],
        "predicates",
    ),
    (
        "SELECT max_by(k, n), min_by(k, n), count_if(n > 1), approx_distinct(k) FROM lines",
        [["e", "a", "4", "5"]],
        f"{TRINO}functions/aggregate.html",
    ),
    (
        "SELECT max_by(k, n) FROM (VALUES (NULL, 2), ('a', 1)) AS t (k, n)",
        [[None]],
        "of the greatest n, also when it is NULL",
    ),
    (
        "SELECT greatest(1, NULL), least(1, 2), if(1 = 2, 'x'), nullif(1, 1)",
        [[None, "1", None, None]],
        "NULL is contagious",
    ),
    (
        "SELECT k, grouping(k), sum(n) FROM lines WHERE n < 3 GROUP BY GROUPING SETS ((k), ()) ORDER BY 2, 1",
        [["a", "0", "1"], ["b", "0", "2"], [None, "1", "3"]],
        "grouping() is 1 where the column is not grouped",
    ),
    (
        "SELECT k, sum(n) OVER (ORDER BY n) FROM lines WHERE n < 4 ORDER BY n",
        [["a", "1"], ["b", "3"], ["c", "6"]],
        "windows",
    ),
    ("SELECT e FROM lines CROSS JOIN UNNEST(split(k, ',')) AS u (e) WHERE n = 1", [["a"]], "arrays as rows"),
    ("SELECT round(2.345, 2), round(2.5e0)", [["2.350", "3.0"]], "a rounded decimal keeps its scale"),
    (
        "SELECT 12345678.9e0, 1e-4, 1e0, 100e0",
        [["1.23456789E7", "1.0E-4", "1.0", "100.0"]],
        "doubles as Java writes them",
    ),
    ("SELECT NULL, '', 'say \"hi\"', true", [[None, "", 'say "hi"', "true"]], "NULL is no text"),
    ("SELECT nosuch(1)", "FUNCTION_NOT_REGISTERED: line 1:8: Function nosuch not registered", "as Trino words it"),
    (
        "SELECT * FROM nothere",
        "TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.db.nothere' does not exist",
        "as worded",
    ),
    ("SELECT * FROM nodb.lines", "SCHEMA_NOT_FOUND: line 1:15: Schema 'nodb' does not exist", "as worded"),
    ("SELECT n,\n  nothere FROM lines", "COLUMN_NOT_FOUND: line 2:3: Column 'nothere' cannot be resolved", "as worded"),
    ("SELECT * FROM other.db.lines", "CATALOG_NOT_FOUND", "one catalog"),
    ("SELECT sha512(k) FROM lines", "StandInDoesNotKnow", "what is not done here is said, not guessed"),
]

PRUNED = [
    # condition, rows that are counted, whether everything is scanned, why
    ("year = 2025 AND month = '09'", 3, False, "partition keys"),
    ("month > '08'", 3, False, "any comparison of them"),
    ("month IN ('09', '10')", 3, False, "a list"),
    ("concat(CAST(year AS varchar), month) = '202509'", 3, False, "any expression of them"),
    ("month = '09' OR year = 2024", 3, False, "also with OR"),
    ("month = '09' OR n = 1", 4, True, "OR with another column: any partition may hold it"),
    ("d >= DATE '2025-09-01'", 3, False, "statistics of row groups: min and max"),
    ("DATE '2025-09-01' <= d", 3, False, "either way round"),
    ("d BETWEEN DATE '2025-08-01' AND DATE '2025-08-31'", 2, False, "BETWEEN"),
    ("(d >= DATE '2025-09-01') OR d IS NULL", 3, False, "no NULL is in the other group"),
    ("t >= TIMESTAMP '2025-09-01 00:00:00' AND t < TIMESTAMP '2025-10-01 00:00:00'", 3, False, "a half-open range"),
    ("m > 3.9", 1, False, "of decimals, too"),
    ("n > 1", 4, True, "both may hold it"),
    ("date_trunc('month', d) = DATE '2025-09-01'", 3, True, "a function of the column hides the range"),
]


def table_input(
    name: str, columns: dict[str, str], location: str, keys: dict[str, str] | None = None
) -> dict[str, Any]:
    return {
        "Name": name,
        "TableType": "EXTERNAL_TABLE",
        "PartitionKeys": [{"Name": key, "Type": kind} for key, kind in (keys or {}).items()],
        "StorageDescriptor": {
            "Columns": [{"Name": column, "Type": kind} for column, kind in columns.items()],
            "Location": location,
            **PARQUET,
        },
    }


def lines(*numbers: int) -> pa.Table:
    """Line n is on the 10th of August for the first two, of September for the others; its `m` is n less a half."""
    rows = [
        (
            n,
            "_abcde"[n],
            Decimal(n) - Decimal("0.5"),
            n / 2,
            date(2025, 8 if n < 3 else 9, 10),
            datetime(2025, 8 if n < 3 else 9, 10, {4: 13, 5: 23}.get(n, 0)),  # noqa: DTZ001 - Parquet's own have no zone
            [("team", "x")],
        )
        for n in numbers
    ]
    kinds = (
        pa.int64(),
        pa.string(),
        MONEY,
        pa.float64(),
        pa.date32(),
        pa.timestamp("ms"),
        pa.map_(pa.string(), pa.string()),
    )
    columns = [pa.array(column, kind) for column, kind in zip(zip(*rows, strict=True), kinds, strict=True)]
    return pa.table(columns, names=["N", "k", "m", "x", "d", "t", "tags"])


COLUMNS = {
    "n": "bigint",
    "k": "string",
    "m": "decimal(38,12)",
    "x": "double",
    "d": "date",
    "t": "timestamp",
    "tags": "map<string,string>",
}


class Account:
    """An account with a table of five lines in two partitions, and what runs queries in it."""

    def __init__(self, stand_in: StandIn) -> None:
        self.stand_in = stand_in
        self.athena, self.s3, self.glue = (stand_in.client(each) for each in ("athena", "s3", "glue"))
        setup(stand_in, BUCKET)
        self.glue.create_database(DatabaseInput={"Name": "db"})
        self.table("lines", COLUMNS, {"year": "int", "month": "string"})
        for month, numbers in (("08", (1, 2)), ("09", (3, 4, 5))):
            self.put(f"lines/year=2025/month={month}/part", lines(*numbers))
            self.register("lines", ["2025", month], f"lines/year=2025/month={month}")

    def put(self, key: str, rows: pa.Table | bytes, **options: Any) -> None:
        if isinstance(rows, pa.Table):
            sink = io.BytesIO()
            pq.write_table(rows, sink, store_schema=False, **options)
            rows = sink.getvalue()
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=rows)

    def table(self, name: str, columns: dict[str, str], keys: dict[str, str] | None = None) -> None:
        given = table_input(name, columns, f"s3://{BUCKET}/{name}/", keys)
        self.glue.create_table(DatabaseName="db", TableInput=given)

    def register(self, table: str, values: list[str], prefix: str) -> None:
        storage = self.glue.get_table(DatabaseName="db", Name=table)["Table"]["StorageDescriptor"]
        self.glue.create_partition(
            DatabaseName="db",
            TableName=table,
            PartitionInput={"Values": values, "StorageDescriptor": storage | {"Location": f"s3://{BUCKET}/{prefix}"}},
        )

    def start(self, sql: str, **options: Any) -> str:
        given = {"WorkGroup": "finops", "QueryExecutionContext": {"Database": "db"}} | options
        return self.athena.start_query_execution(QueryString=sql, **given)["QueryExecutionId"]

    def wait(self, execution: str) -> dict[str, Any]:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            found = self.athena.get_query_execution(QueryExecutionId=execution)["QueryExecution"]
            if found["Status"]["State"] in ("SUCCEEDED", "FAILED", "CANCELLED"):
                return found
            time.sleep(0.005)
        raise AssertionError(f"{execution} did not end")

    def run(self, sql: str, **options: Any) -> dict[str, Any]:
        return self.wait(self.start(sql, **options))

    def rows(self, sql: str) -> list[list[str | None]]:
        found = self.run(sql)
        assert found["Status"]["State"] == "SUCCEEDED", found["Status"].get("StateChangeReason")
        answer = self.athena.get_query_results(QueryExecutionId=found["QueryExecutionId"])
        told = [[cell.get("VarCharValue") for cell in row["Data"]] for row in answer["ResultSet"]["Rows"]]
        return told[1:] if found["SubstatementType"] == "SELECT" else told

    def reason(self, sql: str) -> str:
        status = self.run(sql)["Status"]
        assert status["State"] == "FAILED", status["State"]
        assert status["AthenaError"]["ErrorMessage"] == status["StateChangeReason"]
        return status["StateChangeReason"]

    def keys(self, prefix: str = "") -> list[str]:
        found = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)
        return [each["Key"] for each in found.get("Contents", [])]

    def files(self, prefix: str) -> list[pa.Table]:
        bodies = (self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in self.keys(prefix))
        return [pq.read_table(io.BytesIO(body)) for body in bodies]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with StandIn(tmp_path_factory.mktemp("aws")) as stand_in:
        yield stand_in


@pytest.fixture(scope="module")
def shared(server: StandIn) -> Account:
    """For queries that change nothing. Taken by this file's first tests only: `account` empties it."""
    return Account(server)


@pytest.fixture
def account(server: StandIn) -> Account:
    server.reset()
    return Account(server)


@pytest.mark.parametrize(("sql", "expected", "why"), SEMANTICS, ids=[sql[:60] for sql, _, _ in SEMANTICS])
def test_means_what_trino_means(shared: Account, sql: str, expected: list | str, why: str) -> None:
    """A query gives Trino's rows, or fails with Trino's error."""
    if isinstance(expected, str):
        assert shared.reason(sql).startswith(expected), why
    else:
        assert shared.rows(sql) == expected, why


def test_results_name_athenas_types(shared: Account) -> None:
    """Results carry lower-case names, `_colN` for what has none, and the types that Athena names."""
    sql = "SELECT sum(n) AS Total, avg(x), sum(m), max(d), max(t), count(*) > 0, max(k), 1, arbitrary(tags) FROM lines"
    execution = shared.run(sql)["QueryExecutionId"]
    answer = shared.athena.get_query_results(QueryExecutionId=execution)["ResultSet"]
    columns = answer["ResultSetMetadata"]["ColumnInfo"]
    assert [column["Name"] for column in columns] == ["total", *(f"_col{n}" for n in range(1, 9))]
    assert [column["Type"] for column in columns] == (
        ["bigint", "double", "decimal", "date", "timestamp", "boolean", "varchar", "integer", "map"]
    )
    assert (columns[2]["Precision"], columns[2]["Scale"]) == (38, 12)
    assert answer["Rows"][0]["Data"][0]["VarCharValue"] == "total"


@pytest.mark.parametrize(("asked", "count", "everything", "why"), PRUNED, ids=[asked for asked, *_ in PRUNED])
def test_scans_what_the_conditions_leave(shared: Account, asked: str, count: int, everything: bool, why: str) -> None:
    """Conditions on partition keys and simple ranges spare bytes, without changing the rows; through a view, too."""
    whole = "SELECT sum(n), max(d), max(t), max(m), count(year) FROM lines"
    full = shared.run(whole)["Statistics"]["DataScannedInBytes"]
    for sql in (
        f"{whole} WHERE {asked}",
        f"WITH all_of AS (SELECT * FROM lines) {whole.replace('lines', 'all_of')} WHERE {asked}",
    ):
        found = shared.run(sql)
        rows = shared.athena.get_query_results(QueryExecutionId=found["QueryExecutionId"])["ResultSet"]["Rows"]
        assert rows[1]["Data"][4]["VarCharValue"] == str(count), why
        scanned = found["Statistics"]["DataScannedInBytes"]
        assert scanned >= full if everything else 0 < scanned < full, why


def test_scans_only_the_columns_it_needs(shared: Account) -> None:
    """A column less is bytes less, COUNT(*) scans about nothing, and what is read twice counts twice."""

    def scanned(sql: str) -> int:
        return shared.run(sql)["Statistics"]["DataScannedInBytes"]

    one, two = scanned("SELECT sum(n) FROM lines"), scanned("SELECT sum(n), max(k) FROM lines")
    assert 0 < one < two
    assert scanned("SELECT sum(n) FROM (SELECT * FROM lines)") == one
    assert scanned("SELECT count(*) FROM lines") == 0
    assert scanned("WITH a AS (SELECT sum(n) AS n FROM lines) SELECT * FROM a UNION ALL SELECT * FROM a") == 2 * one
    assert scanned("SHOW PARTITIONS lines") == 0


def test_an_outer_join_is_not_pruned_wrongly(shared: Account) -> None:
    """A condition on the side that may be missing decides nothing about the other side's partitions."""
    left = "SELECT count(*), count(r.n) FROM lines AS l LEFT JOIN lines AS r ON l.n = r.n AND r.month = '09'"
    assert shared.rows(left) == [["5", "3"]]
    assert shared.rows(f"{left} WHERE r.month IS NULL") == [["2", "0"]]
    full = "SELECT count(*) FROM lines AS l FULL JOIN lines AS r ON l.n = r.n AND l.month = '09'"
    assert shared.rows(full) == [["7"]]


def test_the_results_file_is_as_athena_writes_it(shared: Account) -> None:
    """The CSV of a SELECT quotes every value and leaves NULL empty, at the workgroup's output location."""
    found = shared.run("SELECT n, nullif(k, 'a') AS k, 'say \"hi\"' AS said FROM lines WHERE n < 3 ORDER BY n")
    location = found["ResultConfiguration"]["OutputLocation"]
    assert location == f"s3://{BUCKET}/athena-results/{found['QueryExecutionId']}.csv"
    text = shared.s3.get_object(Bucket=BUCKET, Key=location.split("/", 3)[3])["Body"].read().decode()
    assert text == '"n","k","said"\n"1",,"say ""hi"""\n"2","b","say ""hi"""\n'
    assert list(csv.reader(io.StringIO(text)))[2] == ["2", "b", 'say "hi"']


def test_results_are_paged(shared: Account) -> None:
    """At most 1000 rows a page, the header among the first page's."""
    execution = shared.run("SELECT a.n FROM lines a, lines b, lines c, lines d, lines e")["QueryExecutionId"]
    pages = list(shared.athena.get_paginator("get_query_results").paginate(QueryExecutionId=execution))
    sizes = [len(page["ResultSet"]["Rows"]) for page in pages]
    assert sizes == [1000, 1000, 1000, 126]
    assert pages[0]["ResultSet"]["Rows"][0]["Data"] == [{"VarCharValue": "n"}]


def test_hidden_columns_name_the_object(shared: Account) -> None:
    """`$path` is the object that a row came from."""
    [[path]] = shared.rows('SELECT DISTINCT "$path" FROM lines WHERE n = 1')
    assert path == f"s3://{BUCKET}/lines/year=2025/month=08/part"
    assert len(shared.rows("SELECT * FROM lines LIMIT 1")[0]) == len(COLUMNS) + 2, "the partition keys, none of these"
    assert shared.rows(
        "SELECT count(*) FROM lines WHERE \"$file_modified_time\" > TIMESTAMP '2020-01-01 00:00:00'"
    ) == [["5"]]


@pytest.mark.parametrize(
    ("condition", "opened"),
    [
        ("\"$path\" IN ('{august}')", False),
        ("(\"$path\" = '{august}' OR \"$path\" BETWEEN '{august}' AND '{august}x')", False),
        ("\"$path\" < '{september}' AND n < 10", False),
        ("substr(\"$path\", 1) = '{august}'", True),
        ("\"$path\" LIKE '%month=08%'", True),
    ],
)
def test_a_file_whose_path_is_not_asked_for_is_not_opened(account: Account, condition: str, opened: bool) -> None:
    """Trino makes a domain of comparisons with constants, and of nothing else: one that is damaged is not noticed."""
    at = f"s3://{BUCKET}/lines/year=2025/month="
    account.put("lines/year=2025/month=09/part", b"damaged")
    asked = condition.format(august=f"{at}08/part", september=f"{at}09/part")
    status = account.run(f"SELECT count(n) FROM lines WHERE {asked}")["Status"]
    assert status["State"] == ("FAILED" if opened else "SUCCEEDED")


def test_a_token_starts_one_execution(account: Account) -> None:
    """The same token and query are the same execution, a failed one too; another query is refused."""
    token = "t" * 32
    first = account.start("SELECT 1 / 0", ClientRequestToken=token)
    assert account.wait(first)["Status"]["State"] == "FAILED"
    assert account.start("SELECT 1 / 0", ClientRequestToken=token) == first
    with pytest.raises(ClientError, match="Idempotent parameters do not match"):
        account.start("SELECT 2", ClientRequestToken=token)
    assert len(account.stand_in.athena.queries) == 1


REFUSED = [
    ("SELEC 1", {}, "mismatched input", "no SQL"),
    ("SELECT FROM WHERE", {}, "mismatched input|line 1", "nor this"),
    ("SELECT 1 LIMIT 1 OFFSET 0", {}, "mismatched input 'OFFSET'", "OFFSET stands before LIMIT"),
    ("SELECT 1", {"WorkGroup": "nobody"}, "WorkGroup nobody is not found", "an unknown workgroup"),
    ("SELECT 1", {"WorkGroup": "primary"}, "No output location provided", "neither the workgroup nor the call has one"),
    ("SELECT '" + "x" * 262_144 + "'", {}, "262144", "a query text has a limit"),
    ("INSERT INTO lines VALUES (1)", {}, "StandInDoesNotKnow", "what is not done here"),
]


@pytest.mark.parametrize(("sql", "options", "words", "why"), REFUSED, ids=[why for *_, why in REFUSED])
def test_refuses_at_the_start(account: Account, sql: str, options: dict, words: str, why: str) -> None:
    """What Athena refuses when a query is started never becomes an execution."""
    with pytest.raises(ClientError, match=words):
        account.start(sql, **options)
    assert account.stand_in.athena.queries == []


def test_the_output_location_is_the_workgroups_if_enforced(account: Account) -> None:
    """An enforced workgroup's location wins over the call's; `primary` takes the call's."""
    own = {"ResultConfiguration": {"OutputLocation": f"s3://{BUCKET}/mine/"}}
    enforced = account.run("SELECT 1", **own)["ResultConfiguration"]["OutputLocation"]
    free = account.run("SELECT 1", WorkGroup="primary", **own)["ResultConfiguration"]["OutputLocation"]
    assert "/athena-results/" in enforced
    assert "/mine/" in free


def test_too_many_queries_are_refused(account: Account) -> None:
    """Queued and running queries count; past the quota a start is refused, and goes through later."""
    athena = account.stand_in.athena
    athena.max_active, athena.min_seconds = 2, 5
    running = [account.start("SELECT 1"), account.start("SELECT 2")]
    with pytest.raises(ClientError, match="TooManyRequestsException"):
        account.stand_in.client("athena", retries={"total_max_attempts": 1}).start_query_execution(
            QueryString="SELECT 3", WorkGroup="finops"
        )
    for execution in running:
        account.athena.stop_query_execution(QueryExecutionId=execution)
        assert account.wait(execution)["Status"]["State"] == "CANCELLED"
    athena.min_seconds = 0
    assert account.rows("SELECT 3") == [["3"]]


def test_a_query_can_be_stopped(account: Account) -> None:
    """Stopping interrupts DuckDB at work; stopping what has ended changes nothing."""
    execution = account.start(
        "SELECT count(*) FROM " + ", ".join(f"lines AS l{n}" for n in range(14)) + " WHERE l0.x + l9.x > 99"
    )
    while (
        account.athena.get_query_execution(QueryExecutionId=execution)["QueryExecution"]["Status"]["State"] == "QUEUED"
    ):
        time.sleep(0.005)
    time.sleep(0.1)
    account.athena.stop_query_execution(QueryExecutionId=execution)
    assert account.wait(execution)["Status"]["State"] == "CANCELLED"
    account.athena.stop_query_execution(QueryExecutionId=execution)
    with pytest.raises(ClientError, match="Final query state: CANCELLED"):
        account.athena.get_query_results(QueryExecutionId=execution)


def test_a_statement_gets_its_connection_while_a_query_is_being_admitted(account: Account) -> None:
    """Else the two wait for each other: the statement holds moto's lock, which the admission asks for."""
    athena, made = account.stand_in.athena, []
    with athena._lock:
        statement = threading.Thread(target=lambda: made.append(athena._connect()), daemon=True)
        statement.start()
        statement.join(timeout=30)
        assert made
    made[0].close()


def test_a_workgroup_caps_the_bytes(account: Account) -> None:
    """A query that would scan more than BytesScannedCutoffPerQuery is cancelled, and says so."""
    account.athena.create_work_group(
        Name="capped",
        Configuration={
            "ResultConfiguration": {"OutputLocation": f"s3://{BUCKET}/out/"},
            "BytesScannedCutoffPerQuery": 10_000_000,
        },
    )
    noise = pa.table({"n": pa.array(range(3_000_000), pa.int64())})
    account.table("big", {"n": "bigint"})
    account.put("big/part", noise, compression="none", use_dictionary=False)
    status = account.run("SELECT sum(n) FROM big", WorkGroup="capped")["Status"]
    assert (status["State"], status["StateChangeReason"]) == ("CANCELLED", "Bytes scanned limit was exceeded")
    assert account.run("SELECT count(*) FROM big", WorkGroup="capped")["Status"]["State"] == "SUCCEEDED"


def test_a_disabled_workgroup_runs_nothing(account: Account) -> None:
    """A workgroup that is disabled refuses."""
    account.athena.update_work_group(WorkGroup="finops", State="DISABLED")
    with pytest.raises(ClientError, match="disabled"):
        account.start("SELECT 1")


def test_unload_leaves_several_unordered_files_and_a_manifest(account: Account) -> None:
    """Files without suffix that the manifest lists, gzip unless told otherwise, INT96 timestamps, lower-case names."""
    found = account.run(
        f"UNLOAD (SELECT n AS Number, t, m FROM lines ORDER BY n) TO 's3://{BUCKET}/stage/' WITH (format = 'PARQUET')"
    )
    assert (found["Status"]["State"], found["SubstatementType"]) == ("SUCCEEDED", "UNLOAD")
    keys = account.keys("stage/")
    location = found["Statistics"]["DataManifestLocation"]
    manifest = account.s3.get_object(Bucket=BUCKET, Key=location.split("/", 3)[3])["Body"].read().decode().split()
    assert sorted(manifest) == [f"s3://{BUCKET}/{key}" for key in keys]
    assert len(keys) == 2
    assert not any("." in key for key in keys)
    files = account.files("stage/")
    assert sorted(n for file in files for n in file["number"].to_pylist()) == [1, 2, 3, 4, 5]
    spans = sorted((min(file["number"].to_pylist()), max(file["number"].to_pylist())) for file in files)
    assert spans[0][1] > spans[1][0], "files overlap: order is lost across them"
    body = account.s3.get_object(Bucket=BUCKET, Key=keys[0])["Body"].read()
    group = pq.ParquetFile(io.BytesIO(body)).metadata.row_group(0)
    assert [group.column(n).physical_type for n in range(3)] == ["INT64", "INT96", "FIXED_LEN_BYTE_ARRAY"]
    assert group.column(0).compression == "GZIP"


def test_unload_refuses_a_prefix_that_is_taken(account: Account) -> None:
    """Any object below the target fails the UNLOAD, and nothing is written or replaced."""
    sql = f"UNLOAD (SELECT n FROM lines) TO 's3://{BUCKET}/stage' WITH (format = 'PARQUET', compression = 'SNAPPY')"
    assert account.run(sql)["Status"]["State"] == "SUCCEEDED"
    before = account.keys("stage/")
    assert account.reason(sql).startswith("HIVE_PATH_ALREADY_EXISTS")
    assert account.keys("stage/") == before


def test_unload_of_no_rows_writes_no_file(account: Account) -> None:
    """No rows: an empty manifest and nothing below the target."""
    found = account.run(f"UNLOAD (SELECT n FROM lines WHERE n > 9) TO 's3://{BUCKET}/stage/' WITH (format = 'PARQUET')")
    location = found["Statistics"]["DataManifestLocation"]
    assert account.s3.get_object(Bucket=BUCKET, Key=location.split("/", 3)[3])["Body"].read() == b""
    assert account.keys("stage/") == []


def test_unload_partitions_by_its_last_columns(account: Account) -> None:
    """Folders `key=value`, the keys out of the files; more than 100 partitions are refused."""
    options = "format = 'PARQUET', partitioned_by = ARRAY['month']"
    account.run(f"UNLOAD (SELECT n, month FROM lines) TO 's3://{BUCKET}/stage/' WITH ({options})")
    assert {key.split("/")[1] for key in account.keys("stage/")} == {"month=08", "month=09"}
    assert account.files("stage/")[0].column_names == ["n"]
    many = "SELECT 1 AS one, a.n + 5 * b.n + 25 * c.n AS month FROM lines a, lines b, lines c"
    assert account.reason(f"UNLOAD ({many}) TO 's3://{BUCKET}/many/' WITH ({options})").startswith(
        "HIVE_TOO_MANY_OPEN_PARTITIONS"
    )
    assert account.keys("many/") == []


def test_a_failed_unload_leaves_orphans(account: Account) -> None:
    """`fail_next` with orphans: files are there, the query has failed, and its error says whether to try again."""
    account.stand_in.athena.fail_next("HIVE_WRITER_CLOSE_ERROR", "Error closing", retryable=True, orphans=True)
    sql = f"UNLOAD (SELECT n FROM lines) TO 's3://{BUCKET}/stage/' WITH (format = 'PARQUET')"
    error = account.run(sql)["Status"]["AthenaError"]
    assert (error["Retryable"], error["ErrorMessage"]) == (True, "HIVE_WRITER_CLOSE_ERROR: Error closing")
    assert len(account.keys("stage/")) == 1
    assert account.reason(sql).startswith("HIVE_PATH_ALREADY_EXISTS")


BAD_FILES = [
    ("date", pa.array([datetime(2025, 9, 10)], pa.timestamp("ms")), "INT64", "a timestamp in a date column"),  # noqa: DTZ001
    ("double", pa.array([Decimal("1.5")], MONEY), "FIXED_LEN_BYTE_ARRAY", "a decimal in a double column"),
    ("double", pa.array(["1.5"], pa.string()), "BYTE_ARRAY", "text in a double column"),
    ("decimal(38,12)", pa.array([1.5], pa.float64()), "DOUBLE", "a double in a decimal column"),
    ("string", pa.array([1], pa.int64()), "INT64", "a number in a string column"),
    ("int", pa.array([1], pa.int64()), "INT64", "64 bits in an int column"),
    ("bigint", pa.array([1.0], pa.float64()), "DOUBLE", "a double in a bigint column"),
]


@pytest.mark.parametrize(("kind", "values", "physical", "why"), BAD_FILES, ids=[why for *_, why in BAD_FILES])
def test_a_file_must_be_of_the_tables_types(
    account: Account, kind: str, values: pa.Array, physical: str, why: str
) -> None:
    """What the file holds is not read as another type; a query that leaves the column alone succeeds."""
    account.table("odd", {"v": kind, "w": "bigint"})
    account.put("odd/part", pa.table({"v": values, "w": [1]}))
    reason = account.reason("SELECT v FROM odd")
    assert reason.startswith(f"HIVE_BAD_DATA: Field v's type {physical} in parquet file s3://{BUCKET}/odd/part"), why
    assert account.rows("SELECT w FROM odd") == [["1"]]


def test_what_athena_unloads_its_date_column_cannot_read(account: Account) -> None:
    """A timestamp goes out as INT96, which a date column does not read: it has to be cast first."""
    account.table("days", {"d": "date"})
    account.run(
        f"UNLOAD (SELECT date_trunc('day', t) AS d FROM lines) TO 's3://{BUCKET}/days/' WITH (format = 'PARQUET')"
    )
    assert "type INT96" in account.reason("SELECT d FROM days")


def test_files_are_read_by_the_names_of_their_columns(account: Account) -> None:
    """Order and case of a file's columns do not matter; a column that is missing is NULL; a narrower number widens."""
    account.table("mixed", {"a": "bigint", "b": "string", "c": "double"})
    account.put("mixed/1", pa.table({"B": ["x"], "A": pa.array([1], pa.int32())}))
    account.put("mixed/2", pa.table({"a": pa.array([2], pa.int64()), "c": pa.array([0.5], pa.float32()), "z": [True]}))
    assert account.rows("SELECT a, b, c FROM mixed ORDER BY a") == [["1", "x", None], ["2", None, "0.5"]]


def test_every_object_below_a_location_counts(account: Account) -> None:
    """Two objects double the rows, also with the same content; names that begin with `_` or `.` are hidden."""
    where = "lines/year=2025/month=09"
    account.put(f"{where}/again", lines(3, 4, 5))
    for hidden in ("_staging/part", ".part", "_SUCCESS"):
        account.put(f"{where}/{hidden}", lines(3, 4, 5))
    account.put("lines/year=2025/month=09-old/part", lines(3, 4, 5))
    assert account.rows("SELECT count(*), sum(n) FROM lines WHERE month = '09'") == [["6", "24"]]


def test_a_partition_without_objects_has_no_rows(account: Account) -> None:
    """It is registered, read without an error, and empty."""
    account.register("lines", ["2025", "10"], "lines/year=2025/month=10")
    assert account.rows("SELECT count(*) FROM lines WHERE month = '10'") == [["0"]]
    assert account.rows("SELECT count(*) FROM lines") == [["5"]]


def test_repair_registers_a_month_twice(account: Account) -> None:
    """MSCK takes '09' from the folder's name beside the 9 that was registered: both are month 9, the cost doubles."""
    account.table("days", {"n": "bigint"}, {"year": "int", "month": "int"})
    account.put("days/year=2025/month=09/part", lines(3, 4))
    place = f"s3://{BUCKET}/days/year=2025/month=09/"
    account.rows(f"ALTER TABLE days ADD IF NOT EXISTS PARTITION (year = 2025, month = 9) LOCATION '{place}'")
    assert account.rows("SELECT month, sum(n) FROM days GROUP BY 1") == [["9", "7"]]
    account.rows("MSCK REPAIR TABLE days")
    assert account.rows("SHOW PARTITIONS days") == [["year=2025/month=9"], ["year=2025/month=09"]]
    assert account.rows("SELECT month, sum(n) FROM days GROUP BY 1") == [["9", "14"]]


def test_a_partition_of_another_schema_is_refused(account: Account) -> None:
    """A partition that declares a column of a type that does not become the table's fails every query that needs it."""
    account.table("days", {"n": "bigint"}, {"day": "int"})
    storage = account.glue.get_table(DatabaseName="db", Name="days")["Table"]["StorageDescriptor"]
    storage |= {"Columns": [{"Name": "n", "Type": "string"}], "Location": f"s3://{BUCKET}/days/day=1"}
    partition = {"Values": ["1"], "StorageDescriptor": storage}
    account.glue.create_partition(DatabaseName="db", TableName="days", PartitionInput=partition)
    assert account.reason("SELECT n FROM days").startswith("HIVE_PARTITION_SCHEMA_MISMATCH")


def test_views_are_expanded_when_they_are_read(account: Account) -> None:
    """A view lives in Glue, is replaced only when asked, and reads through to the partitions."""
    assert account.rows("CREATE VIEW v AS SELECT month, sum(n) AS total FROM lines GROUP BY month") == []
    kept = account.glue.get_table(DatabaseName="db", Name="v")["Table"]
    assert (kept["TableType"], kept["StorageDescriptor"]["Columns"]) == (
        "VIRTUAL_VIEW",
        [{"Name": "month", "Type": "string"}, {"Name": "total", "Type": "bigint"}],
    )
    assert account.rows("SELECT * FROM v ORDER BY month") == [["08", "3"], ["09", "12"]]
    one = account.run("SELECT total FROM v WHERE month = '09'")["Statistics"]["DataScannedInBytes"]
    assert 0 < one < account.run("SELECT total FROM v")["Statistics"]["DataScannedInBytes"]
    assert account.reason("CREATE VIEW v AS SELECT 1 AS one").startswith("TABLE_ALREADY_EXISTS")
    assert account.reason("CREATE VIEW w AS SELECT 1").startswith("MISSING_COLUMN_NAME")
    assert len(account.rows("SELECT * FROM v")) == 2
    account.rows("CREATE OR REPLACE VIEW v AS SELECT 1 AS one")
    assert account.rows("SELECT * FROM v") == [["1"]]
    account.rows("DROP VIEW v")
    assert account.reason("SELECT * FROM v").startswith("TABLE_NOT_FOUND")


def test_tables_are_made_and_dropped_in_hives_words(account: Account) -> None:
    """CREATE EXTERNAL TABLE, partitions added and dropped, SHOW and DESCRIBE."""
    account.rows("CREATE DATABASE IF NOT EXISTS finops")
    account.rows(
        f"""CREATE EXTERNAL TABLE IF NOT EXISTS finops.ou_breakdown (
            BillingDate date COMMENT 'the day', ou string, dailycost decimal(38, 12), tags map<string, string>)
        PARTITIONED BY (year int, month int) STORED AS PARQUET
        LOCATION 's3://{BUCKET}/ou/' TBLPROPERTIES ('parquet.compression' = 'SNAPPY')"""
    )
    table = account.glue.get_table(DatabaseName="finops", Name="ou_breakdown")["Table"]
    columns = {each["Name"]: each["Type"] for each in table["StorageDescriptor"]["Columns"]}
    assert columns == {
        "billingdate": "date",
        "ou": "string",
        "dailycost": "decimal(38,12)",
        "tags": "map<string,string>",
    }
    assert table["PartitionKeys"] == [{"Name": "year", "Type": "int"}, {"Name": "month", "Type": "int"}]
    assert table["Parameters"]["parquet.compression"] == "SNAPPY"
    assert account.rows("SHOW TABLES IN finops") == [["ou_breakdown"]]
    add = "ALTER TABLE finops.ou_breakdown ADD PARTITION (year = 2025, month = 9) PARTITION (year = 2025, month = '10')"
    account.rows(add)
    assert account.rows("SHOW PARTITIONS finops.ou_breakdown") == [["year=2025/month=9"], ["year=2025/month=10"]]
    assert "AlreadyExistsException" in account.reason(add)
    account.rows("ALTER TABLE finops.ou_breakdown DROP PARTITION (year = 2025, month = 9)")
    assert account.rows("SHOW PARTITIONS finops.ou_breakdown") == [["year=2025/month=10"]]
    assert account.rows("SELECT count(*) FROM finops.ou_breakdown") == [["0"]]
    account.rows("DROP TABLE finops.ou_breakdown")
    assert account.rows("SHOW TABLES IN finops") == []


def test_text_tables_are_read(account: Account) -> None:
    """OpenCSVSerde: quoted values, all strings, the header skipped when the table says so."""
    account.rows(
        f"""CREATE EXTERNAL TABLE accounts (account_id string, name string)
        ROW FORMAT SERDE 'org.apache.hadoop.hive.serde2.OpenCSVSerde' STORED AS TEXTFILE
        LOCATION 's3://{BUCKET}/accounts/' TBLPROPERTIES ('skip.header.line.count' = '1')"""
    )
    account.put("accounts/a.csv", b'account_id,name\n"012345678901","Payments, EU"\n111122223333,\n')
    assert account.rows("SELECT * FROM accounts ORDER BY 1") == [["012345678901", "Payments, EU"], ["111122223333", ""]]


def test_a_sample_bill_is_the_same_in_both_formats(server: StandIn, tmp_path: Path) -> None:
    """The bills that `load_bill` puts there add up alike, by month as their partition says."""
    server.reset()
    account = Account(server)
    bill = write_sample_bill(tmp_path / "bill", date(2025, 9, 2), 4)
    load_bill(server, bill.focus)
    load_bill(server, bill.cur2, "billing.cur2")
    per_month = "SELECT billing_period, sum(CAST({} AS decimal(38, 12))) FROM billing.{} GROUP BY 1 ORDER BY 1"
    focus = account.rows(per_month.format("billedcost", "focus"))
    assert [month for month, _ in focus] == ["2025-08", "2025-09"]
    assert focus == account.rows(per_month.format("line_item_unblended_cost", "cur2"))
    assert account.rows("SELECT count(*) FROM billing.focus") == [[str(bill.lines)]]
    assert account.rows("SELECT max(element_at(tags, 'environment')) FROM billing.focus") == [["prod"]]


def test_legacy_and_unpartitioned_bills_are_registered(account: Account, tmp_path: Path) -> None:
    """A legacy CUR has year and month as text; a daily summary in one file has no partitions."""
    for month in ("8", "9"):
        folder = tmp_path / "cur" / "year=2025" / f"month={month}"
        folder.mkdir(parents=True)
        pq.write_table(lines(1, 2), folder / "cur-1.snappy.parquet")
    load_bill(account.stand_in, tmp_path / "cur", "billing.cur")
    assert account.rows("SELECT count(*) FROM billing.cur WHERE year = '2025' AND month = '9'") == [["2"]]
    pq.write_table(lines(1, 2, 3), tmp_path / "summary.parquet")
    load_bill(account.stand_in, tmp_path / "summary.parquet", "billing.summary")
    assert account.rows("SELECT sum(m) FROM billing.summary") == [["4.500000000000"]]
