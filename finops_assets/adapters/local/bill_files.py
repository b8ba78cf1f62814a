"""Which files are the bill: one file, a folder, or an export's own layout with its manifests.

Only names, sizes and manifests are looked at here; what is in the files is the warehouse's business.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from finops_assets.core.errors import BillError, SettingsError

PARQUET = (".parquet",)
CSV = (".csv", ".csv.gz")
PERIOD_FOLDER = re.compile(r"(?:BILLING_PERIOD=\d{4}-\d{2}|\d{8}-\d{8})")
"""Data Exports' `BILLING_PERIOD=2025-09`, legacy CUR's `20250901-20251001`."""


@dataclass(frozen=True)
class BillFiles:
    """The files of the bill, all Parquet or all CSV, and an id that changes whenever any of them does."""

    root: Path
    files: tuple[Path, ...]
    parquet: bool
    size_bytes: int
    snapshot: str


def find_bill(path: str) -> BillFiles:
    """The files that make up the bill at `path`.

    A manifest decides what belongs to its billing period: an export that keeps older versions beside the newest one
    would otherwise be counted twice.

    Raises:
        SettingsError: no path is set, or nothing is there.
        BillError: no data files, two kinds of files, a file of a manifest that is missing, or several versions of a
            billing period without a manifest that says which one is current.
    """
    if not path:
        raise SettingsError(
            "the bill is not set",
            where="bill.path (FINOPS_BILL__PATH)",
            fix="Set it to your bill's file or folder, or run `finops demo` for the sample bill.",
        )
    root = Path(path)
    if not root.exists():
        raise SettingsError(
            f"there is no such file or folder: {path}",
            where="bill.path (FINOPS_BILL__PATH)",
            fix="Set it to your bill's file or folder.",
        )
    files = [root] if root.is_file() else _files_below(root)
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
    )


def _files_below(root: Path) -> list[Path]:
    everything = [
        f
        for f in root.rglob("*")
        if f.is_file() and not any(p.startswith((".", "_")) for p in f.relative_to(root).parts)
    ]
    manifests: dict[str, list[Path]] = defaultdict(list)
    data: dict[str, list[Path]] = defaultdict(list)
    for file in everything:
        found = PERIOD_FOLDER.findall("/".join(file.relative_to(root).parts[:-1]))
        period = found[-1] if found else ""
        if file.name.endswith("anifest.json"):
            manifests[period].append(file)
        elif file.name.lower().endswith(PARQUET + CSV):
            data[period].append(file)
    chosen: list[Path] = []
    for period, files in data.items():
        if period and manifests[period]:
            chosen += _named_by_manifest(_newest(manifests[period]), files, period)
        else:
            chosen += _only_version(files, period)
    return chosen


def _newest(manifests: list[Path]) -> Path:
    # Legacy CUR keeps a copy of the manifest in each assembly's folder; the one nearest the period is the current one.
    return min(manifests, key=lambda m: (len(m.parts), -m.stat().st_mtime_ns))


def _named_by_manifest(manifest: Path, files: list[Path], period: str) -> list[Path]:
    try:
        content = json.loads(manifest.read_text(encoding="utf-8"))
        keys = content.get("dataFiles") or content.get("reportKeys") or []
        keys = [k if isinstance(k, str) else k.get("key") or k.get("uri") or k["path"] for k in keys]
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise BillError(
            f"is not a manifest that can be read: {error}", where=str(manifest), fix="Copy the export again."
        ) from None
    if not keys:
        raise BillError(
            "names no data files (neither dataFiles nor reportKeys)", where=str(manifest), fix="Copy the export again."
        )
    here = {_from_period(str(f), period): f for f in files}
    wanted = [_from_period(k, period) for k in keys]
    missing = [k for k, w in zip(keys, wanted, strict=True) if w not in here]
    if missing:
        raise BillError(
            f"names {len(missing)} data file(s) that are not there, first {missing[0]}",
            where=str(manifest),
            fix="The copy of the export is not whole: copy it again, the manifest last.",
        )
    return [here[w] for w in wanted]


def _from_period(path: str, period: str) -> str:
    """The part of a path from its billing period on: the same in a bucket and in a copy of it."""
    return path.replace("\\", "/").rpartition(period)[2].lstrip("/")


def _only_version(files: list[Path], period: str) -> list[Path]:
    if period:
        folders = sorted({f.parent for f in files})
        if len(folders) > 1:
            raise BillError(
                f"holds {len(folders)} versions of {period} and no manifest that says which is current: "
                f"{folders[0].name}, {folders[1].name}",
                where=str(folders[0].parent),
                fix="Copy the export's manifests too, or keep the newest version only.",
            )
    return files
