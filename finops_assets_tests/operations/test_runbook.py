"""The runbook, tried: each heading's failure really happens, looks as it says, and is over once its commands are typed.

A test is named after its heading, and types only commands that stand below it. Most of them play on copies of one
home, with a clock; what only AWS can do wrong, on the stand-in.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore import xform_name
from click.testing import CliRunner

from finops_assets.adapters.aws.athena import Athena
from finops_assets.cli import common
from finops_assets.cli import main as cli
from finops_assets.cli.dev import Holder, lock_home
from finops_assets.core.archive.causes import CAUSES
from finops_assets.core.operations.alert_messages import KINDS
from finops_assets.core.operations.alerting import FRESHNESS
from finops_assets.core.operations.watch import Attempts
from finops_assets.core.reports.drawing import Drawing
from finops_assets.core.schemas import day_path
from finops_assets.defs import build, run
from finops_assets.defs.keys import EVIDENCE_JOB
from finops_assets.defs.same_origin import SameOriginMiddleware, public_origin
from finops_assets.platform import Platform
from finops_assets.settings.model import Settings
from finops_assets.stories import sample_bill
from finops_assets.stories.scenarios import bounce_report
from finops_assets.stories.simulation import Simulation, crashing
from finops_assets_tests.support.bills import ACCOUNT, at, line, make_bill
from finops_assets_tests.support.on_aws import DATA_SET, RECIPIENTS, make_ready, on_aws, platform_on
from standin.server import StandIn

pytestmark = pytest.mark.usefixtures("records_in_memory")

RUNBOOK = (Path(__file__).parents[2] / "docs" / "runbook.md").read_text(encoding="utf-8")

FIRST, DAY, MORNING = date(2025, 8, 24), date(2025, 9, 4), date(2025, 9, 5)
"""The first day of the prepared homes, the day that the stories are about, the morning after it."""

BEFORE, PAST = DAY - timedelta(days=1), date(2025, 8, 30)
"""The day before, which has a digest of its own; one that the digest of a backfill covers."""

FINANCE, CTO = "finance@example.com", "cto@example.com"
TRIES = 3
"""A step that fails unexpectedly is tried twice more."""

# --- the page -----------------------------------------------------------------------------------------------------


def anchor(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def sections() -> dict[str, str]:
    """Heading -> what stands below it."""
    parts = re.split(r"^## (.+)$", RUNBOOK, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def blocks_of(text: str) -> list[str]:
    """Each line of a code block, without its comment."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [re.sub(r"\s+# .*$", "", line) for block in blocks for line in block.splitlines()]


def code_of(text: str) -> list[str]:
    """Those, and each code span."""
    spans = re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    return [*blocks_of(text), *(" ".join(span.split()) for span in spans)]


def commands_of(text: str) -> list[str]:
    """What is typed; a setting before a command belongs to it."""
    finops = [code for code in code_of(text) if re.match(r"(FINOPS_\w+=\S+ )*finops ", code)]
    return [*finops, *(line for line in blocks_of(text) if line.startswith("aws "))]


def examples() -> dict[str, str]:
    """The variables that the page sets."""
    exports = " ".join(line for line in blocks_of(RUNBOOK) if line.startswith("export "))
    return dict(pair.split("=", 1) for pair in exports.split() if pair != "export")


def filled(command: str, values: Mapping[str, Any]) -> str:
    """Variables replaced as a shell does."""
    return re.sub(r"\$([A-Z_]+)", lambda found: str(values[found[1]]), command)


def timeless(text: str) -> str:
    """Days, months and addresses made the same: what the page has as examples is found in a story."""
    text = re.sub(r"\b(\d{4}-\d\d(-\d\d)?|\d{1,2} [A-Z][a-z]{2} \d{4})\b", "DATE", " ".join(text.split()))
    return re.sub(r"[\w.]+@example\.com", "ADDRESS", text)


@dataclass(frozen=True)
class Page:
    """What stands below one heading."""

    heading: str
    text: str

    @classmethod
    def of(cls, heading: str) -> Page:
        return cls(heading, sections()[heading])


@pytest.fixture
def page(request: pytest.FixtureRequest) -> Page:
    """The section that the test is named after."""
    wanted = request.node.name.removeprefix("test_").replace("_", "-")
    return Page.of(next(heading for heading in sections() if anchor(heading) == wanted))


def test_every_heading_is_tried() -> None:
    """Each heading of the page has a test of its name, and each kind of alert has a heading."""
    assert {kind.heading for kind in KINDS.values()} <= sections().keys()
    wanted = {f"test_{anchor(heading).replace('-', '_')}" for heading in sections()}
    assert {name for name in wanted if name not in globals()} == set()


def test_every_heading_answers_the_same_questions() -> None:
    """What one sees, what happens by itself, what to do, and when it is over: in this order, each once."""
    asked = ("What you see.", "By itself.", "What to do.", "It is over when")
    for heading, text in sections().items():
        assert re.findall(r"^\*\*(.+?)\*\*", text, re.MULTILINE) == list(asked), heading


def test_the_table_leads_to_every_heading() -> None:
    """Each heading is found by what one sees, and every link within the page leads somewhere."""
    anchors = {anchor(heading) for heading in sections()}
    table = RUNBOOK.split("\n## ")[0]
    assert set(re.findall(r"\]\(#([\w-]+)\)", table)) == anchors
    assert set(re.findall(r"\]\(#([\w-]+)\)", RUNBOOK)) == anchors


@pytest.mark.parametrize("command", sorted({code for code in commands_of(RUNBOOK) if not code.startswith("aws ")}))
def test_every_command_is_one_that_finops_takes(command: str) -> None:
    """Each `finops` on the page is a command, with arguments and options that click accepts."""
    words = [word for word in shlex.split(filled(command, examples())) if not word.startswith("FINOPS_")]
    assert words.pop(0) == "finops"
    found: click.Command = cli.main
    while words and isinstance(found, click.Group):
        assert words[0] in found.commands, command
        found = found.commands[words.pop(0)]
    if words:  # one without anything is a name in a sentence
        found.make_context(found.name, words)


@pytest.mark.parametrize("command", sorted({code for code in commands_of(RUNBOOK) if code.startswith("aws ")}))
def test_every_aws_command_is_one_that_aws_takes(command: str, running: StandIn) -> None:
    """Service and operation are there, with the parameters that they require."""
    _, model, request = asked_of(running, filled(command, examples()))
    assert set(model.input_shape.required_members) <= request.keys() <= model.input_shape.members.keys()


def asked_of(aws: StandIn, command: str) -> tuple[Any, Any, dict[str, str]]:
    """The client, the operation's model and the request that an `aws` command stands for."""
    _, service, name, *words = shlex.split(command)
    client = aws.client(service)
    operations = {xform_name(each, "-"): each for each in client.meta.service_model.operation_names}
    model = client.meta.service_model.operation_model(operations[name])
    members = {xform_name(each, "-"): each for each in model.input_shape.members}
    options = [option.removeprefix("--") for option in words[::2]]
    return client, model, {members[option]: value for option, value in zip(options, words[1::2], strict=True)}


