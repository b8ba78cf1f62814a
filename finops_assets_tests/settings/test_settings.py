"""Settings: where they come from, which one wins, and errors that name the setting and where it stands."""

from __future__ import annotations

import re
from datetime import date
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

from finops_assets.adapters.shared.duck import connect
from finops_assets.core.errors import ArchiveError, SettingsError
from finops_assets.platform import build_platform, require_home
from finops_assets.settings.load import env_name, load_settings
from finops_assets.settings.model import Settings
from finops_assets.settings.sections import WarehouseSettings


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory is an empty folder, as relative paths start there."""
    monkeypatch.chdir(tmp_path)


def load(environ: dict[str, str] | None = None, toml: str | bytes | None = None, **overrides: Any) -> Settings:
    if toml is not None:
        Path("finops.toml").write_bytes(toml if isinstance(toml, bytes) else toml.encode())
    return load_settings(environ or {}, {name.replace("__", "."): value for name, value in overrides.items()})


def test_every_setting_has_a_default() -> None:
    """Nothing has to be set to load."""
    assert load() == Settings()


def test_the_environment_wins_over_the_file_and_overrides_over_both() -> None:
    """finops.toml, then FINOPS_ variables, then what the caller says; each may set what the others leave."""
    toml = '[bill]\npath = "file"\ncurrency = "EUR"\nformat = "cur"\n'
    settings = load({"FINOPS_BILL__PATH": "variable", "FINOPS_BILL__FORMAT": "cur2"}, toml, bill__path="override")
    assert (settings.bill.path, settings.bill.format, settings.bill.currency) == ("override", "cur2", "EUR")


def test_text_of_the_environment_becomes_what_the_setting_is() -> None:
    """Numbers, switches, dates and lists can be set from a shell."""
    settings = load(
        {
            "FINOPS_ACCOUNTS__OU_LEVEL": "2",
            "FINOPS_BILL__INCLUDE_TAX": "false",
            "FINOPS_BILL__FIRST_DAY": "2024-02-29",
            "FINOPS_MAIL__RECIPIENTS": "a@example.com, b@example.com,",
            "FINOPS_WAREHOUSE__THREADS": "3",
        }
    )
    assert settings.accounts.ou_level == 2
    assert settings.bill.include_tax is False
    assert settings.bill.first_day == date(2024, 2, 29)
    assert settings.mail.recipients == ("a@example.com", "b@example.com")
    assert settings.warehouse.threads == 3


def test_other_variables_of_the_environment_are_not_ours() -> None:
    """Only names that begin with FINOPS_ are settings."""
    assert load({"PATH": "/bin", "XFINOPS_BILL__PATH": "x", "FINOPSBILL": "x", "finops_bill__path": "x"}) == Settings()


def test_a_settings_file_may_be_elsewhere(tmp_path: Path) -> None:
    """FINOPS_SETTINGS names it, and it is not a setting itself."""
    (tmp_path / "other.toml").write_text('[bill]\npath = "there"\n', encoding="utf-8")
    assert load({"FINOPS_SETTINGS": "other.toml"}).bill.path == "there"


PATHS = (
    *("home", "bill.path", "accounts.path", "currency.rates", "budgets.path", "anomalies.events", "mail.bounces"),
    "aws.quicksight_permissions",
)


def toml_of(values: dict[str, str]) -> str:
    """A settings file; dotted names are sections, as TOML has it."""
    return "".join(f"{name} = {value!r}\n" for name, value in values.items())


def paths_of(settings: Settings) -> dict[str, str]:
    return {name: str(attrgetter(name)(settings)) for name in PATHS}


@pytest.mark.parametrize("named", ["conf/finops.toml", "{}/conf/finops.toml"])
def test_the_paths_of_a_settings_file_are_relative_to_its_folder(named: str, tmp_path: Path) -> None:
    """Wherever the command is run, as from cron; absolute paths and those of S3 are what they are."""
    named = named.format(tmp_path)
    file, folder = Path(named), Path(named).parent
    file.parent.mkdir()
    file.write_text(toml_of({name: f"data/{name}" for name in PATHS}), encoding="utf-8")
    assert paths_of(load({"FINOPS_SETTINGS": named})) == {name: f"{folder}/data/{name}" for name in PATHS}
    objects = ("currency.rates", "budgets.path", "anomalies.events", "aws.quicksight_permissions")
    kept = dict.fromkeys(PATHS, "/srv/data") | dict.fromkeys(objects, "s3://bucket/key")
    kept = {name: kept[name] for name in PATHS}
    file.write_text(toml_of(kept), encoding="utf-8")
    assert paths_of(load({"FINOPS_SETTINGS": named})) == kept
    file.write_text(toml_of(dict.fromkeys(PATHS[1:], "")), encoding="utf-8")
    assert paths_of(load({"FINOPS_SETTINGS": named})) == dict.fromkeys(PATHS, "") | {"home": f"{folder}/.finops"}


def test_every_setting_that_names_a_file_is_known_as_a_path(tmp_path: Path) -> None:
    """One that is added later is not forgotten: its description speaks of a file or a folder."""
    fields = {
        f"{section}.{name}": field
        for section, one in Settings.model_fields.items()
        for name, field in getattr(one.annotation, "model_fields", {}).items()
    }
    speak = {n for n, f in fields.items() if re.search(r"\b(file|folder|\.csv)\b", f.description, re.IGNORECASE)}
    others = {"mail.backend", "alerts.backend", "aws.profile", "aws.sns_topic_arn"}
    assert speak - others == {*PATHS} - {"home"}


def test_the_paths_of_the_environment_are_relative_to_the_working_directory() -> None:
    """As a shell completes them; so are those that a program gives."""
    Path("conf").mkdir()
    Path("conf/finops.toml").write_text(toml_of(dict.fromkeys(PATHS, "data")), encoding="utf-8")
    environ = {env_name(name): f"mine/{name}" for name in PATHS if name != "home"}
    settings = load({"FINOPS_SETTINGS": "conf/finops.toml"} | environ, home="given")
    assert paths_of(settings) == {name: f"mine/{name}" for name in PATHS} | {"home": "given"}
    assert load({"FINOPS_SETTINGS": "conf/finops.toml", "FINOPS_HOME": "mine"}).home == Path("mine")


def test_paths_stay_as_they_are_written_where_the_file_is_in_the_working_directory(tmp_path: Path) -> None:
    """So that messages stay short."""
    Path("finops.toml").write_text(toml_of({name: f"data/{name}" for name in PATHS}), encoding="utf-8")
    for named in ({}, {"FINOPS_SETTINGS": "finops.toml"}, {"FINOPS_SETTINGS": str(tmp_path / "finops.toml")}):
        assert paths_of(load(named)) == {name: f"data/{name}" for name in PATHS}


def test_the_demos_home_is_found_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file names the sample bill in its own home, also where an earlier release has written it."""
    sample = tmp_path / "here" / ".finops" / "sample-bill"
    (sample / "focus").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for prefix in ("", ".finops/", "../here/.finops/"):
        (sample.parent / "finops.toml").write_text(f"[bill]\npath = '{prefix}sample-bill/focus'\n")
        assert load({"FINOPS_HOME": str(sample.parent)}).bill.path == str(sample / "focus")
        assert load({"FINOPS_HOME": "../here/.finops"}).bill.path == "../here/.finops/sample-bill/focus"
    monkeypatch.chdir(tmp_path / "here")
    assert load().bill.path == ".finops/sample-bill/focus"


