"""Builds the source archive and, from it alone, the wheel; checks both, and leaves nothing else in the folder.

    python scripts/package.py dist

It needs no network: the build backend is the one that is installed (requirements/build.txt).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.metadata import Metadata

ROOT = Path(__file__).parents[1]
PACKAGE = "finops_assets"
NAMES = ("pyproject.toml", "README.md", "LICENSE")
REQUIRED = ("summary", "description", "description_content_type", "license_expression", "author", "requires_python")


def build(kind: str, source: Path, target: Path) -> Path:
    """What the build backend makes of a folder: `kind` is sdist or wheel."""
    code = f"import sys; from setuptools import build_meta; print(build_meta.build_{kind}(sys.argv[1]))"
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code, str(target)], cwd=source, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"package: the {kind} could not be built from {source}:\n{done.stderr}")
    return target / done.stdout.splitlines()[-1]


def sources() -> set[str]:
    """Every file of the package, by its path from the repository: what a wheel must have, and no more."""
    files = (file for file in (ROOT / PACKAGE).rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    return {file.relative_to(ROOT).as_posix() for file in files}


def problems(wheel: Path, sdist: Path) -> list[str]:
    """What is wrong with the two archives, a line each."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        [record] = [name for name in names if name.endswith(".dist-info/METADATA")]
        in_wheel = archive.read(record)
    with tarfile.open(sdist) as archive:
        top = sdist.name.removesuffix(".tar.gz")
        in_sdist = {member.name.removeprefix(f"{top}/") for member in archive.getmembers() if member.isfile()}
        info = archive.extractfile(f"{top}/PKG-INFO")
        assert info is not None
        of_sdist = info.read()
    packed = {name for name in names if ".dist-info/" not in name}
    found = [f"{wheel.name}: {name} is missing" for name in sorted(sources() - packed)]
    found += [f"{wheel.name}: {name} is not of the package" for name in sorted(packed - sources())]
    found += [f"{sdist.name}: {name} is missing" for name in sorted((sources() | set(NAMES)) - in_sdist)]
    for file, text in ((wheel, in_wheel), (sdist, of_sdist)):
        try:
            metadata = Metadata.from_email(text)
        except ExceptionGroup as group:
            found += [f"{file.name}: {error}" for error in group.exceptions]
            continue
        found += [f"{file.name}: no {field} in pyproject.toml" for field in REQUIRED if not getattr(metadata, field)]
        found += [
            f"{file.name}: {requirement} has no {what} bound"
            for requirement in metadata.requires_dist or ()
            if "extra" not in str(requirement.marker or "")
            for what, sign in (("lower", ">"), ("upper", "<"))
            if not any(each.operator.startswith(sign) for each in requirement.specifier)
        ]
    return found


def main(target: Path) -> None:
    with TemporaryDirectory() as folder:
        work = Path(folder)
        # A copy: the backend would write into the repository, and take what an earlier build left there.
        shutil.copytree(ROOT / PACKAGE, work / "source" / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
        for name in NAMES:
            shutil.copy(ROOT / name, work / "source" / name)
        (work / "built").mkdir()
        sdist = build("sdist", work / "source", work / "built")
        with tarfile.open(sdist) as archive:
            archive.extractall(work / "unpacked", filter="data")
        wheel = build("wheel", work / "unpacked" / sdist.name.removesuffix(".tar.gz"), work / "built")
        if found := problems(wheel, sdist):
            sys.exit("\n".join(f"package: {each}" for each in found))
        target.mkdir(parents=True, exist_ok=True)
        for old in target.glob(f"{PACKAGE}-*"):
            old.unlink()
        for file in (sdist, wheel):
            shutil.copy(file, target / file.name)
            print(f"{os.path.relpath(target / file.name)}: {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