def test_every_name_on_the_page_is_one_of_ours(begin: Callable[..., Home]) -> None:
    """Assets, checks, jobs, sensors, schedules and settings that the page names are there."""
    repository = begin(page="A run failed").sim.definitions.get_repository_def()
    graph = repository.asset_graph
    names = {key.to_user_string() for key in graph.get_all_asset_keys()} | {key.name for key in graph.asset_check_keys}
    names |= {each.name for each in (*repository.get_all_jobs(), *repository.schedule_defs, *repository.sensor_defs)}
    for section, found in Settings.model_fields.items():
        names |= {f"{section}.{key}" for key in getattr(found.annotation, "model_fields", ())}
    names |= {"ou_charges", "dimension_breakdown", "commitments"}  # tables beside the assets
    spans = {code for code in code_of(RUNBOOK) if re.fullmatch(r"[a-z]+(_[a-z]+)+|[a-z]+\.[a-z_]+", code)}
    assert spans - names == {"finops.toml", "accounts.csv", "events.csv"}


# --- whoever types --------------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Desk:
    """Somebody with the runbook open at a page, who types what it says.

    `environ` are the settings in force, `values` what the variables on the page are in this story.
    """

    page: Page
    environ: Mapping[str, str]
    values: dict[str, Any]
    aws: StandIn | None = None

    def types(self, command: str, code: int = 0, **values: Any) -> str:
        """What a command of the page prints; it must end with this exit code."""
        assert command in commands_of(self.page.text), f"{command!r} is not below {self.page.heading!r}"
        self.values |= values
        line = filled(command, self.values)
        if line.startswith("aws "):
            client, model, request = asked_of(self.aws, line)
            return str(getattr(client, xform_name(model.name))(**request))
        words = shlex.split(line)
        settings = dict(word.split("=", 1) for word in words if word.startswith("FINOPS_"))
        done = CliRunner().invoke(cli.main, words[len(settings) + 1 :], env={**self.environ, **settings})
        assert done.exit_code == code, f"{line}\n{done.output}"
        return done.output

    def sees(self, words: str, found: str) -> None:
        """The page tells these words, and they are what is really there."""
        assert timeless(words) in timeless(self.page.text), f"the runbook does not say {words!r}"
        assert timeless(words) in timeless(found), found

    def hears(self, alert: tuple[str, str], under: str = "", *, clear: bool = False) -> str:
        """An alert's text: its subject is on the page, and it leads there, or to the heading that it is `under`."""
        subject, text = alert
        assert subject.startswith("FinOps: all clear, ") == clear, subject
        known = [timeless(code) for code in code_of(self.page.text) if code.startswith("FinOps: ")]
        assert any(timeless(subject).startswith(each) for each in known), f"the runbook does not know {subject!r}"
        assert text.rstrip().endswith(f"Runbook: docs/runbook.md#{anchor(under or self.page.heading)}"), text
        return text


@pytest.fixture(autouse=True)
def no_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than all else of a run."""
    drawing = Drawing(lambda _: b"", lambda *_: b"")
    monkeypatch.setattr(run, "drawing_beside", lambda: nullcontext(drawing))
    for module in (run, build):
        monkeypatch.setattr(module, "Drawing", lambda: drawing)


def tell_time(monkeypatch: pytest.MonkeyPatch, now: Callable[[], datetime]) -> None:
    """Have the command take this for the time."""
    monkeypatch.setattr(common, "now", now)


@dataclass(kw_only=True)
class Home(Desk):
    """A desk before the embedded platform, in a home in which time is told."""

    sim: Simulation

    @property
    def alert(self) -> tuple[str, str]:
        return self.alerts[-1]

    @property
    def alerts(self) -> list[tuple[str, str]]:
        return [(mail["Subject"], mail.get_content()) for mail in self.sim.alerts()]

    @property
    def mails(self) -> list[str]:
        return [mail["Subject"].strip() for mail in self.sim.mails()]

    @property
    def red(self) -> set[str]:
        """What is red of the newest run in Dagster: assets and checks."""
        (newest,) = self.sim.instance.get_runs(limit=1)
        kinds = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.ASSET_CHECK_EVALUATION}
        events = [entry.dagster_event for entry in self.sim.instance.all_logs(newest.run_id, of_type=kinds)]
        checks = [event.asset_check_evaluation_data for event in events if not event.is_step_failure]
        failed = {check.check_name for check in checks if not check.passed}
        return {event.step_key for event in events if event.is_step_failure} | failed


PEOPLE = {"mail.recipients": f"{FINANCE},{CTO}"}


Records = dict[Path, dg.DagsterInstance | None]


@dataclass(frozen=True)
class Prepared:
    """A folder with the homes: `empty`, `evening` before DAY's bill, `whole` with all days; and their sample bill."""

    folder: Path
    bill: sample_bill.SampleBill

    def simulation(self, home: Path, **how: Any) -> Simulation:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(sample_bill, "write_sample_bill", lambda *_: self.bill)
            return Simulation(home, FIRST, DAY, PEOPLE, draw=lambda _: b"", **how)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("runbook")
    made = Prepared(folder, sample_bill.write_sample_bill(folder / "bill", DAY, (DAY - FIRST).days + 1))
    sim = made.simulation(folder / "whole")
    sim.at(DAY, "02:00")
    sim.deliver(BEFORE)
    shutil.copytree(folder / "whole", folder / "empty")
    sim.launch("a backfill", [sim.request(FIRST, BEFORE)])
    sim.sensors()
    shutil.copytree(folder / "whole", folder / "evening")
    sim.at(MORNING, "02:10")
    sim.deliver(DAY)
    sim.sensors()
    sim.close()
    assert [ran.success for ran in sim.ran] == [True, True]
    return made


@pytest.fixture
def begin(
    prepared: Prepared,
    records_in_memory: Records,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[..., Home]]:
    """Begins a story: `begin("whole", "07:05")` is the morning after DAY, in a copy of a home; `""` the one before.

    Dagster's records, which the copy has too, are in memory from here on, but for stories that are about their files.
    """
    begun: list[Simulation] = []

    def home(kind: str = "whole", clock: str = "07:05", page: str = "", on_disk: bool = False, **how: Any) -> Home:
        folder = tmp_path / "home"
        shutil.copytree(prepared.folder / kind, folder)
        sim = prepared.simulation(folder, in_memory=not on_disk, **how)
        records_in_memory[sim.platform.settings.dagster_home] = None if on_disk else sim.instance
        begun.append(sim)
        sim.at(*((MORNING, clock) if clock else (DAY, "02:00")))
        tell_time(monkeypatch, lambda: sim.now)
        settings = {
            "HOME": folder,
            "BILL__PATH": sim.bill,
            "BILL__FIRST_DAY": FIRST,
            "ACCOUNTS__PATH": sim.accounts,
            "MAIL__RECIPIENTS": PEOPLE["mail.recipients"],
            "SCHEDULE__RETRY_SECONDS": 0,
        }
        return Home(
            page=Page.of(page) if page else request.getfixturevalue("page"),
            environ={f"FINOPS_{name}": str(value) for name, value in settings.items()},
            values={"DAY": DAY, "FIRST": FIRST, "LAST": DAY, "MONTH": "2025-08", "ADDRESS": CTO},
            sim=sim,
        )

    yield home
    for sim in begun:
        sim.close()