def test_a_file_that_notepad_saved_is_read() -> None:
    """A byte-order mark is no error."""
    assert load(toml=b'\xef\xbb\xbf[bill]\npath = "there"\n').bill.path == "there"


@pytest.mark.parametrize(
    ("environ", "toml", "says", "reason"),
    [
        ({"FINOPS_BILL__PTH": "x"}, None, ("bill.pth (FINOPS_BILL__PTH)", "no such", "FINOPS_BILL__PATH?"), "a typo"),
        ({"FINOPS_FOO": "1"}, None, ("foo (FINOPS_FOO)", "no such setting", "docs/configuration.md"), "unknown"),
        ({"FINOPS_": "1"}, None, ("(FINOPS_)", "no such setting", "docs/configuration.md"), "no name"),
        ({"FINOPS_BILL": "x"}, None, ("FINOPS_BILL", "is a section", "FINOPS_BILL__<KEY>"), "a section"),
        ({"FINOPS_BILL__PATH__X": "x"}, None, ("bill.path (FINOPS_BILL__PATH__X)", "valid string"), "too deep"),
        ({}, "[bill]\npth = 1", ("bill.pth (finops.toml)", "no such setting", "mean bill.path?"), "a typo in the file"),
        ({}, "[bil]\npath = 1", ("bil (finops.toml)", "no such setting", "mean bill?"), "a typo in a section"),
        ({}, 'bill = "x"', ("bill (finops.toml)", "is a section", "[bill]"), "a section that is a value"),
        ({}, "[bill\npath = 1", ("finops.toml", "not valid TOML", "line 1", "Mend"), "broken TOML"),
        ({}, b"\xff\xfe", ("finops.toml", "not valid TOML", "Mend"), "not text"),
        ({"FINOPS_SETTINGS": "gone.toml"}, None, ("FINOPS_SETTINGS=gone.toml", "no such file"), "no such file"),
        ({"FINOPS_PLATFORM": "gcp"}, None, ("platform (FINOPS_PLATFORM)", "'gcp'", "'local' or 'aws'"), "a choice"),
        ({}, '[bill]\nformat = "xml"', ("bill.format (finops.toml)", "'xml'", "'focus'", "'summary'"), "a choice"),
        ({}, '[bill]\ncost_basis = "list"', ("bill.cost_basis", "'list'", "'billed'"), "a choice"),
        ({"FINOPS_BILL__CURRENCY": "usd"}, None, ("bill.currency", "'usd'", "such as USD"), "lower case"),
        ({"FINOPS_BILL__INCLUDE_TAX": "maybe"}, None, ("bill.include_tax", "'maybe'", "boolean"), "not a switch"),
        ({"FINOPS_BILL__FIRST_DAY": "soon"}, None, ("bill.first_day", "'soon'", "valid date"), "not a date"),
        (
            {"FINOPS_ACCOUNTS__OU_LEVEL": "abc"},
            None,
            ("accounts.ou_level", "'abc'", "full, or a number"),
            "not a level",
        ),
        ({"FINOPS_ACCOUNTS__OU_LEVEL": "0"}, None, ("accounts.ou_level", "'0'", "full, or a number", "from 1"), "none"),
        ({}, "[accounts]\nou_level = -1", ("accounts.ou_level", "-1", "from 1 on"), "below none"),
        ({}, "[accounts]\nou_level = true", ("accounts.ou_level", "True", "from 1 on"), "a switch"),
        ({}, "[accounts]\nou_level = 1.5", ("accounts.ou_level", "1.5", "from 1 on"), "half a level"),
        ({}, '[accounts]\nhistory = "now"', ("accounts.history", "'now'", "'as_was' or 'as_is'"), "a choice"),
        ({}, "[mail]\nrecipients = [3]", ("mail.recipients (finops.toml)", "3", "valid string"), "a list's element"),
        ({"FINOPS_MAIL__RESEND_TO": "a@x.org,audit"}, None, ("mail.resend_to", "@example.com: 'audit'"), "no address"),
        ({"FINOPS_MAIL__RESEND_TO": "@*.org"}, None, ("mail.resend_to", "@example.com: '@*.org'"), "a pattern"),
        ({}, '[mail]\nresend_to = ["@"]', ("mail.resend_to (finops.toml)", "@example.com: '@'"), "every domain"),
        ({"FINOPS_WAREHOUSE__MEMORY": "lots"}, None, ("warehouse.memory", "'lots'", "800MB or 2GB"), "not a size"),
        ({"FINOPS_WAREHOUSE__MEMORY": "80%"}, None, ("warehouse.memory", "'80%'", "800MB or 2GB"), "a share"),
        ({"FINOPS_WAREHOUSE__THREADS": "-1"}, None, ("warehouse.threads", "'-1'", "greater than or equal"), "negative"),
        ({"FINOPS_SCHEDULE__CRON": "7 o'clock"}, None, ("schedule.cron", "o'clock", "0 7 * * *"), "not cron"),
        (
            {"FINOPS_HOME": ""},
            None,
            ("home (FINOPS_HOME)", "''", "must name a folder"),
            "would be the working directory",
        ),
        ({}, "home = 5", ("home (finops.toml)", "5", "must name a folder"), "not a path"),
    ],
)
def test_a_wrong_setting_is_named(environ: dict, toml: str | bytes | None, says: tuple[str, ...], reason: str) -> None:
    """The error says which setting, where it stands, what is wrong with it, and what to write."""
    with pytest.raises(SettingsError) as caught:
        load(environ, toml)
    message, at = str(caught.value), 0
    for part in says:
        at = message.find(part, at)
        assert at >= 0, (reason, part, message)
    assert caught.value.fix
    assert "pydantic" not in message.lower()


