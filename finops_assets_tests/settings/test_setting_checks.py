"""Cron expressions and mail addresses are checked when the settings are read, by every command."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner
from dagster._utils.schedules import cron_string_iterator
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from finops_assets.cli.main import main
from finops_assets.core.cron import DAY, HOUR, MINUTE, MONTH, WEEKDAY, Cron, Field, parse_cron
from finops_assets.core.errors import SettingsError
from finops_assets.settings.load import env_name, load_settings
from finops_assets.settings.model import Settings

CRON = ("schedule.cron", "schedule.checks_cron", "schedule.doctor_cron", "schedule.verify_cron")
CRON += ("schedule.evidence_cron",)


def test_every_cron_setting_is_tried_here() -> None:
    """One that is added is checked, too."""
    fields = Settings.model_fields["schedule"].annotation.model_fields
    assert {f"schedule.{name}" for name in fields if name.endswith("cron")} == set(CRON)


# --- cron ---------------------------------------------------------------------------------------------------------

WRONG = {
    "61 7 * * *": "minute cannot be 61: it is 0 to 59",
    "*/0 7 * * *": "minute cannot be */0: a step is 1 to 59",
    "*/99 7 * * *": "minute cannot be */99: a step is 1 to 59",
    "54-54 7 * * *": "minute cannot be 54-54: a range begins with the smaller one",  # each minute for Dagster
    "59/7 7 * * *": "minute cannot be 59/7",  # 7, 14, ... for Dagster
    "*,5 7 * * *": "minute cannot be *,5",
    "0, 7 * * *": "minute cannot be 0,",
    "0 24 * * *": "hour cannot be 24: it is 0 to 23",
    "0 7-5 * * *": "hour cannot be 7-5: a range begins with the smaller one",
    "0 -7 * * *": "hour cannot be -7",
    "0 7 32 * *": "day of the month cannot be 32: it is 1 to 31",
    "0 7 0 * *": "day of the month cannot be 0: it is 1 to 31",
    "0 7 LW * *": "day of the month cannot be LW",
    "0 7 1 13 *": "month cannot be 13: it is 1 to 12",
    "0 7 1 MAI *": "month cannot be MAI: it is 1 to 12, or JAN to DEC",
    "30 6 * * FOO": "weekday cannot be FOO: it is 0 to 7, or SUN to SAT",
    "30 6 * * 8": "weekday cannot be 8",
    "30 6 * * 5#2": "weekday cannot be 5#2",
    "30 6 * * L": "weekday cannot be L",
    "0 7 31 2 *": "day of the month cannot be 31: no month of 2 has that day",
    "0 7 31 FEB MON": "day of the month cannot be 31",
    "0 7 30,31 2 *": "day of the month cannot be 30,31",
    "0 7 31 4,6,9,11 *": "day of the month cannot be 31",
    "0 7 */2 * MON": "step of all (*/2) in the day of the month or the weekday",  # both, or either, by the program
    "0 7 * *": "five fields, such as 0 7 * * *",
    "0 0 7 * * *": "five fields",
    "@daily": "five fields",
    "": "five fields",
    "7 o'clock": "five fields",
    "ü 7 * * *": "minute cannot be ü",
    "٣ 7 * * *": "minute cannot be ٣",
}


@pytest.mark.parametrize("setting", CRON)
@pytest.mark.parametrize(("expression", "says"), WRONG.items(), ids=WRONG.keys())
def test_a_wrong_cron_expression_is_named_with_its_field(setting: str, expression: str, says: str) -> None:
    """Ranges, names, the number of fields, and days that no month has."""
    variable = env_name(setting)
    with pytest.raises(SettingsError) as caught:
        load_settings({variable: expression})
    assert caught.value.where == f"{setting} ({variable})"
    assert says in caught.value.what


@pytest.mark.parametrize("words", [("run",), ("status",), ("doctor",), ("query", "SELECT 1"), ("dev",)])
def test_every_command_refuses_it_with_one_line(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is done: exit code 2, and the line names the setting."""
    monkeypatch.chdir(tmp_path)
    for setting, value in (("schedule.cron", "61 7 * * *"), ("mail.recipients", "anna")):
        done = CliRunner().invoke(main, words, env={env_name(setting): value})
        assert done.exit_code == 2
        (line,) = done.output.splitlines()
        assert line.startswith(f"error: {setting} ({env_name(setting)}): ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("expression", ["0 */6 * * *", "*/30 7 * * *", "0,30 7 * * *", "0 7,19 * * 1", "* * * * *"])
def test_checks_more_than_once_a_day_are_refused_with_the_reason(expression: str) -> None:
    """Dagster's freshness takes no limit that is longer than the wait between two checks."""
    with pytest.raises(SettingsError, match=r"at most once a day: .* 24 hours") as caught:
        load_settings({"FINOPS_SCHEDULE__CHECKS_CRON": expression})
    assert caught.value.where == "schedule.checks_cron (FINOPS_SCHEDULE__CHECKS_CRON)"
    others = {env_name(name): expression for name in CRON if name != "schedule.checks_cron"}
    assert load_settings(others).schedule.cron == expression


def test_blanks_between_the_fields_do_not_count() -> None:
    """Dagster gets one blank."""
    assert load_settings({"FINOPS_SCHEDULE__CRON": " 0  7\t* *  mon-fri "}).schedule.cron == "0 7 * * mon-fri"


def part(field: Field) -> st.SearchStrategy[str]:
    """One field of an expression: numbers, names, ranges, steps and lists, most of them acceptable."""
    number = st.integers(field.low, field.high)
    named = number.map(lambda n: field.names[(n - field.low) % len(field.names)].lower() if field.names else str(n))
    one = st.one_of(number.map(str), named)
    spread = st.tuples(one, one).map("-".join)
    step = st.integers(1, field.high - field.low).map(str)
    term = st.one_of(one, spread, st.tuples(spread, step).map("/".join))
    return st.one_of(st.just("*"), step.map("*/{}".format), st.lists(term, min_size=1, max_size=3).map(",".join))


EXPRESSIONS = st.tuples(*map(part, (MINUTE, HOUR, DAY, MONTH, WEEKDAY))).map(" ".join)


def times_after(cron: Cron, start: datetime) -> Iterator[datetime]:
    """The times of an expression after one, one by one."""
    while True:
        start = cron.next_from(start + timedelta(minutes=1))
        yield start


@given(EXPRESSIONS)
@example("0 7 * * *")
@example("30 6 * * MON-FRI")
@example("30 6 * * SAT-SUN")
@example("0 9 16 * *")
@example("0 9 29 2 *")
@example("0 7 5 * 1-7")
@example("*/40 */5 1-31/7 */5 5-7")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_accepted_is_what_dagster_takes_and_reads_alike(expression: str) -> None:
    """A schedule of it has the same times; one that fires once a day has a freshness policy of 24 hours, too."""
    try:
        cron = parse_cron(expression)
    except ValueError:
        return
    dg.ScheduleDefinition(name="s", job_name="j", cron_schedule=cron.text, execution_timezone="UTC")
    start = datetime(2025, 1, 1, tzinfo=UTC)
    times = islice(cron_string_iterator(start.timestamp() + 1, cron.text, "UTC"), 3)
    assert list(times) == list(islice(times_after(cron, start), 3))
    if cron.at_most_once_a_day:
        dg.FreshnessPolicy.cron(deadline_cron=cron.text, lower_bound_delta=timedelta(hours=24), timezone="UTC")


def test_the_last_day_of_a_month_is_accepted() -> None:
    """As Dagster takes it."""
    assert load_settings({"FINOPS_SCHEDULE__EVIDENCE_CRON": "0 9 L * *"}).schedule.evidence_cron == "0 9 L * *"
    start = datetime(2025, 2, 1, tzinfo=UTC)
    times = [datetime(2025, month, day, 9, tzinfo=UTC) for month, day in ((2, 28), (3, 31), (4, 30))]
    assert list(islice(cron_string_iterator(start.timestamp(), "0 9 L * *", "UTC"), 3)) == times
    assert list(islice(times_after(parse_cron("0 9 L * *"), start), 3)) == times


def test_a_tick_at_the_very_moment_counts() -> None:
    """A day's deadline at midnight is the end of the day."""
    over = datetime(2025, 9, 11, tzinfo=UTC)
    assert parse_cron("0 0 * * *").next_from(over) == over
    assert parse_cron("0 7 * * *").next_from(over) == over + timedelta(hours=7)


def test_the_last_time_in_between() -> None:
    """What is due since a moment: after it, and not after now; seconds late is still after."""
    cron, day = parse_cron("0 7 * * *"), datetime(2025, 9, 11, 7, tzinfo=UTC)
    late = timedelta(seconds=40)
    assert cron.last_between(day - late, day + late) == day
    assert cron.last_between(day + late, day + timedelta(hours=23)) is None
    assert cron.last_between(day, day + timedelta(days=1)) == day + timedelta(days=1)
    assert cron.last_between(day, day + timedelta(days=3, hours=-1)) == day + timedelta(days=2)


# --- addresses ----------------------------------------------------------------------------------------------------

ADDRESSES = {
    "mail.sender": "FinOps <a@example.com>",
    "mail.recipients": "Anna <a@example.com>",
    "mail.executives": "a+b@mail.example.com",
    "mail.resend_to": "@example.com",
    "alerts.recipients": "root@localhost",
    "alerts.heartbeat_recipients": "a@example.com",
}


@pytest.mark.parametrize("setting", [*ADDRESSES, "mail.by_ou"])
@pytest.mark.parametrize("wrong", ["anna", "a@", "@", "a@b@c.org", "a b@example.com", "a@exämple.com", "a..b@x.org"])
def test_a_wrong_mail_address_is_named(setting: str, wrong: str) -> None:
    """Where it is set, by the rule that the mail itself is held to."""
    text = json.dumps({"Workloads/Prod": ["a@example.com", wrong]}) if setting == "mail.by_ou" else wrong
    with pytest.raises(SettingsError) as caught:
        load_settings({env_name(setting): text})
    assert setting in caught.value.where
    assert env_name(setting) in caught.value.where
    assert repr(wrong) in caught.value.what
    assert "example.com" in caught.value.what


@pytest.mark.parametrize(("setting", "value"), ADDRESSES.items())
def test_addresses_are_accepted(setting: str, value: str) -> None:
    """With a name, where they are the address of a message."""
    section, _, key = setting.partition(".")
    found = getattr(getattr(load_settings({env_name(setting): value}), section), key)
    assert found == (value if setting == "mail.sender" else (value,))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('["Team, Finance <a@example.com>", "b@example.com"]', ("Team, Finance <a@example.com>", "b@example.com")),
        ("a@example.com, b@example.com", ("a@example.com", "b@example.com")),
        ("[]", ()),
        ("", ()),
    ],
)
def test_a_list_of_the_environment_is_json_or_separated_by_commas(text: str, found: tuple[str, ...]) -> None:
    """JSON where a name has a comma in it."""
    assert load_settings({"FINOPS_ALERTS__RECIPIENTS": text}).alerts.recipients == found
    with pytest.raises(SettingsError, match=r"alerts.recipients .*JSON list, or addresses separated by commas"):
        load_settings({"FINOPS_ALERTS__RECIPIENTS": '["a@example.com"'})


def test_reading_the_settings_loads_nothing_heavy(tmp_path: Path) -> None:
    """Every command does it first."""
    heavy = ("dagster", "duckdb", "pyarrow", "sqlglot", "boto3", "jinja2", "email.headerregistry")
    code = "import sys; from finops_assets.settings.load import load_settings; load_settings(); "
    code += f"print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