# --- on the embedded platform -----------------------------------------------------------------------------------------


def test_the_bill_is_late(begin: Callable[..., Home]) -> None:
    """At 07:00 the team has an alert and the readers a digest that says so; the export is run by hand when it comes."""
    desk = begin("evening", "")
    desk.sim.at(DAY, "22:00")
    desk.sim.deliver(DAY)  # a part of the day, as AWS delivers it
    desk.sim.morning(DAY)
    text = desk.hears(desk.alert)
    assert "before 2025-09-04 was over" in text
    desk.sees("no bill yet; data through", desk.mails[-1])
    assert desk.red == {"finops_daily_summary", "no_day_empty"}
    assert not desk.sim.checks()
    assert desk.red & set(FRESHNESS) == {"yesterday_is_published", "yesterday_is_mailed"}
    desk.types("finops doctor")
    desk.sees("source late", desk.types("finops gaps", code=1))

    desk.sim.at(MORNING, "16:00")
    desk.sim.deliver(DAY)
    desk.types("finops run --date $DAY")
    desk.hears(desk.alert, clear=True)
    desk.sees("4 Sep 2025, revision 2", desk.mails[-1])
    assert desk.types("finops status").count(" sent") == len(desk.sim.platform.archive.days())


def failing_catalog(desk_platform: Platform) -> Platform:
    """A run's catalog fails until it has been tried three times."""
    left = [RuntimeError("the disk of the catalog is full")] * TRIES
    return crashing(desk_platform, "catalog", "register", lambda: left.pop() if left else None)


def test_a_run_failed(begin: Callable[..., Home]) -> None:
    """The alert names the asset and the cause; nothing behind it ran; the command finishes the day."""
    desk = begin("evening", "02:10", adapt=failing_catalog)
    desk.sim.deliver(DAY)
    mails = desk.mails
    desk.sim.sensors()
    text = desk.hears(desk.alert)
    assert "athena_partition failed: the disk of the catalog is full" in text
    assert f"Mend it: finops run --date {DAY}" in text
    assert (desk.red, desk.mails) == ({"athena_partition"}, mails)
    assert f"{DAY}: no partition" in desk.types("finops doctor --date $DAY", code=1)

    desk.types("finops run --date $DAY")
    desk.hears(desk.alert, clear=True)
    desk.sees("all whole", desk.types("finops gaps"))


def test_a_day_is_missing(begin: Callable[..., Home]) -> None:
    """One that the bill has lost is told; what mends it mails nobody; every cause of `finops gaps` is on the page."""
    desk = begin("whole", "03:00")
    (desk.sim.platform.settings.archive_folder / day_path(PAST)).unlink()
    desk.sim.deliver(DAY, without=frozenset((PAST,)))
    desk.sim.sensors()
    desk.sees("source has no such day", desk.hears(desk.alert))
    desk.sees("source has no such day", desk.types("finops gaps", code=1))
    assert {cause for cause in CAUSES if f"`{cause}`" not in desk.page.text} == set()

    mails = desk.mails
    desk.sim.deliver(DAY)
    desk.types("finops doctor --repair --yes")
    desk.sim.sensors()
    desk.hears(desk.alert, clear=True)
    desk.sees("all whole", desk.types("finops gaps"))
    assert desk.mails == mails


def test_something_cannot_be_looked_at(begin: Callable[..., Home]) -> None:
    """A bill that was cut while it was copied: told after ten minutes, named by doctor, all clear once it is whole."""
    desk = begin("whole", "03:00")
    desk.sim.deliver(DAY)
    for file in desk.sim.bill.rglob("*.parquet"):
        file.write_bytes(file.read_bytes()[:200])
    alerts = len(desk.alerts)
    desk.sim.sensors()
    assert len(desk.alerts) == alerts
    desk.sim.at(DAY + timedelta(days=1), "03:11")
    desk.sim.sensors()
    assert ".parquet" in desk.hears(desk.alert)
    assert ".parquet" in desk.types("finops doctor", code=1)

    desk.sim.deliver(DAY)
    desk.sim.sensors()
    desk.hears(desk.alert, clear=True)


def test_yesterday_is_not_done(begin: Callable[..., Home]) -> None:
    """The bill is there and nothing was run: the checks of 07:30 tell it, and are green once the day is run by hand."""
    desk = begin("evening", "07:30")
    desk.sim.deliver(DAY)
    assert not desk.sim.checks()
    desk.hears(desk.alert)
    for promise in ("yesterday_is_published", "yesterday_is_mailed"):
        desk.sees(promise, desk.alert[1])
    assert f"{DAY}: no object" in desk.types("finops doctor --date $DAY", code=1)

    desk.types("finops run --date $DAY")
    desk.sim.sensors()
    desk.hears(desk.alert, clear=True)
    assert desk.sim.checks()


def test_a_mailed_day_was_restated(begin: Callable[..., Home]) -> None:
    """A large move is told, mailed as a revision and all clear by itself; the query shows each changed row."""
    desk = begin("whole", "03:00")
    desk.sim.deliver(DAY, {BEFORE: 1.25})
    desk.sim.sensors()
    broken, healed = desk.alerts[-2:]
    assert "was mailed with 5,357.66 USD and is 6,697.07 USD now" in desk.hears(broken)
    desk.hears(healed, clear=True)
    desk.sees("revision 2", desk.mails[-1])
    sql = next(command for command in commands_of(desk.page.text) if "restatements" in command)
    rows = desk.types(sql, DAY=BEFORE).splitlines()
    assert rows[0].split() == ["ou", "service", "linkedaccount", "oldcost", "newcost", "delta"]
    assert len(rows) > 100


