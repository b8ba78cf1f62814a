"""`finops query`: rows as they come, nothing but the archive's tables, and an end at once when it is told to end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finops_assets.adapters.local import sandbox
from finops_assets.adapters.local.catalog import SQLiteCatalog
from finops_assets.adapters.shared.statements import refuse_all_but_select
from finops_assets.cli.terminal import print_csv_rows, print_json_rows, print_rows
from finops_assets.core.errors import FinopsError
from finops_assets.core.schemas import OU_BREAKDOWN, day_path
from finops_assets_tests.support.bills import line, make_bill, open_bill
from finops_assets_tests.support.command import finops

DAY, ROWS = date(2025, 9, 10), 1000
INTERRUPTED = "error: finops query was interrupted by {}. What is archived is whole; run it again to go on.\n"
ENDLESS = "SELECT a.* FROM ou_breakdown a CROSS JOIN ou_breakdown b CROSS JOIN ou_breakdown c CROSS JOIN ou_breakdown d"
"""10^12 rows: whoever gets one of them has not waited for all."""

WORKING = (
    "SELECT SUM(SQRT(a.dailycost * b.dailycost + c.dailycost * d.dailycost)) FROM ou_breakdown a "
    "CROSS JOIN ou_breakdown b CROSS JOIN ou_breakdown c CROSS JOIN ou_breakdown d"
)
"""One row, after hours."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one registered day of 1,000 rows."""
    return make_home(tmp_path_factory.mktemp("query") / ".finops")


def make_home(home: Path) -> Path:
    file = home / "archive" / day_path(DAY)
    file.parent.mkdir(parents=True)
    rows = [(DAY, f"OU {n % 7}", "Amazon EC2", f"{n:012d}", n + 0.25) for n in range(ROWS)]
    columns = dict(zip(OU_BREAKDOWN.names, map(list, zip(*rows, strict=True)), strict=True))
    pq.write_table(pa.table(columns, schema=OU_BREAKDOWN), file)
    SQLiteCatalog(home / "catalog.sqlite", home / "archive").register([SimpleNamespace(day=DAY)])
    return home


def catalog_of(home: Path) -> SQLiteCatalog:
    return SQLiteCatalog(home / "catalog.sqlite", home / "archive")


# ---- streamed


def test_the_first_rows_come_before_the_last_are_made(home: Path) -> None:
    """Of 10^12 rows, two batches are taken and the others never made."""
    with catalog_of(home).stream(ENDLESS) as result:
        assert list(result.columns) == [*OU_BREAKDOWN.names, "year", "month", "day"]
        assert [len(next(result.batches)) for _ in range(2)] == [sandbox.BATCH_ROWS] * 2


