"""Nothing counts twice: the same content in two files is refused by both names, however it is named and packed."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from email import message_from_bytes, policy
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finops_assets.core.bill.overlaps import deliveries
from finops_assets.core.errors import BillError
from finops_assets_tests.support.bills import DAY, at, line, open_bill, rows_of, source_day, write_json, write_rows
from finops_assets_tests.support.command import finops

OTHER = date(2025, 9, 11)
LINES = [line(1), line(2, service="S3"), line(3, start=at(OTHER)), line(3, start=at(OTHER))]


def write(file: Path, lines: list = LINES) -> Path:
    return write_rows(file, rows_of(lines, "focus"))


def refused(root: Path) -> str:
    """What is said of the bill, without the folder's own name."""
    with pytest.raises(BillError) as error:
        open_bill(root).describe()
    return str(error.value).replace(f"{root}/", "")


def copied(name: str) -> Callable[[Path], None]:
    return lambda first: shutil.copy(first, first.with_name(name)) and None


def as_zstd(first: Path) -> None:
    first.with_name("b.csv.zst").write_bytes(pa.compress(first.read_bytes(), codec="zstd", asbytes=True))


def as_zip(first: Path) -> None:
    with zipfile.ZipFile(first.with_name("b.csv.zip"), "w", zipfile.ZIP_DEFLATED) as packed:
        packed.write(first, "month.csv")


def as_members(first: Path) -> None:
    text = first.read_bytes()
    first.with_name("b.csv.gz").write_bytes(gzip.compress(text[:100]) + gzip.compress(text[100:]))


def in_other_order(first: Path) -> None:
    header, *lines = first.read_text().splitlines(keepends=True)
    first.with_name("b.csv").write_text("".join([header, *reversed(lines)]))


def first_lines(first: Path) -> None:
    first.with_name("b.csv").write_text("".join(first.read_text().splitlines(keepends=True)[:3]))


@pytest.mark.parametrize(
    ("again", "name"),
    [
        (copied("a (1).csv"), "a (1).csv"),
        (copied("sub.csv"), "sub.csv"),
        (lambda first: first.with_name("b.csv.gz").write_bytes(gzip.compress(first.read_bytes())), "b.csv.gz"),
        (as_members, "b.csv.gz"),
        (as_zstd, "b.csv.zst"),
        (as_zip, "b.csv.zip"),
        (lambda first: os.link(first, first.with_name("b.csv")), "b.csv"),
        (in_other_order, "b.csv"),
        (first_lines, "b.csv"),
    ],
    ids=["browser", "copy", "gzip", "gzip members", "zstd", "zip", "hard link", "other order", "part"],
)
def test_a_csv_file_that_is_there_again_is_refused(tmp_path: Path, again: Callable, name: str) -> None:
    again(write(tmp_path / "bill" / "a.csv"))
    says = refused(tmp_path / "bill")
    assert "a.csv" in says
    assert name in says
    assert "count twice" in says


@pytest.mark.parametrize("lines", [LINES, LINES[:2]], ids=["whole", "part"])
@pytest.mark.parametrize("how", [{"compression": "zstd"}, {"row_group_size": 1}], ids=["packing", "row groups"])
def test_a_parquet_file_that_is_written_again_is_refused(tmp_path: Path, lines: list, how: dict) -> None:
    write(tmp_path / "bill" / "a.parquet")
    part = write(tmp_path / "part.parquet", lines)
    pq.write_table(pq.read_table(part), tmp_path / "bill" / "b.parquet", **how)
    says = refused(tmp_path / "bill")
    assert "a.parquet" in says
    assert "b.parquet" in says


def test_the_same_row_groups_in_two_chunks_are_refused(tmp_path: Path) -> None:
    """Chunks are not compared by their days, and a copy with another footer has other bytes."""
    first = write(tmp_path / "bill" / "x-00001.snappy.parquet")
    table = pq.read_table(first).replace_schema_metadata({"written": "again"})
    pq.write_table(table, tmp_path / "bill" / "x-00002.snappy.parquet")
    assert re.search("x-00002.*same lines as.*x-00001", refused(tmp_path / "bill"))


def test_a_part_beside_the_chunks_of_the_whole_is_refused(tmp_path: Path) -> None:
    """The chunks are one delivery: its lines are in all of them together."""
    write(tmp_path / "bill" / "x-00001.csv", LINES[:2])
    write(tmp_path / "bill" / "x-00002.csv", LINES[2:])
    write(tmp_path / "bill" / "first days.csv", [LINES[1], LINES[3], LINES[3]])
    assert "first days.csv" in refused(tmp_path / "bill")


@pytest.mark.parametrize("kind", ["csv", "snappy.parquet"])
def test_chunks_of_one_delivery_are_read_although_they_share_days(tmp_path: Path, kind: str) -> None:
    """AWS writes lines of one day into any chunk, and a chunk may have few lines that are elsewhere, too."""
    for number, lines in enumerate((LINES, LINES[:1], LINES[1:3]), 1):
        write(tmp_path / f"x-{number:05d}.{kind}", lines)
    assert source_day(tmp_path).total == 3 + 1 + 2
    assert open_bill(tmp_path).describe().warnings == ()


