"""What each setting may be: what would fail in a run's last step is refused when the settings are read, by name.

And what is refused is shown in the error, unless it is a secret.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import click
import dagster as dg
import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from finops_assets.cli.main import main
from finops_assets.core.errors import SettingsError
from finops_assets.settings.load import env_name, load_settings
from finops_assets.settings.model import Settings
from finops_assets.settings.section import Section

FIELDS = {
    f"{section}.{name}": field
    for section, one in Settings.model_fields.items()
    if isinstance(one.annotation, type) and issubclass(one.annotation, Section)
    for name, field in one.annotation.model_fields.items()
}
TEXTS = [name for name, field in FIELDS.items() if field.annotation is str]
NUMBERS = [name for name, field in FIELDS.items() if field.annotation in (int, float)]
LISTS = [name for name, field in FIELDS.items() if field.annotation not in (int, float) and "tuple[" in str(field)]
SECRETS = [name for name, field in FIELDS.items() if field.annotation is SecretStr]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory is an empty folder, and no setting of this machine counts."""
    monkeypatch.chdir(tmp_path)


def refused(setting: str, value: str) -> str:
    """What is said of a wrong value of the environment."""
    with pytest.raises(SettingsError) as caught:
        load_settings({env_name(setting): value})
    assert caught.value.where == f"{setting} ({env_name(setting)})"
    return str(caught.value)


WRONG = {
    "home": ("s3://bucket/home", "a?b", "a%20b"),
    "bill.path": ("s3://bucket/bill", "https://example.com/bill.csv"),
    "bill.table": ("cur2", "a.b.c", "a-b.c"),
    "bill.first_day": ("1970-08-23", "20250901", "2025-02-30", "01.09.2025"),
    "bill.currency": ("usd", "US$"),
    "accounts.path": ("s3://bucket/accounts.csv",),
    "budgets.path": ("s3://bucket", "s3://bucket/", "s3://Bucket/key", "http://example.com/b.csv"),
    "anomalies.events": ("s3:///key",),
    "aws.quicksight_permissions": ("s3://b/key",),
    "mail.recipients": ("", "[]", "a@example.com, b"),
    "mail.bounces": ("s3://bucket/bounces",),
    "mail.subject_prefix": ("x" * 101,),
    "mail.by_ou": ('{"": "a@example.com"}', '{"A": "a@x.org", "A/": "b@x.org"}', '["a@x.org"]', "{"),
    "mail.by_value": ('{"a": "a@example.com"}', '{"tag:a=1": "a@x.org", "tag:a=1 ": "b@x.org"}', '["a@x.org"]', "{"),
    "smtp.host": ("smtp.example.com:587", "smtp://example.com", "a b", "-a", "user@host"),
    "smtp.timeout_seconds": ("1e9",),
    "alerts.dagster_url": ("dagster.example.com", "ftp://x.org", "http://x.org:99999", "http://[::1", "http://a b"),
    "alerts.heartbeat_url": ("hc-ping.com/1", "https://", "https://x.org:x/", "https://u:p@x.org/"),
    "warehouse.memory": ("0MB", "1KB", "9999999TB", "٣GB", "1e3MB"),
    "warehouse.threads": ("5000",),
    "schedule.retry_seconds": ("1e300",),
    "dashboard.days": ("999999999",),
    "aws.region": ("Frankfurt", "eu-central", "eu_central_1"),
    "aws.role_arn": ("finops", "arn:aws:iam::1:role/x", "arn:aws:iam::111122223333:user/x"),
    "aws.organizations_role_arn": ("arn:aws:sts::111122223333:assumed-role/x/y",),
    "aws.endpoint_url": ("localhost:4566", "http://"),
    "aws.bucket": ("s3://bucket", "Bucket", "bucket/prefix", "b", "192.168.0.1", "a..b"),
    "aws.workgroup": ("a b", "a/b"),
    "aws.athena_results": ("bucket/prefix", "s3://"),
    "aws.quicksight_data_set": ("a b", "arn:aws:quicksight:x"),
    "aws.quicksight_account": ("1234", "1111-2222-3333"),
    "aws.ses_configuration_set": ("a b",),
    "aws.sns_topic_arn": ("finops-alerts", "arn:aws:sqs:eu-west-1:111122223333:x"),
    "aws.metrics_namespace": ("AWS/Finops", "é"),
}