@pytest.mark.parametrize("printed", [print_rows, print_csv_rows, print_json_rows])
def test_a_batch_is_printed_before_the_next_is_read(printed: object, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing waits for the end, and nothing that was printed is held."""
    seen: list[str] = []

    def batches() -> Iterator[list[tuple[int]]]:
        for first in (0, 2, 4):
            yield [(first,), (first + 1,)]
            seen.append(capsys.readouterr().out)

    printed(["n"], batches())
    assert [[n for n in "012345" if n in text] for text in seen] == [["0", "1"], ["2", "3"], ["4", "5"]]


def test_the_columns_are_as_wide_as_in_the_first_batch(capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers stand right, names left; a wider cell that comes later is printed whole; null is empty."""
    print_rows(["ou", "cost"], iter([[("Engineering", 1.5), (None, 12.25)], [("東京", 3.0), ("A longer name", None)]]))
    assert capsys.readouterr().out.splitlines() == [
        "ou            cost",
        "Engineering   1.50",
        "             12.25",
        "東京          3.00",
        "A longer name",
    ]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Decimal("1234.567800000000"), "1,234.57"),
        (-12345.678, "-12,345.68"),
        (0.0, "0.00"),
        (Decimal("0E-12"), "0.00"),
        (Decimal("0.012345678900"), "0.01235"),
        (-0.5, "-0.5"),
        (Decimal("0.000000000012"), "0.000000000012"),
        (float("inf"), "inf"),
        (123456, "123456"),
    ],
)
def test_numbers_are_rounded_for_people(value: object, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Amounts to the cent with thousands apart; of less than one, four figures; whole numbers as they are."""
    print_rows(["n"], iter([[(value,)]]))
    assert capsys.readouterr().out.split() == ["n", shown]


def test_csv_has_exact_numbers_and_no_formula(capsys: pytest.CaptureFixture[str]) -> None:
    """Every figure is there; null is empty, and what a spreadsheet or a terminal would obey is text."""
    rows = [("=1+1", Decimal("1234.567800000000"), 0.1, DAY), ('a, "b"\x1b[31m', None, 2.5, None)]
    print_csv_rows(["na,me", "exact", "real", "day"], iter([rows[:1], [], rows[1:]]))
    out = capsys.readouterr().out
    assert out == '"na,me",exact,real,day\n\'=1+1,1234.5678,0.1,2025-09-10\n"a, ""b"" [31m",,2.5,\n'


def test_the_tables_that_there_are_can_be_asked_for(home: Path, tmp_path: Path) -> None:
    """SHOW TABLES names those of the engine, DESCRIBE their columns in its order; a wrong name gets a near one."""
    run = partial(finops, cwd=tmp_path, FINOPS_HOME=str(home))
    names = [row["table"] for row in json.loads(run("query", "--json", "show tables;").stdout)]
    with catalog_of(home).stream(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'finops_db'"
    ) as result:
        there = {name for (name,) in result.all_rows()}
    assert {*names} - {"finops_daily_summary"} == there, "the summary is made where a query asks for it"
    for name in sorted(there):
        columns = [row["column"] for row in json.loads(run("query", "--json", f"DESCRIBE finops_db.{name}").stdout)]
        with catalog_of(home).stream(f"SELECT * FROM {name} LIMIT 0") as result:
            assert list(result.columns) == columns, name
    done = run("query", "DESCRIBE ou_breakdwn")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "Did you mean ou_breakdown?" in done.stderr
    assert run("query", "--csv", "DESC restatements").stdout.startswith("column,type,what it is\nbillingdate,date,")
    assert run("query", "--csv", "--json", "SHOW TABLES").exit_code == 2


def test_json_is_a_list_of_exact_rows(capsys: pytest.CaptureFixture[str]) -> None:
    """Batches make one list; amounts are text and lose no digit, names keep every character."""
    name = 'a "b" %s \x1b[31m \x9b \u202e \ud83d\ude00 \U000e0041'.encode("utf-16", "surrogatepass").decode("utf-16")
    rows = [(name, Decimal("0.10"), 1.5, 1, DAY, None, True), (name, Decimal(2), float("inf"), 2, DAY, "x", False)]
    columns = ["na%me", "exact", "real", "whole", "day", "nothing", "yes"]
    print_json_rows(columns, iter([rows[:1], [], rows[1:]]))
    out = capsys.readouterr().out
    assert json.loads(out) == [
        dict(zip(columns, (name, "0.1", 1.5, 1, "2025-09-10", None, True), strict=True)),
        dict(zip(columns, (name, "2", float("inf"), 2, "2025-09-10", "x", False), strict=True)),
    ]
    assert not set(out) & set("\x1b\x9b\u202e\U000e0041")
    assert len(out.splitlines()) == 4
    print_json_rows(columns, iter([]))
    assert json.loads(capsys.readouterr().out) == []


def test_an_answer_without_rows_has_its_header(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(["ou", "cost"], iter([]))
    assert capsys.readouterr().out == "ou  cost\n"


def test_two_columns_of_one_name_are_refused_as_json(home: Path, tmp_path: Path) -> None:
    """An object of JSON would drop one of them without a word; a table shows both."""
    sql = "SELECT ou, service AS ou FROM ou_breakdown LIMIT 1"
    done = finops("query", "--json", sql, cwd=tmp_path, FINOPS_HOME=str(home))
    assert (done.exit_code, done.stdout) == (1, "")
    assert "more than one column the name ou" in done.stderr
    assert finops("query", sql, cwd=tmp_path, FINOPS_HOME=str(home)).stdout.startswith("ou    ou")


# ---- nothing but the archive's tables


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file that is none of the archive's, in the formats that DuckDB reads."""
    (tmp_path / "secret.csv").write_text("word\nxyzzy\n")
    pq.write_table(pa.table({"word": ["xyzzy"]}), tmp_path / "secret.parquet")
    with duckdb.connect(str(tmp_path / "secret.db")) as con:
        con.execute("CREATE TABLE t AS SELECT 'xyzzy' AS word")
    return tmp_path


WAYS_OUT = [
    "SELECT * FROM read_csv('{secret}/secret.csv')",
    "SELECT * FROM read_text('{secret}/secret.csv')",
    "SELECT * FROM read_blob('{secret}/secret.csv')",
    "SELECT * FROM read_parquet('{secret}/secret.parquet')",
    "SELECT * FROM read_parquet('{secret}/*.parquet')",
    "SELECT * FROM parquet_scan('{secret}/secret.parquet')",
    "SELECT * FROM parquet_metadata('{secret}/secret.parquet')",
    "SELECT * FROM sniff_csv('{secret}/secret.csv')",
    'SELECT * FROM "{secret}/secret.csv"',
    "SELECT * FROM glob('{secret}/*')",
    "SELECT * FROM read_text('{home}/archive/../catalog.sqlite')",
    "SELECT * FROM read_parquet('http://127.0.0.1:9/secret.parquet')",
    "SELECT * FROM read_parquet('s3://secret/secret.parquet')",
    "SELECT * FROM a_variable_of_this_test",
    "SELECT * FROM query('COPY (SELECT 1) TO ''{secret}/out.csv''')",
    "SELECT * FROM sqlite_scan('{home}/catalog.sqlite', 'partitions')",
    "SELECT getenv('HOME')",
]
WRITING = [
    "COPY (SELECT 1) TO '{secret}/out.csv'",
    "ATTACH '{secret}/secret.db' AS other",
    "EXPORT DATABASE '{secret}/out'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "SET memory_limit = '100GB'",
    "SET temp_directory = '{secret}/out'",
    "RESET lock_configuration",
]


@pytest.mark.parametrize("sql", [*WAYS_OUT, *WRITING])
def test_each_way_out_is_refused_in_one_line(sql: str, home: Path, secret: Path) -> None:
    """Neither the secret nor a new file is to be had."""
    a_variable_of_this_test = pa.table({"word": ["xyzzy"]})
    before = set(secret.iterdir())
    with pytest.raises(FinopsError) as refused, catalog_of(home).stream(sql.format(secret=secret, home=home)) as result:
        print(result.all_rows())
    assert a_variable_of_this_test
    assert len(str(refused.value).splitlines()) == 1
    assert set(secret.iterdir()) == before


@pytest.mark.parametrize("sql", WRITING)
def test_the_sandbox_holds_by_itself(sql: str, secret: Path) -> None:
    """Where something other than a SELECT came through, DuckDB would refuse it."""
    before = set(secret.iterdir())
    with sandbox.sandbox() as con:
        sandbox.shut(con, [])
        with pytest.raises(duckdb.Error):
            con.execute(sql.format(secret=secret)).fetchall()
    assert set(secret.iterdir()) == before


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1; SELECT 2",
        "WITH gone AS (DELETE FROM ou_breakdown RETURNING *) SELECT * FROM gone",
        "SELECT * INTO other FROM ou_breakdown",
        "INSERT INTO ou_breakdown SELECT * FROM ou_breakdown",
        "CREATE TABLE other AS SELECT 1 AS n",
        "UNLOAD (SELECT 1) TO 's3://elsewhere/' WITH (format = 'PARQUET')",
        "EXPLAIN SELECT 1",
        "-- nothing",
    ],
)
def test_only_one_select_is_run_on_any_platform(sql: str, capfd: pytest.CaptureFixture[str]) -> None:
    """It is looked at before DuckDB or Athena sees it, and nothing else is printed."""
    with pytest.raises(FinopsError, match="only one SELECT can be run"):
        refuse_all_but_select(sql)
    assert capfd.readouterr() == ("", "")