def test_a_month_has_no_evidence(begin: Callable[..., Home]) -> None:
    """What is in the way is named; once it is gone, the month is made by hand, and its bundle is whole."""
    desk = begin()
    desk.sim.at(date(2025, 9, 16), "09:00")
    in_the_way = desk.sim.platform.settings.archive_folder / "evidence"
    in_the_way.write_text("a file")
    assert not desk.sim.run(EVIDENCE_JOB, "2025-08", "the schedule", partition_key="2025-08")
    assert "Mend it: finops evidence make 2025-08" in desk.hears(desk.alert)
    assert desk.red == {"monthly_evidence"}

    in_the_way.unlink()
    desk.types("finops evidence make $MONTH")
    desk.hears(desk.alert, clear=True)
    desk.sees("is whole", desk.types("finops evidence verify $MONTH"))


def test_a_mail_bounced(begin: Callable[..., Home]) -> None:
    """Who does not read it is told; the report is removed, the digest is sent again, and it is all clear."""
    desk = begin()
    report = desk.sim.platform.settings.bounces_folder / "returned.eml"
    report.parent.mkdir()
    report.write_text(bounce_report(CTO, desk.sim.now), encoding="utf-8")
    desk.sim.sensors()
    text = desk.hears(desk.alert)
    assert "User unknown" in text
    assert f"remove the report of it: {report}" in text
    desk.sees("bounces", desk.types("finops doctor", code=1))

    report.unlink()
    assert CTO in desk.types("finops resend $DAY --to $ADDRESS")
    desk.sim.sensors()
    desk.hears(desk.alert, clear=True)


ODD, HISTORY = date(2025, 9, 17), 42
"""A day that will be odd, and how many days before it are archived: it is judged by them."""


def with_history(home: Path) -> Simulation:
    """A home whose calendar, beside it, plans nothing."""
    events = home.with_name("events.csv")
    if not events.exists():
        home.parent.mkdir(parents=True, exist_ok=True)
        events.write_text("first,last,ou,service,what\n", encoding="utf-8")
    first, settings = ODD - timedelta(days=HISTORY), {**PEOPLE, "anomalies.events": str(events)}
    return Simulation(home, first, ODD, settings, draw=lambda _: b"", in_memory=True)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the six weeks before a day."""
    sim = with_history(tmp_path_factory.mktemp("history") / "home")
    sim.at(ODD, "02:00")
    sim.deliver(ODD - timedelta(days=1))
    sim.launch("a backfill", [sim.request(ODD - timedelta(days=HISTORY), ODD - timedelta(days=1))])
    sim.close()
    return sim.home


@pytest.fixture
def before_the_odd_day(
    page: Page, history: Path, records_in_memory: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Home, Path]]:
    """A desk before a copy of that home, in the morning after the day, and its events.csv."""
    shutil.copytree(history, tmp_path / "home")
    sim = with_history(tmp_path / "home")
    records_in_memory[sim.platform.settings.dagster_home] = sim.instance
    tell_time(monkeypatch, lambda: sim.now)
    events, first = tmp_path / "events.csv", ODD - timedelta(days=HISTORY)
    environ = {"HOME": sim.home, "BILL__PATH": sim.bill, "BILL__FIRST_DAY": first, "ACCOUNTS__PATH": sim.accounts}
    environ |= {"MAIL__RECIPIENTS": PEOPLE["mail.recipients"], "ANOMALIES__EVENTS": events}
    sim.at(ODD + timedelta(days=1), "02:00")
    yield (
        Home(
            page=page,
            environ={f"FINOPS_{name}": str(value) for name, value in environ.items()},
            values={"DAY": ODD, "FIRST": ODD, "LAST": ODD},
            sim=sim,
        ),
        events,
    )
    sim.close()


def test_a_cost_that_nobody_expected(before_the_odd_day: tuple[Home, Path]) -> None:
    """It is told with its id; AWS's correction takes it back with a word; what is planned is told no more."""
    desk, events = before_the_odd_day
    day, first, morning = ODD, ODD - timedelta(days=HISTORY), ODD + timedelta(days=1)
    sim, known = desk.sim, len(desk.alerts)
    sim.deliver(day, {day: 1.5})
    sim.sensors()
    (alert,) = desk.alerts[known:]
    text = desk.hears(alert)
    found = desk.types("finops anomalies", code=1)
    (told,) = {line.split(":")[0] for line in text.splitlines() if "The whole organization" in line}
    assert told in found
    sql = next(command for command in commands_of(desk.page.text) if "LIMIT 20" in command)
    assert len(desk.types(sql).splitlines()) == 21

    sim.at(morning, "09:00")
    sim.deliver(day)
    sim.sensors()
    cleared = [each for each in desk.alerts[known + 1 :] if "withdrawn" in each[0]]
    assert told in desk.hears(cleared[0], clear=True)
    assert told not in desk.types("finops anomalies", code=1)

    events.write_text(f"first,last,ou,service,what\n{first},{morning},All,,a rebuild\n", encoding="utf-8")
    desk.types("finops run --date $DAY")
    desk.sees("No anomaly goes on", desk.types("finops anomalies"))


def test_the_bill_has_doubled_everywhere(before_the_odd_day: tuple[Home, Path]) -> None:
    """It is asked once, by alert and digest; the bill mended and run by hand ends it, and so does the line it names."""
    day, (desk, events) = ODD, before_the_odd_day

    def answered() -> list[tuple[str, str]]:
        return [each for each in desk.alerts if "the doubled bill is mended or answered" in each[0]]

    sim, known = desk.sim, len(desk.alerts)
    sim.deliver(day, {day: 2.0})
    sim.sensors()
    (alert,) = desk.alerts[known:]
    text = desk.hears(alert)
    assert "no_day_twice_as_dear" in desk.red
    assert sim.mails()[-1].get_body(("plain",)).get_content().startswith("PLEASE ANSWER. ")

    sim.at(day + timedelta(days=1), "09:00")
    sim.deliver(day)
    desk.types("finops backfill $FIRST $LAST")
    assert desk.hears(answered()[-1], clear=True)

    sim.at(day + timedelta(days=1), "10:00")
    sim.deliver(day, {day: 2.0})
    sim.sensors()
    line = next(line for line in text.splitlines() if ",All,," in line).rpartition("(anomalies.events): ")[2]
    with events.open("a", encoding="utf-8") as calendar:
        calendar.write(f"{line}\n")
    desk.types("finops run --date $DAY")
    assert len(answered()) == 2


def test_too_much_cost_is_unassigned(begin: Callable[..., Home]) -> None:
    """The share is told and the accounts are listed; once they have their OUs, the day's run is the all-clear."""
    desk = begin("evening", "02:10")
    accounts = desk.sim.accounts.read_text(encoding="utf-8")
    desk.sim.accounts.write_text("".join(accounts.splitlines(keepends=True)[:3]), encoding="utf-8")
    desk.sim.deliver(DAY)
    desk.sim.sensors()
    assert "% of the cost is Unassigned, the limit is 5 %" in desk.hears(desk.alert)
    assert desk.red == {"unassigned_share_under_limit"}
    sql = next(command for command in commands_of(desk.page.text) if "Unassigned" in command)
    listed = desk.types(sql).splitlines()
    assert len(listed) - 1 == len(accounts.splitlines()) - 3

    desk.sim.accounts.write_text(accounts, encoding="utf-8")
    desk.types("finops run --date $DAY")
    desk.hears(desk.alert, clear=True)
    assert len(desk.types(sql).splitlines()) < len(listed)


