"""What a release uploads: `make package` builds it, and a wheel of it runs without the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from finops_assets import __version__

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the script of `make package` has filled."""
    folder = tmp_path_factory.mktemp("package") / "dist"
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/package.py", folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_a_release_is_one_wheel_and_one_source_archive(dist: Path) -> None:
    """Of this version, with both licences, and without tests or the stand-in AWS."""
    wheel = f"finops_assets-{__version__}-py3-none-any.whl"
    assert {file.name for file in dist.iterdir()} == {wheel, f"finops_assets-{__version__}.tar.gz"}
    with zipfile.ZipFile(dist / wheel) as archive:
        names = archive.namelist()
    info = f"finops_assets-{__version__}.dist-info"
    assert {name.split("/")[0] for name in names} == {"finops_assets", info}
    assert {Path(name).name for name in names if name.startswith(f"{info}/licenses/")} == {"LICENSE", "OFL.txt"}
    templates = {file.relative_to(ROOT) for file in (ROOT / "finops_assets/templates").rglob("*") if file.is_file()}
    assert {*templates, Path("finops_assets/py.typed")} <= set(map(Path, names))


def test_the_wheel_runs_the_demo_without_the_repository(dist: Path, tmp_path: Path) -> None:
    """Its own environment has the wheel, and beside it only the dependencies that are installed here."""
    home = tmp_path / "environment"
    venv.create(home, symlinks=True)
    [wheel] = dist.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", home / "bin/python"]
    install = [*pip, "install", "--quiet", "--no-deps", "--no-index", "--no-compile", wheel]
    subprocess.run(install, check=True)
    [packages] = home.glob("lib/python*/site-packages")
    # A path alone: the .pth files of that folder, which lead to the repository, are not followed.
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_paths()['purelib']}\n", encoding="utf-8")
    where = [home / "bin/python", "-c", "import finops_assets; print(finops_assets.__file__)"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    empty = tmp_path / "empty"
    empty.mkdir()

    def run(command: list[str | Path]) -> str:
        done = subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert Path(run(where).strip()).is_relative_to(packages)
    run([home / "bin/finops", "demo", "--days", "2"])
    assert "<script" in (empty / ".finops/dashboard.html").read_text(encoding="utf-8")
    assert list((empty / ".finops/outbox").glob("*.eml"))
    snapshots = list((empty / ".finops/archive/executive-snapshots").rglob("*.pdf"))
    assert snapshots
    assert all(b"Inter" in file.read_bytes() for file in snapshots)
