"""What must be true of the contents of a bill's files before an engine reads them, and that they stay as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from finops_assets.adapters.local.bill_bytes import DataFile
from finops_assets.adapters.local.bill_csv import csv_rows
from finops_assets.adapters.local.bill_files import BillFiles
from finops_assets.adapters.local.csv_contents import CsvContents, csv_contents
from finops_assets.adapters.local.parquet_contents import has_lines, refuse_spoilt_parquet
from finops_assets.adapters.local.same_content import refuse_links, refuse_same_bytes, refuse_same_text
from finops_assets.core.errors import BeingWrittenError, BillError

Look = Mapping[Path, tuple[int, ...] | None]


class BillContents:
    """Looks into the files of a bill, and into a CSV file once for as long as it stays as it is.

    Args:
        threads: files that are read at once, 0 for one a core.
    """

    def __init__(self, threads: int = 0) -> None:
        self._threads = threads
        self._known: dict[tuple, CsvContents] = {}

    def refuse_same_files(self, files: BillFiles) -> None:
        """Refuse files that are not whole Parquet, and any that is there twice.

        What manifests name counts as they say, so that only links are refused there.

        Raises:
            BillError: it names the files.
        """
        if files.parquet:
            refuse_spoilt_parquet(files.files)
        refuse_links(files.files)
        if files.in_place:
            refuse_same_bytes(files.files, has_lines if files.parquet else _has_csv_lines)

    def csv_lines(self, files: Sequence[DataFile], *, in_place: bool) -> dict[DataFile, int]:
        """How many lines each CSV file has, without its header.

        Args:
            files: of the bill.
            in_place: whether there are some that no manifest names.

        Raises:
            BillError: one is damaged, not text, has a line without end, or the same lines as another.
        """
        keys = {data: (data.file, data.member, *(_seen(data.file) or ())) for data in files}
        new = [data for data in files if keys[data] not in self._known]
        read = csv_contents(new, self._threads)
        contents = {data: read[data] if data in read else self._known[keys[data]] for data in files}
        self._known = {keys[data]: of for data, of in contents.items()}
        if in_place:
            refuse_same_text(contents)
        return {data: of.records for data, of in contents.items()}


def _has_csv_lines(file: Path) -> bool:
    """Whether there are lines below the header; what is packed is taken to have some."""
    if file.suffix.lower() not in (".csv", ".gz", ".zst"):
        return True
    rows = csv_rows(DataFile(file, file))
    next(rows, None)
    return any(row for _, row in rows)


@contextmanager
def left_alone(files: Sequence[Path]) -> Iterator[None]:
    """Refuse what was read, or an error in it, when a file was changed while it was read.

    Raises:
        BeingWrittenError: it was.
    """
    before = _look(files)
    try:
        yield
    except BillError:
        _refuse_changed(before)
        raise
    _refuse_changed(before)


def last_change(files: Sequence[Path]) -> datetime:
    """When the newest of the files was last written, renamed or given another time (UTC).

    A copy that keeps times (`cp -p`, `rsync -t`, `tar x`) shows in this alone.
    """
    stats = [file.stat() for file in files]
    return datetime.fromtimestamp(max(max(stat.st_mtime, stat.st_ctime) for stat in stats), UTC)


def _refuse_changed(before: Look) -> None:
    after = _look(list(before))
    for file, seen in before.items():
        if after[file] != seen:
            raise BeingWrittenError(
                "was changed while it was read",
                where=str(file),
                fix="Run it again when the bill is copied to its end.",
            )


def _look(files: Sequence[Path]) -> Look:
    return {file: _seen(file) for file in files}


def _seen(file: Path) -> tuple[int, ...] | None:
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns, stat.st_ino