@pytest.mark.parametrize("setting", WRONG)
def test_a_wrong_value_is_refused_by_name(setting: str) -> None:
    """Each of these was accepted once, or fails later in a library."""
    for value in WRONG[setting]:
        refused(setting, value)


RIGHT = {
    "bill.path": ("exports", "/srv/ex ports/focus", "päth/日本"),
    "budgets.path": ("s3://bucket/some/budgets.csv", "budgets.csv"),
    "smtp.host": ("localhost", "10.0.0.1", "::1", "mail_relay", "smtp.example.com."),
    "alerts.dagster_url": ("http://127.0.0.1:3000", "https://dagster.example.com/path/", "http://[::1]:3000"),
    "alerts.heartbeat_url": ("https://hc-ping.com/0123?a=b#c", "http://localhost:8000/ping/x@y"),
    "aws.region": ("eu-central-1", "us-gov-west-1", "us-iso-east-1", "eusc-de-east-1"),
    "aws.role_arn": ("arn:aws:iam::111122223333:role/path/finops", "arn:aws-us-gov:iam::111122223333:role/x"),
    "aws.bucket": ("finops-archive", "finops.archive.example"),
    "aws.workgroup": ("primary", "Team_1.x-y"),
    "aws.sns_topic_arn": ("arn:aws:sns:eu-west-1:111122223333:alerts",),
    "aws.metrics_namespace": ("Team/Finops: #1",),
    "mail.subject_prefix": ("[FinOps] für das Büro", ""),
    "warehouse.memory": ("64MB", "1.5 GiB", "2TB"),
}


@pytest.mark.parametrize("setting", RIGHT)
def test_what_is_right_is_taken(setting: str) -> None:
    """As it is written."""
    section, _, key = setting.partition(".")
    for value in RIGHT[setting]:
        found = getattr(getattr(load_settings({env_name(setting): value}), section), key)
        assert (found.get_secret_value() if isinstance(found, SecretStr) else found) == value


@pytest.mark.parametrize("setting", NUMBERS)
def test_no_number_is_infinite_or_none(setting: str) -> None:
    """Each has an upper bound, too: what is counted with it does not overflow."""
    for value in ("nan", "inf", "-inf", "-1", "1e400", "9" * 40, "1,5", "five"):
        refused(setting, value)


@pytest.mark.parametrize("setting", TEXTS)
@pytest.mark.parametrize("unclean", ["a\r\nBcc: b@example.com", "a\x1b[31m", "a\u2028b", "a\udcff", "a\0b"])
def test_no_text_has_control_characters(setting: str, unclean: str) -> None:
    """They would end a mail's header, colour a terminal, or cannot be written at all."""
    refused(setting, unclean)


@pytest.mark.parametrize("setting", [name for name in LISTS if name not in ("mail.by_ou", "mail.by_value")])
def test_every_list_is_json_or_separated_by_commas(setting: str) -> None:
    """In the environment."""
    section, _, key = setting.partition(".")
    one, other = ("tag:a", "account:b") if setting == "dimensions.keys" else ("a@b.org", "d@e.org")
    for text in (f'["{one}", "{other}"]', f"{one}, {other}"):
        found = getattr(getattr(load_settings({env_name(setting): text}), section), key)
        assert found == (one, other)
    for wrong in (f'["{one}", 3]', f'["{one}"', f'[["{one}"]]'):
        refused(setting, wrong)


