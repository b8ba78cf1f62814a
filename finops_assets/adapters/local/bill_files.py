"""Which files are the bill: one file, a folder, or an export's own layout with its manifests.

Only names, sizes and manifests are looked at here; what is in the files is the warehouse's business.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from finops_assets.core.control_totals import PERIOD_FOLDER, period_of_path
from finops_assets.core.errors import BillError, SettingsError

PARQUET = (".parquet",)
CSV = (".csv", ".csv.gz")
TIMED_FOLDER = re.compile(r"\d{4}-?\d{2}-?\d{2}T")
"""A version's folder that is named after the time of its delivery."""

NOT_THE_BILL = "cost_and_usage_data_status"
"""A legacy CUR with Athena integration keeps a small table of its own state beside the bill."""


@dataclass(frozen=True)
class BillFiles:
    """The files of the bill, all Parquet or all CSV; an id that changes when any does; the newest one's time.

    `in_place` are files of which no manifest says that they are whole. `periods` has an id of each billing period's
    files, and of those that lie in no period's folder under the empty name.
    """

    root: Path
    files: tuple[Path, ...]
    parquet: bool
    size_bytes: int
    snapshot: str
    updated: datetime
    in_place: bool
    periods: Mapping[str, str]


def find_bill(path: str) -> BillFiles:
    """The files that make up the bill at `path`.

    A manifest decides what belongs to its billing period: an export that keeps older versions beside the newest one
    would otherwise be counted twice.

    Raises:
        SettingsError: no path is set, or nothing is there.
        BillError: it cannot be looked at; no data files, or of two kinds; two exports; a manifest that cannot be read,
            or names a file that is missing; several versions of a period, and no manifest that says which is current.
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
    files, in_place = ([root], True) if root.is_file() else _files_below(root)
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
        periods=_periods(root, facts),
    )


def _periods(root: Path, facts: list[tuple[str, int, int]]) -> dict[str, str]:
    of: dict[str, list[tuple[str, int, int]]] = defaultdict(list)
    for fact in facts:
        of[period_of_path(f"{root.absolute().name}/{Path(fact[0]).as_posix()}")].append(fact)
    return {period: hashlib.sha256(json.dumps(files).encode()).hexdigest()[:16] for period, files in of.items()}


@dataclass(frozen=True)
class _Found:
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


def _files_below(root: Path) -> tuple[list[Path], bool]:
    """The bill's files in a folder, and whether there are some that no manifest names."""
    manifests: dict[str, list[Path]] = defaultdict(list)
    data: dict[str, list[_Found]] = defaultdict(list)
    for file in root.rglob("*"):
        parts = file.relative_to(root).parts
        if any(part.startswith((".", "_")) for part in parts) or NOT_THE_BILL in parts or not file.is_file():
            continue
        # The root may be a billing period's folder itself.
        found = _Found(file, *_place(f"{root.absolute().name}/{file.relative_to(root).as_posix()}"))
        if file.name.endswith("anifest.json"):
            manifests[found.period].append(file)
        elif file.name.lower().endswith(PARQUET + CSV):
            data[found.period].append(found)
    chosen: list[_Found] = []
    in_place = False
    for period, files in data.items():
        if period and manifests[period]:
            _refuse_two_exports(root, files)
            chosen += _named_by_manifest(_newest(manifests[period]), files)
        else:
            _refuse_two_versions(period, [found for found in files if found.versioned])
            chosen += files
            in_place = True
    _refuse_two_exports(root, [found for found in chosen if found.versioned])
    return [found.file for found in chosen], in_place


def _place(path: str) -> tuple[str, str, str, bool]:
    """Export, billing period, tail and versioned of a path."""
    matches = list(PERIOD_FOLDER.finditer(path))
    if not matches:
        return "", "", path, False
    last = matches[-1]
    year, month = (group for group in last.groups() if group)
    export, tail = path[: last.start()].removesuffix("/data"), path[last.end() :].lstrip("/")
    return export, f"{year}-{int(month):02d}", tail, not last.group(0).lstrip("/").startswith("year=")


def _refuse_two_exports(root: Path, files: list[_Found]) -> None:
    exports = sorted({found.export for found in files})
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


def _named_by_manifest(manifest: Path, files: list[_Found]) -> list[_Found]:
    try:
        content = json.loads(manifest.read_text(encoding="utf-8-sig"))
        keys = content.get("dataFiles") or content.get("reportKeys") or []
        keys = [k if isinstance(k, str) else k.get("key") or k.get("uri") or k["path"] for k in keys]
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise BillError(
            f"is not a manifest that can be read ({error})", where=str(manifest), fix="Copy the export again."
        ) from None
    if not keys:
        raise BillError(
            "names no data files (neither dataFiles nor reportKeys)", where=str(manifest), fix="Copy the export again."
        )
    here = {found.tail: found for found in files}
    wanted = {_place(key)[2]: key for key in keys}
    missing = [key for tail, key in wanted.items() if tail not in here]
    if missing:
        raise BillError(
            f"names {len(missing)} data file(s) that are not there, first {missing[0]}",
            where=str(manifest),
            fix="The copy of the export is not whole: copy it again, the manifest last.",
        )
    return [here[tail] for tail in wanted]


def _refuse_two_versions(period: str, files: list[_Found]) -> None:
    folders = sorted({found.file.parent for found in files})
    if len(folders) > 1:
        raise BillError(
            f"holds {len(folders)} versions of {period} and no manifest that says which is current: "
            f"{folders[0].name}, {folders[1].name}",
            where=str(folders[0].parent),
            fix="Point bill.path at the export's own folder, with its manifests, or keep the newest version only.",
        )
