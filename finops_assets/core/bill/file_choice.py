"""Which files are the bill: decided from a listing and the manifests in it, alike on every platform.

A billing period of an export that has a manifest is what its newest one names, all of it and nothing else. Without a
manifest it is every data file of the period, where no version of the period can stand beside another.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import unquote

from finops_assets.core.bill import layout
from finops_assets.core.bill.manifests import Manifest, current_manifest, data_files, is_manifest, read_manifest
from finops_assets.core.bill.table_formats import refuse_table_formats
from finops_assets.core.errors import BillError
from finops_assets.core.values import PassedOver

EPOCH = datetime.fromtimestamp(0, UTC)

SHOWN = 3
"""Names that a message shows of a longer list."""


@dataclass(frozen=True)
class ListedFile:
    """A file of a listing.

    Attributes:
        path: with the names of the folders above it, as far as they are known; `/` between them.
        size: in bytes.
        version: changes when the file is written anew.
        modified: when it was last written (aware, UTC).
        kind: `data` that the platform can read as a bill, `unread` that may be a bill's data and cannot be read, or
            `other`, manifests among them.
        reason: why it is not read, whatever it is; empty where it may be.
    """

    path: str
    size: int = 0
    version: str = ""
    modified: datetime = EPOCH
    kind: Literal["data", "unread", "other"] = "data"
    reason: str = ""


@dataclass(frozen=True)
class Listing:
    """The files of a folder or of a prefix in a bucket.

    Attributes:
        root: how it is named to a person.
        files: all of them, hidden ones and manifests too.
        read: gives a file's bytes, by its path.
        where: how a path is named to a person.
        shown: how a path is named below the root.
        setting: the setting that says where the bill is.
    """

    root: str
    files: Sequence[ListedFile]
    read: Callable[[str], bytes]
    where: Callable[[str], str] = str
    shown: Callable[[str], str] = str
    setting: str = "bill.path"


@dataclass(frozen=True)
class ChosenFile:
    """A file of the bill.

    Attributes:
        listed: the file.
        export: the folder of its export; empty outside of a billing period's folder.
        period: its billing period, `2025-09`; empty outside of such a folder.
        delivery: the id of the delivery that it came with; empty where nothing names one.
        in_manifest: whether a manifest names it.
        of_an_export: whether it lies as AWS delivers: another export of the same month has the same charges. Folders of
            years and months that somebody's own pipeline writes are parts of one bill.
    """

    listed: ListedFile
    export: str = ""
    period: str = ""
    delivery: str = ""
    in_manifest: bool = False
    of_an_export: bool = False

    @property
    def path(self) -> str:
        return self.listed.path


@dataclass(frozen=True)
class FileChoice:
    """The files that are the bill.

    Attributes:
        files: ascending by path.
        passed_over: files beside it that are not read, and why.
    """

    files: tuple[ChosenFile, ...]
    passed_over: tuple[PassedOver, ...] = ()

    @property
    def shared(self) -> dict[str, tuple[str, ...]]:
        """Billing periods that several exports have, and which exports.

        They are right only where each is of another payer (`core.bill.shared_periods`).
        """
        exports: dict[str, set[str]] = defaultdict(set)
        for chosen in self.files:
            if chosen.period and chosen.of_an_export:
                exports[chosen.period].add(chosen.export)
        return {period: tuple(sorted(of)) for period, of in sorted(exports.items()) if len(of) > 1}

    @property
    def in_place(self) -> bool:
        """Whether some files are named by no manifest: nothing says that they are whole."""
        return any(not chosen.in_manifest for chosen in self.files)

    @property
    def deliveries(self) -> dict[str, str]:
        """The delivery of each billing period that has one, by the export's own id; of several exports all of them."""
        ids: dict[str, set[str]] = defaultdict(set)
        for chosen in self.files:
            if chosen.period and chosen.delivery:
                ids[chosen.period].add(chosen.delivery)
        return {period: ", ".join(sorted(of)) for period, of in sorted(ids.items())}