def test_an_account_attribute_is_named_in_lower_case() -> None:
    """As the columns of the account map are; keys of tags and cost categories keep their capitals."""
    keys = load_settings({"FINOPS_DIMENSIONS__KEYS": "account:Business_Unit, tag:Team, cost_category:Product"})
    assert keys.dimensions.keys == ("account:business_unit", "tag:Team", "cost_category:Product")
    assert "account:unit twice" in refused("dimensions.keys", "account:Unit, account:unit")


def test_the_ou_mails_are_one_json_object() -> None:
    """Its addresses a list, or separated by commas; a variable for one OU would be lost, as its name is no path."""
    text = json.dumps({"/Workloads/Prod/": ["a@b.org"], "Sandbox": "c@d.org, e@f.org"})
    by_ou = load_settings({"FINOPS_MAIL__BY_OU": text}).mail.by_ou
    assert by_ou == {"Workloads/Prod": ("a@b.org",), "Sandbox": ("c@d.org", "e@f.org")}
    with pytest.raises(SettingsError, match="one setting, not a section") as caught:
        load_settings({"FINOPS_MAIL__BY_OU__SANDBOX": "a@b.org"})
    assert caught.value.where == "FINOPS_MAIL__BY_OU__SANDBOX"


def test_a_digest_may_go_to_ous_alone() -> None:
    """Nobody at all is refused."""
    settings = load_settings({"FINOPS_MAIL__RECIPIENTS": "", "FINOPS_MAIL__BY_OU": '{"A": "a@b.org"}'})
    assert settings.mail.everybody == ("a@b.org",)
    assert "names nobody" in refused("mail.recipients", "")


@pytest.mark.parametrize(
    ("setting", "path"),
    [
        *((name, "folder") for name in ("accounts.path", "budgets.path", "anomalies.events")),
        ("aws.quicksight_permissions", "folder"),
        ("home", "file"),
        ("mail.bounces", "file"),
    ],
)
def test_a_folder_is_no_file_and_a_file_no_folder(setting: str, path: str, tmp_path: Path) -> None:
    """What is not there yet may come."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    assert f"{path} is a {path}" in refused(setting, path)
    load_settings({env_name(setting): "neither"})


def commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every command that reads settings, with the arguments that it needs."""
    found = []
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            found += commands(command, (*path, name))
        elif name not in ("from-terraform", "init"):
            asked = [p for p in command.params if isinstance(p, click.Argument) and p.required]
            given = {"day": "2025-09-10", "month": "2025-09"}
            found.append((*path, name, *(given.get(p.type.name, "SELECT 1") for p in asked)))
    return found


@pytest.mark.parametrize(
    ("setting", "value"),
    [("mail.subject_prefix", "a\nb"), ("aws.bucket", "s3://b"), ("alerts.dagster_url", "x"), ("home", "a?b")],
)
def test_every_command_refuses_it_at_once(setting: str, value: str, tmp_path: Path) -> None:
    """`doctor` and `dev`, too: exit code 2, one line, and nothing was made."""
    for words in commands(main):
        done = CliRunner().invoke(main, words, env={env_name(setting): value})
        assert done.exit_code == 2, words
        (line,) = done.output.splitlines()
        assert line.startswith(f"error: {setting} ({env_name(setting)}): "), words
    assert list(tmp_path.iterdir()) == []


# --- secrets ------------------------------------------------------------------------------------------------------

MARK = "hunter2-marked"
WRONG_SECRETS = {
    "a line end": {"{}": f"{MARK}\n"},
    "a part of it": {"{}__X": MARK},
}
IN_FILE = {
    "smtp.password": (f"[smtp]\npassword = ['{MARK}']", f"[smtp]\npassword = {{ value = '{MARK}' }}"),
    "alerts.heartbeat_url": (
        f"[alerts]\nheartbeat_url = '{MARK}'",
        f"[alerts]\nheartbeat_url = 'https://x:{MARK}@y/'",
        f"[alerts]\nheartbeat_url = ['https://hc-ping.com/{MARK}']",
    ),
}
OTHERS = (
    f"[smtp]\npasword = '{MARK}'",
    f"smtp_password = '{MARK}'",
    f"[smtp]\npassword = '{MARK}",
    f"[smtp]\npassword = '{MARK}'\nport = 'x'",
    f"[aws]\nendpoint_url = 'http://user:{MARK}@host'",
    f"[alerts]\ndagster_url = 'ftp://user:{MARK}@host'",
)