def test_the_error_names_the_source_that_wins() -> None:
    """Where the file and the environment both set it, the environment is to be mended."""
    with pytest.raises(SettingsError, match=r"bill.format \(FINOPS_BILL__FORMAT\): 'xml'"):
        load({"FINOPS_BILL__FORMAT": "xml"}, '[bill]\nformat = "cur"\n')


def test_names_of_the_environment_are_made_of_the_settings() -> None:
    """bill.cost_basis is FINOPS_BILL__COST_BASIS."""
    assert env_name("bill.cost_basis") == "FINOPS_BILL__COST_BASIS"


@pytest.mark.parametrize("memory", ["800MB", "1.5GB", "512MiB", "2 GB", "1TB"])
def test_every_size_that_is_accepted_is_one_that_duckdb_takes(memory: str) -> None:
    """warehouse.memory is refused where it is set, never later by the engine."""
    config = {"memory_limit": WarehouseSettings(memory=memory).memory}
    con = connect(config)
    assert con.execute("SELECT current_setting('memory_limit')").fetchone()
    con.close()


@pytest.mark.parametrize("memory", ["", "MB", "-1GB", "800", "8 00MB", "1,5GB", "80%", "unlimited", "1GB; DROP"])
def test_no_size_that_duckdb_would_misread_is_accepted(memory: str) -> None:
    """What is not a size is refused."""
    with pytest.raises(ValueError, match="800MB"):
        WarehouseSettings(memory=memory)


