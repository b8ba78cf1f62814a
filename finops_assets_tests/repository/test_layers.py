"""The folders are the architecture: core <- adapters <- platform.py <- defs, cli; nothing heavy loads at import."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import finops_assets
from finops_assets.core import ROOMS

PACKAGE = Path(finops_assets.__file__).parent
ENGINES = {"dagster", "duckdb", "boto3", "botocore", "obstore", "sqlglot", "sqlite3"}

FORBIDDEN = [
    ("core", {*ENGINES, "finops_assets.adapters", "finops_assets.defs", "finops_assets.platform"}),
    ("adapters", {"dagster", "finops_assets.defs", "finops_assets.platform", "finops_assets.definitions"}),
    ("defs", {"duckdb", "boto3", "obstore", "finops_assets.adapters", "finops_assets.definitions"}),
    ("stories/sample_bill", {*ENGINES, "finops_assets.adapters", "finops_assets.defs", "finops_assets.platform"}),
    ("adapters/local", {"finops_assets.adapters.aws"}),
    ("adapters/aws", {"finops_assets.adapters.local"}),
    ("adapters/shared", {"finops_assets.adapters.local", "finops_assets.adapters.aws"}),
    ("composition", {"dagster", "finops_assets.defs", "finops_assets.cli"}),
    ("settings", {*ENGINES, "finops_assets.adapters", "finops_assets.defs", "finops_assets.platform"}),
]


def _imports(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize(("layer", "forbidden"), FORBIDDEN, ids=[layer for layer, _ in FORBIDDEN])
def test_imports_never_point_outwards(layer: str, forbidden: set[str]) -> None:
    """What the numbers mean knows no engine, and no adapter knows Dagster."""
    files = list((PACKAGE / layer).rglob("*.py"))
    assert files
    for file in files:
        wrong = {name for name in _imports(file) if any(name == f or name.startswith(f + ".") for f in forbidden)}
        assert not wrong, f"{file.relative_to(PACKAGE)} imports {wrong}"


BEFORE = {room: ROOMS[:place] for place, room in enumerate(ROOMS)}


@pytest.mark.parametrize("room", ["", *ROOMS])
def test_a_room_of_core_uses_the_rooms_before_it_alone(room: str) -> None:
    """The folders show the way of the data; types that are imported for the type checker alone count, too."""
    files = list((PACKAGE / "core" / room).rglob("*.py") if room else (PACKAGE / "core").glob("*.py"))
    assert files
    later = {f"finops_assets.core.{other}" for other in ROOMS if other != room and other not in BEFORE.get(room, ())}
    for file in files:
        wrong = {name for name in _imports(file) if any(name == f or name.startswith(f + ".") for f in later)}
        assert not wrong, f"{file.relative_to(PACKAGE)} imports {wrong}"


def test_every_folder_of_core_is_a_room_that_says_what_belongs_in_it() -> None:
    """In three lines: what, what not, which rooms it may use."""
    folders = {file.parent.name for file in (PACKAGE / "core").glob("*/__init__.py")}
    assert folders == set(ROOMS)
    for room in ROOMS:
        said = ast.get_docstring(ast.parse((PACKAGE / "core" / room / "__init__.py").read_text(encoding="utf-8")))
        assert said, room
        assert "may use" in said, room


PRIVATE = PACKAGE / "defs" / "private.py"


def test_dagsters_private_api_is_used_in_one_module_with_the_condition_under_which_each_use_goes() -> None:
    """No file of the product, of the image or of the benchmarks imports `dagster._*`, except defs/private.py.

    Each import there stands under a comment that says when it goes.
    """
    root = PACKAGE.parent
    files = [file for folder in (PACKAGE, root / "deploy", root / "benchmarks") for file in folder.rglob("*.py")]
    private = {
        str(file.relative_to(root)): names
        for file in files
        if (names := {name for name in _imports(file) if name.startswith("dagster") and "._" in name})
    }
    assert set(private) == {str(PRIVATE.relative_to(root))}, private
    attributes = [file for file in files if re.search(r"\b(dg|dagster)\._", file.read_text(encoding="utf-8"))]
    assert attributes == [PRIVATE]
    blocks = PRIVATE.read_text(encoding="utf-8").split("\n\n")
    uses = [block for block in blocks if "\nfrom dagster._" in f"\n{block}"]
    assert uses
    for block in uses:
        comment = " ".join(line for line in block.splitlines() if line.startswith("#"))
        assert re.search(r"\b(go|goes)\b", comment, re.IGNORECASE), f"when does this go?\n{block}"


HEAVY = ("dagster", "duckdb", "pandas", "pyarrow", "sqlglot", "boto3", "vl_convert", "jinja2", "pydantic")


def test_the_command_loads_nothing_heavy_before_it_needs_it() -> None:
    """`finops --help` imports none of the heavy libraries."""
    code = "import sys; from finops_assets.cli.main import main; main(['--help'], standalone_mode=False); "
    code += f"print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("platform", ["local", "aws"])
def test_the_platform_is_put_together_without_dagster(platform: str, tmp_path: Path) -> None:
    """`finops resend` mails without it, and `finops status` reads: each object of the platform is there."""
    code = f"""
import sys
from finops_assets.platform import build_platform
from finops_assets.settings.load import load_settings
values = {{"platform": "{platform}", "aws.bucket": "a-bucket", "bill.table": "a.table", "aws.region": "us-east-1"}}
platform = build_platform(load_settings({{}}, values))
for name in ("journal", "incidents", "inspector", "scoring", "digests", "watch", "heartbeat"):
    assert getattr(platform, name) is getattr(platform, name), name
print([name for name in sys.modules if name.partition(".")[0].startswith("dagster")])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_loading_the_code_location_reads_no_settings_and_opens_nothing(tmp_path: Path) -> None:
    """Importing finops_assets.definitions works in an empty folder with broken settings, and writes nothing."""
    (tmp_path / "finops.toml").write_text("this is not toml")
    code = "import finops_assets.definitions"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert [f.name for f in tmp_path.iterdir()] == ["finops.toml"]


LONGEST = 400


def test_no_module_is_longer_than_one_purpose_needs() -> None:
    """Of the product and of the stand-in; what is longer has two purposes."""
    files = [file for folder in ("finops_assets", "standin") for file in (PACKAGE.parent / folder).rglob("*.py")]
    lines = {
        str(file): len(file.read_text(encoding="utf-8").splitlines()) for file in files if "tests" not in file.parts
    }
    assert {file: count for file, count in lines.items() if count > LONGEST} == {}


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda f: str(f.relative_to(PACKAGE)))
def test_every_module_says_first_what_it_is_for(file: Path) -> None:
    """Each module opens with a docstring of its purpose."""
    assert ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