def test_a_semicolon_and_a_comment_at_the_end_are_no_second_statement(home: Path) -> None:
    assert catalog_of(home).query("SELECT COUNT(*) AS n FROM ou_breakdown; -- all of it")[1] == [(ROWS,)]


@pytest.mark.parametrize("name", ["a [b] c", "it's", "100% *", "year=2024"])
def test_a_home_of_any_name_can_be_queried(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is allowed is the file, however its path is written."""
    make_home(tmp_path / name)
    assert catalog_of(tmp_path / name).query("SELECT COUNT(*) FROM ou_breakdown")[1] == [(ROWS,)]
    monkeypatch.chdir(tmp_path)
    assert catalog_of(Path(name)).query("SELECT COUNT(*) FROM ou_breakdown")[1] == [(ROWS,)]
    (tmp_path / "link").symlink_to(tmp_path / name)
    assert catalog_of(tmp_path / "link").query("SELECT COUNT(*) FROM ou_breakdown")[1] == [(ROWS,)]


@pytest.mark.parametrize("kind", ["parquet", "csv", "csv.gz"])
def test_the_bill_is_one_of_the_tables(kind: str, home: Path, tmp_path: Path) -> None:
    """finops_daily_summary reads the bill's files, and they alone: a file beside them is refused."""
    (tmp_path / "beside.csv").write_text("word\nxyzzy\n")
    warehouse = open_bill(make_bill(tmp_path / "bill", [line(3), line(4)], kind=kind))
    catalog = SQLiteCatalog(home / "catalog.sqlite", home / "archive", warehouse)
    assert catalog.query("SELECT SUM(Cost) FROM finops_daily_summary")[1] == [(7,)]
    with pytest.raises(FinopsError, match="outside the archive"):
        catalog.query(f"SELECT s.* FROM finops_daily_summary s, read_csv('{tmp_path / 'beside.csv'}')")


def test_what_does_not_fit_in_memory_spills_and_leaves_nothing(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sort of 2 million rows in 40 MB: DuckDB's files lie in a folder of the query, which goes with it."""
    monkeypatch.setattr(sandbox.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setitem(sandbox.CLOSED, "memory_limit", "40MB")
    sql = "SELECT a.ou, a.linkedaccount, b.dailycost FROM ou_breakdown a CROSS JOIN ou_breakdown b ORDER BY 3, 2"
    with catalog_of(home).stream(f"{sql}, 1") as result:
        assert len(next(result.batches)) == sandbox.BATCH_ROWS
        (folder,) = tmp_path.iterdir()
        assert any(folder.iterdir())
    assert list(tmp_path.iterdir()) == []


# ---- ended


def started(home: Path, folder: Path, sql: str) -> subprocess.Popen[str]:
    """`finops query`, once its query is under way: DuckDB's folder is there."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FINOPS_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "finops_assets", "query", sql],
        cwd=folder,
        env=clean | {"FINOPS_HOME": str(home), "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not list(folder.glob("finops-query-*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    return process


@pytest.mark.parametrize("sql", [WORKING, ENDLESS], ids=["no row yet", "in the middle of its rows"])
@pytest.mark.parametrize(
    ("number", "code", "words"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")]
)
def test_a_signal_ends_the_query_in_one_line(
    sql: str, number: signal.Signals, code: int, words: str, home: Path, tmp_path: Path
) -> None:
    """A real process that would work for hours: it says what ended it, and leaves no file."""
    with started(home, tmp_path, sql) as process:
        if sql is ENDLESS:
            assert process.stdout.readline().startswith("billingdate")
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (code, INTERRUPTED.format(words))
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_has_enough_ends_the_query_quietly(home: Path, tmp_path: Path) -> None:
    """As under `| head -1`."""
    with started(home, tmp_path, ENDLESS) as process:
        assert process.stdout.readline().startswith("billingdate")
        process.stdout.close()
        said = process.stderr.read()
        assert process.wait(60) == 141
    assert said == ""
    assert list(tmp_path.iterdir()) == []
