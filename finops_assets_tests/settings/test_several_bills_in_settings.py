"""Several bills in finops.toml and in the environment: what is read, and what is refused where."""

from __future__ import annotations

from pathlib import Path

import pytest

from finops_assets.core.errors import SettingsError
from finops_assets.settings.load import load_settings
from finops_assets.settings.model import Settings

TWO = """
[[bill]]
name = "Payer-1"
path = "one"
cost_basis = "effective"

[[bill]]
name = "azure"
path = "two"
format = "focus"
"""


def load(folder: Path, toml: str = "", **environ: str) -> Settings:
    if toml:
        (folder / "finops.toml").write_text(toml, encoding="utf-8")
    return load_settings({f"FINOPS_{name}": value for name, value in environ.items()}, folder=folder)


def bills(settings: Settings) -> list[tuple[str, str, str]]:
    return [(bill.name, bill.path, bill.format) for bill in settings.bill.bills]


def test_each_bill_has_its_own_and_the_rules_stand_once(tmp_path: Path) -> None:
    """Relative paths are relative to the file's folder, as of one bill."""
    settings = load(tmp_path, TWO)
    assert bills(settings) == [("Payer-1", f"{tmp_path}/one", "auto"), ("azure", f"{tmp_path}/two", "focus")]
    assert settings.bill.cost_basis == "effective"


def test_the_environment_wins_for_the_bill_that_it_names(tmp_path: Path) -> None:
    """`-` is `_` there; a rule of all is set for all."""
    settings = load(tmp_path, TWO, BILL__PAYER_1__PATH="/new", BILL__COST_BASIS="billed")
    assert bills(settings) == [("Payer-1", "/new", "auto"), ("azure", f"{tmp_path}/two", "focus")]
    assert settings.bill.cost_basis == "billed"


def test_the_environment_alone_is_enough(tmp_path: Path) -> None:
    """As on a container; rules may stand in the file."""
    settings = load(tmp_path, "[bill]\ncost_basis = 'effective'\n", BILL__A__TABLE="db.a", BILL__B__TABLE="db.b")
    assert [(bill.name, bill.table) for bill in settings.bill.bills] == [("a", "db.a"), ("b", "db.b")]
    assert settings.bill.cost_basis == "effective"


@pytest.mark.parametrize("toml", ['[[bill]]\npath = "x"\n', '[bill]\npath = "x"\n', '[bill.mine]\npath = "x"\n'])
def test_a_single_bill_is_the_section_itself(tmp_path: Path, toml: str) -> None:
    """However it is written."""
    settings = load(tmp_path, toml)
    assert settings.bill.path == f"{tmp_path}/x"
    assert settings.bill.bills == (settings.bill,)


@pytest.mark.parametrize(
    ("toml", "environ", "where", "word"),
    [
        pytest.param(TWO + 'cost_basis = "billed"\n', {}, "bill.cost_basis", "Payer-1", id="two rules"),
        pytest.param(TWO.replace('name = "azure"\n', ""), {}, "bill.name of the 2.", "no name", id="no name"),
        pytest.param(TWO.replace("azure", "payer_1"), {}, "bill.name", "two bills", id="one name twice"),
        pytest.param(TWO.replace("azure", "path"), {}, "bill.name of the 2.", "'path'", id="the name of a setting"),
        pytest.param(TWO.replace("azure", "a/b"), {}, "bill.name of the 2.", "'a/b'", id="no name for a variable"),
        pytest.param(TWO.replace("format", "formt"), {}, "bill.azure.formt", "bill.azure.format", id="a typo"),
        pytest.param(TWO.replace('"focus"', '"fokus"'), {}, "bill.azure.format", "fokus", id="a wrong value"),
        pytest.param(TWO, {"BILL__AZURE__FORMAT": "x"}, "FINOPS_BILL__AZURE__FORMAT", "'x'", id="of the environment"),
        pytest.param(TWO, {"BILL__PATH": "x"}, "FINOPS_BILL__PATH", "Payer-1, azure", id="one and several"),
        pytest.param(TWO, {"BILL__AZRUE__PATH": "x"}, "FINOPS_BILL__AZRUE__PATH", "payer_1, azure", id="no such bill"),
        pytest.param('[bill]\npath = "x"\n', {"BILL__A__PATH": "y"}, "bill.path", "names: a", id="one in the file"),
        pytest.param("[bill]\nentries = []\n", {}, "bill.entries", "no such setting", id="what is made of them"),
        pytest.param("bill = [1, 2]\n", {}, "the 1.", "must be a table", id="no tables"),
        pytest.param(TWO.replace("one", "s3://x/y"), {}, "bill.payer_1.path", "of this machine", id="no path"),
    ],
)
def test_what_contradicts_itself_is_refused_where_it_stands(
    tmp_path: Path, toml: str, environ: dict[str, str], where: str, word: str
) -> None:
    """The setting, or the variable, and what to write."""
    with pytest.raises(SettingsError) as refused:
        load(tmp_path, toml, **environ)
    assert where in refused.value.where
    assert word in str(refused.value)