def outputs(environ: dict[str, str], caplog: pytest.LogCaptureFixture) -> str:
    """All that is said of wrong settings: by commands, with and without trace, by the code location, in logs."""
    said = ""
    for words in (("status",), ("doctor",), ("doctor", "--json"), ("run",), ("--debug", "status")):
        done = CliRunner().invoke(main, words, env=environ)
        assert done.exit_code == 2, done.output
        said += done.output
    with pytest.MonkeyPatch.context() as patched, caplog.at_level(logging.DEBUG):
        for name, value in environ.items():
            patched.setenv(name, value)
        from finops_assets.definitions import defs

        with pytest.raises(SettingsError) as caught:
            defs()
        said += str(dg._utils.error.serializable_error_info_from_exc_info((caught.type, caught.value, caught.tb)))
        said += repr(caught.value)
    return said + caplog.text


def test_the_secrets_are_known() -> None:
    """One that is added has a wrong value here."""
    assert set(SECRETS) == set(IN_FILE)


@pytest.mark.parametrize("setting", SECRETS)
@pytest.mark.parametrize("how", WRONG_SECRETS)
def test_a_wrong_secret_of_the_environment_is_not_shown(
    setting: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its name is, with what is wrong."""
    environ = {name.format(env_name(setting)): value for name, value in WRONG_SECRETS[how].items()}
    said = outputs(environ, caplog)
    assert setting in said
    assert MARK not in said


@pytest.mark.parametrize("toml", [*(text for texts in IN_FILE.values() for text in texts), *OTHERS])
def test_a_secret_of_a_file_that_is_wrong_is_not_shown(toml: str, caplog: pytest.LogCaptureFixture) -> None:
    """Neither where it is misplaced or misspelt, nor where something beside it is wrong."""
    Path("finops.toml").write_text(toml, encoding="utf-8")
    assert MARK not in outputs({}, caplog)


def test_terraforms_outputs_are_not_shown_either() -> None:
    """Secrets do not belong there, and are named as such."""
    outputs = {"settings": {"value": {"smtp.password": MARK}}}
    done = CliRunner().invoke(main, ["settings", "from-terraform", "--print"], input=json.dumps(outputs))
    assert done.exit_code == 2
    assert MARK not in done.output
    outputs = {"settings": {"value": {"smtp.password": f"{MARK}\n"}}}
    done = CliRunner().invoke(main, ["settings", "from-terraform", "--print"], input=json.dumps(outputs))
    assert done.exit_code == 2
    assert MARK not in done.output


def test_what_is_right_is_not_shown_in_what_is_printed_of_the_settings() -> None:
    """As in a trace of a debugger, or a log."""
    environ: dict[str, Any] = {"FINOPS_SMTP__PASSWORD": MARK, "FINOPS_ALERTS__HEARTBEAT_URL": f"https://x.org/{MARK}"}
    settings = load_settings(environ)
    assert MARK not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


# --- the home -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [0o600, 0o640, 0o644])
def test_a_settings_file_keeps_its_rights(before: int, tmp_path: Path) -> None:
    """It may hold a password."""
    file = tmp_path / "finops.toml"
    file.write_text(f"[smtp]\npassword = '{MARK}'\n")
    file.chmod(before)
    outputs = {"settings": {"value": {"bill.currency": "USD"}}}
    done = CliRunner().invoke(main, ["settings", "from-terraform"], input=json.dumps(outputs))
    assert done.exit_code == 0, done.output
    assert "USD" in file.read_text()
    assert file.stat().st_mode & 0o777 == before
    assert list(tmp_path.iterdir()) == [file]