def test_a_split_by_account_is_read_and_told_with_its_numbers(tmp_path: Path) -> None:
    """Nobody but people can tell a split from two exports of the same charges that differ."""
    write(tmp_path / "shop.csv", [line(1), line(2, start=at(OTHER))])
    write(tmp_path / "bank.csv", [line("10.5", account="222233334444"), line(4, account="222233334444")])
    assert source_day(tmp_path).total == Decimal("15.5")
    [warning] = open_bill(tmp_path).describe().warnings
    assert warning == "bank.csv (2 line(s), 14.50 USD) and shop.csv (1 line(s), 1.00 USD) both have 2025-09-10"


@pytest.mark.usefixtures("records_in_memory")
def test_the_digest_tells_of_files_that_share_days(tmp_path: Path) -> None:
    """Beside where every line of the bill is: its readers are those who know whether a charge is there twice."""
    write(tmp_path / "bill" / "shop.csv", [line(1), line(2, start=at(OTHER))])
    write(tmp_path / "bill" / "bank.csv", [line("10.5", account="222233334444"), line(4, account="222233334444")])
    now = datetime(2025, 9, 12, 7, tzinfo=UTC)
    assert finops("run", "--date", str(DAY), cwd=tmp_path, now=now, FINOPS_BILL__PATH="bill").exit_code == 0
    [file] = (tmp_path / ".finops" / "outbox").glob("*.eml")
    mail = message_from_bytes(file.read_bytes(), policy=policy.default)
    for kind in ("plain", "html"):
        text = " ".join(mail.get_body((kind,)).get_content().split())
        assert "bank.csv (2 line(s), 14.50 USD) and shop.csv (1 line(s), 1.00 USD) both have 2025-09-10." in text


def test_one_line_more_than_the_other_file_has_is_no_part_of_it(tmp_path: Path) -> None:
    """Exact duplicates are money: a line that is there twice is no part of a file that has it once."""
    write(tmp_path / "a.csv", [line(1), line(1)])
    write(tmp_path / "b.csv", [line(1), line(2), line(3)])
    assert source_day(tmp_path).total == 8
    assert len(open_bill(tmp_path).describe().warnings) == 1


def test_months_that_both_have_a_day_for_another_billing_period_are_no_overlap(tmp_path: Path) -> None:
    """A correction in October's bill is dated in September; the billing period tells them apart."""
    for month in (9, 10):
        period = {"BillingPeriodStart": at(date(2025, month, 1))}
        write_rows(tmp_path / f"2025-{month}.csv", [{**row, **period} for row in rows_of([line(month)], "focus")])
    assert open_bill(tmp_path).describe().warnings == ()
    assert source_day(tmp_path).total == 19


def test_files_without_lines_may_be_alike(tmp_path: Path) -> None:
    header = write(tmp_path / "a.csv").read_text().splitlines(keepends=True)[0]
    for name in ("b.csv", "c.csv"):
        (tmp_path / name).write_text(header)
    assert source_day(tmp_path).total == 3


def test_what_a_manifest_names_counts_as_it_says(tmp_path: Path) -> None:
    data = tmp_path / "data" / "BILLING_PERIOD=2025-09"
    for name in ("x-00001.csv", "x-00002.csv"):
        write(data / name)
    names = [f"s3://b/x/data/BILLING_PERIOD=2025-09/x-0000{n}.csv" for n in (1, 2)]
    write_json(tmp_path / "metadata" / "BILLING_PERIOD=2025-09" / "x-Manifest.json", {"dataFiles": names})
    assert source_day(tmp_path).total == 6


@pytest.mark.parametrize(
    ("first", "second", "one"),
    [
        ("a/x-00001.csv.gz", "a/x-00002.csv.gz", True),
        ("a/x-00001.snappy.parquet", "b/x-00002.snappy.parquet", False),
        ("part-00000-7f9a.c000.snappy.parquet", "part-00001-7f9a.c000.snappy.parquet", True),
        ("part-00000-7f9a.c000.snappy.parquet", "part-00000-11be.c000.snappy.parquet", False),
        ("part_0_0001.csv", "part_1_0001.csv", True),
        ("data_0_0_0.csv.gz", "data_0_1_0.csv.gz", True),
        ("bill (1).csv", "bill (2).csv", False),
        ("bill-2026-10.csv", "bill-2026-11.csv", False),
        ("20261001.csv", "20261002.csv", False),
        ("partner-1.csv", "partner-2.csv", False),
    ],
)
def test_chunks_are_known_by_their_number(first: str, second: str, one: bool) -> None:
    assert (len(deliveries([first, second])) == 1) == one


def test_a_day_is_not_lost_by_the_comparison(tmp_path: Path) -> None:
    """Files of other days share none."""
    write(tmp_path / "a.csv", [line(1)])
    write(tmp_path / "b.csv", [line(2, start=at(OTHER))])
    assert source_day(tmp_path, DAY).total == 1
    assert open_bill(tmp_path).describe().warnings == ()