def test_the_check_up_found_a_fault(begin: Callable[..., Home]) -> None:
    """Half an hour before the digest the fault is told, with its fix; the next check-up is the all-clear."""
    desk = begin("whole", "06:30")
    kept = desk.sim.accounts.rename(desk.sim.accounts.with_suffix(".kept"))
    assert not desk.sim.check_up()
    assert "there is no such file" in desk.hears(desk.alert)
    assert "there is no such file" in desk.types("finops doctor", code=1)

    kept.rename(desk.sim.accounts)
    assert "failed" not in desk.types("finops doctor")
    assert desk.sim.check_up()
    desk.hears(desk.alert, clear=True)


def drop_partition(desk: Home, day: date) -> None:
    with sqlite3.connect(desk.sim.platform.settings.catalog_file) as catalog:
        catalog.execute("DELETE FROM partitions WHERE year = ? AND month = ? AND day = ?", day.timetuple()[:3])
    catalog.close()


def test_a_day_is_damaged(begin: Callable[..., Home]) -> None:
    """Rows that somebody has altered to the same total are told in the night; the day's run mends it, and says so."""
    desk = begin("whole", "04:00")
    file = desk.sim.platform.settings.archive_folder / day_path(PAST)
    good = file.read_bytes()
    table = pq.read_table(file, partitioning=None)
    costs = pa.array(table["dailycost"].to_pylist()[::-1])
    pq.write_table(table.set_column(4, table.schema.field(4), costs), file)
    assert not desk.sim.verification()
    text = desk.hears(desk.alert)
    desk.sees("its rows are not those that were written", text)
    assert f"finops run --date {PAST}" in text
    assert str(PAST) in desk.types("finops verify", code=1)
    assert str(PAST) in desk.types("finops verify $FIRST $LAST", code=1)

    desk.types("finops run --date $DAY", DAY=PAST)
    desk.hears(desk.alert, clear=True)
    desk.sees("days proved", desk.types("finops verify"))
    assert pq.read_table(pa.BufferReader(file.read_bytes())).equals(pq.read_table(pa.BufferReader(good)))
    damaged = next(row.split()[0] for row in desk.types("finops restore $DAY").splitlines()[2:])
    assert "is not restored" in desk.types("finops restore $DAY --version $VERSION", code=1, VERSION=damaged)


def test_a_note_was_damaged(begin: Callable[..., Home]) -> None:
    """It is told with what is lost and where the copy is, and the day is run all the same; then the copy is removed."""
    desk = begin("evening", "02:10")
    desk.sim.deliver(DAY)
    folder = desk.sim.platform.settings.archive_folder
    (folder / "refreshes" / "journal.json").write_bytes(b"")
    desk.sim.sensors()
    assert desk.sim.ran[-1].success
    text = desk.hears(next(alert for alert in desk.alerts if "note" in alert[0]))
    (copy,) = [file for file in (folder / "damaged").rglob("*") if file.is_file()]
    assert f"remove {copy.relative_to(folder)}" in text
    assert "damaged_note" in desk.types("finops status")
    for command in ("finops doctor", "finops verify", "finops gaps"):
        desk.types(command)

    copy.unlink()
    desk.sim.at(MORNING, "02:20")
    desk.sim.sensors()
    desk.hears(desk.alert, clear=True)
    assert json.loads((folder / "refreshes" / "journal.json").read_bytes())["refreshes"]


def test_a_partition_is_not_registered(begin: Callable[..., Home]) -> None:
    """An archived day that no query sees: the run registers it, and leaves its object and the readers alone."""
    desk = begin()
    drop_partition(desk, BEFORE)
    before, mails = desk.sim.platform.archive.describe(BEFORE), desk.mails
    sql = next(command for command in commands_of(desk.page.text) if "COUNT" in command)
    desk.sees("no partition", desk.types("finops gaps", code=1))
    desk.sees("NO", next(row for row in desk.types("finops status").splitlines() if row.startswith(str(BEFORE))))
    assert desk.types(sql, DAY=BEFORE).split()[2] == "0"

    desk.types("finops run --date $DAY")
    desk.sees("all whole", desk.types("finops gaps"))
    assert desk.types(sql).split()[2] == str(before.rows)
    assert (desk.sim.platform.archive.describe(BEFORE).version, desk.mails) == (before.version, mails)


def test_a_past_day_must_be_made_again(begin: Callable[..., Home]) -> None:
    """A damaged day is named; its run writes it anew from the bill, keeps what it was, and mails it only if asked."""
    desk = begin()
    file = desk.sim.platform.settings.archive_folder / day_path(PAST)
    total, mails = desk.sim.platform.archive.describe(PAST).total, desk.mails
    file.write_bytes(file.read_bytes()[:-40])
    found = desk.types("finops gaps", code=1)
    desk.sees("is damaged", found)
    assert f"finops run --date {PAST}" in found

    ran = desk.types("finops run --date $DAY", DAY=PAST)
    desk.sees("archived", ran)
    assert f"digest     not sent: the mail of {BEFORE} speaks for it (finops resend {PAST} sends its own)" in ran
    desk.sees("all whole", desk.types("finops gaps"))
    assert desk.sim.platform.archive.describe(PAST).total == total
    assert len(desk.types("finops restore $DAY").splitlines()) == 3
    assert desk.mails == mails

    assert "digest     sent to 2 recipient(s)" in desk.types("finops run --date $DAY --mail")
    assert len(desk.mails) == len(mails) + 2
    assert desk.mails[-1].startswith("[FinOps] 30 Aug 2025: ")


def test_a_digest_must_go_out_again(begin: Callable[..., Home]) -> None:
    """The stored one to one and to all; one that was never made is made, and sent to everybody."""
    desk = begin()
    sent = len(desk.mails)
    assert FINANCE not in desk.types("finops resend $DAY --to $ADDRESS")
    assert len(desk.types("finops resend $DAY").splitlines()) == 3
    assert len(set(desk.mails[-3:])) == 1
    assert len(desk.types("finops resend $DAY", DAY=PAST).splitlines()) == 3
    assert len(desk.mails) == sent + 5
    assert desk.mails[-1].startswith("[FinOps] 30 Aug 2025: ")
    assert len(desk.types("finops resend $DAY --refresh").splitlines()) == 3
    assert desk.mails[-1].startswith("[FinOps] 30 Aug 2025, revision 2")
    desk.sees(
        "is no recipient of the settings",
        desk.types("finops resend $DAY --to $ADDRESS", code=2, ADDRESS="someone@elsewhere.org"),
    )


