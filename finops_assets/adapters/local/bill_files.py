"""Which files are the bill: one file, a folder, or an export's own layout with its manifests.

Only names, sizes and manifests are looked at here; what is in the files is the warehouse's business.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from finops_assets.core.bill import layout as bill_layout
from finops_assets.core.errors import BillError, SettingsError
from finops_assets.core.values import PassedOver

PARQUET = (".parquet", ".parq", ".pq")
CSV = (".csv", ".csv.gz", ".csv.zip", ".csv.zst", ".csv.bz2", ".csv.xz")

TIMED_FOLDER = re.compile(r"\d{4}-?\d{2}-?\d{2}T")
"""A version's folder that is named after the time of its delivery."""

NOT_THE_BILL = "cost_and_usage_data_status"
"""A legacy CUR with Athena integration keeps a small table of its own state beside the bill."""

NO_MANIFEST = "RedshiftManifest.json"
"""A legacy CUR with Redshift integration has another list of the same files for Redshift's COPY."""

PARQUET_BEGINS = b"PAR1"


@dataclass(frozen=True)
class BillFiles:
    """The files of the bill, all Parquet or all CSV; an id that changes when any does; the newest one's time.

    `in_place` are files of which no manifest says that they are whole; `periods` and `passed_over` are those of
    ExportVersion.
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

    def period_of(self, file: Path) -> str:
        """The billing period in whose folder a file of the bill lies; the root may be such a folder itself."""
        return bill_layout.period_of(_path(self.root, file))


def find_bill(path: str) -> BillFiles:
    """The files that make up the bill at `path`.

    A manifest decides what belongs to its billing period: an export that keeps older versions beside the newest one
    would otherwise be counted twice.

    Raises:
        SettingsError: no path is set, or nothing is there.
        BillError: it cannot be read; no data files, or of two kinds; two exports; a manifest that cannot be read,
            or names a file that is missing or cannot be read; several versions of a period, and no manifest that says
            which is current.
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
    files, in_place, passed_over = ([root], True, ()) if root.is_file() else _files_below(root)
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
        in_place=in_place,
        periods=bill_layout.period_ids((_path(root, f), f"{s.st_size} {s.st_mtime_ns}") for f, s in stats),
        passed_over=passed_over,
    )


@dataclass(frozen=True)
class _ExportFile:
    """A file and its place in an export.

    Attributes:
        period: `2025-09`, or empty outside of a billing period's folder.
        tail: the path from that folder on, the same in a bucket and in a copy of it.
        versioned: the layout may hold older versions of the period beside the current one.
    """

    file: Path
    export: str
    period: str
    tail: str
    versioned: bool


def _path(root: Path, file: Path) -> str:
    """A file's path from the root's own name on, as `core.bill.layout` expects it."""
    return f"{root.absolute().name}/{file.relative_to(root).as_posix()}"


@dataclass
class _Listing:
    """The files in a folder by billing period: manifests, data, and those that may be data and cannot be read.

    `ignored` are files and links in hidden and linked folders, each with the reason.
    """

    manifests: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    data: dict[str, list[_ExportFile]] = field(default_factory=lambda: defaultdict(list))
    unread: dict[str, list[_ExportFile]] = field(default_factory=lambda: defaultdict(list))
    ignored: list[tuple[str, Path]] = field(default_factory=list)


def _listing(root: Path) -> _Listing:
    listing = _Listing()
    for file in root.rglob("*"):
        path = file.relative_to(root).as_posix()
        if NOT_THE_BILL in file.relative_to(root).parts:
            continue
        hidden = bill_layout.is_hidden(path)
        if not file.is_file():
            if not hidden and file.is_symlink() and file.is_dir():
                listing.ignored.append((bill_layout.LINKED, file))
            continue
        if hidden:
            if bill_layout.may_be_data(path):
                listing.ignored.append((bill_layout.HIDDEN, file))
            continue
        placed = _ExportFile(file, *bill_layout.place(_path(root, file)))
        if file.name.endswith("anifest.json"):
            if not file.name.endswith(NO_MANIFEST):
                listing.manifests[placed.period].append(file)
        elif file.name.lower().endswith(PARQUET + CSV):
            listing.data[placed.period].append(placed)
        elif bill_layout.may_be_data(path) or _is_nameless_parquet(file):
            listing.unread[placed.period].append(placed)
    return listing


def _is_nameless_parquet(file: Path) -> bool:
    """Whether a file without a suffix begins as Parquet does: Athena's UNLOAD writes such files."""
    if file.suffix:
        return False
    try:
        with file.open("rb") as data:
            return data.read(len(PARQUET_BEGINS)) == PARQUET_BEGINS
    except PermissionError:  # it is no reason to refuse the bill beside it
        return False


