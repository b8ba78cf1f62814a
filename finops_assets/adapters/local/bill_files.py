"""The bill's files on this machine: one file, or a folder that is listed. `core.bill.file_choice` decides which count.

Only names, sizes and manifests are looked at here; what is in the files is the warehouse's business.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from finops_assets.adapters.local.folder_walk import WalkedFile, walk
from finops_assets.core.bill import layout as bill_layout
from finops_assets.core.bill.file_choice import ChosenFile, FileChoice, ListedFile, Listing, choose_files
from finops_assets.core.errors import BillError, SettingsError
from finops_assets.core.values import PassedOver

PARQUET = (".parquet", ".parq", ".pq")
CSV = (".csv", ".csv.gz", ".csv.zip", ".csv.zst", ".csv.bz2", ".csv.xz")

PARQUET_BEGINS = b"PAR1"


@dataclass(frozen=True)
class BillFiles:
    """The files of the bill, all Parquet or all CSV; an id that changes when any does; the newest one's time.

    `in_place` are files of which no manifest says that they are whole; `periods` and `passed_over` are those of
    ExportVersion, `deliveries` and `shared` those of FileChoice. `exports` has the export of each file that is in one.
    """

    root: Path
    files: tuple[Path, ...]
    parquet: bool
    size_bytes: int
    snapshot: str
    updated: datetime
    in_place: bool
    periods: Mapping[str, str] = field(default_factory=dict)
    passed_over: tuple[PassedOver, ...] = ()
    deliveries: Mapping[str, str] = field(default_factory=dict)
    shared: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    exports: Mapping[Path, str] = field(default_factory=dict)

    def period_of(self, file: Path) -> str:
        """The billing period in whose folder a file of the bill lies; the root may be such a folder itself."""
        return bill_layout.period_of(_path(self.root, file))


def find_bill(path: str) -> BillFiles:
    """The files that make up the bill at `path`.

    A manifest decides what belongs to its billing period: an export that keeps older versions beside the newest one
    would otherwise be counted twice.

    Raises:
        SettingsError: no path is set, or nothing is there.
        BillError: it cannot be read; no data files, or of two kinds; what `choose_files` refuses.
    """
    if not path:
        raise SettingsError(
            "the bill is not set",
            where="bill.path (FINOPS_BILL__PATH)",
            fix="Set it to your bill's file or folder, or run `finops demo` for the sample bill.",
        )
    try:
        return _find(path, Path(path).expanduser())
    except OSError as error:
        raise BillError(
            f"cannot be looked at ({error.strerror})", where=path, fix="Check bill.path and its permissions."
        ) from None


def _find(path: str, root: Path) -> BillFiles:
    if not root.exists():
        raise SettingsError(
            f"there is no such file or folder on this machine: {path}",
            where="bill.path (FINOPS_BILL__PATH)",
            fix="Set it to your bill's file or folder.",
        )
    choice, path_of = _one_file(root) if root.is_file() else _files_below(root)
    files = {path_of[chosen.path]: chosen for chosen in choice.files}
    parquet = [f for f in files if f.name.lower().endswith(PARQUET)]
    csv = [f for f in files if f.name.lower().endswith(CSV)]
    if parquet and csv:
        raise BillError(
            f"holds both Parquet and CSV files, such as {parquet[0].name} and {csv[0].name}",
            where=str(root),
            fix="Point bill.path at the folder of one of them.",
        )
    chosen = parquet or csv
    if not chosen:
        raise BillError(
            "holds no bill: no .parquet, .csv or .csv.gz file",
            where=str(root),
            fix="Point bill.path at the export's folder, or unpack the files first.",
        )
    stats = [(f, f.stat()) for f in sorted(chosen)]
    facts = [(str(f.relative_to(root)), s.st_size, s.st_mtime_ns) for f, s in stats]
    return BillFiles(
        root=root,
        files=tuple(f for f, _ in stats),
        parquet=bool(parquet),
        size_bytes=sum(s.st_size for _, s in stats),
        snapshot=hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16],
        updated=datetime.fromtimestamp(max(s.st_mtime for _, s in stats), UTC),
        in_place=choice.in_place,
        periods=bill_layout.period_ids((_path(root, f), f"{s.st_size} {s.st_mtime_ns}") for f, s in stats),
        passed_over=choice.passed_over,
        deliveries=choice.deliveries,
        shared=choice.shared,
        exports={f: files[f].export for f, _ in stats if files[f].export},
    )


def _path(root: Path, file: Path) -> str:
    """A file's path from the root's own name on, as `core.bill.layout` expects it."""
    return f"{root.absolute().name}/{file.relative_to(root).as_posix()}"


def _one_file(root: Path) -> tuple[FileChoice, Mapping[str, Path]]:
    return FileChoice((ChosenFile(ListedFile(root.name)),)), {root.name: root}


def _files_below(root: Path) -> tuple[FileChoice, Mapping[str, Path]]:
    """The bill's files in a folder, and where each path of the listing is."""
    walked = list(walk(root))
    path_of = {_path(root, each.path): each.path for each in walked}

    def below(path: str) -> str:
        return path_of[path].relative_to(root).as_posix()

    listing = Listing(
        root=str(root),
        files=[_listed(root, each) for each in walked],
        read=lambda path: path_of[path].read_bytes(),
        where=lambda path: str(path_of.get(path) or root.absolute().parent / path),
        shown=below,
    )
    return choose_files(listing), path_of


def _listed(root: Path, each: WalkedFile) -> ListedFile:
    path = _path(root, each.path)
    hidden = bill_layout.HIDDEN if bill_layout.is_hidden(each.path.relative_to(root).as_posix()) else ""
    if each.reason:
        return ListedFile(path, reason=hidden or each.reason)
    stat = each.path.stat()
    return ListedFile(
        path,
        stat.st_size,
        f"{stat.st_size} {stat.st_mtime_ns}",
        datetime.fromtimestamp(stat.st_mtime, UTC),
        _kind(each.path, path),
        hidden,
    )


def _kind(file: Path, path: str) -> Literal["data", "unread", "other"]:
    if file.name.lower().endswith(PARQUET + CSV):
        return "data"
    return "unread" if bill_layout.may_be_data(path) or _is_nameless_parquet(file) else "other"


def _is_nameless_parquet(file: Path) -> bool:
    """Whether a file without a suffix begins as Parquet does: Athena's UNLOAD writes such files."""
    if file.suffix:
        return False
    try:
        with file.open("rb") as data:
            return data.read(len(PARQUET_BEGINS)) == PARQUET_BEGINS
    except PermissionError:  # it is no reason to refuse the bill beside it
        return False