def test_the_dashboard_must_be_refreshed_by_hand(begin: Callable[..., Home]) -> None:
    """One that somebody has changed is found by doctor; a run of the newest day makes it anew, without a mail."""
    desk = begin()
    mails = desk.mails
    desk.sim.platform.settings.dashboard_file.write_text("<p>another one</p>")
    assert "is no dashboard of ours" in desk.types("finops doctor", code=1)
    desk.types("finops run --date $DAY")
    assert re.search(r"^ok +dashboard +up to 2025-09-04", desk.types("finops doctor"), re.MULTILINE)
    assert desk.mails == mails


def test_an_alert_was_not_sent(begin: Callable[..., Home]) -> None:
    """What nobody was told is said by `finops status` and a check, and told within a minute of the channel's return."""
    desk = begin("evening", "02:10", adapt=failing_catalog)
    folder = desk.sim.platform.settings.alerts_folder
    folder.write_text("in the way")
    desk.sim.deliver(DAY)
    desk.sim.sensors()
    desk.sees("NOBODY WAS TOLD", desk.types("finops status"))
    assert not desk.sim.checks()
    desk.sees("alerts_are_told", str(desk.red))

    folder.unlink()
    desk.sim.at(MORNING, "02:11")
    desk.sim.sensors()
    assert [subject for subject, _ in desk.alerts] == [f"FinOps: a run failed: {DAY}"]
    desk.sees("(told)", desk.types("finops status"))


def test_a_wrong_version_of_a_day_must_be_undone(begin: Callable[..., Home]) -> None:
    """The old total is back everywhere and held, nobody is mailed; a run by name gives the day back to the bill."""
    desk = begin("whole", "03:00")
    desk.sim.deliver(DAY, {BEFORE: 1.02})
    desk.sim.sensors()
    mails = desk.mails
    rows = [row.split() for row in desk.types("finops restore $DAY", DAY=BEFORE).splitlines()]
    assert [row[4] for row in rows[1:]] == ["5,464.81", "5,357.66"]
    version = rows[2][0]
    desk.sees("restored from version", desk.types("finops restore $DAY --version $VERSION", VERSION=version))
    runs = len(desk.sim.ran)
    desk.sim.sensors()
    desk.sim.at(MORNING, "03:30")
    desk.sim.sensors()
    assert (len(desk.sim.ran), desk.mails) == (runs, mails), "the day is not held"
    assert "5,357.66" in desk.types("finops status")
    desk.types("finops run --date $DAY")
    assert "5,464.81" in desk.types("finops status")


def test_dagsters_records_are_lost(begin: Callable[..., Home]) -> None:
    """Without DAGSTER_HOME the UI knows every day again, and nothing was run for it."""
    desk = begin(on_disk=True)
    desk.sim.close()
    shutil.rmtree(desk.sim.platform.settings.dagster_home)
    days = len(desk.sim.platform.archive.days())
    reported = [row.split()[1:] for row in desk.types("finops observe").splitlines()[1:]]
    assert reported == [["0", "1"], *[["0", str(days)]] * 7]
    again = [row.split()[2] for row in desk.types("finops observe").splitlines()[1:]]
    assert set(again) == {"0"}
    with dg.DagsterInstance.from_config(str(desk.sim.platform.settings.dagster_home)) as instance:
        assert instance.get_runs() == []


def test_dagsters_records_are_damaged(begin: Callable[..., Home]) -> None:
    """The commands end with the file, the run is told; the file removed, the UI and the day are whole again."""
    desk = begin(clock="08:00", on_disk=True)
    desk.sim.close()
    file = desk.sim.platform.settings.dagster_home / "history" / "runs.db"
    file.write_bytes(b"what somebody else has written here")
    said = desk.types("finops run --date $DAY", code=1)
    assert str(file) in said
    desk.sees("Dagster's records are damaged", said)
    assert "Dagster's records are damaged" in desk.hears(desk.alert, under="A run failed")
    desk.types("finops observe", code=1)
    assert f"fail  dagster            {file}" in desk.types("finops doctor", code=1)

    (removal,) = [line for line in blocks_of(desk.page.text) if line.startswith("rm ")]
    assert removal.endswith("history/runs.db*")
    for part in file.parent.glob("runs.db*"):
        part.unlink()
    desk.types("finops observe")
    desk.types("finops run --date $DAY")
    desk.hears(desk.alert, under="A run failed", clear=True)
    assert "ok    dagster" in desk.types("finops doctor")


def test_a_job_failed(begin: Callable[..., Home]) -> None:
    """A check-up that crashes is told with the command that does the same; once one runs through, that is told too."""
    crash: list[BaseException] = [ZeroDivisionError("a defect")]
    desk = begin(
        adapt=lambda platform: crashing(platform, "preflight", "check", lambda: crash[0] if crash else None),
    )
    sensor = desk.sim.definitions.get_repository_def().get_sensor_def("failed_runs")

    def tick(cursor: str | None) -> str | None:
        context = dg.build_sensor_context(
            instance=desk.sim.instance,
            cursor=cursor,
            repository_def=desk.sim.definitions.get_repository_def(),
            resources={"watch": desk.sim.watch},
        )
        return sensor.evaluate_tick(context).cursor

    cursor = tick(None)
    assert not desk.sim.check_up()
    tick(cursor)
    assert "a defect" in desk.hears(desk.alert)
    desk.types("finops doctor")
    desk.types("finops gaps")
    desk.types("finops resend $DAY")

    crash.clear()
    assert desk.sim.check_up()
    desk.hears(desk.alert, clear=True)


def test_the_heartbeat_is_missing(begin: Callable[..., Home]) -> None:
    """Silence while yesterday is not done; the run that finishes it sends the mail, as the page says it looks."""
    desk = begin("evening", "09:00")
    desk.environ = {**desk.environ, "FINOPS_ALERTS__HEARTBEAT_RECIPIENTS": "alarm@example.com"}

    def heartbeats() -> list[str]:
        return [mail for mail in desk.mails if "is done" in mail]

    assert f"source late: {DAY}" in desk.types("finops status")
    desk.types("finops run --date $DAY", code=1)
    assert heartbeats() == []
    desk.sim.deliver(DAY)
    desk.types("finops run --date $DAY")
    (mail,) = heartbeats()
    desk.sees(f"FinOps: {DAY} is done", mail)
    assert "a mail to alarm@example.com" in desk.types("finops doctor --date $DAY")
    desk.types("finops run --date $DAY")
    assert len(heartbeats()) == 1