def _files_below(root: Path) -> tuple[list[Path], bool, tuple[PassedOver, ...]]:
    """The bill's files in a folder, whether there are some that no manifest names, and what is not read."""
    listing = _listing(root)
    chosen: list[_ExportFile] = []
    passed_over = listing.ignored
    passed_over += [(bill_layout.UNREAD, placed.file) for files in listing.unread.values() for placed in files]
    in_place = False
    for period in sorted({*listing.data, *listing.manifests}):
        files, manifests = listing.data.get(period, []), listing.manifests.get(period, [])
        if period and manifests:
            _refuse_two_exports(root, files)
            named = _named_by_manifest(_newest(manifests), period, files, listing.unread.get(period, []))
            chosen += named
            kept = {placed.file for placed in named}
            passed_over += [(bill_layout.OLDER, placed.file) for placed in files if placed.file not in kept]
        elif files:
            _refuse_two_versions(period, [placed for placed in files if placed.versioned])
            chosen += files
            in_place = True
    _refuse_two_exports(root, [placed for placed in chosen if placed.versioned])
    return [placed.file for placed in chosen], in_place, bill_layout.grouped(_sized(root, passed_over))


def _sized(root: Path, files: list[tuple[str, Path]]) -> Iterator[tuple[str, str, int]]:
    for reason, file in files:
        yield reason, file.relative_to(root).as_posix(), 0 if file.is_dir() else file.stat().st_size


def _refuse_two_exports(root: Path, files: list[_ExportFile]) -> None:
    exports = sorted({placed.export for placed in files})
    if len(exports) > 1:
        raise BillError(
            f"holds {len(exports)} exports, {exports[0]} and {exports[1]}: charges that are in both would count twice",
            where=str(root),
            fix="Point bill.path at one of them.",
        )


def _newest(manifests: list[Path]) -> Path:
    # Legacy CUR keeps a copy of the manifest in each version's folder; the one nearest the period is the current one.
    nearest = min(len(manifest.parts) for manifest in manifests)
    return max(
        (manifest for manifest in manifests if len(manifest.parts) == nearest),
        key=lambda m: (m.parent.name if TIMED_FOLDER.match(m.parent.name) else "", m.stat().st_mtime_ns),
    )


def _named_by_manifest(
    manifest: Path, period: str, files: list[_ExportFile], unread: list[_ExportFile]
) -> list[_ExportFile]:
    """The files of a billing period that its manifest names, all of them.

    Args:
        manifest: the period's current one.
        period: `2025-09`.
        files: the data files in the period's folder.
        unread: files there that may be data and cannot be read.
    """
    keys = _keys(manifest)
    if not keys and files:
        raise BillError(
            "names no data files (neither dataFiles nor reportKeys)", where=str(manifest), fix="Copy the export again."
        )
    here, packed = ({placed.tail: placed for placed in some} for some in (files, unread))
    wanted = {bill_layout.place(key)[2]: key for key in keys}
    by_tail = {tail: here.get(tail) or here.get(_unpacked(tail)) for tail in wanted}
    missing = [tail for tail in wanted if not by_tail[tail]]
    if missing:
        first = next((tail for tail in missing if tail in packed), None)
        if first is not None:
            raise BillError(
                f"names {len(missing)} data file(s) of {period} that cannot be read, first {wanted[first]}",
                where=str(manifest),
                fix=f"Unpack {packed[first].file.name} in its folder, and the others of its kind.",
            )
        if len(missing) == len(wanted):
            what = f"names the {len(wanted)} data file(s) of {period}, and none of them is there, first"
            fix = ", or, if that month is not wanted, remove its manifest, too."
        else:
            what, fix = f"names {len(missing)} data file(s) of {period} that are not there, first", "."
        raise BillError(
            f"{what} {wanted[missing[0]]}",
            where=str(manifest),
            fix=f"The copy of the export is not whole: copy it again, the manifest last{fix}",
        )
    return list({one.file: one for one in by_tail.values() if one}.values())


def _keys(manifest: Path) -> list[str]:
    """The data files that a manifest names."""
    try:
        content = json.loads(manifest.read_text(encoding="utf-8-sig"))
        keys = content.get("dataFiles") or content.get("reportKeys") or []
        return [k if isinstance(k, str) else k.get("key") or k.get("uri") or k["path"] for k in keys]
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise BillError(
            f"is not a manifest that can be read ({error})", where=str(manifest), fix="Copy the export again."
        ) from None


def _unpacked(tail: str) -> str:
    """The name of a file after somebody has unpacked it in its folder."""
    return tail.removesuffix(".zip").removesuffix(".gz")


def _refuse_two_versions(period: str, files: list[_ExportFile]) -> None:
    folders = sorted({placed.file.parent for placed in files})
    if len(folders) > 1:
        raise BillError(
            f"holds {len(folders)} versions of {period} and no manifest that says which is current: "
            f"{folders[0].name}, {folders[1].name}",
            where=str(folders[0].parent),
            fix="Point bill.path at the export's own folder, with its manifests, or keep the newest version only.",
        )
