"""Compares a month's bundle with its index, and the archive's present objects with what was bundled."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from finops_assets.core.delivery.stored_digests import sha256_of
from finops_assets.core.errors import ArchiveError, ColdObjectError, DamagedError, FinopsError
from finops_assets.core.operations.evidence.bundle import GENERATED, SUMS, read_objects, sources, sums
from finops_assets.core.operations.evidence.index import Evidence, days_of, index_path, read
from finops_assets.core.schemas import day_path

if TYPE_CHECKING:
    from finops_assets.core.ports import Archive


@dataclass(frozen=True)
class Verified:
    """What was found of a month's evidence; paths are of the archive's objects that are not as they were bundled.

    Attributes:
        damage: what is wrong with the bundle.
        fault: why it is not verified: the damage, or that the bundle cannot be read at the moment; None where it is.
    """

    evidence: Evidence
    damage: tuple[str, ...]
    fault: FinopsError | None
    changed: tuple[str, ...]
    new: tuple[str, ...]
    gone: tuple[str, ...]


def verify(archive: Archive, month: str) -> Verified:
    """Compare the bundle with its index, file by file, and the archive's present objects with what was bundled.

    Raises:
        ArchiveError: the month has no index, or one that cannot be read.
    """
    evidence = read(archive, month)
    if evidence is None:
        raise ArchiveError("the month has no evidence", where=index_path(month), fix=f"`finops evidence make {month}`.")
    damage: list[str] = []
    fault: FinopsError | None = None
    try:
        damage = _damage(evidence, archive.get(evidence.bundle))
    except ColdObjectError as error:
        fault = error
    if damage:
        more = f" and {len(damage) - 3} more" if len(damage) > 3 else ""
        fault = DamagedError(
            "; ".join(damage[:3]) + more,
            where=evidence.bundle,
            fix=f"Put its stored version back, or remove it and run `finops evidence make {month}`.",
        )
    days = days_of(month)
    objects = read_objects(archive, [*sources(archive, days), *map(day_path, days)])
    now = {path: sha256_of(data) for path, data in objects.items()}
    then = {member.name: member.sha256 for member in evidence.members if member.name not in GENERATED}
    then |= {row["object"]: row["sha256"] for row in evidence.days if row["object"]}
    return Verified(
        evidence=evidence,
        damage=tuple(damage),
        fault=fault,
        changed=tuple(sorted(path for path in then.keys() & now.keys() if then[path] != now[path])),
        new=tuple(sorted(now.keys() - then.keys())),
        gone=tuple(sorted(then.keys() - now.keys())),
    )


def _damage(evidence: Evidence, data: bytes | None) -> list[str]:
    """How the bundle is not what its index says."""
    if data is None:
        return ["it is gone"]
    sha256 = sha256_of(data)
    damage = [] if sha256 == evidence.sha256 else [f"its SHA-256 is {sha256}, the index says {evidence.sha256}"]
    known = {member.name: member.sha256 for member in evidence.members}
    contents: dict[str, bytes] = {}
    # What a damaged zip raises is not agreed, so each `try` holds one call of the library and nothing of ours.
    try:
        bundle = zipfile.ZipFile(io.BytesIO(data))
    except Exception as error:  # noqa: BLE001
        return [*damage, f"it cannot be opened ({error})"]
    damage += [f"{name} is not in the index" for name in sorted(set(bundle.namelist()) - known.keys())]
    for name in known:
        try:
            contents[name] = bundle.read(name)
        except Exception as error:  # noqa: BLE001
            damage.append(f"{name} cannot be read ({error})")
    damage += [f"{name} is not what the index says" for name in contents if sha256_of(contents[name]) != known[name]]
    if contents.get(SUMS) not in (None, sums(evidence.members).encode()):
        damage.append(f"{SUMS} does not say what the index says")
    return damage