def test_several_things_are_wrong_at_once(begin: Callable[..., Home]) -> None:
    """It says what it would do and changes nothing; then does it, without a mail; then all whole."""
    desk = begin()
    archive = desk.sim.platform.archive
    (desk.sim.platform.settings.archive_folder / day_path(PAST)).unlink()
    drop_partition(desk, BEFORE)
    mails = desk.mails
    desk.types("finops doctor")
    planned = desk.types("finops doctor --repair", code=1)
    assert (str(PAST) in planned, str(BEFORE) in planned, PAST in archive.days()) == (True, True, False)

    desk.types("finops doctor --repair --yes")
    desk.sees("all whole", desk.types("finops doctor --repair"))
    assert (PAST in archive.days(), desk.mails) == (True, mails)
    assert not desk.sim.watch.inspect(desk.sim.now).gaps


KILLED = """
import os, signal, sys
from contextlib import nullcontext
from datetime import date
from finops_assets.adapters.shared.archive import ObjectArchive
from finops_assets.defs import run
from finops_assets.platform import build_platform
from finops_assets.defs.run import run_days
from finops_assets.settings.load import load_settings

publish, done = ObjectArchive.publish, []

def publish_some(*args):
    if len(done) >= 3:
        os.kill(os.getpid(), signal.SIGKILL)
    done.append(publish(*args))
    return done[-1]

ObjectArchive.publish = publish_some
run.drawing_beside = lambda: nullcontext(None)
run_days(build_platform(load_settings()), *map(date.fromisoformat, sys.argv[1:]))
"""


def test_a_killed_backfill(begin: Callable[..., Home], tmp_path: Path) -> None:
    """SIGKILL in the middle: whole days only; it is told; what is left is run, and the last day mailed, once."""
    desk = begin("empty", on_disk=True)
    desk.sim.deliver(DAY)
    child = [sys.executable, "-c", KILLED, str(FIRST), str(DAY)]
    assert subprocess.run(child, env=desk.environ, cwd=tmp_path, check=False).returncode == -signal.SIGKILL
    archive = desk.sim.platform.archive
    assert 0 < len(archive.days()) < (DAY - FIRST).days
    desk.sim.bury_the_dead()
    assert "its process is gone" in desk.hears(desk.alert, under="A run failed")

    desk.types("finops backfill $FIRST $LAST --resume")
    desk.hears(desk.alert, under="A run failed", clear=True)
    desk.sees("all whole", desk.types("finops gaps"))
    desk.sees("are whole already", desk.types("finops backfill $FIRST $LAST --resume"))
    assert len(desk.mails) == 2


def test_finops_dev_does_not_start(page: Page, tmp_path: Path) -> None:
    """Where another one has the home, or another program the port, a line says so, and nothing was started."""
    desk = Desk(page=page, environ={"FINOPS_HOME": str(tmp_path / "home")}, values={})
    with socket.create_server(("127.0.0.1", 0)) as other:
        busy = desk.types("finops dev --port $PORT", code=1, PORT=other.getsockname()[1])
        desk.sees("the address is in use by another program", busy)
    lock = lock_home(tmp_path / "home", Holder(os.getpid(), socket.gethostname(), "now", "http://127.0.0.1:3000"))
    try:
        desk.sees("runs on this home since", desk.types("finops dev", code=1))
    finally:
        os.close(lock)


def test_the_dagster_ui_does_not_answer(page: Page) -> None:
    """By another name it says so in a sentence; with the name in the settings, or told to listen at, it answers."""

    def sentence(public: str = "", listening_at: str = "127.0.0.1", **headers: str) -> str:
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "http", "method": "POST", "path": "/graphql", "query_string": b"", "headers": pairs}
        middleware = SameOriginMiddleware(webserver_is_not_asked, listening_at, public_origin(public, "url"))
        refusal = middleware.refusal(scope)
        return f"{refusal.sentence} ({refusal.status})" if refusal else ""

    async def webserver_is_not_asked(*_: Any) -> None:
        raise AssertionError("only whether it would be")

    desk = Desk(page=page, environ={}, values={})
    url, kind = re.search(r"`(https://\S+)`", page.text)[1], {"content-type": "application/json"}
    proxied = kind | {"host": "finops.example.com"}
    for words, headers in (
        ("The Dagster UI does not answer to this host name", proxied),
        ("this request comes from another one", kind | {"host": "localhost", "origin": "http://localhost:81"}),
        ("takes application/json only", {"host": "localhost"}),
    ):
        desk.sees(words, sentence(**headers))
        desk.sees(sentence(**headers)[-5:], sentence(**headers))
    assert sentence(url, **proxied) == sentence(listening_at="finops.example.com", **proxied) == ""


def test_the_daily_look(begin: Callable[..., Home]) -> None:
    """On a good morning the newest day is archived, registered and sent, nothing is open, and every day is whole."""
    desk = begin()
    *_, newest, summary, coverage = desk.types("finops status").splitlines()
    assert newest.split()[-3:] == ["yes", "sent", "whole"]
    assert newest.startswith(str(DAY))
    assert summary.endswith("all whole.")
    assert coverage.endswith("of the archive, and nothing else.")
    desk.sees("all whole", desk.types("finops gaps"))


def test_the_weekly_count(begin: Callable[..., Home]) -> None:
    """A day without rows is MISSING, the reason and the command are a question away, and then no day is."""
    desk = begin()
    drop_partition(desk, BEFORE)
    counted = desk.types("finops gaps --weekly", code=1).splitlines()
    (missing,) = [row.split() for row in counted if "MISSING" in row]
    assert missing[:4] == [*map(str, (BEFORE.year, BEFORE.month, BEFORE.day)), "0"]
    assert "no partition" in desk.types("finops gaps", code=1)
    desk.types("finops doctor --repair --yes")
    assert "MISSING" not in desk.types("finops gaps --weekly")


def test_the_months_evidence(begin: Callable[..., Home]) -> None:
    """Made once, left as it is the second time, verified; a day that changes afterwards is named."""
    desk = begin()
    desk.sim.at(date(2025, 9, 16), "09:00")
    assert "evidence-2025-08-v1.zip, " in desk.types("finops evidence make $MONTH")
    assert "v1.zip, as it was" in desk.types("finops evidence make $MONTH")
    desk.sees("is whole", desk.types("finops evidence verify $MONTH"))
    assert "evidence-2025-08-v1.zip" in desk.types("finops evidence list")
    (desk.sim.platform.settings.archive_folder / day_path(PAST)).unlink()
    assert f"gone since: {day_path(PAST)}" in desk.types("finops evidence verify $MONTH")


# --- on AWS -----------------------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Account(Desk):
    """A desk before the platform on AWS."""

    platform: Platform

    @property
    def alert(self) -> tuple[str, str]:
        newest = self.aws.topics.published[-1]
        return newest.subject, newest.message

    @property
    def sent_to(self) -> list[str]:
        return sorted(mail.recipients[0] for mail in self.aws.mail.sent)

    def watch(self) -> None:
        """What the sensors `missing_days` and `mail_returns` do: open and close what only a look can tell."""
        now = datetime.combine(MORNING, datetime.min.time(), UTC) + timedelta(hours=8)
        found = self.platform.with_clock(lambda: now).watch
        found.update_incidents(found.inspect(now), Attempts(15), (), now)
        found.alerting.report_refused_recipients()


