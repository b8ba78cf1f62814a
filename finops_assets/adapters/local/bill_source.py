"""The bill's files as one DuckDB relation, with the columns as they are named there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from finops_assets.adapters.local.bill_bytes import DataFile
from finops_assets.adapters.local.bill_csv import LONGEST_LINE, csv_rows
from finops_assets.adapters.local.bill_files import BillFiles
from finops_assets.adapters.local.csv_contents import refuse_endless_header
from finops_assets.adapters.local.zip_members import ENDING as ZIP
from finops_assets.adapters.local.zip_members import ZipMembers
from finops_assets.adapters.shared.duck import file_literal, sql_literal
from finops_assets.core.bill.recognition import normal_name
from finops_assets.core.errors import BillError

if TYPE_CHECKING:
    import duckdb

FILE_COLUMN = "file_of_the_bill"
"""The column that names each line's file, where it is asked for."""

TEXT = "'VARCHAR'"
PACKINGS = {".gz": "gzip", ".zst": "zstd"}
UNPACKERS = {".bz2": "bunzip2 -k", ".xz": "xz -dk"}
"""The commands that unpack what nothing here reads."""

CSV_BUFFER = 8_388_608
CSV_OPTIONS = (
    "header=true, auto_detect=false, delim=',', quote='\"', escape='\"', "
    "nullstr='NULL', allow_quoted_nulls=false, strict_mode=true, "
    f"max_line_size={LONGEST_LINE}, buffer_size={CSV_BUFFER}"
)
"""RFC 4180 and nothing guessed: every value is text until its column says otherwise; an unquoted NULL is none.

Each file that is being read has a buffer, one a thread, of 16 longest lines unless set: eight gzipped files at once
did not fit in 800 MB. With 8 MB buffers they fit in 300 MB, and reading is a third faster.
"""


class BillSource:
    """Reads the files, all of them or some.

    Args:
        files: of the bill.
        folder: where the members of zips are copied to, if it can be written to; they go with this object.

    Attributes:
        data: the files as they are read, each member of a zip by itself.
        columns: normal name -> name in the files and DuckDB's type; none before `describe`.
        doubled: columns that a file has twice, and where.

    Raises:
        BillError: a file is packed as nothing here reads it, or not whole; a CSV file has no header, or is not CSV.
    """

    def __init__(self, files: BillFiles, folder: Path) -> None:
        self.files = files
        self.columns: dict[str, tuple[str, str]] = {}
        self.doubled: dict[str, Path] = {}
        self._refuse_packed()
        zips = [file for file in files.files if file.name.lower().endswith(ZIP)]
        self._zips = ZipMembers(zips, folder) if zips else None
        self.data = tuple(data for file in files.files for data in self._data(file))
        self._by_path = {str(data.path): data for data in self.data}
        self._headers = {} if files.parquet else {data: self._read_header(data) for data in self.data}

    def _refuse_packed(self) -> None:
        for file in self.files.files:
            if unpacker := UNPACKERS.get(file.suffix.lower()):
                raise BillError(
                    f"is packed with {file.suffix[1:].lower()}, which is not read",
                    where=str(file),
                    fix=f"Unpack it in its folder (`{unpacker} {file.name}`), and move it elsewhere.",
                )

    def _data(self, file: Path) -> Sequence[DataFile]:
        return self._zips.files.get(file, ()) if self._zips and file in self._zips.files else (DataFile(file, file),)

    def place(self, data: DataFile) -> str:
        """The path of a file below the bill's folder; a zip's members are there apart where it has several."""
        file = data.file.name if data.file == self.files.root else data.file.relative_to(self.files.root).as_posix()
        alone = self._zips is None or len(self._zips.files.get(data.file, ())) < 2
        return file if alone else f"{file}/{data.member}"

    def data_of(self, value: str) -> DataFile:
        """The file that a line's FILE_COLUMN names."""
        return self._by_path.get(value) or DataFile(Path(value), Path(value))

    def sql(self, files: Sequence[DataFile] = (), *, with_file: bool = False) -> str:
        """A SELECT of all lines of these files, or of all files; `with_file` adds FILE_COLUMN."""
        place = f", filename='{FILE_COLUMN}'" if with_file else ""
        chosen = files or self.data
        if self.files.parquet:
            names = ", ".join(file_literal(data.path) for data in chosen)
            # Impala, ClickHouse and older Spark and Hive do not mark text as text: bytes are taken for it, and checked.
            options = f"union_by_name=true, hive_partitioning=false, binary_as_string=true{place}"
            return f"SELECT * FROM read_parquet([{names}], {options})"
        by_header = defaultdict(list)
        for data in chosen:
            by_header[self._headers[data], PACKINGS.get(data.path.suffix.lower(), "none")].append(data.path)
        return " UNION ALL BY NAME ".join(
            f"SELECT * FROM read_csv([{', '.join(map(file_literal, of_header))}], {CSV_OPTIONS}, "
            f"compression='{packing}', "
            f"columns={{{', '.join(f'{sql_literal(column)}: {TEXT}' for column in header)}}}{place})"
            for (header, packing), of_header in by_header.items()
        )

    def describe(self, con: duckdb.DuckDBPyConnection) -> None:
        """Have the engine tell the columns."""
        for name, type_, *_ in con.execute(f"DESCRIBE {self.sql()}").fetchall():
            normal = normal_name(name)
            if normal in self.columns:
                self.doubled[normal] = self.files.root
            self.columns[normal] = (name, type_)

    def _read_header(self, data: DataFile) -> tuple[str, ...]:
        """The header of a CSV file; names that are there twice or missing are made distinct by their position."""
        refuse_endless_header(data)
        _, header = next(csv_rows(data), (0, []))
        if not any(header):
            raise BillError("is empty: it has no header", where=data.name, fix="Copy it from the export again.")
        names: dict[str, str] = {}
        for position, name in enumerate(header, 1):
            normal = normal_name(name)
            if normal in names:
                self.doubled[normal] = data.file
            if not normal or normal in names:
                name = f"{name} ({position})"
            names[normal_name(name)] = name
        return tuple(names.values())

    def refuse_doubled(self, columns: Sequence[str]) -> None:
        """Refuse a bill that has one of these columns twice.

        Raises:
            BillError: it does.
        """
        for name in columns:
            if name in self.doubled:
                raise BillError(
                    f"has the column {self.columns[name][0]} twice",
                    where=str(self.doubled[name]),
                    fix="Export it with one of them.",
                )
