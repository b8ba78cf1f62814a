"""Terraform's outputs become settings: typed, checked, written into finops.toml without losing what is there."""

from __future__ import annotations

import json
import tomllib
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from finops_assets.cli.from_terraform import from_terraform, settings_in, typed, written_into
from finops_assets.core.errors import SettingsError
from finops_assets.settings.load import load_settings

FOUND = {
    "platform": "aws",
    "bill.table": "finops_bill.focus",
    "mail.sender": "finops@example.com",
    "mail.recipients": "a@example.com,cfo@example.com",
    "aws.region": "eu-west-1",
    "aws.bucket": "finops-daily-summaries-444455556666",
}
OWN = """\
# ours, by hand

[mail]
sender = "old@example.com"   # to be replaced
recipients = [
  "nobody@example.com",
  # [aws] is not a section here
]
subject_prefix = "[Cost]"  # stays

[accounts]
ou_level = 2

[aws]  # and what belongs to it
profile = "finops"
"""


def outputs(settings: dict[str, str]) -> str:
    """As `terraform output -json` prints them, beside outputs that are no settings."""
    told = {"settings": {"sensitive": False, "type": ["map", "string"], "value": settings}}
    return json.dumps(told | {"task_role_arn": {"sensitive": False, "type": "string", "value": "arn:..."}})


def test_both_ways_to_print_outputs_are_understood() -> None:
    """All outputs, or the one."""
    assert settings_in(outputs(FOUND)) == settings_in(json.dumps(FOUND)) == FOUND


@pytest.mark.parametrize(
    "told", ["", "null", "[]", "{}", '{"settings": {"value": {}}}', '{"settings": {"value": {"a": 1}}}']
)
def test_what_is_no_output_of_the_module_is_refused(told: str) -> None:
    """An empty state, another module, a command that failed: said with the command that is right."""
    with pytest.raises(SettingsError, match="terraform -chdir=terraform output -json"):
        settings_in(told)


def test_values_become_what_finops_toml_has_for_them() -> None:
    """Lists, numbers, truth values, days and tables, as the settings' own types say."""
    values = typed(
        FOUND
        | {
            "accounts.ou_level": "2",
            "bill.include_tax": "false",
            "bill.first_day": "2025-09-01",
            "budgets.amber_percent": "87.5",
            "mail.by_ou": '{"Workloads/Prod": ["lead@example.com"]}',
        }
    )
    assert values["mail.recipients"] == ("a@example.com", "cfo@example.com")
    assert (values["accounts.ou_level"], values["bill.include_tax"]) == (2, False)
    assert tomllib.loads(written_into("", values)) == {
        "platform": "aws",
        "bill": {"table": "finops_bill.focus", "include_tax": False, "first_day": date(2025, 9, 1)},
        "mail": {
            "sender": "finops@example.com",
            "recipients": ["a@example.com", "cfo@example.com"],
            "by_ou": {"Workloads/Prod": ["lead@example.com"]},
        },
        "aws": {"region": "eu-west-1", "bucket": "finops-daily-summaries-444455556666"},
        "accounts": {"ou_level": 2},
        "budgets": {"amber_percent": 87.5},
    }


REFUSED = [
    ({"aws.nothing": "x"}, "aws.nothing .*there is no such setting"),
    ({"nothing.at_all": "x"}, "nothing .*there is no such setting"),
    ({"bill.table": "x"}, "bill.table .*must be database.table"),
    ({"smtp.password": "hunter2"}, "smtp.password: is a secret"),
]


@pytest.mark.parametrize(("settings", "says"), REFUSED)
def test_a_setting_that_is_wrong_is_named(settings: dict[str, str], says: str) -> None:
    """By its name; a secret's value is not repeated."""
    with pytest.raises(SettingsError, match=says) as error:
        typed(settings)
    assert "hunter2" not in str(error.value)