@pytest.fixture
def account(
    aws: StandIn,
    prepared: Prepared,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Account]:
    """`account()` is an AWS account with a bill of one day, DAY, everything set up, and a topic."""

    def made(page: str = "") -> Account:
        make_ready(aws, make_bill(tmp_path / "bill", [line("1.25", start=at(DAY))]).parent)
        shutil.copytree(prepared.folder / "empty" / "dagster", tmp_path / ".finops" / "dagster")
        accounts = tmp_path / "accounts.csv"
        accounts.write_text(f"account_id,account_name,ou_path\n{ACCOUNT},shop-prod,Shop\n")
        settings = {
            "aws__sns_topic_arn": aws.client("sns").create_topic(Name="finops-alerts")["TopicArn"],
            "bill__first_day": DAY,
            "accounts__path": accounts,
        }
        now = datetime.combine(MORNING, datetime.min.time(), UTC) + timedelta(hours=7, minutes=5)
        tell_time(monkeypatch, lambda: now)
        return Account(
            page=Page.of(page) if page else request.getfixturevalue("page"),
            environ=on_aws(aws, tmp_path, **settings),
            values={"DAY": DAY, "ADDRESS": RECIPIENTS[0], "ACCOUNT": aws.account, "DATA_SET": DATA_SET},
            aws=aws,
            platform=platform_on(aws, tmp_path, **settings),
        )

    return made


def test_ses_quota_is_used_up(account: Callable[..., Account]) -> None:
    """Who has the digest keeps it, the others get it once there is a quota again: everybody one message."""
    desk = account()
    desk.aws.mail.max_24_hour_send = 2
    run_of_the_morning(desk, "digest_email: c@example.com")
    desk.sees("Daily message quota exceeded", desk.hears(desk.alert, under="A run failed"))
    desk.sees("digest_email failed", desk.alert[1])
    assert desk.sent_to == list(RECIPIENTS[:2])
    desk.sees("partial", desk.types("finops status"))
    assert "'Max24HourSend': 2.0" in desk.types("aws sesv2 get-account")
    assert re.search(r"^fail +ses account .* 0 of 2 messages left", desk.types("finops doctor", code=1), re.MULTILINE)

    desk.aws.mail.max_24_hour_send = 50_000
    desk.types("finops run --date $DAY")
    desk.hears(desk.alert, under="A run failed", clear=True)
    desk.sees("sent", desk.types("finops status"))
    assert desk.sent_to == list(RECIPIENTS)


def run_of_the_morning(desk: Account, fails_with: str) -> None:
    """The morning's run, which fails."""
    outcome = run.run_days(desk.platform, DAY, DAY)
    assert any(fails_with in error for error in outcome.errors), outcome.errors


def test_a_recipient_is_suppressed(account: Callable[..., Account]) -> None:
    """SES takes the digest and drops it: it is told, the entry is removed, the digest is sent again, all clear."""
    desk = account("A mail bounced")
    desk.aws.mail.suppressed[RECIPIENTS[0]] = ("BOUNCE", datetime.now(UTC))
    assert run.run_days(desk.platform, DAY, DAY).errors == ()
    desk.watch()
    desk.hears(desk.alert)
    assert "BOUNCE" in desk.types("aws sesv2 get-suppressed-destination --email-address $ADDRESS")
    desk.types("aws sesv2 delete-suppressed-destination --email-address $ADDRESS")
    desk.types("finops resend $DAY --to $ADDRESS")
    assert desk.aws.mail.to(RECIPIENTS[0])[-1].bounced == ()
    desk.watch()
    desk.hears(desk.alert, clear=True)


def test_athena_timed_out(account: Callable[..., Account], monkeypatch: pytest.MonkeyPatch) -> None:
    """The query is stopped, nothing is published; with more time it is done, and it is all clear."""
    desk = account()
    desk.aws.athena.min_seconds = 60
    with pytest.MonkeyPatch.context() as hasty:
        hasty.setattr(Athena, "_timeout", property(lambda _: 0.3, lambda *_: None), raising=False)
        run_of_the_morning(desk, "did not end within 0.3 s")
    text = desk.hears(desk.alert, under="A run failed")
    desk.sees("and was stopped", text)
    assert [query.state for query in desk.aws.athena.queries] == ["CANCELLED"]
    assert (desk.platform.archive.days(), desk.sent_to) == ([], [])

    desk.aws.athena.min_seconds = 0
    desk.types("FINOPS_AWS__QUERY_TIMEOUT_SECONDS=3600 finops run --date $DAY")
    desk.hears(desk.alert, under="A run failed", clear=True)
    assert desk.sent_to == list(RECIPIENTS)


def test_the_dashboard_was_not_refreshed(account: Callable[..., Account]) -> None:
    """The day is archived, queryable and mailed, the reason is QuickSight's; the next run refreshes; by hand too."""
    desk = account()
    desk.aws.quicksight.fail_next("PERMISSION_DENIED")
    run_of_the_morning(desk, "PERMISSION_DENIED")
    desk.sees("PERMISSION_DENIED", desk.hears(desk.alert))
    assert (desk.platform.archive.days(), list(desk.platform.catalog.registered())) == ([DAY], [DAY])
    assert desk.sent_to == list(RECIPIENTS)

    desk.types("finops run --date $DAY")
    desk.hears(desk.alert, clear=True)
    assert desk.sent_to == list(RECIPIENTS), "nobody has it twice"

    desk.page = Page.of("The dashboard must be refreshed by hand")
    desk.types(next(command for command in commands_of(desk.page.text) if command.startswith("aws quicksight")))
    assert desk.aws.quicksight.ingestions[-1].id == "by-hand-1"


def test_it_is_not_known_who_has_the_digest(account: Callable[..., Account]) -> None:
    """Nobody is mailed twice: who is in doubt is named, a person says that it arrived, and it is all clear."""
    desk = account()
    desk.aws.faults.cut("sesv2", "SendEmail", after=True)
    run_of_the_morning(desk, "it is not known who has it")
    desk.sees("it is not known who has it: a@example.com", desk.hears(desk.alert, under="A run failed"))
    assert desk.sent_to == list(RECIPIENTS)
    found = desk.types("finops doctor --date $DAY", code=1)
    assert f"finops resend {DAY} --to a@example.com --received" in found
    desk.sees("mail in doubt", desk.types("finops gaps", code=1))

    desk.types("finops resend $DAY --to $ADDRESS --received")
    desk.sees("sent", desk.types("finops status"))
    desk.watch()
    desk.hears(desk.alert, under="A run failed", clear=True)
    assert desk.sent_to == list(RECIPIENTS)
