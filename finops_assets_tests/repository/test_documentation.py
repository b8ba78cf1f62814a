"""The documents say what is there."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from finops_assets.cli.main import main
from finops_assets.core.archive.tables import TABLES
from finops_assets.settings.bill_section import BillEntry
from finops_assets.settings.load import RESERVED_ENV
from finops_assets.settings.model import Settings

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
READMES = (ROOT / "standin" / "README.md", ROOT / "terraform" / "README.md")
OF_NOW = [*(d for d in DOCUMENTS if d.name != "CHANGELOG.md" and d.parent.name != "decisions"), *READMES]
"""Documents of what is there now; the others name modules as they were."""

PACKAGES = (ROOT / "finops_assets", ROOT / "finops_assets_tests", ROOT / "standin")


def test_the_tables_are_listed_as_finops_query_lists_them() -> None:
    """One list, in help and documentation."""
    section = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split("## The tables\n")[1]
    listed = re.findall(r"^\| `(\w+)` \| (.+) \|$", section.split("\n## ")[0], re.MULTILINE)
    assert listed == [(name, table.row) for name, table in TABLES.items()]


def test_configuration_md_is_made_from_the_settings(capsys: pytest.CaptureFixture) -> None:
    """docs/configuration.md lists every setting with its environment name, default and meaning."""
    spec = importlib.util.spec_from_file_location("configuration_doc", ROOT / "scripts" / "configuration_doc.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main()
    assert capsys.readouterr().out == (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")


def anchors_of(document: Path) -> set[str]:
    """The headings of a document, as GitHub makes links to them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", [*DOCUMENTS, *READMES], ids=lambda d: str(d.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    """Every relative link in a document names a file that exists and, where it names a heading, one of that file."""
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)]*))?\)", document.read_text(encoding="utf-8")):
        if "://" not in target and not target.startswith("mailto:"):
            file = document.parent / target if target else document
            assert file.exists(), target
            assert not anchor or file.suffix != ".md" or anchor in anchors_of(file), f"{target}#{anchor}"


@pytest.mark.parametrize("document", OF_NOW, ids=lambda d: str(d.relative_to(ROOT)))
def test_every_module_named_in_a_document_exists(document: Path) -> None:
    """A path begins at the repository or in finops_assets/, such as `core/archive/states.py`, or is a name."""
    modules = {path.name for package in PACKAGES for path in package.rglob("*.py")}
    for name in re.findall(r"`([\w/]+\.(?:py|j2|yaml))`", document.read_text(encoding="utf-8")):
        paths = (ROOT / name, ROOT / "finops_assets" / name)
        assert name in modules or any(path.exists() for path in paths), name


def test_what_the_architecture_names_in_a_module_is_there() -> None:
    """Each "`KINDS` in `core/.../alert_messages.py`" of docs/architecture.md is a name of that module."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    pairs = re.findall(r"`(\w+)`[^`|.]{0,30}? (?:in|of) `([\w/]+\.py)`", text)
    assert len(pairs) > 5
    for name, module in pairs:
        code = (ROOT / "finops_assets" / module).read_text(encoding="utf-8")
        assert re.search(rf"^(?:class |def )?{name}\b", code, re.MULTILINE), f"{name} in {module}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(ROOT)))
def test_every_command_and_setting_named_in_a_document_is_there(document: Path) -> None:
    """No document speaks of a `finops` command, a make target or a FINOPS_ variable that does not exist."""
    text = document.read_text(encoding="utf-8")
    for command in re.findall(r"`(?:[A-Z_]+=\S+ )*finops ([a-z]+)", text):
        assert command in main.commands, command
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for target in re.findall(r"`make ([a-z-]+)", text):
        assert target in targets, target
    known = set(RESERVED_ENV)
    for name, field in Settings.model_fields.items():
        nested = getattr(field.annotation, "model_fields", None)
        known |= {f"FINOPS_{name}__{key}".upper() for key in nested} if nested else {f"FINOPS_{name}".upper()}
    known |= {f"FINOPS_BILL__AZURE__{key}".upper() for key in BillEntry.model_fields}  # one of several, as an example
    for name in re.findall(r"(?<!_)FINOPS_[A-Z_]+[A-Z]", text):
        assert name in known, name


def invocations(text: str) -> list[str]:
    """Each `finops ...` of a text without its first word, to the end of its code, string or line."""
    unbroken = re.sub(r"(`finops [^`\n]*)\n\s*([^`\n]*`)", r"\1 \2", text)
    return re.findall(r"\bfinops ((?:(?!\bfinops )[^`'\"\n])+)", unbroken)


def options_of(invocation: str) -> tuple[set[str], set[str]]:
    """The options that an invocation names, and those that its command has; neither where it is no command."""
    command: click.Command = main
    for word in invocation.split():
        if not isinstance(command, click.Group) or word not in command.commands:
            break
        command = command.commands[word]
    if command is main:
        return set(), set()
    has = {option for of in command.get_params(click.Context(command)) for option in (*of.opts, *of.secondary_opts)}
    return set(re.findall(r"(?<!\S)--[a-z][a-z-]*", invocation)), has


def test_every_option_named_after_a_command_is_there() -> None:
    """`finops backfill A B --refresh` would send people to an option that the command does not have."""
    product = [path for path in (ROOT / "finops_assets").rglob("*") if path.suffix in (".py", ".js", ".j2")]
    named = 0
    for path in (*OF_NOW, *product, *(ROOT / "scripts").glob("*.py")):
        for invocation in invocations(path.read_text(encoding="utf-8")):
            options, has = options_of(invocation)
            assert options <= has, f"{path.relative_to(ROOT)}: finops {invocation}"
            named += len(options)
    assert named > 50  # or nothing was looked at


def test_every_command_has_help() -> None:
    """Each command says what it does."""
    for name, command in main.commands.items():
        result = CliRunner().invoke(main, [name, "--help"])
        assert result.exit_code == 0
        assert command.help, name
