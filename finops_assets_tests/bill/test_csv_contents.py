"""Nothing of a CSV file is lost: its end, its checksums and the number of its lines are proved by a second reader."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from finops_assets.adapters.local import bill_bytes
from finops_assets.adapters.local.bill_bytes import DataFile
from finops_assets.adapters.local.csv_contents import csv_contents, exact_records
from finops_assets.core.errors import BillError
from finops_assets_tests.support.bills import line, open_bill, rows_of, source_day, write_rows

ROW = rows_of([line(5)], "focus")[0]


def text(*costs: int, **columns: str) -> bytes:
    """A FOCUS file."""
    header, *_ = rows = [{**ROW, "BilledCost": cost, **columns} for cost in costs]
    lines = [",".join(header), *(",".join("" if v is None else str(v) for v in row.values()) for row in rows)]
    return "".join(f"{one}\n" for one in lines).encode()


MONTH = text(1, 2)
LONG = MONTH + text(*[3]).splitlines(keepends=True)[1].replace(b"shop-prod", b"x" * 9_000_000)


def error_of(root: Path) -> BillError:
    with pytest.raises(BillError) as error:
        open_bill(root).describe()
    return error.value


def bad_checksum(data: bytes) -> bytes:
    return data[:-8] + zlib.crc32(b"other").to_bytes(4, "little") + data[-4:]


@pytest.mark.parametrize(
    ("name", "data", "says", "where"),
    [
        ("a.csv", LONG, "a line of more than", "a.csv, line 4"),
        ("a.csv", LONG.removesuffix(b"\n"), "a line of more than", "a.csv, line 4"),
        ("a.csv.gz", gzip.compress(LONG, 1), "a line of more than", "a.csv.gz, line 4"),
        ("a.csv", MONTH + b"\0" * 20_000_000, "a NUL byte", "a.csv, line 4"),
        ("a.csv", MONTH + b"\0", "a NUL byte", "a.csv, line 4"),
        ("a.csv", MONTH.replace(b"shop-prod", b"shop\0prod", 1), "a NUL byte", "a.csv, line 2"),
        ("a.csv.gz", bad_checksum(gzip.compress(MONTH)), "damaged or not whole", "a.csv.gz"),
        ("a.csv.gz", gzip.compress(MONTH)[:-9], "damaged or not whole", "a.csv.gz"),
        ("a.csv.gz", gzip.compress(MONTH) + gzip.compress(MONTH)[:20], "damaged or not whole", "a.csv.gz"),
        ("a.csv.zst", pa.compress(MONTH * 99, codec="zstd", asbytes=True)[:-9], "damaged or not whole", "a.csv.zst"),
        ("a.csv", b"x" * 3_000_000, "a line of more than", "a.csv, line 1"),
        ("a.csv", b"a," * 100_000 + b"b\n", "100,001 columns", "a.csv, line 1"),
        ("a.csv.bz2", b"BZh9", "packed with bz2", "a.csv.bz2"),
        ("a.csv.xz", b"\xfd7zXZ", "packed with xz", "a.csv.xz"),
    ],
)
def test_a_file_that_an_engine_may_read_in_part_is_refused(
    tmp_path: Path, name: str, data: bytes, says: str, where: str
) -> None:
    write_rows(tmp_path / "good.csv", [ROW])
    (tmp_path / name).write_bytes(data)
    error = error_of(tmp_path)
    assert says in error.what
    assert error.where == str(tmp_path / where)


def test_lines_that_the_engine_does_not_give_are_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the reason: here its reader is given other options."""
    (tmp_path / "a.csv").write_bytes(text(1, 2, 3))
    monkeypatch.setattr(
        "finops_assets.adapters.local.bill_source.CSV_OPTIONS",
        "header=true, auto_detect=false, delim=',', quote='\"', escape='\"', skip=1",
    )
    error = error_of(tmp_path)
    assert error.what == "has 3 line(s), of which 2 can be read"
    assert error.where == str(tmp_path / "a.csv")


ODD = {
    "quoted line ends": ('a,b\n"1\n2",3\n4,"5""\n"""\n', 2),
    "blank lines": ("a,b\n\n1,2\n\n\n3,4\n\n", 2),
    "blank lines within quotes": ('a,b\n"\n\n",2\n3,4\n', 2),
    "CRLF": ("a,b\r\n1,2\r\n\r\n3,4\r\n", 2),
    "CR": ("a,b\r1,2\r3,4\r", 2),
    "no end": ("a,b\n1,2\n3,4", 2),
    "no end after CRLF": ("a,b\r\n1,2\r\n3,4\r\n\r", 2),
    "a header alone": ("a,b\n", 0),
    "a header without an end": ("a,b", 0),
    "BOM": ("\ufeffa,b\n1,2\n", 1),
}


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 1_000])
@pytest.mark.parametrize(("odd", "records"), ODD.values(), ids=ODD)
def test_records_are_counted_wherever_a_piece_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: str, records: int, piece: int
) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(odd.encode())
    monkeypatch.setattr(bill_bytes, "PIECE", piece)
    data = DataFile(file, file)
    assert csv_contents([data], 1)[data].records == records