# --- the home -----------------------------------------------------------------------------------------------------


def write_demo_home(home: Path) -> None:
    (home / "sample-bill" / "focus").mkdir(parents=True)
    text = f"[bill]\npath = '{home / 'sample-bill' / 'focus'}'\n\n[accounts]\npath = '{home / 'accounts.csv'}'\n"
    (home / "finops.toml").write_text(text, encoding="utf-8")


def test_the_demos_settings_are_below_a_persons_own() -> None:
    """In the demo's home its sample bill is the bill; everything else can still be set."""
    write_demo_home(Path(".finops"))
    settings = load(toml="[mail]\nsubject_prefix = 'Costs'\n")
    assert settings.bill.path == ".finops/sample-bill/focus"
    assert settings.mail.subject_prefix == "Costs"
    assert load({"FINOPS_BILL__PATH": ".finops/sample-bill/cur2"}).bill.path == ".finops/sample-bill/cur2"


def test_a_home_with_the_samples_days_takes_no_other_bill() -> None:
    """Invented and real days never mix: the error names both, and the way out."""
    write_demo_home(Path(".finops"))
    with pytest.raises(SettingsError, match=r"bill.path: the home .finops holds the days of the sample.*FINOPS_HOME"):
        load({"FINOPS_BILL__PATH": "mine"})
    assert load({"FINOPS_BILL__PATH": "mine", "FINOPS_HOME": ".finops-mine"}).bill.path == "mine"


def test_the_folder_of_a_persons_own_settings_is_no_home() -> None:
    """The demo empties its home: a folder with somebody's own finops.toml must not be one."""
    with pytest.raises(SettingsError, match=r"home \(FINOPS_HOME\): the home \. is the folder of your own finops.toml"):
        load({"FINOPS_HOME": "."}, "[bill]\npath = 'mine'\n")


def test_a_broken_file_in_the_home_is_named() -> None:
    """The demo's own file can be broken too."""
    write_demo_home(Path(".finops"))
    Path(".finops/finops.toml").write_text("bill = 3", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"bill \(.finops/finops.toml\): is a section"):
        load()


def test_a_home_that_cannot_be_written_is_named() -> None:
    """The error names the folder and the setting that gives another."""
    home = "file/below"
    Path("file").write_text("", encoding="utf-8")
    settings = load({"FINOPS_HOME": home})
    with pytest.raises(ArchiveError, match=rf"{home} \(home\): cannot be written: .*FINOPS_HOME"):
        require_home(settings)
    with pytest.raises(ArchiveError, match=rf"{home}/archive \(home\): cannot be written: .*FINOPS_HOME"):
        build_platform(settings).archive.put("note.json", b"{}")


def test_what_aws_needs_is_named() -> None:
    """Nothing is asked of AWS before the settings say where."""
    with pytest.raises(SettingsError, match=r"aws.bucket \(FINOPS_AWS__BUCKET\): is not set"):
        build_platform(load({"FINOPS_PLATFORM": "aws"}))


def test_loading_settings_touches_nothing() -> None:
    """No folder is made and no engine started by reading settings."""
    load({"FINOPS_HOME": "new-home"})
    assert list(Path().iterdir()) == []