@dataclass(frozen=True)
class _Placed:
    """A file and its place in an export; `tail` is its path from the period's folder on."""

    listed: ListedFile
    export: str
    period: str
    tail: str
    versioned: bool


@dataclass
class _Period:
    """The files of one billing period: data and unread ones by export, manifests by the export that they are of."""

    data: dict[str, list[_Placed]] = field(default_factory=lambda: defaultdict(list))
    unread: dict[str, list[_Placed]] = field(default_factory=lambda: defaultdict(list))
    manifests: list[_Placed] = field(default_factory=list)

    def manifests_by_export(self) -> dict[str, list[ListedFile]]:
        """A manifest is of the export in whose folder it lies, or of the one below it, as in a legacy CUR for Athena;
        one that lies apart is of the only export that has none."""
        of: dict[str, list[ListedFile]] = defaultdict(list)
        exports = {*self.data, *self.unread}
        apart: list[_Placed] = []
        for manifest in self.manifests:
            own = manifest.export
            below = [export for export in exports if export.startswith(f"{own}/")]
            of_its_name = f"{own}/{own.rpartition('/')[2]}"
            if own in exports:
                of[own].append(manifest.listed)
            elif len(below) == 1 or of_its_name in below:
                of[below[0] if len(below) == 1 else of_its_name].append(manifest.listed)
            else:
                apart.append(manifest)
        left = exports - of.keys()
        for manifest in apart:
            of[next(iter(left)) if len(left) == 1 else manifest.export].append(manifest.listed)
        return of


def choose_files(listing: Listing) -> FileChoice:
    """The files that are the bill.

    Raises:
        BillError: a manifest that cannot be read, or names a file that is missing or cannot be read; several versions
            of a period, and no manifest that says which is current; a table of a format whose own log decides.
    """
    refuse_table_formats(
        listing.root, listing.setting, ((f.path, f.kind != "other" and not f.reason) for f in listing.files)
    )
    periods, passed_over = _by_period(listing.files)
    chosen: list[ChosenFile] = []
    for period in sorted(periods):
        here = periods[period]
        of_period, unnamed = _of_period(listing, period, here)
        chosen += of_period
        folders = {_folder_of(one.path) for one in of_period}
        passed_over += [(layout.LEFTOVER if _folder_of(f.path) in folders else layout.OLDER, f) for f in unnamed]
        passed_over += [(layout.UNREAD, placed.listed) for files in here.unread.values() for placed in files]
    return FileChoice(
        tuple(sorted(chosen, key=lambda one: one.path)),
        layout.grouped((reason, listing.shown(listed.path), listed.size) for reason, listed in passed_over),
    )


def _by_period(files: Iterable[ListedFile]) -> tuple[dict[str, _Period], list[tuple[str, ListedFile]]]:
    """The files by billing period, and those that are passed over for what they are themselves."""
    periods: dict[str, _Period] = defaultdict(_Period)
    passed_over: list[tuple[str, ListedFile]] = []
    for listed in files:
        if layout.STATUS_TABLE in listed.path.split("/"):
            continue
        if listed.reason:
            if layout.may_be_data(listed.path) or listed.reason in (layout.LINKED, layout.BROKEN):
                passed_over.append((listed.reason, listed))
            continue
        placed = _Placed(listed, *layout.place(listed.path))
        if is_manifest(listed.path):
            periods[placed.period].manifests.append(placed)
        elif listed.kind == "data":
            periods[placed.period].data[placed.export].append(placed)
        elif listed.kind == "unread":
            periods[placed.period].unread[placed.export].append(placed)
    return periods, passed_over