def test_a_file_keeps_what_is_its_own() -> None:
    """Comments, order and other settings stay; what Terraform knows is replaced in place or added to its section."""
    text = written_into(OWN, typed(FOUND))
    there = tomllib.loads(text)
    assert there["mail"] == {
        "sender": "finops@example.com",
        "recipients": ["a@example.com", "cfo@example.com"],
        "subject_prefix": "[Cost]",
    }
    assert there["aws"] == {"profile": "finops", "region": "eu-west-1", "bucket": FOUND["aws.bucket"]}
    assert (there["platform"], there["accounts"]) == ("aws", {"ou_level": 2})
    assert "# ours, by hand" in text
    assert 'subject_prefix = "[Cost]"  # stays' in text
    assert "[aws]  # and what belongs to it" in text
    assert written_into(text, typed(FOUND)) == text, "a second time changes nothing"


@pytest.mark.parametrize("text", ['aws = { profile = "x" }\n', 'aws.bucket = "x"\n', "mail = 3\n"])
def test_a_file_that_cannot_be_changed_safely_is_left(text: str) -> None:
    """What is not recognised is said, with a way that works."""
    with pytest.raises(SettingsError, match="--print"):
        written_into(text, typed(FOUND))


def test_several_bills_have_a_table_each(tmp_path: Path) -> None:
    """As the settings read them; where the file names its bills otherwise, it is left."""
    tables = {"bill.aws.table": "billing.cur2", "bill.azure.table": "billing.azure", "bill.cost_basis": "effective"}
    found = {name: value for name, value in FOUND.items() if name != "bill.table"} | tables
    text = written_into("", typed(found))
    assert written_into(text, typed(found)) == text
    (tmp_path / "finops.toml").write_text(text, encoding="utf-8")
    bill = load_settings({}, folder=tmp_path).bill
    assert [(of.name, of.table) for of in bill.bills] == [("aws", "billing.cur2"), ("azure", "billing.azure")]
    assert bill.cost_basis == "effective"
    with pytest.raises(SettingsError, match="--print"):
        written_into('[[bill]]\nname = "aws"\n', typed(found))
    with pytest.raises(SettingsError, match="no such setting"):
        typed(found | {"bill.azure.tabel": "billing.azure"})


def test_text_of_any_kind_survives() -> None:
    """Quotes, backslashes, control characters and other scripts are what they were."""
    odd = 'a "quoted" \\ back\tslash \x7f \x01 Größe 費用 😀'
    assert tomllib.loads(written_into("", {"mail.subject_prefix": odd})) == {"mail": {"subject_prefix": odd}}


def test_the_command_writes_the_file_and_says_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """finops.toml of the working directory, which then loads; a broken one is not touched."""
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(from_terraform, [], input=outputs(FOUND))
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1] == "finops.toml: written, 6 settings of Terraform's"
    settings = load_settings({})
    assert (settings.platform, settings.aws.region, len(settings.mail.recipients)) == ("aws", "eu-west-1", 2)
    again = CliRunner().invoke(from_terraform, [], input=outputs(FOUND))
    assert again.output.splitlines()[-1] == "finops.toml: as it was, 6 settings of Terraform's"
    assert [file.name for file in tmp_path.iterdir()] == ["finops.toml"]

    (tmp_path / "finops.toml").write_text("broken", encoding="utf-8")
    failed = CliRunner().invoke(from_terraform, [], input=outputs(FOUND))
    assert isinstance(failed.exception, SettingsError)
    assert (tmp_path / "finops.toml").read_text(encoding="utf-8") == "broken"


def test_the_command_can_print_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--print gives the settings as TOML and writes nothing; --file names another file."""
    monkeypatch.chdir(tmp_path)
    printed = CliRunner().invoke(from_terraform, ["--print"], input=outputs(FOUND))
    assert tomllib.loads(printed.output)["aws"]["bucket"] == FOUND["aws.bucket"]
    assert list(tmp_path.iterdir()) == []
    CliRunner().invoke(from_terraform, ["--file", "other.toml"], input=outputs(FOUND))
    assert (tmp_path / "other.toml").read_text(encoding="utf-8") == printed.output