def test_a_quote_within_a_value_is_no_loss(tmp_path: Path) -> None:
    """The fast count takes it for one that opens; the exact one decides."""
    (tmp_path / "a.csv").write_bytes(text(1, 2).replace(b"shop-prod", b'19" rack', 1))
    assert source_day(tmp_path / "a.csv").total == 3
    assert exact_records(DataFile(tmp_path / "a.csv", tmp_path / "a.csv")) == 2


def test_gzip_members_and_zstd_are_read_to_the_end(tmp_path: Path) -> None:
    head, *lines = text(1, 2, 4).splitlines(keepends=True)
    (tmp_path / "a.csv.gz").write_bytes(b"".join(map(gzip.compress, (head, *lines))))
    (tmp_path / "B.CSV.ZST").write_bytes(pa.compress(text(8), codec="zstd", asbytes=True))
    assert source_day(tmp_path).total == 15


# --- zip ----------------------------------------------------------------------------------------------------------


def zipped(file: Path, members: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w", how) as packed:
        for name, data in members.items():
            packed.writestr(name, data)
    return file


@pytest.mark.parametrize("how", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_all_csv_members_of_a_zip_are_read(tmp_path: Path, how: int) -> None:
    """Their names are no paths, and what is no data is left alone."""
    members = {"x-00001.csv": text(1), "../../x-00002.CSV": text(2), "./x-00003.csv": text(4)}
    members |= {"__MACOSX/._x-00001.csv": b"\0", "README.txt": b"text", "folder/": b""}
    zipped(tmp_path / "bill" / "x.csv.zip", members, how)
    warehouse = open_bill(tmp_path / "bill")
    assert source_day(tmp_path / "bill").total == 7
    assert sum(total.lines for total in warehouse.control_totals()) == 3
    [folder] = (tmp_path / "spill").iterdir()
    warehouse.close()
    del warehouse
    assert not folder.exists()


def test_a_zip_in_a_periods_folder_is_of_that_period(tmp_path: Path) -> None:
    zipped(tmp_path / "BILLING_PERIOD=2025-09" / "x-00001.csv.zip", {"x-00001.csv": text(1)})
    assert {total.period for total in open_bill(tmp_path).control_totals()} == {"2025-09"}


def test_a_fault_in_a_zip_names_the_member_and_its_line(tmp_path: Path) -> None:
    zipped(tmp_path / "x.csv.zip", {"x.csv": text(1, 2).replace(b"\n2,", b"\nabc,")})
    error = error_of_day(tmp_path)
    assert error.where == f"{tmp_path}/x.csv.zip/x.csv, line 3, column BilledCost"


def error_of_day(root: Path) -> BillError:
    with pytest.raises(BillError) as error:
        source_day(root)
    return error.value


def spoilt(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def make(file: Path) -> None:
        zipped(file, {"x.csv": text(1)})
        file.write_bytes(change(file.read_bytes()))

    return make


def overlapping(file: Path) -> None:
    """As zip bombs are: many members that are the same bytes."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("x.csv", text(1))
        first = packed.infolist()[0]
        for number in range(50):
            member = zipfile.ZipInfo(f"{number}.csv")
            member.compress_type, member.CRC, member.header_offset = first.compress_type, first.CRC, 0
            member.compress_size, member.file_size = 9 * first.compress_size, first.file_size
            packed.filelist.append(member)
            packed.NameToInfo[member.filename] = member


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda file: zipped(file, {"x.csv": text(1), "y.parquet": b"PAR1"}), "holds y.parquet, which is not read"),
        (lambda file: zipped(file, {"x.csv": text(1), "y.csv.gz": b"\x1f\x8b"}), "holds y.csv.gz, which is not read"),
        (lambda file: zipped(file, {"x.csv": text(1)}, zipfile.ZIP_LZMA), "holds x.csv packed with method 14"),
        (lambda file: zipped(file, {"notes.txt": b"text"}), "holds no .csv file"),
        (lambda file: zipped(file, {"x.csv": text(1), "y.csv": text(1)}), "has the same lines"),
        (lambda file: file.write_bytes(b""), "is damaged or not whole"),
        (spoilt(lambda data: data[: len(data) // 2]), "is damaged or not whole"),
        (spoilt(lambda data: data.replace(b"PK\1\2", b"PK\1\3")), "is damaged or not whole"),
        (spoilt(lambda data: data[:60] + bytes(9) + data[69:]), "is damaged or not whole"),
        (overlapping, "is damaged or not whole"),
    ],
    ids=["Parquet", "gzip", "method", "no CSV", "twice", "empty", "cut", "list", "bytes", "bomb"],
)
def test_a_zip_that_is_not_read_whole_is_refused_by_name(tmp_path: Path, make: Callable, says: str) -> None:
    (tmp_path / "bill").mkdir()
    make(tmp_path / "bill" / "x.csv.zip")
    error = error_of(tmp_path / "bill")
    assert says in error.what
    assert error.where.startswith(f"{tmp_path}/bill/x.csv.zip")