def _of_period(listing: Listing, period: str, here: _Period) -> tuple[list[ChosenFile], list[ListedFile]]:
    """The files of a billing period that count, and those that the manifests do not name."""
    manifests = here.manifests_by_export() if period else {}
    any_named = bool(manifests)
    chosen: list[ChosenFile] = []
    unnamed: list[ListedFile] = []
    for export in sorted({*here.data, *manifests}):
        files = here.data.get(export, [])
        if export in manifests:
            manifest = current_manifest(manifests[export], lambda m: _read(listing, m))
            named = _named(listing, manifest, period, files, here.unread.get(export, []))
            chosen += [ChosenFile(one, export, period, manifest.delivery, True, True) for one in named]
            kept = {one.path for one in named}
            unnamed += [placed.listed for placed in files if placed.listed.path not in kept]
        else:
            _refuse_two_versions(listing, period, [placed for placed in files if placed.versioned])
            chosen += [
                ChosenFile(p.listed, export, period, _folder(p) if p.versioned else "", False, p.versioned or any_named)
                for p in files
            ]
    return chosen, unnamed


def _read(listing: Listing, manifest: ListedFile) -> Manifest:
    return read_manifest(manifest.path, listing.read(manifest.path), listing.where(manifest.path))


def _folder_of(path: str) -> str:
    return path.rpartition("/")[0]


def _folder(placed: _Placed) -> str:
    """The folder of the file's version, below the period's."""
    return placed.tail.rpartition("/")[0]


def _named(
    listing: Listing, manifest: Manifest, period: str, files: Sequence[_Placed], unread: Sequence[_Placed]
) -> list[ListedFile]:
    """The files of a billing period that its manifest names, all of them.

    Args:
        listing: names places.
        manifest: the period's current one.
        period: `2025-09`.
        files: the data files of the period.
        unread: files there that may be data and cannot be read.
    """
    where = listing.where(manifest.path)
    if not manifest.keys and files:
        raise BillError(
            "names no data files (neither dataFiles nor reportKeys)", where=where, fix="Copy the export again."
        )
    here, packed = ({unquote(placed.tail): placed.listed for placed in some} for some in (files, unread))
    here |= {placed.tail: placed.listed for placed in files}
    wanted = data_files(manifest)
    by_tail = {tail: here.get(tail) or here.get(unquote(tail)) or here.get(_unpacked(tail)) for tail in wanted}
    missing = [tail for tail in wanted if not by_tail[tail]]
    if missing:
        _refuse_missing(where, period, wanted, missing, packed)
    return list({one.path: one for one in by_tail.values() if one}.values())


def _refuse_missing(
    where: str, period: str, wanted: Mapping[str, str], missing: Sequence[str], packed: Mapping[str, ListedFile]
) -> None:
    first = next((tail for tail in missing if tail in packed), None)
    if first is not None:
        raise BillError(
            f"names {len(missing)} data file(s) of {period} that cannot be read, first {wanted[first]}",
            where=where,
            fix=f"Unpack {packed[first].path.rpartition('/')[2]} in its folder, and the others of its kind.",
        )
    if len(missing) == len(wanted):
        what = f"names the {len(wanted)} data file(s) of {period}, and none of them is there, first"
        fix = ", or, if that month is not wanted, remove its manifest, too."
    else:
        what, fix = f"names {len(missing)} data file(s) of {period} that are not there, first", "."
    raise BillError(
        f"{what} {wanted[missing[0]]}",
        where=where,
        fix=f"The copy of the export is not whole: copy it again, the manifest last{fix}",
    )


def _unpacked(tail: str) -> str:
    """The name of a file after somebody has unpacked it in its folder."""
    return tail.removesuffix(".zip").removesuffix(".gz")


def _refuse_two_versions(listing: Listing, period: str, files: Sequence[_Placed]) -> None:
    folders = sorted({_folder_of(placed.listed.path) for placed in files})
    if len(folders) > 1:
        first, second = (folder.rpartition("/")[2] for folder in folders[:2])
        raise BillError(
            f"holds {len(folders)} versions of {period} and no manifest that says which is current: {first}, {second}",
            where=listing.where(folders[0].rpartition("/")[0]),
            fix=f"Point {listing.setting} at the export's own folder, with its manifests, or keep the newest version.",
        )
